# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import os

os.environ["KINETO_LOG_LEVEL"] = (
    "99"  # read once, when PyTorch is loaded: its profiler shall not chat
)

from labhelpers import settings

lab = settings.start("technique_qlora_intermediate")

# %%
import contextlib
import copy
import io
import threading
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from labhelpers import exercise, memory, metrics, models, planner, plots, progress, quiz
from labhelpers import tasks, tracking, training, widgets

# %% [markdown]
# ## Why this matters
#
# On [Day 7](../week2/day07_qlora.ipynb) you built four bits by hand, and then met an encoder for which they hardly
# paid. The place where they pay is the language model: nearly all matrices, few words. So now it must work. The
# instructions that people hand around have three lines:
#
# 1. load the model with `load_in_4bit=True`;
# 2. call `prepare_model_for_kbit_training`;
# 3. train a LoRA, in a fraction of the memory.
#
# You will follow them with SmolLM2, and beside it train the same adapter on the same model in sixteen bits. Commit
# yourself before you see a byte: **one training step, everything that lies in memory at its peak**. If the
# sixteen-bit base needs 100 %, what does the four-bit base need, after these three lines?

# %%
step_guess = widgets.predict(
    "qlora-intermediate-step",
    "Memory of a training step on the 4-bit base (16-bit base = 100)",
    0,
    200,
    "%",
)

# %% [markdown]
# ## A decoder in four bits
#
# The configuration is the one of Day 7: NF4, double quantisation, and a type in which the multiplying is done. No
# layer is named as an exception, because a language model brings no fresh head.

# %%
import bitsandbytes.functional as bnb
from bitsandbytes.nn import Linear4bit
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

device = settings.device()
fast = training.load_options("decoder")
half = fast["dtype"] if device == "cuda" else torch.bfloat16  # old GPUs know no bfloat16
four_bits = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=fast["dtype"],  # what is quick here
)


# %%
def load(**options):
    options = fast | {"dtype": half, "device_map": device} | options
    model = AutoModelForCausalLM.from_pretrained(models.source("decoder"), **options)
    for layer in model.modules():
        if isinstance(
            layer, Linear4bit
        ):  # Day 7's trap: on some processors evaluating would end the learning
            layer.support_avx512bf16_for_cpu = False
    return model


sixteen, four = load(), load(quantization_config=four_bits)
for name, model in {"sixteen bits": sixteen, "four bits": four}.items():
    print(f"{name:<13} {memory.account(model).weights:>12,} bytes of weights")

# %% [markdown]
# What is in those bytes? One matrix of the four-bit model, taken apart:

# %%
layer = four.model.layers[0].mlp.gate_proj
state = layer.weight.quant_state
parts = {
    "numbers, two to a byte": layer.weight,
    "scales, one per block of 64": state.absmax,
    "scales of the scales": state.state2.absmax,
    "their mean, taken off": state.offset,
    "table: the 16 NF4 values": state.code,
    "table: the 256 values of a scale": state.state2.code,
}
print(f"{type(layer).__name__}, stands for {layer.out_features} × {layer.in_features} weights")
for name, part in parts.items():
    print(f"{name:<34}{part.numel():>8,} of {part.dtype!s:<14} = {part.nbytes:>8,} bytes")

# %% [markdown]
# Your first task is the bill of the whole model, by kind. A good bill has a property that no impression has: its
# items add up to the total, **to the byte**.


# %% tags=["exercise"] exercise="technique_qlora_intermediate/bill" answer="bill" minutes=9 difficulty=2
# Return a dictionary of bytes for any model, with these four keys:
#   "numbers": packed 4-bit weights        "scales": absmax and offset, and the absmax of state2
#   "tables":  code, and the code of state2    "rest":   every parameter that is not quantised
# A parameter is quantised if it has a quant_state that is not None. Every tensor counts once.
def bill(model): ...


# <solution>
def bill(model):
    kinds = dict.fromkeys(("numbers", "scales", "tables", "rest"), 0)
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        if state is None:
            kinds["rest"] += weight.nbytes
            continue
        kinds["numbers"] += weight.nbytes
        kinds["scales"] += (
            state.absmax.nbytes + state.offset.nbytes + state.state2.absmax.nbytes
        )
        kinds["tables"] += state.code.nbytes + state.state2.code.nbytes
    return kinds


# </solution>


# %% tags=["check"] exercise="technique_qlora_intermediate/bill"
def check(answer):
    found = answer(four)
    if not isinstance(found, dict) or set(found) != {"numbers", "scales", "tables", "rest"}:
        return 'A dictionary with the four keys "numbers", "scales", "tables" and "rest" is wanted.'
    total, wanted = sum(found.values()), memory.account(four).weights
    shared = four.get_input_embeddings().weight.nbytes
    if total == wanted + shared and four.lm_head.weight is four.get_input_embeddings().weight:
        return f"You are {shared:,} bytes too high, exactly one embedding table. The output layer *is* that table: one tensor under two names."
    matrices = [
        weight
        for weight in four.parameters()
        if getattr(weight, "quant_state", None) is not None
    ]
    packed = sum(weight.nbytes for weight in matrices)
    if found["numbers"] == 2 * packed:
        return "You count the weights. Two of them share a byte: ask the packed tensor how many bytes it has."
    if found["numbers"] != packed:
        return f"The packed numbers take {packed:,} bytes, and you find {found['numbers']:,}."
    own = sum(weight.numel() * weight.element_size() for weight in four.parameters()) - packed
    if found["rest"] != own:
        return f'The parameters that are not quantised take {own:,} bytes; under "rest" you have {found["rest"]:,}.'
    first = sum(
        weight.quant_state.absmax.nbytes + weight.quant_state.offset.nbytes
        for weight in matrices
    )
    if found["scales"] <= first:
        return "The scales are quantised themselves, and their own scales lie in quant_state.state2. Those are missing."
    if total != wanted:
        return f"Your items add up to {total:,} bytes, and the model holds {wanted:,}. Compare with the six lines printed above: which one is not in your sum?"
    plain = answer(sixteen)["rest"]
    if plain != memory.account(sixteen).weights:
        return f"The model in sixteen bits has no quant_state anywhere, so all of its {memory.account(sixteen).weights:,} bytes are rest; you find {plain:,}."
    return None


def inputs(draw):
    def packed(rows, columns):
        return Linear4bit(
            columns, rows, quant_type="nf4", compress_statistics=True, compute_dtype=half
        ).to(device)

    twice = nn.Linear(3, 3, bias=False)
    yield four.model.layers[0]
    yield sixteen.model.layers[1]
    yield nn.Sequential(packed(64, 64), packed(48, 96).half(), nn.LayerNorm(5))
    yield nn.Sequential(twice, nn.Linear(2, 4).double(), twice, nn.BatchNorm1d(3))
    yield nn.Sequential(Linear4bit(64, 2, bias=False))  # not packed yet
    yield nn.Sequential()


