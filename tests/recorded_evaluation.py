"""Scores the tickets that the closed loop opens on recorded data, without broker or database.

Event-wise counting, rising edges only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from detectors.closed_loop import ClosedLoop, Machine, Ticket
from detectors.library import Library
from domain.events import COMPONENT_REPLACED, Event, EventKind, EventSeverity

# A ticket is right when its component fails within this time after it.
RIGHT_WITHIN = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class PressScore:
    """How good the tickets of the presses were; ``leads_h`` in hours, one for each failure caught."""

    tickets: int
    right: int
    failures: int
    caught: int
    named_right: int
    named: int
    leads_h: tuple[float, ...]

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
        return sum(lead >= 24 for lead in self.leads_h) / max(1, self.failures)

    def __str__(self) -> str:
        middle = float(np.median(self.leads_h)) if self.leads_h else 0.0
        return (
            f"{self.tickets} tickets for {self.failures} failures: precision {self.precision:.2f}, "
            f"recall {self.recall:.2f}, right part {self.right_part:.2f}, median lead {middle:.0f} h, "
            f"lead of 24 h or more for {self.early:.2f}"
        )


def replay_presses(folder: Path, library: Library) -> tuple[list[Ticket], PressScore]:
    """Replay the Azure machines that have telemetry and score their tickets."""
    frames = {
        name: pd.read_csv(folder / f"{name}.csv.gz", parse_dates=["datetime"])
        for name in ("telemetry", "errors", "maint", "failures")
    }
    for frame in frames.values():
        frame["datetime"] = frame["datetime"].dt.tz_localize("UTC")
    telemetry = frames["telemetry"]
    begin, end = telemetry["datetime"].min(), telemetry["datetime"].max()
    tickets: list[Ticket] = []
    for machine_id, rows in telemetry.groupby("machineID"):
        mine = {name: frame[frame["machineID"] == machine_id] for name, frame in frames.items()}
        machine = Machine(
            asset_id=int(str(machine_id)),
            readings=rows.set_index("datetime")[["volt", "rotate", "pressure", "vibration"]],
            events=_press_events(mine["errors"], mine["maint"], begin, end),
            installed=_fitted_before(mine["maint"], begin),
        )
        tickets.extend(ClosedLoop(library, machine).run())
    failures = frames["failures"]
    failures = failures[failures["machineID"].isin(telemetry["machineID"].unique())]
    failures = failures[(failures["datetime"] > begin) & (failures["datetime"] <= end)]
    return tickets, score_presses(tickets, failures)


def _press_events(errors: pd.DataFrame, maint: pd.DataFrame, begin: datetime, end: datetime) -> list[Event]:
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


def _fitted_before(maint: pd.DataFrame, begin: datetime) -> dict[str, list[datetime]]:
    fitted: dict[str, list[datetime]] = defaultdict(list)
    for at, component in zip(maint["datetime"], maint["comp"], strict=True):
        if at < begin:
            fitted[str(component)].append(at.to_pydatetime())
    return fitted


def score_presses(tickets: Sequence[Ticket], failures: pd.DataFrame) -> PressScore:
    """Compare tickets with failures (columns datetime, machineID, failure)."""
    failed = [
        (int(machine), str(component), at.to_pydatetime())
        for machine, component, at in zip(failures["machineID"], failures["failure"], failures["datetime"], strict=True)
    ]
    right, named, named_right = 0, 0, 0
    first: dict[tuple[int, str, datetime], datetime] = {}
    for ticket in tickets:
        component = ticket.prediction.failure_mode.removesuffix("_failure")
        followed = [
            one
            for one in failed
            if one[0] == ticket.asset_id and timedelta(0) < one[2] - ticket.opened_at <= RIGHT_WITHIN
        ]
        named += bool(followed)
        matching = [one for one in followed if one[1] == component]
        right += bool(matching)
        named_right += bool(matching)
        for one in matching:
            first[one] = min(ticket.opened_at, first.get(one, ticket.opened_at))
    leads = tuple((one[2] - at).total_seconds() / 3600 for one, at in first.items())
    return PressScore(len(tickets), right, len(failed), len(first), named_right, named, leads)


@dataclass(frozen=True, slots=True)
class WindowScore:
    """Tickets of one series against its labelled windows: how many fell into each, and which into none."""

    inside: tuple[int, ...]
    outside: tuple[datetime, ...]


def replay_furnace(series: Path, labels: Path, library: Library) -> tuple[list[Ticket], WindowScore]:
    """Replay a NAB machine temperature file; each ticket is closed as repaired a day after it opened.

    As in NAB, the first 15 % of the rows (at most 750) are probation and not scored.
    """
    frame = pd.read_csv(series, parse_dates=["timestamp"]).drop_duplicates("timestamp").sort_values("timestamp")
    frame["timestamp"] = frame["timestamp"].dt.tz_localize("UTC")
    readings = frame.set_index("timestamp").rename(columns={"value": "temperature"})
    tickets = ClosedLoop(library, Machine(1, readings), repaired_after=timedelta(hours=24)).run()
    name = f"{series.parent.name}/{series.name.removesuffix('.gz')}"
    windows = [
        (pd.Timestamp(begin, tz="UTC"), pd.Timestamp(end, tz="UTC"))
        for begin, end in json.loads(labels.read_text(encoding="utf-8"))[name]
    ]
    scored_from = readings.index[min(750, int(0.15 * len(readings)))]
    return tickets, score_windows([t.opened_at for t in tickets if t.opened_at >= scored_from], windows)


def score_windows(opened: Sequence[datetime], windows: Iterable[tuple[pd.Timestamp, pd.Timestamp]]) -> WindowScore:
    """Count the tickets in each window."""
    spans = list(windows)
    inside = tuple(sum(begin <= at <= end for at in opened) for begin, end in spans)
    outside = tuple(at for at in opened if not any(begin <= at <= end for begin, end in spans))
    return WindowScore(inside, outside)
