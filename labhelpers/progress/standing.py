"""Where the learner stands: what is next, the streak, the plan, milestones, exercises, techniques."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from ..core import answers, files, settings, timetable
from ..core.settings import LabError
from . import checklists, journal
from .plan import paths, planning
from .plan.planning import Entry, Plan


def length(days: Collection[date], today: date, rest: Collection[int] = ()) -> int:
    """Count the learning days in a row up to today or yesterday; weekdays in `rest` (0 is Monday) never break a row."""
    numbers = {day.toordinal() for day in days}
    now = today.toordinal()
    count = 0
    for number in range(now if now in numbers else now - 1, min(numbers, default=now) - 1, -1):
        if number in numbers:
            count += 1
        elif (number - 1) % 7 not in rest:  # day 1 of the calendar is a Monday
            break
    return count


def learning_days(attempts: Iterable[checklists.Attempt]) -> set[date]:
    """Collect the days on which the learner answered, wrote, or ticked in a lesson or by a command.

    A tick by hand in an editor has no date; those that an older course dated in seen.json still count.
    """
    times = [attempt.time for attempt in attempts]
    times += [row.get("time") for row in files.records(checklists.history_path()) if "done" in row]
    times += [entry.date for entry in journal.entries()]
    times += _texts(seen().get("days"))
    return {day for time in times if (day := journal.as_date(str(time)))}


def seen() -> dict[str, Any]:
    """Read progress/seen.json, what the course remembers having shown; damaged or missing, it is empty."""
    try:
        saved = json.loads(files.read_bytes(_path()) or b"{}")
    except ValueError:
        return {}
    return saved if isinstance(saved, dict) else {}


def celebrated() -> set[str]:
    """List the ids of the milestones that were celebrated."""
    return set(_texts(seen().get("celebrated")))


def celebrate(milestones: Iterable[str]) -> None:
    """Remember that milestones were celebrated, so that it happens once."""
    with files.locked():
        every = celebrated() | set(milestones)
        if every != celebrated():
            files.write(_path(), json.dumps({**seen(), "celebrated": sorted(every)}, indent=1) + "\n")


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _path() -> Path:
    return settings.current().progress / "seen.json"


T = TypeVar("T")
LEVELS = ("beginner", "intermediate", "expert")
# How far somebody is in a technique at a level. "done so far": all that is written of it is done, and more is to come.
MARKS = {
    "done": "✔",
    "done so far": "✔",
    "begun": "◐",
    "open": "○",
    "not written yet": "…",
    "does not exist": "—",
}


@dataclass(frozen=True)
class Step:
    """The lesson to do next."""

    lesson: dict[str, Any]
    minutes: int
    machine_minutes: float | None
    ticked: int
    open_items: tuple[str, ...]
    sitting: Entry | None


@dataclass(frozen=True)
class Pace:
    """How the learner stands against the plan."""

    behind: tuple[Entry, ...]
    ahead: tuple[Entry, ...]
    left: tuple[Entry, ...]
    finish: date | None


@dataclass(frozen=True)
class Milestone:
    """Something worth a pause; `new` until it was celebrated."""

    id: str
    text: str
    place: str
    reached: bool
    new: bool
    words: str


@dataclass(frozen=True)
class Box:
    """Something to tick."""

    id: str
    text: str
    ticked: bool


@dataclass(frozen=True)
class Week:
    """A week's own boxes: what one can do now, and the question of success."""

    id: str
    title: str
    checkpoints: tuple[Box, ...]
    questions: tuple[Box, ...]


@dataclass(frozen=True)
class Cell:
    """One technique at one level."""

    technique: str
    level: str
    state: str
    lesson: dict[str, Any] | None
    text: str


