"""What a fine-tuning run will cost, from the architecture alone: trained numbers, bytes, the card that holds them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..core.settings import LabError
from . import memory
from .planner_activations import activation_bytes
from .planner_shapes import Facts, facts

if TYPE_CHECKING:
    from transformers import PretrainedConfig

__all__ = ["GPUS", "LoraCount", "activation_bytes", "fits", "lora_parameters", "memory_plan"]
__all__ += ["nf4_bytes", "parameters", "smallest_gpu"]

# Memory as printed on the box, in GB. Drivers and the CUDA context take part of it: see `fits`.
GPUS: Mapping[str, int] = MappingProxyType(
    {
        "RTX 4060 (8 GB)": 8,
        "RTX 3060 (12 GB)": 12,
        "T4 (16 GB)": 16,
        "RTX 4090 (24 GB)": 24,
        "RTX 5090 (32 GB)": 32,
        "A100 (40 GB)": 40,
        "RTX A6000 (48 GB)": 48,
        "H100 (80 GB)": 80,
    }
)
# Rule of thumb: what is left of a card after the CUDA context, work buffers and fragmentation.
USABLE = 0.9

METHODS = ("full", "lora", "qlora")
PRECISIONS = {"float32": 4, "bfloat16": 2, "mixed": 4}
WHICH = ("attention", "attention_all", "all_linear")
NF4_BLOCK = 64
SCALE_BLOCK = 256


@dataclass(frozen=True)
class LoraCount:
    """What LoRA trains.

    Attributes:
        adapter: numbers in the matrices A and B.
        head: numbers of the fresh classification head trained along; 0 for a language model.
        base: numbers of the model with that head and without the adapter.
    """

    adapter: int
    head: int
    base: int

    @property
    def trainable(self) -> int:
        """Adapter and head together."""
        return self.adapter + self.head

    @property
    def share(self) -> float:
        """Trained numbers as a fraction (0 to 1) of `base`."""
        return self.trainable / self.base


def parameters(shape: "str | PretrainedConfig") -> int:
    """Count the numbers of a model as it is published: a language model, or an encoder without a head.

    Args:
        shape: a name of `architectures.SHAPES`, or a transformers configuration.

    Returns:
        How many; weights that two layers share count once.

    Raises:
        LabError: when the name is not listed.
    """
    return facts(shape, None).published


def lora_parameters(
    shape: "str | PretrainedConfig", r: int = 8, which: str = "attention", labels: int | None = None
) -> LoraCount:
    """Count what LoRA would train, without building the model.

    Args:
        shape: a name of `architectures.SHAPES`, or a transformers configuration.
        r: rank: an adapted matrix of shape (out, in) gets r × (in + out) numbers.
        which: "attention" (query and value), "attention_all" or "all_linear", as in `models.lora_targets`.
        labels: classes of a fresh classification head. None: a language model keeps its own, frozen head; an
            encoder gets a head for 2 classes.

    Returns:
        The counts; `.trainable` is what PEFT trains, `.share` its fraction of the model.

    Raises:
        LabError: when the shape, `which`, `r` or `labels` is not usable.

    Source:
        Hu et al. 2021, "LoRA", §4.1.
    """
    if which not in WHICH:
        raise LabError(f"planner: which={which!r} is unknown. Use one of: {', '.join(WHICH)}.")
    _check_whole("r", r)
    if labels is not None:
        _check_whole("labels", labels)
    model = facts(shape, labels)
    if which not in model.adapted:
        raise LabError(
            f'planner: the course does not know which layers of this model are the "{which}" ones. Use '
            'which="all_linear".'
        )
    return LoraCount(adapter=r * model.adapted[which], head=model.trained_head, base=model.total)


def nf4_bytes(shape: "str | PretrainedConfig", double_quantisation: bool = True) -> int:
    """Count the bytes of a model's weights in 4 bit: the matrices in NF4, everything else in 16 bit.

    Args:
        shape: a name of `architectures.SHAPES`, or a transformers configuration.
        double_quantisation: whether the scales are stored in 8 bit (4.127 bits per number instead of 4.5).

    Returns:
        Bytes. Embeddings, norms, biases and the output head are not quantised and take 2 bytes per number.

    Source:
        Dettmers et al. 2023, "QLoRA", §3: blocks of 64, their scales in blocks of 256.
    """
    return _nf4_bytes(facts(shape, None), 2, double_quantisation)


def memory_plan(
    shape: "str | PretrainedConfig", method: str = "full", precision: str | None = None,
    optimizer: str = "adamw", r: int = 8, which: str = "attention", batch_size: int = 8,
    sequence_length: int = 512, gradient_checkpointing: bool = False, labels: int | None = None,
    fused_attention: bool | None = None,
) -> memory.MemoryAccount:  # fmt: skip
    """Plan the memory of a training run, with a reason for every part.

    Args:
        shape: a name of `architectures.SHAPES`, or a transformers configuration.
        method: "full", "lora" or "qlora" (double quantisation).
        precision: "float32"; "bfloat16" (weights and arithmetic in 16 bit); "mixed" (float32 weights, 16-bit
            arithmetic). None: float32, and bfloat16 for QLoRA as in its paper. For QLoRA it is the arithmetic and
            what is not quantised; "mixed" then is the same as "bfloat16".
        optimizer: a name of `memory.OPTIMIZERS`.
        r, which: LoRA's rank and layers, as in `lora_parameters`; full fine-tuning has no use for them.
        batch_size: sequences per forward pass (not the effective batch: accumulated gradients take no room).
        sequence_length: tokens per sequence, padding included.
        gradient_checkpointing: whether each layer keeps its input only and is computed again.
        labels: classes of a fresh head, as in `lora_parameters`.
        fused_attention: whether attention avoids storing its s × s matrices, as in `activation_bytes`.

    Returns:
        Bytes by purpose. Weights, gradients and optimiser state are exact counts; activations are an estimate.
        Not in it: the CUDA context and work buffers (see `fits`).

    Raises:
        LabError: when an argument is not usable.

    Source:
        Rajbhandari et al. 2020, "ZeRO", §3.1; Korthikanti et al. 2022 (arXiv 2205.05198), §4.
    """
    _check_method(method)
    precision = precision or ("bfloat16" if method == "qlora" else "float32")
    if precision not in PRECISIONS:
        raise LabError(
            f"planner: precision={precision!r} is unknown. Use one of: {', '.join(PRECISIONS)}, or None."
        )
    kept = activation_bytes(
        shape, batch_size, sequence_length, precision, method, gradient_checkpointing, which, labels, fused_attention
    )  # fmt: skip
    count = lora_parameters(shape, r, which, labels)
    if method == "full":
        plan = memory.predict(
            count.base, weight_bytes=PRECISIONS[precision], optimizer=optimizer, activations=kept.total
        )
        return _with_reasons(plan, activations=kept.reason, weights=_weights_reason(count, precision))
    weight_bytes = PRECISIONS[precision]
    # PEFT keeps the frozen original of the head beside the copy it trains, so the head lies in memory twice.
    plan = memory.predict(
        count.base + count.trainable, count.trainable, weight_bytes, optimizer, 4, kept.total
    )
    frozen = f"{count.base:,} frozen × {weight_bytes} bytes"
    if method == "qlora":
        rest_bytes = 4 if precision == "float32" else 2
        stored = _nf4_bytes(facts(shape, labels), rest_bytes)
        plan = replace(plan, weights=stored + 4 * count.trainable)
        frozen = _nf4_reason(facts(shape, labels), rest_bytes)
    return _with_reasons(
        plan,
        activations=kept.reason,
        weights=f"{frozen} + {count.trainable:,} trained × 4 ({_parts(count)})",
        gradients=f"{count.trainable:,} trained × 4 bytes; frozen numbers have none",
    )


def smallest_gpu(bytes_needed: float) -> str | None:
    """Name the smallest card that a run fits on.

    Args:
        bytes_needed: such as `memory_plan(…).total`.

    Returns:
        A name of `GPUS`, or None when none of them is large enough.
    """
    return next((name for name in sorted(GPUS, key=GPUS.get) if fits(bytes_needed, GPUS[name])), None)


def fits(bytes_needed: float, gigabytes: float) -> bool:
    """Tell whether a run fits on a card, keeping a tenth of it free (a rule of thumb).

    Args:
        bytes_needed: such as `memory_plan(…).total`.
        gigabytes: what is printed on the card, in GB.

    Returns:
        Whether it takes at most 90 % of the card: the CUDA context, work buffers and fragmentation need the rest.
    """
    return bytes_needed <= USABLE * gigabytes * 1e9


def _check_whole(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise LabError(f"planner: {name}={value!r} should be a whole number, 1 or more.")


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise LabError(f"planner: method={method!r} is unknown. Use one of: {', '.join(METHODS)}.")


def _nf4_bits(double_quantisation: bool) -> float:
    """4 bits per number, and the scale of its block: 32 bits, or 8 bits and a share of the scales' own scale."""
    scale = 8 + 32 / SCALE_BLOCK if double_quantisation else 32
    return 4 + scale / NF4_BLOCK


def _nf4_bytes(model: Facts, rest_bytes: int, double_quantisation: bool = True) -> int:
    quantised = model.matrices * _nf4_bits(double_quantisation) / 8
    return round(quantised + (model.total - model.matrices) * rest_bytes)


def _nf4_reason(model: Facts, rest_bytes: int) -> str:
    rest = model.total - model.matrices
    return f"{model.matrices:,} in NF4 × {_nf4_bits(True):.3f} bits + {rest:,} embeddings, norms, head × {rest_bytes} bytes"


def _parts(count: LoraCount) -> str:
    return f"adapter {count.adapter:,}, head {count.head:,}" if count.head else f"adapter {count.adapter:,}"


def _weights_reason(count: LoraCount, precision: str) -> str:
    note = "; autocast makes 16-bit copies on the way" if precision == "mixed" else ""
    return f"{count.base:,} trained × {PRECISIONS[precision]} bytes{note}"


def _with_reasons(plan: memory.MemoryAccount, **reasons: str) -> memory.MemoryAccount:
    return replace(plan, reasons={**plan.reasons, **reasons})
