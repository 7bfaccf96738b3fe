"""Backtests: rules tried on stored history and limits sought by replay, asked for by form and read (SPEC D7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection
from starlette.datastructures import UploadFile

from api.backtest_labels import TITLES, read_labels
from api.backtest_schemas import BacktestDetail, BacktestShape, NewBacktest, NewCalibration
from api.dependencies import ChangeRules, Database, Now, ReadBacktests, RunBacktests
from api.detection_schemas import NewRule
from api.identity import Caller
from api.pages import rule_words
from api.pages.access import may
from api.pages.backtest_forms import Asked, ParameterField, Step, changed, fields_of, publishable
from api.pages.backtest_words import FIGURES, RUN_KINDS, RUN_STATES, VERDICTS, written
from api.pages.devices import places_of
from api.pages.forms import PostedForm, body_of, text, uploaded
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import common_zone, to_input
from api.permissions import Action
from api.problems import RefusedWith, unknown
from api.routes import backtests as routes
from api.routes.backtests import BacktestKey
from api.routes.rules import publish_rule
from detectors.backtest import TicketTold
from detectors.calibrate import limits_of
from detectors.library import RuleDraft, RuleMode
from domain.refusals import Refused
from storage import backtests, console, library, rules
from storage.backtest_json import BacktestRequest
from storage.backtests import FLEET_MAX, Backtest, SiteOfType, State

router = APIRouter()

KEY_MAX = 2**63 - 1
NAME_MAX = 64
LIST_MAX = 50
TICKETS_MAX = 200
SPAN = timedelta(days=30)
# Of what is stored for a minute, the whole minute.
MINUTE = timedelta(minutes=1)
WANTED = "0.05"
MACHINES_SHOWN = 200
# A limit that nobody has seen at work opens no ticket by itself.
PUBLISHED_AS = (RuleMode.REVIEW, RuleMode.SHADOW)
UNFINISHED = (State.WAITING, State.RUNNING)

Name = Annotated[str, Query(max_length=NAME_MAX)]


@dataclass(frozen=True, slots=True)
class Asking:
    """The forms as they are shown: the chosen rule with its fields, and the rules and asset types to choose from."""

    asked: Asked
    rule: RuleDraft
    fields: Sequence[ParameterField]
    limits: Sequence[str]
    rules: Sequence[RuleDraft]
    types: Sequence[str]
    sites: Sequence[SiteOfType]
    zone: str


@router.get("/backtests")
def list_backtests(
    request: Request,
    caller: ReadBacktests,
    database: Database,
    now: Now,
    rule: Name = "",
    asset_type: Name = "",
    parameter: Name = "",
    value: Name = "",
    site_id: Name = "",
    before: Annotated[int | None, Query(ge=1, le=KEY_MAX)] = None,
) -> HTMLResponse:
    """Show backtests and calibrations, and the forms for a rule, one parameter of it at another value if given."""
    typed = {parameter: value} if parameter else {}
    asked = Asked(rule=rule, asset_type=asset_type, site_id=site_id, parameter=parameter, parameters=typed)
    return _list_page(request, caller, database, now, asked, before=before)


@router.post("/backtests")
def ask(form: PostedForm, request: Request, caller: RunBacktests, database: Database, now: Now) -> Response:
    """Try the rule as it was changed, or left out, or seek a limit for it."""
    asked = Asked.of(form)
    try:
        made = _ask(caller, asked, uploaded(form), database, now)
    except Refused as refusal:
        return _list_page(request, caller, database, now, asked, refusal=refusal)
    return RedirectResponse(f"/backtests/{made.id}", status_code=303)


@router.get("/backtests/{backtest_id}")
def show_backtest(backtest_id: BacktestKey, request: Request, caller: ReadBacktests, database: Database) -> Response:
    """Show how far a backtest is and what came of it."""
    return _run_page(request, caller, database, backtest_id)


@router.post("/backtests/{backtest_id}/publish")
def publish(
    backtest_id: BacktestKey, form: PostedForm, request: Request, caller: ChangeRules, database: Database, now: Now
) -> Response:
    """Publish what was tried or proposed as the rule's next version, with a reason, in a mode that opens no ticket."""
    try:
        with database.connection() as connection:
            run = _known(connection, caller, backtest_id)
            drafts = _drafts(run)
            newest = rules.rule_versions(connection, drafts[0].name)[0] if drafts else None
        draft = None if newest is None else publishable(run, newest.draft, text(form, "mode"))
        if newest is None or draft is None or text(form, "version") != str(newest.version):
            raise Refused(
                "stale_record",
                expected="values that the newest version of the rule does not have",
                got="none" if draft is None else f"version {text(form, 'version')[:20]}",
                remedy="Read the rule again and repeat the change.",
            )
        if text(form, "mode") not in PUBLISHED_AS or not text(form, "reason"):
            raise Refused(
                "invalid_request",
                expected="a reason, and the mode 'shadow' or 'review'",
                got=f"mode '{text(form, 'mode')[:20]}'",
                remedy="Fill in both.",
            )
        publish_rule(caller, body_of(NewRule, {**draft, "reason": text(form, "reason")}), database, now)
    except Refused as refusal:
        return _run_page(request, caller, database, backtest_id, refusal=refusal, reason=text(form, "reason"))
    return RedirectResponse(f"/rules/{newest.draft.name}", status_code=303)


