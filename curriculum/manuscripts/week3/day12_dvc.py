# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import csv
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

from labhelpers import data, exercise, plots, progress, quiz, settings, tracking, widgets

lab = settings.start("day12")

# %% [markdown]
# ## Why today matters
#
# <!-- asked: D12-H -->
# The report says that the word counter gets 76 % of the reviews right. You run the same project today and get
# 71 %. Nobody touched the code, and git can prove it. So what moved? The reviews, a number in a settings file,
# the machine?
#
# Git cannot tell. It does not hold the reviews, and it does not know which command made the model. **DVC** (data
# version control) knows both, because you tell it: for each step, what it reads and what it writes. From then on
# one command, `dvc repro`, reruns what a change touches, and no more.
#
# DVC keeps that promise to the letter. To the letter of what you *told* it. So a bet before we start: today we
# make six changes, and each of them would give another model. How many will DVC notice?

# %%
noticed_guess = widgets.predict(
    "day12-noticed", "Six changes, each to another model: how many does DVC notice?", 0, 6
)

# %% [markdown]
# ## A project in four files, and a first run
#
# The project gets a temporary folder and a git repository of its own: nothing you do today can touch yours. Both
# are gone when this kernel stops.

# %%
place = tempfile.TemporaryDirectory(prefix="day12-")
project = Path(place.name).resolve() / "reviews"
project.mkdir()

# %% [markdown]
# One helper for the whole day. It runs a command in the project and prints what the command says, so that you
# see what you would see in a terminal. The settings around it: find this Python's `dvc` first, no colours,
# send no usage statistics, and sign commits with a name that is nobody's.

# %%
quiet = "[core]\nanalytics = false\ncheck_update = false\n"
(Path(place.name) / "config").write_text(quiet, encoding="utf-8")
environment = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "FORCE_COLOR": "",
    "DVC_NO_ANALYTICS": "1",
    "DVC_GLOBAL_CONFIG_DIR": place.name,
    "DVC_SITE_CACHE_DIR": place.name,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_AUTHOR_NAME": "Learner",
    "GIT_AUTHOR_EMAIL": "learner@example.org",
    "GIT_COMMITTER_NAME": "Learner",
    "GIT_COMMITTER_EMAIL": "learner@example.org",
}


# %%
def listen(command, folder=project, **variables):
    """Run one command and return what it said."""
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=environment | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return "\n".join(line for line in done.stdout.splitlines() if line.strip())


def run(command, **more):
    said = listen(command, **more)
    print(f"$ {command}" + (f"\n{said}" if said else ""))


# %%
def write(name, text):
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip("\n"), encoding="utf-8")


# %% [markdown]
# The raw material: the course's movie sentences, as one CSV file.

# %%
reviews = data.load("sentiment").select_columns(["text", "label"]).to_pandas()
reviews = reviews.sample(settings.pick(smoke=600, cpu=len(reviews)), random_state=lab.seed)
(project / "raw").mkdir(exist_ok=True)
reviews.to_csv(project / "raw" / "reviews.csv", index=False)
raw_bytes = (project / "raw" / "reviews.csv").stat().st_size
print(f"raw/reviews.csv: {len(reviews):,} sentences, {raw_bytes:,} bytes")

# %% [markdown]
# Now the project, as you might find it on a colleague's disk. First script: split the reviews, once, for everybody.

# %%
write(
    "prepare.py",
    '''
"""Split the reviews once, for every model."""
import csv, random
from pathlib import Path
import yaml

params = yaml.safe_load(Path("params.yaml").read_text())["prepare"]
header, *rows = csv.reader(open("raw/reviews.csv", newline=""))
random.Random(params["seed"]).shuffle(rows)
cut = round(len(rows) * params["test_share"])
Path("data").mkdir(exist_ok=True)
for name, part in {"test": rows[:cut], "train": rows[cut:]}.items():
    with open(f"data/{name}.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *part])
''',
)

# %% [markdown]
# Second: a model so plain that you can read it. It gives each word a weight, positive if the word was seen more
# often in good reviews, and adds the weights up. (Day 3's word counter in its simplest form, called *naive
# Bayes*. It trains in a tenth of a second, and today we want many runs.) Its test answers go to a file.

# %%
write(
    "train.py",
    '''
"""Count words, weigh them, answer the test sentences."""
import csv, json, math, os
from collections import Counter
from pathlib import Path
import yaml
from words import pieces

params = yaml.safe_load(Path("params.yaml").read_text())["train"]
train, test = (list(csv.DictReader(open(f"data/{n}.csv"))) for n in ("train", "test"))
train = train[: int(os.environ.get("QUICK", len(train)))]  # QUICK=50: a quick try
''',
)

# %%
train_rest = """
seen = {"0": Counter(), "1": Counter()}
for row in train:
    seen[row["label"]].update(pieces(row["text"], params["longest"]))
extra = params["smoothing"]  # so that no count is zero
weights = {
    piece: math.log((seen["1"][piece] + extra) / (seen["0"][piece] + extra))
    for piece in sorted(seen["0"] | seen["1"])
}
rows = [["label", "answer"]]
for row in test:
    total = sum(weights.get(piece, 0) for piece in pieces(row["text"], params["longest"]))
    rows.append([row["label"], int(total > 0)])
for folder in ("models", "answers"):
    Path(folder).mkdir(exist_ok=True)
model = {"trained_on": len(train), "weights": weights}
Path("models/words.json").write_text(json.dumps(model, indent=0))
csv.writer(open("answers/words.csv", "w", newline="")).writerows(rows)
"""
write("train.py", (project / "train.py").read_text() + train_rest)

# %% [markdown]
# Third: a small helper that cuts a text into words, and, if you ask for it, into pairs of words. Fourth: the
# marking.

# %%
write(
    "words.py",
    '''
"""Cut a text into single words, pairs of words and so on, up to `longest` words."""
import re

def pieces(text, longest):
    words = re.findall(r"[a-z']+", text.lower())
    spans = [(at, at + n) for n in range(1, longest + 1) for at in range(len(words) - n + 1)]
    return sorted({" ".join(words[start:end]) for start, end in spans})
''',
)

# %%
write(
    "evaluate.py",
    '''
"""Mark the answers of every model: the share that is right."""
import csv, json
from pathlib import Path

marks = {}
for path in sorted(Path("answers").glob("*.csv")):
    rows = list(csv.DictReader(path.open()))
    marks[path.stem] = sum(row["label"] == row["answer"] for row in rows) / len(rows)
Path("metrics.json").write_text(json.dumps(marks))
''',
)

# %% [markdown]
# <!-- asked: D12-T1, D12-T5, X-05 -->
# The numbers that somebody chose stand in `params.yaml`, and in no other file. And `dvc.yaml` says how the pieces
# hang together. It lies in the root of the project, because its paths are read from the folder it is in. Six words:
#
# | word | what you write there | what it decides |
# |---|---|---|
# | `cmd` | the command | what runs; another command is a change |
# | `deps` | files that the step reads | when it is out of date, and which steps come first |
# | `params` | values from `params.yaml` | the same, value by value |
# | `outs` | files that it writes | DVC keeps them, git ignores them, **and they are deleted before the step runs** |
# | `metrics` | a small file of numbers | `dvc metrics` can show and compare it |
# | `plots` | a table | `dvc plots` can draw it |
#
# A step with these words is called a **stage**.

# %%
write(
    "params.yaml",
    """
prepare: {seed: 42, test_share: 0.1}
train: {smoothing: 1.0, longest: 1}
""",
)
pipeline = """
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py, raw/reviews.csv]
    params: [prepare.seed, prepare.test_share]
    outs: [data/train.csv, data/test.csv]
  train:
    cmd: python train.py
    deps: [train.py, data/train.csv, data/test.csv]
    params: [train.smoothing]
    outs: [models/words.json, answers/words.csv]
"""

# %%
pipeline += """  evaluate:
    cmd: python evaluate.py
    deps: [evaluate.py, answers/words.csv]
    metrics: [metrics.json: {cache: false}]
plots: [answers/words.csv: {template: confusion, x: answer, y: label}]
"""
write("dvc.yaml", pipeline)
write(".gitignore", "__pycache__/\n")

