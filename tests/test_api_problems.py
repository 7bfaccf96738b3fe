"""Every error is a problem with a name, in the reader's language, with the headers that every answer has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg_pool import ConnectionPool

from api.boundary import BODY_LIMIT
from api.problems import STATUS_OF_KIND
from domain.refusals import REFUSALS, Kind
from tests.api_builders import BASE, Api, a_shared_api, an_api
from ticketing.actors import Role


@pytest.fixture(scope="module")
def api(postgres: str, template: str) -> Iterator[Api]:
    with a_shared_api(postgres, template, "api_problems") as opened:
        yield opened


def test_every_kind_of_refusal_has_a_status() -> None:
    assert set(STATUS_OF_KIND) == set(Kind)


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/api/v1/nothing", 404, "unknown_address"),
        ("PUT", "/api/v1/sites", 405, "method_not_allowed"),
        ("GET", "/api/v1/assets/77", 404, "unknown_record"),
        ("GET", "/api/v1/assets/one", 422, "invalid_request"),
        ("GET", "/api/v1/assets/99999999999999999999", 422, "invalid_request"),
        ("GET", "/api/v1/assets?limit=0", 422, "invalid_request"),
        ("GET", "/api/v1/series/1/chart?from=9999-12-31T23:59:59-12:00", 422, "invalid_request"),
    ],
)
def test_an_error_is_a_problem_with_a_name(api: Api, method: str, path: str, status: int, name: str) -> None:
    answer = api.client.request(method, path, headers=api.headers(Role.ADMIN))
    problem = answer.json()
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:wearsight:refusal:{name}"
    assert problem["status"] == status
    assert problem["title"] == REFUSALS[name].title_en
    assert problem["expected"]
    assert problem["remedy"]


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,zh;q=0.5", "en"),
        ("fr", "en"),
        ("zh;q=0.2,en;q=0.1", "zh"),
        ("", "en"),
    ],
)
def test_the_title_is_in_the_language_the_reader_prefers(api: Api, accept: str, language: str) -> None:
    answer = api.client.get(f"{BASE}/me", headers={"Accept-Language": accept})
    kind = REFUSALS["sign_in_required"]
    assert answer.json()["title"] == (kind.title_zh if language == "zh" else kind.title_en)
    assert answer.headers["content-language"] == language


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b'{"id": NaN}',
        b'"text"',
        b"[" * 5000,
        b'{"id": "x", "unknown\\ud800field": 1}',
        b'{"id": "w\\u0000", "name": "n", "calendar_id": "day", "latitude": 1, "longitude": 1}',
        b'{"id": "w", "name": "n\\u0000", "calendar_id": "day", "latitude": 1, "longitude": 1}',
        b'{"id": "w", "name": "\\ud800", "calendar_id": "day", "latitude": 1, "longitude": 1}',
        b'{"id": "w", "name": "n", "calendar_id": "day", "latitude": 1e999, "longitude": 1}',
        b'{"id": "w", "name": "n", "calendar_id": "day", "latitude": 91, "longitude": 1}',
        b'{"id": "w", "name": "n", "calendar_id": "day", "latitude": 1, "longitude": 1, "colour": "red"}',
    ],
)
def test_a_malformed_body_is_refused_by_name_and_changes_nothing(api: Api, body: bytes) -> None:
    headers = {**api.headers(Role.ADMIN), "Content-Type": "application/json"}
    answer = api.client.post(f"{BASE}/sites", content=body, headers=headers)
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "urn:wearsight:refusal:invalid_request"
    assert len(api.get("/sites").json()["items"]) == 2


def test_a_reference_to_a_record_that_is_not_there_is_a_conflict_not_a_crash(api: Api) -> None:
    site = {"id": "west", "name": "West", "calendar_id": "night", "latitude": 0, "longitude": 0}
    answer = api.post("/sites", site)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:wearsight:refusal:record_in_use"


def test_a_body_above_the_limit_is_refused_whether_or_not_it_says_its_length(api: Api) -> None:
    headers = {**api.headers(Role.ADMIN), "Content-Type": "application/json"}
    whole = api.client.post(f"{BASE}/sites", content=b" " * (BODY_LIMIT + 1), headers=headers)
    pieces = api.client.post(f"{BASE}/sites", content=iter([b" " * 65_536] * 17), headers=headers)
    for answer in (whole, pieces):
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:wearsight:refusal:request_too_large"
        assert answer.headers["x-content-type-options"] == "nosniff"
    at_the_bound = api.client.post(f"{BASE}/sites", content=b" " * BODY_LIMIT, headers=headers)
    assert at_the_bound.status_code == 422


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/me", "/api/v1/nothing", "/nothing"])
def test_every_answer_has_the_security_headers(api: Api, path: str) -> None:
    headers = api.client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    for directive in ("base-uri", "frame-ancestors", "object-src"):
        assert policy[directive] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    if path.startswith("/api/"):
        assert headers["cache-control"] == "no-store"


def test_the_requesters_link_is_never_sent_on_as_a_referrer(api: Api) -> None:
    assert api.client.get(f"{BASE}/confirm/abc").headers["referrer-policy"] == "no-referrer"


def test_health_says_not_ok_without_a_database_and_other_routes_say_when_to_try_again(pool: ConnectionPool) -> None:
    with an_api(pool) as api:
        token = api.headers(Role.ADMIN)
        pool.close()
        assert api.get("/health", role=None).json() == {"status": "not_ok"}
        answer = api.client.get(f"{BASE}/me", headers=token)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "urn:wearsight:refusal:service_unavailable"


def test_a_mistake_of_ours_is_a_problem_too_and_tells_nothing_about_the_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("api.routes.sites.sites.list_sites", broken)
    answer = api.get("/sites")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret detail" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_metrics_count_answers_by_route_not_by_address(api: Api) -> None:
    for number in range(3):
        api.get(f"/devices/{number + 1}")
    text = api.get("/metrics", Role.INTEGRATION).text
    assert 'wearsight_api_answers_total{method="GET",route="/api/v1/devices/{device_id}",status="404"} 3.0' in text
    assert "wearsight_quarantine_open 0.0" in text
    assert "/devices/1" not in text


def test_health_in_detail_tells_what_waits(api: Api) -> None:
    detail = api.get("/health/detail", Role.SUPERVISOR).json()
    assert detail["quarantine_open"] == 0
    assert detail["newest_message_age_s"] is None
