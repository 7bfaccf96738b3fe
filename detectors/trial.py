"""Try a detector on a list of values, for examples, notebooks and tests; and have them all ready before work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.bank import Bank, FindingChange, Opened
from detectors.catalogue import CATALOGUE
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from domain.findings import Severity
from domain.readings import Readings
from domain.regimes import OperatingRegimes


def episodes(
    detector: str, parameters: Mapping[str, Scalar], values: Sequence[float], *, interval_s: float = 1.0
) -> list[tuple[int, int | None]]:
    """Return (opened, cleared) as indices into ``values``, one sample every ``interval_s``; None when still open."""
    bank = Bank()
    rule = RuleInForce(1, "trial", 1, "*", detector, parameters, Severity.MEDIUM, shadow=False)
    bank.add_series(1, 1, "trial", [rule])
    count = len(values)
    ts_us = (np.arange(1, count + 1) * interval_s * 1e6).astype(np.int64)
    changes = bank.feed(Readings(np.ones(count, np.int32), ts_us, np.asarray(values, np.float64)))
    return _indexed(changes, ts_us)


def group_episodes(
    detector: str,
    parameters: Mapping[str, Scalar],
    values: Mapping[str, Sequence[float] | NDArray[np.float64]],
    *,
    interval_s: float = 1.0,
) -> list[tuple[int, int | None]]:
    """Return what ``episodes`` does, of a detector that looks at several metrics at once: columns of one length."""
    bank = Bank()
    rule = RuleInForce(1, "trial", 1, "*", detector, parameters, Severity.MEDIUM, shadow=False)
    for series_id, metric in enumerate(values):
        bank.add_series(series_id, 1, metric, [rule])
    bank.watch_group(1, 1, {metric: series_id for series_id, metric in enumerate(values)}, [rule])
    columns = np.array(list(values.values()), np.float64)
    ts_us = (np.arange(1, columns.shape[1] + 1) * interval_s * 1e6).astype(np.int64)
    series = np.repeat(np.arange(len(columns), dtype=np.int32), ts_us.size)
    return _indexed(bank.feed(Readings(series, np.tile(ts_us, len(columns)), columns.ravel())), ts_us)


def _indexed(changes: Sequence[FindingChange], ts_us: NDArray[np.int64]) -> list[tuple[int, int | None]]:
    found: list[tuple[int, int | None]] = []
    for change in changes:
        at = change.finding.opened_at if isinstance(change, Opened) else change.cleared_at
        index = int(np.searchsorted(ts_us, round(at.timestamp() * 1e6)))
        if isinstance(change, Opened):
            found.append((index, None))
        else:
            found[-1] = (found[-1][0], index)
    return found


def warm_up(detectors: Iterable[str] = tuple(CATALOGUE)) -> None:
    """Compile every kernel these need, or load its machine code: seconds at first, so not in the middle of work."""
    bank = Bank()
    rules = [
        RuleInForce(number, name, 1, "*", name, CATALOGUE[name].least, Severity.LOW, shadow=True)
        for number, name in enumerate(detectors, start=1)
    ]
    bank.set_regimes(1, OperatingRegimes("warm-up", (1.0,), 0.0))
    metrics = {"warm-up": 1, "warm-up too": 2}
    for metric, series_id in metrics.items():
        bank.add_series(series_id, 1, metric, rules)
    bank.watch_group(1, 1, metrics, rules)
    bank.feed(Readings(np.array([1, 2], np.int32), np.ones(2, np.int64), np.ones(2, np.float64)))
    bank.tick([1], 1)
