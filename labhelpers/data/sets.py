"""Loads, tokenises and saves the course's data sets and the learner's own."""

import math
import re
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..core import files
from ..core.settings import LabError, current
from . import files as table_files
from . import sources
from .splitting import require, split

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from transformers import PreTrainedTokenizerBase


T = TypeVar("T", "Dataset", "DatasetDict")


def load(
    name_or_path: str | Path,
    text: str = "text",
    label: str = "label",
    *,
    neutral: bool = False,
    drop_empty: bool = False,
    encoding: str = "utf-8",
    separator: str | None = None,
    quotes: bool = True,
) -> "Dataset":
    """Load a data set of the course, a data set of the Hub, or a file of your own.

    Args:
        name_or_path: a name of the course, such as "sentiment", "topics" or "spam" (an unknown name lists them all); a
            Hub id such as "org/name"; or a path to a `.csv`, `.tsv` or `.jsonl` file.
        text, label: the columns to read, in a file or in a Hub data set.
        neutral: for the rated sentences: keep those with |mean rating| < 0.5 as a third class "neutral". Always
            from the packaged copy, because the Hub's sets carry no ratings.
        drop_empty: for a file: leave out rows without text or without label instead of stopping.
        encoding, separator: for a file: how its bytes become text, and what stands between its columns (a comma; in a
            `.tsv`, a tab).
        quotes: for a file: False where quotation marks are ordinary signs and never hold a field together.

    Returns:
        Columns `text` (str) and `label` (ClassLabel). The rated sentences add `rating` (mean, -4 to 4), `ratings`
        (one whole number per person, 15 to 99 of them) and `source`; the packaged "topics" add `headline`.

    Raises:
        LabError: when the name, the file or its content cannot be used; the message names the place.
    """
    name = str(name_or_path)
    if name in sources.sets():
        return sources.course_set(name, neutral)
    if neutral:
        raise LabError(
            f"neutral=True works for the course's rated sentences, not for {name!r}. Leave it out."
        )
    path = Path(name).expanduser()
    if table_files.readable(path) or path.exists():
        return table_files.read(path, text, label, drop_empty, encoding, separator, quotes)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return sources.hub_set(name, text, label)
    raise LabError(
        f"There is no data set {name!r}. Choose one of {', '.join(sources.sets())}, a Hub id such as 'org/name', or "
        f"the path of a {', '.join(table_files.READERS)} file."
    )


def tokenize(splits: T, tokenizer: "PreTrainedTokenizerBase", max_length: int) -> T:
    """Turn texts into token ids, cut at `max_length`, not padded (the collator pads each batch).

    Args:
        splits: one Dataset or several in a DatasetDict, with a column `text` and maybe `label`.
        tokenizer: from `AutoTokenizer.from_pretrained`.
        max_length: longest sequence, in tokens, special tokens included.

    Returns:
        The same shape with the tokenizer's columns (`input_ids`, `attention_mask`, …) and `labels`.

    Raises:
        LabError: when `max_length` is not between 1 and what the model can read, or a column is missing.
    """
    longest = tokenizer.model_max_length
    if type(max_length) is not int or not 1 <= max_length <= longest:
        raise LabError(
            f"max_length={max_length!r}: choose a whole number from 1 to {longest:,}, the model's limit."
        )
    first = splits if hasattr(splits, "features") else next(iter(splits.values()))
    require(first, "text")

    def encode(batch: dict) -> dict:
        encoded = dict(tokenizer(batch["text"], truncation=True, max_length=max_length))
        return encoded | ({"labels": batch["label"]} if "label" in batch else {})

    return splits.map(encode, batched=True, remove_columns=first.column_names, keep_in_memory=True)


