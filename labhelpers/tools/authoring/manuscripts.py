"""Reads a lesson manuscript: prose, code, exercises, checks and quiz in one percent script."""

import ast
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.settings import LabError, current

SOLUTION = re.compile(r"^# <solution>\n(.*?)^# </solution>\n?", re.MULTILINE | re.DOTALL)
# Where something stands that was asked of the course: for tests/guides, not for readers.
ANCHOR = re.compile(r"^<!-- asked: [^\n]* -->\n", re.MULTILINE)
# Words to the formatter and the linter: of no use to a reader.
FORMATTER = re.compile(
    r"^[ \t]*# (?:fmt|isort): \w+\n|[ \t]*# (?:(?:fmt|isort): \w+|noqa\b.*)$", re.MULTILINE
)
REQUIRED_FIELDS = ("exercise", "answer", "minutes", "difficulty")


@dataclass
class Manuscript:
    """One lesson as its author wrote it."""

    lesson: str
    cells: list[Any]
    exercises: dict[str, dict[str, Any]] = field(default_factory=dict)
    questions: list[dict[str, Any]] = field(default_factory=list)


def folder() -> Path:
    """Name the folder of the manuscripts."""
    return current().root / "curriculum" / "manuscripts"


def read(day: dict[str, Any]) -> Manuscript:
    """Read the manuscript of one lesson; what is missing in an exercise is a LabError that says so."""
    import jupytext

    path = folder() / f"{day['lesson']}.py"
    if not path.is_file():
        raise LabError(
            f"{day['id']} is marked ready but has no manuscript. Write {path} or mark it `planned`."
        )
    manuscript = Manuscript(day["id"], jupytext.reads(path.read_text(encoding="utf-8"), "py:percent").cells)
    for cell in manuscript.cells:
        cell.source = (ANCHOR if cell.cell_type == "markdown" else FORMATTER).sub("", cell.source)
        _collect(manuscript, cell)
    for record in manuscript.exercises.values():
        _require_complete(record)
    return manuscript


def tags(cell: Any) -> list[str]:
    """List the tags of a cell, if any."""
    return cell.metadata.get("tags", [])


def _collect(manuscript: Manuscript, cell: Any) -> None:
    if "exercise" in tags(cell):
        record = _exercise_record(cell)
        if record["id"].split("/")[0] != manuscript.lesson or record["id"] in manuscript.exercises:
            raise LabError(
                f"Exercise id {record['id']!r} must be unique and begin with {manuscript.lesson}/."
            )
        manuscript.exercises[record["id"]] = record
    elif "check" in tags(cell):
        exercise_id = cell.metadata.get("exercise")
        if exercise_id not in manuscript.exercises:
            raise LabError(f"A check cell names {exercise_id!r}; put it below the exercise of that name.")
        manuscript.exercises[exercise_id].update(_check_record(cell.source))
    elif "quiz" in tags(cell):
        manuscript.questions.extend(_questions(manuscript.lesson, cell.source))


def _exercise_record(cell: Any) -> dict[str, Any]:
    missing = [name for name in REQUIRED_FIELDS if name not in cell.metadata]
    if missing:
        raise LabError(f"An exercise cell lacks {', '.join(missing)} in its first line:\n{cell.source[:200]}")
    solution = SOLUTION.search(cell.source + "\n")
    if solution is None:
        raise LabError(f"{cell.metadata['exercise']} has no `# <solution>` … `# </solution>` block.")
    values = {name: cell.metadata[name] for name in REQUIRED_FIELDS[1:]}
    return {"id": cell.metadata["exercise"], "solution": solution.group(1).rstrip(), **values}


def _check_record(source: str) -> dict[str, Any]:
    """Split a check cell into `check` and the literals `hints`, `misconceptions` and, if there, `example` and `in_place`."""
    lists: dict[str, Any] = {"hints": [], "misconceptions": []}
    code = []
    for node in ast.parse(source).body:
        name = (
            node.targets[0].id
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            else ""
        )
        if name in (*lists, "example", "in_place"):
            lists[name] = ast.literal_eval(node.value)
        else:
            code.append(ast.get_source_segment(source, node))
    return {"check": "\n\n".join(code) + "\n", **lists}


def _require_complete(record: dict[str, Any]) -> None:
    complaints = {
        "a `def check(answer)` that returns None or a sentence": "def check(" not in record.get("check", ""),
        "at least one hint": not record.get("hints"),
        "at least two misconceptions": len(record.get("misconceptions", [])) < 2,
    }
    missing = [what for what, lacking in complaints.items() if lacking]
    if missing:
        raise LabError(f"{record['id']} needs {', and '.join(missing)} in its check cell.")


def _questions(lesson_id: str, source: str) -> list[dict[str, Any]]:
    questions = ast.literal_eval(ast.parse(source).body[0].value)
    for number, question in enumerate(questions, 1):
        question["id"] = f"{lesson_id}/q{number}"
        question["choices"] = [
            {"text": text, "explanation": explanation, "right": right}
            for text, explanation, right in question["choices"]
        ]
        # Authors tend to put the right choice second; an order made from the text itself favours no place.
        question["choices"].sort(key=lambda choice: hashlib.sha256(choice["text"].encode()).digest())
        if sum(choice["right"] for choice in question["choices"]) != 1:
            raise LabError(f"{question['id']} must have exactly one right choice.")
        if not all(choice["explanation"].strip() for choice in question["choices"]):
            raise LabError(f"{question['id']} must explain every choice.")
    return questions
