"""The breaker (SPEC S6): too many open P0 at a site freeze the dispatch of what can wait, until they are cleared.

It has hysteresis: it freezes above one count and lets go at a lower one. A breaker with one threshold would free and
freeze the round of dispatch with every P0 that closes and opens.
"""

from __future__ import annotations

from ticketing.policy.breaker import BreakerPolicy


def is_frozen_at(policy: BreakerPolicy, *, open_p0: int, was_frozen: bool) -> bool:
    """Say whether a site with so many open P0 is frozen, given whether it was."""
    return open_p0 > (policy.thaw_at_p0 if was_frozen else policy.freeze_above_p0)
