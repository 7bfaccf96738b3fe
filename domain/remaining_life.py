"""Remaining useful life: how long an asset has left before a failure mode, as an interval (SPEC D5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LifeMethod(StrEnum):
    """Where the interval comes from."""

    SIMILARITY = "similarity"
    TREND = "trend"


class LeftOut(StrEnum):
    """Why a run to failure teaches nothing of how lives go by."""

    TOO_SHORT = "too_short"
    NO_READINGS = "no_readings"
    METRIC_MISSING = "metric_missing"
    LITTLE_MEASURED = "little_measured"
    REGIME_UNKNOWN = "regime_unknown"


@dataclass(frozen=True, slots=True)
class RunsLearnt:
    """Of ``runs`` to failure ``used`` were learnt from; ``left_out`` counts the others, by reason."""

    runs: int
    used: int
    left_out: Mapping[LeftOut, int]


@dataclass(frozen=True, slots=True)
class RemainingLife:
    """The time left, in hours from ``as_of`` (aware UTC, the equipment's clock).

    The true value lies between ``low_h`` and ``high_h`` with probability ``coverage`` in (0, 1); ``middle_h`` is the
    median. ``runs`` counts the runs to failure behind it, 0 for a trend.
    """

    as_of: datetime
    low_h: float
    middle_h: float
    high_h: float
    coverage: float
    method: LifeMethod
    runs: int
