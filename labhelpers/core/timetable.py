"""The one place for titles, minutes, checklists and bands, and how long each lesson computes here."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from . import files
from .settings import LabError, current


@cache
def curriculum(name: str) -> dict[str, Any]:
    """Read one of the YAML files in curriculum/, such as "timetable" or "paths"."""
    return files.read_yaml(current().root / "curriculum" / f"{name}.yaml")


def load() -> dict[str, Any]:
    """Read the whole timetable: `course` and `weeks`; each week holds `days`."""
    return curriculum("timetable")


def weeks() -> list[dict[str, Any]]:
    """List the weeks of the course, without the group of technique lessons beside them.

    Returns:
        The entries of the timetable, in order.
    """
    return [week for week in load()["weeks"] if week["id"].startswith("week")]


def lessons() -> list[dict[str, Any]]:
    """List every day and weekend in teaching order, then the technique lessons; each names its `week`."""
    return [{**day, "week": week["id"]} for week in load()["weeks"] for day in week["days"]]


def lesson(lesson_id: str) -> dict[str, Any]:
    """Find one lesson by its id, such as "day04"; LabError where there is none."""
    for week in load()["weeks"]:
        for day in week["days"]:
            if day["id"] == lesson_id:
                return {**day, "week": week["id"]}
    known = ", ".join(day["id"] for day in lessons())
    raise LabError(f"There is no lesson {lesson_id!r}. Choose one of: {known}.")


def minutes(day: dict[str, Any]) -> int:
    """Add up the minutes of a lesson's sections.

    Args:
        day: a lesson from `lessons()`.

    Returns:
        Minutes, as planned for a learner (not the machine's run time).
    """
    return sum(section["minutes"] for section in day.get("sections", []))


def label(day: dict[str, Any]) -> str:
    """Name a lesson's place in the course.

    Args:
        day: a lesson from `lessons()`.

    Returns:
        Such as "Day 4", "Weekend 1, Saturday" or "LoRA, intermediate".
    """
    if "label" in day:
        return str(day["label"])
    if day["id"].startswith("day"):
        return f"Day {int(day['id'].removeprefix('day'))}"
    weekend, weekday = day["id"].split("_")
    return f"Weekend {weekend.removeprefix('weekend')}, {weekday.capitalize()}"


def group(week_id: str) -> str:
    """Name a week ("Week 1") or the group of lessons beside the weeks ("Techniques")."""
    number = week_id.removeprefix("week")
    return f"Week {number}" if number.isdigit() else week_id.capitalize()


def band(lesson_id: str, name: str) -> tuple[float, float] | None:
    """Look up the range (low, high) of a recorded result for the profile in force; None when none is stated."""
    bands = lesson(lesson_id).get("bands", {}).get(name, {})
    limits = bands.get(current().profile)
    return (float(limits[0]), float(limits[1])) if limits else None


def heading(day: dict[str, Any]) -> str:
    """Name a day as its section does."""
    return f"{label(day)} · {day['title']}"


def items(day: dict[str, Any]) -> list[dict[str, str]]:
    """List what can be ticked for a day: its checklist and its milestone."""
    milestone = {"id": day.get("milestone_id"), "text": f"Milestone: {day.get('milestone')}"}
    return [*(day.get("checklist") or []), *([milestone] if day.get("milestone_id") else [])]


def end_of_week(week: dict[str, Any]) -> list[dict[str, str]]:
    """List what can be ticked for a week as a whole: its checkpoints and its questions of success."""
    wanted = week.get("questions") or []
    worded = {row["id"]: row for row in curriculum("paths")["success_questions"]} if wanted else {}
    return [*(week.get("checkpoints") or []), *({"id": id, "text": worded[id]["text"]} for id in wanted)]


def predicted_minutes(lesson_id: str) -> float | None:
    """Predict how many minutes the machine works on a lesson here; None for one that has not been measured.

    The time that `make verify` measured, scaled by the matmul rates of the two machines once `lab doctor` knows this one's.
    """
    measured = measurements().get(lesson_id)
    if not measured:
        return None
    return measured["seconds"] / 60 * _slower_than(measured["matmul_gflops"])


def measurements() -> dict[str, Any]:
    """Read what `make verify` measured: lesson id → seconds, peak_gib, date and the machine's matmul rates."""
    return curriculum("measured")


def _slower_than(reference: dict[str, float]) -> float:
    """How many times slower this machine is; 1 while it has not been measured."""
    try:
        here = json.loads(rates_file().read_text(encoding="utf-8"))
        ratio = max(reference.values()) / max(here.values())
    except (OSError, ValueError, TypeError, AttributeError, ZeroDivisionError):
        return 1.0  # missing, or damaged: `lab doctor` writes it anew
    # Only part of a lesson is multiplication: on a processor with a quarter of our bf16 rate, training took 1.5 times
    # as long. The square root is nearer to that than the ratio itself.
    return ratio**0.5


def rates_file() -> Path:
    """Where `lab doctor` keeps this machine's matmul rates."""
    return current().workspace / "machine.json"
