# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import contextlib
import copy
import io
import json
import re
import time

import mlflow
import numpy as np
import pandas as pd
import torch
from torch import nn

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, widgets

lab = settings.start("technique_adapters_intermediate")

# %% [markdown]
# ## Why this matters
#
# Two years before LoRA there was another way to train a sliver of a model. Houlsby and colleagues (2019) left BERT as
# it was and put small new layers *into* it: down to a few numbers, a bend, up again, add. Only these learn. They called
# them **adapters**.
#
# LoRA took the field, and the usual reason given is a practical one. After training, LoRA can be folded into the
# weights and is gone. An adapter cannot; it stays in the line, and every request has to pass it for as long as the
# model lives. So there are two things to find out. Does an adapter buy accuracy that LoRA does not? And what does
# staying cost?
#
# PEFT has no such layers, and no maintained package for them fits the libraries of this course. So you write them
# yourself. It takes ten lines, and nothing is hidden.
#
# The arithmetic that adapters add is easy to count, and you will: well under one percent. Before you do, commit
# yourself about the clock.

# %%
delay_guess = widgets.predict(
    "adapters-delay",
    "One sentence at a time: how much longer does the encoder take with adapters in it?",
    0,
    100,
    "%",
)

# %% [markdown]
# ## Down, bend, up, add
#
# A transformer passes a list of vectors from layer to layer, one vector of width $d$ per token. An adapter takes
# such a vector $x$ and returns another of the same width:
#
# $$\text{adapter}(x) = x + W_\text{up}\,\text{gelu}(W_\text{down}\,x + b_\text{down}) + b_\text{up}$$
#
# $W_\text{down}$ squeezes $d$ numbers into $m$, the **bottleneck**. The GELU bends: it lets large positive numbers
# through and damps negative ones. $W_\text{up}$ goes back to $d$. What comes out is a *remark*, and it is added to
# what came in: the **residual**.
#
# One condition more. On the first day the remark must be empty, for every input, or else the model's pretrained
# knowledge has to pass through random layers before anything is learnt. But beware: a layer that says
# nothing must still be able to learn to speak.


# %% tags=["exercise"] exercise="technique_adapters_intermediate/bottleneck" answer="Bottleneck" minutes=10 difficulty=2
# d: width of the model. m: width of the bottleneck. x: shape (..., d), and so is the result.
# self.down (d → m) and self.up (m → d) are nn.Linear layers with biases. A GELU between them,
# and the residual. A fresh Bottleneck returns its input to the last bit, and can still learn.
class Bottleneck(nn.Module):
    def __init__(self, d, m): ...

    def forward(self, x): ...


# <solution>
class Bottleneck(nn.Module):
    def __init__(self, d, m):
        super().__init__()
        self.down, self.up = nn.Linear(d, m), nn.Linear(m, d)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x):
        return x + self.up(nn.functional.gelu(self.down(x)))


# </solution>


# %% tags=["check"] exercise="technique_adapters_intermediate/bottleneck"
def check(answer):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 6, generator=draw)
    with torch.random.fork_rng(devices=[]):
        layer = answer(6, 3).eval()
    shapes = {name: tuple(part.shape) for name, part in layer.named_parameters()}
    wanted = {"down.weight": (3, 6), "down.bias": (3,), "up.weight": (6, 3), "up.bias": (6,)}
    if set(shapes) != set(wanted):
        return f"Its parameters are {sorted(shapes)}. Wanted are two nn.Linear layers with biases, self.down and self.up: later cells ask for them by these names."
    if shapes != wanted:
        return f"With d = 6 and m = 3, down.weight has the shape {shapes['down.weight']}; nn.Linear(d, m) would give (3, 6). Is the wide side where the narrow one should be?"
    start = layer(x)
    if start.shape != x.shape:
        return f"A tensor of shape {tuple(x.shape)} came back with shape {tuple(start.shape)}. The next layer expects the width it has always got."
    if not torch.equal(start, x) and not start.abs().max() > 0:
        return "A fresh one turns every input into zeros: the page is thrown away and only the (empty) remark goes on. What carries the input past the bottleneck?"
    if not torch.equal(start, x):
        return f"A fresh one changes its input by up to {(start - x).abs().max().item():.2g}. Several of these in a row and little of the pretrained model gets through. Which of its layers should be silent on the first day?"
    start.square().sum().backward()
    if not any(
        part.weight.grad is not None and part.weight.grad.abs().max() > 0
        for part in (layer.down, layer.up)
    ):
        return "It changes nothing, and never will: with both matrices at zero, both get a gradient of exactly zero. One of the two has to start random."
    with torch.no_grad():
        for part in layer.parameters():
            part.copy_(torch.randn(part.shape, generator=draw))
        result, inside = layer(x), layer.down(x)

        def same(other):
            return torch.allclose(result, other, atol=1e-3)

        if same(x + layer.up(nn.functional.gelu(inside))):
            return None
        if same(x + layer.up(inside)):
            return "Nothing bends. Down and up in a row are one matrix of low rank, which is LoRA in another place. Put a GELU between them."
        if same(x + nn.functional.gelu(layer.up(inside))) or same(
            nn.functional.gelu(x + layer.up(inside))
        ):
            return "The bend is in the wrong place: it belongs in the narrow part, between down and up. At the end, it would damp whatever the remark says with a minus sign."
        if same(x + layer.up(torch.relu(inside))):
            return "That is a ReLU. A fine adapter, but the numbers of this lesson are those of a GELU: nn.functional.gelu."
    return "With random weights, its output differs from x + up(gelu(down(x))). Compare it with the formula, from the inside out."


def inputs(draw):
    yield 6, 3, (2, 5)
    yield 4, 4, (3,)
    yield 5, 9, ()
    yield 2, 1, (1, 1)
    yield int(draw.integers(3, 40)), int(draw.integers(1, 9)), (2, 1, 3)


def trial(answer, d, m, shape):
    """Silent when fresh, able to learn, its parts, and output and gradients with random weights."""
    draw = torch.Generator().manual_seed(d + m)
    layer, x = answer(d, m), torch.randn(*shape, d, generator=draw).requires_grad_()
    silent = torch.equal(layer(x), x)
    layer(x).square().sum().backward()
    parts = dict(sorted(layer.named_parameters()))
    learns = any(part.grad is not None and part.grad.any() for part in parts.values())
    for part in parts.values():
        part.data, part.grad = torch.randn(part.shape, generator=draw), None
    x.grad = None
    result = layer(x)
    result.square().sum().backward()
    gradients = {f"gradient of {name}": part.grad for name, part in parts.items()}
    gradients["gradient of x"] = x.grad
    return {"silent": silent, "can learn": bool(learns), "output": result.detach(), **gradients}


def agrees(expected, found):
    def alike(ours, theirs):
        if isinstance(ours, bool) or theirs is None:
            return ours is theirs
        return ours.shape == theirs.shape and torch.allclose(ours, theirs, 1e-3, 1e-4)

    return expected.keys() == found.keys() and all(
        alike(ours, found[name]) for name, ours in expected.items()
    )


hints = [
    "In `__init__`: `super().__init__()`, then two nn.Linear layers, then silence one of them with nn.init.zeros_.",
    "An nn.Linear has a weight and a bias. For the last layer of the remark to say nothing, both must be zero.",
    "`forward` is one line: `x + self.up(nn.functional.gelu(self.down(x)))`.",
]
example = "a bottleneck of width 1 on vectors of width 2. Down: nn.Linear(2, 1), up: nn.Linear(1, 2) with weight and bias zero. For x = [3, 4] the remark is [0, 0], and x + remark is [3, 4]."
misconceptions = [
    (
        "class Bottleneck(nn.Module):\n    def __init__(self, d, m):\n        super().__init__()\n        self.down, self.up = nn.Linear(d, m), nn.Linear(m, d)\n    def forward(self, x):\n        return x + self.up(nn.functional.gelu(self.down(x)))",
        "silent on the first day",
    ),
    (
        "class Bottleneck(nn.Module):\n    def __init__(self, d, m):\n        super().__init__()\n        self.down, self.up = nn.Linear(d, m), nn.Linear(m, d)\n        for part in self.parameters():\n            nn.init.zeros_(part)\n    def forward(self, x):\n        return x + self.up(nn.functional.gelu(self.down(x)))",
        "never will",
    ),
    (
        "class Bottleneck(nn.Module):\n    def __init__(self, d, m):\n        super().__init__()\n        self.down, self.up = nn.Linear(d, m), nn.Linear(m, d)\n        nn.init.zeros_(self.up.weight)\n        nn.init.zeros_(self.up.bias)\n    def forward(self, x):\n        return self.up(nn.functional.gelu(self.down(x)))",
        "carries the input past",
    ),
    (
        "class Bottleneck(nn.Module):\n    def __init__(self, d, m):\n        super().__init__()\n        self.down, self.up = nn.Linear(d, m), nn.Linear(m, d)\n        nn.init.zeros_(self.up.weight)\n        nn.init.zeros_(self.up.bias)\n    def forward(self, x):\n        return x + self.up(self.down(x))",
        "Nothing bends",
    ),
    (
        "class Bottleneck(nn.Module):\n    def __init__(self, d, m):\n        super().__init__()\n        self.down, self.up = nn.Linear(d, m), nn.Linear(m, d)\n        nn.init.zeros_(self.up.weight)\n        nn.init.zeros_(self.up.bias)\n    def forward(self, x):\n        return x + nn.functional.gelu(self.up(self.down(x)))",
        "wrong place",
    ),
    (
        "class Bottleneck(nn.Module):\n    def __init__(self, d, m):\n        super().__init__()\n        self.down, self.up = nn.Linear(m, d), nn.Linear(d, m)\n        nn.init.zeros_(self.up.weight)\n        nn.init.zeros_(self.up.bias)\n    def forward(self, x):\n        return x + self.up(nn.functional.gelu(self.down(x)))",
        "the wide side",
    ),
]

