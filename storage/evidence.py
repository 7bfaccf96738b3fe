"""What is known about an asset when it is judged: claimed, read and updated by the desk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from psycopg import Connection

from detectors.signs import PastClosure
from domain.events import Event, EventKind, EventSeverity
from storage.queries import load

QUERIES = load("evidence")


@dataclass(frozen=True, slots=True)
class Claim:
    """An asset whose evidence is ours to judge until the transaction ends; ``times`` are distinct and rising."""

    asset_id: int
    asset_type: str
    times: tuple[datetime, ...]


def claim_asset(connection: Connection, set_aside: Sequence[int] = ()) -> Claim | None:
    """Take the asset that has waited longest with the times of its new evidence; None when there is nothing to do.

    Those ``set_aside`` (ids) are left alone.

    Two desks never hold the same asset. What comes in meanwhile stays due.
    """
    row = connection.execute(QUERIES["claim_asset"], {"set_aside": list(set_aside)}).fetchone()
    if row is None:
        return None
    taken = connection.execute(QUERIES["take_due"], {"asset_id": row[0]}).fetchall()
    return Claim(row[0], row[1], tuple(sorted({ts for (ts,) in taken})))


def hold_decisions(connection: Connection, asset_id: int) -> None:
    """Let nobody close a ticket or reject a prediction of the asset until the transaction ends.

    Call it before anything is read: what was decided a moment ago is then seen, or the evidence it has answered
    would open the next ticket at once.
    """
    connection.execute(QUERIES["hold_tickets"], {"asset_id": asset_id})
    connection.execute(QUERIES["hold_predictions"], {"asset_id": asset_id})


def events_of_asset(connection: Connection, asset_id: int, *, since: datetime, until: datetime) -> list[Event]:
    """Return the asset's events from ``since`` to ``until`` (equipment time), oldest first."""
    rows = connection.execute(
        QUERIES["events_of_asset"], {"asset_id": asset_id, "since": since, "until": until}
    ).fetchall()
    return [
        Event(ts, EventKind(kind), code, EventSeverity(severity), text, attributes)
        for ts, kind, code, severity, text, attributes in rows
    ]


def fitted_components(connection: Connection, asset_id: int) -> dict[str, list[datetime]]:
    """Return when each component was fitted, oldest first (equipment time)."""
    fitted: defaultdict[str, list[datetime]] = defaultdict(list)
    for component, at in connection.execute(QUERIES["fitted_components"], {"asset_id": asset_id}).fetchall():
        fitted[component].append(at)
    return fitted


def last_closed(connection: Connection, asset_id: int) -> Mapping[str, datetime]:
    """Return until when the evidence for each failure mode, by code, is spent (equipment time)."""
    rows = connection.execute(QUERIES["last_closed"], {"asset_id": asset_id}).fetchall()
    return dict(rows)


def past_closures(connection: Connection, asset_id: int, *, since: datetime, until: datetime) -> list[PastClosure]:
    """Return how tickets about the asset's failure modes ended from ``since`` to ``until``, oldest first.

    Times are the equipment's; a closure that found another mode than expected is about the mode found.
    """
    rows = connection.execute(
        QUERIES["past_closures"], {"asset_id": asset_id, "since": since, "until": until}
    ).fetchall()
    return [PastClosure(code, at, repaired) for code, at, repaired in rows]


def record_replacement(
    connection: Connection, asset_id: int, component: str, patterns: Sequence[str], at: datetime
) -> None:
    """Note that a component was replaced at this equipment time, and begin new baselines for the metrics that fit."""
    connection.execute(
        QUERIES["record_replacement"], {"asset_id": asset_id, "component": component, "installed_at": at}
    )
    reported = [metric for (metric,) in connection.execute(QUERIES["reported_metrics"], {"asset_id": asset_id})]
    metrics = [metric for metric in reported if any(fnmatchcase(metric, pattern) for pattern in patterns)]
    connection.execute(QUERIES["move_anchors"], {"asset_id": asset_id, "metrics": metrics, "anchored_at": at})
