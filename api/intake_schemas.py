"""Asking for a ticket over the wire, and what became of requests that were refused (SPEC T10, Q3)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from api.schemas import Asked, Key, Line, LowWord, PartNumber, Prose, Told, without_nul
from domain.checklists import Task
from storage.articles import Article, FoundArticle
from storage.intaking.refusals import IntakeRefusal

Version = Annotated[int, Field(ge=1, le=2**31 - 1)]
Manuscript = Annotated[str, StringConstraints(max_length=50_000), AfterValidator(without_nul)]
FailureModeCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.-]{1,64}$")]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]


class NewTask(Asked):
    """One line of a checklist; without Chinese words the English ones stand for both.

    A check with a ``unit`` takes a reading; outside its limits it has failed, and with ``opens_ticket``
    opens a ticket, of the ``failure_mode`` of the asset's type where one is named.
    """

    text_en: Line
    text_zh: Line | None = None
    unit: Annotated[str, StringConstraints(min_length=1, max_length=16, strip_whitespace=True)] | None = None
    low_limit: Annotated[float, Field(allow_inf_nan=False)] | None = None
    high_limit: Annotated[float, Field(allow_inf_nan=False)] | None = None
    opens_ticket: bool = False
    failure_mode: FailureModeCode | None = None

    def planned(self) -> Task:
        """Return the task as intake takes it."""
        text_zh = self.text_zh or self.text_en
        limits = (self.low_limit, self.high_limit)
        return Task(self.text_en, text_zh, self.unit, *limits, self.opens_ticket, self.failure_mode)


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
    failure_mode: FailureModeCode | None = None
    line_stopped: bool = False
    requester_id: Key | None = None
    team_id: Key | None = None
    external_ref: Reference | None = None
    by_qr: bool = False
    tasks: Annotated[list[NewTask], Field(max_length=100, default_factory=list)]
    operations: Annotated[list[NewOperation], Field(max_length=100, default_factory=list)]
    bill: Annotated[list[NewBillLine], Field(max_length=100, default_factory=list)]


class IntakePreview(Told):
    """What a form shows before a ticket is opened, as the look-ups of a ticket have it.

    History and duplicates are for the staff of the site only.
    """

    asset_id: int
    warranty: dict[str, JsonValue]
    history: dict[str, JsonValue] | None = None
    duplicates: dict[str, JsonValue] | None = None
    knowledge: dict[str, JsonValue]


class Settlement(Asked):
    """How a refused request was dealt with."""

    note: Annotated[str, StringConstraints(min_length=1, max_length=1_000, strip_whitespace=True)]


class IntakeRefusals(Told):
    """A page of refused requests, newest first."""

    items: list[IntakeRefusal]
    next_cursor: str | None


class ArticleBody(Asked):
    """An article. Without an asset type it is for every machine; the failure mode is a code of the type."""

    title_en: Line
    title_zh: Line | None = None
    body_en: Manuscript = ""
    body_zh: Manuscript = ""
    asset_type: LowWord | None = None
    failure_mode: FailureModeCode | None = None


class ChangedArticle(ArticleBody):
    """An article as it is to be, and the version that was read."""

    version: Version


class Articles(Told):
    """A page of articles, newest first."""

    items: list[Article]
    next_cursor: str | None


class FoundArticles(Told):
    """The articles that fit, the best first; ``score`` is no more than an order."""

    items: list[FoundArticle]
    next_cursor: str | None


class DraftBody(Asked):
    """A form as it stands, and the version that was read, if it is not to overwrite another window's."""

    body: Annotated[dict[str, JsonValue], Field(max_length=200)]
    version: Version | None = None


class DraftShape(Told):
    """A form as it was left."""

    form: str
    body: dict[str, JsonValue]
    saved_at: datetime
    version: int


class Drafts(Told):
    """A person's drafts, newest first."""

    items: list[DraftShape]
    next_cursor: str | None
