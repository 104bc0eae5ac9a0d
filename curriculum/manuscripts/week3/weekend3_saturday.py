# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("weekend3_saturday")

# %%
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

# %%
from labhelpers import data, exercise, plots, progress, project, quiz, tracking, widgets

# %% [markdown]
# ## A problem in five sentences
#
# <!-- asked: W3-H, W3SAT-H, W3SAT-T1 -->
# In a week you will have a project that only you could have chosen. It begins without a model: with a sentence about
# somebody who needs an answer, with a file of texts, and with a page that says what is in the file. Most projects that
# fail have failed by then, and nobody noticed, because the training ran so well.
#
# Here is the worked example, in the five sentences that you will write about yours:
#
# 1. **Who:** a youth club has one phone for emergencies, and advertisements drown the messages that count.
# 2. **What goes in:** the text of one message, as it arrives.
# 3. **What comes out:** `ham` (show it) or `spam` (put it aside).
# 4. **Why it matters:** a message that is put aside wrongly may be a child who needs a ride home.
# 5. **Why fine-tune:** counted words are good at this; whether a network is better by enough to be worth its trouble is
#    the question.
#
# The fifth is the hard one. If a rule or a list of words does it, you have saved yourself two days.
#
# Half of your time this weekend should go into **your own file**: `.csv` or `.jsonl`, with the columns `text` and
# `label`, a few hundred rows at least. Tickets, mails, notes, comments, whatever you may use. If you have none,
# everything runs with the course's text messages. (The minutes above are for those. With texts of your own the day
# has three or four hours, and most of the difference is reading.)

# %%
my_file = None  # or its path: "tickets.csv" in your home folder


def read_mine(path):
    csv = Path(path).suffix.lower() == ".csv"
    table = (
        pd.read_csv(path, dtype=str, na_filter=False)
        if csv
        else pd.read_json(path, lines=True, dtype={"label": str})
    )
    return table[["text", "label"]].astype(str)


# %%
def read_messages():
    """The course's text messages; rows that were once glued together come apart (Week 2)."""
    parts = project.separate(data.load("spam"))
    names = parts.features["label"].names
    labels = [names[number] for number in parts["label"]]
    return pd.DataFrame({"text": parts["text"][:], "label": labels})


raw = read_messages() if my_file is None else read_mine(my_file)
few = settings.pick(smoke=900, cpu=len(raw), gpu=len(raw))
raw = raw.sample(min(few, len(raw)), random_state=lab.seed).reset_index(drop=True)
print(f"{len(raw):,} texts, labels: {', '.join(raw['label'].unique())}")

# %% [markdown]
# A bet on the most unpleasant question of the day, before we look. We shall turn one label in twenty into a wrong one,
# on purpose, and keep a list of which. Then a simple model reads all texts and names the labels it does not believe.
# Of 100 planted mistakes, how many does it name?

# %%
recall_guess = widgets.predict(
    "own-labels", "Of 100 planted wrong labels, how many will be found?", 0, 100
)

# %% [markdown]
# <!-- asked: W3SAT-T2 -->
# ## Collect: the licence, and the people in the texts
#
# Two questions about every file, and both are cheap today and expensive later. *May I?* Somebody holds the rights to
# the texts, and the place where you found them says what is allowed; "it was on the Web" is not a licence. *Who is in
# it?* A mail address in a training set can come out of the model again, word for word.
#
# We look for three things with **regular expressions**: mail addresses, links, phone numbers. The first two are given.

# %%
MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
LINK = re.compile(r"(?:https?://|www\.)\S+")


# %% tags=["exercise"] exercise="weekend3_saturday/phones" answer="mask_phones" minutes=8 difficulty=2
# Return the text with "<PHONE>" in place of each phone number. A phone number: ten digits or
# more, between two of them at most one blank, dot or hyphen. A + in front belongs to it.
# Shorter ones stay: a year, a price, the 87121 that a prize asks you to text.
def mask_phones(text): ...


# <solution>
def mask_phones(text):
    return re.sub(r"\+?\d(?:[ .-]?\d){9,}", "<PHONE>", text)


# </solution>


# %% tags=["check"] exercise="weekend3_saturday/phones"
def check(answer):
    if not isinstance(answer("call"), str):
        return f"You return {type(answer('call')).__name__}. The whole text is wanted, with the numbers masked."
    if answer("well .......... - ok") != "well .......... - ok":
        return "A row of dots became a phone number. Each dot, blank or hyphen must stand between two digits."
    if answer("text WIN to 87121 now") != "text WIN to 87121 now":
        return "87121 is masked. Five digits are a short code, which belongs to nobody; ten are a phone."
    if answer("ring 0770-090 0123 now") != "ring <PHONE> now":
        return "“0770-090 0123” is still readable. People put blanks, dots and hyphens between digits."
    if answer("ring +447700900123") != "ring <PHONE>":
        return f"“+447700900123” became “{answer('ring +447700900123')[5:]}”. The + belongs to the number."
    if answer("07700900123 or 07700900456") != "<PHONE> or <PHONE>":
        return "Of two numbers in one text, only one is masked, or both became one."
    return None


