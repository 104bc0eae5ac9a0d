# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("technique_compression")

# %%
import contextlib
import copy
import io
import time
import warnings

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import prune

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, tracking
from labhelpers import training, widgets

# %% [markdown]
# ## Why this matters
#
# Your classifier is to move into something small: an old telephone, a till, a box at the end of a bad line. The owner
# of the box has two conditions. **Half the bytes. Half the time.** You have a third: **at most two points of accuracy
# lost**. Write these down before you begin; whoever sets the price after the bargain always finds that it was a good one.
#
# Three ways are on offer. Fewer *numbers*: set the small ones to zero (**pruning**). Fewer *layers*: a student
# learns from a teacher (**distillation**). Fewer *bits* for each number (**quantisation**). Each comes with a
# factor on its label. Take the last: a number in 32 bits becomes a number in 8. Four times smaller, says the label.

# %%
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed


def fresh(seed=lab.seed):
    """The encoder with a new head, all in 32 bits."""
    set_seed(seed)
    name = models.source("encoder")
    model = AutoModelForSequenceClassification.from_pretrained(name, num_labels=2)
    return model.float().eval()


def count(module):
    return sum(part.numel() for part in module.parameters())


base = fresh()
print(f"{count(base):,} numbers of four bytes: {4 * count(base) / 1e6:.0f} MB")

# %% [markdown]
# PyTorch's own int8 does that to every linear layer of a model, and our encoder consists of little else: six in each of
# its six layers, and two more at the end. So, if the linear layers shrink to a quarter: what will the file weigh?

# %%
today = round(4 * count(base) / 1e6)
guess = widgets.predict(
    "compression-int8", "The file, with every linear layer in 8 bits", 10, today, "MB"
)

# %% [markdown]
# ## Where the bytes are
#
# Before anything is made smaller: count.

# %%
linear = [part for part in base.modules() if isinstance(part, nn.Linear)]
in_linear = sum(part.weight.numel() for part in linear)
parts = {
    "dictionary": count(base.bert.embeddings),
    "six layers": count(base.bert.encoder),
    "pooler and head": count(base.bert.pooler) + count(base.classifier),
}
for name, numbers in parts.items():
    print(f"{name:<16} {numbers:>10,} numbers {4 * numbers / 1e6:6.1f} MB")

expected = (4 * count(base) - 3 * in_linear) / 1e6
print(f"\n{in_linear:,} of {count(base):,} numbers lie in linear layers")
print(f"with these in one byte each: {expected:.1f} MB")
guess.compare(round(expected))
outside = 100 * parts["dictionary"] / count(base)

# %%
title = f"{outside:.0f} % of the file is a dictionary"
figure = plots.bars(
    list(parts),
    [4 * numbers / 1e6 for numbers in parts.values()],
    title=title,
    xlabel="MB in 32 bits",
)
plots.show(figure, alt=f"Megabytes of the encoder's three parts. {title}.")

# %% [markdown]
# More than half of the model is a table, with one vector for each word piece it knows. Not a linear layer, so
# nobody quantises it unasked. And it costs almost no *time*, because looking up is not multiplying. The layers are the
# other way round: fewer bytes, and nearly all of the time.
#
# So there are two bills, and a trick that pays one need not pay the other. Keep them apart for the rest of the lesson.

# %% [markdown]
# ## A model to be made smaller
#
# The whole encoder, fine-tuned as on Day 6. It is *your* model: there is only one, so it is trained once. Sentences that
# it never saw will judge everything below; none of them trains or chooses anything.

# %%
from transformers import DataCollatorWithPadding, Trainer

tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
reviews = data.prepared("sentiment")
reviews.pop("test")  # opened once, on Day 4
size, judges = settings.pick(smoke=32, cpu=1920), settings.pick(smoke=40, cpu=1000)
tokens = data.tokenize(reviews["train"].select(range(size + judges)), tokenizer, max_length=64)
learn, judge = tokens.select(range(size)), tokens.select(range(size, size + judges))
truth = np.array(judge["labels"])
print(f"{size:,} sentences to learn from, {judges:,} to judge")


# %%
recipe = {
    "learning_rate": 1e-4,
    "num_train_epochs": settings.pick(smoke=1, cpu=2),
    "save_strategy": "no",
    "disable_tqdm": True,
    "remove_unused_columns": False,
}


# %%
def fit(model, name, seed, rows, trainer_class=Trainer):
    """The same steps for everybody; a run that was made before is found again."""
    args = training.arguments(name, **recipe, seed=seed)
    collator = DataCollatorWithPadding(tokenizer)
    trainer = trainer_class(model=model, args=args, train_dataset=rows, data_collator=collator)
    with contextlib.redirect_stdout(io.StringIO()):
        training.train(trainer, name)
    # The Trainer may leave a forward in 16 bits on its model: take the weights only.
    clean = type(model)(model.config)
    clean.load_state_dict(trainer.model.state_dict())
    return clean.float().eval()


def answers(model):
    return training.predict(model, judge).argmax(axis=1) == truth


# %%
teacher = fit(fresh(), "whole", lab.seed, learn)
right = {"whole": answers(teacher)}
spread = metrics.bootstrap_interval(right["whole"])
print(f"{spread.estimate:.1%} right (95 % interval {spread.low:.1%} to {spread.high:.1%})")

# %% [markdown]
# Two instruments, used for everything that follows. A scale: write the tensors into a safetensors file and ask the disk.
# And a stopwatch: models take turns in random order, so that a bad second of the machine hits nobody in particular; the
# median (**p50**) counts, per sentence, alone and in a batch of 32.

# %%
folder = lab.workspace / "compression"
folder.mkdir(exist_ok=True)


def weigh(tensors, name="on the scale"):
    """Megabytes of these tensors on the disk."""
    path = folder / f"{name}.safetensors"
    save_file({key: part.contiguous() for key, part in tensors.items()}, path)
    return path.stat().st_size / 1e6


texts = reviews["validation"]["text"][:32]
wrap = {"padding": True, "truncation": True, "max_length": 64, "return_tensors": "pt"}
batches = {1: tokenizer(texts[:1], **wrap), 32: tokenizer(texts, **wrap)}


