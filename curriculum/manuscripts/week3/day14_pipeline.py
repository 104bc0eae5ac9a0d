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
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from labhelpers import exercise, plots, production, progress, quiz, settings, tracking, widgets

lab = settings.start("day14")

# %% [markdown]
# ## Why today matters
#
# Four researchers fetched public notebooks from GitHub and ran them again: 863,878 of them, each with its Python
# version and the order of its cells on record. In how many of a hundred did the same result come out?

# %%
notebooks_guess = widgets.predict(
    "day14-notebooks", "Of 100 public notebooks, how many gave the same result again?", 0, 100
)

# %%
notebooks_guess.compare(4.03)  # and 24.11 ran to their end at all: Pimentel et al. 2019

# %% [markdown]
# Each of them had worked once, on one machine. So does your project. Today the three scripts of Day 13 become one
# pipeline, and then the question is: **would a stranger get your number?** She has a clone of your repository and
# nothing else of yours.
#
# One thing in advance, so that you can look for it: there is a fault in your project. It has been there since the
# first day. Everything runs in spite of it, and no test is red.
#
# ## Three stages, one dvc.yaml

# %%
project = production.ready("day14")

# %% [markdown]
# The helper of Day 12 again: it runs a command in a folder and prints what the command says. (The settings: this
# Python's `dvc` comes first, no colours, no usage statistics, no talk of MLflow's about its tables, and no plugins
# of pytest that a project does not need.)

# %%
environment = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "FORCE_COLOR": "",
    "COLUMNS": "110",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
}


# %%
def listen(command, folder=project):
    """Run one command and return what it says."""
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    return "\n".join(line for line in done.stdout.splitlines() if line.strip())


def run(command, folder=project):
    said = listen(command, folder)
    print(f"$ {command}" + (f"\n{said}" if said else ""))


# %%
pipeline = project / "dvc.yaml"
print(pipeline.read_text(encoding="utf-8"))

# %% [markdown]
# <!-- asked: D14-T1 -->
# `prepare_data → finetune_model → evaluate_model`. Two of them stand there, the third is a skeleton. Two things
# to notice in the first two. `"${prepare.raw}"` fetches the path from `params.yaml`, so it is written in one
# place only. And `finetune_model` names two splits and not the folder, because training must have no business
# with the test split.
#
# To complete the third, read its code with DVC's eyes. It lies in three files of `src/evaluation` (whatever else is
# in there belongs to Week 4). These are the lines that import, open, ask for a setting, or write:

# %%
marks = r"from src|\.jsonl|models/|\bchosen\.|files\.write|\"train\""
for name in ("answers", "evaluate", "summary"):
    path = project / "src" / "evaluation" / f"{name}.py"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if re.search(marks, line) and not line.startswith(("#", '"')):
            print(f"{path.name:12} {number:3}  {line.strip()}")

# %% [markdown]
# (Leave out `src/logs.py`. It changes what a script *says* while it works, never what it writes, and a training
# should not run again because of a nicer message. Such an exception is fine as long as somebody decided it.)


# %% tags=["exercise"] exercise="day14/stage" answer="stage" minutes=10 difficulty=2
# The stage evaluate_model, as YAML text: cmd, deps, params, outs, metrics. Only what stands
# *below* its name. predictions.csv is for DVC to keep; report.md and metrics.json are small,
# git shall have them: `{cache: false}`, as with plots/curve.csv above.
stage = ...
# <solution>
stage = """
cmd: python -m src.evaluation.evaluate
deps:
  - src/config.py
  - src/files.py
  - src/tracking.py
  - src/evaluation/answers.py
  - src/evaluation/evaluate.py
  - src/evaluation/summary.py
  - data/finetuning/train.jsonl
  - data/finetuning/test.jsonl
  - models/adapter
params: [task, model, evaluate]
outs:
  - predictions.csv
  - report.md: {cache: false}
metrics:
  - metrics.json: {cache: false}
"""
# </solution>


# %% tags=["check"] exercise="day14/stage"
def check(answer):
    from labhelpers.production import rebuild

    if not isinstance(answer, str):
        return f"This is a {type(answer).__name__}. Write the lines of YAML as one text, between triple quotes."
    try:
        parsed = yaml.safe_load(answer)
    except yaml.YAMLError as error:
        return f"YAML cannot read this: {str(error).splitlines()[0]}. Is there a blank after each colon, and are all brackets closed?"
    if not isinstance(parsed, dict):
        return "There should be keys with values, such as `cmd: ...`, one a line."
    if "evaluate_model" in parsed or "stages" in parsed:
        return "Leave the line with the name out, and begin with `cmd:`; the next cell puts the name in front."
    if strange := {*parsed} - {"cmd", "deps", "params", "outs", "metrics", "plots", "desc"}:
        return f"DVC knows no word {sorted(strange)[0]!r} in a stage. Five are enough: cmd, deps, params, outs, metrics."
    for word in ("deps", "params", "outs", "metrics"):
        if not isinstance(parsed.get(word, []), list):
            return f"`{word}:` wants a list, even of one: a line with a dash for each entry, or `[one, two]`."
    with tempfile.TemporaryDirectory() as place:
        text = yaml.safe_dump({"stages": {"evaluate_model": parsed}})
        (Path(place) / "dvc.yaml").write_text(text, encoding="utf-8")
        if problem := rebuild.undeclared(Path(place), "evaluate_model"):
            return f"Look again: {problem}"
    entries = {
        word: {
            name: options or {}
            for entry in parsed.get(word) or []
            for name, options in (entry if isinstance(entry, dict) else {entry: {}}).items()
        }
        for word in ("deps", "outs", "metrics")
    }
    if both := {*entries["deps"]} & {*entries["outs"], *entries["metrics"]}:
        return f"It reads {sorted(both)[0]} and writes it. Then it would have to come before itself: DVC draws no circles."
    if "metrics.json" not in entries["metrics"]:
        return "metrics.json is kept like any other file. Below `metrics:` it would be more: `dvc metrics diff` looks for it there."
    small = entries["outs"] | entries["metrics"]
    for name in ("metrics.json", "report.md"):
        if small.get(name, {}).get("cache") is not False:
            return f"{name} goes to DVC's cache, and git ignores it: whoever clones the project cannot see what you claim. Add `cache: false` to it."
    return None