def inputs(draw):
    for size in (1, 8, 9, 10, 11, 15, 20):
        yield "ring " + "".join(map(str, draw.integers(0, 10, size))) + "."
    yield ""
    yield "077009  00123 and 0770--0900123"
    yield "07.70.09.00.12 3, +1-202 555 0100? +5"
    yield "a+0770 090 0123b 2 077009001 "
    yield "1 2 3 4 5 6 7 8 9 and 1 2 3 4 5 6 7 8 9 0"
    marks = [*"0123456789" * 3, " ", ".", "-", "+", "x", "\n"]
    for size in (30, 60, 120):
        yield "".join(draw.choice(marks, size).tolist())


hints = [
    "One digit, then at least nine times: perhaps a separator, and a digit.",
    r"“Perhaps a separator” is `[ .-]?`; “at least nine times” is `{9,}` after a group `(?:…)`.",
    r"`re.sub(r'\+?\d(?:[ .-]?\d){9,}', '<PHONE>', text)`",
]
misconceptions = [
    (
        'def mask_phones(text):\n    return re.sub(r"\\+?\\d{10,}", "<PHONE>", text)',
        "blanks, dots and hyphens",
    ),
    (
        'def mask_phones(text):\n    return re.sub(r"\\+?[\\d .-]{10,}", "<PHONE>", text)',
        "row of dots",
    ),
    (
        'def mask_phones(text):\n    return re.sub(r"\\d(?:[ .-]?\\d){9,}", "<PHONE>", text)',
        "The + belongs",
    ),
    (
        'def mask_phones(text):\n    return re.sub(r"\\+?\\d(?:[ .-]?\\d){3,}", "<PHONE>", text)',
        "short code",
    ),
]


# %%
def mask(text):
    return mask_phones(LINK.sub("<LINK>", MAIL.sub("<MAIL>", text)))


marks = ("<MAIL>", "<LINK>", "<PHONE>")
masked = raw["text"].map(mask)
found = pd.DataFrame(
    {mark: masked.str.contains(mark, regex=False).groupby(raw["label"]).sum() for mark in marks}
)
personal = int((masked != raw["text"]).sum())
print(f"{personal:,} of {len(raw):,} texts hold at least one; texts with each, by label:")
found

# %% [markdown]
# (With the messages: nearly all of it in one class. The people who gave their own messages to research had their
# numbers hidden first; nobody asked the advertisers. Week 2 met the same trap: a mark that tells *who collected the
# text* is learnt as if it were about the text.)
#
# Now the question that is usually left out. What does the mask **miss**? We write eight contacts, as people write them,
# with numbers that are reserved for films and names that are nobody's.

# %%
written = [
    "07700 900123",
    "+44 7700-900123",
    "(0)7700 900123",
    "0 7 7 0 0 9 0 0 1 2 3",
    "oh seven seven double oh nine hundred 123",
    "ada@example.org",
    "ada at example dot org",
    "I'm Ada, 12 Elm Road, second bell",
]
for text in written:
    print(f"{text:<42} {mask(text)}")

# %%
greeting = re.compile(r"\b(?:[Hh]i|[Hh]ey|[Hh]ello|[Dd]ear) [A-Z][a-z]{2,}\b")
greeted = int(masked.str.contains(greeting).sum())
print(f"{greeted} masked texts still greet somebody by a name.")

# %% [markdown]
# A regular expression finds a form, and a name has none. So "personal information removed" would be a lie; "mail
# addresses, links and numbers of ten digits masked, names not" is a sentence you can sign. If names matter in your
# texts, read a hundred of them and count, or keep the file where only you can read it.
#
# For the course's messages one step more, decided in Week 2: all digits and marks become a zero, in both classes.

# %%
texts = masked.map(project.clean) if my_file is None else masked
rows = pd.DataFrame({"text": texts.str.strip(), "label": raw["label"].str.strip()})
rows = rows[(rows["text"] != "") & (rows["label"] != "")]
rows = rows[rows.groupby("label")["text"].transform("size") >= 10]  # fewer cannot be tested
print(f"{len(raw) - len(rows)} rows left out: no text, no label, or a label with less than ten")

# %% [markdown]
# <!-- asked: W3SAT-T3 -->
# ## Explore: copies, and what is nearly a copy
#
# Your project will drop copies by itself: its `clean` compares texts in lower case. But an advertiser sends one text with
# another prize each week. Two such texts are no copies, and yet, one in training and one in the test, they give the
# answer away. To measure it, cut each text into runs of four characters, weigh them with TF-IDF, and take the
# **cosine similarity**: 1 for the same runs, 0 for none in common.


# %%
def near_copies(texts, alike):
    """Each pair (earlier row, later row, similarity) that is at least so much alike."""
    runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), sublinear_tf=True)
    vectors = runs.fit_transform(texts)
    pairs = (vectors @ vectors.T).tocoo()
    wanted = (pairs.row < pairs.col) & (pairs.data >= alike)
    found = {"one": pairs.row[wanted], "other": pairs.col[wanted], "alike": pairs.data[wanted]}
    return pd.DataFrame(found).sort_values("alike", ignore_index=True)


# %%
key = rows["text"].str.lower().str.split().str.join(" ")
two_labels = rows.groupby(key)["label"].transform("nunique") > 1
disputed = key[two_labels].nunique()
distinct = rows[~key.duplicated() & ~two_labels].reset_index(drop=True)
pairs = near_copies(distinct["text"], alike=0.7)
for at in np.searchsorted(pairs["alike"], [0.7, 0.8, 0.9]):
    if at < len(pairs):
        print(f"{pairs['alike'][at]:.2f}", distinct["text"][pairs["one"][at]][:88])
        print("    ", distinct["text"][pairs["other"][at]][:88], "\n")

