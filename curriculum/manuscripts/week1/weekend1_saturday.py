# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import contextlib
import io
import itertools

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, widgets

lab = settings.start("weekend1_saturday")

# %% [markdown]
# ## Why today matters
#
# "Use r = 16 and a learning rate of 2e-4; for us it was two points better." You will read such advice every week.
# Often each side of that comparison was trained once and scored once. How much can two such scores tell?
#
# An accuracy is a share of right answers among $n$ sentences, and other sentences would have given another share. Its
# **standard error**, the size of a typical miss, is $\sqrt{a (1 - a) / n}$.


# %%
def standard_error(accuracy, n):
    return (accuracy * (1 - accuracy) / n) ** 0.5


reviews = data.prepared("sentiment")
reviews.pop("test")  # it was opened once, on Day 4: nothing below can touch it
truth = np.array(reviews["validation"]["label"])

for n in (100, 500, 1000, len(truth)):
    ours = "   ← our validation split" if n == len(truth) else ""
    print(
        f"87 % measured on {n:>5,} sentences: "
        f"give or take {100 * standard_error(0.87, n):.1f} points{ours}"
    )

# %% [markdown]
# So 89 against 87 (.89 and .87, as papers write it) may be two equal models and two throws of the dice,
# before we even ask what another random seed would have done. Today you run the comparison yourself: four
# ranks, three learning rates, and everything it takes to tell what is real from what is chance.
#
# ## Plan a fair sweep
#
# A **sweep** trains the same model with several settings and compares. First rule: whatever is not compared stays
# fixed (model, sentences, number of steps, batch size). Second rule: what *is* compared may not move together.
# Suppose somebody tries r = 4 with 1e-4 and r = 16 with 2e-4, and the second wins. Was it the rank or the rate? The
# two are **confounded**, and no statistics can pull them apart afterwards.
#
# <!-- asked: W1SAT-T1, W1SAT-T2 -->
# The remedy is called a **full factorial**: every rank with every rate.

# %%
ranks = [4, 8, 16, 32]
rates = [1e-4, 2e-4, 5e-4]

# %% tags=["exercise"] exercise="weekend1_saturday/plan" answer="plan" minutes=5 difficulty=1
# Make the full factorial of `ranks` and `rates`: a list of pairs (rank, learning rate), in
# whatever order you like.
plan = ...
# <solution>
plan = list(itertools.product(ranks, rates))
# </solution>


# %% tags=["check"] exercise="weekend1_saturday/plan"
def check(answer):
    if (ranks, rates) != ([4, 8, 16, 32], [1e-4, 2e-4, 5e-4]):
        return f"`ranks` is now {ranks} and `rates` {rates}. The lesson needs both as they were: run the cell above again and leave them alone."
    if not isinstance(answer, list | tuple):
        return f"This is of type {type(answer).__name__}. We go through the plan more than once, so it should be a list; `list(…)` makes one."
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in answer):
        return "Each entry should be a pair: (rank, learning rate)."
    wanted = {(r, rate) for r in (4, 8, 16, 32) for rate in (1e-4, 2e-4, 5e-4)}
    found = {tuple(pair) for pair in answer}
    if found == wanted and len(answer) == len(wanted):
        return None
    if found == {(rate, r) for r, rate in wanted}:
        return "All the pairs are there, the wrong way round: the rank comes first."
    if found == wanted:
        return f"{len(answer)} entries for {len(wanted)} different pairs: some would be trained twice."
    if found - wanted:
        return f"The pair {min(found - wanted, key=str)} is not one of ours: ranks and rates are given above."
    by_rank = [len({rate for rank, rate in found if rank == r}) for r in (4, 8, 16, 32)]
    by_rate = [
        len({rank for rank, rate in found if rate == each}) for each in (1e-4, 2e-4, 5e-4)
    ]
    if len(found) > 1 and max(by_rank) == 1 and max(by_rate) <= 2:
        return f"Only {len(found)} of the {len(wanted)} pairs, and from one to the next rank and rate change together. That is the confounded plan."
    if len(found) <= 6 and (max(by_rate) == 4 or max(by_rank) == 3):
        return f"{len(found)} of the {len(wanted)} pairs: one thing at a time, around a fixed middle. Not confounded, but blind: does the best rate depend on the rank? That needs every rank with every rate."
    return f"{len(found)} of the {len(wanted)} pairs are there. Every rank should meet every rate exactly once."


def agrees(expected, found):
    if not isinstance(found, list | tuple):
        return False
    return sorted(map(str, map(tuple, expected))) == sorted(map(str, map(tuple, found)))


hints = [
    "Two loops, one inside the other, or one function of itertools that does it.",
    "How many pairs must come out: 4 + 3, or 4 × 3?",
    "`itertools.product(ranks, rates)` yields the pairs; the plan should be a list.",
]
misconceptions = [
    ("plan = list(zip([4, 8, 16, 32], [1e-4, 2e-4, 5e-4]))", "change together"),
    ("plan = [(r, 2e-4) for r in (4, 8, 16, 32)] + [(8, 1e-4), (8, 5e-4)]", "blind"),
    (
        "plan = [(rate, r) for rate in (1e-4, 2e-4, 5e-4) for r in (4, 8, 16, 32)]",
        "wrong way round",
    ),
    ("plan = itertools.product([4, 8, 16, 32], [1e-4, 2e-4, 5e-4])", "more than once"),
    ("plan = [(r, rate) for r in (4, 8, 16, 32) for rate in (1e-4, 2e-4)]", "exactly once"),
]

# %%
print(f"{len(plan)} configurations: {plan}")

# %% [markdown]
# ### What does a rank change? First answer: less than its name
#
# From r = 4 to r = 32 an adapter grows eightfold. But an adapter is not all that trains: there is the new
# head, and its size has nothing to do with r. Take DistilBERT, the model of most tutorials. By what factor
# does *everything that trains* grow?

# %%
growth_guess = widgets.predict(
    "saturday-growth",
    "DistilBERT, r = 4 to r = 32: everything that trains grows by a factor of",
    1,
    8,
)


# %%
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, set_seed


def trained(shape, r):
    empty = models.build_empty(shape)  # shapes without numbers: nothing is downloaded
    recipe = LoraConfig(r=r, target_modules=models.lora_targets(empty), task_type="SEQ_CLS")
    parts = models.count_parameters(get_peft_model(empty, recipe)).trainable_groups
    return parts["adapter"], parts["head"]


our_encoder = AutoConfig.from_pretrained(models.source("encoder"))
shapes = {"DistilBERT": "distilbert-base", "our encoder": our_encoder}
counts = {name: [trained(shape, r) for r in ranks] for name, shape in shapes.items()}
for name, rows in counts.items():
    for r, (adapter, head) in zip(ranks, rows, strict=True):
        together = f"together {adapter + head:>9,}   head {head / (adapter + head):>5.1%}"
        print(f"{name:<11} r = {r:>2}   adapter {adapter:>7,}   head {head:>7,}   {together}")
growth = {name: sum(rows[-1]) / sum(rows[0]) for name, rows in counts.items()}
growth_guess.compare(growth["DistilBERT"], "")

# %%
assert [a for a, _ in counts["DistilBERT"]] == [73_728, 147_456, 294_912, 589_824]
assert [a + h for a, h in counts["DistilBERT"]] == [665_858, 739_586, 887_042, 1_181_954]

# %%
figure, panels = plt.subplots(1, 2, figsize=(7.2, 3), sharey=True)
for axes, (name, rows) in zip(panels, counts.items(), strict=True):
    adapter, head = np.array(rows).T / 1000
    axes.barh(range(len(ranks)), head, color="#BBBBBB", label="head")
    axes.barh(range(len(ranks)), adapter, left=head, color="#0072B2", label="adapter")
    axes.set_yticks(range(len(ranks)), [f"r = {r}" for r in ranks])
    axes.set(title=f"{name}: × {growth[name]:.1f}", xlabel="trained numbers (thousands)")
panels[0].invert_yaxis()
panels[1].legend(loc="upper right")
figure.suptitle(
    "Eight times the rank: how much more trains is up to the head", x=0.01, ha="left"
)
plots.show(
    figure,
    alt=(
        "Bars of trained numbers by rank, head and adapter stacked. "
        f"From r = 4 to 32 the total grows by a factor of {growth['DistilBERT']:.1f} "
        f"for DistilBERT and {growth['our encoder']:.1f} for our encoder."
    ),
)

