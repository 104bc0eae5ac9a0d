"""Makes a dated study plan out of a path, a pace and what is done, and moves what is left when life happens."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import date

from ...core import files, timetable
from ...core.settings import LabError
from .. import checklists
from . import file as plan_file
from . import paths, sittings
from .file import Plan
from .sittings import Entry


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
        path, pace, focus, background: names in paths.yaml, as people type them.
        hours_per_week: what the learner has, in hours; the pace's own days when None.
        start: first day; today when None. A day in the past is fine.
        done: ids of lessons that need no more time.

    Returns:
        A plan whose minutes are the sum of its lessons' minutes. No lesson stands before one that it builds on.
    """
    names = {"path": path, "pace": pace, "focus": focus, "background": background}
    options = {kind: paths.resolve(kind, name) if name else None for kind, name in names.items()}
    begin = start or date.today()
    empty = Plan(**options, start=begin, entries=(), hours_per_week=hours_per_week)
    return replace(empty, entries=_scheduled(empty, begin, done, {}))


def replan(plan: Plan, today: date | None = None, done: Collection[str] | None = None) -> Plan:
    """Move what is left of a plan to the days from today on; a plan that has not begun keeps its start.

    Sittings of finished lessons stay where they were; those of lessons finished ahead of time go. Entries of the
    learner's own stay. A lesson that is begun but not finished is planned again in full.
    """
    first = max(today or date.today(), plan.start)
    finished = set(done_lessons() if done is None else done)
    late = {entry.lesson_id for entry in plan.entries if entry.date > first}
    known = {day["id"] for day in timetable.lessons()}
    stays = [e for e in plan.entries if e.lesson_id not in known or e.lesson_id in finished - late]
    entries = [*stays, *_scheduled(plan, first, finished, minutes_by_day(stays))]
    return replace(plan, entries=tuple(sorted(entries, key=lambda entry: entry.date)))


def done_lessons(ticked: Mapping[str, bool] | None = None) -> set[str]:
    """List the lessons whose checklist is complete; the boxes are read from progress/ when none are given."""
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


def hours(plan: Plan) -> float | None:
    """Say how many hours a week a plan reckons with; None for the pace's own."""
    if plan.hours_per_week is not None or plan.background is None:
        return plan.hours_per_week
    return paths.get("background", plan.background).get("hours_per_week", {}).get(plan.pace)


def current() -> Plan | None:
    """Read the saved plan as its file says, changes by hand included; None when there is no file."""
    text = files.read_text(plan_file.location())
    if not text.strip("\ufeff \r\n"):
        return None
    plan = plan_file.from_text(text)
    try:
        selection(plan)
        _limits(plan)
    except LabError as error:
        raise LabError(f"{plan_file.location()}: {error}") from error
    return plan


def save(plan: Plan) -> list[str]:
    """Write the plan to progress/plan.yaml; what comes back says where a file that was changed by hand is kept."""
    path = plan_file.location()
    with files.locked():
        before = _readable() or plan
        calendar = before.calendar or uuid.uuid4().hex
        new = replace(plan, calendar=calendar, revision=before.revision + 1)
        aside = files.rewrite(path, plan_file.to_text(new))
    return [f"progress/{path.name} had changes of yours; it is kept as progress/{aside.name}."] if aside else []


def complaints(plan: Plan, done: Iterable[str] = ()) -> list[str]:
    """Look a plan over, above all one that was changed by hand: one sentence per thing that does not add up."""
    return [*_wrong_minutes(plan), *_wrong_order(plan, set(done)), *_long_days(plan)]


def minutes_by_day(entries: Iterable[Entry]) -> Counter[date]:
    """Add up the minutes of each day."""
    minutes: Counter[date] = Counter()
    for entry in entries:
        minutes[entry.date] += entry.minutes
    return minutes


def _scheduled(plan: Plan, start: date, done: Collection[str], used: Mapping[date, int]) -> tuple[Entry, ...]:
    lessons = [
        (name, [section["minutes"] for section in timetable.lesson(name)["sections"]])
        for name in selection(plan).lessons
        if name not in done
    ]
    return sittings.pack(lessons, _limits(plan), start, paths.get("pace", plan.pace)["fill"], used)


def _limits(plan: Plan) -> tuple[int, ...]:
    return sittings.limits(paths.get("pace", plan.pace), hours(plan))


def _readable() -> Plan | None:
    try:
        return current()
    except LabError:
        return None


def _wrong_minutes(plan: Plan) -> list[str]:
    spent: Counter[str] = Counter()
    for entry in plan.entries:
        spent[entry.lesson_id] += entry.minutes
    return [
        f"{timetable.label(day)} has {timetable.minutes(day)} minutes, but {spent[day['id']]} are planned."
        for day in timetable.lessons()
        if day["id"] in spent and spent[day["id"]] != timetable.minutes(day)
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
    most = _limits(plan)
    return [
        f"{day:%a} {day} has {minutes} minutes, more than the {most[day.weekday()]} of this pace."
        for day, minutes in minutes_by_day(plan.entries).items()
        if minutes > most[day.weekday()]
    ]
