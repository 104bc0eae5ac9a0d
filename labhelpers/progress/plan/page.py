"""Shows a study plan: a table in the terminal, and the page progress/plan.md."""

import os
import re
from collections.abc import Collection, Iterable
from typing import Any

from ...core import files, timetable
from ...core.settings import current
from . import file as plan_file
from . import hours as plan_hours
from . import paths, planning
from .file import Plan
from .sittings import Entry

SEAL = re.compile(r"\n<!-- sealed ([0-9a-f]{16}) -->\s*\Z")


def show(plan: Plan, done: Collection[str] = (), console: Any = None) -> None:
    """Print a plan.

    Args:
        plan: any plan.
        done: ids of finished lessons.
        console: a Rich console; a fresh one when None.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = console or Console()
    table = Table(title=Text(heading(plan)), title_justify="left")
    for name, justify in (
        ("when", "left"),
        ("lesson", "left"),
        ("sitting", "left"),
        ("minutes", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=justify)
    for entry in plan.entries:
        table.add_row(*(Text(cell) for cell in _cells(entry, done)))
    console.print(table)
    for line in summary(plan, done):
        console.print(line, markup=False, highlight=False)
    for line in [*plan_hours.sentences(plan)[:2], *_undated(plan)]:
        console.print(line, markup=False, highlight=False, style="dim")
    for line in planning.complaints(plan, done):
        console.print(f"Note: {line}", markup=False, highlight=False)


def page(plan: Plan, done: Collection[str] = ()) -> str:
    """Write a plan as Markdown, with links from the progress folder.

    Args:
        plan: any plan.
        done: ids of finished lessons.

    Returns:
        The page: dates, sums, published hours against computed ones, what has no date, the path's steps and checks.
    """
    path = paths.get("path", plan.path)
    rows = [f"| {' | '.join(_cells(entry, done, link=True))} |" for entry in plan.entries]
    lines = [
        f"# {heading(plan)}",
        "",
        f"{path['promise']}.",
        "",
        *(f"- {line}" for line in summary(plan, done)),
    ]
    lines += [f"- Note: {line}" for line in planning.complaints(plan, done)]
    lines += [
        "",
        "## The dates",
        "",
        "| when | lesson | sitting | minutes | |",
        "|---|---|---|---:|---|",
        *rows,
    ]
    lines += ["", "## Do the hours add up?", "", *(f"- {line}" for line in plan_hours.sentences(plan))]
    lines += [*_section("Not in the dates", _undated(plan)), *_section("To read beside it", _guides(plan))]
    lines += _steps(path)
    lines += _section("When you are through", [f"{row['text']}. {_where(row)}" for row in path["checks"]])
    return "\n".join([*lines, "", f"Then: {path['next']['text']}.", ""])


def write(plan: Plan, done: Collection[str] = ()) -> list[str]:
    """Write progress/plan.md.

    Args:
        plan: any plan.
        done: ids of finished lessons.

    Returns:
        Sentences about what was kept: a page that was changed by hand is copied beside the new one.

    Raises:
        LabError: when the file cannot be written.
    """
    location = current().progress / "plan.md"
    with files.locked():
        before, said = plan_file.decoded(location), []
        found = SEAL.search(before)
        if before and not (found and found[1] == plan_file.seal(before[: found.start()])):
            copy = files.keep_aside(location)
            said = [f"progress/{location.name} had changes of yours; it is kept as progress/{copy.name}."]
        text = page(plan, done)
        files.write(location, f"{text}\n<!-- sealed {plan_file.seal(text)} -->\n".encode())
    return said


def heading(plan: Plan) -> str:
    """Name a plan, such as "Deep Dive, weekend pace, focus on cost"."""
    words = [paths.get("path", plan.path)["title"], f"{paths.get('pace', plan.pace)['title'].lower()} pace"]
    words += [f"focus on {paths.get('focus', plan.focus)['title'].lower()}"] if plan.focus else []
    words += [paths.get("background", plan.background)["title"].lower()] if plan.background else []
    return ", ".join(words)


def summary(plan: Plan, done: Collection[str] = ()) -> list[str]:
    """Say how long a plan is.

    Args:
        plan: any plan.
        done: ids of finished lessons.
    """
    if not plan.entries:
        return ["Nothing is left to plan: every lesson of this path is done."]
    lessons = len({entry.lesson_id for entry in plan.entries})
    first, last, total = plan.entries[0].date, plan.entries[-1].date, plan.total_minutes
    fullest = max(plan_hours.per_week(plan).values())
    lines = [
        f"{lessons} lessons in {len(plan.entries)} sittings, {total / 60:.1f} hours ({total:,} minutes) in all.",
        f"From {_day(first)} to {_day(last)}; the fullest week takes {fullest / 60:.1f} hours.",
    ]
    rest = sum(entry.minutes for entry in planning.left(plan, done))
    return lines + (
        [f"Done: {(total - rest) / 60:.1f} hours. Left: {rest / 60:.1f} hours."] if rest < total else []
    )


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


def _guides(plan: Plan) -> list[str]:
    return [_guide(name) for name in planning.selection(plan).guides]


def _guide(name: str) -> str:
    return f"[{name.replace('_', ' ')}]({_root()}/curriculum/guides/{name}.md)"


def _root() -> str:
    """The way from the learner's folder to the course."""
    return os.path.relpath(current().root, current().progress).replace(os.sep, "/")


def _steps(path: dict[str, Any]) -> list[str]:
    lines = ["", "## The steps, and where they are"]
    for stage in path["stages"]:
        lines += ["", f"**{stage['title']}**", ""]
        lines += [f"- {row['text']}. {_where(row)}" for row in stage["steps"]]
        lines += ["", f"After that: {stage['outcome']['text']}."] if "outcome" in stage else []
    return lines


def _where(row: dict[str, Any]) -> str:
    known = {day["id"]: timetable.label(day) for day in timetable.lessons()}
    places = [known.get(name) or f"{paths.title(name).split(':')[0]} (to come)" for name in row.get("in", [])]
    page = [f"Guide: {_guide(row['guide'])}."] if "guide" in row else []
    return " ".join([*([f"*{'; '.join(places)}.*"] if places else []), *page])


def _section(title: str, lines: Iterable[str]) -> list[str]:
    rows = [f"- {line}" for line in lines]
    return ["", f"## {title}", "", *rows] if rows else []


def _day(day: Any) -> str:
    return f"{day:%a} {day.day} {day:%b} {day.year}"
