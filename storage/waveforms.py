"""Waveform blocks in the database: kept by policy, once each, within bounds (SPEC E3, E4, E7)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from domain.readings import MICROSECONDS_PER_SECOND
from domain.waveforms import WaveformBlock
from storage.policies import newest_body, publish_body, shipped_body
from storage.queries import load
from storage.waveform_keeping import POLICY, KeepPolicy, KeptFor, Situation, choose, read_keep_policy

QUERIES = load("waveforms")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a row takes beside its samples, counted so that a million tiny blocks are bounded too.
ROW_BYTES = 256
# Deflating pays from a tenth on: measured 0.39 to 0.62 of the size for 12- and 16-bit converters, 0.92 for 24 bits.
_DEFLATED_AT_MOST = 0.9
PRUNED_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class WaveformRow:
    """A kept block without its samples; ``ts`` is the equipment time of the first one.

    ``speed_rpm`` is the shaft's speed, None where the device did not say it.
    """

    id: int
    device_id: int
    device: str
    asset_id: int
    site_id: str
    metric: str
    unit: str
    rate_hz: float
    speed_rpm: float | None
    ts: datetime
    sample_count: int
    kept_for: KeptFor
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class StoredWaveform:
    """A kept block with its samples, in the row's unit."""

    row: WaveformRow
    samples: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Kept:
    """A block on its way in."""

    device_id: int
    asset_id: int
    block: WaveformBlock
    kept_for: KeptFor
    encoding: str
    encoded: bytes


def insert(connection: Connection, blocks: Sequence[tuple[int, WaveformBlock]], now: datetime) -> int:
    """Store the blocks (device id, block) that the policy keeps and that are not there; return how many they were.

    Call it after the findings of the same batch are stored: a block is kept when one is open at its time.
    """
    if not blocks:
        return 0
    policy = policy_in_force(connection)
    ordered = sorted(blocks, key=lambda one: one[1].ts_us)
    situations = _situations(connection, ordered, policy)
    chosen = choose(ordered, situations, policy)
    room = _room(connection, {device_id for device_id, _ in ordered}, policy, now)
    kept: list[_Kept] = []
    for (device_id, block), met, why in zip(ordered, situations, chosen, strict=True):
        if why is None:
            continue
        encoding, encoded = encode(block.samples)
        if len(encoded) + ROW_BYTES <= room[device_id]:
            room[device_id] -= len(encoded) + ROW_BYTES
            kept.append(_Kept(device_id, met.asset_id, block, why, encoding, encoded))
    return _store(connection, kept, now) if kept else 0


