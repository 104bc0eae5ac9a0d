# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import ast
import contextlib
import copy
import gc
import hashlib
import importlib.util
import inspect
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# %%
import mlflow
import numpy as np
import pandas as pd
import torch
import yaml
from matplotlib import pyplot as plt
from mlflow.models import infer_signature
from mlflow.store.fs2db import migrate
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from labhelpers import data, exercise, models, plots, progress, quiz, settings, tracking
from labhelpers import widgets

lab = settings.start("day11")

# %% [markdown]
# ## Why today matters
#
# Three weeks from now somebody asks about your best model: *trained on which sentences?* You open MLflow. The
# run is there, with well over a hundred parameters. It knows whether you used DeepSpeed. It does not know
# which sentences.
#
# Today we measure how bad that is. You will train one small model again and again and change exactly **one**
# thing each time: the learning rate, the seed, the number of steps, LoRA's rank, the seed of the split, the
# length at which sentences are cut, one single label, one line of code. `report_to="mlflow"` takes the minutes.
# Afterwards we ask the store: was anything different from the usual run?

# %%
guess = widgets.predict(
    "told-changes",
    "Of these eight changes, how many can the store tell from the usual run?",
    0,
    8,
)

# %% [markdown]
# The answer comes in the third part. By the end of the day you have written one file, `src/tracking.py`, that
# brings it to all eight.
#
# <!-- asked: D11-T1 -->
# ## One run, and where it all lies
#
# On earlier days our helper opened the store for you. Today you do it with the library itself. A store is two
# things: a **database** for everything short (names, numbers, tags), and a **folder** for files.

# %%
home = lab.workspace / "day11"
home.mkdir(exist_ok=True)
database, spare = home / "mlflow.db", home / "spare.db"
mlflow.set_tracking_uri(f"sqlite:///{database.as_posix()}")
default = mlflow.get_experiment("0")  # asking makes the tables, if there are none
if not spare.exists():
    shutil.copy(database, spare)  # a second store, where your answers will be tried out
print(f"database: {database}")
print(f"files of the experiment {default.name!r}: {default.artifact_location}")

# %% [markdown]
# Look at the last line. The database is where we put it, but the files of the experiment *Default* would go
# into `mlruns`, below whatever folder Python was started in. Start it elsewhere tomorrow and the next
# experiment's files lie elsewhere. So we say where, when an **experiment** (a drawer for runs that you want
# to compare) is made. Afterwards it cannot be changed.


# %%
def experiment(name, place=home):
    """Open a drawer for runs; a new one keeps its files beside the database."""
    if mlflow.get_experiment_by_name(name) is None:
        files = (place / "mlartifacts").as_uri()
        mlflow.create_experiment(name, artifact_location=files)
    mlflow.set_experiment(name)
    os.environ["MLFLOW_EXPERIMENT_NAME"] = name


client = mlflow.MlflowClient()
experiment("day11-words")

# %% [markdown]
# Now one **run**: one attempt at something. A word counter is enough for that. We let it learn from more and
# more sentences and log its accuracy each time. A metric's `step` is any whole number you like; here it is
# the number of sentences.

# %%
splits = data.prepared("sentiment")
names = np.array(splits["train"].features["label"].names)
texts, labels = np.array(splits["train"]["text"][:]), np.array(splits["train"]["label"])
held_texts = np.array(splits["validation"]["text"][:])
held_labels = np.array(splits["validation"]["label"])


def word_counter(C=1.0):
    return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), LinearSVC(C=C))


# %%
sizes = [int(share * len(texts)) for share in (0.1, 0.2, 0.5, 1)]
with mlflow.start_run(run_name="word-counter") as first:
    mlflow.log_params({"C": 1.0, "ngrams": 2, "split_seed": lab.seed})
    for size in sizes:
        counter = word_counter().fit(texts[:size], names[labels[:size]])
        right = counter.score(held_texts, names[held_labels])
        mlflow.log_metric("accuracy", right, step=size)
    mlflow.log_dict({"sizes": sizes}, "sizes.json")

# %% [markdown]
# What did that write? No need to believe anybody: it is an ordinary SQLite file, and you can look inside.

# %%
with contextlib.closing(sqlite3.connect(database)) as connection:
    for table in ("experiments", "runs", "params", "metrics", "tags"):
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        print(f"{table:<12}{rows:>4} rows")
    ask, of_this = connection.execute, [first.info.run_id]
    print(*ask("SELECT key, value FROM params WHERE run_uuid = ?", of_this))
    print(*ask("SELECT step, value FROM metrics WHERE run_uuid = ?", of_this))
print("files:", [file.path for file in client.list_artifacts(first.info.run_id)])

# %% [markdown]
# **Parameters** are what you chose: one text each, written once. **Metrics** are what you measured: one row per
# step, as many as you like. **Tags** are notes that may change. **Artefacts** are files, and lie in the folder.
#
# "Written once" is meant:

# %%
with mlflow.start_run(run_id=first.info.run_id):  # open the same run again
    try:
        mlflow.log_param("C", 10)
    except mlflow.MlflowException as refused:
        print(str(refused).splitlines()[0])

# %% [markdown]
# Good. A record that changes afterwards is no record.
#
# ### The data, as a fingerprint
#
# A **data set** can be logged as an input of the run. What is kept is a name, the columns and a **digest**, a
# short fingerprint of the content. One flipped label gives another one. But read the second line.


# %%
def digest(table):
    return mlflow.data.from_pandas(table, name="train").digest


table = pd.DataFrame({"text": texts, "label": names[labels]})
flipped = table.copy()
flipped.loc[0, "label"] = names[1 - labels[0]]
print("our sentences   ", digest(table), " one label flipped", digest(flipped))

long = pd.DataFrame({"n": np.arange(10_001.0)})
changed = long.copy()
changed.loc[10_000, "n"] = -1.0
print("10,001 numbers  ", digest(long), " the last one changed", digest(changed))

# %% [markdown]
# The digest reads the first 10,000 rows and counts the rest. Our review data set has a little more than that,
# and yours may have far more. A handy fingerprint, not a proof; for proof there is tomorrow's DVC, which reads
# every byte.
#
# ### A model with a signature, and a name in the registry
#
# A model is logged as files plus a **signature**: what goes in, what comes out. The **registry** is a list of
# names; each has numbered **versions**, and an **alias** such as `champion` is a bookmark you can move.

# %%
signature = infer_signature(held_texts[:3], counter.predict(held_texts[:3]))
with mlflow.start_run(run_id=first.info.run_id):
    mlflow.log_input(mlflow.data.from_pandas(table, name="train"), context="training")
    logged = mlflow.sklearn.log_model(
        counter, name="counter", signature=signature, pip_requirements=["scikit-learn"]
    )
with contextlib.suppress(mlflow.MlflowException):  # on a second visit the name is there
    client.create_registered_model("day11-words")
version = client.create_model_version("day11-words", logged.model_uri, first.info.run_id)
client.set_registered_model_alias("day11-words", "champion", version.version)

# %%
champion = mlflow.pyfunc.load_model("models:/day11-words@champion")
print(champion.predict(np.array(["A wonderful film.", "A terrible bore."])))
try:
    champion.predict(np.array([3.0, 4.0]))
except mlflow.MlflowException as refused:
    print("refused:", str(refused)[:110])

# %% [markdown]
# Whoever loads `champion` need not know its number, and numbers instead of sentences are turned away at the
# door. (The files hold no pickle: MLflow writes scikit-learn models as `skops`, which loads data and no code.)
# Day 15 is about the registry.
#
# ### Many runs: children, and searching by code
#
# A sweep makes one **parent** and many **children**. A child is an ordinary run with one more tag,
# `mlflow.parentRunId`.

# %%
with mlflow.start_run(run_name="sweep over C") as sweep:
    for C in (0.1, 1, 3, 10):
        with mlflow.start_run(run_name=f"C {C}", nested=True):
            mlflow.log_param("C", C)
            fitted = word_counter(C).fit(texts, names[labels])
            mlflow.log_metric("accuracy", fitted.score(held_texts, names[held_labels]))

# %%
children = mlflow.search_runs(
    experiment_names=["day11-words"],
    filter_string=f"tags.mlflow.parentRunId = '{sweep.info.run_id}' and metrics.accuracy > 0.5",
    order_by=["params.C ASC"],
)
children[["tags.mlflow.runName", "params.C", "metrics.accuracy"]].round(3)

# %% [markdown]
# Two things to notice. A filter takes `and`, but no `or`. And the order: 10 comes before 3. Parameters are *text*,
# so they sort like words, and `params.C > '1'` is refused altogether. For a number in a parameter, fetch the table
# and let pandas convert it; for a number you will want to filter by, log a metric as well.

# %%
children.assign(C=children["params.C"].astype(float)).sort_values("C")[
    ["C", "metrics.accuracy"]
]

# %% [markdown]
# ## A tour of the page, and why a chart lies
#
# <!-- asked: D11-T3 -->
# The page needs something worth looking at. So: MiniLM with LoRA, a real if short training, typed out. One
# argument is new. `report_to="mlflow"` makes the Trainer write into the run that is open.

# %%
from peft import get_peft_model, LoraConfig
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers import DataCollatorWithPadding, PrinterCallback, set_seed
from transformers import Trainer, TrainingArguments

tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
base = AutoModelForSequenceClassification.from_pretrained(
    models.source("encoder"), num_labels=2
)
collator = DataCollatorWithPadding(tokenizer)
gc.freeze()  # every Trainer collects garbage when it starts; not what is imported by now


# %%
longest = settings.pick(smoke=24, cpu=48)


def encoded(some_texts, some_labels, max_length=longest):
    """Sentences and labels in the form that a Trainer takes."""
    ids = tokenizer(list(some_texts), truncation=True, max_length=max_length)["input_ids"]
    return [
        {"input_ids": one, "labels": int(y)} for one, y in zip(ids, some_labels, strict=True)
    ]


few = settings.pick(smoke=16, cpu=1000)
chosen = np.random.default_rng(lab.seed).permutation(len(texts))[:few]
training_rows = encoded(texts[chosen], labels[chosen])
seen = settings.pick(smoke=16, cpu=100)
glimpse = encoded(held_texts[:seen], held_labels[:seen])
steps = settings.pick(smoke=20, cpu=120)

# %%
common = {
    "output_dir": str(home / "trainer"),
    "learning_rate": settings.pick(smoke=4e-3, cpu=2e-3),
    "max_steps": steps,
    "per_device_train_batch_size": settings.pick(smoke=4, cpu=8),
    "eval_strategy": "steps",
    "eval_steps": steps // 4,
    "save_strategy": "no",
    "seed": lab.seed,
    "use_cpu": settings.device() == "cpu",
    "disable_tqdm": True,
    "report_to": "mlflow",
}


# %%
def lora_training(rows, r=8, **changes):
    """Train a fresh adapter; what the Trainer reports goes into the open run."""
    args = TrainingArguments(**(common | changes))
    set_seed(args.seed)  # LoRA's matrix A starts at random
    lora = LoraConfig(
        task_type="SEQ_CLS", r=r, lora_alpha=2 * r, target_modules=models.lora_targets(base)
    )
    model = get_peft_model(copy.deepcopy(base), lora)
    trainer = Trainer(
        model, args, train_dataset=rows, eval_dataset=glimpse, data_collator=collator
    )
    trainer.remove_callback(PrinterCallback)  # a line per step; the store has them all
    trainer.train()
    return trainer


# %% [markdown]
# Now two runs. The first writes its loss down at *every step*, the second at *every tenth*. Nothing else differs.
# Beside the first we also let MLflow watch the machine: processor, memory and, where there is one, the
# graphics card, sampled every second. Those are **system metrics**. What the machine *is* belongs into tags;
# a parameter is something you could have chosen otherwise.

# %%
experiment("day11-lora")
mlflow.set_system_metrics_sampling_interval(1)
with mlflow.start_run(run_name="every step", log_system_metrics=True) as every_step:
    often = lora_training(training_rows, logging_steps=1)
with mlflow.start_run(run_name="every tenth step") as every_tenth:
    seldom = lora_training(training_rows, logging_steps=10)

# %% [markdown]
# <!-- asked: D11-T2 -->
# ### Into the browser
#
# `lab mlflow` opens the page on the course's own database. Today's store is another one, so tell it: copy the
# line that the next cell prints into a terminal (in JupyterLab: *File → New → Terminal*) and open the address
# that appears after some seconds. *Ctrl-C* ends it.

# %%
print(f"LAB_WORKSPACE='{home}' lab mlflow")

# %% [markdown]
# Ten minutes, five stops:
#
# 1. **Top left, choose *Model training*.** The page opens for *GenAI*, and there your runs look missing. Close the
#    assistant on the right; nothing here needs it.
# 2. **Experiments → *day11-words*.** Unfold *sweep over C* (the small plus). Tick its four children, press *Compare*:
#    one line per run through all its numbers, and below it *Show diff only*.
# 3. **Open *word-counter*.** *Overview* has parameters, the data set with its digest, the registered model;
#    *Artifacts* has the file. Ask of every field: did *I* write this, or did MLflow?
# 4. **Experiments → *day11-lora* → the chart symbol** above the list. Find *loss* and *eval_loss*. Training loss
#    falling while `eval_loss` rises would be overfitting. Further down, *System metrics* has the machine.
# 5. **On the *loss* chart: ⋮ → *Configure*.** There are three switches to know: **x axis** (step or time), the limits
#    of the **y axis**, **line smoothing**. Set smoothing to 90. Which of the two runs would you keep?
#
# Here is that chart, drawn from the same store with the page's own formula for smoothing.


# %%
def curve(run, key="loss"):
    """Steps, seconds since the first point, and values of one metric of a run."""
    points = client.get_metric_history(run.info.run_id, key)
    points = sorted(points, key=lambda point: point.step)
    seconds = [(point.timestamp - points[0].timestamp) / 1000 for point in points]
    return [point.step for point in points], seconds, [point.value for point in points]


def smoothed(values, smoothing):
    """MLflow's page: a running mean in which each older point counts for a little less."""
    keep, mean, found = smoothing / 101, 0.0, []
    for count, value in enumerate(values, 1):
        mean = keep * mean + (1 - keep) * value
        found.append(mean / (1 - keep**count))
    return found


# %%
pair = {"every step": curve(every_step), "every tenth step": curve(every_tenth)}


# %%
def chart(smoothing=90, x_axis="step", from_zero=False):
    """The loss of both runs, as the page would draw it."""
    figure, axes = plt.subplots()
    ends = []
    for name, (at_step, seconds, values) in pair.items():
        across, line = at_step if x_axis == "step" else seconds, smoothed(values, smoothing)
        axes.plot(across, line, label=name, marker="o", ms=3)
        ends.append((across[-1], line[-1]))
    (one, low), (other, high) = ends
    title = f"By the clock, the same steps took {one:.0f} and {other:.0f} seconds"
    if x_axis == "step":
        title = f"Smoothing {smoothing}: “every tenth” ends {high:.2f}, the other {low:.2f}"
    axes.set(title=title, xlabel=f"{x_axis} of the training", ylabel="training loss")
    axes.set_ylim(0 if from_zero else None)
    axes.legend()
    plots.show(figure, alt=f"Training loss of both runs by {x_axis}. {title}.")


chart()

# %% [markdown]
# "Every step" looks clearly ahead. Many a run has been thrown away over less.

# %% tags=["exercise"] exercise="day11/why-higher" answer="why" minutes=4 difficulty=2
# Why does the line of "every tenth step" end higher?
# "a"  Writing less often makes the Trainer train less: it took a tenth of the steps.
# "b"  Smoothing looks back over points. Ten points here are ten steps of the one run and a
#      hundred of the other.
# "c"  The two runs drew different batches, and this one was unlucky.
# "d"  Only each tenth step's loss was kept, and those happened to be high.
# Answer with one letter in quotes. `common`, `pair` and `often.state` may help.
why = ...
# <solution>
why = "b"
# </solution>


# %% tags=["check"] exercise="day11/why-higher"
def check(answer):
    letter = str(answer).strip().strip("\"'").lower()
    replies = {
        "a": "Look at `seldom.state.global_step`: it took as many steps as the other. `logging_steps` says when to write, not when to train.",
        "c": "Both were started with the same seed on the same rows, so they drew the same batches. The next cell compares their weights.",
        "d": "The Trainer does not pick one step in ten: it writes the mean over the steps since it last wrote. Compare `np.mean(pair['every step'][2][:10])` with the other's first value.",
    }
    if letter == "b":
        return None
    return replies.get(letter, "Answer with one letter: 'a', 'b', 'c' or 'd'.")


hints = [
    "How many points does each line have? `len(pair['every tenth step'][2])`",
    "In `smoothed`, what does the loop walk over: steps, or points?",
]
misconceptions = [
    ('why = "a"', "took as many steps"),
    ('why = "c"', "same batches"),
    ('why = "d"', "writes the mean"),
]

# %% [markdown]
# Proof. The weights of both models, number by number, and the same store drawn honestly: each point of the one run
# beside the mean of the ten steps it stands for.

# %%
theirs = seldom.model.state_dict()
same = all(torch.equal(one, theirs[name]) for name, one in often.model.state_dict().items())
in_tens = np.reshape(pair["every step"][2], (-1, 10)).mean(axis=1)
apart = smoothed(pair["every tenth step"][2], 90)[-1] - smoothed(pair["every step"][2], 90)[-1]
distance = np.abs(in_tens - pair["every tenth step"][2]).max()
print(f"The same weights, bit for bit: {same}")
print(f"Largest distance of two points: {distance:.4f}; of the smoothed ends: {apart:.4f}")

# %%
figure, axes = plt.subplots()
at_tenth, written = pair["every tenth step"][0], pair["every tenth step"][2]
axes.plot(*pair["every step"][::2], color="0.75", lw=1, label="every step, as written")
axes.plot(at_tenth, in_tens, lw=7, alpha=0.4, label="every step, mean of ten")
axes.plot(at_tenth, written, color="C1", marker="o", label="every tenth step")
title = f"One training, written down twice: at most {distance:.4f} apart"
axes.set(title=title, xlabel="step of the training", ylabel="training loss", ylim=(0, None))
axes.legend()
plots.show(figure, alt=f"Both runs, averaged over ten steps, lie on each other. {title}.")

# %%
tracking.record("smoothing_gap", apart)

