# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import copy
import math
import re
import struct
import textwrap
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, widgets

lab = settings.start("day05")

# %% [markdown]
# ## Why today matters
#
# Yesterday you trained a model and measured it against the baseline. Good. Now somebody asks *why* it works,
# where it fails, and what you would do next. The test accuracy answers none of that. A temperature of 38.2
# tells a doctor that something is going on; it does not say what. For that she looks at the chart, and she
# has seen many charts, healthy and sick.
#
# Today you become that doctor. First, put the patient back on the table: Day 4's recipe, line by line the
# same. If you finished Day 4 in this workspace, its run is found again in seconds. If not, it is trained now,
# which takes the machine a few minutes (more when it is busy) and you none.

# %%
reviews = data.prepared("sentiment")
validation = reviews["validation"]
texts, truth = validation["text"][:], np.array(validation["label"])
names = validation.features["label"].names

# %%
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers import DataCollatorWithPadding, Trainer, set_seed

from labhelpers import training

tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
tokens = data.tokenize(reviews, tokenizer, max_length=128)
collator = DataCollatorWithPadding(tokenizer)


# %%
def lora_model(r=8, which="attention", alpha=16, seed=lab.seed):
    """Day 4's model: a frozen encoder, a fresh head, LoRA on the layers named by `which`."""
    set_seed(seed)
    base = AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **training.load_options()
    )
    targets = models.lora_targets(base, which)
    recipe = LoraConfig(
        r=r, lora_alpha=alpha, lora_dropout=0.05, target_modules=targets, task_type="SEQ_CLS"
    )
    model = get_peft_model(base, recipe)
    training.keep_adapters_precise(model)
    return model


model = lora_model()

# %%
learning_rate = settings.pick(smoke=3e-3, cpu=1e-3)
epochs = settings.pick(smoke=2, cpu=3)
batch_size = settings.pick(smoke=8, cpu=32)
args = training.arguments(
    "first-lora",
    learning_rate=learning_rate,
    num_train_epochs=epochs,
    per_device_train_batch_size=batch_size,
    eval_strategy="epoch",
)

# %%
trainer = Trainer(
    model=model,
    args=args,
    train_dataset=tokens["train"],
    eval_dataset=tokens["validation"],
    data_collator=collator,
    compute_metrics=metrics.compute_metrics,
    callbacks=[training.LivePlot()],
)
run = training.train(trainer, "first-lora")

# %% [markdown]
# Everything today is measured on the **validation** split. The test split was opened once, yesterday, and
# stays shut: today you will look for weaknesses and ideas, and whatever is used for looking cannot be an
# honest judge afterwards.

# %%
logits = training.predict(model, tokens["validation"])
probabilities = torch.tensor(logits).softmax(dim=1).numpy()
answers, confidence = logits.argmax(axis=1), probabilities.max(axis=1)
right = answers == truth
print(f"{right.sum():,} of {len(right):,} validation sentences right; {(~right).sum()} wrong")

# %% [markdown]
# That many mistakes. Here is the question that today opens with. For each sentence the model also says how
# sure it is: the larger of its two probabilities. Of the sentences it gets *wrong*, how many does it get
# wrong while being more than 90 % sure? The answer comes later.

# %%
sure_guess = widgets.predict(
    "day05-sure-and-wrong",
    "Of the wrong answers, how many are given with more than 90 % confidence?",
    0,
    100,
    "%",
)

# %% [markdown]
# ## Your own logs
#
# While it trained, the Trainer kept a diary: `trainer.state.log_history`, which `run.history` hands you. A
# list of dictionaries, and not all of one kind. As a table:

# %%
log = pd.DataFrame(run.history)
columns = ["step", "epoch", "loss", "learning_rate", "grad_norm", "eval_loss", "eval_accuracy"]
log[columns].iloc[[0, 1, 2, -3, -2, -1]].round(4)

# %% [markdown]
# `NaN` means *not written in this row*. Most rows are about training: the loss (a mean over the steps since
# the row before), the learning rate and the gradient norm (both of that one step). A few rows are about
# validation. The last one sums up. So "the loss at step 100" may not exist, and two numbers side by side may
# not come from the same sentences.
#
# Start where a doctor starts: is the first number plausible? A fresh head that knows nothing gives each of
# $K$ classes about $1/K$, so its loss is near $\ln K$.

# %%
first_loss = log["loss"].dropna().iloc[0]
print(f"first training loss {first_loss:.3f}, and ln 2 = {math.log(2):.3f}")
print(
    "A table whose losses begin at 2.45 would belong "
    f"to about {math.exp(2.45):.0f} classes, not to two."
)

# %% [markdown]
# You will see such tables in tutorials about two classes. Either they were made up, or something was wired wrongly.
# (Not the labels: flipped or shuffled, they cost a head that knows nothing no more than right ones.)
#
# Now the curve. Raw training losses jump, because each is the mean over a few batches, and some batches are
# harder than others. Everybody smooths them; write the usual way yourself: a **trailing mean**, which looks
# back and never ahead.


# %% tags=["exercise"] exercise="day05/smooth" answer="smooth" minutes=7 difficulty=1
# values: n numbers (at least one), oldest first. window: a whole number, 1 or more.
# Return n numbers. Each is the mean of the newest `window` values up to and including its own
# place; at the start, where there are fewer, the mean of those there are.
def smooth(values, window): ...


# <solution>
def smooth(values, window):
    return [
        float(np.mean(values[max(0, at + 1 - window) : at + 1])) for at in range(len(values))
    ]


# </solution>


# %% tags=["check"] exercise="day05/smooth"
def check(answer):
    values = [6.0, 0.0, 3.0, 9.0, 18.0]
    result = np.asarray(answer(list(values), 3), dtype=float)
    if result.ndim != 1:
        return f"Five values with a window of 3 gave an array of shape {result.shape}; a flat list of five numbers is wanted."
    if len(result) < 5:
        return f"Five values went in and {len(result)} came out, so the curve would lose its beginning and no longer fit its steps. At the start, average what there is."
    if len(result) > 5:
        return f"Five values went in and {len(result)} came out: there are means of places that do not exist."

    def same(*other):
        return np.allclose(result, other, atol=1e-6)

    if same(6, 3, 3, 4, 10):
        return (
            None
            if np.allclose(answer(list(values), 1), values)
            else f"For window 3 you are right. A window of 1 should change nothing, and yours makes {np.round(answer(list(values), 1), 2).tolist()} of 6, 0, 3, 9, 18. Is the 3 typed in?"
        )
    if same(2, 2, 3, 4, 10):
        return "The first two values are too small: you divide by the whole window where fewer values are there. It would look as if the run began with a climb."
    if same(2, 3, 4, 10, 9) or same(3, 3, 4, 10, 13.5):
        return "Your mean is centred: each point also knows the value after it. Nobody who watched the run could have drawn that, and it makes every turn look early."
    if same(3, 4, 10, 13.5, 18):
        return "Your mean looks ahead, at the next values instead of the last ones. The curve would know at its beginning what is yet to come."
    if same(6, 3, 3, 4.5, 7.5):
        return "Your window holds one value too many. With window 3, the fourth mean is over 0, 3 and 9, and no longer over the 6."
    if same(6, 3, 3, 4.5, 7.2):
        return "That is the mean of everything so far. A window forgets what lies further back."
    if np.allclose(result[1:], (6, 3, 3, 4)):
        return "Each of your means stops one short: the value itself belongs to its own window. The first mean is 6, from the first value alone."
    if np.isnan(result).any():
        return f"For 6, 0, 3, 9, 18 and window 3 the mean is missing (NaN) at {np.flatnonzero(np.isnan(result)).tolist()}. Where there are fewer than three values, average those; pandas does it with rolling(window, min_periods=1)."
    return f"For 6, 0, 3, 9, 18 and window 3 your means are {np.round(result, 2).tolist()}; they should be [6, 3, 3, 4, 10]. We do not recognise the mistake."


def inputs(draw):
    yield [2.5], 1
    yield [2.5], 4
    yield [1, 2, 4], 2
    yield [3.0, -1.0, 0.0, 0.0], 10
    for n, window in ((6, 1), (9, 2), (25, 7), (8, 8), (8, 9)):
        yield draw.normal(1, 3, n).tolist(), window


hints = [
    "For place `at`, which positions are in the window? The last is `at` itself; how many before it?",
    "`values[start : at + 1]` ends with the value at `at`. The start must not become negative: Python would count from the end.",
    "`np.mean(values[max(0, at + 1 - window) : at + 1])` for every `at`.",
]
misconceptions = [
    (
        "def smooth(values, window):\n    return np.convolve(values, np.ones(window) / window, 'valid')",
        "lose its beginning",
    ),
    (
        "def smooth(values, window):\n    return np.convolve(values, np.ones(window) / window, 'same')",
        "centred",
    ),
    (
        "def smooth(values, window):\n    return [float(np.mean(values[at:at + window])) for at in range(len(values))]",
        "looks ahead",
    ),
    (
        "def smooth(values, window):\n    return [sum(values[max(0, at + 1 - window):at + 1]) / window for at in range(len(values))]",
        "divide by the whole window",
    ),
    (
        "def smooth(values, window):\n    return [float(np.mean(values[max(0, at - window):at + 1])) for at in range(len(values))]",
        "one value too many",
    ),
    (
        "def smooth(values, window):\n    return [sum(values[max(0, at - window):at]) / max(1, len(values[max(0, at - window):at])) for at in range(len(values))]",
        "stops one short",
    ),
    (
        "def smooth(values, window):\n    return pd.Series(values).rolling(window).mean().tolist()",
        "min_periods=1",
    ),
]

# %% [markdown]
# Move both controls. How wide must the window be until you see a curve and not a saw? And look at the right
# end with a very wide window: whose fault is the distance between the two lines?


# %%
def look(quantity="loss", window=5):
    points = log[["step", quantity]].dropna()
    raw = points[quantity].tolist()
    series = {"as logged": raw, f"mean of the last {window}": smooth(raw, window)}
    title = f"{quantity}: from {raw[0]:.3g} to {raw[-1]:.3g}"
    figure = plots.lines(
        points["step"], series, title=title, xlabel="optimizer step", ylabel=quantity
    )
    plots.show(figure, alt=f"{title}, over {len(raw)} logged points, raw and smoothed.")


widgets.explore(
    look, quantity=["loss", "grad_norm", "learning_rate", "eval_loss"], window=(1, 25)
)

# %% [markdown]
# A trailing mean is always late: it shows where the loss was, about half a window ago. Smooth as little as
# you can bear.
#
# <!-- asked: D05-T1 -->
# Three charts of the same run, one above the other, the way you would pin them to a wall.

