# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import contextlib
import io
import time

import mlflow
import numpy as np
import pandas as pd
import torch
from torch import nn

from labhelpers import data, exercise, memory, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, training, widgets

lab = settings.start("technique_architectures")

# %% [markdown]
# ## Why this matters
#
# By now you have a recipe, and it fits on a card: load a base with a head, put LoRA on query and value, hand it to the
# `Trainer`. You have cooked it many times, and always on the same stove, an **encoder**. Most models that people talk
# about are **decoders**.
#
# How much of the recipe has to change? Try it. Below, one word is different.

# %%
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

kinds = ("encoder", "decoder")
tokenizers = {kind: AutoTokenizer.from_pretrained(models.source(kind)) for kind in kinds}


def classifier(kind, seed=lab.seed):
    set_seed(seed)  # it decides the random head
    return AutoModelForSequenceClassification.from_pretrained(
        models.source(kind), num_labels=2, **training.load_options(kind)
    ).to(settings.device())


# %%
pair = ["A joy.", "Two long hours that I will never get back."]
untrained = {kind: classifier(kind).eval() for kind in kinds}
for kind, model in untrained.items():
    batch = tokenizers[kind](pair, padding=True, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        logits = model(**batch).logits
    print(f"{type(model).__name__}: logits of shape {tuple(logits.shape)}")
    print("  ", *tokenizers[kind].convert_ids_to_tokens(batch["input_ids"][0]))

# %% [markdown]
# It works at once, and that is the danger: nothing tells you what has changed. Look at the tokens of the short
# sentence (Ġ is this tokenizer's sign for a space). The encoder's begin with `[CLS]` and end with `[SEP]`. The decoder
# has neither, and it fills up the row with its own end sign.
#
# An architecture decides three things for you: **what the head reads**, **what padding does**, and **what LoRA's
# targets are called**. This lesson takes them one by one. Then the same task goes to both, with equal trials.
#
# One small mistake first. A decoder with a well-fitted head judges film sentences, in batches of 32. Somebody has written
# the wrong padding number into its config: one number. There is no error and no warning. How many points does it cost?

# %%
padding_guess = widgets.predict(
    "architectures-padding", "Points of accuracy lost to one wrong number", 0, 50, "points"
)

# %% [markdown]
# ## What the head reads
#
# A head is one small matrix. It wants *one* vector per sentence, and the model offers one per token. BERT's head takes
# the first, at `[CLS]`. Why not do the same with a decoder? Take two sentences that differ in one word, and look where
# their vectors differ.

# %%
twins = ["The film is a joy for all", "The film is a bore for all"]
differs = {}
for kind, model in untrained.items():
    batch = tokenizers[kind](twins, padding=True, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        one, other = model.base_model(**batch).last_hidden_state.float()
    differs[kind] = ((one - other).norm(dim=1) / one.norm(dim=1)).tolist()
    words = tokenizers[kind].convert_ids_to_tokens(batch["input_ids"][1])
    print(kind, *(f"{word} {gap:.2f}" for word, gap in zip(words, differs[kind], strict=True)))

# %% [markdown]
# In the encoder, *every* vector has noticed: each token looks both ways. In the decoder, nothing before the word has
# changed at all. Each token sees only what stands before it, because the model was trained to guess the next one and
# must not peek. That is the **causal mask**. So its first vector knows one word, and only its last one has read the
# sentence.
#
# So a decoder's head has to find the last token. In a batch that is not the last *column*: short rows are filled up,
# behind the text or before it.


# %% tags=["exercise"] exercise="technique_architectures/last-real" answer="last_real" minutes=5 difficulty=1
# mask: (sentences, tokens), 1 for a token and 0 for padding. The padding stands on the right,
# or on the left, and each row has at least one token.
# Return the position of the last token of each row, counted from 0: shape (sentences,).
def last_real(mask): ...


# <solution>
def last_real(mask):
    positions = torch.arange(mask.shape[1], device=mask.device)
    return (mask * positions).argmax(dim=1)


# </solution>


# %% tags=["check"] exercise="technique_architectures/last-real"
def check(answer):
    right, left = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]]), torch.tensor([[0, 0, 1, 1]])
    found, other = answer(right), answer(left)
    for each, rows in ((found, 2), (other, 1)):
        if not isinstance(each, torch.Tensor) or tuple(each.shape) != (rows,):
            return f"One position per row is wanted, a tensor of shape ({rows},)."
    found, other = found.tolist(), other.tolist()
    if found == [3, 3]:
        return "That is the last column. With padding on the right, short rows have padding there, and the head would read that."
    if found == [3, 1]:
        return "That is how many tokens each row has. Positions count from 0."
    if found == [0, 0]:
        return "That is the first token of each row, which in a decoder has read one word."
    if found == [2, 0] and other == [1]:
        return "Right for padding on the right. With padding on the left, the last token of the row 0 0 1 1 stands at position 3, and you say 1: the count of tokens is no position there."
    if found != [2, 0]:
        return (
            f"For the masks 1 1 1 0 and 1 0 0 0 the positions are 2 and 0; yours are {found}."
        )
    return (
        None if other == [3] else f"For the mask 0 0 1 1 the position is 3; yours is {other}."
    )


def inputs(draw):
    yield torch.tensor([[1]])
    yield torch.ones(2, 5, dtype=torch.long)
    for sentences, length in ((3, 6), (5, 2), (1, 9), (4, 4)):
        count = torch.tensor(draw.integers(1, length + 1, size=(sentences, 1)))
        right = (torch.arange(length)[None] < count).long()
        yield right
        yield right.flip(1)


hints = [
    "`torch.arange(mask.shape[1])` are the positions. Multiplied with the mask, the padding's become 0.",
    "The largest position that is left is the one you want: `.argmax(dim=1)`.",
]
misconceptions = [
    (
        "def last_real(mask):\n    return torch.full((len(mask),), mask.shape[1] - 1)",
        "last column",
    ),
    ("def last_real(mask):\n    return mask.sum(dim=1) - 1", "is no position there"),
    ("def last_real(mask):\n    return mask.sum(dim=1)", "count from 0"),
    ("def last_real(mask):\n    return mask.argmax(dim=1)", "first token of each row"),
]

