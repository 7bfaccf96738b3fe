"""Intake over HTTP: every way in, refused requests kept, schedules, articles and drafts (SPEC T8, T10, Q3)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from httpx2 import Response
from psycopg_pool import ConnectionPool

from storage.lookups import fill_next_lookup
from storage.schedules import look_at_next_schedule
from tests.api_builders import BASE, Api, an_api
from tests.ticket_builders import NOW, SITE, House, a_house
from ticketing.actors import Actor, Role


class Plant:
    """The API over the ticket builders' house, each of its people with a token."""

    def __init__(self, api: Api, house: House) -> None:
        self.api, self.house = api, house

    def headers(self, who: Actor | Role) -> dict[str, str]:
        if isinstance(who, Role):
            return self.api.headers(who, SITE)
        assert who.person_id is not None
        return {"Authorization": f"Bearer {self.api.token_of(who.person_id)}"}

    def ask(self, method: str, path: str, who: Actor | Role, body: object = None, **more: object) -> Response:
        return self.api.client.request(method, BASE + path, json=body, headers=self.headers(who), **more)  # type: ignore[arg-type]

    def report(self, who: Actor | Role | None = None, **body: object) -> Response:
        asked = {"title": "Motor howls", **body}
        if "serial_number" not in body and "asset_id" not in body:
            asked["asset_id"] = self.house.asset_id
        return self.ask("POST", "/tickets", who or self.house.requester, asked)

    def refusals(self, **params: object) -> list[dict[str, object]]:
        answer = self.ask("GET", "/intake-refusals", self.house.planner, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]


@pytest.fixture
def plant(pool: ConnectionPool) -> Iterator[Plant]:
    houses: list[House] = []

    def furnish(connection: psycopg.Connection) -> None:
        houses.append(a_house(connection))
        connection.execute("update asset set serial_number = 'SN-88', warranty_until = '2026-03-01'")

    with an_api(pool, furnish, NOW) as api:
        yield Plant(api, houses[0])


def test_a_report_by_serial_number_is_answered_at_once_with_its_look_ups(plant: Plant) -> None:
    """SPEC T10: out of warranty it is charged; what takes longer is pending, then there."""
    answer = plant.report(plant.house.supervisor, serial_number="sn-88", by_qr=True)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["ticket"]["code"], told["ticket"]["channel"], told["is_charged"]) == ("P000001", "qr", True)
    assert {one["name"]: one["state"] for one in told["lookups"]} == {
        "warranty": "done",
        "history": "pending",
        "duplicates": "pending",
        "knowledge": "pending",
    }
    with plant.api.pool.connection() as connection:
        while fill_next_lookup(connection, NOW):
            pass
    again = plant.ask("GET", "/tickets/P000001", plant.house.supervisor).json()
    assert {one["state"] for one in again["lookups"]} == {"done"}


def test_a_form_shows_what_is_known_before_anything_is_opened(plant: Plant) -> None:
    """SPEC T10: a serial number fills warranty and firmware; the asset's tickets, likely duplicates and articles."""
    with plant.api.pool.connection() as connection:
        connection.execute("update asset set firmware = '2.4.1', brand = 'Acme'")
    article = {"title_en": "Howling motors", "title_zh": "电机异响"}
    assert plant.ask("POST", "/articles", plant.house.planner, article).status_code == 201
    code = plant.report(title="电机异响").json()["ticket"]["code"]
    asked = {"serial_number": "SN-88", "title": "电机异响，停不下来"}
    shown = plant.ask("GET", "/intake-preview", plant.house.near, params=asked)
    assert shown.status_code == 200, shown.text
    told = shown.json()
    assert (told["asset_id"], told["warranty"]["state"], told["warranty"]["charge"]) == (
        plant.house.asset_id,
        "out",
        True,
    )
    assert (told["warranty"]["firmware"], told["warranty"]["brand"]) == ("2.4.1", "Acme")
    assert [one["code"] for one in told["history"]["items"]] == [code]
    assert [one["code"] for one in told["duplicates"]["items"]] == [code]
    assert [one["title_en"] for one in told["knowledge"]["items"]] == ["Howling motors"]
    own = plant.ask("GET", "/intake-preview", plant.house.requester, params=asked).json()
    assert (own["history"], own["duplicates"]) == (None, None)
    assert plant.ask("GET", "/intake-preview", plant.house.near).status_code == 422
    assert plant.ask("GET", "/intake-preview", plant.house.near, params={"asset_id": 999_999}).status_code == 404
    assert len(plant.ask("GET", "/tickets", plant.house.supervisor).json()["items"]) == 1


