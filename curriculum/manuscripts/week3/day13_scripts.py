# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

# %%
import mlflow
import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.numpy import load_file

from labhelpers import exercise, plots, production, progress, quiz, settings, tracking, widgets

lab = settings.start("day13")

# %% [markdown]
# ## Why today matters
#
# Your notebook works. You sit in front of it, you know which cell to skip, and when something looks odd, you scroll
# up. Tomorrow somebody else runs it: a colleague, a pipeline at four in the morning, you in half a year. Nobody sits
# in front of it then, and the world has moved by one small thing.
#
# Such a run can end in four ways. It **works**. Or it stops with **one line** that says what to do. Or it stops with a
# **traceback**, for whoever wrote it to read. Or it ends in **silence**: exit code 0, no complaint, and a wrong result.
#
# In a moment we take a piece of an ordinary notebook and do eight ordinary things to it, one at a time: a file has moved,
# a setting is misspelt, the disk is full. Guess before you see them.

# %%
silent_guess = widgets.predict(
    "day13-silent", "Eight things go wrong. How many end in silence?", 0, 8
)

# %% [markdown]
# ## Eight ways to break tomorrow
#
# Two projects today. **Yours** has gaps that you fill in the course of this lesson; it is made for you if it is not there
# yet. **Ours** is finished, lies in a temporary folder, and is for breaking.

# %%
mine = production.ready("day13")
place = tempfile.TemporaryDirectory(prefix="day13-")
ours = production.new(Path(place.name) / "ours", at="day14")

# %% [markdown]
# Here is the notebook: its four cells in one file, as *Save as script* writes them. It reads texts with their labels,
# tidies up, draws three splits, and writes them. You have written cells like these yourself, and nothing in them is
# silly.

# %%
notebook = """
# In [1]
import pandas as pd, yaml
params = yaml.safe_load(open("params.yaml"))["prepare"]
table = pd.read_csv(params["raw"])
table.head()

# In [4]
table = table.dropna().drop_duplicates()
table = table.sample(frac=1)
# In [7]
test, validation = (int(len(table) * params.get(part, 0.2)) for part in ("test", "validation"))
parts = {"test": table[:test], "validation": table[test : test + validation]}
parts["train"] = table[test + validation :]

# In [9]
for name, part in parts.items():
    part.to_json(f"data/finetuning/{name}.jsonl", orient="records", lines=True)
print("done!")
"""

# %% [markdown]
# Against it stands `src/data/prepare_finetuning_data.py` of our project, which does the same job. One helper runs Python
# in a folder, and shows what a terminal would show: what was printed, what went to the second channel, *stderr* (marked
# `2>`), and the exit code.

# %%
environment = os.environ | {"COLUMNS": "90", "TERM": "dumb", "PYTHONWARNINGS": "ignore"}
environment |= {"PY_COLORS": "0", "MLFLOW_LOGGING_LEVEL": "WARNING"}
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "PYTHONPATH"):
    environment.pop(name, None)


def python(*arguments, folder=ours):
    """Run Python in a folder as a terminal would, and keep what it said."""
    options = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, **options)


def run(*arguments, folder=ours):
    """Run Python and show what it said."""
    done = python(*arguments, folder=folder)
    print("$ python", *arguments)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    lines += [f"2> {line}" for line in done.stderr.splitlines()]
    print("\n".join([*lines, f"exit code {done.returncode}"]))


# %% [markdown]
# Each gets a bench to be broken on: the finished scripts, the notebook beside them, and 300 raw rows.

# %%
bench = Path(place.name) / "script"
params = yaml.safe_load((ours / "params.yaml").read_text(encoding="utf-8"))
raw = params["prepare"]["raw"]
shutil.copytree(ours / "src", bench / "src")
(bench / "data" / "raw").mkdir(parents=True)
(bench / "data" / "finetuning").mkdir()
rows = (ours / raw).read_text(encoding="utf-8").splitlines(keepends=True)
(bench / raw).write_text("".join(rows[:301]), encoding="utf-8")
params["prepare"] |= {"rows": 0, "test": 0.25, "validation": 0.15}
pages = {"params.yaml": yaml.safe_dump(params), "my_notebook.py": notebook.lstrip()}
for name, page in pages.items():
    (bench / name).write_text(page, encoding="utf-8")

# %%
PROGRAMS = {"notebook": "my_notebook", "script": "src.data.prepare_finetuning_data"}
shutil.copytree(bench, bench.with_name("notebook"))
for program, module in PROGRAMS.items():
    run("-m", module, folder=bench.with_name(program))

# %% [markdown]
# Both run through. Now the eight things. Each is a small function that spoils a copy of the bench.


# %%
def edit(folder, name, old, new):
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def add_copies(folder):
    """Twenty texts come in a second time, in capitals, and one that is blank."""
    more = pd.read_csv(folder / raw).head(20)
    more["text"] = more["text"].str.upper()
    more.loc[0, "text"] = "   "
    more.to_csv(folder / raw, mode="a", header=False, index=False)


# %%
EIGHT = {
    "the raw file has moved": lambda f: (f / raw).rename(f / "data" / "texts.csv"),
    "a column got another name": lambda f: edit(f, raw, "text,label", "review,label"),
    "a setting is misspelt": lambda f: edit(f, "params.yaml", "test: 0.25", "tests: 0.4"),
    "a number is text to YAML": lambda f: edit(f, "params.yaml", "n: 0.15", "n: 15e-2"),
    "copies, in capitals": add_copies,
    "one label with a capital": lambda f: edit(f, raw, ",positive\n", ",Positive\n"),
    "the disk is full": lambda f: (f / "full").touch(),
    "nothing: it just runs again": lambda f: None,
}
if not find_spec("resource"):
    del EIGHT["the disk is full"]  # Windows has no limit that a process could set itself

# %% [markdown]
# A full disk we cannot wish upon you. But a process can be told that no file of its own may grow beyond so many bytes, and what
# it then meets is the operating system's refusal in the middle of writing, as on a full disk.

# %%
FULL = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
runpy.run_module(sys.argv[0], run_name="__main__")
"""


def attempt(program, spoil):
    """Spoil a copy of a program's bench, run it there: the folder, and what it said."""
    folder = Path(tempfile.mkdtemp(dir=place.name)) / "copy"
    shutil.copytree(bench.with_name(program), folder)
    spoil(folder)
    start = ("-c", FULL) if (folder / "full").exists() else ("-m",)
    return folder, python(*start, PROGRAMS[program], folder=folder)


# %% [markdown]
# Silence is the hard one to notice, so we look at the files themselves. Sound splits can be read to the last line; no text is
# blank, none occurs twice; there are two labels; the test split has the share that was asked for. And the same input gives
# the same files.


# %%
def splits(folder):
    names = [f"data/finetuning/{name}.jsonl" for name in ("train", "validation", "test")]
    return [(folder / name).read_text(encoding="utf-8").splitlines() for name in names]


def sound(folder, share=0.25):
    """Whether the three splits are what somebody asked for."""
    try:
        parts = [[json.loads(line) for line in part] for part in splits(folder)]
        rows = [row for part in parts for row in part]
        texts = [" ".join(row["text"].lower().split()) for row in rows]
    except (ValueError, KeyError):
        return False
    labels = {row["label"] for row in rows} == {"positive", "negative"}
    fair = abs(len(parts[2]) / len(rows) - share) < 0.02
    return labels and fair and all(texts) and len(set(texts)) == len(texts)


