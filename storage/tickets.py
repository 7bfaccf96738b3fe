"""Reading tickets: lists with filters and paging, and the whole of one ticket with its next legal steps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.policies import read_policy_version
from storage.queries import load
from storage.ticket_views import (
    AnswerView,
    AttachmentView,
    BillLineView,
    ClockRow,
    ClockView,
    DispatchView,
    EventView,
    EvidenceView,
    FindingView,
    HoldView,
    PredictionHead,
    TaskView,
    TicketDetail,
    TicketPage,
    TicketRow,
    TicketSummary,
)
from ticketing.actors import Actor
from ticketing.closure import unpassed_gates
from ticketing.facts import FactType
from ticketing.sla import Hold, RunningClock, state_of
from ticketing.steps import FactNeed, NextStep, Option, next_steps
from ticketing.ticket import Clock, HoldReason, Kind, Outcome, State, Ticket
from ticketing.timeline import ChainedEvent, TimelineEvent, first_break

QUERIES = load("tickets")

PAGE_LIMIT = 200
_CODE = re.compile(r"[DPSI][0-9]{6}", re.IGNORECASE)
OPEN = ("new", "dispatched", "accepted", "executing")
T = TypeVar("T")


def list_tickets(
    connection: Connection,
    *,
    states: Sequence[str] | None = None,
    asset_id: int | None = None,
    assignee_id: int | None = None,
    requester_id: int | None = None,
    sites: Sequence[str] | None = None,
    text: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> TicketPage:
    """Return tickets, newest first. ``sites`` None means every site; ``text`` is looked for in code, title, asset."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise _invalid_request(f"a limit of 1 to {PAGE_LIMIT}", str(limit))
    unknown = set(states or ()) - set(State)
    if unknown:
        raise _invalid_request("states among " + ", ".join(State), ", ".join(sorted(unknown)))
    parameters = {
        "states": list(states) if states else None,
        "asset_id": asset_id,
        "assignee_id": assignee_id,
        "requester_id": requester_id,
        "sites": list(sites) if sites is not None else None,
        "before": _cursor(cursor),
        **_looked_for(connection, text),
        "limit": limit + 1,
    }
    items = _all(connection, TicketSummary, "list_tickets", parameters)
    more = len(items) > limit
    return TicketPage(items[:limit], str(items[limit - 1].id) if more else None)


def ticket_detail(
    connection: Connection, code: str, *, actor: Actor, now: datetime, language: str = "en"
) -> TicketDetail:
    """Return the whole ticket with what ``actor`` may do next; refuse an unknown code as ``unknown_record``."""
    row = ticket_row(connection, code)
    key = {"ticket_id": row.id}
    prediction = _all(connection, PredictionHead, "ticket_prediction", {"prediction_id": row.prediction_id})
    parts = _Parts(
        clocks=_all(connection, ClockRow, "ticket_clocks", key),
        holds=_all(connection, HoldView, "ticket_holds", key),
        tasks=_all(connection, TaskView, "ticket_tasks", key),
        bill=_all(connection, BillLineView, "ticket_bill", key),
        attachments=_all(connection, AttachmentView, "ticket_attachments", key),
    )
    ticket = as_ticket(row, parts)
    chained = _timeline(connection, row.id)
    steps = [_with_options(connection, row, parts, step, language) for step in next_steps(ticket, actor, language)]
    return TicketDetail(
        ticket=row,
        is_on_hold=ticket.is_on_hold,
        gates=[gate.value for gate in unpassed_gates(ticket)] if ticket.state is State.EXECUTING else [],
        clocks=_clock_views(connection, row, parts, now),
        holds=parts.holds,
        tasks=parts.tasks,
        bill=parts.bill,
        dispatch=next(iter(_all(connection, DispatchView, "last_dispatch_decision", key)), None),
        findings=_all(connection, FindingView, "ticket_findings", key),
        prediction=next(iter(prediction), None),
        evidence=_all(connection, EvidenceView, "ticket_evidence", {"prediction_id": row.prediction_id}),
        attachments=parts.attachments,
        answers=_all(connection, AnswerView, "ticket_answers", key),
        timeline=[_event_view(link) for link in chained],
        timeline_is_whole=first_break(row.id, chained, row.timeline_length, row.timeline_head) is None,
        next_steps=steps,
    )


