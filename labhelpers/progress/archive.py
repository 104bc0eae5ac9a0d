"""Packs all that the learner owns into one zip, and brings it back: ticks and logs are united, nothing is overwritten."""

import io
import json
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from ..core import files, settings
from ..core.settings import LabError
from . import checklists, markdown

MANIFEST = "pack.json"
FORMAT = "labhelpers progress 1"
LARGEST = 200 * 2**20  # bytes in all; a year of checklists and journal is a thousand times smaller
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
    """Write everything in the progress folder to a new zip; give the names of the packed files."""
    file, folder = Path(file), settings.current().progress
    if file.exists():
        raise LabError(f"{file} exists already and stays as it is. Choose another name.")
    with files.locked():
        contents = {path.relative_to(folder).as_posix(): files.read_bytes(path) for path in own(folder)}
    if not contents:
        raise LabError(f"There is nothing to pack yet: {folder} holds no checklist and no journal.")
    if odd := [name for name in contents if not _is_harmless(name)]:
        raise LabError(
            f"The name {odd[0]!r} cannot be used on every system. Rename the file, then pack again."
        )
    made = datetime.now().astimezone().isoformat(timespec="seconds")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps({"format": FORMAT, "made": made}))
        for name, content in contents.items():
            archive.writestr(name, content)
    files.write(file, buffer.getvalue())
    return list(contents)


def unpack(file: Path | str) -> list[Outcome]:
    """Bring packed files back; nothing at all is written when the pack is damaged or leads out of the folder."""
    packed, made = _read(Path(file))
    return carry_over(packed, f"from-pack-{made:%Y-%m-%d}")


def carry_over(packed: dict[str, bytes], word: str) -> list[Outcome]:
    """Bring files by their names into the progress folder; `word` names those that must stand beside the present one."""
    folder = settings.current().progress
    with files.locked():
        for name in packed:
            parent = (folder / name).parent
            if parent.resolve() != folder.resolve() / PurePosixPath(name).parent:
                raise LabError(
                    f"{parent} leads out of your progress folder. Remove that link, then try again."
                )
        return [_brought(folder / name, name, content, word) for name, content in packed.items()]


def own(folder: Path) -> list[Path]:
    """List the learner's files: nothing hidden, no packs, and not the page that comes with the course."""
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


def _read(file: Path) -> tuple[dict[str, bytes], datetime]:
    """Read a pack and when it was made; the check sums of the zip prove that it is whole."""
    if not file.is_file():
        raise LabError(f"There is no file {file}. Give the path of a file that `lab progress pack` made.")
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise ValueError(f"more than {LARGEST // 2**20} MiB")
            manifest = json.loads(archive.read(MANIFEST))
            made = datetime.fromisoformat(manifest["made"])
            packed = {entry.filename: archive.read(entry) for entry in entries if entry.filename != MANIFEST}
        odd = [name for name in packed if not _is_harmless(name)]
        if odd or manifest["format"] != FORMAT:
            raise ValueError(f"it holds {odd[0]!r}" if odd else "another format")
    # All that zipfile, zlib and json say of a file that is not what it should be.
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, TypeError, RuntimeError,
    ) as error:  # fmt: skip
        raise LabError(
            f"{file} cannot be unpacked ({error}): it is damaged, or no pack of ours. Nothing was changed. Copy the "
            "file again from where you packed it, or pack anew there with `lab progress pack`."
        ) from error
    return packed, made


def _is_harmless(name: str) -> bool:
    """Tell whether a name stays in the progress folder, on any system."""
    odd = any(part == "" or part.startswith(".") or part.endswith((" ", ".")) for part in name.split("/"))
    return not odd and not FORBIDDEN & set(name) and name.isprintable() and name.lower() != "readme.md"


def _brought(path: Path, name: str, content: bytes, word: str) -> Outcome:
    what = ""

    def edit(present: bytes | None) -> bytes:
        nonlocal what
        what, new = _united(path, present, content)
        return new

    files.change(path, edit)
    return Outcome(name, what, files.keep_aside(path, content, word) if what == "beside" else path)


def _united(path: Path, present: bytes | None, other: bytes) -> tuple[str, bytes]:
    """Say what becomes of the file on disk when another version of it comes, and give its new bytes."""
    if present is None or present == other:
        return ("new" if present is None else "same"), other
    if path.suffix == ".jsonl" or checklists.FILE.fullmatch(path.name):
        unite = _united_logs if path.suffix == ".jsonl" else _with_ticks_of_both
        try:
            what, text = unite(files.decoded(present, path), files.decoded(other, path))
        except LabError:  # one of them is no text
            return "beside", present
        return what, text.encode()
    if other.startswith(present) and present.endswith(b"\n"):
        return "merged", other  # it has only grown there, as a journal does
    return ("same" if present.startswith(other) and other.endswith(b"\n") else "beside"), present


def _with_ticks_of_both(mine: str, theirs: str) -> tuple[str, str]:
    both = mine
    for id, done in markdown.boxes(theirs).items():
        both = markdown.with_box(both, id, True) if done else both
    words = [markdown.emptied(text).replace("\r\n", "\n") for text in (mine, theirs)]
    return ("merged" if words[0] == words[1] else "beside"), both


def _united_logs(mine: str, theirs: str) -> tuple[str, str]:
    """Add the lines that only the other log has, each where its time puts it."""
    logs = [re.split(r"\r?\n", text.removeprefix("\ufeff")) for text in (mine, theirs)]
    lines, others = ([line for line in log if line.strip()] for log in logs)
    new = [line for line in dict.fromkeys(others) if line not in lines]
    if not new:
        return "same", mine
    return "merged", "".join(f"{line}\n" for line in sorted([*lines, *new], key=_moment))


def _moment(line: str) -> float:
    try:
        return datetime.fromisoformat(json.loads(line)["time"]).timestamp()
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, OSError):
        return 0.0
