"""C-MAPSS turbofan engines: how many cycles are left, as an interval, learnt from other engines' runs to failure.

Every set in the folder (train_X, test_X, RUL_X, plain or gzipped) is scored by itself: the library is learnt from its
training engines, and each test engine is told once, at its last cycle. RMSE in cycles is given in the three ways of
the literature, which differ by far more than methods do: prediction and truth both no longer than 125 cycles (the bar);
the same prediction against the truth as it is; and the middle of the interval, which has no such cap. The PHM08 score
is that of the first prediction against the capped truth; it punishes late more than early.

Controls: the training engines' mean capped life left, said of every engine; and their usual life less the age.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.detection.bootstrap import interval
from bench.detection.figures import Figure
from detectors.conditions import Run
from detectors.similarity import LifeLeft, LifeLibrary, fit_library

TITLE = "C-MAPSS turbofan engines, remaining life"
FOLDER = "cmapss"

Array = NDArray[np.float64]

# The cap of the literature, in cycles.
CAP = 125.0
COVERAGE = 0.8
COVERAGE_BAR = (0.78, 0.88)
RMSE_BARS = {"FD001": 13.5, "FD003": 15.5, "FD004": 16.5}
# Columns: engine, cycle, three settings, 21 sensors.
_SETTINGS, _METRICS = slice(2, 5), slice(5, 26)


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a test engine, and the truth, in cycles."""

    said: float
    middle: float
    low: float
    high: float
    truth: float

    @property
    def held(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= self.truth <= self.high


Statistic = Callable[[Sequence[Told]], float]


def score(folder: Path) -> list[Figure]:
    """Score every set of the folder."""
    return [figure for name in sets_in(folder) for figure in _score_set(folder, name)]


def sets_in(folder: Path) -> list[str]:
    """Return the names of the sets of which all three files are there."""
    names = {path.name.split(".")[0] for path in folder.iterdir()}
    found = sorted(name.removeprefix("train_") for name in names if name.startswith("train_"))
    return [name for name in found if {f"test_{name}", f"RUL_{name}"} <= names]


def _score_set(folder: Path, name: str) -> list[Figure]:
    train, test = _runs(_table(folder, f"train_{name}")), _runs(_table(folder, f"test_{name}"))
    truth = _table(folder, f"RUL_{name}").ravel()
    began = time.process_time()
    library = fit_library(train, coverage=COVERAGE, ceiling=CAP)
    fitted = time.process_time()
    lives = [library.left(run) for run in test]
    spent_ms = (time.process_time() - fitted) * 1000 / len(test)
    engines = [_told(life, left) for life, left in zip(lives, truth, strict=True)]
    note = f"{spent_ms:.0f} ms a prediction, {fitted - began:.0f} s to learn {library.runs} engines"
    return [
        _figure(f"{name} RMSE, both capped at 125", rmse_capped, engines, bar_high=RMSE_BARS.get(name), note=note),
        _figure(f"{name} RMSE, truth as it is", rmse_truth_as_it_is, engines),
        _figure(f"{name} RMSE of the interval's middle", rmse_of_middle, engines),
        _figure(f"{name} PHM08 score", phm08, engines, unit="", note="a sum over the engines"),
        _figure(
            f"{name} coverage of the 80 % interval",
            coverage,
            engines,
            unit="",
            bar_low=COVERAGE_BAR[0],
            bar_high=COVERAGE_BAR[1],
        ),
        _figure(f"{name} mean width of the 80 % interval", width, engines),
        *_controls(name, library, test, truth),
    ]


def _controls(name: str, library: LifeLibrary, test: Sequence[Run], truth: Array) -> list[Figure]:
    constant = float(np.minimum(library.remaining, CAP).mean())
    said = {
        "constant": [constant] * len(test),
        "usual life less age": [max(0.0, library.index.life - len(run.metrics)) for run in test],
    }
    return [
        _figure(
            f"{name} RMSE, both capped at 125",
            rmse_capped,
            [Told(one, one, one, one, left) for one, left in zip(guesses, truth, strict=True)],
            of=control,
        )
        for control, guesses in said.items()
    ]


def _told(life: LifeLeft, truth: float) -> Told:
    return Told(life.expected, life.middle, life.low, life.high, truth)


def rmse_capped(engines: Sequence[Told]) -> float:
    """Return the root mean squared error, prediction and truth no longer than the cap."""
    return _rms([min(one.said, CAP) - min(one.truth, CAP) for one in engines])


def rmse_truth_as_it_is(engines: Sequence[Told]) -> float:
    """Return the root mean squared error of the capped prediction against the truth as it is."""
    return _rms([min(one.said, CAP) - one.truth for one in engines])


def rmse_of_middle(engines: Sequence[Told]) -> float:
    """Return the root mean squared error of the intervals' middles, nothing capped."""
    return _rms([one.middle - one.truth for one in engines])


def phm08(engines: Sequence[Told]) -> float:
    """Return the score of the PHM 2008 challenge: 0 is perfect, ten cycles late count e - 1, thirteen early too."""
    late = np.array([min(one.said, CAP) - min(one.truth, CAP) for one in engines])
    return float(np.expm1(np.where(late < 0, -late / 13, late / 10)).sum())


def coverage(engines: Sequence[Told]) -> float:
    """Return the share of engines whose true life, uncapped, lies in the interval."""
    return float(np.mean([one.held for one in engines]))


def width(engines: Sequence[Told]) -> float:
    """Return the mean width of the intervals."""
    return float(np.mean([one.high - one.low for one in engines]))


def _rms(errors: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def _figure(
    name: str,
    statistic: Statistic,
    engines: Sequence[Told],
    *,
    unit: str = "cycles",
    bar_low: float | None = None,
    bar_high: float | None = None,
    of: str = "wearsight",
    note: str = "",
) -> Figure:
    low, high = interval(engines, statistic)
    return Figure(name, statistic(engines), unit, low, high, bar_low, bar_high, of, note)


def _table(folder: Path, name: str) -> Array:
    (path,) = sorted(path for path in folder.iterdir() if path.name.split(".")[0] == name)[:1]
    return np.atleast_2d(np.loadtxt(path))


def _runs(table: Array) -> list[Run]:
    """Return the engines in the order of their numbers, each from its first cycle."""
    return [
        Run(rows[:, _METRICS], rows[:, _SETTINGS])
        for engine in np.unique(table[:, 0])
        for rows in [table[table[:, 0] == engine]]
    ]
