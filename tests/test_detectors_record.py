"""The record detector: what is beyond everything so far, in value or in mean (SPEC D2)."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.bank import Bank, Cleared, Opened
from detectors.record import RecordParameters
from detectors.rules import RuleInForce
from detectors.trial import episodes
from domain.findings import Severity
from tests.detection_builders import START_US, a_bank, opened_in, readings_of


def a_record_bank(**parameters: float | None) -> Bank:
    return a_bank(RuleInForce(1, "test.record", 1, "*", "record", parameters, Severity.HIGH, shadow=False))


def wave(count: int, *, size: float = 1.0) -> list[float]:
    """A daily pattern of 50 samples with a little noise, between about -size and size."""
    noise = np.random.default_rng(3).uniform(-0.02, 0.02, count)
    return list(size * np.sin(np.arange(count) * 2 * np.pi / 50) + noise)


def test_a_value_beyond_everything_so_far_opens_and_one_barely_beyond_does_not() -> None:
    calm = wave(1_000)
    assert episodes("record", {}, [*calm, max(calm) + 0.1, *wave(200)]) == []
    assert episodes("record", {}, [*calm, max(calm) + 0.2, *wave(300)]) == [(1_000, 1_240)]
    assert episodes("record", {}, [*calm, min(calm) - 0.2, *wave(300)]) == [(1_000, 1_240)]


def test_values_that_are_known_singly_open_by_their_mean_when_they_come_in_a_row() -> None:
    calm = [0.02 * value for value in wave(1_000)]
    calm[::100] = [1.0] * 10
    values = [*calm, *[0.95] * 20]
    assert episodes("record", {"mean_limit": None}, values) == []
    (finding,) = opened_in(a_record_bank().feed(readings_of(values)))
    assert finding.evidence["smoothed_samples"] == 60
    assert 0.95 > finding.value > finding.limit > finding.evidence["baseline"] > 0
    (of_value,) = opened_in(a_record_bank().feed(readings_of([*calm, 3.0])))
    assert of_value.evidence["smoothed_samples"] == 1
    assert of_value.value == 3.0


def test_a_single_wild_value_is_no_unusual_level() -> None:
    """The mean takes it as no more than the largest so far, or it would be in alarm for a window."""
    values = [*wave(1_000), 1_000.0, *wave(200)]
    assert episodes("record", {"limit": 1_000.0}, values) == []


def test_a_record_counts_as_seen_so_that_the_next_must_be_larger_still() -> None:
    """ADR 6: one episode, one finding."""
    values = [*wave(1_000), 3.0, 4.0, 5.0, *wave(300), 4.9, 5.1, *wave(300), 9.0, *wave(100)]
    assert [opened for opened, _ in episodes("record", {}, values)] == [1_000, 1_605]


def test_an_episode_ends_also_when_the_data_paused_in_it() -> None:
    bank = a_record_bank()
    assert len(bank.feed(readings_of([*wave(1_000), 5.0]))) == 1
    (change,) = bank.feed(readings_of(wave(300), first=1_100))
    assert isinstance(change, Cleared)


def test_records_grow_rare_by_themselves() -> None:
    """The n-th of independent samples is the largest with probability 1 / n, whatever their distribution."""
    opened = [
        start
        for seed in range(10)
        for start, _ in episodes("record", {"limit": 0.0, "mean_limit": None}, _skewed(20_000, seed))
    ]
    early = sum(start < 2_000 for start in opened)
    late = sum(start >= 18_000 for start in opened)
    # Expected between 200 and 2,000: ln 10 = 2.3 a side and series; in the last tenth 0.1.
    assert 20 <= early <= 60
    assert late <= 6


def _skewed(count: int, seed: int) -> list[float]:
    return list(np.exp(np.random.default_rng(seed).standard_normal(count)))


def test_what_stood_alone_does_not_become_an_extreme_where_several_in_a_row_are_asked_for() -> None:
    values = [*wave(1_000), 50.0, *wave(100), 5.0, 5.0, 5.0, *wave(100)]
    assert [opened for opened, _ in episodes("record", {"consecutive": 3}, values)] == [1_103]


def test_a_signal_that_has_never_moved_is_learnt_from_once_it_moves() -> None:
    still, moving = [7.0] * 3_000, list(7 + np.array(wave(600)))
    assert episodes("record", {}, [*still, *moving]) == []
    assert [opened for opened, _ in episodes("record", {}, [*still, *moving, 9.0])] == [3_600]


def test_an_anchor_forgets_the_extremes_of_the_part_that_was_replaced() -> None:
    """SPEC D2: baselines are anchored after a repair."""
    bank = a_record_bank()
    bank.feed(readings_of([*wave(1_000), *wave(1_000, size=10.0)]))
    assert opened_in(bank.feed(readings_of(wave(500), first=2_000))) == []
    bank.anchor(1, START_US + 2_500_000_000)
    changes = bank.feed(readings_of([*wave(300), *[3.0] * 3], first=2_500))
    assert [type(change) for change in changes if isinstance(change, Opened | Cleared)] == [Opened]
    assert opened_in(changes)[0].value == 3.0


@pytest.mark.parametrize(
    "wrong",
    [{"limit": -0.1}, {"mean_limit": -1.0}, {"smooth": 0}, {"quiet": 0}, {"learn_samples": 30}, {"range_samples": 100}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RecordParameters(**wrong)
