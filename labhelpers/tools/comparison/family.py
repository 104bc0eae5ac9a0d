"""LoRA's family at equal numbers of trained weights: what `lab compare --family` trains."""

from collections.abc import Callable
from typing import Any

from ... import models
from . import train
from .train import Technique, around

RATIO = 16  # of B's rate to A's in LoRA+, as its authors recommend (Hayou et al. 2024, §5)


def every() -> dict[str, Technique]:
    """List the family in the order of the page; "lora" is the one that the others are compared with."""
    rows = [
        ("lora", "LoRA", _member(), 3e-3, None, "Hu et al. 2022, §4.1"),
        ("rslora", "rsLoRA", _member(use_rslora=True), 1e-3, None, "Kalajdzievski 2023, §3"),
        ("lora_plus", "LoRA+", _member(), 3e-4, _loud_b, "Hayou et al. 2024, §5"),
        ("dora", "DoRA", _member("dora", use_dora=True), 3e-3, None, "Liu et al. 2024, §4"),
        ("pissa", "PiSSA", _member(init_lora_weights="pissa"), 3e-4, None, "Meng et al. 2024, §3"),
        ("lora_fa", "LoRA-FA", _member("lora_fa"), 3e-3, _frozen_a, "Zhang et al. 2023, §3"),
        ("adalora", "AdaLoRA", _member("adalora"), 1e-2, _pruned, "Zhang et al. 2023, §3"),
        ("vera", "VeRA", _member("vera"), 3e-2, None, "Kopiczko et al. 2024, §3"),
        ("ia3", "IA3", _member("ia3"), 1e-2, None, "Liu et al. 2022, §3.3"),
        ("all_linear", "All linear", _member(places="all_linear"), 3e-3, None, "Dettmers et al. 2023, §4"),
    ]
    return {
        key: Technique(name, build, around(rate), source, ready)
        for key, name, build, rate, ready, source in rows
    }


def rank(kind: str, model: Any, places: list[str]) -> int:
    """The largest rank of a kind in these places that trains no more than r = 4 on all linear matrices does."""
    budget = 4 * sum(map(sum, _shapes(model, models.lora_targets(model, "all_linear"))))
    outs, ins = map(sum, zip(*_shapes(model, places), strict=True))
    if kind == "dora":
        budget -= outs
    return int(
        budget // {"lora_fa": outs, "adalora": outs + ins + len(_shapes(model, places))}.get(kind, outs + ins)
    )


def _shapes(model: Any, places: list[str]) -> list[tuple[int, int]]:
    parts = model.named_modules()
    return [tuple(part.weight.shape) for name, part in parts if name.endswith(tuple(places))]


def _member(kind: str = "lora", places: str = "attention", **more: Any) -> Callable[[], Any]:
    def build() -> Any:
        import peft

        # The base in fp32, for all alike: PiSSA changes the frozen weights, and 16 bits would round what it leaves.
        base = train._base()
        targets = models.lora_targets(base, places)
        r = rank(kind, base, targets)
        options = {"r": r, "lora_alpha": r if more.get("init_lora_weights") else 16, **more}
        if kind == "adalora":  # `_pruned` knows how many steps there will be
            options = {"init_r": r, "target_r": 2 * r // 3, "lora_alpha": 16, "total_step": 100}
        make = {"adalora": peft.AdaLoraConfig, "vera": peft.VeraConfig, "ia3": peft.IA3Config}.get(
            kind, peft.LoraConfig
        )
        options = {"vera": {"r": 256}, "ia3": {}}.get(kind, options)
        if kind != "ia3":  # it knows its own places
            options["target_modules"] = targets
        return train._wrapped(base, make(**options, task_type="SEQ_CLS"))

    return build


def _loud_b(trainer: Any) -> None:
    import torch
    from peft.optimizers import create_loraplus_optimizer

    options = {"lr": trainer.args.learning_rate, "loraplus_lr_ratio": RATIO}
    trainer.optimizer = create_loraplus_optimizer(trainer.model, torch.optim.AdamW, **options)


def _frozen_a(trainer: Any) -> None:
    from peft.optimizers import create_lorafa_optimizer

    r, alpha = trainer.model.peft_config["default"].r, trainer.model.peft_config["default"].lora_alpha
    trainer.optimizer = create_lorafa_optimizer(trainer.model, r, alpha, trainer.args.learning_rate)


def _pruned(trainer: Any) -> None:
    """AdaLoRA prunes only if somebody tells it after each step; without this it stays at its first rank, silently."""
    from transformers import TrainerCallback

    class Allocate(TrainerCallback):
        def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
            model.base_model.update_and_allocate(state.global_step + 1)

    steps = -(-len(trainer.train_dataset) // trainer.args.per_device_train_batch_size)
    config = trainer.model.peft_config["default"]
    config.total_step, config.tinit, config.tfinal, config.deltaT = steps, steps // 6, steps // 3, 1
    trainer.add_callback(Allocate())


FAMILY = train.Field("lora_family", every)
