"""SLA clocks, holds and due dates (SPEC S1-S4, T5), without a database."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.refusals import Refused
from domain.working_time import ROUND_THE_CLOCK, Segment, WorkingCalendar
from storage.policies import DEFAULT_POLICY, shipped_body
from tests.ticket_builders import DAY, HOUR, MINUTE, NOW, the_policy
from ticketing.policy.whole import read_policy
from ticketing.priority import PriorityInputs, priority_of
from ticketing.sla import ClockState, Hold, RunningClock, after_step, open_clocks, state_of, ticket_due
from ticketing.ticket import Clock, HoldReason

POLICY = the_policy()
WEEKDAYS = WorkingCalendar(
    "Asia/Shanghai", ((Segment(8 * 3600, 12 * 3600), Segment(13 * 3600, 17 * 3600 + 1800)),) * 5 + ((), ())
)
WORKING = {None: ROUND_THE_CLOCK, "weekdays": WEEKDAYS}
FRIDAY_16_00 = NOW + timedelta(days=4, hours=6)


def clocks(priority: int, tier: str = "standard", opened_at=NOW) -> dict[Clock, RunningClock]:
    return {clock.clock: clock for clock in open_clocks(POLICY, priority, tier, opened_at, "weekdays", WEEKDAYS)}


def moved(clock: RunningClock, now, **changes) -> RunningClock:
    plain = {"stops": (), "starts": (), "ended_hold": None, "expected_response_at": None}
    return after_step([clock], policy=POLICY, now=now, working=WORKING, **{**plain, **changes})[0]


@pytest.mark.parametrize(
    ("priority", "clock", "target"),
    [
        (0, Clock.RESPOND, 15 * MINUTE),
        (0, Clock.ACCEPT, 5 * MINUTE),
        (1, Clock.ACCEPT, 15 * MINUTE),
        (1, Clock.RESOLVE, 2 * HOUR),
        (2, Clock.CLOSE, 24 * HOUR),
        (2, Clock.ACCEPT, 2 * HOUR),
        (3, Clock.CLOSE, 48 * HOUR),
        (4, Clock.CLOSE, 48 * HOUR),
    ],
)
def test_the_default_targets_are_those_of_the_specification(priority: int, clock: Clock, target: timedelta) -> None:
    """SPEC S2."""
    assert clocks(priority)[clock].target_s == target.total_seconds()


def test_urgent_tickets_run_round_the_clock_and_others_on_the_calendar() -> None:
    """SPEC S3."""
    assert clocks(1, opened_at=FRIDAY_16_00)[Clock.RESOLVE].due_at == FRIDAY_16_00 + 2 * HOUR
    # Friday 16:00 to 17:30, then Monday 08:00 to 08:30.
    assert clocks(2, opened_at=FRIDAY_16_00)[Clock.ACCEPT].due_at == FRIDAY_16_00 + timedelta(days=2, hours=16.5)


def test_a_vip_is_accepted_sooner_whatever_the_priority() -> None:
    """SPEC S2."""
    assert clocks(3, "vip")[Clock.ACCEPT].target_s == 900
    assert clocks(0, "vip")[Clock.ACCEPT].target_s == 300


def test_a_parked_ticket_does_not_consume_its_resolution_time() -> None:
    """SPEC T5: after a hold the working time that was left at its start is left again."""
    resolve = clocks(2)[Clock.RESOLVE]
    hold = Hold(NOW + HOUR, HoldReason.PARTS, NOW + DAY)
    resumed = moved(resolve, NOW + 3 * DAY, ended_hold=hold)
    assert WEEKDAYS.worked(NOW + 3 * DAY, resumed.due_at) == resolve.target_s - 3600


def test_a_hold_over_the_weekend_gains_nothing_on_a_calendar_clock() -> None:
    """Trap found in a peer: a weekend pause was over-credited."""
    resolve = clocks(2, opened_at=FRIDAY_16_00)[Clock.RESOLVE]
    hold = Hold(FRIDAY_16_00 + timedelta(hours=1.5), HoldReason.PARTS, FRIDAY_16_00 + DAY)
    monday_08_00 = FRIDAY_16_00 + timedelta(days=2, hours=16)
    assert moved(resolve, monday_08_00, ended_hold=hold).due_at == resolve.due_at


def test_a_reason_pauses_only_the_clocks_that_the_policy_names() -> None:
    hold = Hold(NOW, HoldReason.PARTS, NOW + DAY)
    found = clocks(2)
    assert state_of(found[Clock.RESOLVE], hold, POLICY, NOW) is ClockState.PAUSED
    assert state_of(found[Clock.RESPOND], hold, POLICY, NOW) is ClockState.RUNNING
    assert moved(found[Clock.RESPOND], NOW + DAY, ended_hold=hold) == found[Clock.RESPOND]


def test_a_hold_does_not_undo_a_breach() -> None:
    resolve = clocks(1)[Clock.RESOLVE]
    hold = Hold(resolve.due_at + MINUTE, HoldReason.PARTS, NOW + DAY)
    assert state_of(resolve, hold, POLICY, NOW + DAY) is ClockState.BREACHED
    assert moved(resolve, NOW + DAY, ended_hold=hold) == resolve


def test_reaching_the_due_instant_is_in_time_and_a_microsecond_later_is_not() -> None:
    accept = clocks(0)[Clock.ACCEPT]
    late = accept.due_at + timedelta(microseconds=1)
    assert state_of(accept, None, POLICY, accept.due_at) is ClockState.RUNNING
    assert state_of(accept, None, POLICY, late) is ClockState.BREACHED
    assert state_of(replace(accept, stopped_at=accept.due_at), None, POLICY, late) is ClockState.MET
    assert state_of(replace(accept, stopped_at=late), None, POLICY, late) is ClockState.BREACHED


def test_a_stopped_clock_stays_stopped() -> None:
    accept = moved(clocks(2)[Clock.ACCEPT], NOW + MINUTE, stops=(Clock.ACCEPT,))
    assert accept.stopped_at == NOW + MINUTE
    assert moved(accept, NOW + HOUR, stops=(Clock.ACCEPT,)).stopped_at == NOW + MINUTE


def test_a_disputed_resolution_gives_no_time() -> None:
    """The resolution was none: its clock runs on to the same due time."""
    resolve = clocks(2)[Clock.RESOLVE]
    stopped = moved(resolve, NOW + HOUR, stops=(Clock.RESOLVE,))
    assert moved(stopped, NOW + DAY, starts=(Clock.RESOLVE,)) == resolve


def test_the_next_engineer_gets_the_whole_time_to_accept() -> None:
    accepted = moved(clocks(2)[Clock.ACCEPT], NOW + MINUTE, stops=(Clock.ACCEPT,))
    again = moved(accepted, NOW + HOUR, starts=(Clock.ACCEPT,))
    assert (again.stopped_at, again.started_at) == (None, NOW + HOUR)
    assert again.due_at == WEEKDAYS.due(NOW + HOUR, again.target_s)


def test_the_promise_counts_down_to_the_time_that_the_engineer_named() -> None:
    """SPEC T2."""
    before = list(clocks(2).values())
    after = after_step(
        before,
        stops=(),
        starts=(Clock.PROMISE,),
        ended_hold=None,
        expected_response_at=NOW + HOUR,
        policy=POLICY,
        now=NOW,
        working=WORKING,
    )
    promise = after[-1]
    assert (promise.clock, promise.due_at, promise.target_s) == (Clock.PROMISE, NOW + HOUR, 3600)


def test_the_earlier_of_target_and_predicted_failure_counts() -> None:
    """SPEC S4."""
    found = clocks(1).values()
    assert ticket_due(found, NOW + HOUR) == NOW + HOUR
    assert ticket_due(found, NOW + DAY) == NOW + 2 * HOUR
    assert ticket_due(found, None) == NOW + 2 * HOUR


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 20_000)), max_size=6), st.sampled_from([1, 2]))
def test_holds_never_change_how_long_work_may_take(waits: list[tuple[int, int]], priority: int) -> None:
    """Working minutes before, between and after any number of holds add up to the target."""
    clock, now, used = clocks(priority)[Clock.RESOLVE], NOW, 0.0
    working = WORKING[clock.calendar_id]
    for busy, waiting in waits:
        later = now + timedelta(minutes=busy)
        if later >= clock.due_at:
            break
        used += working.worked(now, later)
        hold = Hold(later, HoldReason.ACCESS, later + DAY)
        now = later + timedelta(minutes=waiting)
        clock = moved(clock, now, ended_hold=hold)
    assert used + working.worked(now, clock.due_at) == pytest.approx(clock.target_s)


def scored(**changes):
    plain = {"failure_mode": "bearing_wear", "severity": 8, "criticality": 3, "tier": "standard"}
    return priority_of(POLICY.priority, POLICY.score, PriorityInputs(**{**plain, **changes}))


def test_the_priority_shows_its_arithmetic() -> None:
    """SPEC S1."""
    found = scored(criticality=4, tier="vip")
    assert found.score == 18.0
    assert {factor.name: factor.value for factor in found.factors if factor.value != 1} == {
        "severity": 8,
        "criticality": 1.25,
        "requester_tier": 1.8,
    }
    assert found.level == 1
    assert found.as_json()["from_score"] == [20.0, 11.0, 6.5, 3.0]


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, 2),
        ({"criticality": 5}, 1),
        ({"criticality": 5, "tier": "vip"}, 0),
        ({"severity": 4}, 3),
        ({"severity": 2}, 4),
        ({"severity": None, "failure_mode": None}, 3),
        ({"severity": 1, "line_stopped": True}, 0),
    ],
)
def test_the_priority_follows_severity_criticality_and_tier(changes: dict[str, object], level: int) -> None:
    assert scored(**changes).level == level


def broken_policies() -> list[tuple[str, dict[str, object]]]:
    def changed(*path_and_value: object) -> dict[str, object]:
        *path, last, value = path_and_value
        body = copy.deepcopy(shipped_body(DEFAULT_POLICY))
        table = body
        for name in path:
            table = table[name]  # type: ignore[assignment,index]
        if value is None:
            del table[last]  # type: ignore[arg-type]
        else:
            table[last] = value  # type: ignore[index]
        return body

    return [
        ("sla.p0.accept_s", changed("sla", "p0", "accept_s", 0)),
        ("sla.p0", changed("sla", "p0", "accept_s", 901)),
        ("sla.p5", changed("sla", "p5", {})),
        ("sla.p3", changed("sla", "p3", None)),
        ("hold_pauses.parts", changed("hold_pauses", "parts", ["lunch"])),
        ("hold_pauses.access", changed("hold_pauses", "access", None)),
        ("dispatch.skills", changed("dispatch", "skills", "some")),
        ("dispatch.load_limit", changed("dispatch", "load_limit", True)),
        ("dispatch.near_km", changed("dispatch", "near_km", float("nan"))),
        ("dispatch.weights", changed("dispatch", "weights", {"distance": 0.0, "load": 0.0, "skill": 0.0})),
        ("priority.from_score", changed("priority", "from_score", "p1", 20.0)),
        ("priority.criticality.3", changed("priority", "criticality", "3", None)),
        ("tier_accept_s.gold", changed("tier_accept_s", "gold", 60)),
        ("timeout", changed("timeout", 5)),
        ("confirmation.valid_days", changed("confirmation", "valid_days", 0)),
    ]


@pytest.mark.parametrize(("path", "body"), broken_policies())
def test_a_policy_that_could_not_work_is_refused_with_its_path(path: str, body: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        read_policy(body)
    assert refused.value.name == "invalid_policy"
    assert path.split(".")[-1] in refused.value.expected + refused.value.got
