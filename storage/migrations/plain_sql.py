"""Runs one numbered SQL file, in the variant of this server where there is one."""

from __future__ import annotations

from importlib.resources import files

from alembic import op
from psycopg import Connection

from storage.database import detect_server


def run(name: str) -> None:
    """Execute ``storage/migrations/<name>.sql``, or ``<name>.<server>.sql`` where servers differ."""
    connection = op.get_bind().connection.driver_connection
    if not isinstance(connection, Connection):
        raise TypeError(f"migrations run on a psycopg connection, got {type(connection).__name__}")
    folder = files("storage") / "migrations"
    shared = folder / f"{name}.sql"
    chosen = shared if shared.is_file() else folder / f"{name}.{detect_server(connection)}.sql"
    connection.execute(chosen.read_bytes())
