# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from labhelpers import exercise, plots, production, progress, quiz, settings, tracking, widgets

lab = settings.start("day20")

# %% [markdown]
# ## Why today matters
#
# Your model is trained, judged, registered, tested and served. It is *nearly* finished, and nearly finished looks the
# same to a stranger as not begun: she opens the repository, reads for two minutes, tries one command, and leaves or
# stays. Those two minutes are today's work. There will be a stopwatch.
#
# She is patient. She clones the repository, fetches the data, and wants one answer from the model. On your machine, with
# all packages installed: how many seconds pass from `git clone` to her first answer?

# %%
seconds_guess = widgets.predict(
    "day20-seconds", "From git clone to the first answer", 0, 600, "seconds"
)

# %% [markdown]
# The helper of Days 12 and 14 once more: it runs a command in a folder and prints what the command says.

# %%
project = production.ready("day20")
environment = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "NO_COLOR": "1",
    "COLUMNS": "110",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}
environment.pop("FORCE_COLOR", None)


# %%
def listen(command, folder=project):
    """Run one command and return what it says, and whether it went well."""
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    said = "\n".join(line for line in done.stdout.splitlines() if line.strip())
    return said, done.returncode == 0


def run(command, folder=project):
    said, _ = listen(command, folder)
    print(f"$ {command}" + (f"\n{said}" if said else ""))


# %% [markdown]
# First the state of things. `dvc repro` runs what is not up to date; after the work of this month that may be nothing, in
# a fresh project it is everything.

# %%
said_by, fine = listen("dvc repro --quiet")
assert fine, said_by
score = json.loads((project / "metrics.json").read_text(encoding="utf-8"))
print(json.dumps(score, indent=1))

# %% [markdown]
# ## README, examples and results
#
# <!-- asked: D20-T1 -->
# These are the numbers that you will show. Look at the first one: sixteen digits. How many of them mean anything?
#
# The interval says it. If other test texts could have moved the score by four hundredths, then the thousandths are
# noise, and printing them claims a precision that you have not got. A rule from the physics laboratory: **show as many
# decimals as it takes to see the first digit of the uncertainty**, here of half the interval's width.


# %% tags=["exercise"] exercise="day20/shown" answer="shown" minutes=9 difficulty=2
# A value with its interval as text: "0.74 (0.70 to 0.78)". As many decimals, for all three, as
# it takes to see the first digit of half the interval's width: 0.04 needs two, 0.004 three,
# 3.2 none. At least 0, at most 6; three where the interval has no width at all.
def shown(value, low, high): ...


# <solution>
def shown(value, low, high):
    import math

    half = (high - low) / 2
    decimals = min(6, max(0, -math.floor(math.log10(half)))) if half > 0 else 3
    return f"{value:z.{decimals}f} ({low:z.{decimals}f} to {high:z.{decimals}f})"


# </solution>


# %% tags=["check"] exercise="day20/shown"
def check(answer):
    cases = {
        (0.74167, 0.7012, 0.7811): "0.74 (0.70 to 0.78)",
        (0.74167, 0.7376, 0.7452): "0.742 (0.738 to 0.745)",
        (71.3, 68.2, 74.6): "71 (68 to 75)",
    }
    said = {case: answer(*case) for case in cases}
    if any(not isinstance(each, str) for each in said.values()):
        return "Return a text, such as '0.74 (0.70 to 0.78)'."
    first, second = list(said.values())[:2]
    if first.count(".") < 3 and "0.74" in first:
        return f"For a score of 0.74167 you say {first!r}. All three numbers get the same decimals: value (low to high)."
    if first == "0.742 (0.701 to 0.781)":
        return "Three decimals for every score? Half of that interval is 0.04: its first digit is a hundredth, so two decimals are what it deserves."
    if first == "0.7 (0.7 to 0.8)":
        return "One decimal too few: the first digit of 0.04 stands at the *second* place behind the dot."
    if second == "0.74 (0.74 to 0.75)":
        return "A narrow interval deserves more: half of 0.7376 to 0.7452 is 0.004, and two decimals would hide it."
    for case, wanted in cases.items():
        if said[case] != wanted:
            return f"For {case} you say {said[case]!r}, and {wanted!r} would be right."
    try:
        flat = answer(0.5, 0.5, 0.5)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        return f"An interval without any width stops it ({error}). A model that is right every time gives one: then three decimals."
    return (
        None
        if flat == "0.500 (0.500 to 0.500)"
        else f"Without any width you say {flat!r}; three decimals then."
    )


def inputs(draw):
    yield 0.9, 0.9, 0.9
    yield 0.123456789, 0.123456, 0.123457
    yield 250.0, 100.0, 400.0
    for _ in range(12):
        width = float(10 ** draw.uniform(-5, 2))
        middle = float(draw.uniform(-1, 1) * 100)
        yield middle, middle - width * 0.8, middle + width


def agrees(expected, found):
    def plain(text):
        return re.sub(r"-(0(\.0*)?)(?![.\d])", r"\1", text)  # -0.0 is 0.0

    return plain(expected) == plain(found)


