"""From a champion to one folder, and from that folder to answers. Weights are safetensors, or they are not opened.

python -m src.serving.model --source models:/films@champion
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypedDict

FOLDER = Path("models/served")
PICKLES = {
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".ckpt",
    ".joblib",
}  # whoever opens one of these runs the code inside


class Answer(TypedDict):
    """A label, and how sure the model is of it."""

    label: str
    chance: float


def load(folder: Path = FOLDER) -> Callable[[list[str]], list[Answer]]:
    """Open an exported folder; what comes back answers a list of texts."""
    refuse_pickles(folder)
    import torch  # seconds to load: not before the files are found good
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    longest = json.loads((folder / "card.json").read_text(encoding="utf-8"))["max_length"]
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
    ).eval()
    names = model.config.id2label

    @torch.inference_mode()
    def answer(texts: list[str]) -> list[Answer]:
        fit = {"padding": True, "truncation": True, "max_length": longest, "return_tensors": "pt"}
        sure, at = model(**tokenizer(texts, **fit)).logits.float().softmax(dim=1).max(dim=1)
        return [
            {"label": names[place], "chance": round(chance, 4)}
            for place, chance in zip(at.tolist(), sure.tolist(), strict=True)
        ]

    return answer


def refuse_pickles(folder: Path) -> None:
    """Safetensors hold numbers; a pickle can hold anything."""
    if found := [path.name for path in folder.iterdir() if path.suffix in PICKLES]:
        raise ValueError(
            f"{found[0]} is a pickle: whoever opens it runs the code inside. Export the model again."
        )


def card(folder: Path = FOLDER) -> dict:
    """What the exported model was made from."""
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))


def export(source: str, folder: Path, max_length: int) -> dict:
    """Merge an adapter into its base: one folder that needs neither PEFT nor MLflow. Give back its card.

    Args:
        source: a folder such as models/adapter, or a name in MLflow such as models:/films@champion.
        folder: where to; it is there whole, or not at all.
        max_length: tokens, as in training.
    """
    from peft import AutoPeftModelForSequenceClassification
    from src import files
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    place, version = _fetched(source)
    names = json.loads((place / "labels.json").read_text(encoding="utf-8"))
    options = {"num_labels": len(names), "id2label": dict(enumerate(names))}
    model = AutoPeftModelForSequenceClassification.from_pretrained(place, **options).merge_and_unload()
    made_from = (place / "fingerprint.txt").read_text(encoding="utf-8")
    told = {"source": source, "version": version, "fingerprint": made_from, "labels": names}
    told["max_length"] = max_length
    with files.new_folder(folder) as part:
        model.save_pretrained(part)
        AutoTokenizer.from_pretrained(place).save_pretrained(part)
        files.write(part / "card.json", json.dumps(told, indent=1) + "\n")
        for path in (
            part,
            *part.iterdir(),
        ):  # only for their owner until now: nobody in an image could read them
            path.chmod(0o755 if path.is_dir() else 0o644)
    return told


def _fetched(source: str) -> tuple[Path, str]:
    """The adapter's folder, and which version it is."""
    if not source.startswith("models:/"):
        return Path(source), "none"
    import mlflow
    from src import tracking

    tracking._experiment()
    name, _, alias = source.removeprefix("models:/").partition("@")
    found = mlflow.MlflowClient().get_model_version_by_alias(name, alias)
    return Path(mlflow.artifacts.download_artifacts(source)), str(found.version)


def main() -> None:
    """Write models/served."""
    import typer
    from src import config, files, logs

    def run(
        source: Annotated[str, typer.Option(help="A folder, or models:/NAME@champion.")] = "models/adapter",
        folder: Annotated[Path, typer.Option(help="Where to.")] = FOLDER,
        params: Annotated[Path, typer.Option(help="The settings.")] = Path("params.yaml"),
    ) -> None:
        """Write one folder that can be served."""
        if not source.startswith("models:/"):
            files.needed(Path(source) / "labels.json", "python -m src.models.finetune")
        told = export(source, folder, config.load(params).model.max_length)
        logs.start("export").info("%s: %s", folder, json.dumps(told))

    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(run)
    app()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
