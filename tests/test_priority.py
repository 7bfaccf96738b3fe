"""Priority (SPEC S1): four parts with their sources, recomputed as evidence comes, overridden with a reason."""

from __future__ import annotations

from datetime import datetime

import pytest
from psycopg import Connection
from psycopg.errors import CheckViolation
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.casework import answer_link, create_report, join_findings, perform, reprioritise
from storage.database import connect
from storage.policies import read_policy_version
from storage.sweeping import notice_overdue
from storage.tickets import read_clocks, ticket_detail, ticket_row, verify_timeline
from tests.ticket_builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    House,
    a_device_ticket,
    a_finding,
    a_house,
    a_report,
    an_asset,
    carry,
    command,
    finish_work,
    resolve,
    the_policy,
)
from ticketing.actors import SYSTEM
from ticketing.lifecycle import Command
from ticketing.priority import OpenWindow, Part, PriorityInputs, is_moved, priority_of
from ticketing.ticket import Clock, State

POLICY = the_policy()
PLAIN = {"failure_mode": "bearing_wear", "severity": 8, "criticality": 3, "tier": "standard"}


def scored(**changes: object):
    return priority_of(POLICY.priority, POLICY.score, PriorityInputs(**{**PLAIN, **changes}))


def value_of(name: str, **changes: object) -> float:
    return next(factor.value for factor in scored(**changes).factors if factor.name == name)


def shown(connection: Connection, code: str, now: datetime = NOW):
    return ticket_row(connection, code)


def events(connection: Connection, code: str) -> list[str]:
    found = connection.execute(
        "select command from ticket_event e join ticket t on t.id = e.ticket_id where code = %s order by number",
        (code,),
    )
    return [name for (name,) in found]


def a_note(connection: Connection, house: House, code: str, now: datetime = NOW) -> None:
    command(connection, code, "note", house.requester, {"content": "It still howls, when do you come?"}, now=now)


def test_the_score_is_the_product_of_four_parts() -> None:
    found = scored(
        criticality=4, tier="vip", finding_severity="critical", other_assets=2, complaints=1, repeats=1,
        windows=(OpenWindow("Peak", 1.5),),
    )  # fmt: skip
    product = 1.0
    for factor in found.factors:
        product *= factor.value
    assert found.score == round(product, 3) == round(8 * 1.25 * 1.25 * 1.2 * 1.5 * 1.8 * 1.3, 3)
    assert {factor.part for factor in found.factors} == set(Part)


def test_every_factor_says_where_it_comes_from_in_two_languages() -> None:
    found = scored(windows=(OpenWindow("双十一", 2.0),), failure_mode_en="Bearing wear", failure_mode_zh="轴承磨损")
    for factor in found.factors:
        assert factor.source_en
        assert factor.source_zh
        assert factor.source_en != factor.source_zh
    assert "轴承磨损" in next(factor.source_zh for factor in found.factors if factor.name == "severity")
    assert "双十一" in next(factor.source_en for factor in found.factors if factor.part is Part.SITUATION)


@pytest.mark.parametrize(
    ("name", "changes", "value"),
    [
        ("scope", {"other_assets": 0}, 1.0),
        ("scope", {"other_assets": 4}, 1.4),
        ("scope", {"other_assets": 500}, 1.5),
        ("situation", {"windows": (OpenWindow("a", 1.2), OpenWindow("b", 1.6))}, 1.6),
        ("situation", {"windows": (OpenWindow("a", 9.0),)}, 3.0),
        ("situation", {"windows": (OpenWindow("quiet", 0.5),)}, 0.5),
        ("history", {"complaints": 2, "repeats": 1}, 1.4),
        ("history", {"complaints": 1_000, "repeats": 1_000}, 1.5),
        ("requester_tier", {"tier": "a tier of another policy"}, 1.0),
    ],
)
def test_each_factor_is_bounded(name: str, changes: dict[str, object], value: float) -> None:
    """A requester who complains a thousand times makes no P0 of a worn label."""
    assert value_of(name, **changes) == value


def test_a_line_stop_is_p0_whatever_the_score() -> None:
    assert scored(severity=1, criticality=1, line_stopped=True).level == 0


