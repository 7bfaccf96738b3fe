"""The loop that runs a detector's ``update`` over a batch in series-time order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import Record, cached_kernel
from detectors.episode import CLEARED, QUIET
from detectors.pace import ANCHOR, GAP

# What a kernel tells of a finding that opened or cleared. ``limit`` and ``value`` are in the series' unit.
CHANGE = np.dtype(
    [
        ("slot", "i8"),
        ("ts_us", "i8"),
        ("opened_us", "i8"),
        ("window_start_us", "i8"),
        ("what", "u1"),
        ("direction", "i1"),
        ("value", "f8"),
        ("score", "f8"),
        ("limit", "f8"),
        ("baseline", "f8"),
        ("spread", "f8"),
        ("count", "f8"),
        # Figures of the detector's own, named by its ``extra``; NaN where there is none.
        ("extra", "f8", (8,)),
    ]
)

# update(state, rule, ts_us, value, gap, change) -> QUIET | OPENED | CLEARED; fills ``change`` when it is not QUIET.
Update = Callable[[Record, Record, int, float, bool, Record], int]
# run(states, rules, slots, offsets, runs, ts_us, value, flags, changes) -> how many changes were written.
Run = Callable[
    [
        NDArray[np.void],
        NDArray[np.void],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.uint8],
        NDArray[np.void],
    ],
    int,
]
# tick(states, rules, slots, paces, positions, now_us, changes) -> how many changes were written; positions[i] is that
# of the series of slots[i].
Tick = Callable[
    [
        NDArray[np.void],
        NDArray[np.void],
        NDArray[np.int64],
        NDArray[np.void],
        NDArray[np.int64],
        int,
        NDArray[np.void],
    ],
    int,
]


def build_run(name: str, update: Update) -> Run:
    """Return the compiled loop around ``update``.

    ``states`` and ``rules`` hold one row a slot (one rule on one series); ``slots[offsets[p]:offsets[p + 1]]`` are
    those of the series at position p, and the last row of ``states`` is for ever fresh. ``changes`` has room for
    one change for every sample of every slot.
    """

    def run(
        states: NDArray[np.void],
        rules: NDArray[np.void],
        slots: NDArray[np.int64],
        offsets: NDArray[np.int64],
        runs: NDArray[np.int64],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
        changes: NDArray[np.void],
    ) -> int:
        count = 0
        fresh = states.size - 1
        for i in range(runs.shape[0]):
            for place in range(offsets[runs[i, 0]], offsets[runs[i, 0] + 1]):
                slot = slots[place]
                state = states[slot]
                rule = rules[slot]
                for row in range(runs[i, 1], runs[i, 2]):
                    now = ts_us[row]
                    if flags[row] & ANCHOR:
                        if state.open:
                            changes[count].what = CLEARED
                            changes[count].slot = slot
                            changes[count].ts_us = now
                            changes[count].opened_us = state.opened_us
                            count += 1
                        states[slot] = states[fresh]
                    what = update(state, rule, now, value[row], (flags[row] & GAP) != 0, changes[count])
                    if what != QUIET:
                        changes[count].what = what
                        changes[count].slot = slot
                        changes[count].ts_us = now
                        changes[count].opened_us = state.opened_us
                        changes[count].direction = state.direction
                        count += 1
        return count

    return cached_kernel(run, name=f"run_{name}")
