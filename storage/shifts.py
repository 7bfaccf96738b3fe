"""Who works when: shifts, rotas that repeat, absences and who stands in (SPEC X1, X6).

A plan is a shift of one person, or a rota: a cycle of days that members walk through, each from a day of their own,
in the wall time of the rota's zone. ``at_work`` in the database reads both. Who has no plan at all is at work
whenever on duty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import available_timezones

from psycopg import Connection
from psycopg.rows import class_row, kwargs_row

from domain.refusals import Refused
from storage.queries import load

QUERIES = load("shifts")


@dataclass(frozen=True, slots=True)
class Shift:
    """One person's working time; ``on_call``: reachable, and sent only to what cannot wait."""

    id: int
    person_id: int
    person_name: str
    starts_at: datetime
    ends_at: datetime
    on_call: bool


@dataclass(frozen=True, slots=True)
class RotaDay:
    """A worked day of a cycle, counted from 0; one that ends no later than it starts runs into the next day."""

    number: int
    starts: time
    ends: time


@dataclass(frozen=True, slots=True)
class RotaMember:
    """Somebody of a rota, who is ``offset_days`` into the cycle on its first day."""

    person_id: int
    offset_days: int


@dataclass(frozen=True, slots=True)
class NewRota:
    """A rota to add."""

    team_id: int
    name: str
    time_zone: str
    first_day: date
    last_day: date | None
    cycle_days: int
    on_call: bool
    days: Sequence[RotaDay]
    members: Sequence[RotaMember]


