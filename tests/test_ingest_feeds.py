"""Messages of feeds on their way into a real database: routing, gateways, faults of decoders, receipts (SPEC E2-E5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg
import pytest

from ingest.decoders.telling import DecodedEvent, Outgoing, TimedSample, Told
from ingest.pipeline import Pipeline
from ingest.source import Message
from ingest.times import to_microseconds
from ingest.topics import FeedRoute, Router
from storage import feeds, receipts
from storage.feeds import Feed, FeedDraft
from storage.quarantine import request_replay
from tests.feed_builders import DIALECTS, Spoken, said, stored
from tests.ingest_builders import NOW, SITE, Line, ListSource, a_device, a_plant, telemetry, topic
from tests.test_ingest_recovery import run_worker


@pytest.fixture
def plant(database):
    with a_plant(database) as connection:
        yield connection


@pytest.fixture
def feed(plant):
    return feeds.create_feed(plant, FeedDraft("gate", SITE, "gate/#", "spoken", {}), NOW)


@pytest.fixture
def line(plant, database, feed):
    """A native device 'm1', and a device 's1' that the feed calls 'a'."""
    a_device(plant)
    a_device(plant, "s1", feed=(feed.id, "a"))
    return Line(database, decoders=DIALECTS)


def test_a_feed_and_the_native_topics_are_stored_side_by_side(line, feed):
    """SPEC E3."""
    line.take((topic(), telemetry(NOW, t=1.0)), ("gate/x", said(a={"ts": 1, "t": 2.0})))
    assert stored(line) == [("m1", "t", 0.0, 1.0), ("s1", "t", 1.0, 2.0)]
    assert line.rows("select last_message_at from feed") == [(NOW,)]
    assert line.reasons() == []


def test_an_address_of_one_kind_is_never_looked_up_as_the_other(line, feed):
    """SPEC E2: who may publish on a feed is not who may speak for a native device, nor the other way round."""
    line.take(("gate/x", said(m1={"ts": 1, "t": 2.0})), (topic("s1"), telemetry(NOW)), (topic("a"), telemetry(NOW)))
    assert stored(line) == []
    assert set(line.rows("select site_name, feed_id, device_name from quarantine")) == {
        (SITE, feed.id, "m1"),
        (SITE, None, "s1"),
        (SITE, None, "a"),
    }


def test_a_gateways_known_devices_are_stored_though_another_is_unknown(line, plant, feed):
    """SPEC E2, E5: the message waits for the unknown ones, adopted one after the other; nothing is doubled."""
    message = ("gate/x", said(a={"ts": 1, "t": 1.0}, b={"ts": 1, "t": 2.0}, c={"ts": 1, "t": 3.0}))
    line.take(message)
    assert stored(line) == [("s1", "t", 1.0, 1.0)]
    assert line.rows("select reason, feed_id, device_name from quarantine") == [("unknown_device", feed.id, "b")]
    for key, name in (("b", "s2"), ("c", "s3")):
        assert line.rows("select device_name from quarantine") == [(key,)]
        a_device(plant, name, feed=(feed.id, key))
        assert request_replay(plant, line.now, address=(feed.id, key)) == 1
        line.wait(1)
        line.take(*line.pipeline.to_replay())
        line.wait(1)
    assert stored(line) == [("s1", "t", 1.0, 1.0), ("s2", "t", 1.0, 2.0), ("s3", "t", 1.0, 3.0)]
    assert line.rows("select replay_result from quarantine") == [("stored",)]


def test_the_replay_of_a_gateways_message_without_a_time_doubles_nothing(line, plant, feed):
    """SPEC E4: the known device's reading has the time of receipt already, and the replay must get the same."""
    for packet in (0, 1):
        line.take(
            *(
                Message("gate/x", said(a={"t": value}, b={"t": value}), 1, packet)
                for value in (packet + 1.0, packet + 7.0)
            )
        )
        line.wait(60)
    assert len(stored(line)) == 4
    before = stored(line)
    a_device(plant, "s2", feed=(feed.id, "b"))
    line.restart()
    request_replay(plant, line.now, reason="unknown_device")
    line.take(*line.pipeline.to_replay())
    assert [row for row in stored(line) if row[0] == "s1"] == before
    assert [row[2:] for row in stored(line) if row[0] == "s2"] == [row[2:] for row in before]


