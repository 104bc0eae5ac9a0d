# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import copy
import hashlib
import json
import time

import mlflow
import numpy as np
import pandas as pd
import torch
from torch import nn

from labhelpers import data, exercise, memory, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, training, widgets

lab = settings.start("day16")

# %% [markdown]
# ## Why today matters
#
# LoRA has had children: rsLoRA, LoRA+, DoRA, AdaLoRA, PiSSA, OLoRA, EVA, LoRA-FA, VeRA, IA³. Each paper has a table in which
# the newborn is ahead of its parent. Which one should you take?
#
# The makers of PEFT asked the same. They trained them all on one model (Llama-3.2-3B) and one task, 63 runs, and
# tested each on the same 1,319 school-maths questions. It is the largest such table there is. Here is a part of it:

# %%
published = {  # right answers (%); huggingface/peft, method_comparison, read in August 2026
    "Lily, r = 140": 52.6,
    "rsLoRA, r = 64": 51.3,
    "LoRA, r = 10, feed-forward": 49.4,
    "LoRA, r = 64": 47.4,
    "full fine-tuning": 47.2,
    "DoRA, r = 32": 46.9,
    "IA³, rate 5e-3, more layers": 45.5,
    "LoRA-FA, r = 32": 40.4,
    "IA³, rate 1e-3": 39.8,
    "AdaLoRA, r = 32": 37.3,
    "prompt tuning, tuned": 34.3,
    "IA³, rate 1e-4": 31.1,
}
reference, questions = 47.8, 1319  # LoRA, r = 32 on query and value
for name, score in published.items():
    print(f"{name:<28} {score:.1f} %   {score - reference:+5.1f} points against LoRA")

# %% [markdown]
# The best row leads by almost five points, and it is tempting to stop reading here. How many of these twelve can be told
# from plain LoRA at all, if other questions had been drawn?

# %%
published_guess = widgets.predict(
    "day16-published", "Of the 12 rows, so many can be told from LoRA, r = 32", 0, 12, "rows"
)

# %% [markdown]
# ## A table of 63 runs, read again
#
# Each run tells us one share, of 1,319 questions. Which questions each model got right is not published. So the
# paired comparison that you know is out of reach, and the two shares count as two separate counts.
#
# The variance of a share $p$ of $n$ questions is $p(1-p)/n$. Variances of two separate shares add up, also where we
# subtract the shares: both contribute their own luck.


# %% tags=["exercise"] exercise="day16/apart" answer="apart" minutes=5 difficulty=1
# a, b: shares of right answers (0 to 1) of two models, on n questions each. No more is known.
# Return the two ends, low and high, of a 95 % interval for a - b.
def apart(a, b, n): ...


# <solution>
def apart(a, b, n):
    half = 1.96 * ((a * (1 - a) + b * (1 - b)) / n) ** 0.5
    return a - b - half, a - b + half


# </solution>


# %% tags=["check"] exercise="day16/apart"
def check(answer):
    found = answer(0.5, 0.4, 600)
    if not isinstance(found, tuple | list | np.ndarray) or len(found) != 2:
        return "Two numbers are asked for: return low, high."
    low, high = map(float, found)
    middle, half = (low + high) / 2, (high - low) / 2
    if half < 0:
        return "The lower end comes first, please."
    if abs(middle - 0.1) > 1e-6:
        return f"For shares of 0.5 and 0.4 the interval should lie around 0.1; yours lies around {middle:.3f}."
    replies = {
        0.0286: "That is one standard error to each side. Such an interval misses the truth one time in three; 95 % take 1.96 of them.",
        0.0400: "Only one of the two models has luck in your formula. The other was drawn, too: add its variance.",
        0.0392: "Only one of the two models has luck in your formula. The other was drawn, too: add its variance.",
        0.0792: "You added two half-widths. Variances add up, half-widths do not: the two will hardly ever be unlucky in opposite directions at once.",
        0.0016: "The root is missing: that is on the scale of a variance.",
    }
    for value, reply in replies.items():
        if abs(half - value) < 0.0002:
            return reply
    if abs(half - 0.056) < 0.0015:
        return None
    return f"For 0.5 and 0.4 of 600 questions the interval reaches 0.056 to each side; yours reaches {half:.4f}."


def inputs(draw):
    for n in (1, 50, 1319, 100_000):
        yield 0.478, 0.478, n
        yield float(draw.random()), float(draw.random()), n
    yield 1.0, 0.5, 200
    yield 0.0, 1.0, 200


def agrees(expected, found):
    width = expected[1] - expected[0]
    return np.allclose(expected, found, rtol=0, atol=0.02 * width + 1e-9)


hints = [
    "The variance of a - b is a (1 - a) / n plus b (1 - b) / n.",
    "Its root is the standard error; 1.96 of those to each side of a - b.",
]
misconceptions = [
    (
        "def apart(a, b, n):\n    half = ((a * (1 - a) + b * (1 - b)) / n) ** 0.5\n    return a - b - half, a - b + half",
        "one standard error",
    ),
    (
        "def apart(a, b, n):\n    half = 1.96 * (a * (1 - a) / n) ** 0.5\n    return a - b - half, a - b + half",
        "Only one of the two",
    ),
    (
        "def apart(a, b, n):\n    half = 1.96 * ((a * (1 - a) / n) ** 0.5 + (b * (1 - b) / n) ** 0.5)\n    return a - b - half, a - b + half",
        "half-widths do not",
    ),
    (
        "def apart(a, b, n):\n    half = 1.96 * (a * (1 - a) + b * (1 - b)) / n\n    return a - b - half, a - b + half",
        "root is missing",
    ),
]

# %%
reread = {
    name: [100 * end for end in apart(score / 100, reference / 100, questions)]
    for name, score in published.items()
}
told = [name for name, (low, high) in reread.items() if low > 0 or high < 0]
half_width = np.mean([(high - low) / 2 for low, high in reread.values()])
print(f"on average ± {half_width:.1f} points; told from LoRA: {len(told)} of {len(published)}")
published_guess.compare(len(told))


# %%
def with_questions(n=questions):
    ends = {
        name: [100 * end for end in apart(score / 100, reference / 100, n)]
        for name, score in published.items()
    }
    clear = sum(low > 0 or high < 0 for low, high in ends.values())
    title = f"With {n:,} questions, {clear} of {len(ends)} differ from LoRA"
    figure = plots.interval_bars(
        list(ends),
        [(published[name] - reference, *both) for name, both in ends.items()],
        reference=0,
        reference_label="LoRA, r = 32",
        title=title,
        xlabel="points, 95 % interval, unpaired",
    )
    plots.show(figure, alt=f"Twelve published results against LoRA, with intervals. {title}.")


widgets.explore(with_questions, n=[300, questions, 5000, 20000])

# %% [markdown]
# DoRA, full fine-tuning, more rank, other places, rsLoRA: none of them can be told from plain LoRA. What can be told is
# mostly *below* it. (The one row above is the best of 63, picked after looking;
# [the guide](../../curriculum/guides/lora_variants.md) computes how often luck alone finds such a gap.) Two more things
# are hidden in this table, and neither can be cured by more questions.
#
# **One seed.** Every run has seed 0. Our intervals say what other *questions* might have done, and nothing about
# another *start*. Where the authors ran one setting twice, it moved by one to two points (pull requests 2824, 3337).
#
# **The rate.** Look at the three rows of IA³. Same method, same questions, and the distances between them:

# %%
low, middle, high = sorted(score for name, score in published.items() if "IA³" in name)
print(f"IA³, ten times the rate: {middle - low:+.1f} points")
print(f"IA³, another five times, and more layers: {high - middle:+.1f} points")
print(f"the best of 63 runs minus LoRA: {published['Lily, r = 140'] - reference:+.1f} points")

