"""What is inside a model: its architecture without weights, its parameters by group, the layers LoRA adapts."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import settings
from ..core.settings import LabError
from . import shapes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

# role: (environment variable, asset of the offline course, name on the Hub)
ROLES = {
    "encoder": ("LAB_ENCODER", "minilm", "distilbert-base-uncased"),
    "decoder": ("LAB_DECODER", "smollm2", "HuggingFaceTB/SmolLM2-360M-Instruct"),
}


def source(role: str) -> str:
    """Say where the course's encoder or decoder is, in a form every `from_pretrained` takes.

    Args:
        role: "encoder" (MiniLM, or DistilBERT from the Hub) or "decoder" (SmolLM2).

    Returns:
        A local folder, or a Hub name when the profile uses the Hub. LAB_ENCODER or LAB_DECODER, set to
        either, comes first.

    Raises:
        LabError: when the role is unknown, or the variable points at a folder that holds no model.
    """
    if role not in ROLES:
        raise LabError(f"models.source() got the role {role!r}. Use one of: {', '.join(ROLES)}.")
    variable, asset, hub_name = ROLES[role]
    chosen = os.environ.get(variable, "").strip()
    if chosen:
        return _chosen_source(variable, chosen)
    if settings.current().use_hub:
        return hub_name
    from ..data import assets

    return str(assets.path(asset))


def _chosen_source(variable: str, chosen: str) -> str:
    folder = Path(chosen).expanduser()
    if (folder / "config.json").is_file():
        return str(folder.absolute())
    if folder.exists() or chosen.startswith(("/", "~", ".")) or "\\" in chosen:
        raise LabError(
            f"{variable} is {chosen!r}, and that folder holds no config.json. Set it to a folder made by "
            "save_pretrained(), to a name on the Hugging Face Hub, or unset it."
        )
    return chosen


TASKS = {
    "base": "AutoModel",
    "sequence_classification": "AutoModelForSequenceClassification",
    "token_classification": "AutoModelForTokenClassification",
    "question_answering": "AutoModelForQuestionAnswering",
    "masked_lm": "AutoModelForMaskedLM",
    "causal_lm": "AutoModelForCausalLM",
}


@dataclass(frozen=True)
class ParameterCounts:
    """How many numbers a model holds, and how many of them training may change.

    Attributes:
        total: parameters the model computes with. A head that PEFT copied for training counts once.
        trainable: those with `requires_grad`.
        groups: parameters per group: "embeddings", "encoder" (or "decoder"), "head", "adapter".
        trainable_groups: trainable parameters per group, same keys.
    """

    total: int
    trainable: int
    groups: dict[str, int]
    trainable_groups: dict[str, int]

    @property
    def base(self) -> int:
        """Parameters of the model without the adapter: what full fine-tuning would train."""
        return self.total - self.groups["adapter"]

    @property
    def share(self) -> float:
        """Trainable parameters as a fraction (0 to 1) of `base`, the usual way to state it for LoRA."""
        return self.trainable / self.base if self.base else 0.0


def config(name: str, **changes: Any) -> "PretrainedConfig":
    """Give the architecture of a well-known model, without its weights and without the network.

    Args:
        name: such as "distilbert-base", "gpt2" or "llama-7b"; `models.shapes.SHAPES` lists them all.
        changes: fields to set differently, for example `num_labels=5`.

    Returns:
        A transformers configuration.

    Raises:
        LabError: when the name is not listed.

    Source:
        The paper or config.json named beside each entry of `models.shapes.SHAPES`.
    """
    if name not in shapes.SHAPES:
        known = ", ".join(shapes.SHAPES)
        raise LabError(f"models.config() has no shape called {name!r}. Use one of: {known}.")
    from transformers import AutoConfig

    shape = dict(shapes.SHAPES[name])
    return AutoConfig.for_model(shape.pop("model_type"), **{**shape, **changes})


def build_empty(shape: "PretrainedConfig | str", task: str = "sequence_classification") -> "PreTrainedModel":
    """Build a model that has shapes but no memory, so that even 65 billion parameters can be counted.

    Args:
        shape: a transformers configuration, or a name for `models.config`.
        task: which head to put on: "base" (none), "sequence_classification", "token_classification",
            "question_answering", "masked_lm" or "causal_lm".

    Returns:
        The model on PyTorch's `meta` device: count it, wrap it with PEFT, but never run it.

    Raises:
        LabError: when the task is unknown or this architecture has no such head.
    """
    if task not in TASKS:
        raise LabError(f"build_empty() got task={task!r}. Use one of: {', '.join(TASKS)}.")
    import torch
    import transformers

    shape = config(shape) if isinstance(shape, str) else shape
    try:
        with torch.device("meta"):
            return getattr(transformers, TASKS[task]).from_config(shape)
    except ValueError as error:
        raise LabError(
            f"build_empty() cannot put the head of task={task!r} on a {shape.model_type} model: transformers has "
            'none. Choose another task, for example task="base".'
        ) from error


def lora_targets(model: "nn.Module", which: str = "attention") -> list[str]:
    """Name the layers to give to `LoraConfig(target_modules=…)` for this model.

    Args:
        model: a transformers model, before `get_peft_model`.
        which: "attention" (query and value), "attention_all" (every attention projection) or "all_linear"
            (every matrix of the body; never the head).

    Returns:
        Layer names, or the ends of layer names, as PEFT matches them.

    Raises:
        LabError: when `which` is unknown, the model already has an adapter, or its architecture is not in
            the course's table.

    Source:
        Hu et al. 2021, "LoRA", §4.2 and §7.1; Dettmers et al. 2023, "QLoRA", §4 for all linear layers.
    """
    if which not in ("attention", "attention_all", "all_linear"):
        raise LabError(
            f'lora_targets() got which={which!r}. Use "attention", "attention_all" or "all_linear".'
        )
    if hasattr(model, "peft_config"):
        raise LabError(
            "lora_targets() got a model that already has an adapter. Give it the model before get_peft_model()."
        )
    body, head = _linear_names(model)
    if which == "all_linear":
        return sorted({_shortest_end(name, head) for name in body})
    kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if kind not in shapes.FAMILIES:
        names = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in body + head})) or "none"
        raise LabError(
            f"lora_targets() does not know the architecture {kind!r}. Its linear layers are called: {names}. Pick the "
            "query and value projections among them and pass the names to LoraConfig(target_modules=[…]) yourself."
        )
    return list(getattr(shapes.FAMILIES[kind], which))


def count_parameters(model: "nn.Module") -> ParameterCounts:
    """Count the parameters of a model, in all and by group, with or without a PEFT adapter.

    PEFT trains a copy of the head and keeps the untouched original beside it; its own
    `print_trainable_parameters` counts both. Here the head counts once.

    Args:
        model: any PyTorch module, also one on the `meta` device.

    Returns:
        The counts. Weights shared by two layers count once; 4-bit weights count as the numbers they stand for.
    """
    root = model.get_base_model() if hasattr(model, "get_base_model") else model
    asleep = set(_sleeping_copies(root))
    group_of = {id(parameter): _group(name, root) for name, parameter in root.named_parameters()}
    body = _body_name(root)
    groups = dict.fromkeys(("embeddings", body, "head", "adapter"), 0)
    trainable = dict(groups)
    for parameter in model.parameters():
        if id(parameter) in asleep:
            continue
        group = group_of.get(id(parameter), "adapter")  # PEFT keeps soft prompts outside the base model
        groups[group] += _numbers(parameter)
        trainable[group] += _numbers(parameter) if parameter.requires_grad else 0
    return ParameterCounts(sum(groups.values()), sum(trainable.values()), groups, trainable)


def describe(model: "nn.Module") -> None:
    """Print a small table: how many parameters each group has and how many of them are trained.

    Args:
        model: any PyTorch module.
    """
    counts = count_parameters(model)
    rows = [(group, counts.groups[group], counts.trainable_groups[group]) for group in counts.groups]
    print(f"{'group':<12}{'parameters':>16}{'trainable':>16}{'share':>10}")
    for group, parameters, trained in [*rows, ("total", counts.total, counts.trainable)]:
        if parameters:
            print(f"{group:<12}{parameters:>16,}{trained:>16,}{trained / parameters:>10.2%}")
    if counts.groups["adapter"]:
        print(f"Trainable: {counts.share:.4%} of the {counts.base:,} parameters without the adapter.")


def _body_name(root: "nn.Module") -> str:
    family = shapes.FAMILIES.get(getattr(getattr(root, "config", None), "model_type", ""))
    return family.body if family else "encoder"


def _outside_body(name: str, root: "nn.Module") -> bool:
    """Tell whether a layer belongs to the head: transformers keeps everything else under one attribute."""
    prefix = getattr(root, "base_model_prefix", "")
    return bool(prefix) and hasattr(root, prefix) and not name.startswith(prefix + ".")


def _group(name: str, root: "nn.Module") -> str:
    parts = name.split(".")
    if any(part.startswith(shapes.ADAPTER_PREFIXES) for part in parts):
        return "adapter"
    if _outside_body(name, root):
        return "head"
    if any(part in shapes.EMBEDDING_NAMES for part in parts):
        return "embeddings"
    return _body_name(root)


def _sleeping_copies(root: "nn.Module") -> Iterator[int]:
    """Yield the identity of every parameter PEFT stores but does not compute with."""
    from torch import nn

    for module in root.modules():
        copies = getattr(module, "modules_to_save", None)
        if not isinstance(copies, nn.ModuleDict) or not hasattr(module, "original_module"):
            continue
        awake = () if module.disable_adapters else module.active_adapters
        unused = [copy for name, copy in copies.items() if name not in awake]
        if any(name in copies for name in awake):
            unused.append(module.original_module)
        for copy in unused:
            yield from (id(parameter) for parameter in copy.parameters())


def _numbers(parameter: Any) -> int:
    # bitsandbytes packs two 4-bit numbers into a byte and keeps the real shape beside them.
    state = getattr(parameter, "quant_state", None)
    return state.shape.numel() if state is not None else parameter.numel()


def _linear_names(model: "nn.Module") -> tuple[list[str], list[str]]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | Conv1D)]
    head = [name for name in names if _outside_body(name, model)]
    return [name for name in names if name not in head], head


def _shortest_end(name: str, others: Sequence[str]) -> str:
    """Shorten "encoder.layer.0.output.dense" as far as no layer of `others` ends the same way."""
    parts = name.split(".")
    ends = (".".join(parts[-count:]) for count in range(1, len(parts) + 1))
    return next(end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others))
