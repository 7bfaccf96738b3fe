"""Schedules: inspections that come round by the calendar or by a meter, and the look that opens them (SPEC T8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import structlog
from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from domain.checklists import Task
from domain.refusals import Refused
from domain.working_time import WorkingCalendar
from storage.calendars import read_calendar
from storage.intake import open_ticket
from storage.intaking.planning import as_json, check_modes, task_of
from storage.intaking.refusals import keep_refusal
from storage.queries import load
from ticketing.actors import SYSTEM
from ticketing.intake import Channel, IntakeRequest, check_tasks
from ticketing.scheduling import (
    CalendarPlan,
    Meter,
    Unit,
    due_round,
    first_number,
    meter_rounds,
    read_meter,
    rounds_past,
)
from ticketing.ticket import Kind

QUERIES = load("schedules")

LOOK_EVERY = timedelta(minutes=1)
READINGS_LIMIT = 20_000

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Plan:
    """What comes round: by the calendar (``unit`` ... ``next_number``) or by a meter (``series_id`` ... ``low_value``).

    ``counted`` is in the meter's own unit, since its last round number; ``low_value`` is a reading below the last one
    that waits for a second.
    """

    id: int
    asset_id: int
    site_id: str
    title_en: str
    title_zh: str
    description: str
    team_id: int | None
    checklist: list[dict[str, object]]
    unit: str | None
    every: int | None
    first_on: date | None
    lead_days: int | None
    next_number: int | None
    series_id: int | None
    every_amount: float | None
    counted: float | None
    last_value: float | None
    last_at: datetime | None
    low_value: float | None


@dataclass(frozen=True, slots=True)
class Schedule(Plan):
    """A schedule and how far it has come.

    ``missed`` rounds were never opened, or came due while the one before was still open, whose code is ``open_code``.
    """

    asset_tag: str
    missed: int
    created_at: datetime
    looked_at: datetime | None
    ended_at: datetime | None
    version: int
    open_code: str | None


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done each time."""

    title_en: str
    title_zh: str
    description: str
    team_id: int | None
    checklist: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class MeterPlan:
    """A round every so much of a series that only grows; ``counted`` so far since the last round number."""

    series_id: int
    every_amount: float
    counted: float = 0.0


@dataclass(frozen=True, slots=True)
class _Look(Plan):
    """A schedule that is being looked at."""

    calendar_id: str
    is_under_way: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look came to: whether a ticket is to be opened (due on which day), and how far the schedule is then."""

    opens: bool
    due_on: date | None
    missed: int
    next_number: int | None
    meter: Meter | None


def list_schedules(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    asset_id: int | None = None,
    schedule_id: int | None = None,
    with_ended: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> list[Schedule]:
    """Return schedules of assets at ``sites`` (None: everywhere), newest first."""
    asked = {
        "sites": None if sites is None else list(sites),
        "asset_id": asset_id,
        "id": schedule_id,
        "with_ended": with_ended or schedule_id is not None,
        "before": before,
        "limit": limit,
    }
    with connection.cursor(row_factory=class_row(Schedule)) as cursor:
        return cursor.execute(QUERIES["schedules"], asked).fetchall()


def add_schedule(
    connection: Connection,
    asset_id: int,
    work: Work,
    plan: CalendarPlan | MeterPlan,
    *,
    person_id: int | None,
    now: datetime,
) -> int:
    """Add a schedule and return its id; a meter or a team that is not the asset's is refused."""
    check_tasks(work.checklist)
    check_modes(connection, asset_id, work.checklist)
    _check_team(connection, asset_id, work.team_id)
    values: dict[str, object] = dict.fromkeys(
        ("unit", "every", "first_on", "lead_days", "next_number", "series_id", "every_amount", "counted")
    )
    if isinstance(plan, CalendarPlan):
        values |= {"unit": plan.unit.value, "every": plan.every, "first_on": plan.first_on}
        row = connection.execute(QUERIES["date_at_asset"], {"asset_id": asset_id, "now": now}).fetchone()
        if row is None:
            raise _invalid("the id of an asset", str(asset_id))
        values |= {"lead_days": plan.lead_days, "next_number": first_number(plan, row[0])}
    else:
        asked = {"series_id": plan.series_id, "asset_id": asset_id}
        row = connection.execute(QUERIES["is_series_of_asset"], asked).fetchone()
        if row is None or not row[0]:
            raise _invalid("a series of the asset as meter", str(plan.series_id))
        values |= {"series_id": plan.series_id, "every_amount": plan.every_amount, "counted": plan.counted}
    key = {"asset_id": asset_id, "person_id": person_id, "now": now}
    row = connection.execute(QUERIES["insert_schedule"], {**values, **_values(work), **key}).fetchone()
    assert row is not None
    return int(row[0])


def change_schedule(connection: Connection, schedule: Schedule, work: Work, *, version: int) -> None:
    """Change what a schedule's work is; refused as ``stale_record`` when it is no longer as it was read."""
    check_tasks(work.checklist)
    check_modes(connection, schedule.asset_id, work.checklist)
    _check_team(connection, schedule.asset_id, work.team_id)
    asked = {**_values(work), "id": schedule.id, "version": version}
    if connection.execute(QUERIES["update_schedule"], asked).fetchone() is None:
        raise _stale(f"version {version} of schedule {schedule.id}, not ended", f"version {schedule.version}")


def end_schedule(connection: Connection, schedule_id: int, now: datetime) -> None:
    """End a schedule; its open ticket stays."""
    if connection.execute(QUERIES["end_schedule"], {"id": schedule_id, "now": now}).fetchone() is None:
        raise _stale("a schedule that has not ended", f"schedule {schedule_id}, which has")


