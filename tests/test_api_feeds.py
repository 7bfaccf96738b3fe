"""Feeds over HTTP: kept, checked by their decoder before they are saved, and mappings tried on samples (SPEC E3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from psycopg_pool import ConnectionPool

from tests.api_builders import NORTH, NOW, SOUTH, Api, a_device, an_api, an_asset
from ticketing.actors import Role

ZIGBEE = {"topics": ["zigbee2mqtt/{device...}"], "missing_time": "receipt"}


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


def a_feed(**changes: object) -> dict[str, object]:
    return {
        "name": "zigbee", "site": NORTH, "topic": "zigbee2mqtt/#", "decoder": "mapped_json", "settings": ZIGBEE,
        **changes,
    }  # fmt: skip


def a_trial(payload: str = '{"t": 21.5, "state": "ON"}', **changes: object) -> dict[str, object]:
    return {
        "decoder": "mapped_json", "settings": ZIGBEE, "topic": "zigbee2mqtt/Hall 1/lamp", "payload": payload, **changes
    }  # fmt: skip


def change(api: Api, method: str, path: str, body: object = None, role: Role = Role.ADMIN, site: str | None = None):
    return api.client.request(method, f"/api/v1{path}", json=body, headers=api.headers(role, site))


def count(api: Api, table: str) -> int:
    with api.pool.connection() as connection:
        return connection.execute(f"select count(*) from {table}").fetchone()[0]


def test_a_feed_is_added_read_changed_and_removed(api: Api) -> None:
    made = api.post("/feeds", a_feed(silent_after_s=60))
    assert made.status_code == 201, made.text
    feed = made.json()
    assert {**a_feed(silent_after_s=60), "id": feed["id"], "enabled": True, "last_message_at": None} == feed
    assert api.get("/feeds").json() == {"items": [feed], "next_cursor": None}
    assert api.get(f"/feeds/{feed['id']}").json() == feed
    changed = change(api, "PATCH", f"/feeds/{feed['id']}", {"enabled": False, "silent_after_s": None})
    assert changed.json() == {**feed, "enabled": False, "silent_after_s": None}
    assert change(api, "DELETE", f"/feeds/{feed['id']}").status_code == 204
    assert api.get(f"/feeds/{feed['id']}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decoder": "homie"}, "mapped_json, senml, influx"),
        ({"settings": {}}, "topics"),
        ({"settings": {**ZIGBEE, "topics": []}}, "topics"),
        ({"settings": {**ZIGBEE, "tpoics": 1}}, "tpoics"),
        ({"settings": {**ZIGBEE, "text": "guess"}}, "'text'"),
        ({"settings": {**ZIGBEE, "topics": ["elsewhere/{device}"]}}, "never comes"),
        ({"settings": {**ZIGBEE, "topics": ["zigbee2mqtt/{name}"]}}, "capture {device}"),
        ({"settings": {**ZIGBEE, "time": {"field": "t", "format": "local", "zone": "Mars/North"}}}, "time.zone"),
        ({"settings": {"topics": ZIGBEE["topics"]}}, "'time'"),
        ({"topic": "wearsight/#"}, "never comes"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_the_name_of_the_field(api: Api, changes: dict, said: str) -> None:
    answer = api.post("/feeds", a_feed(**changes))
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "urn:wearsight:refusal:invalid_feed"
    assert said in answer.text
    assert count(api, "feed") == 0


def test_a_change_is_checked_whole_and_changes_nothing_when_refused(api: Api) -> None:
    feed = api.post("/feeds", a_feed()).json()
    for body, name in [
        ({"topic": "tele/#"}, "invalid_feed"),
        ({"settings": {}}, "invalid_feed"),
        ({"name": None}, "invalid_request"),
    ]:
        answer = change(api, "PATCH", f"/feeds/{feed['id']}", body)
        assert (answer.status_code, answer.json()["type"]) == (422, f"urn:wearsight:refusal:{name}"), answer.text
    assert api.get(f"/feeds/{feed['id']}").json() == feed
    assert change(api, "PATCH", "/feeds/999", {"enabled": False}).status_code == 404


def test_the_audit_says_who_added_changed_and_removed_a_feed(api: Api) -> None:
    made = api.post("/feeds", a_feed(), Role.PLANNER).json()
    path = f"/feeds/{made['id']}"
    api.clock.move(timedelta(hours=1))
    change(api, "patch", path, {"enabled": False, "name": made["name"]}, Role.INTEGRATION)
    change(api, "patch", path, {"enabled": False})
    change(api, "patch", path, {"topic": "wearsight/#"})
    change(api, "delete", path)
    with api.pool.connection() as connection:
        rows = connection.execute(
            "select login, at, site_id, record_id, before, after from audit"
            " left join person on person.id = person_id where noun = 'feed' order by audit.id"
        ).fetchall()
    later = NOW + timedelta(hours=1)
    assert [row[:4] for row in rows] == [
        ("planner.everywhere", NOW, NORTH, str(made["id"])),
        ("integration.everywhere", later, NORTH, str(made["id"])),
        ("admin.everywhere", later, NORTH, str(made["id"])),
    ], "what changed nothing, and what was refused, is no change"
    (added, changed, removed) = [row[4:] for row in rows]
    assert (added[0], added[1]["topic"]) == (None, made["topic"])
    assert changed == ({"enabled": True}, {"enabled": False})
    assert (removed[0]["enabled"], removed[1]) == (False, None)


def test_two_feeds_never_hear_the_same_topic_and_one_with_devices_stays(api: Api) -> None:
    feed = api.post("/feeds", a_feed()).json()
    again = api.post("/feeds", a_feed(name="other", topic="zigbee2mqtt/+"))
    assert again.json()["type"] == "urn:wearsight:refusal:invalid_feed"
    with api.pool.connection() as connection:
        device_id = a_device(connection, an_asset(connection))
        connection.execute("update device set feed_id = %s, feed_key = 'lamp' where id = %s", (feed["id"], device_id))
    assert change(api, "DELETE", f"/feeds/{feed['id']}").json()["type"] == "urn:wearsight:refusal:feed_in_use"


def test_a_planner_of_one_site_sees_its_feeds_and_changes_none(api: Api) -> None:
    """A feed's topics lie outside the sites' own: whoever makes one may listen to any site's equipment."""
    feed = api.post("/feeds", a_feed()).json()
    assert api.get(f"/feeds/{feed['id']}", Role.PLANNER, NORTH).status_code == 200
    assert api.get(f"/feeds/{feed['id']}", Role.PLANNER, SOUTH).status_code == 404
    assert api.get("/feeds", Role.PLANNER, SOUTH).json()["items"] == []
    for method, path, body in [
        ("POST", "/feeds", a_feed(name="b", topic="b/#")),
        ("PATCH", f"/feeds/{feed['id']}", {"enabled": False}),
        ("DELETE", f"/feeds/{feed['id']}", None),
    ]:
        assert change(api, method, path, body, Role.PLANNER, NORTH).status_code == 403, method
    assert api.post("/feeds", a_feed(name="b", topic="b/#"), Role.ENGINEER).status_code == 403
    assert api.get("/feeds", Role.REQUESTER).status_code == 403
    assert api.get("/feeds").json()["items"] == [feed]