# %% [markdown]
# It was one training all along. Now play with the other two switches. `x_axis="seconds"` moves the lines apart
# though they took the same steps: whatever else the machine was doing shows up as "slower learning". And a y axis
# that does not start at zero makes any difference as tall as you like. (A fourth switch you cannot see: the page
# asks the server for at most 320 points per line.)


# %%
def switches(smoothing=0, x_axis="seconds", from_zero=False):
    chart(smoothing, x_axis, from_zero)


explored = widgets.explore(
    switches, smoothing=(0, 99), x_axis=["seconds", "step"], from_zero=False
)

# %% [markdown]
# Before you trust a chart, ask four things: how much smoothing, which x axis, where does y begin, and were both
# runs written down equally often? Better still, compare *numbers* that were measured the same way: `eval_loss` at the
# same step, on the same sentences.
#
# ## What autologging writes, and what it cannot know
#
# **Autologging** means: you call `.fit` or `.train`, and a hook writes the record. For scikit-learn it is one
# line. (`log_models=False`, because we have logged one by hand, and guessing its packages takes seconds.)

# %%
experiment("day11-autolog")
mlflow.sklearn.autolog(log_models=False, silent=True)
word_counter().fit(texts, labels)
by_autolog = mlflow.last_active_run()
word_counter().fit(texts, np.where(np.arange(len(labels)) == 0, 1 - labels, labels))
one_label_flipped = mlflow.last_active_run()
mlflow.sklearn.autolog(disable=True)

# %%
by_trainer = mlflow.get_run(every_step.info.run_id)


def inventory(run):
    unseen = [name for name in run.data.metrics if not name.startswith(("train", "system"))]
    return {
        "parameters": len(run.data.params),
        "metrics": len(run.data.metrics),
        "data sets": len(run.inputs.dataset_inputs),
        "files": len(client.list_artifacts(run.info.run_id)),
        "a score on unseen sentences": any("eval" in name for name in unseen),
        "the Git commit": any("commit" in tag for tag in run.data.tags),
        "LoRA's rank": "r" in run.data.params,
    }


pd.DataFrame({"sklearn.autolog": inventory(by_autolog), "report_to": inventory(by_trainer)})

# %% [markdown]
# scikit-learn's hook sees what goes through `.fit`: so it has the data's digest, pictures, and scores **on the
# training sentences**, which say little. The Trainer's hook sees the `TrainingArguments` and the model's
# configuration: so it has a parameter for everything but no data, no file, **no adapter**, and nothing of LoRA.
# Neither knows the commit: MLflow notes one by itself only for a script inside a Git repository, and never
# whether the script was edited since.
#
# A long list looks like a complete one. So let us do what the opening promised. First, what does a record say,
# apart from its results?


# %%
def record_of(run_id):
    """What a run says about how it was made. Metrics are left out: they are what came out."""
    run = mlflow.get_run(run_id)
    said = {f"params.{name}": value for name, value in run.data.params.items()}
    said |= {f"tags.{name}": value for name, value in run.data.tags.items()}
    inputs = run.inputs.dataset_inputs
    return said | {f"inputs.{each.dataset.name}": each.dataset.digest for each in inputs}


def differences(one, other):
    one, other = record_of(one), record_of(other)
    return {name for name in one | other if one.get(name) != other.get(name)}


print(differences(by_autolog.info.run_id, one_label_flipped.info.run_id))

# %% [markdown]
# scikit-learn's hook has noticed the flipped label: its fingerprint differs. (So does the name, which is drawn at
# random for each run and tells us nothing.)
#
# Now the Trainer: eight changes, each trained for a single step. We want its record, not its result.

# %%
usual = {"split_seed": 1, "max_length": 48, "flip": 0, "lower": False, "r": 8}
usual |= {"learning_rate": 1e-3, "seed": 1, "max_steps": 1}


def short_training(name, **change):
    """One step on eight sentences, with one thing changed; returns the id of its run."""
    now = usual | change
    picked = np.random.default_rng(now["split_seed"]).permutation(len(texts))[:8]
    some_texts, some_labels = texts[picked], labels[picked]
    some_labels[: now["flip"]] = 1 - some_labels[: now["flip"]]
    if now["lower"]:
        some_texts = [text.lower() for text in some_texts]
    rows = encoded(some_texts, some_labels, now["max_length"])
    arguments = {key: now[key] for key in ("learning_rate", "seed", "max_steps")}
    with mlflow.start_run(run_name=name) as run:
        lora_training(rows, now["r"], eval_strategy="no", **arguments)
    return run.info.run_id


# %%
changes = {
    "learning rate": {"learning_rate": 5e-4},
    "seed of the training": {"seed": 2},
    "number of steps": {"max_steps": 2},
    "LoRA's rank": {"r": 4},
    "seed of the split": {"split_seed": 2},
    "length of a sentence": {"max_length": 8},
    "one label": {"flip": 1},
    "a line of code (lower case)": {"lower": True},
}
experiment("day11-one-change")
as_usual = short_training("usual")
noise = differences(as_usual, short_training("usual, again"))
print("Differs between two equal runs, so it tells nothing:", noise)

# %%
told = {}
for name, change in changes.items():
    found = differences(as_usual, short_training(name, **change)) - noise
    told[name] = bool(found)
    print(f"{name:<28} {', '.join(sorted(found)) or 'nothing'}")

# %%
guess.compare(sum(told.values()))
tracking.record("told_by_report_to", sum(told.values()))

# %% [markdown]
# What stands in `TrainingArguments` was told, and nothing else. What you changed with your own hands (the rank, the split,
# the data, the code) left no trace, except in the name that we gave the run. That is why people call their runs
# `lora-r8-lower-final2`. We can do better than names.
#
# <!-- asked: D11-T4, D11-T5 -->
# ## Write your own logging helpers
#
# Four things have to be in every record: **what you chose** (one file, `params.yaml`, all of it), **the code** (a
# commit, and whether it was edited since), **the data** (a fingerprint), and **what came out** (curves and
# adapter). You write them as five short functions. Together they are `src/tracking.py`.
#
# A project of the coming days keeps its choices in blocks:

# %%
chosen_settings = yaml.safe_load("""
prepare: {split_seed: 1, max_length: 48}
finetune:
  learning_rate: 0.001
  max_steps: 2
  seed: 1
  lora: {r: 8, targets: [query, value], bias: null}
""")
chosen_settings

# %% [markdown]
# MLflow's parameters are flat. Logged as it is, this becomes two parameters, each a long text in which nothing can be
# filtered. Dotted names keep the blocks readable: `finetune.lora.r`.


# %% tags=["exercise"] exercise="day11/flat" answer="flat" minutes=6 difficulty=1
# params: a dictionary that may hold dictionaries, as deep as you like. Return a new dictionary
# with dotted names: {"lora": {"r": 8}} becomes {"lora.r": 8}.
# A list becomes readable text, "query, value"; None becomes "None"; what is a text, a number
# or a truth value stays as it is.
def flat(params): ...


# <solution>
def flat(params):
    """Nested settings under dotted names: {"lora": {"r": 8}} becomes {"lora.r": 8}."""
    found = {}
    for name, value in params.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": each for inner, each in flat(value).items()}
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found[str(name)] = value if isinstance(value, str | int | float | bool) else text
    return found


# </solution>


# %% tags=["check"] exercise="day11/flat"
def check(answer):
    deep = {"a": {"r": 8, "b": {"c": {"d": 0.5}}}, "r": 4, "names": ["x", "y"], "no": None}
    found = answer(deep)
    if not isinstance(found, dict):
        return f"A dictionary is wanted, and this is {type(found).__name__}. Does the function end with `return`?"
    if any(isinstance(value, dict) for value in found.values()):
        return "There is still a dictionary among the values. Blocks may hold blocks: the function can call itself."
    if any("_" in str(name) for name in found):
        return "The names are joined with an underscore. A dot cannot be mistaken for a part of `learning_rate`."
    if "c" in found or "a.r" not in found:
        return "The name of the block is lost. Two blocks may both have a `seed`, and one would overwrite the other."
    if "no" not in found:
        return "The setting that is None has vanished. \"Not set\" is a choice, too: keep it as the text 'None'."
    if "[" in str(found.get("names")):
        return f"The list became {found['names']!r}, with Python's brackets and quotes. Join its parts with a comma and a blank."
    if isinstance(found["a.r"], str):
        return "The number 8 became a text. Numbers may stay numbers; only lists and None need turning into text."
    wanted = {"a.r": 8, "a.b.c.d": 0.5, "r": 4, "names": "x, y", "no": "None"}
    return (
        None
        if found == wanted
        else f"For {deep} it should be {wanted}, and you return {found}."
    )


def inputs(draw):
    yield {}
    yield {
        "finetune": {"rate": 1e-3, "fast": True, "targets": ["query", "value"]},
        "seed": None,
    }
    yield {"a": {"b": {"c": {"d": [1, 2.5, None]}, "c2": "text"}, "empty": []}, 7: {"x": False}}
    yield {"n": int(draw.integers(100)), "list": draw.integers(9, size=3).tolist()}


