"""Callbacks for the Trainer: a plot that grows while the model learns, and a watch that keeps runs safe.

A Trainer calls `on_…` methods and asks for nothing else, so these classes do not inherit from
TrainerCallback: importing this module stays cheap.
"""

import base64
import contextlib
import io
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import settings
from ..core.settings import LabError
from . import runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS_BETWEEN_DRAWINGS = 2.0


def _nothing(*_: Any, **__: Any) -> None:
    """Answer an event that a callback does not care about."""


def _ignore_event(name: str) -> Callable[..., None]:
    if name.startswith("on_"):
        return _nothing
    raise AttributeError(name)


class LivePlot:
    """Draw the loss and the memory of this process while a Trainer trains.

    In a notebook one picture is redrawn in place, at most every two seconds, and the last one stays. Without
    a browser nothing is drawn: the lesson plots `run.history` itself.

    Attributes:
        training: (step, loss) points of the training data.
        validation: (step, loss) points of the validation data.
        memory: (step, bytes) points: resident memory of this process.

    Source: https://huggingface.co/docs/transformers/main_classes/callback
    """

    def __init__(self) -> None:
        self.training: list[tuple[int, float]] = []
        self.validation: list[tuple[int, float]] = []
        self.memory: list[tuple[int, int]] = []
        self._display: Any = None
        self._drawn = 0.0

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _ignore_event(name)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start with an empty picture, or with the points of the interrupted run."""
        self.training = [(row["step"], row["loss"]) for row in state.log_history if "loss" in row]
        self.validation = [(row["step"], row["eval_loss"]) for row in state.log_history if "eval_loss" in row]
        self.memory, self._display, self._drawn = [], None, 0.0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Add the new points, and redraw if the last drawing is old enough."""
        import psutil

        for key, points in (("loss", self.training), ("eval_loss", self.validation)):
            if key in logs:
                points.append((state.global_step, float(logs[key])))
        self.memory.append((state.global_step, psutil.Process().memory_info().rss))
        if settings.is_interactive() and time.monotonic() - self._drawn > SECONDS_BETWEEN_DRAWINGS:
            self._draw()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Bring the picture up to date; it stays as it is."""
        if settings.is_interactive() and self.training:
            self._draw()

    def figure(self) -> "Figure":
        """Draw what has been seen so far: loss over steps on the left, memory in MB on the right."""
        from matplotlib.figure import Figure

        # Figure() rather than pyplot.figure(): pyplot would keep it open and show it a second time.
        figure = Figure(figsize=(8, 2.6), layout="constrained")
        losses, memory = figure.subplots(1, 2, width_ratios=(2, 1))
        for points, label, colour in (
            (self.training, "training", "#0072B2"),
            (self.validation, "validation", "#D55E00"),
        ):
            if points:
                losses.plot(*zip(*points, strict=True), color=colour, label=label, marker=".")
                losses.annotate(f" {label}", points[-1], color=colour)
        losses.set(xlabel="optimizer step", ylabel="loss")
        if self.memory:
            memory.plot([s for s, _ in self.memory], [size / 1e6 for _, size in self.memory], color="#009E73")
        memory.set(xlabel="optimizer step", ylabel="memory of this process (MB)")
        memory.set_ylim(bottom=0)
        return figure

    def _draw(self) -> None:
        from IPython.display import HTML, display

        stream = io.BytesIO()
        self.figure().savefig(stream, format="png", dpi=100)
        step, loss = self.training[-1] if self.training else (0, math.nan)
        alt = f"Loss and memory during training; the training loss is {loss:.3f} at step {step}."
        picture = HTML(
            f'<img alt="{alt}" src="data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}">'
        )
        if self._display is None:
            self._display = display(picture, display_id=True)
        else:
            self._display.update(picture)
        self._drawn = time.monotonic()


class Watch:
    """Stop a run whose loss is no number any more, and note how long each checkpoint took to reach."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self.folder = folder
        self._before = seconds
        self._began = time.perf_counter()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _ignore_event(name)

    def seconds(self) -> float:
        """Tell how long the run has been training, over all sessions."""
        return self._before + time.perf_counter() - self._began

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Remember the time at this checkpoint, for a session that goes on from it."""
        _date_by_step(self.folder)
        runs.remember_seconds(self.folder, state.global_step, self.seconds())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """Raise a LabError as soon as a logged loss is infinite or not a number."""
        if not math.isfinite(float(logs.get("loss", 0.0))):
            raise LabError(
                f"The training loss is {logs['loss']} at step {state.global_step}, so the model can learn nothing "
                f"more. Mostly the learning rate is too high (it is {args.learning_rate:g}): divide it by 10, build "
                "the model again and run this cell. If it happens at the first step, look for labels outside "
                "0 … num_labels − 1 or for empty texts."
            )


def _date_by_step(folder: Path) -> None:
    """Give checkpoints the age of their steps.

    The Trainer deletes the oldest by their time of change; after a clock jumped back, that is the one just written.
    """
    for path in folder.glob("checkpoint-*"):
        with contextlib.suppress(OSError, ValueError):
            step = int(path.name.split("-")[-1])
            os.utime(path, (step, step))
