"""The class in the terminal: two tables, and how shares and days are written in words."""

from datetime import date
from typing import Any

from .report import Class, Hurdle

ROWS = 10


def learners(found: Class) -> Any:
    """List the learners as a Rich table; who should be asked after stands in bold."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"Who is where ({counted(len(found.standings), 'learner')})", title_justify="left")
    for heading in ("learner", "now at", "lessons\nfinished", "exercises\npassed", "last active"):
        table.add_column(heading, justify="right" if "\n" in heading else "left")
    for one in found.standings:
        cells = (
            one.name,
            one.at,
            str(one.finished),
            f"{one.passed} of {one.tried}",
            ago(one.last, found.today),
        )
        table.add_row(*map(Text, cells), style="bold" if one.quiet else "")
    return table


def exercises(found: Class) -> Any:
    """List the exercises that stop most people, as a Rich table."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="What stops people: tried, and not passed", title_justify="left")
    for heading in ("exercise", "tried", "not passed", "attempts\nuntil passed", "attempts\nin all"):
        table.add_column(heading, justify="left" if heading == "exercise" else "right")
    for one in found.exercises[:ROWS]:
        waiting = f"{len(one.waiting)} ({percent(one.stopped)})"
        table.add_row(*map(Text, (one.id, str(one.tried), waiting, until(one), str(one.attempts))))
    return table


def percent(share: float | None) -> str:
    """Write a share of 1 as a whole percentage; an empty text for None."""
    return "" if share is None else f"{share:.0%}".replace("%", " %")


def until(hurdle: Hurdle) -> str:
    """Write the median of the attempts until passed."""
    return "" if hurdle.median is None else f"{hurdle.median:g}"


def counted(number: int, thing: str) -> str:
    """Say how many, such as "1 learner" or "2,000 learners"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def ago(day: date | None, today: date) -> str:
    """Write how long ago a day was."""
    if day is None:
        return "never"
    days = (today - day).days
    return {0: "today", 1: "yesterday"}.get(days, f"{days} days ago" if days > 0 else day.isoformat())
