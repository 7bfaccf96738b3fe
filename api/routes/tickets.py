"""Tickets: lists, the whole of one, and the commands of the lifecycle table. How they are opened: intake.py."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import Database, LanguageAsked, Now, ReadTickets, WorkOnTicket
from api.identity import Caller
from api.problems import RefusedWith, unknown
from api.repeats import IdempotencyKey, claim
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Limit, TextCursor
from api.schemas import Key
from api.ticket_schemas import CommandBody, TicketAnswer, TicketCode, Tickets
from domain.refusals import Refused
from storage import casework, tickets
from storage.ticket_views import TicketRow
from ticketing.ticket import State

Flag = Literal["yellow", "red"]

router = APIRouter(prefix=BASE_PATH, tags=["tickets"])

CodeInPath = Annotated[TicketCode, Path(description="The tracking code, such as D260213")]
CommandInPath = Annotated[str, Path(pattern=r"^[a-z_]{1,32}$", description="A command of the lifecycle table")]
IfMatch = Annotated[
    str | None, Header(pattern=r'^"[0-9]{1,9}"$', description="The ETag that was seen, instead of the body's version")
]


@router.get("/tickets", responses=SIGNED_IN_ANSWERS)
def list_tickets(
    caller: ReadTickets,
    database: Database,
    state: Annotated[list[State] | None, Query(max_length=5, description="May be repeated")] = None,
    asset: Key | None = None,
    assignee: Key | None = None,
    flag: Annotated[list[Flag] | None, Query(max_length=2, description="On the team's board; may be repeated")] = None,
    text: Annotated[str | None, Query(max_length=100, description="In code, title, asset")] = None,
    cursor: TextCursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Tickets:
    """Return tickets, newest first; to a requester their own reports."""
    only_own = caller.is_only_a_requester()
    with database.connection() as connection:
        page = tickets.list_tickets(
            connection,
            states=state,
            asset_id=asset,
            assignee_id=assignee,
            requester_id=caller.person.id if only_own else None,
            sites=caller.site_list() if only_own else caller.staff_sites(),
            flags=flag,
            text=text,
            cursor=cursor,
            limit=limit,
        )
    return Tickets.model_validate(page)


@router.get("/tickets/{code}", responses=RECORD_ANSWERS)
def read_ticket(
    code: CodeInPath, caller: ReadTickets, response: Response, database: Database, language: LanguageAsked, now: Now
) -> TicketAnswer:
    """Return the whole of one ticket with what the caller may do next. Its version is also the ETag."""
    with database.connection() as connection:
        visible_ticket(connection, caller, code)
        detail = tickets.ticket_detail(connection, code, actor=caller.actor(), now=now, language=language)
    response.headers["ETag"] = f'"{detail.ticket.version}"'
    return TicketAnswer.model_validate(detail)


@router.post("/tickets/{code}/commands/{command}", response_model=TicketAnswer, responses=CHANGE_ANSWERS)
def run_command(
    code: CodeInPath,
    command: CommandInPath,
    caller: WorkOnTicket,
    body: CommandBody,
    request: Request,
    response: Response,
    database: Database,
    language: LanguageAsked,
    now: Now,
    idempotency_key: IdempotencyKey = None,
    if_match: IfMatch = None,
) -> TicketAnswer | JSONResponse:
    """Carry out a command, whole or not at all, and return the ticket after it.

    With a version, from the body or as If-Match, the command is refused as ``stale_version`` when somebody was
    quicker; the problem names the current version. ``next_steps`` of a ticket lists the legal commands and the
    facts they need.
    """
    version = body.version if if_match is None else int(if_match.strip('"'))
    try:
        with database.connection() as connection:
            visible_ticket(connection, caller, code)
            repeat = claim(connection, caller, idempotency_key, request, body, now)
            if isinstance(repeat, JSONResponse):
                return repeat
            detail = casework.run_command(
                connection,
                code,
                command,
                version=version,
                summary=body.summary,
                facts=body.facts,
                actor=caller.actor(),
                now=now,
                language=language,
            )
            answer = TicketAnswer.model_validate(detail)
            repeat.keep(200, answer)
    except Refused as refusal:
        if refusal.name != "stale_version":
            raise
        with database.connection() as connection:
            row = tickets.ticket_row(connection, code)
        raise RefusedWith(refusal, members={"current_version": row.version}) from refusal
    response.headers["ETag"] = f'"{answer.ticket.version}"'
    return answer


def visible_ticket(connection: Connection, caller: Caller, code: str) -> TicketRow:
    """Return a ticket's row; refused as unknown when it is not there or not for the caller."""
    row = tickets.ticket_row(connection, code)
    if not caller.sees_ticket(row.site_id, row.requester_id):
        raise unknown("ticket", code)
    return row
