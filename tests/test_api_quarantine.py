"""Messages set aside: shown with their reason to people of their site, and sent in again after the repair (E2, E5)."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from psycopg_pool import ConnectionPool

from storage.quarantine import SetAside, set_aside
from tests.api_builders import NORTH, NOW, SOUTH, Api, an_api, an_asset
from ticketing.actors import Role


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def messages(api: Api, count: int, site: str | None = NORTH, reason: str = "unknown_device") -> None:
    with api.pool.connection() as connection:
        set_aside(
            connection,
            [
                SetAside(
                    f"wearsight/v1/{site}/new/telemetry", b"%d\xff" % number, reason, "nobody knows it", site, "new"
                )
                for number in range(count)
            ],
            NOW,
        )


def test_a_message_is_shown_with_its_reason_and_its_bytes_as_they_came(api: Api) -> None:
    messages(api, 1)
    listed = api.get("/quarantine", Role.PLANNER, NORTH).json()["items"]
    assert [(row["reason"], row["device"]) for row in listed] == [("unknown_device", "new")]
    shown = api.get(f"/quarantine/{listed[0]['id']}", Role.PLANNER, NORTH).json()
    assert base64.b64decode(shown["payload_base64"]) == b"0\xff"
    assert shown["payload_text"] == "0\\xff"
    assert shown["payload_is_whole"] is True


def test_after_its_device_is_registered_its_messages_are_asked_for_again(api: Api) -> None:
    messages(api, 3)
    with api.pool.connection() as connection:
        asset_id = an_asset(connection)
    body = {"site": NORTH, "name": "new", "asset_id": asset_id}
    assert api.post("/devices", body, Role.PLANNER, NORTH).status_code == 201
    ids = [row["id"] for row in api.get("/quarantine", Role.PLANNER, NORTH).json()["items"]]
    asked = api.post("/quarantine/replay", {"ids": ids}, Role.PLANNER, NORTH)
    assert (asked.status_code, asked.json()) == (202, {"asked": 3})
    rows = api.get("/quarantine", Role.PLANNER, NORTH).json()["items"]
    assert all(row["replay_requested_at"] for row in rows)


def test_messages_of_another_site_do_not_exist_and_cannot_be_replayed(api: Api) -> None:
    messages(api, 2, SOUTH)
    messages(api, 1, None)
    theirs = [row["id"] for row in api.get("/quarantine").json()["items"]]
    assert len(theirs) == 3
    assert api.get("/quarantine", Role.PLANNER, NORTH).json()["items"] == []
    for message_id in theirs:
        assert api.get(f"/quarantine/{message_id}", Role.PLANNER, NORTH).status_code == 404
    assert api.post("/quarantine/replay", {"ids": theirs}, Role.PLANNER, NORTH).status_code == 404
    by_reason = api.post("/quarantine/replay", {"reason": "unknown_device"}, Role.PLANNER, NORTH)
    assert by_reason.status_code == 403
    assert api.post("/quarantine/replay", {"reason": "unknown_device"}).json() == {"asked": 3}


def test_a_page_of_ones_own_messages_skips_the_others(api: Api) -> None:
    for number in range(4):
        messages(api, 3 + number, SOUTH)
        messages(api, 2 + number, NORTH)
    seen: list[int] = []
    cursor = 0
    while True:
        asked = {"limit": 2, "cursor": cursor} if cursor else {"limit": 2}
        page = api.get("/quarantine", Role.PLANNER, NORTH, **asked).json()
        seen += [row["id"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = int(page["next_cursor"])
    everything = api.get("/quarantine").json()["items"]
    assert seen == [row["id"] for row in everything if row["site"] == NORTH]
    assert len(seen) == 5


@pytest.mark.parametrize("body", [{}, {"ids": []}, {"ids": [1], "reason": "x"}, {"ids": list(range(1, 202))}])
def test_a_replay_of_nothing_in_particular_is_refused(api: Api, body: dict[str, object]) -> None:
    assert api.post("/quarantine/replay", body).status_code == 422


def test_a_rule_is_published_as_a_new_version_and_refused_when_it_could_not_work(api: Api) -> None:
    rule = {
        "name": "vibration-high",
        "asset_type": "motor",
        "metric": "vibration_*",
        "detector": "threshold",
        "parameters": {"high": 7.1, "consecutive": 3},
        "severity": "high",
        "mode": "auto",
    }
    first = api.post("/rules", rule, Role.PLANNER)
    assert first.status_code == 201, first.text
    second = api.post("/rules", {**rule, "mode": "shadow"}, Role.PLANNER)
    assert [answer.json()["version"] for answer in (first, second)] == [1, 2]
    listed = api.get("/rules").json()["items"]
    assert [(one["name"], one["version"], one["mode"]) for one in listed] == [("vibration-high", 2, "shadow")]
    for wrong in ({"detector": "oracle"}, {"parameters": {"high": "tall"}}, {"parameters": {"colour": 1}}):
        refused = api.post("/rules", {**rule, **wrong})
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:wearsight:refusal:invalid_rule"), wrong
    assert api.post("/rules", rule, Role.PLANNER, NORTH).status_code == 403
