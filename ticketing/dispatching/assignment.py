"""A round as one assignment problem: the most urgent tickets are served, at the highest sum of scores (SPEC X2).

Each engineer is expanded into as many slots as they may still take; a later slot is worth less, by the weight of
load. A ticket's value in a slot is its rank and then its score: ranks are so far apart that no sum of scores makes a
less urgent ticket go before a more urgent one when there are too few slots. (The sets of tickets that can be served
together form a matroid, so serving by rank never costs the number of tickets served.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from ticketing.dispatching.shapes import Engineer, Job
from ticketing.dispatching.weighing import TIE_BY_LOAD, TIE_BY_ORDER, Candidate, Exclusion, Flags, Weighing
from ticketing.dispatching.weights import Floats
from ticketing.policy.dispatch import DispatchPolicy

# A decision keeps all candidates of a small crew; of a larger one the best, and the nearest misses. The rest are
# counted by rule.
KEPT_WHOLE = 50
KEPT_BEST, KEPT_EXCLUDED = 20, 10


@dataclass(frozen=True, slots=True)
class Choice:
    """Who goes, or None when nobody can; the candidates kept, and how many of all fit and which rules failed.

    ``excluded`` counts every engineer under every rule that they break.
    """

    chosen_id: int | None
    candidates: tuple[Candidate, ...]
    considered: int
    fitting: int
    excluded: dict[str, int]


class Round:
    """Jobs, the most urgent first, each under the policy frozen on it, given to the crew."""

    def __init__(self, jobs: Sequence[Job], policies: Sequence[DispatchPolicy], crew: Sequence[Engineer]) -> None:
        self.jobs = jobs
        self.crew = sorted(crew, key=lambda engineer: engineer.person_id)
        groups: dict[DispatchPolicy, list[int]] = {}
        for number, policy in enumerate(policies):
            groups.setdefault(policy, []).append(number)
        self._weighings = [
            Weighing([jobs[number] for number in numbers], self.crew, policy) for policy, numbers in groups.items()
        ]
        self._groups = list(groups.values())
        self._at = {
            number: (group, row) for group, numbers in enumerate(self._groups) for row, number in enumerate(numbers)
        }
        self.chosen = self._solve()

    def choice(self, job: int) -> Choice:
        """Return the decision about a job with its reasons."""
        group, row = self._at[job]
        weighing, chosen = self._weighings[group], self.chosen[job]
        allowed = self._allowed[group][row]
        worth = self._worth[group][row]
        broken = weighing.broken_rules(row)
        order = sorted(range(len(self.crew)), key=lambda who: (broken[who], -worth[who]))
        fitting, kept = int(allowed.sum()), order
        if len(order) > KEPT_WHOLE:
            # The chosen one is among the kept even where the round gave better ones to other tickets.
            best = [who for who in order[:fitting] if who in order[:KEPT_BEST] or who == chosen]
            kept = best + order[fitting : fitting + KEPT_EXCLUDED]
        candidates = tuple(weighing.candidate(row, who, self._given(who, job)) for who in kept)
        chosen_id = None if chosen is None else self.crew[chosen].person_id
        return Choice(chosen_id, candidates, len(order), fitting, weighing.counts(row))

    def score(self, job: int, who: int) -> float | None:
        """Return what one of the crew, in the order of ids, is worth for a job before any is given; None: excluded."""
        group, row = self._at[job]
        return float(self._worth[group][row, who]) if self._allowed[group][row, who] else None

    def counts(self, job: int) -> dict[str, int]:
        """Return how many of the crew each rule excludes from a job."""
        group, row = self._at[job]
        return self._weighings[group].counts(row)

    def _given(self, who: int, job: int) -> list[str]:
        return [code for number, code in self._codes.get(who, ()) if number != job]

    def _solve(self) -> list[int | None]:
        self._allowed: list[Flags] = []
        self._worth: list[Floats] = []
        chosen: list[int | None] = [None] * len(self.jobs)
        owners, extras = self._slots()
        values = np.zeros((len(self.jobs), len(owners)), np.float64)
        order = TIE_BY_ORDER * np.arange(len(self.crew))
        opened = np.array([engineer.open_tickets for engineer in self.crew], np.float64)
        for numbers, weighing in zip(self._groups, self._weighings, strict=True):
            worth = weighing.scores() - TIE_BY_LOAD * opened - order
            self._worth.append(worth)
            loads, limits = (opened[owners] + extras), weighing.limits[owners]
            later = weighing.load_weight() * extras / np.maximum(limits, 1) + TIE_BY_LOAD * extras
            allowed = weighing.allowed_but_for_load()
            self._allowed.append(allowed & (opened < weighing.limits))
            fits = allowed[:, owners] & (loads < limits)
            rank = (len(self.jobs) - np.array(numbers, np.float64)) * (len(self.jobs) + 1) + 1
            values[numbers] = np.where(fits, rank[:, None] + worth[:, owners] - later, 0.0)
        rows, slots = linear_sum_assignment(values, maximize=True)
        for row, slot in zip(rows.tolist(), slots.tolist(), strict=True):
            if values[row, slot] > 0:
                chosen[row] = int(owners[slot])
        self._codes: dict[int, list[tuple[int, str]]] = {}
        for number, engineer in enumerate(chosen):
            if engineer is not None:
                self._codes.setdefault(engineer, []).append((number, self.jobs[number].code))
        return chosen

    def _slots(self) -> tuple[np.ndarray, np.ndarray]:
        """Return of each slot whose it is, and how many the same engineer fills before it."""
        limits = np.max([weighing.limits for weighing in self._weighings], axis=0) if self._weighings else np.zeros(0)
        free = [max(0, int(limit) - engineer.open_tickets) for limit, engineer in zip(limits, self.crew, strict=False)]
        # Nobody can use more slots than there are jobs.
        free = [min(count, len(self.jobs)) for count in free]
        owners = np.repeat(np.arange(len(free)), free)
        extras = np.concatenate([np.arange(count) for count in free]) if free else np.zeros(0)
        return owners, extras.astype(np.float64)


def choose(job: Job, engineers: Sequence[Engineer], policy: DispatchPolicy) -> Choice:
    """Weigh every engineer for one job; the best first, the excluded last."""
    return Round([job], [policy], engineers).choice(0)


def exclusions(job: Job, engineer: Engineer, policy: DispatchPolicy) -> tuple[Exclusion, ...]:
    """Return every hard rule that the engineer breaks for this job."""
    return Weighing([job], [engineer], policy).exclusions(0, 0)