# %% [markdown]
# There is a third way to get one vector: the **mean** over the tokens. Our encoder was once trained to be read like
# that. The same trap waits here.


# %% tags=["exercise"] exercise="technique_architectures/mean" answer="mean_of" minutes=4 difficulty=1
# hidden: (sentences, tokens, width), one vector per token.  mask: as above.
# Return the mean of each sentence's own tokens, padding left out: shape (sentences, width).
def mean_of(hidden, mask): ...


# <solution>
def mean_of(hidden, mask):
    real = mask[:, :, None]
    return (hidden * real).sum(dim=1) / real.sum(dim=1)


# </solution>


# %% tags=["check"] exercise="technique_architectures/mean"
def check(answer):
    hidden = torch.tensor(
        [[[1.0, 2.0], [3.0, 4.0], [50.0, 60.0]], [[2.0, 0.0], [4.0, 0.0], [6.0, 3.0]]]
    )
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    try:
        found = answer(hidden, mask)
    except RuntimeError as error:
        return f"PyTorch refuses ({str(error).splitlines()[0]}). The mask needs a third axis: `mask[:, :, None]`."
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (2, 2):
        return (
            "One vector per sentence is wanted: for 2 sentences and width 2, the shape (2, 2)."
        )
    real = mask[:, :, None]
    wrong = {
        "The padding is in it: 50 and 60 belong to no word.": hidden.mean(dim=1),
        "The sum leaves the padding out, the divisor does not: you divide by the length of the row.": (
            hidden * real
        ).mean(dim=1),
        "You divide by the tokens of the whole batch. Each sentence has a number of its own.": (
            hidden * real
        ).sum(dim=1)
        / mask.sum(),
        "That is the sum. Divide it by how many tokens each sentence has.": (hidden * real).sum(
            dim=1
        ),
    }
    for reply, value in wrong.items():
        if torch.allclose(found, value):
            return reply
    if torch.allclose(found, torch.tensor([[2.0, 3.0], [4.0, 1.0]])):
        return None
    return f"The means are 2, 3 and 4, 1; yours are {found.tolist()}."


def inputs(draw):
    for sentences, length, width in ((1, 1, 3), (2, 5, 4), (3, 3, 3), (4, 7, 2)):
        hidden = torch.tensor(draw.normal(size=(sentences, length, width))).float()
        count = torch.tensor(draw.integers(1, length + 1, size=(sentences, 1)))
        right = (torch.arange(length)[None] < count).long()
        yield hidden, right
        yield hidden, right.flip(1)


def agrees(expected, found):
    return expected.shape == found.shape and torch.allclose(expected, found, 1e-4, 1e-5)


hints = [
    "`mask[:, :, None]` has the shape (sentences, tokens, 1) and can be multiplied with `hidden`.",
    "Sum the masked vectors over the tokens (dim=1). How many were there? The sum of the mask over the same axis.",
]
misconceptions = [
    ("def mean_of(hidden, mask):\n    return hidden.mean(dim=1)", "belong to no word"),
    (
        "def mean_of(hidden, mask):\n    return (hidden * mask[:, :, None]).mean(dim=1)",
        "length of the row",
    ),
    (
        "def mean_of(hidden, mask):\n    return (hidden * mask[:, :, None]).sum(dim=1) / mask.sum()",
        "whole batch",
    ),
]

# %% [markdown]
# Now read both models in four ways: first token, mean, last token, and the careless one, the end of the row. The task
# is the one you know, film sentences; the shorter half of them, so that a CPU gets through a decoder. Three groups:
# one to learn from, one to choose with, one to judge.

# %%
longest = settings.pick(cpu=24, gpu=200)  # tokens; the Hub's reviews are longer
sizes = settings.pick(smoke=(8, 12, 16), cpu=(256, 160, 320))
reviews = data.prepared("sentiment")
reviews.pop("test")  # opened once, on Day 4


def short(split, enough):
    """The first short sentences of a split."""
    split = split.select(range(min(len(split), 3 * enough + 60)))
    counts = [len(ids) for ids in tokenizers["decoder"](split["text"][:])["input_ids"]]
    return split.select([at for at, count in enumerate(counts) if count <= longest][:enough])


# %%
pool = short(reviews["train"], sizes[0] + sizes[2])
splits = {
    "learn": pool.select(range(sizes[0])),
    "choose": short(reviews["validation"], sizes[1]),
    "judge": pool.select(range(sizes[0], len(pool))),
}
truth = {name: np.array(part["label"][:]) for name, part in splits.items()}
print({name: len(part) for name, part in splits.items()})


# %%
def readings(kind, texts):
    """Read each text of a frozen model in four ways: arrays (texts, width)."""
    body, found = untrained[kind].base_model, {}
    for first in range(0, len(texts), 16):
        batch = tokenizers[kind](texts[first : first + 16], padding=True, return_tensors="pt")
        batch = batch.to(body.device)
        with torch.inference_mode():
            hidden, mask = body(**batch).last_hidden_state.float(), batch["attention_mask"]
        rows = torch.arange(len(hidden), device=body.device)
        ways = {
            "first token": hidden[:, 0],
            "mean": mean_of(hidden, mask),
            "last token": hidden[rows, last_real(mask)],
            "end of the row": hidden[:, -1],
        }
        for way, part in ways.items():
            found.setdefault(way, []).append(part.cpu().numpy())
    return {way: np.concatenate(parts) for way, parts in found.items()}


# %%
seen, reading_seconds = {}, {}
for kind in kinds:
    started = time.perf_counter()
    for name, part in splits.items():
        seen[kind, name] = readings(kind, part["text"][:])
    reading_seconds[kind] = time.perf_counter() - started
    print(
        f"{kind}: {sum(map(len, splits.values()))} sentences in {reading_seconds[kind]:.0f} s"
    )

# %% [markdown]
# A logistic regression reads the vectors: the plainest head there is, and nothing in the model is trained. It has one
# dial, `C` (how loud the head may become). It gets three trials, on the sentences that choose.

# %%
from sklearn.linear_model import LogisticRegression


def probe(kind, way, strength):
    head = LogisticRegression(C=strength, max_iter=5000, fit_intercept=False)
    return head.fit(seen[kind, "learn"][way], truth["learn"])


