# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
from labhelpers import settings

lab = settings.start("weekend2_saturday")

# %%
import html
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from datasets import Dataset
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

# %%
from labhelpers import data, exercise, plots, progress, project, quiz, tracking, widgets

# %% [markdown]
# ## The brief
#
# <!-- asked: W2-H -->
# Nine days of other people's questions. This weekend the question is yours: *does fine-tuning beat word counts on
# these texts, by enough to be worth the trouble?* Today you prepare the data and the baseline. Tomorrow you train.
#
# What you hand in is one folder and one page. The folder holds your splits and a log of what you tried, in the order in
# which you tried it. The page is a report: a program writes the numbers, you write what they mean.
# [The brief](../../curriculum/guides/mini_project.md) says what is checked by a program and what is judged by a person.
# Two finished reports show it, with a reviewer's remarks: [spam](../../curriculum/guides/mini_project_spam.md), a first
# project, and [topics](../../curriculum/guides/mini_project_topics.md), one step further. They give away results; read them
# tomorrow, or when you are stuck.
#
# Here is the only line you must decide about. Everything below runs with either of the first two; leave it at spam if
# you want company at each step.

# %%
# "spam", "topics", the path of a .csv, .tsv or .jsonl file with columns text and label, or
# (LAB_HUB=1) a Hub id
source = "spam"

mine = project.named(source)  # the project's name, which is also its folder
findings = project.check(mine)

# %% [markdown]
# On the first run, a list of failures. That is how it should be: an empty folder is a project that has earned nothing
# yet. None of these checks judges your idea. They ask what a careful reviewer asks first: did the model see the test?
# Did both methods get the same chance? Was the goal set before the result was known?
#
# By tonight the first five can pass.
#
# <!-- asked: W2SAT-T1 -->
# ## Choose a data set
#
# Real data means: somebody collected it for a reason, and the reason left marks. Two sets come with the course. Look at
# them before you look at any model.

# %%
sets = {"spam": data.load("spam"), "topics": data.load("topics")}
overview = {}
for title, loaded in sets.items():
    labels, words = np.array(loaded["label"]), [len(text.split()) for text in loaded["text"]]
    shares = np.bincount(labels) / len(labels)
    overview[title] = {
        "texts": f"{len(loaded):,}",
        "words, median": f"{np.median(words):.0f}",
        "classes": len(shares),
        "rarest class": f"{shares.min():.0%}",
    }
pd.DataFrame(overview).transpose()

# %% [markdown]
# **Spam**: text messages of 2011, each marked as *ham* (wanted) or *spam*. Short, quick to train on, and one class is
# rare. (Real people wrote them; some are coarse.) **Topics**: BBC articles in five classes, long, balanced, easy. Good
# for a question such as *how few articles are enough?*
#
# Or your own: tickets from work, your notes, a set from the Hub or from Kaggle (download it, unpack it, give the path).
# What makes a good one: a few hundred texts per class at least; labels that two people would agree on; and somebody who
# would use the answer. Whatever you take, ask who labelled it and why.
#
# Before anything is measured, a bet. *TF-IDF* counts words and weighs rare ones higher; logistic regression sums up
# the weights. No network, two seconds. How far does it get? The score is the **F1** of Day 3, from 0 to 100: for spam
# that of the spam class, for everything else the mean over classes.

# %%
words_guess = widgets.predict(
    "mini-words", "Score that word counts reach on your validation split", 0, 100
)

# %% [markdown]
# <!-- asked: W2SAT-T3 -->
# ## Prepare the data
#
# We clean the messages together, because they have two flaws that no tutorial invents. (Working on something else?
# Stay for this part. The habits are the same.)
#
# Habit one: **sort by length and look at both ends.** A text message has room for 160 characters.

# %%
messages = sets["spam"]
lengths = np.array([len(text) for text in messages["text"]])
longest = np.argsort(-lengths)[:6]

# %%
title = f"The longest message has {lengths.max():,} characters"
figure = plots.bars(
    [f"row {row}" for row in longest], lengths[longest], title=title, xlabel="characters"
)
plots.show(
    figure,
    alt=(
        "Bars: lengths of the six longest messages. "
        f"{title}, the median one {np.median(lengths):.0f}."
    ),
)

# %%
giant = messages[int(longest[0])]
print(f"label: {messages.features['label'].names[giant['label']]}\n")
print(repr(giant["text"][140:420]))

# %% [markdown]
# There it is. The file that these messages came in had one message per line: label, tab, text. Somebody's program met
# a lonely quotation mark, took it for the beginning of a long quoted text, and swallowed line after line until the next
# one. Hundreds of messages sit inside a few others, under a label that is not theirs, together with the *true label of
# each, in writing*.
#
# A model trained on this learns from texts with wrong labels, and nobody notices: the accuracy is still fine.