# %%
layer = Bottleneck(384, 16)
x = torch.randn(4, 384)
print("changed by a fresh adapter:", (layer(x) - x).abs().max().item())

layer(x).square().sum().backward()
for name, part in layer.named_parameters():
    print(f"{name:<12} {tuple(part.shape)!s:<10}  gradient {part.grad.norm():.3f}")

# %% [markdown]
# You met this pattern on Day 4. Whatever reaches `down` has to come back through `up`, and `up` is zero: on the first
# step only `up` learns, from the second step on both do. (Houlsby's own start is a little different: tiny random numbers
# everywhere, so that the adapter is *nearly* silent. Exact silence costs nothing and can be tested.)

# %% [markdown]
# ## Put it into a real model
#
# Where does it go? Each layer of the encoder does two things: attention, then a feed-forward part. Both end in a matrix
# that brings the result back to width $d$. Two placements made history:
#
# - **Houlsby** (2019): an adapter behind each of the two.
# - **Pfeiffer** (2021): after trying several variants, only behind the feed-forward part. Half the layers, about as good in
#   their experiments.
#
# (The papers differ in small print, too: which norms train along, and on which side of them the adapter sits. We take
# the simple form, directly behind the matrix, and train no norms. How the adapter sits beside LoRA, with a drawing:
# [guide to adapters](../../curriculum/guides/adapters.md).)

# %%
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, set_seed

# How the two matrices are called, per model family.
ENDS = {
    "bert": {"attention": r"attention\.output\.dense$", "feed-forward": r"\d\.output\.dense$"},
    "distilbert": {"attention": r"attention\.out_lin$", "feed-forward": r"ffn\.lin2$"},
}
PARTS = {"Houlsby": ("attention", "feed-forward"), "Pfeiffer": ("feed-forward",)}


# %%
def places(model, placement):
    """Names of the layers that get an adapter behind them."""
    ends = [ENDS[model.config.model_type][part] for part in PARTS[placement]]
    return [
        name for name, _ in model.named_modules() if any(re.search(end, name) for end in ends)
    ]


def fresh_base(seed=lab.seed, **options):
    set_seed(seed)  # it decides the random head
    return AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **options
    )


# %%
base = fresh_base().eval()
for placement in PARTS:
    found = places(base, placement)
    print(
        f"{placement}: {len(found)} places, such as\n   "
        + "\n   ".join(found[: len(PARTS[placement])])
    )

# %% [markdown]
# Before anything is built: what will it weigh? Two matrices and two biases, times the number of places.

# %%
from labhelpers import planner

shape = AutoConfig.from_pretrained(models.source("encoder"))
d, layers = shape.hidden_size, shape.num_hidden_layers


def adapter_numbers(d, m, layers, per_layer):
    """Trained numbers of adapters of width m: per_layer in each layer, encoder of width d."""
    return layers * per_layer * (d * m + m + m * d + d)


# %% [markdown]
# People say "adapters train a few percent of the model" and "adapters are larger than LoRA". Both are statements about
# somebody's $m$. Move it, and see which Pfeiffer width weighs what LoRA of a given rank weighs.

# %%
shapes = {"our encoder": shape, "bert-base": models.config("bert-base")}
widths = [4, 8, 16, 32, 64, 128, 256]


def sizes(one, parts):
    return [
        adapter_numbers(one.hidden_size, width, one.num_hidden_layers, len(parts))
        for width in widths
    ]


# %%
def weigh(model="our encoder", m=16, rank=8):
    one = shapes[model]
    lora = planner.lora_parameters(one, r=rank).adapter
    ours = adapter_numbers(one.hidden_size, m, one.num_hidden_layers, 1)
    title = (
        f"{model}, Pfeiffer with m = {m}: {ours:,} numbers, "
        f"{ours / lora:.2f} × LoRA with r = {rank}"
    )
    series = {name: sizes(one, parts) for name, parts in PARTS.items()}
    series[f"LoRA, r = {rank}"] = [lora] * len(widths)
    captions = {"xlabel": "bottleneck width m (log)", "ylabel": "trained numbers (log)"}
    figure = plots.lines(widths, series, log_x=True, log_y=True, title=title, **captions)
    figure.axes[0].set_xticks(widths, widths)
    figure.axes[0].minorticks_off()
    figure.axes[0].axvline(m, color="#777777", lw=1)
    alt = f"Numbers that train, by bottleneck width, for two placements. {title}."
    plots.show(figure, alt=alt)


widgets.explore(weigh, model=list(shapes), m=(4, 256, 4), rank=[4, 8, 16, 64])

# %% [markdown]
# ### Find the bug
#
# Now into the model. One small module keeps the old layer and puts the new one behind it, and a colleague has already
# written the rest. His version runs. The loss even goes down a little. Read his table.


# %%
class Adapted(nn.Module):
    """A layer of the model, and a bottleneck behind it."""

    def __init__(self, layer, adapter):
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x):
        return self.adapter(self.layer(x))


def replace(model, name, new):
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, new)


# %%
def colleagues_version(model, m, placement):
    bottleneck = Bottleneck(model.config.hidden_size, m)
    for name in places(model, placement):
        replace(model, name, Adapted(model.get_submodule(name), bottleneck))
    model.base_model.requires_grad_(False)  # the encoder stays as it is; the head learns
    return model


suspect = colleagues_version(fresh_base(), 16, "Pfeiffer")
models.describe(suspect)
print(f"by the formula, {adapter_numbers(d, 16, layers, 1):,} numbers should train in adapters")

# %% [markdown]
# Two things are wrong, and each shows in its own number of that table. Nothing crashes: the head alone can learn, so
# the run looks like a weak experiment instead of a broken one. Counting what trains is the cheapest test there is. Write
# it right.


# %% tags=["exercise"] exercise="technique_adapters_intermediate/insert" answer="with_adapters" minutes=12 difficulty=2
# model: as from fresh_base. Put `Adapted(old layer, Bottleneck)` at each of places(model,
# placement), with `replace`. Afterwards the adapters and the head train, and nothing else.
# Return the model.
def with_adapters(model, m, placement): ...


# <solution>
def with_adapters(model, m, placement):
    model.base_model.requires_grad_(False)
    for name in places(model, placement):
        bottleneck = Bottleneck(model.config.hidden_size, m)
        replace(model, name, Adapted(model.get_submodule(name), bottleneck))
    return model


# </solution>


