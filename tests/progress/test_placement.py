"""The placement quiz suggests what fits, says why, and its command really works."""

import itertools
import shlex

import pytest
from typer.testing import CliRunner

from labhelpers.core.settings import LabError
from labhelpers.progress.plan import paths, placement, planning
from labhelpers.tools import cli

QUESTIONS = placement.questions()
MIDDLE = {
    "python": "basic", "ml": "some", "language_models": "used", "engineering": "some", "hours": "some", "when": "daily",
    "goal": "understand", "focus": "none",
}  # fmt: skip


def test_the_quiz_is_short_and_every_answer_has_words():
    assert 6 <= len(QUESTIONS) <= 8
    for question in QUESTIONS.values():
        assert question["ask"].endswith("?") and len(question["choices"]) >= 2
        assert all(isinstance(choice, str) and words for choice, words in question["choices"].items())


def test_each_goal_belongs_to_one_path():
    goals = [path["goal"] for path in paths.load()["paths"].values() if "goal" in path]
    assert sorted(goals) == sorted(QUESTIONS["goal"]["choices"])
    assert all(path["level"] in (0, 1, 2) for path in paths.load()["paths"].values() if "goal" in path)


def test_every_set_of_answers_gets_a_plan_that_can_be_made():
    suggested = {}
    for answers in itertools.product(*(question["choices"] for question in QUESTIONS.values())):
        found = placement.suggest(dict(zip(QUESTIONS, answers, strict=True)))
        assert len(found.because) >= 3
        suggested[found.path, found.pace, found.focus, found.background, found.hours_per_week] = found
    offered = {name for name, path in paths.load()["paths"].items() if "goal" in path}
    assert {found.path for found in suggested.values()} == offered
    assert {found.pace for found in suggested.values()} == set(paths.names("pace"))
    assert {found.background for found in suggested.values()} == {None, *paths.names("background")}
    assert {found.focus for found in suggested.values()} == {None, *paths.names("focus")}
    for path, pace, focus, background, hours in suggested:
        assert planning.make(path, pace, focus, background, hours).entries


@pytest.mark.parametrize(
    ("changes", "path", "pace", "background"),
    [
        ({}, "deep_dive", "standard", None),
        ({"goal": "try"}, "quick_start", "standard", None),
        ({"python": "never"}, "quick_start", "standard", None),
        ({"goal": "deploy"}, "deep_dive", "standard", None),
        ({"goal": "deploy", "python": "fluent", "engineering": "strong"}, "production_ready", "standard", "strong_engineering"),
        ({"ml": "none", "engineering": "none"}, "quick_start", "standard", "new_to_both"),
        ({"ml": "strong"}, "deep_dive", "standard", "strong_ml"),
        ({"hours": "few"}, "deep_dive", "relaxed", None),
        ({"hours": "full"}, "deep_dive", "accelerated", None),
        ({"when": "weekend"}, "deep_dive", "weekend", None),
    ],
)  # fmt: skip
def test_suggestions_follow_goal_experience_and_time(changes, path, pace, background):
    found = placement.suggest(MIDDLE | changes)
    assert (found.path, found.pace, found.background) == (path, pace, background)


def test_it_says_why_with_the_hours_added_up():
    found = placement.suggest(MIDDLE | {"goal": "deploy", "focus": "cost"})
    text = str(found)
    assert "that of Production Ready. Begin with Deep Dive" in text
    minutes = paths.minutes(paths.select("deep_dive", "standard", "cost").lessons)
    assert f"{minutes / 60:.1f} hours, {minutes / 600:.1f} weeks of 10 hours" in text
    assert "a short Python introduction first" in str(placement.suggest(MIDDLE | {"python": "never"}))


def test_the_suggested_command_makes_the_suggested_plan():
    found = placement.suggest(MIDDLE | {"ml": "strong", "focus": "quality", "when": "weekend"})
    done = CliRunner().invoke(cli.app, shlex.split(found.command)[1:])
    plan = planning.current()
    assert done.exit_code == 0
    for option in ("path", "pace", "focus", "background", "hours_per_week"):
        assert getattr(plan, option) == getattr(found, option)


def test_missing_and_strange_answers_name_the_question_and_its_choices():
    with pytest.raises(LabError, match=r"\(goal\): has no answer. Use one of: try, understand, deploy"):
        placement.suggest({name: answer for name, answer in MIDDLE.items() if name != "goal"})
    with pytest.raises(LabError, match=r"\(hours\): 'lots' is none of its answers"):
        placement.suggest(MIDDLE | {"hours": "lots"})
