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

from detectors.compiling import Record, cached_kernel, from_row, kernel, number, overwrite, seldom
from detectors.episode import CLEARED, MICROSECONDS, OPENED, QUIET, Field, state_dtype
from detectors.pace import BAD, BETWEEN, GAP, HOLD
from detectors.running import CHANGE

MEMBERS = 16  # metrics of one row at most
INSTANTS_AT_ONCE = 64  # judged together, where all metrics report at the same ones
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
# calm(state, rule, size, count, begins, value, tables) -> whether it took ``count`` rows because nothing comes of them;
# those of metric i begin at value[begins[i]]. ``tables`` is MEMBERS + 3 rows of INSTANTS_AT_ONCE numbers to write in.
VectorCalm = Callable[[Record, Record, int, int, np.ndarray, np.ndarray, np.ndarray], bool]
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


def _runs_of_members(
    member_series: NDArray[np.int64],
    places: NDArray[np.int64],
    runs: NDArray[np.int64],
    series_id: NDArray[np.int32],
    found: NDArray[np.int64],
) -> int:
    count, at = 0, 0
    for i in range(runs.shape[0]):
        first, end = runs[i, 1], runs[i, 2]
        while at < member_series.size and member_series[at] < series_id[first]:
            at += 1
        while at < member_series.size and member_series[at] == series_id[first]:
            found[count, 0], found[count, 1] = places[at, 0], places[at, 1]
            found[count, 2], found[count, 3] = first, end
            count += 1
            at += 1
    return count


# Writes (slot, member, first row, end row) into ``found``: each run of a series once for every slot that it is a member
# of, and returns how many. ``member_series`` rises, places[i] is (slot, member) of the i-th.
runs_of_members = cached_kernel(_runs_of_members, name="runs_of_members")


def vector_state_dtype(*own: Field) -> np.dtype[np.void]:
    """Return the dtype of a detector of several metrics: as ``state_dtype``, and on which metric its finding stands."""
    return state_dtype(*own, ("member", "i8"))


@kernel
def nothing_alone(state: Record, rule: Record, ts_us: int, value: float, gap: bool, change: Record) -> int:
    """A detector of several metrics has nothing to say of one."""
    return QUIET


# judge(state, assembly, rule, fresh, size, work, changes, count) -> the new count of changes.
_Judge = Callable[[Record, Record, Record, Record, int, np.ndarray, np.ndarray, int], int]


def build_vector_run(name: str, update: VectorUpdate, calm: VectorCalm) -> VectorRun:
    """Return the compiled loop around ``update``, with the short cut ``calm``.

    It stops early when ``changes`` has no room for another instant.
    """
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
        count, first = number(0), number(0)
        fresh = states[states.size - 1]
        work = np.empty((2, MEMBERS))
        tables, begins = np.empty((MEMBERS + 3) * INSTANTS_AT_ONCE), np.empty(MEMBERS, np.int64)
        times, values, marks = from_row(ts_us, 0), from_row(value, 0), from_row(flags, 0)
        while first < runs.shape[0]:
            slot, end = runs[first, 0], first
            while end < runs.shape[0] and runs[end, 0] == slot:
                end += 1
            state, assembly, rule, size = states[slot], assemblies[slot], rules[slot], sizes[slot]
            now, by_instant = _next_instant(runs, first, end, times), 0
            while now != LAST_US:
                if by_instant == 0:
                    by_instant = INSTANTS_AT_ONCE
                    together = _rows_together(assembly, runs, first, end, size, times, marks, begins)
                    if together > 0 and calm(state, rule, size, together, begins, values, from_row(tables, 0)):
                        _pass(assembly, runs, first, end, together, times, values)
                        now, by_instant = _next_instant(runs, first, end, times), 0
                        continue
                if count + ROOM > changes.size:
                    return count
                by_instant -= 1
                before = count
                if assembly.at_us != 0 and now > assembly.at_us:
                    count = judge(state, assembly, rule, fresh, size, work, changes, count)
                _take(assembly, runs, first, end, now, times, values, marks)
                if assembly.at_us != 0 and assembly.fresh == (1 << size) - 1:
                    count = judge(state, assembly, rule, fresh, size, work, changes, count)
                for told in range(before, count):
                    changes[told].slot = slot
                now = _next_instant(runs, first, end, times)
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
def _rows_together(
    assembly: Record,
    runs: np.ndarray,
    first: int,
    end: int,
    size: int,
    ts_us: np.ndarray,
    flags: np.ndarray,
    begins: np.ndarray,
) -> int:
    """Return how many rows come next in which all metrics report at the same instants, without a flag that counts.

    0 where that does not hold, or where something waits. Writes where each metric's readings begin into ``begins``.
    """
    if end - first != size or assembly.at_us != 0 or assembly.gapped or assembly.between or assembly.holding != 0:
        return 0
    count = INSTANTS_AT_ONCE
    for i in range(first, end):
        count = min(count, runs[i, 3] - runs[i, 2])
        begins[runs[i, 1]] = runs[i, 2]
    if count == 0:
        return 0
    begin, odd = begins[0], 0
    if ts_us[begin] <= assembly.judged_us or (
        assembly.anchor_us != 0 and ts_us[begin + count - 1] >= assembly.anchor_us
    ):
        return 0
    for i in range(size):
        its_us, its_flags, all_us = from_row(ts_us, begins[i]), from_row(flags, begins[i]), from_row(ts_us, begin)
        for k in range(count):
            odd |= its_us[k] ^ all_us[k]
        for k in range(count):
            odd |= its_flags[k] & (BAD | GAP | BETWEEN | HOLD)
    return count if odd == 0 else 0


@kernel
def _pass(
    assembly: Record, runs: np.ndarray, first: int, end: int, count: int, ts_us: np.ndarray, value: np.ndarray
) -> None:
    """Hold the last of rows that were taken together."""
    for i in range(first, end):
        last = runs[i, 2] + count - 1
        assembly.held[runs[i, 1]], assembly.held_us[runs[i, 1]] = value[last], ts_us[last]
        assembly.judged_us = ts_us[last]
        runs[i, 2] += count
    assembly.fresh = (1 << (end - first)) - 1


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
