"""Offers: the three best open tickets of the engineer who looks, why each fits, and taking one (SPEC X5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import Database, LanguageAsked, Now, ReadTickets, WorkOnTicket
from api.dispatch_schemas import ClaimBody
from api.i18n import N_
from api.identity import Caller
from api.pages.dispatch_words import DISPATCH_RULES
from api.pages.forms import FRESH, PostedForm, Typed, body_of, text, typed
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.ticket_view import RESPONSE_SUGGESTED, to_five_minutes
from api.pages.times import from_input, to_input
from api.routes import offers as routes
from api.routes.tickets import CodeInPath
from domain.refusals import Refused
from storage import console, tickets
from storage.offers import BREAKER, Offer
from storage.ticket_views import ClockRow
from ticketing.actors import Role
from ticketing.dispatching.weighing import ScorePart

router = APIRouter()

# What keeps tickets away from an engineer: their own side, and the site's breaker.
KEPT_AWAY: Mapping[str, str] = MappingProxyType({**DISPATCH_RULES, BREAKER: N_("waits until the open P0 are cleared")})
DISTANCE = "distance"


@dataclass(frozen=True, slots=True)
class ShownOffer:
    """An offer with the clock that runs out first, and what speaks for it, the strongest part first.

    ``suggested`` is the response time that most would name, as a field of a form at the site holds it.
    """

    offer: Offer
    zone: str
    clock: ClockRow | None
    distance_km: float | None
    parts: Sequence[ScorePart]
    suggested: str


@router.get("/offers")
def list_offers(request: Request, caller: ReadTickets, database: Database, now: Now) -> HTMLResponse:
    """Show the best tickets for the reader, and what keeps the others away."""
    return _offers_page(request, caller, database, now)


@router.post("/offers/{code}/claim")
def claim(
    code: CodeInPath,
    form: PostedForm,
    request: Request,
    caller: WorkOnTicket,
    database: Database,
    language: LanguageAsked,
    now: Now,
) -> Response:
    """Take a ticket and go to it; who comes second is told who was quicker, and shown what is left."""
    try:
        with database.connection() as connection:
            zone = _zone(connection, code)
        body = body_of(ClaimBody, {"expected_response_at": from_input(text(form, "expected_response_at"), zone)})
        routes.claim_offer(code, caller, body, request, Response(), database, language, now)
    except Refused as refusal:
        return _offers_page(request, caller, database, now, refusal=refusal, posted=typed(code, form))
    return RedirectResponse(f"/tickets/{code}", status_code=303)


def _offers_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: datetime,
    *,
    refusal: Refused | None = None,
    posted: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "offers", here="/offers")
    told = routes.read_offers(caller, database, now)
    with database.connection() as connection:
        found = [_shown(connection, one, now) for one in told.offers]
    context = {
        "told": told,
        "offers": found,
        "kept_away": {rule: KEPT_AWAY.get(rule, rule) for rule in told.excluded},
        "is_engineer": any(held.role is Role.ENGINEER for held in caller.person.roles),
        "typed": posted,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "offers.html", context, status=refused_status(refusal))


def _shown(connection: Connection, offer: Offer, now: datetime) -> ShownOffer:
    row = tickets.ticket_row(connection, offer.ticket.code)
    zone = console.site_zones(connection)[row.site_id]
    running = [clock for clock in tickets.read_clocks(connection, row.id) if clock.stopped_at is None]
    return ShownOffer(
        offer=offer,
        zone=zone,
        clock=min(running, key=lambda clock: clock.due_at, default=None),
        distance_km=next((part.measure for part in offer.parts if part.name == DISTANCE), None),
        parts=sorted(offer.parts, key=lambda part: -part.value * part.weight),
        suggested=to_input(to_five_minutes(now + RESPONSE_SUGGESTED), zone),
    )


def _zone(connection: Connection, code: str) -> str:
    return console.site_zones(connection)[tickets.ticket_row(connection, code).site_id]
