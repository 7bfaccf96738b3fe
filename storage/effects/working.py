"""Work on site: evidence, waits, parts and tasks."""

from __future__ import annotations

from datetime import datetime, timedelta

from storage.effects.case import Case, refuse_fact
from storage.parts import apply_lines
from storage.queries import load
from storage.supply import review_proposals

QUERIES = load("casework")


def check_execute(case: Case) -> None:
    """The photo or log must have been uploaded to this ticket."""
    asked = {"id": case.fact("attachment_id"), "ticket_id": case.row.id}
    if case.connection.execute(QUERIES["attachment_of_ticket"], asked).fetchone() is None:
        raise refuse_fact("attachment_id", f"a photo or log uploaded to {case.row.code}", asked["id"])


def check_review(case: Case) -> None:
    """A wait is looked at again within the days that the policy allows (SPEC T5)."""
    review_at, days = case.fact("review_at"), case.policy.lifecycle.review_within_days
    if isinstance(review_at, datetime) and review_at > case.now + timedelta(days=days):
        raise refuse_fact("review_at", f"a time within {days} days", review_at.isoformat())


def extend_hold(case: Case) -> None:
    """Move the review date of the open hold; when that has passed, people are told again."""
    parameters = {"ticket_id": case.row.id, "review_at": case.fact("review_at")}
    case.connection.execute(QUERIES["move_review"], parameters)


def hold(case: Case) -> None:
    """Begin the wait."""
    reason, review_at = case.fact("reason"), case.fact("review_at")
    parameters = {"ticket_id": case.row.id, "now": case.now, "reason": reason, "review_at": review_at}
    case.connection.execute(QUERIES["begin_hold"], parameters)


def use_parts(case: Case) -> None:
    """Book what was issued, used and returned, and look whether a reorder is needed still."""
    lines = case.fact("lines")
    assert isinstance(lines, tuple)
    review_proposals(case.connection, apply_lines(case.connection, case.row.id, lines, case.now), case.now)
