"""Short cuts: what ``calm`` takes leaves every state as ``update`` would have, to the last bit (SPEC D1, E6).

Each stream goes through two banks: one as it is, one whose loops know no short cut.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors import groups, t2q
from detectors.assembling import build_vector_run
from detectors.bank import Bank
from detectors.catalogue import CATALOGUE, DetectorSpec
from detectors.compiling import Record, kernel
from detectors.pace import ROWS_AT_ONCE
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from detectors.running import Role, build_run
from domain.findings import Severity
from domain.readings import Readings
from domain.regimes import OperatingRegimes
from tests.detection_builders import QUICK, START_US

SERIES = 6
VECTOR_UPDATES = {"t2q": t2q.update}
# Beside the quick ones, for every branch of a short cut: one side only, what is not watched, what is never settled.
MORE: dict[str, list[dict[str, Scalar]]] = {
    "quality": [{"max_rate": 4.0}],
    "threshold": [{"low": 9.0, "consecutive": 1}],
    "step": [{"window": 17, "limit": 3.0, "floor": 0.0, "consecutive": 1}, {"window": 300, "limit": 4.0}],
    "level": [{"high": 1.2, "smooth_s": 5.0, "learn_samples": 40}, {"low": 0.9, "learn_samples": 40}],
    "cusum": [{"side": "up", "h": 6.0, "learn_samples": 40}, {"side": "down", "h": 6.0, "learn_samples": 40}],
    "ewma": [{"side": "up", "limit": 3.0, "learn_samples": 40}, {"side": "down", "learn_samples": 40}],
    "rate": [{"learn_samples": 40, "side": "down", "factor": 1.0}, {"limit_per_s": 1.0, "over_s": 3.0}],
    "flatline": [{"samples": 3, "factor": 1.0, "resolution": 0.3, "learn_samples": 40}],
    "trend": [{"low": 0.0, "high": 12.0, "span_s": 3_000.0, "horizon_s": 9_000.0, "p_limit": 0.2}],
    "record": [{"limit": 0.02, "smooth": 6, "learn_samples": 40, "range_samples": 60, "quiet": 10}],
    "t2q": [{"learn_samples": 40, "calibrate_samples": 40, "factor": 1.0, "explained": 0.6, "max_age_s": 0.0}],
}


@kernel
def never_calm(
    state: Record, rule: Record, size: int, count: int, begins: np.ndarray, value: np.ndarray, tables: np.ndarray
) -> bool:
    """As ``running.never_calm``, of several metrics."""
    return False


def row_by_row(spec: DetectorSpec) -> DetectorSpec:
    """The same detector without its short cut."""
    if spec.vector is not None:
        vector = build_vector_run(f"{spec.name}_by_row", VECTOR_UPDATES[spec.name], never_calm)
        return replace(spec, vector=vector)
    if spec.role == Role.SILENCE:
        return spec
    return replace(spec, run=build_run(f"{spec.name}_by_row", spec.update, spec.role, spec.state))


@pytest.fixture(scope="module")
def slow() -> dict[str, DetectorSpec]:
    return {name: row_by_row(spec) for name, spec in CATALOGUE.items()}


def a_bank(*, regimes: bool, shadow: bool) -> Bank:
    """Three metrics on each of two devices, with every detector."""
    rules = [
        RuleInForce(10 * number + variant, name, 1, "*", name, parameters, Severity.LOW, shadow=shadow)
        for number, name in enumerate(CATALOGUE, start=1)
        for variant, parameters in enumerate([QUICK[name], *MORE.get(name, [])])
    ]
    bank = Bank()
    for series_id in range(SERIES):
        bank.add_series(series_id, 1 + series_id // 3, f"m{series_id % 3}", rules)
    for device in range(2):
        bank.watch_group(device, 1 + device, {f"m{number}": 3 * device + number for number in range(3)}, rules)
        if regimes:
            bank.set_regimes(1 + device, OperatingRegimes("m0", (10.0,), 2.0))
    return bank


def batches(seed: int) -> list[Readings]:
    """Calm and not so calm: gaps, steps, spikes, stuck values, wear, and rows that are missing here and there."""
    random, last_us, made = np.random.default_rng(seed), np.full(2, START_US), []
    for number in range(24):
        parts = []
        for series in range(SERIES):
            if series % 3 == 0:
                steps = np.where(random.random(random.integers(0, 3 * ROWS_AT_ONCE)) < 0.004, 300, 1) * 1_000_000
                ts_us = last_us[series // 3] + np.cumsum(steps, dtype=np.int64)
                last_us[series // 3] = ts_us[-1] if len(ts_us) else last_us[series // 3]
            its_us = ts_us[random.random(len(ts_us)) > 0.02] if random.random() < 0.3 else ts_us
            value = 10 + (0.5 if series % 3 else 2.0) * random.standard_normal(len(its_us))
            if number > 8:
                value += random.choice([0, 0, 0, 4, 0.2 * (number - 8)])
                value[random.random(len(value)) < 0.002] = 100.0
                value[: random.choice([0, 0, 30])] = 10.0
            parts.append((np.full(len(its_us), series, np.int32), its_us, value))
        made.append(Readings(*(np.concatenate(column) for column in zip(*parts, strict=True))))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_what_is_taken_in_a_short_cut_leaves_every_state_as_row_by_row(
    seed: int, slow: dict[str, DetectorSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, by_row = (a_bank(regimes=seed % 3 == 1, shadow=seed % 2 == 0) for _ in range(2))
    for name, table in by_row._tables.items():
        table.spec = slow[name]
    found = 0
    for number, readings in enumerate(batches(seed)):
        if number in (12, 18):
            for bank in (fast, by_row):
                bank.anchor(number // 6, int(readings.ts_us.max()))
        changes = fast.feed(readings)
        with monkeypatch.context() as patched:
            patched.setattr(groups, "CATALOGUE", slow)
            assert by_row.feed(readings) == changes
        assert fast.save(range(SERIES)) == by_row.save(range(SERIES))
        found += len(changes)
    assert found > 100