hints = [
    "Its own code: the three files of src/evaluation/ above, and the three modules of src/ that their lines import and that matter: config, files, tracking.",
    "The word counter, its rival, learns from the training split. So two splits are read, and the adapter.",
    "`chosen.task`, `chosen.model…`, `chosen.evaluate…`: three names for `params`. A name stands for its whole block.",
    "The curve of finetune_model shows how an option is written: `- report.md: {cache: false}`.",
]
misconceptions = [
    (
        "stage = 'cmd: python -m src.evaluation.evaluate\\ndeps: [src/config.py, src/files.py, src/tracking.py, src/evaluation, data/finetuning/test.jsonl, models/adapter]\\nparams: [task, model, evaluate]\\nouts: [predictions.csv, report.md: {cache: false}]\\nmetrics: [metrics.json: {cache: false}]\\n'",
        "reads data/finetuning/train.jsonl",
    ),
    (
        "stage = 'cmd: python -m src.evaluation.evaluate\\ndeps: [src/config.py, src/files.py, src/tracking.py, src/evaluation/evaluate.py, src/evaluation/answers.py, data/finetuning, models/adapter]\\nparams: [task, model, evaluate]\\nouts: [predictions.csv, report.md: {cache: false}]\\nmetrics: [metrics.json: {cache: false}]\\n'",
        "reads src/evaluation/summary.py",
    ),
    (
        "stage = 'cmd: python -m src.evaluation.evaluate\\ndeps: [src/config.py, src/files.py, src/tracking.py, src/evaluation, data/finetuning, models/adapter]\\nparams: [task, evaluate]\\nouts: [predictions.csv, report.md: {cache: false}]\\nmetrics: [metrics.json: {cache: false}]\\n'",
        "uses model of params.yaml",
    ),
    (
        "stage = 'cmd: python -m src.evaluation.evaluate\\ndeps: [src/config.py, src/files.py, src/tracking.py, src/evaluation, data/finetuning, models/adapter]\\nparams: [task, model, finetune, evaluate]\\nouts: [predictions.csv, report.md: {cache: false}]\\nmetrics: [metrics.json: {cache: false}]\\n'",
        "never uses",
    ),
    (
        "stage = 'cmd: python -m src.evaluation.evaluate\\ndeps: [src/config.py, src/files.py, src/tracking.py, src/evaluation, data/finetuning, models/adapter]\\nparams: [task, model, evaluate]\\nouts: [predictions.csv]\\nmetrics: [metrics.json: {cache: false}]\\n'",
        "makes report.md",
    ),
    (
        "stage = 'cmd: python -m src.evaluation.evaluate\\ndeps: [src/config.py, src/files.py, src/tracking.py, src/evaluation, data/finetuning, models/adapter]\\nparams: [task, model, evaluate]\\nouts: [predictions.csv, metrics.json: {cache: false}, report.md: {cache: false}]\\n'",
        "Below `metrics:`",
    ),
    (
        "stage = 'cmd: python -m src.evaluation.evaluate\\ndeps: [src/config.py, src/files.py, src/tracking.py, src/evaluation, data/finetuning, models/adapter]\\nparams: [task, model, evaluate]\\nouts: [predictions.csv, report.md]\\nmetrics: [metrics.json]\\n'",
        "cannot see what you claim",
    ),
    (
        "stage = 'evaluate_model:\\n  cmd: python -m src.evaluation.evaluate\\n'",
        "Leave the line",
    ),
]

# %% [markdown]
# Into the file with it, unless something of yours stands there already. Then the first judge: `production.check`
# (in a terminal: `lab project check`) compares what a stage declares with what its script does.

# %%
skeleton = r"(  evaluate_model:\n)    cmd: .*\n" + r"    (?:deps|params|outs): \[\].*\n" * 3
below = "".join(f"    {line}\n" for line in stage.strip().splitlines())
text = pipeline.read_text(encoding="utf-8")
pipeline.write_text(re.sub(skeleton, lambda at: at[1] + below, text), encoding="utf-8")
declared = production.check(project, "day14")

# %% [markdown]
# <!-- asked: D14-T5 -->
# And the drawing, in which nobody drew an arrow by hand:

# %%
run("dvc dag")

# %% [markdown]
# Two arrows lead to `evaluate_model`: the adapter from one side, the splits from the other. Now before anything
# runs: how far does a change reach?

# %% tags=["exercise"] exercise="day14/reach" answer="reach" minutes=4 difficulty=1
# After a whole run you change one thing. How many of the three stages can run again, at most?
# "a"  evaluate.resamples in params.yaml      "d"  src/config.py
# "b"  finetune.lora_r in params.yaml         "e"  README.md
# "c"  model.max_length in params.yaml        "f"  one more line in the raw file
reach = ...  # such as {"a": 3, "b": 3, "c": 3, "d": 3, "e": 3, "f": 3}
# <solution>
reach = {"a": 1, "b": 2, "c": 2, "d": 3, "e": 0, "f": 3}
# </solution>


# %% tags=["check"] exercise="day14/reach"
def check(answer):
    if not isinstance(answer, dict) or set(answer) != set("abcdef"):
        return "Write a dictionary with the six letters as keys, and a number from 0 to 3 for each."
    replies = {
        "a2": "a: Training reads `finetune` and `model`. Who reads `evaluate`?",
        "b1": "b: Another adapter comes out, and somebody reads the adapter: follow the arrow.",
        "b3": "b: An arrow leads from prepare_data to finetune_model, not back. Changes run downhill.",
        "c1": "c: Two stages declare `model`: one cuts the texts to learn, one those to judge.",
        "c3": "c: prepare_data declares [task, prepare]. It counts no tokens, and has nothing before it that does.",
        "d1": "d: Look for src/config.py in each of the three lists of deps.",
        "e3": "e: No stage reads README.md. DVC knows only the files that it was told of.",
        "f1": "f: Other raw texts, other splits. Who reads those, and who reads what comes out?",
    }
    for letter, right in {"a": 1, "b": 2, "c": 2, "d": 3, "e": 0, "f": 3}.items():
        if answer[letter] != right:
            general = f"{letter}: Find who declares it, among the deps or the params, and follow the arrows from there."
            return replies.get(f"{letter}{answer[letter]}", general)
    return None


