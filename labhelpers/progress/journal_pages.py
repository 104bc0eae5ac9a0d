"""Weekly check-ins and monthly reviews: pages made from a template when the learner's own calendar asks for one."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from string import Template

from ..core import files, settings, timetable
from . import checklists, streaks


@dataclass(frozen=True)
class Page:
    """A page of the journal.

    Attributes:
        kind: "weekly_check_in" or "monthly_review", the name of its template.
        path: in the progress folder.
        day: the Monday of its week or the first of its month.
    """

    kind: str
    path: Path
    day: date


def due(today: date | None = None) -> list[Page]:
    """List the pages that ask to be written: at most one check-in and one review.

    A week asks from its Sunday on, a month from its last day on, and only if something was learned in it. The latest
    such week or month asks; older ones are let go, so that nobody comes back to a pile of forms.

    Args:
        today: the day to judge by; now if omitted.

    Returns:
        Pages that do not exist yet.

    Raises:
        LabError: when a file of the learner's cannot be read.
    """
    today, days = today or date.today(), learning_days()
    pages = [
        Page("weekly_check_in", _folder() / f"check_in_{monday}.md", monday)
        for monday in _latest(days, today, _monday, lambda start: start + timedelta(days=6))
    ]
    pages += [
        Page("monthly_review", _folder() / f"review_{first:%Y-%m}.md", first)
        for first in _latest(days, today, lambda day: day.replace(day=1), _last_of_month)
    ]
    return [page for page in pages if not page.path.exists()]


def make_due(today: date | None = None) -> list[Path]:
    """Make the pages that are due from their templates; a page that exists is never touched.

    Args:
        today: the day to judge by; now if omitted.

    Returns:
        The new pages.

    Raises:
        LabError: when a file cannot be read or written.
    """
    pages = due(today)
    with files.locked():
        for page in pages:
            text = _text(page).encode()
            files.change(page.path, lambda raw, text=text: text if raw is None else raw)
    return [page.path for page in pages]


def waiting() -> list[Path]:
    """List the pages that were made and in which nothing was written yet, oldest first."""
    pages = [*_folder().glob("check_in_????-??-??.md"), *_folder().glob("review_????-??.md")]
    return sorted(path for path in pages if not _is_written(path))


def learning_days() -> set[date]:
    """Collect the days on which the learner answered, wrote or ticked something."""
    ticked = [id for id, done in checklists.read().items() if done]
    return streaks.learning_days(streaks.recall(), ticked, checklists.attempts())


def _latest(
    days: Collection[date], today: date, start: Callable[[date], date], end: Callable[[date], date]
) -> list[date]:
    """Give the beginning of the latest period that holds a learning day and is over, or ends today."""
    return sorted({start(day) for day in days if end(start(day)) <= today})[-1:]


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _last_of_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _text(page: Page) -> str:
    source = settings.current().root / "curriculum" / "templates" / f"{page.kind}.md"
    fields = _weekly_fields(page.day) if page.kind == "weekly_check_in" else _monthly_fields(page.day)
    return Template(source.read_text(encoding="utf-8")).substitute(fields)


def _weekly_fields(monday: date) -> dict[str, object]:
    days = sorted(day for day in learning_days() if _monday(day) == monday)
    names = ", ".join(f"{day:%A}" for day in days)
    count = f"{len(days)} learning day{'s' if len(days) != 1 else ''}"
    return {"week": monday, "seen": f"{count} ({names})"}


def _monthly_fields(first: date) -> dict[str, object]:
    ticked, lessons = checklists.read(), timetable.lessons()
    done = [day for day in lessons if all(ticked.get(item["id"], False) for item in day["checklist"])]
    tried = {attempt.exercise_id for attempt in checklists.attempts()}
    passed = {attempt.exercise_id for attempt in checklists.attempts() if attempt.passed is True}
    pages = [
        path
        for path in (settings.current().root / "curriculum" / "guides").glob("*.md")
        if path.name != "README.md"
    ]
    return {
        "month": f"{first:%B %Y}", "lessons_done": len(done), "lessons": len(lessons),
        "exercises_done": len(passed), "exercises": len(tried), "guides": len(pages),
    }  # fmt: skip


def _is_written(path: Path) -> bool:
    """Tell whether somebody wrote behind a colon or ticked a box: an untouched page has only the template's lines."""
    kind = "weekly_check_in" if path.name.startswith("check_in_") else "monthly_review"
    source = settings.current().root / "curriculum" / "templates" / f"{kind}.md"
    empty = {line.strip() for line in source.read_text(encoding="utf-8").splitlines() if "$" not in line}
    made = (
        "# ",
        "What the course saw:",
        "- Lessons finished:",
        "- Exercises passed:",
        "- Guide pages read: …",
    )
    lines = files.read_bytes(path).decode("utf-8", "replace").splitlines()
    return any(line.strip() not in empty and not line.startswith(made) for line in lines)


def _folder() -> Path:
    return settings.current().progress