# %% tags=["exercise"] exercise="weekend2_saturday/apart" answer="apart" minutes=10 difficulty=2
# text: one row, perhaps with others glued to it, each as "\nham\t…" or "\nspam\t…". label:
# "ham" or "spam".
# Return a list of pairs (text, label), in order, the texts as they are. A message may hold a
# line break or a tab of its own: neither is a seam.
def apart(text, label): ...


# <solution>
def apart(text, label):
    first, *rest = re.split(r"\n(ham|spam)\t", text)
    return [(first, label), *zip(rest[1::2], rest[::2], strict=True)]


# </solution>


# %% tags=["check"] exercise="weekend2_saturday/apart"
def check(answer):
    glued = 'he said "hm\nspam\tWIN a prize\nham\tok\nsee you'
    result = answer(glued, "ham")
    if not isinstance(result, list | tuple) or not all(
        isinstance(p, list | tuple) and len(p) == 2 for p in result
    ):
        return "A list of pairs is wanted: (text, label), one pair for each message."
    result = [tuple(pair) for pair in result]
    if result == [('he said "hm', "ham"), ("WIN a prize", "spam"), ("ok\nsee you", "ham")]:
        return (
            None
            if list(map(tuple, answer("hi", "spam"))) == [("hi", "spam")]
            else "A row without a seam should come back as it is: one pair."
        )
    if len(result) == 4:
        return "Four messages came out of three. One of them has a line break of its own; a seam is a line break, then a label, then a tab."
    if [label for _, label in result] == ["ham"] * 3:
        return "Three messages, right; but each carries its own label in the seam, and yours all got that of the row."
    if len(result) == 2:
        return "Two of three messages. The piece before the first seam is a message, too; its label is the row's."
    if any(text.startswith(("ham", "spam")) for text, _ in result):
        return (
            "The label still stands in front of the text. A model would read the answer there."
        )
    return f"Our row has three messages in it; yours came apart into {result}."


def inputs(draw):
    yield "", "ham"
    yield "hi\nspam of mine\tok", "spam"
    yield "tab\there\nham\t\nspam\tend ", "spam"
    yield "ham\tat the start\nHAM\tno seam\nhams\tnone\nham\tone", "ham"
    pieces = ["\nham\t", "\nspam\t", " a ", "b\n", "\tc", "spam\t", "\n\n", "d e", "ham"]
    for size in (4, 7, 12):
        yield (
            "x" + "".join(draw.choice(pieces, size).tolist()),
            draw.choice(["ham", "spam"]).item(),
        )


hints = [
    "`re.split` with the label in brackets keeps what it matched: text, label, text, label, text …",
    r"The seam is `\n(ham|spam)\t`.",
    "`first, *rest = re.split(…)`; then every second element of `rest` is a label, and the others are texts.",
]
misconceptions = [
    (
        'def apart(text, label):\n    lines = [line.split("\\t")[::-1] for line in text.split("\\n")]\n    return [(pair[0], pair[1] if len(pair) > 1 else label) for pair in lines]',
        "a line break of its own",
    ),
    (
        'def apart(text, label):\n    return [(part, label) for part in re.split(r"\\n(?:ham|spam)\\t", text)]',
        "each carries its own label",
    ),
    (
        'def apart(text, label):\n    rest = re.split(r"\\n(ham|spam)\\t", text)[1:]\n    return list(zip(rest[1::2], rest[::2]))',
        "The piece before the first seam",
    ),
    (
        'def apart(text, label):\n    parts = re.split(r"\\n(?=(?:ham|spam)\\t)", text)\n    return [(parts[0], label)] + [(part, part.split("\\t")[0]) for part in parts[1:]]',
        "still stands in front",
    ),
]

# %%
names = messages.features["label"].names
pairs = [
    pair
    for text, label in zip(messages["text"], messages["label"], strict=True)
    for pair in apart(text, names[label])
]
spam_share = np.mean([label == "spam" for _, label in pairs])
print(f"{len(messages):,} rows, {len(pairs):,} messages, {spam_share:.1%} of them spam")
assert (
    len(pairs) == 5574
)  # what the paper about this collection counts (Almeida and others, 2011)

# %% [markdown]
# Not one message more or less than the paper says. It is worth looking that number up for any set you use.
#
# Habit two: **ask what a lazy model could learn.** Which marks occur in one class only?

# %%
texts = {kind: [text for text, label in pairs if label == kind] for kind in ("ham", "spam")}
marks = ["£", "www", "free", "http", "love", "&lt;", "&amp;", "…"]
table = pd.DataFrame(
    {
        kind: [sum(mark in text.lower() for text in texts[kind]) for mark in marks]
        for kind in texts
    }
)
table.index = marks
table.assign(**{"of these spam": (table.spam / table.sum(axis=1)).map("{:.0%}".format)})

# %% [markdown]
# Some marks are the trade of the spammer: money and links. But `&lt;`? Hundreds of harmless messages have it, and not a
# single spam. A rule that says *ham* whenever it sees `&lt;` is never wrong here. Is that a fact about spam? Read a few.

# %%
for text in [text for text in texts["ham"] if "&lt;" in text and len(text) < 60][:5]:
    print("ham ", text)

