# %%
import hashlib
import re
import unicodedata
from collections import Counter, defaultdict

import numpy as np
import torch
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from transformers import AutoModel, AutoTokenizer, DataCollatorWithPadding
from transformers.trainer_pt_utils import get_length_grouped_indices

from labhelpers import data, exercise, models, plots, progress, quiz, settings, tracking
from labhelpers import widgets

lab = settings.start("day02")

# %% [markdown]
# ## Would you have said the same?
#
# A colleague shows you a sentiment model. It reads one sentence from a film review, says *positive* or
# *negative*, and is right 97 times in 100. Is that brilliant, ordinary, or a sign that something went wrong?
#
# You cannot tell from the number. You need to know the data: how often do two *people* agree on such
# sentences? Are some of the test sentences also in the training set? How many were dropped because they
# were hard? Today you find out, for the sentences you will train on for the rest of the week.
#
# Start with one of them. Read it, and decide: positive or negative?

# %%
reviews = data.load("sentiment", neutral=True)
spread = np.array([np.std(ratings) for ratings in reviews["ratings"]])
disputed = reviews[int(spread.argmax())]
print(disputed["text"])

# %% [markdown]
# Decided? Here is what other people said, from −4 (awful) to 4 (wonderful), one number per person.

# %%
print(sorted(disputed["ratings"]))
print(f"The mean of these {len(disputed['ratings'])} ratings is {disputed['rating']:.1f}.")

# %% [markdown]
# It looks as if some judged the old film and some the remake. Nobody need have been careless, and still they
# do not agree.
#
# This is the most disputed sentence of the set. What about an ordinary one? Take one person, hide their
# rating, and average all the others. How often does the one person land on the same side of zero as the
# rest? Commit to a number; you will compute the answer in about an hour.

# %%
human_guess = widgets.predict(
    "day02-human",
    "One person agrees with the rest, in % of sentences that are not neutral",
    50,
    100,
    "%",
)

# %% [markdown]
# ## Words become numbers
#
# A model computes with numbers. A **tokenizer** makes them: it cuts a text into pieces, the **tokens**, and
# replaces each by its number in a fixed list, the vocabulary. Frequent words stay whole, rare ones fall into
# pieces, so a list of some tens of thousands of entries can write anything.
#
# Every pretrained model comes with the tokenizer it grew up with. Ours are MiniLM, which reads, and SmolLM2,
# which writes.

# %%
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
writer_tokenizer = AutoTokenizer.from_pretrained(models.source("decoder"))
print(
    f"The reader's vocabulary has {len(tokenizer):,} tokens, "
    f"the writer's {len(writer_tokenizer):,}."
)

# %% [markdown]
# Now type something of your own: your name, a word only your family uses, a line of code, an emoji. Watch
# where the cuts fall, and find the tokens that you never typed.

# %%
widgets.tokenizer_explorer(
    {"WordPiece (reader)": tokenizer, "BPE (writer)": writer_tokenizer},
    "A gorgeously naïve film 🙂\nTruly terrible.",
)

# %% [markdown]
# Two families of tokenizers, two temperaments:
#
# - **WordPiece** (the BERT family) marks a piece that continues a word with `##`. A symbol it has never met
#   becomes `[UNK]`, unknown: the information is gone.
# - **Byte pair encoding**, BPE (the GPT family), starts from bytes and merges the pairs that occur most often.
#   Bytes can write everything, so nothing is unknown. A space belongs to the word after it (the explorer shows
#   it as ␣, raw output as `Ġ`). SmolLM2 adds no tokens of its own here; its special ones mark who speaks, and
#   you will meet them further down.
#
# Is anything lost on the way? Cut a sentence, glue it back together, and see.

# %%
shout = "I LOVED Amélie 🙂"
for name, cutter in [("WordPiece", tokenizer), ("BPE", writer_tokenizer)]:
    print(f"{name:9}", repr(cutter.decode(cutter(shout)["input_ids"])))

# %% [markdown]
# This WordPiece lowers capitals and drops accents before it cuts; for the encoder, shouting and whispering
# are the same sentence. Keep that in mind: it comes back when we look for copies.
#
# <!-- asked: D02-T1 -->
# And there are three tokens that nobody typed. `[CLS]` opens the text; a BERT classifier reads the whole
# sentence off that position. `[SEP]` closes it. The third, `[PAD]`, appears only when sentences travel
# together. Replace the first of these two by a sentence of yours, and find all three.

# %%
pair = tokenizer(["Truly terrible.", "A gorgeously naïve film."], padding=True)
for ids, mask in zip(pair["input_ids"], pair["attention_mask"], strict=True):
    print(tokenizer.convert_ids_to_tokens(ids))
    print(mask)

# %% [markdown]
# A batch is a rectangle: every row needs the same length, so short sentences are filled up with `[PAD]`. The
# **attention mask** (1 for real, 0 for padding) tells the model not to look there. It still has to compute
# there, though. How much of a batch is padding depends only on how you cut the rectangle.
#
# Take every sentence of the reviews, in random order, in batches of 32.

# %%
lengths = np.array([len(ids) for ids in tokenizer(reviews["text"][:])["input_ids"]])
shuffled = np.random.default_rng(lab.seed).permutation(len(lengths))


def batches_of(order, size=32):
    return [lengths[order[start : start + size]] for start in range(0, len(order), size)]


print(
    f"{len(lengths):,} sentences, {lengths.mean():.1f} "
    f"tokens on average, the longest has {lengths.max()}."
)

# %%
padding_guess = widgets.predict(
    "day02-padding",
    "Padding in random batches of 32, each padded to its own longest sentence, in %",
    0,
    100,
    "%",
)


# %% tags=["exercise"] exercise="day02/padding-share" answer="padding_share" minutes=8 difficulty=1
# `batches` is a list of batches; each batch is an array with the lengths of its sentences, in
# tokens. All sentences of a batch are padded to the longest one in that batch.
# Return the share of padding among all cells of all batches together: a number from 0 to 1.
def padding_share(batches):
    """Share of the cells (sentence × position) that hold padding."""
    ...


# <solution>
def padding_share(batches):
    """Share of the cells (sentence × position) that hold padding."""
    cells = sum(len(batch) * max(batch) for batch in batches)
    real = sum(sum(batch) for batch in batches)
    return 1 - real / cells


# </solution>


# %% tags=["check"] exercise="day02/padding-share"
def check(answer):
    if not callable(answer):
        return "Write a function: the checks call `padding_share(batches)` with several lists of batches."
    close = np.isclose
    single, double = [np.array([2, 4])], [np.array([2, 4]), np.array([10])]
    one, two = answer(single), answer(double)
    if one is None:
        return "Your function returns nothing. Did it end without `return`?"
    if not np.isscalar(one):
        return (
            f"For one batch with lengths 2 and 4 you return {one!r}. One number is asked for."
        )
    if close(one, 0.75):
        return "You returned the share of real tokens. We ask for the other cells, the wasted ones."
    if close(one, 1 / 3):
        return "You compared padding with real tokens. Compare it with all cells of the rectangle, padding included."
    if close(one, 25):
        return "Right idea, in percent. Return a share from 0 to 1, so that the figure below can scale it."
    if not close(one, 0.25):
        return (
            f"For one batch with lengths 2 and 4 you return {one:.4g}. They make a rectangle of 2 rows and 4 positions: "
            "how many cells, and how many are filled?"
        )
    if close(two, 0.125):
        return "You averaged the batches' shares, so a batch of one counts like a batch of 32. Add up cells first."
    if close(two, 14 / 30):
        return "You padded everything to the longest sentence of all. Each batch is only padded to its own longest."
    if not close(two, 1 / 9):
        return (
            f"One batch works, but for the lengths 2, 4 and a batch of one with 10 you return {two:.4g}. Each batch is "
            "a rectangle of its own; then all cells are added up."
        )
    return None


def inputs(draw):
    yield [np.array([7])]
    yield [np.array([5, 5, 5]), np.array([9, 9])]
    for count in (1, 3, 6):
        yield [draw.integers(2, 80, size) for size in draw.integers(1, 33, count)]


