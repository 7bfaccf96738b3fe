"""Priority of stored tickets: reading what a score is made of, and giving a ticket its level (SPEC S1, S7).

A level that changes re-targets the ticket's clocks and moves its due date in the same transaction; working time that
was used stays used. Who decides that a score should move is ``storage.casework.reprioritise`` and the commands that
override.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from domain.refusals import Refused
from storage.breaker import judge_site
from storage.calendars import calendar_of_ticket, working_times
from storage.critical_windows import open_windows
from storage.outbox import enqueue
from storage.policies import read_policy_version
from storage.queries import load
from storage.ticket_views import TicketRow
from storage.tickets import read_clocks, read_open_hold, running_clock
from storage.timelines import save_clocks
from ticketing.control import is_control
from ticketing.policy.whole import Policy
from ticketing.priority import Override, Priority, PriorityInputs, is_moved, priority_of
from ticketing.sla import retarget, targets_s, ticket_due
from ticketing.ticket import Clock

QUERIES = load("priorities")

# Supervisors hear of a ticket that rose to one of these.
TOLD_TO_SUPERVISORS = (0, 1)
# The message that a ticket has another priority.
REPRIORITISED = "ticket.reprioritised"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose score is asked for; ``ticket_id`` is None for a ticket that is about to open."""

    asset_id: int
    failure_mode_id: int | None
    requester_id: int | None
    prediction_id: UUID | None
    ticket_id: UUID | None
    line_stopped: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A priority that is to replace the one a ticket has."""

    row: TicketRow
    after: Priority

    def as_facts(self, cause: str) -> dict[str, object]:
        """Return what the timeline tells of it."""
        return {
            "cause": cause,
            "level_before": self.row.priority,
            "level": self.after.level,
            "score_before": score_of(self.row),
            "score": self.after.score,
            "factors": [{"name": one.name, "value": one.value, "source": one.source} for one in self.after.factors],
        }


def read_inputs(connection: Connection, subject: Subject, days: int, now: datetime) -> PriorityInputs:
    """Return what a score is made of; complaints and repeats of the last ``days`` days count."""
    asked = {
        "asset_id": subject.asset_id,
        "failure_mode_id": subject.failure_mode_id,
        "requester_id": subject.requester_id,
        "prediction_id": subject.prediction_id,
        "ticket_id": subject.ticket_id,
        "since": now - timedelta(days=days),
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(QUERIES["priority_inputs"], asked).fetchone()
    if found is None:
        raise Refused("unknown_record", expected="an asset", got=str(subject.asset_id), remedy="Check the asset's id.")
    site_id, asset_type_id, zone = found.pop("site_id"), found.pop("asset_type_id"), ZoneInfo(found.pop("time_zone"))
    windows = open_windows(connection, site_id, asset_type_id, zone, now)
    return PriorityInputs(**found, windows=windows, line_stopped=subject.line_stopped)


def score_new(connection: Connection, policy: Policy, subject: Subject, now: datetime) -> Priority:
    """Return the priority of a ticket that is about to open."""
    inputs = read_inputs(connection, subject, policy.score.history.days, now)
    return priority_of(policy.priority, policy.score, inputs)


def after_opening(connection: Connection, row: TicketRow, priority: Priority, now: datetime) -> None:
    """Do what a new ticket's priority asks for: judge the site's breaker, and score it by the control policy too."""
    connection.execute(QUERIES["mark_scored"], {"ticket_id": row.id, "now": now})
    score_control(connection, row.id, row.policy_id, priority, now)
    if priority.level == 0:
        judge_site(connection, row.site_id, now)


def score_again(connection: Connection, row: TicketRow, now: datetime) -> Priority:
    """Return the priority that an open ticket has by what is known now; a level that a person set is kept."""
    policy = read_policy_version(connection, row.policy_id)
    priority = score_new(connection, policy, _subject(connection, row.id), now)
    return priority.overridden_by(override_of(row))


def change_of(connection: Connection, row: TicketRow, now: datetime) -> Change | None:
    """Return the priority that should replace the ticket's, None when it would say the same or nearly the same."""
    after = score_again(connection, row, now)
    least_move = read_policy_version(connection, row.policy_id).rescore.least_move
    connection.execute(QUERIES["mark_scored"], {"ticket_id": row.id, "now": now})
    before = row.priority_reason.get("computed_level", row.priority_reason.get("level"))
    is_new_level = after.level != row.priority or after.computed_level != before
    return Change(row, after) if is_new_level or is_moved(score_of(row), after.score, least_move) else None


