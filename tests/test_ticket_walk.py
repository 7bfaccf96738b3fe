"""A random walk over tickets in a real database, and what must hold after every step."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime.prioritising import prioritise_round
from runtime.rounds import dispatch_round, sweep_round
from storage.casework import (
    answer_link,
    next_steps,
)
from storage.tickets import ticket_row, verify_timeline
from tests.ticket_builders import (
    DAY,
    HOUR,
    NOW,
    House,
    a_device_ticket,
    a_house,
    a_photo,
    a_report,
    an_asset,
    command,
)
from ticketing.actors import Actor
from ticketing.steps import NextStep


@pytest.mark.parametrize("seed", [3, 4])
def test_a_random_walk_through_the_database_breaks_no_invariant(pool: ConnectionPool, seed: int) -> None:
    """2 x 150 commands on four tickets by everybody, with sweeps and dispatch rounds between them."""
    rng, now = random.Random(seed), NOW
    with pool.connection() as connection:
        house = a_house(connection)
        for tag in ("M-2", "M-3"):
            an_asset(connection, tag, house.requester.person_id, NOW)
        codes = [a_device_ticket(connection, house), *(a_report(connection, house, title=f"n {n}") for n in range(3))]
    people = [house.near, house.far, house.unskilled, house.supervisor, house.planner, house.requester]
    answers: Counter[str] = Counter()
    secrets: list[str] = []
    for step in range(150):
        now += timedelta(minutes=rng.randrange(1, 90))
        if step % 20 == 0:
            dispatch_round(pool, now)
            sweep_round(pool, now)
            prioritise_round(pool, now)
        code, actor = rng.choice(codes), rng.choice(people)
        with pool.connection() as connection:
            try:
                with connection.transaction():
                    if secrets and rng.random() < 0.1:
                        answer_link(connection, rng.choice(secrets), rng.random() < 0.7, True, "still howls", None, now)
                        answers["answered"] += 1
                    else:
                        _random_command(connection, rng, house, code, actor, secrets, now)
                        answers["done"] += 1
            except Refused as caught:
                answers[caught.name] += 1
            if step % 4 == 0:
                _check_database(connection)
            if ticket_row(connection, code).state == "closed":
                codes = [c for c in codes if c != code] + [a_report(connection, house, now, title=f"new {step}")]
    assert answers["done"] + answers["answered"] > 50, answers
    with pool.connection() as connection:
        assert all(verify_timeline(connection, row[0]) is None for row in connection.execute("select code from ticket"))


# The facts that this walk can give. Commands on other tickets and teams are walked in tests of their own.
KNOWN = {
    "assignee_id",
    "expected_response_at",
    "review_at",
    "attachment_id",
    "reason",
    "lines",
    "number",
    "resolution_code",
    "content",
    "level",
    "cause",
    "action_taken",
}


def _is_known(step: NextStep) -> bool:
    return all(fact.name in KNOWN for fact in step.facts if fact.required)


def _random_command(
    connection: Connection,
    rng: random.Random,
    house: House,
    code: str,
    actor: Actor,
    secrets: list[str],
    now: datetime,
) -> None:
    """Take a random next step as a client would: from the list in the ticket's own answer."""
    steps = [step for step in next_steps(connection, code, actor, now, "en") if _is_known(step)]
    step = rng.choice([s for s in steps if s.command != "cancel" or rng.random() < 0.1] or steps or [None])
    if step is None:
        raise Refused("not_a_legal_step", expected="a step", got="none", remedy="")
    numbers = {fact.name: [option.value for option in fact.options] for fact in step.facts}
    issued = rng.randrange(0, 3)
    known: dict[str, object] = {
        "assignee_id": int(rng.choice(numbers.get("assignee_id") or ["1"])),
        "expected_response_at": (now + HOUR).isoformat(),
        "review_at": (now + DAY).isoformat(),
        "attachment_id": str(a_photo(connection, code, now)) if step.command == "execute" else "",
        "reason": rng.choice(["parts", "access"]) if step.command == "hold" else "Machine is scrapped",
        "lines": [{"part_number": "6204-2RS", "issued": issued, "used": rng.randrange(0, issued + 1), "returned": 0}],
        "number": int((numbers.get("number") or ["1"])[0]),
        "resolution_code": rng.choice(["repaired", "false_alarm", "no_fault_found", "deferred"]),
        "content": "outer race pitted",
        "level": rng.choice(["P0", "P1", "P2", "P3", "P4"]),
        "cause": "Lubricant lost",
        "action_taken": "Bearing replaced",
    }
    facts = {fact.name: known[fact.name] for fact in step.facts if fact.required}
    detail = command(connection, code, step.command, actor, facts, summary="race pitted", now=now)
    if detail.confirmation_url_secret:
        secrets.append(detail.confirmation_url_secret)


# What no ticket joined with one of its clocks may show.
IMPOSSIBLE = {
    "closed with a running clock": "t.state = 'closed' and k.stopped_at is null",
    "accepted but not": "t.state in ('accepted', 'executing') and k.clock = 'accept' and k.stopped_at is null",
    "executing without response": "t.state = 'executing' and k.clock = 'respond' and k.stopped_at is null",
    "a clock stopped before it started": "k.stopped_at < k.started_at",
    "resolved but not": "t.resolved_at is not null and k.clock = 'resolve' and k.stopped_at is null",
    "due after its resolve target": "k.clock = 'resolve' and t.due_at > k.due_at",
}
# What no table may hold.
FORBIDDEN = (
    """select code from ticket t join hold h on h.ticket_id = t.id and h.ended_at is null where t.state = 'closed'""",
    """select code from ticket where state = 'closed' and outcome not in ('cancelled', 'false_alarm')
       and confirmed_at is null""",
    """select code from ticket t
       where timeline_length <> (select count(*) from ticket_event e where e.ticket_id = t.id)""",
    """select ticket_id from bill_line b where returned - issued <> coalesce((
         select sum(m.quantity) from stock_movement m where m.ticket_id = b.ticket_id and m.part_id = b.part_id), 0)""",
    """select code from ticket where (assignee_id is null) <> (state = 'new') and state <> 'closed'""",
)


def _check_database(connection: Connection) -> None:
    for name, condition in IMPOSSIBLE.items():
        query = f"select t.code from ticket t join ticket_clock k on k.ticket_id = t.id where {condition}"
        assert connection.execute(query).fetchall() == [], name
    for query in FORBIDDEN:
        assert connection.execute(query).fetchall() == [], query
