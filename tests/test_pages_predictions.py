"""What planners decide about predictions in the console (SPEC P5)."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.ids import uuid7
from domain.remaining_life import LeftOut, RunsLearnt
from storage.casework import open_from_prediction
from storage.floods import note_flood
from storage.people import create_person
from storage.prediction_decisions import snooze
from storage.remaining_life import tell_learning
from storage.reviews import ReviewedPrediction, list_predictions
from storage.ticket_budget import hold_back, hold_for_flood
from tests.console_builders import NOW, Console, a_worn_motor, soon
from tests.lesson_builders import SIGNATURE, another_mode
from tests.operations_builders import HOSTILE, a_planner_elsewhere
from tests.ticket_builders import DAY, HOUR, MINUTE, an_actor
from ticketing.actors import Actor, Role, RoleHeld


def a_prediction_of(connection: Connection, console: Console, mode_id: int, probability: float = 0.4) -> UUID:
    """An open watch of another mode of the same motor."""
    prediction_id = uuid7(NOW - MINUTE)
    connection.execute(
        """insert into prediction (id, asset_id, failure_mode_id, stage, status, probability, evidence_at,
             first_evidence_at, window_from, window_to, opened_at, updated_at)
           values (%s, %s, %s, 'watch', 'open', %s, %s, %s, %s, %s, %s, %s)""",
        (
            prediction_id, console.house.asset_id, mode_id, probability, NOW - HOUR, NOW - HOUR, NOW + DAY,
            NOW + 4 * DAY, NOW, NOW,
        ),
    )  # fmt: skip
    return prediction_id


def with_signs(connection: Connection) -> None:
    """Give the house's mode a whole signature."""
    connection.execute("update failure_mode set signature = %s", (Jsonb(SIGNATURE),))


@pytest.fixture
def worn(console: Console) -> UUID:
    """The prediction of bearing wear of the console's motor."""
    with console.pool.connection() as connection:
        with_signs(connection)
        return a_worn_motor(connection, console.house)


@pytest.fixture
def loose(console: Console, worn: UUID) -> UUID:
    """A second prediction of the same motor, of the mode that is called Other."""
    with console.pool.connection() as connection:
        return a_prediction_of(connection, console, another_mode(connection))


def stored(console: Console, prediction_id: UUID) -> ReviewedPrediction:
    with console.pool.connection() as connection:
        return list_predictions(connection, sites=None, prediction_id=prediction_id)[0]


def in_part(page: str, command: str) -> str:
    """The folded form of one decision."""
    parts = re.findall(r'<details class="folded"(?:.(?!<details class="folded"))*?</form></details>', page, re.DOTALL)
    (found,) = [part for part in parts if f'/{command}">' in part]
    return found


def test_a_long_list_has_further_pages_and_each_prediction_stands_on_one_of_them(console, worn):
    with console.pool.connection() as connection:
        connection.execute(
            """insert into prediction (id, asset_id, failure_mode_id, stage, status, probability, evidence_at,
                 first_evidence_at, window_from, window_to, opened_at, updated_at)
               select gen_random_uuid(), asset_id, failure_mode_id, stage, 'rejected', probability, evidence_at,
                 first_evidence_at, window_from, window_to, opened_at, updated_at
               from prediction, generate_series(1, 205)
               where id = %s""",
            (worn,),
        )
    found: list[list[str]] = []
    address = "/predictions?status=rejected"
    with console.reader(console.house.planner) as browser:
        while address:
            page = browser.get(address).text
            found.append(re.findall(r'<td role="cell" class="lead"><a href="/predictions/([0-9a-f-]+)">', page))
            further = re.search(r'<p class="more"><a class="button" href="([^"]+)">Less likely ones</a>', page)
            address = further[1].replace("&amp;", "&") if further else ""
        beyond = browser.get("/predictions?status=rejected&page=0")
    assert [len(one) for one in found] == [100, 100, 5]
    assert len({one for page in found for one in page}) == 205
    assert beyond.status_code == 422


