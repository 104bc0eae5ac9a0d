"""A project's image: built where Docker or Podman is, tried out without them elsewhere."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

from ..core.settings import LabError


def engine() -> str | None:
    """Tell which of Docker and Podman answers here; the command alone is not enough."""
    for name in ("podman", "docker"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if (
                shutil.which(name)
                and not subprocess.run([name, "info"], capture_output=True, timeout=30).returncode
            ):
                return name
    return None


def build(folder: str | Path, tag: str = "films", options: tuple[str, ...] = ()) -> bool:
    """Build the image; True if that went well. What the builder says is shown as it comes.

    Args:
        folder: a project with a Dockerfile.
        tag: the image's name.
        options: more words for `build`, such as "--target", "training".

    Raises:
        LabError: when neither Docker nor Podman answers.
    """
    name = engine()
    if name is None:
        raise LabError(
            "Neither Docker nor Podman answers here. Run the steps without: lab project image --dry"
        )
    kept = ("--format", "docker") if name == "podman" else ()  # else Podman drops the health check
    return not subprocess.run([name, "build", *kept, "--tag", tag, *options, "."], cwd=folder).returncode


def dry(folder: str | Path) -> bool:
    """Run the steps of the last stage without a builder: the project's own `src/serving/dry.py` does it."""
    return not subprocess.run([sys.executable, "-m", "src.serving.dry"], cwd=folder).returncode