def test_another_system_gets_a_letter_of_its_own_and_one_ticket_for_one_record(plant: Plant) -> None:
    first = plant.report(Role.INTEGRATION, external_ref="E00123")
    again = plant.report(Role.INTEGRATION, external_ref="E00123", title="Renamed")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["ticket"]["code"] == again.json()["ticket"]["code"] == "I000001"
    assert first.headers["location"] == again.headers["location"] == "/api/v1/tickets/I000001"
    login = f"{Role.INTEGRATION}.{SITE}"
    assert again.json()["references"] == [{"source": login, "reference": "E00123"}]
    assert plant.report(Role.INTEGRATION, external_ref="123").json()["ticket"]["code"] == "I000002"


def test_a_refused_report_is_kept_whole_with_its_reason_and_the_sender_gets_a_receipt(plant: Plant) -> None:
    """SPEC Q3: rejected intake is never lost. A request that is no JSON, or misspelt, is kept too."""
    wrong: list[Response] = [
        plant.report(failure_mode="gremlins", description="It glows"),
        plant.report(serial_number="SN-0"),
        plant.report(titel="Motor"),
        plant.api.client.post(
            f"{BASE}/tickets", content=b'{"title": "cut of', headers=plant.headers(plant.house.requester)
        ),
    ]
    receipts = [answer.json()["intake_refusal"] for answer in wrong]
    assert [answer.status_code for answer in wrong] == [422, 404, 422, 422]
    kept = plant.refusals()
    assert [one["id"] for one in kept] == receipts[::-1]
    assert [one["reason"] for one in kept] == [
        "invalid_request",
        "invalid_request",
        "unknown_record",
        "invalid_request",
    ]
    assert [one["site_id"] for one in kept] == [None, SITE, None, SITE]
    assert "It glows" in str(kept[3]["body"])
    assert kept[0]["body"] == '{"title": "cut of'
    assert {one["person_name"] for one in kept} == {"Requester"}
    assert plant.ask("GET", "/tickets", plant.house.supervisor).json()["items"] == []


def test_the_same_refused_report_is_one_row_with_a_count_until_it_is_dealt_with(plant: Plant) -> None:
    for _ in range(3):
        plant.report(failure_mode="gremlins")
    (kept,) = plant.refusals()
    assert kept["times"] == 3
    path = f"/intake-refusals/{kept['id']}/settlement"
    settled = plant.ask("POST", path, plant.house.supervisor, {"note": "Rang them up, opened by hand"})
    assert (settled.status_code, settled.json()["settled_by_name"]) == (200, "Supervisor")
    twice = plant.ask("POST", path, plant.house.planner, {"note": "Me too"})
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:wearsight:refusal:stale_record")
    plant.report(failure_mode="gremlins")
    assert [one["times"] for one in plant.refusals(settled=False)] == [1]
    assert [one["times"] for one in plant.refusals(settled=True)] == [3]


def test_refused_reports_are_not_for_other_sites_and_strangers_leave_none(plant: Plant) -> None:
    plant.report(failure_mode="gremlins")
    plant.report(serial_number="SN-0")
    assert plant.api.client.post(f"{BASE}/tickets", json={"title": "x"}).status_code == 401
    assert plant.api.client.post(f"{BASE}/tickets", content=b"{").status_code in (401, 422)
    assert len(plant.refusals()) == 2
    with plant.api.pool.connection() as connection:
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31.3, 120.7)")
    elsewhere = plant.api.headers(Role.PLANNER, "plant-2")
    answer = plant.api.client.get(f"{BASE}/intake-refusals", headers=elsewhere)
    assert answer.json()["items"] == []
    first = plant.refusals()[0]["id"]
    body = {"note": "Not mine"}
    path = f"{BASE}/intake-refusals/{first}/settlement"
    assert plant.api.client.post(path, json=body, headers=elsewhere).status_code == 404


