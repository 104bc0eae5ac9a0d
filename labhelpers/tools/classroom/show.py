"""Shows a class: as one HTML page and, shorter, in the terminal."""

from datetime import date
from pathlib import Path
from typing import Any

from ...core import files, timetable
from ...core.settings import LabError
from ...display.words import counted
from ..templates import render
from . import report
from .report import Class, Hurdle

MARK = b'<meta name="generator" content="lab class">'
ROWS = 10


def show(folder: Path, out: Path | None = None, console: Any = None, today: date | None = None) -> Path:
    """Print a class in the terminal and write its page; a page of somebody else's is never replaced."""
    from rich.console import Console

    path = (out or folder / "class.html").expanduser().absolute()
    if path.is_dir() or (path.exists() and MARK not in path.read_bytes()[:400]):
        raise LabError(
            f"{path} is there already and is no page of `lab class`. Name another file with --out."
        )
    found = report.read(folder.expanduser(), today)
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