# %% tags=["check"] exercise="technique_adapters_intermediate/insert"
def check(answer):
    from transformers import BertConfig

    tiny = BertConfig(
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        vocab_size=60,
    )
    with torch.random.fork_rng(devices=[]):
        plain = AutoModelForSequenceClassification.from_config(tiny).eval()
        built = {name: answer(copy.deepcopy(plain), 3, name) for name in PARTS}
    for name, model in built.items():
        if not isinstance(model, nn.Module):
            return (
                f"Your function returned {type(model).__name__}. Return the model at the end."
            )
        found = {id(part) for part in model.modules() if isinstance(part, Bottleneck)}
        wanted = 2 * len(PARTS[name])
        if not found:
            return "There is no Bottleneck in the model that came back. Did `replace` get the new layer?"
        if len(found) == 1 and wanted > 1:
            return "All places share one and the same bottleneck: it would have to say the same behind every layer. Make a new one for each place."
        if len(found) != wanted:
            return f"With the placement {name}, two layers should hold {wanted} bottlenecks; yours hold {len(found)}. Does your loop ask `places` for that placement?"
        learns = {part for part, values in model.named_parameters() if values.requires_grad}
        head = {part for part in learns if part.startswith("classifier.")}
        inside = {part for part in learns if ".adapter." in part}
        if not inside:
            return "The bottlenecks are in, but frozen with everything else: the encoder was frozen *after* they had become a part of it."
        if not head:
            return "The head is frozen. It is filled with random numbers, so it has to learn: freeze `model.base_model`, not the whole model."
        if learns - head - inside:
            return f"{len(learns - head - inside)} tensors of the encoder would still train, such as {sorted(learns - head - inside)[0]}. Then this is full fine-tuning with extra layers."
        if len(inside) != 4 * wanted:
            return f"Only {len(inside)} of the {4 * wanted} adapter tensors train."
        widths = {
            part.down.out_features for part in model.modules() if isinstance(part, Bottleneck)
        }
        if widths != {3}:
            return f"For m = 3 your bottlenecks have the width {sorted(widths)}. The width is the argument m."
        words = torch.tensor([[1, 5, 9, 2]])
        with torch.inference_mode():
            if not torch.equal(model.eval()(words).logits, plain(words).logits):
                return "The fresh adapters change the model's answer. Does `Adapted` still get the old layer, with its weights?"
    return None


def inputs(draw):
    for depth in (1, 3):
        for placement in PARTS:
            yield shape.model_type, depth, int(draw.integers(1, 7)), placement