hints = [
    "`math.log10(0.04)` is -1.4. Rounded down, that is -2: minus the number of decimals.",
    "A half of 3.2 gives `math.floor(math.log10(3.2))` = 0, of 40 gives 1, and -1 decimals do not exist: `max(0, …)`.",
    'The number of decimals may itself be a variable: `f"{value:.{decimals}f}"`.',
]
misconceptions = [
    (
        "def shown(value, low, high):\n    return f'{value:.3f} ({low:.3f} to {high:.3f})'",
        "Three decimals for every score",
    ),
    (
        "def shown(value, low, high):\n    return f'{value:.2f} ({low:.2f} to {high:.2f})'",
        "would hide it",
    ),
    (
        "def shown(value, low, high):\n    import math\n    d = max(0, -math.ceil(math.log10((high - low) / 2)))\n    return f'{value:.{d}f} ({low:.{d}f} to {high:.{d}f})'",
        "One decimal too few",
    ),
    (
        "def shown(value, low, high):\n    import math\n    d = max(0, -math.floor(math.log10((high - low) / 2)))\n    return f'{value:.{d}f} ({low:.{d}f} to {high:.{d}f})'",
        "without any width stops it",
    ),
]

# %%
print("score:", shown(score["score"], score["score_low"], score["score_high"]))
print("gain: ", shown(score["gain"], score["gain_low"], score["gain_high"]))

# %% [markdown]
# ### The numbers by code, the words by you
#
# A number that is copied into a README is right until the next training. (You saw that on Day 14.) So `src/publish.py`
# writes every page that shows a number. It reads `metrics.json`, `params.yaml` and `dvc.lock`, and fills templates.
# Its one gap is the function that you have just written:

# %%
place = project / "src" / "publish.py"
source = place.read_text(encoding="utf-8")
print(source[source.index("def shown") : source.index("def words")])

# %% [markdown]
# Put your version there, in an editor, with its `import math` already at the top of the file. What is still open when
# you go on is filled by ours.
#
# What no code can write stands in `docs/words.yaml`: nine sentences. Whom does the model serve, and whom must it not
# judge? Who wrote the texts, and may you use them? A reviewer asks these first, and a repository without answers is a
# toy, however good its score.

# %%
filled = production.fill(project, "day21")
print("filled by ours:", ", ".join(filled) or "nothing")
words_file = project / "docs" / "words.yaml"
print(words_file.read_text(encoding="utf-8"))

# %% [markdown]
# Write them. For the course's own reviews you know all the facts: Day 3 and Weekend 3 have them. For your own texts, only
# you do. One rule: **no number**. A number in a sentence is a copy, and `src.publish` has the original.


# %% tags=["exercise"] exercise="day20/words" answer="sentences" minutes=16 difficulty=1
# A dictionary with the nine names that you see above. Each value is a sentence of at least
# three words, without digits, but for texts_licence and model_licence: those are short, and
# model_licence is the SPDX name in small letters, such as "mit", "apache-2.0", "cc-by-4.0".
# A title may be short, too. "not_for" must name something: nothing is for everything.
sentences = ...
# <solution>
sentences = {
    "title": "Short reviews, good or bad",
    "purpose": "It tells whether one sentence of a review praises or complains.",
    "users": "Somebody who sorts many reviews and reads the doubtful ones.",
    "not_for": "Decisions about a person, other languages, whole articles.",
    "texts_from": "Sentences of English film, shop and restaurant reviews, by Kotzias.",
    "texts_licence": "CC BY 4.0",
    "personal_data": "Public reviews without author names; a mask was run on them.",
    "model_licence": "mit",
    "next_step": "Label some hundred sentences from the place where it will be used.",
}
# </solution>


# %% tags=["check"] exercise="day20/words"
def check(answer):
    names = ["title", "purpose", "users", "not_for", "texts_from", "texts_licence"]
    names += ["personal_data", "model_licence", "next_step"]
    if not isinstance(answer, dict):
        return "Write a dictionary: nine names, nine sentences."
    if missing := [name for name in names if name not in answer]:
        return f"`{missing[0]}` is missing. Its sentence is one that a reader looks for."
    if strange := sorted(set(answer) - set(names)):
        return f"No page has a place for `{strange[0]}`."
    for name in names:
        text = answer[name]
        if not isinstance(text, str) or not text.strip(" ….?"):
            return f"`{name}` is still open."
        free = name in ("title", "texts_licence", "model_licence")
        if not free and len(text.split()) < 3:
            return f"`{name}` is {text!r}. Three words are the least that says something."
        if not free and re.search(r"\d", text):
            return f"There is a number in `{name}`. It is right today; publish.py would keep it right."
    known = (
        "mit apache-2.0 bsd-3-clause bsd-2-clause cc-by-4.0 cc-by-sa-4.0 cc0-1.0 cc-by-nc-4.0"
    )
    known += " gpl-3.0 lgpl-3.0 mpl-2.0 openrail unlicense other"
    if answer["model_licence"] not in known.split():
        return f"`model_licence` is {answer['model_licence']!r}. Machines read it: the SPDX name in small letters, such as mit or apache-2.0."
    if re.match(r"(nothing|none|no\b|everything|n/a)", answer["not_for"].strip().lower()):
        return "`not_for`: no model is for everything. What would hurt somebody if this one were wrong?"
    return None


