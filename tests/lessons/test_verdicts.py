"""Whether one method is better than another is said by `metrics.compare` and by nothing else."""

import ast
import re

import pytest

from labhelpers.core import timetable
from labhelpers.core.settings import current
from labhelpers.tools.authoring import guides, manuscripts, verify

WORDS = re.compile(r"\b(better|worse|tie|ties|tied|undecided|significant\w*|wins|beats)\b")
OWN = {"exercise", "check", "quiz", "checklist"}  # an exercise teaches the words; a quiz asks for them
# Not of two methods: a metric's direction, the edge of a grid, an alarm's habits, a table with the rank invented, challengers
# drawn to be no better.
OTHERWISE = ("is better", "the grid", "'beats' r = 4", "no better", "No better")


def texts(source):
    """The words that a cell prints, draws or returns; comments and names do not count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("lesson", verify.ready())
def test_a_cell_that_says_better_or_worse_has_it_from_a_verdict(lesson):
    cells = manuscripts.read(timetable.lesson(lesson)).cells
    silent = [
        f"{found[0]!r} in: {text[:90]}"
        for cell in cells
        if cell.cell_type == "code" and not OWN & set(manuscripts.tags(cell)) and "verdict" not in cell.source
        for text in texts(cell.source)
        if (found := WORDS.search(text)) and not any(part in text for part in OTHERWISE)
    ]
    assert silent == []


def test_guides_take_the_words_from_the_function_too():
    tables = [
        page
        for page in guides.pages()
        if re.search(r"\b(worse|better|tie)\n", page.read_text(encoding="utf-8"))
    ]
    assert {page.stem for page in tables} <= {"comparison", "evaluation"}
    assert "compare(" in (current().root / "labhelpers/tools/comparison/train.py").read_text(encoding="utf-8")
