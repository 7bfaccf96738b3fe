"""Clocks under new targets and on other calendars: what was used stays used (SPEC S2, S3, T5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.working_time import ROUND_THE_CLOCK, Segment, WorkingCalendar, WorkingTime
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, the_policy
from ticketing.sla import (
    ClockState,
    Hold,
    RunningClock,
    after_step,
    left_s,
    open_clocks,
    promise,
    retarget,
    state_of,
    targets_s,
)
from ticketing.ticket import Clock, HoldReason

POLICY = the_policy()
WEEKDAYS = WorkingCalendar(
    "Asia/Shanghai", ((Segment(8 * 3600, 12 * 3600), Segment(13 * 3600, 17 * 3600 + 1800)),) * 5 + ((), ())
)
NIGHTS = WorkingCalendar("Europe/Berlin", ((Segment(0, 6 * 3600), Segment(22 * 3600, 86_400)),) * 7)
WORKING: dict[str | None, WorkingTime] = {None: ROUND_THE_CLOCK, "weekdays": WEEKDAYS, "nights": NIGHTS}


def a_clock(
    target_s: int = 57_600, calendar_id: str | None = "weekdays", name: Clock = Clock.RESOLVE, at: datetime = NOW
) -> RunningClock:
    return RunningClock(name, calendar_id, target_s, at, WORKING[calendar_id].due(at, target_s))


def changed(
    clock: RunningClock, now: datetime, target_s: int, calendar_id: str | None = "weekdays", hold: Hold | None = None
) -> RunningClock:
    (found,) = retarget(
        [clock],
        targets={clock.clock: target_s},
        calendar_of=lambda _: calendar_id,
        hold=hold,
        policy=POLICY,
        now=now,
        working=WORKING,
    )
    return found


def resumed(clock: RunningClock, hold: Hold, now: datetime) -> RunningClock:
    (found,) = after_step(
        [clock],
        stops=(),
        starts=(),
        ended_hold=hold,
        expected_response_at=None,
        policy=POLICY,
        now=now,
        working=WORKING,
    )
    return found


def test_a_shorter_target_leaves_what_is_left_of_it() -> None:
    """SPEC S2: an hour of the old target is used, so an hour of the new one is."""
    found = changed(a_clock(), NOW + HOUR, 7200)
    assert (found.target_s, found.started_at, found.due_at) == (7200, NOW, NOW + 2 * HOUR)


def test_a_longer_target_gives_the_difference_and_not_the_whole_again() -> None:
    found = changed(a_clock(7200), NOW + HOUR, 14_400)
    assert left_s(found, NOW + HOUR, WEEKDAYS) == 10_800


def test_an_urgent_ticket_leaves_the_calendar_with_the_time_it_had_used_there() -> None:
    """SPEC S3: 10:00 to 12:00 and 13:00 to 14:00 are three working hours; one of the four is left, day and night."""
    found = changed(a_clock(), NOW + 4 * HOUR, 14_400, None)
    assert (found.calendar_id, found.due_at) == (None, NOW + 5 * HOUR)


def test_a_clock_whose_new_target_is_used_up_is_due_in_the_past_by_what_it_is_over() -> None:
    found = changed(a_clock(), NOW + 4 * HOUR, 7200, None)
    assert found.due_at == NOW + 3 * HOUR
    assert state_of(found, None, POLICY, NOW + 4 * HOUR) is ClockState.BREACHED


def test_there_and_back_is_where_it_was() -> None:
    """Even through a target that was used up long ago: a slip of the priority costs nothing."""
    before, now = a_clock(), NOW + 2 * DAY
    assert changed(changed(before, now, 7200, None), now, before.target_s) == before


def test_paused_time_survives_a_new_target_after_the_hold() -> None:
    """Trap found in a peer: the pause was lost when the target changed."""
    hold = Hold(NOW + HOUR, HoldReason.PARTS, NOW + DAY)
    clock = resumed(a_clock(), hold, NOW + 3 * DAY)
    found = changed(clock, NOW + 3 * DAY + HOUR, 14_400)
    assert left_s(found, NOW + 3 * DAY + HOUR, WEEKDAYS) == 14_400 - 2 * 3600


def test_paused_time_survives_a_new_target_during_the_hold() -> None:
    """Also when the ticket leaves the calendar: of the two days on hold nothing is used."""
    hold = Hold(NOW + HOUR, HoldReason.PARTS, NOW + DAY)
    found = changed(a_clock(), NOW + 2 * DAY, 14_400, None, hold)
    assert state_of(found, hold, POLICY, NOW + 2 * DAY) is ClockState.PAUSED
    assert left_s(resumed(found, hold, NOW + 3 * DAY), NOW + 3 * DAY, ROUND_THE_CLOCK) == 14_400 - 3600


def test_a_hold_that_does_not_pause_the_clock_does_not_stop_its_reading() -> None:
    hold = Hold(NOW, HoldReason.PARTS, NOW + DAY)
    found = changed(a_clock(14_400, name=Clock.RESPOND), NOW + HOUR, 7200, hold=hold)
    assert found.due_at == NOW + 2 * HOUR


def test_an_overdue_clock_that_a_longer_target_saves_is_paused_from_the_start_of_its_hold() -> None:
    hold = Hold(NOW + HOUR, HoldReason.PARTS, NOW + DAY)
    overdue = a_clock(1800)
    assert state_of(overdue, hold, POLICY, NOW + DAY) is ClockState.BREACHED
    saved = changed(overdue, NOW + DAY, 7200, hold=hold)
    assert state_of(saved, hold, POLICY, NOW + DAY) is ClockState.PAUSED
    assert left_s(resumed(saved, hold, NOW + 2 * DAY), NOW + 2 * DAY, WEEKDAYS) == 3600


def test_clocks_that_stopped_and_the_promise_stay_as_they_are() -> None:
    met, promised = replace(a_clock(), stopped_at=NOW + HOUR), promise(NOW, NOW + HOUR)
    assert changed(met, NOW + 2 * HOUR, 60, None) == met
    assert changed(promised, NOW + MINUTE, 60, None) == promised


def test_a_target_that_is_not_named_stays() -> None:
    clock = a_clock()
    found = retarget(
        [clock], targets={}, calendar_of=lambda _: None, hold=None, policy=POLICY, now=NOW + HOUR, working=WORKING
    )
    assert [(each.target_s, each.due_at) for each in found] == [(57_600, NOW + 16 * HOUR)]


def test_the_four_clocks_of_a_raised_priority_are_those_of_the_higher_one() -> None:
    before = open_clocks(POLICY, 2, "standard", NOW, "weekdays", WEEKDAYS)
    raised = retarget(
        before,
        targets=targets_s(POLICY, 1, "standard"),
        calendar_of=lambda _: None,
        hold=None,
        policy=POLICY,
        now=NOW,
        working=WORKING,
    )
    assert raised == open_clocks(POLICY, 1, "standard", NOW, "weekdays", WEEKDAYS)


def test_a_clock_started_during_a_hold_is_not_read_off_before_it_began() -> None:
    hold = Hold(NOW, HoldReason.ACCESS, NOW + DAY)
    late = a_clock(7200, at=NOW + HOUR)
    assert left_s(changed(late, NOW + 90 * MINUTE, 3600, hold=hold), NOW + HOUR, WEEKDAYS) == 3600


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["work", "hold", "target", "calendar"]),
        st.integers(1, 6000),
        st.integers(60, 200_000),
        st.sampled_from([None, "weekdays", "nights"]),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(600, 200_000))
def test_used_and_left_make_the_target_whatever_happens(
    steps: list[tuple[str, int, int, str | None]], target_s: int
) -> None:
    """SPEC S2, S3, T5: work, holds, targets and calendars in any order; a ledger beside the clock says what was used.

    A hold costs nothing unless the target was used up when it began.
    """
    clock, now, used_s = a_clock(target_s), NOW, 0.0
    hold: Hold | None = None
    for what, minutes, new_target_s, calendar_id in steps:
        later = now + timedelta(minutes=minutes)
        if hold is None:
            used_s += WORKING[clock.calendar_id].worked(now, later)
        now = later
        if what == "hold" and hold is None:
            hold = Hold(now, HoldReason.PARTS, now + DAY)
        elif what == "hold" and hold is not None:
            clock = resumed(clock, hold, now)
            if used_s >= clock.target_s:
                used_s += WORKING[clock.calendar_id].worked(hold.started_at, now)
            hold = None
        elif what == "target":
            clock = changed(clock, now, new_target_s, clock.calendar_id, hold)
        elif what == "calendar":
            clock = changed(clock, now, clock.target_s, calendar_id, hold)
    read_at = now if hold is None else hold.started_at
    assert used_s + left_s(clock, read_at, WORKING[clock.calendar_id]) == pytest.approx(clock.target_s, abs=1e-3)
