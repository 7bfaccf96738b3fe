"""Tickets that belong together: split, link, merge; and closed ones that come back (SPEC T9)."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from domain.working_time import ROUND_THE_CLOCK
from storage.casework import answer_link, create_report
from storage.ticket_views import ClockView, TicketDetail
from storage.tickets import ticket_detail, verify_timeline
from tests.ticket_builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    House,
    a_device_ticket,
    a_house,
    a_photo,
    a_report,
    an_actor,
    carry,
    command,
    finish_work,
    resolve,
)
from ticketing.actors import SYSTEM, Actor, Role
from ticketing.merging import from_earlier_start
from ticketing.sla import RunningClock
from ticketing.ticket import Clock, State


def refused(connection: Connection, *arguments: object, **more: object) -> Refused:
    with pytest.raises(Refused) as caught, connection.transaction():
        command(connection, *arguments, **more)  # type: ignore[arg-type]
    return caught.value


def the_clock(detail: TicketDetail, name: str) -> ClockView:
    return next(clock for clock in detail.clocks if clock.clock == name)


def seen(connection: Connection, code: str, actor: Actor = SYSTEM, now: datetime = NOW) -> TicketDetail:
    return ticket_detail(connection, code, actor=actor, now=now)


def a_second_mode(connection: Connection) -> None:
    connection.execute(
        """insert into failure_mode (asset_type_id, code, name_en, name_zh, effect_en, effect_zh, severity, component,
             prior, watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature)
           select asset_type_id, 'misalignment', 'Misalignment', '不对中', effect_en, effect_zh, severity, component,
             prior, watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature
           from failure_mode where code = 'bearing_wear'"""
    )


def close(connection: Connection, house: House, code: str, now: datetime = NOW) -> TicketDetail:
    """Carry a new ticket to closed, repaired and confirmed."""
    carry(connection, house, code, State.EXECUTING, now)
    finish_work(connection, house, code, now)
    resolved = resolve(connection, house, code, now=now)
    answer_link(connection, resolved.confirmation_url_secret or "", True, True, None, None, now)
    return command(connection, code, "close", house.near, now=now)


def test_a_ticket_is_split_for_another_failure_mode(pool: ConnectionPool) -> None:
    """SPEC T9: of the same asset, through the one intake, told on both timelines."""
    with pool.connection() as connection:
        house = a_house(connection)
        a_second_mode(connection)
        code = a_device_ticket(connection, house)
        facts = {"title": "Coupling is loose", "failure_mode": "misalignment", "description": "Seen at the cover"}
        parent = command(connection, code, "split", house.supervisor, facts)
        (link,) = parent.links
        assert (link.kind, link.is_from_here, link.state) == ("split", True, "new")
        assert parent.timeline[-1].facts["split_code"] == link.code
        child = seen(connection, link.code)
        assert (child.ticket.parent_code, child.ticket.asset_id) == (code, house.asset_id)
        assert (child.ticket.kind, child.ticket.failure_mode) == ("corrective", "misalignment")
        assert (child.ticket.requester_name, len(child.clocks), len(child.tasks)) == ("Requester", 4, 2)
        assert [(one.code, one.is_from_here) for one in child.links] == [(code, False)]
        told = {"code": code, "kind": "split", "by": "Supervisor"}
        assert [(event.command, event.facts) for event in child.timeline][1:] == [("linked", told)]
        assert child.ticket.version == 1
        assert child.timeline_is_whole


def test_a_split_for_the_same_thing_is_refused(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_second_mode(connection)
        code = a_device_ticket(connection, house)
        (team_id,) = connection.execute("insert into team (name) values ('Electrical') returning id").fetchone()
        alone = {"title": "The same again"}
        assert refused(connection, code, "split", house.supervisor, alone).name == "invalid_fact"
        same = {**alone, "failure_mode": "bearing_wear"}
        assert refused(connection, code, "split", house.supervisor, same).name == "invalid_fact"
        # The open ticket of this mode is the one that is split, so another team cannot have a second one of it.
        twice = refused(connection, code, "split", house.supervisor, {**same, "team_id": team_id})
        assert (twice.name, twice.got) == ("already_open", code)
        other = command(connection, code, "split", house.supervisor, {**alone, "team_id": team_id})
        assert seen(connection, other.links[0].code).ticket.team_name == "Electrical"
        assert len(seen(connection, code).timeline) == 2


def test_a_link_is_shown_at_both_ends_and_read_the_right_way_round(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code, other = a_device_ticket(connection, house), a_report(connection, house)
        before = seen(connection, other).ticket.version
        here = command(connection, code, "link", house.near, {"other": other, "kind": "causes"})
        assert [(link.code, link.kind, link.is_from_here) for link in here.links] == [(other, "causes", True)]
        there = seen(connection, other)
        assert [(link.code, link.kind, link.is_from_here) for link in there.links] == [(code, "causes", False)]
        assert there.timeline[-1].facts == {"code": code, "kind": "causes", "by": "Near"}
        assert there.ticket.version == before


def test_there_is_one_link_of_a_kind_between_two_tickets_and_none_to_itself(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code, other = a_device_ticket(connection, house), a_report(connection, house)
        command(connection, code, "link", house.near, {"other": other, "kind": "causes"})
        again = {"other": other, "kind": "causes"}
        assert refused(connection, code, "link", house.near, again).name == "duplicate_record"
        back = {"other": code, "kind": "causes"}
        assert refused(connection, other, "link", house.near, back).name == "duplicate_record"
        command(connection, other, "link", house.near, {"other": code, "kind": "related"})
        for command_name, facts in (("link", {"other": code, "kind": "related"}), ("merge", {"merged_into": code})):
            assert refused(connection, code, command_name, house.near, facts).name == "invalid_fact"
        nothing = {"other": "D999999", "kind": "related"}
        assert refused(connection, code, "link", house.near, nothing).name == "unknown_record"


def test_a_link_opens_no_window_onto_another_site(pool: ConnectionPool) -> None:
    """The other ticket is unknown to one who may not see it, and its title is not shown to them."""
    with pool.connection() as connection:
        house = a_house(connection)
        code, other = a_device_ticket(connection, house), a_report(connection, house)
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31, 120)")
        connection.execute("update ticket set site_id = 'plant-2', requester_id = null where code = %s", (other,))
        facts = {"other": other, "kind": "related"}
        assert refused(connection, code, "link", house.near, facts).name == "unknown_record"
        assert refused(connection, code, "merge", house.near, {"merged_into": other}).name == "unknown_record"
        everywhere = an_actor(house.supervisor.person_id or 0, Role.SUPERVISOR, site=None)
        assert refused(connection, code, "merge", everywhere, {"merged_into": other}).name == "invalid_fact"
        assert len(command(connection, code, "link", everywhere, facts).links) == 1
        assert seen(connection, code, house.near).links == []
        assert seen(connection, code, house.requester).links == []


def test_a_merged_ticket_keeps_its_origins(pool: ConnectionPool) -> None:
    """SPEC T9: time, channel, reporter, and what it said differently."""
    with pool.connection() as connection:
        house = a_house(connection)
        device = a_device_ticket(connection, house)
        report = a_report(connection, house, NOW + HOUR)
        merged = command(connection, report, "merge", house.planner, {"merged_into": device}, now=NOW + 2 * HOUR)
        assert (merged.ticket.state, merged.ticket.outcome) == ("closed", "merged")
        assert merged.ticket.merged_into_code == device
        assert all(clock.stopped_at for clock in merged.clocks)
        survivor = seen(connection, device, now=NOW + 2 * HOUR)
        (origin,) = survivor.origins
        assert (origin.code, origin.opened_at, origin.reporter) == (report, NOW + HOUR, "Requester")
        assert (origin.title_en, origin.description) == ("Motor howls", "Since noon")
        assert origin.differences["failure_mode"] == {"survivor": "bearing_wear", "merged": None}
        assert origin.differences["description"] == {"survivor": "", "merged": "Since noon"}
        assert "asset_tag" not in origin.differences
        assert survivor.timeline[-1].command == "absorb"
        assert survivor.timeline[-1].facts["code"] == report
        assert (survivor.ticket.state, survivor.timeline_is_whole) == ("new", True)
        assert [(link.code, link.kind, link.is_from_here) for link in survivor.links] == [(report, "merged", False)]


def test_what_a_merged_ticket_had_follows_it(pool: ConnectionPool) -> None:
    """Findings, files, issued parts, requester, mode and prediction; nothing is told, issued or predicted twice."""
    with pool.connection() as connection:
        house = a_house(connection)
        report = a_report(connection, house)
        connection.execute("update ticket set requester_id = null where code = %s", (report,))
        device = a_device_ticket(connection, house, NOW + HOUR)
        carry(connection, house, device, State.EXECUTING, NOW + HOUR)
        lines = [{"part_number": "6204-2RS", "issued": 2, "used": 1, "returned": 0}]
        before = command(connection, device, "use_parts", house.near, {"lines": lines}, now=NOW + HOUR)
        command(connection, device, "merge", house.near, {"merged_into": report}, now=NOW + 2 * HOUR)
        survivor = seen(connection, report, now=NOW + 2 * HOUR)
        assert survivor.ticket.requester_name == "Requester"
        assert [file.id for file in survivor.attachments] == [file.id for file in before.attachments]
        assert [finding.id for finding in survivor.findings] == [finding.id for finding in before.findings]
        assert [(line.part_number, line.issued, line.used) for line in survivor.bill] == [("6204-2RS", 2, 1)]
        assert [line.issued for line in seen(connection, device).bill] == [0]
        assert survivor.ticket.failure_mode == "bearing_wear"
        assert survivor.prediction is not None
        assert survivor.prediction.status == "open"
        assert survivor.ticket.failure_expected_at == before.ticket.failure_expected_at
        (reserved,) = connection.execute(
            """select count(*) from reservation
               where ended_at is null and ticket_id = (select id from ticket where code = %s)""",
            (device,),
        ).fetchone()
        assert reserved == 0


def test_a_prediction_that_the_survivor_cannot_answer_does_not_open_another_ticket(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_second_mode(connection)
        device = a_device_ticket(connection, house)
        split = command(
            connection, device, "split", house.supervisor, {"title": "Loose", "failure_mode": "misalignment"}
        )
        command(connection, device, "merge", house.supervisor, {"merged_into": split.links[0].code})
        assert connection.execute("select status, decision_reason from prediction").fetchall() == [
            ("rejected", f"merged into {split.links[0].code}")
        ]


def test_the_survivor_has_run_since_the_fault_was_first_told(pool: ConnectionPool) -> None:
    """Or a fresh report would win time: whichever of the two goes on, the earlier start counts."""
    with pool.connection() as connection:
        house = a_house(connection)
        early = a_report(connection, house)
        late = a_report(connection, house, NOW + HOUR)
        early_due = {clock.clock: clock.due_at for clock in seen(connection, early).clocks}
        command(connection, early, "merge", house.planner, {"merged_into": late}, now=NOW + HOUR + MINUTE)
        survivor = seen(connection, late, now=NOW + HOUR + MINUTE)
        assert {clock.started_at for clock in survivor.clocks} == {NOW}
        assert {clock.clock: clock.due_at for clock in survivor.clocks} == early_due
        assert survivor.ticket.due_at == early_due["resolve"]


def test_a_clock_that_has_stopped_stays_stopped_in_a_merge(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        early = a_report(connection, house)
        late = a_report(connection, house, NOW + HOUR)
        carry(connection, house, late, State.EXECUTING, NOW + HOUR)
        stopped = the_clock(seen(connection, late), "respond")
        command(connection, early, "merge", house.planner, {"merged_into": late}, now=NOW + 2 * HOUR)
        assert the_clock(seen(connection, late), "respond") == stopped
        assert the_clock(seen(connection, late), "close").started_at == NOW


def test_pauses_of_the_survivor_are_kept_in_a_merge() -> None:
    paused = RunningClock(Clock.RESOLVE, None, 7_200, NOW, NOW + 5 * HOUR)
    (moved,) = from_earlier_start([paused], {Clock.RESOLVE: NOW - HOUR}, {None: ROUND_THE_CLOCK})
    assert (moved.started_at, moved.due_at, moved.target_s) == (NOW - HOUR, NOW + 4 * HOUR, 7_200)
    assert from_earlier_start([paused], {Clock.RESOLVE: NOW + HOUR}, {None: ROUND_THE_CLOCK}) == (paused,)
    assert from_earlier_start([paused], {}, {None: ROUND_THE_CLOCK}) == (paused,)


def test_origins_go_on_through_a_second_merge(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        codes = [a_report(connection, house, NOW + n * MINUTE) for n in range(3)]
        for source, survivor in ((0, 1), (1, 2)):
            facts = {"merged_into": codes[survivor]}
            command(connection, codes[source], "merge", house.planner, facts, now=NOW + HOUR)
        last = seen(connection, codes[2], now=NOW + HOUR)
        assert [origin.code for origin in last.origins] == codes[:2]
        assert {clock.started_at for clock in last.clocks} == {NOW}
        assert refused(connection, codes[0], "reopen", house.supervisor, {"reason": "Howls"}).name == "not_a_legal_step"
        into_ended = refused(connection, codes[2], "merge", house.planner, {"merged_into": codes[0]})
        assert into_ended.name == "invalid_fact"


def test_two_merges_crosswise_end_one_ticket_and_refuse_the_other(pool: ConnectionPool) -> None:
    """Each would wait for the other for ever if it locked its own ticket first; 20 rounds, one winner each."""
    with pool.connection() as connection:
        house = a_house(connection)
    for number in range(20):
        with pool.connection() as connection:
            codes = [a_report(connection, house, NOW + number * MINUTE) for _ in range(2)]
        found: list[str] = []
        gate = threading.Barrier(2)

        def merge(source: str, survivor: str, found: list[str] = found, gate: threading.Barrier = gate) -> None:
            try:
                with pool.connection() as connection:
                    gate.wait(10)
                    command(connection, source, "merge", house.planner, {"merged_into": survivor}, now=NOW + DAY)
                    found.append("merged")
            except Refused as refusal:
                found.append(refusal.name)

        threads = [threading.Thread(target=merge, args=pair) for pair in (codes, codes[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(found) in (["invalid_fact", "merged"], ["merged", "not_a_legal_step"])
        with pool.connection() as connection:
            assert all(verify_timeline(connection, code) is None for code in codes)


def test_a_closed_ticket_comes_back_as_new_with_its_clocks_anew(pool: ConnectionPool) -> None:
    """SPEC T9: its resolution was none, so what the closure taught is forgotten."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        close(connection, house, code)
        assert connection.execute("select count(*) from closure_lesson").fetchone() == (1,)
        again = command(connection, code, "reopen", house.requester, {"reason": "Howls again"}, now=NOW + DAY)
        ticket = again.ticket
        assert (ticket.state, ticket.outcome, ticket.closed_at, ticket.reopened_count) == ("new", None, None, 1)
        assert (ticket.assignee_id, ticket.resolution_code, ticket.cause) == (None, None, None)
        for name in ("accept", "resolve", "close"):
            clock = the_clock(again, name)
            assert (clock.started_at, clock.stopped_at) == (NOW + DAY, None)
        assert the_clock(again, "respond").stopped_at is not None
        assert ticket.due_at <= the_clock(again, "resolve").due_at
        assert connection.execute("select count(*) from closure_lesson").fetchone() == (0,)
        told = next(event.facts for event in again.timeline if event.command == "reopen")
        assert told == {"reason": "Howls again", "previous_assignee_id": house.near.person_id}
        closed = close(connection, house, code, NOW + DAY)
        assert (closed.ticket.outcome, closed.timeline_is_whole) == ("repaired", True)
        assert connection.execute("select count(*) from closure_lesson").fetchone() == (1,)


