"""Reads the summaries that learners exported. A file is a stranger's: nothing in it is believed before it is checked."""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ...core.settings import LabError
from ...progress import summary

LARGEST = 1_000_000  # bytes; a summary of the whole course has about 40,000
MOST_FILES, DEEPEST = 5_000, 4
MOST_ENTRIES, MOST_TIMES = 2_000, 100_000
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}(/[A-Za-z0-9_.-]{1,60})?")


@dataclass(frozen=True)
class Tries:
    """What one learner did with one exercise or quiz question.

    Attributes:
        attempts: how often it was answered.
        passed_at: the attempt that passed, counted from 1; None when none did.
        first_failure: what was wrong first, as the summary names it; None when the first attempt passed.
    """

    attempts: int
    passed_at: int | None
    first_failure: str | None = None


@dataclass(frozen=True)
class Learner:
    """One learner as the newest summary shows them.

    Attributes:
        id: random number of the learner.
        name: as the learner gave it, unprintable characters replaced; None when none was given.
        file: name of the file, for people.
        exported: day of the summary.
        serial: how many summaries this learner had made.
        commit: version of the course, or None.
        days: days on which the learner worked, sorted.
        ticked: lesson or week → ticked ids.
        exercises, quiz: id → tries.
    """

    id: str
    name: str | None
    file: str
    exported: date
    serial: int
    commit: str | None
    days: tuple[date, ...]
    ticked: dict[str, frozenset[str]]
    exercises: dict[str, Tries]
    quiz: dict[str, Tries]


class _Unusable(Exception):
    """Why a file cannot be used, in words for an instructor."""


def read(folder: Path) -> tuple[list[Learner], list[str]]:
    """Read every summary in a folder and its subfolders.

    Args:
        folder: holds the .json files; links in it are not followed.

    Returns:
        The learners in order of name, each from the newest summary, and one sentence per file that was not used.

    Raises:
        LabError: when the folder does not exist or cannot be read.
    """
    if not folder.is_dir():
        raise LabError(f"There is no folder {folder}. Put your learners' summary files into one and name it.")
    found: list[Learner] = []
    said: list[str] = []
    for path in _files(folder, said):
        name = printable(path.relative_to(folder).as_posix())
        try:
            found.append(_learner(_document(path), name))
        except _Unusable as reason:
            said.append(f"{name}: {reason}")
    newest = _newest(found, said)
    return sorted(newest, key=lambda one: ((one.name or "\uffff").casefold(), one.id)), said


def printable(text: str) -> str:
    """Replace what would steer a terminal, reverse a line or vanish."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _files(folder: Path, said: list[str], depth: int = 0) -> Iterator[Path]:
    """Walk through the folder in order of names; say what was not opened."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if depth == 0:
            raise LabError(f"{folder} cannot be read: {error.strerror}. Make it readable for you.") from error
        said.append(f"{printable(folder.name)}: this folder cannot be read ({error.strerror})")
        return
    for entry in entries[:MOST_FILES]:
        if entry.is_dir(follow_symlinks=False):
            if depth < DEEPEST and not entry.name.startswith((".", "__MACOSX")):
                yield from _files(Path(entry.path), said, depth + 1)
        elif entry.name.lower().endswith(".json") and not entry.name.startswith("."):
            yield Path(entry.path)
    if len(entries) > MOST_FILES:
        said.append(
            f"{printable(folder.name)}: only the first {MOST_FILES:,} of its {len(entries):,} files were read"
        )


def _document(path: Path) -> dict[str, Any]:
    """Read one file as far as its checksum; whatever is in it, only _Unusable comes out."""
    raw = _bytes(path)
    try:
        document = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
        if not isinstance(document, dict) or document.get("format") != summary.FORMAT:
            raise _Unusable("it is no summary of this course")
        if document.get("version") != summary.VERSION:
            raise _Unusable(
                f"it is a summary of version {printable(str(document.get('version')))[:20]}, and this course reads "
                f"version {summary.VERSION}; update the older of the two courses and export again"
            )
        sound = summary.checksum(document) == document.get("checksum")
    except RecursionError:
        raise _Unusable("it is nested too deeply to be a summary") from None
    except UnicodeDecodeError:
        raise _Unusable("it is not in UTF-8; ask for the file as it was exported") from None
    except ValueError:
        raise _Unusable("it is not JSON, or only a part of it; ask for the file again") from None
    if not sound:
        raise _Unusable("its checksum does not fit: it was changed after the export; ask for a new one")
    return document