# %% [markdown]
# `&lt;#&gt;` is `<#>`, written for a web page. The people who gave their own messages for research had their numbers and
# names hidden first: `<#>`, `<TIME>`, `<EMAIL>`. Nobody hid the numbers of the spammers. So the mark tells *who
# collected the message*, and a model that finds it gets points for detecting privacy. On your phone there is no such mark.
#
# We turn marks and digits into zeros, in both classes. That costs something (long numbers are a true sign of spam, and
# a hidden one is now a short one), and such a price belongs in the report.


# %%
def clean(text):
    """As the reader saw it, on one line, and every number alike."""
    plain = re.sub(r"<(?:#|[A-Z]+)>|\d", "0", html.unescape(text))
    return " ".join(plain.split())


cleaned = [(clean(text), label) for text, label in pairs]
assert all(clean(text) == project.clean(text) for text, _ in pairs)
print(clean("Ur at &lt;TIME&gt; &amp; I am  &lt;#&gt;  min late. CALL 09061701461 NOW"))

# %% [markdown]
# Habit three: **look for copies before you split.** You know the reason from Day 2. What is new: copies in
# real life are not equal letter by letter. An advertiser sends one text with many numbers. A forwarded joke
# gains an exclamation mark.


# %% tags=["exercise"] exercise="weekend2_saturday/same" answer="same" minutes=8 difficulty=2
# Return a key for a text, itself a text: two texts that are one message in two copies get the
# same key, others do not.
# What should not count: upper and lower case, how many spaces, punctuation, which digits a
# number has (how many does count).
def same(text): ...


# <solution>
def same(text):
    words = re.sub(r"[\W_]+", " ", text.casefold()).split()
    return re.sub(r"\d", "0", " ".join(words))


# </solution>


# %% tags=["check"] exercise="weekend2_saturday/same"
def check(answer):
    def alike(one, other):
        return answer(one) == answer(other)

    if not isinstance(answer("Ok lar!"), str):
        return f"For “Ok lar!” you return something of type {type(answer('Ok lar!')).__name__}. The key should be a text: the next cells look it up in a set."
    if alike("you call me", "me call you"):
        return "“You call me” and “me call you” get one key. The order of words is a part of a message."
    if alike("ok see you at noon, your friend Ann", "ok see you at noon, your friend Ben"):
        return "Two messages that begin alike get one key. They differ at the end, so the end has to count."
    if alike("the cat sat", "thecatsat on"):
        return "Different words get one key."
    if not alike("FREE entry", "free Entry"):
        return "“FREE entry” and “free Entry” get different keys. Shouting does not make a new message."
    if not alike("see you  soon", "see you soon"):
        return "A second space makes a new message for you."
    if not alike("ok, lar...", "Ok lar!"):
        return "Punctuation still counts: “ok, lar...” and “Ok lar!” are one message."
    if not alike("call 0871 now", "call 0906 now"):
        return "The same advertisement with another number to call gets another key. Let every digit be the same digit."
    return None


def inputs(draw):
    yield "", "?!"
    yield " ok_lar ", "«OK»\tlar\n…"
    yield "win 100 now", "WIN: 999, now!!"
    yield "ÇA VA, Zoë?", "ça va zoë"
    yield "CALL 0871-900 or 5", "call (0906) 111 or 7."
    yield "win 100 now", "win 10 now"
    yield "win 1 now", "win now"
    yield "yes", "yes yes"
    yield "mañana", "maçana"
    yield "да", "нет"
    yield "zero 0", "zero o"
    words = ["you", "me", "call", "10", "free", "no", "not", "now", "then", "the", "end"]
    for size in (1, 3, 12, 30):
        text = draw.choice(words, size).tolist()
        yield " ".join(text), ",  ".join(text).upper() + "."
        text[draw.integers(size)] = "other"
        yield " ".join(draw.choice(words, size).tolist()), " ".join(text)


def trial(answer, one, other):
    return answer(one) == answer(other)


hints = [
    "Three steps: lower case, everything that is no letter or digit becomes a space, digits become zeros.",
    r"`re.sub(r'[\W_]+', ' ', text)` replaces all that is neither letter nor digit.",
    "`.split()` and `' '.join(…)` take care of spaces at the ends.",
]
misconceptions = [
    ("def same(text):\n    return ' '.join(text.lower().split())", "Punctuation still counts"),
    (
        "def same(text):\n    return re.sub(r'[^a-z0-9]+', ' ', text.lower()).strip()",
        "another number to call",
    ),
    (
        "def same(text):\n    return ' '.join(sorted(set(re.sub(r'[\\W\\d_]+', ' ', text.lower()).split())))",
        "order of words",
    ),
    (
        "def same(text):\n    return re.sub(r'\\d', '0', re.sub(r'[\\W_]+', ' ', text.lower())).strip()[:20]",
        "that begin alike",
    ),
    (
        "def same(text):\n    return re.sub(r'\\d', '0', re.sub(r'[\\W_]+', ' ', text)).strip()",
        "Shouting",
    ),
]

