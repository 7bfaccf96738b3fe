"""Quarantine in the console: why messages wait, their bytes shown safely, and the ways out (SPEC E5)."""

from __future__ import annotations

from api.pages import words
from api.pages.payloads import shown_payload
from ingest.quarantine_reasons import Reason
from storage import quarantine
from tests.console_builders import Console
from tests.operations_builders import (
    HOSTILE,
    a_bad_message,
    a_gateway_feed,
    a_planner_elsewhere,
    an_unknown_device,
)


def asked(console: Console) -> int:
    """How many messages wait to be tried again."""
    with console.pool.connection() as connection:
        return len(quarantine.to_replay(connection, 1_000))


def test_reasons_are_counted_and_explained_in_the_readers_language(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection, count=4)
        a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/quarantine").text
        for told in ("Unknown device", "No device of this name is registered", "Register the device, then replay"):
            assert told in page
        assert page.count('href="/quarantine?reason=') == 2
        assert "Try all of these again" not in page
    with console.reader(console.house.planner, "zh") as browser:
        page = browser.get("/quarantine?reason=unknown_device").text
        for told in ("该站点没有登记此设备", "全部重试", "隔离区"):
            assert told in page


def test_every_reason_has_a_short_name():
    assert set(words.REASONS) == {reason.value for reason in Reason}


def test_the_list_is_filtered_by_reason_and_by_device(console):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        an_unknown_device(connection, count=1)
        an_unknown_device(connection, "press-8", 1, feed)
        a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/quarantine?reason=not_a_number").text
        assert "press-7" not in page
        assert "expected a finite number" in page
        page = browser.get(f"/quarantine?feed={feed.id}&device=press-8").text
        assert "press-8" in page
        assert "press-7" not in page


def test_only_those_who_plan_see_quarantine_and_only_at_their_sites(console):
    with console.pool.connection() as connection:
        message_id = a_bad_message(connection)
        stranger = a_planner_elsewhere(connection)
    for actor in (console.house.near, console.house.supervisor, console.house.requester):
        with console.reader(actor) as browser:
            assert browser.get("/quarantine").status_code == 403
            assert browser.get(f"/quarantine/{message_id}").status_code == 403
            assert browser.post(f"/quarantine/{message_id}/replay").status_code == 403
            assert browser.post("/quarantine/dismiss", data={"reason": "not_a_number", "why": "x"}).status_code == 403
    with console.reader(stranger) as browser:
        assert "Not a number" not in browser.get("/quarantine").text
        for path in ("", "/raw"):
            assert browser.get(f"/quarantine/{message_id}{path}").status_code == 404
        for action in ("replay", "dismiss"):
            assert browser.post(f"/quarantine/{message_id}/{action}", data={"why": "x"}).status_code == 404
        assert (
            browser.post("/quarantine/replay", data={"reason": "not_a_number"}).headers["location"].endswith("asked=0")
        )
    assert asked(console) == 0


def test_a_message_is_tried_again_alone_by_reason_and_by_device(console):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        an_unknown_device(connection, count=3)
        an_unknown_device(connection, "press-8", 2, feed)
        message_id = a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        done = browser.post(f"/quarantine/{message_id}/replay")
        assert "It is being tried again" in browser.get(done.headers["location"]).text
        assert asked(console) == 1
        browser.post("/quarantine/replay", data={"feed": str(feed.id), "device": "press-8"})
        assert asked(console) == 3
        done = browser.post("/quarantine/replay", data={"reason": "unknown_device"})
        assert "Messages being tried again: 5." in browser.get(done.headers["location"]).text
        assert asked(console) == 6
        assert browser.post("/quarantine/replay", data={}).status_code == 422


def test_nothing_is_dismissed_without_a_reason(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection, count=3)
        message_id = a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        assert browser.post(f"/quarantine/{message_id}/dismiss", data={"why": " "}).status_code == 422
        refused = browser.post("/quarantine/dismiss", data={"reason": "unknown_device", "why": "x" * 300})
        assert refused.status_code == 422
        assert "x" * 300 in refused.text
        assert browser.get(f"/quarantine/{message_id}").status_code == 200
        done = browser.post(f"/quarantine/{message_id}/dismiss", data={"why": "A test of the fitter's"})
        assert "Messages dismissed: 1." in browser.get(done.headers["location"]).text
        assert browser.get(f"/quarantine/{message_id}").status_code == 404
        browser.post("/quarantine/dismiss", data={"reason": "unknown_device", "why": "Scrapped"})
        assert "No message waits here" in browser.get("/quarantine").text


def test_hostile_names_topics_details_and_bytes_are_only_text(console):
    evil = b'{"ts": 1, "values": {"<img src=x onerror=alert(1)>": "n/a"}}'
    with console.pool.connection() as connection:
        an_unknown_device(connection, HOSTILE, 1, a_gateway_feed(connection))
        message_id = a_bad_message(connection, evil, device=HOSTILE, detail=f"values.{HOSTILE}: got text")
    with console.reader(console.house.planner) as browser:
        for path in ("/quarantine", "/quarantine?reason=unknown_device", f"/quarantine/{message_id}"):
            page = browser.get(path).text
            assert "<script>alert" not in page
            assert "<img src=x" not in page
            assert "\u202e" not in page
            assert "&lt;script&gt;alert" in page
        page = browser.get("/quarantine", params={"site": "plant-1", "device": HOSTILE}).text
        assert "<script>alert" not in page


def test_the_bytes_are_saved_as_they_came_and_never_run(console):
    with console.pool.connection() as connection:
        message_id = a_bad_message(connection, b"<script>alert(1)</script>")
    with console.reader(console.house.planner) as browser:
        saved = browser.get(f"/quarantine/{message_id}/raw")
    assert saved.content == b"<script>alert(1)</script>"
    assert saved.headers["content-type"] == "application/octet-stream"
    assert saved.headers["content-disposition"].startswith("attachment")


def test_bytes_are_shown_as_text_only_when_all_of_them_is_readable():
    text = shown_payload('{"T": "21 °C"}\n'.encode(), is_whole=True)
    assert (text.is_text, text.text) == (True, '{"T": "21 °C"}\n')
    cut = shown_payload("°".encode() * 3 + b"\xc2", is_whole=False)
    assert (cut.is_text, cut.text, cut.is_whole) == (True, "°°°", False)
    assert not shown_payload(b"\xc2", is_whole=True).is_text
    for hidden in (b"\x1b[2J", "\u202egnp".encode(), b"a\x00b", b"\xff\xfe", b""):
        assert not shown_payload(hidden, is_whole=True).is_text
    dump = shown_payload(b"\x00ABC<>\x1b\xff\x10", is_whole=True)
    assert dump.text.splitlines() == ["0000  00 41 42 43 3c 3e 1b ff  .ABC<>..", "0008  10                       ."]
    assert not shown_payload(b"\xff" * 3_000, is_whole=True).is_whole
