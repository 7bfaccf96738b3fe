"""Where nobody fits: the last engineer who closed the same kind goes, else the team's lead (SPEC X3)."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection

from storage.dispatching import QUERIES, OpenJob, engineer_for
from ticketing.dispatching.assignment import exclusions
from ticketing.dispatching.rules import Rule, limit_of

# What must hold all the same: nobody goes without a certificate or a way in, nor who is away or of another team.
# Shift, duty, skills and brand give way; load does up to twice the limit, so that the pile does not move to one person.
WAIVED = frozenset({Rule.ON_DUTY, Rule.ON_SHIFT, Rule.SKILLS, Rule.BRAND, Rule.LOAD})
LOAD_FACTOR = 2
# Who closed the kind longer ago than this is not asked.
CLOSED_WITHIN = timedelta(days=365)


def is_fallback_due(open_job: OpenJob, now: datetime) -> bool:
    """Tell whether a ticket that nobody fits has waited long enough."""
    policy = open_job.policy
    is_urgent = open_job.job.priority <= policy.on_call_priority
    waited_s = (now - open_job.opened_at).total_seconds()
    return waited_s >= (policy.urgent_fallback_after_s if is_urgent else policy.fallback_after_s)


def fallback_for(connection: Connection, open_job: OpenJob, now: datetime) -> int | None:
    """Return who goes where nobody fits, None where there is neither a last engineer who may nor a lead."""
    kind = _kind_of(connection, open_job.ticket_id)
    for (person_id,) in connection.execute(QUERIES["last_closers"], {**kind, "since": now - CLOSED_WITHIN}).fetchall():
        if _may_go(connection, open_job, person_id, now):
            return int(person_id)
    lead = connection.execute(QUERIES["team_leads"], {**kind, "now": now}).fetchone()
    return None if lead is None else int(lead[0])


def leads_a_team(connection: Connection, person_id: int, now: datetime) -> bool:
    """Tell whether a person leads a team now, or stands in for who does."""
    return connection.execute(QUERIES["is_lead"], {"person_id": person_id, "now": now}).fetchone() is not None


def _kind_of(connection: Connection, ticket_id: UUID) -> dict[str, object]:
    row = connection.execute(QUERIES["ticket_kind"], {"ticket_id": ticket_id}).fetchone()
    names = ("asset_id", "failure_mode_id", "kind", "site_id", "team_id")
    return dict(zip(names, row or (), strict=True))


def _may_go(connection: Connection, open_job: OpenJob, person_id: int, now: datetime) -> bool:
    engineer = engineer_for(connection, person_id, now)
    if engineer is None:
        return False
    broken = {exclusion.rule for exclusion in exclusions(open_job.job, engineer, open_job.policy)}
    is_full = engineer.open_tickets >= LOAD_FACTOR * limit_of(engineer, open_job.policy)
    return broken <= WAIVED and not is_full
