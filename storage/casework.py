"""Casework: carrying out commands on tickets. One command is one transaction: ticket, timeline, clocks, outbox.

``ticketing`` decides; this file reads what the decision needs, checks what only the database can tell, and
saves what was decided. The caller owns the transaction: a refusal raised here rolls everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from psycopg import Connection

from domain.refusals import Refused
from storage.calendars import working_times
from storage.closures import close_case, open_link, record_answer, reject_prediction, replace_link, use_link
from storage.dispatching import engineer_for, job_of, lock_assignment
from storage.intake import create_report, open_from_prediction
from storage.notices import tell_about
from storage.parts import apply_lines
from storage.policies import read_policy_version
from storage.queries import load
from storage.supply import release_for_ticket, reserve_for_ticket, review_proposals
from storage.ticket_views import TicketDetail, TicketRow
from storage.tickets import read_clocks, read_open_hold, read_ticket, running_clock, ticket_detail
from storage.timelines import new_event, save_clocks, save_ticket, stale_version
from ticketing.actors import SYSTEM, Actor, link_holder
from ticketing.dispatch import Rule, exclusions
from ticketing.facts import FactValue, as_json
from ticketing.lifecycle import Command, Decision, decide
from ticketing.policy import Policy
from ticketing.sla import RunningClock, after_step, ticket_due
from ticketing.steps import NextStep
from ticketing.ticket import State, Ticket

__all__ = [
    "answer_link",
    "create_report",
    "join_findings",
    "next_steps",
    "open_from_prediction",
    "open_link",
    "perform",
    "run_command",
]

QUERIES = load("casework")

# Only requests by people come from outside; the system's own commands and the link's answers do not.
PEOPLE_COMMANDS = frozenset(Command) - {
    Command.OPEN,
    Command.JOIN,
    Command.UNASSIGNED,
    Command.OVERDUE,
    Command.REVIEW,
}


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
    if command in (Command.CLOSE, Command.CANCEL):
        connection.execute(QUERIES["lock_asset_of_ticket"], {"code": code})
    connection.execute(QUERIES["lock_ticket"], {"code": code})
    row, ticket = read_ticket(connection, code)
    if version is not None and version != row.version:
        raise _overtaken(row, version, command, actor)
    decision = decide(ticket, command, facts, actor, now, summary=summary)
    case = _Case(connection, row, decision, actor, now)
    check = _CHECKS.get(command)
    if check is not None:
        check(case)
    told = dict(facts) if actor is SYSTEM and decision.step.observes else as_json(decision.facts)
    if row.assignee_id is not None and decision.after.assignee_id != row.assignee_id:
        told["previous_assignee_id"] = row.assignee_id
    after = decision.after if decision.step.observes else _move_clocks(case)
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
    save_ticket(connection, row, after, event)
    effect = _EFFECTS.get(command)
    secret = effect(case) if effect is not None else None
    tell_about(connection, row, after, command, told, now)
    return secret


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


@dataclass(frozen=True, slots=True)
class _Case:
    """One command being carried out."""

    connection: Connection
    row: TicketRow
    decision: Decision
    actor: Actor
    now: datetime

    def fact(self, name: str) -> FactValue:
        return self.decision.facts[name]


def _overtaken(row: TicketRow, version: int, command: Command, actor: Actor) -> Refused:
    """Say why a version is stale; one who wanted to claim the ticket is told who has it."""
    if command is Command.ACCEPT and row.assignee_id is not None and row.assignee_id != actor.person_id:
        return Refused(
            "already_claimed",
            expected=f"{row.code} still free",
            got=f"{row.assignee_name} has it",
            remedy="Take another ticket.",
        )
    return stale_version(row.code, version, row.version)


def _move_clocks(case: _Case) -> Ticket:
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
        ended_hold=hold if ends_hold else None,
        expected_response_at=after.expected_response_at,
        policy=policy,
        now=case.now,
        working=working_times(case.connection, (clock.calendar_id for clock in before)),
    )
    save_clocks(case.connection, case.row.id, _changed(before, clocks))
    if ends_hold:
        case.connection.execute(QUERIES["end_hold"], {"ticket_id": case.row.id, "now": case.now})
    return replace(after, due_at=ticket_due(clocks, case.row.failure_expected_at))


def _changed(before: Sequence[RunningClock], after: Sequence[RunningClock]) -> list[RunningClock]:
    return [clock for clock in after if clock not in before]


def _refuse_fact(name: str, expected: str, got: object) -> Refused:
    return Refused("invalid_fact", expected=f"'{name}': {expected}", got=str(got)[:80], remedy=f"Correct '{name}'.")


def _check_dispatch(case: _Case) -> None:
    """A person may override the soft rules and the load, but only an active engineer of the site can go."""
    person_id = int(str(case.fact("assignee_id")))
    engineer = engineer_for(case.connection, case.row.id, person_id)
    if engineer is None or not (engineer.is_active and engineer.is_engineer_at_site):
        raise _refuse_fact("assignee_id", f"an active engineer of site {case.row.site_id}", person_id)
    if person_id == case.row.assignee_id:
        raise _refuse_fact("assignee_id", "an engineer other than the one who has it", person_id)


def _check_claim(case: _Case) -> None:
    """An engineer who takes a new ticket unasked must fit it as if they had been chosen."""
    if case.decision.before.state is not State.NEW:
        return
    lock_assignment(case.connection)
    engineer = engineer_for(case.connection, case.row.id, case.actor.person_id or 0)
    policy = _policy(case)
    broken = exclusions(job_of(case.connection, case.row.id), engineer, policy.dispatch) if engineer else ()
    if engineer is None or broken:
        raise Refused(
            "not_eligible",
            expected="an engineer who passes " + ", ".join(Rule),
            got="; ".join(f"{exclusion.rule}: {exclusion.found}" for exclusion in broken) or "nobody",
            remedy="Take a ticket that fits, or ask a supervisor to dispatch this one to you.",
        )


def _check_execute(case: _Case) -> None:
    asked = {"id": case.fact("attachment_id"), "ticket_id": case.row.id}
    if case.connection.execute(QUERIES["attachment_of_ticket"], asked).fetchone() is None:
        raise _refuse_fact("attachment_id", f"a photo or log uploaded to {case.row.code}", asked["id"])


def _check_resolve(case: _Case) -> None:
    code = case.decision.facts.get("found_failure_mode")
    asked = {"asset_id": case.row.asset_id, "code": code}
    if code and case.connection.execute(QUERIES["failure_mode_of_asset"], asked).fetchone() is None:
        raise _refuse_fact("found_failure_mode", f"a failure mode of asset type {case.row.asset_type_id}", code)


def _hold(case: _Case) -> None:
    reason, review_at = case.fact("reason"), case.fact("review_at")
    parameters = {"ticket_id": case.row.id, "now": case.now, "reason": reason, "review_at": review_at}
    case.connection.execute(QUERIES["begin_hold"], parameters)


def _use_parts(case: _Case) -> None:
    lines = case.fact("lines")
    assert isinstance(lines, tuple)
    review_proposals(case.connection, apply_lines(case.connection, case.row.id, lines, case.now), case.now)


def _complete_task(case: _Case) -> None:
    number = case.fact("number")
    asked = {"ticket_id": case.row.id, "number": number, "person_id": case.actor.person_id, "now": case.now}
    if case.connection.execute(QUERIES["complete_task"], asked).fetchone() is not None:
        return
    done = case.connection.execute(QUERIES["task_done_at"], asked).fetchone()
    if done is None:
        raise _refuse_fact("number", "a task of the checklist", number)
    raise Refused(
        "not_a_legal_step",
        expected="a task that is still open",
        got=f"task {number}, done at {done[0].isoformat()}",
        remedy="Nothing is left to do for it.",
    )


def _make_link(case: _Case) -> str:
    days = _policy(case).confirmation_days
    return replace_link(case.connection, case.row.id, days, case.now)


def _reserve(case: _Case) -> None:
    """Somebody goes: what they will need is kept for them. Twice told, only what is missing still."""
    reserve_for_ticket(case.connection, case.row.id, case.now)


def _close(case: _Case) -> None:
    release_for_ticket(case.connection, case.row.id, case.now)
    close_case(case.connection, case.row.id, case.decision.after, case.now)


def _cancel(case: _Case) -> None:
    release_for_ticket(case.connection, case.row.id, case.now)
    reject_prediction(case.connection, case.row.prediction_id, case.actor.person_id, str(case.fact("reason")), case.now)


def _policy(case: _Case) -> Policy:
    return read_policy_version(case.connection, case.row.policy_id)


_CHECKS: dict[Command, Callable[[_Case], None]] = {
    Command.DISPATCH: _check_dispatch,
    Command.ACCEPT: _check_claim,
    Command.EXECUTE: _check_execute,
    Command.RESOLVE: _check_resolve,
}
_EFFECTS: dict[Command, Callable[[_Case], str | None]] = {
    Command.DISPATCH: _reserve,
    Command.ACCEPT: _reserve,
    Command.HOLD: _hold,
    Command.USE_PARTS: _use_parts,
    Command.COMPLETE_TASK: _complete_task,
    Command.RESOLVE: _make_link,
    Command.REQUEST_CONFIRMATION: _make_link,
    Command.CLOSE: _close,
    Command.CANCEL: _cancel,
}
