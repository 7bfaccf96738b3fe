"""What a command tells whom: the outbox messages of each, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from psycopg import Connection

from storage.outbox import enqueue
from storage.ticket_views import TicketRow
from ticketing.lifecycle import Command
from ticketing.ticket import Ticket

# command -> (kind of message, told to the assignee?, to the supervisors of the site?, to the requester?)
NOTICES: dict[Command, tuple[str, bool, bool, bool]] = {
    Command.DISPATCH: ("ticket.dispatched", True, False, False),
    Command.TRANSFER: ("ticket.dispatched", True, False, False),
    Command.UNASSIGNED: ("ticket.unassigned", False, True, False),
    Command.OVERDUE: ("ticket.overdue", True, True, False),
    Command.REVIEW: ("ticket.review", True, True, False),
    Command.RESOLVE: ("confirmation.requested", False, False, True),
    Command.REQUEST_CONFIRMATION: ("confirmation.requested", False, False, True),
    Command.MERGE: ("ticket.merged", True, False, True),
    Command.REOPEN: ("ticket.reopened", False, True, False),
    Command.DISPUTE: ("confirmation.disputed", True, True, False),
}


def tell_about(
    connection: Connection,
    row: TicketRow,
    after: Ticket,
    command: Command,
    facts: Mapping[str, object],
    now: datetime,
) -> None:
    """Write the messages of one command into the outbox: to people, and to equipment when the state changed."""
    notice = NOTICES.get(command)
    if notice is not None:
        _tell_people(connection, row, after, notice, facts, now)
    if after.state.value != row.state or command is Command.OPEN:
        tell_equipment(connection, row, after, now)


def tell_equipment(connection: Connection, row: TicketRow, after: Ticket, now: datetime) -> None:
    """Tell the devices of the asset the ticket's new state."""
    body: dict[str, object] = {
        "asset_id": row.asset_id,
        "code": row.code,
        "state": after.state.value,
        "outcome": after.outcome.value if after.outcome else None,
        "failure_mode": after.found_failure_mode or row.failure_mode,
        "resolution_code": after.resolution_code.value if after.resolution_code else None,
        "work_finished_at": after.work_finished_at.isoformat() if after.work_finished_at else None,
    }
    enqueue(connection, "ticket.state", row.id, body, now)


def _tell_people(
    connection: Connection,
    row: TicketRow,
    after: Ticket,
    notice: tuple[str, bool, bool, bool],
    facts: Mapping[str, object],
    now: datetime,
) -> None:
    kind, to_assignee, to_supervisors, to_requester = notice
    people = [after.assignee_id if to_assignee else None, row.requester_id if to_requester else None]
    person_ids = [person_id for person_id in people if person_id is not None]
    if not person_ids and not to_supervisors:
        return
    body: dict[str, object] = {
        "person_ids": person_ids,
        "supervisors_of": row.site_id if to_supervisors else None,
        "code": row.code,
        "title_en": row.title_en,
        "title_zh": row.title_zh,
        "priority": row.priority,
        "due_at": after.due_at.isoformat(),
        "clock": facts.get("clock"),
        "cause": facts.get("cause"),
        "reason": facts.get("reason"),
        "merged_into": facts.get("merged_into"),
    }
    enqueue(connection, kind, row.id, body, now)
