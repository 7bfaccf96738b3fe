"""NAB: series of many kinds and units, one detector with the same defaults for all of them.

NAB optimises one threshold on the scores of a detector, for the corpus that it is then scored on. Here the findings
are scored as they come, from the defaults of the ``record`` detector, and nothing is optimised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.detection import controls
from bench.detection.bootstrap import interval
from bench.detection.events import EventScore, Recording, score_recording, total
from bench.detection.figures import Figure
from bench.detection.nab_score import (
    LOW_FALSE_ALARMS,
    LOW_MISSES,
    STANDARD,
    AlarmedSeries,
    Profile,
    normalise,
    probation_rows,
    raw_score,
)
from detectors.bank import Bank, Opened
from detectors.rules import RuleInForce
from domain.findings import Severity
from domain.readings import Readings

TITLE = "NAB, series of many kinds"
FOLDER = "nab"
LABELS = "combined_windows.json"
RULE = RuleInForce(1, "nab.record", 1, "*", "record", {}, Severity.MEDIUM, shadow=False)
PROFILES = (STANDARD, LOW_FALSE_ALARMS, LOW_MISSES)
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Series:
    """A file: times in seconds, values, and windows as (first row, last row)."""

    name: str
    time_s: NDArray[np.int64]
    value: NDArray[np.float64]
    windows: tuple[tuple[int, int], ...]

    @property
    def scored_from(self) -> int:
        """The first row behind the probation."""
        return probation_rows(len(self.value))

    @property
    def scored_days(self) -> float:
        """How long the scored part lasts."""
        return float(self.time_s[-1] - self.time_s[self.scored_from]) / DAY_S


@dataclass(frozen=True, slots=True)
class SeriesScore:
    """What a series adds to the corpus; ``raw`` by profile."""

    raw: Mapping[str, float]
    windows: int
    events: EventScore
    days: float


def score(folder: Path) -> list[Figure]:
    """Score the ``record`` detector on every series of the folder, and the controls beside it."""
    corpus = read_corpus(folder)
    if not corpus:
        return []
    alarms = [alarm_rows(series) for series in corpus]
    ours = [score_series(series, rows) for series, rows in zip(corpus, alarms, strict=True)]
    return [_figure(name, ours) for name in STATISTICS] + _controls(corpus, alarms)


def read_corpus(folder: Path) -> list[Series]:
    """Read the series below the folder, in order of their names, with the windows that fall into them.

    The labels may lie in a folder of their own, beside one of the data, as they are published. Raises
    FileNotFoundError when there are series and no labels.
    """
    found = sorted([*folder.rglob("*.csv.gz"), *folder.rglob("*.csv")])
    told = sorted(folder.rglob(LABELS))
    if found and not told:
        raise FileNotFoundError(f"{folder} has {len(found)} series and no {LABELS}; without it none can be scored")
    labels = {file: windows for path in told for file, windows in json.loads(path.read_text(encoding="utf-8")).items()}
    corpus = []
    for path in found:
        name = path.relative_to(folder).as_posix().removesuffix(".gz")
        frame = pd.read_csv(path, parse_dates=["timestamp"])
        time_s = frame["timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)
        windows = []
        labelled = (given for file, given in labels.items() if f"/{name}".endswith(f"/{file}"))
        for begin, end in next(labelled, []):
            inside = np.flatnonzero((time_s >= _seconds(begin)) & (time_s <= _seconds(end)))
            if inside.size:
                windows.append((int(inside[0]), int(inside[-1])))
        corpus.append(Series(name, time_s, frame["value"].to_numpy(np.float64), tuple(windows)))
    return corpus


def alarm_rows(series: Series, rule: RuleInForce = RULE) -> tuple[int, ...]:
    """Return the rows at which the rule opens a finding; rows that are not newer than those before are left out."""
    newest = np.maximum.accumulate(series.time_s)
    rows = np.flatnonzero(np.r_[True, newest[1:] > newest[:-1]] & np.isfinite(series.value))
    bank = Bank()
    bank.add_series(1, 1, "value", [rule])
    changes = bank.feed(Readings(np.ones(rows.size, np.int32), series.time_s[rows] * 1_000_000, series.value[rows]))
    opened_s = [int(change.finding.opened_at.timestamp()) for change in changes if isinstance(change, Opened)]
    return tuple(rows[np.searchsorted(series.time_s[rows], opened_s)].tolist())


def score_series(series: Series, alarms: Sequence[int]) -> SeriesScore:
    """Score the alarms of one series by the rules of NAB and by event."""
    alarmed = AlarmedSeries(len(series.value), tuple(alarms), series.windows)
    return SeriesScore(
        raw={profile.name: raw_score(alarmed, profile) for profile in PROFILES},
        windows=len(series.windows),
        events=score_recording(_recording(series, alarms)),
        days=series.scored_days,
    )


def normalised(scores: Sequence[SeriesScore], profile: Profile) -> float:
    """Return the NAB score of a corpus: 0 for silence, 100 for perfection; NaN when no series has a window."""
    return normalise(sum(one.raw[profile.name] for one in scores), sum(one.windows for one in scores), profile)


def _events(scores: Sequence[SeriesScore]) -> EventScore:
    return total(one.events for one in scores)


def _false_alarms_per_day(scores: Sequence[SeriesScore]) -> float:
    days = sum(one.days for one in scores)
    return _events(scores).false_alarms / days if days > 0 else float("nan")


# name -> (how it is computed, unit, bar from below, bar from above)
STATISTICS: Mapping[str, tuple[Callable[[Sequence[SeriesScore]], float], str, float | None, float | None]] = {
    "NAB score, standard": (lambda scores: normalised(scores, STANDARD), "", 60, None),
    "NAB score, reward low false alarms": (lambda scores: normalised(scores, LOW_FALSE_ALARMS), "", 55, None),
    "NAB score, reward low misses": (lambda scores: normalised(scores, LOW_MISSES), "", None, None),
    "event F1": (lambda scores: _events(scores).f1, "", 0.65, None),
    "event precision": (lambda scores: _events(scores).precision, "", None, None),
    "event recall": (lambda scores: _events(scores).recall, "", None, None),
    "false alarms": (_false_alarms_per_day, "per series-day", None, 0.025),
}
OF_CONTROLS = ("NAB score, standard", "NAB score, reward low false alarms", "event F1", "false alarms")


def _figure(name: str, scores: Sequence[SeriesScore]) -> Figure:
    statistic, unit, bar_low, bar_high = STATISTICS[name]
    low, high = interval(scores, statistic)
    events = _events(scores)
    note = f"{len(scores)} series, {events.events} windows, {events.found} found, {events.false_alarms} false"
    return Figure(name, statistic(scores), unit, low, high, bar_low, bar_high, note=note)


def _controls(corpus: Sequence[Series], alarms: Sequence[Sequence[int]]) -> list[Figure]:
    recordings = [_recording(series, rows) for series, rows in zip(corpus, alarms, strict=True)]
    every_row = [score_series(series, range(len(series.value))) for series in corpus]
    always = [
        replace(one, events=score_recording(silent))
        for one, silent in zip(every_row, controls.always_on(recordings), strict=True)
    ]
    note = "NAB counts an alarm in each row, by event it is one"
    figures = [_control(controls.ALWAYS_ON, name, STATISTICS[name][0](always), note) for name in OF_CONTROLS]
    for name in OF_CONTROLS:
        mean = controls.mean_at_random(recordings, partial(_of, corpus, name), draws=100)
        figures.append(_control(controls.AT_RANDOM, name, mean, "mean of 100 draws"))
    scored = sum(recording.scored[1] - recording.scored[0] for recording in recordings)
    rate = scored / max(1, sum(len(rows) for rows in alarms))
    # The clock that does best of those that tick up to sixteen times as often as we alarm.
    periods = [rate / 2**number for number in range(5)]

    def by_clock(name: str, period: float) -> float:
        return controls.mean_by_clock(recordings, partial(_of, corpus, name), period, draws=20)

    best = max(periods, key=partial(by_clock, OF_CONTROLS[0]))
    note = f"the best of five clocks, every {best:,.0f} rows, started at random"
    return figures + [_control(controls.CLOCK, name, by_clock(name, best), note) for name in OF_CONTROLS]


def _control(of: str, name: str, value: float, note: str = "") -> Figure:
    return Figure(name, value, STATISTICS[name][1], of=of, note=note)


def _of(corpus: Sequence[Series], name: str, recordings: Sequence[Recording]) -> float:
    scores = [
        score_series(series, [round(opened) for opened, _ in recording.alarms])
        for series, recording in zip(corpus, recordings, strict=True)
    ]
    return STATISTICS[name][0](scores)


def _recording(series: Series, alarms: Sequence[int]) -> Recording:
    """Return the series with time in rows."""
    return Recording(
        series.name,
        alarms=tuple((float(row), float(row)) for row in alarms),
        events=tuple((float(first), float(last)) for first, last in series.windows),
        scored=(float(series.scored_from), float(len(series.value) - 1)),
    )


def _seconds(timestamp: str) -> int:
    return int(pd.Timestamp(timestamp).timestamp())
