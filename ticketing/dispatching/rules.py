"""The hard rules, as one table: what each asks of a ticket, when an engineer breaks it, and how that is told (SPEC X1).

A rule reads a *key* of the job: few tickets differ in it, so a rule judges each engineer once for a key, however many
tickets share it. The same judgement serves a round of hundreds of tickets and the claim of one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ticketing.dispatching.shapes import Engineer, Job, Presence
from ticketing.policy.dispatch import DispatchPolicy, SkillRule

Key = TypeVar("Key", bound=Hashable)


class Rule(StrEnum):
    """The hard rules, in the order in which they are told."""

    ENGINEER_AT_SITE = "engineer_at_site"
    ACTIVE = "active"
    ON_DUTY = "on_duty"
    PRESENT = "present"
    ON_SHIFT = "on_shift"
    TEAM = "team"
    SKILLS = "skills"
    CERTIFICATES = "certificates"
    SITE_ACCESS = "site_access"
    BRAND = "brand"
    LOAD = "load"


@dataclass(frozen=True, slots=True)
class RuleRow(Generic[Key]):
    """One rule: ``key`` is what it reads of a job, ``breaks`` tells who breaks it, ``told`` what was found."""

    rule: Rule
    key: Callable[[Job, DispatchPolicy], Key]
    breaks: Callable[[Key, Engineer, DispatchPolicy], bool]
    told: Callable[[Key, Engineer, DispatchPolicy], str]

    def judged(self, jobs: Sequence[Job], crew: Sequence[Engineer], policy: DispatchPolicy) -> NDArray[np.bool_]:
        """Return who breaks the rule, by job and engineer; each distinct key is judged once."""
        keys: dict[Key, int] = {}
        index = np.array([keys.setdefault(self.key(job, policy), len(keys)) for job in jobs], np.intp)
        flags = [self.breaks(key, engineer, policy) for key in keys for engineer in crew]
        return np.array(flags, np.bool_).reshape(len(keys), len(crew))[index]

    def explained(self, job: Job, engineer: Engineer, policy: DispatchPolicy) -> str:
        """Return what was found of an engineer who breaks the rule."""
        return self.told(self.key(job, policy), engineer, policy)


def limit_of(engineer: Engineer, policy: DispatchPolicy) -> int:
    """Return how many open tickets are too many: a person's own limit may lower the policy's, never raise it."""
    return min(engineer.load_limit, policy.load_limit)


def _nothing(_job: Job, _policy: DispatchPolicy) -> None:
    """A rule that asks nothing of the job."""


def _is_elsewhere(site_id: str, engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return engineer.sites is not None and site_id not in engineer.sites


def _is_inactive(_key: None, engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return not engineer.is_active


def _is_off_duty(_key: None, engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return not engineer.is_on_duty


def _is_absent(_key: None, engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return engineer.absent_until is not None


def _tell_absence(_key: None, engineer: Engineer, _policy: DispatchPolicy) -> str:
    until = f"absent until {engineer.absent_until:%Y-%m-%d %H:%M} UTC"
    return f"{until}; {engineer.delegate} stands in" if engineer.delegate else f"{until}; nobody stands in"


def _is_off(is_urgent: bool, engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return engineer.presence is Presence.OFF or (engineer.presence is Presence.ON_CALL and not is_urgent)


def _tell_shift(_is_urgent: bool, engineer: Engineer, policy: DispatchPolicy) -> str:
    if engineer.presence is Presence.OFF:
        return "off shift"
    return f"on call, which is for P0 to P{policy.on_call_priority}"


def _is_of_another_team(team_id: int | None, engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return team_id is not None and team_id not in engineer.team_ids


def _lacks_skills(skills: tuple[str, ...], engineer: Engineer, policy: DispatchPolicy) -> bool:
    """An empty list asks nothing, whichever way it is read: ``all`` of nothing is had, and so is ``any``."""
    if not skills:
        return False
    has = [engineer.skills.get(skill, 0) >= policy.least_level for skill in skills]
    return not (all(has) if policy.skills is SkillRule.ALL else any(has))


def _tell_skills(skills: tuple[str, ...], engineer: Engineer, policy: DispatchPolicy) -> str:
    lacking = [skill for skill in skills if engineer.skills.get(skill, 0) < policy.least_level]
    return f"{policy.skills.value} of {', '.join(skills)}; lacks {', '.join(lacking)}"


def _lacking(key: tuple[tuple[str, ...], date], engineer: Engineer) -> list[str]:
    needed, day = key
    return [name for name in needed if not any(one.name == name and one.is_valid(day) for one in engineer.certificates)]


def _lacks_certificate(key: tuple[tuple[str, ...], date], engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return bool(_lacking(key, engineer))


def _tell_certificates(key: tuple[tuple[str, ...], date], engineer: Engineer, _policy: DispatchPolicy) -> str:
    lacking, held = _lacking(key, engineer), {one.name for one in engineer.certificates}
    expired = [name for name in lacking if name in held]
    said = f"no {', '.join(lacking)} valid on {key[1]}"
    return f"{said}; not valid then: {', '.join(expired)}" if expired else said


def _may_not_enter(key: tuple[str, date], engineer: Engineer, _policy: DispatchPolicy) -> bool:
    if not engineer.access:
        return False
    last_day = engineer.access.get(key[0])
    return key[0] not in engineer.access or (last_day is not None and last_day < key[1])


def _tell_access(key: tuple[str, date], engineer: Engineer, _policy: DispatchPolicy) -> str:
    if key[0] in engineer.access:
        return f"access ended on {engineer.access[key[0]]}"
    return f"may enter {', '.join(sorted(engineer.access))} only"


def _is_of_another_brand(brand: str | None, engineer: Engineer, _policy: DispatchPolicy) -> bool:
    return bool(brand and engineer.brands) and str(brand).casefold() not in {one.casefold() for one in engineer.brands}


def _tell_brand(brand: str | None, engineer: Engineer, _policy: DispatchPolicy) -> str:
    return f"works on {', '.join(sorted(engineer.brands))}, not {brand}"


def _is_full(_key: None, engineer: Engineer, policy: DispatchPolicy) -> bool:
    return engineer.open_tickets >= limit_of(engineer, policy)


def _tell_load(_key: None, engineer: Engineer, policy: DispatchPolicy) -> str:
    return f"{engineer.open_tickets} open of {limit_of(engineer, policy)}"


def _said(text: str) -> Callable[[Hashable, Engineer, DispatchPolicy], str]:
    return lambda _key, _engineer, _policy: text


# Each row reads a key of its own type; nobody who walks the table needs to know which.
AnyRow = (
    RuleRow[None]
    | RuleRow[str]
    | RuleRow[bool]
    | RuleRow[int | None]
    | RuleRow[str | None]
    | RuleRow[tuple[str, ...]]
    | RuleRow[tuple[str, date]]
    | RuleRow[tuple[tuple[str, ...], date]]
)

# fmt: off
RULES: tuple[AnyRow, ...] = (
    RuleRow(Rule.ENGINEER_AT_SITE, lambda job, _: job.site_id, _is_elsewhere, _said("no engineer's role at the site")),
    RuleRow(Rule.ACTIVE, _nothing, _is_inactive, _said("inactive")),
    RuleRow(Rule.ON_DUTY, _nothing, _is_off_duty, _said("off duty")),
    RuleRow(Rule.PRESENT, _nothing, _is_absent, _tell_absence),
    RuleRow(Rule.ON_SHIFT, lambda job, policy: job.priority <= policy.on_call_priority, _is_off, _tell_shift),
    RuleRow(Rule.TEAM, lambda job, _: job.team_id, _is_of_another_team, _said("of another team")),
    RuleRow(Rule.SKILLS, lambda job, _: job.skills, _lacks_skills, _tell_skills),
    RuleRow(Rule.CERTIFICATES, lambda job, _: (job.certificates, job.day), _lacks_certificate, _tell_certificates),
    RuleRow(Rule.SITE_ACCESS, lambda job, _: (job.site_id, job.day), _may_not_enter, _tell_access),
    RuleRow(Rule.BRAND, lambda job, _: job.brand, _is_of_another_brand, _tell_brand),
    RuleRow(Rule.LOAD, _nothing, _is_full, _tell_load),
)
# fmt: on
