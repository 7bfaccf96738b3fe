"""Offers: the three best open tickets of the engineer who asks, and claiming one (SPEC X5)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.boundary import BASE_PATH
from api.dependencies import Database, LanguageAsked, Now, ReadTickets, WorkOnTicket
from api.dispatch_schemas import ClaimBody, OffersShape
from api.repeats import IdempotencyKey, claim
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.tickets import CodeInPath, visible_ticket
from api.ticket_schemas import TicketAnswer
from storage import offers

router = APIRouter(prefix=BASE_PATH, tags=["tickets"])


@router.get("/me/offers", responses=SIGNED_IN_ANSWERS)
def read_offers(caller: ReadTickets, database: Database, now: Now) -> OffersShape:
    """Return the three best open tickets for the caller, and how many others which rule keeps away."""
    with database.connection() as connection:
        return OffersShape.model_validate(offers.offers_for(connection, caller.person.id, now))


@router.post("/me/offers/{code}/claim", response_model=TicketAnswer, responses=CHANGE_ANSWERS)
def claim_offer(
    code: CodeInPath,
    caller: WorkOnTicket,
    body: ClaimBody,
    request: Request,
    response: Response,
    database: Database,
    language: LanguageAsked,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> TicketAnswer | JSONResponse:
    """Take a new ticket. Of many at once one wins; the others are refused as ``already_claimed``, with its name."""
    with database.connection() as connection:
        visible_ticket(connection, caller, code)
        repeat = claim(connection, caller, idempotency_key, request, body, now)
        if isinstance(repeat, JSONResponse):
            return repeat
        expected = body.expected_response_at.isoformat()
        detail = offers.claim(connection, code, caller.actor(), expected, now, language)
        answer = TicketAnswer.model_validate(detail)
        repeat.keep(200, answer)
    response.headers["ETag"] = f'"{answer.ticket.version}"'
    return answer
