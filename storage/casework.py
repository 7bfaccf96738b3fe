"""Casework: carrying out commands on tickets. One command is one transaction: ticket, timeline, clocks, outbox.

``ticketing`` decides; this file reads what the decision needs, checks what only the database can tell, and
saves what was decided. The caller owns the transaction: a refusal raised here rolls everything back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.errors import UniqueViolation

from domain.refusals import Refused
from storage import priorities
from storage.breaker import judge_site
from storage.calendars import working_times
from storage.closures import open_link, record_answer, use_link
from storage.effects import CHECKS, CLOCKS, EFFECTS, FIRST
from storage.effects.case import Case
from storage.intake import create_report, open_from_prediction
from storage.ladders import plan
from storage.notices import tell_about
from storage.policies import read_policy_version
from storage.queries import load
from storage.replanning import is_stale, replan_clocks
from storage.ticket_views import TicketDetail, TicketRow
from storage.tickets import read_clocks, read_open_hold, read_ticket, running_clock, ticket_detail, ticket_row
from storage.timelines import new_event, save_clocks, save_ticket, stale_version
from ticketing.actors import SYSTEM, Actor, link_holder
from ticketing.deciding import decide
from ticketing.facts import as_json
from ticketing.lifecycle import OBSERVING, TABLE, Command, Who
from ticketing.sla import RunningClock, after_step, ticket_due
from ticketing.steps import NextStep
from ticketing.ticket import State, Ticket
from ticketing.timeline import TimelineEvent

__all__ = [
    "answer_link",
    "create_report",
    "join_findings",
    "next_steps",
    "open_from_prediction",
    "open_link",
    "perform",
    "reprioritise",
    "run_command",
]

QUERIES = load("casework")

# Only requests by people come from outside; the system's own commands and the link's answers do not.
PEOPLE_COMMANDS = frozenset(step.command for step in TABLE if step.who != (Who.SYSTEM,))
# Only observing, and yet with clocks that moved.
MOVES_CLOCKS = frozenset({Command.REPLAN})
# What changes nothing that a ladder of escalation starts on.
NOT_PLANNED = frozenset({Command.VIEW, Command.ESCALATE, Command.OVERDUE, Command.REVIEW})

# The facts that name another ticket, and the commands that may open or end the one ticket of an asset and mode.
OTHER_TICKET = {Command.LINK: ("other",), Command.MERGE: ("merged_into",)}
LOCKING_ASSETS = frozenset({Command.CLOSE, Command.CANCEL, Command.MERGE, Command.REOPEN})
# After these a ticket is scored again: evidence came, or the requester complained (SPEC S1).
RESCORED = frozenset({Command.JOIN, Command.ABSORB, Command.NOTE, Command.DISPUTE, Command.REOPEN})


def run_command(
    connection: Connection,
    code: str,
    command: str,
    *,
    version: int | None,
    summary: str,
    facts: Mapping[str, object],
    actor: Actor,
    now: datetime,
    language: str = "en",
) -> TicketDetail:
    """Carry out a command of a person and return the ticket after it.

    ``version`` is the one the person saw; None means whichever is current. The answer to ``resolve`` and
    ``request_confirmation`` holds the secret of the new confirmation link, once. Raises ``Refused``:
    unknown_record, stale_version, already_claimed, not_a_legal_step, not_permitted, missing_fact,
    invalid_fact, empty_phrase, gate_not_passed, not_eligible.
    """
    if command not in PEOPLE_COMMANDS:
        raise Refused(
            "invalid_request",
            expected="one of the commands " + ", ".join(sorted(PEOPLE_COMMANDS)),
            got=repr(command)[:40],
            remedy="See the ticket's next steps.",
        )
    secret = perform(connection, code, Command(command), version, summary, facts, actor, now)
    detail = ticket_detail(connection, code, actor=actor, now=now, language=language)
    return replace(detail, confirmation_url_secret=secret)


def perform(
    connection: Connection,
    code: str,
    command: Command,
    version: int | None,
    summary: str,
    facts: Mapping[str, object],
    actor: Actor,
    now: datetime,
) -> str | None:
    """Carry out any command, the system's too; return the secret of a confirmation link if it made one."""
    _lock(connection, code, command, facts)
    row, ticket = read_ticket(connection, code, now)
    if command is Command.ACCEPT:
        _check_unclaimed(row, actor)
    if version is not None and version != row.version:
        raise stale_version(row.code, version, row.version)
    if (command in CLOCKS or command not in OBSERVING) and replan(connection, code, now):
        row, ticket = read_ticket(connection, code, now)
    decision = decide(ticket, command, facts, actor, now, summary=summary)
    case = Case(connection, row, decision, actor, now)
    check = CHECKS.get(command)
    if check is not None:
        check(case)
    told = dict(facts) if actor is SYSTEM and decision.step.observes else as_json(decision.facts)
    if row.assignee_id is not None and decision.after.assignee_id != row.assignee_id:
        told["previous_assignee_id"] = row.assignee_id
    if command in FIRST:
        told.update(FIRST[command](case))
    moves = command in MOVES_CLOCKS or command in CLOCKS or not decision.step.observes
    after = _move_clocks(case) if moves else decision.after
    event = new_event(
        row.timeline_length + 1,
        actor=actor,
        command=command.value,
        from_state=ticket.state.value,
        to_state=after.state.value,
        effective=decision.step.effective,
        summary=decision.summary,
        facts=told,
        now=now,
    )
    _save(case, after, event)
    effect = EFFECTS.get(command)
    secret = effect(case) if effect is not None else None
    if command not in NOT_PLANNED:
        reopened = ticket.state is State.CLOSED and after.state is not State.CLOSED
        recount = command is Command.REPLAN
        plan(connection, after, case.policy.escalation, now, reopened=reopened, recount=recount)
    tell_about(connection, row, after, command, told, now)
    if row.priority == 0 and (ticket.state is State.CLOSED) != (after.state is State.CLOSED):
        judge_site(connection, row.site_id, now)
    for follow_up in case.follow_ups:
        perform(connection, follow_up.code, follow_up.command, None, "", follow_up.facts, SYSTEM, now)
    if command in RESCORED and not decision.step.effective:
        reprioritise(connection, code, command.value, now)
    return secret


