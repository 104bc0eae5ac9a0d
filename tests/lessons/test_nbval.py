"""What an instructor types before class works."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from labhelpers.core import settings, timetable
from labhelpers.core.settings import current
from labhelpers.tools import start_page

READY = [day for day in timetable.lessons() if day["status"] == "ready"]


def nbval(folder, *paths):
    """Type the command in a folder, without any variable of the course."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAB_")}
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", *paths]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def assert_green_and_quiet(done):
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert done.stderr == ""
    for line in done.stdout.splitlines():
        assert re.fullmatch(r"\.* *\[ *\d+%\]|\d+ passed in .*|", line), line


@pytest.mark.heavy  # half a minute per lesson; every `make test` runs each lesson untouched in test_lessons.py
def test_nbval_lax_passes_as_an_instructor_runs_it():
    assert_green_and_quiet(nbval(current().root, "lessons/"))


def test_nbval_lax_passes_on_the_two_shortest_lessons():
    measured = timetable.measurements()  # a lesson that was never measured is not known to be short
    by_length = [day for day in READY if day["id"] in measured]
    by_length.sort(key=lambda day: measured[day["id"]]["seconds"])
    shortest = [f"lessons/{day['lesson']}.ipynb" for day in by_length[:2]]
    assert_green_and_quiet(nbval(current().root, *shortest))


def test_start_page_passes_too(tmp_path, monkeypatch):
    """`make lab` writes it among the lessons, so the command meets it."""
    root = current().root
    for name in ("curriculum", "labhelpers"):
        (tmp_path / name).symlink_to(root / name)
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(root / name, tmp_path)
    (tmp_path / "lessons").mkdir()
    own = replace(settings.current(), root=tmp_path)
    monkeypatch.setattr(start_page, "current", lambda: own)
    start_page.write_notebook()
    done = nbval(tmp_path, "lessons/")
    assert_green_and_quiet(done)
    assert "2 passed" in done.stdout
