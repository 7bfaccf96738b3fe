"""Dispatch rules in the console: what is in force, what a lint says, a trial on past tickets, publishing (SPEC X3, X4).

Only what somebody has looked at as a trial is published: edited since, it is tried once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import ChangePolicies, Database, Now, ReadPolicies
from api.dispatch_schemas import (
    DispatchRulesShape,
    DispatchSection,
    DryRunBody,
    DryRunShape,
    NewCertificateNeeded,
    NewDispatchRules,
    TroubleShape,
)
from api.i18n import catalogue
from api.identity import Caller, permitted
from api.languages import Language
from api.pages import dispatch_rule_words, dispatch_words
from api.pages.access import may
from api.pages.devices import KEY_MAX, places_of
from api.pages.dispatch_forms import DispatchForm
from api.pages.forms import FRESH, PostedForm, Typed, body_of, text, typed, whole_number
from api.pages.policy_forms import written
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.routes import dispatch as routes
from api.routes import qualifications as qualification_routes
from domain.refusals import Refused
from storage import assets, console, qualifications

router = APIRouter()

RuleId = Annotated[int, Path(ge=1, le=KEY_MAX)]

TRIED_DAYS = 30
INVALID_STATUS = 422
CERTIFICATES_MAX = 200
DIFFERING_MAX = 100


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody typed: the form, the policy version that it was made after, and the reason."""

    form: DispatchForm
    after: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What the lint and the tickets of the last days say of a draft."""

    troubles: Sequence[TroubleShape]
    run: DryRunShape


@dataclass(frozen=True, slots=True)
class Work:
    """A type of asset, or one of its failure modes, to ask a certificate for."""

    value: str
    name: str


@router.get("/dispatch")
def show_dispatch(request: Request, caller: ReadPolicies, database: Database, now: Now) -> HTMLResponse:
    """Show the rules in force, what the lint says of them, and what may only be done with a certificate."""
    return _dispatch_page(request, caller, database, now)


@router.post("/dispatch")
def edit_dispatch(form: PostedForm, request: Request, caller: ChangePolicies, database: Database, now: Now) -> Response:
    """Try the typed rules on past tickets, or publish them."""
    filled = DispatchForm.of_posted(form)
    draft = Draft(filled, whole_number(text(form, "after")), text(form, "reason")[:1000])
    if not filled.is_right():
        return _dispatch_page(request, caller, database, now, draft=draft)
    refused = None
    if text(form, "step") == "publish" and text(form, "seen") == filled.digest():
        try:
            asked = {"after": draft.after, "reason": draft.reason, "section": filled.section()}
            routes.publish_rules(caller, body_of(NewDispatchRules, asked), database, now)
        except Refused as refusal:
            refused = refusal
        else:
            return RedirectResponse("/dispatch", status_code=303)
    try:
        trial = _tried(caller, database, now, filled)
    except Refused as refusal:
        return _dispatch_page(request, caller, database, now, draft=draft, refusal=refused or refusal)
    return _dispatch_page(request, caller, database, now, draft=draft, trial=trial, refusal=refused)


@router.post("/dispatch/certificates")
def ask_for_certificate(
    form: PostedForm, request: Request, caller: ChangePolicies, database: Database, now: Now
) -> Response:
    """Ask for a certificate from now on; the lint on the page says whom that leaves."""
    filled = typed("certificate", form)
    try:
        body = body_of(NewCertificateNeeded, _as_needed(filled))
        qualification_routes.ask_for_certificate(caller, body, database, now)
    except Refused as refusal:
        return _dispatch_page(request, caller, database, now, refusal=refusal, filled=filled)
    return RedirectResponse("/dispatch#certificates", status_code=303)


@router.post("/dispatch/certificates/{rule_id}/remove")
def ask_no_longer(rule_id: RuleId, request: Request, caller: ChangePolicies, database: Database, now: Now) -> Response:
    """Ask for a certificate no longer."""
    try:
        qualification_routes.ask_no_longer(rule_id, caller, database)
    except Refused as refusal:
        return _dispatch_page(request, caller, database, now, refusal=refusal)
    return RedirectResponse("/dispatch#certificates", status_code=303)


def _tried(caller: Caller, database: Database, now: Now, form: DispatchForm) -> Trial:
    section = body_of(DispatchSection, form.section())
    found = routes.lint_rules(caller, section, database, now)
    return Trial(found.troubles, routes.try_rules(caller, DryRunBody(section=section, days=TRIED_DAYS), database, now))


def _dispatch_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: Now,
    *,
    draft: Draft | None = None,
    trial: Trial | None = None,
    refusal: Refused | None = None,
    filled: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "dispatch", here="/dispatch")
    reader = permitted(caller.person, Action.READ_POLICIES, caller.channel)
    in_force = routes.read_rules(reader, database, now)
    with database.connection() as connection:
        context = _certificates(connection, reader, framed.language)
    is_wrong = draft is not None and not draft.form.is_right()
    told = {
        **_form(draft, in_force, framed.language),
        "in_force": in_force,
        "hard_rules": dispatch_rule_words.HARD_RULES,
        "parts": dispatch_words.SCORE_PARTS,
        "told": dispatch_rule_words,
        "days": TRIED_DAYS,
        "differing_max": DIFFERING_MAX,
        "trial": trial,
        "is_wrong": is_wrong,
        "may_change": may(caller.person, Action.CHANGE_POLICIES) and places_of(caller, Action.CHANGE_POLICIES) is None,
        "typed": filled,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    status = INVALID_STATUS if is_wrong else refused_status(refusal)
    return page(request, framed, "dispatch.html", {**context, **told}, status=status)


def _form(draft: Draft | None, in_force: DispatchRulesShape, language: Language) -> dict[str, object]:
    """Return the form as it is filled in, and what it would change where it can be read."""
    form = DispatchForm.of_section(in_force.section) if draft is None else draft.form
    is_right = form.is_right()
    return {
        "form": form,
        "sections": form.numbers.sections(catalogue(language).gettext),
        "changes": form.changes(in_force.section) if is_right else [],
        "changes_skills": is_right and form.skills != in_force.section.skills,
        "seen": form.digest(),
        "written": written,
        "reason": "" if draft is None else draft.reason,
        "after": in_force.policy_id if draft is None or draft.after is None else draft.after,
    }


def _certificates(connection: Connection, reader: Caller, language: Language) -> dict[str, object]:
    """Return what may only be done with a certificate at the reader's sites, and what one may be asked for."""
    needed = qualifications.list_certificates_needed(connection, limit=CERTIFICATES_MAX)
    may_ask = may(reader.person, Action.CHANGE_POLICIES)
    places = places_of(reader, Action.CHANGE_POLICIES) if may_ask else []
    work = _work(connection, language)
    return {
        "needed": [one for one in needed if one.site_id is None or reader.sites is None or one.site_id in reader.sites],
        "may_ask": may_ask,
        "asks_everywhere": places is None,
        "ask_sites": sorted(console.site_zones(connection)) if places is None else places,
        "work": work,
        "work_names": {one.value: one.name for _, ones in work for one in ones},
    }


def _work(connection: Connection, language: Language) -> list[tuple[str, list[Work]]]:
    """Return every type of asset with itself and its failure modes."""
    is_chinese = language is Language.ZH
    found = []
    for kind in assets.list_asset_types(connection):
        name = kind.name_zh if is_chinese else kind.name_en
        modes = [one for one in console.mode_names(connection, kind.id) if not one.is_retired]
        inside = [Work(f"{kind.id}/{one.code}", one.name_zh if is_chinese else one.name_en) for one in modes]
        found.append((name, [Work(kind.id, name), *inside]))
    return found


def _as_needed(filled: Typed) -> dict[str, object]:
    asset_type, _, mode = filled.values.get("work", "").partition("/")
    return {
        "certificate": filled.values.get("certificate", "").strip(),
        "site": filled.values.get("site") or None,
        "asset_type": asset_type or None,
        "failure_mode": mode or None,
    }
