"""How long things are kept: policy, versioned in the database (SPEC E7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Connection

from domain.refusals import Refused
from storage.levels import Level
from storage.policies import newest_body, publish_body, shipped_body

POLICY = "retention"
EVER = "ever"
LONGEST_DAYS = 36_500
# Rollups of TimescaleDB are refreshed up to twelve days back, from what is then still there.
SHORTEST_LEVEL_DAYS = 14

_LEVELS: Mapping[str, Level] = {
    "reading": Level.RAW,
    "reading_1m": Level.MINUTE,
    "reading_1h": Level.HOUR,
    "reading_1d": Level.DAY,
}
_ROWS = ("event", "stored_quarantine", "delivery_attempt")


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Days that things are kept, None for ever: readings and rollups by level, rows of other tables by name."""

    level_days: Mapping[Level, int | None]
    row_days: Mapping[str, int | None]

    def as_days(self) -> dict[str, int | Literal["ever"]]:
        """Return the days by name, as they are written in the policy."""
        days = {name: self.level_days[level] for name, level in _LEVELS.items()} | dict(self.row_days)
        return {name: "ever" if kept is None else kept for name, kept in days.items()}


def read_retention_policy(body: Mapping[str, object]) -> RetentionPolicy:
    """Check and return the policy. Raises Refused("invalid_policy") naming what is wrong."""
    days = body.get("days")
    if set(body) != {"name", "days"} or body["name"] != POLICY or not isinstance(days, Mapping):
        raise _invalid(f"the fields name = '{POLICY}' and days", f"the fields {', '.join(sorted(map(str, body)))}")
    expected = {*_LEVELS, *_ROWS}
    if set(days) != expected:
        wrong = ", ".join(sorted(map(str, set(days) ^ expected)))
        raise _invalid(f"days of {', '.join(sorted(expected))}", f"missing or unknown: {wrong}")
    levels = {level: _days(name, days[name], SHORTEST_LEVEL_DAYS) for name, level in _LEVELS.items()}
    in_order = [LONGEST_DAYS + 1 if kept is None else kept for kept in levels.values()]
    if in_order != sorted(in_order):
        given = ", ".join(f"{name} = {days[name]}" for name in _LEVELS)
        raise _invalid("each level kept at least as long as the finer one before it", given)
    return RetentionPolicy(levels, {name: _days(name, days[name], 1) for name in _ROWS})


def retention_in_force(connection: Connection) -> tuple[int | None, RetentionPolicy]:
    """Return id and content of the policy in force; before the first seeding, the shipped one without an id."""
    found = newest_body(connection, POLICY)
    return (
        (None, read_retention_policy(shipped_body(POLICY)))
        if found is None
        else (found[0], read_retention_policy(found[1]))
    )


def publish_retention(
    connection: Connection, body: Mapping[str, object], *, person_id: int | None, now: datetime
) -> int:
    """Check and publish the next version of the policy, in force from the next run of the job; return its id.

    Raises Refused("invalid_policy").
    """
    read_retention_policy(body)
    return publish_body(connection, POLICY, body, person_id=person_id, now=now)


def ensure_retention_policy(connection: Connection, now: datetime) -> None:
    """Publish the shipped policy when there is none yet."""
    if newest_body(connection, POLICY) is None:
        publish_retention(connection, shipped_body(POLICY), person_id=None, now=now)


def _days(name: str, value: object, shortest: int) -> int | None:
    if value == EVER:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not shortest <= value <= LONGEST_DAYS:
        raise _invalid(f"days of {name} as a whole number from {shortest} to {LONGEST_DAYS}, or '{EVER}'", repr(value))
    return value


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_policy", expected=expected, got=got[:200], remedy="Correct the policy and send it again.")
