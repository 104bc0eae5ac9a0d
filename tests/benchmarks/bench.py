"""`make bench`: speed and memory of the course on this machine, as a table and as JSON.

Everything here is a ratio or a maximum, so that another machine can be compared. Nothing is a pass or a fail.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from labhelpers import data, models, training
from labhelpers.core import settings, timetable
from labhelpers.lesson import session
from labhelpers.tools import doctor
from labhelpers.tools.authoring import verify
from labhelpers.training import metrics

BUDGETS = {
    "import_seconds": "< 0.1",
    "setup_ratio": "≤ 0.35",
    "training_ratio": "≤ 0.30",
    "flops_share": "≥ 0.60",
    "rerun_seconds": "≤ 20",
    "peak_gib": "≤ 6",
    "class_seconds": "< 5",
}
CLASS = 200
SENTENCES, EPOCHS, SEEDS, LEARNING_RATE = 2000, 2, (0, 1, 2), 5e-4
READY = [day["id"] for day in timetable.lessons() if day["status"] == "ready"]


def measure_import() -> dict[str, float]:
    """Time `import labhelpers` in fresh interpreters, the interpreter's own start excluded."""
    code = (
        "import time; t = time.perf_counter(); import labhelpers, labhelpers.core.settings, labhelpers.training; \
print(time.perf_counter() - t)"
    )
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(7)]
    return {"import_seconds": statistics.median(times)}


def measure_setup() -> dict[str, float]:
    """Time `make lab` in a fresh clone until it serves, models and data included, and a bare pip install of the lock."""
    root = settings.current().root
    with tempfile.TemporaryDirectory() as folder:
        clone, bare = Path(folder) / "clone", Path(folder) / "bare"
        subprocess.run(["git", "clone", "-q", str(root), str(clone)], check=True)
        ours = _seconds_until_served(clone, Path(folder) / "cache")
        shutil.rmtree(clone / ".venv")
        install = f"python3 -m venv {bare} && {bare}/bin/pip install -q torch=={_torch()} && {bare}/bin/pip install -q -r"
        pip = _timed(["sh", "-c", f"{install} requirements.lock"], cwd=clone)
    return {"lab_seconds": ours, "bare_pip_seconds": pip, "setup_ratio": ours / pip}


