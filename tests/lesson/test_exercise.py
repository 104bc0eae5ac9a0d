"""The exercise contract: never blocked, specific replies, hints in steps, solutions after an attempt."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from labhelpers import progress
from labhelpers.core import answers
from labhelpers.core.settings import LabError
from labhelpers.lesson import exercise

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


def fail(times, capsys):
    """Fail the exercise so often, and give back what the last reply said."""
    for _ in range(times):
        capsys.readouterr()
        exercise.check("day99/double", lambda x: x)
    return capsys.readouterr().out


def test_who_keeps_failing_is_offered_a_hint_then_less_then_the_way_on(capsys):
    assert "Stuck?" in fail(2, capsys)
    third = fail(1, capsys)
    assert "Hint 1 of 2: Multiply." in third and "smallest case" not in third
    fourth = " ".join(fail(1, capsys).split())
    assert "smallest case" in fourth and "Hint" not in fourth and "the cells above" in fourth
    fifth = " ".join(fail(1, capsys).split())
    assert 'exercise.solution("day99/double")' in fifth and "try again tomorrow" in fifth
    assert all("The lesson goes on" in reply for reply in (third, fourth, fifth))
    sixth = fail(1, capsys)
    assert "Stuck?" in sixth and "tomorrow" not in sixth and "Hint" not in sixth, "each is said once"


def test_an_example_of_the_authors_comes_first(capsys, monkeypatch):
    monkeypatch.setitem(RECORD, "example", "triple(1) is 3.")
    assert "A simpler example: triple(1) is 3." in fail(4, capsys)


def test_a_pass_begins_the_count_anew(capsys):
    fail(2, capsys)
    exercise.check("day99/double", lambda x: 2 * x)
    assert "Stuck?" in fail(2, capsys)


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def tries(*minutes):
    """Failed attempts so many minutes after noon."""
    times = [(NOON + timedelta(minutes=minute)).isoformat() for minute in minutes]
    return [progress.Attempt("day99/double", False, "", time) for time in times]


def after(minutes):
    return NOON + timedelta(minutes=minutes)


def test_a_quarter_of_an_hour_is_enough_even_with_few_tries():
    assert exercise.help_due(tries(0, 14), after(14)) == 0
    assert exercise.help_due(tries(0, 15), after(15)) == 1
    assert exercise.help_due(tries(0, 15, 16), after(16)) == 2
    assert exercise.help_due(tries(0, 15, 16, 17), after(17)) == 3
    assert exercise.help_due(tries(0, 15, 16, 17, 18), after(18)) == 0


def test_tomorrow_begins_anew_and_a_clock_that_moved_changes_nothing():
    assert exercise.help_due(tries(0, 1, 2, 3, 1440), after(1440)) == 0
    assert exercise.help_due(tries(0, 1, 2), after(-100_000)) == 1
    assert exercise.help_due(tries(0, -100_000, 2), after(2)) == 0
    odd = [progress.Attempt("day99/double", False, "", "soon")] * 3
    assert exercise.help_due(odd, after(0)) == 1


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