print({program: sound(bench.with_name(program)) for program in PROGRAMS})


# %% [markdown]
# Before anything is spoilt, both are sound. So whatever comes now comes from the spoiling.


# %%
def ending(case, program):
    """Try one case with one program: how it ended, where, and what it said."""
    folder, done = attempt(program, EIGHT[case])
    told = [line for line in done.stderr.splitlines() if not line.startswith("prepare: ")]
    if done.returncode:
        return ("one line" if len(told) == 1 else "traceback"), folder, told
    right = sound(folder, 0.4 if case == "a setting is misspelt" else 0.25)
    if case.startswith("nothing"):
        right = right and splits(folder) == splits(bench.with_name(program))
    return ("works" if right else "silence"), folder, told


tried = {(case, program): ending(case, program) for case in EIGHT for program in PROGRAMS}

# %%
ends = ["works", "one line", "traceback", "silence"]
grid = [[ends.index(tried[case, program][0]) for program in PROGRAMS] for case in EIGHT]
silent = [sum(row[at] == 3 for row in grid) for at in (0, 1)]
silent_guess.compare(silent[0])
tracking.record("silent_notebook", silent[0])
tracking.record("silent_script", silent[1])

# %%
figure = plots.heatmap(
    np.array(grid, dtype=float),
    list(EIGHT),
    list(PROGRAMS),
    title=f"Silent: {silent[0]} of {len(grid)} as a notebook, {silent[1]} as a script",
)
for text, end in zip(figure.axes[0].texts, np.ravel(grid), strict=True):
    text.set_text(ends[end])
figure.axes[1].remove()  # a scale of four words says nothing
plots.show(figure, alt=f"How eight runs ended: {silent[0]} silent ones for the notebook.")

# %% [markdown]
# Read the left column from the bottom. Running twice shuffles anew, so what was test yesterday is training material
# today. A label with a capital became a third class. The copies sit on both sides of the split. The misspelt `tests: 0.4`
# fell back to the default of `params.get`. The renamed column went into the files as it came, and will blow up in
# *another* program, an hour later.
#
# And the tracebacks? They are honest, at least, and made for whoever wrote the code. Their lengths, and what the script
# says to the person who meets it:

# %%
for case in EIGHT:
    end, _, told = tried[case, "notebook"]
    if end == "traceback":
        print(f"notebook, {case}: {len(told)} lines")
for case in EIGHT:
    end, _, told = tried[case, "script"]
    if end == "one line":
        print("script:", told[0])

# %% [markdown]
# The full disk is the meanest of the eight, for it does two things. The traceback is one. The other is what lies in
# the folder afterwards:

# %%
for program in PROGRAMS if "the disk is full" in EIGHT else ():
    _, folder, told = tried["the disk is full", program]
    print(f"{program}: lines {[len(part) for part in splits(folder)]}, sound: {sound(folder)}")

# %% [markdown]
# Half a training split lies there, beside a fresh test split, and the next program may take it for the whole truth. Our
# script failed as well, as it must. But yesterday's splits are still there, untouched.
#
# ### What goes where
#
# <!-- asked: D13-H -->
# None of this is cleverness. It is a matter of putting each thing where it belongs:
#
# | in the notebook | its place | what that buys |
# |---|---|---|
# | a number that somebody chose | `params.yaml`, read once, checked | a typo is one line |
# | a cell that you ran more than twice | a function with a name, in `src/` | it can be tested |
# | `print` | `logging`, on stderr | stdout stays free for results |
# | cells in the order of your clicks | one `main()` | there is one order |
# | writing a file | beside its place, then moved | whole, or not there |
# | `table.head()`, plots, thinking | the notebook, where it is good | |
#
# What remains is small. This is the whole door of our script, `main` and its argument; everything above it in the file is
# functions.

# %%
code = (ours / "src" / "data" / "prepare_finetuning_data.py").read_text(encoding="utf-8")
print(code[code.index("@app.command") :])
run("-m", "src.data.prepare_finetuning_data", "--help")

# %% [markdown]
# **Typer** made that page from the signature: a type becomes a check, a default becomes optional, the docstring becomes
# the text. (Python's own `argparse` does the same in more lines.) Keep arguments few. *Which settings file* is an
# argument; the settings themselves are not, or a run would depend on what somebody typed, and nobody would know it later.
#
# ## Settings that are read once, and a line that helps
#
# <!-- asked: D13-T2 -->
# On Day 10 a learning rate of `2e-4` ruined a training, because YAML reads it as a text. Now we stop it at the door.
# **Pydantic** compares what was read with a description:


# %%
class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)  # no strangers, no text for numbers


class Finetune(Section):
    learning_rate: float = Field(gt=0, lt=1)
    epochs: float = Field(gt=0)
    lora_r: int = Field(gt=0)


class Params(Section):
    finetune: Finetune


# %%
text = "finetune: {learning_rate: 2e-4, epochs: 2, lora_r: 8}"
try:
    Params.model_validate(yaml.safe_load(text))
except ValidationError as error:
    print(error)

# %% [markdown]
# Right, and five lines long, with a link to a page for programmers. The person who meets it at four in the morning wants
# one line: which key, what is wrong, what to write. Everything you need for it is in the error:


# %%
def problem_with(**finetune):
    """What Pydantic says first about these settings, as a dictionary."""
    try:
        Params.model_validate({"finetune": finetune})
    except ValidationError as error:
        return error.errors(include_url=False)[0]


print(problem_with(learning_rate="2e-4", epochs=2.0, lora_r=8))
print(problem_with(learning_rate=0.1, epochs=2.0, lora_r=-3))
print(problem_with(learning_rate=0.1, epochs=2.0, lora_r=8, lora_rank=8))
print({**problem_with(learning_rate=0.1, epochs=2.0), "input": "(the whole section)"})

# %% [markdown]
# Your first function for the project. Write it here, where each attempt gets an answer; later you move it into its
# file.


# %% tags=["exercise"] exercise="day13/explain" answer="explain" minutes=10 difficulty=2
# problem: a dictionary as printed above. Return one line for a person: the key with its section
# ("finetune.epochs"), what is wrong, what to do. Four mistakes, four cures: a key that nobody
# knows, a missing key, text for a number, another wrong value. For the last two, show what was
# found; for a text, say how to write 2e-4 so that YAML reads a number.
def explain(problem): ...


# <solution>
def explain(problem):
    key, found = ".".join(map(str, problem["loc"])), problem.get("input")
    if problem["type"] == "extra_forbidden":
        return (
            f"nobody reads {key}. Is it misspelt? Take it out, or use a key of src/config.py."
        )
    if problem["type"] == "missing":
        return f"{key} is missing. Add it."
    if problem["type"] in ("float_type", "int_type") and isinstance(found, str):
        return f"{key} is the text {found!r}. Write a number; 2e-4 needs a dot, 2.0e-4."
    return f"{key} is {found!r}. {problem['msg']}."


# </solution>


