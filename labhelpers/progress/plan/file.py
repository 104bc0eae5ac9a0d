"""A plan as text: progress/plan.yaml, the learner's own file, read with care and never overwritten blindly."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ...core import files, settings
from ...core.settings import LabError
from .. import markdown
from .sittings import Entry

HEAD = """# Your study plan, yours to change: move a date, add keys, add entries of your own.
# `lab plan` shows it, `lab plan --replan` moves what is left, `lab plan --ics FILE` puts it into your calendar.
"""
SEAL = re.compile(r"^# sealed ([0-9a-f]{16})\s*\Z", re.MULTILINE)
MERGE = re.compile(r"^(?:<{7}|={7}|>{7})(?: |\r?$)", re.MULTILINE)
OPTIONS = ("path", "pace", "focus", "background", "hours_per_week", "start")
MINE = {*OPTIONS, "calendar", "revision", "entries", "retired"}


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
        retired: sittings of earlier revisions that are no longer there, to be taken out of the calendar.
        own: keys that the learner added at the top of the file.
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
    retired: tuple[Entry, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def total_minutes(self) -> int:
        """The minutes of all sittings."""
        return sum(entry.minutes for entry in self.entries)


def location() -> Path:
    """Where the plan lives."""
    return settings.current().progress / "plan.yaml"


def to_text(plan: Plan) -> str:
    """Write a plan as YAML, with a seal by which a later change by hand is noticed."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Repeats a date instead of pointing at its first mention, so that one can be moved alone."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    document = {key: getattr(plan, key) for key in (*OPTIONS, "calendar", "revision")}
    document |= dict(plan.own)
    document["entries"] = [_as_row(entry) for entry in plan.entries]
    document["retired"] = [_as_row(entry) for entry in plan.retired]
    look = {"sort_keys": False, "allow_unicode": True, "default_flow_style": None, "width": 1000}
    text = HEAD + yaml.dump(document, Dumper=Plain, **look)
    return f"{text}# sealed {seal(text)}\n"


def is_untouched(text: str) -> bool:
    """Tell whether a file is as `to_text` wrote it."""
    found = SEAL.search(text)
    return bool(found) and seal(text[: found.start()]) == found[1]


def from_text(text: str) -> Plan:
    """Read a plan.

    Args:
        text: of the file; unknown keys are kept in `own`.

    Returns:
        The plan, entries by date.

    Raises:
        LabError: when it is not YAML or lacks something, with the line.
    """
    document = _document(text)
    lines = _entry_lines(text)
    try:
        entries = [_entry(row, lines[index]) for index, row in enumerate(document["entries"] or [])]
        retired = [_entry(row, None) for row in document.get("retired") or []]
        own = {key: value for key, value in document.items() if key not in MINE}
        options = {key: document.get(key) for key in OPTIONS}
        options["start"] = _date(options["start"], None)
    except (KeyError, TypeError, IndexError) as error:
        raise _unreadable(f"it lacks the part {error}") from error
    entries.sort(key=lambda entry: entry.date)
    return Plan(
        **options, entries=tuple(entries), retired=tuple(retired), own=own,
        calendar=document.get("calendar"), revision=_whole(document.get("revision"), None, 0),
    )  # fmt: skip


def _as_row(entry: Entry) -> dict[str, Any]:
    row = {"lesson": entry.lesson_id, "date": entry.date, "minutes": entry.minutes}
    return {**row, "part": entry.part, "parts": entry.parts, **entry.own}


def _entry(row: Any, line: int | None) -> Entry:
    if not isinstance(row, dict) or "lesson" not in row:
        raise _unreadable("an entry needs at least `lesson`, `date` and `minutes`", line)
    own = {
        key: value for key, value in row.items() if key not in ("lesson", "date", "minutes", "part", "parts")
    }
    minutes, part, parts = (
        _whole(row.get(key), line, standard)
        for key, standard in (("minutes", None), ("part", 1), ("parts", 1))
    )
    return Entry(str(row["lesson"]), _date(row.get("date"), line), minutes, part, parts, own)


def _whole(value: Any, line: int | None, standard: int | None) -> int:
    if value is None and standard is not None:
        return standard
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100_000:
        raise _unreadable(f"{value!r} should be a whole number", line)
    return value


def _date(value: Any, line: int | None) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    raise _unreadable(f"{value!r} is not a date such as 2026-11-30", line)


def _document(text: str) -> dict[str, Any]:
    import yaml

    if marker := MERGE.search(text):
        raise _unreadable("two versions met here (a merge conflict)", text.count("\n", 0, marker.start()) + 1)
    try:
        document = yaml.safe_load(text.lstrip("\ufeff"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise _unreadable(error.problem or "it is not YAML", line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(f"it is not YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(document, dict) or not isinstance(document.get("entries", 0), list | None):
        raise _unreadable("it has no list of `entries`")
    return document


def _entry_lines(text: str) -> list[int]:
    """Line numbers of the entries."""
    import yaml

    root = yaml.compose(text.lstrip("\ufeff"), Loader=yaml.SafeLoader)
    rows = next((value for key, value in root.value if key.value == "entries"), None)
    return [row.start_mark.line + 1 for row in rows.value] if isinstance(rows, yaml.SequenceNode) else []


def _unreadable(what: str, line: int | None = None) -> LabError:
    where = f"{location()}, line {line}" if line else str(location())
    return LabError(
        f"{where}: {what}. Repair it in an editor; or make a new plan with `lab plan --path … --pace …`, which keeps "
        "this file beside the new one."
    )


def seal(text: str) -> str:
    """Fingerprint a text, to notice later whether a person changed it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def decoded(path: Path) -> str:
    """Read a text file whatever its encoding; a missing one is empty."""
    return markdown.decode(files.read_bytes(path)).text