hints = [
    "Ask for `not_for`: who would be hurt by a wrong answer, and for which texts was it never tried?",
    "The texts' licence stands in the guide to data: `curriculum/guides/data.md`.",
]
misconceptions = [
    (
        "sentences = {n: 'One sentence of mine.' for n in ('title', 'purpose', 'users', 'texts_from', 'texts_licence', 'personal_data', 'model_licence', 'next_step')}",
        "is missing",
    ),
    (
        "sentences = {n: 'One sentence of mine.' for n in ('title', 'purpose', 'users', 'not_for', 'texts_from', 'texts_licence', 'personal_data', 'next_step')} | {'model_licence': 'MIT License'}",
        "Machines read it",
    ),
    (
        "sentences = {n: 'One sentence of mine.' for n in ('title', 'purpose', 'users', 'texts_from', 'texts_licence', 'personal_data', 'next_step')} | {'model_licence': 'mit', 'not_for': 'Nothing I can think of.'}",
        "for everything",
    ),
    (
        "sentences = {n: 'One sentence of mine.' for n in ('title', 'users', 'not_for', 'texts_from', 'texts_licence', 'personal_data', 'next_step')} | {'model_licence': 'mit', 'purpose': 'It is right for 81 % of reviews.'}",
        "is a number in",
    ),
    (
        "sentences = {n: '…' for n in ('title', 'purpose', 'users', 'not_for', 'texts_from', 'texts_licence', 'personal_data', 'model_licence', 'next_step')}",
        "still open",
    ),
]

# %% [markdown]
# Into the file with them, unless something of yours stands there already, and print:

# %%
said = yaml.safe_load(words_file.read_text(encoding="utf-8"))
said = {key: text if text.strip(" ….") else sentences[key] for key, text in said.items()}
words_file.write_text(yaml.safe_dump(said, sort_keys=False, width=100), encoding="utf-8")
run("python -m src.publish")
card = (project / "docs" / "model_card.md").read_text(encoding="utf-8")
print(card[:1100])

# %% [markdown]
# The lines between the dashes are for machines. This is the format of the Hugging Face Hub, made by its own library
# (`ModelCard`, `EvalResult`): whoever uploads the folder gets a page with task, base model and score filled in. The rest
# is for people.
#
# ### Examples that run
#
# The README needs one example of use that works when pasted. How does anybody know that it works? By running it. So:
# fetch the code out of the page.


# %% tags=["exercise"] exercise="day20/blocks" answer="blocks" minutes=9 difficulty=2
# Return the code of each fenced block of a language, in order, without the fences. A block
# begins with a line ```python (the language right behind the three ticks, maybe more words
# after a blank) and ends with a line ``` of three ticks alone.
def blocks(markdown, language): ...


# <solution>
def blocks(markdown, language):
    found, inside, lines = [], None, []
    for line in markdown.splitlines():
        if inside is None and line.startswith("```"):
            inside, lines = (line[3:].split() or [""])[0], []
        elif inside is not None and line.rstrip() == "```":
            if inside == language:
                found.append("\n".join(lines))
            inside = None
        elif inside is not None:
            lines.append(line)
    return found


# </solution>


# %% tags=["check"] exercise="day20/blocks"
def check(answer):
    tick = "`" * 3
    page = f"Text\n{tick}bash\nls\n{tick}\n\n{tick}python title\na = 1\n\nb = 2\n{tick}\n{tick}\nplain\n{tick}\n{tick}python\nc = 3\n{tick}\n"
    found = answer(page, "python")
    if found is None:
        return "The function returns nothing. Did it end without `return`?"
    if isinstance(found, str):
        return "Return a list, one text for each block: a page may have several."
    found = list(found)
    if len(found) == 1 and "c = 3" in found[0] and "a = 1" not in found[0]:
        return "A block whose first line says more than the language, `python title`, was passed over."
    if any("ls" in block for block in found):
        return "The block in bash came along. Which language was asked for?"
    if any("plain" in block for block in found):
        return "A block without any language came along. Its opening line looks like a closing one: keep in mind whether you are inside."
    if any(tick in block for block in found):
        return "The fences are still there. Python would stumble over three ticks."
    if found and found[0] == "a = 1":
        return "The first block ends at its empty line. Only a line of three ticks ends it."
    if found != ["a = 1\n\nb = 2", "c = 3"]:
        return f"For a page with two blocks of Python you return {found}."
    longer = answer(f"{tick}pythonic\nx\n{tick}", "python")
    return "`pythonic` is another language than `python`." if list(longer) else None


