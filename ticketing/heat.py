"""Heat: which tickets must not be passed around (SPEC S5).

heat = tier of the requester x priority x time left. The last factor rises from 1, when a ticket opens, to the
policy's ``no_time_left`` at its due time, and stays there; while a hold pauses the ticket it stands still. A hot
ticket stays with the engineer who took it: giving it to another costs the time that is not left.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ticketing.policy.whole import Policy
from ticketing.ticket import State


class Band(StrEnum):
    """How hot a ticket is."""

    COOL = "cool"
    WARM = "warm"
    HOT = "hot"


@dataclass(frozen=True, slots=True)
class Heat:
    """The heat with its three factors, and whether it keeps the ticket with its engineer."""

    value: float
    band: Band
    tier: float
    priority: float
    time_left: float
    is_locked: bool


def heat_of(
    policy: Policy,
    *,
    state: State,
    tier: str,
    priority: int,
    opened_at: datetime,
    due_at: datetime,
    paused_since: datetime | None,
    now: datetime,
) -> Heat | None:
    """Return the heat of an open ticket; a closed one has none.

    ``paused_since`` is the start of an open hold that pauses the clock by which the ticket is due.
    """
    if state is State.CLOSED:
        return None
    rules = policy.heat
    at = now if paused_since is None else min(now, paused_since)
    span_s, gone_s = (due_at - opened_at).total_seconds(), (at - opened_at).total_seconds()
    gone = 1.0 if span_s <= 0 else min(max(gone_s / span_s, 0.0), 1.0)
    factors = (
        policy.priority.tier.get(tier, 1.0),
        rules.priority[priority],
        round(1.0 + gone * (rules.no_time_left - 1.0), 3),
    )
    value = round(factors[0] * factors[1] * factors[2], 3)
    band = Band.HOT if value >= rules.hot_from else Band.WARM if value >= rules.warm_from else Band.COOL
    is_taken = state in (State.ACCEPTED, State.EXECUTING)
    return Heat(value, band, *factors, is_locked=is_taken and band is Band.HOT)
