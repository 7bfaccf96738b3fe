"""Findings in the database: stored once however often they are told, and put before the desk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import Connection

from detectors.bank import Cleared, FindingChange, Opened
from detectors.library import RuleMode
from detectors.parameters import Scalar
from domain.findings import Direction, Finding, Severity
from storage.queries import load

QUERIES = load("findings")

PAGE_LIMIT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class FindingOfRule:
    """A finding with the site of its asset and the version of the rule that raised it, as it was in force."""

    finding: Finding
    rule_mode: RuleMode
    site_id: str
    rule: str
    rule_version: int
    rule_metric: str
    rule_parameters: dict[str, Scalar]


def save_changes(connection: Connection, changes: Sequence[FindingChange], now: datetime) -> None:
    """Store what opened and cleared, and mark the assets' new evidence as due. Told twice, nothing changes."""
    opened = [change.finding for change in changes if isinstance(change, Opened)]
    if opened:
        _insert(connection, opened, now)
    cleared = [change for change in changes if isinstance(change, Cleared)]
    if cleared:
        connection.execute(
            QUERIES["clear_findings"],
            {
                "series_id": [change.series_id for change in cleared],
                "rule_id": [change.rule_id for change in cleared],
                "opened_at": [change.opened_at for change in cleared],
                "cleared_at": [change.cleared_at for change in cleared],
            },
        )


def _insert(connection: Connection, findings: Sequence[Finding], now: datetime) -> None:
    connection.execute(
        QUERIES["insert_findings"],
        {
            "now": now,
            "id": [finding.id for finding in findings],
            "rule_id": [finding.rule_id for finding in findings],
            "series_id": [finding.series_id for finding in findings],
            "asset_id": [finding.asset_id for finding in findings],
            "metric": [finding.metric for finding in findings],
            "detector": [finding.detector for finding in findings],
            "direction": [finding.direction.value for finding in findings],
            "severity": [finding.severity.value for finding in findings],
            "shadow": [finding.shadow for finding in findings],
            "opened_at": [finding.opened_at for finding in findings],
            "value": [finding.value for finding in findings],
            "score": [finding.score for finding in findings],
            "limit": [finding.limit for finding in findings],
            "evidence": [json.dumps(finding.evidence, allow_nan=False) for finding in findings],
        },
    )


def findings_of_asset(connection: Connection, asset_id: int, *, since: datetime, until: datetime) -> list[Finding]:
    """Return the findings that were open at some time from ``since`` to ``until`` (equipment time), oldest first."""
    rows = connection.execute(
        QUERIES["findings_of_asset"], {"asset_id": asset_id, "since": since, "until": until}
    ).fetchall()
    return [_finding(row) for row in rows]


def recent_findings(connection: Connection, *, asset_id: int | None, limit: int) -> list[Finding]:
    """Return the newest findings first, at most ``limit`` (1 to 1,000) of them; of all assets when None."""
    bounded = max(1, min(limit, PAGE_LIMIT_MAX))
    rows = connection.execute(QUERIES["recent_findings"], {"asset_id": asset_id, "limit": bounded}).fetchall()
    return [_finding(row) for row in rows]


def limits_coming(connection: Connection, asset_type: str) -> list[Finding]:
    """Return the open findings of assets of a type that say when their limit will be reached, newest first."""
    return [_finding(row) for row in connection.execute(QUERIES["limits_coming"], {"asset_type": asset_type})]


def finding_of_id(connection: Connection, finding_id: UUID) -> FindingOfRule | None:
    """Return one finding with its rule, None when there is none of that id."""
    row = connection.execute(QUERIES["finding_of_id"], {"id": finding_id}).fetchone()
    if row is None:
        return None
    width = len(Finding.__slots__)
    mode, *told = row[width:]
    return FindingOfRule(_finding(row[:width]), RuleMode(mode), *told)


def _finding(row: Sequence[object]) -> Finding:
    # The queries name the columns in the order of the fields.
    values: dict[str, Any] = dict(zip(Finding.__slots__, row, strict=True))
    values["direction"] = Direction(values["direction"])
    values["severity"] = Severity(values["severity"])
    return Finding(**values)
