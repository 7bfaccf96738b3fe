"""The auditor: looks from outside the desk whether escalations happen, and whether the desk lives (SPEC N4, ADR 0011).

The desk takes the steps and sweeps the service's alarms; a desk that died would raise none about itself. So the same
sweep runs here, in the jobs process, too, and each heart is watched by the other: the desk raises an alarm when the
auditor is silent, the auditor when the desk is.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog
from psycopg import Connection

from domain.clock import Clock
from runtime.measuring import disks
from storage import service_alarms
from storage.database import connect

AUDITOR = "auditor"
AUDIT_EVERY_S = 10.0
REST_AFTER_ERROR_S = 5.0

_log = structlog.get_logger()


def audit(connection: Connection, data_dir: Path, clock: Clock) -> int:
    """Raise and clear alarms as things stand and beat; return how many were raised. One transaction."""
    now = clock.now()
    with connection.transaction():
        raised = service_alarms.sweep(connection, now, disks(data_dir))
        service_alarms.beat(connection, AUDITOR, now)
    return raised


def run_auditor(
    dsn: str, data_dir: Path, clock: Clock, ended: threading.Event, *, every_s: float = AUDIT_EVERY_S
) -> None:
    """Audit again and again until ``ended`` is set; an error is logged, rested after, and seen by the missing beat."""
    connection: Connection | None = None
    while not ended.is_set():
        pause_s = every_s
        try:
            if connection is None:
                connection = connect(dsn)
                connection.autocommit = True
            raised = audit(connection, data_dir, clock)
            if raised:
                _log.warning("service alarms raised", raised=raised)
        except Exception:  # noqa: BLE001 (the loop's top: logged, and the next round tries again)
            _log.exception("audit failed")
            if connection is not None:
                connection.close()
            connection, pause_s = None, min(every_s, REST_AFTER_ERROR_S)
        ended.wait(pause_s)
    if connection is not None:
        connection.close()