# %% tags=["check"] exercise="day13/explain"
FOUR = (
    problem_with(learning_rate=0.1, epochs=2.0, lora_r=8, lora_rank=8),
    problem_with(learning_rate=0.1, epochs=2.0),
    problem_with(learning_rate="2e-4", epochs=2.0, lora_r=8),
    problem_with(learning_rate=0.1, epochs=2.0, lora_r=-3),
    problem_with(learning_rate=0.1, epochs=2.0, lora_r=1.5),
)


def pattern(line, problem):
    """The line without the key and the value that it names."""
    for part in (".".join(problem["loc"]), repr(problem["input"]), str(problem["input"])):
        line = line.replace(part, "·")
    return line


def check(answer):
    said = [answer(problem) for problem in FOUR]
    if said[0] is None:
        return (
            "It returns nothing. `return` the line; whoever calls it decides where to print it."
        )
    for line, problem in zip(said, FOUR, strict=True):
        key = ".".join(problem["loc"])
        if not isinstance(line, str):
            return f"It returns a {type(line).__name__}. Return one line of text."
        if "\n" in line:
            return "This is more than one line. One line is read, five are not."
        if key not in line and problem["loc"][-1] in line:
            return f"Name the section, too, as in {key!r}: two sections have a `seed`. Join what is in `loc`."
        if key not in line:
            return f"About {key} it says {line!r}. Which key is it? `loc` knows."
    if any(problem["msg"] in line for line, problem in zip(said[:3], FOUR, strict=False)):
        return "That is Pydantic's own sentence. It tells a programmer what is wrong; tell a person what to do about it."
    if "2e-4" not in said[2]:
        return "Where a text stands for a number, show the text that was found. Somebody will search the file for it."
    if not any(part in said[2] for part in ("dot", "2.0e-4", "0.0002")):
        return "The person has written 2e-4 and believes it is a number. What should stand there instead?"
    if "-3" not in said[3] or "1.5" not in said[4]:
        return (
            "For a value that is out of range, show the value that was found: it is in `input`."
        )
    shapes = [pattern(line, problem) for line, problem in zip(said, FOUR, strict=True)]
    if len(set(shapes[:4])) < 4:
        return "Two different mistakes get the same sentence. Each has another cure, and `type` tells them apart."
    if shapes[4] == shapes[2]:
        return "1.5 for a whole number is called a text here. The type says int_type for both; look at what was found, too."
    return None


def inputs(draw):
    yield FOUR
    size = float(-draw.integers(2, 9))
    yield (*FOUR[:3], problem_with(learning_rate=size, epochs=2.0, lora_r=8), FOUR[4])
    yield (
        problem_with(learning_rate=0.1, epochs=2.0, lora_r=8, rank=int(draw.integers(3, 9))),
        problem_with(epochs=2.0, lora_r=8),
        problem_with(learning_rate=0.1, epochs=2.0, lora_r="eight"),
        problem_with(learning_rate=0.1, epochs=size, lora_r=8),
        problem_with(learning_rate=0.1, epochs=2.0, lora_r=float(draw.integers(1, 9)) + 0.5),
    )


def trial(answer, *problems):
    said = [answer(problem) for problem in problems]
    shapes = [pattern(line, problem) for line, problem in zip(said, problems, strict=True)]
    shown = [
        str(problem["input"]) in line for line, problem in zip(said, problems, strict=True)
    ]
    named = [".".join(p["loc"]) in line for line, p in zip(said, problems, strict=True)]
    plain = [p["msg"] in line for line, p in zip(said[:3], problems[:3], strict=True)]
    whole = (
        "\n" not in "".join(said),
        any(part in said[2] for part in ("dot", "2.0e-4", "0.0002")),
    )
    return named, shown[2:], plain, whole, len(set(shapes[:4])) == 4, shapes[4] != shapes[2]


hints = [
    '`".".join(map(str, problem["loc"]))` gives the key with its section.',
    'Branch on `problem["type"]`: "extra_forbidden", "missing", then the rest.',
    'A text for a number: the type is "float_type" or "int_type", and `isinstance(found, str)`.',
]
misconceptions = [
    ('def explain(problem):\n    print(problem["msg"])', "returns nothing"),
    (
        "def explain(problem):\n    return f\"{problem['loc'][-1]}: {problem['msg']}\"",
        "Name the section",
    ),
    (
        "def explain(problem):\n    return f\"{'.'.join(problem['loc'])}: {problem['msg']}\"",
        "Pydantic's own sentence",
    ),
    ("def explain(problem):\n    return problem['msg']", "Which key"),
    (
        "def explain(problem):\n    return f\"{'.'.join(problem['loc'])} is {problem['input']!r}. Write 2.0e-4.\"",
        "Two different mistakes",
    ),
    (
        "def explain(problem):\n    return f\"Error in params.yaml:\\n{'.'.join(problem['loc'])}\"",
        "more than one line",
    ),
]

# %% [markdown]
# In the project, `config.load` reads the file, calls your function for the first problem, prints the line, and ends with
# **exit code** 2. That number is all that a machine reads: 0 is fine, everything else is not. (1 is Python's own, for an
# error that nobody expected; 2 we keep for what the person in front can mend.)

# %%
for number in (0, 1, 2):
    done = python("-c", f"raise SystemExit({number})")
    print(f"exit code {number}: a pipeline goes on: {done.returncode == 0}")

# %% [markdown]
# A script that catches its error, prints "something went wrong" and ends normally has told the pipeline that all is well.
#
# ## Same input, same bytes
#
# <!-- asked: D13-T1 -->
# The data comes next. Two texts are copies for us if a person would call them equal: capitals and blanks do not count. Our
# project has a function for that, and it knows both forms of data, labelled texts and conversations.


# %%
def key(row):
    """What two rows share when one is a copy of the other."""
    text = (
        row["text"]
        if "text" in row
        else " ".join(part["content"] for part in row["messages"][:-1])
    )
    return " ".join(str(text).lower().split())


log = logging.getLogger("prepare")
print(key({"text": "Good  film", "label": "a"}), "=", key({"text": "good FILM ", "label": "b"}))

# %% [markdown]
# And what of the log? `log.info(…)` is `print` with manners: it names the speaker, goes to stderr, can be switched off,
# and leaves stdout to results. A script that throws rows away should say how many.


# %% tags=["exercise"] exercise="day13/clean" answer="clean" minutes=10 difficulty=2
# table: a DataFrame with the columns text and label, or with one column, messages. Return the
# rows that can be used, in their old order: none in which a value is blank; of rows with an
# equal `key` only the first. Nothing in `table` itself changes. Log how many rows came and how
# many went.
def clean(table): ...


# <solution>
def clean(table):
    full = table[
        [all(str(value).strip() for value in row) for row in table.itertuples(index=False)]
    ]
    keys = pd.Series([key(row) for row in full.to_dict("records")], index=full.index)
    kept = full[(keys != "") & ~keys.duplicated()]
    log.info("%d rows read, %d empty or copies", len(table), len(table) - len(kept))
    return kept


# </solution>


# %% tags=["check"] exercise="day13/clean"
ROWS = [
    ("Good film", "a"),
    ("  ", "a"),
    ("good  FILM", "b"),
    ("Bad film", "b"),
    ("fine", ""),
    ("fine", "b"),
    ("Good film", "a"),
]
TALKS = [("Why?", "So."), ("why?", "Because."), ("How?", "Thus.")]


