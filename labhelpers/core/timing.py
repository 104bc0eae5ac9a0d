"""How long each lesson computes: measured by `make verify`, scaled to this machine."""

import json
from pathlib import Path
from typing import Any

from . import timetable
from .settings import current


def predicted_minutes(lesson_id: str) -> float | None:
    """Predict how many minutes the machine works on a lesson here; None for one that has not been measured.

    The time that `make verify` measured, scaled by the matmul rates of the two machines once `lab doctor` knows this one's.
    """
    measured = measurements().get(lesson_id)
    if not measured:
        return None
    return measured["seconds"] / 60 * _slower_than(measured["matmul_gflops"])


def measurements() -> dict[str, Any]:
    """Read what `make verify` measured: lesson id → seconds, peak_gib, date and the machine's matmul rates."""
    return timetable.curriculum("measured")


def _slower_than(reference: dict[str, float]) -> float:
    """How many times slower this machine is; 1 while it has not been measured."""
    try:
        here = json.loads(rates_file().read_text(encoding="utf-8"))
        ratio = max(reference.values()) / max(here.values())
    except (OSError, ValueError, TypeError, AttributeError, ZeroDivisionError):
        return 1.0  # missing, or damaged: `lab doctor` writes it anew
    # Only part of a lesson is multiplication: on a processor with a quarter of our bf16 rate, training took 1.5 times
    # as long. The square root is nearer to that than the ratio itself.
    return ratio**0.5


def rates_file() -> Path:
    """Where `lab doctor` keeps this machine's matmul rates."""
    return current().workspace / "machine.json"