hints = [
    "Go through `params.items()`. What if a value is a dictionary? Then `flat(value)` is half of the answer.",
    'For a block: `for inner, each in flat(value).items(): found[f"{name}.{inner}"] = each`.',
    '`", ".join(map(str, value))` makes a list readable.',
]
misconceptions = [
    (
        "def flat(params):\n    found = {}\n    for name, value in params.items():\n        if isinstance(value, dict):\n            for inner, each in value.items():\n                found[f'{name}.{inner}'] = each\n        else:\n            found[name] = value\n    return found",
        "call itself",
    ),
    (
        "def flat(params):\n    found = {}\n    for name, value in params.items():\n        if isinstance(value, dict):\n            found |= flat(value)\n        else:\n            found[name] = value\n    return found",
        "name of the block is lost",
    ),
    (
        "def flat(params):\n    found = {}\n    for name, value in params.items():\n        if isinstance(value, dict):\n            for inner, each in flat(value).items():\n                found[f'{name}.{inner}'] = each\n        else:\n            found[name] = str(value)\n    return found",
        "brackets and quotes",
    ),
    (
        "def flat(params):\n    found = {}\n    for name, value in params.items():\n        if isinstance(value, dict):\n            for inner, each in flat(value).items():\n                found[f'{name}.{inner}'] = each\n        elif value is not None:\n            found[name] = ', '.join(map(str, value)) if isinstance(value, list) else value\n    return found",
        "has vanished",
    ),
]

# %%
flat(chosen_settings)

# %% [markdown]
# ### Code and data
#
# Which code? The commit, and whether what *people* write differs from it: code, settings, the pipeline's plan. (What
# programs write, such as results, changes while they run; that makes no tree dirty.) Which data? From tomorrow on
# DVC keeps a file `dvc.lock` with the fingerprint of every file of the pipeline; one hash of that file names all
# the data at once. Small tools first, which you may use as they are:


# %%
BY_HAND = ("src", "params.yaml", "dvc.yaml")  # what people write


def _git(folder, *command):
    """Give what git answers, None where it refuses or is missing."""
    with contextlib.suppress(OSError):
        done = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True
        )
        return done.stdout.strip() if done.returncode == 0 else None


def _fingerprint(path):
    """Name a file's content; "none" for a file that is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"


# %%
me = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
ask = ["status", "--porcelain", "--", *BY_HAND]
with tempfile.TemporaryDirectory() as elsewhere:
    print("no repository:     ", repr(_git(elsewhere, *ask)))
    _git(elsewhere, "init", "-q")
    (Path(elsewhere) / "results.json").write_text("{}")
    print("nothing by hand:   ", repr(_git(elsewhere, *ask)))
    (Path(elsewhere) / "params.yaml").write_text("seed: 1")
    print("a file by hand:    ", repr(_git(elsewhere, *ask)))
    print("the commit, if any:", repr(_git(elsewhere, "rev-parse", "HEAD")))


# %% tags=["exercise"] exercise="day11/lineage" answer="lineage" minutes=8 difficulty=2
# folder: a path, as text or Path. Return the tags
#   "git_commit"  the 40 letters of the commit (`git rev-parse HEAD`), "none" if there is none
#   "git_dirty"   "true" if git lists a change among BY_HAND (see above), "false" if it lists
#                 nothing, "none" outside a repository
#   "dvc_lock"    fingerprint of `dvc.lock` in the folder, "params": of `params.yaml`
# `_git` and `_fingerprint` do the work.
def lineage(folder="."): ...


# <solution>
def lineage(folder="."):
    """Say which code, data and settings a run had: tags, "none" for what there is not."""
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", *BY_HAND)
    return {
        "git_commit": commit or "none",
        "git_dirty": "none" if changes is None else str(changes != "").lower(),
        "dvc_lock": _fingerprint(Path(folder) / "dvc.lock"),
        "params": _fingerprint(Path(folder) / "params.yaml"),
    }


# </solution>


# %% tags=["check"] exercise="day11/lineage"
def check(answer):
    clean = trial(answer, {"commits": 1, "params.yaml": "seed: 1"})
    if not isinstance(clean, dict):
        return f"A dictionary of four tags is wanted, and this is {type(clean).__name__}."
    missing = {"git_commit", "git_dirty", "dvc_lock", "params"} - clean.keys()
    if missing:
        return f"There is no tag {sorted(missing)[0]!r}. Four are wanted: git_commit, git_dirty, dvc_lock and params."
    if len(str(clean["git_commit"])) == 7:
        return "Seven letters name a commit today. In a bigger repository two commits may share them: keep all 40."
    here = _git(".", "rev-parse", "HEAD")
    if clean["git_commit"] == (here or "none") or clean["git_commit"] == "none":
        return f"For a folder with one commit you name {clean['git_commit']!r}. Did you ask git about `folder`, or about the place where this notebook runs? `_git(folder, …)`"
    if clean["git_dirty"] in (True, False, "True", "False"):
        return "A tag is a text, and these are searched as 'true' and 'false', in small letters: `.lower()`."
    if clean["git_dirty"] != "false":
        return f"A tree in which nothing changed is {clean['git_dirty']!r} for you. git answered with an empty text, and that means clean."
    results = trial(answer, {"commits": 1, "params.yaml": "seed: 1", "changed": "results.json"})
    if results["git_dirty"] != "false":
        return "A file of results, written by a program, made the tree dirty. Ask only about what people write: `'--', *BY_HAND` at the end of the command."
    outside = trial(answer, {"commits": None})
    if outside["git_dirty"] != "none":
        return "Outside a repository you claim to know the tree's state. There `_git` gives None, which is not the empty text of a clean tree."
    if outside["git_commit"] != "none":
        return "Without a commit the tag should be the text 'none': None itself would be logged as 'None', and a search for 'none' would miss it."
    if outside["dvc_lock"] != "none":
        return "Without a `dvc.lock` its tag should be 'none'. `_fingerprint` says so by itself if you hand it the path."
    return None


def inputs(draw):
    yield {"commits": None, "params.yaml": "seed: 1"}
    yield {"commits": 0}
    yield {"commits": 0, "dvc.lock": "schema: '2.0'", "changed": "src/train.py"}
    yield {
        "commits": 1,
        "params.yaml": f"seed: {draw.integers(1000)}",
        "changed": "params.yaml",
    }
    yield {"commits": 1, "dvc.lock": f"md5: {draw.integers(1000)}", "changed": "dvc.yaml"}
    yield {"commits": 1, "dvc.lock": f"md5: {draw.integers(1000)}", "changed": "dvc.lock"}


def trial(answer, case):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("dvc.lock", "params.yaml"):
            if name in case:
                (folder / name).write_text(case[name])
        if case["commits"] is not None:
            _git(folder, "init", "-q")
        if case["commits"]:
            _git(folder, "add", ".")
            _git(folder, *me, "commit", "-q", "--allow-empty", "-m", "one")
        if "changed" in case:
            (folder / "src").mkdir()
            (folder / case["changed"]).write_text("something else")
        found, head = answer(folder), _git(folder, "rev-parse", "HEAD")
        if isinstance(found, dict) and head and found.get("git_commit") == head:
            found = found | {"git_commit": "HEAD"}  # its letters differ from minute to minute
        return found


hints = [
    "Start with `commit = _git(folder, 'rev-parse', 'HEAD')` and print it for a folder with and without commits.",
    "Three answers of `status`: None (no repository), the empty text (clean), lines (dirty). Test `is None` first.",
    "`str(changes != '').lower()` is 'true' or 'false'; `commit or 'none'` turns None into 'none'.",
]
misconceptions = [
    (
        "def lineage(folder='.'):\n    return {'git_commit': _git(folder, 'rev-parse', 'HEAD') or 'none', 'git_dirty': str(bool(_git(folder, 'status', '--porcelain', '--', *BY_HAND))).lower(), 'dvc_lock': _fingerprint(Path(folder) / 'dvc.lock'), 'params': _fingerprint(Path(folder) / 'params.yaml')}",
        "claim to know",
    ),
    (
        "def lineage(folder='.'):\n    return {'git_commit': _git(folder, 'rev-parse', 'HEAD') or 'none', 'git_dirty': str(bool(_git(folder, 'status', '--porcelain', '--', *BY_HAND))), 'dvc_lock': _fingerprint(Path(folder) / 'dvc.lock'), 'params': _fingerprint(Path(folder) / 'params.yaml')}",
        "small letters",
    ),
    (
        "def lineage(folder='.'):\n    changes = _git(folder, 'status', '--porcelain', '--', *BY_HAND)\n    return {'git_commit': _git(folder, 'rev-parse', '--short', 'HEAD') or 'none', 'git_dirty': 'none' if changes is None else str(changes != '').lower(), 'dvc_lock': _fingerprint(Path(folder) / 'dvc.lock'), 'params': _fingerprint(Path(folder) / 'params.yaml')}",
        "keep all 40",
    ),
    (
        "def lineage(folder='.'):\n    changes = _git('.', 'status', '--porcelain', '--', *BY_HAND)\n    return {'git_commit': _git('.', 'rev-parse', 'HEAD') or 'none', 'git_dirty': 'none' if changes is None else str(changes != '').lower(), 'dvc_lock': _fingerprint(Path('dvc.lock')), 'params': _fingerprint(Path('params.yaml'))}",
        "place where this notebook runs",
    ),
    (
        "def lineage(folder='.'):\n    changes = _git(folder, 'status', '--porcelain', '--', *BY_HAND)\n    return {'git_commit': _git(folder, 'rev-parse', 'HEAD') or 'none', 'git_dirty': 'true' if changes or changes == '' else 'none', 'dvc_lock': _fingerprint(Path(folder) / 'dvc.lock'), 'params': _fingerprint(Path(folder) / 'params.yaml')}",
        "means clean",
    ),
    (
        "def lineage(folder='.'):\n    changes = _git(folder, 'status', '--porcelain')\n    return {'git_commit': _git(folder, 'rev-parse', 'HEAD') or 'none', 'git_dirty': 'none' if changes is None else str(changes != '').lower(), 'dvc_lock': _fingerprint(Path(folder) / 'dvc.lock'), 'params': _fingerprint(Path(folder) / 'params.yaml')}",
        "written by a program",
    ),
]

# %% [markdown]
# ### Curves
#
# The next answers write into a store. So that yours need not be tidy, they are tried out in the spare one.


# %%
@contextlib.contextmanager
def tried_out():
    """Whatever is logged inside goes into the spare store; afterwards all is as it was."""
    before = mlflow.get_tracking_uri(), os.environ["MLFLOW_EXPERIMENT_NAME"]
    mlflow.set_tracking_uri(f"sqlite:///{spare.as_posix()}")
    try:
        experiment("tried-out", home / "spare")
        yield
    finally:
        while mlflow.active_run():
            mlflow.end_run()
        mlflow.set_tracking_uri(before[0])
        experiment(before[1])


# %% [markdown]
# A Trainer remembers its curves in `state.log_history`, one dictionary per time it wrote:

# %%
history = often.state.log_history
pd.DataFrame([history[0], *[row for row in history if "eval_loss" in row][:1], history[-1]]).T

# %% [markdown]
# Three kinds of rows share one list. Beware of `train_loss` in the last: that is the mean over the *whole* training,
# not its last value.


# %% tags=["exercise"] exercise="day11/log-history" answer="log_history" minutes=8 difficulty=2
# history: a list of dictionaries like the three columns above. Log every number into the open
# run as a metric, at its row's "step", under the Trainer's own name: so "loss", "eval_loss" and
# "train_loss" stay three metrics. "step" itself is no metric, and a text is none.
def log_history(history): ...


# <solution>
def log_history(history):
    """Log the numbers of a Trainer's `state.log_history`, each at its step, under its name."""
    for row in history:
        numbers = {key: value for key, value in row.items() if isinstance(value, int | float)}
        mlflow.log_metrics(
            {key: numbers[key] for key in numbers if key != "step"}, step=row["step"]
        )


