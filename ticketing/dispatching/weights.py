"""The weighted parts of a score, each from 0 to 1, with what was measured (SPEC X1).

- distance: near / (near + km), so 1 beside the machine, one half at ``near_km``; 0 when a position is unknown
- load: the share of the load limit that is still free
- skill: the mean level in the required skills, 5 being 1; 1 when none is required
- first_time_fix: the lower bound of the share of repairs on this asset type that held (Wilson's score interval, one
  side at 95 %), so that one lucky repair does not outrank forty; above ``bonus_from`` it counts as 1
- same_fault: 1 for who handled this failure mode within ``same_fault_h``
- continuity: 1 for who closed the asset's newest ticket
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ticketing.dispatching.rules import limit_of
from ticketing.dispatching.shapes import Engineer, Job, Place
from ticketing.policy.dispatch import DispatchPolicy

EARTH_RADIUS_KM = 6371.0088
HIGHEST_LEVEL = 5
# The quantile of the normal distribution at 95 %.
WILSON_Z = 1.6449

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Values 0 to 1 and measures (NaN: unknown) of each distinct key by engineer; ``index`` leads from job to key."""

    values: Floats
    measures: Floats
    index: NDArray[np.intp]

    def expanded(self) -> Floats:
        """Return the values by job and engineer."""
        return self.values[self.index]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the score and the unit of its measure; ``weigh`` returns values and measures of keys by engineer."""

    name: str
    unit: str
    key: Callable[[Job], Hashable]
    weigh: Callable[[Sequence[Hashable], Sequence[Engineer], DispatchPolicy], tuple[Floats, Floats]]


def distances_km(places: Sequence[Place | None], others: Sequence[Place | None]) -> Floats:
    """Return great-circle distances in kilometres by the haversine formula, one row a place; NaN where one is None."""
    one, other = _radians(places)[:, None, :], _radians(others)[None, :, :]
    half_phi, half_lambda = (other[..., 0] - one[..., 0]) / 2, (other[..., 1] - one[..., 1]) / 2
    chord = np.sin(half_phi) ** 2 + np.cos(one[..., 0]) * np.cos(other[..., 0]) * np.sin(half_lambda) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(chord, 1.0))))


def wilson_low(held: int, repaired: int) -> float:
    """Return the lower end of Wilson's score interval for a share; 0 without any trial."""
    if repaired == 0:
        return 0.0
    share, square = held / repaired, WILSON_Z**2
    middle = share + square / (2 * repaired)
    spread = WILSON_Z * math.sqrt(share * (1 - share) / repaired + square / (4 * repaired**2))
    return max(0.0, (middle - spread) / (1 + square / repaired))


def tables(jobs: Sequence[Job], crew: Sequence[Engineer], policy: DispatchPolicy) -> Mapping[str, Table]:
    """Return every part's table."""
    found = {}
    for part in PARTS:
        keys: dict[Hashable, int] = {}
        index = np.array([keys.setdefault(part.key(job), len(keys)) for job in jobs], np.intp)
        found[part.name] = Table(*part.weigh(list(keys), crew, policy), index)
    return found


def _radians(places: Sequence[Place | None]) -> Floats:
    found = [(math.nan, math.nan) if place is None else (place.latitude, place.longitude) for place in places]
    return np.radians(np.array(found, np.float64).reshape(-1, 2))


def _distance(keys: Sequence[Hashable], crew: Sequence[Engineer], policy: DispatchPolicy) -> tuple[Floats, Floats]:
    places = [key if isinstance(key, Place) else None for key in keys]
    km = distances_km(places, [engineer.place for engineer in crew])
    return np.nan_to_num(policy.near_km / (policy.near_km + km), nan=0.0), km


def _load(keys: Sequence[Hashable], crew: Sequence[Engineer], policy: DispatchPolicy) -> tuple[Floats, Floats]:
    limits = np.array([max(limit_of(engineer, policy), 1) for engineer in crew], np.float64)
    opened = np.array([engineer.open_tickets for engineer in crew], np.float64)
    return np.maximum(1 - opened / limits, 0.0)[None, :], opened[None, :]


def _skill(keys: Sequence[Hashable], crew: Sequence[Engineer], _policy: DispatchPolicy) -> tuple[Floats, Floats]:
    means = np.full((len(keys), len(crew)), float(HIGHEST_LEVEL))
    for row, key in enumerate(keys):
        if isinstance(key, tuple) and key:
            means[row] = np.mean([[engineer.skills.get(skill, 0) for engineer in crew] for skill in key], axis=0)
    return means / HIGHEST_LEVEL, means


def _first_time_fix(
    keys: Sequence[Hashable], crew: Sequence[Engineer], policy: DispatchPolicy
) -> tuple[Floats, Floats]:
    def judge(engineer: Engineer) -> Iterator[tuple[Hashable, float, float]]:
        for asset_type_id, (repaired, held) in engineer.repairs.items():
            low = wilson_low(held, repaired)
            yield asset_type_id, (1.0 if low > policy.bonus_from else low), 100 * low

    return _sparse(keys, crew, judge)


def _same_fault(keys: Sequence[Hashable], crew: Sequence[Engineer], policy: DispatchPolicy) -> tuple[Floats, Floats]:
    # Whole hours, so that a decision that is taken again every half minute stays the same decision.
    return _sparse(
        keys,
        crew,
        lambda engineer: (
            (mode, 1.0 if hours <= policy.same_fault_h else 0.0, math.floor(hours))
            for mode, hours in engineer.handled_h.items()
        ),
    )


def _continuity(keys: Sequence[Hashable], crew: Sequence[Engineer], _policy: DispatchPolicy) -> tuple[Floats, Floats]:
    return _sparse(keys, crew, lambda engineer: ((engineer.person_id, 1.0, math.nan),))


def _sparse(
    keys: Sequence[Hashable],
    crew: Sequence[Engineer],
    judge: Callable[[Engineer], Iterable[tuple[Hashable, float, float]]],
) -> tuple[Floats, Floats]:
    """Return 0 and unknown, but for what an engineer is known by: (key, value, measure)."""
    rows = {key: row for row, key in enumerate(keys)}
    values, measures = np.zeros((len(keys), len(crew))), np.full((len(keys), len(crew)), math.nan)
    for column, engineer in enumerate(crew):
        for key, value, measure in judge(engineer):
            row = rows.get(key)
            if row is not None:
                values[row, column], measures[row, column] = value, measure
    return values, measures


PARTS: tuple[Part, ...] = (
    Part("distance", "km", lambda job: job.place, _distance),
    Part("load", "tickets", lambda _: None, _load),
    Part("skill", "level", lambda job: job.skills, _skill),
    Part("first_time_fix", "percent", lambda job: job.asset_type_id, _first_time_fix),
    Part("same_fault", "hours", lambda job: job.failure_mode_id, _same_fault),
    Part("continuity", "", lambda job: job.last_engineer_id, _continuity),
)
