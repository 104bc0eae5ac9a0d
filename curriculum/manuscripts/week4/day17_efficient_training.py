# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import os

from labhelpers import settings

os.environ["KINETO_LOG_LEVEL"] = "6"  # PyTorch's profiler works in silence
lab = settings.start("day17")

# %%
import contextlib
import copy
import gc
import io
import math
import shutil
import time
from functools import partial

# %%
import bitsandbytes as bnb
import numpy as np
import pandas as pd
import torch
from peft import LoraConfig, get_peft_model
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from labhelpers import data, exercise, memory, metrics, models, plots, progress, quiz
from labhelpers import tracking, training, widgets

# %% [markdown]
# ## Why today matters
#
# On Day 4 you took something on trust. You trained with `training.arguments` and `training.load_options`, and a
# footnote listed what they change: bf16, bigger batches, no dropout in the frozen base, and so on. "Doubt one of
# them?" it said. Today you doubt all of them.
#
# There is the same training twice: once with the library's defaults (only the learning rate is one that suits
# LoRA), once with all of those changes. Same model, same sentences, same number of epochs. How many times faster
# is the second, on *this* machine?

# %%
speed_guess = widgets.predict(
    "day17-speedup",
    "All changes together make Day 4's training … times as fast",
    1,
    12,
    "times",
)

# %% [markdown]
# And which *single* change does most of it? Write one name. The list at the end of the day will answer.

# %%
# bf16 | large batches | like lengths | bf16 base | no dropout | eager attention
my_favourite = "bf16"

# %% [markdown]
# Two rules for the whole day. A time alone says nothing: a training that learns nothing is fast, too. So time,
# memory **and accuracy** stand side by side in the end. And a machine that does other things meanwhile must
# not decide a race. So contenders run in turn, several rounds, and the median counts.

# %%
device = settings.device()
quick = settings.computes_bf16()
gc.freeze()  # every Trainer collects garbage when it starts; not what is imported by now


def race(contenders, rounds=None):
    """Median seconds of each. They take turns, so that a busy moment hits all of them."""
    rounds = rounds or settings.pick(smoke=1, cpu=5)
    seconds = {name: [] for name in contenders}
    for _ in range(rounds + 1):  # the first round only warms up
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(row[1:])) for name, row in seconds.items()}


# %% [markdown]
# The runners: Day 4's model (the encoder with LoRA on query and value), and the same encoder with every weight
# trained, for comparison. Today nothing is hidden, so they are loaded with the library's defaults unless we say
# otherwise.


# %%
def build(how="LoRA", seed=lab.seed, **options):
    """The encoder with a fresh head: how is "LoRA" or "full"."""
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **options
    )
    if how == "LoRA":
        recipe = {"r": 8, "lora_alpha": 16, "target_modules": models.lora_targets(model)}
        model = get_peft_model(model, LoraConfig(**recipe, task_type="SEQ_CLS"))
        training.keep_adapters_precise(model)
    return model.train().to(device)


# %%
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))


def batch_of(texts, length):
    """A batch of this many texts of this many tokens; which tokens does not matter here."""
    ids = torch.randint(2000, 20000, (texts, length), device=device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, 0] % 2}


def step(model, batch, half=False):
    """Forward and backward; the update comes later."""
    with torch.autocast(device, torch.bfloat16, enabled=half):
        loss = model(**batch).loss
    loss.backward()
    model.zero_grad()


# %% [markdown]
# <!-- asked: D17-H, D17-T1, TQ-19, P3-W5-T2 -->
# ## FP16 and BF16: what mixed precision saves
#
# A number in 32 bits spends eight of them on its size and 23 on its digits. With only 16 bits somebody has to give
# way. **bf16** keeps the eight and gives up digits. **fp16** keeps more digits and gives up size. See what happens
# to three innocent numbers:

# %%
formats = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
rows = []
for name, kind in formats.items():
    one, small, large = (torch.tensor(value, dtype=kind) for value in (1.0, 1e-8, 70000.0))
    row = {"bytes": kind.itemsize, "1 + 0.001": (one + 0.001).item()}
    rows.append({"": name, **row, "0.00000001": small.item(), "70,000": large.item()})
pd.DataFrame(rows).set_index("")

# %% [markdown]
# In bf16, adding a thousandth to one changes nothing. In fp16, a tiny gradient is zero and a large one is infinite.
# Each format has one way to fail, and two remedies belong to them: **keep sums in 32 bits** (for bf16), and
# **scale the loss** (for fp16).
#
# Why bother? Half the bytes to fetch per number, and special units that multiply such numbers faster. *If the
# processor has them.* On one that has not, PyTorch emulates the arithmetic, and people have reported trainings that
# ran at less than half the speed after they switched bf16 on (PyTorch issue 86270). What about yours?

# %%
bf16_guess = widgets.predict(
    "day17-bf16",
    "A matrix product in bf16 runs … times as fast as in fp32, on this machine",
    0,
    8,
    "times",
)

# %%
tokens_at_once = 1024 if quick else 16  # small where it may be slow
left, right = torch.randn(tokens_at_once, 384), torch.randn(384, 1536)
pairs = {
    name: (left.to(device, kind), right.to(device, kind))
    for name, kind in formats.items()
    if name != "fp16"
}
products = race({name: partial(torch.matmul, *pair) for name, pair in pairs.items()})
bf16_gain = products["fp32"] / products["bf16"]
bf16_guess.compare(bf16_gain)
print(f"The course's own question, settings.computes_bf16(), answers {quick}.")

# %%
abilities = torch.cpu.get_capabilities()
shown = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16")
print({name: bool(abilities.get(name)) for name in shown})

# %% [markdown]
# `avx512_bf16` and `amx_bf16` are the units that count. Where both say `False`, bf16 is a way to *store* numbers,
# and no more; the course then computes in 32 bits, and `lab doctor` tells you so.
#
# A training step is not one product. `torch.autocast` goes through it and decides operation by operation: products
# in 16 bits, sums, softmax and loss in 32. That is **mixed precision**, and `bf16=True` in `TrainingArguments`
# switches it on. How much of the gain arrives?

# %%
lora = build()
few = batch_of(settings.pick(smoke=8, cpu=32) if quick else 4, 32)
steps = race({"fp32": lambda: step(lora, few), "autocast": lambda: step(lora, few, half=True)})
autocast_gain = steps["fp32"] / steps["autocast"]
print(f"one product: {bf16_gain:.1f} times as fast   a whole step: {autocast_gain:.1f} times")
tracking.record("bf16_product_gain", bf16_gain)
tracking.record("autocast_step_gain", autocast_gain)

# %% [markdown]
# Less than the product promised, or, without those units, a plain loss. What is not a product does not get faster,
# and casting back and forth costs time of its own. Remember the gap; it comes back in the profile.
#
# ### And the memory?
#
# "Mixed precision halves the memory": you can read it everywhere. On Day 6 you counted weights, gradients and
# optimiser state. Decide for each recipe which of the three get smaller.

# %% tags=["exercise"] exercise="day17/shrinks" answer="shrinks" minutes=4 difficulty=1
# Which of "weights", "gradients", "optimizer" take fewer bytes than in the same training in
# fp32? Give a dictionary with a set for each recipe; the empty set is written set().
# "autocast": full fine-tuning with bf16=True
# "all in bf16": full fine-tuning of model.to(torch.bfloat16)
# "bf16 base": LoRA on a frozen base loaded in bf16, the adapters in fp32
shrinks = ...
# <solution>
shrinks = {
    "autocast": set(),
    "all in bf16": {"weights", "gradients", "optimizer"},
    "bf16 base": {"weights"},
}
# </solution>


# %% tags=["check"] exercise="day17/shrinks"
def check(answer):
    names = {"autocast", "all in bf16", "bf16 base"}
    if not isinstance(answer, dict) or {*answer} != names:
        return f"A dictionary with these three keys is wanted: {', '.join(sorted(names))}."
    if any(isinstance(value, str) for value in answer.values()):
        return "Put a single name into braces, too: {'weights'} is a set, 'weights' is a word."
    try:
        found = {name: {*value} for name, value in answer.items()}
    except TypeError:
        return "For each recipe, give a set of names, such as {'weights'}, or set() for none."
    if strange := set().union(*found.values()) - {"weights", "gradients", "optimizer"}:
        return f"{sorted(map(str, strange))[0]!r} is none of the three kinds. Write weights, gradients, optimizer."
    if "optimizer" in found["autocast"] or "gradients" in found["autocast"]:
        return "Autocast changes what is *computed*. The weights it trains stay in 32 bits, so their gradients and AdamW's means do, too."
    if "weights" in found["autocast"]:
        return "Autocast makes 16-bit copies of the weights for the products, and the 32-bit weights stay where they are. Nothing gets smaller."
    if found["all in bf16"] != {"weights", "gradients", "optimizer"}:
        return "A gradient has the format of its weight, and so have AdamW's two means. If the weights have 16 bits, all three have."
    if {"gradients", "optimizer"} & found["bf16 base"]:
        return "Gradients and means exist for the adapters only, and those stay in fp32 here. What is in bf16 has neither."
    if not found["bf16 base"]:
        return "The frozen base is stored in 16 bits now, and it is nearly all of the model."
    return None


