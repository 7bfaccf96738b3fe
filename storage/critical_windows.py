"""Critical windows: the calendar of when a fault at a site weighs more (SPEC S1).

``seen_open`` says what the open tickets of a window's scope were last scored with. The desk scores them again when
that differs from what the window is now, ticket by ticket, and notes it last: a desk that dies on the way does the
rest again, which changes nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from psycopg import Connection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.queries import load
from ticketing.critical_windows import times_of
from ticketing.priority import OpenWindow

QUERIES = load("critical_windows")

TIME_FIELDS = ("starts_at", "ends_at", "weekdays", "starts_s", "ends_s")


@dataclass(frozen=True, slots=True)
class CriticalWindow:
    """A window of a site, for one asset type or all: once (two instants) or weekly (days and local seconds).

    ``weekdays`` are ISO numbers, 1 is Monday; ``time_zone`` is the site's.
    """

    id: int
    site_id: str
    asset_type_id: str | None
    name: str
    factor: float
    starts_at: datetime | None
    ends_at: datetime | None
    weekdays: list[int] | None
    starts_s: int | None
    ends_s: int | None
    version: int
    time_zone: str


@dataclass(frozen=True, slots=True)
class WindowFields:
    """What a person says of a window."""

    asset_type_id: str | None
    name: str
    factor: float
    starts_at: datetime | None
    ends_at: datetime | None
    weekdays: list[int] | None
    starts_s: int | None
    ends_s: int | None


@dataclass(frozen=True, slots=True)
class Turned:
    """A window that opened, closed or was changed since its tickets were scored."""

    id: int
    site_id: str
    asset_type_id: str | None
    version: int
    is_open: bool


def open_windows(
    connection: Connection, site_id: str, asset_type_id: str, zone: ZoneInfo, now: datetime
) -> tuple[OpenWindow, ...]:
    """Return the windows that are open for assets of this type at this site."""
    asked = {"site_id": site_id, "asset_type_id": asset_type_id}
    rows = connection.execute(QUERIES["windows_of_scope"], asked).fetchall()
    return tuple(OpenWindow(row[0], row[1]) for row in rows if times_of(_times(row[2:])).is_open(now, zone))


def list_windows(
    connection: Connection, *, sites: Sequence[str] | None, after: int, limit: int
) -> list[CriticalWindow]:
    """Return the windows of these sites (None: all), by id, from the one behind ``after``."""
    parameters = {"sites": list(sites) if sites is not None else None, "after": after, "limit": limit}
    with connection.cursor(row_factory=class_row(CriticalWindow)) as cursor:
        return cursor.execute(QUERIES["list_windows"], parameters).fetchall()


def read_window(connection: Connection, window_id: int) -> CriticalWindow:
    """Return a window; refused as unknown_record when there is none or it is retired."""
    with connection.cursor(row_factory=class_row(CriticalWindow)) as cursor:
        found = cursor.execute(QUERIES["read_window"], {"id": window_id}).fetchone()
    if found is None:
        raise Refused("unknown_record", expected="a critical window", got=str(window_id), remedy="Check its id.")
    return found


def create_window(
    connection: Connection, site_id: str, fields: WindowFields, *, person_id: int | None, now: datetime
) -> CriticalWindow:
    """Add a window; open tickets are scored with it by the desk's next round."""
    saved = {**_checked(fields), "site_id": site_id, "now": now, "person_id": person_id}
    try:
        with connection.transaction():
            row = connection.execute(QUERIES["insert_window"], saved).fetchone()
    except ForeignKeyViolation:
        raise _unknown_type(fields) from None
    assert row is not None
    return read_window(connection, row[0])


def change_window(connection: Connection, window_id: int, fields: WindowFields, *, version: int) -> CriticalWindow:
    """Change a window that was read at ``version``; raises Refused("stale_record") when it has changed since."""
    read_window(connection, window_id)
    try:
        with connection.transaction():
            saved = {**_checked(fields), "id": window_id, "version": version}
            row = connection.execute(QUERIES["update_window"], saved).fetchone()
    except ForeignKeyViolation:
        raise _unknown_type(fields) from None
    if row is None:
        raise _stale(version)
    return read_window(connection, window_id)


def retire_window(connection: Connection, window_id: int, *, version: int, now: datetime) -> None:
    """End a window for good."""
    read_window(connection, window_id)
    asked = {"id": window_id, "version": version, "now": now}
    if connection.execute(QUERIES["retire_window"], asked).fetchone() is None:
        raise _stale(version)


def turned_windows(connection: Connection, now: datetime) -> list[Turned]:
    """Return the windows with which the open tickets of their scope have to be scored again."""
    found = []
    for row in connection.execute(QUERIES["windows_to_see"]):
        window_id, site_id, asset_type_id, *times, version, is_retired, seen_open, zone = row
        is_open = not is_retired and times_of(_times(times)).is_open(now, ZoneInfo(zone))
        if seen_open is not is_open:
            found.append(Turned(window_id, site_id, asset_type_id, version, is_open))
    return found


def tickets_of_scope(connection: Connection, window: Turned, now: datetime, limit: int) -> list[str]:
    """Return the codes of open tickets in a window's scope that were not scored at or after ``now``."""
    asked = {"site_id": window.site_id, "asset_type_id": window.asset_type_id, "now": now, "limit": limit}
    return [row[0] for row in connection.execute(QUERIES["tickets_of_scope"], asked)]


def mark_seen(connection: Connection, window: Turned) -> None:
    """Note that all of its tickets were scored; a window that was changed meanwhile is looked at again."""
    connection.execute(QUERIES["mark_seen"], {"id": window.id, "version": window.version, "is_open": window.is_open})


def _times(row: Sequence[object]) -> Mapping[str, object]:
    return dict(zip(TIME_FIELDS, row, strict=True))


def _checked(fields: WindowFields) -> dict[str, object]:
    """Return the fields as they are stored; refuse times that are neither once nor weekly."""
    saved: dict[str, object] = {name: getattr(fields, name) for name in ("asset_type_id", "name", "factor")}
    times = {name: getattr(fields, name) for name in TIME_FIELDS}
    times_of(times)
    weekdays = times["weekdays"]
    return {**saved, **times, "weekdays": None if weekdays is None else sorted(set(weekdays))}


def _unknown_type(fields: WindowFields) -> Refused:
    got = repr(fields.asset_type_id)[:80]
    return Refused("invalid_window", expected="the id of an asset type, or none", got=got, remedy="Check the id.")


def _stale(version: int) -> Refused:
    return Refused(
        "stale_record",
        expected="the version that the window has now",
        got=f"version {version}",
        remedy="Read the window again and repeat the change.",
    )