def inputs(draw):
    tick = "`" * 3
    yield "", "python"
    yield f"{tick}bash\n{tick}\n", "bash"
    for _ in range(8):
        parts = []
        for number in range(int(draw.integers(1, 5))):
            language = ["python", "bash", "", "python title"][int(draw.integers(0, 4))]
            body = "\n".join(["x = 1", "", "    y", "# `z`"][: int(draw.integers(1, 5))])
            parts.append(f"Some words {number}.\n\n{tick}{language}\n{body}\n{tick}\n")
        yield "\n".join(parts), ["python", "bash"][int(draw.integers(0, 2))]


hints = [
    "Go line by line, and remember two things: are you inside a block, and in which language?",
    'The language is the first word behind the ticks: `(line[3:].split() or [""])[0]`.',
]
misconceptions = [
    (
        "def blocks(markdown, language):\n    import re\n    return re.findall('```' + language + r'\\n(.*?)\\n```', markdown, re.S)",
        "was passed over",
    ),
    (
        "def blocks(markdown, language):\n    parts = markdown.split('```')[1::2]\n    return [part.partition('\\n')[2].rstrip('\\n') for part in parts if not part.startswith('bash')]",
        "without any language",
    ),
    (
        "def blocks(markdown, language):\n    parts = markdown.split('```')[1::2]\n    return [part.partition('\\n')[2].rstrip('\\n') for part in parts]",
        "in bash came along",
    ),
    (
        "def blocks(markdown, language):\n    import re\n    return ['\\n\\n'.join(re.findall('```' + language + r'[^\\n]*\\n(.*?)\\n```', markdown, re.S))][0]",
        "Return a list",
    ),
]

# %% [markdown]
# Now an example for your README. It asks the model by the very function that judged it, so the example cannot drift
# away from the report:

# %%
ticks = "`" * 3
usage = f"""
## Ask it something

{ticks}python
from pathlib import Path

from src import config
from src.models import answers

settings = config.load(Path("params.yaml"))
print(answers.labels(["A fine film, well told."], settings.model.max_length))
{ticks}
"""
readme = project / "README.md"
text = readme.read_text(encoding="utf-8")
if "## Ask it something" not in text:
    readme.write_text(f"{text.rstrip()}\n{usage}", encoding="utf-8")

# %%
for code in blocks(readme.read_text(encoding="utf-8"), "python"):
    said_by, fine = listen(f"python -c {shlex.quote(code)}")
    print("works" if fine else "BROKEN", "→", said_by.splitlines()[-1])
tracking.record("example_works", float(fine))

# %% [markdown]
# If it is broken, be glad: you are the first who pasted it. (There is no `answers` in `src.models`; the file lies in
# `src/evaluation`. Somebody wrote the line from memory.) Every README that nobody runs
# has a line like this one. Mended, it gets its proof later today: the stranger will paste it.

# %%
text = readme.read_text(encoding="utf-8")
mended = text.replace("from src.models import answers", "from src.evaluation import answers")
readme.write_text(mended, encoding="utf-8")
print(*blocks(mended, "python"), sep="\n\n")

# %% [markdown]
# ## Clean the code
#
# <!-- asked: D20-T2 -->
# Code that nobody calls is read by everybody. It is also never tested, so it is the first that breaks. `ruff` finds
# unused imports and variables inside a file. What it cannot see: a function that no *other* file calls. A colleague
# worked on a branch and left one behind. Find it before a tool does.


# %% tags=["exercise"] exercise="day20/unused" answer="unused" minutes=13 difficulty=3
# files: name → source. Return the sorted names of the functions defined at the top level of
# a file (no indentation) that are mentioned nowhere else: neither in another file nor in a
# second place of their own. Leave out names that begin with "test_": pytest calls those.
# A name counts as mentioned where it stands as a whole word: `load` is not in `load_all`.
def unused(files): ...


# <solution>
def unused(files):
    everything = "\n".join(files.values())
    names = re.findall(r"^(?:async )?def (\w+)", everything, re.MULTILINE)
    return sorted(
        name
        for name in set(names)
        if not name.startswith("test_")
        and len(re.findall(rf"\b{re.escape(name)}\b", everything)) == 1
    )


# </solution>


# %% tags=["check"] exercise="day20/unused"
def check(answer):
    files = {
        "a.py": "def load():\n    return 1\n\ndef helper():\n    return load()\n\ndef old():\n    def inner():\n        return 2\n    return 3\n",
        "b.py": "import a\n\ndef load_all():\n    return a.helper()\n\ndef test_it():\n    assert load_all()\n",
        "c.py": "async def later():\n    return 4\n",
    }
    found = answer(dict(files))
    if found is None or isinstance(found, str):
        return "Return a list of names."
    found = sorted(found)
    if "test_it" in found:
        return "`test_it` is called by pytest, which finds it by its name. Leave out what begins with test_."
    if "helper" in found:
        return "`helper` is called, from another file. Look into all of them."
    if "inner" in found:
        return "`inner` is indented: it belongs to the function around it. Only the top level was asked for."
    if "old" not in found:
        return "`old` is defined, and nobody mentions it again. You do not find it."
    if "later" not in found:
        return "`later` is a function, too: `async def`."
    if "load" in found or "load_all" in found:
        return "`load` and `load_all` are both in use."
    hidden = answer(
        {
            "a.py": "def load():\n    return 1\n\ndef load_all():\n    return 2\n\nx = load_all()\n"
        }
    )
    if sorted(hidden) != ["load"]:
        return f"Here only `load_all()` is called, and you return {sorted(hidden)}: `load` is not mentioned by the word `load_all`."
    return (
        None
        if found == ["later", "old"]
        else f"You return {found}; it should be ['later', 'old']."
    )


