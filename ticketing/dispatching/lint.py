"""Rules against the people there are: what nobody could ever do is found before a ticket asks for it (SPEC X4).

Only what lasts counts here: role, skills, certificates, site passes. Shifts, absences and load come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ticketing.dispatching.rules import Rule
from ticketing.dispatching.shapes import Engineer, Job
from ticketing.dispatching.weighing import Weighing
from ticketing.policy.dispatch import DispatchPolicy, SkillRule

LASTING = (Rule.ENGINEER_AT_SITE, Rule.ACTIVE, Rule.SKILLS, Rule.CERTIFICATES, Rule.SITE_ACCESS)


class Grade(StrEnum):
    """How bad it is: an error leaves work that nobody can be sent to."""

    ERROR = "error"
    WARNING = "warning"


class TroubleKind(StrEnum):
    """What is wrong."""

    NOBODY_AT_SITE = "nobody_at_site"
    SKILL_OF_NOBODY = "skill_of_nobody"
    ALL_OF_NOBODY = "all_of_nobody"
    CERTIFICATE_OF_NOBODY = "certificate_of_nobody"
    NOBODY = "nobody"
    NO_SKILLS = "no_skills"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One finding: ``what`` it is about, and a sentence."""

    grade: Grade
    kind: TroubleKind
    what: str
    told: str


def lint(work: Sequence[Job], crew: Sequence[Engineer], policy: DispatchPolicy) -> list[Trouble]:
    """Return what the rules do to every class of work (a job each, named by its code) and to the crew."""
    seen = Weighing(work, crew, policy)
    passes = seen.passes(LASTING)
    found = [_undone(job, crew, policy) for number, job in enumerate(work) if not passes[number].any()]
    if any(job.skills for job in work):
        found += [
            Trouble(
                Grade.WARNING,
                TroubleKind.NO_SKILLS,
                engineer.name,
                f"{engineer.name} has no skill at level {policy.least_level}, and goes only to work that asks none.",
            )
            for engineer in crew
            if engineer.is_active and not any(level >= policy.least_level for level in engineer.skills.values())
        ]
    return found


def _undone(job: Job, crew: Sequence[Engineer], policy: DispatchPolicy) -> Trouble:
    """Say why nobody can ever be sent to this work: the first reason that explains it."""
    here = [one for one in crew if one.is_active and (one.sites is None or job.site_id in one.sites)]
    held = {skill for one in here for skill, level in one.skills.items() if level >= policy.least_level}
    missing = [skill for skill in job.skills if skill not in held]
    valid = {held_one.name for one in here for held_one in one.certificates if held_one.is_valid(job.day)}
    uncertified = [name for name in job.certificates if name not in valid]
    is_skilled = bool(here) and bool(Weighing([job], here, policy).passes([Rule.SKILLS]).any())
    if not here:
        kind, why = TroubleKind.NOBODY_AT_SITE, f"no active engineer has a role at {job.site_id}"
    elif not is_skilled and policy.skills is SkillRule.ALL and not missing:
        kind, why = TroubleKind.ALL_OF_NOBODY, f"nobody there has all of {', '.join(job.skills)} together"
    elif not is_skilled:
        kind, why = TroubleKind.SKILL_OF_NOBODY, f"nobody there has {', '.join(missing)}"
    elif uncertified:
        kind, why = TroubleKind.CERTIFICATE_OF_NOBODY, f"nobody there holds {', '.join(uncertified)} on {job.day}"
    else:
        kind, why = TroubleKind.NOBODY, "nobody there has the skills, the certificates and the way in together"
    return Trouble(Grade.ERROR, kind, job.code, f"Nobody can be sent to {job.code}: {why}.")
