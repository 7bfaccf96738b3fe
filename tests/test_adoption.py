"""Unknown devices: listed with what they sent, adopted in one call, and nothing of theirs is lost (SPEC E2, E5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from psycopg_pool import ConnectionPool

from runtime.ingesting import run_ingest
from runtime.settings import Settings
from storage import adoption
from storage.assets import DeviceFacts
from storage.database import connect
from storage.quarantine import SetAside, set_aside
from tests.api_builders import NORTH, NOW, SOUTH, Api, a_device, a_feed, an_api, an_asset
from tests.ingest_builders import CLOCK, ms, telemetry
from ticketing.actors import Role

BEFORE, AFTER = 500, 100
MESSAGES = BEFORE + AFTER


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def unknown(api: Api, site: str | None, name: str, count: int, feed_id: int | None = None) -> None:
    topic = f"wearsight/v1/{site}/{name}/telemetry" if feed_id is None else f"line/{name}"
    with api.pool.connection() as connection:
        messages = [
            SetAside(topic, b"%d" % number, "unknown_device", "nobody knows it", site, name, feed_id)
            for number in range(count)
        ]
        set_aside(connection, messages, NOW)


def adopt(api: Api, body: object, role: Role = Role.PLANNER, site: str | None = NORTH) -> tuple[int, dict]:
    answer = api.post("/devices/adopt", body, role, site)
    return answer.status_code, answer.json()


NATIVE = {"site": NORTH, "name": "new"}


def test_unknown_devices_are_listed_by_address_with_what_they_sent(api: Api) -> None:
    with api.pool.connection() as connection:
        feed_id = a_feed(connection)
    unknown(api, NORTH, "new", 3)
    unknown(api, NORTH, "new", 2, feed_id)
    unknown(api, SOUTH, "other", 1)
    rows = api.get("/unknown-devices", Role.PLANNER, NORTH).json()["items"]
    assert [(one["site"], one["feed_id"], one["feed"], one["name"], one["messages"], one["topic"]) for one in rows] == [
        (NORTH, feed_id, "line", "new", 2, "line/new"),
        (NORTH, None, None, "new", 3, "wearsight/v1/north/new/telemetry"),
    ]
    assert len(api.get("/unknown-devices").json()["items"]) == 3
    assert len(api.get("/unknown-devices", site_=SOUTH).json()["items"]) == 1
    seen, cursor = [], 0
    while True:
        page = api.get("/unknown-devices", limit=1, **({"cursor": cursor} if cursor else {})).json()
        seen += [(one["site"], one["feed_id"]) for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = int(page["next_cursor"])
    assert seen == [(SOUTH, None), (NORTH, feed_id), (NORTH, None)]


def test_a_device_is_adopted_for_an_asset_and_adopting_it_again_changes_nothing(api: Api) -> None:
    unknown(api, NORTH, "new", 3)
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
    body = {"address": NATIVE, "asset_id": asset_id, "expected_interval_s": 5}
    status, told = adopt(api, body)
    assert (status, told["messages"], told["device"]["name"], told["device"]["asset_id"]) == (201, 3, "new", asset_id)
    again, same = adopt(api, body)
    assert (again, same["device"]) == (200, told["device"])
    with api.pool.connection() as connection:
        other = an_asset(connection, NORTH, "M-2")
    refused, problem = adopt(api, {**body, "asset_id": other})
    assert (refused, problem["type"]) == (409, "urn:wearsight:refusal:duplicate_record")


def test_a_device_is_adopted_with_a_new_asset_in_the_same_call(api: Api) -> None:
    unknown(api, NORTH, "new", 2)
    asset = {
        "site": NORTH,
        "asset_type": "motor",
        "tag": "M-7",
        "name": "Motor 7",
        "installed": {"bearing": NOW.isoformat()},
    }
    status, told = adopt(api, {"address": NATIVE, "asset": asset})
    assert (status, told["messages"]) == (201, 2)
    (made,) = api.get("/assets", tag="M-7").json()["items"]
    assert made["id"] == told["device"]["asset_id"]
    assert adopt(api, {"address": NATIVE, "asset": asset})[0] == 200
    assert adopt(api, {"address": NATIVE, "asset": {**asset, "tag": "M-8"}})[0] == 409
    assert len(api.get("/assets").json()["items"]) == 1, "a refused adoption leaves no asset behind"


def test_a_device_of_a_feed_is_bound_to_its_key_there(api: Api) -> None:
    with api.pool.connection() as connection:
        feed_id, asset_id = a_feed(connection), an_asset(connection)
        elsewhere = a_feed(connection, SOUTH, "south-line")
    unknown(api, NORTH, "line 1/edge", 4, feed_id)
    address = {"feed_id": feed_id, "key": "line 1/edge"}
    status, told = adopt(api, {"address": address, "asset_id": asset_id})
    assert (status, told["messages"]) == (201, 4)
    device = told["device"]
    assert (device["name"], device["feed_id"], device["feed_key"]) == ("line-1-edge", feed_id, "line 1/edge")
    assert adopt(api, {"address": address, "asset_id": asset_id, "name": "other"})[0] == 200
    assert adopt(api, {"address": {"feed_id": elsewhere, "key": "x"}, "asset_id": asset_id})[0] == 404


def test_an_asset_of_another_site_is_refused_by_name_and_changes_nothing(api: Api) -> None:
    unknown(api, NORTH, "new", 1)
    with api.pool.connection() as connection:
        theirs = an_asset(connection, SOUTH, "S-1")
    inline = {"site": SOUTH, "asset_type": "motor", "tag": "M-7", "name": "Motor 7"}
    for asset in ({"asset_id": theirs}, {"asset": inline}):
        status, problem = adopt(api, {"address": NATIVE, **asset}, Role.PLANNER, None)
        assert (status, problem["type"]) == (422, "urn:wearsight:refusal:wrong_site")
    assert adopt(api, {"address": NATIVE, "asset_id": theirs})[0] == 404, "for who does not see it"
    assert adopt(api, {"address": {"site": SOUTH, "name": "new"}, "asset_id": theirs})[0] == 404
    assert adopt(api, {"address": NATIVE, "asset_id": theirs}, Role.INTEGRATION, None)[0] == 403
    assert api.get("/devices").json()["items"] == []
    assert api.get("/assets", tag="M-7").json()["items"] == []
    assert [one["replay_requested_at"] for one in api.get("/quarantine").json()["items"]] == [None]


# The moment of adoption: a message is in quarantine and asked for, or it finds the device


def test_a_message_set_aside_after_its_device_was_registered_is_tried_again_by_itself(api: Api) -> None:
    """The ingester looked the device up before it was there, and sets the message aside after."""
    with api.pool.connection() as connection:
        feed_id = a_feed(connection)
        asset_id = an_asset(connection)
        a_device(connection, asset_id, "new")
        facts = DeviceFacts(NORTH, "fed", asset_id, "live", None, feed_id, "key")
        adoption.begin(connection)
        adoption.adopt(connection, (feed_id, "key"), facts, NOW)
    unknown(api, NORTH, "new", 1)
    unknown(api, NORTH, "key", 1, feed_id)
    # A name is no key, and a key no name.
    unknown(api, NORTH, "new", 1, feed_id)
    unknown(api, NORTH, "fed", 1)
    asked = {one["topic"]: one["replay_requested_at"] is not None for one in api.get("/quarantine").json()["items"]}
    native = "wearsight/v1/north/{}/telemetry"
    assert asked == {native.format("new"): True, "line/key": True, "line/new": False, native.format("fed"): False}


def test_no_message_is_set_aside_in_the_middle_of_an_adoption(api: Api, database: str) -> None:
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
    waiting = threading.Thread(target=unknown, args=(api, NORTH, "new", 1))
    with connect(database) as adopting:
        adoption.begin(adopting)
        adoption.adopt(adopting, (NORTH, "new"), DeviceFacts(NORTH, "new", asset_id, "live", None), NOW)
        waiting.start()
        until(lambda: blocked(database) == 1, "the message waits for the adoption")
        adopting.commit()
    waiting.join(10)
    (row,) = api.get("/quarantine").json()["items"]
    assert row["replay_requested_at"] is not None


def blocked(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            " and database = (select oid from pg_database where datname = current_database())"
        ).fetchone()
    assert row is not None
    return row[0]


def until(is_so: Callable[[], bool], what: str, within_s: float = 30) -> None:
    deadline = CLOCK.monotonic_s() + within_s
    while not is_so():
        assert CLOCK.monotonic_s() < deadline, f"within {within_s} s expected that {what}"
        time.sleep(0.05)


# The whole path: a real broker, a real ingester


def test_all_that_an_unknown_device_sent_is_stored_when_it_is_adopted(
    api: Api, database: str, broker: str, tmp_path: Path
) -> None:
    """SPEC E2: its data are kept, and one call brings them in; it goes on sending meanwhile."""
    api.clock.at = CLOCK.now()
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
    stop = threading.Event()
    settings = Settings(database_url=database, broker_url=broker, data_dir=tmp_path)
    ingester = threading.Thread(target=run_ingest, args=(settings, CLOCK, stop))
    ingester.start()
    try:
        with a_publisher(broker) as publish:
            until(lambda: publish("probe", 0, CLOCK.now()) and waiting(database, "probe") > 0, "the ingester listens")
            start = CLOCK.now() - timedelta(seconds=MESSAGES)
            for number in range(BEFORE):
                publish("pump-7", number, start)
            until(lambda: waiting(database, "pump-7") == BEFORE, f"{BEFORE} messages wait")
            status, told = adopt(api, {"address": {"site": NORTH, "name": "pump-7"}, "asset_id": asset_id})
            assert (status, told["messages"]) == (201, BEFORE)
            for number in range(BEFORE, MESSAGES):
                publish("pump-7", number, start)
            until(lambda: stored(database) == MESSAGES, f"{MESSAGES} readings are stored")
        until(lambda: waiting(database, "pump-7") == 0, "nothing waits any more")
    finally:
        stop.set()
        ingester.join(20)
    rows = api.get("/quarantine", limit=200, device="pump-7").json()["items"]
    assert {one["replay_result"] for one in rows} == {"stored"}
    assert [one["name"] for one in api.get("/unknown-devices").json()["items"]] == ["probe"]
    with psycopg.connect(database) as connection:
        found = connection.execute("select value from reading order by ts").fetchall()
    assert [value for (value,) in found] == [float(number) for number in range(MESSAGES)]


@contextmanager
def a_publisher(broker: str) -> Iterator[Callable[[str, int, datetime], bool]]:
    """A stock MQTT client that sends what a device would: one reading a second since ``start``."""
    address = urlsplit(broker)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="pump-7")
    client.connect(address.hostname or "", address.port or 1883)
    client.loop_start()

    def publish(device: str, number: int, start: datetime) -> bool:
        body = telemetry(ms(start) + number * 1000, number, t=float(number))
        sent = client.publish(f"wearsight/v1/{NORTH}/{device}/telemetry", body, 1)
        sent.wait_for_publish(10)
        return sent.is_published()

    yield publish
    client.disconnect()
    client.loop_stop()


def waiting(database: str, device: str) -> int:
    query = "select count(*) from quarantine where replay_result is distinct from 'stored' and device_name = %s"
    return count(database, query, device)


def stored(database: str) -> int:
    return count(database, "select count(*) from reading")


def count(database: str, query: str, *given: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(query, given).fetchone()
    assert row is not None
    return row[0]
