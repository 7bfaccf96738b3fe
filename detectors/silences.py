"""Where in a record a silence may have ended: the moments at which a replay has to look at the clock (SPEC D7).

Live, silence is judged many times a second (``missing.py``). In a replay it is enough to judge it right before each
reading that comes late enough to end a silence, and at the end: the time at which silence opens follows from the
reading before it, whenever somebody looks.

What is found here is only where to look; the bank decides. So the typical interval may be known roughly: half of what
a rule allows is late enough to be looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import cached_kernel
from detectors.episode import MICROSECONDS
from detectors.missing import MissingParameters
from detectors.pace import INTERVAL_WEIGHT, MIN_INTERVALS
from detectors.rules import RuleInForce
from domain.readings import Readings

SILENCE = "missing"
NEAR = 0.5


def looks_us(
    readings: Readings, metrics: Mapping[int, str], clocked: Collection[int], rules: Sequence[RuleInForce]
) -> NDArray[np.int64]:
    """Return, in order, the times (microseconds) of the readings that may have ended a silence.

    ``readings`` are in series-time order, ``metrics`` maps series ids to metrics, ``clocked`` are the series whose
    silence is judged.
    """
    if not clocked or not len(readings):
        return np.empty(0, np.int64)
    edges = np.flatnonzero(np.diff(readings.series_id)) + 1
    found: list[NDArray[np.int64]] = []
    for ts_us, series_id in zip(np.split(readings.ts_us, edges), readings.series_id[[0, *edges]].tolist(), strict=True):
        if series_id not in clocked:
            continue
        for parameters in _allowances(rules, metrics[series_id]):
            expected_us, least_us = parameters.expected_interval_s * MICROSECONDS, parameters.at_least_s * MICROSECONDS
            late = np.empty(len(ts_us), np.bool_)
            late_rows(ts_us, NEAR * expected_us, NEAR * parameters.factor, NEAR * least_us, late)
            found.append(ts_us[late])
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _allowances(rules: Sequence[RuleInForce], metric: str) -> list[MissingParameters]:
    watching = [rule.typed_parameters() for rule in rules if rule.detector == SILENCE and rule.watches(metric)]
    return [one for one in watching if isinstance(one, MissingParameters)]


def _late_rows(
    ts_us: NDArray[np.int64], expected_us: float, factor: float, least_us: float, late: NDArray[np.bool_]
) -> None:
    interval_us = 0.0
    late[0] = False
    for row in range(1, ts_us.size):
        step = float(ts_us[row] - ts_us[row - 1])
        if row == 1:
            interval_us = step
        typical_us = expected_us if expected_us > 0 else interval_us
        known = expected_us > 0 or row > MIN_INTERVALS
        late[row] = known and step >= max(least_us, factor * typical_us)
        interval_us += INTERVAL_WEIGHT * (min(step, 2.0 * interval_us) - interval_us)


# Says in ``late`` of each reading of one series whether it comes so long after the one before it.
late_rows = cached_kernel(_late_rows, name="late_rows")
