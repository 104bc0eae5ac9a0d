"""The learner's journal and pages: written without touching what is there, and read entry by entry."""

import re
from dataclasses import dataclass
from datetime import date, datetime

from ..core import files, settings, timetable
from ..core.settings import LabError
from . import markdown

# The headings that `write_journal` makes; a learner's own headings are part of an entry.
HEADING = re.compile(r"^\ufeff?## (\d{4}-\d{2}-\d{2})(?: · ([^\n]*))?$", re.MULTILINE)


@dataclass(frozen=True)
class Entry:
    """One entry: its day, what it was about ("Day 4, Your first fine-tuning") and its text."""

    date: date
    title: str
    text: str


def write_journal(lesson: str, text: str) -> None:
    """Add an entry under today's date to progress/journal.md; what is there stays.

    Args:
        lesson: lesson id, such as "day04".
        text: Markdown. Nothing (or `...`) writes nothing; the same entry twice on one day is written once.

    Raises:
        LabError: when there is no such lesson, `text` is not a text, or the file cannot be read or written.
    """
    day = timetable.lesson(lesson)
    if text is ... or (isinstance(text, str) and not text.strip()):
        print(
            "Nothing to write yet. A sentence about what surprised you is a good entry; run the cell again then."
        )
        return
    if not isinstance(text, str):
        raise LabError(f"write_journal(): `text` is {type(text).__name__}. Give it your entry in quotes.")
    path = settings.current().progress / "journal.md"
    # A broken paste leaves half characters, which no file can hold.
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n")
    entry = f"## {datetime.now():%Y-%m-%d} · {timetable.label(day)}, {day['title']}\n\n{whole.strip()}"
    with files.locked():
        before = files.read_text(path)
        files.change(path, lambda raw: _with_entry(files.decoded(raw or b"", path), entry).encode())
        is_new = files.read_text(path) != before
    print(
        f"Written to {path.parent.name}/{path.name}." if is_new else "This entry is in your journal already."
    )


def keep_page(name: str, text: str) -> bool:
    """Write a page of the learner's own into the progress folder; one that is there already stays as it is.

    Args:
        name: file name, such as "my_troubleshooting.md".
        text: Markdown.

    Returns:
        True when the page is new, False when it was there.

    Raises:
        LabError: when the file cannot be written.
    """
    page = settings.current().progress / name
    with files.locked():
        if page.exists():
            return False
        files.write(page, text)
    return True


def entries() -> list[Entry]:
    """Read the entries of progress/journal.md, oldest first; text before the first dated heading is no entry."""
    text = files.read_text(settings.current().progress / "journal.md").replace("\r\n", "\n")
    heads = [(match, day) for match in HEADING.finditer(text) if (day := as_date(match[1]))]
    ends = [*(match.start() for match, _ in heads[1:]), len(text)]
    return [
        Entry(day, (match[2] or "").strip(), text[match.end() : end].strip())
        for (match, day), end in zip(heads, ends, strict=False)
    ]


def as_date(text: str) -> date | None:
    """Read the day of an ISO date or time as it is written, in whatever time zone; None where there is none."""
    try:
        return date.fromisoformat(str(text)[:10])
    except ValueError:
        return None


def _with_entry(text: str, entry: str) -> str:
    plain = text.replace("\r\n", "\n")
    if f"{entry}\n\n##" in plain or plain.rstrip().endswith(entry):
        return text
    return markdown.with_text(text if text.strip("\ufeff \r\n") else "# Journal\n", entry)
