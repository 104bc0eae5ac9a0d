"""Counts the days on which something was learned, and how many come in a row."""

import json
from collections.abc import Collection, Iterable
from datetime import date
from pathlib import Path
from typing import Any

from ..core import files, settings
from . import checklists, journal


def length(days: Collection[date], today: date, rest: Collection[int] = ()) -> int:
    """Count the learning days in a row that reach up to today or yesterday.

    Args:
        days: learning days, in any order.
        today: as this machine's clock says.
        rest: weekdays (0 is Monday) that never break a row, because the learner's pace leaves them free.
    """
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
