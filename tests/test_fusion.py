"""Fusion: log-odds add up to a prediction that names its reasons (SPEC P2)."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.fusion import AssetEvidence, PastClosure, assess
from domain.events import Event
from domain.failure_modes import EventSign, FailureMode, FindingSign, PartAgeSign, Signature
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


def test_codes_that_must_come_together_count_only_together() -> None:
    mode = a_mode(signature=Signature(events=(EventSign("E2", 12.0, 6.0, also=("E3",)),)))
    alone, both = seen(an_event("E2")), seen(an_event("E2"), an_event("E3", hours=1))
    assert assess([mode], alone, at(2)) == []
    (prediction,) = assess([mode], both, at(2))
    assert prediction.probability == pytest.approx(probability(6.0))
    assert prediction.evidence_at == at(1)
    assert "Error E2 together with E3" in [one.summary_en for one in prediction.contributions]
    assert assess([mode], both, at(13)) == [], "the first of them is too old"


def test_a_replacement_that_is_still_to_come_spends_nothing() -> None:
    """Evidence is judged as of its time: a late desk must decide as a punctual one."""
    assert assess([a_mode()], seen(a_finding(), installed=at(5)), at(1))


def past(repaired: bool, days_ago: float, code: str = "bearing_wear") -> PastClosure:
    return PastClosure(code, START - timedelta(days=days_ago), repaired)


@pytest.mark.parametrize(
    ("history", "weight"),
    [
        ([past(True, 10)], 0.7),
        ([past(True, 31)], 0.0),
        ([past(False, 10)], -0.7),
        ([past(False, 10), past(False, 20), past(False, 30), past(False, 40)], -2.1),
        ([past(False, 91)], 0.0),
        ([past(True, 10, "imbalance"), past(False, 10, "imbalance")], 0.0),
        ([past(True, -1)], 0.0),
    ],
    ids=["a recurrence", "long ago", "no fault", "many times", "forgotten", "another mode", "still to come"],
)
def test_history_counts_for_a_recurrence_and_against_after_no_fault_found(
    history: list[PastClosure], weight: float
) -> None:
    """SPEC C5, P4."""
    evidence = replace(seen(a_finding(), an_event("E7")), history=history)
    assert the_one(evidence, 0).probability == pytest.approx(probability(3.0, 3.0, weight))


def rivals() -> list[FailureMode]:
    """Two modes that a rise of vibration may mean; each has a code of its own."""
    level = FindingSign("vibration", "level", Direction.UP, 12.0, 6.0)
    return [
        a_mode("bearing_wear", signature=Signature(findings=(level,), events=(EventSign("E7", 24.0, 3.0),))),
        a_mode("imbalance", signature=Signature(findings=(level,), events=(EventSign("E9", 24.0, 3.0),))),
    ]


def test_evidence_that_one_mode_explains_well_opens_no_ticket_of_another() -> None:
    found = assess(rivals(), seen(a_finding(), an_event("E7")), at(1))
    assert [(one.failure_mode, one.stage) for one in found] == [
        ("bearing_wear", Stage.TICKET),
        ("imbalance", Stage.WATCH),
    ]
    alone = assess(rivals()[1:], seen(a_finding(), an_event("E7")), at(1))
    assert [one.stage for one in alone] == [Stage.TICKET], "without the rival it would have opened one"


def test_of_modes_that_explain_it_alike_one_speaks_for_both() -> None:
    """The machine is failing: one ticket is due, not two and not none."""
    found = assess(rivals(), seen(a_finding()), at(1))
    assert [(one.failure_mode, one.stage) for one in found] == [
        ("bearing_wear", Stage.TICKET),
        ("imbalance", Stage.WATCH),
    ]
    assert sum(one.probability for one in found) == pytest.approx(probability(6.0), abs=0.1)


def test_what_a_rival_takes_is_told_and_the_reasons_still_add_up() -> None:
    for prediction in assess(rivals(), seen(a_finding()), at(1)):
        (taken,) = [one for one in prediction.contributions if one.kind == EvidenceKind.RIVAL]
        assert taken.log_odds < 0
        assert "explains the same evidence" in taken.summary_en
        total = sum(one.log_odds for one in prediction.contributions)
        assert prediction.probability == pytest.approx(1 / (1 + math.exp(-total)))


def test_modes_that_claim_different_directions_of_a_metric_are_no_rivals() -> None:
    up, down = rivals()
    sinking = replace(up.signature.findings[0], direction=Direction.DOWN)
    down = replace(down, signature=replace(down.signature, findings=(sinking,)))
    fell = a_finding(number=2, direction=Direction.DOWN)
    assert [one.stage for one in assess([up, down], seen(a_finding(), fell), at(1))] == [Stage.TICKET, Stage.TICKET]


METRICS = ("vibration", "temperature")
SIGNS = st.lists(
    st.builds(
        FindingSign,
        metric=st.sampled_from(METRICS),
        detector=st.sampled_from(["level", "cusum"]),
        direction=st.sampled_from([None, Direction.UP, Direction.DOWN]),
        within_h=st.floats(1, 48),
        log_odds=st.floats(0.1, 6),
    ),
    min_size=1,
    max_size=3,
)
FINDINGS = st.lists(
    st.builds(
        a_finding,
        metric=st.sampled_from(METRICS),
        hours=st.floats(0, 10),
        detector=st.sampled_from(["level", "cusum"]),
        direction=st.sampled_from([Direction.UP, Direction.DOWN]),
        number=st.integers(1, 10_000),
    ),
    max_size=5,
    unique_by=lambda finding: finding.id,
)
EVENTS = st.lists(st.builds(an_event, st.sampled_from(["E7", "E8", "E9"]), hours=st.floats(0, 10)), max_size=4)
MODES = st.lists(SIGNS, min_size=1, max_size=4).map(
    lambda many: [
        replace(
            a_mode(f"mode_{number}", prior=0.01 * (number + 1)),
            signature=Signature(
                tuple(signs), (EventSign("E7", 24.0, 2.0), EventSign("E9", 24.0, 3.0, ("E8",))), PartAgeSign(28, 1, -4)
            ),
            watch_probability=0.000_001,
        )
        for number, signs in enumerate(many)
    ]
)
INSTALLED = st.sampled_from([None, OLD_PART, START - timedelta(days=3)])


def told(found: list[Prediction]) -> dict[str, float]:
    return {one.failure_mode: one.probability for one in found}


@given(MODES, FINDINGS, EVENTS, INSTALLED, st.randoms(use_true_random=False))
def test_the_order_of_evidence_and_of_modes_does_not_matter(
    modes: list[FailureMode], findings: list[Finding], events: list[Event], installed: datetime | None, random: Random
) -> None:
    found = assess(modes, seen(*findings, *events, installed=installed), at(12))
    shuffled = [*findings, *events]
    random.shuffle(shuffled)
    random.shuffle(modes)
    again = assess(modes, seen(*shuffled, installed=installed), at(12))
    assert [one.failure_mode for one in again] == [one.failure_mode for one in found]
    for one, other in zip(found, again, strict=True):
        assert other.probability == pytest.approx(one.probability, rel=1e-9)
        assert (other.stage, other.evidence_at, other.window_to) == (one.stage, one.evidence_at, one.window_to)
        assert {each.reference for each in other.contributions} == {each.reference for each in one.contributions}


@given(MODES, FINDINGS, EVENTS, INSTALLED)
def test_probabilities_lie_between_0_and_1_and_windows_begin_with_the_evidence(
    modes: list[FailureMode], findings: list[Finding], events: list[Event], installed: datetime | None
) -> None:
    for one in assess(modes, seen(*findings, *events, installed=installed), at(12)):
        assert 0 < one.probability < 1
        assert one.evidence_at <= one.window_from < one.window_to
        assert one.evidence_at <= at(12)


@given(SIGNS, FINDINGS, EVENTS, INSTALLED, st.sampled_from(METRICS))
def test_more_supporting_evidence_never_lowers_a_mode_without_rivals(
    signs: list[FindingSign], findings: list[Finding], events: list[Event], installed: datetime | None, metric: str
) -> None:
    mode = replace(a_mode(), signature=replace(a_mode().signature, findings=tuple(signs)), watch_probability=0.000_001)
    before = told(assess([mode], seen(*findings, *events, installed=installed), at(12)))
    more = a_finding(metric, hours=11, number=99_999)
    after = told(assess([mode], seen(*findings, *events, more, installed=installed), at(12)))
    assert after.get(mode.code, 0) >= before.get(mode.code, 0)


@given(MODES, FINDINGS, EVENTS)
def test_evidence_that_only_one_mode_claims_never_lowers_it_and_never_raises_its_rival(
    modes: list[FailureMode], findings: list[Finding], events: list[Event]
) -> None:
    """Of two: a third that only the second takes from gains when the second loses."""
    own = EventSign("OWN", 24.0, 5.0)
    modes = [replace(mode, signature=replace(mode.signature, events=())) for mode in modes[:2]]
    modes[0] = replace(modes[0], signature=replace(modes[0].signature, events=(own,)))
    before = told(assess(modes, seen(*findings, *events), at(12)))
    after = told(assess(modes, seen(*findings, *events, an_event("OWN", hours=11)), at(12)))
    assert after[modes[0].code] >= before.get(modes[0].code, 0) * (1 - 1e-9)
    for mode in modes[1:]:
        assert after.get(mode.code, 0) <= before.get(mode.code, 0) * (1 + 1e-9)


@given(MODES, FINDINGS, EVENTS, INSTALLED)
def test_a_rival_only_ever_takes_away(
    modes: list[FailureMode], findings: list[Finding], events: list[Event], installed: datetime | None
) -> None:
    evidence = seen(*findings, *events, installed=installed)
    together = told(assess(modes, evidence, at(12)))
    for mode in modes:
        alone = told(assess([mode], evidence, at(12)))
        assert together.get(mode.code, 0) <= alone.get(mode.code, 0) * (1 + 1e-9)


@given(MODES, FINDINGS, EVENTS, FINDINGS)
def test_shadow_findings_have_no_effect(
    modes: list[FailureMode], findings: list[Finding], events: list[Event], shadows: list[Finding]
) -> None:
    """SPEC P5."""
    kept_apart = [replace(finding, shadow=True) for finding in shadows]
    assert assess(modes, seen(*findings, *events, *kept_apart), at(12)) == assess(
        modes, seen(*findings, *events), at(12)
    )


@given(MODES, FINDINGS, EVENTS, FINDINGS, EVENTS)
def test_spent_evidence_has_no_effect(
    modes: list[FailureMode],
    findings: list[Finding],
    events: list[Event],
    old_findings: list[Finding],
    old_events: list[Event],
) -> None:
    """What was about the part that is gone says nothing about the new one."""
    new = [replace(one, opened_at=one.opened_at + timedelta(hours=11)) for one in findings]
    new_events = [replace(one, ts=one.ts + timedelta(hours=11)) for one in events]
    numbered = [replace(one, id=UUID(int=20_000 + one.id.int)) for one in old_findings]
    fresh = seen(*new, *new_events, installed=at(10.5))
    assert assess(modes, seen(*numbered, *old_events, *new, *new_events, installed=at(10.5)), at(22)) == assess(
        modes, fresh, at(22)
    )


@pytest.mark.parametrize("closed", [1, 0.5, 0])
def test_spent_events_do_not_count(closed: float) -> None:
    """That of the very moment of the closure is spent: it was about the part that is gone."""
    old = seen(an_event("E7"), a_finding(hours=2), closed=at(closed))
    assert the_one(old, 3).probability == pytest.approx(probability(3.0))
    assert assess([a_mode()], seen(a_finding(), closed=at(0)), at(3)) == []


def test_what_people_note_is_no_sign() -> None:
    """An operator's entry may bear any code, that of an error too."""
    noted = seen(an_event("E7", hours=1, attributes={"component": "bearing"}), a_finding(hours=2))
    assert the_one(noted, 3).probability == pytest.approx(probability(3.0))
