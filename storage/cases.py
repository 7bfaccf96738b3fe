"""Cases: machines as backtests try rules on them, with their readings, events and what was true (SPEC D7).

True is what a ticket closed as repaired found, and what was replaced: the component that an event, or an import after
an earlier one, says was fitted anew. Labels that somebody gives are true beside them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from psycopg import Connection

from detectors.backtest import Case, Source, Truth, truth_before
from detectors.closed_loop import EPOCH, MICROSECOND, History, Repair
from domain.events import COMPONENT_REPLACED, Event, EventKind, EventSeverity
from domain.failure_modes import FailureMode
from domain.readings import Readings
from domain.regimes import OperatingRegimes
from storage.evidence import events_of_asset
from storage.history import stream_columns
from storage.queries import load

QUERIES = load("history")

# 800 MB of columns. A worker holds one machine at a time.
ROWS_MAX = 40_000_000


@dataclass(frozen=True, slots=True)
class Label:
    """A span in which somebody knows that something was wrong; ``failure_mode`` None when they know not what."""

    begin: datetime
    end: datetime
    failure_mode: str | None = None
    asset_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Fitting:
    component: str
    at: datetime
    is_truth: bool


def read_case(
    connection: Connection,
    asset_id: int,
    modes: Sequence[FailureMode],
    since: datetime,
    until: datetime,
    labels: Sequence[Label] = (),
    watches: Callable[[str], bool] = lambda _metric: True,
    regimes: OperatingRegimes | None = None,
    now: datetime | None = None,
) -> Case:
    """Return what is known of a machine from ``since`` until before ``until``, only metrics that ``watches`` picks.

    Silence of live devices is judged until ``until`` or ``now``, whichever is first (None: until the last reading).
    Raises ValueError when it has more than ``ROWS_MAX`` readings, LookupError when there is no such asset.
    """
    period = {"asset_id": asset_id, "since": since, "until": until}
    row = connection.execute(QUERIES["machine_to_replay"], period).fetchone()
    if row is None:
        raise LookupError(f"there is no asset {asset_id} any more")
    rows = connection.execute(QUERIES["series_to_replay"], period).fetchall()
    series = {int(series_id): str(metric) for series_id, metric, _, _ in rows if watches(metric)}
    devices = {int(series_id): int(device_id) for series_id, _, device_id, _ in rows}
    clocked = [int(series_id) for series_id, _, _, is_clocked in rows if is_clocked]
    fittings = _fittings(connection, period, since)
    repairs = [Repair(at, code) for code, at in connection.execute(QUERIES["repairs_of_asset"], period)]
    fitted_before: defaultdict[str, list[datetime]] = defaultdict(list)
    for one in fittings:
        if one.at < since:
            fitted_before[one.component].append(one.at)
    told = [
        event
        for event in events_of_asset(connection, asset_id, since=since, until=until)
        if event.code != COMPONENT_REPLACED and event.ts < until
    ]
    events = sorted([*told, *(_replaced(one) for one in fittings if one.at >= since)], key=lambda event: event.ts)
    readings = _read(connection, list(series), since, until)
    clock_until = None if now is None else min(now, until)
    history = History(
        asset_id, series, readings, events, fitted_before, repairs, devices, regimes, clocked, clock_until
    )
    truths = [*_truths(fittings, repairs, modes, since), *_labelled(labels, asset_id)]
    return Case(row[0], history, truths, *_observed(readings, since))


def _read(connection: Connection, series_ids: Sequence[int], since: datetime, until: datetime) -> Readings:
    parts: list[Readings] = []
    count = 0
    for part in stream_columns(connection, series_ids, since, until):
        count += len(part)
        if count > ROWS_MAX:
            raise ValueError(f"more than {ROWS_MAX:,} readings in the span; choose a shorter one")
        parts.append(part)
    nothing = Readings(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
    return Readings(
        np.concatenate([part.series_id for part in parts or [nothing]]),
        np.concatenate([part.ts_us for part in parts or [nothing]]),
        np.concatenate([part.value for part in parts or [nothing]]),
    )


def _fittings(connection: Connection, period: dict[str, object], since: datetime) -> list[_Fitting]:
    known: set[str] = set()
    found = []
    for component, at, source in connection.execute(QUERIES["fittings_of_asset"], period):
        # What an import says of a new machine was fitted, not replaced; what a ticket says is told by its closure.
        is_truth = at >= since and (source == "event" or (source == "import" and component in known))
        found.append(_Fitting(component, at, is_truth))
        known.add(component)
    return found


def _replaced(fitting: _Fitting) -> Event:
    attributes = {"component": fitting.component}
    return Event(fitting.at, EventKind.OPERATOR, COMPONENT_REPLACED, EventSeverity.INFO, attributes=attributes)


def _truths(
    fittings: Sequence[_Fitting], repairs: Sequence[Repair], modes: Sequence[FailureMode], since: datetime
) -> list[Truth]:
    found: list[Truth] = []
    for repair in repairs:
        answered = [mode for mode in modes if mode.code == repair.failure_mode]
        found += truth_before(repair.at, answered, Source.CLOSURE)
    closed = {(repair.at, repair.failure_mode) for repair in repairs}
    for fitting in fittings:
        if fitting.is_truth:
            answered = [
                mode for mode in modes if mode.component == fitting.component and (fitting.at, mode.code) not in closed
            ]
            found += truth_before(fitting.at, answered, Source.REPLACEMENT)
    return [truth for truth in found if truth.ends > since]


def _labelled(labels: Sequence[Label], asset_id: int) -> list[Truth]:
    return [
        Truth(one.begin, one.end, frozenset([one.failure_mode] if one.failure_mode else []), Source.LABEL)
        for one in labels
        if one.asset_id in (None, asset_id)
    ]


def _observed(readings: Readings, since: datetime) -> tuple[datetime, datetime]:
    """Return from when to when the machine spoke."""
    if not len(readings):
        return since, since
    first, last = (int(edge) * MICROSECOND for edge in (readings.ts_us.min(), readings.ts_us.max()))
    return EPOCH + first, EPOCH + last + timedelta(microseconds=1)
