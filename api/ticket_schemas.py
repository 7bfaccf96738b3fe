"""Tickets over the wire. What a client shows comes whole, with the next legal steps, so that it needs no rules."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, JsonValue, StringConstraints

from api.schemas import Asked, Facts, Key, Line, Prose, Told
from storage.breaker import Breaker
from storage.hand_overs import HandOverView
from storage.ticket_views import (
    AnswerView,
    AttachmentView,
    BillLineView,
    ClockView,
    DispatchView,
    EventView,
    EvidenceView,
    FindingView,
    HoldView,
    PredictionHead,
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


class TicketAnswer(Told):
    """Everything about one ticket: facts, clocks, checklist, bill of parts, evidence, timeline, next legal steps.

    ``confirmation_url_secret`` is there only in the answer to the command that made the link, to be shown as a QR
    code; it is not kept anywhere. ``dispatch_blocked_by`` is the site's breaker while it keeps this new ticket from
    being dispatched: what is frozen since when, and by which open P0.
    """

    ticket: TicketShape
    is_on_hold: bool
    gates: list[str]
    clocks: list[ClockView]
    holds: list[HoldView]
    tasks: list[TaskView]
    bill: list[BillLineView]
    dispatch: DispatchView | None
    findings: list[FindingView]
    prediction: PredictionHead | None
    evidence: list[EvidenceView]
    attachments: list[AttachmentView]
    answers: list[AnswerView]
    hand_overs: list[HandOverView]
    timeline: list[EventView]
    timeline_is_whole: bool
    next_steps: list[NextStep]
    heat: Heat | None = None
    dispatch_blocked_by: Breaker | None = None
    confirmation_url_secret: str | None = None


class Tickets(Told):
    """A page of tickets, newest first."""

    items: list[TicketSummary]
    next_cursor: str | None


class NewReport(Asked):
    """A fault that a person reports; the failure mode is a code of the asset's type, if they know it."""

    asset_id: Key
    title: Line
    description: Prose = ""
    failure_mode: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,64}$")] | None = None
    line_stopped: bool = False


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
