"""Offers and claims: the three best tickets, one winner each, losers told who won (SPEC X5)."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from storage.database import open_pool
from storage.offers import claim, offers_for
from storage.tickets import verify_timeline
from tests.ticket_builders import DAY, HOUR, NOW, a_device_ticket, a_house, a_report, an_asset, command
from ticketing.actors import Actor

SOON = (NOW + HOUR).isoformat()


def test_the_three_best_are_offered_by_priority_and_then_by_score(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        far_away, _, _ = an_asset(connection, "M-9", house.requester.person_id, NOW)
        connection.execute("update asset set latitude = 31.9, longitude = 121.7 where id = %s", (far_away,))
        distant = a_report(connection, replace(house, asset_id=far_away), NOW)
        codes = [a_report(connection, house, NOW + n * HOUR, title=f"noise {n}") for n in range(3)]
        urgent = a_device_ticket(connection, house)
        connection.execute("update ticket set priority = 3")
        connection.execute("update ticket set priority = 1 where code = %s", (urgent,))
        found = offers_for(connection, house.near.person_id or 0, NOW)
        assert [offer.ticket.code for offer in found.offers] == [urgent, *codes[:2]]
        assert (found.open_tickets, found.fit, dict(found.excluded)) == (5, 5, {})
        assert {part.name for part in found.offers[0].parts} >= {"distance", "load", "skill"}
        assert found.offers[0].ticket.asset_tag == "M-1"
        assert distant not in [offer.ticket.code for offer in found.offers]


def test_who_has_no_offer_is_told_which_rules_kept_the_tickets_away(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        a_device_ticket(connection, house)
        a_report(connection, house)
        person_id = house.unskilled.person_id or 0
        found = offers_for(connection, person_id, NOW)
        assert (len(found.offers), found.open_tickets, dict(found.excluded)) == (1, 2, {"skills": 1})
        connection.execute("update person set on_duty = false where id = %s", (person_id,))
        assert dict(offers_for(connection, person_id, NOW).excluded) == {"skills": 1, "on_duty": 2}
        assert offers_for(connection, house.supervisor.person_id or 0, NOW).offers == []


def test_what_is_offered_can_be_claimed(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        for n in range(5):
            a_report(connection, house, NOW + n * HOUR, title=f"noise {n}")
        for _ in range(3):
            offered = offers_for(connection, house.near.person_id or 0, NOW).offers
            detail = claim(connection, offered[0].ticket.code, house.near, SOON, NOW)
            assert (detail.ticket.state, detail.ticket.assignee_name) == ("accepted", "Near")
        full = offers_for(connection, house.near.person_id or 0, NOW)
        assert (full.offers, dict(full.excluded)) == ([], {"load": 2})


def test_of_many_who_claim_at_once_one_wins_and_the_others_are_told_who(database: str) -> None:
    with open_pool(database, size=10) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            connection.execute("update person set load_limit = 50")
            codes = [a_report(connection, house, title=f"noise {n}") for n in range(3)]
        who = [house.near, house.far, house.unskilled] * 3
        for code in codes:
            said: list[str] = []
            barrier = threading.Barrier(len(who))

            def run(actor: Actor, code: str = code, said: list[str] = said, barrier: object = barrier) -> None:
                barrier.wait()  # type: ignore[attr-defined]
                try:
                    with pool.connection() as own:
                        claim(own, code, actor, SOON, NOW)
                    said.append(f"won by {actor.name}")
                except Refused as refused:
                    said.append(f"{refused.name}: {refused.got}" if refused.name == "already_claimed" else refused.name)

            threads = [threading.Thread(target=run, args=(actor,)) for actor in who]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            (winner,) = [one.removeprefix("won by ") for one in said if one.startswith("won by ")]
            counted = Counter(said)
            # Who won asks twice more: their own ticket is accepted already.
            assert counted == {
                f"won by {winner}": 1,
                f"already_claimed: {winner} has it": 6,
                "not_a_legal_step": 2,
            }
            with pool.connection() as connection:
                assert verify_timeline(connection, code) is None


def test_a_ticket_that_a_supervisor_gave_away_is_not_there_to_claim(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_report(connection, house)
        command(connection, code, "dispatch", house.supervisor, {"assignee_id": house.far.person_id})
        with pytest.raises(Refused) as caught:
            claim(connection, code, house.near, SOON, NOW)
        assert (caught.value.name, caught.value.got) == ("already_claimed", "Far has it")
        assert offers_for(connection, house.near.person_id or 0, NOW + DAY).open_tickets == 0
        with pytest.raises(Refused) as missing:
            claim(connection, "P999999", house.near, SOON, NOW)
        assert missing.value.name == "unknown_record"
