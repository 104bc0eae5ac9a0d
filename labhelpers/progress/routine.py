"""The frame of a learning day: yesterday and today's goal, in the evening the journal, and pages for week and month."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from string import Template

from ..core import files, settings, timetable
from ..core.settings import LabError
from ..display.words import counted
from . import checklists, journal, standing, standing_view
from .plan import paths, planning
from .standing import Standing

Say = Callable[[str], object]
LONGEST_REVIEW = 6  # lines of yesterday's entry that are shown
# Lines of a page that hold what the course has counted.
COUNTED = (
    "# ",
    "What the course saw:",
    "- Lessons finished:",
    "- Exercises passed:",
    "- Guide pages read: …",
)


@dataclass(frozen=True)
class Page:
    """A page of the journal: its template, where it goes, and the Monday of its week or the first of its month."""

    template: Path
    path: Path
    day: date


def morning(today: date | None = None, say: Say = print) -> None:
    """Open the day: what was written last time, today's goal, how to watch the runs."""
    now = standing.now(today)
    for line in [*_review(now.today), *_goal(now), *now.complaints]:
        say(line)
    say("Watch your runs: `lab mlflow`, in a second terminal. In the evening: `lab wrap-up`.")


def wrap_up(
    entry: str | None = None,
    question: str | None = None,
    lesson: str | None = None,
    today: date | None = None,
    say: Say = print,
    read: Callable[[str], str] = input,
) -> None:
    """Close the day: file a journal entry, name what is left to do, look at tomorrow."""
    now = standing.now(today)
    about = timetable.lesson(lesson) if lesson else _lesson_of_today(now)
    if entry is None:
        say(f"About today, {standing_view.name(about)}:")
        entry = _answer(read, "What did you do, and what surprised you? ")
        question = question or _answer(read, "One question that is still open (Enter for none): ")
    text = _entry(entry, question, _passed_today(now.today))
    if text:
        journal.write_journal(about["id"], text)
    else:
        say('Nothing filed: you wrote nothing. One sentence is enough: lab wrap-up "What surprised me: …"')
    after = standing.now(today)
    glad = [standing_view.congratulation(milestone) for milestone in after.milestones if milestone.new]
    for line in ["", *glad, f"Streak: {standing_view.streak(after)}.", *_left_to_do(), *_tomorrow(after)]:
        say(line)
    standing.remember(after)


def make_due(today: date | None = None) -> list[Path]:
    """Make the pages that are due from their templates; a page that exists is never touched."""
    pages = due(today)
    with files.locked():
        for page in pages:
            text = _text(page).encode()
            files.change(page.path, lambda raw, text=text: text if raw is None else raw)
    return [page.path for page in pages]


def due(today: date | None = None) -> list[Page]:
    """List the pages that ask to be written: at most one check-in and one review.

    A week asks from its Sunday on, a month from its last day on, and only if something was learned in it. The latest
    such week or month asks; older ones are let go, so that nobody comes back to a pile of forms.
    """
    today, days = today or date.today(), learning_days()
    mondays = {_monday(day) for day in days if _monday(day) + timedelta(days=6) <= today}
    firsts = {day.replace(day=1) for day in days if _next_month(day) <= today + timedelta(days=1)}
    pages = [_page(f"check_in_{monday}.md", monday) for monday in sorted(mondays)[-1:]]
    pages += [_page(f"review_{first:%Y-%m}.md", first) for first in sorted(firsts)[-1:]]
    return [page for page in pages if not page.path.exists()]


def waiting() -> list[Path]:
    """List the pages that were made and in which nothing was written yet, oldest first."""
    folder = settings.current().progress
    pages = [*folder.glob("check_in_????-??-??.md"), *folder.glob("review_????-??.md")]
    return sorted(path for path in pages if not _is_written(path))


def learning_days() -> set[date]:
    """Collect the days on which the learner answered, wrote or ticked something."""
    return standing.learning_days(checklists.attempts())


def _review(today: date) -> list[str]:
    """Show the last entry that is not of today."""
    try:
        written = [entry for entry in journal.entries() if entry.date != today and entry.text]
    except LabError as error:
        return [str(error)]
    if not written:
        return []
    last = written[-1]
    about = f", {last.title}" if last.title else ""
    lines = [f"  {line}" for line in last.text.splitlines() if line.strip()]
    more = ["  … (the rest is in progress/journal.md)"] if len(lines) > LONGEST_REVIEW else []
    return [
        f"Last time ({standing_view.day(last.date)}{about}) you wrote:",
        *lines[:LONGEST_REVIEW],
        *more,
        "",
    ]


