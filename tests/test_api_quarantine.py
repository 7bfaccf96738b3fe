"""Messages set aside: shown with their reason to people of their site, and sent in again after the repair (E2, E5)."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from psycopg_pool import ConnectionPool

from ingest.quarantine_reasons import EXPLANATIONS, Reason
from storage.quarantine import STORED, Replayed, SetAside, mark_replayed, set_aside
from tests.api_builders import NORTH, NOW, SOUTH, Api, a_feed, an_api, an_asset
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
        assert api.get(f"/quarantine/{message_id}/raw", Role.PLANNER, NORTH).status_code == 404
    address = {"address": {"site": SOUTH, "name": "new"}}
    for way in ("replay", "dismiss"):
        more = {"why": "noise"} if way == "dismiss" else {}
        assert api.post(f"/quarantine/{way}", {"ids": theirs, **more}, Role.PLANNER, NORTH).status_code == 404
        for which in ({"reason": "unknown_device"}, address):
            done = api.post(f"/quarantine/{way}", {**which, **more}, Role.PLANNER, NORTH).json()
            assert done in ({"asked": 0}, {"dismissed": 0}), which
    assert api.get("/quarantine/reasons", Role.PLANNER, NORTH).json()["items"] == []
    assert api.post("/quarantine/replay", {"reason": "unknown_device"}).json() == {"asked": 3}


def test_messages_are_found_and_replayed_by_their_address(api: Api) -> None:
    with api.pool.connection() as connection:
        feed_id = a_feed(connection)
        aside = [
            SetAside("wearsight/v1/north/one/telemetry", b"1", "unknown_device", "", NORTH, "one"),
            SetAside("wearsight/v1/north/two/telemetry", b"2", "unknown_device", "", NORTH, "two"),
            # On a feed the same name is another device.
            SetAside("line/one", b"3", "unknown_device", "", NORTH, "one", feed_id),
        ]
        set_aside(connection, aside, NOW)
    assert [row["topic"] for row in api.get("/quarantine", device="one", feed=feed_id).json()["items"]] == ["line/one"]
    assert len(api.get("/quarantine", device="one", site_=NORTH).json()["items"]) == 2
    for address in ({"site": NORTH, "name": "one"}, {"feed_id": feed_id, "key": "one"}):
        assert api.post("/quarantine/replay", {"address": address}).json() == {"asked": 1}, address
    asked = [row["topic"] for row in api.get("/quarantine").json()["items"] if row["replay_requested_at"]]
    assert asked == ["line/one", "wearsight/v1/north/one/telemetry"]


def test_reasons_are_counted_and_explained_in_the_readers_language(api: Api) -> None:
    api.app.state.reasons = {reason.value: explained for reason, explained in EXPLANATIONS.items()}
    messages(api, 3)
    messages(api, 1, reason="bad_json")
    messages(api, 1, reason="of_a_newer_version")
    english, chinese = (api.get("/quarantine/reasons", lang=language).json()["items"] for language in ("en", "zh"))
    # The three are the same bytes on the same topic: what came last says why.
    assert [(one["reason"], one["messages"]) for one in english] == [("unknown_device", 2), ("of_a_newer_version", 1)]
    assert english[0]["remedy"] == EXPLANATIONS[Reason.UNKNOWN_DEVICE].remedy_en
    assert chinese[0]["meaning"] == EXPLANATIONS[Reason.UNKNOWN_DEVICE].meaning_zh
    assert (english[1]["meaning"], english[1]["remedy"]) == (None, None)


def test_the_bytes_of_a_message_are_saved_and_never_shown(api: Api) -> None:
    with api.pool.connection() as connection:
        payload = b"<script>alert(1)</script>\x00\xff" * 1_000
        set_aside(connection, [SetAside("t", payload, "bad_json", "", NORTH, "x")], NOW)
    (row,) = api.get("/quarantine").json()["items"]
    answer = api.get(f"/quarantine/{row['id']}/raw", Role.PLANNER, NORTH)
    assert answer.content == payload
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_dismissed_message_is_gone_and_the_audit_keeps_what_it_was_who_and_why(api: Api) -> None:
    messages(api, 3)
    messages(api, 2, SOUTH)
    ids = [row["id"] for row in api.get("/quarantine", Role.PLANNER, NORTH).json()["items"]]
    assert api.post("/quarantine/dismiss", {"ids": ids[:1]}).status_code == 422, "without a reason"
    gone = api.post("/quarantine/dismiss", {"ids": ids[:1], "why": "test bench"}, Role.PLANNER, NORTH)
    assert gone.json() == {"dismissed": 1}
    assert api.get(f"/quarantine/{ids[0]}").status_code == 404
    by_reason = {"reason": "unknown_device", "why": "never ours"}
    assert api.post("/quarantine/dismiss", by_reason, Role.PLANNER, NORTH).json() == {"dismissed": 2}
    assert len(api.get("/quarantine").json()["items"]) == 2, "those of the other site stay"
    with api.pool.connection() as connection:
        kept = connection.execute(
            "select record_id::bigint, site_id, before ->> 'bytes', before ->> 'reason', after ->> 'dismissed', login"
            " from audit join person on person.id = person_id where noun = 'quarantine' order by audit.id"
        ).fetchall()
    assert sorted(one[0] for one in kept) == sorted(ids)
    assert kept[0][1:] == (NORTH, "2", "unknown_device", "test bench", "planner.north")
    assert {one[4] for one in kept[1:]} == {"never ours"}


def test_a_message_that_was_stored_since_is_not_dismissed(api: Api) -> None:
    messages(api, 1)
    (row,) = api.get("/quarantine").json()["items"]
    with api.pool.connection() as connection:
        mark_replayed(connection, [Replayed(row["id"], STORED, "")], NOW)
    assert api.post("/quarantine/dismiss", {"ids": [row["id"]], "why": "x"}).json() == {"dismissed": 0}


def test_one_call_dismisses_a_bounded_number_of_messages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.quarantine.DISMISSED_AT_ONCE", 3)
    messages(api, 5)
    body = {"reason": "unknown_device", "why": "a flood"}
    assert [api.post("/quarantine/dismiss", body).json()["dismissed"] for _ in range(3)] == [3, 2, 0]


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


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": [1], "reason": "x"},
        {"reason": "x", "address": {"site": "north", "name": "x"}},
        {"address": {"site": "north", "key": "x"}},
        {"ids": list(range(1, 202))},
    ],
)
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
