"""The learner's project: a copy of `curriculum/project` with gaps, as it stands at the start of a day."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core import files
from ..core.settings import LabError, current, is_interactive, pick
from ..data import samples

GAP = re.compile(
    r"^# <gap (?P<day>\w+)>\n(?P<stub>(?:#[^\n]*\n)*?)# <solution>\n(?P<solution>.*?)^# </solution>\n",
    re.M | re.S,
)
TASKS = {"classify": "sentences.csv", "generate": "chat.jsonl"}  # of the samples, the raw data to begin with
NO_NAME = ("user.name=Course learner", "user.email=learner@localhost")
FIRST_DAY = "day11"


def source() -> Path:
    """Where the running project lies, from which every starter is made."""
    return current().root / "curriculum" / "project"


def home() -> Path:
    """Tell where the learner's project is, or will be.

    Returns:
        `LAB_PROJECT`, or `finetuning-project` in the home folder; in a run by machine, a new temporary folder.
    """
    if named := os.environ.get("LAB_PROJECT"):
        return Path(named).expanduser().absolute()
    if is_interactive():
        return Path.home() / "finetuning-project"
    return Path(tempfile.mkdtemp(prefix="finetuning-project-"))


def new(
    folder: str | Path, task: str = "classify", data: str | Path | None = None, at: str = FIRST_DAY
) -> Path:
    """Make a project with a git and a DVC repository, one commit in it, and gaps to fill.

    Args:
        folder: where; it must not exist, or be empty, and not lie inside another git repository.
        task: "classify" (a label for each text) or "generate" (an answer to each conversation).
        data: your own raw data, .csv or .jsonl as `lessons/examples/README.md` describes it; the course's if omitted.
        at: lesson id such as "day14": what earlier days fill is filled.

    Returns:
        The project's folder.

    Raises:
        LabError: when the folder is taken, the task or day unknown, or the data missing; nothing is made then.
    """
    folder = Path(folder).expanduser().absolute()
    _require(folder, task, data, at)
    with files.readable_errors(folder, "make"):
        folder.mkdir(parents=True, exist_ok=True)
        for path in _sources():
            target = folder / path.relative_to(source())
            files.write(target, render(path.read_text(encoding="utf-8"), at))
        raw = _raw_data(folder, task, data)
        (folder / "params.yaml").write_text(_settings(folder / "params.yaml", task, raw), encoding="utf-8")
    _repositories(folder, raw)
    return folder


def ready(at: str, task: str = "classify") -> Path:
    """Open the learner's project for a day: made if there is none, earlier gaps filled where they are untouched.

    Args:
        at: lesson id, such as "day14".
        task: "classify" or "generate", for a project that is made now.

    Returns:
        The project's folder, `home()`; what somebody wrote in it stays.
    """
    folder = home()
    if not (folder / "dvc.yaml").is_file():
        print(f"A project for you, as it stands at the start of {at}: {new(folder, task, at=at)}")
    elif filled := fill(folder, at):
        print(f"Untouched until now, filled by ours: {', '.join(filled)}.")
    return folder


def render(text: str, at: str | None) -> str:
    """Fill the gaps of days before `at` and leave our stub in the others; None fills all."""
    return GAP.sub(lambda gap: _filled(gap) if at is None or gap["day"] < at else _stub(gap), text)


def gaps(file: Path) -> list[tuple[str, str, str]]:
    """List the gaps of one file of the source: day, stub, solution."""
    found = GAP.finditer(file.read_text(encoding="utf-8"))
    return [(gap["day"], _stub(gap), _filled(gap)) for gap in found]


def open_pieces(folder: Path) -> list[tuple[str, str]]:
    """List what still is as we delivered it: the file, and the function or stage that is to be written there."""
    return [
        (name, re.search(r"(?:def )?(\w+)[(:/]", stub)[1])
        for name, _, stub, _ in _gaps_of(folder)
        if _untouched(stub, folder / name)
    ]


def fill(folder: str | Path, at: str | None = None) -> list[str]:
    """Put our solution where a gap of an earlier day is still untouched; what somebody wrote stays.

    Args:
        folder: a project that `new` made.
        at: lesson id: gaps of days before it are filled; all if omitted.

    Returns:
        The names of the files that changed.
    """
    folder, changed = Path(folder), []
    for name, day, stub, solution in _gaps_of(folder):
        if _untouched(stub, folder / name) and _early(day, at):
            text = _line_start(stub).sub(lambda _, ours=solution: ours, _text(folder / name))
            files.write(folder / name, text)
            changed.append(name)
    return list(dict.fromkeys(changed))


def reference(folder: str | Path, name: str) -> str:
    """Show our version of a file, after an attempt at it.

    Args:
        folder: a project that `new` made.
        name: the file, such as "src/files.py".

    Returns:
        The text of our file, without gaps.

    Raises:
        LabError: when there is no such file, or the learner's still is as it was delivered.
    """
    path = source() / name
    if path not in _sources():
        known = ", ".join(sorted({name for name, *_ in _gaps_of(Path(folder))}))
        raise LabError(f"The project has no file {name!r} with gaps. Name one of {known}.")
    stubs = [stub for _, stub, _ in gaps(path)]
    if stubs and all(_untouched(stub, Path(folder) / name) for stub in stubs):
        raise LabError(
            f"{name} still is as you got it. Try once, then ask: `lab project check` says what is missing."
        )
    return render(path.read_text(encoding="utf-8"), None)


def _require(folder: Path, task: str, data: str | Path | None, at: str) -> None:
    if task not in TASKS:
        raise LabError(f"There is no task {task!r}. Choose one of {', '.join(TASKS)}.")
    if not re.fullmatch(r"day(1[1-9]|20)", at):
        raise LabError(f"No project stands at {at!r}. Name a day from day11 to day20.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabError(f"{folder} is there already, and nothing in it was changed. Name another folder.")
    around = next((place for place in folder.parents if (place / ".git").exists()), None)
    if around:
        raise LabError(f"{folder} would lie inside the git repository {around}. Name a folder outside of it.")
    if data is not None and not (Path(data).is_file() and Path(data).suffix.lower() in (".csv", ".jsonl")):
        raise LabError(f"{data} is no .csv or .jsonl file that is there. Give --data such a file.")


def _sources() -> Iterator[Path]:
    skipped = {"__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis"}
    return (path for path in sorted(source().rglob("*")) if path.is_file() and not skipped & set(path.parts))


def _gaps_of(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    for path in _sources():
        name = path.relative_to(source()).as_posix()
        if (folder / name).is_file():
            yield from ((name, *gap) for gap in gaps(path))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _line_start(stub: str) -> re.Pattern[str]:
    return re.compile("^" + re.escape(stub), re.M)


def _untouched(stub: str, path: Path) -> bool:
    return bool(_line_start(stub).search(_text(path)))


def _early(day: str, at: str | None) -> bool:
    return at is None or day < at


def _stub(gap: re.Match[str]) -> str:
    return re.sub(r"^# ?", "", gap["stub"], flags=re.M)


def _filled(gap: re.Match[str]) -> str:
    return gap["solution"].rstrip() + "\n"


def _raw_data(folder: Path, task: str, data: str | Path | None) -> str:
    """Copy the raw file into the project and tell its name there."""
    own = Path(data) if data else samples.write() / TASKS[task]
    name = f"data/raw/{own.name}"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(own, folder / name)
    return name


def _settings(path: Path, task: str, raw: str) -> str:
    """Set task, raw data and sizes in params.yaml; comments stay."""
    import io

    from ruamel.yaml import YAML

    editor, written = YAML(), io.StringIO()
    editor.preserve_quotes = True
    params = editor.load(path.read_text(encoding="utf-8"))
    params["task"], params["prepare"]["raw"] = task, raw
    changes: dict[str, dict[str, Any]] = {"prepare": {"rows": pick(smoke=120, cpu=2000)}, "finetune": {}}
    changes["finetune"]["epochs"] = pick(smoke=1, cpu=2)
    if task == "generate":
        changes["prepare"]["rows"] = pick(smoke=16, cpu=320)
        changes["model"] = {"base": "smollm2", "max_length": 256}
        changes["finetune"] = {"learning_rate": 2.0e-4, "batch_size": 4, "epochs": 1}
        changes["evaluate"] = {"answer_tokens": pick(smoke=8, cpu=24)}
    for section, values in changes.items():
        params[section].update(values)
    editor.dump(params, written)
    return written.getvalue()


def _repositories(folder: Path, raw: str) -> None:
    """Make git's and DVC's repositories and commit what is there; a person's own identity is used as it is."""
    git = ["git"]
    _run(folder, *git, "init", "--quiet", "--initial-branch=main")
    if subprocess.run([*git, "config", "user.email"], cwd=folder, capture_output=True).returncode:
        for entry in NO_NAME:
            _run(folder, *git, "config", "--local", *entry.split("=", 1))
        print(
            "Git does not know you yet: in this project you are 'Course learner'. Change it there with\n"
            '  git config user.name "Your Name" and git config user.email you@example.org'
        )
    dvc = [sys.executable, "-m", "dvc"]
    _run(folder, *dvc, "init", "--quiet")
    files.write(folder / ".dvc" / "config", "[core]\n    analytics = false\n    check_update = false\n")
    _run(folder, *dvc, "add", "--quiet", raw)
    _run(folder, *git, "add", "--all")
    _run(folder, *git, "commit", "--quiet", "--message", "Start the project")


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"}
    )
    if done.returncode:
        raise LabError(
            f"`{' '.join(command)}` failed in {folder}: {(done.stderr or done.stdout).strip()[-300:]}"
        )
