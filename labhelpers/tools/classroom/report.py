"""Where a class stands, computed from exported summaries: who is where, what stops people, who has gone quiet."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ...core import answers, files, timetable
from ...core.settings import LabError
from ...display.page import render
from ...display.words import counted
from ...progress import summary
from . import files as class_files
from .files import Learner, Tries

TEMPLATES = Path(__file__).parents[1]
MARK = b'<meta name="generator" content="lab class">'
ROWS = 10
QUIET_DAYS = 7


@dataclass(frozen=True)
class Place:
    """Where one learner is: `share` is ticked ÷ all per lesson that was begun, `quiet` why to ask after the learner."""

    name: str
    at: str
    finished: int
    left_open: int
    share: dict[str, float]
    tried: int
    passed: int
    attempts: int
    quiz_first: float | None  # share of the questions that were right at once
    last: date | None
    quiet: str


@dataclass(frozen=True)
class Hurdle:
    """How a class fares with one exercise or quiz question: numbers of learners, and who has not passed."""

    id: str
    tried: int
    passed: int
    at_once: int
    attempts: int
    median: float | None  # of the attempts until passed
    stumble: str  # the most frequent first failure
    waiting: tuple[str, ...]

    @property
    def stopped(self) -> float:
        """Share of those who tried and have not passed, 0 to 1."""
        return len(self.waiting) / self.tried


@dataclass(frozen=True)
class Class:
    """Everything that the tables and the page show; exercises and questions with the hardest first."""

    today: date
    places: list[Place]
    exercises: list[Hurdle]
    quiz: list[Hurdle]
    lessons: list[dict[str, Any]]  # those that somebody has begun
    notes: list[str]


def read(folder: Path, today: date | None = None) -> Class:
    """Compute where a class stands; a broken file is in its notes and stops nothing."""
    today = today or date.today()
    learners, notes = class_files.read(folder)
    if not learners:
        reasons = "".join(f"\n  {note}" for note in notes)
        raise LabError(
            f"There is no usable summary in {folder}. Learners make one with `lab progress export`.{reasons}"
        )
    names = _names(learners)
    lessons = timetable.lessons()
    items = {day["id"]: [item["id"] for item in timetable.items(day)] for day in lessons}
    places = [_place(one, names[one.id], lessons, items, today) for one in learners]
    begun = {lesson for place in places for lesson in place.share}
    exercises = _hurdles([(names[one.id], one.exercises) for one in learners])
    quiz = _hurdles([(names[one.id], one.quiz) for one in learners])
    return Class(
        today,
        places,
        sorted(exercises, key=lambda one: (-len(one.waiting), -one.stopped, -(one.median or 0), one.id)),
        sorted(quiz, key=lambda one: (one.at_once / one.tried, -one.tried, one.id)),
        [day for day in lessons if day["id"] in begun],
        notes + _remarks(learners, today),
    )


def _place(
    one: Learner, name: str, lessons: Sequence[dict[str, Any]], items: dict[str, list[str]], today: date
) -> Place:
    ticked = frozenset().union(*one.ticked.values())
    touched = {id.split("/")[0] for id in [*one.exercises, *one.quiz]}
    share = {
        lesson: sum(id in ticked for id in ids) / len(ids)
        for lesson, ids in items.items()
        if ids and (lesson in touched or not ticked.isdisjoint(ids))
    }
    at = _in_work(share, lessons)
    before = [day["id"] for day in lessons][: at if at is not None else len(lessons)]
    answered = list(one.quiz.values())
    return Place(
        name,
        timetable.label(lessons[at]) if at is not None else "all that is written",
        sum(done == 1 for done in share.values()),
        sum(id not in ticked for lesson in before if lesson in share for id in items[lesson]),
        share,
        len(one.exercises),
        sum(tries.passed_at is not None for tries in one.exercises.values()),
        sum(tries.attempts for tries in one.exercises.values()),
        sum(tries.passed_at == 1 for tries in answered) / len(answered) if answered else None,
        max(one.days, default=None),
        _quiet(one, today),
    )


def _in_work(share: dict[str, float], lessons: Sequence[dict[str, Any]]) -> int | None:
    """Find the place of the furthest lesson begun, or of the written one after it if that is complete."""
    furthest = max((place for place, day in enumerate(lessons) if day["id"] in share), default=0)
    if share.get(lessons[furthest]["id"], 0) < 1:
        return furthest
    later = [place for place in range(furthest + 1, len(lessons)) if lessons[place]["status"] == "ready"]
    return later[0] if later else None


def _quiet(one: Learner, today: date) -> str:
    """Say why to ask after a learner. What happened since the summary, nobody knows."""
    if not one.days:
        return "no day of work yet"
    pause, age = (one.exported - max(one.days)).days, (today - one.exported).days
    if pause >= QUIET_DAYS:
        return f"had not worked for {pause} days when the summary was made"
    return f"the summary is {age} days old: ask for a new one" if age >= QUIET_DAYS else ""


def _hurdles(learners: list[tuple[str, dict[str, Tries]]]) -> list[Hurdle]:
    tried: dict[str, list[tuple[str, Tries]]] = {}
    for name, entries in learners:
        for id, tries in entries.items():
            tried.setdefault(id, []).append((name, tries))
    return [_hurdle(id, entries) for id, entries in tried.items()]


def _hurdle(id: str, entries: list[tuple[str, Tries]]) -> Hurdle:
    passed = [tries.passed_at for _, tries in entries if tries.passed_at is not None]
    failures = Counter(_known(id, tries.first_failure) for _, tries in entries if tries.first_failure)
    return Hurdle(
        id,
        len(entries),
        len(passed),
        sum(attempt == 1 for attempt in passed),
        sum(tries.attempts for _, tries in entries),
        statistics.median(passed) if passed else None,
        failures.most_common(1)[0][0] if failures else "",
        tuple(name for name, tries in entries if tries.passed_at is None),
    )


def _known(id: str, failure: str) -> str:
    """Repeat a failure only in words of this course; what a file says otherwise is not shown."""
    if failure in (summary.ERROR, summary.UNKNOWN_NAME):
        return failure
    try:
        foreseen = [fragment for _, fragment in answers.exercise(id)["misconceptions"]]
    except LabError:
        foreseen = []
    return f"“… {failure} …”" if failure in foreseen else summary.OTHER


def _names(learners: list[Learner]) -> dict[str, str]:
    """Give each learner a name that is not another's."""
    times = Counter(one.name for one in learners)
    return {
        one.id: one.name if one.name and times[one.name] == 1 else f"{one.name or 'no name'} ({one.id[:6]})"
        for one in learners
    }


