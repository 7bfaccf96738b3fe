"""Charts and walls of figures: the level fits the pixel, no peak is lost, nothing waits for a job (SPEC E7)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import numpy as np
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from storage import charts, partitions
from storage.latest import latest_readings
from storage.levels import Level
from storage.rollups import refresh_rollups
from tests.api_builders import NORTH, SOUTH, Api, a_device, a_series, an_api, an_asset
from tests.api_builders import readings as some_readings
from tests.rollup_builders import (
    DAY_US,
    LATER,
    NOW,
    Row,
    every,
    open_autocommit,
    refresh_everything,
    settle,
    store,
    us,
)

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LEVEL_SPANS = {Level.RAW: 3 * HOUR, Level.MINUTE: 2 * DAY, Level.HOUR: 30 * DAY}


@pytest.fixture
def connection(database):
    yield from open_autocommit(database)


@pytest.fixture(params=["database", pytest.param("timescale_database", marks=pytest.mark.timescale)])
def either(request):
    yield from open_autocommit(request.getfixturevalue(request.param))


def by_hand(rows: list[Row], chart: charts.Columns, start: datetime, end: datetime) -> list[tuple]:
    """First, lowest, highest and last reading between the times of a chart's rows; breaks left out."""
    edges = [ts for ts, value in zip(chart.ts, chart.first, strict=True) if value is not None]
    inside = sorted((us(at) / 1000, value) for _, at, value in rows if start <= at < end)
    ts, values = np.array([one[0] for one in inside]), np.array([one[1] for one in inside])
    found = []
    for first, after in zip(edges, [*edges[1:], float("inf")], strict=True):
        part = values[(ts >= first) & (ts < after)]
        found.append((part[0], part.min(), part.max(), part[-1]))
    return found


def rows_of(chart: charts.Columns) -> list[tuple]:
    found = zip(chart.first, chart.lowest, chart.highest, chart.last, strict=True)
    return [row for row in found if row[0] is not None]


@pytest.mark.parametrize("level", LEVEL_SPANS)
def test_a_chart_from_rollups_is_the_chart_of_the_readings(either, level: Level):
    """SPEC E7: first, lowest, highest and last of each pixel are exact, ends that are no whole buckets included."""
    span = LEVEL_SPANS[level]
    start, width = NOW - span - timedelta(minutes=17, seconds=3), 100
    interval_s = 61 if level is Level.HOUR else 11
    rows = every(interval_s, start - HOUR, int((span + 3 * HOUR).total_seconds() / interval_s))
    rows.append((1, start + span / 2 + timedelta(milliseconds=3), 77.0))
    store(either, rows)
    refresh_everything(either)
    end = start + span
    chart = charts.chart(either, 1, start, end, width, None)
    assert chart.level is level
    assert not chart.raw
    assert width / 2 <= len(chart.ts) <= width + 1
    assert rows_of(chart) == by_hand(rows, chart, start, end)
    assert max(value for value in chart.highest if value is not None) == 77.0
    if level is not Level.RAW:
        assert len(set(np.diff(chart.ts[1:-1]))) == 1, "every pixel is as many whole buckets"


def test_a_chart_is_the_same_before_during_and_after_the_rollups_are_computed(connection):
    """SPEC E7: the newest minutes are there at once; a job that lags costs time, never a reading."""
    rows = every(17, NOW - 2 * DAY, 12_000)
    start, end = NOW - 2 * DAY, NOW + 10 * HOUR
    store(connection, rows[:9_000])
    refresh_rollups(connection, LATER)
    store(connection, rows[9_000:])
    store(connection, [(1, NOW - DAY + 3 * SECOND, -50.0)])
    seen = [charts.chart(connection, 1, start, end, 100, None)]
    for level in (Level.MINUTE, Level.HOUR, Level.DAY):
        refresh_rollups(connection, LATER, levels=[level])
        seen.append(charts.chart(connection, 1, start, end, 100, None))
    assert {chart.level for chart in seen} == {Level.MINUTE}
    assert all(rows_of(chart) == rows_of(seen[0]) for chart in seen)
    assert min(value for value in seen[0].lowest if value is not None) == -50.0


