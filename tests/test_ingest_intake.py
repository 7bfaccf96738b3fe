"""The intake of native messages: two lanes, clocks, waveforms, histories too long (SPEC E3, E5, E6)."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest

from ingest.pipeline import TooManyDaysError
from ingest.source import Message
from tests.ingest_builders import (
    CLOCK,
    NOW,
    SECOND,
    Line,
    ListSource,
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
from tests.test_ingest_recovery import run_worker


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


# Two lanes (SPEC E5, E6)


def alarm(seq: int, second: int | None = None) -> Message:
    at = NOW + (seq if second is None else second) * SECOND
    return Message(topic(kind="events"), json.dumps({"ts": ms(at), "seq": seq, "code": "E"}).encode(), is_early=True)


def gaps(line: Line) -> list[tuple]:
    return line.rows("select after_sequence, before_sequence from sequence_gap order by 1")


def test_an_alarm_that_overtakes_telemetry_is_no_gap(line):
    """Nobody is held, no gap is seen: the readings are judged as they come."""
    line.take(*hot(1, 3, 1.0))
    line.take(alarm(5), alarm(7))
    assert line.rows("select last_sequence, sequences_ahead, held from device") == [(2, [5, 7], False)]
    line.take(*hot(3, 5, 1.0))
    assert line.rows("select last_sequence, sequences_ahead, held from device") == [(5, [7], False)]
    line.take(*hot(6, 7, 1.0))
    assert line.rows("select last_sequence, sequences_ahead from device") == [(7, [])]
    assert gaps(line) == []


def test_what_came_early_is_kept_over_a_restart(line):
    line.take(*hot(1, 3, 1.0))
    line.take(alarm(5), alarm(8))
    line.restart()
    line.take(alarm(5), alarm(8))  # redelivered
    line.take(*hot(3, 5, 1.0))
    line.restart()
    line.take(*hot(6, 8, 1.0))
    assert line.rows("select last_sequence, sequences_ahead from device") == [(8, [])]
    assert gaps(line) == []


def test_telemetry_lost_before_an_alarm_is_reported_when_nothing_more_is_on_its_way(line):
    """Not at once: what the other lane holds may still be between the broker and us."""
    line.take(*hot(1, 3, 1.0))
    line.take(alarm(5))
    line.pipeline.tick(line.now, line.now_s)
    assert gaps(line) == []
    line.wait(line.options.gap_wait_s)
    line.pipeline.tick(line.now, line.now_s)
    assert gaps(line) == [(2, 5)]
    assert line.rows("select last_sequence, sequences_ahead, last_seen_at from device") == [(5, [], NOW)]
    line.take(*hot(3, 4, 1.0))
    assert gaps(line) == [(3, 5)]


def test_telemetry_that_passes_an_alarm_reports_what_is_missing_before_it(line):
    line.take(*hot(1, 3, 1.0))
    line.take(alarm(5), *hot(6, 7, 1.0))
    assert gaps(line) == [(2, 5)]


def test_a_repeat_of_the_newest_alarm_after_a_restart_is_no_new_count(line):
    """The alarm's time is newer than any reading's, and its number is below the newest."""
    line.take(*hot(1, 3, 1.0), alarm(3, 100), *hot(4, 6, 1.0))
    line.restart()
    line.take(alarm(3, 100))
    line.take(*hot(6, 8, 1.0))
    assert line.rows("select last_sequence, sequences_ahead from device") == [(7, [])]
    assert gaps(line) == []


# Clocks (SPEC E6)


def clock(line: Line, name: str = "m1") -> tuple:
    return line.rows("select clock_ahead_s, clock_seen_at from device where name = %s", name)[0]


@pytest.mark.parametrize("ahead_s", [90.0, -40.0])
def test_a_clock_that_is_wrong_is_estimated_and_stored(line, ahead_s):
    for _ in range(60):
        line.take((topic(), telemetry(line.now + timedelta(seconds=ahead_s))))
        line.wait(1)
    found, seen_at = clock(line)
    assert found == pytest.approx(ahead_s, abs=0.01)
    assert NOW < seen_at < line.now


@pytest.mark.parametrize("how", [{"settled": False}, {"caught_up": False}])
def test_nothing_is_learned_of_a_clock_while_we_are_behind(line, how):
    for _ in range(60):
        line.take((topic(), telemetry(line.now)), **how)
        line.wait(1)
    assert clock(line) == (None, None)


def test_nothing_is_learned_of_a_clock_from_recorded_repeated_or_replayed_messages(line, plant):
    a_device(plant, "old", time_policy="recorded")
    line.connection.execute("select 1")
    for _ in range(60):
        line.take(
            (topic("old"), telemetry(line.now)),
            Message(topic(), telemetry(line.now, u=1.0), is_repeat=True),
            (topic(), telemetry(line.now - 100 * SECOND)),
        )
        line.wait(1)
    assert (clock(line), clock(line, "old")) == ((None, None), (None, None))


def test_a_clock_is_not_written_with_every_batch(line):
    written = set()
    for _ in range(200):
        line.take((topic(), telemetry(line.now)))
        written.add(clock(line)[1])
        line.wait(1)
    assert 2 <= len(written - {None}) <= 4


# Waveforms (SPEC E3)


def a_block(seq: int | None = None, metric: str = "de", **changes: object) -> bytes:
    wave = np.sin(np.arange(2048) * 2 * np.pi * 50 / 2048) * 10
    block = {"ts": ms(NOW), "metric": metric, "unit": "m/s2", "rate_hz": 2048, "samples": wave.round(3).tolist()}
    return json.dumps(block | ({} if seq is None else {"seq": seq}) | changes).encode()


def test_a_waveform_is_kept_and_its_features_are_readings(line):
    line.take((topic(kind="waveform"), a_block(2)), *hot(1, 2, 1.0))
    features = {metric: value for metric, _, value in readings(line)}
    assert features["de.rms"] == pytest.approx(10 / 2**0.5, rel=1e-3)
    assert line.rows("select metric, device_id from waveform") == [("de", 1)]
    stored = readings(line)
    line.take((topic(kind="waveform"), a_block(2)))
    assert (line.rows("select count(*) from waveform"), readings(line)) == ([(1,)], stored)
    line.take((topic(kind="waveform"), a_block(3, ts=ms(NOW + SECOND))))
    assert line.rows("select last_sequence from device") == [(3,)]
    assert gaps(line) == []


def test_features_are_judged_like_any_reading(line):
    for first, samples in ((0, [1.0, -1.0]), (10, [99.0, -99.0])):
        line.take(
            *(
                (topic(kind="waveform"), a_block(ts=ms(NOW + n * SECOND), samples=samples * 100))
                for n in range(first, first + 3)
            )
        )
        found = [metric for _, _, metric in findings(line)]
        assert ("de.rms" in found) == (first == 10)


def test_a_waveform_out_of_its_time_or_of_an_unknown_device_is_set_aside_whole(line):
    line.take(
        (topic(kind="waveform"), a_block(ts=ms(NOW + timedelta(hours=1)))),
        (topic("m9", "waveform"), a_block()),
        (topic(kind="waveform"), a_block(metric="x" * 120)),
    )
    assert len(line.reasons()) == 3
    assert {"too_far_ahead", "unknown_device"} < set(line.reasons())
    assert (readings(line), line.rows("select count(*) from waveform")) == ([], [(0,)])


# Histories


def a_history(days: int) -> bytes:
    return json.dumps(
        [{"ts": ms(NOW - timedelta(days=5 + day)), "values": {"t": float(day)}} for day in range(days, 0, -1)]
    ).encode()


def test_a_message_that_spreads_over_too_many_days_is_set_aside_and_makes_no_partition(plant, database):
    """SPEC E5: partitions are locks; the bound is of one batch, so a history comes in parts."""
    a_device(plant, time_policy="recorded")
    before = plant.execute("select count(*) from pg_inherits").fetchone()
    with pytest.raises(TooManyDaysError, match="401 new days, expected at most 400"):
        Line(database).take((topic(), a_history(401)))
    source = ListSource([(topic(), a_history(401)), (topic(), telemetry(CLOCK.now()))])
    run_worker(database, source)
    assert plant.execute("select reason from quarantine").fetchall() == [("too_many_days",)]
    assert plant.execute("select count(*) from reading").fetchone() == (1,)
    assert plant.execute("select count(*) from pg_inherits").fetchone()[0] - before[0] <= 10
    assert source.acknowledged == [1, 2]


def test_a_message_of_as_many_days_as_allowed_is_stored(plant, database):
    a_device(plant, time_policy="recorded")
    line = Line(database)
    line.take((topic(), a_history(400)))
    assert (len(readings(line)), line.reasons()) == (400, [])
