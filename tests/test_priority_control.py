"""The control policy (SPEC S7): a tenth of the tickets is scored twice, decides nothing, and is compared by month."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from domain.ids import uuid7
from domain.refusals import Refused
from runtime.commands import app
from runtime.report_commands import last_whole_month, told
from storage.casework import create_report
from storage.database import connect
from storage.policies import publish_policy, shipped_body
from storage.priority_control import compare_month, span_of
from storage.tickets import ticket_row
from tests.ticket_builders import DAY, HOUR, NOW, House, a_device_ticket, a_house, command
from ticketing.control import is_control


def share(value: float, **control: object) -> dict[str, object]:
    body = shipped_body("repair")
    assert isinstance(body["control"], dict)
    body["control"] = {**body["control"], "share": value, **control}
    return body


def a_tested_house(connection, value: float = 1.0) -> House:
    house = a_house(connection)
    publish_policy(connection, share(value), person_id=None, now=NOW)
    return house


def test_a_tenth_of_the_tickets_is_drawn_whenever_they_were_opened() -> None:
    """Ids begin with the time: a draw by their first bytes would take whole months or none."""
    for day in (0, 100, 1_000):
        drawn = sum(is_control(uuid7(NOW + day * DAY), 0.1) for _ in range(5_000))
        assert 400 < drawn < 600


def test_the_draw_is_the_same_for_ever_and_grows_with_the_share() -> None:
    ids = [uuid7(NOW) for _ in range(500)]
    small = {one for one in ids if is_control(one, 0.1)}
    assert small == {one for one in ids if is_control(one, 0.1)}
    assert small <= {one for one in ids if is_control(one, 0.5)}
    assert not any(is_control(one, 0.0) for one in ids)
    assert all(is_control(one, 1.0) for one in ids)


def test_the_control_policy_scores_and_decides_nothing(database: str) -> None:
    with connect(database) as connection:
        house = a_tested_house(connection)
        code = a_device_ticket(connection, house)
        level, score, control_level, control_score = connection.execute(
            "select level, score, control_level, control_score from priority_control"
        ).fetchone()
        assert (level, score) == (2, 8.0)
        assert (control_level, control_score) == (2, 8.8)  # a high finding counts 1.1 there
        assert ticket_row(connection, code).priority == 2


def test_a_ticket_outside_the_group_has_one_score(database: str) -> None:
    with connect(database) as connection:
        house = a_tested_house(connection, 0.0)
        a_device_ticket(connection, house)
        assert connection.execute("select count(*) from priority_control").fetchone() == (0,)


def test_a_later_score_replaces_the_earlier_one_of_both_policies(database: str) -> None:
    with connect(database) as connection:
        house = a_tested_house(connection)
        code = a_device_ticket(connection, house)
        for minute in range(3):
            command(connection, code, "note", house.requester, {"content": "Still howls"}, now=NOW + minute * HOUR)
        found = connection.execute("select score, control_score from priority_control").fetchall()
        assert len(found) == 1
        assert found[0][0] == ticket_row(connection, code).priority_reason["score"]
        assert found[0][1] > found[0][0]


def test_a_month_is_compared_level_by_level(database: str) -> None:
    with connect(database) as connection:
        house = a_tested_house(connection)
        calm = a_device_ticket(connection, house)
        command(connection, calm, "cancel", house.supervisor, {"reason": "Machine is scrapped"}, now=NOW + HOUR)
        connection.execute("update asset set criticality = 5")
        connection.execute("update person set requester_tier = 'vip'")
        angry = create_report(
            connection, asset_id=house.asset_id, title="Howls", description="", reporter=house.requester, now=NOW,
        )  # fmt: skip
        command(connection, angry, "note", house.requester, {"content": "Still howls"}, now=NOW)
        report = compare_month(connection, "2026-03")
        assert (report.opened, report.scored_by_both, report.same) == (2, 2, 2)
        assert {(cell.level, cell.control_level): cell.complained for cell in report.cells} == {(2, 2): 0, (1, 1): 1}
        assert compare_month(connection, "2026-04").cells == []
        assert compare_month(connection, "2026-03", ["elsewhere"]).opened == 0


def test_the_report_says_where_the_policies_part(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        body = share(1.0)
        control = body["control"]
        assert isinstance(control, dict)
        control["priority"] = {**control["priority"], "from_score": {"p0": 8.0, "p1": 4.0, "p2": 3.0, "p3": 1.0}}
        publish_policy(connection, body, person_id=None, now=NOW)
        a_device_ticket(connection, house)
        report = compare_month(connection, "2026-03")
        assert (report.same, report.control_more_urgent, report.control_less_urgent) == (0, 1, 0)
        lines = told(report)
        assert "more urgent for 1" in lines[1]
        assert lines[2].startswith("P2, control P0: 1 tickets")


@pytest.mark.parametrize(
    ("month", "ends"), [("2026-01", datetime(2026, 2, 1, tzinfo=UTC)), ("2026-12", datetime(2027, 1, 1, tzinfo=UTC))]
)
def test_a_month_ends_where_the_next_begins(month: str, ends: datetime) -> None:
    assert span_of(month)[1] == ends


@pytest.mark.parametrize("month", ["2026-13", "26-1", "2026-00", "März", ""])
def test_what_is_no_month_is_refused(month: str) -> None:
    with pytest.raises(Refused) as refused:
        span_of(month)
    assert refused.value.name == "invalid_request"


def test_the_report_is_about_the_last_whole_month_by_default() -> None:
    assert last_whole_month(datetime(2026, 1, 31, tzinfo=UTC)) == "2025-12"


def test_the_command_line_prints_the_comparison(database: str) -> None:
    with connect(database) as connection:
        a_device_ticket(connection, a_tested_house(connection))
    asked = ["report", "priority-control", "--month"]
    done = CliRunner().invoke(app, [*asked, "2026-03"], env={"WEARSIGHT_DATABASE_URL": database})
    assert done.exit_code == 0, done.output
    assert "1 tickets opened, 1 scored by both policies" in done.stdout
    assert "P2, control P2: 1 tickets" in done.stdout
    refused = CliRunner().invoke(app, [*asked, "2026-13"], env={"WEARSIGHT_DATABASE_URL": database})
    assert refused.exit_code == 1
