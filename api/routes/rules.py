"""Rules and failure modes: what detection looks for, and what it makes of what it finds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeRules, Database, Now, ReadDetection
from api.detection_schemas import FailureModes, FailureModeShape, NewRule, Rules, RuleShape
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from detectors.library import RuleDraft
from domain.refusals import Refused
from storage import library, rules
from storage.rules import Rule

router = APIRouter(prefix=BASE_PATH, tags=["detection"])


@router.get("/rules", responses=SIGNED_IN_ANSWERS)
def list_rules(caller: ReadDetection, database: Database) -> Rules:
    """Return the newest version of every rule, those that are off included."""
    with database.connection() as connection:
        found = rules.newest_rules(connection)
    return Rules(items=[_shape(rule) for rule in found], next_cursor=None)


@router.post("/rules", status_code=201, responses=CHANGE_ANSWERS)
def publish_rule(caller: ChangeRules, body: NewRule, database: Database, now: Now) -> RuleShape:
    """Publish the next version of a rule: in force at once, at every site, for good until the next version."""
    if caller.sites is not None:
        raise Refused(
            "not_permitted",
            expected="a role held at every site, because a rule watches every site",
            got="a role at " + ", ".join(sorted(caller.sites)),
            remedy="Ask a planner of every site.",
        )
    draft = RuleDraft(
        name=body.name,
        asset_type=body.asset_type,
        metric=body.metric,
        detector=body.detector,
        parameters=body.parameters,
        severity=body.severity,
        mode=body.mode,
    )
    with database.connection() as connection:
        return _shape(rules.publish_rule(connection, draft, now))


@router.get("/failure-modes", responses=SIGNED_IN_ANSWERS)
def list_failure_modes(
    caller: ReadDetection, database: Database, asset_type: Annotated[str | None, Query(max_length=64)] = None
) -> FailureModes:
    """Return the failure-mode library: names, effects, tasks, parts and signatures."""
    with database.connection() as connection:
        found = library.failure_modes(connection, asset_type)
    items = [FailureModeShape(id=key, mode=mode) for key, mode in found.items()]
    return FailureModes(items=items, next_cursor=None)


def _shape(rule: Rule) -> RuleShape:
    draft = rule.draft
    return RuleShape(
        id=rule.id,
        name=draft.name,
        version=rule.version,
        asset_type=draft.asset_type,
        metric=draft.metric,
        detector=draft.detector,
        parameters=dict(draft.parameters),
        severity=draft.severity,
        mode=draft.mode,
        created_at=rule.created_at,
    )
