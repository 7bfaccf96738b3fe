"""Groups: the metrics of one device under rules that look at several of them at once.

A rule of such a detector has a pattern of metrics (``*``, ``motor_*``); the metrics of the device that fit it, at least
two, make its row, in the order of their names, the first sixteen where there are more. When a metric joins, the rule
starts anew. The bank feeds, anchors, saves and restores groups together with the series; ``assembling.py`` says how
readings become rows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.assembling import ASSEMBLY, MEMBERS, ROOM, VECTOR_CHANGE, runs_of_members
from detectors.catalogue import CATALOGUE, DetectorSpec
from detectors.changes import Cleared, FindingChange, Opened, time_of, told
from detectors.parameters import as_row, row_dtype
from detectors.rules import RuleInForce
from detectors.slots import Owner

CHANGES_AT_ONCE = 256
VECTORS = tuple(spec for spec in CATALOGUE.values() if spec.vector is not None)
GROUP_HEADER = struct.Struct("<qqBB")  # group id, rule id, detector, members

_T = TypeVar("_T", bound=np.generic)

# What the state of groups looks like, for the bank's layout.
GROUP_LAYOUT = [ASSEMBLY.descr, GROUP_HEADER.format, [(spec.name, spec.state.descr) for spec in VECTORS]]


@dataclass(frozen=True, slots=True)
class _Watched:
    """One rule on one device: its slot, and its metrics with their series in the order of the row."""

    spec: DetectorSpec
    slot: int
    asset_id: int
    rule: RuleInForce
    metrics: tuple[str, ...]
    series: tuple[int, ...]


class _Table:
    """The columns of one detector, a row a slot. The last row of ``states`` is for ever fresh."""

    def __init__(self, spec: DetectorSpec) -> None:
        self.states = np.zeros(1, spec.state)
        self.assemblies = np.zeros(1, ASSEMBLY)
        self.rules = np.zeros(1, row_dtype(spec.parameters))
        self.sizes = np.zeros(1, np.int64)
        self.owners: list[_Watched | None] = [None]

    def take(self) -> int:
        """Return a fresh slot."""
        if None not in self.owners[:-1]:
            more = 2 * len(self.owners)
            self.states, self.assemblies = _longer(self.states, more), _longer(self.assemblies, more)
            self.rules, self.sizes = _longer(self.rules, more), _longer(self.sizes, more)
            self.owners += [None] * (more - len(self.owners))
        slot = self.owners.index(None)
        # The last row of each is never in use, and fresh.
        self.states[slot], self.assemblies[slot] = self.states[-1], self.assemblies[-1]
        return slot


def _longer(column: NDArray[_T], size: int) -> NDArray[_T]:
    # Not concatenate, which leaves anything in the padding between fields: saved state must be equal byte by byte.
    longer = np.zeros(size, column.dtype)
    longer[: column.size] = column
    return longer


class Groups:
    """Detectors over several metrics of many devices. Not safe for use from two threads at once."""

    def __init__(self) -> None:
        self._tables = {spec.name: _Table(spec) for spec in VECTORS}
        self._watched: dict[tuple[int, int], _Watched] = {}  # by group id and rule id
        self._withdrawn: list[FindingChange] = []
        self._index: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] | None = None

    def watch(self, group_id: int, asset_id: int, series: Mapping[str, int], rules: Iterable[RuleInForce]) -> None:
        """Watch all series of a device, by metric, with those of ``rules`` that look at several metrics.

        Called again, it keeps the state of each rule (by id) whose metrics stay the same; what another had opened is
        cleared with the next batch.
        """
        wanted: dict[tuple[int, int], tuple[RuleInForce, tuple[str, ...]]] = {}
        for rule in rules:
            metrics = tuple(sorted(metric for metric in series if rule.watches(metric))[:MEMBERS])
            if CATALOGUE[rule.detector].vector is not None and len(metrics) > 1:
                wanted[group_id, rule.rule_id] = (rule, metrics)
        for key in [key for key in self._watched if key[0] == group_id]:
            kept = wanted.get(key)
            if kept is None or tuple(series[metric] for metric in kept[1]) != self._watched[key].series:
                self._withdraw(key)
        for key, (rule, metrics) in wanted.items():
            spec = CATALOGUE[rule.detector]
            table, known = self._tables[spec.name], self._watched.get(key)
            slot = table.take() if known is None else known.slot
            its_series = tuple(series[metric] for metric in metrics)
            self._watched[key] = table.owners[slot] = _Watched(spec, slot, asset_id, rule, metrics, its_series)
            table.rules[slot] = as_row(rule.typed_parameters())[0]
            table.sizes[slot] = len(metrics)
        self._index = None

    def feed(
        self,
        runs: NDArray[np.int64],
        series_id: NDArray[np.int32],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
    ) -> list[FindingChange]:
        """Judge a whole batch in series-time order, with the runs of its series and the flags that the bank found."""
        found, self._withdrawn = self._withdrawn, []
        if not self._watched or series_id.size == 0:
            return found
        for name, (member_series, places) in self._members().items():
            theirs = np.empty((member_series.size, 4), np.int64)
            theirs = theirs[: runs_of_members(member_series, places, runs, series_id, theirs)]
            theirs = theirs[np.argsort(theirs[:, 0], kind="stable")]
            found.extend(self._judge(name, theirs, ts_us, value, flags))
        return found

    def anchor(self, series_id: int, anchored_at_us: int) -> None:
        """Start every rule anew of which this series is a member, from the first instant at or after this time on."""
        for watched in self._of_series([series_id]):
            assembly = self._tables[watched.spec.name].assemblies[watched.slot : watched.slot + 1]
            if anchored_at_us > assembly["anchored_us"][0]:
                assembly["anchor_us"] = assembly["anchored_us"] = anchored_at_us

    @property
    def nbytes(self) -> int:
        """How many bytes of state and parameters are kept."""
        return sum(
            table.states.nbytes + table.assemblies.nbytes + table.rules.nbytes for table in self._tables.values()
        )

    def save(self, series_ids: Sequence[int]) -> bytes:
        """Return the state of the groups that any of these series is a member of."""
        keys = {(watched.rule.rule_id, watched.series) for watched in self._of_series(series_ids)}
        parts = []
        for (group_id, rule_id), watched in self._watched.items():
            if (rule_id, watched.series) in keys:
                table = self._tables[watched.spec.name]
                parts.append(GROUP_HEADER.pack(group_id, rule_id, VECTORS.index(watched.spec), len(watched.series)))
                parts.append(np.array(watched.series, np.int32).tobytes())
                parts.append(table.assemblies[watched.slot].tobytes())
                parts.append(table.states[watched.slot].tobytes())
        return b"".join(parts)

    def restore(self, blob: bytes) -> None:
        """Take back what ``save`` gave; of rules since replaced, or with other metrics, what was open is cleared."""
        at = 0
        while at < len(blob):
            group_id, rule_id, number, size = GROUP_HEADER.unpack_from(blob, at)
            spec = VECTORS[number]
            at += GROUP_HEADER.size
            series = tuple(np.frombuffer(blob, np.int32, size, at).tolist())
            at += 4 * size
            assembly, state = (
                np.frombuffer(blob, ASSEMBLY, 1, at)[0],
                np.frombuffer(blob, spec.state, 1, at + ASSEMBLY.itemsize)[0],
            )
            at += ASSEMBLY.itemsize + spec.state.itemsize
            watched = self._watched.get((group_id, rule_id))
            if watched is not None and watched.spec is spec and watched.series == series:
                table = self._tables[spec.name]
                table.assemblies[watched.slot], table.states[watched.slot] = assembly, state
            else:
                self._clear_withdrawn(rule_id, series, assembly, state)

    def _judge(
        self,
        name: str,
        runs: NDArray[np.int64],
        ts_us: NDArray[np.int64],
        value: NDArray[np.float64],
        flags: NDArray[np.uint8],
    ) -> list[FindingChange]:
        table, vector = self._tables[name], CATALOGUE[name].vector
        assert vector is not None  # tables are made of such detectors only
        found: list[FindingChange] = []
        changes = np.empty(CHANGES_AT_ONCE, VECTOR_CHANGE)
        count = changes.size
        # The loop stops when there is no room left, and goes on where it stopped.
        while count + ROOM > changes.size:
            count = vector(
                table.states, table.assemblies, table.rules, table.sizes, runs, ts_us, value, flags, changes
            )  # fmt: skip
            found.extend(self._told(table, change) for change in changes[:count])
        return found

    def _told(self, table: _Table, change: np.void) -> FindingChange:
        watched = table.owners[int(change["slot"])]
        assert watched is not None  # the index holds only slots in use
        member = int(change["member"])
        series_id, metric = watched.series[member], watched.metrics[member]
        what = told(watched.spec, Owner(watched.slot, watched.rule), series_id, watched.asset_id, metric, change)
        if not isinstance(what, Opened):
            return what
        shares = zip(watched.metrics, change["shares"].tolist(), strict=False)
        named = {f"contribution:{metric}": share for metric, share in shares}
        return Opened(replace(what.finding, evidence={**what.finding.evidence, **named}))

    def _members(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return, by detector, all member series in order and the (slot, member) of each."""
        if self._index is None:
            self._index = {}
            for name, table in self._tables.items():
                rows = sorted(
                    (series_id, watched.slot, member)
                    for watched in table.owners
                    if watched is not None
                    for member, series_id in enumerate(watched.series)
                )
                if rows:
                    members = np.array(rows, np.int64)
                    self._index[name] = (members[:, 0].copy(), members[:, 1:].copy())
        return self._index

    def _of_series(self, series_ids: Sequence[int]) -> list[_Watched]:
        wanted = set(series_ids)
        return [watched for watched in self._watched.values() if not wanted.isdisjoint(watched.series)]

    def _withdraw(self, key: tuple[int, int]) -> None:
        watched = self._watched.pop(key)
        table = self._tables[watched.spec.name]
        self._clear_withdrawn(
            watched.rule.rule_id, watched.series, table.assemblies[watched.slot], table.states[watched.slot]
        )
        table.owners[watched.slot] = None

    def _clear_withdrawn(self, rule_id: int, series: tuple[int, ...], assembly: np.void, state: np.void) -> None:
        if state["open"]:
            opened_us = int(state["opened_us"])
            last_us = max(opened_us, int(assembly["judged_us"]))
            series_id = series[int(state["member"])]
            self._withdrawn.append(Cleared(series_id, rule_id, time_of(opened_us), time_of(last_us)))
