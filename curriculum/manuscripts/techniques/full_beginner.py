# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("technique_full_beginner")

# %%
import contextlib
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import nn
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers import DataCollatorWithPadding, Trainer, set_seed

from labhelpers import data, exercise, memory, metrics, models, plots, progress, quiz, tracking
from labhelpers import training, widgets

# %% [markdown]
# ## Why this matters
#
# On Day 4 you filled in a learning rate and a batch size, because a notebook told you which. Sooner or later you train
# something that nobody has tuned for you. Then you look around and find two pieces of advice, each in a hundred
# places: *for full fine-tuning, take a learning rate between 1e-5 and 5e-5*, and *take a batch size of 4, or of 16,
# whatever fits*.
#
# What does a factor of five do? What does a factor of four do? Nobody says. You will find out by turning one knob at a
# time. And at the end the two knobs will turn out to be connected behind the panel.
#
# Four settings: two rates, two batch sizes. Every run reads the same sentences once. Commit to a number before you look:
# how far apart will the best and the worst setting be?

# %%
spread_guess = widgets.predict(
    "full-beginner-spread",
    "Accuracy of the best of the four settings minus that of the worst",
    0,
    40,
    "points",
)

# %% [markdown]
# ## What moves when every weight moves
#
# The Trainer hides a loop, and the heart of the loop is five lines. Every framework has them, every training script
# repeats them, and you should have written them once:
#
# 1. forget the gradients of the step before;
# 2. run the batch **forward** through the model, which gives the loss;
# 3. run **backward**: for each weight, which way would the loss rise, and how steeply?
# 4. let the **optimiser** move every weight a little the other way;
# 5. say what the loss was.


# %% tags=["exercise"] exercise="technique_full_beginner/step" answer="training_step" minutes=8 difficulty=1
# model(**batch).loss is the loss of a batch, a tensor. optimizer: a torch optimiser for the
# model's weights. Do one training step, in the order above, and return the loss (before the
# step) as a plain Python number. The gradients stay where they are: a cell below counts them.
def training_step(model, optimizer, batch): ...


# <solution>
def training_step(model, optimizer, batch):
    optimizer.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    optimizer.step()
    return loss.item()


# </solution>


# %% tags=["check"] exercise="technique_full_beginner/step"
class Line(nn.Module):
    def __init__(self, width=1, start=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), float(start)))
        self.rest = nn.Dropout(0.5)  # tells whether somebody has switched training off
        self.times = 0

    def forward(self, x, y):
        from transformers.modeling_outputs import SequenceClassifierOutput

        self.times += 1
        resting = self.rest(torch.ones(40)).min() == 1
        loss = ((x * self.weight).sum(-1) - y).square().mean() + float(resting)
        return SequenceClassifierOutput(loss=loss)


def as_written(answer):
    """A step is taken once: where a result comes in another form, nobody may take ours as well."""
    return getattr(answer, "__wrapped__", answer)


def keeps_graph(result):
    return isinstance(result, torch.Tensor) and result.requires_grad


def check(answer):
    model, batch = Line(), {"x": torch.ones(1, 1), "y": torch.ones(1)}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses, stops = [], []
    for _ in range(2):
        losses.append(as_written(answer)(model, optimizer, batch))
        stops.append(model.weight.item())
    weight, times = stops[1], model.times
    spare = Line()
    answer(spare, torch.optim.SGD(spare.parameters(), lr=0.1), batch)
    if losses[0] is None:
        return "Your function returns nothing. The loss is what a training curve is drawn from."
    if keeps_graph(losses[0]):
        return "You return a tensor, and the whole computation hangs on to it: kept in a list, such losses fill the memory. `.item()` makes a number of it."
    if weight == 0:
        return "After two steps the weight has not moved at all. Who moves it, and what does he need before he can?"
    if stops[0] == 0 and np.isclose(weight, 0.2):
        return "The weight moved once in two steps: in the first one the optimiser was asked before there was any gradient."
    if np.isclose(weight, 0.56):
        return "The second step went too far. backward() *adds* to the gradients that are there, so those of the first step were counted twice."
    if not np.isclose(weight, 0.36):
        return f"Two steps from 0 should lead to 0.2 and 0.36; yours lead to {stops[0]:.2f} and {weight:.2f}. Forward, backward and step, once each, and nothing besides."
    if times > 2:
        return f"In two steps the model was asked {times} times. One forward pass per step is enough, and it is half of what a step costs."
    if not model.training:
        return "After your step the model is in evaluation mode, and dropout is off. That is for judging; leave it as it was."
    if not np.isclose(losses[0], 1.0):
        return f"The loss before the first step is 1, and you return {losses[0]:.2f}."
    if model.weight.grad is None or not model.weight.grad.any():
        return "Your step ends with cleared gradients. Clear them at the *start*: then it also works after somebody else has left some, and the bill of memory below finds what it counts."
    return None


