"""Hydraulic rig: four parts in graded condition, and which grades the levels of the shipped library tell apart.

One row is one load cycle, judged by its means. For one part at a time, cycles with equal grades of the other three
parts form a group, as an operating regime does: the mean over the first half of its cycles with the part in good order
is the baseline of the group, and each other cycle is its ratio to that. A cycle is told apart when a ratio is beyond
``high`` or ``low`` of a rule of the library ``hydraulic_rig``; good cycles of the second half are false when they are.
Cycles that the data set calls unsettled are left out.

The pressures and the motor's power are not in this copy, so that accumulator and valve have no signal of their own;
and grades were run one after the other, so that any limit below one per cent would see the time of day in the oil.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.detection.bootstrap import interval
from bench.detection.controls import ALWAYS_ON, AT_RANDOM
from bench.detection.figures import Figure
from detectors.level import LevelParameters
from detectors.parameters import read
from storage.library import shipped_libraries

TITLE = "Hydraulic rig, graded conditions"
FOLDER = "hydraulic"

GOOD = {"cooler_pct": 100, "valve_pct": 100, "pump_leak": 0, "accumulator_bar": 130}
PART = {"cooler_pct": "cooler", "valve_pct": "valve", "pump_leak": "pump", "accumulator_bar": "accumulator"}
METRIC = {"CE": "cooling_efficiency_pct", "SE": "efficiency_pct", "FS1": "flow_l_min", "TS1": "oil_temperature_c"}
LEAST_GOOD_CYCLES = 4


@dataclass(frozen=True, slots=True)
class Group:
    """Cycles alike but for one part, True where a rule is beyond its limit: held-back good ones and by worse grade."""

    good: NDArray[np.bool_]
    worse: dict[int, NDArray[np.bool_]]


def score(folder: Path) -> list[Figure]:
    """Score each part; a part without a group that has both grades is left out."""
    if not all((folder / f"{name}.csv.gz").is_file() for name in ("profile", *METRIC)):
        return []
    profile = pd.read_csv(folder / "profile.csv.gz")
    settled = (profile["stable_flag"] == 0).to_numpy()
    means = [pd.read_csv(folder / f"{name}.csv.gz", header=None).to_numpy(np.float64).mean(axis=1) for name in METRIC]
    features = np.column_stack(means)[settled]
    profile = profile[settled].reset_index(drop=True)
    good: list[NDArray[np.bool_]] = []
    worse: list[NDArray[np.bool_]] = []
    figures = []
    for condition, part in PART.items():
        groups = _groups(condition, profile, features)
        if groups:
            figures += _of_part(part, groups)
            good += [group.good for group in groups]
            worse += [cycles for group in groups for cycles in group.worse.values()]
    if not good:
        return []
    called = float(np.concatenate(good + worse).mean())
    for control, share in ((ALWAYS_ON, 1.0), (AT_RANDOM, called)):
        figures += [
            Figure("cycles of worse grades told apart", share, of=control),
            Figure("good cycles called worse", share, of=control),
        ]
    return figures


def _of_part(part: str, groups: Sequence[Group]) -> list[Figure]:
    cycles = sum(len(group.good) for group in groups)
    false = _share(lambda group: group.good)
    name = f"good cycles called worse, {part}"
    figures = [
        Figure(name, false(groups), "", *interval(groups, false), note=f"{cycles} cycles in {len(groups)} groups")
    ]
    for grade in sorted({grade for group in groups for grade in group.worse}):
        having = [group for group in groups if grade in group.worse]
        found = _share(_of_grade(grade))
        cycles = sum(len(group.worse[grade]) for group in having)
        name = f"cycles told apart, {part} at {grade}"
        figures.append(Figure(name, found(having), "", *interval(having, found), note=f"{cycles} cycles"))
    return figures


def _share(pick: Callable[[Group], NDArray[np.bool_]]) -> Callable[[Sequence[Group]], float]:
    return lambda some: float(np.concatenate([pick(group) for group in some]).mean())


def _of_grade(grade: int) -> Callable[[Group], NDArray[np.bool_]]:
    return lambda group: group.worse[grade]


def _groups(condition: str, profile: pd.DataFrame, features: NDArray[np.float64]) -> list[Group]:
    limits = _limits()
    groups = []
    for _, rows in profile.groupby([name for name in GOOD if name != condition]):
        grades = rows[condition].to_numpy()
        good = features[rows.index[grades == GOOD[condition]]]
        worse = {int(grade): features[rows.index[grades == grade]] for grade in set(grades) - {GOOD[condition]}}
        if len(good) < LEAST_GOOD_CYCLES or not worse:
            continue
        half = len(good) // 2
        baseline = good[:half].mean(axis=0)
        told = {grade: _beyond(cycles / baseline, limits) for grade, cycles in worse.items()}
        groups.append(Group(_beyond(good[half:] / baseline, limits), told))
    return groups


def _beyond(ratios: NDArray[np.float64], limits: NDArray[np.float64]) -> NDArray[np.bool_]:
    # No comparison with the NaN of a limit that is not set holds.
    told: NDArray[np.bool_] = ((ratios > limits[0]) | (ratios < limits[1])).any(axis=1)
    return told


def _limits() -> NDArray[np.float64]:
    """Return the ratios above and below which the library's rules open, NaN where there is none."""
    (library,) = (one for one in shipped_libraries() if one.asset_type == "hydraulic_rig")
    found = {rule.metric: read(LevelParameters, rule.parameters) for rule in library.rules if rule.detector == "level"}
    set_to = [found[metric] for metric in METRIC.values()]
    return np.array(
        [
            [one.high if isinstance(one, LevelParameters) and one.high is not None else np.nan for one in set_to],
            [one.low if isinstance(one, LevelParameters) and one.low is not None else np.nan for one in set_to],
        ]
    )
