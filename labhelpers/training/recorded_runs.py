"""Runs with a known fault, really trained and kept with the course, so that their curves can be examined."""

import hashlib
import json
import math
import re
import time
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import data, models, training
from ..core import files, settings, timetable
from ..core.settings import LabError
from . import metrics

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

LOGGED = ("step", "epoch", "loss", "learning_rate", "grad_norm", "eval_loss", "eval_accuracy")


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


def record(names: list[str] | None = None, to: Path | None = None) -> list[RecordedRun]:
    """Train prepared runs (all when none is named) in the profile in force and write their files.

    Only the cpu profile has a default folder, curriculum/recorded_runs. The smoke profile trains one epoch, and says
    so in the recipe.
    """
    recipes = {name: _shortened(recipe(name)) for name in names or names()}
    folder = _target(to)
    return [write(train(name, recipe), folder) for name, recipe in recipes.items()]


def _shortened(recipe: dict[str, Any]) -> dict[str, Any]:
    return {**recipe, "epochs": settings.pick(smoke=1, cpu=recipe["epochs"])}


def _target(to: Path | None) -> Path:
    profile = settings.current().profile
    folder = (to or home()).expanduser().absolute()
    if profile != "cpu" and folder.resolve() == home().resolve():
        raise LabError(
            f"The course's prepared runs in {home()} are trained in the cpu profile; this is {profile}. "
            "Set LAB_PROFILE=cpu, or name another folder with --to FOLDER."
        )
    return folder


def write(run: RecordedRun, folder: Path) -> RecordedRun:
    """Write one file: a line per parameter and per logged row, five significant digits, null for NaN."""
    fields = {key: value if key == "recipe" else _plain(value) for key, value in asdict(run).items()}
    rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in fields.pop("history"))
    head = json.dumps(fields, indent=1, allow_nan=False, ensure_ascii=False)
    text = f'{head[:-2]},\n "history": [\n  {rows}\n ]\n}}\n'
    files.write(folder / f"{run.name}.json", text)
    return parsed(text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def train(name: str, recipe: dict[str, Any]) -> RecordedRun:
    """Train a recipe; its folder in the workspace begins with "recorded-" and the name."""
    trainer = _trainer(name, recipe)
    seconds, stopped = outcome(trainer, name)
    rows = [row for row in trainer.state.log_history if "loss" in row or "eval_loss" in row]
    last = next((row for row in reversed(rows) if "eval_loss" in row), {})
    return RecordedRun(
        name=name,
        **words(name),
        recipe=recipe,
        history=[{key: row[key] for key in LOGGED if key in row} for row in rows],
        model=models.source("encoder").replace("\\", "/").rpartition("/")[2],
        seconds=seconds,
        train_sentences=len(trainer.train_dataset),
        validation_sentences=len(trainer.eval_dataset),
        validation_loss=last.get("eval_loss", math.nan),
        validation_accuracy=last.get("eval_accuracy", math.nan),
        stopped=stopped,
        versions={library: metadata.version(library) for library in LIBRARIES},
        fingerprint=fingerprint(recipe),
    )


def outcome(trainer: "Trainer", name: str) -> tuple[float, str | None]:
    """Train, and measure the final weights: seconds, and why it broke off. Divergence is an outcome, no error."""
    started = time.perf_counter()
    try:
        seconds = training.train(trainer, f"recorded-{name}").seconds
        measured = max(row["step"] for row in trainer.state.log_history if "eval_loss" in row)
        if measured < trainer.state.global_step:
            trainer.evaluate()
    except LabError as error:
        if not _diverged(trainer):
            raise
        # What happened; the advice and the folder in the rest are for whoever sits at the machine.
        return time.perf_counter() - started, re.split(r", so |\. ", str(error))[0].rstrip(".") + "."
    return seconds, None


def _diverged(trainer: "Trainer") -> bool:
    logged = [row[key] for row in trainer.state.log_history for key in ("loss", "eval_loss") if key in row]
    weights = (part for part in trainer.model.parameters() if part.requires_grad)
    return not all(map(math.isfinite, logged)) or not all(part.isfinite().all() for part in weights)


def _trainer(name: str, recipe: dict[str, Any]) -> "Trainer":
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer

    tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
    tokens = data.tokenize(data.prepared(recipe["data"]), tokenizer, max_length=recipe["max_length"])
    args = training.arguments(
        f"recorded-{name}",
        learning_rate=recipe["learning_rate"],
        num_train_epochs=recipe["epochs"],
        per_device_train_batch_size=recipe["batch_size"],
        warmup_steps=recipe["warmup_share"],
        logging_steps=recipe["logging_steps"],
        eval_strategy="steps",
        eval_steps=1 / recipe["evaluations"],  # below 1 it is a share of all steps
        eval_on_start=True,
        save_strategy="no",
        seed=recipe["seed"],
    )
    return Trainer(
        model=_model(recipe),
        args=args,
        train_dataset=training_set(tokens["train"], recipe),
        eval_dataset=tokens["validation"],
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=metrics.compute_metrics,
    )


def _model(recipe: dict[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, set_seed

    set_seed(recipe["seed"])
    base = AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **training.load_options()
    )
    lora = {key: recipe[key] for key in ("r", "lora_alpha", "lora_dropout")}
    model = get_peft_model(
        base, LoraConfig(**lora, target_modules=models.lora_targets(base), task_type="SEQ_CLS")
    )
    training.keep_adapters_precise(model)
    return model


def training_set(tokens: "Dataset", recipe: dict[str, Any]) -> "Dataset":
    """Keep the first sentences (a split is in random order), and turn a fixed choice of labels round."""
    import numpy as np

    kept = tokens.select(range(min(recipe["train_examples"] or len(tokens), len(tokens))))
    labels = np.array(kept["labels"])
    draw = np.random.default_rng(recipe["flip_seed"])
    flipped = draw.choice(len(labels), round(recipe["flipped_share"] * len(labels)), replace=False)
    labels[flipped] = 1 - labels[flipped]
    return kept.remove_columns("labels").add_column("labels", labels)
