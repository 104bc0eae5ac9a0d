"""Folders of saved models and adapters: whole or not there, and never written twice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from ..core.settings import LabError
from . import runs


def save_once(folder: Path, save: Callable[[Path], object]) -> Path:
    """Let a model save itself into a folder, unless a whole model lies there already.

    The folder gets its name when all of it is written: whoever interrupts the saving, or looks on from a second
    notebook, never meets half a model. What was written into the folder later (a model card) stays.

    Args:
        folder: where the model goes.
        save: writes the model into the folder it is given, such as `model.save_pretrained`.

    Returns:
        The folder. One that holds a damaged model is renamed to `broken-<name>` first.

    Raises:
        LabError: when the disk is full or the folder cannot be written.
    """
    from safetensors import SafetensorError

    folder = Path(folder)
    part = folder.with_name(f".{folder.name}.part")
    try:
        with runs.locked(folder, "saving this very model"):
            if folder.exists() and (problem := _damage(folder)):
                print(
                    f"{problem}. The folder now lies in {runs.set_aside(folder).name}; saving the model again."
                )
            if not folder.exists():
                shutil.rmtree(part, ignore_errors=True)
                save(part)
                part.rename(folder)
    except (OSError, SafetensorError) as error:
        raise LabError(
            f"Could not save the model in {folder}: {error}. What was there before is as it was. Free some space or "
            "make the folder writable, then run the cell again."
        ) from error
    return folder


def _damage(folder: Path) -> str:
    """Say what is wrong with a saved model; nothing when each of its files can be read."""
    from safetensors import SafetensorError, safe_open

    weights = list(folder.glob("*.safetensors"))
    path = folder
    try:
        for path in folder.glob("*.json"):
            json.loads(path.read_text(encoding="utf-8"))
        for path in weights:
            # Opening compares the file's length with what its head promises.
            with safe_open(path, framework="pt"):
                pass
    except (OSError, ValueError, SafetensorError) as error:
        return f"{path} is damaged ({error})"
    return "" if weights and list(folder.glob("*config.json")) else f"{folder} holds no whole model"
