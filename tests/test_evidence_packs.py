"""Evidence packs: what a detector saw is frozen with its finding and outlives the readings (SPEC D8)."""

from __future__ import annotations

import threading
from datetime import timedelta
from uuid import UUID

import numpy as np
import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from detectors.bank import Opened
from domain.findings import Direction, Finding, Severity
from runtime.desk import JOBS
from storage.alarms import shelve
from storage.evidence_packs import PIXELS, READINGS_BEFORE, freeze_next, packs_of
from storage.findings import save_changes
from storage.rules import install_rule, newest_rules
from tests.api_builders import (
    NORTH,
    NOW,
    SOUTH,
    Api,
    TestClock,
    a_device,
    a_house,
    a_person,
    a_series,
    an_api,
    an_asset,
    readings,
)
from tests.rules_builders import a_draft
from ticketing.actors import Role

OPENED = NOW - timedelta(days=40)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def connection(pool: ConnectionPool):
    with pool.connection() as opened:
        a_house(opened)
        yield opened


def a_recorded_series(connection: Connection, metric: str = "vibration_mm_s", device_id: int | None = None) -> int:
    """One reading a minute for 500 minutes up to OPENED and a day beyond, with two hours missing in between."""
    device_id = device_id or a_device(connection, an_asset(connection))
    series_id = a_series(connection, device_id, metric)
    minutes = [number for number in range(-620, 1_440) if not -200 <= number < -80]
    readings(connection, series_id, [(OPENED + number * MINUTE, float(number)) for number in minutes])
    return series_id


def a_stored_finding(
    connection: Connection, series_id: int, number: int = 1, *, shadow: bool = False, **evidence: float
) -> UUID:
    install_rule(connection, a_draft("test.level"), NOW)
    (rule,) = [one for one in newest_rules(connection) if one.draft.name == "test.level"]
    row = connection.execute(
        "select device.asset_id, series.metric from series join device on device.id = series.device_id"
        " where series.id = %s",
        (series_id,),
    ).fetchone()
    assert row is not None
    finding = Finding(
        id=UUID(int=number),
        rule_id=rule.id,
        series_id=series_id,
        asset_id=row[0],
        metric=row[1],
        detector="level",
        direction=Direction.UP,
        severity=Severity.HIGH,
        shadow=shadow,
        opened_at=OPENED + (number - 1) * MINUTE,
        cleared_at=None,
        value=2.0,
        score=2.0,
        limit=1.3,
        evidence=evidence,
    )
    save_changes(connection, [Opened(finding)], NOW)
    return finding.id


def frozen(connection: Connection) -> int:
    done = 0
    while freeze_next(connection, NOW):
        done += 1
    return done


def test_a_pack_holds_what_the_detector_had_seen_and_nothing_after(connection):
    series_id = a_recorded_series(connection)
    finding_id = a_stored_finding(connection, series_id)
    assert frozen(connection) == 1
    (pack,) = packs_of(connection, finding_id)
    assert pack.columns.raw
    values = [value for value in pack.columns.last if value is not None]
    assert values[-1] == 0.0, "the sample that opened it is the last"
    assert len(values) == READINGS_BEFORE
    assert (pack.series_id, pack.metric, pack.frozen_at) == (series_id, "vibration_mm_s", NOW)


def test_a_pack_reaches_back_to_where_the_judged_window_began(connection):
    """A CUSUM may have gathered for longer than the usual context."""
    series_id = a_recorded_series(connection)
    start = OPENED - 600 * MINUTE
    finding_id = a_stored_finding(connection, series_id, window_start=start.timestamp())
    frozen(connection)
    (pack,) = packs_of(connection, finding_id)
    assert pack.start == start
    assert pack.columns.first[0] == -600.0


def test_a_pack_tells_its_gaps(connection):
    finding_id = a_stored_finding(connection, a_recorded_series(connection))
    frozen(connection)
    (pack,) = packs_of(connection, finding_id)
    assert pack.gaps() == [(OPENED - 201 * MINUTE, OPENED - 80 * MINUTE)]


def test_a_long_window_is_frozen_reduced_with_its_peaks(connection):
    """The pack stays small, however long the detector looked."""
    device_id = a_device(connection, an_asset(connection))
    series_id = a_series(connection, device_id)
    values = np.zeros(6_000)
    values[3_333] = 99.0
    rows = [(OPENED - (5_999 - number) * MINUTE, float(value)) for number, value in enumerate(values)]
    readings(connection, series_id, rows)
    finding_id = a_stored_finding(connection, series_id, window_start=rows[0][0].timestamp())
    frozen(connection)
    (pack,) = packs_of(connection, finding_id)
    assert not pack.columns.raw
    assert len(pack.columns.ts) <= PIXELS + 2
    assert max(value for value in pack.columns.highest if value is not None) == 99.0


