"""People over the wire: who they are, what they may do, and the tokens that machines and scripts come in with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from api.register_schemas import Changed
from api.schemas import Asked, GrantShape, Latitude, Line, Longitude, LowWord, Told
from storage.people import PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN, RequesterTier

Password = Annotated[str, StringConstraints(min_length=PASSWORD_LENGTH_MIN, max_length=PASSWORD_LENGTH_MAX)]
PersonLanguage = Literal["en", "zh"]
LoadLimit = Annotated[int, Field(ge=0, le=50)]
Grants = Annotated[list[GrantShape], Field(min_length=1, max_length=200)]


class NewPerson(Asked):
    """A person to add."""

    login: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{1,64}$")]
    name: Line
    language: PersonLanguage = "en"
    password: Password | None = None
    roles: Grants
    skills: Annotated[dict[LowWord, Annotated[int, Field(ge=1, le=5)]], Field(max_length=50, default_factory=dict)]
    team: Line | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    load_limit: LoadLimit = 3
    on_duty: bool = True
    requester_tier: RequesterTier = RequesterTier.STANDARD


class PersonChange(Changed):
    """What to change of a person. Roles are replaced as a whole; who is not active is signed out and sent nowhere."""

    name: Line | None = None
    language: PersonLanguage | None = None
    team: Line | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    load_limit: LoadLimit | None = None
    on_duty: bool | None = None
    active: bool | None = None
    requester_tier: RequesterTier | None = None
    roles: Grants | None = None

    @model_validator(mode="after")
    def _keeps_what_it_needs(self) -> Self:
        self._refuse_null("name", "language", "load_limit", "on_duty", "active", "requester_tier", "roles")
        return self


class NewPassword(Asked):
    """A password in place of the one before, if there was one."""

    password: Password


class PersonShape(Told):
    """A person of the register."""

    id: int
    login: str
    name: str
    language: str
    roles: list[GrantShape]
    on_duty: bool
    active: bool
    team: str | None
    latitude: float | None
    longitude: float | None
    load_limit: int
    requester_tier: RequesterTier
    skills: dict[str, int]
    version: int


class People(Told):
    """A page of people; ``next_cursor`` goes into ``cursor`` for the next page."""

    items: list[PersonShape]
    next_cursor: str | None


class NewToken(Asked):
    """A bearer token to issue, and for how long."""

    name: Line
    days: Annotated[int, Field(ge=1, le=366)] = 90


class Token(Told):
    """A bearer token. The secret is shown this once."""

    token: str
    expires_at: datetime
