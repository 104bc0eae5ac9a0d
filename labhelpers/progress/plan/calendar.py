"""Writes a plan as an .ics file (RFC 5545) that an ordinary calendar opens, and updates when it is opened again."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ...core import files, timetable
from ...core.settings import LabError
from . import paths
from .file import Plan
from .sittings import Entry

PRODUCT = "-//Fine-Tuning in Four Weeks//lab plan//EN"


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


def write(plan: Plan, path: str | Path) -> Path:
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
