"""Prepares the mini project's data the way the Saturday lesson does, for whoever begins on Sunday."""

import html
import re
from typing import TYPE_CHECKING, Any

from ... import data
from ...core import settings
from . import log as project

if TYPE_CHECKING:
    from datasets import Dataset

# Where the reader of a tab-separated file took a lonely quotation mark for the beginning of a long text.
GLUED = re.compile(r"\n(ham|spam)\t")
FRACTIONS = (0.6, 0.2, 0.2)
# Class whose F1 is the metric; None: the mean F1 of all classes. And what a gain must exceed to be worth its trouble.
PLANS = {
    "spam": {"question": "Does a fine-tuned model find more spam than word counts do?", "focus": "spam", "margin": 0.02},
    "topics": {"question": "Does a fine-tuned model sort news better than word counts do?", "focus": None, "margin": 0.02},
}  # fmt: skip
OTHER = PLANS["topics"] | {"question": "Does a fine-tuned model do better than word counts on my data?"}


def separate(dataset: "Dataset") -> "Dataset":
    """Take apart rows in which a reader glued several messages together, each with its own label.

    Args:
        dataset: columns `text` and `label` (ClassLabel).

    Returns:
        The same columns, one row per message, in the old order.
    """
    from datasets import Dataset

    feature = dataset.features["label"]
    texts, labels = [], []
    for text, label in zip(dataset["text"], dataset["label"], strict=True):
        first, *rest = GLUED.split(text)
        texts += [first, *rest[1::2]]
        labels += [label, *map(feature.str2int, rest[::2])]
    features = dataset.select_columns(["text", "label"]).features
    return Dataset.from_dict({"text": texts, "label": labels}, features=features)


def clean(text: str) -> str:
    """Make a text what its reader saw, and treat all numbers alike.

    Whoever collected the harmless messages replaced their numbers by marks such as `&lt;#&gt;`; nobody did that to
    the spam. Marks and digits become zeros, or a model would learn who collected a message.

    Args:
        text: any string.
    """
    plain = re.sub(r"<(?:#|[A-Z]+)>|\d", "0", html.unescape(text))
    return " ".join(plain.split())


def one_of_each(dataset: "Dataset") -> "Dataset":
    """Keep the first text of each that are the same (`project.same`), and none that occurs with two labels.

    Args:
        dataset: columns `text` and `label`.
    """
    first: dict[str, int] = {}
    disputed, labels = set(), dataset["label"][:]
    for row, text in enumerate(dataset["text"]):
        key = project.same(text)
        if labels[first.setdefault(key, row)] != labels[row]:
            disputed.add(key)
    return dataset.select([row for key, row in first.items() if key and key not in disputed])


def starter(source: str, name: str) -> None:
    """Make the splits, the baselines and the plan of a project, unless they are there.

    Args:
        source: what `data.load` takes.
        name: of the project.
    """
    if not project.rows(name):
        print(f"No splits of the project {name!r} yet: making them now, as the Saturday lesson does.")
        keep(data.load(source), name, is_spam=source == "spam")
    if project.latest(name, "plan") is None:
        plan(name)


def keep(dataset: "Dataset", name: str, is_spam: bool = False) -> None:
    """Clean, remove copies, split, and keep the splits of a project; the course's spam has two flaws of its own."""
    if is_spam:
        dataset = separate(dataset)
        dataset = dataset.map(lambda row: {"text": clean(row["text"])}, keep_in_memory=True)
    dataset = one_of_each(dataset)
    most = settings.current().max_examples
    if most and len(dataset) > most:
        dataset = dataset.shuffle(seed=data.SPLIT_SEED).select(range(most))
    project.keep(name, data.split(dataset, FRACTIONS))


def plan(name: str) -> None:
    """Score both baselines on validation and write the plan."""
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.pipeline import make_pipeline

    choice = PLANS.get(name, OTHER)
    splits = project.splits(name)
    train, validation = splits["train"], splits["validation"]
    wanted = focus(name, choice["focus"])
    words = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, **units(train["text"][:])),
        LogisticRegression(class_weight="balanced"),
    )
    for title, model in (("majority", DummyClassifier(strategy="most_frequent")), ("tf-idf", words)):
        predicted = model.fit(train["text"][:], train["label"][:]).predict(validation["text"][:])
        truth = validation["label"][:]
        score = f1_score(truth, predicted, labels=wanted, average="macro", zero_division=0)
        project.note(name, "baseline", name=title, score=score, accuracy=accuracy_score(truth, predicted))
    metric = f"F1 of {choice['focus']}" if choice["focus"] else "mean F1 of all classes"
    project.note(name, "plan", metric=metric, **choice)


def units(texts: list[str]) -> dict[str, Any]:
    """Choose what a word baseline counts: words, or characters where a script puts no blanks between words.

    Args:
        texts: the training texts.

    Returns:
        Keyword arguments for `TfidfVectorizer`; {} where most texts share a word with another one.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    try:
        shared = (CountVectorizer(min_df=2).fit_transform(texts).sum(axis=1) > 0).mean()
    except ValueError:  # no word at all occurs in two texts
        shared = 0.0
    if shared >= 0.5:
        return {}
    print(
        f"Only {shared:.0%} of these texts share a word with another one, so a baseline of words would know nothing. "
        "It counts runs of one to three characters instead."
    )
    return {"analyzer": "char", "ngram_range": (1, 3)}


def focus(name: str, label: str | None) -> list[int] | None:
    """Turn the class of a plan into what `f1_score(labels=…)` wants: its number in a list, or None for all."""
    names = project.splits(name)["train"].features["label"].names
    return [names.index(label)] if label in names else None
