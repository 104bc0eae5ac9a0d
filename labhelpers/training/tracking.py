"""Keeping track of experiments: MLflow in the workspace, and results compared with what is expected."""

import contextlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import files, settings, timetable
from ..core.settings import LabError
from . import mlflow_store

if TYPE_CHECKING:
    from mlflow import ActiveRun


def setup(experiment: str) -> str:
    """Point MLflow at this course's database, or at your own server, and choose the experiment.

    Args:
        experiment: its name, such as "sentiment"; made if it is new, brought back if it was deleted.

    Returns:
        The tracking address: sqlite:///<workspace>/mlflow.db, or the value of MLFLOW_TRACKING_URI.

    Raises:
        LabError: when the server does not answer, when MLflow cannot open the database, or when the name is empty.

    Source: https://mlflow.org/docs/latest/ml/tracking/
    """
    if not isinstance(experiment, str) or not experiment.strip():
        raise LabError(f'setup(experiment={experiment!r}): give the experiment a name, such as "sentiment".')
    mlflow_store.keep_quiet()
    import mlflow

    chosen = os.environ.get("MLFLOW_TRACKING_URI")
    address = chosen or mlflow_store.address()
    if chosen:
        mlflow_store.check_server(chosen)
    else:
        mlflow_store.make_ready()
    mlflow.set_tracking_uri(address)
    if not chosen:
        # MLflow notes the address in the environment, where the next call would take it for the learner's choice.
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    mlflow_store.choose_experiment(experiment, address)
    return address


@contextlib.contextmanager
def start_run(experiment: str, run_name: str) -> "Iterator[ActiveRun]":
    """Open an MLflow run, with tags that say where it was made.

    A run left open by an interrupted cell or a dead kernel is closed first (its status becomes KILLED). What the
    machine is goes into tags: a parameter is something you chose and could choose differently.

    Args:
        experiment: name of the experiment.
        run_name: name of the run, such as "lora-r8".

    Yields:
        The MLflow run; inside, use `mlflow.log_params`, `mlflow.log_metric`, `mlflow.log_figure` …

    Raises:
        LabError: as in `setup`, and when the disk is full.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    while mlflow.active_run() is not None:
        # Its database may be gone; the run leaves MLflow's list of open ones all the same.
        with contextlib.suppress(MlflowException):
            mlflow.end_run(status="KILLED")
    setup(experiment)
    with mlflow_store.readable_errors():
        mlflow_store.close_abandoned()
        run = mlflow.start_run(run_name=run_name, tags=_tags())
        with mlflow_store.kept_open(run.info.run_id), run:
            yield run


def record(name: str, value: float) -> None:
    """Note a result of this lesson, and say whether it is where it is expected.

    The result goes to <workspace>/results/<lesson>.json, to the course's run log, and to MLflow when a run is open.

    Args:
        name: name of the result, such as "test_accuracy"; the timetable may hold a band for it.
        value: a number (also from NumPy or PyTorch).

    Raises:
        LabError: when the name is unusable or the value is no finite number.
    """
    number = _number(name, value)
    lesson = os.environ.get("LAB_LESSON", "")
    band = timetable.band(lesson, name) if lesson else None
    low, high = band or (None, None)
    print(_sentence(name, number, band))
    settings.log_event("record", name=name, value=number, low=low, high=high)
    _store(lesson, name, {"value": number, "low": low, "high": high, "profile": settings.current().profile})
    _log_metric(name, number)


def recorded(lesson: str) -> dict[str, float]:
    """Look up what a lesson recorded.

    Args:
        lesson: lesson id, such as "day04".

    Returns:
        Name → value, the latest of each; empty when nothing was recorded yet.
    """
    return {name: entry["value"] for name, entry in _read(_results(lesson)).items()}


def ui_command(port: int = 5000) -> list[str]:
    """Tell how to start MLflow's web page on this course's database.

    Args:
        port: where the page will be: http://127.0.0.1:<port>.

    Returns:
        The command, for `subprocess.run`. It listens on this machine only.
    """
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", mlflow_store.address()),
        *("--artifacts-destination", mlflow_store.artifacts()),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]


def _tags() -> dict[str, str]:
    import platform

    import torch

    tags = {
        "lesson": os.environ.get("LAB_LESSON", ""),
        "profile": settings.current().profile,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": settings.device(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    if tags["device"] == "cuda":
        tags["gpu"] = torch.cuda.get_device_name()
    return {name: value for name, value in tags.items() if value}


def _git_commit() -> str:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=settings.current().root,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _number(name: str, value: Any) -> float:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
        raise LabError(
            f"record(name={name!r}): a result's name starts with a letter and holds letters, digits, underscore, dot "
            'and dash, for example "test_accuracy".'
        )
    plain = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if isinstance(plain, bool) or not isinstance(plain, int | float) or not math.isfinite(plain):
        raise LabError(
            f"record({name!r}, {value!r}): a result is one finite number, and this is not. Run the cells that "
            "compute it again, from the top of the section, and look at what they give."
        )
    return float(plain)


def _sentence(name: str, value: float, band: tuple[float, float] | None) -> str:
    shown = f"{name} = {_plain(value, '.4g')}"
    if band is None:
        return shown
    low, high = band
    where = "below" if value < low else "above" if value > high else "inside"
    sentence = f"{shown} (expected {_plain(low, 'g')} to {_plain(high, 'g')}: {where})"
    if where == "inside":
        return sentence
    return (
        f"{sentence}. If you changed something on purpose, that may well be the reason. Otherwise restart the kernel "
        "and run all cells in order; a cell left out or run twice is the usual cause."
    )


def _plain(number: float, form: str) -> str:
    """Write large counts in full: 74,498 rather than 7.45e+04."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:{form}}"


def _store(lesson: str, name: str, entry: dict[str, Any]) -> None:
    from filelock import FileLock

    path = _results(lesson or "scratch")
    path.parent.mkdir(parents=True, exist_ok=True)
    entry["time"] = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=30):
        files.write(path, json.dumps({**_read(path), name: entry}, indent=1) + "\n")


def _results(lesson: str) -> Path:
    if not isinstance(lesson, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", lesson):
        raise LabError(f'recorded(lesson={lesson!r}): that is no lesson. Use its id, such as "day04".')
    return settings.current().workspace / "results" / f"{lesson}.json"


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Read a results file; one that cannot be read is set aside."""
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {name: {**entry, "value": float(entry["value"])} for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        place = path.with_name(f"broken-{datetime.now():%Y%m%d-%H%M%S-%f}-{path.name}")
        path.rename(place)
        print(f"The results in {path} could not be read. They now lie in {place}; run the lesson again.")
        return {}


def _log_metric(name: str, value: float) -> None:
    # Importing MLflow takes a second; a run can only be open if somebody has imported it.
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None and mlflow.active_run() is not None:
        mlflow.log_metric(name, value)
