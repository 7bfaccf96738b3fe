"""The pace of a series: time order, gaps and anchors, found once per row and shared by all its detectors.

A gap is a step of more than ``GAP_INTERVALS`` typical intervals. The typical interval is a running mean of the
steps, each counted as at most twice the mean so far, which a few long silences cannot stretch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import cached_kernel

NEVER_US = np.iinfo(np.int64).min
GAP_INTERVALS = 5.0
INTERVAL_WEIGHT = 0.1
MIN_INTERVALS = 8  # before so many steps the typical interval is not yet believed

# Flags of a row.
GAP, ANCHOR = 1, 2

PACE = np.dtype(
    [
        ("last_us", "i8"),
        ("interval_us", "f8"),
        ("steps", "i8"),
        ("anchor_us", "i8"),  # asked for and not yet reached; NEVER_US when none
        ("anchored_us", "i8"),  # the newest that was asked for
    ]
)


def fresh_pace() -> NDArray[np.void]:
    """Return the pace of a series that has seen nothing."""
    row = np.zeros(1, PACE)
    row["last_us"] = row["anchor_us"] = row["anchored_us"] = NEVER_US
    return row


def _find_disorder(
    paces: NDArray[np.void], series_id: NDArray[np.int32], positions: NDArray[np.int32], ts_us: NDArray[np.int64]
) -> int:
    for row in range(series_id.size):
        if row > 0 and series_id[row] == series_id[row - 1]:
            if ts_us[row] <= ts_us[row - 1]:
                return row
        else:
            series = series_id[row]
            if row > 0 and series < series_id[row - 1]:
                return row
            if series < 0 or series >= positions.size or positions[series] < 0:
                return row
            if ts_us[row] <= paces[positions[series]].last_us:
                return row
    return -1


def _split_runs(
    series_id: NDArray[np.int32],
    positions: NDArray[np.int32],
    runs: NDArray[np.int64],
) -> int:
    count = 0
    for row in range(series_id.size):
        if row == 0 or series_id[row] != series_id[row - 1]:
            runs[count, 0] = positions[series_id[row]]
            runs[count, 1] = row
            count += 1
        runs[count - 1, 2] = row + 1
    return count


def _keep_pace(
    paces: NDArray[np.void], runs: NDArray[np.int64], ts_us: NDArray[np.int64], flags: NDArray[np.uint8]
) -> None:
    for i in range(runs.shape[0]):
        pace = paces[runs[i, 0]]
        # In locals, and back at the end: the compiler cannot know that the flags do not overlap the paces.
        last_us, interval_us, steps, anchor_us = pace.last_us, pace.interval_us, pace.steps, pace.anchor_us
        for row in range(runs[i, 1], runs[i, 2]):
            flag = 0
            now = ts_us[row]
            if last_us != NEVER_US:
                step = float(now - last_us)
                if steps == 0:
                    interval_us = step
                if steps >= MIN_INTERVALS and step > GAP_INTERVALS * interval_us:
                    flag = GAP
                # The mean moves towards min(step, 2 * mean), written so that little waits for the mean before.
                towards = (1.0 - INTERVAL_WEIGHT) * interval_us + INTERVAL_WEIGHT * step
                interval_us = min(towards, (1.0 + INTERVAL_WEIGHT) * interval_us)
                steps += 1
            if anchor_us != NEVER_US and now >= anchor_us:
                flag |= ANCHOR
                anchor_us = NEVER_US
            flags[row] = flag
            last_us = now
        pace.last_us, pace.interval_us, pace.steps, pace.anchor_us = last_us, interval_us, steps, anchor_us


# The first row that is out of order, not newer than the watermark or of an unknown series; -1 when there is none.
find_disorder = cached_kernel(_find_disorder, name="find_disorder")
# Writes (position, first row, end row) of each series' run into ``runs``; returns how many.
split_runs = cached_kernel(_split_runs, name="split_runs")
# Moves the paces on and writes the flags of each row.
keep_pace = cached_kernel(_keep_pace, name="keep_pace")
