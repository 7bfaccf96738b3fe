"""Readings as columns: what crosses from ingest to storage and to the detectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MICROSECONDS_PER_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Readings:
    """A batch of readings, one row an index; the three arrays have equal length n.

    ``series_id`` is int32, ``ts_us`` int64 microseconds since 1970 UTC, ``value`` float64 in the series' unit
    and finite.
    """

    series_id: NDArray[np.int32]
    ts_us: NDArray[np.int64]
    value: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not (len(self.series_id) == len(self.ts_us) == len(self.value)):
            raise ValueError(
                f"columns must be of equal length, got {len(self.series_id)}, {len(self.ts_us)}, {len(self.value)}"
            )

    def __len__(self) -> int:
        return len(self.series_id)

    def in_series_time_order(self) -> Readings:
        """Return the same rows sorted by series, then time: the order in which detectors read them."""
        order = np.lexsort((self.ts_us, self.series_id))
        return Readings(self.series_id[order], self.ts_us[order], self.value[order])