# %% [markdown]
# The learning rate alone moved one method by almost twice the lead of the winner. A table in which each method has *a* rate,
# and not *its* rate, compares rates.
#
# So today's plan: meet the family, then make the table that is missing. Equal numbers of trained weights, each method at
# its own rate, five seeds that had no say in that rate, paired intervals, time and memory beside it. Small, but honest.
#
# ## One matrix, and what each child changes
#
# <!-- asked: D16-T1 -->
# LoRA's matrix is $W + s\,BA$: $A$ random, $B$ zero, $s = \alpha/r$. Everything that can be turned in it has been turned.
#
# | name | turns | in one line |
# |---|---|---|
# | QLoRA (2023) | $W$ | it lies there in four bits; Day 7 |
# | rsLoRA (2023) | $s$ | $\alpha/\sqrt r$ in place of $\alpha/r$ |
# | LoRA+ (2024) | the optimiser | $B$ learns with 16 times the rate of $A$ |
# | LoRA-FA (2023) | what trains | $A$ stays as it was drawn |
# | DoRA (2024) | the form | direction and length of each row apart |
# | PiSSA, OLoRA (2024) | the start | $BA$ begins as a strong part of $W$ itself |
# | EVA (2024) | the start | $A$ begins where the *inputs* vary most |
# | AdaLoRA (2023) | the rank | weak directions are struck out on the way |
# | VeRA (2024) | almost all | $A$, $B$ random, frozen, shared; two vectors train |
# | IA³ (2022) | the idea | no detour: one factor per channel |
#
# Three of these deserve a matrix. Ours is the first *query* of the encoder.

# %%
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

set_seed(lab.seed)
base = AutoModelForSequenceClassification.from_pretrained(
    models.source("encoder"), num_labels=2, attn_implementation="eager"
)
for part in base.modules():  # Day 17 shows what dropout costs; here it would only add noise
    if isinstance(part, nn.Dropout):
        part.p = 0.0
query_value = models.lora_targets(base)
linear = {
    name: part
    for name, part in base.base_model.named_modules()
    if isinstance(part, nn.Linear) and "pooler" not in name
}
query = next(part for name, part in linear.items() if name.endswith(query_value[0]))
W = query.weight.detach().clone()
print(f"a matrix of {tuple(W.shape)}: {W.numel():,} numbers")

# %% [markdown]
# ### DoRA: length and direction
#
# A row of $W$ is one detector: it has a direction (what it looks for) and a length (how loudly it reports). LoRA
# turns both at once. The makers of DoRA saw that full fine-tuning often turns one without the other, and took them
# apart: a detour for the directions, one number per row for the lengths.


# %% tags=["exercise"] exercise="day16/dora" answer="dora" minutes=7 difficulty=2
# W: (out, in).  A: (r, in).  B: (out, r).  s: a number.  m: (out,), one length for each row.
# Return DoRA's matrix (out, in): W + s B A, with each row brought to the length that m says.
def dora(W, A, B, s, m): ...


# <solution>
def dora(W, A, B, s, m):
    moved = W + s * B @ A
    return m[:, None] * moved / moved.norm(dim=1, keepdim=True)


# </solution>


# %% tags=["check"] exercise="day16/dora"
def check(answer):
    torch.manual_seed(1)
    W, A, B, m = torch.randn(4, 4), torch.randn(2, 4), torch.randn(4, 2), torch.rand(4) + 0.5
    found = answer(W, A, B, 0.5, m)
    if not isinstance(found, torch.Tensor) or found.shape != W.shape:
        return "A matrix of the shape of W is asked for."
    moved = W + 0.5 * B @ A
    rows = moved.norm(dim=1, keepdim=True)
    wrong = {
        "You divide by the lengths of the *columns*. A detector is a row: the sum over its inputs, dim=1.": m[
            :, None
        ]
        * moved
        / moved.norm(dim=0, keepdim=True),
        "You divide by the lengths that the rows of W had. B A changes them: measure after the sum.": m[
            :, None
        ]
        * moved
        / W.norm(dim=1, keepdim=True),
        "One length for the whole matrix. Each row has its own.": m[:, None]
        * moved
        / moved.norm(),
        "m has been spread over the columns. `m[:, None]` gives one length to each row.": m
        * moved
        / rows,
        "The rows have length 1 now. Give each the length in m.": moved / rows,
        "s is missing: it scales B A before the sum.": m[:, None]
        * (W + B @ A)
        / (W + B @ A).norm(dim=1, keepdim=True),
    }
    for reply, value in wrong.items():
        if torch.allclose(found, value, atol=1e-5):
            return reply
    if torch.allclose(found, m[:, None] * moved / rows, atol=1e-5):
        return None
    if not torch.allclose(found.norm(dim=1), m, atol=1e-4):
        return "The rows of your matrix do not have the lengths in m."
    return "The lengths are right, the directions are not: they are those of W + s B A."


def inputs(draw):
    for out, into, r in ((1, 1, 1), (3, 5, 2), (6, 2, 1), (5, 5, 5)):
        shapes = (out, into), (r, into), (out, r)
        W, A, B = (torch.tensor(draw.normal(size=shape)).float() for shape in shapes)
        yield W, A, B, float(draw.random() * 3), torch.tensor(draw.random(out) + 0.1).float()
    yield W, A, 0 * B, 2.0, W.norm(dim=1)  # the start: W itself


hints = [
    "First the sum, as in LoRA. `.norm(dim=1, keepdim=True)` are the lengths of its rows.",
    "Divide by them, then multiply by `m[:, None]`.",
]
misconceptions = [
    (
        "def dora(W, A, B, s, m):\n    moved = W + s * B @ A\n    return m[:, None] * moved / moved.norm(dim=0, keepdim=True)",
        "columns",
    ),
    (
        "def dora(W, A, B, s, m):\n    return m[:, None] * (W + s * B @ A) / W.norm(dim=1, keepdim=True)",
        "rows of W had",
    ),
    (
        "def dora(W, A, B, s, m):\n    moved = W + s * B @ A\n    return m[:, None] * moved / moved.norm()",
        "whole matrix",
    ),
    (
        "def dora(W, A, B, s, m):\n    moved = W + s * B @ A\n    return m * moved / moved.norm(dim=1, keepdim=True)",
        "spread over the columns",
    ),
]

# %% [markdown]
# Is it what PEFT computes when one writes `use_dora=True`? A layer of its own, a $B$ that is not zero, lengths of our
# own, and one input:

# %%
torch.manual_seed(0)
recipe = LoraConfig(r=4, lora_alpha=8, use_dora=True, target_modules=["0"])
layer = get_peft_model(nn.Sequential(copy.deepcopy(query)), recipe).base_model.model[0]
lengths = W.norm(dim=1) * (1 + 0.1 * torch.rand(len(W)))
with torch.no_grad():
    layer.lora_B["default"].weight.normal_(std=0.1)
    layer.lora_magnitude_vector["default"].weight.copy_(lengths)
    x = torch.randn(1, W.shape[1])
    A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    by_hand = x @ dora(W, A, B, 8 / 4, lengths).T + query.bias
    dora_error = (by_hand - layer(x)).abs().max().item()
print(f"largest difference between your DoRA and PEFT's: {dora_error:.0e}")

# %% [markdown]
# ### PiSSA: begin with the strong part
#
# LoRA begins beside $W$, with nothing. PiSSA takes the strongest $r$ directions *out of* $W$, trains those, and
# freezes the rest. The singular value decomposition $W = U S V^\top$ lists the directions by strength. How much of $W$ do
# the first few hold?

