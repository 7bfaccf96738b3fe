"""The scoring rules of the Numenta Anomaly Benchmark, written from their published description.

A labelled window is rewarded for its first alarm by where in the window it falls: nearly 1 at the start, towards 0
at the end. An alarm outside costs more the further behind the last window it lies, up to 1, and 1 before the first.
Both follow one sigmoid of the position relative to the window, which is -1 at its start and 0 just behind its end,

    y(position) = 2 / (1 + exp(5 * position)) - 1,        -1 beyond position 3.

An application profile weighs alarms in windows, alarms outside and windows without an alarm. The score is 100 times
the place of the sum between that of a detector that never alarms (0) and that of one that alarms in the first row
of each window and nowhere else (100). The first 15 % of the rows, 750 at most, are probation and not scored.

Source: A. Lavin, S. Ahmad, Evaluating real-time anomaly detection algorithms: the Numenta Anomaly Benchmark, ICMLA
(2015), arXiv:1510.03336.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PROBATION_SHARE, PROBATION_ROWS = 0.15, 750
STEEPNESS, FAR_BEHIND = 5.0, 3.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What an application gains and pays: a window found, an alarm outside every window, a window missed."""

    name: str
    found: float
    false_alarm: float
    missed: float


STANDARD = Profile("standard", found=1.0, false_alarm=0.11, missed=1.0)
LOW_FALSE_ALARMS = Profile("reward_low_FP_rate", found=1.0, false_alarm=0.22, missed=1.0)
LOW_MISSES = Profile("reward_low_FN_rate", found=1.0, false_alarm=0.11, missed=2.0)


@dataclass(frozen=True, slots=True)
class AlarmedSeries:
    """A series of ``rows`` rows with the rows of its alarms and its windows as (first row, last row)."""

    rows: int
    alarms: tuple[int, ...]
    windows: tuple[tuple[int, int], ...]


def probation_rows(rows: int) -> int:
    """Return how many rows at the start are not scored."""
    return min(PROBATION_ROWS, math.floor(PROBATION_SHARE * rows))


def reward(position: float) -> float:
    """Return the unweighted reward of an alarm: positive inside a window (-1 to 0), negative behind it."""
    return -1.0 if position > FAR_BEHIND else 2 / (1 + math.exp(STEEPNESS * position)) - 1


def raw_score(series: AlarmedSeries, profile: Profile) -> float:
    """Return the weighted sum over the windows and the alarms outside of them."""
    scored_from = probation_rows(series.rows)
    best: dict[tuple[int, int], float] = {}
    paid = 0.0
    for row in sorted(set(series.alarms)):
        if not scored_from <= row < series.rows:
            continue
        window = next((one for one in series.windows if one[0] <= row <= one[1]), None)
        if window is None:
            paid += profile.false_alarm * _penalty(row, series.windows)
        else:
            first, last = window
            inside = profile.found * reward(-(last - row + 1) / (last - first + 1)) / reward(-1.0)
            best[window] = max(best.get(window, inside), inside)
    return paid + sum(best.get(window, -profile.missed) for window in series.windows)


def _penalty(row: int, windows: Sequence[tuple[int, int]]) -> float:
    before = [window for window in windows if window[1] < row]
    if not before:
        return -1.0
    first, last = max(before, key=lambda window: window[1])
    return reward((row - last) / max(1, last - first))


def normalise(raw: float, windows: int, profile: Profile) -> float:
    """Return the place of a raw sum over so many windows between silence (0) and perfection (100); NaN without any."""
    silent, perfect = -profile.missed * windows, profile.found * windows
    return 100 * (raw - silent) / (perfect - silent) if windows else math.nan


def score(corpus: Sequence[AlarmedSeries], profile: Profile) -> float:
    """Return the normalised score of a corpus."""
    raw = sum(raw_score(series, profile) for series in corpus)
    return normalise(raw, sum(len(series.windows) for series in corpus), profile)