hints = [
    "What does autocast do to the weights themselves? Look at `model.dtype` under autocast, if in doubt.",
    "A gradient is stored like the weight it belongs to, and AdamW's means like the gradient.",
]
misconceptions = [
    (
        "shrinks = {'autocast': {'weights', 'gradients', 'optimizer'}, 'all in bf16': {'weights', 'gradients', 'optimizer'}, 'bf16 base': {'weights'}}",
        "changes what is *computed*",
    ),
    (
        "shrinks = {'autocast': {'weights'}, 'all in bf16': {'weights', 'gradients', 'optimizer'}, 'bf16 base': {'weights'}}",
        "stay where they are",
    ),
    (
        "shrinks = {'autocast': set(), 'all in bf16': {'weights'}, 'bf16 base': {'weights'}}",
        "so have AdamW's two means",
    ),
    (
        "shrinks = {'autocast': set(), 'all in bf16': {'weights', 'gradients', 'optimizer'}, 'bf16 base': {'weights', 'gradients', 'optimizer'}}",
        "What is in bf16 has neither",
    ),
]


# %%
def counted(model, half, texts):
    """One real step, then every byte by its kind."""
    trained = [part for part in model.parameters() if part.requires_grad]
    optimizer, batch = torch.optim.AdamW(trained, lr=1e-5), batch_of(texts, 32)
    with torch.autocast(device, torch.bfloat16, enabled=half):
        model(**batch).loss.backward()
        optimizer.step()
        return memory.account(model, optimizer, batch)


# %%
texts = settings.pick(smoke=8, cpu=32) if quick else 4
recipes = {
    "full, fp32": (build("full"), False),
    "full, autocast": (build("full"), True),
    "full, all in bf16": (build("full", dtype=torch.bfloat16), False),
    "LoRA, fp32": (build(), False),
    "LoRA, bf16 base": (build(dtype=torch.bfloat16), True),
}
accounts = {name: counted(*recipe, texts) for name, recipe in recipes.items()}
kinds = ("weights", "gradients", "optimizer", "activations")
pd.DataFrame(
    {
        name: {kind: memory.human(getattr(found, kind)) for kind in kinds}
        for name, found in accounts.items()
    }
).T

# %%
pairs = {
    "autocast": ("full, fp32", "full, autocast"),
    "all in bf16": ("full, fp32", "full, all in bf16"),
    "bf16 base": ("LoRA, fp32", "LoRA, bf16 base"),
}
for name, (before, after) in pairs.items():
    pair = accounts[before], accounts[after]
    smaller = {
        kind for kind in kinds[:3] if getattr(pair[1], kind) < 0.9 * getattr(pair[0], kind)
    }
    assert smaller == {*shrinks[name]}
    change = pair[1].activations / pair[0].activations - 1
    print(
        f"{name:<12} smaller: {', '.join(sorted(smaller)) or 'none of the three':<30}", end=""
    )
    print(f"activations {change:+.0%}")

# %% [markdown]
# So much for half. Autocast leaves all three alone. Even the activations do not halve: softmax and layer norm stay in 32
# bits, and the 16-bit *copies of the weights* must be kept for the backward pass. With a tiny batch the copies
# outweigh the saving.
#
# "All in bf16" is the only recipe that halves, and it has the other remedy missing: sums in 32 bits. What becomes of
# AdamW's small steps? One matrix, one update with a learning rate of 1e-5, in both formats:


# %%
def share_that_moved(kind):
    matrix = build("full").base_model.encoder.layer[0].output.dense.weight.detach().to(kind)
    weight, before = nn.Parameter(matrix.clone()), matrix
    weight.grad = torch.randn_like(weight)
    torch.optim.AdamW([weight], lr=1e-5, weight_decay=0).step()
    return (weight != before).float().mean().item()


moved = {name: share_that_moved(formats[name]) for name in ("fp32", "bf16")}
print(", ".join(f"{name}: {share:.1%} of the weights moved" for name, share in moved.items()))
tracking.record("moved_in_bf16", moved["bf16"])

# %% [markdown]
# No error, no warning; the loss even falls a little. That is why `training.keep_adapters_precise` exists: the base
# may be stored in bf16 *because it does not move*, and the adapters, which do, stay in 32 bits.
#
# ### fp16, and a run that trains nothing
#
# Older GPUs have units for fp16 only. There the second remedy is needed: multiply the loss by a large number before
# the backward pass, so that tiny gradients do not vanish, and divide before the update. `GradScaler` does it.
# It starts at 65,536. If any gradient comes out infinite it *skips that update*, halves its number and goes on.


# %% tags=["exercise"] exercise="day17/updates" answer="updates" minutes=6 difficulty=2
# largest: the largest true gradient of a step, the same in every step. fp16 holds at most
# 65504. The scaler multiplies by `scale`; if that is too large for fp16, the update is skipped
# and the scale halved. How many of the `steps` update the weights? (GradScaler also doubles
# after 2,000 good steps; leave that out.)
def updates(largest, steps, scale=65536.0): ...


# <solution>
def updates(largest, steps, scale=65536.0):
    made = 0
    for _ in range(steps):
        if largest * scale > 65504:
            scale /= 2
        else:
            made += 1
    return made


# </solution>


# %% tags=["check"] exercise="day17/updates"
def check(answer):
    found = answer(10.0, 3), answer(10.0, 20), answer(0.5, 7)
    if None in found:
        return "The function returns nothing. Did it end without `return`?"
    if found[1] == 4:
        return "You count the steps that are *skipped*, it seems. How many are left?"
    if found[1] == 20:
        return "You count every step. But 10 × 65,536 is more than fp16 holds: infinite, so that update is skipped."
    if found[1] == 0:
        return "You never arrive at an update. After each skip the scale is halved, and after enough halvings 10 × scale fits."
    if found[1] == 19:
        return "You skip one step only. After one halving 10 × 32,768 is still too large for fp16; it takes several."
    if found != (0, 16, 7):
        return f"For gradients of 10, 10 and 0.5 over 3, 20 and 7 steps you say {found[0]}, {found[1]} and {found[2]}. It should be 0, 16 and 7."
    if answer(10.0, 20, 1024.0) != 20:
        return "With `scale=1024` nothing needs to be skipped for a gradient of 10. Is 65,536 written into your function?"
    return None


def inputs(draw):
    yield 0.0, 5
    yield 1e6, 0
    yield 1e6, 4
    yield 1.0, 3, 65504.0
    yield 1e9, 60
    for _ in range(6):
        largest = float(np.exp(draw.uniform(-3, 9)))
        yield largest, int(draw.integers(1, 40)), float(2 ** draw.integers(4, 20))


hints = [
    "Walk through the steps in a loop, and carry the scale along.",
    "Too large: halve the scale and count nothing. Otherwise: count one.",
]
misconceptions = [
    (
        "def updates(largest, steps, scale=65536.0):\n    return steps",
        "You count every step",
    ),
    (
        "def updates(largest, steps, scale=65536.0):\n    return steps if largest * scale <= 65504 else 0",
        "You never arrive at an update",
    ),
    (
        "def updates(largest, steps, scale=65536.0):\n    return steps if largest * scale <= 65504 else steps - 1",
        "You skip one step only",
    ),
    (
        "def updates(largest, steps, scale=65536.0):\n    skipped = 0\n    while skipped < steps and largest * scale > 65504:\n        scale /= 2\n        skipped += 1\n    return skipped",
        "are *skipped*",
    ),
]


# %%
def really(largest, steps):
    """The same with PyTorch's own scaler, on one weight."""
    weight, made = nn.Parameter(torch.zeros(1)), 0
    scaler, optimizer = torch.amp.GradScaler("cpu"), torch.optim.SGD([weight], lr=1e-3)
    for _ in range(steps):
        before = weight.detach().clone()
        loss = (weight.half().float() * largest).sum()  # its gradient passes through fp16
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        made += int((weight != before).any())
    return made


for count in (3, 20):
    print(f"{count} steps: {updates(10.0, count)} updates by rule, {really(10.0, count)} made")