hints = [
    "How many cells does a batch of 3 sentences have when the longest has 7 tokens? How many of them are filled?",
    "A batch has len(batch) * max(batch) cells, and sum(batch) of them are real. Sum both over all batches.",
    "1 - (sum of all lengths) / (sum of len(batch) * max(batch)).",
]
misconceptions = [
    (
        "def padding_share(batches):\n    return np.mean([1 - sum(b) / (len(b) * max(b)) for b in batches])",
        "averaged the batches' shares",
    ),
    (
        "def padding_share(batches):\n    return sum(sum(b) for b in batches) / sum(len(b) * max(b) for b in batches)",
        "share of real tokens",
    ),
    (
        "def padding_share(batches):\n    real = sum(sum(b) for b in batches)\n"
        "    return (sum(len(b) * max(b) for b in batches) - real) / real",
        "compared padding with real tokens",
    ),
    (
        "def padding_share(batches):\n    flat = [n for b in batches for n in b]\n"
        "    return 1 - sum(flat) / (len(flat) * max(flat))",
        "longest sentence of all",
    ),
]

# %% [markdown]
# Four ways to cut the same sentences into rectangles. The last one uses what `Trainer` calls
# `group_by_length`: shuffle, then let sentences of like length travel together.

# %%
generator = torch.Generator().manual_seed(lab.seed)
grouped = get_length_grouped_indices(lengths.tolist(), batch_size=32, generator=generator)
shares = {
    "fixed at 512 tokens": 1 - lengths.mean() / 512,
    "fixed at 128 tokens": 1 - lengths.mean() / 128,
    "longest in a random batch": padding_share(batches_of(shuffled)),
    "longest in a batch grouped by length": padding_share(batches_of(np.array(grouped))),
}

# %%
random_share, grouped_share = list(shares.values())[2:]

# %%
figure = plots.bars(
    list(shares),
    [100 * share for share in shares.values()],
    xlabel="padding, % of all cells",
    title=(
        f"The same sentences, from {100 * max(shares.values()):.0f} % "
        f"padding to {100 * grouped_share:.0f} %"
    ),
)
plots.show(
    figure,
    alt="Padding: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()),
)

# %%
padding_guess.compare(100 * random_share)
speedup = (1 - grouped_share) / (1 - random_share)
print(
    f"Grouped by length, each cell computed does {speedup:.1f} "
    "times as much useful work as in random batches."
)

# %% [markdown]
# Padding to the longest sentence *sounds* thrifty. But in 32 random sentences there is nearly always a long
# one, and the others pay for it. Day 4 trains with grouped batches for this reason.

# %% [markdown]
# ## The datasets library, and four formats
#
# <!-- asked: D02-T3 -->
# You have already used a Hugging Face `Dataset`. It is a table with typed columns that can stay on disk while
# you work with it. Five moves cover most of what you will ever need.

# %%
print(reviews)
print(reviews.features)

# %% [markdown]
# <!-- asked: D02-T5 -->
# **Look**: a row is a dictionary, a slice is a dictionary of columns. Read these five aloud; it is the
# cheapest quality check there is.

# %%
for row in reviews.shuffle(seed=lab.seed).select(range(5)):
    print(
        f"{row['rating']:5.1f}  "
        f"{reviews.features['label'].int2str(row['label']):8}  {row['text']}"
    )

# %% [markdown]
# The label is a number, and the feature `ClassLabel` remembers its name. The 1 in the data and the word
# *positive* in your head can drift apart otherwise, and no error message will tell you.
#
# **Select and filter** keep rows, **map** makes columns. With `batched=True` the function gets a dictionary of
# lists, a thousand rows at once. Nothing is changed in place: each move returns a new data set.

# %%
short = reviews.filter(lambda row: len(row["text"]) < 25)
with_words = short.map(
    lambda batch: {"words": [len(t.split()) for t in batch["text"]]}, batched=True
)
print(f"{len(short)} sentences are shorter than 25 characters. Three of them:")
print(
    with_words.select(range(3))
    .select_columns(["text", "words", "rating"])
    .to_pandas()
    .to_string()
)

# %% [markdown]
# A trap, since it costs everybody ten minutes once: `reviews["text"]` is a view that reads from the table when
# asked. It is not a list, and a tokenizer will refuse it. `reviews["text"][:]` is the list.
#
# **Bundle**: several data sets with the same columns, such as the splits, live in a `DatasetDict`.

# %%
toy = Dataset.from_dict({"text": ["fine", "awful"], "label": [1, 0]})
print(type(toy["text"]).__name__, "or", type(toy["text"][:]).__name__)
print(DatasetDict({"train": toy, "validation": toy.select([0])}))

# %% [markdown]
# <!-- asked: D02-T2 -->
# ### One opinion, four shapes
#
# Data for fine-tuning come in four shapes, and which one you need depends on the model and on the task:
#
# | format | columns | for |
# |---|---|---|
# | text and label | `text`, `label` | a classifier: it chooses |
# | instruction | `instruction`, `input`, `output` | a writer: one task, one answer |
# | question and context | `question`, `context`, `answers` | a reader that points at the answer in a text |
# | chat | `messages` with `role` and `content` | a writer that holds a conversation |
#
# Our reviews are text and label. Here is one as an instruction.

# %%
names = reviews.features["label"].names[:2]
review = next(row for row in reviews if row["rating"] > 3 and len(row["text"]) < 60)
task = data.to_instruction(review, labels=names)
for key, value in task.items():
    print(f"{key:12} {value}")

# %% [markdown]
# A chat is a list of messages, each with a `role` (*system*, *user* or *assistant*) and a `content`. The last
# one is the assistant's, because that is what the model learns to write.


# %% tags=["exercise"] exercise="day02/to-chat" answer="to_chat" minutes=8 difficulty=1
# `row` is a review: `row["text"]` is a string, `row["label"]` is 0 or 1, and `names` gives the
# label names.
# Return {"messages": [...]} with two messages: the user asks about the review (its text must be
# in there) and says which answers are possible; the assistant answers with the name of the
# label, nothing else.
def to_chat(row, names):
    """One review as a conversation of two messages."""
    ...


# <solution>
def to_chat(row, names):
    """One review as a conversation of two messages."""
    question = f"Is this review {' or '.join(names)}?\n\n{row['text']}"
    answer = names[row["label"]]
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ],
    }


# </solution>


# %% tags=["check"] exercise="day02/to-chat"
def check(answer):
    if not callable(answer):
        return "Write a function: the checks call `to_chat(row, names)` with rows of their own."
    made = answer({"text": "A pure joy.", "label": 1}, ["bad", "good"])
    if isinstance(made, list):
        return 'You returned the bare list. A row is a dictionary: put the list under the key "messages".'
    if not isinstance(made, dict) or set(made) != {"messages"}:
        seen = f"the keys {list(made)}" if isinstance(made, dict) else f"{type(made).__name__}"
        return f'Return a dictionary with one key, "messages". Yours: {seen}.'
    messages = made["messages"]
    if not isinstance(messages, list | tuple) or len(messages) < 2:
        return 'Under "messages" belongs a list of two dictionaries: the question, then the answer.'
    if not all(isinstance(message, dict) for message in messages):
        return 'Each message is a dictionary of its own: {"role": …, "content": …}.'
    roles = [message.get("role") for message in messages]
    if roles == ["assistant", "user"]:
        return "The assistant speaks first here. The model learns to write the last message, so that must be its answer."
    if roles[-2:] != ["user", "assistant"] or set(roles[:-2]) - {"system"}:
        return f"The roles are {roles}. Templates know the names system, user and assistant; here user asks, then assistant."
    question, reply = messages[-2].get("content"), messages[-1].get("content")
    if not isinstance(reply, str) or reply.strip() in ("0", "1"):
        return "The assistant answers with a number. To a model that writes, a class number means nothing: use its name."
    if reply.strip() == "bad":  # the name of label 0
        return "The label is 1, but the assistant said the name of label 0. How does a number find its place in `names`?"
    if reply != "good":
        return (
            f"For label 1 of the names bad and good, the assistant says {reply!r}. It should say the label's name, taken "
            "from `names`, and nothing else: extra words cost at test time."
        )
    if "A pure joy." not in str(question):
        return "The review is not in the user's message, so the model would have to guess."
    whole = " ".join(str(message.get("content")) for message in messages[:-1])
    if not all(name in whole for name in ("bad", "good")):
        return "The question does not say which answers are possible. Name all of `names`, or the model invents words of its own."
    if trial(answer, {"text": "A pure joy.", "label": 1}, ["bad", "good"])[
        "the question tells the label"
    ]:
        return (
            "The question is another one when the label is 0, so it gives the label away. What the user asks may depend "
            "on the text and on `names` only: at test time nobody knows the label."
        )
    return None


