"""LoRA on the training split. What comes out is an adapter; a run that was killed goes on where it was.

python -m src.models.finetune
"""

import json
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from src import config, files, logs
from src.models import checkpoints

if TYPE_CHECKING:
    from transformers import Trainer

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
log = logs.start("finetune")


def versions() -> dict[str, str]:
    """What else may change a result: the versions of Python and of the libraries."""
    libraries = ("torch", "transformers", "peft", "trl")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in libraries}}


def sweep(folder: Path) -> None:
    """Take away a checkpoint whose last file was cut off in the middle, as a full disk does it: nothing goes on there."""
    for state in folder.glob("checkpoint-*/trainer_state.json"):
        try:
            json.loads(state.read_text(encoding="utf-8"))
        except ValueError:
            shutil.rmtree(state.parent)


def train(chosen: config.Params) -> "Trainer":
    """Train, or go on from where a killed run of the same settings and data was."""
    from src.models import trainers  # takes seconds to load: nothing that can fail without it comes after it

    folder = checkpoints.FOLDER / checkpoints.fingerprint(chosen)
    trainer = trainers.make(chosen, folder)
    sweep(folder)
    found = checkpoints.last_checkpoint(folder)
    if found:
        log.info("going on from %s", found)
    trainer.train(resume_from_checkpoint=found)
    return trainer


def save(trainer: "Trainer", fingerprint: str) -> None:
    """Write adapter, tokenizer, label names and what they were made from, and the curve, each whole or not at all."""
    with files.new_folder(Path("models/adapter")) as folder:
        trainer.model.save_pretrained(folder)
        trainer.processing_class.save_pretrained(folder)
        names = trainer.model.config.id2label if isinstance(trainer.model.config.id2label, dict) else {}
        files.write(folder / "labels.json", json.dumps(list(names.values())))
        files.write(folder / "fingerprint.txt", fingerprint)
    seen = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    curve = [f"{entry['step']},{entry['eval_loss']:.4f}" for entry in seen]
    files.write(Path("plots/curve.csv"), "\n".join(["step,validation_loss", *curve]) + "\n")


def logged(chosen: config.Params) -> str:
    """Train once, as a run in MLflow; give back the run's id."""
    from src import tracking

    made_from = checkpoints.fingerprint(chosen)
    with tracking.run("finetune", {**chosen.model_dump(), "versions": versions()}) as run:
        trainer = train(chosen)
        save(trainer, made_from)
        tracking.log_history(trainer.state.log_history)
        tracking.log_adapter(Path("models/adapter"))
        tracking.mlflow.set_tag("fingerprint", made_from)
    shutil.rmtree(checkpoints.FOLDER, ignore_errors=True)
    return run.info.run_id


@app.command()
def main(params: Annotated[Path, typer.Option(help="The settings.")] = Path("params.yaml")) -> None:
    """Train, log to MLflow, and write models/adapter and plots/curve.csv."""
    chosen = config.load(params)
    for part in ("train", "validation"):
        files.needed(Path(f"data/finetuning/{part}.jsonl"), "python -m src.data.prepare_finetuning_data")
    log.info("seed %d, %s", chosen.finetune.seed, ", ".join(map(" ".join, versions().items())))
    logged(chosen)


if __name__ == "__main__":
    app()
