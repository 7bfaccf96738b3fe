"""Public Sparkplug edge nodes publish to a running service and find it listening: ``python -m bench.show_sparkplug``.

Starts an embedded database, an embedded broker and the ingest process in a temporary folder; installs pysparkplug
(Python) and sparkplug-client (Node.js) there, each in an environment of its own; lets each publish births, data with
one message missing, and a death; adopts whoever is unknown; and prints what the database then holds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from runtime.clock import SystemClock
from runtime.embedded_broker import EmbeddedBroker
from runtime.embedded_postgres import EmbeddedPostgres
from runtime.seeding import seed_house
from storage.adoption import adopt, begin, unknown_devices
from storage.assets import DeviceFacts
from storage.database import connect, migrate
from storage.feeds import Feed, FeedDraft, create_feed

EDGES = Path(__file__).parent / "edges"
SITE = "plant-1"
WAIT_S = 60
CLOCK = SystemClock()


def main() -> None:
    """Show it, and end with an error where an edge node's data is not there; arguments choose among the packages."""
    chosen = sys.argv[1:] or list(STARTS)
    folder = Path(tempfile.mkdtemp(prefix="show-sparkplug-"))
    database, broker = EmbeddedPostgres(folder / "pg"), EmbeddedBroker(folder / "broker")
    try:
        dsn, url = database.start(), broker.start()
        migrate(dsn)
        with connect(dsn) as connection:
            seed_house(connection, CLOCK.now())
            feed = create_feed(
                connection,
                FeedDraft("show", SITE, "spBv1.0/show/#", "sparkplug_b", {"reorder_s": 0.5, "rebirth_pause_s": 1}),
                CLOCK.now(),
            )
        with ingesting(dsn, url, folder), connect(dsn) as connection:
            connection.autocommit = True
            host, _, port = url.removeprefix("mqtt://").rpartition(":")
            wanted = [show(name, connection, feed, (host, port), folder) for name in chosen]
    finally:
        broker.stop()
        database.stop()
        shutil.rmtree(folder, ignore_errors=True)
    if not all(wanted):
        sys.exit("the data of an edge node is not there")


def show(name: str, connection: psycopg.Connection, feed: Feed, address: tuple[str, str], folder: Path) -> bool:
    """Run one edge node, adopt what it brings, and print its readings; return whether they are whole."""
    environment = install(name, folder)
    command = [part.format(folder=environment, edges=EDGES) for part in STARTS[name]]
    print(f"== {name}")
    subprocess.run([*command, *address], cwd=environment, check=True, timeout=WAIT_S)
    adopt_all(connection, feed)
    deadline_s = CLOCK.monotonic_s() + WAIT_S
    while len(values := temperatures(connection, name)) < 10 and CLOCK.monotonic_s() < deadline_s:
        time.sleep(0.2)
    for row in connection.execute(
        "select feed_key, metric, count(*), min(value), max(value), online from reading"
        " join series on series.id = series_id join device on device.id = device_id"
        " where feed_key like %s group by 1, 2, 6 order by 1, 2",
        (f"show/{name}%",),
    ):
        print("{:<28} {:<18} {:>3} readings, {:g} to {:g}, online {}".format(*row))
    left = connection.execute(
        "select reason, detail from quarantine where replay_result is distinct from 'stored'"
    ).fetchall()
    print(f"left in quarantine: {left or 'nothing'}")
    return set(range(41, 51)) <= {int(value) for value in values} and not left


def adopt_all(connection: psycopg.Connection, feed: Feed) -> None:
    """Register every unknown device of the feed on an asset of its own, and have its messages replayed."""
    for unknown in unknown_devices(connection, sites=None):
        with connection.transaction():
            begin(connection)
            row = connection.execute(
                "insert into asset (site_id, asset_type_id, tag, name, created_at)"
                " select %s, min(id), %s, %s, %s from asset_type returning id",
                (SITE, unknown.name.replace("/", "-"), unknown.name, CLOCK.now()),
            ).fetchone()
            assert row is not None  # an insert returns its row
            name = unknown.name.replace("/", "-")
            facts = DeviceFacts(SITE, name, row[0], "live", None, feed.id, unknown.name)
            adopted = adopt(connection, (feed.id, unknown.name), facts, CLOCK.now())
        print(f"adopted {unknown.name}, {adopted.messages} messages to be replayed")


def temperatures(connection: psycopg.Connection, name: str) -> list[float]:
    """Return what is stored of the pump's temperature."""
    rows = connection.execute(
        "select value from reading join series on series.id = series_id join device on device.id = device_id"
        " where feed_key = %s and metric = 'Pump/Temperature' order by ts",
        (f"show/{name}/pump",),
    )
    return [float(value) for (value,) in rows]


def install(name: str, folder: Path) -> Path:
    """Install the package of this name into an environment of its own and return its folder."""
    environment = folder / name
    if name == "pysparkplug":
        venv.create(environment, with_pip=True)
        subprocess.run([environment / "bin" / "pip", "install", "-q", "pysparkplug==0.6.1"], check=True, timeout=300)
    else:
        environment.mkdir()
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", environment]
        subprocess.run([*command, "sparkplug-client@3.2.4"], cwd=environment, check=True, timeout=300)
    return environment


STARTS = {
    "pysparkplug": ("{folder}/bin/python", "{edges}/pysparkplug_edge.py"),
    "sparkplug-client": ("node", "{edges}/sparkplug_client_edge.cjs"),
}


@contextmanager
def ingesting(dsn: str, url: str, folder: Path) -> Iterator[None]:
    """Run the ingest process as the service does."""
    settings = {"DATABASE_URL": dsn, "BROKER_URL": url, "DATA_DIR": str(folder)}
    environment = os.environ | {f"WEARSIGHT_{name}": value for name, value in settings.items()}
    with (folder / "ingest.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "runtime", "ingest"], env=environment, stdout=log, stderr=log)
        try:
            time.sleep(8)  # kernels compile, subscriptions are granted, the host says that it is online
            yield
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
