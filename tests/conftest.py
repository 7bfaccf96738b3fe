"""Real servers for the tests: an embedded PostgreSQL and broker per test process, a fresh database per test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from runtime.embedded_broker import EmbeddedBroker
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.seeding import seed_house
from storage.database import connect, migrate, open_pool
from ticketing.actors import Actor

if TYPE_CHECKING:
    from tests.console_builders import Console

REPOSITORY = Path(__file__).resolve().parent.parent
START_OF_TESTS = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def recorded_data() -> Path | None:
    """The folder of recorded data, or None: WEARSIGHT_DATA, else ../shared/data beside the repository."""
    folder = Path(os.environ.get("WEARSIGHT_DATA") or REPOSITORY.parent / "shared" / "data")
    return folder if folder.is_dir() else None


# marker -> (is it here?, what to install or set)
NEEDS = {
    "chromium": (lambda: shutil.which("chromium") is not None, "install Debian's package chromium"),
    "mosquitto": (
        lambda: shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None,
        "install Debian's package mosquitto",
    ),
    "recorded": (lambda: recorded_data() is not None, "set WEARSIGHT_DATA to the folder of recorded data"),
    "timescale": (
        lambda: bool(os.environ.get("WEARSIGHT_TEST_TIMESCALE_URL")),
        "set WEARSIGHT_TEST_TIMESCALE_URL to a TimescaleDB server",
    ),
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this machine cannot run, unless WEARSIGHT_TESTS_REQUIRE names it: then it runs, and fails."""
    required = set(filter(None, os.environ.get("WEARSIGHT_TESTS_REQUIRE", "").split(",")))
    unknown = required - NEEDS.keys()
    if unknown:
        raise pytest.UsageError(f"WEARSIGHT_TESTS_REQUIRE names {sorted(unknown)}; known are {sorted(NEEDS)}")
    missing = {marker for marker, (is_here, _) in NEEDS.items() if marker not in required and not is_here()}
    for item in items:
        for marker in sorted(missing.intersection(mark.name for mark in item.iter_markers())):
            item.add_marker(pytest.mark.skip(reason=f"left out: {marker} is missing ({NEEDS[marker][1]})"))
    # Files that take minutes come first: at the end they would keep one worker busy and the other idle.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in the last lines which tests this machine left out, and how to have them run."""
    reasons = Counter(str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} tests {reason.removeprefix('Skipped: ')}")


# Copying the migrated database makes 900 files: 46 ms in memory, 350 on a busy disk (ext4). Most tests copy it.
MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 * 2**30


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM_BYTES


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short path of this test process, in memory where there is room: sockets allow about 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="ws-", dir=MEMORY if _has_room(MEMORY) else "/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_folder: Path) -> Iterator[str]:
    """A running embedded PostgreSQL: its connection string. No test of it pulls the plug, so it waits for no disk."""
    server = EmbeddedPostgres(server_folder / "pg", options={"fsync": "off"})
    yield server.start()
    server.stop()


@pytest.fixture(scope="module")
def broker(server_folder: Path) -> Iterator[str]:
    """A running embedded broker of this file's own, so that no other file's retained messages are in it."""
    server = EmbeddedBroker(server_folder / f"broker-{next(_numbers)}")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """A migrated database to copy from: copying costs about 25 ms, migrating a second."""
    name = "template_wearsight"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    migrate(make_conninfo(postgres, dbname=name))
    return name


@pytest.fixture
def database(postgres: str, template: str) -> Iterator[str]:
    """A freshly migrated, empty database of this test's own: its connection string."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def timescale_database() -> Iterator[str]:
    """A freshly migrated database on the TimescaleDB server that WEARSIGHT_TEST_TIMESCALE_URL names."""
    server = os.environ["WEARSIGHT_TEST_TIMESCALE_URL"]
    name = f"wearsight_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = make_conninfo(server, dbname=name)
    migrate(dsn)
    yield dsn
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def seeded(database: str) -> str:
    """A database with the demo house: calendar, site plant-1, asset types, libraries, policy, people."""
    with connect(database) as connection:
        seed_house(connection, START_OF_TESTS)
    return database


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool]:
    """A pool on the test's database; ask for ``seeded`` too if the demo house should be in it."""
    with open_pool(database, size=4) as opened:
        yield opened


# The application takes a second to load: only tests that ask for it wait for that.


@pytest.fixture
def console(pool: ConnectionPool) -> Console:
    """The application over a house with a day of readings."""
    from tests.console_builders import a_console

    return a_console(pool)


@pytest.fixture
def admin(console: Console) -> Actor:
    """An administrator of all sites."""
    from tests.operations_builders import an_administrator

    with console.pool.connection() as connection:
        return an_administrator(connection)
