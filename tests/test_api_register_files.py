"""Contracts and manuals of assets: looked into, bounded, saved and never run (SPEC E1)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from httpx2 import Response
from psycopg_pool import ConnectionPool

from storage import register_files
from tests.api_builders import BASE, NORTH, SOUTH, Api, an_api, an_asset
from ticketing.actors import Role

PDF = b"%PDF-1.7\n" + b"x" * 100


@pytest.fixture
def api(pool: ConnectionPool) -> Iterator[Api]:
    with an_api(pool) as opened:
        yield opened


@pytest.fixture
def asset_id(api: Api) -> int:
    with api.pool.connection() as connection:
        return an_asset(connection)


def upload(
    api: Api, asset_id: int, content: bytes = PDF, name: str = "contract.pdf", kind: str = "contract", **who: object
) -> Response:
    return api.client.post(
        f"{BASE}/assets/{asset_id}/files",
        data={"kind": kind},
        files={"file": (name, content)},
        headers=api.headers(who.get("role", Role.PLANNER), who.get("site")),  # type: ignore[arg-type]
    )


def test_a_contract_is_kept_listed_read_and_removed(api: Api, asset_id: int) -> None:
    made = upload(api, asset_id, name="../../Vertrag <2024>.pdf")
    assert made.status_code == 201, made.text
    row = made.json()
    assert (row["file_name"], row["media_type"], row["size_bytes"]) == ("Vertrag 2024.pdf", "application/pdf", len(PDF))
    assert api.get(f"/assets/{asset_id}/files", Role.ENGINEER).json()["items"] == [row]
    read = api.get(f"/register-files/{row['id']}", Role.ENGINEER)
    assert read.content == PDF
    assert read.headers["content-disposition"].startswith("attachment;")
    assert read.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert read.headers["x-content-type-options"] == "nosniff"
    gone = api.client.delete(f"{BASE}/register-files/{row['id']}", headers=api.headers(Role.PLANNER))
    assert gone.status_code == 204
    assert api.get(f"/register-files/{row['id']}").status_code == 404
    changes = api.get(f"/assets/{asset_id}/changes").json()["items"]
    assert [(one["noun"], one["after"] is None) for one in changes] == [
        ("file", True),
        ("file", False),
        ("asset", False),
    ]
    assert changes[0]["before"]["file_name"] == "Vertrag 2024.pdf"
    assert "content" not in changes[0]["before"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"MZ\x90\x00 program", 415),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 201),
        (b"PK\x03\x04 zip", 415),
        (b"", 422),
        (b"%PDF-" + b"x" * (10 << 20), 413),
        (b"%PDF-" + b"x" * (11 << 20), 413),
    ],
)
def test_a_file_is_taken_for_what_is_inside_and_no_larger_than_ten_megabytes(
    api: Api, asset_id: int, content: bytes, status: int
) -> None:
    answer = upload(api, asset_id, content, "manual.pdf", "manual")
    assert answer.status_code == status, answer.text
    if status == 201:
        assert answer.json()["media_type"] == "text/plain", "never what a browser would run"


def test_papers_are_for_the_staff_of_the_site(api: Api, asset_id: int) -> None:
    file_id = upload(api, asset_id).json()["id"]
    for role, site, status in (
        (Role.REQUESTER, NORTH, 403),
        (Role.ENGINEER, SOUTH, 404),
        (Role.PLANNER, SOUTH, 404),
        (Role.ENGINEER, NORTH, 200),
    ):
        assert api.get(f"/register-files/{file_id}", role, site).status_code == status, role
    assert upload(api, asset_id, role=Role.ENGINEER).status_code == 403
    assert upload(api, asset_id, role=Role.PLANNER, site=SOUTH).status_code == 404
    away = api.client.delete(f"{BASE}/register-files/{file_id}", headers=api.headers(Role.PLANNER, SOUTH))
    assert away.status_code == 404


def test_an_asset_has_a_bounded_number_of_files(api: Api, asset_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register_files, "FILES_PER_ASSET", 2)
    answers = [upload(api, asset_id).status_code for _ in range(3)]
    assert answers == [201, 201, 409]
