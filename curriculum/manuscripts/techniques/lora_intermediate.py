# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import contextlib
import copy
import io
import time

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import torch
from torch import nn

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, widgets

lab = settings.start("technique_lora_intermediate")

# %% [markdown]
# ## Why this matters
#
# You have trained one adapter for one task. Whoever uses LoRA in earnest has many: one per task, per language, per
# customer. All of them lie on the same base, which is loaded once. First a count, then the questions.

# %%
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, set_seed

from labhelpers import planner

shape = AutoConfig.from_pretrained(models.source("encoder"))
base_numbers = planner.parameters(shape)
for r in (4, 8, 16, 32, 64):
    numbers = planner.lora_parameters(shape, r=r).adapter
    print(
        f"r = {r:>2}: {numbers:>9,} numbers; "
        f"{base_numbers // numbers:>4} such adapters weigh as much as the base"
    )

# %% [markdown]
# Three pieces of advice go with that picture, and each sounds reasonable:
#
# 1. "If it is not good enough, raise the rank; and with large ranks use rsLoRA."
# 2. "Put detours on all linear layers, not just on query and value."
# 3. "Adapters can be mixed like paint: half of this, half of that, and the model can do both."
#
# [Saturday's sweep](../week1/weekend1_saturday.ipynb) began with the first one: ranks 4 to 32 at α = 16, crossed with
# learning rates. Which of two knobs "matters more" depends on how far each is turned, so no grid can settle that. Today
# asks what can be settled: which knob has to *move along* when the rank does.
#
# Commit to a number for the third. You will train one adapter on film reviews and one on news headlines, then add them
# up, half and half. How much of what the two had gained on their own tasks, compared with no adapter and taken
# together, survives the mixing?

# %%
mix_guess = widgets.predict(
    "lora-intermediate-mix",
    "Half of one adapter plus half of another keeps … of what each had gained",
    0,
    100,
    "%",
)

# %% [markdown]
# ## Ranks from 4 to 64
#
# LoRA adds $s \cdot BA\,x$ to what a frozen matrix says. $A$ starts random, $B$ at zero, and $s$ is a plain factor. Two
# rules for it are in use; in PEFT one word switches between them:
#
# - $s = \alpha / r$, the original;
# - $s = \alpha / \sqrt r$, **rank-stabilised LoRA** (Kalajdzievski, 2023): `use_rslora=True`. The paper
#   shows that $\alpha / r$ makes high ranks learn ever more slowly, and that the root is the one power of $r$ that neither
#   stunts nor blows up.
#
# On Saturday you saw something that does not fit. With AdamW and $\alpha / r$, a first few steps went *equally* far at every
# rank. So is the root wrong? Or is something different? Let us take a single training step, with every
# combination: both rules, two optimisers, several ranks. How far do the model's answers move?

# %%
reviews = data.prepared("sentiment")
reviews.pop("test")  # opened once, on Day 4; nothing below can touch it
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
few = reviews["train"][:8]
batch = tokenizer(
    few["text"], padding=True, truncation=True, max_length=24, return_tensors="pt"
)
batch["labels"] = torch.tensor(few["label"])

set_seed(lab.seed)
plain = AutoModelForSequenceClassification.from_pretrained(
    models.source("encoder"), num_labels=2
).eval()
query_value = models.lora_targets(plain)


# %%
def first_step(r, rslora, optimizer, rate, seed):
    """Root mean square change of the logits after one step that only the detours take."""
    torch.manual_seed(seed)  # it decides A
    recipe = LoraConfig(r=r, lora_alpha=16, use_rslora=rslora, target_modules=query_value)
    model = get_peft_model(plain, recipe).eval()
    take = optimizer(
        [part for name, part in model.named_parameters() if "lora_" in name], lr=rate
    )
    before = model(**batch)
    before.loss.backward()
    take.step()
    after = model(**batch).logits.detach()
    model.unload()  # takes the detours out of `plain` again
    return (after - before.logits.detach()).square().mean().sqrt().item()


# %%
ranks = settings.pick(smoke=[4, 16, 64], cpu=[4, 8, 16, 32, 64])
starts = settings.pick(smoke=[1], cpu=[1, 2, 3])  # a small A is a matter of luck: take a mean
optimizers = {"SGD": (torch.optim.SGD, 1.0), "AdamW": (torch.optim.AdamW, 1e-4)}
rules = {"α / r": False, "α / √r": True}
moved = {
    f"{name}, {rule}": [
        np.mean([first_step(r, rslora, *how, seed) for seed in starts]) for r in ranks
    ]
    for name, how in optimizers.items()
    for rule, rslora in rules.items()
}

# %% [markdown]
# Plain **SGD** subtracts the gradient times the rate; it is what the paper's argument is about, and what you wrote by
# hand on Day 1. **AdamW** divides each gradient by its own running size first, so that every number moves by about the
# rate.
#
# If the movement grows like a power of the rank, $c \cdot r^p$, then all that matters is $p$. Zero means "the same at every
# rank". In logarithms a power law is a straight line, and p is its slope.


# %%
def power(ranks, moved):
    """The p for which moved ≈ c · rank ** p fits best."""
    slope, _ = np.polyfit(np.log(ranks), np.log(moved), 1)
    return float(slope)


# %% [markdown]
# Before the four numbers come out: with AdamW and the root, how many times as far will r = 64 go as r = 4?

# %%
step_guess = widgets.predict(
    "lora-intermediate-step",
    "AdamW, α / √r: r = 64 goes … times as far as r = 4 on its first step",
    0,
    20,
    "times",
)

# %%
powers = {name: power(ranks, values) for name, values in moved.items()}
for name, p in powers.items():
    print(
        f"{name:<14} movement ~ r to the power {p:+.2f}; "
        f" r = 64 against r = 4: × {moved[name][-1] / moved[name][0]:.2f}"
    )
step_guess.compare(moved["AdamW, α / √r"][-1] / moved["AdamW, α / √r"][0])

# %%
relative = {name: [value / values[0] for value in values] for name, values in moved.items()}
level = {  # the rule under which the rank changes least
    name: min(rules, key=lambda rule, name=name: abs(powers[f"{name}, {rule}"]))
    for name in optimizers
}
title = f"One step, nearly level: {level['SGD']} for SGD, {level['AdamW']} for AdamW"
figure = plots.lines(
    ranks,
    relative,
    log_x=True,
    log_y=True,
    title=title,
    xlabel="rank r (log scale)",
    ylabel="movement, r = 4 is 1 (log scale)",
)
figure.axes[0].set_xticks(ranks, ranks)
figure.axes[0].minorticks_off()
written = ", ".join(f"{name}: {p:+.1f}" for name, p in powers.items())
plots.show(figure, alt=f"{title}. Powers of the rank: {written}.")

# %% [markdown]
# Both are right, each about something else. Count the factors of $s$ and $r$ in what the first step adds to $y$. The
# gradient of $B$ is $s\, g\,(Ax)^\top$, with $g$ the gradient of $y$.
#
# - **SGD** moves $B$ by that gradient: $s$ comes in once there and once more in $y$, and $r$ directions add up. $s^2 r$. It is
#   level if $s \sim 1/\sqrt r$.
# - **AdamW** divides the size of the gradient out again. One $s$ is gone, and what is left is $s\,r$: level if
#   $s \sim 1/r$.
#
# So with AdamW, which nearly everybody uses, switching on `use_rslora` at a fixed α turns the volume up with the root
# of the rank, and a larger rank is a larger step once more. That is a statement about the first step; the paper is
# about whole runs. But if the reasoning holds, then under the root **the rates that work must become lower as the
# rank grows**, from r = 4 to r = 64 by about $\sqrt{16} = 4$, while under $\alpha / r$ they should stay. So the grid
# below needs both ends under *both* rules.
#
# ### One head for everything
#
# Before we train, a word about the **head**. Our runs are short, and a head that starts at random needs most of a
# short run to wake up; on Saturday you saw runs that had hardly begun. We want to compare detours, not heads. So
# we take one wide head with a place for every label of three tasks: is a film sentence positive, which desk
# of a newsroom wrote a headline, is a text message spam? It is fitted once on what the *untrained* encoder says (Day 3's
# linear probe), and then frozen. From here on, an adapter is nothing but detours, and "no adapter" is a model that
# already knows something.

# %%
from transformers import DataCollatorWithPadding, Trainer

from labhelpers import training

tasks, slots, label_names = {}, {}, []
for task in ("sentiment", "topics", "spam"):
    splits = data.prepared(task)
    splits.pop("test", None)
    if "headline" in splits["train"].column_names:  # the headline is enough, and much shorter
        splits = splits.remove_columns("text").rename_column("headline", "text")
    here = splits["train"].features["label"].names
    slots[task] = slice(len(label_names), len(label_names) + len(here))
    label_names += here
    encoded = data.tokenize(splits, tokenizer, max_length=64)
    start = slots[task].start  # a task's labels begin where the last one's ended
    tasks[task] = encoded.map(
        lambda rows, start=start: {"labels": [label + start for label in rows["labels"]]},
        batched=True,
    )
    print(f"{task:<10} {slots[task].start} to {slots[task].stop - 1}: {', '.join(here)}")

# %%
from sklearn.linear_model import LogisticRegression

