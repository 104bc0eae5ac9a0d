"""Answers nobody listed: endless, exiting, changing their inputs, in another form, right for the printed case only."""

import contextlib
import time
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch

from labhelpers import progress
from labhelpers.core import answers
from labhelpers.core.settings import LabError
from labhelpers.lesson import exercise, judging

SHARE = {
    "id": "day99/share",
    "answer": "share",
    "minutes": 2,
    "difficulty": 1,
    "solution": "def share(right):\n    return sum(right) / len(right)",
    "check": (
        "def check(answer):\n"
        "    return None if abs(answer([1, 0]) - 0.5) < 1e-9 else 'One of two is a half.'\n"
        "def inputs(draw):\n"
        "    yield [1]\n"
        "    yield [0, 0, 0]\n"
        "    yield draw.integers(0, 2, 7).tolist()\n"
    ),
    "hints": ["Count."],
    "misconceptions": [],
}
NUMBER = {
    **SHARE,
    "id": "day99/number",
    "answer": "number",
    "solution": "number = 0.1",
    "check": "def check(answer):\n    return None if abs(answer - 0.1) < 1e-9 else 'Not that.'\n",
}
COUNT = {
    **NUMBER,
    "id": "day99/count",
    "answer": "count",
    "solution": "count = 8",
    "check": "def check(answer):\n    return None if answer == 8 else 'Not that many.'\n",
}
ORDER = {
    **SHARE,
    "id": "day99/order",
    "answer": "order",
    "solution": "def order(losses):\n    return sorted(range(len(losses)), key=lambda at: losses[at])",
    "check": "def check(answer):\n    return None if list(answer([3.0, 1.0, 2.0])) == [1, 2, 0] else 'Not in order.'\n",
}
RECORDS = {record["id"]: record for record in (SHARE, NUMBER, COUNT, ORDER)}


@pytest.fixture(autouse=True)
def made_up_exercises(monkeypatch):
    monkeypatch.setattr(answers, "exercise", RECORDS.__getitem__)
    monkeypatch.setattr(judging, "LIMIT", 1)
    exercise._handed_out.clear()


def refused(exercise_id, answer, capsys):
    """What the check says to an answer; its reply must be a refusal."""
    exercise.check(exercise_id, answer)
    printed = " ".join(capsys.readouterr().out.split())
    assert "✔" not in printed
    assert not progress.passed(exercise_id)
    return printed


def test_an_endless_answer_is_stopped_and_the_lesson_goes_on(capsys):
    def share(right):
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    assert "more than 1 seconds" in refused("day99/share", share, capsys)


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt, NotImplementedError])
def test_an_answer_that_exits_or_raises_gets_a_reply(stop, capsys):
    def share(right):
        raise stop

    assert "✘" in refused("day99/share", share, capsys)


def test_what_an_answer_raised_is_told_with_its_input(capsys):
    assert "share([1, 0])` your answer raised ZeroDivisionError" in refused(
        "day99/share", lambda right: 1 / 0, capsys
    )


def test_async_and_a_constant_are_answers_not_stubs(capsys):
    async def share(right):
        return sum(right) / len(right)

    assert "async def" in refused("day99/share", share, capsys)
    assert "a half" in refused("day99/share", lambda right: 1.0, capsys)

    def constant(right):
        return "half"

    assert "not answered yet" not in refused("day99/share", constant, capsys)


def test_a_variable_without_a_value_is_named(capsys):
    def share(right):
        if not right:
            total = 0
        return total / len(right)

    assert "'total'" in refused("day99/share", share, capsys)


def test_an_answer_that_changes_what_it_was_given_is_refused_and_the_data_stay(capsys):
    def share(right):
        value = sum(right) / len(right)
        right.clear()
        return value

    assert "changes what it was given" in refused("day99/share", share, capsys)


def test_right_for_the_printed_case_only_is_refused_with_the_case(capsys):
    printed = refused("day99/share", lambda right: sum(right) / 2, capsys)
    assert "share([1])` yours gives 0.5, and it should give 1" in printed


