# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("day07")

# %%
import contextlib
import copy
import io
import math
import tempfile
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import nn

from labhelpers import data, exercise, memory, metrics, models, plots, progress, quiz, tracking
from labhelpers import widgets

# %% [markdown]
# ## Why today matters
#
# LoRA took the gradients and the optimiser out of your memory bill. One item is left over, and it
# is the largest: the frozen weights themselves. Nobody changes them. They are only read. How
# precisely does a number have to be written down if all you ever do is read it?
#
# Here is what hangs on the answer.

# %%
large_models = ("llama-7b", "llama-13b", "llama-65b")

from labhelpers import planner

for name in large_models:
    numbers = planner.parameters(name)
    sizes = " ".join(
        f"{bits:>4} bits {memory.human(numbers * bits / 8):>9}" for bits in (32, 16, 4)
    )
    print(f"{name:<10} {numbers / 1e9:5.1f} billion numbers: {sizes}")
print(f"\nCards one can buy: {', '.join(planner.GPUS)}")

# %% [markdown]
# With 16 bits per number, the smallest of the three does not fit on a 12 GB card, and the largest
# fits on none of these. With four bits, all three would. Four bits are sixteen different values.
# Sixteen, for everything that a weight can be.
#
# <!-- asked: D07-T4 -->
# That it works at all is the first surprise of today. There will be three more, and one of them is
# already waiting. Our own encoder has this many numbers:

# %%
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

device = settings.device()


def load_encoder(seed=lab.seed, **options):
    set_seed(seed)  # the fresh head is random
    return AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, device_map=device, **options
    )


encoder = load_encoder(dtype=torch.float32)
models.describe(encoder)
in_32 = memory.account(encoder).weights
print(f"\nin 32 bits {memory.human(in_32)}, in 16 bits {memory.human(in_32 / 2)}, in 4 bits: ?")

# %%
size_guess = widgets.predict(
    "day07-encoder",
    "Our encoder, loaded in 4 bits the usual way, takes",
    0,
    round(in_32 / 1e6),
    "MB",
)

# %% [markdown]
# ## Four bits by hand
#
# Take one matrix out of the encoder, the first *query*. Its numbers look like this:

# %%
targets = models.lora_targets(encoder)
layers = {name: part for name, part in encoder.named_modules() if isinstance(part, nn.Linear)}
W = (
    next(part for name, part in layers.items() if name.endswith(targets[0]))
    .weight.detach()
    .float()
    .cpu()
)

print(
    f"{tuple(W.shape)}, {W.numel():,} numbers; the first five: "
    f"{[round(x, 4) for x in W[0, :5].tolist()]}"
)
print(f"standard deviation {W.std():.3f}, largest absolute value {W.abs().max():.3f}")

# %% [markdown]
# To write a weight with four bits you need a list of sixteen values, the **code book**; the weight
# becomes the *number* (0 to 15) of the value nearest to it. Simplest code book: sixteen values,
# evenly spaced from −1 to 1. Weights do not lie between −1 and 1, so we divide by the largest
# absolute value first, and remember it: the **scale**. People call this *absmax quantisation*.
#
# One weight first: 0.35, in a matrix whose largest absolute value is 0.8.

# %%
sixteen = torch.linspace(-1, 1, 16)
nearest = (0.35 / 0.8 - sixteen).abs().argmin()
print(f"{0.35 / 0.8:.3f} lies nearest to {sixteen[nearest]:.3f}, the value numbered {nearest}")

# %% [markdown]
# One scale for the whole matrix, or one for every block of 64 weights? Write it so that both are
# possible.


# %% tags=["exercise"] exercise="day07/quantise" answer="quantise" minutes=12 difficulty=2
# W: weights, any shape.  code: (16,) values, ascending.  block: how many weights share a scale
# (it divides the count).
# Return two tensors.
#   numbers: (blocks, block), whole numbers 0 to 15: which value of the code book is
#            nearest to weight / scale
#   scales:  (blocks,), the largest absolute weight of each block
def quantise(W, code, block): ...


# <solution>
def quantise(W, code, block):
    blocks = W.reshape(-1, block)
    scales = blocks.abs().amax(dim=1)
    relative = blocks / scales[:, None]
    return (relative[:, :, None] - code).abs().argmin(dim=2), scales


# </solution>


# %% tags=["check"] exercise="day07/quantise"
def check(answer):
    trial = torch.tensor([[0.1, -0.8], [0.35, 0.2], [0.02, 0.01], [0.04, -0.03]])
    book = torch.linspace(-1, 1, 16)
    result = answer(trial, book, 4)
    pair = isinstance(result, tuple | list) and len(result) == 2
    if not (pair and all(isinstance(part, torch.Tensor) for part in result)):
        return "Two tensors are asked for: return numbers, scales."
    numbers, scales = result
    if numbers.numel() == 2 and scales.numel() == 8:
        return "The other way round, please: numbers first, then scales."
    if scales.numel() == 1:
        return "You return a single scale. Every block has its own largest value; that is the point of blocks."
    if scales.numel() != 2:
        return f"Eight weights in blocks of four are 2 blocks; you return {scales.numel()} scales. `block` is the number of weights in a block, not the number of blocks."
    shape, scales = tuple(scales.shape), scales.flatten().float()
    if torch.allclose(scales, torch.tensor([0.35, 0.04])):
        return "Your scale is the largest weight, sign included. In the first trial block the largest *absolute* weight is 0.8, from -0.8; without it, that weight lies outside the code book."
    if not torch.allclose(scales, torch.tensor([0.8, 0.04])):
        return f"For two trial blocks the largest absolute weights are 0.8 and 0.04; your scales are {[round(x, 3) for x in scales.tolist()]}."
    if numbers.numel() != 8:
        return f"Eight weights should become eight numbers; you return {numbers.numel()}."
    flat = numbers.flatten().float()
    right = torch.tensor([8, 0, 11, 9, 11, 9, 15, 2.0])
    if torch.equal(flat, right):
        if tuple(numbers.shape) != (2, 4):
            return f"The numbers are right, but their shape is {tuple(numbers.shape)}. One row per block, please: (blocks, block)."
        if shape != (2,):
            return f"All values are right, but the scales have the shape {shape}. One number per block, please: (blocks,)."
        if numbers.is_floating_point():
            return f"The numbers are right, but of type {numbers.dtype}, and nothing can be looked up with those. `.long()` makes whole numbers of them."
        uneven = answer(trial.clone(), book.sign() * book**2, 4)[0].flatten().tolist()
        if uneven != [10, 0, 12, 11, 13, 11, 15, 1]:
            return "Right for evenly spaced values, and wrong for others. The code book is an argument: look for the nearest of *its* values, wherever they lie."
        return None
    if flat.abs().max() <= 1:
        return "You return values of the code book. Those take 32 bits each; what is stored is their number, 0 to 15."
    if torch.equal(flat, (trial.flatten()[:, None] - book).abs().argmin(dim=1).float()):
        return "You look the weights up as they are. Divide each block by its scale first: small weights would otherwise all get the same two values."
    if torch.equal(flat, right - 1) or (flat <= right).all():
        return "Some numbers are one too low, as if you rounded down. Which of the sixteen values is *nearest*?"
    return f"For the block 0.1, -0.8, 0.35, 0.2 the nearest values are those numbered 8, 0, 11 and 9; you have {flat[:4].tolist()}."


def inputs(draw):
    even, random = torch.linspace(-1, 1, 16), torch.tensor(draw.normal(size=(6, 4, 5))).float()
    curved = even.sign() * even**2
    for code in (even, curved, torch.linspace(-1, 1, 16) ** 3 + 0.01):
        yield random, code, 8  # blocks that cross rows, three axes
        yield random[0], code, 20  # one block for all
        yield -random[1, 0].abs(), code, 1  # every weight its own scale; all below zero
    yield torch.tensor([[0.0, 0.5, -0.25, 0.0]]), curved, 2  # zeros among them


hints = [
    "`W.reshape(-1, block)` makes one row per block. The scale is the largest absolute value of a row.",
    "For the nearest value, compare every weight with all sixteen: give the weights one more axis, `relative[:, :, None] - code`.",
    "`.abs().argmin(dim=2)` of that difference is the number; `blocks.abs().amax(dim=1)` are the scales.",
]
misconceptions = [
    (
        "def quantise(W, code, block):\n    b = W.reshape(-1, block)\n    s = b.amax(1)\n    return ((b / s[:, None])[:, :, None] - code).abs().argmin(2), s",
        "sign included",
    ),
    (
        "def quantise(W, code, block):\n    b = W.reshape(-1, block)\n    s = b.abs().max()\n    return ((b / s)[:, :, None] - code).abs().argmin(2), s",
        "a single scale",
    ),
    (
        "def quantise(W, code, block):\n    b = W.reshape(block, -1)\n    s = b.abs().amax(1)\n    return ((b / s[:, None])[:, :, None] - code).abs().argmin(2), s",
        "not the number of blocks",
    ),
    (
        "def quantise(W, code, block):\n    b = W.reshape(-1, block)\n    s = b.abs().amax(1)\n    return code[((b / s[:, None])[:, :, None] - code).abs().argmin(2)], s",
        "values of the code book",
    ),
    (
        "def quantise(W, code, block):\n    b = W.reshape(-1, block)\n    return (b[:, :, None] - code).abs().argmin(2), b.abs().amax(1)",
        "as they are",
    ),
    (
        "def quantise(W, code, block):\n    b = W.reshape(-1, block)\n    s = b.abs().amax(1)\n    return ((b / s[:, None] + 1) * 7.5).floor().long(), s",
        "rounded down",
    ),
    (
        "def quantise(W, code, block):\n    b = W.reshape(-1, block)\n    s = b.abs().amax(1)\n    return ((b / s[:, None] + 1) * 7.5).round().long(), s",
        "The code book is an argument",
    ),
]


# %% [markdown]
# The way back is one line: look the number up, multiply by the scale. And a ruler: how large is a
# typical error, compared with a typical weight?


# %%
def dequantise(numbers, scales, code, shape):
    return (code[numbers.long()] * scales[:, None]).reshape(shape)


def error(approximation):
    """Root mean square error, as a share of the weights' standard deviation."""
    return ((approximation - W).square().mean().sqrt() / W.std()).item()


