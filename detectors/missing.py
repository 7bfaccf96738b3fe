"""Missing data: a series that should have spoken and did not.

Theory. Silence is judged by the clock, not by samples: the finding opens when nothing has come for ``factor``
expected intervals, and at least ``at_least_s``; the next reading clears it. Where the expected interval is not
given, the typical interval of the series is used once it is known (``pace.py``). The time of opening follows from
the last reading alone, so it does not matter when somebody looks, nor how often.

For live series only: a recorded one ends where the record ends. The score is the silence allowed, in expected
intervals; ``value`` and ``limit`` are that silence in seconds.

Source: ISO 13374-1:2003, data acquisition block, on the quality of data; SPEC E8, D1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import Record, cached_kernel, kernel
from detectors.episode import CLEARED, MICROSECONDS, OPENED, QUIET, claim, state_dtype
from detectors.pace import MIN_INTERVALS, NEVER_US
from detectors.parameters import in_range

STATE = state_dtype()


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingParameters:
    """``expected_interval_s`` and ``at_least_s`` in seconds (an interval of 0: learn it); ``factor`` in intervals.

    >>> MissingParameters(expected_interval_s=5.0).factor
    10.0
    """

    expected_interval_s: float = 0.0
    factor: float = 10.0
    at_least_s: float = 60.0

    def __post_init__(self) -> None:
        in_range("expected_interval_s", self.expected_interval_s, 0, 366 * 86_400)
        in_range("factor", self.factor, 1.5, 1000)
        in_range("at_least_s", self.at_least_s, 0, 366 * 86_400)


@kernel
def update(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """Any reading ends the silence."""
    if not state.open:
        return QUIET
    state.open = 0
    state.cleared_us = ts_us
    return CLEARED


def _tick(
    states: NDArray[np.void],
    rules: NDArray[np.void],
    slots: NDArray[np.int64],
    paces: NDArray[np.void],
    positions: NDArray[np.int64],
    now_us: int,
    changes: NDArray[np.void],
) -> int:
    count = 0
    for i in range(slots.size):
        state, rule, pace = states[slots[i]], rules[i], paces[positions[i]]
        interval_s = rule.expected_interval_s
        if interval_s <= 0 and pace.steps >= MIN_INTERVALS:
            interval_s = pace.interval_us / MICROSECONDS
        if state.open or pace.last_us == NEVER_US or interval_s <= 0:
            continue
        allowed_s = max(rule.at_least_s, rule.factor * interval_s)
        opened_us = pace.last_us + np.int64(allowed_s * MICROSECONDS)
        if now_us < opened_us:
            continue
        state.open = 1
        state.opened_us = opened_us
        change = changes[count]
        claim(change, allowed_s, allowed_s / interval_s, allowed_s, interval_s, np.nan, 0)
        change.what = OPENED
        change.slot = slots[i]
        change.ts_us = opened_us
        change.opened_us = opened_us
        change.direction = 0
        change.window_start_us = pace.last_us
        count += 1
    return count


tick = cached_kernel(_tick, name="tick_missing")
