"""The quality gate (SPEC D1): what it takes out, what it believes again, and that it comes first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.quality import QualityParameters
from detectors.trial import episodes
from domain.readings import Readings
from ingest.judging import cut_level
from tests.detection_builders import START_US, a_bank, a_rule, noise, opened_in, readings_of
from tests.ingest_builders import NOW, SECOND, Line, a_device, a_plant, findings, telemetry, topic
from tests.ingest_builders import a_rule as a_stored_rule

GATE = a_rule("quality", rule_id=9, low=0.0, high=100.0)
EAGER = a_rule("threshold", consecutive=1)


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one of"):
        QualityParameters()
    with pytest.raises(ValueError, match="must lie below"):
        QualityParameters(low=1.0, high=1.0)
    with pytest.raises(ValueError, match="max_rate"):
        QualityParameters(max_rate=-1.0)


@pytest.mark.parametrize("value", [-0.1, 100.1, float("nan"), float("inf"), -float("inf")])
def test_what_no_machine_can_have_read_never_reaches_a_limit(value: float) -> None:
    bank = a_bank(replace(EAGER, parameters={"high": 90.0, "low": 5.0, "consecutive": 1}), GATE)
    changes = bank.feed(readings_of([*noise(10), value, value, value, *noise(10)]))
    (finding,) = opened_in(changes)
    assert finding.rule_id == GATE.rule_id
    assert finding.evidence["count"] == finding.evidence["excluded"] == 3
    assert np.isfinite([finding.value, finding.score, finding.limit]).all()


def test_a_gate_in_shadow_takes_nothing_out() -> None:
    changes = a_bank(EAGER, replace(GATE, shadow=True)).feed(readings_of([10.0, 1_000.0, 10.0]))
    assert [finding.rule_id for finding in opened_in(changes)] == [EAGER.rule_id]


def test_the_way_back_from_a_spike_is_no_second_one() -> None:
    """One unit a second: up by fifty is too fast, and so would be the way back if it counted from the spike."""
    spikes = [10.0, 10.5, 60.0, 10.5, 60.0, 11.0, 60.0, 11.5]
    assert episodes("quality", {"max_rate": 1.0, "consecutive": 2}, spikes) == []
    assert episodes("quality", {"max_rate": 1.0, "consecutive": 1}, spikes[:4]) == [(2, 3)]


def test_after_a_true_jump_the_new_level_is_believed_in_time() -> None:
    assert episodes("quality", {"max_rate": 2.0}, [10.0, *([20.0] * 10)]) == [(3, 7)]


def test_a_contact_that_jumps_both_ways_is_one_episode() -> None:
    assert episodes("quality", {"low": 0.0, "high": 100.0}, [10, -500, 500, -500, 500, 10, 10, 10]) == [(3, 7)]


def test_a_bad_row_that_an_anchor_falls_on_starts_the_new_baseline_all_the_same() -> None:
    """ADR 7: after the repair thirty is normal, though the first row after it was nonsense."""
    bank = a_bank(a_rule("level"), GATE)
    bank.feed(readings_of(list(noise(100))))
    bank.anchor(1, START_US + 100_000_000)
    assert opened_in(bank.feed(readings_of([1_000.0, *noise(80, centre=30.0)], first=100))) == []


def test_two_gates_take_out_what_either_of_them_calls_bad() -> None:
    other = a_rule("quality", rule_id=10, low=-1_000.0, high=1_000.0, max_rate=5.0)
    bank = a_bank(a_rule("threshold", high=25.0, consecutive=1), GATE, other)
    assert bank.feed(readings_of([10.0, 50.0, 10.0, -50.0, 10.0])) == []


def test_no_series_of_a_device_is_read_back_beyond_what_the_others_have_reached() -> None:
    """Of the first device series 2 has more rows than were asked for; the second device is read to its end."""
    series = np.array([1, 1, 2, 2, 2, 3], np.int32)
    times = np.array([10, 40, 10, 20, 30, 90], np.int64)
    cut = cut_level(Readings(series, times, np.zeros(6)), 3, [[1, 2], [3]])
    assert cut.series_id.tolist() == [1, 2, 2, 2, 3]
    assert cut.ts_us.tolist() == [10, 10, 20, 30, 90]


def test_the_gate_works_in_the_ingesters_as_in_a_notebook(database: str) -> None:
    with a_plant(database) as plant:
        a_device(plant)
        a_stored_rule(plant, "sane", detector="quality", low=0.0, high=100.0, consecutive=2)
        a_stored_rule(plant, "hot", high=50.0, consecutive=1)
        line = Line(database)
        values = [10.0, 3_276.0, 10.0, 3_276.0, 3_276.0, 10.0, 60.0]
        line.take(*((topic(), telemetry(NOW + second * SECOND, t=value)) for second, value in enumerate(values)))
        assert findings(line) == [(NOW + 4 * SECOND, NOW + 6 * SECOND, "t"), (NOW + 6 * SECOND, None, "t")]
        assert line.rows("select detector from finding order by opened_at") == [("quality",), ("threshold",)]
