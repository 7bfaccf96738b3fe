"""Intake: what a request for a ticket is, whichever way it comes in, and what is wrong with it (SPEC T10, T6).

Pure: only what the request itself tells is checked here. Whether its asset, failure mode and team are there is the
database's to say.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from domain.checklists import UNIT_MAX, Task
from domain.refusals import Refused
from ticketing.actors import Actor
from ticketing.summaries import check_text
from ticketing.ticket import Kind
from ticketing.tracking import Origin

MAX_TITLE = 120
MAX_DESCRIPTION = 4_000
MAX_REFERENCE = 64
MAX_SERIAL_NUMBER = 64
MAX_TASK = 200
MAX_QUALITY_CHECK = 500


class Channel(StrEnum):
    """The ways in."""

    DEVICE = "device"
    CONSOLE = "console"
    QR = "qr"
    API = "api"
    INTEGRATION = "integration"
    SCHEDULE = "schedule"


ORIGIN_OF: Mapping[Channel, Origin] = MappingProxyType(
    {
        Channel.DEVICE: Origin.DEVICE,
        Channel.CONSOLE: Origin.PERSON,
        Channel.QR: Origin.PERSON,
        Channel.API: Origin.PERSON,
        Channel.INTEGRATION: Origin.INTEGRATION,
        Channel.SCHEDULE: Origin.SCHEDULE,
    }
)


@dataclass(frozen=True, slots=True)
class SourceReference:
    """A record of another system, by the system's name and its own number there: opaque, "E00123" is not 123."""

    source: str
    reference: str


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """One operation of a production order; ``engineer_id`` None: any engineer of the site."""

    name: str
    quality_check: str
    engineer_id: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """A part of the bill of materials and the pieces that the order takes."""

    part_number: str
    quantity: int


@dataclass(frozen=True, slots=True)
class IntakeRequest:
    """A ticket to open.

    The asset is named by its id or by its serial number. ``title_zh`` None takes ``title`` for both languages.
    ``requester_id`` None means the actor, if a person, else the asset's requester. ``external`` makes a repeat
    harmless: the same record of the same system gets the same ticket. ``evidence_at`` and ``failure_expected_at``
    are a prediction's: equipment time of its evidence, wall time of the failure. ``schedule_id`` and ``due_on`` (the
    site's date) are an inspection's. ``operations`` are a production order's, in their order.
    """

    channel: Channel
    kind: Kind
    actor: Actor
    title: str
    title_zh: str | None = None
    description: str = ""
    asset_id: int | None = None
    serial_number: str | None = None
    failure_mode: str | None = None
    line_stopped: bool = False
    requester_id: int | None = None
    team_id: int | None = None
    parent_id: UUID | None = None
    external: SourceReference | None = None
    prediction_id: UUID | None = None
    evidence_at: datetime | None = None
    failure_expected_at: datetime | None = None
    schedule_id: int | None = None
    due_on: date | None = None
    tasks: tuple[Task, ...] = ()
    operations: tuple[PlannedOperation, ...] = ()
    bill: tuple[PlannedPart, ...] = ()


def check_request(request: IntakeRequest) -> None:
    """Refuse a request that no database is needed to refuse: as invalid_request, or invalid_fact for its characters.

    The title of a device's ticket is the program's own, made of names in the library, and is taken as it is.
    """
    if request.channel is not Channel.DEVICE:
        _text("title", request.title, 1, MAX_TITLE)
        _text("title", request.title if request.title_zh is None else request.title_zh, 1, MAX_TITLE)
    _text("description", request.description, 0, MAX_DESCRIPTION)
    if (request.asset_id is None) == (request.serial_number is None):
        raise invalid("an asset_id or a serial_number, one of them", "both" if request.asset_id else "neither")
    if request.serial_number is not None:
        _text("serial_number", request.serial_number, 1, MAX_SERIAL_NUMBER)
    if request.external is not None:
        _text("external_ref", request.external.reference, 1, MAX_REFERENCE)
    _check_work(request)


def _check_work(request: IntakeRequest) -> None:
    if (request.kind is Kind.PRODUCTION) != bool(request.operations):
        raise invalid(
            "operations in a production order, and in no other ticket",
            f"{len(request.operations)} in one of kind {request.kind.value}",
        )
    check_tasks(request.tasks)
    for operation in request.operations:
        _text("operation", operation.name, 1, MAX_TASK)
        _text("quality_check", operation.quality_check, 1, MAX_QUALITY_CHECK)
    numbers = [part.part_number for part in request.bill]
    if len(set(numbers)) != len(numbers):
        raise invalid("each part once on the bill", ", ".join(sorted(numbers)))


def check_tasks(tasks: Sequence[Task]) -> None:
    """Refuse a checklist with an empty line, or with one that contradicts itself."""
    for task in tasks:
        _text("task", task.text_en, 1, MAX_TASK)
        _text("task", task.text_zh, 1, MAX_TASK)
        if task.unit is not None:
            _text("unit", task.unit, 1, UNIT_MAX)
        fault = task.fault()
        if fault is not None:
            raise invalid(*fault)


def same_serial_number(serial_number: str) -> str:
    """Return a serial number as it is compared: width, case and outer spaces do not tell two machines apart."""
    return unicodedata.normalize("NFKC", serial_number).strip().upper()


def invalid(expected: str, got: str) -> Refused:
    """Return the refusal of a request for a ticket."""
    return Refused("invalid_request", expected=expected, got=got, remedy="Correct the report and send it again.")


def _text(name: str, value: str, least: int, most: int) -> None:
    text = value.strip()
    check_text(name, text)
    if not least <= len(text) <= most:
        raise invalid(f"a {name} of {least} to {most} characters", f"{len(text)} characters")
