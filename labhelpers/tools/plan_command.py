"""What `lab plan` does: make, show, save, move and export a plan."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import typer

from ..core.settings import LabError, current
from ..progress.plan import calendar, page, paths, placement, planning
from ..progress.plan.file import Plan


def run(
    options: dict[str, Any],
    start: str | None = None,
    ics: Path | None = None,
    again: bool = False,
    quiz: bool = False,
    keep: bool = True,
) -> None:
    """Carry out one call of `lab plan`.

    Args:
        options: path, pace, focus, background, hours_per_week; None where the learner gave nothing.
        start: first day, such as "2026-11-30"; today when None.
        ics: calendar file to write.
        again: move what is left of the saved plan.
        quiz: ask first, and take what the quiz suggests for whatever is not stated.
        keep: write progress/plan.yaml and progress/plan.md.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if again and (given or quiz):
        raise LabError("--replan moves the saved plan as it is. For another path or pace, leave --replan out.")
    first, done = _day(start) if start else None, planning.done_lessons()
    if again:
        plan = planning.replan(_saved(), first, done)
    elif given or quiz or start:
        plan = planning.make(**_chosen(given, quiz), start=first, done=done)
    else:
        plan, keep = _saved(), False
    if keep:
        said = planning.save(plan)
        plan = _saved()
        said += page.write(plan, done)
        typer.echo("\n".join([*said, f"Saved in {current().progress / 'plan.yaml'}; to read or print: plan.md beside it."]))
    page.show(plan, done)
    if ics:
        written = calendar.write(plan, ics)
        typer.echo(f"Calendar: {written}. Open it with your calendar; after a re-plan, open it again.")


def _chosen(given: dict[str, Any], quiz: bool) -> dict[str, Any]:
    """Complete what the learner stated by what the quiz suggests."""
    if quiz:
        suggestion = placement.ask()
        typer.echo(f"\n{suggestion}\n")
        names = ("path", "pace", "focus", "background", "hours_per_week")
        given = {name: getattr(suggestion, name) for name in names} | given
    if "path" not in given:
        raise LabError(
            f"A plan needs a path. Add --path and one of {', '.join(paths.names('path'))}, or let `lab plan --quiz` "
            "suggest one."
        )
    return given


def _saved() -> Plan:
    plan = planning.current()
    if plan is None:
        raise LabError(
            "You have no plan yet. `lab plan --quiz` suggests one in eight questions; or choose yourself, "
            "such as `lab plan --path quick_start --pace standard`."
        )
    return plan


def _day(text: str) -> date:
    """Read a date as people write it."""
    for pattern in ("%Y-%m-%d", "%d.%m.%Y", "%d %b %Y", "%d %B %Y"):
        try:
            return datetime.strptime(text.strip(), pattern).date()
        except ValueError:
            continue
    raise LabError(f"--start {text!r} is not a date. Write it as year-month-day, such as {date.today()}.")
