"""The closed loop: one machine's record replayed through detectors and fusion, tickets and repairs included.

A detector cannot be judged alone: an open ticket suppresses repeats, and a replacement or a repair ends it, starts new
baselines and spends the evidence. So the loop is closed as in the service, without broker, database or people.
Backtests and the benchmark on recorded data count the tickets that it opens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from detectors.bank import Bank, Cleared, Opened
from detectors.fusion import AssetEvidence, assess
from detectors.library import Library, RuleMode
from detectors.rules import RuleInForce
from domain.events import COMPONENT_REPLACED, Event
from domain.findings import Finding
from domain.predictions import Prediction, Stage
from domain.readings import Readings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Nobody works on a ticket for ever: without a replacement it is closed as "no fault found" after this time.
NO_FAULT_AFTER = timedelta(hours=60)


@dataclass(frozen=True, slots=True)
class Machine:
    """The record of one machine: rows of readings by time (aware, UTC), and its events in order of time."""

    asset_id: int
    readings: pd.DataFrame
    events: Sequence[Event] = ()
    installed: dict[str, list[datetime]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket that the loop opened, on the equipment's clock."""

    asset_id: int
    opened_at: datetime
    prediction: Prediction


class ClosedLoop:
    """One machine going by. ``repaired_after``: a ticket is closed as repaired that long after it opened."""

    def __init__(self, library: Library, machine: Machine, *, repaired_after: timedelta | None = None) -> None:
        self.tickets: list[Ticket] = []
        self.watches = 0
        self._modes = library.modes
        self._machine = machine
        self._repaired_after = repaired_after
        self._metrics = {metric: number for number, metric in enumerate(machine.readings.columns, start=1)}
        self._bank = Bank()
        for metric, series_id in self._metrics.items():
            self._bank.add_series(series_id, machine.asset_id, metric, rules_of(library))
        self._installed = defaultdict(list, {name: list(times) for name, times in machine.installed.items()})
        self._findings: list[Finding] = []
        self._events: list[Event] = []
        self._closed: dict[str, datetime] = {}
        self._open: dict[str, datetime] = {}

    def run(self) -> list[Ticket]:
        """Play the record to its end and return the tickets."""
        series = np.array(list(self._metrics.values()), np.int32)
        values = self._machine.readings.to_numpy(np.float64)
        events = list(self._machine.events)
        for row, at in enumerate(pd.DatetimeIndex(self._machine.readings.index).to_pydatetime()):
            while events and events[0].ts <= at:
                self._hear(events.pop(0))
            self._close_due(at)
            ts_us = np.full(len(series), (at - EPOCH) // MICROSECOND, np.int64)
            present = np.isfinite(values[row])
            changes = self._bank.feed(Readings(series[present], ts_us[present], values[row][present]))
            opened = [change.finding for change in changes if isinstance(change, Opened)]
            self._findings.extend(opened)
            for change in changes:
                if isinstance(change, Cleared):
                    self._clear(change)
            if opened:
                self._judge(at)
        for event in events:
            self._hear(event)
        return self.tickets

    def _clear(self, change: Cleared) -> None:
        for number, finding in enumerate(self._findings):
            told = (change.series_id, change.rule_id, change.opened_at)
            if (finding.series_id, finding.rule_id, finding.opened_at) == told:
                self._findings[number] = replace(finding, cleared_at=change.cleared_at)

    def _hear(self, event: Event) -> None:
        self._close_due(event.ts)
        self._events.append(event)
        if event.code == COMPONENT_REPLACED:
            component = event.attributes["component"]
            self._installed[component].append(event.ts)
            for mode in self._modes:
                if mode.component == component:
                    self._open.pop(mode.code, None)
                    self._repaired(mode.code, event.ts)
        else:
            self._judge(event.ts)

    def _close_due(self, at: datetime) -> None:
        for code, opened_at in list(self._open.items()):
            if self._repaired_after is not None and at >= opened_at + self._repaired_after:
                del self._open[code]
                self._repaired(code, opened_at + self._repaired_after)
            elif at >= opened_at + NO_FAULT_AFTER:
                del self._open[code]
                self._closed[code] = opened_at + NO_FAULT_AFTER

    def _repaired(self, code: str, at: datetime) -> None:
        self._closed[code] = at
        (mode,) = (mode for mode in self._modes if mode.code == code)
        for metric in {sign.metric for sign in mode.signature.findings}.intersection(self._metrics):
            self._bank.anchor(self._metrics[metric], (at - EPOCH) // MICROSECOND)

    def _judge(self, as_of: datetime) -> None:
        recent = as_of - timedelta(days=30)
        evidence = AssetEvidence(
            asset_id=self._machine.asset_id,
            findings=[finding for finding in self._findings if finding.opened_at >= recent],
            events=[event for event in self._events if event.ts >= recent],
            installed=self._installed,
            last_closed=self._closed,
        )
        for prediction in assess(self._modes, evidence, as_of):
            self.watches += 1
            if prediction.stage == Stage.TICKET and prediction.failure_mode not in self._open:
                self._open[prediction.failure_mode] = as_of
                self.tickets.append(Ticket(self._machine.asset_id, as_of, prediction))


def rules_of(library: Library) -> list[RuleInForce]:
    """Return the library's rules as they are in force right after installation."""
    return [
        RuleInForce(number, rule.name, 1, rule.metric, rule.detector, rule.parameters, rule.severity, shadow=False)
        for number, rule in enumerate(library.rules, start=1)
        if rule.mode in (RuleMode.AUTO, RuleMode.REVIEW)
    ]