def replan(connection: Connection, code: str, now: datetime) -> bool:
    """Plan a ticket's clocks anew if their calendar changed, and tell its timeline; say whether a due date moved."""
    connection.execute(QUERIES["lock_ticket"], {"code": code})
    if not is_stale(connection, code):
        return False
    told = replan_clocks(connection, ticket_row(connection, code), now)
    if told:
        perform(connection, code, Command.REPLAN, None, "", told, SYSTEM, now)
    return bool(told)


def reprioritise(connection: Connection, code: str, cause: str, now: datetime) -> bool:
    """Score an open ticket by what is known now; say whether its priority moved (SPEC S1).

    Only a new level, or a score that moved by more than the policy's share, is told on the timeline and changes the
    ticket: the look alone leaves no trace.
    """
    connection.execute(QUERIES["lock_ticket"], {"code": code})
    row = ticket_row(connection, code)
    change = None if row.state == State.CLOSED else priorities.change_of(connection, row, now)
    if change is None:
        return False
    replan(connection, code, now)
    perform(connection, code, Command.REPRIORITISE, None, "", change.as_facts(cause), SYSTEM, now)
    priorities.apply(connection, ticket_row(connection, code), change.after, now)
    return True


def _lock(connection: Connection, code: str, command: Command, facts: Mapping[str, object]) -> None:
    """Lock the ticket, and the other one that the command names, in the order of their codes.

    Two that link or merge the same pair crosswise would wait for each other for ever if each locked its own first.
    Whatever may open or end the asset's ticket of a mode locks the asset before, as the desk does.
    """
    codes = [code, *(str(facts[name]) for name in OTHER_TICKET.get(command, ()) if name in facts)]
    if command in LOCKING_ASSETS:
        connection.execute(QUERIES["lock_assets_of_tickets"], {"codes": codes})
    connection.execute(QUERIES["lock_tickets"], {"codes": codes})


def _save(case: Case, after: Ticket, event: TimelineEvent) -> None:
    """Save ticket and event; a ticket that would come back beside an open one of its failure mode is refused."""
    if case.decision.step.command is not Command.REOPEN:
        save_ticket(case.connection, case.row, after, event)
        return
    try:
        with case.connection.transaction():
            save_ticket(case.connection, case.row, after, event)
    except UniqueViolation as violation:
        if violation.diag.constraint_name != "one_open_ticket":
            raise
        asked = {"asset_id": case.row.asset_id, "code": case.row.failure_mode}
        found = case.connection.execute(QUERIES["open_ticket_of_asset"], asked).fetchone()
        raise Refused(
            "already_open",
            expected=f"no open ticket for the failure mode of {case.row.code}",
            got=found[0] if found is not None else "one opened at the same time",
            remedy="Add what you saw as a note to that ticket, and link the two.",
        ) from None


