"""Offers: the best open tickets for one engineer to take, and taking one, which has one winner (SPEC X5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.breaker import is_frozen
from storage.casework import run_command
from storage.dispatching import engineer_for, open_jobs
from storage.queries import load
from storage.ticket_views import TicketDetail
from ticketing.actors import Actor
from ticketing.dispatching.assignment import Round
from ticketing.dispatching.weighing import ScorePart

QUERIES = load("offers")

OFFERS = 3
BREAKER = "breaker"


@dataclass(frozen=True, slots=True)
class OfferedTicket:
    """A ticket as an offer shows it; ``version`` is to be sent with the claim."""

    code: str
    version: int
    title_en: str
    title_zh: str
    priority: int
    due_at: datetime
    opened_at: datetime
    asset_id: int
    asset_tag: str
    asset_name: str
    site_name: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A ticket that the engineer may take, with the score and its parts as dispatch sees them."""

    ticket: OfferedTicket
    score: float
    parts: tuple[ScorePart, ...]


@dataclass(frozen=True, slots=True)
class Offers:
    """The best offers, the most urgent first; of all ``open_tickets`` how many ``fit``, and what kept the others away.

    ``excluded`` counts tickets by the rule that the engineer breaks for them, "breaker" those that wait for P0.
    """

    offers: list[Offer]
    open_tickets: int
    fit: int
    excluded: Mapping[str, int]


def offers_for(connection: Connection, person_id: int, now: datetime) -> Offers:
    """Return the three best open tickets for an engineer: by priority, then by score."""
    engineer = engineer_for(connection, person_id, now)
    jobs = open_jobs(connection, now) if engineer is not None else []
    if engineer is None or not jobs:
        return Offers([], len(jobs), 0, {})
    kinds = {(one.job.site_id, one.job.priority) for one in jobs}
    frozen = {kind for kind in kinds if is_frozen(connection, *kind)}
    free = [one for one in jobs if (one.job.site_id, one.job.priority) not in frozen]
    seen = Round([one.job for one in free], [one.policy for one in free], [engineer])
    scores = {number: score for number in range(len(free)) if (score := seen.score(number, 0)) is not None}
    best = sorted(scores, key=lambda number: (free[number].job.priority, -scores[number], number))[:OFFERS]
    tickets = _tickets(connection, [free[number].job.code for number in best])
    excluded: Counter[str] = Counter({BREAKER: len(jobs) - len(free)})
    for number in range(len(free)):
        excluded.update(seen.counts(number).keys())
    found = []
    for number in best:
        candidate = seen.choice(number).candidates[0]
        found.append(Offer(tickets[free[number].job.code], candidate.score or 0.0, candidate.parts))
    return Offers(found, len(jobs), len(scores), {rule: count for rule, count in excluded.items() if count})


def claim(
    connection: Connection, code: str, actor: Actor, expected_response_at: str, now: datetime, language: str = "en"
) -> TicketDetail:
    """Take a new ticket; of many at once one wins, and the others are told who did.

    Raises Refused: already_claimed, not_eligible, not_a_legal_step, not_permitted, missing_fact, invalid_fact,
    unknown_record.
    """
    connection.execute(QUERIES["lock_claimed"], {"code": code})
    holder = connection.execute(QUERIES["holder"], {"code": code}).fetchone()
    if holder is not None and holder[0] != actor.person_id:
        raise Refused(
            "already_claimed", expected=f"{code} still free", got=f"{holder[1]} has it", remedy="Take another ticket."
        )
    facts = {"expected_response_at": expected_response_at}
    return run_command(
        connection, code, "accept", version=None, summary="", facts=facts, actor=actor, now=now, language=language
    )


def _tickets(connection: Connection, codes: list[str]) -> dict[str, OfferedTicket]:
    with connection.cursor(row_factory=class_row(OfferedTicket)) as cursor:
        return {one.code: one for one in cursor.execute(QUERIES["offered"], {"codes": codes})}
