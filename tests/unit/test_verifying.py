"""A lesson that ran to its end can still be broken; these are the ways in which that is noticed."""

from pathlib import Path

import pytest

from labhelpers import running, timetable, verifying

DAY = {"id": "day99", "bands": {"accuracy": {"smoke": [0.8, 0.9]}}}
RECORDED = {"event": "record", "name": "accuracy", "value": 0.85, "low": 0.8, "high": 0.9}
PASSED = {"event": "check", "exercise": "day99/x", "outcome": "right", "feedback": "Right."}


def complaints(events, error=None):
    return verifying.complaints_about(
        running.LessonRun("day99", "solved", Path("day99.ipynb"), events, 1.0, error)
    )


@pytest.fixture(autouse=True)
def one_lesson(monkeypatch):
    monkeypatch.setattr(timetable, "lesson", lambda _: DAY)


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
