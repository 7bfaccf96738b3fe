"""Dispatch: who should go, decided by hard rules and soft weights, every candidate explained (SPEC X1, X3, X4).

Hard rules exclude: not an engineer at the site, inactive, off duty, without the required skills, at the load
limit. Of those that remain, the highest weighted score wins. Each part of the score lies in 0 to 1:

- distance: near / (near + km), so 1 beside the machine, one half at ``near_km``; 0 when a position is unknown
- load: the share of the load limit that is still free
- skill: the mean level in the required skills, 5 being 1; 1 when none is required

Ties go to the lower load, then to the lower id, so that a decision can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from ticketing.policy.dispatch import DispatchPolicy, SkillRule

EARTH_RADIUS_KM = 6371.0088
HIGHEST_LEVEL = 5


class Rule(StrEnum):
    """The hard rules, in the order in which they are told."""

    ENGINEER_AT_SITE = "engineer_at_site"
    ACTIVE = "active"
    ON_DUTY = "on_duty"
    SKILLS = "skills"
    LOAD = "load"


@dataclass(frozen=True, slots=True)
class Place:
    """A position, WGS84 degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Job:
    """What a ticket asks of an engineer."""

    skills: tuple[str, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Engineer:
    """A person who might go. ``skills`` maps skill to level 1-5; ``open_tickets`` counts tickets not yet closed."""

    person_id: int
    name: str
    is_engineer_at_site: bool
    is_active: bool
    is_on_duty: bool
    skills: Mapping[str, int]
    open_tickets: int
    load_limit: int
    place: Place | None


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
    """One engineer weighed: a score, or the rules that excluded them."""

    person_id: int
    name: str
    score: float | None
    parts: tuple[ScorePart, ...]
    excluded_by: tuple[Exclusion, ...]

    def as_json(self) -> dict[str, object]:
        """Return the candidate as plain JSON for the stored decision."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """The best candidate, or None when the hard rules leave nobody; and everybody who was considered."""

    chosen_id: int | None
    candidates: tuple[Candidate, ...]


def distance_km(one: Place, other: Place) -> float:
    """Return the great-circle distance by the haversine formula, in kilometres."""
    phi, other_phi = math.radians(one.latitude), math.radians(other.latitude)
    half_phi = (other_phi - phi) / 2
    half_lambda = math.radians(other.longitude - one.longitude) / 2
    chord = math.sin(half_phi) ** 2 + math.cos(phi) * math.cos(other_phi) * math.sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))


def choose(job: Job, engineers: Sequence[Engineer], policy: DispatchPolicy) -> Choice:
    """Weigh every engineer for the job; the best first, the excluded last."""
    weighed = [(weigh(job, engineer, policy), engineer.open_tickets) for engineer in engineers]
    weighed.sort(key=lambda pair: (-(pair[0].score if pair[0].score is not None else -1.0), pair[1], pair[0].person_id))
    candidates = tuple(candidate for candidate, _ in weighed)
    best = candidates[0] if candidates and candidates[0].score is not None else None
    return Choice(best.person_id if best else None, candidates)


def weigh(job: Job, engineer: Engineer, policy: DispatchPolicy) -> Candidate:
    """Return one engineer's score for the job, or the rules that exclude them."""
    excluded = exclusions(job, engineer, policy)
    if excluded:
        return Candidate(engineer.person_id, engineer.name, None, (), excluded)
    parts = (_distance(job, engineer, policy), _load(engineer, policy), _skill(job, engineer, policy))
    total = sum(part.weight for part in parts)
    score = round(sum(part.value * part.weight for part in parts) / total, 4)
    return Candidate(engineer.person_id, engineer.name, score, parts, ())


def exclusions(job: Job, engineer: Engineer, policy: DispatchPolicy) -> tuple[Exclusion, ...]:
    """Return every hard rule that the engineer breaks for this job."""
    limit = _limit(engineer, policy)
    lacking = [skill for skill in job.skills if skill not in engineer.skills]
    wanting = bool(lacking) if policy.skills is SkillRule.ALL else len(lacking) == len(job.skills) > 0
    broken = {
        Rule.ENGINEER_AT_SITE: (not engineer.is_engineer_at_site, "no engineer's role at the site"),
        Rule.ACTIVE: (not engineer.is_active, "inactive"),
        Rule.ON_DUTY: (not engineer.is_on_duty, "off duty"),
        Rule.SKILLS: (wanting, f"{policy.skills.value} of {', '.join(job.skills)}; lacks {', '.join(lacking)}"),
        Rule.LOAD: (engineer.open_tickets >= limit, f"{engineer.open_tickets} open of {limit}"),
    }
    return tuple(Exclusion(rule.value, found) for rule, (is_broken, found) in broken.items() if is_broken)


def _limit(engineer: Engineer, policy: DispatchPolicy) -> int:
    """A person's own limit may lower the policy's, never raise it."""
    return min(engineer.load_limit, policy.load_limit)


def _distance(job: Job, engineer: Engineer, policy: DispatchPolicy) -> ScorePart:
    if engineer.place is None:
        return ScorePart("distance", 0.0, policy.weight_distance, None, "km")
    km = distance_km(engineer.place, job.place)
    value = policy.near_km / (policy.near_km + km)
    return ScorePart("distance", round(value, 4), policy.weight_distance, round(km, 1), "km")


def _load(engineer: Engineer, policy: DispatchPolicy) -> ScorePart:
    free = 1 - engineer.open_tickets / _limit(engineer, policy)
    return ScorePart("load", round(free, 4), policy.weight_load, float(engineer.open_tickets), "tickets")


def _skill(job: Job, engineer: Engineer, policy: DispatchPolicy) -> ScorePart:
    levels = [engineer.skills.get(skill, 0) for skill in job.skills]
    mean = sum(levels) / len(levels) if levels else float(HIGHEST_LEVEL)
    return ScorePart("skill", round(mean / HIGHEST_LEVEL, 4), policy.weight_skill, round(mean, 2), "level")
