"""Fusion: log-odds add up to a prediction that names its reasons (SPEC P2)."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.fusion import AssetEvidence, assess
from domain.events import Event
from domain.failure_modes import FindingSign, Signature
from domain.findings import Direction, Finding
from domain.predictions import EvidenceKind, Prediction, Stage
from tests.detection_builders import START, a_finding, a_mode, an_event

OLD_PART = START - timedelta(days=60)


def seen(
    *evidence: Finding | Event,
    installed: datetime | None = None,
    closed: datetime | None = None,
) -> AssetEvidence:
    return AssetEvidence(
        asset_id=7,
        findings=[one for one in evidence if isinstance(one, Finding)],
        events=[one for one in evidence if isinstance(one, Event)],
        installed={} if installed is None else {"bearing": [installed]},
        last_closed={} if closed is None else {"bearing_wear": closed},
    )


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def the_one(evidence: AssetEvidence, hours: float) -> Prediction:
    (prediction,) = assess([a_mode()], evidence, at(hours))
    return prediction


def probability(*log_odds: float, prior: float = 0.01) -> float:
    return 1 / (1 + math.exp(-(math.log(prior / (1 - prior)) + sum(log_odds))))


def test_drift_alone_is_a_watch() -> None:
    prediction = the_one(seen(a_finding()), 1)
    assert prediction.stage == Stage.WATCH
    assert prediction.probability == pytest.approx(probability(3.0))


def test_drift_with_a_matching_error_and_an_old_part_is_a_ticket() -> None:
    prediction = the_one(seen(a_finding(), an_event("E7", hours=2), installed=OLD_PART), 2)
    assert prediction.stage == Stage.TICKET
    assert prediction.probability == pytest.approx(probability(3.0, 3.0, 1.0))
    assert prediction.evidence_at == at(2)
    assert (prediction.window_from, prediction.window_to) == (at(26), at(50))


def test_a_young_part_speaks_against_the_failure() -> None:
    evidence = seen(a_finding(), an_event("E7", hours=2), installed=START - timedelta(days=5))
    assert the_one(evidence, 2).stage == Stage.WATCH


def test_age_alone_opens_nothing() -> None:
    assert assess([a_mode()], seen(installed=OLD_PART), at(1)) == []


def test_without_a_known_age_the_age_does_not_count() -> None:
    assert the_one(seen(a_finding(), an_event("E7")), 0).probability == pytest.approx(probability(3.0, 3.0))


def test_of_several_signs_for_one_metric_the_strongest_counts_once() -> None:
    evidence = seen(a_finding(number=1), a_finding(number=2, hours=1), an_event("E7"), an_event("E8", hours=1))
    prediction = the_one(evidence, 2)
    assert prediction.probability == pytest.approx(probability(3.0, 3.0))
    kinds = [one.kind for one in prediction.contributions]
    assert kinds == [EvidenceKind.PRIOR, EvidenceKind.FINDING, EvidenceKind.EVENT]


def test_an_open_finding_does_not_grow_old_and_a_cleared_one_does() -> None:
    assert assess([a_mode()], seen(a_finding()), at(500))
    assert assess([a_mode()], seen(a_finding(cleared_after_h=1)), at(13))
    assert not assess([a_mode()], seen(a_finding(cleared_after_h=1)), at(13.1))


def test_what_is_not_known_yet_does_not_count() -> None:
    """Evidence is judged as of its time: a late desk must decide as a punctual one."""
    later = [a_finding(hours=1), an_event("E7", hours=1)]
    assert assess([a_mode()], seen(*later), at(0.9)) == []
    assert the_one(seen(a_finding(cleared_after_h=2), an_event("E7", hours=13)), 12).stage == Stage.WATCH


@pytest.mark.parametrize(
    "finding",
    [
        a_finding(shadow=True),
        a_finding("temperature"),
        a_finding(detector="cusum"),
        a_finding(direction=Direction.DOWN),
    ],
    ids=["shadow", "another metric", "another detector", "the other direction"],
)
def test_findings_that_do_not_fit_the_signature_do_not_count(finding: Finding) -> None:
    assert assess([a_mode()], seen(finding), at(1)) == []


def test_a_signature_may_name_metrics_by_pattern_and_any_detector() -> None:
    mode = a_mode(signature=Signature(findings=(FindingSign("vib*", "*", None, 12.0, 3.0),)))
    down = a_finding("vibration_y", detector="step", direction=Direction.DOWN)
    assert assess([mode], seen(down), at(1))


def test_evidence_up_to_the_last_closure_is_spent() -> None:
    assert assess([a_mode()], seen(a_finding(), closed=at(0)), at(1)) == []
    assert assess([a_mode()], seen(a_finding(), closed=at(-0.1)), at(1))


def test_evidence_up_to_the_last_replacement_is_spent() -> None:
    assert assess([a_mode()], seen(a_finding(), an_event("E7"), installed=at(0)), at(1)) == []


def test_the_reasons_are_told_in_both_languages_and_add_up() -> None:
    prediction = the_one(seen(a_finding(), an_event("E7"), installed=OLD_PART), 1)
    assert all(one.summary_en and one.summary_zh for one in prediction.contributions)
    total = sum(one.log_odds for one in prediction.contributions)
    assert prediction.probability == pytest.approx(1 / (1 + math.exp(-total)))
    texts = [one.summary_en for one in prediction.contributions]
    assert "vibration up (level): 2, normally 1" in texts
    assert "bearing is 60 days old" in texts


def test_the_likeliest_parts_and_modes_come_first() -> None:
    modes = [a_mode("a", prior=0.01), a_mode("b", prior=0.02)]
    found = assess(modes, seen(a_finding()), at(1))
    assert [one.failure_mode for one in found] == ["b", "a"]
    assert [part.number for part in found[0].parts] == ["BEARING", "SEAL"]


@given(st.lists(st.tuples(st.floats(0, 10), st.booleans()), max_size=6))
def test_the_order_in_which_evidence_is_told_does_not_matter(told: list[tuple[float, bool]]) -> None:
    evidence = [
        a_finding(hours=hours, number=number) if is_finding else an_event("E7", hours=hours)
        for number, (hours, is_finding) in enumerate(told)
    ]
    assert [one.probability for one in assess([a_mode()], seen(*evidence), at(10))] == [
        one.probability for one in assess([a_mode()], seen(*reversed(evidence)), at(10))
    ]
