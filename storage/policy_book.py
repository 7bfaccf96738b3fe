"""The policies that people edit field by field: what each field may be, their versions, and how a version is published.

A policy is added here by a kind with its fields and its check; the API and the console then show and edit it. The
limits are those that the policy's own module checks a body by, so that they stand in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from psycopg import Connection

from domain.refusals import Refused
from storage import detection_policy, parts_policy
from storage.policies import QUERIES, publish_body, shipped_body

VERSIONS_MAX = 50

Body = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class PolicyField:
    """A number of a policy: ``path`` is its place in the body, as "budget.tickets_per_site_per_day".

    ``is_above``: the least itself is not allowed. ``by_site``: a table of such numbers by the id of a site, each of
    them optional; its fields are ``path`` with a dot and the site behind.
    """

    path: str
    least: float
    most: float
    is_whole: bool
    is_above: bool = False
    by_site: bool = False

    def of_site(self, site_id: str) -> PolicyField:
        """Return the field of one site."""
        return PolicyField(f"{self.path}.{site_id}", self.least, self.most, self.is_whole, self.is_above)

    def allows(self, value: float) -> bool:
        """Tell whether a number lies within the limits."""
        return self.least <= value <= self.most and not (self.is_above and value == self.least)


@dataclass(frozen=True, slots=True)
class PolicyKind:
    """A policy: its fields, and the check of a whole body, which raises Refused("invalid_policy")."""

    name: str
    fields: Sequence[PolicyField]
    check: Callable[[Connection, Body], None]


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A version; 0 is the shipped one, in force before the first seeding. Nobody published what was seeded."""

    version: int
    body: Body
    published_at: datetime | None
    published_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One number that differs between two versions; None where it is not set."""

    path: str
    before: float | None
    after: float | None


def _check_parts(connection: Connection, body: Body) -> None:
    parts_policy.read_parts_policy(body)


KINDS: Mapping[str, PolicyKind] = MappingProxyType(
    {
        detection_policy.POLICY: PolicyKind(
            detection_policy.POLICY,
            (
                *(
                    PolicyField(f"{section}.{name}", *limits)
                    for section, numbers in detection_policy.NUMBERS.items()
                    for name, limits in numbers.items()
                ),
                PolicyField("budget.sites", 0, detection_policy.MOST_TICKETS, is_whole=True, by_site=True),
            ),
            detection_policy.check_detection_policy,
        ),
        parts_policy.POLICY: PolicyKind(
            parts_policy.POLICY,
            (
                PolicyField("reserve_from_probability", 0, 1, is_whole=False, is_above=True),
                *(PolicyField(name, *limits, is_whole=True) for name, limits in parts_policy.DAYS.items()),
            ),
            _check_parts,
        ),
    }
)


def kind_of(name: str) -> PolicyKind:
    """Return the policy of this name. Raises Refused("unknown_record") where it is none that people edit here."""
    if name not in KINDS:
        raise Refused(
            "unknown_record",
            expected=f"a policy of {', '.join(KINDS)}",
            got=repr(name)[:100],
            remedy="Choose one of the list.",
        )
    return KINDS[name]


def versions(connection: Connection, kind: PolicyKind, limit: int = VERSIONS_MAX) -> list[PolicyVersion]:
    """Return the versions of a policy, the one in force first; before the first seeding, the shipped one."""
    rows = connection.execute(QUERIES["policy_versions"], {"name": kind.name, "limit": limit}).fetchall()
    return [PolicyVersion(*row) for row in rows] or [PolicyVersion(0, shipped_body(kind.name), None, None, None)]


def publish_version(
    connection: Connection,
    kind: PolicyKind,
    body: Body,
    *,
    after: int,
    reason: str,
    person_id: int | None,
    now: datetime,
) -> PolicyVersion:
    """Publish the next version, in force at once, for somebody who had read version ``after``; return it.

    Raises Refused("stale_record") when another is in force by now, "invalid_policy" where the body is not valid or
    says what is in force already.
    """
    connection.execute(QUERIES["hold_policies"])
    (newest,) = versions(connection, kind, 1)
    if newest.version != after:
        raise Refused(
            "stale_record",
            expected=f"version {newest.version} of the policy",
            got=f"version {after}",
            remedy="Read the policy again and repeat the change.",
        )
    kind.check(connection, body)
    if not changes(newest.body, body):
        raise Refused(
            "invalid_policy",
            expected="at least one field that differs from the version in force",
            got="the same values",
            remedy="Change a field first.",
        )
    publish_body(connection, kind.name, body, person_id=person_id, now=now, reason=reason)
    return versions(connection, kind, 1)[0]


def numbers_of(body: Body) -> dict[str, float]:
    """Return every number of a body by its path."""
    found: dict[str, float] = {}
    for name, value in body.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{path}": number for path, number in numbers_of(value).items()})
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found


def body_with(kind: PolicyKind, numbers: Mapping[str, float]) -> dict[str, object]:
    """Return the body that has these numbers by path; tables by site are there even when they are empty."""
    body: dict[str, object] = {"name": kind.name}
    for one in kind.fields:
        if one.by_site:
            _table(body, one.path)
    for path, value in numbers.items():
        section, _, name = path.rpartition(".")
        _table(body, section)[name] = value
    return body


def changes(before: Body, after: Body) -> list[FieldChange]:
    """Return the numbers that differ, in the order of their paths."""
    was, is_now = numbers_of(before), numbers_of(after)
    return [
        FieldChange(path, was.get(path), is_now.get(path))
        for path in sorted(was.keys() | is_now.keys())
        if was.get(path) != is_now.get(path)
    ]


def _table(body: dict[str, object], path: str) -> dict[str, object]:
    """Return the table at a path of the body, the body itself at "", made where it is missing."""
    table = body
    for name in path.split(".") if path else ():
        inner = table.setdefault(name, {})
        assert isinstance(inner, dict)  # only this function makes tables, and numbers come after them
        table = inner
    return table