task_size = settings.pick(smoke=32, cpu=1200)
task_learn = {
    task: parts["train"].select(range(min(task_size, len(parts["train"]))))
    for task, parts in tasks.items()
}


def wide_base(**options):
    set_seed(lab.seed)
    return AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=len(label_names), **options
    )


# %%
reader = wide_base(**training.load_options())
reader.classifier = nn.Identity()  # its "logits" are now what the head would have read
features = np.concatenate([training.predict(reader, rows) for rows in task_learn.values()])
labels = np.concatenate([rows["labels"][:] for rows in task_learn.values()])
probe = LogisticRegression(max_iter=2000).fit(features, labels)


# %%
def with_probe(model):
    """The base with the fitted head, all of it frozen."""
    with torch.no_grad():
        model.classifier.weight.copy_(torch.tensor(probe.coef_))
        model.classifier.bias.copy_(torch.tensor(probe.intercept_))
    return model.requires_grad_(False)


def right(model, task, rows):
    """Right and wrong on rows of a task, judged among the task's own labels."""
    logits = training.predict(model, rows)[:, slots[task]]
    return logits.argmax(axis=1) + slots[task].start == np.array(rows["labels"][:])


# %%
at_most = settings.pick(smoke=30, cpu=450)
check_rows = {
    task: parts["validation"].select(range(min(at_most, len(parts["validation"]))))
    for task, parts in tasks.items()
}
server = with_probe(wide_base()).eval().to(settings.device())
table = {
    "no adapter": {
        task: 100 * right(server, task, rows).mean() for task, rows in check_rows.items()
    }
}
print(
    "no adapter: "
    + ", ".join(f"{task} {score:.1f} %" for task, score in table["no adapter"].items())
)

# %% [markdown]
# (The default, `task_type="SEQ_CLS"`, gives each adapter a head of its own that trains along. For separate tasks that is
# right. But two heads cannot be added, PEFT refuses to try, and adding is where we are going.)
#
# ### The matrix: rank × learning rate
#
# As on Saturday every rank meets every rate, and what chooses does not judge. Rates are chosen on validation sentences, with
# seed 1. Ranks are compared with *other* seeds, on training sentences that no model here has learnt from.

# %%
collator = DataCollatorWithPadding(tokenizer)
size, judges = settings.pick(smoke=32, cpu=480), settings.pick(smoke=40, cpu=600)
films = tasks["sentiment"]
learn = films["train"].select(range(size))
choose = films["validation"].select(
    range(min(settings.pick(smoke=40, cpu=700), len(films["validation"])))
)
judge = films["train"].select(
    range(task_size, task_size + judges)
)  # nor has the head been fitted on these
print(
    f"{size:,} sentences to learn from, "
    f"{len(choose):,} to choose a rate on, {judges:,} to judge"
)
bar = (
    f"no adapter: {right(server, 'sentiment', judge).mean():.1%} of the judges' sentences right"
)
print(bar)


