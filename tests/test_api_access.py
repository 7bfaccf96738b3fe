"""Who gets in: the table of permissions against every route, sessions, cross-site requests, guessing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from httpx2 import Response
from psycopg_pool import ConnectionPool

from api.dependencies import Permit
from api.identity import SESSION_COOKIE
from api.permissions import OPEN_ROUTES, PERMISSIONS, Action
from storage.people import hash_password
from tests.api_builders import BASE, NORTH, Api, a_person, an_api
from ticketing.actors import Role, RoleHeld

PASSWORD = "correct horse battery"


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def routes_of(api: Api) -> list[tuple[str, str, Action | None]]:
    """Every (method, path, action) of the application, static files left out."""
    found = []
    for context in iter_route_contexts(api.app.routes):
        if context.path is None or context.path.startswith("/static"):
            continue
        dependant = getattr(context, "dependant", None)
        action = action_of(dependant) if dependant is not None else None
        found += [(method, context.path, action) for method in sorted(context.methods or {"GET"})]
    return found


def action_of(dependant: Dependant) -> Action | None:
    if isinstance(dependant.call, Permit):
        return dependant.call.action
    return next((action for sub in dependant.dependencies if (action := action_of(sub)) is not None), None)


def ask(api: Api, method: str, path: str, headers: dict[str, str]) -> Response:
    """Send a request with keys that fit and no body: enough to see whether the door opens."""
    keys = {"code": "D000001", "file_id": "00000000-0000-7000-8000-000000000001", "command": "note", "secret": "x"}
    keys["prediction_id"] = keys["file_id"]
    address = re.sub(r"{(\w+)(:\w+)?}", lambda key: keys.get(key[1], "999999"), path)
    return api.client.request(method, address, headers=headers, follow_redirects=False)


def test_every_route_names_its_action_or_stands_in_the_table_of_open_routes(api: Api) -> None:
    unlisted = [
        (method, path)
        for method, path, action in routes_of(api)
        if action is None and (method, path) not in OPEN_ROUTES
    ]
    assert unlisted == []
    api_routes = {(method, path) for method, path, _ in routes_of(api)}
    assert set(OPEN_ROUTES) <= api_routes, "the table names a route that is not there"


def test_the_table_has_every_action_and_every_action_has_a_route(api: Api) -> None:
    assert set(PERMISSIONS) == set(Action)
    assert {action for _, _, action in routes_of(api)} - {None} == set(Action)


def test_each_route_opens_to_exactly_the_roles_of_the_table(api: Api) -> None:
    wrong = []
    for method, path, action in routes_of(api):
        if action is None or path.endswith("/stream"):
            continue
        anonymous = ask(api, method, path, {"accept": "application/json"}).status_code
        if anonymous != 401:
            wrong.append(f"{method} {path} answers {anonymous} to a stranger")
        for role in Role:
            status = ask(api, method, path, {**api.headers(role), "accept": "application/json"}).status_code
            opened = status not in (401, 403)
            if opened != (role in PERMISSIONS[action]) or status >= 500:
                wrong.append(f"{method} {path} ({action}) answers {status} to {role}")
    assert wrong == []


def test_what_changes_something_is_no_action_of_reading(api: Api) -> None:
    """The walk above believes a route's own action; a route under a wrong one must show here."""
    harmless = {Action.LISTEN, Action.USE_OWN_ACCOUNT}
    confused = [
        (method, path, action)
        for method, path, action in routes_of(api)
        if action is not None and action not in harmless
        if (method in ("GET", "HEAD")) != action.startswith("read_")
    ]
    assert confused == []


GRAVE: list[tuple[str, str, set[Role]]] = [
    ("POST", "/people", {Role.ADMIN}),
    ("PATCH", "/people/{person_id}", {Role.ADMIN}),
    ("PUT", "/people/{person_id}/password", {Role.ADMIN}),
    ("POST", "/people/{person_id}/tokens", {Role.ADMIN}),
    ("POST", "/rules", {Role.ADMIN, Role.PLANNER}),
    ("POST", "/quarantine/replay", {Role.ADMIN, Role.PLANNER}),
    ("POST", "/predictions/{prediction_id}/reject", {Role.ADMIN, Role.PLANNER, Role.SUPERVISOR}),
]


def test_the_gravest_routes_open_to_exactly_these_roles(api: Api) -> None:
    for method, path, roles in GRAVE:
        opened = {role for role in Role if ask(api, method, BASE + path, api.headers(role)).status_code != 403}
        assert opened == roles, path


def test_the_stream_is_closed_to_strangers_and_requesters(api: Api) -> None:
    assert api.get("/stream", role=None).status_code == 401
    assert api.get("/stream", Role.REQUESTER).status_code == 403


