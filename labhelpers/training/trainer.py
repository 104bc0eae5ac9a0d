"""Training with a memory: a finished run is found again, an interrupted one goes on."""

import contextlib
import functools
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from ..core import files, settings
from ..core.settings import LabError
from . import checks, fingerprints, runs
from .live import Watch
from .training_arguments import check_name, widened

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch.nn import Module
    from transformers import Trainer

ROW_KEYS = ("input_ids", "attention_mask", "token_type_ids")


def predict(
    model: "Module", tokenized: Any, batch_size: int = 64, collator: Callable[..., Any] | None = None
) -> "np.ndarray":
    """Compute the logits of a classifier for every example.

    Args:
        model: a classifier; it is used where it lies (CPU or GPU), without dropout, and left in the mode it had.
        tokenized: a data set (or list of dictionaries) with `input_ids`; other columns may be there.
        batch_size: examples per forward pass.
        collator: makes a batch from a list of dictionaries; without one, rows are padded on the right with the
            model's own padding token.

    Returns:
        Array of shape (examples, labels), float32, in the order of the data set.

    Raises:
        LabError: when there is nothing to predict, when a row has no tokens, when a decoder has no padding token,
            or when the model does not answer with one row of logits per example.
    """
    import numpy as np
    import torch

    rows = _rows(tokenized, batch_size)
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]["input_ids"]))
    device = next(model.parameters()).device
    blocks = []
    with _resting(model), torch.inference_mode(), _precision(model, device), checks.explained_padding():
        for first in range(0, len(rows), batch_size):
            chosen = [rows[index] for index in order[first : first + batch_size]]
            batch = collator(chosen) if collator else _pad(chosen, model)
            blocks.append(_logits(model, {key: part.to(device) for key, part in batch.items()}))
    logits = torch.cat(blocks).numpy()
    answer = np.empty_like(logits)
    answer[order] = logits
    return answer


def _rows(tokenized: Any, batch_size: int) -> Sequence[dict[str, Any]]:
    if batch_size < 1:
        raise LabError(f"predict(batch_size={batch_size}): a batch holds at least one example. Try 64.")
    plain = tokenized.with_format(None) if hasattr(tokenized, "with_format") else tokenized
    rows = [{key: row[key] for key in ROW_KEYS if key in row} for row in plain]
    if not rows:
        raise LabError("predict(tokenized): the data set is empty. Check how it was filtered or split.")
    for index, row in enumerate(rows):
        if len(row.get("input_ids", ())) == 0:
            raise LabError(
                f"predict(tokenized): row {index} has no `input_ids`. Tokenize the data set first (data.tokenize)."
            )
    return rows


def _pad(rows: Sequence[dict[str, Any]], model: "Module") -> "dict[str, torch.Tensor]":
    import torch

    padding = getattr(getattr(model, "config", None), "pad_token_id", None) or 0
    longest = max(len(row["input_ids"]) for row in rows)
    batch = {
        key: [
            [*row[key], *[padding if key == "input_ids" else 0] * (longest - len(row[key]))] for row in rows
        ]
        for key in rows[0]
    }
    batch.setdefault(
        "attention_mask", [[int(i < len(row["input_ids"])) for i in range(longest)] for row in rows]
    )
    return {key: torch.tensor(values) for key, values in batch.items()}