# %%
train_rows, checks = log.dropna(subset=["loss"]), log.dropna(subset=["eval_loss"])
steps, losses = train_rows["step"].tolist(), smooth(train_rows["loss"].tolist(), 5)
last_check = checks.iloc[-1]
finding = f"Training ends at {losses[-1]:.2f}, validation at {last_check['eval_loss']:.2f}"

# %%
wall = plt.figure(figsize=(7.2, 6.2), layout="constrained")
panels = wall.subplots(3, 1, sharex=True, height_ratios=(2, 1, 1))
panels[0].plot(steps, losses)
panels[0].plot(checks["step"], checks["eval_loss"], "o--")
panels[0].axhline(math.log(2), color="#777777", lw=1, ls=":")
panels[1].plot(train_rows["step"], train_rows["learning_rate"])
panels[2].plot(train_rows["step"], train_rows["grad_norm"])
panels[2].axhline(args.max_grad_norm, color="#777777", lw=1, ls=":")
for axes, label in zip(panels, ("loss", "learning rate", "gradient norm"), strict=True):
    axes.set_ylabel(label)
panels[2].set_xlabel("optimizer step")
ends = (last_check["step"], last_check["eval_loss"])
for label, spot, shift, side, colour in (
    ("training (mean of 5)", (steps[8], losses[8]), (10, 4), "left", "#0072B2"),
    ("validation", ends, (0, 6), "right", "#D55E00"),
):
    axes = panels[0]
    axes.annotate(label, spot, shift, textcoords="offset points", ha=side, color=colour)
wall.suptitle(finding, x=0.01, ha="left")
plots.show(wall, alt=f"Loss, learning rate and gradient norm over the run. {finding}.")

# %% [markdown]
# **The upper chart** you know from Day 4. **The middle one** shows the schedule: up during the first tenth,
# then a straight line down to zero. The climb is there because the course sets `warmup_steps=0.1`; the Trainer's own
# default is no warm-up. The straight line down *is* its default, and many people believe that the rate stays flat. Do
# not take the picture's word for it either: compare the logged rates with the formula.

# %%
total = int(log["step"].max())
warm = math.ceil(0.1 * total)
done = train_rows["step"] - 1  # the rate of step 1 was set when 0 steps were done
straight = learning_rate * np.minimum(done / warm, (total - done) / (total - warm))
print(
    "largest distance from the formula: "
    f"{(train_rows['learning_rate'] - straight).abs().max():.1e}"
)

