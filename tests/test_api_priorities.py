"""Priority over the wire: critical windows, breakers on the board and in the ticket, the control comparison."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg_pool import ConnectionPool

from storage.casework import create_report
from storage.people import issue_token
from tests.api_builders import BASE, NORTH, SOUTH, Api, an_api
from tests.ticket_builders import DAY, MINUTE, NOW, SITE, House, a_device_ticket, a_house
from ticketing.actors import Role

ONCE = {"site": NORTH, "name": "Peak", "factor": 2.0,
        "starts_at": "2026-03-03T00:00:00Z", "ends_at": "2026-03-04T00:00:00Z"}  # fmt: skip
WEEKLY = {"site": NORTH, "asset_type": "motor", "name": "夜班", "factor": 1.5,
          "weekdays": [5, 1, 5], "starts_s": 79_200, "ends_s": 21_600}  # fmt: skip


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def test_windows_are_added_read_changed_and_retired(api: Api) -> None:
    added = api.post("/critical-windows", WEEKLY, Role.PLANNER, NORTH)
    assert added.status_code == 201
    window = added.json()
    assert (window["weekdays"], window["version"], window["time_zone"]) == ([1, 5], 1, "UTC")
    assert api.get(f"/critical-windows/{window['id']}", Role.ENGINEER, NORTH).json() == window
    change = {**{name: value for name, value in ONCE.items() if name != "site"}, "version": 1}
    headers = api.headers(Role.PLANNER, NORTH)
    place = f"{BASE}/critical-windows/{window['id']}"
    changed = api.client.put(place, json=change, headers=headers)
    assert (changed.status_code, changed.json()["weekdays"], changed.json()["version"]) == (200, None, 2)
    assert api.client.put(place, json=change, headers=headers).json()["type"].endswith("stale_record")
    assert api.client.delete(place, params={"version": 2}, headers=headers).status_code == 204
    assert api.client.get(place, headers=headers).status_code == 404


def test_windows_come_in_pages_and_of_the_callers_sites_only(api: Api) -> None:
    for site in (NORTH, SOUTH, NORTH):
        assert api.post("/critical-windows", {**ONCE, "site": site}).status_code == 201
    first = api.get("/critical-windows", limit=2).json()
    rest = api.get("/critical-windows", limit=2, cursor=first["next_cursor"]).json()
    assert [len(first["items"]), len(rest["items"]), rest["next_cursor"]] == [2, 1, None]
    assert {window["site_id"] for window in api.get("/critical-windows", Role.PLANNER, SOUTH).json()["items"]} == {
        SOUTH
    }


def test_a_window_of_another_site_does_not_exist_for_the_caller(api: Api) -> None:
    window = api.post("/critical-windows", ONCE).json()
    place = f"{BASE}/critical-windows/{window['id']}"
    elsewhere = api.headers(Role.PLANNER, SOUTH)
    assert api.client.get(place, headers=elsewhere).status_code == 404
    assert api.client.delete(place, params={"version": 1}, headers=elsewhere).status_code == 404
    assert api.post("/critical-windows", ONCE, Role.PLANNER, SOUTH).status_code == 404
    assert api.post("/critical-windows", ONCE, Role.ENGINEER, NORTH).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"factor": 0},
        {"factor": 11},
        {"name": ""},
        {"name": "a\u0000b"},
        {"weekdays": [1], "starts_s": 0, "ends_s": 60},
        {"ends_at": "2026-03-02T00:00:00Z"},
        {"ends_at": None},
        {"starts_at": "2026-03-03T00:00:00"},
        {"asset_type": "no_such_type"},
    ],
)
def test_a_window_that_is_not_right_is_refused_and_not_kept(api: Api, wrong: dict[str, object]) -> None:
    refused = api.post("/critical-windows", {**ONCE, **wrong})
    assert refused.status_code == 422
    assert api.get("/critical-windows").json()["items"] == []


def test_a_comparison_is_of_a_month(api: Api) -> None:
    report = api.get("/priority-control", month="2026-03").json()
    assert (report["month"], report["opened"], report["cells"]) == ("2026-03", 0, [])
    assert api.get("/priority-control", month="2026-13").status_code == 422
    assert api.get("/priority-control", Role.REQUESTER, NORTH, month="2026-03").status_code == 403


@pytest.fixture
def frozen(pool: ConnectionPool) -> Iterator[tuple[Api, House, str, list[str]]]:
    """A house with four line stops and a P2 that was set to P3."""
    made: list[House] = []
    with an_api(pool, lambda connection: made.append(a_house(connection)), NOW) as api:
        house = made[0]
        with pool.connection() as connection:
            waiting = a_device_ticket(connection, house)
            stops = [
                create_report(
                    connection, asset_id=house.asset_id, title="Line stands", description="",
                    reporter=house.requester, now=NOW + number * MINUTE, line_stopped=True,
                )
                for number in range(4)
            ]  # fmt: skip
        yield api, house, waiting, stops


def speak(api: Api, person_id: int | None, method: str, path: str, body: object = None):
    assert person_id is not None
    with api.pool.connection() as connection:
        token = issue_token(connection, person_id, "tests", NOW, NOW + 30 * DAY)
    return api.client.request(method, BASE + path, json=body, headers={"Authorization": f"Bearer {token}"})


def test_everyone_sees_why_a_ticket_waits(frozen) -> None:
    """SPEC S6: in the ticket's answer, and on the board."""
    api, house, waiting, stops = frozen
    ticket = f"/tickets/{waiting}"
    assert speak(api, house.near.person_id, "GET", ticket).json()["dispatch_blocked_by"] is None
    lowered = {"facts": {"level": "P3", "reason": "The spare motor runs"}}
    speak(api, house.planner.person_id, "POST", f"{ticket}/commands/override_priority", lowered)
    for person in (house.near, house.planner, house.supervisor):
        blocked = speak(api, person.person_id, "GET", ticket).json()["dispatch_blocked_by"]
        assert (blocked["p0_codes"], blocked["freezes_from"]) == (stops, 3)
        board = speak(api, person.person_id, "GET", "/breakers").json()["items"]
        assert [(one["site_id"], one["p0_codes"]) for one in board] == [(SITE, stops)]


