"""Series: charts reduced to pixels, and the readings themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import Database, ReadSignals
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import Cursor
from api.schemas import Chart, Key, LatestColumns, Moment, ReadingColumns, SeriesKey, Word
from domain.refusals import Refused
from storage import charts
from storage.charts import SeriesRow
from storage.latest import latest_readings
from storage.levels import Level

router = APIRouter(prefix=BASE_PATH, tags=["signals"])

SeriesInPath = Annotated[SeriesKey, Path(description="The series' id")]
From = Annotated[Moment | None, Query(alias="from", description="Start; an hour before the end by default")]
To = Annotated[Moment | None, Query(alias="to", description="End, exclusive; just after the newest reading by default")]
Width = Annotated[int, Query(ge=10, le=4000, description="Pixels to draw on")]
READINGS_LIMIT = 5_000
# A wall of figures is one answer, so more than a page of records.
LATEST_LIMIT = 10_000
DEFAULT_SPAN = timedelta(hours=1)
_JUST_AFTER = timedelta(milliseconds=1)


@router.get("/series/latest", responses=SIGNED_IN_ANSWERS)
def list_latest(
    caller: ReadSignals,
    database: Database,
    asset: Annotated[Key | None, Query(description="Only series of this asset")] = None,
    site: Annotated[Word | None, Query(description="Only series of this site")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=LATEST_LIMIT)] = 1_000,
) -> LatestColumns:
    """Return the newest reading of each series, as columns, ordered by series."""
    sites = caller.sites if site is None else frozenset({site} if caller.sees(site) else ())
    with database.connection() as connection:
        found = latest_readings(connection, asset_id=asset, sites=sites, after=cursor or 0, limit=limit + 1)
    more = len(found.series_id) > limit
    return LatestColumns(
        series_id=found.series_id[:limit],
        ts=found.ts[:limit],
        value=found.value[:limit],
        next_cursor=str(found.series_id[limit - 1]) if more else None,
    )


@router.get("/series/{series_id}/chart", responses=RECORD_ANSWERS)
def read_chart(
    series_id: SeriesInPath,
    caller: ReadSignals,
    database: Database,
    start: From = None,
    end: To = None,
    width: Width = 800,
) -> Chart:
    """Return a series as columns for a plot: with few readings all of them, else one row a pixel with every peak.

    By default the last hour of the series' own readings, because recorded data lies in the past.
    """
    with database.connection() as connection:
        series = _visible(connection, caller, series_id)
        span = _span(series, start, end)
        if span is None:
            columns = charts.Columns([], [], [], [], [], raw=True, level=Level.RAW)
        else:
            columns = charts.chart(connection, series_id, *span, width, series.expected_interval_s)
    return Chart(
        series_id=series_id,
        metric=series.metric,
        unit=series.unit,
        start=None if span is None else span[0],
        end=None if span is None else span[1],
        ts=columns.ts,
        first=columns.first,
        min=columns.lowest,
        max=columns.highest,
        last=columns.last,
        raw=columns.raw,
        level=columns.level,
    )


@router.get("/series/{series_id}/readings", responses=RECORD_ANSWERS)
def list_readings(
    series_id: SeriesInPath,
    caller: ReadSignals,
    database: Database,
    start: From = None,
    end: To = None,
    limit: Annotated[int, Query(ge=1, le=READINGS_LIMIT)] = 200,
) -> ReadingColumns:
    """Return readings as they were stored, oldest first."""
    with database.connection() as connection:
        series = _visible(connection, caller, series_id)
        span = _span(series, start, end)
        times, values = ([], []) if span is None else charts.readings(connection, series_id, *span, limit + 1)
    following = datetime.fromtimestamp(times[limit] / 1000, UTC) if len(times) > limit else None
    return ReadingColumns(ts=times[:limit], value=values[:limit], next_from=following)


def _visible(connection: Connection, caller: Caller, series_id: int) -> SeriesRow:
    rows = charts.list_series(connection, series_id=series_id, limit=1)
    if not rows or not caller.sees(rows[0].site_id):
        raise unknown("series", series_id)
    return rows[0]


def _span(series: SeriesRow, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime] | None:
    """Return the stretch asked for, its missing ends taken from the series' newest reading; None without readings."""
    if end is None:
        if series.last_at is None:
            return None
        end = max(series.last_at + _JUST_AFTER, (start or series.last_at) + _JUST_AFTER)
    if start is None:
        start = end - DEFAULT_SPAN
    if start >= end:
        raise Refused(
            "invalid_request",
            expected="'from' before 'to'",
            got=f"from {start.isoformat()} to {end.isoformat()}",
            remedy="Exchange them.",
        )
    return start, end
