"""The service's alarms about itself: truthful, raised once, cleared, told to the right people (SPEC E8)."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from api.measures import STALE_AFTER_S, ProcessFiles
from domain.refusals import Refused
from notify.channels.inbox import InboxChannel
from notify.relay import ROUTES, deliver_due
from notify.texts import TEXTS
from runtime.clock import SystemClock
from runtime.desk import Job, run_jobs
from runtime.measuring import disks, measured
from storage import service_alarms
from storage.outbox import inbox
from storage.people import create_person
from storage.policies import shipped_body
from storage.service_alarms import DISK_FILLING, KINDS, read_operations
from tests.ticket_builders import a_house
from ticketing.actors import Role, RoleHeld

NOW = datetime.fromisoformat("2026-03-02T08:00:00+00:00")
SECOND = timedelta(seconds=1)


def _kinds(connection: Connection, now: datetime = NOW) -> list[tuple[str, str]]:
    return [(one.kind, one.subject) for one in service_alarms.troubles(connection, now, {})]


def _a_feed(
    connection: Connection, *, silent_after_s: float | None, heard: datetime | None, enabled: bool = True
) -> None:
    site = connection.execute("select id from site limit 1").fetchone()
    assert site is not None
    connection.execute(
        "insert into feed (name, site_id, topic, decoder, enabled, silent_after_s, last_message_at, created_at)"
        " values ('boilers', %s, 'tele/+/SENSOR', 'mapped_json', %s, %s, %s, %s)",
        (site[0], enabled, silent_after_s, heard, NOW - timedelta(days=1)),
    )


@pytest.fixture
def connection(pool: ConnectionPool):
    with pool.connection() as connection:
        a_house(connection)
        connection.execute("update device set expected_interval_s = null")
        yield connection


def test_a_feed_is_silent_only_after_its_own_limit_and_only_while_enabled(connection: Connection):
    _a_feed(connection, silent_after_s=60, heard=NOW - 59 * SECOND)
    assert _kinds(connection) == []
    assert _kinds(connection, NOW + 2 * SECOND) == [("feed_silent", "boilers")]
    connection.execute("update feed set enabled = false")
    assert _kinds(connection, NOW + 2 * SECOND) == []
    connection.execute("update feed set enabled = true, silent_after_s = null")
    assert _kinds(connection, NOW + timedelta(days=9)) == []


def test_a_feed_that_never_spoke_counts_from_its_creation(connection: Connection):
    _a_feed(connection, silent_after_s=60, heard=None)
    assert _kinds(connection) == [("feed_silent", "boilers")]


def test_a_dead_and_a_stuck_ingester_are_told_apart(connection: Connection):
    connection.execute(
        "insert into checkpoint_fence (partition, fence, owner, taken_at, beat_at, processed_at, queued) values"
        " ('mqtt-0', 1, 'a', %(old)s, %(old)s, %(old)s, 0), ('mqtt-1', 1, 'b', %(old)s, %(now)s, %(old)s, 7),"
        " ('mqtt-2', 1, 'c', %(old)s, %(now)s, %(old)s, 0), ('mqtt-3', 1, 'd', %(old)s, %(now)s, %(now)s, 9000)",
        {"old": NOW - 61 * SECOND, "now": NOW},
    )
    assert _kinds(connection) == [("ingest_silent", "mqtt-0"), ("ingest_behind", "mqtt-1")]


def test_a_flood_into_quarantine_is_told_by_reason(connection: Connection):
    connection.execute(
        "insert into quarantine (received_at, last_received_at, topic, payload, fingerprint, reason, detail)"
        " select %(now)s, %(now)s, 't', 'x', decode(md5(n::text), 'hex'), case when n <= 51 then 'bad_json' else"
        " 'too_old' end, '' from generate_series(1, 101) as n",
        {"now": NOW - 60 * SECOND},
    )
    assert _kinds(connection) == [("quarantine_rising", "bad_json")]  # 51 of one, 50 of the other; the limit is 50
    assert _kinds(connection, NOW + timedelta(minutes=10)) == []


def test_a_site_of_which_no_device_is_heard_raises_an_alarm(pool: ConnectionPool):
    with pool.connection() as connection:
        a_house(connection)
        connection.execute("update device set expected_interval_s = 10, last_seen_at = %s", (NOW - 299 * SECOND,))
        assert _kinds(connection) == []
        site = connection.execute("select min(site_id) from device").fetchone()
        assert site is not None
        assert _kinds(connection, NOW + 2 * SECOND) == [("site_silent", site[0])]


def test_an_alarm_is_raised_once_told_once_and_cleared(pool: ConnectionPool):
    with pool.connection() as connection:
        a_house(connection)
        connection.execute("update device set expected_interval_s = null")
        _a_feed(connection, silent_after_s=60, heard=None)
        assert service_alarms.sweep(connection, NOW, {}) == 1
        assert service_alarms.sweep(connection, NOW + 5 * SECOND, {}) == 0
        admin = create_person(connection, login="root", name="Root", now=NOW, roles=(RoleHeld(Role.ADMIN),))
    deliver_due(pool, {"inbox": InboxChannel()}, SystemClock())
    with pool.connection() as connection:
        told = inbox(connection, admin)
        assert [item.text_en for item in told] == ["Nothing was heard of the feed boilers for more than 60 s."]
        connection.execute("update feed set last_message_at = %s", (NOW + 9 * SECOND,))
        assert service_alarms.sweep(connection, NOW + 10 * SECOND, {}) == 0
        (alarm,) = service_alarms.page(connection, sites=None)
        assert (alarm.raised_at, alarm.cleared_at) == (NOW, NOW + 10 * SECOND)
        # It comes back within the quiet time: a new alarm, and nobody is told again.
        assert service_alarms.sweep(connection, NOW + 90 * SECOND, {}) == 1
        told_again = connection.execute("select count(*) from outbox").fetchone()
    assert told_again == (1,)


def test_alarms_of_other_sites_are_not_shown(connection: Connection):
    _a_feed(connection, silent_after_s=60, heard=None)
    service_alarms.sweep(connection, NOW, {"data_dir": 0.9})
    assert [alarm.kind for alarm in service_alarms.page(connection, sites=["elsewhere"])] == [DISK_FILLING]
    assert len(service_alarms.page(connection, sites=None, open_only=True)) == 2


def test_a_disk_is_told_above_its_share_only(connection: Connection):
    found = service_alarms.troubles(connection, NOW, {"data_dir": 0.86, "other": 0.84})
    assert [(one.kind, one.subject, one.detail) for one in found] == [(DISK_FILLING, "data_dir", {"percent": 86})]


def test_every_kind_of_trouble_has_a_text_and_a_channel():
    for kind in (*KINDS, DISK_FILLING):
        assert ROUTES[f"service.{kind}"] == "inbox"
        assert f"service.{kind}" in TEXTS


@pytest.mark.parametrize("value", [0, -1, "30", None, True, float("nan"), float("inf")])
def test_a_policy_with_a_limit_that_is_no_number_above_zero_is_refused(value: object):
    with pytest.raises(Refused, match="process_silent_s"):
        read_operations({**shipped_body("operations"), "process_silent_s": value})


def test_the_desks_heart_stops_while_one_of_its_jobs_fails(pool: ConnectionPool):
    clock = SystemClock()

    def fails(_pool: ConnectionPool, _clock: object) -> int:
        raise RuntimeError("planted")

    def works(_pool: ConnectionPool, _clock: object) -> int:
        return 0

    for run, beats in ((fails, False), (works, True)):
        stop = threading.Event()
        thread = threading.Thread(target=run_jobs, args=((Job("one", 0.05, run),), pool, clock, stop))
        thread.start()
        stop.wait(0.5)
        stop.set()
        thread.join(10)
        with pool.connection() as connection:
            assert ("desk" in service_alarms.beats(connection)) is beats


def test_metrics_of_every_living_process_are_collected_and_of_dead_ones_not(tmp_path: Path):
    with measured(tmp_path, "desk"):
        folder = tmp_path / "metrics"
        for _ in range(100):
            if (folder / "desk.prom").exists():
                break
            threading.Event().wait(0.05)
        (folder / "ingest-mqtt-1.prom").write_text(
            "# TYPE wearsight_ingest_queued_messages gauge\nwearsight_ingest_queued_messages 7\n"
        )
        now = SystemClock().now()
        registry = CollectorRegistry()
        registry.register(ProcessFiles(folder, now))
        told = generate_latest(registry).decode()
        assert 'wearsight_ingest_queued_messages{process="ingest-mqtt-1"} 7.0' in told
        assert 'wearsight_process_metrics_age_seconds{process="desk"}' in told
        late = CollectorRegistry()
        late.register(ProcessFiles(folder, now + (STALE_AFTER_S + 5) * SECOND))
        assert "wearsight_ingest_queued_messages" not in generate_latest(late).decode()
    assert not (folder / "desk.prom").exists()


def test_the_disk_of_the_data_directory_is_measured(tmp_path: Path):
    assert 0 < disks(tmp_path)["data_dir"] < 1
    assert disks(tmp_path / "missing") == {}


def test_details_of_alarms_are_json(connection: Connection):
    _a_feed(connection, silent_after_s=60, heard=None)
    service_alarms.sweep(connection, NOW, {})
    (alarm,) = service_alarms.page(connection, sites=None)
    assert json.loads(json.dumps(alarm.detail)) == {"last_message_at": None, "silent_after_s": 60}


def test_silence_before_a_start_is_no_trouble_and_after_it_is(connection: Connection):
    """A house that was stopped for a night must not begin its day with alarms; one whose desk never starts must."""
    service_alarms.beat(connection, "desk", NOW - timedelta(hours=12))
    service_alarms.beat(connection, "gone", NOW - timedelta(hours=12))
    assert _kinds(connection) == [("process_silent", "desk"), ("process_silent", "gone")]
    service_alarms.expect(connection, ["desk", "relay"], NOW)
    assert _kinds(connection) == []
    service_alarms.beat(connection, "relay", NOW + 30 * SECOND)
    assert _kinds(connection, NOW + 31 * SECOND) == [("process_silent", "desk")]
