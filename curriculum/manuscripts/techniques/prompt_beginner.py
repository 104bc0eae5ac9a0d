# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("technique_prompt_beginner")

# %%
import contextlib
import copy
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from datasets import Dataset, DatasetDict
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from torch import nn
from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding, Trainer, set_seed
from transformers.modeling_outputs import SequenceClassifierOutput

# %%
from labhelpers import data, exercise, metrics, models, plots, progress, quiz, tracking
from labhelpers import training, widgets

# %% [markdown]
# ## Why today matters
#
# A language model that was never trained to judge films can judge films. Write the review, write
# *Sentiment:*, and see which word it would rather write next, *positive* or *negative*. The word it prefers
# is the answer. That is **zero-shot** classification: no training at all.
#
# It depends on how you ask, though. Here are four ways, on the same sentences. (We take the shorter half of
# the film sentences today, so that a CPU gets through a language model.)

# %%
tokenizer = AutoTokenizer.from_pretrained(models.source("decoder"))
reviews = data.prepared("sentiment")
reviews.pop("test")  # nothing below needs it, so nothing below can touch it


longest = settings.pick(
    cpu=24, gpu=200
)  # the film reviews on the Hub are longer than our sentences


def short(part):
    """Keep the sentences of at most `longest` tokens."""
    return part.select(
        [
            at
            for at, ids in enumerate(tokenizer(part["text"][:])["input_ids"])
            if len(ids) <= longest
        ]
    )


# %%
pool = short(reviews["train"])
sizes = settings.pick(smoke=(16, 24, 16, 16), cpu=(384, 400, 240, 160))
ends = np.cumsum(sizes)
train = pool.select(range(ends[0]))
judging = pool.select(range(ends[0], ends[1]))  # never trained on
asking = pool.select(range(ends[1], ends[2]))  # for the wordings below, and nothing else
choosing = short(reviews["validation"]).select(range(sizes[3]))
print(
    f"{len(train)} sentences to train on, "
    f"{len(choosing)} to choose with, {len(judging)} to judge with"
)


# %%
def frozen_model():
    """The language model without its last layer; no weight of it may learn."""
    model = AutoModel.from_pretrained(
        models.source("decoder"), **training.load_options("decoder")
    )
    return model.requires_grad_(False).eval().to(settings.device())


model = frozen_model()
embed = model.get_input_embeddings()
print(
    f"The dictionary: {embed.num_embeddings:,} rows of "
    f"{embed.embedding_dim} numbers, stored as {embed.weight.dtype}"
)

# %% [markdown]
# To a model, a token is a row of that dictionary, its **embedding**. This model uses the dictionary twice: at the
# bottom to turn tokens into rows, and at the top to choose the next token, by comparing its final vector with
# every row (`tie_word_embeddings`). To ask about two words only, we compare with two rows.

# %%
assert model.config.tie_word_embeddings


def read_last(hidden, mask):
    """Pick each text's final vector at its last token; padding is right, a prompt in front."""
    text = hidden[:, -mask.shape[1] :]
    return text[torch.arange(len(text), device=text.device), mask.sum(dim=1) - 1].float()


def two_words(vectors, words=(" negative", " positive")):
    """Score the two words as the next one: shape (sentences, 2)."""
    rows = embed.weight[[tokenizer.encode(word)[0] for word in words]].float()
    return vectors @ rows.T


def batched(texts):
    return tokenizer(list(texts), padding=True, padding_side="right", return_tensors="pt").to(
        embed.weight.device
    )


# %%
frame = "{}\nSentiment:"
ways = [
    (frame, (" negative", " positive")),
    (frame, (" terrible", " great")),
    ("{} It was", (" bad", " good")),
    ("Is this movie review positive or negative?\n{}\nAnswer:", (" negative", " positive")),
]

# %%
asked = []
for way, words in ways:
    answers = []
    for first in range(0, len(asking), 25):
        batch = batched([way.format(text) for text in asking["text"][first : first + 25]])
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        scores_of_words = two_words(read_last(hidden, batch["attention_mask"]), words)
        answers += scores_of_words.argmax(dim=1).tolist()
    asked.append(answers == np.array(asking["label"]))

# %%
for (way, words), each in zip(ways, asked, strict=True):
    print(f"{each.mean():.0%} right   {way!r} + {' / '.join(words)}")
    if each is not asked[0]:
        print(f"      against the first: {metrics.compare(each, asked[0])}")

# %% [markdown]
# Same model, same sentences; only the wording changed. Where the interval holds zero, these sentences leave it
# *undecided* which of the two is better. People spend days looking for better wordings, in the dark, and in a small
# room: each word has to come from the dictionary.
#
# Does it? What if we put rows in front that belong to no word at all, and let training choose their numbers?
# That is a **soft prompt**, and training it is **prompt tuning** (Lester et al., 2021). Every weight of the
# model stays as it is. The [guide](../../curriculum/guides/prompt_tuning.md) tells the idea at leisure; today
# you build it, train it, and look inside.
#
# We keep the first wording, and put eight invented words in front of it. How far will they get?

# %%
guess = widgets.predict(
    "prompt-beginner-accuracy",
    "Accuracy on fresh sentences with eight learnt vectors in front",
    50,
    100,
    "%",
)

# %% [markdown]
# ## Words that no dictionary has
#
# The door for invented words is `inputs_embeds`. Usually we hand over the numbers of the tokens, and the
# model looks the rows up. We may also look them up ourselves:

# %%
batch = batched(
    [
        frame.format("A small miracle of a film."),
        frame.format("Two hours I will never get back."),
    ]
)
with torch.inference_mode():
    by_number = model(**batch).last_hidden_state
    words = embed(batch["input_ids"])  # (sentences, tokens, width)
    by_row = model(
        inputs_embeds=words, attention_mask=batch["attention_mask"]
    ).last_hidden_state
print(
    "shape of the rows:",
    tuple(words.shape),
    "  largest difference:",
    (by_number - by_row).abs().max().item(),
)


# %% [markdown]
# The same, to the last bit. The model never asks where a row came from. So put yours in front.