# %% [markdown]
# Three steps, no update, no error. The makers of Unsloth found this in a test of their own: three steps in fp16, all
# green, and nothing was ever trained. If you check a training, check that *weights have moved*.
#
# <!-- asked: D17-T2, X-19, TQ-20, P3-W5-T1, P3-W5-M2 -->
# ## Gradient checkpointing, also called activation checkpointing
#
# Two names, one thing. The forward pass keeps what each layer needs for the way back. With checkpointing it keeps
# only what goes *into* each layer, and makes the rest anew when the backward pass arrives there. Memory for time.
#
# If that is true, each layer must be *computed* twice per step. Count it, with hooks. On a layer and, to be thorough,
# on one part inside it.

# %%
full = build("full")
layers = full.base_model.encoder.layer
calls = {"layers": 0, "a part of each layer": 0}


def counting(name):
    def hook(*_):
        calls[name] += 1

    return hook


for layer in layers:
    layer.register_forward_hook(counting("layers"))
    layer.intermediate.register_forward_hook(counting("a part of each layer"))

# %%
for label in ("without", "with"):
    if label == "with":
        full.activation_checkpointing_enable()
    calls = dict.fromkeys(calls, 0)
    step(full, batch_of(2, 32))
    print(f"{label:<8} checkpointing: {calls} calls for {len(layers)} layers")

# %% [markdown]
# The parts say twice, as it should be; the layers themselves say once. Who is right? Both. transformers wraps the
# layer's `forward`, and hooks hang on the outside of the wrapping. Worth remembering when you count anything by
# hooks: you see what passes *your* door.
#
# (Older tutorials write `gradient_checkpointing_enable()`, or `gradient_checkpointing=True` in `TrainingArguments`. Today
# the word is `activation_checkpointing`; the old one still works and says so.)
#
# So each layer goes forward once more. What does that cost? The usual estimate counts matrix products. Forward is one unit. The
# backward pass has two jobs: hand the gradient on *to the inputs* (one unit), and make the gradient *of the
# weights* (one unit).


# %% tags=["exercise"] exercise="day17/slowdown" answer="slowdown" minutes=5 difficulty=2
# Work of one step with checkpointing, as a multiple of the work without. Forward: 1 unit.
# Backward: to_inputs + to_weights units. share: how much of the model is checkpointed, 0 to 1.
def slowdown(to_inputs, to_weights, share): ...


# <solution>
def slowdown(to_inputs, to_weights, share):
    return (1 + share + to_inputs + to_weights) / (1 + to_inputs + to_weights)


# </solution>


# %% tags=["check"] exercise="day17/slowdown"
def check(answer):
    whole = answer(1, 1, 1)
    if whole is None:
        return "The function returns nothing. Did it end without `return`?"
    if not isinstance(whole, int | float | np.number):
        return "One number is wanted."
    if abs(whole - 2) < 1e-9:
        return "Twice the step? Only the *forward* pass is done a second time; the backward pass is done once, as before."
    if abs(whole - 5 / 3) < 1e-9:
        return "You counted two extra forward passes. Each layer is computed once as usual and once more."
    if abs(whole - 4) < 1e-9:
        return (
            "Four units of work is right. Now as a multiple of the work without checkpointing."
        )
    if abs(whole - 1 / 3) < 1e-9:
        return "That is the part that is added. Give the whole as a multiple: one and a bit."
    if abs(whole - 3 / 4) < 1e-9:
        return "Upside down: with checkpointing there is more work, so the multiple is above 1."
    if abs(whole - 4 / 3) > 1e-9:
        return f"With one unit for each job and everything checkpointed you say {whole:.3f}. It is four units instead of three."
    if abs(answer(1, 1, 0) - 1) > 1e-9:
        return "With nothing checkpointed (share = 0) nothing is computed twice."
    if abs(answer(1, 0, 1) - 1.5) > 1e-9:
        return "Try a frozen model: no gradient for weights, `to_weights=0`. Without checkpointing that is two units, with it three."
    return None


def inputs(draw):
    yield 0.0, 0.0, 1.0
    yield 1.0, 0.0, 0.5
    for _ in range(5):
        yield tuple(float(value) for value in draw.random(3))


hints = [
    "Without: 1 + to_inputs + to_weights. What is added, and how much of it?",
    "(1 + share + to_inputs + to_weights) / (1 + to_inputs + to_weights)",
]
misconceptions = [
    ("def slowdown(to_inputs, to_weights, share):\n    return 1 + share", "the *forward* pass"),
    (
        "def slowdown(to_inputs, to_weights, share):\n    return 1 + share + to_inputs + to_weights",
        "as a multiple",
    ),
    (
        "def slowdown(to_inputs, to_weights, share):\n    return share / (1 + to_inputs + to_weights)",
        "the part that is added",
    ),
    (
        "def slowdown(to_inputs, to_weights, share):\n    return (2 + to_inputs + to_weights) / (1 + to_inputs + to_weights)",
        "nothing is computed twice",
    ),
    (
        "def slowdown(to_inputs, to_weights, share):\n    return (3 + share) / 3",
        "Try a frozen model",
    ),
]

# %% [markdown]
# The textbooks' answer for full fine-tuning, "a third more", is `slowdown(1, 1, 1)`. Now think of LoRA. The frozen
# weights need no gradient, and `to_weights` is nearly nothing. For whom is checkpointing dearer?

# %%
for how, to_weights in {"full": 1, "LoRA": 0}.items():
    print(f"{how:<5} expected {slowdown(1, to_weights, 1):.2f} times the work")


# %%
def checkpointed(model):
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.activation_checkpointing_enable()
    return model


size = batch_of(settings.pick(smoke=4, cpu=16), 32)
runners = {(how, "plain"): build(how) for how in ("full", "LoRA")}
runners |= {(how, "lean"): checkpointed(build(how)) for how in ("full", "LoRA")}
seconds = race({key: partial(step, model, size) for key, model in runners.items()})
dearer = {how: seconds[how, "lean"] / seconds[how, "plain"] for how in ("full", "LoRA")}
print(", ".join(f"{how}: {times:.2f} times the seconds" for how, times in dearer.items()))
tracking.record("checkpoint_full", dearer["full"])
tracking.record("checkpoint_lora", dearer["LoRA"])

# %% [markdown]
# LoRA pays more for it, relatively: its step was shorter to begin with. What does the money buy? Shapes are enough to
# count what is kept, so we take a model without numbers (PyTorch's `meta` device) and can afford long texts. One
# thing the count of kept tensors misses: while a layer is made anew, *its* activations are there as well. They
# are added.


# %%
def kept(texts, length, checkpointing=False, fewer=0):
    """Megabytes of activations that the forward pass keeps."""
    shape = copy.deepcopy(full.config)
    shape.num_hidden_layers -= fewer
    model = models.build_empty(shape).train()
    if checkpointing:
        model.activation_checkpointing_enable()
    ids = torch.zeros(texts, length, dtype=torch.long, device="meta")
    return (
        memory.account(model, batch={"input_ids": ids, "labels": ids[:, 0]}).activations / 1e6
    )


# %%
rows = {}
for length in (32, 128, 512):
    plain, lean = kept(32, length), kept(32, length, checkpointing=True)
    peak = lean + plain - kept(32, length, fewer=1)
    rows[f"32 texts of {length} tokens"] = {"plain": plain, "kept": lean, "at the peak": peak}
saved = pd.DataFrame(rows).T
saved["peak, share"] = saved["at the peak"] / saved["plain"]
saved.round(2)

# %% [markdown]
# A step that is a third to two thirds slower, for about a fifth of the activations: a bad bargain on our sentences, which fit easily, and
# the only way at 512 tokens on a small card. So it is a tool against *out of memory*, and no tool for speed. Unless
# the memory it frees lets you use a batch that your machine likes much more.
#
# <!-- asked: D17-T3, TQ-21, P3-W5-T4 -->
# ## Gradient accumulation in depth
#
# On Day 10 you wrote accumulation yourself and proved that it equals the large batch. Does it also change the *speed*?
# Two guides that many people trust answer:
#
# - Stas Bekman's *Machine Learning Engineering*: more accumulation steps improve the throughput, "20–30% speedup".
# - Hugging Face's guide to training on one GPU: "a high number of gradient accumulation steps can result in a more
#   pronounced training slowdown".
#
# Both point to the same two benchmarks as evidence. Who is right? Build a small model of the clock and find out. Each
# micro-batch costs a fixed amount (`call`: Python, launching hundreds of operations) plus something for each row.
# Each update costs `update`, however many rows came before it.


# %% tags=["exercise"] exercise="day17/epoch" answer="epoch_seconds" minutes=8 difficulty=2
# rows: in the epoch. micro: rows per forward and backward pass. parts: micro-batches per
# update. call, row, update: seconds for a micro-batch as such, for a row in it, for an update.
# Return the seconds of an epoch. rows is a multiple of micro × parts.
def epoch_seconds(rows, micro, parts, call, row, update): ...


