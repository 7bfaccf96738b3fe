"""Priority over the wire: critical windows, breakers, and the comparison with the control policy."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from api.schemas import Asked, LowWord, Moment, Told, Word
from storage.breaker import Breaker
from storage.critical_windows import CriticalWindow
from ticketing.critical_windows import DAY_S, LEAST_FACTOR, MOST_FACTOR

WindowName = Annotated[
    str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True, pattern=r"^[^\x00-\x1f]*$")
]


class WindowBody(Asked):
    """A critical window: once (starts_at, ends_at) or weekly (weekdays, 1 is Monday, and local seconds of the day).

    A weekly window whose end lies before its start ends on the next day. No asset type means every asset of the site.
    """

    asset_type: LowWord | None = None
    name: WindowName
    factor: Annotated[float, Field(ge=LEAST_FACTOR, le=MOST_FACTOR, allow_inf_nan=False)]
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    weekdays: Annotated[list[Annotated[int, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)] | None = None
    starts_s: Annotated[int, Field(ge=0, le=DAY_S - 1)] | None = None
    ends_s: Annotated[int, Field(ge=1, le=DAY_S)] | None = None


class NewWindow(WindowBody):
    """A window to add to a site."""

    site: Word


class WindowChange(WindowBody):
    """A window as it should be, and the version that was read."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Windows(Told):
    """A page of critical windows."""

    items: list[CriticalWindow]
    next_cursor: str | None


class Breakers(Told):
    """The breakers of the caller's sites: the board says who waits, since when and for which P0."""

    items: list[Breaker]
    next_cursor: str | None
