"""Brings the learner's checklists up to date with the course: items come, change and go; ticks and notes stay."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..core import files, timetable
from . import checklists, markdown, week_files
from .markdown import LINE, Document

WITHOUT_ID = re.compile(
    r"(?:^|(?<=\r))\ufeff?[ \t]*(?:[-*+]|\d+[.)])[ \t]+\[[ \t]*(?P<tick>[xX]?)[ \t]*\][ \t]*(?P<text>[^\r\n]*?)[ \t]*(?=[\r\n]|\Z)",
    re.MULTILINE,
)
HEADING = re.compile(r"(?:^|(?<=\r))#{1,6}[ \t]", re.MULTILINE)
SIGNS = {"added": "+", "reworded": "~", "id restored": "~", "yours": "=", "gone": "-"}


@dataclass(frozen=True)
class Change:
    """What the update did to one line, or why it left it.

    Attributes:
        kind: "added", "reworded", "id restored" (the line had lost its comment), "yours" (you reworded it: it stays)
            or "gone" (the course dropped it: it stays).
        path: the checklist.
        id: of the item, or of the day whose heading changed.
        text: as the course has it now; of a line that is gone, as it stands in the file.
    """

    kind: str
    path: Path
    id: str
    text: str

    def __str__(self) -> str:
        return f"{SIGNS[self.kind]} {self.path.name}: {self.id} {self.kind}: {self.text}"


def sync() -> list[Change]:
    """Bring every checklist that exists up to date; run it after the course was updated.

    Returns:
        What changed, and which lines of yours differ from the course; empty when all agrees.

    Raises:
        LabError: when a file cannot be read or written.
    """
    changes: list[Change] = []
    with files.locked():
        # Everywhere first: a line that lost its id may stand in the file of another week. A ticked one goes first.
        for step in (partial(_identified, ticked=True), partial(_identified, ticked=False), _updated):
            for week in week_files.weeks():
                path = week_files.path(week)
                if files.read_bytes(path):
                    own: list[Change] = []
                    files.change(path, lambda raw, step=step, week=week, own=own: step(week, raw, own))
                    changes += own
        for week in week_files.weeks():
            if week_files.path(week).exists():
                week_files.remember_texts(week)
    return changes


def forgotten() -> list[str]:
    """List the ids that a lesson or a command ticked and that are open in the files now.

    Either you cleared them by hand, or an editor saved an old copy of the file over the tick.
    """
    now = checklists.read()
    return [id for id, done in week_files.history().items() if done and not now.get(id, False)]


def _identified(week: dict[str, Any], raw: bytes | None, changes: list[Change], ticked: bool) -> bytes:
    """Put the id comment back behind lines of ours that lost it; `changes` is filled anew, as this may run again."""
    changes.clear()
    document = week_files.started(week, raw)
    if markdown.CONFLICT.search(document.text):  # first the learner decides which side is right
        return document.to_bytes()
    standing = {id for other in week_files.weeks() if other != week for id in week_files.ticked(other)}
    for id, texts in _all_texts().items():
        if id in standing or markdown.line_of(document.text, id) is not None:
            continue
        wanted = {_plain(markdown.written(document, text)) for text in texts}
        lines = [match for match in WITHOUT_ID.finditer(document.text) if bool(match["tick"]) == ticked]
        match = next((match for match in lines if _plain(match["text"]) in wanted), None)
        if match:
            changes.append(Change("id restored", week_files.path(week), id, _plain(match["text"])))
            document = _spliced(document, match.end("text"), match.end("text"), f" <!-- id: {id} -->")
    return document.to_bytes()


def _updated(week: dict[str, Any], raw: bytes | None, changes: list[Change]) -> bytes:
    """Apply the timetable to one file; `changes` is filled anew, as this may run again."""
    changes.clear()
    document = week_files.started(week, raw)
    if markdown.CONFLICT.search(document.text):
        return document.to_bytes()
    path, texts, known = week_files.path(week), week_files.items(week), week_files.course_texts()

    def note(kind: str, id: str, text: str) -> None:
        changes.append(Change(kind, path, id, text))

    document = _reworded(document, texts, known, note)
    document = _headings(document, week, known, note)
    elsewhere = {id for other in week_files.weeks() if other != week for id in week_files.ticked(other)}
    for id, text in texts.items():
        if id not in elsewhere and markdown.line_of(document.text, id) is None:
            document = _inserted(document, week, id)
            note("added", id, text)
    everywhere = {id for other in timetable.load()["weeks"] for id in week_files.items(other)}
    for match in LINE.finditer(document.text):
        if match["id"] in known and match["id"] not in everywhere:
            note("gone", match["id"], _plain(match["text"]))
    return document.to_bytes()


def _all_texts() -> dict[str, set[str]]:
    """All texts that the course gives or ever gave to each item."""
    found = {id: set(texts) for id, texts in week_files.course_texts().items()}
    for week in timetable.load()["weeks"]:
        for id, text in week_files.items(week).items():
            found.setdefault(id, set()).add(text)
    return found


def _reworded(document: Document, texts: dict[str, str], known: dict[str, list[str]], note: Any) -> Document:
    """Give the lines that are still as the course wrote them its new words; a learner's own words stay."""
    for match in reversed(list(LINE.finditer(document.text))):
        id, old = match["id"], _plain(match["text"])
        new = markdown.written(document, _plain(texts.get(id, "")))
        if not new or old == new:
            continue
        if old in {_plain(markdown.written(document, text)) for text in known.get(id, ())}:
            document = _spliced(document, match.start("text"), match.end("text"), f" {new} ")
            note("reworded", id, texts[id])
        else:
            note("yours", id, texts[id])
    return document


