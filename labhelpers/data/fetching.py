"""Fetches one package archive, from a ready folder or resumably from the package index, and unpacks what is wanted."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..core.settings import LabError, is_interactive

if TYPE_CHECKING:
    import requests


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
            "the course (`lab update`) and run the same command again; if it stays so, please report it."
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


ATTEMPTS = 3
TIMEOUT = (10, 60)  # seconds to connect, seconds of silence
CHUNK = 1 << 18


@dataclass(frozen=True)
class Asset:
    """One entry of assets.yaml; the comments there explain the fields."""

    id: str
    role: str
    title: str
    project: str
    version: str
    archive: str
    bytes: int
    sha256: str
    disk: int
    layout: int
    unpack: list[dict[str, str]] = field(hash=False)
    licence: str
    citation: str
    convert: str | None = None
    sets: dict[str, dict[str, Any]] = field(default_factory=dict, hash=False)


def archive(asset: Asset, downloads: Path) -> Path:
    """Give the archive of an asset, size and hash verified: from LAB_ARCHIVES, or fetched into `downloads`."""
    ready = _ready_archive(asset)
    if ready:
        return ready
    final, part = downloads / asset.archive, downloads / f"{asset.archive}.part"
    if final.exists():  # a process was killed after the download and before the end of unpacking
        os.replace(final, part)
    resumed = part.exists()
    _download(asset, part)
    found = sha256(part)
    if found != asset.sha256 and resumed:  # the old part may be what is bad: one clean try
        part.unlink()
        _download(asset, part)
        found = sha256(part)
    if found != asset.sha256:
        part.unlink()
        step = "What was downloaded is deleted, the cache is as it was. Run the same command again"
        raise LabError(_wrong_hash(asset, found, step))
    os.replace(part, final)
    return final


def sha256(file: Path) -> str:
    """Hash a file; 64 hexadecimal digits."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _ready_archive(asset: Asset) -> Path | None:
    if not os.environ.get("LAB_ARCHIVES"):
        return None
    folder = Path(os.environ["LAB_ARCHIVES"]).expanduser()
    if not folder.is_dir():
        raise LabError(
            f"LAB_ARCHIVES is {str(folder)!r}, which is not a folder. Set it to the folder that holds {asset.archive}, "
            "or unset it to fetch from the network."
        )
    file = folder / asset.archive
    if not file.exists():
        return None
    if (found := sha256(file)) != asset.sha256:
        step = f"The file is {file}; nothing was read from it. Copy it there again, or unset LAB_ARCHIVES"
        raise LabError(_wrong_hash(asset, found, step))
    return file


def _wrong_hash(asset: Asset, found: str, next_step: str) -> str:
    return (
        f"{asset.archive} is not the file the course was checked with: its SHA-256 is {found}, expected "
        f"{asset.sha256}. {next_step}; if it happens again, please report both hashes."
    )


def _download(asset: Asset, part: Path) -> None:
    """Stream the archive into `part`, going on where an earlier attempt stopped."""
    import requests
    from urllib3.exceptions import HTTPError

    for attempt in range(ATTEMPTS):
        size = _size(part)
        if size == asset.bytes:
            return
        if size > asset.bytes:
            part.unlink()
        time.sleep(attempt / 2)
        try:
            with _session() as session:
                _stream(session, _url(asset, session), asset, part)
        except (requests.RequestException, HTTPError) as error:
            if attempt == ATTEMPTS - 1:
                raise LabError(_no_network(asset, part, error)) from error
    if (found := _size(part)) != asset.bytes:
        part.unlink(missing_ok=True)
        raise LabError(_wrong_size(asset, found))


def _session() -> "requests.Session":
    """A session that trusts and goes through what this machine's pip does: its certificates, its proxy, the system's store."""
    import ssl

    import requests
    import truststore
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            super().init_poolmanager(*arguments, ssl_context=context, **options)

    session = requests.Session()
    session.mount("https://", Adapter())
    session.verify = _pip_setting("cert") or True
    if proxy := _pip_setting("proxy"):
        session.proxies = {"http": proxy, "https": proxy}
    return session


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _stream(session: "requests.Session", url: str, asset: Asset, part: Path) -> None:
    from tqdm.auto import tqdm

    start = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # the server has no more bytes than we have: begin again
            part.unlink()
            return
        response.raise_for_status()
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server sends the whole file
        quiet = not (is_interactive() or sys.stderr.isatty())
        with (
            open(part, "ab" if start else "wb") as stream,
            tqdm(
                total=asset.bytes, initial=start, unit="B", unit_scale=True, desc=asset.id, disable=quiet
            ) as bar,
        ):
            # Undecoded: the archive itself is wanted, even if a server declares its gzip as an encoding.
            for block in response.raw.stream(CHUNK, decode_content=False):
                stream.write(block)
                bar.update(len(block))
                if stream.tell() > asset.bytes:
                    return


