"""How far each rule is trusted, and the changes of mode that are proposed because of it (SPEC P4, P5)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeRules, Database, Now, ReadDetection
from api.detection_schemas import (
    RULE_NAME,
    Decision,
    DetectionPolicyBody,
    DetectionPolicyShape,
    ProposalStatus,
    RuleProposals,
    RuleScores,
    RuleShape,
)
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.routes.rules import rule_shape, whole_house
from api.schemas import Key
from storage import rule_proposals
from storage.detection_policy import POLICY, detection_in_force, publish_detection_policy
from storage.rule_proposals import Proposal
from storage.rule_scores import rule_scores

router = APIRouter(prefix=BASE_PATH, tags=["detection"])

RuleName = Annotated[str | None, Query(pattern=RULE_NAME, description="Only of this rule")]


@router.get("/rule-scores", responses=SIGNED_IN_ANSWERS)
def list_scores(caller: ReadDetection, database: Database, now: Now, rule: RuleName = None) -> RuleScores:
    """Return what closures said about every rule, ever and in the last 90 days, with credible intervals."""
    with database.connection() as connection:
        _, policy = detection_in_force(connection)
        found = rule_scores(connection, now, policy.trust.credibility, rule)
    return RuleScores(items=found, next_cursor=None)


@router.get("/rule-proposals", responses=SIGNED_IN_ANSWERS)
def list_proposals(
    caller: ReadDetection,
    database: Database,
    rule: RuleName = None,
    status: ProposalStatus | None = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> RuleProposals:
    """Return the changes of mode that were proposed, newest first."""
    with database.connection() as connection:
        rows = rule_proposals.list_proposals(connection, rule=rule, status=status, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return RuleProposals(items=page, next_cursor=next_cursor)


@router.post("/rule-proposals/{proposal_id}/accept", status_code=201, responses=CHANGE_ANSWERS)
def accept(proposal_id: Key, caller: ChangeRules, body: Decision, database: Database, now: Now) -> RuleShape:
    """Publish the rule's next version in the mode proposed: in force at once, at every site."""
    whole_house(caller)
    with database.connection() as connection:
        return rule_shape(rule_proposals.accept(connection, proposal_id, caller.person.id, body.reason, now))


@router.post("/rule-proposals/{proposal_id}/decline", responses=CHANGE_ANSWERS)
def decline(proposal_id: Key, caller: ChangeRules, body: Decision, database: Database, now: Now) -> Proposal:
    """Leave the rule as it is; it is not proposed again until more closures have judged it."""
    whole_house(caller)
    with database.connection() as connection:
        rule_proposals.decline(connection, proposal_id, caller.person.id, body.reason, now)
        return rule_proposals.list_proposals(connection, proposal_id=proposal_id)[0]


@router.get("/detection-policy", responses=SIGNED_IN_ANSWERS)
def read_policy(caller: ReadDetection, database: Database) -> DetectionPolicyShape:
    """Return the policy in force: the ticket budget, and how much closures may change."""
    with database.connection() as connection:
        policy_id, policy = detection_in_force(connection)
    return DetectionPolicyShape(id=policy_id, policy=policy)


@router.post("/detection-policy", status_code=201, responses=CHANGE_ANSWERS)
def publish_policy(
    caller: ChangeRules, body: DetectionPolicyBody, database: Database, now: Now
) -> DetectionPolicyShape:
    """Publish the next version of the policy, in force at once; what was learnt is learnt anew by it."""
    whole_house(caller)
    given = {"name": POLICY, **body.model_dump()}
    with database.connection() as connection:
        publish_detection_policy(connection, given, person_id=caller.person.id, now=now)
        policy_id, policy = detection_in_force(connection)
    return DetectionPolicyShape(id=policy_id, policy=policy)