# %% [markdown]
# Where does "the same message" begin? No formula knows. Read pairs around a threshold, decide, and write the number
# down. We take 0.8, and of each pair the later text goes.

# %%
THRESHOLD = 0.8
later = pairs.loc[pairs["alike"] >= THRESHOLD, "other"].unique()
kept = distinct.drop(index=later).reset_index(drop=True)
steps = {
    "as they came": len(raw),
    "with text and label": len(rows),
    "without copies": len(distinct),
    "without near copies": len(kept),
}

# %%
title = f"Exact matching leaves {len(later):,} near copies among {len(distinct):,} texts"
figure = plots.bars(list(steps), list(steps.values()), title=title, xlabel="texts")
plots.show(figure, alt=f"Bars: how many texts are left after each step. {title}.")

# %% [markdown]
# How much would they have cost? Suppose that somebody splits the texts at random, one in four for the test, and knows
# nothing of near copies. A test text is *given away* if one of its twins sits in training.


# %% tags=["exercise"] exercise="weekend3_saturday/twins" answer="given_away" minutes=7 difficulty=2
# one, other: two lists of row numbers; one[i] and other[i] are twins, in either order.
# in_test: for each row True (it is in the test) or False (it is in training).
# Return how many rows of the test have a twin in training.
def given_away(one, other, in_test): ...


# <solution>
def given_away(one, other, in_test):
    both_ways = [*zip(one, other, strict=True), *zip(other, one, strict=True)]
    return len({row for row, twin in both_ways if in_test[row] and not in_test[twin]})


# </solution>


# %% tags=["check"] exercise="weekend3_saturday/twins"
def check(answer):
    in_test = [True, False, False, True, True, False]
    cases = (
        ([0], [1], 1, "Row 0 is in the test, its twin 1 in training: that is one."),
        ([1], [3], 1, "The pair (1, 3): here the later row is in the test. Look at a pair in both directions."),
        ([1, 1], [3, 4], 2, "Row 1 in training gives two test rows away, 3 and 4. Count those."),
        ([0, 3], [4, 4], 0, "Rows 0, 3 and 4 are all in the test. Twins on one side give nothing away."),
        ([1], [2], 0, "Rows 1 and 2 are both in training. Nothing of the test is given away."),
        ([0, 0], [1, 2], 1, "Row 0 has two twins in training. Asked for are test rows, and it is one."),
        ([0, 1], [2, 4], 2, "Rows 0 and 4 are given away, by 2 and 1."),
    )  # fmt: skip
    for one, other, wanted, reply in cases:
        if answer(one, other, in_test) != wanted:
            return (
                f"given_away({one}, {other}, …) gives {answer(one, other, in_test)!r}. {reply}"
            )
    return None


def inputs(draw):
    yield [], [], [True, False]
    for size in (3, 6, 12, 30):
        for _ in range(5):
            ends = np.sort(draw.integers(0, size, (size, 2)), axis=1)
            ends = ends[ends[:, 0] < ends[:, 1]]
            yield ends[:, 0].tolist(), ends[:, 1].tolist(), (draw.random(size) < 0.5).tolist()


hints = [
    "Go through the pairs twice: as they are, and turned round.",
    "Collect row numbers in a set, so that nobody is counted twice.",
    "`len({row for row, twin in both_ways if in_test[row] and not in_test[twin]})`",
]
misconceptions = [
    (
        "def given_away(one, other, in_test):\n    return sum(in_test[a] != in_test[b] for a, b in zip(one, other))",
        "Row 0 has two twins",
    ),
    (
        "def given_away(one, other, in_test):\n    return len({a for a, b in zip(one, other) if in_test[a] and not in_test[b]})",
        "in both directions",
    ),
    (
        "def given_away(one, other, in_test):\n    return len({row for row in [*one, *other] if in_test[row]})",
        "Twins on one side",
    ),
    (
        "def given_away(one, other, in_test):\n    both = [*zip(one, other), *zip(other, one)]\n    return len({a for a, b in both if in_test[b] and not in_test[a]})",
        "Count those",
    ),
]

# %%
draw = np.random.default_rng(lab.seed)
in_test = draw.random(len(distinct)) < 0.25
twins = pairs[pairs["alike"] >= THRESHOLD]
leaked = given_away(list(twins["one"]), list(twins["other"]), list(in_test))
print(f"With near copies in: {leaked} of {in_test.sum()} test texts have a twin in training.")

# %% [markdown]
# Balance and lengths, in one table. Two things to look for: a class so rare that the test will hold a handful of it,
# and a class that can be told by its length alone.

# %%
words = kept["text"].str.split().str.len()
overview = (
    words.groupby(kept["label"])
    .describe(percentiles=[0.5])[["count", "50%", "max"]]
    .astype(int)
)
overview.columns = ["texts", "words, median", "words, longest"]
majority = overview["texts"].max() / len(kept)
print(f"Whoever always says {overview['texts'].idxmax()!r} is right for {majority:.1%}.")
overview

