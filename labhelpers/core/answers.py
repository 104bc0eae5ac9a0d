"""The sealed side of each lesson: checks, hints, solutions and quiz keys, built from the manuscripts.

They are encoded so that nobody reads a solution by accident, not to keep anybody out.
"""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

from .settings import LabError

FOLDER = Path(__file__).parent / "sealed"


def seal(content: Any) -> str:
    """Encode what JSON can hold so that it is not in plain sight; the same content gives the same text."""
    return base64.b64encode(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).decode("ascii")


def unseal(text: str) -> Any:
    """Decode what `seal` made."""
    return json.loads(base64.b64decode(text))


def exercise(exercise_id: str) -> dict[str, Any]:
    """Find one exercise by its id, such as "day04/lora-config"; LabError where there is none."""
    known = _exercises(_lesson_of(exercise_id))
    if exercise_id not in known:
        raise LabError(
            f"There is no exercise {exercise_id!r}. This lesson has: {', '.join(known) or 'none'}."
        )
    return known[exercise_id]


def built() -> list[str]:
    """List the ids of the lessons whose exercises and quiz are there."""
    return sorted(file.stem for file in FOLDER.glob("*.json"))


def exercises(lesson_id: str) -> list[dict[str, Any]]:
    """List the exercises of a lesson, such as "day04", in its order: id, answer, minutes, check, solution, hints, …"""
    return list(_exercises(lesson_id).values())


def questions(lesson_id: str) -> list[dict[str, Any]]:
    """List the quiz of a lesson: id, question, choices (text, explanation, right) and, where computable, proof."""
    return unseal(_bundle(lesson_id)["quiz"])


def _lesson_of(exercise_id: Any) -> str:
    if not isinstance(exercise_id, str) or exercise_id.count("/") != 1:
        raise LabError(f"{exercise_id!r} is not an exercise id. Ids look like 'day04/lora-config'.")
    return exercise_id.split("/")[0]


@cache
def _exercises(lesson_id: str) -> dict[str, dict[str, Any]]:
    return {record["id"]: record for record in unseal(_bundle(lesson_id)["exercises"])}


@cache
def _bundle(lesson_id: str) -> dict[str, str]:
    path = FOLDER / f"{lesson_id}.json"
    if not path.is_file():
        raise LabError(
            f"There are no exercises for {lesson_id!r}. Built lessons: {', '.join(built())}. "
            "Authors: run `lab build`."
        )
    return json.loads(path.read_text(encoding="utf-8"))