@router.post("/backtests/{backtest_id}/cancel")
def cancel(backtest_id: BacktestKey, caller: RunBacktests, database: Database, now: Now) -> Response:
    """Cancel a backtest; one that has ended meanwhile keeps what came of it."""
    with database.connection() as connection:
        backtests.cancel(connection, _known(connection, caller, backtest_id), now)
    return RedirectResponse(f"/backtests/{backtest_id}", status_code=303)


@router.post("/backtests/{backtest_id}/remove")
def remove(backtest_id: BacktestKey, caller: RunBacktests, database: Database, now: Now) -> Response:
    """Remove a backtest that has ended."""
    routes.remove_backtest(backtest_id, caller, database, now)
    return RedirectResponse("/backtests", status_code=303)


def _ask(caller: Caller, asked: Asked, labels: UploadFile | None, database: Database, now: datetime) -> BacktestShape:
    with database.connection() as connection:
        draft = rules.rule_versions(connection, asked.rule.replace("\0", ""))[0].draft
        zone = _zone(connection, caller)
        span = asked.span(zone)
        if labels is not None:
            machines = backtests.tags_of(connection, asked.asset_type, caller.site_list(), asked.site_id or None)
            modes = list(library.failure_modes(connection, asked.asset_type).values())
            span["labels"] = read_labels(labels.file.read(), machines, modes, zone)
    if asked.step == Step.CALIBRATE:
        wish = {"rule": asked.rule, "parameter": asked.parameter, "wanted": asked.wanted}
        return routes.ask_calibration(caller, body_of(NewCalibration, {**span, **wish}), database, now)
    tried = changed(draft, asked)
    tried.check()
    body = body_of(NewBacktest, {**span, "rules": [{**asdict(tried), "parameters": dict(tried.parameters)}]})
    return routes.ask_backtest(caller, body, database, now)


def _list_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: datetime,
    asked: Asked,
    *,
    before: int | None = None,
    refusal: Refused | None = None,
) -> HTMLResponse:
    here = None if request.method == "GET" else f"/backtests?{urlencode({'rule': asked.rule})}"
    framed = frame(request, caller.person, "rules", here=here)
    sites = places_of(caller, Action.READ_BACKTESTS)
    with database.connection() as connection:
        rows = backtests.page(connection, sites=sites, before=before, limit=LIST_MAX + 1)
        names = backtests.names_of(connection, rows)
        zones = console.site_zones(connection)
        asking = _asking(connection, caller, asked, now) if may(caller.person, Action.RUN_BACKTESTS) else None
    runs = rows[:LIST_MAX]
    context = {
        "kinds": RUN_KINDS,
        "states": RUN_STATES,
        "runs": runs,
        "names": names,
        "rules_of": {one.id: [draft.name for draft in _drafts(one)] for one in runs},
        "zones_of": {one.id: _zone_of(one, zones) for one in runs},
        "is_live": any(one.state in UNFINISHED for one in runs),
        "unfinished": UNFINISHED,
        "more": f"/backtests?before={runs[-1].id}" if len(rows) > LIST_MAX else None,
        "asking": asking,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        "errors": refusal.members.get("errors", ()) if isinstance(refusal, RefusedWith) else (),
        "titles": list(TITLES),
        "fleet_max": FLEET_MAX,
    }
    return page(request, framed, "backtests.html", context, status=refused_status(refusal))