def right_of(head, kind, way, name):
    return head.predict(seen[kind, name][way]) == truth[name]


# %%
ways, strengths = ["first token", "mean", "last token", "end of the row"], (0.01, 0.1, 1.0)
heads, hits = {}, {}
for kind in kinds:
    for way in ways:
        tried = [probe(kind, way, strength) for strength in strengths]
        best = max(tried, key=lambda head: right_of(head, kind, way, "choose").mean())
        heads[kind, way], hits[kind, way] = best, right_of(best, kind, way, "judge")
score = {place: 100 * each.mean() for place, each in hits.items()}

# %%
title = (
    f"A decoder's first token: {score['decoder', 'first token']:.0f} %, "
    f"its last one: {score['decoder', 'last token']:.0f} %"
)
figure = plots.heatmap(
    [[score[kind, way] for way in ways] for kind in kinds],
    list(kinds),
    ways,
    title=title,
    xlabel="what the head reads (% of the judges' sentences right)",
)
plots.show(figure, alt=f"Accuracy of a fitted head by model and by what it reads. {title}.")

# %%
last_first = metrics.compare(hits["decoder", "last token"], hits["decoder", "first token"])
mean_first = metrics.compare(hits["encoder", "mean"], hits["encoder", "first token"])
end_last = metrics.compare(hits["decoder", "end of the row"], hits["decoder", "last token"])
print(f"decoder, last token minus first:      {last_first}")
print(f"decoder, end of the row minus last:   {end_last}")
print(f"encoder, mean minus first token:      {mean_first}")

# %% [markdown]
# The decoder's first token has seen one word: it knows how film sentences begin, and that is worth a few points over a coin.
# The encoder's first token *has* seen everything, and yet this encoder was trained to be read by the mean. So the position
# decides what *can* be known there, and the training decides what *is*.
#
# The end of the row is the interesting one. This head was *fitted* on padding. It had a chance to get used to it.

# %% [markdown]
# ## What padding does
#
# `AutoModelForSequenceClassification` looks for the last token itself. It has no mask for that: it looks for the last
# token that differs from `config.pad_token_id`. Llama, as Meta published it, has no such number at all. What then?

# %%
reader = untrained["decoder"]
house = reader.config.pad_token_id
reader.config.pad_token_id = None
batch = tokenizers["decoder"](pair, padding=True, return_tensors="pt").to(reader.device)
try:
    reader(**batch)
except ValueError as error:
    print(f"ValueError: {error}")
finally:
    reader.config.pad_token_id = house
print(f"the tokenizer pads with {tokenizers['decoder'].pad_token_id}, the config says {house}")

# %% [markdown]
# A loud error, and a good one. (It comes with two sentences, not with one: the cell that you try it in may pass.) The
# right repair sets *both* numbers to the same token:
#
# ```python
# tokenizer.pad_token = tokenizer.eos_token
# model.config.pad_token_id = tokenizer.pad_token_id
# ```
#
# Often only the first line is written, and the second one is filled with *some* number, say 0. The error is gone. To
# see what that costs, give the model the head that you have just fitted on last tokens. Nothing is trained; the head is
# good; only the padding number changes.

# %%
line = torch.tensor(heads["decoder", "last token"].coef_[0])
with torch.no_grad():
    reader.score.weight.copy_(torch.stack([-line / 2, line / 2]))

jury = splits["judge"].select(range(min(96, len(splits["judge"]))))


def right_in_batches(size, pad):
    """Right or wrong per sentence, in batches of this size, padding known as `pad`."""
    reader.config.pad_token_id, answers = pad, []
    for first in range(0, len(jury), size):
        texts = jury["text"][first : first + size]
        batch = tokenizers["decoder"](texts, padding=True, return_tensors="pt")
        with torch.inference_mode():
            answers.append(reader(**batch.to(reader.device)).logits.argmax(dim=1).cpu())
    reader.config.pad_token_id = house
    return torch.cat(answers).numpy() == np.array(jury["label"][:])


# %%
batch_sizes = settings.pick(smoke=[1, 8], cpu=[1, 2, 8, 32])
wrong_pad = {size: right_in_batches(size, 0) for size in batch_sizes}
right_pad = right_in_batches(batch_sizes[-1], house)
lost = metrics.compare(wrong_pad[batch_sizes[-1]], right_pad)
print(f"padding number 0 minus padding number {house}, batches of {batch_sizes[-1]}: {lost}")
padding_guess.compare(-100 * lost.estimate)

# %%
title = (
    f"With the wrong number: {100 * wrong_pad[1].mean():.0f} % one by one, "
    f"{100 * wrong_pad[batch_sizes[-1]].mean():.0f} % in batches of {batch_sizes[-1]}"
)
figure = plots.dots(
    [100 * each.mean() for each in wrong_pad.values()],
    labels=[f"batches of {size}" for size in wrong_pad],
    reference=100 * right_pad.mean(),
    reference_label=f"right number, batches of {batch_sizes[-1]}",
    title=title,
    xlabel="% of the sentences right",
)
plots.show(figure, alt=f"Accuracy with a wrong padding number, by batch size. {title}.")

# %% [markdown]
# Sentence by sentence, nothing is wrong. That is how people try a model. In batches, every sentence but the longest of
# its batch is judged by a vector that stands behind it, on a token the head has never met. The same text gets another
# answer in other company.
#
# Compare with the heatmap: a head that was *trained* on the end of the row loses less than one that is surprised by it.
# Whoever trains with the wrong number sees a somewhat poor model and blames the method.
#
# So before every training of a decoder, one line: `tokenizer.pad_token_id == model.config.pad_token_id`. And one test
# that needs no knowledge of the inside: judge some sentences alone and in a batch. The answers must agree.

# %% [markdown]
# ### Two words, and no training
#
# A decoder has a way that an encoder has not: ask it. *A joy. Sentiment:* and then, does it expect *positive* or
# *negative*? One forward pass, no head. The [first lesson on prompts](prompt_beginner.ipynb) has done this with
# two rows of the dictionary; here is the general form.


