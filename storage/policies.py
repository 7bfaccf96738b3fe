"""Policies: versions that are published, never changed, and frozen onto tickets by their id."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from importlib.resources import files

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.queries import load
from ticketing.policy.whole import Policy, read_policy

QUERIES = load("policies")

DEFAULT_POLICY = "repair"


def read_policy_version(connection: Connection, policy_id: int) -> Policy:
    """Return the policy that is frozen on a ticket."""
    row = connection.execute(QUERIES["policy_text_by_id"], {"id": policy_id}).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="a published policy", got=str(policy_id), remedy="Check the policy.")
    return _parsed(row[0])


@lru_cache(maxsize=64)
def _parsed(text: str) -> Policy:
    """Parse a body once: every command on a ticket reads the policy that is frozen on it."""
    return read_policy(json.loads(text))


def policy_in_force(connection: Connection) -> tuple[int, Policy]:
    """Return id and content of the policy that new tickets are opened under."""
    found = newest_body(connection, DEFAULT_POLICY)
    if found is None:
        raise Refused(
            "unknown_record",
            expected="a published policy",
            got="none",
            remedy="Seed the house, or publish a policy.",
        )
    return found[0], read_policy(found[1])


def publish_policy(connection: Connection, body: Mapping[str, object], *, person_id: int | None, now: datetime) -> int:
    """Validate and publish a new version of a policy; return its id. Open tickets keep the version they have."""
    return publish_body(connection, read_policy(body).name, body, person_id=person_id, now=now)


def ensure_default_policy(connection: Connection, now: datetime) -> int:
    """Publish the shipped policy when there is none yet; return the id of the policy in force."""
    found = newest_body(connection, DEFAULT_POLICY)
    return (
        publish_policy(connection, shipped_body(DEFAULT_POLICY), person_id=None, now=now) if found is None else found[0]
    )


def newest_body(connection: Connection, name: str) -> tuple[int, dict[str, object]] | None:
    """Return id and content of the version in force of the policy of this name, None when none was published."""
    row = connection.execute(QUERIES["newest_policy"], {"name": name}).fetchone()
    return None if row is None else (int(row[0]), dict(row[1]))


def publish_body(
    connection: Connection,
    name: str,
    body: Mapping[str, object],
    *,
    person_id: int | None,
    now: datetime,
    reason: str | None = None,
) -> int:
    """Publish a new version of a policy of any kind, which its own module has checked; return its id."""
    parameters = {"name": name, "body": Jsonb(dict(body)), "now": now, "person_id": person_id, "reason": reason}
    row = connection.execute(QUERIES["publish_policy"], parameters).fetchone()
    assert row is not None
    return int(row[0])


def shipped_body(name: str) -> dict[str, object]:
    """Return a policy as it is shipped, editions/policy/<name>.toml, as a table."""
    text = (files("editions") / "policy" / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