def test_open_routes_answer_without_a_credential(api: Api) -> None:
    assert api.get("/health", role=None).json() == {"status": "ok"}
    assert api.post("/session", {"login": "nobody", "password": "x"}, role=None).status_code == 401


def test_a_credential_nobody_holds_is_no_credential(api: Api) -> None:
    for header in ("Bearer wrong", "Bearer", "Basic dXNlcjpwYXNz", "Bearer \u00e9", ""):
        answer = api.client.get(f"{BASE}/me", headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401, header
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "urn:wearsight:refusal:sign_in_required"


def sign_in(api: Api, password: str = PASSWORD) -> Response:
    return api.client.post(f"{BASE}/session", json={"login": "ann", "password": password})


@pytest.fixture(scope="session")
def password_hash() -> str:
    return hash_password(PASSWORD)


@pytest.fixture
def ann(api: Api, password_hash: str) -> Api:
    """The API with Ann, who may sign in with a password."""
    with api.pool.connection() as connection:
        a_person(connection, "ann", RoleHeld(Role.ADMIN), password_hash=password_hash)
    return api


def test_a_session_is_an_opaque_cookie_that_scripts_cannot_read_and_that_ends(ann: Api) -> None:
    signed_in = sign_in(ann)
    assert signed_in.status_code == 200, signed_in.text
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert ann.client.get(f"{BASE}/me").json()["login"] == "ann"
    secret = ann.client.cookies[SESSION_COOKIE]
    ended = ann.client.delete(f"{BASE}/session", headers={"Sec-Fetch-Site": "same-origin"})
    assert ended.status_code == 204
    ann.client.cookies.set(SESSION_COOKIE, secret)
    assert ann.client.get(f"{BASE}/me").status_code == 401


def test_a_session_ends_by_itself_after_twelve_hours(ann: Api) -> None:
    sign_in(ann)
    secret = ann.client.cookies[SESSION_COOKIE]
    ann.clock.move(timedelta(hours=12))
    asked = {"Cookie": f"{SESSION_COOKIE}={secret}"}
    assert ann.client.get(f"{BASE}/me", headers=asked).status_code == 401


ORIGINS: list[tuple[dict[str, str], int]] = [
    ({"Sec-Fetch-Site": "same-origin"}, 201),
    ({"Sec-Fetch-Site": "none"}, 201),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
    ({"Origin": "http://testserver"}, 201),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({}, 403),
]


def test_a_cookie_counts_only_for_requests_of_our_own_pages(ann: Api) -> None:
    sign_in(ann)
    for number, (headers, status) in enumerate(ORIGINS):
        site = {"id": f"west-{number}", "name": "West", "calendar_id": "day", "latitude": 0, "longitude": 0}
        answer = ann.client.post(f"{BASE}/sites", json=site, headers=headers)
        assert answer.status_code == status, headers
        if status == 403:
            assert answer.json()["type"] == "urn:wearsight:refusal:cross_site_request"
    made = [site["id"] for site in ann.get("/sites", Role.PLANNER).json()["items"] if site["id"].startswith("west")]
    assert made == ["west-0", "west-1", "west-5"]


def test_another_site_cannot_sign_somebody_in(ann: Api) -> None:
    body = {"login": "ann", "password": PASSWORD}
    answer = ann.client.post(f"{BASE}/session", json=body, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_guessing_is_slowed_after_five_failures_and_free_again_after_a_quarter_of_an_hour(ann: Api) -> None:
    for _ in range(5):
        assert sign_in(ann, "wrong password").status_code == 401
    refused = sign_in(ann)
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:wearsight:refusal:too_many_attempts"
    assert int(refused.headers["retry-after"]) == 900
    ann.clock.move(timedelta(minutes=15))
    assert sign_in(ann).status_code == 200


def test_an_unknown_login_and_a_wrong_password_cannot_be_told_apart(ann: Api) -> None:
    unknown = ann.client.post(f"{BASE}/session", json={"login": "bob", "password": "whatever1"}).json()
    assert unknown == sign_in(ann, "whatever1").json()


def test_a_person_with_roles_at_two_sites_is_staff_only_where_they_are_staff(api: Api) -> None:
    with api.pool.connection() as connection:
        a_person(connection, "mix", RoleHeld(Role.REQUESTER, "south"), RoleHeld(Role.PLANNER, NORTH))
        row = connection.execute("select id from person where login = 'mix'").fetchone()
    assert row is not None
    token = api.post(f"/people/{row[0]}/tokens", {"name": "t"}).json()["token"]
    asked = {"Authorization": f"Bearer {token}"}
    sites = api.client.get(f"{BASE}/sites", headers=asked).json()["items"]
    assert [site["id"] for site in sites] == ["north", "south"]
    body = {"site": "south", "asset_type": "motor", "tag": "M", "name": "M"}
    assert api.client.post(f"{BASE}/assets", json=body, headers=asked).status_code == 404
