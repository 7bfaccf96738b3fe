"""The schema of the job queue: procrastinate's own SQL files, each run once.

It belongs to the version of the library, so whoever starts a worker brings it up to date; our migrations only keep the
list of what has been run.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from procrastinate.schema import SchemaManager
from psycopg import Connection

from storage.queries import load

QUERIES = load("job_schema")


class ForeignJobSchemaError(Exception):
    """Tables of procrastinate are there that we have not made."""


def ensure_job_schema(connection: Connection, now: datetime) -> list[str]:
    """Bring the job queue's schema to the library's version in one transaction; return the files that were run.

    Two processes may call it at once: one waits for the other. Raises ForeignJobSchemaError.
    """
    shipped = {path.name: path for path in Path(SchemaManager.get_migrations_path()).glob("*.sql")}
    with connection.transaction():
        connection.execute(QUERIES["lock_job_schema"])
        row = connection.execute(QUERIES["applied_files"]).fetchone()
        assert row is not None
        applied, is_there = set(row[0]), bool(row[1])
        if is_there and not applied:
            raise ForeignJobSchemaError(
                "Expected a database without tables of procrastinate, found 'procrastinate_jobs' of another program. "
                "Give the service a database, or a schema in the search path, of its own."
            )
        fresh = sorted(shipped.keys() - applied)
        if not is_there:
            # The whole schema as of this version: its files need not be run one by one, only known.
            connection.execute(SchemaManager.get_schema().encode())
        else:
            for name in fresh:
                connection.execute(shipped[name].read_bytes())
        for name in fresh:
            connection.execute(QUERIES["note_file"], {"file": name, "now": now})
    return fresh
