"""Policies over the wire: versions with who published each and why, and the next one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.schemas import Asked, Line, LowWord, Told

Number = Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[float, Field(allow_inf_nan=False)]
Table = Annotated[dict[str, Number], Field(max_length=1_000)]
Section = Annotated[dict[str, Number | Table], Field(max_length=50)]


class PolicyVersionShape(Told):
    """A version; 0 is the shipped one, in force before the first seeding."""

    version: int
    body: dict[str, object]
    published_at: datetime | None
    published_by: str | None
    reason: str | None


class PolicyShape(Told):
    """A policy in force, and the newest of its versions, the one in force first."""

    name: str
    in_force: PolicyVersionShape
    versions: list[PolicyVersionShape]


class Policies(Told):
    """The policies that are edited field by field."""

    items: list[PolicyShape]
    next_cursor: str | None


class NewPolicyVersion(Asked):
    """The next version: the whole body without its name, why, and the version that it was written after."""

    after: Annotated[int, Field(ge=0, le=2**31 - 1)]
    reason: Line
    body: Annotated[dict[LowWord, Number | Section], Field(max_length=50)]