# %% [markdown]
# In DistilBERT the head outweighs the adapter even at r = 32: as far as counting goes, a sweep over its ranks
# is mostly a sweep over what stays the same. The head of this course's MiniLM is two rows of numbers and
# nothing more, so here the rank counts for what it is.
#
# ### Second answer: it depends on alpha
#
# The detour's output is multiplied by $\alpha / r$. When the rank changes, what should $\alpha$ do? Two
# habits are common:
#
# - $\alpha = 2r$: the factor is always 2. On Day 5 you saw it, with the reason "so that the detours are
#   equally loud".
# - $\alpha$ stays what it is, 16 for us. Then the factor falls as r grows. The LoRA paper does this (section 4.1).
#
# The factor is one thing, what training does with it another. Three steps of AdamW on 16 sentences, at one
# learning rate, for each rank and both habits: how far does the model's output move?

# %%
targets = models.lora_targets(models.build_empty(our_encoder))
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
few = reviews["train"][:16]
batch = tokenizer(
    few["text"], padding=True, truncation=True, max_length=32, return_tensors="pt"
)
batch["labels"] = torch.tensor(few["label"])


def fresh(r, alpha, seed, **options):
    set_seed(seed)  # it decides the random head and the random A
    base = AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **options
    )
    recipe = LoraConfig(
        r=r, lora_alpha=alpha, lora_dropout=0.05, target_modules=targets, task_type="SEQ_CLS"
    )
    return get_peft_model(base, recipe)


# %%
def movement(r, alpha, steps=3):
    """How far the logits move (root mean square) when only the detours learn."""
    model = fresh(r, alpha, lab.seed).eval()
    detours = [part for name, part in model.named_parameters() if "lora_" in name]
    optimizer = torch.optim.AdamW(detours, lr=5e-4)
    start = model(**batch).logits.detach()
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    return (model(**batch).logits.detach() - start).square().mean().sqrt().item()


moved = {
    "alpha = 2 r": [movement(r, 2 * r) for r in ranks],
    "alpha = 16": [movement(r, 16) for r in ranks],
}

# %%
times = {habit: values[-1] / values[0] for habit, values in moved.items()}

# %%
title = f"With alpha = 2r, r = 32 moves {times['alpha = 2 r']:.1f} times as far as r = 4"
figure = plots.lines(
    ranks,
    moved,
    log_x=True,
    log_y=True,
    title=title,
    xlabel="rank r (log scale)",
    ylabel="movement of the logits",
)
figure.axes[0].set_xticks(ranks, ranks)
figure.axes[0].set_yticks([0.005, 0.01, 0.02], ["0.005", "0.01", "0.02"])
figure.axes[0].minorticks_off()
plots.show(
    figure, alt=f"{title}; with alpha fixed at 16 the factor is {times['alpha = 16']:.1f}."
)

# %% [markdown]
# There is the surprise. AdamW moves *every number* of $B$ by about the learning rate, whatever its gradient.
# Twice the rank means twice as many numbers pulling the same way, so at the same factor a detour of twice the
# rank moves the model about twice as far. Under $\alpha = 2r$, **a larger rank is a larger learning rate in
# disguise**, and "r = 32 learns faster" would say nothing about the width of the detour. Dividing by r
# cancels it, at least for the first steps.
#
# So we keep $\alpha = 16$. That is a decision, and it belongs in the report: with the other habit, "the
# effect of r" is another quantity. (A third proposal, rsLoRA, divides by $\sqrt r$, for stable training at
# high ranks. It gives $\alpha$ and r yet another relation.)

# %%
alpha = 16
sentences = settings.pick(smoke=16, cpu=1600)
epochs = 1
batch_size = 8
seeds = settings.pick(smoke=[1, 2], cpu=[1, 2, 3])

full = 3 * len(reviews["train"]) / (epochs * sentences)
print(
    f"{len(plan)} configurations, {len(seeds)} seeds each: "
    f"{len(plan) * len(seeds)} runs of {sentences:,} sentences."
)
print(f"Each with all training sentences, three times over: {full:.0f} times the work.")

# %% [markdown]
# **How much of everything?** All training sentences, three epochs, every configuration with several seeds:
# that is more waiting than a Saturday deserves. A sweep is a search, and a search may be cheaper than the
# final run: fewer sentences, one pass. The price: it ranks the settings *for this budget*. A rate that is
# best in a short run need not be best in a long one, so what it finds is a candidate. Remember it when you
# read the results.
#
# Before anything runs, commit yourself twice. First to a winner (change the pair), then to a number.

# %%
my_winner = (8, 2e-4)

# %%
rank_guess = widgets.predict(
    "saturday-rank-effect",
    "Mean accuracy of the best rank minus that of the worst rank (over all rates and seeds)",
    0,
    10,
    "points",
)

# %% [markdown]
# ## Run it
#
# One training run, with the libraries in plain sight. It is Day 4 in small; what varies comes in as an argument.

# %%
from transformers import DataCollatorWithPadding, Trainer

from labhelpers import memory, training

tokens = data.tokenize(reviews, tokenizer, max_length=128)
small = tokens["train"].select(range(sentences))
collator = DataCollatorWithPadding(tokenizer)


# %%
def train_one(r, learning_rate, seed):
    model = fresh(r, alpha, seed, **training.load_options())
    training.keep_adapters_precise(model)
    name = f"sweep-r{r}-rate{learning_rate:g}-seed{seed}"
    size = {"per_device_train_batch_size": batch_size, "num_train_epochs": epochs}
    quiet = {"save_strategy": "no", "disable_tqdm": True}
    args = training.arguments(name, learning_rate=learning_rate, seed=seed, **size, **quiet)
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=small,
        eval_dataset=tokens["validation"],
        data_collator=collator,
    )
    with contextlib.redirect_stdout(io.StringIO()):  # `trial` prints one line per run
        run = training.train(trainer, name)
    answers = run.folder / "validation_logits.npy"
    if not answers.exists():
        np.save(answers, training.predict(model, tokens["validation"]))
    return run, np.load(answers)


# %% [markdown]
# Every run goes to MLflow as a **child** of one parent: the parent says what stayed fixed, each child what it
# varied and how it did. (`nested=True` is all it takes.) And every finished run is found again: stop the
# kernel after the fifth, come back tomorrow, run all cells, and training goes on with the sixth.

# %%
right = {}  # (rank, rate, seed) → for every validation sentence: was the model right?


def trial(r, learning_rate, seed):
    run, logits = train_one(r, learning_rate, seed)
    right[r, learning_rate, seed] = logits.argmax(axis=1) == truth
    accuracy = right[r, learning_rate, seed].mean()
    loss = nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(truth)).item()
    with mlflow.start_run(run_name=f"r{r} rate{learning_rate:g} seed{seed}", nested=True):
        mlflow.log_params({"r": r, "learning_rate": learning_rate, "seed": seed})
        mlflow.log_metrics({"accuracy": accuracy, "loss": loss, "seconds": run.seconds})
    known = ", found again" if run.reused else ""
    print(
        f"r = {r:>2}  rate {learning_rate:g}  seed {seed}: "
        f"{accuracy:.1%} right  ({run.seconds:.0f} s{known})"
    )


# %%
fixed = {
    "sentences": sentences,
    "epochs": epochs,
    "batch_size": batch_size,
    "lora_alpha": alpha,
}
print(
    f"{sentences // batch_size * epochs} steps per run; "
    "the first line tells how long one takes.\n"
)

with tracking.start_run("sentiment-sweep", "rank x learning rate") as sweep:
    mlflow.log_params(fixed | {"targets": ", ".join(targets), "chosen_on": "validation"})
    for r, learning_rate in plan:
        trial(r, learning_rate, seeds[0])

