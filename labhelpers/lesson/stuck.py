"""The 15-minute rule: when a check keeps failing, first a hint, then something simpler, then the way on. Each once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ..core import timetable
from ..core.settings import LabError
from ..progress import Attempt

TRIES = 3  # failed attempts after which help is offered
PATIENCE = timedelta(minutes=15)
SITTING = timedelta(hours=3)  # older attempts belong to another day's try


def step(attempts: Sequence[Attempt], now: datetime | None = None) -> int:
    """Say which help is due after a failed attempt.

    Args:
        attempts: at one exercise, oldest first, with the one just made.
        now: this moment, with its time zone; the clock's when None.

    Returns:
        1 the hint, 2 something simpler, 3 the way on, 0 nothing: too early, or everything was offered.
    """
    moment = now or datetime.now().astimezone()
    failed = _failed_in_this_sitting(attempts, moment)
    times = [time for attempt in failed if (time := _time(attempt))]
    for number, attempt in enumerate(failed, 1):
        time = _time(attempt)
        if number >= TRIES or (time and time - times[0] >= PATIENCE):
            due = len(failed) - number + 1
            return due if due <= 3 else 0
    return 0


def simpler(record: dict[str, Any]) -> str:
    """Offer something simpler than an exercise.

    Args:
        record: the exercise, from `answers.exercise`; its `example`, if the author wrote one.

    Returns:
        The example, or a first small step and the place where the idea is explained.
    """
    if record.get("example"):
        return f"A simpler example: {record['example']}"
    return (
        "Something simpler: take the smallest case that you can work out on paper, and print what your answer gives "
        f"for it. The idea is explained in {_reading(record['id'])}."
    )


def way_on(exercise_id: str) -> str:
    """Say that going on is fine, and how."""
    return (
        f'That is enough for today, and going on is fine: exercise.solution("{exercise_id}") is open, and the lesson '
        "continues with our answer. Read it, close it, write it from memory; try again tomorrow."
    )


def _failed_in_this_sitting(attempts: Sequence[Attempt], now: datetime) -> list[Attempt]:
    """Failed attempts since the last pass; one with a time in the future (a clock that moved) counts as recent."""
    passes = [place for place, attempt in enumerate(attempts) if attempt.passed is True]
    since = attempts[passes[-1] + 1 :] if passes else attempts
    return [attempt for attempt in since if (time := _time(attempt)) is None or now - time < SITTING]


def _time(attempt: Attempt) -> datetime | None:
    try:
        return datetime.fromisoformat(str(attempt.time)).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def _reading(exercise_id: str) -> str:
    """Name where the idea stands: the cells above, and the day's pages."""
    try:
        pages = timetable.lesson(exercise_id.split("/")[0]).get("guides") or []
    except LabError:
        pages = []
    names = [f"curriculum/guides/{page}.md" for page in pages[:2]]
    return (
        " and ".join(["the cells above", *names])
        if len(names) < 2
        else f"the cells above, {' and '.join(names)}"
    )
