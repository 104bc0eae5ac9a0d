"""Every end of every tree can be reached, and every turn is explained."""

import itertools
import re

import pytest

from labhelpers.core.settings import LabError
from labhelpers.models import decisions, planner

TREES = ("should_i_finetune", "which_method")
NUMBERS = {"examples": (10, 500, 50_000), "tasks": (1, 3), "gpu": (0, 8, 24, 80)}
MODELS = ("minilm-l6", "gpt2-xl", "llama-7b", "llama2-70b")
SENTENCE = rf"([A-Z0-9]|{'|'.join(MODELS)} has).*[.]"


def values(question, about):
    if about.get("kind") == "model":
        return MODELS
    return NUMBERS[question] if about.get("kind") == "number" else tuple(about["choices"])


def every_answer(name):
    about = decisions.tree(name)["questions"]
    for chosen in itertools.product(*(values(question, entry) for question, entry in about.items())):
        yield dict(zip(about, chosen, strict=True))


def drawn_paths(tree, step, seen=()):
    """Every way through the drawing, without answers: shows steps nobody reaches and circles."""
    assert step not in seen, f"the tree goes in a circle at {step}"
    for taken in tree["steps"][step]["answers"].values():
        if "leaf" in taken:
            yield (*seen, step), taken["leaf"]
        else:
            yield from drawn_paths(tree, taken["next"], (*seen, step))


@pytest.mark.parametrize("name", TREES)
def test_real_answers_reach_every_leaf(name):
    reached = {decisions.advice(name, answers).leaf for answers in every_answer(name)}
    assert reached == set(decisions.leaves(name))


@pytest.mark.parametrize("name", TREES)
def test_no_step_and_no_leaf_is_cut_off(name):
    tree = decisions.tree(name)
    paths = list(drawn_paths(tree, tree["start"]))
    assert {step for steps, _ in paths for step in steps} == set(tree["steps"])
    assert {leaf for _, leaf in paths} == set(tree["leaves"])


@pytest.mark.parametrize("name", TREES)
def test_every_turn_is_explained_in_sentences(name):
    for answers in every_answer(name):
        advice = decisions.advice(name, answers)
        assert len(advice.because) >= 2
        assert all(re.fullmatch(SENTENCE, sentence) for sentence in (advice.text, *advice.because))
        assert "{" not in str(advice)


@pytest.mark.parametrize("name", TREES)
def test_a_threshold_says_that_it_is_a_rule_of_thumb(name):
    for step in decisions.tree(name)["steps"].values():
        if step.get("at_least", 0) > 2:
            assert all("rule of thumb" in taken["because"] for taken in step["answers"].values())


@pytest.mark.parametrize("name", TREES)
def test_every_question_is_asked_somewhere(name):
    tree = decisions.tree(name)
    needed = {question for step in tree["steps"].values() for question in decisions._needs(step)}
    assert needed == set(tree["questions"])


def test_choices_and_answers_are_the_same_words():
    for name in TREES:
        tree = decisions.tree(name)
        for step in tree["steps"].values():
            about = tree["questions"][step["question"]]
            computed = "fits" in step or "at_least" in step
            assert set(step["answers"]) == ({"yes", "no"} if computed else set(about["choices"]))


def test_the_card_decides_between_lora_and_qlora():
    answers = {"model": "llama-7b", "tasks": 1, "task": "similar", "examples": 500, "latency": "no"}
    small, large = (decisions.advice("which_method", {**answers, "gpu": gpu}) for gpu in (8, 24))
    assert (small.leaf, large.leaf) == ("qlora", "lora")
    needed = planner.memory_plan("llama-7b", "qlora", **decisions.FITS["qlora"]).total
    assert f"{needed / 1e9:.1f} GB" in str(small)


def test_a_large_card_alone_does_not_mean_full_fine_tuning():
    """The published tree asked only whether the card has more than 40 GB."""
    answers = {"gpu": 80, "tasks": 1, "task": "different", "examples": 50_000, "latency": "no"}
    seven, small = (decisions.advice("which_method", {**answers, "model": m}) for m in ("llama-7b", "gpt2"))
    assert (seven.leaf, small.leaf) == ("lora_wide_high_rank", "full")


def test_few_examples_are_no_dead_end_for_classes():
    answers = {"measure": "yes", "prompting": "no", "missing": "skill", "examples": 16}
    label, text = (decisions.advice("should_i_finetune", {**answers, "output": o}) for o in ("label", "text"))
    assert (label.leaf, text.leaf) == ("few_shot_classifier", "collect")


def test_only_what_is_reached_must_be_answered():
    advice = decisions.advice("should_i_finetune", {"measure": "no"})
    assert advice.leaf == "measure_first"
    assert advice.asked == ("measure",)


@pytest.mark.parametrize(
    ("name", "answers", "says"),
    [
        ("oracle", {}, "which_method"),
        ("should_i_finetune", {"speed": "yes"}, "measure, prompting"),
        ("should_i_finetune", {"measure": "yes"}, "Does a good prompt"),
        ("should_i_finetune", {"measure": "perhaps"}, '"no" \\(not yet\\)'),
        ("which_method", {"gpu": -1}, "a number, 0 or more"),
        ("which_method", {"gpu": True}, "a number, 0 or more"),
        ("which_method", {"gpu": 8, "model": "gpt-9"}, "distilbert-base"),
    ],
)
def test_mistakes_are_explained(name, answers, says):
    with pytest.raises(LabError, match=says):
        decisions.advice(name, answers)
