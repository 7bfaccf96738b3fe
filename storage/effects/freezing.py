"""What the breaker keeps people from: giving out, or taking, what waits for the open P0 (SPEC S6)."""

from __future__ import annotations

from domain.refusals import Refused
from storage.breaker import blocking
from storage.effects.case import Case
from ticketing.actors import ActorKind, Role
from ticketing.ticket import State


def check_not_frozen(case: Case) -> None:
    """A new ticket that waits for the open P0 is given out by a supervisor only; everybody else is told which P0.

    The desk's round asks the breaker itself and leaves such tickets where they are.
    """
    row, actor = case.row, case.actor
    if case.decision.before.state is not State.NEW or actor.kind is not ActorKind.PERSON:
        return
    leads = any(actor.holds(role, row.site_id) for role in (Role.SUPERVISOR, Role.ADMIN))
    breaker = None if leads else blocking(case.connection, row.site_id, row.priority)
    if breaker is None:
        return
    raise Refused(
        "dispatch_frozen",
        expected=f"at most {breaker.thaw_at_p0} open P0 at {row.site_id}",
        got=f"P{row.priority} while {len(breaker.p0_codes)} are open: {', '.join(breaker.p0_codes[:10])}",
        remedy="Help with one of them, or ask a supervisor.",
    )
