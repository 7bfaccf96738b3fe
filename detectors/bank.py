"""The bank: every detector of every series, fed batches of readings, giving findings that open and clear.

The bank holds state and decides; it does no input or output. Whoever owns it feeds each reading once, in the time
order of its series, stores the changes, and keeps ``save()`` beside them: a bank restored from there and fed the
rest gives the same findings as one that never stopped (``tests/test_bank.py`` splits at every point).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from detectors.catalogue import CATALOGUE
from detectors.episode import OPENED
from detectors.pace import NEVER_US, PACE, find_disorder, fresh_pace, keep_pace, split_runs
from detectors.rules import RuleInForce
from detectors.running import CHANGE
from detectors.slots import Slots
from domain.findings import Direction, Finding
from domain.readings import Readings

# Findings are named by what they are about, so that storing one twice is harmless.
FINDING_NAMESPACE = UUID("6f9d2a0c-5c0e-5e1b-9d5a-2b1f5f6d8c11")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A batch is judged this many rows at a time: what the kernels write stays within a few megabytes.
ROWS_AT_ONCE = 65_536
MAX_SERIES_ID = 100_000_000
DIRECTIONS = {1: Direction.UP, -1: Direction.DOWN, 0: Direction.NONE}
DETECTORS = tuple(CATALOGUE)
SERIES_HEADER = struct.Struct("<iI")
SLOT_HEADER = struct.Struct("<qB")


def _layout() -> str:
    described = repr([PACE.descr] + [(name, spec.state.descr) for name, spec in CATALOGUE.items()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


# Changes whenever the layout of the state does.
LAYOUT = _layout()


@dataclass(frozen=True, slots=True)
class Opened:
    """A finding opened."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Cleared:
    """The finding of this rule on this series that opened at ``opened_at`` is over."""

    series_id: int
    rule_id: int
    opened_at: datetime
    cleared_at: datetime


FindingChange = Opened | Cleared


@dataclass(slots=True)
class _Series:
    series_id: int
    asset_id: int
    metric: str
    slots: dict[int, tuple[str, int]]  # rule id -> (detector, slot)


