"""When a failure is due: an interval from the best that is known (SPEC D5, P2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.due import WIDEST, window
from detectors.fusion import AssetEvidence, assess
from domain.findings import Finding
from domain.predictions import WINDOW_SOURCE_EN, WINDOW_SOURCE_ZH, Prediction, WindowSource
from domain.remaining_life import LifeMethod, RemainingLife
from tests.detection_builders import START, a_finding, a_mode

HOUR_S = 3600.0


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def life(low_h: float, high_h: float, *, as_of_h: float = 0.0) -> RemainingLife:
    return RemainingLife(at(as_of_h), low_h, (low_h + high_h) / 2, high_h, 0.8, LifeMethod.SIMILARITY, 20)


def heading(hours: float = 0.0, *, number: int = 1, **to_limit_h: float) -> Finding:
    told = {f"time_to_limit{'' if name == 'middle' else '_' + name}_s": h * HOUR_S for name, h in to_limit_h.items()}
    return replace(a_finding(hours=hours, number=number), evidence={"baseline": 1.0, **told})


def predicted(
    *findings: Finding, remaining: RemainingLife | None = None, closed: datetime | None = None, hours: float = 1
) -> Prediction:
    evidence = AssetEvidence(
        7,
        findings,
        [],
        {},
        {} if closed is None else {"bearing_wear": closed},
        remaining={} if remaining is None else {"bearing_wear": remaining},
    )
    (prediction,) = assess([a_mode()], evidence, at(hours))
    return prediction


def stretch(prediction: Prediction) -> tuple[datetime, datetime, WindowSource]:
    return prediction.window_from, prediction.window_to, prediction.window_source


def test_without_anything_better_the_mode_says_when() -> None:
    assert stretch(predicted(a_finding())) == (at(24), at(48), WindowSource.MODE)


def test_a_trend_towards_the_limit_is_better_than_what_is_usual() -> None:
    prediction = predicted(heading(low=10, middle=20, high=40))
    assert stretch(prediction) == (at(10), at(40), WindowSource.TREND)


def test_remaining_life_is_better_than_a_trend() -> None:
    prediction = predicted(heading(low=10, middle=20, high=40), remaining=life(5, 9))
    assert stretch(prediction) == (at(5), at(9), WindowSource.REMAINING_LIFE)


def test_of_several_trends_the_first_to_reach_its_limit_counts() -> None:
    mode = a_mode()
    late, soon = heading(low=50, middle=60, high=70), heading(1, low=5, middle=6, high=8, number=2)
    for findings in ([late, soon], [soon, late]):
        told = window(mode, None, findings, at(1))
        assert (told.begin, told.end) == (at(6), at(9))


def test_a_trend_without_a_far_end_is_believed_to_twice_its_best_guess() -> None:
    assert stretch(predicted(heading(low=10, middle=20))) == (at(10), at(40), WindowSource.TREND)
    assert stretch(predicted(heading(middle=20))) == (at(10), at(40), WindowSource.TREND)


def test_the_window_never_begins_before_the_evidence_and_what_has_passed_does_not_count() -> None:
    begun = predicted(a_finding(hours=20), remaining=life(5, 30), hours=21)
    assert stretch(begun) == (at(20), at(30), WindowSource.REMAINING_LIFE)
    passed = predicted(a_finding(hours=20), remaining=life(5, 9), hours=21)
    assert passed.window_source == WindowSource.MODE


def test_remaining_life_of_the_part_that_is_gone_does_not_count() -> None:
    repaired = predicted(a_finding(hours=5), remaining=life(5, 90, as_of_h=-10), closed=at(-5), hours=6)
    assert repaired.window_source == WindowSource.MODE


def test_remaining_life_that_is_not_known_yet_does_not_count() -> None:
    assert predicted(a_finding(), remaining=life(5, 90, as_of_h=2)).window_source == WindowSource.MODE


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(0, 1e9), st.floats(-1e4, 1e4))
def test_whatever_is_told_the_window_is_one_that_can_be_planned_by(
    low: float, middle: float, high: float, evidence_h: float
) -> None:
    told = window(a_mode(), None, [heading(low=low, middle=middle, high=high)], at(evidence_h))
    assert at(evidence_h) <= told.begin < told.end
    assert told.end - told.begin <= max(WIDEST, timedelta(hours=a_mode().window_to_h))


@pytest.mark.parametrize("source", WindowSource)
def test_every_source_has_a_name_in_both_languages(source: WindowSource) -> None:
    assert WINDOW_SOURCE_EN[source]
    assert WINDOW_SOURCE_ZH[source]
