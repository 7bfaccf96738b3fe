"""Saving what a command did: the ticket, its timeline event and its clocks, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.queries import load
from storage.ticket_views import TicketRow
from ticketing.actors import Actor
from ticketing.sla import RunningClock
from ticketing.ticket import Ticket
from ticketing.timeline import ChainedEvent, TimelineEvent, chain

QUERIES = load("casework")


def new_event(
    number: int,
    *,
    actor: Actor,
    command: str,
    from_state: str | None,
    to_state: str,
    effective: bool,
    summary: str,
    facts: Mapping[str, object],
    now: datetime,
) -> TimelineEvent:
    """Return the event of one command."""
    return TimelineEvent(
        number=number,
        at=now,
        actor_kind=actor.kind.value,
        actor_id=actor.person_id,
        actor_name=actor.name,
        channel=actor.channel,
        command=command,
        from_state=from_state,
        to_state=to_state,
        effective=effective,
        summary=summary,
        facts=facts,
    )


def save_ticket(connection: Connection, row: TicketRow, after: Ticket, event: TimelineEvent) -> None:
    """Save the ticket and append the event, if nobody changed either since ``row`` was read.

    The update names the version it was decided on: whoever comes second changes nothing and is told so
    (reading the version first and updating afterwards lost nearly every race when measured).
    """
    link = chain(row.timeline_head, event)
    parameters = {
        **{name: getattr(after, name) for name in _SAVED},
        "version_before": row.version,
        "timeline_length_before": row.timeline_length,
        "timeline_head": link.hash,
    }
    if connection.execute(QUERIES["update_ticket"], parameters).rowcount != 1:
        raise stale_version(row.code, row.version, None)
    append(connection, row.id, link)


def append(connection: Connection, ticket_id: UUID, link: ChainedEvent) -> None:
    """Write one chained event."""
    event = link.event
    connection.execute(
        QUERIES["insert_event"],
        {
            "ticket_id": ticket_id,
            "number": event.number,
            "at": event.at,
            "actor_kind": event.actor_kind,
            "actor_id": event.actor_id,
            "actor_name": event.actor_name,
            "channel": event.channel,
            "command": event.command,
            "from_state": event.from_state,
            "to_state": event.to_state,
            "effective": event.effective,
            "summary": event.summary,
            "facts": Jsonb(dict(event.facts)),
            "previous_hash": link.previous_hash,
            "hash": link.hash,
        },
    )


def save_clocks(connection: Connection, ticket_id: UUID, clocks: Iterable[RunningClock]) -> None:
    """Save clocks as they are now."""
    for clock in clocks:
        connection.execute(
            QUERIES["save_clock"],
            {
                "ticket_id": ticket_id,
                "clock": clock.clock,
                "calendar_id": clock.calendar_id,
                "target_s": clock.target_s,
                "started_at": clock.started_at,
                "due_at": clock.due_at,
                "stopped_at": clock.stopped_at,
            },
        )


def stale_version(code: str, expected: int, found: int | None) -> Refused:
    """Return the refusal for a command that was decided on an older version of the ticket."""
    return Refused(
        "stale_version",
        expected=f"{code} at the version it has now" + (f", {found}" if found is not None else ""),
        got=f"version {expected}",
        remedy="Read the ticket again and repeat the command if it is still right.",
    )


_SAVED = (
    "id",
    "state",
    "outcome",
    "assignee_id",
    "team_id",
    "due_at",
    "expected_response_at",
    "responded_at",
    "resolution_code",
    "found_failure_mode",
    "cause",
    "action_taken",
    "work_finished_at",
    "resolved_at",
    "confirmed_at",
    "confirmed_by",
    "closed_at",
    "merged_into",
    "reopened_count",
    "last_effective_at",
    "version",
)