def join_findings(connection: Connection, ticket_id: UUID, finding_ids: Sequence[UUID], now: datetime) -> int:
    """Join findings to an open ticket and tell its timeline (SPEC Q1); return how many were new to it."""
    found = connection.execute(QUERIES["code_of_ticket"], {"id": ticket_id}).fetchone()
    if found is None:
        raise Refused("unknown_record", expected="a ticket", got=str(ticket_id), remedy="Check the id.")
    connection.execute(QUERIES["lock_ticket"], {"code": found[0]})
    joined = [
        finding_id
        for finding_id in finding_ids
        if connection.execute(
            QUERIES["join_finding"], {"ticket_id": ticket_id, "finding_id": finding_id, "now": now}
        ).fetchone()
    ]
    if joined:
        told = {"finding_ids": [str(finding_id) for finding_id in joined]}
        perform(connection, found[0], Command.JOIN, None, "", told, SYSTEM, now)
    return len(joined)


def answer_link(
    connection: Connection,
    secret: str,
    solved: bool,
    satisfied: bool,
    cause: str | None,
    comment: str | None,
    now: datetime,
) -> str:
    """Take the requester's answer, use the link up, and return the ticket's code (SPEC C2).

    "Solved" confirms the ticket. "Not solved" needs the cause and sends the ticket back to its engineer, whose
    next resolution makes another link. Raises ``Refused``: link_unknown, link_used, link_expired, missing_fact.
    """
    page = open_link(connection, secret, now)
    facts: dict[str, object] = {"satisfied": satisfied, "comment": comment}
    command = Command.CONFIRM if solved else Command.DISPUTE
    if not solved:
        facts["cause"] = cause
    elif cause:
        facts["comment"] = f"{cause}. {comment}" if comment else cause
    # Ticket before link, as every other command locks them; the other way round two answers could wait for each other.
    connection.execute(QUERIES["lock_ticket"], {"code": page.code})
    use_link(connection, page, now)
    holder = link_holder(page.requester_name or "requester")
    perform(connection, page.code, command, None, "", facts, holder, now)
    record_answer(
        connection, page, solved=solved, satisfied=satisfied, cause=cause or None, comment=comment or None, now=now
    )
    return page.code


def next_steps(connection: Connection, code: str, actor: Actor, now: datetime, language: str = "en") -> list[NextStep]:
    """Return what the actor may do with a ticket now, with the facts and choices each step needs."""
    return ticket_detail(connection, code, actor=actor, now=now, language=language).next_steps


def _check_unclaimed(row: TicketRow, actor: Actor) -> None:
    """Tell whoever comes too late who has the ticket, whatever version they saw (SPEC X5)."""
    if row.state != State.CLOSED and row.assignee_id is not None and row.assignee_id != actor.person_id:
        raise Refused(
            "already_claimed",
            expected=f"{row.code} still free",
            got=f"{row.assignee_name} has it",
            remedy="Take another ticket, or ask a supervisor to dispatch this one to you.",
        )


def _move_clocks(case: Case) -> Ticket:
    """Save the clocks as the command leaves them; return the ticket with the due date that follows."""
    step, after = case.decision.step, case.decision.after
    policy = read_policy_version(case.connection, case.row.policy_id)
    hold = read_open_hold(case.connection, case.row.id)
    ends_hold = step.command is Command.RESUME or after.state is State.CLOSED
    before = [running_clock(stored) for stored in read_clocks(case.connection, case.row.id)]
    clocks = after_step(
        before,
        stops=step.stops,
        starts=step.starts,
        anew=step.anew,
        ended_hold=hold if ends_hold else None,
        expected_response_at=after.expected_response_at,
        policy=policy,
        now=case.now,
        working=working_times(case.connection, (clock.calendar_id for clock in before)),
    )
    more = CLOCKS.get(step.command)
    if more is not None:
        clocks = more(case, clocks)
    save_clocks(case.connection, case.row.id, _changed(before, clocks))
    if ends_hold:
        case.connection.execute(QUERIES["end_hold"], {"ticket_id": case.row.id, "now": case.now})
    return replace(after, due_at=ticket_due(clocks, case.row.failure_expected_at))


def _changed(before: Sequence[RunningClock], after: Sequence[RunningClock]) -> list[RunningClock]:
    return [clock for clock in after if clock not in before]