# %% tags=["exercise"] exercise="technique_architectures/word-scores" answer="word_scores" minutes=6 difficulty=2
# logits: (sentences, tokens, vocabulary), as a decoder returns them.  mask: as above.
# ids: a list with the numbers of a few words.
# Return (sentences, len(ids)): the log-probability that each of these words comes next, after
# the sentence's last token. Probabilities are over the whole vocabulary.
def word_scores(logits, mask, ids): ...


# <solution>
def word_scores(logits, mask, ids):
    rows = torch.arange(len(logits), device=logits.device)
    after = logits[rows, last_real(mask)].float().log_softmax(dim=-1)
    return after[:, ids]


# </solution>


# %% tags=["check"] exercise="technique_architectures/word-scores"
def check(answer):
    logits = torch.tensor(
        [
            [[0.0, 1.0, 2.0, 0.0], [3.0, 0.0, 1.0, 1.0], [0.0, 0.0, 5.0, 0.0]],
            [[1.0, 0.0, 0.0, 2.0], [0.0, 2.0, 0.0, 1.0], [1.0, 4.0, 0.0, 0.0]],
        ]
    )
    mask, ids = torch.tensor([[1, 1, 0], [1, 1, 1]]), [0, 2]
    found = answer(logits, mask, ids)
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (2, 2):
        return "For 2 sentences and 2 words, a tensor of shape (2, 2) is wanted."
    ours = torch.stack([logits[0, 1], logits[1, 2]])
    wrong = {
        "You read the end of the row. The first sentence has padding there: take its last token.": logits[
            :, -1
        ].log_softmax(-1)[:, ids],
        "You read the token before the last. The model's guess for what comes next stands at the last token itself.": torch.stack(
            [logits[0, 0], logits[1, 1]]
        ).log_softmax(-1)[:, ids],
        "Those are the logits. A softmax over the whole vocabulary turns them into probabilities.": ours[
            :, ids
        ],
        "Those are probabilities; their logarithm is wanted.": ours.softmax(-1)[:, ids],
        "Your probabilities are over the chosen words only. First the softmax over the vocabulary, then pick the words.": ours[
            :, ids
        ].log_softmax(-1),
    }
    for reply, value in wrong.items():
        if torch.allclose(found, value, atol=1e-5):
            return reply
    if torch.allclose(found, ours.log_softmax(-1)[:, ids], atol=1e-5):
        return None
    return f"For the first sentence (mask 1 1 0, logits 3 0 1 1 at its last token), words 0 and 2 have log-probabilities -0.24 and -2.24; yours are {[round(x, 2) for x in found[0].tolist()]}."


def inputs(draw):
    for sentences, length, words in ((1, 1, 3), (2, 4, 6), (3, 3, 5), (4, 6, 9)):
        logits = torch.tensor(3 * draw.normal(size=(sentences, length, words))).float()
        count = torch.tensor(draw.integers(1, length + 1, size=(sentences, 1)))
        right = (torch.arange(length)[None] < count).long()
        ids = draw.permutation(words)[: 1 + sentences % 3].tolist()
        yield logits, right, ids
        yield logits, right.flip(1), ids


def agrees(expected, found):
    return expected.shape == found.shape and torch.allclose(expected, found, 1e-3, 1e-4)


hints = [
    "`logits[rows, last_real(mask)]` with `rows = torch.arange(len(logits))` has the shape (sentences, vocabulary).",
    "`.log_softmax(dim=-1)` over that, and then pick the columns: `[:, ids]`.",
]
misconceptions = [
    (
        "def word_scores(logits, mask, ids):\n    return logits[:, -1].log_softmax(-1)[:, ids]",
        "end of the row",
    ),
    (
        "def word_scores(logits, mask, ids):\n    return logits[torch.arange(len(logits)), last_real(mask)][:, ids]",
        "Those are the logits",
    ),
    (
        "def word_scores(logits, mask, ids):\n    return logits[torch.arange(len(logits)), last_real(mask)][:, ids].log_softmax(-1)",
        "chosen words only",
    ),
    (
        "def word_scores(logits, mask, ids):\n    return logits[torch.arange(len(logits)), last_real(mask)].softmax(-1)[:, ids]",
        "their logarithm",
    ),
]

# %% [markdown]
# Three pairs of words are its three trials. One pass serves them all.

# %%
from transformers import AutoModelForCausalLM

writer = AutoModelForCausalLM.from_pretrained(
    models.source("decoder"), **training.load_options("decoder")
)
writer = writer.eval().to(settings.device())
word_pairs = [(" negative", " positive"), (" bad", " good"), (" terrible", " great")]
ids = [tokenizers["decoder"].encode(word)[0] for words in word_pairs for word in words]


# %%
def asked(texts):
    """Log-probabilities of the six words after each text: (texts, 6)."""
    found = []
    for first in range(0, len(texts), 16):
        framed = [f"{text}\nSentiment:" for text in texts[first : first + 16]]
        batch = tokenizers["decoder"](framed, padding=True, return_tensors="pt")
        batch = batch.to(writer.device)
        with torch.inference_mode():
            found.append(
                word_scores(writer(**batch).logits, batch["attention_mask"], ids).cpu()
            )
    return torch.cat(found).numpy()


# %%
replies = {name: asked(splits[name]["text"][:]) for name in ("choose", "judge")}


def right_words(name, at):
    return (replies[name][:, 2 * at + 1] > replies[name][:, 2 * at]) == truth[name]


word_trials = [right_words("choose", at).mean() for at in range(len(word_pairs))]
for words, share in zip(word_pairs, word_trials, strict=True):
    print(f"{' /'.join(words):<22} {share:.1%} of the choosing sentences right")
best_words = int(np.argmax(word_trials))
mass = np.exp(replies["judge"]).sum(axis=1).mean()
print(f"the six words together have {mass:.0%} of the probability; all others share the rest")

# %% [markdown]
# To compare two words, the softmax is not needed: it subtracts the same number from both logits. It tells you something
# else, though: how much the model expects such a word here *at all*.

# %% [markdown]
# ## What LoRA is called there
#
# LoRA goes on query and value. Every family has these, and spells them in its own way. Here are the names of one layer,
# family by family; the shapes are real, without weights. (The last one reads pictures.)

# %%
from transformers import ViTConfig, ViTForImageClassification
from transformers.pytorch_utils import Conv1D

