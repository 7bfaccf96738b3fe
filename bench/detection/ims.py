"""IMS bearings: runs to failure of four bearings on one shaft; how early each failed one alarms, and who else does.

Every bearing is an asset under the shipped library ``bearing_rig``; each of its accelerometers is a series. The lead
is counted from the first alarm of the bearing to the end of the file, which is the end of the test: the onset of the
fault is not labelled, so a very early alarm may be luck. A healthy bearing counts against us when it alarms before
the last of its test's failed bearings does. Which bearing failed is the label of the data set, by number of test.

The raw snapshots, where they are, are of healthy bearings: no damaged part may be named in any, each judged against
the others of its accelerometer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.detection.bootstrap import interval
from bench.detection.controls import ALWAYS_ON, AT_RANDOM, CLOCK, always_on, at_random, clock
from bench.detection.events import Recording
from bench.detection.figures import Figure
from detectors.bank import Bank, Cleared, Opened
from detectors.bearings import BearingGeometry, Part, PartEvidence, TurningBearing, examine, healthy_limits, identify
from detectors.closed_loop import rules_of
from detectors.envelope import envelope_spectrum
from detectors.vibration import DEFAULT_SETTINGS
from domain.readings import Readings
from storage.library import shipped_libraries

TITLE = "IMS bearings, runs to failure"
FOLDER = "ims-bearing"

# From the data set's own description: test 1 inner race of 3 and a roller of 4, tests 2 and 3 an outer race.
FAILED = {1: frozenset({3, 4}), 2: frozenset({1}), 3: frozenset({3})}
HOUR_S, MONTH_S = 3_600.0, 30 * 86_400.0
LEAST_LEAD_H, MOST_HEALTHY = 40.0, 1
RANDOM_DRAWS = 200
# Rexnord ZA-2115 at 2,000 rpm, 20 kHz.
RAW_RATE_HZ = 20_000.0
RAW_BEARING = TurningBearing(BearingGeometry(16, 8.41, 71.5, 15.17).orders(), 2_000.0)


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the recording of each bearing, those that failed first in ``failed``. Times in seconds since 1970."""

    number: int
    failed: tuple[Recording, ...]
    healthy: tuple[Recording, ...]

    def leads_h(self) -> list[float]:
        """Return the lead of each failed bearing in hours, 0 where it never alarmed."""
        return [(recording.scored[1] - first_alarm_s(recording)) / HOUR_S for recording in self.failed]

    def healthy_before(self) -> int:
        """Return how many healthy bearings alarmed no later than the last of the failed ones."""
        last_s = max(first_alarm_s(recording) for recording in self.failed)
        return sum(bool(one.alarms) and first_alarm_s(one) <= last_s for one in self.healthy)

    def false_alarms(self) -> tuple[int, float]:
        """Return the alarms on healthy bearings up to the first alarm on a failed one, and the seconds they cover."""
        until_s = min(first_alarm_s(recording) for recording in self.failed)
        counted = sum(opened <= until_s for one in self.healthy for opened, _ in one.alarms)
        return counted, sum(until_s - one.scored[0] for one in self.healthy)


def first_alarm_s(recording: Recording) -> float:
    """Return when a bearing first alarmed; the end of the run when it never did."""
    return min((opened for opened, _ in recording.alarms), default=recording.scored[1])


def score(folder: Path) -> list[Figure]:
    """Score every run in the folder, and the raw snapshots when there are any."""
    tests = [run for path in sorted(folder.glob("test*_mean_abs.csv*")) if (run := replay(path)) is not None]
    figures = [figure for test in tests for figure in _of_test(test)]
    if tests:
        figures += _over_all(tests) + _controls(tests)
    return figures + _raw(folder / "raw")


def replay(path: Path) -> Run | None:
    """Play one run through the shipped rules; None for a test that the data set's description does not label."""
    number = int(re.findall(r"\d+", path.name)[0])
    if number not in FAILED:
        return None
    frame = pd.read_csv(path, index_col=0, parse_dates=[0])
    frame = frame[~frame.index.duplicated()].sort_index()
    (library,) = (one for one in shipped_libraries() if one.asset_type == "bearing_rig")
    ts_us = pd.DatetimeIndex(frame.index).as_unit("us").asi8
    scored = (float(ts_us[0]) / 1e6, float(ts_us[-1]) / 1e6)
    bank, alarms = Bank(), {}
    for series_id, column in enumerate(frame.columns, start=1):
        (bearing, *_) = (int(digits) for digits in re.findall(r"\d+", column))
        values = frame[column].to_numpy(np.float64)
        there = np.isfinite(values)
        bank.add_series(series_id, bearing, f"accelerometer_{series_id}.mean_abs", rules_of(library))
        readings = Readings(np.full(int(there.sum()), series_id, np.int32), ts_us[there], values[there])
        alarms.setdefault(bearing, []).extend(_alarms(bank, readings, scored[1]))
    recordings = {
        bearing: Recording(f"test {number} bearing {bearing}", tuple(sorted(spans)), (), scored)
        for bearing, spans in sorted(alarms.items())
    }
    return Run(
        number,
        tuple(one for bearing, one in recordings.items() if bearing in FAILED[number]),
        tuple(one for bearing, one in recordings.items() if bearing not in FAILED[number]),
    )


