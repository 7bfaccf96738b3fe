"""The desk's rounds over open tickets: dispatch and sweep. Each ticket is its own short transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from psycopg import Connection
from psycopg_pool import ConnectionPool

from storage import escalations
from storage.casework import perform
from storage.dispatching import (
    engineers_for,
    job_of,
    lock_assignment,
    record_choice,
    take_new_ticket,
    tickets_to_dispatch,
    was_unassigned_noticed,
)
from storage.policies import read_policy_version
from storage.sweeping import holds_to_review, notice_overdue, notice_review, overdue_clocks
from storage.tickets import ticket_row
from ticketing.actors import SYSTEM
from ticketing.dispatch import choose
from ticketing.lifecycle import Command

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a dispatch round came to: codes given out, and codes that nobody fits."""

    dispatched: list[str]
    unassigned: list[str]


def dispatch_round(pool: ConnectionPool, now: datetime) -> RoundResult:
    """Try every new ticket once, the most urgent first."""
    with pool.connection() as connection:
        codes = tickets_to_dispatch(connection)
    result = RoundResult([], [])
    for code in codes:
        with pool.connection() as connection:
            is_given_out = dispatch_ticket(connection, code, now)
        if is_given_out is not None:
            (result.dispatched if is_given_out else result.unassigned).append(code)
    return result


def dispatch_ticket(connection: Connection, code: str, now: datetime) -> bool | None:
    """Give a new ticket to the best engineer; False when nobody fits, None when it is no longer ours to give.

    The decision is stored with every candidate. When nobody fits, the supervisors are told once and the ticket
    stays new, to be tried again in the next round.
    """
    lock_assignment(connection)
    ticket_id = take_new_ticket(connection, code)
    if ticket_id is None:
        return None
    policy = read_policy_version(connection, ticket_row(connection, code).policy_id)
    choice = choose(job_of(connection, ticket_id), engineers_for(connection, ticket_id), policy.dispatch)
    record_choice(connection, ticket_id, choice, now)
    if choice.chosen_id is None:
        if not was_unassigned_noticed(connection, ticket_id):
            reasons = [
                {"name": candidate.name, "excluded_by": [exclusion.rule for exclusion in candidate.excluded_by]}
                for candidate in choice.candidates
            ]
            perform(connection, code, Command.UNASSIGNED, None, "", {"candidates": reasons}, SYSTEM, now)
            _log.warning("nobody fits", ticket=code, candidates=len(reasons))
        return False
    perform(connection, code, Command.DISPATCH, None, "", {"assignee_id": choice.chosen_id}, SYSTEM, now)
    _log.info("dispatched", ticket=code, person=choice.chosen_id)
    return True


def sweep_round(pool: ConnectionPool, now: datetime) -> int:
    """Notice every clock that ran out and every hold that is due for review; return how many were told."""
    with pool.connection() as connection:
        clocks, holds = overdue_clocks(connection, now), holds_to_review(connection, now)
    told = 0
    for code, clock in clocks:
        with pool.connection() as connection:
            told += notice_overdue(connection, code, clock, now)
    for code in holds:
        with pool.connection() as connection:
            told += notice_review(connection, code, now)
    return told


def escalation_round(pool: ConnectionPool, now: datetime) -> int:
    """Take every step of an escalation that is due, each in its own transaction; return how many were taken.

    A step that fails holds up none behind it; the round then counts as failed, and the auditor sees the step.
    """
    with pool.connection() as connection:
        escalations.adopt(connection, now)
    with pool.connection() as connection:
        steps = escalations.due_steps(connection, now)
    taken, failures = 0, list[Exception]()
    for step_id, code in steps:
        try:
            with pool.connection() as connection:
                taken += escalations.take_step(connection, step_id, code, now)
        except Exception as error:  # noqa: BLE001 (one step's failure must not hold up the others; raised below)
            _log.exception("escalation step failed", ticket=code, step=step_id)
            failures.append(error)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(steps)} steps failed", failures)
    return taken
