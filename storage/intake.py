"""Intake: opening tickets, from predictions and from people (SPEC T6, T10, S1, S4).

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
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from domain.ids import uuid7
from domain.refusals import Refused
from storage.calendars import read_calendar
from storage.ladders import plan
from storage.notices import tell_about
from storage.policies import policy_in_force
from storage.queries import load
from storage.tickets import read_ticket
from storage.timelines import append, new_event, save_clocks
from ticketing.actors import SYSTEM, Actor
from ticketing.lifecycle import Command
from ticketing.policy.whole import Policy
from ticketing.priority import Priority, priority_of
from ticketing.sla import RunningClock, open_clocks, ticket_due
from ticketing.summaries import check_text
from ticketing.ticket import Kind
from ticketing.timeline import ChainedEvent, chain, genesis
from ticketing.tracking import Origin, codes_exhausted, tracking_code

QUERIES = load("intake")
PARTS = load("parts")

MAX_TITLE = 120
MAX_DESCRIPTION = 4_000


@dataclass(frozen=True, slots=True)
class _Asset:
    id: int
    tag: str
    name: str
    site_id: str
    calendar_id: str
    criticality: int
    requester_id: int | None
    tier: str


@dataclass(frozen=True, slots=True)
class _Prediction:
    asset_id: int
    failure_mode_id: int
    evidence_at: datetime
    window_to: datetime
    failure_mode: str
    failure_mode_en: str
    failure_mode_zh: str
    severity: int


@dataclass(frozen=True, slots=True)
class _Mode:
    id: int
    code: str
    name_en: str
    name_zh: str
    severity: int


@dataclass(frozen=True, slots=True)
class _NewTicket:
    """What differs between the ways in."""

    origin: Origin
    kind: Kind
    title_en: str
    title_zh: str
    description: str
    failure_mode_id: int | None
    prediction_id: UUID | None
    requester_id: int | None
    evidence_at: datetime
    failure_expected_at: datetime | None
    actor: Actor
    team_id: int | None = None
    parent_id: UUID | None = None


def open_from_prediction(connection: Connection, prediction_id: UUID, now: datetime) -> str | None:
    """Open a preventive ticket for an open prediction and return its code; None when that mode has one already."""
    with connection.cursor(row_factory=class_row(_Prediction)) as cursor:
        prediction = cursor.execute(QUERIES["prediction_to_open"], {"prediction_id": prediction_id}).fetchone()
    if prediction is None:
        raise Refused(
            "unknown_record",
            expected="an open prediction",
            got=str(prediction_id),
            remedy="It was rejected, lapsed or closed meanwhile.",
        )
    if _open_code(connection, prediction.asset_id, prediction.failure_mode_id) is not None:
        return None
    asset = _asset(connection, prediction.asset_id, None)
    policy_id, policy = policy_in_force(connection)
    priority = priority_of(
        policy,
        failure_mode=prediction.failure_mode,
        severity=prediction.severity,
        criticality=asset.criticality,
        tier=asset.tier,
    )
    new = _NewTicket(
        origin=Origin.DEVICE,
        kind=Kind.PREVENTIVE,
        title_en=f"{asset.tag}: {prediction.failure_mode_en} expected",
        title_zh=f"{asset.tag}：预计发生{prediction.failure_mode_zh}",
        description="",
        failure_mode_id=prediction.failure_mode_id,
        prediction_id=prediction_id,
        requester_id=asset.requester_id,
        evidence_at=prediction.evidence_at,
        # Evidence has equipment time, the ticket wall time: what counts is how long after the evidence it fails.
        failure_expected_at=now + (prediction.window_to - prediction.evidence_at),
        actor=SYSTEM,
    )
    return _open(connection, new, asset, policy_id, policy, priority, now)


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
    """Open a corrective ticket for a person and return its code. A line stop is P0 (SPEC S1).

    Raises ``Refused``: unknown_record (asset), invalid_request (title, description, failure mode), already_open.
    """
    title, description = _text("title", title, 1, MAX_TITLE), _text("description", description, 0, MAX_DESCRIPTION)
    asset = _asset(connection, asset_id, reporter.person_id)
    mode = _mode(connection, asset_id, failure_mode)
    policy_id, policy = policy_in_force(connection)
    priority = priority_of(
        policy,
        failure_mode=mode.code if mode else None,
        severity=mode.severity if mode else None,
        criticality=asset.criticality,
        tier=asset.tier,
        line_stopped=line_stopped,
    )
    new = _NewTicket(
        origin=Origin.PERSON,
        kind=Kind.CORRECTIVE,
        title_en=title,
        title_zh=title,
        description=description,
        failure_mode_id=mode.id if mode else None,
        prediction_id=None,
        requester_id=reporter.person_id if reporter.person_id is not None else asset.requester_id,
        evidence_at=now,
        failure_expected_at=None,
        actor=reporter,
    )
    code = _open(connection, new, asset, policy_id, policy, priority, now)
    if code is None:
        raise Refused(
            "already_open",
            expected="no open ticket for this failure mode of the asset",
            got=_open_code(connection, asset_id, mode.id if mode else None) or "one opened at the same time",
            remedy="Add what you saw as a note to that ticket.",
        )
    return code


def _open(
    connection: Connection,
    new: _NewTicket,
    asset: _Asset,
    policy_id: int,
    policy: Policy,
    priority: Priority,
    now: datetime,
) -> str | None:
    calendar = read_calendar(connection, asset.calendar_id)
    clocks = open_clocks(policy, priority.level, asset.tier, now, asset.calendar_id, calendar)
    ticket_id = uuid7(now)
    code = _next_code(connection, new.origin)
    facts = _opening_facts(new, priority, clocks)
    event = new_event(
        1,
        actor=new.actor,
        command=Command.OPEN.value,
        from_state=None,
        to_state="new",
        effective=False,
        summary="",
        facts=facts,
        now=now,
    )
    link = chain(genesis(ticket_id), event)
    due_at = ticket_due(clocks, new.failure_expected_at)
    if not _insert(connection, ticket_id, code, new, asset, policy_id, priority, due_at, link, now):
        return None
    append(connection, ticket_id, link)
    save_clocks(connection, ticket_id, clocks)
    _prepare(connection, ticket_id, new, now)
    stored, ticket = read_ticket(connection, code)
    plan(connection, ticket, policy.escalation, now)
    tell_about(connection, stored, ticket, Command.OPEN, facts, now)
    return code


def _insert(
    connection: Connection,
    ticket_id: UUID,
    code: str,
    new: _NewTicket,
    asset: _Asset,
    policy_id: int,
    priority: Priority,
    due_at: datetime,
    link: ChainedEvent,
    now: datetime,
) -> bool:
    """Insert the ticket's row; False when one is open for this failure mode of the asset."""
    row = connection.execute(
        QUERIES["insert_ticket"],
        {
            "id": ticket_id,
            "code": code,
            "kind": new.kind,
            "site_id": asset.site_id,
            "asset_id": asset.id,
            "failure_mode_id": new.failure_mode_id,
            "prediction_id": new.prediction_id,
            "title_en": new.title_en,
            "title_zh": new.title_zh,
            "description": new.description,
            "priority": priority.level,
            "priority_reason": Jsonb(priority.as_json()),
            "policy_id": policy_id,
            "requester_id": new.requester_id,
            "team_id": new.team_id,
            "line_stopped": priority.line_stopped,
            "parent_id": new.parent_id,
            "now": now,
            "due_at": due_at,
            "failure_expected_at": new.failure_expected_at,
            "evidence_at": new.evidence_at,
            "timeline_head": link.hash,
        },
    ).fetchone()
    return row is not None


