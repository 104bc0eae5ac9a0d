"""Files that are whole or not there: written in one step, locked, set aside, never half, never lost."""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .settings import LabError, current

SECONDS_TO_WAIT = 10.0
# A half-written file of this age has no writer any more: no write takes a minute.
SECONDS_TILL_ABANDONED = 60.0
TRIES = 20
ROOM = "Check that the disk has room and that the folder is yours, then try again."


@contextlib.contextmanager
def readable_errors(path: Path, action: str, next_step: str = ROOM) -> Iterator[None]:
    """Turn what the operating system says into a LabError that names the file and the next step."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not from the file system: a fault of ours or of a library
            raise
        what = f"Could not {action} {path}: {error.strerror or error}."
        raise LabError(f"{what} What was there is as it was. {next_step}") from error


@contextlib.contextmanager
def lock(path: Path, busy: str = "", timeout: float = -1) -> Iterator[None]:
    """Let one process at a time work on a file or folder; the lock is a hidden file beside it.

    Whoever has to wait is told so once with `busy`; whoever waits longer than `timeout` seconds gets a LabError.
    """
    from filelock import FileLock, Timeout

    held = FileLock(path.with_name(f".{path.name}.lock"))
    with readable_errors(path, "lock"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            held.acquire(timeout=0)
        except Timeout:
            if busy:
                print(f"{busy}. Waiting for it to finish.", flush=True)
            _wait(held, path, timeout)
    try:
        yield
    finally:
        held.release()


def _wait(held: Any, path: Path, timeout: float) -> None:
    from filelock import Timeout

    try:
        held.acquire(timeout=timeout)
    except Timeout as error:
        raise LabError(
            f"Another notebook or command has been writing {path} for {timeout:.0f} seconds. Nothing was changed. "
            "Close the other one, then run the cell again."
        ) from error


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time change the learner's own files; LabError after ten seconds of waiting."""
    folder = current().progress
    with lock(folder / "progress", timeout=SECONDS_TO_WAIT):
        _clear_abandoned(folder)
        yield


def read_bytes(path: Path) -> bytes:
    """Read a file; a missing one is empty."""
    with readable_errors(path, "read"):
        return path.read_bytes() if path.exists() else b""


def read_text(path: Path) -> str:
    """Read a text of the learner's; a missing one is empty, one that is not UTF-8 is a LabError."""
    return decoded(read_bytes(path), path)


def decoded(raw: bytes, path: Path) -> str:
    """Read bytes as UTF-8; the error names the file and how to save it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise LabError(
            f"{path} is not UTF-8 text (line {line}). The file was not touched. Open it in your editor, save it "
            'with the encoding "UTF-8", and try again.'
        ) from error


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a crash leaves the old one or the new one. A link stays a link."""
    path = path.resolve()
    raw = content.encode() if isinstance(content, str) else content
    with readable_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        try:
            with open(handle, "wb") as stream:
                stream.write(raw)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def change(path: Path, edit: Callable[[bytes | None], bytes]) -> None:
    """Rewrite a file from what it holds (None: no file); hold the lock while you do."""
    for _ in range(TRIES):
        before = read_bytes(path) if path.exists() else None
        after = edit(before)
        if after == before:
            return
        # An editor may have saved in between: then its words are edited, not overwritten.
        if before == (read_bytes(path) if path.exists() else None):
            write(path, after)
            return
    raise LabError(
        f"{path} was saved by another program again and again while it was being changed. Your file is as that "
        "program left it. Close it there, then run the cell again."
    )


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `folder` when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.new.") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        os.replace(new, folder)


def set_aside(path: Path) -> Path:
    """Rename a broken file or folder to `broken-<name>`, so that nothing uses it and nothing is lost."""
    target, number = path.with_name(f"broken-{path.name}"), 2
    while target.exists():
        target, number = path.with_name(f"broken-{path.name}-{number}"), number + 1
    shutil.move(path, target)
    return target


def keep_aside(path: Path, content: bytes | None = None, word: str = "kept") -> Path:
    """Copy a learner's file beside itself under a free name, such as plan.kept-1.yaml; equal bytes are kept once."""
    raw = read_bytes(path) if content is None else content
    number = 1
    while (copy := path.with_name(f"{path.stem}.{word}-{number}{path.suffix}")).exists():
        if read_bytes(copy) == raw:
            return copy
        number += 1
    write(copy, raw)
    return copy


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one JSON object as a line at the end of a log, safely on disk; hold the lock while you do."""
    with readable_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as file:
            # After a crash the last line may lack its end; ours must not be glued to it.
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            glue = b"" if file.read(1) in (b"", b"\n") else b"\n"
            file.write(glue + json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def records(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a log, oldest first; lines that are damaged are passed over."""
    return [record for line in _lines(path) if (record := _record(line)) is not None]


def damaged(path: Path) -> list[int]:
    """List the numbers (from 1) of a log's lines that hold something else than an object."""
    return [number for number, line in enumerate(_lines(path), 1) if line.strip() and _record(line) is None]


def _lines(path: Path) -> list[str]:
    return read_bytes(path).decode("utf-8-sig", "replace").split("\n")


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _clear_abandoned(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for left in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > SECONDS_TILL_ABANDONED:
                left.unlink()
