"""What the console's pages read beside the registers: lists with their next clock, work that waits, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection

from storage.queries import load
from storage.tickets import assets_called

QUERIES = load("console")

PAGE_SIZE = 50
EVIDENCE_MAX = 50
# A clock with less than this left is "breaching soon".
SOON = timedelta(hours=2)
# A finding is drawn with this many readings before it opened and after it cleared (or opened, while it lasts).
READINGS_BEFORE = 300
READINGS_AFTER = 150
# A live plot follows this many newest readings, whatever their interval.
LIVE_READINGS = 600


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """How many open tickets are the person's own, about to breach, breached, and open in all."""

    mine: int
    soon: int
    breached: int
    open: int


@dataclass(frozen=True, slots=True)
class TicketRow:
    """A ticket in the list. ``review_at`` is set while it is on hold; then no clock is shown.

    ``flag`` is yellow or red while nothing effective has been done for days (SPEC N1).
    """

    id: UUID
    code: str
    state: str
    outcome: str | None
    kind: str
    priority: int
    title_en: str
    title_zh: str
    site_id: str
    asset_id: int
    asset_tag: str
    asset_name: str
    assignee: str | None
    opened_at: datetime
    review_at: datetime | None
    clock: str | None
    due_at: datetime | None
    flag: str | None


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """Which tickets to list; None does not filter. ``due_from`` and ``due_to`` bound the next clock's due time.

    ``unassigned`` and ``on_hold`` are asked for, or not; ``review_to`` bounds the review date of those on hold.
    """

    sites: Sequence[str] | None = None
    states: Sequence[str] | None = None
    requester_id: int | None = None
    assignee_id: int | None = None
    asset_id: int | None = None
    text: str | None = None
    due_from: datetime | None = None
    due_to: datetime | None = None
    flag: str | None = None
    unassigned: bool = False
    on_hold: bool = False
    review_to: datetime | None = None
    kind: str | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """A prediction in the list; times are equipment time. ``ticket_code`` is its newest ticket.

    ``held_by_budget_at``, ``held_by_flood_at`` and ``snoozed_until`` are wall time, None while nothing keeps it from
    opening its ticket.
    """

    id: UUID
    status: str
    stage: str
    probability: float
    evidence_at: datetime
    window_from: datetime
    window_to: datetime
    version: int
    decision_reason: str | None
    asset_id: int
    site_id: str
    asset_tag: str
    asset_name: str
    mode_en: str
    mode_zh: str
    effect_en: str
    effect_zh: str
    ticket_code: str | None
    failure_mode_id: int
    failure_mode: str
    asset_type: str
    held_by_budget_at: datetime | None
    held_by_flood_at: datetime | None
    snoozed_until: datetime | None
    merged_into: UUID | None
    window_source: str
    is_window_corrected: bool


@dataclass(frozen=True, slots=True)
class ModeName:
    """What a failure mode is called. One that is retired is no longer looked for."""

    id: int
    code: str
    name_en: str
    name_zh: str
    is_retired: bool


@dataclass(frozen=True, slots=True)
class Weight:
    """One contribution to a prediction: how far it moved the log-odds (natural logarithm).

    ``reference`` names what spoke: the id of a finding, an event's code and time, the code of a mode or component.
    """

    kind: str
    ts: datetime
    log_odds: float
    summary_en: str
    summary_zh: str
    reference: str


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding with its series and rule; times are equipment time."""

    id: UUID
    series_id: int
    metric: str
    unit: str | None
    detector: str
    direction: str
    severity: str
    shadow: bool
    opened_at: datetime
    cleared_at: datetime | None
    value: float
    score: float
    limit_value: float
    rule: str
    rule_version: int


@dataclass(frozen=True, slots=True)
class Place:
    """An asset by what people call it."""

    id: int
    tag: str
    name: str
    site_id: str


@dataclass(frozen=True, slots=True)
class DeviceSummary:
    """A registered device in the list. ``feed`` is the feed's name, None where it is heard on its own topics."""

    id: int
    site_id: str
    name: str
    asset_id: int
    asset_tag: str
    asset_name: str
    online: bool | None
    last_seen_at: datetime | None
    expected_interval_s: float | None
    clock_ahead_s: float | None
    feed: str | None
    feed_key: str | None
    missing_messages: int


def site_zones(connection: Connection) -> dict[str, str]:
    """Return the IANA time zone of every site."""
    return dict(connection.execute(QUERIES["site_zones"]).fetchall())


def work_counts(
    connection: Connection, *, sites: Sequence[str] | None, requester_id: int | None, person_id: int, now: datetime
) -> WorkCounts:
    """Return what waits at these sites (None: all), for one requester only when ``requester_id`` is given."""
    asked = {
        "sites": _array(sites),
        "requester_id": requester_id,
        "person_id": person_id,
        "now": now,
        "soon": now + SOON,
    }
    row = connection.execute(QUERIES["work_counts"], asked).fetchone()
    return WorkCounts(*row) if row else WorkCounts(0, 0, 0, 0)


