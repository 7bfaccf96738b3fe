"""Signing in and out with forms, and the console's icon."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from api.dependencies import Database, Now, UseOwnAccount, Visitor
from api.languages import COOKIE_NAME, Language
from api.pages.forms import PostedForm, text
from api.pages.rendering import frame, page, remember_language, shown
from api.problems import STATUS_OF_KIND
from api.routes import session
from api.schemas import SignIn
from domain.refusals import REFUSALS, Refused

router = APIRouter()

HOME = "/"
NEXT_MAX = 500
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><rect width="24" height="24" rx="5" fill="#1d282e"/>'
    '<path d="M2 15h4l2.5-9 4 14 3-9 1.5 4h5" fill="none" stroke="#ff9a3c" stroke-width="2" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)


@router.get("/login")
def show_login(
    request: Request, visitor: Visitor, following: Annotated[str, Query(alias="next", max_length=NEXT_MAX)] = HOME
) -> Response:
    """Ask for login and password; somebody who is signed in already goes on."""
    if visitor is not None:
        return RedirectResponse(own_address(following), status_code=303)
    return _login_page(request, following=own_address(following))


@router.post("/login")
def sign_in(form: PostedForm, request: Request, database: Database, now: Now) -> Response:
    """Open a session and go to where the reader wanted to be."""
    following = own_address(text(form, "next"))
    login = text(form, "login")
    response = RedirectResponse(following, status_code=303)
    try:
        asked = SignIn(login=login, password=str(form.get("password", "")))
        me = session.sign_in(asked, request, response, database, now)
    except ValidationError:
        refusal = Refused("sign_in_failed", expected="a login and its password", got="neither", remedy="Give both.")
        return _login_page(request, following=following, login=login, refusal=refusal)
    except Refused as refusal:
        return _login_page(request, following=following, login=login, refusal=refusal)
    if COOKIE_NAME not in request.cookies:
        remember_language(request, response, Language(me.language))
    return response


@router.post("/logout")
def sign_out(caller: UseOwnAccount, request: Request, database: Database, now: Now) -> Response:
    """End the session."""
    response = RedirectResponse("/login", status_code=303)
    session.sign_out(caller, request, response, database, now)
    return response


@router.get("/icon.svg")
def icon() -> Response:
    """Return the console's icon."""
    return Response(ICON, media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


def own_address(address: str) -> str:
    """Return ``address`` if it is a page of ours, else home: a link must not send people away after signing in."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not address.startswith("/") or address.startswith("//") or "\\" in address:
        return HOME
    return address if address.isprintable() else HOME


def _login_page(request: Request, *, following: str, login: str = "", refusal: Refused | None = None) -> HTMLResponse:
    framed = frame(request, None, "login", here=None if request.method == "GET" else "/login")
    context = {
        "next": following,
        "login": login,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    status = 200 if refusal is None else STATUS_OF_KIND[REFUSALS[refusal.name].kind]
    return page(request, framed, "login.html", context, status=status)
