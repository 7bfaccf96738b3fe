"""The newest reading of many series at once: what a wall of figures shows (SPEC E7)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from psycopg import Connection

from storage.queries import load

QUERIES = load("charts")


@dataclass(frozen=True, slots=True)
class LatestReadings:
    """Series and their newest readings, one an index; ``ts`` is milliseconds since 1970. None without readings."""

    series_id: list[int]
    ts: list[float | None]
    value: list[float | None]


def latest_readings(
    connection: Connection,
    *,
    asset_id: int | None = None,
    sites: Collection[str] | None = None,
    after: int = 0,
    limit: int,
) -> LatestReadings:
    """Return the newest reading of the series with ids above ``after``, of one asset, of some sites, or of all.

    One look into the index of the newest partition each; a series that fell silent is looked for further back.
    """
    asked = {"asset_id": asset_id, "sites": None if sites is None else list(sites), "after": after, "limit": limit}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(QUERIES["latest"], asked).fetchall()
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    series_id, ts, value = (list(column) for column in columns)
    return LatestReadings(series_id, ts, value)