# %% [markdown]
# ## Which labels would you doubt?
#
# Labels are answers of tired people. Nobody can read 5,000 of them again. But one can read the forty that a model finds
# strangest, if the model did not learn from them: train on four fifths, predict the last fifth, five times. Then each
# text has a probability for each class from a model that never saw it. This is **cross-validation** at work as a
# proofreader, and the idea of reading it with a bar for each class is called *confident learning*.
#
# Why a bar? The model may be shy about one class and bold about another. So ask of each class: how sure is it, on
# average, where the label agrees? Only who gets over *that* is believed against a label.


# %% tags=["exercise"] exercise="weekend3_saturday/suspects" answer="suspects" minutes=12 difficulty=3
# probabilities: array, a row for each text, a column for each class. given: its class number.
# Bar of a class: the mean probability of that class, over the texts that are labelled with it.
# Suspect: of the classes that reach their bar, the likeliest is not the given one. (None: not
# suspect.) Return the row numbers of the suspects, the lowest probability of the given label
# first.
def suspects(probabilities, given): ...


# <solution>
def suspects(probabilities, given):
    classes = range(probabilities.shape[1])
    bars = np.array([probabilities[given == k, k].mean() for k in classes])
    over = np.where(probabilities >= bars, probabilities, -1.0)
    rows = np.flatnonzero((over.max(axis=1) >= 0) & (over.argmax(axis=1) != given))
    return rows[np.argsort(probabilities[rows, given[rows]], kind="stable")]


# </solution>


# %% tags=["check"] exercise="weekend3_saturday/suspects"
def check(answer):
    rng = np.random.default_rng(3)
    given = (rng.random(60) < 0.25).astype(int)
    p = np.clip(np.where(given == 1, 0.55, 0.15) + rng.normal(0, 0.22, 60), 0.01, 0.99)
    table, own = np.column_stack([1 - p, p]), np.where(given == 1, p, 1 - p)
    bars = np.array([table[given == k, k].mean() for k in (0, 1)])

    def beaten(bars):
        over = np.where(table >= bars, table, -1.0)
        return set(
            np.flatnonzero((over.max(axis=1) >= 0) & (over.argmax(axis=1) != given)).tolist()
        )

    try:
        found = [int(row) for row in answer(table, given)]
    except TypeError:
        return "A list or an array of row numbers is wanted."
    right, mistakes = (
        beaten(bars),
        {
            "You take every text whose likeliest class is another one. Where is the bar?": set(
                np.flatnonzero(table.argmax(axis=1) != given).tolist()
            ),
            "Your bars are means over all texts. Each bar is a mean over the texts labelled with its class.": beaten(
                table.mean(axis=0)
            ),
            "You doubt whoever is under the bar of the given label: that is about half of all. Another class must get over its own bar.": set(
                np.flatnonzero(own < bars[given]).tolist()
            ),
        },
    )
    for reply, rows in mistakes.items():
        if set(found) == rows != right:
            return reply
    if set(found) == right and found != sorted(right, key=lambda row: own[row]):
        return "The right texts, in another order. The lowest probability of the given label comes first."
    if set(found) == right:
        return None
    return f"For our 60 texts you name {len(found)}, and {len(right)} are suspect."


def inputs(draw):
    for size, classes in ((6, 2), (30, 2), (200, 2), (40, 3), (300, 4)):
        given = np.arange(size) % classes
        yield draw.dirichlet(np.ones(classes) * 0.7, size), given
        near = draw.dirichlet(np.ones(classes), size) + 1.5 * np.eye(classes)[given]
        yield near / near.sum(axis=1, keepdims=True), given


hints = [
    "`probabilities[given == k, k].mean()` is the bar of class k.",
    "`np.where(probabilities >= bars, probabilities, -1)` keeps what reaches its bar.",
    "Suspect: the row's largest value is not −1, and its `argmax` is not `given`.",
    "`probabilities[rows, given[rows]]` is what the suspects' own labels got; sort by it.",
]
misconceptions = [
    (
        "def suspects(probabilities, given):\n    return np.flatnonzero(probabilities.argmax(axis=1) != given)",
        "Where is the bar",
    ),
    (
        "def suspects(probabilities, given):\n    over = np.where(probabilities >= probabilities.mean(axis=0), probabilities, -1)\n    return np.flatnonzero((over.max(axis=1) >= 0) & (over.argmax(axis=1) != given))",
        "means over all texts",
    ),
    (
        "def suspects(probabilities, given):\n    bars = np.array([probabilities[given == k, k].mean() for k in range(probabilities.shape[1])])\n    return np.flatnonzero(probabilities[np.arange(len(given)), given] < bars[given])",
        "about half of all",
    ),
    (
        "def suspects(probabilities, given):\n    bars = np.array([probabilities[given == k, k].mean() for k in range(probabilities.shape[1])])\n    over = np.where(probabilities >= bars, probabilities, -1)\n    return np.flatnonzero((over.max(axis=1) >= 0) & (over.argmax(axis=1) != given))",
        "another order",
    ),
]

# %% [markdown]
# Does it work? On *your* texts that can be measured, because a mistake that you planted is one you know.

# %%
names = sorted(kept["label"].unique())
truth = kept["label"].map(names.index).to_numpy()
word_counts = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)


def probabilities(labels, counted=word_counts):
    """For each text, what models say that did not learn from it."""
    model = make_pipeline(counted, LogisticRegression(C=20, max_iter=1000))
    return cross_val_predict(model, kept["text"], labels, cv=5, method="predict_proba")