def _headings(document: Document, week: dict[str, Any], known: dict[str, list[str]], note: Any) -> Document:
    for day in week["days"]:
        new = timetable.heading(day)
        for old in set(known.get(day["id"], ())) - {new}:
            pattern = rf"(?:^|(?<=\r))## {re.escape(markdown.written(document, old))}(?=[ \t]*(?:[\r\n]|\Z))"
            if match := re.search(pattern, document.text, re.MULTILINE):
                document = _spliced(
                    document, match.start(), match.end(), markdown.written(document, f"## {new}")
                )
                note("reworded", day["id"], new)
    return document


def _inserted(document: Document, week: dict[str, Any], id: str) -> Document:
    """Add an item before the next one of its section, or after the one before it and the notes there, or at the end."""
    day = next((day for day in week["days"] if id in _ids(timetable.items(day))), None)
    entries = timetable.items(day) if day else week["checkpoints"]
    ids = _ids(entries)
    line = markdown.section("", [entries[ids.index(id)]])[-1]
    line = markdown.written(document, line) + document.newline
    starts = {match["id"]: match.start() for match in reversed(list(LINE.finditer(document.text)))}
    for later in ids[ids.index(id) + 1 :]:
        # Nothing goes before a byte-order mark.
        if later in starts and not document.text.startswith("\ufeff", starts[later]):
            return _spliced(document, starts[later], starts[later], line)
    for earlier in reversed(ids[: ids.index(id)]):
        if earlier in starts:
            return _after(document, starts[earlier], line)
    title = timetable.heading(day) if day else "At the end of the week"
    return markdown.with_text(document, "\n".join(markdown.section(title, [entries[ids.index(id)]])).strip())


def _after(document: Document, start: int, line: str) -> Document:
    """Put a line behind an item and whatever the learner wrote under it, up to a blank line, heading or next item."""
    lines = list(re.finditer(r"[^\r\n]*(?:\r\n|\n|\r|\Z)", document.text[start:]))
    end = start + lines[0].end()
    for match in lines[1:]:
        if not match[0].strip() or HEADING.match(match[0]) or LINE.match(match[0]):
            break
        end = start + match.end()
    glue = "" if document.text[:end].endswith(("\n", "\r")) else document.newline
    return _spliced(document, end, end, glue + line)


def _spliced(document: Document, start: int, end: int, text: str) -> Document:
    return markdown.replace(document, text=document.text[:start] + text + document.text[end:])


def _ids(entries: list[dict[str, str]]) -> list[str]:
    return [entry["id"] for entry in entries]


def _plain(text: str) -> str:
    return " ".join(text.split())
