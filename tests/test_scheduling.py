"""Rounds by the calendar and by a meter: no drift, nothing missed in silence, twenty missed are one (SPEC T8)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.scheduling import (
    CalendarPlan,
    CalendarRound,
    Meter,
    Unit,
    due_round,
    first_number,
    meter_rounds,
    read_meter,
    rounds_past,
    working_day,
)

MONDAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, tzinfo=UTC)
ALWAYS = lambda _: True  # noqa: E731 (a calendar without days off)


def weekdays(day: date) -> bool:
    return day.weekday() < 5


def monthly(first_on: date, every: int = 1, lead_days: int = 0) -> CalendarPlan:
    return CalendarPlan(Unit.MONTH, every, first_on, lead_days)


def test_the_last_of_a_month_stays_the_last_and_a_short_month_moves_only_itself() -> None:
    plan = monthly(date(2027, 10, 31))
    assert [plan.day(number) for number in range(6)] == [
        date(2027, 10, 31),
        date(2027, 11, 30),
        date(2027, 12, 31),
        date(2028, 1, 31),
        date(2028, 2, 29),
        date(2028, 3, 31),
    ]


def test_days_and_weeks_are_counted_from_the_first_day() -> None:
    assert CalendarPlan(Unit.DAY, 10, MONDAY, 0).day(3) == date(2026, 4, 1)
    assert CalendarPlan(Unit.WEEK, 2, MONDAY, 0).day(3) == date(2026, 4, 13)
    assert monthly(date(2026, 1, 15), every=18).day(2) == date(2029, 1, 15)


def test_a_day_off_moves_a_round_to_the_next_working_day_and_not_those_that_follow() -> None:
    plan = monthly(date(2026, 2, 1))  # A Sunday, as is 1 March.
    found = [due_round(plan, number, date(2026, 12, 31), weekdays) for number in (10,)]
    assert found == [CalendarRound(10, date(2026, 12, 1), 0)]
    assert working_day(plan.day(0), weekdays) == date(2026, 2, 2)
    assert working_day(plan.day(1), weekdays) == MONDAY
    assert working_day(MONDAY, lambda _: False) == MONDAY


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 3, 25), None),
        (date(2026, 3, 26), CalendarRound(1, date(2026, 4, 2), 0)),
        (date(2026, 4, 2), CalendarRound(1, date(2026, 4, 2), 0)),
        (date(2026, 4, 24), CalendarRound(1, date(2026, 4, 2), 0)),
        (date(2026, 4, 25), CalendarRound(2, date(2026, 5, 2), 1)),
        (date(2027, 12, 1), CalendarRound(21, date(2027, 12, 2), 20)),
    ],
)
def test_a_round_opens_its_lead_before_and_twenty_missed_ones_are_one(
    today: date, expected: CalendarRound | None
) -> None:
    assert due_round(monthly(MONDAY, lead_days=7), 1, today, ALWAYS) == expected


def test_rounds_that_fall_due_while_the_one_before_is_open_are_covered_and_a_coming_one_is_not() -> None:
    plan = CalendarPlan(Unit.WEEK, 1, MONDAY, 5)
    assert rounds_past(plan, 1, date(2026, 3, 8), ALWAYS) == 0
    assert rounds_past(plan, 1, date(2026, 3, 9), ALWAYS) == 1
    assert rounds_past(plan, 1, date(2026, 3, 24), ALWAYS) == 3


def test_rounds_before_a_schedule_was_made_were_nobodys_to_miss() -> None:
    plan = CalendarPlan(Unit.WEEK, 1, date(2020, 1, 6), 0)
    assert plan.day(first_number(plan, MONDAY)) == MONDAY
    assert first_number(monthly(MONDAY), date(2025, 1, 1)) == 0


@given(
    st.sampled_from(Unit), st.integers(1, 60), st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 60),
    st.lists(st.integers(0, 400), max_size=12),
)  # fmt: skip
def test_however_late_people_look_every_round_is_opened_or_counted_as_missed(
    unit: Unit, every: int, first_on: date, lead_days: int, steps: list[int]
) -> None:
    plan = CalendarPlan(unit, every, first_on, lead_days)
    number, today, opened, missed = 0, first_on, 0, 0
    for step in steps:
        today += timedelta(days=step)
        found = due_round(plan, number, today, weekdays)
        if found is not None:
            assert found.number == number + found.missed
            opened, missed, number = opened + 1, missed + found.missed, found.number + 1
    assert opened + missed == number
    assert working_day(plan.day(number), weekdays) - timedelta(days=lead_days) > today or not steps


def readings(*values: float) -> list[tuple[datetime, float]]:
    return [(START + timedelta(hours=number), value) for number, value in enumerate(values)]


def test_the_first_reading_says_where_a_meter_stands_and_nothing_more() -> None:
    meter = read_meter(Meter(20.0), readings(8_000.0))
    assert (meter.counted, meter.last_value) == (20.0, 8_000.0)
    assert read_meter(meter, readings(8_000.0, 8_100.5)).counted == 120.5


def test_what_is_counted_beyond_a_round_number_is_carried_over() -> None:
    assert meter_rounds(1_240.0, 500.0) == (2, 240.0)
    assert meter_rounds(499.9, 500.0) == (0, 499.9)
    assert meter_rounds(500.0, 500.0) == (1, 0.0)
    assert meter_rounds(sum([0.1] * 10), 1.0) == (1, 0.0)


def test_a_slip_of_the_meter_counts_nothing_and_a_new_meter_counts_from_nought() -> None:
    """A reading of 0 between 1,240 and 1,241 is no 1,241 hours; two low readings are a meter that was replaced."""
    before = Meter(40.0, 1_240.0, START)
    slipped = read_meter(before, readings(0.0, 1_241.0))
    assert (slipped.counted, slipped.last_value, slipped.low_value) == (41.0, 1_241.0, None)
    replaced = read_meter(before, readings(2.0, 5.0, 9.0))
    assert (replaced.counted, replaced.last_value, replaced.low_value) == (49.0, 9.0, None)
    waiting = read_meter(before, readings(2.0))
    assert (waiting.counted, waiting.low_value) == (40.0, 2.0)
    assert read_meter(waiting, readings(float("nan"), float("inf"))) == waiting


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=60), st.floats(0.5, 1e4), st.data())
def test_work_by_a_meter_is_the_same_however_often_somebody_looks(
    grown: list[float], every: float, data: st.DataObject
) -> None:
    total = 0.0
    values = [total := total + step for step in grown]
    at_once = read_meter(Meter(0.0, 0.0, START), readings(*values))
    meter, rounds, rest = Meter(0.0, 0.0, START), 0, list(readings(*values))
    while rest:
        taken = data.draw(st.integers(1, len(rest)))
        meter = read_meter(meter, rest[:taken])
        passed, carried = meter_rounds(meter.counted, every)
        meter, rounds, rest = (
            Meter(carried, meter.last_value, meter.last_at, meter.low_value),
            rounds + passed,
            rest[taken:],
        )
    assert rounds * every + meter.counted == pytest.approx(at_once.counted, rel=1e-6, abs=1e-6)
    assert 0 <= meter.counted <= every * (1 + 1e-6)
