"""Refusals on Chinese pages of operations: no English sentence outside the technical detail, every name still there."""

from __future__ import annotations

import io
import re
from html import unescape

import pytest
from httpx2 import Response

from ingest.quarantine_reasons import Reason
from storage import device_credentials
from tests.console_builders import Console
from tests.operations_builders import a_bad_message, a_gateway_feed, an_unknown_device
from tests.test_pages_feeds import FORM as FEED
from tests.test_pages_gateways import FORM as GATEWAY
from tests.test_pages_register import BAD

PROSE = re.compile(r"\b[A-Za-z]{2,}(?: [a-z]{2,}){2,}\b")
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def _operations(console: Console) -> None:
    with console.pool.connection() as connection:
        a_gateway_feed(connection)
        an_unknown_device(connection)


def english_of(page: str) -> list[str]:
    """English prose that a reader of the page sees without unfolding the technical detail."""
    page = re.sub(r'(?s)<details class="folded technical">.*?</details>|<head>.*?</head>', " ", page)
    page = re.sub(r"(?s)<(textarea|pre|option|datalist)\b.*?</\1>|<a [^>]*lang=.*?</a>", " ", page)
    return PROSE.findall(unescape(re.sub(r"<[^>]*>", "\n", page)))


def notice_of(page: str) -> str:
    (notice,) = re.findall(r'(?s)id="refusal".*?</details>', page)
    return unescape(notice)


def told_in_chinese(refused: Response, *named: str) -> None:
    """The page refuses, in Chinese, with names and numbers, and has the rule's own English folded away."""
    assert refused.status_code >= 400
    assert english_of(refused.text) == []
    notice = notice_of(refused.text)
    before, _, technical = notice.partition('<details class="folded technical">')
    assert CHINESE.search(before)
    assert re.search(r"[A-Za-z]{2,} [a-z]{2,}", re.sub(r"<[^>]*>", "\n", technical)), (
        "the English is there for who looks closer"
    )
    for name in named:
        assert name in before, f"{name} is not in {before}"


def test_refused_forms_of_feeds_read_as_chinese(console, admin):
    with console.reader(admin, "zh") as browser:
        for changes, named in (
            ({"topic": "line/+"}, ("'line/#'", "'line/+'")),
            ({"topic": "wearsight/#"}, ("wearsight/#",)),
            ({"topic": "a/#/b"}, ("'a/#/b'",)),
            ({"name": "no name"}, ("name", "^[A-Za-z0-9_-]{1,64}$")),
            ({"settings": '{"topics": ['}, ("JSON",)),
            ({"settings": "[]"}, ("{...}",)),
            ({"settings": '{"topics": ["x/{device}"]}', "topic": "other/#"}, ("'topics'", "other/#")),
            ({"settings": '{"topic": []}', "topic": "other/#"}, ("mapped_json", "`topic`")),
            ({"decoder": "morse", "topic": "other/#"}, ("'decoder'", "morse")),
            ({"silent_after_s": "soon", "topic": "other/#"}, ("silent_after_s",)),
        ):
            told_in_chinese(browser.post("/feeds/new", data={**FEED, **changes, "step": "save"}), *named)


def test_a_feed_in_use_and_a_refused_payload_read_as_chinese(console, admin):
    with console.pool.connection() as connection:
        an_unknown_device(connection, "press-8", 1, a_gateway_feed(connection, "hall", "hall/#"))
    with console.reader(admin, "zh") as browser:
        browser.post("/devices/adopt", data={"device": "press-8", "feed": "2", "tag": "M-1"})
        told_in_chinese(browser.post("/feeds/2/remove"), "接入源 2 仍有 1 台采集设备")
        for sample, named in (
            ('{"ts": 1, "x"', "JSON"), ('{"ts": "soon", "x": 1}', "'soon'"), ('{"x": 1}', "'ts'"), ("[1]", "应为"),
        ):  # fmt: skip
            tried = browser.post("/feeds/new", data={**FEED, "sample": sample, "step": "try"}).text
            assert english_of(tried) == []
            (told,) = re.findall(r'(?s)id="tried".*?<details', tried)
            assert named in unescape(told)
            assert "技术细节" in tried
        left_out = browser.post("/feeds/new", data={**FEED, "step": "try"}).text
        assert english_of(left_out) == []
        assert "文本，按设置跳过" in left_out