@dataclass(frozen=True, slots=True)
class Rota:
    """A rota as it is kept."""

    id: int
    team_id: int
    team: str
    name: str
    time_zone: str
    first_day: date
    last_day: date | None
    cycle_days: int
    on_call: bool
    days: list[RotaDay]
    members: list[RotaMember]


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody is away; the delegate stands in."""

    id: int
    person_id: int
    person_name: str
    starts_at: datetime
    ends_at: datetime
    delegate_id: int | None
    delegate_name: str | None
    reason: str


def on_call(connection: Connection, team_id: int, now: datetime) -> list[int]:
    """Return the ids of the team's people who are on call now; in an absent one's place, their delegate."""
    return [row[0] for row in connection.execute(QUERIES["on_call_of_team"], {"team_id": team_id, "now": now})]


def list_shifts(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    start: datetime,
    until: datetime,
    person_id: int | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Shift]:
    """Return shifts that touch the span; ``sites`` limits them to people with a role there (None: everybody)."""
    asked = {"sites": _listed(sites), "start": start, "until": until, "person_id": person_id}
    with connection.cursor(row_factory=class_row(Shift)) as cursor:
        return cursor.execute(QUERIES["shifts"], {**asked, "after": after, "limit": limit}).fetchall()


def add_shift(connection: Connection, person_id: int, starts_at: datetime, ends_at: datetime, is_on_call: bool) -> int:
    """Plan a shift of at most seven days and return its id; one that starts then already is ``duplicate_record``."""
    _refuse_backwards(starts_at, ends_at)
    if (ends_at - starts_at).total_seconds() > 7 * 86_400:
        raise Refused(
            "invalid_request",
            expected="a shift of at most 7 days",
            got=f"{(ends_at - starts_at).days} days",
            remedy="Plan one shift a day, or make a rota.",
        )
    parameters = {"person_id": person_id, "starts_at": starts_at, "ends_at": ends_at, "on_call": is_on_call}
    return _inserted(connection, "insert_shift", parameters, f"a shift that starts at {starts_at.isoformat()}")


def person_of_shift(connection: Connection, shift_id: int) -> int | None:
    """Return whose a shift is, None when there is none."""
    row = connection.execute(QUERIES["shift_of"], {"id": shift_id}).fetchone()
    return None if row is None else int(row[0])


def delete_shift(connection: Connection, shift_id: int) -> None:
    """Take a shift out of the plan."""
    connection.execute(QUERIES["delete_shift"], {"id": shift_id})


def list_rotas(connection: Connection, *, sites: Sequence[str] | None, after: int = 0, limit: int = 50) -> list[Rota]:
    """Return rotas of teams that work at these sites (None: all)."""
    asked = {"sites": _listed(sites), "after": after, "limit": limit}
    with connection.cursor(row_factory=kwargs_row(_rota)) as cursor:
        return cursor.execute(QUERIES["rotas"], asked).fetchall()


def add_rota(connection: Connection, rota: NewRota) -> int:
    """Add a rota and return its id. Raises Refused: invalid_calendar, duplicate_record."""
    is_zone = connection.execute(QUERIES["is_time_zone"], {"time_zone": rota.time_zone}).fetchone() is not None
    _check_rota(rota, is_zone=is_zone and rota.time_zone in available_timezones())
    parameters = {
        name: getattr(rota, name)
        for name in ("team_id", "name", "time_zone", "first_day", "last_day", "cycle_days", "on_call")
    }
    rota_id = _inserted(connection, "insert_rota", parameters, f"a rota named '{rota.name}'")
    for day in rota.days:
        said = {"rota_id": rota_id, "number": day.number, "starts": day.starts, "ends": day.ends}
        connection.execute(QUERIES["insert_rota_day"], said)
    for member in rota.members:
        said = {"rota_id": rota_id, "person_id": member.person_id, "offset_days": member.offset_days}
        connection.execute(QUERIES["insert_rota_member"], said)
    return rota_id


def delete_rota(connection: Connection, rota_id: int) -> bool:
    """Take a rota away; False when there is none."""
    return connection.execute(QUERIES["delete_rota"], {"id": rota_id}).fetchone() is not None


def site_of_team(connection: Connection, team_id: int) -> tuple[str | None] | None:
    """Return the site of a team in a tuple, (None,) where it works at every site, None when there is no such team."""
    row = connection.execute(QUERIES["team_site"], {"id": team_id}).fetchone()
    return None if row is None else (row[0],)


def list_absences(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    start: datetime,
    person_id: int | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Absence]:
    """Return absences that end after ``start``; ``sites`` limits them to people with a role there."""
    asked = {"sites": _listed(sites), "start": start, "person_id": person_id, "after": after, "limit": limit}
    with connection.cursor(row_factory=class_row(Absence)) as cursor:
        return cursor.execute(QUERIES["absences"], asked).fetchall()


def add_absence(
    connection: Connection,
    person_id: int,
    starts_at: datetime,
    ends_at: datetime,
    *,
    reason: str,
    delegate_id: int | None = None,
) -> int:
    """Note an absence and return its id. Nobody is their own delegate."""
    _refuse_backwards(starts_at, ends_at)
    if delegate_id == person_id:
        raise Refused(
            "invalid_request",
            expected="a delegate who is somebody else",
            got="the absent person",
            remedy="Name another person, or nobody.",
        )
    parameters = {"person_id": person_id, "starts_at": starts_at, "ends_at": ends_at, "reason": reason}
    said = f"an absence that starts at {starts_at.isoformat()}"
    return _inserted(connection, "insert_absence", {**parameters, "delegate_id": delegate_id}, said)


def person_of_absence(connection: Connection, absence_id: int) -> int | None:
    """Return whose an absence is, None when there is none."""
    row = connection.execute(QUERIES["absence_of"], {"id": absence_id}).fetchone()
    return None if row is None else int(row[0])


def delete_absence(connection: Connection, absence_id: int) -> None:
    """Take an absence back."""
    connection.execute(QUERIES["delete_absence"], {"id": absence_id})


def _rota(*, days: list[dict[str, str]], members: list[dict[str, int]], **facts: object) -> Rota:
    worked = [
        RotaDay(int(day["number"]), *(time.fromisoformat(day[end]) for end in ("starts", "ends"))) for day in days
    ]
    standing = [RotaMember(member["person_id"], member["offset_days"]) for member in members]
    return Rota(days=worked, members=standing, **facts)  # type: ignore[arg-type]  # the query names the other fields


def _check_rota(rota: NewRota, *, is_zone: bool) -> None:
    numbers = [day.number for day in rota.days]
    people = [member.person_id for member in rota.members]
    troubles = (
        (not is_zone, "a time zone of the IANA list", rota.time_zone),
        (
            rota.last_day is not None and rota.last_day < rota.first_day,
            "a last day after the first",
            str(rota.last_day),
        ),
        (not numbers, "at least one worked day", "none"),
        (not people, "at least one member", "none"),
        (any(day.starts.tzinfo or day.ends.tzinfo for day in rota.days), "times without a zone", "one with a zone"),
        (len(set(numbers)) != len(numbers), "each day of the cycle once", str(numbers)),
        (
            any(not 0 <= number < rota.cycle_days for number in numbers),
            f"days 0 to {rota.cycle_days - 1}",
            str(numbers),
        ),
        (len(set(people)) != len(people), "each member once", str(people)),
    )
    for is_wrong, expected, got in troubles:
        if is_wrong:
            raise Refused("invalid_calendar", expected=expected, got=got[:200], remedy="Correct the rota.")


def _refuse_backwards(starts_at: datetime, ends_at: datetime) -> None:
    if ends_at <= starts_at:
        raise Refused(
            "invalid_request",
            expected=f"an end after {starts_at.isoformat()}",
            got=ends_at.isoformat(),
            remedy="Correct the times.",
        )


def _inserted(connection: Connection, query: str, parameters: dict[str, object], what: str) -> int:
    row = connection.execute(QUERIES[query], parameters).fetchone()
    if row is None:
        raise Refused(
            "duplicate_record",
            expected="a record that is not there yet",
            got=what,
            remedy="Change the one that is there, or take it out first.",
        )
    return int(row[0])


def _listed(sites: Sequence[str] | None) -> list[str] | None:
    return None if sites is None else list(sites)
