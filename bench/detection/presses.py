"""The Azure machines as presses: their record, and how good tickets about them are.

A ticket is right when the component that it names fails within 48 hours after it. Counts are kept by machine, because
machines are what a bootstrap may resample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from detectors.closed_loop import Machine
from domain.events import COMPONENT_REPLACED, Event, EventKind, EventSeverity

METRICS = ("volt", "rotate", "pressure", "vibration")
COMPONENTS = ("comp1", "comp2", "comp3", "comp4")
RIGHT_WITHIN = timedelta(hours=48)
EARLY_H = 24.0


@dataclass(frozen=True, slots=True)
class Press:
    """One machine: its record from ``begin`` to ``end``, and its failures within, by time: (when, component).

    ``machine.readings`` has no rows where the telemetry could not be had.
    """

    machine: Machine
    begin: datetime
    end: datetime
    failures: tuple[tuple[datetime, str], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody's word that a component is about to fail."""

    machine: int
    component: str
    at: datetime


@dataclass(frozen=True, slots=True)
class PressScore:
    """How good the calls were; ``leads_h`` in hours, one for each failure caught."""

    tickets: int = 0
    right: int = 0
    failures: int = 0
    caught: int = 0
    named: int = 0
    named_right: int = 0
    leads_h: tuple[float, ...] = ()
    machine_days: float = 0.0

    @property
    def precision(self) -> float:
        """Share of tickets followed by the failure they name."""
        return self.right / max(1, self.tickets)

    @property
    def recall(self) -> float:
        """Share of failures preceded by a right ticket."""
        return self.caught / max(1, self.failures)

    @property
    def right_part(self) -> float:
        """Share of the tickets followed by any failure that name a component which failed."""
        return self.named_right / max(1, self.named)

    @property
    def early(self) -> float:
        """Share of all failures with a lead of at least 24 hours."""
        return sum(lead >= EARLY_H for lead in self.leads_h) / max(1, self.failures)

    @property
    def false_per_month(self) -> float:
        """Wrong tickets in 30 days of one machine."""
        return 30 * (self.tickets - self.right) / max(1.0, self.machine_days)

    def __str__(self) -> str:
        middle = float(np.median(self.leads_h)) if self.leads_h else 0.0
        return (
            f"{self.tickets} tickets for {self.failures} failures: precision {self.precision:.2f}, "
            f"recall {self.recall:.2f}, right part {self.right_part:.2f}, median lead {middle:.0f} h, "
            f"lead of 24 h or more for {self.early:.2f}"
        )


def read_presses(folder: Path) -> list[Press]:
    """Return all machines of the folder, none where a table is missing.

    The record of machines with telemetry lasts as long as the telemetry.
    """
    paths = {name: sorted(folder.glob(f"{name}.csv*")) for name in ("telemetry", "errors", "maint", "failures")}
    if not all(paths.values()):
        return []
    frames = {name: pd.read_csv(found[0], parse_dates=["datetime"]) for name, found in paths.items()}
    for frame in frames.values():
        frame["datetime"] = frame["datetime"].dt.tz_localize("UTC")
    by_machine = {name: dict(list(frame.groupby("machineID"))) for name, frame in frames.items()}
    numbers = sorted(set().union(*(set(one) for one in by_machine.values())))
    whole = (frames["errors"]["datetime"].min(), frames["errors"]["datetime"].max())
    return [
        _press(int(number), {name: one.get(number, frames[name].iloc[:0]) for name, one in by_machine.items()}, whole)
        for number in numbers
    ]


def _press(number: int, frames: dict[str, pd.DataFrame], whole: tuple[pd.Timestamp, pd.Timestamp]) -> Press:
    telemetry, maint, failures = frames["telemetry"], frames["maint"], frames["failures"]
    begin, end = (telemetry["datetime"].min(), telemetry["datetime"].max()) if len(telemetry) else whole
    installed: dict[str, list[datetime]] = {}
    for at, component in zip(maint["datetime"], maint["comp"], strict=True):
        if at < begin:
            installed.setdefault(str(component), []).append(at.to_pydatetime())
    failed = [
        (at.to_pydatetime(), str(component))
        for at, component in zip(failures["datetime"], failures["failure"], strict=True)
        if begin < at <= end
    ]
    machine = Machine(
        asset_id=number,
        readings=telemetry.set_index("datetime")[list(METRICS)],
        events=_events(frames["errors"], maint, begin, end),
        installed=installed,
    )
    return Press(machine, begin.to_pydatetime(), end.to_pydatetime(), tuple(sorted(failed)))


def _events(errors: pd.DataFrame, maint: pd.DataFrame, begin: datetime, end: datetime) -> list[Event]:
    events = [
        Event(at.to_pydatetime(), EventKind.ERROR, str(code), EventSeverity.ERROR)
        for at, code in zip(errors["datetime"], errors["errorID"], strict=True)
        if begin <= at <= end
    ]
    events += [
        Event(
            at.to_pydatetime(),
            EventKind.OPERATOR,
            COMPONENT_REPLACED,
            EventSeverity.INFO,
            attributes={"component": str(component)},
        )
        for at, component in zip(maint["datetime"], maint["comp"], strict=True)
        if begin <= at <= end
    ]
    return sorted(events, key=lambda event: event.ts)


def score_press(press: Press, calls: Iterable[Call]) -> PressScore:
    """Compare the calls about one machine with its failures."""
    number = press.machine.asset_id
    mine = [call for call in calls if call.machine == number]
    counted = score_calls(mine, [(number, at, component) for at, component in press.failures])
    return replace(counted, machine_days=(press.end - press.begin) / timedelta(days=1))


def score_calls(calls: Sequence[Call], failures: Sequence[tuple[int, datetime, str]]) -> PressScore:
    """Compare calls with failures: (machine, when, component)."""
    right, named, named_right = 0, 0, 0
    first: dict[tuple[int, datetime, str], datetime] = {}
    for call in calls:
        followed = [
            one for one in failures if one[0] == call.machine and timedelta(0) < one[1] - call.at <= RIGHT_WITHIN
        ]
        matching = [one for one in followed if one[2] == call.component]
        named += bool(followed)
        right += bool(matching)
        named_right += bool(matching)
        for one in matching:
            first[one] = min(call.at, first.get(one, call.at))
    return PressScore(
        tickets=len(calls),
        right=right,
        failures=len(failures),
        caught=len(first),
        named=named,
        named_right=named_right,
        leads_h=tuple((one[1] - at) / timedelta(hours=1) for one, at in first.items()),
    )


def total(scores: Sequence[PressScore]) -> PressScore:
    """Add up the scores of many machines."""
    return PressScore(
        tickets=sum(one.tickets for one in scores),
        right=sum(one.right for one in scores),
        failures=sum(one.failures for one in scores),
        caught=sum(one.caught for one in scores),
        named=sum(one.named for one in scores),
        named_right=sum(one.named_right for one in scores),
        leads_h=tuple(lead for one in scores for lead in one.leads_h),
        machine_days=sum(one.machine_days for one in scores),
    )
