# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %%
import mlflow
import numpy as np
import pandas as pd
import torch
from datasets import concatenate_datasets
from scipy.stats import binom
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.metrics import f1_score, precision_score, recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from labhelpers import data, exercise, metrics, models, plots, progress, quiz, settings
from labhelpers import tracking, widgets

lab = settings.start("day03")

# %% [markdown]
# ## Why today matters
#
# Suppose that tomorrow your model gets 82 of 100 reviews right. Is that good?
#
# You cannot know yet. If everybody who counts words gets 79, you have won three reviews with a neural
# network. If the same network got 50 before you touched it, you have taught it nearly everything it
# knows. The same 82, two very different stories. What tells them apart is a **baseline**: the score of
# something simple, measured on the same sentences, *before* you start.
#
# <!-- asked: D03-T3 -->
# Today you build five of them, from "always give the same answer" upwards. Each costs seconds. One of
# them will surprise you. The best becomes the bar that your first fine-tuned model has to clear tomorrow.

# %%
splits = data.prepared("sentiment")
train, validation = splits["train"], splits["validation"]
train_texts, train_labels = train["text"][:], np.array(train["label"])
texts, labels = validation["text"][:], np.array(validation["label"])
print(
    f"{len(train):,} sentences to learn from, "
    f"{len(validation):,} to compare on: {validation.features['label'].names}"
)

# %% [markdown]
# There is a third split, `splits["test"]`. Look at today's cells as closely as you like: none of them
# opens it. Every comparison today is made on **validation**, the sentences we use for choosing. A score
# that you have used for choosing is a little too kind to the winner, so one set of sentences has to stay
# unread until all choices are made. That moment comes at the end of Day 4.
#
# The first baseline does not even read. It finds the more frequent class in the training set and says
# that, always.

# %%
majority = DummyClassifier(strategy="most_frequent").fit(train_texts, train_labels)
predictions = {"same answer always": majority.predict(texts)}
print(
    f"always {validation.features['label'].names[majority.predict(texts)[0]]}: "
    f"{accuracy_score(labels, predictions['same answer always']):.1%} right"
)

# %% [markdown]
# ## What does a fresh head know?
#
# <!-- asked: D03-N, D03-T2 -->
# Now something that does read. MiniLM has seen a great deal of English. Many tutorials say that a
# pretrained model like this one, straight from the shelf, already classifies 60–70 % of reviews
# correctly, and that fine-tuning takes it from there. It sounds right. Write your number down before
# you look.

# %%
guess = widgets.predict(
    "fresh-head",
    "Accuracy of pretrained MiniLM with a new two-class head, no training",
    0,
    100,
    "%",
)

# %%
torch.manual_seed(0)
model, loading = AutoModelForSequenceClassification.from_pretrained(
    models.source("encoder"), num_labels=2, output_loading_info=True
)
print("Not in the pretrained file, so made new:", sorted(loading["missing_keys"]))
models.describe(model)

# %% [markdown]
# Read the line about the missing weights twice. Every layer came out of the file, except one: the
# **head**, the last small matrix, which turns what the encoder says about a sentence into two scores
# (**logits**), one per class. It cannot come from the file, because nobody has told this model yet that
# there are two classes, or which of them is which. So its weights are random, its bias is zero. (The matrix
# just below, BERT's *pooler*, does come from the file: it is part of the pretrained model.)
#
# The head reads one vector per sentence: that of the first token, `[CLS]`. The encoder is the same for every
# **seed** (the number that starts the random draws); only the head differs. So we encode each sentence once
# and let five fresh heads read the same vectors.

# %%
first_token = torch.tensor(models.embeddings(texts, pooling="cls"))  # (sentences, width)


def head_input(model, first_token):
    """What the head reads: BERT's pooled first token; DistilBERT (Hub) has a layer more."""
    if hasattr(model, "pre_classifier"):
        return model.pre_classifier(first_token).relu()
    return model.base_model.pooler(first_token.unsqueeze(1))


# %% [markdown]
# A shortcut deserves a check. Send a few sentences through the whole model and compare.

# %%
tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
model.eval()
with torch.inference_mode():
    batch = tokenizer(texts[:16], padding=True, truncation=True, return_tensors="pt")
    whole_way = model(**batch).logits
    shortcut = model.classifier(head_input(model, first_token[:16]))
assert torch.allclose(whole_way, shortcut, atol=0.02)
print(f"largest difference between the two ways: {(whole_way - shortcut).abs().max():.4f}")

# %% [markdown]
# Good. Now five seeds, five heads.

# %%
fresh_heads = []
for seed in range(5):
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2
    ).eval()
    with torch.inference_mode():
        logits = model.classifier(head_input(model, first_token))
    fresh_heads.append(logits.argmax(dim=1).numpy())
fresh_scores = [accuracy_score(labels, answers) for answers in fresh_heads]
predictions["fresh head"] = fresh_heads[0]

# %%
figure = plots.dots(
    [100 * score for score in fresh_scores],
    reference=50,
    reference_label="coin",
    guess=guess,
    title=f"Five untrained heads: {100 * np.mean(fresh_scores):.1f} % on average",
    xlabel=f"accuracy on {len(labels):,} validation sentences (%)",
)
axes = figure.axes[0]
edges = [40, 80, *([] if guess.value is None else [guess.value])]
axes.set_xlim(min(edges) - 1, max(edges) + 1)
axes.axvspan(60, 70, color="0.85")
axes.text(65, -3, "often\nclaimed", ha="center", color="0.3")
alt = (
    "Five untrained heads near 50 percent, "
    f"mean {100 * np.mean(fresh_scores):.1f}; claimed are 60 to 70."
)
plots.show(figure, alt=alt)
guess.compare(100 * np.mean(fresh_scores))

# %% [markdown]
# Look also at *how* they answer: how often does each head say "positive"?

# %%
for seed, answers in enumerate(fresh_heads):
    print(
        f"seed {seed}: says positive to {answers.mean():4.0%} "
        f"of the sentences, right on {fresh_scores[seed]:.1%}"
    )

# %% [markdown]
# In our run each head has a strong opinion and no reason for it. To a head that was drawn at random, all movie
# reviews look rather alike, so it gives most of them the same answer.
#
# ### Why exactly one half?
#
# There is a short argument, and it needs no experiment. Take any fresh head and swap its two rows: the
# score it gave to "positive" now goes to "negative". This mirror image was exactly as likely to be drawn.
# And wherever the head is right, its mirror image is wrong. So the two accuracies add up to 100 %, and
# the average over all heads you could draw is 50 %. Not roughly: exactly.

# %%
with torch.inference_mode():
    logits = model.classifier(head_input(model, first_token))
    mirrored = logits.flip(1)  # the same as swapping the two rows of the head
pair = [accuracy_score(labels, scores.argmax(dim=1).numpy()) for scores in (logits, mirrored)]
print(f"head {pair[0]:.1%} + its mirror image {pair[1]:.1%} = {sum(pair):.1%}")
assert abs(sum(pair) - 1) < 1e-9

# %% [markdown]
# So no amount of pretraining can help a head that nobody has taught. But a single head can be lucky.
# How lucky? First, how far would a plain coin stray?


