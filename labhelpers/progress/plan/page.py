"""Shows a study plan: a table in the terminal, the page progress/plan.md, and a file for your calendar (RFC 5545)."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from ...core import files, timetable
from ...core.settings import LabError, current
from . import paths, planning
from .planning import Entry, Plan

COLUMNS = ("when", "lesson", "sitting", "minutes", "")
PRODUCT = "-//Fine-Tuning in Four Weeks//lab plan//EN"


def show(plan: Plan, done: Collection[str] = ()) -> None:
    """Print a plan."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(title=Text(heading(plan)), title_justify="left")
    for name in COLUMNS:
        table.add_column(name, justify="right" if name == "minutes" else "left")
    for entry in plan.entries:
        table.add_row(*(Text(cell) for cell in _cells(entry, done)))
    console.print(table)
    for line in [*summary(plan, done), *_undated(plan), *_notes(plan, done)]:
        console.print(line, markup=False, highlight=False)


def write(plan: Plan, done: Collection[str] = ()) -> list[str]:
    """Write progress/plan.md; what comes back says where a page that was changed by hand is kept."""
    path = current().progress / "plan.md"
    with files.locked():
        aside = files.rewrite(path, page(plan, done))
    return (
        [f"progress/{path.name} had changes of yours; it is kept as progress/{aside.name}."] if aside else []
    )


def page(plan: Plan, done: Collection[str] = ()) -> str:
    """Write a plan as Markdown, with links from the progress folder."""
    path = paths.get("path", plan.path)
    lines = [
        f"# {heading(plan)}", "", "*Made by `lab plan`, and made anew by `lab plan --replan`: write elsewhere.*", "",
        f"{path['promise']}.", "", *(f"- {line}" for line in [*summary(plan, done), *_notes(plan, done)]), "",
        "## The dates", "", f"| {' | '.join(COLUMNS)} |", "|---|---|---|---:|---|",
        *(f"| {' | '.join(_cells(entry, done, link=True))} |" for entry in plan.entries),
    ]  # fmt: skip
    lines += _section("Not in the dates", _undated(plan))
    lines += _section("To read beside it", [_guide(name) for name in planning.selection(plan).guides])
    outcomes = [
        f"**{stage['title']}**: {stage['outcome']['text']}" for stage in path["stages"] if "outcome" in stage
    ]
    lines += _section("What each part leaves you with", outcomes)
    lines += _section("When you are through", [_check(row) for row in path["checks"]])
    return "\n".join([*lines, "", f"Then: {path['next']['text']}.", ""])


def heading(plan: Plan) -> str:
    """Name a plan, such as "Deep Dive, weekend pace, focus on cost"."""
    words = [paths.get("path", plan.path)["title"], f"{paths.get('pace', plan.pace)['title'].lower()} pace"]
    words += [f"focus on {paths.get('focus', plan.focus)['title'].lower()}"] if plan.focus else []
    words += [paths.get("background", plan.background)["title"].lower()] if plan.background else []
    return ", ".join(words)


def summary(plan: Plan, done: Collection[str] = ()) -> list[str]:
    """Say how long a plan is, and how long its fullest week."""
    if not plan.entries:
        return ["Nothing is left to plan: every lesson of this path is done."]
    weeks: Counter[tuple[int, int]] = Counter()
    for day, minutes in planning.minutes_by_day(plan.entries).items():
        weeks[day.isocalendar()[:2]] += minutes
    lessons, total = len({entry.lesson_id for entry in plan.entries}), plan.total_minutes
    first, last = plan.entries[0].date, plan.entries[-1].date
    lines = [
        f"{lessons} lessons in {len(plan.entries)} sittings, {total / 60:.1f} hours ({total:,} minutes) in all.",
        f"From {_day(first)} to {_day(last)}; the fullest week takes {max(weeks.values()) / 60:.1f} hours.",
    ]
    rest = sum(entry.minutes for entry in planning.left(plan, done))
    return lines + [f"Done: {(total - rest) / 60:.1f} hours. Left: {rest / 60:.1f} hours."] * (rest < total)


def _notes(plan: Plan, done: Collection[str]) -> list[str]:
    return [f"Note: {line}" for line in planning.complaints(plan, done)]


def _cells(entry: Entry, done: Collection[str], link: bool = False) -> list[str]:
    day = next((day for day in timetable.lessons() if day["id"] == entry.lesson_id), None)
    written = day is not None and day["status"] == "ready"
    title = paths.title(entry.lesson_id)
    if link:
        title = (
            f"[{title}]({_root()}/lessons/{day['lesson']}.ipynb)" if written else title.replace("|", "\\|")
        )
    state = "done" if entry.lesson_id in done else ("" if written or day is None else "not written yet")
    sitting = f"{entry.part} of {entry.parts}" if entry.parts > 1 else ""
    return [_day(entry.date), title, sitting, str(entry.minutes), state]