even = torch.linspace(-1, 1, 16)
whole = dequantise(*quantise(W, even, W.numel()), even, W.shape)
blocks = dequantise(*quantise(W, even, 64), even, W.shape)
print(
    f"16 bits (bfloat16)            error {error(W.bfloat16().float()):.2%} of a typical weight"
)
print(f"4 bits, one scale for all     error {error(whole):.2%}")
print(f"4 bits, a scale for every 64  error {error(blocks):.2%}")

# %% [markdown]
# One scale for all is a disaster: a single large weight decides how far apart the sixteen values
# lie, for everybody. With blocks, a large weight spoils only its 63 neighbours. It is the same four
# bits.
#
# ### Where do sixteen values belong?
#
# Evenly spaced is the obvious choice, and not the best one. Weights crowd around zero, in a bell
# curve. So put the values where the weights are: cut the bell curve into slices of equal
# probability, and take one value for each. That is **NF4**, *4-bit NormalFloat* (Dettmers et al.,
# 2023, section 3). Two details. Zero should be among the values, because some weights are
# exactly zero; so eight values go above it and seven below. And the last slice is infinitely
# wide, so the outermost value sits in its middle, by probability. (`norm.ppf(p)` answers: below
# which number does a share p of the bell curve lie?)


# %%
def normal_float():
    edge = (
        1 - (1 / 32 + 1 / 30) / 2
    )  # half a slice from the end; the mean of both sides, as in the paper
    above = stats.norm.ppf(np.linspace(0.5, edge, 9))  # zero and eight values above it
    below = stats.norm.ppf(np.linspace(1 - edge, 0.5, 8))[:-1]  # seven values below it
    return torch.tensor(np.concatenate([below, above]) / above[-1], dtype=torch.float32)


nf4 = normal_float()
print([round(value, 4) for value in nf4.tolist()])

# %% [markdown]
# `bitsandbytes`, the library that everybody uses for this, has the table typed into its source. Did
# we get the same?

# %%
import bitsandbytes.functional as bnb

table = bnb.get_4bit_type("nf4", device="cpu")
print(f"largest difference from bitsandbytes' own table: {(nf4 - table).abs().max():.0e}")
assert torch.allclose(nf4, table, atol=1e-6)

# %%
schemes = {
    "even, one scale": (even, W.numel()),
    "even, blocks of 64": (even, 64),
    "NF4, blocks of 64": (nf4, 64),
}

# %%
figure, panels = plt.subplots(len(schemes), 1, figsize=(7.2, 4.6), sharex=True, sharey=True)
for axes, (name, (code, block)) in zip(panels, schemes.items(), strict=True):
    back = dequantise(*quantise(W, code, block), code, W.shape)
    misses = (back - W).flatten().numpy()
    axes.hist(misses, bins=np.linspace(-0.06, 0.06, 121), color=plots.BLUE)
    axes.set_yticks([])
    score = f"{name}: {error(back):.1%}"
    axes.annotate(score, (0.01, 0.8), xycoords="axes fraction", weight="bold")
panels[-1].set_xlabel("error of a weight (restored minus original)")
closer = (
    f"Same four bits: the error falls from {error(whole):.0%} "
    f"of a typical weight to {error(back):.0%}"
)
figure.suptitle(closer, x=0.01, ha="left")
plots.show(
    figure,
    alt=f"Histograms of the errors of three ways to store a matrix in four bits. {closer}.",
)

# %% [markdown]
# In 16 bits, the same histogram would be a needle; its width was printed above. (The small needle
# in the middle of the lower two: the largest weight of each block is a value of the code book
# itself, so it is hit exactly.)
#
# Is NF4's advantage real, or paid for with more bits? Blocks are not free: each scale is a number, too. Move both
# controls and watch the bits per weight. When is the clever code book worth more than smaller
# blocks, and when is it useless?

# %%
books = {"even": even, "NF4": nf4}


# %%
def try_out(code_book="NF4", block=64):
    numbers, scales = quantise(W, books[code_book], block)
    back = dequantise(numbers, scales, books[code_book], W.shape)
    bits = 4 + 32 * len(scales) / W.numel()
    shares = torch.bincount(numbers.flatten(), minlength=16) / W.numel()
    title = f"{code_book}, blocks of {block}: {bits:.2f} bits a weight, error {error(back):.1%}"
    figure, axes = plt.subplots(figsize=(7.2, 2.8))
    axes.bar(range(16), 100 * shares)
    axes.axhline(100 / 16, color="#777777", lw=1, ls=":")
    axes.set(title=title, ylabel="used by (%)", xticks=range(16))
    axes.set_xlabel("number of the value in the code book")
    plots.show(figure, alt=f"How often each of the sixteen values is used. {title}.")


widgets.explore(try_out, code_book=list(books), block=[16, 32, 64, 128, 256, 1024, 4096])

# %% [markdown]
# The dotted line is where all bars would end if each value did the same work. NF4 in blocks of 64
# makes a broad hill; evenly spaced values in blocks of 4096 make a needle, and half of the palette
# lies all but unused. In tiny blocks the two code books are equally good: the largest of sixteen weights is
# no outlier, so there is little empty space to save.
#
# Nothing was hidden: bitsandbytes does what you wrote. It puts two numbers into one byte; unpacked,
# they should be yours.

# %%
numbers, scales = quantise(W, nf4, 64)
packed, state = bnb.quantize_4bit(W, blocksize=64, quant_type="nf4")
theirs = torch.stack([packed.flatten() >> 4, packed.flatten() & 15], dim=1).flatten()
print(
    f"numbers that agree: {(theirs == numbers.flatten()).float().mean():.4%}; "
    f" scales equal: {torch.equal(state.absmax, scales)}"
)
print(
    f"{packed.nbytes:,} bytes of numbers and {state.absmax.nbytes:,} "
    f"bytes of scales for {W.numel():,} weights"
)

# %% [markdown]
# ### Double quantisation
#
# So it is not four bits. Each block of 64 brings a scale of 32 bits. Smaller blocks would be more
# precise, and cost more still. The paper's answer is to play the same trick once more: scales are
# numbers, all positive and of similar size, so *they* are stored in 8 bits each, with one 32-bit
# scale of their own for every 256 of them. (Before that, their mean is taken off and kept once for
# the whole matrix; it does not count.)
#
# <!-- asked: D07-T3 -->
# What does a weight cost then?


# %% tags=["exercise"] exercise="day07/bits" answer="bits_per_weight" minutes=7 difficulty=1
# Return the bits stored per weight: 4, plus its share of a scale.
#   double=False: one 32-bit scale for every `block` weights.
#   double=True:  one 8-bit scale for every `block` weights, and one 32-bit number for every
#                 256 of those scales.
def bits_per_weight(block=64, double=False): ...


# <solution>
def bits_per_weight(block=64, double=False):
    return 4 + (8 + 32 / 256 if double else 32) / block


# </solution>


# %% tags=["check"] exercise="day07/bits"
def check(answer):
    single, small, double = answer(), answer(32, False), answer(64, True)
    for value in (single, small, double):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"Your function returned {type(value).__name__}. A number of bits is wanted."
    if abs(single - 4) < 1e-9:
        return (
            "Four bits are the number alone. Without its scale nobody could restore the weight."
        )
    if abs(single - 36) < 1e-9:
        return "You charge every weight with a whole scale. 64 weights share one."
    if abs(single - 4.5 / 8) < 1e-9:
        return "The right amount in the wrong unit: bits are asked for, and you return bytes."
    if abs(single - 4.0625) < 1e-9:
        return (
            "You count the scale as 4 bytes, but the rest in bits. A 32-bit scale has 32 bits."
        )
    if abs(single - 4.5) > 1e-9:
        return f"Blocks of 64 without double quantisation come out as {single:g} bits. 64 weights share 32 bits: how many does each pay?"
    if abs(small - 5) > 1e-9:
        return f"Blocks of 64 are right, but blocks of 32 come out as {small:g}. Is a 64 typed in where `block` should stand?"
    if abs(double - 4.125) < 1e-9:
        return "Nearly. The 8-bit scales need a scale of their own: 32 bits for every 256 of them, which is for every 256 × 64 weights."
    if abs(double - 4.25) < 1e-9:
        return "You give the 32-bit number to every 256 weights. It serves 256 *scales*, and each of those serves a block."
    if abs(double - 4.5) < 1e-9:
        return "With double=True you return the same as without: the 32-bit scale of a block is now an 8-bit one."
    if abs(double - (4 + 8.125 / 64)) > 1e-9:
        return f"With double quantisation you get {double:g} bits. Add up what 256 blocks of 64 weights store besides the numbers, then divide by all those weights."
    return None


def trial(answer, options):
    return answer(**options)


def inputs(draw):
    yield from [{}, {"double": True}, {"block": 64}, {"double": False}]
    for block in (1, 16, 128, 1024, int(draw.integers(2, 5000))):
        for double in (False, True):
            yield {"block": block, "double": double}


hints = [
    "Without double quantisation: 64 weights store 64 × 4 + 32 bits.",
    "With it: 256 blocks store 256 × 64 × 4 bits of numbers, 256 × 8 bits of scales, and 32 bits more.",
    "`4 + 32 / block`, or `4 + (8 + 32 / 256) / block`.",
]
misconceptions = [
    ("def bits_per_weight(block=64, double=False):\n    return 4", "number alone"),
    ("def bits_per_weight(block=64, double=False):\n    return 4 + 32", "64 weights share one"),
    (
        "def bits_per_weight(block=64, double=False):\n    return 4 + (8 if double else 32) / block",
        "scale of their own",
    ),
    (
        "def bits_per_weight(block=64, double=False):\n    return 4 + (8 / block + 32 / 256 if double else 32 / block)",
        "256 *scales*",
    ),
    (
        "def bits_per_weight(block=64, double=False):\n    return 4 + 32 / block",
        "the same as without",
    ),
]

# %%
packed2, state2 = bnb.quantize_4bit(W, quant_type="nf4", compress_statistics=True)
single = 8 * (packed.nbytes + state.absmax.nbytes) / W.numel()
double = 8 * (packed2.nbytes + state2.absmax.nbytes + state2.state2.absmax.nbytes) / W.numel()
print(f"counted in bitsandbytes: {single:.3f} bits, with double quantisation {double:.3f}")
print(
    f"your formula:            {bits_per_weight():.3f} bits, "
    f"with double quantisation {bits_per_weight(double=True):.3f}"
)
once, twice = (
    error(bnb.dequantize_4bit(packed, state)),
    error(bnb.dequantize_4bit(packed2, state2)),
)
print(f"error:                   {once:.3%}, with double quantisation {twice:.3%}")

