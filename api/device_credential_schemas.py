"""Credentials for the broker over the wire: who may publish what."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas import Asked, Told, Word
from domain.broker_grants import FILTERS_LIMIT
from domain.topic_filters import MAX_FILTER_LENGTH, check_filter
from storage.device_credentials import CredentialRow, IssuedCredential


def _a_filter(value: str) -> str:
    check_filter(value)
    return value


TopicFilter = Annotated[str, StringConstraints(min_length=1, max_length=MAX_FILTER_LENGTH), AfterValidator(_a_filter)]
TopicFilters = Annotated[list[TopicFilter], Field(max_length=FILTERS_LIMIT, default_factory=list)]


class Credentials(Told):
    """A page of credentials, newest first, revoked ones included."""

    items: list[CredentialRow]
    next_cursor: str | None


class NewGateway(Asked):
    """A gateway to add: a client that speaks for many devices. The filters are MQTT's, with + and #.

    Native topics of its own site and of no other, and no tickets to publish; of other topics what is no feed of another
    site.
    """

    site: Word
    name: Word
    publish: TopicFilters
    subscribe: TopicFilters


class GatewayShape(Told):
    """A gateway: what it may publish and hear, and how many live credentials it has."""

    id: int
    site: str
    name: str
    publish: list[str]
    subscribe: list[str]
    created_at: datetime
    created_by: str
    live_credentials: int


class NewGatewayShape(GatewayShape):
    """A gateway just added, with its first credential."""

    credential: IssuedCredential


class Gateways(Told):
    """A page of gateways."""

    items: list[GatewayShape]
    next_cursor: str | None
