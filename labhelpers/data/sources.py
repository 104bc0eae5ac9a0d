"""The course's data sets: packaged copies in the cache, or their larger cousins on the Hub."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError, current

if TYPE_CHECKING:
    from datasets import Dataset

RATED = {
    "sentiment": ("movieReviewSnippets", "movie"),
    "amazon": ("amazonReviewSnippets", "amazon"),
    "editorials": ("nytEditorialSnippets", "editorial"),
    "tweets": ("tweets", "tweet"),
}
TOPICS = ("business", "entertainment", "politics", "sports", "tech")
NAMES = (*RATED, "topics", "spam")
# Hub id, splits to join, and label names where the course prefers others
HUB: dict[str, tuple[str, str, list[str] | None]] = {
    "sentiment": ("stanfordnlp/imdb", "train+test", ["negative", "positive"]),
    "topics": ("fancyzhx/ag_news", "train+test", None),
}
NEUTRAL_BELOW = 0.5  # |mean rating|, on the scale from -4 to 4


def course_set(name: str, neutral: bool) -> "Dataset":
    """Load a data set of the course from where the settings say.

    Args:
        name: one of NAMES.
        neutral: keep sentences near zero as a third class; packaged copy only.

    Returns:
        As `data.load`.

    Raises:
        LabError: when the data can be neither found nor fetched, or `neutral` is asked of the topics.
    """
    if name in PACKAGED and neutral:
        raise LabError(
            f"neutral=True asks for sentences rated near zero, and {name} have no ratings. Leave it out."
        )
    if current().use_hub and name in HUB and not neutral:
        hub_id, splits, names = HUB[name]
        dataset = hub_set(hub_id, "text", "label", splits)
        return _with_names(dataset, names) if names else dataset
    return PACKAGED[name]() if name in PACKAGED else _rated(name, neutral)


def hub_set(hub_id: str, text: str, label: str, splits: str | None = None) -> "Dataset":
    """Load a text classification data set from the Hub, all its labelled splits joined.

    Args:
        hub_id: such as "org/name".
        text, label: its columns.
        splits: such as "train+test"; None for all.

    Returns:
        Columns `text` and `label` (ClassLabel).

    Raises:
        LabError: when the Hub cannot be reached, has no such data set, or the columns are missing.
    """
    from datasets import concatenate_datasets, load_dataset

    try:
        loaded = load_dataset(hub_id, split=splits)
    except Exception as error:  # requests, httpx, huggingface_hub and datasets each raise their own
        raise LabError(_unreachable(hub_id, error)) from error
    dataset = concatenate_datasets(list(loaded.values())) if splits is None else loaded
    missing = [column for column in (text, label) if column not in dataset.column_names]
    if missing:
        raise LabError(
            f"{hub_id} has no column {missing[0]!r}; it has {', '.join(dataset.column_names)}. Name the right ones: "
            f"data.load({hub_id!r}, text=…, label=…)."
        )
    dataset = dataset.select_columns([text, label]).rename_columns({text: "text", label: "label"})
    if not hasattr(dataset.features["label"], "int2str"):
        dataset = dataset.class_encode_column("label")
    return dataset.filter(lambda batch: [number >= 0 for number in batch["label"]], batched=True)


def _unreachable(hub_id: str, error: Exception) -> str:
    import huggingface_hub

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return (
            f"{hub_id} is on the Hugging Face Hub, and the Hub is switched off here. Set LAB_HUB=1 (and HF_HUB_OFFLINE=0, "
            "if you set it) before the kernel starts, then restart it. The course's own data need no Hub: "
            f"{', '.join(NAMES)}."
        )
    reason = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no details'}"
    return (
        f"The data set {hub_id} could not be loaded from the Hugging Face Hub ({reason}). Check the name and the "
        "connection (a private data set also needs `hf auth login`) and run the cell again; or set LAB_HUB=0 and restart the "
        f"kernel to work with the packaged data: {', '.join(NAMES)}."
    )


def _with_names(dataset: "Dataset", names: list[str]) -> "Dataset":
    from datasets import ClassLabel

    return dataset.cast_column("label", ClassLabel(names=names))


def _rated(name: str, neutral: bool) -> "Dataset":
    from datasets import ClassLabel, Dataset, Features, List, Value

    from . import assets

    stem, source = RATED[name]
    folder = assets.path("rated_sentences")
    ratings = {row[0]: json.loads(row[3]) for row in _table(folder / f"{stem}_anonDataRatings.txt")}
    rows = [_rated_row(row[2], ratings[row[0]], source) for row in _table(folder / f"{stem}_GroundTruth.txt")]
    # "neutral" comes last, so that the other two keep their numbers whether or not it is there
    names = ["negative", "positive", *(["neutral"] if neutral else [])]
    features = Features(
        text=Value("string"), label=ClassLabel(names=names), rating=Value("float64"),
        ratings=List(Value("int8")), source=Value("string"),
    )  # fmt: skip
    return Dataset.from_list([row for row in rows if row["label"] < len(names)], features=features)


def _rated_row(text: str, ratings: list[int], source: str) -> dict[str, Any]:
    rating = sum(ratings) / len(ratings)
    label = 2 if abs(rating) < NEUTRAL_BELOW else int(rating > 0)
    return {"text": text.strip(), "label": label, "rating": rating, "ratings": ratings, "source": source}


def _table(file: Path) -> list[list[str]]:
    lines = file.read_text(encoding="utf-8-sig").split("\n")
    return [line.rstrip("\r").split("\t") for line in lines if line.strip()]


def packaged_topics() -> "Dataset":
    """Load the BBC articles of the offline course, whatever the profile.

    Returns:
        Columns `text`, `label` (ClassLabel) and `headline`.
    """
    from datasets import ClassLabel, Dataset, Features, Value

    from . import assets

    folder = assets.path("bbc_news")
    files = [(topic, file) for topic in TOPICS for file in sorted((folder / topic).glob("*.txt"))]
    features = Features(text=Value("string"), label=ClassLabel(names=list(TOPICS)), headline=Value("string"))
    return Dataset.from_list(
        [{**_article(file), "label": TOPICS.index(topic)} for topic, file in files], features=features
    )


def _article(file: Path) -> dict[str, str]:
    content = file.read_bytes()
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:  # one of the 2,225 files was saved in the older encoding
        lines = content.decode("latin-1").splitlines()
    headline, *body = [line.strip() for line in lines if line.strip()]
    return {"headline": headline, "text": "\n".join(body)}


def packaged_spam() -> "Dataset":
    """Load the text messages as the package has them, with the rows that somebody's reader once glued together.

    Returns:
        Columns `text` and `label` (ClassLabel "ham", "spam").
    """
    from . import assets
    from . import files as table_files

    named = table_files.read(assets.path("sms_spam") / "sms-spam.csv", "text", "spam", False, "utf-8")
    return _with_names(named, ["ham", "spam"])


PACKAGED = {"topics": packaged_topics, "spam": packaged_spam}