def _bytes(path: Path) -> bytes:
    try:
        state = path.lstat()
        if stat.S_ISLNK(state.st_mode):
            raise _Unusable("it is a link, and links are not followed; copy the file itself here")
        if not stat.S_ISREG(state.st_mode):
            raise _Unusable("it is no ordinary file")
        if state.st_size > LARGEST:
            raise _Unusable(f"it has {state.st_size:,} bytes, far more than any summary")
        # Opened without following links and without waiting: the file may have been swapped since we looked.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as stream:
            return stream.read(LARGEST + 1)[:LARGEST]
    except OSError as error:
        raise _Unusable(f"it cannot be read ({error.strerror or error})") from error


def _learner(document: dict[str, Any], file: str) -> Learner:
    """Check every field; a right checksum says nothing about who made the file."""
    try:
        owner, commit = document["learner"], document["course"]["commit"]
        name = owner["name"]
        _demand(isinstance(owner["id"], str) and re.fullmatch(r"[0-9a-f]{12}", owner["id"]), "learner")
        _demand(name is None or (isinstance(name, str) and len(name) <= summary.LONGEST_NAME), "name")
        _demand(
            commit is None or (isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{7,40}", commit)), "commit"
        )
        return Learner(
            owner["id"],
            printable(name).strip() or None if name else None,
            file,
            _date(document["exported"]),
            _count(document["serial"], "serial"),
            commit,
            tuple(sorted(_date(day) for day in _short(document["days"], list))),
            {_id(group): frozenset(map(_id, _short(ids, list))) for group, ids in _items(document["ticked"])},
            {
                _id(id): _tries(entry, "attempts", entry["first_failure"])
                for id, entry in _items(document["exercises"])
            },
            {_id(id): _tries(entry, "answers") for id, entry in _items(document["quiz"])},
        )
    except (KeyError, TypeError, AttributeError):
        raise _Unusable("a field is missing or of the wrong kind; ask for a new export") from None


def _tries(entry: dict[str, Any], count: str, failure: Any = None) -> Tries:
    attempts, passed_at = _count(entry[count], count), entry.get("passed_at", entry.get("right_at"))
    _demand(passed_at is None or 1 <= _count(passed_at, "passed_at") <= attempts, "passed_at")
    _demand(failure is None or (isinstance(failure, str) and len(failure) <= 200), "first_failure")
    return Tries(attempts, passed_at, failure and printable(failure))


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(_short(value, dict).items())


def _short(value: Any, kind: type) -> Any:
    _demand(isinstance(value, kind) and len(value) <= MOST_ENTRIES, "list")
    return value


def _id(value: Any) -> str:
    _demand(isinstance(value, str) and ID.fullmatch(value), "id")
    return value


def _count(value: Any, field: str) -> int:
    _demand(isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_TIMES, field)
    return value


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise _Unusable("it holds a date that is none; ask for a new export") from None


def _demand(condition: Any, field: str) -> None:
    if not condition:
        raise _Unusable(f"its field {field!r} holds something unexpected; ask for a new export")


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _newest(found: list[Learner], said: list[str]) -> list[Learner]:
    """Keep one summary per learner, the newest, and say which ones were passed over."""
    newest: dict[str, Learner] = {}
    for one in sorted(found, key=lambda one: (one.exported, one.serial)):
        if one.id in newest:
            older = newest[one.id].file
            said.append(
                f"{older}: not counted, because {one.file} is of the same learner and as new or newer"
            )
        newest[one.id] = one
    return list(newest.values())
