"""Drafts: long forms half filled in, each person's own, kept for a while (SPEC T10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.policies import policy_in_force
from storage.queries import load

QUERIES = load("drafts")

BODY_BYTES = 65_536
DRAFTS_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Draft:
    """A form as it was left; ``form`` is its name, such as "report"."""

    form: str
    body: dict[str, object]
    saved_at: datetime
    version: int


def list_drafts(connection: Connection, person_id: int, now: datetime, *, form: str | None = None) -> list[Draft]:
    """Return a person's drafts, newest first; those that the policy keeps no longer are gone."""
    asked = {"person_id": person_id, "form": form, "kept_since": _kept_since(connection, now)}
    with connection.cursor(row_factory=class_row(Draft)) as cursor:
        return cursor.execute(QUERIES["drafts"], asked).fetchall()


def save_draft(
    connection: Connection, person_id: int, form: str, body: Mapping[str, object], now: datetime, version: int | None
) -> Draft:
    """Save a draft. With the version that was read, one that another window has saved meanwhile is not overwritten.

    Raises ``Refused``: request_too_large, invalid_request (too many drafts), stale_record.
    """
    size = len(json.dumps(body).encode())
    if size > BODY_BYTES:
        raise Refused(
            "request_too_large", expected=f"a draft of at most {BODY_BYTES} bytes", got=str(size), remedy="Shorten it."
        )
    connection.execute(QUERIES["forget_old"], {"kept_since": _kept_since(connection, now)})
    key = {"person_id": person_id, "form": form}
    row = connection.execute(QUERIES["count_others"], key).fetchone()
    if row is None or row[0] >= DRAFTS_LIMIT:
        raise Refused(
            "invalid_request",
            expected=f"at most {DRAFTS_LIMIT} drafts",
            got="one more",
            remedy="Send or delete some of your drafts.",
        )
    with connection.cursor(row_factory=class_row(Draft)) as cursor:
        values = {**key, "body": Jsonb(dict(body)), "now": now, "version": version}
        saved = cursor.execute(QUERIES["save_draft"], values).fetchone()
    if saved is None:
        raise Refused(
            "stale_record",
            expected=f"version {version} of the draft '{form}'",
            got="another, saved in another window",
            remedy="Read it again, or save without a version to overwrite it.",
        )
    return saved


def delete_draft(connection: Connection, person_id: int, form: str) -> bool:
    """Delete a draft; say whether there was one."""
    return connection.execute(QUERIES["delete_draft"], {"person_id": person_id, "form": form}).fetchone() is not None


def _kept_since(connection: Connection, now: datetime) -> datetime:
    _, policy = policy_in_force(connection)
    return now - policy.intake.drafts_kept