hints = [
    "For each: which of the three lists it, in `deps` or `params`? Then everything behind it in the drawing.",
    "A block such as `model` stands for each value in it.",
]
misconceptions = [
    ('reach = {"a": 1, "b": 1, "c": 2, "d": 3, "e": 0, "f": 3}', "follow the arrow"),
    ('reach = {"a": 1, "b": 2, "c": 1, "d": 3, "e": 0, "f": 3}', "Two stages declare"),
    ('reach = {"a": 1, "b": 2, "c": 2, "d": 1, "e": 0, "f": 3}', "each of the three lists"),
    ('reach = {"a": 1, "b": 2, "c": 2, "d": 3, "e": 3, "f": 3}', "No stage reads README.md"),
    ('reach = {"a": 3, "b": 3, "c": 3, "d": 3, "e": 3, "f": 3}', "a: Find who declares it"),
]

# %% [markdown]
# ## Run it all, and read the report
#
# <!-- asked: D14-T3 -->
# The cache is empty, so everything runs: one to three minutes, depending on the machine. Meanwhile a guess. The
# report will give the score on the test split with a 95 % interval. How wide will that be?

# %%
width_guess = widgets.predict("day14-width", "Width of the score's interval, in points", 0, 50)

# %%
run("dvc repro")

# %%
score = json.loads((project / "metrics.json").read_text(encoding="utf-8"))
width = 100 * (score["score_high"] - score["score_low"])
width_guess.compare(round(width, 1))
tracking.record("score", score["score"])
tracking.record("interval_points", width)

# %% [markdown]
# (If `metrics.json` is not there, a stage has failed: its last line says why, and `production.check(project)`
# which piece is not right yet. Mend it and run `dvc repro` again. What succeeded is skipped.)
#
# The last stage wrote a page for a person. Read it as somebody who has to decide something.

# %%
report = (project / "report.md").read_text(encoding="utf-8")
print(report.partition("## The worst")[0])

# %% [markdown]
# The line that matters is the last of the table. Both models answered the *same* texts, so the report takes the
# difference text by text and asks how far its mean would move with other texts of the same kind (Day 3's paired
# bootstrap). If that interval holds 0, this test cannot tell the two apart. Does it help to look at short and
# long texts apart? Each half has half the texts, so its interval is about 1.4 times as wide:

# %%
answers = pd.read_csv(project / "predictions.csv")
gain = 100 * (answers["score"] - answers["baseline_score"])  # one of -100, 0, 100 for each text
length = answers["text"].str.len().rank(method="first", pct=True)
groups = {
    "all": gain,
    "shorter half": gain[length <= 0.5],
    "longer half": gain[length > 0.5],
}
estimates = {}
for name, values in groups.items():
    error = values.std() / len(values) ** 0.5
    estimates[name] = [
        values.mean(),
        values.mean() - 1.96 * error,
        values.mean() + 1.96 * error,
    ]

# %%
mean, low, high = estimates["all"]
figure = plots.interval_bars(
    [f"{name} ({len(groups[name])} texts)" for name in estimates],
    list(estimates.values()),
    reference=0,
    reference_label="no difference",
    title=f"Gain over the rival: {mean:+.0f} points, {low:+.0f} to {high:+.0f} would fit too",
    xlabel="points gained on the rival, with a 95 % interval",
)
alt = f"Gain over the rival: {mean:+.0f} points ({low:+.0f} to {high:+.0f}); two halves below."
plots.show(figure, alt=alt)

# %% tags=["exercise"] exercise="day14/claims" answer="claims" minutes=5 difficulty=2
# Five sentences that somebody wants to put below the report. Which of them does it support?
# "a"  On these test texts the share of right answers (or the mean ROUGE-L) is the score.
# "b"  On as many other texts of the same source this model would most likely score inside the
#      interval.
# "c"  Train again with another seed, and 95 in 100 of those models score inside the interval.
# "d"  The fine-tuned model is better than its rival.
# "e"  On texts of another kind, such as tweets, expect a score inside the interval.
claims = ...  # such as {"a", "c"}
# <solution>
claims = {"a", "b"} | ({"d"} if score["gain_low"] > 0 else set())
# </solution>


# %% tags=["check"] exercise="day14/claims"
def check(answer):
    if isinstance(answer, str | list | tuple):
        answer = set(answer)
    if not isinstance(answer, set) or not answer <= set("abcde"):
        return "Write a set of letters, such as {'a', 'c'}."
    better = score["gain_low"] > 0
    interval = f"{score['gain_low']:+.3f} to {score['gain_high']:+.3f}"
    if "c" in answer:
        return "c: The interval comes from drawing test texts again and again, always with the same model. A second training it has never seen. The report's last sentence says so."
    if "e" in answer:
        return "e: The test texts come from the same source as the training texts. About other texts no one has asked the model anything."
    if "d" in answer and not better:
        return f"d: The difference goes from {interval}. That holds 0: with other test texts the rival may well be ahead."
    if "d" not in answer and better:
        return f"d: The difference goes from {interval}, all of it above 0. On texts of this kind you may say it."
    if "a" not in answer:
        return "a: That is what the score is: a count on these very texts. No claim is safer."
    if "b" not in answer:
        return "b: This is precisely what the interval is for: other test texts, same source, same model."
    return None


hints = [
    "Ask of each sentence what it lets vary: the test texts, the training, or the kind of text. Only one of these was varied.",
    "For d look at the interval of the difference. Does it hold 0?",
]
misconceptions = [
    ('claims = {"a", "b", "c"}', "A second training"),
    ('claims = {"a", "b", "e"}', "same source"),
    (
        'claims = {"a", "b"} | ({"d"} if score["gain_low"] <= 0 else set())',
        "The difference goes from",
    ),
    ('claims = {"a"} | ({"d"} if score["gain_low"] > 0 else set())', "other test texts"),
]

# %% [markdown]
# A first whole run is worth a commit. Then a change with all three tools: what did I change, what runs, what came
# of it? (`resamples` says how often the test texts are drawn again for the interval.)

# %%
for command in ("git add --all", "git commit -q -m 'First whole run'"):
    run(command)

# %%
params_file = project / "params.yaml"
text = params_file.read_text(encoding="utf-8")
params_file.write_text(re.sub(r"resamples: \d+", "resamples: 200", text), encoding="utf-8")
run("dvc params diff")
run("dvc repro " + settings.pick(smoke="--dry", cpu=""))  # --dry: say only what would run
run("dvc metrics diff")

# %% [markdown]
# Case "a" of the exercise: one stage. The score itself stands still, since the same model answered the same
# texts; if anything moved, it is an end of an interval, because it is drawn by lot. (`dvc plots diff` does for
# `plots/curve.csv` what `metrics diff` does for numbers, as an HTML page.) Back to what is committed:

