"""People: the register, and the tokens that machines and scripts come in with."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangePeople, Database, Now, ReadPeople
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import GrantShape, Key, NewPerson, NewToken, People, PersonShape, Token
from domain.refusals import Refused
from storage import people
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
    grants = [RoleHeld(grant.role, grant.site) for grant in body.roles]
    _refuse_beyond_own_sites(caller, grants)
    password_hash = people.hash_password(body.password) if body.password is not None else None
    with database.connection() as connection:
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
        )
        rows = people.list_people(connection, sites=None, after=person_id - 1, limit=1)
    return _shape(rows[0])


@router.post("/people/{person_id}/tokens", status_code=201, responses=CHANGE_ANSWERS)
def issue_token(person_id: PersonKey, caller: ChangePeople, body: NewToken, database: Database, now: Now) -> Token:
    """Issue a bearer token for a person and show it this once."""
    expires_at = now + timedelta(days=body.days)
    with database.connection() as connection:
        person = people.person_by_id(connection, person_id)
        if person is None:
            raise unknown("person", person_id)
        _refuse_beyond_own_sites(caller, person.roles)
        secret = people.issue_token(connection, person_id, body.name, now, expires_at)
    return Token(token=secret, expires_at=expires_at)


def _refuse_beyond_own_sites(caller: Caller, grants: list[RoleHeld] | tuple[RoleHeld, ...]) -> None:
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
    return PersonShape(
        id=row.person.id,
        login=row.person.login,
        name=row.person.name,
        language=row.person.language,
        roles=[GrantShape(role=grant.role, site=grant.site_id) for grant in row.person.roles],
        on_duty=row.on_duty,
        active=row.active,
        team=row.team,
        latitude=row.latitude,
        longitude=row.longitude,
        load_limit=row.load_limit,
        skills=dict(row.skills),
    )
