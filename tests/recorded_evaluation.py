"""Scores the tickets that the closed loop opens on recorded data, without broker or database.

Event-wise counting, rising edges only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from bench.detection.presses import Call, PressScore, read_presses, score_calls, score_press, total
from detectors.bank import Bank, Opened
from detectors.closed_loop import ClosedLoop, Machine, Ticket, rules_of
from detectors.fusion import AssetEvidence, assess
from detectors.library import Library
from domain.findings import Finding
from domain.predictions import Stage
from domain.readings import Readings


def replay_presses(folder: Path, library: Library) -> tuple[list[Ticket], PressScore]:
    """Replay the Azure machines that have telemetry and score their tickets."""
    presses = [press for press in read_presses(folder) if len(press.machine.readings)]
    tickets = [ticket for press in presses for ticket in ClosedLoop(library, press.machine).run()]
    return tickets, total([score_press(press, _calls(tickets)) for press in presses])


def score_presses(tickets: Sequence[Ticket], failures: pd.DataFrame) -> PressScore:
    """Compare tickets with failures (columns datetime, machineID, failure)."""
    failed = [
        (int(machine), at.to_pydatetime(), str(component))
        for machine, component, at in zip(failures["machineID"], failures["failure"], failures["datetime"], strict=True)
    ]
    return score_calls(_calls(tickets), failed)


def _calls(tickets: Sequence[Ticket]) -> list[Call]:
    return [
        Call(ticket.asset_id, ticket.prediction.failure_mode.removesuffix("_failure"), ticket.opened_at)
        for ticket in tickets
    ]


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


# What wear times torque may reach, in min Nm, by the quality of the product.
STRAIN_ALLOWED = {"L": 11_000.0, "M": 12_000.0, "H": 13_000.0}


def milled(file: Path, library: Library) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge rows of the AI4I data by the library's rules, each as a machine of its own: all failures, and every fifth.

    Return for each row which components a ticket would name, and the rows with their labelled failures.
    """
    rows = pd.read_csv(file)
    failed = rows[["TWF", "HDF", "PWF", "OSF"]].any(axis="columns")
    rows = rows[failed | (rows.index % 5 == 0)].reset_index(drop=True)
    speed, torque, wear = rows["Rotational speed [rpm]"], rows["Torque [Nm]"], rows["Tool wear [min]"]
    metrics = pd.DataFrame(
        {
            "tool_wear_min": wear,
            "temperature_difference_k": rows["Process temperature [K]"] - rows["Air temperature [K]"],
            "speed_rpm": speed,
            "power_w": torque * speed * 2 * math.pi / 60,
            "strain_percent": 100 * wear * torque / rows["Type"].map(STRAIN_ALLOWED),
        }
    )
    bank = Bank()
    for number in range(metrics.size):
        row, column = divmod(number, len(metrics.columns))
        bank.add_series(number + 1, row, metrics.columns[column], rules_of(library))
    now = datetime(2026, 3, 2, tzinfo=UTC)
    ts_us = np.full(metrics.size, round(now.timestamp() * 1e6), np.int64)
    series = np.arange(1, metrics.size + 1, dtype=np.int32)
    changes = bank.feed(Readings(series, ts_us, metrics.to_numpy(np.float64).ravel()))
    findings: dict[int, list[Finding]] = {}
    for change in changes:
        if isinstance(change, Opened):
            findings.setdefault(change.finding.asset_id, []).append(change.finding)
    components = {mode.code: mode.component for mode in library.modes}
    named = pd.DataFrame(False, index=rows.index, columns=list(components.values()))
    for row, found in findings.items():
        for prediction in assess(library.modes, AssetEvidence(row, found, [], {}, {}), now):
            if prediction.stage == Stage.TICKET:
                named.loc[row, components[prediction.failure_mode]] = True
    return named, rows
