"""Reads a learner's own .csv, .tsv or .jsonl data, and says precisely what is wrong with the file."""

import codecs
import csv
import difflib
import io
import itertools
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    from datasets import Dataset

Row = tuple[int, dict[str, Any]]  # line number in the file, columns

MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# What spreadsheets and older systems save; of two that read a file alike, the first is named.
ENCODINGS = [
    "cp1252",
    "cp1251",
    "cp1250",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "gb18030",
    "cp932",
    "cp949",
    "big5",
]
# How programs write that there is nothing. An answer "none" is a text; "nan" is one of nobody's.
NO_TEXT = {"", "nan", "<na>", "#n/a", "null"}
NO_LABEL = NO_TEXT | {"none", "n/a", "na", "nil", "?"}


def read(
    path: Path,
    text: str,
    label: str,
    drop_empty: bool,
    encoding: str,
    separator: str | None = None,
    quotes: bool = True,
) -> "Dataset":
    """Read a file into columns `text` and `label` (ClassLabel, the names sorted); the options as in `data.load`."""
    from datasets import ClassLabel, Dataset, Features, Value

    if not readable(path):
        raise LabError(
            f"{path} is not a {', '.join(READERS)} file. Save it as one of these, then load it again."
        )
    wanted = _Table(path, text, label, separator, quotes)
    rows = READERS[path.suffix.lower()](_decoded(path, encoding), wanted)
    if not rows:
        raise LabError(f"{path} has no rows. Check that the file is the right one and was saved.")
    _require_columns(list(dict.fromkeys(name for _, row in rows for name in row)), wanted)
    rows = _complete(rows, wanted, drop_empty)
    labels = _labels(rows, label, path)
    names = sorted(set(labels), key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))
    return Dataset.from_dict(
        {"text": [row[text] for _, row in rows], "label": [names.index(name) for name in labels]},
        features=Features(text=Value("string"), label=ClassLabel(names=names)),
    )


def readable(path: Path) -> bool:
    """Whether a file's name says that it can be read here."""
    return path.suffix.lower() in READERS


@dataclass(frozen=True)
class _Table:
    """Which columns of which file are wanted, and how the file is written."""

    path: Path
    text: str
    label: str
    separator: str | None
    quotes: bool

    @property
    def between(self) -> str:
        """What stands between two columns."""
        return self.separator or ("\t" if self.path.suffix.lower() == ".tsv" else ",")


