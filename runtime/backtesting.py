"""Backtests at work: machines fan out over processes, and what comes of each is stored as it comes (SPEC D7).

A worker reads its machine from the database and replays it. An error in one machine is that machine's answer, and the
rest goes on. A run that is killed is taken up again by the next one, which goes on with the machines that are left.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from psycopg import Connection

from detectors.backtest import MachineResult, backtest, rule_sets
from detectors.calibrate import Proposal, calibrate, needs
from detectors.library import RuleDraft
from detectors.rules import RuleInForce
from domain.clock import Clock
from domain.failure_modes import FailureMode
from domain.refusals import Refused
from domain.regimes import OperatingRegimes
from runtime.fanning_out import WorkFailed, fan_out
from storage import backtests
from storage.backtest_json import BacktestRequest, CalibrationRequest
from storage.backtests import Claimed
from storage.cases import ROWS_MAX, Label, read_case
from storage.database import connect
from storage.library import failure_modes
from storage.regimes import regimes_of
from storage.rules import rules_in_force

_log = structlog.get_logger()

# A backtest that was taken up so often and never ended has killed its runners.
CLAIMS_MAX = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker needs to know of a backtest; the rest it reads."""

    dsn: str
    since: datetime
    until: datetime
    modes: tuple[FailureMode, ...]
    candidate: tuple[RuleInForce, ...]
    in_force: tuple[RuleInForce, ...]
    labels: tuple[Label, ...] = ()
    repaired_after: timedelta | None = None
    regimes: OperatingRegimes | None = None
    now: datetime | None = None


def cores() -> int:
    """Return how many workers this machine can feed."""
    return len(os.sched_getaffinity(0))


def plan_of(
    connection: Connection,
    dsn: str,
    asset_type: str,
    since: datetime,
    until: datetime,
    request: BacktestRequest,
    now: datetime | None = None,
) -> Plan:
    """Return the plan of a backtest: the candidate rules and those in force now, and the type's failure modes.

    Silence is judged until ``now`` at the latest (None: until the last reading).
    """
    candidate, in_force = rule_sets(rules_in_force(connection, asset_type), request.rules)
    hours = request.repaired_after_h
    return Plan(
        dsn,
        since,
        until,
        tuple(failure_modes(connection, asset_type).values()),
        tuple(candidate),
        tuple(in_force),
        request.labels,
        None if hours is None else timedelta(hours=hours),
        regimes_of(connection, asset_type),
        now,
    )


def try_machine(plan: Plan, asset_id: int) -> MachineResult:
    """Read one machine and try the rules on it."""
    with connect(plan.dsn) as connection:
        connection.autocommit = True
        case = read_case(
            connection, asset_id, plan.modes, plan.since, plan.until, plan.labels, regimes=plan.regimes, now=plan.now
        )
    return backtest(case, plan.modes, plan.candidate, plan.in_force, repaired_after=plan.repaired_after)


def calibrate_machines(
    plan: Plan, draft: RuleDraft, parameter: str, wanted: float, asset_ids: Sequence[int]
) -> Proposal:
    """Read what the rule watches on these machines and propose a limit; what is true is left out."""
    rule = RuleInForce(1, draft.name, 0, draft.metric, draft.detector, draft.parameters, draft.severity, shadow=False)
    cases, rows = [], 0
    with connect(plan.dsn) as connection:
        connection.autocommit = True
        for asset_id in asset_ids:
            needed = needs(rule, plan.regimes)
            case = read_case(
                connection, asset_id, plan.modes, plan.since, plan.until, plan.labels, needed, plan.regimes
            )
            rows += len(case.history.readings)
            if rows > ROWS_MAX:
                raise ValueError(f"more than {ROWS_MAX:,} readings; choose fewer machines or a shorter span")
            cases.append(case)
    excluded = {case.history.asset_id: [(truth.begins, truth.ends) for truth in case.truths] for case in cases}
    return calibrate([case.history for case in cases], rule, parameter, wanted, excluded)


def run_waiting(dsn: str, clock: Clock, stop: threading.Event, *, workers: int | None = None) -> int:
    """Run backtests until none waits or ``stop`` is set, and return how many were taken up.

    ``workers`` are one for each core unless said otherwise; 0 keeps the work in this process.
    """
    crew = cores() if workers is None else workers
    ended = 0
    while not stop.is_set():
        with connect(dsn) as connection:
            claimed = backtests.claim_next(connection, clock.now())
        if claimed is None:
            break
        if claimed.claim > CLAIMS_MAX:
            _end(dsn, claimed, clock, error=f"it was taken up {CLAIMS_MAX} times and never ended")
            continue
        _log.info("backtest taken up", backtest=claimed.backtest.id, kind=claimed.backtest.kind)
        run = _Run(dsn, clock, claimed, stop, crew)
        try:
            run.go()
        except (LookupError, ValueError, Refused) as error:
            _end(dsn, claimed, clock, error=str(error))
        ended += 1
    return ended


class _Run:
    """One backtest being run by this process."""

    def __init__(self, dsn: str, clock: Clock, claimed: Claimed, stop: threading.Event, workers: int) -> None:
        self._dsn, self._clock, self._claimed, self._stop, self._workers = dsn, clock, claimed, stop, workers

    def go(self) -> None:
        """Try the machines that have no answer yet."""
        asked = self._claimed.backtest
        request = asked.request
        with connect(self._dsn) as connection:
            answered = {answer.asset_id for answer in backtests.answers_of(connection, asked.id)}
            known = request if isinstance(request, BacktestRequest) else BacktestRequest((), request.labels)
            span = (asked.since, asked.until)
            plan = plan_of(connection, self._dsn, asked.asset_type, *span, known, self._clock.now())
        if isinstance(request, CalibrationRequest):
            self._calibrate(plan, request)
            return
        left = [asset_id for asset_id in asked.asset_ids if asset_id not in answered]
        for asset_id, made in fan_out(partial(try_machine, plan), left, workers=self._workers, wanted=self._is_wanted):
            result, error = (None, str(made)) if isinstance(made, WorkFailed) else (made, None)
            if error is not None:
                _log.warning("backtest: a machine was not tried", backtest=asked.id, asset=asset_id, error=error)
            with connect(self._dsn) as connection:
                backtests.record(connection, self._claimed, asset_id, result, error)
        if not self._stop.is_set():
            _end(self._dsn, self._claimed, self._clock)

    def _calibrate(self, plan: Plan, request: CalibrationRequest) -> None:
        work = partial(calibrate_machines, plan, request.rule, request.parameter, request.wanted)
        for _, made in fan_out(
            work, [self._claimed.backtest.asset_ids], workers=min(1, self._workers), wanted=self._is_wanted
        ):
            if isinstance(made, WorkFailed):
                _end(self._dsn, self._claimed, self._clock, error=str(made))
            else:
                _end(self._dsn, self._claimed, self._clock, proposal=made)

    def _is_wanted(self) -> bool:
        if self._stop.is_set():
            return False
        with connect(self._dsn) as connection:
            return backtests.is_claimed(connection, self._claimed)


def _end(
    dsn: str, claimed: Claimed, clock: Clock, *, error: str | None = None, proposal: Proposal | None = None
) -> None:
    with connect(dsn) as connection:
        backtests.finish(connection, claimed, clock.now(), error=error, proposal=proposal)
    _log.info("backtest ended", backtest=claimed.backtest.id, error=error)
