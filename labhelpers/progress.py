"""What is done so far: checklists, exercise attempts and the journal, in plain files the learner owns."""

import difflib
import html
import json
import os
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from . import checklist_file, settings, timetable
from .checklist_file import Document
from .own_files import locked, read_bytes, readable_errors, replace
from .settings import LabError


@dataclass(frozen=True)
class Attempt:
    """One answer to an exercise: when, whether it passed, and what the check said."""

    exercise_id: str
    passed: bool
    feedback: str
    time: str


def read() -> dict[str, bool]:
    """Read every checklist; a week without a file counts as untouched, and no file is made.

    Returns:
        Item id → ticked, for all weeks in teaching order. An id that the learner deleted from a file is False.

    Raises:
        LabError: when a file cannot be read.
    """
    ticked: dict[str, bool] = {}
    for week in timetable.load()["weeks"]:
        ticked |= dict.fromkeys(_week_items(week), False)
        ticked |= checklist_file.boxes(_document(week).text)
    return ticked


def tick(id: str, done: bool = True) -> None:
    """Tick an item, or clear it.

    Args:
        id: such as "D04-T5".
        done: False clears the box.

    Raises:
        LabError: when no checklist has this id, when its line has no box, or when the file cannot be written.
    """
    with locked():
        week = _week_of(id)
        document = _document(week)
        if id not in checklist_file.boxes(document.text):
            document = _restored(week, document, id)
        replace(_path(week), checklist_file.with_box(document, id, done).to_bytes())


def checklist(lesson: str) -> None:
    """Show a lesson's items as checkboxes that write to the week's Markdown file; print them without a browser.

    Args:
        lesson: lesson id, such as "day04".

    Raises:
        LabError: when there is no such lesson or its file cannot be read or made.
    """
    day = timetable.lesson(lesson)
    week = next(week for week in timetable.load()["weeks"] if week["id"] == day["week"])
    with locked():
        if not _path(week).exists():
            replace(_path(week), _document(week).to_bytes())
    ticked, items = read(), checklist_file.items(day)
    if settings.is_interactive():
        _show_checkboxes(day, items, ticked)
        return
    print(f"{timetable.label(day)}: {sum(ticked[item['id']] for item in items)} of {len(items)} done")
    for item in items:
        print(f"[{'x' if ticked[item['id']] else ' '}] {item['text']}")


