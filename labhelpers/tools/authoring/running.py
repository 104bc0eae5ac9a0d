"""Runs lessons without a browser: one fresh kernel each, on copies, with a log of what happened."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core import timetable
from ...core.settings import PROFILES, LabError, current
from . import manuscripts
from . import notebooks as authoring


@dataclass(frozen=True)
class LessonRun:
    """What one execution of a lesson left behind.

    Attributes:
        lesson: lesson id.
        variant: "learner", "solved" or "misconceptions".
        notebook: the executed notebook with its outputs.
        events: what the lesson logged: checks, recorded results, the end.
        seconds: wall time of the whole run, kernel start included.
        error: the exception of the first failing cell, or None.
    """

    lesson: str
    variant: str
    notebook: Path
    events: list[dict[str, Any]]
    seconds: float
    error: str | None

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Filter the events.

        Args:
            kind: such as "check" or "record".

        Returns:
            The events of that kind, in order.
        """
        return [event for event in self.events if event["event"] == kind]

    @property
    def peak_bytes(self) -> int | None:
        """Peak memory of the kernel in bytes, None if it did not reach its end."""
        finished = self.of_kind("finished")
        return finished[-1]["peak_bytes"] if finished else None


def run(
    lesson_id: str,
    variant: str = "learner",
    profile: str | None = None,
    workspace: Path | None = None,
    folder: Path | None = None,
) -> LessonRun:
    """Execute one lesson in a fresh kernel.

    Args:
        lesson_id: such as "day04".
        variant: "learner" (as a learner gets it, unsolved), "solved" or "misconceptions".
        profile: "smoke", "cpu" or "gpu"; None for the profile in force.
        workspace: where the lesson keeps data and runs; None for the learner's own.
        folder: where the executed notebook and the log go; None for `executed/` in the workspace.

    Returns:
        The run; a failing cell is reported in `error`, not raised.

    Raises:
        LabError: when the lesson, the variant or the profile is unknown.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    settings = current()
    profile = profile or settings.profile
    if profile not in PROFILES:
        raise LabError(f"There is no profile {profile!r}. Choose one of {', '.join(PROFILES)}.")
    day = timetable.lesson(lesson_id)
    text = authoring.notebook_text(day, manuscripts.read(day), variant)
    folder = folder or settings.workspace / "executed"
    folder.mkdir(parents=True, exist_ok=True)
    source, log = folder / f"{lesson_id}-{variant}.source.ipynb", folder / f"{lesson_id}-{variant}.jsonl"
    source.write_text(text, encoding="utf-8")
    log.unlink(missing_ok=True)
    output = folder / f"{lesson_id}-{variant}.ipynb"
    output.unlink(missing_ok=True)  # what an earlier run saw must not pass for what this one saw
    error = None
    started = time.perf_counter()
    with environment(profile, workspace or settings.workspace, log):
        try:
            papermill.execute_notebook(
                str(source), str(output), cwd=str(folder), progress_bar=False, kernel_name="python3",
                # Saving once at the end (a failure is saved too) instead of after each cell.
                request_save_on_cell_execute=False, autosave_cell_every=0,
                # Each kernel would warn that its connection, inside this machine, is not encrypted.
                extra_arguments=["--IPKernelApp.log_level=40"],
            )  # fmt: skip
        except PapermillExecutionError as failure:
            error = f"cell {failure.exec_count}: {failure.ename}: {failure.evalue}"
        except DeadKernelError:
            error = "a cell that killed the kernel; most often the memory ran out. Close other programs, run it again"
    seconds = time.perf_counter() - started
    source.unlink()
    return LessonRun(lesson_id, variant, output, _read_log(log), seconds, error)


@contextmanager
def environment(profile: str, workspace: Path, log: Path) -> Iterator[None]:
    """Set the variables that a lesson's kernel inherits, and put the old ones back afterwards.

    Args:
        profile: profile of the run.
        workspace: its workspace.
        log: where it writes its events.

    Yields:
        Nothing; inside the block the variables are set.
    """
    with tempfile.TemporaryDirectory(prefix="progress-") as progress:
        wanted = {
            "LAB_PROFILE": profile,
            "LAB_WORKSPACE": str(workspace),
            # A run by machine must not tick boxes or count attempts in the learner's own files.
            "LAB_PROGRESS": progress,
            "LAB_RUN_LOG": str(log),
            "LAB_HEADLESS": "1",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
        before = dict(os.environ)
        os.environ.update(wanted)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _read_log(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