def test_a_chart_of_what_was_never_rolled_up_is_read_from_the_readings(connection):
    store(connection, every(5, NOW - DAY, 17_280))
    chart = charts.chart(connection, 1, NOW - DAY, NOW, 200, None)
    assert chart.level is Level.RAW
    assert len(rows_of(chart)) == 200


def test_what_retention_has_dropped_is_drawn_from_the_next_coarser_level(connection):
    """SPEC E7: an hour of last year is drawn by the minute; few readings that came since do not hide them."""
    old = NOW - 200 * DAY
    rows = every(10, old, 360)
    store(connection, rows)
    settle(connection)
    connection.execute(f"drop table reading_{old:%Y%m%d}")
    connection.execute("update level_kept set kept_from = %s where level = 'raw'", (NOW - 90 * DAY,))
    chart = charts.chart(connection, 1, old, old + HOUR, 800, None)
    assert chart.level is Level.MINUTE
    assert [row[1:3] for row in rows_of(chart)] == [
        (min(row[2] for row in rows[n : n + 6]), max(row[2] for row in rows[n : n + 6])) for n in range(0, 360, 6)
    ]


def test_a_silence_is_not_bridged_at_any_level(connection):
    store(connection, every(10, NOW - 4 * DAY, 10_000) + every(10, NOW - DAY, 8_000))
    settle(connection)
    chart = charts.chart(connection, 1, NOW - 4 * DAY, NOW, 300, None)
    assert chart.level is Level.MINUTE
    assert [row for row, value in enumerate(chart.first) if value is None] != []


# Plans


def plan_of(connection: psycopg.Connection, query: str, values: Mapping[str, object]) -> list[tuple[str, str]]:
    """The scans that were run, as (node type, table); pruned partitions and branches never run are left out."""
    row = connection.execute(
        "explain (analyze, costs off, timing off, summary off, buffers off, format json) " + query, values
    ).fetchone()
    assert row is not None
    plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return list(_scans(plan[0]["Plan"]))


def _scans(node: Mapping) -> Iterator[tuple[str, str]]:
    if "Relation Name" in node and node["Actual Loops"] > 0:
        yield node["Node Type"], node["Relation Name"]
    for child in node.get("Plans", []):
        yield from _scans(child)


