"""Tries the course with the latest releases of what it depends on, in an environment that is thrown away."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..core.settings import LabError, current
from . import doctor, moved_api
from .moved_api import Moved

SUITE = ("tests/unit", "tests/guides", "tests/lessons")
# These compare the environment with the lock, which is what this environment differs from on purpose.
ABOUT_THE_LOCK = (
    "--ignore=tests/unit/test_house.py",
    "--deselect=tests/unit/test_cli.py::test_doctor_finds_nothing_wrong_where_the_tests_run",
)
# The suite runs in the smoke profile and in folders of its own, which conftest.py makes; the cache is shared.
OWN = {"LAB_PROFILE", "LAB_SEED", "LAB_WORKSPACE", "LAB_PROGRESS", "LAB_RUN_LOG", "PYTHONPATH"}
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ASK = """
import importlib.metadata as metadata, json
versions = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
modules = {name: owners[0].lower().replace("_", "-") for name, owners in metadata.packages_distributions().items()}
print(json.dumps([versions, modules]))
"""


def run(only: str | None = None) -> bool:
    """Install the latest releases, run the smoke suite with them, and print what moved.

    Args:
        only: as pytest's -k: run only tests whose names fit.

    Returns:
        True when nothing failed that passes with the locked versions.

    Raises:
        LabError: when the environment cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="drift-") as folder:
        python = _python(Path(folder) / "venv")
        for sentence in install(python, ["setuptools", *dependencies()]):
            print(sentence)
        _call([*_installer(python), "--no-deps", "--no-build-isolation", "-e", str(current().root)])
        versions, modules = ask(python)
        locked = doctor.locked_versions()
        print(*table(locked, versions), sep="\n", flush=True)
        suspects = {name for name in locked if not _same(locked[name], versions.get(name, "none"))}
        owners = {**ask(Path(sys.executable))[1], **modules}
        found = _tried(python, Path(folder), only, owners, suspects)
        changed = [entry for entry in found if not _fails_here_too(entry, Path(folder))]
    print(*sentences(found, changed, locked, versions), sep="\n")
    return not changed


