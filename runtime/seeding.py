"""The first furnishing of the house: calendar, site, asset types with their libraries, policy, and demo people.

Running it again changes nothing that is there. Assets and devices are not seeded: the simulators register theirs
over HTTP, as a customer would.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, time

from psycopg import Connection

from storage import people
from storage.calendar_book import fill_official_days
from storage.detection_policy import ensure_detection_policy
from storage.library import install_library, shipped_libraries
from storage.parts_policy import ensure_parts_policy
from storage.policies import ensure_default_policy
from storage.queries import load
from storage.retention_policy import ensure_retention_policy
from storage.service_alarms import ensure_operations_policy
from storage.waveforms import ensure_keep_policy
from ticketing.actors import Role, RoleHeld

QUERIES = load("seeding")

CALENDAR_ID = "plant-1"
SITE_ID = "plant-1"
SITE_LATITUDE, SITE_LONGITUDE = 31.3040, 120.7150
ADMIN_LOGIN = "admin"
_TIME_ZONE, _COUNTRY = "Asia/Shanghai", "CN"
_MONDAY, _FRIDAY, _SATURDAY = 1, 5, 6
_MORNING = (time(8), time(12))
_AFTERNOON = (time(13), time(17, 30))
# Working time: Monday to Friday both halves of the day, Saturday the morning.
_SEGMENTS = [
    *((day, *half) for day in range(_MONDAY, _FRIDAY + 1) for half in (_MORNING, _AFTERNOON)),
    (_SATURDAY, *_MORNING),
]


@dataclass(frozen=True, slots=True)
class _DemoPerson:
    """Somebody of the demo plant; the position is given as degrees north and east of the site."""

    login: str
    name: str
    roles: tuple[RoleHeld, ...]
    language: str = "zh"
    team: str | None = None
    skills: dict[str, int] = field(default_factory=dict)
    north: float = 0.0
    east: float = 0.0


def _at_site(role: Role) -> tuple[RoleHeld, ...]:
    return (RoleHeld(role, SITE_ID),)


# Between them the engineers have every skill twice, at distances of about 1, 7, 13 and 29 km.
_PEOPLE = (
    _DemoPerson(ADMIN_LOGIN, "Administrator", (RoleHeld(Role.ADMIN),), language="en"),
    _DemoPerson("planner", "林悦", _at_site(Role.PLANNER), team="Planning"),
    _DemoPerson("supervisor", "赵敏", _at_site(Role.SUPERVISOR), team="Maintenance"),
    _DemoPerson(
        "wang",
        "王磊",
        _at_site(Role.ENGINEER),
        team="Maintenance",
        skills={"mechanical": 5, "hydraulic": 3},
        north=0.01,
    ),
    _DemoPerson(
        "chen",
        "陈静",
        _at_site(Role.ENGINEER),
        team="Maintenance",
        skills={"electrical": 5, "instrumentation": 4, "thermal": 3},
        east=0.07,
    ),
    _DemoPerson(
        "liu",
        "刘洋",
        _at_site(Role.ENGINEER),
        team="Maintenance",
        skills={"hydraulic": 5, "mechanical": 4},
        north=-0.12,
    ),
    _DemoPerson(
        "sun",
        "孙伟",
        _at_site(Role.ENGINEER),
        team="Maintenance",
        skills={"thermal": 5, "instrumentation": 4, "electrical": 3},
        east=-0.3,
    ),
    _DemoPerson("line1", "一号生产线", _at_site(Role.REQUESTER), team="Production"),
)


def seed_house(connection: Connection, now: datetime) -> None:
    """Add what is missing of the demo house. People get no password here; see `first_admin_password`."""
    _seed_calendar(connection, now)
    connection.execute(
        QUERIES["insert_site"],
        {
            "id": SITE_ID,
            "name": "Plant 1",
            "calendar_id": CALENDAR_ID,
            "latitude": SITE_LATITUDE,
            "longitude": SITE_LONGITUDE,
        },
    )
    # Asset types come with their libraries: failure modes, parts, rules.
    for library in shipped_libraries():
        install_library(connection, library, now)
    ensure_default_policy(connection, now)
    ensure_keep_policy(connection, now)
    ensure_parts_policy(connection, now)
    ensure_retention_policy(connection, now)
    ensure_operations_policy(connection, now)
    ensure_detection_policy(connection, now)
    _seed_people(connection, now)


def first_admin_password(connection: Connection, now: datetime) -> str | None:
    """Give the administrator a random password if there is none yet, and return it: it is shown this once.

    None when the account has one already (it was changed, or this is not the first run).
    """
    row = connection.execute(QUERIES["passwordless_admin"], {"login": ADMIN_LOGIN}).fetchone()
    if row is None:
        return None
    password = new_password()
    people.set_password(connection, row[0], people.hash_password(password), now)
    return password


def new_password() -> str:
    """Return a random password of 96 bits that can be typed."""
    return secrets.token_urlsafe(12)


def _seed_calendar(connection: Connection, now: datetime) -> None:
    fresh = connection.execute(
        QUERIES["insert_calendar"],
        {"id": CALENDAR_ID, "name": "Plant 1, day shift", "time_zone": _TIME_ZONE, "country": _COUNTRY},
    ).fetchone()
    if fresh is not None:
        weekdays, starts, ends = (list(column) for column in zip(*_SEGMENTS, strict=True))
        connection.execute(
            QUERIES["insert_calendar_segments"],
            {"id": CALENDAR_ID, "weekdays": weekdays, "starts": starts, "ends": ends},
        )
    fill_official_days(connection, now)


def _seed_people(connection: Connection, now: datetime) -> None:
    taken = {row[0] for row in connection.execute(QUERIES["logins"], {"logins": [person.login for person in _PEOPLE]})}
    for person in _PEOPLE:
        if person.login not in taken:
            people.create_person(
                connection,
                login=person.login,
                name=person.name,
                now=now,
                roles=person.roles,
                language=person.language,
                skills=person.skills,
                team=person.team,
                latitude=SITE_LATITUDE + person.north,
                longitude=SITE_LONGITUDE + person.east,
            )
