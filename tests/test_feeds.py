"""Feeds in storage: what is kept, and what is refused (SPEC E3)."""

from __future__ import annotations

import dataclasses
import threading

import psycopg
import pytest

from domain.refusals import Refused
from storage import feeds
from storage.database import connect
from storage.feeds import FeedDraft
from tests.ingest_builders import NOW, SECOND, SITE, a_device, a_plant


@pytest.fixture
def plant(database):
    with a_plant(database) as connection:
        connection.execute(
            "insert into site (id, name, calendar_id, latitude, longitude) values ('plant-2', 'Other', 'day', 31, 121)"
        )
        yield connection


def a_draft(name: str = "zigbee", topic: str = "zigbee2mqtt/#", **changes: object) -> FeedDraft:
    draft = FeedDraft(name, SITE, topic, "mapped_json", {"values": "*"}, enabled=True, silent_after_s=60.0)
    return dataclasses.replace(draft, **changes)


def test_a_feed_is_kept_changed_listed_and_removed(plant):
    with plant.transaction():
        made = feeds.create_feed(plant, a_draft(), NOW)
        other = feeds.create_feed(plant, a_draft("tasmota", "tele/+/SENSOR", site="plant-2"), NOW)
    assert feeds.all_feeds(plant) == [made, other]
    assert (made.name, made.topic, dict(made.settings), made.last_message_at) == (
        "zigbee", "zigbee2mqtt/#", {"values": "*"}, None
    )  # fmt: skip
    with plant.transaction():
        changed = feeds.update_feed(plant, made.id, a_draft(topic="zigbee2mqtt/+", enabled=False))
    assert (changed.id, changed.topic, changed.enabled) == (made.id, "zigbee2mqtt/+", False)
    assert feeds.page(plant, sites=["plant-2"]) == feeds.page(plant, sites=None, after=made.id) == [other]
    assert feeds.page(plant, sites=None, site=SITE) == feeds.page(plant, sites=None, limit=1) == [changed]
    with plant.transaction():
        feeds.delete_feed(plant, made.id)
    assert feeds.all_feeds(plant) == [other]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "with space"}, "a name of"),
        ({"name": "x" * 65}, "a name of"),
        ({"topic": "a/#/b"}, "last level"),
        ({"topic": "wearsight/v1/+/+/telemetry"}, "wearsight/#"),
        ({"topic": "+/v1/#"}, "wearsight/#"),
        ({"topic": "#"}, "wearsight/#"),
        ({"topic": "tele/t1/SENSOR"}, "'tasmota'"),
        ({"topic": "tele/#"}, "'tasmota'"),
        ({"site": "nowhere"}, "site"),
        ({"silent_after_s": 0.0}, "silent_after_s"),
        ({"silent_after_s": float("nan")}, "silent_after_s"),
        ({"settings": {"a": "\0"}}, "settings"),
        ({"settings": {"a": float("nan")}}, "settings"),
    ],
)
def test_a_feed_that_cannot_be_is_refused_and_nothing_is_changed(plant, changes, said):
    first = feeds.create_feed(plant, a_draft("tasmota", "tele/+/SENSOR", enabled=False), NOW)
    kept = feeds.create_feed(plant, a_draft(), NOW)
    for change in (
        lambda: feeds.create_feed(plant, _made(changes), NOW),
        lambda: feeds.update_feed(plant, kept.id, _made(changes)),
    ):
        with pytest.raises(Refused) as refused, plant.transaction():
            change()
        assert refused.value.name == "invalid_feed"
        assert said in str(refused.value)
    assert feeds.all_feeds(plant) == [first, kept]


def _made(changes: dict[str, object]) -> FeedDraft:
    return dataclasses.replace(a_draft("new", "new/#"), **changes)


def test_a_name_is_taken_once_and_a_missing_feed_is_said_to_be_missing(plant):
    made = feeds.create_feed(plant, a_draft(), NOW)
    feeds.create_feed(plant, a_draft("b", "b/#"), NOW)
    for change in (
        lambda: feeds.create_feed(plant, a_draft(topic="c/#"), NOW),
        lambda: feeds.update_feed(plant, made.id, a_draft("b")),
    ):
        with pytest.raises(Refused) as refused:
            change()
        assert refused.value.name == "duplicate_record"
    for change in (lambda: feeds.update_feed(plant, 2**62, a_draft("d", "d/#")), lambda: feeds.delete_feed(plant, 99)):
        with pytest.raises(Refused) as refused:
            change()
        assert refused.value.name == "unknown_record"


def test_a_feed_with_devices_neither_goes_nor_moves(plant):
    made = feeds.create_feed(plant, a_draft(), NOW)
    a_device(plant, "m1", feed=(made.id, "0x01"))
    for change in (
        lambda: feeds.delete_feed(plant, made.id),
        lambda: feeds.update_feed(plant, made.id, a_draft(site="plant-2")),
    ):
        with pytest.raises(Refused) as refused:
            change()
        assert refused.value.name == "feed_in_use"
    feeds.update_feed(plant, made.id, a_draft(topic="z2m/#"))  # its filter may change
    plant.execute("update device set feed_id = null, feed_key = null")
    feeds.delete_feed(plant, made.id)


def test_of_two_feeds_saved_at_once_that_hear_the_same_only_one_stays(plant, database):
    """Each alone would be right: the second must see the first."""
    together, refused = threading.Barrier(2), []

    def save(name: str, topic: str) -> None:
        with connect(database) as connection:
            connection.execute("select 1")
            together.wait(10)
            try:
                feeds.create_feed(connection, a_draft(name, topic), NOW)
            except Refused as refusal:
                refused.append(refusal.name)

    for attempt in range(10):
        pair = [
            threading.Thread(target=save, args=(f"{side}{attempt}", topic))
            for side, topic in (("a", f"x{attempt}/+/y"), ("b", f"x{attempt}/z/#"))
        ]
        for one in pair:
            one.start()
        for one in pair:
            one.join(20)
    assert refused == ["invalid_feed"] * 10
    assert len(feeds.all_feeds(plant)) == 10


def test_the_time_of_the_last_message_only_grows_and_announces_nothing(plant):
    made = feeds.create_feed(plant, a_draft(), NOW)
    listener = psycopg.connect(plant.info.dsn, autocommit=True)
    listener.execute("listen wearsight_registration")
    feeds.note_messages(plant, {made.id}, NOW + SECOND)
    feeds.note_messages(plant, {made.id}, NOW)
    assert feeds.all_feeds(plant)[0].last_message_at == NOW + SECOND
    assert list(listener.notifies(timeout=0.2)) == []
    feeds.update_feed(plant, made.id, a_draft(topic="other/#"))
    assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
    listener.close()
