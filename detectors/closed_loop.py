"""The closed loop: one machine's record replayed through detectors and fusion, tickets and repairs included.

A detector cannot be judged alone: an open ticket suppresses repeats, and a replacement or a repair ends it, starts new
baselines and spends the evidence. So the loop is closed as in the service, without broker, database or people.
Backtests and the benchmark on recorded data count the tickets that it opens.

The bank is fed long batches, each up to the next moment that can change it (a replacement, a repair), and what opened
and cleared is then followed in order of time. Row by row gives the same tickets, a hundred times slower.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from detectors.bank import Bank, Cleared, FindingChange, Opened
from detectors.catalogue import CATALOGUE
from detectors.fusion import AssetEvidence, PastClosure, assess
from detectors.library import Library, RuleMode
from detectors.rules import RuleInForce
from detectors.silences import SILENCE, looks_us
from domain.events import COMPONENT_REPLACED, Event
from domain.failure_modes import FailureMode
from domain.findings import Finding
from domain.predictions import Prediction, Stage
from domain.readings import Readings
from domain.regimes import OperatingRegimes

Scalar = TypeVar("Scalar", bound=np.generic)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Nobody works on a ticket for ever: without a replacement it is closed as "no fault found" after this time.
NO_FAULT_AFTER = timedelta(hours=60)
# Evidence that began longer ago than this is not looked at.
MEMORY = timedelta(days=30)
NEVER_US = np.iinfo(np.int64).max
DETECTOR_ORDER = {name: number for number, name in enumerate(CATALOGUE)}


@dataclass(frozen=True, slots=True)
class Machine:
    """The record of one machine: rows of readings by time (aware, UTC), and its events in order of time."""

    asset_id: int
    readings: pd.DataFrame
    events: Sequence[Event] = ()
    installed: dict[str, list[datetime]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Repair:
    """Work on a failure mode, told by its code, that was finished at this equipment time."""

    at: datetime
    failure_mode: str


@dataclass(frozen=True, slots=True)
class History:
    """The record of one machine as columns.

    ``metrics`` maps series ids to metrics, ``readings`` are in series-time order, ``events`` and ``repairs`` in order
    of time; ``installed`` says when components were fitted before the record begins. ``devices`` maps series ids to
    their device where there are several; ``regimes`` are those of the machine's type. ``clocked`` are the series whose
    silence is judged, those of live devices that are expected to speak, until ``clock_until`` (None: the last reading).
    """

    asset_id: int
    metrics: Mapping[int, str]
    readings: Readings
    events: Sequence[Event] = ()
    installed: Mapping[str, Sequence[datetime]] = field(default_factory=dict)
    repairs: Sequence[Repair] = ()
    devices: Mapping[int, int] = field(default_factory=dict)
    regimes: OperatingRegimes | None = None
    clocked: Collection[int] = ()
    clock_until: datetime | None = None

    def bank(self, rules: Sequence[RuleInForce]) -> Bank:
        """Return a fresh bank that watches the machine with these rules, as ingest would."""
        bank = Bank()
        by_device: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for series_id, metric in self.metrics.items():
            bank.add_series(series_id, self.asset_id, metric, rules)
            by_device[self.devices.get(series_id, 0)][metric] = series_id
        bank.set_regimes(self.asset_id, self.regimes)
        for device_id, series in by_device.items():
            bank.watch_group(device_id, self.asset_id, series, rules)
        return bank


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket that the loop opened, on the equipment's clock."""

    asset_id: int
    opened_at: datetime
    prediction: Prediction