# %% [markdown]
# While it runs: why a grid at all? For two settings it is small, complete, and easy to read. For six it
# explodes ($3^6$ is 729), and people switch to random search: when only one of six settings matters, a grid
# of 729 has tried just three values of it, while 729 random draws have tried 729 (Bergstra and Bengio, 2012).
# On Day 8 you will do that. Today every question we ask is about the grid itself.
#
# ## Compare in MLflow
#
# <!-- asked: W1SAT-T3 -->
# `lab mlflow` in a terminal opens the page: experiment *sentiment-sweep*, unfold the parent, click on the
# column *accuracy* to sort. The same by code; the filter asks for the children of our parent and nobody
# else's. (A cell that is run twice logs its children twice; we keep one of each.)


# %%
COLUMNS = (
    "params.r",
    "params.learning_rate",
    "params.seed",
    "metrics.accuracy",
    "metrics.loss",
)


def children(columns=COLUMNS):
    found = mlflow.search_runs(
        experiment_names=["sentiment-sweep"],
        filter_string=f"tags.mlflow.parentRunId = '{sweep.info.run_id}'",
        order_by=["metrics.accuracy DESC"],
    )
    table = found[list(columns)].rename(columns=lambda name: name.split(".")[1])
    table = table.astype({"r": int, "learning_rate": float, "seed": int})
    trials = ["r", "learning_rate", "seed"]
    of_plan = table.learning_rate.isin(rates) & table.seed.isin(seeds)
    return table[of_plan].drop_duplicates(trials)


# %%
first = children()
print(f"For comparison: who says 50:50 to every sentence has a loss of {np.log(2):.3f}.\n")
first.astype({"learning_rate": str}).round(3)

# %%
leader = (int(first.r[0]), float(first.learning_rate[0]))
grid = first.pivot(index="r", columns="learning_rate", values="accuracy") * 100
title = f"One seed: r = {leader[0]} with {leader[1]:g} is ahead, {grid.max().max():.1f} % right"
names = [f"r = {r}" for r in ranks], [f"{rate:g}" for rate in rates]

# %%
figure = plots.heatmap(
    grid.round(1), *names, unit="%", title=title, xlabel="learning rate", ylabel="rank"
)
plots.show(figure, alt=f"Validation accuracy for four ranks and three learning rates. {title}.")
if my_winner in plan:
    print(
        f"Your winner: r = {my_winner[0]} with {my_winner[1]:g}, {grid.loc[my_winner]:.1f} %."
    )

# %% [markdown]
# Compare the losses with the one at the top. A run that ends there has not learnt badly; it has hardly begun.
# With as few steps as ours, that is what a small rate looks like.
#
# Still, a table with a winner. This is where most sweeps end: the best cell is copied into a slide, and by Monday it
# is known that this rank is the good one. It deserves one more question before that.
#
# ## Signal or noise? The same runs, other seeds
#
# A **seed** decides what is random in a run: the new head, the matrix $A$, the dropout, the order of the
# sentences. It is not a setting that anybody believes in. So whatever another seed changes is noise, by
# definition. The same plan, with the remaining seeds (the parent run is opened again by its id):

# %%
with mlflow.start_run(run_id=sweep.info.run_id):
    for seed in seeds[1:]:
        for r, learning_rate in plan:
            trial(r, learning_rate, seed)

table = children()

# %%
for seed in seeds:
    best = table[table.seed == seed].iloc[0]
    others = table[
        (table.r == best.r) & (table.learning_rate == best.learning_rate) & (table.seed != seed)
    ]
    print(
        f"seed {seed}: r = {best.r:.0f} with {best.learning_rate:g} leads, {best.accuracy:.1%};"
        " the same setting with other seeds: "
        f"{', '.join(f'{value:.1%}' for value in others.accuracy)}"
    )

# %% [markdown]
# How many different winners do you count, and how do they fare when they are not the winner of their seed?
# Move through the grids yourself: one seed after the other, then their mean. Watch which patterns stay.


# %%
def look(seed="mean", measure="accuracy"):
    part = table if seed == "mean" else table[table.seed == seed]
    values = part.pivot_table(index="r", columns="learning_rate", values=measure)
    values = (100 * values).round(1) if measure == "accuracy" else values.round(3)
    unit = "%" if measure == "accuracy" else "loss (lower is better)"
    who = f"mean of {len(seeds)} seeds" if seed == "mean" else f"seed {seed}"
    spans = [
        f"{np.ptp(values.mean(axis=axis)):.2g} between {over}"
        for axis, over in enumerate(("rates", "ranks"))
    ]
    title = f"{measure.capitalize()}, {who}: {', '.join(spans)}"
    captions = {"title": title, "xlabel": "learning rate", "ylabel": "rank"}
    figure = plots.heatmap(values, *names, unit=unit, **captions)
    plots.show(
        figure,
        alt=f"Heatmap of validation {measure} by rank and learning rate. {title}, on average.",
    )


widgets.explore(look, seed=["mean", *seeds], measure=["accuracy", "loss"])

# %% [markdown]
# Now all runs in one picture, one row per configuration; the short bar is the mean. And one more line, because a sweep
# only ranks its own settings: what do Day 3's word counts reach after the *same* sentences?

# %%
words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
word_counts = make_pipeline(words, LogisticRegression(C=10, max_iter=1000))
word_counts.fit(reviews["train"]["text"][:sentences], reviews["train"]["label"][:sentences])
bar = 100 * word_counts.score(reviews["validation"]["text"][:], truth)
means = 100 * table.groupby(["r", "learning_rate"]).accuracy.mean()
print(f"{(means > bar).sum()} of {len(means)} means lie above the word counts ({bar:.1f} %).")
spread = 100 * table.groupby(["r", "learning_rate"]).accuracy.var().mean() ** 0.5

# %%
figure, axes = plt.subplots(figsize=(7.2, 4.4))
rows = [(r, rate) for rate in rates for r in ranks]
for row, (r, rate) in enumerate(rows):
    scores = 100 * table[(table.r == r) & (table.learning_rate == rate)].accuracy
    colour = f"C{rates.index(rate)}"
    axes.plot(scores, [row] * len(scores), "o", color=colour, alpha=0.7)
    axes.plot(scores.mean(), row, "|", color="#222222", ms=15, mew=2)
axes.set_yticks(range(len(rows)), [f"rate {rate:g}, r = {r}" for r, rate in rows])
axes.invert_yaxis()
axes.axvline(bar, color="#888888", ls="--", lw=1)
title = f"Another seed moves a run by about {spread:.1f} points"
axes.set(title=title, xlabel="validation accuracy (%); dashed: word counts, same sentences")
plots.show(figure, alt=f"Accuracy of every run by configuration, beside word counts. {title}.")

# %% [markdown]
# The number in the title is the **standard deviation** between runs that differ in nothing but the seed: a
# typical distance from their mean. Compare any difference between two single runs with it. It is an
# average over rows, and noise need not be the same in all of them: look for the row that scatters most. In a
# short run, one seed may take off late while the others are under way. And a setting left of the dashed line may win
# the sweep; it has not yet earned its training.
#
# ### How much of the variation belongs to whom?
#
# Take all accuracies together. They differ; sum up the squared distances from their overall mean. Some of
# that sum is there because the rates differ, some because the ranks do. To see the share of the rates,
# pretend that every run scored exactly the mean of all runs with its rate, and sum up again.


# %% tags=["exercise"] exercise="weekend1_saturday/explained" answer="explained" minutes=10 difficulty=2
# table: one row per run, with a column "accuracy" and columns to group by ("r",
# "learning_rate", "seed").
# factor: the name of one of those. A run's group are all runs with the same value there. Return
# the sum, over all runs, of (mean accuracy of the run's group - overall mean) ** 2, divided by
# the sum, over all runs, of (accuracy of the run - overall mean) ** 2. A number from 0 to 1.
def explained(table, factor): ...


# <solution>
def explained(table, factor):
    centred = table["accuracy"] - table["accuracy"].mean()
    group_means = centred.groupby(table[factor]).transform("mean")
    return float((group_means**2).sum() / (centred**2).sum())


# </solution>


