"""What is done so far: checklists, exercise attempts and the journal, in plain files the learner owns."""

import contextlib
import difflib
import html
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core import files, settings, timetable
from ..core.files import change, locked, read_bytes
from ..core.settings import LabError
from ..display import page as widget_page
from . import markdown, week_files
from .markdown import Document
from .week_files import edited


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
        Item id → ticked, for all weeks in teaching order. An id that the learner deleted from a file is False; one
        that stands in several files is ticked if it is ticked in any.

    Raises:
        LabError: when a file cannot be read.
    """
    ticked: dict[str, bool] = {}
    for week in week_files.weeks():
        for id, done in {**dict.fromkeys(week_files.items(week), False), **week_files.ticked(week)}.items():
            ticked[id] = ticked.get(id, False) or done
    return ticked


def tick(id: str, done: bool = True) -> None:
    """Tick an item, or clear it.

    Args:
        id: such as "D04-T5".
        done: False clears the box.

    Raises:
        LabError: when no checklist has this id, when its line has no box, or when the file cannot be written.
    """
    tick_all([id], done)


def tick_all(ids: Sequence[str], done: bool = True) -> None:
    """Tick several items, or clear them: all of them, or none and an error.

    Args:
        ids: such as ["D04-T5", "D04-T6"].
        done: False clears the boxes.

    Raises:
        LabError: when one id is unknown or has no box (nothing has changed then), or when a file cannot be written
            (the message names what was done before).
    """
    with locked():
        steps = _steps(list(dict.fromkeys(ids)))
        for week, own in steps:
            _try(week, own, done)
        saved: list[str] = []
        for week, own in steps:
            try:
                change(week_files.path(week), lambda raw, week=week, own=own: edited(week, raw, own, done))
            except LabError as error:
                raise LabError(f"{error} Saved before: {', '.join(saved) or 'nothing'}.") from error
            saved += own
        for id in dict.fromkeys(saved):
            week_files.remember_tick(id, done)


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
        change(week_files.path(week), lambda raw: week_files.started(week, raw).to_bytes())
    ticked, items = read(), timetable.items(day)
    for problem in week_files.problems():
        if problem.path.suffix == ".md":
            print(problem)
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
    with locked():
        files.append(
            _attempts_path(), asdict(Attempt(exercise_id, bool(passed), str(feedback), week_files.now()))
        )


def attempts(exercise_id: str | None = None) -> list[Attempt]:
    """List the attempts at an exercise, oldest first.

    Args:
        exercise_id: such as "day04/lora-config"; None for all exercises and quiz questions.

    Returns:
        The attempts; lines that are not ours or are damaged are passed over.

    Raises:
        LabError: when the file is there and cannot be read.
    """
    found = []
    for record in files.records(_attempts_path()):
        with contextlib.suppress(TypeError):
            found.append(Attempt(**record))
    return [attempt for attempt in found if exercise_id in (None, attempt.exercise_id)]


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
    heading = f"## {datetime.now():%Y-%m-%d} · {timetable.label(day)}, {day['title']}"
    entry = f"{heading}\n\n{_whole_characters(text).strip()}"
    with locked():
        before = read_bytes(path)
        change(path, lambda raw: _with_entry(raw or b"", entry))
        if read_bytes(path) == before:
            print("This entry is in your journal already.")
            return
    print(f"Written to {path.parent.name}/{path.name}.")


def keep_page(name: str, text: str) -> bool:
    """Write a page of the learner's own into the progress folder; one that is there already stays as it is.

    Args:
        name: file name, such as "my_troubleshooting.md".
        text: Markdown.

    Returns:
        True when the page is new, False when it was there.

    Raises:
        LabError: when the file cannot be written.
    """
    page = settings.current().progress / name
    with locked():
        if page.exists():
            return False
        files.write(page, text)
    return True


def _with_entry(raw: bytes, entry: str) -> bytes:
    journal = markdown.decode(raw)
    plain = journal.text.replace("\r\n", "\n").replace("\r", "\n")
    if f"{entry}\n\n##" in plain or plain.rstrip().endswith(entry):
        return raw
    first = journal if journal.text.strip("\ufeff \r\n") else Document("# Journal\n")
    return markdown.with_text(first, entry).to_bytes()


def _whole_characters(text: str) -> str:
    """Join what a broken paste has split into surrogates, which no file can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n")


def _show_checkboxes(day: dict[str, Any], items: list[dict[str, str]], ticked: dict[str, bool]) -> None:
    import ipywidgets

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
    widget_page.show(ipywidgets.VBox([*rows, status]))


def _with_code(text: str) -> str:
    """Turn a Markdown line with `code` and *stress* into HTML, which is all that a checkbox understands."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*([^*`]+)\*", r"<em>\1</em>", code)


def _steps(ids: list[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Say which week's file must change for which ids: each file that has the box, else the week of the timetable."""
    weeks = week_files.weeks()
    boxes = [week_files.ticked(week) for week in weeks]
    texts = [week_files.items(week) for week in weeks]
    known = dict.fromkeys(id for group in zip(texts, boxes, strict=True) for own in group for id in own)
    if unknown := [id for id in ids if id not in known]:
        raise LabError("\n".join(_unknown(id, list(known)) for id in unknown))
    owners: dict[int, list[str]] = {}
    for id in ids:
        places = [at for at, own in enumerate(boxes) if id in own]
        for at in places or [next(at for at, own in enumerate(texts) if id in own)]:
            owners.setdefault(at, []).append(id)
    return [(weeks[at], own) for at, own in sorted(owners.items())]


def _try(week: dict[str, Any], ids: list[str], done: bool) -> None:
    """Raise now what would fail later, before anything is written."""
    raw = read_bytes(week_files.path(week))
    if raw and not markdown.decode(raw).is_garbled:
        edited(week, raw, ids, done)


def _unknown(id: str, known: list[str]) -> str:
    close = difflib.get_close_matches(str(id).upper(), known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Ids look like {' or '.join(known[:2])}."
    return f"No checklist has an item {id!r}. {hint} Nothing was changed; try again with an id of your checklists."


def _attempts_path() -> Path:
    return settings.current().progress / "exercises.jsonl"