class Loop:
    """One machine going by. ``repaired_after``: a ticket is closed as repaired that long after it opened."""

    def __init__(
        self,
        modes: Sequence[FailureMode],
        rules: Sequence[RuleInForce],
        history: History,
        *,
        repaired_after: timedelta | None = None,
    ) -> None:
        self.tickets: list[Ticket] = []
        self.findings: dict[tuple[int, int, datetime], Finding] = {}
        self.watches = 0
        self._modes = modes
        self._history = history
        self._repaired_after = repaired_after
        self._bank = history.bank(rules)
        self._clock = _Clock(history, rules)
        self._installed = defaultdict(list, {name: list(times) for name, times in history.installed.items()})
        self._coming = deque(_in_order_of_time(history))
        self._evidence: dict[tuple[int, int, datetime], Finding] = {}
        self._events: deque[Event] = deque()
        self._closed: dict[str, datetime] = {}
        self._past: list[PastClosure] = []
        self._open: dict[str, datetime] = {}

    def run(self) -> list[Ticket]:
        """Play the record to its end and return the tickets."""
        columns = Columns(self._history.readings)
        while (start_us := columns.next_us()) < NEVER_US:
            self._follow(self._clock.silent(self._bank, start_us))
            self._pass(_time(start_us))
            stop_us = self._next_cut_us(start_us)
            changes = self._bank.feed(columns.until(stop_us))
            self._follow(changes + self._clock.silent(self._bank, stop_us))
        self._follow(self._clock.silent(self._bank, NEVER_US))
        while self._coming:
            self._hear(self._coming.popleft())
        return self.tickets

    def _next_cut_us(self, start_us: int) -> int:
        """Return the first time after ``start_us`` at which the bank may be told of a repair, or a silence end."""
        told = next((one for one in self._coming if _changes_machine(one)), None)
        known = [self._clock.next_look_us(start_us), *([] if told is None else [_us(_at(told))])]
        if self._repaired_after is not None:
            # A ticket of this very batch is repaired this much later at the earliest.
            after_us = self._repaired_after // MICROSECOND
            known += [start_us + after_us, *(_us(opened_at) + after_us for opened_at in self._open.values())]
        return max(min(known), start_us + 1)

    def _follow(self, changes: Sequence[FindingChange]) -> None:
        """Go through what opened and cleared as if it had come row by row."""
        for at, group in groupby(sorted(changes, key=_place), key=_when):
            self._pass(at)
            now = list(group)
            opened = [change.finding for change in now if isinstance(change, Opened)]
            for finding in opened:
                key = (finding.series_id, finding.rule_id, finding.opened_at)
                self.findings[key] = self._evidence[key] = finding
            for change in now:
                if isinstance(change, Cleared):
                    self._clear(change)
            if opened:
                self._judge(at)

    def _pass(self, at: datetime) -> None:
        """Let time go on to ``at``: hear what came until then, close what is due."""
        while self._coming and _at(self._coming[0]) <= at:
            self._hear(self._coming.popleft())
        self._close_due(at)

    def _clear(self, change: Cleared) -> None:
        key = (change.series_id, change.rule_id, change.opened_at)
        for known in (self.findings, self._evidence):
            if key in known:
                known[key] = replace(known[key], cleared_at=change.cleared_at)

    def _hear(self, told: Event | Repair) -> None:
        at = _at(told)
        self._close_due(at)
        if isinstance(told, Repair):
            self._end(told.failure_mode, at, repaired=True)
            return
        self._events.append(told)
        if told.code != COMPONENT_REPLACED:
            self._judge(at)
            return
        component = told.attributes["component"]
        self._installed[component].append(at)
        for mode in self._modes:
            if mode.component == component:
                self._end(mode.code, at, repaired=True)

    def _close_due(self, at: datetime) -> None:
        for code, opened_at in list(self._open.items()):
            if self._repaired_after is not None and at >= opened_at + self._repaired_after:
                self._end(code, opened_at + self._repaired_after, repaired=True)
            elif at >= opened_at + NO_FAULT_AFTER:
                self._end(code, opened_at + NO_FAULT_AFTER, repaired=False)

    def _end(self, code: str, at: datetime, *, repaired: bool) -> None:
        """End the mode's ticket, if one is open, and with it the evidence so far; repaired, it has a new baseline."""
        if self._open.pop(code, None) is not None:
            self._past.append(PastClosure(code, at, repaired))
        self._closed[code] = at
        if repaired:
            self._anchor(code, at)

    def _anchor(self, code: str, at: datetime) -> None:
        patterns = [sign.metric for mode in self._modes if mode.code == code for sign in mode.signature.findings]
        for series_id, metric in self._history.metrics.items():
            if any(fnmatchcase(metric, pattern) for pattern in patterns):
                self._bank.anchor(series_id, _us(at))

    def _judge(self, as_of: datetime) -> None:
        recent = as_of - MEMORY
        # Both stand in order of time, and time only goes on: what is too old now will never count again.
        while self._events and self._events[0].ts < recent:
            self._events.popleft()
        while self._evidence and next(iter(self._evidence))[2] < recent:
            del self._evidence[next(iter(self._evidence))]
        evidence = AssetEvidence(
            asset_id=self._history.asset_id,
            findings=list(self._evidence.values()),
            events=list(self._events),
            installed=self._installed,
            last_closed=self._closed,
            history=self._past,
        )
        for prediction in assess(self._modes, evidence, as_of):
            self.watches += 1
            if prediction.stage == Stage.TICKET and prediction.failure_mode not in self._open:
                self._open[prediction.failure_mode] = as_of
                self.tickets.append(Ticket(self._history.asset_id, as_of, prediction))


