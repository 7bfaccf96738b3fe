"""A set of rules tried on tickets of the past: who would have gone, one after the other, with the loads that follow.

Tickets keep an engineer busy from their opening to their real end, whoever would have had them. People are as the
register has them today; their plans and absences are those of the day. Delegates and duty are not replayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from ticketing.dispatching.rules import Rule
from ticketing.dispatching.shapes import Engineer, Job, Presence
from ticketing.dispatching.weighing import TIE_BY_LOAD, TIE_BY_ORDER, Flags, Weighing
from ticketing.dispatching.weights import Floats
from ticketing.policy.dispatch import DispatchPolicy

# Judged as the register has them; presence, duty, absence and load are of the moment.
STANDING = (
    Rule.ENGINEER_AT_SITE,
    Rule.ACTIVE,
    Rule.TEAM,
    Rule.SKILLS,
    Rule.CERTIFICATES,
    Rule.SITE_ACCESS,
    Rule.BRAND,
)


@dataclass(frozen=True, slots=True)
class PastTicket:
    """A ticket that was: its job, its life (``closed_at`` None: not yet closed), and who went."""

    job: Job
    opened_at: datetime
    closed_at: datetime | None
    went_id: int | None


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What a set of rules makes of the tickets; ``chosen`` has a person's id or None for each.

    ``load_spread`` is the standard deviation of the tickets per engineer; ``mean_km`` counts known positions only.
    """

    chosen: tuple[int | None, ...]
    dispatched: int
    unassigned: int
    mean_km: float | None
    load_spread: float
    by_person: dict[str, int]


def try_rules(
    tickets: Sequence[PastTicket],
    crew: Sequence[Engineer],
    presences: Sequence[Sequence[Presence]],
    policy: DispatchPolicy,
) -> TrialOutcome:
    """Return who would have gone; ``presences`` has each engineer's, absent ones off, for each ticket."""
    idle = [replace(engineer, open_tickets=0) for engineer in crew]
    seen = Weighing([ticket.job for ticket in tickets], idle, policy)
    passes, scores = seen.passes(STANDING), seen.scores() - TIE_BY_ORDER * np.arange(len(crew))
    present = _present(tickets, presences, policy, len(crew))
    busy: list[list[datetime | None]] = [[] for _ in crew]
    chosen: list[int | None] = []
    for number, ticket in enumerate(tickets):
        busy = [[end for end in ends if end is None or end > ticket.opened_at] for ends in busy]
        loads = np.array([len(ends) for ends in busy], np.float64)
        free = passes[number] & present[number] & (loads < seen.limits)
        worth = scores[number] - loads * (seen.load_weight() / np.maximum(seen.limits, 1) + TIE_BY_LOAD)
        who = int(np.where(free, worth, -np.inf).argmax()) if free.any() else None
        chosen.append(who)
        if who is not None:
            busy[who].append(ticket.closed_at)
    return _outcome(chosen, crew, seen.distances_km())


def what_happened(tickets: Sequence[PastTicket], crew: Sequence[Engineer], policy: DispatchPolicy) -> TrialOutcome:
    """Return the same figures of who really went."""
    places = {engineer.person_id: number for number, engineer in enumerate(crew)}
    chosen = [None if ticket.went_id is None else places.get(ticket.went_id) for ticket in tickets]
    return _outcome(chosen, crew, Weighing([ticket.job for ticket in tickets], crew, policy).distances_km())


def _present(
    tickets: Sequence[PastTicket], presences: Sequence[Sequence[Presence]], policy: DispatchPolicy, crew: int
) -> Flags:
    is_there = [
        [
            presence is Presence.AT_WORK
            or (presence is Presence.ON_CALL and ticket.job.priority <= policy.on_call_priority)
            for presence in row
        ]
        for ticket, row in zip(tickets, presences, strict=True)
    ]
    return np.array(is_there, np.bool_).reshape(len(tickets), crew)


def _outcome(chosen: Sequence[int | None], crew: Sequence[Engineer], km: Floats) -> TrialOutcome:
    sent = [(number, who) for number, who in enumerate(chosen) if who is not None]
    distances = np.array([km[number, who] for number, who in sent], np.float64)
    known = distances[~np.isnan(distances)]
    counts = Counter(crew[who].name for _, who in sent)
    per_engineer = [sum(who == number for _, who in sent) for number, one in enumerate(crew) if one.is_active]
    return TrialOutcome(
        chosen=tuple(None if who is None else crew[who].person_id for who in chosen),
        dispatched=len(sent),
        unassigned=len(chosen) - len(sent),
        mean_km=round(float(known.mean()), 2) if len(known) else None,
        load_spread=round(float(np.std(per_engineer)), 3) if per_engineer else 0.0,
        by_person=dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
    )
