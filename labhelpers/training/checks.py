"""Looks before and after a training at what libraries pass over in silence: labels, a frozen head, weights left unsaved."""

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import Trainer

IGNORED = -100  # what cross-entropy passes over
HEADS = {"classifier", "score"}  # how PEFT, too, recognises a classification head


def labels(trainer: "Trainer") -> None:
    """Refuse labels that a classifier cannot learn from, before its library speaks of a target out of bounds.

    Looked at: kind, range and gaps, for the usual loss of one label per text. Own losses and collators may ask for others.
    """
    classes = _classes(trainer)
    if classes is None:
        return
    others = (
        trainer.eval_dataset
        if isinstance(trainer.eval_dataset, dict)
        else {"eval_dataset": trainer.eval_dataset}
    )
    for name, dataset in {"train_dataset": trainer.train_dataset, **others}.items():
        found = _column(dataset)
        if found:
            _check(found, classes, name)


def _classes(trainer: "Trainer") -> int | None:
    """How many classes the labels choose from (1: any number); None where we cannot know what they are meant to be."""
    from transformers import Trainer

    model = trainer.model.get_base_model() if hasattr(trainer.model, "get_base_model") else trainer.model
    config = getattr(model, "config", None)
    collator = trainer.data_collator
    usual = (
        type(trainer).compute_loss is Trainer.compute_loss
        and getattr(trainer, "compute_loss_func", None) is None
        and str(getattr(collator, "__module__", "")).startswith("transformers.")
        and type(model).__name__.endswith("ForSequenceClassification")
        and getattr(config, "problem_type", None) in (None, "single_label_classification", "regression")
        and getattr(config, "num_labels", 0) > 0
    )
    return config.num_labels if usual else None


def _column(dataset: Any) -> list[Any]:
    """The labels of a data set, as the collator will find them; [] where there are none to look at."""
    if dataset is None or not hasattr(dataset, "__len__"):
        return []
    if hasattr(dataset, "column_names"):
        name = next((name for name in ("label", "labels") if name in dataset.column_names), None)
        return [] if name is None else dataset.with_format(None)[name][:]
    rows = [dataset[at] for at in range(len(dataset))]
    known = [row for row in rows if isinstance(row, Mapping) and ("label" in row or "labels" in row)]
    return [row.get("label", row.get("labels")) for row in known]


def _check(found: list[Any], classes: int, name: str) -> None:
    values = [_plain(value) for value in found]
    if any(isinstance(value, list | tuple) for value in values):
        _check_several(values, name)
        return
    for row, value in enumerate(values):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise LabError(
                f"Row {row} of {name} has no label ({value}). Leave such rows out before training: "
                'dataset.filter(lambda row: row["labels"] is not None).'
            )
        if type(value) is not int and not (classes == 1 and type(value) is float):
            kind = {"str": "a word", "bool": "true or false", "float": "a number with a point"}
            wanted = f"{classes} classes learns from whole numbers from 0 to {classes - 1}"
            step = (
                "number the words, as dataset.class_encode_column does"
                if type(value) is str
                else "int(label)"
            )
            raise LabError(
                f"The label of row {row} of {name} is {value!r}, {kind.get(type(value).__name__, 'no number')}. A model "
                f"with {'one output learns from numbers' if classes == 1 else wanted}: {step}."
            )
    wrong = sorted({value for value in values if not 0 <= value < classes} - {IGNORED})
    if wrong and classes > 1:
        raise LabError(_out_of_range(wrong, sorted({*values} - {IGNORED}), classes, name))


def _check_several(values: list[Any], name: str) -> None:
    for row, value in enumerate(values):
        if not isinstance(value, list | tuple) or any(type(part) is not float for part in value):
            raise LabError(
                f"The label of row {row} of {name} is {value!r}. Several labels per text are a list with a 0.0 or 1.0 for "
                'each class (numbers with a point), and the model has problem_type="multi_label_classification"; one '
                "label per text is one whole number."
            )


