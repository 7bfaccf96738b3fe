"""Rows of several metrics among other rules: bad readings, findings of limits, changes of regime (SPEC D1-D3)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.bank import FindingChange
from detectors.rules import RuleInForce
from domain.regimes import OperatingRegimes
from tests.detection_builders import a_rule, opened_in
from tests.test_detectors_t2q import METRICS, a_device, a_rule_of, second_of, told, working


@pytest.mark.parametrize(("bad", "found"), [(slice(500, 510), 0), (slice(100, 300, 3), 1)])
def test_a_row_of_which_a_reading_is_bad_is_judged_by_what_was_known_before(bad: slice, found: int) -> None:
    """SPEC D1: other detectors neither judge nor learn from what the quality gate took out.

    Nonsense after learning is no finding; nonsense while learning does not hide the fault that comes at 600.
    """
    wild = working(700)
    wild[1, bad] = 9e9
    if found:
        wild[0, 600:] += 20.0
    gate = replace(a_rule("quality", rule_id=9, low=0.0, high=100.0, consecutive=1_000), metric="load")
    changes = a_device(a_rule_of(), own={2: [gate]}).feed(told(wild))
    assert [second_of(finding) // 100 for finding in opened_in(changes)] == [6] * found


def test_rows_that_come_while_a_limit_has_a_finding_open_teach_nothing() -> None:
    """SPEC D2."""
    values = working(1_000)
    values[0, 50:300] += 1_000.0
    values[0, 900:] += 30.0
    limit = a_rule("threshold", rule_id=9, high=500.0, low=None)
    held = opened_in(a_device(a_rule_of(), own={1: [limit]}).feed(told(values)))
    assert [finding.rule_id for finding in held] == [9, 1]
    assert opened_in(a_device(a_rule_of()).feed(told(values))) == []


def changing_gear(rule: RuleInForce, off: slice, settle_s: float) -> list[FindingChange]:
    """What is found where the machine changes gear at 500, which it says itself, and the current is off for a while."""
    values = working(700)
    values[0, off] += 20.0
    gear = np.where(np.arange(700) < 500, 1.0, 2.0)
    bank = a_device(rule, metrics=(*METRICS, "v_gear"))
    bank.set_regimes(7, OperatingRegimes("v_gear", (1.5,), settle_s))
    return bank.feed(told(np.vstack([values, gear])))


def test_rows_between_two_operating_regimes_are_not_judged() -> None:
    """SPEC D2: while the machine settles, its metrics do not hang together as they do in either regime."""
    rule = a_rule_of("[clst]*")
    assert opened_in(changing_gear(rule, slice(500, 520), 0.0))
    assert changing_gear(rule, slice(500, 520), 20.0) == []


def test_a_change_of_regime_is_a_gap_to_a_duration() -> None:
    """ADR 6: forty seconds before it and forty after it are not a minute."""
    rule = a_rule_of("[clst]*", on_delay_s=60.0)
    assert opened_in(changing_gear(rule, slice(460, 550), 0.0))
    assert changing_gear(rule, slice(460, 550), 10.0) == []