hints = [
    "Go through model.parameters() and ask each for its quant_state: `getattr(weight, 'quant_state', None)`.",
    "Every tensor knows its `.nbytes`. The six lines above are the six tensors of a quantised weight.",
    "For a quantised weight: numbers += weight.nbytes; scales += absmax, offset and state2.absmax; tables += code and state2.code. For any other: rest += weight.nbytes.",
]
misconceptions = [
    (
        "def bill(model):\n    k = dict.fromkeys(('numbers', 'scales', 'tables', 'rest'), 0)\n    for n, w in model.named_parameters(remove_duplicate=False):\n        s = getattr(w, 'quant_state', None)\n        if s is None:\n            k['rest'] += w.nbytes\n        else:\n            k['numbers'] += w.nbytes\n            k['scales'] += s.absmax.nbytes + s.offset.nbytes + s.state2.absmax.nbytes\n            k['tables'] += s.code.nbytes + s.state2.code.nbytes\n    return k",
        "one tensor under two names",
    ),
    (
        "def bill(model):\n    k = dict.fromkeys(('numbers', 'scales', 'tables', 'rest'), 0)\n    for w in model.parameters():\n        s = getattr(w, 'quant_state', None)\n        if s is None:\n            k['rest'] += w.nbytes\n        else:\n            k['numbers'] += w.nbytes\n            k['scales'] += s.absmax.nbytes + s.offset.nbytes\n            k['tables'] += s.code.nbytes\n    return k",
        "Those are missing",
    ),
    (
        "def bill(model):\n    k = dict.fromkeys(('numbers', 'scales', 'tables', 'rest'), 0)\n    for w in model.parameters():\n        s = getattr(w, 'quant_state', None)\n        if s is None:\n            k['rest'] += w.nbytes\n        else:\n            k['numbers'] += s.shape.numel()\n            k['scales'] += s.absmax.nbytes + s.offset.nbytes + s.state2.absmax.nbytes\n            k['tables'] += s.code.nbytes + s.state2.code.nbytes\n    return k",
        "Two of them share a byte",
    ),
    (
        "def bill(model):\n    k = dict.fromkeys(('numbers', 'scales', 'tables', 'rest'), 0)\n    for w in model.parameters():\n        s = getattr(w, 'quant_state', None)\n        if s is None:\n            k['rest'] += w.nbytes\n        else:\n            k['numbers'] += w.nbytes\n            k['scales'] += s.absmax.nbytes + s.offset.nbytes + s.state2.absmax.nbytes\n            k['tables'] += s.code.nbytes\n    return k",
        "which one is not in your sum",
    ),
]

# %%
bills = {"sixteen bits": bill(sixteen), "four bits": bill(four)}
words = four.get_input_embeddings().weight.nbytes
table = pd.DataFrame(bills).T.assign(total=lambda t: t.sum(axis=1))
print(
    f"of the rest, {words:,} bytes are the embedding table "
    f"and {bills['four bits']['rest'] - words:,} the norms"
)
print(
    "the output layer is the same tensor: "
    f"{four.lm_head.weight is four.get_input_embeddings().weight}"
)
assert table.total["four bits"] == memory.account(four).weights
table.map("{:,}".format)

# %%
rest_share = bills["four bits"]["rest"] / table.total["four bits"]

# %%
colours = {"numbers": "#0072B2", "scales": "#56B4E9", "tables": "#009E73", "rest": "#E69F00"}
figure, axes = plt.subplots(figsize=(7.2, 2.1))
left = np.zeros(2)
for kind, colour in colours.items():
    sizes = np.array([row[kind] / 1e6 for row in bills.values()])
    axes.barh(list(bills), sizes, left=left, color=colour, label=kind)
    left += sizes
axes.invert_yaxis()
axes.set_xlabel("MB of weights")
axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.35), ncols=4)
title = (
    f"{left[0] / left[1]:.1f} times smaller, "
    f"and {rest_share:.0%} of what is left is not in four bits"
)
axes.set_title(title)
plots.show(figure, alt=f"Weights by kind, in sixteen and in four bits. {title}.")

# %% [markdown]
# A large part of the "four-bit model" is in sixteen bits: the dictionary, one vector for each of its many tokens. It is
# looked up, not multiplied, so nobody quantises it. Keep this orange bar in mind. It will come back.
#
# ### What happens to a layer on the way forward
#
# Nobody multiplies with four-bit numbers. Just before a matrix is used, it is restored to sixteen bits; then it is
# used; then the copy is forgotten. Do it by hand for one layer.


# %% tags=["exercise"] exercise="technique_qlora_intermediate/forward" answer="by_hand" minutes=6 difficulty=2
# layer: a Linear4bit without a bias. x: its input, (tokens, in_features), of type
# layer.compute_dtype. bnb.dequantize_4bit(packed, quant_state) restores a matrix of shape
# (out_features, in_features).
# Return what layer(x) returns, (tokens, out_features), without calling the layer.
def by_hand(layer, x): ...


# <solution>
def by_hand(layer, x):
    restored = bnb.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return x @ restored.to(x.dtype).T


# </solution>


# %% tags=["check"] exercise="technique_qlora_intermediate/forward"
def check(answer):
    square, wide = four.model.layers[0].self_attn.q_proj, four.model.layers[0].mlp.gate_proj

    def trial(layer, rows=5):
        draw = torch.Generator().manual_seed(rows)
        x = torch.randn(rows, layer.in_features, generator=draw).to(
            device, layer.compute_dtype or half
        )
        with torch.no_grad():
            return x, answer(layer, x), layer(x)

    def close(a, b):
        return a.shape == b.shape and torch.allclose(
            a.float(), b.float(), rtol=0.05, atol=0.05 * b.abs().max().item()
        )

    try:
        x, found, wanted = trial(square)
    except (RuntimeError, TypeError, AttributeError) as problem:
        return f"PyTorch stops: {str(problem).splitlines()[0][:120]}. The packed bytes are no matrix yet; restoring them takes layer.weight.data *and* its quant_state."
    if not isinstance(found, torch.Tensor):
        return f"Your function returns {type(found).__name__}. The output of the layer is wanted, a tensor."
    restored = bnb.dequantize_4bit(square.weight.data, square.weight.quant_state).to(x.dtype)
    if found.shape == restored.shape and close(found, restored):
        return "That is the restored matrix itself. The input has to go through it."
    if close(found, x @ restored):
        return "Right matrix, wrong way round, and only because this one is square did PyTorch not complain. A linear layer computes x times the *transpose*: rows of the matrix are outputs."
    if not close(found, wanted):
        return f"The largest difference from layer(x) is {(found.float() - wanted.float()).abs().max():.2f}. Is the matrix restored with its own quant_state?"
    try:
        _, found, wanted = trial(wide, rows=3)
    except RuntimeError as problem:
        return f"The square matrix is right, but one that is not square fails: {str(problem).splitlines()[0][:100]}. A linear layer computes x times the *transpose*."
    return (
        None
        if close(found, wanted)
        else "Right for the first layer, wrong for another one. Use the layer that you are given."
    )


def inputs(draw):
    first, last = four.model.layers[0], four.model.layers[-1]
    for layer in (first.self_attn.k_proj, first.mlp.down_proj, last.self_attn.o_proj):
        for tokens in (1, 7):
            x = torch.tensor(draw.normal(size=(tokens, layer.in_features)))
            yield layer, x.to(device, half)


def trial(answer, layer, x):
    with torch.no_grad():
        result = answer(layer, x)
    return result.float()


def agrees(expected, found):
    room = 0.02 * expected.abs().max().item()
    return expected.shape == found.shape and torch.allclose(
        expected, found, rtol=0.02, atol=room
    )


hints = [
    "Two steps: restore the matrix, then multiply.",
    "`bnb.dequantize_4bit(layer.weight.data, layer.weight.quant_state)` is the matrix, one row per output.",
    "`return x @ restored.to(x.dtype).T`",
]
misconceptions = [
    (
        "def by_hand(layer, x):\n    return x @ bnb.dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(x.dtype)",
        "only because this one is square",
    ),
    ("def by_hand(layer, x):\n    return x @ layer.weight.data.to(x.dtype).T", "no matrix yet"),
    (
        "def by_hand(layer, x):\n    return bnb.dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(x.dtype)",
        "restored matrix itself",
    ),
    (
        "def by_hand(layer, x):\n    other = four.model.layers[0].self_attn.o_proj.weight\n    return x @ bnb.dequantize_4bit(other.data, other.quant_state).to(x.dtype).T",
        "its own quant_state",
    ),
]

