"""Business calendars, read whole: a calendar is small and every clock of a site runs on it.

A clock is planned on one version of a calendar. Who plans holds the calendar as it is until the transaction ends, so
that the version a clock is saved with (storage/sql/casework.sql) is the one it was planned on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from psycopg import Connection

from domain.refusals import Refused
from domain.working_time import ROUND_THE_CLOCK, Segment, WorkingCalendar, WorkingTime
from storage.queries import load
from ticketing.policy.calendar import Follows
from ticketing.policy.whole import Policy

QUERIES = load("calendars")


def read_calendar(connection: Connection, calendar_id: str, *, hold: bool = True) -> WorkingCalendar:
    """Return a calendar with its segments, holidays and adjusted working days.

    ``hold`` keeps it from changing until the transaction ends: for whoever plans clocks on it.
    """
    return read_version(connection, calendar_id, hold=hold)[1]


def read_version(connection: Connection, calendar_id: str, *, hold: bool) -> tuple[int, WorkingCalendar]:
    """Return a calendar and the number of its version."""
    key = {"id": calendar_id}
    row = connection.execute(QUERIES["lock_calendar" if hold else "calendar_version"], key).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="a calendar", got=repr(calendar_id), remedy="Check the calendar's id.")
    segments = connection.execute(QUERIES["calendar_segments"], key).fetchall()
    days: list[tuple[date, bool]] = connection.execute(QUERIES["calendar_days"], key).fetchall()
    return int(row[1]), WorkingCalendar(row[0], week_of(segments), frozenset(days))


def calendar_history(
    connection: Connection, calendar_id: str, version: int
) -> list[tuple[WorkingCalendar, datetime | None]]:
    """Return what a calendar was from a version on and until when, oldest first; None: it is so now."""
    asked = {"id": calendar_id, "version": version}
    overtaken = connection.execute(QUERIES["calendar_history"], asked).fetchall()
    present = read_calendar(connection, calendar_id)
    return [*((calendar_from(body), until) for body, until in overtaken), (present, None)]


def working_times(connection: Connection, calendar_ids: Iterable[str | None]) -> dict[str | None, WorkingTime]:
    """Return the working time of each calendar; None is round the clock."""
    return {
        calendar_id: ROUND_THE_CLOCK if calendar_id is None else read_calendar(connection, calendar_id)
        for calendar_id in sorted(set(calendar_ids), key=str)
    }


def calendar_of_ticket(connection: Connection, policy: Policy, site_id: str, requester_id: int | None) -> str:
    """Return the calendar of a ticket's clocks: the site's, or the requester's own where the policy says so (S3)."""
    asked = {
        "site_id": site_id,
        "requester_id": requester_id,
        "of_requester": policy.sla_calendar is Follows.REQUESTER,
    }
    row = connection.execute(QUERIES["calendar_of_ticket"], asked).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="a site", got=repr(site_id), remedy="Check the site's id.")
    return str(row[0])


def week_of(segments: Iterable[Sequence[int]]) -> tuple[tuple[Segment, ...], ...]:
    """Return (weekday 1 to 7, starts_s, ends_s) as segments for each weekday, in the order of the day."""
    week: list[list[Segment]] = [[] for _ in range(7)]
    for weekday, starts_s, ends_s in sorted(map(tuple, segments)):
        week[weekday - 1].append(Segment(starts_s, ends_s))
    return tuple(tuple(day) for day in week)


def calendar_body(calendar: WorkingCalendar) -> dict[str, object]:
    """Return a calendar as it is kept once it has been overtaken."""
    return {
        "time_zone": calendar.time_zone,
        "segments": [
            [weekday, segment.starts_s, segment.ends_s]
            for weekday, segments in enumerate(calendar.week, start=1)
            for segment in segments
        ],
        "days": [[day.isoformat(), is_working] for day, is_working in sorted(calendar.exceptions)],
    }


def calendar_from(body: Mapping[str, object]) -> WorkingCalendar:
    """Return the calendar of a body."""
    segments, days = body["segments"], body["days"]
    if not isinstance(segments, list) or not isinstance(days, list):
        raise TypeError(f"the body of a calendar has lists of segments and days, not {body!r}")
    exceptions = frozenset((date.fromisoformat(day), bool(is_working)) for day, is_working in days)
    return WorkingCalendar(str(body["time_zone"]), week_of(segments), exceptions)