def test_refused_adoption_and_credentials_read_as_chinese(console, admin):
    with console.reader(admin, "zh") as browser:
        adopt = {"device": "press-7", "site": "plant-1"}
        told_in_chinese(browser.post("/devices/adopt", data={**adopt, "tag": "X-9"}), "'plant-1'", "'X-9'")
        wrong = {**adopt, "tag": "X-9", "name": "Press", "asset_type": "motor", "expected_interval_s": "-1"}
        told_in_chinese(browser.post("/devices/adopt", data=wrong), "expected_interval_s", "大于 0")
        told_in_chinese(browser.post("/devices/adopt", data={**adopt, "device": "nobody"}), "'nobody'")
        for _ in range(device_credentials.LIVE_LIMIT):
            browser.post("/devices/1/credentials")
        told_in_chinese(browser.post("/devices/1/credentials"), "plant-1.dev-M-1", "5")
        told_in_chinese(browser.get("/devices/99"), "'99'", "设备")
        told_in_chinese(browser.get("/devices/none"), "device_id")


def test_refused_gateways_read_as_chinese(console, admin):
    with console.reader(admin, "zh") as browser:
        browser.post("/gateways", data=GATEWAY)
        too_many = "\n".join(f"line/{number}" for number in range(21))
        for changes, named in (
            ({}, "'hall-1'"), ({"publish": "#"}, "'#'"), ({"publish": "a b"}, "'a b'"), ({"publish": too_many}, "20"),
            ({"site": "plant-9"}, "'plant-9'"), ({"publish": "", "subscribe": ""}, "过滤器"),
        ):  # fmt: skip
            told_in_chinese(browser.post("/gateways", data={**GATEWAY, **changes}), named)


def test_refused_tables_and_their_rows_read_as_chinese(console, admin):
    def table(content: bytes, name: str = "a.csv") -> dict[str, tuple[str, io.BytesIO, str]]:
        return {"file": (name, io.BytesIO(content), "text/csv")}

    tables = {
        BAD.encode(): ("P 7", "1 至 64 个 A-Z a-z 0-9 _ . -", "plant-9"),
        b"site,tagg,name\nplant-1,P-7,Press\n": ("tagg", "'tag'"),
        b"site,tag,criticality,purchase_date\nplant-1,P-7,9,soon\n": ("1 至 5 的整数", "2026-01-31"),
        b"site,tag,name,asset_type\nplant-1,P-7,,motor\nplant-1,P-7,A,motor\n": ("需要填写", "空"),
        b"site,tag,name,asset_type\nplant-1,P-7,A,ship\n": ("以下之一：", "motor"),
    }
    with console.reader(admin, "zh") as browser:
        for content, named in tables.items():
            refused = browser.post("/register/import", data={"kind": "assets"}, files=table(content))
            told_in_chinese(refused)
            for name in named:
                assert name in unescape(refused.text), name
        for content in (b"", b"\xff\xfe\x00", b"PK\x03\x04 no zip", b"\n\n", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
            told_in_chinese(browser.post("/register/import", data={"kind": "assets"}, files=table(content)))
        paper = browser.post("/assets/1/files", data={"kind": "manual"}, files=table(b"MZ\x00", "a.exe"))
        told_in_chinese(paper)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_of_quarantine_reads_as_chinese(console, admin, reason):
    with console.pool.connection() as connection:
        message_id = a_bad_message(connection, reason=reason, detail="got 'n/a' in 'temp', expected a number")
    with console.reader(admin, "zh") as browser:
        for path in ("/quarantine", f"/quarantine?reason={reason}", f"/quarantine/{message_id}"):
            page = browser.get(path).text
            assert english_of(page) == [], path
            assert "收到 &#39;n/a&#39;" in page or path == "/quarantine"
        assert "技术细节" in page
        assert "expected a number" in page
        told_in_chinese(browser.post(f"/quarantine/{message_id}/dismiss", data={"why": ""}), "why")


def test_a_detail_that_cannot_be_said_shows_its_names_and_keeps_its_english_folded(console, admin):
    detail = "the moon over 'Hall 3' was seen 17 times by nobody"
    with console.pool.connection() as connection:
        message_id = a_bad_message(connection, detail=detail)
    with console.reader(admin, "zh") as browser:
        page = unescape(browser.get(f"/quarantine/{message_id}").text)
        assert english_of(page) == []
        assert "'Hall 3' · 17" in page
        assert detail in page
        listed = unescape(browser.get("/quarantine?reason=not_a_number").text)
        assert "'Hall 3' · 17" in listed
        assert detail not in listed
    with console.reader(admin) as browser:
        page = unescape(browser.get(f"/quarantine/{message_id}").text)
        assert detail in page
        assert "Technical detail" not in page


def test_the_page_of_an_error_reads_as_chinese(console, admin):
    with console.reader(admin, "zh") as browser:
        told_in_chinese(browser.get("/nowhere"), "GET /nowhere")
        told_in_chinese(browser.get("/service?before=x"), "before")
    with console.reader(console.house.requester, "zh") as browser:
        for path in ("/devices", "/quarantine", "/feeds", "/gateways", "/service", "/register/import"):
            told_in_chinese(browser.get(path), "requester")
