"""Alarms after ISA-18.2: states, acknowledging, shelving (SPEC D1)."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest
from psycopg import Connection

from detectors.bank import Cleared
from domain.alarms import AlarmState, alarm_state
from domain.refusals import Refused
from storage import alarms
from storage.alarms import LONGEST_SHELVING, RETURNED_FOR, AlarmFilter
from storage.findings import findings_of_asset, save_changes
from tests.api_builders import (
    NORTH,
    NOW,
    SOUTH,
    Api,
    a_device,
    a_house,
    a_person,
    a_series,
    an_api,
    an_asset,
)
from tests.test_evidence_packs import OPENED, a_stored_finding
from ticketing.actors import Role

EVERYWHERE = AlarmFilter()
AHEAD = NOW + timedelta(hours=8)


@pytest.fixture
def connection(pool):
    with pool.connection() as opened:
        a_house(opened)
        yield opened


@pytest.fixture
def person(connection: Connection) -> int:
    return a_person(connection, "pat")


@pytest.fixture
def series(connection: Connection) -> int:
    return a_series(connection, a_device(connection, an_asset(connection)))


def asset_of(connection: Connection, series_id: int) -> int:
    query = "select asset_id from series join device on device.id = series.device_id where series.id = %s"
    (found,) = connection.execute(query, (series_id,)).fetchone()
    return found


def clear(connection: Connection, finding_id: UUID) -> None:
    series_id, rule_id, opened_at = connection.execute(
        "select series_id, rule_id, opened_at from finding where id = %s", (finding_id,)
    ).fetchone()
    save_changes(connection, [Cleared(series_id, rule_id, opened_at, opened_at + timedelta(hours=1))], NOW)


def states(connection: Connection) -> list[AlarmState]:
    return [alarm.state for alarm in alarms.alarms(connection, EVERYWHERE, NOW)]


def due(connection: Connection) -> int:
    (count,) = connection.execute("select count(*) from evidence_due").fetchone()
    return count


def shelve(connection: Connection, series_id: int, person: int, **changes: object) -> int:
    asked = {"metric": None, "rule": None, "reason": "sensor is being replaced", "until": AHEAD, **changes}
    return alarms.shelve(connection, asset_id=asset_of(connection, series_id), person_id=person, now=NOW, **asked)


def counting(connection: Connection, series_id: int) -> int:
    """How many findings of the asset fusion sees."""
    asset_id = asset_of(connection, series_id)
    return len(findings_of_asset(connection, asset_id, since=OPENED - timedelta(days=1), until=NOW))


def test_every_combination_of_facts_has_one_state():
    found = {
        facts: alarm_state(holds=facts[0], acknowledged=facts[1], shelved=facts[2], shadow=facts[3])
        for facts in product((True, False), repeat=4)
    }
    assert found[True, False, False, False] is AlarmState.ACTIVE
    assert found[True, True, False, False] is AlarmState.KNOWN
    assert found[False, False, False, False] is AlarmState.RETURNED
    assert found[False, True, False, False] is AlarmState.NORMAL
    assert {found[facts] for facts in found if facts[2] and not facts[3]} == {AlarmState.SHELVED}
    assert {found[facts] for facts in found if facts[3]} == {AlarmState.SUPPRESSED}


def test_an_alarm_that_cleared_unseen_stays_until_somebody_says_that_they_know(connection, series, person):
    finding_id = a_stored_finding(connection, series)
    assert states(connection) == [AlarmState.ACTIVE]
    clear(connection, finding_id)
    assert states(connection) == [AlarmState.RETURNED]
    assert alarms.acknowledge(connection, [finding_id], None, person, NOW) == [finding_id]
    assert states(connection) == []


def test_a_known_alarm_goes_by_itself_when_it_clears(connection, series, person):
    finding_id = a_stored_finding(connection, series)
    alarms.acknowledge(connection, [finding_id], None, person, NOW)
    assert states(connection) == [AlarmState.KNOWN]
    clear(connection, finding_id)
    assert states(connection) == []


def test_who_acknowledged_first_stays(connection, series, person):
    finding_id = a_stored_finding(connection, series)
    alarms.acknowledge(connection, [finding_id], None, person, NOW)
    other = a_person(connection, "sam")
    assert alarms.acknowledge(connection, [finding_id], None, other, NOW) == []
    (alarm,) = alarms.alarms(connection, EVERYWHERE, NOW)
    assert alarm.acknowledged_by == "Pat"


def test_what_returned_is_not_shown_for_ever(connection, series):
    clear(connection, a_stored_finding(connection, series))
    assert alarms.alarms(connection, EVERYWHERE, NOW + RETURNED_FOR - timedelta(hours=1))
    assert alarms.alarms(connection, EVERYWHERE, NOW + RETURNED_FOR + timedelta(hours=1)) == []


def test_what_is_shelved_is_recorded_and_counts_for_nothing(connection, series, person):
    shelve(connection, series, person)
    finding_id = a_stored_finding(connection, series)
    (alarm,) = alarms.alarms(connection, EVERYWHERE, NOW)
    assert (alarm.state, alarm.finding_id) == (AlarmState.SHELVED, finding_id)
    assert (alarm.shelved_until, alarm.shelved_because) == (AHEAD, "sensor is being replaced")
    assert due(connection) == 0
    assert counting(connection, series) == 0


def test_shelving_takes_what_holds_already(connection, series, person):
    a_stored_finding(connection, series)
    assert counting(connection, series) == 1
    shelve(connection, series, person)
    assert states(connection) == [AlarmState.SHELVED]
    assert counting(connection, series) == 0


@pytest.mark.parametrize(
    ("changes", "kept_back"),
    [
        ({"metric": "vibration_mm_s"}, True),
        ({"metric": "temperature_c"}, False),
        ({"rule": "test.level"}, True),
        ({"rule": "another.rule"}, False),
        ({"metric": "vibration_mm_s", "rule": "another.rule"}, False),
    ],
)
def test_a_shelving_keeps_back_what_it_names(connection, series, person, changes, kept_back):
    shelve(connection, series, person, **changes)
    a_stored_finding(connection, series)
    assert (states(connection) == [AlarmState.SHELVED]) is kept_back
    before_and_after = [due(connection)]
    shelve(connection, series, person, **changes)
    assert (states(connection) == [AlarmState.SHELVED]) is kept_back
    assert before_and_after == [0 if kept_back else 1]


def test_another_asset_is_not_shelved(connection, series, person):
    other = a_series(connection, a_device(connection, an_asset(connection, tag="M-2"), "dev-2"))
    shelve(connection, other, person)
    a_stored_finding(connection, series)
    assert states(connection) == [AlarmState.ACTIVE]


def test_when_its_time_is_up_what_still_holds_counts_and_what_cleared_does_not(connection, series, person):
    shelve(connection, series, person)
    over = a_stored_finding(connection, series, 1)
    holds = a_stored_finding(connection, series, 2)
    clear(connection, over)
    assert alarms.end_due_shelvings(connection, AHEAD - timedelta(seconds=1)) == 0
    assert alarms.end_due_shelvings(connection, AHEAD) == 1
    assert due(connection) == 1
    asset_id = asset_of(connection, series)
    found = findings_of_asset(connection, asset_id, since=OPENED - timedelta(days=1), until=NOW)
    assert [finding.id for finding in found] == [holds]
    a_stored_finding(connection, series, 3)
    assert due(connection) == 2, "new ones are no longer shelved"


def test_a_shelving_that_is_over_keeps_nothing_back_even_before_the_desk_ends_it(connection, series, person):
    """A desk that is down must not let a shelving go on."""
    shelving_id = shelve(connection, series, person)
    connection.execute(
        "update shelving set shelved_at = %s, until = %s where id = %s",
        (NOW - timedelta(hours=2), NOW - timedelta(hours=1), shelving_id),
    )
    a_stored_finding(connection, series)
    assert states(connection) == [AlarmState.ACTIVE]


def test_a_shelving_can_be_ended_before_its_time_once(connection, series, person):
    shelving_id = shelve(connection, series, person)
    a_stored_finding(connection, series)
    alarms.unshelve(connection, shelving_id, person, NOW)
    assert states(connection) == [AlarmState.ACTIVE]
    assert due(connection) == 1
    with pytest.raises(Refused) as refused:
        alarms.unshelve(connection, shelving_id, person, NOW)
    assert refused.value.name == "not_a_legal_step"


@pytest.mark.parametrize("ended_by", ["hand", "time"])
@pytest.mark.parametrize("other", [{}, {"metric": "vibration_mm_s"}, {"rule": "test.level"}])
def test_what_another_shelving_sets_aside_too_goes_over_to_it(connection, series, person, other, ended_by):
    short = shelve(connection, series, person, until=NOW + timedelta(hours=1))
    a_stored_finding(connection, series)
    longer = shelve(connection, series, person, **other)
    kept_back = [one.findings for one in alarms.shelvings(connection, EVERYWHERE)]
    assert kept_back == [0, 1], "newest first: what one keeps back the next does not take"
    if ended_by == "hand":
        alarms.unshelve(connection, short, person, NOW)
    else:
        assert alarms.end_due_shelvings(connection, NOW + timedelta(hours=1)) == 1
    assert (states(connection), counting(connection, series), due(connection)) == ([AlarmState.SHELVED], 0, 0)
    alarms.unshelve(connection, longer, person, NOW)
    assert (states(connection), counting(connection, series), due(connection)) == ([AlarmState.ACTIVE], 1, 1)


@pytest.mark.parametrize(
    "other", [{"metric": "temperature_c"}, {"rule": "another.rule"}, {"until": NOW + timedelta(minutes=30)}]
)
def test_a_shelving_of_something_else_or_one_that_is_over_keeps_nothing_on(connection, series, person, other):
    first = shelve(connection, series, person)
    shelve(connection, series, person, **other)
    a_stored_finding(connection, series)
    connection.execute("update finding set shelving_id = %s", (first,))
    alarms.unshelve(connection, first, person, NOW + timedelta(hours=1))
    assert (states(connection), due(connection)) == ([AlarmState.ACTIVE], 1)


@pytest.mark.parametrize("until", [NOW, NOW - timedelta(hours=1), NOW + LONGEST_SHELVING + timedelta(seconds=1)])
def test_nothing_is_shelved_for_ever_nor_for_no_time(connection, series, person, until):
    with pytest.raises(Refused) as refused:
        shelve(connection, series, person, until=until)
    assert refused.value.name == "invalid_request"


@pytest.fixture
def api(pool):
    with an_api(pool) as opened:
        yield opened


def test_alarms_over_the_api(api: Api):
    with api.pool.connection() as opened:
        series_id = a_series(opened, a_device(opened, an_asset(opened)))
        asset_id = asset_of(opened, series_id)
        ids = [str(a_stored_finding(opened, series_id, number)) for number in (1, 2, 3)]
    first = api.get("/alarms", Role.ENGINEER, NORTH, limit=2).json()
    rest = api.get("/alarms", Role.ENGINEER, NORTH, cursor=first["next_cursor"]).json()
    assert [alarm["finding_id"] for alarm in first["items"] + rest["items"]] == ids[::-1]
    assert api.get("/alarms", Role.ENGINEER, SOUTH).json()["items"] == []
    body = {"findings": ids[:2]}
    assert api.post("/alarms/acknowledge", body, Role.ENGINEER, SOUTH).json()["findings"] == []
    assert sorted(api.post("/alarms/acknowledge", body, Role.ENGINEER, NORTH).json()["findings"]) == ids[:2]
    told = [alarm["state"] for alarm in api.get("/alarms", Role.ENGINEER, NORTH).json()["items"]]
    assert told == ["active", "known", "known"]
    wanted = {"asset_id": asset_id, "reason": "overhaul", "until": AHEAD.isoformat()}
    assert api.post("/shelvings", wanted, Role.ENGINEER, NORTH).status_code == 403
    assert api.post("/shelvings", wanted, Role.SUPERVISOR, SOUTH).status_code == 404
    shelving = api.post("/shelvings", wanted, Role.SUPERVISOR, NORTH).json()
    assert (shelving["findings"], shelving["reason"]) == (3, "overhaul")
    assert len(api.get("/alarms", Role.ENGINEER, NORTH, shelved="true").json()["items"]) == 3
    assert api.get("/alarms", Role.ENGINEER, NORTH, shelved="false").json()["items"] == []
    (listed,) = api.get("/shelvings", Role.ENGINEER, NORTH, in_force="true").json()["items"]
    assert listed == shelving
    end = f"/shelvings/{shelving['id']}/end"
    assert api.post(end, None, Role.SUPERVISOR, SOUTH).status_code == 404
    assert api.post(end, None, Role.SUPERVISOR, NORTH).json()["ended_at"] is not None
    assert api.post(end, None, Role.SUPERVISOR, NORTH).status_code == 409
    assert api.get("/shelvings", Role.ENGINEER, NORTH, in_force="true").json()["items"] == []