def _logits(model: "Module", batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
    logits = getattr(model(**batch), "logits", None)
    if logits is None or logits.ndim != 2:
        shape = None if logits is None else tuple(logits.shape)
        raise LabError(
            f"predict(model={type(model).__name__}): its logits have the shape {shape}, not (examples, labels). "
            "predict is for sequence classifiers: load the model with AutoModelForSequenceClassification."
        )
    return logits.float().cpu()


@contextlib.contextmanager
def _resting(model: "Module") -> Iterator[None]:
    """Switch to evaluation, and give every layer its own mode back: a frozen base may rest while its head trains."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _precision(model: "Module", device: "torch.device") -> Any:
    """A bf16 base with fp32 adapters only multiplies under autocast, as in training, or widened."""
    import torch

    half = {part.dtype for part in model.parameters()} & {torch.bfloat16, torch.float16}
    if torch.bfloat16 in half and not settings.computes_bf16():
        return widened()
    mixed = half and any(part.dtype == torch.float32 for part in model.parameters())
    return torch.autocast(device.type, dtype=half.pop()) if mixed else contextlib.nullcontext()


@dataclass(frozen=True)
class TrainingRun:
    """What `train` hands back.

    Attributes:
        history: the Trainer's log, one dictionary per logged step or evaluation.
        seconds: how long the training took, over all its sessions.
        reused: True when the finished run was found and nothing had to be trained.
        folder: where its weights and checkpoints lie.
    """

    history: list[dict[str, Any]]
    seconds: float
    reused: bool
    folder: Path


@dataclass(frozen=True)
class _Lineage:
    """Where a model in memory came from: its weights before the run, after it, and the run's folder."""

    start: str
    now: str
    folder: Path


# A cell that is run twice meets a model that is already trained; these tell it from a fresh one.
_lineages: "weakref.WeakKeyDictionary[Module, _Lineage]" = weakref.WeakKeyDictionary()
_optimizers_of_trainers: "weakref.WeakSet[torch.optim.Optimizer]" = weakref.WeakSet()


def train(trainer: "Trainer", name: str) -> TrainingRun:
    """Call `trainer.train()`, with a memory.

    A run is known by its content: starting weights, data, arguments, adapter, your own code, library versions.
    A finished run is loaded back into `trainer.model`; an interrupted one goes on from its last whole checkpoint.
    Random numbers are fixed by `args.seed` before and after, so that the next cell does not depend on whether
    this one had to train. A run resumed after a whole epoch ends with the weights of an uninterrupted one; from a
    checkpoint inside an epoch (save_strategy="steps") the Trainer may draw the rest in another order.

    Args:
        trainer: a Trainer, ready to train. Its `args.output_dir` becomes the folder of the run.
        name: name of the run; its folder is <workspace>/runs/<name>-<12 hexadecimal digits>.

    Returns:
        The run.

    Raises:
        LabError: when the labels are not those of the model's classes, when the loss or a weight is no finite
            number, when the data set is a stream, when the starting weights are gone, or when the disk is full.
        KeyboardInterrupt: when you stop it; run the cell again to go on.
    """
    from transformers import set_seed

    _check_trainer(trainer, name)
    checks.labels(trainer)
    if remark := checks.frozen_head(trainer.model):
        print(remark)
    if trainer.optimizer in _optimizers_of_trainers:
        # The Trainer made it in an earlier call; its moments belong to that run.
        trainer.optimizer = trainer.lr_scheduler = None
    folder, start = _place(trainer, name)
    try:
        with (
            runs.readable_errors(folder, "write the training run to", runs.GO_ON),
            files.lock(folder, "Another notebook is training this very run"),
        ):
            run = _found(trainer, folder) or _trained(trainer, folder, start)
    finally:
        _lineages[trainer.model] = _Lineage(start, fingerprints.of_weights(trainer.model), folder)
    set_seed(trainer.args.seed)
    return run


@functools.cache
def _spare_imports() -> None:
    """Tell the garbage collector once that what has been imported stays: every Trainer calls it when it starts."""
    gc.collect()
    gc.freeze()


def _place(trainer: "Trainer", name: str) -> tuple[Path, str]:
    """Find the run's folder and the hash of the weights it starts from."""
    now, home = fingerprints.of_weights(trainer.model), settings.current().workspace / "runs"
    past = _lineages.get(trainer.model)
    if past and past.now == now:
        folder = home / f"{name}-{fingerprints.of_trainer(trainer, past.start)[:12]}"
        if folder == past.folder:
            return folder, past.start
        print(
            f"This model already holds the weights of {past.folder.name}; this run goes on from them. "
            "For a fresh start, build the model again."
        )
    return home / f"{name}-{fingerprints.of_trainer(trainer, now)[:12]}", now


def _found(trainer: "Trainer", folder: Path) -> TrainingRun | None:
    from transformers import TrainerState

    finished = runs.load_finished(folder, trainer.model)
    if finished is None:
        return None
    _move_output(trainer, folder)
    trainer.state = TrainerState(**finished.state)
    print(
        f"Found the finished run {folder.name} (trained in {finished.seconds:.0f} s on {finished.date}); "
        f"delete {folder} to train again."
    )
    return TrainingRun(trainer.state.log_history, finished.seconds, True, folder)


def _trained(trainer: "Trainer", folder: Path, start: str) -> TrainingRun:
    _move_output(trainer, folder)
    checkpoint = runs.last_checkpoint(folder) if _checkpoints_suffice(trainer.model) else None
    step = int(checkpoint.name.split("-")[-1]) if checkpoint else 0
    if checkpoint:
        print(f"An earlier session of {folder.name} was interrupted: going on from step {step}.")
    else:
        _begin(trainer, folder, start)
    watch = Watch(folder, runs.seconds_until(folder, step))
    _call_train(trainer, watch, checkpoint)
    _check_finite(trainer.model, folder)
    seconds = watch.seconds()
    if checkpoint:
        _mend_summary(trainer.state.log_history, seconds)
    runs.finish(folder, trainer.model, seconds, asdict(trainer.state))
    print(f"Trained {trainer.state.global_step} steps in {seconds:.0f} s; the run is kept in {folder}.")
    return TrainingRun(trainer.state.log_history, seconds, False, folder)


def _move_output(trainer: "Trainer", folder: Path) -> None:
    old = Path(trainer.args.output_dir)
    trainer.args.output_dir = str(folder)
    if old.parent == folder.parent and old != folder:
        # The Trainer made it when it was built; rmdir removes it only if it is empty.
        with contextlib.suppress(OSError):
            old.rmdir()


def _begin(trainer: "Trainer", folder: Path, start: str) -> None:
    """Put a fresh run at its starting line: weights, their copy on disk, random numbers."""
    from transformers import set_seed

    copy = folder / runs.START
    if fingerprints.of_weights(trainer.model) == start:
        runs.save_weights(trainer.model, copy)
    elif not (runs.load_weights(trainer.model, copy) and fingerprints.of_weights(trainer.model) == start):
        raise LabError(
            f"The model in this Trainer is already trained, and its starting weights are no longer in {folder}. "
            "Run the cells that build the model and the Trainer again, then this one."
        )
    set_seed(trainer.args.seed)


def _call_train(trainer: "Trainer", watch: Watch, checkpoint: Path | None) -> None:
    from transformers import PrinterCallback

    # It prints a dictionary for each log; the history has them all.
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watch)
    own_optimizer = trainer.optimizer is not None
    try:
        with checks.explained_padding(), widened():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except KeyboardInterrupt:
        print(_how_to_go_on(trainer, watch.folder), flush=True)
        raise
    except UnpicklingError as error:
        # torch opens these files with weights_only=True, and its message advises to switch that off.
        place = files.set_aside(checkpoint) if checkpoint else watch.folder
        raise LabError(
            f"The checkpoint {checkpoint and checkpoint.name} holds something other than numbers: opening it could "
            f"run foreign code, so it was refused and nothing of it was run. It now lies in {place}. Run the cell "
            "again: training goes on from the checkpoint before it, or from the start."
        ) from error
    finally:
        trainer.remove_callback(watch)
        if trainer.optimizer is not None and not own_optimizer:
            _optimizers_of_trainers.add(trainer.optimizer)