# %% tags=["check"] exercise="weekend1_saturday/explained"
def check(answer):
    draw = np.random.default_rng(0)
    pairs = list(itertools.product([4, 8, 16, 32], [1e-4, 2e-4, 5e-4], [1, 2]))
    trial_table = pd.DataFrame(pairs, columns=["r", "learning_rate", "seed"])
    bump = trial_table["r"].map({4: 0.0, 8: 3.0, 16: -1.0, 32: 1.0})
    trial_table["accuracy"] = 0.7 + 0.01 * (bump + draw.normal(size=len(trial_table)))
    accuracy = trial_table["accuracy"]
    groups = accuracy.groupby(trial_table["r"])
    wanted = ((groups.transform("mean") - accuracy.mean()) ** 2).sum() / (
        (accuracy - accuracy.mean()) ** 2
    ).sum()
    value = answer(trial_table.copy(), "r")
    if not isinstance(value, int | float | np.number):
        return f"Your function returned {type(value).__name__}. It should return one number."

    def close(other):
        return abs(value - other) < 1e-6

    if close(wanted):
        by_seed = (
            (accuracy.groupby(trial_table["seed"]).transform("mean") - accuracy.mean()) ** 2
        ).sum()
        if (
            abs(
                answer(trial_table.copy(), "seed")
                - by_seed / ((accuracy - accuracy.mean()) ** 2).sum()
            )
            < 1e-6
        ):
            return None
        return "Right for the rank, wrong for the seed: is a column's name typed in where `factor` should stand?"
    if close(1 - wanted):
        return (
            "That is what is left over *inside* the groups. Asked for is the part between them."
        )
    if close(100 * wanted):
        return "That is a percentage. A share lies between 0 and 1."
    if close(wanted**0.5):
        return "You took the root: standard deviations do not add up to a whole, squares do. Leave it out."
    if close(wanted / 6):
        return "Each group's mean counts once in your sum, but every run in the group has to count: six runs of each rank, here."
    if close(groups.mean().var() / accuracy.var()):
        return "pandas divides a variance by one less than the number of values. For four group means that changes much, for all the runs little; so your two variances are not on one scale. Use sums of squares."
    if close(groups.var().mean() / accuracy.var()):
        return "You averaged the variances of the groups: that is how much runs differ *within* a group. How far apart are the groups' means?"
    if close(np.corrcoef(trial_table["r"], accuracy)[0, 1] ** 2):
        return "That is a squared correlation: it sees only a straight line through the ranks. Group means can go up and down."
    if value > 1 or value < 0:
        return f"A share lies between 0 and 1; yours is {value:.3g}. Subtract the overall mean before squaring, above and below the line."
    return f"For our trial table the share of the rank is {wanted:.6g}; yours is {value:.6g}. Squared distances of the group means (one per run) over squared distances of the runs."


def inputs(draw):
    for some_ranks, some_rates, unit in (
        ([4, 8, 16, 32], [1e-4, 5e-4], 1),
        ([2, 3], [7.0], 100),
    ):
        rows = list(itertools.product(some_ranks, some_rates, [1, 2, 3, 8]))
        runs = pd.DataFrame(rows, columns=["r", "learning_rate", "seed"])
        runs["accuracy"] = unit * (draw.random(len(runs)) + 0.1 * (runs["r"] == 4))
        for factor in ("r", "learning_rate", "seed"):
            yield runs, factor
            yield runs.iloc[draw.permutation(len(runs))[2:]], factor


hints = [
    '`table.groupby(factor)["accuracy"].transform("mean")` gives each run its group\'s mean.',
    "Subtract the overall mean from both columns, square, sum, divide.",
    '`centred = table["accuracy"] - table["accuracy"].mean()`; then the group means of `centred`, one per run.',
]
misconceptions = [
    (
        'def explained(table, factor):\n    means = table.groupby(factor)["accuracy"].mean()\n    grand = table["accuracy"].mean()\n    return ((means - grand) ** 2).sum() / ((table["accuracy"] - grand) ** 2).sum()',
        "Each group's mean counts once",
    ),
    (
        'def explained(table, factor):\n    return table.groupby(factor)["accuracy"].mean().var() / table["accuracy"].var()',
        "not on one scale",
    ),
    (
        'def explained(table, factor):\n    return table.groupby(factor)["accuracy"].var().mean() / table["accuracy"].var()',
        "*within* a group",
    ),
    (
        'def explained(table, factor):\n    return table[factor].corr(table["accuracy"]) ** 2',
        "straight line",
    ),
    (
        'def explained(table, factor):\n    means = table.groupby(factor)["accuracy"].transform("mean")\n    return (means ** 2).sum() / ((table["accuracy"] - table["accuracy"].mean()) ** 2).sum()',
        "lies between 0 and 1",
    ),
    (
        'def explained(table, factor):\n    means = table.groupby("r")["accuracy"].transform("mean")\n    grand = table["accuracy"].mean()\n    return ((means - grand) ** 2).sum() / ((table["accuracy"] - grand) ** 2).sum()',
        "is a column's name typed in",
    ),
]

# %%
shares = {factor: explained(table, factor) for factor in ("learning_rate", "r", "seed")}

# %%
shares["the rest"] = 1 - sum(shares.values())
labels = ["learning rate", "rank", "seed alone", "the rest"]
title = (
    f"In this grid the learning rate accounts for {shares['learning_rate']:.0%} "
    f"of the variation, the rank for {shares['r']:.1%}"
)
figure = plots.bars(
    labels, [100 * part for part in shares.values()], title=title, xlabel="share (%)"
)
plots.show(
    figure,
    alt=(
        "Bars: "
        f"{', '.join(f'{k} {v:.0%}' for k, v in zip(labels, shares.values(), strict=True))}."
    ),
)

# %% [markdown]
# (The seeds are the same in every configuration, so a seed can be lucky everywhere: "seed alone". "The rest"
# is what no factor explains by itself: luck of a single run, and ranks that do better at one rate than at
# another.)
#
# A share belongs to the levels that were tried, not to the knob. These rates span a factor of five and leave out
# Day 4's 1e-3; rates closer together would have a smaller share, and ranks further apart perhaps a larger one.
#
# Careful with a small share: four groups of pure noise have different means, too. How large would the share
# of the rank be if it did *nothing*? We can see for ourselves. If rank means nothing, the labels are
# interchangeable: shuffle the ranks within each rate and seed, and compute the share again, a thousand times.
# This is a **permutation test**.

