# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("day09")

# %%
import re
import textwrap
from collections import Counter

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import torch
from datasets import disable_progress_bars, load_dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoTokenizer, Trainer, set_seed

from labhelpers import data, exercise, memory, metrics, models, plots, progress, quiz, tasks

from labhelpers import tracking, training, widgets

# %% [markdown]
# ## Why today matters
#
# For eight days every text had one label. Much of what people want from a language model has another shape: *which
# words* of this tweet are a name? *Where* in this article does it say how much was paid? *What would the headline be*?
#
# The training loop does not care, and you will use it almost unchanged. What changes is everything around it: the
# head, the labels, what the loss may look at, and above all the score. Here is how a familiar score fools you. These
# are tweets in which people have marked every name, word by word:

# %%
tweets = data.split(tasks.names(), (0.7, 0.15, 0.15))
every_tag = [tag for row in tweets["train"]["tags"] for tag in row]
no_name = every_tag.count(0) / len(every_tag)
print(f"{len(every_tag):,} words, {no_name:.1%} of them belong to no name.")
print(f"A model that never finds any name is right about {no_name:.1%} of all words.")

# %% [markdown]
# An accuracy which few models of this course have reached, for a machine that does nothing. So suppose that a model must
# find each name whole, with the right kind, and nothing else counts. The **F1** of that is 100 % when it finds all of
# them and nothing else, and 0 when it finds none.

# %%
guess = widgets.predict(
    "day09-names", "F1 of finding whole names in tweets, after fine-tuning", 0, 100, "%"
)

# %% [markdown]
# ## One body, four heads
#
# A pretrained body turns a text into one vector *per token*. What comes out at the end is decided by the small layer on
# top. Four heads of the Transformers library, built here without weights, just to see their sizes and the shapes of
# what they answer to 2 texts of 12 tokens:

# %%
encoder, decoder = models.source("encoder"), models.source("decoder")
heads = {
    "one label per text": ("sequence_classification", encoder, {"num_labels": 2}),
    "one label per token": ("token_classification", encoder, {"num_labels": len(tasks.TAGS)}),
    "where it starts, ends": ("question_answering", encoder, {"num_labels": 2}),
    "the next token": ("causal_lm", decoder, {}),
}
for answer, (task, body, options) in heads.items():
    empty = models.build_empty(AutoConfig.from_pretrained(body, **options), task)
    with torch.device("meta"):
        output = empty(input_ids=torch.zeros((2, 12), dtype=torch.long))
    shapes = [tuple(part.shape) for name, part in output.items() if name.endswith("logits")]
    head = models.count_parameters(empty).groups["head"]
    print(f"{answer:<22} {type(empty).__name__:<32} head {head:>6,}   logits {shapes}")

# %% [markdown]
# The head for whole texts reads *one* vector per text. The next one reads *every* vector, one label each. For
# questions, every token gets two scores: how likely does the answer start here, how likely does it end here? And the
# writer scores its whole vocabulary at every place, with a head that adds nothing: it uses the embedding table again.
#
# <!-- asked: D09-T1 -->
# ## Choose your track
#
# | | task | data here | head | score |
# |---|---|---|---|---|
# | **A** `"questions"` | find the answer in a text | questions made by a rule from BBC articles, and some written for the course | start and end | exact match, token F1 |
# | **B** `"headlines"` | write the headline of an article | BBC articles with their editors' headlines | next token | ROUGE, and reading |
# | **C** `"names"` | mark the names in a tweet | tweets marked by people | one label per token | entity F1 |
#
# **One track is a day's work.** Write its name below. It will run at full size; the other two run small, so that their
# cells show what they do, but their scores mean little. Skip them with a good conscience, their exercises too, and
# come back another day: change the word, restart the kernel, run all cells. (What is trained is found again.)

# %%
track = "names"  # or "questions", or "headlines"


def size(name, tiny, small, full):
    """How much of a track runs: tiny in the course's checks, full for yours and on a GPU."""
    if lab.profile == "smoke":
        return tiny
    return full if name == track or settings.device() == "cuda" else small


for name in ("questions", "headlines", "names"):
    mark = "   ← your track" if name == track else ""
    print(f"{name:<10} {size(name, 'tiny', 'small', 'full size')}{mark}")

# %% [markdown]
# Two things that all tracks share. Adapters of rank 16 on *every* linear layer of the body, the wide and safe choice. And
# a way to say how sure we are of *one* trained model: these scores are no plain share of right answers, so we draw the
# test set again and again from itself, whole texts at a time, and look how much the score moves. That covers other
# texts, not another training. Whether one thing is better than another, `metrics.compare` says.


# %%
def lora(model, task_type):
    recipe = LoraConfig(
        r=16,
        lora_alpha=32,
        target_modules=models.lora_targets(model, "all_linear"),
        task_type=task_type,
    )
    model = get_peft_model(model, recipe)
    training.keep_adapters_precise(model)
    return model


def bootstrap(score, *parts, draws=1000):
    """Score with its 95 % interval; each part is an array with one row per text."""
    rows = np.random.default_rng(lab.seed).integers(0, len(parts[0]), (draws, len(parts[0])))
    values = [score(*(part[chosen] for part in parts)) for chosen in rows]
    return metrics.Interval(score(*parts), *np.quantile(values, [0.025, 0.975]))


# %% [markdown]
# A trap before we begin. Sorting texts by length saves padding, so the
# course trains with `train_sampling_strategy="group_by_length"`. `Trainer.predict` obeys it as well, and returns its
# answers **in another order than your rows**, without a word. Where a score is computed from predictions and labels
# that travel together, nobody notices. Where you lay the answers beside your own texts, as we do all day, each text
# gets somebody else's answer. So ask for the order that you need:


# %%
def predict_in_order(trainer, rows):
    """What the model answers, row by row in the order of `rows`."""
    usual, trainer.args.train_sampling_strategy = (
        trainer.args.train_sampling_strategy,
        "sequential",
    )
    predictions = trainer.predict(rows).predictions
    trainer.args.train_sampling_strategy = usual
    return predictions


# %% [markdown]
# ---
# ## Track A: answer a question from a text
#
# ### A1. Prepare the data
#
# "Extractive" means: the answer is a piece of the text, copied letter by letter. The model only says where it starts and
# where it ends. The data set of this kind is **SQuAD** (Rajpurkar et al., 2016): 100,000 questions that people
# asked about Wikipedia. It is on the Hub. Offline we make do, and you should know with what:
#
# - **Made by a rule.** A small program (`labhelpers/data/tasks.py`) takes an amount, a year, a person, a place … out
#   of a sentence of a real BBC article, drops some of the other words, says some differently, and puts "How much" or
#   "Who" in front. Nobody ever asked these questions. They share words with the text, and the first word gives away what
#   *kind* of thing to look for. (Where a passage holds only one of that kind, the question is mostly left out: too easy.)
# - **Written for this course**, one by one: a few dozen. They are only for testing.
#
# Train on the first, test on both. The gap between the two scores is the price of made-up data, and you will
# see it. Articles are split *before* questions are made, or the same article would be on both sides.

# %%
articles = tasks.articles()
counts = {"train": size("questions", 64, 320, 2000), "test": size("questions", 24, 100, 400)}
if lab.use_hub:  # the real thing
    squad = load_dataset("rajpurkar/squad").shuffle(seed=lab.seed)
    asked = {
        "train": squad["train"].select(range(20_000)),
        "test": squad["validation"].select(range(2000)),
    }
else:
    asked = {
        part: tasks.questions(articles[part], count, seed=lab.seed)
        for part, count in counts.items()
    }
written = tasks.written_questions(articles["test"])
if lab.profile == "smoke":
    written = written.select(range(12))
print(
    f"{len(asked['train']):,} questions to train on, "
    f"{len(asked['test'])} of the same kind and {len(written)} written ones to test on"
)

# %% tags=["fold"]
for title, rows in {
    "MADE BY THE RULE (or from SQuAD)": asked["train"],
    "WRITTEN": written,
}.items():
    print(title)
    for row in rows.select(range(4)):
        print(f"   {row['question']}  →  {row['answers']['text'][0]}")

# %% [markdown]
# The data say where an answer starts *in letters*. The model counts *tokens*. The bridge is the **offset mapping**: for
# every token, the letters it came from. And since question and text go in together, as `[CLS] question [SEP] text [SEP]`,
# each token also has to say which of the two it belongs to (0, 1, or None for the special ones).

# %%
tokenizer = AutoTokenizer.from_pretrained(encoder)
row = asked["train"][0]
first_letter, answer = row["answers"]["answer_start"][0], row["answers"]["text"][0]
pair = tokenizer(row["question"], row["context"], return_offsets_mapping=True)
print(
    f"answer {answer!r}: letters {first_letter} to {first_letter + len(answer)} of the text\n"
)
rows = list(zip(pair.tokens(), pair.sequence_ids(), pair["offset_mapping"], strict=True))
for place, (token, part, letters) in enumerate(rows):
    near = part == 1 and first_letter - 20 <= letters[0] <= first_letter + len(answer) + 15
    if place < 5 or near:
        print(f"{place:>4}  {token:<14} part {part!s:<5} letters {letters}")

# %% [markdown]
# Now the bridge itself. One case needs care: a text that is too long is cut, and then the answer may be gone, or half of
# it. There is nothing to point at; by custom both positions are 0, the `[CLS]` token: "not in here".


# %% tags=["exercise"] exercise="day09/answer-span" answer="answer_span" minutes=12 difficulty=2
# offsets: per token (first letter, letter after the last).  parts: per token 0 (question), 1
# (text) or None.
# start, end: the answer's letters in the text, `end` is the letter after its last one.
# Return (first token, last token) of the answer, or (0, 0) if the text does not hold it whole.
def answer_span(offsets, parts, start, end): ...


# <solution>
def answer_span(offsets, parts, start, end):
    text = [place for place, part in enumerate(parts) if part == 1]
    first = [place for place in text if offsets[place][0] <= start < offsets[place][1]]
    last = [place for place in text if offsets[place][0] < end <= offsets[place][1]]
    return (first[0], last[0]) if first and last else (0, 0)


# </solution>


