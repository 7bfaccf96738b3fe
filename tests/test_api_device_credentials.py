"""Credentials over the API: secrets shown once, users readable, lists without secrets, who issued and revoked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import bcrypt
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from storage.device_credentials import LIVE_LIMIT, listen_for_changes, live_logins, new_secret
from tests.api_builders import NORTH, NOW, SOUTH, Api, a_device, an_api, an_asset
from ticketing.actors import Role


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


@pytest.fixture
def device(api: Api) -> int:
    with api.pool.connection() as connection:
        return a_device(connection, an_asset(connection))


def issue(api: Api, device: int) -> dict[str, str]:
    answer = api.post(f"/devices/{device}/credentials", {})
    assert answer.status_code == 201, answer.text
    return answer.json()


def delete(api: Api, path: str, role: Role = Role.ADMIN, site: str | None = None) -> int:
    return api.client.delete(f"/api/v1{path}", headers=api.headers(role, site)).status_code


def users(api: Api) -> list[str]:
    with api.pool.connection() as connection:
        return [login.grant.user for login in live_logins(connection)]


def stored_text(api: Api) -> str:
    """Every row of the tables that have to do with credentials, as text."""
    with api.pool.connection() as connection:
        tables = ("broker_credential", "gateway", "audit", "idempotency")
        there = [name for name in tables if connection.execute("select to_regclass(%s)", [name]).fetchone() != (None,)]
        rows = [connection.execute(f"select to_jsonb(t)::text from {name} t").fetchall() for name in there]
    assert "broker_credential" in there
    return str(rows)


def test_a_credential_is_shown_once_and_only_its_hashes_are_stored(api: Api, device: int) -> None:
    issued = issue(api, device)
    assert issued["username"] == "north.dev-1.1"
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", issued["secret"])
    assert issued["secret"] not in api.get(f"/devices/{device}/credentials").text
    assert issued["secret"] not in stored_text(api)
    with api.pool.connection() as connection:
        (login,) = live_logins(connection)
    assert bcrypt.checkpw(issued["secret"].encode(), login.hashes.bcrypt_hash.encode())
    assert login.grant.publish[0] == "wearsight/v1/north/dev-1/telemetry"


def test_a_secret_never_begins_with_what_a_command_line_takes_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["-abc", "_abc", "-", "7-_abc", "spare"])
    monkeypatch.setattr("storage.device_credentials.secrets.token_urlsafe", lambda size: next(drawn))
    assert new_secret() == "7-_abc"
    monkeypatch.undo()
    secrets = [new_secret() for _ in range(2_000)]
    assert all(one[0].isalnum() and one.isascii() for one in secrets)
    assert {len(one) for one in secrets} == {32}, "192 bits"
    assert len(set(secrets)) == 2_000
    assert {"-", "_"} < set("".join(secrets)), "only the first character is chosen"


def test_rotation_is_a_second_one_and_then_the_end_of_the_first(api: Api, device: int) -> None:
    first, second = issue(api, device), issue(api, device)
    assert users(api) == ["north.dev-1.1", "north.dev-1.2"]
    api.clock.move(timedelta(minutes=5))
    assert delete(api, f"/devices/{device}/credentials/{first['id']}", Role.PLANNER) == 204
    assert users(api) == [second["username"]]
    listed = api.get(f"/devices/{device}/credentials").json()["items"]
    assert [(row["username"], row["issued_by"], row["revoked_by"]) for row in listed] == [
        ("north.dev-1.2", "admin.everywhere", None),
        ("north.dev-1.1", "admin.everywhere", "planner.everywhere"),
    ]
    assert listed[1]["revoked_at"] > listed[1]["issued_at"]
    api.clock.move(timedelta(minutes=5))
    assert delete(api, f"/devices/{device}/credentials/{first['id']}") == 204
    assert api.get(f"/devices/{device}/credentials").json()["items"][1] == listed[1], "the first revocation stays noted"
    assert issue(api, device)["username"] == "north.dev-1.3", "a revoked user's name is not given again"


def test_live_credentials_are_bounded(api: Api, device: int) -> None:
    issued = [issue(api, device) for _ in range(LIVE_LIMIT)]
    refused = api.post(f"/devices/{device}/credentials", {})
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:wearsight:refusal:too_many_credentials"
    assert delete(api, f"/devices/{device}/credentials/{issued[0]['id']}") == 204
    assert issue(api, device)["username"] == f"north.dev-1.{LIVE_LIMIT + 1}"


def test_credentials_are_for_registered_devices_of_ones_own_sites(api: Api, device: int) -> None:
    issued = issue(api, device)
    assert api.post("/devices/999999/credentials", {}).status_code == 404
    assert api.post(f"/devices/{device}/credentials", {}, Role.PLANNER, SOUTH).status_code == 404
    assert api.get(f"/devices/{device}/credentials", Role.PLANNER, SOUTH).status_code == 404
    assert delete(api, f"/devices/{device}/credentials/{issued['id']}", Role.PLANNER, SOUTH) == 404
    assert delete(api, f"/devices/{device}/credentials/999999") == 404
    with api.pool.connection() as connection:
        other = a_device(connection, an_asset(connection, tag="M-2"), "dev-2")
    assert delete(api, f"/devices/{other}/credentials/{issued['id']}") == 404, "another device's credential"
    assert users(api) == ["north.dev-1.1"]


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.ENGINEER, Role.REQUESTER])
def test_who_does_not_plan_gets_no_credentials(api: Api, device: int, role: Role) -> None:
    assert api.post(f"/devices/{device}/credentials", {}, role).status_code == 403
    assert api.get(f"/devices/{device}/credentials", role).status_code == 403
    assert api.get("/gateways", role).status_code == 403


def a_gateway(**more: object) -> dict[str, object]:
    return {"site": NORTH, "name": "gw", "publish": ["line/#"], "subscribe": ["line/cmd"], **more}


def test_a_gateway_comes_with_a_credential_and_takes_all_of_them_with_it(api: Api) -> None:
    made = api.post("/gateways", a_gateway())
    assert made.status_code == 201, made.text
    gateway = made.json()
    assert gateway["credential"]["username"] == "north.gw.gateway.1"
    further = api.post(f"/gateways/{gateway['id']}/credentials", {}).json()
    assert further["username"] == "north.gw.gateway.2"
    (listed,) = api.get("/gateways").json()["items"]
    assert (listed["live_credentials"], listed["publish"], listed["created_by"]) == (2, ["line/#"], "admin.everywhere")
    assert gateway["credential"]["secret"] not in api.get(f"/gateways/{gateway['id']}/credentials").text
    assert delete(api, f"/gateways/{gateway['id']}/credentials/{further['id']}") == 204
    assert users(api) == ["north.gw.gateway.1"]
    assert api.post("/gateways", a_gateway()).status_code == 409
    assert delete(api, f"/gateways/{gateway['id']}") == 204
    assert users(api) == []
    assert delete(api, f"/gateways/{gateway['id']}") == 404
    again = api.post("/gateways", a_gateway()).json()
    assert again["credential"]["username"] == "north.gw.gateway.3", "a name that was used stays used"


def test_a_gateway_that_would_speak_for_others_is_refused_in_words(api: Api) -> None:
    with api.pool.connection() as connection:
        connection.execute(
            "insert into feed (name, site_id, topic, decoder, created_at) values ('f', 'south', 'south/#', 'x', now())"
        )
    for publish in (["wearsight/v1/+/+/tickets"], ["wearsight/v1/south/+/telemetry"], ["south/a"], ["$JS/API"], ["#"]):
        refused = api.post("/gateways", a_gateway(publish=publish))
        assert refused.status_code == 422, publish
        assert refused.json()["type"] == "urn:wearsight:refusal:invalid_gateway"
    assert api.post("/gateways", a_gateway(publish=["a/#/b"])).status_code == 422
    assert api.post("/gateways", a_gateway(site=SOUTH), Role.PLANNER, NORTH).status_code == 404
    assert api.get("/gateways").json()["items"] == []


def trail(api: Api, *nouns: str) -> list[tuple[object, ...]]:
    """The audit of these nouns, oldest first: who, where, what, before and after."""
    with api.pool.connection() as connection:
        return connection.execute(
            "select login, at, site_id, asset_id, noun, record_id, before, after from audit"
            " left join person on person.id = person_id where noun = any(%s) order by audit.id",
            [list(nouns)],
        ).fetchall()


def test_the_audit_says_who_issued_and_revoked_a_devices_credential(api: Api, device: int) -> None:
    path = f"/devices/{device}/credentials"
    made = api.post(path, {}, Role.PLANNER, NORTH).json()
    api.clock.move(timedelta(hours=1))
    assert delete(api, f"{path}/{made['id']}") == 204
    assert delete(api, f"{path}/{made['id']}", Role.PLANNER) == 204, "twice is harmless"
    assert delete(api, f"{path}/{made['id'] + 1}") == 404
    asset = api.get(f"/devices/{device}").json()["asset_id"]
    later = NOW + timedelta(hours=1)
    where = (NORTH, asset, "credential", "north.dev-1.1")
    assert trail(api, "credential") == [
        ("planner.north", NOW, *where, None, {"device_id": device}),
        ("admin.everywhere", later, *where, {"revoked_at": None}, {"revoked_at": later.isoformat()}),
    ]
    rows = api.get(f"/assets/{asset}/changes").json()["items"]
    told = [(one["person"], one["noun"], one["record_id"]) for one in rows[:2]]
    assert told == [(who, "credential", "north.dev-1.1") for who in ("admin.everywhere", "planner.north")]


def test_the_audit_says_who_added_and_removed_a_gateway_and_what_became_of_its_credentials(api: Api) -> None:
    made = api.post("/gateways", a_gateway(), Role.PLANNER).json()
    api.post(f"/gateways/{made['id']}/credentials", {})
    assert delete(api, f"/gateways/{made['id']}/credentials/{made['credential']['id']}", Role.PLANNER) == 204
    assert delete(api, f"/gateways/{made['id']}") == 204
    whole = {"id": made["id"], "site_id": NORTH, **{name: made[name] for name in ("name", "publish", "subscribe")}}
    issued, now = {"gateway_id": made["id"]}, {"revoked_at": NOW.isoformat()}
    first, second = (f"{made['credential']['username'][:-1]}{number}" for number in (1, 2))
    planner, admin = "planner.everywhere", "admin.everywhere"
    told = [
        (who, noun, record, before, after)
        for who, _, _, _, noun, record, before, after in trail(api, "gateway", "credential")
    ]
    assert told == [
        (planner, "gateway", str(made["id"]), None, whole),
        (planner, "credential", first, None, issued),
        (admin, "credential", second, None, issued),
        (planner, "credential", first, {"revoked_at": None}, now),
        (admin, "credential", second, {"revoked_at": None}, now),
        (admin, "gateway", str(made["id"]), whole, None),
    ]
    assert {(at, site) for _, at, site, *_ in trail(api, "gateway", "credential")} == {(NOW, NORTH)}


def test_gateways_of_other_sites_do_not_exist_for_the_caller(api: Api) -> None:
    gateway = api.post("/gateways", a_gateway()).json()
    assert api.get("/gateways", Role.PLANNER, SOUTH).json()["items"] == []
    assert api.post(f"/gateways/{gateway['id']}/credentials", {}, Role.PLANNER, SOUTH).status_code == 404
    assert delete(api, f"/gateways/{gateway['id']}", Role.PLANNER, SOUTH) == 404
    assert users(api) == ["north.gw.gateway.1"]


def test_every_change_is_announced_when_it_commits(api: Api, device: int, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as listening:
        listen_for_changes(listening)

        def told() -> int:
            return len(list(listening.notifies(timeout=0.3)))

        issued = issue(api, device)
        assert told() == 1
        delete(api, f"/devices/{device}/credentials/{issued['id']}")
        assert told() == 1
        api.get(f"/devices/{device}/credentials")
        assert told() == 0
        gateway = api.post("/gateways", a_gateway()).json()
        assert told() == 1
        delete(api, f"/gateways/{gateway['id']}")
        assert told() >= 1
        with api.pool.connection() as connection:
            connection.execute("update device set name = 'renamed' where id = %s", [device])
        assert told() == 1
        with api.pool.connection() as connection:
            connection.execute("update device set last_seen_at = now() where id = %s", [device])
        assert told() == 0, "presence is no change of access"


def test_a_renamed_device_publishes_under_its_new_name(api: Api, device: int) -> None:
    issue(api, device)
    with api.pool.connection() as connection:
        connection.execute("update device set name = 'renamed' where id = %s", [device])
        (login,) = live_logins(connection)
    assert login.grant.user == "north.dev-1.1"
    assert login.grant.publish[0] == "wearsight/v1/north/renamed/telemetry"
