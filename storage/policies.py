"""Policies: versions that are published, never changed, and frozen onto tickets by their id."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.queries import load
from ticketing.policy import Policy, read_policy

QUERIES = load("policies")

DEFAULT_POLICY = "repair"


def read_policy_version(connection: Connection, policy_id: int) -> Policy:
    """Return the policy that is frozen on a ticket."""
    row = connection.execute(QUERIES["policy_by_id"], {"id": policy_id}).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="a published policy", got=str(policy_id), remedy="Check the policy.")
    return read_policy(row[0])


def policy_in_force(connection: Connection) -> tuple[int, Policy]:
    """Return id and content of the policy that new tickets are opened under."""
    row = connection.execute(QUERIES["newest_policy"]).fetchone()
    if row is None:
        raise Refused(
            "unknown_record",
            expected="a published policy",
            got="none",
            remedy="Seed the house, or publish a policy.",
        )
    return row[0], read_policy(row[1])


def publish_policy(connection: Connection, body: Mapping[str, object], *, person_id: int | None, now: datetime) -> int:
    """Validate and publish a new version of a policy; return its id. Open tickets keep the version they have."""
    policy = read_policy(body)
    parameters = {"name": policy.name, "body": Jsonb(dict(body)), "now": now, "person_id": person_id}
    row = connection.execute(QUERIES["publish_policy"], parameters).fetchone()
    assert row is not None
    return int(row[0])


def default_policy_body() -> dict[str, object]:
    """Return the shipped default policy, editions/policy/repair.toml, as a table."""
    text = (files("editions") / "policy" / f"{DEFAULT_POLICY}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def ensure_default_policy(connection: Connection, now: datetime) -> int:
    """Publish the shipped policy when there is none yet; return the id of the policy in force."""
    row = connection.execute(QUERIES["newest_policy"]).fetchone()
    if row is not None:
        return int(row[0])
    return publish_policy(connection, default_policy_body(), person_id=None, now=now)