def _url(asset: Asset, session: "requests.Session") -> str:
    from pypi_simple import NoSuchProjectError, PyPISimple, UnsupportedContentTypeError

    index = index_url()
    client = PyPISimple(index, session=session) if index else PyPISimple(session=session)
    if urlsplit(client.endpoint).scheme not in ("http", "https"):
        raise LabError(
            f"pip is set up to use the package index {client.endpoint}, which is not a web address, so "
            f"{asset.archive} cannot be fetched from it. Set PIP_INDEX_URL to an http(s) index, or copy the file "
            "into a folder and set LAB_ARCHIVES to that folder."
        )
    try:
        packages = client.get_project_page(asset.project, timeout=TIMEOUT).packages
    except (NoSuchProjectError, UnsupportedContentTypeError):
        packages = []
    for package in packages:
        if package.filename == asset.archive:
            return package.url
    raise LabError(
        f"The package index at {urlsplit(client.endpoint).hostname} does not offer {asset.archive} (project "
        f"{asset.project}). Set PIP_INDEX_URL to an index that has it, or copy the file into a folder and set "
        "LAB_ARCHIVES to that folder, then run the same command again."
    )


def index_url() -> str | None:
    """Find the package index of this machine's pip: PIP_INDEX_URL or its `index-url`; None is the public one."""
    return _pip_setting("index-url")


def _pip_setting(name: str) -> str | None:
    """What pip would use: its variable of the environment, or its configuration."""
    from_environment = os.environ.get(f"PIP_{name.upper().replace('-', '_')}", "").strip()
    if from_environment:
        return from_environment
    found = _pip_configuration(os.environ.get("PIP_CONFIG_FILE"))
    configured = found.get(f"install.{name}") or found.get(f"global.{name}")
    return configured.strip("'\"") if configured else None


@cache
def _pip_configuration(file: str | None) -> dict[str, str]:
    # `pip config get` reads the user's file only; `list` merges it with the machine's and the environment's.
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return dict(line.split("=", 1) for line in answer.splitlines() if "=" in line)


def _no_network(asset: Asset, part: Path, error: Exception) -> str:
    kept = _size(part)
    return (
        f"{asset.archive} ({asset.bytes / 1e6:,.0f} MB) could not be fetched: {_reason(error)}. "
        f"{f'The {kept / 1e6:,.1f} MB that arrived are kept and continued next time. ' if kept else ''}"
        f"{_next_step(error)} Without a network: copy the file from a colleague or "
        "teacher into a folder, set LAB_ARCHIVES to that folder and run the same command; everything already in "
        "the cache works offline."
    )


def _reason(error: Exception) -> str:
    """One short clause: the full text of a connection error is a page long and may hold a password."""
    import requests

    if "407" in _status(error):
        return "the proxy between here and the network wants a name and a password (407)"
    if isinstance(error, requests.exceptions.SSLError):
        host = urlsplit(getattr(error.request, "url", None) or "").hostname
        return f"the certificate of {host} is signed by nobody whom this Python trusts"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy between here and the network does not answer"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server {urlsplit(error.response.url).hostname} answered {error.response.status_code}"
    host = urlsplit(getattr(getattr(error, "request", None), "url", None) or "").hostname
    return f"no answer from {host}" if host else "the connection broke off"


def _status(error: Exception) -> str:
    response = getattr(error, "response", None)
    # The answer of a proxy to a tunnel is known only by its words.
    return str(response.status_code) if response is not None else "407" * ("407 Proxy" in str(error))


def _next_step(error: Exception) -> str:
    import requests

    if "407" in _status(error) or isinstance(error, requests.exceptions.ProxyError):
        return (
            "Give its address to pip (`pip config set global.proxy http://NAME:PASSWORD@HOST:PORT`) or in HTTPS_PROXY, and "
            "run the same command again."
        )
    if isinstance(error, requests.exceptions.SSLError):
        return (
            "In a company: save its root certificate as a .pem file and tell pip (`pip config set global.cert FILE`, or "
            "PIP_CERT=FILE), and run the same command again."
        )
    return "Check the connection and run the same command again."


def _wrong_size(asset: Asset, found: int) -> str:
    return (
        f"{asset.archive} arrived with {found:,} bytes instead of {asset.bytes:,}. The cache is as it was. Run the "
        "same command again; if it happens again, fetch the file by other means and set LAB_ARCHIVES to its folder."
    )
