"""Which problems a route may answer with, for its description. The tests hold every route to it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from api.schemas import ProblemDocument

_MEANING: Mapping[int, str] = MappingProxyType(
    {
        401: "No live credential",
        403: "The caller's roles do not permit this, or another site sent the request",
        404: "No such record for this caller",
        409: "The request contradicts the present state: a stale version, an illegal step, a duplicate",
        410: "The link has been used or has expired",
        413: "The request is too large",
        415: "That kind of file is not taken",
        422: "The request is not valid",
        429: "Too many attempts",
        500: "The service made a mistake",
        503: "The service cannot answer just now",
    }
)


def answers(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return the description of these problem answers."""
    return {status: {"model": ProblemDocument, "description": _MEANING[status]} for status in statuses}


OPEN_ANSWERS = answers(413, 422, 500, 503)
SIGNED_IN_ANSWERS = answers(401, 403, 413, 422, 500, 503)
RECORD_ANSWERS = answers(401, 403, 404, 413, 422, 500, 503)
CHANGE_ANSWERS = answers(401, 403, 404, 409, 413, 422, 500, 503)
