"""Intake: the one way to open a ticket, for every channel (SPEC T6, T10, S1, S4).

Everything a ticket is judged by later is frozen here: the policy's version, the arithmetic of its priority, its
clocks and its due date. Of two that open the same failure mode of the same asset at once, the unique index lets
one through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.ids import uuid7
from domain.refusals import Refused
from storage.calendars import calendar_of_ticket, read_calendar
from storage.intaking.planning import check_modes, plan_work
from storage.intaking.records import (
    AssetForTicket,
    Mode,
    asset_of,
    check_people,
    mode_of,
    open_code,
    prediction_to_open,
    ticket_of_reference,
)
from storage.ladders import plan
from storage.lookups import ask_lookups
from storage.notices import tell_about
from storage.policies import policy_in_force
from storage.priorities import Subject, after_opening, score_new
from storage.queries import load
from storage.tickets import read_ticket
from storage.timelines import append, new_event, save_clocks
from ticketing.actors import SYSTEM, Actor
from ticketing.intake import ORIGIN_OF, Channel, IntakeRequest, check_request
from ticketing.lifecycle import Command
from ticketing.priority import Priority
from ticketing.sla import RunningClock, open_clocks, ticket_due
from ticketing.ticket import Kind
from ticketing.timeline import ChainedEvent, chain, genesis
from ticketing.tracking import Origin, codes_exhausted, tracking_code

__all__ = ["Opened", "create_report", "open_from_prediction", "open_ticket"]

QUERIES = load("intake")
PARTS = load("parts")


@dataclass(frozen=True, slots=True)
class Opened:
    """The ticket of a request; ``is_new`` is false when the source had asked for it before."""

    ticket_id: UUID
    code: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Accepted:
    """A request with the records it stands on."""

    request: IntakeRequest
    asset: AssetForTicket
    mode: Mode | None
    now: datetime

    @property
    def mode_id(self) -> int | None:
        """The failure mode's id."""
        return self.mode.id if self.mode else None

    @property
    def requester_id(self) -> int | None:
        """Whom the ticket is for: the one named, else the person who asks, else the asset's requester."""
        request = self.request
        named = request.requester_id if request.requester_id is not None else request.actor.person_id
        return named if named is not None else self.asset.requester_id


def open_ticket(connection: Connection, request: IntakeRequest, now: datetime) -> Opened:
    """Open the ticket that is asked for, in the caller's transaction; a repeat of a source's record opens nothing.

    Raises ``Refused``: invalid_request or invalid_fact (texts, failure mode, requester, team, a serial number of
    several assets), unknown_record (asset), already_open (the failure mode of the asset has an open ticket, whose
    code it names).
    """
    check_request(request)
    if request.external is not None:
        known = ticket_of_reference(connection, request.external)
        if known is not None:
            return Opened(*known, is_new=False)
    asset = asset_of(connection, request)
    check_people(connection, request, asset.site_id)
    if request.channel is not Channel.SCHEDULE:  # a schedule's tasks were looked at when it was saved
        check_modes(connection, asset.id, request.tasks)
    accepted = _Accepted(request, asset, mode_of(connection, asset.id, request.failure_mode), now)
    opened = _open(connection, accepted)
    if opened is None:
        raise Refused(
            "already_open",
            expected="no open ticket for this failure mode of the asset",
            got=open_code(connection, asset.id, accepted.mode_id) or "one opened at the same time",
            remedy="Add what you saw as a note to that ticket.",
        )
    return opened


def open_from_prediction(connection: Connection, prediction_id: UUID, now: datetime) -> str | None:
    """Open a preventive ticket for an open prediction and return its code; None when that mode has one already."""
    prediction = prediction_to_open(connection, prediction_id)
    if open_code(connection, prediction.asset_id, prediction.failure_mode_id) is not None:
        return None
    tag = connection.execute(QUERIES["tag_of_asset"], {"asset_id": prediction.asset_id}).fetchone()
    assert tag is not None
    request = IntakeRequest(
        channel=Channel.DEVICE,
        kind=Kind.PREVENTIVE,
        actor=SYSTEM,
        title=f"{tag[0]}: {prediction.failure_mode_en} expected",
        title_zh=f"{tag[0]}：预计发生{prediction.failure_mode_zh}",
        asset_id=prediction.asset_id,
        failure_mode=prediction.failure_mode,
        prediction_id=prediction_id,
        evidence_at=prediction.evidence_at,
        # Evidence has equipment time, the ticket wall time: what counts is how long after the evidence it fails.
        failure_expected_at=now + (prediction.window_to - prediction.evidence_at),
    )
    try:
        return open_ticket(connection, request, now).code
    except Refused as refusal:
        # Somebody was quicker, between the look and the insert; nothing has been written yet.
        if refusal.name == "already_open":
            return None
        raise


def create_report(
    connection: Connection,
    *,
    asset_id: int,
    title: str,
    description: str,
    reporter: Actor,
    now: datetime,
    failure_mode: str | None = None,
    line_stopped: bool = False,
) -> str:
    """Open a corrective ticket for a person and return its code; ``open_ticket`` says what is refused."""
    request = IntakeRequest(
        channel=Channel.API if reporter.channel == "api" else Channel.CONSOLE,
        kind=Kind.CORRECTIVE,
        actor=reporter,
        title=title,
        description=description,
        asset_id=asset_id,
        failure_mode=failure_mode,
        line_stopped=line_stopped,
    )
    return open_ticket(connection, request, now).code


