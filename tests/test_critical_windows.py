"""Critical windows (SPEC S1): when a fault weighs more, and that open tickets follow when one opens or closes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from runtime.prioritising import prioritise_round
from storage.critical_windows import (
    WindowFields,
    change_window,
    create_window,
    read_window,
    retire_window,
    turned_windows,
)
from storage.database import connect
from storage.tickets import ticket_row
from tests.ticket_builders import DAY, HOUR, NOW, SITE, a_device_ticket, a_house, command
from ticketing.critical_windows import Once, Weekly, times_of

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")


def once(starts: datetime, ends: datetime, factor: float = 2.0, asset_type: str | None = None) -> WindowFields:
    return WindowFields(asset_type, "Peak", factor, starts, ends, None, None, None)


def weekly(*days: int, starts_s: int, ends_s: int) -> WindowFields:
    return WindowFields(None, "Night shift", 1.5, None, None, list(days), starts_s, ends_s)


def level_of(database: str, code: str) -> int:
    with connect(database) as connection:
        return ticket_row(connection, code).priority


def test_a_window_is_open_from_its_start_until_just_before_its_end() -> None:
    window = Once(NOW, NOW + HOUR)
    assert [window.is_open(NOW + timedelta(minutes=minute), SHANGHAI) for minute in (-1, 0, 59, 60)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_a_night_shift_belongs_to_the_day_it_starts_on() -> None:
    """22:00 on Friday to 06:00 on Saturday, by the wall clock of the site."""
    window = Weekly(frozenset({5}), 22 * 3600, 6 * 3600)
    friday = datetime(2026, 3, 6, tzinfo=SHANGHAI)
    hours = {21: False, 22: True, 29: True, 30: False, 45: False, 46: False}
    assert {hour: window.is_open(friday + hour * HOUR, SHANGHAI) for hour in hours} == hours
    assert not window.is_open(friday - HOUR, SHANGHAI)


def test_a_weekly_window_follows_the_wall_clock_over_clock_changes() -> None:
    """SPEC S3: 08:00 stays 08:00 on the Monday after the clocks went forward."""
    window = Weekly(frozenset({1}), 8 * 3600, 9 * 3600)
    before, after = datetime(2026, 3, 23, 7, 30, tzinfo=UTC), datetime(2026, 3, 30, 6, 30, tzinfo=UTC)
    assert window.is_open(before, BERLIN)
    assert window.is_open(after, BERLIN)
    assert not window.is_open(after + HOUR, BERLIN)


@given(st.sets(st.integers(1, 7), min_size=1), st.integers(0, 86_399), st.integers(1, 86_400), st.integers(0, 604_799))
def test_a_weekly_window_is_open_for_as_long_as_it_says(days: set[int], starts_s: int, ends_s: int, at: int) -> None:
    """Against an oracle that lays the windows of a week out one by one, in a zone without clock changes."""
    if starts_s == ends_s:
        return
    length = ends_s - starts_s if ends_s > starts_s else ends_s + 86_400 - starts_s
    opened = [((day - 1) * 86_400 + starts_s + week) for day in days for week in (-604_800, 0)]
    monday = datetime(2026, 3, 2, tzinfo=SHANGHAI)
    expected = any(start <= at < start + length for start in opened)
    assert Weekly(frozenset(days), starts_s, ends_s).is_open(monday + timedelta(seconds=at), SHANGHAI) is expected


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"starts_at": NOW},
        {"starts_at": NOW, "ends_at": NOW},
        {"starts_at": NOW, "ends_at": NOW + HOUR, "weekdays": [1]},
        {"weekdays": [], "starts_s": 0, "ends_s": 1},
        {"weekdays": [8], "starts_s": 0, "ends_s": 1},
        {"weekdays": [1], "starts_s": 5, "ends_s": 5},
        {"weekdays": [1], "starts_s": 5},
    ],
)
def test_a_window_that_could_never_open_or_is_both_kinds_is_refused(times: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        times_of(times)
    assert refused.value.name == "invalid_window"


def test_open_tickets_rise_when_a_window_opens_and_fall_when_it_closes(database: str, pool: ConnectionPool) -> None:
    """SPEC S1: the desk's round scores the open tickets of the scope again."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        create_window(connection, SITE, once(NOW + HOUR, NOW + 2 * HOUR), person_id=None, now=NOW)
    levels = []
    for minutes in (30, 60, 90, 120):
        prioritise_round(pool, NOW + timedelta(minutes=minutes))
        levels.append(level_of(database, code))
    assert levels == [2, 1, 1, 2]
    with connect(database) as connection:
        causes = connection.execute("select facts ->> 'cause' from ticket_event where command = 'reprioritise'")
        assert [cause for (cause,) in causes] == ["window_opened", "window_closed"]
        assert turned_windows(connection, NOW + 2 * HOUR) == []


