"""Backtests in the console: rules tried on history by form, and what came of it in words and figures (SPEC D7)."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from api.backtest_schemas import LABELS_MAX
from api.pages.backtest_forms import Asked, changed, fields_of
from api.pages.backtest_words import FIGURES, RUN_KINDS, RUN_STATES, VERDICTS, Measure, written
from detectors.backtest import MachineResult, Outcome, Score, TicketTold, Verdict, figures, total
from detectors.calibrate import HeldOut, Proposal, Tried
from runtime.backtesting import run_waiting
from storage import backtests, library
from storage.backtest_json import BacktestRequest, CalibrationRequest
from storage.backtests import Backtest, Draft, Kind, State
from storage.cases import Label
from storage.rules import rule_versions
from tests.console_builders import NOW, Console
from tests.lesson_builders import SIGNATURE
from tests.operations_builders import HOSTILE, a_planner_elsewhere
from tests.rules_builders import a_draft
from tests.ticket_builders import DAY, HOUR
from ticketing.actors import Actor

RULE = "drift-m-1"
FORM = {
    "rule": RULE,
    "asset_type": "motor",
    "since": "2026-02-20T08:00",
    "until": "2026-03-02T16:00",
    "step": "changed",
    "parameter:h": "5",
}
SEEK = {**FORM, "step": "calibrate", "parameter": "h", "wanted": "0.2"}


def a_watched_motor(console: Console) -> None:
    """Let the house's rule have parameters of its own, and be enough for a ticket."""
    signature = {**SIGNATURE, "findings": [{**SIGNATURE["findings"][0], "log_odds": 6.0}]}
    with console.pool.connection() as connection:
        connection.execute("update failure_mode set signature = %s", (Jsonb(signature),))
        connection.execute('update rule set parameters = \'{"k": 0.5, "h": 8.0}\'')


@pytest.fixture
def worn(console: Console) -> Console:
    """The console over a motor that wears within the last half day, watched by a rule."""
    a_watched_motor(console)
    return console


def stored(console: Console) -> list[Backtest]:
    with console.pool.connection() as connection:
        return backtests.page(connection, sites=None)


def ran(console: Console) -> None:
    assert run_waiting(console.pool.conninfo, console.clock, threading.Event(), workers=0) == 1


def asked(console: Console, request: BacktestRequest | CalibrationRequest | None = None, person: Actor | None = None):
    """Ask for a backtest of the house's motors over the last day."""
    draft = Draft("motor", None, NOW - DAY, NOW, request or BacktestRequest(()))
    by = (person or console.house.planner).person_id
    with console.pool.connection() as connection:
        return backtests.ask(connection, draft, sites=None, person_id=by, now=NOW)


def a_score(tickets: int, right: int, false: int, *leads_h: float) -> Score:
    return Score(6.0, tickets, tickets, right, false, truths=2, caught=len(leads_h), leads_h=leads_h)


def answered(console: Console, one: MachineResult | str) -> None:
    """Let the waiting backtest end with one machine's result, or the reason why there is none."""
    result, error = (None, one) if isinstance(one, str) else (one, None)
    with console.pool.connection() as connection:
        claimed = backtests.claim_next(connection, NOW)
        assert claimed is not None
        backtests.record(connection, claimed, console.house.asset_id, result, error)
        backtests.finish(connection, claimed, NOW)


def sought(console: Console, **changes: object) -> int:
    """End a calibration with a proposal, and return its id."""
    with console.pool.connection() as connection:
        rule = rule_versions(connection, RULE)[0].draft
    run = asked(console, CalibrationRequest(rule, "h", 0.2))
    held_out = HeldOut(10.5, 1, 0.31, 0.016, 1.4, holds=True)
    tried = (Tried(4.0, 90, 12.5, 0.3), Tried(11.25, 1, 0.15, 0.02))
    given = {"limit": 11.25, "rate": 0.15, "reached": True, "held_out": held_out, **changes}
    proposal = Proposal(RULE, "h", 8.0, 0.2, machine_months=6.5, tried=tried, **given)  # type: ignore[arg-type]
    with console.pool.connection() as connection:
        claimed = backtests.claim_next(connection, NOW)
        assert claimed is not None
        backtests.finish(connection, claimed, NOW, proposal=proposal)
    return run.id


