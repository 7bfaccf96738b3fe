"""Rule scores: how often each rule was right, how early, and with which parts, by what closures said (SPEC P4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection

from detectors.trust import Precision, precision
from storage.queries import load

QUERIES = load("rule_scores")

RECENT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Figures:
    """What closures said about a rule.

    Of the ``tickets`` it spoke for, ``right`` found the predicted mode, ``wrong`` no fault at all, ``other_mode``
    another fault; the rest did not say. ``precision`` is right among right and wrong. ``lead_h`` is the median from
    the rule's finding to the end of the repair, ``part_hit_rate`` the share of the parts used that were predicted,
    both of the right ones; None when there are none.
    """

    findings: int
    tickets: int
    right: int
    wrong: int
    other_mode: int
    precision: Precision
    lead_h: float | None
    part_hit_rate: float | None


@dataclass(frozen=True, slots=True)
class RuleScore:
    """The figures of one version of a rule, or (version None) of all its versions: ever, and of the last 90 days."""

    name: str
    version: int | None
    ever: Figures
    recent: Figures


def rule_scores(connection: Connection, now: datetime, credibility: float, name: str | None = None) -> list[RuleScore]:
    """Return the scores of every rule, or of one: first of all its versions together, then of each, newest first."""
    ever = _figures(connection, None, credibility, name)
    recent = _figures(connection, now - RECENT, credibility, name)
    return [RuleScore(rule, version, figures, recent[rule, version]) for (rule, version), figures in ever.items()]


def _figures(
    connection: Connection, since: datetime | None, credibility: float, name: str | None
) -> Mapping[tuple[str, int | None], Figures]:
    rows = connection.execute(QUERIES["rule_scores"], {"since": since, "name": name})
    return {
        (rule, version): Figures(
            findings=findings,
            tickets=tickets,
            right=right,
            wrong=wrong,
            other_mode=other,
            precision=precision(right, wrong, credibility),
            lead_h=lead_h,
            part_hit_rate=parts_hit / parts_used if parts_used else None,
        )
        for rule, version, findings, tickets, right, wrong, other, lead_h, parts_used, parts_hit in rows
    }
