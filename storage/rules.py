"""Rules in the database: every version is kept, the newest of each name is in force."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection

from detectors.library import RuleDraft, RuleMode
from detectors.rules import RuleInForce
from domain.findings import Severity
from domain.refusals import Refused
from storage.queries import load

QUERIES = load("rules")


@dataclass(frozen=True, slots=True)
class Rule:
    """A version of a rule as it is stored; ``published_by`` is a login, None for what was shipped.

    ``reason`` is why somebody published it, None where nobody has said.
    """

    id: int
    version: int
    draft: RuleDraft
    created_at: datetime
    published_by: str | None = None
    reason: str | None = None


def rules_in_force(connection: Connection, asset_type: str, metric: str | None = None) -> list[RuleInForce]:
    """Return the rules that watch assets of this type, or only those about one metric."""
    rows = connection.execute(QUERIES["rules_in_force"], {"asset_type_id": asset_type}).fetchall()
    rules = [
        RuleInForce(
            rule_id=rule_id,
            name=name,
            version=version,
            metric=pattern,
            detector=detector,
            parameters=parameters,
            severity=Severity(severity),
            shadow=mode == RuleMode.SHADOW,
        )
        for rule_id, name, version, pattern, detector, parameters, severity, mode in rows
    ]
    return [rule for rule in rules if metric is None or rule.watches(metric)]


def rules_version(connection: Connection) -> int:
    """Return a number that changes whenever any rule or operating regime does: cheap to ask before every batch."""
    row = connection.execute(QUERIES["rules_version"]).fetchone()
    return 0 if row is None else int(row[0])


def newest_rules(connection: Connection) -> list[Rule]:
    """Return the newest version of every rule, by name, those that are off included."""
    return [_rule(row) for row in connection.execute(QUERIES["newest_rules"])]


def rule_versions(connection: Connection, name: str) -> list[Rule]:
    """Return every version of a rule, newest first. Raises Refused("unknown_record")."""
    versions = [_rule(row) for row in connection.execute(QUERIES["rule_versions"], {"name": name})]
    if not versions:
        raise Refused(
            "unknown_record",
            expected="the name of a rule",
            got=repr(name)[:80],
            remedy="Look it up in the list.",
        )
    return versions


def publish_rule(
    connection: Connection, draft: RuleDraft, now: datetime, *, person_id: int | None = None, reason: str | None = None
) -> Rule:
    """Store the next version of a rule, in force from then on.

    Raises Refused("invalid_rule") when it could not work, Refused("duplicate_record") when somebody published a
    version of it at the same moment.
    """
    draft.check()
    try:
        with connection.transaction():
            told = {**_columns(draft, now), "person_id": person_id, "reason": reason}
            row = connection.execute(QUERIES["insert_rule"], told).fetchone()
    except psycopg.errors.UniqueViolation as error:
        raise Refused(
            "duplicate_record",
            expected=f"one new version of rule '{draft.name}' at a time",
            got="another version published at the same moment",
            remedy="Read the rule again and repeat the change.",
        ) from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise Refused(
            "invalid_rule",
            expected="an asset type that exists, or none",
            got=repr(draft.asset_type),
            remedy="Create the asset type first, or correct the name.",
        ) from error
    assert row is not None  # an insert that returns
    return Rule(id=row[0], version=row[1], draft=draft, created_at=now, published_by=row[2], reason=reason)


def install_rule(connection: Connection, draft: RuleDraft, now: datetime) -> None:
    """Store a shipped rule as version 1, unless a rule of that name exists."""
    draft.check()
    connection.execute(QUERIES["insert_first_version"], _columns(draft, now))


def all_auto(connection: Connection, rule_ids: Sequence[int]) -> bool:
    """Say whether these versions may open tickets by themselves; no rules at all may."""
    rows = connection.execute(QUERIES["modes_of_rules"], {"rule_ids": list(rule_ids)}).fetchall()
    return all(mode == RuleMode.AUTO for (mode,) in rows)


def _rule(row: Sequence[Any]) -> Rule:
    rule_id, name, version, asset_type, metric, detector, parameters, severity, mode, created_at, login, reason = row
    return Rule(
        id=rule_id,
        version=version,
        draft=RuleDraft(name, asset_type, metric, detector, parameters, Severity(severity), RuleMode(mode)),
        created_at=created_at,
        published_by=login,
        reason=reason,
    )


def _columns(draft: RuleDraft, now: datetime) -> dict[str, object]:
    return {
        "name": draft.name,
        "asset_type_id": draft.asset_type,
        "metric": draft.metric,
        "detector": draft.detector,
        "parameters": json.dumps(dict(draft.parameters), allow_nan=False),
        "severity": draft.severity.value,
        "mode": draft.mode.value,
        "now": now,
    }
