"""What goes over the wire: request bodies, checked whole, and answers. The only pydantic models of the service.

Times are RFC 3339 with an offset on the way in and UTC on the way out. Requests with fields nobody knows are refused:
a misspelt field must not be ignored.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from storage.levels import Level
from storage.people import PASSWORD_LENGTH_MAX
from storage.service_alarms import ServiceAlarm, Trouble
from storage.supply import Proposal
from ticketing.actors import Role

PAGE_LIMIT = 200
PAGE_DEFAULT = 50
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def _utc_and_sane(value: datetime) -> datetime:
    """Bring a time to UTC; times outside 1970 to 2200 are mistakes, and the far ones cannot be computed with."""
    if not _EARLIEST.year < value.year < _LATEST.year:
        raise ValueError("expected a time between 1970 and 2200")
    return value.astimezone(UTC)


def without_nul(value: str) -> str:
    """Refuse the one character that the database's text cannot hold."""
    if "\x00" in value:
        raise ValueError("expected text without NUL characters")
    return value


Moment = Annotated[AwareDatetime, AfterValidator(_utc_and_sane)]
Key = Annotated[int, Field(ge=1, le=2**63 - 1)]
SeriesKey = Annotated[int, Field(ge=1, le=2**31 - 1)]
Line = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(without_nul)
]
Prose = Annotated[str, StringConstraints(max_length=4000), AfterValidator(without_nul)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
LowWord = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]


