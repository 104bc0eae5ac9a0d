"""Colab: the badge and the first cell of a lesson, and what that cell runs (`python -m labhelpers.colab`).

It fills in what Colab's image lacks and leaves torch and numpy alone.
"""

import importlib.metadata
import subprocess
import sys
from typing import Any

from . import timetable
from .doctor import locked_versions

# What the lessons import and Colab may lack. Versions come from the lock, so nothing is typed twice.
NEEDED = ("transformers", "peft", "accelerate", "datasets", "mlflow", "pypi-simple", "gguf")
# Replacing one of these under a running Colab kernel breaks it.
UNTOUCHED = (
    "torch",
    "numpy",
    "pandas",
    "pillow",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "ipython",
    "ipykernel",
)


def badge(day: dict[str, Any]) -> list[str]:
    """Link a lesson to Colab.

    Args:
        day: the lesson, from the timetable.

    Returns:
        Markdown lines; none while the timetable states no public address of the course.
    """
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
    """Write the first cell, which makes a lesson work in Colab.

    Returns:
        One code cell that does nothing where `labhelpers` is installed; none while there is no public address.
    """
    course = timetable.load()["course"]
    if not course.get("repository"):
        return []
    clone = [
        "git",
        "clone",
        "--depth=1",
        f"--branch={course['branch']}",
        course["repository"],
        "/content/course",
    ]
    return [
        f"""\
# On your own machine this cell does nothing. In Colab it fetches the course.
import importlib.util, subprocess, sys
if importlib.util.find_spec("labhelpers") is None:
    subprocess.run({clone}, check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "-e", "/content/course"], check=True)
    sys.path.insert(0, "/content/course")
    subprocess.run([sys.executable, "-m", "labhelpers.colab"], cwd="/content/course", check=True)"""
    ]


def missing() -> list[str]:
    """List what must be installed.

    Returns:
        Requirements such as "peft==0.21.2" for each needed package that is absent or of another version.
    """
    versions = locked_versions()
    return [f"{name}=={versions[name]}" for name in NEEDED if _installed(name) != versions[name]]


def constraints() -> list[str]:
    """Pin what Colab already has, so that no dependency replaces it.

    Returns:
        Constraint lines such as "torch==2.11.0" for the packages that must stay as they are.
    """
    return [f"{name}=={version}" for name in UNTOUCHED if (version := _installed(name))]


def main() -> None:
    """Install what is missing and fetch models and data; say in one line what to do if that fails."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "constraints.txt"
        pins.write_text("\n".join(constraints()), encoding="utf-8")
        if needed := missing():
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", "-q", *needed, "-c", str(pins)], check=False
            )
            if done.returncode:
                raise SystemExit(
                    "Colab's own packages do not fit this course's versions. Choose Runtime → Disconnect and delete "
                    "runtime, then run this cell first; if it fails again, report the lines above."
                )
    from . import assets

    assets.prepare()


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
