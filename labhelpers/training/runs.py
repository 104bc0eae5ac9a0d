"""Training runs and saved models on disk: written whole, found again, set aside when broken."""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import files
from ..core.settings import DISK_REFUSALS, LabError
from . import checks

if TYPE_CHECKING:
    import torch

WEIGHTS = "trained.safetensors"
START = "start.safetensors"
FINISHED = "finished.json"
SECONDS = "seconds.json"

# How safetensors, torch and sqlite word a full or closed disk: none of them raises an OSError.
DISK_WORDS = (
    *(f"(os error {number})" for number in DISK_REFUSALS),
    *("PytorchStreamWriter", "No space left on device"),
    *("disk is full", "disk I/O error", "readonly database"),
)
FREE_SPACE = "Free some space or make the folder writable, then run the cell again"
GO_ON = (
    f"Checkpoints that were written to their end are still there. {FREE_SPACE}: it goes on from the last one."
)


@dataclass(frozen=True)
class Finished:
    """A finished run as it lies on disk."""

    seconds: float
    date: str
    state: dict[str, Any]


@contextlib.contextmanager
def readable_errors(place: Path, action: str, next_step: str) -> Iterator[None]:
    """Turn each library's own word for a full or closed disk into a LabError; other errors stay what they are."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        refused = isinstance(error, OSError) and error.errno in DISK_REFUSALS
        if not refused and not any(word in str(error) for word in DISK_WORDS):
            raise
        reason = str(error).splitlines()[0]
        raise LabError(f"Could not {action} {place}: {reason}. {next_step}") from error


def last_checkpoint(folder: Path) -> Path | None:
    """Find the newest checkpoint that was written to its end, and set half-written newer ones aside."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]
    whole = None
    for path in sorted(found, key=lambda path: int(path.name.split("-")[-1]), reverse=True):
        if _is_whole(path):
            whole = whole or path
        else:
            # Left in place it would count towards save_total_limit and push a good checkpoint out.
            files.set_aside(path)
    return whole


def _is_whole(checkpoint: Path) -> bool:
    """A killed process leaves files out or cuts them short; each format can tell."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        archives = [checkpoint / name for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth")]
        weights = list(checkpoint.glob("*.safetensors"))
        for path in weights:
            load_file(path)
        sound = all(zipfile.ZipFile(path).testzip() is None for path in archives)
    except (OSError, ValueError, zipfile.BadZipFile, SafetensorError):
        return False
    return bool(weights) and sound and state.get("global_step") == int(checkpoint.name.split("-")[-1])


def learnt(model: "torch.nn.Module") -> "dict[str, torch.Tensor]":
    """Collect what training changes (not copies): trainable parameters, and the buffers that live beside them."""
    tensors = {name: part.data for name, part in model.named_parameters() if part.requires_grad}
    kept = model.state_dict().keys()
    for prefix, module in model.named_modules():
        if any(part.requires_grad for part in module.parameters(recurse=False)):
            for name, buffer in module.named_buffers(recurse=False):
                full = f"{prefix}.{name}" if prefix else name
                if full in kept:
                    tensors[full] = buffer
    return tensors


def save_weights(model: "torch.nn.Module", path: Path) -> str:
    """Write what training changes to one safetensors file, whole or not at all; return its SHA-256."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    # Not files.write: for a large model, the bytes of the file would be a second copy in memory.
    temporary = path.with_name(f".{path.name}.part")
    save_file({name: part.cpu().clone().contiguous() for name, part in learnt(model).items()}, temporary)
    temporary.replace(path)
    return _checksum(path)


def load_weights(model: "torch.nn.Module", path: Path) -> bool:
    """Copy saved weights into a model if they are whole and fit; otherwise leave it as it is and say False."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = load_file(path)
    except (OSError, SafetensorError):
        return False
    present = learnt(model)
    if {name: part.shape for name, part in saved.items()} != {n: part.shape for n, part in present.items()}:
        return False
    with torch.no_grad():
        for name, part in present.items():
            part.copy_(saved[name])
    return True


def finish(folder: Path, model: "torch.nn.Module", seconds: float, state: dict[str, Any]) -> None:
    """Store a finished run: the weights first, the mark that says "finished" last."""
    record = {"seconds": seconds, "date": f"{datetime.now():%Y-%m-%d}", "state": state}
    record["sha256"] = save_weights(model, folder / WEIGHTS)
    files.write(folder / FINISHED, json.dumps(record, indent=1, default=str))
    (folder / START).unlink(missing_ok=True)


def load_finished(folder: Path, model: "torch.nn.Module") -> Finished | None:
    """Load a finished run back into a model; a broken one is set aside."""
    if not (folder / FINISHED).exists():
        return None
    try:
        record = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
        finished = Finished(float(record["seconds"]), str(record["date"]), dict(record["state"]))
        sound = _checksum(folder / WEIGHTS) == record["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        sound = False
    if sound and load_weights(model, folder / WEIGHTS):
        return finished
    place = files.set_aside(folder).name
    print(f"The finished run in {folder} is damaged. It now lies in {place}; training again.")
    return None


def remember_seconds(folder: Path, step: int, seconds: float) -> None:
    """Note how long the training has taken up to a checkpoint, over all sessions."""
    files.write(folder / SECONDS, json.dumps({**_seconds(folder), str(step): seconds}))


def seconds_until(folder: Path, step: int) -> float:
    """Look up how long the training took up to a checkpoint; 0 when nothing was noted."""
    return float(_seconds(folder).get(str(step), 0.0))


def _seconds(folder: Path) -> dict[str, float]:
    try:
        return dict(json.loads((folder / SECONDS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _checksum(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
        LabError: when the disk is full, when the folder cannot be written, or when a PEFT model left layers out of
            its files that were unfrozen by hand.
    """
    folder = Path(folder)
    next_step = f"What was there before is as it was. {FREE_SPACE}."
    with (
        readable_errors(folder, "save the model in", next_step),
        files.lock(folder, "Another notebook is saving this very model"),
    ):
        if folder.exists() and (problem := _damage(folder)):
            place = files.set_aside(folder).name
            print(f"{problem}. The folder now lies in {place}; saving the model again.")
        if not folder.exists():
            with files.new_folder(folder) as new:
                new.rmdir()  # a `save` may make the folder itself
                save(new)
                checks.saved_whole(save, new)
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