# </solution>


# %% tags=["check"] exercise="day11/log-history"
def trial(answer, rows):
    with tried_out(), mlflow.start_run() as run:
        answer(rows)
        keys = sorted(mlflow.get_run(run.info.run_id).data.metrics)
        points = [
            each
            for key in keys
            for each in client_of_now().get_metric_history(run.info.run_id, key)
        ]
        return sorted(([each.key, each.step, each.value] for each in points), key=str)


def client_of_now():
    return mlflow.MlflowClient()


def check(answer):
    rows = [
        {"loss": 0.7, "epoch": 0.1, "step": 10},
        {"eval_loss": 0.6, "epoch": 0.1, "step": 10},
        {"loss": 0.5, "epoch": 0.2, "step": 20},
        {"train_loss": 0.55, "note": "resumed", "epoch": 0.2, "step": 20},
    ]
    try:
        found = trial(answer, rows)
    except mlflow.MlflowException as refused:
        return f"MLflow refuses it: {str(refused)[:90]} … A text is no metric: log only what is an int or a float."
    names = {name for name, _, _ in found}
    at = {step for _, step, _ in found}
    if not found:
        return "Nothing was logged. `mlflow.log_metric(name, value, step=…)` writes one number into the open run."
    if "step" in names:
        return "`step` became a metric of its own. It is the x axis: hand it over as `step=row['step']`."
    if at <= {0, 1, 2, 3}:
        return f"The points lie at the steps {sorted(at)}, and the rows say 10 and 20. A row's number or its epoch is no step: two kinds of rows share one."
    if "eval_loss" not in names and len([name for name, _, _ in found if name == "loss"]) > 2:
        return "Training and evaluation went into one metric `loss`. They are measured on different sentences: keep the Trainer's names."
    if not {"eval_loss", "train_loss", "epoch"} <= names:
        return f"Only {sorted(names)} arrived. Every number of every row is wanted, whatever its name."
    return None


def inputs(draw):
    yield []
    yield [{"loss": float("nan"), "grad_norm": 2, "step": 1}]
    yield [{"step": 5}, {"loss": 1.5, "text": "no number", "nothing": None, "step": 10}]
    losses = draw.random(4).tolist()
    rows = [{"loss": loss, "epoch": at / 4, "step": 7 * at} for at, loss in enumerate(losses)]
    yield [*rows, {"eval_loss": losses[0], "eval_runtime": 1.0, "step": 21}]


hints = [
    "One loop over the rows; in it, everything but 'step' that `isinstance(value, (int, float))`.",
    "`mlflow.log_metrics({…}, step=row['step'])` writes a whole row.",
]
misconceptions = [
    (
        "def log_history(history):\n    for at, row in enumerate(history):\n        for name, value in row.items():\n            if isinstance(value, (int, float)) and name != 'step':\n                mlflow.log_metric(name, value, step=at)",
        "is no step",
    ),
    (
        "def log_history(history):\n    for row in history:\n        mlflow.log_metrics({n: v for n, v in row.items() if n != 'step'}, step=row['step'])",
        "A text is no metric",
    ),
    (
        "def log_history(history):\n    for row in history:\n        for name, value in row.items():\n            if isinstance(value, (int, float)) and name != 'step':\n                mlflow.log_metric(name.split('_')[-1], value, step=row['step'])",
        "keep the Trainer's names",
    ),
    (
        "def log_history(history):\n    for row in history:\n        if 'loss' in row:\n            mlflow.log_metric('loss', row['loss'], step=row['step'])",
        "Every number of every row",
    ),
    (
        "def log_history(history):\n    for row in history:\n        mlflow.log_metrics({n: v for n, v in row.items() if isinstance(v, (int, float))}, step=row['step'])",
        "metric of its own",
    ),
]

# %% [markdown]
# ### The adapter
#
# `mlflow.log_artifacts(folder, "adapter")` copies a folder into the run. It has two weaknesses. It takes pickles too:
# files that *run code* when somebody opens them. And now the surprise. A typing mistake in the folder's name:

# %%
with tried_out(), mlflow.start_run() as run:
    mlflow.log_artifacts(str(home / "adaptor-with-a-typo"), "adapter")
    listed = mlflow.MlflowClient().list_artifacts(run.info.run_id)
    print("No error. The run now has:", [file.path for file in listed])
    inside = mlflow.MlflowClient().list_artifacts(run.info.run_id, "adapter")
    print("In it:", inside)

# %% [markdown]
# No error, and an empty folder with the right name. You would find out in a month.


# %% tags=["exercise"] exercise="day11/log-adapter" answer="log_adapter" minutes=7 difficulty=2
# folder: a path. Log its files, subfolders too, into the open run below "adapter". But
# - if there is a pickle in it, however deep (a name that ends in .bin, .pt or .pkl), raise
#   ValueError, and log nothing;
# - if there is no file at all (or no such folder), raise FileNotFoundError.
# Each error names the file or the folder, and the way out: `save_pretrained`, which writes
# safetensors.
def log_adapter(folder): ...


# <solution>
PICKLES = {".bin", ".pt", ".pkl"}  # whoever opens one of these runs the code inside


def log_adapter(folder):
    """Keep an adapter's files below "adapter"; refuse pickles, and a folder without files."""
    cure = "Save it with model.save_pretrained(folder), which writes safetensors, and log that."
    files = [path for path in Path(folder).rglob("*") if path.is_file()]
    if pickles := [path for path in files if path.suffix in PICKLES]:
        raise ValueError(f"{pickles[0]} is a pickle: whoever opens it runs its code. {cure}")
    if not files:
        raise FileNotFoundError(f"No adapter is in {folder}. {cure}")
    mlflow.log_artifacts(str(folder), "adapter")


# </solution>


# %% tags=["check"] exercise="day11/log-adapter"
def kept(run_id, folder=None):
    found = []
    for each in mlflow.MlflowClient().list_artifacts(run_id, folder):
        found += kept(run_id, each.path) if each.is_dir else [each.path]
    return sorted(found)


def trial(answer, names):
    with tried_out(), tempfile.TemporaryDirectory() as place, mlflow.start_run() as run:
        folder = Path(place) / "to-log"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("weights")
        pickles = [name for name in names if Path(name).suffix in (".bin", ".pt", ".pkl")]
        blamed = [Path(name).name for name in pickles] or ["to-log"]
        try:
            answer(folder)
        except Exception as error:
            said = str(error)
            named, cured = any(name in said for name in blamed), "save_pretrained" in said
            return [type(error).__name__, named, cured, kept(run.info.run_id)]
        return kept(run.info.run_id)