def test_a_serial_number_of_another_site_is_unknown_to_a_caller_of_this_one(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31.3, 120.7)")
    headers = plant.api.headers(Role.ENGINEER, "plant-2")
    answer = plant.api.client.post(f"{BASE}/tickets", json={"title": "x", "serial_number": "SN-88"}, headers=headers)
    assert answer.status_code == 404


def test_a_requester_reports_for_themselves_and_opens_no_production_order(plant: Plant) -> None:
    for more in ({"requester_id": plant.house.near.person_id}, {"kind": "inspection"}):
        assert plant.report(**more).status_code == 403
    staff = plant.report(plant.house.supervisor, requester_id=plant.house.requester.person_id)
    assert staff.json()["ticket"]["requester_name"] == "Requester"


def test_a_production_order_comes_through_the_same_door(plant: Plant) -> None:
    """SPEC T8: a bill of materials and operations in order, each with its check."""
    order = {
        "kind": "production",
        "title": "Ten gearboxes",
        "operations": [
            {"name": "Turn", "quality_check": "35 h6", "engineer_id": plant.house.near.person_id},
            {"name": "Fit", "quality_check": "Turns freely"},
        ],
        "bill": [{"part_number": "6204-2RS", "quantity": 4}],
        "tasks": [{"text_en": "Clear the bench"}],
    }
    told = plant.report(plant.house.planner, **order).json()
    assert [(one["number"], one["name"], one["engineer"], one["phase"]) for one in told["operations"]] == [
        (1, "Turn", "Near", "start"),
        (2, "Fit", None, "start"),
    ]
    assert [(line["part_number"], line["predicted"]) for line in told["bill"]] == [("6204-2RS", 4)]
    assert [task["text_zh"] for task in told["tasks"]] == ["Clear the bench"]
    assert plant.report(plant.house.planner, kind="production").status_code == 422


def a_schedule(plant: Plant, **body: object) -> Response:
    asked = {"asset_id": plant.house.asset_id, "title_en": "Grease", "title_zh": "加脂", **body}
    return plant.ask("POST", "/schedules", plant.house.planner, asked)


def test_a_schedule_is_made_read_changed_and_ended(plant: Plant) -> None:
    """SPEC T8."""
    weekly = {"unit": "week", "every": 2, "first_on": "2026-03-02", "lead_days": 3}
    made = a_schedule(plant, by_calendar=weekly, checklist=[{"text_en": "Grease", "text_zh": "加脂"}])
    assert made.status_code == 201, made.text
    path = f"/schedules/{made.json()['id']}"
    with plant.api.pool.connection() as connection:
        assert look_at_next_schedule(connection, NOW)
    found = plant.ask("GET", path, plant.house.near).json()
    assert (found["open_code"], found["next_number"], found["site_id"]) == ("S000001", 1, SITE)
    ticket = plant.ask("GET", "/tickets/S000001", plant.house.near).json()
    assert (ticket["ticket"]["due_on"], ticket["ticket"]["schedule_id"]) == ("2026-03-02", found["id"])
    work = {"title_en": "Grease well", "version": found["version"]}
    assert plant.ask("PUT", f"{path}/work", plant.house.planner, work).json()["title_zh"] == "Grease well"
    assert plant.ask("PUT", f"{path}/work", plant.house.planner, work).status_code == 409
    assert plant.ask("DELETE", path, plant.house.planner).status_code == 204
    assert plant.ask("GET", "/schedules", plant.house.near).json()["items"] == []
    assert len(plant.ask("GET", "/schedules?ended=true", plant.house.near).json()["items"]) == 1


