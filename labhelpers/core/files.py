"""Files that are whole or not there: written in one step, locked, set aside, never half, never lost."""

import codecs
import contextlib
import hashlib
import json
import os
import re
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
# The last line of a generated file: by it the course knows whether somebody wrote into the file since.
SEAL = re.compile(r"(?:# |<!-- )sealed ([0-9a-f]{16})(?: -->)?\s*\Z")
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
def lock(path: Path, busy: str = "", timeout: float = -1, next_step: str = ROOM) -> Iterator[None]:
    """Let one process at a time work on a file or folder; the lock is a hidden file beside it.

    Whoever has to wait is told so once with `busy`; whoever waits longer than `timeout` seconds gets a LabError.
    """
    with readable_errors(path, "lock", next_step):
        path = path.resolve()  # one lock, by whichever link one comes
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _acquired(path.with_name(f".{path.name}.lock"), path, busy, timeout)
    try:
        _tidy(path)
        yield
    finally:
        held.release()


def _acquired(file: Path, path: Path, busy: str, timeout: float) -> Any:
    from filelock import FileLock, Timeout

    held = FileLock(file)
    try:
        with contextlib.suppress(Timeout):
            held.acquire(timeout=0)
            return held
        if busy:
            print(f"{busy}. Waiting for it to finish.", flush=True)
        held.acquire(timeout=timeout)
    except Timeout as error:
        raise LabError(
            f"Another notebook or command has been writing {path} for {timeout:.0f} seconds. Nothing was changed. "
            "Close the other one, then run the cell again."
        ) from error
    return held


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time change the learner's own files; LabError after ten seconds of waiting."""
    folder = current().progress
    with readable_errors(folder, "lock"):
        folder.mkdir(parents=True, exist_ok=True)
        held = _acquired(folder / ".progress.lock", folder, "", SECONDS_TO_WAIT)
    try:
        _clear_abandoned(folder)
        yield
    finally:
        held.release()


def _clear_abandoned(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for left in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > SECONDS_TILL_ABANDONED:
                left.unlink()


def read_bytes(path: Path) -> bytes:
    """Read a file; a missing one is empty."""
    return _content(path) or b""


def _content(path: Path) -> bytes | None:
    with readable_errors(path, "read"):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def read_text(path: Path) -> str:
    """Read a text of the learner's with its own line ends; a missing one is empty, other than UTF-8 a LabError."""
    return decoded(read_bytes(path), path)


def decoded(raw: bytes, path: Path) -> str:
    """Read bytes as UTF-8; the error names the file, the line and how to save it."""
    try:
        text, odd = raw.decode("utf-8"), raw.find(b"\0")  # zeros: UTF-16, or what a power cut left
    except UnicodeDecodeError as error:
        odd = error.start
    if odd < 0:
        return text
    line = raw[:odd].count(b"\n") + 1
    raise LabError(
        f"{path} is not UTF-8 text (line {line}). The file was not touched. Open it in your editor and save it "
        'with the encoding "UTF-8"; if it is no text any more, rename it. Then try again.'
    )


def read_yaml(path: Path) -> Any:
    """Read a YAML file that the course brings along."""
    import yaml

    safe = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # reads the same, ten times as fast
    try:
        return safe(path.read_text(encoding="utf-8")).get_single_data() or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise LabError(
            f"The course's own {path} cannot be read: {error}. Get it back with `git checkout {path}`."
        ) from error


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step: a crash leaves the old one or the new one. A link stays a link."""
    raw = content.encode() if isinstance(content, str) else content
    with readable_errors(path, "write"):
        path = path.resolve()
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
        before = _content(path)
        after = edit(before)
        if after == before:
            return
        # An editor may have saved in between: then its words are edited, not overwritten.
        if before == _content(path):
            write(path, after)
            return
    raise LabError(
        f"{path} was saved by another program again and again while it was being changed. Your file is as that "
        "program left it. Close it there, then run the cell again."
    )


@contextlib.contextmanager
def new_folder(folder: Path, next_step: str = ROOM) -> Iterator[Path]:
    """Give an empty folder to fill; it takes the place of `folder` when the block ends without an error.

    Hold the lock of `folder` while you do: the next holder puts right what a killed process left.
    """
    with readable_errors(folder, "write", next_step):
        folder = folder.resolve()
        new, old = _beside(folder)
        try:
            _tidy(folder)
            new.mkdir(parents=True)
            yield new
            if folder.exists():
                os.replace(folder, old)
            os.replace(new, folder)
        finally:
            _tidy(folder)


def _beside(folder: Path) -> tuple[Path, Path]:
    """Where a folder's successor grows, and where the folder itself waits while they change places."""
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def _tidy(folder: Path) -> None:
    """After a crash: bring a folder back that was out of its place, and remove what was half-made."""
    new, old = _beside(folder)
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)