def record_attempt(exercise_id: str, passed: bool, feedback: str) -> None:
    """Remember one attempt at an exercise.

    Args:
        exercise_id: such as "day04/lora-config".
        passed: whether the check accepted it.
        feedback: what the check said.

    Raises:
        LabError: when the id is empty or the file cannot be written.
    """
    if not isinstance(exercise_id, str) or not exercise_id.strip():
        raise LabError(f"record_attempt() needs the id of an exercise, but exercise_id is {exercise_id!r}.")
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    line = json.dumps(asdict(Attempt(exercise_id, bool(passed), str(feedback), now)))
    with locked(), readable_errors(_attempts_path(), "write"):
        _attempts_path().parent.mkdir(parents=True, exist_ok=True)
        with open(_attempts_path(), "ab+") as file:
            # After a crash the last line may lack its end; ours must not be glued to it.
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            glue = b"" if file.read(1) in (b"", b"\n") else b"\n"
            file.write(glue + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def attempts(exercise_id: str) -> list[Attempt]:
    """List the attempts at an exercise, oldest first.

    Args:
        exercise_id: such as "day04/lora-config".

    Returns:
        The attempts; lines that are not ours or are damaged are passed over.

    Raises:
        LabError: when the file is there and cannot be read.
    """
    found = []
    for line in read_bytes(_attempts_path()).decode("utf-8-sig", "replace").splitlines():
        try:
            attempt = Attempt(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if attempt.exercise_id == exercise_id:
            found.append(attempt)
    return found


def passed(exercise_id: str) -> bool:
    """Tell whether an exercise was ever passed."""
    return any(attempt.passed is True for attempt in attempts(exercise_id))


def write_journal(lesson: str, text: str) -> None:
    """Add an entry under today's date to progress/journal.md; what is there stays.

    Args:
        lesson: lesson id, such as "day04".
        text: Markdown. Nothing (or `...`) writes nothing; the same entry twice on one day is written once.

    Raises:
        LabError: when there is no such lesson, `text` is not a text, or the file cannot be written.
    """
    day = timetable.lesson(lesson)
    if text is ... or (isinstance(text, str) and not text.strip()):
        print(
            "Nothing to write yet. A sentence about what surprised you is a good entry; run the cell again then."
        )
        return
    if not isinstance(text, str):
        raise LabError(f"write_journal(): `text` is {type(text).__name__}. Give it your entry in quotes.")
    path = settings.current().progress / "journal.md"
    entry = f"## {datetime.now():%Y-%m-%d} · {timetable.label(day)}, {day['title']}\n\n{text.strip()}"
    with locked():
        journal = checklist_file.decode(read_bytes(path))
        if f"{entry}\n\n##" in (plain := journal.text.replace("\r\n", "\n")) or plain.rstrip().endswith(
            entry
        ):
            print("This entry is in your journal already.")
            return
        first = Document("# Journal\n") if not journal.text.strip("\ufeff \r\n") else journal
        replace(path, checklist_file.with_text(first, entry).to_bytes())
    print(f"Written to {path.parent.name}/{path.name}.")


def _show_checkboxes(day: dict[str, Any], items: list[dict[str, str]], ticked: dict[str, bool]) -> None:
    import ipywidgets
    from IPython.display import display

    status = ipywidgets.HTML()

    def write(id: str, done: bool) -> None:
        try:
            tick(id, done)
            said = f"Saved in progress/{day['week']}.md."
        except LabError as error:
            said = str(error)
        status.value = f'<span role="status">{html.escape(said)}</span>'

    rows = []
    for item in items:
        box = ipywidgets.Checkbox(
            value=ticked[item["id"]],
            description=_with_code(item["text"]),
            description_allow_html=True,
            indent=False,
            layout={"width": "100%"},
        )
        box.observe(lambda change, id=item["id"]: write(id, change["new"]), "value")
        rows.append(box)
    display(ipywidgets.VBox([*rows, status]))


def _with_code(text: str) -> str:
    """Turn a Markdown line with `code` into HTML, which is all that a checkbox understands."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _week_items(week: dict[str, Any]) -> dict[str, str]:
    """Map the ids of a week to their texts."""
    entries = [
        *(item for day in week["days"] for item in checklist_file.items(day)),
        *(week.get("checkpoints") or []),
    ]
    return {entry["id"]: entry["text"] for entry in entries}


def _week_of(id: str) -> dict[str, Any]:
    """Find the week an id belongs to, be it from the timetable or the learner's own."""
    weeks = timetable.load()["weeks"]
    known: dict[str, dict[str, Any]] = {}
    for week in weeks:
        for own in [*_week_items(week), *checklist_file.boxes(_document(week).text)]:
            known.setdefault(own, week)
    if id in known:
        return known[id]
    close = difflib.get_close_matches(str(id).upper(), known, n=3, cutoff=0.5) or list(known)[:3]
    raise LabError(
        f"No checklist has an item {id!r}. Did you mean {' or '.join(close)}? Call tick() with one of these."
    )


def _restored(week: dict[str, Any], document: Document, id: str) -> Document:
    """Add an item of the timetable that the learner's file lacks, unless its line is there without a box."""
    line = checklist_file.line_of(document.text, id)
    if line is not None:
        raise LabError(
            f"Line {line} of {_path(week)} has the id {id} but no box that can be ticked. "
            "Write `- [ ]` at its beginning, then try again."
        )
    entry = {"id": id, "text": _week_items(week)[id]}
    return checklist_file.with_text(
        document, "\n".join(checklist_file.section("Added since", [entry])).strip()
    )


def _path(week: dict[str, Any]) -> Path:
    return settings.current().progress / f"{week['id']}.md"


def _attempts_path() -> Path:
    return settings.current().progress / "exercises.jsonl"


def _document(week: dict[str, Any]) -> Document:
    if not _path(week).exists():
        return Document(checklist_file.template(week, timetable.label))
    return checklist_file.decode(read_bytes(_path(week)))