tiny = ViTConfig(
    image_size=8,
    patch_size=2,
    num_channels=1,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=96,
    num_labels=5,
)


def linear_names(model):
    kinds_of_layer = nn.Linear | Conv1D  # Conv1D: how GPT-2 writes a linear layer
    return [name for name, part in model.named_modules() if isinstance(part, kinds_of_layer)]


# %%
family = {
    "MiniLM": untrained["encoder"],
    "SmolLM2": untrained["decoder"],
    "DistilBERT": models.build_empty("distilbert-base"),
    "GPT-2": models.build_empty("gpt2"),
    "ViT": ViTForImageClassification(tiny),
}
for name, model in family.items():
    names = [each for each in linear_names(model) if ".1." in each]
    print(f"{name:<11}", *(each.split(".1.")[-1] for each in names))

# %% [markdown]
# One rule finds them all. Write it.


# %% tags=["exercise"] exercise="technique_architectures/targets" answer="targets" minutes=7 difficulty=2
# names: full names of a model's linear layers, such as "model.layers.1.self_attn.q_proj".
# Return a sorted list, each once, of the *last parts* ("q_proj") of those layers that
#   lie in an attention block: some part before the last contains "att", small or capital; and
#   hold query or value: the last part begins with q or v, or contains "attn" (GPT-2 keeps
#   query, key and value in one matrix, c_attn).
def targets(names): ...


# <solution>
def targets(names):
    found = set()
    for name in names:
        *way, end = name.split(".")
        inside = any("att" in part.lower() for part in way)
        if inside and (end.startswith(("q", "v")) or "attn" in end):
            found.add(end)
    return sorted(found)


# </solution>


# %% tags=["check"] exercise="technique_architectures/targets"
def check(answer):
    llama = [f"model.layers.{at}.self_attn.{end}_proj" for at in (0, 1) for end in "qkvo"]
    found = answer([*llama, "model.layers.0.mlp.up_proj", "score"])
    if isinstance(found, str) or not isinstance(found, list | tuple):
        return "A list of names is wanted."
    found = list(found)
    if any("." in name for name in found):
        return f"PEFT would find these, but only in the layers you saw. Give the last part, which fits every layer: not {found[0]!r} but {found[0].split('.')[-1]!r}."
    if len(found) != len(set(found)):
        return "Each name once, please: a set forgets what it has already."
    if {"k_proj", "o_proj"} & set(found):
        return f"Query and value only; your list has {', '.join(sorted(found))}."
    if found != ["q_proj", "v_proj"]:
        return f"For a Llama the list is q_proj, v_proj; yours is {found}."
    if list(answer(["bert.encoder.layer.0.attention.self.query", "qa_outputs"])) != ["query"]:
        return "`qa_outputs` is a head that answers questions, not a part of attention. LoRA there would leave the head random: look at the parts before the last."
    if list(answer(["decoder.block.0.layer.0.SelfAttention.q"])) != ["q"]:
        return "T5 writes SelfAttention with capitals. Compare in small letters: `.lower()`."
    if list(answer(["h.0.attn.c_attn", "h.0.attn.c_proj"])) != ["c_attn"]:
        return "In GPT-2 query, key and value are one matrix, c_attn. It begins with c, and belongs to the list."
    return None


def inputs(draw):
    ends = ["q_proj", "k_proj", "v_proj", "query", "value", "key", "dense", "c_attn", "c_proj"]
    ends += ["q", "v", "o", "qkv", "q_lin", "out_lin", "up_proj", "query_key_value", "out"]
    ways = ["model.layers.0.self_attn", "bert.layer.1.attention.self", "h.2.attn", "score"]
    ways += [
        "block.0.SelfAttention",
        "vision.head",
        "model.layers.11.mlp",
        "attention.0.output",
    ]
    yield []
    yield ["classifier", "value_head", "attn", "c_attn"]
    for count in (3, 8, 20, 60):
        some = zip(draw.choice(ways, count), draw.choice(ends, count), strict=True)
        yield [f"{way}.{end}" for way, end in some]


hints = [
    "`*way, end = name.split('.')` puts the last part into `end` and the others into the list `way`.",
    "Inside attention: `any('att' in part.lower() for part in way)`. Query or value: `end.startswith(('q', 'v')) or 'attn' in end`.",
    "Collect in a set, return `sorted(…)`.",
]
misconceptions = [
    (
        "def targets(names):\n    return sorted({n for n in names if n.split('.')[-1][0] in 'qv'})",
        "fits every layer",
    ),
    (
        "def targets(names):\n    return sorted({n.split('.')[-1] for n in names if n.split('.')[-1][0] in 'qv'})",
        "answers questions",
    ),
    (
        "def targets(names):\n    return sorted({n.split('.')[-1] for n in names if 'att' in n.lower()})",
        "Query and value only",
    ),
    (
        "def targets(names):\n    return sorted({n.split('.')[-1] for n in names if 'att' in n.lower() and n.split('.')[-1][0] in 'qv'})",
        "one matrix, c_attn",
    ),
    (
        "def targets(names):\n    return sorted({n.split('.')[-1] for n in names if 'attn' in n or ('att' in n and n.split('.')[-1][0] in 'qv')} - {'k_proj', 'o_proj', 'c_proj'})",
        "with capitals",
    ),
]

# %%
for name, model in family.items():
    print(f"{name:<11} {', '.join(targets(linear_names(model)))}")

# %% [markdown]
# What happens with names from another family? PEFT says so. And what if `task_type` is left out? Then PEFT does not know
# that there is a head, and freezes it as random as it came.

# %%
from peft import LoraConfig, get_peft_model


def empty():
    return models.build_empty(untrained["decoder"].config)  # shapes without numbers


try:
    get_peft_model(empty(), LoraConfig(target_modules=["query", "value"]))
except ValueError as error:
    print("ValueError:", str(error).split(". ")[0])

for more in ({}, {"task_type": "SEQ_CLS"}):
    recipe = LoraConfig(r=8, target_modules=targets(linear_names(reader)), **more)
    groups = models.count_parameters(get_peft_model(empty(), recipe)).trainable_groups
    print(f"{more or 'no task_type'}: {groups['head']:,} numbers train in the head")