def check(answer):
    fine = trial(answer, ["adapter_config.json", "adapter_model.safetensors"])
    if "adapter_model.safetensors" in fine:
        return "The files lie at the top of the run's artefacts. Give the second argument: `mlflow.log_artifacts(folder, 'adapter')`."
    if "adapter/adapter_model.safetensors" not in fine:
        return (
            f"Two files without a pickle should arrive below 'adapter'. What arrived: {fine}."
        )
    mixed = trial(answer, ["adapter_model.safetensors", "training_args.bin"])
    if "adapter/training_args.bin" in mixed:
        return "`training_args.bin` went in. It is a pickle; a Trainer writes one beside every model it saves."
    if mixed[0] != "ValueError" and "adapter/adapter_model.safetensors" in mixed:
        return "The pickle was left out and nobody was told. Raise ValueError: a folder with a pickle was not saved the way you think."
    if mixed[0] != "ValueError":
        return f"For a folder with a pickle the error should be a ValueError, and this is {mixed[0]}."
    if mixed[3]:
        return "You refuse, but after the files were logged. Look first, then log."
    if not mixed[1]:
        return "The error does not name the file. Among twenty files, whoever reads it has to know which."
    if not mixed[2]:
        return "The error does not say what to do. Mention `save_pretrained`, which writes safetensors."
    deep = trial(answer, ["adapter_model.safetensors", "checkpoint-9/optimizer.pt"])
    if deep[0] != "ValueError":
        return "A pickle in a subfolder went in: `log_artifacts` takes subfolders, so look there too. `Path.rglob('*')` does."
    empty = trial(answer, [])
    if empty == []:
        return "A folder that is not there was logged in silence. That is the surprise from above: raise FileNotFoundError."
    if empty[0] != "FileNotFoundError":
        return f"For a folder that is not there the error should be a FileNotFoundError, and this is {empty[0]}."
    return (
        None
        if empty[1] and empty[2]
        else "The second error, too, names the folder and the way out."
    )


def inputs(draw):
    yield ["adapter_config.json"]
    yield ["a.bin"]
    yield ["model.safetensors", "old/state.pkl"]
    yield ["a/b/c.pt", "d.json"]
    yield ["readme.md", "tokenizer/vocabulary.txt", "binary.json"]
    yield []


hints = [
    "`files = [path for path in Path(folder).rglob('*') if path.is_file()]` lists everything, however deep.",
    "`path.suffix` is '.bin' for 'training_args.bin'. Look at all files before you log the first.",
    "`raise ValueError(f'{path} is a pickle. Save with model.save_pretrained(folder) …')`",
]
misconceptions = [
    (
        "def log_adapter(folder):\n    mlflow.log_artifacts(str(folder), 'adapter')",
        "is a pickle",
    ),
    (
        "def log_adapter(folder):\n    mlflow.log_artifacts(str(folder))",
        "second argument",
    ),
    (
        "def log_adapter(folder):\n    for path in Path(folder).rglob('*'):\n        if path.is_file() and path.suffix not in ('.bin', '.pt', '.pkl'):\n            mlflow.log_artifact(str(path), 'adapter')",
        "nobody was told",
    ),
    (
        "def log_adapter(folder):\n    for path in Path(folder).glob('*'):\n        if path.suffix in ('.bin', '.pt', '.pkl'):\n            raise ValueError(f'{path} is a pickle, use save_pretrained')\n    mlflow.log_artifacts(str(folder), 'adapter')",
        "in a subfolder",
    ),
    (
        "def log_adapter(folder):\n    for path in Path(folder).rglob('*'):\n        if path.suffix in ('.bin', '.pt', '.pkl'):\n            raise ValueError(f'{path} is a pickle, use save_pretrained')\n    mlflow.log_artifacts(str(folder), 'adapter')",
        "logged in silence",
    ),
    (
        "def log_adapter(folder):\n    mlflow.log_artifacts(str(folder), 'adapter')\n    for path in Path(folder).rglob('*'):\n        if path.suffix in ('.bin', '.pt', '.pkl'):\n            raise ValueError(f'{path} is a pickle, use save_pretrained')",
        "after the files were logged",
    ),
]

# %% [markdown]
# ## Three notebooks at once, a dead one, and an old store
#
# What happens to a store when several notebooks write into it at the same moment, and one of them dies? Here is a
# small program that logs many numbers. We start it three times at once. One ends well, one raises an error,
# and one is killed, as a machine short of memory does it: without a word.

# %%
worker = home / "worker.py"
worker.write_text("""\
import sys, time
import mlflow

how, rows = sys.argv[1], int(sys.argv[2])
run = mlflow.start_run(run_name=how)  # without `with`, as in many notebooks
for step in range(rows):
    mlflow.log_metric("loss", 1 / (step + 1), step=step)
print(run.info.run_id, flush=True)
if how == "raises":
    raise RuntimeError("out of memory")
if how == "is killed":
    time.sleep(600)
""")
experiment("day11-three-notebooks")

# %%
each = settings.pick(smoke=30, cpu=100)
pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
three = {
    how: subprocess.Popen([sys.executable, str(worker), how, str(each)], **pipes)
    for how in ("ends well", "raises", "is killed")
}
run_ids = {how: process.stdout.readline().strip() for how, process in three.items()}
three["is killed"].kill()
for process in three.values():
    process.communicate()

# %%
rows_kept = 0
for how, run_id in run_ids.items():
    rows = len(client.get_metric_history(run_id, "loss"))
    rows_kept += rows
    print(f"{how:<10} {rows} rows, status {client.get_run(run_id).info.status}")
tracking.record("rows_lost", 3 * each - rows_kept)

# %% [markdown]
# Nothing is lost: SQLite lets one write at a time, and the others wait their turn. (Not on a network drive, whose locks
# cannot be relied on. For several *machines* there is a server; that is Day 15.)
#
# Now read the statuses. The program that **raised an error says FINISHED**: Python closed the open run on its way
# out, and nobody told MLflow about the error. A `with` would have:

# %%
with contextlib.suppress(RuntimeError), mlflow.start_run(run_name="raises in a with") as failed:
    raise RuntimeError("out of memory")
print(client.get_run(failed.info.run_id).info.status)

# %% [markdown]
# And the killed one says RUNNING. It will say so next year. Runs like that pile up in every store. To find them you
# need one thing that MLflow cannot know: how long your longest training takes. A dead run and a run
# that another notebook is in the middle of look the same.