def conversations(pairs):
    said = [
        [{"role": "user", "content": ask}, {"role": "assistant", "content": say}]
        for ask, say in pairs
    ]
    return pd.DataFrame({"messages": said})


def check(answer):
    kept = answer(pd.DataFrame(ROWS, columns=["text", "label"]))
    if kept is None:
        return "It returns nothing. Return the rows that stay, as a DataFrame."
    if not isinstance(kept, pd.DataFrame):
        return (
            f"It returns a {type(kept).__name__}. `split`, which comes next, wants a DataFrame."
        )
    if list(kept.columns) != ["text", "label"]:
        return f"Its columns are {list(kept.columns)}. They should be those of `table`: whatever you add to compare, take out again."
    texts, labels = list(kept["text"]), list(kept["label"])
    if "  " in texts:
        return "A text of two blanks is still there. It is not empty to pandas; to a reader it is. `strip` helps."
    if "" in labels:
        return "A row without a label is still there."
    if "Good film" in texts and "good  FILM" in texts:
        return "'Good film' and 'good  FILM' are both still there. Compare what `key` gives, not the texts themselves."
    if "Good film" not in texts and "good film" not in texts and "good  FILM" not in texts:
        return "All rows of the text that came three times are gone. One of them should stay, the first."
    if "good  FILM" in texts or texts[-1:] == ["Good film"]:
        return "Of equal texts the *last* stays here. The first should, with its label."
    if "fine" not in texts:
        return "'fine' came twice, first without a label. Take the blank rows out before you look for copies, or the good one goes with the bad."
    if "good film" in texts:
        return "The texts themselves were changed to small letters. The model should read them as they were written."
    talks = answer(conversations(TALKS))
    if len(talks) != 2:
        return f"Of three conversations, two of which begin alike, it keeps {len(talks)}. `key` works for both forms: give it whole rows, as dictionaries."
    if texts != ["Good film", "Bad film", "fine"] or labels != ["a", "b", "b"]:
        return f"It keeps {list(zip(texts, labels, strict=True))}. Are the rows still in their old order, each with its own label?"
    return None


def inputs(draw):
    yield pd.DataFrame(ROWS, columns=["text", "label"])
    yield conversations(TALKS)
    words = np.array(["one", "ONE", " two", "two ", "", "   ", "three"])
    for size in (1, 12, 30):
        drawn = {
            "text": draw.choice(words, size),
            "label": draw.choice(["a", "b", "", " "], size),
        }
        yield pd.DataFrame(drawn).astype(str)
    numbered = pd.DataFrame(ROWS, columns=["text", "label"])
    numbered.index = range(50, 50 + len(ROWS))
    yield numbered
    yield conversations([("   ", "x"), ("One?", "a"), (" one?", "b"), ("Two?", "c")])


def trial(answer, table):
    kept = answer(table)
    return kept.astype(str).to_dict("records") if len(kept) else []


hints = [
    'Go through the rows as dictionaries: `table.to_dict("records")`. `key(row)` then works for both forms.',
    "First a list of True and False for rows without a blank value, `table[mask]`; then the keys of what is left.",
    "`keys.duplicated()` is False for the first of equal ones; `~` turns it round. Give `keys` the index of the table.",
]
misconceptions = [
    (
        "def clean(table):\n    return table[table.map(lambda v: bool(str(v).strip())).all(axis=1)].drop_duplicates('text')",
        "Compare what `key` gives",
    ),
    ("def clean(table):\n    return table.dropna().drop_duplicates()", "two blanks"),
    (
        "def clean(table):\n    full = table[table.map(lambda v: bool(str(v).strip())).all(axis=1)]\n    keys = pd.Series([key(r) for r in full.to_dict('records')], index=full.index)\n    return full[~keys.duplicated(keep=False)]",
        "One of them should stay",
    ),
    (
        "def clean(table):\n    full = table[table.map(lambda v: bool(str(v).strip())).all(axis=1)]\n    keys = pd.Series([key(r) for r in full.to_dict('records')], index=full.index)\n    return full[~keys.duplicated(keep='last')]",
        "The first should",
    ),
    (
        "def clean(table):\n    keys = pd.Series([key(r) for r in table.to_dict('records')], index=table.index)\n    kept = table[~keys.duplicated()]\n    return kept[kept.map(lambda v: bool(str(v).strip())).all(axis=1)]",
        "before you look for copies",
    ),
    (
        "def clean(table):\n    keys = table['text'].str.lower().str.split().str.join(' ') if 'text' in table else pd.Series(range(len(table)))\n    full = (keys != '') & (table['label'].str.strip() != '' if 'label' in table else True)\n    return table[full][~keys[full].duplicated()]",
        "three conversations",
    ),
]

# %% [markdown]
# Splits that are clean, drawn with a seed, and written in a fixed order are the same bytes however often the script runs;
# the last row of the figure has shown it. The word for that is **idempotent**, and it is worth more than it sounds. Nobody
# has to remember whether a step has run already. DVC sees equal bytes and skips everything behind it. And if a result
# changes, something real has changed.
#
# One thing is left to do well: the writing itself. A file opened with `"w"` is empty at once, and from then to its last line
# no good file exists. A kill, a full disk, a closed laptop in between, and half of it stays. The cure is older than Python:
# write a second file *beside* the first, and when it is complete, give it the first one's name. Renaming within a folder is
# one step for the operating system. Whoever looks sees the old file or the new one, never anything in between.


# %% tags=["exercise"] exercise="day13/write" answer="write" minutes=8 difficulty=2
# path: a Path; its folder may not be there yet. text: what shall stand in the file, as UTF-8.
# Write it so that a kill at any moment leaves the old file as it was, and leave nothing else
# behind when all went well. `os.replace(one, other)` is the step that cannot be interrupted.
def write(path, text): ...


# <solution>
def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


# </solution>


# %% tags=["check"] exercise="day13/write"
class Killed:
    """While this is open, whatever moves a file dies just before it does."""

    def __enter__(self):
        self.moved = []
        self.kept = (os.replace, os.rename, Path.replace, Path.rename)

        def die(source, target, *args, **options):
            self.moved.append((Path(source), Path(target)))
            raise KeyboardInterrupt

        os.replace = os.rename = Path.replace = Path.rename = die
        return self

    def __exit__(self, kind, *_):
        os.replace, os.rename, Path.replace, Path.rename = self.kept
        return kind is KeyboardInterrupt


def check(answer):
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "data" / "new" / "a.txt"
        try:
            answer(path, "one")
        except FileNotFoundError:
            return "The folder of the file is not there yet, and nobody else will make it."
        if not path.is_file():
            return "Afterwards there is no file at `path`."
        answer(path, "zwei ä")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            text = ""
        if text != "zwei ä":
            return "A second call should replace the text, and write it as UTF-8."
        if left := [other.name for other in path.parent.iterdir() if other != path]:
            return f"When all is done, {left[0]!r} lies beside the file. A copy leaves the original; a move does not."
        with Killed() as killed:
            answer(path, "three")
        if not killed.moved:
            return "It writes into the file itself: whoever is killed half way leaves half a file. Write beside it first, then move."
        if not path.is_file() or path.read_text(encoding="utf-8") != "zwei ä":
            return "A kill just before the move, and the old text is lost already. Until the move the old file must not be touched."
        source, target = killed.moved[0]
        if target != path:
            return "The first move should already put the new text in its place. Between two moves there is no file at all."
        if source.parent != path.parent:
            return "Your second file lies in another folder. That may be another disk, and between disks a move is a copy, which can stop half way. Write it beside the first."
        if source.read_text(encoding="utf-8") != "three":
            return (
                "At the moment of the move the new file is not complete. Is it closed by then?"
            )
    return None