def words_of(page: str) -> str:
    """What a page says, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.split("<main", 1)[1]))


def rows_of(page: str, title: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    table = page.split(title, 1)[1].split("<tbody", 1)[1].split("</tbody>", 1)[0]
    return [
        [" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in re.findall(r"(?s)<td.*?</td>", row)]
        for row in re.findall(r"(?s)<tr.*?</tr>", table)
    ]


# Asking


def test_a_rule_is_tried_on_history_by_form_and_told_beside_what_is_in_force(worn):
    """SPEC D7: tickets, lead time, precision and false alarms, candidate beside in force, for each machine."""
    with worn.reader(worn.house.planner) as browser:
        made = browser.post("/backtests", data=FORM)
        assert (made.status_code, made.headers["location"]) == (303, "/backtests/1")
        assert "Waiting" in browser.get("/backtests/1").text
        ran(worn)
        page = browser.get("/backtests/1").text
    (run,) = stored(worn)
    (tried,) = run.request.rules
    assert (tried.name, tried.parameters) == (RULE, {"k": 0.5, "h": 5.0})
    assert (run.since.isoformat(), run.until.isoformat()) == ("2026-02-20T00:00:00+00:00", "2026-03-02T08:00:00+00:00")
    with worn.pool.connection() as connection:
        (answer,) = backtests.answers_of(connection, run.id)
    expected = figures(total([answer.result.candidate.score]))
    assert expected["tickets"] > 0, "the motor wears: there is something to tell"
    table = {row[0]: row[1:] for row in rows_of(page, "Beside the rules in force")}
    assert table["Tickets"][1] == str(expected["tickets"])
    assert [row[0] for row in rows_of(page, "Machine by machine")] == ["M-1"]
    assert len(rows_of(page, "Tickets it would have opened")) == expected["tickets"]
    assert "in force now: 8.0" in words_of(page)
    assert "1 of 1 machines" in page


def test_the_form_is_filled_with_what_is_in_force_and_the_last_thirty_days_of_data(worn):
    with worn.pool.connection() as connection:
        connection.execute("update device set last_reading_at = %s", (NOW - 10 * DAY,))
    with worn.reader(worn.house.planner) as browser:
        page = browser.get(f"/backtests?rule={RULE}").text
    assert 'name="parameter:h" value="8"' in page
    assert 'name="parameter:clip" value="5"' in page
    assert 'name="until" value="2026-02-20T10:01"' in page, "data end ten days ago, at 10:00 of the site"
    assert 'name="since" value="2026-01-21T10:01"' in page
    assert "UTC+8 · Asia/Shanghai" in page
    limits = re.search(r'(?s)<select id="parameter".*?</select>', page).group()
    assert re.findall(r'value="(\w+)"', limits) == ["h", "k"], "limits that can be sought, no others"


def test_a_parameter_left_alone_stays_the_detectors_and_one_typed_is_tried():
    draft = a_draft("x", detector="threshold", high=16.0)
    shown = {one.name: one for one in fields_of(draft, {})}
    assert (shown["high"].value, shown["low"].value, shown["latch"].value) == ("16", "", "false")
    untouched = {one.name: one.value for one in shown.values()}
    assert changed(draft, Asked(parameters=untouched)).parameters == {"high": 16.0}
    typed = {**untouched, "high": "12.5", "low": "3", "consecutive": "4", "latch": "true"}
    made = changed(draft, Asked(parameters=typed))
    assert made.parameters == {"high": 12.5, "low": 3.0, "consecutive": 4, "latch": True}
    assert changed(draft, Asked(parameters={**untouched, "high": ""})).parameters == {"high": None}


def test_a_rule_can_be_tried_away_and_one_in_shadow_is_tried_as_if_it_acted(worn):
    with worn.pool.connection() as connection:
        connection.execute("update rule set mode = 'shadow'")
    with worn.reader(worn.house.planner) as browser:
        for step, mode in (("without", "off"), ("changed", "auto")):
            assert browser.post("/backtests", data={**FORM, "step": step}).status_code == 303
            assert stored(worn)[0].request.rules[0].mode == mode
        assert "Tried without this rule." in browser.get("/backtests/1").text


def test_a_limit_is_sought_by_form_for_the_rule_in_force(worn):
    with worn.reader(worn.house.planner) as browser:
        made = browser.post("/backtests", data=SEEK)
    assert made.headers["location"] == "/backtests/1"
    (run,) = stored(worn)
    assert (run.kind, run.request.parameter, run.request.wanted) == (Kind.CALIBRATION, "h", 0.2)
    assert run.request.rule.parameters == {"k": 0.5, "h": 8.0}, "what was typed above it is no part of it"


def test_a_refusal_reads_as_chinese_with_its_names_and_numbers(worn):
    with worn.reader(worn.house.planner, "zh") as browser:
        for change, told in (
            ({"parameter:h": "much"}, "&#39;h&#39; 应为数值，收到 &#39;much&#39;"),
            ({"parameter:h": "0"}, "&#39;h&#39; 应在 0.001 与 1e+06 之间，收到 0.0"),
            ({"until": FORM["since"]}, "不超过 1830 天且结束晚于开始的时段"),
            ({"step": "calibrate", "parameter": "clip", "wanted": "1"}, "&#39;cusum&#39; 的限值参数：h, k"),
        ):
            assert told in browser.post("/backtests", data={**FORM, **change}).text, told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"parameter:h": "much"}, "&#39;h&#39; must be a number, got &#39;much&#39;"),
        ({"parameter:h": ""}, "&#39;h&#39; must be a number"),
        ({"parameter:h": "nan"}, "&#39;h&#39; must be a number"),
        ({"parameter:side": "left"}, "&#39;side&#39; must be one of up, down, both"),
        ({"parameter:consecutive": "1.5"}, "&#39;consecutive&#39; must be a whole number"),
        ({"since": "2026-03-02T16:00", "until": "2026-03-02T08:00"}, "a span of up to 1830 days"),
        ({"since": "soon"}, "since"),
        ({"asset_type": "pump"}, "for the type"),
        ({"step": "calibrate", "parameter": "clip", "wanted": "0.2"}, "a limit of &#39;cusum&#39;: h, k"),
        ({"step": "calibrate", "parameter": "h", "wanted": "none at all"}, "wanted"),
    ],
)
def test_what_cannot_be_tried_is_refused_beside_the_form_that_keeps_what_was_typed(worn, change, told):
    form = {**FORM, **change}
    with worn.reader(worn.house.planner) as browser:
        refused = browser.post("/backtests", data=form)
    assert refused.status_code in (404, 422)
    assert told in refused.text.split('id="refusal"', 1)[1]
    for name in set(form) - {"rule", "asset_type", "step", "parameter", "parameter:side"}:
        assert f'name="{name}" value="{form[name]}"' in refused.text, name
    assert stored(worn) == []


def test_a_rule_or_a_run_that_does_not_exist_is_told_as_such(worn):
    with worn.reader(worn.house.planner) as browser:
        assert browser.get("/backtests?rule=nobody").status_code == 404
        assert browser.post("/backtests", data={**FORM, "rule": "nobody"}).status_code == 404
        assert browser.post("/backtests", data={**FORM, "rule": "a\0"}).status_code == 404
        assert browser.get("/backtests/7").status_code == 404
        assert browser.post("/backtests/7/cancel").status_code == 404
        assert browser.post("/backtests/7/remove").status_code == 404


def test_too_many_that_wait_are_refused(worn):
    for _ in range(backtests.WAITING_MAX):
        asked(worn)
    with worn.reader(worn.house.planner, "zh") as browser:
        refused = browser.post("/backtests", data=FORM)
        assert refused.status_code == 409
        assert "等待中的回测过多" in refused.text
    assert len(stored(worn)) == backtests.WAITING_MAX


# Who


def test_the_staff_reads_and_only_planners_ask_cancel_and_remove(worn):
    asked(worn)
    for actor in (worn.house.near, worn.house.supervisor):
        with worn.reader(actor) as browser:
            page = browser.get("/backtests").text
            assert "/backtests/1" in page
            assert "Try with these values" not in page
            page = browser.get("/backtests/1").text
            assert "/cancel" not in page
            assert "/remove" not in page
            for address in ("/backtests", "/backtests/1/cancel", "/backtests/1/remove"):
                assert browser.post(address, data=FORM).status_code == 403
    with worn.reader(worn.house.requester) as browser:
        assert browser.get("/backtests").status_code == 403
        assert browser.get("/backtests/1").status_code == 403
    assert [one.state for one in stored(worn)] == [State.WAITING]


def test_what_concerns_another_site_does_not_exist(worn):
    asked(worn)
    with worn.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    with worn.reader(stranger) as browser:
        assert "/backtests/1" not in browser.get("/backtests").text
        for answer in (
            browser.get("/backtests/1"),
            browser.post("/backtests/1/cancel"),
            browser.post("/backtests/1/remove"),
        ):
            assert answer.status_code == 404
        refused = browser.post("/backtests", data=FORM)
        assert refused.status_code == 404, "there is no motor where the stranger plans"
    assert [one.state for one in stored(worn)] == [State.WAITING]


# What came of it


def test_the_list_tells_who_asked_for_what_newest_first_page_by_page(worn, monkeypatch):
    monkeypatch.setattr("api.pages.backtests.LIST_MAX", 2)
    for _ in range(2):
        asked(worn)
    sought(worn)
    with worn.reader(worn.house.near) as browser:
        page = browser.get("/backtests").text
        first, second = rows_of(page, "Rules tried on history")
        older = browser.get(re.search(r'href="(/backtests\?before=\d+)"', page).group(1)).text
    assert [first[0], second[0]] == ["Limit sought by replay 3", "Rule tried on history 2"]
    assert "Planner" in first[4]
    assert "2026-03-01 10:00 – 2026-03-02 10:00 UTC+8" in first[2]
    assert [row[0] for row in rows_of(older, "Rules tried on history")] == ["Rule tried on history 1"]


def test_a_page_renews_itself_only_while_something_runs_and_has_a_link_for_those_without_scripts(worn):
    asked(worn)
    with worn.reader(worn.house.planner) as browser:
        for path in ("/backtests", "/backtests/1"):
            assert 'hx-trigger="every' in browser.get(path).text
        assert '<a href="/backtests/1">Load this page anew' in browser.get("/backtests/1").text
        answered(worn, "the disk is full")
        for path in ("/backtests", "/backtests/1"):
            assert 'hx-trigger="every' not in browser.get(path).text


def test_figures_stand_beside_each_other_with_their_difference(worn):
    ticket = TicketTold("bearing_wear", NOW - HOUR, 0.7, Verdict.RIGHT, 30.0, (RULE,))
    lost = TicketTold("gone_mode", NOW - 2 * HOUR, 0.7, Verdict.FALSE, None, ())
    candidate = Outcome(a_score(4, 2, 1, 30.0, 50.0), (ticket, lost), ())
    asked(worn)
    answered(worn, MachineResult(worn.house.asset_id, "M-1", 1440, candidate, Outcome(a_score(5, 1, 4, 10.0), (), ())))
    with worn.reader(worn.house.near) as browser:
        page = browser.get("/backtests/1").text
    assert {row[0]: row[1:] for row in rows_of(page, "Beside the rules in force")} == {
        "Tickets": ["5", "4", "−1"],
        "Right": ["1", "2", "+1"],
        "False": ["4", "1", "−3"],
        "Undecided": ["0", "1", "+1"],
        "Precision": ["20 %", "67 %", "+47 %"],
        "Failures foreseen": ["50 %", "100 %", "+50 %"],
        "Lead, median, in hours": ["10", "40", "+30"],
        "False alarms per machine-month": ["0.667", "0.167", "−0.5"],
    }
    assert rows_of(page, "Machine by machine") == [["M-1", "5", "1", "4", "4", "2", "1"]]
    first, second = rows_of(page, "Tickets it would have opened")
    assert first[1:] == ["M-1", "gone_mode", "False", "–", "–"]
    assert second[1:] == ["M-1", "Bearing wear", "Right", "1 d 6 h", RULE]
    assert second[0] == "2026-03-02 09:00 UTC+8"


def test_a_machine_that_was_not_tried_is_told_by_name_and_hostile_text_stays_text(worn):
    with worn.pool.connection() as connection:
        connection.execute("update rule set metric = %s", (HOSTILE,))
        rule = rule_versions(connection, RULE)[0].draft
    asked(worn, BacktestRequest((rule,)))
    answered(worn, f"no such event: {HOSTILE}")
    with worn.reader(worn.house.planner) as browser:
        for path in ("/backtests/1", f"/backtests?rule={RULE}"):
            page = browser.get(path).text
            assert "<script>alert" not in page
            assert "\u202e" not in page
        (row,) = rows_of(browser.get("/backtests/1").text, "Machine by machine")
        typed = browser.post("/backtests", data={**FORM, "parameter:h": HOSTILE, "since": HOSTILE}).text
    assert "not tried" in row[1]
    assert "no such event: &lt;script&gt;" in row[1]
    assert "<script>alert" not in typed


def test_one_that_failed_says_why_behind_a_fold(worn):
    asked(worn)
    with worn.pool.connection() as connection:
        claimed = backtests.claim_next(connection, NOW)
        backtests.finish(connection, claimed, NOW, error="expected readings, got none")
    with worn.reader(worn.house.near, "zh") as browser:
        page = browser.get("/backtests/1").text
    assert "失败" in page
    assert "未能完成" in page
    assert '<bdi lang="en">expected readings, got none' in page


def test_a_proposed_limit_is_told_in_words_with_what_the_second_half_gave(worn):
    """SPEC D7, ADR 8: the proposal, every limit tried, and what came on the half that it was not chosen on."""
    number = sought(worn)
    with worn.reader(worn.house.planner) as browser:
        page = browser.get(f"/backtests/{number}").text
        tried = browser.get(re.search(r'href="(/backtests\?rule=[^"]*)"', page).group(1).replace("&amp;", "&")).text
    told = words_of(page)
    for one in ("h = 11.25", "at most 0.2 false alarms", "8 was in force", "would have been 10.5", "It holds"):
        assert one in told, one
    assert rows_of(page, "Limits tried") == [
        ["4", "90", "12.5", "30.0 %"],
        ["11.25 proposed", "1", "0.15", "2.0 %"],
    ]
    assert f'href="/rules/{RULE}"' in page
    assert "Publish" not in page, "nothing is published from here"
    assert 'name="parameter:h" value="11.25"' in tried


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"limit": None, "rate": None, "reached": False, "held_out": None}, "No limit keeps to it"),
        ({"held_out": None}, "could not be checked"),
        ({"reached": False}, "a nearer one may do too"),
        ({"held_out": HeldOut(9.0, 9, 3.0, 1.5, 5.2, holds=False)}, "It does not hold"),
    ],
)
def test_a_proposal_that_is_none_or_is_doubtful_says_so(worn, changes, told):
    number = sought(worn, **changes)
    with worn.reader(worn.house.near) as browser:
        page = words_of(browser.get(f"/backtests/{number}").text)
    assert told in page
    assert ("could not be checked" in page) == (told == "could not be checked"), "where there is a proposal to check"


def test_one_is_cancelled_then_removed_and_a_late_cancel_loses_nothing(worn):
    asked(worn)
    with worn.reader(worn.house.planner) as browser:
        assert browser.post("/backtests/1/cancel").headers["location"] == "/backtests/1"
        page = browser.get("/backtests/1").text
        assert "Cancelled" in page
        assert "/backtests/1/remove" in page
        # A page that still shows the button of a run that ended meanwhile.
        assert browser.post("/backtests/1/cancel").status_code == 303
        assert [one.state for one in stored(worn)] == [State.CANCELLED]
        assert browser.post("/backtests/1/remove").headers["location"] == "/backtests"
        assert stored(worn) == []


def test_the_pages_of_rules_lead_here_and_the_menu_stays_short(worn):
    with worn.reader(worn.house.near) as browser:
        page = browser.get("/rules").text
        assert 'href="/backtests"' in page
        assert 'href="/backtests"' not in page.split("</nav>", 1)[0]
        assert f'href="/backtests?rule={RULE}"' in browser.get(f"/rules/{RULE}").text


def test_both_languages_have_a_word_for_every_state_and_figure(worn):
    assert set(RUN_KINDS) == set(Kind)
    assert set(RUN_STATES) == set(State)
    assert set(VERDICTS) == set(Verdict)
    assert {one.name for one in FIGURES} <= set(figures(a_score(1, 1, 0, 3.0)))
    asked(worn)
    candidate = Outcome(a_score(1, 1, 0, 30.0), (TicketTold("bearing_wear", NOW, 0.7, Verdict.RIGHT, 30.0, ()),), ())
    answered(worn, MachineResult(worn.house.asset_id, "M-1", 1440, candidate, candidate))
    number = sought(worn)
    with worn.reader(worn.house.planner, "zh") as browser:
        for path in ("/backtests", "/backtests/1", f"/backtests/{number}"):
            page = re.sub(r'(?s)<a [^>]*lang="en".*?</a>', "", browser.get(path).text.split("<main", 1)[1])
            prose = re.findall(r"\b[A-Za-z]{2,}(?: [a-z]{2,}){2,}\b", re.sub(r"<[^>]*>", "\n", page))
            assert prose == [], path
        assert "轴承磨损" in browser.get("/backtests/1").text


def test_differences_have_a_sign_and_what_is_not_known_a_dash():
    assert [written(value, Measure.SHARE, signed=True) for value in (0.125, -0.5, 0.001, None)] == [
        "+12 %", "−50 %", "±0 %", "–"
    ]  # fmt: skip
    assert [written(value, Measure.AMOUNT) for value in (0.0, 0.0456789, 123.4)] == ["0", "0.0457", "123"]


# What the service does not know, fleets, and publishing


def a_table(*rows: str, header: str = "asset,failure mode,at") -> dict[str, tuple[str, bytes, str]]:
    return {"file": ("failures.csv", "\n".join([header, *rows]).encode(), "text/csv")}


def test_failures_nobody_recorded_are_told_by_table_and_count_as_true(worn):
    """SPEC D7: labels; a time without a zone is the form's, and the mode says how early a ticket may be."""
    with worn.pool.connection() as connection:
        (mode,) = library.failure_modes(connection, "motor").values()
    known = [f"M-1,{mode.code},2026-03-02 15:00", "M-1,,2026-03-02T01:00:00Z", f"M-1,{mode.name_zh},2026-02-27 08:00"]
    table = a_table(*known)
    with worn.reader(worn.house.planner) as browser:
        made = browser.post("/backtests", data=FORM, files=table)
        assert made.status_code == 303, made.text
        ran(worn)
        page = words_of(browser.get("/backtests/1").text)
    (run,) = stored(worn)
    ended = datetime(2026, 3, 2, 7, tzinfo=UTC)
    assert run.request.labels[0] == Label(
        ended - timedelta(hours=mode.window_to_h), ended, mode.code, worn.house.asset_id
    )
    assert [one.failure_mode for one in run.request.labels] == [mode.code, None, mode.code]
    assert "Failures told by table 3" in page
    with worn.pool.connection() as connection:
        (answer,) = backtests.answers_of(connection, run.id)
    score = answer.result.candidate.score
    assert (score.truths, score.caught > 0) == (2, True), "the third was before the machine spoke"


