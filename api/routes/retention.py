"""Retention: how long what is kept, and what each level of time resolution takes on the disk (SPEC E7)."""

from __future__ import annotations

from fastapi import APIRouter
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeRetention, Database, Now, ReadRetention
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.schemas import LevelShape, Retention, RetentionBody
from storage.retention import usage
from storage.retention_policy import publish_retention, retention_in_force

router = APIRouter(prefix=BASE_PATH, tags=["operations"])


@router.get("/retention", responses=SIGNED_IN_ANSWERS)
def read_retention(caller: ReadRetention, database: Database) -> Retention:
    """Return the policy in force, and size, completeness and backlog of each level."""
    with database.connection() as connection:
        return _told(connection)


@router.post("/retention", status_code=201, responses=CHANGE_ANSWERS)
def publish_policy(caller: ChangeRetention, body: RetentionBody, database: Database, now: Now) -> Retention:
    """Publish the next version of the policy, in force from the next hourly run. What was dropped stays dropped."""
    caller.require_every_site("the policy is for the data of every site", "Ask an administrator of every site.")
    with database.connection() as connection:
        publish_retention(connection, body.model_dump(), person_id=caller.person.id, now=now)
        return _told(connection)


def _told(connection: Connection) -> Retention:
    policy_id, policy = retention_in_force(connection)
    levels = [LevelShape.model_validate(level) for level in usage(connection, policy)]
    return Retention(id=policy_id, days=policy.as_days(), levels=levels)