# %%
sizes = [16, 32, 64, 128, 256, 1024]
curves = {
    f"{name}": [error(dequantise(*quantise(W, code, size), code, W.shape)) for size in sizes]
    for name, code in books.items()
}
costs = [bits_per_weight(size) for size in sizes]
cheap = [bits_per_weight(size, double=True) for size in sizes]

# %%
figure, axes = plt.subplots()
for name, bits, errors, style, at, offset in (
    ("even", costs, curves["even"], "o-", 1, (4, 6)),
    ("NF4", costs, curves["NF4"], "o-", 1, (0, -15)),
    ("NF4, scales in 8 bits", cheap, curves["NF4"], "o--", 0, (0, -15)),
):
    (line,) = axes.plot(bits, [100 * each for each in errors], style)
    place = (bits[at], 100 * errors[at])
    axes.annotate(
        name, place, offset, textcoords="offset points", ha="center", color=line.get_color()
    )
axes.set(
    xlabel="bits stored per weight", ylabel="error (% of a typical weight)", xlim=(3.9, 6.1)
)
axes.margins(y=0.15)
saved = f"Double quantisation: nearly the same error for {single - double:.2f} bits less"
axes.set_title(saved)
plots.show(figure, alt=f"Error against bits per weight for blocks from 16 to 1024. {saved}.")

# %% [markdown]
# Downwards is more precise, leftwards is smaller. (The dashed line takes NF4's errors as they are;
# how little the 8-bit scales add to them was printed above.) With double quantisation, blocks of 64
# cost about as much as blocks of 256 do without.
#
# The [QLoRA guide](../../curriculum/guides/qlora.md) has the same on one page, with the traps; keep
# it for reference.
#
# ## bitsandbytes for real
#
# `transformers` quantises while it loads. You say how in a `BitsAndBytesConfig`. A first try, as
# short as it gets, then one sentence through the model:

# %%
from transformers import BitsAndBytesConfig

from labhelpers import training

tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
sentence = tokenizer("It has its moments.", return_tensors="pt").to(device)

careless = load_encoder(
    quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
)
with contextlib.redirect_stderr(io.StringIO()) as said:
    try:
        careless(**sentence)
    except (AssertionError, RuntimeError, ValueError) as problem:
        print(f"{type(problem).__name__} {problem}")
print(said.getvalue().strip())

# %% [markdown]
# It breaks, and the message sends you the wrong way: moving the model would not help. Look at the
# head.

# %%
head = [name for name in layers if not name.startswith(f"{encoder.base_model_prefix}.")]
for name in head:
    layer = careless.get_submodule(name)
    shape, scales = tuple(layer.weight.shape), getattr(layer.weight, "quant_state", None)
    print(
        f"{name}: {type(layer).__name__}, "
        f"weight {shape} of {layer.weight.dtype}, scales: {scales}"
    )

# %% [markdown]
# The checkpoint on disk knows nothing of a two-class head. For every other matrix, loading means:
# read, quantise, keep the scales. For the head there was nothing to read. The layer was declared a
# 4-bit layer, but its random filling has never been through the code book: ordinary numbers where
# packed ones should be, and no scales.
#
# Suppose it did work. It would be no use. The head is what we are going to *train*, and a step of
# AdamW moves a weight by about the learning rate, while the nearest other value of the code book lies
# much further away. A 4-bit number cannot be nudged. So the rule: **what is fresh, and what will be
# trained, stays out.** Embeddings and LayerNorms stay out by themselves, because only linear layers
# are converted.

# %%
jumps = (nf4[1:] - nf4[:-1]) * state.absmax.mean()
print(f"a step of training:    about {1e-3} (Day 4's learning rate)")
print(
    f"jumps in the code book: {jumps.min():.3f} to {jumps.max():.3f}, "
    "in an average block of our matrix"
)
compute = training.load_options()["dtype"]
print(f"this machine multiplies fastest in {compute}")

# %% [markdown]
# <!-- asked: D07-T5 -->
# Write the configuration that we will use for the rest of the day. You need five arguments:
#
# - `load_in_4bit` and `bnb_4bit_quant_type`, as above;
# - `bnb_4bit_use_double_quant`: what you have just counted;
# - `bnb_4bit_compute_dtype`: multiplication happens in ordinary numbers; each matrix is restored to
#   this type just before it is used. `compute` holds what this processor multiplies fastest;
# - `llm_int8_skip_modules`: names of layers to leave alone. (The name is a leftover; it works for 4
#   bits as well.)

# %% tags=["exercise"] exercise="day07/config" answer="four_bits" minutes=7 difficulty=1
# NF4 with double quantisation, computing in `compute`, without touching the layers whose names
# are in `head`.
four_bits = ...
# <solution>
four_bits = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=compute,
    llm_int8_skip_modules=head,
)
# </solution>


# %% tags=["check"] exercise="day07/config"
def quantised_layers(skipped):
    from transformers.quantizers.quantizers_utils import should_convert_module

    return {name for name in layers if should_convert_module(name, list(skipped))}


def check(answer):
    if not isinstance(answer, BitsAndBytesConfig):
        return f"This is a {type(answer).__name__}. from_pretrained wants an object made with BitsAndBytesConfig(…)."
    if not answer.load_in_4bit:
        return "load_in_4bit is not set, so nothing would be quantised to four bits, whatever the other arguments say."
    if answer.bnb_4bit_quant_type != "nf4":
        return f'The code book is "{answer.bnb_4bit_quant_type}". That is the default; we built another one.'
    skipped = answer.llm_int8_skip_modules
    if not skipped:
        return "Nothing is skipped, so the fresh head would become a 4-bit layer without scales, and break as it did above."
    small = quantised_layers(skipped)
    if missing := small & set(head):
        return f"You skip {skipped}, and the fresh layer {sorted(missing)[0]!r} is not among them: it would be quantised all the same, without a word."
    if extra := [name for name in layers if name not in head and name not in small]:
        return f"You also skip {len(extra)} layers of the encoder, such as {extra[0]}. They would stay large."
    if not answer.bnb_4bit_use_double_quant:
        return "The scales are stored in 32 bits. You have just computed what that costs per weight."
    fastest = training.load_options()["dtype"]
    if answer.bnb_4bit_compute_dtype != fastest:
        return f"It would multiply in {answer.bnb_4bit_compute_dtype}, and this processor is faster in {fastest}: that is what `compute` holds."
    if answer.bnb_4bit_quant_storage != torch.uint8:
        return f"Two numbers of four bits fill one byte; you ask to store them in {answer.bnb_4bit_quant_storage}. Leave bnb_4bit_quant_storage out."
    return None


def agrees(expected, found):
    wanted, given = expected.to_dict(), found.to_dict()
    one, other = (
        quantised_layers(d.pop("llm_int8_skip_modules") or ()) for d in (wanted, given)
    )
    return one == other and wanted == given


hints = [
    "Five arguments: two you have seen in the careless attempt, two are switched or named above, one is the list `head`.",
    "The double quantisation is switched on with True. The compute type is a torch dtype, not a text.",
    '`BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, …)`',
]
misconceptions = [
    (
        'four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute)',
        "Nothing is skipped",
    ),
    (
        "four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute, llm_int8_skip_modules=head)",
        "That is the default",
    ),
    (
        'four_bits = BitsAndBytesConfig(bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute, llm_int8_skip_modules=head)',
        "load_in_4bit is not set",
    ),
    (
        'four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute, llm_int8_skip_modules=head)',
        "what that costs per weight",
    ),
    (
        'four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute, llm_int8_skip_modules=["head"])',
        "without a word",
    ),
    (
        'four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute, llm_int8_skip_modules=[*head, *layers])',
        "of the encoder",
    ),
]

# %% [markdown]
# > **A trap on some processors.** Where the CPU has instructions called AVX512-BF16, bitsandbytes
# > 0.50 rearranges the 4-bit weights *in place* at the first forward pass in evaluation mode, for
# > speed. The new arrangement has no gradients: evaluate once between two epochs, and from then on
# > nothing learns. Depending on the model you get an error about views, or a gradient norm of
# > exactly 0 and no error at all. Saving and merging go wrong too. We found this by a run that
# > stood still; no report of it was known to us when this was written. The cure is one attribute on
# > every 4-bit layer, set **right after loading**. Everywhere else it does nothing.

# %%
from bitsandbytes.nn import Linear4bit


def keep_trainable(model):
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False
    return model


def learns_after_evaluation(layer):
    inputs = torch.ones(1, layer.in_features, device=device)
    with torch.no_grad():
        layer.eval()(inputs)
    try:
        return layer.train()(inputs.requires_grad_()).requires_grad
    except RuntimeError:
        return False


# %% [markdown]
# Load it twice and ask one layer of each: does an error signal still get through after one
# evaluation?

# %%
untreated = load_encoder(quantization_config=four_bits)
quantised = keep_trainable(load_encoder(quantization_config=four_bits))
for name, model in {"as loaded": untreated, "with the cure": quantised}.items():
    layer = next(part for part in model.modules() if isinstance(part, Linear4bit))
    print(
        f"{name:<14} gradients after an evaluation: "
        f"{'yes' if learns_after_evaluation(layer) else 'NO'}"
    )

# %% [markdown]
# If the first line says *yes*, your processor is not concerned. (If you ever meet a run whose
# gradient norm is exactly zero, you now know one thing to look for.)
#
# <!-- asked: D07-T6 -->
# ### What does it weigh?
#
# `memory.account` counts every tensor once, scales included. (`model.get_memory_footprint()` leaves
# the scales out, so that double quantisation seems to save nothing.)


# %%
def weigh(model):
    """Bytes of the weights, by what they are."""
    inside = [part for part in model.base_model.modules() if isinstance(part, nn.Linear)]
    matrices = sum(memory.account(part).weights for part in inside)
    embeddings = memory.account(model.get_input_embeddings()).weights
    return {
        "matrices": matrices,
        "word embeddings": embeddings,
        "the rest": memory.account(model).weights - matrices - embeddings,
    }


in_16 = load_encoder(dtype=torch.bfloat16)
weights = {
    "32 bits": weigh(encoder),
    "16 bits": weigh(in_16),
    "NF4, loaded the usual way": weigh(quantised),
}
pd.DataFrame(weights).T.assign(total=lambda table: table.sum(axis=1)).map(memory.human)

