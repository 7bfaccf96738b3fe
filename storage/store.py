"""The store: the parts there are, and the pieces on hand. Movements by tickets are in storage/parts.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from domain.refusals import Refused
from storage import supply
from storage.parts import receive_stock
from storage.queries import load

QUERIES = load("store")


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part with its pieces on hand, of these reserved for tickets, and free.

    A count below zero says that the store's count was wrong; ``lead_time_days`` is None where nobody has said it.
    """

    id: int
    number: str
    name_en: str
    name_zh: str
    unit: str
    on_hand: int
    reserved: int
    free: int
    lead_time_days: int | None
    reorder_level: int
    substitutes: list[str]


def list_parts(
    connection: Connection, *, number: str | None = None, after: int = 0, limit: int = 50
) -> list[StoredPart]:
    """Return parts with ids above ``after``."""
    asked = {"number": number, "after": after, "limit": limit}
    return [StoredPart(*row) for row in connection.execute(QUERIES["parts"], asked)]


def add_part(
    connection: Connection, *, number: str, name_en: str, name_zh: str, unit: str, on_hand: int, now: datetime
) -> StoredPart:
    """Add a part with the pieces there are; a number that is taken is refused as ``duplicate_record``."""
    values = {"number": number, "name_en": name_en, "name_zh": name_zh, "unit": unit}
    if connection.execute(QUERIES["insert_part"], values).fetchone() is None:
        raise Refused(
            "duplicate_record",
            expected="a part number that is free",
            got=f"'{number}'",
            remedy="Use the part that exists, or another number.",
        )
    if on_hand > 0:
        receive_stock(connection, number, on_hand, now)
    return list_parts(connection, number=number, limit=1)[0]


def receive_part(connection: Connection, number: str, quantity: int, now: datetime) -> StoredPart:
    """Take pieces into the store; what was ordered of the part is fulfilled, what was short may be no longer."""
    receive_stock(connection, number, quantity, now)
    supply.receive(connection, number, quantity, now)
    return list_parts(connection, number=number, limit=1)[0]