# %%
strength = torch.linalg.svdvals(W)
share = (strength**2).cumsum(0) / (strength**2).sum()
shown_ranks = [1, 2, 4, 8, 16, 32, 64, 128, 256, len(strength)]
drawn = torch.randn(W.shape, generator=torch.Generator().manual_seed(0))
noise = torch.linalg.svdvals(drawn) ** 2
curves = {
    "query matrix": [100 * share[r - 1].item() for r in shown_ranks],
    "random matrix": [100 * (noise.cumsum(0) / noise.sum())[r - 1].item() for r in shown_ranks],
}

# %%
at_16 = {name: values[shown_ranks.index(16)] for name, values in curves.items()}
title = "16 of {} directions hold {:.0f} % of W, of a random matrix {:.0f} %".format(
    len(strength), *at_16.values()
)
figure = plots.lines(
    shown_ranks,
    curves,
    log_x=True,
    title=title,
    xlabel="directions kept (log scale)",
    ylabel="share of the squared size (%)",
)
plots.show(figure, alt=f"Share of a matrix held by its strongest directions. {title}.")


# %% tags=["exercise"] exercise="day16/pissa" answer="pissa" minutes=8 difficulty=2
# W: (out, in).  r: how many directions to take out.
# Return three tensors: rest (out, in), A (r, in), B (out, r).
#   B @ A holds the r strongest directions of W; a singular value is shared evenly, its root in
#   A and its root in B.  rest + B @ A is W.
def pissa(W, r): ...


# <solution>
def pissa(W, r):
    U, S, V = torch.linalg.svd(W, full_matrices=False)
    root = S[:r].sqrt()
    A, B = root[:, None] * V[:r], U[:, :r] * root
    return W - B @ A, A, B


# </solution>


# %% tags=["check"] exercise="day16/pissa"
def check(answer):
    torch.manual_seed(1)
    W = torch.randn(6, 5)
    found = answer(W, 2)
    if not (isinstance(found, tuple | list) and len(found) == 3):
        return "Three tensors are asked for: return rest, A, B."
    rest, A, B = found
    if tuple(A.shape) == (6, 2) and tuple(B.shape) == (2, 5):
        return (
            "The other way round: A reads the inputs, (r, in); B writes the outputs, (out, r)."
        )
    if (tuple(A.shape), tuple(B.shape)) != ((2, 5), (6, 2)):
        return f"For a matrix of 6 × 5 and r = 2, A is (2, 5) and B (6, 2); yours are {tuple(A.shape)} and {tuple(B.shape)}."
    U, S, V = torch.linalg.svd(W, full_matrices=False)
    product, best = B @ A, U[:, :2] * S[:2] @ V[:2]
    if torch.allclose(product, U[:, -2:] * S[-2:] @ V[-2:], atol=1e-4):
        return "Those are the weakest directions. The list begins with the strongest."
    if torch.allclose(product, U[:, :2] * S[:2] ** 2 @ V[:2], atol=1e-4):
        return "Each singular value stands in A and in B, so the product has its square. A root in each, please."
    if torch.allclose(product, U[:, :2] @ V[:2], atol=1e-4):
        return "The directions are right, their strengths are gone: S is missing."
    if not torch.allclose(product, best, atol=1e-4):
        return "B @ A is not the part of W that its two strongest directions make."
    if torch.allclose(rest, W, atol=1e-4):
        return "W is still whole, and B A comes on top: the model would begin with its strong part counted twice. Take it out."
    if not torch.allclose(rest + product, W, atol=1e-4):
        return "rest + B @ A should be W again: the model must begin as it was."
    if not torch.allclose(A.norm(dim=1), S[:2].sqrt(), atol=1e-4):
        return "The product is right, but one side holds all the strength. Share it evenly: the root of each singular value in A, and in B."
    return None


def inputs(draw):
    for out, into, r in ((1, 1, 1), (3, 7, 2), (7, 3, 3), (5, 5, 4)):
        yield torch.tensor(draw.normal(size=(out, into))).float(), r


def agrees(expected, found):
    (rest, A, B), (other, C, D) = expected, found  # signs of a direction are free
    pairs = ((rest, other), (B @ A, D @ C), (A.norm(dim=1), C.norm(dim=1)))
    return all(torch.allclose(one, two, atol=1e-4) for one, two in pairs)


hints = [
    "`U, S, V = torch.linalg.svd(W, full_matrices=False)`: columns of U, numbers in S, *rows* of V, strongest first.",
    "With root = S[:r].sqrt(): A is `root[:, None] * V[:r]`. And B?",
    "B is `U[:, :r] * root`, and what stays behind is W - B @ A.",
]
misconceptions = [
    (
        "def pissa(W, r):\n    U, S, V = torch.linalg.svd(W, full_matrices=False)\n    root = S[-r:].sqrt()\n    A, B = root[:, None] * V[-r:], U[:, -r:] * root\n    return W - B @ A, A, B",
        "weakest",
    ),
    (
        "def pissa(W, r):\n    U, S, V = torch.linalg.svd(W, full_matrices=False)\n    A, B = S[:r, None] * V[:r], U[:, :r] * S[:r]\n    return W - B @ A, A, B",
        "its square",
    ),
    (
        "def pissa(W, r):\n    U, S, V = torch.linalg.svd(W, full_matrices=False)\n    root = S[:r].sqrt()\n    return W, root[:, None] * V[:r], U[:, :r] * root",
        "counted twice",
    ),
    (
        "def pissa(W, r):\n    U, S, V = torch.linalg.svd(W, full_matrices=False)\n    A, B = V[:r], U[:, :r] * S[:r]\n    return W - B @ A, A, B",
        "Share it evenly",
    ),
]

# %%
recipe = LoraConfig(r=8, lora_alpha=8, init_lora_weights="pissa", target_modules=["0"])
layer = get_peft_model(nn.Sequential(copy.deepcopy(query)), recipe).base_model.model[0]
rest, A, B = pissa(W, 8)
theirs = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
print(f"largest difference of B A: {(theirs - B @ A).abs().max().item():.0e}")
print(f"largest difference of the rest: {(layer.weight - rest).abs().max().item():.0e}")

# %% [markdown]
# OLoRA takes its directions from a QR decomposition, a cheaper cousin. Mind what that means for the file that you save:
# an adapter of PiSSA belongs to *the rest*, not to $W$. PEFT takes the same directions out again when it loads it. With
# the fast approximate start, `pissa_niter_4`, it takes out slightly different ones, and the model that you load is not
# the one that you saved.
#
# ### All of them, in one word each
#
# In PEFT most children are one word in a config. Three questions to each: how many numbers train, does the model begin
# as it was, and which sides does the very first gradient reach? For the last one, a batch of sentences.

# %%
from peft import AdaLoraConfig, EvaConfig, IA3Config, VeraConfig, initialize_lora_eva_weights

tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
reviews = data.prepared("sentiment")
reviews.pop("test")  # opened once, on Day 4


def batch_of(rows):
    inputs = tokenizer(rows["text"], padding=True, return_tensors="pt")
    return {**inputs, "labels": torch.tensor(rows["label"])}


def short(split, tokens=18):
    """Sentences of at most so many tokens: today wants many small trainings."""
    counts = [len(ids) for ids in tokenizer(split["text"][:])["input_ids"]]
    return split.select([at for at, count in enumerate(counts) if count <= tokens])


first_batch = batch_of(reviews["train"][: settings.pick(smoke=4, cpu=16)])

