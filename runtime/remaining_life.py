"""How long assets have left: learnt from their types' runs to failure, told of each asset in service (SPEC D5).

A job tells every failure mode anew. With LEAST_RUNS runs to failure or more, each asset in service is compared with
them (detectors/similarity.py). Where that says nothing, an open finding that fits the mode and knows when its limit
will be reached says it (method ``trend``). Where that says nothing either, nothing is stored: it is not known.

Runs are read from the hourly rollups, in steps of so many hours that a usual life has about STEPS_OF_LIFE of them.
Where the asset type tells operating regimes apart, wear is told within the regime of each step, that of the mean of
the metric that tells it. What a run could not be used for is counted by reason and told beside the lives.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from statistics import median

import numpy as np
import structlog
from numpy.typing import NDArray
from psycopg import Connection, OperationalError

from detectors.conditions import Run, filled
from detectors.similarity import LEAST_RUNS, LifeLibrary, fit_library
from domain.clock import Clock
from domain.failure_modes import FailureMode
from domain.findings import Finding
from domain.regimes import OperatingRegimes
from domain.remaining_life import LeftOut, LifeMethod, RemainingLife, RunsLearnt
from storage.database import connect
from storage.findings import limits_coming
from storage.library import failure_modes
from storage.regimes import regimes_of
from storage.remaining_life import (
    PartLife,
    parts_in_service,
    replace_lives,
    runs_to_failure,
    steps,
    tell_learning,
)

# Older machines say less about today's, and the comparison costs time in proportion.
MOST_RUNS = 200
STEPS_OF_LIFE = 200
# A usual life of fewer hours cannot be followed by hours.
LEAST_STEPS_OF_LIFE = 20
# A metric must be there in so great a share of the runs, and so great a share of a run must have been measured.
METRIC_IN = 0.75
LEAST_MEASURED = 0.5
COVERAGE = 0.8
# A trend's interval is made of one for the slope (0.9 by default) and one for the level (0.94): together at least this.
TREND_COVERAGE = 0.8
HOUR = timedelta(hours=1)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Past:
    """What a mode is learnt from: steps of this length, these metrics, told apart by regimes where there are some."""

    step: timedelta
    metrics: tuple[str, ...]
    regimes: OperatingRegimes | None
    runs: tuple[Run, ...]


def tell_remaining_lives(dsn: str, clock: Clock) -> None:
    """Tell the remaining life of all assets for all failure modes, a mode at a time.

    A mode that cannot be told is logged and keeps what it had; a database that is away raises.
    """
    with connect(dsn) as connection:
        modes = failure_modes(connection)
    for mode_id, mode in modes.items():
        try:
            told = tell_mode(dsn, mode_id, mode, clock.now())
        except OperationalError:
            raise
        except Exception:  # noqa: BLE001 (the loop's top: one mode that cannot be told must not keep the others from it)
            _log.exception("remaining life not told", asset_type=mode.asset_type, failure_mode=mode.code)
            continue
        if told:
            _log.info("remaining life", asset_type=mode.asset_type, failure_mode=mode.code, assets=told)


def tell_mode(dsn: str, mode_id: int, mode: FailureMode, now: datetime) -> int:
    """Tell one failure mode of all assets of its type; return of how many it is known. Learning holds no connection."""
    with connect(dsn) as connection:
        by_trend = lives_by_trend(mode, limits_coming(connection, mode.asset_type))
        past, learnt = _past(connection, mode_id, regimes_of(connection, mode.asset_type))
    by_similarity: Mapping[int, RemainingLife] = {}
    if past is not None:
        library = fit_library(past.runs, coverage=COVERAGE)
        with connect(dsn) as connection:
            by_similarity = _lives_by_similarity(connection, mode_id, library, past)
    lives = {**by_trend, **by_similarity}
    with connect(dsn) as connection:
        replace_lives(connection, mode_id, lives, now)
        tell_learning(connection, mode_id, learnt, now)
    return len(lives)


def lives_by_trend(mode: FailureMode, findings: Sequence[Finding]) -> dict[int, RemainingLife]:
    """Return the time left by asset, as the newest finding that fits the mode says; ``findings`` newest first."""
    lives: dict[int, RemainingLife] = {}
    for finding in findings:
        life = _until_limit(finding)
        if life is not None and finding.asset_id not in lives and _fits(mode, finding):
            lives[finding.asset_id] = life
    return lives


def _until_limit(finding: Finding) -> RemainingLife | None:
    """Return the time to a finding's limit; a trend that may also be none is believed up to twice its best guess."""
    middle = finding.evidence.get("time_to_limit_s", math.nan)
    low = min(finding.evidence.get("time_to_limit_low_s", middle / 2), middle)
    high = max(finding.evidence.get("time_to_limit_high_s", 2 * middle), middle)
    if not 0 <= low <= middle <= high < math.inf:
        return None
    low_h, middle_h, high_h = (seconds / 3_600 for seconds in (low, middle, high))
    return RemainingLife(finding.opened_at, low_h, middle_h, high_h, TREND_COVERAGE, LifeMethod.TREND, 0)