@pytest.fixture
def forty_days(connection):
    """Forty partitions with two hundred series each, analysed, as autovacuum leaves them."""
    days = range(us(NOW) // DAY_US - 39, us(NOW) // DAY_US + 1)
    partitions.ensure_partitions(connection, list(days))
    connection.execute(
        "insert into reading select s, ts, random() from generate_series(%s::timestamptz, %s, '1 hour') as ts,"
        " generate_series(1, 200) as s",
        (NOW - 39 * DAY, NOW),
    )
    connection.execute("analyze reading")
    return connection


@pytest.mark.parametrize("name", ["pixels_raw", "readings"])
def test_a_chart_reads_only_the_partitions_of_its_stretch_and_by_the_index(forty_days, name: str):
    """SPEC E7: a chart of two days opens three of forty partitions, and no table is read whole."""
    values = {
        "series_id": 7,
        "from": NOW - 2 * DAY,
        "to": NOW,
        "limit": 3_000,
        "pixel": MINUTE,
        "origin": NOW - 2 * DAY,
    }
    scans = plan_of(forty_days, charts.QUERIES[name].as_string(None), values)
    assert scans
    assert not [scan for scan in scans if scan[0] == "Seq Scan"]
    assert {table for _, table in scans} == {f"reading_{NOW - n * DAY:%Y%m%d}" for n in range(3)}


def test_the_latest_readings_are_one_look_into_the_newest_partition_each(forty_days):
    """SPEC E7: a series that speaks is found in the newest partition; the others are not touched."""
    asked = {"ids": list(range(1, 201)), "from": NOW - HOUR, "to": NOW + DAY}
    scans = plan_of(forty_days, charts.QUERIES["latest_within"].as_string(None), asked)
    assert {table for _, table in scans} == {f"reading_{NOW:%Y%m%d}"}
    assert {node for node, _ in scans} <= {"Index Only Scan", "Index Scan"}


def test_a_silent_series_is_looked_for_on_its_last_day_only(forty_days):
    days = [NOW - NOW.hour * HOUR - n * DAY for n in (20, 30)]
    asked = {"ids": [1, 2], "days": days, "from": days[1], "to": days[0] + DAY}
    scans = plan_of(forty_days, charts.QUERIES["latest_on_days"].as_string(None), asked)
    assert {table for _, table in scans} == {f"reading_{day:%Y%m%d}" for day in days}
    assert {node for node, _ in scans} <= {"Index Only Scan", "Index Scan"}


def a_plant_of_series(connection: psycopg.Connection, count: int) -> None:
    connection.execute("insert into calendar (id, name, time_zone) values ('day', 'Day', 'UTC')")
    connection.execute("insert into site values ('north', 'North', 'day', 31, 120)")
    connection.execute("insert into asset_type values ('motor', 'Motor', '电机')")
    device_id = a_device(connection, an_asset(connection))
    connection.execute(
        "insert into series (device_id, metric, created_at)"
        " select %s, 'metric-' || n, %s from generate_series(1, %s) as n",
        (device_id, NOW, count),
    )


# Latest values


def test_the_latest_reading_of_each_series_is_found_on_every_server(either):
    with either.transaction():
        a_plant_of_series(either, 4)
    store(either, [(1, NOW, 1.0), (1, NOW - DAY, 9.0), (2, NOW - 5 * DAY, 2.0), (4, NOW, 4.0)])
    found = latest_readings(either, limit=10)
    assert found.series_id == [1, 2, 3, 4]
    assert found.value == [1.0, 2.0, None, 4.0]
    assert found.ts == [us(NOW) / 1000, us(NOW - 5 * DAY) / 1000, None, us(NOW) / 1000]
    assert latest_readings(either, after=2, limit=1).series_id == [3]
    assert latest_readings(either, sites=[], limit=10).series_id == []


def one_by_one(connection: psycopg.Connection) -> list[tuple]:
    """The newest reading of each series by the plainest query."""
    query = (
        "select series.id, (extract(epoch from ts) * 1000)::float8, value from series left join lateral (select *"
        " from reading where series_id = series.id order by ts desc limit 1) as newest on true order by 1"
    )
    return connection.execute(query).fetchall()


def wall(connection: psycopg.Connection) -> list[tuple]:
    found = latest_readings(connection, limit=10_000)
    return list(zip(found.series_id, found.ts, found.value, strict=True))


def scattered(rng: np.random.Generator, newest: datetime, count: int) -> list[Row]:
    """Readings of a third of 300 series, mostly of the last hours, some up to forty days old, to the microsecond."""
    ages_us = 10.0 ** rng.uniform(0, 12.5, count)
    return [
        (int(series), newest - timedelta(microseconds=int(age)), float(value))
        for series, age, value in zip(
            rng.choice(rng.choice(300, 100, replace=False) + 1, count), ages_us, rng.random(count), strict=True
        )
    ]


@pytest.mark.parametrize("seed", range(4))
def test_latest_readings_are_right_whatever_is_rolled_up_already(connection, seed: int):
    """SPEC E7: before, between and after the levels are computed; late data, silence of weeks and clocks ahead."""
    rng = np.random.default_rng(seed)
    a_plant_of_series(connection, 300)
    assert [row[1:] for row in wall(connection)] == [(None, None)] * 300
    for n in range(6):
        store(connection, scattered(rng, NOW + n * DAY, 300))
        assert wall(connection) == one_by_one(connection)
        until, levels = NOW + (n + 1) * DAY, list(Level)[1 : 2 + n % 3]
        refresh_rollups(connection, until, levels=levels)
        assert wall(connection) == one_by_one(connection)
        store(connection, [(1 + n, NOW + 9 * DAY, 1.0)])
    settle(connection)
    assert wall(connection) == one_by_one(connection)


def test_a_series_that_fell_silent_months_ago_is_found_beside_those_that_speak(connection):
    """SPEC E7: rolled up long ago, alone on its day, or late and not rolled up yet."""
    a_plant_of_series(connection, 130)
    speaking = [(series, NOW - MINUTE, float(series)) for series in range(1, 128)]
    store(connection, [(128, NOW - 300 * DAY, 1.0), (129, NOW - 200 * DAY, 2.0), *speaking])
    settle(connection)
    store(connection, [(129, NOW - 100 * DAY, 3.0), (1, NOW, 4.0)])
    expected = [(series, us(NOW - MINUTE) / 1000, float(series)) for series in range(2, 128)]
    assert wall(connection) == [
        (1, us(NOW) / 1000, 4.0),
        *expected,
        (128, us(NOW - 300 * DAY) / 1000, 1.0),
        (129, us(NOW - 100 * DAY) / 1000, 3.0),
        (130, None, None),
    ]


@pytest.mark.parametrize("speaking", [1, 3])
def test_the_only_series_that_ever_spoke_is_found_among_hundreds(connection, speaking: int):
    """Of 300 the third is one of those that are looked for first, the first is not."""
    a_plant_of_series(connection, 300)
    store(connection, [(speaking, NOW, 1.0)])
    expected = [(us(NOW) / 1000, 1.0) if series == speaking else (None, None) for series in range(1, 301)]
    assert [row[1:] for row in wall(connection)] == expected
    settle(connection)
    assert [row[1:] for row in wall(connection)] == expected


def test_a_series_of_which_retention_has_dropped_all_readings_has_none(connection):
    a_plant_of_series(connection, 2)
    old = NOW - 200 * DAY
    store(connection, [(1, old, 1.0), (2, NOW, 2.0)])
    settle(connection)
    connection.execute(f"drop table reading_{old:%Y%m%d}")
    assert wall(connection) == [(1, None, None), (2, us(NOW) / 1000, 2.0)]


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


@pytest.fixture
def two_sites(api: Api) -> dict[str, list[int]]:
    """Three series in the north with readings, two in the south of which one has none."""
    with api.pool.connection() as connection:
        devices = [
            a_device(connection, an_asset(connection, site, tag), tag) for site, tag in ((NORTH, "N"), (SOUTH, "S"))
        ]
        north = [a_series(connection, devices[0], metric) for metric in "abc"]
        south = [a_series(connection, devices[1], metric) for metric in "ab"]
    with api.pool.connection() as connection:
        for series_id in (*north, south[0]):
            some_readings(connection, series_id, [(NOW - MINUTE, 1.0), (NOW, float(series_id))])
    return {NORTH: north, SOUTH: south}


def test_a_wall_of_figures_is_one_answer_in_pages(api: Api, two_sites):
    every_series = two_sites[NORTH] + two_sites[SOUTH]
    whole = api.get("/series/latest").json()
    assert whole["series_id"] == every_series
    assert whole["value"] == [*map(float, every_series[:-1]), None]
    assert whole["next_cursor"] is None
    seen, cursor = [], None
    while True:
        page = api.get("/series/latest", limit=2, **({} if cursor is None else {"cursor": cursor})).json()
        seen += page["series_id"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == every_series


def test_a_wall_of_figures_shows_only_what_its_reader_may_see(api: Api, two_sites):
    assert api.get("/series/latest", "engineer", NORTH).json()["series_id"] == two_sites[NORTH]
    assert api.get("/series/latest", "engineer", NORTH, site_=SOUTH).json()["series_id"] == []
    assert api.get("/series/latest", site_=SOUTH).json()["series_id"] == two_sites[SOUTH]
    assert api.get("/series/latest", "requester").status_code == 403
    asset_id = api.get("/assets").json()["items"][0]["id"]
    assert api.get("/series/latest", asset=asset_id).json()["series_id"] == two_sites[NORTH]


def test_an_answer_says_which_level_it_was_read_from(api: Api, two_sites):
    series_id = two_sites[NORTH][0]
    with api.pool.connection() as connection:
        some_readings(connection, series_id, [(NOW - 2 * DAY + n * 20 * SECOND, 1.0) for n in range(4_320)])
    asked = {"from_": (NOW - 2 * DAY).isoformat(), "to": (NOW - DAY).isoformat(), "width": 100}
    assert api.get(f"/series/{series_id}/chart", **asked).json()["level"] == "raw"
    with api.pool.connection() as connection:
        connection.autocommit = True
        settle(connection)
        connection.autocommit = False
    assert api.get(f"/series/{series_id}/chart", **asked).json()["level"] == "1m"
