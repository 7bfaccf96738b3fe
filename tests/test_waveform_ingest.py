"""Waveforms through the whole ingest: features become readings, blocks are kept by policy, nothing twice (SPEC E3)."""

from __future__ import annotations

import json
import struct
import threading
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg
import pytest

from detectors.vibration import features
from domain.waveforms import WaveformBlock
from simulators.device import Device
from simulators.fleet import FleetPlan, Post, Truth, Unit
from simulators.motor import Motor
from storage import waveforms
from storage.policies import shipped_body
from storage.waveform_keeping import POLICY
from tests.ingest_builders import (
    CLOCK,
    NOW,
    SITE,
    Line,
    a_device,
    a_plant,
    a_publisher,
    a_rule,
    an_ingester,
    fresh_client_id,
    ms,
    readings,
    topic,
    until,
)

RATE_HZ = 12_800.0
SAMPLES = np.random.default_rng(3).standard_normal(4_096).astype("<f4")


def a_message(at: datetime, seq: int, samples: np.ndarray = SAMPLES, metric: str = "de") -> bytes:
    header = json.dumps({"ts": ms(at), "seq": seq, "metric": metric, "unit": "g", "rate_hz": RATE_HZ}).encode()
    return struct.pack("<4sHH", b"WSWF", 1, len(header)) + header + samples.tobytes()


def features_of(samples: np.ndarray = SAMPLES, metric: str = "de") -> dict[str, float]:
    block = WaveformBlock(0, metric, "g", RATE_HZ, samples.tobytes())
    return {f"{metric}.{name}": value for name, value in features(block).items()}


def publish_policy(connection: psycopg.Connection, **changes: object) -> None:
    waveforms.publish_keep_policy(connection, {**shipped_body(POLICY), **changes}, person_id=None, now=NOW)