# %% tags=["exercise"] exercise="technique_prompt_beginner/prepend" answer="prepend" minutes=6 difficulty=1
# prompt: (k, width), the invented rows.  words: (sentences, tokens, width), the looked-up rows
# of a batch.
# Return (sentences, k + tokens, width): every sentence with the same k rows in front. The
# prompt keeps its gradient; it has to take on the number type of the words (they may be bf16).
def prepend(prompt, words): ...


# <solution>
def prepend(prompt, words):
    rows = prompt.to(words.dtype).expand(len(words), -1, -1)
    return torch.cat([rows, words], dim=1)


# </solution>


# %% tags=["check"] exercise="technique_prompt_beginner/prepend"
def check(answer):
    draw = torch.Generator().manual_seed(0)
    prompt = torch.randn(3, 4, generator=draw).requires_grad_()
    words = torch.randn(2, 5, 4, generator=draw)
    try:
        result = answer(prompt, words)
    except (RuntimeError, TypeError, IndexError) as error:
        return f"PyTorch refuses ({str(error).splitlines()[0]}). The prompt has no axis for the sentences yet: it needs one, as long as the batch."
    if not isinstance(result, torch.Tensor):
        return f"Your function returned {type(result).__name__}. A tensor is wanted."
    if result.shape == words.shape:
        return "The result is as long as before: the rows were added to the words or left out. They should stand in front of them."
    if tuple(result.shape) != (2, 8, 4):
        return f"With 2 sentences of 5 tokens and 3 invented rows the shape should be (2, 8, 4); yours is {tuple(result.shape)}."
    if torch.equal(result[:, 5:], prompt.expand(2, -1, -1)) and torch.equal(
        result[:, :5], words
    ):
        return "You put the rows behind the sentences. Behind, padding would come between a short sentence and its prompt."
    if not (
        torch.equal(result[:, :3], prompt.expand(2, -1, -1))
        and torch.equal(result[:, 3:], words)
    ):
        return "The shape is right, the content is not: first the k rows of the prompt in their order, the same for every sentence, then the words unchanged."
    if not result.requires_grad:
        return "The result has lost its connection to the prompt (`detach`, `.data`, `torch.tensor(…)` or no_grad do that), so nothing could ever be learnt."
    if answer(prompt, words.to(torch.bfloat16)).dtype != torch.bfloat16:
        return "With words in bf16 your result is fp32: `torch.cat` takes the wider type, and the frozen bf16 layers would refuse it."
    return None


def inputs(draw):
    for k, sentences, length, width in ((3, 2, 5, 4), (1, 1, 1, 2), (4, 4, 4, 4), (2, 3, 1, 7)):
        prompt = torch.tensor(draw.normal(size=(k, width)), dtype=torch.float32)
        words = torch.tensor(draw.normal(size=(sentences, length, width)), dtype=torch.float32)
        yield prompt, words
        yield prompt, words.to(torch.bfloat16)


def trial(answer, prompt, words):
    """What comes out, and the gradient that reaches the prompt."""
    prompt = prompt.clone().requires_grad_()
    result = answer(prompt, words)
    (result.float() * torch.arange(result.numel()).reshape(result.shape).cos()).sum().backward()
    return {
        "rows": result.detach(),
        "number type": str(result.dtype),
        "gradient of the prompt": prompt.grad,
    }


def agrees(expected, found):
    (rows, kind, ours), (other_rows, other_kind, theirs) = expected.values(), found.values()
    if kind != other_kind or not torch.equal(rows, other_rows):
        return False
    return theirs is not None and torch.allclose(ours, theirs, rtol=0.05, atol=0.05)


hints = [
    "`torch.cat([first, second], dim=…)` joins along one axis. Which axis counts the tokens?",
    "`prompt.expand(len(words), -1, -1)` shows the same rows once for every sentence, without copying them.",
    "Before joining: `prompt.to(words.dtype)`.",
]
misconceptions = [
    (
        "def prepend(prompt, words):\n    return torch.cat([prompt, words], dim=1)",
        "no axis for the sentences",
    ),
    (
        "def prepend(prompt, words):\n    return torch.cat([words, prompt.to(words.dtype).expand(len(words), -1, -1)], dim=1)",
        "behind the sentences",
    ),
    (
        "def prepend(prompt, words):\n    return torch.cat([prompt.detach().to(words.dtype).expand(len(words), -1, -1), words], dim=1)",
        "lost its connection",
    ),
    (
        "def prepend(prompt, words):\n    return torch.cat([prompt.expand(len(words), -1, -1), words], dim=1)",
        "takes the wider type",
    ),
    (
        "def prepend(prompt, words):\n    return torch.cat([prompt.to(words.dtype).expand(len(prompt), -1, -1)[:len(words)], words], dim=1)[:, :len(words[0])]",
        "as long as before",
    ),
]

# %% [markdown]
# ### A bug that raises no error
#
# A batch travels with its **attention mask**: 1 for a token, 0 for padding. Now that every row is k longer,
# the mask must be k longer too. Somebody wrote this. The shapes fit and nothing complains.


# %%
def careless_mask(mask, k):
    """Make the mask k longer."""
    return torch.cat(
        [mask, torch.ones(len(mask), k, dtype=mask.dtype, device=mask.device)], dim=1
    )


def scores(sentences, prompt=None, longer=None):
    """Score both words for each sentence, with a soft prompt in front if there is one."""
    batch = batched([frame.format(text) for text in sentences])
    words, mask = embed(batch["input_ids"]), batch["attention_mask"]
    if prompt is None:
        hidden = model(inputs_embeds=words, attention_mask=mask).last_hidden_state
    else:
        hidden = model(
            inputs_embeds=prepend(prompt, words), attention_mask=longer(mask, len(prompt))
        ).last_hidden_state
    return two_words(read_last(hidden, mask))


# %% [markdown]
# Eight rows to try it with; real words drawn by lot will do. Then judge the same sentences twice: each one
# alone, and in company, in a batch with longer and shorter ones. The company should make no difference.

# %%
k = 8
set_seed(lab.seed)
start = embed.weight[torch.randint(len(tokenizer), (k,))].detach().float()


