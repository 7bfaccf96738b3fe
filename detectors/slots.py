"""The columns behind a bank: for each detector, one row of state and parameters per rule and series."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.catalogue import DetectorSpec
from detectors.pace import NO_REGIME
from detectors.parameters import as_row, row_dtype
from detectors.rules import RuleInForce
from detectors.running import CHANGE, PLACE


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose slot it is: the position of the series in the bank, the rule, and the regime, NO_REGIME for all."""

    position: int
    rule: RuleInForce
    regime: int = NO_REGIME


class Slots:
    """All slots of one detector. The last row of ``states`` is for ever fresh; the kernels copy it on an anchor."""

    def __init__(self, spec: DetectorSpec) -> None:
        self.spec = spec
        self.states = np.zeros(1, spec.state)
        # One row for each set of parameters ever used: rules of a thousand series then stay in the nearest cache.
        self.rules = np.zeros(0, row_dtype(spec.parameters))
        self._rule_rows: dict[bytes, int] = {}
        self._rule_of = np.zeros(0, np.int64)  # by slot
        self.owners: list[Owner | None] = []  # by slot
        self._free: list[int] = []
        self._index: tuple[NDArray[np.void], NDArray[np.int64]] | None = None
        self._most = 0  # slots of one series
        self._changes = np.empty(0, CHANGE)

    def take(self, owner: Owner) -> int:
        """Return a fresh slot for this owner."""
        parameters = as_row(owner.rule.typed_parameters())
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self.states[slot] = self.states[-1]
        self._rule_of[slot] = self._row_of(parameters)
        self.owners[slot] = owner
        self._index = None
        return slot

    def hand_over(self, slot: int, rule: RuleInForce) -> None:
        """Keep the state of the slot; only what is said about its findings may have changed in the rule."""
        owner = self.owners[slot]
        assert owner is not None  # a slot in use
        self.owners[slot] = replace(owner, rule=rule)
        self._index = None

    def give_back(self, slot: int) -> None:
        """Take the slot out of use."""
        self.owners[slot] = None
        self._free.append(slot)
        self._index = None

    def is_empty(self) -> bool:
        """Say whether no slot is in use."""
        return len(self._free) == len(self.owners)

    def run(
        self,
        positions: int,
        runs: NDArray[np.int64],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
    ) -> NDArray[np.void]:
        """Run the detector over a batch of ``runs`` and return its changes, valid until the next call.

        There are ``positions`` series; ``runs`` follow each other and count their rows in the columns from 0.
        """
        places, offsets = self.by_series(positions)
        # Room for one change a sample, one more where an anchor closes an episode, and a spare row to write into.
        room = self._most * int(runs[-1, 2] - runs[0, 1] + len(runs)) + 1
        if self._changes.size < room:
            self._changes = np.empty(room, CHANGE)
        count = self.spec.run(self.states, self.rules, places, offsets, runs, ts_us, value, flags, self._changes)
        return self._changes[:count]

    def by_series(self, positions: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """Return (places, offsets): the slots of the series at p are those in places[offsets[p]:offsets[p + 1]]."""
        if self._index is None or self._index[1].size != positions + 1:
            used = [(owner.position, slot, owner) for slot, owner in enumerate(self.owners) if owner is not None]
            used.sort(key=lambda one: one[:2])
            places = np.array(
                [(slot, self._rule_of[slot], owner.regime, owner.rule.shadow) for _, slot, owner in used], PLACE
            )
            series = np.array([position for position, _, _ in used], np.int64)
            offsets = np.searchsorted(series, np.arange(positions + 1)).astype(np.int64)
            self._index = (places, offsets)
            self._most = int(np.diff(offsets).max(initial=0))
        return self._index

    def rules_of(self, slots: NDArray[np.int64]) -> NDArray[np.void]:
        """Return the parameters of each of these slots."""
        return self.rules[self._rule_of[slots]]

    def _row_of(self, parameters: NDArray[np.void]) -> int:
        row = self._rule_rows.setdefault(parameters.tobytes(), len(self.rules))
        if row == len(self.rules):
            self.rules = np.concatenate([self.rules, parameters])
        return row

    def _grow(self) -> None:
        old, new = len(self.owners), max(16, 2 * len(self.owners))
        states = np.zeros(new + 1, self.spec.state)
        states[:old] = self.states[:old]
        self.states = states
        self._rule_of = np.concatenate([self._rule_of, np.zeros(new - old, np.int64)])
        self.owners.extend([None] * (new - old))
        self._free.extend(range(new - 1, old - 1, -1))
