"""Partitions on plain PostgreSQL: of the readings by day, of minutes by month, of hours by year.

TimescaleDB makes its own chunks. A partition leaves in two steps (detach, drop), and may be found between them after
a kill; whoever needs its days again attaches it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from psycopg import Connection, sql

from storage.database import Server
from storage.queries import load

QUERIES = load("partitions")

_EPOCH = date(1970, 1, 1)
# Each partition takes locks until its transaction ends; the server's table of locks is finite.
DAYS_AT_ONCE = 50


class PartState(StrEnum):
    """Where a partition stands: part of its table, cut off while it left, or a table of its own."""

    ATTACHED = "attached"
    LEAVING = "leaving"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Parts:
    """How a table is cut. ``stamp`` is the strftime form of a partition's first day, ``digits`` its length."""

    table: str
    stamp: str
    digits: int
    first_of: Callable[[date], date]
    next_after: Callable[[date], date]


@dataclass(frozen=True, slots=True)
class Part:
    """One partition: readings of [first, after)."""

    name: str
    first: datetime
    after: datetime
    state: PartState


DAYS = Parts("reading", "%Y%m%d", 8, lambda day: day, lambda day: day + timedelta(days=1))
MONTHS = Parts(
    "reading_1m", "%Y%m", 6, lambda day: day.replace(day=1), lambda day: (day + timedelta(days=31)).replace(day=1)
)
YEARS = Parts(
    "reading_1h", "%Y", 4, lambda day: day.replace(month=1, day=1), lambda day: day.replace(year=day.year + 1)
)


def needs_partitions(server: Server) -> bool:
    """Say whether days need a partition made for them before their first reading."""
    return server is Server.PLAIN


def existing_days(connection: Connection) -> set[int]:
    """Return the days that have a partition of readings, counted from 1970-01-01 UTC."""
    return {
        (part.first.date() - _EPOCH).days for part in list_parts(connection, DAYS) if part.state is PartState.ATTACHED
    }


def list_parts(connection: Connection, parts: Parts) -> list[Part]:
    """Return the partitions of a table, oldest first, those included that have not left it whole."""
    asked = {"parent": parts.table, "pattern": rf"^{parts.table}_[0-9]{{{parts.digits}}}$"}
    rows = connection.execute(QUERIES["parts"], asked).fetchall()
    return [_part(parts, _first_day(str(name)), PartState(state)) for name, state in rows]


def ensure_partitions(connection: Connection, days: Collection[int]) -> None:
    """Make the partitions of readings of these days (counted from 1970-01-01 UTC) where they are missing.

    Commits every ``DAYS_AT_ONCE`` of them when the connection is in autocommit mode. Another process that does the
    same waits and then finds them made.
    """
    wanted = sorted(days)
    for start in range(0, len(wanted), DAYS_AT_ONCE):
        with connection.transaction():
            lock(connection)
            ensure_parts(connection, DAYS, wanted[start : start + DAYS_AT_ONCE])


def ensure_parts(connection: Connection, parts: Parts, days: Collection[int]) -> None:
    """Make the partitions for these days where they are missing; the caller keeps others from doing the same."""
    states = {part.first.date(): part.state for part in list_parts(connection, parts)}
    for first in sorted({parts.first_of(_EPOCH + timedelta(days=int(day))) for day in days}):
        state = states.get(first)
        if state is PartState.ATTACHED:
            continue
        part = _part(parts, first, PartState.APART)
        if state is PartState.LEAVING:
            finish_detaching(connection, parts, part)
        connection.execute(
            QUERIES["make_part"].format(part=sql.Identifier(part.name), parent=sql.Identifier(parts.table))
        )
        attach(connection, parts, part)


def lock(connection: Connection) -> None:
    """Keep others from making, attaching or dropping partitions until the transaction ends."""
    connection.execute(QUERIES["lock_partitions"])


def attach(connection: Connection, parts: Parts, part: Part) -> None:
    """Attach a partition that is apart."""
    connection.execute(
        QUERIES["attach_part"].format(
            parent=sql.Identifier(parts.table),
            part=sql.Identifier(part.name),
            first=sql.Literal(part.first),
            after=sql.Literal(part.after),
        )
    )


def detach(connection: Connection, parts: Parts, part: Part) -> None:
    """Detach a partition; it waits for those who use the table, nobody waits for it. Autocommit mode only."""
    connection.execute(_naming("detach_part", parts, part))


def finish_detaching(connection: Connection, parts: Parts, part: Part) -> None:
    """Finish what a killed `detach` began."""
    connection.execute(_naming("finish_detaching", parts, part))


def drop(connection: Connection, part: Part) -> None:
    """Drop a partition that is apart, and what is in it."""
    connection.execute(QUERIES["drop_part"].format(part=sql.Identifier(part.name)))


def _naming(query: str, parts: Parts, part: Part) -> sql.Composed:
    return QUERIES[query].format(parent=sql.Identifier(parts.table), part=sql.Identifier(part.name))


def _part(parts: Parts, first: date, state: PartState) -> Part:
    after = parts.next_after(first)
    name = f"{parts.table}_{first.strftime(parts.stamp)}"
    return Part(name, _midnight(first), _midnight(after), state)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _first_day(name: str) -> date:
    digits = name.rsplit("_", 1)[1]
    return date(int(digits[:4]), int(digits[4:6] or 1), int(digits[6:8] or 1))
