"""The ticket list, which is also everybody's home, and the ticket with its one next legal step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import Connection

from api.dependencies import Database, Now, ReadTickets, WorkOnTicket
from api.identity import Caller
from api.pages import confirmation_link, life_words, words
from api.pages.access import may, sight_of
from api.pages.forms import FRESH, PostedForm, Typed, facts_of, typed, whole_number
from api.pages.rendering import frame, page, shown
from api.pages.ticket_view import ticket_context
from api.pages.uploads import keep_upload
from api.permissions import Action
from api.problems import STATUS_OF_KIND
from api.routes.tickets import visible_ticket
from domain.refusals import REFUSALS, Refused
from storage import casework, console, crew
from storage.breaker import frozen_sites
from storage.console import PAGE_SIZE, TicketFilter
from storage.crew import PersonNow
from ticketing.ticket import State

router = APIRouter()

OPEN_STATES = tuple(state.value for state in State if state is not State.CLOSED)
# What the list's "state" may say beside a single state.
STATE_CHOICES: Mapping[str, tuple[str, ...] | None] = {
    "": OPEN_STATES,
    "all": None,
    **{state.value: (state.value,) for state in State},
}
WORK_CHOICES = ("mine", "soon", "breached")
PRIORITY_CHOICES = tuple(str(level) for level in words.PRIORITIES)
TEXT_MAX = 80


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filter as the form holds it; unknown values count as empty."""

    state: str
    work: str
    flag: str
    kind: str
    priority: str
    text: str
    engineer: int | None

    @property
    def is_narrow(self) -> bool:
        """Say whether anything is asked for beside what is open."""
        return any(asdict(self).values())

    def query(self, before: UUID) -> str:
        """Return the address of the next page under the same filter."""
        given = {**asdict(self), "before": str(before)}
        return "/?" + urlencode({name: value for name, value in given.items() if value})


@router.get("/")
def list_tickets(
    request: Request,
    caller: ReadTickets,
    database: Database,
    now: Now,
    state: Annotated[str, Query(max_length=20)] = "",
    work: Annotated[str, Query(max_length=20)] = "",
    flag: Annotated[str, Query(max_length=20)] = "",
    kind: Annotated[str, Query(max_length=20)] = "",
    priority: Annotated[str, Query(max_length=20)] = "",
    text: Annotated[str, Query(max_length=TEXT_MAX)] = "",
    engineer: Annotated[str, Query(max_length=20)] = "",
    before: UUID | None = None,
) -> HTMLResponse:
    """Show what waits for the reader, and the tickets that fit the filter, newest first."""
    sight = sight_of(caller)
    with database.connection() as connection:
        theirs = _colleague(connection, caller, whole_number(engineer), now)
        wanted = Wanted(
            state if state in STATE_CHOICES else "",
            work if work in WORK_CHOICES else "",
            flag if flag in life_words.MARKS else "",
            kind if kind in words.KINDS else "",
            priority if priority in PRIORITY_CHOICES else "",
            text.strip().replace("\0", ""),
            theirs.id if theirs is not None else None,
        )
        chosen = _filter(wanted, caller, now)
        rows = console.ticket_rows(connection, chosen, before=before, limit=PAGE_SIZE + 1)
        counts = console.work_counts(
            connection,
            sites=sight.sites,
            requester_id=sight.requester_id,
            person_id=caller.person.id,
            now=now,
        )
        zones = console.site_zones(connection)
        frozen = frozen_sites(connection, caller.staff_sites())
    more = wanted.query(rows[PAGE_SIZE - 1].id) if len(rows) > PAGE_SIZE else None
    roles = sorted({held.role.value for held in caller.person.roles})
    context = {"tickets": rows[:PAGE_SIZE], "counts": counts, "zones": zones, "wanted": wanted, "more": more}
    told = {"roles": roles, "frozen": frozen, "marks": life_words.MARKS, "theirs": theirs}
    shown = {**context, **told, "may_report": may(caller.person, Action.REPORT_FAULT)}
    return page(request, frame(request, caller.person, "tickets"), "tickets.html", shown)


@router.get("/tickets/{code}")
def show_ticket(code: str, request: Request, caller: ReadTickets, database: Database, now: Now) -> HTMLResponse:
    """Show one ticket."""
    return _ticket_page(request, caller, database, now, code)