def look_at_next_schedule(connection: Connection, now: datetime) -> bool:
    """Look at one schedule, in the caller's transaction, and open its ticket when it is due; False when none waits."""
    with connection.cursor(row_factory=class_row(_Look)) as cursor:
        look = cursor.execute(QUERIES["claim_next"], {"looked_before": now - LOOK_EVERY}).fetchone()
    if look is None:
        return False
    found = _by_meter(connection, look) if look.series_id is not None else _by_calendar(connection, look, now)
    if found.opens and not _open(connection, look, found, now):
        # Refused: the round stays due, and is tried again at the next look; what a meter has counted is not lost.
        found = _Found(opens=False, due_on=None, missed=0, next_number=look.next_number, meter=_unopened(look, found))
    _save(connection, look, found, now)
    return True


def _by_calendar(connection: Connection, look: _Look, now: datetime) -> _Found:
    assert look.unit is not None
    assert look.every is not None
    assert look.first_on is not None
    assert look.lead_days is not None
    assert look.next_number is not None
    plan = CalendarPlan(Unit(look.unit), look.every, look.first_on, look.lead_days)
    calendar = read_calendar(connection, look.calendar_id)
    zone = ZoneInfo(calendar.time_zone)
    today = now.astimezone(zone).date()
    is_working = working_days(calendar, zone)
    if look.is_under_way:
        past = rounds_past(plan, look.next_number, today, is_working)
        return _Found(opens=False, due_on=None, missed=past, next_number=look.next_number + past, meter=None)
    due = due_round(plan, look.next_number, today, is_working)
    if due is None:
        return _Found(opens=False, due_on=None, missed=0, next_number=look.next_number, meter=None)
    return _Found(opens=True, due_on=due.due_on, missed=due.missed, next_number=due.number + 1, meter=None)


def _by_meter(connection: Connection, look: _Look) -> _Found:
    assert look.counted is not None
    assert look.every_amount is not None
    meter = Meter(look.counted, look.last_value, look.last_at, look.low_value)
    if meter.last_at is None:
        readings = connection.execute(QUERIES["newest_reading"], {"series_id": look.series_id}).fetchall()
    else:
        asked = {"series_id": look.series_id, "after": meter.last_at, "limit": READINGS_LIMIT}
        readings = connection.execute(QUERIES["readings_since"], asked).fetchall()
    meter = read_meter(meter, readings)
    rounds, rest = meter_rounds(meter.counted, look.every_amount)
    opens = rounds > 0 and not look.is_under_way
    carried = Meter(rest, meter.last_value, meter.last_at, meter.low_value)
    return _Found(opens=opens, due_on=None, missed=rounds - opens, next_number=None, meter=carried)


def _unopened(look: _Look, found: _Found) -> Meter | None:
    if found.meter is None or look.every_amount is None:
        return None
    meter = found.meter
    rounds = found.missed + 1
    return Meter(meter.counted + rounds * look.every_amount, meter.last_value, meter.last_at, meter.low_value)


def _open(connection: Connection, look: _Look, found: _Found, now: datetime) -> bool:
    """Open the ticket; a refusal is kept, as every refused request is."""
    request = IntakeRequest(
        channel=Channel.SCHEDULE,
        kind=Kind.INSPECTION,
        actor=SYSTEM,
        title=look.title_en,
        title_zh=look.title_zh,
        description=look.description,
        asset_id=look.asset_id,
        team_id=look.team_id,
        schedule_id=look.id,
        due_on=found.due_on,
        tasks=tuple(task_of(task) for task in look.checklist),
    )
    try:
        with connection.transaction():
            opened = open_ticket(connection, request, now)
    except Refused as refusal:
        _log.warning("a schedule's ticket was refused", schedule=look.id, refusal=refusal.name, got=refusal.got)
        keep_refusal(
            connection,
            refusal,
            channel=Channel.SCHEDULE,
            body=f"schedule {look.id}: {look.title_en}",
            person_id=None,
            site_id=look.site_id,
            now=now,
        )
        return False
    _log.info("scheduled", ticket=opened.code, schedule=look.id, missed=found.missed)
    return True


def _save(connection: Connection, look: _Look, found: _Found, now: datetime) -> None:
    meter = found.meter
    told = {
        "id": look.id,
        "now": now,
        "next_number": found.next_number,
        "missed": found.missed,
        "counted": None if meter is None else meter.counted,
        "last_value": None if meter is None else meter.last_value,
        "last_at": None if meter is None else meter.last_at,
        "low_value": None if meter is None else meter.low_value,
    }
    connection.execute(QUERIES["save_look"], told)


def working_days(calendar: WorkingCalendar, zone: ZoneInfo) -> Callable[[date], bool]:
    """Return whether anybody works on a day of the calendar's zone."""

    def is_working(day: date) -> bool:
        begins = datetime.combine(day, time(), zone).astimezone(UTC)
        ends = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
        return calendar.worked(begins, ends) > 0

    return is_working


def _values(work: Work) -> dict[str, object]:
    tasks = [as_json(task) for task in work.checklist]
    return {
        "title_en": work.title_en,
        "title_zh": work.title_zh,
        "description": work.description,
        "team_id": work.team_id,
        "checklist": Jsonb(tasks),
    }


def _check_team(connection: Connection, asset_id: int, team_id: int | None) -> None:
    if team_id is not None:
        asked = {"asset_id": asset_id, "team_id": team_id}
        row = connection.execute(QUERIES["is_team_of_asset"], asked).fetchone()
        if row is None or not row[0]:
            raise _invalid("a team of the asset's site", str(team_id))


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_request", expected=expected, got=got, remedy="Correct the schedule and send it again.")


def _stale(expected: str, got: str) -> Refused:
    return Refused("stale_record", expected=expected, got=got, remedy="Read it again and repeat the change.")
