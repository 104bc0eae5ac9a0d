"""Checks this machine, says how to repair what is wrong, and predicts how long each lesson takes here."""

import datetime
import importlib.metadata
import json
import os
import platform
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import files, timetable
from ..core.settings import computes_bf16, current
from ..data import assets

MINIMUM_MEMORY_GIB = 7  # what a machine sold with 8 GB shows
MINIMUM_DISK_GIB = 3


@dataclass(frozen=True)
class Finding:
    """One line of the examination: what was looked at, whether it is well, what is there, and the exact next step."""

    what: str
    ok: bool
    found: str
    fix: str = ""


def examine() -> list[Finding]:
    """Look at everything the course depends on.

    Returns:
        One finding per subject, in the order a repair should go.
    """
    return [_python(), *_packages(), _lock(), _disk(), _memory(), _cores(), _gpu(), *_assets(), _kernel()]


def matmul_rate(dtype_name: str, size: int = 2048, repeats: int = 5, limit: float = 1.5) -> float:
    """Measure how fast this machine multiplies matrices: of this size, or smaller ones if these took more seconds."""
    import torch

    edge = min(size, 128)
    while True:
        left, right = (torch.ones(edge, edge, dtype=getattr(torch, dtype_name)) for _ in range(2))
        best = min(_seconds(lambda a=left, b=right: a @ b) for _ in range(repeats + 1))
        # Twice the edge is eight times the work.
        if edge == size or 8 * best * (repeats + 1) > limit:
            return 2 * edge**3 / best / 1e9
        edge = min(2 * edge, size)


def rates() -> dict[str, float]:
    """Measure the matmul rates, in GFLOP/s per number format, and remember them in the workspace."""
    path = timetable.rates_file()
    kinds = ("float32", "bfloat16") if computes_bf16() else ("float32",)
    measured = {name: round(matmul_rate(name), 1) for name in kinds}
    files.write(path, json.dumps(measured) + "\n")
    return measured


def lock_file() -> Path:
    """Name the lock file of this course."""
    return current().root / "requirements.lock"


def locked_versions(path: Path | None = None) -> dict[str, str]:
    """Read the exact versions for this Python and platform from a lock file.

    Args:
        path: lock file; None for the course's own.

    Returns:
        Normalised package name → version.
    """
    from packaging.requirements import Requirement

    versions = {}
    for line in (path or lock_file()).read_text(encoding="utf-8").splitlines():
        if re.match(r"^[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                versions[requirement.name.lower()] = str(requirement.specifier).removeprefix("==")
    return versions


def _seconds(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _python() -> Finding:
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    fix = "" if ok else "Install Python 3.11, 3.12 or 3.13, delete the folder .venv and run `make lab` again."
    return Finding("Python", ok, platform.python_version(), fix)


def _packages() -> list[Finding]:
    wrong = []
    for name, version in locked_versions().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed = "missing"
        # A CPU or CUDA build of torch carries a suffix, such as 2.13.0+cpu.
        if installed.split("+")[0] != version:
            wrong.append(f"{name} {installed} instead of {version}")
    if not wrong:
        return [Finding("Packages", True, f"{len(locked_versions())} as in {lock_file().name}")]
    fix = f"Run `{sys.executable} -m pip install --require-hashes -r {lock_file().name}`."
    return [Finding("Packages", False, "; ".join(wrong[:5]) + (" …" if len(wrong) > 5 else ""), fix)]


def _lock() -> Finding:
    """Say how old the locked versions are, by the date in the lock's first line."""
    with open(lock_file(), encoding="utf-8") as lock:
        dated = re.match(r"# Locked on (\d{4}-\d\d-\d\d)", lock.readline())
    try:
        days = (datetime.date.today() - datetime.date.fromisoformat(dated[1])).days
    except (TypeError, ValueError):
        return Finding("Versions", True, "locked on an unknown day")
    if days < 0:  # repairing a clock is the owner's business; lessons run with any
        return Finding(
            "Versions", True, f"locked on {dated[1]}, a day still to come here: is the clock right?"
        )
    return Finding("Versions", True, f"locked on {dated[1]}, {days} days ago; `make drift` tells what moved")


def _disk() -> Finding:
    folder = current().cache
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    ok = free >= MINIMUM_DISK_GIB
    fix = "" if ok else f"Free some space on {folder}, or set LAB_CACHE to a folder on a larger disk."
    return Finding("Disk", ok, f"{free:.0f} GiB free (the course needs {MINIMUM_DISK_GIB})", fix)


def _memory() -> Finding:
    import psutil

    total = psutil.virtual_memory().total / 2**30
    ok = total >= MINIMUM_MEMORY_GIB
    fix = "" if ok else "Close other programs, or use the Colab way in the README."
    return Finding("Memory", ok, f"{total:.0f} GiB (the course needs {MINIMUM_MEMORY_GIB})", fix)


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    fix = "" if cores >= 2 else "One core works, about twice as slowly. Nothing to repair."
    return Finding("Cores", True, str(cores), fix)


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", True, torch.cuda.get_device_name())
    if Path("/proc/driver/nvidia/version").exists():
        return Finding(
            "GPU",
            False,
            "an NVIDIA driver, but this torch cannot use it",
            "Run `make clean lab TORCH=cuda`, or set LAB_PROFILE=cpu to stay on the CPU.",
        )
    return Finding("GPU", True, "none; not needed")


def _assets() -> list[Finding]:
    findings = []
    for status in assets.status():
        fix = "" if status.ready else "Run `lab prepare`."
        findings.append(
            Finding(
                f"Asset {status.id}",
                status.ready,
                status.state if status.ready else f"{status.state}: {status.detail}",
                fix,
            )
        )
    return findings


def _kernel() -> Finding:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    fix = f"Run `{sys.executable} -m ipykernel install --sys-prefix`."
    try:
        argv = KernelSpecManager().get_kernel_spec("python3").argv
    except NoSuchKernel:
        return Finding("Jupyter kernel", False, "not registered", fix)
    ok = shutil.which(argv[0]) is not None and Path(argv[0]).absolute() in _this_python()
    return Finding("Jupyter kernel", ok, argv[0] if not ok else "this environment", "" if ok else fix)


def _this_python() -> set[Path]:
    # The kernel may name any of the links python, python3, python3.11 of this environment, or plain "python".
    folder = Path(sys.executable).parent
    return {*folder.glob("python*"), Path("python").absolute(), Path("python3").absolute()}
