"""When an open ticket is scored anew (SPEC S1)."""

from __future__ import annotations

from dataclasses import dataclass

from ticketing.policy.reading import PolicyTable


@dataclass(frozen=True, slots=True)
class RescorePolicy:
    """``least_move``: the share of its score by which a ticket's score must move before it replaces the old one."""

    least_move: float


def read_rescore(table: PolicyTable) -> RescorePolicy:
    """Return by how much a score must move; 0 tells every change."""
    found = RescorePolicy(table.number("least_move", 0.0, 1.0))
    table.finish()
    return found