@pytest.mark.parametrize(
    "form",
    [
        np.float64,
        np.float32,
        torch.tensor,
        np.array,
        lambda value: np.array([value]),
        lambda value: pd.Series([value]),
    ],
)
def test_right_numbers_in_other_forms_are_accepted_and_handed_back_plain(form):
    assert type(exercise.check("day99/number", form(0.1))) is float
    assert f"{exercise.check('day99/number', form(0.1)):.1%}" == "10.0%"
    function = exercise.check("day99/share", lambda right: form(sum(right) / len(right)))
    assert f"{function([1, 1, 0, 0]):.1%}" == "50.0%"


@pytest.mark.parametrize("form", [tuple, np.array, torch.tensor, pd.Series])
def test_right_sequences_in_other_forms_become_lists(form):
    def order(losses):
        return form(sorted(range(len(losses)), key=lambda at: losses[at]))

    made = exercise.check("day99/order", order)([5.0, 4.0])
    assert made == [1, 0] and type(made) is list and type(made[0]) is int


def test_a_variable_of_the_lesson_called_inputs_is_no_generator(capsys):
    inputs = trial = agrees = torch.ones(2)  # as the cells of Day 1 have them  # noqa: F841
    assert exercise.check("day99/number", 0.1) == 0.1
    assert "✔" in capsys.readouterr().out


def test_where_the_check_stumbles_over_a_wrong_kind_the_reply_names_the_kind(capsys):
    def share(right):
        return right

    reply = refused("day99/share", share, capsys)
    assert "a list" in reply and "one number" in reply and "TypeError" not in reply


@pytest.mark.parametrize("answer", ["0.1", [0.1]])
def test_a_text_or_a_list_of_one_number_is_not_a_number(answer, capsys):
    assert "✘" in refused("day99/number", answer, capsys)


def test_a_second_check_does_not_pass_our_own_answer(capsys):
    ours = exercise.check("day99/number", 3.0)
    assert "still holds our answer" in refused("day99/number", ours, capsys)
    assert "still holds our answer" in refused("day99/number", exercise.check("day99/number", ...), capsys)


def cell(source, namespace):
    """Run a cell as IPython does: its source is noted before it runs."""
    namespace.setdefault("In", [""]).append(source)
    exec(source, namespace)


def test_a_right_answer_that_looks_like_ours_passes_once_it_has_been_written(capsys):
    notebook = {"exercise": exercise}
    cell("count = 5", notebook)
    for _ in range(2):
        cell("count = exercise.check('day99/count', count)", notebook)
    assert "still holds our answer" in " ".join(capsys.readouterr().out.split())
    assert not progress.passed("day99/count")
    cell("count = 8", notebook)
    cell("count = exercise.check('day99/count', count)", notebook)
    assert progress.passed("day99/count")


def test_an_answer_that_was_never_made_is_told_where_and_the_lesson_goes_on(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.user_ns["exercise"] = exercise
    shell.set_custom_exc((NameError,), exercise._on_name_error)
    shell.run_cell("count = exercise.check('day99/count', count)", store_history=True)
    printed = capsys.readouterr().out
    assert "there is no `count` yet" in printed and "Traceback" not in printed
    assert shell.user_ns["count"] == 8
    shell.run_cell("print(nothing_of_that_name)", store_history=True)
    assert "nothing_of_that_name" in capsys.readouterr().out


def test_missing_and_swapped_arguments_are_told():
    with pytest.raises(LabError, match="two things"):
        exercise.check("day99/number")
    with pytest.raises(LabError, match="two things"):
        exercise.check("day99/number", 1, 2)
    with pytest.raises(LabError, match="first"):
        exercise.check(0.1, "day99/number")


def test_same_compares_what_is_said_not_how():
    pair = namedtuple("pair", "low high")
    assert judging.same({"a": [1, 2]}, {"a": np.array([1, 2])})
    assert judging.same((0.5, 1), pair(0.5, 1))
    assert judging.same(np.array([1.0, np.nan]), [1.0, np.nan])
    assert judging.same(pd.Series([1, 2]), torch.tensor([1, 2]))
    assert not judging.same("1", 1)
    assert not judging.same([1, 2], [1, 2, 3])
    assert not judging.same({"a": 1}, {"b": 1})
    assert not judging.same(0.5, None)
    assert not judging.same(None, 0)


def test_gradients_that_stop_are_refused_where_ours_flow():
    ours = torch.ones(2, requires_grad=True) * 2
    with pytest.raises(judging.Refused, match="gradients"):
        judging.fitted(ours, np.array([2.0, 2.0]))