def set_aside(path: Path) -> Path:
    """Rename a broken file or folder to `broken-<name>`, so that nothing uses it and nothing is lost."""
    target, number = path.with_name(f"broken-{path.name}"), 2
    while os.path.lexists(target):
        target, number = path.with_name(f"broken-{path.name}-{number}"), number + 1
    with readable_errors(path, "set aside"):
        return path.rename(target)


def keep_aside(path: Path, content: bytes | None = None, word: str = "kept") -> Path:
    """Copy a learner's file beside itself under a free name, such as plan.kept-1.yaml; equal bytes are kept once."""
    raw = read_bytes(path) if content is None else content
    number = 1
    while os.path.lexists(copy := path.with_name(f"{path.stem}.{word}-{number}{path.suffix}")):
        if _content(copy) == raw:
            return copy
        number += 1
    write(copy, raw)
    return copy


def rewrite(path: Path, text: str) -> Path | None:
    """Write a generated file anew; if somebody wrote into the old one, keep that aside and say where it is."""
    old, text = read_bytes(path), text.rstrip("\n") + "\n"
    aside = keep_aside(path) if old and not is_sealed(old) else None
    comment = "# sealed {}" if path.suffix == ".yaml" else "\n<!-- sealed {} -->"
    write(path, text + comment.format(_digest(text)) + "\n")
    return aside


def is_sealed(raw: bytes) -> bool:
    """Tell whether a generated file is still as `rewrite` wrote it."""
    text = raw.decode("utf-8", "replace")
    found = SEAL.search(text)
    return bool(found) and _digest(text[: found.start()]) == found[1]


def _digest(text: str) -> str:
    return hashlib.sha256((text.rstrip("\n") + "\n").encode()).hexdigest()[:16]


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one JSON object as a line at the end of a log, safely on disk; hold the lock while you do."""
    line = json.dumps(record).encode() + b"\n"
    with readable_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+") as file:
            file.seek(0)
            _refuse_wide(file.read(2), path)
            # After a crash the last line may lack its end; ours must not be glued to it.
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            glue = b"" if file.read(1) in (b"", b"\n") else b"\n"
            file.write(glue + line)
            file.flush()
            os.fsync(file.fileno())


def records(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a log, oldest first; lines that are damaged are passed over."""
    return [record for line in _lines(path) if (record := _record(line)) is not None]


def damaged(path: Path) -> list[int]:
    """List the numbers (from 1) of a log's lines that hold something else than an object."""
    return [number for number, line in enumerate(_lines(path), 1) if line.strip() and _record(line) is None]


def _lines(path: Path) -> list[str]:
    raw = read_bytes(path)
    _refuse_wide(raw[:2], path)
    return raw.decode("utf-8-sig", "replace").split("\n")


def _refuse_wide(start: bytes, path: Path) -> None:
    """Refuse a log that an editor saved as UTF-16: one plain line more, and nobody could read it."""
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        decoded(start, path)


def _record(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