def page(
    connection: Connection,
    asset_id: int,
    *,
    device_id: int | None = None,
    metric: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[WaveformRow]:
    """Return kept blocks of an asset with ids below ``before``, the newest stored first."""
    asked = {"asset_id": asset_id, "device_id": device_id, "metric": metric, "before": before, "limit": limit}
    return [_row(row) for row in connection.execute(QUERIES["waveforms"], asked)]


def waveform_by_id(connection: Connection, waveform_id: int) -> StoredWaveform | None:
    """Return a kept block with its samples, or None when there is none."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(QUERIES["waveform"], {"id": waveform_id}).fetchone()
    if row is None:
        return None
    *facts, encoding, encoded = row
    return StoredWaveform(_row(facts), np.frombuffer(decode(encoding, encoded), dtype="<f4"))


def prune(connection: Connection, now: datetime) -> int:
    """Delete the oldest blocks beyond the policy's days, at most PRUNED_AT_ONCE; return how many they were.

    Age counts from when a block was stored: a replayed recording is as old as its replay.
    """
    before = now - timedelta(days=policy_in_force(connection).keep_days)
    connection.execute(QUERIES["prune_usage"], {"day": now.astimezone(UTC).date()})
    return connection.execute(QUERIES["prune_waveforms"], {"before": before, "limit": PRUNED_AT_ONCE}).rowcount


def policy_in_force(connection: Connection) -> KeepPolicy:
    """Return the policy in force; before the first seeding, the shipped one."""
    found = newest_body(connection, POLICY)
    return read_keep_policy(shipped_body(POLICY) if found is None else found[1])


def publish_keep_policy(
    connection: Connection, body: Mapping[str, object], *, person_id: int | None, now: datetime
) -> int:
    """Check and publish a new version of the policy; return its id. Blocks that are stored stay until their days end.

    Raises Refused("invalid_policy").
    """
    read_keep_policy(body)
    return publish_body(connection, POLICY, body, person_id=person_id, now=now)


def ensure_keep_policy(connection: Connection, now: datetime) -> None:
    """Publish the shipped policy when there is none yet."""
    if newest_body(connection, POLICY) is None:
        publish_keep_policy(connection, shipped_body(POLICY), person_id=None, now=now)


def encode(samples: bytes) -> tuple[str, bytes]:
    """Return the encoding and the bytes to store: deflated where that saves a tenth, else as they came."""
    deflated = zlib.compress(samples, 1)
    return ("zlib", deflated) if len(deflated) <= _DEFLATED_AT_MOST * len(samples) else ("float32", samples)


def decode(encoding: str, encoded: bytes) -> bytes:
    """Undo ``encode``."""
    return zlib.decompress(encoded) if encoding == "zlib" else encoded


def _situations(
    connection: Connection, blocks: Sequence[tuple[int, WaveformBlock]], policy: KeepPolicy
) -> list[Situation]:
    slots = [policy.slot_us(block.ts_us) for _, block in blocks]
    asked = {
        "device_ids": [device_id for device_id, _ in blocks],
        "metrics": [block.metric for _, block in blocks],
        "ts": [_time(block.ts_us) for _, block in blocks],
        "ends": [_time(block.ts_us + _length_us(block)) for _, block in blocks],
        "slots_from": [_time(start) for start, _ in slots],
        "slots_to": [_time(end) for _, end in slots],
    }
    return [Situation(*row) for row in connection.execute(QUERIES["situations"], asked)]


def _room(connection: Connection, device_ids: set[int], policy: KeepPolicy, now: datetime) -> dict[int, int]:
    """Return how many bytes each device may still store today."""
    asked = {"device_ids": list(device_ids), "day": now.astimezone(UTC).date()}
    used = {int(device_id): int(size) for device_id, size in connection.execute(QUERIES["usage"], asked)}
    return {device_id: policy.device_day_bytes - used.get(device_id, 0) for device_id in device_ids}


def _store(connection: Connection, kept: Sequence[_Kept], now: datetime) -> int:
    values = {
        "device_ids": [one.device_id for one in kept],
        "asset_ids": [one.asset_id for one in kept],
        "metrics": [one.block.metric for one in kept],
        "units": [one.block.unit for one in kept],
        "rates": [one.block.rate_hz for one in kept],
        "speeds": [one.block.speed_rpm for one in kept],
        "ts": [_time(one.block.ts_us) for one in kept],
        "sample_counts": [len(one.block) for one in kept],
        "encodings": [one.encoding for one in kept],
        "samples": [one.encoded for one in kept],
        "kept_for": [one.kept_for.value for one in kept],
        "row_bytes": ROW_BYTES,
        "now": now,
        "day": now.astimezone(UTC).date(),
    }
    row = connection.execute(QUERIES["insert_waveforms"], values).fetchone()
    return int(row[0]) if row is not None else 0


def _row(row: Sequence[object]) -> WaveformRow:
    # The queries name the columns in the order of the fields.
    found = dict(zip(WaveformRow.__slots__, row, strict=True))
    found["kept_for"] = KeptFor(str(found["kept_for"]))
    return WaveformRow(**found)  # type: ignore[arg-type]


def _time(ts_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts_us)


def _length_us(block: WaveformBlock) -> int:
    return round(len(block) / block.rate_hz * MICROSECONDS_PER_SECOND)
