"""Operating regimes: the same machine under other loads has another normal (SPEC D2).

One metric of an asset type tells the regime: speed, load, the product that runs. Its range is cut by ``edges``; n
edges make n + 1 regimes, numbered from 0 at the bottom, and a value on an edge belongs to the regime above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

MAX_EDGES = 7


@dataclass(frozen=True, slots=True)
class OperatingRegimes:
    """``edges`` in the unit of ``metric``, rising, 1 to 7; ``settle_s`` seconds after a change belong to no regime.

    >>> OperatingRegimes("load", (20.0, 80.0), 60.0).regime_of(50.0)
    1
    """

    metric: str
    edges: tuple[float, ...]
    settle_s: float

    def __post_init__(self) -> None:
        if not 1 <= len(self.metric) <= 128:
            raise ValueError(f"the metric that tells the regime has 1 to 128 characters, got {self.metric!r}")
        if not 1 <= len(self.edges) <= MAX_EDGES:
            raise ValueError(f"1 to {MAX_EDGES} edges part the regimes, got {len(self.edges)}")
        if not all(math.isfinite(edge) for edge in self.edges):
            raise ValueError(f"edges must be numbers, got {self.edges}")
        if any(left >= right for left, right in pairwise(self.edges)):
            raise ValueError(f"edges must rise, got {self.edges}")
        if not 0 <= self.settle_s <= 366 * 86_400:
            raise ValueError(f"'settle_s' must lie between 0 and {366 * 86_400}, got {self.settle_s!r}")

    def regime_of(self, value: float) -> int:
        """Return the number of the regime that this value of the metric belongs to."""
        return sum(edge <= value for edge in self.edges)