# %% [markdown]
# (`cache: false` means: this file is small, git may have it. It does *not* mean "always make it anew".)
#
# Two repositories in one folder, then: git's for the text, DVC's for the rest. The raw file has no step that
# makes it, so it is handed over by `dvc add`.

# %%
for command in ("git init -q -b main", "dvc init -q", "dvc add raw/reviews.csv"):
    run(command)

# %% [markdown]
# The advice that it prints is good: git gets a pointer, `raw/reviews.csv.dvc`, and a line that tells it to ignore
# the file itself. Here is all that git will ever see of the reviews:

# %%
print((project / "raw" / "reviews.csv.dvc").read_text())
print("raw/.gitignore says:", (project / "raw" / ".gitignore").read_text())
run("git add .")
run("git commit -qm 'The project, before its first run'")

# %%
run("dvc repro")

# %% [markdown]
# Three stages, in an order that you never wrote down. DVC drew it from the files: who reads what the other writes
# comes after. Ask it for the drawing:

# %%
run("dvc dag")

# %% [markdown]
# <!-- asked: D12-T6 -->
# And now the same command a second time.

# %%
run("dvc repro")
run("git add .")
run("git commit -qm 'First run'")


# %%
def marks():
    """The shares of right answers, as metrics.json has them now."""
    return json.loads((project / "metrics.json").read_text())


tracking.record("words_accuracy", marks()["words"])
model_file = project / "models" / "words.json"
weights = json.loads(model_file.read_text())["weights"]
ordered = sorted(weights, key=weights.get)
print("against a film:", ", ".join(ordered[:8]))
print("for a film:    ", ", ".join(ordered[-8:]))
run("dvc plots show --out ../plots")

# %% [markdown]
# (That page holds the confusion matrix which `plots:` asked for. Your browser can open it while this kernel lives; it
# fetches its drawing library from the web.)
#
# ## Seen on disk: the lock, the cache, the copy
#
# "Didn't change, skipping": how does it know? It remembers a **fingerprint** of everything, in a file called
# `dvc.lock`. This is what it says about `train`:

# %%
lock = yaml.safe_load((project / "dvc.lock").read_text())
trained = lock["stages"]["train"]
for part in ("deps", "outs"):
    for entry in trained[part]:
        print(f"{part}   {entry['md5']}   {entry['path']}")
print("params", trained["params"])

# %% [markdown]
# MD5 turns any bytes into 32 hexadecimal digits. Change one bit of the file, and all of them change. It is the
# same function everywhere, so you can check DVC's bookkeeping yourself:


# %%
def fingerprint(path):
    return hashlib.md5(Path(path).read_bytes()).hexdigest()


print(fingerprint(model_file), "  models/words.json, by hand")

# %% [markdown]
# So that is the memory. And the files? DVC keeps every version it has seen in its **cache**, under the fingerprint
# as a name. Look inside:

# %%
cache = project / ".dvc" / "cache"
kept = sorted(path for path in (cache / "files").rglob("*") if path.is_file())
for path in kept:
    print(f"{path.stat().st_size:>10,} bytes   {path.relative_to(cache)}")

# %% [markdown]
# Six files, and none has a name: `reviews.csv` occurs nowhere in there. Who has a pointer finds the file; who has only
# the cache finds bytes. (The smallest is `metrics.json`. Git holds it, and DVC keeps a copy all the same: for the runs that it
# remembers, which come in the next section.) Write the rule down, you will want it when something is lost.


# %% tags=["exercise"] exercise="day12/in-cache" answer="in_cache" minutes=4 difficulty=1
# cache: the folder .dvc/cache, a Path. md5: a fingerprint from dvc.lock, a text.
# Return the Path under which the cache keeps the file with that fingerprint.
def in_cache(cache, md5): ...


# <solution>
def in_cache(cache, md5):
    return cache / "files" / "md5" / md5[:2] / md5[2:]


# </solution>


# %% tags=["check"] exercise="day12/in-cache"
def check(answer):
    md5 = trained["outs"][0]["md5"]
    found = answer(cache, md5)
    if isinstance(found, str):
        return "This is a text. The cells below open what you return: stay with Path, `folder / name`."
    if not isinstance(found, Path):
        return f"This is a {type(found).__name__}. Return one Path, put together with `/`."
    parts = found.relative_to(cache).parts if found.is_relative_to(cache) else ()
    if not parts:
        return "Begin with the folder `cache`: everything lies below it."
    if parts[:2] != ("files", "md5"):
        return "Look at the listing above: two folders come before the first digits of the fingerprint."
    if parts[2:] == (md5,):
        return "So many files in one folder would be slow to search. Where does DVC cut the fingerprint in two?"
    if parts[2:] == (md5[:2], md5):
        return "The folder is right. But its name is not repeated in the file's: the file has the 30 digits that remain."
    return (
        None
        if found.exists()
        else f"No file lies there. You ask for {'/'.join(parts)} in the cache."
    )


def inputs(draw):
    yield Path("cache"), hashlib.md5(b"").hexdigest()
    yield Path("a") / ".dvc" / "cache", hashlib.md5(b"one").hexdigest() + ".dir"
    yield Path("elsewhere"), hashlib.md5(draw.bytes(8)).hexdigest()


hints = [
    "Compare one line of the listing with the fingerprints of dvc.lock, from left to right.",
    "The first two digits name a folder, the other thirty the file: `md5[:2]` and `md5[2:]`.",
    '`cache / "files" / "md5" / …`',
]
misconceptions = [
    (
        'def in_cache(cache, md5):\n    return cache / "files" / "md5" / md5',
        "cut the fingerprint in two",
    ),
    (
        "def in_cache(cache, md5):\n    return cache / md5[:2] / md5[2:]",
        "two folders come before",
    ),
    (
        'def in_cache(cache, md5):\n    return cache / "files" / "md5" / md5[:2] / md5',
        "not repeated",
    ),
    (
        'def in_cache(cache, md5):\n    return f"{cache}/files/md5/{md5[:2]}/{md5[2:]}"',
        "stay with Path",
    ),
]

# %%
in_store = in_cache(cache, trained["outs"][1]["md5"])
print("the same bytes:", in_store.read_bytes() == model_file.read_bytes())
print("the same file: ", in_store.samefile(model_file))

# %% [markdown]
# Equal, and yet two files: DVC has *copied* the model, so it now takes its space twice. Why so wasteful? Because
# of you. If `models/words.json` were only another name for the file in the cache, then a script that opens it and
# changes a line would change the cache as well, and the fingerprint would be a lie.
#
# (On disks that can share blocks until somebody writes, as Macs have, DVC does that instead: one copy, no risk. For
# big files on other disks you may ask for links; we shall do so this afternoon.)
#
# Now the account: who holds which bytes?

# %%
in_git = {name: (project / name).stat().st_size for name in listen("git ls-files").split()}
pointers = [entry for stage in lock["stages"].values() for entry in stage["outs"]]
in_dvc = {out["path"]: out["size"] for out in pointers if out["path"] not in in_git}
in_dvc["raw/reviews.csv"] = raw_bytes
share = sum(in_dvc.values()) / (sum(in_dvc.values()) + sum(in_git.values()))
tracking.record("dvc_share", share)

# %%
rows = sorted(in_dvc.items(), key=lambda item: -item[1])
rows += sorted(in_git.items(), key=lambda item: -item[1])[:6]
figure = plots.bars(
    [f"{name}  ({'DVC' if name in in_dvc else 'git'})" for name, _ in rows],
    [size / 1000 for _, size in rows],
    title=f"DVC holds {share:.1%} of the bytes; git holds scripts and pointers",
    xlabel="size (kB)",
)
alt = f"File sizes by holder: DVC keeps {share:.0%} of the bytes, git the scripts and pointers."
plots.show(figure, alt=alt)

