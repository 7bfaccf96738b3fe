"""Partitions of the readings: one a day on plain PostgreSQL; TimescaleDB makes its own chunks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from psycopg import Connection, sql

from storage.database import Server
from storage.queries import load

QUERIES = load("readings")

_EPOCH = date(1970, 1, 1)
_PREFIX = "reading_"
# Each partition takes locks until its transaction ends; the server's table of locks is finite.
DAYS_AT_ONCE = 50


def needs_partitions(server: Server) -> bool:
    """Say whether days need a partition made for them before their first reading."""
    return server is Server.PLAIN


def existing_days(connection: Connection) -> set[int]:
    """Return the days that have a partition, counted from 1970-01-01 UTC."""
    names = [str(row[0]) for row in connection.execute(QUERIES["partition_days"]).fetchall()]
    return {_day_of(name) for name in names if name.startswith(_PREFIX)}


def ensure_partitions(connection: Connection, days: Collection[int]) -> None:
    """Make the partitions of these days (counted from 1970-01-01 UTC) where they are missing.

    Commits every ``DAYS_AT_ONCE`` of them when the connection is in autocommit mode. Another process that does the
    same waits and then finds them made.
    """
    wanted = sorted(days)
    for start in range(0, len(wanted), DAYS_AT_ONCE):
        with connection.transaction():
            connection.execute(QUERIES["lock_partitions"])
            missing = sorted(set(wanted[start : start + DAYS_AT_ONCE]) - existing_days(connection))
            for day in missing:
                _make(connection, day)


def _make(connection: Connection, day: int) -> None:
    # Made apart and then attached: "create table ... partition of" would lock out every reader of the parent.
    first = datetime.combine(_EPOCH + timedelta(days=day), datetime.min.time(), UTC)
    name = sql.Identifier(f"{_PREFIX}{first:%Y%m%d}")
    connection.execute(sql.SQL("create table {} (like reading including defaults including constraints)").format(name))
    connection.execute(
        sql.SQL("alter table reading attach partition {} for values from ({}) to ({})").format(
            name, sql.Literal(first), sql.Literal(first + timedelta(days=1))
        )
    )


def _day_of(name: str) -> int:
    text = name.removeprefix(_PREFIX)
    return (date(int(text[:-4]), int(text[-4:-2]), int(text[-2:])) - _EPOCH).days
