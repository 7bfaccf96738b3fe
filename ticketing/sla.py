"""SLA clocks: start, stop, pause, and the due date of a ticket (SPEC S2, S3, S4, T5).

A clock runs on the site's calendar or round the clock. A pause is kept in working time: at the end of a hold
the clock is given again exactly the working time that was left when the hold began, so a hold over a weekend
gains nothing and a calendar that changed meanwhile is followed. A clock that was overdue before the hold stays
overdue: waiting does not undo a breach.

When a priority or a calendar changes, clocks are retargeted: the working time that was used, without the pauses,
stays used, and the rest is planned anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from domain.working_time import ROUND_THE_CLOCK, WorkingTime
from ticketing.policy.whole import Policy
from ticketing.ticket import SLA_CLOCKS, Clock, HoldReason


class ClockState(StrEnum):
    """What a clock is doing: running, paused by a hold, met in time, or breached (whether stopped late or still on)."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    BREACHED = "breached"


@dataclass(frozen=True, slots=True)
class RunningClock:
    """One clock of one ticket, with ``target_s`` seconds of working time; the times are aware UTC wall times.

    ``calendar_id`` None means round the clock.
    """

    clock: Clock
    calendar_id: str | None
    target_s: int
    started_at: datetime
    due_at: datetime
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """A wait: since when, for what, and when to look again."""

    started_at: datetime
    reason: HoldReason
    review_at: datetime
    ended_at: datetime | None = None


def targets_s(policy: Policy, priority: int, tier: str) -> dict[Clock, int]:
    """Return the targets of a priority in seconds; some requester tiers are accepted sooner."""
    seconds = dict(policy.sla[priority].seconds)
    sooner = policy.tier_accept_s.get(tier)
    if sooner is not None:
        seconds[Clock.ACCEPT] = min(seconds[Clock.ACCEPT], sooner)
    return seconds


def open_clocks(
    policy: Policy, priority: int, tier: str, opened_at: datetime, calendar_id: str, working: WorkingTime
) -> tuple[RunningClock, ...]:
    """Start the four SLA clocks of a new ticket, on the site's calendar unless its priority runs round the clock."""
    seconds = targets_s(policy, priority, tier)
    always = policy.sla[priority].round_the_clock
    chosen: WorkingTime = ROUND_THE_CLOCK if always else working
    on = None if always else calendar_id
    return tuple(
        RunningClock(clock, on, seconds[clock], opened_at, chosen.due(opened_at, seconds[clock]))
        for clock in SLA_CLOCKS
    )


def restart(clock: RunningClock, now: datetime, working: WorkingTime) -> RunningClock:
    """Start a clock again with its whole target: the next engineer's time to accept."""
    return replace(clock, started_at=now, due_at=working.due(now, clock.target_s), stopped_at=None)


def promise(now: datetime, expected_response_at: datetime) -> RunningClock:
    """Start the countdown to the response time that the engineer named (SPEC T2); it runs round the clock."""
    seconds = max(1, round((expected_response_at - now).total_seconds()))
    return RunningClock(Clock.PROMISE, None, seconds, now, expected_response_at)


def is_paused(clock: RunningClock, hold: Hold | None, policy: Policy) -> bool:
    """Say whether an open hold makes this clock stand still."""
    if hold is None or hold.ended_at is not None or clock.stopped_at is not None:
        return False
    return clock.clock in policy.hold_pauses[hold.reason] and hold.started_at < clock.due_at


def after_hold(clock: RunningClock, hold: Hold, policy: Policy, now: datetime, working: WorkingTime) -> RunningClock:
    """Return the clock as it goes on when ``hold`` ends ``now``: with the working time that was left at its start."""
    if not is_paused(clock, hold, policy):
        return clock
    return replace(clock, due_at=working.due(now, working.worked(hold.started_at, clock.due_at)))


def left_s(clock: RunningClock, at: datetime, working: WorkingTime) -> float:
    """Return the working time left at an instant; below 0 is what the clock was overdue by."""
    return working.worked(at, clock.due_at) - working.worked(clock.due_at, at)


