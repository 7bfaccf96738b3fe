"""What pages show of schedules beside the schedules themselves: the last ticket, and the day that comes next (T8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.rows import class_row

from storage.calendars import read_calendar
from storage.queries import load
from storage.schedules import Schedule, working_days
from ticketing.scheduling import CalendarPlan, Unit, working_day

QUERIES = load("schedule_views")


@dataclass(frozen=True, slots=True)
class LastTicket:
    """The newest ticket of a schedule; ``due_on`` is the site's date, None for a meter's."""

    schedule_id: int
    code: str
    title_en: str
    title_zh: str
    state: str
    outcome: str | None
    opened_at: datetime
    due_on: date | None


def last_tickets(connection: Connection, schedule_ids: Sequence[int]) -> dict[int, LastTicket]:
    """Return the newest ticket of each schedule that has opened one, by the schedule's id."""
    with connection.cursor(row_factory=class_row(LastTicket)) as cursor:
        found = cursor.execute(QUERIES["last_tickets"], {"schedule_ids": list(schedule_ids)}).fetchall()
    return {one.schedule_id: one for one in found}


def next_days(connection: Connection, schedules: Sequence[Schedule]) -> dict[int, date]:
    """Return the working day on which the next round of each calendar schedule is due, by the schedule's id."""
    planned = [(one, plan) for one in schedules if one.ended_at is None and (plan := plan_of(one)) is not None]
    asked = {"site_ids": sorted({one.site_id for one, _ in planned})}
    days: dict[int, date] = {}
    calendars = {
        site_id: read_calendar(connection, calendar_id, hold=False)
        for site_id, calendar_id in connection.execute(QUERIES["calendars_of_sites"], asked).fetchall()
    }
    for one, plan in planned:
        calendar = calendars[one.site_id]
        is_working = working_days(calendar, ZoneInfo(calendar.time_zone))
        days[one.id] = working_day(plan.day(one.next_number or 0), is_working)
    return days


def plan_of(schedule: Schedule) -> CalendarPlan | None:
    """Return how a schedule comes round by the calendar; None for a meter's."""
    if schedule.unit is None or schedule.every is None or schedule.first_on is None or schedule.lead_days is None:
        return None
    return CalendarPlan(Unit(schedule.unit), schedule.every, schedule.first_on, schedule.lead_days)
