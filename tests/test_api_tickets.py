"""Tickets over HTTP: from a report to closed, who sees what, repeats and races, evidence, and predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import psycopg
import pytest
from httpx2 import Response
from psycopg_pool import ConnectionPool

from api.boundary import ATTACHMENT_BYTES_LIMIT
from tests.api_builders import BASE, Api, an_api
from tests.ticket_builders import HOUR, NOW, House, a_device_ticket, a_house, a_prediction
from ticketing.actors import Actor, Role

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32


@dataclass
class Plant:
    """The API over the ticket builders' house, each of its people with a token."""

    api: Api
    house: House
    tokens: dict[int, str]

    def headers(self, who: Actor) -> dict[str, str]:
        assert who.person_id is not None
        if who.person_id not in self.tokens:
            self.tokens[who.person_id] = self.api.token_of(who.person_id)
        return {"Authorization": f"Bearer {self.tokens[who.person_id]}"}

    def get(self, path: str, who: Actor) -> Response:
        return self.api.client.get(BASE + path, headers=self.headers(who))

    def post(self, path: str, who: Actor, body: object, headers: Mapping[str, str] | None = None) -> Response:
        return self.api.client.post(BASE + path, json=body, headers={**self.headers(who), **(headers or {})})

    def command(self, code: str, name: str, who: Actor, **facts: object) -> Response:
        body = {"summary": "Bearing looked at", "facts": facts}
        return self.post(f"/tickets/{code}/commands/{name}", who, body)

    def upload(self, code: str, who: Actor, content: bytes = PNG, name: str = "p.png", kind: str = "photo") -> Response:
        return self.api.client.post(
            f"{BASE}/tickets/{code}/attachments",
            files={"file": (name, content, "image/png")},
            data={"kind": kind},
            headers=self.headers(who),
        )

    def report(self, **more: object) -> str:
        body = {"asset_id": self.house.asset_id, "title": "Motor howls", "description": "Since noon", **more}
        answer = self.post("/tickets", self.house.requester, body)
        assert answer.status_code == 201, answer.text
        return answer.json()["ticket"]["code"]


@pytest.fixture
def plant(pool: ConnectionPool) -> Iterator[Plant]:
    houses: list[House] = []

    def furnish(connection: psycopg.Connection) -> None:
        houses.append(a_house(connection))

    with an_api(pool, furnish, NOW) as api:
        yield Plant(api, houses[0], {})


def carried_to_executing(plant: Plant, code: str) -> None:
    house = plant.house
    assert plant.command(code, "dispatch", house.supervisor, assignee_id=house.near.person_id).status_code == 200
    promise = (NOW + HOUR).isoformat()
    assert plant.command(code, "accept", house.near, expected_response_at=promise).status_code == 200
    photo = plant.upload(code, house.near).json()["id"]
    assert plant.command(code, "execute", house.near, attachment_id=photo).status_code == 200


def told_of_tier(plant: Plant, code: str) -> tuple[str, int, list[object]]:
    """The requester's tier, the seconds to accept, and what the tier multiplied the score by."""
    told = plant.get(f"/tickets/{code}", plant.house.near).json()
    accept = next(clock["target_s"] for clock in told["clocks"] if clock["clock"] == "accept")
    factors = told["ticket"]["priority_reason"]["factors"]
    return told["ticket"]["requester_tier"], accept, [one["value"] for one in factors if one["part"] == "tier"]


def test_a_vip_is_named_by_an_administrator_and_their_report_goes_first(plant: Plant) -> None:
    """SPEC S1, S2: the tier counts in the score and shortens the time to accept."""
    assert told_of_tier(plant, plant.report()) == ("standard", 2 * 3600, [1.0])
    address = f"{BASE}/people/{plant.house.requester.person_id}"
    named = plant.api.client.patch(
        address, json={"version": 1, "requester_tier": "vip"}, headers=plant.api.headers(Role.ADMIN)
    )
    assert (named.status_code, named.json()["requester_tier"]) == (200, "vip")
    assert told_of_tier(plant, plant.report(title="Pump leaks")) == ("vip", 900, [1.8])


