"""Our own sessions at the broker: their ids cannot be guessed, outlive restarts and backups, and follow an upgrade.

At brokers a client id belongs to whoever uses it: who connects with ours pushes us off, and with a clean session
empties our queue (SPEC E2, E4).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import stat
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ingest.slices import client_of
from ingest.topics import TopicKind
from notify.channel import DeliveryError
from notify.channels.mqtt import MqttChannel
from runtime.broker_access import Access
from runtime.embedded_broker import BROKERS, LoopbackBroker
from runtime.ingesting import run_ingest
from runtime.mosquitto_broker import MosquittoBroker
from runtime.settings import Settings
from storage.broker_sessions import forget_former, former_session, secret_word
from storage.checkpoints import take_fence
from storage.database import _alembic, connect, migrate
from storage.feeds import FeedDraft, create_feed
from storage.outbox import Message
from tests.broker_builders import SERVICE, a_client, a_device_login, a_gateway_login, an_access
from tests.ingest_builders import CLOCK, QUICK, SITE, a_device, a_plant, ms, telemetry, topic, until
from tests.services_builders import REPOSITORY, House, an_open_folder
from tests.slices_builders import IngestProcess

# What an earlier version was called, and what whoever reads our sources would try first.
GUESSED = ("wearsight-ingest-0", "wearsight-ingest-0-alarms", "wearsight-relay", "wearsight-ingest-0-host-h")
FORMER = GUESSED[0]
DEVICE = f"{SITE}.m1.1"
HASTY = replace(QUICK, linger_s=0.5)
FEED = "tele/+/SENSOR"

Start = Callable[[Access | None], tuple[LoopbackBroker, str]]


@pytest.fixture(params=["nats", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts the embedded broker of either kind."""
    with an_open_folder() as folder, contextlib.ExitStack() as stack:
        numbers = itertools.count()

        def begin(access: Access | None) -> tuple[LoopbackBroker, str]:
            service = None if access is None else SERVICE
            broker = BROKERS[request.param](folder / f"broker-{next(numbers)}", access=access, service=service)
            stack.callback(broker.stop)
            return broker, broker.start()

        yield begin


@pytest.fixture
def plant(database: str) -> Iterator[psycopg.Connection]:
    """A plant with the device m1."""
    with a_plant(database) as connection:
        a_device(connection)
        yield connection


class Sender:
    """The device m1 with its own credential; numbers its messages, so that a loss is told."""

    def __init__(self, url: str, *, signed_in: bool = True) -> None:
        self._client = a_client(url, "a-device", DEVICE if signed_in else None)
        self._device = self._client.__enter__()
        self._start = CLOCK.now()
        self.sent = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            at = ms(self._start) + self.sent
            self._device.publish(topic(), telemetry(at, self.sent).decode())
            self.sent += 1

    def close(self) -> None:
        self._client.__exit__(None, None, None)


def stored(plant: psycopg.Connection) -> int:
    return plant.execute("select count(*) from reading").fetchone()[0]


def stored_exactly(plant: psycopg.Connection, count: int) -> None:
    """Every message is there, none is missed, none was set aside."""
    until(lambda: stored(plant) >= count, f"{count} are stored", 40)
    assert stored(plant) == count
    assert plant.execute("select count(*) from sequence_gap").fetchone()[0] == 0
    assert plant.execute("select topic, reason from quarantine").fetchall() == []


def listens(plant: psycopg.Connection) -> bool:
    """Whether the ingester says under its present fence that it has settled: its subscriptions are granted."""
    row = plant.execute("select settled and beat_at >= taken_at from checkpoint_fence").fetchone()
    return row is not None and row[0] is True


# Nobody can take our sessions


def test_a_device_that_calls_itself_like_the_ingester_pushes_nobody_off_and_empties_no_queue(
    start: Start, database: str, plant: psycopg.Connection, tmp_path: Path
) -> None:
    """SPEC E2, E4: with a credential that is good, while the ingester is there and while it is away."""
    broker, url = start(an_access(a_device_login("m1")))
    ingester = IngestProcess(database, SERVICE.address(url), tmp_path, [["*"]], 0)
    sender = Sender(url)
    try:
        until(lambda: listens(plant), "it listens", 60)
        sender.send(20)
        for guessed in GUESSED:
            with a_client(url, guessed, DEVICE) as thief:
                assert thief.is_in
                sender.send(20)
                thief.subscribe(topic("m1", "tickets"))
        stored_exactly(plant, sender.sent)
        log = ingester.log.read_text()
        assert "lost the broker" not in log
        assert log.count("connected to the broker") == 2, "once for each lane"
        ingester.kill()
        sender.send(50)
        for guessed in GUESSED:
            with a_client(url, guessed, DEVICE) as thief:
                assert thief.is_in
        sender.send(50)
        ingester = IngestProcess(database, SERVICE.address(url), tmp_path, [["*"]], 0)
        # The same session as before: what waited for it comes, so its id is the same after a restart.
        stored_exactly(plant, sender.sent)
        assert secret_word(plant) not in ingester.log.read_text()
        # Brokers name clients in theirs, so it is nobody's to read.
        assert stat.S_IMODE(broker.log.stat().st_mode) == 0o600
    finally:
        sender.close()
        ingester.kill()


