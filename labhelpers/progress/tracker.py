"""The technique × level tracker: five techniques, three levels, and how far the learner is in each cell."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..core import timetable
from .plan import paths

LEVELS = ("beginner", "intermediate", "expert")
MARKS = {
    "done": "✔",
    "done so far": "✔",
    "begun": "◐",
    "open": "○",
    "not written yet": "…",
    "does not exist": "—",
}


@dataclass(frozen=True)
class Cell:
    """One technique at one level.

    Attributes:
        technique: title, such as "LoRA".
        level: one of LEVELS.
        state: one of MARKS. "done so far": all that is written of it is done, and more is to come.
        lesson: the lesson to open for it (the first one not done); None where no lesson is written.
        text: what it teaches, or why there is no such cell.
    """

    technique: str
    level: str
    state: str
    lesson: dict[str, Any] | None
    text: str


def rows(done: Collection[str], begun: Collection[str]) -> list[list[Cell]]:
    """Lay out the tracker.

    Args:
        done: ids of finished lessons.
        begun: ids of lessons with something ticked or answered.

    Returns:
        One row per technique, with a cell per level.
    """
    ready = {day["id"]: day for day in timetable.lessons() if day["status"] == "ready"}
    return [
        [_cell(technique, level, ready, done, begun) for level in LEVELS]
        for technique in paths.load()["techniques"]
    ]


def _cell(
    technique: dict[str, Any],
    level: str,
    ready: dict[str, dict[str, Any]],
    done: Collection[str],
    begun: Collection[str],
) -> Cell:
    entry = technique["cells"][level]
    title = technique["title"][0].upper() + technique["title"][1:]
    if "missing" in entry:
        return Cell(title, level, "does not exist", None, entry["missing"])
    written = [ready[name] for name in entry["in"] if name in ready]
    open_ = [day for day in written if day["id"] not in done]
    lesson = (open_ or written or [None])[0]
    return Cell(title, level, _state(entry["in"], written, open_, begun), lesson, entry["text"])


def _state(wanted: list[str], written: list[Any], open_: list[Any], begun: Collection[str]) -> str:
    if not written:
        return "not written yet"
    if not open_:
        return "done" if len(written) == len(wanted) else "done so far"
    touched = len(open_) < len(written) or any(day["id"] in begun for day in open_)
    return "begun" if touched else "open"
