"""A learner's project on disk: its splits, and a log of what was planned, tried, chosen and tested, in that order."""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core import files, settings
from ...core.settings import LabError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

SPLITS = ("train", "validation", "test")
# What makes two entries of a kind speak of the same thing; a cell that is run again writes nothing twice.
SAME = {
    "plan": (),
    "baseline": ("name",),
    "run": ("method", "setting", "seed"),
    "choice": (),
    "opened": (),
    "test": (),
}
# What may differ between two runs of one cell.
PASSING = ("time", "seconds")


def named(source: str | Path) -> str:
    """Make a project's name of a file's (or a data set's): it is a folder, too. "Отзывы 2.csv" gives "Отзывы-2"."""
    return re.sub(r"\W+", "-", Path(source).stem).strip("-_")[:40] or "mine"


def folder(name: str) -> Path:
    """Tell where a project lies."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w-]*", name):
        raise LabError(f"name={name!r} cannot name a project. Use letters, digits, '-' and '_' only.")
    lab = settings.current()
    return lab.workspace / "project" / f"{name}{'-smoke' if lab.max_examples else ''}"


def keep(name: str, splits: "DatasetDict") -> Path:
    """Write the splits of a project to one file that a person can read.

    Args:
        name: of the project.
        splits: "train", "validation" and "test", each with columns `text` and `label` (ClassLabel).

    Returns:
        <folder>/splits.jsonl, one JSON object per line.

    Raises:
        LabError: when a split or a column is missing, or the disk refuses.
    """
    if missing := [part for part in SPLITS if part not in splits]:
        raise LabError(
            f"keep({name!r}): there is no split {missing[0]!r}. Give it what data.split() returns."
        )
    lines = [json.dumps(row, ensure_ascii=False) for part in SPLITS for row in _rows(part, splits[part])]
    path = folder(name) / "splits.jsonl"
    files.write(path, "\n".join(lines) + "\n")
    print(f"Kept {', '.join(f'{part} {len(splits[part]):,}' for part in SPLITS)} in {path}.")
    return path


def rows(name: str) -> list[dict[str, str]]:
    """Read what `keep` wrote, test split included: for checks, not for training."""
    return files.records(folder(name) / "splits.jsonl")


def splits(name: str) -> "DatasetDict":
    """Load train and validation. The test split comes from `open_test`, once.

    Args:
        name: of the project.

    Returns:
        Splits "train" and "validation" with columns `text` and `label` (ClassLabel, names sorted).

    Raises:
        LabError: when no splits are kept.
    """
    from datasets import DatasetDict

    return DatasetDict({part: _dataset(name, part) for part in ("train", "validation")})


def open_test(name: str) -> "Dataset":
    """Load the test split, and note in the log that it was opened, and for which choice.

    Args:
        name: of the project.

    Returns:
        The test split, with columns as in `splits`.

    Raises:
        LabError: when nothing was chosen yet, or no splits are kept.
    """
    chosen = latest(name, "choice")
    if chosen is None:
        raise LabError(
            "Nothing is chosen yet, and a test that is opened before the choice is a second validation. Choose on "
            f'validation first: project.note({name!r}, "choice", method=…, setting=…).'
        )
    note(name, "opened", method=chosen["method"], setting=chosen["setting"])
    return _dataset(name, "test")


def note(name: str, kind: str, /, **fields: Any) -> None:
    """Add an entry to the project's log, unless the last one about the same thing says just that.

    Args:
        name: of the project.
        kind: "plan" (metric, margin, …), "baseline" (name, score), "run" (method, setting, seed, score), "choice"
            (method, setting), "opened" or "test" (score, …).
        fields: anything JSON can hold; floats are kept to six digits.

    Raises:
        LabError: when the kind is unknown, a field that names the thing is missing, or no splits are kept.
    """
    if kind not in SAME:
        raise LabError(f"note({kind!r}): there is no such kind of entry. Choose from: {', '.join(SAME)}.")
    if missing := [field for field in SAME[kind] if field not in fields]:
        raise LabError(f"note({name!r}, {kind!r}): say also {missing[0]}=….")
    entry = {"kind": kind, "data": _data_hash(name), **{key: _plain(value) for key, value in fields.items()}}
    with files.locked():
        last = next((old for old in reversed(entries(name, kind)) if _about(old) == _about(entry)), None)
        if last is None or _lasting(last) != _lasting(entry):
            stamped = entry | {"time": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
            files.append(folder(name) / "log.jsonl", stamped)


def entries(name: str, kind: str | None = None) -> list[dict[str, Any]]:
    """List the log's entries about the splits that are kept now, oldest first.

    Args:
        name: of the project.
        kind: only these; None for all.
    """
    if not rows(name):
        return []
    now = _data_hash(name)
    found = files.records(folder(name) / "log.jsonl")
    return [entry for entry in found if entry.get("data") == now and kind in (None, entry.get("kind"))]


def latest(name: str, kind: str) -> dict[str, Any] | None:
    """Look up the last entry of a kind; None when there is none."""
    return next(reversed(entries(name, kind)), None)


def summary(name: str) -> dict[str, Any]:
    """Put a finished project into a few numbers, as curriculum/recorded_projects.yaml keeps the worked examples."""
    about = {kind: [_named(entry) for entry in entries(name, kind)] for kind in SAME}
    return {
        "counts": {part: dict(counter) for part, counter in counts(name).items()},
        "baselines": {entry.pop("name"): entry for entry in about["baseline"]},
        "runs": list({tuple(_about(run)): _named(run) for run in entries(name, "run")}.values()),
        **{kind: about[kind][-1] if about[kind] else None for kind in ("plan", "choice", "test")},
    }


def same(text: str) -> str:
    """Reduce a text to what makes it that text: case, spaces and punctuation do not count.

    Letters of every script count with their vowel signs, so do digits, emoji, and the signs of C++ and C#. Two
    advertisements that differ in the number to call are one text only after `clean`, which makes digits zeros.

    Args:
        text: any string.

    Returns:
        Words in lower case, one space between them.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub(r"(?<![^\W\d_+#])[+#]", " ", plain)  # the plus of a number, the hash of a tag
    counts = (
        sign in "+#" or unicodedata.category(sign)[0] in "LMN" or unicodedata.category(sign) == "So"
        for sign in plain
    )
    return " ".join(
        "".join(sign if is_kept else " " for sign, is_kept in zip(plain, counts, strict=True)).split()
    )