def test_a_planner_snoozes_for_some_days_and_everybody_sees_until_when_and_why(console, worn):
    with console.reader(console.house.planner) as browser:
        done = browser.post(f"/predictions/{worn}/snooze", data={"span": "3d", "until": "", "reason": "holidays"})
        assert (done.status_code, done.headers["location"]) == (303, f"/predictions/{worn}")
    assert stored(console, worn).snoozed_until == NOW + 3 * DAY
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/predictions/{worn}").text
        for told in ("Snoozed", "2026-03-05 10:00", "holidays", "planner", "What was decided"):
            assert told in page, told
        assert "2026-03-05 10:00" in browser.get("/predictions").text
    with console.reader(console.house.near, "zh") as browser:
        assert "已暂缓" in browser.get("/predictions").text


def test_a_time_that_is_typed_counts_before_the_length_and_is_the_sites_own(console, worn):
    asked = {"span": "1d", "until": soon(by=2 * DAY), "reason": "crane comes on Wednesday"}
    with console.reader(console.house.supervisor) as browser:
        assert browser.post(f"/predictions/{worn}/snooze", data=asked).status_code == 303
    assert stored(console, worn).snoozed_until == NOW + 2 * DAY


@pytest.mark.parametrize(
    ("changed", "status", "name"),
    [
        ({"reason": " "}, 422, "The request is not valid"),
        ({"reason": "x" * 201}, 422, "The request is not valid"),
        ({"until": "2026-03-01T10:00"}, 422, "The request is not valid"),
        ({"until": "2028-03-01T10:00"}, 422, "The request is not valid"),
        ({"until": "soon"}, 422, "The request is not valid"),
        ({"span": "9d"}, 422, "A fact"),
    ],
)
def test_a_snooze_that_is_refused_says_so_beside_its_form_and_keeps_what_was_typed(
    console, worn, changed, status, name
):
    asked = {"span": "7d", "until": "", "reason": f"why {HOSTILE}", **changed}
    with console.reader(console.house.planner) as browser:
        refused = browser.post(f"/predictions/{worn}/snooze", data=asked)
    form = in_part(refused.text, "snooze")
    assert refused.status_code == status
    assert 'role="alert"' in form
    assert name in form
    assert refused.text.count('role="alert"') == 1
    assert HOSTILE not in refused.text, "what people type is text, never markup"
    if "reason" not in changed:
        assert "why &lt;script&gt;" in form
    assert f'value="{asked["until"]}"' in form
    assert "span" in changed or '<option value="7d" selected>' in form
    assert stored(console, worn).snoozed_until is None


def test_a_refusal_reads_as_chinese_on_a_chinese_page(console, worn, loose):
    refusals = {
        "snooze": {"span": "1d", "until": "2026-03-01T10:00", "reason": "x"},
        "merge": {"into": str(worn), "reason": "x"},
        "edit": {"reason": "x"},
    }
    with console.reader(console.house.planner, "zh") as browser:
        for command, asked in refusals.items():
            form = in_part(browser.post(f"/predictions/{worn}/{command}", data=asked).text, command)
            told = re.sub(r"<details.*|<[^>]+>", " ", form.split("<form")[0].split('<p class="small"><bdi')[0])
            assert re.findall(r"[A-Za-z]{3,} [a-z]{3,}", told) == [], command


def test_graver_evidence_wakes_a_snoozed_prediction_and_the_page_says_so(console, worn):
    planner = console.house.planner
    with console.pool.connection() as connection:
        snooze(connection, worn, NOW + 3 * DAY, planner.person_id or 0, "holidays", NOW - HOUR)
    assert "2026-03-05 10:00" in page_of(console, planner, worn).split("What was decided")[0]
    with console.pool.connection() as connection:
        connection.execute(
            "insert into event (device_id, asset_id, ts, kind, code, severity, fingerprint, received_at)"
            " values (1, %s, %s, 'error', 'E1', 'critical', 'x', %s)",
            (console.house.asset_id, NOW, NOW),
        )
    with console.reader(planner) as browser:
        page = browser.get(f"/predictions/{worn}").text
        listed = browser.get("/predictions").text
    assert "Woken by graver evidence" in listed
    assert "Snoozed" not in listed.split("<table", 1)[1], "the list and the page say the same"
    assert "Woken by graver evidence" in page
    assert "2026-03-05 10:00" not in page.split("What was decided")[0], "it sleeps no more"


