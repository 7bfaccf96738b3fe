"""What the pages of operations show: senders nobody knows, messages set aside, a silent feed, administrators."""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg import Connection

from storage import device_credentials, quarantine, service_alarms
from storage.feeds import Feed, FeedDraft, create_feed
from storage.people import create_person
from storage.quarantine import SetAside
from tests.console_builders import NOW
from tests.ticket_builders import MINUTE, SITE, an_actor
from ticketing.actors import Actor, Role, RoleHeld

# A name that a gateway may give a device, and a browser must never run.
HOSTILE = "<script>alert(1)</script>\u202e\"'/../x"


def an_administrator(connection: Connection, login: str = "admin") -> Actor:
    roles = [RoleHeld(Role.ADMIN, None)]
    person_id = create_person(connection, login=login, name="Admin", now=NOW, roles=roles)
    return an_actor(person_id, Role.ADMIN, site=None)


def a_planner_elsewhere(connection: Connection) -> Actor:
    connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31, 120)")
    roles = [RoleHeld(Role.PLANNER, "plant-2")]
    person_id = create_person(connection, login="far-away", name="Far", now=NOW, roles=roles)
    return an_actor(person_id, Role.PLANNER, site="plant-2")


def a_gateway_feed(connection: Connection, name: str = "line", topic: str = "line/#") -> Feed:
    settings = {"topics": ["line/{device}"], "time": {"field": "ts", "format": "ms"}}
    return create_feed(
        connection, FeedDraft(name, SITE, topic, "mapped_json", settings, True, 600.0), NOW - 600 * MINUTE
    )


def an_unknown_device(
    connection: Connection, name: str = "press-7", count: int = 3, feed: Feed | None = None, now: datetime = NOW
) -> None:
    topic = f"wearsight/v1/{SITE}/{name}/telemetry" if feed is None else f"line/{name}"
    feed_id = None if feed is None else feed.id
    for number in range(count):
        payload = b'{"ts": %d, "values": {"force_kn": 8.1}}' % (1_772_438_398_000 + number)
        told = SetAside(topic, payload, "unknown_device", f"no device '{name}' at '{SITE}'", SITE, name, feed_id)
        quarantine.set_aside(connection, [told], now - (count - number) * MINUTE)


def a_bad_message(
    connection: Connection,
    payload: bytes = b'{"ts": 1772438398000, "values": {"x": "n/a"}}',
    reason: str = "not_a_number",
    device: str = "dev-M-1",
    detail: str = "values.x: expected a finite number, got 'n/a'",
) -> int:
    topic = f"wearsight/v1/{SITE}/{device}/telemetry"
    quarantine.set_aside(connection, [SetAside(topic, payload, reason, detail, SITE, device)], NOW)
    return quarantine.page(connection, limit=1)[0].id


def a_lossy_device(connection: Connection) -> None:
    """Let device 1 lose messages, and its clock run ahead."""
    connection.execute(
        "insert into sequence_gap (device_id, after_sequence, before_sequence, missing, seen_at)"
        " select 1, 100, 104, 3, %s",
        (NOW,),
    )
    connection.execute(
        "update device set clock_ahead_s = 95, clock_seen_at = %s, expected_interval_s = 60, last_sequence = 400"
        " where id = 1",
        (NOW,),
    )


def some_gateways(connection: Connection, actor: Actor) -> None:
    """Add a gateway that has rotated its credential, and one that has none."""
    assert actor.person_id is not None
    by = {"person_id": actor.person_id, "now": NOW - 60 * MINUTE}
    for name, publish, hears in (("hall-1", ["line/+", "line/extra"], ["line/commands"]), ("yard", ["yard/#"], [])):
        device_credentials.add_gateway(connection, site=SITE, name=name, publish=publish, subscribe=hears, **by)
    owner = device_credentials.owner_of_gateway(device_credentials.gateways(connection, sites=None)[0])
    first, _ = (device_credentials.issue(connection, owner, **by) for _ in range(2))
    device_credentials.revoke(connection, owner, first.id, actor.person_id, NOW)


def a_silent_feed(connection: Connection) -> None:
    """Let a feed fall silent and the service notice, beside processes that live."""
    a_gateway_feed(connection)
    for process in ("desk", "relay", "jobs"):
        service_alarms.beat(connection, process, NOW - timedelta(seconds=4))
    connection.execute(
        "insert into checkpoint_fence (partition, owner, fence, taken_at, beat_at, processed_at, queued, held_devices,"
        " settled) values ('mqtt-0', 'test', 1, %s, %s, %s, 12, 1, true)",
        (NOW - 60 * MINUTE, NOW - timedelta(seconds=2), NOW - timedelta(seconds=3)),
    )
    service_alarms.sweep(connection, NOW, {})
