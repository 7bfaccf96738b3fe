"""Sequence numbers over two lanes: a complete stream ends without a gap, a missing number is reported (SPEC E5)."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ingest.sequence import MAX_AHEAD, SequenceTrack

FIRST = 100


def a_track(last: int | None = None, newest_ts_us: int | None = None, ahead: tuple[int, ...] = ()) -> SequenceTrack:
    return SequenceTrack(1, last, newest_ts_us, (), ahead)


def missing(track: SequenceTrack) -> list[int]:
    return [number for gap in track.gaps for number in range(gap.after + 1, gap.before)]


@st.composite
def two_lanes(draw: st.DrawFn, *, least: int = 1) -> tuple[list[bool], list[bool]]:
    """Which numbers are alarms, and from which lane the next message is taken each time."""
    is_alarm = draw(st.lists(st.booleans(), min_size=least, max_size=40))
    alarms = sum(is_alarm)
    turns = draw(st.permutations([True] * alarms + [False] * (len(is_alarm) - alarms)))
    return is_alarm, turns


def arrivals(is_alarm: list[bool], turns: list[bool]) -> list[tuple[int, bool]]:
    """(number, came early) in the order of arrival; within a lane the order stays."""
    lanes = {kind: iter([FIRST + n for n, one in enumerate(is_alarm) if one is kind]) for kind in (True, False)}
    return [(next(lanes[turn]), turn) for turn in turns]


@given(two_lanes(), st.booleans(), st.integers(0, 40))
@example(([False, True, False], [True, False, False]), True, 1)
@example(([True], [True]), False, 0)
def test_any_interleaving_of_a_complete_stream_ends_without_a_gap(lanes, is_known, restart_after):
    """A restart in the middle keeps what came early; what is redelivered then changes nothing."""
    is_alarm, turns = lanes
    track = a_track(FIRST - 1, (FIRST - 1) * 10) if is_known else a_track()
    come = arrivals(is_alarm, turns)
    for place, (number, is_early) in enumerate(come):
        if place == restart_after:
            newest_us = max((one * 10 for one, _ in come[:place]), default=(FIRST - 1) * 10)
            track = SequenceTrack(1, track.last, newest_us, track.gaps, track.ahead)
            for again, was_early in come[max(0, place - 3) : place]:
                track.accept(again, again * 10, is_early=was_early)
        track.accept(number, number * 10, is_early=is_early)
    track.settle()
    assert missing(track) == []
    assert (track.last, track.ahead) == (FIRST + len(is_alarm) - 1, ())


@given(two_lanes(least=3), st.data())
def test_a_number_that_never_comes_is_reported_and_no_other(lanes, data):
    is_alarm, turns = lanes
    lost = data.draw(st.sets(st.integers(1, len(is_alarm) - 2), min_size=1, max_size=5))
    track = a_track(FIRST - 1, (FIRST - 1) * 10)
    for number, is_early in arrivals(is_alarm, turns):
        if number - FIRST not in lost:
            track.accept(number, number * 10, is_early=is_early)
    track.settle()
    assert missing(track) == sorted(FIRST + number for number in lost)


@given(two_lanes())
def test_while_only_alarms_run_ahead_nothing_is_reported(lanes):
    """All alarms come before all telemetry: no gap is seen at any moment."""
    is_alarm, turns = lanes
    track = a_track(FIRST - 1, (FIRST - 1) * 10)
    for number, is_early in arrivals(is_alarm, sorted(turns, reverse=True)):
        assert not track.accept(number, number * 10, is_early=is_early)
    assert track.ahead == ()


def test_a_gap_is_reported_as_soon_as_telemetry_passes_a_number_that_came_early():
    track = a_track(5, 50)
    assert not track.accept(8, 80, is_early=True)
    assert (track.last, track.ahead, track.ahead_changed) == (5, (8,), True)
    assert not track.accept(6, 60)
    assert track.accept(9, 90)
    assert (missing(track), track.last, track.ahead) == ([7], 9, ())


def test_a_number_that_came_early_is_judged_when_nothing_more_can_come_before_it():
    track = a_track(5, 50)
    track.accept(8, 80, is_early=True)
    assert track.settle()
    assert (missing(track), track.last, track.waits) == ([6, 7], 8, False)
    assert not track.settle()


def test_an_early_number_that_fills_a_gap_or_repeats_does_so_at_once():
    track = a_track(5, 50)
    track.accept(9, 90)
    assert not track.accept(7, 70, is_early=True)
    assert not track.accept(4, 40, is_early=True)
    assert (missing(track), track.last, track.ahead) == ([6, 8], 9, ())


@given(st.permutations(range(5)), st.lists(st.integers(0, 9), min_size=8, max_size=8), st.booleans())
@example([1, 0, 2, 3, 4], [5, 0, 6, 7, 8, 9, 9, 9], False)
def test_at_the_beginning_of_a_count_messages_may_overtake_each_other_and_be_older(order, seconds, is_again):
    """The first block of a waveform overtook the first reading: no order between topics, nor of times (SPEC E5)."""
    track, start_us = (a_track(100, 50), 100) if is_again else (a_track(), 0)
    for number in [*order, 5, 6, 7]:
        track.accept(number, start_us + seconds[number])
    track.settle()
    assert (missing(track), track.last) == ([], 7)


def test_a_counter_that_begins_again_right_after_its_first_messages_is_followed():
    track = a_track()
    for number, ts_us in [(40, 1), (41, 2), (0, 10), (1, 11), (2, 12), (4, 14)]:
        track.accept(number, ts_us)
    assert (missing(track), track.last) == ([3], 4)


def test_a_counter_that_begins_again_is_followed_in_both_lanes():
    """The device restarted: its alarm 3 of the new count comes before telemetry 101 of the old and 1, 2 of the new."""
    track = a_track(100, 1000)
    for number, ts_us, is_early in [(3, 1130, True), (101, 1010, False), (1, 1110, False), (2, 1120, False)]:
        track.accept(number, ts_us, is_early=is_early)
    assert (missing(track), track.last, track.ahead) == ([], 3, ())
    track.accept(4, 1140)
    assert missing(track) == []


def test_an_alarm_of_the_old_count_is_judged_by_the_old_count():
    """105 came early and 101 to 104 never: the counter that began again must not hide it."""
    track = a_track(100, 1000)
    track.accept(105, 1050, is_early=True)
    track.accept(1, 1110)
    assert (missing(track), track.last, track.ahead) == ([101, 102, 103, 104], 1, ())


def test_a_device_that_restarts_and_sends_alarms_only_is_followed():
    track = a_track(100, 1000)
    track.accept(1, 1110, is_early=True)
    track.accept(2, 1120, is_early=True)
    track.settle()
    assert (missing(track), track.last) == ([], 2)


def test_what_waits_is_bounded_and_what_is_judged_too_soon_is_put_right():
    """A flood of alarms before any telemetry: gaps are reported, and filled when the telemetry comes."""
    track = a_track(0, 0)
    numbers = range(1, 4 * MAX_AHEAD)
    for number in numbers:
        if number % 2 == 0:
            track.accept(number, number * 10, is_early=True)
            assert len(track.ahead) <= MAX_AHEAD
    assert missing(track) != []
    for number in numbers:
        if number % 2:
            track.accept(number, number * 10)
    assert (missing(track), track.last, track.ahead) == ([], numbers[-1], ())


def test_stored_changes_are_told_once():
    track = a_track(5, 50)
    track.accept(8, 80, is_early=True)
    track.stored()
    assert not track.ahead_changed
    track.accept(8, 80, is_early=True)
    assert not track.ahead_changed
    track.accept(6, 60)
    assert not track.ahead_changed
    track.accept(7, 70)
    assert track.ahead_changed