def test_a_finding_over_several_metrics_freezes_each_that_contributed(connection):
    """SPEC D3."""
    device_id = a_device(connection, an_asset(connection))
    speed = a_recorded_series(connection, "speed_rpm", device_id)
    power = a_recorded_series(connection, "power_kw", device_id)
    a_recorded_series(connection, "temperature_c", device_id)
    evidence = {"contribution:speed_rpm": 0.7, "contribution:power_kw": 0.3}
    finding_id = a_stored_finding(connection, speed, **evidence)
    frozen(connection)
    assert {pack.series_id for pack in packs_of(connection, finding_id)} == {speed, power}


def test_what_a_shadow_rule_finds_and_what_is_shelved_is_frozen_too(connection):
    """SPEC P4, D1: whether a shadow rule was right is judged weeks later, and what is shelved is still recorded."""
    series_id = a_recorded_series(connection)
    ids = [a_stored_finding(connection, series_id, 1, shadow=True)]
    (asset_id,) = connection.execute("select asset_id from device").fetchone()
    terms = {"metric": None, "rule": None, "reason": "overhaul", "until": NOW + MINUTE}
    shelve(connection, asset_id=asset_id, person_id=a_person(connection, "pat"), now=NOW, **terms)
    ids.append(a_stored_finding(connection, series_id, 2))
    assert frozen(connection) == 2
    assert [len(packs_of(connection, finding_id)) for finding_id in ids] == [1, 1]


def test_a_pack_outlives_the_readings_and_late_ones_do_not_change_it(connection):
    series_id = a_recorded_series(connection)
    finding_id = a_stored_finding(connection, series_id)
    frozen(connection)
    before = packs_of(connection, finding_id)
    connection.execute("delete from reading")
    readings(connection, series_id, [(OPENED - timedelta(seconds=30), 1e6)])
    assert frozen(connection) == 0
    assert packs_of(connection, finding_id) == before


def test_a_pack_cannot_be_rewritten(connection):
    finding_id = a_stored_finding(connection, a_recorded_series(connection))
    frozen(connection)
    with pytest.raises(psycopg.errors.RaiseException, match="never changed"):
        connection.execute("update evidence_pack set frozen_at = now() where finding_id = %s", (finding_id,))


def test_the_desk_freezes_and_two_desks_freeze_each_pack_once(pool):
    """SPEC N4: whatever a desk had not committed is done by the next, nothing twice."""
    with pool.connection() as opened:
        a_house(opened)
        series_id = a_recorded_series(opened)
        ids = [a_stored_finding(opened, series_id, number) for number in range(1, 41)]
    (job,) = [job for job in JOBS if job.name == "freeze"]
    done: list[int] = []
    desks = [threading.Thread(target=lambda: done.append(job.run(pool, TestClock()))) for _ in range(2)]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.join(30)
    assert sum(done) == 40
    with pool.connection() as opened:
        assert all(len(packs_of(opened, finding_id)) == 1 for finding_id in ids)


@pytest.fixture
def api(pool: ConnectionPool):
    with an_api(pool) as opened:
        yield opened


def test_the_api_tells_the_finding_with_its_rule_and_its_pack(api: Api):
    with api.pool.connection() as opened:
        series_id = a_recorded_series(opened)
        finding_id = a_stored_finding(opened, series_id)
    path = f"/findings/{finding_id}"
    assert api.get(path, Role.ENGINEER).json()["packs"] == []
    with api.pool.connection() as opened:
        frozen(opened)
        opened.execute("delete from reading")
    told = api.get(path, Role.ENGINEER).json()
    assert told["rule"] == "test.level"
    assert told["rule_version"] == 1
    assert told["rule_parameters"] == {"high": 1.3}
    (pack,) = told["packs"]
    assert pack["last"][-1] == 0.0
    assert len(pack["gaps"]) == 1
    assert api.get(f"{path}/packs/{series_id}", Role.ENGINEER).json() == pack
    assert api.get(f"{path}/packs/{series_id + 1}", Role.ENGINEER).status_code == 404


def test_a_finding_of_another_site_does_not_exist(api: Api):
    with api.pool.connection() as opened:
        finding_id = a_stored_finding(opened, a_recorded_series(opened))
    assert api.get(f"/findings/{finding_id}", Role.PLANNER, SOUTH).status_code == 404
    assert api.get(f"/findings/{finding_id}", Role.PLANNER, NORTH).status_code == 200
