"""The first furnishing of a house: complete, repeatable, and never undoing what people changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import cos, hypot, radians

from psycopg_pool import ConnectionPool

from runtime.seeding import SITE_LATITUDE, SITE_LONGITUDE, first_admin_password, seed_house
from storage.calendars import read_calendar
from storage.people import list_people, password_of_login, verify_password
from storage.policies import policy_in_force

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
TABLES = (
    *("calendar", "calendar_segment", "calendar_day", "site", "asset_type"),
    *("person", "person_role", "person_skill", "rule", "failure_mode", "policy"),
)


def counts(pool: ConnectionPool) -> dict[str, int]:
    with pool.connection() as connection:
        found = {}
        for table in TABLES:
            row = connection.execute(f"select count(*) from {table}").fetchone()
            found[table] = row[0] if row else 0
        return found


def seed(pool: ConnectionPool, now: datetime = NOW) -> None:
    with pool.connection() as connection:
        seed_house(connection, now)


def test_a_second_seeding_changes_nothing(pool: ConnectionPool) -> None:
    seed(pool)
    first = counts(pool)
    assert min(first.values()) > 0
    seed(pool, NOW + timedelta(days=1))
    assert counts(pool) == first


def test_what_people_changed_stays(pool: ConnectionPool) -> None:
    seed(pool)
    with pool.connection() as connection:
        connection.execute("update person set name = 'Somebody else', active = false where login = 'wang'")
        connection.execute("update site set name = 'Our plant'")
        connection.execute("update calendar_day set working = true, source = 'entered' where day = '2026-10-01'")
    seed(pool)
    with pool.connection() as connection:
        assert connection.execute("select name, active from person where login = 'wang'").fetchall() == [
            ("Somebody else", False)
        ]
        assert connection.execute("select name from site").fetchall() == [("Our plant",)]
        assert connection.execute("select working from calendar_day where day = '2026-10-01'").fetchall() == [(True,)]


def test_every_skill_that_the_libraries_ask_for_is_held_by_an_engineer(pool: ConnectionPool) -> None:
    """X4: no rule may ask for what nobody has."""
    seed(pool)
    with pool.connection() as connection:
        missing = connection.execute(
            "select code, skills from failure_mode where not exists ("
            " select 1 from person join person_role on person_role.person_id = person.id and role = 'engineer'"
            " where failure_mode.skills <@ (select array_agg(skill) from person_skill where person_id = person.id))"
        ).fetchall()
    assert missing == []


def test_engineers_live_1_to_30_km_from_the_site(pool: ConnectionPool) -> None:
    seed(pool)
    with pool.connection() as connection:
        rows = connection.execute(
            "select latitude, longitude from person join person_role on person_id = person.id where role = 'engineer'"
        ).fetchall()
    distances = [
        111.2 * hypot(latitude - SITE_LATITUDE, (longitude - SITE_LONGITUDE) * cos(radians(SITE_LATITUDE)))
        for latitude, longitude in rows
    ]
    assert len(distances) == 4
    assert all(1 <= distance <= 30 for distance in distances)


def test_the_admin_gets_a_password_once_and_nobody_else_has_one(pool: ConnectionPool) -> None:
    seed(pool)
    with pool.connection() as connection:
        password = first_admin_password(connection, NOW)
    assert password is not None
    with pool.connection() as connection:
        assert first_admin_password(connection, NOW) is None
        found = password_of_login(connection, "admin")
        assert found is not None
        assert verify_password(password, found[1])
        others = [row.person.login for row in list_people(connection, sites=None) if row.person.login != "admin"]
        assert len(others) == 7
        assert [login for login in others if (password_of_login(connection, login) or (0, "x"))[1] is not None] == []


def test_the_calendar_knows_the_holidays_and_the_weekends_worked_in_exchange(pool: ConnectionPool) -> None:
    """S3: 1 October is a holiday; Sunday 20 September 2026 is worked for it."""
    seed(pool)
    with pool.connection() as connection:
        calendar = read_calendar(connection, "plant-1")
        policy_in_force(connection)
    days = {day.isoformat(): working for day, working in calendar.exceptions}
    assert days["2026-10-01"] is False
    assert days["2026-09-20"] is True
