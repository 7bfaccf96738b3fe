"""Intake: asking for tickets over HTTP, and the requests that were refused (SPEC T10, Q3)."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from api.boundary import BASE_PATH
from api.dependencies import (
    Database,
    LanguageAsked,
    Now,
    ReadRefusedIntake,
    ReportFault,
    SettleRefusedIntake,
    now_of,
    pool_of,
    visitor_of,
)
from api.identity import Caller, channel_of, permitted
from api.intake_schemas import IntakeRefusals, NewReport, Settlement
from api.permissions import Action
from api.problems import RefusedWith, misread, unknown
from api.repeats import IdempotencyKey, claim
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.assets import visible_asset
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from api.ticket_schemas import TicketAnswer
from domain.refusals import Refused
from storage import assets, intake, tickets
from storage.intaking.records import asset_by_serial_number
from storage.intaking.refusals import (
    BODY_BYTES,
    IntakeRefusal,
    is_kept,
    keep_refusal,
    list_refusals,
    settle_refusal,
)
from ticketing.actors import Role
from ticketing.intake import (
    Channel,
    IntakeRequest,
    PlannedOperation,
    PlannedPart,
    SourceReference,
    invalid,
)
from ticketing.ticket import Kind


class KeptIntake(APIRoute):
    """A route whose refused requests are kept, so that no report is lost; the answer has the number as a receipt."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return the route's handler with the keeping around it."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                refusal: Refused = misread(error)
            except Refused as refused:
                refusal = refused
            body = await request.body()
            receipt = await run_in_threadpool(_kept, request, refusal, body)
            if receipt is None:
                raise refusal
            had = (refusal.members, refusal.headers) if isinstance(refusal, RefusedWith) else ({}, {})
            raise RefusedWith(refusal, members={**had[0], "intake_refusal": receipt}, headers=had[1])

        return handled


reports = APIRouter(route_class=KeptIntake)
router = APIRouter(prefix=BASE_PATH, tags=["tickets"])


@reports.post("/tickets", status_code=201, response_model=TicketAnswer, responses=CHANGE_ANSWERS)
def report_fault(
    caller: ReportFault,
    body: NewReport,
    request: Request,
    response: Response,
    database: Database,
    language: LanguageAsked,
    now: Now,
    idempotency_key: IdempotencyKey = None,
) -> TicketAnswer | JSONResponse:
    """Open a ticket for a person or another system.

    It is answered at once; its ``lookups`` that are pending are filled within seconds. A repeated ``external_ref``
    gets the ticket that it has, with status 200. A refused request is kept; the problem says under which number.
    """
    with database.connection() as connection:
        asset_id = body.asset_id
        if body.serial_number is not None and asset_id is None:
            asset_id = asset_by_serial_number(connection, body.serial_number, caller.site_list())
        elif body.serial_number is not None or asset_id is None:
            raise invalid("an asset_id or a serial_number, one of them", "both" if asset_id else "neither")
        site_id = visible_asset(connection, caller, asset_id)
        repeat = claim(connection, caller, idempotency_key, request, body, now)
        if isinstance(repeat, JSONResponse):
            return repeat
        opened = intake.open_ticket(connection, _request(caller, body, asset_id, site_id), now)
        detail = tickets.ticket_detail(connection, opened.code, actor=caller.actor(), now=now, language=language)
        answer = TicketAnswer.model_validate(detail)
        response.status_code = 201 if opened.is_new else 200
        repeat.keep(response.status_code, answer)
    response.headers["Location"] = f"/api/v1/tickets/{opened.code}"
    return answer