def read_ticket(connection: Connection, code: str) -> tuple[TicketRow, Ticket]:
    """Return the stored row and the ticket as its rules see it."""
    row = ticket_row(connection, code)
    key = {"ticket_id": row.id}
    parts = _Parts(
        clocks=[],
        holds=_all(connection, HoldView, "ticket_holds", key),
        tasks=_all(connection, TaskView, "ticket_tasks", key),
        bill=_all(connection, BillLineView, "ticket_bill", key),
        attachments=_all(connection, AttachmentView, "ticket_attachments", key),
    )
    return row, as_ticket(row, parts)


def read_clocks(connection: Connection, ticket_id: UUID) -> list[ClockRow]:
    """Return the clocks of a ticket."""
    return _all(connection, ClockRow, "ticket_clocks", {"ticket_id": ticket_id})


def open_hold(holds: Sequence[HoldView]) -> Hold | None:
    """Return the hold that has not ended, if there is one."""
    running = next((hold for hold in holds if hold.ended_at is None), None)
    return None if running is None else Hold(running.started_at, HoldReason(running.reason), running.review_at)


def read_open_hold(connection: Connection, ticket_id: UUID) -> Hold | None:
    """Return the ticket's open hold."""
    return open_hold(_all(connection, HoldView, "ticket_holds", {"ticket_id": ticket_id}))


def running_clock(row: ClockRow) -> RunningClock:
    """Return a stored clock as the rules see it."""
    return RunningClock(Clock(row.clock), row.calendar_id, row.target_s, row.started_at, row.due_at, row.stopped_at)