def test_a_running_house_shows_the_word_nowhere() -> None:
    """Not in what the API answers, logs, metrics, the ready file, nor in any file that others may read."""
    with an_open_folder() as folder:
        house = House(folder, broker_access="credentials", log_level="debug")
        try:
            house.up()
            ready = house.ready()
            with connect(ready["database"]) as connection:
                word = secret_word(connection).encode()
            shown = {name: text.encode() for name, text in ready.items()}
            shown |= {path: answer(ready, path) for path in plain_paths(ready)}
            assert len(shown) > 25
            assert b"wearsight_" in shown["/api/v1/metrics"]
            data = house.data_dir
            ours = [house.output, *data.glob("*"), *(data / "log").iterdir(), *(data / "metrics").iterdir()]
            shown |= {str(path): path.read_bytes() for path in ours if path.is_file()}
            assert any("ingest.log" in name for name in shown)
            assert [name for name, content in shown.items() if word in content] == []
            brokers = [path for path in (data / "broker-nats").rglob("*") if path.is_file()]
            assert [path for path in brokers if may_others_read(path, data) and word in path.read_bytes()] == []
        finally:
            house.end()


def may_others_read(path: Path, below: Path) -> bool:
    """Whether neither the file's mode nor that of a folder on the way keeps others out."""
    way = [one for one in (path, *path.parents) if one.is_relative_to(below) and one != below]
    return all(stat.S_IMODE(one.stat().st_mode) & 0o077 for one in way)


def plain_paths(ready: dict[str, str]) -> list[str]:
    """What can be read by GET without an id."""
    paths = json.loads(answer(ready, "/api/v1/openapi.json"))["paths"]
    return [path for path, ways in paths.items() if "get" in ways and "{" not in path and "stream" not in path]


