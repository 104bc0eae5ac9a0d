"""Turns a Llama-type GGUF file into an ordinary model folder: bfloat16 safetensors, config and tokenizer."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    import torch
    from gguf import GGUFReader
    from transformers import LlamaConfig

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(folder: Path) -> None:
    """Replace the one GGUF file in a folder by a model that `from_pretrained` opens in a moment.

    The same numbers as `AutoModelForCausalLM.from_pretrained(folder, gguf_file=…)`, in half the time: the file's
    metadata are parsed once, and the weights need no model object.

    Args:
        folder: holds exactly one `.gguf` file; receives config, weights, tokenizer and chat template.

    Raises:
        LabError: when the file does not hold exactly the weights of the model it describes.

    Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    from gguf import GGUFReader
    from safetensors.torch import save_file
    from transformers import AutoTokenizer, GenerationConfig

    (file,) = folder.glob("*.gguf")
    reader = GGUFReader(file)
    config = _config(reader)
    weights = _weights(reader, config)
    _compare(weights, config, file.name)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # a cache may serve a whole classroom
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    tokenizer.model_max_length = config.max_position_embeddings  # the file says it of the model only
    tokenizer.save_pretrained(folder)
    del reader  # it maps the file into memory
    file.unlink()


def _config(reader: "GGUFReader") -> "LlamaConfig":
    from transformers import LlamaConfig

    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=_value(reader, "llama.vocab_size"),
        hidden_size=_value(reader, "llama.embedding_length"),
        intermediate_size=_value(reader, "llama.feed_forward_length"),
        num_hidden_layers=_value(reader, "llama.block_count"),
        num_attention_heads=_value(reader, "llama.attention.head_count"),
        num_key_value_heads=_value(reader, "llama.attention.head_count_kv"),
        max_position_embeddings=_value(reader, "llama.context_length"),
        rms_norm_eps=_value(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": _value(reader, "llama.rope.freq_base")},
        bos_token_id=_value(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_value(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_value(reader, "tokenizer.ggml.padding_token_id"),
        tie_word_embeddings=True,
        dtype="bfloat16",
    )


def _value(reader: "GGUFReader", key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise LabError(f"The GGUF file has no {key!r}, so its model cannot be built. Please report this.")
    return field.contents()


def _weights(reader: "GGUFReader", config: "LlamaConfig") -> dict[str, "torch.Tensor"]:
    """Undo the quantisation, tensor by tensor."""
    import torch
    from gguf.quants import dequantize

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    weights = {}
    for tensor in reader.tensors:
        layer, kind = re.fullmatch(r"(blk\.\d+\.)?(\w+)\.weight", tensor.name).groups()
        weight = torch.tensor(dequantize(tensor.data, tensor.tensor_type)).to(torch.bfloat16)
        if kind in heads:
            weight = _unpermute(weight, heads[kind])
        prefix = layer.replace("blk.", "model.layers.") if layer else ""
        weights[f"{prefix}{NAMES[kind]}.weight"] = weight
    return weights


def _unpermute(weight: "torch.Tensor", heads: int) -> "torch.Tensor":
    """GGUF interleaves the two halves of each rotary head; transformers keeps them apart."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.swapaxes(1, 2).reshape(rows, columns).contiguous()


def _compare(weights: dict[str, "torch.Tensor"], config: "LlamaConfig", name: str) -> None:
    import torch
    from transformers import LlamaForCausalLM

    with torch.device("meta"):
        expected = {key: value.shape for key, value in LlamaForCausalLM(config).state_dict().items()}
    expected.pop("lm_head.weight")  # tied to the embeddings
    found = {key: value.shape for key, value in weights.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        raise LabError(
            f"{name} does not hold the weights of the model it describes: {len(wrong)} differ, first {wrong[0]!r}. "
            "The cache is as it was. Please report this."
        )
