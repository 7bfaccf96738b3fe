"""Signing in and out with a browser, and who is signed in."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from api.boundary import BASE_PATH
from api.dependencies import Database, Now, UseOwnAccount
from api.identity import SESSION_COOKIE, refuse_cross_site
from api.problems import RefusedWith
from api.routes.answers import OPEN_ANSWERS, SIGNED_IN_ANSWERS, answers
from api.schemas import GrantShape, Me, SignIn
from domain.refusals import Refused
from storage import people
from storage.people import Person

router = APIRouter(prefix=BASE_PATH, tags=["session"])

SESSION_LASTS = timedelta(hours=12)


@router.post("/session", responses={**OPEN_ANSWERS, **answers(401, 403, 429)})
def sign_in(body: SignIn, request: Request, response: Response, database: Database, now: Now) -> Me:
    """Open a session: the answer sets an HttpOnly cookie. Five failures in 15 minutes close the door for a while."""
    refuse_cross_site(request, required=False)
    address = request.client.host if request.client is not None else "unknown"
    person = authenticate(database, body.login.lower(), body.password, address, now)
    with database.connection() as connection:
        secret = people.issue_session(connection, person.id, now, now + SESSION_LASTS)
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.app.state.secure_cookie,
        path="/",
    )
    return _me(person)


@router.delete("/session", status_code=204, responses=SIGNED_IN_ANSWERS)
def sign_out(caller: UseOwnAccount, request: Request, response: Response, database: Database, now: Now) -> None:
    """End the browser's session. A bearer token is not touched."""
    secret = request.cookies.get(SESSION_COOKIE)
    if secret is not None:
        with database.connection() as connection:
            people.revoke_credential(connection, secret, now)
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")


@router.get("/me", responses=SIGNED_IN_ANSWERS)
def me(caller: UseOwnAccount) -> Me:
    """Tell who is signed in, with the roles held and where."""
    return _me(caller.person)


def authenticate(database: Database, login: str, password: str, address: str, now: Now) -> Person:
    """Return the person of a login; refused as ``sign_in_failed`` or, when guessing, ``too_many_attempts``.

    The password is checked outside any transaction, because it takes most of a second. The failure is counted before
    the check and forgiven after a success, so that attempts sent at once do not all slip under the limit.
    """
    with database.connection() as connection:
        try:
            people.refuse_when_guessing(connection, login, address, now)
        except Refused as refusal:
            wait_s = refusal.remedy.removeprefix("Wait ").split(" ")[0]
            raise RefusedWith(refusal, headers={"Retry-After": wait_s}) from refusal
        people.note_sign_in_failure(connection, login, address, now)
        found = people.password_of_login(connection, login)
    person_id, password_hash = found if found is not None else (0, None)
    if people.verify_password(password, password_hash):
        with database.connection() as connection:
            people.forget_sign_in_failures(connection, login, address, now)
            person = people.person_by_id(connection, person_id)
        if person is not None:
            return person
    raise Refused(
        "sign_in_failed",
        expected="a login and its password",
        got="a pair that does not match",
        remedy="Try again, or ask an administrator for a new password.",
    )


def _me(person: Person) -> Me:
    grants = [GrantShape(role=grant.role, site=grant.site_id) for grant in person.roles]
    return Me(id=person.id, login=person.login, name=person.name, language=person.language, roles=grants)
