"""Hard limits and soft weights of dispatch (SPEC X1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ticketing.policy.reading import PolicyTable, invalid_policy


class SkillRule(StrEnum):
    """Whether an engineer needs all of a failure mode's skills or any one of them; never left unsaid."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """Hard limits and soft weights; the weights are relative to their sum."""

    skills: SkillRule
    load_limit: int
    near_km: float
    weight_distance: float
    weight_load: float
    weight_skill: float


def read_dispatch(table: PolicyTable) -> DispatchPolicy:
    """Return limits and weights; at least one weight counts."""
    weights = table.table("weights")
    distance, load, skill = (weights.number(name, 0.0, 1_000.0) for name in ("distance", "load", "skill"))
    if distance + load + skill <= 0:
        raise invalid_policy(weights.path, "at least one weight above 0", "all 0")
    found = DispatchPolicy(
        skills=SkillRule(table.choice("skills", tuple(SkillRule))),
        load_limit=table.integer("load_limit", 1, 50),
        near_km=table.number("near_km", 0.1, 20_000.0),
        weight_distance=distance,
        weight_load=load,
        weight_skill=skill,
    )
    weights.finish()
    table.finish()
    return found