# %%
run("git restore params.yaml dvc.lock metrics.json report.md")

# %% [markdown]
# ## Every number once
#
# <!-- asked: D14-T2 -->
# `params.yaml` begins with a promise: every number that somebody chose, once. A promise that nobody checks is
# kept until the first busy afternoon. A colleague has one: he sends a small script to try the model, and a
# sentence for the README. Here is his branch, in a clone of its own.

# %%
place = tempfile.TemporaryDirectory(prefix="day14-")
review = Path(place.name).resolve() / "review"
run(f"git clone -q {shlex.quote(str(project))} review", review.parent)
params = yaml.safe_load(params_file.read_text(encoding="utf-8"))
values = {
    f"{section}.{name}": value
    for section, block in params.items()
    if isinstance(block, dict)
    for name, value in block.items()
    if isinstance(value, int | float)
}
print(values)

# %%
size = values["finetune.batch_size"]
script = f'''"""Try the model on a text: python -m src.predict "A fine film." """
import sys
from peft import AutoPeftModelForSequenceClassification
from transformers import AutoTokenizer

ADAPTER, MAX_LENGTH = "models/adapter", {values["model.max_length"]}
tokenizer = AutoTokenizer.from_pretrained(ADAPTER)
model = AutoPeftModelForSequenceClassification.from_pretrained(ADAPTER).eval()
texts = sys.argv[1:]
options = dict(padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
for start in range(0, len(texts), {size}):  # as many as fit
    print(model(**tokenizer(texts[start : start + {size}], **options)).logits.argmax(dim=1))
'''
with (review / "src" / "predict.py").open("w", encoding="utf-8") as file:
    file.write(script)

# %%
rank, epochs, rate = (
    values[f"finetune.{key}"] for key in ("lora_r", "epochs", "learning_rate")
)
sentence = f"The adapter (lora_r = {rank}) learnt: {epochs} epochs, learning_rate {rate:.0e}.\n"
with (review / "README.md").open("a", encoding="utf-8") as file:
    file.write(f"\n{sentence}")
print(sentence)

# %% [markdown]
# Every number in it is right. Would you have approved? Let a function read it. What counts as a copy: one line
# that holds the *name* of a value (in capitals or not) and the *same number*. Both, because a 16 alone may be
# anything. This part is given:


# %%
def numbers(line):
    """All numbers of a line: "1e-3, not 2_000" gives [0.001, 2000.0]."""
    found = re.findall(r"(?<![\w.])\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)", line, re.IGNORECASE)
    return [float(number) for number in found]


print(numbers("MAX_LENGTH = 128  # 0.001 is 1e-3 is 1.0E-03, and lora_r8 is a name"))


# %% tags=["exercise"] exercise="day14/copies" answer="copies" minutes=10 difficulty=3
# values: such as {"model.max_length": 128, "finetune.epochs": 2}. text: what is in a file.
# Return a list of pairs (line number from 1, full name): one for each value whose name, without
# its section and in capitals or not, occurs in a line that also holds the same number. In the
# order of the lines, then in that of `values`.
def copies(values, text): ...


# <solution>
def copies(values, text):
    return [
        (at, name)
        for at, line in enumerate(text.splitlines(), start=1)
        for name, value in values.items()
        if name.split(".")[-1] in line.lower() and value in numbers(line)
    ]


# </solution>


# %% tags=["check"] exercise="day14/copies"
def check(answer):
    some = {"model.max_length": 128, "finetune.learning_rate": 0.001, "finetune.lora_r": 8}

    def found(text):
        made = answer(some, text)
        return made if made is None else [tuple(pair) for pair in made]

    if found("max_length = 128") is None:
        return "The function returns nothing. Did it end without `return`?"
    if found("max_length = 128") == [(0, "model.max_length")]:
        return "Your first line is line 0. Editors, and people, begin with 1."
    if found("max_length = 128") == [(1, "max_length")]:
        return "Give the full name, with its section: in a big params.yaml two sections may have a `seed`."
    if not found("max_length = 128"):
        return "For a file `max_length = 128` nothing is found. The section, `model.`, is not written in a script: compare the last part of the name."
    if not found("MAX_LENGTH = 128"):
        return "`MAX_LENGTH = 128` is a copy as well. Compare with the line in small letters."
    if not found("learning_rate=1e-3"):
        return "`learning_rate=1e-3` is the same number as 0.001. Compare numbers, not how they are spelt: `numbers(line)`."
    if found("max_length = 1280") or found("max_length = 12.8, 128x"):
        return "`max_length = 1280` is another number, and you report it. Compare whole numbers: `numbers(line)`."
    if found("for start in range(0, 900, 128):"):
        return "A 128 without the name is no copy: any loop may have one. The name has to stand in the line, too."
    if found("max_length = params.model.max_length"):
        return "A line that reads the value from params.yaml is just what we want, and you report it. Only the name together with the number is a copy."
    if found("lora_r = rank\nsteps = 8"):
        return (
            "Name and number stand on different lines there. Ask both of one and the same line."
        )
    if len(found("lora_r 8, max_length 128")) < 2:
        return "One line can hold two copies. Report each."
    if found("lora_r 8, max_length 128")[0][1] != "model.max_length":
        return "Within a line, keep the order of `values`."
    return None


def inputs(draw):
    some = {"a.rate": 0.001, "b.rate": 0.5, "b.size": 16, "c.rows": 2000, "c.seed": 0, "d.r": 8}
    words = [
        "rate",
        "size",
        "rows",
        "seed",
        "r",
        "RATE",
        "Size",
        "SEED",
        "rates",
        "resize",
        "other",
    ]
    spelt = ["0.001", "1e-3", "16", "16.0", "160", "2_000", "2000", "0", "0.5", "8", "1.6e1"]
    yield some, ""
    yield {}, "rate 16"
    yield some, "\n\nrate = 1e-3\n\nsize=16 rate=0.5"
    for _ in range(12):
        lines = [
            " ".join(draw.permutation([*draw.choice(words, 2), *draw.choice(spelt, 2)]))
            for _ in range(5)
        ]
        yield some, "\n".join(lines)


def agrees(expected, found):
    return [tuple(pair) for pair in found] == expected


