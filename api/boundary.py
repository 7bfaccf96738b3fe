"""What surrounds every request: counted, bounded in size, and answered with security headers. Plain ASGI, no tasks."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.clock import Clock

API_PREFIX = "/api/"
BASE_PATH = "/api/v1"
BODY_LIMIT = 1 << 20
# A file of 10 MiB and the multipart text around it.
ATTACHMENT_BYTES_LIMIT = 10 << 20
UPLOAD_LIMIT = ATTACHMENT_BYTES_LIMIT + (64 << 10)
_UPLOADS = ("/attachments", "/files", "/register/import")
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# The secret is part of these addresses, so they must not travel on as a referrer.
_SECRET_PREFIXES = ("/api/v1/confirm/", "/c/")


class SecurityHeaders:
    """Adds the headers to every answer; an answer's own value wins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and complete the answer's headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if path.startswith(_SECRET_PREFIXES):
                    headers["Referrer-Policy"] = "no-referrer"
                if path.startswith(API_PREFIX):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, send_with_headers)


class BodyLimit:
    """Refuses bodies above the limit of their address, by their declared length or by counting what arrives."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a body that cannot exceed its limit."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = UPLOAD_LIMIT if scope["path"].endswith(_UPLOADS) else BODY_LIMIT
        declared = Headers(scope=scope).get("content-length", "")
        declared_bytes = int(declared) if declared.isdigit() else 0
        arrived_bytes = 0

        async def receive_bounded() -> Message:
            nonlocal arrived_bytes
            if declared_bytes > limit:
                raise HTTPException(413, f"at most {limit} bytes")
            message = await receive()
            if message["type"] == "http.request":
                arrived_bytes += len(message.get("body", b""))
                if arrived_bytes > limit:
                    raise HTTPException(413, f"at most {limit} bytes")
            return message

        await self.app(scope, receive_bounded, send)


class RequestCount:
    """Counts answers and their time by route template, so that a path with an id in it is no metric of its own."""

    def __init__(self, app: ASGIApp, clock: Clock, registry: CollectorRegistry) -> None:
        self.app = app
        self.clock = clock
        self.answers = Counter(
            "wearsight_api_answers", "Answers by route and status", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "wearsight_api_seconds", "Time to the first byte of the answer", ["method", "route"], registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its answer once the status is known."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_s = self.clock.monotonic_s()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", None) or "unknown"
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self.answers.labels(method, route, str(message["status"])).inc()
                self.seconds.labels(method, route).observe(self.clock.monotonic_s() - started_s)
            await send(message)

        await self.app(scope, receive, send_counted)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
