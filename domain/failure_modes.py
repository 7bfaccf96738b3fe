"""Failure modes of an asset type: how each shows itself, what it needs, and which parts (SPEC P1, ISO 14224)."""

from __future__ import annotations

from dataclasses import dataclass

from domain.findings import Direction


@dataclass(frozen=True, slots=True)
class FindingSign:
    """Evidence from a finding: ``detector`` ("*" for any) on ``metric`` in ``direction`` (None for either).

    It counts ``log_odds`` (natural logarithm) while it is at most ``within_h`` hours old.
    """

    metric: str
    detector: str
    direction: Direction | None
    within_h: float
    log_odds: float


@dataclass(frozen=True, slots=True)
class EventSign:
    """Evidence from an event with this ``code`` at most ``within_h`` hours old."""

    code: str
    within_h: float
    log_odds: float


@dataclass(frozen=True, slots=True)
class PartAgeSign:
    """Evidence from the age of the mode's component, in days: one weight from ``from_days`` on, one before."""

    from_days: float
    log_odds_older: float
    log_odds_younger: float


@dataclass(frozen=True, slots=True)
class Signature:
    """All the signs of a mode. Of several matching signs for the same metric, or events, the strongest counts."""

    findings: tuple[FindingSign, ...] = ()
    events: tuple[EventSign, ...] = ()
    part_age: PartAgeSign | None = None


@dataclass(frozen=True, slots=True)
class PartNeed:
    """A part that repairing the mode uses: its number, how many, and how often it is really needed (0 to 1]."""

    number: str
    name_en: str
    name_zh: str
    quantity: int
    probability: float


@dataclass(frozen=True, slots=True)
class Task:
    """One line of the checklist."""

    text_en: str
    text_zh: str


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One way an asset type fails.

    ``prior`` is the probability in (0, 1) that the mode is under way when nothing is known. At
    ``watch_probability`` a prediction opens, at ``ticket_probability`` it asks for a ticket. The failure is
    expected ``window_from_h`` to ``window_to_h`` hours after the evidence. ``severity`` is 1 (slight) to 10.
    """

    code: str
    asset_type: str
    name_en: str
    name_zh: str
    effect_en: str
    effect_zh: str
    severity: int
    component: str
    prior: float
    watch_probability: float
    ticket_probability: float
    window_from_h: float
    window_to_h: float
    skills: tuple[str, ...]
    tasks: tuple[Task, ...]
    parts: tuple[PartNeed, ...]
    signature: Signature
