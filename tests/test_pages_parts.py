"""Parts in the console: what is free, what is kept, and what is to be ordered (SPEC P3)."""

from __future__ import annotations

import re

from storage import supply
from tests.console_builders import NOW
from tests.ticket_builders import a_device_ticket, carry
from ticketing.ticket import State

BEARING = "6204-2RS"


def short_by(console, pieces: int) -> None:
    """Let the store want to keep so many more bearings than it has."""
    with console.pool.connection() as connection:
        supply.set_supply(
            connection, BEARING, lead_time_days=9, reorder_level=10 + pieces, substitutes=["SEAL-35"], now=NOW
        )


def test_what_is_kept_for_tickets_is_not_free(console):
    with console.pool.connection() as connection:
        carry(connection, console.house, a_device_ticket(connection, console.house), State.DISPATCHED)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/parts").text
    (row,) = re.findall(rf"(?s)<tr role=\"row\"><td[^>]*>(?:(?!</tr>).)*{BEARING}(?:(?!</tr>).)*</tr>", page)
    assert re.findall(r'class="figure"[^>]*>(\d+)<', row) == ["8", "10", "2", "0"]


def test_a_proposal_is_decided_by_who_may_and_leaves_the_list(console):
    short_by(console, 3)
    with console.reader(console.house.near) as browser:
        page = browser.get("/parts").text
        assert "To be ordered" in page
        assert "/decision" not in page
    with console.reader(console.house.planner, "zh") as browser:
        page = browser.get("/parts").text
        assert "待订购" in page
        (address,) = set(re.findall(r'action="(/reorder-proposals/\d+/decision)"', page))
        assert browser.post(address, data={"decision": "ordered"}).status_code == 303
        page = browser.get("/parts").text
        assert "待订购" not in page
        assert "订购中" in page
        assert browser.post(address, data={"decision": "ordered"}).status_code == 409
        assert browser.post(address, data={"decision": "eaten"}).status_code == 422
    with console.reader(console.house.near) as browser:
        assert browser.post(address, data={"decision": "ordered"}).status_code == 403