class _Clock:
    """Looks at the clock during a replay, as ingest does live, wherever that may tell of a silence."""

    def __init__(self, history: History, rules: Sequence[RuleInForce]) -> None:
        readings = history.readings
        is_judged = any(rule.detector == SILENCE for rule in rules)
        self._series = sorted(set(history.clocked) & set(history.metrics)) if is_judged else []
        self._looks = looks_us(readings, history.metrics, self._series, rules)
        ends = readings.ts_us.max(initial=np.iinfo(np.int64).min)
        self._until_us = int(ends) if history.clock_until is None else _us(history.clock_until)

    def next_look_us(self, after_us: int) -> int:
        """Return the time of the next reading after ``after_us`` that may end a silence, NEVER_US without any."""
        place = int(np.searchsorted(self._looks, after_us, side="right"))
        return int(self._looks[place]) if place < self._looks.size else NEVER_US

    def silent(self, bank: Bank, before_us: int) -> list[FindingChange]:
        """Return the silences that opened before this time, and before the clock ends."""
        return bank.tick(self._series, min(before_us - 1, self._until_us)) if self._series else []


class ClosedLoop(Loop):
    """The loop over a frame of readings, with an asset type's library as it is right after installation."""

    def __init__(self, library: Library, machine: Machine, *, repaired_after: timedelta | None = None) -> None:
        super().__init__(library.modes, rules_of(library), history_of(machine), repaired_after=repaired_after)


class Columns:
    """Readings in series-time order, given out by time: each call the rows up to another moment."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        edges = np.flatnonzero(np.diff(readings.series_id)) + 1
        self._starts = np.concatenate([[0], edges]).astype(np.int64)[: len(readings)]
        self._ends = np.append(edges, len(readings)).astype(np.int64)[: len(self._starts)]

    def next_us(self) -> int:
        """Return the time of the oldest row not given out yet, the largest int64 when there is none."""
        left = self._starts[self._starts < self._ends]
        return int(self._readings.ts_us[left].min()) if left.size else NEVER_US

    def until(self, stop_us: int) -> Readings:
        """Return the rows before ``stop_us`` that have not been given out, in series-time order."""
        stops = self._starts.copy()
        for number, (start, end) in enumerate(zip(self._starts, self._ends, strict=True)):
            stops[number] = start + np.searchsorted(self._readings.ts_us[start:end], stop_us)
        slices = [slice(start, stop) for start, stop in zip(self._starts, stops, strict=True) if start < stop]
        whole = len(slices) < 2 or np.array_equal(stops[:-1], self._starts[1:])
        self._starts = stops
        if whole:
            # Nothing lies between the slices: a view, no copy.
            slices = [slice(slices[0].start, slices[-1].stop)] if slices else [slice(0, 0)]
        return Readings(
            _join(self._readings.series_id, slices), _join(self._readings.ts_us, slices),
            _join(self._readings.value, slices),
        )  # fmt: skip


def history_of(machine: Machine) -> History:
    """Return the machine's frame as columns; its metrics are series 1, 2, ... in their order, NaN is no reading."""
    frame = machine.readings
    ts_us = pd.DatetimeIndex(frame.index).as_unit("us").asi8
    metrics = {number: str(metric) for number, metric in enumerate(frame.columns, start=1)}
    series, times, values = [], [], []
    for number, series_id in enumerate(metrics):
        value = frame.iloc[:, number].to_numpy(np.float64)
        present = np.isfinite(value)
        series.append(np.full(int(present.sum()), series_id, np.int32))
        times.append(ts_us[present])
        values.append(value[present])
    readings = Readings(
        np.concatenate(series or [np.empty(0, np.int32)]),
        np.concatenate(times or [np.empty(0, np.int64)]),
        np.concatenate(values or [np.empty(0)]),
    )
    return History(machine.asset_id, metrics, readings, machine.events, machine.installed)


def rules_of(library: Library) -> list[RuleInForce]:
    """Return the library's rules as they are in force right after installation."""
    return [
        RuleInForce(number, rule.name, 1, rule.metric, rule.detector, rule.parameters, rule.severity, shadow=False)
        for number, rule in enumerate(library.rules, start=1)
        if rule.mode in (RuleMode.AUTO, RuleMode.REVIEW)
    ]


def _in_order_of_time(history: History) -> Iterator[Event | Repair]:
    told: list[Event | Repair] = [*history.repairs, *history.events]
    return iter(sorted(told, key=_at))


def _changes_machine(told: Event | Repair) -> bool:
    return isinstance(told, Repair) or told.code == COMPONENT_REPLACED


def _at(told: Event | Repair) -> datetime:
    return told.at if isinstance(told, Repair) else told.ts


def _place(change: FindingChange) -> tuple[datetime, int, int, int]:
    """Order by time and, within one time, as a bank that is fed that row alone tells it."""
    if isinstance(change, Opened):
        finding = change.finding
        return finding.opened_at, DETECTOR_ORDER[finding.detector], finding.series_id, finding.rule_id
    return change.cleared_at, 0, change.series_id, change.rule_id


def _when(change: FindingChange) -> datetime:
    return _place(change)[0]


def _us(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _time(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def _join(column: NDArray[Scalar], slices: Sequence[slice]) -> NDArray[Scalar]:
    return column[slices[0]] if len(slices) == 1 else np.concatenate([column[one] for one in slices])
