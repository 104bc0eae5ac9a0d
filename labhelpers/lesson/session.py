"""Opens a lesson: seeds, quiet libraries, figure style, and where the learner's progress lives."""

import os
import tempfile
import time
from pathlib import Path

from ..core import files, settings, timetable
from ..core.settings import (
    LabError,
    Settings,
    computes_bf16,
    current,
    device,
    is_interactive,
    log_event,
    pick,
    quiet_libraries,
)
from ..display import plots
from ..models import memory
from ..progress import archive
from . import exercise

# What lesson cells call by the name `settings`.
__all__ = [
    "LabError", "Settings", "computes_bf16", "current", "device", "is_interactive", "log_event", "pick", "start",
]  # fmt: skip
MOUNT = "from google.colab import drive; drive.mount('/content/drive')"
PACK = "from labhelpers.progress import archive; archive.pack('my_progress.zip')"


def start(lesson: str) -> Settings:
    """Begin a lesson: fix the seeds, quiet the libraries, set the figure style, say where we are.

    Args:
        lesson: lesson id, such as "day04".

    Returns:
        The settings in force.

    Raises:
        LabError: when the timetable has no such lesson.
    """
    day = timetable.lesson(lesson)
    now = current()
    os.environ["LAB_LESSON"] = lesson
    quiet_libraries(now)
    _fix_seeds(now.seed)
    _make_workspace(now.workspace)
    plots.use_style()
    _log_when_finished()
    exercise.explain_missing_answers()
    print(
        f"{timetable.label(day)}, {day['title']}. Profile {now.profile}, seed {now.seed}, device {device()}."
    )
    if where := settle():
        print(where)
    return now


def settle() -> str | None:
    """In Colab, take along what was ticked before Drive was mounted, and say where progress lives."""
    if not settings.in_colab():
        return None
    now = current()
    if now.progress == now.root / "progress":
        return (
            f"Your progress lives in {now.progress}, on a Colab machine that will be deleted. To keep it, mount your "
            f"Drive ({MOUNT}) and run this cell again, or make one file of it and download that: {PACK}"
        )
    carried = _carry_over(now.root / "progress", now.workspace / "carried_progress")
    return f"Your progress lives in {now.progress}." + (
        f" Brought along: {', '.join(carried)}." if carried else ""
    )


def _carry_over(old: Path, kept: Path) -> list[str]:
    """Unite the files of the machine's own folder with the chosen one, and put them away, so that it happens once."""
    own = {path.relative_to(old).as_posix(): path for path in archive.own(old)}
    archive.carry_over({name: files.read_bytes(path) for name, path in own.items()}, "from-colab")
    for name, path in own.items():
        with files.readable_errors(path, "move"):
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            path.replace(kept / name)
    return list(own)


def _make_workspace(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise LabError(
            f"The lessons cannot keep anything in {folder}: {error.strerror or error}. Free some space, or set "
            "LAB_WORKSPACE (and LAB_PROGRESS, for your checklists) to folders of your own, then restart the kernel."
        ) from error


def _fix_seeds(seed: int) -> None:
    # What transformers.set_seed does, without the half second it spends on importing PEFT.
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _log_when_finished() -> None:
    """Leave the seconds and the peak memory of this kernel in the run log when it ends."""
    if not os.environ.get("LAB_RUN_LOG"):
        return
    import atexit

    started = time.perf_counter()
    atexit.register(
        lambda: log_event("finished", seconds=time.perf_counter() - started, peak_bytes=memory.peak_rss())
    )
