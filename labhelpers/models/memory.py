"""Where the bytes of a training run are: counted from live tensors, predicted from counts, seen by the system."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    import torch
    from torch import nn

# Bytes of optimiser state per trainable number, as a function of the bytes of that number.
OPTIMIZERS = {
    "sgd": (lambda size: 0, "plain SGD keeps nothing between steps"),
    "sgd_momentum": (lambda size: size, "one running mean per trainable number, in its precision"),
    "lion": (lambda size: size, "one running mean per trainable number, in its precision"),
    "adamw": (lambda size: 2 * size, "two running means (m and v) per trainable number, in its precision"),
    "adamw_8bit": (lambda size: 2, "two running means per trainable number, one byte each"),
}


@dataclass(frozen=True)
class MemoryAccount:
    """Bytes by purpose.

    Attributes:
        weights: the parameters.
        gradients: one number per trainable parameter, in bytes.
        optimizer: what the optimiser keeps from step to step.
        activations: what the forward pass keeps for the backward pass.
        reasons: where each part comes from, one sentence per attribute above; empty for a measured account.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All four parts, in bytes."""
        return self.weights + self.gradients + self.optimizer + self.activations

    def __str__(self) -> str:
        parts = ("weights", "gradients", "optimizer", "activations", "total")
        lines = (
            f"{part:<12}{human(getattr(self, part)):>10}  {self.reasons.get(part, '')}" for part in parts
        )
        return "\n".join(line.rstrip() for line in lines)


def account(model: "nn.Module", optimizer: Any = None, batch: Any = None) -> MemoryAccount:
    """Count the bytes that a model, its gradients and its optimiser hold right now.

    Args:
        model: a PyTorch module. Gradients are there after `backward()`, optimiser state after `step()`.
        optimizer: its optimiser; None counts 0.
        batch: one batch for a forward pass (a dictionary, a tuple or a tensor); None counts 0 activations. A model
            in evaluation mode is put into training mode for this pass, because training is what we ask about.
            Weights, mode and random state are afterwards what they were.

    Returns:
        Bytes. A storage shared by several tensors counts once. Buffers (kilobytes in a transformer) are left
        out; a head that PEFT keeps twice counts twice, because memory holds it twice.

    Source:
        PyTorch, "Autograd mechanics", section "Hooks for saved tensors".
    """
    parameters = list(model.parameters())
    weights = [tensor for parameter in parameters for tensor in _stored(parameter)]
    return MemoryAccount(
        weights=_bytes(weights),
        gradients=_bytes(parameter.grad for parameter in parameters if parameter.grad is not None),
        optimizer=_bytes(_tensors_in(list(optimizer.state.values()))) if optimizer is not None else 0,
        activations=_saved_bytes(model, batch, weights) if batch is not None else 0,
    )


def predict(
    parameters: int,
    trainable: int | None = None,
    weight_bytes: float = 4,
    optimizer: str = "adamw",
    trainable_bytes: float | None = None,
    activations: int = 0,
) -> MemoryAccount:
    """Predict the bytes of a training run from counts alone.

    Args:
        parameters: numbers in the model, adapter included.
        trainable: how many of them are trained; None for all, 0 for inference.
        weight_bytes: bytes per number: 4 (float32), 2 (bfloat16), 0.5625 (NF4 with its scales).
        optimizer: "adamw", "adamw_8bit", "sgd", "sgd_momentum" or "lion".
        trainable_bytes: bytes per trained number. By default `weight_bytes` when everything is trained and
            4 otherwise, because PEFT keeps adapters in float32.
        activations: bytes kept for the backward pass, measured with `account`; they depend on the batch,
            so no count of parameters can tell them.

    Returns:
        Bytes by purpose; printing it shows the reason for each part.

    Raises:
        LabError: when a count is negative or not whole, more is trained than exists, the optimiser is
            unknown, or numbers of less than 2 bytes are to be trained.

    Source:
        Rajbhandari et al. 2020, "ZeRO", §3.1, for the parts.
    """
    trainable = parameters if trainable is None else trainable
    _check_counts(parameters, trainable, activations)
    parameters, trainable = int(parameters), int(trainable)
    if optimizer not in OPTIMIZERS:
        raise LabError(f"predict() got optimizer={optimizer!r}. Use one of: {', '.join(OPTIMIZERS)}.")
    if trainable_bytes is None:
        trainable_bytes = weight_bytes if trainable == parameters else 4
    _check_sizes(weight_bytes, trainable_bytes, trainable)
    state_bytes, state_reason = OPTIMIZERS[optimizer]
    frozen = parameters - trainable
    return MemoryAccount(
        weights=round(frozen * weight_bytes + trainable * trainable_bytes),
        gradients=round(trainable * trainable_bytes),
        optimizer=round(trainable * state_bytes(trainable_bytes)),
        activations=activations,
        reasons={
            "weights": f"{frozen:,} frozen × {weight_bytes:g} bytes + {trainable:,} trainable × {trainable_bytes:g}",
            "gradients": f"{trainable:,} trainable × {trainable_bytes:g} bytes",
            "optimizer": state_reason,
            "activations": "as measured" if activations else "not included: they grow with batch and length",
        },
    )


def peak_rss() -> int:
    """Tell the most memory this process has held so far.

    Returns:
        Bytes of resident memory.
    """
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # Linux lets a new process start with its parent's ru_maxrss; VmHWM belongs to this program alone.
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def current_rss() -> int:
    """Tell how much memory this process holds now.

    Returns:
        Bytes of resident memory.
    """
    import psutil

    return int(psutil.Process().memory_info().rss)


def human(n: float, binary: bool = False) -> str:
    """Write a number of bytes for people.

    Args:
        n: bytes; a negative number is a saving.
        binary: False for steps of 1000 (kB, MB, GB), as in papers and on disks; True for steps of 1024
            (KiB, MiB, GiB), as most tools report RAM.

    Returns:
        Such as "1.5 GB" or "1.4 GiB".

    Raises:
        LabError: when `n` is not a finite number.
    """
    if isinstance(n, str) or not float("-inf") < n < float("inf"):
        raise LabError(f"human() got {n!r}. Pass a finite number of bytes.")
    step, units = (1024, ("KiB", "MiB", "GiB", "TiB")) if binary else (1000, ("kB", "MB", "GB", "TB"))
    if abs(n) < step:
        return f"{n:.0f} B"
    power = 1
    # Compare after rounding, or 999,999 would read "1000.0 kB".
    while power < len(units) and abs(round(n / step**power, 1)) >= step:
        power += 1
    return f"{n / step**power:.1f} {units[power - 1]}"


def _check_counts(parameters: int, trainable: int, activations: int) -> None:
    for name, number in (("parameters", parameters), ("trainable", trainable), ("activations", activations)):
        if number != number or number < 0 or number != int(number):
            raise LabError(f"predict() got {name}={number!r}. Pass a whole number, 0 or more (7e9 is fine).")
    if trainable > parameters:
        raise LabError(
            f"predict() got trainable={trainable:,} of parameters={parameters:,}. Count the adapter among the "
            "parameters too: parameters = base + adapter."
        )


def _check_sizes(weight_bytes: float, trainable_bytes: float, trainable: int) -> None:
    for name, size in (("weight_bytes", weight_bytes), ("trainable_bytes", trainable_bytes)):
        if not 0 < size <= 8:
            raise LabError(f"predict() got {name}={size!r}. Pass bytes per number, such as 4, 2 or 0.5.")
    if trainable and trainable_bytes < 2:
        raise LabError(
            f"predict() would train numbers of {trainable_bytes:g} bytes; gradient steps are too small for that. "
            "Freeze them and train an adapter (trainable=…), or set trainable_bytes=2 or 4."
        )


def _stored(parameter: "torch.Tensor") -> Iterator["torch.Tensor"]:
    """Yield a parameter and, for 4-bit weights, the scales bitsandbytes keeps beside it."""
    yield parameter
    state = getattr(parameter, "quant_state", None)
    while state is not None:  # double quantisation: the scales have scales
        yield from (tensor for tensor in (state.absmax, state.code, state.offset) if tensor is not None)
        state = state.state2


def _tensors_in(value: Any) -> Iterator["torch.Tensor"]:
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_in(item)


def _storages(tensors: Iterable["torch.Tensor"]) -> dict[int, int]:
    """Map each distinct storage to its bytes; the identity works on the meta device, where addresses are all 0."""
    storages = (tensor.untyped_storage() for tensor in tensors)
    return {storage._cdata: storage.nbytes() for storage in storages}


def _bytes(tensors: Iterable["torch.Tensor"]) -> int:
    return sum(_storages(tensors).values())


def _saved_bytes(model: "nn.Module", batch: Any, weights: list["torch.Tensor"]) -> int:
    """Run one forward pass and add up what autograd keeps, the weights themselves aside."""
    import torch

    saved: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        # `tensor` may own the node that keeps it: a reference cycle that nothing would ever free.
        saved.append(tensor.detach())
        return saved[-1]

    # PEFT's new wrapper says it is training, even around a model that from_pretrained left in evaluation mode.
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    modes = {module: module.training for module in model.modules()}
    try:
        if not (model.training and inner.training):
            model.train()
        with (
            torch.random.fork_rng(),
            torch.enable_grad(),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
        ):
            output = _forward(model, batch)
        kept = _storages(saved)
        del output  # it held the graph, and with it every saved tensor, until they were counted
    finally:
        for module, mode in modes.items():
            module.training = mode
    for storage in _storages(weights):
        kept.pop(storage, None)
    return sum(kept.values())


def _forward(model: "nn.Module", batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(*batch) if isinstance(batch, list | tuple) else model(batch)