def inputs(draw):
    yield {"text": "A pure joy.", "label": 0}, ["bad", "good"]
    yield {"text": "Good, not bad.", "label": 1}, ["negative", "positive"]
    yield (
        {"text": "Two lines.\nNaïve, “quoted”.", "label": int(draw.integers(2))},
        ["no", "yes"],
    )


def trial(answer, row, names):
    text, turned, asked = row["text"], {**row, "label": 1 - row["label"]}, []
    for told, among in ((turned, list(names)), (row, names)):
        messages = answer(told, among)["messages"]
        asked.append([(message["role"], message["content"]) for message in messages])
    other, (*before, (_, question), last) = asked
    said = " ".join(content for _, content in [*before, ("", question)]).replace(text, "")
    return {
        "who speaks": [role for role, _ in asked[1]][-2:],
        "the assistant says": last[1],
        "the user shows the text": text in question,
        "the names stand in the question": all(name in said for name in names),
        "the question tells the label": asked[1][:-1] != other[:-1],
    }


hints = [
    "Which of the two messages holds the text, and which holds the label?",
    'Each message is a dictionary: {"role": "user", "content": "..."}. `names[row["label"]]` is the label\'s name.',
    'return {"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}, with " or ".join(names) in the question.',
]
misconceptions = [
    (
        "def to_chat(row, names):\n    return {'messages': [{'role': 'user', 'content': ' or '.join(names) + row['text']},"
        " {'role': 'assistant', 'content': str(row['label'])}]}",
        "answers with a number",
    ),
    (
        "def to_chat(row, names):\n    return [{'role': 'user', 'content': row['text']},"
        " {'role': 'assistant', 'content': names[row['label']]}]",
        "bare list",
    ),
    (
        "def to_chat(row, names):\n    return {'messages': [{'role': 'user', 'content': ' or '.join(names) + row['text']},"
        " {'role': 'bot', 'content': names[row['label']]}]}",
        "Templates know the names",
    ),
    (
        "def to_chat(row, names):\n    return {'messages': [{'role': 'user', 'content': row['text']},"
        " {'role': 'assistant', 'content': names[row['label']]}]}",
        "which answers are possible",
    ),
]

# %% [markdown]
# What does the writer see? Its **chat template** turns messages into one string, with markers for who speaks.
# (It also adds a system message of its own if you give none.)

# %%
chat = to_chat(review, names)
print(writer_tokenizer.apply_chat_template(chat["messages"], tokenize=False))

# %% [markdown]
# The fourth shape, question and context, is the strict one: the answer must stand word for word in the
# context, because the model answers by pointing. A label is nowhere in the text, so a review cannot simply be
# converted. `data.to_question_answer` says so. The way round it is to put the possible answers into the
# context yourself.

# %%
try:
    data.to_question_answer(review)
except settings.LabError as error:
    print(error, "\n")
print(
    data.to_question_answer(
        {
            "question": "Is the review negative or positive?",
            "context": f"negative or positive. {review['text']}",
            "answer": names[review["label"]],
        }
    )
)

# %% [markdown]
# And the way back, from a chat to text and label? `data.to_text_label` does that one. A round trip is the
# quickest test of any conversion: what comes back must be what you put in.

# %%
back = data.to_text_label(data.to_chat(review, labels=names))
print(back)
print(
    "Same text and same label as before:",
    back == {"text": review["text"], "label": names[review["label"]]},
)

# %% [markdown]
# <!-- asked: D02-T6 -->
# ## Meet the reviews
#
# Each sentence was rated by a crowd, and the label is the sign of the mean. It is often said that every
# sentence of this set has 20 ratings. Count.

# %%
raters = Counter(len(ratings) for ratings in reviews["ratings"])
print(
    f"From {min(raters)} to {max(raters)} people rated a sentence; "
    f"most often it was {raters.most_common(1)[0][0]}."
)
print(
    f"{sum(raters[n] for n in raters if n == 20) / len(reviews):.0%} "
    "of the sentences have exactly 20 ratings."
)

# %% [markdown]
# And the balance? A classifier that always names the larger class is right as often as that class occurs. That
# is the first number any accuracy has to beat.

# %%
for label, count in sorted(Counter(reviews["label"][:]).items()):
    print(
        f"{reviews.features['label'].int2str(label):9} {count:6,}  {count / len(reviews):.1%}"
    )

# %% [markdown]
# Negative and positive are as good as equal; a small third group is neither. We come to it in a moment.
#
# ### How long?
#
# A model reads at most `max_length` tokens; the rest is cut off, and too large a value wastes memory. The rule
# of thumb: choose it so that 95 or 99 % of the texts fit.

# %%
figure = plots.histogram(
    lengths,
    bins=range(0, 84, 2),
    markers={"mean": lengths.mean(), "99 % fit into": np.percentile(lengths, 99)},
    title=f"99 of 100 sentences fit into {np.percentile(lengths, 99):.0f} tokens",
    xlabel="tokens per sentence, [CLS] and [SEP] included",
    ylabel="sentences",
)
plots.show(
    figure,
    alt=(
        f"Histogram of sentence lengths: mean {lengths.mean():.0f} tokens, "
        f"a tail to {lengths.max()}; mean and 99 % marked."
    ),
)

# %% [markdown]
# But mind the other limit. Here are our sentences beside whole newspaper articles.

# %%
articles = data.load("topics")
article_lengths = np.array(
    [len(ids) for ids in tokenizer(articles["text"][:], verbose=False)["input_ids"]]
)
for name, counts in [("sentences", lengths), ("articles", article_lengths)]:
    print(
        f"{name:10}"
        + "".join(f"  {q} %: {np.percentile(counts, q):5.0f}" for q in (50, 95, 99, 100))
    )
print(f"{(article_lengths > 512).mean():.0%} of the articles have more than 512 tokens.")

# %% [markdown]
# Why 512? Many guides recommend a `max_length` of 1,024 or 2,048 for long texts. The BERT family has learnt
# one vector for each *position*, and its table of positions has a last row. Ask for more and see.

# %%
encoder = AutoModel.from_pretrained(models.source("encoder"))
print("Rows in the table of positions:", encoder.embeddings.position_embeddings.num_embeddings)
try:
    encoder(input_ids=torch.ones(1, 600, dtype=torch.long))
except (IndexError, RuntimeError) as error:
    print(f"600 tokens: {type(error).__name__}: {error}")


# %% tags=["exercise"] exercise="day02/max-length" answer="choose_max_length" minutes=8 difficulty=2
# Return a max_length (int) for texts with these lengths (array, in tokens, [CLS] and [SEP]
# included): the smallest multiple of 8 (processors like those) that is not below the 99th
# percentile, np.percentile(lengths, 99). Where that is more than `cap`, return `cap` itself.
def choose_max_length(lengths, cap=512):
    """Smallest multiple of 8 not below the 99th percentile of the lengths, at most `cap`."""
    ...


# <solution>
def choose_max_length(lengths, cap=512):
    """Smallest multiple of 8 not below the 99th percentile of the lengths, at most `cap`."""
    needed = np.percentile(lengths, 99)
    return min(int(np.ceil(needed / 8)) * 8, cap)


# </solution>


