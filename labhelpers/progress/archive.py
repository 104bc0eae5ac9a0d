"""Packs everything the learner owns into one file, and brings it back without overwriting anything."""

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from ..core import files, settings
from ..core.settings import LabError
from . import merge

MANIFEST = "pack.json"
FORMAT = "labhelpers progress 1"
LARGEST = 200 * 2**20  # bytes in all; a year of checklists and journal is a thousand times smaller
MOST_FILES = 5_000
FORBIDDEN = set('<>:"|?*\\')  # in names under Windows, where the pack may be opened too


@dataclass(frozen=True)
class Outcome:
    """What became of one packed file: "new", "same", "merged" (nothing of either side is lost) or "beside"."""

    name: str
    what: str
    path: Path

    def __str__(self) -> str:
        if self.what != "beside":
            return f"{self.what:<7} {self.name}"
        return f"differs {self.name}: yours stays; the other one is now beside it as {self.path.name}"


def pack(file: Path | str) -> list[str]:
    """Write everything in the progress folder to one file.

    Args:
        file: to make, such as "progress-2026-11-21.zip"; it must not exist yet.

    Returns:
        Names of the packed files.

    Raises:
        LabError: when there is nothing to pack, the file exists, or it cannot be written.
    """
    file = Path(file)
    if file.exists():
        raise LabError(f"{file} exists already and stays as it is. Choose another name.")
    with files.locked():
        own_files = {
            path.relative_to(_folder()).as_posix(): files.read_bytes(path) for path in own(_folder())
        }
    if not own_files:
        raise LabError(f"There is nothing to pack yet: {_folder()} holds no checklist and no journal.")
    if odd := [name for name in own_files if not _is_harmless(name)] or _twins(own_files):
        raise LabError(
            f"The name {odd[0]!r} cannot be used on every system. Rename the file, then pack again."
        )
    rows = {name: hashlib.sha256(content).hexdigest() for name, content in own_files.items()}
    manifest = {
        "format": FORMAT,
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "files": rows,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
        for name, content in own_files.items():
            archive.writestr(name, content)
    files.write(file, buffer.getvalue())
    return list(own_files)


def unpack(file: Path | str) -> list[Outcome]:
    """Bring packed files back: what is missing is written, ticks and logs are united, other differences stay beside.

    Args:
        file: made by `pack`.

    Returns:
        One Outcome per packed file. Nothing at all is written when the file is not sound.

    Raises:
        LabError: when it is missing, damaged, not a pack, or names files outside the progress folder.
    """
    packed, made = read(Path(file))
    return carry_over(packed, f"from-pack-{made:%Y-%m-%d}")


def carry_over(packed: dict[str, bytes], word: str) -> list[Outcome]:
    """Unite files with those of the progress folder.

    Args:
        packed: names relative to the progress folder, with "/", and their bytes.
        word: goes into the name of a file that must stand beside the present one.
    """
    with files.locked():
        for name in packed:
            _refuse_link_outwards(name)
        return [_brought(name, content, word) for name, content in packed.items()]


def read(file: Path) -> tuple[dict[str, bytes], datetime]:
    """Read a pack and prove that it is whole and harmless.

    Args:
        file: made by `pack`.

    Returns:
        Its files, and when it was made.

    Raises:
        LabError: as in `unpack`.
    """
    if not file.is_file():
        raise LabError(f"There is no file {file}. Give the path of a file that `lab progress pack` made.")
    try:
        with zipfile.ZipFile(file) as archive:
            _refuse_oversize(file, archive)
            manifest = json.loads(archive.read(MANIFEST))
            made, rows = datetime.fromisoformat(manifest["made"]), dict(manifest["files"])
            names = [info.filename for info in archive.infolist() if info.filename != MANIFEST]
            if manifest["format"] != FORMAT or sorted(names) != sorted(rows):
                raise _unsound(file, "its list of contents does not fit what is in it")
            packed = {_harmless(file, name): archive.read(name) for name in rows}
    except (
        zipfile.BadZipFile,
        KeyError,
        ValueError,
        TypeError,
        EOFError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        if isinstance(error, LabError):
            raise
        raise _unsound(file, "it is not a pack, or a part of it is missing") from error
    except (OSError, zlib.error, RecursionError) as error:
        raise _unsound(file, "it cannot be read to its end") from error
    for name, content in packed.items():
        if hashlib.sha256(content).hexdigest() != rows[name]:
            raise _unsound(file, f"{name} in it is damaged")
    return packed, made


def _brought(name: str, content: bytes, word: str) -> Outcome:
    path = _folder() / name
    outcome: list[str] = []

    def edit(present: bytes | None) -> bytes:
        outcome.clear()
        what, new = merge.merged(name, present, content)
        outcome.append(what)
        return new

    files.change(path, edit)
    if outcome[0] == "beside":
        return Outcome(name, "beside", files.keep_aside(path, content, word))
    return Outcome(name, outcome[0], path)


def own(folder: Path) -> list[Path]:
    """List the learner's files: no half-written ones, and not the page that comes with the course.

    Args:
        folder: a progress folder; a missing one has none.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(place) / name for name in sorted(names) if not name.startswith(".")]
    return [path for path in found if path.is_file() and path != folder / "README.md" and not _is_pack(path)]


def _is_pack(path: Path) -> bool:
    if path.suffix != ".zip" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return MANIFEST in archive.namelist()


def _harmless(file: Path, name: str) -> str:
    if not _is_harmless(name):
        raise _unsound(file, f"it holds a file called {name!r}, which no pack of ours does")
    return name


def _is_harmless(name: str) -> bool:
    """Tell whether a name stays in the progress folder, on any system."""
    odd = any(part == "" or part.startswith(".") or part.endswith((" ", ".")) for part in name.split("/"))
    return not odd and not FORBIDDEN & set(name) and name.isprintable() and name.lower() != "readme.md"


def _twins(names: Iterable[str]) -> list[str]:
    """List names that some systems cannot tell apart."""
    counts = Counter(name.casefold() for name in names)
    return [name for name in counts if counts[name] > 1]


def _refuse_link_outwards(name: str) -> None:
    parent = (_folder() / name).parent
    if parent.resolve() != _folder().resolve() / PurePosixPath(name).parent:
        raise LabError(f"{parent} leads out of your progress folder. Remove that link, then try again.")


def _refuse_oversize(file: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    if _twins(entry.filename for entry in entries):
        raise _unsound(file, "two files in it have the same name")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise _unsound(file, "it is compressed in a way that no pack of ours is")
    if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > LARGEST:
        raise _unsound(file, f"it would unpack to more than {LARGEST // 2**20} MiB or {MOST_FILES} files")


def _unsound(file: Path, why: str) -> LabError:
    return LabError(
        f"{file} cannot be unpacked: {why}. Nothing was changed. Copy the file again from where you packed it, or "
        "pack anew there with `lab progress pack`."
    )


def _folder() -> Path:
    return settings.current().progress
