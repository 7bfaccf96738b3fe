"""Parts of a ticket: what is kept for it, what takes its place where it is short, what is to be ordered (SPEC P3).

A predicted part that is likely enough is reserved when the ticket is dispatched, so that the bill is ready before the
engineer leaves. Likelier parts choose first. Each need takes its own part as far as the store has free pieces; what is
then short is filled from substitutes, the best first, out of what no need has taken. What is still short is ordered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Need:
    """So many pieces of a part that a ticket needs with ``probability`` in (0, 1] and does not have yet."""

    part_id: int
    quantity: int
    probability: float


@dataclass(frozen=True, slots=True)
class Allocation:
    """Pieces of ``part_id`` kept for a need of ``for_part_id``."""

    part_id: int
    for_part_id: int
    quantity: int


def allocate(
    needs: Sequence[Need], free: Mapping[int, int], substitutes: Mapping[int, Sequence[int]]
) -> tuple[Allocation, ...]:
    """Return what to keep for these needs out of the ``free`` pieces by part id; never more than there are.

    ``substitutes`` maps a part to those that may take its place, the best first.
    """
    left = dict(free)
    short: dict[int, int] = {}
    found: list[Allocation] = []
    in_order = sorted(needs, key=lambda need: (-need.probability, need.part_id))
    for need in in_order:
        short[need.part_id] = need.quantity - _take(found, left, need.part_id, need.part_id, need.quantity)
    for need in in_order:
        for substitute in substitutes.get(need.part_id, ()):
            short[need.part_id] -= _take(found, left, substitute, need.part_id, short[need.part_id])
    return tuple(found)


def _take(found: list[Allocation], left: dict[int, int], part_id: int, for_part_id: int, wanted: int) -> int:
    taken = max(0, min(wanted, left.get(part_id, 0)))
    if taken:
        left[part_id] -= taken
        found.append(Allocation(part_id, for_part_id, taken))
    return taken


def reorder_quantity(*, short: int, reorder_level: int, free: int, on_order: int) -> int:
    """Return how many pieces to order: what tickets are short of, and what the store wants to keep, less what comes."""
    return max(0, short + reorder_level - free - on_order)


def comes_in_time(now: datetime, lead_time_days: int, needed_by: datetime) -> bool:
    """Say whether a part ordered now is there when it is needed."""
    return now + timedelta(days=lead_time_days) <= needed_by
