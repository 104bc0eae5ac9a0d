"""Runs lessons without a browser: one fresh kernel each, on copies, with a log of what happened."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ...core import files, timetable
from ...core.settings import PROFILES, LabError, current
from . import manuscripts
from . import notebooks as authoring


@dataclass(frozen=True)
class LessonRun:
    """What one execution of a lesson left behind: the executed notebook, and what the lesson logged."""

    lesson: str
    variant: str  # "learner", "solved" or "misconceptions"
    notebook: Path
    events: list[dict[str, Any]]
    seconds: float  # of the whole run, kernel start included
    error: str | None  # of the first failing cell

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """Choose the events of a kind, such as "check" or "record"."""
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
    """Execute one lesson in a fresh kernel; a failing cell is reported in `error`, not raised.

    Args:
        lesson_id: such as "day04".
        variant: "learner" (as a learner gets it, unsolved), "solved" or "misconceptions".
        profile: None for the profile in force.
        workspace: where the lesson keeps data and runs; None for the learner's own.
        folder: where the executed notebook and the log go; None for `executed/` in the workspace.
    """
    settings = current()
    profile = profile or settings.profile
    if profile not in PROFILES:
        raise LabError(f"There is no profile {profile!r}. Choose one of {', '.join(PROFILES)}.")
    day = timetable.lesson(lesson_id)
    text = authoring.notebook_text(day, manuscripts.read(day), variant)
    folder = folder or settings.workspace / "executed"
    folder.mkdir(parents=True, exist_ok=True)
    output, log = folder / f"{lesson_id}-{variant}.ipynb", folder / f"{lesson_id}-{variant}.jsonl"
    for earlier in (output, log):  # what an earlier run saw must not pass for what this one saw
        earlier.unlink(missing_ok=True)
    started = time.perf_counter()
    with environment(profile, workspace or settings.workspace, log):
        error = _execute(text, output)
    seconds = time.perf_counter() - started
    return LessonRun(lesson_id, variant, output, files.records(log), seconds, error)


def _execute(text: str, output: Path) -> str | None:
    """Run a notebook in the folder of `output`, keep it there with what its cells said, and return its error."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    source = output.with_suffix(".source.ipynb")
    source.write_text(text, encoding="utf-8")
    try:
        papermill.execute_notebook(
            str(source), str(output), cwd=str(output.parent), progress_bar=False, kernel_name="python3",
            # Saving once at the end (a failure is saved too) instead of after each cell.
            request_save_on_cell_execute=False, autosave_cell_every=0,
            # Each kernel would warn that its connection, inside this machine, is not encrypted.
            extra_arguments=["--IPKernelApp.log_level=40"],
        )  # fmt: skip
    except PapermillExecutionError as failure:
        return f"cell {failure.exec_count}: {failure.ename}: {failure.evalue}"
    except DeadKernelError:
        return (
            "a cell that killed the kernel; most often the memory ran out. Close other programs, run it again"
        )
    finally:
        source.unlink()
    return None


@contextmanager
def environment(profile: str, workspace: Path, log: Path) -> Iterator[None]:
    """Set the variables that a lesson's kernel inherits, and put the old ones back afterwards."""
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
        with mock.patch.dict(os.environ, wanted):
            yield