# %% [markdown]
# One error that speaks, one that does not. The third thing is settled.
#
# ## Equal trials
#
# Now the race. Everybody gets the same sentences and three trials: three learning rates for LoRA, three values of `C`
# for a head on frozen vectors, three pairs of words for the question. Seed 1 chooses, other seeds judge. LoRA passes
# over the sentences twice. What is *not* equal is the size: the decoder has several times the weights, and has
# read far more in its life.
#
# Before you look: by how many points will the decoder with LoRA lead the encoder with LoRA?

# %%
lead_guess = widgets.predict(
    "architectures-lead", "Decoder with LoRA minus encoder with LoRA", -20, 20, "points"
)

# %%
from transformers import DataCollatorWithPadding, Trainer

tokens = {
    kind: {
        name: data.tokenize(part, tokenizers[kind], max_length=longest + 16)
        for name, part in splits.items()
    }
    for kind in kinds
}
collators = {kind: DataCollatorWithPadding(tokenizers[kind]) for kind in kinds}
for kind in kinds:
    assert tokenizers[kind].pad_token_id == untrained[kind].config.pad_token_id


# %%
def adapted(kind, seed):
    base = classifier(kind, seed)
    recipe = LoraConfig(
        r=8, lora_alpha=16, target_modules=targets(linear_names(base)), task_type="SEQ_CLS"
    )
    model = get_peft_model(base, recipe)
    training.keep_adapters_precise(model)
    return model


# %%
passes = settings.pick(smoke=1, cpu=2)
usual = {"num_train_epochs": passes, "per_device_train_batch_size": 8}
usual |= {"save_strategy": "no", "disable_tqdm": True}


def fit(kind, rate, seed):
    """Train a fresh model, or find the run again."""
    model, name = adapted(kind, seed), f"architectures-{kind}-rate{rate:g}-seed{seed}"
    args = training.arguments(name, learning_rate=rate, seed=seed, **usual)
    rows, collator = tokens[kind]["learn"], collators[kind]
    trainer = Trainer(model=model, args=args, train_dataset=rows, data_collator=collator)
    with contextlib.redirect_stdout(io.StringIO()):  # the loop prints one line per run
        run = training.train(trainer, name)
    return model, run


# %%
def answers(model, run, kind, name):
    """Right or wrong per sentence, kept beside the run: a second time costs nothing."""
    path = run.folder / f"{name}-{len(splits[name])}.npy"
    if not path.exists():
        np.save(path, training.predict(model, tokens[kind][name], collator=collators[kind]))
    return np.load(path).argmax(axis=1) == truth[name]


# %%
rates = {
    "encoder": settings.pick(smoke=[3e-3], cpu=[1e-3, 3e-3, 1e-2]),
    "decoder": settings.pick(smoke=[1e-3], cpu=[1e-3, 3e-3, 1e-2]),
}
chooser, seeds = 1, settings.pick(smoke=[2], cpu=[2, 3, 4])
chosen, trained_hits, seconds = {}, {}, {}
for kind in kinds:
    tried = {rate: answers(*fit(kind, rate, chooser), kind, "choose") for rate in rates[kind]}
    chosen[kind] = max(tried, key=lambda rate: tried[rate].mean())
    judged, times = [], []
    for seed in seeds:
        model, run = fit(kind, chosen[kind], seed)
        judged.append(answers(model, run, kind, "judge"))
        times.append(run.seconds)
    trained_hits[kind], seconds[kind] = np.array(judged), float(np.median(times))
    print(kind, *(f"{rate:g}: {each.mean():.1%}" for rate, each in tried.items()), sep="   ")
    if chosen[kind] in (rates[kind][0], rates[kind][-1]):
        print(f"   chosen {chosen[kind]:g}, at the edge of the grid")

# %% [markdown]
# The bar of Day 3: word counts, learnt from the same sentences. And beside accuracy the price: numbers that train,
# seconds, and bytes, of the weights and of what a training step keeps for the way back.

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline


def counter(strength):
    line = make_pipeline(TfidfVectorizer(), LogisticRegression(C=strength, max_iter=1000))
    return line.fit(splits["learn"]["text"][:], truth["learn"])


def right_counts(model, name):
    return model.predict(splits[name]["text"][:]) == truth[name]


counters = [counter(strength) for strength in (0.1, 1.0, 10.0)]
counted = right_counts(max(counters, key=lambda m: right_counts(m, "choose").mean()), "judge")

# %%
numbers, held = {}, {}
for kind in kinds:
    model = adapted(kind, chooser)
    batch = collators[kind]([tokens[kind]["learn"][at] for at in range(8)]).to(model.device)
    low = next(
        model.parameters()
    ).dtype  # as in training: what is stored in 16 bits is multiplied so
    with torch.autocast(model.device.type, dtype=low, enabled=low != torch.float32):
        held[kind] = memory.account(model, batch=batch)
    numbers[kind] = models.count_parameters(model).trainable
    weights, kept = memory.human(held[kind].weights), memory.human(held[kind].activations)
    print(f"{kind}: {weights} of weights, {kept} kept in a step of 8 sentences")

# %%
contest = {
    "encoder + LoRA": trained_hits["encoder"],
    "decoder + LoRA": trained_hits["decoder"],
    "encoder frozen, mean": hits["encoder", "mean"],
    "decoder frozen, last token": hits["decoder", "last token"],
    "decoder, two words": right_words("judge", best_words),
    "word counts": counted,
}
verdicts = {
    name: metrics.compare(each, contest["encoder + LoRA"], margin=0.01)
    for name, each in contest.items()
    if name != "encoder + LoRA"
}
lead_guess.compare(100 * verdicts["decoder + LoRA"].estimate)

# %%
title = f"Decoder minus encoder, both with LoRA: {verdicts['decoder + LoRA']}"
figure = plots.interval_bars(
    list(verdicts),
    [found.points for found in verdicts.values()],
    reference=0,
    reference_label="encoder + LoRA",
    title=title,
    xlabel=f"points of accuracy, {len(splits['judge'])} sentences, 95 % intervals",
)
plots.show(figure, alt=f"Five methods against the encoder with LoRA. {title}.")