# %%
def stopwatch(forms, batch, rounds, warm_up=1):
    """Median milliseconds per sentence, for each model in forms."""
    times = {name: [] for name in forms}
    draw = np.random.default_rng(lab.seed)
    for turn in range(rounds + warm_up):
        for name in draw.permutation(list(forms)):
            started = time.perf_counter()
            with torch.inference_mode():
                forms[name](**batches[batch])
            if turn >= warm_up:
                times[name].append(1000 * (time.perf_counter() - started) / batch)
    return {name: float(np.median(values)) for name, values in times.items()}


rounds = settings.pick(smoke={1: 3, 32: 1}, cpu={1: 60, 32: 7})
megabytes = {"whole": weigh(teacher.state_dict())}
print(f"{megabytes['whole']:.1f} MB on the disk")

# %% [markdown]
# ## Fewer numbers
#
# Most weights of a trained layer lie close to zero, and a product with almost nothing is almost nothing. So set the
# smallest to exactly zero. Smallest means: smallest *magnitude*. It is the oldest trick of the three, and half a dozen
# lines.


# %% tags=["exercise"] exercise="technique_compression/pruned" answer="pruned" minutes=6 difficulty=1
# W: weights, any shape. share: from 0 to 1.
# Return a copy of W in which round(share · number of weights) weights are zero: those of the
# smallest absolute value. All others stay as they are.
def pruned(W, share): ...


# <solution>
def pruned(W, share):
    result = W.clone().flatten()
    smallest = result.abs().argsort()[: round(share * W.numel())]
    result[smallest] = 0
    return result.reshape(W.shape)


# </solution>


# %% tags=["check"] exercise="technique_compression/pruned"
def check(answer):
    W = torch.tensor([[0.1, -4.0, 0.3, -0.2], [2.0, 0.5, -0.6, 1.5]])
    found = answer(W.clone(), 0.5)
    if not isinstance(found, torch.Tensor):
        return f"Your function returned {type(found).__name__}. The pruned tensor is asked for."
    if found.shape != W.shape:
        return f"A matrix of shape {tuple(W.shape)} came back with shape {tuple(found.shape)}. The layer needs its old shape."
    if found.dtype == torch.bool or torch.equal(found.float(), (W.abs() > 0.5).float()):
        return "That is the mask: which weights stay. The layer wants the weights themselves, with zeros in the others' places."
    gone, kept = found == 0, found != 0
    if torch.equal(gone, W.abs() > 0.5):
        return "You removed the large ones. What is almost zero already is what can go."
    if gone.sum() == 6 and gone[0, 1] == 0:
        return "You cut at half of the largest weight. A share is a share of the *count*: sort, and take the first half of them."
    if gone[0, 1]:
        return "-4 is gone, the strongest weight of all. By size below zero it comes first; by magnitude it comes last."
    if gone.sum() != 4:
        return f"Half of eight weights should be zero; yours has {int(gone.sum())} zeros."
    if not torch.equal(found[kept], W[kept]):
        return "The right places are zero, but the weights that stay have changed. They stay as they are, sign included."
    return (
        None
        if torch.equal(gone, W.abs() <= 0.5)
        else "Some of the zeros are in the wrong places."
    )


def inputs(draw):
    for shape in ((3, 4), (11,), (2, 3, 5)):
        for share in (0.0, 0.25, 0.5, 0.9, 1.0):
            yield torch.tensor(draw.normal(size=shape)).float(), share
    yield torch.tensor([[-1.0, -2.0, -3.0]]), 0.34
    yield torch.tensor([[-1.0, 0.0, 3.0]]), 0.3


hints = [
    "How many go: `round(share * W.numel())`. Which ones: the first so many in the order of `abs()`.",
    "`W.clone().flatten()` is a flat copy; `.abs().argsort()` gives positions, smallest first.",
    "Set these positions to zero and give the result its old shape back: `.reshape(W.shape)`.",
]
misconceptions = [
    (
        "def pruned(W, share):\n    result = W.clone().flatten()\n    result[result.argsort()[: round(share * W.numel())]] = 0\n    return result.reshape(W.shape)",
        "strongest weight of all",
    ),
    (
        "def pruned(W, share):\n    result = W.clone().flatten()\n    result[result.abs().argsort(descending=True)[: round(share * W.numel())]] = 0\n    return result.reshape(W.shape)",
        "removed the large ones",
    ),
    (
        "def pruned(W, share):\n    return torch.where(W.abs() < share * W.abs().max(), 0.0, W)",
        "share of the *count*",
    ),
    (
        "def pruned(W, share):\n    mask = torch.ones_like(W).flatten()\n    mask[W.flatten().abs().argsort()[: round(share * W.numel())]] = 0\n    return mask.reshape(W.shape)",
        "That is the mask",
    ),
]

# %% [markdown]
# PyTorch has the same thing under the name `l1_unstructured`. Yours against theirs, on a real matrix:

# %%
layer = copy.deepcopy(teacher.bert.encoder.layer[0].intermediate.dense)
mine = pruned(layer.weight.detach(), 0.5)
prune.l1_unstructured(layer, "weight", amount=0.5)
print("equal to PyTorch's:", torch.equal(mine, layer.weight))
print("what the layer holds now:", sorted(layer.state_dict()))

# %% [markdown]
# Look at the second line. While a layer is being pruned, PyTorch keeps the old weights *and* a mask of ones and zeros,
# so that training could go on with the zeros held down. Somebody who saves now saves both, and the model has grown.
# `prune.remove` makes it final: it removes the mask, not the zeros.


# %%
def thin(model, share, final=True):
    """A copy with this share of zeros in every linear layer of the encoder."""
    small = copy.deepcopy(model)
    for part in small.bert.encoder.modules():
        if isinstance(part, nn.Linear):
            prune.l1_unstructured(part, "weight", amount=share)
            if final:
                prune.remove(part, "weight")
    return small


half = thin(teacher, 0.5)
masked_size = weigh(thin(teacher, 0.5, final=False).state_dict())
megabytes["half zeros"] = weigh(half.state_dict())
print(f"whole {megabytes['whole']:.1f} MB, with masks {masked_size:.1f} MB")
print(f"half zeros, made final: {megabytes['half zeros']:.1f} MB")

