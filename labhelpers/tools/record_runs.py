"""Trains one recipe of the prepared runs: Day 4's model, data and Trainer, with the recipe's numbers."""

import json
import math
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import files, settings
from ..core.settings import LabError
from ..training import recorded_runs

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

LOGGED = ("step", "epoch", "loss", "learning_rate", "grad_norm", "eval_loss", "eval_accuracy")


@dataclass(frozen=True)
class Outcome:
    """What came of a recipe.

    Attributes:
        history: rows of `Trainer.state.log_history`, only the keys in LOGGED, without its closing summary.
        model: name of the encoder.
        seconds: how long the training took.
        train_sentences, validation_sentences: how many it learnt from, and was measured on.
        stopped: why training broke off, or None when it came to its end.
    """

    history: list[dict[str, float]]
    model: str
    seconds: float
    train_sentences: int
    validation_sentences: int
    stopped: str | None


def record(names: list[str] | None = None, to: Path | None = None) -> list[recorded_runs.RecordedRun]:
    """Train prepared runs in the profile in force and write their files.

    Args:
        names: which ones; all when omitted.
        to: folder for the files. Only the cpu profile has a default, curriculum/recorded_runs.

    Returns:
        The runs. The smoke profile trains them for one epoch on a small sample, and says so in their recipe.

    Raises:
        LabError: when a name is unknown, or when another profile than cpu would overwrite the course's files.
    """
    recipes = {name: _shortened(recorded_runs.recipe(name)) for name in names or recorded_runs.names()}
    folder = _target(to)
    return [_write(_trained(name, parameters), folder) for name, parameters in recipes.items()]


def _target(to: Path | None) -> Path:
    profile = settings.current().profile
    folder = (to or recorded_runs.home()).expanduser().absolute()
    if profile != "cpu" and folder.resolve() == recorded_runs.home().resolve():
        raise LabError(
            f"The course's prepared runs in {recorded_runs.home()} are trained in the cpu profile; this is {profile}. "
            "Set LAB_PROFILE=cpu, or name another folder with --to FOLDER."
        )
    return folder


def _shortened(recipe: dict[str, Any]) -> dict[str, Any]:
    return {**recipe, "epochs": settings.pick(smoke=1, cpu=recipe["epochs"])}


def _trained(name: str, recipe: dict[str, Any]) -> recorded_runs.RecordedRun:
    from importlib import metadata

    outcome = train(name, recipe)
    last = next((row for row in reversed(outcome.history) if "eval_loss" in row), {})
    return recorded_runs.RecordedRun(
        name=name,
        **recorded_runs.words(name),
        recipe=recipe,
        **vars(outcome),
        validation_loss=last.get("eval_loss", math.nan),
        validation_accuracy=last.get("eval_accuracy", math.nan),
        versions={library: metadata.version(library) for library in recorded_runs.LIBRARIES},
        fingerprint=recorded_runs.fingerprint(recipe),
    )


def _write(run: recorded_runs.RecordedRun, folder: Path) -> recorded_runs.RecordedRun:
    """Write one file: a line per parameter and per logged row, five significant digits, null for NaN."""
    fields = {key: value if key == "recipe" else _plain(value) for key, value in asdict(run).items()}
    rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in fields.pop("history"))
    head = json.dumps(fields, indent=1, allow_nan=False, ensure_ascii=False)
    files.write(folder / f"{run.name}.json", f'{head[:-2]},\n "history": [\n  {rows}\n ]\n}}\n')
    return recorded_runs.parsed((folder / f"{run.name}.json").read_text(encoding="utf-8"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def train(name: str, recipe: dict[str, Any]) -> Outcome:
    """Train a recipe; a run that diverges is an outcome, too.

    Args:
        name: name of the run; its folder in the workspace begins with "recorded-" and this.
        recipe: every parameter, as in curriculum/recorded_runs.yaml.

    Returns:
        The outcome. Its last row of the validation split is measured on the final weights.

    Raises:
        LabError: when training fails for another reason than numbers that are not finite.
    """
    from .. import models

    trainer = _trainer(name, recipe)
    seconds, stopped = _train(trainer, name)
    rows = [row for row in trainer.state.log_history if "loss" in row or "eval_loss" in row]
    history = [{key: row[key] for key in LOGGED if key in row} for row in rows]
    return Outcome(
        history=history,
        model=models.source("encoder").replace("\\", "/").rpartition("/")[2],
        seconds=seconds,
        train_sentences=len(trainer.train_dataset),
        validation_sentences=len(trainer.eval_dataset),
        stopped=stopped,
    )


def _train(trainer: "Trainer", name: str) -> tuple[float, str | None]:
    from .. import training

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

    from .. import data, models, training
    from ..training import metrics

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

    from .. import models, training

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
    """Keep the first sentences (a split is in random order), and turn a fixed choice of labels round.

    Args:
        tokens: the tokenised training split, with `labels` 0 and 1.
        recipe: its `train_examples`, `flipped_share` (0 to 1) and `flip_seed` count here.

    Returns:
        The sentences to train on.
    """
    import numpy as np

    kept = tokens.select(range(min(recipe["train_examples"] or len(tokens), len(tokens))))
    labels = np.array(kept["labels"])
    draw = np.random.default_rng(recipe["flip_seed"])
    flipped = draw.choice(len(labels), round(recipe["flipped_share"] * len(labels)), replace=False)
    labels[flipped] = 1 - labels[flipped]
    return kept.remove_columns("labels").add_column("labels", labels)
