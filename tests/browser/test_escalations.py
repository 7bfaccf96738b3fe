"""An escalation as people meet it: on the timeline, and acknowledged by a click (SPEC N1, N2)."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from runtime.rounds import escalation_round
from tests.browser.conftest import DESK, PHONE, Site
from tests.console_builders import NOW
from tests.ticket_builders import MINUTE, a_report, carry
from ticketing.ticket import State

pytestmark = pytest.mark.chromium


@pytest.mark.parametrize(("language", "size"), [("en", DESK), ("en", PHONE), ("zh", DESK), ("zh", PHONE)])
def test_whom_it_reached_acknowledges_with_a_click(site: Site, language: str, size: dict[str, int]) -> None:
    house = site.console.house
    told, button = {"en": ("People told", "Acknowledge the escalation"), "zh": ("通知相关人员", "确认收到升级")}[
        language
    ]
    with site.console.pool.connection() as connection:
        code = a_report(connection, house, NOW)
        carry(connection, house, code, State.DISPATCHED, NOW)
    for minutes in (15, 25):
        escalation_round(site.console.pool, NOW + minutes * MINUTE)
    with site.visitor(house.supervisor, language=language, size=size) as supervisor:
        page = supervisor.visit(f"/tickets/{code}")
        expect(page.locator("body")).to_contain_text(told)
        expect(page.locator("body")).to_contain_text("Supervisor")
        page.locator("#escalations").get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_role("button", name=button, exact=True)).to_have_count(0)