def dependencies() -> list[str]:
    """List the direct dependencies, as pyproject.toml names them for the course and its checks.

    Returns:
        Their names, sorted, without versions.
    """
    from packaging.requirements import Requirement

    project = tomllib.loads((current().root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = project["dependencies"] + project["optional-dependencies"]["test"]
    return sorted(Requirement(text).name.lower() for text in texts)


def install(python: Path, names: Sequence[str], torch_index: str | None = None) -> list[str]:
    """Make an environment with the latest release of each package.

    Args:
        python: interpreter of the environment; its folder is made.
        names: packages.
        torch_index: where CPU builds of torch are; None for PyTorch's own under Linux, whose ordinary build carries
            gigabytes of CUDA.

    Returns:
        Sentences about what could not be had in its latest release.

    Raises:
        LabError: when an installation fails; the installer has printed why.
    """
    without_pip = ["--without-pip"] if shutil.which("uv") else []
    _call([sys.executable, "-m", "venv", *without_pip, str(python.parents[1])])
    said: list[str] = []
    if torch_index is None and sys.platform == "linux":
        torch_index = CPU_INDEX
    if torch_index and "torch" in names:
        said = _install_torch(python, torch_index)
        names = [*(name for name in names if name != "torch"), f"torch=={ask(python)[0]['torch']}"]
    _call([*_installer(python), *names])
    return said


def ask(python: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Ask an environment what is installed in it.

    Args:
        python: its interpreter.

    Returns:
        Distribution → version, and importable name → distribution; names in lower case with hyphens.
    """
    done = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True, cwd=python.parent)
    versions, modules = json.loads(done.stdout)
    return versions, modules


def table(locked: Mapping[str, str], latest: Mapping[str, str]) -> list[str]:
    """Set the locked version of each direct dependency beside the one that was tried.

    Args:
        locked, latest: distribution → version.

    Returns:
        One line per dependency, below a line of heads; then one about the packages that they bring along.
    """
    lines = [f"{'package':<24}{'locked':<14}{'latest':<14}"]
    for name in dependencies():
        before, after = locked.get(name, "none"), latest.get(name, "none")
        changed = "" if _same(before, after) else "changed"
        lines.append(f"{name:<24}{before:<14}{after:<14}{changed}".rstrip())
    others = sorted(set(locked) - set(dependencies()))
    moved = [name for name in others if name in latest and not _same(locked[name], latest[name])]
    listed = ", ".join(f"{name} {locked[name]} → {latest[name]}" for name in moved)
    return [
        *lines,
        f"Of {len(others)} packages that these bring along, {len(moved)} changed{': ' + listed if moved else ''}.",
    ]


def sentences(
    found: Sequence[Moved], changed: Sequence[Moved], locked: Mapping[str, str], latest: Mapping[str, str]
) -> list[str]:
    """Say what moved, the most frequent first.

    Args:
        found: everything that failed with the latest releases.
        changed: of these, what passes with the locked ones.
        locked, latest: distribution → version.

    Returns:
        One sentence per moved API, then one about failures that are not the packages' doing.
    """
    lines = []
    for entry in sorted(changed, key=lambda entry: -len(entry.tests)):
        count = f" ({len(entry.tests)} tests)" if len(entry.tests) > 1 else ""
        who = _change(entry.package, locked, latest)
        lines.append(f"{who}: {entry.error}, first seen in {entry.tests[0]}{count}")
    here = [entry for entry in found if entry not in changed]
    lines += [f"Fails with the locked versions, too: {entry.tests[0]}: {entry.error}" for entry in here]
    return lines or ["Nothing moved: the suite passes with the latest releases."]


def _change(package: str, locked: Mapping[str, str], latest: Mapping[str, str]) -> str:
    if not package:
        return "package unknown"
    before, after = locked.get(package, "none"), latest.get(package, "none")
    return f"{package} {before} (not changed)" if _same(before, after) else f"{package} {before} → {after}"


def _same(before: str, after: str) -> bool:
    return before == after.split("+")[0]  # a CPU build of torch carries a suffix


def _tried(
    python: Path, folder: Path, only: str | None, modules: Mapping[str, str], changed: Collection[str] = ()
) -> list[Moved]:
    report = folder / "report.xml"
    choice = ["-k", only] if only else []
    code = _pytest(python, [*SUITE, *ABOUT_THE_LOCK, *choice], report)
    if not report.exists() or code > 1:
        raise LabError(f"pytest could not run the suite (exit code {code}). Its own words stand above.")
    return moved_api.moved(moved_api.failures(report), modules, changed)


def _fails_here_too(entry: Moved, folder: Path) -> bool:
    """Run the first test of an entry with the locked versions."""
    return _pytest(Path(sys.executable), [entry.tests[0]], folder / "again.xml", quiet=True) != 0


def _pytest(python: Path, arguments: Sequence[str], report: Path, quiet: bool = False) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in OWN}
    environment |= {
        "PATH": f"{python.parent}{os.pathsep}{environment['PATH']}",
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    options = ["-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}", "--tb=short"]
    options += ["--continue-on-collection-errors"]  # the vanished import in one file must not hide the rest
    return subprocess.run(
        [python, "-m", "pytest", *arguments, *options], cwd=current().root, env=environment,
        stdout=subprocess.DEVNULL if quiet else None, stderr=subprocess.STDOUT if quiet else None,
    ).returncode  # fmt: skip


def _install_torch(python: Path, index: str) -> list[str]:
    """Install the latest CPU build; without its index, the locked one from wherever there is one."""
    locked = doctor.locked_versions()["torch"]
    without = [*_installer(python), "--no-deps", "--index-url", index]
    if subprocess.run([*without, "torch"], env=_only(index), capture_output=True).returncode:
        _call([*_installer(python), "--no-deps", f"torch=={locked}"])
    kept = ask(python)[0]["torch"]
    if not _same(locked, kept):
        return []
    return [f"torch stays at {kept}: {index} offers no newer CPU build, or could not be reached from here."]


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _installer(python: Path) -> list[str]:
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    # Twice quiet: errors only. An index that lacks a package another one has is no news.
    return [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]


def _only(index: str) -> dict[str, str]:
    """Variables that keep other indexes out of it, even those named in pip's own files, and patience short."""
    other = {"PIP_EXTRA_INDEX_URL": index, "UV_EXTRA_INDEX_URL": index}
    return {**os.environ, **other, "PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "15", "UV_HTTP_TIMEOUT": "15"}


def _call(command: Sequence[str | Path]) -> None:
    if code := subprocess.run(command).returncode:
        raise LabError(
            f"This ended with exit code {code}: {' '.join(map(str, command))}\nWhat it said stands above. See that a "
            "package index can be reached and that memory and disk are left, then try again."
        )
