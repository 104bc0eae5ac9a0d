"""The frame of a learning day: what was yesterday and what is today for, and in the evening the journal and tomorrow."""

import re
from collections.abc import Callable
from datetime import date

from ..core import timetable
from ..core.settings import LabError
from . import checklists, journal, standing, standing_view
from .plan import paths
from .standing import Standing

Say = Callable[[str], object]
LONGEST_REVIEW = 6  # lines of yesterday's entry that are shown


def morning(today: date | None = None, say: Say = print) -> None:
    """Open the day: what was written last time, today's goal, how to watch the runs. `lab start` prints it.

    Args:
        today: the day; this machine's when None.
        say: prints a line.
    """
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
    """Close the day: file a journal entry, name what is left to do, look at tomorrow.

    Args:
        entry: what the learner did or learned; asked for when None.
        question: what stays open; asked for when neither it nor the entry is given.
        lesson: the lesson it is about; the one worked on today, or the next one, when None.
        today: the day; this machine's when None.
        say: prints a line.
        read: asks for a line.

    Raises:
        LabError: when there is no such lesson, or the journal cannot be written.
    """
    now = standing.now(today)
    about = timetable.lesson(lesson) if lesson else _lesson_of_today(now)
    if entry is None:
        say(f"About today, {standing_view.name(about)}:")
        entry = _answer(read, "What did you do, and what surprised you? ")
        question = question or _answer(read, "One question that is still open (Enter for none): ")
    text = _entry(entry, question, _passed_today(now.today))
    if text:
        checklists.write_journal(about["id"], text)
    else:
        say('Nothing filed: you wrote nothing. One sentence is enough: lab wrap-up "What surprised me: …"')
    after = standing.now(today)
    glad = [standing_view.congratulation(milestone) for milestone in after.milestones if milestone.new]
    for line in ["", *glad, f"Streak: {standing_view.streak(after)}.", *_left_to_do(), *tomorrow(after)]:
        say(line)
    standing.remember(after)


def tomorrow(now: Standing) -> list[str]:
    """Preview the next sitting.

    Args:
        now: where the learner stands this evening.

    Returns:
        Lines: which lesson, when the plan has it, how long, and how it begins.
    """
    step = now.next
    if step is None:
        return ["Every lesson that is written is done. Tomorrow is yours."]
    lines = [f"Next time: {standing_view.name(step.lesson)}. {step.lesson['promise']}"]
    if step.sitting:
        lines += [f"  {standing_view.sitting(step)}"]
    if step.ticked:
        return [*lines, f"  {len(step.open_items)} items are open. The first: {_first_item(step)}"]
    section = step.lesson["sections"][0]
    opens = f"It opens with “{section['title']}”, {section['minutes']} minutes"
    return [*lines, f"  {opens}; the whole lesson takes {step.minutes}."]


def _review(today: date) -> list[str]:
    """Show the last entry from before today, or the last one at all if the clock says otherwise."""
    try:
        written = [entry for entry in journal.entries() if entry.date != today and entry.text]
    except LabError as error:
        return [str(error)]
    if not written:
        return []
    last = written[-1]
    about = f", {last.title}" if last.title else ""
    lines = [line for line in last.text.splitlines() if line.strip()]
    more = ["  … (the rest is in progress/journal.md)"] if len(lines) > LONGEST_REVIEW else []
    return [
        f"Last time ({standing_view.day(last.date)}{about}) you wrote:",
        *(f"  {line}" for line in lines[:LONGEST_REVIEW]),
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
        lines += [f"  A goal to begin with: {_first_item(step)}"]
    return lines


def _first_item(step: standing.Step) -> str:
    return standing_view.plain(step.open_items[0])


def _lesson_of_today(now: Standing) -> dict:
    """The lesson of today's last attempt; else the next one; else the last one of the course."""
    attempts = checklists.attempts()
    lessons = {day["id"]: day for day in timetable.lessons()}
    for attempt in reversed(attempts):
        if journal.as_date(attempt.time) == now.today and (name := _lesson_id(attempt)) in lessons:
            return lessons[name]
    return now.next.lesson if now.next else list(lessons.values())[-1]


def _passed_today(today: date) -> list[str]:
    """Exercises passed today, in order; quiz questions are not worth a line in the journal."""
    passed = [
        attempt.exercise_id
        for attempt in checklists.attempts()
        if attempt.passed is True and journal.as_date(attempt.time) == today
    ]
    return [id for id in dict.fromkeys(map(str, passed)) if not re.search(r"/q\d+$", id)]


def _lesson_id(attempt: checklists.Attempt) -> str:
    return str(attempt.exercise_id).split("/")[0]


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
