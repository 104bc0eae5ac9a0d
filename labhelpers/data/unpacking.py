"""Unpacks chosen members of a wheel or source archive. Nothing in an archive is ever executed."""

import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ..core.settings import LabError


@dataclass(frozen=True)
class Member:
    """One regular file of an archive: its name, its size in bytes, and how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, rules: list[dict[str, str]], target: Path, limit: int) -> None:
    """Copy the members that the rules of assets.yaml choose into a folder.

    At most `limit` bytes may come out, against an archive made to fill the disk. LabError when the archive is damaged,
    holds too much, lacks what a rule asks for, or has a name that leads out of the folder.
    """
    try:
        with archive.open("rb") as stream, _members(stream, archive.name) as members:
            for rule in rules:
                limit -= _apply(rule, members, target, archive.name, limit)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise LabError(
            f"{archive.name} is damaged ({error}), so nothing was unpacked. Delete {archive} and run the same command "
            "again."
        ) from error


@contextmanager
def _members(stream: IO[bytes], name: str) -> Iterator[list[Member]]:
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(stream) as file:
            infos = [info for info in file.infolist() if not info.is_dir()]
            yield [Member(info.filename, info.file_size, partial(file.open, info)) for info in infos]
    else:
        with tarfile.open(fileobj=stream) as file:
            infos = [info for info in file.getmembers() if info.isfile()]  # links and devices are left out
            yield [Member(info.name, info.size, partial(file.extractfile, info)) for info in infos]


def _apply(rule: dict[str, str], members: list[Member], target: Path, name: str, limit: int) -> int:
    """Follow one rule; returns the bytes written."""
    if "inside" in rule:
        inner = _matching(rule["inside"], members, name)[0]
        with inner.open() as stream, _members(stream, inner.name) as inner_members:
            return _apply({"from": rule["from"], "to": rule["to"]}, inner_members, target, inner.name, limit)
    chosen = _matching(rule["from"], members, name)
    size = sum(member.size for member in chosen)
    if size > limit:
        raise LabError(
            f"{name} would unpack to {size:,} bytes where at most {limit:,} are expected, so it was not unpacked. "
            "The cache is as it was. Please report this file."
        )
    for member in chosen:
        _copy(member, _safe_path(target, rule["to"], _relative(member.name, rule["from"]), name))
    return size


def _matching(pattern: str, members: list[Member], name: str) -> list[Member]:
    chosen = [member for member in members if fnmatchcase(member.name, pattern)]
    if not chosen:
        raise LabError(
            f"{name} holds no file {pattern!r}, so the asset cannot be made from it. The cache is as it was. Update "
            "the course (git pull) and run the same command again; if it stays so, please report it."
        )
    return chosen


def _relative(name: str, pattern: str) -> str:
    """Drop the fixed folders of the pattern: `a/b/*` turns `a/b/c/d.txt` into `c/d.txt`."""
    fixed = pattern.split("*", 1)[0].rpartition("/")[0]
    return name[len(fixed) :].lstrip("/") if fixed else PurePosixPath(name).name


def _safe_path(target: Path, folder: str, relative: str, name: str) -> Path:
    file = (target / folder / relative).resolve()
    if "\\" in relative or not file.is_relative_to(target.resolve()):
        raise LabError(
            f"{name} holds a file named {relative!r}, which leads out of its folder. Nothing of it is used and the "
            "cache is as it was. Please report this file."
        )
    return file


def _copy(member: Member, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, open(file, "wb") as destination:
        shutil.copyfileobj(source, destination, 1 << 20)