# <solution>
def epoch_seconds(rows, micro, parts, call, row, update):
    return rows / micro * call + rows * row + rows / (micro * parts) * update


# </solution>


# %% tags=["check"] exercise="day17/epoch"
def check(answer):
    calls = answer(64, 4, 2, 1.0, 0.0, 0.0)
    rows = answer(64, 4, 2, 0.0, 1.0, 0.0)
    updates_made = answer(64, 4, 2, 0.0, 0.0, 1.0)
    if None in (calls, rows, updates_made):
        return "The function returns nothing. Did it end without `return`?"
    if updates_made == 16:
        return "You update after every micro-batch. With parts = 2 there is one update for two of them: 8 in 64 rows."
    if updates_made == 32:
        return "`parts` is how many micro-batches share an update, not how many updates there are. 64 rows, 4 × 2 of them per update: 8."
    if calls == 8:
        return "You count one pass per update. Each micro-batch is a pass of its own: 64 rows, 4 at a time, makes 16."
    if calls == 64:
        return "`call` is paid once per micro-batch, not once per row: that is why larger ones are cheaper."
    if rows == 16:
        return "`row` is the price of one row, and 64 of them go through the model, however they are bundled."
    if (calls, rows, updates_made) != (16, 64, 8):
        return f"In 64 rows with micro-batches of 4 and 2 parts there are 16 passes, 64 rows and 8 updates. Your function counts {calls:g}, {rows:g} and {updates_made:g}."
    return None


def inputs(draw):
    for micro, parts, times in ((1, 1, 1), (8, 1, 3), (1, 16, 2), (4, 4, 5), (2, 8, 1)):
        yield micro * parts * times, micro, parts, *(float(value) for value in draw.random(3))


hints = [
    "Three terms: how many passes, how many rows, how many updates?",
    "Passes: rows / micro. Updates: rows / (micro × parts).",
]
misconceptions = [
    (
        "def epoch_seconds(rows, micro, parts, call, row, update):\n    return rows / micro * call + rows * row + rows / micro * update",
        "after every micro-batch",
    ),
    (
        "def epoch_seconds(rows, micro, parts, call, row, update):\n    return rows / (micro * parts) * (call + update) + rows * row",
        "one pass per update",
    ),
    (
        "def epoch_seconds(rows, micro, parts, call, row, update):\n    return rows * (call + row) + rows / (micro * parts) * update",
        "once per micro-batch",
    ),
    (
        "def epoch_seconds(rows, micro, parts, call, row, update):\n    return rows / micro * (call + row) + rows / (micro * parts) * update",
        "however they are bundled",
    ),
    (
        "def epoch_seconds(rows, micro, parts, call, row, update):\n    return rows / micro * call + rows * row + rows / micro * parts * update",
        "share an update",
    ),
]

# %% [markdown]
# Now the prices on this machine. Two micro-batches of different size give `call` and `row`; the update is timed
# alone. Once for full fine-tuning, where AdamW walks over every weight, and once for LoRA.


# %%
def prices(how):
    """Seconds per micro-batch, per row and per update, from three timings."""
    model = build(how)
    trained = [part for part in model.parameters() if part.requires_grad]
    for part in trained:
        part.grad = torch.zeros_like(part)
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True)  # as in the Trainer
    update = race({"update": optimizer.step})["update"]
    timed = race({n: lambda n=n: step(model, batch_of(n, 24)) for n in (2, 10)})
    row = max(timed[10] - timed[2], 0) / 8
    return {"call": max(timed[2] - 2 * row, 0), "row": row, "update": update}


price = {how: prices(how) for how in ("full", "LoRA")}
(1000 * pd.DataFrame(price).T).round(1).add_suffix(" (ms)")

# %%
grids = {
    "fixed micro-batch (4)": [(4, 1), (4, 2), (4, 8)],
    "fixed effective batch (32)": [(32, 1), (16, 2), (4, 8), (1, 32)],
}
changes = {}
for title, grid in grids.items():
    print(title)
    for how in price:
        sizes = [epoch_seconds(32, micro, parts, **price[how]) for micro, parts in grid]
        changes[title, how] = sizes[-1] / sizes[0] - 1
        cells = [f"{m}×{p}: {s:.2f} s" for (m, p), s in zip(grid, sizes, strict=True)]
        print(
            f"  {how:<5} {'   '.join(cells)}   last against first: {changes[title, how]:+.0%}"
        )

# %% [markdown]
# There is the answer. **Both are right.** Hold the *micro-batch* fixed and add parts: the passes are the same, the updates get
# fewer, it gets faster. Hold the *effective batch* fixed and cut it into smaller parts: the updates are the same, the passes get
# more, it gets slower. The two guides varied different things, and neither said so. And look at LoRA, which updates a
# third of a per cent of the weights: there is hardly an update to save.
#
# A model of a clock is not a clock. Believe it after one real race.

# %%
model = build("full")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)