# %% [markdown]
# ## What reruns, and what does not
#
# <!-- asked: D12-T3 -->
# Five commands carry you through the week:
#
# | command | its question |
# |---|---|
# | `dvc repro` | bring everything up to date |
# | `dvc status` | what *would* run, and why? |
# | `dvc dag` | what depends on what? |
# | `dvc params diff` | which numbers have I changed since the last commit? |
# | `dvc metrics diff` | and what did it do to the result? |
#
# Change a number and ask.


# %%
def edit(name, old, new):
    """Replace a text in a file of the project, once."""
    text = (project / name).read_text()
    if new not in text:
        assert old in text, f"{old!r} does not stand in {name}"
        write(name, text.replace(old, new))


edit("params.yaml", "smoothing: 1.0", "smoothing: 10")
run("dvc params diff")
run("dvc status")

# %% [markdown]
# From here on the long text of `dvc repro` gets a short form: one line, a word per stage. And a ledger keeps what
# happened.

# %%
ledger = []


def repro(change, options="", **variables):
    """Run `dvc repro`, say in one line what each stage did, and enter it into the ledger."""
    said = listen(f"dvc repro {options}", **variables)
    row = {}
    for stage in yaml.safe_load((project / "dvc.yaml").read_text())["stages"]:
        ran, fetched = f"Running stage '{stage}'" in said, f"Stage '{stage}' is cached" in said
        row[stage] = "ran" if ran else "from cache" if fetched else "skipped"
    print(f"{change}: {', '.join(f'{stage} {what}' for stage, what in row.items())}")
    print("  right answers:", {name: f"{value:.1%}" for name, value in marks().items()})
    ledger.append({"change": change, **row})
    return row


repro("smoothing 10")
run("dvc metrics diff")

# %% [markdown]
# <!-- asked: D12-T2 -->
# `prepare` was left alone. Could you have told from `dvc.yaml` alone? That is a walk through a graph, and you can
# write it in five lines. Here is the graph, with parameters among the things that a stage reads:


# %%
def graph_of(stages):
    """Per stage: what it reads and what it writes."""
    graph = {}
    for name, stage in stages.items():
        writes = [*stage.get("outs", [])]
        for entry in stage.get("metrics", []):
            writes += entry
        graph[name] = {"reads": [*stage["deps"], *stage.get("params", [])], "writes": writes}
    return graph


graph = graph_of(yaml.safe_load(pipeline)["stages"])
for name, stage in graph.items():
    print(f"{name:9} reads {', '.join(stage['reads'])}")
    print(f"{'':9} writes {', '.join(stage['writes'])}")


# %% tags=["exercise"] exercise="day12/reruns" answer="reruns" minutes=10 difficulty=3
# graph: as above, its stages in ANY order. changed: one name, such as "train.py".
# Return the set of stages that may have to run again: those that read it, those that read what
# these write, and so on.
def reruns(graph, changed): ...


# <solution>
def reruns(graph, changed):
    touched, found = {changed}, set()
    for _ in graph:  # as often as there are stages: no chain is longer
        for name, stage in graph.items():
            if touched & {*stage["reads"]}:
                found.add(name)
                touched |= {*stage["writes"]}
    return found


# </solution>


# %% tags=["check"] exercise="day12/reruns"
def check(answer):
    chain = {
        "last": {"reads": ["b"], "writes": ["c"]},
        "first": {"reads": ["raw"], "writes": ["a"]},
        "other": {"reads": ["z"], "writes": ["y"]},
        "middle": {"reads": ["a", "x"], "writes": ["b"]},
    }

    def found(changed):
        made = answer(chain, changed)
        return made if made is None else set(made)

    if found("raw") is None:
        return "The function returns nothing. Did it end without `return`?"
    if found("c") or found("unheard of"):
        return "Nobody reads that file, and still you rerun something. An empty set is a fine answer."
    if "first" in found("x"):
        return "You rerun a stage that comes *before* the change. Downstream only: from what is written to who reads it."
    if found("raw") == {"first"}:
        return "These are the stages that read the changed file themselves. What they write changes too: who reads that?"
    if found("raw") == {"first", "middle"}:
        return "A chain of three was cut short. The stages may stand in any order in the file: one walk from top to bottom misses some."
    if "other" in found("raw"):
        return "One stage of our example has nothing to do with the change, and you rerun it as well."
    if found("raw") != {"first", "middle", "last"} or found("b") != {"last"}:
        return f"For a chain raw → first → middle → last you return {sorted(found('raw'))} when `raw` changes."
    return None


def inputs(draw):
    for stages in (1, 3, 5, 7):
        files = ["raw", "params"]
        graph = {}
        for at in range(stages):
            count = min(len(files), int(draw.integers(1, 3)))
            reads = [f"script{at}", *draw.choice(files, count, replace=False).tolist()]
            writes = [f"out{at}{letter}" for letter in "ab"[: int(draw.integers(1, 3))]]
            graph[f"stage{at}"] = {"reads": reads, "writes": writes}
            files += writes
        order = draw.permutation(list(graph)).tolist()
        graph = {name: graph[name] for name in order}
        for changed in (*files, "script0", "nothing"):
            yield graph, changed


def agrees(expected, found):
    return set(found) == expected


hints = [
    "Keep two sets: names that have changed, and stages that run. Each stage that runs adds what it writes to the first.",
    "`touched & set(stage['reads'])` is empty when the stage reads nothing that has changed.",
    "Repeat the walk over all stages until nothing is added; as many times as there are stages is always enough.",
]
misconceptions = [
    (
        'def reruns(graph, changed):\n    return {name for name, stage in graph.items() if changed in stage["reads"]}',
        "who reads that",
    ),
    (
        'def reruns(graph, changed):\n    touched, found = {changed}, set()\n    for name, stage in graph.items():\n        if touched & {*stage["reads"]}:\n            found.add(name)\n            touched |= {*stage["writes"]}\n    return found',
        "one walk from top to bottom",
    ),
    (
        "def reruns(graph, changed):\n    return set(graph)",
        "Nobody reads that file",
    ),
    (
        'def reruns(graph, changed):\n    return set(graph) if any(changed in stage["reads"] for stage in graph.values()) else set()',
        "before* the change",
    ),
]

# %%
for changed in ("raw/reviews.csv", "train.smoothing", "train.py", "evaluate.py"):
    print(f"{changed:16} → {', '.join(sorted(reruns(graph, changed)))}")

# %% [markdown]
# That is the most that can happen. Now the least: a change that changes nothing. Add a comment to `train.py` (the
# graph says that `train` and `evaluate` may run).

# %%
comment_guess = widgets.predict(
    "day12-comment", "One comment added to train.py: how many of the three stages run?", 0, 3
)


# %%
def ran(row):
    return sum(what == "ran" for what in row.values())


edit("train.py", "seen = {", "# count each word once per review\nseen = {")
row = repro("a comment in train.py")
comment_guess.compare(ran(row))

# %% [markdown]
# DVC does not read Python. Other bytes are another script, so `train` ran. But it wrote the very same answers,
# and `evaluate` looks at answers, not at who made them. (That is one more reason to write outputs that do not change
# by themselves: no date inside, keys sorted.)
#
# And the way back? Take the comment out again, and the old smoothing with it:

# %%
back_guess = widgets.predict("day12-back", "Back to the committed state: how many run?", 0, 3)

# %%
run("git restore train.py params.yaml")
row = repro("back to the first run")
back_guess.compare(ran(row))

# %% [markdown]
# *From cache*: DVC has been here before. Below `.dvc/cache/runs` it notes for each command and each set of inputs
# what came out, and hands it over without running anything. After an evening of trying things, the way back to any
# of them costs a second.
#
# Two more changes of the kind that DVC is made for. One new review arrives; then `train.py` really changes, and
# counts a word only where the review is not too long.

# %%
with open(project / "raw" / "reviews.csv", "a", newline="") as file:
    csv.writer(file).writerow(["A warm and funny film, and a clever one.", 1])
before = marks()["words"]
row = repro("one new review")
moved = 100 * (marks()["words"] - before)
print(f"one review of {len(reviews) + 1:,} is new, and the result moved {moved:+.1f} points")

# %%
edit("train.py", "in train:\n", 'in train:\n    if len(row["text"]) > 200:\n        continue\n')
row = repro("train.py skips long reviews")