def apply(connection: Connection, row: TicketRow, after: Priority, now: datetime) -> None:
    """Give a ticket its priority: clocks re-targeted, breaker judged, people told, the control policy asked again."""
    due_at = row.due_at if after.level == row.priority else _retarget(connection, row, after.level, now)
    connection.execute(
        QUERIES["set_priority"],
        {
            "ticket_id": row.id,
            "priority": after.level,
            "reason": Jsonb(after.as_json()),
            "override": None if after.override is None else after.override.level,
            "due_at": due_at,
            "now": now,
        },
    )
    score_control(connection, row.id, row.policy_id, after, now)
    if after.level == row.priority:
        return
    if 0 in (after.level, row.priority):
        judge_site(connection, row.site_id, now)
    _tell(connection, row, after, due_at, now)


def score_control(connection: Connection, ticket_id: UUID, policy_id: int, priority: Priority, now: datetime) -> None:
    """Score a ticket of the control group by the control policy as well; it decides nothing (SPEC S7)."""
    policy = read_policy_version(connection, policy_id)
    if not is_control(ticket_id, policy.control.share):
        return
    rules = policy.control
    inputs = read_inputs(connection, _subject(connection, ticket_id), rules.score.history.days, now)
    control = priority_of(rules.priority, rules.score, inputs)
    connection.execute(
        QUERIES["insert_control"],
        {
            "ticket_id": ticket_id,
            "level": priority.computed_level,
            "score": priority.score,
            "control_level": control.level,
            "control_score": control.score,
            "control_reason": Jsonb(control.as_json()),
        },
    )


def tickets_to_score(connection: Connection, before: datetime, limit: int) -> list[str]:
    """Return the codes of open tickets whose score nobody has looked at since ``before``."""
    rows = connection.execute(QUERIES["tickets_to_score"], {"before": before, "limit": limit}).fetchall()
    return [row[0] for row in rows]


def score_of(row: TicketRow) -> float | None:
    """Return the score that a ticket's priority rests on; every shape of the arithmetic has had it."""
    score = row.priority_reason.get("score")
    return float(score) if isinstance(score, int | float) else None


def override_of(row: TicketRow) -> Override | None:
    """Return the override that holds, with who set it and why."""
    stored = row.priority_reason.get("override")
    if row.priority_override is None or not isinstance(stored, dict):
        return None
    at = datetime.fromisoformat(str(stored["at"]))
    return Override(row.priority_override, str(stored["reason"]), stored["person_id"], str(stored["name"]), at)


def _subject(connection: Connection, ticket_id: UUID) -> Subject:
    with connection.cursor(row_factory=class_row(Subject)) as cursor:
        found = cursor.execute(QUERIES["subject_of_ticket"], {"ticket_id": ticket_id}).fetchone()
    assert found is not None
    return found


def _retarget(connection: Connection, row: TicketRow, level: int, now: datetime) -> datetime:
    """Set the ticket's clocks to the targets of another level; return the due date that follows."""
    policy = read_policy_version(connection, row.policy_id)
    before = [running_clock(stored) for stored in read_clocks(connection, row.id)]
    calendar_id = calendar_of_ticket(connection, policy, row.site_id, row.requester_id)

    def calendar_of(clock: Clock) -> str | None:
        return None if policy.sla[level].round_the_clock else calendar_id

    clocks = retarget(
        before,
        targets=targets_s(policy, level, row.requester_tier),
        calendar_of=calendar_of,
        hold=read_open_hold(connection, row.id),
        policy=policy,
        now=now,
        working=working_times(connection, {None, calendar_id, *(clock.calendar_id for clock in before)}),
    )
    save_clocks(connection, row.id, [clock for clock in clocks if clock not in before])
    return ticket_due(clocks, row.failure_expected_at)


def _tell(connection: Connection, row: TicketRow, after: Priority, due_at: datetime, now: datetime) -> None:
    """Tell the engineer of every change, the supervisors of a rise to the most urgent."""
    people: Sequence[int] = [] if row.assignee_id is None else [row.assignee_id]
    rises = after.level < row.priority and after.level in TOLD_TO_SUPERVISORS
    if not people and not rises:
        return
    body: dict[str, object] = {
        "person_ids": list(people),
        "supervisors_of": row.site_id if rises else None,
        "code": row.code,
        "title_en": row.title_en,
        "title_zh": row.title_zh,
        "priority_before": row.priority,
        "priority": after.level,
        "due_at": due_at.isoformat(),
    }
    enqueue(connection, REPRIORITISED, row.id, body, now)