def _open(connection: Connection, accepted: _Accepted) -> Opened | None:
    request, asset, now = accepted.request, accepted.asset, accepted.now
    policy_id, policy = policy_in_force(connection)
    subject = Subject(
        asset.id, accepted.mode_id, accepted.requester_id, request.prediction_id, None, request.line_stopped
    )
    priority = score_new(connection, policy, subject, now)
    calendar_id = calendar_of_ticket(connection, policy, asset.site_id, accepted.requester_id)
    calendar = read_calendar(connection, calendar_id)
    clocks = open_clocks(policy, priority.level, asset.tier, now, calendar_id, calendar)
    ticket_id = uuid7(now)
    code = _next_code(connection, ORIGIN_OF[request.channel])
    facts = _opening_facts(request, priority, clocks)
    event = new_event(
        1,
        actor=request.actor,
        command=Command.OPEN.value,
        from_state=None,
        to_state="new",
        effective=False,
        summary="",
        facts=facts,
        now=now,
    )
    link = chain(genesis(ticket_id), event)
    due_at = ticket_due(clocks, request.failure_expected_at)
    if not _insert(connection, ticket_id, code, accepted, policy_id, priority, due_at, link):
        return None
    append(connection, ticket_id, link)
    save_clocks(connection, ticket_id, clocks)
    _prepare(connection, ticket_id, accepted)
    stored, ticket = read_ticket(connection, code, now)
    plan(connection, ticket, policy.escalation, now)
    tell_about(connection, stored, ticket, Command.OPEN, facts, now)
    after_opening(connection, stored, priority, now)
    return Opened(ticket_id, code, is_new=True)


def _insert(
    connection: Connection,
    ticket_id: UUID,
    code: str,
    accepted: _Accepted,
    policy_id: int,
    priority: Priority,
    due_at: datetime,
    link: ChainedEvent,
) -> bool:
    """Insert the ticket's row; False when one is open for this failure mode of the asset."""
    request, asset = accepted.request, accepted.asset
    title = request.title.strip()
    row = connection.execute(
        QUERIES["insert_ticket"],
        {
            "id": ticket_id,
            "code": code,
            "kind": request.kind,
            "channel": request.channel,
            "site_id": asset.site_id,
            "asset_id": asset.id,
            "failure_mode_id": accepted.mode_id,
            "prediction_id": request.prediction_id,
            "title_en": title,
            "title_zh": title if request.title_zh is None else request.title_zh.strip(),
            "description": request.description.strip(),
            "priority": priority.level,
            "priority_reason": Jsonb(priority.as_json()),
            "policy_id": policy_id,
            "requester_id": accepted.requester_id,
            "team_id": request.team_id,
            "line_stopped": priority.line_stopped,
            "parent_id": request.parent_id,
            "schedule_id": request.schedule_id,
            "due_on": request.due_on,
            "now": accepted.now,
            "due_at": due_at,
            "failure_expected_at": request.failure_expected_at,
            "evidence_at": request.evidence_at or accepted.now,
            "timeline_head": link.hash,
        },
    ).fetchone()
    return row is not None


def _prepare(connection: Connection, ticket_id: UUID, accepted: _Accepted) -> None:
    """Make the checklist, the bill and the evidence ready before anybody leaves; note whose record it is."""
    request = accepted.request
    key = {"ticket_id": ticket_id, "now": accepted.now}
    connection.execute(QUERIES["add_tasks"], {**key, "failure_mode_id": accepted.mode_id})
    plan_work(connection, ticket_id, request)
    ask_lookups(connection, ticket_id, accepted.now)
    if request.prediction_id is not None:
        connection.execute(PARTS["predict_bill"], {**key, "prediction_id": request.prediction_id})
        connection.execute(QUERIES["join_prediction_findings"], {**key, "prediction_id": request.prediction_id})
    if request.external is not None:
        named = {"source": request.external.source, "reference": request.external.reference.strip()}
        connection.execute(QUERIES["insert_reference"], {**key, **named})


def _opening_facts(
    request: IntakeRequest, priority: Priority, clocks: tuple[RunningClock, ...]
) -> Mapping[str, object]:
    told: dict[str, object] = {
        "title": request.title.strip(),
        "channel": request.channel.value,
        "priority": priority.level,
        "prediction_id": str(request.prediction_id) if request.prediction_id else None,
        "line_stopped": priority.line_stopped,
        "due": {clock.clock.value: clock.due_at.isoformat() for clock in clocks},
    }
    if request.external is not None:
        told |= {"source": request.external.source, "external_ref": request.external.reference.strip()}
    return told


def _next_code(connection: Connection, origin: Origin) -> str:
    """Take the next code of an origin. A number taken by a transaction that rolls back is never given again."""
    try:
        with connection.transaction():
            row = connection.execute(QUERIES[f"next_code_{origin.value.lower()}"]).fetchone()
    except psycopg.errors.SequenceGeneratorLimitExceeded:
        raise codes_exhausted(origin) from None
    assert row is not None
    return tracking_code(origin, row[0])
