"""Answers kept by Idempotency-Key, so that a request sent twice is done once and answered alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.queries import load

QUERIES = load("idempotency")

KEPT_FOR = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer that the first request with the key got."""

    status: int
    body: Mapping[str, object]


def claim(connection: Connection, person_id: int, key: str, request: bytes, now: datetime) -> KeptAnswer | None:
    """Take ``key`` for ``request`` (method, address and body), or return the answer kept for it.

    A request with the same key that is still under way is waited for. The same key with another request is refused
    as ``idempotency_mismatch``. If the caller's transaction fails, the key is free again.
    """
    connection.execute(QUERIES["forget"], {"person_id": person_id, "before": now - KEPT_FOR})
    digest = hashlib.sha256(request).digest()
    asked = {"person_id": person_id, "key": key}
    claimed = connection.execute(QUERIES["claim"], {**asked, "request_hash": digest, "now": now}).fetchone()
    if claimed is not None:
        return None
    row = connection.execute(QUERIES["kept"], asked).fetchone()
    if row is None or bytes(row[0]) != digest:
        raise Refused(
            "idempotency_mismatch",
            expected="the request that this Idempotency-Key was first used for",
            got="another one",
            remedy="Use a new key for every new request.",
        )
    return KeptAnswer(row[1], row[2])


def keep(connection: Connection, person_id: int, key: str, status: int, body: Mapping[str, object]) -> None:
    """Keep the answer of the request that claimed ``key``, in the transaction of what the request did."""
    values = {"person_id": person_id, "key": key, "status": status, "body": Jsonb(body)}
    connection.execute(QUERIES["keep"], values)
