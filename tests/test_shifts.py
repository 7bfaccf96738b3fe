"""Who is at work: shifts, rotas, absences and who stands in, over clock changes too (SPEC X1, X6)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from psycopg import Connection
from psycopg_pool import ConnectionPool

from domain.refusals import Refused
from storage.shifts import (
    NewRota,
    RotaDay,
    RotaMember,
    add_absence,
    add_rota,
    add_shift,
    list_absences,
    list_rotas,
    list_shifts,
    on_call,
)
from tests.ticket_builders import DAY, HOUR, NOW, House, a_house

WHOLE_DAY = (time(8), time(8))
LATER = NOW + 40 * DAY


def a_team(connection: Connection, *members: int, name: str = "Crew") -> int:
    (team_id,) = connection.execute("insert into team (name) values (%s) returning id", (name,)).fetchone()
    connection.execute("update person set team_id = %s where id = any(%s)", (team_id, list(members)))
    return team_id


def a_rota(team_id: int, standing: Iterable[RotaMember], **changes: object) -> NewRota:
    facts: dict[str, object] = {
        "team_id": team_id,
        "name": "Standby",
        "time_zone": "Asia/Shanghai",
        "first_day": date(2026, 3, 2),
        "last_day": None,
        "cycle_days": 14,
        "on_call": True,
        "days": [RotaDay(number, *WHOLE_DAY) for number in range(7)],
        "members": list(standing),
    }
    return NewRota(**{**facts, **changes})  # type: ignore[arg-type]


def at_work(connection: Connection, moment: datetime) -> set[int]:
    return {row[0] for row in connection.execute("select person_id from at_work(%s)", (moment,))}


def ids(house: House) -> tuple[int, int]:
    assert house.near.person_id
    assert house.far.person_id
    return house.near.person_id, house.far.person_id


def test_a_weekly_rota_hands_the_phone_over_at_eight_on_the_plants_clock(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        near, far = ids(a_house(connection))
        team_id = a_team(connection, near, far)
        add_rota(connection, a_rota(team_id, [RotaMember(near, 0), RotaMember(far, 7)]))
        # 08:00 in Shanghai is midnight UTC; before the first day nobody is on.
        first = datetime(2026, 3, 2, tzinfo=UTC)
        assert on_call(connection, team_id, first - timedelta(seconds=1)) == []
        assert on_call(connection, team_id, first) == [near]
        assert on_call(connection, team_id, first + 7 * DAY - timedelta(seconds=1)) == [near]
        assert on_call(connection, team_id, first + 7 * DAY) == [far]
        assert on_call(connection, team_id, first + 14 * DAY) == [near]
        assert on_call(connection, a_team(connection, name="Other"), first) == []


def test_a_night_that_runs_over_midnight_belongs_to_the_day_it_began(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        near, _ = ids(a_house(connection))
        night = {"cycle_days": 2, "days": [RotaDay(0, time(22), time(6))], "on_call": False, "time_zone": "UTC"}
        add_rota(connection, a_rota(a_team(connection, near), [RotaMember(near, 0)], **night))
        moments = {21: False, 22: True, 24: True, 29: True, 30: False, 46: False, 70: True}
        began = datetime(2026, 3, 2, tzinfo=UTC)
        assert {hour: near in at_work(connection, began + hour * HOUR) for hour in moments} == moments


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24), (date(2028, 2, 29), 24)],
)
def test_a_day_of_a_rota_is_wall_time_also_when_clocks_change(pool: ConnectionPool, day: date, hours: int) -> None:
    """From midnight to midnight in Berlin: 23 hours in March, 25 in October."""
    with pool.connection() as connection:
        near, _ = ids(a_house(connection))
        all_day = {"time_zone": "Europe/Berlin", "first_day": day, "last_day": day, "cycle_days": 1}
        days = [RotaDay(0, time(0), time(0))]
        add_rota(connection, a_rota(a_team(connection, near), [RotaMember(near, 0)], days=days, **all_day))
        began = datetime.combine(day, time(0), UTC) - 3 * HOUR
        on = [hour for hour in range(32) if near in at_work(connection, began + hour * HOUR)]
        assert len(on) == hours
        assert on == list(range(on[0], on[0] + hours))


def test_a_delegate_takes_the_phone_of_somebody_absent_and_without_one_nobody_does(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        near, far = ids(a_house(connection))
        team_id = a_team(connection, near)
        add_shift(connection, near, NOW, NOW + 12 * HOUR, True)
        assert on_call(connection, team_id, NOW) == [near]
        add_absence(connection, near, NOW + HOUR, NOW + 2 * HOUR, reason="doctor", delegate_id=far)
        add_absence(connection, near, NOW + 3 * HOUR, NOW + 4 * HOUR, reason="doctor")
        assert [on_call(connection, team_id, NOW + n * HOUR) for n in range(5)] == [[near], [far], [near], [], [near]]
        connection.execute("update person set active = false where id = %s", (far,))
        assert on_call(connection, team_id, NOW + HOUR) == []


def test_shifts_and_rotas_and_absences_read_back_as_they_were_written(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        near, far = ids(a_house(connection))
        team_id = a_team(connection, near, far)
        add_shift(connection, near, NOW, NOW + 8 * HOUR, False)
        add_shift(connection, far, NOW + 8 * HOUR, NOW + 16 * HOUR, True)
        found = list_shifts(connection, sites=None, start=NOW, until=NOW + HOUR)
        assert [(one.person_name, one.on_call) for one in found] == [("Near", False)]
        assert len(list_shifts(connection, sites=["plant-1"], start=NOW, until=LATER)) == 2
        assert list_shifts(connection, sites=["nowhere"], start=NOW, until=LATER) == []
        rota = a_rota(team_id, [RotaMember(near, 0), RotaMember(far, 7)])
        add_rota(connection, rota)
        (kept,) = list_rotas(connection, sites=None)
        assert (kept.team, kept.days, kept.members) == ("Crew", list(rota.days), list(rota.members))
        add_absence(connection, near, NOW, NOW + DAY, reason="leave", delegate_id=far)
        (away,) = list_absences(connection, sites=None, start=NOW)
        assert (away.person_name, away.delegate_name, away.reason) == ("Near", "Far", "leave")
        assert list_absences(connection, sites=None, start=NOW + DAY) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time_zone": "Moon/Sea"}, "time zone"),
        ({"time_zone": "localtime"}, "time zone"),
        ({"days": [RotaDay(0, time(8, tzinfo=UTC), time(16))]}, "times without a zone"),
        ({"days": []}, "at least one worked day"),
        ({"members": []}, "at least one member"),
        ({"days": [RotaDay(14, *WHOLE_DAY)]}, "days 0 to 13"),
        ({"days": [RotaDay(1, *WHOLE_DAY)] * 2}, "each day of the cycle once"),
        ({"last_day": date(2026, 3, 1)}, "a last day after the first"),
    ],
)
def test_a_rota_that_cannot_be_is_refused(pool: ConnectionPool, changes: dict[str, object], expected: str) -> None:
    with pool.connection() as connection:
        near, _ = ids(a_house(connection))
        rota = a_rota(a_team(connection, near), [RotaMember(near, 0)], **changes)
        with pytest.raises(Refused) as caught:
            add_rota(connection, rota)
        assert caught.value.name == "invalid_calendar"
        assert expected in caught.value.expected


def test_plans_that_contradict_themselves_are_refused(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        near, _ = ids(a_house(connection))
        for refused in (
            lambda: add_shift(connection, near, NOW, NOW, False),
            lambda: add_shift(connection, near, NOW, NOW + 8 * DAY, False),
            lambda: add_absence(connection, near, NOW, NOW - HOUR, reason="leave"),
            lambda: add_absence(connection, near, NOW, NOW + HOUR, reason="leave", delegate_id=near),
        ):
            with pytest.raises(Refused, match="not valid"):
                refused()
        add_shift(connection, near, NOW, NOW + HOUR, False)
        with pytest.raises(Refused, match="exists already"):
            add_shift(connection, near, NOW, NOW + 2 * HOUR, False)
