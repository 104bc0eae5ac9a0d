"""Trains every technique on the same sentences with the same number of trials, and logs what it measures to MLflow."""

import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ... import data, models, training
from ...core import settings
from ...core.settings import LabError
from ...models import memory
from ...training import metrics, runs, tracking

EXPERIMENT = "techniques"
MAX_LENGTH = 128
CHOOSES, JUDGES = 1, (2, 3, 4, 5, 6)  # the seed that tries the rates, and those that judge the best of them
MARGIN = 0.01  # of accuracy: a difference below a point would change nobody's choice; fixed before the runs
# Bytes of the four parts of a training step, as `memory.account` counts them.
PARTS = ("weights", "gradients", "optimizer", "activations")


# Each technique may try as many rates as the others: one below a starting value, the value, two above it.
FACTOR = 10**0.5


@dataclass(frozen=True)
class Technique:
    """One way to fine-tune a classifier, and where it comes from."""

    name: str
    build: Callable[[], Any]
    rates: tuple[float, ...]  # among which validation chooses
    source: str
    ready: Callable[[Any], None] | None = None  # gets the Trainer: an optimiser or a callback of its own


@dataclass(frozen=True)
class Field:
    """Who takes part in a comparison, and the name of its experiment, of its YAML and of its page."""

    name: str
    every: Callable[[], dict[str, Technique]]


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
    return {key: Technique(name, build, around(rate), source) for key, name, build, rate, source in rows}


def around(rate: float) -> tuple[float, ...]:
    """Four rates: one below the given one, itself, two above."""
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


TECHNIQUES = Field(EXPERIMENT, every)


def compare(
    keys: Iterable[str] | None = None, say: Callable[[str], None] = print, field: Field = TECHNIQUES
) -> None:
    """Give each technique the same chance: learning rates tried with one seed, the best one trained with fresh seeds.

    Rates are chosen on the validation split. Accuracy is reported on sentences of the training split that no run
    here trains on. So neither the sentences nor the seed that chose are among the judges. The test split stays closed.
    """
    known = field.every()
    chosen = list(known) if keys is None else list(keys)
    if wrong := [key for key in chosen if key not in known]:
        raise LabError(f"There is no technique {wrong[0]!r}. Choose from: {', '.join(known)}.")
    settings.quiet_libraries(settings.current())
    splits = sentences()
    for key in chosen:
        judges = JUDGES[: settings.pick(smoke=2, cpu=5, gpu=5)]
        rates = known[key].rates[: settings.pick(smoke=2, cpu=4, gpu=4)]
        tried = {rate: _run(known[key], key, rate, CHOOSES, splits, say, field) for rate in rates}
        best = max(tried, key=lambda rate: tried[rate]["validation_accuracy"])
        for seed in judges:
            _run(known[key], key, best, seed, splits, say, field)
    clock({key: known[key] for key in chosen}, splits, field)


def sentences() -> dict[str, Any]:
    """Split the movie sentences into "train", "validation" and "judging", tokenised; the test split stays closed."""
    from transformers import AutoTokenizer

    from ... import models

    reviews = data.prepared("sentiment")
    reviews.pop("test")
    size = settings.pick(smoke=200, cpu=2000, gpu=2000)
    half = len(reviews["train"]) // 2
    shuffled = reviews["train"].shuffle(seed=0)
    parts = {
        "train": shuffled.select(range(min(size, half))),
        "validation": reviews["validation"],
        "judging": shuffled.select(range(half, min(half + size, len(shuffled)))),
    }
    tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
    return {name: data.tokenize(part, tokenizer, max_length=MAX_LENGTH) for name, part in parts.items()}