def test_a_table_with_errors_is_refused_whole_with_each_row_named(worn):
    rows = ("M-9,bearing_wear,2026-03-01", "M-1,rust,2026-03-01", "M-1,,soon", ",,2026-03-01")
    with worn.reader(worn.house.planner) as browser:
        refused = browser.post("/backtests", data=FORM, files=a_table(*rows))
        told = rows_of(refused.text, "What to correct")
        assert refused.status_code == 422
        assert [(row[0], row[1], row[2]) for row in told] == [
            ("2", "asset", "M-9"), ("3", "failure_mode", "rust"), ("4", "at", "soon"), ("5", "asset", "nothing")
        ]  # fmt: skip
        wrong = browser.post("/backtests", data=FORM, files=a_table("M-1,x", header="asset,colour"))
        assert [row[1] for row in rows_of(wrong.text, "What to correct")] == ["colour", "at"]
        empty = browser.post("/backtests", data=FORM, files=a_table())
        assert "at least one row" in empty.text
        many = browser.post("/backtests", data=FORM, files=a_table(*["M-1,,2026-03-01"] * (LABELS_MAX + 1)))
        assert f"at most {LABELS_MAX} rows" in many.text
    assert stored(worn) == []


def test_a_tag_that_two_sites_use_is_clear_once_a_site_is_chosen(worn, admin):
    with worn.pool.connection() as connection:
        connection.execute(
            "insert into site (id, name, calendar_id, latitude, longitude)"
            " select 'other', 'Other', calendar_id, 1, 1 from site limit 1"
        )
        connection.execute(
            "insert into asset (site_id, asset_type_id, tag, name, created_at)"
            " values ('other', 'motor', 'M-1', 'x', %s)",
            (NOW,),
        )
        (site,) = connection.execute("select site_id from asset where id = %s", (worn.house.asset_id,)).fetchone()
    with worn.reader(admin) as browser:
        page = words_of(browser.get(f"/backtests?rule={RULE}").text)
        assert "all of this type: 2" in page
        assert "all at Other: 1" in page
        table = a_table("M-1,,2026-03-01")
        assert "a tag that only one of the sites has" in browser.post("/backtests", data=FORM, files=table).text
        made = browser.post("/backtests", data={**FORM, "site_id": site}, files=table)
        assert made.status_code == 303
    (run,) = stored(worn)
    assert run.asset_ids == (worn.house.asset_id,)
    assert run.request.labels[0].asset_id == worn.house.asset_id


