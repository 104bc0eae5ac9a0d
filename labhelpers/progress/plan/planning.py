"""Makes a dated study plan out of a path, a pace and what is done, and moves what is left when life happens."""

import math
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

from ...core import files, settings, timetable
from ...core.settings import LabError
from .. import checklists
from . import paths

SHORTEST = 25  # minutes: one round of focused work; nothing shorter is worth sitting down for
LONGEST = 12 * 60  # minutes: a day that anybody could survive
# A sitting ends with a section if that uses at least this share of its time (a rule of thumb).
SECTION_END = 2 / 3


@dataclass(frozen=True)
class Entry:
    """One sitting of a plan: which part, of how many, of a lesson (or of what the learner entered by hand)."""

    lesson_id: str
    date: date
    minutes: int
    part: int = 1
    parts: int = 1


def limits(pace: Mapping[str, Any], hours_per_week: float | None = None) -> tuple[int, ...]:
    """Say how many minutes each day of the week may hold, Monday first.

    Stated hours are spread over the pace's days in the pace's proportions, rounded down to five minutes.
    """
    usual = tuple(pace["minutes"])
    if hours_per_week is None:
        return usual
    is_number = isinstance(hours_per_week, int | float) and math.isfinite(hours_per_week)
    if not is_number or hours_per_week <= 0:
        raise LabError(f"--hours-per-week is {hours_per_week!r}. Give a number of hours, such as 10.")
    scaled = tuple(int(minutes * hours_per_week * 60 / sum(usual)) // 5 * 5 for minutes in usual)
    days = [minutes for minutes, before in zip(scaled, usual, strict=True) if before]
    if min(days) < SHORTEST:
        raise LabError(_too_few(pace, hours_per_week, usual))
    if max(days) > LONGEST:
        raise LabError(
            f"{hours_per_week:g} hours a week at the pace {pace['title']} make a day of {max(days) / 60:.1f} hours. "
            f"More than {LONGEST // 60} is not planned. Give fewer --hours-per-week, or a pace with more days."
        )
    return scaled


def pack(
    lessons: Iterable[tuple[str, Sequence[int]]],
    limits: Sequence[int],
    start: date,
    fill: bool = True,
    used: Mapping[date, int] | None = None,
) -> tuple[Entry, ...]:
    """Lay lessons out over the days, one after the other."""
    taken = dict(used or {})
    day, pieces = start, []
    try:
        for lesson, sections in lessons:
            left = list(sections)
            while left:
                limit = limits[day.weekday()]
                piece = _piece(left, limit - taken.get(day, 0), limit, fill or sum(left) < sum(sections))
                if piece:
                    pieces.append(Entry(lesson, day, piece))
                    taken[day] = taken.get(day, 0) + piece
                    left = _after(left, piece)
                if left:
                    day += timedelta(days=1)
    except OverflowError as error:
        raise LabError(
            f"A plan from {start} on runs past the last year of the calendar. Give an earlier --start."
        ) from error
    return _numbered(pieces)


def _piece(left: Sequence[int], free: int, limit: int, fill: bool) -> int:
    """Minutes of the lesson to do in the time that is free today; 0 to wait for another day."""
    need = sum(left)
    if need <= free:
        return need
    if free < SHORTEST or (need <= limit and not fill):
        return 0
    whole = max((end for end in accumulate(left) if end <= free), default=0)
    piece = whole if whole >= SECTION_END * free else free
    if need - piece >= SHORTEST:
        return piece
    # No five-minute rest on another day: what remains should be worth sitting down for.
    if need >= 2 * SHORTEST:
        return need - SHORTEST
    return 0 if need <= limit else free


def _after(left: Sequence[int], minutes: int) -> list[int]:
    """The sections that remain after so many minutes."""
    ends = [end - minutes for end in accumulate(left)]
    return [min(section, end) for section, end in zip(left, ends, strict=True) if end > 0]


def _numbered(pieces: Sequence[Entry]) -> tuple[Entry, ...]:
    """Say of each sitting which one of its lesson it is."""
    total: dict[str, int] = {}
    counted = []
    for piece in pieces:
        total[piece.lesson_id] = total.get(piece.lesson_id, 0) + 1
        counted.append(replace(piece, part=total[piece.lesson_id]))
    return tuple(replace(piece, parts=total[piece.lesson_id]) for piece in counted)


def _too_few(pace: Mapping[str, Any], hours: float, usual: Sequence[int]) -> str:
    smallest = min(minutes for minutes in usual if minutes)
    enough = math.ceil(SHORTEST * sum(usual) / smallest / 60)
    other = "" if usual.count(0) >= 5 else ", or sit down less often with --pace weekend"
    return (
        f"{hours:g} hours a week over {sum(1 for minutes in usual if minutes)} days leave sittings of less than "
        f"{SHORTEST} minutes, too short to get anywhere. Give --hours-per-week {enough} or more{other}."
    )


HEAD = """# Your study plan, made by `lab plan`. A date that you move here counts, and so does an entry of your own.
# `lab plan` shows it, `lab plan --replan` moves what is left, `lab plan --ics FILE` puts it into your calendar.
"""
OPTIONS = ("path", "pace", "focus", "background", "hours_per_week", "start")


@dataclass(frozen=True)
class Plan:
    """Lessons with dates."""

    path: str
    pace: str
    start: date
    entries: tuple[Entry, ...]
    focus: str | None = None
    background: str | None = None
    hours_per_week: float | None = None
    calendar: str | None = None
    revision: int = 0

    @property
    def total_minutes(self) -> int:
        """The minutes of all sittings."""
        return sum(entry.minutes for entry in self.entries)


def location() -> Path:
    """Where the plan lives."""
    return settings.current().progress / "plan.yaml"


def to_text(plan: Plan) -> str:
    """Write a plan as YAML, one line per sitting."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Repeats a date instead of pointing at its first mention, so that one can be moved alone."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    document = {key: getattr(plan, key) for key in (*OPTIONS, "calendar", "revision")}
    document["entries"] = [
        {"lesson": entry.lesson_id, "date": entry.date, "minutes": entry.minutes, "part": entry.part, "parts": entry.parts}
        for entry in plan.entries
    ]  # fmt: skip
    look = {"sort_keys": False, "allow_unicode": True, "default_flow_style": None, "width": 1000}
    return HEAD + yaml.dump(document, Dumper=Plain, **look)


def from_text(text: str) -> Plan:
    """Read a plan; keys that the course does not know are passed over, and an error names the place."""
    document = _document(text)
    entries = [_entry(row, f"entry {number}") for number, row in enumerate(document["entries"] or [], 1)]
    options = {key: document.get(key) for key in (*OPTIONS, "calendar")}
    options |= {
        "start": _date(document.get("start"), "start"),
        "revision": _whole(document.get("revision", 0), "revision"),
    }
    return Plan(**options, entries=tuple(sorted(entries, key=lambda entry: entry.date)))  # fmt: skip


def _document(text: str) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _unreadable(error.problem or "it is not YAML", where) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(f"it is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(document, dict) or not isinstance(document.get("entries", 0), list | None):
        raise _unreadable("it has no list of `entries`")
    return document


def _entry(row: Any, where: str) -> Entry:
    if not isinstance(row, dict) or "lesson" not in row:
        raise _unreadable("an entry needs at least `lesson`, `date` and `minutes`", where)
    where = f"{where}, {row['lesson']}"
    numbers = (row.get("minutes"), row.get("part", 1), row.get("parts", 1))
    return Entry(str(row["lesson"]), _date(row.get("date"), where), *(_whole(n, where) for n in numbers))


def _whole(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100_000:
        raise _unreadable(f"{value!r} should be a whole number", where)
    return value


def _date(value: Any, where: str) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    raise _unreadable(f"{value!r} is not a date such as 2026-11-30", where)


def _unreadable(what: str, where: str = "") -> LabError:
    return LabError(
        f"{location()}{', ' if where else ''}{where}: {what}. Repair it in an editor; or make a new plan with "
        "`lab plan --path … --pace …`, which keeps this file beside the new one."
    )


def make(
    path: str,
    pace: str = "standard",
    focus: str | None = None,
    background: str | None = None,
    hours_per_week: float | None = None,
    start: date | None = None,
    done: Collection[str] = (),
) -> Plan:
    """Lay the lessons of a path out over the days."""
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
    text = files.read_text(location())
    if not text.strip("\ufeff \r\n"):
        return None
    plan = from_text(text)
    try:
        selection(plan)
        _limits(plan)
    except LabError as error:
        raise LabError(f"{location()}: {error}") from error
    return plan


def save(plan: Plan) -> list[str]:
    """Write the plan to progress/plan.yaml; what comes back says where a file that was changed by hand is kept."""
    path = location()
    with files.locked():
        before = _readable() or plan
        calendar = before.calendar or uuid.uuid4().hex
        new = replace(plan, calendar=calendar, revision=before.revision + 1)
        aside = files.rewrite(path, to_text(new))
    return (
        [f"progress/{path.name} had changes of yours; it is kept as progress/{aside.name}."] if aside else []
    )


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
    return pack(lessons, _limits(plan), start, paths.get("pace", plan.pace)["fill"], used)


def _limits(plan: Plan) -> tuple[int, ...]:
    return limits(paths.get("pace", plan.pace), hours(plan))


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