# %%
planted = draw.random(len(kept)) < 0.05
wrong = np.where(planted, (truth + 1) % len(names), truth)  # the next class instead
named = suspects(probabilities(wrong), wrong)
hits = int(planted[named].sum())
outcome = {
    "recall: planted, and named": binomtest(hits, int(planted.sum())),
    "precision: named, and planted": binomtest(hits, max(len(named), 1)),
}

# %%
shares = []
for title, test in outcome.items():
    interval = test.proportion_ci(method="wilson")
    shares.append([100 * share for share in (test.statistic, interval.low, interval.high)])
    print(f"{title}: {test.k} of {test.n}, {test.statistic:.0%} ", end="")
    print(f"(95 % interval {interval.low:.0%} to {interval.high:.0%})")
recall_guess.compare(shares[0][0])

# %%
title = f"Of {planted.sum()} planted wrong labels, the list of {len(named)} names {hits}"
figure = plots.interval_bars(
    list(outcome), shares, guess=recall_guess, title=title, xlabel="per cent"
)
plots.show(figure, alt=f"Recall and precision of the list with their intervals. {title}.")

# %% [markdown]
# Two warnings belong to these numbers. Planted mistakes are the easy kind: they hit any text, while people err on the
# hard ones, and the model does so with them. And a name on the list is a reason to read, never a reason to delete:
# throw away what your model doubts, and you will test it on the texts it likes.
#
# So read. These are the labels **as you got them**; nothing is planted here.

# %%
own = probabilities(truth)
doubted = suspects(own, truth)
first = min(8, len(doubted))
print(f"{len(doubted)} of {len(kept):,} labels are doubted. The first {first}:\n")
for row in doubted[:8]:
    print(f"{kept['label'][row]:>10}  {kept['text'][row][:84]}")

# %% [markdown]
# For each line one of three answers: wrong label, right label, *two people would disagree*. The third is the most
# valuable. If it is frequent, no model will be better than your definition, and sentence 3 of your problem needs work.
# Mend the wrong ones in your raw file, by hand, and keep a list of what you changed.
#
# <!-- asked: W3SAT-T4 -->
# ## Decide what success means
#
# Before any training: one number, one baseline, one margin. After it, everything looks like success.
#
# The number will come from a test set of *n* texts. A share of right answers *p* strays by chance; its 95 % interval
# reaches about $1.96\,\sqrt{p\,(1-p)/n}$ to each side. How many test texts does it take to know a share to within three
# points?


# %% tags=["exercise"] exercise="weekend3_saturday/items" answer="items_needed" minutes=6 difficulty=1
# share: about how often the model will be right, from 0 to 1. half: how far the interval may
# reach to each side, such as 0.03. Return the smallest whole number of test texts that is
# enough.
def items_needed(share, half): ...


# <solution>
def items_needed(share, half):
    return math.ceil(share * (1 - share) * (1.96 / half) ** 2)


# </solution>


# %% tags=["check"] exercise="weekend3_saturday/items"
def check(answer):
    found, whole = answer(0.9, 0.03), answer(0.8, 0.05)
    if abs(found - 1068) < 2:
        return "1,068 are enough for the worst case, a share of one half. Yours is 0.9, and strays less: put it in."
    if abs(found - 20) < 1:
        return "About 20? Somewhere a square was lost: the root of n stands in the formula, so n itself has a square."
    if abs(found - 100) < 1:
        return "That interval reaches one standard error, and holds two times in three: 1.96 of them are wanted."
    if found != int(found):
        return f"{found:.2f} texts? Round up: part of a text is not enough."
    if whole == 245:
        return "245 texts are a little too few for 5 points at 0.8: never round down here."
    return None if (found, whole) == (385, 246) else f"For 0.9 and 0.03 it is 385, not {found}."


def inputs(draw):
    yield 0.5, 0.1
    yield 0.97, 0.03
    yield from map(tuple, draw.uniform([0.05, 0.002], [0.98, 0.2], (30, 2)).tolist())


hints = [
    "Solve half = 1.96 · √(p (1 − p) / n) for n: square both sides first.",
    "`math.ceil` rounds up.",
    "`math.ceil(share * (1 - share) * (1.96 / half) ** 2)`",
]
misconceptions = [
    (
        "def items_needed(share, half):\n    return math.ceil(0.25 * (1.96 / half) ** 2)",
        "worst case",
    ),
    (
        "def items_needed(share, half):\n    return math.ceil(1.96 * (share * (1 - share)) ** 0.5 / half)",
        "square was lost",
    ),
    (
        "def items_needed(share, half):\n    return math.ceil(share * (1 - share) / half ** 2)",
        "one standard error",
    ),
    (
        "def items_needed(share, half):\n    return int(share * (1 - share) * (1.96 / half) ** 2)",
        "never round down",
    ),
]

# %%
baseline = float((own.argmax(axis=1) == truth).mean())
letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=20_000)
rival = probabilities(truth, letters).argmax(axis=1)
disagree = float(np.mean((own.argmax(axis=1) == truth) != (rival == truth)))
for_three = items_needed(baseline, 0.03)
print(f"Counted words are right for {baseline:.1%} of the texts (cross-validated).")
print(f"To know that to ±3 points takes {for_three} test texts; to ±1 point ", end="")
print(f"{items_needed(baseline, 0.01):,}.")