def _remarks(learners: list[Learner], today: date) -> list[str]:
    times = Counter(one.name for one in learners if one.name)
    said = [
        f"{count} learners are called {name}. If it is one person with two copies of the course, remove the older file."
        for name, count in times.items()
        if count > 1
    ]
    said += [
        f"{one.file}: dated {one.exported}, which is still to come; that machine's clock may be wrong"
        for one in learners
        if one.exported > today
    ]
    versions = {one.commit for one in learners if one.commit}
    return said + (
        [f"The class works with {len(versions)} versions of the course."] if len(versions) > 1 else []
    )


def show(folder: Path, out: Path | None = None, console: Any = None, today: date | None = None) -> Path:
    """Print a class in the terminal and write its page; a page of somebody else's is never replaced."""
    from rich.console import Console

    path = (out or folder / "class.html").expanduser().absolute()
    if path.is_dir() or (path.exists() and MARK not in path.read_bytes()[:400]):
        raise LabError(
            f"{path} is there already and is no page of `lab class`. Name another file with --out."
        )
    found = read(folder.expanduser(), today)
    files.write(path, page(found))
    console = console or Console()
    console.print(_learners(found))
    console.print(_exercises(found))
    for note in found.notes:
        console.print(f"Note: {note}", markup=False, highlight=False)
    console.print(f"The whole class, with every exercise: {path}", markup=False, highlight=False)
    return path


def page(found: Class) -> str:
    """Write the page: a whole HTML document that needs no other file."""
    return render(
        TEMPLATES,
        "classroom/page.html.j2",
        title=f"{timetable.load()['course']['title']}: the class on {found.today:%d %B %Y}",
        sentence=_sentence(found),
        found=found,
        quiet=[one for one in found.places if one.quiet],
        labels=[(_short(day), "number") for day in found.lessons],
        ago=_ago,
        percent=_percent,
        until=_until,
    )


def _sentence(found: Class) -> str:
    asking = sum(bool(one.quiet) for one in found.places)
    return (
        f"{counted(len(found.places), 'learner')}, {counted(len(found.exercises), 'exercise')} tried, "
        f"{counted(sum(one.attempts for one in found.places), 'attempt')}. "
        f"{asking or 'Nobody'} {'have' if asking > 1 else 'has'} gone quiet or sent an old summary."
    )


def _short(day: dict[str, Any]) -> str:
    """Label a narrow column: "Day 4", "Sat 1", or a technique lesson's own label."""
    if day["id"].startswith("technique_"):
        return timetable.label(day)
    place, _, weekday = day["id"].partition("_")
    if weekday:
        return f"{weekday[:3].capitalize()} {place.removeprefix('weekend')}"
    return f"Day {int(place.removeprefix('day'))}"


def _learners(found: Class) -> Any:
    """List the learners; who should be asked after stands in bold."""
    headings = ("learner", "now at", "lessons\nfinished", "exercises\npassed", "last active")
    table = _table(f"Who is where ({counted(len(found.places), 'learner')})", headings)
    for one in found.places:
        passed, last = f"{one.passed} of {one.tried}", _ago(one.last, found.today)
        _add(table, one.name, one.at, str(one.finished), passed, last, style="bold" if one.quiet else "")
    return table


def _exercises(found: Class) -> Any:
    """List the exercises that stop most people."""
    headings = ("exercise", "tried", "not passed", "attempts\nuntil passed", "attempts\nin all")
    table = _table("What stops people: tried, and not passed", headings)
    for one in found.exercises[:ROWS]:
        waiting = f"{len(one.waiting)} ({_percent(one.stopped)})"
        _add(table, one.id, str(one.tried), waiting, _until(one), str(one.attempts))
    return table


def _table(title: str, headings: tuple[str, ...]) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading)
    return table


def _add(table: Any, *cells: str, style: str = "") -> None:
    from rich.text import Text  # a name such as "[red]" is shown, not obeyed

    table.add_row(*map(Text, cells), style=style)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def _until(hurdle: Hurdle) -> str:
    return "" if hurdle.median is None else f"{hurdle.median:g}"


def _ago(day: date | None, today: date) -> str:
    if day is None:
        return "never"
    days = (today - day).days
    return {0: "today", 1: "yesterday"}.get(days, f"{days} days ago" if days > 0 else day.isoformat())