def test_a_fleet_beyond_what_can_be_named_is_tried_whole_and_one_beyond_the_bound_refused(worn, monkeypatch):
    with worn.pool.connection() as connection:
        connection.execute(
            "insert into asset (site_id, asset_type_id, tag, name, created_at)"
            " select site_id, asset_type_id, 'F-' || n, 'F', created_at"
            " from asset, generate_series(1, %s) as n where id = %s",
            (backtests.MACHINES_MAX, worn.house.asset_id),
        )
    with worn.reader(worn.house.planner) as browser:
        assert browser.post("/backtests", data=FORM).status_code == 303
        monkeypatch.setattr(backtests, "FLEET_MAX", backtests.MACHINES_MAX)
        refused = browser.post("/backtests", data=FORM)
        assert f"at most {backtests.MACHINES_MAX} machines" in refused.text
    (run,) = stored(worn)
    assert len(run.asset_ids) == backtests.MACHINES_MAX + 1


def publish_form(**changes: str) -> dict[str, str]:
    return {"version": "1", "mode": "review", "reason": "replayed half a year", **changes}


def test_a_proposed_limit_is_published_from_the_page_with_mode_and_reason(worn, admin):
    """SPEC D7: a changed limit is tried before it is switched on; then one step puts it into force."""
    number = sought(worn)
    with worn.reader(admin) as browser:
        page = browser.get(f"/backtests/{number}").text
        assert "As version 2 of drift-m-1" in words_of(page)
        assert 'maxlength="200"></textarea>' in page, "nobody has given a reason yet"
        assert re.findall(r'<option value="(\w+)"', page.split('id="publish"', 1)[1]) == ["review", "shadow"]
        made = browser.post(f"/backtests/{number}/publish", data=publish_form())
        assert (made.status_code, made.headers["location"]) == (303, f"/rules/{RULE}")
        assert "replayed half a year" in browser.get(f"/rules/{RULE}").text
        assert 'id="publish"' not in browser.get(f"/backtests/{number}").text, "it is in force already"
        again = browser.post(f"/backtests/{number}/publish", data=publish_form(version="2"))
        assert again.status_code == 409
    with worn.pool.connection() as connection:
        newest, first = rule_versions(connection, RULE)
    assert newest.draft == replace(first.draft, parameters={"k": 0.5, "h": 11.25}, mode="review")
    assert newest.reason == "replayed half a year"
    assert newest.published_by == "admin"