def retarget(
    clocks: Iterable[RunningClock],
    *,
    targets: Mapping[Clock, int],
    calendar_of: Callable[[Clock], str | None],
    hold: Hold | None,
    policy: Policy,
    now: datetime,
    working: Mapping[str | None, WorkingTime],
) -> tuple[RunningClock, ...]:
    """Return the clocks under new targets, or on other calendars: the working time already used stays used.

    Only SLA clocks that run or are paused change; one that ``targets`` does not name keeps its target. Time is read
    off at ``now``, or at the start of an open hold that pauses the clock: what a hold gave is not lost. A clock whose
    new target is used up already is due in the past, by as much working time of its new calendar as it is over.
    ``working`` has the working time of the calendars before and after.
    """
    return tuple(
        _retargeted(
            clock,
            targets.get(clock.clock, clock.target_s),
            calendar_of(clock.clock),
            _read_off_at(clock, hold, policy, now),
            working,
        )
        if clock.stopped_at is None and clock.clock in SLA_CLOCKS
        else clock
        for clock in clocks
    )


def _retargeted(
    clock: RunningClock, target_s: int, calendar_id: str | None, at: datetime, working: Mapping[str | None, WorkingTime]
) -> RunningClock:
    used_s = clock.target_s - left_s(clock, at, working[clock.calendar_id])
    now_left_s = target_s - used_s
    on = working[calendar_id]
    due_at = on.due(at, now_left_s) if now_left_s > 0 else on.ago(at, -now_left_s)
    return replace(clock, calendar_id=calendar_id, target_s=target_s, due_at=due_at)


def _read_off_at(clock: RunningClock, hold: Hold | None, policy: Policy, now: datetime) -> datetime:
    """Return when to read a clock off: a hold that pauses it counts from its start, even if the clock was overdue."""
    if hold is None or hold.ended_at is not None or clock.clock not in policy.hold_pauses[hold.reason]:
        return max(now, clock.started_at)
    return max(min(hold.started_at, now), clock.started_at)


def after_step(
    clocks: Iterable[RunningClock],
    *,
    stops: Sequence[Clock],
    starts: Sequence[Clock],
    anew: Sequence[Clock] = (),
    ended_hold: Hold | None,
    expected_response_at: datetime | None,
    policy: Policy,
    now: datetime,
    working: Mapping[str | None, WorkingTime],
) -> tuple[RunningClock, ...]:
    """Return the clocks as a command leaves them: first a hold ends, then clocks stop, then clocks start.

    Starting the resolve clock means that a resolution was disputed: it runs on as if it had never stopped. Those of
    ``anew`` begin again with their whole target.
    ``working`` has the working time of each clock's calendar.
    """
    found: dict[Clock, RunningClock] = {}
    for clock in clocks:
        if ended_hold is not None:
            clock = after_hold(clock, ended_hold, policy, now, working[clock.calendar_id])
        if clock.clock in stops and clock.stopped_at is None:
            clock = replace(clock, stopped_at=now)
        if clock.clock in anew or (clock.clock in starts and clock.clock is Clock.ACCEPT):
            clock = restart(clock, now, working[clock.calendar_id])
        if clock.clock in starts and clock.clock is Clock.RESOLVE:
            clock = replace(clock, stopped_at=None)
        found[clock.clock] = clock
    if Clock.PROMISE in starts and expected_response_at is not None:
        found[Clock.PROMISE] = promise(now, expected_response_at)
    return tuple(found.values())


def state_of(clock: RunningClock, hold: Hold | None, policy: Policy, now: datetime) -> ClockState:
    """Say what the clock is doing at ``now``; reaching the due instant is still in time."""
    if clock.stopped_at is not None:
        return ClockState.MET if clock.stopped_at <= clock.due_at else ClockState.BREACHED
    if is_paused(clock, hold, policy):
        return ClockState.PAUSED
    return ClockState.RUNNING if now <= clock.due_at else ClockState.BREACHED


def ticket_due(clocks: Iterable[RunningClock], failure_expected_at: datetime | None) -> datetime:
    """Return the earlier of the resolve clock's due time and the predicted failure (SPEC S4)."""
    resolve = next(clock.due_at for clock in clocks if clock.clock is Clock.RESOLVE)
    return resolve if failure_expected_at is None else min(resolve, failure_expected_at)
