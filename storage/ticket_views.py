"""Tickets as pages and API answers show them: plain rows, read by storage/tickets.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from storage.breaker import Breaker
from storage.dispatch_views import DispatchView
from storage.evidence_views import EvidenceView, FindingView, PredictionHead
from storage.hand_overs import HandOverView
from storage.intake_views import LookupView, ReferenceView
from storage.links import LinkView, OriginView
from storage.operation_views import OperationView
from ticketing.eta import ExpectedResolution
from ticketing.heat import Heat
from ticketing.steps import NextStep


@dataclass(frozen=True, slots=True)
class TicketSummary:
    """A ticket as a list shows it. ``is_breached``: a clock was stopped late, or its overrun has been noticed."""

    id: UUID
    code: str
    kind: str
    state: str
    outcome: str | None
    title_en: str
    title_zh: str
    priority: int
    site_id: str
    asset_id: int
    asset_tag: str
    asset_name: str
    asset_type_id: str
    failure_mode: str | None
    failure_mode_en: str | None
    failure_mode_zh: str | None
    assignee_id: int | None
    assignee_name: str | None
    opened_at: datetime
    due_at: datetime
    resolved_at: datetime | None
    confirmed_at: datetime | None
    closed_at: datetime | None
    last_effective_at: datetime
    is_on_hold: bool
    is_breached: bool
    flag: str | None
    version: int


@dataclass(frozen=True, slots=True)
class TicketPage:
    """One page of a list; ``next_cursor`` is None on the last one."""

    items: list[TicketSummary]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TicketRow:
    """What one row of the database says about a ticket."""

    id: UUID
    code: str
    kind: str
    channel: str | None
    state: str
    outcome: str | None
    title_en: str
    title_zh: str
    description: str
    priority: int
    priority_reason: dict[str, object]
    policy_id: int
    site_id: str
    site_name: str
    calendar_id: str
    asset_id: int
    asset_tag: str
    asset_name: str
    asset_type_id: str
    failure_mode: str | None
    failure_mode_en: str | None
    failure_mode_zh: str | None
    failure_effect_en: str | None
    failure_effect_zh: str | None
    prediction_id: UUID | None
    requester_id: int | None
    requester_name: str | None
    requester_tier: str
    priority_override: int | None
    assignee_id: int | None
    assignee_name: str | None
    team_id: int | None
    team_name: str | None
    line_stopped: bool
    parent_code: str | None
    merged_into_id: UUID | None
    merged_into_code: str | None
    reopened_count: int
    schedule_id: int | None
    due_on: date | None
    opened_at: datetime
    due_at: datetime
    failure_expected_at: datetime | None
    evidence_at: datetime
    expected_response_at: datetime | None
    responded_at: datetime | None
    resolution_code: str | None
    found_failure_mode: str | None
    found_failure_mode_en: str | None
    found_failure_mode_zh: str | None
    cause: str | None
    action_taken: str | None
    work_finished_at: datetime | None
    resolved_at: datetime | None
    confirmed_at: datetime | None
    confirmed_by: int | None
    confirmed_by_name: str | None
    closed_at: datetime | None
    last_effective_at: datetime
    version: int
    timeline_length: int
    timeline_head: bytes
    flag: str | None
    reached: list[int]


@dataclass(frozen=True, slots=True)
class ClockRow:
    """A clock as stored: ``target_s`` is working time on ``calendar_id``, or round the clock when that is None."""

    clock: str
    calendar_id: str | None
    target_s: int
    started_at: datetime
    due_at: datetime
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True)
class ClockView:
    """A clock as shown; ``state`` is running, paused, met or breached. While paused, ``due_at`` will move on."""

    clock: str
    state: str
    target_s: int
    round_the_clock: bool
    started_at: datetime
    due_at: datetime
    stopped_at: datetime | None


@dataclass(frozen=True, slots=True)
class HoldView:
    """A wait, ended or not."""

    started_at: datetime
    reason: str
    review_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class TaskView:
    """One line of the checklist; ``done_by`` is a name.

    A task with a unit or limits asks for a reading. ``result`` is ok, failed or not_applicable once it is done;
    ``opened_code`` names the ticket that a failure opened or joined, where ``opens_ticket`` says that it does;
    ``failure_mode`` is the one that the failure is a sign of, where that is known.
    """

    number: int
    text_en: str
    text_zh: str
    done_at: datetime | None
    done_by: str | None
    unit: str | None
    low_limit: float | None
    high_limit: float | None
    opens_ticket: bool
    failure_mode: str | None
    failure_mode_en: str | None
    failure_mode_zh: str | None
    result: str | None
    reading: float | None
    remark: str | None
    opened_code: str | None


@dataclass(frozen=True, slots=True)
class BillLineView:
    """One part: pieces predicted (with probability), issued, used, returned, and on hand in the store.

    ``reserved`` pieces are kept for this ticket; ``instead`` says which of them are of other parts: "2 × PU-81".
    """

    part_number: str
    name_en: str
    name_zh: str
    unit: str
    predicted: int
    probability: float | None
    issued: int
    used: int
    returned: int
    on_hand: int
    reserved: int
    instead: list[str]


@dataclass(frozen=True, slots=True)
class AttachmentView:
    """A file of the ticket; ``added_by`` is a name."""

    id: UUID
    kind: str
    file_name: str
    media_type: str
    size_bytes: int
    added_by: str | None
    added_at: datetime


@dataclass(frozen=True, slots=True)
class EventView:
    """One event of the timeline; ``hash`` is hexadecimal."""

    number: int
    at: datetime
    actor_kind: str
    actor_id: int | None
    actor_name: str
    channel: str
    command: str
    from_state: str | None
    to_state: str
    effective: bool
    summary: str
    facts: dict[str, object]
    hash: str


@dataclass(frozen=True, slots=True)
class AnswerView:
    """What the requester answered by the link."""

    solved: bool
    satisfied: bool
    cause: str | None
    comment: str | None
    answered_at: datetime


@dataclass(frozen=True, slots=True)
class TicketDetail:
    """Everything a ticket's page needs. ``confirmation_url_secret`` is set only in the answer that made the link.

    ``is_charged``: the warranty was over when the ticket was opened. ``dispatch_blocked_by`` is the site's breaker
    while it keeps this new ticket from being dispatched (SPEC S6).
    """

    ticket: TicketRow
    is_on_hold: bool
    gates: list[str]
    clocks: list[ClockView]
    holds: list[HoldView]
    tasks: list[TaskView]
    operations: list[OperationView]
    bill: list[BillLineView]
    lookups: list[LookupView]
    is_charged: bool
    references: list[ReferenceView]
    dispatch: DispatchView | None
    findings: list[FindingView]
    prediction: PredictionHead | None
    evidence: list[EvidenceView]
    attachments: list[AttachmentView]
    answers: list[AnswerView]
    hand_overs: list[HandOverView]
    links: list[LinkView]
    origins: list[OriginView]
    timeline: list[EventView]
    timeline_is_whole: bool
    next_steps: list[NextStep]
    expected: ExpectedResolution | None = None
    heat: Heat | None = None
    dispatch_blocked_by: Breaker | None = None
    confirmation_url_secret: str | None = None
