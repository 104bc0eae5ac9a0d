"""A learner of the course as it was before its package had rooms (commit b4c42c7) loses nothing and goes on working.

older_course.zip was made by that commit: a progress folder with ticks by cell, by command and by hand, a workspace after
Days 3 and 4 in the smoke profile, and its notebooks.
"""

import ast
import importlib
import json
import shutil
import zipfile
from pathlib import Path

import nbformat
import pytest

from labhelpers import progress
from labhelpers.core import settings
from labhelpers.progress import report, standing
from labhelpers.progress.plan import planning
from labhelpers.training import tracking

COPY = Path(__file__).with_name("older_course.zip")
NOTEBOOKS = [name for name in zipfile.ZipFile(COPY).namelist() if name.endswith(".ipynb")]


@pytest.fixture
def older(tmp_path):
    """Unpack the copy where this test's progress and workspace are expected."""
    zipfile.ZipFile(COPY).extractall(tmp_path)
    return tmp_path


def test_ticks_answers_journal_plan_and_results_are_read(older):
    ticked = [id for id, done in progress.read().items() if done]
    assert ticked == ["D01-T1", "D01-T2", "D01-T3", "D03-T1", "D04-M"], "D01-T3 was ticked by hand"
    assert [attempt.passed for attempt in progress.attempts("day04/lora-config")] == [False, True]
    assert progress.passed("day04/q1")
    assert planning.current().path == "deep_dive"
    now = standing.now()
    assert now.next and not now.complaints
    assert tracking.recorded("day04")["test_accuracy"] == 0.8
    guesses = json.loads((older / "workspace" / "guesses.json").read_text(encoding="utf-8"))
    assert guesses, "what was guessed is still there"


def test_the_runs_in_mlflow_are_there(older):
    import mlflow

    tracking.setup("sentiment")
    assert len(mlflow.search_runs(experiment_names=["sentiment"])) >= 1


def test_ticking_on_keeps_every_byte_but_the_box(older):
    path = older / "progress" / "week1.md"
    before = path.read_bytes()
    progress.tick("D02-T1")
    after = path.read_bytes()
    assert progress.read()["D02-T1"]
    assert b"\r\n" in after and "My own note: ask about rank." in after.decode()
    assert [one for one, other in zip(before, after, strict=True) if one != other] == [ord(" ")]


def test_words_in_an_older_report_are_not_lost(older):
    report.week("week1")
    kept = [path.read_text(encoding="utf-8") for path in (older / "progress").glob("week1_*.md")]
    assert any("A seed is not a detail. Größe zählt nicht." in text for text in kept)


def test_the_journal_goes_on_below_what_was_written(older):
    path = older / "progress" / "journal.md"
    before = path.read_text(encoding="utf-8")
    progress.write_journal("day05", "Today I read a post-mortem.")
    assert path.read_text(encoding="utf-8").startswith(before.rstrip())


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_an_older_notebook_imports_and_calls_is_still_there(older, name):
    cells = [cell for cell in nbformat.read(older / name, as_version=4).cells if cell.cell_type == "code"]
    tree = ast.parse("\n".join(cell.source for cell in cells if not cell.source.startswith(("%", "!"))))
    missing = []
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("labhelpers"):
            room = importlib.import_module(node.module)
            modules |= {alias.asname or alias.name: getattr(room, alias.name) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module is not None and not hasattr(module, node.attr):
                missing.append(f"{node.value.id}.{node.attr}")
    assert modules and not missing


def test_an_edited_older_notebook_runs_and_finds_its_finished_run(older, monkeypatch):
    path = older / next(name for name in NOTEBOOKS if "day04" in name)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(2, nbformat.v4.new_code_cell("print('a learner was here')"))
    nbformat.write(notebook, path)
    said = execute(path, monkeypatch)
    assert "a learner was here" in said
    assert "Found the finished run" in said, "yesterday's training is found again, not repeated"


@pytest.mark.heavy  # every notebook of the older course, from an empty workspace
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_older_notebook_runs(older, name, monkeypatch):
    shutil.rmtree(older / "workspace")
    execute(older / name, monkeypatch)


def execute(path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a notebook in the smoke profile, in this test's folders, and give all that it prints."""
    from nbclient import NotebookClient

    monkeypatch.setenv("LAB_PROFILE", "smoke")
    monkeypatch.setenv("LAB_HEADLESS", "1")
    notebook = nbformat.read(path, as_version=4)
    # Beside the lessons, as a learner's edited copy lies.
    place = settings.current().root / "lessons" / "week1"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(place)}}).execute()
    texts = [output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(texts)