# %% [markdown]
# How much does it matter? Split three versions at random, one message in five for testing, and count the test messages
# whose copy sits in training: nothing removed, exact copies removed, copies by your key removed.


# %%
def leaked(version):
    """How many test texts have a copy in training?"""
    train, test = train_test_split(version, test_size=0.2, random_state=lab.seed)
    known = {same(text) for text in train}
    return sum(same(text) in known for text in test)


# %%
plain = [text for text, _ in cleaned]
versions = {
    "as it came": plain,
    "exact copies out": list(dict.fromkeys(plain)),
    "copies by key out": list({same(text): text for text in plain}.values()),
}
leaks = {title: leaked(version) for title, version in versions.items()}

# %%
title = (
    f"Exact matching leaves {leaks['exact copies out']} of {leaks['as it came']} leaks in place"
)
figure = plots.bars(
    list(leaks),
    list(leaks.values()),
    title=title,
    xlabel="test messages that training has seen",
)
plots.show(
    figure, alt=f"Bars: leaked test messages for three ways of removing copies. {title}."
)

# %% [markdown]
# The news have the same disease in another place. An article was filed twice, under two headlines. Whoever puts the
# headline in front of the text before looking for copies misses those pairs.

# %%
news = sets["topics"]
by_body = len(news) - len({same(text) for text in news["text"]})
titled = [f"{head} {text}" for head, text in zip(news["headline"], news["text"], strict=True)]
by_both = len(news) - len({same(text) for text in titled})
print(
    f"{by_body} copies by body, {by_both} by headline and body: "
    f"{by_body - by_both} would slip through"
)

# %% [markdown]
# Now your project. Clean, keep one of each, split 60:20:20, keep. (Why not 80:10:10? One message in eight is spam.
# A tenth of the data would hold so few that the test could not tell good from better. The rarest class decides.)

# %%
if source == "spam":
    features = messages.select_columns(["text", "label"]).features
    numbered = {
        "text": [text for text, _ in cleaned],
        "label": [names.index(label) for _, label in cleaned],
    }
    raw = Dataset.from_dict(numbered, features=features)
else:
    raw = data.load(
        source
    )  # your own file: data.load(source, text="…", label="…") names its columns

one_each = project.one_of_each(raw)
print(
    f"{len(raw):,} texts, {len(raw) - len(one_each):,} "
    f"of them copies or disputed, {len(one_each):,} kept"
)

# %%
if (
    lab.max_examples and len(one_each) > lab.max_examples
):  # the smoke profile, which only tries things out
    one_each = one_each.shuffle(seed=data.SPLIT_SEED).select(range(lab.max_examples))

project.keep(mine, data.split(one_each, project.FRACTIONS))
splits = project.splits(
    mine
)  # train and validation. The test stays in the folder until tomorrow evening.

# %% [markdown]
# `project.splits` has no test split in it. There is `project.open_test`, and it refuses to open before you
# have chosen a model, and it writes down that you opened it.
#
# <!-- asked: W2SAT-T2 -->
# ## What would success be?
#
# Take three spam filters. One lets everything through. One distrusts every message with a long number. One distrusts
# pounds and links as well. Which is best?

# %%
truth = np.array([label == "spam" for _, label in cleaned])
signs = "00000|£|www|http"
filters = {
    "let all through": np.zeros(len(cleaned), bool),
    "long numbers": np.array(["00000" in text for text, _ in cleaned]),
    "long numbers, £, links": np.array([bool(re.search(signs, text)) for text, _ in cleaned]),
}

# %%
judged = {
    title: {
        "accuracy": (said == truth).mean(),
        "recall": said[truth].mean(),  # share of the spam that is found
        # Precision is the share of the flags that are right.
        "precision": truth[said].mean() if said.any() else np.nan,
        "F1 of spam": f1_score(truth, said, zero_division=0),
    }
    for title, said in filters.items()
}
pd.DataFrame(judged).transpose().map(
    lambda share: "none" if np.isnan(share) else f"{share:.1%}"
)

# %% [markdown]
# Accuracy calls the first filter a good one, and it never did anything. That is the trap of a rare class: the majority
# baseline looks like work. F1 asks about the spam alone and gives it nothing.
#
# But who says that both kinds of error weigh the same? A spam in the inbox costs you a second. A message from the
# hospital in the spam folder costs more. If you can put a price on errors, the price *is* the metric.


# %% tags=["exercise"] exercise="weekend2_saturday/cost" answer="cost" minutes=8 difficulty=1
# truth, said: arrays of True/False, one entry per message: is it spam, did the filter say so?
# A spam that gets through costs 1, a wanted message that is hidden costs `hidden`. Return the
# mean cost per message.
def cost(truth, said, hidden=20): ...


# <solution>
def cost(truth, said, hidden=20):
    return float((truth & ~said).mean() + hidden * (said & ~truth).mean())


# </solution>


