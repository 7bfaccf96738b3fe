"""Business calendars, read whole: a calendar is small and every clock of a site runs on it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from psycopg import Connection

from domain.refusals import Refused
from domain.working_time import ROUND_THE_CLOCK, Segment, WorkingCalendar, WorkingTime
from storage.queries import load

QUERIES = load("calendars")


def read_calendar(connection: Connection, calendar_id: str) -> WorkingCalendar:
    """Return a calendar with its segments, holidays and adjusted working days."""
    key = {"id": calendar_id}
    row = connection.execute(QUERIES["read_calendar"], key).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="a calendar", got=repr(calendar_id), remedy="Check the calendar's id.")
    week: list[list[Segment]] = [[] for _ in range(7)]
    for weekday, starts_s, ends_s in connection.execute(QUERIES["calendar_segments"], key):
        week[weekday - 1].append(Segment(starts_s, ends_s))
    days: list[tuple[date, bool]] = connection.execute(QUERIES["calendar_days"], key).fetchall()
    return WorkingCalendar(row[0], tuple(tuple(segments) for segments in week), frozenset(days))


def working_times(connection: Connection, calendar_ids: Iterable[str | None]) -> dict[str | None, WorkingTime]:
    """Return the working time of each calendar; None is round the clock."""
    return {
        calendar_id: ROUND_THE_CLOCK if calendar_id is None else read_calendar(connection, calendar_id)
        for calendar_id in set(calendar_ids)
    }