def inputs(draw):
    yield {}
    yield {"a.py": "x = 1\n"}
    for _ in range(10):
        names = ["run", "run_all", "clean", "test_clean", "old", "make", "_made"]
        files = {}
        for file in range(int(draw.integers(1, 4))):
            lines = []
            for name in names:
                if draw.random() < 0.3:
                    lines.append(f"def {name}{file}():\n    return 1\n")
                if draw.random() < 0.3:
                    lines.append(f"x = {name}{int(draw.integers(0, 3))}()\n")
            files[f"f{file}.py"] = "\n".join(lines)
        yield files


def agrees(expected, found):
    return sorted(expected) == sorted(found)


hints = [
    "Put all sources into one text. A definition at the top level is a line that begins with `def name`.",
    r"`re.findall(r'^(?:async )?def (\w+)', text, re.MULTILINE)` lists them; `\b` before and behind a name means whole words.",
    "A name that stands exactly once in everything is defined and never used.",
]
misconceptions = [
    (
        "def unused(files):\n    everything = '\\n'.join(files.values())\n    names = re.findall(r'^(?:async )?def (\\w+)', everything, re.M)\n    return sorted(n for n in set(names) if len(re.findall(rf'\\b{n}\\b', everything)) == 1)",
        "called by pytest",
    ),
    (
        "def unused(files):\n    found = []\n    for text in files.values():\n        for n in re.findall(r'^(?:async )?def (\\w+)', text, re.M):\n            if not n.startswith('test_') and len(re.findall(rf'\\b{n}\\b', text)) == 1:\n                found.append(n)\n    return sorted(found)",
        "from another file",
    ),
    (
        "def unused(files):\n    everything = '\\n'.join(files.values())\n    names = re.findall(r'def (\\w+)', everything)\n    return sorted(n for n in set(names) if not n.startswith('test_') and len(re.findall(rf'\\b{n}\\b', everything)) == 1)",
        "is indented",
    ),
    (
        "def unused(files):\n    everything = '\\n'.join(files.values())\n    names = re.findall(r'^def (\\w+)', everything, re.M)\n    return sorted(n for n in set(names) if not n.startswith('test_') and len(re.findall(rf'\\b{n}\\b', everything)) == 1)",
        "`async def`",
    ),
    (
        "def unused(files):\n    everything = '\\n'.join(files.values())\n    names = re.findall(r'^(?:async )?def (\\w+)', everything, re.M)\n    return sorted(n for n in set(names) if not n.startswith('test_') and everything.count(n) == 1)",
        "by the word `load_all`",
    ),
]

# %%
place = tempfile.TemporaryDirectory(prefix="day20-")
branch = Path(place.name).resolve() / "branch"
run(f"git clone -q {shlex.quote(str(project))} branch", branch.parent)
with (branch / "src" / "files.py").open("a", encoding="utf-8") as file:
    file.write('\n\ndef as_csv(rows):\n    """Old."""\n    import csv, io\n    return rows\n')
sources = {
    str(path.relative_to(branch)): path.read_text(encoding="utf-8")
    for path in [*branch.glob("src/**/*.py"), *branch.glob("tests/**/*.py")]
}
suspects = unused(sources)
print(suspects)
tracking.record("dead_code_found", float("as_csv" in suspects))

# %% [markdown]
# `as_csv` is the colleague's. And the others? Look before you delete. `promote`, `roll_back` and `data_of` wait for a
# person: on Day 15 you called them from a notebook. Other names look dead because a decorator or a *string* calls them:
# `@app.command()` hands a function to Typer, `@app.post("/answer")` one to FastAPI. That is why no tool deletes by
# itself, and why you run the tests after each deletion. Then `ruff`, the tool that everybody uses, on his branch and on
# yours:

# %%
run("python -m ruff check --output-format concise .", branch)
run("python -m ruff check --output-format concise .")
quick = settings.pick(smoke=" -k 'not behaviour and not service'", cpu="")
run(f"python -m pytest -q --tb=line -p no:cacheprovider{quick}")

# %% [markdown]
# `ruff` found his two unused imports on one line, and not the function around them. Your function found that one. Two
# readers, again: each sees what the other cannot.
#
# ## Presentation or report
#
# <!-- asked: D20-T3 -->
# `src.publish` has already written the report: four sections, made from the run, your sentences in it. Read it once as
# the person who has to decide whether to use the model.

