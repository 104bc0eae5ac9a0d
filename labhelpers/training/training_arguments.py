"""What suits this machine: TrainingArguments, options for a fast frozen base, precise adapters."""

import contextlib
import difflib
import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..core import settings
from ..core.settings import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.nn import Module
    from transformers import TrainingArguments

# Names from older tutorials and from other libraries, and what they are called today.
RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "warmup_ratio": "warmup_steps",
    "group_by_length": "train_sampling_strategy",
    "batch_size": "per_device_train_batch_size",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "fp32": "bf16",
}
HOW_TO = {
    "warmup_ratio": " A value below 1 is a share of all steps: warmup_steps=0.1.",
    "group_by_length": ' Write train_sampling_strategy="group_by_length".',
}


def arguments(name: str, **overrides: Any) -> "TrainingArguments":
    """Make TrainingArguments that suit this machine; whatever you pass wins.

    The learning rate and the number of epochs stay the Trainer's own (5e-5 and 3): they belong to your
    experiment. The rest is chosen for speed (bf16 where the processor computes in it, sentences of like length
    in one batch), for a steady start (10 % warm-up, then linear decay) and for interruptions (a checkpoint
    after each epoch).

    Args:
        name: name of the run, such as "first-lora"; letters, digits, dot, dash and underscore.
        overrides: any argument of `transformers.TrainingArguments`.

    Returns:
        The arguments; `output_dir` is <workspace>/runs/<name>.

    Raises:
        LabError: when an argument does not exist, is a text where a number belongs, or is refused by
            TrainingArguments.

    Source: https://huggingface.co/docs/transformers/main_classes/trainer#transformers.TrainingArguments
    """
    from transformers import TrainingArguments

    check_name(name)
    known = {field.name: field.type for field in fields(TrainingArguments) if field.init}
    for key, value in overrides.items():
        _check_argument(key, value, known)
    try:
        return TrainingArguments(**{**_defaults(name), **overrides})
    except (ValueError, TypeError, ImportError) as error:
        raise LabError(
            f"TrainingArguments refused {overrides}: {error} Change that argument in the call of "
            "training.arguments and run the cell again."
        ) from error


def _defaults(name: str) -> dict[str, Any]:
    cpu = settings.device() == "cpu"
    lab = settings.current()
    return {
        "output_dir": str(lab.workspace / "runs" / name),
        "use_cpu": cpu,
        "bf16": settings.computes_bf16(),
        # Older GPUs only emulate bf16, slowly; their half precision is fp16.
        "fp16": not cpu and not settings.computes_bf16(),
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 64,
        "train_sampling_strategy": "group_by_length",
        "warmup_steps": 0.1,
        "lr_scheduler_type": "linear",
        # A share of all steps: fifty points make a readable curve, however long the run.
        "logging_steps": 0.02,
        "logging_first_step": True,
        # The default writes an average in place of NaN, and a broken run looks healthy.
        "logging_nan_inf_filter": False,
        "save_strategy": "epoch",
        "save_total_limit": 2,
        "dataloader_pin_memory": not cpu,
        "report_to": [],
        "disable_tqdm": not settings.is_interactive(),
        "seed": lab.seed,
    }


