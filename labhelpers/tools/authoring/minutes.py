"""How long a lesson takes its reader: words, code, exercises, quiz, and the machine."""

import re
from typing import Any

from ...core import timetable
from . import manuscripts, notebooks

WORDS, LINES, FOLDED_LINES = 200, 8, 20  # read in a minute
EXERCISES = 1.5  # times what the author states for each
QUIZ_AND_JOURNAL = 10


def parts(day: dict[str, Any]) -> dict[str, float]:
    """Compute the minutes of a lesson by what takes them."""
    manuscript = manuscripts.read(day)
    hidden = notebooks.folded(manuscript.cells)
    spent = {"words": 0.0, "code": 0.0}
    for position, cell in enumerate(manuscript.cells):
        if cell.cell_type == "markdown":
            spent["words"] += (
                len(re.findall(r"\w+", re.sub(r"<!--.*?-->", "", cell.source, flags=re.S))) / WORDS
            )
        elif not {"exercise", "check", "quiz", "checklist"} & set(manuscripts.tags(cell)):
            lines = sum(bool(line.strip()) for line in cell.source.splitlines())
            spent["code"] += lines / (FOLDED_LINES if position in hidden else LINES)
    stated = sum(record["minutes"] for record in manuscript.exercises.values())
    seconds = timetable.measurements().get(day["id"], {}).get("seconds", 0)
    return {
        **spent,
        "exercises": EXERCISES * stated,
        "quiz and journal": QUIZ_AND_JOURNAL,
        "computing": seconds / 60,
    }
