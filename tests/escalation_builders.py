"""A house with teams, leads and directors, and time that passes round by round."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import Connection
from psycopg_pool import ConnectionPool

from runtime.rounds import escalation_round
from storage.people import create_person
from tests.ticket_builders import MINUTE, NOW, SITE, House, a_house, an_actor
from ticketing.actors import Actor, Role, RoleHeld


@dataclass(frozen=True, slots=True)
class Teams:
    """A house whose near engineer is in team "Day", led by ``lead``; "Night" backs it up."""

    house: House
    day: int
    night: int
    lead: Actor
    night_lead: Actor
    night_engineer: Actor
    director: Actor


def teams(connection: Connection, now: datetime = NOW) -> Teams:
    house = a_house(connection, now)
    people = {login: _person(connection, login, now) for login in ("lead", "night_lead", "night_engineer", "director")}
    day, night = (
        connection.execute(
            "insert into team (name, site_id, lead_id) values (%s, %s, %s) returning id", (name, SITE, lead.person_id)
        ).fetchone()[0]
        for name, lead in (("Day", people["lead"]), ("Night", people["night_lead"]))
    )
    connection.execute("update team set backup_team_id = %s where id = %s", (night, day))
    connection.execute("update person set team_id = %s where id = any(%s)", (day, [house.near.person_id]))
    connection.execute("update person set team_id = %s where login = 'night_engineer'", (night,))
    connection.execute("insert into site_director values (%s, %s)", (SITE, people["director"].person_id))
    return Teams(house=house, day=day, night=night, **people)


def _person(connection: Connection, login: str, now: datetime) -> Actor:
    name = login.replace("_", " ").title()
    person_id = create_person(
        connection, login=login, name=name, now=now, roles=[RoleHeld(Role.ENGINEER, SITE)], skills={"mechanical": 4}
    )
    return an_actor(person_id, Role.ENGINEER, name=name)


def pass_time(
    pool: ConnectionPool, start: datetime, until: datetime, every: timedelta = MINUTE
) -> list[tuple[float, str, str, dict[str, object]]]:
    """Sweep again and again; return (minutes since ``start``, code, command, facts) of what it wrote on timelines."""
    now = start
    while now <= until:
        escalation_round(pool, now)
        now += every
    with pool.connection() as connection:
        rows = connection.execute(
            """select e.at, t.code, e.command, e.facts from ticket_event e join ticket t on t.id = e.ticket_id
               where e.command in ('escalate', 'pass_to_backup') and e.at between %s and %s order by e.at, e.number""",
            (start, until),
        ).fetchall()
    return [((at - start).total_seconds() / 60, code, command, facts) for at, code, command, facts in rows]


def messages(connection: Connection, login: str) -> list[tuple[str, str]]:
    """Return (kind, channel) of the messages to a person, in their order."""
    return connection.execute(
        """select o.kind, w.channel from escalation_told w join outbox o on o.id = w.outbox_id
           join person p on p.id = w.person_id where p.login = %s order by o.id""",
        (login,),
    ).fetchall()
