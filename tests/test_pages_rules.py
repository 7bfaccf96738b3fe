"""Rules in the console: mode, score, what is proposed, and the change of mode (SPEC P4, P5)."""

from __future__ import annotations

import pytest
from psycopg.types.json import Jsonb

from storage.detection_policy import detection_in_force
from storage.rule_proposals import propose
from storage.rules import rule_versions
from tests.console_builders import NOW, Console
from tests.lesson_builders import SIGNATURE, lessons
from tests.operations_builders import a_planner_elsewhere

RULE = "drift-m-1"


@pytest.fixture
def doubted(console: Console) -> Console:
    """The console over a house whose rule was wrong nine times of ten, and is proposed for shadow."""
    with console.pool.connection() as connection:
        connection.execute("update failure_mode set signature = %s", (Jsonb(SIGNATURE),))
        connection.execute('update rule set parameters = \'{"k": 0.5, "h": 8.0}\'')
        lessons(connection, console.house, right=1, wrong=9)
        propose(connection, detection_in_force(connection)[1].trust, NOW)
    return console


def newest(console: Console) -> tuple[int, str, str | None]:
    with console.pool.connection() as connection:
        rule = rule_versions(connection, RULE)[0]
    return rule.version, rule.draft.mode.value, rule.published_by


def test_the_list_tells_mode_score_and_proposal_to_everybody_of_the_staff(doubted):
    with doubted.reader(doubted.house.near) as browser:
        page = browser.get("/rules").text
    for told in (RULE, "slow drift", "Automatic", "1 of 10", "proposed: Shadow", "2 d"):
        assert told in page, told
    with doubted.reader(doubted.house.requester) as browser:
        assert browser.get("/rules").status_code == 403


def test_one_rule_tells_its_parameters_versions_and_figures(doubted):
    with doubted.reader(doubted.house.near) as browser:
        page = browser.get(f"/rules/{RULE}").text
    for told in ("1 of 10 closures found it right", "vibration_mm_s", "8.0", "Last 90 days", "100 %"):
        assert told in page, told
    assert "Change the mode" not in page, "engineers decide nothing here"
    assert 'name="mode"' not in page


def test_a_planner_of_every_site_accepts_what_is_proposed(doubted, admin):
    with doubted.pool.connection() as connection:
        (number,) = connection.execute("select id from rule_proposal").fetchone() or ()
    address = f"/rules/{RULE}/proposals/{number}"
    with doubted.reader(admin) as browser:
        assert browser.post(address, data={"step": "accept", "reason": ""}).status_code == 422
        assert browser.post(address, data={"step": "accept", "reason": "it cries wolf"}).status_code == 303
        page = browser.get(f"/rules/{RULE}").text
    assert newest(doubted)[:2] == (2, "shadow")
    assert "it cries wolf" in page
    assert "Proposal accepted" in page


def test_a_proposal_is_declined_with_a_reason_and_only_once(doubted, admin):
    with doubted.pool.connection() as connection:
        (number,) = connection.execute("select id from rule_proposal").fetchone() or ()
    address = f"/rules/{RULE}/proposals/{number}"
    with doubted.reader(admin) as browser:
        assert browser.post(address, data={"step": "decline", "reason": "the sensor was loose"}).status_code == 303
        refused = browser.post(address, data={"step": "accept", "reason": "now"})
        assert refused.status_code == 409
    assert newest(doubted)[:2] == (1, "auto")


def test_the_mode_is_changed_by_publishing_the_next_version(doubted, admin):
    with doubted.reader(admin) as browser:
        assert browser.post(f"/rules/{RULE}/mode", data={"mode": "review", "version": "1"}).status_code == 303
        stale = browser.post(f"/rules/{RULE}/mode", data={"mode": "off", "version": "1"})
        assert stale.status_code == 409
        assert browser.post(f"/rules/{RULE}/mode", data={"mode": "loud", "version": "2"}).status_code == 422
    version, mode, person = newest(doubted)
    assert (version, mode) == (2, "review")
    assert person is not None


def test_who_plans_for_one_site_only_changes_no_rule(doubted):
    with doubted.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    for actor in (doubted.house.planner, stranger, doubted.house.near):
        with doubted.reader(actor) as browser:
            assert browser.post(f"/rules/{RULE}/mode", data={"mode": "off", "version": "1"}).status_code == 403
            assert 'name="mode"' not in browser.get(f"/rules/{RULE}").text
    assert newest(doubted)[:2] == (1, "auto")


def test_an_unknown_rule_is_told_as_such(doubted, admin):
    with doubted.reader(admin) as browser:
        for name, status in (("nobody", 404), ("a" * 64, 404), ("a" * 65, 422), ("%3Cscript%3E", 422), ("%00", 422)):
            assert browser.get(f"/rules/{name}").status_code == status, name
        assert "<script>" not in browser.get("/rules/%3Cscript%3E").text.split("<main", 1)[1]