def test_any_other_fault_sets_the_whole_message_aside(line, plant, feed):
    """SPEC E5: half a message must not look complete."""
    a_device(plant, "s2", feed=(feed.id, "b"))
    line.take(
        ("gate/x", said(a={"ts": 1, "t": 1.0}, b={"ts": 10_000, "t": 1.0})),
        ("gate/x", said(a={"ts": 1, "t": 1.0}, b={"ts": 1, "seq": -1, "t": 1.0})),
        ("gate/x", said(a={"ts": 1, "t": 1.0}, b={"ts": 1, "bad\n": 1.0})),
        ("gate/x", said(a={"ts": 1, "t": 1.0}, b={"ts": 1} | {f"m{n}": 1.0 for n in range(257)})),
    )
    assert stored(line) == []
    assert sorted(line.reasons()) == ["bad_metric_name", "bad_sequence", "too_far_ahead", "too_many_metrics"]


def test_the_number_of_metric_names_is_checked_over_the_whole_message(line, plant):
    """SPEC E5: two samples of one device, each within the bound, together beyond it."""

    class Twice(Spoken):
        def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
            names = [f"m{n}" for n in range(502)]
            ts_us = to_microseconds(NOW)
            samples = [TimedSample(ts_us, dict.fromkeys(part, 1.0)) for part in (names[:251], names[251:])]
            return [Told((self._feed.id, "a"), samples)]

    again = Line(line.dsn, decoders={"spoken": Twice})
    again.take(("gate/x", b""))
    assert (again.reasons(), stored(again)) == (["too_many_names"], [])


def test_what_a_decoder_chokes_on_is_set_aside_alone_and_at_once(line):
    """SPEC E5: the batch is stored in one go; nothing is raised that would have it halved."""
    line.take(
        ("gate/x", said(a={"ts": 1, "t": 1.0})), ("gate/x", b"crash"), ("gate/x", b"?"),
        ("gate/x", said(a={"ts": 2, "t": 1.0})), (topic(), telemetry(NOW)),
    )  # fmt: skip
    assert len(stored(line)) == 3
    assert sorted(line.reasons()) == ["bad_json", "processing_failed"]
    ((detail,),) = line.rows("select detail from quarantine where reason = 'processing_failed'")
    assert "what no decoder may raise" in detail


def test_what_no_decoder_may_say_is_set_aside_too(line):
    """A time that no calendar has: the intake's own check must not stop the batch."""

    class Absurd(Spoken):
        def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
            return [Told((self._feed.id, "a"), [TimedSample(10**30, {"t": 1.0})])]

    again = Line(line.dsn, decoders={"spoken": Absurd})
    again.take(("gate/x", b""), (topic(), telemetry(NOW)))
    assert again.reasons() == ["processing_failed"]
    assert len(stored(again)) == 1


@pytest.mark.parametrize(
    "change", [{"decoder": "no_such"}, {"settings": {"refuse": 1}}, {"enabled": False}], ids=lambda one: next(iter(one))
)
def test_a_feed_that_cannot_be_decoded_stops_no_other_and_loses_nothing(line, plant, feed, change):
    """SPEC E5."""
    other = feeds.create_feed(plant, FeedDraft("other", SITE, "other/#", "spoken", {}), NOW)
    a_device(plant, "s2", feed=(other.id, "a"))
    draft = FeedDraft("gate", SITE, "gate/#", "spoken", {})
    feeds.update_feed(plant, feed.id, dataclasses.replace(draft, **change))
    line.take(("gate/x", said(a={"ts": 1, "t": 1.0})), ("other/x", said(a={"ts": 1, "t": 2.0})))
    assert stored(line) == [("s2", "t", 1.0, 2.0)]
    assert line.rows("select reason, feed_id from quarantine") == [("feed_unusable", feed.id)]
    feeds.update_feed(plant, feed.id, draft)
    request_replay(plant, line.now, reason="feed_unusable")
    line.take(*line.pipeline.to_replay())
    assert len(stored(line)) == 2


def test_a_feed_is_heard_and_given_up_while_ingest_runs(line, plant, feed):
    """SPEC E3: no restart; the filters to subscribe to follow."""
    native = line.pipeline.filters() - {"gate/#"}
    assert line.pipeline.filters() == native | {"gate/#"}
    other = feeds.create_feed(plant, FeedDraft("other", SITE, "other/#", "spoken", {}), NOW)
    a_device(plant, "s2", feed=(other.id, "a"))
    line.connection.execute("select 1")  # the notification comes with whatever is asked next
    line.take(("other/x", said(a={"ts": 1, "t": 1.0})))
    assert len(stored(line)) == 1
    assert line.pipeline.filters() == native | {"gate/#", "other/#"}
    feeds.update_feed(plant, feed.id, FeedDraft("gate", SITE, "gates/#", "spoken", {}))
    feeds.update_feed(plant, other.id, FeedDraft("other", SITE, "other/#", "spoken", {}, enabled=False))
    line.connection.execute("select 1")
    line.take(("gates/x", said(a={"ts": 2, "t": 1.0})), ("gate/x", said(a={"ts": 3, "t": 1.0})))
    assert line.pipeline.filters() == native | {"gates/#"}
    assert (len(stored(line)), line.reasons()) == (2, ["bad_topic"])


