"""Facts about model families: published shapes, and the names of the layers LoRA usually adapts."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """What the course needs to know about one `model_type` of transformers."""

    body: str  # what a parameter table calls the stack of layers: "encoder" or "decoder"
    attention: tuple[str, ...]  # what LoRA adapts by default: query and value (Hu et al. 2021, §7.1)
    attention_all: tuple[str, ...]  # every projection of the attention block


_BERT = Family("encoder", ("query", "value"), ("query", "key", "value", "attention.output.dense"))
_LLAMA = Family("decoder", ("q_proj", "v_proj"), ("q_proj", "k_proj", "v_proj", "o_proj"))

FAMILIES: dict[str, Family] = {
    "bert": _BERT,
    "roberta": _BERT,
    "electra": _BERT,
    "distilbert": Family("encoder", ("q_lin", "v_lin"), ("q_lin", "k_lin", "v_lin", "out_lin")),
    # GPT-2 keeps query, key and value in one matrix, so adapting c_attn adapts all three.
    "gpt2": Family("decoder", ("c_attn",), ("c_attn", "attn.c_proj")),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}


def _sizes(kind: str, hidden: int, layers: int, heads: int, wide: int, **other: Any) -> dict[str, Any]:
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads}
    return {"model_type": kind, **sizes, "intermediate_size": wide, **other}


def _llama(hidden: int, layers: int, heads: int, wide: int, **other: Any) -> dict[str, Any]:
    return _sizes("llama", hidden, layers, heads, wide, **{"num_key_value_heads": heads, **other})


def _gpt2(hidden: int, layers: int, heads: int) -> dict[str, Any]:
    return {"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": heads}


_SMOLLM2 = {"vocab_size": 49152, "tie_word_embeddings": True}
# Each comment names where the shape was published; whatever is not listed is the transformers default.
SHAPES: dict[str, dict[str, Any]] = {
    # Sanh et al. 2019, §3; config.json of distilbert-base-uncased.
    "distilbert-base": {"model_type": "distilbert"},
    # Devlin et al. 2019, §3; config.json of bert-base-uncased and bert-large-uncased.
    "bert-base": {"model_type": "bert"},
    "bert-large": _sizes("bert", 1024, 24, 16, 4096),
    # Liu et al. 2019, §5; config.json of roberta-base.
    "roberta-base": {"model_type": "roberta", "max_position_embeddings": 514, "type_vocab_size": 1},
    # config.json of sentence-transformers/all-MiniLM-L6-v2 (Wang et al. 2020).
    "minilm-l6": _sizes("bert", 384, 6, 12, 1536),
    # Radford et al. 2019, Table 2 (its sizes, counted again from config.json of gpt2 … gpt2-xl).
    "gpt2": _gpt2(768, 12, 12),
    "gpt2-medium": _gpt2(1024, 24, 16),
    "gpt2-large": _gpt2(1280, 36, 20),
    "gpt2-xl": _gpt2(1600, 48, 25),
    "distilgpt2": _gpt2(768, 6, 12),
    # config.json of HuggingFaceTB/SmolLM2-135M and -360M (Ben Allal et al. 2025).
    "smollm2-135m": _llama(576, 30, 9, 1536, num_key_value_heads=3, **_SMOLLM2),
    "smollm2-360m": _llama(960, 32, 15, 2560, num_key_value_heads=5, **_SMOLLM2),
    # Touvron et al. 2023, "LLaMA", Table 2; the feed-forward width is in the released params.json.
    "llama-7b": _llama(4096, 32, 32, 11008),
    "llama-13b": _llama(5120, 40, 40, 13824),
    "llama-30b": _llama(6656, 60, 52, 17920),
    "llama-65b": _llama(8192, 80, 64, 22016),
    # Touvron et al. 2023, "Llama 2", Table 1: grouped-query attention with 8 key-value heads.
    "llama2-70b": _llama(8192, 80, 64, 28672, num_key_value_heads=8),
    # Jiang et al. 2023, "Mistral 7B", Table 1.
    "mistral-7b": _sizes("mistral", 4096, 32, 32, 14336, num_key_value_heads=8, vocab_size=32000),
}

# Model families differ in how they spell an embedding layer.
EMBEDDING_NAMES = ("embeddings", "embed_tokens", "embed_positions", "wte", "wpe", "word_embeddings")

# The start of the names PEFT (and the course's own bottleneck module) gives to the layers it adds.
_PREFIXES = "lora_ ia3_ ranknum vera_ hada_ lokr_ oft_ boft_ adapter prompt_encoder"
ADAPTER_PREFIXES = tuple(_PREFIXES.split())