def _how_to_go_on(trainer: "Trainer", folder: Path) -> str:
    last = runs.last_checkpoint(folder)
    there = f"from step {last.name.split('-')[-1]}, the last checkpoint" if last else "from the start"
    step, total = trainer.state.global_step, trainer.state.max_steps
    return f"Stopped at step {step} of {total}. Run this cell again to go on {there}."


def _checkpoints_suffice(model: "Module") -> bool:
    """Whether a checkpoint holds all that is trained: PEFT saves adapters, not other layers you unfroze."""
    if not hasattr(model, "peft_config"):
        return True
    from peft import get_peft_model_state_dict

    active = [get_peft_model_state_dict(model, adapter_name=name) for name in model.active_adapters]
    saved = sum(part.numel() for parts in active for part in parts.values())
    return saved >= sum(part.numel() for part in model.parameters() if part.requires_grad)


def _check_trainer(trainer: "Trainer", name: str) -> None:
    from transformers import Trainer

    check_name(name)
    if not isinstance(trainer, Trainer):
        raise LabError(
            f"train(trainer={type(trainer).__name__}): this is no Trainer. Make one with "
            "Trainer(model=…, args=training.arguments(…), train_dataset=…) and pass it."
        )
    if trainer.train_dataset is None:
        raise LabError("This Trainer has no training data. Make it again with train_dataset=….")
    if not any(part.requires_grad for part in trainer.model.parameters()):
        raise LabError(
            "Every parameter of trainer.model is frozen, so there is nothing to train. Add an adapter with "
            "get_peft_model, or set requires_grad=True on the layers you want to train."
        )


def _check_finite(model: "Module", folder: Path) -> None:
    for name, part in runs.learnt(model).items():
        if part.is_floating_point() and not part.isfinite().all():
            raise LabError(
                f"After training, {name} holds infinite values or values that are no numbers, so the run in {folder} "
                "is not kept as finished. Lower the learning rate (divide it by 10), build the model again and run "
                "this cell."
            )


def _mend_summary(history: list[dict[str, Any]], seconds: float) -> None:
    """Make the closing line of a resumed run speak of the whole run; the Trainer counts its last session only."""
    losses = [(row["step"], row["loss"]) for row in history if "loss" in row]
    closing = next((row for row in reversed(history) if "train_runtime" in row), None)
    if closing is None or not losses:
        return
    before = [0, *(step for step, _ in losses[:-1])]
    # Each logged loss is the mean over the steps since the log before it.
    weighted = sum((step - last) * loss for (step, loss), last in zip(losses, before, strict=True))
    closing |= {"train_runtime": seconds, "train_loss": weighted / losses[-1][0]}
    for key in ("train_samples_per_second", "train_steps_per_second"):
        closing.pop(key, None)