# %% tags=["check"] exercise="day09/answer-span"
def check(answer):
    # [CLS] who paid ? [SEP] the bank of rome paid 5 million [SEP]
    offsets = [
        (0, 0),
        (0, 3),
        (4, 8),
        (8, 9),
        (0, 0),
        (0, 3),
        (4, 8),
        (9, 11),
        (12, 16),
        (17, 21),
        (22, 23),
        (24, 31),
        (0, 0),
    ]
    parts = [None, 0, 0, 0, None, 1, 1, 1, 1, 1, 1, 1, None]

    def ask(start, end, keep=13):
        result = answer([*offsets[: keep - 1], (0, 0)], [*parts[: keep - 1], None], start, end)
        return tuple(result) if isinstance(result, list | tuple) else result

    found = ask(4, 16)
    if not isinstance(found, tuple) or len(found) != 2:
        return f"For an answer that stands in the text you return {found!r}. Asked for are two token positions."
    if found == (4, 16):
        return "These are letters. The model wants to know which tokens: look for the one that holds the letter."
    if found[0] == 2 or ask(0, 3)[0] == 1:
        return "You found the letters in the question: its tokens count letters from 0 as well. Only tokens of part 1 are the text."
    if found == (6, 9):
        return "Your last token is one too far. `end` is the letter *after* the answer, so the last token is the one that ends there."
    if found != (6, 8):
        return f"The answer in letters 4 to 16 is covered by tokens 6 to 8; you say {found}."
    if ask(22, 31) != (10, 11):
        return f"The answer in letters 22 to 31 is covered by tokens 10 and 11; you say {ask(22, 31)}."
    try:
        gone, half = ask(22, 31, keep=10), ask(4, 16, keep=8)
    except (IndexError, ValueError, TypeError, UnboundLocalError, StopIteration):
        return "When the text is cut before the answer, your function fails. Nothing can be found then: return (0, 0)."
    if gone != (0, 0):
        return f"When the answer is cut away, there is nothing to point at: return (0, 0), not {gone}."
    if half != (0, 0):
        return f"Half of the answer is cut away, and you still return {half}. The model would learn to give half answers: (0, 0)."
    if ask(18, 21) != (9, 9):
        return (
            "An answer may begin in the middle of a token. Then that whole token belongs to it."
        )
    return None


def inputs(draw):
    for words in (1, 3, 8, 20):
        ends = np.cumsum(draw.integers(2, 8, words))
        begins = np.array([0, *ends[:-1]]) + (draw.random(words) < 0.4)
        text = list(zip(begins.tolist(), ends.tolist(), strict=True))
        asking = [(0, 4), (5, 8), (8, 9), (9, 30)][: int(draw.integers(1, 5))]
        offsets = [(0, 0), *asking, (0, 0), *text, (0, 0)]
        parts = [None, *[0] * len(asking), None, *[1] * words, None]
        for _ in range(4):
            first, last = np.sort(draw.integers(0, words, 2))
            start, end = text[first][0], text[last][1]
            keep = int(draw.integers(0, words + 1))
            cut = [*offsets[: len(asking) + 2 + keep], (0, 0)]
            yield offsets, parts, start, end
            yield cut, [*parts[: len(cut) - 1], None], start, end
            yield offsets, parts, text[first][1] - 1, end  # from inside a token
            yield offsets, parts, start, max(text[last][0] + 1, end - 1)
            yield [*offsets, (0, 0), (0, 0)], [*parts, None, None], start, end


hints = [
    "First keep only the tokens of the text (part 1). Then find the one that holds the first letter, and the one that holds the last.",
    "A token (a, b) holds the letter `start` if a <= start < b. The last letter of the answer is `end - 1`.",
    "Make two lists with comprehensions, of tokens that hold the first and the last letter. If either is empty: (0, 0).",
]
misconceptions = [
    (
        "def answer_span(offsets, parts, start, end):\n    return start, end",
        "These are letters",
    ),
    (
        "def answer_span(offsets, parts, start, end):\n    first = [p for p, (a, b) in enumerate(offsets) if a <= start < b]\n    last = [p for p, (a, b) in enumerate(offsets) if a < end <= b]\n    return (first[0], last[0]) if first and last else (0, 0)",
        "in the question",
    ),
    (
        "def answer_span(offsets, parts, start, end):\n    text = [p for p, part in enumerate(parts) if part == 1]\n    first = [p for p in text if offsets[p][0] <= start < offsets[p][1]]\n    last = [p for p in text if offsets[p][0] < end <= offsets[p][1]]\n    return first[0], last[0]",
        "your function fails",
    ),
    (
        "def answer_span(offsets, parts, start, end):\n    text = [p for p, part in enumerate(parts) if part == 1]\n    inside = [p for p in text if offsets[p][1] > start and offsets[p][0] < end]\n    return (inside[0], inside[-1]) if inside else (0, 0)",
        "Half of the answer",
    ),
    (
        "def answer_span(offsets, parts, start, end):\n    text = [p for p, part in enumerate(parts) if part == 1]\n    first = [p for p in text if offsets[p][0] <= start < offsets[p][1]]\n    last = [p for p in text if offsets[p][0] <= end + 1 < offsets[p][1] + 1]\n    return (first[0], last[0]) if first and last else (0, 0)",
        "one too far",
    ),
]

# %% [markdown]
# With that, a whole data set is prepared in a dozen lines. `truncation="only_second"` cuts the text and never the
# question: a model that does not know what was asked can learn nothing.

# %%
max_length = settings.pick(smoke=160, cpu=160, gpu=384)


def prepare(batch):
    pairs = batch["question"], batch["context"]
    cut = {"truncation": "only_second", "max_length": max_length}
    encoded = tokenizer(*pairs, return_offsets_mapping=True, **cut)
    spans = []
    for row, answers in enumerate(batch["answers"]):
        start = answers["answer_start"][0]
        end = start + len(answers["text"][0])
        offsets, part = encoded["offset_mapping"][row], encoded.sequence_ids(row)
        spans.append(answer_span(offsets, part, start, end))
    encoded["start_positions"], encoded["end_positions"] = map(list, zip(*spans, strict=True))
    encoded["in_text"] = [
        [part == 1 for part in encoded.sequence_ids(row)] for row in range(len(spans))
    ]
    return dict(encoded)


# %%
def prepared(rows):
    return rows.map(
        prepare, batched=True, remove_columns=rows.column_names, keep_in_memory=True
    )


ready = {part: prepared(rows) for part, rows in {**asked, "written": written}.items()}

# %% [markdown]
# <!-- asked: D09-T2 -->
# **Ten prepared examples, by eye.** Always. Read the tokens between the two positions back, and compare:

# %%
for row, encoded in zip(
    asked["train"].select(range(10)), ready["train"].select(range(10)), strict=True
):
    first, last = encoded["start_positions"], encoded["end_positions"]
    again = tokenizer.decode(encoded["input_ids"][first : last + 1])
    print(
        f"tokens {first:>3} to {last:>3}: {again:<26} the data say: {row['answers']['text'][0]}"
    )

# %% [markdown]
# **Answers that were cut away.** Our passages are short. Give the model whole articles instead, and move the cut: what
# share of the answers is lost before training starts? (This is a bug nobody sees: the loss falls all the same,
# since pointing at `[CLS]` is easy to learn.)

# %%
sample = tasks.questions(articles["train"], size("questions", 60, 150, 300), seed=1)
texts = [articles["train"][row]["text"] for row in sample["article"]]
whole = [
    {
        **row,
        "context": text,
        "answers": {
            "text": row["answers"]["text"],
            "answer_start": [text.find(row["context"]) + row["answers"]["answer_start"][0]],
        },
    }
    for row, text in zip(sample, texts, strict=True)
]
needed = []  # so many tokens must be kept for the answer to survive
for row in whole:
    pair = tokenizer(row["question"], row["context"], return_offsets_mapping=True)
    start = row["answers"]["answer_start"][0]
    end = start + len(row["answers"]["text"][0])
    needed.append(answer_span(pair["offset_mapping"], pair.sequence_ids(), start, end)[1] + 2)
needed = np.array(needed)


# %%
def lost(max_tokens=160):
    print(
        f"cut at {max_tokens} tokens: "
        f"{np.mean(needed > max_tokens):.0%} of the answers are gone"
    )


widgets.explore(lost, max_tokens=(64, 512, 32))

# %%
cuts = list(range(64, 513, 32))
shares = [100 * np.mean(needed > cut) for cut in cuts]
title = (
    f"Cut at 160 tokens, {np.mean(needed > 160):.0%} of the answers in whole articles are gone"
)
figure = plots.lines(
    cuts, {"lost": shares}, title=title, xlabel="max_length (tokens)", ylabel="answers lost (%)"
)
plots.show(
    figure, alt=f"Share of answers lost by the length at which articles are cut. {title}."
)

# %% [markdown]
# The remedy is a **sliding window**: cut a long text into overlapping pieces, ask each piece, keep the surest answer. The
# tokenizer does the cutting. The overlap (`stride`, in tokens) must be longer than an answer, or one could fall on the seam.

# %%
windows = tokenizer(
    [row["question"] for row in whole],
    [row["context"] for row in whole],
    truncation="only_second",
    max_length=160,
    stride=48,
    return_overflowing_tokens=True,
    return_offsets_mapping=True,
)

# %%
holds = Counter()
for window, source in enumerate(windows["overflow_to_sample_mapping"]):
    start = whole[source]["answers"]["answer_start"][0]
    end = start + len(whole[source]["answers"]["text"][0])
    found = answer_span(
        windows["offset_mapping"][window], windows.sequence_ids(window), start, end
    )
    holds[source] += found != (0, 0)
pieces = len(windows["input_ids"]) / len(whole)
print(
    f"{pieces:.1f} windows per article; the answer is whole in at least one of them for "
    f"{np.mean([holds[row] > 0 for row in range(len(whole))]):.0%} of the questions"
)

# %% [markdown]
# ### A2. Head, collator and adapters
#
# `AutoModelForQuestionAnswering` brings the head with two scores per token. It starts random, so PEFT must train it whole;
# the task type `"QUESTION_ANS"` says so. The loss is cross-entropy twice: the right start among all tokens, the right end
# among all tokens. Nothing is masked out of this loss; "cut away" is what position 0 is for.

# %%
from transformers import AutoModelForQuestionAnswering, DataCollatorWithPadding

set_seed(lab.seed)
reader = AutoModelForQuestionAnswering.from_pretrained(encoder, **training.load_options())
reader = lora(reader, "QUESTION_ANS")
models.describe(reader)

# %%
args = training.arguments(
    "day09-questions",
    learning_rate=2e-3,
    num_train_epochs=size("questions", 1, 2, 3),
    per_device_train_batch_size=16,
    save_strategy="no",
    label_names=["start_positions", "end_positions"],
)
reading = Trainer(
    model=reader,
    args=args,
    train_dataset=ready["train"],
    data_collator=DataCollatorWithPadding(tokenizer),
)

# %% [markdown]
# Now that there is a Trainer, see the trap from the beginning with your own eyes. The labels are witnesses: each row has
# its own start position, and `predict` hands them back beside its answers.

# %%
witnesses = reading.predict(ready["test"]).label_ids[0]
strangers = np.mean(witnesses != np.array(ready["test"]["start_positions"]))
print(
    f"{strangers:.0%} of the places in the list now hold "
    "another row's label, and so another row's answer"
)
assert (
    strangers > 0.5
)  # if this stops here, transformers has changed, and predict_in_order is needed no more

# %% [markdown]
# ### A3. From scores to an answer: find the bug
#
# The model gives each token a score for *start* and one for *end*. The obvious way to read them: take the best start and
# the best end. Count what comes out, with the head that has not learnt anything yet:

# %%
untrained = {part: predict_in_order(reading, ready[part]) for part in ("test", "written")}


def obvious(start_logits, end_logits, allowed):
    return int(np.argmax(start_logits)), int(np.argmax(end_logits))


