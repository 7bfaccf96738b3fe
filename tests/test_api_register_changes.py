"""Changes of the register: only what is sent, on the version that was read, and each with who made it (SPEC E1)."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from httpx2 import Response
from psycopg_pool import ConnectionPool

from storage.audit import act_as
from tests.api_builders import BASE, NORTH, NOW, SOUTH, Api, a_device, a_feed, an_api, an_asset
from ticketing.actors import Role

PLATE = {
    "brand": "ABB", "model": "M3BP", "batch": "2024-07", "purchase_date": "2024-07-01", "warranty_until": "2027-06-30",
    "firmware": "1.4.2", "contract_number": "C-17", "location": "Row 3", "latitude": 31.3, "longitude": 120.7,
    "serial_number": "SN-1", "status": "decommissioned", "criticality": 5, "area": "Hall 1",
}  # fmt: skip


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def patch(api: Api, path: str, body: object, role: Role = Role.PLANNER, site: str | None = None) -> Response:
    return api.client.patch(BASE + path, json=body, headers=api.headers(role, site))


def an_asset_made(api: Api, **more: object) -> dict:
    made = api.post("/assets", {"site": NORTH, "asset_type": "motor", "tag": "M-7", "name": "Motor 7", **more})
    assert made.status_code == 201, made.text
    return made.json()


def test_an_asset_has_the_whole_nameplate(api: Api) -> None:
    made = an_asset_made(api, **PLATE)
    assert {name: made[name] for name in PLATE} == PLATE
    assert made["version"] == 1
    assert [one["tag"] for one in api.get("/assets", status="decommissioned").json()["items"]] == ["M-7"]
    assert api.get("/assets", status="in_service").json()["items"] == []


def test_a_change_changes_what_is_sent_and_counts_the_version(api: Api) -> None:
    made = an_asset_made(api, **PLATE)
    changed = patch(api, f"/assets/{made['id']}", {"version": 1, "brand": None, "area": "Hall 2", "tag": "M-8"})
    assert changed.status_code == 200, changed.text
    expected = {**made, "brand": None, "area": "Hall 2", "tag": "M-8", "version": 2}
    assert changed.json() == expected
    same = patch(api, f"/assets/{made['id']}", {"version": 2, "tag": "M-8"})
    assert same.json()["version"] == 2, "what changes nothing is no version"


def test_a_change_of_what_somebody_else_changed_is_refused(api: Api) -> None:
    asset = an_asset_made(api)
    device = api.post("/devices", {"site": NORTH, "name": "gw", "asset_id": asset["id"]}).json()
    area = api.post("/areas", {"site": NORTH, "name": "Hall 1"}).json()
    for path, first, second in (
        (f"/assets/{asset['id']}", {"brand": "ABB"}, {"model": "X"}),
        (f"/devices/{device['id']}", {"expected_interval_s": 5}, {"time_policy": "recorded"}),
        (f"/sites/{NORTH}", {"name": "Far North"}, {"latitude": 1}),
        (f"/areas/{area['id']}", {"name": "Hall 2"}, {"name": "Hall 3"}),
    ):
        done = patch(api, path, {"version": 1, **first})
        assert (done.status_code, done.json()["version"]) == (200, 2), path
        stale = patch(api, path, {"version": 1, **second})
        assert (stale.status_code, stale.json()["type"]) == (409, "urn:wearsight:refusal:stale_record"), path
        assert patch(api, path, {"version": 2, **second}).json()["version"] == 3
        assert patch(api, path, second).status_code == 422, "without a version"


@pytest.mark.parametrize(
    "body", [{"name": None}, {"site": SOUTH}, {"criticality": 6}, {"status": "lost"}, {"tag": "a b"}]
)
def test_a_change_that_makes_no_sense_is_refused(api: Api, body: dict[str, object]) -> None:
    asset = an_asset_made(api)
    assert patch(api, f"/assets/{asset['id']}", {"version": 1, **body}).status_code == 422


def test_a_tag_a_name_and_an_address_that_are_taken_are_refused(api: Api) -> None:
    with api.pool.connection() as connection:
        other = an_asset(connection, NORTH, "M-1")
        feed_id = a_feed(connection)
    asset = an_asset_made(api)
    assert patch(api, f"/assets/{asset['id']}", {"version": 1, "tag": "M-1"}).status_code == 409
    bound = {"site": NORTH, "asset_id": other, "feed_id": feed_id, "feed_key": "k"}
    assert api.post("/devices", {**bound, "name": "one"}).status_code == 201
    assert api.post("/devices", {**bound, "name": "two"}).status_code == 409
    assert api.post("/devices", {**bound, "name": "two", "feed_key": None}).status_code == 422
    for name in ("Hall 1", "Hall 1"):
        last = api.post("/areas", {"site": NORTH, "name": name})
    assert last.status_code == 409


def test_a_device_moves_to_another_asset_or_feed_of_its_site_only(api: Api) -> None:
    with api.pool.connection() as connection:
        here, sibling, elsewhere = (
            an_asset(connection, *place) for place in ((NORTH, "A"), (NORTH, "B"), (SOUTH, "C"))
        )
        device_id = a_device(connection, here)
        feed_id, other_feed = a_feed(connection), a_feed(connection, SOUTH, "far")
    path = f"/devices/{device_id}"
    moved = patch(api, path, {"version": 1, "asset_id": sibling, "feed_id": feed_id, "feed_key": "k"})
    assert (moved.json()["asset_id"], moved.json()["feed_key"]) == (sibling, "k")
    for wrong in ({"asset_id": elsewhere}, {"feed_id": other_feed, "feed_key": "k"}):
        refused = patch(api, path, {"version": 2, **wrong})
        assert refused.json()["type"] == "urn:wearsight:refusal:wrong_site", wrong
    back = patch(api, path, {"version": 2, "feed_id": None, "feed_key": None})
    assert (back.json()["feed_id"], back.json()["feed_key"]) == (None, None)


def test_what_lies_at_another_site_cannot_be_changed_or_looked_at(api: Api) -> None:
    with api.pool.connection() as connection:
        theirs = an_asset(connection, SOUTH, "S-1")
        device_id = a_device(connection, theirs)
    area = api.post("/areas", {"site": SOUTH, "name": "Hall"}).json()
    for path in (f"/assets/{theirs}", f"/devices/{device_id}", f"/sites/{SOUTH}", f"/areas/{area['id']}"):
        body = {"version": 1, "name": "Mine"} if "devices" not in path else {"version": 1}
        assert patch(api, path, body, Role.PLANNER, NORTH).status_code == 404, path
    for path in (f"/assets/{theirs}/changes", f"/assets/{theirs}/files", f"/assets/{theirs}/components"):
        assert api.get(path, Role.PLANNER, NORTH).status_code == 404, path
    assert api.get("/areas", Role.PLANNER, NORTH).json()["items"] == []
    assert api.post("/areas", {"site": SOUTH, "name": "Mine"}, Role.PLANNER, NORTH).status_code == 404


def test_a_component_has_a_nameplate_and_keeps_every_time_it_was_fitted(api: Api) -> None:
    asset = an_asset_made(api, installed={"bearing": "2026-01-01T00:00:00Z"})
    path = f"{BASE}/assets/{asset['id']}/components/bearing"
    body = {"serial_number": "B-1", "installed_at": "2026-02-01T00:00:00Z"}
    put = api.client.put(path, json=body, headers=api.headers(Role.PLANNER))
    (bearing,) = put.json()["items"]
    assert (bearing["serial_number"], bearing["installed_at"]) == ("B-1", "2026-02-01T00:00:00Z")
    older = {"serial_number": "B-1", "installed_at": "2025-01-01T00:00:00Z"}
    (bearing,) = api.client.put(path, json=older, headers=api.headers(Role.PLANNER)).json()["items"]
    assert bearing["installed_at"] == "2026-02-01T00:00:00Z", "the newest counts"
    assert api.get(f"/assets/{asset['id']}").json()["components"] == [bearing]
    with api.pool.connection() as connection:
        assert connection.execute("select count(*) from component_installation").fetchone() == (3,)


# Who changed what


def test_every_change_of_an_asset_is_kept_with_who_made_it_and_what_it_was(api: Api) -> None:
    asset = an_asset_made(api)
    path = f"/assets/{asset['id']}"
    patch(api, path, {"version": 1, "brand": "ABB"}, Role.PLANNER, NORTH)
    api.client.put(f"{BASE}{path}/components/seal", json={"model": "S"}, headers=api.headers(Role.INTEGRATION))
    device = api.post("/devices", {"site": NORTH, "name": "gw", "asset_id": asset["id"]}).json()
    patch(api, f"/devices/{device['id']}", {"version": 1, "expected_interval_s": 5})
    rows = api.get(f"{path}/changes", Role.SUPERVISOR, NORTH).json()["items"]
    told = [(one["person"], one["noun"], one["before"], one["after"]) for one in rows]
    assert told[0][2:] == ({"version": 1, "expected_interval_s": None}, {"version": 2, "expected_interval_s": 5})
    assert [one[:2] for one in told] == [
        ("planner.everywhere", "device"), ("admin.everywhere", "device"), ("integration.everywhere", "component"),
        ("planner.north", "asset"), ("admin.everywhere", "asset"),
    ]  # fmt: skip
    assert told[3][2:] == ({"version": 1, "brand": None}, {"version": 2, "brand": "ABB"})
    assert {one["at"] for one in rows} == {NOW.isoformat().replace("+00:00", "Z")}
    page = api.get(f"{path}/changes", limit=2).json()
    assert [one["id"] for one in page["items"]] == [one["id"] for one in rows[:2]]
    rest = api.get(f"{path}/changes", cursor=page["next_cursor"]).json()["items"]
    assert [one["id"] for one in rest] == [one["id"] for one in rows[2:]]
    assert api.get(f"{path}/changes", Role.ENGINEER).status_code == 403


def test_what_a_refused_change_did_is_in_no_audit(api: Api) -> None:
    with api.pool.connection() as connection:
        an_asset(connection, NORTH, "M-1")
    asset = an_asset_made(api)
    patch(api, f"/assets/{asset['id']}", {"version": 1, "area": "New hall", "tag": "M-1"})
    assert [one["noun"] for one in api.get(f"/assets/{asset['id']}/changes").json()["items"]] == ["asset"]
    assert api.get("/areas").json()["items"] == []


def test_the_presence_of_a_device_is_no_change_of_the_register(api: Api) -> None:
    with api.pool.connection() as connection:
        device_id = a_device(connection, an_asset(connection))
        count = "select count(*) from audit"
        before = connection.execute(count).fetchone()
        connection.execute("update device set last_seen_at = %s, online = true where id = %s", (NOW, device_id))
        assert connection.execute(count).fetchone() == before


@pytest.mark.parametrize("attack", ["update audit set noun = 'x'", "delete from audit", "truncate audit"])
def test_the_audit_cannot_be_rewritten(api: Api, attack: str) -> None:
    with api.pool.connection() as connection, pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
        connection.execute(attack)


def test_who_made_a_change_is_forgotten_with_the_transaction(api: Api) -> None:
    """The pool gives the same connection to the next request."""
    with api.pool.connection() as connection:
        act_as(connection, 1, NOW)
        connection.commit()
        found = connection.execute("select nullif(current_setting('wearsight.person', true), '')").fetchone()
    assert found == (None,)