# %%
report = (project / "docs" / "report.md").read_text(encoding="utf-8")
print(report)

# %% [markdown]
# Beside it lies `docs/report.pdf`, the same pages printed by `fpdf2`. Change a template in `docs/*.md.j2`, and every
# future version has the change. What a good report answers, in this order: what came out, against what, how sure, made
# from what, not for what, and how do I get the same?
#
# For a talk of ten minutes take the same order, one slide each. How long will it be? A calm speaker says about 130 words
# a minute, and people read a table in about twenty seconds.


# %% tags=["exercise"] exercise="day20/minutes" answer="minutes" minutes=6 difficulty=1
# notes: the text that you will say, in Markdown. Return the minutes: 130 words a minute, plus
# 20 seconds for each table. The lines of a table begin with "|", are not said, and count as
# one table as long as they follow each other. Words are what `split()` gives; a line of a
# heading (beginning with "#") is on the slide and not said.
def minutes(notes): ...


# <solution>
def minutes(notes):
    words, tables, inside = 0, 0, False
    for line in notes.splitlines():
        is_table = line.startswith("|")
        tables += is_table and not inside
        inside = is_table
        if not is_table and not line.startswith("#"):
            words += len(line.split())
    return words / 130 + tables / 3


# </solution>


# %% tags=["check"] exercise="day20/minutes"
def check(answer):
    talk = (
        "# One\n" + "word " * 130 + "\n| a | b |\n|---|---|\n| 1 | 2 |\n\nmore words\n| c |\n"
    )
    found = answer(talk)
    if not isinstance(found, int | float) or isinstance(found, bool):
        return "Return a number of minutes."
    said = 132 / 130
    if abs(found - (said + 2 / 3)) < 1e-6:
        return None
    if abs(found - (said + 2 * 20)) < 1e-6:
        return "20 seconds are a third of a minute, not twenty minutes."
    if abs(found - (said + 4 / 3)) < 1e-6:
        return (
            "Each *line* of a table counts there. Lines that follow each other are one table."
        )
    if abs(found - said) < 1e-6:
        return "The tables are looked at for nothing. Each takes twenty seconds."
    if abs(found - (134 / 130 + 2 / 3)) < 1e-6:
        return "A heading is on the slide; nobody says `# One`."
    if found > said + 2 / 3 or abs(found - len(talk.split()) / 130) < 1e-6:
        return "That counts everything. Do the cells of the tables count as words?"
    return f"132 words and two tables are {said + 2 / 3:.2f} minutes; you say {found:.2f}."


def inputs(draw):
    yield ""
    yield "| only |\n"
    for _ in range(8):
        kinds = ["one two three", "| a | b |", "## Head line", "", "word " * 40]
        yield "\n".join(
            kinds[int(draw.integers(0, 5))] for _ in range(int(draw.integers(1, 15)))
        )


hints = [
    "Go line by line and remember whether the line before was a table's.",
    "`words / 130 + tables / 3`",
]
misconceptions = [
    (
        "def minutes(notes):\n    lines = [l for l in notes.splitlines() if not l.startswith(('#', '|'))]\n    tables = sum(l.startswith('|') for l in notes.splitlines())\n    return sum(len(l.split()) for l in lines) / 130 + tables / 3",
        "Each *line* of a table",
    ),
    (
        "def minutes(notes):\n    lines = [l for l in notes.splitlines() if not l.startswith(('#', '|'))]\n    return sum(len(l.split()) for l in lines) / 130",
        "looked at for nothing",
    ),
    ("def minutes(notes):\n    return len(notes.split()) / 130", "cells of the tables"),
]

# %%
print(f"Your report, read aloud as it is: {minutes(report):.1f} minutes.")

# %% [markdown]
# ## End to end, from a fresh clone
#
# <!-- asked: D20-T4 -->
# Now the stopwatch. The stranger has a clone and the shared store of data (Day 15's shelf; here a folder beside the
# project). First everything is committed and pushed, or she gets nothing. What `dvc push` pushes, `git` has never had.

# %%
shelf = branch.parent / "shelf"
clone = branch.parent / "clone"
run("git add --all")
run("git commit -q -m 'Cards, report and README, made from the run'")
run(f"dvc remote add --local --force --default shelf {shlex.quote(str(shelf))}")
run("dvc push --quiet")
print(len([path for path in shelf.rglob("*") if path.is_file()]), "files on the shelf")

# %%
code = blocks(readme.read_text(encoding="utf-8"), "python")[-1]
steps = {
    "git clone": (f"git clone -q {shlex.quote(str(project))} clone", clone.parent),
    "dvc pull": ("dvc pull --quiet", clone),
    "dvc repro": ("dvc repro --quiet", clone),
    "the README's example": (f"python -c {shlex.quote(code)}", clone),
}
clock, answered = {}, ""
for name, (command, folder) in steps.items():
    if name == "dvc pull":
        listen(f"dvc remote add --local --default shelf {shlex.quote(str(shelf))}", clone)
    began = time.perf_counter()
    answered, fine = listen(command, folder)
    clock[name] = time.perf_counter() - began
    print(f"{name:22} {clock[name]:6.1f} s" + ("" if fine else f"   FAILED: {answered}"))

