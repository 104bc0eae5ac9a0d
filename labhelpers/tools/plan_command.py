"""What `lab plan` does: make, show, save, move and export a plan."""

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ..core.settings import LabError, current
from ..progress.plan import calendar as calendar_file
from ..progress.plan import file as plan_file
from ..progress.plan import page as plan_page
from ..progress.plan import placement, planning


def run(
    options: dict[str, Any],
    start: str | None = None,
    ics: Path | None = None,
    again: bool = False,
    quiz: bool = False,
    keep: bool = True,
    say: Callable[[str], Any] = print,
    read: Callable[[str], str] = input,
) -> None:
    """Carry out one call of `lab plan`.

    Args:
        options: path, pace, focus, background, hours_per_week; None where the learner gave nothing.
        start: first day, such as "2026-11-30"; today when None.
        ics: calendar file to write.
        again: move what is left of the saved plan.
        quiz: ask first, and take what the quiz suggests for whatever is not stated.
        keep: write progress/plan.yaml and progress/plan.md.
        say: prints a line.
        read: asks for a line.

    Raises:
        LabError: when there is nothing to show, or an option cannot be used.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if again and (given or quiz):
        raise LabError(
            "--replan moves the saved plan as it is. For another path or pace, leave --replan out."
        )
    done = planning.done_lessons()
    if again:
        plan = planning.replan(_saved(), _day(start) if start else None, done)
    elif given or quiz or start:
        plan = _made(given, _day(start) if start else None, quiz, done, say, read)
    else:
        plan, keep = _saved(), False
    if keep:
        for line in [*planning.save(plan), *plan_page.write(_saved(), done)]:
            say(line)
        plan = _saved()
    plan_page.show(plan, done)
    if keep:
        say(
            f"Saved in {current().progress / 'plan.yaml'}; to read or print: {current().progress / 'plan.md'}"
        )
    if ics:
        say(
            f"Calendar: {calendar_file.write(plan, ics)}. Open it with your calendar; after a re-plan, open it again."
        )


def _made(
    given: dict[str, Any],
    start: date | None,
    quiz: bool,
    done: set[str],
    say: Callable[[str], Any],
    read: Callable[[str], str],
) -> plan_file.Plan:
    if quiz:
        suggestion = placement.ask_in_terminal(read, say)
        say(f"\n{suggestion}\n")
        names = ("path", "pace", "focus", "background", "hours_per_week")
        given = {name: getattr(suggestion, name) for name in names} | given
    if "path" not in given:
        raise LabError(
            "A plan needs a path. Add --path quick_start, deep_dive or production_ready, or let `lab plan --quiz` suggest one."
        )
    return planning.make(**given, start=start, done=done)


def _saved() -> plan_file.Plan:
    plan = planning.current()
    if plan is None:
        raise LabError(
            "You have no plan yet. `lab plan --quiz` suggests one in eight questions; or choose yourself, "
            "such as `lab plan --path quick_start --pace standard`."
        )
    return plan


def _day(text: str) -> date:
    """Read a date as people write it."""
    typed = text.strip()
    for pattern in ("%Y-%m-%d", "%d.%m.%Y", "%d %b %Y", "%d %B %Y"):
        try:
            return datetime.strptime(typed, pattern).date()
        except ValueError:
            continue
    raise LabError(f"--start {text!r} is not a date. Write it as year-month-day, such as {date.today()}.")