per_step = learning_rate * np.minimum(
    np.arange(total) / warm, (total - np.arange(total)) / (total - warm)
)
last_third = per_step[-(total // 3) :].sum() / per_step.sum()
print(
    f"The last third of the steps gets {last_third:.0%} of all the learning rate that is spent."
)

# %% [markdown]
# So the end of a run is for fine work. A curve that flattens there may belong to a model that has learnt all it
# can, or only to a schedule that has run out. To tell, train again with more epochs, and the whole schedule
# stretches. Other schedules exist; here are the Trainer's usual ones, to be moved.

# %%
from labhelpers import explorers

explorers.learning_rate_schedules()

# %% [markdown]
# **The lower chart** is the length of the gradient: how strongly this step's batch pulls on the trained
# numbers. The dotted line is `max_grad_norm`. A longer gradient is scaled back to that length before it is
# used (**clipping**), and what you see is the length *before*.

# %%
norms = train_rows["grad_norm"]
for part, rows in zip(
    ("first", "second", "last"), np.array_split(norms.to_numpy(), 3), strict=True
):
    print(
        f"{part:<7} third: median {np.median(rows):.2f}, largest {rows.max():.2f}, "
        f"clipped in {(rows > args.max_grad_norm).mean():.0%} of the logged steps"
    )

# %% [markdown]
# Is that high or low? There is no healthy value for all models; it depends on what is trained and how the
# loss is averaged. What counts is the shape. Downwards a norm may fall far, which harms nobody: it
# is small before the head has found anything, and small again when little is left to learn. Watch the upper end. One
# that shoots up by a factor of a hundred, and stays there, announces a run that is about to break. One that
# is clipped at nearly every step says that the length of your steps is decided by the clipping, not by you.
#
# (A norm that *rises* while the loss falls looks odd, but is common: most sentences have become easy and pull
# no more, and the few hard ones pull hard.)
#
# More in the [guide to the training loop](../../curriculum/guides/training_loop.md).

# %% [markdown]
# ## Diagnose four sick runs
#
# These four are not drawings. Each was trained with Day 4's recipe, except for what was spoilt on purpose, and
# its diary was kept. (`lab record-runs` trains them all again, if you
# have the time.) A fifth run, a healthy one, lies under each as a thin line, for comparison.
#
# The names have been taken off, and so has the learning-rate chart: it would give two of them away.

# %%
from labhelpers import recorded_runs

healthy = recorded_runs.load("healthy")
sick = [name for name in recorded_runs.names() if name != "healthy"]
drawn = np.random.default_rng(4).permutation(sick)
patients = dict(zip("ABCD", map(recorded_runs.load, map(str, drawn)), strict=True))


# %%
def curve(history, key, window=1):
    points = [
        (row["step"], row[key]) for row in history if key in row and np.isfinite(row[key])
    ]
    steps, values = zip(*points, strict=True)
    return steps, smooth(list(values), window)


def chart(axes, history, **look):
    axes.plot(*curve(history, "loss", window=5), color="#0072B2", **look)
    axes.plot(*curve(history, "eval_loss"), color="#D55E00", ls="--", **look)


# %%
ward = plt.figure(figsize=(7.2, 5.6), layout="constrained")
for axes, (letter, patient) in zip(
    ward.subplots(2, 2, sharey=True).flat, patients.items(), strict=True
):
    chart(axes, healthy.history, lw=1, alpha=0.4)
    chart(axes, patient.history)
    axes.axhline(math.log(2), color="#777777", lw=1, ls=":")
    axes.set(title=f"Patient {letter}", ylim=(0, 1.4), xlabel="optimizer step")
ward.supylabel("loss", fontsize=10)
ward.suptitle(
    "Four sick runs: training solid, validation dashed, the healthy run thin", x=0.01, ha="left"
)
plots.show(
    ward,
    alt=(
        "Loss curves of four sick runs, patients A to D, "
        "each with the healthy run as a thin line."
    ),
)

# %% [markdown]
# Take your time. Two of the four never get below the dotted line by much, and have opposite illnesses.
# The next cell shows one quantity at a time, on a scale of its own. Ask of each patient:
#
# 1. Does the *training* loss come down? How far, and how?
# 2. Does the *validation* loss follow, stop following, or turn?
# 3. Does the gradient norm ever shoot far above 1, and stay there? (Its scale here is logarithmic: every line of the
#    grid is ten times the one below.)


# %%
def examine(patient="A", quantity="loss", beside_the_healthy_run=False):
    shown = {f"patient {patient}": patients[patient].history}
    if beside_the_healthy_run:
        shown["the healthy run"] = healthy.history
    figure, axes = plt.subplots()
    for (label, history), colour in zip(shown.items(), ("#D55E00", "#777777"), strict=False):
        steps, values = curve(history, quantity)
        axes.plot(steps, values, color=colour)
        axes.annotate(f" {label}", (steps[-1], values[-1]), color=colour, va="center")
    axes.set_xlim(0, 1.25 * steps[-1])
    axes.set_yscale("log" if quantity == "grad_norm" else "linear")
    values = curve(patients[patient].history, quantity)[1]
    title = (
        f"Patient {patient}: {quantity} ends at {values[-1]:.3g}, "
        f"its highest is {max(values):.3g}"
    )
    axes.set(title=title, xlabel="optimizer step", ylabel=quantity)
    plots.show(figure, alt=f"{quantity} over the run. {title}.")


# %%
widgets.explore(
    examine,
    patient=list("ABCD"),
    quantity=["loss", "eval_loss", "eval_accuracy", "grad_norm"],
    beside_the_healthy_run=False,
)

# %% [markdown]
# Now commit. The answer comes right after, so decide first.

# %% tags=["exercise"] exercise="day05/diagnosis" answer="diagnosis" minutes=12 difficulty=2
# One diagnosis for each patient: "rate too high", "rate too low", "trained too long" or "wrong
# labels" (some of the training labels; those of validation are right). Each occurs once. Write
# a dictionary: {"A": "…", "B": "…", "C": "…", "D": "…"}
diagnosis = ...
# <solution>
diagnosis = {
    "A": "wrong labels",
    "B": "rate too high",
    "C": "rate too low",
    "D": "trained too long",
}
# </solution>


# %% tags=["check"] exercise="day05/diagnosis"
def check(answer):
    said = {
        "too_high": "rate too high",
        "too_low": "rate too low",
        "too_long": "trained too long",
    }
    truths = {letter: said.get(run.name, "wrong labels") for letter, run in patients.items()}
    if not isinstance(answer, dict):
        return f"This is a {type(answer).__name__}. A dictionary is wanted, from the patient's letter to a diagnosis."
    answer = spelt(answer)
    if set(answer) != set(truths):
        return f"Your dictionary is about {sorted(map(str, answer))}. The patients are A, B, C and D."
    for letter, guess in sorted(answer.items()):
        if guess not in set(truths.values()):
            return f"{guess!r} for patient {letter} is none of the four diagnoses: {', '.join(sorted(set(truths.values())))}."
    wrong = [letter for letter in truths if answer[letter] != truths[letter]]
    if not wrong:
        return None
    letter = wrong[0]
    history = patients[letter].history
    losses, validation_losses = curve(history, "loss", 5)[1], curve(history, "eval_loss")[1]
    would = {
        "rate too high": "Too high a rate overshoots: the training loss never falls for good and may rise above ln 2, where it began, and the gradient norm leaves every order of magnitude you know.",
        "rate too low": "With too low a rate everything goes the right way, only very slowly: a validation loss that creeps down, calm gradients, no jump anywhere.",
        "trained too long": "A run that went on for too long knows its training sentences by heart: the training loss ends near 0 while validation turns upwards.",
        "wrong labels": "With wrong labels in the training data (the validation labels are right), training loss stays high while validation, which has no such mistakes, can lie below it.",
    }
    return (
        f"{4 - len(wrong)} of 4 are right. Look at patient {letter} again: you say {answer[letter]!r}. "
        f"{would[answer[letter]]} Here the training loss ends at {losses[-1]:.2f}; the validation loss ends at "
        f"{validation_losses[-1]:.2f} after a lowest value of {min(validation_losses):.2f}, and the largest gradient norm is "
        f"{max(curve(history, 'grad_norm')[1]):,.1f}."
    )


def spelt(answer):
    """The diagnoses as the task spells them: capitals, wider spaces and a final stop do not matter."""
    return {
        str(key).strip().upper(): " ".join(str(said).lower().strip(" .").split())
        for key, said in answer.items()
    }


def agrees(expected, found):
    return isinstance(found, dict) and spelt(found) == spelt(expected)


hints = [
    "Two of the four begin flat at ln 2 and never get below it by much. One creeps on like that to its end. What do loss and gradient norm of the other one do?",
    "Only one patient has a training loss near 0. What does its validation loss do meanwhile?",
    "Wrong labels cannot be learnt by any rule. A model that has learnt the right rule still pays for them on the training sentences, and not on validation.",
]
misconceptions = [
    (
        'diagnosis = {"A": "rate too low", "B": "rate too high", "C": "wrong labels", "D": "trained too long"}',
        "patient A again: you say 'rate too low'",
    ),
    (
        'diagnosis = {"A": "wrong labels", "B": "trained too long", "C": "rate too low", "D": "rate too high"}',
        "patient B again: you say 'trained too long'",
    ),
    (
        'diagnosis = {"A": "wrong labels", "B": "rate too low", "C": "rate too high", "D": "trained too long"}',
        "patient B again: you say 'rate too low'",
    ),
    (
        'diagnosis = ["wrong labels", "rate too high", "rate too low", "trained too long"]',
        "A dictionary is wanted",
    ),
    (
        'diagnosis = {"A": "wrong labels", "B": "overfitting", "C": "rate too low", "D": "trained too long"}',
        "none of the four diagnoses",
    ),
]

# %% [markdown]
# The names go back on, with what had been done to each, and how it ended.

# %%
for letter, patient in [*patients.items(), ("–", healthy)]:
    ending = patient.stopped or f"{patient.validation_accuracy:.1%} right on validation"
    illness = diagnosis.get(letter, "none")
    print(
        f"{letter}  {illness:<17} {textwrap.fill(patient.note, 78, subsequent_indent=' ' * 21)}"
    )
    print(f"{'':21}{ending}")
print(
    "The same answer to every sentence would be right on "
    f"{truth.mean():.1%} or {1 - truth.mean():.1%} of them."
)

# %% [markdown]
# **Too high a rate.** Each step overshoots, and the next one overshoots the correction. For a while that looks
# harmless: the loss trembles around ln 2, as if nothing were being learnt. Then something tears. In which order?

# %%
(broken,) = (patient for patient in patients.values() if patient.name == "too_high")
rows = [row for row in broken.history if "loss" in row]
alarm = next(row for row in rows if row["grad_norm"] > 10)
print(
    f"step {alarm['step']}: the gradient norm is above "
    f"10 for the first time, at {alarm['grad_norm']:.0f}; "
    f"the loss is {alarm['loss']:.2f}"
)
print(
    f"step {rows[-1]['step']}: the gradient norm is {rows[-1]['grad_norm']:,.0f}; "
    f"the loss is {rows[-1]['loss']:.2f}"
)

# %% [markdown]
# The gradient norm is the smoke detector: it goes off while the loss still looks as it did all along. At the end this model
# is worse than a coin. Compare its accuracy with the last line of the list above: it gives every sentence the same answer,
# and it is surer of it than a coin would be. And its *training* loss never fell. That is the point which many
# descriptions miss: **a learning rate this much too high cannot overfit.** To overfit, you must first fit. (Twice or
# three times too high is another matter.)
# *Treatment:* divide the rate by ten, and again if need be; start from a fresh model; keep the warm-up.
#
# **Too low a rate.** Nothing is wrong with the direction, only with the speed. Training and validation go hand in hand
# and arrive nowhere. It is the most polite of all illnesses, and people mistake it for a model that "cannot learn the
# task". *Treatment:* multiply by ten, until it goes wrong; then go back one step.
#
# **Too long, on too little.** The training loss goes to zero, the validation loss turns and climbs. This is
# **overfitting**. Look at its accuracy, though, where the loss was lowest and at the end:

# %%
(long,) = (patient for patient in patients.values() if patient.name == "too_long")
checks = [row for row in long.history if "eval_loss" in row]
for when, row in {
    "lowest loss": min(checks, key=lambda row: row["eval_loss"]),
    "the end": checks[-1],
}.items():
    print(
        f"{when:<12} step {row['step']}: loss {row['eval_loss']:.2f}, "
        f"accuracy {row['eval_accuracy']:.1%}"
    )

# %% [markdown]
# The model did not become more wrong while its loss doubled. It became far too sure of what it gets wrong.
# *Treatment:* decide what you need. For confidences that can be trusted, stop at the lowest loss (Day 10 does it
# automatically); for nothing but accuracy, at the best accuracy. Better than both: more data.
#
# **Wrong labels.** The odd one: validation *below* training. The model has found part of the rule, and the training
# labels contradict it again and again. *Treatment:* no setting cures it. Read the data.
#
# How high must the loss stay if three in ten labels are flipped at random? Somebody who knows the true
# rule, and knows about the three in ten, should say 70 % every time. No forecaster does better without
# learning sentences by heart:

# %%
flipped = recorded_runs.recipe("bad_labels")["flipped_share"]
floor = -(flipped * math.log(flipped) + (1 - flipped) * math.log(1 - flipped))
(noisy,) = (patient for patient in patients.values() if patient.name == "bad_labels")
print(f"best honest training loss with {flipped:.0%} flipped labels: {floor:.3f}")
print(
    "that run's training loss, mean of the last five rows: "
    f"{curve(noisy.history, 'loss', 5)[1][-1]:.3f}"
)
print(f"its validation loss, on labels nobody flipped:        {noisy.validation_loss:.3f}")

# %% [markdown]
# That floor belongs to somebody who knows the rule. A model that errs itself, as this one does, should end above it. It
# ends at about the floor: so it has already begun to learn wrong labels by heart, for nothing else leads down there.
#
# More illnesses, and a flow for the day when something breaks, are in the [guide to
# pitfalls](../../curriculum/guides/pitfalls.md). Day 10 lets you cause each of them yourself.

# %% [markdown]
# ## Why r = 8, and why those modules?
#
# "We used r = 8 on query and value" stands in a thousand reports, yours included. Did those choices matter?
# There are two ways to find out: look inside what was learnt, and train with other choices.
#
# **Look inside.** What LoRA added to one matrix is $\Delta W = \frac{\alpha}{r} B A$. It has as many numbers
# as the matrix itself, but they come from two thin ones. Take it out of the model by hand, and check against
# PEFT.


# %%
def adapted(model):
    """Yield a short name and PEFT's layer, for every matrix that has a detour."""
    for name, layer in model.named_modules():
        if hasattr(layer, "lora_A"):
            yield f"{re.search(r'[0-9]+', name).group()} {name.split('.')[-1]}", layer


updates = {}
for name, layer in adapted(model):
    A, B = layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()
    updates[name] = layer.lora_alpha["default"] / layer.r["default"] * B @ A
    assert torch.allclose(updates[name], layer.get_delta_weight("default"), atol=1e-5)
print(
    f"{len(updates)} updates of shape {tuple(updates[name].shape)}; "
    f"A is {tuple(A.shape)}, B is {tuple(B.shape)}"
)

# %% [markdown]
# A matrix does something simple, seen the right way: it takes the input apart into directions at right
# angles, stretches each by some factor and sends it in a new direction. The factors are its **singular
# values**, largest first. The number of them that are not zero is the **rank**. A product $BA$ that has to
# pass through 8 numbers cannot have more than 8.

# %%
singular = torch.stack([torch.linalg.svdvals(update) for update in updates.values()]).numpy()
print("first update, singular values 1 to 10:", singular[0, :10].round(4))
print(f"largest ninth value over all {len(singular)} updates: {singular[:, 8].max():.1e}")
assert (singular[:, 8] < 1e-4 * singular[:, 0]).all()

# %% [markdown]
# So the rank is 8, as it must be. But are the eight used? The square of a singular value is that direction's
# share of the update's **energy** (the sum of all squared entries of $\Delta W$). If the first two or three
# held nearly all of it, eight would be more than this task asked for.


# %% tags=["exercise"] exercise="day05/directions" answer="directions_needed" minutes=7 difficulty=2
# singular_values: those of one matrix, largest first. share: above 0 and below 1.
# Return how many of the strongest directions it takes to hold at least `share` of the energy.
# Energy is the square of a singular value. Example: values 3, 1 hold 9/10 and 1/10 of it.
def directions_needed(singular_values, share): ...


# <solution>
def directions_needed(singular_values, share):
    energy = np.square(singular_values)
    held = np.cumsum(energy) / energy.sum()
    return int(np.argmax(held >= share)) + 1


# </solution>


# %% tags=["check"] exercise="day05/directions"
def check(answer):
    values = np.array([4.0, 2.0, 2.0, 1.0])  # shares 0.64, 0.16, 0.16, 0.04 of the energy
    result = answer(values, 0.7)
    if isinstance(result, bool) or not isinstance(result, int | float | np.number):
        return f"Your function returned {type(result).__name__}. It should return how many directions, a number."
    shares = (0.4, 0.5, 0.7, 0.9, 0.99)
    found = [answer(values, share) for share in shares]
    replies = {
        "0 0 1 2 3": "One too few each time: Python counts positions from 0, and the first direction is one direction.",
        "1 2 3 4 4": "You add up the singular values themselves. Their squares add up to the squared length of the update; the values do not add up to anything of the kind.",
        "2 2 3 4 4": "You take that share of the *number* of directions. They are not equally strong: count how many of the strongest hold that share of the energy.",
        "1 1 1 1 1": "Whatever the share, you say 1. The squares add up to the energy, not to 1: divide by the energy of all directions together.",
        "4 4 4 4 4": "Whatever the share, you say 4. Do you begin with the weakest direction? The strongest come first.",
        "1 1 0 0 0": "You count single directions that are that strong; the question is how many of them *together* are.",
    }
    if (said := " ".join(f"{value:g}" for value in found)) in replies:
        return replies[said]
    if any(0 < value < 1 for value in found):
        return "You return a share. The question is how many directions it takes."
    for share, mine, yours in zip(shares, (1, 1, 2, 3, 4), found, strict=True):
        if yours != mine:
            return f"For 4, 2, 2, 1 the shares of the energy are 0.64, 0.16, 0.16 and 0.04. To hold {share} of it takes {mine}; you return {yours!r}. We do not recognise the mistake."
    if answer(2 * values, 0.9) != 3:
        return "Twice as long an update has the same shares. Divide by the energy of all directions together."
    if answer(np.ones(4), 0.5) == 3:
        return "Of four equal directions two hold exactly half. *At least* half is asked for, and you want more than half."
    return None


def inputs(draw):
    yield np.array([3.0]), 0.5
    yield np.ones(4), 0.5
    yield np.ones(8), 0.75
    yield np.array([5.0, 0.0, 0.0]), 0.999
    yield np.array([2.0, 2.0, 0.0]), 0.6
    for n in (2, 5, 8, 20, 40):
        values = np.sort(draw.normal(0, 3, n) ** 2)[::-1].copy()
        yield values.astype(np.float32), float(draw.uniform(0.1, 0.95))


hints = [
    "Square the values; divide by the sum of the squares. What does np.cumsum of that tell you?",
    "Find the first place at which the cumulated share is at least `share`. `np.argmax` of a True/False array gives the first True.",
    "A place is counted from 0, a number of directions from 1.",
]
misconceptions = [
    (
        "def directions_needed(singular_values, share):\n    held = np.cumsum(singular_values) / np.sum(singular_values)\n    return int(np.argmax(held >= share)) + 1",
        "add up the singular values themselves",
    ),
    (
        "def directions_needed(singular_values, share):\n    energy = np.square(singular_values)\n    return int(np.argmax(np.cumsum(energy) / energy.sum() >= share))",
        "One too few",
    ),
    (
        "def directions_needed(singular_values, share):\n    energy = np.square(singular_values)\n    return int((energy / energy.sum() >= share).sum())",
        "*together*",
    ),
    (
        "def directions_needed(singular_values, share):\n    energy = np.square(singular_values)\n    held = np.cumsum(energy) / energy.sum()\n    return float(held[held >= share][0])",
        "return a share",
    ),
    (
        "def directions_needed(singular_values, share):\n    energy = np.square(singular_values)\n    return int((np.cumsum(energy) / energy.sum() <= share).sum()) + 1",
        "*At least* half",
    ),
    (
        "def directions_needed(singular_values, share):\n    return int(np.argmax(np.cumsum(np.square(singular_values)) >= share)) + 1",
        "you say 1",
    ),
]

# %%
needed = [directions_needed(values, 0.9) for values in singular]
for name, count in zip(updates, needed, strict=True):
    print(f"layer {name:<10} {count} of 8 directions hold 90 % of the energy")

# %%
energy = np.square(singular[:, :8]) / np.square(singular).sum(axis=1, keepdims=True)
first_share = energy[:, 0].mean()

# %%
figure = plots.heatmap(
    np.round(100 * energy),
    [f"layer {name}" for name in updates],
    [str(at) for at in range(1, 9)],
    unit="share of the update's energy (%)",
    title=f"On average, the first direction holds {first_share:.0%} of an update",
    xlabel="direction, strongest first",
)
plots.show(
    figure,
    alt=(
        "Energy of each direction per adapted matrix; "
        f"the first holds {first_share:.0%} on average."
    ),
)

# %% [markdown]
# Is that much? Every product of two matrices has *some* strongest direction. $B$ is what training made out of
# nothing: it began at zero. So keep each $A$ as it is, and put random numbers in the place of $B$.

# %%
draw = torch.Generator().manual_seed(lab.seed)
random_pairs = []
for _, layer in adapted(model):
    A, B = (part["default"].weight.detach() for part in (layer.lora_A, layer.lora_B))
    random_pairs.append(torch.randn(B.shape, generator=draw) @ A)
by_chance = np.square([torch.linalg.svdvals(pair).numpy() for pair in random_pairs])
chance_share = (by_chance[:, 0] / by_chance.sum(axis=1)).mean()
print(
    f"first direction: {first_share:.0%} of the energy with "
    f"the trained B, {chance_share:.0%} with a random one"
)

# %% [markdown]
# The further the first number lies above the second, the fewer the directions to which training has turned $B$.
# But energy is not accuracy. A weak direction might carry
# exactly what the hard sentences need. So take the weak ones away and measure: keep the $k$ strongest of each
# update, set the others to zero, and let this model, with its head as it is, read the validation sentences
# again.


# %%
def keep_strongest(model, k):
    """Give a copy of the model whose updates have only their k strongest directions."""
    copied = copy.deepcopy(model)
    for _, layer in adapted(copied):
        A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        U, S, V = torch.linalg.svd(B.detach() @ A.detach(), full_matrices=False)
        S[k:] = 0
        A.data, B.data = V[: len(A)], (U * S)[:, : len(A)]
    return copied


kept = {}
for k in (0, 1, 2, 4, 8):
    kept_logits = training.predict(keep_strongest(model, k), tokens["validation"])
    kept[k] = kept_logits.argmax(axis=1) == truth
changes = {k: metrics.compare(kept[k], kept[8]) for k in (0, 1, 2, 4)}
for k, change in changes.items():
    print(f"{k} kept: {kept[k].mean():.1%}, against all eight {change}")

# %%
figure = plots.interval_bars(
    [f"only the {k} strongest" if k else "no update at all" for k in (0, 1, 2, 4)],
    [change.points for change in changes.values()],
    reference=0,
    reference_label="all eight:",
    title=f"One direction instead of eight: {changes[1]}",
    xlabel="change of validation accuracy (points), with 95 % intervals",
)
plots.show(
    figure,
    alt=(
        "Keeping one direction per update changes accuracy "
        f"by {100 * changes[1].estimate:+.1f} points."
    ),
)

# %% [markdown]
# "No update at all" is the frozen encoder under a head that was trained together with the updates: it reads a
# language it has not learnt. Which of the other rows is *worse*? (*undecided* does not mean equal: these sentences are
# too few to tell.) How much of what this model learnt would fit into a single direction per matrix?

# %%
rebuilt = training.predict(keep_strongest(model, 8), tokens["validation"]).argmax(axis=1)
print(
    "By the way: all 8 kept is the same update, "
    f"but {(rebuilt != answers).sum()} of {len(answers)} answers differ"
)

# %% [markdown]
# If any differ, why? The same update written as other factors is rounded in other places, and this model computes in 16
# bits where the processor can. A handful of sentences sit so close to the edge that this tips them over. No
# accuracy is more exact than that.
#
# Does it follow that r = 1 would have *learnt* as much? There is only one honest test.
#
# **Train with other choices.** Three ranks on query and value; and rank 8 on more modules: on all four matrices of
# the attention, and on every matrix of the encoder. A part of the training sentences and smaller batches will
# do, since all five get the same. Each with several seeds, none of them yesterday's. (Alpha is twice the rank each
# time, as it was yesterday. Many people keep it like this, so that, they say, the detours are equally loud.)

# %%
spread_guess = widgets.predict(
    "day05-spread",
    "Best minus worst of the five choices, in points of validation accuracy",
    0,
    40,
    "points",
)

# %%
small = tokens["train"].select(range(settings.pick(smoke=32, cpu=1000)))
choices = {
    "r = 1, query and value": (1, "attention", 2),
    "r = 8, query and value": (8, "attention", 16),
    "r = 32, query and value": (32, "attention", 64),
    "r = 8, all of attention": (8, "attention_all", 16),
    "r = 8, every matrix": (8, "all_linear", 16),
}
seeds = settings.pick(smoke=(1, 2), cpu=(1, 2, 3))


# %%
def ablation(r, which, alpha, seed):
    name = f"day05-r{r}-{which}-alpha{alpha}-seed{seed}"
    model = lora_model(r, which, alpha, seed)
    args = training.arguments(
        name,
        learning_rate=learning_rate,
        num_train_epochs=2,
        save_strategy="no",
        seed=seed,
        per_device_train_batch_size=settings.pick(smoke=8, cpu=16),
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=args, train_dataset=small, data_collator=collator)
    seconds = training.train(trainer, name).seconds
    hits = training.predict(model, tokens["validation"]).argmax(axis=1) == truth
    return models.count_parameters(model).trainable_groups["adapter"], seconds, hits


# %%
trials = {name: [ablation(*choice, seed) for seed in seeds] for name, choice in choices.items()}
set_seed(lab.seed)

# %%
hits = {name: np.array([hit for _, _, hit in runs]) for name, runs in trials.items()}
scores = np.array([100 * table.mean(axis=1) for table in hits.values()])
pd.DataFrame(
    {
        "adapter numbers": [f"{runs[0][0]:,}" for runs in trials.values()],
        "seconds": [
            f"{np.mean([seconds for _, seconds, _ in runs]):.0f}" for runs in trials.values()
        ],
        **{f"seed {seed}": scores[:, at].round(1) for at, seed in enumerate(seeds)},
        "mean": scores.mean(axis=1).round(1),
    },
    index=list(trials),
)

# %% [markdown]
# Do these runs deserve a comparison at all? Day 3's linear probe, on just as many sentences, is the bar. A choice
# that wins below it has won nothing yet.

# %%
some = reviews["train"][: len(small)]
probe = LogisticRegression(max_iter=1000)
probe = probe.fit(models.embeddings(some["text"]), some["label"])
bar = 100 * (probe.predict(models.embeddings(texts)) == truth).mean()
print(f"The probe: {bar:.1f} %. Above it lie {(scores > bar).sum()} of {scores.size} runs.")
spread = np.ptp(scores.mean(axis=1))

# %%
figure, axes = plt.subplots(figsize=(7.2, 3.2))
for row, runs in enumerate(scores):
    axes.plot([runs.min(), runs.max()], [row, row], color="#0072B2", lw=1.5, alpha=0.5)
    axes.plot(runs, [row] * len(runs), "o", color="#0072B2")
    axes.plot(runs.mean(), row, "|", color="#222222", ms=18, mew=2)
axes.axvline(bar, color="#777777", ls=":")
axes.annotate("probe ", (bar, len(scores) - 0.55), ha="right", color="#777777")
axes.set_yticks(range(len(scores)), list(trials))
axes.set(
    ylim=(len(scores) - 0.5, -0.5), xlabel="validation accuracy (%): each seed, and the mean"
)
axes.set_title(f"From the best mean to the worst: {spread:.1f} points")
plots.show(
    figure,
    alt=(
        f"Validation accuracy of five LoRA choices with {len(seeds)} seeds each; "
        f"the means lie within {spread:.1f} points, the linear probe is at {bar:.1f} %."
    ),
)
spread_guess.compare(spread)

# %% [markdown]
# Is there a winner? Look at the length of the lines: that is what *nothing but another seed* does. A comparison has to
# count both, other seeds and other sentences. So each choice against yesterday's, r = 8 on query and value:

# %%
usual = "r = 8, query and value"
against = {
    name: metrics.compare(table, hits[usual]) for name, table in hits.items() if name != usual
}
for name, result in against.items():
    print(f"{name:<24} {result}")

# %% [markdown]
# *Better* and *worse* stand where the interval excludes zero. *Undecided* does not mean equal: few runs leave room for
# a gap of many points either way. Whoever needs to know trains more seeds. (And four comparisons are four chances for luck.)
#
# Two warnings about the table itself. How far best and worst lie apart depends on which five *we* chose: leave one out,
# and see. And all five were trained at one learning rate, the one that suits yesterday's choice. More adapted matrices
# move the model further at the same rate, as a larger rate would; so what stands in the row *every matrix* belongs to
# the modules and to the size of the step together. A fair ranking finds a rate for each choice first.
#
# Now lay two findings side by side.

# %%
print(f"your model, each update cut down to one direction: {changes[1]}")
print(f"models trained with one direction:                 {against['r = 1, query and value']}")

# %% [markdown]
# In our runs the first cost a point or two, and the second was far behind, and by far the most dependent on its seed. Is
# one direction enough room, or not?
#
# Here is a suspicion. Alpha was twice the rank, so the factor $\alpha / r$ in front of the detour was 2 for all of
# them. But with r = 32, thirty-two directions move at once, each by a step of about the same size (that is how AdamW works),
# and together they get further than one. If that is the reason, rank 1 does not lack room. It lacks
# *volume*: the size of its steps. Test it: rank 1 again, with not one number more, only with alpha 16, so that its factor is 16.

# %%
louder_hits = np.array([ablation(1, "attention", 16, seed)[2] for seed in seeds])
louder = 100 * louder_hits.mean(axis=1)
set_seed(lab.seed)
print(f"r = 1, alpha 2:  {scores[0].round(1)}, mean {scores[0].mean():.1f} %")
print(f"r = 1, alpha 16: {louder.round(1)}, mean {louder.mean():.1f} %")
print(f"r = 8, alpha 16: {scores[1].round(1)}, mean {scores[1].mean():.1f} %")
for name in ("r = 1, query and value", usual):
    print(f"r = 1, alpha 16 against {name}: {metrics.compare(louder_hits, hits[name])}")

# %% [markdown]
# If the first line says *better*, volume held rank 1 back, for nothing else was changed. If it says *undecided*, quiet
# runs of rank 1 lie too far apart for so few seeds. Whatever gap is left in the second line may be room, or volume once
# more: these runs cannot say. (In ours, eight times the volume brought most of what rank 1 lacked, with one direction
# per matrix. Volume has a price, too: a detour that is too loud is a learning rate that is too high.)
#
# Read every table of ranks with this in mind, ours too: was anything else changed along with the rank? When two runs
# differ in two things (here, room and volume), nobody can say which of them made the difference. On Saturday you follow
# this up with more ranks, more seeds and a fixed alpha.
#
# <!-- asked: D05-T2 -->
# So what did r = 8 buy? A safe middle that many people have used, and nothing that you have to defend to the last
# decimal. The LoRA paper reports for a far larger model that ranks of 1 or 2 on query and value were competitive
# with 64 (section 7.2). What a wider detour certainly costs is numbers to store: move the rank once more. (It
# opens with DistilBERT, whose head is far larger than our encoder's; choose another model in it.)

# %%
explorers.lora_calculator()

# %% [markdown]
# More about the choice: [the guide to LoRA](../../curriculum/guides/lora.md).

# %% [markdown]
# ## Which sentences fail?
#
# The share of wrong answers is one number about all sentences together. Mistakes are hardly ever spread evenly, and
# where they gather they tell you what to do. A **slice** is a part of the data that you can describe in
# words: the long sentences, those with a *not*, those on which people disagreed.
#
# Negations are everybody's first suspect. A colleague has written this test for them.


# %%
def colleague_has_negation(text):
    return "not" in text


for text in ["It is not good.", "Not good.", "It isn't good.", "Just another notable film."]:
    print(f"{colleague_has_negation(text)!s:<6} {text}")

# %% [markdown]
# It finds one negation of three, and the last line is a false alarm. On our sentences, how bad is it?

# %%
found = [text for text in texts if colleague_has_negation(text)]
false_alarms = [text for text in found if not re.search(r"\bnot\b", text)]
print(
    f"It finds {len(found)} sentences, "
    f"and in {len(false_alarms)} of them there is no word 'not'. For example:"
)
for text in false_alarms[:3]:
    print("  ", textwrap.shorten(text, 90))


# %% tags=["exercise"] exercise="day05/negation" answer="has_negation" minutes=10 difficulty=2
# text: one sentence. Return True if it holds one of these words, in capitals or not:
# not, no, never, cannot, or anything that ends in n't (isn't, won't, …). Whole words only.
def has_negation(text): ...


# <solution>
def has_negation(text):
    return re.search(r"\b(not|no|never|cannot|\w+n't)\b", text, re.IGNORECASE) is not None


# </solution>


# %% tags=["check"] exercise="day05/negation"
def check(answer):
    def says(text):
        return bool(answer(text))

    if not says("It is not good."):
        return "'It is not good.' holds a negation, and you miss it."
    if says("Just another notable film."):
        return "'Just another notable film.' is no negation. Your test looks for letters inside words; a word has a beginning and an end."
    if not says("Not good."):
        return (
            "'Not good.' is missed. A sentence often begins with its negation, with a capital."
        )
    if not says("It isn't good.") or not says("They won't like it."):
        return "\"It isn't good.\" is missed, and so are don't, won't and can't: anything that ends in n't counts."
    for text in ("There is no plot.", "It never works.", "You cannot look away."):
        if not says(text):
            return f"{text!r} is missed. The task lists the words to look for."
    for text in (
        "Is it good? No.",
        "Good? Not, at least, here.",
        "(Not bad)",
        "Did I laugh? No",
    ):
        if not says(text):
            return f"{text!r} is missed. Punctuation may stand right beside a word."
    for text in (
        "I know nobody noticed the nocturnal mood.",
        "A cannoter.",
        "Nevertheless fine.",
        "An ant in a tent.",
    ):
        if says(text):
            return f"{text!r} holds none of the words on the list, but you say it does. Each word needs an end as well as a beginning."
    for text in ("It is NOT good.", "DON'T!", "nEvEr again"):
        if not says(text):
            return f"{text!r} is missed. Any letter may be a capital, not the first alone."
    return None


def inputs(draw):
    words = ["not", "no", "never", "cannot", "isn't", "won't", "can't", "didn't", "ain't"]
    others = "knot notes note know nor none nothing another nevermore ever can cant want tent"
    others = [*others.split(), "cannots", "don'ts", "it't", "it's", "n", "t"]
    for word in [*words, *others, ""]:
        for form in (word, word.upper(), word.capitalize()):
            yield from (
                form,
                f"It is {form}, they say.",
                f"({form})",
                f"{form} way",
                f"a b\n{form}",
            )
    for _ in range(10):
        yield " ".join(draw.choice(others, 8)).capitalize() + "."
        yield (" ".join(draw.permutation([*draw.choice(others, 6), draw.choice(words)])) + "!")


def agrees(expected, found):
    return bool(expected) == bool(found)


hints = [
    "A word has edges. In a regular expression, `\\b` stands for the edge of a word.",
    "`re.search(pattern, text, re.IGNORECASE)` is None if nothing is found. Alternatives are written `(one|two|three)`.",
    "For n't: `\\w+n't` is any run of letters that ends in n't.",
]
misconceptions = [
    ("def has_negation(text):\n    return 'not' in text.lower()", "inside words"),
    (
        'def has_negation(text):\n    return bool(re.search(r"\\b(not|no|never|cannot|\\w+n\'t)\\b", text))',
        "with a capital",
    ),
    (
        "def has_negation(text):\n    return bool(re.search(r'\\b(not|no|never|cannot)\\b', text, re.I))",
        "that ends in n't counts",
    ),
    (
        "def has_negation(text):\n    return any(word in ('not', 'no', 'never', 'cannot') or word.endswith(\"n't\") for word in text.lower().split())",
        "Punctuation",
    ),
    (
        'def has_negation(text):\n    return bool(re.search(r"\\b((not|no)\\b|never|cannot|\\w+n\'t)", text, re.I))',
        "none of the words",
    ),
    (
        'def has_negation(text):\n    return bool(re.search(r"\\b(not|\\w+n\'t)\\b", text, re.I))',
        "lists the words",
    ),
    (
        'def has_negation(text):\n    return bool(re.search(r"\\b([Nn]ot|[Nn]o|[Nn]ever|[Cc]annot|\\w+n\'t)\\b", text))',
        "Any letter may be a capital",
    ),
]

# %% [markdown]
# Now four ways to slice. By length, in three equal parts. By negation. And, because each of our sentences was judged by
# some twenty people on a scale from −4 to +4: by how much these people disagreed (the standard deviation of their
# ratings), and by how far their mean lies from 0.


# %%
def thirds(values, words):
    """Cut into three parts of the same size: names for low, middle and high."""
    return pd.qcut(pd.Series(values).rank(method="first"), 3, labels=words).astype(str)


frame = pd.DataFrame({"right": right, "confidence": confidence})
frame["length"] = thirds([len(text.split()) for text in texts], ["short", "middling", "long"])
frame["negation"] = ["has one" if has_negation(text) else "has none" for text in texts]
if "ratings" in validation.column_names:
    frame["raters"] = thirds(
        [np.std(each) for each in validation["ratings"]], ["agree", "differ", "disagree"]
    )
    frame["mean rating"] = thirds(np.abs(validation["rating"]), ["near 0", "clear", "strong"])
groups = [name for name in ("length", "negation", "raters", "mean rating") if name in frame]

# %%
parts = {}  # by group, then by value, the hardest first
for group in groups:
    rows = {
        value: metrics.bootstrap_interval(right[frame[group] == value])
        for value in frame[group].unique()
    }
    parts[group] = dict(sorted(rows.items(), key=lambda row: row[1].estimate))

sizes = {
    (group, value): (frame[group] == value).sum() for group in groups for value in parts[group]
}
slices = {
    f"{group}: {value} ({size}{', FEW' if size < 100 else ''})": parts[group][value]
    for (group, value), size in sizes.items()
}

# %%
worst = min(slices, key=lambda name: slices[name].estimate)

# %%
figure = plots.interval_bars(
    list(slices),
    [(100 * part.estimate, 100 * part.low, 100 * part.high) for part in slices.values()],
    reference=100 * right.mean(),
    reference_label="all",
    title=f"The hardest slice is '{worst}': {slices[worst].estimate:.0%} right",
    xlabel="validation accuracy (%), with 95 % intervals",
)
plots.show(
    figure,
    alt=(
        "Accuracy per slice with intervals. "
        f"The hardest is {worst} with {slices[worst].estimate:.0%}."
    ),
)

# %% [markdown]
# In brackets stands how many sentences a slice has. If one of yours says FEW, the interval is wide: such a slice
# can raise a suspicion, and not settle one. And the more slices you cut, the more certainly one of them looks bad
# by luck alone. So set each gap beside its noise (the ± joins the two intervals of the figure: it is about other
# sentences, for this one model):

# %%
for group, rows in parts.items():
    (low, worst_part), *_, (high, best_part) = rows.items()
    gap = best_part.estimate - worst_part.estimate
    noise = math.hypot(
        worst_part.high - worst_part.estimate, best_part.estimate - best_part.low
    )
    print(
        f"{group:<12} {low} {worst_part.estimate:.1%}, {high} {best_part.estimate:.1%}: "
        f"gap {100 * gap:.1f} ± {100 * noise:.1f} points"
    )

# %% [markdown]
# A gap that does not exceed what follows its ± is no finding. One that does is a suspicion, to be tried on new
# sentences: in groups of three we set the worst beside the best, and this choice alone makes gaps look bigger. On which
# of your suspects would you bet?
#
# <!-- asked: D05-T3 -->
# The last two groups ask the same in two ways: does the model stumble more often where people are less decided? That
# would be no disgrace. Failing where people are sure is one, and that kind is worth reading, one by one: set
# *part* to "the easiest" to see it. Choose a group and read; look for **patterns**, the way you would sort a drawer. Try to end with
# three, each with a name and a possible improvement.


# %%
def read_slice(group=groups[-1], part="the hardest", show="wrong answers"):
    shares = frame.groupby(group)["right"].mean().sort_values()
    value = shares.index[0 if part == "the hardest" else -1]
    chosen = frame[(frame[group] == value) & (frame["right"] == (show == "right answers"))]
    print(f"{group}: {value}; {show}, the five of which the model was surest\n")
    for at in chosen["confidence"].sort_values(ascending=False).index[:5]:
        line = (
            f"[truth {names[truth[at]]}; model {names[answers[at]]}, "
            f"{confidence[at]:.0%}] {texts[at]}"
        )
        print(textwrap.fill(line, 96, subsequent_indent="    "))


widgets.explore(
    read_slice,
    group=groups,
    part=["the hardest", "the easiest"],
    show=["wrong answers", "right answers"],
)

# %% [markdown]
# ### Is it the model that is wrong?
#
# Some of these make one wonder. Labels are made by people (or by a rule), and both err. A simple way to find
# suspects: sentences where the model is *sure*, and the label says the other thing. (It works only on
# sentences that the model has not been trained on. On its training sentences it has seen the label, and may
# have learnt the error by heart.)


# %% tags=["exercise"] exercise="day05/suspects" answer="suspects" minutes=8 difficulty=2
# labels: n true classes, 0 or 1. probabilities: shape (n, 2), a row per sentence. k: how many.
# Return the positions of the k sentences in which the model contradicts the label with the
# greatest confidence, the most confident first. (Fewer than k if it contradicts fewer.)
def suspects(labels, probabilities, k): ...


# <solution>
def suspects(labels, probabilities, k):
    sure, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    return [int(at) for at in np.argsort(-sure) if wrong[at]][:k]


# </solution>


# %% tags=["check"] exercise="day05/suspects"
def check(answer):
    positive = np.array([0.97, 0.20, 0.45, 0.90, 0.02, 0.70, 0.995, 0.60])
    labels = np.array(
        [1, 1, 1, 0, 1, 0, 1, 1]
    )  # contradictions: 4 (.98), 3 (.90), 1 (.80), 5 (.70), 2 (.55)
    table = np.stack([1 - positive, positive], axis=1)
    result = np.asarray(answer(labels.copy(), table.copy(), 3))
    if result.dtype == bool:
        return "These are True/False marks. We want positions, so that the sentences can be looked up, in order."
    if result.ndim != 1:
        return f"Your result has shape {result.shape}. A flat list of positions is wanted."
    found = [float(at) for at in result]
    if found == [4, 3, 1]:
        everything = [int(at) for at in answer(labels.copy(), table.copy(), 100)]
        if everything == [4, 3, 1, 5, 2]:
            return None
        return "With k = 3 you are right. With a large k you also name sentences in which model and label agree; those are no suspects."
    if found == [6, 4, 0]:
        return "You list the sentences of which the model is surest, whether it contradicts the label or not. Agreement is not suspicious."
    if sorted(found) == [1, 3, 4]:
        return "The right three, in another order. The most confident contradiction comes first: somebody who has time for only one should read that one."
    if found == [2, 5, 1]:
        return "You begin with the least confident contradictions. There the model was hardly decided; that says little against a label."
    if found == [3, 5] or found == [3, 5, 7]:
        return "You look at one class only. A positive label can be wrong as well as a negative one: confidence is the larger of the two probabilities."
    if found == [1, 2, 3]:
        return "Those are the first three contradictions in the order of the data. Sort them by confidence before you cut."
    return f"In our trial you name {result.tolist()}; it should be [4, 3, 1]. Model and label contradict each other at 1, 2, 3, 4 and 5, and the model is surest of itself at 4. We do not recognise the mistake."


def inputs(draw):
    def case(n, k, share=0.5):
        positive = draw.random(n)
        labels = np.where(draw.random(n) < share, positive < 0.5, positive >= 0.5).astype(int)
        return labels, np.stack([1 - positive, positive], axis=1), k

    yield from (case(1, 1, 1.0), case(1, 1, 0.0), case(12, 4), case(12, 1), case(9, 0))
    yield from (case(30, 100), case(30, 30, 1.0), case(30, 5, 0.0), case(40, 7, 0.1))


hints = [
    "Two things per sentence: is `probabilities.argmax(axis=1)` something else than the label, and how large is `probabilities.max(axis=1)`?",
    "`np.argsort(-sure)` gives the positions, the surest first. Go through them and keep those that contradict.",
    "`[at for at in np.argsort(-sure) if wrong[at]][:k]`",
]
misconceptions = [
    (
        "def suspects(labels, probabilities, k):\n    return np.argsort(-probabilities.max(axis=1))[:k]",
        "Agreement is not suspicious",
    ),
    (
        "def suspects(labels, probabilities, k):\n    sure = probabilities.max(axis=1)\n    return [at for at in np.argsort(sure) if probabilities[at].argmax() != labels[at]][:k]",
        "least confident",
    ),
    (
        "def suspects(labels, probabilities, k):\n    return np.flatnonzero(probabilities.argmax(axis=1) != labels)[:k]",
        "order of the data",
    ),
    (
        "def suspects(labels, probabilities, k):\n    return probabilities.argmax(axis=1) != labels",
        "True/False marks",
    ),
    (
        "def suspects(labels, probabilities, k):\n    return [at for at in np.argsort(-probabilities[:, 1]) if labels[at] == 0][:k]",
        "one class only",
    ),
    (
        "def suspects(labels, probabilities, k):\n    return np.argsort(probabilities[np.arange(len(labels)), labels])[:k]",
        "no suspects",
    ),
]

# %% [markdown]
# The ten strongest suspects. Read them *without* label, and decide for yourself: positive or negative? Take a
# sheet of paper, or write ten letters into the cell below.

# %%
ten = suspects(truth, probabilities, 10)
for number, at in enumerate(ten, 1):
    print(textwrap.fill(f"{number:>2}. {texts[at]}", 96, subsequent_indent="    "))

# %%
my_reading = ""  # ten letters, p or n, such as "pnnpnpppnn"; then run this cell and the next

# %% tags=["fold"]
for number, at in enumerate(ten, 1):
    yours = (
        f"  you {names[my_reading[number - 1].lower() == 'p']}"
        if len(my_reading) >= number
        else ""
    )
    people = (
        f"  mean rating {validation[at]['rating']:+.2f}"
        if "rating" in validation.column_names
        else ""
    )
    print(
        f"{number:>2}. label {names[truth[at]]:<9} model "
        f"{names[answers[at]]} ({confidence[at]:.0%}){people}{yours}"
    )

# %% [markdown]
# With whom did you side? Look at the mean ratings: where they are small, people leaned one way only a little, and
# perhaps so do you. (Below 0.5 there is nothing: Day 2 left those sentences out.) Where they are large, people had made
# up their minds, and the model has been taken in: by a *can't*, perhaps, or by fine words that were meant
# bitterly. How many of the raters took the model's side?

# %%
if "ratings" in validation.column_names:
    with_model = np.array(
        [
            np.mean(np.sign(each) == 2 * answers[at] - 1)
            for at, each in enumerate(validation["ratings"])
        ]
    )
    for name, rows in {
        "the ten suspects": ten,
        "all wrong answers": np.flatnonzero(~right),
        "all right answers": np.flatnonzero(right),
    }.items():
        print(f"{name:<18} {with_model[rows].mean():.0%} of the raters are on the model's side")
print(
    f"If all {len(ten)} labels were wrong, accuracy would be "
    f"{right.mean() + len(ten) / len(right):.1%} instead of {right.mean():.1%}."
)

# %% [markdown]
# The fewer raters side with the model, the more the list shows what *it* does not understand, and not what the raters
# got wrong. Here each label is a vote of some twenty people. Most data sets have one label per text, from one tired
# person or from a rule. Would the same list help there? Bury some errors and see whether it digs them up: flip
# some validation labels at random (in a copy), and rank the suspects again.

# %%
draw = np.random.default_rng(lab.seed)
buried = draw.choice(len(truth), settings.pick(smoke=6, cpu=50), replace=False)
dirty = truth.copy()
dirty[buried] = 1 - dirty[buried]

for read in (len(buried), 2 * len(buried), 3 * len(buried)):
    dug = np.isin(suspects(dirty, probabilities, read), buried).sum()
    print(
        f"reading the {read} strongest suspects finds {dug} of {len(buried)} buried errors; "
        f"{read} sentences at random would find about {read * len(buried) / len(truth):.0f}"
    )

# %% [markdown]
# How many times faster than reading at random does it find them? Northcutt and
# colleagues (2021) went through ten famous test sets in this way, with people checking what came up, and found label errors in every
# one of them.
#
# But whatever you find: do not "repair" the labels of the validation split because *this* model doubts them. It
# would be judge in its own case, and every other model would be measured by its prejudices. Labels are repaired
# by people who do not know what the model said, and then for every model alike.

# %% [markdown]
# ## Does it know when it is unsure?
#
# Now the question from the beginning.

# %%
sure_and_wrong = (confidence[~right] > 0.9).mean()
print(
    f"{(confidence[~right] > 0.9).sum()} of {(~right).sum()} "
    "wrong answers were given with more than 90 % confidence."
)
sure_guess.compare(100 * sure_and_wrong)
sure = confidence > 0.9
print(
    f"The other way about: of {sure.sum()} answers given with more than 90 %, "
    f"{(~right[sure]).mean():.1%} are wrong. "
    f"Honest would be {1 - confidence[sure].mean():.1%}."
)

# %% [markdown]
# The second line is the one that counts, and its gap has a name. A model is **calibrated** if its confidence can be taken at its word: of all answers given with 80 %, eight
# in ten are right. To check, sort the answers into slices of confidence and compare, in each, what the model
# claims with how often it is right. The average gap, weighted by size and counted without
# its sign, is the **expected calibration error** (ECE).


# %%
def reliability(logits, labels, title):
    table = torch.tensor(logits).softmax(dim=1).numpy()
    sure, hit = table.max(axis=1), table.argmax(axis=1) == labels
    where = np.minimum((10 * sure).astype(int), 9)
    figure, axes = plt.subplots(figsize=(5.4, 4.2))
    axes.plot([0.5, 1], [0.5, 1], color="#777777", ls=":")
    for inside in (where == part for part in np.unique(where)):
        x, y = sure[inside].mean(), metrics.bootstrap_interval(hit[inside])
        axes.plot([x, x], [y.low, y.high], color="#0072B2", alpha=0.5, lw=3)
        axes.plot(x, y.estimate, "o", color="#0072B2")
        axes.annotate(f" {inside.sum()}", (x, y.estimate), (4, -10), textcoords="offset points")
    axes.set(xlabel="confidence, mean of the slice", ylabel="share that is right", title=title)
    axes.set(xlim=(0.48, 1.02), ylim=(0.2, 1.03))
    plots.show(
        figure,
        alt=f"Reliability: share of right answers against confidence, in slices. {title}.",
    )


# %%
ece = metrics.expected_calibration_error(truth, probabilities)
gap = confidence.mean() - right.mean()
print(f"mean confidence {confidence.mean():.1%}, right {right.mean():.1%}, ECE {ece:.3f}")
word = "overconfident" if gap > 0 else "underconfident"
reliability(logits, truth, f"On average {word} by {100 * abs(gap):.1f} points")

# %% [markdown]
# Dots under the dotted line: the model claims more than it keeps. (The small numbers say how many answers are
# in a slice; where there are few, the bar is long.)
#
# Why would training make a model overconfident? Remember the sick run that went on for too long. Once a training sentence is
# right, the only way left to lower its loss is to become surer of it. Nobody tells the model when to stop.
#
# There is a cheap repair. Divide all logits by one number $T$, the **temperature**, before they become
# probabilities. Above 1 it makes every answer more modest. Move it, and watch two things: the dots, and the
# accuracy.


# %%
def at_temperature(T=1.0):
    cooled = torch.tensor(logits / T).softmax(dim=1).numpy()
    error = metrics.expected_calibration_error(truth, cooled)
    accuracy = (cooled.argmax(axis=1) == truth).mean()
    reliability(logits / T, truth, f"T = {T:g}: ECE {error:.3f}, accuracy {accuracy:.1%}")


widgets.explore(at_temperature, T=(0.5, 4.0, 0.1))

# %% [markdown]
# The accuracy never moves: dividing both logits by the same number does not change which is larger.
#
# You could now pick the $T$ with the prettiest picture. But then you would have chosen it on the very
# sentences on which you admire it. So: fit it on one half of validation, judge it on the other. And fit it by
# the loss, as training does, because the loss is smooth, while the ECE jumps whenever a sentence changes its
# slice.


# %%
def log_loss(logits, labels, T):
    """The mean loss when all logits are divided by T."""
    return nn.functional.cross_entropy(torch.tensor(logits / T), torch.tensor(labels)).item()


temperatures = np.round(np.arange(0.3, 6.01, 0.05), 2)


# %% tags=["exercise"] exercise="day05/temperature" answer="fit_temperature" minutes=8 difficulty=2
# logits: shape (n, 2). labels: n classes. Return the best of `temperatures`: the one with the
# lowest loss.
def fit_temperature(logits, labels): ...


# <solution>
def fit_temperature(logits, labels):
    losses = [log_loss(logits, labels, T) for T in temperatures]
    return float(temperatures[int(np.argmin(losses))])


# </solution>


# %% tags=["check"] exercise="day05/temperature"
def check(answer, ours):
    rng = np.random.default_rng(0)
    honest = np.stack([np.zeros(4000), rng.normal(0, 1.5, 4000)], axis=1).astype(np.float32)
    drawn = (rng.random(4000) < 1 / (1 + np.exp(-honest[:, 1]))).astype(int)
    grid = np.round(np.arange(0.3, 6.01, 0.05), 2)
    whole = np.isclose(log_loss(honest, drawn, 2.0), plain_loss(honest / 2, drawn))
    if not (np.array_equal(temperatures, grid) and whole):
        return "`temperatures` or `log_loss` is no longer what the cell above made. Give yours other names, and run that cell again."
    loud, timid = answer(2 * honest, drawn), answer(honest / 2, drawn)
    if isinstance(loud, bool) or not isinstance(loud, int | float | np.number):
        return f"Your function returned {type(loud).__name__}. One number is wanted: the temperature."
    want_loud, want_timid = ours(2 * honest, drawn), ours(honest / 2, drawn)

    def same(first, second):
        return np.allclose([loud, timid], [first, second])

    if same(want_loud, want_timid):
        return by_calibration(answer, ours, 2 * honest[:200], drawn[:200])
    if loud == int(loud) and loud > 6:
        return f"You return {loud:g}, a position in `temperatures`. The temperature at that position is wanted."
    if abs(loud - 0.5) < 0.2 and abs(timid - 2) < 0.3:
        return "Upside down: for logits that are twice as loud as they should be you make them louder still. Dividing by T makes them quieter when T is above 1."
    if 0 < loud < 1 and not np.isclose(temperatures, loud).any():
        return "You return a loss, not the temperature that has it."
    if loud == timid == temperatures[0]:
        return "You return the first temperature of the list for every model. Do you compare something that does not change with T, such as the accuracy?"
    if loud in (temperatures[0], temperatures[-1]):
        return "You end at one end of the list. Is it the *lowest* loss that you look for?"

    for kind, logits, yours, mine in (
        ("twice", 2 * honest, loud, want_loud),
        ("half", honest / 2, timid, want_timid),
    ):
        if not np.isclose(yours, mine):
            off = (
                ""
                if np.isclose(temperatures, yours).any()
                else ", which is not in `temperatures`"
            )
            return f"Our trial logits are {kind} as loud as they should be. You return {yours:.4g}{off}, with a loss of {log_loss(logits, drawn, yours):.5f}; T = {mine:.4g} has {log_loss(logits, drawn, mine):.5f}, the lowest. We do not recognise the mistake."


def plain_loss(logits, labels):
    return np.logaddexp(0, np.where(labels == 1, -1, 1) * (logits[:, 1] - logits[:, 0])).mean()


def by_calibration(answer, ours, logits, labels):
    """Tell whether T is chosen by the calibration error, which agrees with the loss on many sentences only."""

    def error(T):
        table = torch.tensor(logits / T).softmax(dim=1).numpy()
        return metrics.expected_calibration_error(labels, table)

    yours, mine, honest = (
        answer(logits, labels),
        ours(logits, labels),
        min(temperatures, key=error),
    )
    if np.isclose(yours, mine) or not np.isclose(yours, honest):
        return None
    return f"For 200 sentences you return {yours:.4g}: that has the lowest calibration error, which jumps whenever a sentence changes its slice. The lowest *loss* is at T = {mine:.4g}."


def inputs(draw):
    for n, loud in ((40, 3.0), (300, 0.7), (1000, 1.6), (2000, 1.0)):
        logits = draw.normal(0, 2, (n, 2))
        likely = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
        yield (loud * logits).astype(np.float32), (draw.random(n) < likely).astype(int)
    plain = np.array([[0.5, -0.5], [-0.3, 0.4]], dtype=np.float32)
    yield plain, np.array([0, 1])
    yield plain, np.array([1, 0])
    yield plain[:1], np.array([0])


hints = [
    "`log_loss(logits, labels, T)` for each T gives a list of losses.",
    "`np.argmin(losses)` is the position of the smallest; `temperatures[position]` is the answer.",
    "`min(temperatures, key=lambda T: log_loss(logits, labels, T))` does it in one line.",
]
misconceptions = [
    (
        "def fit_temperature(logits, labels):\n    return max(temperatures, key=lambda T: ((logits / T).argmax(axis=1) == labels).mean())",
        "does not change with T",
    ),
    (
        "def fit_temperature(logits, labels):\n    return int(np.argmin([log_loss(logits, labels, T) for T in temperatures]))",
        "a position in",
    ),
    (
        "def fit_temperature(logits, labels):\n    return max(temperatures, key=lambda T: log_loss(logits, labels, T))",
        "one end of the list",
    ),
    (
        "def fit_temperature(logits, labels):\n    return min(temperatures, key=lambda T: log_loss(logits * T * T, labels, T))",
        "Upside down",
    ),
    (
        "def fit_temperature(logits, labels):\n    return min(log_loss(logits, labels, T) for T in temperatures)",
        "return a loss",
    ),
    (
        "def fit_temperature(logits, labels):\n    def error(T):\n        table = torch.tensor(logits / T).softmax(dim=1).numpy()\n        return metrics.expected_calibration_error(labels, table)\n    return min(temperatures, key=error)",
        "lowest calibration error",
    ),
]

# %%
half = np.random.default_rng(lab.seed).permutation(len(truth))
fit_on, judge_on = half[: len(half) // 2], half[len(half) // 2 :]
T = fit_temperature(logits[fit_on], truth[fit_on])

verdict = {}
for name, divisor in {"before": 1.0, f"after, T = {T:.2f}": T}.items():
    cooled = torch.tensor(logits[judge_on] / divisor).softmax(dim=1).numpy()
    verdict[name] = [
        metrics.expected_calibration_error(truth[judge_on], cooled),
        log_loss(logits[judge_on], truth[judge_on], divisor),
        (cooled.argmax(axis=1) == truth[judge_on]).mean(),
    ]
pd.DataFrame(verdict, index=["ECE", "loss", "accuracy"]).T.round(3)

# %% [markdown]
# Whether the repair holds on sentences it was not fitted on, the last row gives a first answer. One number is little to
# fit, so it usually does. (Guo and colleagues, 2017, tried it against cleverer methods on large networks, and it
# was hard to beat.) What it cannot do is to make a single wrong answer right.
#
# How such scores are best reported: [guide to evaluation](../../curriculum/guides/evaluation.md).

# %% [markdown]
# ## Training time, inference time, adapter size
#
# What did the run cost, and what will it cost to use? One prediction first, alone and in company.


# %%
def seconds_per_sentence(rows_per_batch, rows):
    training.predict(
        model, rows, batch_size=rows_per_batch
    )  # not timed: the first time is slower
    times = []
    for _ in range(3):
        started = time.perf_counter()
        training.predict(model, rows, batch_size=rows_per_batch)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) / len(rows)


sample = tokens["validation"].select(range(settings.pick(smoke=32, cpu=128)))
one, many = (seconds_per_sentence(size, sample) for size in (1, 32))
print(f"one at a time   {1000 * one:.1f} ms per sentence")
print(f"32 in a batch   {1000 * many:.1f} ms per sentence, {one / many:.1f} times as fast")

# %% [markdown]
# Time per sentence and time until the answer are two things. In a batch each sentence costs less, but the
# first waits for the last.

# %%
learnt = run.seconds / (epochs * len(tokens["train"]))
print(f"training: {run.seconds:.0f} s in all, {1000 * learnt:.1f} ms per sentence and epoch")
print(f"          {learnt / many:.1f} times a prediction of the same sentence in a batch of 32")
print(
    f"break-even: after {run.seconds / one:,.0f} single predictions, "
    "using the model has cost as much time as training it"
)

# %% [markdown]
# Forward, and back: with every weight trained, the way back costs about twice the way forth, so three times
# in all is the usual rule of thumb. LoRA saves the part of the way back that computes gradients *of frozen
# weights*; it cannot save the way itself, because the gradients must pass through the frozen layers to reach
# the detours below. (Is your ratio far above three? The optimizer and the checks after each epoch explain
# little of it. Usually the machine was doing something else during one of the two measurements.)
#
# (In the table of ranks above, do not read the seconds as a ranking either: one disturbed run is enough.)
#
# And what do you have to keep? Weigh it.

# %%
folder = lab.workspace / "adapters" / run.folder.name
training.save_once(
    folder, model.save_pretrained
)  # Day 4 saves it here, too: then nothing is written

content = (folder / "adapter_model.safetensors").read_bytes()
# A safetensors file begins with the length of its table of contents, in 8 bytes.
(header,) = struct.unpack("<Q", content[:8])
trained = models.count_parameters(model).trainable
print(
    f"8 bytes + {header:,} bytes of names and shapes + "
    f"{trained:,} numbers × 4 bytes = {8 + header + 4 * trained:,}"
)
print(f"the file has {len(content):,} bytes")
assert len(content) == 8 + header + 4 * trained

# %% [markdown]
# To the byte. If a file of yours is not what this sum says, something is in it that you did not expect (a
# whole embedding matrix, say), or something is missing (the head!). It is the cheapest check there is.
#
# ## What you saw
#
# The results of this lesson beside what is expected of them:

# %%
tracking.record("first_loss", first_loss)
tracking.record("validation_accuracy", right.mean())
tracking.record("first_direction_share", first_share)
tracking.record("rank_one_change", changes[1].estimate)
tracking.record("ablation_spread", spread)
tracking.record("louder_rank_one_gain", louder.mean() - scores[0].mean())
tracking.record("ece", ece)
tracking.record("temperature", T)
tracking.record("adapter_bytes", len(content))

# %% [markdown]
# ## Reflection
#
# Four questions about your first run, and one about what comes next. The numbers to lean on:

# %%
yesterday = tracking.recorded("day04")
if "margin_over_baseline" in yesterday:
    print(
        "Day 4, test set: "
        f"{100 * yesterday['margin_over_baseline']:+.1f} points over the baseline; "
        f"its 95 % interval begins at {100 * yesterday['margin_low']:+.1f}"
    )
else:
    print(
        "Day 4's test result is not in this workspace: "
        "finish Day 4 to answer the first question."
    )
print(
    f"training {run.seconds:.0f} s, one prediction "
    f"{1000 * one:.1f} ms, in a batch {1000 * many:.1f} ms"
)
print(f"{trained:,} numbers trained, {len(content):,} bytes")

# %% [markdown]
# <!-- asked: D05-T4, D05-Q1, D05-Q2, D05-Q3, D05-Q4, D05-A -->
# Write between the quotes; a sentence each is enough. What you leave empty is left out, and you can come
# back.

# %%
my_answers = {
    "Did fine-tuning help, and by how much, give or take what?": "",
    "How does training time compare with the time of one prediction?": "",
    "How many parameters trained, and does the adapter's file size agree?": "",
    "Three patterns among the errors, and one improvement for each:": "",
    "What one thing would I change next, and why that one?": "",
}

# %%
journal = lab.progress / "journal.md"
filed = journal.read_text(encoding="utf-8", errors="replace") if journal.exists() else ""
entries = [
    f"**{question}** {' '.join(words.split())}"
    for question, words in my_answers.items()
    if words.strip()
]
new = [
    entry for entry in entries if entry not in {part.strip() for part in filed.split("\n\n")}
]
if new:
    progress.write_journal("day05", "\n\n".join(new))
else:
    print(f"{len(entries)} of {len(my_answers)} answers written, nothing new for the journal.")

# %% tags=["quiz"]
quiz = [
    {
        "question": "Training loss falls to 0.02 while validation loss climbs from 0.45 to 1.1. A friend says: 'Your learning rate is too high.' What do you answer?",
        "choices": [
            (
                "Yes: too large steps make a model overfit.",
                "To overfit, a model must fit. With steps that are too large, the training loss would not get down to 0.02.",
                False,
            ),
            (
                "No: too many epochs on too few sentences. A rate that is too high shows in the training loss itself.",
                "Right. Overshooting keeps the training loss up, as in a bowl whose walls are jumped across.",
                True,
            ),
            (
                "No: it is too low, that is why it takes so long.",
                "A rate that is too low leaves the training loss high, close to validation.",
                False,
            ),
            (
                "The validation labels must be wrong.",
                "Then the validation loss would be high from the start. Here it was fine, and turned.",
                False,
            ),
        ],
        "proof": """
def descend(rate, x=1.0):
    for _ in range(30):
        x -= rate * 2 * x      # the loss is x squared, its gradient 2x
    return x * x
assert descend(0.4) < 1e-6     # fits
assert descend(1.1) > 1        # overshoots: the training loss itself grows
""",
    },
    {
        "question": "Three in ten training labels are flipped at random. A model knows the true rule perfectly and has learnt no sentence by heart. What is the lowest mean loss it can have on these labels?",
        "choices": [
            (
                "0: it knows the rule.",
                "On three sentences in ten the label contradicts the rule. A model that is certain pays infinitely for those.",
                False,
            ),
            (
                "0.30, the share of wrong labels.",
                "That is its error rate. The loss is the mean of −log of the probability given to the label.",
                False,
            ),
            (
                "About 0.61: it should say 70 % each time.",
                "Right: −(0.7 ln 0.7 + 0.3 ln 0.3). More certain or less certain, it pays more.",
                True,
            ),
            (
                "About 0.69, like a coin.",
                "A coin does not know the rule. Knowing what is true seven times in ten is worth something.",
                False,
            ),
        ],
        "proof": """
import numpy as np
p = np.linspace(0.001, 0.999, 9981)
loss = -(0.7 * np.log(p) + 0.3 * np.log(1 - p))
assert abs(p[loss.argmin()] - 0.7) < 1e-3 and abs(loss.min() - 0.61) < 0.005
assert abs(np.log(2) - 0.69) < 0.005
""",
    },
    {
        "question": "You add a trained rank-8 update to a weight matrix for good (that is *merging*) and train a second rank-8 adapter on top. What is the highest rank the two changes together can have?",
        "choices": [
            (
                "8: LoRA changes never have more than rank r.",
                "Each of the two. But they may use different directions, and then these add up.",
                False,
            ),
            (
                "16",
                "Right. Ranks add up at most. Each single update is bound by r; a sum of updates is not.",
                True,
            ),
            ("64", "Ranks do not multiply: a sum of two has room for 8 + 8 directions.", False),
            (
                "The full width: after merging, nothing is bound any more.",
                "The merged matrix has full rank, but it had that before. The *change* is still a sum of two thin products.",
                False,
            ),
        ],
        "proof": """
import torch
torch.manual_seed(0)
product = lambda: torch.randn(64, 8, dtype=torch.float64) @ torch.randn(8, 64, dtype=torch.float64)
first, second = product(), product()
assert torch.linalg.matrix_rank(first) == torch.linalg.matrix_rank(second) == 8
assert torch.linalg.matrix_rank(first + second) == 16
""",
    },
    {
        "question": "You divide all logits by T = 2. Which of these can change?",
        "choices": [
            (
                "The accuracy, because answers near 50 % flip.",
                "The larger logit stays the larger one. No answer flips.",
                False,
            ),
            (
                "The expected calibration error, but not the accuracy.",
                "Right. Every confidence comes down, every answer stays.",
                True,
            ),
            (
                "Neither: softmax is scaled, too.",
                "Softmax is not linear: half the logits give other probabilities.",
                False,
            ),
            (
                "Both, but only on sentences that the model was not trained on.",
                "It is arithmetic on logits. Where they come from makes no difference.",
                False,
            ),
        ],
        "proof": """
import numpy as np
from labhelpers import metrics
rng = np.random.default_rng(0)
logits, labels = rng.normal(0, 4, (500, 2)), rng.integers(0, 2, 500)
soft = lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
assert (soft(logits).argmax(1) == soft(logits / 2).argmax(1)).all()
before, after = (metrics.expected_calibration_error(labels, soft(z)) for z in (logits, logits / 2))
assert abs(before - after) > 0.01
""",
    },
    {
        "question": "Of 1,000 validation sentences your model gets 160 wrong. You remove the 30 that it contradicts most confidently ('surely label errors') and measure again. What have you learnt?",
        "choices": [
            (
                "The true accuracy, now that the labels are clean.",
                "You removed only sentences that counted against this model. Wrong labels it happens to agree with stay in.",
                False,
            ),
            (
                "Nothing: accuracy went from 84.0 to 86.6 % whether a single label was wrong or not.",
                "Right. Removing mistakes removes mistakes. Labels must be checked by somebody who does not know the answers.",
                True,
            ),
            (
                "That the model is better than the label makers.",
                "That may be, but this does not show it. The gain is built into the choice.",
                False,
            ),
            (
                "That 30 is the number of label errors.",
                "30 was your decision, not a measurement.",
                False,
            ),
        ],
        "proof": """
assert round(100 * 840 / 1000, 1) == 84.0 and round(100 * 840 / 970, 1) == 86.6
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Another patient.** `recorded_runs.load("too_high").recipe` shows every setting. Predict what ten times
#   instead of two hundred times the rate would look like, then change `learning_rate` in the cell near the top and
#   give the run another name. (Your Day 4 run stays where it is.)
# - **Merge it.** `model.merge_and_unload()` on a copy adds each $\Delta W$ to its matrix for good. Time a
#   single prediction before and after. Day 7 shows where merging loses something.
# - **A fourth slice.** Sentences with *but*. Sentences that name a person. Write the test, look at ten
#   sentences it finds, then at the interval.
#
# **Read.** Section 7 of the LoRA paper on rank and modules, now with your own singular values beside it. Guo
# et al. (2017) for calibration, and Northcutt et al. (2021) for what is wrong with the test sets that
# everybody trusts.
