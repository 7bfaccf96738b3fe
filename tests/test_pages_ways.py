"""The ways between a device, what it told, what was set aside of it and the page that takes it in (SPEC E2, E5, E9)."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from api.i18n import catalogue
from api.languages import Language
from api.pages import rendering, words
from api.pages.metric_words import quantity_of, unit_of
from domain.events import Event, EventKind, EventSeverity
from storage import events
from storage.events import DeviceEvent
from tests.console_builders import NOW, Console
from tests.operations_builders import (
    HOSTILE,
    a_bad_message,
    a_gateway_feed,
    a_lossy_device,
    a_planner_elsewhere,
    a_silent_feed,
    an_unknown_device,
)
from tests.ticket_builders import MINUTE, SITE

TRIP = Event(NOW - MINUTE, EventKind.ERROR, "E-107", EventSeverity.CRITICAL, "over temperature", {"phase": "2"})


def told(console: Console, *heard: Event) -> None:
    with console.pool.connection() as connection:
        events.insert(connection, [DeviceEvent(1, console.house.asset_id, event) for event in heard], NOW)


def unsaid(console: Console) -> None:
    """Let device 1 be heard without ever having said online or offline."""
    with console.pool.connection() as connection:
        connection.execute("update device set online = null where id = 1")


def test_a_device_shows_what_it_told_newest_first_in_both_languages(console):
    started = Event(NOW - 2 * MINUTE, EventKind.STATE, "started", EventSeverity.INFO)
    told(console, started, TRIP)
    with console.reader(console.house.near) as browser:
        page = browser.get("/devices/1").text
        assert page.index("E-107") < page.index("started")
        for one in ("over temperature", "phase", "Critical", "Note"):
            assert one in page
    with console.reader(console.house.near, "zh") as browser:
        page = browser.get("/devices/1").text
        for one in ("事件", "E-107", "严重", "错误", "状态", "内容"):
            assert one in page


def test_a_device_without_events_says_so(console):
    with console.reader(console.house.near) as browser:
        assert "It has told of no event yet." in browser.get("/devices/1").text


def test_an_event_is_text_whatever_it_says(console):
    told(console, Event(NOW, EventKind.ERROR, HOSTILE, EventSeverity.ERROR, HOSTILE, {HOSTILE: HOSTILE}))
    with console.reader(console.house.near) as browser:
        page = browser.get("/devices/1").text
    assert page.count("&lt;script&gt;alert(1)") == 4
    assert "<script>alert" not in page
    assert "\u202e" not in page


def test_only_the_newest_events_of_the_device_itself_are_shown(console):
    with console.pool.connection() as connection:
        many = [
            Event(NOW - timedelta(seconds=number), EventKind.COUNTER, f"n{number}", EventSeverity.INFO)
            for number in range(30)
        ]
        events.insert(connection, [DeviceEvent(1, console.house.asset_id, event) for event in many], NOW)
        found = events.newest_of_device(connection, 1, limit=20)
        assert [event.code for event in found] == [f"n{number}" for number in range(20)]
        assert events.newest_of_device(connection, 2, limit=20) == []


def test_every_kind_and_severity_of_an_event_has_words():
    assert set(words.EVENT_KINDS) == set(EventKind)
    assert set(words.EVENT_SEVERITIES) == set(EventSeverity)


@pytest.mark.parametrize("path", ["/devices", "/devices/1", "/assets", "/assets/1"])
def test_a_device_that_is_heard_without_a_state_is_not_called_unheard(console, path):
    unsaid(console)
    with console.reader(console.house.planner) as browser:
        page = browser.get(path).text
    assert "sends no state" in page
    assert "not heard yet" not in page


@pytest.mark.parametrize("path", ["/devices", "/devices/1", "/assets", "/assets/1"])
def test_a_device_that_was_never_heard_is_called_so(console, path):
    unsaid(console)
    with console.pool.connection() as connection:
        connection.execute("update device set last_seen_at = null, last_reading_at = null where id = 1")
    with console.reader(console.house.planner) as browser:
        page = browser.get(path).text
    assert "not heard yet" in page
    assert "sends no state" not in page


def test_who_follows_a_reason_finds_its_messages_and_remedy_before_the_other_reasons(console):
    with console.pool.connection() as connection:
        an_unknown_device(connection)
        message_id = a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/quarantine").text
        assert page.index('id="reasons"') < page.index(f'href="/quarantine/{message_id}"')
        page = browser.get("/quarantine?reason=not_a_number").text
        chosen = page[page.index('id="chosen"') : page.index(f'href="/quarantine/{message_id}"')]
        assert "A value is not a finite number" in chosen
        assert "Have the sender leave out what it cannot measure." in chosen
        assert page.index(f'href="/quarantine/{message_id}"') < page.index('id="reasons"')


def test_an_empty_filter_is_not_said_to_be_an_empty_quarantine(console):
    with console.pool.connection() as connection:
        a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/quarantine?site=plant-1&device=nobody").text
        assert "No message fits this filter." in page
        assert "all that came could be used" not in page
    with console.pool.connection() as connection:
        connection.execute("delete from quarantine")
    with console.reader(console.house.planner) as browser:
        assert "all that came could be used" in browser.get("/quarantine").text


def test_the_messages_of_an_unknown_device_lead_to_its_adoption_and_then_to_the_device(console):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        an_unknown_device(connection)
        an_unknown_device(connection, "press-8", 1, feed)
    with console.reader(console.house.planner) as browser:
        for query, form in (
            ("site=plant-1&device=press-7", "/devices/adopt?site=plant-1&name=press-7"),
            (f"feed={feed.id}&device=press-8", f"/devices/adopt?feed={feed.id}&name=press-8"),
        ):
            page = browser.get(f"/quarantine?{query}").text
            assert f'href="{form.replace("&", "&amp;")}"' in page
            assert "To the device" not in page
            assert browser.get(form).status_code == 200
        assert "/devices/adopt" not in browser.get("/quarantine?reason=unknown_device").text
        browser.post("/devices/adopt", data={"device": "press-7", "site": SITE, "tag": "M-1"})
        page = browser.get("/quarantine?site=plant-1&device=press-7").text
        assert "/devices/adopt" not in page
        assert 'href="/devices/2"' in page


def test_a_message_leads_to_its_device_and_the_device_to_all_that_waits_of_it(console):
    with console.pool.connection() as connection:
        message_id = a_bad_message(connection)
        a_lossy_device(connection)
    with console.reader(console.house.planner) as browser:
        assert 'href="/devices/1"' in browser.get(f"/quarantine/{message_id}").text
        page = browser.get("/devices/1").text
        (address,) = re.findall(r'href="(/quarantine\?[^"]+)"', page)
        assert f'href="/quarantine/{message_id}"' in browser.get(address.replace("&amp;", "&")).text


def test_a_device_of_the_same_name_on_a_feed_is_another_device(console):
    with console.pool.connection() as connection:
        feed = a_gateway_feed(connection)
        connection.execute("update device set feed_id = %s, feed_key = 'press-7' where id = 1", (feed.id,))
        message_id = a_bad_message(connection)
    with console.reader(console.house.planner) as browser:
        assert 'href="/devices/1"' not in browser.get(f"/quarantine/{message_id}").text
        assert 'href="/devices/1"' in browser.get(f"/quarantine?feed={feed.id}&device=press-7").text


def test_no_way_leads_to_a_device_of_another_site(console):
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    with console.reader(stranger) as browser:
        page = browser.get("/quarantine?site=plant-1&device=dev-M-1").text
        assert "/devices/1" not in page
        assert "/devices/adopt" not in page


def test_the_service_leads_to_the_devices(console):
    with console.pool.connection() as connection:
        a_silent_feed(connection)
    with console.reader(console.house.planner) as browser:
        assert '<a href="/devices">1 / 1</a>' in browser.get("/service").text


def test_the_features_of_a_waveform_are_told_apart_in_the_readers_words():
    def chinese(metric: str) -> str:
        return quantity_of(metric, catalogue(Language.ZH).gettext)

    assert quantity_of("drive_end.crest", str) == "drive end · crest factor"
    assert quantity_of("drive_end.envelope_peak_2", str) == "drive end · envelope peak 2"
    assert quantity_of("drive_end.envelope_peak_2_hz", str) == "drive end · frequency of envelope peak 2"
    assert quantity_of("door.open", str) == "door.open"
    assert chinese("vibration.rms") == "振动 · 均方根"
    assert chinese("drive_end.band_6") == "驱动端 · 频带 6"
    assert chinese("temperature_c") == "温度"
    assert (unit_of("drive_end.velocity_rms_mm_s", None), unit_of("temperature_c", "K")) == ("mm/s", "K")
    assert unit_of("drive_end.crest", None) == ""


def test_a_tag_and_a_name_in_one_link_stay_apart_where_links_are_flexible_boxes():
    templates = sorted(Path(rendering.__file__).parent.parent.glob("templates/**/*.html"))
    joined = [
        f"{one.name}: {link}"
        for one in templates
        for link in re.findall(
            r'<a [^>]*href="[^"]*"[^>]*><span class="code">[^\n]*?</span> [^\n]*?</a>', one.read_text()
        )
    ]
    assert templates
    assert joined == []
