"""The service's REST API as a simulator needs it: a thin client that says what was refused and why."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeAlias
from uuid import uuid4

import httpx2

BASE_PATH = "/api/v1"
TIMEOUT_S = 30.0
ATTEMPTS = 6
PAUSE_S = 0.5
UNAVAILABLE = 503
PAGES_LIMIT = 1000
PAGE_LIMIT = 200
# A page names where the next one begins as next_cursor, next_after or next_before; it is sent back as that.
CURSORS = ("cursor", "after", "before")

Json: TypeAlias = dict[str, object]
# A value that is a sequence is sent as a repeated parameter.
Query: TypeAlias = Mapping[str, str | int | Sequence[str]]


class ApiRefusal(Exception):
    """The service said no. ``name`` is the refusal's name (the end of the problem's type), ``status`` the code."""

    def __init__(self, request: str, status: int, name: str, detail: str) -> None:
        super().__init__(f"{request} was refused with {status} {name}: {detail}")
        self.status = status
        self.name = name


class ConsoleClient:
    """Speaks to one service with one credential; use as a context manager. One per thread.

    A request that the network broke, or that the service could not answer just now, is repeated up to ATTEMPTS
    times; each POST carries an Idempotency-Key, so a repeat has the effect of one.
    """

    def __init__(self, api: str, token: str | None, stop: threading.Event | None = None) -> None:
        headers = {"Accept-Language": "en"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._http = httpx2.Client(base_url=api.rstrip("/") + BASE_PATH, headers=headers, timeout=TIMEOUT_S)
        self._stop = stop or threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, query: Query | None = None) -> Json:
        """Return the object at ``path`` (below /api/v1). Raises ApiRefusal."""
        return _object(self._send("GET", path, query=query))

    def items(self, path: str, query: Query | None = None) -> Iterator[Json]:
        """Walk a list, page after page."""
        asked: dict[str, str | int | Sequence[str]] = {"limit": PAGE_LIMIT}
        asked.update(query or {})
        for _ in range(PAGES_LIMIT):
            page = self._send("GET", path, query=asked).json()
            if isinstance(page, list):
                yield from page
                return
            yield from objects(page, "items")
            further = {key: page[f"next_{key}"] for key in CURSORS if page.get(f"next_{key}") is not None}
            if not further:
                return
            asked.update(further)
        raise RuntimeError(f"GET {path} has more than {PAGES_LIMIT} pages; narrow the query")

    def post(self, path: str, body: Json) -> Json:
        """Send ``body`` as JSON and return the answer. Raises ApiRefusal."""
        return _object(self._send("POST", path, body=body))

    def delete(self, path: str) -> None:
        """Remove the record at ``path``. Raises ApiRefusal."""
        self._send("DELETE", path)

    def upload(self, path: str, *, name: str, content: bytes, media_type: str, fields: Mapping[str, str]) -> Json:
        """Send a file as multipart form and return the answer. Raises ApiRefusal."""
        return _object(self._send("POST", path, file=(name, content, media_type), fields=fields))

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Json | None = None,
        file: tuple[str, bytes, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        headers = {"Idempotency-Key": str(uuid4())} if method == "POST" else {}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.request(
                    method,
                    path,
                    params=dict(query) if query else None,
                    json=body,
                    files={"file": file} if file else None,
                    data=dict(fields) if fields else None,
                    headers=headers,
                )
            except httpx2.TransportError as error:
                if attempt == ATTEMPTS or self._stop.wait(PAUSE_S):
                    raise ConnectionError(f"{method} {path} got no answer in {attempt} attempts: {error}") from error
                continue
            if response.is_success:
                return response
            refusal = _refusal(f"{method} {path}", response)
            # The service says that it changed nothing and asks to be tried again.
            if response.status_code != UNAVAILABLE or attempt == ATTEMPTS or self._stop.wait(PAUSE_S):
                raise refusal
        raise AssertionError("the last attempt returns or raises")


def _refusal(request: str, response: httpx2.Response) -> ApiRefusal:
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    name = str(problem.get("type", "")).rpartition(":")[2] or "unnamed"
    return ApiRefusal(request, response.status_code, name, str(problem.get("detail") or response.text[:300]))


def _object(response: httpx2.Response) -> Json:
    if not response.content:
        return {}
    answer = response.json()
    if not isinstance(answer, dict):
        raise TypeError(f"{response.request.url} answered with a {type(answer).__name__}, expected an object")
    return answer


def objects(parent: Mapping[str, object], key: str) -> list[Json]:
    """Return the list of objects under ``key``; empty if there is none."""
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise TypeError(f"'{key}' is expected to be a list of objects, got {value!r:.200}")
    return value


def text(parent: Mapping[str, object], key: str) -> str:
    """Return the text under ``key``, or raise KeyError or TypeError that says so."""
    value = parent[key]
    if not isinstance(value, str):
        raise TypeError(f"'{key}' is expected to be text, got {value!r:.200}")
    return value


def whole(parent: Mapping[str, object], key: str) -> int:
    """Return the whole number under ``key``, or raise KeyError or TypeError that says so."""
    value = parent[key]
    if not isinstance(value, int):
        raise TypeError(f"'{key}' is expected to be a whole number, got {value!r:.200}")
    return value


def moment(parent: Mapping[str, object], key: str) -> datetime | None:
    """Return the time under ``key`` (RFC 3339), or None if it is absent or null."""
    value = parent.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"'{key}' is expected to be an RFC 3339 time, got {value!r:.200}")
    return datetime.fromisoformat(value)
