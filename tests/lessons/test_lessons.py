"""Every lesson, executed as a learner gets it, in a fresh kernel, and solved, against its listed wrong answers.

All runs have their way to the network blocked.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from labhelpers.core import timetable
from labhelpers.core.settings import current
from labhelpers.tools.authoring import verify as verifying

READY = [day["id"] for day in timetable.lessons() if day["status"] == "ready"]
LONGEST_OUTPUT = 50
OFFLINE = Path(__file__).parent / "offline"
# The solved lesson, with one cell more in front of each check that tries the listed wrong answers: one run for both.
SOLVED = "misconceptions"


@pytest.fixture(scope="session")
def run_lesson(tmp_path_factory, request):
    """Execute each lesson and variant once; each lesson starts from an empty workspace of its own.

    Commands of a project that a lesson runs are done by forks of one loaded process, where that is safe, and so is the
    solved lesson's kernel; the untouched lesson has a new one.
    """
    finished, blocked = {}, {"PYTHONPATH": str(OFFLINE)}
    if sys.platform == "linux":
        blocked |= {"COURSE_FORKS": request.getfixturevalue("loaded_python").door}

    def run(lesson, variant):
        if (lesson, variant) not in finished:
            folder = tmp_path_factory.getbasetemp() / lesson
            kernels = {"COURSE_FORKS_KERNELS": "1"} if variant == SOLVED else {}
            with mock.patch.dict(os.environ, blocked | kernels):
                finished[lesson, variant] = verifying.run(
                    lesson, variant, "smoke", folder / "workspace", folder / "executed"
                )
        return finished[lesson, variant]

    return run


def outputs(result):
    """All outputs of an executed notebook."""
    notebook = json.loads(result.notebook.read_text(encoding="utf-8"))
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def text_of(output):
    """The text of one output, as a reader sees it."""
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return "".join(text)


def test_every_lesson_on_disk_is_checked_here():
    on_disk = {
        str(path.relative_to(current().root / "lessons").with_suffix(""))
        for path in (current().root / "lessons").glob("*/*.ipynb")
        if ".mine" not in path.name and ".ipynb_checkpoints" not in path.parts
    }
    assert on_disk == {timetable.lesson(lesson)["lesson"] for lesson in READY}


@pytest.mark.parametrize("lesson", READY)
def test_untouched_lesson_runs_to_its_end(run_lesson, lesson):
    result = run_lesson(lesson, "learner")
    assert result.error is None
    assert result.of_kind("finished"), "the kernel did not reach its end"


@pytest.mark.parametrize("lesson", READY)
def test_lesson_never_tries_to_reach_the_network(run_lesson, lesson):
    assert run_lesson(lesson, "learner").of_kind("network") == []


def test_the_block_would_notice(tmp_path):
    code = "import urllib.request; urllib.request.urlopen('http://example.org')"
    environment = {**os.environ, "PYTHONPATH": str(OFFLINE), "LAB_RUN_LOG": str(tmp_path / "log")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "network is blocked" in done.stderr
    assert "example.org" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("lesson", READY)
def test_untouched_exercises_do_not_pass_and_say_what_to_do(run_lesson, lesson):
    checks = run_lesson(lesson, "learner").of_kind("check")
    assert len(checks) >= 3
    for check in checks:
        assert check["outcome"] == "untouched", check
        assert len(check["feedback"]) > 40


@pytest.mark.parametrize("lesson", READY)
def test_solved_lesson_passes_with_results_inside_their_bands(run_lesson, lesson):
    result = run_lesson(lesson, SOLVED)
    assert verifying.complaints_about(result) == []
    assert result.of_kind("record"), "a lesson records at least one result"
    without_band = {event["name"] for event in result.of_kind("record") if event["low"] is None}
    # How long a training takes is the machine's business.
    assert without_band <= {"training_seconds"}, "the timetable says nothing about what to expect here"


@pytest.mark.parametrize("lesson", READY)
def test_each_misconception_gets_its_own_reply(run_lesson, lesson):
    result = run_lesson(lesson, SOLVED)
    assert result.error is None
    replies = {}
    for event in result.of_kind("misconception"):
        replies.setdefault(event["exercise"], []).append(event["reply"])
    assert len(replies) >= 3
    for exercise, texts in replies.items():
        assert len(texts) >= 2
        assert len(set(texts)) == len(texts), f"{exercise} gives two wrong answers the same reply"


@pytest.mark.parametrize("variant", ["learner", SOLVED])
@pytest.mark.parametrize("lesson", READY)
def test_outputs_are_quiet_and_short(run_lesson, lesson, variant):
    for output in outputs(run_lesson(lesson, variant)):
        assert output.get("name") != "stderr", text_of(output)
        assert not re.search(r"\w+Warning\b|Traceback", text_of(output)), text_of(output)
        assert len(text_of(output).splitlines()) <= LONGEST_OUTPUT, text_of(output)[:500]


@pytest.mark.parametrize("lesson", READY)
def test_every_figure_has_alternative_text(run_lesson, lesson):
    figures = [
        output for output in outputs(run_lesson(lesson, SOLVED)) if "image/png" in output.get("data", {})
    ]
    assert figures, "a lesson shows at least one figure"
    for figure in figures:
        assert len(figure["metadata"].get("image/png", {}).get("alt", "")) > 20