def test_every_preset_can_be_tried_and_saved_as_it_is(api: Api) -> None:
    """SPEC E3: presets as data."""
    told = api.get("/feed-presets", Role.PLANNER, NORTH).json()
    assert {"mapped_json", "senml", "influx"} <= set(told["decoders"])
    presets = [preset for preset in told["items"] if preset["decoder"] in told["decoders"]]
    assert len(presets) >= 12
    for preset in presets:
        for example in preset["examples"]:
            tried = api.post(
                "/feeds/try",
                {
                    "decoder": preset["decoder"],
                    "settings": preset["settings"],
                    "feed_topic": preset["topic"],
                    **example,
                },
                Role.PLANNER,
                NORTH,
            )
            assert tried.status_code == 200, (preset["name"], tried.text)
        body = {name: preset[name] for name in ("name", "topic", "decoder", "settings")}
        saved = api.post("/feeds", {**body, "site": NORTH})
        assert saved.status_code == 201, (preset["name"], saved.text)


def test_a_mapping_is_tried_on_a_sample_and_says_what_it_leaves_out(api: Api) -> None:
    answer = api.post("/feeds/try", a_trial())
    assert answer.json() == {
        "devices": [
            {
                "device": "Hall 1/lamp",
                "samples": [{"ts": "2026-03-02T08:00:00Z", "values": {"t": 21.5}, "seq": None}],
                "events": [],
                "online": None,
                "timed_by_receipt": True,
            }
        ],
        "left_out": [{"field": "state", "why": "text, which the settings skip"}],
        "refusal": None,
    }
    for table in ("feed", "quarantine", "reading", "event", "series"):
        assert count(api, table) == 0, table