# %%
seconds_guess.compare(round(sum(clock.values())))
tracking.record("stranger_answered", float(fine))
last = answered.splitlines()[-1]
figure = plots.bars(
    list(clock),
    list(clock.values()),
    title=f"{sum(clock.values()):.0f} seconds to the answer {last}",
    xlabel="seconds",
)
plots.show(
    figure, alt=f"Seconds of each step: {', '.join(f'{k} {v:.0f}' for k, v in clock.items())}."
)

# %% [markdown]
# She did not train anything: `dvc pull` brought the adapter, and `dvc repro` looked at every stage and found it up to
# date. (Not on this clock: `pip install -r requirements.txt`, some minutes with an empty cache. That is Day 19's image.)
#
# There is a second stranger, who trusts nobody. She pulls only the raw texts and makes everything again. For her there
# is one command, and for you it is the last of this course: `lab project check --final`. But first the version.
#
# A **version** is a promise in three numbers, major.minor.patch. A *fix* changes nothing that users rely on: the last
# number grows. A *feature* adds something: the middle one grows, the last starts again at 0. A *breaking* change, such
# as other labels or another input, raises the first. For a model, ask what your users' code sees.


# %% tags=["exercise"] exercise="day20/version" answer="next_version" minutes=8 difficulty=2
# tags: all tags of the repository, such as ["v1.2.0", "v1.10.3", "draft"]. kind: "fix",
# "feature" or "breaking". Return the next version, counted from the highest: "v1.10.4",
# "v1.11.0" or "v2.0.0". Tags of another form than vN.N.N do not count. No version yet:
# "v1.0.0", whatever the kind.
def next_version(tags, kind): ...


# <solution>
def next_version(tags, kind):
    versions = [
        tuple(map(int, tag[1:].split(".")))
        for tag in tags
        if re.fullmatch(r"v\d+\.\d+\.\d+", tag)
    ]
    if not versions:
        return "v1.0.0"
    major, minor, patch = max(versions)
    after = {
        "fix": (major, minor, patch + 1),
        "feature": (major, minor + 1, 0),
        "breaking": (major + 1, 0, 0),
    }
    return "v{}.{}.{}".format(*after[kind])


# </solution>


# %% tags=["check"] exercise="day20/version"
def check(answer):
    tags = ["v1.2.9", "draft", "v1.10.3", "v1.9.0"]
    fix, feature, breaking = (
        answer(list(tags), kind) for kind in ("fix", "feature", "breaking")
    )
    if fix in ("v1.9.1", "v1.2.10"):
        return f"You count on from the wrong one: {fix}. As text, 'v1.9.0' comes after 'v1.10.3'; as numbers, 10 is more than 9."
    if not isinstance(fix, str) or not fix.startswith("v"):
        return f"A version looks like 'v1.10.4'; you return {fix!r}."
    if fix != "v1.10.4":
        return f"A fix after v1.10.3 is v1.10.4; you say {fix}."
    if feature == "v1.11.3":
        return "A feature starts the last number again: v1.11.0."
    if feature != "v1.11.0":
        return f"A feature after v1.10.3 is v1.11.0; you say {feature}."
    if breaking != "v2.0.0":
        return f"A breaking change after v1.10.3 is v2.0.0; you say {breaking}."
    if answer(["draft", "v2", "v1.0"], "fix") != "v1.0.0":
        return "With no tag of the form v1.2.3, the first version is v1.0.0. `v2` and `v1.0` do not count."
    return (
        None
        if answer(["v1.0.0-rc1"], "fix") == "v1.0.0"
        else "`v1.0.0-rc1` is a candidate, not a version."
    )


def inputs(draw):
    yield [], "breaking"
    yield ["v0.0.0"], "fix"
    yield ["x1.2.3", "v1.2.3x", "1.5.0"], "feature"
    for _ in range(10):
        count = int(draw.integers(1, 6))
        tags = ["v{}.{}.{}".format(*draw.integers(0, 15, 3)) for _ in range(count)]
        yield tags, ["fix", "feature", "breaking"][int(draw.integers(0, 3))]


