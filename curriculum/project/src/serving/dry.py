"""What the Dockerfile does, without Docker: its last stage's steps in an empty folder, with nothing else of this machine.

python -m src.serving.dry
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version
from src import config
from src.serving import dockerfile

QUESTION = {"text": "A film with a heart."}


def context(folder: Path) -> list[str]:
    """The files that a builder gets to see: all but what .dockerignore leaves out; the last line that fits decides."""
    path = folder / ".dockerignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rules = [line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#")]
    names = [one.relative_to(folder).as_posix() for one in sorted(folder.rglob("*")) if one.is_file()]
    return [name for name in names if not _left_out(name, rules)]


def _left_out(name: str, rules: list[str]) -> bool:
    out, parts = False, name.split("/")
    above = ["/".join(parts[: at + 1]) for at in range(len(parts))]
    for rule in rules:
        pattern, free = rule.removeprefix("!"), rule.removeprefix("!").removeprefix("**/")
        same_depth = [each for each in above if each.count("/") == pattern.count("/")]
        fits = any(fnmatch(each, pattern) for each in same_depth)
        if fits or (pattern.startswith("**/") and any(fnmatch(part, free) for part in parts)):
            out = not rule.startswith("!")
    return out


def main() -> bool:
    """Run the steps here, and print a line for each. True if the service came up, answered and stopped."""
    folder = Path.cwd()
    text = (folder / "Dockerfile").read_text(encoding="utf-8")
    if told := dockerfile.problem(text):
        config.stop(f"Dockerfile: {told}")
    stage = dockerfile.last_stage(text)
    print(f"– FROM {stage[0][1]}: this machine's Python {sys.version.split()[0]} stands for it")
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as place:
        room, packages = Path(place) / "app", Path(place) / "venv"
        room.mkdir()
        for word, rest in stage:
            if word == "COPY" and "--from" in rest:
                print(f"✔ COPY {rest}: {_packages(folder / 'requirements-serving.txt', packages)}")
            elif word == "COPY" and not _copied(folder, room, rest):
                return False
            elif word in ("RUN", "USER", "HEALTHCHECK"):
                print(f"– {word} {rest[:60]}: only in an image")
        words = json.loads(next(rest for word, rest in stage if word == "CMD"))
        pairs = [pair.split("=", 1) for word, rest in stage if word == "ENV" for pair in rest.split()]
        return _started(room, packages, dict(pairs) | {"HOME": place, "PATH": os.defpath}, words)


def _packages(requirements: Path, place: Path) -> str:
    """Make an environment of links to the named packages and to what they need."""
    venv.create(place, symlinks=os.name != "nt", with_pip=False)
    site = next(place.rglob("site-packages"))
    pins = [Requirement(line) for line in requirements.read_text(encoding="utf-8").split()]
    for pin in pins:
        here = metadata.version(pin.name)
        if Version(here).public not in pin.specifier:
            config.stop(f"{requirements.name} asks for {pin}, and here is {here}. Change one of them.")
    open_names, seen = [pin.name for pin in pins], set()
    while open_names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found = metadata.distribution(open_names.pop())
            if found.name not in seen:
                seen.add(found.name)
                needs = [Requirement(text) for text in found.requires or []]
                open_names += [
                    each.name for each in needs if not each.marker or each.marker.evaluate({"extra": ""})
                ]
                _link(found, site)
    return f"{len(pins)} packages as pinned, and {len(seen) - len(pins)} that they need"


def _link(found: metadata.Distribution, site: Path) -> None:
    for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
        with contextlib.suppress(FileExistsError):
            (site / top).symlink_to(Path(str(found.locate_file(top))))


def _copied(folder: Path, room: Path, rest: str) -> bool:
    """Copy what the builder would see."""
    source, target = (
        part.rstrip("/") for part in [word for word in rest.split() if not word.startswith("--")][:2]
    )
    names = [name for name in context(folder) if name == source or name.startswith(f"{source}/")]
    for name in names:
        made = room / target / Path(name).relative_to(source)
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, made)
    size = sum((folder / name).stat().st_size for name in names) / 1e6
    print(
        f"{'✔' if names else '✘'} COPY {rest}: {len(names)} files, {size:.1f} MB"
        + ("" if names else ". Is it there?")
    )
    return bool(names)


def _started(room: Path, packages: Path, environment: dict[str, str], words: list[str]) -> bool:
    """Start CMD, ask, and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for option, value in (("--host", "127.0.0.1"), ("--port", str(port))):
        words[words.index(option) + 1] = value
    python = next(
        path for path in (packages / "bin/python", packages / "Scripts/python.exe") if path.exists()
    )
    with _running_in(room, [str(python), "-m", *words], environment) as (server, log):
        began = time.monotonic()
        while server.poll() is None and not (answered := _ask(port)) and time.monotonic() < began + 120:
            time.sleep(0.1)
        if server.poll() is not None or not answered:
            last = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()] or [
                "nothing"
            ]
            print(f"✘ CMD: it did not come up. Last it said: {last[-1].strip()[:300]}")
            return False
        print(f"✔ CMD: answered after {time.monotonic() - began:.1f} s: {answered[:80]}")
        began = time.monotonic()
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        print(f"✔ stopped {time.monotonic() - began:.1f} s after it was told to")
        return True


@contextlib.contextmanager
def _running_in(
    room: Path, command: list[str], environment: dict[str, str]
) -> Iterator[tuple[subprocess.Popen, Path]]:
    """A server in a process group of its own; nothing of it is left afterwards."""
    log = room.parent / "log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            command, cwd=room, env=environment, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield server, log
    finally:
        with contextlib.suppress(ProcessLookupError, AttributeError):
            os.killpg(server.pid, signal.SIGKILL)
        server.kill()
        server.wait(30)


def _ask(port: int) -> str | None:
    """Ask the service one question; None while nobody answers."""
    body = json.dumps(QUESTION).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"}
    )
    with contextlib.suppress(OSError):
        return (
            urllib.request.build_opener(urllib.request.ProxyHandler({}))
            .open(request, timeout=60)
            .read()
            .decode()
        )
    return None


if __name__ == "__main__":
    raise SystemExit(not main())
