"""Without a mouse: from opening a notebook to a passed exercise, a moved slider, an answered quiz and a ticked box."""

import json
import re

import pytest
from playwright.sync_api import expect

from labhelpers.core import answers

from .notebook_page import Notebook, write_notebook

# An exercise that needs none of Day 4's variables, and one widget of each kind: small, so that no time is lost.
CELLS = [
    "from labhelpers import exercise, progress, quiz, widgets",
    "def best_epoch(history): ...",
    'best_epoch = exercise.check("day04/best-epoch", best_epoch)',
    "def double(n=3): return n * 2\n\nwidgets.explore(double, n=(1, 5))",
    'widgets.predict("keys", "How many?", 0, 10)',
    "from labhelpers.display import timer\n\ntimer.show()",
    'quiz.ask("day04")',
    'progress.checklist("day01")',
]
ANSWER = """def best_epoch(history):
    rows = [row for row in history if "eval_loss" in row]
    return min(rows, key=lambda row: row["eval_loss"])["epoch"]"""


@pytest.fixture
def notebook(watched):
    """The small notebook, opened and run with Shift+Enter; the focus is on its last cell."""
    write_notebook(watched.lab.course / "lessons" / "keys.ipynb", CELLS)
    notebook = Notebook(watched, "lessons/keys.ipynb")
    for number in range(len(CELLS)):
        notebook.page.keyboard.press("Shift+Enter")
        expect(prompt(notebook, number)).to_have_text(f"[{number + 1}]:")
    yield notebook
    watched.lab.end_kernel(notebook.path)


def prompt(notebook, number):
    """What stands before a cell."""
    return notebook.page.locator(".jp-InputPrompt").nth(number)


def go_to(notebook, fragment):
    """Select a cell with the arrow keys, from wherever the focus is."""
    keyboard, cell = notebook.page.keyboard, notebook.cell(fragment)
    keyboard.press("Escape")
    for _ in CELLS:
        keyboard.press("ArrowUp")
    for _ in range(notebook.sources.index(next(source for source in CELLS if fragment in source))):
        keyboard.press("ArrowDown")
    expect(cell).to_have_class(re.compile(r"\bjp-mod-active\b"))
    return cell


def tab_to(notebook, target):
    """Press Tab until an element has the focus."""
    for _ in range(40):
        notebook.page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"40 times Tab, and the focus never came to {target}")


def test_an_exercise(notebook):
    go_to(notebook, "def best_epoch")
    notebook.page.keyboard.press("Enter")
    notebook.page.keyboard.press("Control+a")
    notebook.page.keyboard.insert_text(ANSWER)
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.keyboard.press("Shift+Enter")
    expect(notebook.cell("exercise.check").locator(".jp-OutputArea-output")).to_contain_text(
        "✔ day04/best-epoch"
    )


def press_through_explore(notebook):
    slid = go_to(notebook, "widgets.explore")
    tab_to(notebook, slid.get_by_role("slider", name="n"))
    notebook.page.keyboard.press("ArrowRight")
    expect(slid.locator(".jp-OutputArea-output pre")).to_have_text("8")


def press_through_a_guess(notebook):
    guessed = notebook.cell("widgets.predict")
    tab_to(notebook, guessed.get_by_role("slider", name="How many?"))
    notebook.page.keyboard.press("ArrowRight")
    tab_to(notebook, guessed.get_by_role("button", name="This is my guess"))
    notebook.page.keyboard.press("Enter")
    expect(guessed.get_by_role("status")).to_contain_text("Saved. Your guess: 5.1")
    assert json.loads((notebook.watched.lab.workspace / "guesses.json").read_text())["keys"] == 5.1


def press_through_the_timer(notebook):
    timed = notebook.cell("timer.show")
    tab_to(notebook, timed.get_by_role("button", name="Start"))
    notebook.page.keyboard.press("Space")
    expect(timed.get_by_role("timer")).to_have_text(re.compile(r"Work 24:5\d"))
    expect(timed.get_by_role("status")).to_contain_text("One thing only")


def press_through_the_quiz(notebook):
    asked = notebook.cell("quiz.ask")
    tab_to(notebook, asked.get_by_role("radio").nth(1))
    notebook.page.keyboard.press("Space")
    explanation = answers.questions("day04")[0]["choices"][1]["explanation"]
    expect(asked.get_by_role("status").first).to_contain_text(explanation)


def press_through_the_checklist(notebook):
    listed = notebook.cell("progress.checklist")
    tab_to(notebook, listed.get_by_role("checkbox").nth(1))
    notebook.page.keyboard.press("Space")
    expect(listed.get_by_role("status")).to_contain_text("Saved in progress/week1.md")
    expect(listed.get_by_role("checkbox").nth(1)).to_be_checked()


def test_tab_reaches_every_control_in_reading_order(notebook):
    press_through_explore(notebook)
    press_through_a_guess(notebook)
    press_through_the_timer(notebook)
    press_through_the_quiz(notebook)
    press_through_the_checklist(notebook)
