"""Walks the decision trees of curriculum/decisions.yaml and says why it turned where it turned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core import timetable
from ..core.settings import LabError
from ..display import words
from . import memory, planner
from .shapes import SHAPES

# The leanest run that is still worth its name; `fits` asks whether the card holds it.
LEANEST = {"batch_size": 1, "sequence_length": 512, "gradient_checkpointing": True}
FITS: Mapping[str, Mapping[str, Any]] = {
    "full": {"precision": "mixed", **LEANEST},
    "lora": {"precision": "bfloat16", **LEANEST},
    "qlora": {"precision": "bfloat16", "which": "all_linear", **LEANEST},
}


@dataclass(frozen=True)
class Advice:
    """What a tree recommends."""

    text: str
    because: tuple[
        str, ...
    ]  # one sentence per answer that led here, and the reason for the advice at the end
    leaf: str  # its id in curriculum/decisions.yaml
    asked: tuple[str, ...]  # names of the questions that mattered, in order

    def __str__(self) -> str:
        return "\n".join([self.text, "", "Because:", *(f"  - {sentence}" for sentence in self.because)])


def tree(name: str) -> dict[str, Any]:
    """Find a tree, "should_i_finetune" or "which_method": its title, questions, start, steps and leaves."""
    trees = timetable.curriculum("decisions")
    if name not in trees:
        raise LabError(f"There is no decision tree {name!r}. Use one of: {', '.join(trees)}.")
    return trees[name]


def leaves(name: str) -> tuple[str, ...]:
    """List the ids of the places where a tree can end."""
    return tuple(tree(name)["leaves"])


def advice(name: str, answers: Mapping[str, Any]) -> Advice:
    """Walk a tree and explain the way.

    Args:
        name: of the tree: "should_i_finetune" or "which_method".
        answers: question → answer: one of its choices, a number (GPU memory in GB), or for "model" a name of
            `models.shapes.SHAPES`. Questions that are not reached need no answer.

    Returns:
        The advice with its reasons.

    Raises:
        LabError: when there is no such tree, a needed answer is missing, or an answer does not fit its question.

    Source:
        Whether a method fits on the card: `planner.memory_plan` with `FITS` (one sequence of 512 tokens, gradient
        checkpointing) and `planner.fits`.
    """
    here, because, asked = tree(name), [], []
    _check_names(name, here, answers)
    step = here["steps"][here["start"]]
    while True:
        outcome, fields = _outcome(name, here, step, answers)
        asked += [question for question in _needs(step) if question not in asked]
        taken = step["answers"][outcome]
        because.append(taken["because"].format(**fields))
        if "leaf" in taken:
            leaf = here["leaves"][taken["leaf"]]
            return Advice(leaf["advice"], (*because, leaf["because"]), taken["leaf"], tuple(asked))
        step = here["steps"][taken["next"]]


def _needs(step: Mapping[str, Any]) -> tuple[str, ...]:
    return (step["question"], "gpu") if "fits" in step else (step["question"],)


def _check_names(name: str, here: Mapping[str, Any], answers: Mapping[str, Any]) -> None:
    known = here["questions"]
    for question in answers:
        if question not in known:
            raise LabError(
                f"The tree {name!r} has no question {question!r}. Its questions: {', '.join(known)}."
            )


def _outcome(
    name: str, here: Mapping[str, Any], step: Mapping[str, Any], answers: Mapping[str, Any]
) -> tuple[str, dict[str, str]]:
    """Tell which way the answers point, and the words for its sentence."""
    given = {question: _given(name, here, question, answers) for question in _needs(step)}
    value = given[step["question"]]
    fields = {
        question: answer if isinstance(answer, str) else words.number(answer)
        for question, answer in given.items()
    }
    if "fits" in step:
        needed = planner.memory_plan(value, step["fits"], **FITS[step["fits"]]).total
        fields["needed"] = memory.human(needed)
        return ("yes" if planner.fits(needed, given["gpu"]) else "no"), fields
    if "at_least" in step:
        is_model = here["questions"][step["question"]].get("kind") == "model"
        size = planner.parameters(value) if is_model else value
        fields["numbers"] = f"{size:,}"
        return ("yes" if size >= step["at_least"] else "no"), fields
    return value, fields


def _given(name: str, here: Mapping[str, Any], question: str, answers: Mapping[str, Any]) -> Any:
    about = here["questions"][question]
    if question not in answers:
        raise LabError(f"{name}: {about['ask']} Add {question!r} to the answers: {_allowed(about)}.")
    value = answers[question]
    kind = about.get("kind")
    if kind == "number":
        fits = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    else:
        fits = isinstance(value, str) and value in (SHAPES if kind == "model" else about["choices"])
    if not fits:
        raise LabError(
            f"{name}: {question}={value!r} does not answer “{about['ask']}” Use {_allowed(about)}."
        )
    return value


def _allowed(about: Mapping[str, Any]) -> str:
    if about.get("kind") == "number":
        return "a number, 0 or more"
    if about.get("kind") == "model":
        return f"one of {', '.join(SHAPES)}"
    return " or ".join(f'"{choice}" ({meaning})' for choice, meaning in about["choices"].items())