def test_a_report_is_carried_to_closed_by_following_the_next_steps(plant: Plant) -> None:
    code, house = plant.report(), plant.house
    carried_to_executing(plant, code)
    steps = [step["command"] for step in plant.get(f"/tickets/{code}", house.near).json()["next_steps"]]
    assert "resolve" in steps
    resolved = plant.command(
        code, "resolve", house.near, resolution_code="repaired", cause="Lubricant lost", action_taken="Greased it"
    )
    assert resolved.status_code == 200, resolved.text
    too_early = plant.command(code, "close", house.near)
    assert too_early.status_code == 409
    assert too_early.json()["type"] == "urn:wearsight:refusal:gate_not_passed"
    secret = resolved.json()["confirmation_url_secret"]
    shown = plant.api.client.get(f"{BASE}/confirm/{secret}")
    assert shown.json()["code"] == code
    answered = plant.api.client.post(f"{BASE}/confirm/{secret}", json={"solved": True, "satisfied": True})
    assert answered.json() == {"code": code}
    again = plant.api.client.post(f"{BASE}/confirm/{secret}", json={"solved": True, "satisfied": True})
    assert again.status_code == 410
    assert again.json()["type"] == "urn:wearsight:refusal:link_used"
    closed = plant.command(code, "close", house.near).json()
    assert (closed["ticket"]["state"], closed["ticket"]["outcome"]) == ("closed", "repaired")
    assert closed["timeline_is_whole"] is True
    assert [event["command"] for event in closed["timeline"]][:3] == ["open", "dispatch", "accept"]