class Bank:
    """Detectors of many series. Not safe for use from two threads at once."""

    LAYOUT = LAYOUT

    def __init__(self) -> None:
        self._tables = {name: Slots(spec) for name, spec in CATALOGUE.items()}
        self._series: list[_Series] = []
        self._paces = np.repeat(fresh_pace(), 16)
        self._positions = np.full(1024, -1, np.int32)  # series id -> position in _series
        self._withdrawn: list[FindingChange] = []

    def add_series(self, series_id: int, asset_id: int, metric: str, rules: Sequence[RuleInForce]) -> None:
        """Watch a series with those of ``rules`` whose metric pattern fits.

        Called again with other rules, it keeps the state of each rule (by id) that stays, and what had been opened
        by a rule that went is cleared with the next batch. Raises ValueError for a series id out of range.
        """
        if self.has_series(series_id):
            series = self._series[self._positions[series_id]]
            series.asset_id, series.metric = asset_id, metric
        else:
            series = self._new_series(series_id, asset_id, metric)
        wanted = {rule.rule_id: rule for rule in rules if rule.watches(metric)}
        for rule_id in [rule_id for rule_id in series.slots if rule_id not in wanted]:
            self._withdraw(series, rule_id)
        for rule in wanted.values():
            if rule.rule_id in series.slots:
                # The same version of the same rule: only what is said about its findings may have changed.
                detector, slot = series.slots[rule.rule_id]
                self._tables[detector].owners[slot] = (int(self._positions[series_id]), rule)
            else:
                slot = self._tables[rule.detector].take(int(self._positions[series_id]), rule)
                series.slots[rule.rule_id] = (rule.detector, slot)

    def has_series(self, series_id: int) -> bool:
        """Say whether the series has been added."""
        return 0 <= series_id < self._positions.size and self._positions[series_id] >= 0

    def feed(self, readings: Readings) -> list[FindingChange]:
        """Judge a batch and return what opened and cleared, in the order of time.

        Rows come in series-time order, each newer than its series' watermark; otherwise ValueError, and nothing
        has changed.
        """
        readings = _writeable(readings)
        self._refuse_disorder(readings)
        found = self._take_withdrawn()
        for start in range(0, len(readings), ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, len(readings))
            found.extend(
                self._judge(readings.series_id[start:stop], readings.ts_us[start:stop], readings.value[start:stop])
            )
        found.sort(key=_when)
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
            slots, offsets = table.by_series(len(self._series))
            chosen = [slots[offsets[position] : offsets[position + 1]] for position in positions]
            owned = np.repeat(positions, [len(some) for some in chosen])
            if owned.size == 0:
                continue
            changes = np.empty(owned.size, CHANGE)
            picked = np.concatenate(chosen)
            count = table.spec.tick(table.states, table.rules, picked, self._paces, owned, now_us, changes)
            found.extend(self._change(table, change) for change in changes[:count])
        found.sort(key=_when)
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
        pace = self._paces[position : position + 1]
        if anchored_at_us > pace["anchored_us"][0]:
            pace["anchor_us"] = pace["anchored_us"] = anchored_at_us

    def save(self, series_ids: Sequence[int]) -> bytes:
        """Return the state of these series, to be stored in the transaction that stores their readings."""
        parts = [LAYOUT.encode()]
        for position in self._positions_of(series_ids):
            series = self._series[position]
            parts.append(SERIES_HEADER.pack(series.series_id, len(series.slots)))
            parts.append(self._paces[position].tobytes())
            for rule_id, (detector, slot) in series.slots.items():
                parts.append(SLOT_HEADER.pack(rule_id, DETECTORS.index(detector)))
                parts.append(self._tables[detector].states[slot].tobytes())
        return b"".join(parts)

    def restore(self, blob: bytes) -> None:
        """Take back what ``save`` gave, for series that have been added; state of rules since replaced is dropped.

        Raises ValueError when the state has another layout or names a series that has not been added.
        """
        layout = blob[: len(LAYOUT)].decode("ascii", "replace")
        if layout != LAYOUT:
            raise ValueError(f"the state has layout {layout!r}, this version reads {LAYOUT!r}; start without it")
        at = len(LAYOUT)
        while at < len(blob):
            series_id, slot_count = SERIES_HEADER.unpack_from(blob, at)
            (position,) = self._positions_of([series_id])
            at += SERIES_HEADER.size
            self._paces[position] = np.frombuffer(blob, PACE, 1, at)[0]
            at += PACE.itemsize
            for _ in range(slot_count):
                at = self._restore_slot(blob, at, self._series[position])

    def _restore_slot(self, blob: bytes, at: int, series: _Series) -> int:
        rule_id, number = SLOT_HEADER.unpack_from(blob, at)
        detector = DETECTORS[number]
        dtype = CATALOGUE[detector].state
        state = np.frombuffer(blob, dtype, 1, at + SLOT_HEADER.size)
        known = series.slots.get(rule_id)
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
        series = _Series(series_id, asset_id, metric, {})
        self._series.append(series)
        self._positions[series_id] = position
        return series

    def _withdraw(self, series: _Series, rule_id: int) -> None:
        detector, slot = series.slots.pop(rule_id)
        table = self._tables[detector]
        if table.states["open"][slot]:
            opened_us = int(table.states["opened_us"][slot])
            self._withdrawn.append(self._cleared_by_withdrawal(series, rule_id, opened_us))
        table.give_back(slot)

    def _cleared_by_withdrawal(self, series: _Series, rule_id: int, opened_us: int) -> Cleared:
        last_us = max(opened_us, int(self._paces["last_us"][self._positions[series.series_id]]))
        return Cleared(series.series_id, rule_id, _time(opened_us), _time(last_us))

    def _take_withdrawn(self) -> list[FindingChange]:
        taken, self._withdrawn = self._withdrawn, []
        return taken

    def _positions_of(self, series_ids: Sequence[int]) -> list[int]:
        for series_id in series_ids:
            if not self.has_series(series_id):
                raise ValueError(f"series {series_id} is not in the bank; call add_series first")
        return [int(self._positions[series_id]) for series_id in series_ids]

    def _refuse_disorder(self, readings: Readings) -> None:
        row = find_disorder(self._paces, readings.series_id, self._positions, readings.ts_us)
        if row < 0:
            return
        series_id, ts_us = int(readings.series_id[row]), int(readings.ts_us[row])
        if not self.has_series(series_id):
            raise ValueError(f"row {row}: series {series_id} is not in the bank; call add_series first")
        raise ValueError(
            f"row {row}: series {series_id} at {_time(ts_us).isoformat()} is not in series-time order or not newer "
            "than what was fed; sort the batch and leave out what is late"
        )

    def _judge(
        self, series_id: NDArray[np.int32], ts_us: NDArray[np.int64], value: NDArray[np.float64]
    ) -> list[FindingChange]:
        runs = np.empty((len(series_id), 3), np.int64)
        runs = runs[: split_runs(series_id, self._positions, runs)]
        flags = np.empty(len(series_id), np.uint8)
        keep_pace(self._paces, runs, ts_us, flags)
        found: list[FindingChange] = []
        for table in self._tables.values():
            if table.owners:
                changes = table.run(len(self._series), runs, ts_us, value, flags)
                found.extend(self._change(table, change) for change in changes)
        return found

    def _change(self, table: Slots, change: np.void) -> FindingChange:
        owner = table.owners[int(change["slot"])]
        assert owner is not None  # the index of slots holds only slots in use
        series, rule = self._series[owner[0]], owner[1]
        opened_at, ts = _time(int(change["opened_us"])), _time(int(change["ts_us"]))
        if change["what"] != OPENED:
            return Cleared(series.series_id, rule.rule_id, opened_at, ts)
        named = {name: float(change[name]) for name in ("baseline", "spread", "count")}
        named.update(zip(table.spec.extra, change["extra"].tolist(), strict=False))
        evidence = {name: number for name, number in named.items() if np.isfinite(number)}
        evidence["window_start"] = int(change["window_start_us"]) / 1e6
        return Opened(
            Finding(
                id=uuid5(FINDING_NAMESPACE, f"{series.series_id}/{rule.rule_id}/{int(change['opened_us'])}"),
                rule_id=rule.rule_id,
                series_id=series.series_id,
                asset_id=series.asset_id,
                metric=series.metric,
                detector=rule.detector,
                direction=DIRECTIONS[int(change["direction"])],
                severity=rule.severity,
                shadow=rule.shadow,
                opened_at=opened_at,
                cleared_at=None,
                value=float(change["value"]),
                score=float(change["score"]),
                limit=float(change["limit"]),
                evidence=evidence,
            )
        )


def _writeable(readings: Readings) -> Readings:
    # The kernels are compiled once, for ordinary columns; columns that only look at foreign bytes are copied.
    return Readings(
        np.require(readings.series_id, np.int32, ["C", "W"]),
        np.require(readings.ts_us, np.int64, ["C", "W"]),
        np.require(readings.value, np.float64, ["C", "W"]),
    )


def _time(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def _when(change: FindingChange) -> datetime:
    return change.finding.opened_at if isinstance(change, Opened) else change.cleared_at
