"""Asking for a ticket over the wire, and what became of requests that were refused (SPEC T10, Q3)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas import Asked, Key, Line, PartNumber, Prose, Told
from storage.intaking.refusals import IntakeRefusal

Reference = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]


class NewTask(Asked):
    """One line of a checklist. Without Chinese words the English ones stand for both."""

    text_en: Line
    text_zh: Line | None = None


class NewOperation(Asked):
    """One operation of a production order, in the order of the list; without an engineer any of the site may do it."""

    name: Line
    quality_check: Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
    engineer_id: Key | None = None


class NewBillLine(Asked):
    """A part of the bill of materials and how many pieces the order takes."""

    part_number: PartNumber
    quantity: Annotated[int, Field(ge=1, le=100_000)]


class NewReport(Asked):
    """A ticket to open, for an asset named by its id or by its serial number.

    The failure mode is a code of the asset's type, if it is known. ``external_ref`` is the caller's own number for
    this: sent again, it gets the ticket that it has. A production order has operations and may have a bill.
    ``by_qr``: the asset was named by scanning its label.
    """

    asset_id: Key | None = None
    serial_number: Line | None = None
    kind: Literal["corrective", "inspection", "production"] = "corrective"
    title: Line
    description: Prose = ""
    failure_mode: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,64}$")] | None = None
    line_stopped: bool = False
    requester_id: Key | None = None
    team_id: Key | None = None
    external_ref: Reference | None = None
    by_qr: bool = False
    tasks: Annotated[list[NewTask], Field(max_length=100, default_factory=list)]
    operations: Annotated[list[NewOperation], Field(max_length=100, default_factory=list)]
    bill: Annotated[list[NewBillLine], Field(max_length=100, default_factory=list)]


class Settlement(Asked):
    """How a refused request was dealt with."""

    note: Annotated[str, StringConstraints(min_length=1, max_length=1_000, strip_whitespace=True)]


class IntakeRefusals(Told):
    """A page of refused requests, newest first."""

    items: list[IntakeRefusal]
    next_cursor: str | None