def company(longer, sentences=tuple(choosing["text"][:16])):
    """Share of answers that depend on the rest of the batch; largest change of a score."""
    with torch.inference_mode():
        together = scores(sentences, start, longer)
        alone = torch.cat([scores([text], start, longer) for text in sentences])
    flipped = (together.argmax(dim=1) != alone.argmax(dim=1)).float().mean().item()
    return flipped, (together - alone).abs().max().item()


flipped, largest = company(careless_mask)
print(
    f"careless mask: {flipped:.0%} of the answers change "
    f"with the company, a score by up to {largest:.2f}"
)


# %% tags=["exercise"] exercise="technique_prompt_beginner/longer-mask" answer="longer_mask" minutes=8 difficulty=2
# Find the bug in careless_mask and write the function right.
# mask: (sentences, tokens), 1 for a token and 0 for padding, padding on the right.  Return
# (sentences, k + tokens).
def longer_mask(mask, k): ...


# <solution>
def longer_mask(mask, k):
    return torch.cat(
        [torch.ones(len(mask), k, dtype=mask.dtype, device=mask.device), mask], dim=1
    )


# </solution>


# %% tags=["check"] exercise="technique_prompt_beginner/longer-mask"
def check(answer):
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    try:
        result = answer(mask.clone(), 2)
    except (RuntimeError, TypeError) as error:
        return f"PyTorch refuses ({str(error).splitlines()[0]}). Two masks are joined along the axis of the tokens: (sentences, k) and (sentences, tokens)."
    if not isinstance(result, torch.Tensor):
        return f"Your function returned {type(result).__name__}. A tensor is wanted."
    if tuple(result.shape) != (2, 6):
        return f"A mask of shape (2, 4) and k = 2 should give (2, 6); yours has {tuple(result.shape)}."
    rows = result.long().tolist()
    if rows == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]:
        return None
    if rows == [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1]]:
        return "Still the careless mask. Write one row of it under the positions: which position does each 1 belong to, when the prompt stands in front?"
    if rows == [[0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0]]:
        return "The places are right, but you mask the prompt out: no token could see it, and its gradient would be exactly zero."
    if rows == [[1] * 6, [1] * 6]:
        return (
            "Now the padding counts as text. Only the k new positions are ones for everybody."
        )
    return f"For the mask {mask.tolist()} and k = 2 your result is {rows}. The k new positions come first, and every token may look at them."


def inputs(draw):
    yield torch.tensor([[1]]), 1
    yield torch.tensor([[1, 1, 1]]), 3
    for sentences, length, k in ((2, 4, 2), (3, 3, 3), (5, 2, 6), (1, 9, 8), (4, 6, 0)):
        ends = torch.tensor(draw.integers(1, length + 1, size=(sentences, 1)))
        yield (torch.arange(length)[None] < ends).long(), k


hints = [
    "Where do the k rows stand: in front of the words or behind them? The mask goes by position.",
    "Take a sentence of two tokens in a batch of four: the positions hold prompt, prompt, token, token, padding, padding.",
    "Join the ones and the mask the other way round.",
]
misconceptions = [
    ("def longer_mask(mask, k):\n    return careless_mask(mask, k)", "Still the careless mask"),
    (
        "def longer_mask(mask, k):\n    return torch.cat([torch.zeros(len(mask), k, dtype=mask.dtype), mask], dim=1)",
        "mask the prompt out",
    ),
    (
        "def longer_mask(mask, k):\n    return torch.ones(len(mask), k + mask.shape[1], dtype=mask.dtype)",
        "padding counts as text",
    ),
    ("def longer_mask(mask, k):\n    return mask", "should give"),
]

# %%
for name, rule in {"careless": careless_mask, "repaired": longer_mask}.items():
    flipped, largest = company(rule)
    print(
        f"{name:<10} {flipped:>5.0%} of the answers change "
        f"with the company, a score by up to {largest:.2f}"
    )

# %% [markdown]
# The careless mask hides words of every sentence that is not the longest of its batch: at its end, where it
# is read, or in the middle. How many depends on the longest one. (What remains after the repair is rounding:
# numbers in bf16 have few digits, and another batch shape adds them up in another order.) Whenever you change
# what goes *into* a model, ask the same sentence alone and in company.
#
# ### Learn, in plain PyTorch
#
# Everything is there: rows in front, a mask, two words to compare with. One backward pass. Which numbers
# receive a gradient?

# %%
soft = nn.Parameter(start.clone())
few = train.select(range(16))
labels = torch.tensor(few["label"][:], device=soft.device)

loss = nn.functional.cross_entropy(scores(few["text"], soft, longer_mask), labels)
loss.backward()
touched = [name for name, weight in model.named_parameters() if weight.grad is not None]
print(f"weights of the model with a gradient: {touched}")
print(f"gradient of the prompt: shape {tuple(soft.grad.shape)}, length {soft.grad.norm():.4f}")

# %% [markdown]
# Only the prompt. A few steps on these 16 sentences, then:

# %%
optimizer = torch.optim.AdamW([soft], lr=0.03, weight_decay=0.0)
for _ in range(settings.pick(smoke=3, cpu=10)):
    optimizer.zero_grad()
    now = nn.functional.cross_entropy(scores(few["text"], soft, longer_mask), labels)
    now.backward()
    optimizer.step()
print(
    f"loss on these 16 sentences: {loss.item():.3f} before, {now.item():.3f} at the last step"
)

# %% [markdown]
# When the loss falls, it learns. Whether something about films or only about these 16 sentences is the question
# of the third part.
#
# ## Count what trains, before it trains
#
# PEFT calls the recipe `PromptTuningConfig`. Before it prints anything, say what it will print.

# %% tags=["exercise"] exercise="technique_prompt_beginner/count" answer="prompt_numbers" minutes=5 difficulty=1
# How many numbers train: a soft prompt of k virtual tokens on this model, no new head?
# `model.config` knows the width of the model, its layers and its vocabulary.
prompt_numbers = ...
# <solution>
prompt_numbers = k * model.config.hidden_size
# </solution>


