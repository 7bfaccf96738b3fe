"""Policies that people edit field by field: what is in force, since when and why, and the next version (SPEC P5)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangePolicies, Database, Now, ReadPolicies
from api.policy_schemas import NewPolicyVersion, Policies, PolicyShape, PolicyVersionShape
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from storage import policy_book
from storage.policy_book import KINDS, PolicyKind, kind_of

router = APIRouter(prefix=BASE_PATH, tags=["policies"])

PolicyName = Annotated[str, Path(max_length=64, description="The policy's name")]


@router.get("/policies", responses=SIGNED_IN_ANSWERS)
def list_policies(caller: ReadPolicies, database: Database) -> Policies:
    """Return every policy with the version in force."""
    with database.connection() as connection:
        return Policies(items=[_shape(connection, kind, 1) for kind in KINDS.values()], next_cursor=None)


@router.get("/policies/{name}", responses=RECORD_ANSWERS)
def read_policy(name: PolicyName, caller: ReadPolicies, database: Database) -> PolicyShape:
    """Return a policy with its newest versions."""
    with database.connection() as connection:
        return _shape(connection, kind_of(name), policy_book.VERSIONS_MAX)


@router.post("/policies/{name}", status_code=201, responses=CHANGE_ANSWERS)
def publish_policy(
    name: PolicyName, caller: ChangePolicies, body: NewPolicyVersion, database: Database, now: Now
) -> PolicyVersionShape:
    """Publish the next version of a policy: in force at once, at every site; open tickets keep what they have."""
    kind = kind_of(name)
    caller.require_every_site("the policy holds at every site", "Ask a planner of every site.")
    with database.connection() as connection:
        published = policy_book.publish_version(
            connection,
            kind,
            {"name": kind.name, **body.body},
            after=body.after,
            reason=body.reason,
            person_id=caller.person.id,
            now=now,
        )
    return PolicyVersionShape.model_validate(published)


def _shape(connection: Connection, kind: PolicyKind, limit: int) -> PolicyShape:
    found = [PolicyVersionShape.model_validate(one) for one in policy_book.versions(connection, kind, limit)]
    return PolicyShape(name=kind.name, in_force=found[0], versions=found)
