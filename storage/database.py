"""One way into the database: connections, the pool, the schema's version, and what kind of server it is."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import Connection
from psycopg.abc import Params, Query
from psycopg.rows import Row
from psycopg.sql import SQL
from psycopg_pool import ConnectionPool

if TYPE_CHECKING:
    from alembic.config import Config

CONNECT_TIMEOUT_S = 10
# Every wait is bounded: a statement that hangs must not hold a worker for ever.
STATEMENT_TIMEOUT_S = 60
_OPTIONS = f"-c TimeZone=UTC -c statement_timeout={STATEMENT_TIMEOUT_S * 1000} -c lock_timeout=30000"


# How a named query says that a filter may be left out: the parameter itself may be null.
_OPTIONAL = re.compile(r"%\(\w+\)s(::[a-z0-9\[\]]+)? is null\b")


class _Cursor(psycopg.Cursor[Row]):
    """Has a query with optional filters planned for what is asked, each time.

    What is asked often is kept by the server as a prepared statement, with one plan for all values. With "the asset is
    this one, or none was asked for" that plan reads the whole table, and looks cheap, for it expects a single row.
    """

    def execute(
        self, query: Query, params: Params | None = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> Self:
        """Execute as every cursor does; a named query with optional filters is never prepared."""
        if prepare is None and isinstance(query, SQL) and _has_optional_filters(query.as_string()):
            prepare = False
        # The driver types this once for each kind of query, and takes them all.
        return super().execute(query, params, prepare=prepare, binary=binary)  # type: ignore[arg-type,misc]


@lru_cache(maxsize=4_096)
def _has_optional_filters(text: str) -> bool:
    return _OPTIONAL.search(text) is not None


class Server(StrEnum):
    """What the server can do; ``storage`` alone knows the difference."""

    PLAIN = "plain"
    TIMESCALE = "timescale"
    TIMESCALE_APACHE = "timescale_apache"


def connect(dsn: str) -> Connection:
    """Open one connection: times in UTC, every statement bounded, a dead peer noticed."""
    return psycopg.connect(
        dsn,
        connect_timeout=CONNECT_TIMEOUT_S,
        options=_OPTIONS,
        tcp_user_timeout=30_000,
        cursor_factory=_Cursor,
    )


def open_pool(dsn: str, *, size: int) -> ConnectionPool:
    """Open a pool of at most ``size`` connections; its ``connection()`` commits, or on an error rolls back."""
    return ConnectionPool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=CONNECT_TIMEOUT_S,
        kwargs={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": _OPTIONS,
            "tcp_user_timeout": 30_000,
            "cursor_factory": _Cursor,
        },
        check=ConnectionPool.check_connection,
        open=True,
    )


def detect_server(connection: Connection) -> Server:
    """Tell whether this database has TimescaleDB, and under which licence."""
    if connection.execute("select 1 from pg_extension where extname = 'timescaledb'").fetchone() is None:
        return Server.PLAIN
    licence = connection.execute("select current_setting('timescaledb.license', true)").fetchone()
    return Server.TIMESCALE_APACHE if licence is not None and licence[0] == "apache" else Server.TIMESCALE


def migrate(dsn: str) -> None:
    """Bring the schema to the newest version. Two processes may call it at once: one waits for the other."""
    # Imported here and below: Alembic brings SQLAlchemy, half a second that no other process should pay.
    from alembic import command

    with connect(dsn) as connection:
        _use_timescale_when_offered(connection)
    command.upgrade(_alembic(dsn), "head")


def pending_migrations(dsn: str) -> list[str]:
    """Return the revisions that ``migrate`` would apply, oldest first."""
    from alembic.script import ScriptDirectory

    with connect(dsn) as connection:
        known = connection.execute("select to_regclass('alembic_version') is not null").fetchone()
        rows = connection.execute("select version_num from alembic_version").fetchall() if known and known[0] else []
    current = rows[0][0] if rows else "base"
    script = ScriptDirectory.from_config(_alembic(dsn))
    revisions = (
        script.walk_revisions("base", "head") if current == "base" else script.iterate_revisions("head", current)
    )
    return [revision.revision for revision in revisions][::-1]


def _alembic(dsn: str) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["dsn"] = dsn
    return config


def _use_timescale_when_offered(connection: Connection) -> None:
    """Create the extension where the server has loaded it; a role that may not is left with plain partitions."""
    row = connection.execute(
        "select exists (select from pg_available_extensions where name = 'timescaledb')"
        " and current_setting('shared_preload_libraries') like '%timescaledb%'"
    ).fetchone()
    if row is None or not row[0]:
        return
    try:
        with connection.transaction():
            connection.execute("create extension if not exists timescaledb")
    except psycopg.errors.InsufficientPrivilege:
        return
