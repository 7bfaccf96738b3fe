"""Rows of several metrics of one device, assembled from readings that come series by series.

A row stands for an instant. It is complete at once when every metric has reported at that instant; otherwise it waits
for the next instant at which one of them reports, and what has not reported is held at its newest value, unless that is
older than ``max_age_s``: then there is no row. Readings at or before an instant that was judged already refresh what is
held and make no row.

Readings that the quality gate took out are as good as none. A gap in any metric is a gap of the row, and so is a
stretch in which the machine changed its operating regime. The first instant at or after an anchor starts anew.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import Record, cached_kernel, kernel, overwrite, seldom
from detectors.episode import CLEARED, MICROSECONDS, OPENED, QUIET, Field, state_dtype
from detectors.pace import BAD, BETWEEN, GAP, HOLD
from detectors.running import CHANGE

MEMBERS = 16  # metrics of one row at most
ROOM = 4  # changes that one step can give: two instants, each with one that an anchor ends
LAST_US = np.iinfo(np.int64).max

# What is known of the metrics of one rule on one device; fresh is all zeros.
ASSEMBLY = np.dtype(
    [
        ("held", "f8", (MEMBERS,)),
        ("held_us", "i8", (MEMBERS,)),
        ("at_us", "i8"),  # the instant that waits; 0 when none
        ("judged_us", "i8"),
        ("anchor_us", "i8"),  # asked for and not yet reached; 0 when none
        ("anchored_us", "i8"),  # the newest that was asked for
        ("fresh", "i8"),  # a bit for each metric that reported at the instant
        ("holding", "i8"),  # a bit for each whose newest reading came while a limit had a finding open
        ("gapped", "u1"),
        ("between", "u1"),
    ],
    align=True,
)
# A change of a single metric, and whose share of the statistic is how much.
# The own fields come first: numba would take a row that begins like another's for its subtype, with a warning.
VECTOR_CHANGE = np.dtype([("member", "i8"), ("shares", "f8", (MEMBERS,)), *CHANGE.descr])

# update(state, rule, ts_us, row, gap, hold, work, change) -> QUIET | OPENED | CLEARED; ``work`` is two rows of numbers
# to write in.
VectorUpdate = Callable[[Record, Record, int, np.ndarray, bool, bool, np.ndarray, Record], int]
# run(states, assemblies, rules, sizes, runs, ts_us, value, flags, changes) -> how many changes were written. ``runs``
# holds (slot, member, next row, end row), ordered by slot; rows that were taken are passed over when called again.
VectorRun = Callable[
    [
        NDArray[np.void],
        NDArray[np.void],
        NDArray[np.void],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.int64],
        NDArray[np.float64],
        NDArray[np.uint8],
        NDArray[np.void],
    ],
    int,
]


def vector_state_dtype(*own: Field) -> np.dtype[np.void]:
    """Return the dtype of a detector of several metrics: as ``state_dtype``, and on which metric its finding stands."""
    return state_dtype(*own, ("member", "i8"))


@kernel
def nothing_alone(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """A detector of several metrics has nothing to say of one."""
    return QUIET


# judge(state, assembly, rule, fresh, size, work, changes, count) -> the new count of changes.
_Judge = Callable[[Record, Record, Record, Record, int, np.ndarray, np.ndarray, int], int]


def build_vector_run(name: str, update: VectorUpdate) -> VectorRun:
    """Return the compiled loop around ``update``; it stops early when ``changes`` has no room for another instant."""
    judge = _build_judge(update)

    def run(
        states: NDArray[np.void],
        assemblies: NDArray[np.void],
        rules: NDArray[np.void],
        sizes: NDArray[np.int64],
        runs: NDArray[np.int64],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
        changes: NDArray[np.void],
    ) -> int:
        count, first = 0, 0
        fresh = states[states.size - 1]
        work = np.empty((2, MEMBERS))
        while first < runs.shape[0]:
            slot, end = runs[first, 0], first
            while end < runs.shape[0] and runs[end, 0] == slot:
                end += 1
            state, assembly, rule, size = states[slot], assemblies[slot], rules[slot], sizes[slot]
            now = _next_instant(runs, first, end, ts_us)
            while now != LAST_US:
                if count + ROOM > changes.size:
                    return count
                before = count
                if assembly.at_us != 0 and now > assembly.at_us:
                    count = judge(state, assembly, rule, fresh, size, work, changes, count)
                _take(assembly, runs, first, end, now, ts_us, value, flags)
                if assembly.at_us != 0 and assembly.fresh == (1 << size) - 1:
                    count = judge(state, assembly, rule, fresh, size, work, changes, count)
                for told in range(before, count):
                    changes[told].slot = slot
                now = _next_instant(runs, first, end, ts_us)
            first = end
        return count

    return cached_kernel(run, name=f"run_rows_{name}")


def _build_judge(update: VectorUpdate) -> _Judge:
    """Return the kernel that judges the instant that waits."""

    # Two places call it; into each of them it would be compiled whole.
    @seldom
    def judge(
        state: Record,
        assembly: Record,
        rule: Record,
        fresh: Record,
        size: int,
        work: np.ndarray,
        changes: np.ndarray,
        count: int,
    ) -> int:
        ts_us = assembly.at_us
        assembly.at_us = 0
        assembly.judged_us = ts_us
        if assembly.anchor_us != 0 and ts_us >= assembly.anchor_us:
            assembly.anchor_us = 0
            if state.open:
                count += _tell(changes[count], CLEARED, ts_us, state)
            overwrite(state, fresh)
        if assembly.between:
            assembly.between = 0
            assembly.gapped = 1
            return count
        for i in range(size):
            if assembly.held_us[i] == 0 or ts_us - assembly.held_us[i] > rule.max_age_s * MICROSECONDS:
                return count
        gap, hold = assembly.gapped != 0, assembly.holding != 0
        assembly.gapped = 0
        what = update(state, rule, ts_us, assembly.held[:size], gap, hold, work, changes[count])
        if what == OPENED:
            state.member = changes[count].member
        if what != QUIET:
            count += _tell(changes[count], what, ts_us, state)
        return count

    return judge


@kernel
def _next_instant(runs: np.ndarray, first: int, end: int, ts_us: np.ndarray) -> int:
    now = LAST_US
    for i in range(first, end):
        if runs[i, 2] < runs[i, 3]:
            now = min(now, ts_us[runs[i, 2]])
    return now


@kernel
def _take(
    assembly: Record,
    runs: np.ndarray,
    first: int,
    end: int,
    now: int,
    ts_us: np.ndarray,
    value: np.ndarray,
    flags: np.ndarray,
) -> None:
    """Take the readings of this instant into what is held."""
    for i in range(first, end):
        row = runs[i, 2]
        if row == runs[i, 3] or ts_us[row] != now:
            continue
        runs[i, 2] += 1
        if flags[row] & BAD:
            continue
        member = runs[i, 1]
        assembly.held[member] = value[row]
        assembly.held_us[member] = now
        assembly.gapped |= (flags[row] & GAP) != 0
        assembly.between |= (flags[row] & BETWEEN) != 0
        mark = 1 << member
        assembly.holding = assembly.holding | mark if flags[row] & HOLD else assembly.holding & ~mark
        if now > assembly.judged_us:
            if assembly.at_us != now:
                assembly.at_us = now
                assembly.fresh = 0
            assembly.fresh |= mark


@kernel
def _tell(change: Record, what: int, ts_us: int, state: Record) -> int:
    change.what = what
    change.ts_us = ts_us
    change.opened_us = state.opened_us
    change.direction = state.direction
    change.member = state.member
    return 1
