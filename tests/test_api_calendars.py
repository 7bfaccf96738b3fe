"""Calendars over HTTP: hours, special days, holidays, and who may change them (SPEC S3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from httpx2 import Response
from psycopg_pool import ConnectionPool

from storage import service_alarms
from tests.api_builders import BASE, NORTH, SOUTH, Api, a_person, an_api
from ticketing.actors import Role, RoleHeld

DAY_SHIFT = [
    {"weekday": weekday, "starts": starts, "ends": ends}
    for weekday in range(1, 6)
    for starts, ends in (("08:00", "12:00"), ("13:00", "17:30"))
]


def a_body(**changes: object) -> dict[str, object]:
    plain = {"id": "late", "name": "Late shift", "time_zone": "Asia/Shanghai", "segments": DAY_SHIFT, "country": "CN"}
    return {**plain, **changes}


def send(
    api: Api,
    method: str,
    path: str,
    body: dict[str, object] | None = None,
    role: Role = Role.ADMIN,
    site: str | None = None,
) -> Response:
    return api.client.request(method, BASE + path, json=body, headers=api.headers(role, site))


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def test_a_calendar_comes_back_as_it_was_sent_with_its_holidays(api: Api) -> None:
    made = api.post("/calendars", a_body())
    assert made.status_code == 201, made.text
    shown = api.get("/calendars/late", year=2026).json()
    assert shown["segments"] == DAY_SHIFT
    assert (shown["country"], shown["official_until"], shown["version"]) == ("CN", "2026-12-31", 1)
    days = {day["day"]: (day["working"], day["source"]) for day in shown["days"]}
    assert days["2026-10-01"] == (False, "official")
    assert days["2026-10-10"] == (True, "official")
    assert "late" in [item["id"] for item in api.get("/calendars").json()["items"]]


@pytest.mark.parametrize(
    ("changes", "status", "name"),
    [
        ({"segments": [{"weekday": 1, "starts": "08:00", "ends": "24:01"}]}, 422, "invalid_request"),
        ({"segments": [{"weekday": 8, "starts": "08:00", "ends": "09:00"}]}, 422, "invalid_request"),
        ({"segments": []}, 422, "invalid_request"),
        ({"segments": [{"weekday": 1, "starts": "09:00", "ends": "08:00"}]}, 422, "invalid_calendar"),
        ({"segments": DAY_SHIFT + DAY_SHIFT[:1]}, 422, "invalid_calendar"),
        ({"time_zone": "Middle/Earth"}, 422, "invalid_calendar"),
        ({"country": "ZZ"}, 422, "invalid_calendar"),
        ({"country": None, "subdivision": "BY"}, 422, "invalid_calendar"),
        ({"id": "north"}, 409, "duplicate_record"),
    ],
)
def test_an_impossible_calendar_is_refused_by_name(
    api: Api, changes: dict[str, object], status: int, name: str
) -> None:
    if changes.get("id") == "north":
        assert api.post("/calendars", a_body(id="north")).status_code == 201
    answer = api.post("/calendars", a_body(**changes))
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:wearsight:refusal:{name}")


def test_a_change_names_the_version_it_was_made_on(api: Api) -> None:
    api.post("/calendars", a_body())
    night = [{"weekday": 7, "starts": "22:00", "ends": "24:00"}]
    changed = send(
        api, "PATCH", "/calendars/late", {"version": 1, "segments": night, "country": "DE", "subdivision": "BY"}
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["segments"], changed.json()["version"]) == (night, 2)
    stale = send(api, "PATCH", "/calendars/late", {"version": 1, "name": "Mine"})
    assert (stale.status_code, stale.json()["type"]) == (409, "urn:wearsight:refusal:stale_record")


def test_a_special_day_is_entered_and_taken_away(api: Api) -> None:
    api.post("/calendars", a_body())
    entered = send(api, "PUT", "/calendars/late/days/2026-10-01", {"working": True, "name": "Rush order"})
    assert {"day": "2026-10-01", "working": True, "name": "Rush order", "source": "entered"} in entered.json()["days"]
    removed = send(api, "DELETE", "/calendars/late/days/2026-10-01")
    assert [day["source"] for day in removed.json()["days"] if day["day"] == "2026-10-01"] == ["official"]
    assert send(api, "DELETE", "/calendars/late/days/2026-10-01").status_code == 404
    assert send(api, "PUT", "/calendars/other/days/2026-10-01", {"working": True, "name": "x"}).status_code == 404


def test_a_calendar_that_another_site_keeps_too_is_not_one_sites_to_change(api: Api) -> None:
    with api.pool.connection() as connection:
        (shared,) = connection.execute("select calendar_id from site where id = %s", (SOUTH,)).fetchone() or ("",)
        connection.execute("update site set calendar_id = %s", (shared,))
    body = {"version": 1, "name": "Ours"}
    refused = send(api, "PATCH", f"/calendars/{shared}", body, Role.PLANNER, NORTH)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:wearsight:refusal:not_permitted")
    shown = api.get(f"/calendars/{shared}", Role.PLANNER, NORTH).json()
    assert shown["sites"] == [NORTH]


def test_a_person_may_have_a_calendar_of_their_own(api: Api) -> None:
    api.post("/calendars", a_body())
    with api.pool.connection() as connection:
        person_id = a_person(connection, "maria", RoleHeld(Role.REQUESTER, NORTH))
    path = f"/people/{person_id}/calendar"
    assert api.get(path).json() == {"calendar_id": None}
    assert send(api, "PUT", path, {"calendar_id": "late"}).json() == {"calendar_id": "late"}
    assert api.get(path).json() == {"calendar_id": "late"}
    assert send(api, "PUT", path, {"calendar_id": "none"}).status_code == 404
    assert api.get(path, Role.PLANNER, SOUTH).status_code == 404


def test_the_places_whose_holidays_are_known_can_be_looked_up(api: Api) -> None:
    places = api.get("/holidays").json()["places"]
    assert "BY" in places["DE"]
    assert "CN" in places


def test_people_are_told_before_the_holidays_of_a_calendar_in_use_run_out(api: Api) -> None:
    """SPEC S3: the days of 2027 are not announced; 60 days before, it is an alarm. One that nobody keeps is none."""
    api.post("/calendars", a_body())
    autumn, winter = datetime(2026, 10, 31, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)

    def kinds(now: datetime) -> list[tuple[str, str]]:
        with api.pool.connection() as connection:
            found = service_alarms.troubles(connection, now, {})
        return [(each.kind, each.subject) for each in found if each.kind == "holidays_ending"]

    assert kinds(winter) == []
    with api.pool.connection() as connection:
        connection.execute("update site set calendar_id = 'late' where id = %s", (NORTH,))
    assert kinds(autumn) == []
    assert kinds(winter) == [("holidays_ending", "late")]
    assert api.get("/calendars/late").json()["holidays_end_soon"] is False