def _seconds_until_served(clone: Path, cache: Path) -> float:
    """Type `make lab ARGS=--no-browser`, wait for the address, stop it."""
    started = time.perf_counter()
    with subprocess.Popen(
        ["make", "-s", "lab", "ARGS=--no-browser"], cwd=clone, env={**os.environ, "LAB_CACHE": str(cache)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as lab:  # fmt: skip
        address = next((line for line in lab.stdout if "http://127.0.0.1" in line), None)
        seconds = time.perf_counter() - started
        os.killpg(lab.pid, signal.SIGTERM)
    assert address, "make lab ended without an address"
    return seconds


def measure_training() -> dict[str, Any]:
    """Train the same model on the same sentences with the Trainer's defaults and as Day 4 does, three seeds each."""
    kinds = ("float32", "bfloat16") if settings.computes_bf16() else ("float32",)
    rates = [doctor.matmul_rate(name, size) for name in kinds for size in (1024, 2048)]
    plain = [_train(seed, fast=False) for seed in SEEDS]
    ours = [_train(seed, fast=True) for seed in SEEDS]
    seconds = {
        name: statistics.mean(run["seconds"] for run in runs) for name, runs in (("d", plain), ("o", ours))
    }
    achieved = max(run["gflops"] for run in ours)
    return {
        "default_seconds": seconds["d"],
        "our_seconds": seconds["o"],
        "training_ratio": seconds["o"] / seconds["d"],
        "default_accuracy": [run["accuracy"] for run in plain],
        "our_accuracy": [run["accuracy"] for run in ours],
        "achieved_gflops": achieved,
        "peak_gflops": max(rates),
        "flops_share": achieved / max(rates),
    }


def measure_class() -> dict[str, float]:
    """Time `lab class` on a folder with 200 summaries: reading, checking, computing, both tables and the page."""
    import io

    from rich.console import Console

    from labhelpers.tools.classroom import report

    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.progress import learners

    with tempfile.TemporaryDirectory() as folder:
        learners.write_class(Path(folder), CLASS)
        started = time.perf_counter()
        report.show(Path(folder), console=Console(file=io.StringIO()))
        return {"class_seconds": time.perf_counter() - started}


def measure_lessons(profile: str) -> dict[str, Any]:
    """Run every lesson twice, solved, in one workspace: peak memory of both, seconds of the second."""
    lessons = {}
    for lesson in READY:
        with tempfile.TemporaryDirectory() as folder:
            runs = [verify.run(lesson, "solved", profile, Path(folder) / "w", Path(folder)) for _ in range(2)]
        errors = [run.error for run in runs if run.error]
        if errors:
            raise SystemExit(
                f"{lesson} stopped at {errors[0]}. Run `lab run {lesson} --variant solved` to see it."
            )
        lessons[lesson] = {
            "first_seconds": runs[0].seconds,
            "rerun_seconds": runs[1].seconds,
            "peak_gib": max(run.peak_bytes for run in runs) / 2**30,
        }
    return {
        "lessons": lessons,
        "rerun_seconds": max(lesson["rerun_seconds"] for lesson in lessons.values()),
        "peak_gib": max(lesson["peak_gib"] for lesson in lessons.values()),
    }


def _arguments(seed: int, fast: bool, folder: str) -> Any:
    from transformers import TrainingArguments

    shared = {
        "num_train_epochs": EPOCHS,
        "seed": seed,
        "output_dir": folder,
        "save_strategy": "no",
        "logging_strategy": "no",
    }
    if fast:
        # Four times the batch, so four times the learning rate: Goyal et al. 2017 (arXiv 1706.02677), section 2.1.
        return training.arguments("bench", learning_rate=4 * LEARNING_RATE, **shared)
    return TrainingArguments(learning_rate=LEARNING_RATE, report_to=[], disable_tqdm=True, **shared)


def _adapted(fast: bool) -> Any:
    """The encoder with a LoRA adapter."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification

    options = training.load_options() if fast else {}
    base = AutoModelForSequenceClassification.from_pretrained(
        models.source("encoder"), num_labels=2, **options
    )
    shape = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": models.lora_targets(base)}
    model = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", **shape))
    if fast:
        training.keep_adapters_precise(model)
    return model


def _train(seed: int, fast: bool) -> dict[str, float]:
    """One LoRA training of the encoder; the adapter and the epochs are the same for both."""
    from transformers import AutoTokenizer, Trainer, set_seed

    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(models.source("encoder"))
    splits = data.tokenize(data.prepared("sentiment"), tokenizer, max_length=128)
    sentences = splits["train"].select(range(SENTENCES))
    model = _adapted(fast)
    with tempfile.TemporaryDirectory() as folder:
        arguments = _arguments(seed, fast, folder)
        trainer = Trainer(model, arguments, train_dataset=sentences, processing_class=tokenizer)
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    predictions = training.predict(model, splits["validation"]).argmax(1)
    accuracy = metrics.classification(splits["validation"]["labels"], predictions)["accuracy"]
    return {
        "seconds": seconds,
        "accuracy": round(accuracy, 4),
        "gflops": _flops(model, sentences) / seconds / 1e9,
    }


def _flops(model: Any, sentences: Any) -> float:
    """Forward and backward through frozen weights: 4 operations per weight of the layers and token, padding not counted."""
    tokens = sum(map(len, sentences["input_ids"])) * EPOCHS
    weights = sum(
        parameter.numel() for name, parameter in model.named_parameters() if ".encoder.layer." in name
    )
    return 4 * weights * tokens


def _torch() -> str:
    return doctor.locked_versions()["torch"]


def _timed(command: list[str], **options: Any) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, **options)
    return time.perf_counter() - started


def _print_table(results: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("what", "measured", "budget")
    for name, value in results.items():
        if isinstance(value, float):
            table.add_row(name, f"{value:.3g}", BUDGETS.get(name, ""))
        elif isinstance(value, list):
            table.add_row(name, ", ".join(f"{item:.3f}" for item in value), "")
    for lesson, figures in results.get("lessons", {}).items():
        line = f"first {figures['first_seconds']:.0f} s, again {figures['rerun_seconds']:.0f} s"
        table.add_row(lesson, f"{line}, {figures['peak_gib']:.2f} GiB", "again ≤ 20 s, ≤ 6 GiB")
    Console().print(table)


def main(
    profile: Annotated[str, typer.Option(help="Profile of the lesson runs.")] = "cpu",
    setup: Annotated[bool, typer.Option(help="Also time a set-up from nothing (needs the network).")] = True,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("workspace/bench.json"),
) -> None:
    """Measure, print the table, write the JSON."""
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
    session.start("day04")
    results: dict[str, Any] = measure_import()
    results |= measure_setup() if setup else {}
    results |= measure_class()
    results |= measure_training()
    results |= measure_lessons(profile)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    _print_table(results)
    print(f"Written to {output}.")


if __name__ == "__main__":
    typer.run(main)
