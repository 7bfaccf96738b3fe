"""Taking the steps of escalations that are due (SPEC N1, N2, N4, ADR 0011).

A step is taken by an update that names it as still open, in one transaction with what it does: the event on the
timeline, the messages to people, the step after it. Two sweeps never act twice, one that dies leaves the step to the
next, and nothing is kept in a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from storage.calendars import read_calendar, working_times
from storage.casework import perform
from storage.ladders import plan
from storage.outbox import enqueue
from storage.policies import read_policy_version
from storage.queries import load
from storage.recipients import Team, Told, backup_of, lead_of, people_to_tell, team_of
from storage.ticket_views import TicketRow
from storage.tickets import read_ticket, ticket_row
from ticketing.actors import SYSTEM
from ticketing.escalation import chain_of, is_out_of_hours, next_due, ways_now
from ticketing.lifecycle import Command
from ticketing.policy.escalation import Effect, EscalationPolicy, Ladder, Recipient, Rung, Start

QUERIES = load("escalations")
BATCH = 500
ADOPT_BATCH = 100
# The kinds of messages that a step writes.
MESSAGES = tuple(f"escalation.{kind}" for kind in (*Start, Effect.YELLOW, Effect.RED, "passed", "no_backup"))


@dataclass(frozen=True, slots=True)
class _Taken:
    """A step that this transaction took."""

    step_id: int
    escalation_id: int
    ladder: str
    calendar_id: str | None
    began_at: datetime
    number: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class _Act:
    """A step being carried out: on which ticket, by which rung of which ladder."""

    connection: Connection
    row: TicketRow
    team: Team
    policy: EscalationPolicy
    ladder: Ladder
    rung: Rung
    taken: _Taken
    now: datetime


def due_steps(connection: Connection, now: datetime) -> list[tuple[int, str]]:
    """Return (step, code of its ticket) of the steps that are due, the longest overdue first."""
    return connection.execute(QUERIES["due_steps"], {"now": now, "limit": BATCH}).fetchall()


def take_step(connection: Connection, step_id: int, code: str, now: datetime) -> bool:
    """Take a step and do what it says; say whether this call did it.

    A ticket that somebody has at this moment is left alone: the step may be needless when they are done.
    """
    if connection.execute(QUERIES["try_lock_ticket"], {"code": code}).fetchone() is None:
        return False
    found = connection.execute(QUERIES["claim_step"], {"step_id": step_id, "now": now}).fetchone()
    if found is None:
        return False
    taken = _Taken(step_id, *found)
    row = ticket_row(connection, code)
    policy = read_policy_version(connection, row.policy_id).escalation
    ladder = policy.ladder(taken.ladder)
    assert ladder is not None  # planned by the same frozen version
    act = _Act(connection, row, team_of(connection, row.id, now), policy, ladder, ladder.rung(taken.number), taken, now)
    if _is_overtaken(act):
        return True
    _plan_next(act)
    _carry_out(act)
    return True


def adopt(connection: Connection, now: datetime) -> int:
    """Plan the ladders of open tickets that have none, such as those from before an upgrade; return how many."""
    adopted = 0
    for (code,) in connection.execute(QUERIES["tickets_without_ladders"], {"limit": ADOPT_BATCH}).fetchall():
        if connection.execute(QUERIES["try_lock_ticket"], {"code": code}).fetchone() is not None:
            row, ticket = read_ticket(connection, code, now)
            plan(connection, ticket, read_policy_version(connection, row.policy_id).escalation, now)
            adopted += 1
    return adopted


def _is_overtaken(act: _Act) -> bool:
    """Drop the step when a graver ladder is due as well; a graver ladder's own step silences the lesser ones.

    After an outage people are told once, by the gravest, and a red ticket is not nudged beside.
    """
    alike = [ladder.name for ladder in act.policy.ladders if ladder.starts_on is act.ladder.starts_on]
    place = alike.index(act.ladder.name)
    asked = {"ticket_id": act.row.id, "now": act.now}
    graver = act.connection.execute(QUERIES["graver_is_due"], {**asked, "ladders": alike[place + 1 :]}).fetchone()
    if graver is not None:
        act.connection.execute(QUERIES["drop_step"], {"step_id": act.taken.step_id, "now": act.now})
        act.connection.execute(QUERIES["overtake"], {**asked, "ladders": [act.ladder.name]})
        return True
    if place:
        act.connection.execute(QUERIES["overtake"], {**asked, "ladders": alike[:place]})
    return False


def _plan_next(act: _Act) -> None:
    taken = act.taken
    working = working_times(act.connection, [taken.calendar_id])[taken.calendar_id]
    due_at = next_due(act.ladder, taken.number, taken.due_at, act.now, working)
    values = {"escalation_id": taken.escalation_id, "number": taken.number + 1, "due_at": due_at}
    act.connection.execute(QUERIES["plan_step"], values)


def _carry_out(act: _Act) -> None:
    told = people_to_tell(act.connection, act.row, act.team, act.rung.to, act.now)
    match act.rung.effect:
        case Effect.NOTIFY:
            _tell(act, told, f"escalation.{act.ladder.starts_on}")
        case Effect.YELLOW | Effect.RED:
            act.connection.execute(QUERIES["raise_flag"], {"ticket_id": act.row.id, "flag": act.rung.effect})
            _tell(act, told, f"escalation.{act.rung.effect}")
        case Effect.PASS_TO_BACKUP:
            _pass_to_backup(act, told)


def _pass_to_backup(act: _Act, told: Told) -> None:
    """Hand the ticket to the backup team; where there is none, tell the supervisors, and again until one is there."""
    backup_id = backup_of(act.connection, act.row.id, act.team)
    if backup_id is None:
        more = people_to_tell(act.connection, act.row, act.team, (*act.rung.to, Recipient.SUPERVISORS), act.now)
        _tell(act, Told(more.person_ids, ("backup_team", *more.nobody)), "escalation.no_backup")
        return
    people = [*told.person_ids, lead_of(act.connection, backup_id, act.now), act.row.assignee_id]
    person_ids = tuple(dict.fromkeys(person_id for person_id in people if person_id is not None))
    _tell(act, Told(person_ids, told.nobody), "escalation.passed")
    facts = {"team_id": backup_id, "from_team_id": act.team.id}
    perform(act.connection, act.row.code, Command.PASS_TO_BACKUP, None, "", facts, SYSTEM, act.now)


def _tell(act: _Act, told: Told, kind: str) -> None:
    """Write the step on the timeline and a message for each person and channel."""
    urgent = act.row.priority <= act.policy.urgent
    out_of_hours = urgent and is_out_of_hours(act.now, read_calendar(act.connection, act.row.calendar_id))
    ways = ways_now(act.rung.ways, act.row.priority, act.policy, out_of_hours=out_of_hours)
    facts: dict[str, object] = {
        "ladder": act.ladder.name,
        "step": act.taken.number,
        "effect": act.rung.effect.value,
        "told": list(told.person_ids),
        "channels": [way.value for way in ways],
        "nobody": list(told.nobody),
    }
    perform(act.connection, act.row.code, Command.ESCALATE, None, "", facts, SYSTEM, act.now)
    body: dict[str, object] = {
        "code": act.row.code,
        "title_en": act.row.title_en,
        "title_zh": act.row.title_zh,
        "priority": act.row.priority,
        "due_at": act.row.due_at.isoformat(),
        "assignee": act.row.assignee_name or "–",
        "team": act.team.backup_name or "–",
        "hours": f"{(act.now - act.taken.began_at).total_seconds() / 3600:.1f}",
    }
    for person_id in told.person_ids:
        for way in ways:
            chain = [one.value for one in chain_of(way, ways, act.policy)]
            message = {**body, "person_ids": [person_id], "channels": chain}
            outbox_id = enqueue(act.connection, kind, act.row.id, message, act.now)
            values = {"step_id": act.taken.step_id, "person_id": person_id, "channel": way, "outbox_id": outbox_id}
            act.connection.execute(QUERIES["record_told"], values)
    if not told.person_ids:
        # Nobody at all: the message is given up where the operators see it.
        enqueue(act.connection, kind, act.row.id, {**body, "person_ids": [], "admins": True}, act.now)
