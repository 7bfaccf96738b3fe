"""Floods of alarms at a site: one notice of what most likely has one cause (SPEC D1, ISA-18.2).

Predictions do not open tickets by themselves in a flood (``ticket_budget.py``). The machines that turned before it was
seen to be one have opened theirs: those tickets stay, since each may be right, and are put under the flood, so that
whoever plans sees them together with the predictions that wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.detection_policy import detection_in_force
from storage.queries import load

QUERIES = load("floods")


@dataclass(frozen=True, slots=True)
class Flood:
    """A flood that goes on (wall time); ``tickets`` are codes, ``waiting`` counts predictions held until it is over."""

    id: int
    site_id: str
    site_name: str
    began_at: datetime
    seen_at: datetime
    tickets: Sequence[str]
    waiting: int


@dataclass(frozen=True, slots=True)
class FloodOfTicket:
    """The flood at whose beginning a ticket was opened, with how many tickets there are of it."""

    began_at: datetime
    tickets: int


def note_flood(connection: Connection, asset_id: int, at: datetime, now: datetime) -> None:
    """Note that the asset's site is in a flood, and put the tickets of its first machines under it.

    ``at`` is the equipment's time at which it was seen.
    """
    row = connection.execute(QUERIES["hold_floods_of_site"], {"asset_id": asset_id}).fetchone()
    if row is None:
        raise LookupError(f"there is no asset {asset_id} any more")
    terms = {"site_id": row[0], "now": now, "at": at, "within_minutes": _within_minutes(connection)}
    known = connection.execute(QUERIES["see_flood"], terms).fetchone()
    if known is None:
        known = connection.execute(QUERIES["begin_flood"], terms).fetchone()
    assert known is not None  # an insert that returns
    connection.execute(QUERIES["gather_tickets"], {**terms, "flood_id": known[0]})


def floods_now(connection: Connection, sites: Sequence[str] | None, now: datetime) -> list[Flood]:
    """Return the floods that go on at ``sites`` (None: all), the oldest first."""
    asked = {"sites": sites, "now": now, "within_minutes": _within_minutes(connection)}
    return [Flood(*row) for row in connection.execute(QUERIES["floods"], asked)]


def flood_of_ticket(connection: Connection, code: str) -> FloodOfTicket | None:
    """Return the flood that a ticket was put under, None where there was none."""
    row = connection.execute(QUERIES["flood_of_ticket"], {"code": code}).fetchone()
    return None if row is None else FloodOfTicket(*row)


def _within_minutes(connection: Connection) -> float:
    return detection_in_force(connection)[1].flood.within_minutes
