"""Waveform blocks in the database: kept by policy, once each, within bounds, and pruned by age (SPEC E3, E4, E7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import psycopg
import pytest

from domain.refusals import Refused
from domain.waveforms import WaveformBlock
from storage import waveforms
from storage.policies import shipped_body
from storage.waveform_keeping import (
    POLICY,
    Keep,
    KeepPolicy,
    KeptFor,
    Situation,
    choose,
    read_keep_policy,
)
from tests.ingest_builders import a_device, a_plant, a_rule

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOISE = np.random.default_rng(1).standard_normal(1_000).astype("<f4").tobytes()


@pytest.fixture
def plant(database: str) -> Iterator[psycopg.Connection]:
    with a_plant(database) as connection:
        yield connection


def a_block(at: datetime = NOW, metric: str = "de", samples: bytes = NOISE, rate_hz: float = 1_000.0) -> WaveformBlock:
    return WaveformBlock(round(at.timestamp() * 1_000_000), metric, "m/s2", rate_hz, samples)


def publish(connection: psycopg.Connection, **changes: object) -> None:
    waveforms.publish_keep_policy(connection, {**shipped_body(POLICY), **changes}, person_id=None, now=NOW)


def stored(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("select device_id, metric, ts, kept_for from waveform order by ts, metric").fetchall()


def a_finding(
    connection: psycopg.Connection,
    device_id: int,
    opened_at: datetime,
    cleared_at: datetime | None = None,
    *,
    shadow: bool = False,
) -> None:
    series_id = connection.execute(
        "insert into series (device_id, metric, created_at) values (%s, %s, %s) returning id",
        (device_id, f"m{uuid4().hex}", NOW),
    ).fetchone()[0]
    connection.execute(
        "insert into finding (id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,"
        " opened_at, cleared_at, value, score, limit_value, evidence, recorded_at)"
        " select %s, %s, %s, asset_id, 'de.rms', 'level', 'up', 'high', %s, %s, %s, 1, 1, 1, '{}', %s"
        " from device where id = %s",
        (uuid4(), a_rule(connection, f"r{series_id}"), series_id, shadow, opened_at, cleared_at, NOW, device_id),
    )


POLICY_EVERY = KeepPolicy(Keep.EVERY, 3_600, keep_when_finding=True, keep_days=30, device_day_bytes=1 << 20)
CALM = Situation(1, is_stored=False, slot_is_taken=False, finding_is_open=False)


@pytest.mark.parametrize(
    ("keep", "when_finding", "met", "kept"),
    [
        (Keep.NONE, True, CALM, None),
        (Keep.NONE, True, replace(CALM, finding_is_open=True), KeptFor.FINDING),
        (Keep.NONE, False, replace(CALM, finding_is_open=True), None),
        (Keep.EVERY, True, CALM, KeptFor.SCHEDULE),
        (Keep.EVERY, True, replace(CALM, slot_is_taken=True), None),
        (Keep.EVERY, True, replace(CALM, slot_is_taken=True, finding_is_open=True), KeptFor.FINDING),
        (Keep.EVERY, False, replace(CALM, slot_is_taken=True, finding_is_open=True), None),
        (Keep.EVERY, True, replace(CALM, is_stored=True), None),
        (Keep.ALL, False, replace(CALM, slot_is_taken=True), KeptFor.ALL),
        (Keep.ALL, True, replace(CALM, is_stored=True, finding_is_open=True), None),
    ],
)
def test_the_policy_decides_by_schedule_by_finding_or_not_at_all(
    keep: Keep, when_finding: bool, met: Situation, kept: KeptFor | None
) -> None:
    policy = replace(POLICY_EVERY, keep=keep, keep_when_finding=when_finding)
    assert choose([(1, a_block())], [met], policy) == [kept]


def test_of_blocks_in_one_batch_the_first_of_each_interval_metric_and_device_is_kept() -> None:
    minutes = [(1, 0), (1, 10), (1, 59), (1, 60), (2, 10), (2, 20)]
    blocks = [(device, a_block(NOW + timedelta(minutes=at))) for device, at in minutes]
    blocks += [(1, a_block(NOW, "other")), (1, a_block(NOW, "other"))]
    kept = choose(blocks, [CALM] * len(blocks), POLICY_EVERY)
    assert [why is not None for why in kept] == [True, False, False, True, True, False, True, False]


def test_the_first_block_of_each_hour_is_kept_whatever_the_order_within_the_batch(plant: psycopg.Connection) -> None:
    device_id = a_device(plant)
    blocks = [(device_id, a_block(NOW + timedelta(minutes=minute))) for minute in (45, 15, 75, 0, 61)]
    assert waveforms.insert(plant, blocks, NOW) == 2
    assert stored(plant) == [
        (device_id, "de", NOW, "schedule"),
        (device_id, "de", NOW + timedelta(minutes=61), "schedule"),
    ]
    assert waveforms.insert(plant, [(device_id, a_block(NOW + timedelta(minutes=5)))], NOW) == 0


def test_a_redelivery_adds_nothing(plant: psycopg.Connection) -> None:
    """SPEC E4."""
    publish(plant, keep="all")
    device_id = a_device(plant)
    blocks = [(device_id, a_block(NOW + second * timedelta(seconds=1))) for second in range(5)]
    assert waveforms.insert(plant, [*blocks, blocks[0]], NOW) == 5
    first, used = stored(plant), plant.execute("select bytes from waveform_usage").fetchall()
    assert waveforms.insert(plant, blocks, NOW + HOUR) == 0
    assert stored(plant) == first
    assert plant.execute("select bytes from waveform_usage").fetchall() == used


def test_what_is_kept_is_read_back_bit_by_bit(plant: psycopg.Connection) -> None:
    publish(plant, keep="all")
    device_id = a_device(plant)
    quantised = (np.round(np.sin(np.arange(2_000) / 7) * 512) / 512).astype("<f4").tobytes()
    for place, samples in enumerate((NOISE, quantised, np.zeros(16, "<f4").tobytes())):
        at = NOW + place * HOUR
        assert waveforms.insert(plant, [(device_id, a_block(at, samples=samples, rate_hz=12_800.5))], NOW) == 1
    asset_id = plant.execute("select asset_id from device").fetchone()[0]
    rows = waveforms.page(plant, asset_id)
    assert [row.ts for row in rows] == [NOW + 2 * HOUR, NOW + HOUR, NOW]
    for row, samples in zip(reversed(rows), (NOISE, quantised, np.zeros(16, "<f4").tobytes()), strict=True):
        found = waveforms.waveform_by_id(plant, row.id)
        assert found is not None
        assert found.samples.tobytes() == samples
        assert (found.row, found.row.rate_hz, found.row.sample_count) == (row, 12_800.5, len(samples) // 4)
    encodings = plant.execute("select encoding from waveform order by ts").fetchall()
    assert encodings == [("float32",), ("zlib",), ("zlib",)]
    assert waveforms.waveform_by_id(plant, 999_999) is None


@pytest.mark.parametrize(
    ("opened_min", "cleared_min", "shadow", "kept"),
    [
        (-10, None, False, True),
        (-10, 20, False, True),
        (-10, -1, False, False),
        (10, None, False, False),
        (-10, None, True, False),
    ],
)
def test_every_block_is_kept_while_a_finding_is_open_on_the_asset(
    plant: psycopg.Connection, opened_min: int, cleared_min: int | None, shadow: bool, kept: bool
) -> None:
    """Judged at the block's own time, on the equipment's clock."""
    publish(plant, keep="none")
    device_id, other = a_device(plant), a_device(plant, "m2")
    cleared = None if cleared_min is None else NOW + timedelta(minutes=cleared_min)
    a_finding(plant, device_id, NOW + timedelta(minutes=opened_min), cleared, shadow=shadow)
    assert waveforms.insert(plant, [(device_id, a_block()), (other, a_block())], NOW) == int(kept)
    assert [row[0] for row in stored(plant)] == [device_id] * kept


def test_one_device_stores_no_more_than_its_bytes_a_day_and_the_others_are_not_concerned(
    plant: psycopg.Connection,
) -> None:
    """Every store has a bound, tested at the bound; the next day begins anew."""
    each = len(NOISE) + waveforms.ROW_BYTES
    publish(plant, keep="all", device_day_bytes=3 * each)
    noisy, calm = a_device(plant), a_device(plant, "m2")
    blocks = [(noisy, a_block(NOW + second * timedelta(seconds=1))) for second in range(10)]
    assert waveforms.insert(plant, [*blocks[:2], (calm, a_block())], NOW) == 3
    assert waveforms.insert(plant, blocks, NOW) == 1
    assert waveforms.insert(plant, blocks, NOW + timedelta(hours=15)) == 0
    assert waveforms.insert(plant, blocks, NOW + timedelta(hours=17)) == 3
    used = plant.execute("select device_id, bytes from waveform_usage order by 1, day").fetchall()
    assert used == [(noisy, 3 * each), (noisy, 3 * each), (calm, each)]


def test_a_page_goes_on_where_the_last_one_ended_and_filters(plant: psycopg.Connection) -> None:
    publish(plant, keep="all")
    device_id = a_device(plant)
    asset_id = plant.execute("select asset_id from device").fetchone()[0]
    blocks = [(device_id, a_block(NOW + n * HOUR, metric)) for n in range(3) for metric in ("de", "nde")]
    assert waveforms.insert(plant, blocks, NOW) == 6
    first = waveforms.page(plant, asset_id, limit=4)
    rest = waveforms.page(plant, asset_id, before=first[-1].id, limit=4)
    assert len(first) == 4
    assert len(rest) == 2
    assert {row.metric for row in waveforms.page(plant, asset_id, metric="nde")} == {"nde"}
    assert waveforms.page(plant, asset_id, device_id=device_id + 1) == []
    assert waveforms.page(plant, asset_id + 1) == []


def test_blocks_beyond_their_days_are_deleted_by_when_they_were_stored(plant: psycopg.Connection) -> None:
    """SPEC E7. A replayed recording is as old as its replay, not as its times."""
    publish(plant, keep="all", keep_days=30)
    device_id = a_device(plant)
    old, fresh = a_block(NOW - timedelta(days=400)), a_block(NOW)
    waveforms.insert(plant, [(device_id, fresh)], NOW - timedelta(days=31))
    waveforms.insert(plant, [(device_id, old)], NOW - timedelta(days=29))
    assert waveforms.prune(plant, NOW) == 1
    assert [ts for _, _, ts, _ in stored(plant)] == [NOW - timedelta(days=400)]
    assert plant.execute("select count(*) from waveform_usage").fetchone() == (0,)
    assert waveforms.prune(plant, NOW) == 0


def test_one_pruning_deletes_no_more_than_its_bound_the_oldest_first(
    plant: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(plant, keep="all")
    device_id = a_device(plant)
    for day in (3, 1, 2):
        stored_at = NOW - timedelta(days=60 - day)
        waveforms.insert(plant, [(device_id, a_block(NOW + day * HOUR))], stored_at)
    monkeypatch.setattr(waveforms, "PRUNED_AT_ONCE", 2)
    assert waveforms.prune(plant, NOW) == 2
    assert [ts for _, _, ts, _ in stored(plant)] == [NOW + 3 * HOUR]
    assert waveforms.prune(plant, NOW) == 1


def test_an_unseeded_database_keeps_by_the_shipped_policy_and_seeding_publishes_it_once(
    plant: psycopg.Connection,
) -> None:
    shipped = read_keep_policy(shipped_body(POLICY))
    assert waveforms.policy_in_force(plant) == shipped
    waveforms.ensure_keep_policy(plant, NOW)
    publish(plant, keep="none")
    waveforms.ensure_keep_policy(plant, NOW)
    assert waveforms.policy_in_force(plant) == replace(shipped, keep=Keep.NONE)
    versions = plant.execute("select version from policy where name = 'waveforms' order by 1").fetchall()
    assert versions == [(1,), (2,)]


@pytest.mark.parametrize(
    "changes",
    [
        {"keep": "some"},
        {"keep": 1},
        {"every_s": 0},
        {"every_s": 1.5},
        {"every_s": True},
        {"keep_days": 0},
        {"keep_days": "30"},
        {"device_day_bytes": 0},
        {"keep_when_finding": 1},
        {"name": "repair"},
        {"typo": 1},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_and_changes_nothing(
    plant: psycopg.Connection, changes: dict[str, object]
) -> None:
    with pytest.raises(Refused) as refused:
        publish(plant, **changes)
    assert refused.value.name == "invalid_policy"
    assert next(iter(changes)) in str(refused.value)
    assert plant.execute("select count(*) from policy").fetchone() == (0,)


def test_a_policy_with_a_field_missing_is_refused() -> None:
    body = shipped_body(POLICY)
    del body["keep_days"]
    with pytest.raises(Refused, match="keep_days"):
        read_keep_policy(body)