def count_impossible(predictions):
    backwards = outside = 0
    for starts, ends, encoded in zip(*predictions, ready["test"], strict=True):
        length = len(encoded["input_ids"])
        first, last = obvious(starts[:length], ends[:length], encoded["in_text"])
        backwards += last < first
        outside += not (encoded["in_text"][first] and encoded["in_text"][last])
    count = len(ready["test"])
    print(f"of {count} answers, {backwards} end too early and {outside} lie outside the text")


count_impossible(untrained["test"])

# %% [markdown]
# Each of these is a certain error, and we count them again after training. An answer is a *pair*: look for the best one
# among those that are possible.


# %% tags=["exercise"] exercise="day09/best-span" answer="best_span" minutes=12 difficulty=3
# start_logits, end_logits: (tokens,) arrays.  allowed: per token, True in the text.
# Return (first, last) with the largest start_logits[first] + end_logits[last] among the pairs
# that are possible: both allowed, first <= last, and at most `longest` tokens long.
def best_span(start_logits, end_logits, allowed, longest=12): ...


# <solution>
def best_span(start_logits, end_logits, allowed, longest=12):
    allowed, count = np.asarray(allowed), len(start_logits)
    scores = np.asarray(start_logits)[:, None] + np.asarray(end_logits)[None, :]
    length = np.arange(count)[None, :] - np.arange(count)[:, None] + 1
    possible = allowed[:, None] & allowed[None, :] & (length >= 1) & (length <= longest)
    first, last = np.unravel_index(np.where(possible, scores, -np.inf).argmax(), scores.shape)
    return int(first), int(last)


# </solution>


# %% tags=["check"] exercise="day09/best-span"
def check(answer):
    draw = np.random.default_rng(0)

    def reference(start, end, allowed, longest):
        pairs = [
            (i, j) for i in range(len(start)) for j in range(i, min(len(start), i + longest))
        ]
        return max(
            (pair for pair in pairs if allowed[pair[0]] and allowed[pair[1]]),
            key=lambda pair: start[pair[0]] + end[pair[1]],
        )

    start, end = np.array([9.0, 0, 1, 5, 0, 0]), np.array([9.0, 0, 4, 1, 3, 0])
    allowed = [False, True, True, True, True, False]
    result = answer(start, end, allowed, 3)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return f"You return {result!r}. Asked for is a pair of positions: (first, last)."
    result = tuple(int(place) for place in result)
    if result == (0, 0):
        return "You chose the special token in front, which is not part of the text. Only allowed places may compete."
    if result == (3, 2):
        return "Your answer ends before it starts. The best start and the best end need not be a pair."
    if result in ((2, 2), (4, 4)):
        return "You fix one end first and fit the other to it. The best *sum* may use neither the best start nor the best end."
    if result == (3, 5):
        return "Your last token counts as one past the end. Asked for is the last token itself."
    if result != (3, 4):
        return f"With our scores the best possible pair is (3, 4), with 5 + 3; you return {result}."
    long_start, long_end = np.array([5.0, 0, 0, 0, 0, 1]), np.array([0.0, 1, 0, 0, 0, 5])
    if tuple(answer(long_start, long_end, [True] * 6, 3)) == (0, 5):
        return "Your answer is longer than `longest` tokens. Without that limit, a model that hesitates returns half the article."
    for _ in range(40):
        start, end = draw.normal(size=12), draw.normal(size=12)
        allowed = draw.random(12) > 0.3
        allowed[draw.integers(12)] = True
        longest = int(draw.integers(1, 6))
        wanted, found = (
            reference(start, end, allowed, longest),
            tuple(answer(start, end, list(allowed), longest)),
        )
        if found != wanted:
            lengths = f"{wanted[1] - wanted[0] + 1} tokens long, with longest = {longest}"
            return f"On random scores the best possible pair is {wanted} ({lengths}); you return {found}. Is a length counted as last - first + 1, and does the best *sum* win?"
    return None


