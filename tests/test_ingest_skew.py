"""The estimate of a device's clock, with simulated clocks and networks (SPEC E6)."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ingest.skew import ROUND_S, ROUNDS_NEEDED, STEADY_S, TELL_EVERY_S, ClockSkew


def differences(
    ahead_s: float, *, every_s: float = 1.0, delay_s: float = 0.05, jitter_s: float = 0.0, until_s: float = 120.0
) -> Iterator[tuple[float, float]]:
    """(difference, our time) of a device whose clock is ahead and whose messages are late by delay and jitter."""
    generator = random.Random(7)
    for n in range(int(until_s / every_s)):
        late_s = delay_s + generator.expovariate(1 / jitter_s) if jitter_s else delay_s
        yield ahead_s - late_s, 1000.0 + n * every_s + late_s


def estimate(come: Iterator[tuple[float, float]]) -> float | None:
    clock = ClockSkew()
    for difference_s, now_s in come:
        clock.observe(difference_s, now_s)
    return clock.ahead_s


@pytest.mark.parametrize("ahead_s", [90.0, -40.0, 0.0, 299.0, -3600.0])
@pytest.mark.parametrize("jitter_s", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("every_s", [0.2, 1.0, 15.0])
def test_a_steady_clock_is_found_to_a_second_whatever_the_network_adds(ahead_s, jitter_s, every_s):
    found = estimate(differences(ahead_s, every_s=every_s, jitter_s=jitter_s, until_s=600))
    assert found == pytest.approx(ahead_s - 0.05, abs=0.1 if jitter_s == 0 else 1.0)


def test_delay_only_ever_makes_a_clock_look_behind():
    for jitter_s in (0.5, 1.0, 2.0):
        found = estimate(differences(90.0, jitter_s=jitter_s))
        assert found is not None
        assert found <= 90.0


def test_one_odd_time_moves_nothing():
    come = list(differences(0.0))
    come[70] = (250.0, come[70][1])
    clock = ClockSkew()
    told = [clock.observe(*one) for one in come]
    assert max(abs(one) for one in told if one is not None) < 0.1


def test_a_device_that_empties_its_memory_is_not_said_to_have_a_clock_behind():
    """An outage of an hour, sent at 60 times real time: the differences run towards zero, and then stay there."""
    clock = ClockSkew()
    backlog = [(-3600.0 + 59 * n * 0.5, 1000.0 + n * 0.5) for n in range(120)]
    assert [one for one in (clock.observe(*one) for one in backlog) if one is not None] == []
    fresh = [(-0.1, 1060.0 + n) for n in range(90)]
    told = [one for one in (clock.observe(*one) for one in fresh) if one is not None]
    assert told
    assert all(abs(one) < 1 for one in told)


def test_a_clock_that_is_put_right_is_believed_after_it_has_been_steady_again():
    clock = ClockSkew()
    told = [clock.observe(90.0, 1000.0 + n) for n in range(100)]
    told += [clock.observe(0.0, 1100.0 + n) for n in range(100)]
    values = [one for one in told if one is not None]
    assert set(values) == {90.0, 0.0}
    assert values[-1] == 0.0


def test_a_drifting_clock_is_told_when_it_has_moved():
    clock = ClockSkew()
    told = [one for n in range(3600) if (one := clock.observe(n / 600, 1000.0 + n)) is not None]
    assert told == sorted(told)
    assert told[-1] > 5.5
    assert max(told) - min(told) > STEADY_S


def test_nothing_is_said_before_there_is_enough_and_then_rarely():
    clock = ClockSkew()
    told = {n: one for n in range(400) if (one := clock.observe(1.0, 1000.0 + n)) is not None}
    assert min(told) == pytest.approx(ROUNDS_NEEDED * ROUND_S, abs=1)
    assert len(told) <= 400 / TELL_EVERY_S + 1
