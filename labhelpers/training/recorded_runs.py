"""Runs with a known fault, really trained and kept with the course, so that their curves can be examined."""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core import settings, timetable
from ..core.settings import LabError

LIBRARIES = ("torch", "transformers", "peft")
# Words about a run; changing them asks for no new training.
WORDS = ("title", "note")


@dataclass(frozen=True)
class RecordedRun:
    """One prepared run.

    Attributes:
        name: such as "too_high".
        title: what is wrong with it, in a few words.
        note: how its recipe differs from Day 4's.
        recipe: every parameter it was trained with.
        history: its log in the form of `Trainer.state.log_history`: rows with `step`, `epoch` and either `loss`,
            `learning_rate`, `grad_norm` or `eval_loss`, `eval_accuracy` (a share, 0 to 1). What was no finite
            number is NaN.
        model: name of the encoder.
        seconds: how long the training took.
        train_sentences, validation_sentences: how many it learnt from, and was measured on.
        validation_loss, validation_accuracy: the last ones measured; accuracy is a share, 0 to 1.
        stopped: why training broke off, or None when it came to its end.
        versions: library → version it was trained with.
        fingerprint: `fingerprint(recipe)`.
    """

    name: str
    title: str
    note: str
    recipe: dict[str, Any]
    history: list[dict[str, float]]
    model: str
    seconds: float
    train_sentences: int
    validation_sentences: int
    validation_loss: float
    validation_accuracy: float
    stopped: str | None
    versions: dict[str, str]
    fingerprint: str


def names() -> list[str]:
    """List the prepared runs.

    Returns:
        Their names, the healthy one first.
    """
    return list(_document()["runs"])


def load(name: str, folder: Path | None = None) -> RecordedRun:
    """Read a prepared run.

    Args:
        name: one of `names()`.
        folder: where the files are; curriculum/recorded_runs when omitted.

    Returns:
        The run, as it was trained.

    Raises:
        LabError: when there is no such run, or its file is missing, damaged or trained by another recipe.
    """
    wanted, path = recipe(name), (folder or home()) / f"{name}.json"
    again = f"Run `lab record-runs {name}` to train it again"
    try:
        run = parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LabError(f"The prepared run {path} is missing. {again}, or `git checkout {path}`.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(
            f"The prepared run {path} cannot be read ({error}). {again}, or `git checkout {path}`."
        ) from error
    if run.fingerprint != fingerprint(wanted) or run.recipe != wanted:
        changed = [key for key in {**wanted, **run.recipe} if wanted.get(key) != run.recipe.get(key)]
        raise LabError(
            f"{path} is stale: curriculum/recorded_runs.yaml asks for another recipe than it was trained with "
            f"({', '.join(changed) or 'the fingerprint'} differs). {again}."
        )
    return replace(run, **words(name))


def recipe(name: str) -> dict[str, Any]:
    """Give every parameter of a run, as curriculum/recorded_runs.yaml states it.

    Args:
        name: one of `names()`.

    Returns:
        Parameter → value.

    Raises:
        LabError: when there is no such run.
    """
    own = {key: value for key, value in _entry(name).items() if key not in WORDS}
    return {**_document()["common"], **own}


def fingerprint(recipe: dict[str, Any]) -> str:
    """Hash a recipe, so that a file trained by another one is noticed."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]


def home() -> Path:
    """Folder of the files that came with the course."""
    return settings.current().root / "curriculum" / "recorded_runs"


def words(name: str) -> dict[str, str]:
    """Give what a recipe says about its run: title and note."""
    return {key: _entry(name)[key] for key in WORDS}


def parsed(text: str) -> RecordedRun:
    """Read the text of a run's file; null in a number's place is NaN."""
    fields = json.loads(text)
    for row in (fields, *fields["history"]):
        row |= {key: math.nan for key in row if row[key] is None and key != "stopped"}
    return RecordedRun(**fields)


def _document() -> dict[str, Any]:
    return timetable.curriculum("recorded_runs")


def _entry(name: str) -> dict[str, Any]:
    runs = _document()["runs"]
    if name not in runs:
        raise LabError(f"There is no prepared run {name!r}. Choose one of: {', '.join(runs)}.")
    return runs[name]