def inputs(draw):
    for count in (1, 2, 5, 14, 40):
        allowed = (draw.random(count) > 0.2).tolist()
        allowed[count // 2] = True
        yield draw.normal(size=count), draw.normal(size=count), allowed
        yield draw.normal(-40, 5, count), draw.normal(-40, 5, count), allowed, 3
        yield draw.integers(0, 3, count) * 1.0, draw.integers(0, 3, count) * 1.0, allowed, 2
        yield draw.normal(size=count), draw.normal(size=count), [True] * count, 1
    far = np.zeros(30)
    yield (
        np.where(np.arange(30) == 4, 9.0, far),
        np.where(np.arange(30) == 15, 9.0, far),
        [True] * 30,
    )
    yield (
        np.where(np.arange(30) == 4, 9.0, far),
        np.where(np.arange(30) == 16, 9.0, far),
        [True] * 30,
    )


def trial(answer, start_logits, end_logits, allowed, *longest):
    first, last = (int(place) for place in answer(start_logits, end_logits, allowed, *longest))
    inside = 0 <= first <= last < len(allowed)
    fits = inside and allowed[first] and allowed[last]
    short = last - first + 1 <= (longest[0] if longest else 12)
    score = float(start_logits[first] + end_logits[last]) if inside else None
    return {"a possible pair": bool(fits and short), "sum of its scores": score}


hints = [
    "Two loops are fine: over every possible first, and over every last that goes with it. Remember the best sum so far.",
    "`last` runs from `first` to `first + longest - 1`, and not beyond the end.",
    "With arrays: `start[:, None] + end[None, :]` holds all sums; put minus infinity where a pair is impossible; np.unravel_index(scores.argmax(), scores.shape).",
]
misconceptions = [
    (
        "def best_span(start_logits, end_logits, allowed, longest=12):\n    return int(np.argmax(start_logits)), int(np.argmax(end_logits))",
        "special token",
    ),
    (
        "def best_span(start_logits, end_logits, allowed, longest=12):\n    keep = lambda s: np.where(allowed, s, -np.inf)\n    return int(keep(start_logits).argmax()), int(keep(end_logits).argmax())",
        "ends before it starts",
    ),
    (
        "def best_span(start_logits, end_logits, allowed, longest=12):\n    last = int(np.where(allowed, end_logits, -np.inf).argmax())\n    first = max((i for i in range(last + 1) if allowed[i] and last - i < longest), key=lambda i: start_logits[i])\n    return first, last",
        "fix one end first",
    ),
    (
        "def best_span(start_logits, end_logits, allowed, longest=12):\n    pairs = [(i, j) for i in range(len(allowed)) for j in range(i, len(allowed)) if allowed[i] and allowed[j]]\n    return max(pairs, key=lambda p: start_logits[p[0]] + end_logits[p[1]])",
        "longer than `longest`",
    ),
]

# %% [markdown]
# ### A4. The score that fits
#
# **Exact match** asks: the same words? **Token F1** gives part of the credit for overlap ("1997" for "in 1997"). Both
# compare after taking out case, punctuation and articles, as SQuAD does. (The [evaluation
# guide](../../curriculum/guides/evaluation.md#question-answering) has an example.)


# %%
def plain(text):
    return re.sub(r"\b(a|an|the)\b|[^\w\s]", " ", text.lower()).split()


def overlap(answer, truth):
    shared = sum((Counter(plain(answer)) & Counter(plain(truth))).values())
    return 2 * shared / max(1, len(plain(answer)) + len(plain(truth)))


# %%
def read_answers(predictions, rows, encoded_rows):
    answers = []
    for starts, ends, row, encoded in zip(*predictions, rows, encoded_rows, strict=True):
        length = len(encoded["input_ids"])
        first, last = best_span(starts[:length], ends[:length], encoded["in_text"])
        offsets = encoded["offset_mapping"]
        answers.append(row["context"][offsets[first][0] : offsets[last][1]])
    return answers


# %%
def judge(answers, rows):
    """Per question: exact match (0 or 1) and token F1, the best over all accepted answers."""
    pairs = [
        (answer, row["answers"]["text"]) for answer, row in zip(answers, rows, strict=True)
    ]
    exact = [max(plain(answer) == plain(truth) for truth in truths) for answer, truths in pairs]
    best = [max(overlap(answer, truth) for truth in truths) for answer, truths in pairs]
    return np.array(exact, int), np.array(best)


# %% [markdown]
# **Doing nothing** has two meanings here. The head that has learnt nothing; and, for our made questions, somebody who
# reads only the first words: "How much …? Then I take the first amount I see."


# %%
def first_of_its_kind(row):
    return (
        re.search(tasks.ANSWERS[row["kind"]][0], row["context"]).group()
        if "kind" in row
        else ""
    )


scores_a = {
    ("untrained", part): judge(read_answers(untrained[part], rows, ready[part]), rows)
    for part, rows in {"test": asked["test"], "written": written}.items()
}
scores_a["first of its kind", "test"] = judge(
    [first_of_its_kind(row) for row in asked["test"]], asked["test"]
)
for (who, part), (exact, f1) in scores_a.items():
    print(f"{who:<18} {part:<8} exact match {exact.mean():.1%}   F1 {f1.mean():.1%}")

# %% [markdown]
# ### A5. Fine-tune
#
# One learning rate, not tuned here, and one seed. The claim, if we come to make it, is that *this model* is better than
# doing nothing, and a poor rate can only weaken it.

# %%
run_a = training.train(reading, "day09-questions")

# %%
answers_a = {}
for part, rows in {"test": asked["test"], "written": written}.items():
    predictions = predict_in_order(reading, ready[part])
    if part == "test":
        print("read the obvious way:", end=" ")
        count_impossible(predictions)
    answers_a[part] = read_answers(predictions, rows, ready[part])
    scores_a["fine-tuned", part] = judge(answers_a[part], rows)
    exact, f1 = scores_a["fine-tuned", part]
    print(
        f"{part:<8} exact match {metrics.bootstrap_interval(exact)}, "
        f"F1 {bootstrap(lambda x: x.mean(), f1)}"
    )
gain_a = metrics.compare(
    scores_a["fine-tuned", "test"][0], scores_a["first of its kind", "test"][0]
)
print(f"exact match, this model minus the first of its kind: {gain_a}")

# %% [markdown]
# Compare made questions with written ones. A score on questions that a rule has made says how well the model has learnt
# *the rule*; the gap is the price of generated data. And there is a second suspicion: does the model read the question at
# all? Leave it nothing but the kind ("How much money: ?") and ask again.


# %%
def only_the_kind(row):
    asking = (
        tasks.ANSWERS[row["kind"]][1][0].format("")
        if "kind" in row
        else row["question"].split()[0]
    )
    return {"question": asking}


blind = asked["test"].map(only_the_kind, keep_in_memory=True)
ready_blind = prepared(blind)
blind_exact, _ = judge(
    read_answers(predict_in_order(reading, ready_blind), blind, ready_blind), blind
)
full_exact = scores_a["fine-tuned", "test"][0]
alone = np.array([row.get("rivals", 1) == 0 for row in asked["test"]])

# %%
bars_a = {}
for label, chosen in {"one of its kind": alone, "several": ~alone}.items():
    if chosen.any():
        bars_a[f"{label}, whole question"] = metrics.bootstrap_interval(full_exact[chosen])
        bars_a[f"{label}, only its kind"] = metrics.bootstrap_interval(blind_exact[chosen])
bars_a["written for the course"] = metrics.bootstrap_interval(
    scores_a["fine-tuned", "written"][0]
)

# %%
worth = metrics.compare(full_exact, blind_exact)
title = f"Whole question minus only its kind: {worth}"
intervals = [
    tuple(100 * end for end in (bar.estimate, bar.low, bar.high)) for bar in bars_a.values()
]
figure = plots.interval_bars(list(bars_a), intervals, title=title, xlabel="exact match (%)")
plots.show(
    figure,
    alt=(
        "Exact match with intervals, with whole questions and with only their kind, "
        f"where the text holds rivals and where not, and for written questions. {title}."
    ),
)

# %% [markdown]
# "One of its kind" means that the text holds only one amount, one year, one place …; "several" that the model must
# choose. The title asks about both together: without *better* there, this model may well answer without reading. Real
# data sets have such holes too: Kaushik and Lipton (2018) left the question or the text out of several popular ones and
# still scored surprisingly well.
#
# ### A6. Read the outputs
#
# Twenty of them, written questions first. What kind of error is it: half an answer, the wrong one of its kind, a place
# for a person? Which would you accept after all?

# %% tags=["fold"]
for part, count in {"written": 12, "test": 8}.items():
    rows = written if part == "written" else asked["test"]
    print(part.upper())
    for row, answer, right in list(
        zip(rows, answers_a[part], scores_a["fine-tuned", part][0], strict=True)
    )[:count]:
        print(
            f"{'  ' if right else '✗ '}{row['question']}\n "
            f"     {answer}   [{row['answers']['text'][0]}]"
        )

# %% [markdown]
# **On the Hub** the cells above are the same; the branch with `load_dataset("rajpurkar/squad")` takes some of SQuAD's
# questions, and the model is DistilBERT. Then the written questions show what real questions to learn from are worth.
#
# ---
# ## Track B: from article to headline
#
# ### B1. Prepare the data: a chat template
#
# A model that *writes* needs no new head. It needs its task written down, in the form it knows. SmolLM2-Instruct was
# trained on conversations, and its tokenizer carries the pattern they had: the **chat template**.

# %%
writer_tokens = AutoTokenizer.from_pretrained(decoder)
small_talk = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hi."}]
print(writer_tokens.apply_chat_template(small_talk, tokenize=False))
print(f"end-of-turn sign: {writer_tokens.eos_token}, padding: {writer_tokens.pad_token}")

# %% [markdown]
# Two surprises are in there. The template has put a *system message* in front that nobody wrote; you pay for it in every
# example, unless you write a shorter one. And padding uses **the same sign as the end of a turn**: keep that in mind.
#
# The task: the first tokens of a BBC article in, the editor's own headline out. The prompt says what we want as well as we
# can, since the untrained model gets the same one, and a baseline with a bad prompt proves nothing.

# %%
article_tokens = settings.pick(smoke=48, cpu=110)


def as_conversation(row):
    ids = writer_tokens(row["text"], truncation=True, max_length=article_tokens)["input_ids"]
    opening = writer_tokens.decode(ids)
    task = f"Write a short news headline, at most six words, for this article:\n\n{opening}"
    return {
        "prompt": [
            {"role": "system", "content": "You write headlines."},
            {"role": "user", "content": task},
        ],
        "completion": [{"role": "assistant", "content": row["headline"]}],
        "opening": opening,
        "headline": row["headline"],
    }


# %%
counts = {"train": size("headlines", 10, 32, 240), "test": size("headlines", 3, 12, 48)}
news = {
    part: articles[part]
    .select(range(count))
    .map(as_conversation, remove_columns=["text", "label"], keep_in_memory=True)
    for part, count in counts.items()
}
for row in news["train"].select(range(10)):
    print(f"{row['headline']:<36} ← {row['opening'][:64]!r}…")

# %% [markdown]
# ### B2. What the labels mask out
#
# Training a writer means: at each place, predict the next token. But we do not want to teach it to write *articles*. Only
# the headline should count, so the labels of the prompt become **-100**, the number PyTorch's cross-entropy
# skips. Padding is skipped the same way. (Labels are not shifted; the model does that itself.)


# %% tags=["exercise"] exercise="day09/completion-labels" answer="completion_labels" minutes=10 difficulty=2
# prompt, completion: lists of token ids; the completion ends with the end-of-turn sign.
# Return (input_ids, labels), two lists of `length` numbers: prompt, completion, then padding on
# the right. Only the completion counts in the loss. Mind that pad_id may be the id of the
# end-of-turn sign.
def completion_labels(prompt, completion, length, pad_id): ...


# <solution>
def completion_labels(prompt, completion, length, pad_id):
    padding = length - len(prompt) - len(completion)
    input_ids = [*prompt, *completion, *[pad_id] * padding]
    labels = [*[-100] * len(prompt), *completion, *[-100] * padding]
    return input_ids, labels


# </solution>


# %% tags=["check"] exercise="day09/completion-labels"
def check(answer):
    prompt, completion, pad = [1, 5, 6, 2], [7, 8, 9, 2], 2
    result = answer(list(prompt), list(completion), 11, pad)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return (
            f"You return {type(result).__name__}. Asked for are two lists: (input_ids, labels)."
        )
    ids, labels = ([int(number) for number in part] for part in result)
    if len(ids) != 11 or len(labels) != 11:
        return f"The lists have {len(ids)} and {len(labels)} numbers; both must have `length`, here 11, so that a batch is a rectangle."
    if ids == [2, 2, 2, *prompt, *completion]:
        return "Your padding is on the left. That is right for generating; here it was asked for on the right."
    if ids != [*prompt, *completion, 2, 2, 2]:
        return f"input_ids should be prompt, completion, padding, untouched; you have {ids}. (What is masked out is hidden from the loss, not from the model.)"
    right = [-100, -100, -100, -100, 7, 8, 9, 2, -100, -100, -100]
    if labels == right:
        return None
    if labels[4:8] == [7, 8, 9, -100]:
        return "The end-of-turn sign of the completion is masked out, because its id is also the padding's. The model would never learn to stop. Mask by position, not by value."
    if labels[:4] == prompt or labels[:4] == [1, 5, 6, -100]:
        return "The prompt counts in the loss: the model would mostly learn to write articles and instructions."
    if labels[8:] == [2, 2, 2]:
        return "The padding counts in the loss: most of the training would go into predicting padding after padding."
    if labels[:3] == [-100] * 3 and labels[3:7] == [7, 8, 9, 2]:
        return "The labels are shifted by one. The model shifts them itself; doing it twice teaches it to guess the token after next."
    if 0 in labels:
        return "0 is a token like any other. The number that the loss skips is -100."
    return f"For prompt {prompt} and completion {completion} the labels should be -100 except at the completion's four places; you have {labels}."


def inputs(draw):
    for before, after, padding in ((4, 3, 0), (1, 1, 5), (9, 4, 2), (0, 3, 3), (6, 1, 1)):
        prompt = draw.integers(0, 9, before).tolist()
        completion = [*draw.integers(0, 9, after).tolist(), 2]
        for pad_id in (2, 0, 77):
            yield prompt, completion, before + after + 1 + padding, pad_id


hints = [
    "Build both lists from the same three parts: prompt, completion, padding.",
    "`[-100] * n` is a list of n times -100. How long are prompt and padding?",
    "labels = [-100] * len(prompt) + completion + [-100] * (length - len(prompt) - len(completion))",
]
misconceptions = [
    (
        "def completion_labels(prompt, completion, length, pad_id):\n    ids = prompt + completion + [pad_id] * (length - len(prompt) - len(completion))\n    return ids, [-100 if n < len(prompt) or i == pad_id else i for n, i in enumerate(ids)]",
        "never learn to stop",
    ),
    (
        "def completion_labels(prompt, completion, length, pad_id):\n    rest = length - len(prompt) - len(completion)\n    return prompt + completion + [pad_id] * rest, prompt + completion + [-100] * rest",
        "The prompt counts",
    ),
    (
        "def completion_labels(prompt, completion, length, pad_id):\n    rest = length - len(prompt) - len(completion)\n    return prompt + completion + [pad_id] * rest, [-100] * (len(prompt) - 1) + completion + [-100] * (rest + 1)",
        "shifted by one",
    ),
    (
        "def completion_labels(prompt, completion, length, pad_id):\n    return prompt + completion, [-100] * len(prompt) + completion",
        "both must have `length`",
    ),
    (
        "def completion_labels(prompt, completion, length, pad_id):\n    rest = length - len(prompt) - len(completion)\n    return prompt + completion + [pad_id] * rest, [-100] * len(prompt) + completion + [pad_id] * rest",
        "The padding counts",
    ),
]

# %% [markdown]
# ### B3. The same through TRL
#
# **TRL** is the library for training writers. Its `SFTTrainer` ("supervised fine-tuning") is a `Trainer` that knows
# conversations: give it rows with `prompt` and `completion` and it applies the template, makes the labels you just made,
# and pads. Its settings are a `TrainingArguments` with more fields, and other defaults: it would switch checkpointing of
# activations on, which saves memory and costs time we would rather keep.

# %%
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer, pack_dataset

set_seed(lab.seed)
writer = AutoModelForCausalLM.from_pretrained(decoder, **training.load_options("decoder"))
writer.to(settings.device())
writer = lora(writer, "CAUSAL_LM")
models.describe(writer)

# %%
ours = training.arguments("day09-headlines")
suits = ("use_cpu", "bf16", "fp16", "disable_tqdm", "dataloader_pin_memory")
machine = {name: getattr(ours, name) for name in suits}  # what suits this machine
config = SFTConfig(
    output_dir=ours.output_dir,
    **machine,
    seed=lab.seed,
    learning_rate=5e-4,
    num_train_epochs=1,
    per_device_train_batch_size=4,
    warmup_steps=0.1,
    max_length=256,
    completion_only_loss=True,
    packing=False,
    activation_checkpointing=False,
    save_strategy="no",
    logging_steps=1,
    report_to=[],
)

# %%
pairs = news["train"].select_columns(["prompt", "completion"])
disable_progress_bars()  # TRL would show one after the other, for a moment's work each
writing = SFTTrainer(
    model=writer, args=config, train_dataset=pairs, processing_class=writer_tokens
)
print(
    f"left alone: cut at {SFTConfig.max_length:,}, "
    f"checkpointing {SFTConfig.gradient_checkpointing}"
)

# %% [markdown]
# Never trust a mask you have not seen. What does the trainer's own batch count, and is it what your function makes?

# %%
batch = writing.data_collator([writing.train_dataset[row] for row in range(2)])
ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
counted = [token for token, label in zip(ids, labels, strict=True) if label != -100]
print(f"counts in the loss: {writer_tokens.decode(counted)!r}")
print(f"that is {len(counted)} of {int(batch['attention_mask'][0].sum())} tokens")
start = labels.index(counted[0])
mine = completion_labels(ids[:start], counted, len(ids), writer_tokens.pad_token_id)
print("your function makes the same labels:", mine[1] == labels)

# %% [markdown]
# It works because our rows have `prompt` and `completion`. Rows with one list of `messages` count *every* token, the
# system message too, unless you ask for `assistant_only_loss=True`, which needs a chat template in which the assistant's
# part is marked. SmolLM2's is not; for Llama 3, Qwen, Gemma, Phi-3 and some others TRL puts a marked one in its place.
#
# **Packing.** Texts of different lengths are padded to the longest of their batch, and padding is computed like anything else.
# Packing (`packing=True`) puts several examples into one row instead, and tells attention where each begins. Our prompts
# are all cut to about the same length, so there is little to save; then 2,000 chats, where there is more.

# %%
lengths = [len(row) for row in writing.train_dataset["input_ids"]]
batches = [lengths[first : first + 4] for first in range(0, len(lengths), 4)]
padded = sum(len(part) * max(part) for part in batches)
packed = pack_dataset(
    writing.train_dataset.select_columns(["input_ids", "labels"]),
    seq_length=512,
    strategy="bfd",
)
print(
    f"{sum(lengths):,} tokens; padded to {padded:,} ({1 - sum(lengths) / padded:.0%} padding)"
)
print(f"packed: {len(lengths)} examples in {len(packed)} rows of at most 512 tokens")

# %%
mixed = np.random.default_rng(0).lognormal(5.5, 0.8, 2000).astype(int).clip(8, 2048)


def padding_share(batch_size=8):
    groups = [mixed[first : first + batch_size] for first in range(0, len(mixed), batch_size)]
    share = 1 - mixed.sum() / sum(len(part) * part.max() for part in groups)
    print(
        "2,000 chats of very different lengths, "
        f"{batch_size} to a batch: {share:.0%} of the work is padding"
    )


widgets.explore(padding_share, batch_size=(1, 64))

# %% [markdown]
# ### B4. Doing nothing
#
# Two baselines. The untrained model with our best prompt; and the *lead*, the first six words of the article, which in
# news is a strong and shameless competitor.


# %%
def write(rows):
    """Greedy headlines. Padding goes to the left: new tokens must follow the prompt."""
    writer.eval()
    headlines = []
    for first in range(0, len(rows), 16):
        some = rows[first : first + 16]["prompt"]
        prompts = writer_tokens.apply_chat_template(
            some, add_generation_prompt=True, tokenize=False
        )
        inputs = writer_tokens(prompts, padding=True, padding_side="left", return_tensors="pt")
        inputs = inputs.to(writer.device)
        with torch.inference_mode():
            tokens = writer.generate(
                **inputs, max_new_tokens=settings.pick(smoke=12, cpu=24), do_sample=False
            )
        new = tokens[:, inputs["input_ids"].shape[1] :]
        headlines += writer_tokens.batch_decode(new, skip_special_tokens=True)
    return [" ".join(text.split()) for text in headlines]


# %%
headlines = {
    "the editor": news["test"]["headline"][:],
    "first six words": [" ".join(text.split()[:6]) for text in news["test"]["opening"]],
    "untrained": write(news["test"]),
}

# %% [markdown]
# ### B5. Fine-tune
#
# Once through the articles, at one learning rate that nobody tuned, with one seed: again *this model* is compared with
# doing nothing.

# %%
run_b = training.train(writing, "day09-headlines")
headlines["fine-tuned"] = write(news["test"])

# %% [markdown]
# ### B6. The score that fits, and where it does not
#
# **ROUGE** counts what a text shares with a reference: ROUGE-1 single words, ROUGE-L the longest series in the same
# order. We take its F-measure, so that neither saying everything nor saying one safe word pays.

# %%
from rouge_score.rouge_scorer import RougeScorer

scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=True)


