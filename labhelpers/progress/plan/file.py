"""A study plan and its file, progress/plan.yaml: written by `lab plan`, read with care, as people move dates in it."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ...core import settings
from ...core.settings import LabError
from .sittings import Entry

HEAD = """# Your study plan, made by `lab plan`. A date that you move here counts, and so does an entry of your own.
# `lab plan` shows it, `lab plan --replan` moves what is left, `lab plan --ics FILE` puts it into your calendar.
"""
OPTIONS = ("path", "pace", "focus", "background", "hours_per_week", "start")


@dataclass(frozen=True)
class Plan:
    """Lessons with dates.

    Attributes:
        path, pace, focus, background: names in paths.yaml; focus and background may be None.
        start: first day asked for.
        entries: sittings by date.
        hours_per_week: what the learner stated, or None.
        calendar: id that makes this plan's calendar events its own; None until it is saved.
        revision: how often it was saved, which tells a calendar that an event is newer.
    """

    path: str
    pace: str
    start: date
    entries: tuple[Entry, ...]
    focus: str | None = None
    background: str | None = None
    hours_per_week: float | None = None
    calendar: str | None = None
    revision: int = 0

    @property
    def total_minutes(self) -> int:
        """The minutes of all sittings."""
        return sum(entry.minutes for entry in self.entries)


def location() -> Path:
    """Where the plan lives."""
    return settings.current().progress / "plan.yaml"


def to_text(plan: Plan) -> str:
    """Write a plan as YAML, one line per sitting."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Repeats a date instead of pointing at its first mention, so that one can be moved alone."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    document = {key: getattr(plan, key) for key in (*OPTIONS, "calendar", "revision")}
    document["entries"] = [
        {"lesson": entry.lesson_id, "date": entry.date, "minutes": entry.minutes, "part": entry.part, "parts": entry.parts}
        for entry in plan.entries
    ]  # fmt: skip
    look = {"sort_keys": False, "allow_unicode": True, "default_flow_style": None, "width": 1000}
    return HEAD + yaml.dump(document, Dumper=Plain, **look)


def from_text(text: str) -> Plan:
    """Read a plan; keys that the course does not know are passed over, and an error names the place."""
    document = _document(text)
    entries = [_entry(row, f"entry {number}") for number, row in enumerate(document["entries"] or [], 1)]
    options = {key: document.get(key) for key in (*OPTIONS, "calendar")}
    options |= {"start": _date(document.get("start"), "start"), "revision": _whole(document.get("revision", 0), "revision")}
    return Plan(**options, entries=tuple(sorted(entries, key=lambda entry: entry.date)))  # fmt: skip


def _document(text: str) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _unreadable(error.problem or "it is not YAML", where) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(f"it is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(document, dict) or not isinstance(document.get("entries", 0), list | None):
        raise _unreadable("it has no list of `entries`")
    return document


def _entry(row: Any, where: str) -> Entry:
    if not isinstance(row, dict) or "lesson" not in row:
        raise _unreadable("an entry needs at least `lesson`, `date` and `minutes`", where)
    where = f"{where}, {row['lesson']}"
    numbers = (row.get("minutes"), row.get("part", 1), row.get("parts", 1))
    return Entry(str(row["lesson"]), _date(row.get("date"), where), *(_whole(n, where) for n in numbers))


def _whole(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100_000:
        raise _unreadable(f"{value!r} should be a whole number", where)
    return value


def _date(value: Any, where: str) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    raise _unreadable(f"{value!r} is not a date such as 2026-11-30", where)


def _unreadable(what: str, where: str = "") -> LabError:
    return LabError(
        f"{location()}{', ' if where else ''}{where}: {what}. Repair it in an editor; or make a new plan with "
        "`lab plan --path … --pace …`, which keeps this file beside the new one."
    )