def inputs(draw):
    for width, rows, steps, kind in (
        (1, 1, 3, "SGD"),
        (4, 6, 3, "AdamW"),
        (2, 5, 1, "momentum"),
    ):
        x, y = draw.normal(size=(rows, width)), draw.normal(size=rows)
        x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
        yield x, y, steps, kind, float(draw.normal())


def trial(answer, x, y, steps, kind, left_over):
    model = Line(x.shape[-1], 0.3)
    made = {
        "SGD": lambda weights: torch.optim.SGD(weights, lr=0.1),
        "AdamW": lambda weights: torch.optim.AdamW(weights, lr=0.1),
        "momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9),
    }
    optimizer = made[kind](model.parameters())
    model.weight.grad = torch.full_like(model.weight, left_over)
    step = as_written(answer)
    batch = {"x": x, "y": y}
    losses = [step(model, optimizer, batch) for _ in range(steps)]
    gradient = model.weight.grad
    return {
        "losses": [None if loss is None else float(loss) for loss in losses],
        "weights": model.weight.detach().tolist(),
        "gradients": None if gradient is None else gradient.tolist(),
        "forward passes": model.times,
        "keeps its graph": keeps_graph(losses[0]),
        "leaves the batch": list(batch) == ["x", "y"],
    }


def agrees(expected, found):
    def close(one, other):
        return (
            other is not None
            and None not in np.ravel(other)
            and np.allclose(one, other, 1e-4, 1e-5)
        )

    return all(close(expected[what], found[what]) for what in expected)


hints = [
    "Four of the five lines are a method call each: zero_grad, backward, step, item.",
    "Gradients are cleared first, made by `loss.backward()`, used by `optimizer.step()`.",
    "`optimizer.zero_grad()`, `loss = model(**batch).loss`, `loss.backward()`, `optimizer.step()`, `return loss.item()`",
]
misconceptions = [
    (
        "def training_step(model, optimizer, batch):\n    loss = model(**batch).loss\n    loss.backward()\n    optimizer.step()\n    return loss.item()",
        "counted twice",
    ),
    (
        "def training_step(model, optimizer, batch):\n    optimizer.zero_grad()\n    loss = model(**batch).loss\n    loss.backward()\n    return loss.item()",
        "not moved at all",
    ),
    (
        "def training_step(model, optimizer, batch):\n    optimizer.zero_grad()\n    loss = model(**batch).loss\n    loss.backward()\n    optimizer.step()\n    return loss",
        "hangs on to it",
    ),
    (
        "def training_step(model, optimizer, batch):\n    loss = model(**batch).loss\n    optimizer.step()\n    optimizer.zero_grad()\n    loss.backward()\n    return loss.item()",
        "before there was any gradient",
    ),
]

# %% [markdown]
# Now the real thing: the encoder with a fresh head, all of its weights free to move, and a few batches of film
# reviews.

# %%
reviews = data.prepared("sentiment")
reviews.pop("test")  # it was opened once, on Day 4
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
tokens = data.tokenize(reviews, tokenizer, max_length=64)
collator, device = DataCollatorWithPadding(tokenizer), settings.device()

sentences = settings.pick(smoke=32, cpu=800)
train = tokens["train"].select(range(sentences))
judges = tokens["validation"].select(range(settings.pick(smoke=60, cpu=500)))
print(f"{len(train):,} sentences to learn from, {len(judges)} others to judge by")


# %%
def build(seed=lab.seed):
    """The encoder, every weight free, with a fresh head that depends on the seed."""
    set_seed(seed)
    options = training.load_options() | {"dtype": torch.float32}
    return AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **options
    )


model = build().to(device).train()
models.describe(model)
start = {name: weight.detach().clone() for name, weight in model.named_parameters()}

# %%
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, weight_decay=0.0, fused=True)
loader = DataLoader(train, batch_size=16, collate_fn=collator)
losses = [
    training_step(model, optimizer, batch.to(device))
    for batch, _ in zip(loader, range(20), strict=False)
]
print(
    f"{len(losses)} steps, loss {losses[0]:.3f} at the first, "
    f"{np.mean(losses[-5:]):.3f} on average over the last five"
)

# %% [markdown]
# That was full fine-tuning, by hand. And how far did the weights travel in those steps? You kept a copy of where they
# started.

# %%
distance = torch.cat(
    [(weight - start[name]).abs().flatten() for name, weight in model.named_parameters()]
).detach()
touched = distance[distance > 0]  # words that did not occur have not moved
shares = [touched.mean().item(), touched.max().item()]
print(f"rate × steps          {5e-5 * len(losses):.1e}")
print(f"a typical weight moved {shares[0]:.1e}, the one that went furthest {shares[1]:.1e}")