def inputs(draw):
    yield None, "text"
    yield "old", ""
    yield "old, and longer", "ä ö ü, zwei\n"
    yield "x" * 5000, "y" * int(draw.integers(1, 9000))


def trial(answer, old, text):
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "a" / "b" / "c.txt"
        if old is not None:
            path.parent.mkdir(parents=True)
            path.write_text(old, encoding="utf-8")
        with Killed() as killed:
            answer(path, text)
        after = path.read_text(encoding="utf-8") if path.is_file() else None
        answer(path, text)
        whole = (
            path.read_text(encoding="utf-8"),
            [other.name for other in path.parent.iterdir()],
        )
        return after, len(killed.moved), whole


hints = [
    'A name beside the file: `path.with_name(f".{path.name}.part")`.',
    "`path.parent.mkdir(parents=True, exist_ok=True)` makes the folder, and is content if it is there.",
    'Three steps: the folder, `part.write_text(text, encoding="utf-8")`, `os.replace(part, path)`.',
]
misconceptions = [
    (
        "def write(path, text):\n    path.parent.mkdir(parents=True, exist_ok=True)\n    path.write_text(text, encoding='utf-8')",
        "writes into the file itself",
    ),
    (
        "def write(path, text):\n    part = path.with_name('part')\n    part.write_text(text, encoding='utf-8')\n    os.replace(part, path)",
        "nobody else will make it",
    ),
    (
        "def write(path, text):\n    path.parent.mkdir(parents=True, exist_ok=True)\n    part = path.with_name('part')\n    part.write_text(text, encoding='utf-8')\n    path.unlink(missing_ok=True)\n    os.rename(part, path)",
        "old text is lost already",
    ),
    (
        "def write(path, text):\n    path.parent.mkdir(parents=True, exist_ok=True)\n    part = path.with_name('part')\n    part.write_text(text, encoding='utf-8')\n    shutil.copy(part, path)",
        "a move does not",
    ),
    (
        "def write(path, text):\n    path.parent.mkdir(parents=True, exist_ok=True)\n    part = path.parent.parent / 'part'\n    part.write_text(text, encoding='utf-8')\n    os.replace(part, path)",
        "another disk",
    ),
    (
        "def write(path, text):\n    path.parent.mkdir(parents=True, exist_ok=True)\n    part, old = path.with_name('part'), path.with_name('old')\n    part.write_text(text, encoding='utf-8')\n    if path.exists():\n        os.replace(path, old)\n    os.replace(part, path)\n    old.unlink(missing_ok=True)",
        "Between two moves",
    ),
]

# %% [markdown]
# ## A training that may be killed
#
# A training of eight hours is killed in the seventh: the laptop sleeps, the cluster wants its machine back. So the
# `Trainer` saves a **checkpoint** now and then (ours after each epoch): a folder `checkpoint-150`, named after the step,
# with all that is needed to go on. The adapter; the optimizer's memory; where the learning rate is on its way down;
# the state of the random numbers. Last of all it writes `trainer_state.json`.
#
# Last of all: that is your handle. A kill does not wait for the end of a sentence, so the newest folder may be a
# fragment. Which one is the newest *whole* one?


# %% tags=["exercise"] exercise="day13/last-checkpoint" answer="last_checkpoint" minutes=7 difficulty=2
# folder: a Path; in it lie checkpoint-9, checkpoint-10 and so on, or nothing, or it is not
# there. Return the path, as a text, of the checkpoint with the most steps that was written to
# its end: its trainer_state.json is there and not empty. None if there is no such checkpoint.
def last_checkpoint(folder): ...


# <solution>
def last_checkpoint(folder):
    states = folder.glob("checkpoint-*/trainer_state.json")
    whole = [path.parent for path in states if path.stat().st_size]
    newest = max(whole, key=lambda path: int(path.name.partition("-")[2]), default=None)
    return str(newest) if newest else None


# </solution>


