"""Parts kept for tickets and proposals to order, on a real database (SPEC P3)."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from psycopg import Connection

from domain.refusals import Refused
from storage import store, supply
from storage.parts_policy import POLICY, ensure_parts_policy
from storage.policies import publish_body, shipped_body
from tests.api_builders import Api, an_api
from tests.ingest_builders import until
from tests.ticket_builders import (
    DAY,
    NOW,
    House,
    a_device_ticket,
    a_house,
    a_prediction,
    an_asset,
    carry,
    command,
    finish_work,
)
from ticketing.actors import Role
from ticketing.ticket import State

BEARING, SEAL = "6204-2RS", "SEAL-35"


@pytest.fixture
def connection(pool):
    with pool.connection() as opened:
        yield opened


@pytest.fixture
def house(connection: Connection) -> House:
    return a_house(connection)


def part_id(connection: Connection, number: str) -> int:
    (found,) = connection.execute("select id from part where number = %s", (number,)).fetchone()
    return found


def of(connection: Connection, number: str = BEARING) -> supply.Supply:
    key = part_id(connection, number)
    return supply.supply_of(connection, [key])[key]


def stock(connection: Connection, number: str, pieces: int) -> None:
    """Let the store have so many pieces."""
    change = pieces - of(connection, number).on_hand
    if change:
        connection.execute(
            "insert into stock_movement (part_id, quantity, reason, at) values (%s, %s, 'count', %s)",
            (part_id(connection, number), change, NOW),
        )


def bill_line(connection: Connection, code: str, number: str = BEARING):
    rows = connection.execute("select id from ticket where code = %s", (code,)).fetchone()
    assert rows is not None
    return connection.execute(
        "select coalesce(sum(quantity), 0) from reservation where ticket_id = %s and for_part_id = %s"
        " and ended_at is null",
        (rows[0], part_id(connection, number)),
    ).fetchone()[0]


def open_proposals(connection: Connection) -> list[tuple[str, int]]:
    return [(one.part_number, one.quantity) for one in supply.list_proposals(connection, NOW, state="open")]


def another_ticket(connection: Connection, house: House, tag: str) -> str:
    asset_id, series_id, rule_id = an_asset(connection, tag, house.requester.person_id, NOW)
    changes = {"asset_id": asset_id, "series_id": series_id, "rule_id": rule_id}
    return a_device_ticket(connection, House(**{**{name: getattr(house, name) for name in House.__slots__}, **changes}))


def test_the_bill_is_reserved_when_somebody_is_sent_and_not_before(connection, house):
    code = a_device_ticket(connection, house)
    assert of(connection).reserved == 0
    detail = carry(connection, house, code, State.DISPATCHED)
    assert (of(connection).reserved, of(connection).free) == (2, 8)
    (line,) = [line for line in detail.bill if line.part_number == BEARING]
    assert (line.predicted, line.reserved, line.instead) == (2, 2, [])


def test_sent_again_to_another_engineer_nothing_is_reserved_twice(connection, house):
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.DISPATCHED)
    command(connection, code, "dispatch", house.supervisor, {"assignee_id": house.far.person_id})
    assert of(connection).reserved == 2


def test_what_was_let_go_is_kept_anew_and_not_on_top(connection, house):
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.DISPATCHED)
    (ticket_id,) = connection.execute("select id from ticket where code = %s", (code,)).fetchone()
    supply.release_for_ticket(connection, ticket_id, NOW)
    assert of(connection).reserved == 0
    supply.reserve_for_ticket(connection, ticket_id, NOW)
    assert of(connection).reserved == 2


def test_sent_again_when_more_has_come_the_rest_is_kept_too(connection, house):
    stock(connection, BEARING, 1)
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.DISPATCHED)
    assert of(connection).reserved == 1
    stock(connection, BEARING, 5)
    command(connection, code, "dispatch", house.supervisor, {"assignee_id": house.far.person_id})
    assert (of(connection).reserved, of(connection).free) == (2, 3)


def test_an_unlikely_part_is_told_and_not_reserved(connection, house):
    """The policy says from which probability on."""
    ensure_parts_policy(connection, NOW)
    body = {**shipped_body(POLICY), "reserve_from_probability": 0.95}
    publish_body(connection, POLICY, body, person_id=None, now=NOW)
    carry(connection, house, a_device_ticket(connection, house), State.DISPATCHED)
    assert of(connection).reserved == 0
    assert open_proposals(connection) == []


def test_what_is_issued_is_no_longer_reserved_but_gone(connection, house):
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.EXECUTING)
    command(connection, code, "use_parts", house.near, {"lines": [line_of(issued=1)]})
    assert (of(connection).on_hand, of(connection).reserved, of(connection).free) == (9, 1, 8)
    command(connection, code, "use_parts", house.near, {"lines": [line_of(issued=2)]})
    assert (of(connection).on_hand, of(connection).reserved, of(connection).free) == (8, 0, 8)


def line_of(issued: int) -> dict[str, object]:
    return {"part_number": BEARING, "issued": issued, "used": issued, "returned": 0}


def test_a_cancelled_ticket_lets_its_parts_go(connection, house):
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.DISPATCHED)
    command(connection, code, "cancel", house.supervisor, {"reason": "the motor was scrapped"})
    assert of(connection).reserved == 0


def test_a_piece_is_never_promised_twice(connection, house):
    stock(connection, BEARING, 3)
    first, second = a_device_ticket(connection, house), another_ticket(connection, house, "M-2")
    carry(connection, house, first, State.DISPATCHED)
    carry(connection, house, second, State.DISPATCHED)
    assert (bill_line(connection, first), bill_line(connection, second)) == (2, 1)
    assert of(connection).free == 0
    assert open_proposals(connection) == [(BEARING, 1)]


def test_two_dispatches_at_once_do_not_share_a_piece(pool):
    """SPEC P3 under two hands: the parts are locked."""
    with pool.connection() as connection:
        house = a_house(connection)
        stock(connection, BEARING, 3)
        codes = [a_device_ticket(connection, house)]
        codes += [another_ticket(connection, house, f"M-{number}") for number in range(2, 5)]
    begin = threading.Barrier(len(codes))

    def send(code: str) -> None:
        with pool.connection() as own:
            begin.wait(10)
            carry(own, house, code, State.DISPATCHED)

    hands = [threading.Thread(target=send, args=(code,)) for code in codes]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(30)
    with pool.connection() as connection:
        kept = [bill_line(connection, code) for code in codes]
        assert sum(kept) == 3
        assert open_proposals(connection) == [(BEARING, 2 * len(codes) - 3)]


def test_a_substitute_fills_what_is_short_and_is_told_on_the_bill(connection, house):
    stock(connection, BEARING, 1)
    stock(connection, SEAL, 5)
    supply.set_supply(connection, BEARING, lead_time_days=3, reorder_level=0, substitutes=[SEAL], now=NOW)
    code = a_device_ticket(connection, house)
    detail = carry(connection, house, code, State.DISPATCHED)
    (line,) = [line for line in detail.bill if line.part_number == BEARING]
    assert (line.reserved, line.instead) == (2, ["1 × SEAL-35"])
    command(connection, code, "dispatch", house.supervisor, {"assignee_id": house.far.person_id})
    assert of(connection, SEAL).reserved == 1, "sent again, it has what it needs"
    assert open_proposals(connection) == []


@pytest.mark.parametrize("order", [(SEAL, "LIKE-6204"), ("LIKE-6204", SEAL)])
def test_the_substitute_that_was_named_first_is_taken_first(connection, house, order):
    connection.execute("insert into part (number, name_en, name_zh) values ('LIKE-6204', 'Bearing', '轴承')")
    for number, pieces in ((BEARING, 0), (SEAL, 5), ("LIKE-6204", 5)):
        stock(connection, number, pieces)
    supply.set_supply(connection, BEARING, lead_time_days=3, reorder_level=0, substitutes=order, now=NOW)
    carry(connection, house, a_device_ticket(connection, house), State.DISPATCHED)
    assert [of(connection, number).reserved for number in order] == [2, 0]


def is_waiting(pool) -> bool:
    with pool.connection() as connection:
        waits = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        return connection.execute(waits).fetchone() is not None


def test_a_substitute_is_held_like_the_part_that_it_stands_in_for(pool):
    """Another transaction may be about to promise the substitute as such."""
    with pool.connection() as connection:
        house = a_house(connection)
        stock(connection, BEARING, 0)
        stock(connection, SEAL, 2)
        supply.set_supply(connection, BEARING, lead_time_days=3, reorder_level=0, substitutes=[SEAL], now=NOW)
        code = a_device_ticket(connection, house)

    def send() -> None:
        with pool.connection() as own:
            carry(own, house, code, State.DISPATCHED)

    with pool.connection() as connection:
        supply.review_proposals(connection, [part_id(connection, SEAL)], NOW)
        sending = threading.Thread(target=send)
        sending.start()
        until(lambda: is_waiting(pool) or not sending.is_alive(), "it waits, or does not")
        assert sending.is_alive(), "the seals are held"
    sending.join(30)
    with pool.connection() as connection:
        assert of(connection, SEAL).reserved == 2


def test_a_proposal_is_withdrawn_when_nothing_is_short_any_longer(connection, house):
    stock(connection, BEARING, 0)
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.DISPATCHED)
    assert open_proposals(connection) == [(BEARING, 2)]
    (proposal,) = supply.list_proposals(connection, NOW, state="open")
    assert proposal.needed_by is not None
    assert proposal.is_late, "14 days of delivery against a due date within days"
    command(connection, code, "cancel", house.supervisor, {"reason": "the motor was scrapped"})
    assert open_proposals(connection) == []


def test_only_tickets_that_somebody_is_on_are_short_of_anything(connection, house):
    stock(connection, BEARING, 0)
    bearing, code = part_id(connection, BEARING), a_device_ticket(connection, house)
    supply.review_proposals(connection, [bearing], NOW)
    assert open_proposals(connection) == []
    carry(connection, house, code, State.DISPATCHED)
    assert open_proposals(connection) == [(BEARING, 2)]
    command(connection, code, "cancel", house.supervisor, {"reason": "the motor was scrapped"})
    supply.review_proposals(connection, [bearing], NOW)
    assert open_proposals(connection) == []


def test_below_the_reorder_level_the_store_proposes_to_fill_up(connection, house):
    supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=12, substitutes=[], now=NOW)
    assert open_proposals(connection) == [(BEARING, 2)]
    store.receive_part(connection, BEARING, 2, NOW)
    assert open_proposals(connection) == []


def test_what_was_ordered_is_not_proposed_again_and_is_fulfilled_by_a_receipt(connection, house):
    supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=15, substitutes=[], now=NOW)
    (proposal,) = supply.list_proposals(connection, NOW, state="open")
    decide(connection, house, proposal.id, "ordered")
    supply.review_proposals(connection, [part_id(connection, BEARING)], NOW)
    assert open_proposals(connection) == []
    assert of(connection).on_order == 5
    store.receive_part(connection, BEARING, 5, NOW)
    assert (of(connection).on_order, of(connection).on_hand) == (0, 15)


def test_an_order_that_comes_in_two_deliveries_is_received_with_the_second(connection, house):
    """It would else be on its way for ever, and its part never be proposed again."""
    supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=15, substitutes=[], now=NOW)
    (proposal,) = supply.list_proposals(connection, NOW, state="open")
    decide(connection, house, proposal.id, "ordered")
    store.receive_part(connection, BEARING, 2, NOW)
    assert (of(connection).on_order, of(connection).on_hand) == (3, 12)
    assert open_proposals(connection) == []
    store.receive_part(connection, BEARING, 3, NOW)
    assert (of(connection).on_order, of(connection).on_hand) == (0, 15)
    told = supply.list_proposals(connection, NOW)
    assert sorted((one.state, one.quantity, one.decided_by) for one in told) == [
        ("received", 2, "Planner"),
        ("received", 3, "Planner"),
    ]


def test_one_delivery_may_fulfil_an_order_and_begin_the_next(connection, house):
    for level in (12, 15):
        supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=level, substitutes=[], now=NOW)
        (proposal,) = supply.list_proposals(connection, NOW, state="open")
        decide(connection, house, proposal.id, "ordered")
    assert of(connection).on_order == 2 + 3
    store.receive_part(connection, BEARING, 3, NOW)
    assert (of(connection).on_order, of(connection).on_hand) == (2, 13)
    store.receive_part(connection, BEARING, 40, NOW)
    assert (of(connection).on_order, of(connection).on_hand) == (0, 53)


def decide(connection: Connection, house: House, proposal_id: int, state: str) -> None:
    person_id = house.planner.person_id
    assert person_id is not None
    supply.decide_proposal(connection, proposal_id, state=state, person_id=person_id, note="by phone", now=NOW)


def test_a_dismissed_proposal_rests_unless_more_is_short(connection, house):
    bearing = part_id(connection, BEARING)
    supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=12, substitutes=[], now=NOW)
    (proposal,) = supply.list_proposals(connection, NOW, state="open")
    decide(connection, house, proposal.id, "dismissed")
    supply.review_proposals(connection, [bearing], NOW + DAY)
    assert open_proposals(connection) == []
    supply.review_proposals(connection, [bearing], NOW + 8 * DAY)
    assert open_proposals(connection) == [(BEARING, 2)]
    (again,) = supply.list_proposals(connection, NOW, state="open")
    decide(connection, house, again.id, "dismissed")
    supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=14, substitutes=[], now=NOW)
    assert open_proposals(connection) == [(BEARING, 4)]


def test_a_decision_is_final(connection, house):
    supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=12, substitutes=[], now=NOW)
    (proposal,) = supply.list_proposals(connection, NOW, state="open")
    decide(connection, house, proposal.id, "ordered")
    with pytest.raises(Refused) as refused:
        decide(connection, house, proposal.id, "dismissed")
    assert refused.value.name == "not_a_legal_step"


@pytest.mark.parametrize("substitutes", [[BEARING], [SEAL, SEAL]])
def test_a_part_is_not_its_own_substitute_nor_named_twice(connection, house, substitutes):
    with pytest.raises(Refused) as refused:
        supply.set_supply(connection, BEARING, lead_time_days=None, reorder_level=0, substitutes=substitutes, now=NOW)
    assert refused.value.name == "invalid_request"


def test_a_prediction_tells_what_the_store_can_give(connection, house):
    stock(connection, BEARING, 1)
    stock(connection, SEAL, 4)
    supply.set_supply(connection, BEARING, lead_time_days=30, reorder_level=0, substitutes=[SEAL], now=NOW)
    (part,) = supply.expected_parts(connection, a_prediction(connection, house), NOW)
    assert (part.number, part.quantity, part.free, part.is_short) == (BEARING, 2, 1, True)
    assert (part.lead_time_days, part.comes_in_time) == (30, False)
    assert [(other.number, other.free) for other in part.substitutes] == [(SEAL, 4)]


def test_the_reservation_ends_with_the_ticket(connection, house):
    code = a_device_ticket(connection, house)
    carry(connection, house, code, State.EXECUTING)
    finish_work(connection, house, code)
    assert of(connection).reserved == 0, "both pieces were issued"
    ended = connection.execute("select count(*) from reservation where ended_at is null").fetchone()
    assert ended == (1,), "it is kept until the ticket ends"


@pytest.fixture
def api(pool):
    with an_api(pool, furnish=a_house, at=NOW) as opened:
        yield opened


def test_supply_and_proposals_over_the_api(api: Api):
    body = {"lead_time_days": 5, "reorder_level": 11, "substitutes": [SEAL]}
    told = api.client.put(f"/api/v1/parts/{BEARING}/supply", json=body, headers=api.headers(Role.PLANNER)).json()
    assert (told["free"], told["reorder_level"], told["substitutes"]) == (10, 11, [SEAL])
    (proposal,) = api.get("/reorder-proposals", Role.PLANNER, state="open").json()["items"]
    assert (proposal["part_number"], proposal["quantity"], proposal["is_late"]) == (BEARING, 1, False)
    path = f"/reorder-proposals/{proposal['id']}/decision"
    assert api.post(path, {"decision": "ordered"}, Role.PLANNER).json()["state"] == "ordered"
    assert api.post(path, {"decision": "dismissed"}, Role.PLANNER).status_code == 409
    assert api.post(f"/parts/{BEARING}/receipts", {"quantity": 1}, Role.PLANNER).json()["on_hand"] == 11
    (proposal,) = api.get("/reorder-proposals", Role.PLANNER).json()["items"]
    assert proposal["state"] == "received"
    assert api.post("/reorder-proposals/999/decision", {"decision": "ordered"}, Role.PLANNER).status_code == 404
    assert api.post(f"/parts/{BEARING}/receipts", {"quantity": 0}, Role.PLANNER).status_code == 422
    unknown = api.client.put("/api/v1/parts/NO-1/supply", json=body, headers=api.headers(Role.PLANNER))
    assert unknown.json()["type"].endswith("invalid_fact")


@pytest.mark.parametrize("changed", [{"reserve_from_probability": 0}, {"lead_time_days": -1}, {"colour": "red"}])
def test_a_policy_that_cannot_be_is_refused(changed):
    from storage.parts_policy import read_parts_policy

    with pytest.raises(Refused) as refused:
        read_parts_policy({**shipped_body(POLICY), **changed})
    assert refused.value.name == "invalid_policy"
    assert timedelta(days=read_parts_policy(shipped_body(POLICY)).lead_time_days) == timedelta(days=14)
