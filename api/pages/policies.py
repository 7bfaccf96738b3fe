"""Policies: the version in force, edited field by field into the next one, shown as a difference before it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import ChangePolicies, Database, Now, ReadPolicies
from api.i18n import catalogue
from api.identity import Caller
from api.pages import policy_words
from api.pages.access import may
from api.pages.devices import places_of
from api.pages.forms import PostedForm, body_of, text, whole_number
from api.pages.policy_forms import ChangeView, PolicyForm, change_views, written
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import common_zone
from api.permissions import Action
from api.policy_schemas import NewPolicyVersion
from api.routes import policies as routes
from api.routes.policies import PolicyName
from domain.refusals import Refused
from storage import console, policy_book
from storage.policy_book import KINDS, PolicyVersion, body_with, changes, kind_of, versions

router = APIRouter()

INVALID_STATUS = 422


@dataclass(frozen=True, slots=True)
class Told:
    """A version with what it changed of the one before it."""

    version: PolicyVersion
    changes: Sequence[ChangeView]


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody typed: the form, the version that it was made after, and the reason."""

    form: PolicyForm
    after: int | None
    reason: str


@router.get("/policy")
def list_policies(request: Request, caller: ReadPolicies, database: Database) -> HTMLResponse:
    """Show every policy with its version in force."""
    with database.connection() as connection:
        found = {name: versions(connection, kind, 1)[0] for name, kind in KINDS.items()}
        zone = common_zone(console.site_zones(connection))
    context = {"policies": found, "zone": zone, "told": policy_words}
    return page(request, frame(request, caller.person, "policy"), "policies.html", context)


@router.get("/policy/{name}")
def show_policy(
    name: PolicyName,
    request: Request,
    caller: ReadPolicies,
    database: Database,
    like: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="Fill the form from this version")] = None,
) -> HTMLResponse:
    """Show a policy: the form, what is in force, and the versions before."""
    return _policy_page(request, caller, database, name, like=like)


@router.post("/policy/{name}")
def edit_policy(
    name: PolicyName, form: PostedForm, request: Request, caller: ChangePolicies, database: Database, now: Now
) -> Response:
    """Show what the typed values would change, or publish them as the next version."""
    kind = kind_of(name)
    with database.connection() as connection:
        sites = sorted(console.site_zones(connection))
    typed = PolicyForm.of_posted(kind, sites, form)
    draft = Draft(typed, whole_number(text(form, "after")), text(form, "reason")[:1000])
    # Only what somebody has looked at as a difference is published: edited since, it is shown once more.
    is_seen = text(form, "step") == "publish" and text(form, "seen") == typed.digest()
    if not typed.is_right() or not is_seen:
        return _policy_page(request, caller, database, name, draft=draft)
    body = {one: value for one, value in body_with(kind, typed.numbers()).items() if one != "name"}
    try:
        asked = body_of(NewPolicyVersion, {"after": draft.after, "reason": draft.reason, "body": body})
        routes.publish_policy(name, caller, asked, database, now)
    except Refused as refusal:
        return _policy_page(request, caller, database, name, draft=draft, refusal=refusal)
    return RedirectResponse(f"/policy/{name}", status_code=303)


def _policy_page(
    request: Request,
    caller: Caller,
    database: Database,
    name: str,
    *,
    like: int | None = None,
    draft: Draft | None = None,
    refusal: Refused | None = None,
) -> HTMLResponse:
    kind = kind_of(name)
    framed = frame(request, caller.person, "policy", here=f"/policy/{name}")
    translate = catalogue(framed.language).gettext
    with database.connection() as connection:
        known = versions(connection, kind)
        zones = console.site_zones(connection)
    in_force = known[0]
    source = next((one for one in known if one.version == like), in_force)
    form = PolicyForm.of_body(kind, sorted(zones), source.body) if draft is None else draft.form
    is_wrong = draft is not None and not form.is_right()
    planned = None
    if draft is not None and not is_wrong:
        planned = change_views(changes(in_force.body, body_with(kind, form.numbers())))
    context = {
        "name": name,
        "told": policy_words,
        "zone": common_zone(zones),
        "in_force": in_force,
        "sections": form.sections(translate),
        "planned": planned,
        "seen": form.digest(),
        "is_wrong": is_wrong,
        "reason": "" if draft is None else draft.reason,
        "after": in_force.version if draft is None or draft.after is None else draft.after,
        "like": source.version if source is not in_force else None,
        "history": _history(known),
        "written": written,
        "may_change": may(caller.person, Action.CHANGE_POLICIES) and places_of(caller, Action.CHANGE_POLICIES) is None,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    status = INVALID_STATUS if is_wrong else refused_status(refusal)
    return page(request, framed, "policy.html", context, status=status)


def _history(known: Sequence[PolicyVersion]) -> list[Told]:
    """Return each version with what it changed; of the oldest that is known, nothing can be said."""
    before = [*known[1:], None]
    return [
        Told(one, [] if earlier is None else change_views(changes(earlier.body, one.body)))
        for one, earlier in zip(known[: policy_book.VERSIONS_MAX], before, strict=True)
    ]
