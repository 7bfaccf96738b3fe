"""Dispatch rules in the console: in force, linted, tried on past tickets and published; certificates (SPEC X3, X4)."""

from __future__ import annotations

import re

import pytest

from api.dispatch_schemas import DispatchSection
from api.languages import Language
from api.pages import dispatch_rule_words
from api.pages.dispatch_forms import KIND, DispatchForm
from api.pages.policy_words import FIELDS, SECTIONS
from api.pages.saying import said
from storage import dispatch_rules, qualifications
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere
from tests.ticket_builders import a_device_ticket, a_report, command
from ticketing.dispatching.lint import Grade, TroubleKind
from ticketing.dispatching.rules import Rule
from ticketing.policy.dispatch import SkillRule

FORM = {
    "skills": "all", "field:hard.least_level": "1", "field:hard.load_limit": "3", "field:hard.on_call_priority": "1",
    "field:weights.distance": "0.4", "field:weights.load": "0.3", "field:weights.skill": "0.3",
    "field:weights.first_time_fix": "0.2", "field:weights.same_fault": "0.1", "field:weights.continuity": "0.1",
    "field:soft.near_km": "15", "field:soft.bonus_from": "0.85", "field:soft.same_fault_h": "72",
    "field:fallback.fallback_after_s": "900", "field:fallback.urgent_fallback_after_s": "0",
    "field:fallback.remind_every_s": "1800",
}  # fmt: skip


@pytest.fixture
def working(console: Console) -> Console:
    """The console over a house with two tickets, one of them with far, though near is nearer."""
    with console.pool.connection() as connection:
        code = a_device_ticket(connection, console.house)
        command(connection, code, "dispatch", console.house.supervisor, {"assignee_id": console.house.far.person_id})
        a_report(connection, console.house)
    return console


def in_force(console: Console) -> tuple[int, DispatchSection]:
    with console.pool.connection() as connection:
        found = dispatch_rules.rules_in_force(connection)
    return found.policy_id, DispatchSection.model_validate(found.section)


def after(page: str) -> str:
    (number,) = re.findall(r'name="after" value="(\d+)"', page)
    return number


def seen(page: str) -> str:
    (mark,) = re.findall(r'name="seen" value="(\w+)"', page)
    return mark


def needed(console: Console) -> list[qualifications.CertificateNeeded]:
    with console.pool.connection() as connection:
        return qualifications.list_certificates_needed(connection)


def test_the_page_tells_the_rules_in_force_to_everybody_of_the_staff(console):
    with console.reader(console.house.near) as browser:
        page = browser.get("/dispatch").text
        for told in ("all skills that are asked", "15", "900", "is not absent", "Weight of the distance", "km"):
            assert told in page, told
        assert "<button" not in page.split("<main", 1)[1], "engineers change nothing here"
    with console.reader(console.house.requester) as browser:
        assert browser.get("/dispatch").status_code == 403


def test_what_the_form_says_untouched_is_what_is_in_force(console):
    _, section = in_force(console)
    form = DispatchForm.of_section(section)
    assert DispatchSection.model_validate(form.section()) == section
    assert form.changes(section) == []
    assert {
        name.removeprefix("field:"): value for name, value in FORM.items() if name != "skills"
    } == form.numbers.texts


def test_rules_are_tried_side_by_side_before_they_are_published(working, admin):
    with working.reader(admin) as browser:
        form = {**FORM, "after": after(browser.get("/dispatch").text), "field:soft.near_km": "30"}
        tried = browser.post("/dispatch", data={**form, "step": "look"})
        assert tried.status_code == 200
        for told in ("As it happened", "Rules in force", "These rules", "Tickets: 2", "15 km", "30 km", "D000001"):
            assert told in tried.text, told
        assert in_force(working)[1].near_km == 15.0, "trying changes nothing"
        unseen = browser.post("/dispatch", data={**form, "step": "publish", "reason": "far sites"})
        assert unseen.status_code == 200
        assert in_force(working)[1].near_km == 15.0, "what nobody has looked at is tried, not published"
        ready = {**form, "step": "publish", "seen": seen(tried.text)}
        without = browser.post("/dispatch", data={**ready, "reason": ""})
        assert without.status_code == 422
        assert "As it happened" in without.text, "the trial stands beside the refusal"
        assert browser.post("/dispatch", data={**ready, "reason": "far sites"}).status_code == 303
        assert in_force(working)[1].near_km == 30.0
        stale = browser.post("/dispatch", data={**ready, "field:soft.near_km": "40", "reason": "again"})
        assert stale.status_code == 200, "edited since it was seen: tried once more"
        stale = browser.post("/dispatch", data={**ready, "reason": "again"})
        assert stale.status_code == 409
        assert (
            "again</textarea>"
            in browser.post("/dispatch", data={**ready, "field:soft.near_km": "40", "reason": "again"}).text
        )


def test_who_would_go_is_told_ticket_by_ticket(working, admin):
    with working.reader(admin) as browser:
        form = {**FORM, "after": "1", "step": "look"}
        page = browser.post("/dispatch", data=form).text
        row = page[page.index('href="/tickets/D000001"') :].split("</tr>")[0]
    assert "Far" in row
    assert "Near" in row