def one_go(micro, parts, rows):
    """Train this many rows for real."""
    for at in range(rows // micro):
        model(**batch_of(micro, 24)).loss.backward()
        if (at + 1) % parts == 0:
            optimizer.step()
            optimizer.zero_grad()


# %%
tried = settings.pick(smoke=[(2, 1), (2, 2), (4, 1)], cpu=[(4, 1), (4, 8), (32, 1), (16, 2)])
most = settings.pick(smoke=4, cpu=32)
real = race({sizes: partial(one_go, *sizes, most) for sizes in tried})
for (micro, parts), spent in real.items():
    expected = epoch_seconds(most, micro, parts, **price["full"])
    print(f"{micro:>2} × {parts:<2} measured {spent:.2f} s, expected {expected:.2f} s")
tracking.record("fixed_micro_gain", real[tried[0]] / real[tried[1]])


# %%
def clock(micro=4, update_ms=40):
    there = price["full"] | {"update": update_ms / 1000}
    counts = [1, 2, 4, 8, 16, 32]
    series = {
        f"micro-batch of {micro}": [epoch_seconds(1024, micro, n, **there) for n in counts],
        "effective batch of 32": [epoch_seconds(1024, 32 // n, n, **there) for n in counts],
    }
    ends = [row[-1] / row[0] - 1 for row in series.values()]
    title = f"32 parts instead of 1: {ends[0]:+.0%} and {ends[1]:+.0%}"
    figure = plots.lines(counts, series, title=title, xlabel="parts", ylabel="seconds")
    plots.show(figure, alt=f"Seconds for 1,024 rows by parts per update. {title}.")


widgets.explore(clock, micro=[1, 2, 4, 8, 16], update_ms=(0, 200, 10))

# %% [markdown]
# ### Where the sum goes wrong
#
# One condition of the equality is easy to break: *the mean of the parts' means is the mean over everything only if the
# parts are equally large*. For a model that writes, "large" means tokens, and texts have as many as they like. Four
# texts, two to a part:

# %%
writer_tokens = AutoTokenizer.from_pretrained(models.source("decoder"))
writer = AutoModelForCausalLM.from_pretrained(models.source("decoder"), dtype=torch.float32)
weight = writer.requires_grad_(False).model.layers[-1].mlp.down_proj.weight.requires_grad_(True)
said = [
    "Fine.",
    "No.",
    "The plot is thin, but the actors make you forget it before the first song is over.",
    "I have seen it twice, and the second time I understood why my father cried at the end.",
]
ids = [torch.tensor([writer_tokens(text)["input_ids"]]) for text in said]


# %%
def token_losses(part):
    """Every predicted token of these texts has a loss of its own."""
    rows = [writer(input_ids=ids[at]).logits[0, :-1] for at in part]
    targets = torch.cat([ids[at][0, 1:] for at in part])
    return nn.functional.cross_entropy(torch.cat(rows), targets, reduction="none")


def gradient(parts, total=None):
    """Accumulate over parts: each by its own mean, or (with total) by all tokens."""
    weight.grad = None
    for part in parts:
        losses = token_losses(part)
        (losses.sum() / total if total else losses.mean() / len(parts)).backward()
    return weight.grad.clone()


# %%
tokens_in = [one.shape[1] - 1 for one in ids]
whole = gradient([range(4)])
means = gradient([(0, 1), (2, 3)])
exact = gradient([(0, 1), (2, 3)], total=sum(tokens_in))
errors = {
    name: ((g - whole).norm() / whole.norm()).item()
    for name, g in (("mean of means", means), ("sum, divided once", exact))
}
print(f"predicted tokens per text: {tokens_in}")
for name, error in errors.items():
    print(f"{name:<18} differs from the whole batch by {error:.1e}")
tracking.record("mean_of_means_error", errors["mean of means"])
tracking.record("divided_once_error", errors["sum, divided once"])

# %% [markdown]
# The mean of means lets two short grunts speak as loudly as two sentences. It was in the Trainer for years (fixed at the
# end of 2024). Today it counts the tokens of all parts first and hands the number to the model as
# `num_items_in_batch`; on Day 10 you met a model that pretends to use it. The rule stays: **add up, then divide
# once, by everything.**
#
# <!-- asked: D17-T4 -->
# ## Apply them one at a time
#
# <!-- asked: P3-W5-S3 -->
# Speed is not found by trying flags. First look where the seconds go. `torch.profiler` writes down every operation of
# a step, and a table is enough to read it.

# %%
fused = "aten::_scaled_dot_product_flash_attention_for_cpu"
families = dict.fromkeys(("aten::mm", "aten::addmm", "aten::bmm"), "matrix products")
families |= {"aten::bernoulli_": "random numbers", "aten::copy_": "copies and casts"}
families |= dict.fromkeys((fused, f"{fused}_backward"), "fused attention")


def profiled(model, batch, half):
    step(model, batch, half)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as trace:
        step(model, batch, half)
    return trace


# %%
default_batch = batch_of(8, 27)  # the Trainer's default size, and our mean length
trace = profiled(build(), default_batch, False)
operations = pd.DataFrame(
    {"operation": e.key, "calls": e.count, "ms": e.self_cpu_time_total / 1000}
    for e in trace.key_averages()
)
operations["share"] = operations["ms"] / operations["ms"].sum()
operations["family"] = operations["operation"].map(families).fillna("everything else")
operations.sort_values("ms", ascending=False).head(10).round(3).reset_index(drop=True)

# %%
shares = operations.groupby("family")["share"].sum().sort_values(ascending=False)
random_share, product_share = shares.get("random numbers", 0.0), shares["matrix products"]
figure = plots.bars(
    list(shares.index),
    list(100 * shares.values),
    title=f"Of a default step, {product_share:.0%} is matrix products",
    xlabel="share of a step (%)",
)
plots.show(
    figure,
    alt=f"Shares of one training step by kind of operation: {shares.round(2).to_dict()}.",
)

# %% [markdown]
# The products are the work; the rest is overhead, and each line of it is a question. *Random numbers*: dropout rolls a
# die for every activation. It protects weights that learn, and the base is frozen. *Everything else*: many small
# operations, and a larger batch would share them. *Copies*: padding is copied and computed like anything else.
#
# ### Bucketing and packing
#
# How much of the work is padding? Take the real sentences.

# %%
reviews = data.prepared("sentiment")
reviews.pop("test")  # today chooses settings; the test split has no business here
tokens = data.tokenize(reviews, tokenizer, max_length=64)
collator = DataCollatorWithPadding(tokenizer)
lengths = np.array([len(row) for row in tokens["train"]["input_ids"]])
shuffled = np.random.default_rng(lab.seed).permutation(len(lengths))


def padding(order, size=32):
    parts = np.split(order, range(size, len(order), size))
    return 1 - lengths.sum() / sum(len(part) * lengths[part].max() for part in parts)


print(f"in any order: {padding(shuffled):.0%} of all computed tokens are padding")
print(f"like lengths together: {padding(np.argsort(lengths)):.1%}")
tracking.record("padding_random", padding(shuffled))

# %% [markdown]
# **Bucketing**, like lengths in one batch, is one argument: `train_sampling_strategy="group_by_length"`. (Older texts
# say `group_by_length=True`.) The other way is **packing**: put texts one behind the other into a single row and pad
# nothing. But then the second text can *see* the first. Nothing fails; the model only learns from a mixture. Two things
# keep texts apart: a mask, and positions that begin at 0 again with each text.


# %% tags=["exercise"] exercise="day17/packed" answer="packed" minutes=10 difficulty=3
# lengths: how many tokens each text has, such as [3, 2]. They lie one behind the other.
# Return two tensors: positions, of shape (sum,), whole numbers that begin at 0 with each text;
# and allowed, of shape (sum, sum), True where the token of the row may look at the token of the
# column: within its own text, in both directions (our encoder reads both ways).
def packed(lengths): ...


# <solution>
def packed(lengths):
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    positions = torch.cat([torch.arange(length) for length in lengths])
    return positions, owner[:, None] == owner[None, :]


# </solution>


# %% tags=["check"] exercise="day17/packed"
def check(answer):
    found = answer([3, 2])
    if found is None:
        return "The function returns nothing. Did it end without `return`?"
    if not isinstance(found, tuple | list) or len(found) != 2:
        return "Two tensors are wanted: positions, allowed."
    positions, allowed = map(torch.as_tensor, found)
    if positions.tolist() == [0, 1, 2, 3, 4]:
        return "Your positions run on. The second text would be read as if it began in the middle of a page: begin at 0 again."
    if positions.tolist() != [0, 1, 2, 0, 1]:
        return (
            f"For lengths 3 and 2 the positions are 0 1 2 0 1; yours are {positions.tolist()}."
        )
    if tuple(allowed.shape) != (5, 5):
        return f"`allowed` has the shape {tuple(allowed.shape)}. Each of the 5 tokens asks about each of the 5: (5, 5)."
    block = torch.block_diag(torch.ones(3, 3), torch.ones(2, 2)).bool()
    allowed = allowed.bool()
    if allowed.all():
        return "Everybody may look at everybody: the second text reads the first. Only pairs within one text are allowed."
    if torch.equal(allowed, block.tril()):
        return "That is the mask of a model that *writes*: no looking ahead. Our encoder reads in both directions."
    if torch.equal(allowed, ~block):
        return "Upside down: True means *may look*, and you allow exactly the pairs of different texts."
    if torch.equal(allowed, torch.ones(5, 5).tril().bool()):
        return "No looking ahead, but into the text before: two mistakes at once. Which pairs belong to one text?"
    if not torch.equal(allowed, block):
        return "For lengths 3 and 2, `allowed` should be a block of 3 × 3 and a block of 2 × 2, and False elsewhere."
    return None


def inputs(draw):
    yield [1]
    yield [1, 1, 1]
    yield [4]
    for count in (2, 3, 5):
        yield [int(length) for length in draw.integers(1, 7, count)]


hints = [
    "Give each token the number of its text: 0 0 0 1 1. `torch.repeat_interleave` does that.",
    "Two tokens may look at each other if their numbers are equal: compare `owner[:, None]` with `owner[None, :]`.",
    "Positions: `torch.arange(length)` for each length, joined by `torch.cat`.",
]
misconceptions = [
    (
        "def packed(lengths):\n    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))\n    return torch.arange(sum(lengths)), owner[:, None] == owner[None, :]",
        "positions run on",
    ),
    (
        "def packed(lengths):\n    n = sum(lengths)\n    return torch.cat([torch.arange(one) for one in lengths]), torch.ones(n, n, dtype=torch.bool)",
        "reads the first",
    ),
    (
        "def packed(lengths):\n    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))\n    return torch.cat([torch.arange(one) for one in lengths]), (owner[:, None] == owner[None, :]).tril()",
        "a model that *writes*",
    ),
    (
        "def packed(lengths):\n    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))\n    return torch.cat([torch.arange(one) for one in lengths]), owner[:, None] != owner[None, :]",
        "Upside down",
    ),
]

# %% [markdown]
# Proof by equal answers: five sentences alone, and the same five in one row. For a packed row the head has to read the
# first token of *each* text instead of the first of the row.

# %%
reader = build("full").eval()
five = [torch.tensor(row) for row in tokens["train"]["input_ids"][:5]]
sizes = [len(one) for one in five]
starts = np.cumsum([0, *sizes[:-1]])


def read_packed(positions, allowed):
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    body = reader.base_model
    row = torch.cat(five)[None].to(device)
    states = body(row, attention_mask=mask[None, None].to(device), position_ids=positions[None])
    firsts = body.pooler(states.last_hidden_state[0, starts][:, None])
    return reader.classifier(firsts)


# %%
positions, allowed = packed(sizes)
with torch.no_grad():
    alone = torch.cat([reader(one[None].to(device)).logits for one in five])
    ways = {
        "mask and positions": read_packed(positions, allowed),
        "positions run on": read_packed(torch.arange(sum(sizes)), allowed),
        "no mask": read_packed(positions, torch.ones_like(allowed)),
    }
drift = {
    name: ((logits - alone).abs().max() / alone.abs().max()).item()
    for name, logits in ways.items()
}
for name, distance in drift.items():
    print(f"{name:<20} logits differ by up to {distance:.1%} of the largest")
tracking.record("packed_drift", drift["mask and positions"])
tracking.record("contaminated_drift", drift["no mask"])

# %% [markdown]
# With both, the answers are those of the single texts, to the last digits. Without one of them they are not, and no
# error says so. (For models that write, `SFTConfig(packing=True)` makes the row, and transformers makes the mask from
# `position_ids` that begin again, if you give it no `attention_mask`. On a GPU, FlashAttention does not even compute the forbidden pairs.)
#
# Do *we* need it? Like lengths together has left almost no padding, and our forbidden pairs are computed before
# they are thrown away. Packing is for texts of very different length. Here the plain argument has won already.
#
# ### Attention, two ways
#
# <!-- asked: TQ-23, P3-W5-T3 -->
# `attn_implementation="eager"` writes attention as plain products and keeps the table of every token against every
# other. `"sdpa"`, the default, is one fused operation that never holds the whole table (the idea of
# **FlashAttention**). Fused must be faster. Must it?

# %%
runners, rows = {}, []
for attention in ("eager", "sdpa"):
    for rate in (0.1, 0.0):
        off = {"hidden_dropout_prob": rate, "attention_probs_dropout_prob": rate}
        runners[attention, rate] = build(attn_implementation=attention, **off)
for length in (24, 256):
    batch = batch_of(settings.pick(smoke=48, cpu=768) // length or 1, length)
    seconds = race({key: partial(step, model, batch) for key, model in runners.items()})
    for (attention, rate), spent in seconds.items():
        held = memory.account(runners[attention, rate], batch=batch).activations
        row = {"tokens": length, "attention": attention, "dropout": rate}
        rows.append({**row, "ms per step": 1000 * spent, "activations (MB)": held / 1e6})
runners = None
pd.DataFrame(rows).round({"ms per step": 0, "activations (MB)": 0})

# %% [markdown]
# Read it in pairs. Long texts without dropout: the fused way keeps far less, and that is what it was made for. Short texts:
# the table is tiny, and there is little to fuse. And with dropout on, both keep the same: on a CPU the fused kernel
# knows no dropout, so "sdpa" quietly falls back to plain products. The two switches *interact*. Whoever tries one flag
# at a time sees half of it; the ladder will show both.
#
# ### torch.compile: a case where it helps, a case where it hurts
#
# <!-- asked: TQ-29, P3-W5-S2 -->
# `torch.compile` reads a function once, writes C++ for it, fusing small operations, and calls that from then on. The
# writing takes seconds to minutes. So there is a *break-even*: a number of steps from which on it has paid.


# %% tags=["exercise"] exercise="day17/break-even" answer="break_even" minutes=5 difficulty=1
# cold: seconds that compiling takes, once. plain, compiled: seconds per step without and with.
# Return the first number of steps at which compiling and running took less time in all than
# running plainly; None if that never happens.
def break_even(cold, plain, compiled): ...


# <solution>
def break_even(cold, plain, compiled):
    if compiled >= plain:
        return None
    return math.floor(cold / (plain - compiled)) + 1


# </solution>


# %% tags=["check"] exercise="day17/break-even"
def check(answer):
    try:
        equal = answer(10.0, 1.0, 1.0)
    except ZeroDivisionError:
        return (
            "If compiling gains nothing per step, you divide by zero. It never pays then: None."
        )
    slower = answer(10.0, 1.0, 2.0)
    if slower is not None:
        return f"Compiled steps of 2 s against plain ones of 1 s never pay, and you say {slower}. Return None then."
    if equal is not None:
        return f"With equal steps the seconds of compiling never come back, and you say {equal}. Return None."
    found = answer(10.0, 1.0, 0.25)
    if found is None:
        return (
            "10 s of compiling, 0.75 s gained in each step: that does pay, and you return None."
        )
    if found == 10:
        return "You divide by the plain step. What comes back per step is only the *difference* between plain and compiled."
    if found == 40 or found == 41:
        return "You divide by the compiled step. What comes back per step is the difference between plain and compiled."
    if isinstance(found, float) and not found.is_integer():
        return (
            f"{found:.2f} steps: a whole number is asked for, the first at which it has paid."
        )
    if found == 13:
        return "After 13 steps 9.75 s of the 10 have come back. Not yet."
    if found != 14:
        return f"10 s of compiling and 0.75 s gained per step: it has paid after 14 steps, and you say {found}."
    if answer(3.0, 1.0, 0.5) == 6:
        return "After 6 steps both took exactly the same. *Less* time is asked for: one more."
    return (
        None
        if answer(0.0, 1.0, 0.5) == 1
        else "If compiling costs nothing, the first step has paid already: 1."
    )


def inputs(draw):
    yield 0.0, 1.0, 0.5
    yield 4.0, 1.0, 0.5
    yield 5.0, 0.3, 0.3
    yield 5.0, 0.3, 0.4
    for _ in range(6):
        yield tuple(float(value) for value in draw.uniform([1, 0.1, 0.05], [60, 1, 0.9]))


hints = [
    "Each step gives back plain − compiled. How many of them make up for cold?",
    "cold / (plain − compiled), down to a whole number, plus one; None if nothing is given back.",
]
misconceptions = [
    (
        "def break_even(cold, plain, compiled):\n    return math.floor(cold / plain) if compiled < plain else None",
        "divide by the plain step",
    ),
    (
        "def break_even(cold, plain, compiled):\n    return math.floor(cold / (plain - compiled)) + 1",
        "you divide by zero",
    ),
    (
        "def break_even(cold, plain, compiled):\n    return math.floor(cold / (plain - compiled)) if compiled < plain else None",
        "Not yet",
    ),
    (
        "def break_even(cold, plain, compiled):\n    return math.ceil(cold / (plain - compiled)) if compiled < plain else None",
        "one more",
    ),
    (
        "def break_even(cold, plain, compiled):\n    return cold / (plain - compiled) if compiled < plain else None",
        "a whole number",
    ),
]

# %% [markdown]
# Two candidates: a chain of a dozen small operations over a large table, as people write them for their own losses
# and activations; and one layer of our encoder, which is nearly all matrix products. (Compiling needs a C++
# compiler. Without one, and in quick checks, only the first half of the machinery runs: reading.)

# %%
compiler = any(map(shutil.which, ("g++", "clang++", "cl")))
backend = settings.pick(smoke="eager", cpu="inductor" if compiler else "eager")
os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # a cold start shall be cold
os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(lab.workspace / "compiled")


def chain(x):
    gate = torch.sigmoid(1.702 * x) * x
    wave = torch.sin(gate) * torch.exp(-gate.square()) + 0.1 * gate.tanh()
    return ((wave - wave.mean()) / (wave.std() + 1e-5)).clamp(-3, 3)


# %%
layer = build("full", attn_implementation="eager").base_model.encoder.layer[0].eval()
table, states = torch.randn(1024, 1536), torch.randn(16, 24, 384)
cases = {"a chain of small steps": (chain, table), "a layer": (layer, states.to(device))}
compiling = {}
with torch.no_grad():
    for name, (function, argument) in cases.items():
        fast = torch.compile(function, backend=backend)
        start = time.perf_counter()
        fast(argument)
        cold = time.perf_counter() - start
        both = {"plain": partial(function, argument), "compiled": partial(fast, argument)}
        compiling[name] = {"cold": cold, **race(both, rounds=9)}

# %%
print(f"backend: {backend}")
for name, spent in compiling.items():
    steps_needed = break_even(spent["cold"], spent["plain"], spent["compiled"])
    print(
        f"{name:<23} cold start {spent['cold']:.1f} s, then "
        f"{spent['plain'] / spent['compiled']:.2f} times as fast: "
        + (f"pays after {steps_needed:,} steps" if steps_needed else "never pays")
    )
chain_times = compiling["a chain of small steps"]
tracking.record("compile_chain_gain", chain_times["plain"] / chain_times["compiled"])
torch.compiler.reset()

# %% [markdown]
# The chain is bound by reading and writing memory; fused into one loop, it reads once. In the layer the products take
# the time, and the library that makes them is as good as it gets. Multiply the cold start by six layers, by the
# backward pass, and by every new *length* that makes the compiler begin again: for a training of a few hundred short
# steps, leave it off. For a day's training with fixed shapes on a GPU, try it.
#
# ### Two more that are often named
#
# <!-- asked: P3-W5-S1 -->
# **DataLoader workers** prepare batches in other processes while the model computes. Is there anything to wait for?

# %%
train_rows = tokens["train"].select_columns(["input_ids", "attention_mask", "labels"])
train_rows = train_rows.select(range(settings.pick(smoke=64, cpu=4000)))


def load_all(workers):
    for _ in DataLoader(train_rows, batch_size=32, collate_fn=collator, num_workers=workers):
        pass


loading = race({workers: lambda w=workers: load_all(w) for workers in (0, 2)}, rounds=1)
batches = math.ceil(len(train_rows) / 32)
step_time = race({"step": lambda: step(lora, batch_of(32, 27))}, rounds=2)["step"]
for workers, spent in loading.items():
    share = spent / batches / step_time
    print(
        f"{workers} workers: {1000 * spent / batches:.1f} ms per batch, {share:.0%} of a step"
    )

# %% [markdown]
# Our rows are tokenised and in memory, so loading is a trifle, and starting two processes costs more than they bring. On
# two cores they would even compete with the training. Workers are for data that is *expensive to prepare*: pictures
# to decode, files to fetch, texts to tokenise on the fly.
#
# **An 8-bit optimiser** stores AdamW's two means in one byte each. bitsandbytes has one, and it runs on this CPU, too:


# %%
def optimiser_bytes(how, maker):
    """Bytes of state after one update, and seconds of the next ones."""
    trained = [part for part in build(how).parameters() if part.requires_grad]
    for part in trained:
        part.grad = torch.full_like(part, 1e-3)
    optimizer = maker(trained, lr=1e-6)
    spent = race({"update": optimizer.step})["update"]
    state = [value for entry in optimizer.state.values() for value in entry.values()]
    return sum(v.nbytes for v in state if isinstance(v, torch.Tensor)), spent


# %%
makers = {"AdamW": partial(torch.optim.AdamW, fused=True), "8-bit": bnb.optim.AdamW8bit}
rows = {}
for how in ("full", "LoRA"):
    for name, maker in makers.items():
        held, spent = optimiser_bytes(how, maker)
        rows[f"{how}, {name}"] = {"state (MB)": held / 1e6, "update (ms)": 1000 * spent}
states8 = pd.DataFrame(rows).T
tracking.record("eight_bit_share", states8.iloc[1, 0] / states8.iloc[0, 0])
states8.round(2)

# %% [markdown]
# A quarter of the state, for full fine-tuning: on a 7B model that is the difference between 56 and 14 GB. The right
# column shows the price on a CPU. With LoRA there is little to shrink.
#
# Only on a GPU, so not measured here: fp16 units, FlashAttention's own kernels, 4-bit products that are faster than
# they are small, and paged optimisers, which move their state to the CPU's memory when the card is full.
#
# <!-- asked: D17-T5 -->
# ## Measure time, memory and accuracy together
#
# Now the ladder. Each switch is written down as what it changes, for `from_pretrained` or for `TrainingArguments`.

# %%
no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
switches = {
    "bf16": {"bf16": True},
    "large batches": {"per_device_train_batch_size": 32, "learning_rate": 2e-3},
    "like lengths": {"train_sampling_strategy": "group_by_length"},
    "bf16 base": {"bf16": True, "dtype": torch.bfloat16},
    "no dropout": {**no_dropout, "classifier_dropout": 0.1},
    "eager attention": {"attn_implementation": "eager"},
}
if not quick:  # this processor would only emulate them
    switches = {name: what for name, what in switches.items() if "bf16" not in name}
of_the_model = {"dtype", "attn_implementation", "classifier_dropout", *no_dropout}
print(*switches, sep=", ")

# %% [markdown]
# (Four times the batch, so four times the learning rate: otherwise it would learn less per epoch, and we would compare two
# things at once.)
#
# As on Day 8, every run begins with a head that can already read (a logistic regression on the frozen encoder's
# vectors), so that short runs say something. And validation is cut in two: `search` chooses, `confirm` judges.

# %%
sentences = settings.pick(smoke=32, cpu=192)
train_set = tokens["train"].select(range(sentences))
rows = min(len(tokens["validation"]), 800)
judges = {
    part: tokens["validation"].select(range(first, rows, 2))
    for first, part in enumerate(("search", "confirm"))
}

reader = build("full", **training.load_options()).eval()
reader.classifier = nn.Identity()  # its "logits" are what the head would read
others = range(sentences, sentences + settings.pick(smoke=100, cpu=800))
others = tokens["train"].select(others)
vectors = training.predict(reader, others)
probe = LogisticRegression(C=0.1, max_iter=2000).fit(vectors, others["labels"][:])


# %%
def with_probe(model):
    """The probe becomes the head: the two logits differ by what it says."""
    head = model.base_model.model.classifier.modules_to_save["default"]
    weight, bias = torch.tensor(probe.coef_[0]), torch.tensor(probe.intercept_[0])
    with torch.no_grad():
        head.weight.copy_(torch.stack([-weight / 2, weight / 2]))
        head.bias.copy_(torch.stack([-bias / 2, bias / 2]))
    return model


# %%
def prepare(names, seed):
    """A model and its Trainer with these switches on; the rest is the library's default."""
    options = {key: value for name in names for key, value in switches[name].items()}
    loading = {key: options.pop(key) for key in list(options) if key in of_the_model}
    model = with_probe(build(seed=seed, **loading))
    folder = lab.workspace / "runs" / "day17"
    args = TrainingArguments(
        **{"learning_rate": 5e-4, "output_dir": str(folder), **options},
        num_train_epochs=1,
        warmup_steps=0.1,
        seed=seed,
        use_cpu=device == "cpu",
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    return Trainer(model=model, args=args, train_dataset=train_set, data_collator=collator)


# %%
def measure(names, seed, part="search"):
    """Train once: seconds, and which sentences of a part are right."""
    trainer, judge = prepare(names, seed), judges[part]
    with contextlib.redirect_stdout(io.StringIO()):  # a line for each would be many
        run = training.train(trainer, "day17")
    answers = run.folder / f"{part}.npy"  # a run found again has its answers beside it
    if not answers.exists():
        logits = training.predict(trainer.model, judge)
        np.save(answers, logits.argmax(axis=1) == np.array(judge["labels"]))
    return run.seconds, np.load(answers)


# %%
def megabytes(names):
    """Most bytes at one moment: weights, optimiser state, and the larger of the other two."""
    trainer = prepare(names, 0)
    batch = next(iter(trainer.get_train_dataloader()))
    trained = [part for part in trainer.model.parameters() if part.requires_grad]
    optimizer = torch.optim.AdamW(trained)
    with torch.autocast(device, torch.bfloat16, enabled=trainer.args.bf16):
        trainer.model(**batch).loss.backward()
        optimizer.step()
        found = memory.account(trainer.model, optimizer, batch)
    return (found.weights + found.optimizer + max(found.gradients, found.activations)) / 1e6


# %% [markdown]
# Not on the ladder: checkpointing, packing, compiling, workers and the 8-bit optimiser. You have just seen, one by one,
# why none of them would make *this* training faster.
#
# Every switch alone, then one after the other on top of each other. Before we look: **two points** of accuracy up or
# down are what I would pay for several times the speed. That is the margin, and it is fixed now.

# %%
names = list(switches)
ladder = {"defaults": ()}
ladder |= {f"only {name}": (name,) for name in names}
ladder |= {f"+ {name}": tuple(names[: at + 1]) for at, name in enumerate(names) if at}
if lab.profile == "smoke":
    ladder = {key: ladder[key] for key in ("defaults", f"+ {names[-1]}")}
margin, seeds = 0.02, settings.pick(smoke=[1], cpu=[1, 2, 3])

runs = {rung: [] for rung in ladder}
for seed in seeds:  # rungs take turns, for the same reason as in the races
    for rung, on in ladder.items():
        runs[rung].append(measure(on, seed))
print(f"{len(ladder) * len(seeds)} trainings of {sentences} sentences")

# %%
right = {rung: np.array([answers for _, answers in found]) for rung, found in runs.items()}
rows, against = {}, {}
base_seconds = np.median([spent for spent, _ in runs["defaults"]])
for rung, on in ladder.items():
    spent = float(np.median([one for one, _ in runs[rung]]))
    row = {"ms per sentence": 1000 * spent / sentences, "times as fast": base_seconds / spent}
    row |= {"MB": megabytes(on), "accuracy": right[rung].mean()}
    if rung != "defaults":
        against[rung] = metrics.compare(right[rung], right["defaults"], margin=margin)
        row["against the defaults (verdict)"] = str(against[rung])
    rows[rung] = row
table = pd.DataFrame(rows).T
table["against the defaults (verdict)"] = table["against the defaults (verdict)"].fillna("")
table.infer_objects().round({"ms per sentence": 1, "times as fast": 2, "MB": 0, "accuracy": 3})

# %% [markdown]
# Read the upper half first, each switch alone, and then the lower, where each stands on the shoulders of those
# before. If one is worth more in the lower half than in the upper, it needed company.
#
# Three seeds and a few hundred sentences make wide intervals, so some rows say *undecided*: the speed is certain, the
# harmlessness not yet. Choose the fastest recipe that is not shown to be worse; then ask *it* again, on sentences and
# with seeds that had no say in the choice.

# %%
allowed_rungs = [rung for rung, found in against.items() if found.verdict != "worse"]
recipe = min(
    allowed_rungs or list(against), key=lambda rung: table.loc[rung, "ms per sentence"]
)
fresh = settings.pick(smoke=seeds, cpu=[4, 5, 6])
judged = {
    rung: [measure(ladder[rung], seed, "confirm") for seed in fresh]
    for rung in ("defaults", recipe)
}
final = metrics.compare(
    *[np.array([answers for _, answers in judged[rung]]) for rung in (recipe, "defaults")],
    margin=margin,
)
times = [np.median([spent for spent, _ in judged[rung]]) for rung in ("defaults", recipe)]
speedup = float(times[0] / times[1])
print(f"recipe: {', '.join(ladder[recipe])}")
print(f"{speedup:.1f} times as fast as the defaults; accuracy {final}")
course = f"+ {names[-1]}"
print(f"the course's own settings: {table.loc[course, 'times as fast']:.1f} times as fast")

# %%
speed_guess.compare(speedup)
tracking.record("speedup", speedup)
tracking.record("recipe_gain", final.estimate)
tracking.record("memory_ratio", table.loc[recipe, "MB"] / table.loc["defaults", "MB"])

# %%
labels = list(against)
figure = plots.interval_bars(
    [f"{rung}: {against[rung].verdict}" for rung in labels],
    [against[rung].points for rung in labels],
    reference=0,
    reference_label="defaults",
    title=f"Accuracy against the defaults; the recipe is {speedup:.1f} times as fast",
    xlabel="difference (percentage points)",
)
plots.show(
    figure,
    alt="Accuracy differences with intervals for each rung of the ladder against the defaults.",
)

# %% [markdown]
# ### The limit
#
# How much faster could it still get? A step cannot be faster than its matrix products. So take the shapes of all
# products in one step of the recipe, from the profiler, and time *them alone*.

# %%
trainer = prepare(ladder[recipe], 0)
by_size = sorted(trainer.get_train_dataloader(), key=lambda one: one["input_ids"].shape[1])
batch = by_size[len(by_size) // 2]  # of middling length
half = trainer.args.bf16
trace = profiled(trainer.model, dict(batch), half)
shapes = {}
for event in trace.key_averages(group_by_input_shape=True):
    if event.key in ("aten::mm", "aten::addmm", "aten::bmm"):
        two = tuple(tuple(shape) for shape in event.input_shapes if len(shape) > 1)[-2:]
        shapes[two] = shapes.get(two, 0) + event.count
kind = torch.bfloat16 if half else torch.float32
alone = {two: [torch.randn(shape).to(device, kind) for shape in two] for two in shapes}


def only_products():
    for two, count in shapes.items():
        for _ in range(count):
            alone[two][0] @ alone[two][1]


# %%
limit = race(
    {"step": lambda: step(trainer.model, dict(batch), half), "products": only_products}
)
work = sum(2 * count * math.prod(left) * right[-1] for (left, right), count in shapes.items())
over_limit = limit["step"] / limit["products"]
print(f"{sum(shapes.values())} products, {work / 1e9:.1f} billion operations")
print(
    f"a step: {1000 * limit['step']:.0f} ms; its products alone: {1000 * limit['products']:.0f}"
)
print(f"{work / limit['products'] / 1e9:.0f} GFLOP/s in the products")
tracking.record("step_over_products", over_limit)

# %%
waits = {
    "defaults": table.loc["defaults", "ms per sentence"],
    "the recipe": table.loc[recipe, "ms per sentence"],
    "a step of it": 1000 * limit["step"] / len(batch["labels"]),
    "its products alone": 1000 * limit["products"] / len(batch["labels"]),
}
figure = plots.bars(
    list(waits),
    list(waits.values()),
    title=f"A step takes {over_limit:.1f} times its matrix products",
    xlabel="milliseconds per sentence",
)
plots.show(
    figure, alt=f"Milliseconds per sentence: { ({k: round(v, 2) for k, v in waits.items()}) }."
)

# %% [markdown]
# What lies between the second bar and the third is the Trainer: loading, logging, clipping, updating. Between the third
# and the fourth is everything that is no product. Whoever wants more speed than that needs another machine, a
# smaller model, or fewer sentences.
#
# ## What you saw

# %%
alone_gain = {
    name: table.loc[f"only {name}", "times as fast"]
    for name in names
    if f"only {name}" in table.index
}
champion = (
    max(alone_gain, key=alone_gain.get) if alone_gain else "not measured in a quick check"
)
print(f"Your favourite was {my_favourite!r}; alone, {champion!r} did most.")
print(f"Recipe: {', '.join(ladder[recipe])}: {speedup:.1f} times as fast, accuracy {final}.")
print(f"Checkpointing: {dearer['full']:.2f} times (full), {dearer['LoRA']:.2f} times (LoRA).")
print(f"A step takes {over_limit:.1f} times its own matrix products.")

# %% [markdown]
# `training.arguments` and `training.load_options` switch on all six (bf16 only where it is quick). Now you know what each
# is worth *here*, and how to find out elsewhere: profile, change one thing, race it, and never without accuracy beside it. On a GPU the
# order will be another one; the method is the same.
#
# A sentence for your journal: which of the changes would you make in your own project, and which number would
# convince you?

# %%
my_words = ...  # for example: "Bucketing first: my texts have very different lengths."
entry = f"Recipe {speedup:.1f} times as fast, accuracy {final}."
progress.write_journal("day17", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %% tags=["quiz"]
quiz = [
    {
        "question": "With bf16=True (autocast), what takes half the memory it took before?",
        "choices": [
            (
                "Weights, gradients and optimiser state.",
                "All three stay in 32 bits: autocast changes what is computed, not what is stored.",
                False,
            ),
            (
                "Some of the activations, and nothing else.",
                "Right. And the 16-bit copies of the weights are added.",
                True,
            ),
            (
                "The weights only.",
                "They are copied for the products, and the originals stay.",
                False,
            ),
        ],
        "proof": (
            "import torch\n"
            "layer = torch.nn.Linear(4, 4)\n"
            "with torch.autocast('cpu', torch.bfloat16):\n"
            "    out = layer(torch.randn(2, 4))\n"
            "assert out.dtype == torch.bfloat16 and layer.weight.dtype == torch.float32\n"
            "out.sum().backward()\n"
            "assert layer.weight.grad.dtype == torch.float32\n"
        ),
    },
    {
        "question": "A table says: 'packing makes us 3.8 times as fast'. The row above it, which the sentence names as its baseline, already had packing. What do you do?",
        "choices": [
            (
                "Believe it: 3.8 is 3.8.",
                "Times *what*? A factor belongs to the row it is computed against.",
                False,
            ),
            (
                "Compute it again, against the row it names.",
                "Right. It happened in a well-known library's README: computed against another row than the one it named, 284 % faster instead of about 14.",
                True,
            ),
            (
                "Take the mean of all rows as the baseline.",
                "Then nobody knows what changed between two rows.",
                False,
            ),
        ],
    },
    {
        "question": "Checkpointing makes full fine-tuning about a third slower. With LoRA it is …",
        "choices": [
            (
                "… cheaper: there are fewer weights to compute again.",
                "The frozen layers are computed again like the others.",
                False,
            ),
            (
                "… dearer, about a half: LoRA's backward pass is shorter, and the extra forward pass is not.",
                "Right: three units instead of two.",
                True,
            ),
            (
                "… the same third.",
                "A third is one extra unit on three. LoRA makes no gradients for the frozen weights, so it has two.",
                False,
            ),
        ],
        "proof": "assert (1 + 1 + 1 + 1) / 3 < 1.34 and (1 + 1 + 1) / 2 == 1.5\n",
    },
    {
        "question": "You pack texts into one row without a mask. How do you notice?",
        "choices": [
            (
                "The Trainer stops with an error of shapes.",
                "The shapes are fine. That is the trouble.",
                False,
            ),
            (
                "The logits of a text differ from those of the text alone.",
                "Right: compare them once, and you know.",
                True,
            ),
            (
                "The loss becomes NaN.",
                "It is an ordinary loss, of a mixture that nobody wanted.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Add a rung of your own: `switches["smaller rank"]` will not do (that is the model), but `"optim"`, `"max_grad_norm"` or
#   `"dataloader_num_workers"` will. Say the margin first.
# - Run the lesson with `LAB_BF16=0`: what would a learner with an older laptop have chosen?
# - `trace.export_chrome_trace("step.json")` writes the whole profile; a browser with ui.perfetto.dev shows it as a picture.
