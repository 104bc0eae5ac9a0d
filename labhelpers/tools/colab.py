"""Colab: the badge and the first cell of a lesson, and what that cell runs.

It fills in what Colab's image lacks and leaves torch and numpy alone. No package is built: the course is imported
from its folder, because Colab's own setuptools is not the course's affair.
"""

import importlib
import importlib.metadata
import site
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..core import timetable
from ..core.settings import LabError, current
from .doctor import locked_versions

# What the lessons import and Colab lacks or has in another version. Versions come from the lock.
NEEDED = (
    *("transformers", "peft", "accelerate", "datasets", "mlflow", "bitsandbytes", "pypi-simple"),
    *("gguf", "optuna", "icalendar", "trl", "rouge-score", "dvc", "httpx"),
)
# Replacing one of these under a running Colab kernel breaks it.
UNTOUCHED = (
    *("torch", "numpy", "pandas", "pillow", "scipy", "scikit-learn"),
    *("matplotlib", "ipython", "ipykernel", "ipywidgets"),
)


def badge(day: dict[str, Any]) -> list[str]:
    """Link a lesson to Colab: Markdown lines, none while the timetable states no public address of the course."""
    course = timetable.load()["course"]
    if not course.get("repository"):
        return []
    target = f"{course['repository']}/blob/{course['branch']}/lessons/{day['lesson']}.ipynb"
    colab = target.replace("https://github.com/", "https://colab.research.google.com/github/")
    return [
        f"[![Open this lesson in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({colab})",
        "",
    ]


def bootstrap() -> list[str]:
    """Write the first cell, which makes a lesson work in Colab; none while there is no public address."""
    course = timetable.load()["course"]
    if not course.get("repository"):
        return []
    clone = f"git clone -q --depth=1 --branch={course['branch']} {course['repository']} course".split()
    return [
        f"""\
# On your own machine this cell does nothing. In Colab it fetches the course and what Colab lacks.
import pathlib, subprocess, sys

if "google.colab" in sys.modules:
    if not pathlib.Path("course").exists():
        subprocess.run({clone}, check=True)
    sys.path.insert(0, str(pathlib.Path("course").resolve()))
    from labhelpers.tools import colab

    colab.prepare()"""
    ]


def missing() -> list[str]:
    """List what is absent or of another version, as requirements such as "peft==0.21.2"."""
    versions = locked_versions()
    return [f"{name}=={versions[name]}" for name in NEEDED if _installed(name) != versions[name]]


def constraints() -> list[str]:
    """Pin what Colab already has, such as "torch==2.11.0", so that no dependency replaces it."""
    return [f"{name}=={version}" for name in UNTOUCHED if (version := _installed(name))]


def prepare() -> None:
    """Install what is missing, fetch models and data, and let later kernels find the course."""
    if needed := missing():
        print(f"Fetching {len(needed)} packages that Colab lacks. Torch and numpy stay as they are.")
        _install(needed)
    if stale := outdated():
        raise LabError(
            f"{', '.join(stale)} was imported before this cell ran. Choose Runtime → Restart session, then run the "
            "notebook from its first cell. What you wrote stays."
        )
    from ..data import assets

    assets.prepare()
    folder = Path(site.getsitepackages()[0])
    (folder / "course.pth").write_text(f"{current().root}\n", encoding="utf-8")


def outdated() -> list[str]:
    """Name what this kernel imported in another version than the one installed now; silence accuses nobody."""
    stated = {name: getattr(sys.modules.get(name), "__version__", None) for name in NEEDED}
    return [name for name, version in stated.items() if version and version != _installed(name)]


def _install(needed: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "constraints.txt"
        pins.write_text("\n".join(constraints()), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *needed, "-c", str(pins)], capture_output=True, text=True, check=False)
    importlib.invalidate_caches()
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise LabError(
            f"Colab's packages and the course's do not go together: {lines[-1] if lines else 'pip failed'}. Choose "
            "Runtime → Disconnect and delete runtime, and run this cell first. Does it fail again? Report this line."
        )


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
