"""Makes a dated study plan out of a path, a pace and what is done, and moves what is left when life happens."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from ...core import files, timetable
from ...core.settings import LabError
from .. import checklists
from . import file as plan_file
from . import paths, sittings
from .file import Plan
from .sittings import Entry

__all__ = [
    "Entry",
    "Plan",
    "complaints",
    "current",
    "done_lessons",
    "left",
    "make",
    "replan",
    "save",
    "selection",
]


def make(
    path: str,
    pace: str = "standard",
    focus: str | None = None,
    background: str | None = None,
    hours_per_week: float | None = None,
    start: date | None = None,
    done: Collection[str] = (),
) -> Plan:
    """Lay the lessons of a path out over the days.

    Args:
        path: such as "quick_start".
        pace: such as "relaxed".
        focus: such as "cost", or None.
        background: such as "new_to_both", or None.
        hours_per_week: what the learner has, in hours; the pace's own days when None.
        start: first day; today when None. A day in the past is fine.
        done: ids of lessons that need no more time.

    Returns:
        A plan whose minutes are the sum of its lessons' minutes. No lesson stands before one that it builds on.

    Raises:
        LabError: when a name is unknown, or the hours are too few for a sitting or too many for a day.
    """
    options = {kind: paths.resolve(kind, name) for kind, name in (("path", path), ("pace", pace))}
    options["focus"] = paths.resolve("focus", focus) if focus else None
    options["background"] = paths.resolve("background", background) if background else None
    begin = start or date.today()
    empty = Plan(**options, start=begin, entries=(), hours_per_week=hours_per_week)
    return replace(empty, entries=_scheduled(empty, begin, done, {}))


def replan(plan: Plan, today: date | None = None, done: Collection[str] | None = None) -> Plan:
    """Move what is left of a plan to the days from today on.

    Args:
        plan: the plan so far.
        today: first day that may be used; the real today when None. A plan that has not begun keeps its start.
        done: ids of finished lessons; read from the checklists when None.

    Returns:
        The new plan. Sittings of finished lessons stay where they were; those of lessons finished ahead of time
        go. Entries of the learner's own stay. A lesson that is begun but not finished is planned again in full.

    Raises:
        LabError: when the checklists cannot be read, or the plan's own hours do not work out.
    """
    first = max(today or date.today(), plan.start)
    finished = set(done_lessons() if done is None else done)
    late = {entry.lesson_id for entry in plan.entries if entry.date > first}
    known = {day["id"] for day in timetable.lessons()}
    stays = [e for e in plan.entries if e.lesson_id not in known or e.lesson_id in finished - late]
    used: dict[date, int] = {}
    for entry in stays:
        used[entry.date] = used.get(entry.date, 0) + entry.minutes
    entries = [*stays, *_scheduled(plan, first, finished, used)]
    own = {(entry.lesson_id, entry.part): entry.own for entry in plan.entries}
    entries = [entry if entry.own else replace(entry, own=own.get(_key(entry), {})) for entry in entries]
    return replace(plan, entries=tuple(sorted(entries, key=lambda entry: entry.date)))


def done_lessons(ticked: Mapping[str, bool] | None = None) -> set[str]:
    """List the lessons whose checklist is complete.

    Args:
        ticked: item id → done; read from progress/ when None.

    Returns:
        Lesson ids.
    """
    boxes = checklists.read() if ticked is None else ticked
    return {
        day["id"]
        for day in timetable.lessons()
        if day["checklist"] and all(boxes.get(item["id"], False) for item in day["checklist"])
    }


def left(plan: Plan, done: Collection[str]) -> tuple[Entry, ...]:
    """List the sittings of a plan whose lessons are not done."""
    return tuple(entry for entry in plan.entries if entry.lesson_id not in done)


def selection(plan: Plan) -> paths.Selection:
    """Say which lessons the plan's path, pace, focus and background stand for."""
    return paths.select(plan.path, plan.pace, plan.focus, plan.background)


def current() -> Plan | None:
    """Read the saved plan.

    Returns:
        The plan as the file says, changes by hand included; None when there is no file.

    Raises:
        LabError: when the file cannot be read or understood, with the line.
    """
    text = plan_file.decoded(plan_file.location())
    plan = plan_file.from_text(text) if text.strip("\ufeff \r\n") else None
    if plan is not None:
        try:
            selection(plan)
            sittings.limits(paths.get("pace", plan.pace), hours(plan))
        except LabError as error:
            raise LabError(f"{plan_file.location()}: {error}") from error
    return plan


def save(plan: Plan) -> list[str]:
    """Write the plan to progress/plan.yaml.

    Args:
        plan: from `make` or `replan`.

    Returns:
        Sentences about what was kept: a file that was changed by hand is copied beside the new one, keys that the
        learner added go into the new one too.

    Raises:
        LabError: when the file cannot be written.
    """
    path = plan_file.location()
    with files.locked():
        text = plan_file.decoded(path)
        before = _readable(text)
        new = _carried_on(plan, before)
        said = _kept(path, text, before, new)
        files.write(path, plan_file.to_text(new).encode())
    return said