def test_a_ticket_that_opens_in_a_window_weighs_more_from_the_start(database: str) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        create_window(connection, SITE, once(NOW - HOUR, NOW + HOUR), person_id=None, now=NOW)
        row = ticket_row(connection, a_device_ticket(connection, house))
        assert (row.priority, row.priority_reason["score"]) == (1, 16.0)


def test_a_window_of_another_type_or_site_does_not_count(database: str, pool: ConnectionPool) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        connection.execute("insert into asset_type values ('pump', 'Pump', '泵')")
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31.3, 120.7)")
        create_window(connection, SITE, once(NOW, NOW + DAY, asset_type="pump"), person_id=None, now=NOW)
        create_window(connection, "plant-2", once(NOW, NOW + DAY), person_id=None, now=NOW)
        code = a_device_ticket(connection, house)
    prioritise_round(pool, NOW + HOUR)
    assert level_of(database, code) == 2


def test_a_window_that_is_changed_or_retired_is_scored_anew(database: str, pool: ConnectionPool) -> None:
    with connect(database) as connection:
        house = a_house(connection)
        window = create_window(connection, SITE, once(NOW, NOW + DAY), person_id=None, now=NOW)
        code = a_device_ticket(connection, house)
    prioritise_round(pool, NOW + HOUR)
    with connect(database) as connection:
        change_window(connection, window.id, once(NOW, NOW + DAY, factor=3.0), version=1)
    prioritise_round(pool, NOW + 2 * HOUR)
    assert level_of(database, code) == 0
    with connect(database) as connection:
        retire_window(connection, window.id, version=2, now=NOW + 3 * HOUR)
    prioritise_round(pool, NOW + 3 * HOUR)
    assert level_of(database, code) == 2


def test_a_round_that_dies_before_the_window_is_noted_leaves_the_rest_to_the_next(
    database: str, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: noted first, the second ticket would keep its old level until the window closes."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        create_window(connection, SITE, once(NOW, NOW + DAY), person_id=None, now=NOW)

    def dies(connection: Connection, *rest: object) -> bool:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("runtime.prioritising.reprioritise", dies)
        with pytest.raises(RuntimeError):
            prioritise_round(pool, NOW + HOUR)
    prioritise_round(pool, NOW + HOUR + timedelta(minutes=1))
    assert level_of(database, code) == 1


def test_complaints_grow_old_even_when_nothing_happens(database: str, pool: ConnectionPool) -> None:
    """A score is looked at daily, so that what is older than its days no longer counts."""
    with connect(database) as connection:
        house = a_house(connection)
        code = a_device_ticket(connection, house)
        for number in range(4):
            command(connection, code, "note", house.requester, {"content": "It still howls"}, now=NOW + number * HOUR)
        assert ticket_row(connection, code).priority_reason["score"] > 8.0
    prioritise_round(pool, NOW + 12 * HOUR)
    with connect(database) as connection:
        assert ticket_row(connection, code).priority_reason["score"] > 8.0
    prioritise_round(pool, NOW + 31 * DAY)
    with connect(database) as connection:
        assert ticket_row(connection, code).priority_reason["score"] == 8.0


def test_a_change_that_read_an_older_version_is_refused(database: str) -> None:
    with connect(database) as connection:
        a_house(connection)
        window = create_window(connection, SITE, weekly(1, starts_s=0, ends_s=60), person_id=None, now=NOW)
        change_window(connection, window.id, weekly(2, starts_s=0, ends_s=60), version=1)
        with pytest.raises(Refused) as refused:
            change_window(connection, window.id, weekly(3, starts_s=0, ends_s=60), version=1)
        assert refused.value.name == "stale_record"
        with pytest.raises(Refused) as refused:
            retire_window(connection, window.id, version=1, now=NOW)
        assert refused.value.name == "stale_record"
        assert read_window(connection, window.id).weekdays == [2]
