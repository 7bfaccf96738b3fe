"""The desk's rounds over open tickets: dispatch and sweep. Each ticket is its own short transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from psycopg import Connection
from psycopg_pool import ConnectionPool

from storage.casework import perform, replan
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
from storage.replanning import stale_tickets
from storage.sweeping import holds_to_review, notice_overdue, notice_review, overdue_clocks
from storage.tickets import ticket_row
from ticketing.actors import SYSTEM
from ticketing.dispatch import choose
from ticketing.lifecycle import Command

REPLAN_LIMIT = 200

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


def replan_round(pool: ConnectionPool, now: datetime) -> int:
    """Plan the clocks anew whose calendar changed; return how many tickets were brought up to date (SPEC S3)."""
    with pool.connection() as connection:
        codes = stale_tickets(connection, REPLAN_LIMIT)
    for code in codes:
        with pool.connection() as connection:
            replan(connection, code, now)
    return len(codes)


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