def _prepare(connection: Connection, ticket_id: UUID, new: _NewTicket, now: datetime) -> None:
    """Make the checklist, the bill and the evidence ready before anybody leaves."""
    key = {"ticket_id": ticket_id, "now": now}
    connection.execute(QUERIES["add_tasks"], {**key, "failure_mode_id": new.failure_mode_id})
    if new.prediction_id is not None:
        connection.execute(PARTS["predict_bill"], {**key, "prediction_id": new.prediction_id})
        connection.execute(QUERIES["join_prediction_findings"], {**key, "prediction_id": new.prediction_id})


def _opening_facts(new: _NewTicket, priority: Priority, clocks: tuple[RunningClock, ...]) -> Mapping[str, object]:
    return {
        "title": new.title_en,
        "priority": priority.level,
        "prediction_id": str(new.prediction_id) if new.prediction_id else None,
        "line_stopped": priority.line_stopped,
        "due": {clock.clock.value: clock.due_at.isoformat() for clock in clocks},
    }


def _next_code(connection: Connection, origin: Origin) -> str:
    """Take the next code of an origin. A number taken by a transaction that rolls back is never given again."""
    try:
        with connection.transaction():
            row = connection.execute(QUERIES[f"next_code_{origin.value.lower()}"]).fetchone()
    except psycopg.errors.SequenceGeneratorLimitExceeded:
        raise codes_exhausted(origin) from None
    assert row is not None
    return tracking_code(origin, row[0])


def _asset(connection: Connection, asset_id: int, requester_id: int | None) -> _Asset:
    with connection.cursor(row_factory=class_row(_Asset)) as cursor:
        asked = {"asset_id": asset_id, "requester_id": requester_id}
        found = cursor.execute(QUERIES["asset_for_ticket"], asked).fetchone()
    if found is None:
        raise Refused("unknown_record", expected="an asset", got=str(asset_id), remedy="Check the asset's id.")
    return found


def _mode(connection: Connection, asset_id: int, code: str | None) -> _Mode | None:
    if not code:
        return None
    with connection.cursor(row_factory=class_row(_Mode)) as cursor:
        found = cursor.execute(QUERIES["mode_for_report"], {"asset_id": asset_id, "code": code}).fetchone()
    if found is None:
        raise _invalid("a failure mode of the asset's type", repr(code)[:80])
    return found


def _open_code(connection: Connection, asset_id: int, failure_mode_id: int | None) -> str | None:
    asked = {"asset_id": asset_id, "failure_mode_id": failure_mode_id}
    row = connection.execute(QUERIES["open_ticket_of_mode"], asked).fetchone()
    return None if row is None else str(row[0])


def _text(name: str, value: str, least: int, most: int) -> str:
    text = value.strip()
    check_text(name, text)
    if not least <= len(text) <= most:
        raise _invalid(f"a {name} of {least} to {most} characters", f"{len(text)} characters")
    return text


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_request", expected=expected, got=got, remedy="Correct the report and send it again.")
