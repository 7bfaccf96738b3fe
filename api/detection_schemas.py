"""Detection over the wire: findings, rules, failure modes, predictions."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from api.schemas import Asked, Chart, Key, Line, LowWord, Moment, Told
from detectors.learning import LearntMode
from detectors.library import RuleMode
from domain.failure_modes import FailureMode
from domain.findings import Finding, Severity
from domain.predictions import WindowSource
from domain.regimes import OperatingRegimes
from storage.alarms import Alarm, Shelving
from storage.bearing_verdicts import BearingVerdict
from storage.console import FindingRow, Weight
from storage.detection_policy import DetectionPolicy
from storage.floods import Flood
from storage.prediction_decisions import PredictionDecision
from storage.rule_proposals import Proposal
from storage.rule_scores import RuleScore
from storage.supply import ExpectedPart

RULE_NAME = r"^[a-z0-9_.-]{1,64}$"
Number = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | Annotated[int, Field(ge=-(2**53), le=2**53)] | Number | Line | None


class Findings(Told):
    """Findings, newest first."""

    items: list[Finding]
    next_cursor: str | None


class Alarms(Told):
    """Findings that hold, or have cleared within a week without anybody acknowledging them; newest first."""

    items: list[Alarm]
    next_cursor: str | None


class Floods(Told):
    """Sites where so many machines have alarms at once that one cause is likely.

    ``tickets`` were opened before it was seen; ``waiting`` predictions open none by themselves until it is over. All of
    them on one page.
    """

    items: list[Flood]
    next_cursor: str | None


class Acknowledgement(Asked):
    """Findings that somebody says they know of."""

    findings: Annotated[list[UUID], Field(min_length=1, max_length=200)]


class Acknowledged(Told):
    """Those of them that nobody had acknowledged before."""

    findings: list[UUID]


class NewShelving(Asked):
    """What to set aside of an asset: a metric or every one, a rule or every one, at most 30 days ahead, and why."""

    asset_id: Key
    metric: Annotated[Line, Field(max_length=128)] | None = None
    rule: LowWord | None = None
    reason: Line
    until: Moment


class Shelvings(Told):
    """What is set aside or was, newest first."""

    items: list[Shelving]
    next_cursor: str | None


class EvidencePackShape(Chart):
    """A series as the detector had seen it when the finding opened, as columns; ``gaps`` are the silences in it."""

    frozen_at: datetime
    gaps: list[tuple[datetime, datetime]]


class FindingDetail(Told):
    """A finding with the rule's version that raised it, and what was frozen with it.

    ``packs`` is empty for the moment between the finding and the freezing of its evidence. It outlives the readings.
    ``bearings`` is what the newest vibration block of each bearing of the asset said at that moment.
    """

    finding: Finding
    rule: str
    rule_version: int
    rule_metric: str
    rule_parameters: dict[str, bool | int | float | str | None]
    rule_mode: RuleMode
    packs: list[EvidencePackShape]
    bearings: list[BearingVerdict]


class RuleShape(Told):
    """A version of a rule."""

    id: int
    name: str
    version: int
    asset_type: str | None
    metric: str
    detector: str
    parameters: dict[str, bool | int | float | str | None]
    severity: Severity
    mode: RuleMode
    created_at: datetime
    published_by: str | None
    reason: str | None


class Rules(Told):
    """The newest version of every rule."""

    items: list[RuleShape]
    next_cursor: str | None


class NewRule(Asked):
    """A rule to publish, and why. ``metric`` is a pattern (fnmatch); ``parameters`` are the detector's own, by name."""

    name: Annotated[str, StringConstraints(pattern=RULE_NAME)]
    asset_type: LowWord | None = None
    metric: Annotated[Line, Field(max_length=128)]
    detector: LowWord
    parameters: Annotated[dict[LowWord, Scalar], Field(max_length=50, default_factory=dict)]
    severity: Severity
    mode: RuleMode
    reason: Annotated[Line, Field(max_length=200)] | None = None


class AskedRegimes(Asked):
    """``edges`` in the unit of the metric, rising, one to seven: n edges part n + 1 regimes."""

    metric: Annotated[Line, Field(max_length=128)]
    edges: Annotated[list[Number], Field(max_length=100)]
    settle_s: Number = 0.0