def _out_of_range(wrong: list[int], present: list[int], classes: int, name: str) -> str:
    step = f"Load the model with num_labels={present[-1] + 1}, or correct these labels."
    if present[0] == 1 and present[-1] == classes:
        step = "Counting begins at 0: subtract 1 from each."
    elif present == [-1, 1] and classes == 2:
        step = "Write 0 in place of -1."
    elif present[0] < 0:
        step = f"Number the classes from 0 to {classes - 1}."
    return (
        f"The labels of {name} run from {present[0]} to {present[-1]}, and the model has {classes} classes, 0 to "
        f"{classes - 1}: {', '.join(map(str, wrong[:5]))} mean{'s' * (len(wrong) == 1)} nothing to it. {step}"
    )


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def frozen_head(model: "Module") -> str:
    """Say that a head which looks new stays frozen because the adapter's configuration has no task_type; else nothing."""
    recipes = getattr(model, "peft_config", {}).values()
    if not recipes or any(recipe.task_type for recipe in recipes):
        return ""
    head = {name: part for name, part in model.named_parameters() if HEADS & set(name.split("."))}
    biases = [part for name, part in head.items() if name.endswith("bias")]
    if not head or any(part.requires_grad for part in head.values()) or any(part.any() for part in biases):
        return ""
    return (
        f"The head ({next(iter(head))}) stays frozen, because the adapter's configuration has no task_type: only the "
        'adapter learns. Is the head new? Say LoraConfig(task_type="SEQ_CLS", …); otherwise whoever loads this adapter '
        "meets another random head."
    )


def outside_the_adapter(model: "Module") -> list[str]:
    """Name the trainable parameters of a PEFT model that belong to none of its adapters: layers unfrozen by hand."""
    adapters = set(getattr(model, "peft_config", ()))
    if not adapters:
        return []
    trained = [name for name, part in model.named_parameters() if part.requires_grad]
    return [name for name in trained if not adapters & set(name.split("."))]


def saved_whole(save: Callable[[Path], object], folder: Path) -> None:
    """Compare what a PEFT model trained with what it wrote: PEFT saves adapters, not other layers that you unfroze."""
    from safetensors import safe_open

    written: set[str] = set()
    for file in folder.rglob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors:
            written |= set(tensors.keys())
    for model in _models_behind(save):
        lost = [
            name
            for name in outside_the_adapter(model)
            if not any(key.endswith((name, name.replace(".base_layer", ""))) for key in written)
        ]
        if lost:
            raise LabError(
                f"{lost[0]}{f' and {len(lost) - 1} more' if len(lost) > 1 else ''} would be trainable and not in "
                "the files: PEFT saves its adapters and what their configuration names, not layers unfrozen by hand. "
                'Say LoraConfig(modules_to_save=["classifier"], …), or task_type="SEQ_CLS" for a new head, and train '
                "again. Nothing was saved."
            )


def _models_behind(save: Callable[[Path], object]) -> list[Any]:
    """The PEFT models that a function saves: it is a method of one or of its Trainer, or it names one."""
    owner = getattr(save, "__self__", None)
    named: list[Any] = [owner, getattr(owner, "model", None)]
    with contextlib.suppress(TypeError, ValueError):
        variables = inspect.getclosurevars(save)
        named += [*variables.nonlocals.values(), *variables.globals.values()]
    found = {id(each): each for each in named if isinstance(getattr(each, "peft_config", None), dict)}
    return [each for each in found.values() if hasattr(each, "named_parameters")]


@contextlib.contextmanager
def explained_padding() -> Iterator[None]:
    """Turn a decoder's complaint about padding into what to do."""
    try:
        yield
    except ValueError as error:
        if "padding token" not in str(error):
            raise
        raise LabError(
            "This model's configuration names no padding token, so in a batch it cannot tell where a shorter text ends. "
            "Set model.config.pad_token_id = tokenizer.pad_token_id (and before that, where the tokenizer has none, "
            "tokenizer.pad_token = tokenizer.eos_token), then run the cell again."
        ) from error
