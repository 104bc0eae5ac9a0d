"""Brings the learner's checklists up to date with the course: items come and change; ticks and notes stay."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import files, timetable
from . import checklists, markdown

END_OF_NOTES = re.compile(r"^(?:[ \t]*\r?$|#)", re.MULTILINE)
SIGNS = {"added": "+", "reworded": "~", "id restored": "~", "yours": "=", "gone": "-"}


@dataclass(frozen=True)
class Change:
    """What the update did to one line ("added", "reworded", "id restored") or why it left it ("yours", "gone")."""

    kind: str
    path: Path
    id: str
    text: str

    def __str__(self) -> str:
        return f"{SIGNS[self.kind]} {self.path.name}: {self.id} {self.kind}: {self.text}"


def sync() -> list[Change]:
    """Bring every checklist that exists up to date, and say what changed or differs; empty when all agrees."""
    changes: list[Change] = []
    with files.locked():
        for week in checklists.weeks():
            if checklists.path(week).exists():
                own: list[Change] = []
                checklists.rewrite(week, lambda text, week=week, own=own: _updated(week, text, own))
                checklists.remember_texts(week)
                changes += own
    return changes


def forgotten() -> list[str]:
    """List the ids that a lesson or a command ticked and that are open in the files now.

    Either you cleared them by hand, or an editor saved an old copy of the file over the tick.
    """
    now = checklists.read()
    return [id for id, done in checklists.history().items() if done and not now.get(id, False)]


def _updated(week: dict[str, Any], text: str, changes: list[Change]) -> str:
    """Apply the timetable to one file; `changes` is filled anew, as this may run again."""
    changes.clear()
    if markdown.CONFLICT.search(text):  # first the learner decides which side is right
        return text

    def note(kind: str, id: str, text: str) -> None:
        changes.append(Change(kind, checklists.path(week), id, text))

    wanted, known = checklists.items(week), checklists.course_texts()
    text = _with_headings(_reworded(text, wanted, known, note), week, known, note)
    elsewhere = {id for other in checklists.weeks() if other != week for id in checklists.boxes(other)}
    for id, wording in wanted.items():
        if id not in elsewhere and markdown.line_of(text, id) is None:
            restored = _identified(text, id, {wording, *known.get(id, ())})
            note("id restored" if restored else "added", id, wording)
            text = restored or _inserted(text, week, id)
    in_course = {id for other in timetable.load()["weeks"] for id in checklists.items(other)}
    for match in markdown.LINE.finditer(text):
        if match["id"] in known and match["id"] not in in_course:
            note("gone", match["id"], match["text"].strip())
    return text


def _reworded(text: str, wanted: dict[str, str], known: dict[str, list[str]], note: Callable) -> str:
    """Give the lines that are still as the course wrote them its new words; a learner's own words stay."""
    for match in reversed(list(markdown.LINE.finditer(text))):
        id, old = match["id"], _plain(match["text"])
        new = _plain(wanted.get(id, ""))
        if not new or old == new:
            continue
        is_ours = old in map(_plain, known.get(id, ()))
        note("reworded" if is_ours else "yours", id, new)
        if is_ours:
            text = f"{text[: match.start('text')]} {new} {text[match.end('text') :]}"
    return text


def _with_headings(text: str, week: dict[str, Any], known: dict[str, list[str]], note: Callable) -> str:
    for day in week["days"]:
        new = timetable.heading(day)
        for old in set(known.get(day["id"], ())) - {new}:
            pattern = re.compile(rf"^## {re.escape(old)}(?=[ \t]*\r?$)", re.MULTILINE)
            if match := pattern.search(text):
                text = f"{text[: match.start()]}## {new}{text[match.end() :]}"
                note("reworded", day["id"], new)
    return text


def _identified(text: str, id: str, wordings: Collection[str]) -> str | None:
    """Put the id back behind a line of ours that lost its comment, a ticked one first."""
    ours = {_plain(wording) for wording in wordings}
    lost = [
        match for match in markdown.LINE.finditer(text) if not match["id"] and _plain(match["text"]) in ours
    ]
    if not lost:
        return None
    match = max(lost, key=markdown.is_ticked)
    end = match.start("text") + len(match["text"].rstrip())
    return f"{text[:end]} {markdown.comment(id)}{text[end:]}"


def _inserted(text: str, week: dict[str, Any], id: str) -> str:
    """Add an item before the next one of its section, or after the one before it and its notes, or at the end."""
    title, entries = next(
        section for section in checklists.sections(week) if id in [entry["id"] for entry in section[1]]
    )
    ids = [entry["id"] for entry in entries]
    at = ids.index(id)
    line = markdown.line(entries[at]) + markdown.newline(text)
    starts = {match["id"]: match for match in reversed(list(markdown.LINE.finditer(text)))}
    if later := next((starts[other] for other in ids[at + 1 :] if other in starts), None):
        place = later.start() + text.startswith("\ufeff", later.start())  # nothing goes before that mark
        return text[:place] + line + text[place:]
    if earlier := next((starts[other] for other in reversed(ids[:at]) if other in starts), None):
        end = END_OF_NOTES.search(text, earlier.end())
        place = end.start() if end else len(text)
        glue = "" if text[:place].endswith("\n") else markdown.newline(text)
        return text[:place] + glue + line + text[place:]
    return markdown.with_text(text, markdown.section(title, [entries[at]]))


def _plain(text: str) -> str:
    return " ".join(text.split())
