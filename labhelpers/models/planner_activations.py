"""What the forward pass keeps for the backward pass, from the formula of Korthikanti et al. (2022)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..core.settings import LabError
from .memory import human
from .planner_shapes import Facts, facts

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class Kept:
    """Bytes that wait for the backward pass.

    Attributes:
        layers: of all layers (with gradient checkpointing: their inputs, and one layer computed again).
        outside: of the embeddings, and of the output over the vocabulary in a language model.
        copies: 16-bit copies of the weights that autocast makes.
        reason: one sentence.
    """

    layers: int
    outside: int
    copies: int
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
    """Estimate the activations of one forward pass.

    A layer of the paper (16 bit, feed-forward width 4h) keeps s·b·h·(34 + 5·a·s/h) bytes. Here the same count is
    made for any feed-forward width, precision and method. Frozen layers still pass gradients on, so LoRA only
    drops the inputs of matrices that are not adapted.

    Args:
        shape: a name of `architectures.SHAPES`, or a transformers configuration.
        batch_size: b, in sequences.
        sequence_length: s, in tokens, padding included.
        precision: "float32", "bfloat16" or "mixed"; in mixed precision norms keep their inputs in 32 bit.
        method: "full", "lora" or "qlora" (which keeps what LoRA keeps).
        gradient_checkpointing: whether each layer keeps its input only and is computed again.
        which: the layers LoRA adapts.
        labels: classes of a fresh head; None for a language model's own.
        fused_attention: True when attention never stores its a·s × s scores (FlashAttention and its kin). None: as
            PyTorch does on a CPU, True for a model trained without dropout.
        mask_bytes: bytes per number of a dropout mask: 1 on a GPU; on a CPU PyTorch keeps it in float32 (4).

    Returns:
        Bytes. Against `memory.account` on the CPU in float32 (with mask_bytes=4): MiniLM, GPT-2 and SmolLM2 within
        3 %, DistilBERT within 5 %. In 16 bit a CPU keeps up to half as much again, because its attention computes in
        float32; kernels of a GPU may keep less.

    Raises:
        LabError: when batch size or sequence length is not a whole number ≥ 1, or the model takes no such length.

    Source:
        Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models", §4.
    """
    model = facts(shape, labels)
    _check(batch_size, sequence_length, model)
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
        f"{model.layers} layers × {human(layer)}{'' if fused else ', attention scores included'}"
    )  # fmt: skip
    return replace(
        kept, reason=f"estimate for {batch_size} × {sequence_length} tokens: {each}{_extras(kept, model)}"
    )


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


def _check(batch_size: int, sequence_length: int, model: Facts) -> None:
    for name, value in (("batch_size", batch_size), ("sequence_length", sequence_length)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise LabError(f"planner: {name}={value!r} should be a whole number, 1 or more.")
    if model.longest and sequence_length > model.longest:
        raise LabError(
            f"planner: this model has positions for {model.longest} tokens, so sequences of {sequence_length} cannot "
            f"enter it. Use sequence_length={model.longest} or less."
        )


def _copies(model: Facts) -> int:
    return 2 * (model.matrices + (model.vocabulary * model.hidden if model.language_model else 0))


def _extras(kept: Kept, model: Facts) -> str:
    output = f" + {human(kept.outside)} for the probabilities of {model.vocabulary:,} tokens"
    copies = f" + {human(kept.copies)} of 16-bit weight copies"
    return (output if model.language_model else "") + (copies if kept.copies else "")