def complaints(plan: Plan, done: Iterable[str] = ()) -> list[str]:
    """Look a plan over, above all one that was changed by hand.

    Args:
        plan: any plan.
        done: ids of finished lessons.

    Returns:
        One sentence per thing that does not add up; empty when all does.
    """
    return [*_wrong_minutes(plan), *_wrong_order(plan, set(done)), *_long_days(plan)]


def _scheduled(plan: Plan, start: date, done: Collection[str], used: Mapping[date, int]) -> tuple[Entry, ...]:
    pace = paths.get("pace", plan.pace)
    lessons = [
        (name, [section["minutes"] for section in timetable.lesson(name)["sections"]])
        for name in selection(plan).lessons
        if name not in done
    ]
    return sittings.pack(lessons, sittings.limits(pace, hours(plan)), start, pace["fill"], used)


def hours(plan: Plan) -> float | None:
    """Say how many hours a week a plan reckons with; None for the pace's own."""
    if plan.hours_per_week is not None or plan.background is None:
        return plan.hours_per_week
    return paths.get("background", plan.background).get("hours_per_week", {}).get(plan.pace)


def _key(entry: Entry) -> tuple[str, int]:
    return entry.lesson_id, entry.part


def _readable(text: str) -> Plan | None:
    try:
        return plan_file.from_text(text) if text.strip("\ufeff \r\n") else None
    except LabError:
        return None


def _carried_on(plan: Plan, before: Plan | None) -> Plan:
    """Give a plan what the file before it had: the learner's keys, the calendar's id, the sittings it must retire."""
    if before is None:
        return replace(plan, calendar=plan.calendar or uuid.uuid4().hex, revision=plan.revision + 1)
    own = {_key(entry): entry.own for entry in before.entries}
    entries = tuple(
        entry if entry.own else replace(entry, own=own.get(_key(entry), {})) for entry in plan.entries
    )
    present = {_key(entry) for entry in entries}
    gone = {_key(entry): entry for entry in (*before.retired, *before.entries) if _key(entry) not in present}
    return replace(
        plan, entries=entries, own={**before.own, **plan.own}, retired=tuple(gone.values()),
        calendar=before.calendar or plan.calendar or uuid.uuid4().hex, revision=before.revision + 1,
    )  # fmt: skip


def _kept(path: Path, text: str, before: Plan | None, new: Plan) -> list[str]:
    """Copy the old file aside when it holds more than the course put there."""
    if not text:
        return []
    known = {day["id"] for day in timetable.lessons()}
    present = {_key(entry) for entry in new.entries}
    lost = before and any(
        _key(entry) not in present and (entry.own or entry.lesson_id not in known) for entry in before.entries
    )
    if plan_file.is_untouched(text) and not lost:
        return []
    copy = files.keep_aside(path)
    why = "could not be understood" if before is None else "had changes of yours"
    return [f"{path.parent.name}/{path.name} {why}; it is kept as {copy.parent.name}/{copy.name}."]


def _wrong_minutes(plan: Plan) -> list[str]:
    spent: dict[str, int] = {}
    for entry in plan.entries:
        spent[entry.lesson_id] = spent.get(entry.lesson_id, 0) + entry.minutes
    known: dict[str, dict[str, Any]] = {day["id"]: day for day in timetable.lessons()}
    return [
        f"{timetable.label(known[name])} has {timetable.minutes(known[name])} minutes, but {minutes} are planned."
        for name, minutes in spent.items()
        if name in known and minutes != timetable.minutes(known[name])
    ]


def _wrong_order(plan: Plan, done: set[str]) -> list[str]:
    ends = {entry.lesson_id: place for place, entry in enumerate(plan.entries)}
    begins = {entry.lesson_id: place for place, entry in reversed(list(enumerate(plan.entries)))}
    known = {day["id"]: day for day in timetable.lessons()}
    return [
        f"{timetable.label(known[name])} builds on {timetable.label(known[needed])}, which is planned for later."
        for name in begins
        if name in known and name not in done
        for needed in known[name]["prerequisites"]
        if needed not in done and needed in ends and ends[needed] > begins[name]
    ]


def _long_days(plan: Plan) -> list[str]:
    most = sittings.limits(paths.get("pace", plan.pace), hours(plan))
    days: dict[date, int] = {}
    for entry in plan.entries:
        days[entry.date] = days.get(entry.date, 0) + entry.minutes
    return [
        f"{day:%a} {day} has {minutes} minutes, more than the {most[day.weekday()]} of this pace."
        for day, minutes in days.items()
        if minutes > most[day.weekday()]
    ]
