"""Policy: targets, weights and limits that people set, typed and validated whole (SPEC S2, T5, S1, X1, C2).

A policy is data (``editions/policy/*.toml``, then rows in the database). This file reads it strictly: a missing
field, an unknown field or an impossible value is refused with its path, because a setting that is stored and
never read is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from domain.refusals import Refused
from ticketing.ticket import SLA_CLOCKS, Clock, HoldReason

PRIORITIES = range(5)


class SkillRule(StrEnum):
    """Whether an engineer needs all of a failure mode's skills or any one of them; never left unsaid."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Targets:
    """The SLA of one priority, in seconds from opening."""

    seconds: Mapping[Clock, int]
    round_the_clock: bool


@dataclass(frozen=True, slots=True)
class PriorityPolicy:
    """Factors of the score; ``from_score`` holds the least score of P0, P1, P2 and P3, falling."""

    unknown_severity: int
    criticality: Mapping[int, float]
    tier: Mapping[str, float]
    from_score: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """Hard limits and soft weights; the weights are relative to their sum."""

    skills: SkillRule
    load_limit: int
    near_km: float
    weight_distance: float
    weight_load: float
    weight_skill: float


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the policy, as rules read it."""

    name: str
    sla: tuple[Targets, ...]
    tier_accept_s: Mapping[str, int]
    hold_pauses: Mapping[HoldReason, frozenset[Clock]]
    priority: PriorityPolicy
    dispatch: DispatchPolicy
    confirmation_days: int


def read_policy(body: Mapping[str, object]) -> Policy:
    """Return the typed policy of a TOML or JSON table; refuse it as ``invalid_policy`` naming the path."""
    table = _Table(body, "")
    sla = table.table("sla")
    targets = tuple(_targets(sla.table(f"p{priority}")) for priority in PRIORITIES)
    sla.finish()
    pauses = table.table("hold_pauses")
    hold_pauses = {reason: frozenset(pauses.clocks(reason.value)) for reason in HoldReason}
    pauses.finish()
    priority = _priority(table.table("priority"))
    tiers = table.table("tier_accept_s")
    tier_accept_s = {
        name: tiers.integer(name, 1, 31_536_000) for name in tiers.names() if tiers.known(name, priority.tier)
    }
    tiers.finish()
    confirmation = table.table("confirmation")
    days = confirmation.integer("valid_days", 1, 90)
    confirmation.finish()
    policy = Policy(
        name=table.text("name"),
        sla=targets,
        tier_accept_s=tier_accept_s,
        hold_pauses=hold_pauses,
        priority=priority,
        dispatch=_dispatch(table.table("dispatch")),
        confirmation_days=days,
    )
    table.finish()
    return policy


def _targets(table: _Table) -> Targets:
    seconds = {clock: table.integer(f"{clock.value}_s", 1, 31_536_000) for clock in SLA_CLOCKS}
    in_order = [seconds[clock] for clock in SLA_CLOCKS]
    if in_order != sorted(in_order):
        raise _invalid(table.path, "accept_s <= respond_s <= resolve_s <= close_s", str(in_order))
    found = Targets(seconds, table.boolean("round_the_clock"))
    table.finish()
    return found


def _priority(table: _Table) -> PriorityPolicy:
    criticality = table.table("criticality")
    tier = table.table("tier")
    from_score = table.table("from_score")
    scores = tuple(from_score.number(f"p{priority}", 0.0, 1_000.0) for priority in range(4))
    if list(scores) != sorted(set(scores), reverse=True):
        raise _invalid(from_score.path, "scores that fall from p0 to p3", str(scores))
    found = PriorityPolicy(
        unknown_severity=table.integer("unknown_severity", 1, 10),
        criticality={level: criticality.number(str(level), 0.01, 100.0) for level in range(1, 6)},
        tier={name: tier.number(name, 0.01, 100.0) for name in {"standard", "vip", *tier.names()}},
        from_score=scores,
    )
    for each in (criticality, tier, from_score, table):
        each.finish()
    return found


def _dispatch(table: _Table) -> DispatchPolicy:
    weights = table.table("weights")
    distance, load, skill = (weights.number(name, 0.0, 1_000.0) for name in ("distance", "load", "skill"))
    if distance + load + skill <= 0:
        raise _invalid(weights.path, "at least one weight above 0", "all 0")
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


class _Table:
    """A table being read: every field is asked for by name and type, and ``finish`` refuses what nobody asked for."""

    def __init__(self, body: Mapping[str, object], path: str) -> None:
        self.path = path
        self._body = body
        self._read: set[str] = set()

    def names(self) -> list[str]:
        return list(self._body)

    def table(self, name: str) -> _Table:
        value = self._take(name, "a table")
        if not isinstance(value, Mapping):
            raise _invalid(self._at(name), "a table", repr(value))
        return _Table(value, self._at(name))

    def text(self, name: str) -> str:
        value = self._take(name, "text")
        if not isinstance(value, str) or not 1 <= len(value) <= 64:
            raise _invalid(self._at(name), "text of 1 to 64 characters", repr(value))
        return value

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        value = self._take(name, " or ".join(options))
        if value not in options:
            raise _invalid(self._at(name), " or ".join(options), repr(value))
        return str(value)

    def boolean(self, name: str) -> bool:
        value = self._take(name, "true or false")
        if not isinstance(value, bool):
            raise _invalid(self._at(name), "true or false", repr(value))
        return value

    def integer(self, name: str, least: int, most: int) -> int:
        value = self._take(name, f"a whole number {least} to {most}")
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _invalid(self._at(name), f"a whole number {least} to {most}", repr(value))
        return value

    def number(self, name: str, least: float, most: float) -> float:
        value = self._take(name, f"a number {least} to {most}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise _invalid(self._at(name), f"a number {least} to {most}", repr(value))
        return float(value)

    def clocks(self, name: str) -> list[Clock]:
        expected = "a list of " + ", ".join(Clock)
        value = self._take(name, expected)
        if not isinstance(value, list) or any(clock not in tuple(Clock) for clock in value):
            raise _invalid(self._at(name), expected, repr(value))
        return [Clock(clock) for clock in value]

    def known(self, name: str, names: Mapping[str, float]) -> bool:
        if name not in names:
            raise _invalid(self._at(name), "one of the tiers " + ", ".join(sorted(names)), repr(name))
        return True

    def finish(self) -> None:
        unknown = sorted(set(self._body) - self._read)
        if unknown:
            raise _invalid(self.path or "the policy", "only known fields", ", ".join(unknown))

    def _take(self, name: str, expected: str) -> object:
        self._read.add(name)
        if name not in self._body:
            raise _invalid(self._at(name), expected, "nothing")
        return self._body[name]

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def _invalid(path: str, expected: str, got: str) -> Refused:
    return Refused(
        "invalid_policy", expected=f"{path}: {expected}", got=got[:200], remedy="Correct the policy and save it again."
    )
