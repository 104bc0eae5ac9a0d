# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("technique_prompt_intermediate")

# %%
import contextlib
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from peft import (
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from torch import nn
from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding, Trainer, set_seed
from transformers.modeling_outputs import SequenceClassifierOutput

# %%
from labhelpers import data, exercise, metrics, models, planner, plots, progress, quiz
from labhelpers import tracking, training, widgets

# %% [markdown]
# ## Why this matters
#
# In the beginner lesson your soft prompt began at words drawn by lot, was eight rows long, and served one task. You did
# not choose any of that; the notebook did. PEFT does not choose well for you either: whoever writes
# `PromptTuningConfig(num_virtual_tokens=8)` and nothing else starts at numbers from a bell curve.
#
# Today there are few sentences to learn from, as there usually are, and so it matters where a prompt begins. Three
# starts, the same frozen model, the same sentences, the same number of tries for the learning rate. How far apart will
# the best and the worst start end?

# %%
spread_guess = widgets.predict(
    "prompt-intermediate-start",
    "Accuracy after the best start minus after the worst",
    0,
    40,
    "points",
)

# %% [markdown]
# Model, sentences and judge are those of the [beginner lesson](prompt_beginner.ipynb): a frozen language model reads a
# short film sentence and *Sentiment:*, and the word that it would rather write next is its answer.

# %%
source = models.source("decoder")
tokenizer = AutoTokenizer.from_pretrained(source)
collator = DataCollatorWithPadding(tokenizer)
longest = settings.pick(
    cpu=24, gpu=200
)  # the film reviews on the Hub are longer than our sentences


def framed(texts, labels, frame):
    """Put each text into its frame and tokenise it."""
    return Dataset.from_dict(
        {**tokenizer([frame.format(text) for text in texts]), "labels": labels}
    )


def short(part):
    """Keep the sentences of at most `longest` tokens."""
    lengths = [len(ids) for ids in tokenizer(part["text"][:])["input_ids"]]
    return part.select(np.flatnonzero(np.array(lengths) <= longest))


# %%
sizes = settings.pick(
    smoke={"train": 8, "choosing": 8, "judging": 24},
    cpu={"train": 128, "choosing": 120, "judging": 240},
)


def parts_of(dataset, frame):
    """Cut the first rows into the three parts: to train on, to choose with, to judge with."""
    parts, first = {}, 0
    for name, size in sizes.items():
        part, first = dataset.select(range(first, first + size)), first + size
        parts[name] = framed(part["text"][:], part["label"][:], frame)
    return parts


reviews = short(data.prepared("sentiment")["train"])
films = {"parts": parts_of(reviews, "{}\nSentiment:"), "words": (" negative", " positive")}
print(", ".join(f"{len(part)} sentences for {name}" for name, part in films["parts"].items()))
print(repr(tokenizer.decode(films["parts"]["train"][0]["input_ids"])))

# %%
base = AutoModel.from_pretrained(source, **training.load_options("decoder"))
base = base.requires_grad_(False).eval().to(settings.device())
embed = base.get_input_embeddings()


# %%
class Judge(nn.Module):
    """Say which of some words the model would rather write next."""

    def __init__(self, reader, words):
        super().__init__()
        self.reader, self.config = reader, base.config
        self.rows = [tokenizer.encode(word)[0] for word in words]

    def forward(self, input_ids, attention_mask, labels=None):
        hidden = self.reader(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state
        text = hidden[:, -input_ids.shape[1] :]  # a prompt makes the answer longer at the front
        last = text[torch.arange(len(text), device=text.device), attention_mask.sum(dim=1) - 1]
        logits = last.float() @ embed.weight[self.rows].float().T
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


# %%
def right(reader, part, task=films):
    """One True or False per sentence of a part."""
    rows = task["parts"][part]
    logits = training.predict(Judge(reader, task["words"]), rows, collator=collator)
    return logits.argmax(axis=1) == np.array(rows["labels"])


nothing = right(base, "judging")
print(f"no prompt at all: {nothing.mean():.1%} right")

# %% [markdown]
# And a bar that knows no language model, Day 3's word counts, learnt from the same sentences as every prompt below:

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

learn = reviews.select(range(sizes["train"]))
words_only = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
words_only.fit(learn["text"][:], learn["label"][:])
first = sizes["train"] + sizes["choosing"]
judges = reviews.select(range(first, first + sizes["judging"]))
counted = words_only.predict(judges["text"][:]) == np.array(judges["label"][:])
print(f"word counts: {counted.mean():.1%} right")

# %% [markdown]
# ## Start from words, or from noise?
#
# PEFT knows three ways to begin:
#
# - `RANDOM`: numbers from a bell curve. The default.
# - `SAMPLE_VOCAB`: rows of real words, drawn by lot from the dictionary.
# - `TEXT`: the rows of a text of yours. If it has more tokens than the prompt has rows, it is cut; if it has fewer, it
#   is repeated from its beginning until every row is filled.
#
# The last one you can build yourself. Do not fill up with zeros: a row of zeros is no word either.


# %% tags=["exercise"] exercise="technique_prompt_intermediate/begin" answer="begin" minutes=6 difficulty=1
# ids: the token numbers of a text, a list.  table: (vocabulary, width), the dictionary.  k:
# rows wanted.
# Return (k, width): the text's rows in order, cut or repeated to k of them, as fp32. They are
# to be a copy: neither a change of them nor a gradient through them may reach the dictionary.
def begin(ids, table, k): ...


# <solution>
def begin(ids, table, k):
    filled = (list(ids) * (k // len(ids) + 1))[:k]
    return table[filled].detach().float().clone()


# </solution>


# %% tags=["check"] exercise="technique_prompt_intermediate/begin"
def check(answer):
    table = torch.arange(12.0).reshape(6, 2)

    found = []
    for k in (2, 7):
        made = answer([4, 1, 3], table.clone(), k)
        if not isinstance(made, torch.Tensor) or made.ndim != 2:
            return "A tensor of shape (k, width) is wanted: one row of the dictionary per position."
        found.append(made[:, 0].div(2).tolist())
    if len(found[0]) == 3:
        return "A text of 3 tokens and k = 2 should give 2 rows; yours gives 3. Longer texts are cut."
    if found[0] != [4, 1]:
        return f"For the tokens [4, 1, 3] and k = 2 the rows 4 and 1 are wanted; yours are {found[0]}."
    if len(found[1]) < 7:
        return f"A text of 3 tokens and k = 7 gave {len(found[1])} rows. Repeat the text until there are 7."
    if len(found[1]) == 7 and found[1][3:] == [0] * 4:
        return "You filled up with row 0 or with zeros. The model would read that as something; repeat the text instead."
    if found[1] == [4, 1, 3, 3, 3, 3, 3]:
        return "You repeat the last token. The whole text is repeated, from its beginning."
    if found[1] != [4, 1, 3, 4, 1, 3, 4]:
        return f"The tokens [4, 1, 3] repeated to 7 are 4 1 3 4 1 3 4; yours are {found[1]}."
    half = torch.zeros(6, 2, dtype=torch.bfloat16, requires_grad=True)
    made = answer([1, 2], half, 2)
    if made.dtype != torch.float32:
        return "The dictionary may be bf16, and your rows stay bf16: small steps would be rounded away. fp32 is wanted."
    return (
        "Your rows still hang on the dictionary's gradient (`detach`)."
        if made.grad_fn
        else None
    )


def inputs(draw):
    for words, width, length, k in ((6, 2, 3, 7), (9, 4, 4, 4), (5, 3, 1, 6), (8, 5, 6, 2)):
        table = torch.tensor(draw.normal(size=(words, width)), dtype=torch.float32)
        yield draw.integers(words, size=length).tolist(), table, k
    yield [2, 2, 0], table.to(torch.bfloat16), 6
    yield [1, 2, 3], table, 1
    yield list(range(4)), table, 4


def trial(answer, ids, table, k):
    """The rows, their number type, whether a gradient leaves them, and what changing them does."""
    table = table.clone().requires_grad_()
    before = table.detach().clone()
    made = answer(ids, table, k)
    rows, hangs = made.detach().clone(), made.grad_fn is not None
    made.data.add_(1)
    return {
        "rows": rows,
        "number type": str(made.dtype),
        "a gradient leaves them": hangs,
        "the dictionary stays": torch.equal(table.detach(), before),
    }


hints = [
    "Work on the list of token numbers first, then look all rows up at once: `table[numbers]`.",
    "`list(ids) * n` repeats a list; `[:k]` cuts it.",
    "`table[filled].detach().float().clone()`",
]
misconceptions = [
    (
        "def begin(ids, table, k):\n    return table[list(ids)].detach().float().clone()",
        "Longer texts are cut",
    ),
    (
        "def begin(ids, table, k):\n    return table[list(ids)[:k]].detach().float().clone()",
        "Repeat the text until",
    ),
    (
        "def begin(ids, table, k):\n    ids = (list(ids) + [ids[-1]] * k)[:k]\n    return table[ids].detach().float().clone()",
        "repeat the last token",
    ),
    (
        "def begin(ids, table, k):\n    ids = (list(ids) * k)[:k]\n    return table[ids].detach().clone()",
        "rounded away",
    ),
    (
        "def begin(ids, table, k):\n    rows = torch.zeros(k, table.shape[1])\n    rows[: min(k, len(ids))] = table[list(ids)[:k]].detach().float()\n    return rows",
        "with row 0 or with zeros",
    ),
]

# %%
question = "Is this movie review positive or negative? The review:"


def recipe(start, k=8, text=question):
    """A soft prompt of k rows with one of PEFT's starts."""
    words = {"prompt_tuning_init_text": text, "tokenizer_name_or_path": source}
    own = words if start == "TEXT" else {}
    return PromptTuningConfig(
        task_type="FEATURE_EXTRACTION", num_virtual_tokens=k, prompt_tuning_init=start, **own
    )


# %%
def dressed(config, seed=lab.seed):
    """The frozen model, wearing something new; the seed draws what is drawn."""
    set_seed(seed)
    reader = get_peft_model(base, config).eval()
    training.keep_adapters_precise(reader)
    return reader


# %%
theirs = dressed(recipe("TEXT")).prompt_encoder["default"].embedding.weight
ours = begin(tokenizer(question)["input_ids"], embed.weight, 8)
print("largest difference between your rows and PEFT's:", (theirs - ours).abs().max().item())

# %% [markdown]
# Before anything is trained: what does the mere presence of eight rows do to the model?

# %%
chooser = lab.seed  # chooses rates, and does not judge
seeds = [lab.seed + step for step in range(1, settings.pick(smoke=2, cpu=4))]
starts = ["TEXT", "SAMPLE_VOCAB", "RANDOM"]
length = embed.weight.float().norm(dim=1).mean().item()
untrained = {}
for start in starts:
    readers = [
        dressed(recipe(start), seed) for seed in (seeds if start != "TEXT" else seeds[:1])
    ]
    untrained[start] = [100 * right(reader, "judging").mean() for reader in readers]
    row = readers[0].prompt_encoder["default"].embedding.weight.norm(dim=1).mean().item()
    print(
        f"{start:<13} {', '.join(f'{value:.0f} %' for value in untrained[start])} right; "
        f"a row is {row / length:.1f} times as long as a word's"
    )

# %% [markdown]
# Nobody has learnt anything yet. Where a line differs from *no prompt at all*, the mere presence of the rows has
# shifted the model's taste for one of the two words. And look at the noise. Its rows are many times longer than any
# word's. If the model survives them, here is why: each of its layers brings every row to a common length before
# reading it, so only the direction is strange.
#
# ### The same number of tries for each
#
# What training makes of it depends on the learning rate, and a start that suits one rate may not suit another. So each
# start gets the same number of **trials**: every rate once, with one seed. The rate that did best is then run with other
# seeds, and only those are judged: the seed that chose a rate flatters it.
#
# A trial has two accuracies, on two parts of the sentences. Which of them may decide?


# %% tags=["exercise"] exercise="technique_prompt_intermediate/settle" answer="settle" minutes=6 difficulty=2
# trials: a list of dictionaries {"rate": …, "choosing": accuracy, "judging": accuracy}.
# Return the rate to go on with, so that the accuracy on the judging part can be reported
# afterwards as it is. If several trials tie for the best, take the smallest of their rates.
# (A trial may not have been judged yet: then it has no "judging".)
def settle(trials): ...


# <solution>
def settle(trials):
    return max(trials, key=lambda trial: (trial["choosing"], -trial["rate"]))["rate"]


# </solution>


# %% tags=["check"] exercise="technique_prompt_intermediate/settle"
def check(answer):
    def trial(rate, choosing, judging):
        return {"rate": rate, "choosing": choosing, "judging": judging}

    found = answer([trial(0.01, 0.80, 0.70), trial(0.1, 0.75, 0.90), trial(1.0, 0.50, 0.60)])
    if isinstance(found, dict):
        return "You return the whole trial. Only its rate is wanted."
    if found == 0.1:
        return "You chose by the judging part. Whoever picks the best of several on the sentences that judge reports luck as skill."
    if found != 0.01:
        return (
            f"You return {found!r}. The rates were 0.01, 0.1 and 1, and one of them is wanted."
        )
    ties = [trial(0.3, 0.8, 0.7), trial(0.03, 0.8, 0.7), trial(0.1, 0.8, 0.9)]
    for each in (ties, ties[::-1]):
        if answer(each) != 0.03:
            return f"Trials with the rates {[t['rate'] for t in each]} tie, and you return {answer(each)}. The smallest rate was agreed on."
    return None


def inputs(draw):
    def trials(rates, choosing, judging):
        return [
            {"rate": rate, "choosing": choosing[at], "judging": judging[at]}
            for at, rate in enumerate(rates)
        ]

    yield trials([0.5], [0.0], [0.0])
    yield trials([0.1, 0.01, 1.0], [0.7, 0.8, 0.8], [0.9, 0.1, 0.2])
    yield trials([3.0, 0.2, 0.1], [0.9, 0.9, 0.8], [0.1, 0.1, 0.9])
    yield trials([0.1, 0.3, 0.2], [0.8012, 0.8013, 0.8011], [0.3, 0.1, 0.9])
    for _ in range(4):
        rates = draw.permutation([0.001, 0.01, 0.1, 1.0]).tolist()
        yield trials(rates, draw.integers(5, 9, size=4) / 10, draw.random(4))
    yield [{"rate": 0.05, "choosing": 0.6}, {"rate": 0.01, "choosing": 0.6}]


hints = [
    "One of the two parts is there for decisions, and it is called so.",
    "`max(trials, key=…)` gives a trial; you want its rate.",
    'The key can be a pair: `(trial["choosing"], -trial["rate"])`.',
]
misconceptions = [
    (
        'def settle(trials):\n    return max(trials, key=lambda t: t["judging"])["rate"]',
        "luck as skill",
    ),
    ('def settle(trials):\n    return max(t["choosing"] for t in trials)', "You return 0.8"),
    (
        'def settle(trials):\n    return max(trials, key=lambda t: t["choosing"])',
        "the whole trial",
    ),
    (
        'def settle(trials):\n    return max(trials, key=lambda t: t["choosing"])["rate"]',
        "tie, and you return",
    ),
]


# %%
def fit(name, config, rate, seed, task=films):
    """Train one set of rows, once through the few sentences; a finished run is found again."""
    reader = dressed(config, seed)
    name = f"prompts-{name.replace(' ', '-')}-rate{rate:g}-seed{seed}".lower()
    args = training.arguments(
        name,
        learning_rate=rate,
        num_train_epochs=1,
        per_device_train_batch_size=16,
        seed=seed,
        save_strategy="no",
        disable_tqdm=True,
    )
    judge = Judge(reader, task["words"])
    trainer = Trainer(
        model=judge, args=args, train_dataset=task["parts"]["train"], data_collator=collator
    )
    with contextlib.redirect_stdout(io.StringIO()):  # one line per contest is enough
        run = training.train(trainer, name)
    return reader, run


# %%
rates = settings.pick(smoke=[0.1], cpu=[0.01, 0.05])
verdicts, chosen, seconds, firsts = {}, {}, {}, {}


def contest(name, make, rates=rates):
    """All rates with one seed, the best with the seeds that judge. make() gives a recipe."""
    trials = []
    for rate in rates:
        reader, _ = fit(name, make(), rate, chooser)
        trials.append({"rate": rate, "choosing": right(reader, "choosing").mean()})
    chosen[name] = best = settle(trials)
    runs = [fit(name, make(), best, seed) for seed in seeds]
    verdicts[name] = np.array([right(reader, "judging") for reader, _ in runs])
    seconds[name], firsts[name] = np.mean([run.seconds for _, run in runs]), runs[0]
    each = ", ".join(f"{100 * row.mean():.0f} %" for row in verdicts[name])
    print(f"{name:<14} rate {best:<6g} {each} right")


# %%
for start in starts:
    contest(start, lambda start=start: recipe(start))

# %%
mean = {start: 100 * verdicts[start].mean() for start in starts}
order = sorted(starts, key=mean.get)
spread = mean[order[-1]] - mean[order[0]]
words_or_noise = metrics.compare(verdicts["TEXT"], verdicts["RANDOM"])

# %%
figure, axes = plt.subplots(figsize=(7.2, 3.2))
for place, start in enumerate(starts):
    before, after = untrained[start], 100 * verdicts[start].mean(axis=1)
    axes.plot(before, [place + 0.12] * len(before), "o", mfc="white", color="#777777", ms=7)
    axes.plot(after, [place - 0.12] * len(after), "o", color="#0072B2", ms=7)
axes.axvline(100 * nothing.mean(), color="#777777", ls=":", lw=1.2)
for word, spot, shift, colour in (
    ("untrained", (untrained["TEXT"][0], 0.12), (0, 7), "#777777"),
    ("trained", (100 * verdicts["TEXT"][0].mean(), -0.12), (0, -16), "#0072B2"),
    ("no prompt", (100 * nothing.mean(), 2.45), (28, 0), "#777777"),
):
    axes.annotate(word, spot, shift, textcoords="offset points", ha="center", color=colour)
axes.set_yticks(range(3), starts)
axes.set(xlabel="right (%), one dot per seed", ylim=(-0.6, 2.7))
title = f"TEXT against RANDOM: {words_or_noise}"
axes.set_title(title)
plots.show(figure, alt=f"Accuracy before and after training, for three starts. {title}.")
spread_guess.compare(spread)

# %% [markdown]
# Read the picture from the outside in. First the white circles: how far rows that nobody trained have moved the model.
# Then the distance between the seeds of one start. Only then the distance between the starts. The title's interval knows
# both the seeds and the sentences; its word is about the text. Of three starts one is always the best, so the distance
# between the best and the worst, which you guessed, proves nothing by itself. (The last section draws the intervals.)
#
# Lester and co-authors found on their small models that real words beat noise, and class names beat both; on the
# largest, the start hardly mattered.
#
# ## How long a prompt?
#
# The same question for the length, with the same number of trials each. The start is the text from now on.

# %%
lengths = settings.pick(smoke=[1, 8], cpu=[1, 8, 32])
for k in lengths:
    if k != 8:
        contest(f"length {k}", lambda k=k: recipe("TEXT", k))
verdicts["length 8"], seconds["length 8"] = verdicts["TEXT"], seconds["TEXT"]

# %%
each_seed = {
    f"seed {seed}": [100 * verdicts[f"length {k}"][at].mean() for k in lengths]
    for at, seed in enumerate(seeds)
}
title = (
    ", ".join(f"{k}: {100 * verdicts[f'length {k}'].mean():.0f} %" for k in lengths) + " right"
)
figure = plots.lines(
    lengths, each_seed, log_x=True, title=title, xlabel="rows (log scale)", ylabel="right (%)"
)
figure.axes[0].set_xticks(lengths, [str(k) for k in lengths])
figure.axes[0].minorticks_off()
plots.show(
    figure,
    alt=f"Accuracy against the length of the prompt, one line per seed. By length: {title}.",
)

# %%
more_rows = metrics.compare(verdicts[f"length {lengths[-1]}"], verdicts["length 1"])
slower = seconds[f"length {lengths[-1]}"] / seconds["length 1"]
print(f"{lengths[-1]} rows against one: {more_rows}")
print(f"Training with {lengths[-1]} rows takes {slower:.1f} times as long as with one.")

# %% [markdown]
# If more rows brought more here, one thing mixes in: with one row, the question is cut to its first word, and with 32 it
# stands there almost three times. Longer prompts also *begin* elsewhere. And the bill grows with each row:
# one more token to read, forwards and backwards, in training and in every request that comes after. Lester and
# co-authors, with far more sentences, saw little gain beyond twenty rows, and did well with a single one on their
# largest model.
#
# ## One model, a drawer full of prompts
#
# A second task for the same frozen model: the first words of news articles, and their five topics. A second prompt is
# trained, and nothing else changes.

# %%
news = data.prepared("topics")["train"]
names = [name.lower() for name in news.features["label"].names]
news = news.select(range(sum(sizes.values())))
news = Dataset.from_dict(
    {"text": [" ".join(text.split()[:16]) for text in news["text"]], "label": news["label"][:]}
)
topics = {"parts": parts_of(news, "{}\nTopic:"), "words": tuple(f" {name}" for name in names)}
about = f"Is it {', '.join(names)}? The article:"
reader, run = fit("topics", recipe("TEXT", text=about), chosen["TEXT"], seeds[0], topics)
before, after = (100 * right(model, "judging", topics).mean() for model in (base, reader))
print(f"topics: {before:.0f} % right without a prompt, {after:.0f} % with one (one seed)")


# %%
def saved(reader, run):
    """Save what was trained under the name of its run, and say where."""
    folder = lab.workspace / "adapters" / run.folder.name
    training.save_once(folder, reader.save_pretrained)  # whole or not at all
    return folder


for_films, for_news = saved(*firsts["TEXT"]), saved(reader, run)
model = PeftModel.from_pretrained(base, for_films, adapter_name="sentiment")
model.load_adapter(for_news, adapter_name="topics")
prompt_bytes = (for_news / "adapter_model.safetensors").stat().st_size
model_bytes = sum(weight.numel() * weight.element_size() for weight in base.parameters())
print(
    f"One prompt is a file of {prompt_bytes:,} bytes; the frozen model holds {model_bytes:,}."
)
print("Two prompts are loaded. Which one is in front now?", model.active_adapter)

# %% [markdown]
# Loading does not switch; `set_adapter` does. What happens if somebody forgets?

# %%
cross = {}
for prompt in ("sentiment", "topics"):
    model.set_adapter(prompt)
    cross[f"{prompt} prompt"] = {
        f"{name} right (%)": 100 * right(model, "judging", task).mean()
        for name, task in {"sentiment": films, "topics": topics}.items()
    }
pd.DataFrame.from_dict(cross, orient="index").round(1)

# %% [markdown]
# The diagonal is what you want to serve. Beside it nobody raises an error: a wrong prompt looks like a model that is a
# little worse, and on an easy task you might not notice at all. So keep with each prompt what it is for.
#
# A server cannot wait until all questions of one task are together: a batch mixes them. For soft prompts that is no
# problem, since two sentences of a batch differ only in their first rows. PEFT's `set_adapter` switches for the whole
# batch, so build the front rows yourself.


# %% tags=["exercise"] exercise="technique_prompt_intermediate/mixed" answer="front_rows" minutes=8 difficulty=2
# tasks: one name per sentence of a batch, such as ["topics", "sentiment", "topics"].
# drawer: {name: tensor (k, width)}, all of one length.
# Return (sentences, k, width): in front of each sentence the rows of its own task.
def front_rows(tasks, drawer): ...


# <solution>
def front_rows(tasks, drawer):
    return torch.stack([drawer[task] for task in tasks])


# </solution>


# %% tags=["check"] exercise="technique_prompt_intermediate/mixed"
def check(answer):
    drawer = {"a": torch.ones(2, 3), "b": torch.zeros(2, 3), "c": torch.full((2, 3), 2.0)}
    try:
        result = answer(["c", "a", "c", "b"], drawer)
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        return f"Your function stops with {type(error).__name__}: {error}. Each name of `tasks` is a key of the drawer."
    if not isinstance(result, torch.Tensor):
        return f"Your function returned {type(result).__name__}. One tensor for the whole batch is wanted."
    if tuple(result.shape) == (8, 3):
        return "All rows stand in one long line, as torch.cat makes it. The sentences need an axis of their own."
    if tuple(result.shape) == (3, 2, 3):
        return "You stack the drawer: one entry per *prompt*. One entry per sentence is wanted, also if tasks repeat."
    if tuple(result.shape) != (4, 2, 3):
        return f"For 4 sentences and prompts of 2 rows of 3 numbers, (4, 2, 3) is wanted; yours is {tuple(result.shape)}."
    first = result[:, 0, 0].tolist()
    if first == [2, 2, 2, 2]:
        return "Every sentence gets the prompt of the first one. That is what set_adapter would do."
    if first == [1, 0, 2, 2]:
        return "The prompts were sorted by task, but the sentences were not: each must find its own."
    if first != [2, 1, 2, 0]:
        return f"The first numbers should be [2, 1, 2, 0] for the tasks c, a, c, b; yours are {first}. We do not recognise the mistake."
    return None


def inputs(draw):
    for k, width in ((2, 3), (1, 4), (5, 1)):
        drawer = {
            name: torch.tensor(draw.normal(size=(k, width)), dtype=torch.float32)
            for name in ("topics", "sentiment", "a", "never used")
        }
        yield ["sentiment", "topics", "sentiment"], drawer
        yield ["topics"], drawer
        yield ["a", "topics", "a", "a", "sentiment", "topics"], drawer
    yield ["z", "b"], {"b": torch.ones(2, 3).bfloat16(), "z": torch.zeros(2, 3).bfloat16()}


def trial(answer, tasks, drawer):
    rows = answer(tasks, drawer)
    return {"rows": rows, "number type": str(rows.dtype)}


hints = [
    "Go through `tasks`, not through the drawer.",
    "`torch.stack` makes a new axis, `torch.cat` does not.",
    "`torch.stack([drawer[task] for task in tasks])`",
]
misconceptions = [
    (
        "def front_rows(tasks, drawer):\n    return torch.cat([drawer[task] for task in tasks])",
        "an axis of their own",
    ),
    (
        "def front_rows(tasks, drawer):\n    return torch.stack(list(drawer.values()))",
        "one entry per *prompt*",
    ),
    (
        "def front_rows(tasks, drawer):\n    return drawer[tasks[0]].expand(len(tasks), -1, -1)",
        "set_adapter would do",
    ),
    (
        "def front_rows(tasks, drawer):\n    return torch.stack([drawer[task] for task in sorted(tasks)])",
        "sorted by task",
    ),
]

# %%
mixed = ["sentiment", "topics"] * 4
drawn = {task: model.prompt_encoder[task].embedding.weight.detach() for task in set(mixed)}
both = {"sentiment": films, "topics": topics}
rows = [both[task]["parts"]["judging"][at] for at, task in enumerate(mixed)]
batch = collator(
    [{key: row[key] for key in ("input_ids", "attention_mask")} for row in rows]
).to(base.device)
with torch.inference_mode():
    front = front_rows(mixed, drawn).to(base.dtype)
    ones = torch.ones(front.shape[:2], dtype=torch.long, device=base.device)
    mask = torch.cat([ones, batch["attention_mask"]], dim=1)
    words = torch.cat([front, embed(batch["input_ids"])], dim=1)
    together = base(inputs_embeds=words, attention_mask=mask).last_hidden_state
    apart = []
    for at, task in enumerate(mixed):
        model.set_adapter(task)
        apart.append(model(**batch).last_hidden_state[at])
difference = (together - torch.stack(apart)).abs().max().item()
print(f"{len(mixed)} sentences of two tasks in one batch; largest difference: {difference:.1e}")


# %% [markdown]
# So a hundred tasks need one model in memory and a drawer. How large would it get? Move the number of tasks, the length
# and the model; the other bar is what a fully fine-tuned copy per task would take.


# %%
def storage(name="smollm2-135m", tasks=20, rows=8):
    one = rows * models.config(name).hidden_size * 4
    weights = planner.parameters(name) * 2  # bf16
    sizes = {"one model + prompts": weights + tasks * one, "a copy per task": tasks * weights}
    title = (
        f"{tasks} tasks: the prompts are {tasks * one / 1e6:,.2f} MB, "
        f"the copies {sizes['a copy per task'] / 1e9:,.1f} GB"
    )
    figure = plots.bars(
        list(sizes), [size / 1e9 for size in sizes.values()], title=title, xlabel="GB"
    )
    plots.show(
        figure, alt=f"Bytes on disk for one shared model with prompts and for copies. {title}."
    )


widgets.explore(
    storage, name=["smollm2-135m", "gpt2", "llama-7b"], tasks=(1, 200), rows=(1, 100)
)

# %% [markdown]
# ## Prefix tuning and P-tuning
#
# A soft prompt enters once, at the bottom. Two relatives do it differently.
#
# **Prefix tuning** (Li and Liang, 2021) gives invented rows to *every layer*: not words, but the **keys and values**
# that its attention looks up. A layer's tokens then find k more places to look at, which no token ever wrote.
#
# **P-tuning** (Liu et al., 2021) enters at the bottom like a soft prompt. But its rows are not trained directly: a small
# network writes them, and it is the network that learns. When training is over, the rows are computed once more, and the
# network is thrown away.

# %% tags=["exercise"] exercise="technique_prompt_intermediate/count" answer="counts" minutes=8 difficulty=3
# For k = 8 virtual tokens on this model, two whole numbers in a dictionary:
#   "prefix trains": how many numbers prefix tuning trains
#   "p-tuning file": how many numbers are in the file that P-tuning leaves
# base.config has hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads and
# head_dim. (Several query heads share one key and value head here, so look up how many of
# *those* a layer has.)
counts = ...
# <solution>
shape = base.config
counts = {
    "prefix trains": 8
    * shape.num_hidden_layers
    * 2
    * shape.num_key_value_heads
    * shape.head_dim,
    "p-tuning file": 8 * shape.hidden_size,
}
# </solution>


# %% tags=["check"] exercise="technique_prompt_intermediate/count"
def check(answer):
    if not isinstance(answer, dict) or set(answer) != {"prefix trains", "p-tuning file"}:
        return 'A dictionary with the keys "prefix trains" and "p-tuning file" is wanted.'
    config = base.config
    narrow, layers = config.num_key_value_heads * config.head_dim, config.num_hidden_layers
    prefix, file = answer["prefix trains"], answer["p-tuning file"]
    full = 8 * layers * 2 * narrow
    if prefix == full // 2:
        return "Half of it is missing: a layer gets keys *and* values."
    if prefix != full and prefix in (
        8 * layers * 2 * config.hidden_size,
        8 * layers * config.hidden_size,
    ):
        return "You count a key for each *query* head. In this model several query heads share one key and value head."
    if prefix in (8 * 2 * narrow, 8 * config.hidden_size):
        return "That is one layer. Prefix tuning enters each of them."
    if prefix != full:
        return f'For "prefix trains" you say {prefix}, which we do not recognise. It should be k × layers × (keys and values) × their width.'
    if file != 8 * config.hidden_size:
        return f'Once P-tuning has trained, the network that writes the rows is no longer needed; only what it wrote is. For "p-tuning file" you say {file}.'
    return None


hints = [
    "Keys and values of one layer and one virtual token: 2 × key/value heads × width of a head.",
    "Times layers, times k. For P-tuning's file: what is still needed when the network is gone?",
    "The file of P-tuning is as large as that of a soft prompt: k × hidden_size.",
]
misconceptions = [
    (
        'counts = {"prefix trains": 8 * base.config.num_hidden_layers * base.config.num_key_value_heads * base.config.head_dim, "p-tuning file": 8 * base.config.hidden_size}',
        "keys *and* values",
    ),
    (
        'counts = {"prefix trains": 8 * base.config.num_hidden_layers * 2 * base.config.hidden_size, "p-tuning file": 8 * base.config.hidden_size}',
        "share one key and value head",
    ),
    (
        'counts = {"prefix trains": 8 * 2 * base.config.num_key_value_heads * base.config.head_dim, "p-tuning file": 8 * base.config.hidden_size}',
        "enters each of them",
    ),
    (
        'counts = {"prefix trains": 8 * base.config.num_hidden_layers * 2 * base.config.num_key_value_heads * base.config.head_dim, "p-tuning file": 8 * base.config.hidden_size + 2 * 128 * base.config.hidden_size}',
        "no longer needed",
    ),
]

# %%
common = {"task_type": "FEATURE_EXTRACTION", "num_virtual_tokens": 8}
relatives = {
    "prefix, random": lambda: PrefixTuningConfig(**common),
    "prefix": lambda: PrefixTuningConfig(init_weights="zero", **common),
    "P-tuning": lambda: PromptEncoderConfig(encoder_hidden_size=128, **common),
}
strangers = {}
for name, make in relatives.items():
    reader = dressed(make())
    strangers[name] = right(reader, "judging").mean()
    trained = models.count_parameters(reader).trainable
    print(f"{name:<15} {trained:>8,} numbers to train; untrained {strangers[name]:.0%} right")
print(f"You said {counts['prefix trains']:,.0f} for the prefix.")

# %% [markdown]
# Compare the first two lines. PEFT's default start is random here as well, and this time it strikes deeper: keys and
# values are read as they are; no layer brings them to a common length first. `init_weights="zero"` begins at
# zeros instead, so that each layer has k places to look at where nothing is to be seen. Where a prefix begins decides
# whether there is a model left to train. We go on with zeros.
#
# Each gets rates of its own, and as many trials as every prompt before. (A network that writes rows wants the smaller
# rates of a network.)

# %%
for name, tries in {"prefix": [0.001, 0.005], "P-tuning": [0.0005, 0.003]}.items():
    contest(name, relatives[name], settings.pick(smoke=tries[:1], cpu=tries))

# %%
table = {}
for name in ("TEXT", "prefix", "P-tuning"):
    table[name] = {
        "trained numbers": models.count_parameters(firsts[name][0]).trainable,
        "file (bytes)": (saved(*firsts[name]) / "adapter_model.safetensors").stat().st_size,
        "rate": chosen[name],
        "training (s)": round(float(seconds[name]), 1),
        "right (%)": round(100 * float(verdicts[name].mean()), 1),
    }
pd.DataFrame.from_dict(table, orient="index").rename(index={"TEXT": "soft prompt"})

# %%
duels = (("TEXT", "SAMPLE_VOCAB"), ("TEXT", "RANDOM"), ("prefix", "TEXT"), ("P-tuning", "TEXT"))
pairs = {f"{a} minus {b}": metrics.compare(verdicts[a], verdicts[b]) for a, b in duels}
pairs["TEXT minus no prompt"] = metrics.compare(verdicts["TEXT"], nothing)
pairs["TEXT minus word counts"] = metrics.compare(verdicts["TEXT"], counted)

# %%
decided = sum(pair.verdict != "undecided" for pair in pairs.values())
title = f"Decided: {decided} of {len(pairs)} comparisons"
figure = plots.interval_bars(
    [f"{name}: {pair.verdict}" for name, pair in pairs.items()],
    [pair.points for pair in pairs.values()],
    reference=0,
    reference_label="no difference",
    title=title,
    xlabel=f"points on {sizes['judging']} sentences, 95 % intervals over seeds and sentences",
)
plots.show(
    figure, alt=f"Differences in accuracy between starts and methods with intervals. {title}."
)

# %% [markdown]
# Same sentences, same number of trials, the same seeds: these columns may be compared. The methods differ by large
# factors in what they train; do more numbers win? An *undecided* pair is no tie: a difference as large as its interval
# may be there, and nobody has seen it. Until somebody has, take the simplest.
#
# Look at the column of rates before you bury a method, though. Where it chose the end of what it was offered, a better
# rate may lie beyond. Two trials each are *equal*; they are no *search*. Nor are equal steps a fair race for everybody:
# these runs have few, and a slow learner may only be slow. The verdict is about this budget, this small model and these
# few sentences: the papers had thousands, and larger models.
#
# ## What you saw

# %%
tracking.record("no_prompt_accuracy", nothing.mean())
for start in starts:
    tracking.record(f"{start.lower()}_accuracy", verdicts[start].mean())
tracking.record("start_spread_points", spread)
tracking.record("one_row_accuracy", verdicts["length 1"].mean())
tracking.record("longest_accuracy", verdicts[f"length {lengths[-1]}"].mean())
tracking.record("longest_seconds_ratio", slower)
tracking.record("topics_gain_points", after - before)
tracking.record("prompt_bytes", prompt_bytes)
tracking.record("mixed_batch_difference", difference)
tracking.record("random_prefix_untrained", strangers["prefix, random"])
tracking.record("prefix_accuracy", verdicts["prefix"].mean())
tracking.record("p_tuning_accuracy", verdicts["P-tuning"].mean())

# %% tags=["quiz"]
quiz = [
    {
        "question": "Start A was tried with one rate, start B with six, and B's best trial is two points ahead of A's only one. What follows?",
        "choices": [
            (
                "B is the better start.",
                "B had six draws from the lottery, A one. The best of six is ahead even if both are equal.",
                False,
            ),
            (
                "Nothing yet: give both the same number of trials, choose on one part and report another.",
                "Right. And then other seeds, since a single run moves by points as well.",
                True,
            ),
            (
                "A is better, because it needed fewer trials.",
                "A was not allowed more. That says nothing about what it would have found.",
                False,
            ),
            (
                "The two tie: two points are never clear.",
                "They may be clear, with enough sentences. Here it is the counting of trials that is unfair.",
                False,
            ),
        ],
        "proof": """
import numpy as np
draws = np.random.default_rng(0).normal(80, 2, size=(20_000, 7))  # equal methods, noise of two points
lead = (draws[:, :6].max(axis=1) - draws[:, 6]).mean()
assert 2 < lead < 3
""",
    },
    {
        "question": "A service answers 200 tasks with LLaMA-7B (width 4,096), each with a soft prompt of 20 rows in fp32. What do the prompts take together?",
        "choices": [
            (
                "About 66 MB, less than a hundredth of the model.",
                "Right: 200 × 20 × 4,096 × 4 bytes.",
                True,
            ),
            (
                "About 2.7 TB, one model each.",
                "That is what 200 full fine-tunings would take. The model is there once.",
                False,
            ),
            ("About 330 kB.", "That is one prompt. There are 200.", False),
            (
                "About 2 GB.",
                "You may have counted rows in each of the 32 layers. A soft prompt enters once.",
                False,
            ),
        ],
        "proof": "size = 200 * 20 * 4096 * 4\nassert size == 65_536_000 and size < 6_738_415_616 * 2 / 100\nassert 20 * 4096 * 4 == 327_680 and 32 * size > 2e9",
    },
    {
        "question": "P-tuning trains many times more numbers than a soft prompt of the same length, and leaves a file of the same size. Why?",
        "choices": [
            ("The file is compressed.", "It holds plain fp32 numbers.", False),
            (
                "The network only writes the rows. Trained, it has written them, and only they are kept.",
                "Right. That also means: training cannot go on from the file.",
                True,
            ),
            (
                "PEFT forgets to save the network.",
                "It leaves it out on purpose: nothing needs it to answer.",
                False,
            ),
            (
                "Most of its numbers stay at zero.",
                "They move. But what they produce are k rows.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - **More sentences.** Set the training part to 512. Does the order of the starts survive?
# - **Words of the answer.** Start at " positive negative", the names of the classes, as Lester and co-authors did.
# - **Rows that nobody wrote.** `prefix_projection=True` lets a network write the prefix, too, as in the paper.
#
# **Read.** Lester et al. (2021), section 3.2 with figure 3, on length and start; Li and Liang (2021), section 4 on
# the method and its experiments on prefix length; Liu et al. (2021), section 3. The
# [guide](../../curriculum/guides/prompt_tuning.md) compares soft prompts with the rest of the course.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/prompt_intermediate.py`](../examples/prompt_intermediate.py) has prefix tuning, P-tuning and prompt
# tuning of a classifier in one plain file, without our helpers. Here it meets text messages, *spam* or *ham*:

# %%
spam = data.load("spam").shuffle(seed=0).select(range(settings.pick(smoke=20, cpu=400)))
kinds = spam.features["label"].int2str(list(spam["label"]))
mine = lab.workspace / "my_texts.csv"
pd.DataFrame({"text": spam["text"], "label": kinds}).to_csv(mine, index=False)
print(*mine.read_text(encoding="utf-8").splitlines()[:4], sep="\n")

# %% [markdown]
# ```bash
# .venv/bin/python lessons/examples/prompt_intermediate.py --data my_texts.csv --output my_prefix
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "prompt_intermediate.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_prefix")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# `--kind` chooses one of the other two methods. Have a file of your own? Give it two columns, `text` and `label`, put
# its path into `mine`, and run the last cell again.
