"""Changing people over HTTP: facts, roles, passwords, who is no longer active, and the last administrator (SPEC X6)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from httpx2 import Response
from psycopg_pool import ConnectionPool

from storage.audit import changes_of_record
from storage.dispatching import engineer_for
from tests.api_builders import BASE, NORTH, NOW, SOUTH, Api, a_person, an_api
from ticketing.actors import Role, RoleHeld

SECRET = "correct horse battery"


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def a_worker(api: Api, login: str = "wang", *roles: RoleHeld) -> int:
    with api.pool.connection() as connection:
        return a_person(connection, login, *(roles or (RoleHeld(Role.ENGINEER, NORTH),)))


def changed(
    api: Api,
    person_id: int,
    body: dict[str, object],
    role: Role = Role.ADMIN,
    site: str | None = None,
    version: int = 1,
) -> Response:
    return api.client.patch(
        f"{BASE}/people/{person_id}", json={"version": version, **body}, headers=api.headers(role, site)
    )


def refused_as(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]


def held(answer: Response) -> list[tuple[str, str | None]]:
    return [(grant["role"], grant["site"]) for grant in answer.json()["roles"]]


def grants(*roles: tuple[Role, str | None]) -> dict[str, object]:
    return {"roles": [{"role": role, "site": site} for role, site in roles]}


def test_only_what_is_sent_is_changed_and_a_stale_version_is_refused(api: Api) -> None:
    person_id = a_worker(api)
    before = api.get(f"/people/{person_id}").json()
    sent = {"name": "王磊", "team": "Crew", "load_limit": 5, "latitude": 31.3, "longitude": 120.7}
    after = changed(api, person_id, sent)
    assert after.status_code == 200, after.text
    assert after.json() == {**before, **sent, "version": 2} == api.get(f"/people/{person_id}").json()
    assert refused_as(changed(api, person_id, {"name": "Old"})) == (409, "stale_record")
    assert changed(api, person_id, {"team": None}, version=2).json()["team"] is None
    assert changed(api, person_id, {"team": None}, version=3).json()["version"] == 3, "nothing differs, no new version"


@pytest.mark.parametrize(
    "body",
    [
        {"latitude": 31.3},
        {"latitude": 91, "longitude": 0},
        {"name": None},
        {"roles": []},
        {"active": None},
        {"load_limit": 51},
        {"requester_tier": "gold"},
        {"login": "other"},
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(api: Api, body: dict[str, object]) -> None:
    person_id = a_worker(api)
    before = api.get(f"/people/{person_id}").json()
    assert refused_as(changed(api, person_id, body)) == (422, "invalid_request")
    assert api.get(f"/people/{person_id}").json() == before


def test_roles_are_replaced_as_a_whole_and_hold_at_once(api: Api) -> None:
    person_id = a_worker(api)
    mine = {"Authorization": f"Bearer {api.token_of(person_id)}"}
    assert api.client.post(f"{BASE}/rules", json={}, headers=mine).status_code == 403
    wanted = [("planner", NORTH), ("planner", SOUTH)]
    assert held(changed(api, person_id, grants((Role.PLANNER, SOUTH), (Role.PLANNER, NORTH)))) == wanted
    assert api.client.post(f"{BASE}/rules", json={}, headers=mine).status_code == 422
    nowhere = changed(api, person_id, grants((Role.PLANNER, "west")), version=2)
    assert refused_as(nowhere) == (409, "record_in_use")
    assert held(api.get(f"/people/{person_id}")) == wanted


def test_an_administrator_of_one_site_changes_only_people_who_are_all_theirs(api: Api) -> None:
    mine = a_worker(api)
    shared = a_worker(api, "both", RoleHeld(Role.ENGINEER, NORTH), RoleHeld(Role.ENGINEER, SOUTH))
    everywhere = a_worker(api, "boss", RoleHeld(Role.ADMIN, None))
    south = a_worker(api, "far", RoleHeld(Role.ENGINEER, SOUTH))
    at = (Role.ADMIN, NORTH)
    assert changed(api, mine, {"name": "Mine"}, *at).status_code == 200
    for person_id, status in ((shared, 403), (everywhere, 403), (south, 404), (10**6, 404)):
        assert changed(api, person_id, {"name": "Taken"}, *at).status_code == status
        password = api.client.put(
            f"{BASE}/people/{person_id}/password", json={"password": SECRET}, headers=api.headers(*at)
        )
        assert password.status_code == status
        assert api.post(f"/people/{person_id}/tokens", {"name": "t"}, *at).status_code == status
    for beyond in ((Role.ADMIN, None), (Role.ENGINEER, SOUTH)):
        assert refused_as(changed(api, mine, grants((Role.ENGINEER, NORTH), beyond), *at, version=2)) == (
            403,
            "not_permitted",
        )
    assert held(api.get(f"/people/{mine}")) == [("engineer", NORTH)]
    assert changed(api, mine, {"name": "Mine"}, Role.SUPERVISOR, NORTH).status_code == 403


def test_who_is_not_active_any_more_is_signed_out_and_sent_nowhere(api: Api) -> None:
    person_id = a_worker(api)
    password = api.client.put(
        f"{BASE}/people/{person_id}/password", json={"password": SECRET}, headers=api.headers(Role.ADMIN)
    )
    assert password.status_code == 204
    token = {"Authorization": f"Bearer {api.token_of(person_id)}"}
    signing_in = {"login": "wang", "password": SECRET}
    assert api.client.post(f"{BASE}/session", json=signing_in).status_code == 200
    assert api.client.get(f"{BASE}/me", headers=token).status_code == 200
    with api.pool.connection() as connection:
        assert engineer_for(connection, person_id, NOW).is_active
    gone = changed(api, person_id, {"active": False})
    assert (gone.status_code, gone.json()["active"]) == (200, False)
    assert api.client.get(f"{BASE}/me").status_code == 401, "the browser's session lives on"
    assert api.client.get(f"{BASE}/me", headers=token).status_code == 401
    assert api.client.post(f"{BASE}/session", json=signing_in).status_code == 401
    with api.pool.connection() as connection:
        assert not engineer_for(connection, person_id, NOW).is_active
    assert changed(api, person_id, {"active": True}, version=2).status_code == 200
    assert api.client.get(f"{BASE}/me", headers=token).status_code == 401, "an old token woke up again"
    assert api.client.post(f"{BASE}/session", json=signing_in).status_code == 200


def test_a_new_password_ends_browsers_and_leaves_tokens(api: Api) -> None:
    person_id = a_worker(api)

    def given(password: str) -> int:
        address = f"{BASE}/people/{person_id}/password"
        return api.client.put(address, json={"password": password}, headers=api.headers(Role.ADMIN)).status_code

    assert (given("short"), given(SECRET)) == (422, 204)
    assert api.client.post(f"{BASE}/session", json={"login": "wang", "password": SECRET}).status_code == 200
    assert api.client.get(f"{BASE}/me").json()["login"] == "wang"
    assert given("another " + SECRET) == 204
    assert api.client.get(f"{BASE}/me").status_code == 401
    assert api.client.post(f"{BASE}/session", json={"login": "wang", "password": SECRET}).status_code == 401


@pytest.mark.parametrize("body", [{"active": False}, grants((Role.ADMIN, NORTH)), grants((Role.PLANNER, None))])
def test_the_last_administrator_of_every_site_stays(api: Api, body: dict[str, object]) -> None:
    api.token(Role.ADMIN)
    with api.pool.connection() as connection:
        row = connection.execute("select id from person where login = 'admin.everywhere'").fetchone()
    assert row is not None
    assert refused_as(changed(api, row[0], body)) == (409, "record_in_use")
    assert held(api.get(f"/people/{row[0]}")) == [("admin", None)]
    asleep = a_worker(api, "asleep", RoleHeld(Role.ADMIN, None))
    assert changed(api, asleep, {"active": False}).status_code == 200
    assert refused_as(changed(api, row[0], body)) == (409, "record_in_use"), "somebody inactive was counted"
    a_worker(api, "second", RoleHeld(Role.ADMIN, None))
    assert changed(api, row[0], body).status_code == 200


def test_of_two_administrators_who_dismiss_each_other_one_stays(api: Api) -> None:
    for turn in range(8):
        pair = [
            a_worker(api, f"a{turn}", RoleHeld(Role.ADMIN, None)),
            a_worker(api, f"b{turn}", RoleHeld(Role.ADMIN, None)),
        ]
        with api.pool.connection() as connection:
            connection.execute("update person set active = false where not id = any(%s)", (pair,))
        headers = [{"Authorization": f"Bearer {api.token_of(one)}"} for one in pair]

        def dismiss(number: int, pair: list[int] = pair, headers: list[dict[str, str]] = headers) -> int:
            body = {"version": 1, "active": False}
            address = f"{BASE}/people/{pair[1 - number]}"
            return api.client.patch(address, json=body, headers=headers[number]).status_code

        with ThreadPoolExecutor(2) as both:
            answers = sorted(both.map(dismiss, range(2)))
        assert answers[0] == 200
        assert answers[1] in (401, 409)


def test_the_audit_tells_who_changed_whom_and_never_a_hash(api: Api) -> None:
    added = {"login": "wang", "name": "Wang", "password": SECRET, **grants((Role.ENGINEER, NORTH))}
    person_id = api.post("/people", added).json()["id"]
    api.clock.move(timedelta(minutes=1))
    changed(api, person_id, {"name": "Wang Lei", **grants((Role.PLANNER, NORTH))})
    api.client.put(f"{BASE}/people/{person_id}/password", json={"password": SECRET}, headers=api.headers(Role.ADMIN))
    changed(api, person_id, {"on_duty": False}, version=2)
    with api.pool.connection() as connection:
        told = changes_of_record(connection, ["person", "role", "password"], str(person_id), limit=20)
        everything = connection.execute("select string_agg(audit::text, '') from audit").fetchone()
        hashed = connection.execute("select password_hash from person where id = %s", (person_id,)).fetchone()
    assert {one.person for one in told} == {"admin.everywhere"}
    later = [(one.noun, one.before, one.after) for one in told if one.at > NOW]
    role = {"person_id": person_id, "site_id": NORTH}
    assert later == [
        ("person", {"on_duty": True, "version": 2}, {"on_duty": False, "version": 3}),
        ("password", {}, {}),
        ("role", None, {**role, "role": "planner"}),
        ("role", {**role, "role": "engineer"}, None),
        ("person", {"name": "Wang", "version": 1}, {"name": "Wang Lei", "version": 2}),
    ]
    assert everything is not None
    assert hashed is not None
    assert hashed[0] not in everything[0]
    assert "argon2" not in everything[0]
