"""A package index on this machine, for tests: one small project, served as slowly and as badly as asked."""

import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Index:
    """What the server offers and how it behaves; tests change the fields while it runs."""

    files: dict[str, bytes]
    ranges: bool = True
    pause: float = 0.0  # seconds between blocks of 4 KiB
    stop_after: int | None = None  # break the connection after so many bytes
    sent: int = 0
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""
    answer: int | None = None  # this status, whatever is asked: 407 makes it a proxy that wants a password

    def downloads(self) -> list[str | None]:
        """The Range header of each request for a file."""
        return [span for path, span in self.requests if path.startswith("/files/")]


class Handler(BaseHTTPRequestHandler):
    """Answers as the `index` of its class says."""

    index: Index

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.index.requests.append((self.path, self.headers.get("Range")))
        if self.index.answer:
            self.send_error(self.index.answer)
        elif self.path == "/simple/small-project/":
            self._page()
        elif self.path.removeprefix("/files/") in self.index.files:
            self._file(self.index.files[self.path.removeprefix("/files/")])
        else:
            self.send_error(404)

    do_CONNECT = do_GET

    def _page(self):
        links = "".join(f'<a href="../../files/{name}">{name}</a>' for name in self.index.files)
        body = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, content):
        start = 0
        if self.index.ranges and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self._body(content, start)

    def _body(self, content, start):
        for place in range(start, len(content), 4096):
            if self.index.stop_after is not None and place - start >= self.index.stop_after:
                self.close_connection = True
                return
            try:
                self.wfile.write(content[place : place + 4096])
            except OSError:  # the client was killed, as planned
                return
            self.index.sent += len(content[place : place + 4096])
            time.sleep(self.index.pause)


@contextmanager
def serving(index: Index, certificate=None):
    """Run the server; `index.url` is its address. With a certificate (key in the same file) it speaks https."""
    handler = type("Handler", (Handler,), {"index": index})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    index.url = f"http{'s' * bool(certificate)}://127.0.0.1:{server.server_port}/simple/"
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
