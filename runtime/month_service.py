"""The service behind a simulated month: its rounds at virtual times, its sensors, and who is on duty (SPEC R4).

Sensors are simulated where detectors would tell: as findings in the database, marked as evidence that is due. From
there on everything is the service's own: the desk judges, predicts and opens the ticket.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from psycopg import Connection
from psycopg_pool import ConnectionPool

from detectors.bank import Cleared, Opened
from detectors.rules import RuleInForce
from domain.clock import Clock
from domain.failure_modes import FailureMode, FindingSign
from domain.findings import Direction, Finding
from domain.ids import uuid7
from runtime.desk import JOBS
from storage.devices import create_series, series_of
from storage.findings import save_changes
from storage.library import failure_modes
from storage.people import set_on_duty
from storage.queries import load
from storage.rules import rules_in_force

QUERIES = load("month")

# Evidence packs freeze readings, and alarms are shelved by hand: a month has neither. All other jobs are tickets'.
NOT_OF_TICKETS = ("freeze", "unshelve")
# A job that finds more to do every time it is asked must not keep the month from going on.
CALLS_PER_ROUND = 20
# What a simulated sensor shows: twice the limit. The weight of a finding is the library's, not the value's.
SHOWN_LIMIT, SHOWN_VALUE = 1.0, 2.0


class VirtualClock:
    """A clock that stands still until it is set."""

    def __init__(self, starts_at: datetime) -> None:
        self._now = self._start = starts_at.astimezone(UTC)

    def now(self) -> datetime:
        """Return the virtual time, aware, in UTC."""
        return self._now

    def monotonic_s(self) -> float:
        """Return the virtual seconds since the start."""
        return (self._now - self._start).total_seconds()

    def set_to(self, at: datetime) -> None:
        """Move the time on. Raises ValueError where that would be back."""
        if at < self._now:
            raise ValueError(f"the time is {self._now.isoformat()}, it cannot go back to {at.isoformat()}")
        self._now = at.astimezone(UTC)


class MonthService:
    """The desk and the sensors over one database and one clock."""

    def __init__(self, pool: ConnectionPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._jobs = [job for job in JOBS if job.name not in NOT_OF_TICKETS]
        self._shown: dict[tuple[int, str], list[Finding]] = {}

    def round(self) -> None:
        """Do all the desk's jobs that are about tickets, each until it has nothing to do."""
        for job in self._jobs:
            for _ in range(CALLS_PER_ROUND):
                if not job.run(self._pool, self._clock):
                    break

    def show_fault(self, asset_id: int, failure_mode: str) -> None:
        """Open a finding for every sign of the mode that a rule in force watches. Raises LookupError without any."""
        now = self._clock.now()
        with self._pool.connection() as connection:
            found = _findings(connection, asset_id, failure_mode, now)
            if not found:
                raise LookupError(f"no rule in force watches a sign of '{failure_mode}' on asset {asset_id}")
            save_changes(connection, [Opened(one) for one in found], now)
        self._shown[asset_id, failure_mode] = found

    def calm(self, asset_id: int, failure_mode: str) -> None:
        """End the findings that were shown of this mode."""
        now = self._clock.now()
        ended = [
            Cleared(one.series_id, one.rule_id, one.opened_at, now)
            for one in self._shown.pop((asset_id, failure_mode), [])
        ]
        with self._pool.connection() as connection:
            save_changes(connection, ended, now)

    def set_on_duty(self, person_id: int, on_duty: bool) -> None:
        """Begin or end somebody's shift."""
        with self._pool.connection() as connection:
            set_on_duty(connection, person_id, on_duty)


def _findings(connection: Connection, asset_id: int, code: str, now: datetime) -> list[Finding]:
    row = connection.execute(QUERIES["device_of_asset"], {"asset_id": asset_id}).fetchone()
    if row is None:
        raise LookupError(f"asset {asset_id} has no device that could show '{code}'")
    device_id, asset_type = row
    mode = _mode(connection, asset_type, code)
    rules = {(rule.metric, rule.detector): rule for rule in rules_in_force(connection, asset_type)}
    signs = [(sign, rules[sign.metric, sign.detector]) for sign in _known(mode, rules)]
    create_series(connection, [(device_id, _metric(sign.metric)) for sign, _ in signs], now)
    series = {metric: series_id for _, metric, series_id in series_of(connection, [device_id])}
    return [
        Finding(
            id=uuid7(now),
            rule_id=rule.rule_id,
            series_id=series[_metric(sign.metric)],
            asset_id=asset_id,
            metric=_metric(sign.metric),
            detector=sign.detector,
            direction=sign.direction or Direction.UP,
            severity=rule.severity,
            shadow=rule.shadow,
            opened_at=now,
            cleared_at=None,
            value=SHOWN_VALUE,
            score=SHOWN_VALUE,
            limit=SHOWN_LIMIT,
            evidence={},
        )
        for sign, rule in signs
    ]


def _known(mode: FailureMode, rules: Mapping[tuple[str, str], RuleInForce]) -> list[FindingSign]:
    """Return the signs that a rule watches, one for each rule: a rule has one finding at a time."""
    signs = {(sign.metric, sign.detector): sign for sign in mode.signature.findings}
    return [sign for key, sign in signs.items() if key in rules]


def _metric(pattern: str) -> str:
    """Return a metric that the pattern of a sign matches."""
    return pattern.replace("*", "sensor")


def _mode(connection: Connection, asset_type: str, code: str) -> FailureMode:
    for mode in failure_modes(connection, asset_type).values():
        if mode.code == code:
            return mode
    raise LookupError(f"asset type '{asset_type}' has no failure mode '{code}'")