def _run(
    technique: Technique, key: str, rate: float, seed: int, splits: dict[str, Any], say: Callable[[str], None],
    field: Field,
) -> dict[str, float]:  # fmt: skip
    """Train one model, measure it, and log it as one MLflow run."""
    import mlflow
    from transformers import set_seed

    set_seed(seed)
    trainer = _trainer(technique, f"{key}-{rate:g}-{seed}", rate, seed, splits["train"])
    account = _account(trainer)
    run = training.train(trainer, f"technique-{key}")
    correct = {name: _correct(trainer.model, splits[name]) for name in ("validation", "judging")}
    measured = {
        "validation_accuracy": float(correct["validation"].mean()),
        "judging_accuracy": float(correct["judging"].mean()),
        "seconds": run.seconds,
        "trainable": float(sum(part.numel() for part in trainer.model.parameters() if part.requires_grad)),
        "checkpoint_bytes": float((run.folder / runs.WEIGHTS).stat().st_size),
        **{f"{part}_bytes": float(getattr(account, part)) for part in PARTS},
    }
    with tracking.start_run(field.name, f"{key} {rate:g} seed {seed}"):
        mlflow.log_params(
            {"technique": key, "learning_rate": rate, "seed": seed, "examples": len(splits["train"])}
        )
        mlflow.log_metrics(measured)
        mlflow.log_dict({"correct": correct["judging"].astype(int).tolist()}, "judging.json")
    say(
        f"{technique.name}, learning rate {rate:g}, seed {seed}: {measured['validation_accuracy']:.3f} on validation, "
        f"{run.seconds:.0f} s"
    )
    return measured


def _trainer(technique: Technique, name: str, rate: float, seed: int, train: Any) -> Any:
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer

    arguments = training.arguments(
        name,
        learning_rate=rate,
        num_train_epochs=1,
        per_device_train_batch_size=16,
        save_strategy="no",
        seed=seed,
    )
    collator = DataCollatorWithPadding(AutoTokenizer.from_pretrained(models.source("encoder")))
    trainer = Trainer(model=technique.build(), args=arguments, train_dataset=train, data_collator=collator)
    if technique.ready:
        technique.ready(trainer)
    return trainer


def _account(trainer: Any) -> memory.MemoryAccount:
    """Count the bytes of a training step on a copy of the model, with a batch of the 16 longest sentences."""
    import copy

    import torch

    model = copy.deepcopy(trainer.model).train()
    longest = sorted(trainer.train_dataset, key=lambda row: -len(row["input_ids"]))[:16]
    keep = ("input_ids", "attention_mask", "token_type_ids", "labels")
    batch = trainer.data_collator([{key: row[key] for key in keep if key in row} for row in longest])
    batch = {key: part.to(next(model.parameters()).device) for key, part in batch.items()}
    optimizer = torch.optim.AdamW([part for part in model.parameters() if part.requires_grad])
    kind = next(iter(batch.values())).device.type
    with torch.autocast(kind, torch.bfloat16, enabled=trainer.args.bf16):  # as the Trainer does it
        before = memory.account(model, batch=batch)
        loss = model(**batch).loss
    loss.backward()
    optimizer.step()
    after = memory.account(model, optimizer)
    return memory.MemoryAccount(after.weights, after.gradients, after.optimizer, before.activations)


def _correct(model: Any, split: Any) -> Any:
    import numpy as np

    return training.predict(model, split).argmax(axis=1) == np.array(split["labels"])


def clock(
    chosen: dict[str, Technique], splits: dict[str, Any], field: Field = TECHNIQUES, repeats: int = 30
) -> None:
    """Note in every run of a technique how long a step and an answer take; the weights' values do not matter for that.

    The techniques take turns with each sentence and each few steps, so that whatever else the machine does hits all of
    them alike.
    """
    from mlflow import MlflowClient

    built = {key: technique.build() for key, technique in chosen.items()}
    answers: dict[str, list[float]] = {key: [] for key in built}
    for at in [
        0,
        *range(min(repeats, len(splits["validation"]))),
    ]:  # a model's first answer is slower than all others
        one = splits["validation"].select([at])
        for key, model in built.items():
            begin = time.perf_counter()
            training.predict(model, one)
            answers[key].append(1000 * (time.perf_counter() - begin))
    steps = _steps(chosen, splits["train"])
    found = _finished(field)
    for run, key in zip(found["run_id"], found["params.technique"], strict=True):
        if key in built:
            MlflowClient().log_metric(run, "latency_ms", statistics.median(answers[key][1:]))
            MlflowClient().log_metric(run, "step_ms", statistics.median(steps[key][1:]))


def _steps(
    chosen: dict[str, Technique], train: Any, rounds: int = 6, steps: int = 8
) -> dict[str, list[float]]:
    """Milliseconds of one training step of 16 sentences, per technique and round."""
    spent: dict[str, list[float]] = {key: [] for key in chosen}
    few = train.select(range(min(16 * steps, len(train))))
    trainers = {key: _trainer(technique, "clock", 1e-5, CHOOSES, few) for key, technique in chosen.items()}
    for _ in range(rounds):
        for key, trainer in trainers.items():
            found = trainer.train()
            spent[key].append(1000 * found.metrics["train_runtime"] / found.global_step)
    return spent