# %% [markdown]
# Look at the first number beside the other two. AdamW divides each gradient by its own usual size, so the gradient
# decides the *direction* of a step and hardly its length. The length is the learning rate. Whoever walks always the
# same way gets as far as **rate × steps**; most weights are pulled back and forth and get less far.
#
# So there is a budget for travelling, and you can compute it before you train anything.


# %% tags=["exercise"] exercise="technique_full_beginner/budget" answer="travel_budget" minutes=6 difficulty=2
# rate: learning rate. sentences: how many there are to learn from; the last batch may be
# smaller than the others.
# Return rate × number of steps.
def travel_budget(rate, sentences, batch_size, epochs=1): ...


# <solution>
def travel_budget(rate, sentences, batch_size, epochs=1):
    steps = -(-sentences // batch_size) * epochs
    return rate * steps


# </solution>


# %% tags=["check"] exercise="technique_full_beginner/budget"
def check(answer):
    def steps(*numbers):
        return answer(1.0, *numbers)

    found = steps(1200, 16)
    if found is None:
        return "Your function returns nothing."
    if np.isclose(found, 1200):
        return "You count sentences. A step is taken once per *batch*."
    if np.isclose(found, 1200 * 16):
        return "You multiply by the batch size. Larger batches mean fewer steps."
    if not np.isclose(found, 75):
        return f"1,200 sentences in batches of 16 are 75 steps; with a rate of 1 you return {found:g}."
    if not np.isclose(steps(1200, 16, 3), 225):
        return f"Three epochs are three times as many steps, 225; you return {steps(1200, 16, 3):g}."
    if np.isclose(steps(1201, 16), 75) or np.isclose(steps(1201, 16), 1201 / 16):
        return "The 1,201st sentence makes one more, small batch, and that is a whole step: 76."
    if np.isclose(steps(1201, 16, 2), 151):
        return "The small last batch comes in every epoch: round up first, then multiply by the epochs."
    found = answer(5e-5, 1201, 16, 2)
    return (
        None
        if np.isclose(found, 5e-5 * 152)
        else f"152 steps with a rate of 5e-5 make {5e-5 * 152:.2e}; you return {found:.2e}. With a rate of 1 it was right."
    )


def inputs(draw):
    yield 5e-5, 800, 16
    yield 1e-5, 801, 4
    yield 2e-3, 3, 16  # fewer than one batch
    yield 0.1, 16, 16, 5
    yield 1e-4, 17, 1, 2
    yield 3e-5, 0, 8
    yield 0.5, 49, 8, 0
    for _ in range(5):
        yield (
            float(draw.random()),
            int(draw.integers(1, 900)),
            int(draw.integers(1, 40)),
            int(draw.integers(1, 5)),
        )


hints = [
    "How many batches does it take to get through all sentences once?",
    "A last batch that is not full is still a step: round up.",
    "`math.ceil(sentences / batch_size) * epochs * rate`",
]
misconceptions = [
    (
        "def travel_budget(rate, sentences, batch_size, epochs=1):\n    return rate * sentences * epochs",
        "count sentences",
    ),
    (
        "def travel_budget(rate, sentences, batch_size, epochs=1):\n    return rate * (sentences // batch_size) * epochs",
        "one more, small batch",
    ),
    (
        "def travel_budget(rate, sentences, batch_size, epochs=1):\n    import math\n    return rate * math.ceil(sentences * epochs / batch_size)",
        "in every epoch",
    ),
    (
        "def travel_budget(rate, sentences, batch_size, epochs=1):\n    import math\n    return rate * math.ceil(sentences / batch_size)",
        "Three epochs",
    ),
]

# %%
print("budget of the four runs:")
for rate in (1e-5, 5e-5):
    for batch_size in (16, 4):
        print(
            f"   rate {rate:g}, batches of {batch_size:>2}: "
            f"{travel_budget(rate, sentences, batch_size):.1e}"
        )

# %% [markdown]
# Remember these four numbers. How much of what follows do they explain?
#
# ## Learning rates 1e-5 and 5e-5
#
# From here on the Trainer runs the loop, because it also keeps what it has trained: a second visit to this notebook
# finds it. We take away two of its habits, warm-up and the falling rate, so that the rate really is what it says.


# %%
def train_with(rate, batch_size, seed=lab.seed):
    name = f"full-beginner-rate{rate:g}-batch{batch_size}-seed{seed}"
    same = {"num_train_epochs": 1, "lr_scheduler_type": "constant", "warmup_steps": 0}
    quiet = {"logging_steps": 1, "save_strategy": "no", "disable_tqdm": True}
    choice = {"learning_rate": rate, "per_device_train_batch_size": batch_size, "seed": seed}
    args = training.arguments(name, **choice, **same, **quiet)
    trainer = Trainer(model=build(seed), args=args, train_dataset=train, data_collator=collator)
    with contextlib.redirect_stdout(io.StringIO()):  # one line per run is enough
        run = training.train(trainer, name)
    kept = run.folder / f"judged-{len(judges)}.npy"
    if not kept.exists():
        np.save(kept, training.predict(trainer.model, judges))
    return run, np.load(kept)


# %%
runs, logits = {}, {}
truth = np.array(judges["labels"])


def turn(rate, batch_size, seed=lab.seed):
    """One run, into the two dictionaries; prints its line."""
    key = (rate, batch_size, seed)
    runs[key], logits[key] = train_with(rate, batch_size, seed)
    right = (logits[key].argmax(axis=1) == truth).mean()
    print(
        f"rate {rate:g}, batches of {batch_size:>2}, seed {seed}: "
        f"{right:.1%} right, {runs[key].seconds:.0f} s"
    )


for rate in (1e-5, 5e-5):
    turn(rate, 16)


# %%
def smooth(values, width=8):
    """A running mean: single batches jump too much to be read."""
    width = min(width, len(values))
    return np.convolve(values, np.ones(width) / width, mode="valid")


def curve(key):
    """Sentences read, and the smoothed training loss."""
    values = smooth([row["loss"] for row in runs[key].history if "loss" in row])
    return np.linspace(sentences / len(values), sentences, len(values)), values


# %%
figure, axes = plt.subplots()
beside = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
for rate, colour in ((1e-5, "#E69F00"), (5e-5, "#0072B2")):
    read, values = curve((rate, 16, lab.seed))
    axes.plot(read, values, color=colour)
    axes.annotate(f"{rate:g}", (read[-1], values[-1]), color=colour, **beside)
axes.axhline(np.log(2), color="#777777", ls=":", lw=1.2)
axes.annotate(
    "tossing a coin", (read[0], np.log(2)), (0, 4), textcoords="offset points", color="#777777"
)
axes.set(xlabel="sentences read", ylabel="training loss (running mean)")
axes.margins(x=0.12, y=0.15)
ends = {rate: curve((rate, 16, lab.seed))[1][-1] for rate in (1e-5, 5e-5)}
title = f"After one pass, 1e-5 is at {ends[1e-5]:.2f} and 5e-5 at {ends[5e-5]:.2f}"
axes.set_title(title)
plots.show(
    figure,
    alt=f"Training loss of two rates by sentences read, a coin's as a dotted line. {title}.",
)

# %% [markdown]
# Look at how far below the dotted line each run ends. A run whose loss is still close to a coin's *on the very sentences
# it learns from* does nothing wrong. It goes the same way, and it has not got there. That is **underfitting**, and no
# amount of validation data can cure it. It needs a larger rate, or more steps.
#
# The opposite is **overfitting**: the training loss goes down and down, while on new sentences it turns and climbs. To
# tell them apart you need both losses, and the loss of somebody who knows nothing. Write the rule down.

# %%
coin_loss = float(np.log(2))  # two classes, probability one half each


# %% tags=["exercise"] exercise="technique_full_beginner/diagnose" answer="diagnose" minutes=7 difficulty=2
# training, best, last: three losses. training: at the end, on the sentences learnt from. best,
# last: on new sentences, the best it ever was and what it is now. coin: the loss of somebody
# who knows nothing.
# Return "underfitting" if the training loss is above 0.9 × coin (then nothing else counts),
# "overfitting" if the last loss on new sentences is more than 1.1 × the best, else "fits".
def diagnose(training, best, last, coin=coin_loss): ...


# <solution>
def diagnose(training, best, last, coin=coin_loss):
    if training > 0.9 * coin:
        return "underfitting"
    return "overfitting" if last > 1.1 * best else "fits"


# </solution>


# %% tags=["check"] exercise="technique_full_beginner/diagnose"
def check(answer):
    words = {"underfitting", "overfitting", "fits"}
    found = answer(0.68, 0.69, 0.69)
    if not isinstance(found, str) or found not in words:
        return f"Your function returned {found!r}. It should return one of {sorted(words)}."
    if found != "underfitting":
        return f"Training loss 0.68, a coin has 0.69: nothing has been learnt yet, and you say {found!r}."
    if answer(0.05, 0.50, 0.90) != "overfitting":
        return "Training loss 0.05, and on new sentences it went from 0.50 back up to 0.90. That is the picture of overfitting."
    if answer(0.30, 0.50, 0.50) == "overfitting":
        return "New sentences always do a little worse than those learnt from. It is overfitting when their loss has *turned and climbed*, so compare last with best, not with training."
    if answer(0.30, 0.50, 0.53) != "fits":
        return "From 0.50 to 0.53 is less than a tenth: a wobble, not a climb."
    if answer(0.30, 2.00, 2.15) != "fits":
        return "From 2.00 to 2.15 is less than a tenth *of it*: the limit is 1.1 × best, not best + 0.1."
    if answer(0.70, 0.50, 0.90) != "underfitting":
        return "With a training loss like a coin's nothing was learnt by heart, so it cannot be overfitting. Ask that first."
    if answer(1.0, 0.9, 0.9, coin=np.log(5)) != "fits":
        return "With five classes a coin's loss is larger (ln 5). Use `coin`, not a number of two classes."
    if answer(0.9, 0.5, 0.5, coin=1.0) != "fits":
        return "Training loss 0.9, coin 1: that is exactly 0.9 × coin, and the rule says *above* it."
    if answer(0.3, 2.5, 2.75) != "fits":
        return "From 2.5 to 2.75 is exactly 1.1 × the best, and the rule says *more than* that."
    return None


def inputs(draw):
    for coin in (coin_loss, 1.0, 2.0, float(np.log(20))):
        yield 0.9 * coin, 0.4, 0.4, coin  # on the border
        yield 0.9 * coin + 1e-6, 0.4, 0.9, coin
        yield 0.9 * coin - 1e-6, 0.4, 0.9, coin
        yield 0.1, 2.5, 2.75, coin  # on the other border
        yield 0.1, 5.0, 5.501, coin
        yield 0.1, 5.0, 5.499, coin
    for _ in range(30):
        best = float(draw.uniform(0.05, 2))
        yield float(draw.uniform(0, 1)), best, best * float(draw.uniform(1, 1.3))


hints = [
    "Two questions, one after the other. The first: is the training loss itself still bad?",
    "`training > 0.9 * coin` comes first; only then compare last with best.",
    'if training > 0.9 * coin: return "underfitting"; then "overfitting" if last > 1.1 * best, else "fits"',
]
misconceptions = [
    (
        'def diagnose(training, best, last, coin=np.log(2)):\n    if training > 0.9 * coin:\n        return "underfitting"\n    return "overfitting" if last > 1.1 * training else "fits"',
        "compare last with best",
    ),
    (
        'def diagnose(training, best, last, coin=np.log(2)):\n    if last > 1.1 * best:\n        return "overfitting"\n    return "underfitting" if training > 0.9 * coin else "fits"',
        "Ask that first",
    ),
    (
        'def diagnose(training, best, last, coin=np.log(2)):\n    if training > 0.9 * np.log(2):\n        return "underfitting"\n    return "overfitting" if last > 1.1 * best else "fits"',
        "five classes",
    ),
    (
        'def diagnose(training, best, last, coin=np.log(2)):\n    if training > 0.9 * coin:\n        return "underfitting"\n    return "overfitting" if last > best else "fits"',
        "a wobble",
    ),
]


# %%
def judged_loss(key):
    return nn.functional.cross_entropy(torch.tensor(logits[key]), torch.tensor(truth)).item()


for rate in (1e-5, 5e-5):
    key = (rate, 16, lab.seed)
    verdict = diagnose(curve(key)[1][-1], judged_loss(key), judged_loss(key))
    print(
        f"rate {rate:g}: training loss {curve(key)[1][-1]:.2f}, "
        f"on new sentences {judged_loss(key):.2f}: {verdict}"
    )

# %% [markdown]
# (After a single pass there is only one loss on new sentences, so *best* and *last* are the same. A run that overfits
# you will build on Day 10, where it takes many passes over few sentences.)
#
# ## Batches of 4 and of 16
#
# Now the other knob. Same sentences, once through, same two rates; four at a time instead of sixteen. A batch's
# gradient is a mean over its sentences, so with four it is noisier. That sounds like a worse training. Is it?

# %%
for rate in (1e-5, 5e-5):
    turn(rate, 4)

# %%
more = settings.pick(smoke=1, cpu=2)
seeds = [lab.seed + number for number in range(1 + more)]
for seed in seeds[1:]:  # all four with other seeds: one run is an anecdote
    for rate in (1e-5, 5e-5):
        for batch_size in (16, 4):
            turn(rate, batch_size, seed)

# %%
table = pd.DataFrame(
    {
        "rate": rate,
        "batch": batch_size,
        "seed": seed,
        "steps": -(-sentences // batch_size),
        "seconds": runs[rate, batch_size, seed].seconds,
        "right": 100 * (logits[rate, batch_size, seed].argmax(axis=1) == truth).mean(),
        "loss": judged_loss((rate, batch_size, seed)),
        "budget": travel_budget(rate, sentences, batch_size),
    }
    for rate in (1e-5, 5e-5)
    for batch_size in (16, 4)
    for seed in seeds
)

# %%
means = (
    table.groupby(["rate", "batch"], as_index=False)
    .mean(numeric_only=True)
    .sort_values("budget")
)
spread = means.right.max() - means.right.min()
means.drop(columns="seed").round({"seconds": 0, "right": 1, "loss": 3})

# %% [markdown]
# The table is sorted by its last column, the travel budget. Read `right` and `loss` from top to bottom, then look at the
# picture. Its horizontal axis is not the rate, and not the batch size. It is what both of them make together. The dotted
# line is the bar to jump: a classifier that only counts words (Day 3), fitted on the same sentences.

# %%
learn, judge = reviews["train"][:sentences], reviews["validation"][: len(judges)]
words = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(
    learn["text"], learn["label"]
)
bar = 100 * words.score(judge["text"], judge["label"])

# %%
figure, axes = plt.subplots()
for batch_size, mark, colour in ((16, "o", "#0072B2"), (4, "^", "#D55E00")):
    part = table[table.batch == batch_size]
    axes.scatter(
        part.budget, part.right, marker=mark, color=colour, label=f"batches of {batch_size}"
    )
axes.axhline(bar, color="#777777", ls=":", lw=1.2)
above_bar = {"textcoords": "offset points", "ha": "right"}
axes.annotate("counting words", (means.budget.max(), bar), (0, 4), **above_bar)
axes.set(xscale="log", xlabel="rate × steps (log scale)", ylabel="new sentences right (%)")
axes.legend(loc="upper left")
axes.margins(y=0.15)
above = int((means.right > bar).sum())
title = f"{spread:.0f} points between the settings; {above} of 4 above counting words"
axes.set_title(title)
plots.show(
    figure,
    alt=f"Accuracy against rate times steps for four settings and several seeds. {title}.",
)
spread_guess.compare(spread)

# %% [markdown]
# Four times smaller batches are four times as many steps, and so four times the way. Suppose they come out ahead at the
# smaller rate. "Small batches generalise better", people say when they see that. It may be something simpler: the small
# batches have *walked further*.
#
# That can be tested. Give the large batches the same way: four times the rate. If small batches are better in
# themselves, they stay ahead. If it was the way, they do not.

# %%
for seed in seeds:
    turn(4e-5, 16, seed)


# %%
def hits(rate, batch_size):
    """Right or wrong: one row per seed, one column per sentence."""
    return [logits[rate, batch_size, seed].argmax(axis=1) == truth for seed in seeds]


pairs = {
    "larger rate, batches of 16": ((5e-5, 16), (1e-5, 16)),
    "smaller batches, rate 5e-5": ((5e-5, 4), (5e-5, 16)),
    "smaller batches, rate 1e-5": ((1e-5, 4), (1e-5, 16)),
    "smaller batches, same budget": ((1e-5, 4), (4e-5, 16)),
}
found = {
    name: metrics.compare(hits(*one), hits(*other)) for name, (one, other) in pairs.items()
}
for name, difference in found.items():
    print(f"{name:<29} {difference}")

# %%
verdicts = [difference.verdict for difference in list(found.values())[2:]]
title = "Smaller batches, at one rate: {}; at one budget: {}".format(*verdicts)
figure = plots.interval_bars(
    list(found),
    [difference.points for difference in found.values()],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="difference (points), over seeds and sentences",
)
plots.show(figure, alt=f"Four differences in accuracy with 95 percent intervals. {title}.")

# %% [markdown]
# The intervals hold what other seeds *and* other sentences might have said. "Undecided" means that these runs cannot
# tell, not that there is no difference.
#
# Read the last two rows together. Better at one rate, and not better at one budget: then the way did it. And if small
# batches are *worse* at one budget, that has a reason, too: the budget is a ceiling, and the noisier the gradients, the
# more steps cancel. Past some point a larger budget throws the model about; Day 6 shows where. So the first question,
# when two runs differ in rate, batch or epochs, is this: **had they the same way to go?**
#
# %% [markdown]
# ### What the knobs cost
#
# Time first: the column `seconds` above. Nothing more is read in batches of four, and yet they cost more: each step has
# fixed costs, and the optimiser moves all weights once per step, however few sentences it saw.
#
# Then memory. Four kinds of things have to be there: the **weights**, a **gradient** for each, AdamW's **two running
# means** for each, and the **activations**, which the forward pass leaves for the way back. Which of them do the knobs
# change?

# %% tags=["exercise"] exercise="technique_full_beginner/grows" answer="grows" minutes=4 difficulty=1
# A dictionary: for each knob the set of kinds that get larger when it is turned up. The four
# kinds are called "weights", "gradients", "optimizer" and "activations". A knob may change
# none: set(). So: {"learning rate": {…}, "batch size": {…}}
grows = ...
# <solution>
grows = {"learning rate": set(), "batch size": {"activations"}}
# </solution>


# %% tags=["check"] exercise="technique_full_beginner/grows"
def check(answer):
    if not isinstance(answer, dict) or set(answer) != {"learning rate", "batch size"}:
        return 'A dictionary with the two keys "learning rate" and "batch size" is wanted.'
    rate, batch = (
        {kinds} if isinstance(kinds, str) else set(kinds or ())
        for kinds in (answer["learning rate"], answer["batch size"])
    )
    if unknown := (rate | batch) - {"weights", "gradients", "optimizer", "activations"}:
        return f"{sorted(unknown)[0]!r} is none of the four kinds."
    if rate:
        return "The learning rate is one number that the update is multiplied by. A larger number takes no more room."
    if "gradients" in batch:
        return "There is one gradient per *weight*: the mean over the batch, however many sentences went into it."
    if batch & {"weights", "optimizer"}:
        return "Weights, and AdamW's means of them, belong to the model. They do not know how many sentences come along."
    if not batch:
        return "Every sentence of the batch leaves something behind on its way forward."
    return None


def agrees(expected, found):
    return (
        isinstance(found, dict)
        and all(
            {found[knob]} == kinds
            if isinstance(found.get(knob), str)
            else set(found.get(knob, "?")) == kinds
            for knob, kinds in expected.items()
        )
        and set(found) == set(expected)
    )


hints = [
    "Which of the four exist once per weight, and which once per sentence?",
    "The learning rate is a factor in the update. Nothing is stored for it.",
    "Only what is kept per sentence grows with the batch.",
]
misconceptions = [
    (
        'grows = {"learning rate": set(), "batch size": {"activations", "gradients"}}',
        "one gradient per *weight*",
    ),
    (
        'grows = {"learning rate": {"optimizer"}, "batch size": {"activations"}}',
        "takes no more room",
    ),
    ('grows = {"learning rate": set(), "batch size": set()}', "leaves something behind"),
    (
        'grows = {"learning rate": set(), "batch size": {"activations", "optimizer"}}',
        "belong to the model",
    ),
]


# %%
def account(batch_size):
    """One real step on the longest sentences, then every tensor is counted, in bytes."""
    model = build().to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
    longest = sorted(train, key=lambda row: -len(row["input_ids"]))[:batch_size]
    batch = collator(
        [
            {k: v for k, v in row.items() if k in [*tokenizer.model_input_names, "labels"]}
            for row in longest
        ]
    )
    batch = batch.to(device)
    training_step(model, optimizer, batch)
    return memory.account(model, optimizer, batch)


bills = {batch_size: account(batch_size) for batch_size in (4, 16)}

# %%
kinds = {
    "weights": "#0072B2",
    "gradients": "#D55E00",
    "optimizer": "#E69F00",
    "activations": "#777777",
}
activation_ratio = bills[16].activations / bills[4].activations
title = (
    f"Four times the batch: {activation_ratio:.1f} times the activations, "
    f"{bills[16].total / bills[4].total:.2f} times the sum"
)

# %%
figure, axes = plt.subplots(figsize=(7.2, 2.4))
left = np.zeros(2)
for kind, colour in kinds.items():
    sizes = np.array([getattr(bill, kind) / 1e6 for bill in bills.values()])
    axes.barh(
        [f"batches of {size}" for size in bills], sizes, left=left, color=colour, label=kind
    )
    left += sizes
axes.set(xlabel="MB for one step, in 32 bits")
axes.margins(x=0.02)
axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), ncols=4)
axes.set_title(title)
plots.show(figure, alt=f"Memory of one step by kind, for batches of 4 and of 16. {title}.")

