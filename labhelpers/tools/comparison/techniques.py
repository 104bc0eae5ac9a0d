"""Every technique of the course on the same task: how its model is built, and which learning rates it may try."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ... import models, training

# Each technique may try as many rates as the others: one below a starting value, the value, two above it.
FACTOR = 10**0.5


@dataclass(frozen=True)
class Technique:
    """One way to fine-tune a classifier, and where it comes from."""

    name: str
    build: Callable[[], Any]
    rates: tuple[float, ...]  # among which validation chooses
    source: str


def every() -> dict[str, Technique]:
    """List the techniques in the order of the page, by keys such as "lora"."""
    rows = [
        ("full", "Full fine-tuning", _full, 6e-5, "Devlin et al. 2019, §4.1"),
        ("adapters", "Bottleneck adapters", _adapters, 1e-3, "Pfeiffer et al. 2021, §2.1"),
        ("lora", "LoRA", _lora, 1e-3, "Hu et al. 2022, §4.1"),
        ("qlora", "QLoRA", _qlora, 1e-3, "Dettmers et al. 2023, §3"),
        ("prefix", "Prefix tuning", _prefix, 1e-2, "Li and Liang 2021, §4"),
        ("p_tuning", "P-tuning", _p_tuning, 3e-3, "Liu et al. 2021, §3"),
        ("prompt", "Prompt tuning", _prompt, 3e-2, "Lester et al. 2021, §2"),
        ("head", "Head only", _head, 1e-2, "the baseline: the encoder stays as it is"),
    ]
    return {key: Technique(name, build, _around(rate), source) for key, name, build, rate, source in rows}


def _around(rate: float) -> tuple[float, ...]:
    return tuple(float(f"{rate * FACTOR**step:.2g}") for step in (-1, 0, 1, 2))


def _base(**options: Any) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **options
    )


def _full() -> Any:
    """Weights in fp32: whoever trains all of them keeps all of them precise."""
    return _base()


def _head() -> Any:
    model = _base(**training.load_options())
    head = ("classifier", "pre_classifier")  # DistilBERT's head is two layers
    for name, part in model.named_parameters():
        part.requires_grad = name.startswith(head)
    training.keep_adapters_precise(model)
    return model


def _adapters() -> Any:
    """A bottleneck after each layer's second feed-forward matrix, 16 numbers wide: about as many as LoRA trains."""
    model = _head()
    for name, module in list(model.named_modules()):
        if re.search(r"layer\.\d+\.(output\.dense|ffn\.lin2)$", name):  # as BERT and as DistilBERT call it
            place, _, last = name.rpartition(".")
            model.get_submodule(place).register_module(last, _bottleneck(module, width=16))
    return model


def _bottleneck(inner: Any, width: int) -> Any:
    import torch
    from torch import nn

    class Bottleneck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner
            self.down, self.up = nn.Linear(inner.out_features, width), nn.Linear(width, inner.out_features)
            nn.init.zeros_(self.up.weight)  # with `up` at zero the model begins as it was
            nn.init.zeros_(self.up.bias)

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            answer = self.inner(states)
            bent = nn.functional.gelu(self.down(answer.to(self.down.weight.dtype)))
            return answer + self.up(bent).to(answer.dtype)

    return Bottleneck()


def _lora() -> Any:
    return _with_lora(_base(**training.load_options()))


def _with_lora(base: Any) -> Any:
    from peft import LoraConfig

    targets = models.lora_targets(base)
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=targets, task_type="SEQ_CLS")
    return _wrapped(base, config)


def _qlora() -> Any:
    import bitsandbytes
    from peft import prepare_model_for_kbit_training
    from transformers import BitsAndBytesConfig

    from ...core import settings

    options = training.load_options()
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=options["dtype"],
        llm_int8_skip_modules=["classifier"],
    )
    base = _base(quantization_config=four_bits, device_map=settings.device(), **options)
    for module in base.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            # On some processors one prediction would repack the weights for good, and nothing would train any more.
            module.support_avx512bf16_for_cpu = False
    return _with_lora(prepare_model_for_kbit_training(base, use_gradient_checkpointing=False))


def _prompt() -> Any:
    from peft import PromptTuningConfig

    config = PromptTuningConfig(num_virtual_tokens=10, task_type="SEQ_CLS")
    return _wrapped(_base(**training.load_options()), config)


def _prefix() -> Any:
    from peft import PrefixTuningConfig

    config = PrefixTuningConfig(num_virtual_tokens=10, task_type="SEQ_CLS")
    return _wrapped(_base(**training.load_options()), config)


def _p_tuning() -> Any:
    from peft import PromptEncoderConfig

    config = PromptEncoderConfig(num_virtual_tokens=10, encoder_hidden_size=128, task_type="SEQ_CLS")
    return _wrapped(_base(**training.load_options()), config)


def _wrapped(base: Any, config: Any) -> Any:
    from peft import get_peft_model

    model = get_peft_model(base, config)
    training.keep_adapters_precise(model)
    return model