# %%
frozen = {kind: len(splits["learn"]) * reading_seconds[kind] / sum(sizes) for kind in kinds}
words_known = counters[0][-1].coef_.size
costs = {  # trained numbers, seconds to train, bytes to train
    name: (numbers[kind], seconds[kind], held[kind].total)
    for kind, name in {"encoder": "encoder + LoRA", "decoder": "decoder + LoRA"}.items()
}
for name, kind in {
    "encoder frozen, mean": "encoder",
    "decoder frozen, last token": "decoder",
}.items():
    width = untrained[kind].config.hidden_size
    costs[name] = (width, frozen[kind], held[kind].weights)
costs["decoder, two words"] = (0, 0, held["decoder"].weights)
costs["word counts"] = (words_known, 0, 8 * words_known)

# %% tags=["fold"]
table = pd.DataFrame(costs, index=["trains", "seconds", "memory"]).T
table = table.assign(
    trains=table.trains.map("{:,.0f}".format),
    seconds=table.seconds.map("{:.0f}".format),
    memory=table.memory.map(memory.human),
)
accuracy = {name: f"{100 * np.mean(each):.1f}" for name, each in contest.items()}
table.insert(0, "right (%)", pd.Series(accuracy))
against = {name: metrics.compare(each, counted).verdict for name, each in contest.items()}
against["word counts"] = ""
table["against encoder + LoRA"] = pd.Series({n: v.verdict for n, v in verdicts.items()})
table["against word counts"] = pd.Series(against)
table.fillna("")

# %% [markdown]
# Read the table by rows, then by columns. Which row would you put to work, if a second of computing cost something? The
# frozen vectors of the decoder cost one pass over the sentences and a logistic regression. LoRA has to bring
# something for its time and memory beyond *that*, so ask the same function:

# %%
extra = {
    "encoder": metrics.compare(contest["encoder + LoRA"], contest["encoder frozen, mean"]),
    "decoder": metrics.compare(
        contest["decoder + LoRA"], contest["decoder frozen, last token"]
    ),
}
for kind, found in extra.items():
    print(f"{kind}: LoRA minus a head on frozen vectors: {found}")

# %% [markdown]
# Does LoRA lie below the frozen head in one of them? Then remember where each began. The frozen head is fitted to the end,
# on the reading that suits its model. LoRA's head starts random, takes what its class reads (the encoder's: the first
# token), and has a few dozen steps to wake up. With some thousand sentences, as in the other lessons, that is another
# race.
#
# Three cautions. The frozen vectors and the question have one run each: nothing random is in them, but other training
# sentences would have said something else. There are few sentences to learn from, which suits whoever knows much
# already. And this decoder once went through four bits on its way to you.

# %% [markdown]
# ## A picture is a row of patches
#
# The same transformer reads pictures. A **ViT** cuts the picture into squares, and each square becomes a vector: a
# token. In front stands a `[CLS]`, as in BERT. No asset of this course is a trained model for pictures, so **this ViT is
# untrained**, and tiny. The pictures are real, though: 8 × 8 handwritten digits that come with scikit-learn.

# %%
from sklearn.datasets import load_digits

digits = load_digits()
pixels = torch.tensor(digits.images / 16 - 0.5).float()[:, None]
eye = ViTForImageClassification(tiny)
with torch.inference_mode():
    patches = eye.vit.embeddings(pixels[:1])
print(f"{tuple(pixels[:1].shape)} pixels become {tuple(patches.shape)}: 16 patches and [CLS]")
print("targets:", ", ".join(targets(linear_names(eye))))

# %% [markdown]
# So our three questions have answers: the head reads the first token, padding does not exist because all pictures have
# one size, and your function knows the names. (An older version of the library called them `query` and `value`: names
# belong to the code, not to the model.)
#
# One more, then: what if LoRA's base knows *nothing*? Give one ViT a past: it learns the digits 0 to 4, with all of its
# weights. Then both, the one with a past and the fresh one, learn 5 to 9 from a hundred pictures, with LoRA.


# %%
def look(model, at, rate, steps):
    """Train on the pictures with these numbers, all in one batch."""
    take = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    labels = torch.tensor(digits.target[at] % 5)
    for _ in range(steps):
        model(pixel_values=pixels[at], labels=labels).loss.backward()
        take.step()
        take.zero_grad()
    return model.eval()


low, high = np.flatnonzero(digits.target < 5)[:300], np.flatnonzero(digits.target >= 5)
steps = settings.pick(smoke=6, cpu=100)
set_seed(chooser)
experienced = look(ViTForImageClassification(tiny), low, 3e-3, steps)


# %%
def second_task(seed, with_past):
    """LoRA on a hundred pictures of 5 to 9; right or wrong on the others."""
    set_seed(seed)
    base = ViTForImageClassification(tiny)
    if with_past:
        base.vit.load_state_dict(experienced.vit.state_dict())  # the head stays fresh
    recipe = LoraConfig(
        r=8, target_modules=targets(linear_names(base)), modules_to_save=["classifier"]
    )
    model = look(get_peft_model(base, recipe), high[:100], 1e-2, steps)
    with torch.inference_mode():
        found = model(pixel_values=pixels[high[100:]]).logits.argmax(dim=1)
    return found.numpy() == digits.target[high[100:]] % 5


# %%
eyes = {past: np.array([second_task(seed, past) for seed in seeds]) for past in (True, False)}
past_points = metrics.compare(eyes[True], eyes[False])
for past, each in eyes.items():
    print(f"{'with' if past else 'without'} a past: {each.mean():.1%} of the digits right")
print(f"the past is worth {past_points}")

# %% [markdown]
# Look at the verdict before you say that a past helps. Ours could not tell it from zero: three hundred tiny digits are a
# short past, and even random layers turn 64 pixels into something that LoRA and a fresh head can read. A base is not
# worth much because it *has* been trained. It is worth what it has learnt that is of use here, as your encoder's millions
# of sentences are. So do not take it on trust: the untrained twin is a baseline that costs one line.
#
# ## What you saw