# %% [markdown]
# Three of the four kinds do not notice. The fourth grows with every token: on these short texts it need not be the
# largest, on long texts it is, and then a smaller batch is the first thing to try.
#
# ## The same script on a GPT-2
#
# The classic first script of this kind trains **GPT-2** on the film reviews of IMDB: longer texts, a larger model. Our
# loop would not change by a word. The bill would. Here is its account, from its shape alone; nothing is loaded. Move the
# two knobs that you know now, and the length of the texts.


# %%
def gpt2(batch_size=16, tokens=512):
    empty = models.build_empty("gpt2")
    count = models.count_parameters(empty).total
    ids = torch.zeros(batch_size, tokens, dtype=torch.long, device="meta")
    batch = {"input_ids": ids}
    kept = memory.account(empty.transformer, batch=batch).activations  # the head keeps little
    bill = memory.predict(count, count, activations=kept)
    title = (
        f"GPT-2, {batch_size} × {tokens} tokens: {memory.human(bill.total)}, "
        f"{kept / bill.total:.0%} of it activations"
    )
    sizes = [getattr(bill, kind) / 1e9 for kind in kinds]
    figure = plots.bars(list(kinds), sizes, title=title, xlabel="GB, in 32 bits")
    plots.show(figure, alt=f"Memory of one training step by kind. {title}.")


