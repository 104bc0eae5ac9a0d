"""Cuts lessons into sittings: so many minutes on each day, at a section's end where that wastes little."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import accumulate
from typing import Any

from ...core.settings import LabError

SHORTEST = 25  # minutes: one round of focused work; nothing shorter is worth sitting down for
LONGEST = 12 * 60  # minutes: a day that anybody could survive
# A sitting ends with a section if that uses at least this share of its time (a rule of thumb).
SECTION_END = 2 / 3


@dataclass(frozen=True)
class Entry:
    """One sitting of a plan: which part, of how many, of a lesson (or of what the learner entered by hand)."""

    lesson_id: str
    date: date
    minutes: int
    part: int = 1
    parts: int = 1


def limits(pace: Mapping[str, Any], hours_per_week: float | None = None) -> tuple[int, ...]:
    """Say how many minutes each day of the week may hold, Monday first.

    Stated hours are spread over the pace's days in the pace's proportions, rounded down to five minutes.
    """
    usual = tuple(pace["minutes"])
    if hours_per_week is None:
        return usual
    is_number = isinstance(hours_per_week, int | float) and math.isfinite(hours_per_week)
    if not is_number or hours_per_week <= 0:
        raise LabError(f"--hours-per-week is {hours_per_week!r}. Give a number of hours, such as 10.")
    scaled = tuple(int(minutes * hours_per_week * 60 / sum(usual)) // 5 * 5 for minutes in usual)
    days = [minutes for minutes, before in zip(scaled, usual, strict=True) if before]
    if min(days) < SHORTEST:
        raise LabError(_too_few(pace, hours_per_week, usual))
    if max(days) > LONGEST:
        raise LabError(
            f"{hours_per_week:g} hours a week at the pace {pace['title']} make a day of {max(days) / 60:.1f} hours. "
            f"More than {LONGEST // 60} is not planned. Give fewer --hours-per-week, or a pace with more days."
        )
    return scaled


def pack(
    lessons: Iterable[tuple[str, Sequence[int]]],
    limits: Sequence[int],
    start: date,
    fill: bool = True,
    used: Mapping[date, int] | None = None,
) -> tuple[Entry, ...]:
    """Lay lessons out over the days, one after the other.

    Args:
        lessons: pairs of a lesson's id and the minutes of its sections, in order.
        limits: minutes per weekday, Monday first.
        start: first day that may be used.
        fill: whether a lesson may begin in what a day has left. If not, a lesson that fits a whole day waits for one.
        used: minutes that are taken already, per day.
    """
    taken = dict(used or {})
    day, pieces = start, []
    try:
        for lesson, sections in lessons:
            left = list(sections)
            while left:
                limit = limits[day.weekday()]
                piece = _piece(left, limit - taken.get(day, 0), limit, fill or sum(left) < sum(sections))
                if piece:
                    pieces.append(Entry(lesson, day, piece))
                    taken[day] = taken.get(day, 0) + piece
                    left = _after(left, piece)
                if left:
                    day += timedelta(days=1)
    except OverflowError as error:
        raise LabError(
            f"A plan from {start} on runs past the last year of the calendar. Give an earlier --start."
        ) from error
    return _numbered(pieces)


def _piece(left: Sequence[int], free: int, limit: int, fill: bool) -> int:
    """Minutes of the lesson to do in the time that is free today; 0 to wait for another day."""
    need = sum(left)
    if need <= free:
        return need
    if free < SHORTEST or (need <= limit and not fill):
        return 0
    whole = max((end for end in accumulate(left) if end <= free), default=0)
    piece = whole if whole >= SECTION_END * free else free
    if need - piece >= SHORTEST:
        return piece
    # No five-minute rest on another day: what remains should be worth sitting down for.
    if need >= 2 * SHORTEST:
        return need - SHORTEST
    return 0 if need <= limit else free


def _after(left: Sequence[int], minutes: int) -> list[int]:
    """The sections that remain after so many minutes."""
    ends = [end - minutes for end in accumulate(left)]
    return [min(section, end) for section, end in zip(left, ends, strict=True) if end > 0]


def _numbered(pieces: Sequence[Entry]) -> tuple[Entry, ...]:
    """Say of each sitting which one of its lesson it is."""
    total: dict[str, int] = {}
    counted = []
    for piece in pieces:
        total[piece.lesson_id] = total.get(piece.lesson_id, 0) + 1
        counted.append(replace(piece, part=total[piece.lesson_id]))
    return tuple(replace(piece, parts=total[piece.lesson_id]) for piece in counted)


def _too_few(pace: Mapping[str, Any], hours: float, usual: Sequence[int]) -> str:
    smallest = min(minutes for minutes in usual if minutes)
    enough = math.ceil(SHORTEST * sum(usual) / smallest / 60)
    other = "" if usual.count(0) >= 5 else ", or sit down less often with --pace weekend"
    return (
        f"{hours:g} hours a week over {sum(1 for minutes in usual if minutes)} days leave sittings of less than "
        f"{SHORTEST} minutes, too short to get anywhere. Give --hours-per-week {enough} or more{other}."
    )