def ticket_row(connection: Connection, code: str) -> TicketRow:
    """Return the stored row of a ticket."""
    found = _all(connection, TicketRow, "read_ticket", {"code": code})
    if not found:
        raise Refused(
            "unknown_record",
            expected="the tracking code of a ticket",
            got=repr(code)[:40],
            remedy="Check the code: one letter and six digits.",
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class _Parts:
    clocks: list[ClockRow]
    holds: list[HoldView]
    tasks: list[TaskView]
    bill: list[BillLineView]
    attachments: list[AttachmentView]


def as_ticket(row: TicketRow, parts: _Parts) -> Ticket:
    """Return the ticket as its rules see it."""
    return Ticket(
        id=row.id,
        code=row.code,
        kind=Kind(row.kind),
        state=State(row.state),
        outcome=Outcome(row.outcome) if row.outcome else None,
        site_id=row.site_id,
        asset_id=row.asset_id,
        failure_mode=row.failure_mode,
        requester_id=row.requester_id,
        assignee_id=row.assignee_id,
        opened_at=row.opened_at,
        due_at=row.due_at,
        evidence_at=row.evidence_at,
        last_effective_at=row.last_effective_at,
        version=row.version,
        expected_response_at=row.expected_response_at,
        responded_at=row.responded_at,
        resolution_code=Outcome(row.resolution_code) if row.resolution_code else None,
        found_failure_mode=row.found_failure_mode,
        cause=row.cause,
        action_taken=row.action_taken,
        work_finished_at=row.work_finished_at,
        resolved_at=row.resolved_at,
        confirmed_at=row.confirmed_at,
        confirmed_by=row.confirmed_by,
        closed_at=row.closed_at,
        team_id=row.team_id,
        line_stopped=row.line_stopped,
        merged_into_id=row.merged_into_id,
        reopened_count=row.reopened_count,
        is_on_hold=open_hold(parts.holds) is not None,
        open_tasks=sum(task.done_at is None for task in parts.tasks),
        unreconciled_parts=tuple(line.part_number for line in parts.bill if line.issued != line.used + line.returned),
        attachments=len(parts.attachments),
    )


def _clock_views(connection: Connection, row: TicketRow, parts: _Parts, now: datetime) -> list[ClockView]:
    policy = read_policy_version(connection, row.policy_id)
    hold = open_hold(parts.holds)
    return [
        ClockView(
            clock=stored.clock,
            state=state_of(running_clock(stored), hold, policy, now).value,
            target_s=stored.target_s,
            round_the_clock=stored.calendar_id is None,
            started_at=stored.started_at,
            due_at=stored.due_at,
            stopped_at=stored.stopped_at,
        )
        for stored in parts.clocks
    ]


def _with_options(connection: Connection, row: TicketRow, parts: _Parts, step: NextStep, language: str) -> NextStep:
    """Fill the choices that only the database knows: engineers, failure modes, open tasks, files, parts."""
    return replace(step, facts=[_filled(connection, row, parts, need, language) for need in step.facts])


def _filled(connection: Connection, row: TicketRow, parts: _Parts, need: FactNeed, language: str) -> FactNeed:
    chinese = language == "zh"
    match FactType(need.type):
        case FactType.PERSON:
            people = connection.execute(QUERIES["site_engineers"], {"site_id": row.site_id}).fetchall()
            options = [Option(str(person_id), name) for person_id, name in people]
        case FactType.FAILURE_MODE:
            asked = {"asset_type_id": row.asset_type_id}
            modes = connection.execute(QUERIES["modes_of_asset_type"], asked).fetchall()
            options = [Option(code, name_zh if chinese else name_en) for code, name_en, name_zh in modes]
        case FactType.INTEGER:
            todo = [task for task in parts.tasks if task.done_at is None]
            options = [Option(str(task.number), task.text_zh if chinese else task.text_en) for task in todo]
        case FactType.ATTACHMENT:
            options = [Option(str(file.id), file.file_name) for file in parts.attachments]
        case FactType.LINES:
            options = [Option(line.part_number, line.name_zh if chinese else line.name_en) for line in parts.bill]
        case _:
            return need
    return replace(need, options=options)


def _timeline(connection: Connection, ticket_id: UUID) -> list[ChainedEvent]:
    rows = connection.execute(QUERIES["ticket_timeline"], {"ticket_id": ticket_id}).fetchall()
    return [ChainedEvent(TimelineEvent(*row[:12]), row[12], row[13]) for row in rows]


def _event_view(link: ChainedEvent) -> EventView:
    event = link.event
    return EventView(
        event.number,
        event.at,
        event.actor_kind,
        event.actor_id,
        event.actor_name,
        event.channel,
        event.command,
        event.from_state,
        event.to_state,
        event.effective,
        event.summary,
        dict(event.facts),
        link.hash.hex(),
    )


def verify_timeline(connection: Connection, code: str) -> int | None:
    """Return the number of the first event that was tampered with, or None when the timeline is whole (SPEC T7)."""
    row = ticket_row(connection, code)
    return first_break(row.id, _timeline(connection, row.id), row.timeline_length, row.timeline_head)


def _all(connection: Connection, kind: type[T], query: str, parameters: Mapping[str, object]) -> list[T]:
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(QUERIES[query], parameters).fetchall()


def _cursor(cursor: str | None) -> UUID | None:
    if cursor is None:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise _invalid_request("the next_cursor of the page before", repr(cursor)[:40]) from None


def assets_called(connection: Connection, pattern: str | None) -> list[int] | None:
    """Return the assets whose tag or name fits a pattern of ILIKE; None when there is none to look for."""
    if pattern is None:
        return None
    return [row[0] for row in connection.execute(QUERIES["assets_called"], {"pattern": pattern})]


def _looked_for(connection: Connection, text: str | None) -> dict[str, object]:
    """Return what a text asks for: a whole tracking code is one ticket, anything else is looked for in every title."""
    is_code = text is not None and _CODE.fullmatch(text.strip()) is not None
    pattern = f"%{_escaped(text)}%" if text and not is_code else None
    return {
        "code": text.strip().upper() if text and is_code else None,
        "pattern": pattern,
        "asset_ids": assets_called(connection, pattern),
    }


def _escaped(text: str) -> str:
    """Escape the wildcards of LIKE: a search for 100% must not match everything."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "")


def _invalid_request(expected: str, got: str) -> Refused:
    return Refused("invalid_request", expected=expected, got=got, remedy="Correct the request.")
