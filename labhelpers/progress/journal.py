"""Reads the learner's journal: which entries there are, from which day, and what they say."""

import re
from dataclasses import dataclass
from datetime import date

from ..core import files, settings
from . import markdown

# The headings that `progress.write_journal` makes; a learner's own headings are part of an entry.
HEADING = re.compile(r"^\ufeff?## (\d{4}-\d{2}-\d{2})(?: · ([^\n]*))?$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One entry: its day, what it was about ("Day 4, Your first fine-tuning") and its text."""

    date: date
    title: str
    text: str


def entries() -> list[Entry]:
    """Read progress/journal.md.

    Returns:
        The entries as they stand in the file, oldest first; text before the first dated heading is no entry.

    Raises:
        LabError: when the file is there and cannot be read.
    """
    raw = files.read_bytes(settings.current().progress / "journal.md")
    text = markdown.decode(raw).text.replace("\r\n", "\n")
    heads = [(match, day) for match in HEADING.finditer(text) if (day := as_date(match[1]))]
    ends = [*(match.start() for match, _ in heads[1:]), len(text)]
    return [
        Entry(day, (match[2] or "").strip(), text[match.end() : end].strip())
        for (match, day), end in zip(heads, ends, strict=False)
    ]


def as_date(text: str) -> date | None:
    """Read the day of an ISO date or time as it is written, without moving it to another time zone.

    Args:
        text: such as "2026-11-21" or "2026-11-21T18:04:05+01:00".

    Returns:
        The day, or None where there is none.
    """
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None
