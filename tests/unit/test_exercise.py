"""The exercise contract: never blocked, specific replies, hints in steps, solutions after an attempt."""

import json

import pytest

from labhelpers import answers, exercise, progress
from labhelpers.settings import LabError

RECORD = {
    "id": "day99/double",
    "answer": "double",
    "minutes": 2,
    "difficulty": 1,
    "solution": "def double(x):\n    return factor * x",
    "check": (
        "def check(answer):\n"
        "    if answer(3) == 9:\n"
        "        return 'You squared it.'\n"
        "    if answer(3) != 6:\n"
        "        return 'Try 3: twice 3 is not what came out.'\n"
    ),
    "hints": ["Multiply.", "By two."],
    "misconceptions": [
        ["def double(x):\n    return x ** 2", "squared"],
        ["def double(x):\n    return x", "Try 3"],
    ],
}

factor = 2  # the reference solution reads this variable of "the lesson"


@pytest.fixture(autouse=True)
def one_exercise(monkeypatch):
    def find(exercise_id):
        if exercise_id != RECORD["id"]:
            raise LabError("There is no exercise of that name.")
        return RECORD

    monkeypatch.setattr(answers, "exercise", find)
    exercise._hints_shown.clear()


def stub(x):
    """Give back twice x."""
    ...


def test_right_answer_comes_back_even_if_written_differently(capsys):
    def mine(x):
        return x + x

    assert exercise.check("day99/double", mine) is mine
    assert "Right" in capsys.readouterr().out
    assert progress.passed("day99/double")


def test_wrong_answer_gets_its_reply_and_the_reference_takes_over(capsys):
    reference = exercise.check("day99/double", lambda x: x**2)
    assert reference(5) == 10
    printed = capsys.readouterr().out
    assert "You squared it." in printed
    assert "exercise.hint" in printed
    assert "factor * x" not in printed, "the reply must not give the answer away"
    assert not progress.passed("day99/double")


@pytest.mark.parametrize("answer", [..., stub])
def test_untouched_stub_is_told_what_to_do_and_is_not_an_attempt(capsys, answer):
    assert exercise.check("day99/double", answer)(4) == 8
    assert "not answered yet" in capsys.readouterr().out
    assert progress.attempts("day99/double") == []


def test_answer_of_the_wrong_type_never_raises(capsys):
    for odd in (None, 7, "double", [1, 2], object()):
        assert exercise.check("day99/double", odd)(1) == 2
    assert "TypeError" in capsys.readouterr().out


def test_undefined_name_in_an_answer_is_named(capsys):
    exercise.check("day99/double", lambda x: x * two)  # noqa: F821
    assert "`two`" in capsys.readouterr().out


def test_broken_lesson_variables_do_not_block(capsys):
    namespace = {"exercise": exercise}
    exec("kept = exercise.check('day99/double', lambda x: x)\nresult = kept", namespace)
    # `factor` does not exist there: the reference is made but fails only when called, the check itself goes on.
    assert callable(namespace["result"])
    assert "Try 3" in capsys.readouterr().out


def test_reference_that_cannot_be_computed_returns_the_learners_answer(capsys, monkeypatch):
    monkeypatch.setitem(RECORD, "solution", "double = missing_variable")
    mine = lambda x: x  # noqa: E731
    assert exercise.check("day99/double", mine) is mine
    assert "Run the lesson from the top" in capsys.readouterr().out


def test_hints_come_in_steps_and_stay_at_the_last(capsys):
    shown = []
    for _ in range(3):
        exercise.hint("day99/double")
        shown.append(capsys.readouterr().out)
    assert "Multiply." in shown[0] and "By two." not in shown[0]
    assert "By two." in shown[1]
    assert "By two." in shown[2]


def test_solution_opens_after_an_honest_attempt_only(capsys):
    exercise.solution("day99/double")
    assert "factor" not in capsys.readouterr().out
    exercise.check("day99/double", lambda x: x)
    capsys.readouterr()
    exercise.solution("day99/double")
    assert "return factor * x" in capsys.readouterr().out


def test_prove_accepts_honest_records_and_names_dishonest_ones(monkeypatch):
    exercise.prove("day99/double")
    monkeypatch.setitem(RECORD, "misconceptions", [["def double(x):\n    return 2 * x", "anything"]])
    with pytest.raises(AssertionError, match="this wrong answer passed"):
        exercise.prove("day99/double")
    monkeypatch.setitem(RECORD, "misconceptions", [["def double(x):\n    return x", "squared"]])
    with pytest.raises(AssertionError, match="expected 'squared'"):
        exercise.prove("day99/double")


def test_checks_leave_the_learners_variables_alone():
    namespace = {"exercise": exercise, "factor": 2}
    exec("answer = exercise.check('day99/double', lambda x: 0)", namespace)
    assert set(namespace) - {"__builtins__"} == {"exercise", "factor", "answer"}


def test_unknown_exercise_is_a_clear_error():
    with pytest.raises(LabError, match="no exercise"):
        exercise.check("day99/nothing", 1)


def test_sealed_content_is_stable_and_not_in_plain_sight():
    sealed = answers.seal({"solution": "secret = 42"})
    assert answers.unseal(sealed) == {"solution": "secret = 42"}
    assert "secret" not in sealed
    assert sealed == answers.seal(json.loads(json.dumps({"solution": "secret = 42"})))
