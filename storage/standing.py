"""How a ticket stands by the policy frozen on it: until when it can be reopened, and how hot it is (SPEC T9, S5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from storage.ticket_views import TicketRow
from ticketing.heat import Heat, heat_of
from ticketing.policy.whole import Policy
from ticketing.sla import Hold
from ticketing.ticket import Clock, Ticket


def with_policy(
    ticket: Ticket, row: TicketRow, hold: Hold | None, policy: Policy, now: datetime
) -> tuple[Ticket, Heat | None]:
    """Return the ticket with what its policy says of it now: until when it can be reopened, and whether it is hot.

    A hold that pauses the due date pauses the heat.
    """
    is_paused = hold is not None and Clock.RESOLVE in policy.hold_pauses[hold.reason]
    heat = heat_of(
        policy,
        state=ticket.state,
        tier=row.requester_tier,
        priority=row.priority,
        opened_at=row.opened_at,
        due_at=row.due_at,
        paused_since=hold.started_at if hold and is_paused and row.due_at != row.failure_expected_at else None,
        now=now,
    )
    days = timedelta(days=policy.lifecycle.reopen_within_days)
    until = None if ticket.closed_at is None else ticket.closed_at + days
    return replace(ticket, reopens_until=until, is_heat_locked=heat is not None and heat.is_locked), heat