# %%
results = {
    "encoder_first_token": score["encoder", "first token"],
    "encoder_mean": score["encoder", "mean"],
    "decoder_first_token": score["decoder", "first token"],
    "decoder_last_token": score["decoder", "last token"],
    "padding_points": 100 * lost.estimate,
    "two_words": 100 * contest["decoder, two words"].mean(),
    "encoder_lora": 100 * contest["encoder + LoRA"].mean(),
    "decoder_lora": 100 * contest["decoder + LoRA"].mean(),
    "decoder_lead_points": 100 * verdicts["decoder + LoRA"].estimate,
    "decoder_lora_over_frozen": 100 * extra["decoder"].estimate,
    "word_counts": 100 * counted.mean(),
    "memory_ratio": held["decoder"].total / held["encoder"].total,
    "past_points": 100 * past_points.estimate,
}

# %%
with tracking.start_run("techniques", "another model"):
    mlflow.log_params(
        {"sentences": sizes[0], "seeds": str(seeds), **{f"rate_{k}": chosen[k] for k in kinds}}
    )
    for name, value in results.items():
        tracking.record(name, value)

# %% [markdown]
# Write down the three questions you will ask the next model you meet, in your own words, and the row of the table that
# you would put to work.

# %%
# For your journal (change the text and run the cell).
my_questions = "…"
if my_questions != "…":
    progress.write_journal("technique_architectures", my_questions)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Two texts begin with the same five words and then differ. In a decoder, at which positions can their vectors differ?",
        "choices": [
            (
                "From the sixth on.",
                "Right. Each position sees itself and what stands before it, in every layer.",
                True,
            ),
            ("Everywhere.", "That is an encoder: it looks both ways.", False),
            (
                "Only at the last.",
                "The sixth sees itself already, and so does every later one.",
                False,
            ),
            ("At the sixth only.", "The seventh sees the sixth.", False),
        ],
        "proof": """
import torch
from transformers import LlamaConfig, LlamaModel
torch.manual_seed(0)
shape = LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
model = LlamaModel(shape).eval()
a = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12]])
b = a.clone()
b[0, 5] = 20
with torch.no_grad():
    gap = (model(a).last_hidden_state - model(b).last_hidden_state).abs().sum(dim=-1)[0]
assert gap[:5].max() < 1e-5 and (gap[5:] > 1e-3).all()
""",
    },
    {
        "question": "A decoder classifier gives the right answers in your notebook, sentence by sentence. Behind the service, which makes batches, it is hardly above chance. What do you look at first?",
        "choices": [
            (
                "Whether `config.pad_token_id` is the number that the tokenizer pads with.",
                "Right. With one sentence there is no padding, so nothing can go wrong.",
                True,
            ),
            ("The learning rate.", "The same weights answer in both places.", False),
            (
                "Whether the head was trained.",
                "Then it would fail sentence by sentence, too.",
                False,
            ),
            (
                "Whether the service rounds to bf16.",
                "Rounding flips a few close calls, not a third of all answers.",
                False,
            ),
        ],
        "proof": """
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification
torch.manual_seed(0)
shape = LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, pad_token_id=2)
model = LlamaForSequenceClassification(shape).eval()
alone, mask = torch.tensor([[5, 6, 7]]), torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
batch = torch.tensor([[5, 6, 7, 2, 2], [8, 9, 10, 11, 12]])
def gap():
    with torch.no_grad():
        return (model(alone).logits - model(batch, attention_mask=mask).logits[:1]).abs().max()
assert gap() < 1e-5
model.config.pad_token_id = 0
assert gap() > 1e-3
""",
    },
    {
        "question": "You put LoRA on a decoder, forget `task_type`, and train. The loss falls a little. What has happened to the head?",
        "choices": [
            ("It was trained as usual.", "PEFT freezes what it is not told about.", False),
            (
                "It is as random as it was at the start; LoRA has bent the model towards it.",
                'Right. `task_type="SEQ_CLS"` (or `modules_to_save`) would have trained and saved it.',
                True,
            ),
            ("PEFT has removed it.", "It is still there, and it still answers.", False),
            ("It became a LoRA layer.", "Only layers named in `target_modules` do.", False),
        ],
        "proof": """
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForSequenceClassification
shape = LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
def trains(**more):
    model = get_peft_model(LlamaForSequenceClassification(shape), LoraConfig(target_modules=["q_proj"], **more))
    return any("score" in name for name, part in model.named_parameters() if part.requires_grad)
assert not trains() and trains(task_type="SEQ_CLS")
""",
    },
    {
        "question": "You compare the log-probabilities of two words after a sentence. A friend says: take the logits, it saves a softmax over 49,152 words. Who is right?",
        "choices": [
            (
                "Both: the difference of the two is the same.",
                "Right. The softmax subtracts one and the same number from every logit.",
                True,
            ),
            ("You: logits are not comparable.", "Within one position they are.", False),
            ("The friend, and your answers are wrong.", "They agree in every case.", False),
            (
                "It depends on the other words.",
                "They move both log-probabilities by the same amount.",
                False,
            ),
        ],
        "proof": """
import torch
logits = torch.randn(7, 49_152, generator=torch.Generator().manual_seed(0))
logs = logits.log_softmax(dim=-1)
assert torch.allclose(logits[:, 5] - logits[:, 9], logs[:, 5] - logs[:, 9], atol=1e-4)
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Padding on the left.** `tokenizers["encoder"].padding_side = "left"`, and read again. The decoder hardly notices,
#   because it counts distances. What does the encoder lose, and which of its parts counts places?
# - **LoRA and a question.** The head of the decoder is random; the two words are not. Train LoRA on the two words, as
#   in the [first lesson on prompts](prompt_beginner.ipynb), with 64 sentences. From where does each begin?
# - **More to learn from.** Double `sizes[0]` twice. Which of the verdicts moves?
# - **A trained eye.** On a machine with a network, `ViTForImageClassification.from_pretrained` with a ViT of your choice
#   takes the place of `experienced`.
#
# **Read.** Devlin and others for what `[CLS]` was trained for; Dosovitskiy and others for the patches, half a page. The
# class that looks for the last token is `GenericForSequenceClassification` in transformers, fifty lines, and every
# comment in it tells of somebody's padding.
#
# ## Take it with you
#
# Three questions for every new model, and a test for each:
#
# 1. **What does the head read?** Change one word late in a text and look which vectors move.
# 2. **What does padding do?** Judge ten texts alone and in a batch; the answers must agree.
# 3. **What is it called there?** Print the names of the linear layers, and count what trains, head included.