# %% [markdown]
# But you do not want to know one share. You want to know whether a *second* model is better, and both answer the same
# texts. Where both are right or both wrong, nothing strays. Only the share *d* counts on which one is right and the other
# wrong: the difference reaches about $1.96\,\sqrt{d/n}$ to each side. To have an idea of *d* before there is a
# second model, let one that counts letters stand in for it.

# %%
test_texts = round(0.25 * min(len(kept), settings.pick(smoke=120, cpu=2000, gpu=len(kept))))
half_difference = 1.96 * math.sqrt(disagree / test_texts)
room = 1 - baseline
print(f"The two models differ in being right on {disagree:.1%} of the texts.")
print(
    f"{test_texts} test texts show a difference of {100 * half_difference:.1f} points or more;"
)
print(f"more than {100 * room:.1f} points nobody can gain over counted words.")

# %%
sizes = [50, 100, 200, 500, 1000, 2000, 5000]
reach = {
    "one share": [100 * 1.96 * math.sqrt(baseline * room / n) for n in sizes],
    "a difference": [100 * 1.96 * math.sqrt(disagree / n) for n in sizes],
    "all there is to gain": [100 * room] * len(sizes),
}
title = f"{test_texts} test texts: a difference is known to ±{100 * half_difference:.1f} points"
captions = {"xlabel": "test texts (log scale)", "ylabel": "± points"}
figure = plots.lines(sizes, reach, log_x=True, title=title, **captions)
figure.axes[0].set_xticks(sizes, [f"{size:,}" for size in sizes])
figure.axes[0].minorticks_off()
plots.show(figure, alt=f"How far an interval reaches, by the number of test texts. {title}.")

# %% [markdown]
# Now a margin can be wrong in two ways. Too large: even a model without a single mistake could not reach it. Too
# small: it could be reached, and nobody would see it.


# %% tags=["exercise"] exercise="weekend3_saturday/goal" answer="judge" minutes=5 difficulty=1
# baseline: share that counted words get right. margin: the gain you ask for. half: how far the
# interval of the difference reaches to each side. All from 0 to 1. "no room" if not even a
# model without mistakes gains more than the margin; otherwise "too fine" if a measured gain of
# exactly the margin has an interval that holds zero; else "fine".
def judge(baseline, margin, half): ...


# <solution>
def judge(baseline, margin, half):
    if margin >= 1 - baseline:
        return "no room"
    return "too fine" if margin <= half else "fine"


# </solution>


# %% tags=["check"] exercise="weekend3_saturday/goal"
def check(answer):
    cases = (
        ((0.7, 0.05, 0.02), "fine", "A gain of 5 points with ±2 points is seen, and there is room for 30."),
        ((0.7, 0.05, 0.03), "fine", "From 2 to 8 points: zero is not inside. The interval reaches `half` to *each* side."),
        ((0.7, 0.02, 0.05), "too fine", "A gain of 2 points with ±5 points is a gain between −3 and 7."),
        ((0.98, 0.05, 0.01), "no room", "From 98 % upwards there are 2 points, and 5 are asked for."),
        ((0.98, 0.05, 0.06), "no room", "No test set, however large, makes room for it: that question comes first."),
    )  # fmt: skip
    for given, wanted, reply in cases:
        if answer(*given) != wanted:
            return f"judge{given} gives {answer(*given)!r}. {reply}"
    return None


def inputs(draw):
    yield 0.75, 0.25, 0.125
    yield 0.5, 0.125, 0.125
    yield from map(tuple, draw.uniform([0.5, 0, 0], [1, 0.3, 0.1], (40, 3)).tolist())


hints = [
    "The room is what the baseline gets wrong: `1 - baseline`.",
    "The interval of a gain goes from `margin - half` to `margin + half`.",
    "Two comparisons: `margin >= 1 - baseline`, then `margin <= half`.",
]
misconceptions = [
    (
        "def judge(baseline, margin, half):\n    if margin >= 1 - baseline:\n        return 'no room'\n    return 'too fine' if margin <= 2 * half else 'fine'",
        "to *each* side",
    ),
    (
        "def judge(baseline, margin, half):\n    if margin <= half:\n        return 'too fine'\n    return 'no room' if margin >= 1 - baseline else 'fine'",
        "comes first",
    ),
    (
        "def judge(baseline, margin, half):\n    return 'too fine' if margin <= half else 'fine'",
        "there are 2 points",
    ),
    (
        "def judge(baseline, margin, half):\n    return 'no room' if margin >= 1 - baseline else 'fine'",
        "between −3 and 7",
    ),
]

# %%
margin = 0.01  # the gain that would make you switch; change it before tomorrow, not after
for tried in sorted({0.005, margin, 0.02, 0.05}):
    print(f"{100 * tried:4.1f} points: {judge(baseline, tried, half_difference)}")

# %% [markdown]
# If no margin is fine, you have learnt that today and not in a fortnight. Ways out, in this order: more test texts; harder
# texts (leave out what a rule decides); another measure, when errors of one kind cost more; or the answer "counted words
# are good enough", which is a result.
#
# The goal, in writing, with its date. Tomorrow's first run will be later than this line.