def _decoded(path: Path, encoding: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabError(_cannot_open(path, error)) from error
    _check_start(content, path, encoding)
    try:
        decoded = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        place = f"byte 0x{content[start]:02x} on line {content[:start].count(10) + 1}"
        raise LabError(
            f"{path} is not {encoding}: {place} cannot be read. {_candidates(content, start)}"
        ) from error
    except LookupError as error:
        raise LabError(f'encoding={encoding!r} is unknown. Try "utf-8", "cp1252" or "utf-16".') from error
    # latin-1 reads every file, and gives these signs where cp1252 has a dash or a euro.
    odd = re.search("\0" if encoding.lower().startswith("utf") else "[\0\x80-\x9f]", decoded)
    if odd is None:
        return decoded
    line = decoded[: odd.start()].count("\n") + 1
    start = sum(map(len, content.splitlines(keepends=True)[: line - 1]))
    raise LabError(
        f"Read as {encoding}, {path} holds the control sign {odd[0]!r} on line {line}, which nobody types: it was saved "
        f"in another encoding. {_candidates(content, start)}"
    )


def _check_start(content: bytes, path: Path, encoding: str) -> None:
    """Some files say in their first bytes what they are."""
    if content.startswith(b"PK\x03\x04"):
        raise LabError(f'{path} is an Excel workbook, not text. Save it as "CSV UTF-8", then load that file.')
    mark = next((name for start, name in MARKS.items() if content.startswith(start)), None)
    if mark is None or encoding.lower().replace("_", "-").startswith(mark):
        return
    tab = "\t" in content.decode(mark, "replace").split("\n")[0]
    tabs = " and its columns are separated by tabs" if tab else ""
    option = ', separator="\\t"' if tab and path.suffix.lower() != ".tsv" else ""
    raise LabError(
        f'{path} begins with the mark of {mark.upper()} (Excel\'s "Unicode text"){tabs}. Load it with '
        f'data.load(…, encoding="{mark}"{option}).'
    )


def _candidates(content: bytes, place: int) -> str:
    """Show the line at a place as likely encodings read it: only who reads the language can tell which one is right."""
    import charset_normalizer

    if b"\0" in content[:2000]:
        return 'Zero bytes speak for encoding="utf-16-le" or "utf-16-be". Or save the file as UTF-8.'
    line = content[:place].count(b"\n")
    found = charset_normalizer.from_bytes(content, cp_isolation=ENCODINGS)
    names = [next((name for name in ENCODINGS if name in each.could_be_from_charset), "") for each in found]
    # A short text does not tell: then the commonest ones are shown, too.
    shown: dict[str, str] = {}
    for name in [*filter(None, names[:2]), "cp1252", "cp1251"]:
        try:
            shown.setdefault(content.decode(name).split("\n")[line].strip()[:60], name)
        except (UnicodeDecodeError, IndexError):
            continue
    if not shown:
        return "Save the file as UTF-8."
    readings = "; ".join(f'encoding="{name}" gives {text!r}' for text, name in shown.items())
    return f"Save it as UTF-8, or load it with the encoding that reads that line rightly: {readings}."


def _cannot_open(path: Path, error: OSError) -> str:
    if path.parent.is_dir() and not path.exists():
        others = sorted(file.name for file in path.parent.iterdir() if readable(file))
        close = difflib.get_close_matches(path.name, others, n=1, cutoff=0.5) or others[:3]
        hint = f" In that folder: {', '.join(close)}." if close else ""
        return f"There is no file {path.absolute()}.{hint} Check the name, or give the full path."
    return f"{path.absolute()} cannot be opened ({error.strerror}). Check the folder, or give the full path of the file."


def _csv_rows(content: str, wanted: _Table) -> list[Row]:
    csv.field_size_limit(1 << 24)  # long documents are welcome
    if told := re.match(r'"?sep=([^\n\r])"?', content):  # how Excel may note the separator above the header
        wanted, content = replace(wanted, separator=wanted.separator or told[1]), content[told.end() :]
    style = {"delimiter": wanted.between, "strict": True}
    style |= {} if wanted.quotes else {"quoting": csv.QUOTE_NONE}
    reader = csv.reader(io.StringIO(content, newline=""), **style)
    header: list[str] = []
    rows, first = [], 1
    try:
        for cells in reader:
            if cells and not header:
                header = cells
                _check_header(header, content, wanted)
            elif cells:
                _check_width(first, cells, header, wanted)
                rows.append((first, dict(zip(header, cells, strict=False))))
            first = reader.line_num + 1
    except csv.Error as error:
        raise LabError(_unreadable(error, first, reader.line_num, wanted)) from error
    _check_swallowed(rows, wanted)
    return rows


def _check_header(header: list[str], content: str, wanted: _Table) -> None:
    """Blame the first line before any row: a wrong separator or a missing header makes every row look wrong."""
    twice = next((name for name in (wanted.text, wanted.label) if header.count(name) > 1), None)
    if twice is not None:
        raise LabError(
            f"{wanted.path} has {header.count(twice)} columns named {twice!r}, and only one can be meant. Rename the "
            "others in its first line."
        )
    if wanted.text in header and wanted.label in header:
        return
    if not _is_even(content, wanted.between):
        shown = next((repr(sign) for sign in ",;\t|" if _is_even(content, sign)), None)
        if shown:
            raise LabError(
                f"The columns of {wanted.path} seem to be separated by {shown}, not by {wanted.between!r}: load it with "
                f"data.load(…, separator={shown})."
            )
    first, *others = content.lstrip("\r\n").split("\n", 1)
    below = csv.reader(io.StringIO("".join(others)), delimiter=wanted.between)
    columns = list(zip(*itertools.islice(filter(None, below), 1000), strict=False))
    # A header's word is no class of its own column, and no sentence.
    again = any(name.strip() in column for name, column in zip(header, columns, strict=False))
    if again or any(len(name.split()) > 4 for name in header):
        line = wanted.between.join((wanted.text, wanted.label))
        raise LabError(
            f"The first line of {wanted.path} looks like data ({first.strip()[:60]!r}), not like the names of columns. "
            f"Put a line with the names on top, such as {line!r} in the order of your columns."
        )
    _require_columns(header, wanted)


def _is_even(content: str, separator: str) -> bool:
    """Whether the first rows have equally many columns with this separator, and more than one."""
    rows = filter(None, csv.reader(io.StringIO(content), delimiter=separator))
    widths = {len(cells) for cells in itertools.islice(rows, 5)}
    return len(widths) == 1 and widths != {1}


def _check_width(line: int, cells: list[str], header: list[str], wanted: _Table) -> None:
    if any(cell.strip() for cell in cells[len(header) :]):
        raise LabError(
            f"{wanted.path} has more fields on line {line} than the {len(header)} columns "
            'of its first line. A text that holds the separator must stand in double quotes: "…".'
        )


def _unreadable(error: csv.Error, first: int, last: int, wanted: _Table) -> str:
    if not wanted.quotes or not ("expected after" in str(error) or "unexpected end" in str(error)):
        return f"{wanted.path} cannot be read near line {last}: {error}. Save it again as plain text."
    return _swallows(wanted, first, f"what follows up to line {last} would become part of it")


def _swallows(wanted: _Table, line: int, consequence: str) -> str:
    return (
        f"In {wanted.path}, a quotation mark opens a field on line {line} and is not closed as it should be: {consequence}. "
        'Delete that mark, or close the field (a mark inside a quoted field is written twice: ""). Are the '
        "marks of this file ordinary signs? data.load(…, quotes=False)."
    )


def _check_swallowed(rows: list[Row], wanted: _Table) -> None:
    """A lonely mark that happens to meet a second one glues whole rows into one text, with their labels inside."""
    labels = {row.get(wanted.label) for _, row in rows} - {""}
    for line, row in rows:
        for cell in row.values():
            parts = (
                [part.rstrip("\r").split(wanted.between) for part in cell.split("\n")] if "\n" in cell else []
            )
            glued = sum(len(part) == len(row) and (part[0] in labels or part[-1] in labels) for part in parts)
            if glued:
                raise LabError(_swallows(wanted, line, "the rows below it became part of its text"))


def _jsonl_rows(content: str, wanted: _Table) -> list[Row]:
    # Not splitlines(): a text may hold the Unicode line separators that JSON leaves as they are.
    lines = enumerate(content.split("\n"), start=1)
    return [(number, _json_object(line, number, wanted.path)) for number, line in lines if line.strip()]


def _json_object(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        row = json.loads(line, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        raise LabError(
            f"{path} has no valid JSON on line {number}: {error.msg} at character {error.colno}, in {line.strip()[:60]!r}. "
            'Each line must be one JSON object such as {"text": "…", "label": "…"}.'
        ) from error
    except KeyError as error:
        raise LabError(
            f"{path} has {error} twice on line {number}, and only one can be meant. Rename one."
        ) from error
    if not isinstance(row, dict):
        raise LabError(
            f"{path} has a {type(row).__name__} on line {number}. Each line must be one object in braces."
        )
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise LabError(
            f"{path} holds half of a character on line {number} ({error.object[error.start]!r}, such as an emoji cut in "
            "two). No model can read that: delete it, or write the whole character."
        ) from error
    return row


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names differ: Python would keep the last of two, without a word."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise KeyError(name)
    return dict(pairs)


READERS: dict[str, Callable[[str, _Table], list[Row]]] = {
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".jsonl": _jsonl_rows,
}


def _require_columns(found: list[str], wanted: _Table) -> None:
    for column, argument in ((wanted.text, "text"), (wanted.label, "label")):
        if column not in found:
            close = difflib.get_close_matches(
                column.lower(), [name.lower() for name in found], n=1, cutoff=0.4
            )
            guess = next((name for name in found if close and name.lower() == close[0]), "…")
            raise LabError(
                f"{wanted.path} has no column {column!r}; it has {', '.join(map(repr, found))}. Name yours: "
                f"data.load(…, {argument}={guess!r})."
            )


def _complete(rows: list[Row], wanted: _Table, drop_empty: bool) -> list[Row]:
    """Rows that have a text and a label; the others are left out only if that was asked for."""
    text, label, path = wanted.text, wanted.label, wanted.path
    odd = [line for line, row in rows if row.get(text) is not None and not isinstance(row[text], str)]
    if odd:
        raise LabError(f"{path} has something other than a text in {text!r} {_lines(odd)}. Put it in quotes.")
    odd = [line for line, row in rows if isinstance(row.get(label), list | dict)]
    if odd:
        raise LabError(
            f"{path} has a list or an object in {label!r} {_lines(odd)}. A label is one word or number for each text."
        )
    no_text = [line for line, row in rows if _word(row.get(text)).casefold() in NO_TEXT]
    no_label = {
        line: _word(row.get(label)) for line, row in rows if _word(row.get(label)).casefold() in NO_LABEL
    }
    if len(no_text) == len(rows):
        raise LabError(
            f"Every row of {path} has an empty {text!r}. Name the column with the texts: data.load(…, text=…)."
        )
    if no_text and not drop_empty:
        raise LabError(
            f"{path} has no text in {text!r} {_lines(no_text)}. Fill the gaps, or leave those rows out with "
            "data.load(…, drop_empty=True)."
        )
    if no_label and not drop_empty:
        words = ", ".join(repr(word) for word in sorted({*no_label.values()} - {""}))
        named = (
            f" ({words} usually means that nobody knew; if it is a class, give it another name)"
            if words
            else ""
        )
        raise LabError(
            f"{path} has no label in {label!r} {_lines(list(no_label))}{named}. Fill the gaps, or leave those rows out "
            "with data.load(…, drop_empty=True)."
        )
    gone = no_label.keys() | set(no_text)
    return [(line, row) for line, row in rows if line not in gone]


def _word(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()


def _labels(rows: list[Row], label: str, path: Path) -> list[str]:
    """Labels as names, after checks that catch a wrong column before an hour of training does."""
    labels = [_word(row[label]) for _, row in rows]
    classes = set(labels)
    if len(classes) < 2:
        raise LabError(
            f"Every row of {path} has the label {labels[0]!r}. A classifier needs at least two classes: add rows of "
            "another class, or name the right column with data.load(…, label=…)."
        )
    if len(classes) > max(20, len(rows) / 2):
        raise LabError(
            f"{label!r} in {path} holds {len(classes)} different values in {len(rows)} rows, which looks like texts or "
            "ids, not classes. Name the column with the classes: data.load(…, label=…)."
        )
    _check_twins(labels, rows, path)
    return labels


def _check_twins(labels: list[str], rows: list[Row], path: Path) -> None:
    """Two spellings of one class would be two classes."""
    spelt: dict[str, dict[str, int]] = defaultdict(dict)
    for name, (line, _) in zip(labels, rows, strict=True):
        spelt[_essence(name)].setdefault(name, line)

    def shown(name: str, spellings: dict[str, int]) -> str:
        alike = len({unicodedata.normalize("NFC", each) for each in spellings}) < len(spellings)
        return ascii(name) if alike else repr(name)

    twins = [spellings for spellings in spelt.values() if len(spellings) > 1]
    if not twins:
        return
    groups = [
        " and ".join(f"{shown(name, each)} (line {line})" for name, line in each.items()) for each in twins
    ]
    raise LabError(
        f"In {path}, labels differ only in case, spaces, invisible signs or the way a number is written: "
        f"{'; '.join(groups)}. Would you tell them apart? Write each class in one way, then load the file again."
    )


def _essence(label: str) -> str:
    """What of a label a person sees: no case, no blanks, no invisible sign; a number as a number."""
    plain = unicodedata.normalize("NFKC", label).casefold()
    seen = "".join(sign for sign in plain if unicodedata.category(sign)[0] not in "CZ")
    try:
        return f"{float(seen):g}"
    except ValueError:
        return unicodedata.normalize("NFC", seen)


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
    return f"in {len(numbers)} row{'s' if len(numbers) > 1 else ''} (line {shown})"
