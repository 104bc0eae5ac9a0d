"""What is done so far: the checklists of the weeks and the exercise attempts, in plain files the learner owns."""

import contextlib
import difflib
import html
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core import files, settings, timetable
from ..core.settings import LabError
from ..display import page as widget_page
from . import markdown

FILE = re.compile(r"week\d+\.md")  # a week that an older course had


@dataclass(frozen=True)
class Attempt:
    """One answer to an exercise: when, whether it passed, and what the check said."""

    exercise_id: str
    passed: bool
    feedback: str
    time: str


def read(strict: bool = True) -> dict[str, bool]:
    """Read every checklist; a week without a file counts as untouched, and no file is made.

    Args:
        strict: False lets a week whose file cannot be read count as untouched too.

    Returns:
        Item id → ticked, for all weeks in teaching order. An id that the learner deleted from a file is False; one
        that stands in several files is ticked if it is ticked in any.

    Raises:
        LabError: when a file cannot be read.
    """
    ticked: dict[str, bool] = {}
    for week in weeks():
        for id, done in {**dict.fromkeys(items(week), False), **boxes(week, strict)}.items():
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
    """Tick several items, or clear them: all, or none and a LabError that says which id is unknown or has no box."""
    with files.locked():
        steps = _steps(list(dict.fromkeys(ids)))
        for week, own in steps:  # raises now what would fail later, before anything is written
            _marked(week, begun(week, files.read_text(path(week))), own, done)
        for week, own in steps:
            rewrite(week, lambda text, week=week, own=own: _marked(week, text, own, done))
        for id in dict.fromkeys(id for _, own in steps for id in own):
            files.append(history_path(), {"time": _now(), "id": id, "done": done})


def checklist(lesson: str) -> None:
    """Show a lesson's items as checkboxes that write to the week's Markdown file; print them without a browser.

    Args:
        lesson: lesson id, such as "day04".

    Raises:
        LabError: when there is no such lesson or its file cannot be read or made.
    """
    day = timetable.lesson(lesson)
    with files.locked():
        rewrite(next(week for week in weeks() if week["id"] == day["week"]), lambda text: text)
    ticked, entries = read(strict=False), timetable.items(day)
    for problem in _checklist_problems():
        print(problem)
    if settings.is_interactive():
        _show_checkboxes(day, entries, ticked)
        return
    print(f"{timetable.label(day)}: {sum(ticked[entry['id']] for entry in entries)} of {len(entries)} done")
    for entry in entries:
        print(f"[{'x' if ticked[entry['id']] else ' '}] {entry['text']}")


def record_attempt(exercise_id: str, passed: bool, feedback: str) -> None:
    """Remember one attempt at an exercise or a quiz question: whether the check accepted it, and what it said."""
    if not isinstance(exercise_id, str) or not exercise_id.strip():
        raise LabError(f"record_attempt() needs the id of an exercise, but exercise_id is {exercise_id!r}.")
    with files.locked():
        files.append(_attempts_path(), asdict(Attempt(exercise_id, bool(passed), str(feedback), _now())))


def attempts(exercise_id: str | None = None) -> list[Attempt]:
    """List the attempts at one exercise or at all, oldest first; lines that are damaged or not ours are passed over."""
    found = []
    for record in files.records(_attempts_path()):
        with contextlib.suppress(TypeError):
            found.append(Attempt(**record))
    return [attempt for attempt in found if exercise_id in (None, attempt.exercise_id)]


def passed(exercise_id: str) -> bool:
    """Tell whether an exercise was ever passed."""
    return any(attempt.passed is True for attempt in attempts(exercise_id))


def weeks() -> list[dict[str, Any]]:
    """List the weeks of the timetable, then those that only the learner's folder knows, after a course update."""
    known = timetable.load()["weeks"]
    names = {f"{week['id']}.md" for week in known}
    folder = settings.current().progress
    stray = [path for path in folder.glob("week*.md") if FILE.fullmatch(path.name) and path.name not in names]
    return [*known, *({"id": path.stem, "title": path.stem, "days": []} for path in sorted(stray))]


def items(week: dict[str, Any]) -> dict[str, str]:
    """Map the ids of a week to their texts."""
    return {entry["id"]: entry["text"] for _, entries in sections(week) for entry in entries}


