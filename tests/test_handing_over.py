"""Work that changes hands, and holds that are looked at again, in the database (SPEC T3, T5, T9)."""

from __future__ import annotations

from datetime import datetime

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime.rounds import sweep_round
from storage.hand_overs import QUERIES
from storage.people import create_person
from storage.ticket_views import ClockView, TicketDetail
from storage.tickets import ticket_detail
from tests.ticket_builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    SITE,
    House,
    a_device_ticket,
    a_house,
    an_actor,
    carry,
    command,
)
from ticketing.actors import Actor, Role, RoleHeld
from ticketing.ticket import State

ASKED = {"asked": "Check the winding", "history": "Bearing is sound, the current is not"}


def a_team(connection: Connection, name: str, *, site: str | None = SITE, lead: Actor | None = None) -> int:
    (team_id,) = connection.execute(
        "insert into team (name, site_id, lead_id) values (%s, %s, %s) returning id",
        (name, site, lead.person_id if lead else None),
    ).fetchone()
    return int(team_id)


def a_member(connection: Connection, team_id: int, login: str, role: Role = Role.ENGINEER) -> Actor:
    person_id = create_person(connection, login=login, name=login.title(), now=NOW, roles=[RoleHeld(role, SITE)])
    connection.execute("update person set team_id = %s where id = %s", (team_id, person_id))
    return an_actor(person_id, role, name=login.title())


def with_serial_number(connection: Connection, house: House, number: str = "SN-1") -> None:
    connection.execute("update asset set serial_number = %s where id = %s", (number, house.asset_id))


def refused(connection: Connection, *arguments: object, **more: object) -> Refused:
    with pytest.raises(Refused) as caught, connection.transaction():
        command(connection, *arguments, **more)  # type: ignore[arg-type]
    return caught.value


def the_clock(detail: TicketDetail, name: str) -> ClockView:
    return next(clock for clock in detail.clocks if clock.clock == name)


def offered(connection: Connection, code: str, actor: Actor, now: datetime = NOW) -> set[str]:
    detail = ticket_detail(connection, code, actor=actor, now=now)
    return {step.command for step in detail.next_steps}


def test_a_hand_over_tells_the_other_team_what_it_must_know(pool: ConnectionPool) -> None:
    """SPEC T9: requester, serial number, history, what is asked; the ticket is new there and its clocks run on."""
    with pool.connection() as connection:
        house = a_house(connection)
        with_serial_number(connection, house)
        electrical = a_team(connection, "Electrical")
        code = a_device_ticket(connection, house)
        before = carry(connection, house, code, State.EXECUTING)
        after = command(connection, code, "hand_over", house.near, {"team_id": electrical, **ASKED}, now=NOW + HOUR)
        (told,) = after.hand_overs
        assert (told.to_team, told.serial_number, told.requester, told.from_person) == (
            ("Electrical", "SN-1", "Requester", "Near")
        )
        assert (told.asked, told.history, told.rating) == (*ASKED.values(), None)
        assert (after.ticket.state, after.ticket.team_name, after.ticket.assignee_id) == ("new", "Electrical", None)
        for name in ("respond", "resolve", "close"):
            assert the_clock(after, name) == the_clock(before, name)
        assert the_clock(after, "accept").started_at == NOW + HOUR
        assert after.ticket.last_effective_at == NOW + HOUR
        assert after.timeline[-1].facts["previous_assignee_id"] == house.near.person_id


