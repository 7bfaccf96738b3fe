"""SKAB: a water rig with one fault in each run, judged as one machine by the shipped rules of its asset type.

The findings of all channels are fused into one alarm of the machine: it is on while any of them is open. Detectors run
from the first row and are judged from row 400 on, as the published protocol trains on 400 rows. An alarm counts at its
rising edge, within the fault or not at all; the minute after a fault is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.detection import controls
from bench.detection.bootstrap import interval
from bench.detection.events import EventScore, Recording, Span, joined, score_recording, total
from bench.detection.figures import Figure
from detectors.bank import Bank, Opened
from detectors.closed_loop import rules_of
from detectors.rules import RuleInForce
from domain.readings import Readings
from storage.library import shipped_libraries

TITLE = "SKAB, a water rig"
FOLDER = "skab"
ASSET_TYPE = "water_rig"
METRICS = {
    "Accelerometer1RMS": "vibration_motor_g",
    "Accelerometer2RMS": "vibration_pump_g",
    "Current": "current_a",
    "Pressure": "pressure_bar",
    "Temperature": "motor_temperature_c",
    "Thermocouple": "fluid_temperature_c",
    "Voltage": "voltage_v",
    "Volume Flow RateRMS": "flow_l_min",
}
LABELS = ["anomaly", "changepoint"]
TRAINING_ROWS = 400
GRACE_S, HOLD_S, HOUR_S = 60.0, 30.0, 3600.0
CLOCK_PERIODS_S = (30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(frozen=True, slots=True)
class Run:
    """One recorded run; ``faults`` is empty in a fault-free one."""

    name: str
    time_s: NDArray[np.float64]
    channels: pd.DataFrame
    faults: tuple[Span, ...]
    fault_free: bool


@dataclass(frozen=True, slots=True)
class RunScore:
    """What a run adds to the figures."""

    events: EventScore
    fault_free: bool


def score(folder: Path) -> list[Figure]:
    """Score the shipped rules on every run of the folder, and the controls beside them."""
    runs = read_runs(folder)
    if not runs:
        return []
    recordings = [record(run, shipped_rules()) for run in runs]
    fault_free = [run.fault_free for run in runs]
    ours = _scores(fault_free, recordings)
    return [_figure(name, ours) for name in STATISTICS] + _controls(fault_free, recordings)


def shipped_rules() -> list[RuleInForce]:
    """Return the rules that an asset of this type starts with."""
    (library,) = (library for library in shipped_libraries() if library.asset_type == ASSET_TYPE)
    return rules_of(library)


def read_runs(folder: Path) -> list[Run]:
    """Read the runs below the folder that are longer than the training; those whose fault begins in it are left out."""
    runs = []
    for path in sorted([*folder.rglob("*.csv.gz"), *folder.rglob("*.csv")]):
        frame = pd.read_csv(path, sep=";", parse_dates=["datetime"])
        time_s = (frame["datetime"] - frame["datetime"].iloc[0]).dt.total_seconds().to_numpy(np.float64)
        fault_free = "anomaly" not in frame
        faults = () if fault_free else _spans(frame["anomaly"].to_numpy() > 0, time_s)
        if len(frame) <= TRAINING_ROWS or any(begin < time_s[TRAINING_ROWS] for begin, _ in faults):
            continue
        channels = frame.drop(columns=["datetime", *LABELS], errors="ignore").rename(columns=METRICS)
        runs.append(Run(path.relative_to(folder).as_posix(), time_s, channels, faults, fault_free))
    return runs


def _spans(on: NDArray[np.bool_], time_s: NDArray[np.float64]) -> tuple[Span, ...]:
    edges = np.flatnonzero(np.diff(np.r_[False, on, False].astype(np.int8)))
    return tuple((float(time_s[a]), float(time_s[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True))


def record(run: Run, rules: Sequence[RuleInForce]) -> Recording:
    """Run the rules over a run and return it with the alarms of the machine."""
    bank = Bank()
    newest = np.maximum.accumulate(run.time_s)
    rows = np.flatnonzero(np.r_[True, newest[1:] > newest[:-1]])
    ts_us = (run.time_s[rows] * 1e6).astype(np.int64) + 1_000_000
    opened: list[Span] = []
    for series_id, metric in enumerate(run.channels.columns):
        bank.add_series(series_id, 1, metric, rules)
        values = run.channels[metric].to_numpy(np.float64)[rows]
        present = np.isfinite(values)
        readings = Readings(np.full(int(present.sum()), series_id, np.int32), ts_us[present], values[present])
        open_since: dict[int, float] = {}
        for change in bank.feed(readings):
            if isinstance(change, Opened):
                open_since[change.finding.rule_id] = change.finding.opened_at.timestamp() - 1
            else:
                opened.append((open_since.pop(change.rule_id), change.cleared_at.timestamp() - 1))
        opened.extend((since, float(run.time_s[-1])) for since in open_since.values())
    alarms = joined([(since, to + HOLD_S) for since, to in opened])
    return Recording(run.name, tuple(alarms), run.faults, (float(run.time_s[TRAINING_ROWS]), float(run.time_s[-1])))


def _scores(fault_free: Sequence[bool], recordings: Sequence[Recording]) -> list[RunScore]:
    return [
        RunScore(score_recording(recording, grace=GRACE_S), free)
        for recording, free in zip(recordings, fault_free, strict=True)
    ]


def _faulty(scores: Sequence[RunScore]) -> EventScore:
    return total(one.events for one in scores if not one.fault_free)


def _all(scores: Sequence[RunScore]) -> EventScore:
    return total(one.events for one in scores)


def _delay(scores: Sequence[RunScore]) -> float:
    delays = _faulty(scores).delays
    return float(np.median(delays)) if delays else float("nan")


def _alarm_share(scores: Sequence[RunScore]) -> float:
    free = total(one.events for one in scores if one.fault_free)
    return 100 * free.alarm_share if free.normal > 0 else float("nan")


# name -> (how it is computed, unit, bar from below, bar from above)
STATISTICS: Mapping[str, tuple[Callable[[Sequence[RunScore]], float], str, float | None, float | None]] = {
    "event F1": (lambda scores: _faulty(scores).f1, "", 0.90, None),
    "event precision": (lambda scores: _faulty(scores).precision, "", None, None),
    "event recall": (lambda scores: _faulty(scores).recall, "", None, None),
    "false alarms": (lambda scores: _all(scores).false_alarms_per(HOUR_S), "per normal hour", None, 1.0),
    "in alarm on the fault-free run": (_alarm_share, "%", None, 2.0),
    "median delay": (_delay, "s", None, None),
}
OF_CONTROLS = ("event F1", "false alarms", "in alarm on the fault-free run")


def _figure(name: str, scores: Sequence[RunScore]) -> Figure:
    statistic, unit, bar_low, bar_high = STATISTICS[name]
    # There is one fault-free run, and nothing to resample.
    low, high = (None, None) if name == OF_CONTROLS[2] else interval(scores, statistic)
    events, everywhere = _faulty(scores), _all(scores)
    note = (
        f"{events.found} of {events.events} faults, {events.false_alarms} false in their runs, "
        f"{everywhere.false_alarms} in {everywhere.normal / HOUR_S:.1f} normal hours"
    )
    return Figure(name, statistic(scores), unit, low, high, bar_low, bar_high, note=note)


def _controls(fault_free: Sequence[bool], recordings: Sequence[Recording]) -> list[Figure]:
    def value(name: str, controlled: Sequence[Recording]) -> float:
        return STATISTICS[name][0](_scores(fault_free, controlled))

    def by_clock(name: str, period: float) -> float:
        return controls.mean_by_clock(recordings, partial(value, name), period, hold=HOLD_S)

    always = controls.always_on(recordings)
    figures = [_control(controls.ALWAYS_ON, name, value(name, always)) for name in OF_CONTROLS]
    for name in OF_CONTROLS:
        mean = controls.mean_at_random(recordings, partial(value, name), hold=HOLD_S)
        figures.append(_control(controls.AT_RANDOM, name, mean, "mean of 200 draws"))
    best = max(CLOCK_PERIODS_S, key=lambda period: by_clock("event F1", period))
    note = f"the best of {len(CLOCK_PERIODS_S)} clocks, every {best:.0f} s, started at random"
    return figures + [_control(controls.CLOCK, name, by_clock(name, best), note) for name in OF_CONTROLS]


def _control(of: str, name: str, value: float, note: str = "") -> Figure:
    return replace(Figure(name, value, STATISTICS[name][1], note=note), of=of)
