"""Evidence packs: what a detector saw, frozen with its finding (SPEC D8).

Readings go when their time is up; a finding is asked about months later, when the machine is open on the bench. So the
series is copied as it was up to the moment the finding opened, reduced as a chart is, and never changed again. Limits,
baseline and contributions stand in the finding; the rule's version is kept for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg import Connection

from storage.bearing_verdicts import freeze_verdicts
from storage.charts import Columns, chart
from storage.levels import Level
from storage.queries import load

QUERIES = load("evidence_packs")

# At least so many readings before the finding opened are kept, more where what the detector judged began earlier.
READINGS_BEFORE = 300
# A pack is as wide as a small chart: at most four readings a pixel, or one row of extremes.
PIXELS = 150
_JUST_AFTER = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class EvidencePack:
    """One series as the detector had seen it; times are equipment time, but for ``frozen_at``."""

    columns: Columns
    series_id: int
    metric: str
    unit: str | None
    start: datetime
    end: datetime
    frozen_at: datetime

    def gaps(self) -> list[tuple[datetime, datetime]]:
        """Return the silences inside the pack: from the last reading before to the first after each."""
        ts, first = self.columns.ts, self.columns.first
        breaks = [row for row, value in enumerate(first) if value is None]
        return [(_at(ts[row - 1]), _at(ts[row + 1])) for row in breaks if 0 < row < len(ts) - 1]


def freeze_next(connection: Connection, now: datetime) -> bool:
    """Freeze the pack of one finding that waits for it, and what its asset's bearings said; False when there is none.

    One transaction.
    """
    row = connection.execute(QUERIES["claim_due"]).fetchone()
    if row is None:
        return False
    (finding_id,) = row
    for series_id, interval_s, opened_at, window_start_s in connection.execute(
        QUERIES["what_to_freeze"], {"finding_id": finding_id}
    ).fetchall():
        start, end = _span(connection, series_id, opened_at, window_start_s)
        columns = chart(connection, series_id, start, end, PIXELS, interval_s)
        connection.execute(
            QUERIES["freeze"],
            {
                "finding_id": finding_id,
                "series_id": series_id,
                "from": start,
                "to": end,
                "level": columns.level,
                "is_raw": columns.raw,
                "ts": columns.ts,
                "first": columns.first,
                "lowest": columns.lowest,
                "highest": columns.highest,
                "last": columns.last,
                "now": now,
            },
        )
    freeze_verdicts(connection, finding_id, now)
    return True


def packs_of(connection: Connection, finding_id: UUID) -> list[EvidencePack]:
    """Return what was frozen with a finding, one pack a series; none until the desk has done it."""
    found = []
    for row in connection.execute(QUERIES["packs_of"], {"finding_id": finding_id}):
        ts, first, lowest, highest, last, raw, level = row[6:]
        found.append(EvidencePack(Columns(ts, first, lowest, highest, last, raw, Level(level)), *row[:6]))
    return found


def _span(
    connection: Connection, series_id: int, opened_at: datetime, window_start_s: float | None
) -> tuple[datetime, datetime]:
    """Return from when to when a series is frozen: what was judged and its context, the opening sample included."""
    asked = {"series_id": series_id, "until": opened_at, "limit": READINGS_BEFORE}
    (before,) = connection.execute(QUERIES["context_before"], asked).fetchone() or (None,)
    starts = [opened_at - _JUST_AFTER]
    if before is not None:
        starts.append(before)
    if window_start_s is not None:
        starts.append(datetime.fromtimestamp(window_start_s, UTC))
    return min(starts), opened_at + _JUST_AFTER


def _at(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