def kept(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("select metric, ts, kept_for from waveform order by ts, metric").fetchall()


@pytest.fixture
def line(database: str) -> Line:
    with a_plant(database) as connection:
        a_device(connection)
    return Line(database)


def test_a_block_becomes_readings_at_its_first_instant_and_is_kept(line: Line) -> None:
    """SPEC E3, D4."""
    line.take((topic(kind="waveform"), a_message(NOW, 1)))
    assert line.reasons() == []
    assert readings(line) == sorted((name, NOW, value) for name, value in features_of().items())
    assert kept(line.connection) == [("de", NOW, "schedule")]


def test_a_redelivered_block_adds_nothing(line: Line) -> None:
    """SPEC E4."""
    publish_policy(line.connection, keep="all")
    messages = [
        (topic(kind="waveform"), a_message(NOW + second * timedelta(seconds=1), second)) for second in range(1, 4)
    ]
    line.take(*messages)
    before = readings(line), kept(line.connection), line.rows("select bytes from waveform_usage")
    line.take(*messages)
    line.restart()
    line.take(*messages)
    assert (readings(line), kept(line.connection), line.rows("select bytes from waveform_usage")) == before
    assert len(kept(line.connection)) == 3


def test_a_block_that_cannot_be_used_is_set_aside_whole_and_its_neighbours_are_stored(line: Line) -> None:
    """SPEC E5."""
    line.take(
        (topic(kind="waveform"), a_message(NOW, 1)[:-1]),
        (topic(kind="waveform"), a_message(NOW, 1, SAMPLES[:8])),
        (topic(kind="waveform"), a_message(NOW + timedelta(hours=1), 1)),
        (topic(kind="waveform"), a_message(NOW, 1)),
    )
    assert sorted(line.reasons()) == ["bad_waveform", "bad_waveform", "too_far_ahead"]
    assert len(readings(line)) == len(features_of())
    assert len(kept(line.connection)) == 1


def test_a_feature_is_judged_like_any_reading_and_an_open_finding_keeps_every_block(line: Line) -> None:
    """SPEC D4, D8."""
    publish_policy(line.connection, keep="none")
    a_rule(line.connection, metric="de.rms", high=5.0, consecutive=1)
    line.restart()
    for second, samples in enumerate([SAMPLES, SAMPLES, SAMPLES * 10, SAMPLES * 10, SAMPLES * 10]):
        at = NOW + second * timedelta(seconds=1)
        line.take((topic(kind="waveform"), a_message(at, second + 1, samples)))
    assert line.rows("select metric, opened_at from finding") == [("de.rms", NOW + timedelta(seconds=2))]
    assert kept(line.connection) == [("de", NOW + second * timedelta(seconds=1), "finding") for second in (2, 3, 4)]


def test_a_motor_of_the_simulated_fleet_sends_blocks_that_are_ingested(
    database: str, broker: str, tmp_path: Path
) -> None:
    """SPEC R1: over real MQTT, every so many steps, beside its readings and under the same sequence numbers."""
    with a_plant(database) as connection:
        a_device(connection, "M-1")
        publish_policy(connection, keep="all")
        plan = FleetPlan(site=SITE, waveform_every_s=1.0)
        with (
            an_ingester(database, broker, fresh_client_id()),
            (tmp_path / "truth.jsonl").open("w") as told,
            Device(broker, SITE, "M-1", threading.Event()) as device,
        ):
            unit = Unit(Post("M-1", "Motor", Motor, None, 400.0), plan, Truth(told), None)
            began = CLOCK.now() - timedelta(seconds=30)
            for step in range(6):
                unit.step(device, began + timedelta(seconds=step * plan.period_s), plan.period_s, 1.0)
            device.wait_until_sent()
            assert device.last_sequence == 9
            until(lambda: len(kept(connection)) == 3, "three blocks are stored")
            # The broker keeps the order of each topic, not between topics: a reading may follow a later block.
            gaps = "select count(*) from sequence_gap"
            until(lambda: connection.execute(gaps).fetchone() == (0,), "nothing is missing")
            last = "select last_sequence from device"
            until(lambda: connection.execute(last).fetchone() == (9,), "readings and blocks are counted together")
        rows = connection.execute("select rate_hz, sample_count, unit, metric from waveform").fetchall()
        assert rows == [(12_800.0, 8_192, "m/s2", "drive_end")] * 3
        assert connection.execute("select count(*) from quarantine").fetchone() == (0,)


def test_through_a_real_broker_a_large_block_arrives_whole(database: str, broker: str) -> None:
    """SPEC E3: of the largest size, nearly a mebibyte, beside ordinary telemetry."""
    with a_plant(database) as connection:
        a_device(connection)
        publish_policy(connection, keep="all")
        now = CLOCK.now()
        large = np.random.default_rng(5).standard_normal(262_000).astype("<f4")
        moment = now - timedelta(seconds=30)
        sent = [
            (topic(), json.dumps({"ts": ms(moment), "seq": 1, "values": {"t": 1.0}}).encode()),
            (topic(kind="waveform"), a_message(moment, 2, large)),
            (topic(kind="waveform"), a_message(moment, 3, SAMPLES, "nde")),
        ]
        with an_ingester(database, broker, fresh_client_id()), a_publisher(broker) as publisher:
            publisher.send(sent)
            until(lambda: len(kept(connection)) == 2, "both blocks are stored")
            publisher.send(sent)
            last = json.dumps({"ts": ms(moment) + 1, "seq": 4, "values": {"t": 2.0}}).encode()
            publisher.send([(topic(), last)])
            query = "select count(*) from reading"
            expected = 2 + len(features_of(large)) + len(features_of(SAMPLES, "nde"))
            until(lambda: connection.execute(query).fetchone() == (expected,), "all readings are stored")
        assert connection.execute("select reason from quarantine where device_name = 'm1'").fetchall() == []
        assert len(kept(connection)) == 2
        asset_id = connection.execute("select asset_id from device").fetchone()[0]
        largest = max(waveforms.page(connection, asset_id), key=lambda row: row.sample_count)
        found = waveforms.waveform_by_id(connection, largest.id)
        assert found is not None
        assert np.array_equal(found.samples, large)