def test_reopening_ends_with_the_days_of_the_policy(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        close(connection, house, code)
        reason, last = {"reason": "Howls again"}, NOW + 30 * DAY
        offered = {
            now: "reopen" in {step.command for step in seen(connection, code, house.supervisor, now).next_steps}
            for now in (last, last + timedelta(seconds=1))
        }
        assert list(offered.values()) == [True, False]
        late = refused(connection, code, "reopen", house.supervisor, reason, now=last + timedelta(seconds=1))
        assert late.name == "not_a_legal_step"
        command(connection, code, "reopen", house.supervisor, reason, now=last)


def test_reopening_beside_an_open_ticket_of_the_mode_is_refused_with_its_code(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        close(connection, house, code)
        other = create_report(
            connection,
            asset_id=house.asset_id,
            title="Howls again",
            description="",
            reporter=house.requester,
            now=NOW + HOUR,
            failure_mode="bearing_wear",
        )
        before = seen(connection, code)
        refusal = refused(connection, code, "reopen", house.supervisor, {"reason": "Howls"}, now=NOW + DAY)
        assert (refusal.name, refusal.got) == ("already_open", other)
        after = seen(connection, code)
        assert (after.ticket.version, len(after.timeline)) == (before.ticket.version, len(before.timeline))


def test_a_reopened_ticket_needs_no_link_of_before(pool: ConnectionPool) -> None:
    """A link that was asked for before the ticket closed cannot confirm the next resolution."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_report(connection, house)
        carry(connection, house, code, State.EXECUTING)
        secret = resolve(connection, house, code).confirmation_url_secret or ""
        command(connection, code, "confirm", house.supervisor)
        command(connection, code, "close", house.near)
        command(connection, code, "reopen", house.supervisor, {"reason": "Howls again"}, now=NOW + HOUR)
        with pytest.raises(Refused) as caught, connection.transaction():
            answer_link(connection, secret, True, True, None, None, NOW + 2 * HOUR)
        assert caught.value.name == "link_expired"


def test_a_file_of_a_merged_ticket_starts_work_on_the_survivor(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        report, other = a_report(connection, house), a_report(connection, house)
        photo: UUID = a_photo(connection, report)
        command(connection, report, "merge", house.planner, {"merged_into": other})
        carry(connection, house, other, State.ACCEPTED)
        begun = command(
            connection, other, "execute", house.near, {"attachment_id": str(photo)}, summary="cover removed"
        )
        assert begun.ticket.state == "executing"
        assert photo in {file.id for file in begun.attachments}