def save(splits: "DatasetDict", name: str) -> Path:
    """Save splits in the workspace under a name, in one step: a crash leaves the old ones or the new ones.

    Args:
        splits: what `split` returned, or any DatasetDict.
        name: letters, digits, `-` and `_`. "sentiment" replaces what later days train on.

    Returns:
        The folder. The smoke profile and Hub data have folders of their own.

    Raises:
        LabError: when the name cannot be a folder, `splits` is not a DatasetDict, or the disk refuses.
    """
    from datasets import DatasetDict

    folder = _folder(name)
    if not isinstance(splits, DatasetDict) or not splits:
        raise LabError(
            f"save() got {type(splits).__name__}. Give it the DatasetDict that data.split() returns."
        )
    with files.lock(folder):
        _put(splits, folder)
    return folder


def prepared(name: str = "sentiment") -> "DatasetDict":
    """Give the splits that Day 2 saved, or make the same ones now.

    Args:
        name: as saved with `save`, or one of the course's data sets.

    Returns:
        Splits `train`, `validation` and `test`; in the smoke profile a stratified sample of them.

    Raises:
        LabError: when nothing is saved under that name and the course has no such data set.
    """
    folder = _folder(name)
    with files.lock(folder):
        splits = _saved(folder)
        if splits is None and name not in sources.sets():
            raise LabError(
                f"Nothing is saved as {name!r}. Saved: {_listing(folder)}. Course data: {', '.join(sources.sets())}."
            )
        if splits is None:
            print(f"No prepared {name!r} data in the workspace: making them now, as Day 2 does.")
            started = time.perf_counter()
            splits = _limited(split(load(name)), current().max_examples)
            _put(splits, folder)
            print(f"Saved in {folder} ({time.perf_counter() - started:.1f} s).")
    return _limited(splits, current().max_examples)


def _folder(name: str) -> Path:
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w-]*", name):
        raise LabError(f"name={name!r} cannot name a data set. Use letters, digits, '-' and '_' only.")
    settings = current()
    hub = "-hub" if settings.use_hub and "hub" in sources.sets().get(name, {}) else ""
    smoke = "-smoke" if settings.max_examples else ""
    return settings.workspace / "data" / f"{name}{hub}{smoke}"


def _put(splits: "DatasetDict", folder: Path) -> None:
    """Put splits in place of those in a folder, whole or not at all."""
    with files.new_folder(folder) as new:
        splits.save_to_disk(new)


def _saved(folder: Path) -> "DatasetDict | None":
    """Read a saved folder; a damaged one is set aside, never deleted."""
    from datasets import DatasetDict, load_from_disk

    if not folder.exists():
        return None
    try:
        splits = load_from_disk(folder, keep_in_memory=True)
        if isinstance(splits, DatasetDict) and splits:
            return splits
        reason = "it holds no splits"
    except Exception as error:  # arrow, json and datasets each have their own word for "damaged"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    aside = files.set_aside(folder)
    print(f"The data saved in {folder} cannot be read ({reason}). They are set aside as {aside.name}.")
    return None


def _listing(folder: Path) -> str:
    names = sorted(path.name for path in folder.parent.glob("[!.]*")) if folder.parent.exists() else []
    return ", ".join(names) or "nothing yet"


def _limited(splits: "DatasetDict", limit: int | None) -> "DatasetDict":
    """Shrink every split by the same factor, keeping the mix of labels."""
    from datasets import DatasetDict

    total = sum(len(part) for part in splits.values())
    if limit is None or total <= limit:
        return splits
    return DatasetDict({name: _sample(part, len(part) * limit // total) for name, part in splits.items()})


def _sample(dataset: "Dataset", size: int) -> "Dataset":
    """Take `size` rows, the first ones of each label: the rows of a split are already in random order."""
    if "label" not in dataset.column_names:
        return dataset.select(range(size))
    labels = dataset["label"][:]
    counts, taken, rows = Counter(labels), Counter(), []
    for row, label in enumerate(labels):
        if taken[label] < max(1, math.ceil(size * counts[label] / len(labels))) and len(rows) < size:
            taken[label] += 1
            rows.append(row)
    return dataset.select(rows)