def test_a_schedule_comes_round_by_the_calendar_or_by_a_meter_not_by_both_or_neither(plant: Plant) -> None:
    meter = {"series_id": plant.house.series_id, "every_amount": 500}
    weekly = {"unit": "week", "every": 2, "first_on": "2026-03-02"}
    statuses = [
        a_schedule(plant, by_meter=meter).status_code,
        a_schedule(plant).status_code,
        a_schedule(plant, by_meter=meter, by_calendar=weekly).status_code,
        a_schedule(plant, by_meter={**meter, "every_amount": 0}).status_code,
        a_schedule(plant, by_meter={**meter, "series_id": 999_999}).status_code,
    ]
    assert statuses == [201, 422, 422, 422, 422]


def test_articles_are_kept_found_in_both_languages_changed_and_retired(plant: Plant) -> None:
    article = {"title_en": "Noise of motors", "title_zh": "电机异响排查", "body_zh": "先听轴承", "asset_type": "motor"}
    made = plant.ask("POST", "/articles", plant.house.planner, article)
    assert made.status_code == 201, made.text
    path = f"/articles/{made.json()['id']}"
    for words in ("轴承", "noises"):
        found = plant.ask("GET", "/articles/search", plant.house.near, params={"text": words}).json()["items"]
        assert [one["title_zh"] for one in found] == ["电机异响排查"]
    changed = {**article, "body_zh": "看地脚螺栓", "version": 1}
    assert plant.ask("PUT", path, plant.house.supervisor, changed).json()["version"] == 2
    assert plant.ask("PUT", path, plant.house.supervisor, changed).status_code == 409
    assert plant.ask("GET", "/articles/search", plant.house.near, params={"text": "轴承"}).json()["items"] == []
    assert plant.ask("POST", "/articles", plant.house.near, article).status_code == 403
    wrong = {**article, "failure_mode": "gremlins"}
    assert plant.ask("POST", "/articles", plant.house.planner, wrong).status_code == 422
    assert plant.ask("DELETE", path, plant.house.planner).status_code == 204
    assert plant.ask("GET", "/articles", plant.house.near).json()["items"] == []
    assert plant.ask("GET", path, plant.house.near).json()["retired_at"].startswith(NOW.strftime("%Y-%m-%dT"))


def test_a_draft_is_its_persons_own_and_ends_after_thirty_days(plant: Plant) -> None:
    """SPEC T10: long forms are steps with drafts."""
    path, house = "/me/drafts/report", plant.house
    saved = plant.ask("PUT", path, house.requester, {"body": {"step": 2, "title": "电机"}})
    assert (saved.status_code, saved.json()["version"]) == (200, 1)
    assert plant.ask("GET", path, house.requester).json()["body"] == {"step": 2, "title": "电机"}
    assert plant.ask("GET", path, house.near).status_code == 404
    assert plant.ask("DELETE", path, house.near).status_code == 404
    assert plant.ask("PUT", path, house.requester, {"body": {"step": 3}, "version": 1}).json()["version"] == 2
    stale = plant.ask("PUT", path, house.requester, {"body": {"step": 9}, "version": 1})
    assert (stale.status_code, stale.json()["type"]) == (409, "urn:wearsight:refusal:stale_record")
    assert plant.ask("PUT", path, house.requester, {"body": {"t": "x" * 70_000}}).status_code == 413
    plant.api.clock.move(timedelta(days=30) - timedelta(seconds=1))
    assert len(plant.ask("GET", "/me/drafts", house.requester).json()["items"]) == 1
    plant.api.clock.move(timedelta(seconds=1))
    assert plant.ask("GET", "/me/drafts", house.requester).json()["items"] == []
    plant.ask("PUT", "/me/drafts/other", house.near, {"body": {}})
    with plant.api.pool.connection() as connection:
        assert connection.execute("select form from draft").fetchall() == [("other",)]


def test_a_person_has_fifty_drafts_at_most(plant: Plant) -> None:
    who = plant.house.near
    with plant.api.pool.connection() as connection:
        connection.execute(
            "insert into draft (person_id, form, body, saved_at) select %s, 'f' || n, '{}', %s"
            " from generate_series(1, 50) as n",
            (who.person_id, NOW),
        )
    assert plant.ask("PUT", "/me/drafts/f50", who, {"body": {"a": 1}}).status_code == 200
    assert plant.ask("PUT", "/me/drafts/f51", who, {"body": {}}).status_code == 422