def _undated(plan: Plan) -> list[str]:
    chosen = planning.selection(plan)
    added = "; ".join(paths.title(name) for name in chosen.added)
    missing = [f"Added to the path by focus or background: {added}."] if added else []
    missing += [f"Left out: {paths.title(name)} ({why})." for name, why in chosen.left_out.items()]
    if chosen.techniques:
        beside = "; ".join(paths.title(name) for name in chosen.techniques)
        missing += [f"Beside them, whenever it suits, hence without a date: {beside}."]
    coming = "; ".join(paths.title(name).split(":")[0] for name in chosen.to_come)
    return missing + (
        [f"Planned lessons that have no minutes yet, hence no date: {coming}."] if coming else []
    )


def _check(row: dict[str, Any]) -> str:
    """Name something to be able to say at the end, and the lessons that lead there."""
    known = {day["id"]: timetable.label(day) for day in timetable.lessons()}
    places = [known.get(name) or f"{paths.title(name).split(':')[0]} (to come)" for name in row["in"]]
    return f"{row['text']}. *{'; '.join(places)}.*"


def _guide(name: str) -> str:
    return f"[{name.replace('_', ' ')}]({_root()}/curriculum/guides/{name}.md)"


def _root() -> str:
    """The way from the learner's folder to the course."""
    return os.path.relpath(current().root, current().progress).replace(os.sep, "/")


def _section(title: str, lines: Iterable[str]) -> list[str]:
    rows = [f"- {line}" for line in lines]
    return ["", f"## {title}", "", *rows] if rows else []


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b} {day.year}"


def to_ics(plan: Plan, now: datetime | None = None) -> bytes:
    """Turn a plan into a calendar with floating times: six in the evening wherever the learner is.

    A plan that was saved keeps its events' ids, so that opening a newer file updates the events (RFC 5545, 3.8.4.7).
    """
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", paths.get("path", plan.path)["title"])
    stamp = (now or datetime.now(UTC)).astimezone(UTC)
    seen: dict[str, int] = {}
    for entry, begin in _timed(plan):
        event = icalendar.Event()
        event.add("uid", _uid(plan, entry, seen))
        event.add("dtstamp", stamp)
        event.add("last-modified", stamp)
        event.add("sequence", plan.revision)
        event.add("dtstart", begin)
        event.add("dtend", begin + timedelta(minutes=entry.minutes))
        part = f" ({entry.part} of {entry.parts})" if entry.parts > 1 else ""
        event.add("summary", paths.title(entry.lesson_id) + part)
        event.add("description", _description(entry))
        calendar.add_component(event)
    return calendar.to_ical()


def write_calendar(plan: Plan, path: str | Path) -> Path:
    """Write the calendar file; an older calendar of this course is replaced, any other file is not."""
    file = Path(path).expanduser()
    if file.is_dir():
        raise LabError(f"{file} is a folder. Give a file in it, such as --ics {file / 'plan.ics'}.")
    old = files.read_bytes(file)
    if old and PRODUCT.encode() not in old:
        raise LabError(
            f"{file} is there and is no calendar of this course. Give another name, such as --ics plan.ics."
        )
    files.write(file, to_ics(plan))
    return file


def _timed(plan: Plan) -> Iterator[tuple[Entry, datetime]]:
    """Give each sitting its time: one after the other from the pace's hour on, earlier if the day is too long for it."""
    begins = paths.get("pace", plan.pace)["begins"]
    passed: dict[date, int] = {}
    for entry in plan.entries:
        usual = time.fromisoformat(begins[entry.date.weekday()])
        latest = max(0, 24 * 60 - sum(other.minutes for other in plan.entries if other.date == entry.date))
        begin = min(usual.hour * 60 + usual.minute, latest) + passed.get(entry.date, 0)
        passed[entry.date] = passed.get(entry.date, 0) + entry.minutes
        if entry.minutes:
            yield entry, datetime.combine(entry.date, time()) + timedelta(minutes=begin)


def _uid(plan: Plan, entry: Entry, seen: dict[str, int]) -> str:
    """The same for the same sitting of the same learner, whatever its date."""
    name = f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', entry.lesson_id)}-{entry.part}"
    seen[name] = seen.get(name, 0) + 1
    again = f"-{seen[name]}" if seen[name] > 1 else ""
    return f"{name}{again}@{plan.calendar or 'unsaved'}.fine-tuning-in-four-weeks"


def _description(entry: Entry) -> str:
    day = next((day for day in timetable.lessons() if day["id"] == entry.lesson_id), None)
    if day is None:
        return "An entry of your own."
    if day["status"] != "ready":
        return f"{day['promise']}\nThis lesson is planned, but not written yet."
    return f"{day['promise']}\nOpen lessons/{day['lesson']}.ipynb"
