"""Reading years of readings as columns (SPEC D7)."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import psycopg
import pytest

from domain.readings import Readings
from storage import history
from storage.database import connect
from storage.history import read_columns, stream_columns
from storage.partitions import ensure_partitions
from storage.readings import insert
from tests.api_builders import NOW

DAY = timedelta(days=1)
NOW_US = int(NOW.timestamp() * 1e6)


@pytest.fixture
def connection(database):
    with connect(database) as opened:
        opened.autocommit = True
        yield opened


def stored(connection: psycopg.Connection) -> Readings:
    """Three series over forty days at odd times, stored in any order; one of them is silent for weeks."""
    random = np.random.default_rng(0)
    parts = []
    for series_id, rows in ((3, 5_000), (5, 40), (9, 900)):
        # One lies on the edge of the first stretch, an hour after the beginning.
        ts_us = NOW_US + np.unique(np.append(random.integers(0, 40 * 86_400_000_000, rows), 3_600_000_000))
        parts.append(Readings(np.full(len(ts_us), series_id, np.int32), ts_us, random.standard_normal(len(ts_us))))
    whole = Readings(*(np.concatenate([getattr(part, name) for part in parts]) for name in Readings.__slots__))
    first = NOW_US // 86_400_000_000
    ensure_partitions(connection, range(first, first + 42))
    order = random.permutation(len(whole))
    insert(connection, Readings(whole.series_id[order], whole.ts_us[order], whole.value[order]))
    return whole


def the_same(left: Readings, right: Readings) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in Readings.__slots__)


@pytest.mark.parametrize("at_once", [7, 300, 1_000_000])
def test_every_row_comes_once_in_series_time_order(connection, monkeypatch, at_once):
    monkeypatch.setattr(history, "ROWS_AT_ONCE", at_once)
    whole = stored(connection)
    found = read_columns(connection, [9, 3, 5, 3, 77], NOW, NOW + 41 * DAY)
    assert the_same(found, whole)
    assert found.series_id.dtype == np.int32
    assert found.ts_us.dtype == np.int64
    assert found.value.dtype == np.float64


def test_the_period_begins_with_its_first_microsecond_and_ends_before_its_last(connection):
    whole = stored(connection)
    mine = whole.ts_us[whole.series_id == 3]
    since, until = (NOW + timedelta(microseconds=int(ts - NOW_US)) for ts in (mine[10], mine[20]))
    assert np.array_equal(read_columns(connection, [3], since, until).ts_us, mine[10:20])
    assert len(read_columns(connection, [3], since, since)) == 0
    assert len(read_columns(connection, [], NOW, NOW + DAY)) == 0


def test_parts_stay_small_where_a_series_speaks_evenly(connection, monkeypatch):
    monkeypatch.setattr(history, "ROWS_AT_ONCE", 200)
    whole = stored(connection)
    parts = list(stream_columns(connection, [3, 5, 9], NOW, NOW + 41 * DAY))
    assert len(parts) > 20
    assert max(len(part) for part in parts) < 400
    assert sum(len(part) for part in parts) == len(whole)


@pytest.mark.timescale
def test_hypertables_are_read_alike(timescale_database):
    with connect(timescale_database) as connection:
        connection.autocommit = True
        whole = Readings(np.array([3, 3, 5], np.int32), NOW_US + np.arange(3, dtype=np.int64), np.arange(3.0))
        insert(connection, whole)
        assert the_same(read_columns(connection, [3, 5], NOW, NOW + DAY), whole)
