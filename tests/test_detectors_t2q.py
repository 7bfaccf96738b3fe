"""T2 and Q: the model against numpy, contributions, and rows assembled from several metrics (SPEC D3, E6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.bank import Bank, Cleared, FindingChange, Opened
from detectors.compiling import cached_kernel
from detectors.eigenvectors import eigenvectors
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from detectors.t2q import T2QParameters
from detectors.trial import group_episodes
from domain.findings import Finding, Severity
from domain.readings import Readings
from tests.detection_builders import START_US, opened_in

METRICS = ("current", "load", "speed", "temperature")
LEARNT = {"learn_samples": 200, "calibrate_samples": 200}


def a_rule_of(metric: str = "*", *, rule_id: int = 1, **changes: Scalar) -> RuleInForce:
    parameters = {**LEARNT, **changes}
    return RuleInForce(rule_id, "test.t2q", 1, metric, "t2q", parameters, Severity.HIGH, shadow=False)


def a_device(
    *rules: RuleInForce, metrics: tuple[str, ...] = METRICS, own: Mapping[int, list[RuleInForce]] | None = None
) -> Bank:
    """A bank that watches one device, device 5 of asset 7; its series are numbered from 1 in the order of metrics."""
    bank = Bank()
    series = {metric: number for number, metric in enumerate(metrics, start=1)}
    for metric, series_id in series.items():
        bank.add_series(series_id, 7, metric, [*rules, *(own or {}).get(series_id, [])])
    bank.watch_group(5, 7, series, rules)
    return bank


def working(count: int, *, seed: int = 0) -> np.ndarray:
    """A machine at changing load: four metrics, of which the load tells all but a little; one row a metric."""
    random = np.random.default_rng(seed)
    # Uniform, so that nothing lies so far out that it is taken in while learning.
    load, noise = random.uniform(-1, 1, count), random.uniform(-0.2, 0.2, (3, count))
    return np.stack([20 + 5 * load + noise[0], 50 + 10 * load, 1500 - 20 * load + 20 * noise[1], 60 + load + noise[2]])


def told(values: np.ndarray, *, first: int = 0, without: Mapping[int, range] | None = None) -> Readings:
    """One message a second with a value of each metric, in series-time order; some series leave rows out."""
    series, times, numbers = [], [], []
    for place, column in enumerate(values):
        rows = [row for row in range(values.shape[1]) if row not in (without or {}).get(place + 1, ())]
        series += [place + 1] * len(rows)
        times += [START_US + (first + row) * 1_000_000 for row in rows]
        numbers += list(column[rows])
    return Readings(np.array(series, np.int32), np.array(times, np.int64), np.array(numbers, np.float64))


def part(readings: Readings, start_us: int, stop_us: int) -> Readings:
    chosen = (readings.ts_us >= start_us) & (readings.ts_us < stop_us)
    return Readings(readings.series_id[chosen], readings.ts_us[chosen], readings.value[chosen])


def broken(seed: int = 0) -> np.ndarray:
    """Calm for 500 rows; then the current is off by 4 for 50, yet nearer to its middle than before; calm again."""
    values = working(700, seed=seed)
    values[0, 500:550] -= 4.0 * np.sign(values[0, 500:550] - 20.0)
    return values


def second_of(finding: Finding) -> float:
    return finding.opened_at.timestamp() - START_US / 1e6


# The model


@pytest.mark.parametrize("size", [2, 5, 16])
def test_eigenvectors_are_those_of_numpy(size: int) -> None:
    random = np.random.default_rng(size)
    matrix = np.corrcoef(random.standard_normal((size, 3 * size)))
    compiled = cached_kernel(lambda a: eigenvectors(a), name=f"eigenvectors_{size}")
    values, vectors = compiled(matrix)
    assert values == pytest.approx(np.linalg.eigvalsh(matrix)[::-1], abs=1e-10)
    assert vectors @ vectors.T == pytest.approx(np.eye(size), abs=1e-10)
    assert vectors.T @ np.diag(values) @ vectors == pytest.approx(matrix, abs=1e-10)


def reference(values: np.ndarray, row: int, *, shrink: float = 0.01) -> tuple[float, float, float, float]:
    """T2, its limit, Q and its limit at this row, in plain numpy, of a model without far values."""
    mean, spread = values[:, :200].mean(axis=1), values[:, :200].std(axis=1, ddof=1)
    z = (values - mean[:, None]) / spread[:, None]
    correlation = (1 - shrink) * np.corrcoef(z[:, :200]) + shrink * np.eye(len(values))
    variances, vectors = np.linalg.eigh(correlation)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    kept = int(np.searchsorted(np.cumsum(variances), 0.9 * len(values))) + 1
    scores = vectors[:, :kept].T @ z
    t2 = (scores**2 / variances[:kept, None]).sum(axis=0)
    q = ((z - vectors[:, :kept] @ scores) ** 2).sum(axis=0)
    limits = [2 * np.quantile(one[200:400], 0.99, method="inverted_cdf") for one in (t2, q)]
    return t2[row], limits[0], q[row], limits[1]


@pytest.mark.parametrize("seed", range(4))
def test_statistics_and_limits_are_those_of_numpy(seed: int) -> None:
    values = broken(seed)
    (finding,) = opened_in(a_device(a_rule_of()).feed(told(values)))
    t2, t2_limit, q, q_limit = reference(values, int(second_of(finding)))
    assert finding.evidence["t2"] == pytest.approx(t2, rel=1e-6)
    assert finding.evidence["t2_limit"] == pytest.approx(t2_limit, rel=1e-6)
    assert finding.evidence["q"] == pytest.approx(q, rel=1e-6)
    assert finding.evidence["q_limit"] == pytest.approx(q_limit, rel=1e-6)
    assert finding.score == pytest.approx(max(t2 / t2_limit, q / q_limit), rel=1e-6)


def test_a_broken_pattern_within_all_limits_is_found_on_the_metric_that_broke_it() -> None:
    """SPEC D3."""
    values = broken()
    assert values[0, 500:550].max() < values[0, :500].max()
    opened, cleared = a_device(a_rule_of()).feed(told(values))
    assert isinstance(opened, Opened)
    assert isinstance(cleared, Cleared)
    finding = opened.finding
    assert 500 <= second_of(finding) <= 520
    assert (finding.metric, finding.series_id, finding.asset_id) == ("current", 1, 7)
    assert (cleared.series_id, cleared.opened_at) == (1, finding.opened_at)
    shares = {name: share for name, share in finding.evidence.items() if name.startswith("contribution:")}
    assert shares.keys() == {f"contribution:{metric}" for metric in METRICS}
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= 0
    assert max(shares, key=lambda name: shares[name]) == "contribution:current"


def test_a_working_point_far_out_within_the_pattern_is_told_by_t2() -> None:
    values = working(700)
    mean = values[:, :400].mean(axis=1)
    values[:, 500:550] = mean[:, None] + 6 * (values[:, 500:550] - mean[:, None])
    found = opened_in(a_device(a_rule_of(consecutive=1)).feed(told(values)))
    evidence = found[0].evidence
    assert evidence["t2"] > evidence["t2_limit"]
    shares = [share for name, share in evidence.items() if name.startswith("contribution:")]
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize("far_out", [False, True])
def test_at_its_limit_the_metric_alone_would_put_the_statistic_at_its_limit(far_out: bool) -> None:
    """What ``limit`` and ``baseline`` of the finding mean."""
    values = broken()
    if far_out:
        values[:, 500:550] = values[:, :400].mean(axis=1)[:, None] + 6 * np.ones((4, 50)) * [[5], [10], [-20], [1]]
    (finding, *_) = opened_in(a_device(a_rule_of(consecutive=1)).feed(told(values)))
    row, place = int(second_of(finding)), METRICS.index(finding.metric)
    by_t2 = finding.evidence["t2"] / finding.evidence["t2_limit"] > finding.evidence["q"] / finding.evidence["q_limit"]
    assert by_t2 == far_out

    def statistic(value: float) -> float:
        changed = values.copy()
        changed[place, row] = value
        t2, t2_limit, q, q_limit = reference(changed, row)
        return t2 / t2_limit if by_t2 else q / q_limit

    assert statistic(finding.value) == pytest.approx(finding.score, rel=1e-6)
    if statistic(finding.evidence["baseline"]) < 1:
        assert statistic(finding.limit) == pytest.approx(1.0, rel=1e-6)
    around = [statistic(finding.evidence["baseline"] + step) for step in (-0.1, 0.1)]
    assert min(around) > statistic(finding.evidence["baseline"])
    assert finding.direction == ("up" if finding.value > finding.evidence["baseline"] else "down")


def test_calm_work_is_silent() -> None:
    assert a_device(a_rule_of()).feed(told(working(20_000))) == []


def test_one_wild_row_raises_nothing_also_while_learning() -> None:
    values = broken()
    values[:, 100] = 1e6
    values[2, 450] = 1e6
    (finding,) = opened_in(a_device(a_rule_of()).feed(told(values)))
    assert finding.metric == "current"
    assert second_of(finding) >= 500


def test_metrics_that_never_moved_or_are_copies_of_each_other_are_silent() -> None:
    values = working(3_000)
    copies = np.stack([values[1], values[1] * (1 + 1e-12), np.full(3_000, 4.0)])
    assert a_device(a_rule_of(), metrics=("a", "b", "c")).feed(told(copies)) == []
    assert a_device(a_rule_of(), metrics=("a", "b")).feed(told(np.ones((2, 3_000)))) == []


# Rows, and the life of a group


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_batches_and_restarts_anywhere_give_the_same_findings_and_state(data: st.DataObject) -> None:
    """SPEC E6, ADR 3: split at any time, with metrics that come at other times, gaps and an anchor waiting."""
    values = broken(data.draw(st.integers(0, 3)))
    silences = st.tuples(st.integers(0, 690), st.integers(1, 120))
    without = {place: range(a, a + n) for place, (a, n) in enumerate(data.draw(st.lists(silences, max_size=4)), 1)}
    readings = told(values, without=without)
    anchor_us = data.draw(st.sampled_from([None, START_US + 100_000_000, START_US + 520_000_000]))
    cuts = [START_US + at * 1_000_000 for at in sorted(data.draw(st.sets(st.integers(1, 699), max_size=5)))]
    max_age_s = data.draw(st.sampled_from([0.0, 30.0]))
    rule = a_rule_of(max_age_s=max_age_s, learn_samples=60, calibrate_samples=60)
    whole, parted = a_device(rule), a_device(rule)
    for bank in (whole, parted):
        if anchor_us is not None:
            bank.anchor(2, anchor_us)
    expected = whole.feed(readings)
    found: list[FindingChange] = []
    for start_us, stop_us in zip([0, *cuts], [*cuts, 2**62], strict=True):
        found += parted.feed(part(readings, start_us, stop_us))
        again = a_device(rule)
        again.restore(parted.save([1, 2, 3, 4]))
        parted = again
    assert found == expected
    assert parted.save([1, 2, 3, 4]) == whole.save([1, 2, 3, 4])


def test_a_batch_of_more_rows_than_fit_at_once_gives_the_same_findings() -> None:
    values = np.concatenate([working(40_000), broken()], axis=1)
    whole, parted = a_device(a_rule_of()), a_device(a_rule_of())
    readings = told(values)
    expected = whole.feed(readings)
    found = [change for at in range(0, 41_000, 900) for change in parted.feed(part(readings, *_window(at, at + 900)))]
    assert found == expected
    assert opened_in(expected)


def test_many_findings_of_one_batch_are_all_told() -> None:
    values = working(9_000)
    values[0, 500::8] += 50
    rule = a_rule_of(consecutive=1)
    whole = a_device(rule).feed(told(values))
    bank = a_device(rule)
    one_by_one = [
        change for at in range(0, 9_000, 50) for change in bank.feed(part(told(values), *_window(at, at + 50)))
    ]
    assert len(opened_in(whole)) > 1_000
    assert one_by_one == whole


def test_metrics_that_come_in_messages_of_their_own_make_the_same_rows() -> None:
    """The instant waits until all have reported or a later one begins."""
    values = broken()
    bank, found = a_device(a_rule_of()), []
    whole = a_device(a_rule_of()).feed(told(values))
    readings = told(values)
    for row in range(values.shape[1]):
        of_row = part(readings, *_window(row, row + 1))
        for at in range(len(of_row)):
            found += bank.feed(Readings(of_row.series_id[[at]], of_row.ts_us[[at]], of_row.value[[at]]))
    assert found == whole
    assert opened_in(whole)


def test_a_slow_metric_is_held_and_one_too_old_makes_no_row() -> None:
    values = broken()
    slow = {4: [row for row in range(700) if row % 20]}
    held = opened_in(a_device(a_rule_of(max_age_s=30.0)).feed(told(values, without=slow)))
    assert [finding.metric for finding in held] == ["current"]
    # Of each twenty rows three are young enough: too few to have learnt by then.
    assert a_device(a_rule_of()).feed(told(values, without=slow)) == []
    gone = {3: range(450, 700)}
    assert a_device(a_rule_of()).feed(told(values, without=gone)) == []


def test_an_anchor_of_any_member_clears_and_starts_the_group_anew() -> None:
    """SPEC D2: after a repair."""
    values = working(1_400)
    values[0, 500:] += 20.0
    rule = a_rule_of(latch=True)
    bank = a_device(rule)
    (opened,) = opened_in(bank.feed(part(told(values), *_window(0, 700))))
    bank.anchor(3, START_US + 710_000_000)
    bank.anchor(3, START_US + 710_000_000)
    (cleared,) = bank.feed(part(told(values), *_window(700, 1_400)))
    assert isinstance(cleared, Cleared)
    assert cleared.opened_at == opened.opened_at
    assert cleared.cleared_at.timestamp() == START_US / 1e6 + 710
    # What was the fault is the new normal, and what was normal is a fault.
    (again,) = opened_in(bank.feed(part(told(working(1_500)), *_window(1_400, 1_500))))
    assert 1_400 <= second_of(again) <= 1_420


def test_a_gap_never_adds_up_to_a_duration() -> None:
    """ADR 6."""
    values = working(700)
    values[0, 500:] += 20.0
    bank = a_device(a_rule_of(on_delay_s=60.0))
    assert bank.feed(part(told(values), *_window(0, 520))) == []
    assert bank.feed(told(values[:, 600:605], first=4_000)) == []


def test_copies_of_one_metric_are_no_finding_at_their_last_digit_and_one_when_they_part() -> None:
    """Their residual is nothing while learning: without the floor of its limit, any rounding would lie beyond it."""
    for off, found in ((1e-3, 0), (5.0, 1)):
        values = np.repeat(working(700)[1:2], 2, axis=0)
        values[1, 500:] += off * values[1, :500].std()
        assert len(opened_in(a_device(a_rule_of(), metrics=("a", "b")).feed(told(values)))) == found


def test_a_rule_watches_only_its_own_metrics_and_at_least_two() -> None:
    bank = a_device(a_rule_of("c*"), a_rule_of("[cl]*", rule_id=2))
    (finding,) = opened_in(bank.feed(told(broken())))
    assert finding.rule_id == 2
    assert {name for name in finding.evidence if ":" in name} == {"contribution:current", "contribution:load"}


def test_what_a_withdrawn_rule_or_an_old_membership_had_opened_is_cleared() -> None:
    values = working(600)
    values[0, 500:] += 20.0
    for rules, metrics in (([], METRICS), ([a_rule_of()], METRICS[:3])):
        bank = a_device(a_rule_of())
        (opened,) = opened_in(bank.feed(told(values)))
        bank.watch_group(5, 7, {metric: number for number, metric in enumerate(metrics, start=1)}, rules)
        (cleared,) = bank.feed(told(values[:, :1], first=600))
        assert cleared == Cleared(opened.series_id, 1, opened.opened_at, cleared.cleared_at)
        restored = a_device(*rules, metrics=metrics + METRICS[len(metrics) :])
        restored.watch_group(5, 7, {metric: number for number, metric in enumerate(metrics, start=1)}, rules)
        bank = a_device(a_rule_of())
        bank.feed(told(values))
        restored.restore(bank.save([1, 2, 3, 4]))
        assert [type(change) for change in restored.feed(told(values[:, :1], first=600))] == [Cleared]


def test_devices_are_judged_each_for_itself() -> None:
    rule, bank = a_rule_of(), Bank()
    calm, ill = told(working(700)), told(broken())
    for device in (0, 1, 2):
        series = {metric: 10 * device + number for number, metric in enumerate(METRICS, start=1)}
        for metric, series_id in series.items():
            bank.add_series(series_id, device, metric, [rule])
        bank.watch_group(device, device, series, [rule])
    batch = [calm, ill, calm]
    found = bank.feed(
        Readings(
            np.concatenate([one.series_id + np.int32(10 * device) for device, one in enumerate(batch)]),
            np.concatenate([one.ts_us for one in batch]),
            np.concatenate([one.value for one in batch]),
        )
    )
    assert [(finding.asset_id, finding.series_id) for finding in opened_in(found)] == [(1, 11)]


def test_of_more_than_sixteen_metrics_the_first_by_name_make_the_row() -> None:
    metrics = tuple(f"m{number:02}" for number in range(18))
    random = np.random.default_rng(0)
    values = np.repeat(random.standard_normal((1, 700)), 18, axis=0) + 0.1 * random.standard_normal((18, 700))
    values[15, 500:] += 5.0
    values[17, 450:] += 50.0
    (finding,) = opened_in(a_device(a_rule_of(), metrics=metrics).feed(told(values)))
    assert finding.metric == "m15"
    assert len([name for name in finding.evidence if ":" in name]) == 16


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="'learn_samples' must lie between 32"):
        T2QParameters(learn_samples=16)
    with pytest.raises(ValueError, match="'explained' must lie between"):
        T2QParameters(explained=0.0)


def test_columns_can_be_tried_without_a_bank() -> None:
    values = broken()
    columns = dict(zip(METRICS, values, strict=True))
    ((opened, cleared),) = group_episodes("t2q", LEARNT, columns)
    assert 500 <= opened <= 520
    assert cleared is not None
    assert cleared > 550


def _window(first: int, last: int) -> Iterator[int]:
    return (START_US + at * 1_000_000 for at in (first, last))