def ticket_rows(
    connection: Connection, wanted: TicketFilter, *, before: UUID | None = None, limit: int = PAGE_SIZE
) -> list[TicketRow]:
    """Return tickets newest first, those with ids below ``before``."""
    pattern = _contains(wanted.text)
    asked = {
        "sites": _array(wanted.sites),
        "states": _array(wanted.states),
        "requester_id": wanted.requester_id,
        "assignee_id": wanted.assignee_id,
        "asset_id": wanted.asset_id,
        "text": pattern,
        "asset_ids": assets_called(connection, pattern),
        "due_from": wanted.due_from,
        "due_to": wanted.due_to,
        "flag": wanted.flag,
        "unassigned": wanted.unassigned,
        "on_hold": wanted.on_hold,
        "review_to": wanted.review_to,
        "kind": wanted.kind,
        "priority": wanted.priority,
        "before": before,
        "limit": limit,
    }
    return [TicketRow(*row) for row in connection.execute(QUERIES["ticket_rows"], asked)]


def newest_span(connection: Connection, series_id: int) -> tuple[datetime, datetime] | None:
    """Return the first and last time of the newest readings of a series (equipment time), None without readings."""
    return connection.execute(QUERIES["newest_span"], {"series_id": series_id, "limit": LIVE_READINGS}).fetchone()


def span_around(
    connection: Connection, series_id: int, opened_at: datetime, cleared_at: datetime | None
) -> tuple[datetime, datetime]:
    """Return the stretch to draw around a finding (equipment time); at least the finding's own."""
    ended_at = cleared_at or opened_at
    asked = {
        "series_id": series_id,
        "opened_at": opened_at,
        "ended_at": ended_at,
        "before": READINGS_BEFORE,
        "after": READINGS_AFTER,
    }
    start, end = connection.execute(QUERIES["span_around"], asked).fetchone() or (None, None)
    start, end = start or opened_at, end or ended_at
    return start, max(end, start + timedelta(minutes=1))


def prediction_rows(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    status: str | None = None,
    asset_id: int | None = None,
    limit: int = PAGE_SIZE,
    skip: int = 0,
) -> list[PredictionRow]:
    """Return predictions, open ones first, without the first ``skip`` of them."""
    asked = {"id": None, "sites": _array(sites), "status": status, "asset_id": asset_id, "limit": limit, "skip": skip}
    return [PredictionRow(*row) for row in connection.execute(QUERIES["prediction_rows"], asked)]


def prediction_row(connection: Connection, prediction_id: UUID) -> PredictionRow | None:
    """Return one prediction, or None."""
    asked = {"id": prediction_id, "sites": None, "status": None, "asset_id": None, "limit": 1, "skip": 0}
    row = connection.execute(QUERIES["prediction_rows"], asked).fetchone()
    return None if row is None else PredictionRow(*row)


def mode_names(connection: Connection, asset_type: str) -> list[ModeName]:
    """Return the failure modes of an asset type by what people call them, in the order of their codes."""
    return [ModeName(*row) for row in connection.execute(QUERIES["mode_names"], {"asset_type": asset_type})]


def contributions(connection: Connection, prediction_id: UUID) -> list[Weight]:
    """Return what moved a prediction: what was known before first, then the strongest evidence."""
    asked = {"prediction_id": prediction_id, "limit": EVIDENCE_MAX}
    return [Weight(*row) for row in connection.execute(QUERIES["contributions"], asked)]


def place_of_asset(connection: Connection, asset_id: int) -> Place | None:
    """Return what an asset is called and where it stands."""
    row = connection.execute(QUERIES["place_of_asset"], {"asset_id": asset_id}).fetchone()
    return None if row is None else Place(*row)


def finding_rows(
    connection: Connection,
    *,
    asset_id: int | None = None,
    prediction_id: UUID | None = None,
    finding_id: UUID | None = None,
    limit: int = EVIDENCE_MAX,
) -> list[FindingRow]:
    """Return the findings of an asset or of a prediction, or one finding, newest first."""
    asked = {"asset_id": asset_id, "prediction_id": prediction_id, "finding_id": finding_id, "limit": limit}
    return [FindingRow(*row) for row in connection.execute(QUERIES["finding_rows"], asked)]


def device_rows(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    site: str | None = None,
    text: str | None = None,
    after: int = 0,
    limit: int = PAGE_SIZE,
) -> list[DeviceSummary]:
    """Return devices with ids above ``after``; ``text`` is looked for in their names, keys and assets."""
    asked = {"sites": _array(sites), "site": site, "text": _contains(text), "after": after, "limit": limit}
    return [DeviceSummary(*row) for row in connection.execute(QUERIES["device_rows"], asked)]


def _contains(text: str | None) -> str | None:
    """Return a pattern that finds ``text`` anywhere, with its own wildcards taken literally."""
    if not text:
        return None
    literal = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literal}%"


def _array(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)