@router.post("/tickets/{code}/steps/{command}")
@router.post("/tickets/{code}/steps/{command}/attachments")
def take_step(
    code: str, command: str, form: PostedForm, request: Request, caller: WorkOnTicket, database: Database, now: Now
) -> Response:
    """Carry out a step with the facts of its form, then show the ticket again; a refusal keeps what was typed."""
    posted = typed(command, form)
    try:
        with database.connection() as connection:
            ticket = visible_ticket(connection, caller, code)
            zone = console.site_zones(connection)[ticket.site_id]
        facts = facts_of(command, posted, zone)
        file_id = keep_upload(database, code, form, caller, now)
        if file_id is not None:
            facts["attachment_id"] = str(file_id)
        with database.connection() as connection:
            detail = casework.run_command(
                connection,
                code,
                command,
                version=posted.version,
                summary=posted.values.get("summary", ""),
                facts=facts,
                actor=caller.actor(),
                now=now,
            )
    except Refused as refusal:
        return _refused(request, caller, database, now, code, refusal, posted)
    response = RedirectResponse(f"/tickets/{code}", status_code=303)
    if detail.confirmation_url_secret is not None:
        confirmation_link.hand_over(request, response, code, detail.confirmation_url_secret)
    return response


@router.post("/tickets/{code}/attachments")
def add_file(
    code: str, form: PostedForm, request: Request, caller: WorkOnTicket, database: Database, now: Now
) -> Response:
    """Keep one more photo or log on the ticket."""
    try:
        with database.connection() as connection:
            visible_ticket(connection, caller, code)
        keep_upload(database, code, form, caller, now, required=True)
    except Refused as refusal:
        return _refused(request, caller, database, now, code, refusal, FRESH)
    return RedirectResponse(f"/tickets/{code}#files", status_code=303)


def _filter(wanted: Wanted, caller: Caller, now: datetime) -> TicketFilter:
    sight = sight_of(caller)
    return TicketFilter(
        sites=sight.sites,
        states=STATE_CHOICES[wanted.state],
        requester_id=sight.requester_id,
        assignee_id=caller.person.id if wanted.work == "mine" else wanted.engineer,
        text=wanted.text or None,
        due_from=now if wanted.work == "soon" else None,
        due_to={"soon": now + console.SOON, "breached": now}.get(wanted.work),
        flag=wanted.flag if wanted.flag in life_words.FLAGS else None,
        unassigned=wanted.flag == "unassigned",
        on_hold=wanted.flag == "hold",
        review_to=now if wanted.flag == "review" else None,
        kind=wanted.kind or None,
        priority=int(wanted.priority) if wanted.priority else None,
    )


def _colleague(connection: Connection, caller: Caller, person_id: int | None, now: datetime) -> PersonNow | None:
    """Return whose tickets are asked for; None for nobody the caller, as staff, sees."""
    if person_id is None:
        return None
    found = crew.people_now(connection, now, sites=caller.staff_sites(), person_id=person_id, limit=1)
    return found[0] if found else None


def _refused(
    request: Request,
    caller: Caller,
    database: Database,
    now: datetime,
    code: str,
    refusal: Refused,
    posted: Typed,
) -> HTMLResponse:
    """Show the ticket as it is now, the refusal above it and the form as it was filled in."""
    return _ticket_page(request, caller, database, now, code, refusal=refusal, posted=posted)


def _ticket_page(
    request: Request,
    caller: Caller,
    database: Database,
    now: datetime,
    code: str,
    *,
    refusal: Refused | None = None,
    posted: Typed = FRESH,
) -> HTMLResponse:
    framed = frame(request, caller.person, "tickets", here=f"/tickets/{code}")
    with database.connection() as connection:
        visible_ticket(connection, caller, code)
        context = ticket_context(connection, caller, code, framed.language, now)
    # A stale form must be judged against what is shown now, not against what was typed over.
    if refusal is not None and refusal.name == "stale_version":
        posted = Typed(posted.command, None, posted.values)
    told = {
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
        "typed": posted,
        "link": confirmation_link.handed_over(request) if refusal is None else None,
    }
    status = 200 if refusal is None else STATUS_OF_KIND[REFUSALS[refusal.name].kind]
    return page(request, framed, "ticket.html", {**context, **told}, status=status)
