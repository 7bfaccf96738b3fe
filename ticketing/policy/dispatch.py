"""Hard limits and soft weights of dispatch, and what happens where nobody fits (SPEC X1, X3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from ticketing.policy.reading import PolicyTable, invalid_policy


class SkillRule(StrEnum):
    """Whether an engineer needs all of a failure mode's skills or any one of them; never left unsaid."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of a score counts, relative to their sum."""

    distance: float
    load: float
    skill: float
    first_time_fix: float
    same_fault: float
    continuity: float

    @property
    def total(self) -> float:
        """Return the sum, which is above 0."""
        return self.distance + self.load + self.skill + self.first_time_fix + self.same_fault + self.continuity


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """Hard limits and soft weights.

    A skill counts from ``least_level`` on. People on call go to priorities up to ``on_call_priority``. A first-time
    fix rate above ``bonus_from`` counts as a full one. The same fault handled within ``same_fault_h`` counts. Where
    nobody fits, the fallback goes after ``fallback_after_s``, for what people on call go to after
    ``urgent_fallback_after_s``; where no ladder of escalation does it, supervisors are reminded every
    ``remind_every_s``.
    """

    skills: SkillRule
    least_level: int
    load_limit: int
    near_km: float
    on_call_priority: int
    bonus_from: float
    same_fault_h: int
    fallback_after_s: int
    urgent_fallback_after_s: int
    remind_every_s: int
    weights: Weights


# The least and the most that each number may be; a form shows the same.
WHOLE_NUMBERS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "least_level": (1, 5),
        "load_limit": (1, 50),
        "on_call_priority": (0, 4),
        "same_fault_h": (1, 720),
        "fallback_after_s": (0, 604_800),
        "urgent_fallback_after_s": (0, 604_800),
        "remind_every_s": (60, 604_800),
    }
)
NUMBERS: Mapping[str, tuple[float, float]] = MappingProxyType({"near_km": (0.1, 20_000.0), "bonus_from": (0.0, 1.0)})
WEIGHTS = ("distance", "load", "skill", "first_time_fix", "same_fault", "continuity")
WEIGHT_LIMITS = (0.0, 1_000.0)


def read_dispatch(table: PolicyTable) -> DispatchPolicy:
    """Return limits and weights; at least one weight counts."""
    weights = table.table("weights")
    found = DispatchPolicy(
        skills=SkillRule(table.choice("skills", tuple(SkillRule))),
        least_level=_whole(table, "least_level"),
        load_limit=_whole(table, "load_limit"),
        near_km=_number(table, "near_km"),
        on_call_priority=_whole(table, "on_call_priority"),
        bonus_from=_number(table, "bonus_from"),
        same_fault_h=_whole(table, "same_fault_h"),
        fallback_after_s=_whole(table, "fallback_after_s"),
        urgent_fallback_after_s=_whole(table, "urgent_fallback_after_s"),
        remind_every_s=_whole(table, "remind_every_s"),
        weights=_read_weights(weights),
    )
    table.finish()
    return found


def _read_weights(table: PolicyTable) -> Weights:
    found = Weights(**{name: table.number(name, *WEIGHT_LIMITS) for name in WEIGHTS})
    if found.total <= 0:
        raise invalid_policy(table.path, "at least one weight above 0", "all 0")
    table.finish()
    return found


def _whole(table: PolicyTable, name: str) -> int:
    return table.integer(name, *WHOLE_NUMBERS[name])


def _number(table: PolicyTable, name: str) -> float:
    return table.number(name, *NUMBERS[name])