# %%
def _experiment():
    """The experiment of the environment, else the folder's; in the file it does more."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or Path.cwd().name


# %% tags=["exercise"] exercise="day11/abandoned" answer="abandoned" minutes=8 difficulty=3
# Return the ids (a list of texts) of the runs of the experiment `_experiment()` that say
# RUNNING though they began more than so many hours ago.
# In a filter, the two are attributes: `attributes.status = '…'`, `attributes.start_time < …`.
# MLflow keeps times as milliseconds since 1970; `time.time()` gives seconds.
def abandoned(hours=12.0): ...


# <solution>
def abandoned(hours=12.0):
    """List the runs of this experiment that say RUNNING though they began longer ago."""
    before = int(1000 * (time.time() - 3600 * hours))  # MLflow counts milliseconds
    running = f"attributes.status = 'RUNNING' and attributes.start_time < {before}"
    found = mlflow.search_runs(
        experiment_names=[_experiment()], filter_string=running, output_format="list"
    )
    return [each.info.run_id for each in found]


# </solution>


# %% tags=["check"] exercise="day11/abandoned"
def trial(answer, hours, runs):
    with tried_out():
        here = mlflow.get_experiment_by_name(_experiment()).experiment_id
        writer, made = mlflow.MlflowClient(), {}
        for name, (age, status, place) in runs.items():
            began = int(1000 * (time.time() - 3600 * age))
            drawer = here if place == "here" else "0"
            run = writer.create_run(drawer, start_time=began)
            made[run.info.run_id] = name
            if status != "RUNNING":
                writer.set_terminated(run.info.run_id, status)
        try:
            found = answer(hours) if hours else answer()
            if not isinstance(found, list | tuple):
                return type(found).__name__
            if not all(isinstance(each, str) for each in found):
                return type(found[0]).__name__
            return sorted(made[each] for each in found if each in made)
        finally:
            for run_id in made:
                writer.delete_run(run_id)


def check(answer):
    runs = {
        "old": (30, "RUNNING", "here"),
        "young": (1, "RUNNING", "here"),
        "done": (30, "FINISHED", "here"),
        "elsewhere": (30, "RUNNING", "another experiment"),
    }
    found = trial(answer, 12, runs)
    if isinstance(found, str):
        return f"A list of run ids is wanted, and this holds or is {found}. An id is `run.info.run_id`, or the column `run_id` of the table."
    if found == ["old"]:
        return None
    if not found:
        return "A run that began 30 hours ago and says RUNNING was not found. MLflow counts milliseconds: a limit in seconds lies in January 1970."
    if "done" in found:
        return "A run that has FINISHED is among them. Ask for the status in the filter, too."
    if "elsewhere" in found:
        return "A run of another experiment is among them. Somebody else's runs are theirs to close: `experiment_names=[_experiment()]`."
    if "old" not in found:
        return "You list the young runs. A run that was abandoned began *before* the limit: its start time is smaller."
    return f"A run that began an hour ago is listed as abandoned after 12 hours: {found}. Where do the hours come in?"


def inputs(draw):
    yield 12.0, {"a": (12.5, "RUNNING", "here"), "b": (11.5, "RUNNING", "here")}
    yield 0.5, {"a": (0.6, "RUNNING", "here"), "b": (0.4, "RUNNING", "here")}
    yield None, {"a": (11.9, "RUNNING", "here"), "b": (12.1, "RUNNING", "here")}
    yield 48, {"a": (47, "RUNNING", "here"), "b": (50, "FAILED", "here")}
    ages = draw.uniform(1, 40, 3)
    yield 20, {str(at): (age, "RUNNING", "here") for at, age in enumerate(ages.tolist())}


hints = [
    "The moment so many hours ago, in milliseconds: `int(1000 * (time.time() - 3600 * hours))`.",
    "`mlflow.search_runs(experiment_names=[…], filter_string=…)` gives a table; its column `run_id` has the ids.",
    "The filter: `f\"attributes.status = 'RUNNING' and attributes.start_time < {before}\"`.",
]
misconceptions = [
    (
        "def abandoned(hours=12.0):\n    before = int(time.time() - 3600 * hours)\n    found = mlflow.search_runs(experiment_names=[_experiment()], filter_string=f\"attributes.status = 'RUNNING' and attributes.start_time < {before}\")\n    return found.run_id.tolist() if len(found) else []",
        "counts milliseconds",
    ),
    (
        "def abandoned(hours=12.0):\n    before = int(1000 * (time.time() - 3600 * hours))\n    found = mlflow.search_runs(experiment_names=[_experiment()], filter_string=f'attributes.start_time < {before}', output_format='list')\n    return [each.info.run_id for each in found]",
        "has FINISHED",
    ),
    (
        "def abandoned(hours=12.0):\n    before = int(1000 * (time.time() - 3600 * hours))\n    found = mlflow.search_runs(search_all_experiments=True, filter_string=f\"attributes.status = 'RUNNING' and attributes.start_time < {before}\", output_format='list')\n    return [each.info.run_id for each in found]",
        "another experiment",
    ),
    (
        "def abandoned(hours=12.0):\n    found = mlflow.search_runs(experiment_names=[_experiment()], filter_string=\"attributes.status = 'RUNNING'\", output_format='list')\n    return [each.info.run_id for each in found]",
        "Where do the hours",
    ),
    (
        "def abandoned(hours=12.0):\n    before = int(1000 * (time.time() - 3600 * hours))\n    return mlflow.search_runs(experiment_names=[_experiment()], filter_string=f\"attributes.status = 'RUNNING' and attributes.start_time < {before}\", output_format='list')",
        "run.info.run_id",
    ),
    (
        "def abandoned(hours=12.0):\n    before = int(1000 * (time.time() - 3600 * hours))\n    found = mlflow.search_runs(experiment_names=[_experiment()], filter_string=f\"attributes.status = 'RUNNING' and attributes.start_time > {before}\", output_format='list')\n    return [each.info.run_id for each in found]",
        "list the young",
    ),
]

# %%
print("RUNNING for more than 12 hours:  ", len(abandoned()))
print(
    "RUNNING for more than a moment:  ",
    [client.get_run(one).info.run_name for one in abandoned(0)],
)
for run_id in abandoned(0):
    client.set_terminated(run_id, "KILLED")
print("and now:", client.get_run(run_ids["is killed"]).info.status)

# %% [markdown]
# `abandoned(0)` was safe here, because we know who else writes into this experiment: nobody.
#
# ### The old store, and the way out
#
# Most tutorials, and perhaps a project of yours, keep runs in plain folders, `./mlruns`. Today's MLflow answers:

# %%
old = home / "old-project"
shutil.rmtree(old, ignore_errors=True)
mlflow.set_tracking_uri((old / "mlruns").as_uri())
try:
    mlflow.search_experiments()
except mlflow.MlflowException as refused:
    print(str(refused).replace(". ", ".\n"))

# %% [markdown]
# To practise the way out we need such a store, so we open the back door that the message names, for one cell.

# %%
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
mlflow.set_experiment("from-2024")
for rank in (4, 8):
    with mlflow.start_run(run_name=f"r{rank}"):
        mlflow.log_param("r", rank)
        mlflow.log_metric("eval_loss", 1 / rank, step=100)
        mlflow.log_text("It was a rainy day.", "notes.txt")
del os.environ["MLFLOW_ALLOW_FILE_STORE"]
mlflow.set_tracking_uri(f"sqlite:///{database.as_posix()}")

# %% [markdown]
# The way out is one command. It reads the folders and writes a new database; the old store is left as it is.

# %%
print(f"mlflow migrate-filestore --source '{old}' --target 'sqlite:///{old}/mlflow.db'")

# %% [markdown]
# Here is the function that this command calls:

# %%
new_store = f"sqlite:///{(old / 'mlflow.db').as_posix()}"
migrate(old, new_store, progress=False)

# %%
moved = mlflow.MlflowClient(new_store)
drawer = moved.get_experiment_by_name("from-2024")
for run in moved.search_runs([drawer.experiment_id]):
    print(run.info.run_name, run.data.params, run.data.metrics)
one = run.info.run_id
print("its files:", [file.path for file in moved.list_artifacts(one)])
(old / "mlruns").rename(old / "put-away")
print("without the old folder:", [file.path for file in moved.list_artifacts(one)])
print("they are looked for in", run.info.artifact_uri)

# %% [markdown]
# Parameters, metrics and tags have moved. **The files have not**: the database still points into `mlruns`. Keep that folder
# where it is, or you lose every adapter in it.
#
# ## Try it: one file, one quick experiment
#
# <!-- asked: D11-T6 -->
# Time to put your functions together. The next cells take the project's file and put each function of yours in place of
# ours of the same name. (A function that needs something the file does not import stays ours, and the cell says so.)


# %%
def load(path):
    """Import a file from where it lies."""
    spec = importlib.util.spec_from_file_location(path.stem + "_of_day11", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def source_of(function, known):
    """What you wrote; None if it is ours, or needs a name that the file does not know."""
    function = inspect.unwrap(function)
    needs = set(inspect.getclosurevars(function).globals) - known
    if needs:
        print(f"{function.__name__} needs {sorted(needs)}: ours stays.")
    try:
        return None if needs else inspect.getsource(function)
    except OSError:  # a check handed it out
        return None


# %%
from labhelpers.production import scaffold

reference = scaffold.source() / "src" / "tracking.py"
text = scaffold.render(reference.read_text(encoding="utf-8"), None)  # all gaps filled by us
lines, known = text.splitlines(), set(vars(load(reference)))
mine = [flat, lineage, log_history, log_adapter, abandoned]
sources = {each.__name__: source_of(each, known) for each in mine}
for node in reversed(ast.parse(text).body):
    if source := sources.get(getattr(node, "name", None)):
        lines[node.lineno - 1 : node.end_lineno] = source.rstrip().splitlines()
(home / "src").mkdir(exist_ok=True)
own_file = home / "src" / "tracking.py"
own_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
my_tracking = load(own_file)
print(f"{own_file}: {len(lines)} lines, yours: {[name for name in sources if sources[name]]}")

# %% [markdown]
# What holds them together is `run`. It asks for lineage *before* anything is written, opens the run with its tags, logs
# `params.yaml`, all of it, and keeps a copy of `dvc.lock`:

# %%
print(inspect.getsource(my_tracking.run))

# %% [markdown]
# A small project to try it in: settings, data, a line of code, all in a Git repository of its own (outside the course's
# folder, which is a repository itself). Tomorrow DVC will write `dvc.lock`; today a stand-in of ours does, with the
# same idea: the fingerprint of the data.

# %%
place = tempfile.TemporaryDirectory(prefix="day11-project-")
project = Path(place.name)
for name in ("data", "src"):
    (project / name).mkdir()
quick = {"learning_rate": common["learning_rate"], "seed": 1, "max_steps": steps}
blocks = {"prepare": {"split_seed": 1, "max_length": 48}, "finetune": quick, "lora": {"r": 8}}
(project / "params.yaml").write_text(yaml.safe_dump(blocks))
(project / "src" / "prepare.py").write_text("def clean(text):\n    return text.strip()\n")
(project / ".gitignore").write_text("data/\nmodels/\n__pycache__/\n")
table.iloc[chosen].to_csv(project / "data" / "train.csv", index=False)


def lock():
    """Name the content of the data, as DVC does from tomorrow on."""
    content = (project / "data" / "train.csv").read_bytes()
    (project / "dvc.lock").write_text(f"data/train.csv: {hashlib.md5(content).hexdigest()}\n")


# %%
lock()
for command in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "A small project"]):
    _git(project, *command)
my_tracking.lineage(project)

# %% [markdown]
# All four are filled and the tree is clean. Now the quick experiment, with nothing but your file around the Trainer
# (`report_to="none"`):

# %%
experiment("day11-project")
params = yaml.safe_load((project / "params.yaml").read_text())
clean = load(project / "src" / "prepare.py").clean
rows = pd.read_csv(project / "data" / "train.csv")
prepared = encoded(
    map(clean, rows.text), rows.label == names[1], params["prepare"]["max_length"]
)
with my_tracking.run("quick", params, project) as quick_run:
    trainer = lora_training(
        prepared, params["lora"]["r"], **params["finetune"], report_to="none", logging_steps=5
    )
    my_tracking.log_history(trainer.state.log_history)
    trainer.model.save_pretrained(project / "models" / "adapter")
    my_tracking.log_adapter(project / "models" / "adapter")

# %% [markdown]
# Now be the colleague from the opening, three weeks later. One call finds every run on these very sentences. (On the
# page: paste the filter into the search field of *day11-project*.)

# %%
which_data = hashlib.sha256((project / "dvc.lock").read_bytes()).hexdigest()
found = mlflow.search_runs(
    experiment_names=["day11-project"], filter_string=f"tags.dvc_lock = '{which_data}'"
)
answer = found[found.run_id == quick_run.info.run_id].iloc[0]
for column in ("tags.git_commit", "tags.git_dirty", "tags.params", "params.lora.r"):
    print(f"{column:<18} {answer[column]}")
print(f"{'last eval_loss':<18} {answer['metrics.eval_loss']:.3f}")
adapter_files = client.list_artifacts(quick_run.info.run_id, "adapter")
print("adapter:", [Path(file.path).name for file in adapter_files])
tracking.record("quick_eval_loss", answer["metrics.eval_loss"])

# %% [markdown]
# And the eight changes? Each is made in the project's files, with an editor's hand; a run is opened and closed, and the
# files are put back. No training is needed: we compare records, not results.


# %%
settings_file, code_file, lock_file = (
    project / each for each in ("params.yaml", "src/prepare.py", "dvc.lock")
)
data_file = project / "data" / "train.csv"
before = {each: each.read_bytes() for each in (settings_file, code_file, lock_file, data_file)}


# %%
def record_with(name, change):
    """Change one thing in the project, open and close a run, put the files back."""
    now = copy.deepcopy(blocks)
    for block in now.values():
        block |= {key: value for key, value in change.items() if key in block}
    settings_file.write_text(yaml.safe_dump(now))
    if "flip" in change:
        other = names[names != rows.label[0]][0]
        rows.assign(label=[other, *rows.label[1:]]).to_csv(data_file, index=False)
        lock()
    if "lower" in change:
        code_file.write_text("def clean(text):\n    return text.strip().lower()\n")
    with my_tracking.run(name, now, project) as run:
        pass
    for path, content in before.items():
        path.write_bytes(content)
    return run.info.run_id


# %%
as_usual = record_with("usual", {})
noise = differences(as_usual, record_with("usual, again", {}))
told_now = {}
for name, change in changes.items():
    found = differences(as_usual, record_with(name, change)) - noise
    told_now[name] = bool(found)
    print(f"{name:<28} {', '.join(sorted(found)) or 'nothing'}")
told_by = sum(told.values()), sum(told_now.values())

# %%
figure = plots.heatmap(
    [[told[name], told_now[name]] for name in changes],
    list(changes),
    ["report_to", "your file"],
    unit="told (1) or not (0)",
    title=f"report_to tells {told_by[0]} of 8 changes, your file {told_by[1]}",
)
plots.show(
    figure,
    alt=f"Grid of eight changes: report_to tells {told_by[0]}, your file {told_by[1]}.",
)
tracking.record("told_by_own_file", sum(told_now.values()))

# %% [markdown]
# What is a setting is named outright, in `params.…`. The label shows as another `dvc_lock`. The line of code shows as
# `git_dirty`: the record knows *that* something was edited, and cannot say what. So make it a habit: **commit, then
# train**. A number that you want to quote comes from a run whose `git_dirty` is false; then `git diff` between two
# commits shows the line.
#
# ## What you saw

# %%
print(f"One training, drawn as two: {apart:.2f} apart with smoothing, {distance:.4f} without.")
print(f"Parameters that report_to wrote: {len(by_trainer.data.params)}")
print(f"Changes it could tell: {told_by[0]} of 8. Your file: {told_by[1]} of 8.")
print(f"Rows kept from three notebooks at once: {rows_kept} of {3 * each}")

# %% [markdown]
# **In your project.** These functions live in `src/tracking.py` of the project that the coming days fill. In a terminal,
# `lab project new ~/finetuning-project` makes it now, with five gaps in that file. Copy your functions there (they are in
# the file whose path is printed above), and `lab project check ~/finetuning-project --day day11` judges them where they
# stand. A gap that you leave alone is filled with ours when a later day needs it. From then on nobody calls MLflow
# directly: a script opens `tracking.run(…)`, and its record answers the colleague's question by itself.

# %%
my_words = ...  # for example: "I shall never believe a curve before I know its smoothing."
entry = f"report_to told {sum(told.values())} of 8 changes, my file {sum(told_now.values())}."
progress.write_journal("day11", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Two runs carry the same `git_commit`, and both say `git_dirty = true`. Did they run the same code?",
        "choices": [
            (
                "Yes: a commit names one state of the code.",
                "It names the state that was committed. Both trees were edited since, each in a way that nobody wrote down.",
                False,
            ),
            (
                "Nobody can say: each may have been edited in another way since that commit.",
                "git lists which files differ, not how. That is why a number worth quoting comes from a clean tree.",
                True,
            ),
            (
                "No: a dirty tree always means other code.",
                "It may be a note in a text file, or the same edit twice. The record cannot tell.",
                False,
            ),
        ],
        "proof": (
            "import pathlib, subprocess, tempfile\n"
            "with tempfile.TemporaryDirectory() as place:\n"
            "    file = pathlib.Path(place) / 'a.py'\n"
            "    def git(*words):\n"
            "        me = ['-c', 'user.name=me', '-c', 'user.email=me@example.org', '-c', 'commit.gpgsign=false']\n"
            "        return subprocess.run(['git', '-C', place, *me, *words], capture_output=True, text=True, check=True).stdout\n"
            "    file.write_text('x = 1')\n"
            "    git('init', '-q'), git('add', '.'), git('commit', '-q', '-m', 'one')\n"
            "    seen = []\n"
            "    for text in ('x = 2', 'x = 3'):\n"
            "        file.write_text(text)\n"
            "        seen.append((git('rev-parse', 'HEAD'), git('status', '--porcelain')))\n"
            "assert seen[0] == seen[1] and seen[0][1]\n"
        ),
    },
    {
        "question": "With smoothing 90, run A (written down every step) ends below run B (every 50th step). What do you know?",
        "choices": [
            (
                "A is ahead: smoothing only removes noise.",
                "It also looks back, over points. B's line still carries losses from hundreds of steps ago.",
                False,
            ),
            (
                "Nothing yet. Set smoothing to 0, or compare an `eval_loss` at the same step.",
                "The page smooths over points, and B's points lie fifty times further apart. Two equal trainings would look like this.",
                True,
            ),
            (
                "B has not finished yet.",
                "How often a run writes says nothing about how far it got. Look at its last step.",
                False,
            ),
        ],
        "proof": (
            "import numpy as np\n"
            "loss = 2.0 - np.arange(500) / 500\n"
            "def end(values, keep=90 / 101):\n"
            "    mean = 0.0\n"
            "    for value in values:\n"
            "        mean = keep * mean + (1 - keep) * value\n"
            "    return mean / (1 - keep ** len(values))\n"
            "assert end(loss) + 0.2 < end(loss.reshape(-1, 50).mean(axis=1))\n"
        ),
    },
    {
        "question": "You logged `learning_rate` as a parameter and want all runs above 0.001. What works?",
        "choices": [
            (
                "`filter_string=\"params.learning_rate > '0.001'\"`",
                "MLflow refuses it: parameters are text, and text is compared for equality or likeness only.",
                False,
            ),
            (
                "Fetch the runs and convert the column with `astype(float)`.",
                "The table is small and pandas can count. If you need it often, log the number as a metric, too.",
                True,
            ),
            (
                "`order_by=['params.learning_rate DESC']` and read from the top.",
                "As text, '5e-05' stands above '0.01', because 5 comes after 0.",
                False,
            ),
        ],
        "proof": "assert '5e-05' > '0.01' and float('5e-05') < float('0.01')\nassert sorted(['0.1', '1', '3', '10']) == ['0.1', '1', '10', '3']\n",
    },
    {
        "question": "A script without `with` stopped with an out-of-memory *exception*. What does its run say?",
        "choices": [
            (
                "FAILED, of course.",
                "Only a `with` hears of the exception. Without it nobody tells MLflow.",
                False,
            ),
            (
                "RUNNING, for ever.",
                "That is what a *killed* process leaves behind: it has no time for last words.",
                False,
            ),
            (
                "FINISHED.",
                "Python closes the open run on its way out, with the default status. Status alone is no proof of success.",
                True,
            ),
        ],
    },
    {
        "question": 'You want the adapter of last month\'s best run. It was logged by `report_to="mlflow"` alone. Where is it?',
        "choices": [
            (
                "Among the run's artefacts.",
                "There are none: the hook sends numbers and arguments, no files, unless you ask for checkpoints.",
                False,
            ),
            (
                "It can be trained again from the parameters.",
                "Those do not hold LoRA's rank, the split or the data. You saw how much leaves no trace.",
                False,
            ),
            (
                "Only in `output_dir`, if nobody has cleaned up since.",
                "MLflow has never seen it. That is what `log_adapter` is for.",
                True,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Add a ninth change of your own to `changes`: another base model, another version of a library. Which of the two
#   records tells it? What would you have to add to `lineage`?
# - `mlflow.log_figure(figure, "loss.png")` keeps a picture, `mlflow.log_table` a table of predictions. Which ten predictions
#   would you want to read again in a month?
# - Let `run` refuse a dirty tree unless you pass `draft=True`. How long until it annoys you, and how long until it
#   saves you?
