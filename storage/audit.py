"""Who changed what in the register and in who may publish, and what was removed from quarantine: append-only.

Triggers write it, except where a row holds what the audit must not: the hashes of credentials, the bytes of messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.queries import load

QUERIES = load("audit")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one record; ``before`` is None when it was made, ``after`` when it was removed.

    Of a record that was changed both have only what differs. ``person`` is the login, None for no signed-in person;
    ``reason`` what that person gave, where one was asked for.
    """

    id: int
    at: datetime
    person: str | None
    noun: str
    record_id: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class NamedChange(Change):
    """A change of a record that belongs to no asset: its site, and the name that it had then."""

    site: str | None
    name: str


def act_as(connection: Connection, person_id: int, now: datetime, reason: str = "") -> None:
    """Say who makes the changes of this transaction, when and why: the triggers write it beside each change."""
    connection.execute(QUERIES["act_as"], {"person": str(person_id), "at": now.isoformat(), "reason": reason})


def changes_of_asset(connection: Connection, asset_id: int, *, before: int | None, limit: int) -> list[Change]:
    """Return changes of an asset and of what belongs to it, with ids below ``before``, newest first."""
    rows = connection.execute(QUERIES["changes_of_asset"], {"asset_id": asset_id, "before": before, "limit": limit})
    return [Change(*row) for row in rows]


def changes_of_record(connection: Connection, nouns: Sequence[str], record_id: str, *, limit: int) -> list[Change]:
    """Return the newest changes of what these nouns say of one record, newest first."""
    asked = {"nouns": list(nouns), "record_id": record_id, "limit": limit}
    return [Change(*row) for row in connection.execute(QUERIES["changes_of_record"], asked)]


def changes_of(
    connection: Connection, nouns: Sequence[str], *, sites: Sequence[str] | None, before: int | None, limit: int
) -> list[NamedChange]:
    """Return changes of such records at ``sites`` (None: everywhere), with ids below ``before``, newest first.

    Records of an asset, as a device's credential, are left out: ``changes_of_asset`` has them.
    """
    asked = {
        "nouns": list(nouns),
        "sites": None if sites is None else list(sites),
        "before": before,
        "limit": limit,
    }
    return [NamedChange(*row) for row in connection.execute(QUERIES["changes_of_nouns"], asked).fetchall()]