# %%
colours = {"matrices": "#0072B2", "word embeddings": "#E69F00", "the rest": "#777777"}
figure, axes = plt.subplots(figsize=(7.2, 2.6))
left = np.zeros(len(weights))
for part, colour in colours.items():
    sizes = np.array([row[part] / 1e6 for row in weights.values()])
    axes.barh(list(weights), sizes, left=left, color=colour, label=part)
    left += sizes
axes.invert_yaxis()
if size_guess.value is not None:
    axes.axvline(size_guess.value, color="#444444", ls="--", lw=1.2)
    axes.annotate(" your guess", (size_guess.value, 2.45), va="bottom", color="#444444")
axes.set(xlabel="MB of weights")
axes.legend(loc="lower right")
nf4_mb, bf16_mb = left[2], left[1]
surprise = (
    f"In NF4 it is {'larger' if nf4_mb > bf16_mb else 'smaller'} "
    f"than in 16 bits: {nf4_mb:.0f} against {bf16_mb:.0f} MB"
)
axes.set_title(surprise)
plots.show(figure, alt=f"Stacked bars of weights by kind and precision. {surprise}.")

# %%
size_guess.compare(nf4_mb)

# %% [markdown]
# The second surprise. The blue part did what was promised. But much of a small model is a
# dictionary: one vector for each word piece of its vocabulary. Embeddings are looked up, not
# multiplied, so they are not linear layers, so nobody quantises them. And this checkpoint stores
# them in 32 bits, so there they are, in full.
#
# Would another choice of type help? Calculate before you load.

# %%
in_matrices = sum(part.weight.numel() for name, part in layers.items() if name not in head)
others = sum(part.numel() for part in encoder.parameters()) - in_matrices
print(f"{in_matrices:,} numbers in matrices that get quantised, {others:,} others")

# %% tags=["exercise"] exercise="day07/rest-in-16" answer="expected_bytes" minutes=8 difficulty=2
# How many bytes would the encoder's weights take with its matrices in NF4 (double quantisation)
# and everything else in 16 bits instead of 32?  Given: in_matrices, others (printed above), and
# your bits_per_weight.
expected_bytes = ...
# <solution>
expected_bytes = in_matrices * bits_per_weight(64, double=True) / 8 + others * 2
# </solution>


# %% tags=["check"] exercise="day07/rest-in-16"
def counted_anew():
    """The two counts from the model itself, whatever became of the variables above."""
    matrices = sum(part.weight.numel() for name, part in layers.items() if name not in head)
    return matrices, sum(part.numel() for part in encoder.parameters()) - matrices


def near(number, other):
    return abs(number - other) < 2e-5 * other


def check(answer):
    if isinstance(answer, bool) or not isinstance(answer, int | float | np.number):
        return f"This is a {type(answer).__name__}. A number of bytes is wanted."
    matrices, rest = counted_anew()
    single, double = 4 + 32 / 64, 4 + (8 + 32 / 256) / 64
    right = matrices * double / 8 + rest * 2
    if near(answer, right):
        return None
    if any(near(answer, right * factor) for factor in (8, 1e-6, 2**-20)):
        return "The right amount in the wrong unit: bytes are asked for."
    if near(answer, matrices * double / 8 + rest * 4):
        return "That is what you have already: the rest in 32 bits."
    if near(answer, (matrices + rest) * double / 8):
        return "You quantise everything. Embeddings, LayerNorms and biases stay as they are; they are in `others`."
    if near(answer, matrices / 2 + rest * 2):
        return "Half a byte per weight is the number alone. What do the scales add?"
    if near(answer, matrices * double + rest * 2):
        return "You add bits to bytes: the first term is in bits."
    if near(answer, matrices * single / 8 + rest * 2):
        return "Those are 32-bit scales. Our configuration asks for double quantisation."
    if near(answer, matrices * 4.125 / 8 + rest * 2):
        return "Nearly: the 8-bit scales need scales of their own. `bits_per_weight(64, double=True)` counts them."
    return f"{answer:,.0f} is not it. Two terms: {matrices:,} numbers at the bits you computed, divided by 8, and {rest:,} numbers at 2 bytes."


def agrees(expected, found):
    matrices, rest = counted_anew()
    return near(found, matrices * (4 + (8 + 32 / 256) / 64) / 8 + rest * 2)


hints = [
    "Two terms: what the matrices take, and what everything else takes.",
    "Your `bits_per_weight(64, double=True)` gives bits; eight of them are a byte.",
    "`in_matrices * bits_per_weight(64, double=True) / 8 + others * 2`",
]
misconceptions = [
    (
        "expected_bytes = in_matrices * bits_per_weight(64, double=True) / 8 + others * 4",
        "32 bits",
    ),
    (
        "expected_bytes = (in_matrices + others) * bits_per_weight(64, double=True) / 8",
        "quantise everything",
    ),
    ("expected_bytes = in_matrices / 2 + others * 2", "number alone"),
    (
        "expected_bytes = in_matrices * bits_per_weight(64, double=True) + others * 2",
        "bits to bytes",
    ),
]

# %%
thrifty = keep_trainable(load_encoder(quantization_config=four_bits, dtype=torch.bfloat16))
print(
    f"expected {memory.human(expected_bytes)}, "
    f"loaded {memory.human(memory.account(thrifty).weights)}"
)
encoder_factor = sum(weights["16 bits"].values()) / memory.account(thrifty).weights
print(f"all in 16 bits, it would be {encoder_factor:.2f} times as large")

# %% [markdown]
# That was one argument, `dtype=torch.bfloat16`. Do not forget it. (And do not celebrate yet.)
#
# ### Where it pays
#
# A larger model has more matrices, not more words. SmolLM2-135M, the language model from Day 1:

# %%
from transformers import AutoModelForCausalLM

for_language = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=compute,
)
options = {"dtype": torch.bfloat16, "device_map": device}
writer = AutoModelForCausalLM.from_pretrained(models.source("decoder"), **options)
small_writer = keep_trainable(
    AutoModelForCausalLM.from_pretrained(
        models.source("decoder"), quantization_config=for_language, **options
    )
)

# %%
both = {"16 bits": weigh(writer), "NF4": weigh(small_writer)}
table = pd.DataFrame(both).T.assign(total=lambda table: table.sum(axis=1))
as_loaded = table.total["NF4"]
smol_factor = table.total["16 bits"] / table.total["NF4"]
print(
    f"{smol_factor:.2f} times smaller; "
    f"its output layer is a {type(small_writer.lm_head).__name__}"
)
table.map(memory.human)

# %% [markdown]
# That is what four bits are for. (For a language model no list of names is needed: its output layer
# is left alone by itself, here it is even the same tensor as the embeddings. Careful: a list of
# your own *replaces* that automatic choice.)
#
# Is it still the same model? The loss on review sentences says how surprised it is by each next
# word. (Keeping numbers in 16 bits is one thing, multiplying them another: where the processor
# only emulates that, many times more slowly, they are widened first. No number changes.)

# %%
for part in [*writer.parameters(), *small_writer.parameters()]:
    if part.dtype == torch.bfloat16:  # four-bit numbers lie in whole bytes: they stay
        part.data = part.data.to(compute)

# %%
reviews = data.prepared("sentiment")
reviews.pop("test")  # opened once, on Day 4
writers_tokens = AutoTokenizer.from_pretrained(models.source("decoder"))


@torch.inference_mode()
def surprises(model, texts):
    """Mean loss per next token, one number for each text."""
    batch = writers_tokens(texts, padding=True, return_tensors="pt").to(device)
    logits = model.eval()(**batch).logits[:, :-1].float()
    wanted = batch.input_ids[:, 1:].masked_fill(batch.attention_mask[:, 1:] == 0, -100)
    loss = nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
    return (loss.sum(dim=1) / (wanted != -100).sum(dim=1)).cpu().numpy()


# %%
some = reviews["validation"]["text"][: settings.pick(smoke=4, cpu=24)]
losses = {"16 bits": surprises(writer, some), "NF4": surprises(small_writer, some)}
added = losses["NF4"] - losses["16 bits"]
print(f"mean loss: 16 bits {losses['16 bits'].mean():.3f}, NF4 {losses['NF4'].mean():.3f}")
print(
    f"NF4 adds {added.mean():+.3f} ± {added.std(ddof=1) / len(added) ** 0.5:.3f} "
    f"(standard error over {len(added)} sentences)"
)

# %% [markdown]
# It is not free. A loss that is higher by $d$ means that the model gives each next word, on
# average, $e^{-d}$ times the probability it gave before. Small models have little to spare. (A
# caveat: the copy of SmolLM2 that this course ships came through another 4-bit format before, so
# this compares a model quantised once with one quantised twice. The original might lose more or
# less.)
#
# Can you see it in what they write?

# %%
question = [{"role": "user", "content": "Name one reason to watch an old film."}]
prompt = writers_tokens.apply_chat_template(
    question, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
prompt = prompt.to(device)
for name, model in (("16 bits", writer), ("NF4", small_writer)):
    answer = model.generate(
        **prompt,
        max_new_tokens=settings.pick(smoke=4, cpu=24),
        do_sample=False,
        pad_token_id=writers_tokens.eos_token_id,
    )
    written = answer[0, prompt["input_ids"].shape[1] :]
    print(f"{name:<8} {writers_tokens.decode(written, skip_special_tokens=True)!r}")
del writer

# %% [markdown]
# ## Train a LoRA on the quantised base
#
# <!-- asked: D07-T7 -->
# The recipe is Day 4's with one step more. `prepare_model_for_kbit_training` gets a quantised model
# ready: it freezes every parameter, lifts what is left in 16 bits to 32 (LayerNorms are sensitive),
# and, unless told otherwise, switches on gradient checkpointing (activations are not kept but
# computed again on the way back). Then `get_peft_model` puts the adapter on.
#
# A colleague has the two calls in the other order. Try his version with checkpointing off and on.

# %%
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training


def recipe():
    return LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.05, target_modules=targets, task_type="SEQ_CLS"
    )


def quantised_base(dtype=torch.bfloat16):
    return keep_trainable(load_encoder(quantization_config=four_bits, dtype=dtype))


def colleagues_qlora(base, checkpointing=False):
    model = get_peft_model(base, recipe())
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing)


