"""Failure modes of an asset type: how each shows itself, what it needs, and which parts (SPEC P1, ISO 14224)."""

from __future__ import annotations

from dataclasses import dataclass

from domain.checklists import Task
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
    """Evidence from an event with this ``code`` at most ``within_h`` hours old.

    With ``also``, all these other codes must have been told within the same time: some faults announce themselves by
    a pair of codes of which each alone means nothing.
    """

    code: str
    within_h: float
    log_odds: float
    also: tuple[str, ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """All codes that the sign asks for."""
        return (self.code, *self.also)


@dataclass(frozen=True, slots=True)
class PartAgeSign:
    """Evidence from the age of the mode's component, in days: one weight from ``from_days`` on, one before."""

    from_days: float
    log_odds_older: float
    log_odds_younger: float


@dataclass(frozen=True, slots=True)
class HistorySign:
    """Evidence from what was found on this asset before.

    ``recurrence_log_odds`` counts when the mode was repaired within the last 30 days: a repair that did not hold
    (SPEC C5). ``no_fault_log_odds`` counts for each closure of the last 90 days that found no such fault, three at
    most: here the signs have cried wolf.
    """

    recurrence_log_odds: float = 0.7
    no_fault_log_odds: float = -0.7


@dataclass(frozen=True, slots=True)
class Signature:
    """All the signs of a mode. Of several matching signs for the same metric, or events, the strongest counts."""

    findings: tuple[FindingSign, ...] = ()
    events: tuple[EventSign, ...] = ()
    part_age: PartAgeSign | None = None
    history: HistorySign = HistorySign()


@dataclass(frozen=True, slots=True)
class PartNeed:
    """A part that repairing the mode uses: its number, how many, and how often it is really needed (0 to 1]."""

    number: str
    name_en: str
    name_zh: str
    quantity: int
    probability: float


@dataclass(frozen=True, slots=True)
class FailureMode:
    """One way an asset type fails.

    ``prior`` is the probability in (0, 1) that the mode is under way when nothing is known. At
    ``watch_probability`` a prediction opens, at ``ticket_probability`` it asks for a ticket. The failure is
    expected ``window_from_h`` to ``window_to_h`` hours after the evidence. ``severity`` is 1 (slight) to 10.

    What follows the signature is for people: the maintainable item, the failure mechanism and the failure cause in the
    words of ISO 14224 ("" where nobody has said), and the ratings of an FMEA (IEC 60812) from 1 to 10: how often the
    mode occurs, and how hard it is to detect.
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
    item_en: str = ""
    item_zh: str = ""
    mechanism_en: str = ""
    mechanism_zh: str = ""
    cause_en: str = ""
    cause_zh: str = ""
    occurrence: int | None = None
    detection: int | None = None