def load_options(kind: str = "encoder") -> dict[str, Any]:
    """Choose keyword arguments for `from_pretrained` that make training on a frozen base fast.

    - `dtype`: bf16 where this processor computes in it: half the memory traffic, and matrix units that fp32
      does not reach. The frozen weights are only read, so their precision hardly matters.
    - `attn_implementation="eager"` (CPU): on short sentences the plain matrix form beats the fused kernel.
    - `hidden_dropout_prob=0`, `attention_probs_dropout_prob=0` (encoder on CPU): dropout keeps weights that
      learn from leaning on each other. Frozen weights do not learn, and the random numbers cost time. The new
      head keeps its dropout of 0.1, and LoRA has its own `lora_dropout`.

    Args:
        kind: "encoder" (a BERT-like classifier) or "decoder" (Llama-like; it has no dropout to switch off).

    Returns:
        The keyword arguments. Follow up with `keep_adapters_precise(model)`.

    Raises:
        LabError: when `kind` is neither.
    """
    import torch

    if kind not in ("encoder", "decoder"):
        raise LabError(f'load_options(kind={kind!r}): there is no such kind. Use "encoder" or "decoder".')
    if settings.device() == "cuda":
        return {"dtype": torch.bfloat16 if settings.computes_bf16() else torch.float16}
    options: dict[str, Any] = {"dtype": torch.bfloat16 if settings.computes_bf16() else torch.float32}
    options["attn_implementation"] = "eager"
    if kind == "encoder":
        options |= {
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "classifier_dropout": 0.1,
        }
    return options


def keep_adapters_precise(model: "Module") -> None:
    """Hold every trainable parameter in fp32, so that small updates are not rounded away.

    bf16 keeps 8 significant bits: adding 0.001 to 1.0 changes nothing. PEFT lifts its own LoRA matrices to fp32,
    but leaves a new classification head in the precision of the base.

    Args:
        model: a model with its adapters attached; changed in place.

    Raises:
        LabError: when nothing in the model is trainable.
    """
    import torch

    trainable = [part for part in model.parameters() if part.requires_grad]
    if not trainable:
        raise LabError(
            "keep_adapters_precise(model): nothing in this model is trainable. Call get_peft_model (or unfreeze "
            "layers) first."
        )
    for part in trainable:
        part.data = part.data.to(torch.float32)


@contextlib.contextmanager
def widened() -> "Iterator[None]":
    """Multiply in fp32 what is stored in bf16, where the device only emulates bf16, 5 to 16 times more slowly.

    Weights keep their 16 bits, and so do their gradients; only the products are made in 32. Elsewhere it does nothing.
    """
    if settings.computes_bf16():
        yield
        return
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    products = {functional.linear, functional.layer_norm, torch.matmul, torch.bmm, torch.Tensor.matmul}
    products |= {torch.Tensor.__matmul__, torch.Tensor.bmm}

    def wide(value: Any) -> Any:
        half = isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16
        return value.float() if half else value

    class Widen(TorchFunctionMode):
        def __torch_function__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if call in products:
                return call(*map(wide, args), **{key: wide(value) for key, value in (kwargs or {}).items()})
            found = call(*args, **(kwargs or {}))
            return wide(found) if call is functional.embedding else found

    with Widen():
        yield


def check_name(name: str) -> None:
    """Make sure that a run's name can be a folder's name."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]{0,79}", name):
        raise LabError(
            f"name={name!r} cannot name a run: it becomes a folder. Use letters, digits, dot, dash and underscore, "
            'for example "first-lora".'
        )


def _check_argument(key: str, value: Any, known: dict[str, Any]) -> None:
    if key not in known:
        near = RENAMED.get(key) or next(iter(difflib.get_close_matches(key, known, n=1, cutoff=0.5)), None)
        hint = (
            f"Did you mean `{near}`?{HOW_TO.get(key, '')}"
            if near
            else "Look it up in the TrainingArguments page."
        )
        raise LabError(f"training.arguments({key}={value!r}): TrainingArguments has no `{key}`. {hint}")
    if isinstance(value, str) and known[key] in (int, float, int | None, float | None, bool):
        raise LabError(
            f"training.arguments({key}={value!r}): this is a text, and `{key}` needs a number. YAML reads 2e-4 as "
            f"a text because it has no dot: write 2.0e-4 there, or convert it here with {key}={_as_number(value)}."
        )
    if key == "learning_rate" and not (isinstance(value, int | float) and 0 < value < math.inf):
        raise LabError(f"training.arguments(learning_rate={value!r}): it must be above 0, for example 1e-3.")


def _as_number(text: str) -> str:
    return f'float("{text}")' if re.fullmatch(r"[-+0-9.eE]+", text) else "…"