def table(field: Field = TECHNIQUES) -> Any:
    """Read the comparison from MLflow: a DataFrame with one row per technique, in the order of `field.every()`."""
    import pandas as pd

    found = _finished(field)
    if found.empty:
        raise LabError(
            "No technique has been compared in this workspace and profile yet. Run `lab compare` first."
        )
    if "metrics.step_ms" not in found or found["metrics.step_ms"].isna().any():
        raise LabError(
            "The comparison stopped before its techniques were timed. Run `lab compare` again; what has been trained is "
            "found again."
        )
    return pd.DataFrame(_rows(found, field.every()))


def _finished(field: Field = TECHNIQUES) -> Any:
    import mlflow

    tracking.setup(field.name)
    # A small run of the smoke profile says nothing about a large one, and judges on other sentences.
    wanted = f"attributes.status = 'FINISHED' and tags.profile = '{settings.current().profile}'"
    return mlflow.search_runs(experiment_names=[field.name], filter_string=wanted)


def _rows(found: Any, known: dict[str, Technique]) -> list[dict[str, Any]]:
    # A run that was repeated counts once: the newest.
    newest = found.sort_values("start_time").drop_duplicates(
        ["params.technique", "params.learning_rate", "params.seed"], keep="last"
    )
    best = {key: _best(newest[newest["params.technique"] == key]) for key in known}
    answers = {key: _answers(part) for key, part in best.items() if len(part)}
    return [_row(known[key], best[key], answers[key], answers.get("lora")) for key in answers]


def _best(tried: Any) -> Any:
    """The runs that judge the rate that won on validation with the seed that chose."""
    if tried.empty:
        return tried
    first = tried[tried["params.seed"] == str(CHOOSES)]
    rate = first.loc[first["metrics.validation_accuracy"].idxmax(), "params.learning_rate"]
    return tried[(tried["params.learning_rate"] == rate) & (tried["params.seed"] != str(CHOOSES))]


def _answers(part: Any) -> list[list[int]]:
    import mlflow

    return [
        mlflow.artifacts.load_dict(f"runs:/{run}/judging.json")["correct"]
        for run in part.sort_values("params.seed")["run_id"]
    ]


def _row(
    technique: Technique, part: Any, mine: list[list[int]], lora: list[list[int]] | None
) -> dict[str, Any]:
    accuracy = part["metrics.judging_accuracy"]
    columns = ["trainable", "step_ms", "checkpoint_bytes", "latency_ms", *(f"{name}_bytes" for name in PARTS)]
    row = {
        "technique": technique.name,
        "learning_rate": float(part["params.learning_rate"].iloc[0]),
        "seeds": len(part),
        "accuracy": accuracy.mean(),
        "lowest": accuracy.min(),
        "highest": accuracy.max(),
        **{name: part[f"metrics.{name}"].median() for name in columns},
    }
    return row | (_against(mine, lora) if lora else {})


def _against(mine: list[list[int]], lora: list[list[int]]) -> dict[str, Any]:
    """The difference to LoRA, its interval over seeds and sentences, and the verdict."""
    found = metrics.compare(mine, lora, margin=MARGIN)
    verdict = "" if mine is lora else found.verdict
    return {
        "minus_lora": found.estimate,
        "minus_lora_low": found.low,
        "minus_lora_high": found.high,
        "verdict": verdict,
    }


def bars() -> dict[str, float]:
    """What costs next to nothing, at the same number of sentences: word counts, and a line through frozen vectors."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from transformers import AutoTokenizer

    splits = sentences()
    tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
    texts = {
        name: tokenizer.batch_decode(part["input_ids"][:], skip_special_tokens=True)
        for name, part in splits.items()
    }
    labels = {name: np.array(part["labels"][:]) for name, part in splits.items()}
    words = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=4, max_iter=2000)
    )
    reader = _base()
    reader.classifier = _identity()
    vectors = {name: training.predict(reader, splits[name]) for name in ("train", "judging")}
    probe = LogisticRegression(C=0.1, max_iter=2000).fit(vectors["train"], labels["train"])
    return {
        "word counts": float(
            words.fit(texts["train"], labels["train"]).score(texts["judging"], labels["judging"])
        ),
        "frozen probe": float(probe.score(vectors["judging"], labels["judging"])),
    }


def _identity() -> Any:
    from torch import nn

    return nn.Identity()