# %% tags=["check"] exercise="technique_prompt_beginner/count"
def check(answer):
    shape = model.config
    width, depth = shape.hidden_size, shape.num_hidden_layers
    if isinstance(answer, bool) or not isinstance(answer, int | float | np.number):
        return f"This is a {type(answer).__name__}. A single number is wanted."
    if answer == k * width:
        return None
    if answer == k:
        return "That is the number of virtual tokens. How many numbers is one of them made of?"
    if answer == width:
        return "That is one virtual token. We have k of them."
    if answer in (k * width * depth, 2 * k * width * depth):
        return "You count rows in every layer. That is another method, prefix tuning; here the rows enter once, at the bottom, like words."
    if answer == k * width + 2 * width + 2:
        return "You added a head with two classes. There is none here: two rows of the frozen dictionary judge, and they are not trained."
    if answer == k * shape.vocab_size:
        return "The vocabulary is how many words the dictionary has. An invented row belongs to none of them; how long is it?"
    return f"You say {answer:,g}. We do not recognise where it comes from: it should be the number of rows, {k}, times the numbers in one of them."


hints = [
    "A virtual token is one row, as long as the row of a real word.",
    "The width is called `hidden_size`.",
    "`k * model.config.hidden_size`",
]
misconceptions = [
    ("prompt_numbers = k", "How many numbers is one of them"),
    (
        "prompt_numbers = k * model.config.hidden_size * model.config.num_hidden_layers",
        "prefix tuning",
    ),
    (
        "prompt_numbers = k * model.config.hidden_size + 2 * model.config.hidden_size + 2",
        "added a head",
    ),
    ("prompt_numbers = k * model.config.vocab_size", "how many words the dictionary has"),
]

# %%
shape = model.config
about = {
    "token_dim": shape.hidden_size,
    "num_layers": shape.num_hidden_layers,
    "num_attention_heads": shape.num_attention_heads,
}
prompt_recipe = PromptTuningConfig(
    task_type="FEATURE_EXTRACTION",
    num_virtual_tokens=k,
    prompt_tuning_init="SAMPLE_VOCAB",
    **about,
)
by_peft = get_peft_model(frozen_model(), copy.deepcopy(prompt_recipe)).eval()
models.describe(by_peft)
print(f"\nYou said {prompt_numbers:,.0f}.")

# %% [markdown]
# (`FEATURE_EXTRACTION` because we want final vectors, and read them ourselves.) `SAMPLE_VOCAB` starts each
# vector at a real word drawn by lot, as we did; the intermediate lesson compares it with other starts.
#
# Is PEFT's prompt the same as ours? Put our vectors into it and compare what comes out:

# %%
with torch.inference_mode():
    by_peft.prompt_encoder["default"].embedding.weight.copy_(soft)
    batch = batched([frame.format(text) for text in few["text"]])
    theirs = two_words(read_last(by_peft(**batch).last_hidden_state, batch["attention_mask"]))
    ours = scores(few["text"], soft, longer_mask)
print(
    "largest difference between our scores and PEFT's: "
    f"{(ours - theirs).abs().max().item():.1e}"
)
del by_peft

# %%
typical = round(
    np.mean(
        [
            len(ids)
            for ids in tokenizer([frame.format(text) for text in train["text"]])["input_ids"]
        ]
    )
)

# %% [markdown]
# The same thing once more, so from here on PEFT does it. Move the number of virtual tokens, and try larger
# models. Two prices are shown: the numbers that train, and the places in the **context** (the longest text a model
# can read) that no text can use any more.


# %%
from labhelpers import planner


# %%
def room(name="smollm2-135m", virtual_tokens=8):
    asked, steps = models.config(name), [1, 2, 5, 10, 20, 50, 100, 200]
    lora = planner.lora_parameters(asked, 8).adapter
    trained = [n * asked.hidden_size for n in steps]
    series = {"soft prompt": trained, "LoRA, r = 8": [lora] * len(steps)}
    taken = virtual_tokens / asked.max_position_embeddings
    title = (
        f"{name}: {virtual_tokens} virtual tokens are "
        f"{virtual_tokens * asked.hidden_size:,} numbers and {taken:.1%} of the context"
    )
    captions = {"xlabel": "virtual tokens", "ylabel": "trained numbers"}
    figure = plots.lines(steps, series, log_x=True, log_y=True, title=title, **captions)
    figure.axes[0].axvline(virtual_tokens, color="#777777", lw=1.2, ls="--", zorder=0)
    plots.show(figure, alt=f"Trained numbers against virtual tokens, and LoRA's. {title}.")
    share = virtual_tokens * asked.hidden_size / planner.parameters(asked)
    longer = virtual_tokens / typical
    print(
        f"{share:.4%} of the model. A film sentence of {typical} "
        f"tokens gets {longer:.0%} longer, and so does the computing."
    )


# %%
widgets.explore(
    room,
    name=["smollm2-135m", "minilm-l6", "distilbert-base", "gpt2", "llama-7b"],
    virtual_tokens=(1, 200),
)

# %% [markdown]
# ## A small classifier from a frozen model
#
# (Why a language model today, and not the encoder of Day 4? BERT's head reads the *first* position, and with a prompt
# in front that is no longer `[CLS]` but your first invented word. A language model is read at its *last* position,
# which stays where it was. The guide has more on this.)
#
# The whole classifier is ten lines, with no new head that could do the learning instead of the prompt. It takes the
# model with a prompt in front, with LoRA inside, or with nothing:


# %%
class Judge(nn.Module):
    """Say which of the two words the model would rather write next."""

    def __init__(self, reader):
        super().__init__()
        self.reader, self.config = reader, reader.config

    def forward(self, input_ids, attention_mask, labels=None):
        hidden = self.reader(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        logits = two_words(read_last(hidden, attention_mask))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


# %%
def framed(part):
    return Dataset.from_dict(
        {"text": [frame.format(text) for text in part["text"]], "label": part["label"][:]}
    )


parts = DatasetDict(train=framed(train), choosing=framed(choosing), judging=framed(judging))
tokens = data.tokenize(parts, tokenizer, max_length=longest + 8)
truth = {name: np.array(part["labels"]) for name, part in tokens.items()}
collator = DataCollatorWithPadding(tokenizer)


def right(judge, name):
    """One True or False per sentence of a part."""
    return (
        training.predict(judge, tokens[name], collator=collator).argmax(axis=1) == truth[name]
    )


# %% [markdown]
# Doing nothing has two versions. The model as it is; and the model with its *threshold* moved: perhaps it
# only likes one of the two words too much, and a single number would mend that. We take the number that makes
# half of the choosing part positive. And a bar that knows no language model: Day 3's word counts, learnt from
# the training sentences.

# %%
untrained = {
    name: training.predict(Judge(model), tokens[name], collator=collator)
    for name in ("choosing", "judging")
}
nothing = untrained["judging"].argmax(axis=1) == truth["judging"]
margins = {name: each[:, 1] - each[:, 0] for name, each in untrained.items()}
threshold = (margins["judging"] > np.median(margins["choosing"])) == truth["judging"]
print(f"as it is {nothing.mean():.1%} right, with the threshold moved {threshold.mean():.1%}")

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

counter = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
counter.fit(train["text"][:], train["label"][:])
counted = counter.predict(judging["text"][:]) == truth["judging"]
print(f"word counts, learnt from the same {len(train)} sentences: {counted.mean():.1%} right")

# %% [markdown]
# ### A race, and what is equal in it
#
# Against them: eight invented words, and Day 4's LoRA recipe (rank 8 on query and value) on the same model.
# Both read the same two words, train on the same sentences, for the same number of steps.
#
# That is *equal*. Is it *fair*? Soft prompts are known to learn slowly, so a short race favours LoRA by its length
# alone. So the prompt runs twice: for one pass over the sentences, as LoRA does, and for three.

# %%
lora_recipe = LoraConfig(
    task_type="FEATURE_EXTRACTION",
    r=8,
    lora_alpha=16,
    lora_dropout=0.05,
    target_modules=models.lora_targets(model),
)
recipes = {"prompt": prompt_recipe, "lora": lora_recipe}


# %%
def fit(method, rate, seed, share=1, passes=1):
    """Train a fresh judge on a share of the sentences, or find the run again."""
    set_seed(seed)
    part = tokens["train"].select(range(int(share * len(train))))
    adapted = get_peft_model(frozen_model(), copy.deepcopy(recipes[method]))
    training.keep_adapters_precise(adapted)
    name = f"{method}-{rate:g}-{len(part)}x{passes}-seed{seed}"
    quiet = {"disable_tqdm": True, "save_strategy": "no", "num_train_epochs": passes}
    size = {"per_device_train_batch_size": settings.pick(smoke=8, cpu=16)}
    args = training.arguments(name, learning_rate=rate, seed=seed, **size, **quiet)
    trainer = Trainer(
        model=Judge(adapted), args=args, train_dataset=part, data_collator=collator
    )
    with contextlib.redirect_stdout(io.StringIO()):  # one line per run is printed below
        run = training.train(trainer, name)
    return trainer.model, run


# %% [markdown]
# The learning rate first. Each method gets the same number of tries, on half of the training sentences, with
# one seed, and is compared on the sentences set aside for choosing. The Trainer's default, 5e-5, is not even
# among the prompt's tries. The quiz asks why.

# %%
rates = {"prompt": [3e-3, 3e-2, 3e-1], "lora": [2e-4, 2e-3, 2e-2]}
rates = settings.pick(smoke={method: tries[1:2] for method, tries in rates.items()}, cpu=rates)
tried, chosen = {}, {}
for method, tries in rates.items():
    for rate in tries:
        judge, run = fit(method, rate, lab.seed, share=0.5)
        tried[method, rate] = right(judge, "choosing").mean()
        print(
            f"{method:<7} rate {rate:<6g} {tried[method, rate]:.1%} right, "
            f"trained in {run.seconds:.0f} s"
        )
    chosen[method] = max(tries, key=lambda rate: tried[method, rate])

# %%
figure, axes = plt.subplots()
for method, tries in rates.items():
    heights = [100 * tried[method, rate] for rate in tries]
    (line,) = axes.plot(tries, heights, "o-")
    axes.annotate(
        method,
        (tries[0], heights[0]),
        (0, 8),
        textcoords="offset points",
        color=line.get_color(),
    )
axes.set(
    xscale="log", xlabel="learning rate (logarithmic)", ylabel="right on the choosing part (%)"
)
finding = f"Chosen, of each one's tries: prompt {chosen['prompt']:g}, LoRA {chosen['lora']:g}"
axes.set_title(finding)
axes.margins(y=0.2)
plots.show(figure, alt=f"Accuracy against learning rate for both methods. {finding}.")

# %% [markdown]
# A prompt has few numbers, and each has to do the work of many: it needs longer strides. Lester and co-authors trained
# theirs with a rate of 0.3 (and another optimizer). Look at the right end of both lines, too: is a model after too
# long a stride still better than an untouched one?
#
# Now the chosen rates on all the training sentences, with seeds that chose nothing. A seed decides the words a
# prompt starts from (for LoRA: the random half of its detours) and the order of the sentences. We judge on
# sentences that nobody trained or chose with.

# %%
seeds = [lab.seed + step for step in range(1, settings.pick(smoke=3, cpu=4))]
verdicts, seconds, learnt, costs = {}, {}, {}, {}
for method, rate in chosen.items():
    for seed in seeds:
        judge, run = fit(method, rate, seed)
        verdicts[method, seed] = right(judge, "judging")
        seconds.setdefault(method, []).append(run.seconds)
        print(
            f"{method:<7} seed {seed}: "
            f"{verdicts[method, seed].mean():.1%} right on fresh sentences"
        )
        if method == "prompt":
            learnt[seed] = (
                judge.reader.prompt_encoder["default"].embedding.weight.detach().clone()
            )
        if seed == seeds[0]:
            folder = lab.workspace / "adapters" / run.folder.name
            training.save_once(folder, judge.reader.save_pretrained)  # whole or not at all
            costs[method] = (models.count_parameters(judge.reader).trainable, folder)

# %%
LONGER = "prompt, 3 passes"
for seed in seeds:
    judge, _ = fit("prompt", chosen["prompt"], seed, passes=3)
    verdicts[LONGER, seed] = right(judge, "judging")
    print(f"{LONGER}, seed {seed}: {verdicts[LONGER, seed].mean():.1%} right")

# %%
rows = {"doing nothing": nothing, "threshold moved": threshold, "word counts": counted} | {
    f"{method}, seed {seed}": each for (method, seed), each in verdicts.items()
}
intervals = [metrics.bootstrap_interval(each) for each in rows.values()]
percent = [(100 * part.estimate, 100 * part.low, 100 * part.high) for part in intervals]

# %%
of_method = {
    method: np.array([verdicts[method, seed] for seed in seeds])
    for method in ("prompt", LONGER, "lora")
}
mean = {method: 100 * each.mean() for method, each in of_method.items()}

# %%
title = (
    f"Nothing {percent[0][0]:.1f} %, "
    f"prompt {mean['prompt']:.1f} %, LoRA {mean['lora']:.1f} % right"
)
figure = plots.interval_bars(
    list(rows),
    percent,
    guess=guess,
    title=title,
    xlabel=f"right on {len(judging):,} fresh sentences (%), 95 % intervals",
)
plots.show(figure, alt=f"Accuracy with intervals per method and seed. {title}.")
guess.compare(mean["prompt"])

# %% [markdown]
# Each bar speaks of *one* model. About the methods, ask all seeds and all sentences at once. The word at the end of a
# line is about the first of the two.

# %%
against_nothing = metrics.compare(of_method["prompt"], nothing)
against_prompt = metrics.compare(of_method["lora"], of_method["prompt"])
against_longer = metrics.compare(of_method["lora"], of_method[LONGER])
print(f"prompt minus doing nothing:        {against_nothing}")
print(f"prompt minus word counts:          {metrics.compare(of_method['prompt'], counted)}")
print(f"LoRA minus prompt, equal steps:    {against_prompt}")
print(f"LoRA minus prompt of three passes: {against_longer}")
gain, lead = against_nothing.points[0], against_prompt.points[0]

# %% [markdown]
# And what did each cost?

# %%
table = {}
for method, (trained, folder) in costs.items():
    table[method] = {
        "trained numbers": trained,
        "file (bytes)": (folder / "adapter_model.safetensors").stat().st_size,
        "training (s)": round(float(np.mean(seconds[method])), 1),
        "right (%)": round(float(mean[method]), 1),
    }
pd.DataFrame.from_dict(table, orient="index")

# %%
adapter_bytes = table["prompt"]["file (bytes)"]
fewer = table["lora"]["trained numbers"] / table["prompt"]["trained numbers"]
price = table["prompt"]["training (s)"] / table["lora"]["training (s)"]
print(
    f"The prompt trains {fewer:.0f} times fewer numbers than LoRA, "
    f"and takes {price:.2f} times its time."
)
print(
    f"{prompt_numbers:,} numbers × 4 bytes = {4 * prompt_numbers:,}; "
    f"the file of {adapter_bytes:,} bytes adds a name and a shape."
)

# %% [markdown]
# Few numbers, full price: the prompt stands at the very beginning, so the error has to travel back through
# all layers to reach it.
#
# **An honest verdict.** Eight invented words in front of an untouched model, a file of a few kilobytes: the first two
# comparisons say what they brought, the last two how they stand against LoRA, which reaches into every layer with many
# times the numbers, and how much of that was a matter of steps. (The longer run kept the rate of the short one.) Do not
# stretch them. They speak of one model of 135 million weights (it went through 4-bit quantisation once, on its way to
# this machine), one task, a few hundred sentences. Lester and
# co-authors (section 3.1 and figure 1) measured that prompt tuning stays behind full fine-tuning on small models, and
# catches up when they reach billions of weights.
#
# ## What did the prompt learn?
#
# The vectors lie in the same space as the words. So which real words are they closest to? It is tempting to read
# them like a message.


# %% tags=["exercise"] exercise="technique_prompt_beginner/nearest" answer="nearest" minutes=8 difficulty=2
# vector: (width,).  table: (words, width), the dictionary.
# Return the positions of the n rows whose *direction* is most similar to the vector's (the
# largest cosine), nearest first.
def nearest(vector, table, n): ...


# <solution>
def nearest(vector, table, n):
    cosine = nn.functional.normalize(table, dim=1) @ nn.functional.normalize(vector, dim=0)
    return cosine.topk(n).indices.tolist()


# </solution>


# %% tags=["check"] exercise="technique_prompt_beginner/nearest"
def check(answer):
    table = torch.tensor([[0.5, 0.2], [9.0, 9.0], [1.0, 0.0], [-2.0, 0.1], [0.0, 1.0]])
    vector = torch.tensor([4.0, 0.4])
    try:
        result = answer(vector, table, 3)
    except (RuntimeError, TypeError, IndexError) as error:
        return f"PyTorch refuses ({str(error).splitlines()[0]}). A table of shape (words, width) times a vector of shape (width,) gives one number per word."
    if not hasattr(result, "__len__") or len(result) != 3:
        return f"Three positions are wanted, as a list, when n is 3; yours gives {result!r}."
    if any(part != int(part) for part in result):
        return "These are the similarities. The positions of the rows are wanted, to look the words up."
    result = [int(part) for part in result]
    if result == [2, 0, 1]:
        return None
    if result == [1, 2, 0]:
        return "Your first is the longest row, not the one with the most similar direction: a plain product rewards length. Divide both by their lengths."
    if result == [2, 0, 4]:
        return "You measure distances. A learnt vector may be far longer than any word, and then the nearest end point says little; the direction is asked for."
    if result == [3, 4, 1]:
        return "You list the least similar rows. The largest cosine comes first."
    if sorted(result) == [0, 1, 2]:
        return "The right rows in the wrong order: nearest first."
    return f"For the table {table.tolist()} and the vector {vector.tolist()} the answer is [2, 0, 1]; you say {result}. We do not recognise the mistake."


def inputs(draw):
    for width, words, n in ((4, 9, 3), (2, 5, 5), (7, 3, 1), (3, 12, 2)):
        table = draw.normal(size=(words, width)) * draw.uniform(0.2, 9, size=(words, 1))
        vector = torch.tensor(9 * draw.normal(size=width), dtype=torch.float32)
        yield vector, torch.tensor(table, dtype=torch.float32), n
    yield torch.tensor([1.0, 0.0]), torch.tensor([[-1.0, 0.2], [-9.0, 0.1], [-1.0, 3.0]]), 2
    yield torch.tensor([2.0, 2.0]), torch.tensor([[3.0, 3.0]]), 1
    yield torch.tensor([0.01, 0.0]), torch.tensor([[8.0, 1.0], [0.01, 0.01], [0.02, 0.0]]), 2


hints = [
    "The cosine of two vectors is their product after both have been divided by their lengths.",
    "`nn.functional.normalize(table, dim=1)` brings every row to length 1.",
    "`cosine.topk(n).indices`",
]
misconceptions = [
    (
        "def nearest(vector, table, n):\n    return (table @ vector).topk(n).indices.tolist()",
        "rewards length",
    ),
    (
        "def nearest(vector, table, n):\n    return (table - vector).norm(dim=1).topk(n, largest=False).indices.tolist()",
        "You measure distances",
    ),
    (
        "def nearest(vector, table, n):\n    return nn.functional.cosine_similarity(table, vector[None]).argsort()[:n].tolist()",
        "least similar",
    ),
    (
        "def nearest(vector, table, n):\n    return nn.functional.cosine_similarity(table, vector[None]).topk(n).values.tolist()",
        "These are the similarities",
    ),
]

# %%
dictionary = embed.weight.detach().float()


def as_words(vectors):
    """Name the nearest word of each vector, and say how similar the two are (cosine)."""
    rows = [int(nearest(vector, dictionary, 1)[0]) for vector in vectors]
    cosines = nn.functional.cosine_similarity(vectors, dictionary[rows], dim=1)
    return rows, "  ".join(repr(tokenizer.decode([row])) for row in rows), cosines.mean().item()


listed = {seed: as_words(vectors) for seed, vectors in learnt.items()}
for seed, (_, text, _) in listed.items():
    print(f"seed {seed}: {text}")

# %% [markdown]
# Can you make out a message? Most people can, in almost any list; that is what makes it dangerous. So ask how *near*
# these words are, and for something to compare with. Vectors of pure chance have nearest words, too; so has each word.

# %%
draw = torch.Generator().manual_seed(lab.seed)
chance = torch.randn(10, shape.hidden_size, generator=draw).to(dictionary.device)
near_chance = as_words(chance)[2]
near_learnt = float(np.mean([cosine for _, _, cosine in listed.values()]))
some_words = dictionary[2000:2010]
neighbours = dictionary[[int(nearest(word, dictionary, 2)[1]) for word in some_words]]
near_words = nn.functional.cosine_similarity(some_words, neighbours, dim=1).mean().item()

# %%
figure = plots.dots(
    [near_words, near_learnt, near_chance],
    ["a real word and its neighbour", "a learnt vector", "a vector of pure chance"],
    title=f"Nearest word: cosine {near_learnt:.2f} when learnt, {near_chance:.2f} by chance",
    xlabel="cosine with the nearest real word (1 = same direction), mean",
)
plots.show(
    figure,
    alt=(
        f"Cosine with the nearest word: neighbours {near_words:.2f}, "
        f"learnt {near_learnt:.2f}, chance {near_chance:.2f}."
    ),
)

# %% [markdown]
# The nearer the middle dot lies to the first, the more a learnt vector is like a word. A message after all? One more
# thing to look at before you read it: the words that the prompt *began* with, drawn by lot.


# %%
def beginning(seed):
    """The rows that a seed's prompt had before its first step."""
    set_seed(seed)
    reader = get_peft_model(frozen_model(), copy.deepcopy(prompt_recipe))
    return reader.prompt_encoder["default"].embedding.weight.detach()


kept_words = []
for seed, (rows_near, _, _) in listed.items():
    rows_begun, begun, _ = as_words(beginning(seed))
    kept_words += [now == then for now, then in zip(rows_near, rows_begun, strict=True)]
    print(f"seed {seed} began at: {begun}")
print(
    f"{sum(kept_words)} of {len(kept_words)} learnt "
    "vectors are still nearest to the word they began at."
)

# %% [markdown]
# Where a vector is still nearest to the word it began at, the list does not say what the prompt has learnt. It says
# where the lottery put it. Training has moved each vector away from its word, and that move is what the prompt knows.
# If so, the listed words alone should know less. Put them there.


# %%
def right_by_hand(vectors, part, size=25):
    """One True or False per sentence with these vectors in front, in plain PyTorch."""
    answers = []
    for first in range(0, len(part), size):
        with torch.inference_mode():
            some = part["text"][first : first + size]
            answers += scores(some, vectors, longer_mask).argmax(dim=1).tolist()
    return answers == np.array(part["label"])


# %%
half = judging.select(range(len(judging) // 2))
kept = of_method["prompt"][:, : len(half)]
snapped = np.array(
    [right_by_hand(dictionary[rows_near], half) for rows_near, _, _ in listed.values()]
)
for seed, learnt_right, words_right in zip(seeds, kept, snapped, strict=True):
    print(
        f"seed {seed}: learnt vectors {learnt_right.mean():.1%} right, "
        f"their nearest words {words_right.mean():.1%}"
    )
as_words_lose = metrics.compare(kept, snapped)
print(f"learnt vectors minus their nearest words: {as_words_lose}")
print(f"doing nothing: {nothing[: len(half)].mean():.1%} of the same {len(half)} sentences")

# %% [markdown]
# A learnt vector is a push in a direction, and the nearest word is only the name of the place it set out from. If you
# must explain a soft prompt, explain what it *does*: which sentences changed sides.

# %%
sides = judging.features["label"].names
changed = np.flatnonzero(verdicts["prompt", seeds[0]] & ~nothing)
counts = pd.Series([sides[judging[int(at)]["label"]] for at in changed]).value_counts()
print(f"right now, wrong before: {counts.to_dict()}")
for at in changed[:4]:
    print(f"[{sides[judging[int(at)]['label']]}] {judging[int(at)]['text'][:100]}")

# %% [markdown]
# ## What you saw

# %%
tracking.record("zero_shot_accuracy", nothing.mean())
tracking.record("threshold_accuracy", threshold.mean())
tracking.record("prompt_accuracy", mean["prompt"] / 100)
tracking.record("lora_accuracy", mean["lora"] / 100)
tracking.record("gain_points", gain)
tracking.record("lora_lead_points", lead)
tracking.record("trained_numbers", table["prompt"]["trained numbers"])
tracking.record("adapter_bytes", adapter_bytes)
tracking.record("cosine_learnt", near_learnt)
tracking.record("cosine_chance", near_chance)
tracking.record("start_words_kept", np.mean(kept_words))
tracking.record("points_lost_as_words", as_words_lose.points[0])

# %% tags=["quiz"]
quiz = [
    {
        "question": "LLaMA-7B has width 4,096. How many numbers train in a soft prompt of 20 virtual tokens, and what share of the model's 6,738,415,616 is that?",
        "choices": [
            (
                "81,920, about 0.0012 %",
                "Right: 20 rows of 4,096. The share falls as models grow, because the rows widen more slowly than the model grows.",
                True,
            ),
            (
                "20, as good as nothing",
                "Twenty rows. Each of them is 4,096 numbers long.",
                False,
            ),
            (
                "2,621,440, about 0.04 %",
                "That would be 20 rows in each of 32 layers. A soft prompt enters once, at the bottom.",
                False,
            ),
            (
                "640,000, about 0.01 %",
                "That multiplies by the 32,000 words of the dictionary. Invented rows have nothing to do with its length.",
                False,
            ),
        ],
        "proof": """
assert 20 * 4096 == 81_920 and 0.0012 <= 100 * 81_920 / 6_738_415_616 < 0.00125
assert 20 * 4096 * 32 == 2_621_440 and 20 * 32_000 == 640_000
""",
    },
    {
        "question": "Somebody trains a soft prompt for 100 steps with the Trainer's default rate, 5e-5, and reports that prompt tuning does not work. AdamW moves each number by about one learning rate per step. What happened?",
        "choices": [
            (
                "Each number moved by 0.005 at most, roughly: the prompt is still where it began.",
                "Right. The schedule makes it even less. With a rate of 0.01 the same steps could carry a number a whole unit away.",
                True,
            ),
            (
                "The prompt overfitted: so few numbers adapt to single sentences.",
                "To overfit it would first have to move. Compare the step size with the number of steps.",
                False,
            ),
            (
                "The gradient of a prompt is always zero, because the model is frozen.",
                "Frozen weights pass the gradient on; they only do not use it. You saw it arrive.",
                False,
            ),
            (
                "Nothing: 5e-5 is a good rate for fine-tuning, so the method is weak.",
                "It is a usual rate for full fine-tuning, where many millions of numbers each move a little. Here a few thousand must do all of it.",
                False,
            ),
        ],
        "proof": """
import torch
number = torch.nn.Parameter(torch.zeros(1))
optimizer = torch.optim.AdamW([number], lr=5e-5, weight_decay=0.0)
for _ in range(100):
    optimizer.zero_grad(); (-number.sum()).backward(); optimizer.step()
assert abs(number.item() - 100 * 5e-5) < 1e-5 and abs(100 * 5e-5 - 0.005) < 1e-12
assert 100 * 0.01 == 1
""",
    },
    {
        "question": "On this model the prompt trains a hundred times fewer numbers than LoRA. Why is a training step not a hundred times quicker?",
        "choices": [
            (
                "The prompt stands at the very beginning: the error has to travel back through all layers to reach it.",
                "Right. Forward and backward through the frozen model are nearly all of the work, and the sentence got longer, too.",
                True,
            ),
            (
                "PEFT is badly written.",
                "A hand-written loop has to take the same way back.",
                False,
            ),
            (
                "Because the optimizer is slow.",
                "The optimizer touches only the trained numbers: a few thousand. It is done in no time.",
                False,
            ),
            (
                "It would be, on a GPU.",
                "A GPU does every step faster, but the shares stay alike: the way through the frozen layers is the work.",
                False,
            ),
        ],
        "proof": """
prompt, lora = 8 * 576, 30 * 8 * ((576 + 576) + (576 + 192))
assert lora / prompt == 100
""",
    },
    {
        "question": "A blog shows the words nearest to a learnt prompt, among them 'splendid', and concludes that the model asks itself whether the film is splendid. What do you ask first?",
        "choices": [
            (
                "Which words the prompt began at, and what the listed words do when they are put in its place.",
                "Right: something to compare with, and a test of what the list is worth. You have made both.",
                True,
            ),
            (
                "Whether 'splendid' is in the training sentences.",
                "It may well be. That says nothing about whether the vector means the word.",
                False,
            ),
            (
                "How many virtual tokens were trained.",
                "Good to know, but it does not tell a meaning from a coincidence.",
                False,
            ),
            (
                "Nothing: nearest words are how soft prompts are read.",
                "Every vector has a nearest word, also one of pure chance. 'Nearest' does not mean 'near'.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **Twenty rows, or one.** Change `k` where it is set and run from there. Which is the smallest number that
#   still beats doing nothing?
# - **A worse wording.** Start from the frame that did worst in the first cells. Does the prompt mend a bad
#   wording more than a good one?
# - The intermediate lesson asks where a prompt should begin, how long it should be, and how many tasks one
#   frozen model can serve.
#
# **Read.** Lester et al., section 2 for the method, section 3 with figure 1 for model size, and section 7,
# where the authors look at nearest words as well. Then Khashabi et al. (2022): they made prompts that solve a
# task while their nearest words spell any text they liked, even the description of another task.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/prompt_beginner.py`](../examples/prompt_beginner.py) trains a soft prompt for any labels in one
# plain file, without our helpers. Here it meets text messages, *spam* or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=20, cpu=300)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/prompt_beginner.py --data my_texts.csv --output my_prompt
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "prompt_beginner.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_prompt")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# Seven messages in eight are ham. Is the prompt better than saying so every time? Have a file of your own? Give it two
# columns, `text` and `label`, put its path into `mine`, and run the last cell again.
