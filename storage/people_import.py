"""Tables of people: engineers, skills, certificates and shifts, each imported whole or not at all (SPEC X6).

People are known by login, a skill by person and name, a certificate by person, name and first day, a shift by person,
start and kind: the same table imported twice changes nothing. Nothing is taken away by a table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.rows import class_row

from storage import people, qualifications
from storage.importing import Errors, Incoming, Value
from storage.queries import load
from ticketing.actors import Role, RoleHeld

QUERIES = load("people_import")

EVERY_SITE = ""
SHIFT_MAX = timedelta(days=7)


class PeopleKind(StrEnum):
    """What a table of people holds."""

    ENGINEERS = "engineers"
    SKILLS = "skills"
    CERTIFICATES = "certificates"
    SHIFTS = "shifts"


@dataclass(frozen=True, slots=True)
class PeopleOutcome:
    """How many records an import made, changed and found as they are."""

    created: int
    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class _Person:
    login: str
    id: int
    name: str
    team: str | None
    load_limit: int
    latitude: float | None
    longitude: float | None
    sites: list[str]
    engineer_at: list[str]
    time_zone: str | None

    def is_at(self, visible: Collection[str] | None) -> bool:
        """Tell whether one of the roles is held at sites that the caller sees."""
        return visible is None or any(site in visible for site in self.sites)


@dataclass(frozen=True, slots=True)
class _Write:
    """One record to write: the query's parameters, and whether it is new."""

    parameters: dict[str, object]
    is_new: bool


def import_people(
    connection: Connection,
    kind: PeopleKind,
    rows: Sequence[Incoming],
    errors: Errors,
    *,
    sites: Collection[str] | None,
    now: datetime,
) -> PeopleOutcome | None:
    """Write the rows, or nothing and None when there are ``errors``, those of the caller and those found here."""
    with connection.cursor(row_factory=class_row(_Person)) as cursor:
        logins = {"logins": sorted({str(row.values["login"]) for row in rows})}
        known = {one.login: one for one in cursor.execute(QUERIES["known_people"], logins)}
    unique = _once(kind, rows, errors)
    if kind is PeopleKind.ENGINEERS:
        return _engineers(connection, unique, known, errors, sites, now)
    owned = [(row, known[str(row.values["login"])]) for row in unique if _is_known(row, known, sites, errors)]
    writes = _WRITES[kind](connection, owned, errors)
    if errors.count:
        return None
    for write in writes:
        connection.execute(_QUERY[kind], write.parameters)
    created = sum(write.is_new for write in writes)
    return PeopleOutcome(created, len(writes) - created, len(owned) - len(writes))


_KEYS = {
    PeopleKind.ENGINEERS: ("login",),
    PeopleKind.SKILLS: ("login", "skill"),
    PeopleKind.CERTIFICATES: ("login", "certificate", "valid_from"),
    PeopleKind.SHIFTS: ("login", "starts_at", "on_call"),
}


def _once(kind: PeopleKind, rows: Sequence[Incoming], errors: Errors) -> list[Incoming]:
    seen: dict[tuple[Value, ...], int] = {}
    found = []
    for row in rows:
        key = tuple(row.values.get(name) for name in _KEYS[kind])
        first = seen.setdefault(key, row.number)
        if first != row.number:
            errors.add(row.number, _KEYS[kind][-1], "/".join(map(str, key)), f"a record once: row {first} has it")
        else:
            found.append(row)
    return found


def _is_known(row: Incoming, known: dict[str, _Person], visible: Collection[str] | None, errors: Errors) -> bool:
    login = str(row.values["login"])
    if login in known and known[login].is_at(visible):
        return True
    errors.add(row.number, "login", login, "the login of a person of your sites: import engineers first")
    return False


def _engineers(
    connection: Connection,
    rows: Sequence[Incoming],
    known: dict[str, _Person],
    errors: Errors,
    visible: Collection[str] | None,
    now: datetime,
) -> PeopleOutcome | None:
    there = {row[0] for row in connection.execute(QUERIES["known_sites"])}
    for row in rows:
        site, login = str(row.values["site"]), str(row.values["login"])
        if site not in there or (visible is not None and site not in visible):
            errors.add(row.number, "site", site, "one of your sites")
        if login in known and not known[login].is_at(visible):
            errors.add(row.number, "login", login, "a login that nobody elsewhere has")
        if login not in known and not row.values.get("name"):
            errors.add(row.number, "name", "nothing", "a value")
        if (row.values.get("latitude") is None) != (row.values.get("longitude") is None):
            errors.add(row.number, "latitude", row.values.get("latitude"), "both latitude and longitude, or neither")
    if errors.count:
        return None
    created = changed = 0
    for row in rows:
        person = known.get(str(row.values["login"]))
        if person is None:
            _create(connection, row, now)
            created += 1
        elif _change(connection, row, person):
            changed += 1
    return PeopleOutcome(created, changed, len(rows) - created - changed)