# %%
zeros_time = stopwatch({"whole": teacher, "half zeros": half}, 1, rounds[1])
zeros_ratio = zeros_time["half zeros"] / zeros_time["whole"]
print(f"time of half zeros against the whole: {zeros_ratio:.2f}")

# %% [markdown]
# Half of the numbers are gone, and not a byte. A zero is written down in four bytes like any other number, and the
# processor multiplies by it as dutifully as by seven. To gain bytes, one must store *where* the others are, and a position
# costs as much as a number. To gain time, one needs a program that skips, and skipping one number here and there is
# slower than multiplying by all of them. (Some graphics cards can skip two of every four; this processor
# cannot.)
#
# How much could go, if it paid? Nobody trains again here; validation sentences look on.

# %%
shares = settings.pick(smoke=[0.0, 0.8], cpu=[0.0, 0.2, 0.4, 0.5, 0.6, 0.8])
watch = data.tokenize(
    reviews["validation"].select(range(settings.pick(smoke=16, cpu=300))),
    tokenizer,
    max_length=64,
)
watched = np.array(watch["labels"])
kept = [
    100 * (training.predict(thin(teacher, share), watch).argmax(axis=1) == watched).mean()
    for share in shares
]
right["half zeros"] = answers(half)

# %%
title = f"From {kept[0]:.0f} % right without zeros to {kept[-1]:.0f} % with 80 % zeros"
figure = plots.lines(
    [100 * share for share in shares],
    {"accuracy": kept},
    title=title,
    xlabel="zeros in the layers (%)",
    ylabel="validation accuracy (%)",
)
plots.show(figure, alt=f"Accuracy by share of weights set to zero. {title}.")

# %% [markdown]
# Such curves have a plain and a cliff: up to some share next to nothing happens, and then everything does. The plain
# proves that many numbers are not needed. It does not make anybody's telephone faster.

# %% [markdown]
# ## Fewer layers
#
# What a machine can skip is something *whole*: a layer. That is **structured** pruning. Six layers stand in a row,
# and what comes out of each has the same width as what goes in. Take every second one away, and the rest still fits.


# %% tags=["exercise"] exercise="technique_compression/cut" answer="cut" minutes=7 difficulty=2
# model: a BERT classifier as from `fresh`. keep: positions of the layers that stay, such as
# [0, 2, 4]. Return a *copy* with these layers, in this order, that knows how many they are:
# config.num_hidden_layers. (The layers are in model.bert.encoder.layer, an nn.ModuleList.)
def cut(model, keep): ...


# <solution>
def cut(model, keep):
    small = copy.deepcopy(model)
    layers = small.bert.encoder.layer
    small.bert.encoder.layer = nn.ModuleList([layers[position] for position in keep])
    small.config.num_hidden_layers = len(keep)
    return small


# </solution>


# %% tags=["check"] exercise="technique_compression/cut"
def tiny(depth):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        hidden_size=8,
        num_hidden_layers=depth,
        num_attention_heads=2,
        intermediate_size=12,
        vocab_size=40,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        model = BertForSequenceClassification(config).eval()
        for part in model.parameters():
            part.data = torch.randn(part.shape) / 2
    return model


def marks(model):
    """One number per layer, to know it again."""
    return [layer.output.dense.weight[0, 0].item() for layer in model.bert.encoder.layer]


def check(answer):
    model = tiny(4)
    before = marks(model)
    small = answer(model, [0, 2])
    if not isinstance(small, nn.Module):
        return f"Your function returned {type(small).__name__}. The smaller model is asked for."
    if marks(model) != before or model.config.num_hidden_layers != 4:
        return "The model that was given has lost its layers, too (or its config was changed). The teacher is still needed: work on a copy."
    found = marks(small)
    if found == before:
        return "All four layers are still there. Put a new nn.ModuleList into small.bert.encoder.layer."
    if found == before[:2]:
        return "Those are the *first* two layers. `keep` says which: here 0 and 2."
    if found == [before[1], before[3]]:
        return "Those are the layers that should go. `keep` names the ones that stay."
    if found != [before[0], before[2]]:
        return f"For keep = [0, 2] the wrong layers remain: {len(found)} of them."
    if small.config.num_hidden_layers != 2:
        return "The layers are right, but the config still says 4. from_pretrained builds as many as the config says, and fills the missing ones with random numbers."
    return None


def inputs(draw):
    yield 4, [0, 2]
    yield 6, [1, 3, 5]
    yield 3, [2]
    yield 5, [3, 0, 4]
    yield 2, [0, 1]


def trial(answer, depth, keep):
    model = tiny(depth)
    with torch.inference_mode():
        small = answer(model, list(keep))
        logits = small(torch.tensor([[2, 7, 9, 3]])).logits
    return {
        "layers": marks(small),
        "config": small.config.num_hidden_layers,
        "logits": logits,
        "given": marks(model),
        "a copy": small is not model,
    }


def agrees(expected, found):
    return all(
        torch.allclose(value, found[name], atol=1e-4)
        if name == "logits"
        else value == found[name]
        for name, value in expected.items()
    )


hints = [
    "`copy.deepcopy(model)` first. Everything else happens to the copy.",
    "`nn.ModuleList([layers[position] for position in keep])` is the new row of layers.",
    "The copy has a config of its own: set its num_hidden_layers to len(keep).",
]
misconceptions = [
    (
        "def cut(model, keep):\n    layers = model.bert.encoder.layer\n    model.bert.encoder.layer = nn.ModuleList([layers[position] for position in keep])\n    model.config.num_hidden_layers = len(keep)\n    return model",
        "work on a copy",
    ),
    (
        "def cut(model, keep):\n    small = copy.deepcopy(model)\n    layers = small.bert.encoder.layer\n    small.bert.encoder.layer = nn.ModuleList([layers[position] for position in keep])\n    return small",
        "config still says 4",
    ),
    (
        "def cut(model, keep):\n    small = copy.deepcopy(model)\n    small.bert.encoder.layer = small.bert.encoder.layer[: len(keep)]\n    small.config.num_hidden_layers = len(keep)\n    return small",
        "the *first* two",
    ),
    (
        "def cut(model, keep):\n    small = copy.deepcopy(model)\n    layers = [layer for at, layer in enumerate(small.bert.encoder.layer) if at not in keep]\n    small.bert.encoder.layer = nn.ModuleList(layers)\n    small.config.num_hidden_layers = len(layers)\n    return small",
        "layers that should go",
    ),
]

