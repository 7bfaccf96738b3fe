"""Priority: a score in four parts with its arithmetic shown (SPEC S1).

score = fault x situation x tier x history

* fault: severity of the failure mode (1 to 10) x the gravest finding x scope, which is the criticality of the asset
  and how many others of its area have the same fault;
* situation: the strongest of the critical windows that are open;
* tier of the requester;
* history: complaints about the asset and repeats of the fault in the last days.

The policy holds the factors and the scores from which P0 to P3 begin. A line stop is P0 whatever the score, and what
a person set stays until somebody ends it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum

from ticketing.policy.priority import PriorityPolicy
from ticketing.policy.score import HistoryPolicy, ScopePolicy, ScorePolicy

LAST_PRIORITY = 4


class Part(StrEnum):
    """The four parts of the score."""

    FAULT = "fault"
    SITUATION = "situation"
    TIER = "tier"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A critical window that is open now."""

    name: str
    factor: float


@dataclass(frozen=True, slots=True)
class PriorityInputs:
    """What a score is made of.

    ``severity`` is None while nobody knows the failure mode. ``finding_severity`` is the gravest finding's.
    ``other_assets`` counts further assets of the area with an open ticket for the same failure mode; ``complaints``
    and ``repeats`` count within the policy's days.
    """

    failure_mode: str | None
    severity: int | None
    criticality: int
    tier: str
    line_stopped: bool = False
    failure_mode_en: str | None = None
    failure_mode_zh: str | None = None
    finding_severity: str | None = None
    other_assets: int = 0
    windows: tuple[OpenWindow, ...] = ()
    complaints: int = 0
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class Factor:
    """One number of the product, of which part, and where it comes from: as a key and in two languages."""

    part: Part
    name: str
    value: float
    source: str
    source_en: str
    source_zh: str


@dataclass(frozen=True, slots=True)
class Override:
    """A level that a person set, with the reason; it holds until it is ended."""

    level: int
    reason: str
    person_id: int | None
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Priority:
    """P0 (most urgent) to P4, and how it came about. ``computed_level`` is what the score alone and a line stop say."""

    level: int
    computed_level: int
    score: float
    factors: tuple[Factor, ...]
    from_score: tuple[float, ...]
    line_stopped: bool
    override: Override | None = None

    def as_json(self) -> dict[str, object]:
        """Return the arithmetic as plain JSON, to be frozen on the ticket."""
        override = None if self.override is None else asdict(self.override) | {"at": self.override.at.isoformat()}
        return {
            "level": self.level,
            "computed_level": self.computed_level,
            "score": self.score,
            "factors": [asdict(factor) for factor in self.factors],
            "from_score": list(self.from_score),
            "line_stopped": self.line_stopped,
            "override": override,
        }

    def overridden_by(self, override: Override | None) -> Priority:
        """Return the priority as a person set it, or as it is computed when nobody did."""
        level = self.computed_level if override is None else override.level
        return replace(self, level=level, override=override)


def priority_of(priority: PriorityPolicy, score: ScorePolicy, inputs: PriorityInputs) -> Priority:
    """Return the priority of a fault under these rules."""
    factors = (
        _severity(priority, inputs),
        _finding(score, inputs),
        _criticality(priority, inputs),
        _scope(score.scope, inputs),
        _situation(score, inputs),
        _tier(priority, inputs),
        _history(score.history, inputs),
    )
    product = 1.0
    for factor in factors:
        product *= factor.value
    product = round(product, 3)
    reached = (level for level, least in enumerate(priority.from_score) if product >= least)
    level = 0 if inputs.line_stopped else next(reached, LAST_PRIORITY)
    return Priority(level, level, product, factors, priority.from_score, inputs.line_stopped)


def is_moved(before: float | None, after: float, least_move: float) -> bool:
    """Say whether a score moved by more than the share ``least_move`` of what it was; one that is not known did."""
    # Scores have three decimals; what is less than that comes from the arithmetic of floats.
    return before is None or abs(after - before) > least_move * abs(before) + 0.0005


def _severity(rules: PriorityPolicy, inputs: PriorityInputs) -> Factor:
    code = inputs.failure_mode or "unknown"
    english, chinese = inputs.failure_mode_en or code, inputs.failure_mode_zh or code
    if inputs.severity is None:
        english, chinese = "failure mode not known yet", "失效模式未知"
    return Factor(Part.FAULT, "severity", inputs.severity or rules.unknown_severity, code, english, chinese)


def _finding(rules: ScorePolicy, inputs: PriorityInputs) -> Factor:
    if inputs.finding_severity is None:
        return Factor(Part.FAULT, "finding", 1.0, "none", "no finding", "无检测发现")
    grade = inputs.finding_severity
    grade_zh = {"low": "低", "medium": "中", "high": "高", "critical": "严重"}[grade]
    said = (grade, f"gravest finding: {grade}", f"最严重的检测发现：{grade_zh}")
    return Factor(Part.FAULT, "finding", rules.finding[grade], *said)


def _criticality(rules: PriorityPolicy, inputs: PriorityInputs) -> Factor:
    grade = inputs.criticality
    said = (str(grade), f"criticality {grade} of 5", f"关键度 {grade}/5")
    return Factor(Part.FAULT, "criticality", rules.criticality[grade], *said)


def _scope(rules: ScopePolicy, inputs: PriorityInputs) -> Factor:
    count = inputs.other_assets
    said = (str(count), f"{count} more assets of the area with this fault", f"同区域另有 {count} 台资产出现该故障")
    return Factor(Part.FAULT, "scope", round(min(1.0 + rules.per_asset * count, rules.most), 3), *said)


def _situation(rules: ScorePolicy, inputs: PriorityInputs) -> Factor:
    if not inputs.windows:
        return Factor(Part.SITUATION, "situation", 1.0, "none", "no critical window is open", "当前无关键时段")
    strongest = max(inputs.windows, key=lambda window: window.factor)
    said = (strongest.name, f"critical window: {strongest.name}", f"关键时段：{strongest.name}")
    return Factor(Part.SITUATION, "situation", min(strongest.factor, rules.window_most), *said)


def _tier(rules: PriorityPolicy, inputs: PriorityInputs) -> Factor:
    said = (inputs.tier, f"requester's tier: {inputs.tier}", f"报修人等级：{inputs.tier}")
    return Factor(Part.TIER, "requester_tier", rules.tier.get(inputs.tier, 1.0), *said)


def _history(rules: HistoryPolicy, inputs: PriorityInputs) -> Factor:
    complaints, repeats = inputs.complaints, inputs.repeats
    factor = min(1.0 + rules.per_complaint * complaints + rules.per_repeat * repeats, rules.most)
    said = (
        f"{complaints}+{repeats}",
        f"{complaints} complaints and {repeats} repeats in {rules.days} days",
        f"{rules.days} 天内投诉 {complaints} 次、重复故障 {repeats} 次",
    )
    return Factor(Part.HISTORY, "history", round(factor, 3), *said)