def _create(connection: Connection, row: Incoming, now: datetime) -> None:
    said = row.values
    limit = said.get("load_limit")
    people.create_person(
        connection,
        login=str(said["login"]),
        name=str(said["name"]),
        now=now,
        roles=[RoleHeld(Role.ENGINEER, str(said["site"]))],
        team=None if said.get("team") is None else str(said["team"]),
        latitude=_float(said.get("latitude")),
        longitude=_float(said.get("longitude")),
        load_limit=limit if isinstance(limit, int) else 3,
    )


def _change(connection: Connection, row: Incoming, person: _Person) -> bool:
    """Write what the row says of somebody who is there; False when they are so already."""
    said, site = row.values, str(row.values["site"])
    before = {name: getattr(person, name) for name in ("name", "team", "load_limit", "latitude", "longitude")}
    after = {name: said.get(name, value) for name, value in before.items()}
    after["name"] = after["name"] or person.name
    is_engineer = site in person.engineer_at or EVERY_SITE in person.engineer_at
    if after == before and is_engineer:
        return False
    if not is_engineer:
        role = {"person_id": person.id, "role": Role.ENGINEER.value, "site_id": site}
        connection.execute(people.QUERIES["insert_role"], role)
    team = after.pop("team")
    made = connection.execute(people.QUERIES["ensure_team"], {"name": team}).fetchone() if team is not None else None
    connection.execute(QUERIES["update_person"], {**after, "id": person.id, "team_id": made[0] if made else None})
    return True


def _skills(connection: Connection, rows: Sequence[tuple[Incoming, _Person]], _errors: Errors) -> list[_Write]:
    there = {(row[0], row[1]): row[2] for row in _of_people(connection, "known_skills", rows)}
    found = []
    for row, person in rows:
        key, level = (person.id, str(row.values["skill"])), row.values.get("level", 3)
        if there.get(key) != level:
            said = {"person_id": person.id, "skill": key[1], "level": level}
            found.append(_Write(said, key not in there))
    return found


def _certificates(connection: Connection, rows: Sequence[tuple[Incoming, _Person]], errors: Errors) -> list[_Write]:
    there = {tuple(row[:3]): row[3] for row in _of_people(connection, "known_certificates", rows)}
    found = []
    for row, person in rows:
        name, start, end = str(row.values["certificate"]), row.values["valid_from"], row.values.get("valid_to")
        if isinstance(end, date) and isinstance(start, date) and end < start:
            errors.add(row.number, "valid_to", end, f"a day from {start} on")
        key = (person.id, name, start)
        if key not in there or there[key] != end:
            said = {"person_id": person.id, "name": name, "valid_from": start, "valid_to": end}
            found.append(_Write(said, key not in there))
    return found


def _shifts(connection: Connection, rows: Sequence[tuple[Incoming, _Person]], errors: Errors) -> list[_Write]:
    there = {tuple(row[:3]): row[3] for row in _of_people(connection, "known_shifts", rows)}
    found = []
    for row, person in rows:
        start = _moment(row, "starts_at", person, errors)
        end = _moment(row, "ends_at", person, errors)
        if start is None or end is None:
            continue
        if not start < end <= start + SHIFT_MAX:
            errors.add(row.number, "ends_at", end.isoformat(), f"a time after {start.isoformat()}, within 7 days")
        key = (person.id, start, row.values.get("on_call", "no") == "yes")
        if there.get(key) != end:
            said = {"person_id": person.id, "starts_at": start, "ends_at": end, "on_call": key[2]}
            found.append(_Write(said, key not in there))
    return found


def _moment(row: Incoming, column: str, person: _Person, errors: Errors) -> datetime | None:
    """Return a time with its zone; one without is of the person's site."""
    value = row.values.get(column)
    if not isinstance(value, datetime):
        errors.add(row.number, column, "nothing", "a value")
        return None
    if value.tzinfo is not None:
        return value
    if person.time_zone is None:
        errors.add(row.number, column, value.isoformat(), "a time with a zone: the person has no site of their own")
        return None
    return value.replace(tzinfo=ZoneInfo(person.time_zone))


def _of_people(
    connection: Connection, query: str, rows: Sequence[tuple[Incoming, _Person]]
) -> list[tuple[object, ...]]:
    return connection.execute(QUERIES[query], {"ids": sorted({person.id for _, person in rows})}).fetchall()


def _float(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) else None


_WRITES = {
    PeopleKind.SKILLS: _skills,
    PeopleKind.CERTIFICATES: _certificates,
    PeopleKind.SHIFTS: _shifts,
}
_QUERY = {
    PeopleKind.SKILLS: people.QUERIES["insert_skill"],
    PeopleKind.CERTIFICATES: qualifications.QUERIES["insert_certificate"],
    PeopleKind.SHIFTS: QUERIES["write_shift"],
}
