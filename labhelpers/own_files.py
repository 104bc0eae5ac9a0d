"""Reads and writes the learner's own files: one writer at a time, the old file or the new one, never half."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import settings
from .settings import LabError

SECONDS_TO_WAIT = 10.0


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time change the learner's files.

    Raises:
        LabError: when another process keeps them for more than ten seconds.
    """
    import filelock

    # In the workspace, so that no stray file stands beside what the learner owns.
    path = settings.current().workspace / ".progress.lock"
    with readable_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path, timeout=SECONDS_TO_WAIT)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise LabError(
                f"Another notebook or command has been writing your progress for {SECONDS_TO_WAIT:.0f} seconds "
                f"(lock {path}). Nothing was changed. Close the other one, then run the cell again."
            ) from error
    try:
        yield
    finally:
        lock.release()


def read_bytes(path: Path) -> bytes:
    """Read a file; a missing one is empty."""
    with readable_errors(path, "read"):
        return path.read_bytes() if path.exists() else b""


def replace(path: Path, content: bytes) -> None:
    """Put new bytes in place of a file in one step; a link stays a link."""
    path = path.resolve()
    with readable_errors(path, "write"):
        if path.exists() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o644)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def readable_errors(path: Path, action: str) -> Iterator[None]:
    """Turn what the operating system says into a LabError that names the file."""
    try:
        yield
    except OSError as error:
        raise LabError(
            f"Could not {action} {path}: {error.strerror or error}. Your files are as they were. Check that the disk "
            "has room and that the folder is yours, then run the cell again."
        ) from error