def _goal(now: Standing) -> list[str]:
    step = now.next
    if step is None:
        return ["Every lesson that is written is done. Today is yours."]
    machine = standing_view.machine(step)
    lines = [f"Today: {standing_view.name(step.lesson)}. {step.lesson['promise']}"]
    lines += [f"  Plan {step.minutes} minutes for yourself.{f' {machine}' if machine else ''}"]
    if step.sitting:
        lines += [f"  {standing_view.sitting(step)}"]
    if step.open_items:
        lines += [f"  A goal to begin with: {standing_view.plain(step.open_items[0])}"]
    return lines


def _tomorrow(now: Standing) -> list[str]:
    """Preview the next sitting: which lesson, when the plan has it, how long, and how it begins."""
    step = now.next
    if step is None:
        return ["Every lesson that is written is done. Tomorrow is yours."]
    lines = [f"Next time: {standing_view.name(step.lesson)}. {step.lesson['promise']}"]
    if step.sitting:
        lines += [f"  {standing_view.sitting(step)}"]
    if step.ticked:
        first = standing_view.plain(step.open_items[0])
        return [*lines, f"  {len(step.open_items)} items are open. The first: {first}"]
    section = step.lesson["sections"][0]
    opens = f"It opens with “{section['title']}”, {section['minutes']} minutes"
    return [*lines, f"  {opens}; the whole lesson takes {step.minutes}."]


def _lesson_of_today(now: Standing) -> dict:
    """The lesson of today's last attempt; else the next one; else the last one of the course."""
    lessons = {day["id"]: day for day in timetable.lessons()}
    for attempt in reversed(checklists.attempts()):
        name = str(attempt.exercise_id).split("/")[0]
        if journal.as_date(attempt.time) == now.today and name in lessons:
            return lessons[name]
    return now.next.lesson if now.next else list(lessons.values())[-1]


def _passed_today(today: date) -> list[str]:
    """Exercises passed today, in order; quiz questions are not worth a line in the journal."""
    passed = [
        str(attempt.exercise_id)
        for attempt in checklists.attempts()
        if attempt.passed is True and journal.as_date(attempt.time) == today
    ]
    return [id for id in dict.fromkeys(passed) if not re.search(r"/q\d+$", id)]


def _entry(text: str, question: str | None, passed: list[str]) -> str:
    """Put an entry together; without a word of the learner's there is none."""
    parts = [text.strip()] if text.strip() else []
    parts += [f"Open question: {question.strip()}"] if question and question.strip() else []
    parts += [f"Exercises passed: {', '.join(passed)}."] if parts and passed else []
    return "\n\n".join(parts)


def _left_to_do() -> list[str]:
    """What the routine has after the work, but for what was just done here."""
    done_here = ("DR-9", "DR-10", "DR-11")
    rows = [row["text"] for row in paths.load()["routine"]["after"] if row["id"] not in done_here]
    return [f"Still to do: {row[0].lower()}{row[1:]}." for row in rows]


def _answer(read: Callable[[str], str], question: str) -> str:
    """Ask for a line; where nobody can answer (a notebook's `!lab`, a script), there is none."""
    try:
        return read(question)
    except EOFError:
        return ""


def _page(name: str, day: date) -> Page:
    kind = "weekly_check_in" if name.startswith("check_in_") else "monthly_review"
    here = settings.current()
    return Page(here.root / "curriculum" / "templates" / f"{kind}.md", here.progress / name, day)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _text(page: Page) -> str:
    """Fill a page with what the course has counted."""
    weekly = page.path.name.startswith("check_in_")
    fields = _weekly_fields(page.day) if weekly else _monthly_fields(page.day)
    return Template(page.template.read_text(encoding="utf-8")).substitute(fields)


def _weekly_fields(monday: date) -> dict[str, object]:
    days = sorted(day for day in learning_days() if _monday(day) == monday)
    names = ", ".join(f"{day:%A}" for day in days)
    return {"week": monday, "seen": f"{counted(len(days), 'learning day')} ({names})"}


def _monthly_fields(first: date) -> dict[str, object]:
    attempts = checklists.attempts()
    guides = (settings.current().root / "curriculum" / "guides").glob("*.md")
    return {
        "month": f"{first:%B %Y}",
        "lessons_done": len(planning.done_lessons()),
        "lessons": len(timetable.lessons()),
        "exercises_done": len({attempt.exercise_id for attempt in attempts if attempt.passed is True}),
        "exercises": len({attempt.exercise_id for attempt in attempts}),
        "guides": sum(path.name != "README.md" for path in guides),
    }


def _is_written(path: Path) -> bool:
    """Tell whether somebody wrote behind a colon or ticked a box: an untouched page has only the template's lines."""
    template = _page(path.name, date.min).template.read_text(encoding="utf-8")
    empty = {line.strip() for line in template.splitlines() if "$" not in line}
    lines = files.read_bytes(path).decode("utf-8", "replace").splitlines()
    return any(line.strip() not in empty and not line.startswith(COUNTED) for line in lines)