# %%
goal = {
    "measure": "share of right answers on the test split",
    "baseline": "counted words, trained on the same rows",
    "margin": margin,
    "test_texts": test_texts,
    "reach_of_a_difference": round(half_difference, 4),
    "written": pd.Timestamp.now().isoformat(timespec="minutes"),
}
folder = lab.progress / "own_project"
folder.mkdir(parents=True, exist_ok=True)
if not (folder / "goal.json").exists():  # a goal is fixed once; delete the file to think anew
    (folder / "goal.json").write_text(json.dumps(goal, indent=1) + "\n", encoding="utf-8")
print((folder / "goal.json").read_text(encoding="utf-8"))

# %% [markdown]
# ## The data card
#
# One page that travels with the data. A program writes the numbers, because numbers that are typed are wrong next week.
# You write the sentences, because no program knows whom the answer serves. Both in one file, so the program must not
# touch what is yours. Its part stands between two marks, which Markdown does not show.

# %%
START, END = "<!-- numbers -->", "<!-- /numbers -->"


# %% tags=["exercise"] exercise="weekend3_saturday/card" answer="filled" minutes=8 difficulty=2
# page, numbers: texts. Return the page with what stands between START and END replaced by "\n"
# + numbers + "\n"; everything else to the letter. Only the first START counts. Is there no
# START, or no END after it? Then nothing is replaced: add "\n", the whole block with its marks,
# and "\n" at the end of the page.
def filled(page, numbers): ...


# <solution>
def filled(page, numbers):
    block = f"{START}\n{numbers}\n{END}"
    before, _, rest = page.partition(START)
    _, end, after = rest.partition(END)
    return before + block + after if end else f"{page}\n{block}\n"


# </solution>


# %% tags=["check"] exercise="weekend3_saturday/card"
def check(answer):
    page = f"# Card\nmine\n{START}\nold\n{END}\nmine, too\n"
    found = answer(page, "new")
    if not isinstance(found, str):
        return f"You return {type(found).__name__}. The whole page is wanted, as a text."
    if "mine, too" not in found or "# Card" not in found:
        return "What the person wrote around the numbers is gone."
    if found.count(START) > 1:
        return "After two runs the page has two blocks. Replace the one that is there."
    if "old" in found:
        return "The old numbers are still there."
    try:
        path = answer(page, r"C:\new\1")
    except re.error:
        path = ""
    if r"C:\new\1" not in path:
        return r"The numbers `C:\new\1` do not arrive to the letter: in `re.sub` a backslash of the replacement is a command. Cut the text yourself, with `partition`."
    cut = answer(f"a\n{START}\nold\nmine for ever", "new")
    if "mine for ever" not in cut:
        return "Somebody deleted the closing mark, and with it you delete the rest of the page. Without an end, replace nothing."
    if f"{START}\nnew\n{END}" not in answer("mine", "new"):
        return "A page without marks gets no numbers. Add the block at its end."
    if found != page.replace("old", "new"):
        return "Something else changed: compare line by line. The marks stay, each on a line of its own."
    return None


def inputs(draw):
    pieces = [START, END, "\n", "mine", " ", "1.2", r"\g<0>", "# A\n"]
    for size in (0, 1, 3, 5, 8, 12, 20, 30):
        for _ in range(4):
            yield "".join(draw.choice(pieces, size).tolist()), "0.5\n" * int(draw.integers(3))
    yield f"{END}a{START}b", "n"
    yield f"{START}{END}x{START}{END}", "n"


hints = [
    "`before, mark, rest = page.partition(START)` cuts at the first START; `mark` is empty if there is none.",
    "Cut `rest` at END in the same way. If its mark is empty, the page has no whole block.",
    '`before + block + after if end else f"{page}\\n{block}\\n"`',
]
misconceptions = [
    (
        'def filled(page, numbers):\n    return f"{START}\\n{numbers}\\n{END}\\n"',
        "wrote around the numbers is gone",
    ),
    (
        'def filled(page, numbers):\n    return f"{page}\\n{START}\\n{numbers}\\n{END}\\n"',
        "two blocks",
    ),
    (
        'def filled(page, numbers):\n    block = f"{START}\\n{numbers}\\n{END}"\n    if START not in page or END not in page:\n        return f"{page}\\n{block}\\n"\n    return re.sub(f"{START}.*?{END}", block, page, count=1, flags=re.S)',
        "a backslash of the replacement",
    ),
    (
        'def filled(page, numbers):\n    block = f"{START}\\n{numbers}\\n{END}"\n    if START not in page:\n        return f"{page}\\n{block}\\n"\n    before, _, rest = page.partition(START)\n    return before + block + rest.partition(END)[2]',
        "deleted the closing mark",
    ),
]

# %%
EMPTY = f"""# Data card

## The problem
*Five sentences: who, what goes in, what comes out, why it matters, why fine-tune?*

## Source and licence
*Who collected the texts, when, for what? Which licence, and where is that written?*

## Measured
{START}
{END}

## What it must not be used for
*One sentence. And what would go wrong?*
"""