# %%
label = torch.ones(1, dtype=torch.long, device=device)
for checkpointing in (False, True):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both libraries announce new names for checkpointing
        model = colleagues_qlora(quantised_base(), checkpointing).train()
        try:
            model(**sentence, labels=label).loss.backward()
            outcome = "runs, without a word"
        except RuntimeError as problem:
            outcome = f"{type(problem).__name__}: {problem}"
    numbers = models.count_parameters(model).trainable
    print(
        f"checkpointing {checkpointing!s:<5} {numbers} numbers train; backward pass: {outcome}"
    )

# %% [markdown]
# With checkpointing off, nothing in the whole computation asks for a gradient, and PyTorch stops;
# `Trainer.train()` ends with the same message. With checkpointing on, *the default*, PEFT lets the
# embeddings' output ask for one, so that the recomputing has somewhere to lead. The backward pass
# runs, `Trainer.train()` runs to its end and logs losses: `grad_norm` is 0, and no weight moves.
# That is the silent failure. (`training.train` refuses to begin it.)


# %% tags=["exercise"] exercise="day07/qlora" answer="qlora" minutes=8 difficulty=2
# base: a quantised encoder, as `quantised_base()` gives it.
# Return it ready for training: prepared (without gradient checkpointing), with the adapter of
# recipe() on top.
def qlora(base): ...


# <solution>
def qlora(base):
    base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)
    return get_peft_model(base, recipe())


# </solution>


# %% tags=["check"] exercise="day07/qlora"
def facts(model):
    """What a model is made of: adapters with their settings, what trains, types, wrapper."""
    adapters = {
        name: (part.r["default"], part.scaling["default"], str(part.lora_dropout["default"]))
        for name, part in model.named_modules()
        if hasattr(part, "lora_A")
    }
    return {
        "a PeftModel": isinstance(model, PeftModel),
        "adapters (r, α/r, dropout)": adapters,
        "trained": sorted(
            name for name, part in model.named_parameters() if part.requires_grad
        ),
        "types": {name: str(part.dtype) for name, part in model.named_parameters()},
        "checkpointing": bool(getattr(model, "is_gradient_checkpointing", False)),
    }