# %% tags=["check"] exercise="weekend2_saturday/cost"
def check(answer):
    is_spam = np.array([True, True, True, False, False, False, False, False, False, False])
    flagged = np.array([True, False, False, True, False, False, False, False, False, False])
    value = answer(is_spam, flagged, hidden=5)
    if not isinstance(value, int | float | np.number):
        return f"Your function returned {type(value).__name__}. One number is wanted."
    for wanted, reply in {
        7: "That is the cost of all ten messages together. Asked for is the cost of one, on average.",
        1.1: "The two prices are swapped: hiding a wanted message is the expensive error.",
        0.3: "Both errors cost the same with you. A hidden message costs `hidden`.",
        0.2: "You count the spam that gets through. The other error is missing.",
        0.5: "You count the hidden messages. The other error is missing.",
    }.items():
        if abs(value - wanted) < 1e-9:
            return reply
    if abs(value - (2 / 3 + 5 / 7)) < 1e-9:
        return "You average each error over its own class. Asked for is the mean over all messages: rare errors cost rarely."
    if abs(value - 0.7) > 1e-9:
        return f"Two of our ten messages are spam that got through, one is hidden by mistake at a price of 5. You get {value:.3g} per message."
    value = answer(is_spam, flagged)
    if abs(value - 2.2) < 1e-9:
        return None
    return f"Right for hidden=5. Without it, at the default of 20, you get {value:.3g}; it should be 2.2."


def inputs(draw):
    yield np.array([True]), np.array([False])
    yield np.array([False]), np.array([True]), 0.25
    for size in (2, 7, 60):
        truth, said = draw.random((2, size)) < 0.4
        yield truth, said
        yield truth, said, 0
        yield truth, ~said, 3.7
        yield truth, truth, 9


hints = [
    "There are two kinds of error. `truth & ~said` is one of them.",
    "The mean of a True/False array is a share.",
    "`(truth & ~said).mean() + hidden * (said & ~truth).mean()`",
]
misconceptions = [
    (
        "def cost(truth, said, hidden=20):\n    return (truth & ~said).sum() + hidden * (said & ~truth).sum()",
        "Asked for is the cost of one",
    ),
    (
        "def cost(truth, said, hidden=20):\n    return (said & ~truth).mean() + hidden * (truth & ~said).mean()",
        "swapped",
    ),
    ("def cost(truth, said, hidden=20):\n    return (truth != said).mean()", "cost the same"),
    (
        "def cost(truth, said, hidden=20):\n    return 1 - said[truth].mean() + hidden * said[~truth].mean()",
        "over its own class",
    ),
]

# %%
prices = [1, 3, 10, 30, 100, 300]
curves = {
    title: [cost(truth, said, price) for price in prices] for title, said in filters.items()
}
cheapest = [min(curves, key=lambda title: curves[title][at]) for at in range(len(prices))]

# %%
figure, axes = plt.subplots(figsize=(7.2, 3.2))
for title, curve in curves.items():
    axes.plot(prices, curve, marker="o", label=title)
headline = f"Which filter is best depends on the price: {len(set(cheapest))} different winners"
axes.set(
    xscale="log",
    yscale="log",
    title=headline,
    xlabel="price of a hidden message (a spam let through costs 1)",
    ylabel="mean cost per message",
)
axes.set_xticks(prices, prices)
axes.set_yticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
axes.minorticks_off()
axes.legend(fontsize=9)
plots.show(
    figure,
    alt=f"Mean cost of three filters against the price of hiding a wanted message. {headline}.",
)

# %%
for price, winner in zip(prices, cheapest, strict=True):
    print(f"price {price}: {winner}")

# %% [markdown]
# Read the figure from left to right: it is the same three filters and the same messages all the way. Only the question
# changes. So write down the question *before* you see any model's answer. F1 is a decent default when
# nobody knows the price; it is what we go on with.
#
# ### Two baselines
#
# The one that knows nothing but the most frequent class, and the one that counts words. `focus` names the class whose
# F1 we want, as a list of its number; `None` means the mean over all.

# %%
wanted = project.PLANS.get(mine, project.OTHER)
focus = project.focus(mine, wanted["focus"])


def score(truth, predicted):
    """F1 of the class we care about, or the mean F1 of all classes."""
    return f1_score(truth, predicted, labels=focus, average="macro", zero_division=0)


def word_counts(**options):
    return make_pipeline(
        TfidfVectorizer(sublinear_tf=True, **options),
        LogisticRegression(class_weight="balanced"),
    )


# %%
train, validation = splits["train"], splits["validation"]
answers = {}
for title, model in {
    "majority": DummyClassifier(strategy="most_frequent"),
    "tf-idf": word_counts(**project.units(train["text"][:])),  # {}: words; or characters
}.items():
    model.fit(
        train["text"][:], train["label"][:]
    )  # fit on train only: the vectoriser is a part of the model
    answers[title] = model.predict(validation["text"][:])
    found, accuracy = (
        measure(validation["label"][:], answers[title]) for measure in (score, accuracy_score)
    )
    project.note(mine, "baseline", name=title, score=found, accuracy=accuracy)
    print(f"{title:<9} score {found:.1%}   accuracy {accuracy:.1%}")