def _asking(connection: Connection, caller: Caller, asked: Asked, now: datetime) -> Asking | None:
    """Return the forms; None where there is no rule or no machine that one could be tried on."""
    types = backtests.types_to_try(connection, places_of(caller, Action.RUN_BACKTESTS))
    drafts = [one.draft for one in rules.newest_rules(connection)]
    fitting = [one for one in drafts if types and one.asset_type in (None, *types)]
    if asked.rule:
        rule = rules.rule_versions(connection, asked.rule.replace("\0", ""))[0].draft
    elif fitting:
        rule = fitting[0]
    else:
        return None
    chosen = asked.asset_type if asked.asset_type in types else next(iter(types), "")
    asset_type = rule.asset_type or chosen
    zone = _zone(connection, caller)
    until = (types.get(asset_type) or now) + MINUTE
    filled = replace(
        asked,
        rule=rule.name,
        asset_type=asset_type,
        since=asked.since or to_input(until - SPAN, zone),
        until=asked.until or to_input(until, zone),
        wanted=asked.wanted or WANTED,
    )
    others = [one for one in fitting if one.name != rule.name]
    choice = sorted([rule, *others], key=lambda one: one.name)
    sites = backtests.sites_of(connection, asset_type, places_of(caller, Action.RUN_BACKTESTS))
    fields, limits = fields_of(rule, asked.parameters), limits_of(rule.detector)
    return Asking(filled, rule, fields, limits, choice, list(types), sites, zone)


def _run_page(
    request: Request,
    caller: Caller,
    database: Database,
    backtest_id: int,
    *,
    refusal: Refused | None = None,
    reason: str = "",
) -> HTMLResponse:
    framed = frame(request, caller.person, "rules", here=f"/backtests/{backtest_id}")
    detail = routes.read_backtest(backtest_id, caller, database)
    with database.connection() as connection:
        run = _known(connection, caller, backtest_id)
        context = _told(connection, caller, run, detail)
    told = {"refusal": shown(refusal, framed.language) if refusal is not None else None, "typed_reason": reason}
    return page(request, framed, "backtest.html", {**context, **told}, status=refused_status(refusal))


def _told(connection: Connection, caller: Caller, run: Backtest, detail: BacktestDetail) -> dict[str, object]:
    opened = sorted(
        ((machine.name, one) for machine in detail.machines if machine.candidate for one in machine.candidate.tickets),
        key=lambda told: told[1].opened_at,
    )
    versions = {one.draft.name: one for one in rules.newest_rules(connection)}
    newest = {name: one.draft for name, one in versions.items()}
    rule = versions.get(_drafts(run)[0].name) if _drafts(run) else None
    publishes = may(caller.person, Action.CHANGE_RULES) and places_of(caller, Action.CHANGE_RULES) is None
    draft = publishable(run, rule.draft, RuleMode.REVIEW) if publishes and rule and run.state == State.DONE else None
    places = places_of(caller, Action.RUN_BACKTESTS) if may(caller.person, Action.RUN_BACKTESTS) else []
    tickets: list[tuple[str, TicketTold]] = opened[:TICKETS_MAX]
    return {
        "kinds": RUN_KINDS,
        "states": RUN_STATES,
        "verdicts": VERDICTS,
        "figures": FIGURES,
        "written": written,
        "run": run,
        "detail": detail,
        "names": backtests.names_of(connection, [run]),
        "zone": _zone_of(run, console.site_zones(connection)),
        "is_live": run.state in UNFINISHED,
        "tried": [(draft, newest.get(draft.name)) for draft in _drafts(run)],
        "modes": {one.code: one for one in library.failure_modes(connection, run.asset_type).values()},
        "tickets": tickets,
        "tickets_left": len(opened) - len(tickets),
        "replaced": rule if draft else None,
        "published": draft,
        "publish_modes": PUBLISHED_AS,
        "rule_words": rule_words,
        "machines_shown": MACHINES_SHOWN,
        "may_change": places is None or set(run.sites) <= set(places),
    }


def _known(connection: Connection, caller: Caller, backtest_id: int) -> Backtest:
    rows = backtests.page(connection, sites=caller.site_list(), backtest_id=backtest_id)
    if not rows:
        raise unknown("backtest", backtest_id)
    return rows[0]


def _drafts(run: Backtest) -> Sequence[RuleDraft]:
    return run.request.rules if isinstance(run.request, BacktestRequest) else (run.request.rule,)


def _zone(connection: Connection, caller: Caller) -> str:
    """Return the zone of the forms: that of all sites where the caller may ask, or UTC."""
    zones = console.site_zones(connection)
    places = places_of(caller, Action.RUN_BACKTESTS)
    return common_zone(zones if places is None else {site: zones[site] for site in places if site in zones})


def _zone_of(run: Backtest, zones: dict[str, str]) -> str:
    return common_zone({site: zones[site] for site in run.sites if site in zones})