def _alarms(bank: Bank, readings: Readings, end_s: float) -> list[tuple[float, float]]:
    spans: dict[tuple[int, float], float] = {}
    for change in bank.feed(readings):
        if isinstance(change, Opened):
            spans[(change.finding.rule_id, change.finding.opened_at.timestamp())] = end_s
        elif isinstance(change, Cleared):
            spans[(change.rule_id, change.opened_at.timestamp())] = change.cleared_at.timestamp()
    return [(opened, cleared) for (_, opened), cleared in spans.items()]


def _of_test(test: Run) -> list[Figure]:
    figures = []
    for recording, lead_h in zip(test.failed, test.leads_h(), strict=True):
        stands = sum(cleared >= recording.scored[1] for _, cleared in recording.alarms)
        note = f"{len(recording.alarms)} alarms on its accelerometers, {stands} stood at the end"
        figures.append(Figure(f"{recording.name}: lead", lead_h, "h", bar_low=LEAST_LEAD_H, note=note))
    name = f"test {test.number}: healthy bearings alarmed before"
    figures.append(Figure(name, test.healthy_before(), f"of {len(test.healthy)}", bar_high=MOST_HEALTHY))
    return figures


def _over_all(tests: Sequence[Run]) -> list[Figure]:
    leads = [lead for test in tests for lead in test.leads_h()]
    low, high = interval(leads, lambda some: float(np.median(some)))
    false_low, false_high = interval(tests, _false_per_month)
    return [
        Figure("median lead of failed bearings", float(np.median(leads)), "h", low, high),
        Figure("false alarms per healthy bearing and month", _false_per_month(tests), "", false_low, false_high),
    ]


def _false_per_month(tests: Sequence[Run]) -> float:
    counts = [test.false_alarms() for test in tests]
    seconds = sum(covered for _, covered in counts)
    return sum(count for count, _ in counts) * MONTH_S / seconds if seconds > 0 else 0.0


def _controls(tests: Sequence[Run]) -> list[Figure]:
    bearings = [one for test in tests for one in (*test.failed, *test.healthy)]
    rate = sum(len(one.alarms) for one in bearings)
    period_s = sum(one.scored[1] - one.scored[0] for one in bearings) / max(1, rate)
    random = np.random.default_rng(0)
    drawn = {
        ALWAYS_ON: [_with(tests, always_on(bearings))],
        CLOCK: [_with(tests, clock(bearings, period_s))],
        AT_RANDOM: [_with(tests, at_random(bearings, random)) for _ in range(RANDOM_DRAWS)],
    }
    figures = []
    for name, runs in drawn.items():
        shortest = float(np.mean([min(lead for test in run for lead in test.leads_h()) for run in runs]))
        most = float(np.mean([max(test.healthy_before() for test in run) for run in runs]))
        both = np.mean([all(meets_bars(test) for test in run) for run in runs])
        figures += [
            Figure("shortest lead", shortest, "h", of=name, note=f"both bars met in {both:.0%} of the draws"),
            Figure("most healthy bearings alarmed before in a test", most, "", of=name),
        ]
    return figures


def meets_bars(test: Run) -> bool:
    """Say whether a run meets both bars."""
    return min(test.leads_h()) >= LEAST_LEAD_H and test.healthy_before() <= MOST_HEALTHY


def _with(tests: Sequence[Run], bearings: Sequence[Recording]) -> list[Run]:
    """Return the tests with other alarms."""
    named = {one.name: one for one in bearings}
    return [
        Run(test.number, tuple(named[one.name] for one in test.failed), tuple(named[one.name] for one in test.healthy))
        for test in tests
    ]


def _raw(folder: Path) -> list[Figure]:
    """Look for damaged parts in healthy snapshots, each judged against the others of its accelerometer."""
    snapshots = [np.loadtxt(path, dtype=np.float32, ndmin=2) for path in sorted(folder.glob("*.gz"))]
    if len(snapshots) < 2:
        return []
    named = [verdict for channel in range(snapshots[0].shape[1]) for verdict in _named(snapshots, channel)]
    return [
        Figure(
            "healthy snapshots in which a damaged part is named",
            sum(named),
            f"of {len(named)}",
            *interval(named, lambda some: float(np.mean(some)) * len(named)),
            bar_high=0,
            note=f"{len(snapshots)} snapshots of {snapshots[0].shape[1]} accelerometers",
        )
    ]


def _named(snapshots: Sequence[np.ndarray], channel: int) -> list[bool]:
    seen: list[dict[Part, PartEvidence]] = []
    for snapshot in snapshots:
        samples = np.ascontiguousarray(snapshot[:, channel])
        lines = envelope_spectrum(samples, RAW_RATE_HZ, DEFAULT_SETTINGS.envelope_band)
        seen.append({} if lines is None else examine(lines, RAW_BEARING))
    return [
        identify(one, healthy_limits([*seen[:place], *seen[place + 1 :]])).part is not None
        for place, one in enumerate(seen)
    ]
