"""Bearings in the register: kept, told, and followed by ingest (SPEC D4, E1, E3)."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from detectors.bearings import BearingGeometry, FaultOrders, TurningBearing
from detectors.vibration import features
from domain.refusals import Refused
from domain.waveforms import WaveformBlock
from storage.bearings import Bearing, list_bearings, put_bearing, remove_bearing
from tests.api_builders import BASE, NORTH, SOUTH, Api, an_api, an_asset
from tests.ingest_builders import NOW, Line, a_device, a_plant, ms, topic
from ticketing.actors import Role

GEOMETRY = BearingGeometry(9, 7.94, 39.04)
DRIVE_END = Bearing("bearing_de", "drive_end", GEOMETRY.orders(), 1_482.0, GEOMETRY)
BODY = {
    "metric": "drive_end",
    "speed_rpm": 1482.0,
    "geometry": {"elements": 9, "ball_diameter_mm": 7.94, "pitch_diameter_mm": 39.04},
}
SAMPLES = np.random.default_rng(5).standard_normal(8_192).astype("<f4")
RATE_HZ = 12_800.0


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


@pytest.fixture
def line(database: str) -> Line:
    with a_plant(database) as connection:
        a_device(connection)
    return Line(database)


def registered(api: Api, site: str = NORTH) -> int:
    with api.pool.connection() as connection:
        return an_asset(connection, site)


def the_asset(connection: psycopg.Connection) -> int:
    return connection.execute("select asset_id from device").fetchone()[0]


def a_message(second: int, **said: float) -> bytes:
    at = ms(NOW + timedelta(seconds=second))
    header = json.dumps(
        {"ts": at, "seq": second + 1, "metric": "drive_end", "unit": "g", "rate_hz": RATE_HZ, **said}
    ).encode()
    return struct.pack("<4sHH", b"WSWF", 1, len(header)) + header + SAMPLES.tobytes()


def ratios(line: Line) -> dict[str, list[float]]:
    rows = line.rows(
        "select metric, value from reading join series on series.id = series_id"
        " where metric ~ 'bpfo|bpfi|bsf|ftf' order by metric, ts"
    )
    found: dict[str, list[float]] = {}
    for metric, value in rows:
        found.setdefault(metric, []).append(value)
    return found


def test_a_bearing_is_kept_with_its_orders_and_its_geometry(line: Line) -> None:
    asset_id = the_asset(line.connection)
    by_orders = Bearing("bearing_nde", "non_drive_end", FaultOrders(3.5, 5.5, 2.4, 0.4), None, None)
    put_bearing(line.connection, asset_id, by_orders, NOW)
    put_bearing(line.connection, asset_id, DRIVE_END, NOW)
    assert list_bearings(line.connection, asset_id) == [DRIVE_END, by_orders]
    assert remove_bearing(line.connection, asset_id, "bearing_nde")
    assert not remove_bearing(line.connection, asset_id, "bearing_nde")
    assert list_bearings(line.connection, asset_id) == [DRIVE_END]


def test_one_accelerometer_hears_one_bearing(line: Line) -> None:
    asset_id = the_asset(line.connection)
    put_bearing(line.connection, asset_id, DRIVE_END, NOW)
    with pytest.raises(Refused, match="a second one heard in 'drive_end'"):
        put_bearing(line.connection, asset_id, Bearing("other", "drive_end", DRIVE_END.orders, None, None), NOW)


def expected_ratios(*speeds_rpm: float) -> dict[str, list[float]]:
    block = WaveformBlock(0, "drive_end", "g", RATE_HZ, SAMPLES.tobytes())
    found = [features(block, bearing=TurningBearing(GEOMETRY.orders(), speed_rpm)) for speed_rpm in speeds_rpm]
    return {f"drive_end.{part}": [one[part] for one in found if part in one] for part in ("bpfi", "bpfo", "bsf", "ftf")}


def test_blocks_get_the_ratios_of_the_bearing_that_the_register_knows(line: Line) -> None:
    """SPEC D4, E3: at the speed that the block tells, else at the usual one."""
    put_bearing(line.connection, the_asset(line.connection), DRIVE_END, NOW)
    line.restart()
    line.take((topic(kind="waveform"), a_message(1)), (topic(kind="waveform"), a_message(2, speed_rpm=740.0)))
    assert line.reasons() == []
    assert ratios(line) == expected_ratios(1_482.0, 740.0)


def test_what_is_learnt_of_a_bearing_is_used_from_the_next_look_at_the_register(line: Line) -> None:
    asset_id = the_asset(line.connection)
    refreshed_s = line.options.refresh_every_s + 1

    def send(second: int) -> None:
        line.take((topic(kind="waveform"), a_message(second)))

    send(0)
    put_bearing(line.connection, asset_id, DRIVE_END, NOW)
    line.wait(refreshed_s)
    send(1)
    assert ratios(line) == expected_ratios(1_482.0)
    remove_bearing(line.connection, asset_id, DRIVE_END.component)
    line.wait(refreshed_s)
    send(2)
    assert ratios(line) == expected_ratios(1_482.0)


def test_a_redelivered_block_gets_the_same_ratios(line: Line) -> None:
    """SPEC E4: they follow from the block and the register, not from what the ingester heard before."""
    put_bearing(line.connection, the_asset(line.connection), DRIVE_END, NOW)
    line.restart()
    for _ in range(2):
        line.take((topic(kind="waveform"), a_message(1)))
        line.restart()
    assert ratios(line) == expected_ratios(1_482.0)


@pytest.mark.parametrize("speed_rpm", ["-1", "1e9", '"fast"', "1e999"])
def test_a_speed_that_cannot_be_sets_the_block_aside(line: Line, speed_rpm: str) -> None:
    """SPEC E5."""
    payload = a_message(0, speed_rpm=1.0)
    header = payload[8:].split(b"}")[0] + b"}"
    wrong = header.replace(b'"speed_rpm": 1.0', b'"speed_rpm": ' + speed_rpm.encode())
    line.take((topic(kind="waveform"), struct.pack("<4sHH", b"WSWF", 1, len(wrong)) + wrong + SAMPLES.tobytes()))
    assert len(line.reasons()) == 1
    assert line.rows("select 1 from reading") == []


def test_a_bearing_is_put_read_and_forgotten_over_the_wire(api: Api) -> None:
    asset_id = registered(api)
    path = f"{BASE}/assets/{asset_id}/bearings"
    put = api.client.put(f"{path}/bearing_de", json=BODY, headers=api.headers(Role.PLANNER))
    assert put.status_code == 200, put.text
    (shown,) = put.json()["items"]
    assert shown["orders"]["bpfo"] == pytest.approx(3.5848, rel=1e-4)
    assert shown["geometry"]["contact_angle_deg"] == 0
    assert api.get(f"/assets/{asset_id}/bearings").json()["items"] == [shown]
    assert [one["code"] for one in api.get(f"/assets/{asset_id}/components").json()["items"]] == ["bearing_de"]
    changes = api.get(f"/assets/{asset_id}/changes").json()["items"]
    assert {"bearing", "component"} <= {change["noun"] for change in changes}
    gone = api.client.delete(f"{path}/bearing_de", headers=api.headers(Role.PLANNER))
    assert (gone.status_code, gone.json()["items"]) == (200, [])
    assert api.client.delete(f"{path}/bearing_de", headers=api.headers(Role.PLANNER)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"geometry": None},
        {"orders": {"bpfo": 3.5, "bpfi": 5.5, "bsf": 2.4, "ftf": 0.4}},
        {"geometry": {"elements": 9, "ball_diameter_mm": 40, "pitch_diameter_mm": 39}},
        {"geometry": {"elements": 9, "ball_diameter_mm": 0.001, "pitch_diameter_mm": 39}},
        {"speed_rpm": 0},
        {"metric": "two words"},
    ],
)
def test_a_bearing_that_cannot_be_is_refused_and_changes_nothing(api: Api, wrong: dict[str, object]) -> None:
    asset_id = registered(api)
    path = f"{BASE}/assets/{asset_id}/bearings/de"
    refused = api.client.put(path, json={**BODY, **wrong}, headers=api.headers(Role.PLANNER))
    assert refused.status_code == 422
    assert refused.json()["type"].endswith("invalid_request")
    assert api.get(f"/assets/{asset_id}/components").json()["items"] == []


def test_bearings_of_other_sites_are_not_there(api: Api) -> None:
    asset_id = registered(api, SOUTH)
    assert api.get(f"/assets/{asset_id}/bearings", Role.PLANNER, NORTH).status_code == 404
    path = f"{BASE}/assets/{asset_id}/bearings/de"
    assert api.client.put(path, json=BODY, headers=api.headers(Role.PLANNER, NORTH)).status_code == 404
    assert api.client.put(path, json=BODY, headers=api.headers(Role.PLANNER, SOUTH)).status_code == 200
    assert api.client.delete(path, headers=api.headers(Role.PLANNER, NORTH)).status_code == 404
    assert len(api.get(f"/assets/{asset_id}/bearings", Role.PLANNER, SOUTH).json()["items"]) == 1
