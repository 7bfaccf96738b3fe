"""The bank: series, rules that come and go, anchors, watermarks and saved state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detectors.bank import LAYOUT, Bank, Cleared, Opened
from detectors.catalogue import CATALOGUE
from detectors.compiling import cached_kernel, fingerprint_of_sources
from detectors.pace import NEVER_US
from detectors.rules import check_rule
from detectors.trial import warm_up
from domain.findings import Severity
from domain.readings import Readings
from domain.refusals import Refused
from tests.detection_builders import START_US, a_bank, a_rule, noise, opened_in, readings_of

ALARM = [*noise(100), *noise(60, centre=20.0)]


def test_the_same_finding_has_the_same_id_in_every_run() -> None:
    first = opened_in(a_bank(a_rule()).feed(readings_of(ALARM)))
    again = opened_in(a_bank(a_rule()).feed(readings_of(ALARM)))
    other = opened_in(a_bank(a_rule(), series_ids=(2,)).feed(readings_of(ALARM, series_id=2)))
    assert first[0].id == again[0].id != other[0].id


def test_many_series_in_one_batch_are_judged_each_for_itself() -> None:
    bank = a_bank(a_rule(), a_rule("step", rule_id=2), series_ids=range(1, 21))
    calm = list(noise(160))
    batch = [readings_of(ALARM if number % 2 else calm, series_id=number) for number in range(1, 21)]
    changes = bank.feed(
        Readings(
            np.concatenate([one.series_id for one in batch]),
            np.concatenate([one.ts_us for one in batch]),
            np.concatenate([one.value for one in batch]),
        )
    )
    findings = opened_in(changes)
    assert {finding.series_id for finding in findings if finding.rule_id == 1} == set(range(1, 21, 2))
    assert {finding.series_id for finding in findings if finding.rule_id == 2} == set(range(1, 21, 2))
    assert [finding.opened_at for finding in findings] == sorted(finding.opened_at for finding in findings)


def test_a_batch_of_more_rows_than_fit_at_once_gives_the_same_findings() -> None:
    values = [*noise(70_000), *noise(60, centre=20.0)]
    (finding,) = opened_in(a_bank(a_rule()).feed(readings_of(values)))
    assert finding.opened_at.timestamp() == START_US / 1e6 + 70_002


def test_columns_that_cannot_be_written_to_are_taken_too() -> None:
    readings = readings_of(ALARM)
    frozen = Readings(
        *(
            np.frombuffer(column.tobytes(), column.dtype)
            for column in (readings.series_id, readings.ts_us, readings.value)
        )
    )
    assert a_bank(a_rule()).feed(frozen) == a_bank(a_rule()).feed(readings)


def test_an_empty_batch_is_fine() -> None:
    assert a_bank(a_rule()).feed(readings_of([])) == []


def test_a_series_that_was_not_added_is_refused() -> None:
    with pytest.raises(ValueError, match="series 5 is not in the bank"):
        a_bank(a_rule()).feed(readings_of([1.0], series_id=5))
    assert not Bank().has_series(5)


def test_rules_watch_the_metrics_their_pattern_fits() -> None:
    bank = Bank()
    bank.add_series(1, 7, "vibration_x", [a_rule(metric="vibration_*")])
    bank.add_series(2, 7, "temperature", [a_rule(metric="vibration_*")])
    assert opened_in(bank.feed(readings_of(ALARM)))
    assert not opened_in(bank.feed(readings_of(ALARM, series_id=2)))


def test_a_rule_that_stays_keeps_its_state_when_others_change() -> None:
    stays, goes, comes = a_rule("level"), a_rule("threshold", rule_id=2), a_rule("cusum", rule_id=3)
    bank, twin = a_bank(stays, goes), a_bank(stays)
    for one in (bank, twin):
        one.feed(readings_of(ALARM[:90]))
    bank.add_series(1, 7, "signal", [stays, comes])
    rest = readings_of(ALARM[90:], first=90)
    assert [f for f in opened_in(bank.feed(rest)) if f.rule_id == 1] == opened_in(twin.feed(rest))


def test_what_a_withdrawn_rule_had_opened_is_cleared_with_the_next_batch() -> None:
    bank = a_bank(a_rule())
    (finding,) = opened_in(bank.feed(readings_of(ALARM)))
    bank.add_series(1, 7, "signal", [])
    assert bank.feed(readings_of([20.0], first=160)) == [
        Cleared(
            1, 1, finding.opened_at, finding.opened_at.fromtimestamp(START_US / 1e6 + 159, finding.opened_at.tzinfo)
        )
    ]


def test_state_of_a_rule_replaced_meanwhile_is_dropped_on_restore_and_its_finding_cleared() -> None:
    bank = a_bank(a_rule())
    bank.feed(readings_of(ALARM))
    later = a_bank(a_rule(rule_id=9))
    later.restore(bank.save([1]))
    changes = later.feed(readings_of(list(noise(5, centre=20.0)), first=160))
    assert [(type(change), getattr(change, "rule_id", 9)) for change in changes] == [(Cleared, 1), (Opened, 9)]


def test_a_shadow_rule_marks_its_findings() -> None:
    (finding,) = opened_in(a_bank(replace(a_rule(), shadow=True)).feed(readings_of(ALARM)))
    assert finding.shadow


def test_the_watermark_is_the_newest_fed_time() -> None:
    bank = a_bank(a_rule(), series_ids=(1, 2))
    bank.feed(readings_of([1.0, 2.0]))
    asked = np.array([1, 2, 77, -1], np.int32)
    assert bank.watermark_us(asked).tolist() == [START_US + 1_000_000, NEVER_US, NEVER_US, NEVER_US]


def test_an_anchor_starts_a_new_baseline_once_however_often_it_is_given() -> None:
    """ADR 7: after a repair the old normal is no longer normal."""
    bank = a_bank(a_rule("level"))
    bank.feed(readings_of(list(noise(100))))
    bank.anchor(1, START_US + 100_000_000)
    assert bank.feed(readings_of(list(noise(80, centre=20.0)), first=100)) == []
    bank.anchor(1, START_US + 100_000_000)
    assert opened_in(bank.feed(readings_of(list(noise(20, centre=40.0)), first=180)))


def test_an_anchor_that_waits_survives_a_restart() -> None:
    bank = a_bank(a_rule("level"))
    bank.feed(readings_of(list(noise(100))))
    bank.anchor(1, START_US + 100_000_000)
    later = a_bank(a_rule("level"))
    later.restore(bank.save([1]))
    assert later.feed(readings_of(list(noise(80, centre=20.0)), first=100)) == []


def test_a_latched_finding_stays_open_over_a_restart_until_the_repair() -> None:
    """SPEC D1: nobody has looked yet, whatever process is running."""
    bank = a_bank(a_rule(latch=True))
    (finding,) = opened_in(bank.feed(readings_of(ALARM)))
    later = a_bank(a_rule(latch=True))
    later.restore(bank.save([1]))
    assert later.feed(readings_of(list(noise(300)), first=160)) == []
    later.anchor(1, START_US + 460_000_000)
    (cleared,) = later.feed(readings_of(list(noise(5)), first=460))
    assert isinstance(cleared, Cleared)
    assert cleared.opened_at == finding.opened_at


def test_state_of_another_layout_or_series_is_refused() -> None:
    bank = a_bank(a_rule())
    blob = bank.save([1])
    assert Bank.LAYOUT == LAYOUT
    with pytest.raises(ValueError, match="layout"):
        bank.restore(b"x" * len(LAYOUT) + blob[len(LAYOUT) :])
    with pytest.raises(ValueError, match="not in the bank"):
        Bank().restore(blob)


def test_silence_is_found_at_the_time_that_follows_from_the_last_reading() -> None:
    """SPEC E8: it does not matter when somebody looks, nor how often."""
    looked_late, looked_often = a_bank(a_rule("missing")), a_bank(a_rule("missing"))
    for bank in (looked_late, looked_often):
        bank.feed(readings_of(list(noise(30))))
    often = [change for s in range(30, 90) for change in looked_often.tick([1], START_US + s * 1_000_000)]
    late = looked_late.tick([1], START_US + 90_000_000)
    assert often == late
    (finding,) = opened_in(late)
    assert finding.opened_at.timestamp() == pytest.approx(START_US / 1e6 + 29 + 5, abs=0.01)
    assert finding.direction == "none"
    (cleared,) = looked_late.feed(readings_of([10.0, 10.0, 10.0], first=100))
    assert isinstance(cleared, Cleared)
    assert cleared.cleared_at.timestamp() == START_US / 1e6 + 100, "with the first of them"


def test_a_series_whose_pace_is_not_known_is_never_missing() -> None:
    bank = a_bank(a_rule("missing"))
    bank.feed(readings_of([1.0, 2.0]))
    assert bank.tick([1], START_US + 10**12) == []


@pytest.mark.parametrize(
    ("name", "metric", "detector", "parameters", "told"),
    [
        ("Bad Name", "*", "threshold", {"high": 1.0}, "a name of"),
        ("r", "", "threshold", {"high": 1.0}, "metric pattern"),
        ("r", "*", "magic", {}, "one of the detectors"),
        ("r", "*", "threshold", {}, "at least one of"),
        ("r", "*", "threshold", {"high": "hot"}, "'high' must be a number"),
        ("r", "*", "threshold", {"high": float("nan")}, "'high' must be a number"),
        ("r", "*", "threshold", {"high": 1.0, "consecutive": 0}, "'consecutive' must lie"),
        ("r", "*", "threshold", {"high": 1.0, "consecutive": 2.5}, "whole number"),
        ("r", "*", "threshold", {"high": 1.0, "latch": 1}, "true or false"),
        ("r", "*", "threshold", {"high": 1.0, "hihg": 2.0}, "no parameter 'hihg'"),
        ("r", "*", "cusum", {"side": "left"}, "'side' must be one of"),
        ("r", "*", "level", {}, "at least one of high and low"),
    ],
)
def test_a_rule_that_could_not_work_is_refused_by_name(
    name: str, metric: str, detector: str, parameters: dict[str, float], told: str
) -> None:
    with pytest.raises(Refused, match=told) as refused:
        check_rule(name, metric, detector, parameters, Severity.LOW)
    assert refused.value.name == "invalid_rule"


def test_machine_code_on_disk_is_keyed_by_every_source_of_the_package() -> None:
    """An edit to a helper in another file must not leave old machine code running."""

    def add_one(x: int) -> int:
        return x + 1

    kernel = cached_kernel(add_one, name="test_add_one")
    assert kernel(1) == 2
    assert kernel._cache._cache_file._source_stamp == fingerprint_of_sources(Path(__file__).parent)  # type: ignore[attr-defined]


def test_after_warming_up_every_kernel_is_ready() -> None:
    warm_up()
    for spec in CATALOGUE.values():
        # A detector of several metrics never runs on one alone.
        kernel = spec.run if spec.vector is None else spec.vector
        assert kernel.signatures  # type: ignore[attr-defined]