def test_a_preventive_ticket_shows_evidence_parts_and_clocks(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        code = a_device_ticket(connection, plant.house)
    detail = plant.get(f"/tickets/{code}", plant.house.near).json()
    assert detail["ticket"]["failure_mode"] == "bearing_wear"
    assert detail["bill"][0]["part_number"] == "6204-2RS"
    assert detail["findings"][0]["series_id"] == plant.house.series_id
    assert {clock["clock"] for clock in detail["clocks"]} == {"accept", "respond", "resolve", "close"}
    assert "timeline_head" not in detail["ticket"]


def test_a_stale_version_is_refused_with_the_current_one(plant: Plant) -> None:
    code, house = plant.report(), plant.house
    path = f"/tickets/{code}/commands/dispatch"
    seen = plant.get(f"/tickets/{code}", house.supervisor)
    version = seen.json()["ticket"]["version"]
    assert seen.headers["etag"] == f'"{version}"'
    facts = {"assignee_id": house.near.person_id}
    done = plant.post(path, house.supervisor, {"version": version, "facts": facts})
    assert done.status_code == 200, done.text
    facts = {"assignee_id": house.far.person_id}
    stale = plant.post(path, house.supervisor, {"version": version, "facts": facts})
    assert stale.status_code == 409
    assert stale.json()["type"] == "urn:wearsight:refusal:stale_version"
    assert stale.json()["current_version"] == done.json()["ticket"]["version"]
    by_etag = plant.post(path, house.supervisor, {"facts": facts}, {"If-Match": seen.headers["etag"]})
    assert by_etag.status_code == 409
    assert plant.get(f"/tickets/{code}", house.near).json()["ticket"]["assignee_id"] == house.near.person_id


def test_the_same_request_with_the_same_key_is_done_once_and_answered_alike(plant: Plant) -> None:
    body = {"asset_id": plant.house.asset_id, "title": "Oil on the floor"}
    key = {"Idempotency-Key": "a-key"}
    first = plant.post("/tickets", plant.house.requester, body, key)
    second = plant.post("/tickets", plant.house.requester, body, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"
    other = plant.post("/tickets", plant.house.requester, {**body, "title": "Fire"}, key)
    assert other.status_code == 409
    assert other.json()["type"] == "urn:wearsight:refusal:idempotency_mismatch"
    assert len(plant.get("/tickets", plant.house.supervisor).json()["items"]) == 1
    # The key is the person's own: somebody else's is another key.
    assert plant.post("/tickets", plant.house.supervisor, body, key).json() != first.json()


def test_a_key_is_free_again_after_a_refusal_and_keeps_no_secret(plant: Plant) -> None:
    code, house = plant.report(), plant.house
    carried_to_executing(plant, code)
    path, key = f"/tickets/{code}/commands/resolve", {"Idempotency-Key": "k"}
    said = {"resolution_code": "repaired", "cause": "Lubricant lost", "action_taken": "Greased it"}
    refused = plant.post(path, house.near, {"summary": "Greased it", "facts": {}}, key)
    assert refused.json()["type"] == "urn:wearsight:refusal:missing_fact"
    first = plant.post(path, house.near, {"summary": "Greased it", "facts": said}, key)
    second = plant.post(path, house.near, {"summary": "Greased it", "facts": said}, key)
    assert first.json()["confirmation_url_secret"]
    assert second.json()["confirmation_url_secret"] is None
    assert second.json()["ticket"] == first.json()["ticket"]


def test_ten_at_once_with_one_key_open_one_ticket(plant: Plant) -> None:
    body = {"asset_id": plant.house.asset_id, "title": "Belt squeals"}
    headers = {**plant.headers(plant.house.requester), "Idempotency-Key": "once"}
    with ThreadPoolExecutor(10) as threads:
        posts = [
            threads.submit(plant.api.client.post, f"{BASE}/tickets", json=body, headers=headers) for _ in range(10)
        ]
        codes = {post.result().json()["ticket"]["code"] for post in posts}
    assert len(codes) == 1
    assert len(plant.get("/tickets", plant.house.supervisor).json()["items"]) == 1


def test_of_two_who_claim_at_once_one_wins_and_the_other_learns_who(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        code = a_device_ticket(connection, plant.house)
    version = plant.get(f"/tickets/{code}", plant.house.near).json()["ticket"]["version"]
    body = {"version": version, "facts": {"expected_response_at": (NOW + HOUR).isoformat()}}
    claimants = [plant.headers(plant.house.near), plant.headers(plant.house.far)]
    with ThreadPoolExecutor(2) as threads:
        path = f"{BASE}/tickets/{code}/commands/accept"
        answers = [threads.submit(plant.api.client.post, path, json=body, headers=headers) for headers in claimants]
        statuses = sorted(answer.result().status_code for answer in answers)
    assert statuses == [200, 409]


IMPOSSIBLE: list[tuple[str, dict[str, object], int, str]] = [
    ("close", {}, 409, "not_a_legal_step"),
    ("dispatch", {}, 422, "missing_fact"),
    ("dispatch", {"assignee_id": "nobody"}, 422, "invalid_fact"),
    ("dispatch", {"assignee_id": 1, "colour": "red"}, 422, "invalid_fact"),
    ("open", {}, 422, "invalid_request"),
    ("destroy", {}, 422, "invalid_request"),
    ("DROP TABLE", {}, 422, "invalid_request"),
]


def test_an_impossible_command_is_refused_by_name_and_changes_nothing(plant: Plant) -> None:
    code, who = plant.report(), plant.house.supervisor
    before = plant.get(f"/tickets/{code}", who).json()["ticket"]
    for command, facts, status, name in IMPOSSIBLE:
        answer = plant.command(code, command, who, **facts)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:wearsight:refusal:{name}"), command
    assert plant.get(f"/tickets/{code}", who).json()["ticket"] == before


def test_a_requester_sees_own_reports_only(plant: Plant) -> None:
    mine = plant.report()
    with plant.api.pool.connection() as connection:
        connection.execute("update asset set requester_id = null where id = %s", (plant.house.asset_id,))
        theirs = a_device_ticket(connection, plant.house)
    listed = plant.get("/tickets", plant.house.requester).json()["items"]
    assert [item["code"] for item in listed] == [mine]
    assert plant.get(f"/tickets/{mine}", plant.house.requester).status_code == 200
    assert plant.get(f"/tickets/{theirs}", plant.house.requester).status_code == 404
    assert plant.command(theirs, "note", plant.house.requester, content="hello there").status_code == 404
    assert plant.upload(theirs, plant.house.requester).status_code == 404


def test_another_sites_tickets_do_not_exist(plant: Plant) -> None:
    code = plant.report()
    photo = plant.upload(code, plant.house.near).json()["id"]
    with plant.api.pool.connection() as connection:
        connection.execute("insert into site values ('south', 'South', 'weekdays', 0, 0)")
    foreign = plant.api.headers(Role.SUPERVISOR, "south")
    for path in (f"/tickets/{code}", f"/attachments/{photo}"):
        assert plant.api.client.get(BASE + path, headers=foreign).status_code == 404
    body = {"facts": {"assignee_id": plant.house.near.person_id}}
    commanded = plant.api.client.post(f"{BASE}/tickets/{code}/commands/dispatch", json=body, headers=foreign)
    assert commanded.status_code == 404
    assert plant.api.client.get(f"{BASE}/tickets", headers=foreign).json()["items"] == []


def test_tickets_are_found_by_state_text_and_person_in_pages(plant: Plant) -> None:
    codes = [plant.report(title=f"Noise {number}") for number in range(5)]
    carried_to_executing(plant, codes[2])
    who = plant.house.supervisor
    assert [t["code"] for t in plant.get("/tickets?text=Noise 3", who).json()["items"]] == [codes[3]]
    assert [t["code"] for t in plant.get("/tickets?state=executing", who).json()["items"]] == [codes[2]]
    by_person = plant.get(f"/tickets?assignee={plant.house.near.person_id}", who).json()["items"]
    assert [t["code"] for t in by_person] == [codes[2]]
    assert plant.get("/tickets?state=sleeping", who).status_code == 422
    seen: list[str] = []
    cursor = ""
    while True:
        page = plant.get(f"/tickets?limit=2{cursor}", who).json()
        seen += [ticket["code"] for ticket in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(seen) == codes
    assert plant.get("/tickets?cursor=garbage", who).status_code == 422


FILES = [
    ("photo", "a.jpg", b"\xff\xd8\xff\xe0rest", "image/jpeg"),
    ("photo", "a.txt", PNG, "image/png"),
    ("photo", "a.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
    ("log", "操作.txt", "运行正常\n".encode(), "text/plain"),
    ("log", "a.csv", b"a,b\r\n1,2\r\n", "text/csv"),
    ("log", "a.pdf", b"%PDF-1.7 ...", "application/pdf"),
]
NO_FILES = [
    ("photo", "a.png", b"<svg onload=alert(1)>"),
    ("photo", "a.png", b"<!doctype html><script>"),
    ("log", "a.txt", b"MZ\x90\x00\x03"),
    ("log", "a.txt", b"\xff\xfe\x41"),
]


def test_a_file_is_taken_for_what_it_is_not_for_what_it_says(plant: Plant) -> None:
    code, who = plant.report(), plant.house.near
    for kind, name, content, media_type in FILES:
        kept = plant.upload(code, who, content, name, kind)
        assert (kept.status_code, kept.json()["media_type"]) == (201, media_type)
        got = plant.get(f"/attachments/{kept.json()['id']}", who)
        assert got.content == content
        assert got.headers["content-type"].startswith(media_type)
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in got.headers["content-security-policy"]
    for kind, name, content in NO_FILES:
        refused = plant.upload(code, who, content, name, kind)
        assert (refused.status_code, refused.json()["type"]) == (415, "urn:wearsight:refusal:unsupported_file")


def test_a_file_above_ten_mebibytes_is_refused_and_one_at_the_bound_is_kept(plant: Plant) -> None:
    code = plant.report()
    bound = PNG + b"\0" * (ATTACHMENT_BYTES_LIMIT - len(PNG))
    assert plant.upload(code, plant.house.near, bound).status_code == 201
    above = plant.upload(code, plant.house.near, bound + b"\0")
    assert (above.status_code, above.json()["type"]) == (413, "urn:wearsight:refusal:request_too_large")
    far_above = plant.upload(code, plant.house.near, bound + bound)
    assert far_above.status_code == 413
    assert plant.upload(code, plant.house.near, b"").status_code == 422


def test_a_link_that_is_unknown_or_expired_says_which(plant: Plant) -> None:
    code = plant.report()
    carried_to_executing(plant, code)
    said = {"resolution_code": "repaired", "cause": "Lubricant lost", "action_taken": "Greased it"}
    secret = plant.command(code, "resolve", plant.house.near, **said).json()["confirmation_url_secret"]
    assert plant.api.client.get(f"{BASE}/confirm/{secret}x").status_code == 404
    plant.api.clock.move(timedelta(days=60))
    expired = plant.api.client.get(f"{BASE}/confirm/{secret}")
    assert (expired.status_code, expired.json()["type"]) == (410, "urn:wearsight:refusal:link_expired")


def test_a_planner_opens_a_ticket_from_a_prediction_or_rejects_it_for_good(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        prediction = a_prediction(connection, plant.house)
    shown = plant.get(f"/predictions/{prediction}", plant.house.planner).json()
    assert (shown["status"], shown["failure_mode"]) == ("open", "bearing_wear")
    assert shown["parts"][0]["number"] == "6204-2RS"
    opened = plant.post(f"/predictions/{prediction}/confirm", plant.house.planner, {"reason": "Heard it myself"})
    assert opened.status_code == 201, opened.text
    code = opened.json()["ticket"]["code"]
    assert plant.get(f"/predictions/{prediction}", plant.house.planner).json()["ticket_code"] == code
    twice = plant.post(f"/predictions/{prediction}/confirm", plant.house.planner, {"reason": "Again"})
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:wearsight:refusal:already_open")
    too_late = plant.post(f"/predictions/{prediction}/reject", plant.house.planner, {"reason": "Was the fan"})
    assert too_late.status_code == 409


def test_a_rejected_prediction_keeps_its_reason_and_is_not_decided_twice(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        prediction = a_prediction(connection, plant.house)
    path = f"/predictions/{prediction}/reject"
    rejected = plant.post(path, plant.house.planner, {"reason": "Sensor was loose"}).json()
    assert (rejected["status"], rejected["decision_reason"]) == ("rejected", "Sensor was loose")
    assert rejected["decided_by"] == plant.house.planner.person_id
    assert plant.post(path, plant.house.planner, {"reason": "Again"}).status_code == 409
    assert plant.get("/predictions?status=open", plant.house.planner).json()["items"] == []
    listed = plant.get(f"/predictions?asset={plant.house.asset_id}", plant.house.planner).json()["items"]
    assert [item["id"] for item in listed] == [str(prediction)]


def test_findings_of_an_asset_are_listed(plant: Plant) -> None:
    with plant.api.pool.connection() as connection:
        a_device_ticket(connection, plant.house)
    listed = plant.get(f"/findings?asset={plant.house.asset_id}", plant.house.near).json()["items"]
    assert [finding["series_id"] for finding in listed] == [plant.house.series_id]


def test_parts_show_the_pieces_on_hand(plant: Plant) -> None:
    parts = plant.get("/parts?number=6204-2RS", plant.house.near).json()["items"]
    assert parts[0]["on_hand"] == 10
    body = {"number": "BELT-1", "name_en": "Belt", "name_zh": "皮带", "on_hand": 3}
    assert plant.post("/parts", plant.house.planner, body).json()["on_hand"] == 3
    assert plant.post("/parts", plant.house.planner, body).status_code == 409
