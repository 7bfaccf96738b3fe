"""What the jobs process does about time: holidays as they are announced, and how long repairs take (SPEC S3, S8)."""

from __future__ import annotations

import structlog

from domain.clock import Clock
from storage.calendar_book import fill_official_days
from storage.database import connect
from storage.eta import learn_expectations

_log = structlog.get_logger()


def keep_time(dsn: str, clock: Clock) -> None:
    """Bring the official days of every calendar up to date, then learn how long tickets take; once."""
    with connect(dsn) as connection:
        changed = fill_official_days(connection, clock.now())
        connection.commit()
        tickets = learn_expectations(connection, clock.now())
        connection.commit()
    _log.info("time kept", calendars=changed, tickets=tickets)
