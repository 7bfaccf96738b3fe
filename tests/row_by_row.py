"""The closed loop row by row, as the service lives it: the slow truth that the fast loop is compared with."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import groupby

import numpy as np

from detectors.bank import Bank, Cleared, FindingChange, Opened
from detectors.closed_loop import MICROSECOND, NO_FAULT_AFTER, Machine, Ticket, rules_of
from detectors.fusion import AssetEvidence, PastClosure, assess
from detectors.library import Library
from domain.events import COMPONENT_REPLACED, Event
from domain.predictions import Stage
from domain.readings import Readings


class RowByRow:
    """Feeds the bank one row of the frame at a time and looks at the clock before each."""

    def __init__(
        self,
        library: Library,
        machine: Machine,
        *,
        repaired_after: timedelta | None = None,
        clocked: bool = False,
    ) -> None:
        self.tickets: list[Ticket] = []
        self.library, self.machine, self.repaired_after, self.clocked = library, machine, repaired_after, clocked
        self.metrics = {metric: number for number, metric in enumerate(machine.readings.columns, start=1)}
        self.bank = Bank()
        for metric, series_id in self.metrics.items():
            self.bank.add_series(series_id, machine.asset_id, metric, rules_of(library))
        self.installed = defaultdict(list, {name: list(times) for name, times in machine.installed.items()})
        self.findings: dict = {}
        self.events: list[Event] = []
        self.closed: dict = {}
        self.open: dict = {}
        self.past: list[PastClosure] = []

    def run(self) -> list[Ticket]:
        coming = list(self.machine.events)
        for at, row in zip(self.machine.readings.index.to_pydatetime(), self.machine.readings.to_numpy(), strict=True):
            self.tick(at - MICROSECOND, coming)
            self.pass_to(at, coming)
            present = np.isfinite(row)
            series = np.array(list(self.metrics.values()), np.int32)[present]
            ts_us = np.full(len(series), round(at.timestamp() * 1e6), np.int64)
            self.note(self.bank.feed(Readings(series, ts_us, row[present])), at)
        self.tick(at, coming)
        for event in coming:
            self.hear(event)
        return self.tickets

    def pass_to(self, at: datetime, coming: list[Event]) -> None:
        while coming and coming[0].ts <= at:
            self.hear(coming.pop(0))
        self.close_due(at)

    def tick(self, now: datetime, coming: list[Event]) -> None:
        """Judge silence at ``now``; what opened did so at times of its own, and was heard of then."""
        if self.clocked:
            changes = self.bank.tick(list(self.metrics.values()), round(now.timestamp() * 1e6))
            for at, opened in groupby(changes, key=lambda change: change.finding.opened_at):
                self.pass_to(at, coming)
                self.note(list(opened), at)

    def note(self, changes: list[FindingChange], at: datetime) -> None:
        for change in changes:
            if isinstance(change, Opened):
                key = (change.finding.series_id, change.finding.rule_id, change.finding.opened_at)
                self.findings[key] = [change.finding, None]
        for change in changes:
            if isinstance(change, Cleared):
                self.findings[change.series_id, change.rule_id, change.opened_at][1] = change.cleared_at
        if any(isinstance(change, Opened) for change in changes):
            self.judge(at)

    def hear(self, event: Event) -> None:
        self.close_due(event.ts)
        self.events.append(event)
        if event.code != COMPONENT_REPLACED:
            self.judge(event.ts)
            return
        self.installed[event.attributes["component"]].append(event.ts)
        for mode in self.library.modes:
            if mode.component == event.attributes["component"]:
                if mode.code in self.open:
                    del self.open[mode.code]
                    self.past.append(PastClosure(mode.code, event.ts, True))
                self.repaired(mode, event.ts)

    def close_due(self, at) -> None:
        for code, opened_at in list(self.open.items()):
            if self.repaired_after is not None and at >= opened_at + self.repaired_after:
                del self.open[code]
                (mode,) = (mode for mode in self.library.modes if mode.code == code)
                self.repaired(mode, opened_at + self.repaired_after)
                self.past.append(PastClosure(code, opened_at + self.repaired_after, True))
            elif at >= opened_at + NO_FAULT_AFTER:
                del self.open[code]
                self.closed[code] = opened_at + NO_FAULT_AFTER
                self.past.append(PastClosure(code, opened_at + NO_FAULT_AFTER, False))

    def repaired(self, mode, at) -> None:
        self.closed[mode.code] = at
        for metric in {sign.metric for sign in mode.signature.findings}.intersection(self.metrics):
            self.bank.anchor(self.metrics[metric], round(at.timestamp() * 1e6))

    def judge(self, as_of) -> None:
        recent = as_of - timedelta(days=30)
        findings = [
            type(finding)(**{**{name: getattr(finding, name) for name in finding.__slots__}, "cleared_at": cleared})
            for finding, cleared in self.findings.values()
            if finding.opened_at >= recent
        ]
        events = [event for event in self.events if event.ts >= recent]
        evidence = AssetEvidence(self.machine.asset_id, findings, events, self.installed, self.closed, self.past)
        for prediction in assess(self.library.modes, evidence, as_of):
            if prediction.stage == Stage.TICKET and prediction.failure_mode not in self.open:
                self.open[prediction.failure_mode] = as_of
                self.tickets.append(Ticket(self.machine.asset_id, as_of, prediction))
