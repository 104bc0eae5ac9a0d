"""Runs whole lessons, holds their results against the timetable's bands, and refreshes the measured times."""

import datetime
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ...core import files, timetable
from ...core.settings import PROFILES, LabError, computes_bf16, current
from .. import doctor
from . import manuscripts
from . import notebooks as authoring

HEAD = "# Written by `make verify` on 2 CPU cores, solved, empty workspace. Seconds include the kernel's start.\n"
# Solved first: what it trained is found again by the untouched run, which then costs seconds.
VARIANTS = ("solved", "learner")


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
    """Execute one lesson in a fresh kernel; a failing cell is reported in `error`, not raised."""
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
            "LAB_PROJECT": str(Path(progress) / "finetuning-project"),  # nor write in their project
            "LAB_RUN_LOG": str(log),
            "LAB_HEADLESS": "1",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
        with mock.patch.dict(os.environ, wanted):
            yield


@dataclass(frozen=True)
class Stored:
    """A run that `lab verify` made, as it is kept in the workspace, with what is wrong with it."""

    run: LessonRun
    profile: str
    finished: str  # such as "2026-11-21 15:30"
    machine: str
    complaints: list[str]


def verify(lesson_ids: list[str] | None, profile: str) -> bool:
    """Run lessons (None: all) solved, in an empty workspace, then untouched, and say whether all are sound.

    Only the profile "cpu" refreshes `curriculum/measured.yaml` and the lesson headers.
    """
    import tempfile

    lesson_ids = lesson_ids or ready()
    rates, sound = doctor.rates(), True
    for lesson_id in lesson_ids:
        with tempfile.TemporaryDirectory(prefix=f"verify-{lesson_id}-") as workspace:
            for variant in VARIANTS:
                result = run(lesson_id, variant, profile, Path(workspace), folder(profile))
                complaints = complaints_about(result)
                _keep(result, profile, rates)
                print(_line(result), *complaints, sep="\n   ")
                sound = sound and not complaints
                if profile == "cpu" and variant == "solved" and not complaints:
                    _remember(result, rates)
    return sound


def ready() -> list[str]:
    """List the ids of the lessons that are written, in teaching order."""
    return [day["id"] for day in timetable.lessons() if day["status"] == "ready"]


def complaints_about(result: LessonRun) -> list[str]:
    """List what is wrong with a run: "solved", where every answer must be right, or "learner", where none may be."""
    if result.error:
        return [f"stopped at {result.error}"]
    wanted = "untouched" if result.variant == "learner" else "right"
    complaints = [
        f"{event['exercise']} was {event['outcome']}: {event['feedback']}"
        for event in result.of_kind("check")
        if event["outcome"] != wanted
    ]
    for event in result.of_kind("record"):
        if event.get("low") is not None and not event["low"] <= event["value"] <= event["high"]:
            complaints.append(
                f"{event['name']} = {event['value']:.4g} is outside {event['low']} to {event['high']}"
            )
    recorded = {event["name"] for event in result.of_kind("record")}
    missing = set(timetable.lesson(result.lesson).get("bands") or {}) - recorded
    return complaints + [
        f"{name} has a band in the timetable but was not recorded" for name in sorted(missing)
    ]


def folder(profile: str) -> Path:
    """Tell where the executed notebooks and the kept results of a profile are, or will be."""
    return current().workspace / "executed" / profile


def stored(profile: str) -> list[Stored]:
    """Read the last run of each lesson and variant that was verified, in teaching order, solved before untouched."""
    paths = (folder(profile) / f"{lesson}-{variant}.json" for lesson in ready() for variant in VARIANTS)
    return [_read(path, profile) for path in paths if path.exists()]


def _read(path: Path, profile: str) -> Stored:
    kept = json.loads(path.read_text(encoding="utf-8"))
    result = LessonRun(
        kept["lesson"], kept["variant"], path.with_suffix(".ipynb"), kept["events"], kept["seconds"],
        kept["error"],
    )  # fmt: skip
    return Stored(result, profile, kept["finished"], kept["machine"], complaints_about(result))


def _keep(result: LessonRun, profile: str, rates: dict[str, float]) -> None:
    """Leave a result beside its executed notebook, for the report."""
    kept = {
        "lesson": result.lesson, "variant": result.variant, "seconds": result.seconds, "error": result.error,
        "finished": f"{datetime.datetime.now():%Y-%m-%d %H:%M}", "machine": machine(rates),
        "events": result.events,
    }  # fmt: skip
    path = folder(profile) / f"{result.lesson}-{result.variant}.json"
    files.write(path, json.dumps(kept, indent=1) + "\n")


def machine(rates: dict[str, float]) -> str:
    """Describe this machine in one sentence, with its speed in GFLOP/s per number format."""
    import importlib.metadata

    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    gib = psutil.virtual_memory().total / 2**30
    speed = ", ".join(f"{rate:,.0f} GFLOP/s in {name}" for name, rate in rates.items())
    return (
        f"{_processor()}, {cores} cores, {gib:.0f} GiB of memory; {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, torch {importlib.metadata.version('torch')}; {speed}"
    )


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "processor unknown"


def _line(result: LessonRun) -> str:
    memory = f"{result.peak_bytes / 2**30:.2f} GiB" if result.peak_bytes else "no memory figure"
    name = result.lesson if result.variant == "solved" else f"{result.lesson} (untouched)"
    return f"{name}: {result.seconds:.0f} s, {memory}, outputs in {result.notebook}"


def _remember(result: LessonRun, rates: dict[str, float]) -> None:
    """Write one lesson's measurement and rebuild its notebook, whose header shows it."""
    import yaml

    measured: dict[str, Any] = timetable.measurements()
    measured[result.lesson] = measurement(result, rates, measured.get(result.lesson))
    files.write(current().root / "curriculum" / "measured.yaml", HEAD + yaml.safe_dump(measured))
    authoring.build([result.lesson])


def measurement(result: LessonRun, rates: dict[str, float], before: dict[str, Any] | None) -> dict[str, Any]:
    """Say what a run took; on a processor without bf16 units only its seconds join what stands there."""
    seconds = round(result.seconds)
    if before and not computes_bf16():
        return {**before, "seconds_without_bf16": seconds}
    return (before or {}) | {
        "seconds": seconds,
        "peak_gib": round(result.peak_bytes / 2**30, 2),
        "date": datetime.date.today().isoformat(),
        "matmul_gflops": dict(rates),  # its own copy: YAML would write a reference to another lesson's
    }
