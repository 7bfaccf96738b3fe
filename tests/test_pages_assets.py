"""Assets and predictions in the console (SPEC E8, P2, P3, P5)."""

from __future__ import annotations

from storage.casework import open_from_prediction
from storage.intaking.refusals import list_refusals
from storage.people import RoleHeld, create_person
from tests.console_builders import NOW, a_worn_motor
from tests.ticket_builders import DAY, MINUTE, SITE, an_actor
from ticketing.actors import Role


def test_the_list_of_assets_says_who_is_heard_and_when_last(console):
    with console.reader(console.house.planner, "zh") as browser:
        page = browser.get("/assets").text
    for told in ("M-1", "Main motor", "电机", "在线", "2026-03-02 09:59"):
        assert told in page


def test_an_asset_shows_live_plots_predictions_findings_and_tickets(console):
    with console.pool.connection() as connection:
        code = open_from_prediction(connection, a_worn_motor(connection, console.house), NOW)
    with console.reader(console.house.planner) as browser:
        page = browser.get("/assets/1").text
    for told in ("Bearing wear", code, "80 %", "slow drift", 'unit="mm/s"', 'newest="/assets/1/series/1/span"'):
        assert told in page


def test_the_live_plot_follows_the_series_newest_readings_wherever_they_lie(console):
    with console.reader(console.house.planner) as browser:
        span = browser.get("/assets/1/series/1/span").json()
        assert span["to"] == int((NOW - MINUTE).timestamp() * 1000) + 1
        assert span["to"] - span["from"] == 599 * 60_000 + 1
        assert browser.get("/assets/1/series/99/span").status_code == 404
        with console.pool.connection() as connection:
            connection.execute("delete from reading")
        assert browser.get("/assets/1/series/1/span").json() == {"from": 0, "to": 1}


def test_a_requester_reports_a_fault_but_sees_no_signals(console):
    with console.reader(console.house.requester) as browser:
        page = browser.get("/assets/1").text
        assert "ws-chart" not in page
        assert "Findings" not in page
        assert browser.get("/assets/1/series/1/span").status_code == 403
        reported = browser.post("/assets/1/reports", data={"title": "Motor howls", "description": "since noon"})
        assert reported.status_code == 303
        assert "Motor howls" in browser.get(reported.headers["location"]).text


def test_an_empty_report_is_refused_with_the_details_kept(console):
    with console.reader(console.house.requester) as browser:
        refused = browser.post("/assets/1/reports", data={"title": " ", "description": "since noon"})
    assert refused.status_code == 422
    assert "since noon</textarea>" in refused.text
    with console.pool.connection() as connection:
        kept = list_refusals(connection, sites=None)
    assert [(one.channel, one.reason, one.site_id) for one in kept] == [("console", "invalid_request", SITE)]
    assert '"description": "since noon"' in kept[0].body


def test_what_lies_at_another_site_does_not_exist(console):
    with console.pool.connection() as connection:
        prediction_id = a_worn_motor(connection, console.house)
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31, 120)")
        roles = [RoleHeld(Role.PLANNER, "plant-2")]
        stranger_id = create_person(connection, login="far-away", name="Far", now=NOW, roles=roles)
    with console.reader(an_actor(stranger_id, Role.PLANNER, site="plant-2")) as browser:
        assert "M-1" not in browser.get("/assets").text
        assert browser.get("/assets/1").status_code == 404
        assert browser.get("/assets/1/series/1/span").status_code == 404
        assert browser.get(f"/predictions/{prediction_id}").status_code == 404
        assert "Bearing wear" not in browser.get("/predictions").text
        assert browser.post("/assets/1/reports", data={"title": "x"}).status_code == 404


def test_a_prediction_shows_its_evidence_and_its_parts_with_stock(console):
    with console.pool.connection() as connection:
        prediction_id = a_worn_motor(connection, console.house)
    with console.reader(console.house.planner) as browser:
        assert "Bearing wear" in browser.get("/predictions").text
        page = browser.get(f"/predictions/{prediction_id}").text
    for told in ("The bearing is young", "6204-2RS", "90 %", "Seizes", "ws-chart", "Open a ticket"):
        assert told in page


def test_a_planner_rejects_with_a_reason_and_only_with_one(console):
    with console.pool.connection() as connection:
        prediction_id = a_worn_motor(connection, console.house)
    address = f"/predictions/{prediction_id}"
    with console.reader(console.house.near) as browser:
        assert "Reject the prediction" not in browser.get(address).text
        assert browser.post(f"{address}/reject", data={"reason": "wrong"}).status_code == 403
    with console.reader(console.house.planner) as browser:
        assert browser.post(f"{address}/reject", data={"reason": " "}).status_code == 422
        assert browser.post(f"{address}/reject", data={"reason": "Sensor was loose"}).status_code == 303
        assert "Sensor was loose" in browser.get(address).text
        assert browser.post(f"{address}/reject", data={"reason": "Sensor was loose"}).status_code == 409
        assert "Bearing wear" not in browser.get("/predictions").text
        assert "Bearing wear" in browser.get("/predictions?status=rejected").text


def test_a_planner_opens_the_ticket_of_a_prediction(console):
    with console.pool.connection() as connection:
        prediction_id = a_worn_motor(connection, console.house, NOW - DAY)
    with console.reader(console.house.planner) as browser:
        opened = browser.post(f"/predictions/{prediction_id}/confirm")
        assert opened.status_code == 303
        assert opened.headers["location"].startswith("/tickets/D")
        assert browser.post(f"/predictions/{prediction_id}/confirm").status_code == 409
