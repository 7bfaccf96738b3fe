"""When a ticket will be resolved, by how long others took (SPEC S8).

Tickets are likened by priority, then kind, then failure mode. Each group's distribution is its own tickets mixed with
its parent's, which counts for as much as ten tickets: a failure mode seen twice says little, one seen a hundred times
nearly all. Times are working time on the clock of the ticket, holds included, because who waits waits through them.
A ticket that is open for a while is compared with those that lasted at least as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

QUANTILES = tuple(step / 20 for step in range(1, 20))
LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9
PARENT_COUNTS_FOR = 10.0
SHORTEST_S = 1.0


class Basis(StrEnum):
    """What the tickets of a group have in common."""

    ALL = "all"
    PRIORITY = "priority"
    KIND = "kind"
    FAILURE_MODE = "failure_mode"


@dataclass(frozen=True, slots=True)
class Group:
    """Tickets that are alike; None: whatever it is. A failure mode is an id, of the kind and priority named."""

    priority: int | None = None
    kind: str | None = None
    failure_mode_id: int | None = None

    @property
    def basis(self) -> Basis:
        """Return what its tickets have in common."""
        if self.failure_mode_id is not None:
            return Basis.FAILURE_MODE
        if self.kind is not None:
            return Basis.KIND
        return Basis.ALL if self.priority is None else Basis.PRIORITY


@dataclass(frozen=True, slots=True)
class Solved:
    """A resolved ticket, and the working time it took in seconds."""

    priority: int
    kind: str
    failure_mode_id: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a group's tickets took: ``seconds`` at each of ``QUANTILES``, learned from ``tickets`` of its own."""

    group: Group
    tickets: int
    seconds: tuple[float, ...]


def groups_of(priority: int, kind: str, failure_mode_id: int | None) -> tuple[Group, ...]:
    """Return the groups of a ticket, from all tickets to those most like it."""
    wide = (Group(), Group(priority), Group(priority, kind))
    return wide if failure_mode_id is None else (*wide, Group(priority, kind, failure_mode_id))


def learn(history: Iterable[Solved]) -> list[Estimate]:
    """Return the estimates of every group that has tickets, parents first."""
    seconds: dict[Group, list[float]] = defaultdict(list)
    parents: dict[Group, Group | None] = {}
    for solved in history:
        parent: Group | None = None
        for group in groups_of(solved.priority, solved.kind, solved.failure_mode_id):
            seconds[group].append(max(solved.seconds, SHORTEST_S))
            parents[group] = parent
            parent = group
    learned: dict[Group, Estimate] = {}
    for group in sorted(seconds, key=lambda group: list(Basis).index(group.basis)):
        above = parents[group]
        mixed = _mixed(seconds[group], None if above is None else learned[above].seconds)
        learned[group] = Estimate(group, len(seconds[group]), mixed)
    return list(learned.values())


def remaining_s(seconds: Sequence[float], elapsed_s: float) -> tuple[float, float, float] | None:
    """Return the working time from opening to resolution at 10, 50 and 90 % for a ticket open for ``elapsed_s``.

    None when it has lasted longer than 95 % of the others: nothing was learned about such tickets.
    """
    if elapsed_s >= seconds[-1]:
        return None
    passed = float(np.interp(elapsed_s, seconds, QUANTILES, left=0.0)) if elapsed_s > seconds[0] else 0.0
    wanted = [passed + quantile * (1 - passed) for quantile in (LOW, MIDDLE, HIGH)]
    low, middle, high = (max(elapsed_s, _at(seconds, quantile)) for quantile in wanted)
    return low, middle, high


def _at(seconds: Sequence[float], quantile: float) -> float:
    return float(np.interp(quantile, QUANTILES, seconds))


def _mixed(own: Sequence[float], parent: Sequence[float] | None) -> tuple[float, ...]:
    """Return the quantiles of own times mixed with a parent's, which counts for ``PARENT_COUNTS_FOR`` tickets.

    The i-th of n values stands at i / (n + 1), which covers without bias also when n is small.
    """
    values: NDArray[np.float64] = np.asarray(own, dtype=np.float64)
    weights = np.full(len(own), len(own) / (len(own) + 1))
    if parent is not None:
        values = np.concatenate([values, np.asarray(parent)])
        weights = np.concatenate([weights, np.full(len(QUANTILES), PARENT_COUNTS_FOR / (len(QUANTILES) + 1))])
    order = np.argsort(values, kind="stable")
    total = len(own) + (0.0 if parent is None else PARENT_COUNTS_FOR)
    places = np.cumsum(weights[order]) / total
    # Between two values time grows by factors, as repairs do.
    return tuple(np.exp(np.interp(QUANTILES, places, np.log(values[order]))).tolist())
