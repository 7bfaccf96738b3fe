"""Rules: what each looks for, how far closures say it is to be trusted, and the change of mode proposed for it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import ChangeRules, Database, Now, ReadDetection
from api.detection_schemas import Decision, NewRule
from api.identity import Caller
from api.pages import rule_words
from api.pages.access import may
from api.pages.devices import places_of
from api.pages.forms import PostedForm, body_of, text
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.routes import rule_scores as score_routes
from api.routes import rules as routes
from api.routes.rules import RuleKey
from api.schemas import Key
from detectors.library import RuleMode
from domain.refusals import Refused
from storage import rule_proposals, rule_scores, rules
from storage.detection_policy import detection_in_force
from storage.rules import Rule

router = APIRouter()

PROPOSALS_MAX = 10
OPEN_MAX = 1_000


@router.get("/rules")
def list_rules(request: Request, caller: ReadDetection, database: Database, now: Now) -> HTMLResponse:
    """Show every rule with its mode, its score and what is proposed for it."""
    with database.connection() as connection:
        _, policy = detection_in_force(connection)
        known = rules.newest_rules(connection)
        scores = rule_scores.rule_scores(connection, now, policy.trust.credibility)
        waiting = rule_proposals.list_proposals(connection, status="open", limit=OPEN_MAX)
    context = {
        "rule_words": rule_words,
        "rules": known,
        "scores": {one.name: one for one in scores if one.version is None},
        "proposals": {one.rule: one for one in waiting},
        "credibility": policy.trust.credibility,
        "sees_backtests": may(caller.person, Action.READ_BACKTESTS),
    }
    return page(request, frame(request, caller.person, "rules"), "rules.html", context)


@router.get("/rules/{name}")
def show_rule(name: RuleKey, request: Request, caller: ReadDetection, database: Database, now: Now) -> HTMLResponse:
    """Show one rule with its parameters, versions and score."""
    return _rule_page(request, caller, database, now, name)


@router.post("/rules/{name}/mode")
def change_mode(
    name: RuleKey, form: PostedForm, request: Request, caller: ChangeRules, database: Database, now: Now
) -> Response:
    """Publish the rule's next version in another mode; the version that the form was made for must be the newest."""
    try:
        with database.connection() as connection:
            newest = rules.rule_versions(connection, name)[0]
        if text(form, "version") != str(newest.version):
            raise Refused(
                "stale_record",
                expected=f"version {newest.version} of the rule",
                got=f"version {text(form, 'version')[:20]}",
                remedy="Read the rule again and repeat the change.",
            )
        routes.publish_rule(caller, body_of(NewRule, _as_draft(newest, text(form, "mode"))), database, now)
    except Refused as refusal:
        return _rule_page(request, caller, database, now, name, refusal=refusal)
    return RedirectResponse(f"/rules/{name}", status_code=303)


@router.post("/rules/{name}/proposals/{proposal_id}")
def decide(
    name: RuleKey,
    proposal_id: Key,
    form: PostedForm,
    request: Request,
    caller: ChangeRules,
    database: Database,
    now: Now,
) -> Response:
    """Accept or decline what is proposed for the rule, with a reason."""
    decision = score_routes.accept if text(form, "step") == "accept" else score_routes.decline
    try:
        decision(proposal_id, caller, body_of(Decision, {"reason": text(form, "reason")}), database, now)
    except Refused as refusal:
        return _rule_page(request, caller, database, now, name, refusal=refusal, reason=text(form, "reason"))
    return RedirectResponse(f"/rules/{name}", status_code=303)


def _rule_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    name: str,
    *,
    refusal: Refused | None = None,
    reason: str = "",
) -> HTMLResponse:
    framed = frame(request, caller.person, "rules", here=f"/rules/{name}")
    with database.connection() as connection:
        context = _context(connection, now, name)
    told = {
        "may_change": may(caller.person, Action.CHANGE_RULES) and places_of(caller, Action.CHANGE_RULES) is None,
        "sees_backtests": may(caller.person, Action.READ_BACKTESTS),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        "reason": reason,
    }
    return page(request, framed, "rule.html", {**context, **told}, status=refused_status(refusal))


def _context(connection: Connection, now: Now, name: str) -> dict[str, object]:
    _, policy = detection_in_force(connection)
    versions = rules.rule_versions(connection, name)
    scores = rule_scores.rule_scores(connection, now, policy.trust.credibility, name)
    proposals = rule_proposals.list_proposals(connection, rule=name, limit=PROPOSALS_MAX)
    return {
        "rule_words": rule_words,
        "rule": versions[0],
        "versions": versions,
        "score": next(one for one in scores if one.version is None),
        "scores": {one.version: one for one in scores if one.version is not None},
        "proposal": next((one for one in proposals if one.status == "open"), None),
        "decided": [one for one in proposals if one.status != "open"],
        "credibility": policy.trust.credibility,
        "modes": list(RuleMode),
    }


def _as_draft(rule: Rule, mode: str) -> dict[str, object]:
    draft = rule.draft
    return {
        "name": draft.name,
        "asset_type": draft.asset_type,
        "metric": draft.metric,
        "detector": draft.detector,
        "parameters": dict(draft.parameters),
        "severity": draft.severity,
        "mode": mode,
    }
