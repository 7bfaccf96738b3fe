"""Quarantine over the wire: messages set aside, why, and the ways out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from api.adoption_schemas import FeedAddress, NativeAddress
from api.register_schemas import Text
from api.schemas import PAGE_LIMIT, Asked, Key, Told
from storage.quarantine import Quarantined


class Quarantine(Told):
    """A page of messages set aside, newest first."""

    items: list[Quarantined]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class QuarantinedMessage(Quarantined):
    """A message set aside with its first bytes, as text (bytes that are no UTF-8 escaped) and as base64."""

    payload_text: str
    payload_base64: str
    payload_is_whole: bool


class ReasonShape(Told):
    """How many messages wait for one reason, what it means and what to do, in the reader's language."""

    reason: str
    messages: int
    newest_at: datetime
    meaning: str | None
    remedy: str | None


class Reasons(Told):
    """Every reason for which messages wait, most first."""

    items: list[ReasonShape]


class ReplayBody(Asked):
    """Which messages: by their ids, all that wait for one reason, or all that wait of one address."""

    ids: Annotated[list[Key], Field(min_length=1, max_length=PAGE_LIMIT)] | None = None
    reason: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")] | None = None
    address: NativeAddress | FeedAddress | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if sum(given is not None for given in (self.ids, self.reason, self.address)) != 1:
            raise ValueError("expected one of 'ids', 'reason' and 'address'")
        return self


class DismissBody(ReplayBody):
    """Which messages to remove for good, and why; the audit keeps who did it, why, and what each message was."""

    why: Text


class ReplayAsked(Told):
    """How many messages will be tried again; within a second or so."""

    asked: int


class Dismissed(Told):
    """How many messages were removed. At most 10,000 at once: ask again until it is 0."""

    dismissed: int
