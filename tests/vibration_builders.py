"""A motor whose drive-end bearing is heard: blocks as ingest stores them, healthy first, then with a spalled race."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from psycopg import Connection

from detectors.bearings import BearingGeometry, TurningBearing
from detectors.vibration import features
from domain.readings import Readings
from domain.waveforms import WaveformBlock
from simulators.waveform import BALL_TO_PITCH, BALLS, RATE_HZ, UNIT, bearing_vibration
from storage import readings, waveforms
from storage.bearings import Bearing, put_bearing
from storage.policies import shipped_body
from tests.console_builders import NOW
from tests.ticket_builders import HOUR, MINUTE, House

POINT = "drive_end"
SHAFT_HZ = 24.7
GEOMETRY = BearingGeometry(BALLS, BALL_TO_PITCH * 50, 50.0)
BPFO_HZ = SHAFT_HZ * GEOMETRY.orders().bpfo


def a_known_bearing(connection: Connection, house: House, *, speed_rpm: float | None = SHAFT_HZ * 60) -> Bearing:
    bearing = Bearing("bearing_de", POINT, GEOMETRY.orders(), speed_rpm, GEOMETRY, "6308")
    put_bearing(connection, house.asset_id, bearing, NOW - 20 * HOUR)
    return bearing


def some_blocks(
    connection: Connection,
    house: House,
    *,
    healthy: int = 12,
    damage: float | None = 0.6,
    bearing: Bearing | None = None,
    start: datetime = NOW - 4 * HOUR,
) -> datetime:
    """Store healthy blocks, one in ten minutes, and unless None one of a damaged outer race; return its time."""
    keep_all(connection)
    random = np.random.default_rng(11)
    damages = [0.0] * healthy + ([] if damage is None else [damage])
    at = start
    for number, one in enumerate(damages):
        at = start + number * 10 * MINUTE
        a_block(connection, house, at, random, one, bearing)
    return at


def keep_all(connection: Connection) -> None:
    """Keep every block whole."""
    policy = {**shipped_body("waveforms"), "keep": "all"}
    waveforms.publish_keep_policy(connection, policy, person_id=None, now=NOW)


def a_block(
    connection: Connection,
    house: House,
    at: datetime,
    random: np.random.Generator,
    damage: float,
    bearing: Bearing | None = None,
    speed_rpm: float | None = None,
) -> None:
    """Store a block and its features."""
    samples = bearing_vibration(
        random, shaft_hz=SHAFT_HZ, rotor_mm_s=1.2, spall_mm_s=2.5 * damage, damage=damage
    ).astype("<f4")
    block = WaveformBlock(round(at.timestamp() * 1e6), POINT, UNIT, RATE_HZ, samples.tobytes(), speed_rpm)
    turning = None if bearing is None else TurningBearing(bearing.orders, speed_rpm or SHAFT_HZ * 60)
    (device_id,) = connection.execute("select id from device where asset_id = %s", (house.asset_id,)).fetchone()
    found = {f"{POINT}.{name}": value for name, value in features(block, bearing=turning).items()}
    ids = [_series(connection, device_id, metric) for metric in found]
    ts = np.full(len(ids), block.ts_us, dtype=np.int64)
    values = np.array(list(found.values()), dtype=np.float64)
    order = np.argsort(ids)
    readings.insert(connection, Readings(np.array(ids, dtype=np.int32)[order], ts, values[order]))
    waveforms.insert(connection, [(device_id, block)], NOW)


def _series(connection: Connection, device_id: int, metric: str) -> int:
    connection.execute(
        "insert into series (device_id, metric, created_at) values (%s, %s, %s) on conflict do nothing",
        (device_id, metric, NOW),
    )
    (found,) = connection.execute(
        "select id from series where device_id = %s and metric = %s", (device_id, metric)
    ).fetchone()
    return found