def sections(week: dict[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """List the headings of a week's checklist with their items."""
    days = [(timetable.heading(day), timetable.items(day)) for day in week["days"]]
    return [*days, ("At the end of the week", timetable.end_of_week(week))]


def path(week: dict[str, Any]) -> Path:
    """Where the checklist of a week lives."""
    return settings.current().progress / f"{week['id']}.md"


def boxes(week: dict[str, Any], strict: bool = True) -> dict[str, bool]:
    """List the ids that have a box in a week's file; without a file, or a readable one if not `strict`, none."""
    try:
        return markdown.boxes(files.read_text(path(week)))
    except LabError:
        if strict:
            raise
        return {}


def rewrite(week: dict[str, Any], edit: Callable[[str], str]) -> None:
    """Change the text of a week's file, begun where there is none; hold the lock while you do."""
    if not path(week).exists():
        remember_texts(week)
    files.change(path(week), lambda raw: edit(begun(week, files.decoded(raw or b"", path(week)))).encode())


def begun(week: dict[str, Any], text: str) -> str:
    """Give a blank file the checklist as the course would write it now, with the ticks its items have elsewhere."""
    if text.strip("\ufeff \r\n"):
        return text
    lead = "Tick a box here or in the lesson; keep the id comments. Notes are welcome."
    parts = [markdown.section(title, entries) for title, entries in sections(week) if entries]
    text = "\n\n".join([f"# {week['title']}", lead, *parts]) + "\n"
    ticked = read(strict=False)
    for id in items(week):
        text = markdown.with_box(text, id, ticked[id])
    return text


def problems() -> list[str]:
    """List what cannot be understood in the learner's checklists and logs: file, line, and what to do."""
    return _checklist_problems() + _found_in([history_path(), _attempts_path()], _damaged)


def history_path() -> Path:
    """The log of ticks, and of the texts that the course wrote into the checklists."""
    return settings.current().progress / "history.jsonl"


def history() -> dict[str, bool]:
    """Tell for each id whether a lesson or a command last ticked it or cleared it."""
    rows = files.records(history_path())
    return {
        row["id"]: row["done"] is True for row in rows if isinstance(row.get("id"), str) and "done" in row
    }


def remember_texts(week: dict[str, Any]) -> None:
    """Note the texts that the course writes, so that an update can tell them from the learner's own words."""
    texts = {**items(week), **{day["id"]: timetable.heading(day) for day in week["days"]}}
    known = course_texts()
    if any(text not in known.get(id, ()) for id, text in texts.items()):
        files.append(history_path(), {"time": _now(), "texts": texts})


def course_texts() -> dict[str, list[str]]:
    """Collect all texts that the course ever gave to an id in this learner's files, oldest first."""
    found: dict[str, list[str]] = {}
    for row in files.records(history_path()):
        texts = row.get("texts")
        for id, text in texts.items() if isinstance(texts, dict) else ():
            if isinstance(text, str):
                found.setdefault(id, []).append(text)
    return found


def _checklist_problems() -> list[str]:
    return _found_in([path(week) for week in weeks()], lambda path: markdown.problems(files.read_text(path)))


def _damaged(log: Path) -> list[tuple[int, str]]:
    what = "this line is damaged and was passed over. Repair or delete it"
    return [(line, what) for line in files.damaged(log)]


def _found_in(paths: list[Path], search: Callable[[Path], list[tuple[int, str]]]) -> list[str]:
    found = []
    for path in paths:
        try:
            found += [f"{path}, line {line}: {what}." for line, what in search(path)]
        except LabError as error:  # it cannot be read at all
            found.append(str(error))
    return found


def _steps(ids: list[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Say which week's file must change for which ids: each file that has the box, else the week of the timetable."""
    every = weeks()
    standing = [boxes(week, strict=False) for week in every]
    texts = [items(week) for week in every]
    known = dict.fromkeys(id for group in zip(texts, standing, strict=True) for own in group for id in own)
    if unknown := [id for id in ids if id not in known]:
        raise LabError("\n".join(_unknown(id, list(known)) for id in unknown))
    owners: dict[int, list[str]] = {}
    for id in ids:
        places = [at for at, own in enumerate(standing) if id in own]
        for at in places or [next(at for at, own in enumerate(texts) if id in own)]:
            owners.setdefault(at, []).append(id)
    return [(every[at], own) for at, own in sorted(owners.items())]


def _unknown(id: str, known: list[str]) -> str:
    close = difflib.get_close_matches(str(id).upper(), known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Ids look like {' or '.join(known[:2])}."
    return f"No checklist has an item {id!r}. {hint} Nothing was changed; try again with an id of your checklists."


def _marked(week: dict[str, Any], text: str, ids: list[str], done: bool) -> str:
    """Tick or clear items; one that the learner's file lacks is added, unless its line is there without a box."""
    for id in ids:
        if id not in markdown.boxes(text):
            if line := markdown.line_of(text, id):
                raise LabError(
                    f"Line {line} of {path(week)} has the id {id} but no box that can be ticked. "
                    "Write `- [ ]` at its beginning, then try again."
                )
            entry = {"id": id, "text": items(week).get(id, id)}
            text = markdown.with_text(text, markdown.section("Added since", [entry]))
        text = markdown.with_box(text, id, done)
    return text


def _show_checkboxes(day: dict[str, Any], entries: list[dict[str, str]], ticked: dict[str, bool]) -> None:
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
    for entry in entries:
        box = ipywidgets.Checkbox(
            value=ticked[entry["id"]],
            description=_with_code(entry["text"]),
            description_allow_html=True,
            indent=False,
            layout={"width": "100%"},
        )
        box.observe(lambda change, id=entry["id"]: write(id, change["new"]), "value")
        rows.append(box)
    widget_page.show(ipywidgets.VBox([*rows, status]))


def _with_code(text: str) -> str:
    """Turn a Markdown line with `code` and *stress* into HTML, which is all that a checkbox understands."""
    code = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
    return re.sub(r"\*([^*`]+)\*", r"<em>\1</em>", code)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _attempts_path() -> Path:
    return settings.current().progress / "exercises.jsonl"
