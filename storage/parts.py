"""Parts of a ticket: the bill, and the stock that it moves (SPEC P3, C2).

Lines carry totals, and stock moves by the difference to what was recorded: sending the same lines twice moves
nothing twice. Stock may go below zero: the part is in the engineer's hand whatever the store's count says, and
a negative count is the visible sign that the count was wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from domain.refusals import Refused
from storage.queries import load
from ticketing.ticket import PartLine

QUERIES = load("parts")


def apply_lines(connection: Connection, ticket_id: UUID, lines: Sequence[PartLine], now: datetime) -> list[int]:
    """Record the totals of each line on the bill and move stock by the difference; return the ids of the parts."""
    moved = []
    for line in lines:
        part_id = part_id_of(connection, line.part_number)
        key = {"ticket_id": ticket_id, "part_id": part_id}
        before = connection.execute(QUERIES["bill_line"], key).fetchone() or (0, 0)
        counts = {"issued": line.issued, "used": line.used, "returned": line.returned}
        connection.execute(QUERIES["save_bill_line"], {**key, **counts})
        _move(connection, part_id, before[0] - line.issued, "issue", ticket_id, now)
        _move(connection, part_id, line.returned - before[1], "return", ticket_id, now)
        moved.append(part_id)
    return moved


def receive_stock(connection: Connection, part_number: str, quantity: int, now: datetime) -> None:
    """Record pieces that came into the store (quantity above 0)."""
    if quantity <= 0:
        raise Refused("invalid_request", expected="1 piece or more", got=str(quantity), remedy="Correct the quantity.")
    _move(connection, part_id_of(connection, part_number), quantity, "receipt", None, now)


def stock_on_hand(connection: Connection, part_number: str) -> int:
    """Return the pieces of a part in the store."""
    part_id = part_id_of(connection, part_number)
    row = connection.execute(QUERIES["stock_on_hand"], {"part_id": part_id}).fetchone()
    return int(row[0]) if row else 0


def part_id_of(connection: Connection, part_number: str) -> int:
    """Return the id of a part; refuse an unknown number."""
    row = connection.execute(QUERIES["part_by_number"], {"number": part_number}).fetchone()
    if row is None:
        raise Refused(
            "invalid_fact",
            expected="the number of a known part",
            got=repr(part_number)[:80],
            remedy="Check the part number, or add the part first.",
        )
    return int(row[0])


def _move(
    connection: Connection, part_id: int, quantity: int, reason: str, ticket_id: UUID | None, now: datetime
) -> None:
    if quantity != 0:
        parameters = {"part_id": part_id, "quantity": quantity, "reason": reason, "ticket_id": ticket_id, "now": now}
        connection.execute(QUERIES["move_stock"], parameters)
