"""Detection: what a sample costs in the whole streaming set, and in each detector alone.

One thousand series of calm noise, every detector of the catalogue on each of them, fed in batches as ingest feeds
them. The time is that of the process, not of the wall, because the bar is per core, and the
best of many batches, because other processes share the caches. The ceiling beside it is the
same columns copied by numpy: what touching the samples at all costs on this machine, in this run.
"""

from __future__ import annotations

import time

import numpy as np

from bench.rows import Row
from detectors.bank import Bank
from detectors.catalogue import CATALOGUE
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from domain.findings import Severity
from domain.readings import Readings

SERIES = 1_000
METRICS = 8  # of each device, for detectors that look at several at once
BAR_NS = 50.0
WARM_UP_BATCHES, WARM_UP_ROWS = 10, 1_000  # until baselines are learnt, windows full, and new records rare
MEASURED_BATCHES = 40
# Limits that calm noise does not cross: findings are rare in real life too.
PARAMETERS: dict[str, dict[str, Scalar]] = {
    "quality": {"low": -1e9, "high": 1e9, "max_rate": 1e9},
    "threshold": {"low": -1e9, "high": 1e9},
    "step": {},
    "level": {"high": 2.0, "low": 0.5},
    "cusum": {"h": 60.0},
    "ewma": {"limit": 15.0},
    "rate": {"limit_per_s": 1e9},
    "flatline": {},
    # A block a minute, where a real rule has one in hours: the work per block is in the figure.
    "trend": {"high": 1e9, "span_s": 6_000.0},
    "record": {},
    "t2q": {"learn_samples": 200, "calibrate_samples": 200, "factor": 20.0},
    "missing": {},
}


def measure() -> list[Row]:
    """Measure the whole set at two batch shapes and each detector alone; takes about half a minute."""
    every = list(CATALOGUE)
    rows = [_row("all detectors, 20 rows a series", every, 20, BAR_NS), _row("all detectors, 1 row a series", every, 1)]
    rows += [_row(f"{name} alone, 20 rows a series", [name], 20) for name in every]
    return rows


def _row(name: str, detectors: list[str], rows_each: int, bar: float | None = None) -> Row:
    judged, copied = _cost_ns(detectors, rows_each)
    return Row(
        name=f"detection: {name}",
        value=judged,
        unit="ns/sample",
        ceiling=f"{copied:.1f} ns/sample to copy the columns",
        ratio=copied / judged,
        bar=bar,
        bar_is_absolute=bar is not None,
    )


def _cost_ns(detectors: list[str], rows_each: int) -> tuple[float, float]:
    bank = Bank()
    rules = [
        RuleInForce(number, name, 1, "*", name, PARAMETERS[name], Severity.LOW, shadow=False)
        for number, name in enumerate(detectors, start=1)
    ]
    for series_id in range(SERIES):
        bank.add_series(series_id, 1, "signal", rules)
    for first in range(0, SERIES, METRICS):
        bank.watch_group(first, 1, {f"signal_{number}": first + number for number in range(METRICS)}, rules)
    random = np.random.default_rng(0)
    for number in range(WARM_UP_BATCHES):
        bank.feed(_batch(number * WARM_UP_ROWS, WARM_UP_ROWS, random))
    first = WARM_UP_BATCHES * WARM_UP_ROWS
    judged, copied = [], []
    for number in range(MEASURED_BATCHES):
        batch = _batch(first + number * rows_each, rows_each, random)
        began = time.process_time_ns()
        bank.feed(batch)
        judged.append(time.process_time_ns() - began)
        copied.append(_copy_ns(batch))
    samples = SERIES * rows_each
    return min(judged) / samples, min(copied) / samples


def _batch(first: int, rows_each: int, random: np.random.Generator) -> Readings:
    ts_us = (np.arange(first, first + rows_each, dtype=np.int64) + 1) * 1_000_000
    return Readings(
        np.repeat(np.arange(SERIES, dtype=np.int32), rows_each),
        np.tile(ts_us, SERIES),
        10 + 0.5 * random.standard_normal(SERIES * rows_each),
    )


def _copy_ns(batch: Readings) -> float:
    columns = (batch.series_id, batch.ts_us, batch.value)
    targets = [np.empty_like(column) for column in columns]
    repeats = 20
    began = time.process_time_ns()
    for _ in range(repeats):
        for target, column in zip(targets, columns, strict=True):
            np.copyto(target, column)
    return (time.process_time_ns() - began) / repeats
