"""The one transaction, on a real database: what is stored, what is judged, and in which order (SPEC E2, E4-E9)."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest

from ingest.quarantine_reasons import Reason
from storage.checkpoints import FenceLostError
from tests.ingest_builders import (
    NOW,
    PARTITION,
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


def test_readings_events_and_presence_are_stored_together(line):
    """SPEC E3, E8, E9."""
    event = {"ts": ms(NOW), "seq": 2, "code": "E17", "text": "过热", "attrs": {"a": "1"}}
    line.take(
        (topic(), telemetry(NOW, 1, t=1.5, u=-2.0)),
        (topic(kind="events"), json.dumps(event).encode()),
        (topic(kind="state"), b"online"),
    )
    assert readings(line) == [("t", NOW, 1.5), ("u", NOW, -2.0)]
    assert line.rows("select kind, code, severity, text, attributes, asset_id from event") == [
        ("error", "E17", "error", "过热", {"a": "1"}, 1)
    ]
    assert line.rows("select asset_id, ts from evidence_due") == [(1, NOW)]
    assert line.rows("select online, last_seen_at, last_reading_at, last_sequence from device") == [(True, NOW, NOW, 2)]


def test_the_last_will_takes_a_device_offline(line):
    """SPEC E8."""
    line.take((topic(kind="state"), b"online"))
    line.take((topic(kind="state"), b'{"state": "offline"}'))
    assert line.rows("select online from device") == [(False,)]


def test_a_repeat_changes_nothing(line):
    """SPEC E4: readings, events, gaps and quarantine, within a batch, across batches and after a restart."""
    batch = [
        *hot(1, 6),
        (topic(kind="events"), json.dumps({"ts": ms(NOW), "code": "E17", "attrs": {"a": "1", "b": "2"}}).encode()),
        (topic(), b"rubbish"),
    ]
    line.take(*batch, *batch)
    before = [
        line.rows(f"select * from {table} order by 1") for table in ("reading", "event", "finding", "sequence_gap")
    ]
    line.take(*batch)
    line.restart()
    line.take(*batch)
    after = [
        line.rows(f"select * from {table} order by 1") for table in ("reading", "event", "finding", "sequence_gap")
    ]
    assert after == before
    assert [len(rows) for rows in after] == [5, 1, 1, 0]
    assert line.rows("select count(*), sum(times_received) from quarantine") == [(1, 4)]


def test_of_two_values_for_one_time_the_first_counts(line):
    """SPEC E4: what detectors saw is what is stored."""
    line.take((topic(), telemetry(NOW, t=1.0)), (topic(), telemetry(NOW, t=2.0)))
    line.take((topic(), telemetry(NOW, t=3.0)))
    assert readings(line) == [("t", NOW, 1.0)]


def test_disorder_within_a_batch_is_put_right_before_detectors_see_it(line):
    """SPEC E6."""
    line.take(*hot(1, 2, 1.0))
    line.take(*[(topic(), telemetry(NOW + second * SECOND, t=99.0)) for second in (4, 2, 3)])
    assert findings(line) == [(NOW + 4 * SECOND, None, "t")]


def test_a_late_reading_is_stored_and_not_judged(line):
    """SPEC E6: three hot values, but the middle one comes when its time has passed."""
    line.take(
        *[(topic(), telemetry(NOW + second * SECOND, t=value)) for second, value in ((1, 1.0), (2, 99.0), (4, 99.0))]
    )
    line.take((topic(), telemetry(NOW + 3 * SECOND, t=99.0)))
    assert len(readings(line)) == 4
    assert findings(line) == []
    line.restart()  # and a restart does not bring it back
    line.take((topic(), telemetry(NOW + 5 * SECOND, t=1.0)))
    assert findings(line) == []


def test_a_gap_is_reported_and_holds_judgement_until_it_is_filled(line):
    """SPEC E5, E6: messages 3 and 4 come after 5 and 6, as a broker redelivers them after a crash."""
    line.take(*hot(1, 3))
    line.take(*hot(5, 7))
    assert line.rows("select after_sequence, before_sequence, missing from sequence_gap") == [(2, 5, 2)]
    assert findings(line) == []
    line.take(*hot(4, 5))
    assert line.rows("select after_sequence, before_sequence, missing from sequence_gap") == [(2, 4, 1)]
    line.take(*hot(3, 4))
    assert line.rows("select count(*) from sequence_gap") == [(0,)]
    assert findings(line) == [(NOW + 3 * SECOND, None, "t")]


def test_a_device_shows_as_held_while_the_detectors_have_not_seen_all_that_is_stored(line):
    """SPEC E6: who waits for a judgement, a replay for one, must not take stored for judged."""
    line.take(*hot(1, 3))
    assert line.rows("select held from device") == [(False,)]
    line.take(*hot(5, 7))
    assert line.rows("select held from device") == [(True,)]
    line.take(*hot(3, 5))
    assert line.rows("select held from device") == [(False,)]
    line.take(*hot(7, 8), settled=False)
    assert line.rows("select held from device") == [(True,)]
    line.catch_up()
    assert line.rows("select held from device") == [(False,)]


def test_a_gap_that_is_never_filled_stays_reported_and_judgement_goes_on(line):
    """SPEC E5."""
    line.take(*hot(1, 2))
    line.take(*hot(5, 9))
    line.wait(line.options.gap_wait_s - 0.1)
    line.catch_up()
    assert findings(line) == []
    line.wait(0.2)
    line.catch_up()
    assert len(findings(line)) == 1
    line.take(*hot(9, 20, 1.0))
    assert findings(line)[0][1] is not None
    assert line.rows("select missing from sequence_gap") == [(3,)]


def test_a_device_that_loses_messages_all_the_time_is_still_judged(line):
    """SPEC E6: the first gap sets the limit of the wait."""
    for second in range(0, 40, 2):
        line.take(*hot(second, second + 1))
        line.wait(2)
        line.catch_up()
    assert len(findings(line)) == 1


def test_a_counter_that_starts_again_is_no_gap(line):
    """SPEC E5: a device that rebooted counts from anywhere."""
    line.take(*hot(100, 103))
    line.take((topic(), telemetry(NOW + 110 * SECOND, 1, t=1.0)), (topic(), telemetry(NOW + 111 * SECOND, 2, t=1.0)))
    line.take((topic(), telemetry(NOW + 112 * SECOND, 5_000_000_000, t=1.0)))
    assert line.rows("select count(*) from sequence_gap") == [(0,)]
    assert line.rows("select last_sequence from device") == [(5_000_000_000,)]


def test_events_and_telemetry_share_one_counter(line):
    line.take(
        *hot(1, 2), (topic(kind="events"), json.dumps({"ts": ms(NOW), "seq": 2, "code": "E"}).encode()), *hot(3, 4)
    )
    assert line.rows("select count(*) from sequence_gap") == [(0,)]


def test_nothing_is_judged_before_the_source_has_settled(line):
    """SPEC E6: after a (re)connect old messages may come after newer ones."""
    line.take(*hot(2, 3), settled=False)
    line.take(*hot(1, 2), settled=False)
    line.take(*hot(3, 4), settled=False)
    assert findings(line) == []
    line.catch_up(settled=True)
    assert findings(line) == [(NOW + 3 * SECOND, None, "t")]


def test_a_restart_continues_where_the_readings_are(line):
    """ADR 3: two of three hot values are judged but not yet in a checkpoint when the process dies."""
    line.take(*hot(1, 2, 1.0))
    line.take(*hot(2, 4))
    line.restart()
    line.take(*hot(4, 5))
    assert findings(line) == [(NOW + 4 * SECOND, None, "t")]
    line.restart()
    line.take(*hot(5, 20, 1.0))
    assert len(findings(line)) == 1


def test_an_uninterrupted_run_and_one_restarted_after_every_batch_agree(plant, database):
    """ADR 3: same findings, and the same state of the detectors byte for byte."""
    a_device(plant)
    a_rule(plant, high=50.0, consecutive=3)
    a_rule(plant, "low", low=-50.0, consecutive=2, metric="u")
    generator = np.random.default_rng(7)
    batches = [
        [
            (
                topic(),
                telemetry(NOW + (20 * batch + row) * SECOND, t=generator.normal(40, 20), u=generator.normal(0, 60)),
            )
            for row in range(20)
        ]
        for batch in range(12)
    ]
    line = Line(database)
    outcomes = []
    for restarting in (False, True):
        for batch in batches:
            if restarting:
                line.restart()
            line.take(*batch)
        line.wait(60)
        line.pipeline.flush(line.now, line.now_s)
        outcomes.append((findings(line), line.rows("select state from checkpoint")))
        plant.execute("truncate reading, finding, evidence_due, checkpoint cascade")
        line.restart()
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0][0]) > 5


def test_a_new_device_is_known_to_the_next_batch(line, plant):
    """SPEC E2: registration needs no restart."""
    line.take((topic("m2"), telemetry(NOW)))
    a_device(plant, "m2")
    line.take((topic("m2"), telemetry(NOW + SECOND)))
    assert line.reasons() == [Reason.UNKNOWN_DEVICE]
    assert len(readings(line)) == 1


def test_new_rules_and_changed_devices_are_seen_within_a_second(line, plant):
    """A notification comes with whatever the ingester asks next, at the latest its heartbeat."""
    line.take(*hot(1, 2, 1.0, u=99.0))
    a_rule(plant, "cold", metric="u", high=10.0, consecutive=1)
    plant.execute("update device set time_policy = 'recorded' where name = 'm1'")
    line.connection.execute("select 1")
    line.take(*hot(2, 3, 1.0, u=99.0), (topic(), telemetry(NOW - timedelta(days=30), v=1.0)))
    assert [metric for *_, metric in findings(line)] == ["u"]
    assert line.reasons() == []


def test_an_anchor_is_in_force_for_the_very_next_batch(line, plant):
    """ADR 7: the finding that was latched is cleared, in equipment time."""
    line.take(*hot(1, 6))
    plant.execute("insert into anchor values (1, 't', %s)", (NOW + 10 * SECOND,))
    line.take(*hot(6, 10))
    assert findings(line) == [(NOW + 3 * SECOND, None, "t")]
    line.take(*hot(10, 12, 1.0))
    assert findings(line) == [(NOW + 3 * SECOND, NOW + 10 * SECOND, "t")]


def test_silence_of_a_live_device_is_judged_only_when_asked(line, plant):
    """SPEC E8: missing data."""
    a_device(plant, "m2", expected_interval_s=1.0)
    a_rule(plant, "silent", detector="missing", at_least_s=30.0)
    for name in ("m1", "m2"):
        line.take(*hot(0, 20, 1.0, device=name))
    line.wait(20)
    line.pipeline.tick(line.now, line.now_s)
    assert findings(line) == []
    line.wait(60)
    line.pipeline.tick(line.now, line.now_s)
    assert line.rows("select series.device_id from finding join series on series.id = series_id") == [(2,)]


def test_state_is_saved_with_findings_and_otherwise_every_few_seconds(line):
    line.take(*hot(1, 2))
    ((first,),) = line.rows("select updated_at from checkpoint")
    line.wait(1)
    line.take(*hot(2, 3))
    assert line.rows("select updated_at from checkpoint") == [(first,)]
    line.take(*hot(3, 4))
    assert line.rows("select updated_at from checkpoint") == [(line.now,)]
    line.take(*hot(4, 5))
    line.wait(line.options.checkpoint_every_s)
    line.take(*hot(5, 6))
    assert line.rows("select updated_at from checkpoint") == [(line.now,)]


def test_an_ingester_that_was_replaced_writes_nothing_more(line, database):
    """ADR 25: the fence."""
    other = Line(database)
    with pytest.raises(FenceLostError, match=PARTITION):
        line.take(*hot(1, 2))
    assert readings(line) == []
    other.take(*hot(1, 2))
    assert len(readings(line)) == 1


def test_a_rule_that_cannot_run_stops_neither_readings_nor_other_rules(line, plant):
    """A rule may have been published for another version of the detectors."""
    a_rule(plant, "odd", metric="t", colour="red")
    a_rule(plant, "odder", metric="t", detector="no_such_detector")
    line.take(*hot(1, 6))
    assert len(readings(line)) == 5
    assert len(findings(line)) == 1


def test_an_event_is_judged_again_when_a_finding_before_it_comes_to_light_later(line, plant):
    """SPEC E6, E9: while the source settles events are stored and judged, readings only stored."""
    event = json.dumps({"ts": ms(NOW + 10 * SECOND), "code": "E17"}).encode()
    line.take(*hot(1, 6), (topic(kind="events"), event), settled=False)
    plant.execute("delete from evidence_due")  # the desk has judged the event, without the finding
    line.catch_up()
    assert line.rows("select ts from evidence_due order by 1") == [(NOW + 3 * SECOND,), (NOW + 10 * SECOND,)]