def test_a_trial_shows_events_and_presence(api: Api) -> None:
    settings = {
        **ZIGBEE,
        "events": [{"field": "error"}],
        "presence": {"topics": ["zigbee2mqtt/{device...}/availability"], "field": "state"},
    }
    (heard,) = api.post("/feeds/try", a_trial('{"error": "E7"}', settings=settings)).json()["devices"]
    assert [(event["code"], event["kind"]) for event in heard["events"]] == [("E7", "error")]
    trial = a_trial('{"state": "offline"}', settings=settings, topic="zigbee2mqtt/lamp/availability")
    (heard,) = api.post("/feeds/try", trial).json()["devices"]
    assert (heard["device"], heard["online"], heard["samples"]) == ("lamp", False, [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payload": "{"}, "bad_json"),
        ({"payload": base64.b64encode(b"\xff").decode(), "encoding": "base64"}, "bad_json"),
        ({"payload": '{"t": 1e400}'}, "not_a_number"),
        ({"payload": " " * 65_537}, "too_large"),
        ({"payload": '{"' + "x" * 129 + '": 1}'}, "bad_metric_name"),
        ({"payload": "{" + ",".join(f'"m{n}": 1' for n in range(257)) + "}"}, "too_many_metrics"),
        ({"topic": "elsewhere", "feed_topic": "zigbee2mqtt/#"}, "bad_topic"),
        (
            {
                "payload": '{"at": "2036-01-01T00:00:00Z", "t": 1}',
                "settings": {**ZIGBEE, "time": {"field": "at", "format": "rfc3339"}},
            },
            "too_far_ahead",
        ),
    ],
)
def test_a_refused_sample_is_an_answer_with_reason_detail_and_remedy(api: Api, changes: dict, reason: str) -> None:
    answer = api.post("/feeds/try", a_trial(**changes))
    assert answer.status_code == 200, answer.text
    refusal = answer.json()["refusal"]
    assert refusal["reason"] == reason
    assert refusal["detail"]
    assert refusal["remedy_en"]
    assert refusal["remedy_zh"]
    assert answer.json()["devices"] == []
    assert count(api, "quarantine") == 0


def test_a_pasted_half_character_is_answered_and_not_a_fault(api: Api) -> None:
    body = json.dumps(a_trial("\ud800"))
    headers = {**api.headers(Role.ADMIN), "Content-Type": "application/json"}
    answer = api.client.post("/api/v1/feeds/try", content=body, headers=headers)
    assert answer.status_code in (200, 422), answer.text
    assert "bad_json" in answer.text or "invalid_request" in answer.text


def test_a_trial_that_cannot_be_made_is_refused(api: Api) -> None:
    assert api.post("/feeds/try", a_trial(decoder="homie")).json()["type"].endswith("invalid_feed")
    assert api.post("/feeds/try", a_trial("?", encoding="base64")).json()["type"].endswith("invalid_request")
    assert api.post("/feeds/try", a_trial(), Role.ENGINEER).status_code == 403
