"""From when on a predicted part is reserved, and how long parts take to come: policy (SPEC P3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from domain.refusals import Refused
from storage.policies import newest_body, publish_body, shipped_body

POLICY = "parts"
DAYS = {"lead_time_days": (0, 1000), "dismissed_days": (0, 366)}


@dataclass(frozen=True, slots=True)
class PartsPolicy:
    """``reserve_from_probability`` in (0, 1]; the default lead time and the rest of a dismissed proposal in days."""

    reserve_from_probability: float
    lead_time_days: int
    dismissed_days: int


def read_parts_policy(body: Mapping[str, object]) -> PartsPolicy:
    """Check and return the policy. Raises Refused("invalid_policy") naming what is wrong."""
    expected = {"name", "reserve_from_probability", *DAYS}
    if set(body) != expected or body["name"] != POLICY:
        raise _invalid(f"name = '{POLICY}' and {', '.join(sorted(expected - {'name'}))}", ", ".join(sorted(body)))
    probability = body["reserve_from_probability"]
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 < probability <= 1:
        raise _invalid("reserve_from_probability above 0, at most 1", repr(probability))
    days: dict[str, int] = {}
    for name, (least, most) in DAYS.items():
        value = body[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _invalid(f"{name} as a whole number from {least} to {most}", repr(value))
        days[name] = value
    return PartsPolicy(float(probability), days["lead_time_days"], days["dismissed_days"])


def parts_policy(connection: Connection) -> PartsPolicy:
    """Return the policy in force; before the first seeding, the shipped one."""
    found = newest_body(connection, POLICY)
    return read_parts_policy(shipped_body(POLICY) if found is None else found[1])


def ensure_parts_policy(connection: Connection, now: datetime) -> None:
    """Publish the shipped policy when there is none yet."""
    if newest_body(connection, POLICY) is None:
        body = shipped_body(POLICY)
        read_parts_policy(body)
        publish_body(connection, POLICY, body, person_id=None, now=now)


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_policy", expected=expected, got=got[:200], remedy="Correct the policy and send it again.")
