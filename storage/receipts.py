"""Receipts: when a message that carries no time of its own was first received (SPEC E4).

Its time of receipt stands in for its time, so a redelivery must get the time of the first delivery, else one reading
would become two. A message is known by its bytes and topic: of two equal ones the newer counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from psycopg import Connection

from storage.queries import load

QUERIES = load("receipts")

# Brokers redeliver what was not acknowledged with the next session, which an outage may put off for hours.
KEPT = timedelta(days=1)


def find(connection: Connection, fingerprints: Collection[bytes]) -> dict[bytes, datetime]:
    """Return when messages with these fingerprints (``storage.quarantine.fingerprint``) were received."""
    rows = connection.execute(QUERIES["receipts"], {"fingerprints": list(fingerprints)}).fetchall()
    return {bytes(found): received_at for found, received_at in rows}


def keep(connection: Connection, received: Mapping[bytes, datetime]) -> None:
    """Note when messages were received, by fingerprint."""
    if received:
        # In one order everywhere, so that two ingesters cannot wait for each other.
        fingerprints = sorted(received)
        values = {"fingerprints": fingerprints, "received_at": [received[one] for one in fingerprints]}
        connection.execute(QUERIES["keep_receipts"], values)


def prune(connection: Connection, now: datetime) -> None:
    """Forget receipts older than ``KEPT``, except of messages that wait in quarantine for another of their devices."""
    connection.execute(QUERIES["prune_receipts"], {"before": now - KEPT})
