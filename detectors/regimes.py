"""Which operating regime each row belongs to: the newest value of the metric that tells it, as of the row's time.

A value is believed until the next one, however long that takes: sources that report by exception speak only when
something changes. A row within ``settle_s`` of a change of regime belongs to none, nor does one that comes before
the metric has spoken. Rows of that metric that the quality gate took out tell nothing.

The answer does not depend on how rows are cut into batches as long as a batch holds all metrics of a message or
none; of a metric that another device reports, what has arrived by then counts.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import Record, cached_kernel, kernel, own_copy
from detectors.pace import BAD, BETWEEN, NO_REGIME, REGIME_SHIFT
from domain.regimes import MAX_EDGES, OperatingRegimes

# One row for each series whose values tell a regime.
TELLER = np.dtype(
    [("position", "i8"), ("settle_us", "i8"), ("count", "i8"), ("edges", "f8", (MAX_EDGES,))],
    align=True,
)

Teller = tuple[int, int, int, tuple[float, ...]]


def teller_row(position: int, regimes: OperatingRegimes) -> Teller:
    """Return the row of the series at ``position``, which tells these regimes."""
    edges = regimes.edges + (0.0,) * (MAX_EDGES - len(regimes.edges))
    return position, int(regimes.settle_s * 1e6), len(regimes.edges), edges


def regimes_key(regimes: OperatingRegimes | None) -> int:
    """Return a number that is another one when a regime's number means something else; 0 without regimes."""
    if regimes is None:
        return 0
    described = repr((regimes.metric, regimes.edges)).encode()
    (key,) = struct.unpack("<q", hashlib.sha256(described).digest()[:8])
    return int(key)


@kernel
def _move_on(teller: Record, pace: Record, ts_us: int, value: float) -> None:
    regime = 0
    for i in range(teller.count):
        regime += teller.edges[i] <= value
    if regime != pace.regime:
        pace.regime, pace.regime_us = regime, ts_us


def _mark_regimes(
    paces: NDArray[np.void],
    tellers: NDArray[np.void],
    told_by: NDArray[np.int32],
    runs: NDArray[np.int64],
    ts_us: NDArray[np.int64],
    value: NDArray[np.float64],
    flags: NDArray[np.uint8],
) -> None:
    tells = np.zeros((tellers.size, 2), np.int64)  # first and end row of what each teller says in this batch
    for i in range(runs.shape[0]):
        number = told_by[runs[i, 0]]
        if number >= 0 and tellers[number].position == runs[i, 0]:
            tells[number, 0], tells[number, 1] = runs[i, 1], runs[i, 2]
    for i in range(runs.shape[0]):
        number = told_by[runs[i, 0]]
        if number >= 0:
            teller = tellers[number]
            # Each series goes through what the teller says for itself; the teller's own pace moves on at the end.
            known = own_copy(paces[teller.position])
            at = tells[number, 0]
            for row in range(runs[i, 1], runs[i, 2]):
                while at < tells[number, 1] and ts_us[at] <= ts_us[row]:
                    if not flags[at] & BAD:
                        _move_on(teller, known, ts_us[at], value[at])
                    at += 1
                is_between = known.regime == NO_REGIME or ts_us[row] - known.regime_us < teller.settle_us
                flags[row] |= BETWEEN if is_between else known.regime << REGIME_SHIFT
    for number in range(tellers.size):
        for row in range(tells[number, 0], tells[number, 1]):
            if not flags[row] & BAD:
                _move_on(tellers[number], paces[tellers[number].position], ts_us[row], value[row])


# Writes the regime of each row into its flags: that of the series at position p is told by tellers[told_by[p]], -1
# where its asset has one regime only; then moves on what the paces of the tellers know.
mark_regimes = cached_kernel(_mark_regimes, name="mark_regimes")
