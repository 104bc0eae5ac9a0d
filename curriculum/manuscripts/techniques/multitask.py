# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import copy
import math
import random
import time

import mlflow
import numpy as np
import pandas as pd
import torch
from torch import nn

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, widgets

lab = settings.start("technique_multitask")

# %% [markdown]
# ## A slide with an arrow
#
# A web shop would like to know what its customers feel. Forty-eight of their sentences are labelled, and that is all.
# Two larger tasks lie in the drawer: sentences about films, with the same two labels, and news headlines with their topics.
#
# A colleague trains *one* model on all three and brings a slide. On it, the small task goes up by some points, and an
# arrow says: *many tasks help one another*. It sounds right. One encoder reads everything, a small **head** per task
# answers. What is learnt for films might serve the shop.
#
# It might also hurt. Three masters pull at the same weights, and where they pull in different directions, somebody
# loses. That has a name, too: **negative transfer**.
#
# Today you rebuild the slide, and then you take it apart. Commit yourself first. Both models may train on shop sentences
# for the same number of steps. One of them has company.

# %%
company_guess = widgets.predict(
    "multitask-company",
    "At equally many steps on the small task: what does the company of two others add?",
    -15,
    25,
    "points",
)

# %% [markdown]
# ## Three tasks, one trunk
#
# Three groups of sentences per task, as always: some to learn from, some to choose a learning rate on, some to judge.
# All come from the training splits; the test splits stay closed.

# %%
SOURCES = {
    "movies": ("sentiment", "text"),
    "headlines": ("topics", "headline"),
    "shop": ("amazon", "text"),
}
SIZES = settings.pick(
    smoke={"movies": 48, "headlines": 32, "shop": 16},
    cpu={"movies": 768, "headlines": 384, "shop": 48},
)
choosers, judges = settings.pick(smoke=(8, 24), cpu=(200, 400))
CLASSES, texts, labels = {}, {}, {}
for task, (name, column) in SOURCES.items():
    rows = data.prepared(name)["train"].select(range(SIZES[task] + choosers + judges))
    CLASSES[task] = rows.features["label"].num_classes
    texts[task] = rows[column if column in rows.column_names else "text"][:]
    labels[task] = np.array(rows["label"][:])

# %%
for task, found in labels.items():
    counts = np.bincount(found[: SIZES[task]], minlength=CLASSES[task]).tolist()
    print(f"{task}: {SIZES[task]} sentences to learn from, per class {counts}. For example:")
    for text in texts[task][:2]:
        print(f"   {text[:84]}")

# %% [markdown]
# A bar first, the one of Day 3: word counts, learnt from the same sentences.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

counted = {}
for task, size in SIZES.items():
    counter = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    counter.fit(texts[task][:size], labels[task][:size])
    counted[task] = counter.predict(texts[task][-judges:]) == labels[task][-judges:]
    commonest = np.bincount(labels[task][-judges:]).max() / judges
    print(
        f"{task:<10} word counts {counted[task].mean():.1%}, "
        f"always the commonest class {commonest:.1%}"
    )

# %% [markdown]
# Now the trunk. Only the two upper layers of the encoder will train. So the layers below give the same vectors for
# a sentence in every run of today, and there will be many runs. We let them work once, keep what comes out, and go
# on from there: half the building, entered on an upper floor.

# %%
from transformers import AutoConfig, AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
whole = AutoModel.from_pretrained(models.source("encoder")).to(settings.device()).eval()
kept = whole.config.num_hidden_layers - 2


class AsTheyAre(nn.Module):
    """Stands where the embeddings stood: what comes in is a list of vectors already."""

    def forward(self, ids=None, inputs_embeds=None, *others, **more):
        return inputs_embeds


upper = copy.deepcopy(whole)
upper.embeddings, upper.pooler = AsTheyAre(), None
stack = next(part for part in upper.modules() if isinstance(part, nn.ModuleList))
del stack[:kept]

# %%
for part in upper.modules():  # dropout would only add noise to the comparison
    if isinstance(part, nn.Dropout):
        part.p = 0.0


# %%
@torch.no_grad()
def halfway(sentences, size=64):
    """For each sentence what the frozen layers make of it: (tokens, width)."""
    vectors = [None] * len(sentences)
    order = np.argsort([len(sentence) for sentence in sentences])
    for at in np.split(order, range(size, len(order), size)):
        batch = tokenizer(
            [sentences[i] for i in at],
            padding=True,
            truncation=True,
            max_length=48,
            return_tensors="pt",
        ).to(settings.device())
        hidden = whole(**batch, output_hidden_states=True).hidden_states[kept]
        for i, found, real in zip(at, hidden, batch["attention_mask"], strict=True):
            vectors[i] = found[real.bool()].clone()
    return vectors


# %%
def collate(task, rows):
    """The rows of a task as one padded batch."""
    pad = nn.utils.rnn.pad_sequence
    found = [vectors[task][i] for i in rows]
    return {
        "vectors": pad(found, batch_first=True),
        "mask": pad([torch.ones_like(v[:, 0]).long() for v in found], batch_first=True),
        "labels": torch.tensor(labels[task][rows], device=found[0].device),
    }


started = time.perf_counter()
vectors = {task: halfway(sentences) for task, sentences in texts.items()}
print(f"{sum(map(len, vectors.values())):,} sentences, {time.perf_counter() - started:.1f} s")

# %%
batch = collate("shop", np.arange(4))
with torch.no_grad():
    entered = upper(inputs_embeds=batch["vectors"], attention_mask=batch["mask"])
    words = tokenizer(
        texts["shop"][:4], padding=True, truncation=True, max_length=48, return_tensors="pt"
    )
    walked = whole(**words.to(settings.device()))
off = (entered.last_hidden_state - walked.last_hidden_state) * batch["mask"].unsqueeze(-1)
print(f"upper floor against the whole stairs: off by at most {off.abs().max().item():.0e}")