# %%
def train_one(name, seed, learning_rate, **recipe):
    """One training on film sentences; `recipe` is whatever a LoraConfig takes."""
    base = with_probe(wide_base(**training.load_options()))
    set_seed(seed)  # it decides A; in the Trainer, the order of the sentences
    model = get_peft_model(base, LoraConfig(**{"lora_alpha": 16} | recipe))
    name = f"lora-{name}-rate{learning_rate:g}-seed{seed}".replace(" ", "-")
    args = training.arguments(
        name,
        learning_rate=learning_rate,
        num_train_epochs=1,
        seed=seed,
        per_device_train_batch_size=16,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(model=model, args=args, train_dataset=learn, data_collator=collator)
    with contextlib.redirect_stdout(io.StringIO()):  # `trial` prints one line per run
        run = training.train(trainer, name)
    return model, run


# %%
kept = {}  # (name, rate, seed) → the two lists of right and wrong


def trial(name, rate, seed, **recipe):
    """Train (or find) one run; return its score on `choose` and its answers on `judge`."""
    if (name, rate, seed) not in kept:
        model, run = train_one(name, seed, rate, **recipe)
        path = run.folder / "right.npz"
        if not path.exists():
            np.savez(
                path,
                choose=right(model, "sentiment", choose),
                judge=right(model, "sentiment", judge),
            )
        kept[name, rate, seed] = dict(np.load(path))
        print(
            f"{name:<22} rate {rate:g} seed {seed}: "
            f"{kept[name, rate, seed]['choose'].mean():.1%} ({run.seconds:.0f} s)"
        )
    return kept[name, rate, seed]


# %%
rates = settings.pick(smoke=[3e-3], cpu=[1e-3, 3e-3, 9e-3])
chooser, seeds = 1, settings.pick(smoke=[2, 3], cpu=[2, 3, 4])
trained_ranks = settings.pick(smoke=[4, 64], cpu=[4, 16, 64])
recipes = {
    f"r{r} root": {"r": r, "use_rslora": True, "target_modules": query_value}
    for r in trained_ranks
}
for r in (4, 64):
    recipes[f"r{r} plain"] = {"r": r, "use_rslora": False, "target_modules": query_value}

for name, recipe in recipes.items():
    for rate in rates:
        trial(name, rate, chooser, **recipe)


# %%
def grid_of(names):
    return np.array(
        [[100 * kept[name, rate, chooser]["choose"].mean() for rate in rates] for name in names]
    )


def best_rate(name):
    return max(rates, key=lambda rate: kept[name, rate, chooser]["choose"].mean())


# %%
top = {name: 100 * kept[name, rates[-1], chooser]["choose"].mean() for name in recipes}
shown = [f"{top[f'r{r} {rule}']:.0f} %" for rule in ("root", "plain") for r in (4, 64)]
title = "Highest rate, r = 4 and 64: {} and {} (root), {} and {} (α / r)".format(*shown)
labels = [f"r = {r}, α / √r" for r in trained_ranks] + ["r = 4, α / r", "r = 64, α / r"]
figure = plots.heatmap(
    grid_of(recipes).round(1),
    labels,
    [f"{rate:g}" for rate in rates],
    unit="%",
    title=title,
    xlabel="learning rate",
    ylabel="rank and rule",
)
plots.show(figure, alt=f"Validation accuracy by rank and learning rate. {title}.")
for name in recipes:
    print(f"{name:<9} chooses the rate {best_rate(name):g}")
for rule in ("root", "plain"):
    wide, narrow = (kept[f"r{r} {rule}", rates[-1], chooser]["choose"] for r in (64, 4))
    print(f"highest rate, {rule}: r = 64 minus r = 4: {metrics.compare(wide, narrow)}")

# %% [markdown]
# Read the last column downwards. The reasoning says: under the root, one and the same high rate does more harm to a wider
# detour; under $\alpha / r$ it does not. The two printed lines say whether that holds for these four models, one seed
# each. If it does, the root has made r = 64 neither better nor worse so much as moved it along the axis.
#
# Do not read too much into where each row has its *best* cell: neighbours may be no further apart than two seeds.
#
# Now the judges: each rank at its own best rate, with seeds that have chosen nothing.

# %%
for name, recipe in recipes.items():
    for seed in seeds:
        trial(name, best_rate(name), seed, **recipe)


# %%
def judged(name):
    """Right and wrong on the judges' sentences at its best rate: shape (seeds, sentences)."""
    return np.array([kept[name, best_rate(name), seed]["judge"] for seed in seeds])


# %%
means = {name: 100 * judged(name).mean() for name in recipes}
for name in recipes:
    each = ", ".join(f"{100 * one.mean():.1f}" for one in judged(name))
    print(f"{name:<9} at {best_rate(name):g}: {each}   mean {means[name]:.1f} %")
seed_points = 100 * np.sqrt(
    np.mean([judged(name).mean(axis=1).var(ddof=1) for name in recipes])
)
print(f"standard deviation between seeds, same setting: {seed_points:.1f} points")
print(bar)

# %%
against = [name for name in recipes if name != "r4 root"]
differences = [metrics.compare(judged(name), judged("r4 root")) for name in against]
for name, part in zip(against, differences, strict=True):
    print(f"{name:<9} against r4 root: {part}")

# %%
words = pd.Series([part.verdict for part in differences]).value_counts()
title = "Against r = 4 (root), each at its own rate: " + ", ".join(
    f"{count} {word}" for word, count in words.items()
)
figure = plots.interval_bars(
    against,
    [part.points for part in differences],
    reference=0,
    reference_label="r = 4, α / √r",
    title=title,
    xlabel="points of accuracy, over seeds and sentences",
)
plots.show(figure, alt=f"Difference of each rank to r = 4 on unseen sentences. {title}.")

# %% [markdown]
# "Undecided" says: these sentences and seeds cannot tell this row from r = 4. Another word is worth a second look at the
# numbers above: of several comparisons one may stray by luck, and each row's rate was chosen with one seed, so that a row
# that chooses unluckily looks like a worse rank. Choose on more sentences, then, and see whether the word stays.
#
# Compare the two effects: what the *rank* did at its own best rate, and what the *rate* did within a row of the grid. How
# far each knob was turned stands beside it; another range, another span. No law about ranks follows from one small task.
# What carries over is which knob has to move along when you turn the rank, and how far: ask the rule and the optimiser.

# %%
rooted = [name for name in recipes if "root" in name]
rank_span = max(means[name] for name in rooted) - min(means[name] for name in rooted)
rate_span = np.ptp(grid_of(rooted), axis=1).mean()
by_rule = metrics.compare(judged("r64 plain"), judged("r64 root"))
ratio = trained_ranks[-1] / trained_ranks[0], rates[-1] / rates[0]
print(f"best rank minus worst, turned by a factor of {ratio[0]:.0f}: {rank_span:.1f} points")
print(f"best rate minus worst, turned by a factor of {ratio[1]:.0f}: {rate_span:.1f} points")
print(f"r = 64, α / r minus α / √r, each at its best rate: {by_rule}")

# %% [markdown]
# ## Which modules?
#
# "All linear layers are better than query and value." Usually that is measured at the *same rank*, and then one side has
# several times as many numbers. Fair is: the same number of trained weights, spent in different places. Each layer of
# the encoder has four square matrices in its attention and two large ones in its feed-forward part. Which rank does
# each choice get for the same money?

# %%
linear = {
    name: part
    for name, part in plain.base_model.named_modules()
    if isinstance(part, nn.Linear) and "pooler" not in name
}


def among(*ends):
    return [name for name in linear if name.endswith(ends)]


# %%
choices = {
    "query and value": among(*query_value),
    "all linear": list(linear),
}
matrices = {
    what: [tuple(linear[name].weight.shape) for name in names]
    for what, names in choices.items()
}
for what, found in matrices.items():
    print(f"{what:<16} {len(found):>3} matrices, of shapes {sorted(set(found))}")


# %% tags=["exercise"] exercise="technique_lora_intermediate/equal-rank" answer="equal_rank" minutes=7 difficulty=2
# shapes: a list of (out, in), one pair for each matrix that gets a detour. budget: how many
# numbers may train. Return the largest whole rank for which all detours together (both A and
# B) stay within the budget; 0 if not even one rank does.
def equal_rank(shapes, budget): ...


# <solution>
def equal_rank(shapes, budget):
    per_rank = sum(out + into for out, into in shapes)
    return budget // per_rank


# </solution>


# %% tags=["check"] exercise="technique_lora_intermediate/equal-rank"
def check(answer):
    shapes = [(10, 10), (40, 10), (10, 40)]  # 120 numbers per rank
    value = answer(shapes, 1000)
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        return f"Your function returned {value!r}. A rank is a whole number: 8 rows, not 8.3."
    if value == 8:
        exact, odd = answer(shapes, 1200), answer([(7, 3)], 99)
        return (
            None
            if (exact, odd) == (10, 9)
            else f"Right for a budget of 1,000. With 1,200 the rank 10 fits exactly, yours gives {exact}; for one matrix of 7 × 3 and 99 numbers, 9 fits, yours gives {odd}."
        )
    replies = {
        9: "Rank 9 would need 1,080 numbers: over the budget. Round down, not up.",
        1: "You divide by out × in, the numbers of the frozen matrix. The detour beside it has r × in + out × r.",
        16: "Only one side of each detour is counted. A has r × in numbers and B has out × r.",
        25: "That is the rank for an average matrix alone. The budget is for all of them together.",
        50: "That is the rank for the first matrix alone. The budget is for all of them together.",
    }
    if value in replies:
        return replies[value]
    return f"For matrices of 10 × 10, 40 × 10 and 10 × 40, each rank costs 120 numbers; 1,000 pay for 8 ranks. Yours says {value}."


def inputs(draw):
    yield [(10, 10)], 19  # not even one rank
    yield [(10, 10)], 20
    yield [(7, 3), (3, 7), (5, 5)], 0
    yield [(7, 3), (1, 1)], 9_999
    for _ in range(6):
        shapes = [tuple(map(int, draw.integers(1, 900, 2))) for _ in range(draw.integers(1, 9))]
        yield shapes, int(draw.integers(1, 90_000))
    yield shapes, 13 * sum(map(sum, shapes))
    yield shapes, 13 * sum(map(sum, shapes)) - 1


hints = [
    "One more rank means one more row in every A (`in` numbers) and one more column in every B (`out` numbers).",
    "So all detours together cost r times the sum of out + in over all the matrices.",
    "`budget // sum(out + into for out, into in shapes)`",
]
misconceptions = [
    (
        "def equal_rank(shapes, budget):\n    return budget // sum(out * into for out, into in shapes)",
        "numbers of the frozen matrix",
    ),
    (
        "def equal_rank(shapes, budget):\n    return budget // sum(into for out, into in shapes)",
        "Only one side",
    ),
    (
        "def equal_rank(shapes, budget):\n    return budget / sum(out + into for out, into in shapes)",
        "whole number",
    ),
    (
        "def equal_rank(shapes, budget):\n    import math\n    return math.ceil(budget / sum(out + into for out, into in shapes))",
        "Round down",
    ),
    (
        "def equal_rank(shapes, budget):\n    return budget // sum(shapes[0])",
        "first matrix alone",
    ),
]

# %%
budget = 4 * sum(
    sum(one) for one in matrices["all linear"]
)  # what r = 4 on all linear layers costs
for what, found in matrices.items():
    r = equal_rank(found, budget)
    numbers = r * sum(sum(one) for one in found)
    recipes[what] = {"r": r, "target_modules": choices[what]}
    print(f"{what:<16} r = {r:>2}: {numbers:,} numbers ({numbers / budget:.1%} of the budget)")

# %% [markdown]
# (On the course's encoder the division comes out even; on DistilBERT, too.) The same rates for each, its own best one, then
# the seeds that judge. α / r this time: with AdamW it is the rule under which the rank leaves the first step alone.

# %%
for what in choices:
    for rate in rates:
        trial(what, rate, chooser, **recipes[what])
for what in choices:
    for seed in seeds:
        trial(what, best_rate(what), seed, **recipes[what])

# %%
for what in choices:
    each = ", ".join(f"{100 * one.mean():.1f}" for one in judged(what))
    at_edge = best_rate(what) in (rates[0], rates[-1])
    edge = "   (at the edge of the grid: a better rate may lie outside)" if at_edge else ""
    print(f"{what:<16} at {best_rate(what):g}: {each}{edge}")

# %%
both = judged("all linear"), judged("query and value")
places = metrics.compare(*both)
by_seed = [metrics.compare(*pair) for pair in zip(*both, strict=True)]  # single pairs of models
print(f"all linear minus query and value: {places}")

# %%
title = f"Same number of weights, all linear against query and value: {places.verdict}"
figure = plots.interval_bars(
    [*(f"seed {seed}" for seed in seeds), "all together"],
    [part.points for part in (*by_seed, places)],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="points of accuracy, with 95 % intervals",
)
plots.show(
    figure,
    alt=f"Paired differences between two choices of modules, per seed and together. {title}.",
)

# %% [markdown]
# The LoRA paper asked the same question on GPT-3 (section 7.1): one budget, spent on one kind of matrix with a high rank
# or on several with a low one. Several kinds did better there, and query or key alone did worst. What your intervals say
# is about one small model and one task, and "undecided" is no answer to the question. What carries over is the
# way of asking: "all linear is better" is a claim about *places* only if the number of weights is the same.

# %% [markdown]
# ## Three tasks, one base
#
# So far each training had a base of its own, which was thrown away afterwards. Now one base, and the three
# tasks that its head already has places for.
#
# ### Find the bug
#
# In PEFT, `add_adapter` puts another set of detours beside the first. A colleague has written the loop. It runs, each loss
# goes down, three adapters are saved. He only wonders why two of his customers see no difference to the base.


# %%
def colleagues_version(steps=3):
    recipe = LoraConfig(r=8, lora_alpha=16, target_modules=query_value)
    model = get_peft_model(with_probe(wide_base()), recipe, adapter_name="sentiment")
    model.add_adapter("topics", recipe)
    model.add_adapter("spam", recipe)
    for task, rows in task_learn.items():
        trainable = [part for part in model.parameters() if part.requires_grad]
        take = torch.optim.AdamW(trainable, lr=1e-3)
        some = collator([rows[at] for at in range(8)])
        losses = []
        for _ in range(steps):
            take.zero_grad()
            loss = model(**some).loss
            loss.backward()
            take.step()
            losses.append(f"{loss.item():.3f}")
        print(f"{task:<10} loss {', '.join(losses)}")
    return model


# %%
suspect = colleagues_version()

# %% [markdown]
# Write the test that would have told him: which adapters, switched on, change nothing? It needs no data and no forward
# pass. An adapter is silent if each of its products $BA$ is zero, and you know which of the two starts there.


# %% tags=["exercise"] exercise="technique_lora_intermediate/silent" answer="silent" minutes=9 difficulty=2
# model: a PeftModel. model.peft_config is a dictionary whose keys are the adapters' names. Each
# module that has detours has an attribute lora_B: layer.lora_B[name].weight is the B of that
# adapter in that layer (some layers may lack it). Return the set of names of the adapters that
# change nothing in any layer. The model itself stays as it is.
def silent(model): ...


# <solution>
def silent(model):
    layers = [part for part in model.modules() if hasattr(part, "lora_B")]
    speaking = {
        name
        for layer in layers
        for name, part in layer.lora_B.items()
        if part.weight.abs().max() > 0
    }
    return set(model.peft_config) - speaking


# </solution>


# %% tags=["check"] exercise="technique_lora_intermediate/silent"
def small_model(speech, active):
    """A tiny PeftModel: for each adapter where it sits, a number, and where that stands in B."""
    from transformers import BertConfig

    small = dict(hidden_size=12, num_attention_heads=2, intermediate_size=24, vocab_size=60)
    with torch.random.fork_rng(devices=[]):
        built = AutoModelForSequenceClassification.from_config(
            BertConfig(num_hidden_layers=2, **small)
        )
        for name, (places, *_) in speech.items():
            recipe = LoraConfig(r=2, target_modules=places)
            if isinstance(built, PeftModel):
                built.add_adapter(name, recipe)
            else:
                built = get_peft_model(built, recipe, adapter_name=name)
    with torch.no_grad():
        for name, (_, number, where) in speech.items():
            parts = [part for part in built.modules() if name in getattr(part, "lora_B", {})]
            for part in (
                parts if where == "everywhere" else [parts[0 if where == "first" else -1]]
            ):
                weight = part.lora_B[name].weight
                (weight if where == "everywhere" else weight[0, :1]).fill_(number)
    built.set_adapter(active)
    return built


def check(answer):
    two = ["query", "value"]
    speech = {
        "untouched": (two, 0.0, "everywhere"),
        "minus": (two, -0.1, "everywhere"),
        "late": (two, 0.01, "last"),
        "other places": (["key"], 0.0, "everywhere"),
    }
    built = small_model(speech, "untouched")
    before = {name: part.clone() for name, part in built.state_dict().items()}
    active, learning = built.active_adapter, [part.requires_grad for part in built.parameters()]
    found = answer(built)
    if active != built.active_adapter or learning != [
        part.requires_grad for part in built.parameters()
    ]:
        return "Afterwards another adapter is active (or trains) than before. A test should leave the model as it found it."
    if any(not torch.equal(part, before[name]) for name, part in built.state_dict().items()):
        return "Your test changes weights of the model."
    if not isinstance(found, set | frozenset):
        return f"Your function returned {type(found).__name__}. A set of names is asked for."
    wanted = {"untouched", "other places"}
    if found == wanted:
        return None
    if found == {"minus", "late"}:
        return "Exactly the wrong way round: these two speak, the others are silent."
    if not found:
        return "Your test finds nobody silent, but two adapters here were never trained. Did you look at A? It is random from the start; B tells."
    if "late" in found and "minus" not in found:
        return "You call an adapter silent that speaks in a single place, quietly, in the last layer. Silent means zero in *every* layer."
    if found == wanted | {"minus"}:
        return "An adapter with negative numbers counts as silent with you. Zero is what matters: look at absolute values."
    if found == {"untouched"}:
        return "An adapter that sits on other layers than the first one was missed. Go through all the names in model.peft_config."
    return f"Silent are {sorted(wanted)}; your function says {sorted(map(str, found))}."


def inputs(draw):
    two = ["query", "value"]
    yield {"only": (two, 0.0, "everywhere")}, "only"
    yield {"only": (two, 1e-6, "first")}, "only"
    yield {"one": (two, 0.5, "everywhere"), "two": (["dense"], -1e-6, "last")}, "two"
    yield {"one": (["key"], 0.0, "everywhere"), "two": (["value"], 0.0, "everywhere")}, "two"
    yield (
        {"one": (["key"], -0.2, "last"), "two": (two, 0.0, "last"), "five": (two, 3.0, "last")},
        "five",
    )


def trial(answer, speech, active):
    built = small_model(speech, active)
    learning = [part.requires_grad for part in built.parameters()]
    before = {name: part.clone() for name, part in built.state_dict().items()}
    return {
        "silent": sorted(answer(built)),
        "active": built.active_adapter,
        "learning": learning == [part.requires_grad for part in built.parameters()],
        "kept": all(torch.equal(part, before[n]) for n, part in built.state_dict().items()),
    }


hints = [
    "Collect the names that *speak* anywhere; what is left of `model.peft_config` is silent.",
    "`for part in model.modules(): if hasattr(part, 'lora_B'):`, and in it `for name, matrix in part.lora_B.items():`",
    "A matrix speaks if `matrix.weight.abs().max() > 0`.",
]
misconceptions = [
    (
        "def silent(model):\n    layers = [p for p in model.modules() if hasattr(p, 'lora_A')]\n    return set(model.peft_config) - {n for l in layers for n, p in l.lora_A.items() if p.weight.abs().max() > 0}",
        "Did you look at A",
    ),
    (
        "def silent(model):\n    layers = [p for p in model.modules() if hasattr(p, 'lora_B')]\n    return {n for l in layers for n, p in l.lora_B.items() if p.weight.abs().max() == 0}",
        "zero in *every* layer",
    ),
    (
        "def silent(model):\n    layers = [p for p in model.modules() if hasattr(p, 'lora_B')]\n    return set(model.peft_config) - {n for l in layers for n, p in l.lora_B.items() if p.weight.max() > 0}",
        "negative numbers",
    ),
    (
        "def silent(model):\n    layers = [p for p in model.modules() if hasattr(p, 'lora_B')]\n    return {n for l in layers for n, p in l.lora_B.items() if p.weight.abs().max() > 0}",
        "wrong way round",
    ),
    (
        "def silent(model):\n    layers = [p for p in model.modules() if hasattr(p, 'lora_B')]\n    return [n for n in model.peft_config if not any(n in l.lora_B and l.lora_B[n].weight.any() for l in layers)]",
        "A set of names",
    ),
]

# %%
print("silent:", sorted(silent(suspect)), "  active and training:", suspect.active_adapter)

# %% [markdown]
# There it is. `add_adapter` adds; it does not switch. All three tasks trained the first adapter, one over the other.
# `set_adapter` switches, and it moves `requires_grad` along: the chosen adapter trains, the others rest.

# %%
fast = with_probe(wide_base(**training.load_options()))
recipe = LoraConfig(r=8, lora_alpha=16, target_modules=query_value)
many = get_peft_model(fast, recipe, adapter_name="sentiment")
many.add_adapter("topics", recipe)
many.add_adapter("spam", recipe)

# %%
for task in tasks:
    many.set_adapter(task)
    args = training.arguments(
        f"lora-many-{task}",
        learning_rate=3e-3,
        num_train_epochs=1,
        seed=lab.seed,
        per_device_train_batch_size=16,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=many, args=args, train_dataset=task_learn[task], data_collator=collator
    )
    with contextlib.redirect_stdout(io.StringIO()):
        run = training.train(trainer, f"lora-many-{task}")
    print(f"{task:<10} {len(task_learn[task]):,} texts in {run.seconds:.0f} s")
print("silent:", sorted(silent(many)))

# %% [markdown]
# `save_pretrained` writes one folder for each. On the other side, a server loads the base once, in full precision, and
# then as many adapters as it likes: the first with `PeftModel.from_pretrained`, the others with `load_adapter`.

# %%
folder = lab.workspace / "adapters" / f"lora-intermediate-{run.folder.name.split('-')[-1]}"
training.save_once(folder, many.save_pretrained)
for task in tasks:
    bytes_of = (folder / task / "adapter_model.safetensors").stat().st_size
    print(
        f"{task:<10} {bytes_of:>9,} bytes, "
        f"{4 * base_numbers / bytes_of:.0f} times less than the base in 32 bits"
    )

server = PeftModel.from_pretrained(
    with_probe(wide_base()), folder / "sentiment", adapter_name="sentiment"
)
for task in list(tasks)[1:]:
    server.load_adapter(folder / task, adapter_name=task)
server = server.eval().to(settings.device())

# %%
for task in tasks:
    server.set_adapter(task)
    table[task] = {on: 100 * right(server, on, rows).mean() for on, rows in check_rows.items()}

# %%
rows = [[table[name][on] for on in tasks] for name in table]
own = {task: table[task][task] - table["no adapter"][task] for task in tasks}
foreign = {
    task: np.mean([table[o][task] - table["no adapter"][task] for o in tasks if o != task])
    for task in tasks
}

# %%
title = (
    f"Its own adapter: {np.mean(list(own.values())):+.1f} points on average; "
    f"a foreign one: {np.mean(list(foreign.values())):+.1f}"
)
figure = plots.heatmap(
    np.round(rows, 1),
    [f"{name} on" if name in tasks else name for name in table],
    list(tasks),
    unit="% right",
    title=title,
    xlabel="task",
)
plots.show(figure, alt=f"Accuracy of each task with each adapter switched on. {title}.")

# %% [markdown]
# Read a column from top to bottom: the task without an adapter, with its own, with somebody else's. A foreign adapter
# was never told about this task; what it does to it is a side effect. That is why the switch must follow the
# request, and why a forgotten switch is a silent bug of another kind: no error, only worse answers.
#
# ### Every row its own adapter
#
# A server gets requests for all three tasks at once. Switching for each costs one forward pass per request; sorting them by
# task first, one per task. PEFT has a third way: `model(**batch, adapter_names=[…])`, one name for each row, and the
# frozen matrices, by far the larger part of the work, are multiplied once for all. (Only in evaluation mode;
# `"__base__"` stands for no adapter.)


# %% tags=["exercise"] exercise="technique_lora_intermediate/mixed-batch" answer="answer_all" minutes=10 difficulty=3
# model: the server. requests: a list of (task, text), in any order. Return a list of label
# names, one per request, in the same order, with ONE forward pass. Texts are cut at 64 tokens,
# as everywhere in this lesson. `tokenizer` and `slots` are yours to use (slots[task] is the
# slice of logits of that task), and label_names names each position of the wide head.
def answer_all(model, requests): ...


# <solution>
def answer_all(model, requests):
    wanted, texts = [task for task, _ in requests], [text for _, text in requests]
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs.to(model.device), adapter_names=wanted).logits.cpu()
    best = [
        slots[task].start + row[slots[task]].argmax()
        for task, row in zip(wanted, logits, strict=True)
    ]
    return [label_names[at] for at in best]