# %%
x = torch.randn(16, layer.in_features, device=device).to(half).requires_grad_()
output = layer(x)
print(
    "forward:  largest difference from your version "
    f"{(output - by_hand(layer, x)).abs().max().item():.1e}"
)
output.sum().backward()
restored = bnb.dequantize_4bit(layer.weight.data, state).to(half)
passed_back = torch.ones_like(output) @ restored
print(
    "backward: largest difference from ones @ matrix "
    f"{(x.grad - passed_back).abs().max().item():.1e}"
)
print(
    f"the copy in sixteen bits: {restored.nbytes:,} bytes, "
    f"for a moment; the matrix in four: {layer.weight.nbytes:,}"
)

# %% [markdown]
# The second line is the point that is easily forgotten. The way *back* needs the matrix as well, and the copy is gone
# by then: so it is unpacked once more. How expensive is that? It depends on what one compares it with. Unpacking
# costs the same whether one token waits or two thousand; the multiplication does not. Move the slider.


# %%
def clock(work, times=10):
    """Milliseconds of the fastest run, after one to warm up."""
    found = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()  # a GPU answers before it is done
        found.append(1000 * (time.perf_counter() - begin))
    return min(found[1:])


# %%
def one_layer(tokens=256):
    x = torch.randn(tokens, layer.in_features, device=device).to(fast["dtype"])
    matrix = restored.to(fast["dtype"])  # multiplied in the type that is quick here
    unpack = clock(lambda: bnb.dequantize_4bit(layer.weight.data, state))
    multiply = clock(lambda: x @ matrix.T)
    title = (
        f"{tokens} tokens: unpacking takes {unpack / multiply:.1f} times what multiplying takes"
    )
    figure = plots.bars(
        ["unpack the matrix", "multiply"],
        [unpack, multiply],
        title=title,
        xlabel="milliseconds",
    )
    plots.show(figure, alt=f"Time to unpack one matrix and to multiply with it. {title}.")


widgets.explore(one_layer, tokens=[1, 16, 64, 256, 1024, 4096])

# %% [markdown]
# Four bits save room, not work: they *add* work. The fewer tokens share an unpacked matrix, the larger the part of
# it that goes into unpacking: largest when a model writes, one token at a time, smallest in training, with hundreds
# of tokens in a batch. You will see below how large it is there. (A GPU has kernels that unpack while they
# multiply; for single tokens, where it only waits for memory, that can even be faster than sixteen bits. On a CPU
# nothing of the kind runs here.)
#
# ## Train it, and profile the memory
#
# The task is one of Day 9: the opening of a BBC article in, its editor's headline out. Only the headline counts in
# the loss; all other labels are -100. To keep steps short, there is no chat template here, and the opening is short.

# %%
from transformers import DataCollatorForSeq2Seq

tokenizer = AutoTokenizer.from_pretrained(models.source("decoder"))


def as_tokens(row):
    opening = tokenizer(
        row["text"], truncation=True, max_length=settings.pick(smoke=16, cpu=32)
    )["input_ids"]
    prompt = opening + tokenizer("\n\nHeadline:")["input_ids"]
    headline = [*tokenizer(" " + row["headline"])["input_ids"], tokenizer.eos_token_id]
    labels = [-100] * len(prompt) + headline
    return {
        "input_ids": prompt + headline,
        "attention_mask": [1] * len(labels),
        "labels": labels,
    }


# %%
batch_size, steps = settings.pick(smoke=(2, 2), cpu=(8, 16))
counts = {"train": batch_size * steps, "validation": settings.pick(smoke=4, cpu=48)}
articles = tasks.articles()
news = {
    part: articles[part]
    .select(range(count))
    .map(as_tokens, remove_columns=["text", "label", "headline"], keep_in_memory=True)
    for part, count in counts.items()
}
collator = DataCollatorForSeq2Seq(tokenizer)
longest = sorted(news["train"], key=lambda row: -len(row["input_ids"]))[:batch_size]
batch = collator(longest).to(device)
print(tokenizer.decode(longest[0]["input_ids"]))
print(f"\n{counts}; the longest batch has {batch_size} × {batch['input_ids'].shape[1]} tokens")

# %% [markdown]
# ### What the second line does
#
# `prepare_model_for_kbit_training` is one line that does four things. Look at a copy before and after.

# %%
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training


def inventory(model):
    found = {
        "parameters that may learn": sum(part.requires_grad for part in model.parameters())
    }
    for part in model.parameters():
        kind = f"bytes in {part.dtype}".replace("torch.", "")
        found[kind] = found.get(kind, 0) + part.nbytes
    return found


lifted = copy.deepcopy(four)
before = inventory(lifted)
prepare_model_for_kbit_training(lifted, use_gradient_checkpointing=False)
pd.DataFrame({"before": before, "after": inventory(lifted)}).fillna(0).map(
    lambda n: f"{int(n):,}"
)

# %% [markdown]
# It freezes everything, also what is not quantised. It lifts everything in sixteen bits to thirty-two: the orange bar
# doubles, as on Day 7. (The third and fourth thing, checkpointing of layers and a gradient at the input for it, we
# have switched off.)
#
# Day 7 ended with advice: *freeze by hand and lift only the norms*, which are sensitive, and small. Take that as a
# third candidate. Then the real bill: one training step each, on the same batch, while PyTorch's **profiler** writes
# down every allocation and every release, to the byte.

# %%
norms_lifted = copy.deepcopy(four)
for name, part in norms_lifted.named_parameters():
    part.requires_grad = False
    if "norm" in name:
        part.data = part.data.float()
grown = memory.account(norms_lifted).weights - memory.account(four).weights
print(f"lifting the norms adds {grown:,} bytes to {memory.account(four).weights:,}")

recipe = LoraConfig(
    r=8, lora_alpha=16, target_modules=models.lora_targets(sixteen), task_type="CAUSAL_LM"
)
mixed = (
    training.arguments("qlora-intermediate").bf16 or device == "cuda"
)  # as the Trainer will do it


def autocast():
    if device == "cpu" and not mixed:  # no bf16 units: stored in 16 bits, multiplied in 32
        return training.widened()
    return torch.autocast(device, dtype=half, enabled=mixed)


# %%
@contextlib.contextmanager
def with_adapter(base):
    """A fresh adapter on the base, and its optimiser; afterwards the base is bare again."""
    model = get_peft_model(base, recipe).train()
    training.keep_adapters_precise(model)
    yield (
        model,
        torch.optim.AdamW([part for part in model.parameters() if part.requires_grad], lr=1e-3),
    )
    model.unload()


# %%
from torch.profiler import profile, record_function


def step(model, optimizer):
    """One training step; the profiler finds its phases by their names."""
    with record_function("forward"), autocast():
        loss = model(**batch).loss
    with record_function("backward"):
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()


# %%
def recorded(base):
    """Run a step under the profiler; return its events in the order of time."""
    with with_adapter(base) as (model, optimizer):
        step(model, optimizer)  # makes the optimiser's state; we watch the second step
        with profile(profile_memory=True) as watching:
            step(model, optimizer)
    return sorted(watching.profiler.kineto_results.events(), key=lambda event: event.start_ns())


# %%
def begin_of(phase, events):
    """When a phase began, in nanoseconds."""
    return next(event.start_ns() for event in events if event.name() == phase)


