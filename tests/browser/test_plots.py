"""Plots in a real browser: read by keyboard, zoomed by dragging, and left alone by what comes meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from domain.readings import Readings
from storage import readings, rollups
from tests.browser.conftest import Site
from tests.browser.test_console import a_ticket
from tests.console_builders import NOW
from tests.ticket_builders import HOUR, MINUTE
from ticketing.ticket import State

pytestmark = pytest.mark.chromium

CHART = re.compile(r"/api/v1/series/1/chart\?")
HIDDEN = re.compile(r"\bu-off\b")
TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def a_reading(site: Site, value: float, at: datetime) -> None:
    """Store a reading of the vibration that the asset's page shows first."""
    stored = Readings(
        np.array([site.console.house.series_id], dtype=np.int32),
        np.array([int(at.timestamp() * 1e6)], dtype=np.int64),
        np.array([value]),
    )
    with site.console.pool.connection() as connection:
        readings.insert(connection, stored)
        rollups.mark_due(connection, [stored])


def a_drawn_plot(page: Page) -> tuple[Locator, Locator]:
    """The first chart of the page and the part of its plot that hears the pointer, once they are there."""
    chart = page.locator("ws-chart").first
    over = chart.locator(".u-over")
    expect(over).to_be_visible()
    return chart, over


def press_at(page: Page, over: Locator, x: int) -> None:
    over.hover(position={"x": x, "y": 50})
    page.mouse.down()


def stretch_of(request: Request) -> timedelta:
    """How long a stretch a chart was asked for."""
    asked = parse_qs(urlsplit(request.url).query)
    start, end = (datetime.fromisoformat(asked[name][0]) for name in ("from", "to"))
    return end - start


@contextmanager
def an_answer_on_its_way(page: Page) -> Iterator[Request]:
    """Have a poll ask, and keep its answer back until the end of the block; after that the page has dealt with it."""
    waiting: list[Route] = []
    page.route(CHART, lambda route: waiting.append(route), times=1)
    with page.expect_request(CHART) as asked:
        pass
    yield asked.value
    with page.expect_response(CHART) as answer:
        waiting[0].continue_()
    answer.value.finished()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_a_plot_is_read_by_keyboard_and_as_a_table_and_zooms_into_finer_data(site):
    code, _ = a_ticket(site, State.DISPATCHED)
    with site.visitor(site.console.house.near) as visitor:
        page = visitor.visit(f"/tickets/{code}")
        chart, over = a_drawn_plot(page)
        plot = chart.locator(".plot")
        expect(plot).to_have_attribute("aria-label", re.compile(r"^vibration from 2026-03-02 .* limit 5$"))
        plot.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        expect(chart.locator("output")).to_contain_text("mm/s")
        chart.locator("summary").click()
        expect(chart.locator("tbody tr")).not_to_have_count(0)
        with page.expect_request(CHART) as asked:
            press_at(page, over, 100)
            over.hover(position={"x": 250, "y": 60})
            page.mouse.up()
        assert "width=" in asked.value.url
        chart.get_by_role("button", name="Show the whole stretch").click()
        expect(chart.get_by_role("button", name="Show the whole stretch")).to_have_count(0)


def test_a_plot_and_its_cursor_stay_while_the_numbers_are_opened_and_newer_ones_come(site):
    with site.visitor(site.console.house.planner) as visitor:
        chart, over = a_drawn_plot(visitor.visit("/assets/1"))
        was = over.element_handle()
        chart.locator(".plot").press("End")
        read_at = TIME.match(chart.locator("output").inner_text())
        assert read_at is not None
        chart.locator("summary").click()
        expect(chart.locator("tbody tr")).not_to_have_count(0)
        a_reading(site, 9.9, NOW + 3 * HOUR)
        expect(chart.locator(".plot")).to_have_attribute("aria-label", re.compile("highest 9.9 mm/s"))
        assert was.evaluate("(over) => over.isConnected")
        expect(chart.locator(".u-cursor-x")).not_to_have_class(HIDDEN)
        # The stretch has moved on by hours, what is read has not: another bucket at most.
        reads = TIME.match(chart.locator("output").inner_text())
        assert reads is not None
        moved = datetime.fromisoformat(reads[0]) - datetime.fromisoformat(read_at[0])
        assert abs(moved) < 10 * MINUTE


def test_a_drag_zooms_even_when_newer_numbers_come_in_the_middle_of_it(site):
    with site.visitor(site.console.house.planner) as visitor:
        page = visitor.visit("/assets/1")
        chart, over = a_drawn_plot(page)
        dragged = 200 / over.evaluate("(over) => over.clientWidth")
        with an_answer_on_its_way(page) as poll:
            press_at(page, over, 100)
            over.hover(position={"x": 200, "y": 50})
        with page.expect_request(CHART) as asked:
            over.hover(position={"x": 300, "y": 50})
            page.mouse.up()
        expect(chart.get_by_role("button", name="Show the whole stretch")).to_be_visible()
        assert stretch_of(asked.value) / stretch_of(poll) == pytest.approx(dragged, rel=0.1)


def test_numbers_that_come_while_the_pointer_is_down_are_shown_when_it_is_up(site):
    with site.visitor(site.console.house.planner) as visitor:
        page = visitor.visit("/assets/1")
        chart, over = a_drawn_plot(page)
        other = re.compile("highest 9.9 mm/s")
        with an_answer_on_its_way(page):
            press_at(page, over, 100)
            a_reading(site, 9.9, NOW - 6 * HOUR + MINUTE / 2)
        expect(chart.locator(".plot")).not_to_have_attribute("aria-label", other)
        page.mouse.up()
        expect(chart.locator(".plot")).to_have_attribute("aria-label", other)


def test_a_plot_follows_the_width_of_its_place_and_the_colours_asked_for(site):
    with site.visitor(site.console.house.planner) as visitor:
        page = visitor.visit("/assets/1")
        chart, over = a_drawn_plot(page)
        was = over.element_handle()
        canvas, place = chart.locator("canvas"), chart.locator(".plot")
        wide = place.evaluate("(place) => place.clientWidth")
        page.set_viewport_size({"width": wide - 100, "height": 900})
        narrow = place.evaluate("(place) => place.clientWidth")
        assert narrow < wide
        expect(canvas).to_have_js_property("clientWidth", narrow)
        assert was.evaluate("(over) => over.isConnected")
        light = canvas.evaluate("(canvas) => canvas.toDataURL()")
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(
            "(light) => document.querySelector('ws-chart').shadowRoot.querySelector('canvas').toDataURL() !== light",
            arg=light,
        )


def test_a_live_plot_follows_new_readings_and_says_when_it_cannot(site):
    with site.visitor(site.console.house.planner) as visitor:
        page = visitor.visit("/assets/1")
        chart, _ = a_drawn_plot(page)
        page.route("**/span", lambda route: route.abort())
        expect(chart.locator(".trouble")).to_contain_text("could not be fetched")
        page.unroute("**/span")
        chart.get_by_role("button", name="Try again").click()
        expect(chart.locator(".trouble")).to_have_count(0)
        visitor.troubles.clear()  # the aborted request, which this test asked for
