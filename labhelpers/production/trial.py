"""Tries a learner's project out: in a copy, in a process of its own, with limits."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import scaffold

SECONDS = 90
HEAVY = {".git", ".dvc", ".venv", "models", "mlruns", "mlartifacts", "mlflow.db"}  # of the project's root
BYTECODE = {"__pycache__"}  # of another moment, and perhaps of another text
LAST = 'import json as _json; print("\\n" + _json.dumps(found, default=lambda value: value.item()))'


class Trouble(Exception):
    """What a learner's code did instead of answering, in one sentence."""


@contextmanager
def copied(folder: Path) -> Iterator[Path]:
    """Copy a project, its untouched gaps filled by ours, so that one file can be judged without the others."""
    with tempfile.TemporaryDirectory(prefix="project-check-") as place:
        copy = Path(place) / "project"
        root = str(folder)
        shutil.copytree(
            folder, copy, ignore=lambda place, names: (HEAVY if place == root else BYTECODE) & set(names)
        )
        scaffold.fill(copy)
        yield copy


def answer(folder: Path, code: str, seconds: float = SECONDS) -> Any:
    """Run code that sets `found` in a project's folder, and give back its value."""
    done = run(folder, [sys.executable, "-c", f"{code}\n{LAST}"], seconds)
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Trouble(_last_line(done)) from None


def run(folder: Path, command: list[str], seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; one that does not end is stopped and told."""
    try:
        return subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=seconds,
            stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Trouble(f"It was stopped after {seconds:.0f} seconds without an end.") from None


def environment() -> dict[str, str]:
    """What a trial sees: this Python first, nobody's statistics, and nothing of the person's own MLflow."""
    theirs = {name: value for name, value in os.environ.items() if "MLFLOW" not in name}
    theirs.pop("PYTHONPATH", None)
    return theirs | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore", "COLUMNS": "200",
        "NO_COLOR": "1",
    }  # fmt: skip


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return (
        f"It stopped: {lines[-1].strip()[:300]}" if lines else f"It ended with exit code {done.returncode}."
    )