# %%
draw = np.random.default_rng(lab.seed)
shuffled = []
blocks = table.sort_values(["learning_rate", "seed", "r"]).reset_index(drop=True)
for _ in range(1000):
    orders = [draw.permutation(ranks) for _ in range(len(blocks) // len(ranks))]
    shuffled.append(100 * explained(blocks.assign(r=np.concatenate(orders)), "r"))
p_rank = (1 + sum(value >= 100 * shares["r"] - 1e-9 for value in shuffled)) / (
    1 + len(shuffled)
)

# %%
title = f"A rank that does nothing would show at least as much in {p_rank:.0%} of the shuffles"
figure = plots.histogram(
    shuffled,
    bins=np.linspace(0, max(1, *shuffled), 31),
    markers={"measured": 100 * shares["r"]},
    title=title,
    xlabel="share of the rank (%)",
)
plots.show(
    figure, alt=f"Histogram of shares under shuffled ranks, the measured share marked. {title}."
)

# %%
rank_means = 100 * table.groupby("r").accuracy.mean()
rank_effect = rank_means.max() - rank_means.min()
rate_means = 100 * table.groupby("learning_rate").accuracy.mean()
by_rank = ", ".join(f"r = {r}: {value:.1f} %" for r, value in rank_means.items())
by_rate = ", ".join(f"{rate:g}: {value:.1f} %" for rate, value in rate_means.items())
print(f"mean over rates and seeds: {by_rank}\nmean over ranks and seeds: {by_rate}")
rank_guess.compare(rank_effect)

# %%
if p_rank < 0.05:
    print(
        f"Chance alone rarely does that ({p_rank:.0%}): in these runs, the rank did something."
    )
else:
    print(
        f"Chance alone does that often enough ({p_rank:.0%}): "
        "these runs show no effect of the rank."
    )
    print(
        "That is not proof that there is none, "
        "only that it is too small for this experiment to see."
    )

# %%
typical = 100 * table.groupby(["r", "learning_rate"]).accuracy.median().groupby("r").mean()
print(
    "With the median over seeds, which one odd run cannot move: "
    f"{np.ptp(typical):.1f} points, not {rank_effect:.1f}."
)

# %% [markdown]
# A small probability says that shuffling rarely does this. It does not say that the effect is large, or that it
# rises with r, or that it comes from more than one odd run. For the size, read the means; for a trend, their
# order; for odd runs, compare with the median, and look once more at the dots.

# %% [markdown]
# ### A colleague's sweep
#
# A colleague has swept, too, and is happy: "r = 16 with 5e-4. And it is solid: I repeated everything, and the
# repetitions agree to the last digit." This is the code. `measure` trains a configuration with a seed and
# returns its accuracy on a split.


# %%
def colleagues_sweep(measure, ranks, rates):
    best, winner = 0, None
    for r, rate in zip(ranks[:3], rates, strict=True):
        for _repeat in range(3):
            score = measure(r, rate, seed=42, split="test")
            if score > best:
                best, winner = score, (r, rate)
    return winner


# %% tags=["exercise"] exercise="weekend1_saturday/fair-sweep" answer="fair_sweep" minutes=12 difficulty=3
# Four things are wrong: which pairs are tried, with which seeds, on which split, which score
# decides. Write a sweep that is fair: every rank with every rate, each with all of `seeds`.
# measure(r, rate, seed=…, split=…) returns an accuracy; split: "train", "validation" or "test".
# Return the pair (r, rate) with the highest mean over its seeds.
def fair_sweep(measure, ranks, rates, seeds): ...


# <solution>
def fair_sweep(measure, ranks, rates, seeds):
    def mean_score(pair):
        return np.mean([measure(*pair, seed=seed, split="validation") for seed in seeds])

    return max(itertools.product(ranks, rates), key=mean_score)


# </solution>


# %% tags=["check"] exercise="weekend1_saturday/fair-sweep"
def check(answer):
    trial_ranks, trial_rates, trial_seeds = [2, 4, 6], [1e-3, 2e-3, 3e-3], [5, 6, 7]
    calls = []

    def measure(r, rate, seed, split):
        calls.append((r, rate, seed, split))
        if split != "validation":
            return 0.99 - r / 100
        lucky = (
            0.2 if (r, rate, seed) == (4, 3e-3, 6) else 0
        )  # one run shines, its configuration does not
        return (
            {(2, 2e-3): 0.8, (6, 3e-3): 0.7, (6, 1e-3): 0.72}.get((r, rate), 0.65)
            + lucky
            + seed / 1000
        )

    own = getattr(answer, "__wrapped__", answer)  # alone: ours, tried beside it, measures too
    result = own(measure, list(trial_ranks), list(trial_rates), list(trial_seeds))
    splits, pairs = {call[3] for call in calls}, {call[:2] for call in calls}
    if not calls:
        return "Your function never calls `measure`, so it cannot know anything."
    if "test" in splits:
        return 'It still scores on "test". A split that chooses the winner cannot judge it afterwards.'
    if "train" in splits:
        return 'It scores on "train", the sentences the model has learnt from. Which split is there to choose with?'
    if len(pairs) < 9:
        return f"It measures {len(pairs)} of 9 configurations, so some ranks never meet some rates: whatever wins, nobody knows whether the rank or the rate did it."
    used = {pair: [seed for *rest, seed, _ in calls if tuple(rest) == pair] for pair in pairs}
    odd = next((found for found in used.values() if set(found) != set(trial_seeds)), None)
    if odd and len(odd) > 1 and len(set(odd)) == 1:
        return f"A configuration is measured with the seeds {odd}; asked for were {trial_seeds}. The same seed again gives the same number again: repetitions that agree to the last digit are one run, copied."
    if odd:
        return (
            f"A configuration is measured with the seeds {odd}; asked for were {trial_seeds}."
        )
    if isinstance(result, float) or not isinstance(result, tuple | list) or len(result) != 2:
        return (
            "All the measuring is right, but the winner should come back as a pair: (r, rate)."
        )
    if tuple(result) == (2, 2e-3):
        return None
    if tuple(result) == (4, 3e-3):
        return "Your winner owes everything to a single lucky run. Compare configurations by the mean over their seeds."
    return f"In our trial, (2, 0.002) has the highest mean over its seeds; your function returns {tuple(result)}. Which number do you compare?"


def inputs(draw):
    for shape in ((2, 3, 2), (4, 1, 3), (1, 2, 1), (3, 4, 4), (5, 3, 5), (6, 4, 3)) * 2:
        numbers = [draw.permutation(range(1, 60))[:size].tolist() for size in shape]
        yield (
            numbers[0],
            [number / 1e4 for number in numbers[1]],
            numbers[2],
            draw.random(shape),
        )


def trial(answer, some_ranks, some_rates, some_seeds, scores):
    asked = set()

    def measure(r, rate, seed, split):
        asked.add((r, rate, seed, split))
        at = some_ranks.index(r), some_rates.index(rate)
        luck = scores[at][some_seeds.index(seed)] if seed in some_seeds else 0.5
        return float(luck if split == "validation" else 1 - luck)

    own = getattr(answer, "__wrapped__", answer)
    winner = own(measure, list(some_ranks), list(some_rates), list(some_seeds))
    every = set(itertools.product(some_ranks, some_rates, some_seeds, ["validation"]))
    measured = "all that was asked for" if asked == every else sorted(asked)
    answer(measure, some_ranks, some_rates, some_seeds)  # and on copies: does it change them?
    return {"winner": tuple(winner), "measured": measured}


hints = [
    "Look at four places: how rank and rate are combined, the seed, the split, and what is compared with `best`.",
    "Write a helper that returns the mean validation accuracy of one pair over all seeds.",
    "`max(itertools.product(ranks, rates), key=…)` returns the pair for which the helper is largest.",
]
misconceptions = [
    (
        'def fair_sweep(measure, ranks, rates, seeds):\n    return max(itertools.product(ranks, rates), key=lambda pair: np.mean([measure(*pair, seed=s, split="test") for s in seeds]))',
        "cannot judge it afterwards",
    ),
    (
        'def fair_sweep(measure, ranks, rates, seeds):\n    return max(zip(ranks, rates), key=lambda pair: np.mean([measure(*pair, seed=s, split="validation") for s in seeds]))',
        "some ranks never meet some rates",
    ),
    (
        'def fair_sweep(measure, ranks, rates, seeds):\n    return max(itertools.product(ranks, rates), key=lambda pair: np.mean([measure(*pair, seed=42, split="validation") for _ in seeds]))',
        "one run, copied",
    ),
    (
        'def fair_sweep(measure, ranks, rates, seeds):\n    return max((measure(r, rate, seed=s, split="validation"), (r, rate)) for r in ranks for rate in rates for s in seeds)[1]',
        "single lucky run",
    ),
    (
        'def fair_sweep(measure, ranks, rates, seeds):\n    return max(np.mean([measure(r, rate, seed=s, split="validation") for s in seeds]) for r in ranks for rate in rates)',
        "come back as a pair",
    ),
    (
        'def fair_sweep(measure, ranks, rates, seeds):\n    return max(itertools.product(ranks, rates), key=lambda pair: np.mean([measure(*pair, seed=s, split="train") for s in seeds]))',
        "the sentences the model has learnt from",
    ),
]


# %%
def from_our_runs(r, rate, seed, split):
    assert split == "validation", f"We have no runs on {split!r}, and that is on purpose."
    return right[r, rate, seed].mean()


winner = fair_sweep(from_our_runs, ranks, rates, seeds)
winner_mean = np.mean([right[*winner, seed].mean() for seed in seeds])
print(
    f"Highest mean over {len(seeds)} seeds: "
    f"r = {winner[0]} with {winner[1]:g}, {winner_mean:.1%}"
)

# %% [markdown]
# ## The winner's curse
#
# Look at all your runs. One is the best, partly because it is good, and partly because the validation
# sentences happened to suit it. By picking the maximum you pick the luck as well. How much luck is there in a
# winning score?
#
# You can measure it without any formula. Cut the validation sentences into two halves at random. Choose the
# winner on one half. Then ask the *other* half, which had no part in the choice, how good the winner is.


# %% tags=["exercise"] exercise="weekend1_saturday/optimism" answer="optimism" minutes=8 difficulty=2
# right: array of True/False, shape (runs, sentences): was this run right on this sentence?
# half: array of True/False, shape (sentences,): True for the sentences that choose.
# Choose the run with the best accuracy on the half. Return that accuracy minus the same run's
# accuracy on the others.
def optimism(right, half): ...


# <solution>
def optimism(right, half):
    chosen = right[:, half].mean(axis=1).argmax()
    return right[chosen, half].mean() - right[chosen, ~half].mean()


# </solution>


# %% tags=["check"] exercise="weekend1_saturday/optimism"
def check(answer):
    half = np.array([True, True, True, True, False, False, False, False, False])
    trial_runs = np.array(
        [[1, 1, 1, 0, 1, 0, 1, 0, 0], [1, 1, 0, 0, 1, 1, 1, 1, 1], [0, 1, 0, 0, 1, 1, 1, 1, 0]],
        dtype=bool,
    )
    value = answer(trial_runs.copy(), half.copy())
    if np.ndim(value) != 0 or isinstance(value, str | tuple | list | dict):
        return "One number is asked for: the gap of the one run that was chosen."

    def close(other):
        return abs(value - other) < 1e-9

    if close(0.75 - 0.4):
        return None
    if close(0.4 - 0.75):
        return "The sign is turned: what the choosing half promised, minus what the other half delivers."
    if close(0.75 - 1):
        return "You take the best run of *each* half. It must be one and the same run: the other half only judges, it does not choose."
    if close(0.5 - 1):
        return "Your run was chosen with a look at sentences that should only judge. Choose on `half` alone."
    if close(0.75 - 5 / 9):
        return "The judging sentences should be only those outside the half; you judge on all of them, also on those that chose."
    if close(0.75):
        return "That is the winner's accuracy where it was chosen. How does it do on the rest?"
    if close(trial_runs[:, half].mean() - trial_runs[:, ~half].mean()):
        return "That is the average over all runs. The curse befalls the winner: which run is best on the half?"
    return f"For three trial runs the gap should be 0.75 - 0.40 = 0.35; yours is {value:.6g}. The first run wins on their half."


def inputs(draw):
    for runs, sentences, choosing in (
        (3, 9, 4),
        (12, 40, 10),
        (2, 7, 6),
        (1, 5, 2),
        (5, 8, 1),
    ) * 3:
        right, half = np.zeros((0, 0)), np.zeros(0)
        leading = 2
        while leading != 1:  # a tie has two right answers
            right = draw.random((runs, sentences)) < (0.6 if choosing > 1 else 0.2)
            half = draw.permutation(sentences) < choosing
            hits = right[:, half].sum(axis=1)
            leading = (hits == hits.max()).sum()
        yield right, half


hints = [
    "`right[:, half]` keeps the columns of the choosing sentences, `right[:, ~half]` the others.",
    "`.mean(axis=1)` is one accuracy per run, `.argmax()` the position of the best.",
    "`chosen = right[:, half].mean(axis=1).argmax()`, then two means of row `chosen`.",
]
misconceptions = [
    (
        "def optimism(right, half):\n    return right[:, half].mean(axis=1).max() - right[:, ~half].mean(axis=1).max()",
        "best run of *each* half",
    ),
    (
        "def optimism(right, half):\n    chosen = right.mean(axis=1).argmax()\n    return right[chosen, half].mean() - right[chosen, ~half].mean()",
        "should only judge",
    ),
    (
        "def optimism(right, half):\n    chosen = right[:, half].mean(axis=1).argmax()\n    return right[chosen, ~half].mean() - right[chosen, half].mean()",
        "sign is turned",
    ),
    (
        "def optimism(right, half):\n    chosen = right[:, half].mean(axis=1).argmax()\n    return right[chosen, half].mean() - right[chosen].mean()",
        "outside the half",
    ),
    (
        "def optimism(right, half):\n    return right[:, half].mean() - right[:, ~half].mean()",
        "average over all runs",
    ),
]

# %% [markdown]
# The part that chooses need not be a half. Many people choose on a hundred sentences or fewer.

# %%
runs = np.array([right[r, rate, seed] for seed in seeds for r, rate in plan])
sizes = [len(truth) // parts for parts in (20, 10, 5, 2)]
draw = np.random.default_rng(lab.seed)
lost = []
for size in sizes:
    cuts = [draw.permutation(len(truth)) < size for _ in range(1000)]
    lost.append(100 * np.mean([optimism(runs, cut) for cut in cuts]))
curse = float(lost[-1])

# %%
title = (
    f"Chosen on {sizes[0]} sentences, the winner loses "
    f"{lost[0]:.1f} points elsewhere; on {sizes[-1]}, {curse:.1f}"
)
series = {f"best of {len(runs)} runs": lost, "no luck": [0] * len(sizes)}
figure = plots.lines(
    sizes,
    series,
    log_x=True,
    title=title,
    xlabel="sentences that choose (log scale)",
    ylabel="score there minus elsewhere (points)",
)
figure.axes[0].set_xticks(sizes, sizes)
figure.axes[0].minorticks_off()
plots.show(figure, alt=f"Optimism of the winning score by size of the choosing part. {title}.")

# %% [markdown]
# Each point is a mean over a thousand random cuts; a single cut scatters widely. Above zero means that the
# winning score promises more than the model holds. Nothing wrong was done, nobody looked at the test set:
# choosing is enough. (On all validation sentences the curse is smaller still; the more candidates and the
# closer they are, the larger.)
#
# Seeds are a second source of luck, and this one hits choosers of single runs. Suppose all twelve settings
# were equally good and differed by their seed alone, as much as your seeds do:

# %%
luck = np.random.default_rng(lab.seed).normal(0, spread, size=(20_000, len(plan))).max(axis=1)
print(
    f"Best of {len(plan)} equal runs, with a seed noise "
    f"of {spread:.1f} points: {luck.mean():+.1f} points."
)

# %% [markdown]
# ## Choose, and say why
#
# The two configurations with the best means: is one of them better? The seeds that put these two on top cannot say it:
# their luck is in the choice. So train both again, with seeds that chose nothing, and compare the answers pairwise, as
# on Day 4.

# %%
ranking = table.groupby(["r", "learning_rate"]).accuracy.mean().sort_values(ascending=False)
top, second = ranking.index[:2]
judges = settings.pick(smoke=[3, 4], cpu=[4, 5, 6])
with mlflow.start_run(run_id=sweep.info.run_id):
    for seed in judges:
        trial(*top, seed)
        trial(*second, seed)


# %%
def compare(one, other, some_seeds):
    return metrics.compare(
        [right[*one, seed] for seed in some_seeds], [right[*other, seed] for seed in some_seeds]
    )


compared = {f"seed {seed}": compare(top, second, [seed]) for seed in judges}
compared["all of them"] = compare(top, second, judges)
for who, difference in compared.items():
    print(f"{who:<12} {difference}")

# %%
title = (
    f"r = {top[0]} with {top[1]:g} against r = {second[0]} with {second[1]:g}: "
    f"{compared['all of them'].verdict}"
)
figure = plots.interval_bars(
    list(compared),
    [difference.points for difference in compared.values()],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="first minus second (points), with 95 % intervals",
)
plots.show(
    figure,
    alt=f"Paired differences of two configurations, by seed and for all seeds. {title}.",
)

# %% [markdown]
# The interval of one seed asks: *had we drawn other sentences, how would these two models compare?* It knows nothing of
# other seeds. That is why one row may exclude zero and the next one not, or even lie on the other side: they are about
# different pairs of models. A claim about a *setting* needs both kinds of luck, and the last row has both: other
# sentences and other seeds. Three values know little about their own spread, so it is often the widest. (The sentences
# did help to choose these two. What the first is worth on fresh ones, no seed can say.)
#
# <!-- asked: W1SAT-T4 -->
# What do you choose when the best are neck and neck? Not the largest number: a rule that you write down
# *before* you look. A good one is old: take the **simplest configuration within one standard error of the
# best** (Breiman and others, 1984). Simple means small here: fewer numbers to store and to overfit with.


# %% tags=["exercise"] exercise="weekend1_saturday/choose" answer="choose" minutes=12 difficulty=3
# table: one row per run, columns "r", "learning_rate", "seed", "accuracy".
# 1. Mean accuracy of each configuration (r, learning rate) over its seeds. Which is best?
# 2. Its standard error: standard deviation of its runs (pandas' .std(): it divides by one less
#    than their number), divided by the root of their number.
# 3. Among all configurations whose mean is at least best mean - standard error, return the one
#    with the smallest r, as a tuple (r, learning_rate). If several have that r, the one of them
#    with the best mean.
def choose(table): ...


# <solution>
def choose(table):
    groups = table.groupby(["r", "learning_rate"])["accuracy"]
    means = groups.mean()
    best = means.idxmax()
    error = groups.std()[best] / groups.size()[best] ** 0.5
    close = means[means >= means[best] - error]
    return min(close.index, key=lambda pair: (pair[0], -close[pair]))


# </solution>


# %% tags=["check"] exercise="weekend1_saturday/choose"
def check(answer):
    def made(means, deviation):
        rows = [
            {"r": r, "learning_rate": rate, "seed": seed, "accuracy": mean + offset * deviation}
            for (r, rate), mean in means.items()
            for seed, offset in enumerate((-1, 0, 1))
        ]
        return pd.DataFrame(rows).sample(frac=1, random_state=0)

    means = {
        (4, 1e-4): 0.60,
        (4, 5e-4): 0.790,
        (8, 2e-4): 0.7935,
        (8, 5e-4): 0.796,
        (16, 5e-4): 0.800,
    }
    result = answer(made(means, 0.012))
    if isinstance(result, dict) or (isinstance(result, tuple | list) and len(result) > 2):
        return "You return a whole row. Asked for is the pair (r, learning_rate)."
    if not isinstance(result, tuple | list) or len(result) != 2:
        return f"You return {result!r}. Asked for is a pair: (r, learning_rate)."
    result = tuple(result)
    if result == (16, 5e-4):
        return "That is the best mean. Is there a smaller rank within one standard error of it? Then the rule prefers that."
    if result == (4, 5e-4):
        return "You chose a configuration that is more than one standard error below the best: did you divide the standard deviation by the root of the number of seeds?"
    if result == (4, 1e-4):
        return "The smallest rank, whatever it scores? Only configurations close to the best may compete."
    if result == (8, 2e-4):
        return "The rank is right. Two rates are close enough with it, and the task says which: the one with the better mean."
    if result != (8, 5e-4):
        return f"For our trial table the rule gives (8, 0.0005); you return {result}. Go through its three steps once more."
    noisy = made({(4, 1e-4): 0.704, (32, 1e-4): 0.71, (32, 2e-4): 0.69}, 0.001)
    if tuple(answer(noisy)) != (32, 1e-4):
        return "With hardly any noise between the seeds, the best is the best: a smaller rank that is clearly worse must not win. Is the width of the margin typed in?"
    two = pd.DataFrame({"r": [16, 16, 4, 4, 2, 2], "learning_rate": 1e-4, "seed": [1, 2] * 3})
    two["accuracy"] = [0.5, 1.0, 0.55, 0.55, 0.46, 0.46]
    if tuple(answer(two)) == (16, 1e-4):
        return "The best ran twice, with 0.5 and 1.0: standard error 0.25, so a mean of 0.55 is close enough. Yours says no. Is the standard error that of the best one, and does its .std() divide by one less than the number of runs?"
    two["accuracy"] = [0.5, 1.0, 0.5, 0.5, 0.4, 0.4]
    if tuple(answer(two)) == (16, 1e-4):
        return "The best ran twice, with 0.5 and 1.0: standard error 0.25. A mean of 0.5, exactly one standard error below, is refused by your rule. It says *at least*, and the root is that of the number of runs."
    return None


def inputs(draw):
    for other in (0.5, 0.55, 0.49):
        two = pd.DataFrame(
            {"r": [16, 16, 4, 4, 2, 2], "learning_rate": 1e-4, "seed": [1, 2] * 3}
        )
        yield two.assign(accuracy=[0.5, 1.0, other, other, 0.46, 0.46])
    for number in range(12):
        pairs = itertools.product([2, 4, 8, 16], [1e-4, 2e-4, 5e-4])
        rows = []
        for r, rate in pairs:
            mean = 0.7 + 0.01 * draw.normal()
            for seed in range(2 + draw.integers(4)):
                accuracy = mean + (0.005 + 0.005 * number) * draw.normal()
                rows.append((r, rate, seed, accuracy))
        runs = pd.DataFrame(rows, columns=["r", "learning_rate", "seed", "accuracy"])
        yield runs.iloc[draw.permutation(len(runs))]


hints = [
    '`groups = table.groupby(["r", "learning_rate"])["accuracy"]` has `.mean()`, `.std()` and `.size()`.',
    "`means.idxmax()` is the best pair; `means[means >= limit]` keeps those that are close.",
    "`min(close.index, key=lambda pair: (pair[0], -close[pair]))`: smallest rank first, then the best mean.",
]
misconceptions = [
    (
        'def choose(table):\n    return table.groupby(["r", "learning_rate"])["accuracy"].mean().idxmax()',
        "That is the best mean",
    ),
    (
        'def choose(table):\n    groups = table.groupby(["r", "learning_rate"])["accuracy"]\n    means = groups.mean()\n    close = means[means >= means.max() - groups.std()[means.idxmax()]]\n    return min(close.index, key=lambda pair: (pair[0], -close[pair]))',
        "divide the standard deviation",
    ),
    (
        'def choose(table):\n    groups = table.groupby(["r", "learning_rate"])["accuracy"]\n    means = groups.mean()\n    error = groups.std()[means.idxmax()] / 3 ** 0.5\n    return min(means[means >= means.max() - error].index)',
        "the one with the better mean",
    ),
    (
        'def choose(table):\n    return min(zip(table["r"], table["learning_rate"]))',
        "may compete",
    ),
    (
        'def choose(table):\n    means = table.groupby(["r", "learning_rate"])["accuracy"].mean()\n    close = means[means >= means.max() - 0.01]\n    return min(close.index, key=lambda pair: (pair[0], -close[pair]))',
        "the margin typed in",
    ),
    ('def choose(table):\n    return table.sort_values("accuracy").iloc[-1]', "whole row"),
]

# %%
chosen = choose(table)
print(
    f"Chosen: r = {chosen[0]} with {chosen[1]:g}, "
    f"mean {ranking[chosen]:.1%}; best mean {ranking.max():.1%}"
)
adapter, head = trained(our_encoder, int(chosen[0]))
print(
    f"It trains {adapter + head:,} numbers, {head / (adapter + head):.1%} of them in the head."
)

# %% [markdown]
# ### Is the best rate at the fence?
#
# One look at *where* the winner stands. If it stands at the border of the grid, the best place may lie
# outside, and the sweep has found nothing but a direction. So look one step further: the chosen rank with
# 1e-3, the rate of Day 4, against the last rate of the grid. The seeds that chose nothing judge.

# %%
further = 1e-3
with mlflow.start_run(run_id=sweep.info.run_id):
    for seed in judges:
        trial(chosen[0], rates[-1], seed)
        trial(chosen[0], further, seed)

# %%
edge = compare((chosen[0], further), (chosen[0], rates[-1]), judges)
fence = edge.points[0]
walk = [*rates, further]
of_rate = {rate: judges if rate >= rates[-1] else seeds for rate in walk}
by_rate = {
    rate: [100 * right[chosen[0], rate, seed].mean() for seed in of_rate[rate]] for rate in walk
}

# %%
figure, axes = plt.subplots()
axes.plot(walk, [np.mean(by_rate[rate]) for rate in walk], "-", color="#777777", lw=1)
for rate in walk:
    colour = "C1" if rate == further else "C0"
    axes.plot([rate] * len(by_rate[rate]), by_rate[rate], "o", color=colour, alpha=0.7)
axes.set_xscale("log")
axes.set_xticks(walk, [f"{rate:g}" for rate in walk])
axes.minorticks_off()
axes.axvspan(rates[0] * 0.9, rates[-1] * 1.1, color="#777777", alpha=0.12, lw=0)
axes.text(rates[0], axes.get_ylim()[1], "the grid", va="top", color="#555555")
title = f"One step beyond the grid: {edge}"
axes.set(title=title, xlabel="learning rate (log scale)", ylabel="validation accuracy (%)")
plots.show(
    figure, alt=f"Accuracy by learning rate for r = {chosen[0]}, one dot per seed. {title}."
)

# %%
print(
    f"one step of the rate: {fence:+.1f} points; "
    f"best rank against worst: {rank_effect:.1f} points"
)

# %% [markdown]
# If the line still climbs at its end, the grid did not hold the best rate *for runs this short*, and its
# "winner" was only a direction. Set the two effects side by side, one step of the rate and all ranks
# together: for runs this short, that says more than today's winner. **Spend your first runs on the learning rate,
# and take any sensible rank.**
#
# (One more honest line: we looked once more at the same validation sentences, so this score is a little
# flattered, too. What it is worth, only fresh sentences could say, and the test set stays shut.)
#
# ## What you saw

# %%
results = {
    "chosen_accuracy": ranking[chosen],
    "rate_share": shares["learning_rate"],
    "rank_share": shares["r"],
    "rank_effect_points": rank_effect,
    "rate_effect_points": rate_means.max() - rate_means.min(),
    "seed_points": spread,
    "winners_curse_points": curse,
    "beyond_the_grid_points": fence,
    "distilbert_growth": growth["DistilBERT"],
    "alpha_disguise": times["alpha = 2 r"],
}
with mlflow.start_run(run_id=sweep.info.run_id):
    mlflow.log_params({"chosen_r": chosen[0], "chosen_learning_rate": chosen[1]})
    for name, value in results.items():
        tracking.record(name, value)
print(f"Peak memory of this session: {memory.human(memory.peak_rss())}.")

# %% [markdown]
# Write the choice down, with its reason, before you forget which part of it was luck. Three sentences: what
# you chose, what the seeds say about it, and for which budget it holds.

# %%
# For your journal (change the text and run the cell).
my_choice = "…"
if my_choice != "…":
    progress.write_journal("weekend1_saturday", my_choice)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Twelve settings are equally good. Each is trained once; another seed moves a run by 1 point (standard deviation). By how much does the best of the twelve look better than it is?",
        "choices": [
            (
                "Not at all: on average the luck cancels.",
                "It cancels in a run that was picked blindly. You picked the luckiest.",
                False,
            ),
            (
                "About 1.6 points.",
                "Right. The largest of twelve normal draws lies about 1.6 standard deviations above the middle.",
                True,
            ),
            (
                "About 12 points, 1 for each setting.",
                "Luck does not add up over runs that have nothing to do with each other. The best of many grows slowly: 100 draws reach about 2.5.",
                False,
            ),
            (
                "About 0.3 points: 1 divided by the root of 12.",
                "That is the standard error of a mean over twelve. A maximum goes the other way.",
                False,
            ),
        ],
        "proof": """
import numpy as np
draws = np.random.default_rng(0).normal(0, 1, size=(100_000, 12)).max(axis=1)
assert 1.6 < draws.mean() < 1.66
assert 2.45 < np.random.default_rng(0).normal(0, 1, size=(20_000, 100)).max(axis=1).mean() < 2.55
assert 0.28 < 12 ** -0.5 < 0.3
""",
    },
    {
        "question": "A report compares r = 4 at 1e-4 (78 %), r = 8 at 2e-4 (81 %) and r = 16 at 5e-4 (84 %). What do you learn about the rank?",
        "choices": [
            (
                "Larger ranks are better, by 3 points per doubling.",
                "The same table would come out if only the learning rate mattered.",
                False,
            ),
            (
                "Nothing: rank and rate change together.",
                "Right. One world in which only the rank matters and one in which only the rate matters both print this table.",
                True,
            ),
            (
                "Little, because each was trained with one seed only.",
                "A thousand seeds would make the three numbers exact and leave the question open: rank or rate?",
                False,
            ),
            (
                "That the best rank is 16 or larger.",
                "If only the rate matters, r = 4 at 5e-4 would have done as well.",
                False,
            ),
        ],
        "proof": """
rows = [(4, 1e-4, 78), (8, 2e-4, 81), (16, 5e-4, 84)]
only_rank = {4: 78, 8: 81, 16: 84}
only_rate = {1e-4: 78, 2e-4: 81, 5e-4: 84}
assert all(only_rank[r] == only_rate[rate] == score for r, rate, score in rows)
assert only_rank[4] != only_rate[5e-4]
""",
    },
    {
        "question": "F1 of .89 against .87, one run each, 500 test sentences each. The author calls the first model better. What do you say?",
        "choices": [
            (
                "Two points are two points.",
                "Sampling alone gives each such score a standard error of about 1.5 points (reckoned as for an accuracy). The next 500 sentences may reverse it.",
                False,
            ),
            (
                "The gap is about the size of one standard error of a difference; show pairs and seeds.",
                "Right. Two independent scores with 1.5 points each differ by about 2 by luck. Paired answers and more seeds can tell; the two numbers cannot.",
                True,
            ),
            (
                "With 1,000 sentences it would be settled.",
                "Then the standard error of each is still about 1.1 points, and other seeds have not been asked at all.",
                False,
            ),
            (
                "It is certainly noise.",
                "That cannot be said either. Too small to see is not the same as absent.",
                False,
            ),
        ],
        "proof": """
error = lambda n: (0.87 * 0.13 / n) ** 0.5
assert [round(error(n), 3) for n in (100, 500, 1000)] == [0.034, 0.015, 0.011]
assert 0.019 < 2 ** 0.5 * error(500) < 0.022
""",
    },
    {
        "question": "With alpha = 2r a colleague finds that r = 32 learns faster than r = 4 at one learning rate. What should be ruled out first?",
        "choices": [
            (
                "That a wider detour simply takes larger steps at the same rate.",
                "Right. Compare with alpha fixed, or give every rank its own best learning rate, and see what is left.",
                True,
            ),
            (
                "That r = 32 has too many parameters.",
                "More parameters may overfit later. They do not explain a faster start.",
                False,
            ),
            (
                "That the head grew with the rank.",
                "The head has nothing to do with r; it has the same size in both.",
                False,
            ),
            (
                "That alpha / r differs between the two.",
                "With alpha = 2r it is 2 in both. Equal factors are not equal steps: 32 directions pull where 4 did.",
                False,
            ),
        ],
        "proof": """
import torch
def first_step(r, factor):
    torch.manual_seed(0)
    A, x = torch.rand(r, 400) / 20, torch.rand(400)
    B = torch.zeros(300, r, requires_grad=True)
    optimizer = torch.optim.AdamW([B], lr=1e-3)
    (factor * B @ A @ x).sum().backward()
    optimizer.step()
    return (factor * B @ A @ x).norm().item()
assert 7 < first_step(32, 2) / first_step(4, 2) < 9
assert 0.9 < first_step(32, 16 / 32) / first_step(4, 16 / 4) < 1.1
""",
    },
    {
        "question": "For one pair of runs (seed 1) the paired 95 % interval of the difference excludes zero. What does it promise about seed 4?",
        "choices": [
            (
                "In 95 of 100 seeds the first setting wins.",
                "The interval never saw another seed. It drew sentences again, not training runs.",
                False,
            ),
            (
                "Nothing: it speaks of these two trained models on other sentences.",
                "Right. A claim about a setting needs several seeds of it; the interval is about two particular models.",
                True,
            ),
            (
                "That the difference will be at least as large as its lower end.",
                "That is a statement about other sentences, for the same two models.",
                False,
            ),
            (
                "That the first setting is better, if validation had more than 1,000 sentences.",
                "More sentences narrow the interval. They do not train other models.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# Change one thing, and remember that a finished run is found again, so only what is new costs time:
#
# - `alpha = 2 * r` inside `train_one` (for one rate). Does the larger rank win now? You know why.
# - `sentences` doubled, for the chosen rank at the two best rates. Does the best rate stay where it is when
#   there are more steps?
# - Two more seeds in `judges`. What becomes of the interval of all of them?
#
# **The guides.** [Hyperparameters](../../curriculum/guides/hyperparameters.md) has starting values for each
# of them. Day 8 returns to the question with a search that chooses its own next trial.
#
# **Read.** Bouthillier and others count where the noise in benchmarks comes from, and find that many
# published differences are smaller. Hastie, Tibshirani and Friedman explain the one-standard-error rule in
# half a page. The LoRA paper's section 7.2 compares ranks with each other, at learning rates tuned by the
# authors.