hints = [
    "Two loops: `for at, line in enumerate(text.splitlines(), start=1)`, and in it one over `values.items()`.",
    'The last part of a name: `name.split(".")[-1]`. The line in small letters: `line.lower()`.',
    "The number: `value in numbers(line)` compares as numbers, whatever the spelling.",
]
misconceptions = [
    (
        'def copies(values, text):\n    return [(at, name) for at, line in enumerate(text.splitlines(), 1) for name, value in values.items() if name.split(".")[-1] in line.lower() and str(value) in line]',
        "not how they are spelt",
    ),
    (
        "def copies(values, text):\n    return [(at, name) for at, line in enumerate(text.splitlines(), 1) for name, value in values.items() if value in numbers(line)]",
        "may have one",
    ),
    (
        'def copies(values, text):\n    return [(at, name) for at, line in enumerate(text.splitlines(), 1) for name, value in values.items() if name.split(".")[-1] in line.lower()]',
        "is another number",
    ),
    (
        'def copies(values, text):\n    return [(at, name) for at, line in enumerate(text.splitlines(), 1) for name, value in values.items() if name.split(".")[-1] in line and value in numbers(line)]',
        "in small letters",
    ),
    (
        'def copies(values, text):\n    return [(at, name) for at, line in enumerate(text.splitlines()) for name, value in values.items() if name.split(".")[-1] in line.lower() and value in numbers(line)]',
        "line 0",
    ),
    (
        "def copies(values, text):\n    return [(at, name) for at, line in enumerate(text.splitlines(), 1) for name, value in values.items() if name in line.lower() and value in numbers(line)]",
        "is not written in a script",
    ),
]


# %%
def all_copies(folder, values):
    """The copies in code, tests and README of a project: (file, line number, name)."""
    files = [
        folder / "README.md",
        *(folder / "src").rglob("*.py"),
        *(folder / "tests").rglob("*.py"),
    ]
    return [
        (path.relative_to(folder).as_posix(), *pair)
        for path in files
        for pair in copies(values, path.read_text(encoding="utf-8"))
    ]


# %%
print("in your project:", *all_copies(project, values), sep="\n  ")
found = all_copies(review, values)
print("on his branch:", *found, sep="\n  ")
his = [row for row in found if row[0] in ("README.md", "src/predict.py")]
tracking.record("copies_on_branch", len(his))

# %% [markdown]
# All his copies are found. The size of his batches is left alone, rightly: for trying out he may take any. What
# the function finds in your own project you have to judge: a help text that counts seeds "from 0 on" is a
# coincidence. (When we wrote this lesson it also found two true copies, in *our* tests. Nobody had seen them.)
#
# Why the fuss, if every number is right? Because of the day on which one of the two changes.

# %%
changed = values | {"model.max_length": 48}
print("after model.max_length: 48 in params.yaml:", *all_copies(review, changed), sep="\n  ")

# %% [markdown]
# One line has vanished from the list, and not because it is mended. The script still cuts at the old length, the
# model learns with the new one, no error is raised, and the function is blind now: two numbers that differ are no
# copies any more. Look for copies while they still agree.
#
# The cures. A script asks: `config.load(Path("params.yaml")).model.max_length`. A README points to `params.yaml`
# instead of repeating it. `dvc.yaml` fetches: `"${prepare.raw}"`. And a number that nobody will ever want to vary
# may stay in the code, once, under a name; the script is among the `deps`, so DVC notices when it changes.
#
# If all of that holds, one file decides what the project *is*. Even the task: answers instead of labels, SmolLM2
# instead of MiniLM. No line of code changes, and no line of `dvc.yaml`.

# %%
other = yaml.safe_load((review / "params.yaml").read_text(encoding="utf-8"))
other["task"] = "generate"
other["prepare"] |= {"raw": "data/raw/chat.jsonl", "rows": 320}
other["model"] |= {"base": "smollm2", "max_length": 256}
other["finetune"] |= {"learning_rate": 2.0e-4, "batch_size": 4, "epochs": 1}

# %%
(review / "params.yaml").write_text(yaml.safe_dump(other, sort_keys=False), encoding="utf-8")
run("dvc params diff", review)

# %% [markdown]
# (`lab project new --task generate` makes a project with these settings, raw data included. Then `evaluate_model`
# counts ROUGE-L instead of right answers, and the rival is the model before its fine-tuning. It trains for some
# minutes on two cores, so not now.)
#
# ## A stranger clones it
#
# <!-- asked: D14-T4 -->
# Now the experiment that has been waiting since this morning. The stranger types `git clone`. The raw data she
# gets by `dvc pull`; we put the file there by hand, since your project may have no remote yet. Then she types
# `dvc repro`. How many of the three stages run to their end?

# %%
stranger_guess = widgets.predict(
    "day14-stranger", "Stages that run to their end in the stranger's clone", 0, 3
)

# %%
stranger = review.parent / "stranger"
run(f"git clone -q {shlex.quote(str(project))} stranger", review.parent)
raw = params["prepare"]["raw"]
shutil.copyfile(project / raw, stranger / raw)
said = listen("dvc repro", stranger)
print(said)

# %%
started = re.findall(r"Running stage '(\w+)'", said)
ended = [name for name in started if f"failed to reproduce '{name}'" not in said]
stranger_guess.compare(len(ended))
tracking.record("stages_in_the_clone", len(ended))

# %% [markdown]
# She has a message about a file that she has never heard of. *You* have that file. What else have you got that
# she has not?


# %%
def sources(folder):
    return {path.relative_to(folder).as_posix() for path in (folder / "src").rglob("*.py")}


missing = sorted(sources(project) - sources(stranger))
print(f"{len(sources(project))} scripts here, {len(sources(stranger))} in the clone. Missing:")
print(*missing, sep="\n")
tracking.record("scripts_missing", len(missing))

# %% [markdown]
# All of `src/models`. (Nothing is missing? Then you have mended it on an earlier visit. Put the line back, if you
# want to see it fail.) And git, which was to watch over all this, has no complaint:

# %%
run("git status --short")
run("git check-ignore -v " + " ".join(missing or ["src"]))

# %% [markdown]
# `git check-ignore -v` names the culprit: file, line, pattern. Somebody wanted to keep adapters out of git and
# wrote `models/`. The slash at the end says "folders only". What is missing is one in *front*. A pattern without
# a slash at its beginning or in its middle fits **at any depth**: `models/`, `src/models/`, `a/b/c/models/`. With
# it, `/models/`, it fits in the folder of the `.gitignore` and nowhere else.
#
# `git add --all` skipped the folder without a word on the very first day, and your disk has covered it up ever
# since: the scripts are *here*. Nothing that runs in this folder can find the fault. It takes another folder.

