"""A ticket as its rules see it: states, outcomes, clocks, and the facts that the table's conditions read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class State(StrEnum):
    """The five atomic states (SPEC T1), in the order of a ticket's life."""

    NEW = "new"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    EXECUTING = "executing"
    CLOSED = "closed"


class Kind(StrEnum):
    """Where the work comes from (SPEC T8)."""

    PREVENTIVE = "preventive"
    CORRECTIVE = "corrective"
    INSPECTION = "inspection"
    PRODUCTION = "production"


class Outcome(StrEnum):
    """What a closed ticket came to. All but the last two are resolution codes that an engineer submits."""

    REPAIRED = "repaired"
    FALSE_ALARM = "false_alarm"
    NO_FAULT_FOUND = "no_fault_found"
    DEFERRED = "deferred"
    CANCELLED = "cancelled"
    MERGED = "merged"


RESOLUTION_CODES = (Outcome.REPAIRED, Outcome.FALSE_ALARM, Outcome.NO_FAULT_FOUND, Outcome.DEFERRED)


class Clock(StrEnum):
    """What is timed: the four of the SLA (SPEC S2), and the response time an engineer promised (SPEC T2)."""

    ACCEPT = "accept"
    RESPOND = "respond"
    RESOLVE = "resolve"
    CLOSE = "close"
    PROMISE = "promise"


SLA_CLOCKS = (Clock.ACCEPT, Clock.RESPOND, Clock.RESOLVE, Clock.CLOSE)


class HoldReason(StrEnum):
    """Why work waits (SPEC T5)."""

    PARTS = "parts"
    REQUESTER = "requester"
    APPROVAL = "approval"
    ACCESS = "access"
    SHUTDOWN_WINDOW = "shutdown_window"


class LinkKind(StrEnum):
    """How two tickets belong together; the last two read from the first ticket to the second."""

    RELATED = "related"
    CAUSES = "causes"
    DUPLICATES = "duplicates"


@dataclass(frozen=True, slots=True)
class PartLine:
    """What became of one part: pieces issued from stock, used, and returned."""

    part_number: str
    issued: int
    used: int
    returned: int

    @property
    def is_reconciled(self) -> bool:
        """Say whether every issued piece was either used or returned (SPEC C2)."""
        return self.issued == self.used + self.returned


class Phase(StrEnum):
    """What an operation waits for; a failed check starts it again (SPEC T8)."""

    START = "start"
    FINISH = "finish"
    CHECK = "check"
    PASSED = "passed"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a production order: who is to do it (None: any engineer), who started and finished it."""

    number: int
    phase: Phase
    engineer_id: int | None = None
    started_by: int | None = None
    finished_by: int | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket at one moment. Datetimes are aware UTC.

    ``evidence_at`` and ``work_finished_at`` are equipment time, all others wall time. ``is_on_hold``,
    ``open_tasks``, ``unreconciled_parts``, ``attachments`` and ``operations`` are read from its other records.
    ``is_heat_locked``: among the hottest, which only a supervisor moves (SPEC S5). ``is_overridden``: a person set its
    priority (SPEC S1). ``receiver_ids`` are the people who may rate a hand-over of it (SPEC T9). ``merged_into`` is the
    code of the ticket that goes on in its stead; ``reopens_until`` is when a closed one can be reopened no longer.
    ``reached`` are those whom escalations told that nobody has acknowledged (SPEC N2).
    """

    id: UUID
    code: str
    kind: Kind
    state: State
    outcome: Outcome | None
    site_id: str
    asset_id: int
    failure_mode: str | None
    requester_id: int | None
    assignee_id: int | None
    opened_at: datetime
    due_at: datetime
    evidence_at: datetime
    last_effective_at: datetime
    version: int
    expected_response_at: datetime | None = None
    responded_at: datetime | None = None
    resolution_code: Outcome | None = None
    found_failure_mode: str | None = None
    cause: str | None = None
    action_taken: str | None = None
    work_finished_at: datetime | None = None
    resolved_at: datetime | None = None
    confirmed_at: datetime | None = None
    confirmed_by: int | None = None
    closed_at: datetime | None = None
    team_id: int | None = None
    line_stopped: bool = False
    merged_into: str | None = None
    reopened_count: int = 0
    reopens_until: datetime | None = None
    is_on_hold: bool = False
    open_tasks: int = 0
    unreconciled_parts: tuple[str, ...] = ()
    attachments: int = 0
    operations: tuple[Operation, ...] = ()
    reached: tuple[int, ...] = ()
    is_heat_locked: bool = False
    is_overridden: bool = False
    receiver_ids: tuple[int, ...] = ()

    @property
    def current_operation(self) -> Operation | None:
        """The one operation that may go on: the first that has not passed its check."""
        return next((one for one in self.operations if one.phase is not Phase.PASSED), None)