def rouge(texts, kind):
    scores = [
        scorer.score(truth, text)[kind].fmeasure
        for truth, text in zip(headlines["the editor"], texts, strict=True)
    ]
    return np.array(scores)


# %%
rouge1 = {
    who: rouge(texts, "rouge1") for who, texts in headlines.items() if who != "the editor"
}
for who, texts in headlines.items():
    words = np.mean([len(text.split()) for text in texts])
    scored = (
        f"ROUGE-1 {rouge1[who].mean():.3f}   ROUGE-L {rouge(texts, 'rougeL').mean():.3f}"
        if who in rouge1
        else ""
    )
    print(f"{who:<16} {words:>5.1f} words   {scored}")
for who in ("untrained", "first six words"):
    print(
        f"ROUGE-1, fine-tuned minus {who}:", metrics.compare(rouge1["fine-tuned"], rouge1[who])
    )
gain_b = metrics.compare(rouge1["fine-tuned"], rouge1["untrained"])

# %%
names = list(rouge1)
title = f"ROUGE-1, fine-tuned minus untrained: {gain_b}"
figure = plots.interval_bars(
    names,
    [
        (bar.estimate, bar.low, bar.high)
        for bar in (bootstrap(lambda x: x.mean(), rouge1[name]) for name in names)
    ],
    title=title,
    xlabel="ROUGE-1 (F-measure)",
)
plots.show(
    figure,
    alt=(
        "ROUGE-1 with 95 percent intervals for the first six words, "
        f"the untrained and the fine-tuned model. {title}."
    ),
)

# %% [markdown]
# Now read: the editor, the fine-tuned model behind the arrow, the untrained one in brackets.

# %%
for row in range(min(20, len(news["test"]))):
    before = textwrap.shorten(headlines["untrained"][row], 62, placeholder=" …")
    print(
        f"{headlines['the editor'][row]}\n     → "
        f"{headlines['fine-tuned'][row]}   (untrained: {before})"
    )

# %% [markdown]
# Length and tone are learnt first; facts are another matter. ROUGE does not know whether "Bank cuts rates" is the
# opposite of "Bank raises rates". One crude test that needs no reader: **does the headline hold a name or a number that
# the text it was given does not?** The editor had the whole article, so he may. The model had only the opening.


# %%
def unsupported(text, opening):
    known = set(re.findall(r"[a-z0-9]+", opening.lower()))
    claims = re.findall(r"\b(?:[A-Z][a-z]+|\d[\d,.]*)\b", text)
    return [
        claim
        for claim in claims[1:]
        if not set(re.findall(r"[a-z0-9]+", claim.lower())) <= known
    ]


# %%
invented = {}
for who, texts in headlines.items():
    found = [
        unsupported(text, opening)
        for text, opening in zip(texts, news["test"]["opening"], strict=True)
    ]
    invented[who] = np.mean([bool(claims) for claims in found])
    examples = [claim for claims in found for claim in claims][:5]
    print(
        f"{who:<16} {invented[who]:>4.0%} of the headlines hold a name "
        f"or number that is not in the opening: {', '.join(examples)}"
    )

# %% [markdown]
# It is crude: a capital at the beginning of every word looks like a name to it, and "Scots" is not "Scottish". But it finds
# the headlines to read first. **On the Hub**, with a GPU, the model is SmolLM2-360M, and nothing else changes.
#
# ---
# ## Track C: find the names
#
# ### C1. Prepare the data
#
# Each word of a tweet carries one tag. `B-person` begins a person's name, `I-person` continues it, `O` is outside of
# any name. This is called **BIO**. The B is there so that two names in a row stay two.

# %%
if lab.use_hub:  # news instead of tweets, ten times as many, and easier
    conll = load_dataset("lhoestq/conll2003").rename_column("ner_tags", "tags")
    tag_names = conll["train"].features["tags"].feature.names
    parts = ("train", "validation", "test")
    tweets = {part: conll[part].select_columns(["tokens", "tags"]) for part in parts}
else:
    tag_names = tasks.TAGS
    counts = {
        "train": size("names", 160, 400, 5000),
        "validation": size("names", 60, 100, 5000),
        "test": size("names", 100, 200, 5000),
    }
    tweets = {
        part: tweets[part].select(range(min(count, len(tweets[part]))))
        for part, count in counts.items()
    }

# %%
for row in [row for row in tweets["train"] if sum(tag > 0 for tag in row["tags"]) > 1][:6]:
    marked = [
        word if tag == 0 else f"[{word} {tag_names[tag]}]"
        for word, tag in zip(row["tokens"], row["tags"], strict=True)
    ]
    print(textwrap.shorten(" ".join(marked), 150, placeholder=" …"))

# %%
begins = {
    part: Counter(
        tag_names[tag][2:]
        for row in rows["tags"]
        for tag in row
        if tag_names[tag].startswith("B-")
    )
    for part, rows in tweets.items()
}
for part, kinds in begins.items():
    print(
        f"{part:<11} {len(tweets[part]):>6,} texts, "
        f"{sum(kinds.values()):>5,} names: {dict(kinds.most_common())}"
    )

# %% [markdown]
# Few examples, and hard ones. Ritter and his colleagues marked these tweets in 2011, in ten kinds, which we merged into
# four. The texts are short, misspelt, and as rude as tweets are. And our model has a handicap of its own:

# %%
row = next(row for row in tweets["train"] if any(tag > 0 for tag in row["tags"][1:]))
pieces = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=128)
print(" ".join(row["tokens"]), "\n")
for token, word in list(zip(pieces.tokens(), pieces.word_ids(), strict=True))[:16]:
    print(f"{token:<14} word {word}")

# %% [markdown]
# Everything is in small letters: MiniLM's tokenizer throws capitals away, and a capital is the best hint at a name there is.
# (A *cased* model would be the better choice for this task. Ours is the one that is here.)
#
# The second thing in that list is today's central nuisance. The tags belong to *words*, the model sees *pieces* of
# words, and `[CLS]` and `[SEP]` belong to no word at all. Give the tag to the first piece of each word, and -100, which
# PyTorch's loss skips, to all the rest.


# %% tags=["exercise"] exercise="day09/align-labels" answer="align_labels" minutes=10 difficulty=2
# tags: one number per word.  word_ids: per token the number of its word, or None for special
# tokens.
# Return one label per token: the word's tag on its first piece, -100 on everything else.
def align_labels(tags, word_ids): ...


# <solution>
def align_labels(tags, word_ids):
    before = [None, *word_ids[:-1]]
    return [
        -100 if word is None or word == last else tags[word]
        for word, last in zip(word_ids, before, strict=True)
    ]


# </solution>


# %% tags=["check"] exercise="day09/align-labels"
def check(answer):
    word_ids, tags = [None, 0, 1, 1, 1, 2, 3, None], [0, 3, 4, 0]
    result = answer(list(tags), list(word_ids))
    if not isinstance(result, list | tuple | np.ndarray):
        return f"You return {type(result).__name__}. Asked for is a list with one number per token."
    result = list(result)
    if len(result) != len(word_ids):
        return f"There are {len(word_ids)} tokens and you return {len(result)} labels. Each token needs one, if only to say that it does not count."
    if any(label is None for label in result):
        return "None is no number, and labels become a tensor. What the loss should skip is marked with -100."
    if result[0] == 0 or result[-1] == 0:
        return "Special tokens get the label 0, which is the tag O: the model would be graded for calling [CLS] no name. -100 leaves them out."
    if result[2:5] == [3, 3, 3]:
        return "Every piece carries the tag of its word. Three pieces with B- are three names that begin; the later pieces should not count."
    if result[2:5] == [3, 0, 0]:
        return "The later pieces of a word get the tag O, so the model is taught that the end of a name is no name. They should not count at all."
    if result != [-100, 0, 3, -100, -100, 4, 0, -100]:
        return f"For word_ids {word_ids} and tags {tags} you return {result}. Go through it token by token."
    if list(answer([3, 3], [None, 0, 1, None])) != [-100, 3, 3, -100]:
        return "Two different words may carry the same tag, one after the other. Compare the word's number with the one before, not the tag."
    return None


