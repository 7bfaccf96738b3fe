"""A simulated month under one policy or several, each over a database of its own that is thrown away (SPEC R4)."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import uvicorn
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from domain.clock import Clock
from runtime.answering import mint_token
from runtime.children import ServiceError
from runtime.dialects import IngestDialects
from runtime.embedded_postgres import DATABASE, EmbeddedPostgres
from runtime.month_service import MonthService, VirtualClock
from runtime.seeding import ADMIN_LOGIN, seed_house
from simulators.month_figures import Figures
from simulators.month_plan import MonthPlan
from simulators.plant_month import run_month
from storage.database import connect, migrate, open_pool
from storage.policies import DEFAULT_POLICY, publish_policy, shipped_body
from ticketing.policy.whole import read_policy

POOL_SIZE = 4
API_START_S = 20.0
# The database is thrown away with the month: nothing needs to survive a power cut.
THROWN_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum_naptime": "10s"}


def policy_of(path: Path) -> dict[str, object]:
    """Return the policy of a TOML file, whole and checked, under the name that new tickets are opened under.

    With ``based_on``, the file says only what differs from that shipped policy. Raises ServiceError for a file that
    cannot be read, Refused("invalid_policy") for a policy that is none.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ServiceError(f"{path} cannot be read as a policy: {error}") from error
    base = table.pop("based_on", None)
    if base is not None:
        try:
            table = _merged(shipped_body(str(base)), table)
        except OSError as error:
            raise ServiceError(f"{path} is based on '{base}', which is not a shipped policy: {error}") from error
    table["name"] = DEFAULT_POLICY
    read_policy(table)
    return table


def _merged(base: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    found = dict(base)
    for name, value in changes.items():
        below = found.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            found[name] = _merged(below, value)
        else:
            found[name] = value
    return found


@contextmanager
def throwaway_databases() -> Iterator[Callable[[str], str]]:
    """Run a PostgreSQL of our own until the end of the block; the callable makes a migrated database by its name."""
    with tempfile.TemporaryDirectory(prefix="wearsight-month-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "pg", options=THROWN_AWAY)
        dsn = server.start()
        try:
            migrate(dsn)
            yield lambda database: _copy(dsn, database)
        finally:
            server.stop()


def _copy(dsn: str, name: str) -> str:
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(DATABASE))
        )
    return make_conninfo(dsn, dbname=name)


def run_policy(dsn: str, policy: Mapping[str, object], plan: MonthPlan, say: Callable[[str], None]) -> Figures:
    """Furnish a migrated, empty database, put the policy in force, and play the month in it."""
    clock = VirtualClock(plan.starts_at)
    with connect(dsn) as connection:
        seed_house(connection, clock.now())
        publish_policy(connection, policy, person_id=None, now=clock.now())
        token = mint_token(connection, ADMIN_LOGIN, "month", clock)
    with open_pool(dsn, size=POOL_SIZE) as pool, api_over(pool, clock) as api:
        return run_month(plan, api=api, token=token, clock=clock, service=MonthService(pool, clock), say=say)


@contextmanager
def api_over(pool: ConnectionPool, clock: Clock) -> Iterator[str]:
    """Serve the API on a free port of this machine until the end of the block, reading ``clock``; give its address."""
    from api.app import create_app
    from api.server import Server

    app = create_app(pool, clock, dialects=IngestDialects())
    # The protocol is said: asyncio sends small answers at once only over sockets that name TCP, else 40 ms later.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = Server(app, uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="month-api", daemon=True)
        thread.start()
        for _ in range(int(API_START_S / 0.02)):
            if server.started or not thread.is_alive():
                break
            time.sleep(0.02)
        try:
            if not server.started:
                raise ServiceError(f"The API of the simulated month did not start within {API_START_S:.0f} s.")
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
