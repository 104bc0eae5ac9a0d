"""Reads the summaries that learners exported. A file is a stranger's: nothing in it is believed before it is checked."""

import json
import os
import stat
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, AliasPath, BaseModel, Field, ValidationError
from pydantic import field_validator as checked

from ...core.settings import LabError
from ...progress import summary

LARGEST = 1_000_000  # bytes; a summary of the whole course has about 40,000
MOST_FILES, DEEPEST, MOST_ENTRIES = 5_000, 4, 2_000


def printable(text: str) -> str:
    """Replace what would steer a terminal, reverse a line or vanish."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}(/[A-Za-z0-9_.-]{1,60})?$")]
Count = Annotated[int, Field(gt=0, le=100_000)]
Name = Annotated[
    str, Field(max_length=summary.LONGEST_NAME), AfterValidator(lambda text: printable(text).strip())
]
Failure = Annotated[str, Field(max_length=200), AfterValidator(printable)]
Many = Field(max_length=MOST_ENTRIES)


class Tries(BaseModel):
    """What one learner did with one exercise or quiz question; `first_failure` as the summary names it."""

    attempts: Count = Field(validation_alias=AliasChoices("attempts", "answers"))
    passed_at: Count | None = Field(validation_alias=AliasChoices("passed_at", "right_at"))
    first_failure: Failure | None = None

    @checked("passed_at")
    @classmethod
    def _not_after_the_last(cls, attempt: int | None, others: Any) -> int | None:
        if attempt and attempt > others.data.get("attempts", attempt):
            raise ValueError("later than the last attempt")
        return attempt


class Learner(BaseModel):
    """One learner as the newest summary shows them. A right checksum says nothing about who made the file."""

    id: str = Field(pattern=r"^[0-9a-f]{12}$", validation_alias=AliasPath("learner", "id"))
    name: Name | None = Field(validation_alias=AliasPath("learner", "name"))
    commit: str | None = Field(pattern=r"^[0-9a-f]{7,40}$", validation_alias=AliasPath("course", "commit"))
    exported: date
    serial: Count
    days: tuple[date, ...] = Many
    ticked: dict[Id, Annotated[frozenset[Id], Many]] = Many
    exercises: dict[Id, Tries] = Many
    quiz: dict[Id, Tries] = Many
    file: str = ""


class _Unusable(Exception):
    """Why a file cannot be used, in words for an instructor."""


def read(folder: Path) -> tuple[list[Learner], list[str]]:
    """Read every summary in a folder and its subfolders; links are not followed."""
    if not folder.is_dir():
        raise LabError(f"There is no folder {folder}. Put your learners' summary files into one and name it.")
    found: list[Learner] = []
    said: list[str] = []
    for path in _files(folder, said):
        name = printable(path.relative_to(folder).as_posix())
        try:
            found.append(_learner(_text(path)).model_copy(update={"file": name}))
        except _Unusable as reason:
            said.append(f"{name}: {reason}")
    newest = _newest(found, said)
    return sorted(newest, key=lambda one: ((one.name or "\uffff").casefold(), one.id)), said


def _files(folder: Path, said: list[str]) -> Iterator[Path]:
    """Walk through the folder in order of names; say what was not opened."""

    def refused(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise LabError(f"{folder} cannot be read: {error.strerror}. Make it readable for you.") from error
        name = printable(Path(error.filename).name)
        said.append(f"{name}: this folder cannot be read ({error.strerror})")

    for place, folders, names in os.walk(folder, onerror=refused):
        deep = len(Path(place).relative_to(folder).parts) >= DEEPEST
        folders[:] = sorted(name for name in folders if not (deep or name.startswith((".", "__MACOSX"))))
        chosen = sorted(name for name in names if name.lower().endswith(".json") and name[0] != ".")
        yield from (Path(place) / name for name in chosen[:MOST_FILES])
        if len(chosen) > MOST_FILES:
            here = printable(Path(place).name)
            said.append(f"{here}: only the first {MOST_FILES:,} of its {len(chosen):,} files were read")


def _text(path: Path) -> str:
    try:
        state = path.lstat()
        if stat.S_ISLNK(state.st_mode):
            raise _Unusable("it is a link, and links are not followed; copy the file itself here")
        if not stat.S_ISREG(state.st_mode):
            raise _Unusable("it is no ordinary file")
        if state.st_size > LARGEST:
            raise _Unusable(f"it has {state.st_size:,} bytes, far more than any summary")
        # Opened without following links and without waiting: the file may have been swapped since we looked.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as stream:
            return stream.read(LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise _Unusable(f"it cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError:
        raise _Unusable("it is not in UTF-8; ask for the file as it was exported") from None


def _learner(text: str) -> Learner:
    """Check one file; whatever is in it, only _Unusable comes out."""
    try:
        _examine(json.loads(text, parse_constant=_no_constant))
        return Learner.model_validate_json(text, strict=True)
    except RecursionError:
        raise _Unusable("it is nested too deeply to be a summary") from None
    except ValidationError as error:
        raise _Unusable(_in_words(error)) from None
    except ValueError:
        raise _Unusable("it is not JSON, or only a part of it; ask for the file again") from None


def _examine(document: Any) -> None:
    """See that it is a summary of this version, as it was exported."""
    if not isinstance(document, dict) or document.get("format") != summary.FORMAT:
        raise _Unusable("it is no summary of this course")
    if document.get("version") != summary.VERSION:
        raise _Unusable(
            f"it is a summary of version {printable(str(document.get('version')))[:20]}, and this course reads "
            f"version {summary.VERSION}; update the older of the two courses and export again"
        )
    if summary.checksum(document) != document.get("checksum"):
        raise _Unusable("its checksum does not fit: it was changed after the export; ask for a new one")


def _in_words(error: ValidationError) -> str:
    """Name the first field that is wrong; its name may be a stranger's, too."""
    first = error.errors(include_input=False, include_url=False)[0]
    field = printable(".".join(map(str, first["loc"])))[:60]
    return f"its field {field!r} is unusable ({printable(first['msg'])[:100]}); ask for a new export"


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _newest(found: list[Learner], said: list[str]) -> list[Learner]:
    """Keep one summary per learner, the newest, and say which ones were passed over."""
    newest: dict[str, Learner] = {}
    for one in sorted(found, key=lambda one: (one.exported, one.serial)):
        if one.id in newest:
            older = newest[one.id].file
            said.append(
                f"{older}: not counted, because {one.file} is of the same learner and as new or newer"
            )
        newest[one.id] = one
    return list(newest.values())