@pytest.mark.parametrize("change", [{"version": "9"}, {"mode": "auto"}, {"mode": "off"}, {"reason": " "}])
def test_what_is_published_fits_the_form_it_was_made_for_and_never_opens_tickets_at_once(worn, admin, change):
    number = sought(worn)
    with worn.reader(admin) as browser:
        refused = browser.post(f"/backtests/{number}/publish", data=publish_form(**change))
    assert refused.status_code in (409, 412, 422)
    assert 'id="refusal"' in refused.text
    assert f'maxlength="200">{publish_form(**change)["reason"].strip()}</textarea>' in refused.text
    with worn.pool.connection() as connection:
        assert len(rule_versions(connection, RULE)) == 1


def test_only_who_may_publish_rules_at_every_site_publishes_a_limit(worn):
    number = sought(worn)
    for person in (worn.house.planner, worn.house.near):
        with worn.reader(person) as browser:
            assert 'id="publish"' not in browser.get(f"/backtests/{number}").text
            assert browser.post(f"/backtests/{number}/publish", data=publish_form()).status_code == 403
    with worn.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
    with worn.reader(stranger) as browser:
        assert browser.post(f"/backtests/{number}/publish", data=publish_form()).status_code == 404
    with worn.pool.connection() as connection:
        assert len(rule_versions(connection, RULE)) == 1


def test_a_rule_that_was_tried_with_other_values_can_be_published_and_one_tried_away_cannot(worn, admin):
    with worn.reader(admin) as browser:
        for step, offered in (("changed", True), ("without", False)):
            number = browser.post("/backtests", data={**FORM, "step": step}).headers["location"].rsplit("/", 1)[1]
            assert 'id="publish"' not in browser.get(f"/backtests/{number}").text, "nothing has come of it yet"
            ran(worn)
            assert ('id="publish"' in browser.get(f"/backtests/{number}").text) is offered
        assert browser.post("/backtests/1/publish", data=publish_form(mode="shadow")).status_code == 303
    with worn.pool.connection() as connection:
        assert rule_versions(connection, RULE)[0].draft.parameters == {"k": 0.5, "h": 5.0}