@router.get("/intake-refusals", responses=SIGNED_IN_ANSWERS)
def list_refused_intake(
    caller: ReadRefusedIntake,
    database: Database,
    settled: Annotated[bool | None, Query(description="Only those that were dealt with, or were not")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> IntakeRefusals:
    """Return requests for tickets that were refused, newest first, whole and with the reason."""
    with database.connection() as connection:
        rows = list_refusals(
            connection,
            sites=caller.site_list(),
            is_open=None if settled is None else not settled,
            before=cursor,
            limit=limit + 1,
        )
    page, next_cursor = cut(rows, limit, lambda refusal: refusal.id)
    return IntakeRefusals(items=page, next_cursor=next_cursor)


@router.post("/intake-refusals/{refusal_id}/settlement", responses=CHANGE_ANSWERS)
def settle_refused_intake(
    refusal_id: Key, caller: SettleRefusedIntake, body: Settlement, database: Database, now: Now
) -> IntakeRefusal:
    """Note how a refused request was dealt with."""
    with database.connection() as connection:
        if not list_refusals(connection, sites=caller.site_list(), refusal_id=refusal_id, limit=1):
            raise unknown("refused request", refusal_id)
        settle_refusal(connection, refusal_id, person_id=caller.person.id, note=body.note, now=now)
        return list_refusals(connection, sites=caller.site_list(), refusal_id=refusal_id, limit=1)[0]


def _request(caller: Caller, body: NewReport, asset_id: int, site_id: str) -> IntakeRequest:
    if not caller.is_staff_at(site_id) and (body.requester_id, body.team_id, body.kind) != (None, None, "corrective"):
        raise Refused(
            "not_permitted",
            expected="a report of one's own, without requester_id, team_id or another kind",
            got=caller.person.name,
            remedy="Ask one of the staff.",
        )
    reference = body.external_ref
    return IntakeRequest(
        channel=_channel(caller, site_id, by_qr=body.by_qr),
        kind=Kind(body.kind),
        actor=caller.actor(),
        title=body.title,
        description=body.description,
        asset_id=asset_id,
        failure_mode=body.failure_mode,
        line_stopped=body.line_stopped,
        requester_id=body.requester_id,
        team_id=body.team_id,
        # The caller is the source: nobody can answer for another system's numbers.
        external=None if reference is None else SourceReference(caller.person.login, reference),
        tasks=tuple(task.planned() for task in body.tasks),
        operations=tuple(PlannedOperation(one.name, one.quality_check, one.engineer_id) for one in body.operations),
        bill=tuple(PlannedPart(line.part_number, line.quantity) for line in body.bill),
    )


def _channel(caller: Caller, site_id: str, *, by_qr: bool) -> Channel:
    if caller.roles_at(site_id) == {Role.INTEGRATION}:
        return Channel.INTEGRATION
    return Channel.QR if by_qr else Channel(caller.channel)


def _kept(request: Request, refusal: Refused, body: bytes) -> int | None:
    """Keep the refused request of somebody who is signed in; strangers fill no table."""
    person = visitor_of(request)
    if person is None or not is_kept(refusal):
        return None
    caller = permitted(person, Action.REPORT_FAULT, channel_of(request))
    with pool_of(request).connection() as connection:
        return keep_refusal(
            connection,
            refusal,
            channel=_channel_anywhere(caller),
            body=body[:BODY_BYTES].decode("utf-8", "replace"),
            person_id=person.id,
            site_id=_site(caller, body, lambda asset_id: assets.site_of_asset(connection, asset_id)),
            now=now_of(request),
        )


def _channel_anywhere(caller: Caller) -> Channel:
    roles = {held.role for held in caller.person.roles}
    return Channel.INTEGRATION if roles == {Role.INTEGRATION} else Channel(caller.channel)


def _site(caller: Caller, body: bytes, site_of: Callable[[int], str | None]) -> str | None:
    """Return the site of the asset that the body names, if it is one of the caller's."""
    try:
        told = json.loads(body)
    except ValueError:
        return None
    asset_id = told.get("asset_id") if isinstance(told, dict) else None
    if isinstance(asset_id, bool) or not isinstance(asset_id, int) or not 0 < asset_id < 2**63:
        return None
    site_id = site_of(asset_id)
    return site_id if site_id is not None and caller.sees(site_id) else None


router.include_router(reports)