@dataclass(frozen=True)
class Standing:
    """Everything that the start page and `lab progress` show."""

    today: date
    next: Step | None
    done: frozenset[str]
    written: int
    streak: int
    active_today: bool
    days: int
    pace: Pace | None
    milestones: tuple[Milestone, ...]
    weeks: tuple[Week, ...]
    passed: int
    exercises: int
    techniques: tuple[tuple[Cell, ...], ...]
    ticked: frozenset[str]
    complaints: tuple[str, ...]


def now(today: date | None = None) -> Standing:
    """Look at the learner's files and say where they stand, writing nothing.

    A file that cannot be read counts as empty and is named in `complaints`.
    """
    complaints: list[str] = []
    day = today or date.today()
    boxes = _tried(checklists.read, None, complaints) or checklists.read(strict=False)
    plan = _tried(planning.current, None, complaints)
    attempts = [a for a in _tried(checklists.attempts, [], complaints) if isinstance(a.exercise_id, str)]
    known_milestones = _tried(celebrated, set(), complaints)
    ticked = frozenset(id for id, done in boxes.items() if done)
    done = frozenset(planning.done_lessons(boxes))
    days = _tried(lambda: learning_days(attempts), set(), complaints)
    passed = {attempt.exercise_id for attempt in attempts if attempt.passed is True}
    known = _exercise_ids()
    return Standing(
        today=day,
        next=_step(done, ticked, plan),
        done=done,
        written=sum(lesson["status"] == "ready" for lesson in timetable.lessons()),
        streak=length(days, day, _rest_days(plan)),
        active_today=day in days,
        days=len(days),
        pace=_pace(plan, done, day) if plan else None,
        milestones=_milestones(ticked, known_milestones),
        weeks=tuple(_week(week, ticked) for week in timetable.weeks()),
        passed=len(passed & known),
        exercises=len(known),
        techniques=_techniques(done, _begun(ticked, attempts)),
        ticked=ticked,
        complaints=tuple(dict.fromkeys(complaints)),
    )


def remember(standing: Standing) -> None:
    """Note that this standing was shown, so that its milestones are celebrated once."""
    new = [milestone.id for milestone in standing.milestones if milestone.new]
    # A folder that cannot be written costs a second celebration, not the page.
    if new:
        _tried(lambda: celebrate(new), None, [])


def next_lesson(done: Collection[str], plan: Plan | None = None) -> dict[str, Any] | None:
    """Choose the lesson to do next: the first written one that is not done and builds on nothing open.

    The plan's order counts first, then the order of the course. What a plan leaves out and what is not written yet
    holds nobody up.
    """
    ready = {day["id"]: day for day in timetable.lessons() if day["status"] == "ready"}
    planned = list(dict.fromkeys(entry.lesson_id for entry in plan.entries)) if plan else []
    for order in (planned, list(ready)):
        open_ = [ready[name] for name in order if name in ready and name not in done]
        waits_for = {day["id"] for day in open_}
        free = [day for day in open_ if not waits_for & set(day["prerequisites"])]
        if free:
            return free[0]
    return None


def _tried(action: Callable[[], T], otherwise: T, complaints: list[str]) -> T:
    try:
        return action()
    except LabError as error:
        complaints.append(str(error))
        return otherwise


def _step(done: Collection[str], ticked: Collection[str], plan: Plan | None) -> Step | None:
    day = next_lesson(done, plan)
    if day is None:
        return None
    open_items = [item["text"] for item in day["checklist"] if item["id"] not in ticked]
    left = planning.left(plan, done) if plan else ()
    return Step(
        lesson=day,
        minutes=timetable.minutes(day),
        machine_minutes=timetable.predicted_minutes(day["id"]),
        ticked=len(day["checklist"]) - len(open_items),
        open_items=tuple(open_items),
        sitting=next((entry for entry in left if entry.lesson_id == day["id"]), None),
    )