@pytest.mark.parametrize(("after", "moved"), [(11.0, False), (9.0, False), (11.1, True), (8.9, True)])
def test_a_score_moves_when_it_changes_by_more_than_a_tenth(after: float, moved: bool) -> None:
    assert is_moved(10.0, after, 0.1) is moved
    assert is_moved(None, after, 0.1)


def test_a_requester_who_complains_raises_the_score_and_the_timeline_tells(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        a_note(connection, house, code)
        assert events(connection, code) == ["open", "note"]  # 8.0 to 8.8: a tenth is not more than a tenth
        a_note(connection, house, code, NOW + MINUTE)
        row = shown(connection, code)
        assert events(connection, code)[-1] == "reprioritise"
        assert row.priority_reason["score"] == 9.6
        assert verify_timeline(connection, code) is None


def test_an_engineers_note_is_no_complaint(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        for minute in range(6):
            command(
                connection, code, "note", house.near, {"content": "Outer race is pitted"}, summary="race pitted",
                now=NOW + minute * MINUTE,
            )  # fmt: skip
        assert not reprioritise(connection, code, "look", NOW + HOUR)
        assert shown(connection, code).priority_reason["score"] == 8.0


def test_a_requester_without_sign_in_complains_by_disputing(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        a_note(connection, house, code)
        carry(connection, house, code, State.EXECUTING)
        finish_work(connection, house, code)
        secret = resolve(connection, house, code).confirmation_url_secret
        answer_link(connection, secret, False, False, "Howls again", None, NOW + HOUR)
        assert events(connection, code)[-2:] == ["dispute", "reprioritise"]


def test_graver_evidence_that_joins_moves_the_score(database: str) -> None:
    """SPEC S1: recomputed as evidence comes."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        finding = a_finding(connection, house, NOW)
        connection.execute("update finding set severity = 'critical' where id = %s", (finding,))
        join_findings(connection, shown(connection, code).id, [finding], NOW + HOUR)
        row = shown(connection, code)
        assert row.priority_reason["score"] == 10.0
        assert events(connection, code) == ["open", "join", "reprioritise"]


def test_scoring_the_same_again_leaves_no_trace(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        version = shown(connection, code).version
        assert not any(reprioritise(connection, code, "look", NOW + hour * HOUR) for hour in range(1, 5))
        assert events(connection, code) == ["open"]
        assert shown(connection, code).version == version


def test_repeats_of_the_fault_count_and_false_alarms_do_not(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        for outcome, day in (("repaired", 3), ("false_alarm", 2), ("repaired", 40)):
            then = NOW - day * DAY
            code = create_report(
                connection, asset_id=house.asset_id, title="Howls", description="", reporter=house.requester,
                now=then, failure_mode="bearing_wear",
            )  # fmt: skip
            connection.execute(
                "update ticket set state = 'closed', outcome = %s, closed_at = %s where code = %s",
                (outcome, then + HOUR, code),
            )
        row = shown(connection, a_device_ticket(connection, house))
        history = row.priority_reason["factors"][-1]
        assert (history["name"], history["value"], history["source"]) == ("history", 1.2, "0+1")


def test_other_assets_of_the_area_with_the_same_fault_widen_the_scope(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        other, _, _ = an_asset(connection, "M-2", house.requester.person_id, NOW)
        (area,) = connection.execute(
            "insert into area (site_id, name) values ('plant-1', 'Line 1') returning id"
        ).fetchone()
        connection.execute("update asset set area_id = %s", (area,))
        create_report(
            connection, asset_id=other, title="Howls", description="", reporter=house.requester, now=NOW,
            failure_mode="bearing_wear",
        )  # fmt: skip
        row = shown(connection, a_device_ticket(connection, house))
        assert row.priority_reason["score"] == 8.8


def test_a_new_level_retargets_the_clocks_and_keeps_the_time_used(database: str) -> None:
    """SPEC S2: a P2 that becomes P0 runs round the clock, from when it was opened."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        before = ticket_detail(connection, code, actor=house.planner, now=NOW)
        command(connection, code, "override_priority", house.planner, {"level": "P0", "reason": "Ship waits"},
                now=NOW + HOUR)  # fmt: skip
        detail = ticket_detail(connection, code, actor=house.planner, now=NOW + HOUR)
        due = {clock.clock: clock.due_at for clock in detail.clocks}
        assert before.ticket.priority == 2
        assert detail.ticket.priority == 0
        assert due["resolve"] == detail.ticket.due_at == NOW + 2 * HOUR
        assert due["respond"] == NOW + 15 * MINUTE
        assert all(clock.round_the_clock for clock in detail.clocks)


def test_ending_an_override_gives_back_the_clocks_of_the_score(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        before = {clock.clock: clock.due_at for clock in shown_clocks(connection, house, code)}
        command(connection, code, "override_priority", house.planner, {"level": "P0", "reason": "Ship waits"})
        command(connection, code, "end_override", house.supervisor)
        after = shown(connection, code)
        assert (after.priority, after.priority_override) == (2, None)
        assert {clock.clock: clock.due_at for clock in shown_clocks(connection, house, code)} == before


def shown_clocks(connection: Connection, house: House, code: str):
    return ticket_detail(connection, code, actor=house.planner, now=NOW).clocks


def test_a_stopped_clock_is_not_touched_by_a_new_level(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        before = {clock.clock: clock for clock in shown_clocks(connection, house, code)}
        command(connection, code, "override_priority", house.planner, {"level": "P4", "reason": "Spare runs"})
        after = {clock.clock: clock for clock in shown_clocks(connection, house, code)}
        assert after[Clock.RESPOND] == before[Clock.RESPOND]
        assert after[Clock.RESOLVE].due_at > before[Clock.RESOLVE].due_at


def test_recomputation_keeps_an_override_until_it_is_ended(database: str) -> None:
    """Planted: a score that writes its own level over the person's."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        command(connection, code, "override_priority", house.planner, {"level": "P4", "reason": "Spare runs"})
        for minute in range(5):
            a_note(connection, house, code, NOW + minute * MINUTE)
        row = shown(connection, code)
        assert row.priority == 4
        assert row.priority_reason["computed_level"] == 1
        assert row.priority_reason["override"]["reason"] == "Spare runs"
        command(connection, code, "end_override", house.planner, now=NOW + HOUR)
        assert shown(connection, code).priority == 1


def test_an_override_needs_a_reason_that_says_something(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        for facts, name in (({"level": "P1"}, "missing_fact"), ({"level": "P1", "reason": "ok"}, "empty_phrase"),
                            ({"level": "P7", "reason": "Ship waits"}, "invalid_fact")):  # fmt: skip
            with pytest.raises(Refused) as refused:
                command(connection, code, "override_priority", house.planner, facts)
            assert refused.value.name == name


def test_a_line_stop_is_lowered_by_a_supervisor_only(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = create_report(
            connection, asset_id=house.asset_id, title="Line stands", description="", reporter=house.requester,
            now=NOW, line_stopped=True,
        )  # fmt: skip
        facts = {"level": "P2", "reason": "Line runs on the bypass"}
        with pytest.raises(Refused) as refused:
            command(connection, code, "override_priority", house.planner, facts)
        assert refused.value.name == "not_permitted"
        assert command(connection, code, "override_priority", house.supervisor, facts).ticket.priority == 2


def test_an_engineer_does_not_set_the_priority(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_report(connection, house)
        with pytest.raises(Refused) as refused:
            command(connection, code, "override_priority", house.near, {"level": "P4", "reason": "Not urgent"})
        assert refused.value.name == "not_permitted"


def test_the_engineer_is_told_of_a_new_level(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        command(connection, code, "override_priority", house.planner, {"level": "P1", "reason": "Ship waits"})
        (body,) = connection.execute("select body from outbox where kind = 'ticket.reprioritised'").fetchone()
        assert body["person_ids"] == [house.near.person_id]
        assert (body["priority_before"], body["priority"], body["supervisors_of"]) == (2, 1, "plant-1")


def test_a_ticket_scored_before_the_four_parts_stays_readable_and_is_scored_anew_only_when_it_moves(
    database: str,
) -> None:
    """Arithmetic that was frozen on old tickets has three factors without a part."""
    old = {
        "level": 2, "score": 8.0, "from_score": [20.0, 11.0, 6.5, 3.0], "line_stopped": False,
        "factors": [{"name": "severity", "value": 8, "source": "bearing_wear"},
                    {"name": "criticality", "value": 1.0, "source": "3"},
                    {"name": "requester_tier", "value": 1.0, "source": "standard"}],
    }  # fmt: skip
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        connection.execute("update ticket set priority_reason = %s", (Jsonb(old),))
        assert not reprioritise(connection, code, "look", NOW + HOUR)
        assert shown(connection, code).priority_reason == old
        for minute in range(2):
            a_note(connection, house, code, NOW + HOUR + minute * MINUTE)
        assert len(shown(connection, code).priority_reason["factors"]) == 7


def test_a_closed_ticket_is_not_scored_again(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        command(connection, code, "cancel", house.supervisor, {"reason": "Machine is scrapped"})
        assert not reprioritise(connection, code, "look", NOW + HOUR)


def test_only_the_system_scores_again(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        with pytest.raises(Refused) as refused:
            command(connection, code, "reprioritise", house.supervisor)
        assert refused.value.name == "invalid_request"
        perform(connection, code, Command.REPRIORITISE, None, "", {"cause": "test"}, SYSTEM, NOW)
        assert read_policy_version(connection, shown(connection, code).policy_id).rescore.least_move == 0.1


def test_the_database_keeps_an_override_and_the_priority_together(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        with pytest.raises(CheckViolation):
            connection.execute("update ticket set priority_override = 4 where code = %s", (code,))


def test_a_new_level_during_a_hold_keeps_what_the_hold_gave(database: str) -> None:
    """A known trap: another target must not eat the pause, nor the pause the other target."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.EXECUTING)
        wait = {"reason": "parts", "review_at": (NOW + DAY).isoformat()}
        command(connection, code, "hold", house.near, wait, now=NOW + HOUR)
        facts = {"level": "P0", "reason": "Ship waits"}
        command(connection, code, "override_priority", house.planner, facts, now=NOW + 2 * HOUR)
        command(connection, code, "resume", house.near, now=NOW + 3 * HOUR)
        due = {clock.clock: clock.due_at for clock in shown_clocks(connection, house, code)}
        assert due["resolve"] == NOW + 4 * HOUR  # one hour used, two on hold, one left of two


def test_lowering_a_priority_does_not_undo_a_breach_that_was_told_nor_tell_it_twice(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        command(connection, code, "override_priority", house.planner, {"level": "P0", "reason": "Ship waits"})
        late = NOW + 10 * MINUTE
        assert notice_overdue(connection, code, "accept", late)
        command(connection, code, "override_priority", house.planner, {"level": "P1", "reason": "Ship left"}, now=late)
        assert not notice_overdue(connection, code, "accept", late)
        assert notice_overdue(connection, code, "accept", NOW + 16 * MINUTE)
        told = [facts["target_s"] for (facts,) in connection.execute(
            "select facts from ticket_event where command = 'overdue' order by number"
        )]  # fmt: skip
        assert told == [300, 900]


def test_the_priority_and_its_clocks_hold_together_when_two_commands_meet(database: str) -> None:
    """Two people who saw the same version: the second is told, and nothing of theirs is kept."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        seen = shown(connection, code).version
        one, two = {"level": "P0", "reason": "Ship waits"}, {"level": "P4", "reason": "Spare runs"}
        command(connection, code, "override_priority", house.planner, one, version=seen)
        with pytest.raises(Refused) as refused:
            command(connection, code, "override_priority", house.supervisor, two, version=seen)
        assert refused.value.name == "stale_version"
        assert shown(connection, code).priority == 0


def test_clocks_leave_the_calendar_for_the_most_urgent_and_come_back_to_it(database: str) -> None:
    """SPEC S3: P0 and P1 run round the clock, the others on the calendar of the ticket."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        connection.execute("update person set requester_tier = 'vip'")
        for number in range(3):
            a_note(connection, house, code, NOW + number * MINUTE)
        assert shown(connection, code).priority < 2
        assert {clock.calendar_id for clock in read_clocks(connection, shown(connection, code).id)} == {None}
        command(connection, code, "override_priority", house.supervisor, {"level": "P3", "reason": "Spare runs"})
        assert {clock.calendar_id for clock in read_clocks(connection, shown(connection, code).id)} == {"weekdays"}
