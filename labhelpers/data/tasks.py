"""Data for other tasks than classification: names in tweets, questions about news, headlines for news."""

import re
from typing import TYPE_CHECKING, Any

from . import assets, sources
from .questions import ANSWERS, questions, written_questions
from .splitting import split

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

__all__ = ["ANSWERS", "ENTITIES", "TAGS", "articles", "names", "questions", "written_questions"]
ENTITIES = ("person", "place", "company", "other")
TAGS = ["O", *(f"{prefix}-{kind}" for kind in ENTITIES for prefix in "BI")]
MERGED = {"person": "person", "geo-loc": "place", "facility": "place", "company": "company"}


def names() -> "Dataset":
    """Load tweets whose names of persons, places, companies and other things are marked word by word.

    Returns:
        Columns `text`, `tokens` (words), `tags` (one number per word, into TAGS) and `label` (1 when the tweet has a
        name). Ritter's ten kinds are merged into four, because most of them occur a few dozen times.

    Source: Ritter et al. 2011, "Named Entity Recognition in Tweets: An Experimental Study", EMNLP.
    """
    from datasets import ClassLabel, Dataset, Features, List, Value

    content = (assets.path("tweet_entities") / "ner.txt").read_text(encoding="utf-8")
    rows = [_tweet(block) for block in re.split(r"\n\s*\n", content) if block.strip()]
    features = Features(
        text=Value("string"), tokens=List(Value("string")), tags=List(ClassLabel(names=TAGS)),
        label=ClassLabel(names=["no name", "name"]),
    )  # fmt: skip
    return Dataset.from_list(rows, features=features)


def _tweet(block: str) -> dict[str, Any]:
    pairs = [line.split("\t") for line in block.split("\n") if line.strip()]
    words, tags = [word for word, _ in pairs], [TAGS.index(_merged(tag)) for _, tag in pairs]
    return {"text": " ".join(words), "tokens": words, "tags": tags, "label": int(any(tags))}


def _merged(tag: str) -> str:
    prefix, _, kind = tag.partition("-")
    return f"{prefix}-{MERGED.get(kind, 'other')}" if kind else "O"


def articles() -> "DatasetDict":
    """Load the BBC articles with their headlines, without copies, split by article.

    Returns:
        Splits `train`, `validation` and `test` with columns `text`, `label` (the topic) and `headline`.
    """
    return split(sources.packaged("topics"))