def _pace(plan: Plan, done: Collection[str], today: date) -> Pace:
    ready = {day["id"] for day in timetable.lessons() if day["status"] == "ready"}
    left = planning.left(plan, done)
    return Pace(
        behind=tuple(entry for entry in left if entry.date < today and entry.lesson_id in ready),
        ahead=tuple(entry for entry in plan.entries if entry.date > today and entry.lesson_id in done),
        left=left,
        finish=left[-1].date if left else None,
    )


def _rest_days(plan: Plan | None) -> set[int]:
    """Weekdays on which the plan's pace wants nothing."""
    if plan is None:
        return set()
    minutes = paths.get("pace", plan.pace)["minutes"]
    return {weekday for weekday, wanted in enumerate(minutes) if not wanted}


def _milestones(ticked: Collection[str], celebrated: Collection[str]) -> tuple[Milestone, ...]:
    words = {row["milestone"]: row["text"] for row in paths.load()["celebrations"]["rows"]}
    found = []
    for week in timetable.weeks():
        marked = [(day, day["milestone_id"]) for day in week["days"] if day.get("milestone_id")]
        for day, id in marked:
            found.append((id, day["milestone"], timetable.label(day), id in ticked, words.get(id, "")))
        points = [point["id"] for point in week.get("checkpoints") or []]
        reached = bool(points) and all(id in ticked for id in points)
        place = f"{timetable.group(week['id'])}, all checkpoints"
        found.append((week["id"], week["milestone"], place, reached, words["week"]))
    return tuple(
        Milestone(id, text, place, reached, reached and id not in celebrated, said)
        for id, text, place, reached, said in found
    )


def _week(week: Mapping[str, Any], ticked: Collection[str]) -> Week:
    def boxes(rows: Any) -> tuple[Box, ...]:
        return tuple(Box(row["id"], row["text"], row["id"] in ticked) for row in rows)

    asked = set(week.get("questions") or [])
    rows = timetable.end_of_week(dict(week))
    checkpoints = boxes(row for row in rows if row["id"] not in asked)
    return Week(week["id"], week["title"], checkpoints, boxes(row for row in rows if row["id"] in asked))


def _begun(ticked: Collection[str], attempts: Collection[checklists.Attempt]) -> set[str]:
    answered = {attempt.exercise_id.split("/")[0] for attempt in attempts}
    touched = {day["id"] for day in timetable.lessons() if any(i["id"] in ticked for i in day["checklist"])}
    return touched | answered


def _exercise_ids() -> set[str]:
    """The exercises of all lessons that are written and built."""
    ready = {day["id"] for day in timetable.lessons() if day["status"] == "ready"}
    return {record["id"] for name in answers.built() if name in ready for record in answers.exercises(name)}


def _techniques(done: Collection[str], begun: Collection[str]) -> tuple[tuple[Cell, ...], ...]:
    ready = {day["id"]: day for day in timetable.lessons() if day["status"] == "ready"}
    return tuple(
        tuple(_cell(technique, level, ready, done, begun) for level in LEVELS)
        for technique in paths.load()["techniques"]
    )


def _cell(
    technique: dict[str, Any],
    level: str,
    ready: dict[str, dict[str, Any]],
    done: Collection[str],
    begun: Collection[str],
) -> Cell:
    entry = technique["cells"][level]
    title = technique["title"][0].upper() + technique["title"][1:]
    if "missing" in entry:
        return Cell(title, level, "does not exist", None, entry["missing"])
    written = [ready[name] for name in entry["in"] if name in ready]
    open_ = [day for day in written if day["id"] not in done]
    lesson = (open_ or written or [None])[0]
    return Cell(title, level, _state(entry["in"], written, open_, begun), lesson, entry["text"])


def _state(wanted: list[str], written: list[Any], open_: list[Any], begun: Collection[str]) -> str:
    if not written:
        return "not written yet"
    if not open_:
        return "done" if len(written) == len(wanted) else "done so far"
    touched = len(open_) < len(written) or any(day["id"] in begun for day in open_)
    return "begun" if touched else "open"
