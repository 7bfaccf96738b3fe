"""The requester's page behind a confirmation link: what was done, and two questions. It needs no sign-in, no script."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import Database, Now
from api.identity import refuse_cross_site
from api.pages.forms import PostedForm, text
from api.pages.rendering import frame, page, shown
from api.problems import STATUS_OF_KIND
from domain.refusals import REFUSALS, Refused
from storage import console
from storage.casework import answer_link
from storage.closures import open_link
from storage.tickets import ticket_row

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer as the form holds it."""

    solved: str = ""
    satisfied: str = ""
    cause: str = ""
    comment: str = ""

    @classmethod
    def of(cls, form: PostedForm) -> Answer:
        """Return the answer that a form gives."""
        return cls(*(text(form, name) for name in ("solved", "satisfied", "cause", "comment")))

    def choice(self, name: str) -> bool:
        """Return the answer to a yes-or-no question; refused when it was not answered."""
        value = {"yes": True, "no": False}.get(str(getattr(self, name)))
        if value is None:
            raise Refused(
                "missing_fact",
                expected=f"yes or no to '{name}'",
                got="no answer",
                remedy="Answer both questions.",
            )
        return value


@router.get("/c/{secret}")
def show(secret: str, request: Request, database: Database, now: Now) -> HTMLResponse:
    """Show what was done and ask whether it helped. Opening the link changes nothing: mail scanners do it too."""
    return _requester_page(secret, request, database, now)


@router.post("/c/{secret}")
def answer(secret: str, form: PostedForm, request: Request, database: Database, now: Now) -> Response:
    """Take the answers, once."""
    refuse_cross_site(request, required=False)
    given = Answer.of(form)
    try:
        with database.connection() as connection:
            answer_link(
                connection,
                secret,
                solved=given.choice("solved"),
                satisfied=given.choice("satisfied"),
                cause=given.cause or None,
                comment=given.comment or None,
                now=now,
            )
    except Refused as refusal:
        return _requester_page(secret, request, database, now, refusal=refusal, given=given)
    return RedirectResponse(f"/c/{secret}", status_code=303)


def _requester_page(
    secret: str,
    request: Request,
    database: Database,
    now: Now,
    *,
    refusal: Refused | None = None,
    given: Answer | None = None,
) -> HTMLResponse:
    framed = frame(request, None, "requester", here=f"/c/{secret}")
    context: dict[str, object] = {"given": given or Answer(), "case": None, "zone": "UTC", "done": False}
    try:
        with database.connection() as connection:
            case = open_link(connection, secret, now)
            site_id = ticket_row(connection, case.code).site_id
            context |= {"case": case, "zone": console.site_zones(connection)[site_id]}
    except Refused as closed:
        context["done"] = closed.name == "link_used"
        refusal = None if closed.name == "link_used" else closed
    context["refusal"] = shown(refusal, framed.language) if refusal is not None else None
    status = 200 if refusal is None else STATUS_OF_KIND[REFUSALS[refusal.name].kind]
    return page(request, framed, "requester.html", context, status=status)
