"""Training runs on disk: whole checkpoints, finished weights, and what to do with broken ones."""

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import files
from ..core.settings import DISK_REFUSALS, LabError

if TYPE_CHECKING:
    import torch

WEIGHTS = "trained.safetensors"
START = "start.safetensors"
FINISHED = "finished.json"
SECONDS = "seconds.json"


@dataclass(frozen=True)
class Finished:
    """A finished run as it lies on disk.

    Attributes:
        seconds: how long the training took, over all its sessions.
        date: the day it ended, as 2026-11-21.
        state: the fields of the TrainerState at the end.
    """

    seconds: float
    date: str
    state: dict[str, Any]


@contextlib.contextmanager
def locked(folder: Path, doing: str = "training this very run") -> Iterator[None]:
    """Hold a run for this process alone; a second notebook waits here until the first is done.

    Args:
        folder: folder of the run; the lock lies beside it, so that the folder can be moved.
        doing: what the first one is at, for the message to the second.
    """
    from filelock import FileLock, Timeout

    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another notebook is {doing}. Waiting for it to finish.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def readable_errors(folder: Path) -> Iterator[None]:
    """Turn each library's own word for a full or closed disk into a LabError with the next step.

    Args:
        folder: folder of the run.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        is_torch = isinstance(error, RuntimeError) and "PytorchStreamWriter" in str(error)
        refused = isinstance(error, OSError) and error.errno in DISK_REFUSALS
        if not (is_torch or refused or isinstance(error, SafetensorError)):
            raise
        raise LabError(
            f"Could not write the training run to {folder}: {str(error).splitlines()[0]}. Checkpoints that were "
            "written to their end are still there. Free some space or make the folder writable, then run the cell "
            "again: it goes on from the last one."
        ) from error


def set_aside(path: Path) -> Path:
    """Rename a broken file or folder so that nothing uses it and nothing is lost.

    Args:
        path: what to move; it stays in the same folder as `broken-<name>`.

    Returns:
        Its new place.
    """
    target, number = path.with_name(f"broken-{path.name}"), 2
    while target.exists():
        target, number = path.with_name(f"broken-{path.name}-{number}"), number + 1
    return path.rename(target)


def last_checkpoint(folder: Path) -> Path | None:
    """Find the newest checkpoint that was written to its end, and set half-written newer ones aside.

    Args:
        folder: folder of the run.

    Returns:
        The checkpoint's folder, or None when there is no whole one.
    """
    found = [path for path in folder.glob("checkpoint-*") if path.name.split("-")[-1].isdigit()]
    whole = None
    for path in sorted(found, key=lambda path: int(path.name.split("-")[-1]), reverse=True):
        if _is_whole(path):
            whole = whole or path
        else:
            # Left in place it would count towards save_total_limit and push a good checkpoint out.
            set_aside(path)
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
    """Collect what training changes: trainable parameters, and the buffers that live beside them.

    Args:
        model: any PyTorch model.

    Returns:
        Name → tensor, the model's own (not copies).
    """
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
    """Write what training changes to one safetensors file, whole or not at all.

    Args:
        model: the model.
        path: the file.

    Returns:
        SHA-256 of the file.

    Raises:
        LabError: when the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: part.cpu().clone().contiguous() for name, part in learnt(model).items()}, temporary)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise LabError(
            f"Could not write the weights to {path}: {error}. The checkpoints of the run are still there. "
            "Free some space or make the folder writable, then run the cell again: it goes on from the last one."
        ) from error
    return _checksum(path)


def load_weights(model: "torch.nn.Module", path: Path) -> bool:
    """Copy saved weights into a model, in place.

    Args:
        model: a model built like the one that was saved.
        path: a file of `save_weights`.

    Returns:
        True when the file was whole and fitted the model; otherwise the model is as it was.
    """
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
    """Store a finished run: the weights first, the mark that says "finished" last.

    Args:
        folder: folder of the run.
        model: the trained model.
        seconds: how long the training took.
        state: the fields of the TrainerState.
    """
    record = {"seconds": seconds, "date": f"{datetime.now():%Y-%m-%d}", "state": state}
    record["sha256"] = save_weights(model, folder / WEIGHTS)
    files.write(folder / FINISHED, json.dumps(record, indent=1, default=str))
    (folder / START).unlink(missing_ok=True)


def load_finished(folder: Path, model: "torch.nn.Module") -> Finished | None:
    """Load a finished run back into a model; a broken one is set aside.

    Args:
        folder: folder of the run.
        model: a model built like the one that was trained; its weights are replaced.

    Returns:
        The run, or None when there is none or it was broken.
    """
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
    print(
        f"The finished run in {folder} is damaged. It now lies in {set_aside(folder).name}; training again."
    )
    return None


def remember_seconds(folder: Path, step: int, seconds: float) -> None:
    """Note how long the training has taken up to a checkpoint.

    Args:
        folder: folder of the run.
        step: the checkpoint's step.
        seconds: since the beginning, over all sessions.
    """
    files.write(folder / SECONDS, json.dumps({**_seconds(folder), str(step): seconds}))


def seconds_until(folder: Path, step: int) -> float:
    """Look up how long the training took up to a checkpoint.

    Args:
        folder: folder of the run.
        step: the checkpoint's step.

    Returns:
        Seconds; 0 when nothing was noted.
    """
    return float(_seconds(folder).get(str(step), 0.0))


def _seconds(folder: Path) -> dict[str, float]:
    try:
        return dict(json.loads((folder / SECONDS).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _checksum(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