def test_what_is_frozen_is_given_out_by_a_supervisor_only(frozen) -> None:
    """Planted: without the check an engineer claims what the breaker keeps back."""
    api, house, waiting, stops = frozen
    commands = f"/tickets/{waiting}/commands"
    lowered = {"facts": {"level": "P4", "reason": "The spare motor runs"}}
    speak(api, house.planner.person_id, "POST", f"{commands}/override_priority", lowered)
    to_near = {"facts": {"assignee_id": house.near.person_id}}
    claim = {"facts": {"expected_response_at": (NOW + 60 * MINUTE).isoformat()}}
    for person, step, body in ((house.planner, "dispatch", to_near), (house.near, "accept", claim)):
        refused = speak(api, person.person_id, "POST", f"{commands}/{step}", body)
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "dispatch_frozen")
        assert all(code in refused.json()["got"] for code in stops)
    assert speak(api, house.supervisor.person_id, "POST", f"{commands}/dispatch", to_near).status_code == 200


def test_the_ticket_shows_the_arithmetic_and_the_override(frozen) -> None:
    api, house, waiting, _ = frozen
    body = {"facts": {"level": "P1", "reason": "The customer ships on Friday"}}
    answer = speak(api, house.planner.person_id, "POST", f"/tickets/{waiting}/commands/override_priority", body).json()
    reason = answer["ticket"]["priority_reason"]
    assert (answer["ticket"]["priority"], answer["ticket"]["priority_override"]) == (1, 1)
    assert (reason["computed_level"], reason["override"]["name"]) == (2, "Planner")
    assert {"part", "name", "value", "source", "source_en", "source_zh"} == set(reason["factors"][0])
    assert answer["heat"]["band"] == "warm"
    assert "end_override" in [step["command"] for step in answer["next_steps"]]