def bytes_over_time(events):
    """Seconds, and the bytes in memory beyond those that lay there when the step began."""
    here = "CUDA" if device == "cuda" else "CPU"
    found = [
        event
        for event in events
        if event.name() == "[memory]" and here in str(event.device_type())
    ]
    moments = np.array([event.start_ns() for event in found])
    return (moments - begin_of("forward", events)) / 1e9, np.cumsum(
        [event.nbytes() for event in found]
    )


# %%
def account_for(base, events):
    """Bytes of a training step at its peak, by kind."""
    with with_adapter(base) as (model, optimizer), autocast():
        model(**batch).loss.backward()
        optimizer.step()
        found = memory.account(model, optimizer, batch)
        inputs = {key: batch[key] for key in ("input_ids", "attention_mask")}
        inside = memory.account(base.model, batch=inputs).activations
    frozen, peak = memory.account(base).weights, bytes_over_time(events)[1].max()
    learning = found.weights - frozen + found.optimizer
    parts = (frozen, learning, inside, found.activations - inside, peak - found.activations)
    return dict(zip(kinds, parts, strict=True))


# %%
kinds = {"base": "#0072B2", "adapter, AdamW": "#D55E00", "activations": "#777777"}
kinds |= {"vocabulary": "#CC79A7", "scratch": "#E8CFE0"}
bases = {
    "sixteen bits": sixteen,
    "four, by the book": lifted,
    "four, norms lifted": norms_lifted,
}
events = {name: recorded(base) for name, base in bases.items()}
account = pd.DataFrame(
    {name: account_for(base, events[name]) for name, base in bases.items()}
).T
totals = account.sum(axis=1)
account.assign(total=totals).map(memory.human)


# %%
def show_account(account, title):
    figure, axes = plt.subplots(figsize=(7.2, 0.9 + 0.5 * len(account)))
    left = np.zeros(len(account))
    for kind, colour in kinds.items():
        axes.barh(account.index, account[kind] / 1e6, left=left, color=colour, label=kind)
        left += account[kind].to_numpy() / 1e6
    axes.invert_yaxis()
    axes.set(xlabel="MB at the peak of a training step", title=title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.32), ncols=5, columnspacing=1)
    plots.show(figure, alt=f"Memory of a training step by kind, for each base. {title}.")


book_percent = 100 * totals["four, by the book"] / totals["sixteen bits"]
show_account(account, f"By the book, four bits need {book_percent:.0f} % of what sixteen need")
step_guess.compare(book_percent)

# %%
for kind in ("base", "activations"):
    sixteen_has, *others = account[kind].iloc[:3]
    changes = [f"{(other - sixteen_has) / 1e6:+,.1f} MB" for other in others]
    print(
        f"{kind:<12} against sixteen bits: by the book {changes[0]}, norms lifted {changes[1]}"
    )

# %% [markdown]
# So much for the fraction. The blue part, the base, shrinks. The grey part, the **activations**, grows: compare the two
# printed lines. And look at the third row: it lifted nothing but the norms, a matter of kilobytes. How can they weigh
# so much?
#
# (The violet parts are a surprise of their own. For each token of the batch, the loss keeps a probability for *every*
# token of the vocabulary, in 32 bits, and on the way back it needs as much again, and more, as *scratch* space. That
# is the very tip of the step. And by the book, where mixed precision is on, the output layer has just been lifted to
# 32 bits, and autocast makes a copy of it in sixteen, to multiply with.)
#
# Follow the numbers on their way through the first layers, and write down their type.


# %%
def types_on_the_way(base):
    seen = {}
    places = {
        "embedding": base.model.embed_tokens,
        "norm": base.model.layers[0].input_layernorm,
        "layer 1": base.model.layers[0],
        "layer 2": base.model.layers[1],
    }
    hooks = [
        part.register_forward_hook(
            lambda module, inputs, output, name=name: seen.setdefault(name, output)
        )
        for name, part in places.items()
    ]
    with torch.no_grad(), autocast():
        base.model(input_ids=batch["input_ids"][:1])
    for hook in hooks:
        hook.remove()
    outputs = {name: o[0] if isinstance(o, tuple) else o for name, o in seen.items()}
    return {name: str(output.dtype).removeprefix("torch.") for name, output in outputs.items()}


# %%
types_seen = {name: types_on_the_way(base) for name, base in bases.items()}
pd.DataFrame(types_seen).T

# %% [markdown]
# Look for the first *float32* in each row. A product of a 16-bit and a 32-bit number is a 32-bit number. One norm in
# 32 bits, and whatever has passed it is in 32 bits; it is added to the stream between the layers, and from there on
# the *whole stream* is. The norm's own weights are no more precise than before: they came out of sixteen bits. And
# this kind of norm computes inside in 32 bits anyway, whatever its weights are.
#
# So: find the bug in the colleague's function, or rather in our own advice of Day 7.


# %%
def colleagues_gentle(base):
    for name, part in base.named_parameters():
        part.requires_grad = False
        if "norm" in name:
            part.data = part.data.float()
    return base


# %% tags=["exercise"] exercise="technique_qlora_intermediate/gently" answer="gently" minutes=7 difficulty=2
# base: a quantised decoder, as it comes out of load(). Change it so that nothing in it learns,
# that it grows by no byte, and that the stream between its layers stays in sixteen bits. Its
# numbers stay as they are. Return the same model.
def gently(base): ...


# <solution>
def gently(base):
    for part in base.parameters():
        part.requires_grad = False
    return base


# </solution>


# %% tags=["check"] exercise="technique_qlora_intermediate/gently"
def check(answer):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        vocab_size=50,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        trial = LlamaForCausalLM(shape).to(torch.bfloat16)
    size = memory.account(trial).weights
    found = answer(trial)
    if not isinstance(found, nn.Module):
        return f"Your function returns {type(found).__name__}. The base is wanted, to put the adapter on."
    learning = [name for name, part in found.named_parameters() if part.requires_grad]
    if len(learning) == len(list(found.parameters())):
        return "Everything in it may still learn. Freezing was the one thing that the library's function did rightly for us."
    if learning:
        return f"{len(learning)} parameters may still learn, such as {learning[0]}."
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):  # as in training
        stream = found.model(input_ids=torch.tensor([[1, 2, 3]])).last_hidden_state.dtype
    grown = memory.account(found).weights - size
    if stream == torch.float32 and grown > 1000:
        return "You lift the embeddings too. They are the largest thing in the model that is not in four bits, and the stream starts in them."
    if stream == torch.float32:
        return "The stream still leaves in 32 bits. Which parameters does it pass that are not in sixteen?"
    if grown:
        return f"The stream is in sixteen bits, but the model has grown by {grown:,} bytes."
    types = {part.dtype for part in found.parameters()}
    if types != {torch.bfloat16}:
        return f"The types changed, to {types}. Frozen weights are read, nothing else: leave them as they were loaded."
    return (
        None
        if found is trial
        else "A copy came back: now two models lie in memory. Change the one you were given and return it."
    )


def inputs(draw):
    for dtype in (torch.bfloat16, torch.float16):
        for tied in (True, False):
            yield dtype, tied


def trial(answer, dtype, tied):
    """Whether the same model comes back; kind and learning of its tensors; their sum."""
    from transformers import AutoConfig

    size = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 9}
    config = AutoConfig.for_model("llama", tie_word_embeddings=tied, **size)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_config(config).to(dtype)
    found = answer(base)
    parts = dict(found.named_parameters())
    return {
        "the same model": found is base,
        "learns": {name: part.requires_grad for name, part in parts.items()},
        "number type": {name: str(part.dtype) for name, part in parts.items()},
        "sum of its numbers": {
            name: part.detach().sum().item() for name, part in parts.items()
        },
    }


