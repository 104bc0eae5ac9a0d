"""The checklists as a whole: which file holds which id, what is ticked anywhere, and what nobody can read."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core import files, settings, timetable
from ..core.settings import LabError
from . import markdown
from .markdown import Document

FILE = re.compile(r"week\d+\.md")  # a week that an older course had


@dataclass(frozen=True)
class Problem:
    """Something in a file of the learner's that cannot be understood; nothing there was changed."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.what}."


def weeks() -> list[dict[str, Any]]:
    """List the weeks of the timetable, then those that only the learner's folder knows, after a course update."""
    known = timetable.load()["weeks"]
    names = {f"{week['id']}.md" for week in known}
    folder = settings.current().progress
    stray = [path for path in folder.glob("week*.md") if FILE.fullmatch(path.name) and path.name not in names]
    return [*known, *({"id": path.stem, "title": path.stem, "days": []} for path in sorted(stray))]


def items(week: dict[str, Any]) -> dict[str, str]:
    """Map the ids of a week to their texts."""
    entries = [
        *(item for day in week["days"] for item in timetable.items(day)),
        *timetable.end_of_week(week),
    ]
    return {entry["id"]: entry["text"] for entry in entries}


def path(week: dict[str, Any]) -> Path:
    """Where the checklist of a week lives."""
    return settings.current().progress / f"{week['id']}.md"


def ticked(week: dict[str, Any]) -> dict[str, bool]:
    """List the ids that have a box in a week's file; without a file there are none."""
    raw = files.read_bytes(path(week))
    document = markdown.decode(raw)
    return markdown.boxes(document.text) if not document.is_garbled else rescued(week, raw)


def rescued(week: dict[str, Any], raw: bytes) -> dict[str, bool]:
    """Find what can be found in a file that is no text any more: lines of ours between zeros, and our own log.

    The log counts for the items of this week, and for ticked ones that the file of their present week does not hold.
    """
    others = [other for other in weeks() if other["id"] != week["id"]]
    standing = {id for other in others for id in markdown.boxes(_document(other).text)}
    # An absent file was never begun, or thrown away; a garbled one is rescued by itself.
    absent = [other for other in others if not path(other).exists() or _document(other).is_garbled]
    own = standing | {id for other in absent for id in items(other)}
    logged = {id: True for id, done in history().items() if done and id not in own}
    return logged | markdown.boxes(raw.replace(b"\0", b"").decode("latin-1"))


def edited(week: dict[str, Any], raw: bytes | None, ids: list[str], done: bool) -> bytes:
    """Tick or clear items in the bytes of a week's file.

    Args:
        week: from `weeks()`.
        raw: the file; None while there is none.
        ids: of items that stand in the file or in the timetable.
        done: True ticks.

    Returns:
        The new bytes. A file that cannot be read is kept beside, and a new one takes over the ticks that it shows.

    Raises:
        LabError: when the line of an id has no box.
    """
    document = started(week, raw)
    for id in ids:
        if id not in markdown.boxes(document.text):
            document = _restored(week, document, id)
        document = markdown.with_box(document, id, done)
    return document.to_bytes()


def started(week: dict[str, Any], raw: bytes | None) -> Document:
    """Read a week's file; begin a new one where there is none, or where it cannot be read."""
    if raw is None:
        remember_texts(week)
        return template(week)
    document = markdown.decode(raw)
    if not document.is_garbled:
        return document
    copy = files.keep_aside(path(week), raw)
    line = markdown.problems(document)[0][0]
    print(
        f"{path(week)}, line {line}: this is not text. The file is kept as {copy.name}; a new one takes its place."
    )
    document = markdown.with_text(template(week), f"What could not be read here is in {copy.name}.")
    done = [id for id, was_ticked in rescued(week, raw).items() if was_ticked]
    texts = course_texts()
    strays = [{"id": id, "text": texts.get(id, [id])[-1]} for id in done if id not in items(week)]
    document = markdown.with_text(document, "\n".join(markdown.section("Found again", strays)).strip())
    for id in done:
        document = markdown.with_box(document, id, True)
    return document


def template(week: dict[str, Any]) -> Document:
    """The checklist as the course would write it now, with the ticks that its items have in other files."""
    document = Document(markdown.template(week, timetable.label))
    for other in weeks():
        for id, done in ticked(other).items() if other["id"] != week["id"] else ():
            document = markdown.with_box(document, id, True) if done else document
    return document


def problems() -> list[Problem]:
    """List what cannot be understood in the learner's checklists and logs.

    Raises:
        LabError: when a file is there and cannot be read.
    """
    found = []
    for week in weeks():
        document = markdown.decode(files.read_bytes(path(week)))
        found += [Problem(path(week), line, what) for line, what in markdown.problems(document)]
    for log in (history_path(), settings.current().progress / "exercises.jsonl"):
        what = "this line is damaged and was passed over. Repair or delete it"
        found += [Problem(log, line, what) for line in files.damaged(log)]
    return found


def history_path() -> Path:
    """The log of ticks, and of the texts that the course wrote into the checklists."""
    return settings.current().progress / "history.jsonl"


def history() -> dict[str, bool]:
    """Tell for each id whether a lesson or a command last ticked it or cleared it."""
    rows = files.records(history_path())
    return {
        row["id"]: row["done"] is True for row in rows if isinstance(row.get("id"), str) and "done" in row
    }


def remember_tick(id: str, done: bool) -> None:
    """Note a tick with its time; hold the lock while you do."""
    files.append(history_path(), {"time": now(), "id": id, "done": done})


def remember_texts(week: dict[str, Any]) -> None:
    """Note the texts that the course writes, so that an update can tell them from the learner's own words."""
    texts = {
        **items(week),
        **{day["id"]: timetable.heading(day) for day in week["days"]},
    }
    if any(text not in course_texts().get(id, ()) for id, text in texts.items()):
        files.append(history_path(), {"time": now(), "texts": texts})


def course_texts() -> dict[str, list[str]]:
    """Collect all texts that the course ever gave to an id in this learner's files, oldest first."""
    found: dict[str, list[str]] = {}
    for row in files.records(history_path()):
        texts = row.get("texts")
        for id, text in texts.items() if isinstance(texts, dict) else ():
            if isinstance(text, str):
                found.setdefault(id, []).append(text)
    return found


def now() -> str:
    """The time as the logs write it."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _document(week: dict[str, Any]) -> Document:
    return markdown.decode(files.read_bytes(path(week)))


def _restored(week: dict[str, Any], document: Document, id: str) -> Document:
    """Add an item of the timetable that the learner's file lacks, unless its line is there without a box."""
    line = markdown.line_of(document.text, id)
    if line is not None:
        raise LabError(
            f"Line {line} of {path(week)} has the id {id} but no box that can be ticked. "
            "Write `- [ ]` at its beginning, then try again."
        )
    # An item that the course has dropped is known from the log only.
    entry = {"id": id, "text": items(week).get(id) or course_texts().get(id, [id])[-1]}
    return markdown.with_text(document, "\n".join(markdown.section("Added since", [entry])).strip())
