"""Random work on tickets in the database, as a client does it that knows only the next steps, with faults (SPEC T1-T9).

Two kinds of fault: a command decided on an older version, and a connection that dies at a random statement of it.
``make campaign-tickets`` runs a twentieth of its steps here.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import LiteralString

import psycopg
import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from storage.database import connect
from storage.ticket_views import TicketDetail
from storage.tickets import list_tickets, ticket_detail
from storage.timeline_check import check_timelines
from tests.ticket_builders import HOUR, MINUTE, NOW, SITE, House, a_device_ticket, a_house, a_photo, a_report, command
from ticketing.actors import SYSTEM, Actor
from ticketing.steps import FactNeed, NextStep

STEPS = int(os.environ.get("LIFECYCLE_STEPS", "2000")) // 20
SEEDS = [int(seed) for seed in os.environ.get("LIFECYCLE_SEEDS", "1").split(",")]
MOST_TO_FINISH = 40
RARE = ("cancel", "merge", "view", "split", "link")
# What a client cannot know from the next steps: stock, who may be sent, what is open elsewhere.
REFUSALS = {
    *("invalid_fact", "not_eligible", "already_open", "duplicate_record", "not_a_legal_step", "missing_fact"),
    "unknown_record",
}


class Died(Exception):
    """The connection died, as it was meant to."""


class DyingConnection(Connection):
    """A connection that is gone at its n-th statement; the server then rolls back whatever it had done."""

    statements_left = 0

    def execute(self, *arguments: object, **more: object) -> psycopg.Cursor:  # type: ignore[override]
        """Execute a statement, or die."""
        self.statements_left -= 1
        if self.statements_left < 0:
            self.close()
            raise Died
        return super().execute(*arguments, **more)  # type: ignore[arg-type]


@dataclass
class Plant:
    """The house with its people, a clock that goes on, and a count of what was done."""

    pool: ConnectionPool
    house: House
    rng: random.Random
    now: datetime = NOW
    done: Counter[str] = field(default_factory=Counter)

    @property
    def people(self) -> tuple[Actor, ...]:
        """Everybody who may do something."""
        house = self.house
        return (house.near, house.far, house.unskilled, house.supervisor, house.planner, house.requester)

    def seen(self, code: str, actor: Actor = SYSTEM) -> TicketDetail:
        """Return a ticket as somebody sees it."""
        with self.pool.connection() as connection:
            return ticket_detail(connection, code, actor=actor, now=self.now)

    def codes(self) -> list[str]:
        """Return every ticket there is."""
        with self.pool.connection() as connection:
            return [ticket.code for ticket in list_tickets(connection, limit=200).items]


def a_plant(pool: ConnectionPool, seed: int) -> Plant:
    with pool.connection() as connection:
        house = a_house(connection)
        connection.execute("update asset set serial_number = 'SN-1'")
        connection.execute("insert into team (name, site_id) values ('Electrical', %s), ('Mechanical', null)", (SITE,))
        connection.execute(
            "update person set team_id = (select min(id) from team) where id = %s", (house.far.person_id,)
        )
        a_device_ticket(connection, house)
        for number in range(5):
            a_report(connection, house, title=f"Report {number}")
    return Plant(pool, house, random.Random(seed))


def fill(need: FactNeed, detail: TicketDetail, plant: Plant) -> object:
    """Return a value for a fact, from its type and its choices alone."""
    rng, soon = plant.rng, plant.now + plant.rng.randint(1, 200) * HOUR
    if need.type in ("person", "integer", "team", "rating"):
        return int(rng.choice(need.options).value) if need.options else 1
    if need.type == "lines":
        return [fill_line(line.part_number, line.issued, line.used, rng) for line in detail.bill] or [
            fill_line("SEAL-35", 0, 0, rng)
        ]
    if need.options:
        return rng.choice(need.options).value
    plain: Mapping[str, object] = {
        "text": "Outer race pitted over a third of its width",
        "future_time": soon.isoformat(),
        "time": plant.now.isoformat(),
        "number": 31.3,
        "boolean": True,
        "amount": "480.50",
        "reading": 3.5,
        "ticket": "D999999",
    }
    return plain.get(need.type, "bearing_wear")


def fill_line(part: str, issued: int, used: int, rng: random.Random) -> dict[str, object]:
    total = max(issued, rng.randint(0, 1))
    return {"part_number": part, "issued": total, "used": max(used, total), "returned": 0}


def facts_of(step: NextStep, detail: TicketDetail, plant: Plant) -> dict[str, object]:
    wanted = [need for need in step.facts if need.required or need.name in ("failure_mode", "team_id")]
    return {need.name: fill(need, detail, plant) for need in wanted if need.name != "number" or need.options}


def attempt(plant: Plant, code: str, step: NextStep, actor: Actor, fault: str) -> str:
    """Do a step with or without a fault; return what came of it."""
    before = plant.seen(code, actor)
    facts, version = facts_of(step, before, plant), before.ticket.version
    with connect(plant.pool.conninfo) as connection:
        if fault == "dies":
            connection.__class__ = DyingConnection
            connection.statements_left = plant.rng.randint(0, 25)  # type: ignore[attr-defined]
        if fault == "stale":
            version -= 1
        try:
            command(
                connection, code, step.command, actor, facts, summary="bearing replaced", now=plant.now, version=version
            )
        except Died:
            return "died"
        except Refused as refusal:
            connection.rollback()
            return refusal.name
    return "done"


def one_step(plant: Plant) -> None:
    """Let somebody do one of their next steps on some ticket; whatever comes of it, nothing is half done."""
    rng = plant.rng
    plant.now += rng.choice((0, 1, 30, 600)) * MINUTE
    code, actor = rng.choice(plant.codes()), rng.choice(plant.people)
    detail = plant.seen(code, actor)
    if detail.ticket.assignee_id is not None and rng.random() < 0.6:
        actor = next(one for one in plant.people if one.person_id == detail.ticket.assignee_id)
        detail = plant.seen(code, actor)
    if detail.ticket.state == "accepted":
        with plant.pool.connection() as connection:
            a_photo(connection, code, plant.now)
    steps = [one for one in detail.next_steps if not one.blocked_by and (rng.random() < 0.1 or one.command not in RARE)]
    if not steps:
        return
    step, fault = rng.choice(steps), rng.choice(("", "", "", "", "stale", "dies"))
    before = plant.seen(code)
    result = attempt(plant, code, step, actor, fault)
    after = plant.seen(code)
    plant.done[result if result != "done" else step.command] += 1
    if result == "done":
        assert fault != "stale"
        assert [event.command for event in after.timeline[len(before.timeline) :]][:1] == [step.command]
    else:
        assert result in REFUSALS | {"died", "stale_version"}, (result, step.command)
        assert (result == "stale_version") <= (fault == "stale")
        assert after == before, f"{step.command} left something behind after '{result}'"
    assert after.timeline_is_whole


def finish(plant: Plant, code: str) -> None:
    """Now that nothing fails any more: whoever has a primary step does it, until the ticket is closed."""
    for _ in range(MOST_TO_FINISH):
        detail = plant.seen(code)
        if detail.ticket.state == "closed":
            return
        plant.now += timedelta(minutes=1)
        holder = [one for one in plant.people if one.person_id == detail.ticket.assignee_id]
        with plant.pool.connection() as connection:
            a_photo(connection, code, plant.now)
        for actor in (*holder, plant.house.supervisor):
            seen = plant.seen(code, actor)
            step = next((one for one in seen.next_steps if one.primary), None)
            if step is not None and step.command != "request_confirmation":
                assert attempt(plant, code, step, actor, "") == "done", (step.command, seen.ticket.state)
                break
        else:
            raise AssertionError(f"nobody has a next step for {code}")
    raise AssertionError(f"{code} does not end")


def count(connection: Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_half_done_and_every_ticket_can_end(pool: ConnectionPool, seed: int) -> None:
    plant = a_plant(pool, seed)
    for _ in range(STEPS):
        one_step(plant)
    told = ", ".join(f"{name} {times:,}" for name, times in sorted(plant.done.items()))
    sys.stdout.write(f"\nseed {seed}, {STEPS:,} steps: {told}\n")
    assert {"died", "stale_version"} <= set(plant.done)
    for code in plant.codes():
        finish(plant, code)
    with pool.connection() as connection:
        found = list(check_timelines(connection))
        assert [one.code for one in found if one.first_broken is not None] == []
        assert count(connection, "select count(*) from hold where ended_at is null") == 0
        assert count(connection, "select count(*) from reservation where ended_at is null") == 0
        # What was issued from the store, less what came back, is what the bills say: merging loses no piece.
        moved = "select -coalesce(sum(quantity), 0) from stock_movement where reason <> 'receipt'"
        billed = "select coalesce(sum(issued - returned), 0) from bill_line"
        assert count(connection, moved) == count(connection, billed)
