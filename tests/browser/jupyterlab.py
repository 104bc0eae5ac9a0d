"""JupyterLab, started by the command behind `make lab` on a copy of the course, with files of its own."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labhelpers.core.settings import current

LONGEST_START = 120  # seconds
COPIED = ("labhelpers", "lessons", "curriculum", "README.md", "pyproject.toml", "requirements.lock")
NOT_COPIED = ("__pycache__", ".ipynb_checkpoints", "*.mine*", "start_here.ipynb")


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its printed address, and where the learner's files are."""

    address: str
    course: Path
    progress: Path
    workspace: Path

    @property
    def base(self) -> str:
        """The address up to the port."""
        return re.match(r"http://[^/]+", self.address).group()

    @property
    def token(self) -> str:
        """The token in the printed address."""
        return self.address.split("token=")[1]

    def end_kernel(self, path: str) -> None:
        """Shut down the kernel of a notebook, as happens overnight."""
        sessions = json.load(self.ask("GET", "/api/sessions"))
        (session,) = [session for session in sessions if session["path"] == path]
        self.ask("DELETE", f"/api/sessions/{session['id']}")

    def ask(self, method: str, path: str):
        """Ask the server itself."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.base}{path}", headers=headers, method=method)
        return urllib.request.urlopen(request, timeout=30)


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """Copy the course into a folder and serve it as `make lab ARGS=--no-browser` does, until the block ends."""
    course = folder / "course"
    _copy_course(course)
    log = folder / "lab.log"
    command = [sys.executable, "-c", "from labhelpers.tools.cli import main; main()", "start", "--no-browser"]
    with open(log, "w") as stream:
        process = subprocess.Popen(
            [*command, "--port", str(_free_port())], cwd=course, env=_learners_environment(folder),
            stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    lab = Lab(_printed_address(process, log), course, folder / "progress", folder / "workspace")
    try:
        yield lab
    finally:
        _shut_down(lab, process)


def _copy_course(course: Path) -> None:
    course.mkdir()
    for name in COPIED:
        source = current().root / name
        if source.is_dir():
            shutil.copytree(source, course / name, ignore=shutil.ignore_patterns(*NOT_COPIED))
        else:
            shutil.copy(source, course / name)


def _learners_environment(folder: Path) -> dict[str, str]:
    """The environment of a learner who has set nothing, with every file kept below the folder."""
    ours = ("LAB_", "JUPYTER", "IPYTHON", "HF_", "MPL", "MLFLOW", "PYTHON", "PYTEST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if "LAB_CACHE" in os.environ:
        environment["LAB_CACHE"] = os.environ["LAB_CACHE"]
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment |= {name: str(folder / name.lower()) for name in places}
    environment |= {f"LAB_{name.upper()}": str(folder / name) for name in ("workspace", "progress")}
    # The kernel starts as "python": it must be the one that runs these tests, and find the copy.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return environment | {"LAB_PROFILE": "smoke", "PYTHONPATH": str(folder / "course"), "PATH": path}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _printed_address(process: subprocess.Popen, log: Path) -> str:
    """Wait for the address that a learner without a browser is told to open."""
    deadline = time.monotonic() + LONGEST_START
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", log.read_text()):
            return found.group()
        time.sleep(0.1)
    process.kill()
    raise RuntimeError(
        f"`lab start` printed no address within {LONGEST_START} s. It said:\n{log.read_text()}"
    )


def _shut_down(lab: Lab, process: subprocess.Popen) -> None:
    """Ask the server to end, so that it ends its kernels first."""
    lab.ask("POST", "/api/shutdown")
    process.wait(timeout=60)
