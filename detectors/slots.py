"""The columns behind a bank: for each detector, one row of state and parameters per rule and series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.catalogue import DetectorSpec
from detectors.parameters import as_row, row_dtype
from detectors.rules import RuleInForce
from detectors.running import CHANGE


class Slots:
    """All slots of one detector. The last row of ``states`` is for ever fresh; the kernels copy it on an anchor."""

    def __init__(self, spec: DetectorSpec) -> None:
        self.spec = spec
        self.states = np.zeros(1, spec.state)
        self.rules = np.zeros(1, row_dtype(spec.parameters))
        self.owners: list[tuple[int, RuleInForce] | None] = []  # slot -> (series position, rule)
        self._free: list[int] = []
        self._index: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def take(self, position: int, rule: RuleInForce) -> int:
        """Return a fresh slot for this rule on the series at ``position``."""
        parameters = as_row(rule.typed_parameters())
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self.states[slot] = self.states[-1]
        self.rules[slot] = parameters[0]
        self.owners[slot] = (position, rule)
        self._index = None
        return slot

    def give_back(self, slot: int) -> None:
        """Take the slot out of use."""
        self.owners[slot] = None
        self._free.append(slot)
        self._index = None

    def run(
        self,
        positions: int,
        runs: NDArray[np.int64],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
    ) -> NDArray[np.void]:
        """Run the detector over a batch of ``runs`` and return its changes; there are ``positions`` series."""
        slots, offsets = self.by_series(positions)
        watched = offsets[runs[:, 0] + 1] - offsets[runs[:, 0]]
        # Room for one change a sample, one more where an anchor closes an episode, and a spare row to write into.
        room = int((watched * (runs[:, 2] - runs[:, 1] + 1)).sum())
        if room == 0:
            return np.empty(0, CHANGE)
        changes = np.empty(room + 1, CHANGE)
        count = self.spec.run(self.states, self.rules, slots, offsets, runs, ts_us, value, flags, changes)
        return changes[:count]

    def by_series(self, positions: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (slots, offsets): the slots of the series at p are slots[offsets[p]:offsets[p + 1]]."""
        if self._index is None or self._index[1].size != positions + 1:
            used = [(owner[0], slot) for slot, owner in enumerate(self.owners) if owner is not None]
            used.sort()
            series = np.array([position for position, _ in used], dtype=np.int64)
            slots = np.array([slot for _, slot in used], dtype=np.int64)
            offsets = np.searchsorted(series, np.arange(positions + 1)).astype(np.int64)
            self._index = (slots, offsets)
        return self._index

    def _grow(self) -> None:
        old, new = len(self.owners), max(16, 2 * len(self.owners))
        states = np.zeros(new + 1, self.spec.state)
        states[:old] = self.states[:old]
        rules = np.zeros(new + 1, self.rules.dtype)
        rules[:old] = self.rules[:old]
        self.states, self.rules = states, rules
        self.owners.extend([None] * (new - old))
        self._free.extend(range(new - 1, old - 1, -1))
