"""Counts the days on which something was learned, and how many come in a row, whatever the clock did meanwhile."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ..core import files, settings, timetable
from . import checklists, journal, markdown, week_files


@dataclass(frozen=True)
class Seen:
    """What the course remembers from the last look at the standing.

    Attributes:
        celebrated: ids of milestones that were celebrated.
        days: days on which boxes were ticked by hand.
        ticked: ids that were ticked.
    """

    celebrated: frozenset[str] = frozenset()
    days: frozenset[date] = frozenset()
    ticked: frozenset[str] = frozenset()


def length(days: Collection[date], today: date, rest: Collection[int] = ()) -> int:
    """Count the learning days in a row that reach up to today or yesterday.

    Args:
        days: learning days, in any order.
        today: as this machine's clock says.
        rest: weekdays (0 is Monday) that never break a row, because the learner's pace leaves them free.

    Returns:
        Days. Where learning days lie ahead of today, the clock was moved: the row that ends with the last of them
        counts too, and the longer one wins.
    """
    numbers = {day.toordinal() for day in days}
    now = today.toordinal()
    ends = [now if now in numbers else now - 1, *([max(numbers)] if numbers and max(numbers) > now else [])]
    return max(_row(numbers, end, rest) for end in ends)


def learning_days(seen: Seen, ticked: Iterable[str], attempts: Iterable[checklists.Attempt]) -> set[date]:
    """Collect the days on which the learner answered, wrote or ticked something.

    Args:
        seen: what was remembered.
        ticked: ids that are ticked now.
        attempts: at exercises and quiz questions.

    Returns:
        Days. A tick by hand has no date of its own: it counts on the day on which its file was last written.

    Raises:
        LabError: when the journal cannot be read.
    """
    answered = {day for attempt in attempts if (day := journal.as_date(attempt.time))}
    written = {entry.date for entry in journal.entries()}
    logged = {day for row in _logged_ticks() if (day := journal.as_date(row.get("time")))}
    return answered | written | logged | seen.days | _days_of_new_ticks(set(ticked) - seen.ticked)


def recall() -> Seen:
    """Read progress/seen.json; a missing or damaged file is an empty memory.

    Raises:
        LabError: when the file is there and cannot be read.
    """
    try:
        saved = json.loads(files.read_bytes(_path()) or b"{}")
    except ValueError:
        saved = {}
    saved = saved if isinstance(saved, dict) else {}
    days = {day for text in _texts(saved.get("days")) if (day := journal.as_date(text))}
    return Seen(
        frozenset(_texts(saved.get("celebrated"))), frozenset(days), frozenset(_texts(saved.get("ticked")))
    )


def remember(celebrated: Iterable[str], ticked: Iterable[str]) -> None:
    """Add to progress/seen.json: milestones that were celebrated, and the day of new ticks by hand.

    Args:
        celebrated: ids of milestones.
        ticked: ids that are ticked now.

    Raises:
        LabError: when the file cannot be written.
    """
    with files.locked():
        seen, now = recall(), set(ticked)
        days = seen.days | _days_of_new_ticks(now - seen.ticked)
        new = Seen(seen.celebrated | set(celebrated), frozenset(days), frozenset(now))
        if new != seen:
            files.write(_path(), _text(new).encode())


def _row(numbers: set[int], end: int, rest: Collection[int]) -> int:
    """Walk back from a day until one is missing. Day 1 of the calendar is a Monday."""
    count, first = 0, min(numbers, default=end)
    for number in range(end, first - 1, -1):
        if number in numbers:
            count += 1
        elif (number - 1) % 7 not in rest:
            break
    return count


def _logged_ticks() -> list[dict[str, Any]]:
    """What lessons and commands have ticked, with its time."""
    return [row for row in files.records(week_files.history_path()) if "done" in row]


def _days_of_new_ticks(new: set[str]) -> set[date]:
    """Date the ticks that were made by hand since the last look."""
    by_hand = new - {str(row.get("id")) for row in _logged_ticks()} if new else set()
    days = set()
    for week in timetable.load()["weeks"]:
        path = settings.current().progress / f"{week['id']}.md"
        if path.is_file() and by_hand & set(_boxes(path)):
            days.add(datetime.fromtimestamp(path.stat().st_mtime).date())
    return days


def _boxes(path: Path) -> dict[str, bool]:
    return markdown.boxes(markdown.decode(files.read_bytes(path)).text)


def _text(seen: Seen) -> str:
    rows = {"celebrated": sorted(seen.celebrated), "days": sorted(map(str, seen.days))}
    return json.dumps({**rows, "ticked": sorted(seen.ticked)}, indent=1) + "\n"


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _path() -> Path:
    return settings.current().progress / "seen.json"
