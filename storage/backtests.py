"""Backtests in the database: asked for, taken up by one runner at a time, answered machine by machine (SPEC D7)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.backtest import MachineResult
from detectors.calibrate import Proposal
from domain.refusals import Refused
from storage.backtest_json import (
    BacktestRequest,
    CalibrationRequest,
    as_json,
    proposal_of,
    request_of,
    result_of,
)
from storage.backtest_queue import defer_run
from storage.queries import load

QUERIES = load("backtests")

# So many machines can be named, and so many tried when they are all of a type, or of a type at a site.
MACHINES_MAX = 200
FLEET_MAX = 2_000
SPAN_MAX = timedelta(days=5 * 366)
WAITING_MAX = 20


class Kind(StrEnum):
    """What is asked for."""

    BACKTEST = "backtest"
    CALIBRATION = "calibration"


class State(StrEnum):
    """Where a backtest stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is asked of the machines of a type from ``since`` until before ``until``.

    They are all that the caller may see, those of ``site_id``, or ``asset_ids``.
    """

    asset_type: str
    asset_ids: tuple[int, ...] | None
    since: datetime
    until: datetime
    request: BacktestRequest | CalibrationRequest
    site_id: str | None = None


@dataclass(frozen=True, slots=True)
class Backtest:
    """A backtest or a calibration as it is stored; ``done`` of ``asset_ids`` are answered."""

    id: int
    kind: Kind
    asset_type: str
    asset_ids: tuple[int, ...]
    sites: tuple[str, ...]
    since: datetime
    until: datetime
    request: BacktestRequest | CalibrationRequest
    state: State
    error: str | None
    proposal: Proposal | None
    asked_by: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    done: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one machine: a result, or the reason why there is none."""

    asset_id: int
    name: str
    result: MachineResult | None
    error: str | None


@dataclass(frozen=True, slots=True)
class SiteOfType:
    """A site with how many machines of an asset type it has."""

    id: str
    name: str
    machines: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A backtest that a runner has taken up; writes under an older claim are refused."""

    backtest: Backtest
    claim: int


def ask(
    connection: Connection, draft: Draft, *, sites: Collection[str] | None, person_id: int | None, now: datetime
) -> Backtest:
    """Store what is asked for and put its run into the job queue.

    Raises Refused: invalid_backtest, too_many_backtests, unknown_record.
    """
    _check_span(draft)
    (waiting,) = connection.execute(QUERIES["count_waiting"]).fetchone() or (0,)
    if waiting >= WAITING_MAX:
        raise Refused(
            "too_many_backtests",
            expected=f"fewer than {WAITING_MAX} backtests that are not done",
            got=str(waiting),
            remedy="Wait for them, or cancel some.",
        )
    machines = machines_of(connection, draft.asset_type, draft.asset_ids, sites, draft.site_id)
    row = connection.execute(
        QUERIES["insert_backtest"],
        {
            "kind": Kind.BACKTEST if isinstance(draft.request, BacktestRequest) else Kind.CALIBRATION,
            "asset_type": draft.asset_type,
            "asset_ids": list(machines),
            "sites": sorted(set(machines.values())),
            "since": draft.since,
            "until": draft.until,
            "request": Jsonb(as_json(draft.request)),
            "asked_by": person_id,
            "now": now,
        },
    ).fetchone()
    assert row is not None  # an insert that returns
    defer_run(connection)
    return page(connection, sites=None, backtest_id=row[0])[0]


def machines_of(
    connection: Connection,
    asset_type: str,
    asset_ids: Sequence[int] | None,
    sites: Collection[str] | None,
    site_id: str | None = None,
) -> dict[int, str]:
    """Return the machines to try with their sites; refused when there are none, too many or others than asked for."""
    most = FLEET_MAX if asset_ids is None else MACHINES_MAX
    asked = {
        **_whose(asset_type, sites, site_id),
        "asset_ids": None if asset_ids is None else list(asset_ids),
        "limit": most + 1,
    }
    found = {int(asset_id): str(site) for asset_id, site in connection.execute(QUERIES["machines_to_try"], asked)}
    missing = sorted(set(asset_ids or ()) - set(found)) if len(found) <= most else []
    if missing or not found:
        raise Refused(
            "unknown_record",
            expected=f"assets of the type '{asset_type}'" + (f" at '{site_id}'" if site_id else ""),
            got=", ".join(map(str, missing)) or "none",
            remedy="'GET /api/v1/assets' lists them.",
        )
    if len(found) > most:
        raise _invalid(f"at most {most} machines", f"more of the type '{asset_type}'", "Name some of them, or a site.")
    return found


def tags_of(
    connection: Connection, asset_type: str, sites: Collection[str] | None, site_id: str | None = None
) -> dict[str, list[int]]:
    """Return the machines that ``machines_of`` would try, by tag: several where sites use the same one."""
    found: dict[str, list[int]] = {}
    for tag, asset_id in connection.execute(QUERIES["tags_to_try"], _whose(asset_type, sites, site_id)):
        found.setdefault(str(tag), []).append(int(asset_id))
    return found


def sites_of(connection: Connection, asset_type: str, sites: Collection[str] | None) -> list[SiteOfType]:
    """Return how many machines of the type stand at which of ``sites`` (None: all), by the site's name."""
    rows = connection.execute(QUERIES["sites_to_try"], _whose(asset_type, sites, None)).fetchall()
    return [SiteOfType(site_id, name, count) for site_id, name, count in rows]


