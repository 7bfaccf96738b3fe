"""Dispatch rules: what is in force, what a lint and past tickets say of others, and publishing them (SPEC X4)."""

from __future__ import annotations

from fastapi import APIRouter

from api.boundary import BASE_PATH
from api.dependencies import ChangePolicies, Database, Now, ReadPolicies
from api.dispatch_schemas import (
    DispatchRulesShape,
    DispatchSection,
    DryRunBody,
    DryRunShape,
    LintShape,
    NewDispatchRules,
)
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from storage import dispatch_rules

router = APIRouter(prefix=BASE_PATH, tags=["dispatch"])


@router.get("/dispatch/rules", responses=SIGNED_IN_ANSWERS)
def read_rules(caller: ReadPolicies, database: Database, now: Now) -> DispatchRulesShape:
    """Return the rules in force for new tickets, and what they do to the work and the people there are."""
    with database.connection() as connection:
        found = dispatch_rules.rules_in_force(connection)
        troubles = dispatch_rules.lint_section(connection, found.section, now)
    return DispatchRulesShape.model_validate(
        {"policy_id": found.policy_id, "section": found.section, "troubles": troubles}
    )


@router.post("/dispatch/rules", status_code=201, responses=CHANGE_ANSWERS)
def publish_rules(caller: ChangePolicies, body: NewDispatchRules, database: Database, now: Now) -> DispatchRulesShape:
    """Publish rules for new tickets. Refused where they leave work undone that those in force do not."""
    caller.require_every_site("the policy holds at every site", "Ask a planner of every site.")
    with database.connection() as connection:
        troubles = dispatch_rules.publish_section(
            connection,
            body.section.model_dump(),
            after=body.after,
            reason=body.reason,
            person_id=caller.person.id,
            now=now,
        )
        found = dispatch_rules.rules_in_force(connection)
    return DispatchRulesShape.model_validate(
        {"policy_id": found.policy_id, "section": found.section, "troubles": troubles}
    )


@router.post("/dispatch/lint", responses=CHANGE_ANSWERS)
def lint_rules(caller: ChangePolicies, body: DispatchSection, database: Database, now: Now) -> LintShape:
    """Return what rules would do to the work and the people there are; nothing is changed."""
    with database.connection() as connection:
        troubles = dispatch_rules.lint_section(connection, body.model_dump(), now)
    return LintShape.model_validate({"troubles": troubles})


@router.post("/dispatch/dry-run", responses=CHANGE_ANSWERS)
def try_rules(caller: ChangePolicies, body: DryRunBody, database: Database, now: Now) -> DryRunShape:
    """Try rules on the tickets of the last days: who would have gone, who nobody, how far, how even the load."""
    caller.require_every_site("tickets of every site are looked at", "Ask a planner of every site.")
    with database.connection() as connection:
        return DryRunShape.model_validate(dispatch_rules.dry_run(connection, body.section.model_dump(), body.days, now))
