"""The rows of a batch: their order, the pace of each series, gaps and anchors; found once, for all detectors.

A gap is a step of more than ``GAP_INTERVALS`` typical intervals. The typical interval is a running mean of the
steps, each counted as at most twice the mean so far, which a few long silences cannot stretch.

A row that the quality gate calls bad is as good as none. So the same holds of a stretch of bad rows as of silence:
one so long that it spans a gap flags the next good row, a shorter one is passed over and changes no count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import cached_kernel, from_row, kernel

NEVER_US = np.iinfo(np.int64).min
GAP_INTERVALS = 5.0
INTERVAL_WEIGHT = 0.1
MIN_INTERVALS = 8  # before so many steps the typical interval is not yet believed
NO_REGIME = -1
# So many rows of a series are looked at together: what of them stirs goes row by row, and the next ones have a chance.
ROWS_AT_ONCE = 64

# Flags of a row. GAP: silence before it. ANCHOR: baselines start anew with it. BAD: the quality gate took it out.
# HOLD: a finding is open, so baselines do not learn from it. BETWEEN: the machine is between two operating regimes,
# or its regime is not known. The three highest bits are the number of the regime.
GAP, ANCHOR, BAD, HOLD, BETWEEN = 1, 2, 4, 8, 16
REGIME_SHIFT = 5
REGIME_BITS = 0xFF & ~((1 << REGIME_SHIFT) - 1)

PACE = np.dtype(
    [
        ("last_us", "i8"),
        ("interval_us", "f8"),
        ("steps", "i8"),
        ("anchor_us", "i8"),  # asked for and not yet reached; NEVER_US when none
        ("anchored_us", "i8"),  # the newest that was asked for
        ("bad_rows", "i8"),  # in a row, up to the newest
        ("regime", "i8"),  # that its values tell, where this is the metric that tells it
        ("regime_us", "i8"),  # since when
    ]
)


def fresh_pace() -> NDArray[np.void]:
    """Return the pace of a series that has seen nothing."""
    row = np.zeros(1, PACE)
    row["last_us"] = row["anchor_us"] = row["anchored_us"] = NEVER_US
    row["regime"] = NO_REGIME
    return row


@kernel
def _moved(interval_us: float, step: float) -> float:
    """Move the mean towards min(step, 2 * mean), written so that little waits for the mean before."""
    towards = (1.0 - INTERVAL_WEIGHT) * interval_us + INTERVAL_WEIGHT * step
    return min(towards, (1.0 + INTERVAL_WEIGHT) * interval_us)


@kernel
def _is_regular(last_us: int, interval_us: float, anchor_us: int, count: int, ts_us: np.ndarray) -> bool:
    """Say whether these rows come at equal steps, which do not move the mean any more, and before any anchor."""
    step_us = ts_us[0] - last_us
    odd = 0
    for i in range(1, count):
        odd |= ts_us[i] - ts_us[i - 1] - step_us
    settled = _moved(interval_us, float(step_us)) == interval_us
    return odd == 0 and settled and (anchor_us == NEVER_US or ts_us[count - 1] < anchor_us)


@kernel
def _end_of_run(series_id: np.ndarray, row: int) -> int:
    end = row + 1
    while end < series_id.size and series_id[end] == series_id[row]:
        end += 1
    return end


def _mark_rows(
    paces: NDArray[np.void],
    series_id: NDArray[np.int32],
    positions: NDArray[np.int32],
    ts_us: NDArray[np.int64],
    runs: NDArray[np.int64],
    moved: NDArray[np.void],
    flags: NDArray[np.uint8],
) -> int:
    rows, row, count, before = series_id.size, 0, 0, -1
    while row < rows:
        series = series_id[row]
        if series <= before or series >= positions.size or positions[series] < 0:
            return -1 - row
        before, position = series, positions[series]
        pace = paces[position]
        # In locals, and back at the end: the compiler cannot know that the flags do not overlap the paces.
        last_us, interval_us, steps, anchor_us = pace.last_us, pace.interval_us, pace.steps, pace.anchor_us
        first, end, by_row_until, settled_us = row, _end_of_run(series_id, row), row, -1.0
        while row < end:
            if row >= by_row_until and steps > 0:
                by_row_until = min(end, row + ROWS_AT_ONCE)
                if _is_regular(last_us, interval_us, anchor_us, by_row_until - row, from_row(ts_us, row)):
                    last_us, steps, row = ts_us[by_row_until - 1], steps + by_row_until - row, by_row_until
                    continue
            flag = 0
            now = ts_us[row]
            if now <= last_us:
                return -1 - row
            if last_us != NEVER_US:
                step = float(now - last_us)
                if steps == 0:
                    interval_us = step
                flag = GAP if steps >= MIN_INTERVALS and step > GAP_INTERVALS * interval_us else 0
                # A mean that equal steps have stopped moving needs no more of them.
                if step != settled_us:
                    before_us, interval_us = interval_us, _moved(interval_us, step)
                    settled_us = step if interval_us == before_us else -1.0
                steps += 1
            if anchor_us != NEVER_US and now >= anchor_us:
                flag |= ANCHOR
                anchor_us = NEVER_US
            flags[row] |= flag
            last_us = now
            row += 1
        runs[count, 0], runs[count, 1], runs[count, 2] = position, first, row
        moved[count] = pace
        after = moved[count]
        after.last_us, after.interval_us, after.steps, after.anchor_us = last_us, interval_us, steps, anchor_us
        count += 1
    for i in range(count):
        paces[runs[i, 0]] = moved[i]
    return count


def _pass_over_bad(paces: NDArray[np.void], runs: NDArray[np.int64], flags: NDArray[np.uint8]) -> None:
    for i in range(runs.shape[0]):
        pace = paces[runs[i, 0]]
        bad_rows = pace.bad_rows
        for row in range(runs[i, 1], runs[i, 2]):
            if flags[row] & BAD:
                bad_rows += 1
                if flags[row] & GAP:
                    bad_rows += int(GAP_INTERVALS)
            else:
                if bad_rows >= GAP_INTERVALS:
                    flags[row] |= GAP
                bad_rows = 0
        pace.bad_rows = bad_rows


# Writes (position, first row, end row) of each series' run into ``runs`` and the flags of each row into ``flags``,
# which are all 0, moves the paces on (by way of ``moved``, one a run) and returns how many runs there are. -1 - row
# where a row is out of order, not newer than the watermark or of an unknown series; then no pace has changed.
mark_rows = cached_kernel(_mark_rows, name="mark_rows")
# Flags the first good row after so many bad ones that they span a gap.
pass_over_bad = cached_kernel(_pass_over_bad, name="pass_over_bad")
