"""Removes duplicates and divides data into train, validation and test."""

import hashlib
import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.settings import LabError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

# Not the training seed: a comparison over seeds is only fair on one and the same test set.
SPLIT_SEED = 42
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Leak:
    """One text that sits in more than one split: its wording, and the splits in order."""

    text: str
    splits: tuple[str, ...]


def text_hash(text: str) -> str:
    """Hash a text so that copies that differ only in case, spaces or Unicode form get the same value.

    Args:
        text: any string.

    Returns:
        32 hexadecimal digits.

    Raises:
        LabError: when `text` is not a string.
    """
    if not isinstance(text, str):
        raise LabError(f"text_hash() got {text!r} ({type(text).__name__}). Give it one string.")
    normalised = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(normalised.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def deduplicate(dataset: "Dataset") -> "Dataset":
    """Keep one row per text, and none of a text whose copies disagree about the label. Prints what it did.

    Args:
        dataset: with a column `text`, and usually `label`.

    Returns:
        The rows kept, in their old order, the first copy of each text.

    Raises:
        LabError: when there is no column `text`.
    """
    kept, sentence = _without_copies(dataset)
    print(sentence)
    return dataset.select(kept)


def split(
    dataset: "Dataset", fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = SPLIT_SEED
) -> "DatasetDict":
    """De-duplicate, then divide into train, validation and test with the same mix of labels in each.

    Args:
        dataset: with columns `text` and `label` (ClassLabel).
        fractions: shares of train, validation and test; they add up to 1.
        seed: decides which row goes where. The order of the rows does not matter.

    Returns:
        Splits `train`, `validation` and `test`. Prints one sentence about duplicates and sizes.

    Raises:
        LabError: when the fractions do not add up to 1, or when there are too few rows of some label.
    """
    from datasets import DatasetDict
    from sklearn.model_selection import train_test_split

    _check_fractions(fractions)
    require(dataset, "text", "label")
    by_hash = sorted(
        range(len(dataset)), key=[(text_hash(text), text) for text in dataset["text"]].__getitem__
    )
    dataset = dataset.select(by_hash)
    kept, sentence = _without_copies(dataset)
    labels = dataset["label"][:]
    _check_counts(Counter(labels[row] for row in kept), len(kept), fractions, dataset)
    train, rest = train_test_split(
        kept, train_size=fractions[0], stratify=[labels[row] for row in kept], random_state=seed
    )
    share = fractions[1] / (fractions[1] + fractions[2])
    validation, test = train_test_split(
        rest, train_size=share, stratify=[labels[row] for row in rest], random_state=seed
    )
    parts = dict(zip(SPLITS, (train, validation, test), strict=True))
    sizes = ", ".join(f"{name} {len(rows):,}" for name, rows in parts.items())
    print(f"{sentence} Split: {sizes}.")
    return DatasetDict({name: dataset.select(rows) for name, rows in parts.items()})


def leaks(splits: "DatasetDict") -> list[Leak]:
    """Find texts that sit in more than one split, by the hash that ignores case and spaces.

    Args:
        splits: each with a column `text`.

    Returns:
        One `Leak` per text, sorted by text; empty when the splits are clean. `pandas.DataFrame(leaks(…))` shows it.

    Raises:
        LabError: when a split has no column `text`.
    """
    seen: dict[str, dict[str, str]] = {}
    for name, dataset in splits.items():
        require(dataset, "text")
        for text in dataset["text"]:
            seen.setdefault(text_hash(text), {}).setdefault(name, text)
    shared = [Leak(next(iter(found.values())), tuple(found)) for found in seen.values() if len(found) > 1]
    return sorted(shared, key=lambda leak: leak.text)


def _without_copies(dataset: "Dataset") -> tuple[list[int], str]:
    """Row numbers to keep, and a sentence that says what was dropped."""
    require(dataset, "text")
    labels = dataset["label"][:] if "label" in dataset.column_names else [None] * len(dataset)
    first: dict[str, int] = {}
    conflicting: set[str] = set()
    hashes = [text_hash(text) for text in dataset["text"]]
    for row, key in enumerate(hashes):
        if labels[first.setdefault(key, row)] != labels[row]:
            conflicting.add(key)
    kept = [row for key, row in first.items() if key not in conflicting]
    disputed = sum(key in conflicting for key in hashes)
    copies = len(dataset) - len(kept) - disputed
    conflicts = f"{disputed:,} with conflicting labels dropped" if disputed else "no conflicting labels"
    return (
        kept,
        f"{len(dataset):,} rows: {copies:,} {'duplicate' if copies == 1 else 'duplicates'} removed, {conflicts}, {len(kept):,} kept.",
    )


def require(dataset: "Dataset", *columns: str) -> None:
    """Raise a LabError that names the columns present when a data set lacks one of these."""
    for column in columns:
        if column not in dataset.column_names:
            raise LabError(
                f"The data set has no column {column!r}; it has {', '.join(dataset.column_names)}. Rename one with "
                f"`dataset.rename_column(…, {column!r})`, or load the file with data.load(path, {column}=…)."
            )


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or min(fractions) <= 0 or not math.isclose(sum(fractions), 1, abs_tol=1e-6):
        raise LabError(
            f"fractions={tuple(fractions)}: give three positive shares that add up to 1, such as (0.8, 0.1, 0.1)."
        )


def _check_counts(counts: Counter, rows: int, fractions: Sequence[float], dataset: "Dataset") -> None:
    """Each split needs at least one row of each label, so that every label is trained on and tested.

    With n·f ≥ 1 rows of a label for the smallest share f, dividing by the mix of labels gives each split one or more.
    """
    needed = max(10, math.ceil(len(counts) / min(fractions) - 1e-9))
    if rows < needed:
        raise LabError(
            f"{rows} different texts with {len(counts)} labels are too few to split {tuple(fractions)}: at least "
            f"{needed} are needed. Collect more rows, or use larger shares for validation and test."
        )
    label, smallest = min(counts.items(), key=lambda item: item[1])
    feature = dataset.features["label"]
    name = feature.int2str(label) if hasattr(feature, "int2str") else label
    if len(counts) < 2:
        raise LabError(
            f"All texts have the label {name!r}. A split needs at least two labels: collect more texts."
        )
    each = math.ceil(1 / min(fractions) - 1e-9)
    if smallest < each:
        larger = ", or use larger shares: fractions=(0.6, 0.2, 0.2)" if min(fractions) < 0.2 else ""
        raise LabError(
            f"The label {name!r} has {smallest} different texts. To have one of each label in a split of "
            f"{min(fractions):g}, each label needs at least {each}: collect more, merge rare labels{larger}."
        )