# %%
eight = {"r": 8, "lora_alpha": 16, "target_modules": query_value}
configs = {
    "LoRA": LoraConfig(**eight),
    "rsLoRA": LoraConfig(**eight, use_rslora=True),
    "DoRA": LoraConfig(**eight, use_dora=True),
    "PiSSA": LoraConfig(**eight, init_lora_weights="pissa"),
    "OLoRA": LoraConfig(**eight, init_lora_weights="olora"),
    "EVA": LoraConfig(**eight, init_lora_weights="eva", eva_config=EvaConfig(rho=1.0)),
    "AdaLoRA": AdaLoraConfig(
        init_r=12, target_r=8, lora_alpha=16, total_step=100, target_modules=query_value
    ),
    "VeRA": VeraConfig(r=256, target_modules=query_value),
    "IA³": IA3Config(),
}


# %%
def first_look(config):
    """Numbers trained, change of the logits at the start, first gradients of A and B."""
    set_seed(lab.seed)
    eva = getattr(config, "init_lora_weights", None) == "eva"
    model = get_peft_model(copy.deepcopy(base), config, low_cpu_mem_usage=eva)
    if eva:  # it looks at inputs before A has any numbers
        texts = {name: part for name, part in first_batch.items() if name != "labels"}
        initialize_lora_eva_weights(model, [texts], show_progress_bar=False)
    answer = model(**first_batch)
    answer.loss.backward()
    parts = {name: part for name, part in model.named_parameters() if part.requires_grad}
    sizes = {
        side: sum(part.grad.norm().item() for name, part in parts.items() if side in name)
        for side in ("lora_A", "lora_B")
    }
    numbers = sum(part.numel() for part in parts.values())
    return numbers, (answer.logits - untouched).abs().max().item(), *sizes.values()


# %%
with torch.no_grad():
    untouched = base(**first_batch).logits
looks = pd.DataFrame(
    {name: first_look(config) for name, config in configs.items()},
    index=["trained", "change at the start", "gradient of A", "gradient of B"],
).T
looks.assign(trained=looks.trained.map("{:,.0f}".format)).round(6)

# %% [markdown]
# All begin as the base they came from. But look at the gradients. In LoRA the first one of $A$ is exactly zero, because
# $B$ is: in the first step only one half learns. PiSSA and OLoRA begin with both halves awake. EVA's $B$ hears more than LoRA's from the first step on, because its $A$
# listens where the inputs are loud. LoRA+ has no row, because
# it *is* LoRA here; it answers the same observation with a louder $B$. AdaLoRA's $B$ and $A$ both begin random
# and the singular values between them at zero (its gradients come from a term that keeps the directions at right
# angles).
#
# And VeRA and IA³ train a fifth or less. Is that a merit or a handicap? It cannot be seen while everybody trains
# another number of weights.
#
# ## Equal money
#
# A fair race is run with the same fuel. Ours: as many trained numbers as $r = 4$ on *all* linear matrices costs. Each
# child turns that into a rank of its own.


# %% tags=["exercise"] exercise="day16/trained" answer="trained" minutes=7 difficulty=2
# shapes: a list of (out, in), one pair per adapted matrix.  r: the rank, the same for all.
# Return how many numbers train, over all matrices. kind is one of
#   "lora"     A (r, in) and B (out, r)            (so do rsLoRA, LoRA+, PiSSA)
#   "dora"     LoRA's, and a length for each row
#   "lora_fa"  A is frozen
#   "adalora"  LoRA's, and r singular values
#   "vera"     A and B are frozen; a vector of r numbers and one of out numbers train
def trained(kind, r, shapes): ...


# <solution>
def trained(kind, r, shapes):
    each = {
        "lora": lambda out, into: r * (out + into),
        "dora": lambda out, into: r * (out + into) + out,
        "lora_fa": lambda out, into: r * out,
        "adalora": lambda out, into: r * (out + into + 1),
        "vera": lambda out, into: r + out,
    }[kind]
    return sum(each(out, into) for out, into in shapes)


# </solution>


# %% tags=["check"] exercise="day16/trained"
def check(answer):
    one, two = [(10, 30)], [(10, 30), (7, 2)]
    if answer("lora", 2, two) == 80:
        return "You count the first matrix only. Add up all of them."
    found = {
        kind: answer(kind, 2, one) for kind in ("lora", "dora", "lora_fa", "adalora", "vera")
    }
    if not all(isinstance(value, int | np.integer) for value in found.values()):
        return f"Whole numbers are asked for, one for each kind; you return {found}."
    if found["lora"] == 600:
        return "You count r × out × in. The detour goes through r numbers: A has r × in, B has out × r."
    if found["lora"] != 80:
        return f"Beside a matrix of 10 × 30 with r = 2, A has 60 numbers and B 20. For LoRA you count {found['lora']}."
    if found["dora"] == 110:
        return "DoRA has a length for each *row*, so `out` of them, not `in`."
    if found["lora_fa"] == 60:
        return "That is A, the frozen one. B trains: out × r."
    if found["adalora"] == 81:
        return "AdaLoRA has r singular values per matrix, one for each direction, not one."
    if found["vera"] == 32:
        return "VeRA's second vector scales the outputs: `out` numbers."
    right = {"lora": 80, "dora": 90, "lora_fa": 20, "adalora": 82, "vera": 12}
    for kind, value in right.items():
        if found[kind] != value:
            return f"For {kind}, one matrix of 10 × 30 and r = 2, {value} numbers train; you count {found[kind]}."
    return None


def inputs(draw):
    for kind in ("lora", "dora", "lora_fa", "adalora", "vera"):
        for r in (1, 5, 18):
            yield kind, r, [tuple(map(int, draw.integers(1, 90, 2))) for _ in range(r % 4 + 1)]


hints = [
    "Write it for one matrix first, then sum over `shapes`.",
    "For one matrix, LoRA: r * (out + into). DoRA adds out, AdaLoRA adds r; LoRA-FA keeps r * out only.",
    "VeRA: r + out. That is why its r may be in the hundreds.",
]
misconceptions = [
    (
        "def trained(kind, r, shapes):\n    return {'lora': 1, 'dora': 1, 'lora_fa': 1, 'adalora': 1, 'vera': 1}[kind] * r * sum(o * i for o, i in shapes)",
        "r × out × in",
    ),
    (
        "def trained(kind, r, shapes):\n    f = {'lora': lambda o, i: r * (o + i), 'dora': lambda o, i: r * (o + i) + i, 'lora_fa': lambda o, i: r * o, 'adalora': lambda o, i: r * (o + i + 1), 'vera': lambda o, i: r + o}[kind]\n    return sum(f(*s) for s in shapes)",
        "each *row*",
    ),
    (
        "def trained(kind, r, shapes):\n    f = {'lora': lambda o, i: r * (o + i), 'dora': lambda o, i: r * (o + i) + o, 'lora_fa': lambda o, i: r * i, 'adalora': lambda o, i: r * (o + i + 1), 'vera': lambda o, i: r + o}[kind]\n    return sum(f(*s) for s in shapes)",
        "the frozen one",
    ),
    (
        "def trained(kind, r, shapes):\n    o, i = shapes[0]\n    return {'lora': r * (o + i), 'dora': r * (o + i) + o, 'lora_fa': r * o, 'adalora': r * (o + i + 1), 'vera': r + o}[kind]",
        "first matrix only",
    ),
]


# %%
def matrices(*ends):
    """Names and shapes of the matrices whose names end like this."""
    return {
        name: tuple(part.weight.shape) for name, part in linear.items() if name.endswith(ends)
    }


everywhere, two_places = matrices(""), matrices(*query_value)
feed_forward = {name: shape for name, shape in everywhere.items() if shape[0] != shape[1]}
budget = trained("lora", 4, list(everywhere.values()))


