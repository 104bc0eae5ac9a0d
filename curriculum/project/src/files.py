"""Files that are whole or not there: written beside their place, then moved into it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src import config


# <gap day13>
# def write(path: Path, text: str) -> None:
#     """Replace a file in one step; a kill in between leaves the old one."""
#     ...
# <solution>
def write(path: Path, text: str) -> None:
    """Replace a file in one step; a kill in between leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


# </solution>


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder beside its place; it takes its place only when everything is in it, and the old one stays till then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.with_name(f".{path.name}.part-old")
    if old.exists() and not path.exists():  # a run was killed between the two moves below
        os.replace(old, path)
    for left in path.parent.glob(f".{path.name}.part-*"):  # of a run that was killed
        shutil.rmtree(left)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.part-", dir=path.parent))
    try:
        yield part
    except OSError as error:  # a full disk, most of all
        shutil.rmtree(part, ignore_errors=True)
        config.stop(f"{path} stays as it was: {error.strerror or error}. Make room, then run this again.")
    if path.exists():  # moved away whole: a folder that is being deleted is neither there nor gone
        os.replace(path, old)
    os.replace(part, path)
    shutil.rmtree(old, ignore_errors=True)


def needed(path: Path, command: str) -> Path:
    """Give a path back if something is there, and say else what makes it."""
    if not path.exists():
        config.stop(f"{path} is not there. Make it first: {command}")
    return path