# %% tags=["check"] exercise="day13/last-checkpoint"
def trial(answer, checkpoints):
    """Lay out checkpoints, step → content of trainer_state.json, and ask for the last one."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "run"
        for step, state in checkpoints.items():
            (folder / f"checkpoint-{step}").mkdir(parents=True)
            if state is not None:
                (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
        found = answer(folder)
        inside = isinstance(found, str | Path) and Path(found).parent == folder
        return type(found).__name__, Path(found).name if inside else str(found)


def check(answer):
    if trial(answer, {})[1] != "None":
        return "Where there is no checkpoint at all, it should return None. That is how every training begins."
    kind, last = trial(answer, {9: "{}", 10: "{}", 20: None, 30: ""})
    if last == "checkpoint-20":
        return "It takes checkpoint-20, which has no trainer_state.json: the kill came before it was written."
    if last == "checkpoint-30":
        return "It takes checkpoint-30, whose trainer_state.json is empty: the kill came while it was written."
    if last == "checkpoint-9":
        return "It takes checkpoint-9 before checkpoint-10. As texts, '9' comes after '10'; as numbers, it does not."
    if last != "checkpoint-10":
        return f"Of 9 and 10, both whole, and 20 and 30, both fragments, it returns {last}. The folder of checkpoint-10 was wanted."
    if kind != "str":
        return "The right folder, as a Path. The Trainer wants a text: `str(…)`."
    if trial(answer, {5: None})[1] != "None":
        return "If the only checkpoint is a fragment, it should return None."
    return None


def inputs(draw):
    yield {}
    yield {5: ""}
    yield {5: "{}"}
    yield {2: "{}", 10: "{}", 100: "{}", 99: "{}"}
    yield {
        step: ("{}", "", None)[at % 3] for at, step in enumerate(draw.permutation(30)[:7] + 4)
    }
    yield {int(step): "{}" for step in draw.integers(5, 2000, 5)}


hints = [
    '`folder.glob("checkpoint-*/trainer_state.json")` finds the files that end a checkpoint, and nothing where there is no folder.',
    "`path.stat().st_size` is 0 for an empty file. `path.parent` is the checkpoint.",
    '`max(whole, key=lambda path: int(path.name.partition("-")[2]), default=None)`',
]
misconceptions = [
    (
        "def last_checkpoint(folder):\n    found = sorted(folder.glob('checkpoint-*'), key=lambda p: int(p.name[11:]))\n    return str(found[-1]) if found else None",
        "the kill came while it was written",
    ),
    (
        "def last_checkpoint(folder):\n    found = sorted(str(p.parent) for p in folder.glob('checkpoint-*/trainer_state.json') if p.stat().st_size)\n    return found[-1] if found else None",
        "comes after '10'",
    ),
    (
        "def last_checkpoint(folder):\n    found = [p.parent for p in folder.glob('checkpoint-*/trainer_state.json') if p.stat().st_size]\n    return max(found, key=lambda p: int(p.name[11:]), default=None)",
        "as a Path",
    ),
    (
        "def last_checkpoint(folder):\n    found = [p for p in folder.glob('checkpoint-*') if not (p / 'trainer_state.json').is_file() or (p / 'trainer_state.json').stat().st_size]\n    return str(max(found, key=lambda p: int(p.name[11:]))) if found else None",
        "no trainer_state.json",
    ),
    (
        "def last_checkpoint(folder):\n    found = [p.parent for p in folder.glob('checkpoint-*/trainer_state.json') if p.stat().st_size]\n    return str(max(found, key=lambda p: int(p.name[11:]))) if found else ''",
        "should return None",
    ),
]

# %% [markdown]
# ## Numbers with their doubts
#
# <!-- asked: D13-T3 -->
# The third script opens the test split. It scores each answer of the fine-tuned model, and beside it that of something
# simple, and writes `metrics.json` for machines and `report.md` for people. A single number in there would be a boast. The
# project has a function that gives an interval, by drawing the test set anew many times (the bootstrap of Day 3):


# %%
def interval(values, resamples):
    """Where the mean would lie for 95 of 100 other test sets."""
    draw = np.random.default_rng(0)
    means = draw.choice(values, (resamples, len(values))).mean(axis=1)
    return tuple(float(end) for end in np.quantile(means, (0.025, 0.975)))


print(interval(np.array([1.0] * 70 + [0.0] * 30), 2000))

# %% [markdown]
# Two models, then, and both answered the *same* items. Most items are easy for both or hard for both, and whatever the two
# have in common says nothing about which is better.


# %% tags=["exercise"] exercise="day13/measured" answer="measured" minutes=9 difficulty=2
# table: one row for each test item, with the columns score and baseline_score, from 0 to 1.
# Return a dictionary with score, score_low, score_high (mean and interval), baseline (mean),
# gain, gain_low, gain_high (how much better the score is, item by item) and examples, the
# number of rows. Plain numbers: json.dumps must be able to write them. `interval` does the
# drawing.
def measured(table, resamples): ...


# <solution>
def measured(table, resamples):
    score = table["score"].to_numpy()
    gain = score - table["baseline_score"].to_numpy()
    names = ("score_low", "score_high", "gain_low", "gain_high")
    ends = (*interval(score, resamples), *interval(gain, resamples))
    return {
        "score": float(score.mean()),
        "baseline": float(table["baseline_score"].mean()),
        "gain": float(gain.mean()),
        "examples": len(table),
    } | dict(zip(names, ends, strict=True))


# </solution>


# %% tags=["check"] exercise="day13/measured"
KEYS = {
    "score",
    "score_low",
    "score_high",
    "baseline",
    "gain",
    "gain_low",
    "gain_high",
    "examples",
}


def alike(draw, size=400):
    """Two models that nearly always agree: half of the items are hard for both."""
    easy = draw.random(size) < 0.5
    columns = [np.where(draw.random(size) < 0.02, ~easy, easy) for _ in range(2)]
    return pd.DataFrame(dict(zip(("score", "baseline_score"), columns, strict=True))).astype(
        float
    )


def check(answer):
    table = alike(np.random.default_rng(1))
    found = answer(table, 300)
    if not isinstance(found, dict) or set(found) != KEYS:
        return f"Return a dictionary with exactly these keys: {', '.join(sorted(KEYS))}."
    if strange := [name for name, value in found.items() if not isinstance(value, int | float)]:
        return f"`{strange[0]}` is a {type(found[strange[0]]).__name__}, which json.dumps refuses. Make plain numbers of them: float(…)."
    score, base = table["score"], table["baseline_score"]
    if found["examples"] != len(table):
        return "`examples` is the number of rows."
    if abs(found["score"] - score.mean()) > 1e-9 or abs(found["baseline"] - base.mean()) > 1e-9:
        return "`score` and `baseline` are the means of their columns."
    if abs(found["gain"] + (score - base).mean()) < 1e-9:
        return "The gain has the wrong sign: the fine-tuned model's score minus the baseline's."
    wide = interval(score.to_numpy(), 300)
    if abs((found["gain_high"] - found["gain_low"]) - (wide[1] - wide[0])) < 1e-9:
        return "The interval of the gain is only that of the score, moved. It ignores that both models met the same items: take the difference of each item first, then the interval."
    if found["gain_high"] - found["gain_low"] > 1.2 * (wide[1] - wide[0]):
        return "The interval of the gain is far too wide: you set the two models' intervals against each other. They answered the same items, so take the difference item by item first."
    if not found["score_low"] <= found["score"] <= found["score_high"]:
        return "The interval of the score does not hold the score."
    return None


def inputs(draw):
    yield alike(draw), 200
    yield alike(draw, 30), 100
    yield pd.DataFrame({"score": [1.0, 0.0, 0.5], "baseline_score": [0.0, 0.0, 1.0]}), 150
    yield pd.DataFrame({"score": draw.random(60), "baseline_score": draw.random(60)}), 250


hints = [
    'One column of differences, `gain = table["score"] - table["baseline_score"]`, and all three numbers about the gain come from it.',
    "`low, high = interval(gain.to_numpy(), resamples)`, and the same for the score.",
    "`float(gain.mean())`, `len(table)`.",
]
misconceptions = [
    (
        "def measured(table, resamples):\n    s, b = table['score'], table['baseline_score']\n    (l, h), (x, y) = interval(s.to_numpy(), resamples), interval(b.to_numpy(), resamples)\n    return {'score': float(s.mean()), 'score_low': l, 'score_high': h, 'baseline': float(b.mean()), 'gain': float(s.mean() - b.mean()), 'gain_low': l - y, 'gain_high': h - x, 'examples': len(table)}",
        "far too wide",
    ),
    (
        "def measured(table, resamples):\n    s, b = table['score'], float(table['baseline_score'].mean())\n    l, h = interval(s.to_numpy(), resamples)\n    return {'score': float(s.mean()), 'score_low': l, 'score_high': h, 'baseline': b, 'gain': float(s.mean()) - b, 'gain_low': l - b, 'gain_high': h - b, 'examples': len(table)}",
        "only that of the score, moved",
    ),
    (
        "def measured(table, resamples):\n    s, b = table['score'].astype('float32'), table['baseline_score']\n    (l, h), (x, y) = interval(s.to_numpy(), resamples), interval((s - b).to_numpy(), resamples)\n    return {'score': s.to_numpy().mean(), 'score_low': l, 'score_high': h, 'baseline': b.mean(), 'gain': (s - b).mean(), 'gain_low': x, 'gain_high': y, 'examples': len(table)}",
        "json.dumps refuses",
    ),
    (
        "def measured(table, resamples):\n    s, b = table['score'], table['baseline_score']\n    (l, h), (x, y) = interval(s.to_numpy(), resamples), interval((b - s).to_numpy(), resamples)\n    return {'score': float(s.mean()), 'score_low': l, 'score_high': h, 'baseline': float(b.mean()), 'gain': float((b - s).mean()), 'gain_low': x, 'gain_high': y, 'examples': len(table)}",
        "wrong sign",
    ),
    (
        "def measured(table, resamples):\n    return {'score': float(table['score'].mean()), 'baseline': float(table['baseline_score'].mean())}",
        "exactly these keys",
    ),
]

# %% [markdown]
# ## Into your files
#
# Now leave the notebook. Open your project in an editor: VS Code, say, or one more JupyterLab, which the command below
# starts from a terminal. Move each function to the place that waits for it, and look around there before you do: who calls
# it, what stands above it?

# %%
PLACES = (
    "files",
    "config",
    "data/prepare_finetuning_data",
    "models/checkpoints",
    "evaluation/summary",
)
FILES = [f"src/{name}.py" for name in PLACES]
print(sys.executable, "-m jupyter lab", mine)
for name in FILES:
    print(f"{name}:", (mine / name).read_text(encoding="utf-8").splitlines()[0].strip('"'))

# %% [markdown]
# The sixth you write there at once, without a net: `fingerprint` in `src/models/checkpoints.py`. It guards the door that you
# have just opened. A killed training may go on from its checkpoint, but only if nothing has changed since. With another
# learning rate, or other texts, what comes out would be neither the old model nor the new. So each training keeps its
# checkpoints in a folder of its own, and the folder's name is a fingerprint of everything that a training reads:
#
# - the sections `task`, `model` and `finetune` of the settings, and no others: the number of resamples does not touch the
#   training. `chosen.model_dump_json(include={…})` gives them as text;
# - the bytes of `data/finetuning/train.jsonl` and `validation.jsonl`: `Path(…).read_bytes()`.
#
# `hashlib.sha256(…).hexdigest()` makes a name of it, and twelve digits are enough. (Not Python's own `hash`: it gives
# another number in each process, on purpose.)
#
# Save, and let the project be judged. ○ is not written yet, ✘ comes with a reason. Run the cell as often as you like (in a
# terminal: `lab project check`). After an attempt, `print(production.reference(mine, "src/files.py"))` shows our version.

# %%
right_so_far = production.check(mine, "day13")

# %% [markdown]
# From here on the finished project runs *your* code where it is right, and ours where you have written nothing.

# %%
if right_so_far:
    for name in FILES:
        shutil.copy(mine / name, ours / name)
    production.fill(ours, "day14")
else:
    print(
        "Something above has a ✘, so the rest runs with our code. Nothing in yours was changed."
    )

# %% [markdown]
# ## Run, kill, run again
#
# Settings of its own for today, in a file of its own: that is what the one argument is for.

# %%
today = yaml.safe_load((ours / "params.yaml").read_text(encoding="utf-8"))
today["prepare"]["rows"] = settings.pick(smoke=60, cpu=1000)
today["finetune"]["epochs"] = settings.pick(smoke=2, cpu=3)
(ours / "today.yaml").write_text(yaml.safe_dump(today), encoding="utf-8")
TODAY = ("--params", "today.yaml")
run("-m", "src.data.prepare_finetuning_data", *TODAY)

# %%
run("-m", "src.models.finetune", *TODAY)
adapter = ours / "models" / "adapter" / "adapter_model.safetensors"
undisturbed = load_file(adapter)

# %% [markdown]
# The first line it says is the one that you will look for in a year: the seed, and the versions of everything that can change
# a result. They went to MLflow as well, with the settings, the commit and the fingerprint.
#
# Now the same again, and this time we kill it. `kill` sends the one signal that no program can catch: no last word, no tidying
# up, like a plug that is pulled. We wait only until one checkpoint is whole.

# %%
differ_guess = widgets.predict(
    "day13-differ",
    "Killed, then gone on: how many of the adapter's numbers will differ from those above?",
    0,
    100,
    "%",
)


# %%
def whole():
    states = ours.glob("models/checkpoints/*/checkpoint-*/trainer_state.json")
    return [path.parent for path in states if path.stat().st_size]


command = [sys.executable, "-m", "src.models.finetune", *TODAY]
with open(Path(place.name) / "killed.txt", "w", encoding="utf-8") as said:
    training = subprocess.Popen(
        command, cwd=ours, env=environment, stdout=said, stderr=subprocess.STDOUT
    )
    while training.poll() is None and not whole():
        time.sleep(0.02)
    training.kill()
print("exit code", training.wait())

# %% [markdown]
# Minus nine: it did not end, it was ended, by signal 9. (Windows counts otherwise.) What does it leave behind? The files in
# the order in which they were written:

# %%
for path in sorted(whole()[0].iterdir(), key=lambda path: path.stat().st_mtime_ns):
    print(f"{path.stat().st_size:>10,} bytes  {path.name}")

# %% [markdown]
# The adapter is small. The optimizer's memory is about twice its size, two numbers for each weight; without it the training
# would stumble at the seam. And `trainer_state.json` really is the last.
#
# Somebody else believes in the dead as well:

# %%
mlflow.set_tracking_uri(f"sqlite:///{ours / 'mlflow.db'}")
columns = [
    "status",
    "params.finetune.learning_rate",
    "params.finetune.seed",
    "params.versions.torch",
]
runs = mlflow.search_runs(search_all_experiments=True, order_by=["start_time"])
print(runs[columns].to_string())

# %% [markdown]
# A killed process cannot report its death, so MLflow says RUNNING, for ever. (`tracking.abandoned` and `tracking.close` of
# Day 11 find and close such runs.)
#
# And if the settings change before somebody goes on? Ask your fingerprint:

# %%
other = today | {"finetune": today["finetune"] | {"learning_rate": 0.002}}
(ours / "other.yaml").write_text(yaml.safe_dump(other), encoding="utf-8")
ASK = """
import pathlib, sys
from src import config
from src.models import checkpoints
for name in sys.argv[1:]:
    print(checkpoints.fingerprint(config.load(pathlib.Path(name))), name)
