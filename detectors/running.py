"""The loops that run a detector's ``update`` over a batch in series-time order: one a role.

What a detector is told to look at depends on its role, not on what it computes:

- a *gate* judges every row, and takes out those that it calls bad;
- a *limit* judges the rows that are left, and while its finding is open marks the row for the baselines;
- a *baseline* judges those rows of its own operating regime, and does not learn from rows so marked. Rows of another
  regime between two of its own are to its counts what a gap is;
- a *learnt limit* does both: it looks at rows as a baseline does, and marks them as a limit does;
- *silence* is judged by the clock; any row ends it.

So gates run first, limits after them, learnt ones next, baselines last. A rule in shadow moves nothing: it takes
out and marks no row. Anchors are reached whatever becomes of their row.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import Record, cached_kernel, from_row, kernel, number, overwrite, own_copy
from detectors.episode import CLEARED, QUIET
from detectors.pace import ANCHOR, BAD, BETWEEN, GAP, HOLD, REGIME_BITS, REGIME_SHIFT, ROWS_AT_ONCE


class Role(Enum):
    """What a detector looks at, in the order in which they run."""

    GATE = "gate"
    LIMIT = "limit"
    LEARNT_LIMIT = "learnt_limit"
    BASELINE = "baseline"
    SILENCE = "silence"


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


# A slot of a series, as the loops find it.
PLACE = np.dtype(
    [
        ("slot", "i4"),
        ("rule", "i4"),
        ("regime", "i2"),  # the only one it judges; NO_REGIME for all
        ("shadow", "u1"),
    ],
    align=True,
)

# update(state, rule, ts_us, value, gap, change) -> QUIET | OPENED | CLEARED; fills ``change`` when it is not QUIET.
Update = Callable[[Record, Record, int, float, bool, Record], int]
# run(states, rules, places, offsets, runs, ts_us, value, flags, changes) -> how many changes were written.
Run = Callable[
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
# tick(states, rules, slots, paces, positions, now_us, changes) -> how many changes were written; rules[i] are the
# parameters of slots[i], positions[i] is that of its series.
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


# calm(state, rule, count, ts_us, value) -> how many of these rows, from the first on, it took because nothing comes of
# them; the columns begin with the first.
Calm = Callable[[Record, Record, int, np.ndarray, np.ndarray], int]
# shorten(state, rule, place, first, end, ts_us, value, flags) -> how many rows were taken, as by ``calm``.
Shorten = Callable[[Record, Record, Record, int, int, np.ndarray, np.ndarray, np.ndarray], int]
# rows(state, rule, fresh, place, first, end, ts_us, value, flags, changes, count) -> the new count of changes.
Rows = Callable[
    [Record, Record, Record, Record, int, int, np.ndarray, np.ndarray, np.ndarray, NDArray[np.void], int], int
]


@kernel
def never_calm(state: Record, rule: Record, count: int, ts_us: np.ndarray, value: np.ndarray) -> int:
    """A detector without a short cut: each row goes through ``update``."""
    return 0


def build_run(name: str, update: Update, role: Role, state: np.dtype[np.void], calm: Calm = never_calm) -> Run:
    """Return the compiled loop of this role around ``update``, with the short cut ``calm``.

    ``states`` holds one row a slot (one rule on one series, in one regime where there are some), ``rules`` one row a
    set of parameters; ``places[offsets[p]:offsets[p + 1]]`` are the slots of the series at position p. The last row
    of ``states`` is for ever fresh. ``changes`` has room for one change for every sample of every slot, one more each,
    and a spare.
    """
    if role == Role.SILENCE:
        return cached_kernel(_silence(update), name=f"run_{name}")
    if role == Role.GATE:
        rows = _gate(update)
    elif role == Role.LIMIT:
        rows = _limit(update)
    else:
        rows = _baseline(update, marks=role == Role.LEARNT_LIMIT)
    shorten = _shorten(calm, role)

    # Where a state has arrays, the compiler cannot keep the copy in registers, and to copy it costs more than it saves.
    copied = all(state[field].subdtype is None for field in state.names or ())

    def run(
        states: NDArray[np.void],
        rules: NDArray[np.void],
        places: NDArray[np.void],
        offsets: NDArray[np.int64],
        runs: NDArray[np.int64],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
        changes: NDArray[np.void],
    ) -> int:
        count = number(0)
        fresh = states[states.size - 1]
        times, values, marks = from_row(ts_us, 0), from_row(value, 0), from_row(flags, 0)
        for i in range(runs.shape[0]):
            first, end = runs[i, 1], runs[i, 2]
            for at in range(offsets[runs[i, 0]], offsets[runs[i, 0] + 1]):
                place: Record = own_copy(places[at])
                row = first
                while row < end:
                    stop = min(end, row + ROWS_AT_ONCE)
                    row += shorten(states[place.slot], rules[place.rule], place, row, stop, times, values, marks)
                    if row < stop:
                        state = own_copy(states[place.slot]) if copied else states[place.slot]
                        rule = own_copy(rules[place.rule])
                        count = rows(state, rule, fresh, place, row, stop, times, values, marks, changes, count)
                        if copied:
                            overwrite(states[place.slot], state)
                        row = stop
        return count

    return cached_kernel(run, name=f"run_{name}")


def _shorten(calm: Calm, role: Role) -> Shorten:
    """Return the kernel that asks ``calm`` where it may be asked: nothing pending, no flag that this role looks at."""
    looked_at = ANCHOR | BAD | GAP
    learns = role in (Role.BASELINE, Role.LEARNT_LIMIT)

    @kernel
    def shorten(
        state: Record,
        rule: Record,
        place: Record,
        first: int,
        end: int,
        ts_us: np.ndarray,
        value: np.ndarray,
        flags: np.ndarray,
    ) -> int:
        if state.open or state.beyond_count != 0 or state.away:
            return 0
        ordinary, compared = 0, looked_at
        if learns:
            compared |= BETWEEN
            if place.regime >= 0:
                ordinary, compared = place.regime << REGIME_SHIFT, compared | REGIME_BITS
        odd = 0
        of_row = from_row(flags, first)
        for i in range(end - first):
            odd |= (of_row[i] ^ ordinary) & compared
        if odd != 0:
            return 0
        return calm(state, rule, end - first, from_row(ts_us, first), from_row(value, first))

    return shorten


def _gate(update: Update) -> Rows:
    @kernel
    def rows(
        state: Record,
        rule: Record,
        fresh: Record,
        place: Record,
        first: int,
        end: int,
        ts_us: np.ndarray,
        value: np.ndarray,
        flags: np.ndarray,
        changes: NDArray[np.void],
        count: int,
    ) -> int:
        for row in range(first, end):
            flag = flags[row]
            if flag & ANCHOR:
                count += _start_anew(state, fresh, place.slot, ts_us[row], changes[count])
            what = update(state, rule, ts_us[row], value[row], (flag & GAP) != 0, changes[count])
            if what != QUIET:
                count += _tell(changes[count], what, place.slot, ts_us[row], state)
            if (state.bad or state.open) and not place.shadow:
                flags[row] |= (BAD if state.bad else 0) | (HOLD if state.open else 0)
        return count

    return rows


def _limit(update: Update) -> Rows:
    @kernel
    def rows(
        state: Record,
        rule: Record,
        fresh: Record,
        place: Record,
        first: int,
        end: int,
        ts_us: np.ndarray,
        value: np.ndarray,
        flags: np.ndarray,
        changes: NDArray[np.void],
        count: int,
    ) -> int:
        for row in range(first, end):
            flag = flags[row]
            if flag & (ANCHOR | BAD):
                if flag & ANCHOR:
                    count += _start_anew(state, fresh, place.slot, ts_us[row], changes[count])
                if flag & BAD:
                    continue
            what = update(state, rule, ts_us[row], value[row], (flag & GAP) != 0, changes[count])
            if what != QUIET:
                count += _tell(changes[count], what, place.slot, ts_us[row], state)
            if state.open and not place.shadow:
                flags[row] |= HOLD
        return count

    return rows


def _baseline(update: Update, *, marks: bool) -> Rows:
    @kernel
    def rows(
        state: Record,
        rule: Record,
        fresh: Record,
        place: Record,
        first: int,
        end: int,
        ts_us: np.ndarray,
        value: np.ndarray,
        flags: np.ndarray,
        changes: NDArray[np.void],
        count: int,
    ) -> int:
        # An ordinary row has no flag but the number of this slot's regime.
        ordinary = max(0, place.regime) << REGIME_SHIFT
        compared = 0xFF if place.regime >= 0 else (1 << REGIME_SHIFT) - 1
        for row in range(first, end):
            flag = flags[row]
            gap = False
            if ((flag ^ ordinary) & compared) != 0 or state.away:
                if flag & ANCHOR:
                    count += _start_anew(state, fresh, place.slot, ts_us[row], changes[count])
                if flag & BAD:
                    continue
                if flag & BETWEEN or (place.regime >= 0 and (flag >> REGIME_SHIFT) != place.regime):
                    state.away = 1
                    continue
                gap = (flag & GAP) != 0 or state.away != 0
                state.away = 0
                if flag & HOLD and not state.learnt:
                    continue
            what = update(state, rule, ts_us[row], value[row], gap, changes[count])
            if what != QUIET:
                count += _tell(changes[count], what, place.slot, ts_us[row], state)
            if marks and state.open and not place.shadow:
                flags[row] |= HOLD
        return count

    return rows


def _silence(update: Update) -> Run:
    def run(
        states: NDArray[np.void],
        rules: NDArray[np.void],
        places: NDArray[np.void],
        offsets: NDArray[np.int64],
        runs: NDArray[np.int64],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
        changes: NDArray[np.void],
    ) -> int:
        count = number(0)
        for i in range(runs.shape[0]):
            for at in range(offsets[runs[i, 0]], offsets[runs[i, 0] + 1]):
                place = places[at]
                slot, state = place.slot, states[place.slot]
                # Nothing opens here but by the clock, so only the first row of a run can find anything to end.
                if state.open:
                    row = runs[i, 1]
                    what = update(state, rules[place.rule], ts_us[row], value[row], False, changes[count])
                    count += _tell(changes[count], what, slot, ts_us[row], state)
        return count

    return run


@kernel
def _start_anew(state: Record, fresh: Record, slot: int, ts_us: int, change: Record) -> int:
    told = 0
    if state.open:
        told = _tell(change, CLEARED, slot, ts_us, state)
    overwrite(state, fresh)
    return told


@kernel
def _tell(change: Record, what: int, slot: int, ts_us: int, state: Record) -> int:
    change.what = what
    change.slot = slot
    change.ts_us = ts_us
    change.opened_us = state.opened_us
    change.direction = state.direction
    return 1