# %% [markdown]
# Did *one* review do that? No: `prepare.py` shuffles, and with one row more the cards are dealt anew. Other sentences
# are in the test now, and that is how much luck is in a test of this size. DVC has done its duty and says that the
# data changed. That a split should not depend on the number of rows is our duty (Day 10 split by hash).
#
# ## Three silences
#
# So far DVC has noticed three of three. Now a change that you would expect to be the easiest of all: count pairs of
# words too, a number in `params.yaml`.

# %%
silent_guess = widgets.predict(
    "day12-longest",
    "train.longest changes from 1 to 2: how many of the three stages run?",
    0,
    3,
)

# %%
edit("params.yaml", "longest: 1", "longest: 2")
row = repro("longest 2")
silent_guess.compare(ran(row))

# %% [markdown]
# No stage ran, and no word of warning. `params.yaml` says pairs, the model knows single words, and `git diff` shows
# a tidy little change that you would now commit together with the old result.
#
# Read the `params:` of `train` again: `[train.smoothing]`. The script reads two values, and the colleague declared
# one. DVC watches the values that it was told of and not the file. Who else is missing? Ask Python
# instead of your memory: it reports each file that it opens to an **audit hook**.

# %%
watch = """
import sys
from pathlib import Path

here, opened = Path.cwd(), set()

def hook(event, details):
    if event == "open" and isinstance(details[0], str):
        opened.add(Path(details[0]).resolve())

sys.addaudithook(hook)
sys.path.insert(0, str(here))
exec(compile(Path(sys.argv[1]).read_text(), sys.argv[1], "exec"))
modules = {getattr(module, "__file__", None) for module in sys.modules.values()}
opened |= {Path(file).resolve() for file in modules - {None}}
mine = {str(path.relative_to(here)) for path in opened if path.is_relative_to(here)}
print(*sorted(name for name in mine if "__pycache__" not in name))
"""

# %% [markdown]
# (It also looks at the modules that were imported, since Python opens their compiled form.) The scripts really run, so
# we let them do it in a copy of the project.

# %%
look = Path(shutil.copytree(project, project.parent / "look", dirs_exist_ok=True))
(look / "watch.py").write_text(watch, encoding="utf-8")
for name, stage in graph.items():
    touched = set(listen(f"python watch.py {name}.py", folder=look).split())
    silent = touched - {*stage["reads"], *stage["writes"], "params.yaml", "watch.py"}
    print(f"{name}.py touches {len(touched)} files; not declared: {sorted(silent) or 'none'}")

# %% [markdown]
# `words.py`, a module that `train.py` imports. Whatever you change in there, DVC will not see it either:

# %%
edit("words.py", "[a-z']+", "[a-z]+")
row = repro("words.py splits at apostrophes")

# %% [markdown]
# For the values, the cure is a habit: **one block per stage, with the stage's name, declared as a whole, and the
# script reads nothing but its block**. `params: [train]` covers every value in it, also those that somebody adds
# next year.


# %% tags=["exercise"] exercise="day12/undeclared" answer="undeclared" minutes=6 difficulty=2
# declared: what stands in `params:` of a stage, single values or blocks, such as
# ["train.smoothing", "prepare"]. read: the values that its script reads, such as
# ["train.longest", "prepare.seed"]. Return the list of those that nothing declared covers.
def undeclared(declared, read): ...


# <solution>
def undeclared(declared, read):
    return [
        name
        for name in read
        if not any(name == entry or name.startswith(entry + ".") for entry in declared)
    ]


# </solution>


# %% tags=["check"] exercise="day12/undeclared"
def check(answer):
    def found(declared, read):
        made = answer(declared, read)
        return made if made is None else list(made)

    read = ["train.smoothing", "train.longest"]
    if found([], read) is None:
        return "The function returns nothing. Did it end without `return`?"
    if found(["train.smoothing"], read) == ["train.smoothing"]:
        return "This is what *is* declared. Asked for are the values that change without DVC noticing."
    if found(["train.smoothing", "evaluate.cut"], read) == ["evaluate.cut"]:
        return "You list what is declared and not read. That is untidy, and harmless; the other direction hurts."
    if found(["train"], read) == read:
        return "`params: [train]` declares the whole block, so nothing is missing there, and you report every value of it."
    if found(["train"], ["training.steps"]) == []:
        return "The block `train` does not cover `training.steps`: two words may begin alike. Where does a name of a block end?"
    if found(["steps"], ["train.steps"]) == []:
        return "A value `steps` at the top of params.yaml is not `train.steps`. A block covers what lies *below* it."
    if found([], read) != read or found(["train.smoothing"], read) != ["train.longest"]:
        return f"For `params: [train.smoothing]` and a script that reads both values you return {found(['train.smoothing'], read)}."
    return None


def inputs(draw):
    names = ["train", "training", "steps", "train.steps", "train.steps.warm", "training.rate"]
    names += ["train.rate", "prepare.seed", "prepare", "seed"]
    for _ in range(12):
        declared, read = (
            draw.choice(names, draw.integers(0, 5), replace=False).tolist() for _ in range(2)
        )
        yield declared, read


hints = [
    "Go through `read` and keep a name unless some entry of `declared` covers it.",
    "An entry covers a name that is equal to it, and each name that begins with the entry and a dot.",
    '`name == entry or name.startswith(entry + ".")`',
]
misconceptions = [
    (
        "def undeclared(declared, read):\n    return [name for name in read if name not in declared]",
        "whole block",
    ),
    (
        "def undeclared(declared, read):\n    return [name for name in read if not any(name.startswith(entry) for entry in declared)]",
        "two words may begin alike",
    ),
    (
        "def undeclared(declared, read):\n    return [name for name in declared if name not in read]",
        "declared and not read",
    ),
    (
        "def undeclared(declared, read):\n    return [name for name in read if name in declared]",
        "is* declared",
    ),
    (
        'def undeclared(declared, read):\n    return [name for name in read if not any(name == entry or name.startswith(entry + ".") or name.endswith("." + entry) for entry in declared)]',
        "at the top",
    ),
]

# %%
values = yaml.safe_load((project / "params.yaml").read_text())
for name, stage in yaml.safe_load(pipeline)["stages"].items():
    read = [f"{name}.{value}" for value in values.get(name, {})]
    print(f"{name:9} not declared: {undeclared(stage.get('params', []), read)}")

# %% [markdown]
# Both cures at once, the module among the `deps` and the block among the `params`:

# %%
edit("dvc.yaml", "deps: [train.py,", "deps: [train.py, words.py,")
edit("dvc.yaml", "params: [train.smoothing]", "params: [train]")
row = repro("both declared")
run("git add .")
run("git commit -qm 'Declare all that train reads'")

# %% [markdown]
# <!-- asked: D12-T7 -->
# The third silence needs no mistake in `dvc.yaml`. Look at `train.py` again: it reads a variable, `QUICK`, with
# which the colleague tries things out on a few sentences. Very handy. They tried a new smoothing that way, in one
# window, and closed it. You work in another window, where `QUICK` is not set, and run the pipeline for the report.