def test_filters_are_whole_before_the_first_batch(line):
    """A reconnect to the database makes a new pipeline: it must not give up the feeds' subscriptions meanwhile."""
    line.restart()
    assert "gate/#" in line.pipeline.filters()


def test_a_gateways_silent_message_is_nothing_amiss(line):
    line.take(("gate/x", said()), ("gate/x", said(a={})))
    assert (stored(line), line.reasons()) == ([], [])
    assert line.rows("select last_seen_at from device where name = 's1'") == [(NOW,)]


def test_events_presence_and_counters_of_a_feed_are_stored(line):
    """SPEC E8, E9."""
    from domain.events import Event, EventKind, EventSeverity

    class Rich(Spoken):
        def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
            event = Event(NOW, EventKind.ERROR, "E1", EventSeverity.ERROR)
            ts_us = to_microseconds(NOW)
            return [
                Told(
                    (self._feed.id, "a"),
                    [TimedSample(ts_us, {"t": 1.0}, 1)],
                    [DecodedEvent(ts_us, 3, event)],
                    online=True,
                )
            ]

    again = Line(line.dsn, decoders={"spoken": Rich})
    again.take(("gate/x", b""))
    assert again.rows("select code from event") == [("E1",)]
    assert again.rows("select online, last_sequence from device where name = 's1'") == [(True, 3)]
    assert again.rows("select missing from sequence_gap") == [(1,)]


# Decoders that remember


@pytest.fixture
def remembering(line, plant):
    """The feed's decoder remembers now, in a table of its own."""
    plant.execute("create table remembered (at timestamptz)")
    plant.execute("update feed set decoder = 'remembered'")
    line.connection.execute("select 1")
    return line


def test_what_a_decoder_remembers_is_part_of_the_transaction(remembering, plant):
    line = remembering
    line.take(("gate/x", said(a={"ts": 1, "t": 1.0})), ("gate/x", said(a={"ts": 2, "t": 1.0})))
    assert (line.rows("select count(*) from remembered"), line.sent) == ([(2,)], [Outgoing("ask/2", b"")])
    plant.execute("alter table reading rename to gone")
    with pytest.raises(psycopg.errors.UndefinedTable):
        line.take(("gate/x", said(a={"ts": 3, "t": 1.0})))
    plant.execute("alter table gone rename to reading")
    line.pipeline.reset()
    line.take((topic(), telemetry(NOW)))
    assert (line.rows("select count(*) from remembered"), len(line.sent)) == ([(2,)], 1)
    line.take(("gate/x", said(a={"ts": 3, "t": 1.0})))
    assert (line.rows("select count(*) from remembered"), line.sent[1:]) == ([(3,)], [Outgoing("ask/3", b"")])


def test_a_decoder_that_fails_after_the_commit_does_not_have_the_batch_stored_again(remembering):
    line = remembering
    for n in range(13):
        line.take(("gate/x", said(a={"ts": n, "t": 1.0})))
    line.take(("gate/x", said(a={"ts": 13, "t": 1.0})))
    assert [int(one.topic[4:]) for one in line.sent] == [*range(1, 13), 14]
    assert (len(stored(line)), line.reasons()) == (14, [])


def test_a_feed_that_cannot_prepare_is_set_aside_and_no_other(remembering):
    line = remembering
    line.take(("gate/unprepared", said(a={"ts": 1, "t": 1.0})), (topic(), telemetry(NOW)))
    assert (len(stored(line)), line.reasons()) == (1, ["processing_failed"])
    line.take(("gate/x", said(a={"ts": 1, "t": 1.0})))
    assert len(stored(line)) == 2


# Messages without a time


def test_messages_without_a_time_get_a_moment_each(line):
    """SPEC E5: two in one batch are two readings."""
    line.take(*(Message("gate/x", said(a={"t": value}), 1, n) for n, value in enumerate((1.0, 2.0, 2.0), 1)))
    assert [row[3] for row in stored(line)] == [1.0, 2.0, 2.0]


