"""People: the register, and the tokens that machines and scripts come in with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangePeople, Database, Now, ReadPeople
from api.identity import Caller
from api.people_schemas import NewPassword, NewPerson, NewToken, People, PersonChange, PersonShape, Token
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.routes.shifts import visible_person
from api.schemas import GrantShape, Key
from domain.refusals import Refused
from storage import audit, people
from storage.people import PersonRow
from ticketing.actors import Role, RoleHeld

router = APIRouter(prefix=BASE_PATH, tags=["people"])

PersonKey = Annotated[Key, Path(description="The person's id")]


@router.get("/people", responses=SIGNED_IN_ANSWERS)
def list_people(
    caller: ReadPeople,
    database: Database,
    login: Annotated[str | None, Query(max_length=64)] = None,
    role: Role | None = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> People:
    """Return the people who hold a role at the caller's sites."""
    with database.connection() as connection:
        rows = people.list_people(
            connection, sites=caller.site_list(), login=login, role=role, after=cursor or 0, limit=limit + 1
        )
    page, next_cursor = cut(rows, limit, lambda row: row.person.id)
    return People(items=[_shape(row) for row in page], next_cursor=next_cursor)


@router.post("/people", status_code=201, responses=CHANGE_ANSWERS)
def add_person(caller: ChangePeople, body: NewPerson, database: Database, now: Now) -> PersonShape:
    """Add a person. Roles may be granted only at sites where the caller is an administrator."""
    grants = _held(body.roles)
    _refuse_beyond_own_sites(caller, grants)
    password_hash = people.hash_password(body.password) if body.password is not None else None
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        person_id = people.create_person(
            connection,
            login=body.login,
            name=body.name,
            now=now,
            roles=grants,
            language=body.language,
            password_hash=password_hash,
            skills=body.skills,
            team=body.team,
            latitude=body.latitude,
            longitude=body.longitude,
            load_limit=body.load_limit,
            on_duty=body.on_duty,
            requester_tier=body.requester_tier,
        )
        return _shape(visible_person(connection, caller, person_id))


@router.get("/people/{person_id}", responses=RECORD_ANSWERS)
def read_person(person_id: PersonKey, caller: ReadPeople, database: Database) -> PersonShape:
    """Return one person."""
    with database.connection() as connection:
        return _shape(visible_person(connection, caller, person_id))


@router.patch("/people/{person_id}", responses=CHANGE_ANSWERS)
def change_person(
    person_id: PersonKey, caller: ChangePeople, body: PersonChange, database: Database, now: Now
) -> PersonShape:
    """Change what is sent of a person, unless somebody else has changed them since they were read.

    Only an administrator of every site where the person holds a role may. Who is not active any more is signed out
    everywhere and sent nowhere; the tickets they hold stay theirs until somebody gives them to others.
    """
    sent = body.sent()
    with database.connection() as connection:
        audit.act_as(connection, caller.person.id, now)
        people.hold_person(connection, person_id)
        present = visible_person(connection, caller, person_id)
        _refuse_beyond_own_sites(caller, present.person.roles)
        roles = present.person.roles
        if sent.pop("roles", None) is not None:
            roles = _held(body.roles or [])
            _refuse_beyond_own_sites(caller, roles)
        facts = replace(present.facts, **sent)  # type: ignore[arg-type]  # the shape's fields are the record's
        if (facts, set(roles)) != (present.facts, set(present.person.roles)) or body.version != present.version:
            people.change_person(connection, present, facts, roles, body.version, now)
        return _shape(visible_person(connection, caller, person_id))


@router.put("/people/{person_id}/password", status_code=204, responses=CHANGE_ANSWERS)
def write_password(person_id: PersonKey, caller: ChangePeople, body: NewPassword, database: Database, now: Now) -> None:
    """Give a person a password in place of the one before; their browsers are signed out."""
    password_hash = people.hash_password(body.password)
    with database.connection() as connection:
        people.hold_person(connection, person_id)
        _refuse_beyond_own_sites(caller, visible_person(connection, caller, person_id).person.roles)
        people.set_password(connection, person_id, password_hash, now, by=caller.person.id)


@router.post("/people/{person_id}/tokens", status_code=201, responses=CHANGE_ANSWERS)
def issue_token(person_id: PersonKey, caller: ChangePeople, body: NewToken, database: Database, now: Now) -> Token:
    """Issue a bearer token for a person and show it this once."""
    expires_at = now + timedelta(days=body.days)
    with database.connection() as connection:
        people.hold_person(connection, person_id)
        _refuse_beyond_own_sites(caller, visible_person(connection, caller, person_id).person.roles)
        secret = people.issue_token(connection, person_id, body.name, now, expires_at)
    return Token(token=secret, expires_at=expires_at)


def _held(grants: Sequence[GrantShape]) -> tuple[RoleHeld, ...]:
    return tuple(RoleHeld(grant.role, grant.site) for grant in grants)


def _refuse_beyond_own_sites(caller: Caller, grants: Sequence[RoleHeld]) -> None:
    """An administrator of one site must not make, or become, an administrator of all."""
    beyond = sorted({grant.site_id or "every site" for grant in grants if not _covers(caller, grant.site_id)})
    if beyond:
        raise Refused(
            "not_permitted",
            expected="roles at the caller's own sites only",
            got="roles at " + ", ".join(beyond),
            remedy="Ask an administrator of those sites.",
        )


def _covers(caller: Caller, site_id: str | None) -> bool:
    return caller.sites is None or (site_id is not None and site_id in caller.sites)


def _shape(row: PersonRow) -> PersonShape:
    facts = row.facts
    return PersonShape(
        id=row.person.id,
        login=row.person.login,
        name=facts.name,
        language=facts.language,
        roles=[GrantShape(role=grant.role, site=grant.site_id) for grant in row.person.roles],
        on_duty=facts.on_duty,
        active=facts.active,
        team=facts.team,
        latitude=facts.latitude,
        longitude=facts.longitude,
        load_limit=facts.load_limit,
        requester_tier=facts.requester_tier,
        skills=dict(row.skills),
        version=row.version,
    )
