"""Who may do what, on real brokers: nobody speaks for another device, and users come and go under running sessions.

Each test runs on both embedded brokers (SPEC E2).
"""

from __future__ import annotations

import json
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from domain.broker_grants import DEVICE_PUBLISHES, Grant
from runtime.admission import Admission
from runtime.broker_access import Access, AccessReader
from runtime.broker_probe import probe_broker
from runtime.children import ServiceError
from runtime.clock import SystemClock
from runtime.embedded_broker import BROKERS, LoopbackBroker, NatsBroker
from storage.database import connect
from storage.device_credentials import Login, hash_secret, issue, owner_of_device, revoke
from storage.people import create_person
from tests.api_builders import a_device, a_house, an_asset
from tests.broker_builders import (
    SERVICE,
    SITE,
    a_client,
    a_device_login,
    a_gateway_login,
    an_access,
    hears,
    secret_of,
    the_ingester,
)
from tests.services_builders import an_open_folder, eventually, kill_hard

DEVICES = [f"d{number}" for number in range(20)]
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
QUIET_S = 1.0

Start = Callable[[Access | None], tuple[LoopbackBroker, str]]


@pytest.fixture(params=["nats", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start the broker with an access, again and again in one folder."""
    running: list[LoopbackBroker] = []
    with an_open_folder() as folder:

        def begin(access: Access | None) -> tuple[LoopbackBroker, str]:
            service = None if access is None else SERVICE
            broker = BROKERS[request.param](folder / "broker", access=access, service=service)
            running.append(broker)
            return broker, broker.start()

        yield begin
        for broker in running:
            broker.stop()


def topic(device: str, kind: str = "telemetry") -> str:
    return f"wearsight/v1/{SITE}/{device}/{kind}"


def user(device: str, number: int = 1) -> str:
    return f"{SITE}.{device}.{number}"


def everybody(*more: Login) -> Access:
    return an_access(*(a_device_login(device) for device in DEVICES), *more)


def test_of_twenty_devices_that_all_try_nobody_speaks_for_another(start: Start) -> None:
    _, url = start(everybody())
    with the_ingester(url) as ingester:
        for sender in DEVICES:
            with a_client(url, sender, user(sender)) as client:
                for target in DEVICES:
                    kind = DEVICE_PUBLISHES[len(ingester.got) % len(DEVICE_PUBLISHES)]
                    client.publish(topic(target, kind), f"{sender} as {target}", retain=target != sender)
        assert eventually(lambda: len(ingester.got) >= len(DEVICES))
        time.sleep(QUIET_S)
        told = {(heard.split("/")[3], *text.split(" as ")) for heard, text in ingester.got}
    assert told == {(device, device, device) for device in DEVICES}


HOSTILE_TOPICS = [
    topic("d1", "tickets"),
    topic("d1", "commands"),
    topic("d1", "telemetry/x"),
    topic("*"),
    topic(">"),
    f"wearsight/v1/{SITE}/d1",
    f"wearsight/v1/{SITE}/>",
    "wearsight/v1/*/d2/telemetry",
    "/" + topic("d1"),
    topic("d1") + "/",
    f"wearsight/v1/{SITE}//d1/telemetry",
    f"wearsight/v1/{SITE}.d2.telemetry",
    "$JS/API/STREAM/DELETE/$MQTT_msgs",
    "$MQTT/msgs/wearsight/v1/plant-1/d2/telemetry",
    "spBv1.0/g/NDATA/e",
]


def test_a_device_says_nothing_under_odd_topics_either(start: Start) -> None:
    _, url = start(everybody())
    with the_ingester(url) as ingester, a_client(url, "everything", SERVICE.user, SERVICE.password) as everything:
        assert everything.subscribe("#")
        for odd in HOSTILE_TOPICS:
            with a_client(url, "d1", user("d1")) as client:
                client.publish(odd, odd)
        with a_client(url, "d1", user("d1")) as client:
            client.publish(topic("d1"), "its own")
        assert hears(everything, "its own")
        assert hears(ingester, "its own")
        assert set(everything.texts()) == {"its own"}


def test_a_last_will_and_a_retained_state_are_bound_by_the_same_rules(start: Start) -> None:
    _, url = start(everybody())
    with the_ingester(url) as ingester:
        with a_client(url, "d1", user("d1")) as client:
            client.publish(topic("d2", "state"), "foreign", retain=True)
            client.publish(topic("d1", "state"), "online", retain=True)
        assert hears(ingester, "online")
    with a_client(url, "late", SERVICE.user, SERVICE.password) as late:
        assert late.subscribe("wearsight/#")
        assert hears(late, "online")
        time.sleep(QUIET_S)
        assert set(late.got) == {(topic("d1", "state"), "online")}


HOSTILE_FILTERS = [
    "#",
    "+/#",
    "wearsight/#",
    topic("+", "tickets"),
    topic("d2", "tickets"),
    topic("d2", "telemetry"),
    topic("*", "tickets"),
    f"wearsight/v1/{SITE}/>",
    "$MQTT/sub/#",
    "$MQTT/#",
    "$share/g/wearsight/#",
]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_device_hears_its_own_tickets_and_nothing_else(start: Start, qos: int) -> None:
    _, url = start(everybody())
    with (
        a_client(url, "service", SERVICE.user, SERVICE.password) as service,
        a_client(url, "d1", user("d1")) as own,
        ExitStack() as stack,
    ):
        assert own.subscribe(topic("d1", "tickets"), qos)
        assert own.subscribe(topic("d1", "commands"), qos)
        spies = [
            stack.enter_context(a_client(url, f"spy-{place}", user("d1"))) for place in range(len(HOSTILE_FILTERS))
        ]
        for spy, hostile in zip(spies, HOSTILE_FILTERS, strict=True):
            spy.subscribe(hostile, qos)  # a broker may grant it and then hand out nothing
        service.publish(topic("d1", "tickets"), "for d1", qos=max(qos, 1))
        service.publish(topic("d1", "commands"), "command for d1", qos=max(qos, 1))
        service.publish(topic("d2", "tickets"), "for d2", qos=max(qos, 1))
        with a_client(url, "d2", user("d2")) as other:
            other.publish(topic("d2"), "telemetry of d2")
        assert hears(own, "for d1")
        assert hears(own, "command for d1")
        time.sleep(QUIET_S)
        assert {text for spy in spies for text in spy.texts()} <= {"for d1", "command for d1"}
        assert set(own.texts()) == {"for d1", "command for d1"}


def test_a_gateway_speaks_where_its_filters_let_it(start: Start) -> None:
    gateway = a_gateway_login("gw", ("车间/+/data", "spBv1.0/g/#", "wearsight/v1/plant-1/+/state"), ("line/cmd",))
    _, url = start(everybody(gateway))
    with a_client(url, "all", SERVICE.user, SERVICE.password) as ears, a_client(url, "gw", "gw") as client:
        assert ears.subscribe("#")
        assert client.subscribe("line/cmd")
        for said in ("车间/一号/data", "spBv1.0/g/NDATA/e", "spBv1.0/g", topic("d3", "state")):
            client.publish(said, said)
            assert hears(ears, said), said
        for refused in ("车间/一号/other", "车间/data", "spBv1/0/g/x", "spBv1.0/h/NDATA/e", topic("d3"), "line/cmd"):
            client.publish(refused, refused)
        time.sleep(QUIET_S)
        assert len(ears.got) == 4


def test_without_a_name_or_with_a_wrong_secret_nobody_comes_in(start: Start) -> None:
    _, url = start(everybody())
    assert probe_broker(url) in ("user name or password is wrong", "this user may not connect")
    for name, secret in ((None, None), (user("d1"), "wrong"), ("ghost", "x"), ("anonymous", "anonymous")):
        with a_client(url, "x", name, secret) as client:
            assert client.connected[0] is False, name
    assert probe_broker(SERVICE.address(url)) is None


def test_open_means_to_speak_as_equipment_and_not_as_the_service(start: Start) -> None:
    _, url = start(an_access(a_device_login("d1"), feeds=("tele/+/SENSOR", "+/API/#")))
    assert probe_broker(url) is None
    with the_ingester(url) as ingester, a_client(url, "nobody") as nobody:
        assert ingester.subscribe("#")
        said = [topic("any", kind) for kind in DEVICE_PUBLISHES] + ["tele/a/SENSOR", "x/API/y"]
        for allowed in said:
            nobody.publish(allowed, allowed)
            assert hears(ingester, allowed), allowed
        for refused in (topic("d1", "tickets"), "tele/a/OTHER", "$JS/API/STREAM/DELETE/$MQTT_msgs", "elsewhere"):
            nobody.publish(refused, refused)
        nobody.publish(topic("any"), "the last")
        assert hears(ingester, "the last")
        assert set(ingester.texts()) == {*said, "the last"}
    with a_client(url, "guess", SERVICE.user, "guess") as guess:
        assert guess.connected[0] is False


def test_sessions_of_others_go_on_while_users_come_and_go(start: Start) -> None:
    """No connection is lost and no message, at QoS 1, while one credential is issued and another revoked."""
    stays, goes, comes = a_device_login("stays"), a_device_login("goes"), a_device_login("comes")
    broker, url = start(an_access(stays, goes))
    sent: list[str] = []
    stop = threading.Event()
    with (
        the_ingester(url) as ingester,
        a_client(url, "stays", user("stays"), clean=False) as staying,
        a_client(url, "goes", user("goes")) as going,
    ):
        assert staying.subscribe(topic("stays", "tickets"))

        def keep_talking() -> None:
            while not stop.wait(0.005):
                staying.publish(topic("stays"), str(len(sent)))
                sent.append(str(len(sent)))

        talking = threading.Thread(target=keep_talking)
        talking.start()
        assert eventually(lambda: len(sent) > 20)
        began = time.monotonic()  # noqa: TID251 (a broker runs in real time)
        assert broker.admit(an_access(stays, comes)) is True
        assert eventually(lambda: going.lost > 0, within_s=10)
        took_s = time.monotonic() - began  # noqa: TID251
        assert took_s < 3.0, f"the revoked one was thrown out after {took_s:.1f} s"
        with a_client(url, "comes", user("comes")) as coming:
            assert coming.connected == [True]
            coming.publish(topic("comes"), "I came")
            assert hears(ingester, "I came")
        for _ in range(5):
            broker.admit(an_access(stays))
            broker.admit(an_access(stays, comes))
        before = len(sent)
        assert eventually(lambda: len(sent) > before + 20)
        stop.set()
        talking.join()
        assert (staying.lost, ingester.lost) == (0, 0)
        assert (staying.connected, ingester.connected) == ([True], [True])
        assert hears(ingester, sent[-1])
        assert [text for text in ingester.texts() if text != "I came"] == sent
        with a_client(url, "service", SERVICE.user, SERVICE.password) as service:
            service.publish(topic("stays", "tickets"), "ticket")
        assert hears(staying, "ticket"), "its subscription went on too"
        time.sleep(QUIET_S)
        assert going.is_in is False, "and stays out though it tries again"


def test_the_same_list_again_is_no_reload(start: Start) -> None:
    login, other = a_device_login("d1"), a_device_login("d2")
    broker, _ = start(an_access(login))

    def written() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (broker.home / "access").iterdir()}

    before = written()
    assert broker.admit(an_access(login)) is False
    assert written() == before
    assert broker.admit(an_access(login, other)) is True
    after = written()
    assert all(after[name] > at for name, at in before.items())


def test_users_and_sessions_survive_a_kill(start: Start) -> None:
    broker, url = start(everybody())
    broker.admit(everybody(a_device_login("new")))
    kill_hard(broker.pid)
    assert eventually(lambda: broker.exit_code is not None)
    assert broker.start() == url
    with a_client(url, "new", user("new")) as client:
        assert client.connected == [True]


def test_no_file_of_the_broker_tells_a_secret_or_is_open_to_others(start: Start) -> None:
    broker, _ = start(everybody())
    files = [path for path in (broker.home / "access").rglob("*") if path.is_file()]
    assert files
    assert stat.S_IMODE((broker.home / "access").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    for path in (entry for entry in broker.home.rglob("*") if entry.is_file()):
        assert secret_of(user("d1")).encode() not in path.read_bytes(), path
        assert SERVICE.password.encode() not in path.read_bytes(), path


def test_a_session_made_before_there_were_users_keeps_its_messages(start: Start) -> None:
    """A data directory of an earlier version: its broker let everybody in."""
    broker, url = start(None)
    with the_ingester(url, signed_in=False):
        pass
    with a_client(url, "device") as device:
        for number in range(50):
            device.publish(topic("d1"), str(number))
    broker.stop()
    _, url = start(everybody())
    with a_client(url, "ingest", SERVICE.user, SERVICE.password, clean=False) as ingester:
        assert ingester.sessions == [True]
        assert eventually(lambda: sorted(set(map(int, ingester.texts()))) == list(range(50)))
        with a_client(url, "d1", user("d1")) as device:
            device.publish(topic("d1"), "50")
        assert hears(ingester, "50"), "the old subscription hears new messages too"


def test_a_list_that_the_server_refuses_leaves_the_users_there_are() -> None:
    with an_open_folder() as folder:
        broker = NatsBroker(folder / "broker", access=everybody(), service=SERVICE)
        url = broker.start()
        try:
            broken = Login(Grant("broken", ("a/../..//b",), ("",)), hash_secret("x"))
            twice = Login(Grant(SERVICE.user, (), ()), hash_secret("x"))
            with the_ingester(url) as ingester:
                with pytest.raises(ServiceError, match="keeps the one it has"):
                    broker.admit(everybody(broken, twice, twice))
                with a_client(url, "d1", user("d1")) as client:
                    client.publish(topic("d1"), "still there")
                assert hears(ingester, "still there")
                assert ingester.lost == 0
            kill_hard(broker.pid)
            assert eventually(lambda: broker.exit_code is not None)
            assert broker.start() == url, "what was refused is not what it starts with"
        finally:
            broker.stop()


def test_a_revoked_credential_stops_working_within_seconds_by_way_of_the_database(start: Start, database: str) -> None:
    """The whole way: a row, its announcement, the list read anew, the broker told (promised: 60 s; aimed at: 3 s)."""
    reader = AccessReader(hash_secret(SERVICE.password), is_open=False)
    with connect(database) as connection:
        a_house(connection)
        person = create_person(connection, login="p", name="P", now=NOW, roles=[])
        device = a_device(connection, an_asset(connection))
        owner = owner_of_device(device, "north", "dev-1")
        first = issue(connection, owner, person, NOW)
        access = reader.read(connection)
    broker, url = start(access)
    troubles: list[str] = []
    admission = Admission(database, reader, broker.admit, SystemClock(), troubles.append)
    try:
        admission.look()
        with a_client(url, "dev", first.username, first.secret) as client:
            assert client.connected == [True]
            with connect(database) as connection:
                second = issue(connection, owner, person, NOW)
                assert revoke(connection, owner, first.id, person, NOW)
            began = time.monotonic()  # noqa: TID251 (a broker runs in real time)

            def is_out() -> bool:
                admission.look()
                return client.lost > 0

            assert eventually(is_out, within_s=20)
            assert time.monotonic() - began < 3.0  # noqa: TID251
            with a_client(url, "dev-2", second.username, second.secret) as successor:
                assert successor.connected == [True]
        assert troubles == []
    finally:
        admission.close()


def test_the_database_may_go_away_and_what_changed_meanwhile_is_not_missed(start: Start, database: str) -> None:
    reader = AccessReader(hash_secret(SERVICE.password), is_open=False)
    handed: list[Access] = []
    clock = SystemClock()

    def admit(access: Access) -> bool:
        handed.append(access)
        return True

    admission = Admission(database, reader, admit, clock, pytest.fail)
    with connect(database) as connection:
        a_house(connection)
        person = create_person(connection, login="p", name="P", now=NOW, roles=[])
        device = a_device(connection, an_asset(connection))
    admission.look()
    assert [len(access.logins) for access in handed] == [1]
    with connect(database) as connection:
        connection.autocommit = True
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid()"
        )
    with connect(database) as connection:
        issue(connection, owner_of_device(device, "north", "dev-1"), person, NOW)

    def has_it() -> bool:
        admission.look()
        return len(handed[-1].logins) == 2

    assert eventually(has_it, within_s=10)
    admission.close()


def test_by_the_servers_own_protocol_nobody_comes_in() -> None:
    """Its permissions know nothing of the subjects below MQTT, where every session's messages pass."""
    with an_open_folder() as folder:
        broker = NatsBroker(folder / "broker", access=everybody(), service=SERVICE)
        broker.start()
        try:
            port = re.findall(r"Listening for client connections on 127\.0\.0\.1:(\d+)", broker.log.read_text())[-1]
            for name, secret in ((user("d1"), secret_of(user("d1"))), (SERVICE.user, SERVICE.password), ("", "")):
                with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as connection:
                    options = json.dumps({"user": name, "pass": secret, "verbose": True, "protocol": 1})
                    connection.sendall(f"CONNECT {options}\r\nPING\r\n".encode())
                    answer = b""
                    while part := connection.recv(4096):
                        answer += part
                assert b"Authorization Violation" in answer, name
                assert b"PONG" not in answer
        finally:
            broker.stop()
