"""Quarantine: what cannot be used is kept whole with its reason, bounded, and replayed (SPEC E2, E5)."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest

from ingest.limits import MAX_METRICS, MAX_NAMES
from ingest.quarantine_reasons import Reason
from ingest.source import Message
from storage import quarantine
from tests.ingest_builders import (
    NOW,
    SECOND,
    Line,
    a_device,
    a_plant,
    a_rule,
    findings,
    hot,
    ms,
    readings,
    telemetry,
    topic,
)


@pytest.fixture
def plant(database):
    with a_plant(database) as connection:
        yield connection


@pytest.fixture
def line(plant, database):
    """One registered live device 'm1', and a rule: above 50 three times in a row."""
    a_device(plant)
    a_rule(plant, high=50.0, consecutive=3)
    return Line(database)


def test_an_unknown_device_is_quarantined_with_its_data_and_replayed_after_registration(plant, database):
    """SPEC E2, E5."""
    a_rule(plant, high=50.0, consecutive=3)
    line = Line(database)
    line.take(*hot(1, 6, device="m9"))
    assert line.reasons() == [Reason.UNKNOWN_DEVICE] * 5
    assert line.rows("select distinct site_name, device_name from quarantine") == [("plant-1", "m9")]
    device_id = a_device(plant, "m9")
    assert quarantine.request_replay(plant, line.now, reason="unknown_device") == 5
    line.wait(1)
    line.take(*line.pipeline.to_replay())
    assert line.rows("select device_id, count(*) from reading join series on id = series_id group by 1") == [
        (device_id, 5)
    ]
    assert len(findings(line)) == 1
    assert line.rows("select distinct replay_result, replayed_at from quarantine") == [("stored", line.now)]
    assert line.pipeline.to_replay() == []
    assert quarantine.request_replay(plant, line.now, reason="unknown_device") == 0


def test_a_replay_that_fails_again_says_why_and_may_be_asked_for_again(line, plant):
    """SPEC E5."""
    line.take((topic("m9"), b"{"))
    quarantine.request_replay(plant, line.now, ids=[1])
    a_device(plant, "m9")
    line.wait(1)
    line.take(*line.pipeline.to_replay())
    assert line.rows("select reason, replay_result from quarantine") == [("unknown_device", "bad_json")]
    assert line.pipeline.to_replay() == []
    line.wait(1)
    assert quarantine.request_replay(plant, line.now, ids=[1]) == 1
    assert len(line.pipeline.to_replay()) == 1
    assert [(one.reason, one.messages) for one in quarantine.reason_counts(plant, None)] == [("unknown_device", 1)]


def test_a_replayed_message_is_measured_against_the_time_it_first_came(line, plant):
    line.take((topic("m9"), telemetry(NOW)))
    quarantine.request_replay(plant, line.now, ids=[1])
    a_device(plant, "m9")
    line.wait(30 * 86_400)
    line.take(*line.pipeline.to_replay())
    assert line.rows("select replay_result from quarantine") == [("stored",)]


@pytest.mark.parametrize(
    ("where", "payload", "reason"),
    [
        ("wearsight/v1/plant-1/m1/vibration", b"{}", Reason.BAD_TOPIC),
        (topic(kind="waveform"), b"{}", Reason.BAD_WAVEFORM),
        ("wearsight/v1/plant-1/m 1/telemetry", b"{}", Reason.BAD_TOPIC),
        ("wearsight/v1/elsewhere/m1/telemetry", telemetry(NOW), Reason.UNKNOWN_DEVICE),
        (topic(), b" " * 65_537, Reason.TOO_LARGE),
        (topic(), b"{", Reason.BAD_JSON),
        (topic(), b'{"ts": 1, "values": {"t": 1, "t": 2}}', Reason.DUPLICATE_KEY),
        (topic(), b"[1]", Reason.WRONG_SHAPE),
        (topic(), b"[]", Reason.EMPTY),
        (topic(), b'{"ts": 1, "values": {"t": 1e400}}', Reason.NOT_A_NUMBER),
        (topic(), telemetry("yesterday"), Reason.BAD_TIMESTAMP),
        (topic(), telemetry(NOW + timedelta(minutes=6)), Reason.TOO_FAR_AHEAD),
        (topic(), telemetry(9_224_318_015_999_999), Reason.TOO_FAR_AHEAD),
        (topic(), telemetry(int(NOW.timestamp())), Reason.TOO_OLD),
        (topic(), telemetry(NOW - timedelta(days=8)), Reason.TOO_OLD),
        (topic(), telemetry(NOW, -1), Reason.BAD_SEQUENCE),
        (topic(), telemetry(NOW, **{"a\0b": 1.0}), Reason.BAD_METRIC_NAME),
        (topic(), telemetry(NOW, **{"x" * 129: 1.0}), Reason.BAD_METRIC_NAME),
        (topic(), telemetry(NOW, **{f"m{n}": 1.0 for n in range(MAX_METRICS + 1)}), Reason.TOO_MANY_METRICS),
        (topic(kind="events"), b'{"ts": 1, "code": ""}', Reason.BAD_EVENT),
        (topic(kind="events"), json.dumps({"ts": ms(NOW) + 600_000, "code": "E"}).encode(), Reason.TOO_FAR_AHEAD),
        (topic(kind="state"), b"perhaps", Reason.BAD_STATE),
    ],
)
def test_each_message_that_cannot_be_used_is_kept_whole_with_its_reason(line, where, payload, reason):
    """SPEC E5: and its neighbours are stored."""
    line.take(*hot(1, 2), (where, payload), *hot(2, 3))
    assert line.rows("select topic, payload, reason, replayed_at from quarantine") == [(where, payload, reason, None)]
    assert len(readings(line)) == 2


def test_one_bad_sample_in_a_list_sets_the_whole_message_aside(line):
    """SPEC E5: nothing is half stored."""
    samples = [{"ts": ms(NOW), "values": {"t": 1}}, {"ts": ms(NOW) + 10**9, "values": {"t": 1}}]
    line.take((topic(), json.dumps(samples).encode()))
    assert readings(line) == []
    assert line.reasons() == [Reason.TOO_FAR_AHEAD]
    assert line.rows("select count(*) from series") == [(0,)]


def test_a_device_has_at_most_500_metric_names(line):
    """SPEC E5: a bomb of names costs its own device the new names, and nobody else anything."""
    names = [f"n{number}" for number in range(MAX_NAMES + 1)]
    batches = [dict.fromkeys(names[start : start + 250], 1.0) for start in (0, 250)]
    line.take(
        *[(topic(), telemetry(NOW, **values)) for values in batches], (topic(), telemetry(NOW, **{names[-1]: 1.0}))
    )
    assert line.reasons() == [Reason.TOO_MANY_NAMES]
    assert line.rows("select count(*) from series") == [(MAX_NAMES,)]
    line.take((topic(), telemetry(NOW + SECOND, **batches[1])))
    assert len(readings(line)) == MAX_NAMES + 250


def test_a_recorded_device_may_send_old_times_and_a_live_one_may_not(line, plant):
    a_device(plant, "r1", time_policy="recorded")
    long_ago = NOW - timedelta(days=4_000)
    line.take((topic("r1"), telemetry(long_ago)), (topic("m1"), telemetry(long_ago)))
    assert [row[1] for row in readings(line)] == [long_ago]
    assert line.reasons() == [Reason.TOO_OLD]


def test_hostile_times_of_a_live_device_open_no_more_than_nine_days(line):
    """SPEC E5: far-out times multiply partitions. 10,000 random times give those of the window only."""
    generator = np.random.default_rng(3)
    times = (
        generator.integers(0, 2**42, 9_000).tolist() + (ms(NOW) + generator.integers(-(10**9), 10**9, 1_000)).tolist()
    )
    line.take(*[(topic(), telemetry(ts)) for ts in times])
    ((days,),) = line.rows("select count(*) from pg_inherits where inhparent = 'reading'::regclass")
    assert 1 <= days <= 9


def test_a_message_can_carry_text_that_postgres_would_refuse_and_is_still_kept(line):
    line.take(Message("wearsight/v1/\0/\ufffd/x", b"\0\xff"))
    assert line.rows("select payload, reason from quarantine") == [(b"\0\xff", "bad_topic")]


def test_lists_of_quarantine_are_paged_and_filtered(line, plant):
    line.take((topic("m9"), b"a"), (topic(), b"b"), (topic(), b"c"))
    newest = quarantine.page(plant, limit=2)
    assert [one.id for one in newest] == [3, 2]
    assert [one.id for one in quarantine.page(plant, before=2)] == [1]
    assert [one.reason for one in quarantine.page(plant, reason="bad_json", open_only=True)] == ["bad_json"] * 2
    assert quarantine.payload_of(plant, 3) == b"c"
    assert quarantine.find(plant, 3) == newest[0]
    assert (quarantine.find(plant, 99), quarantine.payload_of(plant, 99)) == (None, None)
    with pytest.raises(ValueError, match="ids, a reason or an address"):
        quarantine.request_replay(plant, NOW)
