"""The desk's rounds over open tickets: dispatch and sweep. Each ticket is its own short transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from psycopg import Connection
from psycopg_pool import ConnectionPool

from storage import escalations
from storage.breaker import is_frozen
from storage.casework import perform, replan
from storage.dispatching import (
    LEAST_URGENT,
    How,
    OpenJob,
    engineer_for,
    engineers,
    last_unassigned_notice,
    lock_assignment,
    open_jobs,
    record_choice,
    take_new_ticket,
    try_lock_round,
    unlock_round,
)
from storage.fallback import fallback_for, is_fallback_due
from storage.replanning import stale_tickets
from storage.sweeping import holds_to_review, notice_overdue, notice_review, overdue_clocks
from ticketing.actors import SYSTEM
from ticketing.dispatching.assignment import Choice, Round, exclusions
from ticketing.lifecycle import Command

REPLAN_LIMIT = 200
MOST_URGENT = 0
# A notice names so many of the candidates; the decision has the rest.
NAMED_IN_NOTICE = 20
NOBODY_ASKED = Choice(None, (), 0, 0, {})

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a dispatch round came to: codes given out, and codes that nobody fits."""

    dispatched: list[str]
    unassigned: list[str]


def dispatch_round(pool: ConnectionPool, now: datetime, how: How = How.ROUND) -> RoundResult:
    """Give all new tickets to the crew as one assignment problem; an urgent round gives the P0 alone.

    One round goes on at a time, of however many desks: another one finds nothing to do.
    """
    result = RoundResult([], [])
    with pool.connection() as keeper:
        if not try_lock_round(keeper):
            return result
        # The lock is the session's: no transaction stays open meanwhile.
        keeper.commit()
        try:
            for open_job, choice in _planned(pool, now, MOST_URGENT if how is How.URGENT else LEAST_URGENT):
                with pool.connection() as connection:
                    is_given_out = _carry_out(connection, open_job, choice, how, now)
                if is_given_out is not None:
                    (result.dispatched if is_given_out else result.unassigned).append(open_job.job.code)
        finally:
            unlock_round(keeper)
    return result


def _planned(pool: ConnectionPool, now: datetime, least_urgent: int) -> Iterator[tuple[OpenJob, Choice]]:
    with pool.connection() as connection:
        jobs = _not_frozen(connection, open_jobs(connection, now, least_urgent), now)
        crew = engineers(connection, now) if jobs else []
    planned = Round([one.job for one in jobs], [one.policy for one in jobs], crew)
    for number, open_job in enumerate(jobs):
        yield open_job, planned.choice(number)


def _not_frozen(connection: Connection, jobs: list[OpenJob], now: datetime) -> list[OpenJob]:
    """Return the jobs that no breaker keeps back; about the others it is kept that it does (SPEC S6)."""
    kinds = {(one.job.site_id, one.job.priority) for one in jobs}
    frozen = {kind for kind in kinds if is_frozen(connection, *kind)}
    for open_job in jobs:
        if (open_job.job.site_id, open_job.job.priority) in frozen:
            record_choice(connection, open_job.ticket_id, NOBODY_ASKED, How.FROZEN, now)
    return [one for one in jobs if (one.job.site_id, one.job.priority) not in frozen]


def _carry_out(connection: Connection, open_job: OpenJob, choice: Choice, how: How, now: datetime) -> bool | None:
    """Give a new ticket to whom the plan chose; False when nobody fits, None when it is no longer ours to give.

    The plan was made on what was read before: a ticket that changed since, or an engineer whom the rules exclude by
    now, waits for the next round. The decision is stored with its candidates.
    """
    lock_assignment(connection)
    if take_new_ticket(connection, open_job.job.code) != (open_job.ticket_id, open_job.version):
        return None
    if choice.chosen_id is None:
        return _without_anybody(connection, open_job, choice, how, now)
    engineer = engineer_for(connection, choice.chosen_id, now)
    if engineer is None or exclusions(open_job.job, engineer, open_job.policy):
        return None
    record_choice(connection, open_job.ticket_id, choice, how, now)
    _send(connection, open_job, choice.chosen_id, now)
    return True


def replan_round(pool: ConnectionPool, now: datetime) -> int:
    """Plan the clocks anew whose calendar changed; return how many tickets were brought up to date (SPEC S3)."""
    with pool.connection() as connection:
        codes = stale_tickets(connection, REPLAN_LIMIT)
    for code in codes:
        with pool.connection() as connection:
            replan(connection, code, now)
    return len(codes)


def _without_anybody(connection: Connection, open_job: OpenJob, choice: Choice, how: How, now: datetime) -> bool:
    """Nobody fits: whoever is left goes when it is time, and supervisors are told (SPEC X3).

    A ladder of escalation tells them again; where the ticket's policy has none, this round does.
    """
    fallback_id = fallback_for(connection, open_job, now) if is_fallback_due(open_job, now) else None
    last = last_unassigned_notice(connection, open_job.ticket_id)
    is_silent = last is not None and (now - last).total_seconds() >= open_job.policy.remind_every_s
    is_to_be_told = last is None or (is_silent and not open_job.is_escalated)
    if is_to_be_told or fallback_id is not None:
        reasons = [
            {"name": candidate.name, "excluded_by": [exclusion.rule for exclusion in candidate.excluded_by]}
            for candidate in choice.candidates[:NAMED_IN_NOTICE]
        ]
        told = {"candidates": reasons, "excluded": choice.excluded, "fallback_id": fallback_id}
        perform(connection, open_job.job.code, Command.UNASSIGNED, None, "", told, SYSTEM, now)
        _log.warning("nobody fits", ticket=open_job.job.code, considered=choice.considered, fallback=fallback_id)
    if fallback_id is None:
        record_choice(connection, open_job.ticket_id, choice, how, now)
        return False
    record_choice(connection, open_job.ticket_id, replace(choice, chosen_id=fallback_id), How.FALLBACK, now)
    _send(connection, open_job, fallback_id, now)
    return True


def _send(connection: Connection, open_job: OpenJob, person_id: int, now: datetime) -> None:
    perform(connection, open_job.job.code, Command.DISPATCH, None, "", {"assignee_id": person_id}, SYSTEM, now)
    _log.info("dispatched", ticket=open_job.job.code, person=person_id)


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
