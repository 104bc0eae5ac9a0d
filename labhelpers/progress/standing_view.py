"""Puts a standing into words: sentences that the start page and the terminal share, and the terminal's tables."""

import re
from datetime import date
from typing import Any

from ..core import timetable
from ..display.words import counted
from .standing import LEVELS, MARKS, Cell, Milestone, Pace, Standing, Step, Week


def streak(standing: Standing) -> str:
    """Say how many learning days come in a row."""
    if not standing.days:
        return "It begins with your first exercise, tick or journal entry"
    if not standing.streak:
        return f"{counted(standing.days, 'learning day')} so far. Today begins a new row"
    today = "" if standing.active_today else "; today is still open"
    in_all = f", {standing.days} in all" if standing.days > standing.streak else ""
    return f"{counted(standing.streak, 'day')} in a row{in_all}{today}"


def pace(pace: Pace | None) -> str:
    """Say how the learner stands against the plan, without reproach."""
    if pace is None:
        return "No plan yet. `lab plan --quiz` suggests one in eight questions"
    if not pace.left:
        return "Everything in your plan is done"
    end = f". The plan ends on {day(pace.finish)}"
    if pace.behind:
        first = pace.behind[0]
        late = f"{timetable.label(timetable.lesson(first.lesson_id))} was planned for {day(first.date)}"
        return f"{_size(pace.behind)} behind: {late}. `lab plan --replan` moves what is left; nothing is lost"
    if pace.ahead:
        return f"{_size(pace.ahead)} ahead of your plan{end}"
    return f"On plan{end}"


def machine(step: Step) -> str | None:
    """Say how long this machine computes; None where nobody has measured it."""
    if step.machine_minutes is None:
        return None
    minutes = max(1, round(step.machine_minutes))
    return f"This machine will be computing for about {minutes} of them."


def congratulation(milestone: Milestone) -> str:
    """Celebrate a milestone in two sentences."""
    return f"Milestone reached: {milestone.text}. {milestone.words}".strip()


def day(when: date | None) -> str:
    """Write a date such as "Sat 21 Nov"."""
    return f"{when:%a} {when.day} {when:%b}" if when else ""


def name(lesson: dict[str, Any]) -> str:
    """Name a lesson with its title."""
    return f"{timetable.label(lesson)} · {lesson['title']}"


def cell(cell: Cell) -> str:
    """Name the state of a tracker cell, with a mark for the eye and words for everybody."""
    where = f": {timetable.label(cell.lesson)}" if cell.lesson else ""
    return f"{MARKS[cell.state]} {cell.state}{where}"


def show_next(standing: Standing, console: Any = None) -> None:
    """Print the next step."""
    console = console or _console()
    for line in [*_celebration(standing), *next_lines(standing), *standing.complaints]:
        _say(console, line)


def show(standing: Standing, console: Any = None) -> None:
    """Print the whole standing."""
    console = console or _console()
    show_next(standing, console)
    console.print()
    for title, text in facts(standing):
        _say(console, f"{title}: {plain(text)}.")
    for table in (_milestones(standing), _weeks(standing), _techniques(standing)):
        console.print()
        console.print(table)


def facts(standing: Standing) -> list[tuple[str, str]]:
    """List the plain figures: (what, how much)."""
    return [
        ("Lessons", f"{len(standing.done)} done of {standing.written} that are written"),
        ("Exercises", f"{standing.passed} passed of {standing.exercises}"),
        ("Streak", streak(standing)),
        ("Plan", pace(standing.pace)),
    ]


def next_lines(standing: Standing) -> list[str]:
    """Say what is next, in lines without markup."""
    step = standing.next
    if step is None:
        return ["You have done every lesson that is written. Well done."]
    items = step.ticked + len(step.open_items)
    lines = [f"Next: {name(step.lesson)}", f"  {step.lesson['promise']}"]
    lines += [" ".join([f"  Plan {step.minutes} minutes for yourself.", *filter(None, [machine(step)])])]
    if step.sitting:
        lines += [f"  {sitting(step)}"]
    if step.ticked:
        lines += [f"  {step.ticked} of {items} items of its checklist are ticked."]
    return [
        *lines,
        f"  Open lessons/{step.lesson['lesson']}.ipynb (`lab start` brings you to the start page).",
    ]


def sitting(step: Step) -> str:
    """Say when the plan has the step."""
    entry = step.sitting
    part = f", sitting {entry.part} of {entry.parts}" if entry.parts > 1 else ""
    return f"In your plan: {day(entry.date)}{part}, {entry.minutes} minutes."


def this_week(standing: Standing) -> tuple[Week, str]:
    """Find the week of the next lesson, and say how many boxes of the other weeks are ticked."""
    id = standing.next.lesson["week"] if standing.next else standing.weeks[-1].id
    here = next((week for week in standing.weeks if week.id == id), standing.weeks[-1])
    return here, ", ".join(f"{week_name(each)}: {_ticked(each)}" for each in standing.weeks if each != here)


def week_name(week: Week) -> str:
    """Name a week, such as "Week 1"."""
    return timetable.group(week.id)


def plain(text: str) -> str:
    """Take the Markdown marks out of a text."""
    return re.sub(r"[`*]", "", text)


def _ticked(week: Week) -> str:
    boxes = [*week.checkpoints, *week.questions]
    return f"{sum(box.ticked for box in boxes)} of {len(boxes)}"


def _celebration(standing: Standing) -> list[str]:
    return [congratulation(milestone) for milestone in standing.milestones if milestone.new]


def _milestones(standing: Standing) -> Any:
    table = _table("Milestones", "milestone", "where", "state")
    for milestone in standing.milestones:
        table.add_row(
            *_cells(milestone.text, milestone.place, "✔ reached" if milestone.reached else "○ open")
        )
    return table


def _weeks(standing: Standing) -> Any:
    here, others = this_week(standing)
    table = _table(f"{week_name(here)} · {here.title}", "checkpoint or question", "id", "state")
    for box in (*here.checkpoints, *here.questions):
        table.add_row(*_cells(plain(box.text), box.id, "✔ ticked" if box.ticked else "○ open"))
    table.caption = f"The other weeks: {others}."
    return table


def _techniques(standing: Standing) -> Any:
    table = _table("Techniques and levels", "technique", *LEVELS)
    for row in standing.techniques:
        table.add_row(*_cells(row[0].technique, *map(cell, row)))
    return table


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table
    from rich.text import Text

    return Table(*columns, title=Text(title), title_justify="left", caption_justify="left")


def _cells(*texts: str) -> list[Any]:
    from rich.text import Text

    return [Text(text) for text in texts]


def _say(console: Any, line: str) -> None:
    """Print a line; what is too long goes on under its own beginning."""
    from rich.padding import Padding
    from rich.text import Text

    indent = len(line) - len(line.lstrip(" "))
    console.print(Padding(Text(line.strip(" ")), (0, 0, 0, indent)))


def _console() -> Any:
    from rich.console import Console

    return Console()


def _size(entries: Any) -> str:
    hours = sum(entry.minutes for entry in entries) / 60
    return f"{counted(len(entries), 'sitting')} ({hours:.1f} hours)"