def test_a_prediction_that_the_budget_holds_says_so_on_both_pages(console, worn):
    with console.pool.connection() as connection:
        hold_back(connection, worn, NOW)
    with console.reader(console.house.planner) as browser:
        assert "Held by the ticket budget" in browser.get("/predictions").text
        assert "Held by the ticket budget" in browser.get(f"/predictions/{worn}").text
        assert browser.post(f"/predictions/{worn}/confirm").status_code == 303
        assert "Held by the ticket budget" not in browser.get(f"/predictions/{worn}").text


def test_a_flood_is_one_notice_over_what_waits_and_on_the_tickets_opened_before_it_was_seen(console, worn, loose):
    """SPEC D1, ISA-18.2."""
    with console.pool.connection() as connection:
        code = open_from_prediction(connection, worn, NOW)
        hold_for_flood(connection, loose, NOW)
        note_flood(connection, console.house.asset_id, NOW, NOW)
        every = "insert into flood_ticket select flood.id, ticket.id from flood, ticket on conflict do nothing"
        connection.execute(every)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/predictions").text
        assert "Many machines at once: " in page
        assert "Predictions that wait until it is over: 1." in page
        assert f'<a class="code" href="/tickets/{code}">' in page.split("<table", 1)[0]
        assert "Held by a flood of alarms" in page
        assert "Held by a flood of alarms" in browser.get(f"/predictions/{loose}").text
        assert 'id="flood"' in browser.get(f"/tickets/{code}").text
    with console.pool.connection() as connection:
        connection.execute("update flood set began_at = began_at - interval '1 h', seen_at = seen_at - interval '1 h'")
    with console.reader(console.house.planner) as browser:
        assert "Many machines at once" not in browser.get("/predictions").text


def test_the_runs_to_failure_behind_a_prediction_are_told_with_those_left_out(console, worn):
    """SPEC D5."""
    learnt = RunsLearnt(23, 20, {LeftOut.NO_READINGS: 2, LeftOut.LITTLE_MEASURED: 1})
    assert "Runs to failure" not in page_of(console, console.house.planner, worn)
    with console.pool.connection() as connection:
        tell_learning(connection, console.house.mode_id, learnt, NOW)
    told = " ".join(page_of(console, console.house.planner, worn).split('id="learnt"', 1)[1].split("</dd>")[0].split())
    assert "20 of 23 learnt from" in told
    assert "1 of which less than half was measured; 2 without readings" in told


def test_a_ripe_prediction_without_a_ticket_says_whose_decision_it_waits_for(console, worn, loose):
    """SPEC P5: a rule in review leaves it to a person; what is only watched, held or opened waits for nobody."""
    told = "Waits for a decision"
    with console.reader(console.house.planner) as browser:
        assert told in browser.get(f"/predictions/{worn}").text
        assert browser.get("/predictions").text.count(told) == 1
        assert told not in browser.get(f"/predictions/{loose}").text
        with console.pool.connection() as connection:
            hold_back(connection, worn, NOW)
        assert told not in browser.get(f"/predictions/{worn}").text
        assert browser.post(f"/predictions/{worn}/confirm").status_code == 303
        assert told not in browser.get(f"/predictions/{worn}").text


def test_a_planner_merges_into_another_prediction_of_the_asset_and_goes_there(console, worn, loose):
    with console.reader(console.house.planner) as browser:
        form = in_part(browser.get(f"/predictions/{loose}").text, "merge")
        assert re.findall(r'<option value="([^"]+)"', form) == [str(worn)], "itself is no choice"
        done = browser.post(f"/predictions/{loose}/merge", data={"into": str(worn), "reason": "one bearing"})
        assert (done.status_code, done.headers["location"]) == (303, f"/predictions/{worn}")
        source, target = (browser.get(f"/predictions/{one}").text for one in (loose, worn))
        listed = browser.get("/predictions?status=merged").text
        assert str(loose) not in browser.get("/predictions").text
    assert (stored(console, loose).status, stored(console, loose).merged_into) == ("merged", worn)
    assert f'Merged into <a href="/predictions/{worn}">' in source
    assert f'took in <a href="/predictions/{loose}">Other</a>' in target
    assert "one bearing" in source
    assert f"/predictions/{loose}" in listed
    assert "Merged" in listed