def test_a_field_that_is_not_right_says_what_is_expected_and_keeps_the_others(console, admin):
    with console.reader(admin) as browser:
        wrong = browser.post("/dispatch", data={**FORM, "field:hard.load_limit": "many", "field:soft.near_km": "7"})
    assert wrong.status_code == 422
    assert "a whole number from 1 to 50" in wrong.text
    assert "many" in wrong.text
    assert 'value="7"' in wrong.text
    assert in_force(console)[1].load_limit == 3


def test_rules_that_leave_work_to_nobody_are_refused_and_the_lint_says_which(console, admin):
    with console.reader(admin) as browser:
        form = {**FORM, "after": after(browser.get("/dispatch").text), "field:hard.least_level": "5"}
        tried = browser.post("/dispatch", data={**form, "step": "look"}).text
        assert "Nobody could be sent" in tried
        assert "motor/bearing_wear at plant-1" in tried
        refused = browser.post(
            "/dispatch", data={**form, "step": "publish", "seen": seen(tried), "reason": "the best only"}
        )
        assert refused.status_code == 422
        assert "the best only</textarea>" in refused.text
        assert in_force(console)[1].least_level == 1
        nothing = {name: "0" for name in FORM if name.startswith("field:weights.")}
        weightless = browser.post("/dispatch", data={**form, **nothing, "step": "look"})
        assert weightless.status_code == 422


def test_the_lint_speaks_chinese(console, admin):
    with console.pool.connection() as connection:
        connection.execute("delete from person_skill where skill = 'mechanical'")
        troubles = dispatch_rules.lint_in_force(connection, NOW)
    assert {one.grade for one in troubles} == {Grade.ERROR, Grade.WARNING}
    for one in troubles:
        sentence = said(one.told, Language.ZH)
        assert sentence is not None, one.told
        assert re.search(r"[\u4e00-\u9fff]", sentence)
    with console.reader(admin, "zh") as browser:
        page = browser.get("/dispatch").text
    assert said(troubles[0].told, Language.ZH) in page


def test_everything_that_the_rules_and_the_lint_may_say_has_words():
    assert set(dispatch_rule_words.HARD_RULES) == set(Rule)
    assert set(dispatch_rule_words.TROUBLES) == set(TroubleKind)
    assert set(dispatch_rule_words.GRADES) == set(Grade)
    assert set(dispatch_rule_words.SKILL_RULES) == set(SkillRule)
    assert {one.path for one in KIND.fields} <= set(FIELDS)
    assert {one.path.partition(".")[0] for one in KIND.fields} <= set(SECTIONS)


def test_a_certificate_is_asked_for_and_asked_for_no_longer(console, admin):
    form = {"certificate": "height", "site": "plant-1", "work": "motor/bearing_wear"}
    with console.reader(admin) as browser:
        wrong = browser.post("/dispatch/certificates", data={**form, "certificate": "Height !"})
        assert wrong.status_code == 422
        assert 'value="Height !"' in wrong.text
        assert 'value="motor/bearing_wear" selected' in wrong.text
        assert browser.post("/dispatch/certificates", data=form).status_code == 303
        assert browser.post("/dispatch/certificates", data=form).status_code == 409
        page = browser.get("/dispatch").text
        assert "Nobody there holds a certificate that is asked for" in page, "the lint says whom that leaves"
        assert "Bearing wear" in page
    (rule,) = needed(console)
    assert (rule.certificate, rule.site_id, rule.asset_type_id, rule.failure_mode) == (
        "height", "plant-1", "motor", "bearing_wear"
    )  # fmt: skip
    with console.reader(console.house.near) as browser:
        assert "height" in browser.get("/dispatch").text
        assert browser.post("/dispatch/certificates", data=form).status_code == 403
        assert browser.post(f"/dispatch/certificates/{rule.id}/remove").status_code == 403
    with console.reader(admin) as browser:
        assert browser.post(f"/dispatch/certificates/{rule.id}/remove").status_code == 303
        assert browser.post(f"/dispatch/certificates/{rule.id}/remove").status_code == 404
    assert needed(console) == []


def test_a_planner_of_one_site_asks_there_only_and_publishes_nothing(console):
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
        qualifications.ask_for_certificate(connection, "gas", "plant-2", None, None)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/dispatch").text
        assert 'value="look"' not in page, "the policy holds at every site"
        assert "gas" not in page, "what another site asks does not exist here"
        assert browser.post("/dispatch/certificates", data={"certificate": "x", "site": ""}).status_code == 403
        assert browser.post("/dispatch/certificates", data={"certificate": "x", "site": "plant-2"}).status_code == 404
        assert browser.post("/dispatch/certificates", data={"certificate": "x", "site": "plant-1"}).status_code == 303
        assert browser.post("/dispatch", data={**FORM, "after": "1", "step": "look"}).status_code == 403
        forced = {**FORM, "after": "1", "step": "publish", "field:soft.near_km": "30", "reason": "x"}
        mark = DispatchForm.of_section(in_force(console)[1].model_copy(update={"near_km": 30.0})).digest()
        assert browser.post("/dispatch", data={**forced, "seen": mark}).status_code == 403
    assert in_force(console)[1].near_km == 15.0
    with console.reader(stranger) as browser:
        assert "gas" in browser.get("/dispatch").text