def test_what_the_ticket_does_not_tell_must_be_given(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        team_id = a_team(connection, "Electrical", site=None)
        connection.execute("update asset set requester_id = null")
        code = a_device_ticket(connection, house)
        facts: dict[str, object] = {"team_id": team_id, **ASKED}
        missing = refused(connection, code, "hand_over", house.supervisor, facts)
        assert (missing.name, "serial_number" in missing.expected) == ("missing_fact", True)
        facts["serial_number"] = "plate unreadable, 2019"
        missing = refused(connection, code, "hand_over", house.supervisor, facts)
        assert (missing.name, "requester_contact" in missing.expected) == ("missing_fact", True)
        facts["requester_contact"] = "Line 2, ext. 114"
        (told,) = command(connection, code, "hand_over", house.supervisor, facts).hand_overs
        assert (told.serial_number, told.requester) == ("plate unreadable, 2019", "Line 2, ext. 114")


def test_a_ticket_is_handed_to_another_team_of_its_site(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        with_serial_number(connection, house)
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31, 120)")
        elsewhere = a_team(connection, "Elsewhere", site="plant-2")
        here = a_team(connection, "Here")
        code = a_device_ticket(connection, house)
        detail = ticket_detail(connection, code, actor=house.supervisor, now=NOW)
        step = next(step for step in detail.next_steps if step.command == "hand_over")
        assert [option.label for option in step.facts[0].options] == ["Here"]
        for team_id in (elsewhere, 10**9):
            wrong = refused(connection, code, "hand_over", house.supervisor, {"team_id": team_id, **ASKED})
            assert wrong.name == "invalid_fact"
        command(connection, code, "hand_over", house.supervisor, {"team_id": here, **ASKED})
        again = refused(connection, code, "hand_over", house.supervisor, {"team_id": here, **ASKED})
        assert again.name == "invalid_fact"


def test_passing_it_on_before_accepting_gives_no_new_time_to_accept(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        with_serial_number(connection, house)
        code = a_device_ticket(connection, house)
        before = carry(connection, house, code, State.DISPATCHED)
        moved = {"assignee_id": house.far.person_id, "reason": "My shift ends"}
        after = command(connection, code, "transfer", house.near, moved, now=NOW + MINUTE)
        assert (after.ticket.state, after.ticket.assignee_name) == ("dispatched", "Far")
        assert the_clock(after, "accept") == the_clock(before, "accept")
        team_id = a_team(connection, "Electrical")
        over = command(connection, code, "hand_over", house.far, {"team_id": team_id, **ASKED}, now=NOW + 2 * MINUTE)
        assert the_clock(over, "accept") == the_clock(before, "accept")


def test_a_transfer_after_accepting_gives_the_colleague_time_to_accept(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        moved = {"assignee_id": house.far.person_id, "reason": "My shift ends"}
        after = command(connection, code, "transfer", house.near, moved, now=NOW + MINUTE)
        assert the_clock(after, "accept").started_at == NOW + MINUTE
        assert the_clock(after, "promise").stopped_at == NOW + MINUTE
        assert after.ticket.expected_response_at is None
        assert refused(connection, code, "transfer", house.near, moved).name == "not_permitted"
        for nobody in (house.requester.person_id, house.far.person_id):
            wrong = refused(connection, code, "transfer", house.far, {**moved, "assignee_id": nobody})
            assert wrong.name == "invalid_fact"
        told = connection.execute(
            "select body -> 'person_ids' from outbox where kind = 'ticket.dispatched' order by id"
        )
        assert [row[0] for row in told] == [[house.near.person_id], [house.far.person_id]]


def test_a_hand_over_is_rated_once_and_by_the_receiving_team_alone(pool: ConnectionPool) -> None:
    """SPEC T9."""
    with pool.connection() as connection:
        house = a_house(connection)
        with_serial_number(connection, house)
        lead = an_actor(create_person(connection, login="lead", name="Lead", now=NOW, roles=[]), name="Lead")
        team_id = a_team(connection, "Electrical", lead=lead)
        engineer = a_member(connection, team_id, "spark")
        clerk = a_member(connection, team_id, "clerk", Role.REQUESTER)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        handed = command(connection, code, "hand_over", house.near, {"team_id": team_id, **ASKED})
        for stranger in (house.near, house.far, house.supervisor, clerk):
            assert "rate_hand_over" not in offered(connection, code, stranger)
            assert refused(connection, code, "rate_hand_over", stranger, {"rating": 5}).name == "not_permitted"
        assert "rate_hand_over" in offered(connection, code, engineer)
        assert "rate_hand_over" in offered(connection, code, lead)
        rated = command(connection, code, "rate_hand_over", lead, {"rating": 2, "comment": "no current readings"})
        assert (rated.hand_overs[0].rating, rated.hand_overs[0].rated_by) == (2, "Lead")
        assert rated.ticket.version == handed.ticket.version
        assert refused(connection, code, "rate_hand_over", engineer, {"rating": 5}).name == "not_permitted"
        assert "rate_hand_over" not in offered(connection, code, engineer)


def test_each_of_two_hand_overs_is_rated_by_its_own_team(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        with_serial_number(connection, house)
        first, second = a_team(connection, "First"), a_team(connection, "Second")
        one, two = a_member(connection, first, "one"), a_member(connection, second, "two")
        code = a_device_ticket(connection, house)
        for team_id in (first, second):
            command(connection, code, "hand_over", house.supervisor, {"team_id": team_id, **ASKED})
        command(connection, code, "rate_hand_over", one, {"rating": 1})
        rated = command(connection, code, "rate_hand_over", two, {"rating": 5})
        assert [hand_over.rating for hand_over in rated.hand_overs] == [1, 5]


def test_the_database_keeps_a_rating_that_is_given(pool: ConnectionPool) -> None:
    """Of two raters who read the ticket at the same time, the second changes nothing."""
    with pool.connection() as connection:
        house = a_house(connection)
        with_serial_number(connection, house)
        team_id = a_team(connection, "Electrical")
        raters = [a_member(connection, team_id, name) for name in ("one", "two")]
        code = a_device_ticket(connection, house)
        command(connection, code, "hand_over", house.supervisor, {"team_id": team_id, **ASKED})
        command(connection, code, "rate_hand_over", raters[0], {"rating": 1})
        row = connection.execute("select ticket_id from hand_over").fetchone()
        late = {"ticket_id": row[0], "person_id": raters[1].person_id, "rating": 5, "comment": None, "now": NOW}
        assert connection.execute(QUERIES["rate_hand_over"], late).fetchone() is None


def test_a_named_remote_action_stops_the_respond_clock(pool: ConnectionPool) -> None:
    """SPEC T3: a response without a journey."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        facts = {"action": "Drive restarted over the gateway, limits checked"}
        after = command(
            connection, code, "remote_action", house.near, facts, summary="drive restarted", now=NOW + MINUTE
        )
        assert after.ticket.responded_at == NOW + MINUTE
        assert {the_clock(after, name).stopped_at for name in ("respond", "promise")} == {NOW + MINUTE}


def test_an_approval_request_counts_as_work_and_a_hold_may_follow(pool: ConnectionPool) -> None:
    """SPEC T4."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        facts = {"what": "Crane for half a day", "amount": "480.5"}
        asked = command(connection, code, "approval_request", house.near, facts, summary="crane asked", now=NOW + HOUR)
        assert asked.ticket.last_effective_at == NOW + HOUR
        assert asked.timeline[-1].facts == {"what": "Crane for half a day", "amount": "480.50"}
        wait = {"reason": "approval", "review_at": (NOW + DAY).isoformat()}
        assert command(connection, code, "hold", house.near, wait, now=NOW + HOUR).is_on_hold


def test_a_hold_is_looked_at_again_within_the_days_of_the_policy(pool: ConnectionPool) -> None:
    """SPEC T5."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        late = {"reason": "parts", "review_at": (NOW + 91 * DAY).isoformat()}
        assert refused(connection, code, "hold", house.near, late).name == "invalid_fact"
        command(connection, code, "hold", house.near, {**late, "review_at": (NOW + 90 * DAY).isoformat()})


def test_a_review_that_is_moved_is_told_of_again_and_pauses_no_differently(pool: ConnectionPool) -> None:
    """SPEC T5: a wait that nobody looks at any more is how tickets are lost."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
        wait = {"reason": "parts", "review_at": (NOW + DAY).isoformat()}
        held = command(connection, code, "hold", house.near, wait)
    sweep_round(pool, NOW + 2 * DAY)
    with pool.connection() as connection:
        moved = {"reason": "Supplier is late", "review_at": (NOW + 4 * DAY).isoformat()}
        after = command(connection, code, "extend_hold", house.near, moved, now=NOW + 2 * DAY)
        assert (len(after.holds), after.holds[0].review_at) == (1, NOW + 4 * DAY)
        assert [clock.due_at for clock in after.clocks] == [clock.due_at for clock in held.clocks]
    for days in (3, 5, 6):
        sweep_round(pool, NOW + days * DAY)
    with pool.connection() as connection:
        detail = ticket_detail(connection, code, actor=house.near, now=NOW + 6 * DAY)
        reviews = [event.at for event in detail.timeline if event.command == "review"]
        assert reviews == [NOW + 2 * DAY, NOW + 5 * DAY]
        command(connection, code, "resume", house.near, now=NOW + 6 * DAY)
        assert refused(connection, code, "extend_hold", house.near, moved).name == "not_a_legal_step"