# %% tags=["exercise"] exercise="day14/ignore" answer="ignored" minutes=8 difficulty=2
# The lines that shall stand in the project's .gitignore in place of `models/`.
# git must not take:                          git must take:
#   models/adapter/adapter.safetensors          src/models/finetune.py
#   models/checkpoints/c9/optimizer.pt          src/data/prepare_finetuning_data.py
#   data/finetuning/train.jsonl                 data/raw/sentences.csv.dvc   (DVC's pointer)
#   data/raw/sentences.csv                      plots/curve.csv
#   predictions.csv                             metrics.json
ignored = ...  # a list of lines, such as ["models/", ".env"]
# <solution>
ignored = ["/models/", "/data/finetuning/", "/data/raw/*.csv", "/predictions.csv"]
# </solution>


# %% tags=["check"] exercise="day14/ignore"
def ignoring(lines, names):
    """Which line of a .gitignore hides each name, asked of git itself: name → line, '' for none."""
    with tempfile.TemporaryDirectory() as folder:
        git = ["git", "-C", folder, "-c", "core.excludesFile="]
        subprocess.run([*git, "init", "-q"], check=True, capture_output=True)
        for name in names:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / name).touch()
        (Path(folder) / ".gitignore").write_text("\n".join(lines) + "\n", encoding="utf-8")
        ask = [*git, "check-ignore", "-v", "-n", *names]
        told = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
    rows = [line.split("\t") for line in told.splitlines()]
    rules = {name: rule.split(":", 2)[2] for rule, name in rows}
    return {name: "" if rule.startswith("!") else rule for name, rule in rules.items()}


def check(answer):
    if isinstance(answer, str):
        answer = answer.split("\n")
    if not isinstance(answer, list | tuple) or not all(
        isinstance(line, str) for line in answer
    ):
        return "Write a list of lines, each a text: ['models/', '.env']."
    hide = [
        "models/adapter/adapter.safetensors", "models/checkpoints/c9/optimizer.pt",
        "data/finetuning/train.jsonl", "data/raw/sentences.csv", "predictions.csv",
    ]  # fmt: skip
    keep = [
        "src/models/finetune.py", "src/data/prepare_finetuning_data.py",
        "data/raw/sentences.csv.dvc", "plots/curve.csv", "metrics.json",
    ]  # fmt: skip
    rules = ignoring(answer, hide + keep)
    for name in keep:
        if rule := rules[name]:
            why = {
                "src/models/finetune.py": "That is the stranger's trouble again. Where does the pattern begin?",
                "src/data/prepare_finetuning_data.py": "The same trap with the other folder: there are two of that name.",
                "data/raw/sentences.csv.dvc": "Without the pointer nobody knows which bytes to pull. (`dvc add` would refuse: 'is git-ignored'.) Ignore the files in the folder, not the folder.",
                "plots/curve.csv": "It is small, and you want to see its changes. Say *where* the .csv files lie that git shall not take.",
            }
            return (
                f"{rule!r} hides {name}. {why.get(name, 'It is a result that git shall keep.')}"
            )
    for name in hide:
        if not rules[name]:
            return f"git would still take {name}. Which line is to stop it?"
    return None


hints = [
    "A slash in front ties a pattern to the folder in which the .gitignore lies.",
    "A slash in the middle does so, too: `data/finetuning/` can only mean that one folder.",
    "`/data/raw/*.csv` fits sentences.csv and not sentences.csv.dvc: the pattern has to fit to the end.",
]
misconceptions = [
    (
        'ignored = ["models/", "/data/finetuning/", "/data/raw/*.csv", "/predictions.csv"]',
        "Where does the pattern begin",
    ),
    ('ignored = ["/models/", "data/", "/predictions.csv"]', "there are two of that name"),
    ('ignored = ["/models/", "/data/", "/predictions.csv"]', "which bytes to pull"),
    ('ignored = ["/models/", "/data/finetuning/", "*.csv"]', "*where* the .csv files lie"),
    (
        'ignored = ["/models/adapter/", "/data/finetuning/", "/data/raw/*.csv", "/predictions.csv"]',
        "git would still take models/checkpoints",
    ),
]

# %% [markdown]
# What took us five cells is one command, for every project of yours to come: `lab project check --fresh-clone`.
# It clones into an empty folder, runs everything without a cache, and compares. First on the project as it is:

# %%
before = production.check(project, "day14", fresh_clone=True)

# %% [markdown]
# The same line of `.gitignore`. Now mend it. And look at what git says the moment it may:

# %%
ignore_file = project / ".gitignore"
text = ignore_file.read_text(encoding="utf-8")
new = re.sub(
    r"^models/\n", lambda _: "".join(f"{line}\n" for line in ignored), text, flags=re.M
)
ignore_file.write_text(new, encoding="utf-8")
run("git add --all")
run("git status --short")
run("git commit -q -m 'Tie .gitignore to the root: src/models belongs to git'")

# %% [markdown]
# `A` for added: the heart of your project enters its repository. And the stranger?

# %%
rebuilt = production.check(project, "day14", fresh_clone=True)
tracking.record("rebuilt", float(rebuilt))

# %% [markdown]
# There it is: the whole way from raw texts to the report, in a folder that had nothing but commits and the raw
# file. On one and the same machine even the last digit agrees, as a rule.
#
# Two more faults of this kind, and one of another. We plant each in a copy and let the check find it.

# %%
copy = review.parent / "copy"
run(f"git clone -q {shlex.quote(str(project))} copy", copy.parent)


def plant(name, old, new):
    """Change a file of the copy and commit it."""
    text = (copy / name).read_text(encoding="utf-8")
    (copy / name).write_text(text.replace(old, new), encoding="utf-8")
    run("git -c user.name=Me -c user.email=me@localhost commit -q -a -m Plant", copy)


# %%
plant("params.yaml", "raw: data/", f"raw: {copy}/data/")
absolute = production.check(copy, "day14", fresh_clone=True)
run("git reset -q --hard HEAD~1", copy)
(copy / "metrics.json").write_text('{"score": 0.99}', encoding="utf-8")
by_hand = production.check(copy, "day14", fresh_clone=True)
run("git reset -q --hard", copy)

# %% [markdown]
# A path that exists on your disk alone, and a number that no commit made. (Here the check need not even run
# anything.) The third is the silence of Day 12:

# %%
stages = yaml.safe_load((copy / "dvc.yaml").read_text(encoding="utf-8"))
third = stages["stages"]["evaluate_model"]
third["deps"] = [name for name in third["deps"] if "evaluation" not in name]
(copy / "dvc.yaml").write_text(yaml.safe_dump(stages), encoding="utf-8")
declared = production.check(copy, "day14")

# %% [markdown]
# Would the fresh clone have found that one? No. In a fresh clone everything runs, so an undeclared script does no
# harm there. In your folder everything lies around, so a missing file does none. Two judges, each blind where the
# other sees: ask both.
#
# And some things no clone *on this machine* can show, because the clone borrows them as well:
#
# | borrowed | what the stranger needs |
# |---|---|
# | the base model in this machine's cache: `base: minilm` | a name that she can fetch, with its revision |
# | the installed packages | `pip install -r requirements.txt`, versions pinned |
# | environment variables | none that changes a result (Day 12) |
# | this processor | the patience to accept a last digit that differs: hence the interval |
#
# ## A page for the stranger
#
# What does she see first? The README, with a table of the stages that somebody typed once. It will be wrong after
# the next change of `dvc.yaml`: a copy again, of words this time. So let code make it. First, what a row has to
# say:


# %% tags=["exercise"] exercise="day14/describe" answer="describe" minutes=8 difficulty=2
# stage: one stage of dvc.yaml, as yaml gives it, such as
#   {"cmd": "...", "deps": ["src/a.py", "raw.csv"], "params": ["prepare"],
#    "outs": ["data", {"report.md": {"cache": False}}]}
# Return three lists of names: what it reads (its deps, but no code, so nothing below "src/"),
# what it writes (outs, then metrics, then plots), and its params. Each key may be missing.
def describe(stage): ...


# <solution>
def describe(stage):
    def names(key):
        entries = stage.get(key, [])
        return [
            name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)
        ]

    reads = [name for name in names("deps") if not name.startswith("src/")]
    return reads, names("outs") + names("metrics") + names("plots"), names("params")


# </solution>


# %% tags=["check"] exercise="day14/describe"
def check(answer):
    plain = {
        "cmd": "go",
        "deps": ["src/a.py", "raw.csv"],
        "params": ["prepare"],
        "outs": ["data"],
    }
    rich = plain | {
        "outs": ["data", {"page.md": {"cache": False}}],
        "metrics": [{"m.json": {"cache": False}}],
        "plots": [{"curve.csv": {"x": "step"}}],
    }
    try:
        first = answer(plain)
        bare = answer({"cmd": "go"})
    except KeyError as error:
        return f"A stage need not have {error}. `stage.get(key, [])` gives an empty list then."
    if first is None:
        return "The function returns nothing. Did it end without `return`?"
    if not isinstance(first, tuple | list) or len(first) != 3:
        return "Return three lists: reads, writes, params."
    reads, writes, chosen = map(list, first)
    if "src/a.py" in reads:
        return "Leave the code out: a name below src/ tells a stranger nothing about the data."
    if reads != ["raw.csv"] or chosen != ["prepare"] or writes != ["data"]:
        return f"For a stage with one raw file, one block and one output you return {reads}, {writes}, {chosen}."
    if [*map(list, bare)] != [[], [], []]:
        return "A stage with only a `cmd` reads and writes nothing: three empty lists."
    writes = list(answer(rich)[1])
    if any(isinstance(name, dict) for name in writes):
        return "An entry with options is a dictionary with one key, and that key is the name. Take the name out."
    if any("{" in name for name in writes):
        return "`str` of an entry with options shows its braces. The key of that dictionary is the name."
    if "m.json" not in writes or "curve.csv" not in writes:
        return "Metrics and plots are written by the stage as well. They stand below keys of their own."
    if "page.md" not in writes:
        return "You leave out the entries with options. `report.md` is one, and a person wants to read it."
    if writes != ["data", "page.md", "m.json", "curve.csv"]:
        return f"Keep the order: outs, metrics, plots. You give {writes}."
    return None


def inputs(draw):
    def entry(name):
        return {name: {"cache": False}} if draw.random() < 0.5 else name

    for _ in range(10):
        stage = {"cmd": "go"}
        for key in ("deps", "params", "outs", "metrics", "plots"):
            if draw.random() < 0.7:
                count = int(draw.integers(0, 4))
                start = ["src/", "data/", "source", ""][int(draw.integers(0, 4))]
                stage[key] = [f"{start}{key}{at}" for at in range(count)]
                if key not in ("deps", "params"):
                    stage[key] = [entry(name) for name in stage[key]]
        yield stage


def agrees(expected, found):
    return [list(part) for part in found] == [list(part) for part in expected]


hints = [
    "Write a little function for one key: it gives the names of `stage.get(key, [])`.",
    "An entry is either a text, or a dictionary with one key: `[entry] if isinstance(entry, str) else list(entry)`.",
    '`not name.startswith("src/")` leaves the code out.',
]
misconceptions = [
    (
        "def describe(stage):\n    names = lambda key: [name for entry in stage.get(key, []) for name in ([entry] if isinstance(entry, str) else entry)]\n    return names('deps'), names('outs') + names('metrics') + names('plots'), names('params')",
        "Leave the code out",
    ),
    (
        "def describe(stage):\n    names = lambda key: [name for entry in stage.get(key, []) for name in ([entry] if isinstance(entry, str) else entry)]\n    return [n for n in names('deps') if not n.startswith('src/')], names('outs'), names('params')",
        "below keys of their own",
    ),
    (
        "def describe(stage):\n    get = lambda key: list(stage.get(key, []))\n    return [n for n in get('deps') if not n.startswith('src/')], get('outs') + get('metrics') + get('plots'), get('params')",
        "Take the name out",
    ),
    (
        "def describe(stage):\n    return [n for n in stage['deps'] if not n.startswith('src/')], [*stage['outs'], *stage['metrics']], stage['params']",
        "need not have",
    ),
    (
        "def describe(stage):\n    get = lambda key: [str(entry) for entry in stage.get(key, [])]\n    return [n for n in get('deps') if not n.startswith('src/')], get('outs') + get('metrics') + get('plots'), get('params')",
        "shows its braces",
    ),
]

# %%
stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"]
table = ["| stage | reads | writes | settings |", "|---|---|---|---|"]
for name, stage_now in stages.items():
    cells = [", ".join(f"`{each}`" for each in part) for part in describe(stage_now)]
    table.append(f"| `{name}` | {' | '.join(cells)} |")
print(*table, sep="\n")

