"""The breaker of each site (SPEC S6): frozen in the transaction in which one P0 too many opens, told once, seen by all.

The policy in force counts, not those that are frozen on tickets: the breaker belongs to the site.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from storage.outbox import enqueue
from storage.policies import policy_in_force
from storage.queries import load
from ticketing.breaker import is_frozen_at

QUERIES = load("breaker")

# A notice names so many of the open P0; the board names them all.
CODES_TOLD = 10
# The messages to the supervisors.
FROZEN, THAWED = "breaker.frozen", "breaker.thawed"


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker of a site; ``freezes_from`` is the first priority that waits, ``p0_codes`` the open P0, oldest first.

    Both are None for a breaker that is not frozen; the limits are those of the policy in force.
    """

    site_id: str
    site_name: str
    frozen_since: datetime | None
    freezes_from: int | None
    p0_codes: list[str]
    freeze_above_p0: int
    thaw_at_p0: int

    def keeps_back(self, priority: int) -> bool:
        """Say whether tickets of this priority wait."""
        return self.freezes_from is not None and priority >= self.freezes_from


def is_frozen(connection: Connection, site_id: str, priority: int) -> bool:
    """Say whether the breaker of the site keeps tickets of this priority (0 to 4) from being dispatched."""
    asked = {"site_id": site_id, "priority": priority}
    return connection.execute(QUERIES["breaker_freezes"], asked).fetchone() is not None


def frozen_sites(connection: Connection, sites: Sequence[str] | None = None) -> list[Breaker]:
    """Return the breakers that are frozen at these sites; None means every site."""
    asked = {"sites": list(sites) if sites is not None else None}
    found = [site_id for (site_id,) in connection.execute(QUERIES["frozen_sites"], asked)]
    return read_breakers(connection, found) if found else []


def blocking(connection: Connection, site_id: str, priority: int) -> Breaker | None:
    """Return the breaker that keeps tickets of this priority from being dispatched at the site, None when none does."""
    return read_breakers(connection, [site_id])[0] if is_frozen(connection, site_id, priority) else None


def judge_site(connection: Connection, site_id: str, now: datetime) -> bool:
    """Count the open P0 of a site again, freeze or free it, and tell its supervisors; say whether it switched.

    Called in the transaction that opened, closed or re-graded a P0, after its change is written.
    """
    row = connection.execute(QUERIES["lock_breaker"], {"site_id": site_id, "now": now}).fetchone()
    assert row is not None
    since, freezes_from, counted = row
    codes = [code for (code,) in connection.execute(QUERIES["open_p0"], {"site_id": site_id})]
    rules = policy_in_force(connection)[1].breaker
    is_now = is_frozen_at(rules, open_p0=len(codes), was_frozen=since is not None)
    after = (now if since is None else since, rules.freezes_from) if is_now else (None, None)
    if (*after, len(codes)) == (since, freezes_from, counted):
        return False
    saved = {"site_id": site_id, "open_p0": len(codes), "frozen_since": after[0], "freezes_from": after[1], "now": now}
    connection.execute(QUERIES["set_breaker"], saved)
    if is_now is (since is not None):
        return False
    _tell(connection, site_id, is_now, codes, rules.freezes_from if is_now else freezes_from, now)
    return True


def judge_sites(connection: Connection, now: datetime) -> list[str]:
    """Judge every site whose count or whose policy may have moved; return those that switched."""
    sites = [site_id for (site_id,) in connection.execute(QUERIES["sites_to_judge"])]
    return [site_id for site_id in sites if judge_site(connection, site_id, now)]


def read_breakers(connection: Connection, sites: Sequence[str] | None = None) -> list[Breaker]:
    """Return the breakers of these sites; None means every site."""
    rules = policy_in_force(connection)[1].breaker
    parameters = {"sites": list(sites) if sites is not None else None}
    with connection.cursor(row_factory=class_row(_Stored)) as cursor:
        found = cursor.execute(QUERIES["read_breakers"], parameters).fetchall()
    return [
        Breaker(
            one.site_id,
            one.site_name,
            one.frozen_since,
            one.freezes_from,
            one.p0_codes,
            rules.freeze_above_p0,
            rules.thaw_at_p0,
        )
        for one in found
    ]


@dataclass(frozen=True, slots=True)
class _Stored:
    site_id: str
    site_name: str
    frozen_since: datetime | None
    freezes_from: int | None
    p0_codes: list[str]


def _tell(
    connection: Connection, site_id: str, is_now: bool, codes: list[str], freezes_from: int | None, now: datetime
) -> None:
    body: dict[str, object] = {
        "supervisors_of": site_id,
        "site": site_id,
        "open_p0": len(codes),
        "freezes_from": freezes_from,
        "codes": ", ".join(codes[:CODES_TOLD]),
    }
    enqueue(connection, FROZEN if is_now else THAWED, None, body, now)