def test_a_window_says_where_it_comes_from(console, worn):
    for language, told in (("en", "what is usual for this failure mode"), ("zh", "该失效模式的常见时间")):
        with console.reader(console.house.near, language) as browser:
            assert told in browser.get(f"/predictions/{worn}").text


def test_merging_is_offered_only_where_there_is_another_open_prediction(console, worn):
    with console.reader(console.house.planner) as browser:
        assert f"/predictions/{worn}/merge" not in browser.get(f"/predictions/{worn}").text


def test_merges_that_are_refused_say_why_and_change_nothing(console, worn, loose):
    with console.reader(console.house.planner) as browser:
        for into, reason, status in (
            (str(loose), "same", 422),
            (str(worn), "", 422),
            ("nonsense", "same", 422),
            (HOSTILE, "same", 422),
            ("00000000-0000-7000-8000-000000000001", "same", 404),
        ):
            refused = browser.post(f"/predictions/{loose}/merge", data={"into": into, "reason": reason})
            assert refused.status_code == status, into
            assert 'role="alert"' in in_part(refused.text, "merge")
            assert HOSTILE not in refused.text
    assert stored(console, loose).status == "open"


def test_a_planner_corrects_the_mode_and_the_untouched_window_stays_free(console, worn):
    with console.pool.connection() as connection:
        another_mode(connection)
        # A window with seconds, which the field cannot show.
        connection.execute("update prediction set window_to = window_to + interval '7 seconds'")
    before = stored(console, worn)
    with console.reader(console.house.planner) as browser:
        form = in_part(browser.get(f"/predictions/{worn}").text, "edit")
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        asked = {**fields, "failure_mode": "imbalance", "reason": "it is the rotor"}
        assert browser.post(f"/predictions/{worn}/edit", data=asked).status_code == 303
        page = browser.get(f"/predictions/{worn}").text
    after = stored(console, worn)
    assert after.failure_mode == "imbalance"
    assert (after.window_from, after.window_to) == (before.window_from, before.window_to)
    with console.pool.connection() as connection:
        assert connection.execute("select window_corrected_at from prediction").fetchone() == (None,)
    assert "Bearing wear → Other" in page
    assert "it is the rotor" in page


def test_a_field_left_as_it_was_shown_does_not_undo_what_changed_meanwhile(console, worn):
    """The form was shown before somebody else corrected the mode; only its window was touched."""
    with console.pool.connection() as connection:
        another_mode(connection)
    with console.reader(console.house.planner) as browser:
        shown = dict(
            re.findall(r'name="(\w+)" value="([^"]*)"', in_part(browser.get(f"/predictions/{worn}").text, "edit"))
        )
        other = {**shown, "failure_mode": "imbalance", "reason": "it is the rotor"}
        assert browser.post(f"/predictions/{worn}/edit", data=other).status_code == 303
        window_to = soon(by=2 * DAY)
        mine = {**shown, "failure_mode": "bearing_wear", "window_to": window_to, "reason": "it will not last"}
        assert browser.post(f"/predictions/{worn}/edit", data=mine).status_code == 303
    after = stored(console, worn)
    assert (after.failure_mode, after.window_to) == ("imbalance", NOW + 2 * DAY)


def test_a_corrected_window_is_told_in_the_sites_time(console, worn):
    asked = {"window_from": soon(by=DAY), "window_to": soon(by=2 * DAY), "reason": "the fitter heard it"}
    with console.reader(console.house.planner) as browser:
        assert browser.post(f"/predictions/{worn}/edit", data=asked).status_code == 303
        page = browser.get(f"/predictions/{worn}").text
    after = stored(console, worn)
    assert (after.window_from, after.window_to) == (NOW + DAY, NOW + 2 * DAY)
    assert "2026-03-03 10:00" in page
    assert "corrected by a person" in page