def agrees(expected, found):
    return expected == found


hints = [
    "What does a frozen norm gain from 32 bits? Take out what gains nothing.",
    "Two things are in the colleague's loop. Only one of them is needed.",
    "`for part in base.parameters(): part.requires_grad = False`, and return the base.",
]
misconceptions = [
    ("gently = colleagues_gentle", "still leaves in 32 bits"),
    (
        "def gently(base):\n    return prepare_model_for_kbit_training(base, use_gradient_checkpointing=False) if getattr(base, 'is_loaded_in_4bit', False) else base.float().requires_grad_(False)",
        "lift the embeddings too",
    ),
    ("def gently(base):\n    return base", "Everything in it may still learn"),
    (
        "def gently(base):\n    for part in base.parameters():\n        part.requires_grad = False",
        "returns NoneType",
    ),
    (
        "def gently(base):\n    for name, part in base.named_parameters():\n        part.requires_grad = 'norm' in name\n    return base",
        "may still learn, such as",
    ),
]

# %%
bases["four, frozen only"] = gently(four)
events["four, frozen only"] = recorded(four)
account.loc["four, frozen only"] = account_for(four, events["four, frozen only"])
totals = account.sum(axis=1)
gentle_percent = 100 * totals["four, frozen only"] / totals["sixteen bits"]
show_account(
    account, f"Frozen and nothing else: {gentle_percent:.0f} % instead of {book_percent:.0f} %"
)

# %% [markdown]
# (For LoRA even the freezing is politeness: `get_peft_model` freezes the base anyway. On a language model in
# bfloat16, then, the second of the three lines can be left out, as long as nothing else needs it: the old, *reentrant*
# kind of gradient checkpointing also needs the gradient at the input that this line sets up.)
#
# Compare the grey part with that of the sixteen-bit base. Four bits cannot make it smaller. That is the rule to
# take home: **quantising shrinks the base, and nothing but the base.** (And whether the 32 bits in the stream are
# good for something after all is a question of quality. We come to that.)
#
# ### One step, over time
#
# The profiler knows more than the peak. Here is the whole step, allocation by allocation. The blue floor is what lies
# there all the time: the base, the adapter and AdamW's means.

# %%
contenders = ("sixteen bits", "four, by the book", "four, frozen only")
floors = account[["base", "adapter, AdamW"]].sum(axis=1) / 1e6

# %%
figure, panels = plt.subplots(len(contenders), 1, figsize=(7.2, 5), sharey=True)
for axes, name in zip(panels, contenders, strict=True):
    seconds, above = bytes_over_time(events[name])
    top = floors[name] + above / 1e6
    axes.fill_between([0, seconds[-1]], 0, floors[name], color=kinds["base"], alpha=0.5, lw=0)
    axes.fill_between(
        seconds, floors[name], top, color=kinds["activations"], alpha=0.7, lw=0, step="post"
    )
    turn = (begin_of("backward", events[name]) - begin_of("forward", events[name])) / 1e9
    axes.axvline(turn, ymax=0.8, color="#444444", ls=":", lw=1)
    label = f"{name}: floor {floors[name]:.0f}, peak {top.max():.0f} MB"
    axes.annotate(label, (0.01, 0.86), xycoords="axes fraction", weight="bold")
    axes.set(ylabel="MB", xlim=(0, seconds[-1]), ylim=(0, 1.3 * totals.max() / 1e6))
panels[-1].set_xlabel("seconds; the dotted line is where the way back begins")
title = "Four bits lower the floor. The mountain belongs to the batch"
figure.suptitle(title, x=0.01, ha="left")
alt = (
    "Memory over a training step for three bases: up on the way forward, down on the way back."
)
plots.show(figure, alt=f"{alt} {title}.")

# %% [markdown]
# On the way forward the activations pile up, layer by layer. At the turn the vocabulary comes on top: the needle at
# the summit. On the way back, what has been used is torn down. And the unpacked matrices, where are they? You cannot
# see them: each copy lives for the blink of one multiplication.

# %%
matrices = [part for part in four.modules() if isinstance(part, Linear4bit)]
copies = [2 * part.weight.quant_state.shape.numel() for part in matrices]
print(f"all {len(copies)} matrices unpacked at once: {memory.human(sum(copies))}")
print(f"the largest one alone:          {memory.human(max(copies))}")

# %% [markdown]
# ### The same, from outside
#
# The profiler sees PyTorch's own tensors. What does the machine notice? Now the real training begins, with the
# Trainer, and a second thread looks at the process again and again and notes how much memory it holds.


# %%
def held():
    return torch.cuda.memory_allocated() if device == "cuda" else memory.current_rss()


