"""Who goes: what dispatching and claiming must find, and what they keep ready."""

from __future__ import annotations

from domain.refusals import Refused
from storage.dispatching import engineer_for, job_of, lock_assignment
from storage.effects.case import Case, refuse_fact
from storage.effects.freezing import check_not_frozen
from storage.fallback import leads_a_team
from storage.supply import reserve_for_ticket
from ticketing.actors import SYSTEM
from ticketing.dispatching.assignment import exclusions
from ticketing.dispatching.rules import Rule
from ticketing.ticket import State


def check_dispatch(case: Case) -> None:
    """A person may override the soft rules and the load, but only an active engineer of the site can go."""
    check_not_frozen(case)
    person_id = int(str(case.fact("assignee_id")))
    engineer = engineer_for(case.connection, person_id, case.now)
    open_job = job_of(case.connection, case.row.id, case.now)
    broken = {one.rule for one in exclusions(open_job.job, engineer, open_job.policy)} if engineer else set()
    is_engineer_here = engineer is not None and not broken & {Rule.ENGINEER_AT_SITE, Rule.ACTIVE}
    # Where nobody fits, the system sends the team's lead, who need not be an engineer (SPEC X3).
    is_lead = case.actor is SYSTEM and leads_a_team(case.connection, person_id, case.now)
    if not (is_engineer_here or is_lead):
        raise refuse_fact("assignee_id", f"an active engineer of site {case.row.site_id}", person_id)
    if person_id == case.row.assignee_id:
        raise refuse_fact("assignee_id", "an engineer other than the one who has it", person_id)


def check_claim(case: Case) -> None:
    """An engineer who takes a new ticket unasked must fit it as if they had been chosen."""
    if case.decision.before.state is not State.NEW:
        return
    check_not_frozen(case)
    lock_assignment(case.connection)
    engineer = engineer_for(case.connection, case.actor.person_id or 0, case.now)
    open_job = job_of(case.connection, case.row.id, case.now)
    broken = exclusions(open_job.job, engineer, open_job.policy) if engineer else ()
    if engineer is None or broken:
        raise Refused(
            "not_eligible",
            expected="an engineer who passes " + ", ".join(Rule),
            got="; ".join(f"{exclusion.rule}: {exclusion.found}" for exclusion in broken) or "nobody",
            remedy="Take a ticket that fits, or ask a supervisor to dispatch this one to you.",
        )


def reserve(case: Case) -> None:
    """Somebody goes: what they will need is kept for them. Twice told, only what is missing still."""
    reserve_for_ticket(case.connection, case.row.id, case.now)
