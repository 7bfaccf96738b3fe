"""Factors and bands of a ticket's heat (SPEC S5)."""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.policy.reading import PolicyTable, invalid_policy


@dataclass(frozen=True, slots=True)
class HeatPolicy:
    """``priority`` has a factor for P0 to P4, falling; ``no_time_left`` is the time's factor once the time is up."""

    warm_from: float
    hot_from: float
    no_time_left: float
    priority: tuple[float, ...]


def read_heat(table: PolicyTable) -> HeatPolicy:
    """Return factors and bands; hot lies above warm, and a more urgent priority is never cooler."""
    priority = table.table("priority")
    factors = tuple(priority.number(f"p{level}", 0.01, 1_000.0) for level in range(5))
    if list(factors) != sorted(factors, reverse=True):
        raise invalid_policy(priority.path, "factors that do not rise from p0 to p4", str(factors))
    found = HeatPolicy(
        warm_from=table.number("warm_from", 0.0, 100_000.0),
        hot_from=table.number("hot_from", 0.0, 100_000.0),
        no_time_left=table.number("no_time_left", 1.0, 100.0),
        priority=factors,
    )
    if found.warm_from >= found.hot_from:
        raise invalid_policy(f"{table.path}.hot_from", f"more than warm_from, {found.warm_from}", str(found.hot_from))
    priority.finish()
    table.finish()
    return found