def _fits(mode: FailureMode, finding: Finding) -> bool:
    return any(
        fnmatchcase(finding.metric, sign.metric)
        and sign.detector in ("*", finding.detector)
        and sign.direction in (None, finding.direction)
        for sign in mode.signature.findings
    )


def _past(connection: Connection, mode_id: int, regimes: OperatingRegimes | None) -> tuple[_Past | None, RunsLearnt]:
    """Return the mode's runs to failure, oldest first (None: too few are left), and how many were left out for what."""
    lives = runs_to_failure(connection, mode_id, MOST_RUNS)[::-1]
    if len(lives) < LEAST_RUNS:
        return None, RunsLearnt(len(lives), 0, {})
    usual_h = median((life.ended_at - life.began_at) / HOUR for life in lives)
    if usual_h < LEAST_STEPS_OF_LIFE:
        _log.info("lives are too short to be followed by hours", failure_mode_id=mode_id, usual_h=usual_h)
        return None, RunsLearnt(len(lives), 0, {LeftOut.TOO_SHORT: len(lives)})
    step = HOUR * math.ceil(usual_h / STEPS_OF_LIFE)
    read = [steps(connection, life, step) for life in lives]
    metrics = tuple(
        metric
        for metric in sorted({metric for one in read for metric in one})
        if sum(metric in one for one in read) >= METRIC_IN * len(read) and (not regimes or metric != regimes.metric)
    )
    taken = [_run(one, metrics, regimes) for one in read]
    runs = tuple(one for one in taken if isinstance(one, Run))
    learnt = RunsLearnt(len(lives), len(runs), Counter(one for one in taken if isinstance(one, LeftOut)))
    if len(runs) < LEAST_RUNS:
        _log.info("too few runs have readings", failure_mode_id=mode_id, runs=len(lives), with_readings=len(runs))
        return None, replace(learnt, used=0)
    return _Past(step, metrics, regimes, runs), learnt


def _run(
    read: Mapping[str, NDArray[np.float64]], metrics: Sequence[str], regimes: OperatingRegimes | None
) -> Run | LeftOut:
    """Return the metrics as columns, or why they cannot be compared with others."""
    if not read or not metrics:
        return LeftOut.NO_READINGS
    if any(metric not in read for metric in metrics):
        return LeftOut.METRIC_MISSING
    columns = np.column_stack([read[metric] for metric in metrics])
    if np.isfinite(columns).mean() < LEAST_MEASURED:
        return LeftOut.LITTLE_MEASURED
    if regimes is None:
        return Run(columns, np.empty((len(columns), 0)))
    told = read.get(regimes.metric)
    if told is None or np.isfinite(told).mean() < LEAST_MEASURED:
        return LeftOut.REGIME_UNKNOWN
    # A machine that says nothing stays in its regime; before its first word it is in the one that it names first.
    first = told[np.isfinite(told)][0]
    numbers = [regimes.regime_of(first if np.isnan(value) else value) for value in filled(told[:, None])[:, 0]]
    return Run(columns, np.array(numbers, np.float64)[:, None], len(regimes.edges) + 1)


def _lives_by_similarity(
    connection: Connection, mode_id: int, library: LifeLibrary, past: _Past
) -> dict[int, RemainingLife]:
    """Return the time left of each asset in service whose part was followed from when it was fitted."""
    lives: dict[int, RemainingLife] = {}
    step_h = past.step / HOUR
    for part in parts_in_service(connection, mode_id):
        whole = (part.ended_at - part.began_at) // past.step
        as_of = part.began_at + whole * past.step
        run = _run(
            steps(connection, PartLife(part.asset_id, part.began_at, as_of), past.step), past.metrics, past.regimes
        )
        if isinstance(run, LeftOut):
            continue
        left = library.left(run)
        low_h, middle_h, high_h = (value * step_h for value in (left.low, left.middle, left.high))
        lives[part.asset_id] = RemainingLife(
            as_of, low_h, middle_h, high_h, library.coverage, LifeMethod.SIMILARITY, library.runs
        )
    return lives
