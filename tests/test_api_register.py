"""The register and the charts over HTTP: sites, assets, devices, series."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from psycopg_pool import ConnectionPool

from storage.people import issue_token
from tests.api_builders import NORTH, NOW, SOUTH, Api, a_device, a_series, an_api, an_asset, readings
from ticketing.actors import Role


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def an_asset_body(**changes: object) -> dict[str, object]:
    return {"site": NORTH, "asset_type": "motor", "tag": "M-7", "name": "Motor 7", **changes}


def test_an_asset_is_registered_with_its_components_and_found_by_its_tag(api: Api) -> None:
    body = an_asset_body(area="Hall 1", installed={"bearing": "2026-01-05T00:00:00+08:00"})
    made = api.post("/assets", body, Role.PLANNER, NORTH)
    assert made.status_code == 201, made.text
    assert made.json()["installed"] == {"bearing": "2026-01-04T16:00:00Z"}
    found = api.get("/assets", tag="M-7", site_=NORTH).json()["items"]
    assert [item["id"] for item in found] == [made.json()["id"]]
    assert found[0]["open_tickets"] == 0
    assert found[0]["assessed"] is True
    assert found[0]["area"] == "Hall 1"


def test_a_tag_is_registered_once_per_site(api: Api) -> None:
    assert api.post("/assets", an_asset_body()).status_code == 201
    again = api.post("/assets", an_asset_body())
    assert again.status_code == 409
    assert again.json()["type"] == "urn:wearsight:refusal:duplicate_record"
    assert again.headers["content-type"] == "application/problem+json"
    assert api.post("/assets", an_asset_body(site=SOUTH)).status_code == 201


def test_a_device_is_registered_for_an_asset_of_its_own_site(api: Api) -> None:
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
    body = {"site": NORTH, "name": "dev-1", "asset_id": asset_id, "time_policy": "recorded", "expected_interval_s": 5}
    made = api.post("/devices", body, Role.INTEGRATION)
    assert made.status_code == 201, made.text
    assert made.json()["time_policy"] == "recorded"
    assert api.post("/devices", body).status_code == 409
    elsewhere = api.post("/devices", {**body, "site": SOUTH, "name": "dev-2"})
    assert elsewhere.status_code == 422
    shown = api.get(f"/assets/{asset_id}").json()["devices"]
    assert [(device["name"], device["last_reading_at"]) for device in shown] == [("dev-1", None)]


def test_another_sites_records_do_not_exist_for_a_caller_of_one_site(api: Api) -> None:
    with api.pool.connection() as connection:
        theirs = an_asset(connection, SOUTH, "S-1")
        device_id = a_device(connection, theirs)
        series_id = a_series(connection, device_id)
    for path in (
        f"/assets/{theirs}",
        f"/assets/{theirs}/series",
        f"/devices/{device_id}",
        f"/devices/{device_id}/gaps",
        f"/series/{series_id}/chart",
        f"/series/{series_id}/readings",
    ):
        assert api.get(path, Role.PLANNER, NORTH).status_code == 404, path
        assert api.get(path, Role.PLANNER, SOUTH).status_code == 200, path
    assert api.get("/assets", Role.PLANNER, NORTH).json()["items"] == []
    assert api.get("/devices", Role.PLANNER, NORTH).json()["items"] == []
    assert [item["id"] for item in api.get("/sites", Role.PLANNER, NORTH).json()["items"]] == [NORTH]
    into = api.post("/assets", an_asset_body(site=SOUTH), Role.PLANNER, NORTH)
    assert into.status_code == 404


def test_evidence_that_waits_shows_an_asset_as_not_assessed(api: Api) -> None:
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
        connection.execute("insert into evidence_due (asset_id, ts) values (%s, %s)", (asset_id, NOW))
    assert api.get(f"/assets/{asset_id}").json()["assessed"] is False


def test_a_long_list_comes_in_pages_without_loss_or_repeat(api: Api) -> None:
    with api.pool.connection() as connection:
        made = [an_asset(connection, NORTH, f"T-{number}") for number in range(7)]
    seen: list[int] = []
    cursor = 0
    while True:
        page = api.get("/assets", limit=3, cursor=cursor).json()
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert seen == made
    assert api.get("/assets", limit=201).status_code == 422


def a_day_with_a_spike(api: Api) -> tuple[int, float]:
    """86,400 readings at 1 Hz with one sample far above the rest; returns the series and the spike's time in ms."""
    rng = random.Random(7)
    start = NOW - timedelta(days=2)
    rows = [(start + timedelta(seconds=second), math.sin(second / 900) + rng.gauss(0, 0.1)) for second in range(86_400)]
    spike = 51_237
    rows[spike] = (rows[spike][0], 42.0)
    with api.pool.connection() as connection:
        series_id = a_series(connection, a_device(connection, an_asset(connection)))
        readings(connection, series_id, rows)
    return series_id, rows[spike][0].timestamp() * 1000


