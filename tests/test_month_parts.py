"""The parts of a simulated month: virtual time, working hours, luck, facts that are made up, and figures (SPEC R4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg_pool import ConnectionPool

from runtime.month_service import VirtualClock
from simulators.agenda import Agenda
from simulators.console_client import ConsoleClient
from simulators.hands import SAID, Hands, completed
from simulators.month_figures import first_time_fix, gini, why_open
from simulators.month_people import missed_share, work_time
from simulators.month_plan import (
    HOUR,
    MINUTE,
    SAME_MODE_RESTS,
    SITES,
    Place,
    Span,
    draw_faults,
    draw_machines,
    draw_workers,
    luck,
    road_km,
    travel_time,
)
from simulators.month_world import is_row
from storage.people import issue_token
from tests.month_builders import HERE, MONDAY, WEAR, a_detail, a_plan, a_worker
from tests.simulators_builders import CLOCK, a_service
from tests.ticket_builders import a_house, a_report, command

# Virtual time


def test_things_happen_in_order_and_those_of_one_instant_as_they_were_entered() -> None:
    agenda, told = Agenda(VirtualClock(MONDAY)), []
    for name, at in (("b", 2), ("a", 1), ("c", 2)):
        agenda.at(MONDAY + at * HOUR, lambda name=name: told.append((name, agenda.now())))
    agenda.run(MONDAY + 3 * HOUR, lambda: False)
    assert [name for name, _ in told] == ["a", "b", "c"]
    assert [at - MONDAY for _, at in told] == [HOUR, 2 * HOUR, 2 * HOUR]


def test_what_should_have_been_before_now_comes_next_and_time_does_not_go_back() -> None:
    clock = VirtualClock(MONDAY)
    agenda, told = Agenda(clock), []
    agenda.at(MONDAY + HOUR, lambda: agenda.at(MONDAY, lambda: told.append(agenda.now())))
    agenda.run(MONDAY + 2 * HOUR, lambda: False)
    assert told == [MONDAY + HOUR]
    with pytest.raises(ValueError, match="cannot go back"):
        clock.set_to(MONDAY)
    assert (clock.now(), clock.now().tzinfo, clock.monotonic_s()) == (MONDAY + HOUR, UTC, 3600.0)


def test_what_lies_after_the_end_does_not_happen() -> None:
    agenda, told = Agenda(VirtualClock(MONDAY)), []
    for hours in (1, 2, 3):
        agenda.at(MONDAY + hours * HOUR, lambda hours=hours: told.append(hours))
    agenda.run(MONDAY + 2 * HOUR, lambda: False)
    assert told == [1, 2]
    agenda.run(MONDAY + 9 * HOUR, lambda: True)
    assert told == [1, 2, 3]


# Working hours

DAYS = ((8, 17), (32, 41))


@pytest.mark.parametrize(
    ("start_h", "work_h", "urgent", "done_h"),
    [
        (9, 2, False, 11),
        (16, 1.5, False, 17.5),  # nearly finished: they stay
        (16, 3, False, 34),  # an hour today, two tomorrow
        (16, 3, True, 19),
        (20, 1, False, 33),
    ],
)
def test_work_goes_on_in_the_next_shift_unless_it_is_urgent_or_nearly_finished(
    start_h: float, work_h: float, urgent: bool, done_h: float
) -> None:
    worker = a_worker(*DAYS)
    done = worker.done_at(MONDAY + start_h * HOUR, work_h * HOUR, urgent=urgent)
    assert done == MONDAY + done_h * HOUR


def test_a_shift_begins_ends_and_is_waited_for() -> None:
    worker = a_worker(*DAYS)
    assert [worker.is_at_work(MONDAY + hour * HOUR) for hour in (7, 8, 16.9, 17)] == [False, True, True, False]
    assert worker.at_work_from(MONDAY + 18 * HOUR) == MONDAY + 32 * HOUR
    assert worker.at_work_from(MONDAY + 9 * HOUR) == MONDAY + 9 * HOUR
    assert [worker.shift_left(MONDAY + hour * HOUR) for hour in (16, 18)] == [HOUR, timedelta(0)]


def test_without_network_what_is_done_is_told_when_it_comes_back() -> None:
    worker = a_worker(*DAYS, offline=(Span(MONDAY + 9 * HOUR, MONDAY + 10 * HOUR),))
    assert worker.online_from(MONDAY + 9 * HOUR + MINUTE) == MONDAY + 10 * HOUR
    assert worker.online_from(MONDAY + 10 * HOUR) == MONDAY + 10 * HOUR


def test_whoever_knows_less_works_longer_and_misses_more() -> None:
    worker = a_worker()
    assert [worker.level(skills) for skills in ((), ("mechanical",), ("mechanical", "thermal"), ("laser",))] == [
        5.0,
        4.0,
        3.0,
        0.0,
    ]
    times = [work_time(7, level, luck(1, "x")) for level in (5.0, 3.0, 0.0)]
    assert times == sorted(times)
    assert times[0] < times[-1]
    assert missed_share(5.0, 0) < missed_share(2.0, 0) < missed_share(0.0, 0) < 0.5
    assert missed_share(2.0, 1) == missed_share(2.0, 0) / 2


# Luck


def test_the_plant_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    drawn = [
        (draw_machines(plan), draw_workers(plan), draw_faults(plan, draw_machines(plan), MODES))
        for plan in (a_plan(), a_plan(), a_plan(seed=2))
    ]
    assert drawn[0] == drawn[1]
    for first, other in zip(drawn[0], drawn[2], strict=True):
        assert first != other


MODES = [
    type(WEAR)(kind, f"{kind}_wear", "Wear", 6, ("mechanical",), (24.0, 96.0), ())
    for kind in ("motor", "pump", "oven", "gearbox", "hydraulic_rig", "milling")
]


def test_faults_come_in_order_within_the_month_and_one_mode_of_a_machine_rests() -> None:
    plan = a_plan(days=30, engineers=8)
    faults = draw_faults(plan, draw_machines(plan), MODES)
    assert len(faults) > 200
    last: dict[tuple[str, str], datetime] = {}
    for fault in faults:
        key = fault.machine.tag, fault.mode.code
        assert key not in last or fault.begins_at - last[key] >= SAME_MODE_RESTS - timedelta(days=1)
        last[key] = fault.begins_at
        assert plan.starts_at <= fault.begins_at < plan.ends_at + timedelta(days=1)
        assert fault.mode.asset_type == fault.machine.asset_type
        assert not fault.shown or fault.fails_at > fault.begins_at
    assert [fault.number for fault in faults] == list(range(1, len(faults) + 1))
    assert {fault.shown for fault in faults} == {fault.is_real for fault in faults} == {True, False}


def test_sick_people_have_no_shift_and_every_day_somebody_works() -> None:
    workers = draw_workers(a_plan(days=30, engineers=8))
    assert any(worker.sick for worker in workers)
    for worker in workers:
        assert not {span.start.date() for span in worker.shifts} & worker.sick
    worked = {span.start.date() for worker in workers for span in worker.shifts}
    assert {MONDAY.date() + timedelta(days=day) for day in range(30)} <= worked


def test_a_way_by_road_is_longer_than_the_line_and_takes_its_time() -> None:
    north = road_km(HERE, Place(HERE.latitude + 0.1, HERE.longitude))
    assert north == pytest.approx(11.12 * 1.3, rel=0.01)
    assert road_km(HERE, HERE) == 0.0
    assert travel_time(35.0) == timedelta(minutes=66)
    assert len({site for site, *_ in SITES}) == 3


# Facts that nobody thought of


def a_need(name: str, kind: str, *options: str, required: bool = True) -> dict[str, object]:
    return {
        "name": name,
        "type": kind,
        "required": required,
        "options": [{"value": one, "label": one} for one in options],
    }


def test_required_facts_that_nobody_thought_of_are_made_up_and_optional_ones_left_out() -> None:
    facts = [
        a_need("number", "integer", "7", "8"),
        a_need("result", "choice", "ok", "failed"),
        a_need("remark", "text"),
        a_need("until", "future_time"),
        a_need("reading", "number", required=False),
    ]
    found = completed({"facts": facts}, {"number": 3}, MONDAY)
    assert found == {
        "number": 3,
        "result": "ok",
        "remark": SAID,
        "until": (MONDAY + HOUR).isoformat(),
    }
    assert completed({"facts": facts[:1]}, {}, MONDAY) == {"number": 7}


def test_a_command_is_given_with_what_the_service_asks_for_and_a_no_is_counted(pool: ConnectionPool) -> None:
    """SPEC T2: the service says which facts it needs; whoever did not know of them gives them all the same."""
    now = CLOCK.now()
    with pool.connection() as connection:
        house = a_house(connection, now)
        code = a_report(connection, house, now)
        command(connection, code, "dispatch", house.supervisor, {"assignee_id": house.near.person_id}, now=now)
        secrets = [issue_token(connection, one.person_id, "test", now) for one in (house.near, house.far)]
    with a_service(pool) as service:
        hands = Hands(CLOCK.now)
        with ConsoleClient(service.api, secrets[1]) as far:
            assert hands.give(far, code, "depart", {}) is None
        with ConsoleClient(service.api, secrets[0]) as near:
            detail = hands.give(near, code, "accept", {})
    assert detail is not None
    row = is_row(detail["ticket"])
    assert row["state"] == "accepted"
    assert datetime.fromisoformat(str(row["expected_response_at"])) > now
    assert sum(hands.refused.values()) == 1


# Figures


def test_load_spread_is_0_when_equal_and_grows_with_inequality() -> None:
    assert gini([4, 4, 4]) == 0.0
    assert gini([0, 0, 12]) == pytest.approx(2 / 3, abs=0.001)
    assert 0 < gini([3, 4, 5]) < gini([1, 4, 7])
    assert gini([0, 0]) == 0.0


def test_a_first_time_fix_is_a_repair_that_nobody_disputed_and_that_did_not_come_back() -> None:
    def a_row(asset: int, outcome: str = "repaired") -> dict[str, object]:
        return {"asset_id": asset, "outcome": outcome, "found_failure_mode": "wear", "failure_mode": "wear"}

    rows = [a_row(1), a_row(2), a_row(3), a_row(3), a_row(4, "false_alarm")]
    commands = [["resolve", "confirm"], ["resolve", "dispute", "resolve", "confirm"], ["resolve"], ["resolve"], []]
    assert first_time_fix(rows, commands) == 0.25
    assert first_time_fix(rows[-1:], commands[-1:]) is None


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        (a_detail("new"), "nobody fits"),
        (a_detail("dispatched"), "One has not accepted it"),
        (a_detail("accepted"), "One is at it"),
        (
            a_detail("executing", holds=[{"reason": "parts", "review_at": "2026-03-05", "ended_at": None}]),
            "on hold for parts, to be looked at 2026-03-05",
        ),
        (a_detail("executing", resolved_at="2026-03-05", gates=["confirmation"]), "open gates: confirmation"),
    ],
)
def test_every_open_ticket_has_a_reason(detail: dict[str, object], told: str) -> None:
    assert told in why_open(detail)