# %%
sentences = json.loads(model_file.read_text())["trained_on"]
quick_guess = widgets.predict(
    "day12-quick", "Sentences behind the model of your report", 0, 100 * -(-sentences // 100)
)

# %%
edit("params.yaml", "smoothing: 1.0", "smoothing: 0.5")
row = repro("their window, QUICK=50", QUICK="50")
hasty = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
hasty_marks = marks()
row = repro("your window")
quick_guess.compare(json.loads(model_file.read_text())["trained_on"])

# %% [markdown]
# An environment variable is not a file, so it has no fingerprint. To DVC, nothing has changed, and its cache would
# hand this model to everybody who asks for smoothing 0.5. (Other invisible guests: the versions of packages, the
# time, the graphics card, a model fetched "latest" from the web.)
#
# How would you ever find out? Make the suspect repeat the story: run the stage once more, by force, in a clean
# window, and lay the two locks side by side. If the inputs are the same and the outputs are not, somebody has had a
# guest.

# %%
row = repro("your window, by force", "--force --downstream train")
clean = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
quick_points = 100 * (marks()["words"] - hasty_marks["words"])
print(f"difference: {quick_points:+.1f} points")
tracking.record("quick_points", quick_points)


# %% tags=["exercise"] exercise="day12/suspects" answer="suspects" minutes=9 difficulty=2
# one, two: the stages of two dvc.lock files, name → {"cmd": ..., "deps": [...], "outs": [...]},
# often with "params" too. Return the set of stages, of those in both, whose command,
# deps and params are the same while their outs differ.
def suspects(one, two): ...


# <solution>
def suspects(one, two):
    found = set()
    for name in one.keys() & two.keys():
        before, after = one[name], two[name]
        parts = ("cmd", "deps", "params")
        alike = all(before.get(part) == after.get(part) for part in parts)
        if alike and before["outs"] != after["outs"]:
            found.add(name)
    return found


# </solution>


# %% tags=["check"] exercise="day12/suspects"
def a_stage(cmd="run", dep="1", value=1, out="1", **more):
    stage = {
        "cmd": cmd,
        "deps": [{"path": "in", "md5": dep}],
        "outs": [{"path": "o", "md5": out}],
    }
    return stage | {"params": {"params.yaml": {"value": value}}} | more


def check(answer):
    def found(before, after):
        made = answer({"s": before, "quiet": a_stage()}, {"s": after, "quiet": a_stage()})
        return made if made is None else set(made)

    plain = {name: part for name, part in a_stage().items() if name != "params"}
    other = plain | {"outs": [{"path": "o", "md5": "2"}]}
    if found(plain, plain) is None:
        return "The function returns nothing. Did it end without `return`?"
    if "quiet" in found(a_stage(), a_stage(out="2")):
        return "You accuse a stage that gave the same outputs twice. Nothing points at it."
    if found(a_stage(), a_stage(dep="2")):
        return "Other input, same output: nothing is wrong with that stage. Its outs have to differ."
    if found(a_stage(), a_stage(value=2, out="2")):
        return "A stage with other parameters may give other outputs. Compare its params too, before you accuse it."
    if found(a_stage(), a_stage(dep="2", out="2")):
        return "A stage whose input has changed is innocent: look at its deps. It is the one before it that you want."
    if found(a_stage(), a_stage(cmd="walk", out="2")):
        return "Another command may give another result. Compare `cmd` as well."
    if found(plain, other) != {"s"}:
        return "A stage without params, as `evaluate` here, can be a suspect too. What does your function do when the key is missing?"
    lonely = set(answer({"s": a_stage()}, {"t": a_stage()}))
    if lonely:
        return "A stage that stands in one of the two locks only cannot be compared."
    if found(a_stage(), a_stage(out="2")) != {"s"}:
        return (
            "Same command, same deps, same params, and other outs: that one you should report."
        )
    return None


def inputs(draw):
    for _ in range(12):
        locks = []
        for _ in range(2):
            names = draw.choice(list("abcdefgh"), 6, replace=False).tolist()
            lock = {}
            for name in names:
                cmd, dep, value, out = (int(draw.random() < 0.25) for _ in range(4))
                stage = a_stage(f"c{cmd}", f"d{dep}", value, f"o{out}")
                if name in "ab":
                    del stage["params"]
                lock[name] = stage
            locks.append(lock)
        yield tuple(locks)


def agrees(expected, found):
    return set(found) == expected


hints = [
    "Walk through the names that stand in both: `one.keys() & two.keys()`.",
    "Three things have to be equal (`cmd`, `deps`, `params`), one has to differ (`outs`). Not each stage has `params`: `.get`.",
]
misconceptions = [
    (
        'def suspects(one, two):\n    return {name for name in one.keys() & two.keys() if one[name]["outs"] != two[name]["outs"]}',
        "other parameters",
    ),
    (
        'def suspects(one, two):\n    return {n for n in one.keys() & two.keys() if one[n]["outs"] != two[n]["outs"] and one[n].get("params") == two[n].get("params")}',
        "deps",
    ),
    (
        "def suspects(one, two):\n    return {name for name in one.keys() & two.keys() if one[name] != two[name]}",
        "nothing is wrong with",
    ),
    (
        'def suspects(one, two):\n    return {n for n in one.keys() & two.keys() if "params" in one[n] and all(one[n][p] == two[n].get(p) for p in ("cmd", "deps", "params")) and one[n]["outs"] != two[n]["outs"]}',
        "when the key is missing",
    ),
]

# %%
print("same inputs, other outputs:", suspects(hasty, clean))

# %% [markdown]
# If `evaluate` gave another number, it also had another input: innocent. The cure for a variable: make it a
# **parameter**. Then it has a name, a value that git remembers, and a stage that watches it.

# %%
variable = 'int(os.environ.get("QUICK", len(train)))]  # QUICK=50: a quick try'
edit("train.py", variable, 'params["most"]]')
edit("params.yaml", "longest: 2", "longest: 2, most: 100000")
edit("params.yaml", "smoothing: 0.5", "smoothing: 1.0")

# %% [markdown]
# The ledger, then. Which of the six did DVC notice when it was asked the first time?

# %%
six = {
    "smoothing 10": "a declared value",
    "one new review": "the data",
    "train.py skips long reviews": "a script",
    "longest 2": "an undeclared value",
    "words.py splits at apostrophes": "an undeclared module",
    "your window": "an environment variable",
}
rows = [next(row for row in ledger if row["change"] == change) for change in six]
stages = ["prepare", "train", "evaluate"]
grid = np.array([[float(row[stage] == "ran") for stage in stages] for row in rows])
noticed = int(grid.any(axis=1).sum())
noticed_guess.compare(noticed)
tracking.record("noticed_of_six", noticed)

# %%
figure = plots.heatmap(
    grid,
    list(six.values()),
    stages,
    title=f"Six changes, each with another model: DVC noticed {noticed}",
    ylabel="what changed",
)
for text in figure.axes[0].texts:
    text.set_text("ran" if text.get_text() == "1" else "skipped")
figure.axes[1].remove()  # a scale from skipped to ran says nothing
plots.show(figure, alt=f"Which stages ran after six changes; DVC noticed {noticed} of them.")

# %% [markdown]
# ## Your fine-tuning stage, and two accidents
#
# <!-- asked: D12-T4 -->
# Now the real thing joins: LoRA on MiniLM, in a script of its own. First its beginning. It reads its values before it
# loads anything heavy, so that a slip in `params.yaml` costs a tenth of a second and not ten.

# %%
finetune = '''
"""LoRA on the training sentences, then its answers to the test sentences."""
import csv
from pathlib import Path
import yaml

params = yaml.safe_load(Path("params.yaml").read_text())["finetune"]
steps, rank, rate = params["steps"], params["rank"], params["learning_rate"]
train, test = (list(csv.DictReader(open(f"data/{n}.csv"))) for n in ("train", "test"))

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed
from labhelpers import models

set_seed(params["seed"])
'''

# %% [markdown]
# The middle: a few steps of training, in a loop of five lines.

# %%
finetune += """
source = models.source("encoder")
tokenizer = AutoTokenizer.from_pretrained(source)
base = AutoModelForSequenceClassification.from_pretrained(source, num_labels=2)
model = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", r=rank, lora_alpha=2 * rank))
optimizer = torch.optim.AdamW(model.parameters(), lr=rate)

def logits(rows):
    texts = [row["text"] for row in rows]
    options = {"padding": True, "truncation": True, "max_length": 64}
    return model(**tokenizer(texts, return_tensors="pt", **options)).logits.float()

model.train()
for step in range(steps):
    rows = [train[(16 * step + at) % len(train)] for at in range(16)]
    labels = torch.tensor([int(row["label"]) for row in rows])
    torch.nn.functional.cross_entropy(logits(rows), labels).backward()
    optimizer.step()
    optimizer.zero_grad()
"""

# %% [markdown]
# And the end: keep the adapter, answer the test sentences.

# %%
finetune += """
model.eval()
model.save_pretrained("models/adapter")
with torch.inference_mode():
    parts = [logits(test[at : at + 32]) for at in range(0, len(test), 32)]
answers = torch.cat(parts).argmax(dim=1).tolist()
rows = [(row["label"], answer) for row, answer in zip(test, answers)]
with open("answers/lora.csv", "w", newline="") as file:
    csv.writer(file).writerows([("label", "answer"), *rows])
"""
write("finetune.py", finetune)
steps = settings.pick(smoke=3, cpu=60)
block = f"finetune: {{steps: {steps}, rank: 8, learning_rate: 0.001, seed: 42}}\n"
write("params.yaml", (project / "params.yaml").read_text() + block)

# %% [markdown]
# Your turn to write the stage. Read the script with DVC's eyes: which files does it open, which values does it
# read, what does it leave behind?

# %% tags=["exercise"] exercise="day12/stage" answer="stage" minutes=8 difficulty=2
# The stage for finetune.py, as YAML text: cmd, deps, params, outs, as in the dvc.yaml above.
# Only what stands *below* its name: the name `finetune:` comes with the next cell.
stage = ...
# <solution>
stage = """
cmd: python finetune.py
deps: [finetune.py, data/train.csv, data/test.csv]
params: [finetune]
outs: [models/adapter, answers/lora.csv]
"""
# </solution>


# %% tags=["check"] exercise="day12/stage"
def check(answer):
    if not isinstance(answer, str):
        return f"This is a {type(answer).__name__}. Write the lines of YAML as one text, between triple quotes."
    try:
        parsed = yaml.safe_load(answer)
    except yaml.YAMLError as error:
        return f"YAML cannot read this: {str(error).splitlines()[0]}. Are all brackets closed, and is there a blank after each colon?"
    if not isinstance(parsed, dict):
        return "There should be keys with values, such as `cmd: ...`, one a line."
    if "finetune" in parsed:
        return "Leave the line with the name out, and begin with `cmd:`; the next cell puts the name in front."
    if strange := {*parsed} - {"cmd", "deps", "params", "outs"}:
        return f"Four words are enough here: cmd, deps, params, outs. What is {sorted(strange)[0]!r} for?"
    if missing := [word for word in ("cmd", "deps", "params", "outs") if not parsed.get(word)]:
        return f"`{missing[0]}:` is missing, or empty."
    if str(parsed["cmd"]).split() != ["python", "finetune.py"]:
        return "The command is what you would type in the project's folder to run the script."
    lists = {
        word: parsed[word] if isinstance(parsed[word], list) else [parsed[word]]
        for word in ("deps", "params", "outs")
    }
    if any(isinstance(entry, dict) for entry in lists["outs"]):
        return "No options, please. With `persist: true` DVC would not clear the old adapter away, and a half-written new one would lie in the same folder: the result depends on history."
    deps, outs = set(lists["deps"]), set(lists["outs"])
    if "finetune.py" not in deps:
        return "If somebody mends the script itself, should the stage not run again?"
    if "params.yaml" in deps:
        return "A dependency on all of params.yaml would train again whenever anybody changes any number in it."
    if "data/test.csv" not in deps:
        return "The script does more than train. Which other file does it open?"
    if "data" in deps or "data/train.csv" not in deps:
        return "Name each file that the script opens: the sentences to train on, and those to answer."
    if extra := deps - {"finetune.py", "data/train.csv", "data/test.csv"}:
        return f"The script never opens {sorted(extra)[0]}, so a change there is none of its business."
    wanted = [f"finetune.{name}" for name in ("steps", "rank", "learning_rate", "seed")]
    if left := undeclared([str(entry) for entry in lists["params"]], wanted):
        return f"{left[0]} can change without anybody noticing: the first silence again. One word covers the whole block."
    if {str(entry).split(".")[0] for entry in lists["params"]} != {"finetune"}:
        return (
            "You declare values that the script does not read. Its block is called `finetune`."
        )
    if "models" in outs or "answers" in outs:
        return "Two stages may not own the same folder: words.json lies there as well. Name what *this* script writes."
    if outs != {"models/adapter", "answers/lora.csv"}:
        return "Two things are left behind: the folder with the adapter, and the file with the answers."
    return None


hints = [
    "Opened for reading: the script itself, two CSV files. Written: one folder, one file.",
    "`params: [finetune]` declares the whole block.",
    "The train stage in the dvc.yaml above has the same shape.",
]
misconceptions = [
    (
        'stage = "cmd: python finetune.py\\ndeps: [finetune.py, data/train.csv]\\nparams: [finetune]\\nouts: [models/adapter, answers/lora.csv]"',
        "more than train",
    ),
    (
        'stage = "cmd: python finetune.py\\ndeps: [finetune.py, data/train.csv, data/test.csv]\\nparams: [finetune.rank, finetune.learning_rate]\\nouts: [models/adapter, answers/lora.csv]"',
        "first silence",
    ),
    (
        'stage = "cmd: python finetune.py\\ndeps: [finetune.py, data/train.csv, data/test.csv]\\nparams: [finetune]\\nouts: [models, answers/lora.csv]"',
        "same folder",
    ),
    (
        'stage = "cmd: python finetune.py\\ndeps: [finetune.py, data/train.csv, data/test.csv]\\nparams: [finetune]\\nouts: [models/adapter: {persist: true}, answers/lora.csv]"',
        "depends on history",
    ),
    (
        'stage = "cmd: python finetune.py\\ndeps: [finetune.py, params.yaml, data/train.csv, data/test.csv]\\nparams: [finetune]\\nouts: [models/adapter, answers/lora.csv]"',
        "any number",
    ),
    (
        'stage = "finetune:\\n  cmd: python finetune.py\\n  deps: [finetune.py]"',
        "Leave the line with the name out",
    ),
]

# %% [markdown]
# The new stage goes into `dvc.yaml`, and `evaluate` must hear of the new answers. (If you forget that, nothing tells
# DVC that marking comes after fine-tuning.) And while we are at it, we let `evaluate.py` print what everybody wants
# to know, the gain. Typed in a hurry:

# %%
steps_now = yaml.safe_load((project / "dvc.yaml").read_text())
steps_now["stages"]["finetune"] = yaml.safe_load(stage)
steps_now["stages"]["evaluate"]["deps"].append("answers/lora.csv")
write("dvc.yaml", yaml.safe_dump(steps_now, sort_keys=False))
edit(
    "evaluate.py",
    'Path("metrics.json")',
    'marks["gain"] = marks["lora"] - marks["word"]\nPath("metrics.json")',
)

# %% [markdown]
# (You have seen it? `"word"`, where the key is `"words"`. Leave it. A run that fails at its last step, after the
# expensive one has succeeded, is the most ordinary thing in the world, and DVC has two surprises for that day.)
#
# **The first accident.** The fine-tuning will succeed, the marking will fail, and then somebody types `git add .`. Git
# should not take a single file of DVC's: data, models and answers are ignored, and have been all morning.

# %%
taken_guess = widgets.predict(
    "day12-taken", "How many files that DVC keeps would `git add .` take?", 0, 10
)

# %%
print("\n".join(listen("dvc repro").splitlines()[-2:]))

# %%
added = listen("git add --dry-run .").splitlines()
taken = [line for line in added if "models/" in line or "answers/" in line]
print("\n".join(added))
taken_guess.compare(len(taken))
tracking.record("unignored_files", len(taken))

# %% [markdown]
# The adapter itself is on the list. What happened? While it runs, DVC adds a line to `.gitignore` for each *new*
# output. If the command fails, it tidies up and takes back the lines that it wrote during this command, also those
# of the stages that succeeded. A later failure of another stage has un-ignored your model.
#
# Mend the typo and run again: surely that mends the rest?

# %%
edit("evaluate.py", '["word"]', '["words"]')
row = repro("typo mended")
added = listen("git add --dry-run .").splitlines()
print("still taken:", sum("models/" in line or "answers/" in line for line in added))

# %% [markdown]
# No. `finetune` was up to date, so DVC had no reason to look at its ignore lines. And once such a file is committed,
# git keeps its bytes for ever, and DVC will refuse to run: `output 'models/adapter' is already tracked by SCM`.
#
# The cure is to not depend on anybody's tidiness: three lines that *you* write, before the first run.

# %%
write(".gitignore", "__pycache__/\n/data/\n/models/\n/answers/\n")
run("git add .")
run("git status --short")

# %% [markdown]
# Scripts, settings, pointers and one number file: now you may commit. (In your own project: look at `git status`
# before each commit. A file that you would not read has no business there.)

# %%
run("git commit -qm 'LoRA joins'")
tracking.record("lora_accuracy", marks()["lora"])
print({name: f"{value:.1%}" for name, value in marks().items()})

# %% [markdown]
# (LoRA behind the word counter? It has seen 16 sentences a step, fewer than a thousand in all, and the counter has seen
# every one. Day 4 trained for longer; today the pipeline is the subject.)
#
# **The second accident.** You rename a value in `finetune.py`, `steps` to `max_steps`, and forget `params.yaml`. The
# script will stop at its third line, long before it trains or writes anything. The good adapter is committed in
# `dvc.lock`, and it lies in `models/adapter`: three files.

# %%
left_guess = widgets.predict(
    "day12-left", "How many of the three files are left after the failure?", 0, 3
)


# %%
def adapter_files():
    return sorted(path.name for path in (project / "models" / "adapter").glob("*"))


before = adapter_files()
edit("finetune.py", 'params["steps"]', 'params["max_steps"]')
print("\n".join(listen("dvc repro").splitlines()[-2:]))
left = adapter_files()
print(f"before: {before}\nafter:  {left}")
left_guess.compare(len(left))
tracking.record("adapter_files_left", len(left))

# %% [markdown]
# A tenth of a second of a script that never trained, and the model is gone from your disk. It is in the table of the
# morning: outs are *deleted before the step runs*. DVC does it so that no old file can pass for a new one. Hours of
# training, if it had been a big model. But you know where to look.

# %%
run("git restore finetune.py")
run("dvc checkout")
print(adapter_files() == before)

# %% [markdown]
# `dvc checkout` reads the lock and takes from the cache what it names. That is the whole trick, and the reason to
# have a cache: whatever a finished stage has written can be deleted from your folder at any time.
#
# Before we go on, where is the adapter in the cache? It is a folder, and its fingerprint ends in `.dir`: a small list
# of the fingerprints of its files.

# %%
lock = yaml.safe_load((project / "dvc.lock").read_text())
folder = next(
    out for out in lock["stages"]["finetune"]["outs"] if out["path"] == "models/adapter"
)
print(folder["md5"])
for entry in json.loads(in_cache(cache, folder["md5"]).read_text()):
    print(f"  {in_cache(cache, entry['md5']).stat().st_size:>9,} bytes  {entry['relpath']}")

# %% [markdown]
# ## One flow for git and DVC, and the way back
#
# <!-- asked: D12-T8, X-24 -->
# Two tools, two sets of commits, and every project has its own custom. Here is one that fits on a card. The
# order matters twice: the code is committed *before* the run, so that a run can name it; the data is pushed before
# the pointer to it.
#
# | | do | undo |
# |---|---|---|
# | 1 | change one thing; `git commit -am "Try …"` | `git revert HEAD` |
# | 2 | `dvc repro` | `git restore dvc.lock metrics.json`, then `dvc checkout` |
# | 3 | `dvc metrics diff`, `dvc params diff HEAD~1` | nothing was changed |
# | 4 | `git status`, `git add .`, `git commit -m "Result: …"` | `git reset --soft HEAD~1` |
# | 5 | `git tag small-smoothing` | `git tag -d small-smoothing` |
# | 6 | `dvc push`, then `git push` with the tag | `git revert`, then `dvc checkout`; never rewrite what others have |
#
# The right column read from below is the way back. Walk it both ways. First a place to push to: for DVC a plain
# folder (on other days a bucket or a server), for git a bare repository.

# %%
run("git init -q --bare -b main ../hub.git")
run("git remote add origin ../hub.git")
run("dvc remote add -q --default store ../store")
run("git commit -qam 'A remote'")

# %%
start = marks()
edit("params.yaml", "smoothing: 1.0", "smoothing: 0.2")
run("git commit -qam 'Try: smoothing 0.2'")
row = repro("smoothing 0.2")
run("dvc metrics diff")

# %%
for command in ("git add .", "git commit -qm 'Result: smoothing 0.2'", "git tag smoothing-0.2"):
    run(command)
run("git log --oneline -3 --decorate")

# %% [markdown]
# On second thoughts: no. Steps 5, 4, 2 and 1 are taken back.

# %%
for command in (
    "git tag -d smoothing-0.2",
    "git reset -q --soft HEAD~1",
    "git restore --staged --worktree dvc.lock metrics.json",
    "dvc checkout -q",
    "git revert --no-edit HEAD",
):
    run(command)
print("as before:", marks() == start)

# %% [markdown]
# Now the last step, both pushes, and the proof of the pudding: a colleague with an empty disk.

# %%
run("git tag first-lora")
run("dvc push")
run("git push -q origin main first-lora")

# %%
colleague = project.parent / "colleague"
run("git clone -q hub.git colleague", folder=project.parent)
theirs = colleague / "models" / "words.json"
print("after git clone, the model is there:", theirs.exists())
(colleague / ".dvc" / "config.local").write_text("[cache]\ntype = hardlink,symlink\n")
run("dvc pull", folder=colleague)
same = fingerprint(theirs) == fingerprint(model_file)
print("the same model, to the last bit:", same)
tracking.record("pulled_alike", float(same))

# %% [markdown]
# The line with `hardlink` is the promise of this morning. The colleague has little space and asks DVC for links instead
# of copies. Then one and the same file has two names, and DVC takes away the right to write, so that no script can
# spoil the cache through the other name:

# %%
pulled = yaml.safe_load((colleague / "dvc.lock").read_text())["stages"]["train"]["outs"]
twin = in_cache(colleague / ".dvc" / "cache", pulled[1]["md5"])
rights = oct(theirs.stat().st_mode)[-3:]
print(f"the same file as in the cache: {twin.samefile(theirs)}; rights {rights}: read only")
store = in_cache(project.parent / "store", pulled[1]["md5"])
print(f"and in the store, under the same name: {store.exists()}")

# %% [markdown]
# One subtlety before somebody relies on it: `dvc push` sent what *this* commit names. Older tags stay behind unless
# you ask for them (`--all-tags`), and a pointer to data that is nowhere is worth nothing.
#
# And for an evening of trying? Commits for each attempt would be noise. `dvc exp run` runs with other values and files
# the attempt away beside your branch, out of sight, with a name:

# %%
run("dvc exp run -q --name rare-words -S train.smoothing=0.05")
run('dvc exp show --md --only-changed --drop ".*(csv|json)|Created"')

# %% [markdown]
# `dvc exp apply rare-words` would bring it back at any time, `dvc exp remove` forgets it. Note the first line: the
# workspace *holds* the attempt now. (`dvc exp run --queue` lines attempts up for later; the queue's worker takes a
# quarter of a minute to wake, so we leave it asleep.)

# %%
run("git restore .")
run("dvc checkout -q")
print("as before:", marks() == start)

# %% tags=["exercise"] exercise="day12/undo" answer="undo" minutes=6 difficulty=2
# Six evenings, six ways out. Which number helps on which evening? Use each once.
# "a"  A training was cut off, and models/adapter is gone. Nothing was committed since.
# "b"  I changed a number in params.yaml, ran nothing, and want the old one.
# "c"  I ran `dvc repro`; it got worse; nothing is committed.
# "d"  `git add .` took data/train.csv, and I committed it. It is not pushed.
# "e"  The bad result is committed and pushed; others have it.
# "f"  I cloned the project: code, but no data and no model.
#  1  git restore params.yaml           4  git rm --cached data/train.csv; git commit --amend
#  2  git restore . ; dvc checkout      5  git revert HEAD; dvc checkout
#  3  dvc checkout                      6  dvc pull
undo = ...  # such as {"a": 1, "b": 2, ...}
# <solution>
undo = {"a": 3, "b": 1, "c": 2, "d": 4, "e": 5, "f": 6}
# </solution>


# %% tags=["check"] exercise="day12/undo"
def check(answer):
    if not isinstance(answer, dict) or set(answer) != set("abcdef"):
        return "Write a dictionary with the six letters as keys, and a number for each."
    if answer["f"] == 3:
        return "f: `dvc checkout` takes from the cache, and a fresh clone has an empty one. The bytes are somewhere else."
    if answer["a"] == 6:
        return "a: The remote would help too, if you had pushed. But the model never left your own disk: look in the cache."
    if answer["a"] == 2:
        return "a: `git restore .` would also throw away what you were working on, and it is not git that lost the model."
    if answer["b"] == 2 or answer["c"] == 1:
        return "b and c: where nothing ran, only one text file differs. After a run the lock differs too, and files that git does not hold."
    if answer["e"] in (2, 4):
        return "e: What others have already fetched is not rewritten. A new commit takes the old one back, in the open."
    if answer["d"] == 5:
        return "d: A revert commits the file's removal, and its bytes stay in git's history for ever. As long as nothing is pushed, the commit itself can be mended."
    right = {"a": 3, "b": 1, "c": 2, "d": 4, "e": 5, "f": 6}
    wrong = [letter for letter in "abcdef" if answer[letter] != right[letter]]
    if wrong:
        return f"{wrong[0]}: Who lost something here, git or DVC? And where do the bytes still lie: cache, remote, or nowhere?"
    return None


hints = [
    "Where do the bytes still lie? In git, in the cache, or only in the remote.",
    "Text files come back with git. What `outs` name comes back with `dvc checkout`, or, if this disk never had it, with `dvc pull`.",
    "Pushed or not pushed decides between mending a commit and taking it back with a new one.",
]
misconceptions = [
    ('undo = {"a": 6, "b": 1, "c": 2, "d": 4, "e": 5, "f": 3}', "fresh clone has an empty one"),
    ('undo = {"a": 2, "b": 1, "c": 3, "d": 4, "e": 5, "f": 6}', "throw away"),
    ('undo = {"a": 3, "b": 2, "c": 1, "d": 4, "e": 5, "f": 6}', "only one text file"),
    ('undo = {"a": 3, "b": 1, "c": 2, "d": 5, "e": 4, "f": 6}', "in the open"),
    ('undo = {"a": 3, "b": 1, "c": 2, "d": 5, "e": 5, "f": 6}', "history for ever"),
    ('undo = {"a": 6, "b": 1, "c": 2, "d": 4, "e": 5, "f": 6}', "never left your own disk"),
]

# %% [markdown]
# ## What you saw

# %%
print(f"DVC noticed {noticed} of six changes. Silent: an undeclared value, an undeclared")
print("file, an environment variable.")
print(f"A failure un-ignored {len(taken)} files, and another one deleted the adapter.")
print(f"DVC holds {share:.1%} of the bytes; git holds their names.")
print("right answers now:", {name: f"{value:.1%}" for name, value in marks().items()})

# %% [markdown]
# So how much is "didn't change, skipping" worth? As much as your `dvc.yaml` is complete: one block of parameters
# per stage, each opened file declared, nothing from the environment. Then, now and then, a run by force in a clean
# window.
#
# The guide to [what broke in my pipeline](../../curriculum/guides/broken_pipeline.md) goes on where this lesson ends:
# symptom, cause, cure.
#
# And your own project? `lab project new my-project` makes it, with an empty stage `finetune_model` in its `dvc.yaml`:
# today's exercise once more, on scripts that you have not seen. `lab project check my-project --day day12` judges it.
#
# One sentence for your journal: which of the silences have you been living with?

# %%
my_words = ...  # for example: "My training script reads a folder that no stage declares."
entry = f"DVC noticed {noticed} of six changes."
progress.write_journal("day12", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %%
if not settings.is_interactive():
    place.cleanup()  # a run by machine leaves nothing behind

# %% tags=["quiz"]
quiz = [
    {
        "question": "You change a value in params.yaml and `dvc repro` says that everything is up to date. What is the likely reason?",
        "choices": [
            (
                "No stage declares that value.",
                "DVC watches declared values, not the file. Declare the block, and the stage runs.",
                True,
            ),
            (
                "DVC looks at params.yaml only when it is committed.",
                "It reads the file as it lies there; commits do not matter for that.",
                False,
            ),
            (
                "The new value gives the same result.",
                "It might, but DVC cannot know that without running the stage.",
                False,
            ),
            (
                "`dvc repro` needs `--force` after a change of parameters.",
                "For a declared value it needs nothing. With --force it would run here as well, and hide the gap in dvc.yaml.",
                False,
            ),
        ],
    },
    {
        "question": "Two of your data files have exactly the same content. How many copies are in DVC's cache?",
        "choices": [
            (
                "One: the content is the name.",
                "Both have the same fingerprint, so both pointers lead to one file.",
                True,
            ),
            (
                "Two, one for each path.",
                "Paths stand in the pointers and in dvc.lock. The cache knows content only.",
                False,
            ),
            (
                "None: DVC refuses copies.",
                "It has no objection. It just does not store the same bytes twice.",
                False,
            ),
        ],
        "proof": (
            "import hashlib\n"
            "names = {hashlib.md5(text).hexdigest() for text in (b'same', b'same', b'other')}\n"
            "assert len(names) == 2\n"
        ),
    },
    {
        "question": "You add a blank line to prepare.py. It writes the same files as before. What runs?",
        "choices": [
            (
                "All stages: the first one has changed.",
                "Later stages look at the files, not at who made them. Those are the same.",
                False,
            ),
            (
                "prepare only.",
                "Another fingerprint, so it runs; the same outputs, so nobody after it does.",
                True,
            ),
            (
                "Nothing: a blank line is no change.",
                "DVC compares bytes. It does not read Python.",
                False,
            ),
        ],
        "proof": (
            "import hashlib\n"
            "md5 = lambda text: hashlib.md5(text.encode()).hexdigest()\n"
            "script, longer = 'print(1)\\n', 'print(1)\\n\\n'\n"
            "assert md5(script) != md5(longer)\n"
            "from contextlib import redirect_stdout\n"
            "from io import StringIO\n"
            "said = []\n"
            "for code in (script, longer):\n"
            "    with redirect_stdout(StringIO()) as out:\n"
            "        exec(code)\n"
            "    said.append(md5(out.getvalue()))\n"
            "assert said[0] == said[1]\n"
        ),
    },
    {
        "question": "A long training is cut off by a power failure. models/adapter, good this morning, is empty. Is it lost?",
        "choices": [
            (
                "Yes. DVC deleted it before the run.",
                "From your folder, yes. The cache still has what dvc.lock names.",
                False,
            ),
            (
                "No: `dvc checkout` takes it from the cache.",
                "As long as the lock of the last good run is there, and nobody emptied the cache.",
                True,
            ),
            (
                "No: git has it.",
                "Git has the pointer. The bytes are DVC's.",
                False,
            ),
            (
                "No, if the stage had `persist: true`.",
                "Then the old files would still lie there, mixed with what the broken run wrote. That is worse than nothing.",
                False,
            ),
        ],
    },
    {
        "question": "You tag a result, `git push` the tag, and forget `dvc push`. What does your colleague get?",
        "choices": [
            (
                "Everything: git push calls DVC.",
                "Only if you have installed DVC's git hooks. By itself git knows nothing of it.",
                False,
            ),
            (
                "Nothing: git refuses a tag whose data is missing.",
                "Git does not look into dvc.lock. It pushes the text and is content.",
                False,
            ),
            (
                "Code and fingerprints, and a `dvc pull` that cannot find the files.",
                "A name for bytes that lie on your disk alone. Hence the order: data first, then the pointer.",
                True,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Is your training reproducible? `dvc repro --force finetune`, then `git diff dvc.lock`. No difference: the same
#   adapter, to the last bit. Now set another number of threads (`OMP_NUM_THREADS`, an environment variable!).
# - A cache only grows. `dvc gc --workspace --dry` says what it would throw away, and it is a good habit to read that
#   twice: what no commit, tag or branch *that you name* needs is gone for good.
