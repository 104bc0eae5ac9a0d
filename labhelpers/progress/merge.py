"""Unites two versions of a learner's file where that loses nothing, and says so where it cannot."""

import contextlib
import json
import re
from collections import Counter
from datetime import datetime
from typing import Any

from . import markdown, week_files
from .markdown import Document

OPENED = re.compile(r"^(\s*(?:[-*+]|\d+[.)])\s+\[)\s*[xX]\s*\]")


def merged(name: str, present: bytes | None, other: bytes) -> tuple[str, bytes]:
    """Unite the file on disk with another version of it.

    Args:
        name: such as "week1.md" or "exercises.jsonl".
        present: the file on disk; None while there is none.
        other: the version to bring in.

    Returns:
        What happened, and the bytes for the file: "new", "same", "merged", or "beside" when both versions hold
        words that the other lacks (the bytes are those of the file, with the other's ticks in a checklist).
    """
    if present is None:
        return "new", other
    if present == other:
        return "same", present
    if name.endswith(".jsonl"):
        return _verdict(present, _united_logs(present, other))
    if week_files.FILE.fullmatch(name):
        return _checklists(present, other)
    if name.endswith(".json") and (united := _united_lists(present, other)):
        return _verdict(present, united)
    return _texts(present, other)


def _verdict(present: bytes, new: bytes) -> tuple[str, bytes]:
    return ("same" if new == present else "merged"), new


def _texts(present: bytes, other: bytes) -> tuple[str, bytes]:
    mine, theirs = present.splitlines(), other.splitlines()
    if _is_within(theirs, mine):
        return "same", present
    return ("merged", other) if _is_within(mine, theirs) else ("beside", present)


def _checklists(present: bytes, other: bytes) -> tuple[str, bytes]:
    """Give the fuller of two checklists the ticks of both; where each has words of its own, ours stays."""
    mine, theirs = markdown.decode(present), markdown.decode(other)
    if mine.is_garbled or theirs.is_garbled:
        return "beside", present
    both = {id for document in (mine, theirs) for id, done in markdown.boxes(document.text).items() if done}
    lines = [_open_lines(document) for document in (mine, theirs)]
    if not _is_within(lines[1], lines[0]) and _is_within(lines[0], lines[1]):
        return _verdict(present, _with_ticks(theirs, both))
    new = _with_ticks(mine, both)
    return _verdict(present, new) if _is_within(lines[1], lines[0]) else ("beside", new)


def _with_ticks(document: Document, ids: set[str]) -> bytes:
    for id in ids:
        document = markdown.with_box(document, id, True)
    return document.to_bytes()


def _open_lines(document: Document) -> list[bytes]:
    """Lines as they would read with every box empty, in one encoding and without the ends of lines."""
    plain = document.text.removeprefix("\ufeff")
    if document.encoding == "latin-1":
        plain = plain.encode("latin-1").decode("utf-8", "surrogateescape")
    lines = re.split(r"\r\n|\n|\r", plain)
    return [OPENED.sub(r"\1 ]", line).encode() for line in lines]


def _is_within(some: list[bytes], more: list[bytes]) -> bool:
    """Tell whether all lines of one version stand in the other, in their order; blank lines do not count."""
    rest = iter(line.rstrip() for line in more)
    return all(line.rstrip() in rest for line in some if line.strip())


def _united_logs(present: bytes, other: bytes) -> bytes:
    """Add the lines that only the other log has, each where its time puts it."""
    documents = [markdown.decode(raw) for raw in (present, other)]
    if not any(document.is_wide for document in documents):
        # Byte for byte, so that a damaged line comes through as it is.
        documents = [
            Document(raw.removeprefix(b"\xef\xbb\xbf").decode("latin-1"), "latin-1")
            for raw in (present, other)
        ]
    mine, theirs = documents
    lines = [line for line in _log_lines(mine) if line.strip()]
    others = [markdown.written(mine, line) for line in _log_lines(theirs) if line.strip()]
    missing = list((Counter(others) - Counter(lines)).elements())
    if not missing:
        return present
    rows = sorted(_dated(lines) + _dated(missing), key=lambda row: row[0])
    mark = "\ufeff" if mine.text.startswith("\ufeff") else ""
    return markdown.replace(mine, text=mark + "".join(f"{line}{mine.newline}" for _, line in rows)).to_bytes()


def _log_lines(document: Document) -> list[str]:
    return re.split(r"\r\n|\n|\r", document.text.removeprefix("\ufeff"))


def _dated(lines: list[str]) -> list[tuple[float, str]]:
    """Give each line its time; a line without one keeps to the line before it."""
    rows, moment = [], 0.0
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError, OverflowError, OSError):
            moment = datetime.fromisoformat(json.loads(line)["time"]).astimezone().timestamp()
        rows.append((moment, line))
    return rows


def _united_lists(present: bytes, other: bytes) -> bytes | None:
    """Unite two JSON objects that hold nothing but lists, such as what the start page has seen."""
    mine, theirs = _lists(present), _lists(other)
    if mine is None or theirs is None:
        return None
    united = {key: [*mine.get(key, []), *theirs.get(key, [])] for key in {**mine, **theirs}}
    unique = {
        key: list({json.dumps(value): value for value in values}.values()) for key, values in united.items()
    }
    return present if unique == mine else (json.dumps(unique, indent=1) + "\n").encode()


def _lists(raw: bytes) -> dict[str, list[Any]] | None:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and all(isinstance(own, list) for own in value.values()) else None
