"""The monthly comparison of the priority policy with the control policy (SPEC S7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.queries import load

QUERIES = load("priorities")


@dataclass(frozen=True, slots=True)
class ControlCell:
    """The tickets that the policy puts at ``level`` and the control policy at ``control_level``, and their fate.

    ``breached``: a clock ran out. ``complained``: the requester asked again or disputed. ``mean_resolve_s`` is wall
    time from opening to resolution, None when none is resolved.
    """

    level: int
    control_level: int
    tickets: int
    closed: int
    breached: int
    complained: int
    mean_resolve_s: float | None


@dataclass(frozen=True, slots=True)
class ControlReport:
    """A month (UTC) of both policies: how often they agree, and where they do not."""

    month: str
    opened: int
    scored_by_both: int
    same: int
    control_more_urgent: int
    control_less_urgent: int
    cells: list[ControlCell]


def compare_month(connection: Connection, month: str, sites: Sequence[str] | None = None) -> ControlReport:
    """Return the comparison of the tickets opened in a month, as ``2026-03``, at these sites (None: all).

    Only the control group is compared: the rest has one score. Raises Refused("invalid_request") for another month.
    """
    starts_at, ends_at = span_of(month)
    asked = {"starts_at": starts_at, "ends_at": ends_at, "sites": list(sites) if sites is not None else None}
    with connection.cursor(row_factory=class_row(ControlCell)) as cursor:
        cells = cursor.execute(QUERIES["control_months"], asked).fetchall()
    opened = connection.execute(QUERIES["tickets_opened"], asked).fetchone()
    assert opened is not None
    return ControlReport(
        month=month,
        opened=opened[0],
        scored_by_both=sum(cell.tickets for cell in cells),
        same=sum(cell.tickets for cell in cells if cell.control_level == cell.level),
        control_more_urgent=sum(cell.tickets for cell in cells if cell.control_level < cell.level),
        control_less_urgent=sum(cell.tickets for cell in cells if cell.control_level > cell.level),
        cells=cells,
    )


def span_of(month: str) -> tuple[datetime, datetime]:
    """Return the first instant of a month and that of the next, UTC."""
    found = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", month)
    if found is None:
        raise Refused("invalid_request", expected="a month as 2026-03", got=repr(month)[:40], remedy="Name the month.")
    year, number = int(found[1]), int(found[2])
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    return datetime(year, number, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)
