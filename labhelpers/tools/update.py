"""`lab update`: brings the course forward by git and loses nothing of the learner's; edited notebooks stay beside the new ones."""

import os
import subprocess
from pathlib import Path

from ..core.settings import LabError, current
from .authoring import notebooks

SECONDS_TO_FETCH = 120
INSTALLED = ("requirements", "pyproject.toml")  # a change there means that `make lab` has to install


def update(root: Path | None = None) -> list[str]:
    """Fetch what is new, put aside what the learner changed of it, and move forward; say what was done.

    Nothing is merged: a copy whose history went its own way is left as it is, with a word about it.

    Raises:
        LabError: when this is no clone, when nobody answers, when there are commits of one's own, or when git refuses.
    """
    root = root or current().root
    _check_clone(root)
    _fetch(root)
    if not _git(root, "rev-list", "HEAD..@{upstream}"):
        return ["The course is up to date. Nothing was changed."]
    if _git(root, "rev-list", "@{upstream}..HEAD"):
        raise LabError(
            "This copy has commits of its own, so it cannot simply move forward. Nothing was changed. Merge them with "
            "`git pull --no-rebase`, or clone the course anew and bring your progress along (`lab progress pack`)."
        )
    changed = _git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD", "@{upstream}").split("\0")
    said = [_put_aside(root, name) for name in filter(None, changed) if _is_mine(root, name)]
    commits = _git(root, "rev-list", "--count", "HEAD..@{upstream}")
    try:
        _git(root, "merge", "--ff-only", "--quiet", "@{upstream}")
    except LabError as error:
        raise LabError(" ".join([*said, "What is named here lies there, whole.", str(error)])) from error
    said.append(
        f"The course moved forward by {commits} change{'s' * (commits != '1')}; your progress is as it was."
    )
    if "curriculum/timetable.yaml" in changed:
        said.append("`lab progress sync` brings your checklists along.")
    if any(name.startswith(INSTALLED) for name in changed):
        said.append("It needs other packages than before: run `make lab`, which installs them.")
    return said


def _check_clone(root: Path) -> None:
    if not (root / ".git").exists():
        raise LabError(
            f"{root} is no git clone, so there is nothing to move forward. Get the course again in another folder, and "
            "bring your progress along: `lab progress pack` here, `lab progress unpack` there."
        )
    if _git(root, "diff", "--name-only", "--diff-filter=U"):
        raise LabError(
            "A merge is half done in this folder: some files hold both versions, between conflict marks. "
            "`git reset --merge` takes it back; what you had is still in your commits or in `git stash list`. Then `lab "
            "update` again."
        )
    try:
        _git(root, "rev-parse", "--abbrev-ref", "@{upstream}")
    except LabError as error:
        raise LabError(
            "This copy follows no branch of the course (no upstream). Nothing was changed. Go back to the course's "
            "branch with `git switch main`, then `lab update` again."
        ) from error


def _fetch(root: Path) -> None:
    try:
        _git(root, "fetch", "--quiet", seconds=SECONDS_TO_FETCH)
    except LabError as error:
        raise LabError(
            f"Where the course comes from could not be reached, so nothing was changed. {error} Check the connection "
            "and try again; all that is here works without it."
        ) from error


def _is_mine(root: Path, name: str) -> bool:
    """Whether a file that the update brings or removes is here in other words than the course's."""
    if not os.path.lexists(root / name):
        return False
    try:
        return _git(root, "rev-parse", f"HEAD:{name}") != _git(root, "hash-object", "--", name)
    except LabError:  # the course did not have it, or it is no file
        return True


def _put_aside(root: Path, name: str) -> str:
    """Rename the learner's version, and give git back the one that it knows."""
    path = root / name
    kept = notebooks.move_aside(path)
    _git(root, "rm", "--quiet", "--cached", "--ignore-unmatch", "--", name)
    if _git(root, "ls-tree", "HEAD", "--", name):
        _git(root, "checkout", "--quiet", "HEAD", "--", name)
    return f"{name}: yours is now {kept.name}, nothing of it was changed."


def _git(root: Path, *arguments: str, seconds: float = 60) -> str:
    """Run git without questions; LabError with its own words when it refuses."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8", timeout=seconds,
            stdin=subprocess.DEVNULL, env={**os.environ, **quiet}, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise LabError("There is no git on this machine. Install it, then `lab update` again.") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"git {arguments[0]} gave no answer for {seconds:.0f} seconds.") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise LabError(f"git {arguments[0]} says: {lines[0]}.")
    return done.stdout.strip()