# %% tags=["check"] exercise="day02/max-length"
def check(answer):
    if not callable(answer):
        return "Write a function: the checks call `choose_max_length(lengths, cap)` with lengths of their own."
    even = np.full(100, 24)
    if answer(even) is None:
        return "Your function returns nothing. Did it end without `return`?"
    if answer(np.full(100, 700)) > 512:
        return "All texts had 700 tokens, and the model would have crashed: nothing may exceed `cap`."
    if answer(np.full(100, 700)) != 512:
        return f"For 100 texts of 700 tokens you give {answer(np.full(100, 700))}; with cap=512 it should be 512."
    if answer(even) == 32:
        return "24 tokens already fit into 24. Round up only when the number is not a multiple of 8."
    if answer(even) != 24:
        return f"100 texts of 24 tokens need 24, a multiple of 8; you gave {answer(even)}."
    if type(answer(even)) is not int:
        return f"The value is right, its type is {type(answer(even)).__name__}. A length is a plain whole number: int(…)."
    longer = np.array([10] * 97 + [41] * 3)
    if answer(longer) == 40:
        return "You rounded down or to the nearest, so the 99th percentile no longer fits. Round up."
    if answer(longer) in (16, 11, 12):
        return "Too short: 3 texts in 100 would be cut, and we allow one. Did you take a mean, or another percentile?"
    steps = np.arange(1, 1001)  # 1 to 1,000 tokens, one text each
    if answer(steps, 2000) in (984, 976):
        return "For one text of each length from 1 to 1,000 you give the 98th percentile, or one below. The 99th is asked for."
    if answer(longer) != 48:
        return f"3 texts of 100 have 41 tokens and must fit; the next multiple of 8 is wanted, you gave {answer(longer)}."
    if answer(np.array([10] * 999 + [400])) >= 400:
        return "You made room for the very longest text. One in a thousand may be cut; the other 999 would be padded for it."
    if answer(np.full(100, 700), 128) != 128:
        return "The limit is an argument: a model with cap=128 must get 128, too."
    if answer(np.full(100, 700), 100) != 100:
        return f"For long texts and cap=100 you give {answer(np.full(100, 700), 100)}. Return the cap itself, a multiple of 8 or not."
    return None


def inputs(draw):
    yield np.array([8])
    yield np.array([9, 3, 700])
    yield np.arange(1, 1001), 2000
    for cap in (512, 64, 100):
        yield draw.integers(3, 300, 250), cap
        yield np.full(50, int(draw.integers(1, 12)) * 8), cap


hints = [
    "np.percentile(lengths, 99) is the length that 99 % of the texts do not exceed.",
    "Round up to a multiple of 8: divide by 8, np.ceil, times 8.",
    "min(..., cap) at the end, and int(...) because a length is a whole number.",
]
misconceptions = [
    (
        "def choose_max_length(lengths, cap=512):\n    return int(np.ceil(np.percentile(lengths, 99) / 8)) * 8",
        "nothing may exceed `cap`",
    ),
    (
        "def choose_max_length(lengths, cap=512):\n    return min(int(np.ceil(max(lengths) / 8)) * 8, cap)",
        "very longest text",
    ),
    (
        "def choose_max_length(lengths, cap=512):\n    return min(int(np.percentile(lengths, 99)) // 8 * 8, cap)",
        "Round up.",
    ),
    (
        "def choose_max_length(lengths, cap=512):\n    return min((int(np.percentile(lengths, 99)) // 8 + 1) * 8, cap)",
        "24 tokens already fit",
    ),
    (
        "def choose_max_length(lengths, cap=512):\n    return min(int(np.ceil(np.percentile(lengths, 95) / 8)) * 8, cap)",
        "another percentile",
    ),
]

# %%
for name, counts in [("sentences", lengths), ("articles", article_lengths)]:
    chosen = choose_max_length(counts)
    print(f"{name}: max_length {chosen} cuts {(counts > chosen).mean():.1%} of them.")

# %% [markdown]
# For the sentences the rule works. Where the cap wins, long texts lose their end. Is that bad? For the *topic*
# hardly: a news article says what it is about in its first lines. For a film review that turns in its last
# sentence, it would be. The percentile cannot know; you have to read.

# %% [markdown]
# ### How sure are the people?
#
# Back to your guess. For one sentence: take each rater in turn, compare the sign of their rating with the sign
# of the mean of *the others*, and count how often they match.


# %% tags=["exercise"] exercise="day02/agreement" answer="agreement" minutes=12 difficulty=2
# `ratings` is a list of whole numbers from -4 to 4, one per person, at least three of them.
# For each person: does their sign equal the sign of the mean of all the OTHER ratings?
# A zero, theirs or the others' mean, counts as half a match: they would have to toss a coin.
# Return the mean over the persons, a number from 0 to 1.
def agreement(ratings):
    """How often one rater agrees with the rest about the sign."""
    ...


# <solution>
def agreement(ratings):
    """How often one rater agrees with the rest about the sign."""
    own = np.array(ratings, dtype=float)
    others = (own.sum() - own) / (len(own) - 1)
    product = np.sign(own) * np.sign(others)
    return float(np.mean((product + 1) / 2))


# </solution>


# %% tags=["check"] exercise="day02/agreement"
def check(answer):
    if not callable(answer):
        return "Write a function: the checks call `agreement(ratings)` with lists of ratings."
    close = np.isclose
    if answer([2, 3, 1, 4]) is None:
        return "Your function returns nothing. Did it end without `return`?"
    if not np.isscalar(answer([2, 3, 1, 4])):
        return f"For 2, 3, 1, 4 you return {answer([2, 3, 1, 4])!r}. One number is asked for: the mean over the persons."
    if not close(answer([2, 3, 1, 4]), 1):
        seen = answer([2, 3, 1, 4])
        return f"With 2, 3, 1, 4 everybody is positive and agrees with the rest: that should be 1, and yours is {seen:.4g}."
    if not close(answer([3, 2, 2, -1]), 0.75):
        seen = answer([3, 2, 2, -1])
        return f"With 3, 2, 2, −1 three in four are on the side of the others: 0.75. Yours is {seen:.4g}. Is it a share of persons?"
    alone = answer([4, -1, -1, -1])
    if close(alone, 1 / 4):
        return "You let each rater's own number into the mean, so everybody votes for themselves. Leave it out."
    if close(alone, 3 / 4):
        return "You asked which sign most of the others have. Ask for the sign of their mean: a 4 outweighs two −1."
    if not close(alone, 0):
        return (
            f"For 4, −1, −1, −1 yours is {alone:.4g}, but nobody is on the side of the others' mean: 4 meets −1, and each "
            "−1 meets a positive mean."
        )
    zeros = answer([0, 2, 2, 2])
    if close(zeros, 0.75):
        return "You counted the rating 0 as a disagreement. A rater who says 0 would have to toss a coin: half a match."
    if close(zeros, 1):
        return "You counted the rating 0 as full agreement, or left that person out. It is half a match."
    if not close(zeros, 0.875):
        return f"With 0, 2, 2, 2 three persons agree fully and one tosses a coin: 0.875. Yours is {zeros:.4g}."
    if not close(answer([1, 2, -2]), 1 / 6):
        return "The others' mean can be 0, too: with 1, 2, −2 that happens to the first person. Half a match again."
    if not close(answer([0, 1, -1]), 1 / 6):
        return "With 0, 1, −1 the first person's 0 meets a mean of 0. Two zeros are no match: half, like any other zero."
    return None


def inputs(draw):
    yield [0, 0, 0]
    yield [-4, -4, 4, 4]
    yield [1, 1, -2, 0]
    for count in (3, 4, 9, 20):
        yield draw.integers(-4, 5, count).tolist()


hints = [
    "The mean of the others is (sum of all - own) / (how many - 1).",
    "np.sign gives -1, 0 or 1. Multiply the two signs: 1 is a match, -1 is none, 0 is the coin.",
    "(product of the signs + 1) / 2 turns -1, 0, 1 into 0, a half, 1. Then take the mean.",
]
misconceptions = [
    (
        "def agreement(ratings):\n    r = np.array(ratings)\n    return np.mean((np.sign(r) * np.sign(r.mean()) + 1) / 2)",
        "votes for themselves",
    ),
    (
        "def agreement(ratings):\n    r = np.array(ratings, float)\n    o = (r.sum() - r) / (len(r) - 1)\n"
        "    return np.mean(np.sign(r) == np.sign(o))",
        "as a disagreement",
    ),
    (
        "def agreement(ratings):\n    r = np.array(ratings, float)\n    o = (r.sum() - r) / (len(r) - 1)\n"
        "    return np.mean(r * o >= 0)",
        "full agreement",
    ),
    (
        "def agreement(ratings):\n    s = np.sign(ratings)\n    return np.mean((s * np.sign(s.sum() - s) + 1) / 2)",
        "most of the others",
    ),
]

