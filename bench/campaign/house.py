"""A house to be treated badly: real servers, a real ingester in its own process, and a count of what arrived."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import LiteralString, Self

import psycopg

from bench.campaign.progress import telling
from bench.campaign.sender import CHATTERER, EVENT_EVERY, SITE, Sender, Stream
from runtime.embedded_broker import EmbeddedBroker, MosquittoBroker
from runtime.embedded_postgres import EmbeddedPostgres
from storage.database import connect, migrate

DEVICES = 100
_REPOSITORY = Path(__file__).parents[2]
Broker = EmbeddedBroker | MosquittoBroker


@dataclass(frozen=True, slots=True)
class Count:
    """What arrived of what was acknowledged, by identity: ``missing`` and ``reported`` are numbers of messages.

    ``reported`` is what the gap report says is missing.
    """

    sent: int
    missing: frozenset[int]
    reported: frozenset[int]
    doubled: int
    wrong: int
    quarantined: int

    @property
    def lost(self) -> int:
        """How many are not there."""
        return len(self.missing)

    @property
    def is_whole(self) -> bool:
        """Whether every message is there once, as it was sent, and none is said to be missing."""
        return not (self.missing or self.reported or self.doubled or self.wrong or self.quarantined)

    @property
    def is_honest(self) -> bool:
        """Whether everything but what is missing is as it was sent, and exactly that is said to be missing."""
        return self.missing == self.reported and not (self.doubled or self.wrong or self.quarantined)


class House:
    """Database, broker and one ingester. ``bug`` is planted into the ingester."""

    def __init__(self, folder: Path, broker: Broker, *, bug: str = "none", postgres_folder: Path | None = None) -> None:
        self.folder = folder
        self.broker = broker
        self.postgres = EmbeddedPostgres(postgres_folder or folder / "pg")
        self.bug = bug
        self.dsn = self.postgres.start()
        migrate(self.dsn)
        _register(self.dsn)
        self.broker_url = broker.start()
        # What the ingester is given, when that is not the servers themselves.
        self.ingester_dsn: str | None = None
        self.ingester_url: str | None = None
        self._ingester: subprocess.Popen[bytes] | None = None
        self.kills = {"ingester": 0, "database": 0, "broker": 0}
        self._senders: list[Sender] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sender in self._senders:
            sender.stop()
        if self._ingester is not None:
            self._ingester.terminate()
            try:
                self._ingester.wait(20)
            except subprocess.TimeoutExpired:
                self._ingester.kill()
        self.broker.stop()
        self.postgres.stop()

    @property
    def broker_port(self) -> int:
        """Where the broker listens."""
        return int(self.broker_url.rpartition(":")[2])

    @property
    def ingester_pid(self) -> int:
        """The ingester's process."""
        assert self._ingester is not None
        return self._ingester.pid

    def send(self, stream: Stream) -> Sender:
        """Send a stream, at the latest until the house is left."""
        self._senders.append(Sender(stream))
        return self._senders[-1]

    def told(self) -> str:
        """Where things are, in a line."""
        sent = " and ".join(f"{one.acknowledged:,}" for one in self._senders if not one.stream.is_chatter)
        kills = "".join(f", {times} kills of the {name}" for name, times in self.kills.items() if times)
        return f"{sent or 'nothing'} acknowledged, {self.stored():,} stored{kills}"

    def start_ingester(self) -> None:
        """Start it; the first time, wait until the broker keeps messages for it."""
        first = self._ingester is None
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WEARSIGHT_")},
            "WEARSIGHT_DATA_DIR": str(self.folder / "data"),
            "WEARSIGHT_DATABASE_URL": self.ingester_dsn or self.dsn,
            "WEARSIGHT_BROKER_URL": self.ingester_url or self.broker_url,
            "WEARSIGHT_LOG_LEVEL": "warning",
        }
        with (self.folder / "ingester.log").open("ab") as log:
            self._ingester = subprocess.Popen(
                [sys.executable, "-m", "bench.campaign.planted", self.bug],
                cwd=_REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )
        if first:
            self.wait_until_heard()

    def wait_until_heard(self) -> None:
        """Wait until the ingester's beat says that it has settled: its subscriptions are granted."""
        wait_until(lambda: self._one("select count(*) from checkpoint_fence where settled"), "the ingester listens", 60)

    def wait_until_it_stores(self, sender: Sender) -> None:
        """Wait until the ingester has stored something since now: a fault while nothing works would try nothing.

        At the end of a stream there may be nothing left to store.
        """
        with connect(self.dsn) as connection:
            row = connection.execute("select now()").fetchone()
        assert row is not None
        wait_until(
            lambda: (
                sender.is_done or self._one("select count(*) from checkpoint_fence where processed_at > %s", row[0])
            ),
            "the ingester stores again",
            60,
        )

    def stop_ingester(self) -> None:
        """Kill it and leave it dead."""
        assert self._ingester is not None
        self._ingester.kill()
        self._ingester.wait(20)

    def kill(self, pid: int | None) -> None:
        """Kill -9."""
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def kill_ingester(self) -> None:
        """Kill -9, and start it again as the supervisor would."""
        self.stop_ingester()
        self.kills["ingester"] += 1
        self.start_ingester()

    def kill_database(self) -> None:
        """Kill -9 of the postmaster, and start it again."""
        self.kill(self.postgres.pid)
        self.kills["database"] += 1
        time.sleep(0.2)
        self.postgres.start()

    def kill_broker(self, when_dead: Callable[[], None] = lambda: None) -> None:
        """Kill -9 of the broker, and start it again on its port."""
        self.kill(self.broker.pid)
        self.kills["broker"] += 1
        when_dead()
        time.sleep(0.2)
        self.broker.start()

    @contextmanager
    def storing_held_up(self) -> Iterator[None]:
        """Let the ingester begin to store and not end; then its session at the database is cut off.

        Whoever acknowledges before it commits has acknowledged by now what is not stored.
        """
        with connect(self.dsn) as connection:
            connection.execute("set local lock_timeout = '10s'")
            connection.execute("lock table reading, event in share mode")
            try:
                yield
            finally:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where backend_type = 'client backend' and wait_event_type = 'Lock'"
                )

    def queued(self) -> dict[str, float]:
        """What the ingester's metrics say waits in it, by metric and lane; nothing while it tells nothing."""
        try:
            text = (self.folder / "data" / "metrics" / "ingest.prom").read_text(encoding="utf-8")
        except OSError:
            return {}
        return {f"{unit} {lane}": float(value) for unit, lane, value in _QUEUED.findall(text)}

    def memory_mb(self) -> float:
        """The ingester's resident memory."""
        pages = int(Path(f"/proc/{self.ingester_pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stored(self) -> int:
        """How many messages are in the tables."""
        return self._one("select (select count(*) from reading) + (select count(*) from event)")

    def wait_until_all_is_stored(self, stream: Stream, sent: int, within_s: float) -> Count:
        """Wait until as much is stored as was acknowledged, or nothing more comes; then count."""
        deadline, last, quiet_since = time.monotonic() + within_s, -1, time.monotonic()
        while time.monotonic() < deadline:
            now = self.stored()
            if now >= sent:
                break
            if now != last:
                last, quiet_since = now, time.monotonic()
            elif time.monotonic() - quiet_since > 30:
                break
            time.sleep(0.5)
        time.sleep(2)  # doubles would come late
        return self.count(stream, sent)

    def count(self, stream: Stream, sent: int) -> Count:
        """Compare, message by message, what is stored with what the broker acknowledged."""
        told = {
            "sent": sent,
            "devices": stream.devices,
            "start": datetime.fromtimestamp(stream.start_ms / 1000, UTC),
            "every": EVENT_EVERY,
            "chatterer": CHATTERER,
        }
        with connect(self.dsn) as connection:
            connection.execute("set statement_timeout = '300s'")
            missing, reported = (
                frozenset(int(number) for (number,) in connection.execute(query, told).fetchall())
                for query in (_MISSING, _REPORTED)
            )
            row = connection.execute(_OTHERWISE, told).fetchone()
        assert row is not None
        return Count(sent, missing, reported, *(int(value) for value in row))

    def _one(self, query: LiteralString, *values: object) -> int:
        try:
            with connect(self.dsn) as connection:
                row = connection.execute(query, values).fetchone()
        except psycopg.OperationalError:
            return 0
        return int(row[0]) if row is not None else 0


_QUEUED = re.compile(r'^wearsight_ingest_queued_(messages|bytes)\{lane="(\w+)"\} (\S+)$', re.MULTILINE)

# Every message of the stream by its identity (device, seq), joined with what is stored.
_MISSING = """
with message as (
  select n, 'd' || n %% %(devices)s as name, n / %(devices)s as seq,
         (n / %(devices)s) %% %(every)s = %(every)s - 1 as is_event
  from generate_series(0, %(sent)s - 1) as n
), stored_reading as (
  select device.name, reading.ts
  from reading join series on series.id = reading.series_id join device on device.id = series.device_id
), stored_event as (
  select device.name, substr(event.code, 2)::bigint as seq from event join device on device.id = event.device_id
)
select n from message left join stored_reading as r
    on r.name = message.name and r.ts = %(start)s + message.seq * interval '1 second'
  where not is_event and r.ts is null
union
select n from message left join stored_event as e on e.name = message.name and e.seq = message.seq
  where is_event and e.seq is null
"""
_REPORTED = """
select seq * %(devices)s + substr(device.name, 2)::bigint
from sequence_gap join device on device.id = sequence_gap.device_id
cross join lateral generate_series(after_sequence + 1, before_sequence - 1) as seq
"""
_OTHERWISE = """
with stored_reading as (
  select device.name, reading.ts, reading.value
  from reading join series on series.id = reading.series_id join device on device.id = series.device_id
  where device.name <> %(chatterer)s
), stored_event as (
  select device.name, substr(event.code, 2)::bigint as seq from event join device on device.id = event.device_id
)
select (select count(*) from stored_reading) + (select count(*) from stored_event)
     - (select count(*) from (select distinct name, ts from stored_reading) as once)
     - (select count(*) from (select distinct name, seq from stored_event) as once),
       (select count(*) from stored_reading where ts <> %(start)s + value * interval '1 second'),
       (select count(*) from quarantine)
"""


@contextmanager
def a_house(
    broker: type[Broker] = EmbeddedBroker, *, bug: str = "none", postgres_folder: Path | None = None
) -> Iterator[House]:
    """A house in a folder of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="wc-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with (
            House(folder, broker(folder / "broker"), bug=bug, postgres_folder=postgres_folder) as house,
            telling(house.told),
        ):
            yield house
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def a_stream(house: House, messages: int, *, per_second: int = 0, port: int | None = None) -> Stream:
    """A stream that ends about now, so that its times are fit for live devices."""
    seconds = messages // DEVICES + 60
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)
    return Stream(port or house.broker_port, messages, DEVICES, int(start.timestamp()) * 1000, per_second)


def at_shares(sender: Sender, stream: Stream, steps: int, act: Callable[[int], None]) -> None:
    """Call ``act`` with 0, 1, ... as the stream passes each of ``steps`` equal parts, all within 900 s."""
    deadline = time.monotonic() + 900
    for step in range(steps):
        goal = stream.messages * (step + 1) // (steps + 1)
        left_s = deadline - time.monotonic()
        wait_until(partial(sender.has_reached, goal), f"{goal} messages are acknowledged", left_s)
        act(step)


def wait_until(holds: Callable[[], object], what: str, within_s: float) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.1)


def _register(dsn: str) -> None:
    with connect(dsn) as connection:
        connection.execute("insert into calendar values ('day', 'Day', 'UTC')")
        connection.execute("insert into site values (%s, 'Campaign', 'day', 0, 0)", (SITE,))
        connection.execute("insert into asset_type values ('motor', 'Motor', '电机')")
        connection.execute(
            "insert into rule (name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at)"
            " values ('drift', 1, 'motor', '*', 'cusum', '{}', 'high', 'auto', now())"
        )
        connection.execute(
            "with made as (insert into asset (site_id, asset_type_id, tag, name, created_at)"
            " select %(site)s, 'motor', 'A' || n, 'A' || n, now() from generate_series(0, %(last)s) as n"
            " returning id, tag)"
            " insert into device (site_id, name, asset_id, created_at)"
            " select %(site)s, 'd' || substr(tag, 2), id, now() from made",
            {"site": SITE, "last": DEVICES - 1},
        )
        connection.execute(
            "insert into device (site_id, name, asset_id, created_at) select site_id, %s, id, now() from asset limit 1",
            (CHATTERER,),
        )