class Asked(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """An answer."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class ProblemError(Told):
    """One field that is wrong: where, and what was expected."""

    at: str
    expected: str


class ProblemDocument(Told):
    """Why the request was refused (RFC 9457). ``type`` is ``urn:wearsight:refusal:<name>``, stable for programs.

    ``intake_refusal`` is the receipt of a refused request for a ticket: it is kept under this number.
    """

    type: str
    title: str
    status: int
    detail: str
    expected: str
    got: str
    remedy: str
    errors: list[ProblemError] | None = None
    current_version: int | None = None
    intake_refusal: int | None = None


class SignIn(Asked):
    """A login with its password."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(without_nul)]
    password: Annotated[str, StringConstraints(min_length=1, max_length=PASSWORD_LENGTH_MAX)]


class GrantShape(Asked):
    """A role at one site, or everywhere without a site."""

    role: Role
    site: Word | None = None


class Me(Told):
    """Who is signed in."""

    id: int
    login: str
    name: str
    language: str
    roles: list[GrantShape]


class SeriesShape(Told):
    """One metric of one device."""

    id: int
    device_id: int
    device: str
    asset_id: int
    metric: str
    unit: str | None
    last_at: datetime | None
    last_value: float | None


class SeriesPage(Told):
    """A page of series."""

    items: list[SeriesShape]
    next_cursor: str | None


class Chart(Told):
    """Columns for a plot, one row an index; ``ts`` in milliseconds since 1970 (UTC).

    With ``raw`` each row is a reading, else a pixel: its first, lowest, highest and last reading. A row of nulls is a
    silence, where no line may be drawn. ``from`` and ``to`` are null when the series has no readings. ``level`` is the
    coarsest that was read: readings, or rows for each minute, hour or day; then ``ts`` is where the first one begins.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    series_id: int
    metric: str
    unit: str | None
    start: Annotated[datetime | None, Field(alias="from")]
    end: Annotated[datetime | None, Field(alias="to")]
    ts: list[float]
    first: list[float | None]
    min: list[float | None]
    max: list[float | None]
    last: list[float | None]
    raw: bool
    level: Level


class LatestColumns(Told):
    """The newest reading of each series, one an index; null where a series has none. ``ts`` in milliseconds (UTC)."""

    series_id: list[int]
    ts: list[float | None]
    value: list[float | None]
    next_cursor: str | None


class RetentionBody(Asked):
    """How long what is kept, in days or "ever": the fields of editions/policy/retention.toml."""

    name: Literal["retention"]
    days: Annotated[dict[LowWord, Annotated[int, Field(ge=1, le=36_500)] | Literal["ever"]], Field(max_length=20)]


class LevelShape(Told):
    """One level of time resolution on the disk; ``kept_from`` is null while nothing was dropped."""

    level: Level
    bytes: int
    kept_days: int | None
    kept_from: datetime | None
    waiting: int


class Retention(Told):
    """The retention policy in force (``id`` is null while it is the shipped one), and what each level takes."""

    id: int | None
    days: dict[str, int | Literal["ever"]]
    levels: list[LevelShape]


class ReadingColumns(Told):
    """Readings as two columns; ``next_from`` is where the next page starts, null at the end."""

    ts: list[float]
    value: list[float]
    next_from: datetime | None


PartNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class PartShape(Told):
    """A part with its pieces: on hand, of these reserved for tickets, and free.

    ``lead_time_days`` is null where the policy's counts; the store wants to keep ``reorder_level`` pieces free;
    ``substitutes`` are numbers of parts that may take its place, the best first.
    """

    id: int
    number: str
    name_en: str
    name_zh: str
    unit: str
    on_hand: int
    reserved: int
    free: int
    lead_time_days: int | None
    reorder_level: int
    substitutes: list[str]


class Parts(Told):
    """A page of parts."""

    items: list[PartShape]
    next_cursor: str | None


class SupplyOfPart(Asked):
    """How a part is supplied. Substitutes are numbers of other parts, the best first."""

    lead_time_days: Annotated[int, Field(ge=0, le=1_000)] | None
    reorder_level: Annotated[int, Field(ge=0, le=1_000_000)]
    substitutes: Annotated[list[PartNumber], Field(max_length=8)]


class Receipt(Asked):
    """Pieces that came into the store."""

    quantity: Annotated[int, Field(ge=1, le=1_000_000)]


class ProposalDecision(Asked):
    """What a person decides about a proposal to order: ordered, or dismissed."""

    decision: Literal["ordered", "dismissed"]
    note: Line | None = None


class Proposals(Told):
    """A page of proposals to order, newest first."""

    items: list[Proposal]
    next_cursor: str | None


class NewPart(Asked):
    """A part to add, with the pieces there are."""

    number: PartNumber
    name_en: Line
    name_zh: Line
    unit: Line = "piece"
    on_hand: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class Health(Told):
    """Whether requests can be served."""

    status: Literal["ok", "not_ok"]


class IngesterHealth(Told):
    """One ingester. Ages in seconds, null for never; ``queued`` messages wait on its side of the broker."""

    partition: str
    beat_age_s: float | None
    processed_age_s: float | None
    queued: int | None
    held_devices: int | None
    settled: bool | None


class HealthDetail(Told):
    """What operators watch. ``newest_message_age_s`` is null before the first message.

    ``status`` is not_ok while there are ``problems``. ``beat_age_s`` has, by process, the seconds since it last
    finished a round of its work.
    """

    status: Literal["ok", "not_ok"]
    version: str
    problems: list[Trouble]
    ingesters: list[IngesterHealth]
    beat_age_s: dict[str, float]
    open_tickets: dict[str, int]
    quarantine_open: int
    newest_message_age_s: float | None
    evidence_waiting: int
    outbox_waiting: int
    outbox_given_up: int
    devices_online: int
    devices: int
    open_streams: int


class ServiceAlarms(Told):
    """A page of the service's alarms about itself, newest first."""

    items: list[ServiceAlarm]
    next_cursor: str | None


class ApiDescription(Told):
    """The OpenAPI description; its shape is OpenAPI's own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    openapi: str


class FileKept(Told):
    """A file was kept; its id is the fact ``attachment_id`` of a ticket's execute command."""

    id: UUID
    media_type: str


Facts = Annotated[dict[str, JsonValue], Field(max_length=50)]
