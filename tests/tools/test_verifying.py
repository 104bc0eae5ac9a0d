"""A lesson that ran to its end can still be broken; these are the ways in which that is noticed."""

import os
from pathlib import Path

import nbformat
import pytest

from labhelpers.core import timetable
from labhelpers.tools import doctor
from labhelpers.tools.authoring import manuscripts
from labhelpers.tools.authoring import notebooks as authoring
from labhelpers.tools.authoring import verify as verifying

DAY = {"id": "day99", "bands": {"accuracy": {"smoke": [0.8, 0.9]}}}
RECORDED = {"event": "record", "name": "accuracy", "value": 0.85, "low": 0.8, "high": 0.9}
PASSED = {"event": "check", "exercise": "day99/x", "outcome": "right", "feedback": "Right."}


def lesson_run(events, error=None, variant="solved"):
    return verifying.LessonRun("day99", variant, Path("day99.ipynb"), events, 1.0, error)


def complaints(events, error=None, variant="solved"):
    return verifying.complaints_about(lesson_run(events, error, variant))


@pytest.fixture(autouse=True)
def one_lesson(monkeypatch):
    monkeypatch.setattr(timetable, "lesson", lambda _: DAY)
    monkeypatch.setattr(timetable, "lessons", lambda: [{**DAY, "status": "ready"}])


def test_sound_lesson_draws_no_complaint():
    assert complaints([RECORDED, PASSED]) == []


@pytest.mark.parametrize("value", [0.79, 0.91])
def test_result_outside_its_band_is_named_with_the_band(value):
    assert complaints([{**RECORDED, "value": value}, PASSED]) == [f"accuracy = {value} is outside 0.8 to 0.9"]


def test_band_without_a_result_is_named():
    assert "accuracy has a band" in complaints([PASSED])[0]


def test_refused_reference_answer_is_named_with_the_reply():
    refused = {**PASSED, "outcome": "wrong", "feedback": "The rank is 16."}
    assert complaints([RECORDED, refused]) == ["day99/x was wrong: The rank is 16."]


def test_exception_is_the_first_thing_to_report():
    assert complaints([], error="cell 3: NameError: x") == ["stopped at cell 3: NameError: x"]


def test_answer_that_is_right_without_being_given_is_named():
    untouched = {**PASSED, "outcome": "untouched"}
    assert complaints([RECORDED, untouched], variant="learner") == []
    assert complaints([RECORDED, PASSED], variant="learner") == ["day99/x was right: Right."]


def test_each_lesson_is_run_both_ways_in_one_workspace_and_kept(monkeypatch, capsys):
    seen = []

    def run(lesson, variant, profile, workspace, folder):
        seen.append((variant, workspace))
        return lesson_run(
            [RECORDED, {**PASSED, "outcome": {"solved": "right"}.get(variant, "wrong")}], None, variant
        )

    monkeypatch.setattr(verifying, "run", run)
    monkeypatch.setattr(doctor, "rates", lambda: {"float32": 300.0})
    assert not verifying.verify(None, "smoke")
    assert [variant for variant, _ in seen] == ["solved", "learner"] and len(
        {place for _, place in seen}
    ) == 1
    assert "day99 (untouched): 1 s" in capsys.readouterr().out
    kept = verifying.stored("smoke")
    assert [one.complaints for one in kept] == [[], ["day99/x was wrong: Right."]]
    assert "300 GFLOP/s" in kept[0].machine and verifying.stored("cpu") == []


def test_the_header_tells_the_minutes_of_both_kinds_of_processor(monkeypatch):
    monkeypatch.setenv("LAB_BF16", "1")
    quick = lesson_run([{"event": "finished", "peak_bytes": 2**30}])
    first = verifying.measurement(quick, {"float32": 300.0}, None)
    monkeypatch.setenv("LAB_BF16", "0")
    slow = verifying.LessonRun("day99", "solved", Path("day99.ipynb"), [], 90.0, None)
    both = verifying.measurement(slow, {"float32": 30.0}, first)
    assert both == {**first, "seconds_without_bf16": 90}
    monkeypatch.setattr(timetable, "measurements", lambda: {"day99": both})
    assert "0.0 of these minutes; 1.5 on one without bf16 units, and" in authoring._measured(DAY)
    monkeypatch.setenv("LAB_BF16", "1")
    assert verifying.measurement(quick, {}, both)["seconds_without_bf16"] == 90


def give_cell(monkeypatch, source):
    """Let the lesson consist of one cell."""
    text = nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]))
    monkeypatch.setattr(manuscripts, "read", lambda _: None)
    monkeypatch.setattr(authoring, "notebook_text", lambda *_: text)


def test_run_that_works_is_quiet(tmp_path, monkeypatch, capfd):
    give_cell(monkeypatch, "1 + 1")
    result = verifying.run("day99", "solved", "smoke", tmp_path, tmp_path)
    assert result.error is None and result.notebook.exists()
    said = "".join(capfd.readouterr()).splitlines()
    # On a busy machine ipykernel says this of itself when it is asked to stop; no word of ours, and none of the cell's.
    assert [line for line in said if "KeyboardInterrupt caught in kernel" not in line] == []


def test_killed_kernel_is_reported_and_an_older_notebook_is_not_taken_for_its_work(tmp_path, monkeypatch):
    give_cell(monkeypatch, "import os\nos._exit(1)")
    (tmp_path / "day99-solved.ipynb").write_text("older", encoding="utf-8")
    result = verifying.run("day99", "solved", "smoke", tmp_path, tmp_path)
    assert "killed the kernel" in result.error and not result.notebook.exists()
    assert "killed the kernel" in complaints(result.events, result.error)[0]


def test_a_run_by_machine_gets_a_project_of_its_own_and_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_PROJECT", str(tmp_path / "mine"))
    with verifying.environment("smoke", tmp_path, tmp_path / "log"):
        theirs = Path(os.environ["LAB_PROJECT"])
        (theirs / "src").mkdir(parents=True)
    assert theirs != tmp_path / "mine" and not theirs.exists()
    assert os.environ["LAB_PROJECT"] == str(tmp_path / "mine")
