"""Parts: what the store has, what is kept for tickets, and the proposals to order that wait for a decision."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import ChangeParts, Database, Now, ReadParts
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text
from api.pages.rendering import frame, page
from api.pages.times import common_zone
from api.permissions import Action
from api.routes import parts as routes
from api.schemas import Key, ProposalDecision
from storage import console, store, supply

router = APIRouter()

LIST_MAX = 100
PROPOSALS_MAX = 50


@router.get("/parts")
def list_parts(
    request: Request,
    caller: ReadParts,
    database: Database,
    now: Now,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
) -> HTMLResponse:
    """Show proposals to order that wait for a decision, and the parts there are."""
    with database.connection() as connection:
        rows = store.list_parts(connection, after=after, limit=LIST_MAX + 1)
        proposals = supply.list_proposals(connection, now, state="open", limit=PROPOSALS_MAX)
        ordered = supply.list_proposals(connection, now, state="ordered", limit=PROPOSALS_MAX)
        zones = console.site_zones(connection)
    framed = frame(request, caller.person, "parts")
    context = {
        "parts": rows[:LIST_MAX],
        "more": f"/parts?after={rows[LIST_MAX - 1].id}" if len(rows) > LIST_MAX else None,
        "proposals": proposals,
        "ordered": ordered,
        "zone": common_zone(zones),
        "may_change": may(caller.person, Action.CHANGE_PARTS),
    }
    return page(request, framed, "parts.html", context)


@router.post("/reorder-proposals/{proposal_id}/decision")
def decide(
    proposal_id: Annotated[Key, Path(description="The proposal's id")],
    form: PostedForm,
    caller: ChangeParts,
    database: Database,
    now: Now,
) -> Response:
    """Note what was decided about a proposal, and go back to the list."""
    body = body_of(ProposalDecision, {"decision": text(form, "decision"), "note": text(form, "note") or None})
    routes.decide_proposal(proposal_id, caller, body, database, now)
    return RedirectResponse("/parts", status_code=303)