def page(
    connection: Connection,
    *,
    sites: Collection[str] | None,
    backtest_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Backtest]:
    """Return backtests, newest first, with ids below ``before``; only those of ``sites`` alone unless None."""
    asked = {"sites": None if sites is None else list(sites), "id": backtest_id, "before": before, "limit": limit}
    return [
        Backtest(
            id=row[0],
            kind=Kind(row[1]),
            asset_type=row[2],
            asset_ids=tuple(row[3]),
            sites=tuple(row[4]),
            since=row[5],
            until=row[6],
            request=request_of(row[7]),
            state=State(row[8]),
            error=row[9],
            proposal=None if row[10] is None else proposal_of(row[10]),
            asked_by=row[11],
            created_at=row[12],
            started_at=row[13],
            finished_at=row[14],
            done=row[15],
        )
        for row in connection.execute(QUERIES["backtests"], asked).fetchall()
    ]


def answers_of(connection: Connection, backtest_id: int) -> list[Answer]:
    """Return what came of each machine so far."""
    rows = connection.execute(QUERIES["machines_of_backtest"], {"id": backtest_id}).fetchall()
    return [
        Answer(asset_id, tag, None if result is None else result_of(result), error)
        for asset_id, tag, result, error in rows
    ]


def cancel(connection: Connection, backtest: Backtest, now: datetime) -> bool:
    """Cancel a backtest that is not done; one that is stays as it is, and the answer is False."""
    return connection.execute(QUERIES["cancel_backtest"], {"id": backtest.id, "now": now}).fetchone() is not None


def remove(connection: Connection, backtest: Backtest, now: datetime) -> None:
    """Cancel a backtest that is not done, remove one that is."""
    if not cancel(connection, backtest, now):
        connection.execute(QUERIES["delete_backtest"], {"id": backtest.id})


def types_to_try(connection: Connection, sites: Collection[str] | None) -> dict[str, datetime | None]:
    """Return the asset types of the machines at ``sites`` (None: all) with the time of their newest reading."""
    asked = {"sites": None if sites is None else list(sites)}
    return {str(asset_type): newest for asset_type, newest in connection.execute(QUERIES["types_to_try"], asked)}


def names_of(connection: Connection, asked: Collection[Backtest]) -> dict[int, str]:
    """Return the names of who asked for these backtests, by the person's id."""
    ids = sorted({one.asked_by for one in asked if one.asked_by is not None})
    return {int(key): str(name) for key, name in connection.execute(QUERIES["names_of_askers"], {"ids": ids})}


def claim_next(connection: Connection, now: datetime) -> Claimed | None:
    """Take up the oldest backtest that is not done; None when all are."""
    row = connection.execute(QUERIES["claim_backtest"], {"now": now}).fetchone()
    if row is None:
        return None
    return Claimed(page(connection, sites=None, backtest_id=row[0])[0], row[1])


def is_claimed(connection: Connection, claimed: Claimed) -> bool:
    """Say whether the backtest is still this runner's: neither cancelled nor taken over."""
    key = {"id": claimed.backtest.id, "claim": claimed.claim}
    return connection.execute(QUERIES["is_claimed"], key).fetchone() is not None


def record(
    connection: Connection, claimed: Claimed, asset_id: int, result: MachineResult | None, error: str | None
) -> None:
    """Store what came of one machine, unless the backtest is no longer this runner's."""
    connection.execute(
        QUERIES["record_machine"],
        {
            "id": claimed.backtest.id,
            "claim": claimed.claim,
            "asset_id": asset_id,
            "result": None if result is None else Jsonb(as_json(result)),
            "error": error,
        },
    )


def finish(
    connection: Connection,
    claimed: Claimed,
    now: datetime,
    *,
    error: str | None = None,
    proposal: Proposal | None = None,
) -> None:
    """End a backtest, unless it is no longer this runner's; with an ``error`` it has failed."""
    connection.execute(
        QUERIES["finish_backtest"],
        {
            "id": claimed.backtest.id,
            "claim": claimed.claim,
            "state": State.DONE if error is None else State.FAILED,
            "error": error,
            "proposal": None if proposal is None else Jsonb(as_json(proposal)),
            "now": now,
        },
    )


def _whose(asset_type: str, sites: Collection[str] | None, site_id: str | None) -> dict[str, object]:
    return {"asset_type": asset_type, "site_id": site_id, "sites": None if sites is None else list(sites)}


def _check_span(draft: Draft) -> None:
    span = draft.until - draft.since
    if not timedelta(0) < span <= SPAN_MAX:
        raise _invalid(
            f"a span of up to {SPAN_MAX.days} days that ends after it begins",
            f"{draft.since.isoformat()} to {draft.until.isoformat()}",
            "Correct the two times.",
        )


def _invalid(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_backtest", expected=expected, got=got, remedy=remedy)
