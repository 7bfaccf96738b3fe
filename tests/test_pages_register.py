"""The register in the console: tables looked at before they are imported, papers, changes and labels (SPEC E1)."""

from __future__ import annotations

import re

import pytest

from tests.operations_builders import a_planner_elsewhere

GOOD = "site,tag,name,asset_type,location\nplant-1,P-7,Press,motor,Hall 3\nplant-1,M-1,Main motor,motor,Hall 4\n"
BAD = "site,tag,name,asset_type\nplant-1,P 7,Press,motor\nplant-9,P-8,<script>alert(1)</script>,motor\n"


def a_table(text: str) -> dict[str, tuple[str, bytes, str]]:
    return {"file": ("assets.csv", text.encode(), "text/csv")}


def test_a_table_is_looked_at_before_it_is_imported(console):
    with console.reader(console.house.planner) as browser:
        looked = browser.post("/register/import", data={"kind": "assets"}, files=a_table(GOOD))
        assert looked.status_code == 200
        for told in ("What the table would do", "plant-1/P-7", "location", "Import it"):
            assert told in looked.text
        assert "P-7" not in browser.get("/assets").text
        (carried,) = re.findall(r'name="carried" value="([^"]+)"', looked.text)
        done = browser.post("/register/import", data={"kind": "assets", "step": "import", "carried": carried})
        assert "The table is in the register" in done.text
        assert "P-7" in browser.get("/assets").text
        assert "Hall 4" in browser.get("/assets/1").text
        again = browser.post("/register/import", data={"kind": "assets"}, files=a_table(GOOD))
        assert "Nothing to import" in again.text


def test_every_wrong_row_is_listed_and_nothing_is_imported(console):
    with console.reader(console.house.planner, "zh") as browser:
        refused = browser.post("/register/import", data={"kind": "assets", "step": "import"}, files=a_table(BAD))
        assert refused.status_code == 422
        for told in ("需要更正", "P 7", "plant-9", "1 to 64 of"):
            assert told in refused.text
        assert "<script>alert" not in refused.text
        assert "P-8" not in browser.get("/assets").text


@pytest.mark.parametrize("carried", ["", "no base64", "AAAA", "eJwDAAAAAAE="])
def test_what_is_no_table_is_refused(console, carried):
    with console.reader(console.house.planner) as browser:
        refused = browser.post("/register/import", data={"kind": "assets", "step": "import", "carried": carried})
    assert refused.status_code == 422
    assert "Choose a CSV or XLSX file" in refused.text


def test_templates_exports_and_labels_are_one_click_away(console):
    with console.reader(console.house.planner) as browser:
        page = browser.get("/register/import").text
        for what, kind in (("template", "devices"), ("export", "assets")):
            for written in ("csv", "xlsx"):
                address = f"/api/v1/register/{what}?kind={kind}&amp;format={written}"
                assert address in page
                assert browser.get(address.replace("&amp;", "&")).status_code == 200
        assert "/api/v1/assets/1/label" in browser.get("/assets/1").text
        assert browser.get("/api/v1/assets/labels?site=plant-1").status_code == 200
        assert 'name="site" value="plant-1"' in browser.get("/assets").text


def test_who_may_not_change_the_register_is_offered_no_import(console):
    with console.reader(console.house.near) as browser:
        page = browser.get("/register/import").text
        assert "Templates and exports" in page
        assert "Look what it would do" not in page
        assert browser.post("/register/import", data={"kind": "assets"}, files=a_table(GOOD)).status_code == 403
        page = browser.get("/assets/1").text
        assert "Contracts and manuals" in page
        assert "Add a file" not in page
        assert 'aria-labelledby="changes"' not in page
        assert browser.post("/assets/1/files", data={"kind": "manual"}, files=a_table("a")).status_code == 403
    with console.reader(console.house.requester) as browser:
        assert browser.get("/register/import").status_code == 403
        page = browser.get("/assets/1").text
        assert "Contracts and manuals" not in page
        assert "/register/import" not in browser.get("/assets").text


def test_a_paper_is_added_to_an_asset_and_removed(console):
    paper = {"file": ("wartung <b>.pdf", b"%PDF-1.7 manual", "application/pdf")}
    with console.reader(console.house.planner) as browser:
        assert browser.post("/assets/1/files", data={"kind": "contract"}, files=paper).status_code == 303
        page = browser.get("/assets/1").text
        assert "<b>" not in page
        (address,) = re.findall(r'href="(/api/v1/register-files/[^"]+)"', page)
        assert browser.get(address).content == b"%PDF-1.7 manual"
        file_id = address.rsplit("/", 1)[1]
        assert browser.post("/assets/1/files", data={"kind": "manual"}).status_code == 422
        wrong = {"file": ("run.exe", b"MZ\x00\x01", "application/pdf")}
        assert browser.post("/assets/1/files", data={"kind": "manual"}, files=wrong).status_code == 415
        assert browser.post(f"/assets/1/files/{file_id}/remove").status_code == 303
        page = browser.get("/assets/1").text
        assert address not in page
        assert page.count("File removed") == 1
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    with console.reader(stranger) as browser:
        assert browser.post("/assets/1/files", data={"kind": "contract"}, files=paper).status_code == 404


def test_an_asset_shows_its_new_fields_its_components_and_who_changed_what(console):
    table = "site,tag,brand,warranty_until,contract_number\nplant-1,M-1,<i>ABB</i>,2025-01-31,K-17\n"
    parts = "site,asset,code,name,installed_at\nplant-1,M-1,bearing,Drive end bearing,2025-02-11 09:30\n"
    with console.reader(console.house.planner) as browser:
        for kind, text in (("assets", table), ("components", parts)):
            done = browser.post("/register/import", data={"kind": kind, "step": "import"}, files=a_table(text))
            assert done.status_code == 200, done.text
        page = browser.get("/assets/1").text
        for told in ("K-17", "2025-01-31", "Drive end bearing", "2025-02-11 09:30", "Asset changed", "Component added"):
            assert told in page
        assert "&lt;i&gt;ABB" in page
        assert "<i>" not in page
