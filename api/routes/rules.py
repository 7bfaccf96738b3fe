"""Rules and failure modes: what detection looks for, and what it makes of what it finds."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeRules, Database, Now, ReadDetection
from api.detection_schemas import (
    RULE_NAME,
    FailureModeLearning,
    FailureModes,
    FailureModeShape,
    NewRule,
    Rules,
    RuleShape,
    RuleVersions,
)
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.schemas import Key
from detectors.learning import apply
from detectors.library import RuleDraft
from storage import learning, library, rules
from storage.rules import Rule

router = APIRouter(prefix=BASE_PATH, tags=["detection"])

RuleKey = Annotated[str, Path(pattern=RULE_NAME, description="The name of a rule")]


@router.get("/rules", responses=SIGNED_IN_ANSWERS)
def list_rules(caller: ReadDetection, database: Database) -> Rules:
    """Return the newest version of every rule, those that are off included."""
    with database.connection() as connection:
        found = rules.newest_rules(connection)
    return Rules(items=[rule_shape(rule) for rule in found], next_cursor=None)


@router.post("/rules", status_code=201, responses=CHANGE_ANSWERS)
def publish_rule(caller: ChangeRules, body: NewRule, database: Database, now: Now) -> RuleShape:
    """Publish the next version of a rule: in force at once, at every site, for good until the next version."""
    whole_house(caller)
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
        return rule_shape(rules.publish_rule(connection, draft, now, person_id=caller.person.id, reason=body.reason))


@router.get("/rules/{name}/versions", responses=RECORD_ANSWERS)
def list_versions(name: RuleKey, caller: ReadDetection, database: Database) -> RuleVersions:
    """Return every version of a rule, newest first: only its newest is in force."""
    with database.connection() as connection:
        found = rules.rule_versions(connection, name)
    return RuleVersions(items=[rule_shape(rule) for rule in found], next_cursor=None)


@router.get("/failure-modes", responses=SIGNED_IN_ANSWERS)
def list_failure_modes(
    caller: ReadDetection, database: Database, asset_type: Annotated[str | None, Query(max_length=64)] = None
) -> FailureModes:
    """Return the failure-mode library: names, effects, tasks, parts and signatures."""
    with database.connection() as connection:
        found = library.failure_modes(connection, asset_type)
    items = [FailureModeShape(id=key, mode=mode) for key, mode in found.items()]
    return FailureModes(items=items, next_cursor=None)


@router.get("/failure-modes/{failure_mode_id}/learning", responses=RECORD_ANSWERS)
def read_learning(failure_mode_id: Key, caller: ReadDetection, database: Database) -> FailureModeLearning:
    """Return what closures taught about a failure mode: prior, counts and posterior of each sign, prior and part."""
    with database.connection() as connection:
        own = library.stored_modes(connection).get(failure_mode_id)
        if own is None:
            raise unknown("failure mode", failure_mode_id)
        learnt = learning.learnt_mode(connection, failure_mode_id)
    return FailureModeLearning(
        id=failure_mode_id,
        library=own,
        learnt=None if learnt is None else learnt.mode,
        learnt_at=None if learnt is None else learnt.at,
        mode=own if learnt is None else apply(own, learnt.mode),
    )


def whole_house(caller: Caller) -> None:
    """Refuse a role that is held at some sites only: a rule, and what is decided about it, is for every site."""
    caller.require_every_site("a rule watches every site", "Ask a planner of every site.")


def rule_shape(rule: Rule) -> RuleShape:
    """Return a rule as the API tells it."""
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
        published_by=rule.published_by,
        reason=rule.reason,
    )