def inputs(draw):
    yield [5], [None, 0, None]
    yield [0], [0]
    yield [3, 0], [None, None, 0, 1, 1, None, None, None]
    yield [1, 2, 3, 4], [None, 0, 1, None]  # cut: two words have no token
    yield [1, 2, 3], [None, 0, 2, 2, None]  # a word without any piece
    for words in (2, 6, 15):
        tags = draw.integers(0, 9, words).tolist()
        ids = np.repeat(np.arange(words), draw.integers(1, 4, words)).tolist()
        yield tags, [None, *ids, None]
        yield tags, ids
        yield [4] * words, [None, *ids, None, None]


hints = [
    "Go through word_ids and remember the number before. Three cases: None, the same number again, a new number.",
    "A token counts when its word is not None and differs from the word of the token before.",
    "`for word, last in zip(word_ids, [None, *word_ids])` gives each token with its predecessor.",
]
misconceptions = [
    (
        "def align_labels(tags, word_ids):\n    return [-100 if w is None else tags[w] for w in word_ids]",
        "Three pieces with B-",
    ),
    (
        "def align_labels(tags, word_ids):\n    return [0 if w is None or w == p else tags[w] for w, p in zip(word_ids, [None, *word_ids])]",
        "Special tokens get the label 0",
    ),
    (
        "def align_labels(tags, word_ids):\n    return [-100 if w is None else 0 if w == p else tags[w] for w, p in zip(word_ids, [None, *word_ids])]",
        "taught that the end of a name",
    ),
    (
        "def align_labels(tags, word_ids):\n    return [-100, *tags, -100]",
        "Each token needs one",
    ),
    (
        "def align_labels(tags, word_ids):\n    labels, last = [], None\n    for w in word_ids:\n        tag = None if w is None else tags[w]\n        labels.append(-100 if w is None or (tag == last and tag != 0) else tag)\n        last = tag\n    return labels",
        "not the tag",
    ),
]


# %%
def prepare_names(batch):
    encoded = tokenizer(
        batch["tokens"], is_split_into_words=True, truncation=True, max_length=128
    )
    labels = [
        align_labels(tags, encoded.word_ids(row)) for row, tags in enumerate(batch["tags"])
    ]
    return {**encoded, "labels": labels}


tokens = {
    part: rows.map(
        prepare_names, batched=True, remove_columns=rows.column_names, keep_in_memory=True
    )
    for part, rows in tweets.items()
}

# %%
for row in [row for row in tokens["train"] if any(label > 0 for label in row["labels"])][:10]:
    shown = zip(tokenizer.convert_ids_to_tokens(row["input_ids"]), row["labels"], strict=True)
    text = " ".join(
        piece if label == 0 else f"{piece}/{tag_names[label] if label > 0 else '·'}"
        for piece, label in shown
    )
    print(textwrap.shorten(text, 110, placeholder=" …"))
counted = sum(label != -100 for row in tokens["train"]["labels"] for label in row)
total = sum(len(row) for row in tokens["train"]["labels"])
print(f"\n{counted:,} of {total:,} tokens count in the loss; a dot marks those that do not.")

# %% [markdown]
# ### C2. The score that fits
#
# You saw what accuracy over words is worth. The unit people care about is the *name*: whole, and of the right kind. So turn
# tags into names first. A name is (kind, first word, word after the last). Models do not keep the rules of BIO, so
# yours needs one more: an `I-` that continues nothing of its kind begins a name of its own.


# %% tags=["exercise"] exercise="day09/entity-spans" answer="entity_spans" minutes=12 difficulty=2
# tags: one text per word, such as ["B-person", "I-person", "O", "B-place"].
# Return the set of names, each (kind, first, after): {("person", 0, 2), ("place", 3, 4)}.
def entity_spans(tags): ...


# <solution>
def entity_spans(tags):
    spans, kind, first = set(), None, 0
    for place, tag in enumerate([*tags, "O"]):
        if kind is not None and tag != f"I-{kind}":
            spans.add((kind, first, place))
            kind = None
        if kind is None and tag != "O":
            kind, first = tag[2:], place
    return spans


# </solution>


# %% tags=["check"] exercise="day09/entity-spans"
def check(answer):
    result = answer(["B-person", "I-person", "O", "B-place", "O"])
    if not isinstance(result, set | frozenset):
        return f"You return {type(result).__name__}. Asked for is a set of (kind, first, after): sets can be compared with `&`."
    if result == {("person", 0, 1), ("place", 3, 3)}:
        return "Your last number is the last word itself. Asked for is the word after, as in a Python slice."
    if {span[0] for span in result} & {"B-person", "B-place"}:
        return "The kind still carries its B-. The kind is what follows the dash."
    if result != {("person", 0, 2), ("place", 3, 4)}:
        return f"For our first example you return {sorted(result)}."

    def ask(*tags):
        return answer(list(tags))

    if ask("O", "B-place") != {("place", 1, 2)}:
        return f"A name that ends with the text is lost or wrong: {sorted(ask('O', 'B-place'))}. When is a name closed?"
    if ask("B-person", "B-person") != {("person", 0, 1), ("person", 1, 2)}:
        return "Two B- in a row are two names that touch. That is what the B is for."
    if ask("B-person", "I-place") == {("person", 0, 2)}:
        return "I-place cannot continue a person. Compare the kind, too."
    if ask("O", "I-place", "I-place") != {("place", 1, 3)}:
        return f"An I- that continues nothing begins a name: O I-place I-place is one name, and you find {sorted(ask('O', 'I-place', 'I-place'))}."
    if ask("B-person", "I-place") != {("person", 0, 1), ("place", 1, 2)}:
        return "B-person I-place: the person ends, and a place begins."
    if ask("O", "O"):
        return "Where every tag is O there is no name at all."
    return None


def inputs(draw):
    tags = ["O", "B-person", "I-person", "B-place", "I-place", "I-other"]
    yield ([],)
    yield (["B-person"],)
    yield (["I-person"],)
    yield (["I-person", "B-person", "I-person", "I-person"],)
    for length in (2, 3, 5, 9, 30, 60):
        yield (draw.choice(tags, length).tolist(),)
        yield (draw.choice(tags[1:3], length).tolist(),)


def agrees(expected, found):
    return isinstance(found, set | frozenset) and expected == found


hints = [
    "Walk through the tags and remember the open name: its kind and where it began.",
    "An open name goes on only if the tag is exactly I- with its kind. Anything else closes it, and a B- or I- opens the next.",
    'Append one "O" to the tags, so that a name at the end of the text is closed as well.',
]
misconceptions = [
    (
        'def entity_spans(tags):\n    spans, first = set(), None\n    for p, tag in enumerate(tags):\n        if first is not None and not tag.startswith("I-"):\n            spans.add((tags[first][2:], first, p))\n            first = None\n        if tag.startswith("B-"):\n            first = p\n    return spans',
        "ends with the text",
    ),
    (
        'def entity_spans(tags):\n    spans, first = set(), None\n    for p, tag in enumerate([*tags, "O"]):\n        if first is not None and not tag.startswith("I-"):\n            spans.add((tags[first][2:], first, p))\n            first = None\n        if tag.startswith("B-"):\n            first = p\n    return spans',
        "cannot continue a person",
    ),
    (
        'def entity_spans(tags):\n    spans, first = set(), None\n    for p, tag in enumerate([*tags, "O"]):\n        if first is not None and tag == "O":\n            spans.add((tags[first][2:], first, p))\n            first = None\n        if first is None and tag != "O":\n            first = p\n    return spans',
        "two names that touch",
    ),
    (
        'def entity_spans(tags):\n    spans, kind, first = set(), None, 0\n    for p, tag in enumerate([*tags, "O"]):\n        if kind and tag != f"I-{kind}":\n            spans.add((kind, first, p - 1))\n            kind = None\n        if kind is None and tag != "O":\n            kind, first = tag[2:], p\n    return spans',
        "the word after",
    ),
]

# %% [markdown]
# From names to **F1**. *Precision*: of the names it found, how many are right? *Recall*: of the names there are, how many did
# it find? F1 is their harmonic mean, which comes to 2 × right / (found + there). One trap is left: most tweets hold no
# name at all. What is *their* F1? So count over all texts together, and divide once.


# %% tags=["exercise"] exercise="day09/entity-f1" answer="entity_f1" minutes=8 difficulty=2
# gold, found: lists of sets of names, one set per text.
# Return F1 over all texts together, 0 to 1 (0 if no name is there and none is found).
def entity_f1(gold, found): ...


# <solution>
def entity_f1(gold, found):
    right = sum(len(there & here) for there, here in zip(gold, found, strict=True))
    names = sum(map(len, gold)) + sum(map(len, found))
    return 2 * right / names if names else 0.0


# </solution>


# %% tags=["check"] exercise="day09/entity-f1"
def check(answer):
    a, b, c, d, e = (
        ("person", 0, 2),
        ("place", 3, 4),
        ("place", 0, 1),
        ("person", 0, 1),
        ("other", 5, 6),
    )
    gold, found = [{a, b}, {c}, set(), set(), {a}], [{a, e}, {d}, {a}, set(), {a, b}]
    try:
        result = answer(gold, found)
    except ZeroDivisionError:
        return "Some texts have no name, and you divide by their number. Add up over all texts, then divide once."
    if not isinstance(result, int | float | np.floating):
        return f"You return {type(result).__name__}. Asked for is one number."
    replies = {
        "You average over texts, and texts without any name drag it down. Add up over all texts first.": [
            7 / 30
        ],
        "You average over texts, and silence about nothing counts as perfect. Add up over all texts first.": [
            13 / 30
        ],
        "You average over the texts that have names, whether one or ten. Add up over all texts first.": [
            7 / 24,
            7 / 18,
        ],
        "That is precision: of what was found, how much is right. F1 asks for the names that are missing, too.": [
            1 / 3
        ],
        "That is recall: of the names there are, how many were found. F1 minds the invented ones, too.": [
            1 / 2
        ],
        "That comes out if a name counts although its kind or its end is wrong. Only the very same (kind, first, after) counts.": [
            3 / 5
        ],
        "You throw the names of all texts together: the same words in another text are another name. Compare text by text.": [
            4 / 7,
            4 / 5,
        ],
        "Half of what it should be: in F1 the right ones count twice, once for each of the two sums below.": [
            1 / 5
        ],
        "Right, in per cent. Here F1 is between 0 and 1.": [40],
    }
    for reply, values in replies.items():
        if any(abs(result - value) < 1e-9 for value in values):
            return reply
    if abs(result - 2 / 5) > 1e-9:
        return f"Here 2 names are right, 6 were found and 4 are there, so F1 is 2 × 2 / (6 + 4); you return {result:.3f}."
    for case, there, here in (
        ("any name", set(), set()),
        ("a name found", {a}, set()),
        ("a right one", {a}, {b}),
    ):
        try:
            nothing = answer([there], [here])
        except ZeroDivisionError:
            return (
                f"Where there is not {case}, your function divides by zero. It should return 0."
            )
        if nothing != 0:
            return f"Where there is not {case}, the score should be 0."
    return None


