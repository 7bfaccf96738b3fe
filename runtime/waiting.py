"""Predictions that waited: for the next day of their site's ticket budget, or the end of a flood or a snooze."""

from __future__ import annotations

from uuid import UUID

import structlog
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.clock import Clock
from storage.casework import open_from_prediction
from storage.evidence import hold_decisions
from storage.floods import note_flood
from storage.rules import all_auto
from storage.ticket_budget import (
    Waiting,
    claim_waiting,
    hold_back,
    hold_for_flood,
    is_flooded,
    let_go,
    may_open,
    rules_behind,
    still_waits,
)

_log = structlog.get_logger()

# One call tries at most so many, then lets the desk's other work have its turn.
PREDICTIONS_PER_CALL = 100


def open_waiting(pool: ConnectionPool, clock: Clock) -> int:
    """Try all predictions whose wait is over, the gravest first, a transaction each; return how many were opened."""
    opened = 0
    tried: list[UUID] = []
    while len(tried) < PREDICTIONS_PER_CALL:
        with pool.connection() as connection:
            waiting = claim_waiting(connection, clock.now(), tried)
            if waiting is None:
                break
            tried.append(waiting.id)
            opened += _try(connection, waiting, clock)
    return opened


def _try(connection: Connection, waiting: Waiting, clock: Clock) -> bool:
    hold_decisions(connection, waiting.asset_id)
    now = clock.now()
    rules = rules_behind(connection, waiting.id)
    if not still_waits(connection, waiting.id) or not all_auto(connection, rules):
        let_go(connection, waiting.id, now)
        return False
    if is_flooded(connection, waiting.asset_id, now):
        hold_for_flood(connection, waiting.id, now)
        note_flood(connection, waiting.asset_id, now, now)
        return False
    if not may_open(connection, waiting.asset_id, now, severity=waiting.severity):
        let_go(connection, waiting.id, now)
        hold_back(connection, waiting.id, now)
        return False
    let_go(connection, waiting.id, now)
    code = open_from_prediction(connection, waiting.id, now)
    _log.info("ticket opened after a wait", ticket=code, asset=waiting.asset_id, prediction=str(waiting.id))
    return code is not None