"""
print(python("-c", ASK, "today.yaml", "other.yaml").stdout)
print("the checkpoint lies in", whole()[0].parent.name)

# %% [markdown]
# Another name, another folder, so it would begin at the beginning. With the old settings it goes on:

# %%
run("-m", "src.models.finetune", *TODAY)

# %%
resumed = load_file(adapter)
numbers = sum(value.size for value in undisturbed.values())
differ = sum(int((undisturbed[name] != resumed[name]).sum()) for name in undisturbed)
gap = max(float(abs(undisturbed[name] - resumed[name]).max()) for name in undisturbed)
differ_guess.compare(100 * differ / numbers)
print(f"{differ:,} of {numbers:,} numbers differ; the largest difference is {gap:.1g}")
tracking.record("resumed_gap", gap)

# %% [markdown]
# As if nothing had happened. Weights, optimizer, learning rate, random numbers, the order of the data: all of it went on
# where it was. (On a graphics card, and now and then with several threads, sums are added in another order, and the last digits
# may differ even between two undisturbed runs.)
#
# Now the judge.

# %%
run("-m", "src.evaluation.evaluate", *TODAY)
print("\n" + (ours / "report.md").read_text(encoding="utf-8").partition("## The worst")[0])
found = json.loads((ours / "metrics.json").read_text(encoding="utf-8"))
tracking.record("test_accuracy", found["score"])

# %% [markdown]
# A short training on few texts, so do not expect much; Day 14 gives it its full data. But look at the sentence under the table.
# The script wrote it from the interval of the gain, and it would have written the other one just as readily.
#
# ## Each one alone, and once in the wrong
#
# <!-- asked: D13-T4 -->
# `prepare` has had its eight bad days. Now the other two. On the bench no adapter lies, and we take the data away:

# %%
shutil.rmtree(bench / "data" / "finetuning")
began = time.perf_counter()
run("-m", "src.models.finetune", folder=bench)
run("-m", "src.evaluation.evaluate", folder=bench)
run("-m", "src.evaluation.evaluate", "--params", "tomorrow.yaml", folder=bench)
run("-m", "src.models.finetune", "--rate", "0.1", folder=bench)
print(f"\nfour mistakes in {time.perf_counter() - began:.1f} seconds")

# %% [markdown]
# Each line names what is missing, and the next command. And they came at once. The libraries of a training take many
# seconds to load, so the scripts load them only after all that can be checked without them: settings, files, arguments.
# Look into `src/models/finetune.py`: the imports stand *inside* the functions, with a comment that says why.
#
# The same three scripts run in two more places, and neither has a person in front of it. DVC calls them, as stages. And a
# **CI** service (continuous integration: a fresh machine that runs a list of commands after each push) looks whether the
# project still stands. Here is its list:

# %%
workflow = yaml.safe_load((ours / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
steps = [step["run"] for step in workflow["jobs"]["tests"]["steps"] if "run" in step]
print("\n".join(steps))

# %% [markdown]
# The first installs what `requirements.txt` pins. The other two we can play here: the project's own tests, and whether DVC
# can read the pipeline (`--dry` runs nothing).

# %%
run("-m", *steps[1].split(), "-q", "-p", "no:cacheprovider")
run("-m", *steps[2].split())

# %% [markdown]
# The commands behind `>` are those you have typed all day. No second version for the pipeline, no third one for CI: three
# programs, three callers, and all that passes between them is files and an exit code.
#
# ## What you saw

# %%
for program in PROGRAMS:
    found_ends = [tried[case, program][0] for case in EIGHT]
    print(f"{program:9}", {end: found_ends.count(end) for end in ends})
print(f"killed and gone on: {differ:,} of {numbers:,} numbers differ")
print("test accuracy {score:.3f} ({score_low:.3f} to {score_high:.3f})".format(**found))

# %% [markdown]
# A good script is not one that never fails. It fails early, in one line, with the old results still in their place. And it
# is content to be run again.
#
# Tomorrow your three scripts become one pipeline. Commit them before that, in your project: `git add --all`, then
# `git commit -m "Three scripts"`. Then whatever the pipeline changes can be seen, and taken back.
#
# One sentence for your journal: which of the eight has happened to you, and how long did it take to find?

# %%
my_words = ...  # for example: "A renamed column. Two days, as it crashed in another script."
entry = f"Of {len(EIGHT)} mishaps the notebook hid {silent[0]}, the script {silent[1]}."
progress.write_journal("day13", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %%
if not settings.is_interactive():
    place.cleanup()  # a run by machine leaves nothing behind

# %% tags=["quiz"]
quiz = [
    {
        "question": "A script catches its error, prints 'ERROR: no data', and ends. Nothing else. What does the pipeline do?",
        "choices": [
            (
                "It stops: the text says ERROR.",
                "Nobody reads the text. A pipeline looks at the exit code, and that is 0.",
                False,
            ),
            (
                "It goes on with the next stage, on whatever lies there.",
                "A script that ends normally has exit code 0, which means: all is well.",
                True,
            ),
            (
                "It runs the script again.",
                "Only if somebody told it to, and then because of an exit code, not of a sentence.",
                False,
            ),
        ],
        "proof": (
            "import subprocess, sys\n"
            'code = \'try:\\n    open("none")\\nexcept OSError:\\n    print("ERROR: no data")\'\n'
            "assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode == 0\n"
        ),
    },
    {
        "question": "`python -m src.data.export > rows.jsonl`: the script writes rows to stdout and tells its progress with print. What happens?",
        "choices": [
            (
                "The progress appears on the screen, the rows go to the file.",
                "That is what logging would do, which writes to stderr. print and the rows share one channel.",
                False,
            ),
            (
                "The progress stands in the file, among the rows.",
                "Whoever reads the file next stumbles over a line that is no row. Logging goes to stderr for that reason.",
                True,
            ),
            (
                "Python refuses to mix the two.",
                "It cannot know which text is a result. Only you know.",
                False,
            ),
        ],
        "proof": (
            "import subprocess, sys\n"
            'code = \'import logging\\nlogging.warning("half way")\\nprint("row")\'\n'
            "done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)\n"
            "assert done.stdout.strip() == 'row' and 'half way' in done.stderr\n"
        ),
    },
    {
        "question": "Why does `write` put its second file beside the first, and not into the system's folder for temporary files?",
        "choices": [
            (
                "The temporary folder is too small.",
                "It may be, but that is not the point. A file of one byte would have the same trouble.",
                False,
            ),
            (
                "It may lie on another disk, and moving between disks is a copy.",
                "A copy can stop half way; a rename within one disk cannot. `os.replace` even refuses to go from disk to disk.",
                True,
            ),
            (
                "Others could read it there.",
                "True of some folders, and worth a thought. But the promise of `write` is about being whole.",
                False,
            ),
        ],
    },
    {
        "question": "A training was killed. You lower the learning rate and start it again. What should happen to the old checkpoint?",
        "choices": [
            (
                "The training goes on from it: the work would be lost otherwise.",
                "What comes out was trained half with one rate and half with another, and no settings file describes it.",
                False,
            ),
            (
                "It is left alone, and the training starts from the beginning.",
                "Other settings, another fingerprint, another folder. Set the rate back, and the old one goes on.",
                True,
            ),
            (
                "It is deleted at once.",
                "Why? You may want to return to the old settings. A successful run tidies up in the end.",
                False,
            ),
        ],
    },
    {
        "question": "Where should the learning rate stand?",
        "choices": [
            (
                "As a default in the function, where it is used.",
                "There it is found last, and the same number soon stands in two functions.",
                False,
            ),
            (
                "In params.yaml, once, with a check when it is read.",
                "One place to change, one to log, one that DVC watches. And `2e-4` is stopped at the door.",
                True,
            ),
            (
                "On the command line: `--learning-rate 2.0e-4`.",
                "Handy for an evening. In a month nobody knows what was typed.",
                False,
            ),
            (
                "In an environment variable.",
                "Invisible to git and to DVC: the third silence of Day 12.",
                False,
            ),
        ],
        "proof": (
            "import yaml\n"
            "assert isinstance(yaml.safe_load('2e-4'), str)\n"
            "assert yaml.safe_load('2.0e-4') == 2e-4\n"
        ),
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Break your own project in a ninth way, one that has really happened to you, and see which of the four endings it takes. If it
#   is silence, write a test for it in `tests/test_data.py`.
# - `python -m src.models.finetune > training.log 2>&1 &` runs on when you close the terminal's window. What tells you in the
#   morning how it ended? (Its exit code is gone. MLflow's status is not.)
# - [What broke in my pipeline](../../curriculum/guides/broken_pipeline.md): symptom, cause, cure. And
#   [project structure](../../curriculum/guides/project_structure.md) has the four steps from notebook to script on one page.
