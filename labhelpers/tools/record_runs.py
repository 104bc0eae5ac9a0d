"""Trains the prepared runs: Day 4's model, data and Trainer, with the recipes' numbers."""

import json
import math
import re
import time
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import data, models, training
from ..core import files, settings
from ..core.settings import LabError
from ..training import metrics, recorded_runs
from ..training.recorded_runs import RecordedRun

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

LOGGED = ("step", "epoch", "loss", "learning_rate", "grad_norm", "eval_loss", "eval_accuracy")


def record(names: list[str] | None = None, to: Path | None = None) -> list[RecordedRun]:
    """Train prepared runs (all when none is named) in the profile in force and write their files.

    Only the cpu profile has a default folder, curriculum/recorded_runs. The smoke profile trains one epoch, and says
    so in the recipe.
    """
    recipes = {name: _shortened(recorded_runs.recipe(name)) for name in names or recorded_runs.names()}
    folder = _target(to)
    return [write(train(name, recipe), folder) for name, recipe in recipes.items()]


def _shortened(recipe: dict[str, Any]) -> dict[str, Any]:
    return {**recipe, "epochs": settings.pick(smoke=1, cpu=recipe["epochs"])}


def _target(to: Path | None) -> Path:
    profile = settings.current().profile
    folder = (to or recorded_runs.home()).expanduser().absolute()
    if profile != "cpu" and folder.resolve() == recorded_runs.home().resolve():
        raise LabError(
            f"The course's prepared runs in {recorded_runs.home()} are trained in the cpu profile; this is {profile}. "
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
    return recorded_runs.parsed(text)


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
        **recorded_runs.words(name),
        recipe=recipe,
        history=[{key: row[key] for key in LOGGED if key in row} for row in rows],
        model=models.source("encoder").replace("\\", "/").rpartition("/")[2],
        seconds=seconds,
        train_sentences=len(trainer.train_dataset),
        validation_sentences=len(trainer.eval_dataset),
        validation_loss=last.get("eval_loss", math.nan),
        validation_accuracy=last.get("eval_accuracy", math.nan),
        stopped=stopped,
        versions={library: metadata.version(library) for library in recorded_runs.LIBRARIES},
        fingerprint=recorded_runs.fingerprint(recipe),
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