# %%
keep = [0, 2, 4]
raw = cut(teacher, keep)
right["three layers cut out"] = answers(raw)
megabytes["three layers cut out"] = weigh(raw.state_dict())
layers_time = stopwatch({"whole": teacher, "three layers": raw}, 1, rounds[1])
print(f"{megabytes['three layers cut out']:.1f} MB instead of {megabytes['whole']:.1f}")
print(f"time against the whole: {layers_time['three layers'] / layers_time['whole']:.2f}")
print(f"{right['three layers cut out'].mean():.1%} right")

# %% [markdown]
# This pays the time bill: half the layers, about half the time. The bill of bytes falls less, because the dictionary
# stays. The third bill is the last line: layer 2 still waits for what layer 1 used to tell it. The weights are not
# nonsense; they are out of step. Train again, then. With what?

# %% [markdown]
# ## A teacher
#
# A label says *good* or *bad*. The teacher says more: this one surely, that one only just. To learn from a model's
# shares instead of labels only is **distillation** (Hinton, Vinyals and Dean, 2015). Ask the teacher once, and note
# its logits beside every sentence:

# %%
noted = training.predict(teacher, learn)
lesson = learn.add_column("teacher", noted.tolist())

sure = np.abs(noted[:, 1] - noted[:, 0])
order = sure.argsort()
rows = {}
for position in (order[0], order[len(order) // 2], order[-1]):
    logits = torch.tensor(noted[position])
    text = reviews["train"][int(position)]["text"]
    rows[text[:40] + "…"] = [
        round(torch.softmax(logits / T, dim=-1)[1].item(), 3) for T in (1, 2, 4)
    ]
pd.DataFrame(rows, index=["T = 1", "T = 2", "T = 4"]).T

# %% [markdown]
# The numbers are the share for *good*. $T$ is the **temperature**: the logits are divided by it before the softmax. At
# $T = 1$ a sure teacher's shares look like labels again, 0 or 1. Heated up, they show how sure it was.
#
# The student should match these shares at the same temperature: the distance is the **KL divergence**, zero when
# both agree. Two details. Heat makes gradients smaller, by about $T^2$ (a logit counts $1/T$, and shares differ by
# $1/T$); so the soft part is multiplied by $T^2$. And the labels keep a say, with the weight $1 - \alpha$:
#
# $$L = \alpha\, T^2\, \text{KL}(\text{teacher}_T \,\|\, \text{student}_T) + (1 - \alpha)\,
# \text{cross-entropy}(\text{student}, \text{labels})$$


# %% tags=["exercise"] exercise="technique_compression/distill" answer="distill_loss" minutes=10 difficulty=3
# student, teacher: logits, shape (n, classes). labels: class numbers, shape (n,). T > 0.
# Return the loss above, a tensor with one number: both parts are means over the n rows.
# nn.functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True) is KL(p ‖ q).
def distill_loss(student, teacher, labels, T, alpha): ...


# <solution>
def distill_loss(student, teacher, labels, T, alpha):
    soft = nn.functional.kl_div(
        torch.log_softmax(student / T, dim=-1),
        torch.log_softmax(teacher / T, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    hard = nn.functional.cross_entropy(student, labels)
    return alpha * T**2 * soft + (1 - alpha) * hard


# </solution>


# %% tags=["check"] exercise="technique_compression/distill"
def check(answer):
    draw = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(5, 3, generator=draw) for _ in range(2))
    labels, T, alpha = torch.tensor([0, 2, 1, 1, 0]), 2.5, 0.3
    found = answer(student.clone().requires_grad_(), teacher, labels, T, alpha)
    if not isinstance(found, torch.Tensor) or found.numel() != 1:
        return "One number is asked for, as a tensor: the mean over the rows."
    if not found.requires_grad:
        return "No gradient would reach the student. Is there an .item(), a .detach() or a no_grad on its way?"
    found = found.detach()

    def kl(p, q):
        p, q = torch.log_softmax(p, dim=-1), torch.log_softmax(q, dim=-1)
        return (p.exp() * (p - q)).sum(dim=-1).mean()

    soft = kl(teacher / T, student / T)
    hard = nn.functional.cross_entropy(student, labels)
    warm = nn.functional.cross_entropy(student / T, labels)

    def same(soft, hard=hard, alpha=alpha):
        return abs(found - alpha * soft - (1 - alpha) * hard) < 1e-4

    if same(T**2 * soft):
        return None
    if same(soft):
        return "T² is missing. At T = 3 the teacher's voice would be nine times too weak."
    if same(T * soft):
        return "The soft part is multiplied by T. Heat takes a factor of T twice: once from the logits, once from the shares."
    if same(T**2 * soft, alpha=1 - alpha):
        return "The weights are the wrong way round: alpha belongs to the teacher's part."
    if same(T**2 * kl(student / T, teacher / T)):
        return "KL(student ‖ teacher) instead of KL(teacher ‖ student). kl_div takes the student's log shares first."
    if same(T**2 * soft / 3):
        return 'The mean went over rows *and* classes, so the soft part is three times too small. reduction="batchmean" divides by the rows only.'
    if same(T**2 * kl(teacher, student)):
        return "The soft part never gets hot: divide both logits by T before the softmax."
    if same(T**2 * soft, warm):
        return "The labels are compared with heated logits. The hard part is the everyday cross-entropy, at T = 1."
    return f"For five rows of three classes you get {found.item():.3f}, and it should be {(alpha * T**2 * soft + (1 - alpha) * hard).item():.3f}."


def inputs(draw):
    for n, classes, T, alpha in (
        (4, 2, 2.0, 0.7),
        (3, 5, 1.0, 0.5),
        (6, 3, 4.0, 0.0),
        (5, 2, 0.5, 1.0),
        (1, 4, 3.0, 0.2),
    ):
        yield int(draw.integers(1000)), n, classes, T, alpha


def trial(answer, seed, n, classes, T, alpha):
    """The loss and its gradient."""
    draw = torch.Generator().manual_seed(seed)
    student = torch.randn(n, classes, generator=draw).mul_(2).requires_grad_()
    teacher = 2 * torch.randn(n, classes, generator=draw)
    labels = torch.randint(classes, (n,), generator=draw)
    loss = answer(student, teacher, labels, T, alpha)
    loss.sum().backward()
    return {"loss": loss.detach().flatten(), "gradient": student.grad}


def agrees(expected, found):
    return all(
        torch.allclose(value, found[name], 1e-3, 1e-4) for name, value in expected.items()
    )


hints = [
    "Two parts. The hard one: nn.functional.cross_entropy(student, labels), no temperature.",
    "The soft one: kl_div of torch.log_softmax(student / T, dim=-1) and the same of the teacher, in this order.",
    "`alpha * T**2 * soft + (1 - alpha) * hard`",
]
example = "one row, two classes, alpha = 1. If the student's logits are the teacher's, the loss is 0, whatever T and the label are."
misconceptions = [
    (
        "def distill_loss(student, teacher, labels, T, alpha):\n    F = nn.functional\n    soft = F.kl_div(torch.log_softmax(student / T, -1), torch.log_softmax(teacher / T, -1), reduction='batchmean', log_target=True)\n    return alpha * soft + (1 - alpha) * F.cross_entropy(student, labels)",
        "T² is missing",
    ),
    (
        "def distill_loss(student, teacher, labels, T, alpha):\n    F = nn.functional\n    soft = F.kl_div(torch.log_softmax(teacher / T, -1), torch.log_softmax(student / T, -1), reduction='batchmean', log_target=True)\n    return alpha * T**2 * soft + (1 - alpha) * F.cross_entropy(student, labels)",
        "student's log shares first",
    ),
    (
        "def distill_loss(student, teacher, labels, T, alpha):\n    F = nn.functional\n    soft = F.kl_div(torch.log_softmax(student / T, -1), torch.log_softmax(teacher / T, -1), reduction='batchmean', log_target=True)\n    return (1 - alpha) * T**2 * soft + alpha * F.cross_entropy(student, labels)",
        "wrong way round",
    ),
    (
        "def distill_loss(student, teacher, labels, T, alpha):\n    F = nn.functional\n    p, q = torch.log_softmax(teacher / T, -1), torch.log_softmax(student / T, -1)\n    return alpha * T**2 * (p.exp() * (p - q)).mean() + (1 - alpha) * F.cross_entropy(student, labels)",
        "rows *and* classes",
    ),
    (
        "def distill_loss(student, teacher, labels, T, alpha):\n    F = nn.functional\n    soft = F.kl_div(torch.log_softmax(student / T, -1), torch.log_softmax(teacher / T, -1), reduction='batchmean', log_target=True)\n    return alpha * T**2 * soft + (1 - alpha) * F.cross_entropy(student / T, labels)",
        "everyday cross-entropy",
    ),
]

# %% [markdown]
# Does $T^2$ do what was promised? The size of the gradient, at four temperatures, teacher only:

# %%
some, labels = torch.tensor(noted[:16]), torch.tensor(learn["labels"][:16])
for T in (1, 2, 4, 8):
    student = (some / 2).requires_grad_()
    distill_loss(student, some, labels, T, 1.0).backward()
    size_of = student.grad.norm().item()
    print(f"T = {T}: gradient {size_of:.4f} with T², {size_of / T**2:.4f} without")

# %% [markdown]
# ### Does the teacher help?
#
# That needs a fair opponent. And there are *two* things a teacher can give: its layers to start from, and its answers
# to learn from. Three students, all with three layers, all with the same steps over the same sentences:
#
# - **alone**: three layers of the *pretrained* encoder, labels only. It has never heard of the teacher.
# - **heir**: three layers of the *teacher*, labels only.
# - **pupil**: three layers of the teacher, labels *and* the teacher's answers.
#
# $T = 2$ and $\alpha = 0.7$ were chosen before, by nobody's result. Put your money down:

# %%
pupil_guess = widgets.predict(
    "compression-pupil", "Pupil minus alone, over all seeds", -10, 20, "points"
)

# %%
T, alpha = 2.0, 0.7


class WithTeacher(Trainer):
    """Learns from labels and from the logits that the teacher left beside them."""

    def compute_loss(self, model, inputs, return_outputs=False, **more):
        wanted = inputs.pop("teacher")
        outputs = model(**inputs)
        student = outputs.logits.float()
        loss = distill_loss(student, wanted, inputs["labels"], T, alpha)
        return (loss, outputs) if return_outputs else loss


# %%
students = {
    "alone": lambda seed: fit(cut(fresh(seed), keep), "alone", seed, learn),
    "heir": lambda seed: fit(cut(teacher, keep), "heir", seed, learn),
    "pupil": lambda seed: fit(
        cut(teacher, keep), f"pupil-T{T:g}-alpha{alpha:g}", seed, lesson, WithTeacher
    ),
}

# %%
seeds = settings.pick(smoke=[1], cpu=[1, 2, 3])
trained = {name: [make(seed) for seed in seeds] for name, make in students.items()}
for name, each in trained.items():
    right[name] = np.array([answers(model) for model in each])
    megabytes[name] = weigh(each[0].state_dict())
    scores = ", ".join(f"{100 * score:.1f}" for score in right[name].mean(axis=1))
    print(f"{name:<6} {scores}   mean {right[name].mean():.1%}")

# %%
margin = 0.02  # what we are ready to lose, written down at the top
pairs = [("pupil", "alone"), ("pupil", "heir"), ("heir", "alone")]
versus = {
    f"{a} minus {b}": metrics.compare(right[a], right[b], margin=margin) for a, b in pairs
}
for name, verdict in versus.items():
    print(f"{name}: {verdict}")
helped = versus["pupil minus alone"]
pupil_guess.compare(round(100 * helped.estimate, 1))

# %%
title = f"Pupil minus alone: {helped}"
figure = plots.interval_bars(
    list(versus),
    [verdict.points for verdict in versus.values()],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="points of accuracy, with 95 % intervals",
)
plots.show(figure, alt=f"Differences between the three students. {title}.")

# %% [markdown]
# Read the words at the ends of the lines, not the heights of the dots. *Pupil minus alone* is what an advertisement
# for distillation quotes. The other two say where it comes from: from the answers (*pupil minus heir*), or from the
# inherited layers (*heir minus alone*).
#
# Do not be surprised if the answers add little here. Hinton's students had many classes, and a soft label over ten
# digits tells that this 7 looks like a 1. With two classes it is a single number: how sure. Distillation also shines
# where there are no labels at all: a teacher can answer any sentence you find, and we gave it none beyond those that had
# labels already.

# %% [markdown]
# ## Fewer bits
#
# Day 7 went down to four bits with a code book. Eight bits need none: whole numbers from −127 to 127, and a scale. One
# scale for each *row* of a matrix, so that one large weight spoils only its own row.


# %% tags=["exercise"] exercise="technique_compression/int8" answer="to_int8" minutes=8 difficulty=2
# W: a float matrix (rows, columns). Return two tensors: numbers of type torch.int8, as large as
# W, and scales (rows,), so that numbers * scale of the row is as close to W as can be. The
# largest absolute value of a row becomes 127 or -127; a row of zeros has the scale 1.
def to_int8(W): ...


# <solution>
def to_int8(W):
    largest = W.abs().amax(dim=1)
    scales = torch.where(largest > 0, largest / 127, 1.0)
    return (W / scales[:, None]).round().to(torch.int8), scales


# </solution>


# %% tags=["check"] exercise="technique_compression/int8"
def check(answer):
    W = torch.tensor([[0.1, -1.27, 0.508], [0.0, 0.0, 0.0], [20.0, 127.0, -63.6]])
    result = answer(W.clone())
    if not (isinstance(result, tuple | list) and len(result) == 2):
        return "Two tensors are asked for: return numbers, scales."
    numbers, scales = result
    if scales.numel() == 1:
        return "One scale for all rows: the 127 below makes the first row 0, -1, 1. Every row has its own."
    if scales.shape != (3,):
        return f"Three rows are three scales, shape (3,); yours have the shape {tuple(scales.shape)}."
    if numbers.shape != W.shape:
        return f"The numbers have the shape {tuple(numbers.shape)}; they are as many as the weights: {tuple(W.shape)}."
    if not (scales.isfinite().all() and scales[1] > 0):
        return "The row of zeros has the scale 0 (or no number at all), and one cannot divide by it. Give it the scale 1."
    if numbers.dtype != torch.int8:
        return f"The numbers are of type {numbers.dtype}, so nothing is saved: torch.int8 takes one byte each."
    rows = numbers.tolist()
    if torch.allclose(scales[[0, 2]], torch.tensor([1.27, 127.0]) / 128, atol=1e-6):
        return "127 steps lie above zero, not 128: int8 ends at 127, and a weight at +128 would come back as -128."
    if torch.allclose(scales[[0, 2]], torch.tensor([0.508, 127.0]) / 127, atol=1e-6):
        return "The scale of the first row comes from 0.508, but its largest *absolute* weight is 1.27."
    if rows[2][2] == -63:
        return "-63.6 became -63: a conversion to int8 cuts the decimals off. Round first."
    if not torch.allclose(scales[[0, 2]], torch.tensor([0.01, 1.0]), atol=1e-6):
        return f"The scales of the first and last row should be 0.01 and 1; yours are {scales[[0, 2]].tolist()}."
    if rows != [[10, -127, 51], [0, 0, 0], [20, 127, -64]]:
        return f"The scales are right, the numbers are not: {rows[0]} for the first row, which should be [10, -127, 51]."
    return None if scales[1] == 1 else "The row of zeros should have the scale 1."


def inputs(draw):
    for shape in ((4, 7), (1, 5), (6, 1), (20, 30)):
        yield torch.tensor(draw.normal(size=shape)).float()
    mixed = torch.tensor(draw.normal(size=(5, 6))).float()
    mixed[2] = 0
    mixed[3] *= 1000
    yield mixed
    yield -mixed.abs()


def agrees(expected, found):
    (numbers, scales), (others, theirs) = expected, found
    return (
        others.dtype == torch.int8
        and numbers.shape == others.shape
        and scales.shape == theirs.shape
        and torch.allclose(scales, theirs.float(), 1e-4)
        and (numbers != others).float().mean() <= 0.01  # ties may round either way
    )


hints = [
    "The scale of a row is its largest absolute value, divided by 127.",
    "`W.abs().amax(dim=1)`; then `torch.where(largest > 0, largest / 127, 1.0)`.",
    "Divide every row by its scale (`scales[:, None]`), `.round()`, and only then `.to(torch.int8)`.",
]
misconceptions = [
    (
        "def to_int8(W):\n    scale = W.abs().max() / 127\n    return (W / scale).round().to(torch.int8), scale",
        "One scale for all rows",
    ),
    (
        "def to_int8(W):\n    largest = W.abs().amax(dim=1)\n    scales = torch.where(largest > 0, largest / 127, 1.0)\n    return (W / scales[:, None]).to(torch.int8), scales",
        "Round first",
    ),
    (
        "def to_int8(W):\n    largest = W.abs().amax(dim=1)\n    scales = torch.where(largest > 0, largest / 128, 1.0)\n    return (W / scales[:, None]).round().to(torch.int8), scales",
        "127 steps",
    ),
    (
        "def to_int8(W):\n    largest = W.abs().amax(dim=1)\n    scales = torch.where(largest > 0, largest / 127, 1.0)\n    return (W / scales[:, None]).round(), scales",
        "nothing is saved",
    ),
    (
        "def to_int8(W):\n    scales = W.abs().amax(dim=1) / 127\n    return (W / scales[:, None]).nan_to_num().round().to(torch.int8), scales",
        "row of zeros has the scale 0",
    ),
    (
        "def to_int8(W):\n    largest = W.amax(dim=1)\n    scales = torch.where(largest > 0, largest / 127, 1.0)\n    return (W / scales[:, None]).round().to(torch.int8), scales",
        "largest *absolute*",
    ),
]


# %% [markdown]
# Two files now. One as PyTorch does it, linear layers only; and one with the dictionary as well, which is a matrix like any
# other: a row for each word piece.


# %%
def packed(model, dictionary=True):
    """Matrices as int8 with a scale per row; everything else as it is."""
    small = {}
    for name, part in model.state_dict().items():
        if part.ndim == 2 and (dictionary or "embeddings" not in name):
            small[name], small[f"{name}.scale"] = to_int8(part)
        else:
            small[name] = part
    return small


def unpacked(path, model):
    """A copy of the model with the weights of such a file, in 32 bits again."""
    held, wide = load_file(path), copy.deepcopy(model)
    state = {name: held[name].float() for name in wide.state_dict()}
    for name, part in held.items():
        if name.endswith(".scale"):
            state[name.removesuffix(".scale")] *= part[:, None]
    wide.load_state_dict(state)
    return wide.eval()


# %%
linear_only = weigh(packed(teacher, dictionary=False))
everything = weigh(packed(teacher), "int8")
print(f"linear layers only: {linear_only:.1f} MB (counted above: {expected:.1f})")
factor = megabytes["whole"] / everything
print(f"and the dictionary: {everything:.1f} MB, a factor of {factor:.1f}")
back = unpacked(folder / "int8.safetensors", teacher)
print(f"{answers(back).mean():.1%} right after loading; {right['whole'].mean():.1%} before")

# %% [markdown]
# There is the factor of four, and it took one word: *all*. But mind what was paid. The file is small on the disk and on
# the line; once loaded, the numbers are widened to 32 bits again and every multiplication is as long as before. The
# bill of *time* needs a program that multiplies in int8. PyTorch has one: `quantize_dynamic` replaces the linear layers,
# and turns what flows into them into int8 too, on the fly (hence *dynamic*).


# %%
def in_int8(model):
    """A copy whose linear layers multiply whole numbers. It runs on processors, not on GPUs."""
    with warnings.catch_warnings():
        # PyTorch announces that this will move to another package, torchao.
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


# %%
quick = in_int8(back)
print(quick.bert.encoder.layer[0].intermediate.dense)
print(
    "this processor:",
    torch.backends.cpu.get_cpu_capability(),
    torch.get_num_threads(),
    "threads",
)
print("int8 by:", torch.backends.quantized.engine)
int8_time = {
    batch: stopwatch({"whole": teacher, "int8": quick}, batch, rounds[batch])
    for batch in rounds
}
for batch, times in int8_time.items():
    print(f"batch of {batch:>2}: {times['int8'] / times['whole']:.2f} of the time")

# %% [markdown]
# Whether that number is below one depends on the *processor*. Newer ones have units that multiply many bytes at once
# (on Intel and AMD called VNNI, on ARM the dot product instructions). An older one has to widen the bytes first and may
# gain little or nothing; on a GPU these layers do not run at all. So a time in int8 is a statement about one machine:
# measure on the one that matters. (Another road to the same place is ONNX, a file format with its own quick runtime; it
# is in the course's `export` extra, a topic for later, and no cell here needs it.)

# %% [markdown]
# ## One table
#
# The ways can be combined: a pupil of three layers, packed into int8 with its dictionary. Every quantised row of the
# table comes *from its file*: packed, written, read back, then run in int8.


# %%
def delivered(model, name):
    """From a model to its int8 file and from the file to what runs."""
    megabytes[name] = weigh(packed(model), name)
    return in_int8(unpacked(folder / f"{name}.safetensors", model))


forms = {"whole": teacher, "half zeros": half, "three layers cut out": raw}
forms |= {name: each[0] for name, each in trained.items()}
forms["int8"] = delivered(teacher, "int8")
right["int8"] = answers(forms["int8"])
small_ones = [delivered(model, "pupil in int8") for model in trained["pupil"]]
forms["pupil in int8"] = small_ones[0]
right["pupil in int8"] = np.array([answers(model) for model in small_ones])
p50 = {batch: stopwatch(forms, batch, rounds[batch]) for batch in rounds}

# %%
against = {
    name: metrics.compare(right[name], right["whole"], margin=margin)
    for name in forms
    if name != "whole"
}
table = pd.DataFrame(
    {
        "MB": {name: round(megabytes[name], 1) for name in forms},
        "ms alone": {name: round(p50[1][name], 2) for name in forms},
        "ms in 32": {name: round(p50[32][name], 2) for name in forms},
        "% right": {name: round(100 * right[name].mean(), 1) for name in forms},
        "against the whole: verdict": {name: str(found) for name, found in against.items()},
    }
).loc[list(forms)]
table.fillna("")

# %% [markdown]
# Rows with one model (*whole*, *half zeros*, *cut out*, *int8*) speak of that model; the students' rows speak of three
# runs, and their intervals hold what another seed might have done. Now the bargain, as it was written at the top.

# %%
for name, found in against.items():
    bytes_left = megabytes[name] / megabytes["whole"]
    time_left = p50[1][name] / p50[1]["whole"]
    loss = "safely within" if found.low >= -margin else "not shown within"
    met = bytes_left <= 0.5 and time_left <= 0.5 and found.low >= -margin
    print(
        f"{name:<21} bytes {bytes_left:.2f}, time {time_left:.2f}, "
        f"{loss} {100 * margin:.0f} points{'   <- all three' if met else ''}"
    )

# %%
labels = [f"{name}: {megabytes[name]:.0f} MB, {p50[1][name]:.1f} ms" for name in against]
smallest = min(megabytes, key=megabytes.get)
title = f"The smallest, {smallest}: {against[smallest]}"
figure = plots.interval_bars(
    labels,
    [found.points for found in against.values()],
    reference=0,
    reference_label="the whole model",
    title=title,
    xlabel="points of accuracy against the whole model, with 95 % intervals",
)
plots.show(figure, alt=f"Accuracy lost by each way of making the model smaller. {title}.")

# %% [markdown]
# *Safely within* asks for the whole interval above minus two points, which is a stern question: with these few
# sentences, a model that loses nothing may still fail to show it. More sentences for judging are the cheapest cure.
#
# What the three ways are for does not depend on the machine. Zeros pay no bill, unless a program knows how to skip
# them. Fewer layers pay the bill of time, and training has to mend what was broken. Fewer bits pay the bill of bytes, and
# of time where the processor helps; nothing is trained.

# %%
for name, value in {
    "outside_percent": outside,
    "whole_accuracy": right["whole"].mean(),
    "zeros_accuracy": right["half zeros"].mean(),
    "cut_accuracy": right["three layers cut out"].mean(),
    "alone_accuracy": right["alone"].mean(),
    "heir_accuracy": right["heir"].mean(),
    "pupil_accuracy": right["pupil"].mean(),
    "pupil_minus_alone_points": 100 * helped.estimate,
    "int8_accuracy": right["int8"].mean(),
    "linear_only_megabytes": linear_only,
    "int8_megabytes": megabytes["int8"],
    "pupil_int8_megabytes": megabytes["pupil in int8"],
    "zeros_time_ratio": zeros_ratio,
    "pupil_time_ratio": p50[1]["pupil"] / p50[1]["whole"],
    "int8_time_ratio": p50[1]["int8"] / p50[1]["whole"],
}.items():
    tracking.record(name, float(value))

# %% [markdown]
# Which one goes into the box? Two sentences, with one number of yours in each, and what you would measure before you
# sign.

# %%
# For your journal (change the text and run the cell).
my_choice = "…"
if my_choice != "…":
    progress.write_journal("technique_compression", my_choice)

# %% [markdown]
# ## Take it with you
#
# - Count before you compress: bytes and time sit in different parts of a model.
# - A compressed model is a *new* model. It gets its own accuracy, with an interval, on sentences that chose nothing.
# - Distillation has an opponent: the same small model, as many steps, no teacher.
# - Weigh the file, time the machine it will run on, and believe no factor on a label.

# %% tags=["quiz"]
quiz = [
    {
        "question": "Half of all weights are set to zero, one by one, wherever they are smallest. What happens to the safetensors file?",
        "choices": [
            (
                "Nothing: it is as long as before.",
                "Right. A zero takes as many bytes as any other number.",
                True,
            ),
            (
                "It is half as long.",
                "Only if the zeros were left out, and then the file would have to say where the others belong.",
                False,
            ),
            (
                "It is a little longer, because of the masks.",
                "While the masks are there it is much longer; after prune.remove they are gone.",
                False,
            ),
        ],
        "proof": """
import torch
from safetensors.torch import save
W = torch.randn(64, 64)
thin = torch.where(W.abs() < W.abs().median(), 0.0, W)
assert (thin == 0).float().mean() > 0.45
assert len(save({"W": W})) == len(save({"W": thin}))
""",
    },
    {
        "question": "A model has 100 million numbers; 40 million of them lie in linear layers. Only these go from 32 bits to 8. By what factor does it shrink?",
        "choices": [
            ("4.", "That would need all of it in 8 bits.", False),
            ("About 1.4.", "Right: 400 MB become 60 · 4 + 40 · 1 = 280 MB.", True),
            (
                "1.6.",
                "40 percent of 4 is no way to count: add up the bytes that remain.",
                False,
            ),
        ],
        "proof": "assert round(100 * 4 / (60 * 4 + 40 * 1), 1) == 1.4",
    },
    {
        "question": "A colleague: 'Our distilled student has 91 %, the teacher 92 %. Distillation works.' What is missing?",
        "choices": [
            (
                "The student's size.",
                "Worth knowing, but it does not say whether the teacher's answers did anything.",
                False,
            ),
            (
                "The same small model trained on labels alone, equally long, over seeds.",
                "Right. It may have 91 % as well; then the teacher did nothing.",
                True,
            ),
            (
                "A higher temperature.",
                "A setting to try. It is no evidence either way.",
                False,
            ),
        ],
    },
    {
        "question": "The soft part of the loss loses its factor T², and T goes from 1 to 4. What does the student notice?",
        "choices": [
            (
                "The teacher's part pulls roughly sixteen times more weakly beside the labels.",
                "Right: gradients of the soft part shrink by about 1/T².",
                True,
            ),
            (
                "Nothing: the optimum is the same.",
                "The optimum of the soft part alone is. Beside the labels, its weight decides.",
                False,
            ),
            (
                "It learns sixteen times faster.",
                "The gradient shrinks, it does not grow.",
                False,
            ),
        ],
        "proof": """
import torch
teacher = torch.tensor([[0.3, -0.2]])
def pull(T):
    s = torch.tensor([[0.1, 0.0]], requires_grad=True)
    p, q = torch.log_softmax(teacher / T, -1), torch.log_softmax(s / T, -1)
    (p.exp() * (p - q)).sum().backward()
    return s.grad.norm().item()
assert 14 < pull(1) / pull(4) < 18
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Other layers.** `keep = [3, 4, 5]`, `[0, 1, 2]`, `[0, 5]`. Choose on validation, with a seed that does not judge.
# - **Sentences without labels.** Give the teacher the Amazon sentences, hide their labels, and let the pupil learn
#   with $\alpha = 1$. This is what *alone* cannot do.
# - **A slim middle.** Each layer widens 384 numbers to 1,536 and back. Remove the half of these units with the smallest
#   rows, in both matrices, and set `config.intermediate_size`. A structured cut that keeps all six layers.
# - **Your machine.** `torch.set_num_threads(1)` and the table once more: what a small box would see.
#
# **Read.** Hinton and others (2015) is eight pages, and the second holds the $T^2$. DistilBERT is this lesson at full
# size: every second layer of BERT, and a whole library of text for the lessons. Han and others (2015) show how far
# zeros go when one trains between the cuts. Jacob and others (2018) explain how a processor gets by on whole numbers.
# What happens once the small model is out: [serving](../../curriculum/guides/serving.md).
