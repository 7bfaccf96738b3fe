"""Escalations over the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas import Asked, Key, Told
from storage.escalation_views import Director, EscalationView, RecordedNotice


class Escalations(Told):
    """The ladders of a ticket, all on one page, in the order in which they began."""

    items: list[EscalationView]
    next_cursor: str | None


class RecordedNotices(Told):
    """What phone calls and text messages would have told, newest first."""

    items: list[RecordedNotice]
    next_cursor: str | None


class Directors(Told):
    """The directors of a site, all on one page."""

    items: list[Director]
    next_cursor: str | None


class DirectorsChange(Asked):
    """All the directors of a site; those not named are directors no longer."""

    person_ids: Annotated[list[Key], Field(max_length=20)]
