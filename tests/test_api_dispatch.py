"""People's plans, qualifications, offers and dispatch rules over the API (SPEC X1-X6)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from psycopg_pool import ConnectionPool

from storage.people import create_person
from tests.api_builders import BASE, NORTH, NOW, SOUTH, Api, an_api, an_asset
from ticketing.actors import Role, RoleHeld


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        with pool.connection() as connection:
            from storage.policies import ensure_default_policy

            ensure_default_policy(connection, NOW)
        yield opened


def an_engineer(api: Api, login: str, site: str = NORTH, team: str = "Crew", **more: object) -> int:
    with api.pool.connection() as connection:
        return create_person(
            connection,
            login=login,
            name=login.title(),
            now=NOW,
            roles=[RoleHeld(Role.ENGINEER, site)],
            team=team,
            **more,  # type: ignore[arg-type]
        )


def at(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


def test_a_supervisor_plans_shifts_of_the_own_site_only(api: Api) -> None:
    north, south = an_engineer(api, "ann"), an_engineer(api, "bob", SOUTH)
    body = {"person_id": north, "starts_at": at(0), "ends_at": at(8), "on_call": True}
    added = api.post("/shifts", body, Role.SUPERVISOR, NORTH)
    assert added.status_code == 201
    assert api.post("/shifts", {**body, "person_id": south}, Role.SUPERVISOR, NORTH).status_code == 404
    assert api.post("/shifts", body, Role.SUPERVISOR, NORTH).status_code == 409
    assert api.post("/shifts", {**body, "ends_at": at(-1)}, Role.SUPERVISOR, NORTH).status_code == 422
    assert api.post("/shifts", body, Role.ENGINEER, NORTH).status_code == 403
    (shift,) = api.get("/shifts").json()["items"]
    assert (shift["person_name"], shift["on_call"]) == ("Ann", True)
    assert api.get("/shifts", Role.SUPERVISOR, SOUTH).json()["items"] == []
    path = f"{BASE}/shifts/{added.json()['id']}"
    assert api.client.delete(path, headers=api.headers(Role.SUPERVISOR, SOUTH)).status_code == 404
    assert api.client.delete(path, headers=api.headers(Role.SUPERVISOR, NORTH)).status_code == 204
    assert api.client.delete(path, headers=api.headers(Role.SUPERVISOR, NORTH)).status_code == 404


def test_a_rota_says_who_is_on_call_and_an_absence_who_stands_in(api: Api) -> None:
    ann, bob = an_engineer(api, "ann"), an_engineer(api, "bob")
    (team,) = api.get("/teams").json()["items"]
    rota = {
        "team_id": team["id"],
        "name": "Standby",
        "time_zone": "UTC",
        "first_day": "2026-03-02",
        "cycle_days": 2,
        "on_call": True,
        "days": [{"number": 0, "starts": "08:00", "ends": "08:00"}],
        "members": [{"person_id": ann}, {"person_id": bob, "offset_days": 1}],
    }
    added = api.post("/rotas", rota, Role.SUPERVISOR)
    assert added.status_code == 201, added.text
    on_call = f"/teams/{team['id']}/on-call"
    assert api.get(on_call).json()["person_ids"] == [ann]
    assert api.get("/rotas").json()["items"][0]["members"] == [
        {"person_id": ann, "offset_days": 0},
        {"person_id": bob, "offset_days": 1},
    ]
    absence = {"person_id": ann, "starts_at": at(-1), "ends_at": at(5), "delegate_id": bob, "reason": "ill"}
    noted = api.post("/absences", absence, Role.SUPERVISOR)
    assert noted.status_code == 201
    assert api.get(on_call).json()["person_ids"] == [bob]
    assert api.get("/absences").json()["items"][0]["delegate_name"] == "Bob"
    assert api.post("/rotas", {**rota, "time_zone": "Moon/Sea", "name": "x"}, Role.SUPERVISOR).status_code == 422
    for path in (f"/absences/{noted.json()['id']}", f"/rotas/{added.json()['id']}"):
        assert api.client.delete(BASE + path, headers=api.headers(Role.SUPERVISOR)).status_code == 204
    assert api.get(on_call).json()["person_ids"] == []


def test_qualifications_are_written_whole_and_read_back(api: Api) -> None:
    ann = an_engineer(api, "ann", skills={"mechanical": 3})
    path = f"{BASE}/people/{ann}/qualifications"
    body = {"skills": {"electrical": 5}, "brands": ["ABB"], "site_access": {NORTH: "2026-12-31"}}
    written = api.client.put(path, json=body, headers=api.headers(Role.ADMIN))
    assert written.status_code == 200, written.text
    certificate = {"name": "height", "valid_from": "2026-01-01", "valid_to": "2026-06-30"}
    added = api.post(f"/people/{ann}/certificates", certificate)
    assert added.status_code == 201
    found = api.get(f"/people/{ann}/qualifications", Role.SUPERVISOR).json()
    assert {name: found[name] for name in body} == body
    assert found["certificates"][0]["valid_to"] == "2026-06-30"
    elsewhere = {**body, "site_access": {"moon": None}}
    assert api.client.put(path, json=elsewhere, headers=api.headers(Role.ADMIN)).status_code == 404
    assert api.client.put(path, json=body, headers=api.headers(Role.SUPERVISOR)).status_code == 403
    gone = f"{BASE}/people/{ann}/certificates/{added.json()['id']}"
    assert api.client.delete(gone, headers=api.headers(Role.ADMIN)).status_code == 204
    assert api.client.delete(gone, headers=api.headers(Role.ADMIN)).status_code == 404


def test_a_team_has_a_lead_and_a_team_that_takes_over(api: Api) -> None:
    ann = an_engineer(api, "ann")
    an_engineer(api, "bob", team="Backup")
    crew, backup = api.get("/teams").json()["items"]
    body = {"site": NORTH, "lead_id": ann, "backup_team_id": backup["id"]}
    path = f"{BASE}/teams/{crew['id']}"
    assert api.client.put(path, json=body, headers=api.headers(Role.ADMIN)).status_code == 204
    found = api.get("/teams").json()["items"][0]
    assert (found["lead_name"], found["backup_team"], found["site_id"]) == ("Ann", "Backup", NORTH)
    itself = {**body, "backup_team_id": crew["id"]}
    assert api.client.put(path, json=itself, headers=api.headers(Role.ADMIN)).status_code == 422
    assert api.get("/teams", Role.ENGINEER, SOUTH).json()["items"] == [api.get("/teams").json()["items"][1]]


def test_a_certificate_that_nobody_holds_is_told_when_it_is_asked_for(api: Api) -> None:
    an_engineer(api, "ann", skills={"mechanical": 3})
    with api.pool.connection() as connection:
        an_asset(connection)
    added = api.post("/dispatch/certificates", {"certificate": "height", "asset_type": "motor"}, Role.PLANNER)
    assert added.status_code == 201
    assert added.json()["warnings"] == [
        "Nobody can be sent to motor at north: nobody there holds height on 2026-03-02."
    ]
    assert api.post("/dispatch/certificates", {"certificate": "height"}, Role.PLANNER).status_code == 422
    at_site = {"certificate": "pass", "site": NORTH}
    assert api.post("/dispatch/certificates", at_site, Role.PLANNER, NORTH).status_code == 201
    assert api.post("/dispatch/certificates", {**at_site, "site": SOUTH}, Role.PLANNER, NORTH).status_code == 404
    assert len(api.get("/dispatch/certificates").json()["items"]) == 2
    gone = f"{BASE}/dispatch/certificates/{added.json()['id']}"
    assert api.client.delete(gone, headers=api.headers(Role.PLANNER)).status_code == 204


def test_rules_are_read_linted_tried_and_published(api: Api) -> None:
    an_engineer(api, "ann", skills={"mechanical": 3})
    with api.pool.connection() as connection:
        an_asset(connection)
    found = api.get("/dispatch/rules", Role.PLANNER).json()
    assert found["troubles"] == []
    section = {**found["section"], "load_limit": 4}
    assert api.post("/dispatch/lint", section, Role.PLANNER).json() == {"troubles": []}
    run = api.post("/dispatch/dry-run", {"section": section}, Role.PLANNER)
    assert run.status_code == 200, run.text
    assert (run.json()["days"], run.json()["tickets"]) == (30, 0)
    body = {"after": found["policy_id"], "reason": "More each", "section": section}
    published = api.post("/dispatch/rules", body, Role.PLANNER)
    assert published.status_code == 201
    assert published.json()["section"]["load_limit"] == 4
    assert api.post("/dispatch/rules", body, Role.PLANNER).status_code == 409
    assert api.post("/dispatch/lint", {**section, "skills": "most"}, Role.PLANNER).status_code == 422
    assert api.post("/dispatch/rules", body, Role.PLANNER, NORTH).status_code == 403


def test_an_engineer_is_offered_tickets_and_claims_one(api: Api) -> None:
    ann, bob = an_engineer(api, "ann"), an_engineer(api, "bob")
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
    reported = api.post("/tickets", {"asset_id": asset_id, "title": "howls", "description": ""}, Role.PLANNER)
    assert reported.status_code == 201, reported.text
    tokens = {one: {"Authorization": f"Bearer {api.token_of(one)}"} for one in (ann, bob)}
    (offer,) = api.client.get(f"{BASE}/me/offers", headers=tokens[ann]).json()["offers"]
    code = offer["ticket"]["code"]
    body = {"expected_response_at": at(1)}
    won = api.client.post(f"{BASE}/me/offers/{code}/claim", json=body, headers=tokens[ann])
    assert (won.status_code, won.json()["ticket"]["assignee_name"]) == (200, "Ann")
    lost = api.client.post(f"{BASE}/me/offers/{code}/claim", json=body, headers=tokens[bob])
    assert (lost.status_code, lost.json()["got"]) == (409, "Ann has it")
    assert api.client.get(f"{BASE}/me/offers", headers=tokens[bob]).json() == {
        "offers": [],
        "open_tickets": 0,
        "fit": 0,
        "excluded": {},
    }