def affordable(kind, places, most=600):
    """The largest rank that stays within the budget."""
    costs = (trained(kind, r, list(places.values())) for r in range(1, most))
    return sum(cost <= budget for cost in costs)


# %%
ranks = {
    kind: affordable(kind, two_places)
    for kind in ("lora", "dora", "lora_fa", "adalora", "vera")
}
print(f"the budget: {budget:,} numbers; on query and value it buys")
for kind, r in ranks.items():
    numbers = trained(kind, r, list(two_places.values()))
    print(
        f"  {kind:<8} r = {r:>3}: {numbers:>8,} numbers ({numbers / budget:.0%} of the budget)"
    )

# %% [markdown]
# VeRA cannot spend it: we stopped at a rank that is larger than the matrix. It will start with its usual $r = 256$, and
# IA³ with its one vector per place. These two race in another class, and the table says so.
#
# ## The table that the field lacks
#
# <!-- asked: D16-T3 -->
# First the starting point. As in [many adapters](../techniques/lora_intermediate.ipynb), the head is a linear
# probe, fitted once on the untouched encoder and then frozen: what moves afterwards is the adapter, and nothing else.

# %%
from sklearn.linear_model import LogisticRegression

size, choosers, judges = settings.pick(smoke=(16, 16, 20), cpu=(480, 400, 800))
pool = short(reviews["train"]).shuffle(seed=0)
learn, judge = pool.select(range(size)), pool.select(range(size, size + judges))
choose = short(reviews["validation"])
choose = choose.select(range(min(choosers, len(choose))))
splits = {"learn": learn, "choose": choose, "judge": judge}
encoded = {name: data.tokenize(part, tokenizer, max_length=18) for name, part in splits.items()}
print({name: len(part) for name, part in splits.items()})

# %%
reader = copy.deepcopy(base)
reader.classifier = nn.Identity()  # its answer is now what the head would have read
probe = LogisticRegression(C=0.1, max_iter=2000)
probe.fit(training.predict(reader, encoded["learn"]), learn["label"][:])
with torch.no_grad():
    line = torch.tensor(probe.coef_[0]).float()
    base.classifier.weight.copy_(torch.stack([-line / 2, line / 2]))
    base.classifier.bias.copy_(torch.tensor([-0.5, 0.5]) * float(probe.intercept_[0]))
base.requires_grad_(False)


def right(model, split):
    """Right (1) and wrong (0), sentence by sentence."""
    return training.predict(model, encoded[split]).argmax(1) == np.array(
        splits[split]["label"][:]
    )


bar = 100 * right(base, "judge").mean()
print(f"frozen encoder, fitted head: {bar:.1f} % of the judges' sentences right")

# %% [markdown]
# The family. Each member has a config at its rank and a middle rate: where its paper or its formula points. (rsLoRA's
# detour is louder by $\sqrt{r}$, so its rate is lower. AdaLoRA multiplies three small things, so its rate is higher.)
# LoRA+ and LoRA-FA are not configs but optimisers.

# %%
from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer

steps = -(-size // 16)


def adamw(model, rate):
    parts = [part for part in model.parameters() if part.requires_grad]
    return torch.optim.AdamW(parts, lr=rate, weight_decay=0)


def lora_plus(model, rate):  # the rate is A's; B gets sixteen times as much
    return create_loraplus_optimizer(
        model=model, optimizer_cls=torch.optim.AdamW, lr=rate, loraplus_lr_ratio=16
    )


def lora_fa(model, rate):
    return create_lorafa_optimizer(model, r=ranks["lora_fa"], lora_alpha=16, lr=rate)


# %%
def lora(r=ranks["lora"], places=query_value, **more):
    return LoraConfig(**{"r": r, "lora_alpha": 16, "target_modules": places} | more)


# %%
adalora = AdaLoraConfig(
    init_r=ranks["adalora"],
    target_r=ranks["adalora"] * 2 // 3,
    lora_alpha=16,
    target_modules=query_value,
    total_step=steps,
    tinit=steps // 6,
    tfinal=steps // 3,
    deltaT=1,
)


# %%
family = {  # name: (config, middle rate, optimiser)
    "LoRA": (lora(), 1e-2, adamw),
    "LoRA+": (lora(), 1e-3, lora_plus),
    "DoRA": (lora(ranks["dora"], use_dora=True), 1e-2, adamw),
}
if lab.profile != "smoke":
    family |= {
        "rsLoRA": (lora(use_rslora=True), 3e-3, adamw),
        "PiSSA": (lora(init_lora_weights="pissa", lora_alpha=ranks["lora"]), 3e-3, adamw),
        "LoRA-FA": (lora(ranks["lora_fa"]), 3e-2, lora_fa),
        "AdaLoRA": (adalora, 3e-2, adamw),
        "VeRA": (VeraConfig(r=256, target_modules=query_value), 1e-1, adamw),
        "IA³": (IA3Config(), 3e-2, adamw),
    }

# %% [markdown]
# The training loop is the one of Day 1, in the open, because two children live in it: one line is AdaLoRA's. (The rate
# falls evenly to zero.) What has been trained once is found again: its answers lie in a file whose name is made from all
# that decides them.


# %%
def fresh(name, rate, seed):
    config, _, optimiser = family[name]
    set_seed(seed)  # it decides A and the order of the sentences
    model = get_peft_model(copy.deepcopy(base), copy.deepcopy(config)).to(settings.device())
    return model, optimiser(model, rate)


# %%
def fit(model, optimiser, seed):
    order = np.random.default_rng(seed).permutation(size)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    model.train()
    for step in range(steps):
        rows = learn[order[16 * step : 16 * (step + 1)]]
        batch = {key: part.to(model.device) for key, part in batch_of(rows).items()}
        model(**batch).loss.backward()
        optimiser.step()
        if hasattr(model.base_model, "update_and_allocate"):
            model.base_model.update_and_allocate(step + 1)
        optimiser.zero_grad()
        falling.step()
    return model


# %%
def remembered(what, make):
    """The array that `make()` returns; found again in a file if it was made before."""
    mark = hashlib.sha256(json.dumps(what, sort_keys=True, default=sorted).encode())
    path = lab.workspace / "day16" / f"{mark.hexdigest()[:16]}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        np.save(path, make())
    return np.load(path)


def answers(name, rate, seed, split):
    """Train one model (or find its answers again): right and wrong on a split."""
    config, _, optimiser = family[name]
    what = [config.to_dict(), optimiser.__name__, rate, seed, size, split, len(splits[split])]
    return remembered(what, lambda: right(fit(*fresh(name, rate, seed), seed), split))


# %%
chooser, seeds = 1, settings.pick(smoke=[2], cpu=[2, 3, 4, 5, 6])
factors = settings.pick(smoke=[1], cpu=[1 / 3, 1, 3])
kept, tried = {}, {}


def race(name):
    """One seed chooses the rate on `choose`; the others judge that rate on `judge`."""
    rates = [float(f"{family[name][1] * factor:.1g}") for factor in factors]
    tried[name] = {rate: answers(name, rate, chooser, "choose") for rate in rates}
    best = max(rates, key=lambda rate: tried[name][rate].mean())
    kept[name] = np.array([answers(name, best, seed, "judge") for seed in seeds])
    return best


# %% [markdown]
# Before they run: a point of accuracy is our margin. What differs by less than that would change nobody's choice. How
# many of the other members get a verdict that is neither "tie" nor "undecided"? (A verdict knows three things: the seeds,
# the sentences, and that margin, which was fixed just now.)

# %%
family_guess = widgets.predict(
    "day16-family",
    "So many of the other members can be told from LoRA, up or down",
    0,
    len(family) - 1,
    "members",
)

# %%
begun, best = time.perf_counter(), {}
for name in family:
    best[name] = race(name)
    chosen = ", ".join(f"{rate:g}: {hits.mean():.1%}" for rate, hits in tried[name].items())
    print(f"{name:<8} {chosen}  →  {best[name]:g}")
print(f"{time.perf_counter() - begun:.0f} seconds")

# %%
margin = 0.01
verdicts = {
    name: metrics.compare(kept[name], kept["LoRA"], margin=margin)
    for name in family
    if name != "LoRA"
}
for name, hits in kept.items():
    each = " ".join(f"{100 * one.mean():.1f}" for one in hits)
    against = verdicts.get(name, "")
    print(f"{name:<8} {100 * hits.mean():.1f} %  ({each})  {against}")
differ = [name for name, found in verdicts.items() if found.verdict in ("better", "worse")]
family_guess.compare(len(differ))

# %%
counts = pd.Series([found.verdict for found in verdicts.values()]).value_counts()
title = "Against LoRA, each at its own rate: " + ", ".join(
    f"{count} {word}" for word, count in counts.items()
)
figure = plots.interval_bars(
    list(verdicts),
    [found.points for found in verdicts.values()],
    reference=0,
    reference_label="LoRA",
    title=title,
    xlabel=f"points of accuracy, {len(seeds)} seeds and {len(judge):,} sentences, 95 %",
)
plots.show(figure, alt=f"Difference of each member of the family to LoRA. {title}.")

# %% [markdown]
# Set two distances side by side: how far the *members* lie apart, each at its own rate, and how far one and the same
# member moved when only its *rate* was changed. (The rates were tried with one seed, on the sentences that choose.)

# %%
full_class = [name for name in family if name not in ("VeRA", "IA³")]
member_span = np.ptp([100 * kept[name].mean() for name in full_class])
rate_spans = {
    name: np.ptp([100 * hits.mean() for hits in tried[name].values()]) for name in family
}
print(f"best member minus last, own rates: {member_span:.1f} points")
print("best rate minus worst of one member:", end=" ")
print(", ".join(f"{name} {span:.1f}" for name, span in rate_spans.items()))
edges = [name for name in family if best[name] in (min(tried[name]), max(tried[name]))]
print(f"at the edge of its grid, so it may have more to give: {', '.join(edges) or 'none'}")

# %% [markdown]
# ### What a step costs
#
# Accuracy is one column. A member that needs twice the time or memory has to bring something for it. The members take
# turns, so that whatever else your machine does hits all alike; bytes are counted tensor by tensor.

# %%
longest = batch_of(learn[np.argsort([-len(text) for text in learn["text"]])[:16]])
longest = {key: part.to(settings.device()) for key, part in longest.items()}
crew = {name: fresh(name, 1e-5, 0) for name in family}
spent, held = {name: [] for name in family}, {}
for _ in range(settings.pick(smoke=2, cpu=8)):
    for name, (model, optimiser) in crew.items():
        start = time.perf_counter()
        model(**longest).loss.backward()
        optimiser.step()
        spent[name].append(1000 * (time.perf_counter() - start))
        if name not in held:
            held[name] = memory.account(model, optimiser, longest)
        optimiser.zero_grad()

# %%
numbers = {
    name: sum(part.numel() for part in model.parameters() if part.requires_grad)
    for name, (model, _) in crew.items()
}
slower = {
    name: np.median(times[1:]) / np.median(spent["LoRA"][1:]) for name, times in spent.items()
}


# %%
table = pd.DataFrame(
    {
        "trained": {name: f"{numbers[name]:,}" for name in family},
        "rate": {name: f"{best[name]:g}" for name in family},
        "right (%)": {name: f"{100 * kept[name].mean():.1f}" for name in family},
        "verdict": {
            name: verdicts[name].verdict if name in verdicts else "" for name in family
        },
        "step, LoRA = 1": {name: f"{slower[name]:.2f}" for name in family},
        "activations": {name: memory.human(held[name].activations) for name in family},
        "optimiser": {name: memory.human(held[name].optimizer) for name in family},
    }
)
table

# %% [markdown]
# That is the table: who trained how many numbers, at which rate, with which verdict, at which price. Read it with three
# warnings. One task, one small encoder, short trainings: a method that needs time to find its rank (AdaLoRA) is at a
# disadvantage here. One seed chose each rate. And "undecided" means that *these* seeds and sentences cannot tell, not
# that there is nothing to tell.
#
# ## Which modules, and a writer
#
# <!-- asked: D16-T2 -->
# The budget was the price of $r = 4$ on all linear matrices. So that member is still missing, and one that leaves the
# attention alone. In the published table, feed-forward only was slightly ahead of query and value. Here, at equal money:

# %%
places = {
    "all linear": lora(affordable("lora", everywhere), list(everywhere)),
    "feed-forward": lora(affordable("lora", feed_forward), list(feed_forward)),
}
for name, config in places.items():
    family[name] = (config, 1e-2, adamw)
    rate = race(name)
    found = metrics.compare(kept[name], kept["LoRA"], margin=margin)
    accuracy = f"{100 * kept[name].mean():.1f} %"
    print(
        f"{name:<13} r = {config.r}, rate {rate:g}: {accuracy}; minus query and value: {found}"
    )
    verdicts[name] = found

# %% [markdown]
# "All linear" is today's standard advice for large models, and usually measured at the same *rank*, where it trains
# several times as many numbers. Your line says what is left of it here when the number is the same.
#
# Does the picture change with another kind of model? A writer, SmolLM2 with 135 million numbers, learns to write like
# our critics. Each of its steps costs many of ours, so the race is short: three members, and
# the score of a sentence is the mean log-probability of its next tokens.

# %%
from transformers import AutoModelForCausalLM

writer = AutoModelForCausalLM.from_pretrained(models.source("decoder"), dtype=torch.float32)
writers_tokens = AutoTokenizer.from_pretrained(models.source("decoder"))
lines = [text for text in pool["text"] if 40 <= len(text) <= 80]
to_learn, to_choose, to_judge = settings.pick(smoke=(2, 2, 2), cpu=(48, 24, 48))
rounds = settings.pick(smoke=1, cpu=6)


def scores(model, texts):
    """Mean log-probability per next token, one number for each text."""
    batch = writers_tokens(texts, padding=True, return_tensors="pt").to(model.device)
    logits = model(**batch).logits[:, :-1]
    wanted = batch.input_ids[:, 1:].masked_fill(batch.attention_mask[:, 1:] == 0, -100)
    loss = nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
    return -loss.sum(dim=1) / (wanted != -100).sum(dim=1)


# %%
small = {"r": 4, "lora_alpha": 8, "target_modules": models.lora_targets(writer)}
writers = {
    "LoRA": (LoraConfig(**small), 3e-3, adamw),
    "LoRA+": (LoraConfig(**small), 3e-4, lora_plus),
}
if lab.profile != "smoke":
    writers["DoRA"] = (LoraConfig(**small, use_dora=True), 3e-3, adamw)


# %%
def write_like_them(name, factor, seed, texts):
    config, rate, optimiser = writers[name]
    set_seed(seed)
    model = get_peft_model(writer, copy.deepcopy(config))
    take = optimiser(model, rate * factor)
    order = np.random.default_rng(seed).permutation(to_learn)
    for some in np.array_split(order, rounds):
        (-scores(model, [lines[at] for at in some]).mean()).backward()
        take.step()
        take.zero_grad()
    with torch.inference_mode():
        found = scores(model, texts).numpy()
    model.unload()  # takes the detours out of `writer` again
    return found


# %%
choosing = lines[to_learn : to_learn + to_choose]
judging = lines[to_learn + to_choose : to_learn + to_choose + to_judge]
with torch.inference_mode():
    unchanged = scores(writer, judging).mean().item()
judged = {}
for name in writers:
    per_rate = {
        factor: write_like_them(name, factor, chooser, choosing).mean()
        for factor in settings.pick(smoke=[1], cpu=[1 / 3, 1])
    }
    factor = max(per_rate, key=per_rate.get)
    judged[name] = np.array(
        [
            write_like_them(name, factor, seed, judging)
            for seed in seeds[: settings.pick(smoke=1, cpu=5)]
        ]
    )
    print(
        f"{name:<6} rate × {factor:.2g}: {judged[name].mean():.3f} (untrained {unchanged:.3f})"
    )

# %%
for name in [name for name in writers if name != "LoRA"]:
    found = metrics.compare(judged[name], judged["LoRA"])
    print(
        f"{name:<6} minus LoRA: {found.estimate:+.3f} "
        f"({found.low:+.3f} to {found.high:+.3f}) per token: {found.verdict}"
    )
writer_gain = judged["LoRA"].mean() - unchanged

# %% [markdown]
# ## The child that never pruned
#
# AdaLoRA begins with more directions than it may keep, and strikes out the weakest on the way. Its config says so: begin
# with 12 per matrix, keep 4. A colleague trains it with the `Trainer`, like any other adapter. The loss falls, the
# file is saved. How many directions per matrix does his adapter have at the end?

# %%
ada_guess = widgets.predict(
    "day16-adalora", "Directions alive per matrix, on average, at the end", 0, 12
)

# %% [markdown]
# Write the test that tells him. Between $B$ and $A$ sits a vector of singular values, `lora_E`; a direction that has been
# struck out has exactly zero there.


# %% tags=["exercise"] exercise="day16/alive" answer="alive" minutes=7 difficulty=2
# model: a PEFT model with AdaLoRA. Adapted layers, and only those, have an attribute lora_E;
# layer.lora_E["default"] is a tensor (r, 1) of singular values, exactly 0 where a direction is
# struck out. Return how many directions are alive, per adapted layer, on average.
def alive(model): ...


# <solution>
def alive(model):
    layers = [part for part in model.modules() if hasattr(part, "lora_E")]
    return sum(int((part.lora_E["default"] != 0).sum()) for part in layers) / len(layers)


# </solution>


# %% tags=["check"] exercise="day16/alive"
def planted(values):
    """A tiny AdaLoRA model with these singular values, one list per layer."""
    with torch.random.fork_rng(devices=[]):
        plain = nn.Sequential(*[nn.Linear(3, 3) for _ in values], nn.Linear(3, 2))
        places = [str(at) for at in range(len(values))]
        config = AdaLoraConfig(init_r=4, target_r=2, total_step=10, target_modules=places)
        tiny = get_peft_model(plain, config)
    with torch.no_grad():
        for at, row in enumerate(values):
            tiny.base_model.model[at].lora_E["default"].copy_(torch.tensor(row)[:, None])
    return tiny


def check(answer):
    found = answer(planted([[0.3, -0.2, 0.0, 1e-6], [0.0, 0.4, 0.5, 0.0]]))
    if isinstance(found, bool) or not isinstance(found, int | float | np.number | torch.Tensor):
        return f"A number is asked for, not {found!r}."
    found = round(float(found), 2)
    replies = {
        4: "That is the rank that was ordered. What is struck out keeps its place and holds a zero: look at the values.",
        2: "One is missing in the first layer. A singular value may be negative here, or tiny: only an exact zero is struck out.",
        1.5: "Two are missing in the first layer. A singular value may be negative here, or tiny: only an exact zero is struck out.",
        5: "You count all layers together. Per adapted layer, please.",
        1.67: "You divide by too many layers. The last one has no adapter.",
    }
    if found in replies:
        return replies[found]
    return (
        None
        if found == 2.5
        else f"In two layers 3 and 2 are alive, so 2.5 on average; you say {found:g}."
    )


def trial(answer, values):
    return float(answer(planted(values)))


def inputs(draw):
    yield [[0.0, 0.0, 0.0, 0.0]]
    yield [[-1.0, -2.0, 0.0, -1e-8]]
    for layers in (1, 2, 3):
        drawn = draw.normal(size=(layers, 4)) * (draw.random((layers, 4)) < 0.6)
        yield drawn.round(3).tolist()


hints = [
    "`[part for part in model.modules() if hasattr(part, 'lora_E')]` are the adapted layers.",
    "`(part.lora_E['default'] != 0).sum()` counts the living ones of a layer; sum, then divide by the number of layers.",
]
misconceptions = [
    (
        "def alive(model):\n    layers = [part for part in model.modules() if hasattr(part, 'lora_E')]\n    return sum(part.r['default'] for part in layers) / len(layers)",
        "that was ordered",
    ),
    (
        "def alive(model):\n    layers = [part for part in model.modules() if hasattr(part, 'lora_E')]\n    return sum(int((part.lora_E['default'] > 0).sum()) for part in layers) / len(layers)",
        "One is missing",
    ),
    (
        "def alive(model):\n    layers = [part for part in model.modules() if hasattr(part, 'lora_E')]\n    return sum(int((part.lora_E['default'] != 0).sum()) for part in layers)",
        "all layers together",
    ),
]

# %% [markdown]
# Now the colleague's training, and ours. The only difference is a callback: after each step of the optimiser, while the
# gradients are still there, it calls `update_and_allocate`. (In our own loop above it was one line.)

# %%
from transformers import DataCollatorWithPadding, Trainer, TrainerCallback


# %%
class Allocate(TrainerCallback):
    """Lets AdaLoRA measure its directions and strike out the weakest."""

    def on_optimizer_step(self, args, state, control, model=None, **more):
        model.base_model.update_and_allocate(state.global_step + 1)


turns = settings.pick(smoke=4, cpu=24)
shrinking = AdaLoraConfig(
    init_r=12,
    target_r=4,
    lora_alpha=16,
    target_modules=query_value,
    total_step=turns,
    tinit=turns // 6,
    tfinal=turns // 3,
    deltaT=1,
)


# %%
def with_trainer(name, callbacks):
    set_seed(lab.seed)
    model = get_peft_model(copy.deepcopy(base), copy.deepcopy(shrinking))
    args = training.arguments(
        name,
        learning_rate=1e-2,
        max_steps=turns,
        per_device_train_batch_size=16,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=model,
        args=args,
        train_dataset=encoded["learn"],
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=callbacks,
    )
    training.train(trainer, name)  # as trainer.train(), and found again next time
    return model


# %%
pruned = {
    "without callback": with_trainer("day16-ada-silent", []),
    "with callback": with_trainer("day16-ada-pruned", [Allocate()]),
}
living = {name: alive(model) for name, model in pruned.items()}
for name, model in pruned.items():
    print(
        f"{name:<18} {living[name]:.1f} of 12 alive; right: {right(model, 'choose').mean():.1%}"
    )
ada_guess.compare(living["without callback"])

# %% [markdown]
# No error, no warning, no pruning: what he has is a LoRA of rank 12 with a detour in its formula. If he publishes a table,
# its row "AdaLoRA" is a row of something else. The accuracy does not give it away. Only a test that looks at what the
# method *promises* does, and now you have one. With the callback, some matrices keep more than others:

# %%
left = {
    name.split("layer.")[-1].replace(".attention.self", ""): int(
        (part.lora_E["default"] != 0).sum()
    )
    for name, part in pruned["with callback"].named_modules()
    if hasattr(part, "lora_E")
}
in_values = sum(count for name, count in left.items() if "value" in name)
title = f"Of {sum(left.values())} directions that are left, {in_values} are in value matrices"
figure = plots.bars(
    list(left),
    list(left.values()),
    title=title,
    xlabel="directions alive (of 12)",
)
plots.show(figure, alt=f"Directions that AdaLoRA kept per matrix: {left}.")

# %% [markdown]
# ## Your own best practices
#
# <!-- asked: D16-T4 -->
# A practice is worth writing down if a run stands behind it. Here is a draft, made from *your* runs of today. It is
# only a draft: strike what you do not believe, say for which tasks the rest holds, and add what you will do next
# time.

# %%
costly = max(slower, key=slower.get)
words = {
    name: f"{name}: {found}" for name, found in verdicts.items()
}  # each ends in its verdict
draft = [
    f"A published lead of less than {half_width:.1f} points on {questions:,} questions is no "
    "reason to switch (rereading PEFT's comparison).",
    f"The rate comes first: it moved LoRA by {rate_spans['LoRA']:.1f} points, the members "
    f"lay {member_span:.1f} points apart (the table, seed {chooser} and seeds {seeds}).",
    "Against LoRA at equal numbers, each at its own rate: "
    + "; ".join(text for name, text in words.items() if name not in places)
    + ".",
    "Places: " + "; ".join(words[name] for name in places) + " (against query and value).",
    f"Price: a step of {costly} takes {slower[costly]:.1f} times LoRA's.",
    f"AdaLoRA only with its callback and a test: {living['without callback']:.0f} of "
    f"12 alive without, {living['with callback']:.0f} with it.",
]
print("\n".join(f"- {line}" for line in draft))

# %%
# For your journal: complete the two texts and run the cell.
i_doubt = "…"  # which line would not survive another task, and why?
next_time = "…"  # the recipe you will begin with, rate and places included
if next_time != "…":
    listed = "\n".join(f"- {line}" for line in draft)
    progress.write_journal("day16", f"{listed}\n\nDoubt: {i_doubt}\n\nNext time: {next_time}")

# %% [markdown]
# ## What you saw

# %%
results = {
    "published_told_apart": len(told),
    "published_half_width": half_width,
    "dora_error": dora_error,
    "top_share": 100 * share[15].item(),
    "budget": budget,
    "no_adapter": bar,
    "lora_accuracy": 100 * kept["LoRA"].mean(),
    "members_told_apart": len(differ),
    "member_span_points": member_span,
    "lora_rate_span_points": rate_spans["LoRA"],
    "dora_step": slower["DoRA"],
    "all_linear_points": verdicts["all linear"].points[0],
    "writer_gain": writer_gain,
    "alive_without_callback": living["without callback"],
    "alive_with_callback": living["with callback"],
}


# %%
with tracking.start_run("lora family", "day16"):
    mlflow.log_params({"sentences": size, "seeds": str(seeds), "budget": budget})
    for name, value in results.items():
        tracking.record(name, value)

# %% tags=["quiz"]
quiz = [
    {
        "question": "In a published table, one seed per row, method X has 49.9 % and LoRA 47.8 %, on 1,319 questions. What follows?",
        "choices": [
            (
                "X is ahead by 2.1 points; take it.",
                "The interval of that difference reaches 3.8 points to each side, other seeds not counted.",
                False,
            ),
            (
                "X and LoRA are equally good.",
                "That does not follow either: a true lead of five points would fit as well.",
                False,
            ),
            (
                "Nothing yet. These questions cannot tell the two apart.",
                "Right. And even if they could, one seed would leave the start to luck.",
                True,
            ),
            (
                "With a paired test it would be significant.",
                "Perhaps, perhaps not: for that one needs each model's answer to each question, and those are not published.",
                False,
            ),
        ],
        "proof": """
a, b, n = 0.499, 0.478, 1319
half = 1.96 * ((a * (1 - a) + b * (1 - b)) / n) ** 0.5
assert 0.037 < half < 0.039 and a - b - half < 0 < 0.05 < a - b + half
""",
    },
    {
        "question": "You use one rank only, and AdamW, and you tune the rate. What can `use_rslora=True` change then?",
        "choices": [
            (
                "It makes learning more stable.",
                "At one rank it is a constant. α could have been larger by the same factor.",
                False,
            ),
            (
                "Next to nothing: at one rank it is LoRA with another α, and the rate makes up for that.",
                "Right. It is a rule about how to carry a setting from one rank to another.",
                True,
            ),
            (
                "It trains more numbers.",
                "Not one more.",
                False,
            ),
            (
                "It makes B begin at something else than zero.",
                "That is what PiSSA and OLoRA do.",
                False,
            ),
        ],
        "proof": """
import torch
from torch import nn
from peft import LoraConfig, get_peft_model
outputs = []
for alpha, root in ((16, True), (16 * 16**0.5, False)):
    torch.manual_seed(0)
    model = get_peft_model(nn.Sequential(nn.Linear(20, 20)), LoraConfig(r=16, lora_alpha=alpha, use_rslora=root, target_modules=["0"]))
    nn.init.ones_(model.base_model.model[0].lora_B["default"].weight)
    outputs.append(model(torch.ones(1, 20)))
assert torch.allclose(*outputs, atol=1e-4)
""",
    },
    {
        "question": "One matrix of 1,000 × 1,000, LoRA at r = 8. Which rank may LoRA-FA have for the same number of trained weights?",
        "choices": [
            ("4", "It trains less per rank, so it may have more.", False),
            ("8", "Then it would train half as many: only B.", False),
            ("16", "Right: 16 × 1,000 = 8 × (1,000 + 1,000).", True),
            ("500", "That would be VeRA's way of thinking, which trains a vector.", False),
        ],
        "proof": "assert 16 * 1000 == 8 * (1000 + 1000)",
    },
    {
        "question": "Your AdaLoRA run reaches the accuracy of LoRA and takes longer. Before you write that down, what do you look at?",
        "choices": [
            (
                "Whether anything was struck out: how many singular values are zero.",
                "Right. Without `update_and_allocate` it trains on happily at its first rank, and no number in the log says so.",
                True,
            ),
            (
                "Whether the loss fell.",
                "It falls either way.",
                False,
            ),
            (
                "Whether `target_r` is in the config.",
                "It was in the colleague's config, too. A config is a wish.",
                False,
            ),
            (
                "Whether the saved file is smaller.",
                "That would show it, after a run that pruned. But why not look at the values themselves?",
                False,
            ),
        ],
        "proof": """
import torch
from torch import nn
from peft import AdaLoraConfig, get_peft_model
def alive(call):
    torch.manual_seed(0)
    config = AdaLoraConfig(init_r=6, target_r=2, total_step=12, tinit=2, tfinal=4, deltaT=1, target_modules=["0"])
    model = get_peft_model(nn.Sequential(nn.Linear(8, 8)), config)
    take = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for step in range(12):
        model(torch.randn(5, 8)).square().mean().backward()
        take.step()
        if call:
            model.base_model.update_and_allocate(step + 1)
        take.zero_grad()
    return int((model.base_model.model[0].lora_E["default"] != 0).sum())
assert (alive(False), alive(True)) == (6, 2)
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Two trainings long.** Double `size` for LoRA and AdaLoRA. Does the verdict stay?
# - **Another ratio.** LoRA+ with `loraplus_lr_ratio=4`, its own rates. Is 16 special?
# - **EVA in the race.** It needs its look at the inputs before the training; `first_look` shows where.
# - **Save and load PiSSA**, once with `pissa` and once with `pissa_niter_4`, and compare the logits before and after.
#
# **Read.** One paper of the table above, with today's questions: how many seeds, whose rate, equal numbers? LoRA+ and
# rsLoRA come with a derivation that can be followed; PEFT's own comparison lies in `method_comparison/` of its
# repository, one file per run.