# %% [markdown]
# A table made by code can still go stale, if nobody runs the code. So first a test, which `pytest` and every push
# will run: whatever `dvc.yaml` names as output or setting stands in the README.

# %%
test = '''"""The README knows every stage of dvc.yaml, what it writes, and its settings."""

from pathlib import Path

import pytest
import yaml

STAGES = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]


@pytest.mark.parametrize("name", STAGES)
def test_the_readme_knows_the_stage(name):
    stage, readme = STAGES[name], Path("README.md").read_text(encoding="utf-8")
    entries = [entry for key in ("outs", "metrics", "params") for entry in stage.get(key, [])]
    names = {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}
    assert [each for each in {name, *names} if f"`{each}`" not in readme] == []
'''
(project / "tests" / "test_readme.py").write_text(test, encoding="utf-8")
run("python -m pytest tests/test_readme.py -q --tb=no -p no:cacheprovider")

# %% [markdown]
# Red, as it should be: the table in the README is older than today's `dvc.yaml`. Now put ours in its place.

# %%
readme = project / "README.md"
text = readme.read_text(encoding="utf-8")
old = re.search(r"^\| stage .*\n(?:\|.*\n)+", text, re.MULTILINE)
fresh = "\n".join(table) + "\n"
text = text.replace(old[0], fresh) if old else f"{text}\n## The stages\n\n{fresh}"
readme.write_text(text, encoding="utf-8")
run("python -m pytest tests/test_readme.py -q --tb=no -p no:cacheprovider")
run("git add --all")
run("git commit -q -m 'README: the stages, made from dvc.yaml'")

# %% [markdown]
# The last section of the README stays yours, and no code can write it: whom the model serves, where the texts
# come from and under which licence, and for what it must not be used. Point to `report.md` for the numbers. You
# know now what happens to a number that stands twice.
#
# ## What you saw

# %%
print(
    f"The stranger's clone ended {len(ended)} of 3 stages: {len(missing)} scripts were missing."
)
print(f"Rebuilt after one line of .gitignore was mended: {rebuilt}.")
print(
    f"The score is {score['score']:.3f}, {score['score_low']:.3f} to {score['score_high']:.3f}."
)
print(f"Difference to the rival: {score['gain_low']:+.3f} to {score['gain_high']:+.3f}.")

# %% [markdown]
# So, would a stranger get your number? Now you need not hope; there is a command that plays the stranger. Run it
# before you show somebody a result. One sentence for your journal: which of your other projects would you not
# dare to clone?

# %%
my_words = ...  # for example: "My thesis reads a CSV from my desktop."
entry = f"A fresh clone ended {len(ended)} of 3 stages; after one mended line: {rebuilt}."
progress.write_journal("day14", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %%
if not settings.is_interactive():
    place.cleanup()  # a run by machine leaves nothing behind

# %% tags=["quiz"]
quiz = [
    {
        "question": "A .gitignore in the root says `results/`. Which of these files can git take?",
        "choices": [
            (
                "src/results/plot.py",
                "No slash in front or in the middle: the pattern fits at any depth, here too.",
                False,
            ),
            (
                "results.md",
                "Another name, and no folder: the slash at the end asks for folders.",
                True,
            ),
            (
                "results/readme.txt",
                "The folder is ignored, with all that is in it.",
                False,
            ),
        ],
        "proof": (
            "import subprocess, tempfile, pathlib\n"
            "with tempfile.TemporaryDirectory() as place:\n"
            "    git = ['git', '-C', place]\n"
            "    subprocess.run([*git, 'init', '-q'], check=True, capture_output=True)\n"
            "    (pathlib.Path(place) / '.gitignore').write_text('results/\\n')\n"
            "    names = ['src/results/plot.py', 'results.md', 'results/readme.txt']\n"
            "    said = subprocess.run([*git, 'check-ignore', *names], capture_output=True, text=True).stdout\n"
            "    assert said.split() == [names[0], names[2]]\n"
        ),
    },
    {
        "question": "The report says 0.74, interval 0.70 to 0.78. In a colleague's clone, on another processor, 0.736 comes out. What now?",
        "choices": [
            (
                "The pipeline is broken: a rebuild gives the same number or it is none.",
                "Another processor adds in another order, and a few texts on the border tip over. Bit for bit holds on one machine at best.",
                False,
            ),
            (
                "It is a rebuild: the claim was the interval, and 0.736 lies in it.",
                "That is the comparison the check makes, too.",
                True,
            ),
            (
                "Take the mean of both numbers for the report.",
                "Both scored the same test texts with nearly the same model. Averaging adds no information.",
                False,
            ),
        ],
        "proof": (
            "a, b, c = 0.1, 0.2, 0.3\n"
            "assert (a + b) + c != a + (b + c)  # the order of a sum shows in its last digit\n"
            "assert 0.70 <= 0.736 <= 0.78\n"
        ),
    },
    {
        "question": "evaluate.py imports a module that no stage declares. Which check can see that?",
        "choices": [
            (
                "The fresh clone: it fails.",
                "The module is in git, so the clone has it, and there everything runs anyway.",
                False,
            ),
            (
                "The comparison of dvc.yaml with what the script reads.",
                "Only a later change of that module would do harm, here in your folder: `dvc repro` would skip.",
                True,
            ),
            (
                "`dvc repro`: it complains about undeclared files.",
                "It does not read Python. What it was not told it cannot miss.",
                False,
            ),
        ],
    },
    {
        "question": "max_length is 128 in params.yaml and 128 in a script for trying out. When does that do harm?",
        "choices": [
            (
                "At once: DVC refuses two values of one name.",
                "DVC does not look into scripts, and two equal numbers trouble no one today.",
                False,
            ),
            (
                "When somebody changes one of them. Nothing will say so.",
                "Then the model is tried on texts that are cut in another way than in its training.",
                True,
            ),
            (
                "Never, as long as a comment says `as in training`.",
                "The comment will be wrong on the same day as the number.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Is your rebuild the same to the last bit? Clone, `dvc repro`, then `git diff dvc.lock`: no line means the same adapter, byte by
#   byte. Then try it with `OMP_NUM_THREADS=1`.
# - Give your project a remote (`dvc remote add -d store ../store`, `dvc push`) and run the check again: with one, it pulls like
#   a real stranger, and complains about what you forgot to push.
# - `lab project new ../writer --task generate`, then `dvc repro` there. Which of today's sentences about the report would you
#   have to change for ROUGE-L?
