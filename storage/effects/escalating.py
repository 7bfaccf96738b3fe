"""Escalations that somebody has seen."""

from __future__ import annotations

from storage.effects.case import Case
from storage.queries import load

QUERIES = load("escalations")


def acknowledge(case: Case) -> None:
    """Silence what has told somebody on this ticket; the next ladder speaks again (SPEC N2)."""
    asked = {"ticket_id": case.row.id, "person_id": case.actor.person_id, "now": case.now}
    case.connection.execute(QUERIES["acknowledge"], asked)