widgets.explore(gpt2, batch_size=[1, 4, 16, 64], tokens=[64, 128, 256, 512, 1024])

# %% [markdown]
# Start where the script usually starts, 16 texts of 512 tokens, then go down to 4. On a card with 8 GB, which of the
# two runs? Then ask the question that this lesson is about: if memory makes you take 4 instead of 16, *what else have
# you changed*?
#
# With a GPU and the Hub, the model of this notebook is DistilBERT (set `LAB_PROFILE=gpu`), and all cells run as they
# are. For GPT-2 itself, load `openai-community/gpt2` in `build`, and tell it which token to fill up with:
# it has none of its own (`tokenizer.pad_token = tokenizer.eos_token`, and the same number in
# `model.config.pad_token_id`).
#
# ## What you saw

# %%
best = means.right.max() / 100
slowest = means.iloc[0]
time_ratio = table[table.batch == 4].seconds.mean() / table[table.batch == 16].seconds.mean()
tracking.record("spread_points", spread)
tracking.record("best_accuracy", best)
tracking.record("slowest_accuracy", slowest.right / 100)
tracking.record("small_batch_seconds", time_ratio)
tracking.record("activation_ratio", activation_ratio)
tracking.record("sum_ratio", bills[16].total / bills[4].total)

# %% [markdown]
# A page of notes, as people keep who do this for a living: for each knob, what it did to time, memory and accuracy, and
# under which conditions. Write between the quotes.