# </solution>


# %% tags=["check"] exercise="technique_lora_intermediate/mixed-batch"
def small_server():
    """As the server, but tiny, and with adapters that disagree, however short the training was."""
    from transformers import BertConfig

    small = dict(
        hidden_size=24, num_attention_heads=2, intermediate_size=32, num_hidden_layers=2
    )
    size = dict(vocab_size=len(tokenizer), num_labels=len(label_names), initializer_range=0.4)
    recipe = LoraConfig(r=4, target_modules=["query", "value"], init_lora_weights=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        built = AutoModelForSequenceClassification.from_config(BertConfig(**small, **size))
        first, *others = tasks
        built = get_peft_model(built, recipe, adapter_name=first)
        for task in others:
            built.add_adapter(task, recipe)
        for name, part in built.named_parameters():
            if "lora_" in name:
                part.data = torch.randn(part.shape)
    return built.eval()


def as_written(answer):
    """Passes are counted: where a result comes in another form, nobody may add ours to them."""
    return getattr(answer, "__wrapped__", answer)


loud = small_server()
texts_of = {
    task: tokenizer.batch_decode(
        tasks[task]["validation"]["input_ids"][:12], skip_special_tokens=True
    )
    for task in tasks
}


def check(answer):
    import itertools

    requests = list(
        itertools.chain(*zip(*([(t, x) for x in texts_of[t]] for t in tasks), strict=True))
    )
    requests = [*requests[1:], requests[0]]

    def logits_with(name):
        cut = {"padding": True, "truncation": True, "max_length": 64, "return_tensors": "pt"}
        names = [name or task for task, _ in requests]
        with torch.inference_mode():
            return loud(
                **tokenizer([x for _, x in requests], **cut), adapter_names=names
            ).logits

    def named(logits):
        spots = [slots[task] for task, _ in requests]
        return [
            label_names[(spot.start + row[spot].argmax()).item()]
            for spot, row in zip(spots, logits, strict=True)
        ]

    calls = []
    loud.set_adapter(next(iter(tasks)))
    active = loud.active_adapter
    hook = loud.get_base_model().register_forward_hook(lambda *parts: calls.append(1))
    try:
        found = as_written(answer)(loud, requests)
    finally:
        hook.remove()
    moved = loud.active_adapter != active
    if not calls:
        return "The model that was handed to your function was never called. Use `model`, not the server of the cells above."
    if not isinstance(found, list | tuple) or not all(isinstance(one, str) for one in found):
        return f"A list of label names is asked for, such as {label_names[:2]}; yours holds {type(found[0]).__name__ if isinstance(found, list) and found else type(found).__name__}."
    if len(found) != len(requests):
        return f"{len(requests)} requests went in, {len(found)} answers came out."

    found, own_logits = list(found), logits_with(None)
    answer(loud, requests)
    if found == named(own_logits):
        if len(calls) != 1:
            return f"The answers are right, but the model was called {len(calls)} times. One call can hold all requests: adapter_names takes one name per row."
        return (
            None
            if not moved
            else "The answers are right, but the server's active adapter has changed: adapter_names needs no set_adapter."
        )
    if any(
        one not in label_names[slots[task]]
        for one, (task, _) in zip(found, requests, strict=True)
    ):
        return "Some answers are labels of another task: somebody asked about spam and hears of sports. Take the largest logit within slots[task] only."
    if found == named(logits_with("__base__")):
        return "These are the answers of the base: no adapter had a say. Did the names reach the call?"
    if any(found == named(logits_with(task)) for task in tasks):
        return "All requests were answered by one and the same adapter. Each row needs the name of its own task."
    return "Some answers differ from those that each task's adapter gives alone. Do answers still stand in the order of the requests?"


def inputs(draw):
    mixed = [(task, text) for task in tasks for text in texts_of[task]]
    mixed = [mixed[at] for at in draw.permutation(len(mixed))]
    yield mixed[:9]
    yield mixed[:1]
    yield [(task, mixed[0][1]) for task in (*tasks, *tasks)]  # one text for everybody
    yield [request for request in mixed if request[0] == mixed[0][0]]
    # longer than 64 tokens
    yield [
        (task, " ".join(text for _, text in mixed[at : at + 7]))
        for at, (task, _) in enumerate(mixed[:6])
    ]


def trial(answer, requests):
    widths = []
    loud.set_adapter(next(iter(tasks)))
    hook = loud.get_base_model().register_forward_pre_hook(
        lambda _, args, given: widths.append((args or (given["input_ids"],))[0].shape[1]),
        with_kwargs=True,
    )
    try:
        found = as_written(answer)(loud, requests)
    finally:
        hook.remove()
    long = max(map(len, tokenizer([text for _, text in requests])["input_ids"])) > 64
    return {
        "answers": list(found),
        "passes": len(widths),
        "cut at": widths[0] if long and widths else 64,
        "active": loud.active_adapter,
    }


hints = [
    "Tokenise all texts together, padded; call the model once with adapter_names=[task of each request].",
    "Row i of the logits belongs to request i. Its answer lies within `row[slots[task]]`.",
    "The position in the wide head is `slots[task].start + row[slots[task]].argmax()`.",
]
misconceptions = [
    (
        "def answer_all(model, requests):\n    inputs = tokenizer([t for _, t in requests], padding=True, truncation=True, max_length=64, return_tensors='pt').to(model.device)\n    with torch.inference_mode():\n        logits = model(**inputs, adapter_names=['sentiment'] * len(requests)).logits.cpu()\n    return [label_names[slots[task].start + row[slots[task]].argmax()] for (task, _), row in zip(requests, logits)]",
        "one and the same adapter",
    ),
    (
        "def answer_all(model, requests):\n    inputs = tokenizer([t for _, t in requests], padding=True, truncation=True, max_length=64, return_tensors='pt').to(model.device)\n    with torch.inference_mode():\n        logits = model(**inputs, adapter_names=[t for t, _ in requests]).logits.cpu()\n    return [label_names[(slots[task].start + 1) % len(label_names)] if i else label_names[-1 if slots[task].start == 0 else 0] for i, ((task, _), row) in enumerate(zip(requests, logits))]",
        "labels of another task",
    ),
    (
        "def answer_all(model, requests):\n    out = []\n    for task, text in requests:\n        inputs = tokenizer([text], truncation=True, max_length=64, return_tensors='pt').to(model.device)\n        with torch.inference_mode():\n            row = model(**inputs, adapter_names=[task]).logits.cpu()[0]\n        out.append(label_names[slots[task].start + row[slots[task]].argmax()])\n    return out",
        "times. One call",
    ),
    (
        "def answer_all(model, requests):\n    inputs = tokenizer([t for _, t in requests], padding=True, truncation=True, max_length=64, return_tensors='pt').to(model.device)\n    with torch.inference_mode():\n        logits = model(**inputs, adapter_names=[t for t, _ in requests]).logits.cpu()\n    return [int(row[slots[task]].argmax()) for (task, _), row in zip(requests, logits)]",
        "A list of label names",
    ),
]

# %%
requests = [
    ("spam", "You have won a cruise! Text YES to 80082 now."),
    ("sentiment", "Two hours that I would gladly spend again."),
    ("topics", "Striker out for six weeks after knee operation"),
    ("sentiment", "The plot collapses under its own weight."),
    ("spam", "are you coming home for dinner?"),
    ("topics", "Central bank leaves interest rates unchanged"),
]
for (task, text), answer in zip(requests, answer_all(server, requests), strict=True):
    print(f"{task:<10} {answer:<14} {text}")

# %% [markdown]
# Are these to the last digit the answers of the switched model? And is it quicker? Thirty requests, in three ways, several
# times, the median of each. (A clock on a shared machine is a rough guide; the number of passes is not.)

# %%
texts = {
    task: tokenizer.batch_decode(
        tasks[task]["validation"]["input_ids"][:10], skip_special_tokens=True
    )
    for task in tasks
}
mixed = [(task, texts[task][at]) for at in range(10) for task in tasks]


# %%
def pass_through(chosen, **options):
    cut = {"padding": True, "truncation": True, "max_length": 64}
    inputs = tokenizer([text for _, text in chosen], return_tensors="pt", **cut)
    with torch.inference_mode():
        return server(**inputs.to(server.device), **options).logits.float().cpu()


# %%
def one_by_one():
    for task, text in mixed:
        server.set_adapter(task)
        pass_through([(task, text)])


def by_task():
    for task in tasks:
        server.set_adapter(task)
        pass_through([request for request in mixed if request[0] == task])


# %%
all_at_once = pass_through(mixed, adapter_names=[task for task, _ in mixed])
mixed_difference = 0.0
for task in tasks:
    server.set_adapter(task)
    mine = [at for at, (name, _) in enumerate(mixed) if name == task]
    # The same padding, so that only the way of switching differs.
    alone = pass_through(mixed)[mine]
    mixed_difference = max(mixed_difference, (alone - all_at_once[mine]).abs().max().item())
print(f"largest difference of a logit: {mixed_difference:.7f}")

# %%
ways = {
    "one by one, 30 passes": one_by_one,
    "sorted by task, 3 passes": by_task,
    "mixed, 1 pass": lambda: pass_through(mixed, adapter_names=[task for task, _ in mixed]),
}
for name, way in ways.items():
    times = []
    for _ in range(settings.pick(smoke=2, cpu=6)):
        started = time.perf_counter()
        way()
        times.append(1000 * (time.perf_counter() - started))
    print(f"{name:<26} {np.median(times[1:]):7.0f} ms")

# %% [markdown]
# Nothing is lost by mixing but the rounding of the last digits. Whether time is won depends: one pass replaces thirty, but
# one instead of three need not be quicker, because in a mixed batch every short headline is padded to the length of the
# longest message. And the detours are *not* shared: PEFT goes through the adapters one after the other, each for its
# rows, so with hundreds of adapters in one batch the loop itself becomes the cost. Servers built for that (S-LoRA
# is one) replace it by special kernels. The idea is this one.

# %% [markdown]
# ## Merge, and combine with weights
#
# An adapter that is never swapped need not stay beside its matrix: add $s\,BA$ to the weights and it is gone. In
# real numbers that is exact. In a computer's numbers it is not quite, and how far it is off depends on what the
# weights are stored in.

# %%
server.set_adapter("sentiment")
sample = tasks["sentiment"]["validation"].select(range(settings.pick(smoke=30, cpu=300)))
beside = training.predict(server, sample)
with server.disable_adapter():
    effect = np.abs(beside - training.predict(server, sample))


def in_16_bits(model):
    """The frozen base in bf16, as large models are loaded; adapters stay in fp32."""
    model = copy.deepcopy(model)
    for name, part in model.named_parameters():
        if "lora_" not in name:
            part.data = part.data.to(torch.bfloat16)
    return model


# %%
forms = {
    "fp32, merged": copy.deepcopy(server).merge_and_unload(),
    "bf16 base, adapter beside it": in_16_bits(server),
    "bf16 base, merged": in_16_bits(server).merge_and_unload(),
}

# %% [markdown]
# (`merge_and_unload` merges what is switched on, and takes out *all* detours: the two other adapters are gone from that
# copy.) To see nothing but what storage does, all forms compute in fp32: 16-bit weights are widened again first, which
# changes none of them.

# %%
change = {}
for name, model in forms.items():
    logits = training.predict(model.float(), sample)
    change[name] = np.abs(logits - beside)
    mine = slots["sentiment"]
    flips = (logits[:, mine].argmax(axis=1) != beside[:, mine].argmax(axis=1)).sum()
    print(
        f"{name:<29} logits off by {change[name].max():.7f} at most; "
        f"{flips} of {len(sample)} answers flip"
    )
print(f"for comparison, the adapter itself moves a logit by up to {effect.max():.2f}")
merge_error = change["fp32, merged"].max()
bf16_share = 100 * change["bf16 base, merged"].mean() / effect.mean()
beside_share = 100 * change["bf16 base, adapter beside it"].mean() / effect.mean()
print(
    "bf16, mean change in percent of the adapter's: "
    f"merged {bf16_share:.2f}, beside {beside_share:.2f}"
)

# %% [markdown]
# In fp32 the merge is exact up to the last digits. In bf16 it is not. Compare the last two numbers to see who is to blame:
# the base was rounded before anybody merged, and the second of them is that alone.
#
# Does merging into 16 bits do little harm, then? That depends on how *loud* the adapter is. bf16 keeps 8 significant
# bits of the sum $W + s\,BA$, and a small update beside a large weight falls below the last of them. Ours was trained at a
# high rate. Turn it down, as if it had been trained gently, and ask how much of the update is lost on the way into a
# bf16 base.

# %%
for volume in (1, 0.1, 0.01):
    miss = size = 0.0
    for layer in server.modules():
        if hasattr(layer, "lora_A"):
            stored = layer.base_layer.weight.detach().to(torch.bfloat16).float()
            update = volume * layer.get_delta_weight("sentiment").detach()
            arrived = (stored + update).to(torch.bfloat16).float() - stored
            miss += (arrived - update).square().sum().item()
            size += update.square().sum().item()
    print(f"volume {volume:<4}: {(miss / size) ** 0.5:7.1%} of the update is rounding error")

# %% [markdown]
# So "exact in 16 bits, lossy in 4" is a matter of degree. A quiet adapter stays beside its base, or you measure what
# arrives.
#
# That was rounding once. Some servers round again and again: they switch adapters by merging one in and taking it out,
# merging the next.


# %%
def worn(model, rounds=10):
    """Switch tasks by merging and unmerging, again and again: how far does the base drift?"""
    parts = [layer.base_layer for layer in model.modules() if hasattr(layer, "lora_A")]
    before = [part.weight.data.clone() for part in parts]
    for _ in range(rounds):
        for task in tasks:
            model.set_adapter(task)
            model.merge_adapter()
            model.unmerge_adapter()
    moved = [
        (part.weight.data != was).float().mean().item()
        for part, was in zip(parts, before, strict=True)
    ]
    miss = [
        ((part.weight.data.float() - was.float()).norm() / was.float().norm()).item()
        for part, was in zip(parts, before, strict=True)
    ]
    return 100 * np.mean(moved), 100 * np.mean(miss)


# %%
wear = {"fp32": worn(copy.deepcopy(server)), "bf16": worn(in_16_bits(server))}
for name, (moved_share, size_of_it) in wear.items():
    print(
        f"{name}: after 30 merges and unmerges {moved_share:.1f} % of "
        f"the base's weights differ, by {size_of_it:.5f} % of its size"
    )

# %% [markdown]
# In fp32 weights differ, too, but by their last digits; compare the sizes. Subtracting what
# was added does not lead back once something was rounded in between. So switch by name, as above, or
# keep the clean base and merge from that; never wear the same weights in and out.
#
# ### Two adapters in one
#
# Could *one* adapter do films and headlines? `add_weighted_adapter` builds a new one from several, with weights.
# What we would like to have is $w_1 s_1 B_1A_1 + w_2 s_2 B_2A_2$. It offers several ways there:
#
# - `cat`: put the matrices side by side. Twice the rank.
# - `svd`: compute the sum and take the best matrix of rank r (or of `svd_rank`).
# - `linear`: add the $A$s to one new $A$ and the $B$s to one new $B$, each with the root of its weight. Same rank.
#
# Which of them is exact? Measure it.

# %%
mixtures = {
    "cat": {"combination_type": "cat"},
    "svd": {"combination_type": "svd"},
    "svd, rank 16": {"combination_type": "svd", "svd_rank": 16},
    "linear": {"combination_type": "linear"},
}
half = {"sentiment": 0.5, "topics": 0.5}
for name, how in mixtures.items():
    server.add_weighted_adapter(list(half), list(half.values()), name, **how)
    print(f"{name:<13} rank {server.peft_config[name].r}")


# %% tags=["exercise"] exercise="technique_lora_intermediate/relative-error" answer="relative_error" minutes=9 difficulty=3
# model: a PeftModel. mixed: name of a mixture. parts: dictionary, name of an adapter → its
# weight. Layers with detours have lora_A, and layer.get_delta_weight(name) is the matrix s·BA
# that this adapter adds.
# Return ||mixture − wanted|| / ||wanted||, with wanted = the weighted sum of the parts, and the
# norm over all entries of all layers together (square everything, add up, root).
def relative_error(model, mixed, parts): ...


# <solution>
def relative_error(model, mixed, parts):
    miss = size = 0.0
    for layer in model.modules():
        if hasattr(layer, "lora_A"):
            wanted = sum(
                weight * layer.get_delta_weight(name) for name, weight in parts.items()
            )
            miss += (layer.get_delta_weight(mixed) - wanted).square().sum().item()
            size += wanted.square().sum().item()
    return (miss / size) ** 0.5


# </solution>


# %% tags=["check"] exercise="technique_lora_intermediate/relative-error"
def small_mixtures(weights, **how):
    """A tiny PeftModel with adapters of those names, and their mixture: "rough"; "exact" adds up."""
    from transformers import BertConfig

    small = dict(hidden_size=12, num_attention_heads=2, intermediate_size=24, vocab_size=60)
    recipe = LoraConfig(
        r=2, lora_alpha=6, target_modules=["query", "value"], init_lora_weights=False
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = AutoModelForSequenceClassification.from_config(
            BertConfig(num_hidden_layers=2, **small)
        )
        built = get_peft_model(built, recipe, adapter_name=next(iter(weights)))
        for name in list(weights)[1:]:
            built.add_adapter(name, recipe)
    with torch.no_grad():
        for at, layer in enumerate(part for part in built.modules() if hasattr(part, "lora_A")):
            for name in weights:
                layer.lora_B[name].weight.mul_(10 * (at + 1))  # layers of different size
    for name, way in (("rough", how), ("exact", {"combination_type": "cat"})):
        built.add_weighted_adapter(list(weights), list(weights.values()), name, **way)
    return built


def check(answer):
    parts = {"one": 0.3, "two": -1.2}
    built = small_mixtures(parts, combination_type="svd", svd_rank=2)
    value, exact = answer(built, "rough", dict(parts)), answer(built, "exact", dict(parts))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"Your function returned {type(value).__name__}. One number is asked for."
    layers = [part for part in built.modules() if hasattr(part, "lora_A")]

    def delta(layer, name):
        return layer.get_delta_weight(name)

    def ratio(weights, name="rough", each=False, below=None):
        wanted = [sum(w * delta(layer, n) for n, w in weights.items()) for layer in layers]
        miss = [
            (delta(layer, name) - w).square().sum().item()
            for layer, w in zip(layers, wanted, strict=True)
        ]
        size = [w.square().sum().item() for w in wanted]
        if each:
            return np.mean([(m / s) ** 0.5 for m, s in zip(miss, size, strict=True)])
        return (sum(miss) / (below or sum(size))) ** 0.5

    wanted = ratio(parts)

    def near(other):
        return abs(value - other) < 1e-4 * max(1, other)

    if near(wanted):
        return (
            None
            if exact < 1e-4
            else f"A mixture that is exact gets {exact:.4f} from you; rounding alone would be below 0.0001."
        )
    if near(ratio({"one": 1, "two": 1})):
        return "Your sum leaves the weights out: each part counts as often as its weight says."
    if near(ratio(parts, each=True)):
        return "You take a ratio in each layer and average them: a layer that adds next to nothing would count as much as the one that does the work. Add up the squares first."
    if near(wanted**2):
        return "Squares over squares: the root is missing."
    if near(
        wanted
        * sum(
            sum(w * delta(layer, n) for n, w in parts.items()).square().sum().item()
            for layer in layers
        )
        ** 0.5
    ):
        return "That is the miss alone. Without dividing by the size of what was wanted nobody knows whether it is much."
    if near(100 * wanted):
        return "In per cent, that is right. Return it as a share of 1."
    return f"For a trial mixture the relative error is {wanted:.4f}; yours is {value:.4f}. We do not recognise the mistake. Square all differences, add them up over all layers, divide by the same sum of what was wanted, and take the root last."


def inputs(draw):
    weights = {"one": float(draw.normal()), "two": 1.5, "three": -0.4}
    half_each = {"one": 0.5, "two": 0.5}
    yield half_each, {"combination_type": "linear"}, "rough", half_each
    yield half_each, {"combination_type": "svd", "svd_rank": 1}, "rough", {"one": 1.0}
    yield weights, {"combination_type": "svd", "svd_rank": 3}, "rough", weights
    yield weights, {"combination_type": "linear"}, "exact", weights
    yield {"one": 1.0}, {"combination_type": "svd", "svd_rank": 1}, "rough", {"one": 0.25}


def trial(answer, weights, how, mixed, parts):
    return answer(small_mixtures(weights, **how), mixed, parts)


def agrees(expected, found):
    return np.isclose(found, expected, rtol=1e-3, atol=1e-5)


hints = [
    "Go through `model.modules()`; those with `lora_A` have `get_delta_weight`.",
    "Two running sums over the layers: squares of (mixture − wanted), and squares of wanted.",
    "`wanted = sum(weight * layer.get_delta_weight(name) for name, weight in parts.items())`; at the end, `(miss / size) ** 0.5`.",
]
misconceptions = [
    (
        "def relative_error(model, mixed, parts):\n    miss = size = 0.0\n    for layer in model.modules():\n        if hasattr(layer, 'lora_A'):\n            wanted = sum(layer.get_delta_weight(name) for name in parts)\n            miss += (layer.get_delta_weight(mixed) - wanted).square().sum().item()\n            size += wanted.square().sum().item()\n    return (miss / size) ** 0.5",
        "leaves the weights out",
    ),
    (
        "def relative_error(model, mixed, parts):\n    out = []\n    for layer in model.modules():\n        if hasattr(layer, 'lora_A'):\n            wanted = sum(w * layer.get_delta_weight(name) for name, w in parts.items())\n            out.append(((layer.get_delta_weight(mixed) - wanted).norm() / wanted.norm()).item())\n    return sum(out) / len(out)",
        "average them",
    ),
    (
        "def relative_error(model, mixed, parts):\n    miss = size = 0.0\n    for layer in model.modules():\n        if hasattr(layer, 'lora_A'):\n            wanted = sum(w * layer.get_delta_weight(name) for name, w in parts.items())\n            miss += (layer.get_delta_weight(mixed) - wanted).square().sum().item()\n            size += wanted.square().sum().item()\n    return miss / size",
        "root is missing",
    ),
    (
        "def relative_error(model, mixed, parts):\n    miss = 0.0\n    for layer in model.modules():\n        if hasattr(layer, 'lora_A'):\n            wanted = sum(w * layer.get_delta_weight(name) for name, w in parts.items())\n            miss += (layer.get_delta_weight(mixed) - wanted).square().sum().item()\n    return miss ** 0.5",
        "miss alone",
    ),
]

# %%
errors = {name: relative_error(server, name, half) for name in mixtures}
for name, error in errors.items():
    print(
        f"{name:<13} rank {server.peft_config[name].r:>2}: off by {error:.2%} of the wanted sum"
    )

# %% [markdown]
# Side by side is the sum itself: $[B_1\ B_2]$ times $A_1$ over $A_2$ *is* $B_1A_1 + B_2A_2$. The best matrix of rank 16 is, too,
# because a sum of two matrices of rank 8 has no higher rank. At rank 8 something must go, and `svd` keeps the strongest
# directions. `linear` is another thing altogether: $(A_1 + A_2)$ and $(B_1 + B_2)$ multiply out to four products, and two
# of them, $B_1A_2$ and $B_2A_1$, are one task's reaction to the other task's cue.
#
# Now the question of the beginning. An exact sum is exact in the *weights*. What can it still do?

# %%
judged_pair = {}
for name in ["sentiment", "topics", *mixtures]:
    server.set_adapter(name)
    judged_pair[name] = {task: right(server, task, check_rows[task]) for task in half}
scores = {
    name: {task: 100 * hits.mean() for task, hits in both.items()}
    for name, both in judged_pair.items()
}
scores = {"no adapter": {task: table["no adapter"][task] for task in half}} | scores
pd.DataFrame(scores).transpose().round(1)

# %%
gained = sum(scores[task][task] - scores["no adapter"][task] for task in half)
own_gain = max(1, gained)  # points; below one there is nothing to share
kept_share = {
    name: 100 * sum(scores[name][task] - scores["no adapter"][task] for task in half) / own_gain
    for name in mixtures
}
for name, share in kept_share.items():
    print(f"{name:<13} keeps {share:6.1f} % of what the two adapters had gained")

# %%
for task in half:
    exact, rough, own_one = (judged_pair[name][task] for name in ("cat", "linear", task))
    change = metrics.compare(exact, own_one)
    print(f"{task}: the exact half-and-half against the specialist: {change}")
    change = metrics.compare(exact, rough)
    print(f"{task}: the same against the inexact `linear`: {change}")
mix_guess.compare(kept_share["cat"])

# %% [markdown]
# Look at `cat` and `linear` once more. In the weights they are worlds apart; whether in the answers, too, the verdicts
# say (on these two adapters, each trained once). Exact is a statement about arithmetic, not about accuracy: the exact sum of two half-volume adapters is
# exactly that, two people talking at half their voice, each into the other's business.
#
# Half and half is one point on a line. Weights need not add up to one, either: at full volume both, nothing is
# turned down, and each adapter gets the other one's side effect undiluted. Move it.

# %%
quick = {
    task: rows.select(range(settings.pick(smoke=15, cpu=150)))
    for task, rows in check_rows.items()
}


def mixed_scores(first, second):
    """Accuracy on both tasks with first × sentiment + second × topics, exactly added."""
    server.add_weighted_adapter(list(half), [first, second], "trial", combination_type="cat")
    server.set_adapter("trial")
    found = {task: 100 * right(server, task, quick[task]).mean() for task in half}
    server.set_adapter("sentiment")
    server.delete_adapter("trial")
    return found


# %%
known = {}


def mix(volume=1.0, steps=5):
    shares = np.linspace(0, 1, steps)
    for share in shares:
        if (volume, share) not in known:
            known[volume, share] = mixed_scores(volume * (1 - share), volume * share)
    series = {task: [known[volume, share][task] for share in shares] for task in half}
    worst = max(min(pair) for pair in zip(*series.values(), strict=True))
    title = f"Volume {volume:g}: the best mixture has both at {worst:.0f} % or more"
    figure = plots.lines(
        shares, series, title=title, xlabel="share of the topics adapter", ylabel="right (%)"
    )
    plots.show(figure, alt=f"Accuracy on both tasks along a line of mixtures. {title}.")


widgets.explore(mix, volume=[0.5, 1.0, 2.0], steps=[3, 5])

# %% [markdown]
# What a mixture keeps cannot be read from its weights, and a rule for it does not exist: two adapters get along if they
# use different directions of what flows through the model, and nobody made sure of that in training. Measure each
# mixture on each task. And if you have the choice: `adapter_names` costs you nothing in accuracy.

# %% [markdown]
# ## What you saw

# %%
results = {
    "power_sgd_plain": powers["SGD, α / r"],
    "power_sgd_root": powers["SGD, α / √r"],
    "power_adamw_plain": powers["AdamW, α / r"],
    "power_adamw_root": powers["AdamW, α / √r"],
    "top_rate_plain_minus_root": top["r64 plain"] - top["r64 root"],
    "r4_accuracy": means["r4 root"],
    "r64_accuracy": means["r64 root"],
    "rank_span_points": rank_span,
    "rate_span_points": rate_span,
    "rule_points": by_rule.points[0],
    "all_linear_minus_query_value": places.points[0],
}

# %%
results |= {f"no_adapter_{task}": table["no adapter"][task] for task in tasks}
results |= {f"own_adapter_{task}": table[task][task] for task in tasks}
results |= {
    "foreign_points": float(np.mean(list(foreign.values()))),
    "mixed_difference": mixed_difference,
    "merge_error": merge_error,
    "bf16_merge_percent": bf16_share,
    "wear_bf16_percent": wear["bf16"][1],
    "error_cat": errors["cat"],
    "error_svd": errors["svd"],
    "error_linear": errors["linear"],
    "kept_percent_cat": kept_share["cat"],
    "kept_percent_linear": kept_share["linear"],
}

# %%
with tracking.start_run("techniques", "many adapters, one base"):
    mlflow.log_params(
        {"sentences": size, "seeds": str(seeds), "rates": str(rates), "task_size": task_size}
    )
    for name, value in results.items():
        tracking.record(name, value)

# %% [markdown]
# Which of the three pieces of advice at the top would you still pass on, and with which condition? Two sentences.

# %%
# For your journal (change the text and run the cell).
my_verdict = "…"
if my_verdict != "…":
    progress.write_journal("technique_lora_intermediate", my_verdict)

# %% tags=["quiz"]
quiz = [
    {
        "question": "A recipe works well with r = 8, α = 16, use_rslora=True, AdamW at 2e-3. You raise the rank to 128 and keep the rest. Where would you look for the new learning rate first?",
        "choices": [
            (
                "At 2e-3: rsLoRA makes the rate independent of the rank.",
                "For plain gradient steps. AdamW takes the gradient's size out, and under the root the step then grows with the root of the rank.",
                False,
            ),
            (
                "Around 5e-4, a quarter.",
                "Right. The first step grows with the root of the rank: the root of 16 is 4.",
                True,
            ),
            (
                "Around 1.25e-4, a sixteenth.",
                "That would be right with a constant factor, as under α = 2r: then the step grows with the rank itself.",
                False,
            ),
            (
                "Around 8e-3: a wide detour needs more push.",
                "More directions already pull together. It needs less.",
                False,
            ),
        ],
        "proof": """
import torch
def step(r, factor):
    torch.manual_seed(0)
    x, A = torch.rand(400), torch.rand(r, 400) / 20
    B = torch.zeros(300, r, requires_grad=True)
    take = torch.optim.AdamW([B], lr=1e-3)
    (factor * B @ A @ x).sum().backward()
    take.step()
    return (factor * B @ A @ x).norm().item()
assert 3.8 < step(128, 16 / 128**0.5) / step(8, 16 / 8**0.5) < 4.2
assert 15 < step(128, 2) / step(8, 2) < 17
""",
    },
    {
        "question": "'Rank 8 on all linear layers beats rank 8 on query and value.' BERT-base: width 768, feed-forward 3,072. What is wrong with the comparison?",
        "choices": [
            (
                "Nothing: the same rank on both sides.",
                "The same rank, but not the same number of weights. A detour beside a larger matrix, or beside more matrices, costs more.",
                False,
            ),
            (
                "The first side trains 4.5 times as many numbers.",
                "Right. For a statement about places, give query and value the rank 36.",
                True,
            ),
            (
                "The first side trains 3 times as many numbers.",
                "There are 6 matrices against 2, but the two of the feed-forward part are larger.",
                False,
            ),
            (
                "Query and value have a higher learning rate.",
                "Nothing is said about rates. That is worth asking, too, but the sizes differ for certain.",
                False,
            ),
        ],
        "proof": """
rank = lambda *shapes: sum(a + b for a, b in shapes)
square, up, down = (768, 768), (3072, 768), (768, 3072)
everything, two = rank(*[square] * 4, up, down), rank(square, square)
assert everything / two == 4.5 and 8 * everything == 36 * two
""",
    },
    {
        "question": "After `model.add_adapter('legal', config)` you train for an hour. The adapter 'legal' answers exactly like the base. What happened?",
        "choices": [
            (
                "The learning rate was too low.",
                "Then B would be small, but not zero, and the answers would differ a little.",
                False,
            ),
            (
                "Another adapter was active and was trained in its place.",
                "Right. add_adapter adds; set_adapter switches, and decides what trains.",
                True,
            ),
            (
                "PEFT allows only one adapter per model.",
                "As many as fit into memory.",
                False,
            ),
            (
                "The base was frozen.",
                "It always is. The detours should learn.",
                False,
            ),
        ],
        "proof": """
import torch
from peft import LoraConfig, get_peft_model
model = get_peft_model(torch.nn.Sequential(torch.nn.Linear(6, 6)), LoraConfig(r=2, target_modules=["0"]), adapter_name="old")
model.add_adapter("legal", LoraConfig(r=2, target_modules=["0"]))
layer = model.base_model.model[0]
assert layer.lora_B["old"].weight.requires_grad and not layer.lora_B["legal"].weight.requires_grad
model.set_adapter("legal")
assert layer.lora_B["legal"].weight.requires_grad and not layer.lora_B["old"].weight.requires_grad
""",
    },
    {
        "question": "Two adapters were started from the same random A and have hardly moved it. You combine them with 'linear' and weights 0.5 and 0.5. What comes out?",
        "choices": [
            (
                "Their mean, nearly exactly.",
                "Multiply it out: the roots of 0.5 come twice, in A and in B, and the A's add up instead of averaging.",
                False,
            ),
            (
                "Nearly their sum, twice as loud as asked for.",
                "Right. (√½ + √½) A is √2 A, times √½ (B₁ + B₂): the two roots cancel.",
                True,
            ),
            (
                "Noise, because of the cross products.",
                "With different random A's they are noise. With the same A they are B₁A and B₂A, the very things one wants, once too often.",
                False,
            ),
            (
                "An adapter of twice the rank.",
                "That is 'cat'. 'linear' keeps the rank.",
                False,
            ),
        ],
        "proof": """
import torch
torch.manual_seed(0)
A, B1, B2 = torch.randn(4, 30), torch.randn(20, 4), torch.randn(20, 4)
root = 0.5**0.5
linear = (root * B1 + root * B2) @ (root * A + root * A)
assert torch.allclose(linear, (B1 + B2) @ A, atol=1e-4)
other = torch.randn(4, 30)
mixed, wanted = (root * B1 + root * B2) @ (root * A + root * other), 0.5 * (B1 @ A + B2 @ other)
assert (mixed - wanted).norm() / wanted.norm() > 0.5
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Rounded once.** Merge the quiet adapters into the fp32 base, and round that. How much of their *answers* arrives? (A
#   weight that lies *on* a step of bf16 falls back when it is nudged; one that lies between two may tip over.)
# - **Feed-forward only.** A third entry in `choices`: the matrices with no "attention" in their name. The whole rank
#   does not come out even; how much of the budget is left over?
# - **Three in one.** `add_weighted_adapter` takes as many as you like. What do a third of each keep?
# - **Minus.** Weights may be negative. Half of topics minus half of sentiment: does the film task get worse than without
#   an adapter?
# - **Ties and dare.** `combination_type="ties"` (with `density=0.5`) drops small numbers and resolves conflicts of
#   sign before it adds. Does it keep more?
# - **A longer run for r = 64.** Twice the sentences, both rules. Does the ranking of the rates stay?
#
# **The guide.** [LoRA](../../curriculum/guides/lora.md) has swapping and merging in short, and when the method fits.
#
# **Read.** Kalajdzievski's section 3, asking of each step which optimiser it holds for. Chen, Villar and Hayou (2026)
# work out when the best rate depends on the rank and when it does not; your four powers are the shortest version of
# it. Sheng and others (S-LoRA, 2023) serve thousands of adapters from one base.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/lora_intermediate.py`](../examples/lora_intermediate.py) adapts every linear layer and merges at
# the end, in one plain file, without our helpers. Here it meets text messages, *spam* or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=20, cpu=600)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/lora_intermediate.py --data my_texts.csv --output my_model
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "lora_intermediate.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_model")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# What it saves is a plain model: nobody who loads it needs PEFT. Have a file of your own? Give it two columns, `text`
# and `label`, put its path into `mine`, and run the last cell again.
