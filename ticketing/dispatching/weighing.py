"""Jobs against engineers under one policy: who is allowed, what each is worth, and why, for any pair that is asked."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ticketing.dispatching.rules import RULES, Rule, limit_of
from ticketing.dispatching.shapes import Engineer, Job
from ticketing.dispatching.weights import PARTS, Floats, Table, tables
from ticketing.policy.dispatch import DispatchPolicy

Flags = NDArray[np.bool_]

# Between equals the one with fewer open tickets goes, then the lower id: less than any real difference of scores.
TIE_BY_LOAD, TIE_BY_ORDER = 1e-7, 1e-10


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One weighted part: ``value`` 0 to 1 of what was measured (``measure`` in ``unit``, None when unknown)."""

    name: str
    value: float
    weight: float
    measure: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The hard rule that a candidate breaks and what was found."""

    rule: str
    found: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One engineer weighed: a score, or the rules that excluded them; and what else this round gave them."""

    person_id: int
    name: str
    score: float | None
    parts: tuple[ScorePart, ...]
    excluded_by: tuple[Exclusion, ...]
    given: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the candidate as plain JSON for the stored decision."""
        return asdict(self)


class Weighing:
    """Every job of one policy against the whole crew. Rules and parts are judged once for each distinct key."""

    def __init__(self, jobs: Sequence[Job], crew: Sequence[Engineer], policy: DispatchPolicy) -> None:
        self.jobs, self.crew, self.policy = jobs, crew, policy
        self.limits = np.array([limit_of(engineer, policy) for engineer in crew], np.float64)
        self._broken: Mapping[Rule, Flags] = {row.rule: row.judged(jobs, crew, policy) for row in RULES}
        self._parts: Mapping[str, Table] = tables(jobs, crew, policy)

    def allowed_but_for_load(self) -> Flags:
        """Return who passes every rule but that of the load, which changes within a round, by job and engineer."""
        return self.passes([rule for rule in Rule if rule is not Rule.LOAD])

    def passes(self, rules: Collection[Rule]) -> Flags:
        """Return who passes these rules, by job and engineer."""
        broken = np.zeros((len(self.jobs), len(self.crew)), np.bool_)
        for rule in rules:
            broken |= self._broken[rule]
        return ~broken

    def broken_rules(self, job: int) -> list[int]:
        """Return how many rules each engineer breaks for a job."""
        total = np.zeros(len(self.crew), np.intp)
        for flags in self._broken.values():
            total += flags[job]
        return [int(count) for count in total]

    def distances_km(self) -> Floats:
        """Return the distances by job and engineer, NaN where a position is unknown."""
        table = self._parts["distance"]
        return table.measures[table.index]

    def scores(self) -> Floats:
        """Return the weighted score 0 to 1 of every pair, also of those that a rule excludes."""
        total = np.zeros((len(self.jobs), len(self.crew)), np.float64)
        for part in PARTS:
            total += self._parts[part.name].expanded() * self._weight(part.name)
        return total

    def load_weight(self) -> float:
        """Return the share of the score that the free load makes."""
        return self._weight("load")

    def counts(self, job: int) -> dict[str, int]:
        """Return how many engineers each rule excludes from a job; rules that exclude nobody are left out."""
        found = {rule.value: int(flags[job].sum()) for rule, flags in self._broken.items()}
        return {rule: count for rule, count in found.items() if count}

    def candidate(self, job: int, engineer: int, given: Sequence[str] = ()) -> Candidate:
        """Return one pair explained."""
        who, excluded = self.crew[engineer], self.exclusions(job, engineer)
        if excluded:
            return Candidate(who.person_id, who.name, None, (), excluded, tuple(given))
        parts = tuple(self._part(part.name, part.unit, job, engineer) for part in PARTS)
        score = sum(part.value * self._weight(part.name) for part in parts)
        return Candidate(who.person_id, who.name, round(score, 4), parts, (), tuple(given))

    def exclusions(self, job: int, engineer: int) -> tuple[Exclusion, ...]:
        """Return every hard rule that the engineer breaks for the job."""
        return tuple(
            Exclusion(row.rule.value, row.explained(self.jobs[job], self.crew[engineer], self.policy))
            for row in RULES
            if self._broken[row.rule][job, engineer]
        )

    def _weight(self, name: str) -> float:
        weights = self.policy.weights
        return float(getattr(weights, name)) / weights.total

    def _part(self, name: str, unit: str, job: int, engineer: int) -> ScorePart:
        table = self._parts[name]
        key = table.index[job]
        value, measure = float(table.values[key, engineer]), float(table.measures[key, engineer])
        weight = float(getattr(self.policy.weights, name))
        return ScorePart(name, round(value, 4), weight, None if math.isnan(measure) else round(measure, 2), unit)