def test_a_chart_of_a_day_keeps_a_spike_of_one_second(api: Api) -> None:
    series_id, spike_ms = a_day_with_a_spike(api)
    start, end = NOW - timedelta(days=2), NOW - timedelta(days=1)
    answer = api.client.get(
        f"/api/v1/series/{series_id}/chart",
        params={"from": start.isoformat(), "to": end.isoformat(), "width": 500},
        headers=api.headers(Role.ENGINEER),
    )
    chart = answer.json()
    assert answer.status_code == 200, chart
    assert chart["raw"] is False
    assert len(chart["ts"]) == 500
    at = chart["max"].index(max(chart["max"]))
    assert chart["max"][at] == 42.0
    assert chart["ts"][at] <= spike_ms < chart["ts"][at] + 86_400_000 / 500
    # The spike is in no other column of its pixel: it is neither the first nor the last reading there.
    assert chart["first"][at] < 2
    assert chart["last"][at] < 2


def test_a_chart_shows_the_last_hour_of_the_series_own_data_and_raw_when_few(api: Api) -> None:
    series_id, _ = a_day_with_a_spike(api)
    chart = api.get(f"/series/{series_id}/chart", width=1000).json()
    assert chart["raw"] is True
    assert len(chart["ts"]) == 3600
    assert chart["first"] == chart["min"] == chart["max"] == chart["last"]


def test_a_chart_does_not_bridge_a_silence(api: Api) -> None:
    with api.pool.connection() as connection:
        series_id = a_series(connection, a_device(connection, an_asset(connection)))
        start = NOW - timedelta(hours=1)
        seconds = [*range(60), *range(1800, 1860)]
        readings(connection, series_id, [(start + timedelta(seconds=second), 1.0) for second in seconds])
    chart = api.get(f"/series/{series_id}/chart").json()
    assert len(chart["ts"]) == 121
    assert [row for row, value in enumerate(chart["max"]) if value is None] == [60]


def test_a_series_without_readings_has_an_empty_chart(api: Api) -> None:
    with api.pool.connection() as connection:
        series_id = a_series(connection, a_device(connection, an_asset(connection)))
    chart = api.get(f"/series/{series_id}/chart").json()
    assert (chart["ts"], chart["from"]) == ([], None)
    assert api.get(f"/series/{series_id}/readings").json() == {"ts": [], "value": [], "next_from": None}


def test_readings_come_in_pages_that_join(api: Api) -> None:
    with api.pool.connection() as connection:
        series_id = a_series(connection, a_device(connection, an_asset(connection)))
        rows = [(NOW - timedelta(seconds=60 - second), float(second)) for second in range(50)]
        readings(connection, series_id, rows)
    params = {"from": (NOW - timedelta(hours=1)).isoformat(), "to": NOW.isoformat(), "limit": "20"}
    got: list[float] = []
    while True:
        page = api.client.get(
            f"/api/v1/series/{series_id}/readings", params=params, headers=api.headers(Role.ADMIN)
        ).json()
        got += page["value"]
        if page["next_from"] is None:
            break
        params["from"] = page["next_from"]
    assert got == [float(second) for second in range(50)]


def test_an_administrator_of_one_site_cannot_make_one_of_all(api: Api) -> None:
    body = {"login": "eve", "name": "Eve", "roles": [{"role": "admin"}]}
    assert api.post("/people", body, Role.ADMIN, NORTH).status_code == 403
    assert (
        api.post("/people", {**body, "roles": [{"role": "admin", "site": SOUTH}]}, Role.ADMIN, NORTH).status_code == 403
    )
    made = api.post("/people", {**body, "roles": [{"role": "engineer", "site": NORTH}]}, Role.ADMIN, NORTH)
    assert made.status_code == 201, made.text
    with api.pool.connection() as connection:
        top = connection.execute("select id from person where login = 'admin.north'").fetchone()
        assert top is not None
        issue_token(connection, top[0], "x", NOW, NOW + timedelta(days=1))
    everywhere = api.get("/me").json()["id"]
    assert api.post(f"/people/{everywhere}/tokens", {"name": "mine"}, Role.ADMIN, NORTH).status_code == 403


def test_a_token_works_from_its_issue_to_its_end(api: Api) -> None:
    person = api.post("/people", {"login": "rig", "name": "Rig", "roles": [{"role": "integration"}]}).json()
    token = api.post(f"/people/{person['id']}/tokens", {"name": "rig", "days": 1}).json()["token"]
    asked = {"Authorization": f"Bearer {token}"}
    assert api.client.get("/api/v1/me", headers=asked).json()["login"] == "rig"
    api.clock.move(timedelta(days=1))
    assert api.client.get("/api/v1/me", headers=asked).status_code == 401


def test_readings_that_wait_to_be_judged_show_an_asset_as_not_assessed(api: Api) -> None:
    """A client that waits for the verdict must not take stored for judged."""
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
        device_id = a_device(connection, asset_id)
    assert api.get(f"/assets/{asset_id}").json()["assessed"] is True
    with api.pool.connection() as connection:
        connection.execute("update device set held = true where id = %s", (device_id,))
    assert api.get(f"/assets/{asset_id}").json()["assessed"] is False
