"""A Hugging Face Hub on this machine, for tests: serves folders as repositories, read-only."""

import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Repositories by kind and id, for example {"models": {"org/tiny": folder}}; and what was asked of it."""

    repositories: dict[str, dict[str, Path]]
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    url: str = ""

    def answer(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Find status, headers and body for a request."""
        path = unquote(urlsplit(target).path).strip("/")
        kind, rest = "models", path
        if path.startswith("api/"):
            kind, _, rest = path.removeprefix("api/").partition("/")
        elif path.startswith("datasets/"):
            kind, rest = "datasets", path.removeprefix("datasets/")
        found = re.fullmatch(r"([^/]+/[^/]+)(?:/(.*))?", rest)
        folder = self.repositories.get(kind, {}).get(found[1]) if found else None
        if folder is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}'
        action = found[2] or ""
        if not path.startswith("api/"):
            return _resolve(folder, action.removeprefix("resolve/").partition("/")[2])
        return _api(folder, found[1], action, parse_qs(urlsplit(target).query), body)


def _resolve(folder: Path, name: str) -> tuple[int, dict[str, str], bytes]:
    headers = {"X-Repo-Commit": COMMIT}
    file = folder / name
    if not file.is_file():
        return 404, {**headers, "X-Error-Code": "EntryNotFound"}, b"Entry not found"
    content = file.read_bytes()
    return 200, {**headers, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, content


def _api(folder: Path, name: str, action: str, query: dict, body: bytes) -> tuple[int, dict[str, str], bytes]:
    verb, _, rest = action.partition("/")
    if verb in ("", "revision"):
        files = [{"rfilename": entry["path"], "size": entry["size"]} for entry in _files(folder)]
        info = {"id": name, "sha": COMMIT, "siblings": files, "private": False, "gated": False, "tags": []}
        return _json(info | {"downloads": 0, "likes": 0})
    if verb == "tree":
        recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
        return _tree(folder, folder / rest.partition("/")[2], recursive)
    if verb == "paths-info":
        asked = parse_qs(body.decode()).get("paths") or json.loads(body or b"{}").get("paths", [])
        return _json([entry for entry in _files(folder) if entry["path"] in asked])
    return 404, {"X-Error-Code": "EntryNotFound"}, b'{"error": "not served here"}'


def _tree(folder: Path, start: Path, recursive: bool) -> tuple[int, dict[str, str], bytes]:
    if not start.is_dir():
        return 404, {"X-Error-Code": "EntryNotFound"}, b'{"error": "no such folder"}'
    found = start.rglob("*") if recursive else start.glob("*")
    return _json([_entry(folder, path) for path in sorted(found)])


def _files(folder: Path) -> list[dict]:
    return [_entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]


def _entry(folder: Path, path: Path) -> dict:
    name, content = path.relative_to(folder).as_posix(), path.read_bytes() if path.is_file() else b""
    kind = "file" if path.is_file() else "directory"
    return {"type": kind, "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


def _json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json", "X-Repo-Commit": COMMIT}, json.dumps(value).encode()


@contextmanager
def serving(hub: Hub):
    """Run the server; `hub.url` is what HF_ENDPOINT must be."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = hub.answer(self.path, body)
            hub.requests.append((self.command, self.path, status))
            part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if part and status == 200:
                first, last = int(part[1]), int(part[2] or len(content) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                status, content = 206, content[first : last + 1]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = _serve

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