hints = [
    'Turn a tag into three numbers: `tuple(map(int, tag[1:].split(".")))`. Tuples compare number by number, so `max` works.',
    r'`re.fullmatch(r"v\d+\.\d+\.\d+", tag)` keeps only versions.',
]
misconceptions = [
    (
        "def next_version(tags, kind):\n    last = max([t for t in tags if re.fullmatch(r'v\\d+\\.\\d+\\.\\d+', t)], default=None)\n    if last is None:\n        return 'v1.0.0'\n    a, b, c = map(int, last[1:].split('.'))\n    return {'fix': f'v{a}.{b}.{c + 1}', 'feature': f'v{a}.{b + 1}.0', 'breaking': f'v{a + 1}.0.0'}[kind]",
        "from the wrong one",
    ),
    (
        "def next_version(tags, kind):\n    v = [tuple(map(int, t[1:].split('.'))) for t in tags if re.fullmatch(r'v\\d+\\.\\d+\\.\\d+', t)]\n    if not v:\n        return 'v1.0.0'\n    a, b, c = max(v)\n    return {'fix': f'v{a}.{b}.{c + 1}', 'feature': f'v{a}.{b + 1}.{c}', 'breaking': f'v{a + 1}.0.0'}[kind]",
        "starts the last number again",
    ),
    (
        "def next_version(tags, kind):\n    v = [tuple(map(int, p[1:].split('.'))) for t in tags if re.fullmatch(r'v\\d+\\.\\d+\\.\\d+', p := t.partition('-')[0])]\n    if not v:\n        return 'v1.0.0'\n    a, b, c = max(v)\n    return {'fix': f'v{a}.{b}.{c + 1}', 'feature': f'v{a}.{b + 1}.0', 'breaking': f'v{a + 1}.0.0'}[kind]",
        "is a candidate",
    ),
]

# %%
tags, _ = listen("git tag --list")
version = next_version(tags.split(), "feature")
run(f"git tag --annotate {version} --message 'The model, its cards and its report'")
run("git log -1 --format='%h %s (%D)'")

# %% [markdown]
# And the last judge. It clones your commit, runs your tests and `ruff` there, looks for open sentences and for pages
# that show another score than `metrics.json`, counts the pages, and makes the number again from the raw texts.

# %%
finished = production.final(project)
tracking.record("finished", float(finished))

# %% [markdown]
# A ✘ is no verdict about you. It is a line with something to do, and a command. Do it, commit, tag, run the cell again.
# When all points stand, show the repository to somebody. Then keep silent and watch what they do: the best test of a
# README is a face.
#
# ## What you saw

# %%
precise = shown(score["score"], score["score_low"], score["score_high"])
print(f"The score, as precise as it is: {precise}.")
print(f"From git clone to an answer: {sum(clock.values()):.0f} seconds. Version: {version}.")
print(f"Every point of the rubric met: {finished}.")

# %%
my_words = ...  # for example: "I would now show it to Ada, who sorts these by hand."
entry = f"{version}: {precise}, finished: {finished}."
progress.write_journal("day20", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %%
listen("dvc remote remove --local shelf")
if not settings.is_interactive():
    place.cleanup()  # a run by machine leaves nothing behind

# %% tags=["quiz"]
[
    {
        "question": "A score of 0.8137 has the interval 0.79 to 0.84. How do you print it?",
        "choices": [
            (
                "0.8137 (0.7900 to 0.8400)",
                "Four decimals claim that you know the ten-thousandths.",
                False,
            ),
            (
                "0.81 (0.79 to 0.84)",
                "Half of the interval is 0.025: two decimals show its first digit.",
                True,
            ),
            ("about 80 %", "Now two models of 0.79 and 0.84 look the same.", False),
        ],
        "proof": "import math\nassert -math.floor(math.log10((0.84 - 0.79) / 2)) == 2",
    },
    {
        "question": "The labels `good` and `bad` become `positive` and `negative`. Same model, same score. Which version follows v1.4.2?",
        "choices": [
            (
                "v1.4.3: nothing was added.",
                "Whoever compares with 'good' gets False from today on.",
                False,
            ),
            ("v1.5.0: it is an improvement.", "Their code breaks all the same.", False),
            (
                "v2.0.0: users' code sees other words.",
                "The first number warns exactly those people.",
                True,
            ),
        ],
    },
    {
        "question": "A tool lists `main` of src/publish.py as never called. What do you do?",
        "choices": [
            (
                "Delete it: nobody mentions the name.",
                "Then `python -m src.publish` does nothing any more.",
                False,
            ),
            (
                "Look at its decorator first.",
                "`@app.command()` hands it to Typer, which calls it.",
                True,
            ),
            (
                "Call it once somewhere, so that the tool is silent.",
                "Now it runs twice, and the tool has learnt nothing.",
                False,
            ),
        ],
    },
    {
        "question": "Why is `src.publish` no stage of dvc.yaml?",
        "choices": [
            ("It would be too slow.", "It takes about a second.", False),
            (
                "It reads dvc.lock, which `dvc repro` itself writes at the end.",
                "A stage that depends on the lock would never be up to date.",
                True,
            ),
            ("DVC cannot keep a PDF.", "It keeps any file.", False),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Let somebody who has never seen the project follow your README while you watch, without a word. Write down where they
#   stop. Three such lines are worth more than a week of polishing.
# - Upload it: `huggingface-cli upload` takes the folder with `docs/model_card.md` as its README.md. Read the licence of
#   your texts once more before.
# - Add the rubric to your CI: a job that runs `dvc repro --dry`, `pytest` and `ruff` for each push is ten lines in
#   `.github/workflows/tests.yml`.