baseline = score(validation["label"][:], answers["tf-idf"])
words_guess.compare(100 * baseline)

# %% [markdown]
# That took two seconds. Would more data help it, or other features? Move the switches. If a curve is still climbing at
# its right end, more labelled texts may be worth more than any network.


# %%
UNITS = {
    "words": project.units(train["text"][:]),
    "characters": {"analyzer": "char_wb", "ngram_range": (2, 4), "max_features": 20_000},
}


def learnt_from(size, unit, judge):
    """Score in per cent of word counts that learnt from `size` texts of 1,500 characters."""
    few = train.select(range(size))
    model = word_counts(**UNITS[unit]).fit(
        [text[:1500] for text in few["text"]], few["label"][:]
    )
    return 100 * judge(
        validation["label"][:], model.predict([text[:1500] for text in validation["text"]])
    )


# %%
def learning_curve(unit="words", measure="score"):
    sizes = [size for size in (60, 120, 250, 500, 1000, 2000) if size < len(train)]
    sizes.append(len(train))
    judge = {"score": score, "accuracy": accuracy_score}[measure]
    values = [learnt_from(size, unit, judge) for size in sizes]
    title = (
        f"{unit.capitalize()}: {values[0]:.1f} % with {sizes[0]} texts, "
        f"{values[-1]:.1f} % with {sizes[-1]:,}"
    )
    captions = {
        "xlabel": "training texts (log scale)",
        "ylabel": f"{measure} on validation (%)",
    }
    figure = plots.lines(sizes, {unit: values}, log_x=True, title=title, **captions)
    figure.axes[0].set_xticks(sizes, [f"{size:,}" for size in sizes])
    figure.axes[0].minorticks_off()
    plots.show(figure, alt=f"Learning curve of the word-count baseline. {title}.")


widgets.explore(learning_curve, unit=["words", "characters"], measure=["score", "accuracy"])

# %% [markdown]
# ### How large must a gain be to be seen?
#
# Tomorrow some method will score a little higher. How much is a little? Had we drawn other validation texts, the
# baseline itself would have scored otherwise. Draw texts again and again from those you have, *with replacement*, and
# see how the score moves: Day 3's bootstrap, for a metric without a formula.


# %% tags=["exercise"] exercise="weekend2_saturday/noise" answer="noise" minutes=10 difficulty=3
# truth, predicted: arrays of n class numbers, in the same order. score(truth, predicted) gives
# a number.
# Draw n of the n texts with replacement, `draws` times, and score each sample. Return the
# standard deviation of these scores.
def noise(truth, predicted, score, draws=300): ...


# <solution>
def noise(truth, predicted, score, draws=300):
    rng = np.random.default_rng(0)
    samples = (rng.integers(0, len(truth), len(truth)) for _ in range(draws))
    return float(np.std([score(truth[rows], predicted[rows]) for rows in samples]))


# </solution>


# %% tags=["check"] exercise="weekend2_saturday/noise"
def check(answer):
    rng = np.random.default_rng(5)
    real = np.array([1] * 20 + [0] * 180)
    guess = np.where(rng.random(200) < 0.1, 1 - real, real)
    sizes = []

    def f1(one, other):
        sizes.append(len(one))
        return float(2 * (one * other).sum() / max((one + other).sum(), 1))

    draws = [rng.integers(0, 200, 200) for _ in range(400)]
    right = np.std([f1(real[rows], guess[rows]) for rows in draws])
    own = getattr(answer, "__wrapped__", answer)  # alone: ours, tried beside it, scores too
    sizes.clear()
    value = own(real.copy(), guess.copy(), f1, draws=50)
    if sizes and set(sizes) != {200}:
        return f"Of 200 texts, your samples have {min(sizes)} to {max(sizes)}. Each should have 200."
    if sizes and not 49 <= len(sizes) <= 51:
        return f"With draws=50 you score {len(sizes)} samples."
    value = answer(real, guess, f1)
    if not isinstance(value, int | float | np.number):
        return f"Your function returned {type(value).__name__}. One number is wanted: a standard deviation."
    if value < 1e-9:
        return "No movement at all: without replacement, n of n texts are always the same texts in another order."
    if abs(value - np.mean([f1(real[rows], guess[rows]) for rows in draws])) < 0.02:
        return "That is the mean of the scores. How far do they spread?"
    accuracy = (real == guess).mean()
    if abs(value - (accuracy * (1 - accuracy) / 200) ** 0.5) < 0.004:
        return f"You get {value:.3f}; that is about how far a share of right answers moves. F1 is no such share: it looks at few texts, and moves more."
    if answer(real, real, f1) > 1e-9:
        return "A prediction that is right everywhere moves with you. Do truth and prediction still belong to the same text in each sample? Draw row numbers once, and use them for both."
    if abs(value - right) < 0.25 * right:
        return None
    return f"For our trial the score moves by about {right:.3f}; you get {value:.3f}. Take the standard deviation over the samples, each of n texts."


