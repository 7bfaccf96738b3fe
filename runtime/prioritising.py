"""The desk's round over priorities: windows that turned, scores nobody has looked at for a day, and breakers (SPEC S1).

Each ticket is its own short transaction. A window is noted as seen after its last ticket, so that a desk that dies on
the way leaves the rest to the next round.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from psycopg_pool import ConnectionPool

from storage.breaker import judge_sites
from storage.casework import reprioritise
from storage.critical_windows import Turned, mark_seen, tickets_of_scope, turned_windows
from storage.priorities import tickets_to_score

# Complaints and repeats grow old, tiers and criticality change: whatever else happens, a score is looked at daily.
LOOK_AGAIN_AFTER = timedelta(days=1)
BATCH = 200

_log = structlog.get_logger()


def prioritise_round(pool: ConnectionPool, now: datetime) -> int:
    """Score what has to be scored again, and judge the breakers; return how many priorities moved."""
    with pool.connection() as connection:
        for site_id in judge_sites(connection, now):
            _log.warning("breaker switched", site=site_id)
        turned = turned_windows(connection, now)
    moved = 0
    for window in turned:
        while codes := _in_scope(pool, window, now):
            moved += _score(pool, codes, "window_opened" if window.is_open else "window_closed", now)
        with pool.connection() as connection:
            mark_seen(connection, window)
    with pool.connection() as connection:
        codes = tickets_to_score(connection, now - LOOK_AGAIN_AFTER, BATCH)
    return moved + _score(pool, codes, "daily", now)


def _in_scope(pool: ConnectionPool, window: Turned, now: datetime) -> list[str]:
    with pool.connection() as connection:
        return tickets_of_scope(connection, window, now, BATCH)


def _score(pool: ConnectionPool, codes: list[str], cause: str, now: datetime) -> int:
    moved = 0
    for code in codes:
        with pool.connection() as connection:
            moved += reprioritise(connection, code, cause, now)
    return moved
