"""What makes two training runs the same run: model, weights, data, settings, code and library versions."""

import hashlib
import json
from collections.abc import Iterable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..core.settings import LabError

if TYPE_CHECKING:
    import torch
    from transformers import Trainer

LIBRARIES = ("torch", "transformers", "peft", "accelerate")
# These say where things go, how they look or how fast they load; none of them changes a weight.
IRRELEVANT_ARGUMENTS = """
    output_dir run_name project report_to disable_tqdm log_level log_level_replica
    log_on_each_node logging_strategy logging_steps logging_first_step
    logging_nan_inf_filter save_strategy save_steps save_total_limit save_on_each_node
    save_only_model push_to_hub hub_token hub_private_repo hub_model_id hub_strategy
    hub_always_push hub_revision resume_from_checkpoint skip_memory_metrics do_train do_eval
    do_predict local_rank trackio_space_id trackio_bucket_id trackio_static_space_id
    dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers
    dataloader_prefetch_factor enable_jit_checkpoint per_device_eval_batch_size
    eval_accumulation_steps
"""

# The folder of a base model differs between machines (its weights are hashed anyway), and a model writes
# problem_type into its own config at the first forward pass.
IRRELEVANT_MODEL_FIELDS = """
    _name_or_path base_model_name_or_path transformers_version peft_version problem_type
"""


def of_trainer(trainer: "Trainer", weights: str) -> str:
    """Name a run that starts from these weights: 64 digits, the same wherever the libraries are the same."""
    parts = {
        "weights": weights,
        "model": _model(trainer.model),
        "arguments": _arguments(trainer),
        "train": of_dataset(trainer.train_dataset),
        "validation": _validation(trainer.eval_dataset),
        "behaviour": _behaviour(trainer),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }
    return _digest([json.dumps(parts, sort_keys=True, default=_plain).encode()])


def of_weights(model: "torch.nn.Module") -> str:
    """Hash every parameter of a model: its name, shape, type, bytes, and whether it is trained."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        head = f"{name} {tuple(parameter.shape)} {parameter.dtype} {parameter.requires_grad};"
        digest.update(head.encode())
        digest.update(_bytes(parameter))
    return digest.hexdigest()


def of_dataset(dataset: Any) -> str:
    """Hash the rows of a data set in their order; None counts as empty, a stream is a LabError."""
    if dataset is not None and not hasattr(dataset, "__len__"):
        raise LabError(
            f"The Trainer's data set is a stream ({type(dataset).__name__}) without a length, so a finished run "
            "could not be recognised. Give the Trainer a data set with a length, or call `trainer.train()` itself."
        )
    return _digest(json.dumps(rows, default=_plain).encode() for rows in _rows(dataset))


def _rows(dataset: Any) -> Iterable[Any]:
    if dataset is None:
        return []
    if hasattr(dataset, "with_format"):
        return dataset.with_format(None).iter(batch_size=1000)
    return (dataset[index] for index in range(len(dataset)))


def _validation(dataset: Any) -> Any:
    """Trainer takes one validation set or a dictionary of them."""
    if isinstance(dataset, dict):
        return {name: of_dataset(part) for name, part in dataset.items()}
    return of_dataset(dataset)


def _model(model: Any) -> dict[str, Any]:
    config = model.config.to_dict() if hasattr(model, "config") and hasattr(model.config, "to_dict") else {}
    adapters = {name: part.to_dict() for name, part in getattr(model, "peft_config", {}).items()}
    for part in (config, *adapters.values()):
        for key in IRRELEVANT_MODEL_FIELDS.split():
            part.pop(key, None)
    for part in adapters.values():
        # get_peft_model writes the head's names into the LoraConfig, once more each time that object is used.
        part["modules_to_save"] = sorted(set(part.get("modules_to_save") or []))
    described = {"class": type(model).__name__, "config": config, "adapters": adapters}
    return described | ({"own layers": own} if (own := _own_layers(model)) else {})


def _own_layers(model: Any) -> list[Any]:
    """Describe layers written in the notebook: an edited one is another model, though its weights are the same."""
    kinds = {type(part) for part in model.modules()} if hasattr(model, "modules") else set()
    own = [kind for kind in kinds if kind.__module__ == "__main__"]
    return [_code(kind) for kind in sorted(own, key=lambda kind: kind.__qualname__)]


def _arguments(trainer: "Trainer") -> dict[str, Any]:
    irrelevant = IRRELEVANT_ARGUMENTS.split()
    return {key: value for key, value in trainer.args.to_dict().items() if key not in irrelevant}


def _behaviour(trainer: "Trainer") -> dict[str, Any]:
    """Code that changes the result: own Trainer classes, losses, metrics, collators and callbacks."""
    return {
        "trainer": _code(type(trainer)),
        "loss": _code(trainer.compute_loss_func),
        "metrics": _code(trainer.compute_metrics),
        "collator": [type(trainer.data_collator).__name__, _simple_fields(trainer.data_collator)],
        "callbacks": [_callback(part) for part in trainer.callback_handler.callbacks if _has_a_say(part)],
        "optimizer": _optimizer(trainer.optimizer),
    }


def _optimizer(optimizer: Any) -> list[Any] | None:
    """Describe an optimizer the learner made; a Trainer that makes its own still holds None."""
    if optimizer is None:
        return None
    groups = [
        # The scheduler moves "lr" during training; "initial_lr" keeps what the learner set.
        {**group, "lr": group.get("initial_lr", group["lr"]), "params": len(group["params"])}
        for group in optimizer.param_groups
    ]
    return [type(optimizer).__name__, [{k: v for k, v in g.items() if k != "initial_lr"} for g in groups]]


def _has_a_say(callback: Any) -> bool:
    module = type(callback).__module__
    return hasattr(callback, "state") or not module.startswith(("transformers.", "labhelpers."))


def _callback(callback: Any) -> list[Any]:
    settings = callback.state().get("args", {}) if hasattr(callback, "state") else {}
    return [_code(type(callback)), settings]


def _code(thing: Any) -> Any:
    """Describe a function or class by its compiled code, so that an edited cell counts as a new one."""
    if isinstance(thing, type) and not thing.__module__.startswith("transformers."):
        return [thing.__qualname__, *(_code(value) for value in vars(thing).values() if callable(value))]
    code = getattr(thing, "__code__", None)
    if code is None:
        return getattr(thing, "__qualname__", type(thing).__qualname__)
    constants = [_nested(constant) for constant in code.co_consts]
    return [thing.__qualname__, code.co_code.hex(), list(code.co_names), constants]


def _nested(constant: Any) -> Any:
    if isinstance(constant, frozenset):
        # The order of a set of strings changes from process to process.
        return sorted(map(repr, constant))
    return constant.co_code.hex() if hasattr(constant, "co_code") else repr(constant)


def _simple_fields(thing: Any) -> dict[str, Any]:
    fields = vars(thing) if hasattr(thing, "__dict__") else {}
    return {key: value for key, value in fields.items() if isinstance(value, str | int | float | None)}


def _bytes(tensor: "torch.Tensor") -> memoryview:
    import torch

    flat = tensor.detach().contiguous().cpu().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())


def _plain(value: Any) -> Any:
    """Turn what JSON does not know (tensors, sets, enums, dtypes) into something it does."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(getattr(value, "value", value))


def _digest(chunks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