# %% tags=["exercise"] exercise="day03/coin" answer="standard_error" minutes=7 difficulty=1
# Something that is right with probability p answers n sentences. Its measured accuracy strays
# from p. The typical distance is the *standard error*: the standard deviation of that accuracy
# over many sets of n.
# p: between 0 and 1. n: number of sentences. Return a fraction, on the same scale as an
# accuracy of 0.82.
def standard_error(p, n): ...


# <solution>
def standard_error(p, n):
    return (p * (1 - p) / n) ** 0.5


# </solution>


# %% tags=["check"] exercise="day03/coin"
def check(answer):
    if not callable(answer):
        return "standard_error should be a function of p and n, because we will ask it about several models."
    if isinstance(answer(0.5, 100), complex):
        return (
            "You take the root of a negative number. Is p your first argument and n the second?"
        )
    if answer(0.5, 100) is None:
        return "The function returns nothing. Did it end without `return`?"
    coin, good = float(answer(0.5, 100)), float(answer(0.8, 400))

    def both(first, second):
        return np.allclose([coin, good], [first, second], rtol=1e-6, atol=0)

    if both(0.05, 0.02):
        return None
    if both(0.0025, 0.0004):
        return "That is the variance. Its unit is accuracy squared; a standard error lives on the scale of the accuracy itself."
    if both(0.005, 0.001):
        return "You divided the spread of one answer by n. Averaging is slower than that: the spread shrinks with the square root of n."
    if both(5, 2):
        return "The right number, in percentage points. Here accuracies are fractions, so 5 points are 0.05."
    if both(5, 8):
        return "That is how far the *number* of right answers strays, √(n p (1 − p)). An accuracy is that number divided by n."
    if both(0.5, 0.4):
        return "That is how much one single answer varies. Where does n come in?"
    if both(0.05, 0.025):
        return "Right for a coin. But a model that is right 80 % of the time strays less than a coin does, and yours ignores p."
    if abs(coin - 0.05) < 0.005 and abs(good - 0.02) < 0.002:
        return "Close, but not exact. No simulation is needed and no n − 1: p is given, so there is a formula without any estimate in it."
    return (
        f"For p = 0.5 and n = 100 you return {coin:.4g}, and it should be 0.05: a coin thrown 100 times typically lands 5 "
        f"heads away from 50. For p = 0.8 and n = 400 you return {good:.4g}, and it should be 0.02."
    )


def inputs(draw):
    yield 0.5, 1
    yield 0, 10
    yield 1, 10
    yield 0.3, 7
    yield float(draw.uniform()), int(draw.integers(2, 5000))


hints = [
    "One answer is worth 1 with probability p and 0 otherwise. What is the variance of that?",
    "The variance of one answer is p(1 − p). The mean of n independent answers has a variance n times smaller.",
    "Take the square root at the very end: of p(1 − p) / n.",
]
misconceptions = [
    ("standard_error = lambda p, n: p * (1 - p) / n", "That is the variance"),
    ("standard_error = lambda p, n: (p * (1 - p)) ** 0.5 / n", "square root of n"),
    ("standard_error = lambda p, n: 100 * (p * (1 - p) / n) ** 0.5", "percentage points"),
    ("standard_error = lambda p, n: 0.5 / n ** 0.5", "ignores p"),
    ("standard_error = lambda p, n: (p * (1 - p)) ** 0.5", "Where does n come in"),
    ("standard_error = lambda p, n: (p * (1 - p) / (n - 1)) ** 0.5", "no n − 1"),
    ("standard_error = lambda n, p: (p * (1 - p) / n) ** 0.5", "first argument"),
]

# %% [markdown]
# Now draw two thousand fresh heads, the way the library does it (normal numbers, mean 0, standard
# deviation `initializer_range`). With the vectors already there, this costs a moment.

# %%
generator = torch.Generator().manual_seed(lab.seed)
with torch.inference_mode():
    read = head_input(model, first_token)
    heads = (
        torch.randn(2000, 2, read.shape[1], generator=generator)
        * model.config.initializer_range
    )
    says_positive = (read @ (heads[:, 1] - heads[:, 0]).T) > 0  # (sentences, heads)
lucky = (says_positive == torch.tensor(labels)[:, None].bool()).float().mean(dim=0).numpy()


