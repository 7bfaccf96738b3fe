"""What rules would have done: truth, tickets, leads, false alarms, side by side (SPEC D7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from detectors import notebook
from detectors.backtest import (
    MACHINE_MONTH,
    Case,
    Source,
    Truth,
    Verdict,
    backtest,
    difference,
    figures,
    rule_sets,
    tally,
    total,
    truth_before,
)
from detectors.closed_loop import Machine, Repair, history_of, rules_of
from detectors.library import RuleMode, parse_library
from domain.refusals import Refused
from tests.backtest_builders import BEGIN, DAYS, END, FAILED, LIBRARY, a_candidate, vibration

LIBRARY_READ = parse_library(LIBRARY)
MODES = LIBRARY_READ.modes
IN_FORCE = rules_of(LIBRARY_READ)
HOUR = timedelta(hours=1)


def a_case(values: np.ndarray, truths: list[Truth] | None = None, repairs: list[Repair] | None = None) -> Case:
    index = pd.date_range(BEGIN, periods=len(values), freq="10min", tz="UTC")
    history = history_of(Machine(7, pd.DataFrame({"vibration_mm_s": values}, index=index)))
    known = truth_before(FAILED, MODES, Source.CLOSURE) if truths is None else truths
    return Case("M-1", replace(history, repairs=repairs or []), known, BEGIN, END)


def spikes(values: np.ndarray, *days: float) -> np.ndarray:
    """The values with half an hour far above any limit on these days."""
    for day in days:
        values[int(day * 144) : int(day * 144) + 4] = 30.0
    return values


def test_a_lower_limit_is_tried_beside_the_one_in_force_and_sees_the_wear_days_earlier() -> None:
    candidate, stands = rule_sets(IN_FORCE, [a_candidate()])
    result = backtest(a_case(vibration(1)), MODES, candidate, stands)
    (tried,), (now,) = result.candidate.tickets, result.in_force.tickets
    assert tried.verdict == now.verdict == Verdict.RIGHT
    assert tried.rules == now.rules == ("motor.limit",)
    assert tried.lead_h == (FAILED - tried.opened_at) / HOUR
    assert 90 < tried.lead_h < 160
    assert 0 < now.lead_h < 30
    gained = difference(result.candidate.score, result.in_force.score)
    assert gained["median_lead_h"] == pytest.approx(tried.lead_h - now.lead_h)
    assert gained["precision"] == gained["recall"] == 0.0


def test_tickets_are_right_false_or_undecided_and_only_the_decided_count() -> None:
    """A ticket whose time is not over when the record ends is held against nobody."""
    values = spikes(vibration(1), 5, 57)
    result = backtest(a_case(values), MODES, IN_FORCE, IN_FORCE)
    verdicts = [ticket.verdict for ticket in result.in_force.tickets]
    assert verdicts == [Verdict.FALSE, Verdict.RIGHT, Verdict.UNDECIDED]
    score = result.in_force.score
    assert (score.tickets, score.right, score.false, score.undecided) == (3, 1, 1, 1)
    assert score.precision == 0.5
    assert score.recall == 1.0
    assert score.machine_months == timedelta(days=DAYS) / MACHINE_MONTH
    assert score.false_per_machine_month == pytest.approx(1 / score.machine_months)


def test_what_was_missed_lowers_recall_and_what_another_mode_failed_of_is_no_excuse() -> None:
    other = Truth(FAILED - 240 * HOUR, FAILED, frozenset(["another"]), Source.CLOSURE)
    late = Truth(END - 240 * HOUR, END, frozenset(["wear"]), Source.CLOSURE)
    score = backtest(a_case(vibration(1), [other, late]), MODES, IN_FORCE, IN_FORCE).in_force.score
    assert (score.right, score.false, score.truths, score.caught) == (0, 1, 2, 0)
    assert score.recall == 0.0
    any_mode = Truth(FAILED - 240 * HOUR, FAILED, frozenset(), Source.LABEL)
    score = backtest(a_case(vibration(1), [any_mode]), MODES, IN_FORCE, IN_FORCE).in_force.score
    assert (score.right, score.caught) == (1, 1)


def test_truth_outside_the_record_is_not_asked_for() -> None:
    before = Truth(BEGIN - 9 * HOUR, BEGIN - HOUR, frozenset(), Source.LABEL)
    after = Truth(END + HOUR, END + 2 * HOUR, frozenset(), Source.LABEL)
    assert backtest(a_case(vibration(1), [before, after]), MODES, IN_FORCE, IN_FORCE).in_force.score.truths == 0


def test_a_recorded_repair_ends_the_ticket_and_spends_its_evidence() -> None:
    """Without the repair the open ticket hides the second failure; with it there are two tickets."""
    values = vibration(1)
    again = int(41.5 * 144)
    values[again : again + 144] += 8
    repair = Repair(FAILED, "wear")
    opened = [len(backtest(a_case(values, None, repairs), MODES, IN_FORCE, IN_FORCE).in_force.tickets)
              for repairs in ([], [repair])]  # fmt: skip
    assert opened == [1, 2]


def test_a_draft_takes_the_place_of_the_rule_of_its_name() -> None:
    shadow = replace(IN_FORCE[0], rule_id=2, name="motor.shadow", shadow=True)
    other = replace(IN_FORCE[0], rule_id=3, name="motor.other")
    new = replace(a_candidate(), name="motor.new")
    candidate, stands = rule_sets([*IN_FORCE, shadow, other], [a_candidate(), new])
    assert [rule.name for rule in stands] == ["motor.limit", "motor.other"]
    assert [(rule.name, rule.parameters["high"]) for rule in candidate] == [
        ("motor.limit", 12.5), ("motor.new", 12.5), ("motor.other", 16.0)
    ]  # fmt: skip
    assert len({rule.rule_id for rule in candidate}) == 3
    off = replace(a_candidate(), mode=RuleMode.OFF)
    assert [rule.name for rule in rule_sets([*IN_FORCE, other], [off])[0]] == ["motor.other"]
    with pytest.raises(Refused, match="high"):
        rule_sets(IN_FORCE, [a_candidate(high="much")])


def test_scores_of_machines_add_up() -> None:
    cases = [a_case(vibration(1)), a_case(spikes(vibration(2, wears=False), 9), [])]
    results = [backtest(case, MODES, IN_FORCE, IN_FORCE) for case in cases]
    every = total(result.in_force.score for result in results)
    assert (every.tickets, every.right, every.false, every.truths) == (2, 1, 1, 1)
    assert every.machine_months == pytest.approx(2 * timedelta(days=DAYS) / MACHINE_MONTH)
    (rule,) = tally(result.in_force for result in results)
    assert (rule.rule, rule.findings, rule.outside) == ("motor.limit", every.findings, 1)
    nothing = figures(total([]))
    assert nothing["precision"] is nothing["recall"] is nothing["false_per_machine_month"] is None


def test_a_machine_without_readings_gives_nothing_and_counts_no_time() -> None:
    empty = a_case(np.full(10, np.nan), [])
    score = backtest(replace(empty, until=BEGIN), MODES, IN_FORCE, IN_FORCE).in_force.score
    assert (score.tickets, score.machine_months) == (0, 0.0)


def frame(*seeds: int) -> pd.DataFrame:
    """One motor a seed; odd ones wear."""
    index = pd.date_range(BEGIN, periods=DAYS * 144, freq="10min", tz="UTC")
    return pd.concat(
        pd.DataFrame({"asset": f"M-{seed}", "vibration_mm_s": vibration(seed, wears=seed % 2 == 1)}, index=index)
        for seed in seeds
    )


def test_a_notebook_gives_what_the_service_gives() -> None:
    """SPEC D6: used alike by the live stream, a backtest and a notebook."""
    labels = pd.DataFrame({"begin": [FAILED - 240 * HOUR], "end": [FAILED], "asset": ["M-1"], "failure_mode": ["wear"]})
    found = notebook.backtest(frame(1, 2), [a_candidate()], labels=labels, modes=MODES)
    candidate, stands = rule_sets(IN_FORCE, [a_candidate()])
    served = backtest(a_case(vibration(1)), MODES, candidate, stands).candidate
    mine = found.tickets[found.tickets["asset"] == "M-1"]
    assert mine["opened_at"].tolist() == [ticket.opened_at for ticket in served.tickets]
    assert mine["lead_h"].tolist() == [ticket.lead_h for ticket in served.tickets]
    assert list(found.scores.index) == ["M-1", "M-2", "all"]
    assert found.scores.loc["all", "truths"] == 1


def test_a_notebook_hears_of_replacements_and_takes_times_without_a_zone_as_utc() -> None:
    naive = frame(1).drop(columns="asset").tz_localize(None)
    events = pd.DataFrame({"ts": [FAILED], "code": ["component_replaced"], "component": ["bearing"]})
    labels = pd.DataFrame({"begin": [(FAILED - 240 * HOUR).replace(tzinfo=None)], "end": [FAILED.replace(tzinfo=None)]})
    found = notebook.backtest(naive, [a_candidate()], events, labels, modes=MODES)
    assert found.tickets["verdict"].tolist() == ["right"]
    assert isinstance(found.tickets["opened_at"].iloc[0], datetime)
    with pytest.raises(Refused, match="detector"):
        notebook.backtest(naive, [{"name": "x", "metric": "*", "detector": "guess"}])