def inputs(draw):
    def some(most):
        kinds = draw.choice(["person", "place"], int(draw.integers(0, most + 1)))
        return {(str(kind), at, at + int(draw.integers(1, 3))) for at, kind in enumerate(kinds)}

    yield [], []
    yield [{("place", 0, 1)}], [{("place", 0, 1)}]
    yield [{("place", 0, 1)}, set()], [{("place", 0, 2)}, {("place", 0, 1)}]
    for texts in (1, 4, 12):
        for most in (0, 1, 3):
            yield [some(most) for _ in range(texts)], [some(most) for _ in range(texts)]


hints = [
    "Three sums over all texts: names that are there, names that were found, names that are in both sets of a text.",
    "`there & here` is the set of names in both.",
    "2 * right / (there + found), and 0.0 if that sum is 0.",
]
misconceptions = [
    (
        "def entity_f1(gold, found):\n    scores = [2 * len(g & f) / (len(g) + len(f)) if g or f else 0.0 for g, f in zip(gold, found)]\n    return sum(scores) / len(scores)",
        "You average over texts",
    ),
    (
        "def entity_f1(gold, found):\n    return sum(2 * len(g & f) / (len(g) + len(f)) for g, f in zip(gold, found)) / len(gold)",
        "divide by their number",
    ),
    (
        "def entity_f1(gold, found):\n    right = sum(len(g & f) for g, f in zip(gold, found))\n    return right / sum(map(len, found))",
        "That is precision",
    ),
    (
        "def entity_f1(gold, found):\n    right = sum(len({s[1] for s in g} & {s[1] for s in f}) for g, f in zip(gold, found))\n    return 2 * right / (sum(map(len, gold)) + sum(map(len, found)))",
        "although its kind or its end",
    ),
]

# %% [markdown]
# <!-- asked: D09-T4 -->
# **Doing nothing**, twice. Call nothing a name. Or learn by heart: whatever stood in the training tweets as a name is one,
# wherever it turns up.


# %%
def names_of(rows):
    return [entity_spans([tag_names[tag] for tag in tags]) for tags in rows["tags"]]


by_heart = Counter()
for row, spans in zip(tweets["train"], names_of(tweets["train"]), strict=True):
    by_heart.update(
        (" ".join(row["tokens"][first:after]).lower(), kind, after - first)
        for kind, first, after in spans
    )
known = {
    name: kind for (name, kind, _), _ in sorted(by_heart.items(), key=lambda item: item[1])
}
longest = max(words for _, _, words in by_heart)


# %%
def look_up(words):
    tags, place = ["O"] * len(words), 0
    while place < len(words):
        for after in range(min(len(words), place + longest), place, -1):
            kind = known.get(" ".join(words[place:after]).lower())
            if kind:
                tags[place:after] = [f"B-{kind}", *[f"I-{kind}"] * (after - place - 1)]
                break
        place = after
    return tags


# %%
gold = names_of(tweets["test"])
found = {
    "nothing is a name": [set() for _ in gold],
    "known by heart": [entity_spans(look_up(words)) for words in tweets["test"]["tokens"]],
}
for who, spans in found.items():
    print(f"{who:<18} entity F1 {entity_f1(gold, spans):.3f}")

# %% [markdown]
# <!-- asked: D09-T3 -->
# ### C3. Head, collator and adapters
#
# `AutoModelForTokenClassification` puts one small layer on *every* token. `id2label` gives its outputs their names, so that
# the saved model can speak for itself. The collator pads the labels along with the tokens, with -100.

# %%
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification

labels = {
    "id2label": dict(enumerate(tag_names)),
    "label2id": {tag: at for at, tag in enumerate(tag_names)},
}
epochs = size("names", 2, 3, 3)


# %%
def tagger(seed, learning_rate):
    set_seed(seed)
    body = AutoModelForTokenClassification.from_pretrained(
        encoder, **labels, **training.load_options()
    )
    name = f"day09-names-{learning_rate:g}-{seed}"
    size_of_run = {"num_train_epochs": epochs, "per_device_train_batch_size": 16}
    args = training.arguments(
        name, learning_rate=learning_rate, seed=seed, save_strategy="no", **size_of_run
    )
    trainer = Trainer(
        model=lora(body, "TOKEN_CLS"),
        args=args,
        train_dataset=tokens["train"],
        data_collator=DataCollatorForTokenClassification(tokenizer),
    )
    return trainer, name


# %%
models.describe(tagger(lab.seed, 3e-4)[0].model)


# %%
def tags_of(trainer, part):
    best = predict_in_order(trainer, tokens[part]).argmax(axis=2)
    return [
        [tag_names[tag] for tag, label in zip(guessed, row, strict=False) if label != -100]
        for guessed, row in zip(best, tokens[part]["labels"], strict=True)
    ]


def spans_of(trainer, part):
    return [entity_spans(tags) for tags in tags_of(trainer, part)]


# %% [markdown]
# ### C4. Fine-tune
#
# The learning rate is chosen on the validation tweets, one run each. Then *other* seeds of the chosen one judge: the
# run that won was also the lucky one, and on so few names luck is large.

# %%
rates = size("names", [6e-4], [6e-4], [3e-4, 6e-4])
checked = {}
for rate in rates:
    trainer, name = tagger(lab.seed, rate)
    training.train(trainer, name)
    checked[rate] = entity_f1(names_of(tweets["validation"]), spans_of(trainer, "validation"))
for rate, score in checked.items():
    print(f"rate {rate:g}: entity F1 on validation {score:.3f}")
chosen_rate = max(checked, key=checked.get)

# %%
seeds = [lab.seed + more for more in size("names", [1, 2], [1], [1, 2, 3])]
taggers, spans_by_seed = {}, {}
for seed in seeds:
    taggers[seed], name = tagger(seed, chosen_rate)
    training.train(taggers[seed], name)
    spans_by_seed[seed] = spans_of(taggers[seed], "test")
by_seed = {seed: entity_f1(gold, spans) for seed, spans in spans_by_seed.items()}
print(
    "entity F1 on the test tweets, by seed:",
    {seed: round(score, 3) for seed, score in by_seed.items()},
)

# %%
final = taggers[seeds[0]]  # the one whose answers we read below
predicted_tags = tags_of(final, "test")
found["fine-tuned"] = [entity_spans(tags) for tags in predicted_tags]
gold_tags = [[tag_names[tag] for tag in tags] for tags in tweets["test"]["tags"]]
cut = [tags[: len(guessed)] for tags, guessed in zip(gold_tags, predicted_tags, strict=True)]
right_words = np.mean(
    [
        a == b
        for x, y in zip(cut, predicted_tags, strict=True)
        for a, b in zip(x, y, strict=True)
    ]
)
lazy_words = np.mean([tag == "O" for tags in cut for tag in tags])
print(f"accuracy over words: {lazy_words:.1%} for doing nothing, {right_words:.1%} fine-tuned")


# %%
def counts_of(spans):
    """Per text: right, found, there."""
    pairs = zip(gold, spans, strict=True)
    return np.array([(len(there & here), len(here), len(there)) for there, here in pairs])


def pooled(counts):
    right, here, there = counts.sum(axis=0)
    return 2 * right / max(1, here + there)


# %% [markdown]
# F1 is no mean over tweets, and the comparison wants one number per tweet. So give each tweet its *share*: F1, plus
# what its right names are above or below what its names would earn at that F1. The shares average to F1, and
# they move as F1 moves when tweets come and go (statisticians call this linearising, or the delta method).


# %%
def shares_of(spans):
    """One number per tweet; their mean is F1."""
    counts = counts_of(spans)
    right, named = counts[:, 0], counts[:, 1] + counts[:, 2]
    return pooled(counts) + (2 * right - pooled(counts) * named) / named.mean()


intervals = {who: bootstrap(pooled, counts_of(spans)) for who, spans in found.items()}
by_heart_shares = shares_of(found["known by heart"])
gain_c = metrics.compare([shares_of(s) for s in spans_by_seed.values()], by_heart_shares)
print(f"entity F1, fine-tuned ({len(seeds)} seeds) minus known by heart: {gain_c}")
guess.compare(100 * np.mean(list(by_seed.values())), "%")

# %%
title = (
    f"This model's entity F1: {intervals['fine-tuned'].estimate:.2f}, "
    f"where {right_words:.0%} of the words are right"
)
bars = [(bar.estimate, bar.low, bar.high) for bar in intervals.values()]
figure = plots.interval_bars(
    list(intervals), bars, title=title, xlabel="entity F1 (95 % interval over tweets)"
)
plots.show(
    figure,
    alt=(
        "Entity F1 with intervals for calling nothing a name, "
        f"for names known by heart, and for the fine-tuned model. {title}."
    ),
)

# %% [markdown]
# ### C5. Read the outputs: how does it fail?
#
# Not every miss is the same miss. Sort them: right; the right words with the *wrong kind*; the *wrong border* (it overlaps);
# *missed* altogether; and *invented*, where there is no name.


# %%
def fate(there, here):
    result = Counter()
    for kind, first, after in there:
        same_place = any((a, b) == (first, after) for _, a, b in here)
        touching = any(a < after and first < b for _, a, b in here)
        label = (
            "right"
            if (kind, first, after) in here
            else "wrong kind"
            if same_place
            else "wrong border"
        )
        result[label if touching else "missed"] += 1
    for _, first, after in here:
        result["invented"] += not any(a < after and first < b for _, a, b in there)
    return result


# %%
fates = {}
for kind in begins["test"]:
    there = [{span for span in spans if span[0] == kind} for spans in gold]
    fates[kind] = sum(
        (fate(t, h) for t, h in zip(there, found["fine-tuned"], strict=True)), Counter()
    )
for kind, counts in fates.items():
    names_there = begins["test"][kind]
    shown = {
        label: counts[label] for label in ("right", "wrong kind", "wrong border", "missed")
    }
    print(f"{kind:<8} {names_there:>3} there: {shown}")
overall = sum((fate(t, h) for t, h in zip(gold, found["fine-tuned"], strict=True)), Counter())
print("invented:", overall["invented"])

# %%
seen = {
    " ".join(row["tokens"][a:b]).lower()
    for row, spans in zip(tweets["train"], names_of(tweets["train"]), strict=True)
    for _, a, b in spans
}
recalls = {}
for label, wanted in {"seen in training": True, "never seen": False}.items():
    hits = [
        span in here
        for row, there, here in zip(tweets["test"], gold, found["fine-tuned"], strict=True)
        for span in there
        if (" ".join(row["tokens"][span[1] : span[2]]).lower() in seen) == wanted
    ]
    recalls[label] = np.mean(hits) if hits else 0.0
    print(f"names {label:<17} {len(hits):>4}, of which found whole: {recalls[label]:.0%}")

