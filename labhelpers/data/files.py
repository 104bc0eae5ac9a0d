"""Reads a learner's own .csv, .tsv or .jsonl data, and says precisely what is wrong with the file."""

import csv
import difflib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    from datasets import Dataset

Row = tuple[int, dict[str, Any]]  # line number in the file, columns


def read(path: Path, text: str, label: str, drop_empty: bool, encoding: str) -> "Dataset":
    """Read a file into columns `text` and `label` (ClassLabel, the names sorted); `drop_empty` as in `data.load`."""
    from datasets import ClassLabel, Dataset, Features, Value

    if path.suffix not in READERS:
        raise LabError(
            f"{path} is not a {', '.join(READERS)} file. Save it as one of these, then load it again."
        )
    rows = READERS[path.suffix](_decoded(path, encoding), path)
    if not rows:
        raise LabError(f"{path} has no rows. Check that the file is the right one and was saved.")
    _require_column(rows, text, "text", path)
    _require_column(rows, label, "label", path)
    rows = _with_text(rows, text, drop_empty, path)
    labels = _labels(rows, label, path)
    names = sorted(set(labels), key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))
    return Dataset.from_dict(
        {"text": [row[text] for _, row in rows], "label": [names.index(name) for name in labels]},
        features=Features(text=Value("string"), label=ClassLabel(names=names)),
    )


def _decoded(path: Path, encoding: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabError(_cannot_open(path, error)) from error
    try:
        return content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise LabError(
            f"{path} is not {encoding}: byte 0x{content[error.start]:02x} on line {line} cannot be read. Save the file as "
            'UTF-8, or try data.load(…, encoding="latin-1") and look at that line.'
        ) from error
    except LookupError as error:
        raise LabError(f'encoding={encoding!r} is unknown. Try "utf-8", "latin-1" or "cp1252".') from error


def _cannot_open(path: Path, error: OSError) -> str:
    if path.parent.is_dir() and not path.exists():
        others = sorted(file.name for file in path.parent.iterdir() if file.suffix in READERS)
        close = difflib.get_close_matches(path.name, others, n=1, cutoff=0.5) or others[:3]
        hint = f" In that folder: {', '.join(close)}." if close else ""
        return f"There is no file {path.absolute()}.{hint} Check the name, or give the full path."
    return f"{path.absolute()} cannot be opened ({error.strerror}). Check the folder, or give the full path of the file."


def _csv_rows(content: str, path: Path) -> list[Row]:
    csv.field_size_limit(1 << 24)  # long documents are welcome
    reader = csv.DictReader(
        io.StringIO(content, newline=""), delimiter="\t" if path.suffix == ".tsv" else ","
    )
    rows = []
    try:
        for row in reader:
            if None in row:
                raise LabError(
                    f"{path} has more fields on line {reader.line_num} than the {len(reader.fieldnames or [])} columns "
                    'of its first line. A text that holds the separator must stand in double quotes: "…".'
                )
            rows.append((reader.line_num, row))
    except csv.Error as error:
        raise LabError(
            f"{path} cannot be read near line {reader.line_num}: {error}. Save it again as plain text."
        ) from error
    return rows


def _jsonl_rows(content: str, path: Path) -> list[Row]:
    # Not splitlines(): a text may hold the Unicode line separators that JSON leaves as they are.
    lines = enumerate(content.split("\n"), start=1)
    return [(number, _json_object(line, number, path)) for number, line in lines if line.strip()]


def _json_object(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise LabError(
            f"{path} has no valid JSON on line {number}: {error.msg} at character {error.colno}, in {line.strip()[:60]!r}. "
            'Each line must be one JSON object such as {"text": "…", "label": "…"}.'
        ) from error
    if not isinstance(row, dict):
        raise LabError(
            f"{path} has a {type(row).__name__} on line {number}. Each line must be one object in braces."
        )
    return row


READERS: dict[str, Callable[[str, Path], list[Row]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _jsonl_rows,
}


def _require_column(rows: list[Row], column: str, argument: str, path: Path) -> None:
    found = list(dict.fromkeys(name for _, row in rows for name in row))
    if column in found:
        return
    close = difflib.get_close_matches(column.lower(), [name.lower() for name in found], n=1, cutoff=0.4)
    guess = next((name for name in found if close and name.lower() == close[0]), "…")
    semicolons = (
        " The columns seem to be separated by ';': save the file with commas." if ";" in found[0] else ""
    )
    raise LabError(
        f"{path} has no column {column!r}; it has {', '.join(map(repr, found))}. Name yours: "
        f"data.load(…, {argument}={guess!r}).{semicolons}"
    )


def _with_text(rows: list[Row], text: str, drop_empty: bool, path: Path) -> list[Row]:
    wrong = [line for line, row in rows if row.get(text) is not None and not isinstance(row[text], str)]
    if wrong:
        raise LabError(
            f"{path} has something other than a text in {text!r} {_lines(wrong)}. Put it in quotes."
        )
    empty = {line for line, row in rows if not (row.get(text) or "").strip()}
    if len(empty) == len(rows):
        raise LabError(
            f"Every row of {path} has an empty {text!r}. Name the column with the texts: data.load(…, text=…)."
        )
    if empty and not drop_empty:
        raise LabError(
            f"{path} has no text in {text!r} {_lines(sorted(empty))}. Fill the gaps, or leave those rows out with "
            "data.load(…, drop_empty=True)."
        )
    return [(line, row) for line, row in rows if line not in empty]


def _labels(rows: list[Row], label: str, path: Path) -> list[str]:
    """Labels as names, after checks that catch a wrong column before an hour of training does."""
    labels = ["" if row.get(label) is None else str(row[label]).strip() for _, row in rows]
    missing = [line for (line, _), name in zip(rows, labels, strict=True) if not name]
    if missing:
        raise LabError(
            f"{path} has no label in {label!r} {_lines(missing)}. Fill the gaps, or delete those rows."
        )
    classes = set(labels)
    if len(classes) == 1:
        raise LabError(
            f"Every row of {path} has the label {labels[0]!r}. A classifier needs at least two classes: add rows of "
            "another class, or name the right column with data.load(…, label=…)."
        )
    if len(classes) > max(20, len(rows) / 2):
        raise LabError(
            f"{label!r} in {path} holds {len(classes)} different values in {len(rows)} rows, which looks like texts or "
            "ids, not classes. Name the column with the classes: data.load(…, label=…)."
        )
    return labels


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    return f"in {len(numbers)} row{'s' if len(numbers) > 1 else ''} (line {shown})"