# %% [markdown]
# `map` puts it beside every sentence. Then we look at it against the strength of the opinion, which is how far
# the mean rating is from zero.

# %%
rated = reviews.map(lambda row: {"agreement": agreement(row["ratings"])})
agreements = np.array(rated["agreement"][:])
strength = np.abs(np.array(rated["rating"][:]))
edges = np.array([0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4.01])
bins = np.digitize(strength, edges) - 1
by_strength = [100 * agreements[bins == b].mean() for b in range(len(edges) - 1)]

# %%
centres = (edges[:-1] + edges[1:]) / 2
figure = plots.lines(
    centres,
    {"one person\nagrees": by_strength, "a coin": [50] * len(centres)},
    title=f"Rated about zero: one person agrees with the others on {by_strength[0]:.0f} %",
    xlabel="strength: distance of the mean rating from 0",
    ylabel="agreement with the others, %",
)
plots.show(
    figure,
    alt="Agreement of one person with the others rises with the strength of the mean rating, "
    f"from {by_strength[0]:.0f} % about zero to {by_strength[-1]:.0f} % at the far end.",
)

# %% [markdown]
# The first point lies *below* the coin. Can people agree less than by chance? Think of ratings that add up to
# almost nothing. Take out a 2, and what is left adds up to −2: in such a sentence the others nearly always
# point the other way. It is an effect of the arithmetic, not of the people. What remains true is that near zero
# there is no opinion to agree on.
#
# This is why the course drops sentences with a strength below 0.5: their label is little better than a coin
# toss, and a model would be trained, and judged, on it. But dropping is a decision, and it has a price. Move the cut-off
# and watch three things: how many sentences remain, how balanced they are, how much people agree.

# %%
ratings = np.array(rated["rating"][:])


def drop_weak(cut_off=0.5):
    keep = strength >= cut_off
    title = (
        f"{100 * keep.mean():.0f} % stay, {100 * (ratings[keep] > 0).mean():.0f} % of them "
        f"positive; people agree on {100 * agreements[keep].mean():.1f} %"
    )
    captions = {"title": title, "xlabel": "mean rating", "ylabel": "sentences"}
    figure = plots.histogram(ratings, bins=np.linspace(-4, 4, 65), **captions)
    figure.axes[0].axvspan(-cut_off, cut_off, color="#D55E00", alpha=0.25, lw=0)
    alt = f"Histogram of mean ratings with two humps; the part within ±{cut_off} is shaded."
    plots.show(figure, alt=alt)


widgets.explore(drop_weak, cut_off=(0.0, 3.0, 0.25))

# %% [markdown]
# At 3.0 the task is beautifully clean, and useless: the model would meet nothing but raptures and
# demolitions, and you would report a splendid accuracy for it. **Every filter that looks at the label makes
# the test easier.** Say in your report that you used one; this course uses 0.5.

# %%
kept = strength >= 0.5
print(f"Kept {kept.sum():,} of {len(kept):,} sentences; {(~kept).sum():,} dropped.")
print(
    f"One person agrees with the rest: kept {agreements[kept].mean():.1%}, "
    f"dropped {agreements[~kept].mean():.1%}"
)
human_guess.compare(100 * agreements[kept].mean())

# %% [markdown]
# ### Is that the human ceiling?
#
# It is tempting to say: people reach this number, so a model cannot beat it. Careful. That number says how
# good *one* person is at predicting a crowd. The label is the verdict of the whole crowd, and a crowd is
# steadier than its members. How steady? Split each sentence's raters into two random halves and ask whether
# the two halves agree.

# %%
rng = np.random.default_rng(lab.seed)


def halves_agree(ratings):
    mixed = rng.permutation(ratings)
    half = len(mixed) // 2
    signs = np.sign(mixed[:half].mean()) * np.sign(mixed[half:].mean())
    return (signs + 1) / 2


halves = np.mean(
    [halves_agree(row) for row, keep in zip(rated["ratings"], kept, strict=True) if keep]
)
print(
    f"One person and the rest agree on {agreements[kept].mean():.1%}; "
    f"two half crowds on {halves:.1%}."
)

# %% [markdown]
# So there are two marks on the wall, not one ceiling. A model near the first is as good as a single careful
# reader. A model between the two predicts the crowd better than one reader does, and that is possible. The
# colleague from this morning could be honest. A score at the second mark or above would be
# strange: there the verdict itself hangs on who happened to be asked.
#
# Both marks are a little kind: the same ratings that decided which sentences stay are used again to measure
# how well people agree on them.

# %% [markdown]
# ## A leak, found and fixed
#
# The other explanation for a high score is less pleasant. If a test sentence is also in the training set, the
# model does not have to understand it. It only has to remember. That is a **leak**.
#
# Copies are rarely exact. Here is one tweet from the same collection, and its relatives.

# %%
tweets = data.load("tweets")
families = defaultdict(list)
for row in tweets:
    families[tuple(re.findall(r"\w+", row["text"].casefold()))].append(row)
largest = max(families.values(), key=len)
for row in largest:
    print(f"{row['rating']:5.1f}  {row['text']}")
print(f"Exact copies among {len(tweets):,} tweets: {len(tweets) - len(set(tweets['text'][:]))}")

# %% [markdown]
# Shouted copies, and copies with more exclamation marks. (Look at the ratings: people hear the capitals. Our
# encoder cannot: to it “yay” and “YAY” are the same token, as you saw above.) A comparison with `==` finds none
# of them.
#
# The cure is to compare a **normalised hash**: bring the text into one standard form, then turn it into a short
# fingerprint. Equal fingerprints mean equal texts, and fingerprints are quick to compare, store and share.


# %% tags=["exercise"] exercise="day02/text-hash" answer="text_hash" minutes=10 difficulty=2
# Return a fingerprint of `text`, as a string of hexadecimal digits
# (hashlib.sha256(...).hexdigest()). Two texts get the same one if they differ only in
# what unicodedata.normalize("NFKC", ...) unites, in capitals (.casefold()), or in white space
# (how much there is, and at the ends any). All other texts get different ones.
def text_hash(text):
    """Fingerprint of a text that ignores capitals, spacing and Unicode form."""
    ...