# %% [markdown]
# Rounding, no more. On the trunk go the heads. Each is one linear layer, and each reads the same thing: the mean of a
# sentence's vectors.


# %%
def sentence_vectors(encoder, batch):
    """One vector a sentence: the mean over its real tokens."""
    hidden = encoder(
        inputs_embeds=batch["vectors"], attention_mask=batch["mask"]
    ).last_hidden_state
    mask = batch["mask"].unsqueeze(-1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


# %% tags=["exercise"] exercise="technique_multitask/heads" answer="ManyHeads" minutes=8 difficulty=2
# encoder: such as `upper`; its width is encoder.config.hidden_size.
# classes: {task: number of classes}, such as {"movies": 2, "headlines": 5}.
# self.encoder is that encoder. self.heads holds one nn.Linear per task, under the task's name.
# forward returns the logits (n, classes of that task), from sentence_vectors.
class ManyHeads(nn.Module):
    def __init__(self, encoder, classes): ...

    def forward(self, batch, task): ...


# <solution>
class ManyHeads(nn.Module):
    def __init__(self, encoder, classes):
        super().__init__()
        width = encoder.config.hidden_size
        self.encoder = encoder
        self.heads = nn.ModuleDict({task: nn.Linear(width, n) for task, n in classes.items()})

    def forward(self, batch, task):
        return self.heads[task](sentence_vectors(self.encoder, batch))


# </solution>


# %% tags=["check"] exercise="technique_multitask/heads"
def tiny_encoder():
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    encoder = AutoModel.from_config(
        AutoConfig.for_model("bert", hidden_size=6, vocab_size=9, **sizes)
    )
    encoder.embeddings, encoder.pooler = AsTheyAre(), None
    return encoder.eval()


def check(answer):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder, classes = tiny_encoder(), {"b": 2, "a": 5, "c": 2}
        model = answer(encoder, classes)
        batch = {
            "vectors": torch.randn(3, 4, 6),
            "mask": torch.tensor([[1] * 4, [1, 1, 0, 0], [1, 0, 0, 0]]),
        }
    inside = {name: tuple(part.shape) for name, part in model.named_parameters()}
    heads = {name: size for name, size in inside.items() if name.startswith("heads.")}
    trunk = sum(part.numel() for part in encoder.parameters())
    if not heads:
        return "model.parameters() does not list your heads, so no optimiser will ever train them. A plain dict or list hides layers from PyTorch: nn.ModuleDict shows them."
    held = sum(
        part.numel() for name, part in model.named_parameters() if not name.startswith("heads.")
    )
    if held > trunk:
        return f"Your model holds {held / trunk:.0f} times the numbers of one encoder. All tasks share one: keep the encoder that was given, without copies."
    if len(heads) < 2 * len(classes):
        return f"Three tasks, and only {len(heads) // 2} head(s) of their own in self.heads. Two tasks with two classes each need two heads: *positive* and *spam* are not the same question."
    if {name: inside.get(f"heads.{name}.weight") for name in classes} != {
        name: (n, 6) for name, n in classes.items()
    }:
        return f"The heads have the shapes {[size for size in heads.values() if len(size) == 2]}. For classes {list(classes.values())} and width 6, the weights should be (2, 6), (5, 6), (2, 6)."
    with torch.no_grad():
        for task, n in classes.items():
            found = model.eval()(batch, task)
            if not isinstance(found, torch.Tensor) or found.shape != (3, n):
                return f"For task {task!r}, logits of shape (3, {n}) were expected. Does forward ask the head of *that* task, and no other?"
            right = sentence_vectors(encoder, batch)
            if torch.allclose(found, model.heads[task](right), atol=1e-5):
                continue
            hidden = encoder(
                inputs_embeds=batch["vectors"], attention_mask=batch["mask"]
            ).last_hidden_state
            if torch.allclose(found, model.heads[task](hidden[:, 0]), atol=1e-5):
                return "Your heads read the first token. Today each head reads the mean: sentence_vectors(self.encoder, batch)."
            if torch.allclose(found, model.heads[task](hidden.mean(dim=1)), atol=1e-5):
                return "Your mean counts the padding. sentence_vectors leaves it out."
            return f"For task {task!r} the logits are not those of its head on sentence_vectors(self.encoder, batch)."
    return None


def inputs(draw):
    yield {"one": 2}, "one"
    yield {"x": 3, "y": 3}, "y"
    for task in ("p", "q", "r"):
        yield {name: int(draw.integers(2, 9)) for name in "pqr"}, task


def trial(answer, classes, task):
    """What the model holds, what it says, and which of its parts one task's loss reaches."""
    draw = torch.Generator().manual_seed(3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = answer(tiny_encoder(), dict(classes)).eval()
    parts = dict(sorted(model.named_parameters()))
    for part in parts.values():
        part.data = torch.randn(part.shape, generator=draw)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    logits = model({"vectors": torch.randn(2, 3, 6, generator=draw), "mask": mask}, task)
    logits.square().sum().backward()
    reached = sorted(name for name, part in parts.items() if part.grad is not None)
    return {
        "parts": {n: tuple(p.shape) for n, p in parts.items()},
        "reached": reached,
        "logits": logits.detach(),
    }


def agrees(expected, found):
    same = all(expected[part] == found[part] for part in ("parts", "reached"))
    return same and torch.allclose(expected["logits"], found["logits"], 1e-3, 1e-4)


hints = [
    "nn.ModuleDict takes a dictionary of layers and shows them to the optimiser.",
    "`nn.ModuleDict({task: nn.Linear(width, n) for task, n in classes.items()})`",
    "forward is one line: `self.heads[task](sentence_vectors(self.encoder, batch))`",
]
misconceptions = [
    (
        "class ManyHeads(nn.Module):\n    def __init__(self, encoder, classes):\n        super().__init__()\n        self.encoder = encoder\n        self.heads = {task: nn.Linear(encoder.config.hidden_size, n) for task, n in classes.items()}\n    def forward(self, batch, task):\n        return self.heads[task](sentence_vectors(self.encoder, batch))",
        "hides layers",
    ),
    (
        "class ManyHeads(nn.Module):\n    def __init__(self, encoder, classes):\n        super().__init__()\n        self.encoders = nn.ModuleDict({task: copy.deepcopy(encoder) for task in classes})\n        self.heads = nn.ModuleDict({task: nn.Linear(encoder.config.hidden_size, n) for task, n in classes.items()})\n    def forward(self, batch, task):\n        return self.heads[task](sentence_vectors(self.encoders[task], batch))",
        "without copies",
    ),
    (
        "class ManyHeads(nn.Module):\n    def __init__(self, encoder, classes):\n        super().__init__()\n        self.encoder = encoder\n        by_size = {n: nn.Linear(encoder.config.hidden_size, n) for n in classes.values()}\n        self.heads = nn.ModuleDict({task: by_size[n] for task, n in classes.items()})\n    def forward(self, batch, task):\n        return self.heads[task](sentence_vectors(self.encoder, batch))",
        "not the same question",
    ),
    (
        "class ManyHeads(nn.Module):\n    def __init__(self, encoder, classes):\n        super().__init__()\n        self.encoder = encoder\n        self.heads = nn.ModuleDict({task: nn.Linear(encoder.config.hidden_size, n) for task, n in classes.items()})\n    def forward(self, batch, task):\n        hidden = self.encoder(inputs_embeds=batch['vectors'], attention_mask=batch['mask']).last_hidden_state\n        return self.heads[task](hidden[:, 0])",
        "first token",
    ),
]

# %%
model = ManyHeads(copy.deepcopy(upper), CLASSES)
with torch.no_grad():
    for task in CLASSES:
        logits = model.to(settings.device())(collate(task, np.arange(4)), task)
        print(f"{task:<10} logits {tuple(logits.shape)}")
numbers = {
    name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
}
print(", ".join(f"{name} {count:,} numbers" for name, count in numbers.items()))

# %% [markdown]
# ## Who gets how many turns
#
# Each step of training takes a batch of *one* task. So somebody has to decide whose turn it is. By size? Then the
# films get sixteen turns for each one of the shop. Or everybody the same? Then the shop's few sentences are read again and
# again.
#
# Between the two lies a dial, the **temperature** $T$. A task with $n$ sentences gets turns in proportion to
# $n^{1/T}$. With $T = 1$ size decides. With $T \to \infty$ the exponent goes to 0, and everybody is equal.
# (Multilingual BERT was trained with a dial of this kind, so that a small language was not drowned by English.)


# %% tags=["exercise"] exercise="technique_multitask/shares" answer="shares" minutes=5 difficulty=1
# sizes: {task: number of sentences}.  T: a number from 1 to float("inf").
# Return {task: share of the turns}: in proportion to size ** (1 / T), adding up to 1.
def shares(sizes, T): ...


# <solution>
def shares(sizes, T):
    raised = {task: size ** (1 / T) for task, size in sizes.items()}
    return {task: value / sum(raised.values()) for task, value in raised.items()}


# </solution>


# %% tags=["check"] exercise="technique_multitask/shares"
def check(answer):
    sizes = {"large": 900, "small": 100}
    found = answer(dict(sizes), 2)
    if not isinstance(found, dict) or set(found) != set(sizes):
        return "A dictionary is asked for, with one share for each task of `sizes`."
    large, small = float(found["large"]), float(found["small"])
    if abs(large / small - 3) < 1e-6 and abs(large + small - 1) > 1e-6:
        return f"The proportion is right, but your shares add up to {large + small:g}. Divide each by the sum."
    replies = {
        81
        / 82: "You raised to T. Then the dial turns the wrong way: at T = 2 the large task would get 81 turns for one of the small. 1 / T flattens.",
        0.9: "These are the shares by size, and T has changed nothing. Dividing every size by T cancels out; it belongs into the exponent.",
        0.5: "Both get the same at T = 2. That should happen only when T goes to infinity.",
        1.0: "The large task gets everything. That is a softmax of sizes: exp(900 / T) leaves nothing for anybody else. Here it is a power.",
    }
    for value, reply in replies.items():
        if abs(large - value) < 1e-6:
            return reply
    return (
        None
        if abs(large - 0.75) < 1e-6
        else "For 900 and 100 sentences and T = 2 the roots are 30 and 10, so the shares are 0.75 and 0.25."
    )


def inputs(draw):
    yield {"only": 7}, 3
    yield {"a": 1, "b": 1_000_000}, float("inf")
    for T in (1, 1.5, 5, 100):
        yield {name: int(draw.integers(1, 5000)) for name in "abcd"}, T


def agrees(expected, found):
    return expected.keys() == found.keys() and np.allclose(
        list(expected.values()), [found[task] for task in expected], atol=1e-6
    )


hints = [
    "First the powers, for all tasks; then divide each by their sum.",
    '`1 / float("inf")` is 0 in Python, and `n ** 0` is 1: the case T → ∞ needs no extra line.',
]
misconceptions = [
    (
        "def shares(sizes, T):\n    raised = {task: size ** T for task, size in sizes.items()}\n    return {task: value / sum(raised.values()) for task, value in raised.items()}",
        "wrong way",
    ),
    (
        "def shares(sizes, T):\n    raised = {task: size / T for task, size in sizes.items()}\n    return {task: value / sum(raised.values()) for task, value in raised.items()}",
        "cancels out",
    ),
    (
        "def shares(sizes, T):\n    return {task: size ** (1 / T) for task, size in sizes.items()}",
        "add up to",
    ),
    (
        "def shares(sizes, T):\n    top = max(sizes.values())\n    raised = {task: math.exp((size - top) / T) for task, size in sizes.items()}\n    return {task: value / sum(raised.values()) for task, value in raised.items()}",
        "softmax",
    ),
]

# %%
TURNS, SIZE = settings.pick(smoke=(6, 4), cpu=(75, 16))
BY_SIZE, EQUAL = (
    {task: round(TURNS * share) for task, share in shares(SIZES, T).items()}
    for T in (1, float("inf"))
)
print("turns by size:", BY_SIZE)
print("equal turns:  ", EQUAL)


# %%
def turn_the_dial(T=1):
    found = shares(SIZES, T)
    reads = {task: TURNS * share * SIZE / SIZES[task] for task, share in found.items()}
    title = f"T = {T:g}: each shop sentence is read {reads['shop']:.1f} times in {TURNS} turns"
    names = [f"{task}: each read {reads[task]:.1f} times" for task in found]
    percent = [100 * share for share in found.values()]
    figure = plots.bars(names, percent, title=title, xlabel="share of the turns (%)")
    plots.show(figure, alt=f"Share of the turns of three tasks. {title}.")


widgets.explore(turn_the_dial, T=[1, 2, 3, 5, 20, 1000])

# %% [markdown]
# Now the loop. It is the one you know, with a plan in front: whose turn, and which sentences. Two details carry the
# whole comparison. A task's batches do not depend on its company. And a task's head starts with the same random
# numbers, whoever else is there. So *alone* and *together* will differ in the company and in nothing else.


# %%
def plan(turns, seed):
    """(task, rows) for every step, in random order."""
    steps = []
    for task, count in turns.items():
        draw = np.random.default_rng([seed, list(CLASSES).index(task)])
        passes = [draw.permutation(SIZES[task]) for _ in range(1 + count * SIZE // SIZES[task])]
        rows = np.concatenate(passes)[: count * SIZE].reshape(count, SIZE)
        steps += [(task, some) for some in rows]
    random.Random(seed).shuffle(steps)
    return steps


def fresh(tasks, seed):
    model = ManyHeads(copy.deepcopy(upper), {task: CLASSES[task] for task in tasks})
    for task, head in model.heads.items():
        torch.manual_seed(100 * seed + list(CLASSES).index(task))
        head.reset_parameters()
    return model.to(settings.device())


# %%
def train(turns, seed, rate, loss_of=nn.functional.cross_entropy):
    """A model for the tasks in `turns`, which take so many steps each."""
    model, steps = fresh(turns, seed).train(), plan(turns, seed)
    groups = [
        {"params": model.encoder.parameters(), "lr": rate},
        {"params": model.heads.parameters(), "lr": 0.01},
    ]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    slower = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / len(steps))
    for task, rows in steps:
        batch = collate(task, rows)
        loss = loss_of(model(batch, task), batch["labels"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        slower.step()
    return model.eval()


# %%
@torch.no_grad()
def correct(model, task, rows, head=None):
    """Right or wrong, one value per row; `head` lets another task's head answer."""
    order = np.array(sorted(rows, key=lambda i: len(vectors[task][i])))
    right = {}
    for at in np.split(order, range(64, len(order), 64)):
        answer = model(collate(task, at), head or task).argmax(dim=1).cpu().numpy()
        right |= dict(zip(at.tolist(), (answer == labels[task][at]).tolist(), strict=True))
    return np.array([right[i] for i in rows])


CHOOSE = {task: range(size, size + choosers) for task, size in SIZES.items()}
JUDGE = {task: range(len(texts[task]) - judges, len(texts[task])) for task in SIZES}

# %% [markdown]
# ## One loss per task
#
# Before anything is learnt: how large is each task's loss? Not equally large, and one can know it beforehand.

# %%
first_loss = {}
with torch.no_grad():
    for task, classes in CLASSES.items():
        batch = collate(task, np.arange(SIZES["shop"]))
        starts = [
            nn.functional.cross_entropy(
                fresh([task], seed)(batch, task), batch["labels"]
            ).item()
            for seed in range(10)
        ]
        first_loss[task] = np.mean(starts)
        print(
            f"{task:<10} {classes} classes: ten fresh heads start at {first_loss[task]:.3f}, "
            f"ln {classes} = {math.log(classes):.3f}"
        )

# %% [markdown]
# A fresh head knows nothing, so each of $K$ classes gets about $1/K$. The loss is minus the logarithm of what the
# right class got: $-\ln(1/K) = \ln K$. (A little above, because a random head is not exactly undecided, and it is punished
# for its random opinions.)
#
# So a mean over all tasks is misleading twice. It starts higher when there are more classes, and it falls when the mix of
# turns changes, though nobody has learnt anything. The loss that counts is the one *per task*.
#
# And the gradients? A larger loss pulls harder. The usual remedy is to measure each loss in units of its own start.


# %% tags=["exercise"] exercise="technique_multitask/scaled" answer="scaled_loss" minutes=5 difficulty=1
# logits: (n, K).  labels: (n,) whole numbers.
# Return the cross-entropy as a share of what a head scores that gives each class 1 / K.
def scaled_loss(logits, labels): ...


# <solution>
def scaled_loss(logits, labels):
    return nn.functional.cross_entropy(logits, labels) / math.log(logits.shape[1])


# </solution>


# %% tags=["check"] exercise="technique_multitask/scaled"
def check(answer):
    draw = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 5, generator=draw), torch.tensor([0, 2, 1, 0, 2, 2])
    plain = nn.functional.cross_entropy(logits, labels).item()
    leaf = logits.clone().requires_grad_()
    found = answer(leaf, labels)
    if not isinstance(found, torch.Tensor) or found.ndim:
        return "One number is asked for, as a tensor: backward() will be called on it."
    if not found.requires_grad:
        return (
            "The gradient is lost: `.item()` or `.detach()` cuts the loss off from the model."
        )
    value = found.item()
    replies = {
        1.0: "Always 1, whatever the model says. You divided by the loss itself; the measure is what a fresh head would score.",
        plain: "That is the plain cross-entropy. Divide it by what a head scores that gives each class 1 / K.",
        plain
        / 5: "You divided by K. A head that gives each class 1 / K scores -ln(1 / K), which grows more slowly.",
        plain
        / math.log2(
            5
        ): "That is the logarithm to base 2. Cross-entropy in PyTorch is in natural logarithms: math.log.",
        plain
        / math.log(
            3
        ): "You counted the classes that occur in this batch. K is the number of logits per sentence.",
        plain
        * math.log(5): "You multiplied: the task with more classes would shout even louder.",
        plain
        / 6: "You divided by the number of sentences; cross_entropy has taken their mean already.",
    }
    for wrong, reply in replies.items():
        if abs(value - wrong) < 1e-5:
            return reply
    wanted = plain / math.log(5)
    return (
        None
        if abs(value - wanted) < 1e-5
        else f"For our trial logits it should be {wanted:.4f}; yours is {value:.4f}."
    )


def inputs(draw):
    for n, K in ((1, 2), (4, 3), (9, 20)):
        logits = torch.tensor(draw.normal(size=(n, K)), dtype=torch.float32)
        yield logits, torch.tensor(draw.integers(0, K, n))
    yield torch.zeros(5, 7), torch.tensor([0, 0, 0, 0, 0])


hints = [
    "`nn.functional.cross_entropy(logits, labels)` is the numerator.",
    "K is logits.shape[1], and the undecided head scores math.log(K).",
]
misconceptions = [
    (
        "def scaled_loss(logits, labels):\n    return nn.functional.cross_entropy(logits, labels) / logits.shape[1]",
        "divided by K",
    ),
    (
        "def scaled_loss(logits, labels):\n    loss = nn.functional.cross_entropy(logits, labels)\n    return loss / loss.detach()",
        "Always 1",
    ),
    (
        "def scaled_loss(logits, labels):\n    return nn.functional.cross_entropy(logits, labels) / math.log(int(labels.max()) + 1)",
        "occur in this batch",
    ),
    (
        "def scaled_loss(logits, labels):\n    return nn.functional.cross_entropy(logits, labels) / math.log2(logits.shape[1])",
        "base 2",
    ),
]


# %%
def pull(task, loss_of):
    """Length of the gradient that a fresh head sends into the trunk."""
    model, batch = fresh([task], lab.seed), collate(task, np.arange(SIZES["shop"]))
    loss_of(model(batch, task), batch["labels"]).backward()
    found = [part.grad.norm() for part in model.encoder.parameters() if part.grad is not None]
    return torch.stack(found).norm().item()


for task in CLASSES:
    plain, scaled = pull(task, nn.functional.cross_entropy), pull(task, scaled_loss)
    print(f"{task:<10} pulls at the trunk with {plain:.2f}, scaled with {scaled:.2f}")

# %% [markdown]
# Scaling changes who pulls how hard. Does it change who *learns*? Here the optimiser has a word to say. Try it on one task
# alone: the same run, once with its loss as it is, once with ten times the loss.


# %%
def loud(logits, labels):
    return 10 * nn.functional.cross_entropy(logits, labels)


def apart(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return torch.stack([(a - b).norm() for a, b in pairs]).norm().item()


# %%
few = {"shop": EQUAL["shop"]}
quiet_model, loud_model = train(few, 0, 3e-4), train(few, 0, 3e-4, loud)
detour = apart(quiet_model, loud_model) / apart(quiet_model, fresh(few, 0))
print(f"ten times the loss: the model ends {detour:.1%} of its way elsewhere")

answers = [correct(model, "shop", JUDGE["shop"]) for model in (quiet_model, loud_model)]
same_answers = (answers[0] == answers[1]).mean()
print(f"the two models agree on {same_answers:.1%} of the judges' sentences")

# %% [markdown]
# Hardly a difference. Adam divides each gradient by its own recent size, and a factor in front of the loss goes away
# in the division. (With plain SGD it would be ten times the learning rate.) For a task's own head this is always so.
# In the trunk it is not: there the "recent size" is that of all tasks mixed, and a task ten times as loud fills it.
# Weights on losses do something under Adam, but less than the formula on paper promises.

# %% [markdown]
# ## Rebuild the slide
#
# First a rate for the trunk. *Alone*, each task may take its own. *Together* there is one trunk and one rate for all, and
# that is a part of the price. Both get the same trials, on seeds and sentences that will not judge.

# %%
rates = settings.pick(smoke=[3e-4], cpu=[3e-4, 1e-3])
choosing, judging = settings.pick(smoke=([1], [2, 3]), cpu=([1, 2], [3, 4, 5]))
tried = {}
started = time.perf_counter()
for rate in rates:
    for seed in choosing:
        one_for_all = train(EQUAL, seed, rate)
        for task, turns in EQUAL.items():
            alone = train({task: turns}, seed, rate)
            tried["together", task, rate, seed] = correct(
                one_for_all, task, CHOOSE[task]
            ).mean()
            tried["alone", task, rate, seed] = correct(alone, task, CHOOSE[task]).mean()
print(f"{2 * len(rates) * len(choosing)} trials, {time.perf_counter() - started:.0f} s")


# %%
def mean_score(way, tasks, rate):
    return np.mean([tried[way, task, rate, seed] for task in tasks for seed in choosing])


best = {
    ("alone", task): max(rates, key=lambda rate, task=task: mean_score("alone", [task], rate))
    for task in CLASSES
}
best["together"] = max(rates, key=lambda rate: mean_score("together", CLASSES, rate))
for who, rate in best.items():
    print(f"{' '.join(who) if isinstance(who, tuple) else who:<17} rate {rate:g}")

# %% [markdown]
# Now the judges, with seeds that have chosen nothing. Two ways of sharing turns, each once with company and once without.
# *Alone* means three models, each of which takes exactly the batches that its task has in the shared run.

# %%
PLANS = {"by size": BY_SIZE, "equal": EQUAL}
right, film_models = {}, {}


def note(way, task, model, head=None):
    right.setdefault((way, task), []).append(correct(model, task, JUDGE[task], head))


started = time.perf_counter()
for seed in judging:
    for name, turns in PLANS.items():
        shared = train(turns, seed, best["together"])
        for task in CLASSES:
            note(f"together, {name}", task, shared)
            alone = train({task: turns[task]}, seed, best["alone", task])
            note(f"alone, {name}", task, alone)
            if task == "movies":
                film_models[name, seed] = alone  # one more question for it, later
print(f"{len(judging)} seeds, {time.perf_counter() - started:.0f} s")

# %%
table = {"word counts": {task: 100 * counted[task].mean() for task in CLASSES}}
for (way, task), runs in right.items():
    table.setdefault(way, {})[task] = 100 * np.mean(runs)
pd.DataFrame(table).T.round(1)

# %% [markdown]
# The colleague compared what people usually have with what people are usually shown. *Before*: the shop's model, trained
# alone, once over its data. *After*: the shared model, with equal turns. Here is the slide:

# %%
slide = metrics.compare(right["together, equal", "shop"], right["alone, by size", "shop"])
print(f"shop, together with equal turns minus alone by size: {slide}")
print(f"   turns on shop sentences before: {BY_SIZE['shop']}, after: {EQUAL['shop']}")

# %% [markdown]
# Look at the second line. Two things have changed between *before* and *after*: the shop got company, **and** it got many
# more turns. The slide gives company all the credit. There is a model that separates the two, and you have trained it.


# %% tags=["exercise"] exercise="technique_multitask/credit" answer="credit" minutes=6 difficulty=2
# right: three tables (runs, sentences) of right (1) and wrong (0) answers of the small task:
#    right["alone", "few"], right["alone", "many"], right["together", "many"].
# Return two numbers in percentage points: what the additional turns brought, and what company
# brought at equal turns. Together they are what the slide claims.
def credit(right): ...


# <solution>
def credit(right):
    mean = {model: 100 * np.mean(table) for model, table in right.items()}
    by_turns = mean["alone", "many"] - mean["alone", "few"]
    by_company = mean["together", "many"] - mean["alone", "many"]
    return by_turns, by_company


# </solution>


# %% tags=["check"] exercise="technique_multitask/credit"
def check(answer):
    made = {
        ("alone", "few"): np.repeat([[1, 0]], [12, 8], axis=1),
        ("alone", "many"): np.repeat([[1, 0]], [15, 5], axis=1),
        ("together", "many"): np.repeat([[1, 0]], [14, 6], axis=1),
    }
    found = answer({model: np.vstack([table, table]) for model, table in made.items()})
    if not isinstance(found, tuple | list | np.ndarray) or len(found) != 2:
        return "Two numbers are asked for: return by_turns, by_company."
    turns, company = map(float, found)
    replies = {
        (
            0.15,
            -0.05,
        ): "These are shares from 0 to 1. In percentage points they are a hundred times as large.",
        (
            15.0,
            10.0,
        ): "Your second number is the slide's own claim: it compares models with different numbers of turns. Which model has as many turns as the shared one, and no company?",
        (-15.0, 5.0): "Both signs are the wrong way round: after minus before.",
        (-5.0, 15.0): "You have them in the other order: first the turns, then the company.",
        (
            10.0,
            -5.0,
        ): "Your first number is the whole claim. Turns alone are a comparison of two models that both had no company.",
    }
    for (first, second), reply in replies.items():
        if abs(turns - first) < 1e-6 and abs(company - second) < 1e-6:
            return reply
    if abs(turns - 15) < 1e-6 and abs(company + 5) < 1e-6:
        return None
    return f"With 60 % alone, 75 % alone with more turns and 70 % together, the two parts are 15 and -5 points; yours are {turns:g} and {company:g}."


def inputs(draw):
    models_ = [("alone", "few"), ("alone", "many"), ("together", "many")]
    for runs, n in ((1, 2), (3, 50), (5, 7)):
        yield {model: (draw.random((runs, n)) < draw.random()).astype(int) for model in models_}
    yield {model: (draw.random((2 + i, 30)) < 0.6) for i, model in enumerate(models_)}


def agrees(expected, found):
    return len(found) == 2 and np.allclose(expected, found, rtol=0, atol=1e-6)


hints = [
    "Two steps on one stair: alone with few turns, alone with many, together with many.",
    "Each number is the mean of a later model minus the mean of the one before it, times 100.",
]
misconceptions = [
    (
        "def credit(right):\n    mean = {model: 100 * np.mean(table) for model, table in right.items()}\n    return mean['alone', 'many'] - mean['alone', 'few'], mean['together', 'many'] - mean['alone', 'few']",
        "own claim",
    ),
    (
        "def credit(right):\n    mean = {model: np.mean(table) for model, table in right.items()}\n    return mean['alone', 'many'] - mean['alone', 'few'], mean['together', 'many'] - mean['alone', 'many']",
        "a hundred times",
    ),
    (
        "def credit(right):\n    mean = {model: 100 * np.mean(table) for model, table in right.items()}\n    return mean['together', 'many'] - mean['alone', 'many'], mean['alone', 'many'] - mean['alone', 'few']",
        "the other order",
    ),
    (
        "def credit(right):\n    mean = {model: 100 * np.mean(table) for model, table in right.items()}\n    return mean['together', 'many'] - mean['alone', 'few'], mean['together', 'many'] - mean['alone', 'many']",
        "the whole claim",
    ),
]

# %%
stairs = {
    ("alone", "few"): np.array(right["alone, by size", "shop"]),
    ("alone", "many"): np.array(right["alone, equal", "shop"]),
    ("together", "many"): np.array(right["together, equal", "shop"]),
}
by_turns, by_company = credit(stairs)
print(f"the slide's {100 * slide.estimate:+.1f} points are")
print(f"   {by_turns:+.1f} by turns and {by_company:+.1f} by company")
company_guess.compare(by_company)

# %% [markdown]
# So much for the means. What can be *said*? A verdict needs the interval, over seeds and sentences. Differences of up to
# two points would not matter to us; that was fixed before looking. And all three tasks count: whoever shares, shares for all.

# %%
verdicts = {
    (task, name): metrics.compare(
        right[f"together, {name}", task], right[f"alone, {name}", task], margin=0.02
    )
    for name in PLANS
    for task in CLASSES
}

# %%
kinds = [verdict.verdict for verdict in verdicts.values()]
title = "Together minus alone: " + ", ".join(
    f"{kinds.count(word)} {word}" for word in sorted(set(kinds))
)
figure = plots.interval_bars(
    [f"{task}, turns {name}: {v.verdict}" for (task, name), v in verdicts.items()],
    [verdict.points for verdict in verdicts.values()],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="points of accuracy at equal turns, with 95 % intervals",
)
plots.show(figure, alt=f"Shared against separate training for each task and plan. {title}.")
chance = 1 - 0.95 ** len(verdicts)
print(
    f"{len(verdicts)} independent rows without any difference: {chance:.0%} have a false alarm"
)

# %% [markdown]
# Read each row with its own word, and take the last line along: six intervals of 95 % are six chances to be fooled. A
# single row that just clears zero is a reason to look again, with new seeds, and not a discovery.
#
# ### What balancing changed
#
# You have balanced in two ways, and both belong into the report. The turns first: equal against by size. Then the loss:
# equal turns, each loss in units of its start.

# %%
for seed in judging:
    model = train(EQUAL, seed, best["together"], scaled_loss)
    for task in CLASSES:
        note("together, equal, scaled", task, model)

balances = {
    "equal turns, not by size": ("together, equal", "together, by size"),
    "scaled losses": ("together, equal, scaled", "together, equal"),
}
changed = {
    (what, task): metrics.compare(right[after, task], right[before, task], margin=0.02)
    for what, (after, before) in balances.items()
    for task in CLASSES
}

# %%
spread = {
    what: max(abs(100 * changed[what, task].estimate) for task in CLASSES) for what in balances
}
title = "Largest shift: " + ", ".join(f"{what} {points:.1f}" for what, points in spread.items())
figure = plots.interval_bars(
    [f"{what}: {task} {verdict.verdict}" for (what, task), verdict in changed.items()],
    [verdict.points for verdict in changed.values()],
    reference=0,
    reference_label="no change",
    title=f"{title} points",
    xlabel="points of accuracy that the change brought, with 95 % intervals",
)
plots.show(figure, alt=f"What two ways of balancing changed, task by task. {title}.")

# %% [markdown]
# Turns are a budget: what one task gets, another gives. Whether the exchange is worth it, no formula knows; it depends
# on which task you are paid for. The losses we scaled under Adam, which had done part of that work before.
#
# ## Who was it?
#
# *Company* is a word for two guests. The films ask the same question of other texts. The headlines ask another question.
# Invite them one at a time, with the same turns for the shop.
#
# And there is a fourth candidate, which is forgotten on most slides because it costs nothing. The film model, trained
# alone, never saw a shop sentence. But its two labels are the shop's labels. Let its head answer.

# %%
for seed in judging:
    for guest in ("movies", "headlines"):
        turns = {task: EQUAL[task] for task in ("shop", guest)}
        note(f"with {guest}", "shop", train(turns, seed, best["together"]))
    borrowed = film_models["equal", seed]
    note("film model, no shop sentence", "shop", borrowed, head="movies")

whom = ("with movies", "with headlines", "together, equal", "film model, no shop sentence")
guests = {
    who: metrics.compare(right[who, "shop"], right["alone, equal", "shop"], margin=0.02)
    for who in whom
}
relative = metrics.compare(right["with movies", "shop"], right["with headlines", "shop"])

# %%
shown = {f"{who}: {verdict.verdict}": verdict.points for who, verdict in guests.items()}
shown[f"movies minus headlines as guest: {relative.verdict}"] = relative.points
title = (
    f"Beside shop alone: films {100 * guests['with movies'].estimate:+.1f}, "
    f"headlines {100 * guests['with headlines'].estimate:+.1f}, "
    f"borrowed {100 * guests['film model, no shop sentence'].estimate:+.1f} points"
)
figure = plots.interval_bars(
    list(shown),
    list(shown.values()),
    reference=0,
    reference_label="shop alone, equal turns",
    title=title,
    xlabel="points of accuracy on the shop's sentences, with 95 % intervals",
)
plots.show(figure, alt=f"Which guest changes the small task, and by how much. {title}.")
over_words = metrics.compare(right["together, equal", "shop"], counted["shop"])
print(f"together minus word counts, shop: {over_words}")

# %% [markdown]
# This is the question to ask of every result with the word *multi-task* in it: not "did tasks help", but *which one*, and
# would its data have helped without any sharing of a trunk? When two tasks have the same labels, the simplest rivals are
# one model for both, or the neighbour's model as it is.
#
# ## What sharing always buys
#
# Points are a matter of luck and kinship. Bytes are not. One trunk with three heads, or three models:

# %%
trunk = sum(part.numel() for part in whole.parameters())
top = sum(part.numel() for part in upper.parameters())
heads = sum(part.numel() for part in shared.heads.parameters())
numbers_of = {
    "one trunk, three heads": trunk + heads,
    "frozen floors shared, three tops": trunk + 2 * top + heads,
    "three whole models": 3 * trunk + heads,
}
mb = {name: 4 * count / 1e6 for name, count in numbers_of.items()}
title = f"All three heads together: {4 * heads:,} bytes"
figure = plots.bars(list(mb), list(mb.values()), title=title, xlabel="megabytes in 32 bits")
plots.show(
    figure, alt=f"Bytes of one shared trunk, shared lower floors, and three models. {title}."
)

# %% [markdown]
# And if each sentence needs all three answers, the trunk runs once instead of three times. This is why shared trunks are
# everywhere in production, also where they bring no point at all. The middle row is worth a thought: who freezes the lower
# layers can share *them* and keep the upper ones apart, and nobody pulls at anybody's weights. (An adapter per task on one
# frozen trunk is the same idea, smaller still.)

# %% [markdown]
# ## What you saw

# %%
results = {
    "first_loss_movies": first_loss["movies"],
    "first_loss_headlines": first_loss["headlines"],
    "loud_agreement_percent": 100 * same_answers,
    "slide_points": 100 * slide.estimate,
    "turns_points": by_turns,
    "company_points": by_company,
    "movies_points": 100 * verdicts["movies", "equal"].estimate,
    "scaling_points": spread["scaled losses"],
    "films_as_guest_points": 100 * guests["with movies"].estimate,
    "headlines_as_guest_points": 100 * guests["with headlines"].estimate,
    "borrowed_accuracy": np.mean(right["film model, no shop sentence", "shop"]),
    "shop_alone_accuracy": np.mean(right["alone, equal", "shop"]),
    "shared_mb": mb["one trunk, three heads"],
}
with tracking.start_run("techniques", "one encoder, several heads"):
    mlflow.log_params({"turns": TURNS, "seeds": str(judging), "rate": best["together"]})
    for name, value in results.items():
        tracking.record(name, value)

# %% [markdown]
# Write two sentences for the colleague with the slide: what you would change on it, and one number of your own.

# %%
# For your journal (change the text and run the cell).
my_verdict = "…"
if my_verdict != "…":
    progress.write_journal("technique_multitask", my_verdict)

# %% tags=["quiz"]
[
    {
        "question": "Before training, the mean loss over a task with 2 classes and one with 10 is 1.5. Which head is ill?",
        "choices": [
            (
                "Neither: fresh heads start near ln 2 and ln 10, and their mean is 1.5.",
                "Right: (0.69 + 2.30) / 2 = 1.50.",
                True,
            ),
            (
                "The one with 2 classes: a loss above 0.69 is worse than a coin.",
                "The 1.5 is a mean over both tasks. Look at the loss per task before you suspect anybody.",
                False,
            ),
            (
                "The one with 10 classes: it lifts the mean.",
                "It does, and it should: ln 10 is what an undecided head scores on ten classes.",
                False,
            ),
        ],
        "proof": """
import math
import torch
starts = [torch.nn.functional.cross_entropy(torch.zeros(4, K), torch.zeros(4).long()).item() for K in (2, 10)]
assert abs(starts[0] - math.log(2)) < 1e-5 and abs(starts[1] - math.log(10)) < 1e-5
assert round(sum(starts) / 2, 2) == 1.50
""",
    },
    {
        "question": "Tasks of 10,000, 1,000 and 100 sentences. Which share of the turns has the smallest with T = 2?",
        "choices": [
            (
                "About 1 %.",
                "That is T = 1, by size.",
                False,
            ),
            (
                "About 7 %.",
                "Right: the roots are 100, 31.6 and 10, and 10 of 141.6 is 7 %.",
                True,
            ),
            (
                "A third.",
                "That is T → ∞, where size has no say.",
                False,
            ),
        ],
        "proof": """
sizes = (10_000, 1_000, 100)
share = lambda T: sizes[2] ** (1 / T) / sum(n ** (1 / T) for n in sizes)
assert round(100 * share(1)) == 1 and round(100 * share(2)) == 7 and abs(share(1e9) - 1 / 3) < 1e-6
""",
    },
    {
        "question": "Alone, 30 steps: 70 %. Together with two tasks, 90 steps of which 60 on this task: 78 %. What did company bring?",
        "choices": [
            (
                "8 points.",
                "The steps on this task doubled, too. Both are in the 8 points.",
                False,
            ),
            (
                "Nothing can be said yet: the model alone with 60 steps is missing.",
                "Right. Its distance to 70 is what steps bring, its distance to 78 is what company brings; and then the intervals.",
                True,
            ),
            (
                "4 points, because half of the gain belongs to the steps.",
                "Nobody knows the halves. There is a model that measures them.",
                False,
            ),
            (
                "Less than nothing: 90 steps are three times the price.",
                "The price is another question. And the other two tasks were learnt for it as well.",
                False,
            ),
        ],
    },
    {
        "question": "Heads in a plain Python dict, optimiser = AdamW(model.parameters()). The loss falls a little. Why?",
        "choices": [
            (
                "AdamW finds the heads through the loss.",
                "It changes what it was given, and a plain dict gave it nothing.",
                False,
            ),
            (
                "The trunk learns to suit heads that stay as random as they were.",
                "Right. Nothing crashes, which is why one counts what trains.",
                True,
            ),
            (
                "The loss cannot fall; it is noise.",
                "The trunk gets gradients through the frozen heads, and it uses them.",
                False,
            ),
        ],
        "proof": """
import torch
from torch import nn
class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk, self.heads = nn.Linear(3, 4), {"a": nn.Linear(4, 2)}
torch.manual_seed(0)
model = Hidden()
assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"trunk"}
x, y, before = torch.randn(64, 3), torch.randint(0, 2, (64,)), model.heads["a"].weight.clone()
optimiser, losses = torch.optim.AdamW(model.parameters(), lr=0.05), []
for _ in range(30):
    loss = nn.functional.cross_entropy(model.heads["a"](model.trunk(x)), y)
    optimiser.zero_grad(); loss.backward(); optimiser.step(); losses.append(loss.item())
assert losses[-1] < losses[0] and torch.equal(before, model.heads["a"].weight)
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **A smaller small task.** Give the shop 16 sentences, or 400, and run from the plan on. Where does company stop to
#   matter?
# - **Masters that quarrel.** For two tasks, compute the gradients that a trained trunk gets from each, and the cosine between
#   them. Below zero they pull apart. Does the cosine foresee the guests' verdicts?
# - **More room.** Let four layers train instead of two (`kept`). Does sharing hurt less, or more?
# - **Spam.** `data.load("spam")` is a fourth task, and nobody's relative. Invite it.
#
# **Read.** Caruana (1997) is where the idea comes from, and chapter 2 lists the ways in which company can help. MT-DNN
# (2019) is today's model at full size. McCann and others give many tasks *one* head, by asking in words. And read Xin
# and others (2022) before you believe in a clever weighting: tuned plain sums kept up with all of them.