# %%
recall, precision = shares
numbers = f"""
- {len(kept):,} of {len(raw):,} texts kept: {len(rows) - len(distinct):,} copies and \
{len(later):,} near copies (from {THRESHOLD} on) left out; {disputed} texts with two labels
- {", ".join(f"{count:,} {label}" for label, count in overview["texts"].items())}
- {personal:,} texts held a mail address, a link or a number of ten digits; all masked. \
Not masked: names ({greeted} greetings with one), addresses, numbers in words
- {len(doubted)} labels doubted; the method names {recall[0]:.0f} % of planted mistakes \
({recall[1]:.0f} to {recall[2]:.0f}), {precision[0]:.0f} % of what it names are mistakes
- counted words, cross-validated: {baseline:.1%} right; always the largest class: {majority:.1%}
- {test_texts} test texts show a difference of {100 * half_difference:.1f} points
""".strip()

# %%
card = folder / "DATA_CARD.md"
page = card.read_text(encoding="utf-8") if card.exists() else EMPTY
card.write_text(filled(page, numbers), encoding="utf-8")
texts_file = lab.workspace / "own_project" / "texts.csv"
texts_file.parent.mkdir(parents=True, exist_ok=True)
kept.to_csv(texts_file, index=False)
print(card.read_text(encoding="utf-8"))

# %% [markdown]
# Open `progress/own_project/DATA_CARD.md` and replace each line in italics. Run this notebook again whenever the data
# change: the numbers follow, your words stay. For the course's messages, this is what goes under *Source and licence*:
# collected by Almeida, Gómez Hidalgo and Yamakami (2011) from volunteers' phones and public complaint pages, published
# for research. The copy in the course comes from a package that says MIT; whether the package could grant that for other
# people's messages is a question its authors did not answer. A card may say that, too.
#
# For the journal: what would you have trained on, if you had not looked?

# %%
my_words = ""  # write here, and run the cell
if my_words.strip():
    progress.write_journal("weekend3_saturday", my_words)

# %% [markdown]
# ## What you saw

# %%
tracking.record("personal_texts", personal)
tracking.record("near_copies", len(later))
tracking.record("kept_texts", len(kept))
tracking.record("planted_recall", recall[0])
tracking.record("planted_precision", precision[0])
tracking.record("words_right", baseline)
tracking.record("items_for_three_points", for_three)
tracking.record("difference_seen", 100 * half_difference)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Your mask found a phone number in 430 of 5,000 messages. What may the data card say?",
        "choices": [
            ("“Free of personal information.”", "Names, addresses and numbers in words have no form that it looks for.", False),
            ("“Numbers of ten digits or more are masked; names and addresses are not.”", "Right. It says what was done, and what was not.", True),
            ("“About 430 people were in the data.”", "One number may stand in many messages, and people without numbers are in it, too.", False),
            ("Nothing: masking is a detail.", "It decides who may read the file, and what the model can repeat.", False),
        ],
    },
    {
        "question": "A list of doubted labels is right nine times in ten on planted mistakes. You delete all that it names from your real data, test set included. What happens?",
        "choices": [
            ("The test score rises, and part of that is because hard texts are gone.", "Right. The model now sits an exam without the questions it finds strange.", True),
            ("The test score falls, because there are fewer texts.", "Fewer texts widen the interval. They do not lower the score.", False),
            ("Nothing: nine in ten is nearly all.", "That was measured on planted mistakes; of real doubts fewer are mistakes.", False),
            ("The labels are right afterwards.", "What it did not name is still there, and recall is not 100 %.", False),
        ],
        "proof": """
import numpy as np
rng = np.random.default_rng(0)
sure = rng.uniform(0.3, 1, 20_000)                 # how sure a model is of each text's label
right = rng.random(20_000) < sure                  # and how often it is right then
assert right[sure > 0.5].mean() > right.mean() + 0.05
""",
    },
    {
        "question": "With 400 test texts your interval reaches ±3 points. How many for ±1 point?",
        "choices": [
            ("1,200", "Three times as many make it narrower by the root of three.", False),
            ("3,600", "Right. The width falls with the root of n.", True),
            ("800", "That gives about ±2.1 points.", False),
            ("It cannot be said without the accuracy.", "The accuracy is the same in both, and cancels.", False),
        ],
        "proof": """
half = lambda n: 1.96 * (0.9 * 0.1 / n) ** 0.5
assert abs(half(3600) - half(400) / 3) < 1e-12
""",
    },
    {
        "question": "Counted words get 97 % right. Your goal: +5 points with fine-tuning. What is wrong with it?",
        "choices": [
            ("Nothing: ambition is good.", "A perfect model gains 3.", False),
            ("No model can reach it: there are 3 points to gain.", "Right. Change the margin, the measure or the texts, today.", True),
            ("5 points need a larger test set.", "No test set makes room above 100 %.", False),
            ("The baseline should be trained longer.", "It has 3 points left either way.", False),
        ],
    },
]  # fmt: skip

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# **Answers instead of labels.** Your texts are questions with answers? Then each line of your file is
# `{"messages": [{"role": "user", …}, {"role": "assistant", …}]}`, tomorrow's task is `generate`, and everything above about
# licence, people and copies holds for both sides of a conversation. Only the proofreading of labels has no counterpart.
#
# **Two readers.** Give fifty texts to a friend without your labels. How often do you agree? A model that agrees with
# you more often than that has learnt your habits.
#
# **Read.** Northcutt, Jiang and Chuang (2021), section 3, for the bars; the library *cleanlab* is theirs. Gebru et al.
# (2018) for fifty more questions that a data card can answer; pick the five that would embarrass you.
