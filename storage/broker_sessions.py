"""By what our sessions are known to the broker: the secret end of their ids, and the ids that were given up.

The word lies in the database, so that it outlives restarts, is the same for every slice on every machine, and comes
back with a backup: with another one the broker would keep the old sessions, and what waits in them, for nobody.
"""

from __future__ import annotations

from psycopg import Connection

from storage.queries import load

QUERIES = load("broker_sessions")


def secret_word(connection: Connection) -> str:
    """Return the end of every client id of ours, 32 hexadecimal digits. It is never shown nor logged."""
    row = connection.execute(QUERIES["word"]).fetchone()
    if row is None:
        raise LookupError("broker_identity is empty; restore it from a backup, or write a new word of 32 hex digits")
    return str(row[0])


def former_session(connection: Connection, partition: str) -> str | None:
    """Return the client id that the partition's ingester had before, None when nothing is left of it."""
    row = connection.execute(QUERIES["former"], {"partition": partition}).fetchone()
    return None if row is None else str(row[0])


def forget_former(connection: Connection, partition: str, client_id: str) -> None:
    """Note that the former session has been emptied and ended at the broker."""
    connection.execute(QUERIES["forget_former"], {"partition": partition, "client_id": client_id})