# <solution>
def text_hash(text):
    """Fingerprint of a text that ignores capitals, spacing and Unicode form."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return hashlib.sha256(" ".join(plain.split()).encode("utf-8")).hexdigest()


# </solution>


# %% tags=["check"] exercise="day02/text-hash"
from unittest import mock


def check(answer):
    if not callable(answer):
        return "Write a function: the checks call `text_hash(text)` with texts of their own."
    made = answer("A pure joy.")
    with mock.patch("builtins.hash", lambda value: 4096 + len(str(value))):
        moved = answer("A pure joy.")
    if str(made).lstrip("-").isdigit() or moved != made:
        return "Python's own hash() changes with every start of Python, so it cannot be saved. Use hashlib.sha256."
    if answer("A pure joy.") != made:
        return "The same text gets another fingerprint the second time. Nothing in it may be left to chance."
    if isinstance(made, str) and made.casefold() == "a pure joy.":
        return "That is the standard form itself. Turn it into a fingerprint, so that it is short and reveals no text."
    if (
        not isinstance(made, str)
        or not set(made.lower()) <= set("0123456789abcdef")
        or len(made) < 16
    ):
        return (
            f"For “A pure joy.” you return {str(made)[:40]!r}. Return hexadecimal digits as a string: "
            "hashlib.sha256(...).hexdigest(), at least 16 of them."
        )
    if len(
        answer("A pure joy, and far longer than the other one, twice as long and more.")
    ) != len(made):
        return "A longer text gets a longer fingerprint: is it the text itself, written in hexadecimal? Hash it."
    if answer("A PURE joy.") != made:
        return "The shouted copy has another fingerprint: capitals still count."
    if answer("notable") == answer("no table"):
        return "“notable” and “no table” became one text: you removed the spaces. Only their amount should not matter."
    if answer("  A pure\n joy. ") != made:
        return "A copy with a line break and extra spaces has another fingerprint: white space still counts."
    if answer("ﬁne cafe\u0301") != answer("fine café"):
        return "Unicode can write “café” and “ﬁne” in two ways; they look alike on the screen and differ in bytes. Normalise first."
    if answer("no good") == answer("good no"):
        return "“no good” and “good no” became one text: the order of the words matters."
    if answer("Yay.") == answer("Yay!!!"):
        return "“Yay.” and “Yay!!!” became one text. Leave punctuation in here; the looser variant comes right after."
    if answer("STRASSE") != answer("straße"):
        return "“straße” in capitals is “STRASSE”, and the two have different fingerprints: .lower() misses that, .casefold() does not."
    if answer("résumé") == answer("resume") or answer("fine") == answer("fire"):
        return "Two different words have one fingerprint: only capitals, spacing and Unicode form may be ignored."
    return None


def inputs(draw):
    text = " ".join("".join(draw.choice(list("abcxyz"), 4)) for _ in range(30))
    yield text, text.upper(), text.replace(" ", "\t \n"), text + ".", text[:-1], f" {text}\n"
    yield "", " ", "a", "A", "b", "\n"
    yield "2", "²", "①", "1", "ﬁ", "FI", "f i"
    yield "10 out of 10", "9 out of 10", "c", "c++", "C#", "naïve", "naive"


def trial(answer, *texts):
    made = [answer(text) for text in texts]
    return {
        f"the first with the fingerprint of text {at}": made.index(one) + 1
        for at, one in enumerate(made, 1)
    }


hints = [
    "Three steps before hashing: Unicode form, capitals, white space. In which order do you need them?",
    '" ".join(text.split()) leaves exactly one space between words and none at the ends.',
    'normalize("NFKC", text), then .casefold(), then split and join, then .encode("utf-8"), then sha256.',
]
misconceptions = [
    (
        "def text_hash(text):\n    return hash(text.lower())",
        "changes with every start of Python",
    ),
    (
        "def text_hash(text):\n    return hashlib.sha256(text.encode()).hexdigest()",
        "capitals still count",
    ),
    (
        "def text_hash(text):\n    return hashlib.sha256(text.lower().strip().encode()).hexdigest()",
        "white space still counts",
    ),
    (
        "def text_hash(text):\n    return hashlib.sha256(''.join(text.lower().split()).encode()).hexdigest()",
        "removed the spaces",
    ),
    (
        "def text_hash(text):\n    return hashlib.sha256(' '.join(text.lower().split()).encode()).hexdigest()",
        "two ways",
    ),
    (
        "def text_hash(text):\n    words = re.findall(r'\\w+', unicodedata.normalize('NFKC', text).casefold())\n"
        "    return hashlib.sha256(' '.join(words).encode()).hexdigest()",
        "Leave punctuation in",
    ),
]

# %% [markdown]
# Your fingerprint keeps punctuation: “Yay.” and “Yay!!!” are two texts to it. A looser one keeps the words only.
# Which is right? Count with both.


# %%
def words_only(text):
    return text_hash(" ".join(re.findall(r"\w+", text)))


for name, dataset in [("reviews", reviews), ("tweets", tweets), ("articles", articles)]:
    texts = dataset["text"][:]
    copies = [len(texts) - len(set(map(key, texts))) for key in (str, text_hash, words_only)]
    print(
        f"{name:9} {len(texts):6,} texts; copies: {copies[0]} exact, "
        f"{copies[1]} by hash, {copies[2]} by words"
    )

# %%
for rows in families.values():
    if len({row["label"] for row in rows}) > 1:
        print("The same words, opposite labels:", [row["text"] for row in rows])

# %% [markdown]
# There is no perfect definition of a copy. The strict fingerprint misses relatives; the loose one takes a smile
# and a tear for the same tweet. The reviews are nearly clean by either. The articles hold many exact copies, the
# tweets whole families.
#
# Now for the damage. Split the tweets at random, as one does, and classify each test tweet by its most similar
# training tweet: a model that does nothing but remember. Ten different random splits, so that luck evens out.
# *Reported* is the accuracy on the whole test set. *Honest* is the accuracy on those test tweets that have no
# relative in the training set.

# %%
texts, labels = np.array(tweets["text"][:], dtype=object), np.array(tweets["label"][:])
prints = np.array([words_only(text) for text in texts])


def naive_split_scores(labels, seed):
    order = np.random.default_rng(seed).permutation(len(texts))
    test, train = order[: len(texts) // 10], order[len(texts) // 10 :]
    memory = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(1, metric="cosine"))
    right = memory.fit(texts[train], labels[train]).predict(texts[test]) == labels[test]
    known = np.isin(prints[test], prints[train])
    return known.mean(), right.mean(), right[~known].mean(), right[known].mean()


# %%
leaked, reported, honest, on_copies = np.mean(
    [naive_split_scores(labels, seed) for seed in range(10)], axis=0
)
honest_now = round(100 * honest)
print(
    f"{leaked:.1%} of the test tweets have a relative in training; "
    f"on those the model scores {on_copies:.0%}."
)
print(
    f"Reported {reported:.1%}, honest {honest:.1%}: "
    f"the leak gave {100 * (reported - honest):.1f} points."
)

# %% [markdown]
# Almost perfect on the relatives, and yet the total hardly moves. Is the leak harmless, then? Before you answer,
# the same again with a task that nobody can solve: for every split, each family gets its label by tossing a
# coin. On texts it has not seen, no model can do better than 50 %, give or take luck.

# %%
family = np.unique(prints, return_inverse=True)[1]  # relatives share a number
_, coin_reported, coin_honest, _ = np.mean(
    [naive_split_scores(rng.integers(0, 2, len(prints))[family], seed) for seed in range(10)],
    axis=0,
)
gain = 100 * (coin_reported - coin_honest)
print(
    f"Coin labels: reported {coin_reported:.1%}, "
    f"honest {coin_honest:.1%}: now the leak gives {gain:.1f} points."
)

# %% [markdown]
# Same leak, more points. Arithmetic explains the surprise. On a share *s* of the test set the model goes from
# its honest accuracy *a* to (nearly) 1, so the leak gives *s · (1 − a)*: it pays most where the task is hard
# and the copies are many. Move both.


# %%
def leak_gain(leaked_percent=20, honest_percent=honest_now):
    share = leaked_percent / 100
    axis = np.arange(50, 101)
    copies = {f"{leaked_percent} % copies": share * (100 - axis)}
    figure = plots.lines(
        axis,
        copies | {"the tweets": leaked * (100 - axis)},
        title=f"{leaked_percent} % copies turn an honest {honest_percent} % into "
        f"{honest_percent + share * (100 - honest_percent):.1f} %",
        xlabel="honest accuracy, %",
        ylabel="points that the leak adds",
    )
    figure.axes[0].axvline(honest_percent, color="#5F5F5F", linestyle="--", lw=1.2)
    alt = "Lines that fall to zero at 100 %: a leak adds most where honest accuracy is low."
    plots.show(figure, alt=alt)


widgets.explore(leak_gain, leaked_percent=(0, 60), honest_percent=(50, 100))

# %% [markdown]
# With these tweets and a random split the effect is small, and we say so. Where many texts are copies, as in
# scraped web pages or code, it can decide which model "wins". The cure costs one line either way: de-duplicate
# **first**, then split. The other order removes copies *within* each part and leaves those *between* parts,
# which are the ones that hurt.
#
# Some relatives you cannot throw away: all reviews by one person, all questions about one patient. No two are
# alike, yet a model can learn to know the person. Then split by **group**, the id that they share (here the
# family): a whole group goes to one part.

# %%
once = data.deduplicate(tweets)
print(
    "Relatives that the strict hash leaves:",
    len(once) - len(set(map(words_only, once["text"]))),
)
first_of_family = {}
for position, text in enumerate(tweets["text"]):
    first_of_family.setdefault(words_only(text), position)
clean = tweets.select(list(first_of_family.values()))
print(f"One tweet per family: {len(clean):,} of {len(tweets):,} stay.")

by_group = GroupShuffleSplit(n_splits=1, test_size=0.1, random_state=lab.seed)
train, test = next(by_group.split(texts, groups=family))
print("Or split by group. Families in both:", len(set(family[train]) & set(family[test])))

# %% [markdown]
# <!-- asked: D02-N -->
# ## Split 80/10/10
#
# Three parts, three jobs. The model learns from **train**. You compare choices, as often as you like, on
# **validation**. **Test** is the sealed exam: opened once, at the end of Day 4. A good split is *stratified*,
# which means that each part has the same mix of labels, and free of leaks.
#
# Three colleagues each send you a split of the cleaned tweets. One did well.


# %%
def stratified(dataset):
    first = dataset.train_test_split(test_size=0.2, stratify_by_column="label", seed=lab.seed)
    rest = first["test"].train_test_split(
        test_size=0.5, stratify_by_column="label", seed=lab.seed
    )
    return DatasetDict(
        {"train": first["train"], "validation": rest["train"], "test": rest["test"]}
    )


# %%
ranked = clean.select(np.argsort(clean["rating"][:]))
ends = [0, len(clean) * 8 // 10, len(clean) * 9 // 10, len(clean)]
ann = DatasetDict(
    {
        name: ranked.select(range(ends[n], ends[n + 1]))
        for n, name in enumerate(("train", "validation", "test"))
    }
)
negative = clean.filter(lambda row: row["label"] == 0)
# How many negative tweets more would make the classes equal?
missing = len(clean) - 2 * len(negative)
bob = stratified(
    concatenate_datasets([clean, negative.select(np.resize(range(len(negative)), missing))])
)
eve = stratified(clean)

# %% tags=["exercise"] exercise="day02/three-splits" answer="verdicts" minutes=10 difficulty=3
# Judge the DatasetDicts `ann`, `bob` and `eve`. Useful: data.leaks(splits), and the mix of
# labels of a part, Counter(splits["test"]["label"][:]). Read the code above, too: each flaw has
# a cause.
# For each name give "sound", "leaks" (texts shared between parts) or "skewed" (mixes of labels
# differ).
verdicts = ...


# <solution>
def verdict(splits):
    if data.leaks(splits):
        return "leaks"
    mixes = [np.mean(part["label"][:]) for part in splits.values()]
    return "skewed" if max(mixes) - min(mixes) > 0.1 else "sound"


verdicts = {"ann": verdict(ann), "bob": verdict(bob), "eve": verdict(eve)}
# </solution>


# %% tags=["check"] exercise="day02/three-splits"
def check(answer):
    if not isinstance(answer, dict) or set(answer) != {"ann", "bob", "eve"}:
        return 'Give a dictionary with three names: {"ann": "…", "bob": "…", "eve": "…"}.'
    words = ("leaks", "skewed", "sound")
    if strange := [said for said in answer.values() if said not in words]:
        return f"The verdicts are {', '.join(words)}, one per name; you wrote {strange[0]!r}."
    if set(answer.values()) == {"sound"}:
        return "You trust all three. One of them has a test set with a single label in it: count the labels of each part."
    if answer["ann"] == "sound":
        return "Ann ranked the tweets by rating and then cut. What is in the last tenth of a ranking?"
    if answer["ann"] == "leaks":
        return "Ann's parts share no text; `data.leaks(ann)` is empty. Her trouble is what was ranked before the cut."
    if answer["bob"] == "sound":
        return "Bob evened out the classes by repeating rows, and split after that. Where did the repeated rows go?"
    if answer["bob"] == "skewed":
        return "Bob's labels are well mixed. Look for texts that sit in two of his parts: why would there be any?"
    if answer["eve"] == "leaks":
        return "Eve split tweets without copies and added none, and `data.leaks(eve)` is empty."
    if answer["eve"] == "skewed":
        return "Eve's parts differ by a fraction of a percent: no split can be more even with whole rows."
    return None


hints = [
    "len(data.leaks(bob)) counts the texts that sit in more than one part.",
    "For the mix: [np.mean(part['label'][:]) for part in ann.values()] is the share of positives in each part.",
    "One ranked before cutting, one copied rows before splitting, one did neither.",
]
misconceptions = [
    ("verdicts = {'ann': 'sound', 'bob': 'sound', 'eve': 'sound'}", "You trust all three"),
    ("verdicts = {'ann': 'skewed', 'bob': 'sound', 'eve': 'sound'}", "repeating rows"),
    ("verdicts = {'ann': 'leaks', 'bob': 'leaks', 'eve': 'sound'}", "share no text"),
    ("verdicts = {'ann': 'skewed', 'bob': 'leaks', 'eve': 'leaks'}", "without copies"),
]

# %%
for name, theirs in [("ann", ann), ("bob", bob), ("eve", eve)]:
    mixes = [f"{np.mean(part['label'][:]):.1%}" for part in theirs.values()]
    print(
        f"{name}: {verdicts[name]:6}  positive: {', '.join(mixes)}; "
        f"shared texts: {len(data.leaks(theirs))}"
    )

# %% [markdown]
# Bob's mistake is a common one, and well disguised: he wanted balanced classes, so he repeated
# rows of the smaller one until the labels looked perfect. What does it do to a model that only remembers?
#
# His test set holds as many negative tweets as positive ones and Eve's does not, so we compare them by
# **balanced accuracy**: the accuracy on the negative tweets and on the positive tweets, averaged.


# %%
def memory_score(theirs):
    memory = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(1, metric="cosine"))
    memory.fit(theirs["train"]["text"][:], theirs["train"]["label"][:])
    predicted = memory.predict(theirs["test"]["text"][:])
    return balanced_accuracy_score(theirs["test"]["label"][:], predicted)


bob_score, eve_score = memory_score(bob), memory_score(eve)
print(f"The same model, the same tweets: Bob reports {bob_score:.1%}, Eve {eve_score:.1%}.")

# %% [markdown]
# That leak is not small: Bob would choose the model that remembers best, and be disappointed on the first day
# with new tweets. Balance the *training* part if you must, and only after the split.
#
# <!-- asked: D02-T7 -->
# Now ours. `data.split` does what Eve did: remove copies by fingerprint, then split with the same mix.

# %%
splits = data.split(data.load("sentiment"))
for name, part in splits.items():
    print(f"{name:10} {len(part):6,} rows, {np.mean(part['label'][:]):.2%} positive")
print("Texts in more than one part:", len(data.leaks(splits)))

# %% [markdown]
# <!-- asked: D02-P -->
# ## Tokenise once, save, load again
#
# <!-- asked: D02-T8 -->
# A training run reads every sentence several times. Cut it into tokens once, before, with `map`. The rules
# from above: `max_length` from the *training* part (validation and test must not influence any choice), no
# padding yet.

# %%
train_lengths = [
    len(ids) for ids in tokenizer(splits["train"]["text"][:], verbose=False)["input_ids"]
]
max_length = choose_max_length(train_lengths)


def encode(batch):
    return tokenizer(batch["text"], truncation=True, max_length=max_length)


encoded = splits.map(encode, batched=True)
print(f"max_length {max_length}; columns now: {', '.join(encoded['train'].column_names)}")

# %% [markdown]
# Padding comes at the last moment, per batch. That is the **collator**'s job: it takes a list of rows and
# returns a rectangle of tensors.

# %%
collator = DataCollatorWithPadding(tokenizer)
rows = [{"input_ids": ids} for ids in encoded["train"]["input_ids"][:4]]
batch = collator(rows)
print([len(row["input_ids"]) for row in rows], "→", tuple(batch["input_ids"].shape))
print(f"{(batch['attention_mask'] == 0).float().mean():.0%} of this small batch is padding.")

# %% [markdown]
# `data.tokenize` is the same few lines, and it renames `label` to `labels`, the name a model's `forward`
# expects. Later days use it.

# %%
shortcut = data.tokenize(splits, tokenizer, max_length)
same = shortcut["train"]["input_ids"][:] == encoded["train"]["input_ids"][:]
print(
    f"data.tokenize gives the same ids: {same}. Its columns: "
    f"{', '.join(shortcut['train'].column_names)}"
)

# %% [markdown]
# What should you save, ids or texts? Ids belong to one tokenizer: feed MiniLM's ids to SmolLM2 and it reads
# nonsense without complaint. So we save the split *texts*, and each later day cuts them with the tokenizer of
# its own model, in a second or two.
#
# <!-- asked: D02-A, D02-T9 -->
# One promise to test. Whoever skips today still gets data: `data.prepared("sentiment")` makes them when they
# are missing. That must give exactly what you have made by hand, or your results and theirs could not be
# compared.

# %%
without_today = data.prepared("sentiment")
data.save(splits, "sentiment")
prepared = data.prepared("sentiment")
same = all(prepared[name].to_dict() == without_today[name].to_dict() for name in prepared)
print(
    "data.prepared gives",
    "the same" if same else "different data",
    "before and after you saved.",
)
print({name: len(part) for name, part in prepared.items()})

# %% [markdown]
# ## The same cells on your own file
#
# Everything today works on a CSV or JSONL file of yours. Here is a small one, with twelve invented sentences.
# If there is already a `my_reviews.csv` in your workspace, it is left alone and used instead: put your own
# file there, with your own column names in the cell after the next.

# %%
SAMPLE = """review,verdict
The pump stopped on the second day.,bad
"Quiet, quick and easy to clean.",good
I had to send it back twice.,bad
My neighbour bought one after seeing mine.,good
It smells of burnt plastic.,bad
Worth every cent.,good
The manual is a riddle.,bad
Two years in daily use and still like new.,good
Half of the screws were missing.,bad
Even my father understood it at once.,good
Support never answered.,bad
The lid closes with a lovely click.,good
"""
my_file = lab.workspace / "my_reviews.csv"
if not my_file.exists():
    my_file.write_text(SAMPLE, encoding="utf-8")

# %%
mine = data.load(my_file, text="review", label="verdict")
print(mine.features["label"].names, "·", mine[0])
mine_splits = data.split(
    mine, fractions=(0.5, 0.25, 0.25)
)  # 80/10/10 needs at least twenty texts
mine_encoded = data.tokenize(mine_splits, tokenizer, max_length=64)
print(tokenizer.convert_ids_to_tokens(mine_encoded["train"][0]["input_ids"]))

# %% [markdown]
# Real files are seldom so tidy. Here is what happens when they are not: a wrong column name, and a column in
# which every row says the same. Read the messages; they name the file, the trouble and the way out.

# %%
broken = lab.workspace / "sample_one_class.csv"
broken.write_text(
    "comment,stars\nLovely.,5\nJust right.,5\nAgain and again.,5\n", encoding="utf-8"
)
for columns in [{"text": "review", "label": "stars"}, {"text": "comment", "label": "stars"}]:
    try:
        data.load(broken, **columns)
    except settings.LabError as error:
        print(f"{columns}:\n{error}\n")

# %% [markdown]
# ## What you saw
#
# The numbers of the day, each beside the range in which we expect it.

# %%
tracking.record("one_person_agrees", agreements[kept].mean())
tracking.record("half_crowds_agree", halves)
tracking.record("sentences_kept", kept.mean())
tracking.record("padding_random_batches", random_share)
tracking.record("padding_grouped_batches", grouped_share)
tracking.record("tweets_leak_points", 100 * (reported - honest))
tracking.record("coin_leak_points", gain)
tracking.record("bob_leak_points", 100 * (bob_score - eve_score))
tracking.record("shared_texts_after_split", len(data.leaks(splits)))
tracking.record("same_as_course_data", float(same))

# %% [markdown]
# So what do you tell the colleague with the 97 %? Three questions: *How often do your raters agree? Which
# sentences did you leave out? Did you look for copies, with a hash and before the split?* With good answers to
# all three, congratulate.

# %% tags=["quiz"]
quiz = [
    {
        "question": "Four sentences of 10, 10, 10 and 50 tokens form one batch, padded to the longest. How much of it is padding?",
        "choices": [
            (
                "40 %",
                "That is the share of real tokens: 80 of 200 cells. The rest is padding.",
                False,
            ),
            (
                "60 %",
                "4 rows of 50 make 200 cells, 80 of them real. One long sentence, three that pay.",
                True,
            ),
            (
                "75 %",
                "Three of the four rows are padded, but they hold 10 real tokens each.",
                False,
            ),
            (
                "80 %",
                "True of each short row; the long row has no padding and belongs to the batch as well.",
                False,
            ),
        ],
        "proof": "lengths = [10, 10, 10, 50]\nassert abs(1 - sum(lengths) / (len(lengths) * max(lengths)) - 0.60) < 1e-9",
    },
    {
        "question": "20 % of a test set are copies of training texts, and the model gets all of those right. Overall it "
        "scores 76 %. How good is it on texts it has not seen?",
        "choices": [
            (
                "56 %",
                "Subtracting the copies is not enough: the remaining points come from only 80 % of the set.",
                False,
            ),
            ("70 %", "0.20 · 100 % + 0.80 · 70 % = 76 %. Six points were memory.", True),
            (
                "76 %",
                "The copies lift the average: they contribute their whole 20 % to the score.",
                False,
            ),
            (
                "95 %",
                "That divides 76 by 80 and gives the unseen texts the credit for the copies.",
                False,
            ),
        ],
        "proof": "assert abs(0.20 * 1 + 0.80 * 0.70 - 0.76) < 1e-9",
    },
    {
        "question": "One rater agrees with the rest on 94 % of the sentences. Your model scores 96 %. What follows?",
        "choices": [
            (
                "There must be a leak: nothing beats people",
                "A single rater is not the ceiling. The label is an average over many, and that is steadier.",
                False,
            ),
            (
                "It predicts the crowd better than one person does",
                "Yes. The label is the crowd's verdict, nearly free of any one person's mood, and can be predicted better.",
                True,
            ),
            (
                "It understands film better than people",
                "It predicts an average opinion. Nobody measured understanding, and each rater knows their own.",
                False,
            ),
            (
                "The labels are wrong in 6 % of the cases",
                "Single raters stray that often, not the mean of all of them; two half crowds agree almost always.",
                False,
            ),
        ],
        "proof": "from math import comb\n"
        "majority = sum(comb(19, k) * 0.94**k * 0.06 ** (19 - k) for k in range(10, 20))\n"
        "assert majority > 0.999  # nineteen people, each right in 94 %, decide together",
    },
    {
        "question": "You remove duplicates inside train, inside validation and inside test, after splitting. Enough?",
        "choices": [
            (
                "Yes, no part holds a text twice",
                "A text can still sit once in train and once in test: that is the leak.",
                False,
            ),
            (
                "Yes, if the split was stratified",
                "Stratifying evens out the labels. It knows nothing about copies.",
                False,
            ),
            (
                "No: de-duplicate the whole set first",
                "Right. Only copies across parts inflate a score, and those survive.",
                True,
            ),
            (
                "No: only test needs it",
                "Test alone can be free of copies and still repeat what is in train.",
                False,
            ),
        ],
    },
    {
        "question": "A guide recommends max_length=1024 for long documents. With a BERT model, what happens?",
        "choices": [
            (
                "It works, only slower",
                "Longer is slower where it works. Here a text of 600 tokens already raises an error.",
                False,
            ),
            (
                "It stops at 512 by itself",
                "The tokenizer cuts where you tell it, so with 1024 it hands over too much.",
                False,
            ),
            (
                "The first text above 512 tokens raises an error",
                "Its position table has 512 rows: position 513 does not exist. Cut at 512, or choose another model.",
                True,
            ),
            (
                "Only the padding grows",
                "Padding grows as well, but there are no positions to put it in.",
                False,
            ),
        ],
        "proof": "from transformers import BertConfig\nassert BertConfig().max_position_embeddings == 512",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - Choose another cut-off, say 1.0, split again, and save the result under a name of its own. On Day 3, compare
#   the baselines on both sets: how much of a model's accuracy is the model, and how much is the filter?
# - Near-copies that are not copies ("Shares rise on new offer", "Shares rise on new bid") survive every
#   normalised hash. Lee et al. (2021) find them with MinHash; try a cosine similarity over TF-IDF vectors above
#   0.9 on the articles, and read the pairs.
# - Sennrich et al. (2016) print the whole byte pair algorithm in one short listing. It takes an evening to write it
#   yourself, and you will never wonder about tokens again.
