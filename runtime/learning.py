"""The learning job: what closures taught is read anew, and rules that lost or earned trust are proposed for a change.

It runs in the jobs process. An asset type is learnt about in one transaction under a lock of its own: of two jobs at
once the second finds it done. Proposals are one at a time for each rule by a unique index.
"""

from __future__ import annotations

import structlog
from psycopg import Connection

from detectors.learning import learn
from domain.clock import Clock
from storage.database import connect
from storage.detection_policy import detection_in_force
from storage.learning import lessons_of, save_learnt, take_type, types_due
from storage.library import stored_modes
from storage.rule_proposals import propose

_log = structlog.get_logger()


def learn_from_closures(dsn: str, clock: Clock) -> None:
    """Learn about every asset type that something new was said about, then judge the rules; once."""
    with connect(dsn) as connection:
        learnt = learn_what_is_due(connection, clock)
        _, policy = detection_in_force(connection)
        proposed = propose(connection, policy.trust, clock.now())
        connection.commit()
    if learnt or proposed:
        _log.info("learnt from closures", lessons=learnt, proposed=[one.rule for one in proposed])


def learn_what_is_due(connection: Connection, clock: Clock) -> dict[str, int]:
    """Learn about every asset type that is due, a transaction each; return from how many lessons, by type."""
    due = types_due(connection)
    connection.commit()
    learnt: dict[str, int] = {}
    for one in due:
        with connection.transaction():
            lessons = _learn_type(connection, one.asset_type, clock)
        connection.commit()
        if lessons is not None:
            learnt[one.asset_type] = lessons
    return learnt


def _learn_type(connection: Connection, asset_type: str, clock: Clock) -> int | None:
    due = take_type(connection, asset_type)
    if due is None:
        return None
    _, policy = detection_in_force(connection)
    modes = stored_modes(connection, asset_type)
    lessons = lessons_of(connection, asset_type)
    learnt = learn(list(modes.values()), lessons, policy.learning) if modes else {}
    by_id = {mode_id: learnt[mode.code] for mode_id, mode in modes.items()}
    save_learnt(connection, due, by_id, len(lessons), clock.now())
    return len(lessons)