def answer(ready: dict[str, str], path: str) -> bytes:
    """What the API answers an administrator, whatever the status."""
    request = urllib.request.Request(ready["api"] + path, headers={"Authorization": f"Bearer {ready['admin_token']}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answered:
            return answered.read()
    except urllib.error.HTTPError as error:
        return error.read()


def test_the_word_is_made_once_and_differs_between_installations(database: str, postgres: str) -> None:
    with connect(database) as connection:
        word = secret_word(connection)
        assert re.fullmatch("[0-9a-f]{32}", word)
    migrate(database)
    with connect(database) as connection:
        assert secret_word(connection) == word
        assert word in client_of(0, word)
        assert len({client_of(0, word), client_of(1, word)}) == 2
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            connection.execute("insert into broker_identity (word) values (md5('x'))")
    with a_database(postgres, "another_house") as other:
        migrate(other)
        with connect(other) as connection:
            assert secret_word(connection) != word


@contextlib.contextmanager
def a_database(postgres: str, name: str) -> Iterator[str]:
    """An empty database beside the others."""
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"create database {name}")
        try:
            yield make_conninfo(postgres, dbname=name)
        finally:
            server.execute(f"drop database {name} with (force)")


def test_two_relays_side_by_side_push_each_other_off_never(database: str, broker: str) -> None:
    """SPEC E5: each has an id of its own at every start; nothing waits in its session."""
    nobody = Message(1, "ticket.changed", None, {"asset_id": 0}, 1, CLOCK.now())
    relays = MqttChannel(broker), MqttChannel(broker)

    def are_in() -> bool:
        with contextlib.suppress(DeliveryError):
            return [relay.send(connection, nobody, CLOCK.now()) for relay in relays] == ["0 devices"] * 2
        return False

    try:
        with connect(database) as connection:
            until(are_in, "both are in")
            time.sleep(0.5)
            for _ in range(40):
                assert are_in()
                time.sleep(0.05)
    finally:
        for relay in relays:
            relay.close()


def test_an_ingester_that_cannot_ask_for_the_word_waits_until_it_is_told_to_stop(broker: str, tmp_path: Path) -> None:
    """Under another id it would listen in a session that nobody empties."""
    settings = Settings(database_url="host=127.0.0.1 port=9 dbname=x", broker_url=broker, data_dir=tmp_path)
    stop = threading.Event()
    thread = threading.Thread(target=run_ingest, args=(settings, CLOCK, stop, HASTY))
    thread.start()
    thread.join(3)
    assert thread.is_alive()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


# The upgrade from ids that could be guessed


def test_an_upgrade_notes_which_sessions_an_installation_had(postgres: str) -> None:
    """A new installation has none, and never asks the broker for them."""
    from alembic import command

    with a_database(postgres, "before_words") as dsn:
        command.upgrade(_alembic(dsn), "0015")
        with connect(dsn) as connection:
            for partition in ("mqtt-0", "mqtt-3", "kafka-readings-0"):
                connection.execute(
                    "insert into checkpoint_fence (partition, fence, owner, taken_at) values (%s, 1, 'x', now())",
                    (partition,),
                )
        migrate(dsn)
        with connect(dsn) as connection:
            assert former_session(connection, "mqtt-0") == FORMER
            assert former_session(connection, "mqtt-3") == "wearsight-ingest-3"
            assert former_session(connection, "kafka-readings-0") is None
            forget_former(connection, "mqtt-0", "somebody-else")
            assert former_session(connection, "mqtt-0") == FORMER
            forget_former(connection, "mqtt-0", FORMER)
            assert former_session(connection, "mqtt-0") is None


def test_a_new_installation_has_no_former_sessions(database: str) -> None:
    with connect(database) as connection:
        assert connection.execute("select * from former_session").fetchall() == []


def test_the_statements_for_a_word_that_became_known_leave_the_old_ids_to_be_emptied(database: str) -> None:
    """As docs/broker.md has them."""
    text = (REPOSITORY / "docs" / "broker.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```sql\n(begin;.*?commit;)\n```", text, re.DOTALL)
    with connect(database) as connection:
        connection.autocommit = True
        take_fence(connection, "mqtt-0", "x", CLOCK.now())
        word = secret_word(connection)
        connection.execute(statements)
        assert secret_word(connection) != word
        assert former_session(connection, "mqtt-0") == client_of(0, word)


class Upgraded:
    """An installation whose ingester had the id FORMER, and its successor in a thread."""

    def __init__(self, dsn: str, url: str, data_dir: Path) -> None:
        self._dsn, self._url, self._data_dir = dsn, url, data_dir
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def leave_former_sessions(self) -> None:
        """What the earlier version left: two sessions with their subscriptions, and the migration's note."""
        native = {kind: f"wearsight/v1/+/+/{kind}" for kind in TopicKind}
        lanes = {FORMER: [native[TopicKind.TELEMETRY], native[TopicKind.WAVEFORM], FEED]}
        lanes[f"{FORMER}-alarms"] = [native[TopicKind.EVENTS], native[TopicKind.STATE]]
        for client_id, filters in lanes.items():
            with a_client(self._url, client_id, SERVICE.user, SERVICE.password, clean=False) as session:
                for one in filters:
                    assert session.subscribe(one)
        with connect(self._dsn) as connection:
            connection.execute("insert into former_session values ('mqtt-0', %s)", (FORMER,))

    def former_is_there(self) -> bool:
        """Whether the broker still has either; asked with a session that is clean the next time."""
        found = []
        for client_id in (FORMER, f"{FORMER}-alarms"):
            with a_client(self._url, client_id, SERVICE.user, SERVICE.password, clean=False) as session:
                found += session.sessions
            with a_client(self._url, client_id, SERVICE.user, SERVICE.password):
                pass
        return any(found)

    def is_noted(self) -> bool:
        with connect(self._dsn) as connection:
            return former_session(connection, "mqtt-0") is not None

    def start(self) -> None:
        settings = Settings(
            database_url=self._dsn, broker_url=SERVICE.address(self._url), data_dir=self._data_dir, ingest_slice=0
        )
        self._stop.clear()
        self._thread = threading.Thread(target=run_ingest, args=(settings, CLOCK, self._stop, HASTY))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(20)
            assert not self._thread.is_alive()


@pytest.fixture
def upgraded(database: str, tmp_path: Path) -> Iterator[Callable[[str], Upgraded]]:
    with contextlib.ExitStack() as stack:

        def make(url: str) -> Upgraded:
            made = Upgraded(database, url, tmp_path)
            stack.callback(made.stop)
            return made

        yield make


def test_what_waits_in_the_former_sessions_is_stored_and_they_are_ended(
    start: Start, plant: psycopg.Connection, upgraded: Callable[[str], Upgraded]
) -> None:
    """SPEC E4: also under messages that never stop, nothing is lost, nothing doubled, and it is done once."""
    _, url = start(an_access(a_device_login("m1")))
    house = upgraded(url)
    house.leave_former_sessions()
    sender = Sender(url)
    sender.send(300)
    talking = threading.Event()

    def talk() -> None:
        while not talking.wait(0.005):
            sender.send(1)

    with a_client(url, "alarm", DEVICE) as device:
        device.publish(topic(kind="events"), json.dumps({"ts": ms(CLOCK.now()), "code": "E1"}))
    thread = threading.Thread(target=talk)
    thread.start()
    try:
        house.start()
        until(lambda: not house.is_noted(), "the former sessions are ended", 40)
        before = sender.sent
        until(lambda: sender.sent > before + 100, "messages go on")
    finally:
        talking.set()
        thread.join(20)
    stored_exactly(plant, sender.sent)
    assert plant.execute("select code from event").fetchall() == [("E1",)]
    assert not house.former_is_there()
    house.stop()
    sender.send(20)
    house.start()
    stored_exactly(plant, sender.sent)
    assert not house.former_is_there(), "nobody asks for them again"
    sender.close()


def test_a_message_without_a_time_that_comes_by_both_is_stored_once(
    start: Start, plant: psycopg.Connection, upgraded: Callable[[str], Upgraded]
) -> None:
    settings = {"topics": ["tele/{device}/SENSOR"], "missing_time": "receipt"}
    feed = create_feed(plant, FeedDraft("tasmota", SITE, FEED, "mapped_json", settings), CLOCK.now())
    a_device(plant, "s1", feed=(feed.id, "plug"))
    _, url = start(an_access(a_gateway_login("gateway", (FEED,))))
    house = upgraded(url)
    house.leave_former_sessions()
    with a_client(url, "gateway", "gateway") as gateway:
        count = 0

        def say() -> None:
            nonlocal count
            gateway.publish("tele/plug/SENSOR", json.dumps({"Power": count}))
            count += 1

        for _ in range(20):
            say()
        house.start()
        until(lambda: say() or not house.is_noted(), "the former sessions are ended", 40)
        say()
    until(lambda: stored(plant) >= count, "all are stored", 40)
    time.sleep(1)
    rows = plant.execute("select value, count(*) from reading group by value order by value").fetchall()
    assert rows == [(float(number), 1) for number in range(count)]


def test_former_sessions_that_the_broker_has_lost_delay_nothing(
    start: Start, plant: psycopg.Connection, upgraded: Callable[[str], Upgraded], database: str
) -> None:
    """A backup restored beside a broker that is new."""
    _, url = start(an_access(a_device_login("m1")))
    house = upgraded(url)
    with connect(database) as connection:
        connection.execute("insert into former_session values ('mqtt-0', %s)", (FORMER,))
    house.start()
    until(lambda: not house.is_noted(), "it is done", 10)
    sender = Sender(url)
    sender.send(20)
    stored_exactly(plant, sender.sent)
    assert not house.former_is_there()
    sender.close()


def test_an_ingester_that_dies_while_it_empties_them_goes_on_where_it_was(
    start: Start, database: str, plant: psycopg.Connection, upgraded: Callable[[str], Upgraded], tmp_path: Path
) -> None:
    _, url = start(an_access(a_device_login("m1")))
    house = upgraded(url)
    house.leave_former_sessions()
    sender = Sender(url)
    sender.send(200)
    process = IngestProcess(database, SERVICE.address(url), tmp_path, [["*"]], 0)
    try:
        until(lambda: stored(plant) > 0 or process.process.poll() is not None, "it stores", 60)
        assert process.process.poll() is None, process.log.read_text()
        sender.send(100)
        process.kill()
        assert house.is_noted(), "with the times of a real broker it needs longer"
        sender.send(100)
        house.start()
        until(lambda: not house.is_noted(), "they are ended", 40)
        stored_exactly(plant, sender.sent)
        assert not house.former_is_there()
    finally:
        process.kill()
        sender.close()


# What else would bind an id


@pytest.mark.mosquitto
def test_mosquittos_use_username_as_clientid_would_have_our_own_sessions_push_each_other_off() -> None:
    """Why `wearsight broker-setup` does not write it, and the word protects us there too (docs/broker.md)."""

    class Binding(MosquittoBroker):
        def _command(self, lodging, port):
            command = super()._command(lodging, port)
            path = lodging.directory / "mosquitto.conf"
            path.write_text(path.read_text() + "use_username_as_clientid true\n")
            return command

    with an_open_folder() as folder:
        broker = Binding(folder / "broker", access=an_access(a_device_login("m1")), service=SERVICE)
        url = broker.start()
        try:
            with a_client(url, "telemetry", SERVICE.user, SERVICE.password) as telemetry_lane:
                assert telemetry_lane.is_in
                with a_client(url, "alarms", SERVICE.user, SERVICE.password):
                    until(lambda: telemetry_lane.lost > 0, "the one pushes the other off")
        finally:
            broker.stop()
