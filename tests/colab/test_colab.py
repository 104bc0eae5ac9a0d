"""Colab's constraints replayed: the first cell, outside the repository, with google.colab and somebody else's Python."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import types
from pathlib import Path

import colab_runtime as runtime
import pytest

from labhelpers.core import settings, timetable
from labhelpers.core.settings import LabError
from labhelpers.tools import colab
from labhelpers.tools.authoring import manuscripts
from labhelpers.tools.authoring import notebooks as authoring

HERE = Path(__file__).parent
# `make colab` names a Python of Colab's minor version here: then Colab's packages are really installed, and ours fetched.
REPLAYED_WITH = os.environ.get("COLAB_PYTHON")
PREINSTALLED = dict(
    line.split("==") for line in (HERE / "preinstalled.txt").read_text().splitlines() if "==" in line
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return runtime.publish(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runtime") / "env"
    if REPLAYED_WITH:
        return runtime.with_colab_packages(folder, REPLAYED_WITH)
    return runtime.with_our_packages(folder)


@pytest.fixture
def published(address, monkeypatch):
    monkeypatch.setitem(timetable.load()["course"], "repository", address)


def notebook(lesson, drive=False):
    """The lesson with our answers, as Colab opens it; with Drive mounted by a cell of its own before the first."""
    import nbformat

    day = timetable.lesson(lesson)
    opened = nbformat.reads(authoring.notebook_text(day, manuscripts.read(day), "solved"), as_version=4)
    if drive:
        mount = "from google.colab import drive\ndrive.mount('drive')"
        opened.cells.insert(0, nbformat.v4.new_code_cell(mount))
    return nbformat.writes(opened)


def versions(python):
    """The versions of what the course promises to leave alone, as another Python has them."""
    code = "import sys, json, importlib.metadata as m; print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
    held = [name for name in colab.UNTOUCHED if name in PREINSTALLED]
    done = subprocess.run([python, "-c", code, *held], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("lesson, drive", [("day02", True), ("day04", False)])
def test_a_lesson_runs_where_only_its_first_cell_knows_the_course(published, python, tmp_path, lesson, drive):
    before = versions(python)
    printed = runtime.run(python, notebook(lesson, drive), tmp_path)
    assert versions(python) == before and {"torch", "numpy", "pandas"} <= set(before)
    if not REPLAYED_WITH:
        assert "Fetching" not in printed, "everything was there already, so nothing may be installed"
    kept = tmp_path / "drive/MyDrive/fine-tuning-course/progress" if drive else tmp_path / "course/progress"
    assert list(kept.glob("*.jsonl")) or list(kept.glob("week*.md")), f"no record of the exercises in {kept}"
    assert f"Your progress lives in {kept}" in printed


def test_a_restarted_kernel_finds_the_course_without_the_first_cell(published, python, tmp_path):
    runtime.run(python, notebook("day02"), tmp_path)
    done = subprocess.run(
        [python, "-c", "import labhelpers; print(labhelpers.__file__)"],
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip().startswith(str(tmp_path / "course"))


def test_packages_that_do_not_fit_are_told_in_one_line(monkeypatch):
    monkeypatch.setattr(colab, "missing", lambda: ["peft==0.21.2"])
    failed = types.SimpleNamespace(returncode=1, stderr="ERROR: noise\nERROR: ResolutionImpossible: numpy\n")
    monkeypatch.setattr(colab.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(LabError, match=r"ResolutionImpossible.*Disconnect and delete runtime") as caught:
        colab.prepare()
    assert "\n" not in str(caught.value)


def test_a_package_imported_too_early_asks_for_a_restart(monkeypatch):
    monkeypatch.setattr(colab, "missing", list)
    monkeypatch.setitem(colab.sys.modules, "peft", types.SimpleNamespace(__version__="0.1"))
    with pytest.raises(LabError, match=r"peft was imported before this cell ran.*Restart session"):
        colab.prepare()


def test_a_package_that_states_no_version_is_not_accused(monkeypatch):
    """The first cell may be run again after a lesson has imported gguf."""
    monkeypatch.setitem(colab.sys.modules, "gguf", types.SimpleNamespace())
    assert "gguf" not in colab.outdated()


def test_torch_numpy_and_their_like_are_held_where_they_are():
    held = dict(line.split("==") for line in colab.constraints())
    assert {"torch", "numpy", "pandas", "pillow"} <= set(held)
    assert not set(held) & set(colab.NEEDED)


def lesson_imports():
    """Third-party modules that the ready lessons and the package import."""
    root = settings.current().root
    texts = [path.read_text(encoding="utf-8") for path in (root / "labhelpers").glob("*.py")]
    for day in timetable.lessons():
        if day["status"] == "ready":
            cells = manuscripts.read(day).cells
            texts += ["\n".join(cell.source for cell in cells if cell.cell_type == "code")]
    names = set()
    for text in texts:
        for node in ast.walk(ast.parse(re.sub(r"^\s*[!%].*", "", text, flags=re.M))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("module", sorted(lesson_imports()))
def test_whatever_a_lesson_imports_is_in_colab_or_fetched(module):
    """A new import in a lesson must not wait for a learner in Colab to be noticed."""
    distributions = importlib.metadata.packages_distributions().get(module)
    if distributions is None or module in ("labhelpers", "jupytext", "papermill"):
        return  # the standard library, the course itself, and what only authors' commands need
    known = {name.lower().replace("_", "-") for name in PREINSTALLED} | needed_with_dependencies()
    assert {name.lower().replace("_", "-") for name in distributions} & known, (
        f"{module}: add it to colab.NEEDED"
    )


def needed_with_dependencies():
    from packaging.requirements import Requirement

    found, waiting = set(), [*colab.NEEDED]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        try:
            requirements = [Requirement(text) for text in importlib.metadata.requires(name) or []]
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [
            item.name for item in requirements if not item.marker or item.marker.evaluate({"extra": ""})
        ]
    return found