# %% [markdown]
# <!-- asked: D09-T5 -->
# Names known by heart cost nothing to find; what fine-tuning must add is to recognise one *it has never seen*, from the
# words around it. Now twenty tweets in which it goes wrong; what people marked stands behind the ✓.

# %%
readable = [
    at
    for at, (there, here) in enumerate(zip(gold, found["fine-tuned"], strict=True))
    if there != here
]


def named(words, spans):
    in_order = sorted(spans, key=lambda span: span[1])
    return ", ".join(f"{' '.join(words[a:b])} ({kind})" for kind, a, b in in_order) or "–"


for at in readable[:20]:
    words = tweets["test"][at]["tokens"]
    print(textwrap.shorten(" ".join(words), 104, placeholder=" …"))
    print(f"     model: {named(words, found['fine-tuned'][at])}   ✓ {named(words, gold[at])}")


# %%
def find_names(text="just landed in New York with Barack Obama , watching Lost on my Samsung"):
    words = text.split()
    encoded = tokenizer(
        words, is_split_into_words=True, return_tensors="pt", truncation=True, max_length=128
    )
    final.model.eval()
    with (
        torch.inference_mode(),
        final.compute_loss_context_manager(),
    ):  # the precision it was trained in
        best = final.model(**encoded.to(final.model.device)).logits[0].argmax(dim=-1).tolist()
    firsts = align_labels(list(range(len(words))), encoded.word_ids())
    tags = [tag_names[tag] for tag, word in zip(best, firsts, strict=True) if word != -100]
    print(named(words, entity_spans(tags)))


widgets.explore(
    find_names, text="just landed in New York with Barack Obama , watching Lost on my Samsung"
)

# %% [markdown]
# Type your own. Does it find a name it cannot know? What happens to "apple", with and without the pie?
#
# **On the Hub** the branch above loads CoNLL-2003: newspaper sentences, about ten times as many, in four kinds (person,
# organisation, location, miscellaneous).
#
# ---
# ## What you saw
#
# <!-- asked: D09-L -->
# Three tasks, one training loop. What changed each time:
#
# | | head | what the labels leave out | score | it fooled us where |
# |---|---|---|---|---|
# | questions | start and end per token | answers cut away → `[CLS]` | exact match, token F1 | the question need not be read |
# | headlines | next token (none new) | the prompt and padding → -100 | ROUGE, and reading | facts |
# | names | one label per token | later pieces, special tokens → -100 | entity F1 | accuracy over words |

# %%
exact_made = scores_a["fine-tuned", "test"][0].mean()
exact_written = scores_a["fine-tuned", "written"][0].mean()
results = {
    "words_without_name": no_name,
    "names_f1": np.mean(list(by_seed.values())),
    "names_by_heart_f1": intervals["known by heart"].estimate,
    "names_gain_low": gain_c.low,
    "names_word_accuracy": right_words,
    "names_recall_unseen": recalls["never seen"],
    "questions_exact_match": exact_made,
    "questions_written_exact_match": exact_written,
    "headlines_rouge1": rouge1["fine-tuned"].mean(),
    "headlines_rouge1_untrained": rouge1["untrained"].mean(),
}

# %%
with tracking.start_run("other-tasks", f"day09-{track}"):
    mlflow.log_params({"track": track, "names_rate": chosen_rate, "names_seeds": len(seeds)})
    for name, value in results.items():
        tracking.record(name, value)
print(f"Peak memory of this session: {memory.human(memory.peak_rss())}.")

# %% [markdown]
# Two sentences for your journal: what does your track's score *not* see, and which failure would hurt a user most?

# %%
# For your journal (change the text and run the cell).
what_the_score_misses = "…"
if what_the_score_misses != "…":
    progress.write_journal("day09", f"Track {track}: {what_the_score_misses}")

# %% tags=["quiz"]
quiz = [
    {
        "question": "A model for names is right about 95 % of all words. 94 % of the words belong to no name. What do you know about its entity F1?",
        "choices": [
            (
                "It is about 95 %.",
                "Accuracy over words counts all the easy O's. F1 does not see them.",
                False,
            ),
            (
                "Hardly anything: it may be 0.",
                "Right. Of 1,000 words, 60 make up 30 names of two words each. A model that finds the first words of ten names, and no name whole, is right about 95 % of the words; its F1 is 0.",
                True,
            ),
            (
                "It is at least 1 %: better than doing nothing.",
                "One more word right need not be one more *whole name* right.",
                False,
            ),
            (
                "It is about 50 %.",
                "That cannot be said. It depends on whole names, not on words.",
                False,
            ),
        ],
        "proof": """
words, names_of_two = 1000, 30                      # 60 words inside names, 940 outside
found_first_words_only = 10                         # ten right words, no name whole
accuracy = (940 + found_first_words_only) / words
right = 0
assert accuracy == 0.95 and 2 * right / (10 + names_of_two) == 0.0
""",
    },
    {
        "question": "The word *Visakhapatnam* becomes five pieces. Somebody gives all five the tag B-place. What does the model learn?",
        "choices": [
            (
                "That five places begin there, one after the other.",
                "Right. B begins a name. In evaluation, too, one name would count as five.",
                True,
            ),
            (
                "Nothing different: the tag is right for each piece.",
                "For B it is not: only the first piece *begins* the name.",
                False,
            ),
            (
                "To ignore the word, because its labels disagree.",
                "They agree perfectly, on something wrong.",
                False,
            ),
            (
                "PyTorch stops: a word has one label only.",
                "PyTorch sees tokens and labels, five and five. It has no idea of words.",
                False,
            ),
        ],
        "proof": """
def names(tags):
    return sum(tag.startswith("B-") for tag in tags)
assert names(["B-place"] * 5) == 5 and names(["B-place"] + ["I-place"] * 4) == 1
""",
    },
    {
        "question": "The best start is token 14 (score 6), the best end token 9 (score 7). At 14 the end scores 1, at 15 it scores 4; at 9 the start scores 2. Which answer do you give?",
        "choices": [
            (
                "Tokens 9 to 14: turn them round.",
                "Then you start where the model says *end*. The pair scores what start 9 and end 14 score: 2 + 1.",
                False,
            ),
            (
                "Tokens 14 to 15.",
                "Right: 6 + 4 is the best sum among pairs that are possible. 9 to 9 has 2 + 7 = 9.",
                True,
            ),
            (
                "Token 9 alone: the larger score wins.",
                "2 + 7 = 9 is less than 6 + 4 = 10.",
                False,
            ),
            (
                "None: the model contradicts itself.",
                "The two heads are asked apart. Impossible pairs are common, and the best possible one is often right.",
                False,
            ),
        ],
        "proof": """
start, end = {9: 2, 14: 6, 15: 0}, {9: 7, 14: 1, 15: 4}
pairs = {(i, j): start[i] + end[j] for i in start for j in end if i <= j}
assert max(pairs, key=pairs.get) == (14, 15) and pairs[14, 15] == 10 and pairs[9, 9] == 9 and pairs[9, 14] == 3
""",
    },
    {
        "question": "A fine-tuned writer never stops: after the headline it goes on and on. Which bug fits?",
        "choices": [
            (
                "The learning rate is too low.",
                "Then it would write like before, and before it could stop.",
                False,
            ),
            (
                "Labels were masked wherever the id is the padding's, and padding is the end-of-turn sign.",
                "Right. The one token that says *stop* never counted in the loss.",
                True,
            ),
            (
                "The prompt was not masked.",
                "That teaches it to write prompts as well; the end sign would still count.",
                False,
            ),
            (
                "Padding was on the right in training.",
                "That is where it belongs in training. For generating it goes to the left.",
                False,
            ),
        ],
        "proof": """
end = pad = 2
ids = [5, 6, 7, end, pad, pad]
by_value = [-100 if token == pad else token for token in ids]
by_place = [token if place < 4 else -100 for place, token in enumerate(ids)]
assert end not in by_value and by_place == [5, 6, 7, 2, -100, -100]
""",
    },
    {
        "question": "Editor: *Bank raises rates again*. Model 1: *Bank cuts rates again*. Model 2: *Lender puts up the cost of borrowing*. What does ROUGE-1 say?",
        "choices": [
            (
                "Model 2 is better, since its meaning is right.",
                "ROUGE does not know meanings. It counts shared words.",
                False,
            ),
            (
                "Model 1 scores 0.75, model 2 scores 0.",
                "Right. The opposite in nearly the same words beats the truth in others. That is why you read.",
                True,
            ),
            (
                "Both score 0: neither is the reference.",
                "ROUGE gives credit for each shared word; only exact match is all or nothing.",
                False,
            ),
            (
                "Both score about 0.5.",
                "Model 1 shares three of four words, model 2 none.",
                False,
            ),
        ],
        "proof": """
from rouge_score.rouge_scorer import RougeScorer
score = lambda text: RougeScorer(["rouge1"]).score("Bank raises rates again", text)["rouge1"].fmeasure
assert score("Bank cuts rates again") == 0.75
assert score("Lender puts up the cost of borrowing") == 0.0
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# Change one thing and run your track again:
#
# - **A.** `words=70` in `tasks.questions` makes passages; with `words=150` more rivals fit in. What happens to exact match, and
#   to the answers that are cut away? Or write ten questions of your own about an article of the test split.
# - **B.** `completion_only_loss=False`. The loss looks lower, since articles are easier to predict than headlines. Do the
#   headlines get better?
# - **C.** Give *all* pieces of a word its tag (`I-` for the later ones) instead of -100. Better, worse, or within the seeds?
#
# **The guide.** [Evaluation](../../curriculum/guides/evaluation.md) says which score fits which task, with an example of each.
#
# **Read.** Ritter and others, for why names in tweets are hard. Rajpurkar and others, section 6, for what exact match
# hides. Kaushik and Lipton, for how much reading a reading test needs.

# %% [markdown]
# ## Take it with you
#
# [`lessons/examples/sft.py`](../examples/sft.py) is track B in one plain file: a chat model, a loss on the answers
# only, the adapter merged at the end. It needs none of our helpers. Whatever you can write as question and answer, it
# can learn from; here are film reviews and the one word that says what their authors thought:

# %%
import json

reviews = data.load("sentiment").shuffle(seed=0).select(range(settings.pick(smoke=12, cpu=160)))
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
# .venv/bin/python lessons/examples/sft.py --data my_chats.jsonl --output my_chat
# ```

# %%
import runpy
import sys

program = lab.root / "lessons" / "examples" / "sft.py"
# What a terminal does with the line above; here the libraries are loaded already.
sys.argv = [program.name, "--data", str(mine), "--output", str(lab.workspace / "my_chat")]
_ = runpy.run_path(str(program), run_name="__main__")

# %% [markdown]
# *Wanted* and *Written* stand above each other: read them, do not trust the loss. Have conversations of your own? One
# JSON object a line, as printed above the training; put the path into `mine` and run the last cell again.
