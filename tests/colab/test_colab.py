"""Colab's constraints replayed: the first cell, outside the repository, with google.colab and somebody else's Python."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import types
from pathlib import Path

import pytest

from labhelpers.core import settings, timetable
from labhelpers.core.settings import LabError
from labhelpers.tools import colab
from labhelpers.tools.authoring import manuscripts
from labhelpers.tools.authoring import notebooks as authoring
from tests.colab import colab_runtime as runtime

HERE = Path(__file__).parent
# `make colab` names a Python of Colab's minor version here: then Colab's packages are really installed, and ours fetched.
REPLAYED_WITH = os.environ.get("COLAB_PYTHON")
PREINSTALLED = dict(
    line.split("==") for line in (HERE / "preinstalled.txt").read_text().splitlines() if "==" in line
)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The course in a repository of its own, whose notebooks begin with the cell for Colab."""
    with pytest.MonkeyPatch.context() as patch:
        address = runtime.publish(tmp_path_factory.mktemp("published"))
        patch.setitem(timetable.load()["course"], "repository", address)
        yield


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runtime") / "env"
    if REPLAYED_WITH:
        return runtime.with_colab_packages(folder, REPLAYED_WITH)
    return runtime.with_our_packages(folder)


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


def replay(python, content, lesson, drive):
    """Run a lesson in an empty /content and return what it printed; what Colab has preinstalled must stay as it is."""
    before = versions(python)
    printed = runtime.run(python, notebook(lesson, drive), content)
    assert versions(python) == before and {"torch", "numpy", "pandas"} <= set(before)
    if not REPLAYED_WITH:
        assert "Fetching" not in printed, "everything was there already, so nothing may be installed"
    return printed


def assert_kept(progress, printed):
    assert list(progress.glob("*.jsonl")) or list(progress.glob("week*.md")), (
        f"no exercise is recorded in {progress}"
    )
    assert f"Your progress lives in {progress}" in printed


@pytest.fixture(scope="module")
def day_two(published, python, tmp_path_factory):
    """Day 2 run to its end in Colab, with Drive: the folder that stands for /content, and what was printed."""
    content = tmp_path_factory.mktemp("content")
    return content, replay(python, content, "day02", drive=True)


def test_a_lesson_runs_where_only_its_first_cell_knows_the_course(day_two):
    content, printed = day_two
    assert_kept(content / "drive/MyDrive/fine-tuning-course/progress", printed)


def test_a_restarted_kernel_finds_the_course_without_the_first_cell(day_two, python):
    code = "import labhelpers; print(labhelpers.__file__)"
    done = subprocess.run([python, "-c", code], cwd="/", capture_output=True, text=True)
    assert done.stdout.strip().startswith(str(day_two[0] / "course"))


@pytest.mark.heavy  # minutes of training for the same first cell as Day 2's
def test_a_lesson_that_trains_runs_too_and_keeps_its_progress_without_drive(published, python, tmp_path):
    printed = replay(python, tmp_path, "day04", drive=False)
    assert_kept(tmp_path / "course/progress", printed)


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
    texts = [path.read_text(encoding="utf-8") for path in (root / "labhelpers").rglob("*.py")]
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


def test_whatever_a_lesson_imports_is_in_colab_or_fetched():
    """A new import in a lesson must not wait for a learner in Colab to be noticed."""
    installed = importlib.metadata.packages_distributions()  # not so the standard library
    known = {plain(name) for name in PREINSTALLED} | needed_with_dependencies()
    imported = lesson_imports() - {"labhelpers", "jupytext", "papermill"}  # the last two serve authors only
    assert {"torch", "peft", "ipywidgets"} <= imported
    strangers = {
        name for name in imported & set(installed) if not {plain(each) for each in installed[name]} & known
    }
    assert strangers == set(), "add them to colab.NEEDED"


def plain(name):
    """The name of a distribution as everybody compares it."""
    return name.lower().replace("_", "-")


def needed_with_dependencies():
    from packaging.requirements import Requirement

    found, waiting = set(), [*colab.NEEDED]
    while waiting:
        name = plain(waiting.pop())
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
