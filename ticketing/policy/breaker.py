"""When a site's breaker freezes dispatch, and when it lets go (SPEC S6)."""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.policy.reading import PolicyTable, invalid_policy


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Counts of open P0: frozen above the first, free again at the second; ``freezes_from`` is the first priority."""

    freeze_above_p0: int
    thaw_at_p0: int
    freezes_from: int


def read_breaker(table: PolicyTable) -> BreakerPolicy:
    """Return the counts; a breaker that let go above where it freezes would switch with every ticket."""
    found = BreakerPolicy(
        freeze_above_p0=table.integer("freeze_above_p0", 1, 1_000),
        thaw_at_p0=table.integer("thaw_at_p0", 0, 1_000),
        freezes_from=table.integer("freezes_from", 1, 4),
    )
    if found.thaw_at_p0 > found.freeze_above_p0:
        expected = f"at most freeze_above_p0, {found.freeze_above_p0}"
        raise invalid_policy(f"{table.path}.thaw_at_p0", expected, str(found.thaw_at_p0))
    table.finish()
    return found