def trial(answer, family, depth, m, placement):
    """Which tensors the model holds, which of them learn, and what it says with random adapters."""
    size = {"num_hidden_layers": depth, "num_attention_heads": 2, "vocab_size": 60}
    config = AutoConfig.for_model(family, hidden_size=12, **size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = answer(
            AutoModelForSequenceClassification.from_config(config).eval(), m, placement
        )
    draw = torch.Generator().manual_seed(1)
    parts = dict(sorted(model.named_parameters(remove_duplicate=False)))
    for name, part in parts.items():
        if ".adapter." in name:
            part.data = torch.randn(part.shape, generator=draw)
    end = ".adapter.down.weight"
    behind = [name.removesuffix(end) for name in parts if name.endswith(end)]
    sizes = {name: tuple(part.shape) for name, part in parts.items()}
    learns = {name: part.requires_grad for name, part in parts.items()}
    with torch.inference_mode():
        logits = model.eval()(torch.tensor([[1, 5, 9, 2]])).logits
    return {"behind": behind, "tensors": sizes, "learns": learns, "logits": logits}


def agrees(expected, found):
    return all(expected[part] == found[part] for part in ("behind", "tensors", "learns")) and (
        torch.allclose(expected["logits"], found["logits"], 1e-3, 1e-4)
    )


hints = [
    "The colleague's lines are the right ones. Look at their order, and at which of them stand outside the loop.",
    "What is frozen before the adapters are made cannot freeze the adapters.",
    "One Bottleneck per place: make it inside the loop.",
]
misconceptions = [
    (
        "def with_adapters(model, m, placement):\n    for name in places(model, placement):\n        replace(model, name, Adapted(model.get_submodule(name), Bottleneck(model.config.hidden_size, m)))\n    model.base_model.requires_grad_(False)\n    return model",
        "frozen *after*",
    ),
    (
        "def with_adapters(model, m, placement):\n    model.base_model.requires_grad_(False)\n    bottleneck = Bottleneck(model.config.hidden_size, m)\n    for name in places(model, placement):\n        replace(model, name, Adapted(model.get_submodule(name), bottleneck))\n    return model",
        "one and the same",
    ),
    (
        "def with_adapters(model, m, placement):\n    model.requires_grad_(False)\n    for name in places(model, placement):\n        replace(model, name, Adapted(model.get_submodule(name), Bottleneck(model.config.hidden_size, m)))\n    return model",
        "The head is frozen",
    ),
    (
        "def with_adapters(model, m, placement):\n    for name in places(model, placement):\n        replace(model, name, Adapted(model.get_submodule(name), Bottleneck(model.config.hidden_size, m)))\n    return model",
        "would still train",
    ),
    (
        "def with_adapters(model, m, placement):\n    model.base_model.requires_grad_(False)\n    for name in places(model, 'Pfeiffer'):\n        replace(model, name, Adapted(model.get_submodule(name), Bottleneck(model.config.hidden_size, m)))\n    return model",
        "ask `places`",
    ),
]

# %%
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
sentences = [
    "A small miracle of a film.",
    "Two hours I will never get back.",
    "It has its moments.",
]
batch = tokenizer(sentences, padding=True, return_tensors="pt")

# %%
for placement, m in {"Houlsby": 8, "Pfeiffer": 16}.items():
    model = with_adapters(fresh_base(), m, placement).eval()
    with torch.inference_mode():
        change = (model(**batch).logits - base(**batch).logits).abs().max().item()
    counts = models.count_parameters(model)
    assert counts.trainable_groups["adapter"] == adapter_numbers(
        d, m, layers, len(PARTS[placement])
    )
    print(
        f"{placement} with m = {m:>2}: {counts.trainable_groups['adapter']:,} in adapters, "
        f"{counts.trainable:,} with the head, "
        f"{counts.share:.2%} of the encoder; logits changed by {change}"
    )

# %% [markdown]
# The formula, confirmed by counting, and not a logit has moved. Twice the places at half the width weighs almost the
# same: what decides is the sum of the widths.

# %% [markdown]
# ## Train it beside LoRA
#
# A race needs the same weight class. LoRA of rank 8 on query and value has $4 \cdot 8\,d$ numbers per layer, a
# Pfeiffer adapter of width 16 has $2 \cdot 16\,d$ and a few biases: within a few percent of each other. Both start
# from the same frozen encoder with the same random head, see the same sentences in the same order, the same number
# of times.
#
# What differs is the **learning rate** each of them likes. To use one rate for both, taken from somebody's LoRA
# recipe, would be to choose the winner beforehand. So each method gets the same four trials, and its own best rate.

# %%
from peft import LoraConfig, get_peft_model
from transformers import DataCollatorWithPadding, Trainer

from labhelpers import training

reviews = data.prepared("sentiment")
reviews.pop("test")  # opened once, on Day 4; nothing below can touch it
tokens = data.tokenize(reviews, tokenizer, max_length=128)
collator = DataCollatorWithPadding(tokenizer)

size, judges = settings.pick(smoke=32, cpu=1280), settings.pick(smoke=60, cpu=1200)
learn = tokens["train"].select(range(size))
judge = tokens["train"].select(range(size, size + judges))
print(
    f"{size:,} sentences to learn from, "
    f"{len(tokens['validation']):,} to choose a rate on, {judges:,} to judge"
)

# %% [markdown]
# Three groups of sentences, on purpose. Whatever is used for choosing flatters what it has chosen, so validation
# chooses the rates and does not judge. (The same holds for seeds: the one that chooses the rates will not judge.)
# For judging there is something better than opening the test split: we train on a part of the training sentences
# only, and the rest have been seen by nobody.
#
# A bar before the race: Day 3's word counts, learnt from the same sentences. A race below it would not matter.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

texts, truth = reviews["train"]["text"][:], np.array(reviews["train"]["label"][:])
counter = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
counter.fit(texts[:size], truth[:size])
counted = counter.predict(texts[size : size + judges]) == truth[size : size + judges]
print(f"word counts: {counted.mean():.1%} of the judges' sentences right")


# %%
def adapters_on(base):
    return with_adapters(base, 16, "Pfeiffer")


def lora_on(base):
    recipe = LoraConfig(
        r=8,
        lora_alpha=16,
        lora_dropout=0.0,  # our adapters have no dropout either
        target_modules=models.lora_targets(base),
        task_type="SEQ_CLS",
    )
    return get_peft_model(base, recipe)


methods = {"adapters": adapters_on, "LoRA": lora_on}
for name, put_on in methods.items():
    groups = models.count_parameters(put_on(fresh_base())).trainable_groups
    print(f"{name:<9}", {group: count for group, count in groups.items() if count})


# %%
def train_one(method, learning_rate, seed):
    model = methods[method](fresh_base(seed, **training.load_options()))
    training.keep_adapters_precise(model)
    name = f"{method.lower()}-rate{learning_rate:g}-seed{seed}"
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
    # One line per run is enough; the loop prints it.
    with contextlib.redirect_stdout(io.StringIO()):
        run = training.train(trainer, name)
    return model, run


# %%
def answers(model, run, rows, name):
    """Logits of every sentence, kept beside the run: a second time costs nothing."""
    path = run.folder / f"{name}_logits.npy"
    if not path.exists():
        np.save(path, training.predict(model, rows))
    return np.load(path)


# %%
rates = settings.pick(smoke=[3e-3, 1e-2], cpu=[1e-3, 3e-3, 1e-2, 3e-2])
chooser, seeds = 1, settings.pick(smoke=[2, 3], cpu=[2, 3, 4])
validation_truth, judge_truth = (
    np.array(tokens["validation"]["labels"]),
    np.array(judge["labels"]),
)

trials, runs = {}, {}
for method in methods:
    for rate in rates:
        model, run = train_one(method, rate, chooser)
        logits = answers(model, run, tokens["validation"], "validation")
        trials[method, rate] = 100 * (logits.argmax(axis=1) == validation_truth).mean()
        print(
            f"{method:<9} rate {rate:g}: "
            f"{trials[method, rate]:.1f} % of validation right ({run.seconds:.0f} s)"
        )

# %%
best = {method: max(rates, key=lambda rate: trials[method, rate]) for method in methods}

# %%
title = f"Best of {len(rates)}, one seed: adapters {best['adapters']:g}, LoRA {best['LoRA']:g}"
series = {method: [trials[method, rate] for rate in rates] for method in methods}
captions = {"xlabel": "learning rate (log scale)", "ylabel": "validation accuracy (%)"}
figure = plots.lines(rates, series, log_x=True, title=title, **captions)
figure.axes[0].set_xticks(rates, [f"{rate:g}" for rate in rates])
figure.axes[0].minorticks_off()
plots.show(figure, alt=f"Validation accuracy by learning rate for both methods. {title}.")
for method in methods:
    if best[method] in (rates[0], rates[-1]):
        print(
            f"{method}: the best rate lies at the edge of the grid; "
            "a better one may lie outside."
        )

# %% [markdown]
# Too low a rate, and the run ends before the random head has woken up; too high, and it never settles. The rates are a
# factor of three apart, which is coarse: four trials find the right region, not the peak. It is equally coarse for both.
# Now the chosen rate with more seeds, and the judges' sentences for the first time.

# %%
right = {}
for method in methods:
    for seed in seeds:
        runs[method, best[method], seed] = model, run = train_one(method, best[method], seed)
        right[method, seed] = answers(model, run, judge, "judge").argmax(axis=1) == judge_truth
    scores = [100 * right[method, seed].mean() for seed in seeds]
    seconds = np.median([runs[method, best[method], seed][1].seconds for seed in seeds])
    print(
        f"{method:<9} {', '.join(f'{score:.1f}' for score in scores)} "
        f"  mean {np.mean(scores):.1f} %   {seconds:.0f} s per run"
    )

# %% [markdown]
# Read the spread inside a row first, then the distance between the rows. The same sentences were read by both, so
# compare pairwise, as on Day 4: per seed, and then over seeds and sentences together. Before you look: up to one
# point either way would not matter to us.

# %%
per_seed = [metrics.compare(right["adapters", seed], right["LoRA", seed]) for seed in seeds]
of_method = {method: np.array([right[method, seed] for seed in seeds]) for method in methods}
together = metrics.compare(of_method["adapters"], of_method["LoRA"], margin=0.01)
for method, each in of_method.items():
    print(f"{method} minus word counts: {metrics.compare(each, counted)}")

# %%
title = f"Adapters minus LoRA: {together}"
figure = plots.interval_bars(
    [*(f"seed {seed}" for seed in seeds), "all together"],
    [part.points for part in [*per_seed, together]],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel="points of accuracy, with 95 % intervals",
)
plots.show(
    figure, alt=f"Paired differences between adapters and LoRA, per seed and together. {title}."
)

# %% [markdown]
# The last row holds what other seeds and other sentences might have said, so it is the one that speaks about the
# *methods*; the others speak about one pair of models each. If its word is *undecided*, the honest sentence is: at this
# weight, on this task, with this budget, we cannot tell them apart. (A *tie* would be more: the whole interval within a
# point.) That moves the decision to other grounds: size, handling, speed. To these we turn.
#
# ### Save only what was learnt
#
# A trained model of this kind is the public encoder plus some thousand numbers of your own. PEFT knows which ones to
# save. For your own layers, you have to say it: not by name, but by asking each tensor whether it trains. Then the head
# is in the file without your thinking of it. (Whoever forgets it reads good remarks through a random head.)


# %%
def learnt(model):
    """What somebody with the public encoder needs: all that was trained, and nothing else."""
    return {
        name: part.detach() for name, part in model.named_parameters() if part.requires_grad
    }


# %%
from safetensors.torch import load_file, save_file

movie, run = runs["adapters", best["adapters"], seeds[0]]
folder = lab.workspace / "adapters" / run.folder.name
plan = {
    "placement": "Pfeiffer",
    "m": 16,
    "activation": "gelu",
    "encoder": shape.model_type,
    "seed": seeds[0],
}


# %%
def write(folder):
    folder.mkdir(parents=True)
    save_file(
        {name: part.cpu().contiguous() for name, part in learnt(movie).items()},
        folder / "adapter.safetensors",
    )
    (folder / "adapter_config.json").write_text(json.dumps(plan))


# %%
training.save_once(folder, write)  # whole or not at all; a second time writes nothing
adapter_bytes = (folder / "adapter.safetensors").stat().st_size
whole_bytes = sum(part.numel() * 4 for part in base.parameters())
print(
    f"{adapter_bytes:,} bytes, "
    f"{whole_bytes / adapter_bytes:.0f} times less than the whole model in fp32"
)

# %% [markdown]
# A file of numbers does not say where they go. The small JSON beside it does: placement, width, activation. Now play the
# colleague who gets the folder: a fresh encoder, a *different* random head, the plan, the numbers.

# %%
plan_read = json.loads((folder / "adapter_config.json").read_text())
reloaded = with_adapters(
    fresh_base(seed=999, **training.load_options()), plan_read["m"], plan_read["placement"]
)
training.keep_adapters_precise(reloaded)
report = reloaded.load_state_dict(load_file(folder / "adapter.safetensors"), strict=False)
assert not report.unexpected_keys, (
    "a name in the file that the model does not know: the adapters are not in"
)

few = judge.select(range(32))
reload_difference = np.abs(training.predict(reloaded, few) - training.predict(movie, few)).max()
print(f"largest difference of a logit after reloading: {reload_difference}")

# %% [markdown]
# The same answers. (`strict=False` means "the file may hold less than the model", which is what we want. It
# would also forgive a file whose names fit nowhere; hence the assertion.)

# %% [markdown]
# ## Compose two adapters
#
# One encoder, a drawer full of adapters: that is what people like about them. Swapping is easy. But can two of them work
# *together*? Let us try a second one, for another world: Amazon customers, who write "broke after a week" rather than
# "a small miracle of a film". So that only the adapters differ, the second one has to work with the first one's
# head, which stays frozen.

# %%
shop = data.prepared("amazon")
shop.pop("test")
shop_tokens = data.tokenize(shop, tokenizer, max_length=128)
shop_learn = shop_tokens["train"].select(range(min(size, len(shop_tokens["train"]) * 2 // 3)))
unseen = [shop_tokens["train"][at] for at in range(len(shop_learn), len(shop_tokens["train"]))]
shop_judge = [*unseen, *shop_tokens["validation"]][: settings.pick(smoke=40, cpu=500)]
movie_judge = [judge[at] for at in range(settings.pick(smoke=40, cpu=500))]


# %%
def amazon_model():
    model = adapters_on(
        fresh_base(seeds[0], **training.load_options())
    )  # the same start as the movie adapter
    training.keep_adapters_precise(model)
    for name, part in model.named_parameters():
        if part.requires_grad and ".adapter." not in name:
            part.data.copy_(movie.get_parameter(name).data)
            part.requires_grad_(False)
    return model


# %%
amazon = amazon_model()
args = training.arguments(
    "adapters-amazon",
    learning_rate=best["adapters"],
    num_train_epochs=1,
    seed=seeds[0],
    per_device_train_batch_size=16,
    save_strategy="no",
    disable_tqdm=True,
)
trainer = Trainer(model=amazon, args=args, train_dataset=shop_learn, data_collator=collator)
with contextlib.redirect_stdout(io.StringIO()):
    amazon_run = training.train(trainer, "adapters-amazon")
print(f"trained on {len(shop_learn):,} Amazon sentences in {amazon_run.seconds:.0f} s")

# %% [markdown]
# Three ways to put two bottlenecks into one place:
#
# - **Stack** them: the second reads what the first has written. Order may matter.
# - Average their **weights**, number by number: one bottleneck of the old size.
# - Average their **outputs**: both read the same page, and the two remarks are mixed.
#
# The last one looks twice as expensive in code: two layers, called one after the other. It need not be. Both
# remarks can come from *one* bottleneck, only wider.


# %% tags=["exercise"] exercise="technique_adapters_intermediate/one-of-two" answer="one_of_two" minutes=12 difficulty=3
# first, second: two Bottlenecks of the same d. share: a number from 0 to 1.
# Return ONE Bottleneck, as wide as both together, whose output is exactly
#     (1 - share) * first(x) + share * second(x)      for every x.
# torch.cat([a, b], dim=0) puts tensors below each other, dim=1 side by side.
def one_of_two(first, second, share): ...


# <solution>
def one_of_two(first, second, share):
    d = first.up.out_features
    both = Bottleneck(d, first.down.out_features + second.down.out_features).to(
        first.up.weight.device
    )
    with torch.no_grad():
        both.down.weight.copy_(torch.cat([first.down.weight, second.down.weight], dim=0))
        both.down.bias.copy_(torch.cat([first.down.bias, second.down.bias]))
        both.up.weight.copy_(
            torch.cat([(1 - share) * first.up.weight, share * second.up.weight], dim=1)
        )
        both.up.bias.copy_((1 - share) * first.up.bias + share * second.up.bias)
    return both


# </solution>


# %% tags=["check"] exercise="technique_adapters_intermediate/one-of-two"
def check(answer):
    draw = torch.Generator().manual_seed(0)

    def made(m):
        layer = Bottleneck(6, m)
        with torch.no_grad():
            for part in layer.parameters():
                part.copy_(torch.randn(part.shape, generator=draw))
        return layer

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        a, b, same_width, x = made(2), made(3), made(2), torch.randn(7, 6, generator=draw)
        pair = a(x), same_width(x)
        narrow = answer(a, same_width, 0.25)
        if not isinstance(narrow, Bottleneck):
            return (
                f"Your function returned {type(narrow).__name__}. One Bottleneck is asked for."
            )
        if not (torch.equal(a(x), pair[0]) and torch.equal(same_width(x), pair[1])):
            return "Your function changes the two adapters it was given; then they could not be used again. Build a new one."
        if narrow.down.out_features != 4:
            return f"Two bottlenecks of width 2 came back as one of width {narrow.down.out_features}. The mean of two bent functions does not fit into the width of one: give it the room of both."
        result = narrow(x)

        def same(first, second):
            return torch.allclose(
                result, x + first * (pair[0] - x) + second * (pair[1] - x), atol=1e-4
            )

        if same(1, 1):
            return "Both remarks are there at full volume: that is their sum. Where does `share` come in?"
        if same(0.25, 0.75):
            return "The shares are the wrong way round: `share` belongs to the second."
        if not same(0.75, 0.25):
            shares = ((0.75, a), (0.25, same_width))
            without = result - narrow.up.bias - x
            bent = sum(part * (one(x) - x - one.up.bias) for part, one in shares)
            early = sum(
                one.up(nn.functional.gelu(part * one.down(x))) - one.up.bias
                for part, one in shares
            )
            if torch.allclose(without, bent, atol=1e-4):
                return "Everything fits but the bias of `up`: it is a part of each remark, so it is mixed with the same shares."
            if torch.allclose(without, early, atol=1e-4):
                return "You scale before the bend. A GELU of a quarter is not a quarter of a GELU: scale what comes after it."
            return f"For our two trial adapters and share = 0.25, the output is off by up to {(result - 0.75 * pair[0] - 0.25 * pair[1]).abs().max():.2f}. We do not recognise the mistake: compare down (below each other) and up (side by side, scaled)."
        wide = answer(a, b, 0.5)
        if not torch.allclose(wide(x), (a(x) + b(x)) / 2, atol=1e-4):
            return "Right for two adapters of the same width, wrong for widths 2 and 3."
    return None


def inputs(draw):
    for share in (0.0, 0.3, 0.5, 1.0):
        yield (
            int(draw.integers(2, 9)),
            int(draw.integers(1, 5)),
            int(draw.integers(1, 5)),
            share,
        )


def trial(answer, d, m, n, share):
    """What comes back, what it says, and what became of the two."""
    draw = torch.Generator().manual_seed(10 * d + m)
    pair, x = (Bottleneck(d, m), Bottleneck(d, n)), torch.randn(3, 5, d, generator=draw)
    for one in pair:
        for part in one.parameters():
            part.data = torch.randn(part.shape, generator=draw)
    before = [one(x).detach() for one in pair]
    both = answer(*pair, share)
    kept = all(torch.equal(one(x), old) for one, old in zip(pair, before, strict=True))
    return {
        "kind": type(both).__name__,
        "width": both.down.out_features,
        "the two are unchanged": kept,
        "output": both(x).detach(),
    }


def agrees(expected, found):
    (*ours, output), (*theirs, other) = expected.values(), found.values()
    return ours == theirs and torch.allclose(output, other, 1e-3, 1e-4)


hints = [
    "The new `down` computes both narrow vectors at once: the rows of both matrices, below each other; the biases, too.",
    "The new `up` reads the long narrow vector: the columns of both matrices side by side, each times its share.",
    "The bias of `up` is a plain mixture: `(1 - share) * first.up.bias + share * second.up.bias`.",
]
misconceptions = [
    (
        "def one_of_two(first, second, share):\n    both = copy.deepcopy(first)\n    with torch.no_grad():\n        for mine, a, b in zip(both.parameters(), first.parameters(), second.parameters()):\n            mine.copy_((1 - share) * a + share * b)\n    return both",
        "room of both",
    ),
    (
        "def one_of_two(first, second, share):\n    both = Bottleneck(6, first.down.out_features + second.down.out_features)\n    with torch.no_grad():\n        both.down.weight.copy_(torch.cat([first.down.weight, second.down.weight]))\n        both.down.bias.copy_(torch.cat([first.down.bias, second.down.bias]))\n        both.up.weight.copy_(torch.cat([first.up.weight, second.up.weight], dim=1))\n        both.up.bias.copy_(first.up.bias + second.up.bias)\n    return both",
        "that is their sum",
    ),
    (
        "def one_of_two(first, second, share):\n    both = Bottleneck(6, first.down.out_features + second.down.out_features)\n    with torch.no_grad():\n        both.down.weight.copy_(torch.cat([first.down.weight, second.down.weight]))\n        both.down.bias.copy_(torch.cat([first.down.bias, second.down.bias]))\n        both.up.weight.copy_(torch.cat([share * first.up.weight, (1 - share) * second.up.weight], dim=1))\n        both.up.bias.copy_(share * first.up.bias + (1 - share) * second.up.bias)\n    return both",
        "wrong way round",
    ),
    (
        "def one_of_two(first, second, share):\n    both = Bottleneck(6, first.down.out_features + second.down.out_features)\n    with torch.no_grad():\n        both.down.weight.copy_(torch.cat([first.down.weight, second.down.weight]))\n        both.down.bias.copy_(torch.cat([first.down.bias, second.down.bias]))\n        both.up.weight.copy_(torch.cat([(1 - share) * first.up.weight, share * second.up.weight], dim=1))\n        both.up.bias.copy_(first.up.bias + second.up.bias)\n    return both",
        "bias of `up`",
    ),
    (
        "def one_of_two(first, second, share):\n    both = Bottleneck(6, first.down.out_features + second.down.out_features)\n    with torch.no_grad():\n        both.down.weight.copy_(torch.cat([(1 - share) * first.down.weight, share * second.down.weight]))\n        both.down.bias.copy_(torch.cat([(1 - share) * first.down.bias, share * second.down.bias]))\n        both.up.weight.copy_(torch.cat([first.up.weight, second.up.weight], dim=1))\n        both.up.bias.copy_(first.up.bias + second.up.bias)\n    return both",
        "before the bend",
    ),
    (
        "def one_of_two(first, second, share):\n    with torch.no_grad():\n        first.up.weight.mul_(1 - share)\n        second.up.weight.mul_(share)\n    return nn.Sequential(first, second)",
        "One Bottleneck is asked for",
    ),
]


# %%
def adapters_of(model):
    return [part for part in model.modules() if isinstance(part, Adapted)]


def composed(combine):
    """The movie model, as reloaded, with combine(movie's, Amazon's) in every place."""
    model = copy.deepcopy(reloaded).to(settings.device())
    for place, other in zip(adapters_of(model), adapters_of(amazon), strict=True):
        place.adapter = combine(place.adapter, other.adapter)
    return model


def mean_weights(first, second):
    mean = copy.deepcopy(first)
    for mine, other in zip(mean.parameters(), second.parameters(), strict=True):
        mine.data.copy_((mine.data + other.data) / 2)
    return mean


# %%
ways = {
    "movie alone": lambda first, second: first,
    "Amazon alone": lambda first, second: second,
    "stacked: movie, Amazon": lambda first, second: nn.Sequential(first, second),
    "stacked: Amazon, movie": lambda first, second: nn.Sequential(second, first),
    "mean of weights": mean_weights,
    "mean of outputs": lambda first, second: one_of_two(first, second, 0.5),
}
on_movies, on_amazon = {}, {}
for name, combine in ways.items():
    model = composed(combine)
    for rows, into in ((movie_judge, on_movies), (shop_judge, on_amazon)):
        truth = np.array([row["labels"] for row in rows])
        into[name] = training.predict(model, rows).argmax(axis=1) == truth

# %%
both = {name: 100 * (on_movies[name].mean() + on_amazon[name].mean()) / 2 for name in ways}
table = pd.DataFrame(
    {
        "movies": {n: 100 * v.mean() for n, v in on_movies.items()},
        "Amazon": {n: 100 * v.mean() for n, v in on_amazon.items()},
        "mean of both": both,
    }
)
table.round(1)

# %%
labels, changes = [], []
for name in list(ways)[2:]:
    for world, scores, specialist in (
        ("movies", on_movies, "movie alone"),
        ("Amazon", on_amazon, "Amazon alone"),
    ):
        changes.append(metrics.compare(scores[name], scores[specialist]))
        labels.append(f"{name}: {changes[-1].verdict} on {world}")

# %%
worse = sum(change.verdict == "worse" for change in changes)
title = f"{worse} of {len(changes)} are worse than the specialist of their world"
figure = plots.interval_bars(
    labels,
    [change.points for change in changes],
    reference=0,
    reference_label="as good as the specialist",
    title=title,
    xlabel="points of accuracy against the adapter trained for it, with 95 % intervals",
)
plots.show(figure, alt=f"Each way of combining against each specialist. {title}.")


# %%
def on_both(name):
    return np.concatenate([on_movies[name], on_amazon[name]])


weights_or_outputs = metrics.compare(on_both("mean of weights"), on_both("mean of outputs"))
print(f"mean of weights minus mean of outputs, both worlds: {weights_or_outputs}")

# %% [markdown]
# All of this speaks of *one* pair of adapters, each trained once, and nobody trained the two to work together. There are
# reasons for losses. In a stack the upper one reads pages that it never saw in training, because somebody has already
# written on them; in a mean of outputs, each speaks at half its volume, into the other's business.
#
# And then there is the mean of *weights*, number by number, the crudest of all ways. In our run it kept more than the
# others; the printed line says what it does in yours. (Stacks that are *trained* as stacks, fusion and routing:
# [several at once](../../curriculum/guides/adapters.md#several-at-once).)
#
# ### Two equal adapters, and their mean
#
# Does averaging weights make sense at all? Take a single trained adapter and shuffle the $m$ inner units: the rows of
# `down`, its biases, and the columns of `up`, all in the same order. Nobody outside can tell. Now average it with its
# own shuffled twin, which should do nothing at all.


# %%
def shuffled(one):
    """The same function, with its inner units in another order."""
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(one.down.out_features, generator=draw).to(one.down.weight.device)
    twin = copy.deepcopy(one)
    twin.down.weight.data, twin.down.bias.data = (
        one.down.weight.data[order],
        one.down.bias.data[order],
    )
    twin.up.weight.data = one.up.weight.data[:, order]
    return twin


# %%
one = copy.deepcopy(adapters_of(movie)[-1].adapter).float()
twin, off = shuffled(one), {}
x = torch.randn(500, d, device=one.down.weight.device)
with torch.no_grad():
    remark = one(x) - x
    for name, other in {
        "its twin": twin,
        "mean of weights": mean_weights(one, twin),
        "mean of outputs": one_of_two(one, twin, 0.5),
    }.items():
        off[name] = ((other(x) - x - remark).norm() / remark.norm()).item()
        print(f"{name:<16} differs from the remark by {off[name]:.1%} of its size")

# %% [markdown]
# The mean of two *identical functions* is another function. Inner units have no names; unit 3 of one adapter need have
# nothing to do with unit 3 of another. What then can the mean of our two be worth? Look at `amazon_model`: the same
# seed, so both started from the same random `down`. Perhaps their units still correspond. That can be tested: shuffle
# Amazon's units, which changes nothing in what it says, and average once more.

# %%
model = composed(lambda first, second: mean_weights(first, shuffled(second)))
pair = [
    training.predict(model, rows).argmax(axis=1) == np.array([row["labels"] for row in rows])
    for rows in (movie_judge, shop_judge)
]
shuffled_mean = 100 * np.mean([right_ones.mean() for right_ones in pair])
print(f"mean of weights, as trained:            {both['mean of weights']:.1f} % over both")
print(f"mean of weights, one of them shuffled:  {shuffled_mean:.1f} %")
shuffling = metrics.compare(np.concatenate(pair), on_both("mean of weights"))
print(f"shuffled minus as trained: {shuffling}")

# %% [markdown]
# Read the last line. If the common start is what helps a mean of weights, shuffling makes it *worse*. As long as
# that is undecided, there is another suspect: volume. A mean of outputs takes half of each remark. A mean of
# weights halves `down` *and* `up`, so that where units do not correspond, hardly more than a quarter comes through.
# Perhaps two strangers get along when both speak softly. You have everything to test that; it is the first item of
# *Go further*.
#
# Until then: a mean of weights is not the mean of two functions, and when it works, one has to find out why. The mean of
# outputs is exactly what it says, and being exact is no promise of being good. (LoRA's $A$ and $B$ have the same disease:
# average the factors and you get something else than the average of the products $BA$. There the cure is to average
# the products, because there *is* a product.)

# %% [markdown]
# ## Why it stays: merging and latency
#
# LoRA's remark on $x$ is a matrix times $x$. So one can add that matrix to the frozen one and throw the detour away.
# Could an adapter be folded into the matrix before it in the same way? Only if it were a matrix itself, perhaps
# with a bias: $f(x) = Mx + b$. Such a function has an unmistakable mark. For *any* two inputs,
#
# $$f(x + y) - f(x) - f(y) + f(0) = 0$$
#
# because each of $Mx$, $My$ appears once with plus and once with minus, and so does $b$. One pair of inputs that breaks
# this, and no matrix in the world will do.


# %% tags=["exercise"] exercise="technique_adapters_intermediate/no-matrix" answer="violation" minutes=8 difficulty=2
# f: a layer, from tensors of shape (d,) to tensors of shape (d,). x, y: two inputs.
# Return one number: how far f is from the rule above, in the component where it is farthest.
# Never negative.
def violation(f, x, y): ...


# <solution>
def violation(f, x, y):
    return (f(x + y) - f(x) - f(y) + f(torch.zeros_like(x))).abs().max().item()


# </solution>


# %% tags=["check"] exercise="technique_adapters_intermediate/no-matrix"
def check(answer):
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, generator=draw), torch.randn(6, generator=draw)
    M, b = torch.randn(6, 6, generator=draw), torch.randn(6, generator=draw)

    def amount(f):
        return answer(f, x.clone(), y.clone())

    value = amount(lambda v: M @ v)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"Your function returned {type(value).__name__}; one number is asked for: how far off."
    if value > 1e-4:
        return f"A plain matrix gets {value:.2f}, and it keeps the rule. Check the signs of the four terms."
    blamed = amount(lambda v: M @ v + b)
    if abs(blamed - 2 * b.abs().max().item()) < 1e-4:
        return "f(0) goes in with the wrong sign: a matrix with a bias is off by twice its bias. Three terms hold b: plus, minus, minus."
    if blamed > 1e-4:
        return "A matrix with a bias gets blamed, although it can be merged. The bias appears in three of your terms; which fourth one takes it out again?"
    if amount(lambda v: torch.relu(M @ v)) < 1e-3:
        return "Your test lets a ReLU pass as a matrix. Multiplying an input by a positive number never shows its bend: two different inputs are needed."
    tent = torch.tensor([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    sharp = amount(lambda v: tent * v.sum() ** 2)
    size = abs(2 * (x.sum() * y.sum()).item())
    if abs(sharp - size) < 1e-3 * size:
        return None
    if abs(sharp) < 1e-3 * size:
        return "Deviations of opposite sign cancel in your number. Take absolute values before you look for the largest."
    return f"For a trial layer the largest deviation is {size:.3f}; your function says {sharp:.3f}. The largest component counts, not a mean or a sum."


def inputs(draw):
    for kind in ("matrix", "with a bias", "relu", "square", "minus a square", "one bends"):
        for d in (6, 1, 3):
            yield kind, *torch.tensor(draw.normal(size=(2, d)), dtype=torch.float32)


def trial(answer, kind, x, y):
    """What the answer says of a layer of that kind."""
    draw = torch.Generator().manual_seed(len(x))
    M = torch.randn(len(x), len(x), generator=draw)
    kinds = {
        "matrix": lambda v: M @ v,
        "with a bias": lambda v: M @ v + M[0],
        "relu": lambda v: torch.relu(M @ v + M[0]),
        "square": lambda v: v**2 + 1,
        "minus a square": lambda v: 3 - v * v.sum(),
        "one bends": lambda v: torch.cat([v[:-1], v[-1:] ** 3 - 2]),
    }
    return answer(kinds[kind], x, y)


def agrees(expected, found):
    return abs(expected - float(found)) <= 1e-4 + 1e-3 * expected


hints = [
    "Write the formula down as it stands; `torch.zeros_like(x)` is the zero.",
    "Absolute values first, then the largest, then `.item()`.",
    "`(f(x + y) - f(x) - f(y) + f(torch.zeros_like(x))).abs().max().item()`",
]
misconceptions = [
    (
        "def violation(f, x, y):\n    return (f(x + y) - f(x) - f(y)).abs().max().item()",
        "takes it out again",
    ),
    (
        "def violation(f, x, y):\n    return (f(2 * x) - 2 * f(x) + f(torch.zeros_like(x))).abs().max().item()",
        "lets a ReLU pass",
    ),
    (
        "def violation(f, x, y):\n    return abs((f(x + y) - f(x) - f(y) + f(torch.zeros_like(x))).sum().item())",
        "opposite sign cancel",
    ),
    (
        "def violation(f, x, y):\n    return (f(x + y) - f(x) - f(y) - f(torch.zeros_like(x))).abs().max().item()",
        "wrong sign",
    ),
    (
        "def violation(f, x, y):\n    return bool((f(x + y) - f(x) - f(y) + f(torch.zeros_like(x))).abs().max() > 1e-5)",
        "how far off",
    ),
]

# %% [markdown]
# Both trained models once more, this time in full fp32 precision, so that whatever deviates is not rounding to 16 bits.
# The two inputs are real ones: what the last adapter sees at the first word of two sentences.


# %%
def in_fp32(method):
    trained, _ = runs[method, best[method], seeds[0]]
    model = methods[method](fresh_base(seeds[0]))
    report = model.load_state_dict(learnt(trained), strict=False)
    assert not report.unexpected_keys
    return model.eval().to(settings.device())


forms = {
    "base": fresh_base(seeds[0]).eval().to(settings.device()),
    "adapters": in_fp32("adapters"),
    "LoRA": in_fp32("LoRA"),
}
forms["LoRA, merged"] = copy.deepcopy(forms["LoRA"]).merge_and_unload().eval()

# %%
batch = batch.to(settings.device())
adapter = adapters_of(forms["adapters"])[-1].adapter
caught = []
hook = adapter.register_forward_hook(lambda module, inputs, output: caught.append(inputs[0]))
with torch.inference_mode():
    logits = {name: model(**batch).logits for name, model in forms.items()}
hook.remove()
x, y = caught[0][0, 1], caught[0][1, 1]

# %%
detour = [part for part in forms["LoRA"].modules() if hasattr(part, "lora_A")][-1]
with torch.inference_mode():
    remarks = {"LoRA": detour(x) - detour.base_layer(x), "adapter": adapter(x) - x}
    broken = {
        name: violation(f, x, y) for name, f in {"LoRA": detour, "adapter": adapter}.items()
    }
    print(f"a frozen matrix is off by {violation(detour.base_layer, x, y):.7f}")
for name, remark in remarks.items():
    size_of_remark = remark.abs().max().item()
    print(
        f"with {name:<8} off by {broken[name]:.7f}: "
        f"{broken[name] / size_of_remark:.2%} of its largest remark"
    )

# %%
merge_error = (logits["LoRA, merged"] - logits["LoRA"]).abs().max().item()
effect = (logits["LoRA"] - logits["base"]).abs().max().item()
print(
    f"training changed the logits by up to {effect:.2f}; "
    f"merging changes them by {merge_error:.7f} more"
)
print(
    "LoRA layers left in the merged model:",
    sum(hasattr(part, "lora_A") for part in forms["LoRA, merged"].modules()),
)

# %% [markdown]
# What is left in the first two lines is the rounding of 32-bit numbers. The adapter's number is no rounding: two inputs,
# and the case is closed. No matrix, however it is found, does what this layer does.
#
# "Merges exactly" has a condition, too. We merged in 32 bits. A base in sixteen has fewer digits, and what is added to a
# weight must fit into them: the smaller the update, the larger the part of it that is rounded away.

# %%
update = detour.get_delta_weight("default").float()
coarse = detour.base_layer.weight.bfloat16().float()
for smaller in (1, 10, 100):
    wanted = update / smaller
    lost = ((coarse + wanted).bfloat16().float() - coarse - wanted).norm() / wanted.norm()
    print(f"update / {smaller:<3} merged into bfloat16: {lost.item():.1%} of its size is lost")

# %% [markdown]
# ### What staying costs
#
# First the arithmetic. A matrix of shape (a, b) costs a × b multiplications per token, whatever it is for.

# %%
body = forms["base"].base_model.named_modules()
linear = [part for name, part in body if isinstance(part, nn.Linear) and "pooler" not in name]
base_work = sum(part.weight.numel() for part in linear)
adapter_work = sum(
    p.adapter.down.weight.numel() + p.adapter.up.weight.numel()
    for p in adapters_of(forms["adapters"])
)
extra_work = 100 * adapter_work / base_work
print(
    f"{base_work:,} multiplications per token in the encoder's matrices, "
    f"{adapter_work:,} more in adapters: {extra_work:.2f} %"
)

# %% [markdown]
# Now the clock. Timing is easy to get wrong. The first call is slower than the rest; a machine that does something else
# for a second spoils whoever is being timed just then; a mean is ruled by the worst case. So: warm up, let the models
# take turns in random order, and report the median with the middle half around it.


# %%
def stopwatch(inputs, rounds, warm_up=2):
    """Milliseconds per call: for each model as many as there are rounds."""
    times = {name: [] for name in forms}
    draw = np.random.default_rng(lab.seed)
    for turn in range(rounds + warm_up):
        for name in draw.permutation(list(forms)):
            started = time.perf_counter()
            with torch.inference_mode():
                forms[name](**inputs).logits.cpu()  # on the CPU: a GPU has to be done by then
            if turn >= warm_up:
                times[name].append(1000 * (time.perf_counter() - started))
    return times


# %%
one_sentence = tokenizer(
    ["A small miracle of a film, if you can bear the ending."], return_tensors="pt"
).to(settings.device())
many = tokenizer(
    reviews["validation"]["text"][:32],
    padding=True,
    truncation=True,
    max_length=64,
    return_tensors="pt",
).to(settings.device())
clock = {
    "one sentence": stopwatch(one_sentence, settings.pick(smoke=6, cpu=100)),
    "32 sentences": stopwatch(many, settings.pick(smoke=1, cpu=9)),
}

# %%
slower = {}
for what, times in clock.items():
    print(what)
    for name, values in times.items():
        low, middle, high = np.percentile(values, [25, 50, 75])
        ratios = np.array(values) / np.array(
            times["base"]
        )  # within a round, the machine was in one mood
        slower[what, name] = 100 * (np.median(ratios) - 1)
        print(
            f"   {name:<13} {middle:7.2f} ms (middle half {low:.2f} to "
            f"{high:.2f})   {slower[what, name]:+.1f} % against the base"
        )
delay_guess.compare(slower["one sentence", "adapters"])

# %%
times = clock["one sentence"]
quarters = [np.percentile(times[name], [50, 25, 75]) for name in forms]
title = (
    f"One sentence: adapters {slower['one sentence', 'adapters']:+.0f} %, "
    f"LoRA {slower['one sentence', 'LoRA']:+.0f} %, "
    f"merged {slower['one sentence', 'LoRA, merged']:+.0f} %"
)
figure = plots.interval_bars(
    list(forms),
    quarters,
    reference=quarters[0][0],
    reference_label="base",
    title=title,
    xlabel="milliseconds for one sentence: median and middle half",
)
plots.show(figure, alt=f"Time for one sentence with each form of the model. {title}.")

# %% [markdown]
# Compare three numbers: the extra arithmetic, the extra time for one sentence, the extra time for thirty-two. For a
# single sentence the price has little to do with multiplications. Each small layer is a few more calls, one after the
# other, and a call has a fixed price, however little it computes. In a batch the fixed part is shared.
#
# And look at LoRA *before* merging: it is not free either. It has two small matrices in each of twice as many places.
# The saying "LoRA adds no latency" has a condition, and the condition is one line of code: merge.
# Whoever keeps LoRA unmerged, to swap it per request, pays, like everybody who adds layers. (Timings of another
# machine, and of a GPU, differ. If something else is running beside the lesson, the widths in the figure tell you, and
# then no order of the four means anything: run the cell again in a quiet moment.)

# %% [markdown]
# ## What you saw

# %%
mean_right = {
    method: np.mean([right[method, seed].mean() for seed in seeds]) for method in methods
}
results = {
    "trained_numbers": models.count_parameters(forms["adapters"]).trainable,
    "adapter_accuracy": mean_right["adapters"],
    "lora_accuracy": mean_right["LoRA"],
    "adapters_minus_lora_points": 100 * together.estimate,
    "adapter_bytes": adapter_bytes,
    "reload_difference": reload_difference,
    "mean_of_weights_percent": both["mean of weights"],
    "mean_of_outputs_percent": both["mean of outputs"],
    "shuffled_mean_percent": shuffled_mean,
    "twin_error": off["mean of weights"],
    "adapter_violation": broken["adapter"],
    "lora_violation": broken["LoRA"],
    "merge_error": merge_error,
    "extra_arithmetic_percent": extra_work,
    "extra_time_percent": slower["one sentence", "adapters"],
}

# %%
with tracking.start_run("techniques", "adapters beside LoRA"):
    mlflow.log_params(
        {
            "m": 16,
            "placement": "Pfeiffer",
            "r": 8,
            "sentences": size,
            "seeds": str(seeds),
            **{f"rate_{m}": best[m] for m in methods},
        }
    )
    for name, value in results.items():
        tracking.record(name, value)

# %% [markdown]
# When would you still reach for an adapter? Put it in two sentences, with one of your own numbers in each.

# %%
# For your journal (change the text and run the cell).
my_verdict = "…"
if my_verdict != "…":
    progress.write_journal("technique_adapters_intermediate", my_verdict)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Somebody leaves the GELU out of the bottleneck: x + up(down(x)), with all biases. What changes?",
        "choices": [
            (
                "It trains no longer: without a bend there is no gradient.",
                "A linear layer has a gradient like any other. Most of a network's weights sit in linear layers.",
                False,
            ),
            (
                "It can be merged into the matrix before it, exactly.",
                "Right. Down and up are one matrix then, and (I + UD) times the old matrix is a matrix. It has become a low-rank update in another place.",
                True,
            ),
            (
                "Nothing: GELU is nearly linear anyway.",
                "Nearly is the point. With the bend there is no exact matrix, without it there is one.",
                False,
            ),
            (
                "It is no longer the identity at the start.",
                "The zero in `up` does that, with or without a bend.",
                False,
            ),
        ],
        "proof": """
import torch
torch.manual_seed(0)
W, b, D, c, U, e = (torch.randn(*s, dtype=torch.float64) for s in ((6, 9), (6,), (3, 6), (3,), (6, 3), (6,)))
x = torch.randn(9, dtype=torch.float64)
h = W @ x + b
separate = h + U @ (D @ h + c) + e
merged = (W + U @ D @ W) @ x + (b + U @ (D @ b + c) + e)
assert torch.allclose(separate, merged)
bent = h + U @ torch.nn.functional.gelu(D @ h + c) + e
assert not torch.allclose(bent, merged)
""",
    },
    {
        "question": "To test whether a layer is a matrix, a friend checks f(2x) = 2 f(x) for many x. It holds every time. Is it a matrix?",
        "choices": [
            (
                "Yes: that is what linear means.",
                "Half of it. The other half is f(x + y) = f(x) + f(y).",
                False,
            ),
            (
                "Not necessarily: max(0, Mx) passes that test and is no matrix.",
                "Right. A ReLU bends at zero, and doubling never crosses zero. Two different inputs show it.",
                True,
            ),
            (
                "Yes, if x was drawn at random.",
                "The ReLU passes for each and every x.",
                False,
            ),
            (
                "No: a matrix would give f(2x) = f(x) + 2.",
                "A matrix does double its output when the input is doubled. The test is right but too weak.",
                False,
            ),
        ],
        "proof": """
import torch
torch.manual_seed(0)
M = torch.randn(5, 5)
f = lambda v: torch.relu(M @ v)
for _ in range(100):
    x = torch.randn(5)
    assert torch.allclose(f(2 * x), 2 * f(x), atol=1e-5)
x, y = torch.randn(5), torch.randn(5)
assert not torch.allclose(f(x + y), f(x) + f(y), atol=1e-2)
""",
    },
    {
        "question": "BERT-base: 12 layers, width 768. 'Adapters are 8 times as large as LoRA.' When is that so?",
        "choices": [
            (
                "Always; the two methods differ by that factor.",
                "The size of an adapter is proportional to its m. Nobody forces 64 on you.",
                False,
            ),
            (
                "For two bottlenecks of width 64 in each layer, against rank 8 on query and value.",
                "Right: 2,379,264 to 294,912 numbers. With one bottleneck of width 16 per layer it would be 1.03.",
                True,
            ),
            (
                "For m = 8 against r = 8.",
                "Equal inner widths in equally many places give almost equal sizes: the factor is 1.03.",
                False,
            ),
            (
                "Never: both are below 1 % of the model.",
                "2,379,264 numbers are over 2 % of BERT-base.",
                False,
            ),
        ],
        "proof": """
adapters = lambda m, per_layer: 12 * per_layer * (2 * 768 * m + m + 768)
lora = lambda r: 12 * 2 * r * (768 + 768)
assert adapters(64, 2) == 2_379_264 and lora(8) == 294_912
assert 8 < adapters(64, 2) / lora(8) < 8.1
assert round(adapters(16, 1) / lora(8), 2) == 1.03
assert 1.02 < adapters(8, 2) / lora(8) < 1.07
assert adapters(64, 2) / 109_483_778 > 0.02
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Softly.** Build `one_of_two(first, second, 0.5)`, halve weight and bias of its `up`, and add it to `ways`. Does the
#   volume explain the mean of weights? Then try a single adapter at half its volume: what does *that* do to the other world?
# - **Houlsby's placement.** `lambda base: with_adapters(base, 8, "Houlsby")` as a third method: the same weight, twice
#   the places. Is it better than the seeds scatter? Is it slower?
# - **Nearly merged.** "Cannot be merged" speaks of *all* inputs, and sentences fill only a corner of the space. Catch what
#   the bottlenecks hold on a hundred sentences, fit gelu(z) ≈ Cz + c by least squares, fold everything into the matrix
#   before it, and measure what accuracy that costs.
# - **Other seeds, other starts.** Train the Amazon adapter from seed 2 and average the weights again. Is it like the
#   shuffled mean, or worse?
#
# **Read.** Section 2 of Houlsby and others is short and has the drawing that everybody redraws. AdapterFusion combines
# adapters by attention instead of by hand; the placement we took is its authors'. He and others (2022) put adapters,
# LoRA and prefix tuning into one formula: once you have written two of them, it reads easily.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/adapters_intermediate.py`](../examples/adapters_intermediate.py) puts bottlenecks into a model with
# one small module, in one plain file, without our helpers. Here it meets text messages, *spam* or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=20, cpu=600)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/adapters_intermediate.py --data my_texts.csv --output my_adapters
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "adapters_intermediate.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_adapters")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# It is the file to start from when you want to change the inside of a model yourself. Have a file of your own? Give it
# two columns, `text` and `label`, put its path into `mine`, and run the last cell again.