def check(answer):
    model = answer(quantised_base())
    if model is None:
        return "Your function returns nothing. The wrapped model is what we go on with."
    if not isinstance(model, nn.Module):
        return f"Your function returned {type(model).__name__}. The wrapped model is wanted."
    counts = models.count_parameters(model)
    if not any("lora_A" in name for name, _ in model.named_parameters()):
        return "There is no adapter on it, so nothing could learn: the base is frozen and in four bits."
    if not isinstance(model, PeftModel):
        return "The adapter is in place, but you hand back the base without PEFT's wrapper: saving it would write the whole model. Return what get_peft_model returns."
    if counts.trainable == 0:
        return "Still nothing trains. Preparing freezes *every* parameter it finds. What must not be there yet when it runs?"
    if counts.trainable_groups["head"] == 0:
        return "The adapter trains, but the fresh head is frozen. The adapter would learn to feed random numbers, and whoever loads it later gets another random head (Day 10 has such a patient). Which argument of the recipe tells PEFT about the head?"
    if counts.trainable > counts.groups["adapter"] + counts.groups["head"]:
        return f"{counts.trainable:,} numbers train, more than adapter and head have. Only those two should."
    if any(part.dtype == torch.bfloat16 for part in model.parameters()):
        return "LayerNorms and embeddings are still in 16 bits: the preparing step is missing."
    if facts(model)["checkpointing"]:
        return "Gradient checkpointing is on: it would compute every layer twice to save memory that this model does not need."
    wanted, config = recipe(), next(iter(model.peft_config.values()))
    for field in ("r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "bias"):
        if (mine := getattr(config, field)) != getattr(wanted, field):
            return f"It trains, but {field} is {mine}, and in recipe() it is {getattr(wanted, field)}. The comparison below wants the same adapter for LoRA and QLoRA."
    return None


def trial(answer, dtype):
    return facts(answer(quantised_base(dtype)))


def inputs(draw):
    yield torch.bfloat16


hints = [
    "The two calls are the right ones. Print what is trainable after each of them.",
    "Freezing comes first; what is added afterwards is free to learn.",
    "`prepare_model_for_kbit_training(base, …)`, then `get_peft_model(…, recipe())`.",
]
misconceptions = [
    ("qlora = colleagues_qlora", "Still nothing trains"),
    (
        "def qlora(base):\n    return get_peft_model(base, recipe())",
        "preparing step is missing",
    ),
    (
        "def qlora(base):\n    base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)\n    return get_peft_model(base, LoraConfig(r=8, target_modules=targets))",
        "head is frozen",
    ),
    (
        "def qlora(base):\n    return prepare_model_for_kbit_training(base, use_gradient_checkpointing=False)",
        "no adapter",
    ),
    (
        "def qlora(base):\n    model = colleagues_qlora(base)\n    for part in model.parameters():\n        part.requires_grad = part.is_floating_point()\n    return model",
        "Only those two should",
    ),
]

# %%
prepare_model_for_kbit_training(small_writer, use_gradient_checkpointing=False)
after = memory.account(small_writer).weights
print(
    f"SmolLM2 in NF4: {memory.human(as_loaded)} as loaded, "
    f"{memory.human(after)} after preparing"
)
del small_writer

# %% [markdown]
# The third surprise. Preparing lifts *everything* that is still in 16 bits to 32: not only the few
# LayerNorms that need it, but also every embedding. On a small model with a large vocabulary this
# gives back a good part of what four bits had saved. On 7 billion numbers it is hardly felt; and if
# it is, one can leave the step out, freeze by hand and lift the LayerNorms only. Either way: weigh
# the model *after* preparing, not after loading.
#
# Now train. A small budget, so that three methods with several seeds fit into a coffee break: a
# part of the training sentences, one pass.

# %%
from transformers import DataCollatorWithPadding, Trainer

sentences = settings.pick(smoke=16, cpu=1200)
held_back = settings.pick(smoke=40, cpu=600)
batch_size = settings.pick(smoke=8, cpu=16)

tokens = data.tokenize(reviews, tokenizer, max_length=128)
small = tokens["train"].select(range(sentences))
choosing = tokens["train"].select(range(len(tokens["train"]) - held_back, len(tokens["train"])))
judging = tokens["validation"]
collator = DataCollatorWithPadding(tokenizer)
print(
    f"train on {len(small):,} sentences, "
    f"choose settings on {len(choosing)}, judge on {len(judging):,}"
)

# %% [markdown]
# Three sets, because we are going to *choose* learning rates, and whoever chooses on a set has used
# it up as a judge. The choosing part comes from training sentences that nobody trains on today. The
# test split stays shut.

# %%
fast = training.load_options()  # Day 4: types and attention that suit this machine


def four_bit_base(seed=lab.seed):
    return keep_trainable(
        load_encoder(seed, quantization_config=four_bits, **fast | {"dtype": torch.float32})
    )


def build(method, seed):
    if method == "full":
        return load_encoder(seed, **fast | {"dtype": torch.float32})
    if method == "QLoRA":
        return qlora(four_bit_base(seed))
    model = get_peft_model(load_encoder(seed, **fast), recipe())
    training.keep_adapters_precise(model)
    return model


# %%
def trainer_for(model, name, learning_rate, seed, callbacks=()):
    args = training.arguments(
        name,
        learning_rate=learning_rate,
        num_train_epochs=1,
        seed=seed,
        per_device_train_batch_size=batch_size,
        save_strategy="no",
        disable_tqdm=True,
    )
    return Trainer(
        model=model,
        args=args,
        train_dataset=small,
        data_collator=collator,
        callbacks=[*callbacks],
    )


# %%
model = build("QLoRA", lab.seed)
models.describe(model)
trainer = trainer_for(
    model, f"qlora-rate0.004-seed{lab.seed}", 4e-3, lab.seed, [training.LivePlot()]
)
run = training.train(trainer, f"qlora-rate0.004-seed{lab.seed}")

# %%
logged = [row for row in run.history if "loss" in row]
curve = [row["loss"] for row in logged]
finding = f"On a 4-bit base, the loss goes from {curve[0]:.2f} to {np.mean(curve[-5:]):.2f}"
figure = plots.lines(
    [row["step"] for row in logged],
    {"QLoRA": curve},
    title=finding,
    xlabel="optimizer step",
    ylabel="loss",
)
plots.show(figure, alt=f"Training loss of QLoRA over {logged[-1]['step']} steps. {finding}.")

# %% [markdown]
# <!-- asked: D07-T1 -->
# It learns. The base cannot change, but the error signal passes *through* it: forwards, each matrix
# is restored to ordinary numbers, used, and thrown away; backwards, the same once more. Gradients are
# computed for adapter and head only.
#
# <!-- asked: D07-T8 -->
# ## Full, LoRA, QLoRA: fill the table by measuring
#
# <!-- asked: D07-P -->
# You will meet this table in many courses, with these numbers already in it, for DistilBERT:
#
# | method | trainable | memory | time | accuracy |
# |---|---|---|---|---|
# | full | 66M | ? | ? | ? |
# | LoRA | 294K | ? | ? | ? |
# | QLoRA | 294K | ? | ? | ? |
#
# Before we fill in the question marks: the numbers.

# %%
distilbert = planner.lora_parameters("distilbert-base", r=8)
bert = planner.lora_parameters("bert-base", r=8)
print(f"full:  {distilbert.base:,}")
print(
    f"LoRA:  {distilbert.adapter:,} in the adapter and "
    f"{distilbert.head:,} in the head = {distilbert.trainable:,}"
)
print(f"294K:  {bert.adapter:,} is the adapter of BERT-base, which has twice as many layers")
assert (distilbert.base, distilbert.trainable, bert.adapter) == (66_955_010, 739_586, 294_912)

# %% [markdown]
# "66M" is nearly right: rounded, it is 67M. "294K" is wrong twice, as you found on Day 4: it belongs to a model
# with twice the layers, and it forgets the head. The last row repeats the mistake. But it repeats
# it rightly: LoRA and QLoRA do train *the same numbers*. Quantising the base changes how it is
# stored, and nothing else.
#
# Now ours. The memory first, by kind: one real training step each, then every tensor is counted.


# %%
def account_for(method):
    model = build(method, lab.seed)
    batch = collator([small[at] for at in range(batch_size)]).to(device)
    optimizer = torch.optim.AdamW(
        [part for part in model.parameters() if part.requires_grad], lr=1e-4
    )
    with torch.autocast(device, dtype=compute, enabled=compute != torch.float32):
        model(**batch).loss.backward()
        optimizer.step()
        bill = memory.account(model, optimizer, batch)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file_bytes = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    return models.count_parameters(model).trainable, bill, file_bytes


methods = ("full", "LoRA", "QLoRA")
counted = {method: account_for(method) for method in methods}

# %%
kinds = {
    "weights": "#0072B2",
    "gradients": "#D55E00",
    "optimizer": "#E69F00",
    "activations": "#777777",
}

# %%
figure, axes = plt.subplots(figsize=(7.2, 2.6))
left = np.zeros(len(methods))
for kind, colour in kinds.items():
    sizes = np.array([getattr(bill, kind) / 1e6 for _, bill, _ in counted.values()])
    axes.barh(methods, sizes, left=left, color=colour, label=kind)
    left += sizes
axes.invert_yaxis()
axes.set_xlabel(f"MB for a training step on {batch_size} sentences")
axes.legend(loc="lower right")
ratio = left[0] / left[1]
finding = (
    f"LoRA needs {ratio:.1f} times less than full; "
    f"QLoRA {left[2] / left[1]:.2f} times what LoRA needs"
)
axes.set_title(finding)
heights = ", ".join(f"{m} {mb:.0f} MB" for m, mb in zip(methods, left, strict=True))
plots.show(figure, alt=f"Memory by kind for three methods: {heights}.")

# %% [markdown]
# Read it from right to left. *Activations* are what the way back needs of the way forward, and
# quantising weights does not shrink them. (Where your machine computes in 16 bits, LoRA's are the
# smallest: QLoRA's unquantised rest was lifted to 32, and so is what flows between its layers.)
# *Gradients and optimiser* vanish with LoRA already. What QLoRA can still shrink is the blue part;
# beside a base in 16 bits, its own embeddings in 32 can eat that up. The title says whether they do.
#
# Now time and quality. Fairness first: each method needs its own learning rate (Day 6 showed why),
# so each gets **three candidates**, one run each, judged on the choosing part. Not one more for the
# method we like.

# %%
candidates = {
    "full": [1e-4, 2e-4, 4e-4],
    "LoRA": [2e-3, 4e-3, 8e-3],
    "QLoRA": [2e-3, 4e-3, 8e-3],
}
candidates = {
    method: rates[: settings.pick(smoke=1, cpu=3)] for method, rates in candidates.items()
}
seeds = settings.pick(smoke=[1, 2], cpu=[1, 2, 3])


# %%
def trial(method, learning_rate, seed, split, split_name):
    """Train (or find) one run; return it, and where on the split the model was right."""
    name = f"{method.lower()}-rate{learning_rate:g}-seed{seed}"
    with contextlib.redirect_stdout(io.StringIO()):  # one line per run is enough
        model = build(method, seed)
        run = training.train(trainer_for(model, name, learning_rate, seed), name)
    kept, low = run.folder / f"{split_name}.npy", compute != torch.float32
    if not kept.exists():
        with torch.autocast(device, dtype=compute, enabled=low):  # as in training
            np.save(kept, training.predict(model, split))
    return run, np.load(kept).argmax(axis=1) == np.array(split["labels"])


# %%
chosen = {}
for method, rates in candidates.items():
    scores = {}
    for rate in rates:
        run, right = trial(method, rate, lab.seed, choosing, "choosing")
        scores[rate] = right.mean()
        print(
            f"{method:<6} rate {rate:g}: {scores[rate]:.1%} "
            f"right on the choosing part  ({run.seconds:.0f} s)"
        )
    chosen[method] = max(scores, key=scores.get)
print("chosen:", ", ".join(f"{method} {rate:g}" for method, rate in chosen.items()))

# %% [markdown]
# The winners of that round were lucky as well as good, so their scores are not used again. New
# seeds, and the validation split, which chose nothing in *this* comparison. A bar beside them:
# counting words, from as many sentences.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

counting = make_pipeline(
    TfidfVectorizer(ngram_range=(1, 2)), LogisticRegression(C=10, max_iter=1000)
)
counting.fit(reviews["train"][:sentences]["text"], small["labels"])
bar = counting.score(reviews["validation"]["text"], judging["labels"])
print(f"counting words: {bar:.1%} right. A method below this bar has not been shown to matter.")

# %%
right, seconds = {}, {}


# %%
def judged(method, seed):
    """One run with the chosen rate, judged on validation and kept in MLflow."""
    run, right[method, seed] = trial(method, chosen[method], seed, judging, "validation")
    seconds[method, seed] = run.seconds
    trainable, bill, file_bytes = counted[method]
    found = {
        "accuracy": right[method, seed].mean(),
        "seconds": run.seconds,
        "checkpoint_bytes": file_bytes,
    }
    found |= {f"{kind}_bytes": getattr(bill, kind) for kind in kinds}
    with mlflow.start_run(run_name=f"{method} seed {seed}", nested=True):
        mlflow.log_params({"method": method, "learning_rate": chosen[method], "seed": seed})
        mlflow.log_metrics(found | {"trainable_parameters": trainable})
    print(
        f"{method:<6} seed {seed}: "
        f"{right[method, seed].mean():.1%} right  ({run.seconds:.0f} s)"
    )


# %%
with tracking.start_run("methods", "day07 full, LoRA, QLoRA"):
    mlflow.log_params(
        {"sentences": sentences, "batch_size": batch_size, "trials": len(candidates["full"])}
    )
    for method in methods:
        for seed in seeds:
            judged(method, seed)

# %%
rows = {}
for method, (trainable, bill, file_bytes) in counted.items():
    scores = [100 * right[method, seed].mean() for seed in seeds]
    rows[method] = {"trainable": f"{trainable:,}"}
    rows[method] |= {kind: memory.human(getattr(bill, kind)) for kind in kinds}
    rows[method]["file"] = memory.human(file_bytes)
    rows[method]["seconds"] = f"{np.mean([seconds[method, seed] for seed in seeds]):.1f}"
    rows[method]["accuracy (%)"] = (
        f"{np.mean(scores):.1f} ({min(scores):.1f} to {max(scores):.1f})"
    )
pd.DataFrame(rows)

# %% [markdown]
# There is the table, and no cell of it is a guess. Trainable numbers and bytes are exact. Seconds
# are this machine's, one run after another. Accuracies are means over seeds, with the lowest and
# highest.
#
# Where does QLoRA's time go? Every matrix is restored twice per step, once on the way forward and
# once on the way back. How long does that take for all of them?

# %%
four_bit_layers = [part for part in model.modules() if isinstance(part, Linear4bit)]
started = time.perf_counter()
for _ in range(5):
    for part in four_bit_layers:
        bnb.dequantize_4bit(part.weight.data, part.weight.quant_state)
once_all = (time.perf_counter() - started) / 5
steps = math.ceil(len(small) / batch_size)
print(
    f"{len(four_bit_layers)} matrices restored in {1000 * once_all:.0f} ms; "
    f"twice in each of {steps} steps: {2 * steps * once_all:.1f} s"
)
means = {method: np.mean([seconds[method, seed] for seed in seeds]) for method in methods}
print(
    f"QLoRA took {means['QLoRA'] - means['LoRA']:+.1f} "
    f"s longer than LoRA's {means['LoRA']:.1f} s."
)

# %% [markdown]
# That price is paid per *step*, not per sentence: with larger batches or longer texts it weighs
# less.
#
# Do the methods differ in quality? Same sentences for all, so compare in pairs. One point, said
# before looking, is the largest difference that we would call a tie.


# %%
def runs_of(method):
    return np.array([right[method, seed] for seed in seeds], dtype=int)


pairs = [("QLoRA", "LoRA"), ("full", "LoRA")]
gaps = {pair: metrics.compare(*map(runs_of, pair), margin=0.01) for pair in pairs}
two_models = {
    f"{a} − {b}, seed {seed}: two models": metrics.compare(right[a, seed], right[b, seed])
    for a, b in pairs
    for seed in seeds
}
for (a, b), gap in gaps.items():
    print(f"{a} − {b}: {gap}")

# %%
rows = two_models | {f"{a} − {b}: the methods": gap for (a, b), gap in gaps.items()}
figure = plots.interval_bars(
    list(rows),
    [gap.points for gap in rows.values()],
    reference=0,
    reference_label="no difference",
    title=f"QLoRA − LoRA: {gaps['QLoRA', 'LoRA']}",
    xlabel="difference in accuracy (points), with 95 % intervals",
)
plots.show(
    figure,
    alt="Differences per seed and together. "
    + "; ".join(f"{a} − {b}: {gap}" for (a, b), gap in gaps.items()),
)

# %% [markdown]
# The rows with a seed are two *models*: what other sentences might have said about these. The rows
# of the *methods* also ask what other seeds might have said, and seeds are few, so they are honest
# and wide; only their word counts. If it is *undecided*, more seeds would be the next purchase.
#
# You will read that "QLoRA reaches 85 % of LoRA's quality". There is no source for that number; the
# paper found 4-bit and 16-bit LoRA on a par (Dettmers et al., 2023, section 4), and here you have
# your own measurement, with its uncertainty. ([Myths about
# quality](../../curriculum/guides/myths_quality.md) has the rest.)
#
# So what has QLoRA brought us *on this model*? Look at the title of the memory chart again, and at
# the verdict above. That is an honest result, with a model too small to need it. Where is the right
# one?
#
# <!-- asked: D07-T9 -->
# ## From this model to 65 billion weights
#
# By what factor do 4 bits (with double quantisation) shrink the weights, compared with 16? Two
# models we have weighed, as loaded; for the other three the planner computes it from their shapes.
# Always: matrices in NF4, everything else in 16 bits.

# %%
factors = {"our encoder (weighed)": encoder_factor, "SmolLM2-135M (weighed)": smol_factor}
factors |= {
    name: 2 * planner.parameters(name) / planner.nf4_bytes(name) for name in large_models
}

# %%
title = (
    f"Four bits shrink a large model {factors['llama-65b']:.1f} times, "
    f"ours {encoder_factor:.1f} times"
)
figure = plots.bars(
    list(factors),
    [round(factor, 2) for factor in factors.values()],
    reference=4,
    reference_label="a quarter:",
    title=title,
    xlabel="weights in 16 bits / weights in NF4",
)
plots.show(
    figure,
    alt=f"Bars of the shrinking factor for five models. {title}; four times is never reached.",
)

# %% [markdown]
# "A quarter of the memory" is a ceiling that nobody reaches, but large models come close: the
# larger the model, the smaller the share of its dictionary.
#
# And training? The planner adds adapter, gradients, optimiser and an estimate of the activations:
# one text of 512 tokens at a time, with gradient checkpointing, everything that is not in 4 bits in
# 16. Lean plans: r = 8, on query and value only. The last line of each model is nearer to what people
# run today: every linear layer, r = 16, 2,048 tokens.

# %%
ways = {
    "full": {"precision": "mixed"},
    "lora": {"precision": "bfloat16"},
    "qlora": {"precision": "bfloat16"},
    "qlora, usual": {"which": "all_linear", "r": 16, "sequence_length": 2048},
}
plans = {}
for name in large_models:
    for method, how in ways.items():
        plan = planner.memory_plan(
            name, method.split(",")[0], batch_size=1, gradient_checkpointing=True, **how
        )
        plans[name, method] = plan.total
        card = planner.smallest_gpu(plan.total) or "no single card of these"
        print(f"{name:<10} {method:<12} {memory.human(plan.total):>9}   {card}")

# %% [markdown]
# That is the case for QLoRA, in one table: with it, a 7B or 13B model trains on a card that plenty of
# people own (its usual place today), and 65B on a single large one. And its limit as well: 65B on a
# 24 GB "consumer" card is a legend, and a card that the plan just fits will meet a longer batch.
#
# For that batch the paper has one more tool, **paged optimisers**. On NVIDIA cards bitsandbytes can
# keep AdamW's two means in memory that the driver moves to the computer's own and back, page by
# page, while the activations peak: `optim="paged_adamw_8bit"` in the training arguments. It saves
# nothing on average; it lets a tight card survive its worst moment, more slowly. (A CPU has nothing
# to page, so we cannot show it here.)
#
# Rule of thumb for the choice: if the model fits in 16 bits with room for activations, use LoRA; it
# is simpler and faster, and its merge loses less. QLoRA is for the model that does not fit.
#
# A puzzle to move: here is a 13B model, trained in full, beside a 16 GB card. Make it fit. Then
# raise `sequence_length` until it does not. Which part grew, and does quantising help with that
# one?

# %%
from labhelpers import explorers

planning = explorers.memory_planner({"llama-13b": models.config("llama-13b")})

# %% [markdown]
# ## Merging into a 4-bit base loses something
#
# A LoRA can be *merged*: add $\frac{\alpha}{r} B A$ to the frozen matrix once, throw the adapter
# away, and prediction costs nothing extra. Into a 32-bit base that is exact, to the last digits. In
# fewer bits the sum has to be rounded, and what that takes away depends on how large the update is
# beside the gaps. 16 bits have small gaps. Four bits?
#
# Take the QLoRA model from above. First what PEFT does when you ask it to merge.


# %%
def in_full_precision(model):
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.compute_dtype = (
                torch.float32
            )  # so that we measure the merging and not the rounding on the way
    return model


def predictions(model):
    return training.predict(in_full_precision(model), some_sentences)


some_sentences = judging.select(range(min(200, len(judging))))
trained = predictions(model)
adapter_folder = training.save_once(
    lab.workspace / "adapters" / run.folder.name, model.save_pretrained
)

# %%
before = [part.weight.data.clone() for part in model.modules() if isinstance(part, Linear4bit)]
with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # PEFT says: "may get different generations due to rounding errors"
    merged = keep_trainable(copy.deepcopy(model).merge_and_unload())
after = [part.weight.data for part in merged.modules() if isinstance(part, Linear4bit)]

changed_logit = np.abs(predictions(merged) - trained).max()
print(f"largest change of a logit by merging into the 4-bit base: {changed_logit:.4f}")

# %% [markdown]
# The change should be zero: it is meant to be the same function. What happened inside? Look at one
# matrix: the update, the steps of the code book, and how many of the 4-bit numbers the update moved
# at all.

# %%
adapted = [part for part in model.modules() if hasattr(part, "get_delta_weight")]
delta = adapted[0].get_delta_weight("default").detach().cpu()
stored = adapted[0].base_layer.weight
on_grid = bnb.dequantize_4bit(stored.data, stored.quant_state).float().cpu()
again = dequantise(*quantise(on_grid + delta, nf4, 64), nf4, on_grid.shape)
numbers_before, numbers_after = (
    quantise(part, nf4, 64)[0] for part in (on_grid, on_grid + delta)
)
moved = (numbers_after != numbers_before).float().mean().item()
lost = ((again - on_grid - delta).norm() / delta.norm()).item()
print(
    f"update: a typical entry is {delta.std():.4f}; "
    f"half a step of the code book is {jumps.mean() / 2:.4f}"
)
print(
    f"4-bit numbers that moved: {moved:.1%}; "
    f" what rounding did, as a share of the update: {lost:.0%}"
)

# %%
in_16_bits = (W.bfloat16() + delta).bfloat16().float() - W.bfloat16().float()
lost_in_16 = ((in_16_bits - delta).norm() / delta.norm()).item()
print(f"the same update, merged into the original matrix in 16 bits: {lost_in_16:.1%}")

# %% [markdown]
# The base lies exactly *on* the grid of the code book; that is what quantised means. An update much
# smaller than half a step leaves nearly every number where it was: rounding takes it straight back.
# What does get across arrives as jumps that are far too large. The fourth surprise: merging into
# four bits does not blur the update a little, it throws much of it away. In 16 bits it is the same
# disease, milder: a timid update (a small rate, a short training) loses a larger share.
#
# There are better ways. Two are in use: take another base to merge into. Find out which comes
# closest to the model you trained.


# %% tags=["exercise"] exercise="day07/merge" answer="merge" minutes=12 difficulty=3
# adapter: a folder with a saved LoRA that was trained on four_bit_base(). Return an ordinary
# model (no adapter, no 4-bit layers) that answers as the trained one does. Useful:
# load_encoder(dtype=…), four_bit_base(), some_model.dequantize(),
# PeftModel.from_pretrained(base, adapter), .merge_and_unload().
def merge(adapter): ...


# <solution>
def merge(adapter):
    base = four_bit_base().dequantize()
    return PeftModel.from_pretrained(base, adapter).merge_and_unload()


# </solution>


# %% tags=["check"] exercise="day07/merge"
def loud_adapter(folder, seed=0):
    """Save an adapter as if trained, and loudly; return the model it was trained on."""
    trained, draw = qlora(four_bit_base()), torch.Generator().manual_seed(seed)
    for name, part in trained.named_parameters():
        if "lora_B" in name:
            part.data = (0.1 * torch.randn(part.shape, generator=draw)).to(part.device)
    trained.save_pretrained(folder)
    return trained


def logits_of(network):
    with torch.inference_mode():
        return in_full_precision(network).to(torch.float32).eval()(**sentence).logits.cpu()


def check(answer):
    logits = logits_of
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trial = loud_adapter(folder)
        result = answer(folder)
        if not isinstance(result, nn.Module):
            return f"Your function returned {type(result).__name__}. It should return the merged model."
        if any("lora_" in name for name, _ in result.named_parameters()):
            return "The adapter is still there, beside its base. Merging adds it to the matrices and takes it off."
        if any(isinstance(part, Linear4bit) for part in result.modules()):
            return "The result has 4-bit layers: whatever you merged was squeezed through the code book once more. Which base has room for the sum?"
        original = PeftModel.from_pretrained(
            load_encoder(dtype=torch.float32), folder
        ).merge_and_unload()
    with torch.inference_mode():
        wanted = in_full_precision(trial).eval()(**sentence).logits.cpu()
    distance = (logits(result) - wanted).abs().max().item()
    usual = (logits(original) - wanted).abs().max().item()
    if distance < 0.3 * usual:
        if any(part.dtype.itemsize == 2 for part in result.parameters()):
            return "The right base, but in 16 bits: adding the update rounded it once more. Stay in 32 bits, and no digit is lost."
        return None
    alone = in_full_precision(four_bit_base()).eval()(**sentence).logits.detach().cpu()
    if (logits(result) - alone).abs().max().item() < 0.1 * usual:
        return "That is the base without its adapter: it answers as if nothing had been learnt."
    if (logits(result) - logits(original)).abs().max().item() < 0.5 * usual:
        return f"An exact merge, onto a base that the adapter has never seen: it was trained beside the *rounded* weights. Logits still differ by up to {distance:.4f}."
    return f"Logits differ from the trained model's by up to {distance:.4f}; the best way brings that down to well below {usual:.4f}. Which base, and did anything pass through four (or sixteen) bits after the sum?"


def trial(answer, seed):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loud_adapter(folder, seed)
        result = answer(folder)
    kinds = {type(part).__name__ for part in result.modules()}
    adapter = any("lora_" in name for name, _ in result.named_parameters())
    return {"adapter": adapter, "4-bit": "Linear4bit" in kinds, "logits": logits_of(result)}


def inputs(draw):
    yield 1


def agrees(expected, found):
    close = torch.allclose(expected.pop("logits"), found.pop("logits"), rtol=0, atol=5e-5)
    return close and expected == found


hints = [
    "The adapter was trained to work on top of the *rounded* weights. Which base has exactly those, but room for the sum?",
    "A quantised model can be turned back: `.dequantize()` gives the rounded weights in ordinary numbers.",
    "`four_bit_base().dequantize()` is the base; put the adapter on it with PeftModel, then merge and unload.",
]
misconceptions = [
    (
        "def merge(adapter):\n    return PeftModel.from_pretrained(load_encoder(dtype=torch.float32), adapter).merge_and_unload()",
        "never seen",
    ),
    (
        "def merge(adapter):\n    return four_bit_base().dequantize()",
        "without its adapter",
    ),
    (
        "def merge(adapter):\n    base = four_bit_base().dequantize()\n    return PeftModel.from_pretrained(base, adapter)",
        "still there",
    ),
    (
        "def merge(adapter):\n    import warnings\n    with warnings.catch_warnings():\n        warnings.simplefilter('ignore')\n        return PeftModel.from_pretrained(four_bit_base(), adapter).merge_and_unload()",
        "squeezed through the code book",
    ),
]

# %%
original = load_encoder(dtype=torch.float32)
networks = {
    "not merged": model,
    "into the 4-bit base": merged,
    "into the original, 32 bits": PeftModel.from_pretrained(
        original, adapter_folder
    ).merge_and_unload(),
    "your merge": merge(adapter_folder),
}
logits = {
    way: training.predict(in_full_precision(network), judging)
    for way, network in networks.items()
}
distance = {way: np.abs(each - logits["not merged"]).max() for way, each in logits.items()}

# %%
answers = {way: each.argmax(axis=1) for way, each in logits.items()}
truth = np.array(judging["labels"])
pd.DataFrame(
    {
        "largest change of a logit": {way: f"{distance[way]:.5f}" for way in networks},
        "answers that flip": {
            way: int((answers[way] != answers["not merged"]).sum()) for way in networks
        },
        "accuracy": {way: f"{(answers[way] == truth).mean():.1%}" for way in networks},
        "weights": {
            way: memory.human(memory.account(network).weights)
            for way, network in networks.items()
        },
    }
).astype(str)

# %% [markdown]
# The base to merge into is the one the adapter was trained beside: the *rounded* weights, in
# ordinary numbers. Then hardly a digit changes. Merging into the original weights is exact arithmetic too,
# but the adapter has learnt to work with the rounding errors, and now they are gone. Often that
# does no harm. It is another model, though: whichever way you merge, **evaluate the model that you
# ship**.
#
# And notice the last column. The good merges are not small any more. If you want to serve in four
# bits, keep base and adapter apart, as the file on disk does anyway.
#
# ## What you saw

# %%
results = {
    "nf4_error": error(dequantise(*quantise(W, nf4, 64), nf4, W.shape)),
    "even_error": error(blocks),
    "bits_per_weight": double,
    "encoder_nf4_megabytes": nf4_mb,
    "encoder_factor": encoder_factor,
    "smol_factor": smol_factor,
    "smol_added_loss": added.mean(),
    "qlora_trainable": counted["QLoRA"][0],
    "qlora_file_bytes": counted["QLoRA"][2],
    "lora_accuracy": np.mean([right["LoRA", seed].mean() for seed in seeds]),
    "qlora_accuracy": np.mean([right["QLoRA", seed].mean() for seed in seeds]),
    "full_accuracy": np.mean([right["full", seed].mean() for seed in seeds]),
    "qlora_minus_lora_points": gaps["QLoRA", "LoRA"].points[0],
    "merge_moved": moved,
    "merge_change_4bit": distance["into the 4-bit base"],
    "merge_change_better": distance["your merge"],
}

# %%
with tracking.start_run("methods", "day07 summary"):
    for name, value in results.items():
        tracking.record(name, value)

# %% [markdown]
# <!-- asked: D07-T2 -->
# One question for the journal, in your own words: name a case in which QLoRA would be your choice,
# and one in which it gains nothing.

# %%
# Change the two texts and run the cell.
choose_it_when = "…"
gains_nothing_when = "…"
if choose_it_when != "…":
    progress.write_journal(
        "day07", f"QLoRA when: {choose_it_when}\n\nNot when: {gains_nothing_when}"
    )

# %% tags=["quiz"]
quiz = [
    {
        "question": "You halve the block size, from 64 weights to 32, without double quantisation. What happens?",
        "choices": [
            (
                "Nothing: four bits per weight are four bits per weight.",
                "Each block brings a scale of 32 bits. Twice as many blocks, twice as many scales.",
                False,
            ),
            (
                "It takes 5 bits per weight instead of 4.5, and the error falls.",
                "Right. Fewer weights have to share a scale with an outlier, and each pays for that with half a bit.",
                True,
            ),
            (
                "It takes 4.25 bits instead of 4.5, and the error rises.",
                "The other way round: that is what *larger* blocks do.",
                False,
            ),
            (
                "The error is halved.",
                "It falls by a few per cent of itself: the largest of 32 numbers is not much smaller than the largest of 64.",
                False,
            ),
        ],
        "proof": """
import torch
from bitsandbytes import functional as bnb
torch.manual_seed(0)
w = torch.randn(512, 512)
def cost(block):
    packed, state = bnb.quantize_4bit(w, blocksize=block, quant_type="nf4")
    return 8 * (packed.nbytes + state.absmax.nbytes) / w.numel(), (bnb.dequantize_4bit(packed, state) - w).norm().item()
(bits_64, error_64), (bits_32, error_32) = cost(64), cost(32)
assert (bits_64, bits_32) == (4.5, 5.0) and 0.8 * error_64 < error_32 < error_64
""",
    },
    {
        "question": "DistilBERT, r = 8 on query and value, two classes. LoRA trains 739,586 numbers. How many does QLoRA train?",
        "choices": [
            (
                "A quarter of that: four bits instead of sixteen.",
                "The frozen base is in four bits. What trains is not.",
                False,
            ),
            (
                "739,586 as well.",
                "Right. The same adapter, the same head. Only the base is stored differently.",
                True,
            ),
            (
                "294,912",
                "That is the adapter of BERT-base, which has twelve layers. DistilBERT has six, and a head.",
                False,
            ),
            (
                "147,456: the head is quantised.",
                "The head is fresh and must stay out of four bits, precisely because it trains.",
                False,
            ),
        ],
        "proof": """
from labhelpers import planner
count = planner.lora_parameters("distilbert-base", r=8)
assert count.trainable == 739_586 and count.adapter == 147_456
assert planner.lora_parameters("bert-base", r=8).adapter == 294_912
assert planner.memory_plan("distilbert-base", "qlora").gradients == planner.memory_plan("distilbert-base", "lora").gradients == 4 * count.trainable
""",
    },
    {
        "question": "'With QLoRA I fine-tune 65B on my 24 GB card.' What is the smallest card that holds at least the 4-bit weights?",
        "choices": [
            (
                "24 GB, with double quantisation.",
                "The weights alone take more than 34 GB, double quantisation included.",
                False,
            ),
            (
                "32 GB",
                "65 billion × 4 bits would be 32.6 GB already, without any scales.",
                False,
            ),
            (
                "40 GB",
                "Right: they take 34.5 GB. Training adds to that; the paper used a card of 48 GB.",
                True,
            ),
            (
                "Only several cards.",
                "One is enough: training on a single card of 48 GB was the paper's headline.",
                False,
            ),
        ],
        "proof": """
from labhelpers import planner
weights = planner.nf4_bytes("llama-65b")
assert 34.4e9 < weights < 34.6e9 and planner.parameters("llama-65b") / 2 > 32e9
assert [g for g in sorted(planner.GPUS.values()) if g * 1e9 > weights][0] == 40
plan = planner.memory_plan("llama-65b", "qlora", "bfloat16", batch_size=1, sequence_length=512, gradient_checkpointing=True)
assert not planner.fits(plan.total, 32) and planner.fits(plan.total, 48)
""",
    },
    {
        "question": "Why must the fresh classification head stay out of the 4-bit conversion?",
        "choices": [
            (
                "It is too small to be worth it.",
                "It is small. But that would be a reason not to bother; in fact it breaks or cannot learn.",
                False,
            ),
            (
                "bitsandbytes cannot quantise layers with two outputs.",
                "It can. The trouble is that there was nothing to load, and that this layer has to learn.",
                False,
            ),
            (
                "It has to learn, and a step of training is far smaller than the gap between two of sixteen values.",
                "Right. A frozen matrix may be coarse. One that learns needs room for small steps.",
                True,
            ),
            (
                "Its gradients would need more memory.",
                "Two rows of gradients weigh nothing. The trouble is what a gradient could do to a 4-bit number.",
                False,
            ),
        ],
        "proof": """
import torch
from bitsandbytes import functional as bnb
torch.manual_seed(0)
head = 0.02 * torch.randn(2, 384)
def through(w):
    return bnb.dequantize_4bit(*bnb.quantize_4bit(w, quant_type="nf4"))
stored = through(head)
step = 1e-4 * torch.randn(2, 384).sign()
assert (through(stored + step) - stored).abs().gt(1e-3).float().mean() < 0.05  # nearly every number snaps back
""",
    },
    {
        "question": "You trained with QLoRA and want one merged model that answers exactly as the one you evaluated. Into what do you merge?",
        "choices": [
            (
                "The 4-bit base: it is the one I trained on.",
                "It has no room for the sum. Rounding takes most of the update back.",
                False,
            ),
            (
                "The original 16-bit weights.",
                "Exact arithmetic, another base: the adapter was trained beside rounded weights.",
                False,
            ),
            (
                "The 4-bit base, dequantised first.",
                "Right: the very weights that the adapter knows, and room for the sum.",
                True,
            ),
            ("It makes no difference.", "You measured it: it does.", False),
        ],
        "proof": """
import torch
from bitsandbytes import functional as bnb
torch.manual_seed(0)
original, update = 0.1 * torch.randn(256, 256), 0.002 * torch.randn(256, 256)
def through(w):
    return bnb.dequantize_4bit(*bnb.quantize_4bit(w, quant_type="nf4"))
base = through(original)
trained = base + update
miss = lambda merged: (merged - trained).norm().item()
assert miss(base + update) == 0 < miss(through(base + update)) and miss(original + update) > 0
assert miss(through(base + update)) > 0.5 * update.norm().item()
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **8 bits.** `BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=head)`: weigh it, and
#   compare a few logits with 32 and 4 bits. Which of the two errors is closer to the other?
# - **FP4.** `bnb_4bit_quant_type="fp4"` is the library's default code book.
#   `bnb.get_4bit_type("fp4", device="cpu")` shows it; sort it, put it into `books`, and see where
#   it lies.
# - **All linear layers.** The QLoRA paper put adapters on every matrix (section 4).
#   `models.lora_targets(encoder, "all_linear")` names them. How much closer does it bring QLoRA to
#   full fine-tuning here?
#
# **Read.** Sections 2 and 3 of the QLoRA paper: of all that is in them, only the paged optimisers have
# not passed through your hands. Then
# Yoshida (2023), who asks whether NF4 is really the best code book, and answers that it cannot be
# for every block size: divided by the largest of its block, a weight is no longer drawn from one
# and the same bell curve. (You have seen the hill.)

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/qlora_beginner.py`](../examples/qlora_beginner.py) is the recipe of today in one plain file: four
# bits below, an adapter on top, saved, loaded again. It needs none of our helpers. Here it meets text messages, *spam*
# or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=20, cpu=400)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/qlora_beginner.py --data my_texts.csv --output my_qlora
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "qlora_beginner.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_qlora")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# On a GPU the same file computes in bfloat16 and is the quicker for it; on a processor it saves memory and costs time,
# as you have measured. Have a file of your own? Give it two columns, `text` and `label`, put its path into `mine`, and
# run the last cell again.