def test_a_redelivered_message_without_a_time_adds_no_reading(line):
    """SPEC E4: after a restart, and also when a reconnect brings it twice into one batch."""
    line.take(Message("gate/x", said(a={"t": 1.0}), 1, 1), Message("gate/x", said(a={"t": 2.0}), 1, 2))
    first = stored(line)
    line.wait(30)
    line.restart()
    line.take(
        Message("gate/x", said(a={"t": 1.0}), 1, 1, is_repeat=True),
        Message("gate/x", said(a={"t": 2.0}), 1, 2, is_repeat=True),
        Message("gate/x", said(a={"t": 3.0}), 1, 3),
        Message("gate/x", said(a={"t": 3.0}), 2, 3, is_repeat=True),
        Message("gate/x", said(a={"t": 4.0}), 2, 4, is_repeat=True),
    )
    assert stored(line)[:2] == first
    assert [row[3] for row in stored(line)] == [1.0, 2.0, 3.0, 4.0]


def test_a_retained_message_without_a_time_adds_no_reading(line):
    """SPEC E4: brokers send it at every connect, and nobody knows since when it was true."""
    line.take(Message("gate/x", said(a={"t": 1.0}), 1, 1))
    for _ in range(3):
        line.take(Message("gate/x", said(a={"t": 1.0}), 1, 2, is_retained=True))
        line.wait(30)
    line.take(Message("gate/x", said(a={"ts": 7, "t": 2.0}), 1, 3, is_retained=True))
    assert sorted(row[3] for row in stored(line)) == [1.0, 2.0]
    assert line.reasons() == []


def test_a_message_that_is_no_repeat_is_a_new_reading_though_its_bytes_are_known(line):
    for _ in range(3):
        line.take(Message("gate/x", said(a={"t": 1.0}), 1, 1))
        line.wait(1)
    assert len(stored(line)) == 3


def test_a_batch_whose_commit_was_not_answered_is_stored_once(line):
    """SPEC E4: the same messages and time again, by a new pipeline."""
    batch = [Message("gate/x", said(a={"t": value}), 1, n) for n, value in enumerate((1.0, 2.0), 1)]
    line.take(*batch)
    line.restart()
    line.take(*batch)
    assert len(stored(line)) == 2


def test_a_commit_whose_answer_is_lost_stores_a_message_without_a_time_once(plant, database, monkeypatch):
    """SPEC E4: the worker tries the same batch again, with the same time."""
    mapped = FeedDraft("plug", SITE, "tele/+", "mapped_json", {"topics": ["tele/{device}"], "missing_time": "receipt"})
    a_device(plant, "s1", feed=(feeds.create_feed(plant, mapped, NOW).id, "p"))
    sound, failures = Pipeline._after_commit, [psycopg.OperationalError("the connection broke")]

    def broken(*arguments: object) -> None:
        if failures:
            raise failures.pop()
        sound(*arguments)

    monkeypatch.setattr(Pipeline, "_after_commit", broken)
    run_worker(database, ListSource([("tele/p", b'{"t": 1}'), ("tele/p", b'{"t": 1}')]))
    assert failures == []
    assert plant.execute("select count(*) from reading").fetchone() == (2,)


def test_receipts_are_kept_for_what_may_come_again_and_pruned_after_a_day(line, plant, feed):
    line.take(
        Message("gate/x", said(a={"t": 1.0}), 1, 1),
        Message("gate/x", said(a={"t": 2.0}), 1, 0),  # quality 0 never comes again
        Message("gate/x", said(a={"ts": 1, "t": 2.0}), 1, 2),  # has a time of its own
        Message("gate/x", said(a={"t": 5.0}, b={"t": 5.0}), 1, 0),  # waits in quarantine
    )
    assert line.rows("select count(*) from receipt") == [(2,)]
    line.wait(receipts.KEPT.total_seconds() - 10)
    line.take((topic(), telemetry(line.now)))
    assert line.rows("select count(*) from receipt") == [(2,)]
    line.wait(4_000)
    line.take((topic(), telemetry(line.now)))
    assert line.rows("select received_at - %s from receipt", NOW) == [(timedelta(microseconds=3),)]


# Routes


def test_routes_are_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr("ingest.topics._MAX_ROUTES", 10)
    router = Router([Feed(1, "gate", SITE, "gate/#", "spoken", {}, True, None, None)])
    for n in range(100):
        assert router.route(f"gate/{n}") == FeedRoute(1, SITE)
        assert router.route(f"elsewhere/{n}") is None
        assert router.route("gate/" + "x" * 60_000) == FeedRoute(1, SITE)
        assert len(router._routes) <= 10
    assert max(map(len, router._routes)) < 600