# %%
def sentence_bins(accuracies):
    """Edges that never split a whole number of sentences: no bar is tall by accident."""
    n = len(labels)
    step, low, high = max(1, n // 200), round(min(accuracies) * n), round(max(accuracies) * n)
    return (np.arange(low, high + step + 1, step) - 0.5) / n


# %%
error = standard_error(0.5, len(labels))
figure = plots.histogram(
    100 * lucky,
    bins=100 * sentence_bins(lucky),
    markers={"luckiest": 100 * lucky.max(), "coin": 50},
    title=f"The luckiest of 2,000 fresh heads reaches {lucky.max():.1%}",
    xlabel=f"accuracy on {len(labels):,} validation sentences (%)",
    ylabel="heads",
)
plots.show(
    figure,
    alt=f"2,000 fresh heads pile up around 50 percent; the luckiest reaches {lucky.max():.1%}.",
)
print(
    f"mean {lucky.mean():.1%}, standard deviation "
    f"{lucky.std():.1%} (a coin's standard error: {error:.1%})"
)

# %% [markdown]
# So where might the quoted 60–70 % come from? There are three likely sources:
#
# - a model that somebody had already fine-tuned on sentiment. Then the head was *not* fresh;
# - luck, on few sentences. Then the number will not come back on the next set;
# - reading the encoder in another way, without a head. That one is real, and it is next.
#
# How far luck carries on few sentences is arithmetic:

# %%
for n in (20, 50, 200, 1000):
    chance = binom.sf(np.ceil(0.6 * n) - 1, n, 0.5)  # 60 % right or better
    print(f"{n:>5} sentences: a fair coin scores 60 % or more with probability {chance:.2g}")

# %%
tracking.record("fresh_head_accuracy", np.mean(fresh_scores))

# %% [markdown]
# <!-- asked: D03-T4 -->
# ## No training at all: zero-shot with the encoder
#
# MiniLM was trained to put sentences with similar meanings close together. So ask it something it can
# answer: is this review closer to "A wonderful film." or to "A terrible film."? No label is used, no
# weight changes. That is what **zero-shot** means: classifying without a single labelled example.
#
# "Close" is measured by the **cosine similarity**: scale each vector to length 1, then take the dot
# product. 1 means the same direction, 0 unrelated.


# %%
def unit(vectors):
    """Scale every row to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


features = models.embeddings(
    texts
)  # (sentences, width): the average over all tokens of a sentence
vectors = unit(features)
terrible, wonderful = unit(models.embeddings(["A terrible film.", "A wonderful film."]))
for text, vector in list(zip(texts, vectors, strict=True))[:3]:
    print(f"terrible {vector @ terrible:.2f}  wonderful {vector @ wonderful:.2f}  {text[:70]}")

# %% [markdown]
# One prompt is a narrow idea of "positive". Several prompts per side make a rounder one, so let us
# write the rule for sets of prompts: a sentence belongs to the side it is closer to *on average*.


# %% tags=["exercise"] exercise="day03/zero-shot" answer="zero_shot" minutes=9 difficulty=2
# sentences: (n, d), negative: (a, d), positive: (b, d). Rows have length 1; a and b may differ.
# Return n predictions: 1 where the mean cosine similarity to the positive prompts is higher,
# else 0.
def zero_shot(sentences, negative, positive): ...


# <solution>
def zero_shot(sentences, negative, positive):
    closer = (sentences @ positive.T).mean(axis=1) > (sentences @ negative.T).mean(axis=1)
    return closer.astype(int)


# </solution>


# %% tags=["check"] exercise="day03/zero-shot"
def check(answer):
    if not callable(answer):
        return "zero_shot should be a function; we will call it with different sets of prompts."
    rng = np.random.default_rng(0)
    # Everything shares a direction, as real sentence vectors do: most similarities are above 0.
    s, few, many = (unit(rng.normal(size=(size, 6)) + 0.7) for size in (400, 1, 4))
    result = np.asarray(answer(s, many, few))
    if result.shape != (400,):
        return f"For 400 sentences your answer has shape {result.shape}; there should be one prediction per sentence, shape (400,)."
    if not np.isin(result, [0, 1]).all():
        return "The predictions should be 0 or 1. You return something else, perhaps the similarities themselves."
    up, down = s @ few.T, s @ many.T

    def same(other):
        return np.array_equal(result.astype(int), other.astype(int))

    if same(up.mean(1) > down.mean(1)) and np.array_equal(
        np.asarray(answer(s, few, many)).astype(int), (down.mean(1) > up.mean(1)).astype(int)
    ):
        return None
    if same(up.mean(1) <= down.mean(1)):
        return "Your sides are swapped: you answer 1 where the sentence is closer to the negative prompts."
    if same(up.sum(1) > down.sum(1)):
        return "You add the similarities up, so the side with more prompts wins. Use the average of each side."
    if same(up.max(1) > down.max(1)):
        return "You let the single closest prompt decide. A fair rule, but one odd prompt can take over; here we ask for the average."
    if same(s @ unit(few.mean(0, keepdims=True))[0] > s @ unit(many.mean(0, keepdims=True))[0]):
        return "You average the prompts into one vector and bring it back to length 1. Nearly the rule: leave it at its own length, or average the similarities."
    if same(up.mean(1) > 0):
        return "You compare with 0, but nearly all reviews resemble all film sentences a little. Compare the two sides with each other."
    wrong = int(np.sum(result.astype(int) != (up.mean(1) > down.mean(1))))
    return (
        f"We tried 400 made-up sentences, and {wrong} predictions differ from the rule (0: only with the sides exchanged). "
        "We do not recognise the mistake: compare the mean similarity to `positive` with that to `negative`, row by row."
    )


def inputs(draw):
    for n, a, b, d in [(1, 1, 1, 2), (50, 3, 1, 4), (100, 2, 5, 384)]:
        yield tuple(unit(draw.normal(size=(rows, d)) + 0.3) for rows in (n, a, b))
    both = unit(draw.normal(size=(3, 6)))
    yield unit(draw.normal(size=(20, 6))), both, both


hints = [
    "One matrix product gives all similarities at once: sentences (n, d) with prompts (b, d). What has to be transposed?",
    "`sentences @ positive.T` has shape (n, b). Average over the prompts, which is axis 1.",
    "Compare the two averages with `>` and turn True/False into 1/0 with `.astype(int)`.",
]
misconceptions = [
    (
        "def zero_shot(s, n, p):\n    return ((s @ n.T).mean(axis=1) > (s @ p.T).mean(axis=1)).astype(int)",
        "sides are swapped",
    ),
    (
        "def zero_shot(s, n, p):\n    return ((s @ p.T).sum(axis=1) > (s @ n.T).sum(axis=1)).astype(int)",
        "side with more prompts wins",
    ),
    (
        "def zero_shot(s, n, p):\n    return ((s @ p.T).max(axis=1) > (s @ n.T).max(axis=1)).astype(int)",
        "single closest prompt",
    ),
    (
        "def zero_shot(s, n, p):\n"
        "    down, up = (unit(side.mean(axis=0, keepdims=True)) for side in (n, p))\n"
        "    return (s @ up.T > s @ down.T).ravel().astype(int)",
        "back to length 1",
    ),
    (
        "def zero_shot(s, n, p):\n    return ((s @ p.T).mean(axis=1) > 0).astype(int)",
        "Compare the two sides",
    ),
    ("def zero_shot(s, n, p):\n    return s @ p.T", "shape"),
]

# %%
negative = [
    "A terrible film.",
    "Boring and badly written.",
    "A waste of time.",
    "The acting is awful.",
    "I hated this movie.",
    "It fails on every level.",
]
positive = [
    "A wonderful film.",
    "Gripping and beautifully written.",
    "Well worth your time.",
    "The acting is superb.",
    "I loved this movie.",
    "It succeeds on every level.",
]

# %%
one_pair = zero_shot(vectors, terrible[None], wonderful[None])
six_pairs = zero_shot(
    vectors, unit(models.embeddings(negative)), unit(models.embeddings(positive))
)
predictions["zero-shot"] = np.asarray(six_pairs).astype(int)
print(f"one prompt per side:  {accuracy_score(labels, one_pair):.1%}")
print(f"six prompts per side: {accuracy_score(labels, predictions['zero-shot']):.1%}")

# %%
tracking.record("zero_shot_accuracy", accuracy_score(labels, predictions["zero-shot"]))

# %% [markdown]
# *This* is what a pretrained model knows without training; compare it with the coin's 50 %. The head at the
# beginning was not ignorant because the encoder was; it simply could not read what the encoder wrote.
#
# Try prompts of your own. Several per side are separated by a `|`. Watch the second number: a small change in
# wording can tip the whole set towards one side.


# %%
def try_prompts(negative="I hated it.", positive="I loved it."):
    sides = [
        [prompt.strip() for prompt in side.split("|") if prompt.strip()]
        for side in (negative, positive)
    ]
    if not all(sides):
        return print("Write at least one prompt on each side.")
    answers = zero_shot(vectors, *(unit(models.embeddings(side)) for side in sides))
    print(
        f"{accuracy_score(labels, answers):.1%} right; "
        f"says positive to {np.mean(answers):.0%} of the sentences"
    )


widgets.explore(try_prompts, negative="I hated it.", positive="I loved it.")

# %% [markdown]
# A fair warning: every prompt you keep because validation liked it is a small piece of training, done
# by hand. The six pairs above were written down before they were scored, and stayed.
#
# ## A linear probe on frozen features
#
# Now we use labels. The encoder stays frozen; the only thing that learns is a **logistic regression**,
# which finds one weight per feature and adds them up. You met this **linear probe** on Day 1. It is a head
# like those above, except that it was taught (and reads the average over all tokens).

# %%
probe = LogisticRegression(max_iter=1000)
train_features = models.embeddings(train_texts)
probe.fit(train_features, train_labels)
predictions["linear probe"] = probe.predict(features)
tracking.record("probe_accuracy", accuracy_score(labels, predictions["linear probe"]))
print(f"{probe.coef_.size + probe.intercept_.size} numbers were learnt.")

# %% [markdown]
# From a coin to this, by teaching one number per feature and one on top. Keep that in mind tomorrow, when you
# count how many numbers LoRA trains.
#
# <!-- asked: D03-T5 -->
# ## One number is not enough: F1, confusion matrix, interval
#
# Accuracy counts all mistakes alike. Often they are not: a shop that answers every angry customer by
# hand cares about the angry ones it *misses*. The **confusion matrix** keeps the two kinds of mistake apart.

# %%
names = validation.features["label"].names
matrix = confusion_matrix(labels, predictions["linear probe"])
(true_negative, false_positive), (false_negative, true_positive) = matrix

# %%
figure = plots.confusion(
    matrix,
    names,
    title=f"The probe misses {false_negative} positive sentences and invents {false_positive}",
)
plots.show(
    figure,
    alt=(
        "Confusion matrix of the probe: "
        f"{false_negative} positives missed, {false_positive} invented."
    ),
)

# %% [markdown]
# Three more numbers come from the four cells:
#
# - **precision**: of the sentences it called positive, how many are?
# - **recall**: of the sentences that are positive, how many did it find?
# - **F1**: their harmonic mean. It is high only if both are.

# %%
precision = true_positive / (true_positive + false_positive)
recall = true_positive / (true_positive + false_negative)
f1 = 2 * precision * recall / (precision + recall)
print(f"by hand:      precision {precision:.3f}  recall {recall:.3f}  F1 {f1:.3f}")

scores = [
    score(labels, predictions["linear probe"])
    for score in (precision_score, recall_score, f1_score)
]
print("scikit-learn: precision {:.3f}  recall {:.3f}  F1 {:.3f}".format(*scores))
assert np.allclose(scores, [precision, recall, f1])

# %% [markdown]
# Precision and recall pull against each other, and you hold the rope: the probe gives a probability,
# and 0.5 is only a habit. Move the **threshold**. Then make positives rare (that is what spam, fraud
# and angry customers look like), push the threshold up, and watch where accuracy goes while the model finds
# less and less.

# %%
probability = probe.predict_proba(features)[:, 1]


def threshold_explorer(threshold=0.5, positives="as they are"):
    keep = np.ones(len(labels), dtype=bool)
    if positives != "as they are":  # drop positives until they have this share
        share = int(positives.split()[0]) / 100
        rows = np.flatnonzero(labels == 1)
        keep[rows[max(1, round((labels == 0).sum() * share / (1 - share))) :]] = False
    says = (probability[keep] >= threshold).astype(int)
    counts = confusion_matrix(labels[keep], says, labels=[0, 1])
    s = metrics.classification(labels[keep], says)
    title = (
        f"accuracy {s['accuracy']:.2f}, precision {s['precision']:.2f}, "
        f"recall {s['recall']:.2f}, F1 {s['f1']:.2f}"
    )
    figure = plots.confusion(counts, names, title=title)
    plots.show(figure, alt=f"Confusion matrix at threshold {threshold:.2f}, {title}.")


# %%
explorer = widgets.explore(
    threshold_explorer, threshold=(0.05, 0.95, 0.05), positives=["as they are", "20 %", "5 %"]
)

# %% [markdown]
# With 5 % positives, a high threshold makes accuracy look splendid while recall collapses. No wonder: whoever
# never says "positive" has 95 % accuracy there, for free. Where positives are rare, accuracy mostly tells you that
# they are rare.
#
# ### How sure are we?
#
# Another batch of validation sentences would have given another accuracy. The **bootstrap** estimates
# by how much, with a trick that needs no formula: treat the sentences you have as the world, draw a new
# set of the same size from them *with replacement*, score it, and repeat. The middle 95 % of those scores
# is the interval.


# %% tags=["exercise"] exercise="day03/bootstrap" answer="resampled_accuracies" minutes=9 difficulty=2
# correct: n values, 1 where the model was right, 0 where it was wrong.
# draws: how many new sets to draw. rng: a NumPy generator, np.random.default_rng(…).
# Return `draws` accuracies, each of a set of n answers drawn from `correct` with replacement.
def resampled_accuracies(correct, draws, rng): ...


# <solution>
def resampled_accuracies(correct, draws, rng):
    return rng.choice(correct, size=(draws, len(correct)), replace=True).mean(axis=1)


# </solution>


# %% tags=["check"] exercise="day03/bootstrap"
def check(answer):
    if not callable(answer):
        return "resampled_accuracies should be a function of correct, draws and rng."
    correct = np.array([1] * 80 + [0] * 20)
    result = np.asarray(answer(correct, 2000, np.random.default_rng(0)), dtype=float)
    if result.shape != (2000,):
        return f"Asked for 2,000 draws you return shape {result.shape}; there should be one accuracy per draw, shape (2000,)."
    if result.std() < 0.001:
        return "All your draws agree. Without replacement, a set of n out of n is always the same set in another order; and a generator that starts anew for each draw repeats itself."
    if abs(result.mean() - 0.8) > 0.01 or result.max() > 1:
        return f"`correct` is right 80 % of the time, but your draws average {result.mean():.2f}. Each draw should be the mean of values taken from `correct`."
    if result.std() > 0.046:
        return f"Your draws vary by {result.std():.3f}, which is too much. Does each draw have as many answers as `correct` has?"
    if result.std() < 0.034:
        return f"Your draws vary by only {result.std():.3f}. Each draw should be n answers, neither more nor partly without replacement."
    counts = np.round(100 * result)
    if not np.allclose(100 * result, counts, atol=1e-6):
        return f"An accuracy on 100 answers is a whole number of hundredths, and yours are not, such as {result[0]:.4f}. Draw from `correct`."
    if (counts % 2 == 0).all():
        return "All your accuracies are even hundredths: each of your sets has half as many answers as `correct` has."
    if not trial(answer, correct, 2000, 1)["the same rng gives the same draws"]:
        return "The same generator, started twice at the same place, gave you different sets. Draw from `rng`, not from luck of your own."
    if not trial(answer, correct, 2000, 1)["another rng gives others"]:
        return "Two different generators gave you the same sets. Draw from the `rng` that the function is given."
    return None


def inputs(draw):
    yield np.array([1]), 1, 0
    yield np.array([1, 0, 1]), 50, 1
    yield np.array([1, 1, 0, 0]), 4000, 2
    yield np.ones(5, dtype=int), 20, 3
    yield (draw.random(37) < 0.6).astype(int), 4000, int(draw.integers(1000))


def trial(answer, correct, draws, seed):
    made, again, other = (
        np.asarray(answer(correct, draws, np.random.default_rng(start)), dtype=float)
        for start in (seed, seed, seed + 1)
    )
    n = len(correct)
    counts = np.round(made * n).astype(int)
    whole = np.allclose(made * n, counts) and counts.min() >= 0 and counts.max() <= n
    often = np.bincount(counts.clip(0, n).ravel(), minlength=n + 1) / draws
    expected = binom.pmf(np.arange(n + 1), n, correct.mean())
    return {
        "shape": made.shape,
        "each an accuracy of n answers": bool(whole),
        "as often as with replacement": bool(np.all(abs(often - expected) < 2.5 / draws**0.5)),
        "the same rng gives the same draws": np.array_equal(made, again),
        "another rng gives others": draws < 100
        or len(set(correct)) == 1
        or not np.array_equal(made, other),
    }


hints = [
    "`rng.choice` draws from an array. Which argument says how many, and which says whether a value may come twice?",
    "`size` may be a shape: (draws, len(correct)) gives all the sets at once, one per row.",
    "Then take the mean of each row: `.mean(axis=1)`.",
]
misconceptions = [
    (
        "def resampled_accuracies(correct, draws, rng):\n"
        "    return [rng.choice(correct, len(correct), replace=False).mean() for _ in range(draws)]",
        "Without replacement",
    ),
    (
        "def resampled_accuracies(correct, draws, rng):\n"
        "    return rng.choice(correct, size=(draws, len(correct) // 2)).mean(axis=1)",
        "as many answers as",
    ),
    (
        "def resampled_accuracies(correct, draws, rng):\n"
        "    return rng.choice(correct, size=(draws, len(correct))).mean()",
        "one accuracy per draw",
    ),
    (
        "def resampled_accuracies(correct, draws, rng):\n"
        "    return rng.integers(0, 2, size=(draws, len(correct))).mean(axis=1)",
        "taken from `correct`",
    ),
]

# %%
correct = (predictions["linear probe"] == labels).astype(int)
resampled = resampled_accuracies(correct, 5000, np.random.default_rng(lab.seed))
low, high = np.quantile(resampled, [0.025, 0.975])
figure = plots.histogram(
    100 * np.asarray(resampled),
    bins=100 * sentence_bins(resampled),
    markers={"lower end": 100 * low, "upper end": 100 * high},
    title=(
        "The probe's accuracy is known to within about "
        f"{50 * (high - low):.1f} points either way"
    ),
    xlabel="accuracy of a resampled validation set (%)",
    ylabel="resampled sets",
)
alt = f"Bootstrap distribution of the probe's accuracy, 95 % from {low:.3f} to {high:.3f}."
plots.show(figure, alt=alt)

# %%
print("our helper:              ", metrics.bootstrap_interval(correct))
print(f"from the standard error:  ± {1.96 * standard_error(correct.mean(), len(correct)):.3f}")

# %% [markdown]
# Three ways, one question: what would *other sentences* have said of this model? (Another training set would
# have made another model. None of the three knows about that; the learning curve below does.) For an
# accuracy the formula is enough; the bootstrap works the same for F1, for which there is no handy formula.
#
# ## The cheap competitor: TF-IDF and logistic regression
#
# Before neural networks read reviews, people counted words, and they were good at it. **TF-IDF** gives
# each word (here: each word and each pair of neighbours) a number that is higher if the word is frequent
# in this sentence and rare elsewhere. The same logistic regression goes on top. No pretraining, no GPU,
# a fraction of a second.
#
# How close does it come to the probe, which stands on a pretrained network?

# %%
guess = widgets.predict(
    "tf-idf", "Accuracy of TF-IDF with logistic regression on validation", 50, 100, "%"
)


# %%
def tfidf(C):
    """Words and pairs of words, weighted; C says how freely the weights may grow."""
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    return make_pipeline(words, LogisticRegression(C=C, max_iter=1000))


search = GridSearchCV(tfidf(1), {"logisticregression__C": [1, 10]}, cv=3)
search.fit(train_texts, train_labels)
for C, score in zip([1, 10], search.cv_results_["mean_test_score"], strict=True):
    print(f"C = {C:>2}: {score:.1%} on training sentences held back in turn")

# %% [markdown]
# `C` is the one setting that matters here. What chooses should not judge, so validation stays out of it:
# **cross-validation** cuts the training set into three parts, and each part judges a model made from the other
# two. The probe hardly cares about its `C` (try it), so it keeps the library's default. If one side gets more
# care than the other, let it be the side you hope to beat: a weak competitor flatters you.

# %%
best_C, words = search.best_params_["logisticregression__C"], search.best_estimator_
predictions["TF-IDF"] = words.predict(texts)
tracking.record("tfidf_accuracy", accuracy_score(labels, predictions["TF-IDF"]))
guess.compare(100 * accuracy_score(labels, predictions["TF-IDF"]))

# %% [markdown]
# The weights can be read, which is a luxury you will miss tomorrow.

# %%
weights = pd.Series(words[-1].coef_[0], index=words[0].get_feature_names_out()).sort_values()
print("most negative:", ", ".join(weights.index[:10]))
print("most positive:", ", ".join(weights.index[:-11:-1]))

# %% [markdown]
# So what is pretraining good for, if counting words gets this far? Give both of them *fewer labels* and see.

# %%
sizes = [n for n in (50, 200, 800) if n < len(train)]


def three_runs(model, inputs, held_out, n):
    """Right or wrong on validation, for three random training sets of n sentences: (3, all)."""
    rows = [np.random.default_rng(seed).permutation(len(inputs))[:n] for seed in range(3)]
    fitted = (model.fit([inputs[i] for i in chosen], train_labels[chosen]) for chosen in rows)
    return np.array([one.predict(held_out) == labels for one in fitted])


plain = LogisticRegression(max_iter=1000)
curve = {
    "linear probe": [three_runs(plain, train_features, features, n) for n in sizes],
    "TF-IDF": [three_runs(search, train_texts, texts, n) for n in sizes],  # each chooses its C
}

# %%
# All labels: there is only one such set, and its models are fitted already.
sizes.append(len(train))
for name, model, inputs in [("linear probe", probe, features), ("TF-IDF", words, texts)]:
    curve[name].append(np.array([model.predict(inputs) == labels]))
leads = [metrics.compare(p, t) for p, t in zip(*curve.values(), strict=True)]

# %%
figure = plots.lines(
    sizes,
    {name: [100 * right.mean() for right in series] for name, series in curve.items()},
    log_x=True,
    title=f"With {sizes[1]} labels, probe against words: {leads[1]}",
    xlabel="labelled training sentences (a dot is one training set)",
    ylabel="validation accuracy (%)",
)
for series, colour in zip(curve.values(), plots.COLOURS, strict=False):
    for n, right in zip(sizes, series, strict=True):
        scores = 100 * right.mean(axis=1)
        figure.axes[0].plot([n] * len(scores), scores, "o", color=colour, alpha=0.5)
plots.show(
    figure, alt=f"Accuracy by number of labels; the probe's lead at {sizes[1]}: {leads[1]}."
)

# %%
for n, lead in zip(sizes, leads, strict=True):
    print(f"{n:>6,} labels: the probe's lead {lead}")

# %% [markdown]
# (The last row compares these two models only: there is one training set of that size.)
#
# There is the answer, in our run. With few labels, the words of a new review are mostly words the counter has never
# seen, while MiniLM has met them all before. Every further label teaches the counter new words; the
# probe, with its few hundred weights, runs out of things it can learn. It cannot change what the
# encoder writes down. That is precisely what fine-tuning will change.
#
# ### A score that is too good
#
# A colleague runs TF-IDF too, and comes back beaming.

# %%
everything = concatenate_datasets([train, validation])
colleague = tfidf(10).fit(everything["text"][:], everything["label"][:])
too_good = colleague.score(texts, labels)
print(f"The colleague's validation accuracy: {too_good:.1%}")

# %% tags=["exercise"] exercise="day03/too-good" answer="honest_model" minutes=7 difficulty=2
# Find the mistake in the cell above, and make the colleague's model again without it.
# Keep its settings, tfidf(10), so that the data is the only difference. honest_model: a fitted
# pipeline.
honest_model = ...
# <solution>
honest_model = tfidf(10).fit(train_texts, train_labels)
# </solution>


# %% tags=["check"] exercise="day03/too-good"
def agrees(expected, found):
    return np.allclose(expected.predict_proba(texts), found.predict_proba(texts), atol=1e-3)


def check(answer, expected):
    if not hasattr(answer, "predict") or not hasattr(answer, "named_steps"):
        return "honest_model should be a pipeline like the colleague's: tfidf(10), fitted. The words and the weights belong together."
    vectorizer = answer[0]
    if not hasattr(vectorizer, "vocabulary_"):
        return "This pipeline has the right parts but has not been fitted yet: call .fit with texts and labels."
    if np.mean(answer.predict(texts) == labels) > 0.93:
        return "Still too good to be true. The model has met these very sentences, with their labels, while it was fitted. Which sentences may it learn from?"
    if vectorizer.get_params() != expected[0].get_params() or not hasattr(answer[-1], "C"):
        return (
            f"Yours is made of {vectorizer} and {answer[-1]}, and these are other parts or settings than the colleague's. "
            "Keep tfidf(10), so that the data is the only difference."
        )
    known, allowed = set(vectorizer.vocabulary_), set(expected[0].vocabulary_)
    if strange := sorted(known - allowed):
        return (
            f"The vectorizer knows {len(strange):,} words and pairs that no training sentence has, such as “{strange[-1]}”: "
            "it has read other sentences, with or without their labels. Whatever is fitted, is fitted on train only."
        )
    if known != allowed:
        return "Your vocabulary is smaller than the training split's. Use all of `train`, and the same settings, so that only the leak is gone."
    if answer[-1].C != 10:
        return "You changed C as well. Keep the colleague's settings, tfidf(10), so that the difference shows the leak and nothing else."
    if not agrees(expected, answer):
        return (
            "It knows the words of the training split, but answers otherwise than tfidf(10) fitted on all of it. We do "
            "not recognise the difference. Has every sentence its own label, and are the other settings untouched?"
        )
    return None


hints = [
    "Which sentences was the model fitted on, and which sentences is it scored on?",
    "`everything` holds the validation sentences together with their labels. The model has seen the exam with the answers.",
    "Fit a new tfidf(10) on `train_texts` and `train_labels` alone.",
]
misconceptions = [
    ("honest_model = tfidf(10).fit(texts, labels)", "Still too good"),
    ("honest_model = tfidf(10)", "not been fitted"),
    (
        "honest_model = tfidf(10).fit(train_texts, train_labels)\n"
        "honest_model[0].fit(train_texts + texts)\n"
        "honest_model[-1].fit(honest_model[0].transform(train_texts), train_labels)",
        "with or without their labels",
    ),
    ("honest_model = tfidf(1).fit(train_texts, train_labels)", "changed C"),
    (
        "honest_model = tfidf(10).fit(train_texts[: len(train_texts) // 2], train_labels[: len(train_texts) // 2])",
        "vocabulary is smaller",
    ),
]

# %%
print(f"with the validation labels inside: {too_good:.1%}")
print(f"fitted on train only:              {honest_model.score(texts, labels):.1%}")

# %% [markdown]
# There is a quieter version of this bug: only the *vectorizer* sees validation, never its labels. How
# much does that buy? One might expect a lot.

# %%
weighted = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(
    train_texts + texts
)
classifier = LogisticRegression(C=10, max_iter=1000).fit(weighted[: len(train)], train_labels)
peeked = classifier.predict(weighted[len(train) :]) == labels
gain = metrics.compare(peeked, honest_model.predict(texts) == labels)
print(f"gain from peeking at the words: {gain}")

# %% [markdown]
# Read the last word, the verdict, before you call it an effect: *undecided* means that zero lies inside the
# interval, *better* or *worse* that it does not. A word that occurs only in validation gets
# no weight, because no training sentence has it. Keep the rule all the same: *whatever is fitted, is
# fitted on train*. You do not want to argue, each time, about whether this particular leak was harmless.
#
# <!-- asked: D03-L -->
# ### Which one is the baseline to beat?
#
# All five on the same sentences, each with its interval.

# %%
right = {name: (answers == labels).astype(int) for name, answers in predictions.items()}
intervals = {name: metrics.bootstrap_interval(values) for name, values in right.items()}
best = max(right, key=lambda name: right[name].mean())

# %%
figure = plots.interval_bars(
    [f"{name} (seed 0)" if name == "fresh head" else name for name in intervals],
    [
        [100 * getattr(i, end) for end in ("estimate", "low", "high")]
        for i in intervals.values()
    ],
    reference=50,
    reference_label="coin",
    title=f"The bar for Day 4 is set by {best}: {right[best].mean():.1%}",
    xlabel="validation accuracy (%), 95 % interval",
)
plots.show(
    figure, alt=f"Accuracy of five baselines with 95 percent intervals; the highest is {best}."
)

# %% [markdown]
# Two intervals that overlap do not settle who is better, because both models answered the *same*
# sentences: a hard sentence pulls both down, and that part of the noise cancels. A **paired** comparison
# looks only at the sentences on which they disagree. **McNemar's test** asks: if the two were equally good, how
# often would those sentences split at least this unevenly? The answer is its *p*.

# %%
difference = metrics.compare(right["TF-IDF"], right["linear probe"])
test = metrics.mcnemar(right["TF-IDF"], right["linear probe"])
print(f"TF-IDF minus probe: {difference}")
print(
    f"only TF-IDF right: {test.only_a} sentences, "
    f"only the probe right: {test.only_b}, p = {test.p_value:.2g}"
)

# %% [markdown]
# Where this set cannot tell two candidates apart, the honest bar is the higher number: tomorrow's model will be
# compared with that one. (Being the winner of a choice, it is probably flattered a little. The test set will say.)
#
# Notice something else in that output: how many sentences only one of the two gets right. They fail in
# different places. Where?
#
# ## Where the baselines fail: error slices
#
# An average hides things. Cut the validation set into **slices** and score each. We try three suspicions:
# long sentences, negation, and sentences that people themselves found mild.

# %%
table = validation.to_pandas()
length = table.text.str.split().str.len()
negated = table.text.str.contains(
    r"\b(?:not|no|never|nothing|neither|nor|without|hardly)\b|n't", case=False
)
slices = {
    "all": length > 0,
    "under 12 words": length < 12,
    "24 words or more": length >= 24,
    "no negation word": ~negated,
    "negation, negative": negated & (table.label == 0),
    "negation, positive": negated & (table.label == 1),
}
if "rating" in table:  # only the rated sentences carry what the raters said
    strength = table.rating.abs()
    slices |= {"mild (mean rating under 1)": strength < 1, "strong (2 or more)": strength >= 2}
slices = {name: mask for name, mask in slices.items() if mask.any()}

# %%
rows = {
    name: {"sentences": int(mask.sum())}
    | {model: right[model][mask].mean() for model in ("zero-shot", "linear probe", "TF-IDF")}
    for name, mask in slices.items()
}
print(pd.DataFrame(rows).T.astype({"sentences": int}).round(3).to_string())

# %%
found = {
    name: metrics.bootstrap_interval(right["linear probe"][mask])
    for name, mask in slices.items()
}
weakest = min(found, key=lambda name: found[name].estimate)

# %%
figure = plots.interval_bars(
    list(found),
    [[100 * getattr(i, end) for end in ("estimate", "low", "high")] for i in found.values()],
    reference=100 * right["linear probe"].mean(),
    reference_label="all",
    title=f"The probe's lowest dot: “{weakest}”, {found[weakest].estimate:.0%}",
    xlabel="accuracy of the linear probe (%), 95 % interval",
)
plots.show(
    figure,
    alt=f"Accuracy of the linear probe per slice with intervals; the lowest is {weakest}.",
)

# %% [markdown]
# Small slices have wide intervals, and if you cut often enough, some slice looks terrible by luck alone.
# So read this figure as a list of suspects, not of culprits. Two stood out in our run on all data. A *positive*
# sentence that contains "not" or "never" was close to a coin flip for the probe: the frozen encoder seems to hear the negation
# word and little of what is being negated. And there are the mild ones. Read some of the worst cases before you go on.

# %%
surprise = np.where(
    labels == 1, 1 - probability, probability
)  # how sure the probe was of the wrong answer
for row in np.argsort(-surprise)[:6]:
    print(f"{names[labels[row]]:<9} said {probability[row]:.0%} positive: {texts[row][:110]}")

# %% [markdown]
# Now the mild ones. Each sentence was rated by many people, from −4 to 4, and its label is the sign of
# their mean. How often does *one* of those people agree with the label? That is about what a single human
# would score in this task; a little less in truth, since each rating has its own small say in the label. (A
# rating of 0 counts as half.)


# %%
def human_agreement(part):
    """Share of single ratings on the side of the label."""
    sides = [
        np.sign(ratings) * (1 if label else -1)
        for ratings, label in zip(part.ratings, part.label, strict=True)
    ]
    return float(np.mean([((side + 1) / 2).mean() for side in sides]))


# %%
bands = {
    "0.5 to 1": (0.5, 1),
    "1 to 1.5": (1, 1.5),
    "1.5 to 2": (1.5, 2),
    "2 to 2.5": (2, 2.5),
    "2.5 to 4": (2.5, 4.1),
}
series = {"one person": [], "linear probe": [], "TF-IDF": []}
if "ratings" in table:
    for low, high in bands.values():
        mask = (strength >= low) & (strength < high)
        series["one person"].append(
            100 * human_agreement(table[mask]) if mask.any() else np.nan
        )
        for name in ("linear probe", "TF-IDF"):
            series[name].append(100 * right[name][mask].mean() if mask.any() else np.nan)


# %%
def reach(values):
    """The lowest and the highest of the values, in words."""
    return f"{np.nanmin(values):.0f} to {np.nanmax(values):.0f}"


# %%
if series["one person"]:
    figure = plots.lines(
        [sum(band) / 2 for band in bands.values()],
        series,
        title=(
            f"Mild to strong: one person agrees on {reach(series['one person'])} %, "
            f"the probe on {reach(series['linear probe'])} %"
        ),
        xlabel="strength: mean rating, regardless of its sign (centre of the band)",
        ylabel="agrees with the label (%)",
    )
    alt = f"Agreement with the label by strength: one person {reach(series['one person'])} %."
    plots.show(figure, alt=alt)
    mild = table[strength < 1]
    print(
        f"On {len(mild)} mild sentences one person agrees with "
        f"the label {human_agreement(mild):.0%} of the time,"
    )
    print(f"on all {len(table):,} sentences {human_agreement(table):.0%}.")

# %% tags=["exercise"] exercise="day03/why-mild" answer="reason" minutes=5 difficulty=2
# In our run on all data, the word counter and the probe do worst on the mildest sentences. Why?
# "a"  They are longer, so the encoder cuts off the end of them.
# "b"  There are few of them, so their accuracy is only noise.
# "c"  The text carries little evidence, and the label hangs on a few raters: others might have
#      flipped it.
# "d"  Both models ignore the order of words, and mild praise is a matter of word order.
# Answer with one letter in quotes.
reason = ...
# <solution>
reason = "c"
# </solution>


# %% tags=["check"] exercise="day03/why-mild"
def check(answer):
    letter = str(answer).strip().strip('"').lower()
    replies = {
        "a": "Nothing is cut off: these are single sentences, and the encoder reads hundreds of tokens. A look at `length[slices['mild (mean rating under 1)']]` settles it.",
        "b": "Few sentences make the interval wide, not the score low. In our run on all data even its upper end stays below the score on strong sentences, and people do worse on these sentences too.",
        "d": "Word order cannot be the whole story: the encoder reads it, and pairs of words catch some of it. Look at the top line in the figure. Who else does badly here?",
    }
    if letter == "c":
        return None
    return replies.get(letter, "Answer with one letter: 'a', 'b', 'c' or 'd'.")


hints = [
    "Look at the line of the single person in the figure above.",
    "If people cannot agree about a sentence, what is its label worth?",
]
misconceptions = [
    ('reason = "a"', "Nothing is cut off"),
    ('reason = "b"', "interval wide"),
    ('reason = "d"', "Who else does badly"),
]

# %% [markdown]
# No fine-tuning will repair a label that the raters themselves would not repeat. Part of the distance to
# 100 % is not the model's to close. The negated sentences are another matter: there the text says plainly
# what is meant, and tomorrow's model, which may change what the encoder hears, has a chance.
#
# ## Write it down in MLflow, and keep the test set shut
#
# <!-- asked: D03-T7 -->
# Tomorrow you will want these numbers, and in three weeks you will have forgotten how you got them. One
# MLflow run per baseline: what it was, how it scored.

# %%
settings_of = {
    "same answer always": {"strategy": "most_frequent"},
    "fresh head": {"seed": 0},
    "zero-shot": {"prompts_per_side": len(positive)},
    "linear probe": {"C": probe.C, "pooling": "mean"},
    "TF-IDF": {"C": best_C, "ngram_range": (1, 2), "sublinear_tf": True},
}
for name, answers in predictions.items():
    with tracking.start_run("sentiment-baselines", name):
        mlflow.log_params(
            {**settings_of[name], "split": "validation", "train_sentences": len(train)}
        )
        ends = {"accuracy_low": intervals[name].low, "accuracy_high": intervals[name].high}
        mlflow.log_metrics({**metrics.classification(labels, answers), **ends})

# %% [markdown]
# And read back, as you will tomorrow. (Run the lesson twice and each baseline has two runs; we keep the latest.)

# %%
runs = mlflow.search_runs(
    experiment_names=["sentiment-baselines"], order_by=["start_time DESC"]
)
columns = {"tags.mlflow.runName": "baseline"} | {
    f"metrics.{name}": name
    for name in ("accuracy", "accuracy_low", "accuracy_high", "f1", "precision", "recall")
}
board = runs.drop_duplicates("tags.mlflow.runName")[list(columns)].rename(columns=columns)
print(board.sort_values("accuracy", ascending=False).round(3).to_string(index=False))

# %% [markdown]
# Look at the F1 of "same answer always" and compare it with its accuracy. Had the other class been a
# little more frequent, its F1 would be quite different. That is a trap, and the quiz returns to it.
#
# ## What you saw

# %%
print(" → ".join(f"{name} {right[name].mean():.0%}" for name in predictions))
print(f"Baseline to beat: {best}, {intervals[best]}")
print(f"TF-IDF minus linear probe: {difference}")
print(f"Test sentences still unread: {len(splits['test']):,}")

# %% [markdown]
# <!-- asked: D03-T6 -->
# Put it into your journal, with one kind of sentence that the baseline gets wrong, in your own words.

# %%
my_words = (
    ...
)  # for example: "It gets lost when a sentence praises one thing and damns another."
entry = f"Baseline to beat: {best}, validation accuracy {intervals[best]}."
progress.write_journal("day03", f"{entry} {my_words}" if isinstance(my_words, str) else ...)

# %% tags=["quiz"]
quiz = [
    {
        "question": "Why does pretrained MiniLM with a new two-class head score about 50 % before training?",
        "choices": [
            (
                "The encoder knows nothing about sentiment.",
                "It knows a good deal: zero-shot and the probe read it from this same encoder.",
                False,
            ),
            (
                "The head is random, and each random head has an equally likely mirror image that is wrong where it is right.",
                "The two accuracies add up to 100 %, so the average over heads is one half whatever the encoder knows.",
                True,
            ),
            (
                "The learning rate has not been set yet.",
                "A learning rate matters while training. Nothing has been trained here.",
                False,
            ),
            (
                "The model is in training mode, and dropout scrambles its answers.",
                "All heads were scored with .eval(), which switches dropout off. It is the head that is untaught.",
                False,
            ),
        ],
        "proof": (
            "import numpy as np\n"
            "rng = np.random.default_rng(0)\n"
            "x, y = rng.normal(size=(501, 8)) + 1, rng.integers(0, 2, 501)\n"
            "for head in rng.normal(size=(20, 2, 8)):\n"
            "    accuracy = ((x @ head.T).argmax(1) == y).mean()\n"
            "    mirrored = ((x @ head[::-1].T).argmax(1) == y).mean()\n"
            "    assert abs(accuracy + mirrored - 1) < 1e-12\n"
        ),
    },
    {
        "question": "5 % of the messages are positive. A model answers 'negative' to all of them. Which scores does it get?",
        "choices": [
            (
                "Accuracy 0.95, F1 of the positive class 0, macro F1 about 0.49.",
                "F1 of the rare class sees through it. Macro F1 averages 0 with the 0.974 of the other class, so it looks half decent: say which F1 you report.",
                True,
            ),
            (
                "Accuracy 0.95 and F1 0.95: F1 follows accuracy.",
                "Only micro-averaged F1 does. F1 of the positive class is 0, because not one positive was found.",
                False,
            ),
            (
                "Accuracy 0.50: it knows nothing.",
                "It knows nothing and is right 95 % of the time all the same. That is the trouble with accuracy on rare classes.",
                False,
            ),
            (
                "Accuracy 0.95; F1 is 0 however it is averaged.",
                "Only for the positive class. The negative class has F1 0.974, and macro F1 is the mean of the two.",
                False,
            ),
        ],
        "proof": (
            "from sklearn.metrics import accuracy_score, f1_score\n"
            "labels, answers = [1] * 5 + [0] * 95, [0] * 100\n"
            "assert accuracy_score(labels, answers) == 0.95\n"
            "assert f1_score(labels, answers, zero_division=0) == 0\n"
            "assert round(f1_score(labels, answers, pos_label=0), 3) == 0.974\n"
            "assert round(f1_score(labels, answers, average='macro', zero_division=0), 3) == 0.487\n"
        ),
    },
    {
        "question": "A spam filter has precision 1.0. What do you know?",
        "choices": [
            (
                "It catches all spam.",
                "That would be recall. A filter that flags a single message, correctly, has precision 1 and misses the rest.",
                False,
            ),
            (
                "It hardly ever makes a mistake.",
                "It makes no mistake of one kind. All the spam it lets through counts against recall, not precision.",
                False,
            ),
            (
                "Whatever it flags is spam. How much it misses, you do not know.",
                "Precision is measured among what the model calls positive, be that a thousand messages or one.",
                True,
            ),
        ],
        "proof": (
            "from sklearn.metrics import precision_score, recall_score\n"
            "labels, answers = [1] * 100 + [0] * 100, [1] + [0] * 199\n"
            "assert precision_score(labels, answers) == 1\n"
            "assert recall_score(labels, answers) == 0.01\n"
        ),
    },
    {
        "question": "On 400 sentences model A gets 80 % and model B 82 %. Each has a standard error of 2 points. What follows?",
        "choices": [
            (
                "B is better: 82 is more than 80.",
                "On these 400 sentences, yes. On the next 400 the order may well be the other way round.",
                False,
            ),
            (
                "The intervals overlap, so they are equally good.",
                "Overlap does not prove equality. If B is right wherever A is and on 8 sentences more, the paired difference excludes zero.",
                False,
            ),
            (
                "Nothing yet: look at the sentences on which the two disagree.",
                "Eight sentences can be 8 against 0 or 54 against 46. The first is a clear difference, the second is noise.",
                True,
            ),
        ],
        "proof": (
            "from scipy.stats import binomtest\n"
            "assert abs((0.8 * 0.2 / 400) ** 0.5 - 0.02) < 1e-12 and round(0.02 * 400) == 8\n"
            "assert binomtest(8, 8).pvalue < 0.05 < binomtest(54, 100).pvalue and 54 - 46 == 8\n"
        ),
    },
    {
        "question": "Why did we not compare the baselines on the test set, to be extra sure?",
        "choices": [
            (
                "The test set is harder.",
                "It was drawn from the same pool, at random. It is neither harder nor easier.",
                False,
            ),
            (
                "Choosing on it would spend it: its score for the winner would then be too kind, just like validation's.",
                "A set of sentences can be used for choosing or for an honest last word, not for both.",
                True,
            ),
            (
                "The bootstrap works on validation sets only.",
                "The bootstrap works on any sample. What matters is what you used the sample for before.",
                False,
            ),
        ],
    },
]

# %% tags=["checklist"]

# %% [markdown]
# ## Go further
#
# - The word counter and the probe fail on different sentences. Average their probabilities,
#   `(probe.predict_proba(features) + words.predict_proba(texts)) / 2`, and score that. It costs one line.
#   Then decide, *before* Day 4, whether this should have been the bar.
# - Bring your own data: `data.load("my_reviews.csv")`, `data.split`, and the cells above. Which baseline
#   wins depends on how many labels you have; the learning curve says why.
# - Wang and Manning's five pages (see the sources) are the classic demonstration that well-made word counts
#   were hard to beat on sentiment. Read their results table with today's ladder beside it.
