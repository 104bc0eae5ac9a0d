"""Homes and folders as people really have them: not writable, not there at all, with spaces and letters of their own."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labhelpers.core import settings
from labhelpers.core.settings import LabError
from labhelpers.training import tracking

ROOT = Path(__file__).parents[2]
DROP_FROM_BOUNDING_SET, OVERRIDE_PERMISSIONS = 24, 1  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE of Linux


def obey_permissions():
    """Root writes where it likes; without this capability it must ask like everybody else."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, OVERRIDE_PERMISSIONS, 0, 0, 0)


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """A clone of the course and a clean environment for somebody at a folder of our choice."""

    def settle(name="home"):
        home = tmp_path / name
        clone = home / "fine tuning" if " " in name else home / "course"
        clone.mkdir(parents=True)
        for part in ("labhelpers", "curriculum", "lessons", "tests"):
            shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
        (clone / "progress").mkdir()
        shutil.copy(ROOT / "pyproject.toml", clone)
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "HF_HUB_OFFLINE") if key in os.environ}
        environment = {
            **kept, "HOME": str(home), "PYTHONPATH": str(clone), "PYTHONDONTWRITEBYTECODE": "1", "LAB_PROFILE": "smoke",
            "LAB_CACHE": str(settings.current().cache), "LAB_HEADLESS": "1",
        }  # fmt: skip
        return home, clone, environment

    made = tmp_path
    yield settle
    subprocess.run(["chmod", "-R", "u+w", str(made)], check=True)


def close(folder):
    """Take everybody's right to write in a folder and below."""
    subprocess.run(["chmod", "-R", "a-w", str(folder)], check=True)


def lesson(clone, environment, folder):
    """Run the short lesson there."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.one_kernel", str(folder)],
        cwd=clone, env=environment, capture_output=True, text=True, timeout=200, preexec_fn=obey_permissions,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def assert_worked(result, clone_progress):
    """The lesson came to its end, in peace, and what the learner did is written down."""
    assert result["ended"] == "finished" and result["noise"] == ""
    assert "- [x] " in (clone_progress / "week1.md").read_text(encoding="utf-8")
    assert "naïve, 漢字" in (clone_progress / "journal.md").read_text(encoding="utf-8")


def test_letters_of_any_language_in_every_path_and_a_home_that_cannot_be_written(learner, tmp_path):
    home, clone, environment = learner("Zoë Ångström 100% 漢")
    clone = clone.rename(tmp_path / "Über Übung")
    close(home)
    environment["PYTHONPATH"] = str(clone)
    result = lesson(clone, environment, tmp_path / "fine tuning")
    # Matplotlib alone remarks on it, and says what could be done.
    assert "MPLCONFIGDIR" in result["noise"] and "Traceback" not in result["noise"]
    assert_worked(result | {"noise": ""}, clone / "progress")
    assert f"WORKSPACE {clone / 'workspace'}" in result["said"]
    assert (clone / "workspace" / "mlflow.db").exists()
    assert len(list((clone / "workspace" / "mlartifacts").rglob("a b.png"))) == 1


def test_no_home_and_a_course_folder_that_cannot_be_written(learner, tmp_path):
    _, clone, environment = learner()
    del environment["HOME"]
    close(clone)
    own = {"LAB_WORKSPACE": str(tmp_path / "w"), "LAB_PROGRESS": str(tmp_path / "p")}
    assert_worked(lesson(clone, environment | own, tmp_path / "elsewhere"), tmp_path / "p")
    result = lesson(clone, environment, tmp_path / "elsewhere")
    assert str(clone / "workspace") in result["ended"] and "LAB_WORKSPACE" in result["ended"]


def test_a_class_starts_from_a_course_folder_that_cannot_be_written(learner, tmp_path):
    _, clone, environment = learner()
    close(clone)
    environment |= {"LAB_WORKSPACE": str(tmp_path / "w"), "LAB_PROGRESS": str(tmp_path / "p")}
    code = (
        "import subprocess, sys\nfrom labhelpers.tools import cli\n"
        "subprocess.call = lambda command: print(*command) or 0\n"
        "sys.argv = ['lab', 'start', '--no-browser']\ncli.main()"
    )

    def start():
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True,
            preexec_fn=obey_permissions,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    desk = tmp_path / "w" / "course"
    assert f"--ServerApp.root_dir={desk}" in start()
    lesson = desk / "lessons" / "week1" / "day01_orientation.ipynb"
    assert (desk / "lessons" / "start_here.ipynb").exists() and os.access(lesson, os.W_OK)
    assert (desk / "curriculum" / "guides").is_dir(), "the links of the lessons lead somewhere"
    worked_in = lesson.read_text(encoding="utf-8").replace("import", "import  ")
    lesson.write_text(worked_in, encoding="utf-8")
    start()
    assert lesson.read_text(encoding="utf-8") == worked_in


@pytest.mark.parametrize("name", ["my%20course", "what?"])
def test_a_folder_that_mlflow_cannot_spell_is_named(monkeypatch, tmp_path, name):
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path / name))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(LabError, match="Set LAB_WORKSPACE"):
        tracking.setup("sentiment")
