"""Learning is explainable arithmetic: idempotent, free of order, bounded, kind to rare modes (SPEC P4)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.learning import UNLISTED_FROM, Caution, Lesson, ToldFinding, UsedPart, apply, learn
from detectors.trust import Terms, is_enough, precision, should_demote, should_promote
from domain.failure_modes import EventSign, FailureMode, FindingSign, PartNeed, Signature
from domain.findings import Direction
from tests.detection_builders import a_mode

CAUTION = Caution()
LEVEL = ToldFinding("vibration", "level", Direction.UP)
HEAT = ToldFinding("temperature", "cusum", Direction.UP)
TERMS = Terms(0.5, 0.6, 8, 5, 0.8, 336)
WEAR = a_mode(
    signature=Signature(
        findings=(
            FindingSign("vibration", "level", Direction.UP, 12.0, 3.0),
            FindingSign("temperature", "*", None, 12.0, 1.5),
        ),
        events=(EventSign("E7", 24.0, 3.0), EventSign("E8", 24.0, -1.0)),
    )
)
RARE = replace(
    a_mode("shaft_crack", prior=0.0005, signature=WEAR.signature), parts=(PartNeed("SHAFT", "s", "轴", 1, 1.0),)
)
MODES = (WEAR, RARE)
BEARINGS = UsedPart("BEARING", "Bearing", "轴承", 1)

codes = st.sampled_from([None, WEAR.code, RARE.code])
lessons = st.lists(
    st.builds(
        Lesson,
        ticket=st.integers(0, 200).map(str),
        predicted=codes,
        found=codes,
        findings=st.sets(st.sampled_from([LEVEL, HEAT])).map(lambda found: tuple(sorted(found, key=repr))),
        events=st.sampled_from([(), ("E7",), ("E8",), ("E7", "E8"), ("other",)]),
        context_log_odds=st.floats(-4, 4),
        parts=st.sampled_from([(), (BEARINGS,), (replace(BEARINGS, quantity=4),), (UsedPart("NEW", "n", "新", 3),)]),
    ),
    unique_by=lambda lesson: lesson.ticket,
    max_size=40,
)


def told(number: int, found: str | None = WEAR.code, **more: object) -> Lesson:
    """A closure of a ticket for wear that vibration spoke for."""
    plain = Lesson(ticket=f"{number:04}", predicted=WEAR.code, found=found, findings=(LEVEL,))
    return replace(plain, **more)  # type: ignore[arg-type]


def weights(mode: FailureMode) -> list[float]:
    return [sign.log_odds for sign in (*mode.signature.findings, *mode.signature.events)]


def learnt(given_lessons: list[Lesson], mode: FailureMode = WEAR, caution: Caution = CAUTION) -> FailureMode:
    return apply(mode, learn(MODES, given_lessons, caution)[mode.code])


def test_without_lessons_nothing_changes():
    for mode in MODES:
        assert learnt([], mode) == mode


@given(lessons)
def test_what_is_learnt_depends_neither_on_order_nor_on_how_often_it_is_read(given_lessons):
    once = learn(MODES, given_lessons, CAUTION)
    assert learn(MODES, [*reversed(given_lessons), *given_lessons], CAUTION) == once
    for mode in MODES:
        applied = apply(mode, once[mode.code])
        assert apply(applied, once[mode.code]) == applied


@given(lessons, st.floats(1, 100), st.floats(0.1, 5))
def test_no_step_is_larger_than_the_policy_allows_and_nothing_becomes_certain(given_lessons, strength, step):
    caution = Caution(prior_strength=strength, largest_step=step)
    for mode in MODES:
        changed = learnt(given_lessons, mode, caution)
        for before, after in zip(weights(mode), weights(changed), strict=True):
            assert abs(after - before) <= step + 1e-6
        moved = math.log(changed.prior / (1 - changed.prior)) - math.log(mode.prior / (1 - mode.prior))
        assert -1e-9 <= moved <= step + 1e-6
        assert 0 < mode.prior <= changed.prior < mode.watch_probability
        for part in changed.parts:
            assert 0 < part.probability <= 1
            assert part.quantity >= 1


@given(lessons)
@settings(max_examples=60)
def test_one_more_confirmation_never_lowers_a_weight_the_prior_or_a_used_part(given_lessons):
    more = told(9999, findings=(LEVEL, HEAT), events=("E7",), parts=(BEARINGS,))
    before, after = learnt(given_lessons), learnt([*given_lessons, more])
    assert all(now >= was - 1e-6 for was, now in zip(weights(before), weights(after), strict=True))
    assert after.prior >= before.prior

    def bearing(mode: FailureMode) -> float:
        return next(part.probability for part in mode.parts if part.number == "BEARING")

    if any(lesson.found == WEAR.code for lesson in given_lessons):
        assert bearing(after) >= bearing(before) - 1e-6


@given(lessons)
@settings(max_examples=60)
def test_one_more_false_alarm_never_raises_a_weight(given_lessons):
    more = told(9999, None, findings=(LEVEL, HEAT), events=("E7",))
    before, after = weights(learnt(given_lessons)), weights(learnt([*given_lessons, more]))
    assert all(now <= was + 1e-6 for was, now in zip(before, after, strict=True))


def test_a_mode_never_seen_keeps_its_prior_whatever_else_was_found():
    seen = [told(number) for number in range(500)]
    assert learnt(seen, RARE) == RARE
    record = learn(MODES, seen, CAUTION)[RARE.code].prior
    assert (record.found, record.factor) == (0, 1.0)
    assert record.expected > 20, "the library would have expected it by now"


def test_a_mode_found_less_often_than_expected_keeps_its_prior_and_says_so():
    found = learn(MODES, [told(0), *(told(number, RARE.code) for number in range(1, 60))], CAUTION)[WEAR.code].prior
    assert found.found == 1 < 50 < found.expected
    assert (found.factor, found.learnt) == (1.0, WEAR.prior)


def test_what_comes_as_expected_moves_nothing_much_and_surprises_move_it():
    """Three of four are right where the library says three of four."""
    odds = 3.0 + math.log(WEAR.prior / (1 - WEAR.prior))
    context = math.log(3) - odds
    expected = [told(number, WEAR.code if number % 4 else None, context_log_odds=context) for number in range(40)]
    (sign,) = learn(MODES, expected, CAUTION)[WEAR.code].signs
    assert (sign.closures, sign.expected, sign.right) == (40, pytest.approx(30, abs=1e-4), 30)
    assert sign.shift == pytest.approx(0, abs=1e-4)
    wrong = [replace(lesson, found=None) for lesson in expected]
    assert learn(MODES, wrong, CAUTION)[WEAR.code].signs[0].shift < -1.5


def test_the_arithmetic_that_is_shown_can_be_checked_by_hand():
    """The balance of the module: S/2 + right = S sigma(d) + expected at the shifted log-odds."""
    context = -math.log(WEAR.prior / (1 - WEAR.prior)) - 3.0
    closures = [told(number, WEAR.code if number else None, context_log_odds=context) for number in range(6)]
    (sign,) = learn(MODES, closures, CAUTION)[WEAR.code].signs
    assert (sign.subject, sign.detector, sign.library, sign.credit) == ("vibration", "level", 3.0, 6.0)
    assert (sign.expected, sign.right) == (3.0, 5.0)
    sigma = 1 / (1 + math.exp(-sign.shift))
    assert 20 * sigma + 6 * sigma == pytest.approx(10 + 5, abs=1e-4)
    assert sign.learnt == pytest.approx(3.0 + sign.shift)


def test_signs_share_the_credit_of_a_closure():
    alone = learn(MODES, [told(1, None, context_log_odds=1.5)], CAUTION)[WEAR.code].signs[0]
    both = learn(MODES, [told(1, None, findings=(LEVEL, HEAT))], CAUTION)[WEAR.code].signs
    assert (alone.credit, [sign.credit for sign in both]) == (1.0, [0.5, 0.5])
    assert all(sign.expected == pytest.approx(alone.expected / 2, abs=1e-5) for sign in both)
    assert all(0.4 < sign.shift / alone.shift < 0.6 for sign in both)


def test_a_fault_of_another_mode_counts_against_the_signs_of_the_one_predicted():
    changed = learnt([told(number, RARE.code) for number in range(10)])
    assert weights(changed)[0] < weights(WEAR)[0]
    assert changed.prior == WEAR.prior


def test_a_mode_found_more_often_than_expected_becomes_likelier_and_stays_below_the_watch():
    many = [told(number, RARE.code) for number in range(30)]
    found = learn(MODES, many, CAUTION)[RARE.code].prior
    assert (found.found, found.library) == (30, 0.0005)
    assert found.expected == pytest.approx(30 * 0.0005 / 0.0105, abs=1e-4)
    assert found.factor == pytest.approx((20 + 30) / (20 + found.expected), abs=1e-4)
    assert learnt(many, RARE).prior > RARE.prior
    surprise, expected = replace(WEAR, prior=0.04), replace(RARE, prior=0.4, watch_probability=0.8)
    found = learn([surprise, expected], [told(number) for number in range(500)], CAUTION)[WEAR.code].prior
    assert found.factor > 7
    assert found.learnt == pytest.approx((0.04 + WEAR.watch_probability) / 2)


def test_parts_follow_what_repairs_used():
    used = [told(number, parts=(replace(BEARINGS, quantity=2),)) for number in range(10)]
    needs = {part.number: part for part in learnt(used).parts}
    assert needs["BEARING"].probability == pytest.approx((20 * 0.9 + 10) / 30, abs=1e-6)
    assert needs["SEAL"].probability == pytest.approx(20 * 0.5 / 30, abs=1e-6)
    assert (needs["BEARING"].quantity, needs["SEAL"].quantity) == (2, 1), "the median of what was used"
    few = {part.number: part for part in learnt(used[:4]).parts}
    assert few["BEARING"].quantity == 1, "the library's own quantity counts as five repairs"


def test_a_part_that_the_library_does_not_list_is_expected_once_it_is_used_often():
    belt = UsedPart("BELT", "Belt", "皮带", 3)
    closures = [told(number, parts=(belt,)) for number in range(10)]
    assert [part.number for part in learnt(closures[:5]).parts] == [part.number for part in learnt([told(1)]).parts]
    needs = {part.number: part for part in learnt(closures).parts}
    assert needs["BELT"].probability == pytest.approx(10 / 30, abs=1e-6)
    assert needs["BELT"].probability > UNLISTED_FROM
    assert (needs["BELT"].quantity, needs["BELT"].name_zh) == (3, "皮带")


def test_a_figure_that_the_library_changed_since_is_the_librarys():
    record = learn(MODES, [told(number, None) for number in range(20)], CAUTION)[WEAR.code]
    newer = replace(
        WEAR, signature=replace(WEAR.signature, findings=(replace(WEAR.signature.findings[0], log_odds=9.0),))
    )
    assert weights(apply(newer, record))[0] == 9.0
    with pytest.raises(ValueError, match="shaft_crack"):
        apply(RARE, record)


def test_precision_has_a_credible_interval_that_narrows():
    assert precision(0, 0, 0.8).value is None
    few, many = precision(3, 1, 0.8), precision(300, 100, 0.8)
    assert few.value == many.value == 0.75
    assert few.low < many.low < 0.75 < many.high < few.high
    # Beta(1, 1): the interval of an even prior.
    assert precision(0, 0, 0.8).low == pytest.approx(0.1)
    assert precision(0, 0, 0.8).high == pytest.approx(0.9)


@pytest.mark.parametrize(("right", "wrong", "demoted"), [(0, 7, False), (1, 7, True), (4, 4, False), (20, 60, True)])
def test_a_rule_is_demoted_when_its_whole_interval_lies_below_the_floor(right, wrong, demoted):
    assert should_demote(right, wrong, TERMS) is demoted


def test_a_shadow_rule_is_promoted_when_its_whole_interval_lies_above():
    assert not should_promote(7, 0, TERMS)
    assert should_promote(8, 0, TERMS)
    assert not should_promote(6, 4, TERMS)


def test_the_same_closures_propose_nothing_twice():
    assert is_enough(8, None, TERMS)
    assert not is_enough(7, None, TERMS)
    assert not is_enough(12, 8, TERMS)
    assert is_enough(13, 8, TERMS)