def watched(work, pause=0.005):
    """Do the work; meanwhile note (seconds, bytes held), again and again."""
    samples, done, begin = [], threading.Event(), time.perf_counter()

    def watch():
        while not done.wait(pause):
            samples.append((time.perf_counter() - begin, held()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        result = work()
    finally:
        done.set()
        watcher.join()
    return result, np.array(samples)


# %%
from transformers import Trainer, set_seed


@torch.inference_mode()
def losses(model, rows):
    """Mean loss per token of each headline, in the order of the rows."""
    found = []
    for first in range(0, len(rows), 8):
        some = collator([rows[at] for at in range(first, min(first + 8, len(rows)))]).to(device)
        wanted = some.pop("labels")[:, 1:]
        with autocast():
            logits = model.eval()(**some).logits[:, :-1].float()
        each = nn.functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        found.append(each.sum(dim=1) / (wanted != -100).sum(dim=1))
    return torch.cat(found).cpu().numpy()


# %%
def trainer_for(base_name, name, seed):
    """A Trainer for a fresh adapter; the seed decides its start and the order of articles."""
    args = training.arguments(
        name,
        learning_rate=2e-3,
        per_device_train_batch_size=batch_size,
        num_train_epochs=1,
        seed=seed,
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    set_seed(seed)
    model = get_peft_model(bases[base_name], recipe)
    training.keep_adapters_precise(model)
    return Trainer(model=model, args=args, train_dataset=news["train"], data_collator=collator)


# %%
def once(path, make):
    """What is in the file; if there is none, make it first."""
    if not path.exists():
        np.save(path, make())
    return np.load(path)


# %%
runs, judged, seen_outside = {}, {}, {}


def train_on(base_name, seed):
    """Train (or find) an adapter, note its memory, judge it, and take it off the base."""
    name = f"qlora-intermediate-{base_name.replace(', ', '-').replace(' ', '-')}-seed{seed}"
    trainer, key = trainer_for(base_name, name, seed), (base_name, seed)
    with contextlib.redirect_stdout(io.StringIO()):  # one line per run is enough
        runs[key], samples = watched(lambda: training.train(trainer, name))
    folder = runs[key].folder
    seen_outside[key] = once(folder / "memory.npy", lambda: samples)
    judged[key] = once(
        folder / f"losses-{counts['validation']}.npy",
        lambda: losses(trainer.model, news["validation"]),
    )
    trainer.model.unload()
    print(
        f"{base_name:<18} seed {seed}: "
        f"loss {judged[key].mean():.3f} on new headlines, {runs[key].seconds:.0f} s"
    )


# %% [markdown]
# The base is never changed, so one copy of it serves all runs: `get_peft_model` puts a fresh adapter on, `unload`
# takes it off again. First the models as they are, then three training runs.

# %%
untrained = {
    name: losses(bases[name], news["validation"])
    for name in ("sixteen bits", "four, frozen only")
}
for name, found in untrained.items():
    print(f"{name:<20} untrained: loss {found.mean():.3f} on new headlines")

for name in contenders:
    train_on(name, lab.seed)

# %%
last = contenders[-1]
seconds, sizes = seen_outside[last, lab.seed].T
swing = np.quantile(sizes, 0.995) - np.quantile(sizes, 0.05)
peak_above = bytes_over_time(events[last])[1].max()
figure, axes = plt.subplots(figsize=(7.2, 2.8))
axes.plot(seconds, sizes / 1e9, color="#444444", lw=1)
axes.set(xlabel="seconds of training", ylabel="GB held by the process")
title = f"{steps} steps, seen from outside: a swing of {memory.human(swing)}"
axes.set_title(title)
plots.show(
    figure,
    alt=f"Memory of the process during a training, a saw with one tooth per step. {title}.",
)
print(f"from inside, one step rises by {memory.human(peak_above)}")

# %% [markdown]
# One tooth is one step. The height is of the right order and not to be trusted beyond that: a C library keeps part of
# what PyTorch gives back, in case it is needed again, so the process looks fuller in the valleys than it is. And the
# absolute height tells you nothing here, because all our bases lie in the same process. Still less does its *peak
# since the start*, which people like to print: such a peak never falls, and yours was set long ago. **Count tensors,
# or watch over time.** (On a GPU, the thread watches PyTorch's own account of the card.)
#
# ## Four bits against sixteen
#
# Now more seeds, so that a difference means something. All contenders get the same learning rate (nobody tuned it for
# anybody), the same articles and the same seeds: the same adapter to begin with, and the same order of articles.

# %%
seeds = [lab.seed, *settings.pick(smoke=[], cpu=[1, 2])]
for seed in seeds[1:]:
    for name in contenders:
        train_on(name, seed)

# %%
of_seeds = {name: [judged[name, seed].mean() for seed in seeds] for name in contenders}
comparison = pd.DataFrame(
    {
        "peak (MB)": totals[list(contenders)] / 1e6,
        "floor (MB)": floors[list(contenders)],
        "loss, new headlines": {name: np.mean(found) for name, found in of_seeds.items()},
        "best seed": {name: min(found) for name, found in of_seeds.items()},
        "worst seed": {name: max(found) for name, found in of_seeds.items()},
    }
)
print(
    f"{len(seeds)} seeds, {steps} steps of {batch_size} articles, "
    f"{counts['validation']} new headlines"
)
comparison.round({"peak (MB)": 0, "floor (MB)": 0} | dict.fromkeys(comparison.columns[2:], 3))

# %% [markdown]
# ### Quality
#
# Each headline is judged by all contenders, so we compare headline by headline. Before training there is one model of
# each kind, and the interval holds other headlines; after it there are as many as seeds, and it holds other seeds, too.
# A small loss is a good one: the word says how the *first* of the two fares. Up to 0.02 would not matter to us.


# %%
def difference(a, b):
    """Loss of a minus loss of b as (middle, low, high), and the verdict on a."""
    found = metrics.compare(-a, -b, margin=0.02)  # more has to be better
    return (-found.estimate, -found.high, -found.low), found.verdict


all_losses = {name: np.array([judged[name, seed] for seed in seeds]) for name in contenders}
sixteens, by_the_book, frozen = (all_losses[name] for name in contenders)
rows = {
    "before: four − sixteen": difference(
        untrained["four, frozen only"], untrained["sixteen bits"]
    ),
    "after, by the book − sixteen": difference(by_the_book, sixteens),
    "after, frozen only − sixteen": difference(frozen, sixteens),
    "by the book − frozen only": difference(by_the_book, frozen),
}

# %%
(gap_before, *_), word_before = rows["before: four − sixteen"]
(gap_after, *_), word_after = rows["after, frozen only − sixteen"]

# %%
title = (
    f"Four bits, frozen only: {gap_before:+.3f} before training ({word_before}), "
    f"{gap_after:+.3f} after ({word_after})"
)
figure = plots.interval_bars(
    [f"{name}: {verdict}" for name, (_, verdict) in rows.items()],
    [interval for interval, _ in rows.values()],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="difference in loss per token, 95 % intervals",
)
plots.show(figure, alt=f"Differences in loss with 95 percent intervals. {title}.")

# %%
gained = untrained["sixteen bits"].mean() - sixteens.mean()
print(f"For scale: training itself lowered the loss by {gained:.2f}.")
for name, other in (
    ("four, frozen only", "sixteen bits"),
    ("four, by the book", "four, frozen only"),
):
    each = [judged[name, seed].mean() - judged[other, seed].mean() for seed in seeds]
    print(f"{name} − {other}, seed by seed: {', '.join(f'{value:+.3f}' for value in each)}")

# %% [markdown]
# Read the first bar and the third together. Before training, the first is the price of four bits: how much
# more the rounded model is surprised by headlines than the original. After training, both have learnt the task, and the
# adapter has learnt it *beside the rounded weights*: it can make up for part of their errors, if that is worth more
# than anything else it could learn. The paper's claim is that nothing is left of the gap. Read the word on the third
# line before you agree, or disagree. *Undecided* is not "no gap", and a few dozen headlines and a handful of steps are
# not much evidence either way.
#
# The last bar answers the question from above. Those 32 bits in the stream cost memory: what did they buy?
#
# (As on Day 7: the course's copy of SmolLM2 came through another four-bit format before, so "sixteen bits" is not
# quite the original either.)
#
# ### Time
#
# How often is a matrix unpacked in one training step, and how long does it take? The profiler has noted that, too.
# Then the whole step: the bases take turns, so that whatever else the machine is doing hits all of them.

# %%
watched_step = events["four, frozen only"]
unpackings = [
    event for event in watched_step if event.name().startswith("bitsandbytes::dequantize")
]
whole = [
    event.start_ns() for event in unpackings if event.name().endswith("4bit")
]  # the others are scales
forth = sum(moment < begin_of("backward", watched_step) for moment in whole)
back, unpack_seconds = (
    len(whole) - forth,
    sum(event.duration_ns() for event in unpackings) / 1e9,
)
print(
    f"{len(matrices)} matrices: unpacked {forth} times "
    f"on the way forward, {back} times on the way back"
)
print(f"{unpack_seconds:.3f} s of unpacking in one step")

# %%
clocked = {name: [] for name in contenders}
for _ in range(settings.pick(smoke=1, cpu=5)):
    for name in contenders:
        with with_adapter(bases[name]) as (model, optimizer):
            step(model, optimizer)
            clocked[name].append(clock(lambda: step(model, optimizer), times=1) / 1000)
per_step = {name: float(np.median(found)) for name, found in clocked.items()}
for name, found in clocked.items():
    print(
        f"{name:<18} {per_step[name]:.2f} s per step "
        f"(from {min(found):.2f} to {max(found):.2f})"
    )
time_ratio = per_step["four, frozen only"] / per_step["sixteen bits"]

# %% [markdown]
# What the profiler finds is the unpacking itself, the least that four bits can cost. The clock also sees what comes
# with it: every restored matrix is written to fresh memory and read from there again. How much that is of a step
# depends on the tokens that share each unpacked matrix; the slider above showed it. But it is always work on
# top: on a CPU four bits are bought with time, and what they buy is room.
#
# ## Seven billion weights on one card: the plan
#
# On this model four bits were worth the distance between two floors. The same sums for a model for which they
# decide whether you can train at all. Nobody has to load it for that: you know now what bitsandbytes stores, and
# can compute it to the byte.


# %% tags=["exercise"] exercise="technique_qlora_intermediate/seven" answer="matrix_bytes" minutes=9 difficulty=3
# Return all bytes that a matrix of rows × columns takes in NF4 with double quantisation (see
# the six lines at the top): two numbers per byte, a scale of 1 byte per block of 64 weights, a
# scale of 4 bytes per 256 such scales, an offset of 4 bytes, and the two tables, with 16 and
# with 256 values of 4 bytes. Bytes and blocks that are not full count whole.
def matrix_bytes(rows, columns): ...


# <solution>
def matrix_bytes(rows, columns):
    weights = rows * columns
    blocks = -(-weights // 64)
    return -(-weights // 2) + blocks + 4 * -(-blocks // 256) + 4 + 4 * (16 + 256)


# </solution>


# %% tags=["check"] exercise="technique_qlora_intermediate/seven"
def check(answer):
    real = {
        (part.out_features, part.in_features): part.weight
        for part in four.modules()
        if isinstance(part, Linear4bit)
    }
    (rows, columns), weight = max(real.items(), key=lambda item: item[0][0] * item[0][1])
    found, state = answer(rows, columns), weight.quant_state
    if isinstance(found, bool) or not isinstance(found, int | float | np.integer):
        return f"Your function returns {type(found).__name__}. A number of bytes is wanted."
    wanted = sum(
        each.nbytes
        for each in (
            weight,
            state.absmax,
            state.offset,
            state.code,
            state.state2.absmax,
            state.state2.code,
        )
    )
    if found == wanted - 1088:
        return f"For {rows} × {columns} you are exactly 1,088 bytes short: the two tables, 16 and 256 values of 4 bytes."
    if abs(found - weight.numel() * 2 * 4.5 / 8) < 2000:
        return "That would be scales of 4 bytes each. With double quantisation a block's scale takes 1 byte."
    if abs(found - wanted) > 3000:
        return f"A matrix of {rows} × {columns} takes {wanted:,} bytes here; you find {found:,.0f}. Go through the six lines one by one."
    if found != wanted and abs(found - wanted) < 4:
        return f"For {rows} × {columns} you find {found:,.2f} bytes, {abs(found - wanted):g} off. Which of your quotients has to round up, to whole bytes or whole blocks?"
    if found != wanted:
        return f"{rows} × {columns}: {wanted:,} bytes, and you find {found:,.0f}, which is {found - wanted:+,.0f}. Which of the small items is it?"
    for (rows, columns), weight in real.items():
        state = weight.quant_state
        wanted = sum(
            each.nbytes
            for each in (
                weight,
                state.absmax,
                state.offset,
                state.code,
                state.state2.absmax,
                state.state2.code,
            )
        )
        if answer(rows, columns) != wanted:
            return f"Right for the largest matrix, but {rows} × {columns} takes {wanted:,} bytes, and you find {answer(rows, columns):,.0f}. Do you round up?"
    return None


def inputs(draw):
    yield from (
        (1, 1),
        (1, 3),
        (64, 1),
        (1, 65),
        (64, 256),
        (65, 253),
        (4096, 11008),
        (256, 65),
    )
    for _ in range(4):
        yield tuple(int(side) for side in draw.integers(2, 700, size=2))


hints = [
    "First the number of blocks: weights / 64, rounded up. Everything else follows from it and from the weights.",
    "`-(-a // b)` is a / b rounded up, in whole numbers. Or math.ceil(a / b).",
    "weights / 2 + blocks + 4 × (blocks / 256, rounded up) + 4 + 4 × 272",
]
misconceptions = [
    (
        "def matrix_bytes(rows, columns):\n    b = rows * columns // 64\n    return rows * columns // 2 + b + 4 * -(-b // 256) + 4",
        "1,088 bytes short",
    ),
    (
        "def matrix_bytes(rows, columns):\n    b = rows * columns // 64\n    return rows * columns // 2 + 4 * b + 1092",
        "scales of 4 bytes each",
    ),
    (
        "def matrix_bytes(rows, columns):\n    b = rows * columns / 64\n    return rows * columns / 2 + b + 4 * b / 256 + 1092",
        "round up",
    ),
    ("def matrix_bytes(rows, columns):\n    return rows * columns // 2", "one by one"),
]

# %%
counted = sum(matrix_bytes(part.out_features, part.in_features) for part in matrices)
assert counted == sum(bill(four)[kind] for kind in ("numbers", "scales", "tables"))
print(
    f"SmolLM2: your formula says {counted:,} bytes for "
    f"{len(matrices)} matrices, and so does the bill"
)

# %%
seven = models.build_empty("llama-7b", "causal_lm")  # shapes without memory
inside = [
    part
    for name, part in seven.named_modules()
    if isinstance(part, nn.Linear) and name != "lm_head"
]
in_four = sum(matrix_bytes(part.out_features, part.in_features) for part in inside)
others = models.count_parameters(seven).total - sum(part.weight.numel() for part in inside)
exact, planned = in_four + 2 * others, planner.nf4_bytes("llama-7b")
print(
    f"LLaMA-7B: {in_four:,} bytes for {len(inside)} "
    f"matrices + 2 × {others:,} others = {exact:,} bytes"
)
print(
    f"the course's planner says {planned:,}: "
    f"it leaves out tables and offsets, {exact - planned:,} bytes"
)

# %% [markdown]
# The dictionary, which was half of SmolLM2, is a small share here, and what "by the book" would add to it can be
# computed as well. Now the rest of the plan. The adapter, its gradients and AdamW follow from the shapes, exactly;
# the activations are an estimate of the planner.

# %%
share_of_rest = 2 * others / exact
plan = planner.memory_plan(
    "llama-7b", "qlora", batch_size=1, sequence_length=512, gradient_checkpointing=True
)
print(plan)
print(f"\nnot in four bits: {share_of_rest:.0%} of the weights (SmolLM2: {rest_share:.0%})")
print(f"by the book it would lie in 32 bits: {memory.human(2 * others)} more")
one_short = {"batch_size": 1, "gradient_checkpointing": True}
in_sixteen = planner.memory_plan("llama-7b", "lora", "bfloat16", **one_short)
print("smallest card:", planner.smallest_gpu(plan.total))
print("in sixteen bits:", planner.smallest_gpu(in_sixteen.total))

WAYS = {
    "LoRA in 16 bits": ("lora", "bfloat16"),
    "QLoRA": ("qlora", "bfloat16"),
    "QLoRA with the rest in 32 bits": ("qlora", "float32"),
}


# %%
def on_a_card(batch_size=1, tokens=512, checkpointing=True, card="RTX 4060 (8 GB)"):
    size = {"batch_size": batch_size, "sequence_length": tokens}
    plans = {
        name: planner.memory_plan(
            "llama-7b", method, precision, gradient_checkpointing=checkpointing, **size
        )
        for name, (method, precision) in WAYS.items()
    }
    fit = [name for name, each in plans.items() if planner.fits(each.total, planner.GPUS[card])]
    title = (
        f"7B, {batch_size} × {tokens} tokens, {planner.GPUS[card]} GB: "
        f"room for {' and '.join(fit) or 'none of them'}"
    )
    sizes = [each.total / 1e9 for each in plans.values()]
    card_line = {"reference": planner.GPUS[card], "reference_label": "card"}
    figure = plots.bars(list(plans), sizes, title=title, xlabel="GB for one step", **card_line)
    plots.show(
        figure, alt=f"Memory of a step of a 7B model in three ways, against a card. {title}."
    )


# %%
widgets.explore(
    on_a_card,
    batch_size=[1, 2, 4, 8, 16],
    tokens=[128, 256, 512, 1024, 2048],
    checkpointing=True,
    card=list(planner.GPUS),
)

# %% [markdown]
# Three things to try. Start on the smallest card: for which of the three ways is there room? Let the batch and the
# texts grow until there is none for any of them. Then go back to the start, switch checkpointing off, and make the
# texts longer again: how far do you get now?
#
# The bars also say where four bits stop helping. Once the activations are larger than the base, halving the texts or
# the batch, or checkpointing, does more than any quantisation could.
#
# ## What you saw

# %%
tracking.record("rest_share", rest_share)
tracking.record("weights_factor", table.total["sixteen bits"] / table.total["four bits"])
tracking.record("book_percent", book_percent)
tracking.record("gentle_percent", gentle_percent)
tracking.record("floor_ratio", floors["four, frozen only"] / floors["sixteen bits"])
tracking.record("outside_over_inside", swing / peak_above)
tracking.record("gap_before", gap_before)
tracking.record("gap_after", gap_after)
tracking.record("book_minus_frozen", rows["by the book − frozen only"][0][0])
tracking.record("training_gain", gained)
tracking.record("time_ratio", time_ratio)
tracking.record("seven_gigabytes", exact / 1e9)

# %%
# In a sentence or two: a model and a card for which you would choose four bits, and what you
# would check first.
my_plan = ""
if my_plan:
    progress.write_journal("technique_qlora_intermediate", my_plan)
else:
    print("Nothing written yet. The cell can be run again at any time.")

# %% tags=["quiz"]
quiz = [
    {
        "question": "You double the batch. Which part of the saving that four bits bring, in megabytes, grows with it?",
        "choices": [
            (
                "All of it: everything is four times smaller.",
                "Activations are as large as on the sixteen-bit base, or larger. Only the base is smaller.",
                False,
            ),
            (
                "None. The saving is the base, and the base does not know the batch.",
                "Right. In per cent the saving even shrinks, because the sum grows.",
                True,
            ),
            (
                "The activations' part.",
                "They are in the type in which the model computes, which is not four bits.",
                False,
            ),
            (
                "The gradients' part.",
                "Frozen weights have no gradients, in four bits or in sixteen.",
                False,
            ),
        ],
        "proof": """
from labhelpers import planner
def saving(batch_size):
    plans = [planner.memory_plan("llama-7b", method, "bfloat16", batch_size=batch_size) for method in ("lora", "qlora")]
    return plans[0].total - plans[1].total
assert saving(1) == saving(2) == saving(8)
""",
    },
    {
        "question": "A frozen norm of 4,096 weights is lifted from 16 to 32 bits. What does that cost in training?",
        "choices": [
            ("8 kB.", "That is what its weights cost. But look at what leaves it.", False),
            (
                "Nothing: it is frozen.",
                "Frozen weights are still multiplied, and the type of a product is the larger of two.",
                False,
            ),
            (
                "8 kB, and everything that flows behind it may become 32 bits wide.",
                "Right. The stream between the layers takes the larger type and keeps it.",
                True,
            ),
            (
                "Twice the memory of the whole model.",
                "The weights of the other layers stay as they are.",
                False,
            ),
        ],
        "proof": """
import torch
stream = torch.ones(7, 4096, dtype=torch.bfloat16)
norm = torch.ones(4096, dtype=torch.bfloat16)
assert (stream * norm).dtype == torch.bfloat16 and (stream * norm.float()).dtype == torch.float32
assert (stream + stream * norm.float()).dtype == torch.float32
assert norm.float().nbytes - norm.nbytes == 8192
""",
    },
    {
        "question": "Why is a training step on a four-bit base slower on a CPU?",
        "choices": [
            (
                "CPUs cannot multiply four-bit numbers quickly.",
                "Nobody multiplies four-bit numbers, here or on a GPU. They are unpacked first.",
                False,
            ),
            (
                "Every matrix is unpacked on the way forward and once more on the way back.",
                "Right: work that the sixteen-bit base does not have.",
                True,
            ),
            (
                "The optimiser has to quantise the weights after every step.",
                "The base never changes. Nothing is quantised after loading.",
                False,
            ),
            (
                "Double quantisation doubles the multiplications.",
                "It makes unpacking a little longer. The multiplications are the same.",
                False,
            ),
        ],
        "proof": """
from unittest import mock
import torch
import bitsandbytes.functional as bnb
from bitsandbytes.nn import Linear4bit
layer = Linear4bit(128, 64, bias=False, quant_type="nf4", compute_dtype=torch.float32).to("cpu")
layer.support_avx512bf16_for_cpu = False
x = torch.ones(4, 128, requires_grad=True)
packed, state = layer.weight.data, layer.weight.quant_state
out = layer(x)  # on the way forward the unpacking is part of one operator
with mock.patch.object(bnb, "dequantize_4bit", side_effect=bnb.dequantize_4bit) as unpacking:
    out.sum().backward()
assert unpacking.call_count == 1 and layer.weight.grad is None
assert torch.allclose(x.grad, torch.ones(4, 64) @ bnb.dequantize_4bit(packed, state).float(), atol=1e-4)
""",
    },
    {
        "question": "A colleague measures the peak memory of his process, first with the sixteen-bit base, then in the same notebook with four bits: no difference. What do you tell him?",
        "choices": [
            (
                "So four bits save nothing on a CPU.",
                "You have seen the floor fall. His ruler cannot.",
                False,
            ),
            (
                "The peak of a process never falls: the second number is the first one again.",
                "Right. Sample over time, or count tensors, or start a new process for each.",
                True,
            ),
            (
                "He forgot double quantisation.",
                "That would be a few per cent of the base. His ruler would not see it either.",
                False,
            ),
            (
                "He has to call the garbage collector first.",
                "It frees memory now. The highest mark of the past stays where it is.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Checkpointing.** Let `prepare_model_for_kbit_training` do its fourth thing (`use_gradient_checkpointing=True`),
#   account for the step, and count the unpackings again. What does the grey part pay, and what does the clock?
# - **The vocabulary.** The violet part needs no probability for tokens whose label is -100. `logits_to_keep` of the
#   model's forward pass computes the last ones only. How many would be enough here?
# - **Adapters everywhere.** The QLoRA paper puts them on every matrix: `models.lora_targets(sixteen, "all_linear")`.
#   Does the gap to sixteen bits change?
#
# **Read.** Dettmers and others (2023), sections 3 and 4, once more, with your own gap in hand: they find none between
# four and sixteen bits, on models fifty times as large and more. The [QLoRA guide](../../curriculum/guides/qlora.md)
# has the traps on one page.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/qlora_intermediate.py`](../examples/qlora_intermediate.py) fine-tunes a chat model above four bits
# in one plain file, without our helpers. Here it meets film reviews and the one word that says what their authors
# thought:

# %%
import json

from labhelpers import data

reviews = data.load("sentiment").shuffle(seed=0).select(range(settings.pick(smoke=12, cpu=64)))
lines = []
for text, label in zip(reviews["text"], reviews["label"], strict=True):
    asked = {"role": "user", "content": f"Positive or negative?\n\n{text}"}
    said = {"role": "assistant", "content": reviews.features["label"].int2str(label)}
    lines.append(json.dumps({"messages": [asked, said]}, ensure_ascii=False))
mine = lab.workspace / "my_chats.jsonl"
_ = mine.write_text("\n".join(lines) + "\n", encoding="utf-8")
print(lines[0])

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/qlora_intermediate.py --data my_chats.jsonl --output my_chat
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "qlora_intermediate.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_chat")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# It saves the adapter alone; the four bits are made from the base each time it is loaded. On a GPU the file takes paged
# optimiser states and bfloat16 by itself. Have conversations of your own? One JSON object a line, as printed above; put
# the path into `mine` and run the last cell again.
