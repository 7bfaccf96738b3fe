"""The bank: every detector of every series, fed batches of readings, giving findings that open and clear.

The bank holds state and decides; it does no input or output. Whoever owns it feeds each reading once, in the time
order of its series, stores the changes, and keeps ``save()`` beside them: a bank restored from there and fed the
rest gives the same findings as one that never stopped (``tests/test_bank.py`` splits at every point).

A batch goes through in the order of roles (``running.py``): gates take rows out, then each row gets its operating
regime, then the limits judge, then the baselines.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors.catalogue import CATALOGUE
from detectors.changes import Cleared, FindingChange, Opened, time_of, told, when
from detectors.groups import GROUP_LAYOUT, Groups
from detectors.pace import NEVER_US, NO_REGIME, PACE, fresh_pace, mark_rows, pass_over_bad
from detectors.regimes import TELLER, Teller, mark_regimes, regimes_key, teller_row
from detectors.rules import RuleInForce
from detectors.running import CHANGE, Role
from detectors.slots import Owner, Slots
from domain.readings import Readings
from domain.regimes import OperatingRegimes

__all__ = ["LAYOUT", "Bank", "Cleared", "FindingChange", "Opened"]

# A batch is judged this many rows at a time: what the kernels write stays within a few megabytes.
ROWS_AT_ONCE = 65_536
MAX_SERIES_ID = 100_000_000
DETECTORS = tuple(CATALOGUE)
SERIES_HEADER = struct.Struct("<iIq")  # series id, slots, key of its operating regimes
GROUPS_HEADER = struct.Struct("<I")  # bytes of the groups' state, which comes before that of the series
SLOT_HEADER = struct.Struct("<qBb")  # rule id, detector, regime


def _layout() -> str:
    states = [(name, spec.state.descr) for name, spec in CATALOGUE.items()]
    described = repr([PACE.descr, SERIES_HEADER.format, SLOT_HEADER.format, GROUP_LAYOUT, states])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


# Changes whenever the layout of the state does.
LAYOUT = _layout()


@dataclass(slots=True)
class _Series:
    series_id: int
    position: int
    asset_id: int
    metric: str
    rules: list[RuleInForce] = field(default_factory=list)
    regimes_key: int = 0
    slots: dict[tuple[int, int], tuple[str, int]] = field(default_factory=dict)  # (rule id, regime) -> detector, slot


class Bank:
    """Detectors of many series. Not safe for use from two threads at once."""

    LAYOUT = LAYOUT

    def __init__(self) -> None:
        self._tables = {name: Slots(spec) for name, spec in CATALOGUE.items()}
        self._gates = [table for table in self._tables.values() if table.spec.role == Role.GATE]
        self._judges = [
            table for role in Role for table in self._tables.values() if table.spec.role == role != Role.GATE
        ]
        self._series: list[_Series] = []
        self._of_asset: dict[int, dict[int, _Series]] = defaultdict(dict)  # asset id -> series id -> series
        self._regimes: dict[int, OperatingRegimes] = {}  # by asset id
        self._tellers: tuple[NDArray[np.void], NDArray[np.int32]] | None = None
        self._paces = np.repeat(fresh_pace(), 16)
        self._positions = np.full(1024, -1, np.int32)  # series id -> position in _series
        self._withdrawn: list[FindingChange] = []
        self._groups = Groups()

    def add_series(self, series_id: int, asset_id: int, metric: str, rules: Sequence[RuleInForce]) -> None:
        """Watch a series with those of ``rules`` whose metric pattern fits.

        Called again with other rules, it keeps the state of each rule (by id) that stays, and what had been opened
        by a rule that went is cleared with the next batch. Raises ValueError for a series id out of range.
        """
        if self.has_series(series_id):
            series = self._series[self._positions[series_id]]
            before = (series.asset_id, series.metric)
            del self._of_asset[series.asset_id][series_id]
            series.asset_id, series.metric = asset_id, metric
        else:
            series = self._new_series(series_id, asset_id, metric)
            before = (asset_id, "")
        self._of_asset[asset_id][series_id] = series
        series.rules = [rule for rule in rules if rule.watches(metric) and CATALOGUE[rule.detector].vector is None]
        self._fit([series])
        if before != (asset_id, metric):
            # It may be the metric that tells the regime, or may have been that of another asset.
            for changed in {before[0], asset_id} & self._regimes.keys():
                self._fit(self._of_asset[changed].values())

    def set_regimes(self, asset_id: int, regimes: OperatingRegimes | None) -> None:
        """Tell regimes of operation apart on this asset, or none.

        Where the metric or its edges are others than before, baselines by regime are learnt anew. As long as the
        asset has no series of the metric, it has one regime.
        """
        if regimes == self._regimes.get(asset_id):
            return
        if regimes is None:
            del self._regimes[asset_id]
        else:
            self._regimes[asset_id] = regimes
        self._fit(self._of_asset[asset_id].values())

    def watch_group(
        self, group_id: int, asset_id: int, series: Mapping[str, int], rules: Sequence[RuleInForce]
    ) -> None:
        """Watch all series of a device, by metric, with those of ``rules`` that look at several metrics at once."""
        self._groups.watch(group_id, asset_id, series, rules)

    def has_series(self, series_id: int) -> bool:
        """Say whether the series has been added."""
        return 0 <= series_id < self._positions.size and self._positions[series_id] >= 0

    def feed(self, readings: Readings) -> list[FindingChange]:
        """Judge a batch and return what opened and cleared, in the order of time.

        Rows come in series-time order, each newer than its series' watermark; otherwise ValueError, and nothing
        has changed.
        """
        readings = _writeable(readings)
        flags = np.zeros(len(readings), np.uint8)
        runs = self._mark_rows(readings, flags)
        found = self._take_withdrawn()
        parts = _parts(runs, len(readings))
        gates = [table for table in self._gates if not table.is_empty()]
        for part in parts:
            for table in gates:
                found += self._judge(table, part, readings, flags)
        if gates:
            pass_over_bad(self._paces, runs, flags)
        self._mark_regimes(readings, runs, flags)
        judges = [table for table in self._judges if not table.is_empty()]
        for part in parts:
            for table in judges:
                found += self._judge(table, part, readings, flags)
        found += self._groups.feed(runs, readings.series_id, readings.ts_us, readings.value, flags)
        found.sort(key=when)
        return found

    def tick(self, series_ids: Sequence[int], now_us: int) -> list[FindingChange]:
        """Open findings about series that have been silent too long. Call it for live devices only.

        Feed what has arrived first, or a backlog looks like silence.
        """
        found = self._take_withdrawn()
        positions = self._positions_of(series_ids)
        for table in self._tables.values():
            if table.spec.tick is None:
                continue
            places, offsets = table.by_series(len(self._series))
            chosen = [places["slot"][offsets[position] : offsets[position + 1]] for position in positions]
            owned = np.repeat(positions, [len(some) for some in chosen])
            if owned.size == 0:
                continue
            changes = np.empty(owned.size, CHANGE)
            picked = np.concatenate(chosen).astype(np.int64)
            count = table.spec.tick(table.states, table.rules_of(picked), picked, self._paces, owned, now_us, changes)
            found.extend(self._told(table, change) for change in changes[:count])
        found.sort(key=when)
        return found

    def watermark_us(self, series_ids: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the newest fed time of each series, the smallest int64 where there is none."""
        inside = (series_ids >= 0) & (series_ids < self._positions.size)
        positions = np.where(inside, self._positions[np.where(inside, series_ids, 0)], -1)
        return np.where(positions >= 0, self._paces["last_us"][np.maximum(positions, 0)], NEVER_US)

    def anchor(self, series_id: int, anchored_at_us: int) -> None:
        """Start new baselines with the first reading at or after this time, and clear what is latched.

        An anchor that is not newer than the last one given is known already and changes nothing.
        """
        (position,) = self._positions_of([series_id])
        self._groups.anchor(series_id, anchored_at_us)
        pace = self._paces[position : position + 1]
        if anchored_at_us > pace["anchored_us"][0]:
            pace["anchor_us"] = pace["anchored_us"] = anchored_at_us

    @property
    def nbytes(self) -> int:
        """How many bytes of state and parameters the bank keeps; grows with series and rules, not with readings."""
        tables = sum(table.states.nbytes + table.rules.nbytes for table in self._tables.values())
        return self._paces.nbytes + tables + self._groups.nbytes

    def save(self, series_ids: Sequence[int]) -> bytes:
        """Return the state of these series, to be stored in the transaction that stores their readings."""
        groups = self._groups.save(series_ids)
        parts = [LAYOUT.encode(), GROUPS_HEADER.pack(len(groups)), groups]
        for position in self._positions_of(series_ids):
            series = self._series[position]
            parts.append(SERIES_HEADER.pack(series.series_id, len(series.slots), series.regimes_key))
            parts.append(self._paces[position].tobytes())
            for (rule_id, regime), (detector, slot) in series.slots.items():
                parts.append(SLOT_HEADER.pack(rule_id, DETECTORS.index(detector), regime))
                parts.append(self._tables[detector].states[slot].tobytes())
        return b"".join(parts)

    def restore(self, blob: bytes) -> None:
        """Take back what ``save`` gave, for series that have been added; state of rules since replaced is dropped.

        So is what belongs to operating regimes that are others now. Raises ValueError when the state has another
        layout or names a series that has not been added.
        """
        layout = blob[: len(LAYOUT)].decode("ascii", "replace")
        if layout != LAYOUT:
            raise ValueError(f"the state has layout {layout!r}, this version reads {LAYOUT!r}; start without it")
        at = len(LAYOUT) + GROUPS_HEADER.size
        (groups_size,) = GROUPS_HEADER.unpack_from(blob, len(LAYOUT))
        self._groups.restore(blob[at : at + groups_size])
        at += groups_size
        while at < len(blob):
            series_id, slot_count, key = SERIES_HEADER.unpack_from(blob, at)
            (position,) = self._positions_of([series_id])
            series = self._series[position]
            at += SERIES_HEADER.size
            self._paces[position] = np.frombuffer(blob, PACE, 1, at)[0]
            if key != series.regimes_key:
                self._paces["regime"][position] = NO_REGIME
            at += PACE.itemsize
            for _ in range(slot_count):
                at = self._restore_slot(blob, at, series, same_regimes=key == series.regimes_key)

    def _restore_slot(self, blob: bytes, at: int, series: _Series, *, same_regimes: bool) -> int:
        rule_id, number, regime = SLOT_HEADER.unpack_from(blob, at)
        detector = DETECTORS[number]
        dtype = CATALOGUE[detector].state
        state = np.frombuffer(blob, dtype, 1, at + SLOT_HEADER.size)
        known = series.slots.get((rule_id, regime)) if same_regimes or regime == NO_REGIME else None
        if known is not None and known[0] == detector:
            self._tables[detector].states[known[1]] = state[0]
        elif state["open"][0]:
            self._withdrawn.append(self._cleared_by_withdrawal(series, rule_id, int(state["opened_us"][0])))
        return at + SLOT_HEADER.size + dtype.itemsize

    def _new_series(self, series_id: int, asset_id: int, metric: str) -> _Series:
        if not 0 <= series_id <= MAX_SERIES_ID:
            raise ValueError(f"a series id lies between 0 and {MAX_SERIES_ID}, got {series_id}")
        if series_id >= self._positions.size:
            larger = np.full(max(series_id + 1, 2 * self._positions.size), -1, np.int32)
            larger[: self._positions.size] = self._positions
            self._positions = larger
        position = len(self._series)
        if position >= self._paces.size:
            self._paces = np.concatenate([self._paces, np.repeat(fresh_pace(), self._paces.size)])
        series = _Series(series_id, position, asset_id, metric)
        self._series.append(series)
        self._positions[series_id] = position
        self._tellers = None
        return series

    def _fit(self, chosen: Iterable[_Series]) -> None:
        """Give these series the slots that their rules and operating regimes ask for; what stays keeps its state."""
        self._tellers = None
        for series in chosen:
            regimes = None if self._teller_of(series.asset_id) is None else self._regimes[series.asset_id]
            key = regimes_key(regimes)
            if key != series.regimes_key:
                for rule_id, regime in [one for one in series.slots if one[1] != NO_REGIME]:
                    self._withdraw(series, (rule_id, regime))
                series.regimes_key = key
                self._paces["regime"][series.position] = NO_REGIME
            wanted = {(rule.rule_id, regime): rule for rule in series.rules for regime in _regimes_of(rule, regimes)}
            for gone in [one for one in series.slots if one not in wanted]:
                self._withdraw(series, gone)
            for (rule_id, regime), rule in wanted.items():
                known = series.slots.get((rule_id, regime))
                if known is not None:
                    self._tables[known[0]].hand_over(known[1], rule)
                else:
                    slot = self._tables[rule.detector].take(Owner(series.position, rule, regime))
                    series.slots[rule_id, regime] = (rule.detector, slot)

    def _teller_of(self, asset_id: int) -> _Series | None:
        """Return the series that tells the regime of this asset; of several devices' the one registered first."""
        regimes = self._regimes.get(asset_id)
        if regimes is None:
            return None
        telling = [one for one in self._of_asset[asset_id].values() if one.metric == regimes.metric]
        return min(telling, key=lambda one: one.series_id, default=None)

    def _withdraw(self, series: _Series, key: tuple[int, int]) -> None:
        detector, slot = series.slots.pop(key)
        table = self._tables[detector]
        if table.states["open"][slot]:
            opened_us = int(table.states["opened_us"][slot])
            self._withdrawn.append(self._cleared_by_withdrawal(series, key[0], opened_us))
        table.give_back(slot)

    def _cleared_by_withdrawal(self, series: _Series, rule_id: int, opened_us: int) -> Cleared:
        last_us = max(opened_us, int(self._paces["last_us"][series.position]))
        return Cleared(series.series_id, rule_id, time_of(opened_us), time_of(last_us))

    def _take_withdrawn(self) -> list[FindingChange]:
        taken, self._withdrawn = self._withdrawn, []
        return taken

    def _positions_of(self, series_ids: Sequence[int]) -> list[int]:
        for series_id in series_ids:
            if not self.has_series(series_id):
                raise ValueError(f"series {series_id} is not in the bank; call add_series first")
        return [int(self._positions[series_id]) for series_id in series_ids]

    def _mark_rows(self, readings: Readings, flags: NDArray[np.uint8]) -> NDArray[np.int64]:
        room = min(len(readings), len(self._series))
        runs, moved = np.empty((room, 3), np.int64), np.empty(room, PACE)
        count = mark_rows(self._paces, readings.series_id, self._positions, readings.ts_us, runs, moved, flags)
        if count >= 0:
            return runs[:count]
        row = -1 - count
        series_id, ts_us = int(readings.series_id[row]), int(readings.ts_us[row])
        if not self.has_series(series_id):
            raise ValueError(f"row {row}: series {series_id} is not in the bank; call add_series first")
        raise ValueError(
            f"row {row}: series {series_id} at {time_of(ts_us).isoformat()} is not in series-time order or not newer "
            "than what was fed; sort the batch and leave out what is late"
        )

    def _mark_regimes(self, readings: Readings, runs: NDArray[np.int64], flags: NDArray[np.uint8]) -> None:
        if not self._regimes:
            return
        if self._tellers is None:
            told_by = np.full(len(self._series), -1, np.int32)
            rows: list[Teller] = []
            for asset_id, regimes in self._regimes.items():
                teller = self._teller_of(asset_id)
                if teller is not None:
                    told_by[[one.position for one in self._of_asset[asset_id].values()]] = len(rows)
                    rows.append(teller_row(teller.position, regimes))
            self._tellers = (np.array(rows, TELLER), told_by)
        mark_regimes(self._paces, *self._tellers, runs, readings.ts_us, readings.value, flags)

    def _judge(
        self, table: Slots, runs: NDArray[np.int64], readings: Readings, flags: NDArray[np.uint8]
    ) -> list[FindingChange]:
        changes = table.run(len(self._series), runs, readings.ts_us, readings.value, flags)
        return [self._told(table, change) for change in changes] if len(changes) else []

    def _told(self, table: Slots, change: np.void) -> FindingChange:
        owner = table.owners[int(change["slot"])]
        assert owner is not None  # the index of slots holds only slots in use
        series = self._series[owner.position]
        return told(table.spec, owner, series.series_id, series.asset_id, series.metric, change)


def _regimes_of(rule: RuleInForce, regimes: OperatingRegimes | None) -> Iterable[int]:
    if regimes is None or not getattr(rule.typed_parameters(), "by_regime", False):
        return (NO_REGIME,)
    return range(len(regimes.edges) + 1)


def _parts(runs: NDArray[np.int64], rows: int) -> list[NDArray[np.int64]]:
    """Cut runs into parts of at most ROWS_AT_ONCE rows each."""
    if rows <= ROWS_AT_ONCE:
        return [runs] if rows else []
    parts = []
    for start in range(0, rows, ROWS_AT_ONCE):
        stop = start + ROWS_AT_ONCE
        part = runs[(runs[:, 2] > start) & (runs[:, 1] < stop)].copy()
        part[:, 1], part[:, 2] = np.maximum(part[:, 1], start), np.minimum(part[:, 2], stop)
        parts.append(part)
    return parts


def _writeable(readings: Readings) -> Readings:
    # The kernels are compiled once, for ordinary columns; columns that only look at foreign bytes are copied.
    return Readings(
        np.require(readings.series_id, np.int32, ["C", "W"]),
        np.require(readings.ts_us, np.int64, ["C", "W"]),
        np.require(readings.value, np.float64, ["C", "W"]),
    )