def _rows(part: str, split: "Dataset") -> list[dict[str, str]]:
    from ...data.splitting import require

    require(split, "text", "label")
    names = split.features["label"].names
    pairs = zip(split["text"], split["label"], strict=True)
    return [{"split": part, "text": text, "label": names[label]} for text, label in pairs]


def _dataset(name: str, part: str) -> "Dataset":
    from datasets import ClassLabel, Dataset, Features, Value

    kept = rows(name)
    if not kept:
        raise LabError(
            f"The project {name!r} has no splits yet. Make them with project.keep({name!r}, splits), as the Saturday "
            "lesson does."
        )
    names = sorted({row["label"] for row in kept})
    chosen = [row for row in kept if row["split"] == part]
    return Dataset.from_dict(
        {"text": [row["text"] for row in chosen], "label": [names.index(row["label"]) for row in chosen]},
        features=Features(text=Value("string"), label=ClassLabel(names=names)),
    )


def _data_hash(name: str) -> str:
    content = files.read_bytes(folder(name) / "splits.jsonl")
    if not content:
        raise LabError(
            f"The project {name!r} has no splits yet, and every entry of its log names the data it is about. Make "
            f"them first: project.keep({name!r}, splits)."
        )
    return hashlib.sha256(content).hexdigest()[:12]


def _about(entry: dict[str, Any]) -> Any:
    return [entry.get(field) for field in SAME[entry["kind"]]]


def _lasting(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in PASSING}


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in ("kind", "data", "time")}


def _plain(value: Any) -> Any:
    number = value.item() if hasattr(value, "item") else value
    return round(number, 6) if isinstance(number, float) else number


def counts(name: str) -> dict[str, Counter]:
    """Count the texts of each label in each split.

    Returns:
        Split → Counter of label names.
    """
    found = {part: Counter() for part in SPLITS}
    for row in rows(name):
        found[row["split"]][row["label"]] += 1
    return found