def inputs(draw):
    for size, draws in ((40, 800), (150, 900), (60, 1500)):
        yield draw.integers(0, 5, size), draw.integers(0, 5, size), draws


def trial(answer, truth, predicted, draws):
    n, samples = len(truth), []

    def score(one, other):
        samples.append((np.asarray(one), np.asarray(other)))
        return float(np.mean(one % n) / n + np.mean(other % n) / n**2)

    numbered = np.arange(n) + n * truth, np.arange(n) + n * predicted
    given = [values.copy() for values in numbered]
    answer(*given, score, 2)  # on copies: does it change them?
    samples.clear()
    own = getattr(answer, "__wrapped__", answer)  # alone: ours, tried beside it, scores too
    value = float(own(*given, score, draws))
    rows = [one % n for one, _ in samples]
    pairs = zip(rows, samples, strict=True)
    kept = all(
        np.array_equal(numbered[0][at % n], one) and np.array_equal(numbered[1][at], other)
        for at, (one, other) in pairs
    )
    often = np.bincount(np.concatenate(rows), minlength=n) / draws
    return {
        "scored": "truth and prediction of the same texts" if kept else "something else",
        "deviation": value,
        "different texts in a sample": float(np.mean([len(set(at.tolist())) for at in rows])),
        "a text is drawn": (float(often.min()), float(often.max())),
    }


def agrees(expected, found):
    def near(key, allowed):
        return np.allclose(found[key], expected[key], rtol=allowed, atol=0)

    if not isinstance(found, dict) or found["scored"] != expected["scored"]:
        return False
    return (
        near("deviation", 0.15)
        and near("different texts in a sample", 0.04)
        and near("a text is drawn", 0.2)
    )


hints = [
    "Draw row numbers: `rng.integers(0, n, n)`. The same number may come twice.",
    "Use the same row numbers for `truth` and for `predicted`.",
    "`np.std([score(truth[rows], predicted[rows]) for rows in …])`",
]
misconceptions = [
    (
        "def noise(truth, predicted, score, draws=300):\n    a = (truth == predicted).mean()\n    return (a * (1 - a) / len(truth)) ** 0.5",
        "share of right answers",
    ),
    (
        "def noise(truth, predicted, score, draws=300):\n    rng = np.random.default_rng(0)\n    orders = [rng.permutation(len(truth)) for _ in range(draws)]\n    return np.std([score(truth[o], predicted[o]) for o in orders])",
        "in another order",
    ),
    (
        "def noise(truth, predicted, score, draws=300):\n    rng = np.random.default_rng(0)\n    n = len(truth)\n    return np.std([score(truth[rng.integers(0, n, n)], predicted[rng.integers(0, n, n)]) for _ in range(draws)])",
        "belong to the same text",
    ),
    (
        "def noise(truth, predicted, score, draws=300):\n    rng = np.random.default_rng(0)\n    n = len(truth)\n    rows = [rng.integers(0, n, n) for _ in range(draws)]\n    return np.mean([score(truth[r], predicted[r]) for r in rows])",
        "mean of the scores",
    ),
]

# %%
wobble = noise(np.array(validation["label"]), answers["tf-idf"], score)
of_accuracy = noise(np.array(validation["label"]), answers["tf-idf"], accuracy_score)
rare = int(min(np.bincount(validation["label"])))
print(
    f"The baseline's score moves by {100 * wobble:.1f} points from "
    f"sample to sample, its accuracy by {100 * of_accuracy:.1f}."
)
print(
    f"({len(validation):,} validation texts, {rare} of the rarest class. "
    "Models compared on the same texts move together, so their difference moves less.)"
)

# %% [markdown]
# ## Write the plan
#
# The question, the metric, and a **margin**: the gain that would make you switch. Not the gain you hope for. Think of what
# a model costs over a word count: a hundred megabytes, a library, slower answers, somebody who keeps it alive. Is one
# point worth it? Two? And can two points be seen, with the movement you have just measured?
#
# Change the texts if you like. After the first training run, the plan is fixed: the log shows the order.

# %%
plan = {"question": wanted["question"], "margin": 0.02}
plan["metric"] = f"F1 of {wanted['focus']}" if wanted["focus"] else "mean F1 of all classes"
project.note(mine, "plan", focus=wanted["focus"], **plan)
print(
    f"{plan['question']} Yes, if the {plan['metric']} "
    f"grows by more than {100 * plan['margin']:.0f} points."
)

# %% [markdown]
# ## Let the checks look
#
# First a test of the test. We plant a leak: a training text, shouted and with an exclamation mark, goes into the test
# split of a *copy*. Does anybody notice?