def test_corrections_that_are_refused_keep_what_was_typed(console, worn, loose):
    with console.reader(console.house.planner) as browser:
        for asked, status in (
            ({"reason": "nothing to change"}, 422),
            ({"window_from": soon(by=2 * DAY), "window_to": soon(by=DAY), "reason": "backwards"}, 422),
            ({"window_to": "tomorrow", "reason": "no time"}, 422),
            ({"failure_mode": "no_such_mode", "reason": "no mode"}, 422),
            ({"failure_mode": "imbalance", "reason": "it has a prediction"}, 409),
            ({"failure_mode": "imbalance", "reason": ""}, 422),
        ):
            refused = browser.post(f"/predictions/{worn}/edit", data=asked)
            form = in_part(refused.text, "edit")
            assert refused.status_code == status, asked
            assert 'role="alert"' in form
            for name, value in asked.items():
                kept = f">{value}</textarea>" if name == "reason" else f'value="{value}"'
                assert kept in form or name == "failure_mode", (name, value)
    assert stored(console, worn).failure_mode == "bearing_wear"


def test_what_is_no_longer_open_takes_no_decision_and_offers_none(console, worn, loose):
    forms = {
        "snooze": {"span": "1d", "reason": "x"},
        "merge": {"into": str(loose), "reason": "x"},
        "edit": {"window_to": soon(by=9 * DAY), "reason": "x"},
    }
    with console.pool.connection() as connection:
        open_from_prediction(connection, worn, NOW)
    with console.reader(console.house.planner) as browser:
        page = browser.get(f"/predictions/{worn}").text
        for command, asked in forms.items():
            assert f"/predictions/{worn}/{command}" not in page
            refused = browser.post(f"/predictions/{worn}/{command}", data=asked)
            assert refused.status_code == 409, command
            assert refused.text.count('role="alert"') == 1, "the form is gone, so the page says it at its head"


@pytest.mark.parametrize("command", ["snooze", "merge", "edit"])
def test_only_who_leads_at_the_site_decides(console, worn, loose, command):
    forms = {
        "snooze": {"span": "1d", "reason": "x"},
        "merge": {"into": str(loose), "reason": "x"},
        "edit": {"window_to": soon(by=9 * DAY), "reason": "x"},
    }
    with console.pool.connection() as connection:
        elsewhere = a_planner_elsewhere(connection)
        both = [RoleHeld(Role.ENGINEER, "plant-1"), RoleHeld(Role.PLANNER, "plant-2")]
        person_id = create_person(connection, login="both", name="Both", now=NOW, roles=both)
    mixed = an_actor(person_id, Role.ENGINEER)
    for actor, status in ((console.house.near, 403), (console.house.requester, 403), (elsewhere, 404), (mixed, 404)):
        with console.reader(actor) as browser:
            refused = browser.post(f"/predictions/{worn}/{command}", data=forms[command])
            assert refused.status_code == status
            assert "Main motor" not in refused.text, "a refusal shows nothing of another site"
    assert decisions(console) == 0
    for actor in (console.house.near, mixed):
        assert f"/{command}" not in page_of(console, actor, worn)
    assert f"/predictions/{worn}/{command}" in page_of(console, console.house.supervisor, worn)


def page_of(console: Console, actor: Actor, prediction_id: UUID) -> str:
    with console.reader(actor) as browser:
        return browser.get(f"/predictions/{prediction_id}").text


def decisions(console: Console) -> int:
    with console.pool.connection() as connection:
        (count,) = connection.execute("select count(*) from prediction_decision").fetchone() or (0,)
    return int(count)


def test_every_finding_of_the_evidence_leads_to_its_page(console, worn):
    with console.pool.connection() as connection:
        rows = connection.execute("select reference from prediction_evidence where kind = 'finding'").fetchall()
    with console.reader(console.house.near) as browser:
        page = browser.get(f"/predictions/{worn}").text
        assert len(rows) == 2
        for (reference,) in rows:
            assert page.count(f'href="/findings/{reference}"') == 2, "beside its plot and beside its weight"
            assert browser.get(f"/findings/{reference}").status_code == 200


def test_what_was_decided_stands_newest_first_and_is_only_text(console, worn):
    with console.reader(console.house.planner) as browser:
        for reason in ("first", HOSTILE):
            asked = {"span": "1d", "reason": reason}
            assert browser.post(f"/predictions/{worn}/snooze", data=asked).status_code == 303
        page = browser.get(f"/predictions/{worn}").text
    assert HOSTILE not in page
    assert page.index("&lt;script&gt;") < page.index("<bdi>first</bdi>")
