"""A figure of the detection benchmark, with its interval and the bar it is held against."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One result; ``low`` and ``high`` are its 95 % bootstrap interval, ``bar_low`` and ``bar_high`` what is wanted.

    ``of`` says whose result it is: ``"wearsight"``, or the name of a control.
    """

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None
    bar_low: float | None = None
    bar_high: float | None = None
    of: str = "wearsight"
    note: str = ""

    @property
    def meets_bar(self) -> bool | None:
        """Whether the value lies within the bar; None where there is none, or nothing to judge (NaN)."""
        if math.isnan(self.value) or (self.bar_low is None and self.bar_high is None):
            return None
        return (self.bar_low is None or self.value >= self.bar_low) and (
            self.bar_high is None or self.value <= self.bar_high
        )
