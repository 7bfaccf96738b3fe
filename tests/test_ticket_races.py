"""Many at once on one ticket: one winner, the others told so, nothing lost (SPEC X5, ADR 0009)."""

from __future__ import annotations

import threading
from collections import Counter

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from storage.casework import (
    answer_link,
    join_findings,
    open_from_prediction,
    run_command,
)
from storage.database import open_pool
from storage.tickets import ticket_detail, verify_timeline
from tests.services_builders import eventually
from tests.ticket_builders import (
    HOUR,
    MINUTE,
    NOW,
    a_device_ticket,
    a_finding,
    a_house,
    a_prediction,
    a_report,
    carry,
    command,
    finish_work,
    resolve,
)
from ticketing.actors import Actor
from ticketing.ticket import State

WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def _at_once(pool: ConnectionPool, calls: list[object]) -> list[object]:
    """Make all calls at the same moment, each in its own transaction; a refusal is an answer too."""
    barrier, answers = threading.Barrier(len(calls)), [object()] * len(calls)

    def run(position: int) -> None:
        try:
            with pool.connection() as connection:
                barrier.wait()
                answers[position] = calls[position](connection)  # type: ignore[operator]
        except Refused as refused:
            answers[position] = refused.name

    threads = [threading.Thread(target=run, args=(position,)) for position in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _note(connection: Connection, code: str, actor: Actor, version: int | None, number: int) -> str:
    facts = {"content": f"observation {number} at the bearing"}
    run_command(
        connection, code, "note", version=version, summary=f"observation {number}", facts=facts, actor=actor, now=NOW
    )
    return "written"


def test_two_desks_that_open_the_same_prediction_at_once_open_one_ticket(database: str) -> None:
    with open_pool(database, size=8) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            connection.execute("drop index one_open_prediction")
            predictions = [a_prediction(connection, house, evidence_at=NOW - n * MINUTE) for n in range(1, 7)]
        codes = _at_once(pool, [lambda c, p=p: open_from_prediction(c, p, NOW) for p in predictions])
        assert Counter(code is None for code in codes) == {True: 5, False: 1}


def test_of_many_who_saw_the_same_version_one_wins(database: str) -> None:
    """Fails when the version is read first and the update does not name it."""
    with open_pool(database, size=12) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            codes = [a_report(connection, house, title=f"noise {n}") for n in range(10)]
        for code in codes:
            calls = [lambda c, n=n, code=code: _note(c, code, house.near, 1, n) for n in range(12)]
            assert Counter(_at_once(pool, calls)) == {"written": 1, "stale_version": 11}
        with pool.connection() as connection:
            assert all(verify_timeline(connection, code) is None for code in codes)


def test_commands_that_name_no_version_follow_each_other(database: str) -> None:
    with open_pool(database, size=12) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            code = a_report(connection, house)
        calls = [lambda c, n=n: _note(c, code, house.near, None, n) for n in range(12)]
        assert Counter(_at_once(pool, calls)) == {"written": 12}
        with pool.connection() as connection:
            detail = ticket_detail(connection, code, actor=house.near, now=NOW)
            assert (detail.ticket.version, len(detail.timeline), detail.timeline_is_whole) == (13, 13, True)


def test_a_claim_has_one_winner_and_the_others_are_told_who(database: str) -> None:
    """SPEC X5."""
    with open_pool(database, size=10) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            code = a_device_ticket(connection, house)
        promise = {"expected_response_at": (NOW + HOUR).isoformat()}
        engineers = [house.near, house.far] * 5
        calls = [lambda c, who=who: command(c, code, "accept", who, promise) and "mine" for who in engineers]
        answers = Counter(_at_once(pool, calls))
        # Five of the ten are the winner's own, who is told that there is nothing more to accept.
        assert answers == {"mine": 1, "already_claimed": 5, "not_a_legal_step": 4}
        with pool.connection() as connection:
            winner = ticket_detail(connection, code, actor=house.near, now=NOW).ticket.assignee_name
            loser = house.far if winner == "Near" else house.near
            for version in (1, 2, None):
                with pytest.raises(Refused) as caught:
                    command(connection, code, "accept", loser, promise, version=version)
                assert (caught.value.name, caught.value.got) == ("already_claimed", f"{winner} has it")


def test_a_claim_is_held_to_the_dispatch_rules(pool: ConnectionPool) -> None:
    """SPEC X1: also when two tickets are claimed at once, the load limit holds."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        promise = {"expected_response_at": (NOW + HOUR).isoformat()}
        assert refused(connection, code, "accept", house.unskilled, promise) == "not_eligible"
        assert refused(connection, code, "accept", house.supervisor, promise) == "not_permitted"
        connection.execute("update person set load_limit = 1")
        reports = [a_report(connection, house, title=f"noise {n}") for n in range(4)]
    calls = [lambda c, code=code: command(c, code, "accept", house.near, promise) and "mine" for code in reports]
    assert Counter(_at_once(pool, calls)) == {"mine": 1, "not_eligible": 3}


def refused(connection: Connection, *arguments: object, **more: object) -> str:
    """Run a command that must be refused, in a transaction of its own, and return the refusal's name."""
    with pytest.raises(Refused) as caught, connection.transaction():
        command(connection, *arguments, **more)  # type: ignore[arg-type]
    return caught.value.name


def test_closing_while_the_desk_judges_the_asset_waits_for_it(pool: ConnectionPool) -> None:
    """The desk holds the asset and its prediction and wants the ticket; closing wants all three."""
    with pool.connection() as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        ticket_id = ticket_detail(connection, code, actor=house.near, now=NOW).ticket.id
        new = a_finding(connection, house, NOW)
    ended: list[str] = []

    def cancel() -> None:
        with pool.connection() as connection:
            command(connection, code, "cancel", house.supervisor, {"reason": "Machine is scrapped"})
        ended.append("cancelled")

    canceller = threading.Thread(target=cancel)
    with pool.connection() as desk, pool.connection() as watcher:
        desk.execute("select 1 from asset where id = %s for no key update", (house.asset_id,))
        desk.execute("update prediction set probability = 0.9")
        canceller.start()
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        while watcher.execute(waiting).fetchone() != (1,):
            watcher.commit()
        assert join_findings(desk, ticket_id, [new], NOW) == 1
        assert ended == []
    canceller.join()
    assert ended == ["cancelled"]
    with pool.connection() as connection:
        assert connection.execute("select status from prediction").fetchone() == ("rejected",)
        assert verify_timeline(connection, code) is None


def test_an_answer_and_a_new_link_at_the_same_moment_do_not_wait_for_each_other(database: str) -> None:
    """Both lock the ticket, then its link. In the other order the database ended one of them as a deadlock."""
    with open_pool(database, size=4) as pool:
        with pool.connection() as connection:
            house = a_house(connection)
            code = a_device_ticket(connection, house)
            carry(connection, house, code, State.EXECUTING)
            finish_work(connection, house, code)
            secret = resolve(connection, house, code).confirmation_url_secret or ""
        ended: list[str] = []

        def answer() -> None:
            try:
                with pool.connection() as own:
                    ended.append(answer_link(own, secret, True, True, None, None, NOW + HOUR))
            except Refused as refused:
                ended.append(refused.name)
            except psycopg.errors.DeadlockDetected:
                ended.append("deadlock")

        with pool.connection() as connection:
            connection.execute("select from ticket where code = %s for no key update", (code,))
            answering = threading.Thread(target=answer)
            answering.start()
            with pool.connection() as watching:
                watching.autocommit = True
                assert eventually(lambda: watching.execute(WAITING).fetchone() == (1,))
                watching.autocommit = False
            command(connection, code, "request_confirmation", house.near, now=NOW + MINUTE)
        answering.join(20)
        assert ended == ["link_used"]