# %%
my_notes = {
    "Learning rate, 1e-5 against 5e-5": "",
    "Batch size, 4 against 16": "",
    "What I would try first on a new task": "",
}

# %%
written = [f"**{title}.** {text.strip()}" for title, text in my_notes.items() if text.strip()]
if written:
    progress.write_journal("technique_full_beginner", "\n\n".join(written))
else:
    print("Nothing written yet. The cell can be run again at any time.")

# %% tags=["quiz"]
quiz = [
    {
        "question": "AdamW, constant rate 2e-5. You halve the batch size and keep everything else. How far can a weight travel now in one epoch?",
        "choices": [
            (
                "As far as before: the rate is the same.",
                "The length of a step is the same, but there are twice as many steps.",
                False,
            ),
            ("About twice as far.", "Right: twice as many steps of the same length.", True),
            (
                "Half as far: each gradient comes from fewer sentences.",
                "AdamW divides the gradient by its usual size, so fewer sentences do not make the step shorter.",
                False,
            ),
            (
                "About 1.4 times as far.",
                "That would be the rule if one scaled the *rate* by the root of the batch size. Nobody has touched it here.",
                False,
            ),
        ],
        "proof": """
import torch
def travelled(steps):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([weight], lr=2e-5, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad(); weight.grad = torch.ones(1); optimizer.step()
    return abs(weight.item())
assert abs(travelled(200) / travelled(100) - 2) < 0.01
assert abs(travelled(100) - 100 * 2e-5) < 1e-5
""",
    },
    {
        "question": "Training loss 0.67 after one pass, two classes. On new sentences 0.68. What now?",
        "choices": [
            (
                "Overfitting: more dropout, or fewer epochs.",
                "To overfit it would first have to fit. Its training loss is that of a coin.",
                False,
            ),
            (
                "It underfits: a larger rate, or more steps.",
                "Right. ln 2 is 0.69, so it has learnt next to nothing so far.",
                True,
            ),
            (
                "More validation sentences, to be sure.",
                "Both numbers agree already. The trouble is in the training.",
                False,
            ),
            (
                "Fine: the two losses are close.",
                "Close to each other, and both close to knowing nothing.",
                False,
            ),
        ],
        "proof": "import math\nassert 0.67 > 0.9 * math.log(2)",
    },
    {
        "question": "A script for full fine-tuning runs out of memory in the forward pass. Which of these helps most?",
        "choices": [
            ("A smaller learning rate.", "It is one number. No tensor becomes smaller.", False),
            (
                "Fewer epochs.",
                "They come one after the other; the memory of one step does not know how many follow.",
                False,
            ),
            (
                "A smaller batch, and then a look at the number of steps.",
                "Right: activations shrink with the batch. But the training has become another one, and rate or epochs may have to follow.",
                True,
            ),
            ("Another seed.", "It changes the numbers in the tensors, not the tensors.", False),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Equal budgets again.** Run 2e-5 with batches of 4, and 8e-5 with batches of 16. The same verdict?
# - **Too far.** Continue the picture to the right, with 2e-4 and 1e-3 in batches of 4. Where does it turn?
# - **The usual schedule.** `lr_scheduler_type="linear"` lets the rate fall to zero: half the budget. What is it worth?
#
# **Read.** Smith and others (2018), "Don't Decay the Learning Rate, Increase the Batch Size", who use the connection
# between the knobs on purpose; and Kingma and Ba (2015), section 2.1, on how far a step of Adam can go. The
# [hyperparameter guide](../../curriculum/guides/hyperparameters.md) has the rest of the panel.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/full_beginner.py`](../examples/full_beginner.py) trains every weight in one plain file, without our
# helpers. Here it meets text messages, *spam* or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=20, cpu=600)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/full_beginner.py --data my_texts.csv --output my_model
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "full_beginner.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_model")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# `evaluate.py` beside it says how sure its score is, and what counting words would have given. Have a file of your own?
# Give it two columns, `text` and `label`, put its path into `mine`, and run the last cell again.
