"""Backtests: rules tried on stored history before they are switched on, and limits proposed by replay (SPEC D7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Response
from psycopg import Connection

from api.backtest_schemas import (
    BacktestDetail,
    Backtests,
    BacktestShape,
    LabelShape,
    MachineShape,
    NewBacktest,
    NewCalibration,
    Side,
)
from api.boundary import BASE_PATH
from api.dependencies import Database, Now, ReadBacktests, RunBacktests
from api.detection_schemas import NewRule
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from detectors.backtest import MachineResult, Outcome, difference, figures, tally, total
from detectors.calibrate import limits_of
from detectors.library import RuleDraft
from domain.refusals import Refused
from storage import backtests, rules
from storage.backtest_json import BacktestRequest, CalibrationRequest
from storage.backtests import Answer, Backtest, Draft
from storage.cases import Label

router = APIRouter(prefix=BASE_PATH, tags=["detection"])

BacktestKey = Annotated[Key, Path(description="The backtest's id")]


@router.get("/backtests", responses=SIGNED_IN_ANSWERS)
def list_backtests(
    caller: ReadBacktests, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Backtests:
    """Return backtests and calibrations, newest first, whose machines all stand at the caller's sites."""
    with database.connection() as connection:
        rows = backtests.page(connection, sites=caller.site_list(), before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda one: one.id)
    return Backtests(items=[BacktestShape.model_validate(_told(one)) for one in page], next_cursor=next_cursor)


@router.post("/backtests", status_code=201, responses=CHANGE_ANSWERS)
def ask_backtest(caller: RunBacktests, body: NewBacktest, database: Database, now: Now) -> BacktestShape:
    """Ask for a backtest; it runs in the background, machine by machine, beside the rules in force."""
    drafts = [_draft(rule, body.asset_type) for rule in body.rules]
    names = [draft.name for draft in drafts]
    if len(set(names)) != len(names):
        raise _invalid("each rule once", ", ".join(sorted(names)), "Leave out the repeated one.")
    request = BacktestRequest(tuple(drafts), _labels(body.labels), body.repaired_after_h)
    return _ask(caller, body, request, database, now)


@router.post("/calibrations", status_code=201, responses=CHANGE_ANSWERS)
def ask_calibration(caller: RunBacktests, body: NewCalibration, database: Database, now: Now) -> BacktestShape:
    """Ask for a limit that gives at most the wanted rate of false alarms; the proposal stands in the backtest."""
    with database.connection() as connection:
        known = [rule.draft for rule in rules.newest_rules(connection) if rule.draft.name == body.rule]
    if not known or known[0].asset_type not in (None, body.asset_type):
        raise _invalid(f"a rule for the type '{body.asset_type}'", repr(body.rule), "'GET /api/v1/rules' lists them.")
    limits = limits_of(known[0].detector)
    if body.parameter not in limits:
        raise _invalid(
            f"a limit of '{known[0].detector}': {', '.join(limits) or 'it has none'}",
            repr(body.parameter),
            "Choose one of them.",
        )
    request = CalibrationRequest(known[0], body.parameter, body.wanted, _labels(body.labels))
    return _ask(caller, body, request, database, now)


@router.get("/backtests/{backtest_id}", responses=RECORD_ANSWERS)
def read_backtest(backtest_id: BacktestKey, caller: ReadBacktests, database: Database) -> BacktestDetail:
    """Return one backtest with what came of it so far."""
    with database.connection() as connection:
        known = _known(connection, caller, backtest_id)
        answers = backtests.answers_of(connection, backtest_id)
    results = [answer.result for answer in answers if answer.result is not None]
    tried, stands = total(one.candidate.score for one in results), total(one.in_force.score for one in results)
    return BacktestDetail.model_validate(
        {
            **_told(known),
            "candidate": _together([one.candidate for one in results]),
            "in_force": _together([one.in_force for one in results]),
            "difference": difference(tried, stands) if results else None,
            "machines": [_machine(answer) for answer in answers],
            "proposal": known.proposal,
        }
    )


@router.delete("/backtests/{backtest_id}", status_code=204, responses=CHANGE_ANSWERS)
def remove_backtest(backtest_id: BacktestKey, caller: RunBacktests, database: Database, now: Now) -> Response:
    """Cancel a backtest that is not done, or remove one that is."""
    with database.connection() as connection:
        known = _known(connection, caller, backtest_id)
        backtests.remove(connection, known, now)
    return Response(status_code=204)


def _ask(
    caller: Caller,
    body: NewBacktest | NewCalibration,
    request: BacktestRequest | CalibrationRequest,
    database: Database,
    now: Now,
) -> BacktestShape:
    asset_ids = None if body.asset_ids is None else tuple(body.asset_ids)
    draft = Draft(body.asset_type, asset_ids, body.since, body.until, request, body.site_id)
    with database.connection() as connection:
        made = backtests.ask(connection, draft, sites=caller.site_list(), person_id=caller.person.id, now=now)
    return BacktestShape.model_validate(_told(made))


def _known(connection: Connection, caller: Caller, backtest_id: int) -> Backtest:
    rows = backtests.page(connection, sites=caller.site_list(), backtest_id=backtest_id)
    if not rows:
        raise unknown("backtest", backtest_id)
    return rows[0]


def _draft(rule: NewRule, asset_type: str) -> RuleDraft:
    if rule.asset_type not in (None, asset_type):
        raise _invalid(f"rules for the type '{asset_type}' or for all", repr(rule.asset_type), "Correct the rule.")
    draft = RuleDraft(rule.name, rule.asset_type, rule.metric, rule.detector, rule.parameters, rule.severity, rule.mode)
    draft.check()
    return draft


def _labels(labels: Sequence[LabelShape]) -> tuple[Label, ...]:
    for label in labels:
        if label.begin > label.end:
            got = f"{label.begin.isoformat()} to {label.end.isoformat()}"
            raise _invalid("labels that end after they begin", got, "Correct the two times.")
    return tuple(Label(label.begin, label.end, label.failure_mode, label.asset_id) for label in labels)


def _told(known: Backtest) -> dict[str, object]:
    shown = {name: getattr(known, name) for name in BacktestShape.model_fields if name != "rules"}
    request = known.request
    drafts = request.rules if isinstance(request, BacktestRequest) else (request.rule,)
    return {**shown, "asset_ids": list(known.asset_ids), "rules": [draft.name for draft in drafts]}


def _machine(answer: Answer) -> MachineShape:
    result: MachineResult | None = answer.result
    return MachineShape(
        asset_id=answer.asset_id,
        name=answer.name,
        rows=None if result is None else result.rows,
        error=answer.error,
        candidate=None if result is None else _side(result.candidate),
        in_force=None if result is None else _side(result.in_force),
    )


def _side(outcome: Outcome) -> Side:
    return Side(figures=figures(outcome.score), rules=list(outcome.rules), tickets=list(outcome.tickets))


def _together(outcomes: Sequence[Outcome]) -> Side | None:
    if not outcomes:
        return None
    return Side(figures=figures(total(one.score for one in outcomes)), rules=tally(outcomes), tickets=[])


def _invalid(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_backtest", expected=expected, got=got, remedy=remedy)
