"""Tickets over the wire. What a client shows comes whole, with the next legal steps, so that it needs no rules."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from api.schemas import Asked, Facts, Prose, Told
from storage.breaker import Breaker
from storage.evidence_views import EvidenceView, FindingView, PredictionHead
from storage.hand_overs import HandOverView
from storage.links import LinkView
from storage.ticket_views import (
    AnswerView,
    AttachmentView,
    BillLineView,
    ClockView,
    DispatchView,
    EventView,
    ExpectedView,
    HoldView,
    OperationView,
    ReferenceView,
    TaskView,
    TicketSummary,
)
from ticketing.heat import Heat
from ticketing.steps import NextStep

TicketCode = Annotated[str, StringConstraints(pattern=r"^[DPSI][0-9]{6}$")]
SUMMARY_LENGTH_MAX = 200


class TicketShape(Told):
    """One ticket. ``evidence_at`` and ``work_finished_at`` are equipment time, the other times wall time."""

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
    priority_reason: dict[str, JsonValue]
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
    schedule_id: int | None
    due_on: date | None
    team_id: int | None
    team_name: str | None
    line_stopped: bool
    parent_code: str | None
    merged_into_code: str | None
    reopened_count: int
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
    flag: str | None
    version: int


class LookupShape(Told):
    """What was looked up about the ticket (warranty, history, duplicates, knowledge): pending, done or failed."""

    name: str
    state: str
    body: dict[str, JsonValue] | None
    asked_at: datetime
    done_at: datetime | None


class OriginShape(Told):
    """A ticket that was merged into this one; ``differences`` has survivor and merged value of each that differed."""

    code: str
    opened_at: datetime
    channel: str
    reporter: str | None
    title_en: str
    title_zh: str
    description: str
    differences: dict[str, dict[str, JsonValue]]
    merged_at: datetime


class TicketAnswer(Told):
    """Everything about one ticket: facts, clocks, checklist, bill of parts, evidence, timeline, next legal steps.

    ``expected`` is when it will be resolved by how long others took; null when resolved, or with nothing learned yet.
    ``confirmation_url_secret`` is there only in the answer to the command that made the link, to be shown as a QR
    code; it is not kept anywhere. A pending look-up is filled within seconds; ``is_charged`` says that the warranty
    was over when the ticket was opened. ``dispatch_blocked_by`` is the site's breaker while it keeps this new ticket
    from being dispatched: what is frozen since when, and by which open P0.
    """

    ticket: TicketShape
    is_on_hold: bool
    gates: list[str]
    clocks: list[ClockView]
    holds: list[HoldView]
    tasks: list[TaskView]
    operations: list[OperationView]
    bill: list[BillLineView]
    lookups: list[LookupShape]
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
    origins: list[OriginShape]
    timeline: list[EventView]
    timeline_is_whole: bool
    next_steps: list[NextStep]
    expected: ExpectedView | None
    heat: Heat | None = None
    dispatch_blocked_by: Breaker | None = None
    confirmation_url_secret: str | None = None


class Tickets(Told):
    """A page of tickets, newest first."""

    items: list[TicketSummary]
    next_cursor: str | None


class CommandBody(Asked):
    """A command's version (the one the person saw), a short summary, and the facts it needs (see next_steps)."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    summary: Annotated[str, StringConstraints(max_length=SUMMARY_LENGTH_MAX)] = ""
    facts: Annotated[Facts, Field(default_factory=dict)]


class AnswerBody(Asked):
    """The requester's two answers; after a "no" also the cause and a comment."""

    solved: bool
    satisfied: bool
    cause: Prose | None = None
    comment: Prose | None = None


class ConfirmationShape(Told):
    """What the holder of a confirmation link sees: the ticket's story so far, and how long the link is good."""

    code: str
    title_en: str
    title_zh: str
    state: str
    resolution_code: str | None
    cause: str | None
    action_taken: str | None
    work_finished_at: datetime | None
    resolved_at: datetime | None
    asset_tag: str
    asset_name: str
    site_name: str
    requester_name: str | None
    engineer_name: str | None
    expires_at: datetime


class AnswerTaken(Told):
    """The answer was recorded on this ticket."""

    code: str
