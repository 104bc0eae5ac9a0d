"""The facts about an architecture that the planner needs, counted on a model without memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from . import inspect as models
from . import shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

LANGUAGE_MODELS = "causal_lm"
HEADS = "sequence_classification"
# model_type: positions that no token gets. RoBERTa counts from 2.
LEARNED_POSITIONS = {"bert": 0, "distilbert": 0, "electra": 0, "gpt2": 0, "roberta": 2}


@dataclass(frozen=True)
class Facts:
    """Counts and sizes of one architecture.

    Attributes:
        published: numbers as published: with the language-model head, or an encoder without a head.
        total: numbers with the head that is asked for.
        trained_head: numbers of a fresh classification head; 0 for a language model.
        matrices: numbers in the weight matrices of the body, which 4-bit loading quantises.
        adapted: which layers → sum of (in + out) over the matrices LoRA adapts: its numbers per unit of rank.
        layers, hidden, heads, keys, intermediate, vocabulary: how many layers; width; attention heads; width of the keys
            (less than `hidden` when heads share them); width of the feed-forward part; tokens.
        longest: tokens it has learned positions for; 0 when positions are computed (Llama and its kin).
        inside: tensors of width `intermediate` that the feed-forward part keeps before its second matrix: 1 for a GELU
            kernel, 3 for two branches that are multiplied (SwiGLU), 4 for GPT-2's GELU, written out in Python.
        gated: whether it is built like Llama: SwiGLU and RMSNorm.
        dropout: whether training drops activations, which keeps masks.
        language_model: whether it predicts tokens.
    """

    published: int
    total: int
    trained_head: int
    matrices: int
    adapted: Mapping[str, int]
    layers: int
    hidden: int
    heads: int
    keys: int
    intermediate: int
    vocabulary: int
    longest: int
    inside: int
    gated: bool
    dropout: bool
    language_model: bool


def facts(shape: "str | PretrainedConfig", labels: int | None) -> Facts:
    """Count an architecture; the second time it is remembered.

    Args:
        shape: a name of `architectures.SHAPES`, or a transformers configuration.
        labels: classes of a fresh head; None keeps a language model's own head and gives an encoder 2 classes.

    Raises:
        LabError: when the name is not listed or the architecture has no such head.
    """
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
    model = models.build_empty(config, HEADS if fresh else LANGUAGE_MODELS)
    counts = models.count_parameters(model)
    published = counts
    if fresh:
        published = models.count_parameters(models.build_empty(config, LANGUAGE_MODELS if speaks else "base"))
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
        return models.config(name)
    import json

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
    ends = tuple(models.lora_targets(model, which))
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
    return {
        "layers": config.num_hidden_layers,
        "hidden": hidden,
        "heads": heads,
        "keys": width * (getattr(config, "num_key_value_heads", None) or heads),
        "intermediate": wide or getattr(config, "n_inner", None) or 4 * hidden,
        "vocabulary": config.vocab_size,
        "longest": 0 if positions is None else config.max_position_embeddings - positions,
        "inside": 3
        if positions is None
        else 4
        if getattr(config, "activation_function", "") == "gelu_new"
        else 1,
        "gated": positions is None,
        "dropout": any(getattr(config, name, 0) for name in dropouts),
    }
