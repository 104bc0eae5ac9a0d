"""What a fine-tuning run will cost, from the architecture alone: trained numbers, bytes, the card that holds them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError
from . import inspect, memory, shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

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
# model_type: positions that no token gets. RoBERTa counts from 2.
LEARNED_POSITIONS = {"bert": 0, "distilbert": 0, "electra": 0, "gpt2": 0, "roberta": 2}


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
        shape: a name of `models.shapes.SHAPES`, or a transformers configuration.

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
        shape: a name of `models.shapes.SHAPES`, or a transformers configuration.
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
        shape: a name of `models.shapes.SHAPES`, or a transformers configuration.
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
        shape: a name of `models.shapes.SHAPES`, or a transformers configuration.
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


@dataclass(frozen=True)
class Kept:
    """Bytes that wait for the backward pass."""

    layers: int  # of all layers (with gradient checkpointing: their inputs, and one layer computed again)
    outside: int  # of the embeddings, and of the output over the vocabulary in a language model
    copies: int  # 16-bit copies of the weights that autocast makes
    reason: str = ""

    @property
    def total(self) -> int:
        """All of them."""
        return self.layers + self.outside + self.copies


def activation_bytes(
    shape: "str | PretrainedConfig", batch_size: int = 8, sequence_length: int = 512, precision: str = "float32",
    method: str = "full", gradient_checkpointing: bool = False, which: str = "attention",
    labels: int | None = None, fused_attention: bool | None = None, mask_bytes: int = 1,
) -> Kept:  # fmt: skip
    """Estimate what the forward pass keeps for the backward pass; arguments as in `memory_plan`.

    A layer of the paper (16 bit, feed-forward width 4h) keeps s·b·h·(34 + 5·a·s/h) bytes. Here the same count is
    made for any feed-forward width, precision and method. Frozen layers still pass gradients on, so LoRA only
    drops the inputs of matrices that are not adapted. In mixed precision norms keep their inputs in 32 bit.

    `fused_attention` None: as PyTorch does on a CPU, fused for a model trained without dropout. `mask_bytes` of a
    dropout mask: 1 on a GPU, 4 on a CPU. Against `memory.account` on the CPU in float32: MiniLM, GPT-2 and SmolLM2
    within 3 %, DistilBERT within 5 %. In 16 bit a CPU keeps up to half as much again, because its attention
    computes in float32; kernels of a GPU may keep less.

    Source:
        Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", §4.
    """
    model = facts(shape, labels)
    _check_length(batch_size, sequence_length, model)
    adapted = "everything" if method == "full" else which
    fused = not model.dropout if fused_attention is None else fused_attention
    tokens = batch_size * sequence_length
    size, norm_size = (4 if precision == "float32" else 2), (2 if precision == "bfloat16" else 4)
    layer = tokens * _per_token(model, size, norm_size, mask_bytes, adapted, fused)
    if not fused:
        scores = batch_size * model.heads * sequence_length**2
        layer += scores * (2 * size + mask_bytes if model.dropout else size)
    inputs = tokens * model.hidden * norm_size
    kept = Kept(
        layers=model.layers * inputs + layer if gradient_checkpointing else model.layers * layer,
        outside=_outside(model, tokens, norm_size, mask_bytes, adapted),
        copies=_copies(model) if precision == "mixed" and method != "qlora" else 0,
    )
    each = f"{model.layers} layer inputs + one layer recomputed" if gradient_checkpointing else (
        f"{model.layers} layers × {memory.human(layer)}{'' if fused else ', attention scores included'}"
    )  # fmt: skip
    return replace(
        kept, reason=f"estimate for {batch_size} × {sequence_length} tokens: {each}{_extras(kept, model)}"
    )


@dataclass(frozen=True)
class Facts:
    """Counts and sizes of one architecture."""

    published: int  # numbers as published: with the language-model head, or an encoder without a head
    total: int  # numbers with the head that is asked for
    trained_head: int  # numbers of a fresh classification head; 0 for a language model
    matrices: int  # numbers in the weight matrices of the body, which 4-bit loading quantises
    adapted: Mapping[str, int]  # which layers → numbers that LoRA adds per unit of rank: sum of (in + out)
    layers: int
    hidden: int  # width
    heads: int  # of attention
    keys: int  # width of the keys: less than `hidden` when heads share them
    intermediate: int  # width of the feed-forward part
    vocabulary: int
    longest: int  # tokens it has learned positions for; 0 when positions are computed (Llama and its kin)
    # Tensors of width `intermediate` kept before the second matrix of the feed-forward part: 1 for a GELU
    # kernel, 3 for two branches that are multiplied (SwiGLU), 4 for GPT-2's GELU, written out in Python.
    inside: int
    gated: bool  # built like Llama: SwiGLU and RMSNorm
    dropout: bool  # whether training drops activations, which keeps masks
    language_model: bool  # whether it predicts tokens


def facts(shape: "str | PretrainedConfig", labels: int | None) -> Facts:
    """Count an architecture, on a model without memory; the second time it is remembered."""
    if isinstance(shape, str):
        return _facts(shape, "", labels)
    # to_json_string leaves nothing out that changes a shape, and equal configurations share one entry.
    return _facts(shape.model_type, shape.to_json_string(use_diff=False), labels)


@cache
def _facts(name: str, as_json: str, labels: int | None) -> Facts:
    config = _config(name, as_json)
    speaks = _is_language_model(config)
    fresh = labels is not None or not speaks
    config.num_labels = labels or 2
    model = inspect.build_empty(config, "sequence_classification" if fresh else "causal_lm")
    counts = inspect.count_parameters(model)
    published = counts
    if fresh:
        published = inspect.count_parameters(inspect.build_empty(config, "causal_lm" if speaks else "base"))
    return Facts(
        published=published.total,
        total=counts.total,
        trained_head=counts.groups["head"] if fresh else 0,
        matrices=sum(rows * columns for rows, columns in _adapted(model, "all_linear")),
        adapted=_per_rank(model),
        language_model=not fresh,
        **_sizes(config),
    )


def _config(name: str, as_json: str) -> "PretrainedConfig":
    if not as_json:
        return inspect.config(name)
    from transformers import AutoConfig

    return AutoConfig.for_model(**json.loads(as_json))


def _is_language_model(config: "PretrainedConfig") -> bool:
    family = shapes.FAMILIES.get(config.model_type)
    if family:
        return family.body == "decoder"
    return any("CausalLM" in name or "LMHead" in name for name in config.architectures or ())


def _per_rank(model: "nn.Module") -> dict[str, int]:
    known = getattr(model.config, "model_type", "") in shapes.FAMILIES
    kinds = ("attention", "attention_all", "all_linear") if known else ("all_linear",)
    return {which: sum(map(sum, _adapted(model, which))) for which in kinds}


def _adapted(model: "nn.Module", which: str) -> list[tuple[int, int]]:
    """List the shapes of the matrices that PEFT adapts for these targets; it compares the ends of names."""
    ends = tuple(inspect.lora_targets(model, which))
    return [
        tuple(module.weight.shape)
        for name, module in model.named_modules()
        if name in ends or name.endswith(tuple(f".{end}" for end in ends))
    ]


def _sizes(config: "PretrainedConfig") -> dict[str, Any]:
    hidden, heads = config.hidden_size, config.num_attention_heads
    wide = getattr(config, "intermediate_size", None) or getattr(config, "hidden_dim", None)
    width = getattr(config, "head_dim", None) or hidden // heads
    positions = LEARNED_POSITIONS.get(config.model_type)
    dropouts = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "resid_pdrop", "attn_pdrop")
    written_out = getattr(config, "activation_function", "") == "gelu_new"
    return {
        "layers": config.num_hidden_layers,
        "hidden": hidden,
        "heads": heads,
        "keys": width * (getattr(config, "num_key_value_heads", None) or heads),
        "intermediate": wide or getattr(config, "n_inner", None) or 4 * hidden,
        "vocabulary": config.vocab_size,
        "longest": 0 if positions is None else config.max_position_embeddings - positions,
        "inside": 3 if positions is None else 4 if written_out else 1,
        "gated": positions is None,
        "dropout": any(getattr(config, name, 0) for name in dropouts),
    }


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


def _per_token(model: Facts, size: int, norm_size: int, mask_bytes: int, adapted: str, fused: bool) -> int:
    """Bytes that one layer keeps per token, the attention scores aside."""
    hidden, wide, everything = model.hidden, model.intermediate, adapted == "everything"
    # The input of a matrix is needed only for the gradient of that matrix; fused attention keeps its output anyway.
    projection_in = hidden if everything or fused or adapted in ("attention_all", "all_linear") else 0
    feed_in = hidden + wide if everything or adapted == "all_linear" else 0
    inside = model.inside * wide
    attention = hidden + hidden + 2 * model.keys
    # Llama's norm is written out in Python, so a trained one keeps its input and the normalised input.
    norms = (4 if model.gated and everything else 2) * hidden
    masks = 2 * hidden * mask_bytes if model.dropout else 0
    return size * (attention + projection_in + feed_in + inside) + norm_size * norms + masks


def _outside(model: Facts, tokens: int, norm_size: int, mask_bytes: int, adapted: str) -> int:
    """The embedding's norm and dropout when it is trained; a language model's log-probabilities in float32."""
    start = tokens * model.hidden * (norm_size + (mask_bytes if model.dropout else 0))
    ending = 4 * tokens * model.vocabulary if model.language_model else 0
    return ending + (start if adapted == "everything" else 0)


def _check_length(batch_size: int, sequence_length: int, model: Facts) -> None:
    _check_whole("batch_size", batch_size)
    _check_whole("sequence_length", sequence_length)
    if model.longest and sequence_length > model.longest:
        raise LabError(
            f"planner: this model has positions for {model.longest} tokens, so sequences of {sequence_length} cannot "
            f"enter it. Use sequence_length={model.longest} or less."
        )


def _copies(model: Facts) -> int:
    return 2 * (model.matrices + (model.vocabulary * model.hidden if model.language_model else 0))


def _extras(kept: Kept, model: Facts) -> str:
    output = f" + {memory.human(kept.outside)} for the probabilities of {model.vocabulary:,} tokens"
    copies = f" + {memory.human(kept.copies)} of 16-bit weight copies"
    return (output if model.language_model else "") + (copies if kept.copies else "")
