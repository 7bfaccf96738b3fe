"""Requests that may be sent twice: an Idempotency-Key makes the second one get the first one's answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Header, Request
from fastapi.responses import JSONResponse
from psycopg import Connection
from pydantic import BaseModel

from api.identity import Caller
from storage import idempotency

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="Sent again with the same request, it gets the same answer"),
]
# Secrets are shown once and not kept, not even to be repeated.
_NOT_KEPT = frozenset({"confirmation_url_secret"})


@dataclass(frozen=True, slots=True)
class Repeat:
    """The key of one request, claimed in the transaction of what the request does; without a key nothing is kept."""

    connection: Connection
    person_id: int
    key: str | None

    def keep(self, status: int, answer: BaseModel) -> None:
        """Keep the answer for the next request with the key."""
        if self.key is not None:
            told = answer.model_dump(mode="json")
            body = {name: None if name in _NOT_KEPT else value for name, value in told.items()}
            idempotency.keep(self.connection, self.person_id, self.key, status, body)


def claim(
    connection: Connection, caller: Caller, key: str | None, request: Request, body: BaseModel, now: datetime
) -> Repeat | JSONResponse:
    """Return the claimed key, or the answer kept for it when this very request was done before."""
    if key is not None:
        asked = f"{request.method} {request.url.path}\n{body.model_dump_json()}".encode()
        kept = idempotency.claim(connection, caller.person.id, key, asked, now)
        if kept is not None:
            return JSONResponse(dict(kept.body), status_code=kept.status, headers={"Idempotent-Replayed": "true"})
    return Repeat(connection, caller.person.id, key)
