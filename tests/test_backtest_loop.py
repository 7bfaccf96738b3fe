"""The closed loop in long batches gives the tickets of the loop row by row (SPEC D6, D7)."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from detectors.closed_loop import ClosedLoop, Columns, Machine, history_of
from detectors.library import Library, RuleDraft, RuleMode
from domain.events import COMPONENT_REPLACED
from domain.failure_modes import EventSign, FindingSign, PartAgeSign, Signature
from domain.findings import Direction, Severity
from domain.readings import Readings
from storage.library import shipped_libraries
from tests import recorded_evaluation
from tests.conftest import recorded_data
from tests.detection_builders import QUICK, START, a_mode, an_event
from tests.recorded_evaluation import replay_furnace, replay_presses
from tests.row_by_row import RowByRow

HOURS = 24 * 90


def a_library() -> Library:
    """Two modes on two metrics, four detectors, findings, errors and ages that bring them to tickets."""
    signature = Signature(
        findings=(
            FindingSign("vibration", "level", Direction.UP, 24.0, 3.0),
            FindingSign("vibration", "cusum", None, 12.0, 2.0),
            FindingSign("vibration", "step", None, 12.0, 1.5),
        ),
        events=(EventSign("E7", 24.0, 3.0), EventSign("E8", 24.0, 2.0)),
        part_age=PartAgeSign(14.0, 1.0, -1.0),
    )
    heat = Signature(findings=(FindingSign("heat", "*", Direction.UP, 48.0, 6.0),))
    modes = (a_mode(signature=signature), a_mode("hot", signature=heat))
    rules = tuple(
        RuleDraft(f"r.{metric}.{name}", "motor", metric, name, QUICK[name], Severity.HIGH, RuleMode.AUTO)
        for metric in ("vibration", "heat")
        for name in ("threshold", "level", "cusum", "step")
    )
    return Library("motor", "Motor", "电机", modes, rules)


def a_machine(seed: int) -> Machine:
    """Three months by the hour with shifts, spikes, holes, errors and replacements at random."""
    random = np.random.default_rng(seed)
    index = pd.date_range(START, periods=HOURS, freq="h", tz="UTC")
    values = {}
    for metric in ("vibration", "heat", "other"):
        level = np.cumsum(random.choice([0.0, 0.0, 3.0, -3.0], HOURS) * (random.random(HOURS) < 0.01))
        value = 10 + 0.5 * random.standard_normal(HOURS) + np.clip(level, -4, 8)
        value[random.random(HOURS) < 0.05] = np.nan
        values[metric] = value
    keep = random.random(HOURS) > 0.03
    codes = [(float(hour), str(random.choice(["E7", "E8", "E9"]))) for hour in random.uniform(0, HOURS, 60)]
    events = [an_event(code, hours=hour) for hour, code in codes]
    for hour in [*random.uniform(0, HOURS, 4), float(random.integers(HOURS)), HOURS + 5.0]:
        events.append(an_event(COMPONENT_REPLACED, hours=float(hour), attributes={"component": "bearing"}))
    return Machine(
        7,
        pd.DataFrame(values, index=index)[keep],
        sorted(events, key=lambda event: event.ts),
        {"bearing": [START - timedelta(days=9)]},
    )


@pytest.mark.parametrize("repaired_after", [None, timedelta(hours=24), timedelta(minutes=90), timedelta(days=20)])
@pytest.mark.parametrize("seed", range(6))
def test_long_batches_give_the_tickets_that_rows_give(seed: int, repaired_after: timedelta | None) -> None:
    """SPEC D6: the same detectors on the stream and in a backtest."""
    library, machine = a_library(), a_machine(seed)
    slow = RowByRow(library, machine, repaired_after=repaired_after).run()
    fast = ClosedLoop(library, machine, repaired_after=repaired_after).run()
    assert len(slow) >= 3, "the stream must give something to compare"
    assert fast == slow


@pytest.mark.recorded
def test_recorded_machines_give_the_same_tickets_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recorded_data()
    assert folder is not None
    libraries = {library.asset_type: library for library in shipped_libraries()}
    nab = folder / "nab"
    series = nab / "realKnownCause" / "machine_temperature_system_failure_part1.csv.gz"
    found = []
    for loop in (ClosedLoop, RowByRow):
        monkeypatch.setattr(recorded_evaluation, "ClosedLoop", loop)
        presses, _ = replay_presses(folder / "azure-pdm", libraries["press"])
        furnace, _ = replay_furnace(series, nab / "combined_windows.json", libraries["furnace"])
        found.append((presses, furnace))
    assert len(found[0][0]) > 20
    assert found[0] == found[1]


def test_columns_give_every_row_once_in_order_of_time() -> None:
    random = np.random.default_rng(0)
    series = np.sort(random.integers(1, 5, 400)).astype(np.int32)
    ts_us = np.concatenate([np.sort(random.choice(5_000, (series == one).sum(), replace=False)) for one in range(1, 5)])
    columns = Columns(Readings(series, ts_us.astype(np.int64), random.random(400)))
    given, last = 0, -1
    for stop in (0, 700, 701, 3_000, 10_000):
        part = columns.until(stop)
        given += len(part)
        assert len(part) == 0 or (part.ts_us.min() > last and part.ts_us.max() < stop)
        assert np.array_equal(part.series_id, np.sort(part.series_id))
        last = stop - 1
    assert given == 400
    assert len(columns.until(20_000)) == 0


def test_a_frame_becomes_columns_without_what_is_not_there() -> None:
    index = pd.date_range(START, periods=3, freq="s", tz="UTC")
    history = history_of(Machine(7, pd.DataFrame({"a": [1.0, np.nan, 3.0], "b": [np.nan] * 3}, index=index)))
    assert history.metrics == {1: "a", 2: "b"}
    assert history.readings.series_id.tolist() == [1, 1]
    assert history.readings.value.tolist() == [1.0, 3.0]
    assert (history.readings.ts_us - history.readings.ts_us[0]).tolist() == [0, 2_000_000]
