"""Around every request: an id, a clock, a line in the log, and never a stack trace for a stranger."""

import logging
import re
import time
import uuid

from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("service")
METRICS = CollectorRegistry()
REQUESTS = Counter("requests", "Requests answered.", ["path", "status"], registry=METRICS)
SECONDS = Histogram(
    "request_seconds", "From the request to the end of its answer.", ["path"], registry=METRICS,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)  # fmt: skip
LARGEST = 256 * 1024  # bytes of one request
OPEN = Gauge("open_requests", "Requests that have come and are not answered yet.", registry=METRICS)
TOGETHER = Histogram(
    "batch_texts", "Texts in one call of the model.", registry=METRICS, buckets=(1, 2, 4, 8, 16, 32)
)


def refusal(scope: Scope, status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Say no: what is wrong, in one sentence, and the id under which the log knows the request."""
    return JSONResponse({"error": sentence, "request_id": scope["request_id"]}, status, headers)


class Door:
    """Lets every request through, and knows afterwards what became of it."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        # A caller may name a request, so that two logs can be read side by side; but no name breaks a line.
        scope["request_id"] = given if re.fullmatch(r"[A-Za-z0-9-]{1,64}", given) else uuid.uuid4().hex
        began, seen = time.perf_counter(), {"status": 0}

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = scope["request_id"]
            await send(message)

        with OPEN.track_inprogress():
            try:
                await (_too_large(scope, headers) or self.app)(scope, receive, named)
            except Exception:
                log.exception("%s failed", scope["request_id"])
                if not seen["status"]:
                    told = "Something went wrong here, and not with your request. Its id finds it in our log."
                    await refusal(scope, 500, told)(scope, receive, named)
        _note(scope, seen["status"], time.perf_counter() - began)


def _too_large(scope: Scope, headers: Headers) -> JSONResponse | None:
    """Refuse by the length that is announced, before a byte of it is read; the server holds a caller to it."""
    if scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return None
    length = headers.get("content-length")
    if length is None:
        return refusal(scope, 411, "Say in Content-Length how long the body is.")
    if not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > LARGEST:
        return refusal(scope, 413, f"The body may have {LARGEST:,} bytes.")
    return None


def _note(scope: Scope, status: int, seconds: float) -> None:
    """Count by the route, not by the path as written: strangers ask for endlessly many paths."""
    path = getattr(scope.get("route"), "path", "unknown")
    REQUESTS.labels(path, status).inc()
    SECONDS.labels(path).observe(seconds)
    log.info("%s %s %s %d in %.0f ms", scope["request_id"], scope["method"], path, status, 1000 * seconds)
