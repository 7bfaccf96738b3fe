"""Every error as problem+json (RFC 9457), named and in the reader's language."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

import psycopg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from psycopg_pool import PoolClosed, PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.languages import Language, preferred_language
from domain.refusals import REFUSALS, Kind, Refused

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
API_PREFIX = "/api/"
TYPE_PREFIX = "urn:wearsight:refusal:"
ERRORS_SHOWN = 20
RETRY_AFTER_S = 5

STATUS_OF_KIND: Mapping[Kind, int] = {
    Kind.BAD_INPUT: 422,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 409,
    Kind.NOT_SIGNED_IN: 401,
    Kind.FORBIDDEN: 403,
    Kind.GONE: 410,
    Kind.TOO_MANY: 429,
    Kind.WRONG_METHOD: 405,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.UNAVAILABLE: 503,
    Kind.BROKEN: 500,
}

# What the database refuses by a constraint that no earlier check put in words.
_BY_SQLSTATE: Mapping[type[psycopg.Error], str] = {
    psycopg.errors.UniqueViolation: "duplicate_record",
    psycopg.errors.ForeignKeyViolation: "record_in_use",
    psycopg.errors.CheckViolation: "invalid_request",
    psycopg.errors.DataError: "invalid_request",
}


class RefusedWith(Refused):
    """A refusal with extension members for machines: the current version, the seconds to wait."""

    def __init__(
        self,
        refusal: Refused,
        *,
        members: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(refusal.name, expected=refusal.expected, got=refusal.got, remedy=refusal.remedy)
        self.members = dict(members or {})
        self.headers = dict(headers or {})


def unknown(noun: str, key: object) -> Refused:
    """Return the refusal for a record that is not there, or not for this caller."""
    return Refused(
        "unknown_record", expected=f"the key of a known {noun}", got=f"'{key}'", remedy="Look it up in its list."
    )


def problem(
    refusal: Refused,
    language: Language,
    *,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the refusal as an answer: its status, its title in ``language``, its three sentences."""
    meant = REFUSALS[refusal.name]
    status = STATUS_OF_KIND[meant.kind]
    body: dict[str, object] = {
        "type": TYPE_PREFIX + refusal.name,
        "title": meant.title_zh if language is Language.ZH else meant.title_en,
        "status": status,
        "detail": f"Expected {refusal.expected}; got {refusal.got}. {refusal.remedy}",
        "expected": refusal.expected,
        "got": refusal.got,
        "remedy": refusal.remedy,
        **(members or {}),
    }
    extra = {"Content-Language": language.value, **(headers or {})}
    if status == 401:
        extra.setdefault("WWW-Authenticate", "Bearer")
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=extra)


def install(app: FastAPI) -> None:
    """Answer every exception of ``app`` as a problem."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(psycopg.Error, _database)
    app.add_exception_handler(PoolTimeout, _database)
    app.add_exception_handler(PoolClosed, _database)
    app.add_middleware(Mistakes)


class Mistakes:
    """Answers exceptions that nobody foresaw, inside the other middleware: this answer too has its headers and count.

    The framework's own place for that is outside of all middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; log and answer what it raises, unless an answer has begun."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def send_watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_watched)
        except Exception as error:
            if has_begun:
                raise
            await _unexpected(Request(scope, receive), error)(scope, receive, send)


def _refused(request: Request, error: Exception) -> Response:
    refusal = cast(Refused, error)
    if refusal.name == "sign_in_required" and request.method == "GET" and _is_page(request):
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", status_code=303)
    with_members = refusal if isinstance(refusal, RefusedWith) else RefusedWith(refusal)
    return _answer(request, with_members)


def misread(error: RequestValidationError) -> RefusedWith:
    """Return the refusal of a request that has not the shape of the API description, with every place that is wrong."""
    found = error.errors()
    errors = [
        {"at": ".".join(str(step) for step in one["loc"]), "expected": one["msg"]} for one in found[:ERRORS_SHOWN]
    ]
    refusal = Refused(
        "invalid_request",
        expected="a request as the API description says (GET /api/v1/openapi.json)",
        got="; ".join(f"{one['at']}: {one['expected']}" for one in errors[:3]),
        remedy="Correct what 'errors' lists and send it again.",
    )
    return RefusedWith(refusal, members={"errors": errors})


def _invalid(request: Request, error: Exception) -> Response:
    return _answer(request, misread(cast(RequestValidationError, error)))


def _http(request: Request, error: Exception) -> Response:
    """Name what the framework itself refuses: unknown addresses, wrong methods, bodies it cannot read."""
    http = cast(HTTPException, error)
    headers = dict(http.headers or {})
    asked = f"{request.method} {request.url.path}"
    described = "an address and method of the API description (GET /api/v1/openapi.json)"
    if http.status_code == 404:
        refusal = Refused("unknown_address", expected=described, got=asked, remedy="Correct the address.")
    elif http.status_code == 405:
        allowed = headers.get("allow", headers.get("Allow", "another method"))
        refusal = Refused("method_not_allowed", expected=allowed, got=asked, remedy="Use that method.")
    elif http.status_code == 413:
        refusal = Refused("request_too_large", expected=http.detail, got="more", remedy="Send less at once.")
    elif http.status_code < 500:
        refusal = Refused("invalid_request", expected="a body as described", got=http.detail, remedy="Correct it.")
    else:
        refusal = _mistake()
    return _answer(request, RefusedWith(refusal, headers=headers))


def _database(request: Request, error: Exception) -> Response:
    for kind, name in _BY_SQLSTATE.items():
        if isinstance(error, kind):
            said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
            refusal = Refused(
                name, expected="values that fit the records there are", got=said, remedy="Correct the request."
            )
            return _answer(request, RefusedWith(refusal))
    if isinstance(error, psycopg.OperationalError | PoolTimeout | PoolClosed):
        log.warning("database unavailable: %s", error)
        refusal = Refused(
            "service_unavailable",
            expected="an answer of the database in time",
            got=type(error).__name__,
            remedy=f"Try again in {RETRY_AFTER_S} seconds; nothing was changed.",
        )
        return _answer(request, RefusedWith(refusal, headers={"Retry-After": str(RETRY_AFTER_S)}))
    return _unexpected(request, error)


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request failed: %s %s", request.method, request.url.path, exc_info=error)
    return _answer(request, RefusedWith(_mistake()))


def _mistake() -> Refused:
    return Refused(
        "internal_error",
        expected="to serve this request",
        got="an unexpected error, which is in the service's log",
        remedy="Tell whoever runs the service when it happened.",
    )


def _answer(request: Request, refusal: RefusedWith) -> Response:
    language = preferred_language(request)
    if _is_page(request) and (page := getattr(request.app.state, "problem_page", None)) is not None:
        status = STATUS_OF_KIND[REFUSALS[refusal.name].kind]
        return cast(Response, page(request, refusal, status))
    return problem(refusal, language, members=refusal.members, headers=refusal.headers)


def _is_page(request: Request) -> bool:
    return not request.url.path.startswith(API_PREFIX) and "text/html" in request.headers.get("accept", "")
