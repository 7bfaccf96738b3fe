"""One measured figure beside the ceiling it is judged by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of one run.

    ``value`` is in ``unit``; ``ceiling`` names what was measured beside it in the same run, ``ratio`` is the
    figure over that ceiling (or the ceiling over the figure where less is better, so that more is always better);
    ``bar`` is the wanted ratio, or the wanted value where the bar is absolute, None where there is none.
    """

    name: str
    value: float
    unit: str
    ceiling: str
    ratio: float
    bar: float | None
    bar_is_absolute: bool = False

    @property
    def meets_bar(self) -> bool | None:
        """Say whether the bar is met (an absolute bar is an upper limit), None when there is none."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.bar_is_absolute else self.ratio >= self.bar