# %%
state = project.state(mine)
planted = {**state.rows[0], "split": "test", "text": state.rows[0]["text"].upper() + "!"}
spoilt = project.State([*state.rows, planted], state.entries, state.unwritten)
caught = project.no_leaks(spoilt)
print("Next:", caught[1])
assert caught and project.no_leaks(state) is None

# %%
findings = project.check(mine)

# %% [markdown]
# What is open is tomorrow's work. Two sentences for the journal, while you still know: what was wrong with your raw
# data, and what would you have believed if you had not looked?

# %%
my_words = ""  # write here, and run the cell
if my_words.strip():
    progress.write_journal("weekend2_saturday", my_words)

# %% [markdown]
# ## What you saw

# %%
tracking.record("glued_messages", len(pairs) - len(messages))
tracking.record("leaks_exact", leaks["exact copies out"])
tracking.record("kept_texts", sum(row.total() for row in project.counts(mine).values()))
tracking.record("baseline_score", baseline)
tracking.record(
    "majority_accuracy", accuracy_score(validation["label"][:], answers["majority"])
)
tracking.record("score_noise", wobble)
tracking.record("checks_passed", sum(finding.passed for finding in findings[:5]))

# %% tags=["quiz"]
quiz = [
    {
        "question": "Of 1,000 messages, 130 are spam. A filter flags nothing. What are its accuracy and its F1 of spam?",
        "choices": [
            (
                "87 % and 0 %",
                "Right. All of the wanted messages are right by default; not one spam is found.",
                True,
            ),
            ("87 % and 87 %", "F1 looks at spam only, and no spam was found.", False),
            ("13 % and 0 %", "Letting all through is right for the 870 wanted ones.", False),
            ("50 % and 50 %", "It is no coin: it always says the same.", False),
        ],
        "proof": """
from sklearn.metrics import accuracy_score, f1_score
truth, said = [1] * 130 + [0] * 870, [0] * 1000
assert accuracy_score(truth, said) == 0.87 and f1_score(truth, said, zero_division=0) == 0
""",
    },
    {
        "question": "You remove exact copies, split, and then turn all digits into zeros. What may have happened?",
        "choices": [
            (
                "Nothing: the copies were removed first.",
                "Texts that differed in a number only were no copies then. Now they are.",
                False,
            ),
            (
                "Texts that differed only in a number have become copies, in two splits.",
                "Right. Clean first, then remove copies, then split.",
                True,
            ),
            (
                "The labels no longer fit the texts.",
                "Cleaning changes texts, not their order.",
                False,
            ),
            (
                "The split is no longer stratified.",
                "Nobody moved; the shares are as they were.",
                False,
            ),
        ],
        "proof": """
import re
from labhelpers.data import text_hash
train, test = "call 0871 now", "call 0906 now"
assert text_hash(train) != text_hash(test)
assert text_hash(re.sub(r"\\d", "0", train)) == text_hash(re.sub(r"\\d", "0", test))
""",
    },
    {
        "question": "In your tickets, every one about refunds contains “[masked]”, because a colleague anonymised that group only. What do you do?",
        "choices": [
            (
                "Keep it: a feature that predicts is a good feature.",
                "It predicts who edited the text. Tomorrow's tickets come unedited.",
                False,
            ),
            ("Drop all refund tickets.", "Then nothing can be learnt about refunds.", False),
            (
                "Treat all groups alike: mask the same things everywhere, or take the mark out, and say so in the report.",
                "Right. What is left is what a new ticket will have, too.",
                True,
            ),
            ("Train twice and average.", "Both would learn the mark.", False),
        ],
    },
    {
        "question": "Validation has 24 spam messages. The baseline misses 4, your model misses 3. Is that worth a plan?",
        "choices": [
            (
                "Yes: a quarter fewer misses.",
                "One message fewer. Another sample of 24 would move by more than that.",
                False,
            ),
            (
                "No: one message is less than the score moves by chance. Get more spam to measure on.",
                "Right. With 4 misses expected, two more or less are ordinary.",
                True,
            ),
            (
                "Only if accuracy grew as well.",
                "Accuracy is mostly about the other class.",
                False,
            ),
            (
                "Yes, if three seeds agree.",
                "Seeds tell about training. The same 24 messages can flatter all three.",
                False,
            ),
        ],
        "proof": """
spread = (24 * (4 / 24) * (20 / 24)) ** 0.5   # of a number of misses, each with a chance of 4 in 24
assert 1.7 < spread < 2
""",
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# **Another data set.** Set `source = "topics"` at the top and run all cells. Which checks pass? Which of the two flaws
# of the messages do you find in the news?
#
# **Nearly a copy.** Your key finds copies up to numbers and punctuation. A changed name makes a new text. Put
# `TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4))` on all texts, multiply the matrix by its transpose, and read
# the pairs above 0.9. Would you call them one message?
#
# **Read.** Almeida, Gómez Hidalgo and Yamakami (2011) for how the messages were collected: you will meet both
# flaws again as decisions of people. Gebru et al. (2018), "Datasheets for Datasets", for the questions that a set
# of your own should answer.
