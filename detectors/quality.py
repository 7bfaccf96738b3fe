"""Quality gate: rows that no detector should look at, because no machine can have been there.

Theory. A broken wire reads the end of its range, a reset counter falls by all it had, a bad contact jumps further
than the quantity can: such values speak of the sensor, not of the machine, and every baseline that learns from them
is spoilt. So before any other detector sees a row it must lie within the physical range ``low`` to ``high``, be a
number, and not be further from the last good value than ``max_rate`` allows for the time between:

    |x - x_good| <= max_rate * (t - t_good).

The way back from a spike is therefore no second spike, and after a true jump the reach grows with time until the new
level is believed. A row that fails is taken out at once, whatever ``consecutive`` says: others neither judge nor
learn from it, and their counts neither grow nor start again, unless so many fail in a row that they span a gap.
``consecutive`` bad rows in a row open a finding about the sensor.

The score is how far the value lies outside of what was allowed, in the series' unit; ``limit`` is the edge it
crossed. ``excluded`` counts the rows taken out since the last anchor.

Source: ISO 13374-1:2003, data acquisition block, on the quality of data; I. Zahumensky, Guidelines on quality
control procedures for data from automatic weather stations, WMO (2004), on plausible values and their rate of change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from detectors.compiling import Record, kernel
from detectors.episode import MICROSECONDS, OPENED, EpisodeParameters, advance, claim, state_dtype
from detectors.parameters import in_range

STATE = state_dtype(("good", "f8"), ("good_us", "i8"), ("excluded", "i8"), ("bad", "u1"))
EXTRA = ("excluded",)


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityParameters(EpisodeParameters):
    """``low`` and ``high`` in the series' unit, ``max_rate`` in that unit per second; at least one of them.

    >>> from detectors.trial import episodes
    >>> episodes("quality", {"low": -40.0, "high": 150.0}, [20, 3276, 21, 3276, 3276, 3276, 3276, 20, 21, 22])
    [(5, 9)]
    """

    low: float | None = None
    high: float | None = None
    max_rate: float | None = None

    def __post_init__(self) -> None:
        EpisodeParameters.__post_init__(self)
        in_range("max_rate", self.max_rate, 0)
        if self.low is None and self.high is None and self.max_rate is None:
            raise ValueError("at least one of low, high and max_rate must be given")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"'low' must lie below 'high', got low={self.low}, high={self.high}")


@kernel
def calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """Take rows of which none is bad: the last one is the last good value."""
    if state.bad or state.good_us == 0:
        return 0
    bad = 0
    before, before_us = state.good, state.good_us
    for i in range(count):
        x, now = value[i], ts_us[i]
        reach = rule.max_rate * ((now - before_us) / MICROSECONDS)
        bad += (x > rule.high) | (x < rule.low) | (abs(x - before) > reach) | (not math.isfinite(x))
        before, before_us = x, now
    if bad:
        return 0
    state.good, state.good_us = before, before_us
    return count


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Say in ``state.bad`` whether this row is to be taken out, and judge how many were in a row."""
    # What is not set is NaN, and no comparison with NaN holds.
    side = 1 if value > rule.high else (-1 if value < rule.low else 0)
    limit = rule.high if side > 0 else rule.low
    if side == 0 and state.good_us != 0:
        jump = value - state.good
        reach = rule.max_rate * ((ts_us - state.good_us) / MICROSECONDS)
        if abs(jump) > reach:
            side = 1 if jump > 0 else -1
            limit = state.good + side * reach
    state.bad = side != 0 or not math.isfinite(value)
    if state.bad:
        state.excluded += 1
    else:
        state.good, state.good_us = value, ts_us
    # A bad contact jumps both ways: to the count it does not matter which.
    what = advance(state, rule, ts_us, 1 if state.bad else 0, not state.bad, gap)
    if what == OPENED:
        state.direction = side
        # What is no number cannot be shown; the last good value can.
        shown = value if math.isfinite(value) else state.good
        limit = limit if side != 0 else shown
        claim(change, shown, abs(shown - limit), limit, math.nan, math.nan, state.beyond_count)
        change.extra[0] = state.excluded
        change.window_start_us = state.beyond_since_us
    return what