class NewRegimes(Asked):
    """The operating regimes of an asset type, null for one only; and why, for the history of changes."""

    regimes: AskedRegimes | None
    reason: Line | None = None


class RegimesShape(Told):
    """The operating regimes of an asset type, null where it has one only or nobody has set any."""

    asset_type: str
    regimes: OperatingRegimes | None
    updated_at: datetime | None


class FailureModeShape(Told):
    """A failure mode with its id."""

    id: int
    mode: FailureMode


class FailureModes(Told):
    """The failure-mode library."""

    items: list[FailureModeShape]
    next_cursor: str | None


class FailureModeLearning(Told):
    """What closures taught about a failure mode, with the arithmetic, and the mode that follows.

    ``learnt`` is null until the first lessons of its asset type are read; the mode is then the library's own.
    """

    id: int
    library: FailureMode
    learnt: LearntMode | None
    learnt_at: datetime | None
    mode: FailureMode


class RuleVersions(Told):
    """Every version of a rule, newest first."""

    items: list[RuleShape]
    next_cursor: str | None


class RuleScores(Told):
    """The scores of rules: first of all versions of a rule together (version null), then of each, newest first."""

    items: list[RuleScore]
    next_cursor: str | None


class ProposalStatus(StrEnum):
    """What became of a proposal."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class RuleProposals(Told):
    """A page of proposals, newest first."""

    items: list[Proposal]
    next_cursor: str | None


class BudgetBody(Asked):
    """The ticket budget of predictions; ``sites`` have their own by id."""

    tickets_per_site_per_day: Annotated[int, Field(ge=0, le=10_000)]
    passes_from_severity: Annotated[int, Field(ge=1, le=11)]
    sites: Annotated[dict[LowWord, Annotated[int, Field(ge=0, le=10_000)]], Field(max_length=1_000)]


class DetectionPolicyBody(Asked):
    """The policy `detection`; editions/policy/detection.toml says what each field means."""

    budget: BudgetBody
    flood: Annotated[dict[LowWord, int | Number], Field(max_length=20)]
    learning: Annotated[dict[LowWord, int | Number], Field(max_length=20)]
    trust: Annotated[dict[LowWord, int | Number], Field(max_length=20)]


class DetectionPolicyShape(Told):
    """The policy in force; ``id`` is null before the first seeding, when it is the shipped one."""

    id: int | None
    policy: DetectionPolicy


class PredictionStatus(StrEnum):
    """What became of a prediction."""

    OPEN = "open"
    REJECTED = "rejected"
    LAPSED = "lapsed"
    CLOSED = "closed"
    MERGED = "merged"


class PredictionShape(Told):
    """A prediction. Evidence and window are equipment time, the other times wall time."""

    id: UUID
    asset_id: int
    site_id: str
    asset_tag: str
    asset_name: str
    failure_mode: str
    failure_mode_en: str
    failure_mode_zh: str
    stage: str
    status: PredictionStatus
    probability: float
    evidence_at: datetime
    first_evidence_at: datetime
    window_from: datetime
    window_to: datetime
    window_source: WindowSource
    window_source_en: str
    window_source_zh: str
    opened_at: datetime
    updated_at: datetime
    decided_by: int | None
    decision_reason: str | None
    version: int
    ticket_code: str | None
    held_by_budget_at: datetime | None
    held_by_flood_at: datetime | None
    snoozed_until: datetime | None
    merged_into: UUID | None


class PredictionDetail(PredictionShape):
    """A prediction with what moved its log-odds, the findings behind it, the parts it expects, what people decided."""

    evidence: list[Weight]
    findings: list[FindingRow]
    parts: list[ExpectedPart]
    decisions: list[PredictionDecision]


class Predictions(Told):
    """A page of predictions, newest first."""

    items: list[PredictionShape]
    next_cursor: str | None


class Decision(Asked):
    """Why a planner decides so."""

    reason: Line


class Merge(Asked):
    """Into which prediction of the same asset this one is folded, and why."""

    into: UUID
    reason: Line


class Snooze(Asked):
    """Until when a prediction opens no ticket by itself, and why."""

    until: Moment
    reason: Line


class PredictionEdit(Asked):
    """What a prediction should say, and why; what is left out stays. The window is equipment time."""

    failure_mode: LowWord | None = None
    window_from: Moment | None = None
    window_to: Moment | None = None
    reason: Line
