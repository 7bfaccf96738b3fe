"""Alembic's entry point: runs the numbered SQL files in one transaction, one migrating process at a time."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

from storage.database import connect

MIGRATION_LOCK = 7_306_001


def _run() -> None:
    dsn: str = context.config.attributes["dsn"]
    engine = create_engine("postgresql+psycopg://", creator=lambda: connect(dsn), poolclass=pool.NullPool)
    with engine.begin() as connection:
        # A change of a table with millions of rows may take longer than any statement of the service.
        connection.execute(text("set local statement_timeout = 0"))
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


_run()
