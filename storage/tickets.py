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
from storage.breaker import blocking
from storage.eta import expected_resolution
from storage.evidence_views import EvidenceView, FindingView, PredictionHead
from storage.hand_overs import hand_overs_of, receivers_of, teams_to_choose
from storage.links import links_of, origins_of, tickets_to_join
from storage.lookups import lookups_for
from storage.operations import OperationRow
from storage.policies import read_policy_version
from storage.queries import load
from storage.standing import with_policy
from storage.ticket_views import (
    AnswerView,
    AttachmentView,
    BillLineView,
    ClockRow,
    ClockView,
    DispatchView,
    EventView,
    ExpectedView,
    HoldView,
    ReferenceView,
    TaskView,
    TicketDetail,
    TicketPage,
    TicketRow,
    TicketSummary,
)
from ticketing.actors import Actor, Role
from ticketing.closure import unpassed_gates
from ticketing.facts import FactType
from ticketing.lifecycle import Command
from ticketing.policy.whole import Policy
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
    flags: Sequence[str] | None = None,
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
        "flags": list(flags) if flags else None,
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
        operations=_all(connection, OperationRow, "ticket_operations", key),
        bill=_all(connection, BillLineView, "ticket_bill", key),
        attachments=_all(connection, AttachmentView, "ticket_attachments", key),
        receiver_ids=receivers_of(connection, row.id),
    )
    policy = read_policy_version(connection, row.policy_id)
    ticket, heat = with_policy(as_ticket(row, parts), row, open_hold(parts.holds), policy, now)
    chained, first_broken = _timeline(connection, row.id)
    steps = [
        _with_options(connection, row, parts, step, language)
        for step in next_steps(ticket, actor, language)
        if step.command != Command.REOPEN or ticket.reopens_until is None or now <= ticket.reopens_until
    ]
    lookups = lookups_for(connection, row.id, is_staff=_is_staff(actor, row.site_id))
    return TicketDetail(
        ticket=row,
        is_on_hold=ticket.is_on_hold,
        gates=[gate.value for gate in unpassed_gates(ticket)] if ticket.state is State.EXECUTING else [],
        clocks=_clock_views(row, parts, policy, now),
        holds=parts.holds,
        tasks=parts.tasks,
        operations=[operation.view for operation in parts.operations],
        bill=parts.bill,
        lookups=lookups,
        is_charged=any(lookup.body is not None and lookup.body.get("charge") is True for lookup in lookups),
        references=_all(connection, ReferenceView, "ticket_references", key),
        dispatch=next(iter(_all(connection, DispatchView, "last_dispatch_decision", key)), None),
        findings=_all(connection, FindingView, "ticket_findings", key),
        prediction=next(iter(prediction), None),
        evidence=_all(connection, EvidenceView, "ticket_evidence", {"prediction_id": row.prediction_id}),
        attachments=parts.attachments,
        answers=_all(connection, AnswerView, "ticket_answers", key),
        hand_overs=hand_overs_of(connection, row.id),
        links=links_of(connection, row.id, actor),
        origins=origins_of(connection, row.id),
        timeline=[_event_view(link) for link in chained],
        timeline_is_whole=first_broken is None,
        next_steps=steps,
        expected=_expected(connection, row, parts, now),
        heat=heat,
        dispatch_blocked_by=blocking(connection, row.site_id, row.priority) if ticket.state is State.NEW else None,
    )


def read_ticket(connection: Connection, code: str, now: datetime) -> tuple[TicketRow, Ticket]:
    """Return the stored row and the ticket as its rules see it at ``now``: what is hot stays with its engineer."""
    row = ticket_row(connection, code)
    key = {"ticket_id": row.id}
    parts = _Parts(
        clocks=[],
        holds=_all(connection, HoldView, "ticket_holds", key),
        tasks=_all(connection, TaskView, "ticket_tasks", key),
        operations=_all(connection, OperationRow, "ticket_operations", key),
        bill=_all(connection, BillLineView, "ticket_bill", key),
        attachments=_all(connection, AttachmentView, "ticket_attachments", key),
        receiver_ids=receivers_of(connection, row.id),
    )
    policy = read_policy_version(connection, row.policy_id)
    return row, with_policy(as_ticket(row, parts), row, open_hold(parts.holds), policy, now)[0]


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
    operations: list[OperationRow]
    bill: list[BillLineView]
    attachments: list[AttachmentView]
    receiver_ids: tuple[int, ...]


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
        merged_into=row.merged_into_code,
        reopened_count=row.reopened_count,
        is_on_hold=open_hold(parts.holds) is not None,
        open_tasks=sum(task.done_at is None for task in parts.tasks),
        unreconciled_parts=tuple(line.part_number for line in parts.bill if line.issued != line.used + line.returned),
        attachments=len(parts.attachments),
        reached=tuple(row.reached),
        is_overridden=row.priority_override is not None,
        operations=tuple(operation.as_rule for operation in parts.operations),
        receiver_ids=parts.receiver_ids,
    )


def _expected(connection: Connection, row: TicketRow, parts: _Parts, now: datetime) -> ExpectedView | None:
    """Return when a ticket will be resolved by how long others took; None once it is, or with nothing learned."""
    resolve = next((stored for stored in parts.clocks if stored.clock == Clock.RESOLVE), None)
    if resolve is None or row.resolved_at is not None or row.state == State.CLOSED:
        return None
    return expected_resolution(connection, row.id, resolve.calendar_id, resolve.started_at, now)


def _is_staff(actor: Actor, site_id: str) -> bool:
    """Say whether the actor may see other people's tickets at a site: whoever is more there than a requester."""
    return any(actor.holds(role, site_id) for role in Role if role is not Role.REQUESTER)


def _clock_views(row: TicketRow, parts: _Parts, policy: Policy, now: datetime) -> list[ClockView]:
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
        case FactType.TEAM:
            options = [Option(str(team_id), name) for team_id, name in teams_to_choose(connection, row.id)]
        case FactType.TICKET:
            others = tickets_to_join(connection, row.id)
            options = [
                Option(code, f"{code} {title_zh if chinese else title_en}") for code, title_en, title_zh in others
            ]
        case FactType.FAILURE_MODE:
            asked = {"asset_type_id": row.asset_type_id}
            modes = connection.execute(QUERIES["modes_of_asset_type"], asked).fetchall()
            options = [Option(code, name_zh if chinese else name_en) for code, name_en, name_zh in modes]
        case FactType.OPERATION:
            current = [one for one in parts.operations if one.check_result != "passed"][:1]
            options = [Option(str(one.number), one.name) for one in current]
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


def _timeline(connection: Connection, ticket_id: UUID) -> tuple[list[ChainedEvent], int | None]:
    """Return the timeline and the number of its first broken event; one look, since a command may come meanwhile."""
    rows = connection.execute(QUERIES["ticket_timeline"], {"ticket_id": ticket_id}).fetchall()
    chained = [ChainedEvent(TimelineEvent(*row[:12]), row[12], row[13]) for row in rows if row[0] is not None]
    return chained, first_break(ticket_id, chained, rows[0][14], rows[0][15])


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
    return _timeline(connection, ticket_row(connection, code).id)[1]


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
