"""Schedules over the wire (SPEC T8)."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from api.intake_schemas import NewTask, Version
from api.schemas import Asked, Key, Prose, SeriesKey, Told, without_nul
from storage.schedules import Schedule

Title = Annotated[
    str, StringConstraints(min_length=1, max_length=120, strip_whitespace=True), AfterValidator(without_nul)
]


class ByCalendar(Asked):
    """Every so many units, counted from ``first_on`` at the site; the ticket opens ``lead_days`` before."""

    unit: Literal["day", "week", "month"]
    every: Annotated[int, Field(ge=1, le=1_000)]
    first_on: Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
    lead_days: Annotated[int, Field(ge=0, le=366)] = 0


class ByMeter(Asked):
    """Every so much of a series that only grows, in the series' unit; ``counted`` since it was last done."""

    series_id: SeriesKey
    every_amount: Annotated[float, Field(gt=0, le=1e12, allow_inf_nan=False)]
    counted: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] = 0.0


class WorkShape(Asked):
    """What is to be done each time."""

    title_en: Title
    title_zh: Title | None = None
    description: Prose = ""
    team_id: Key | None = None
    checklist: Annotated[list[NewTask], Field(max_length=100, default_factory=list)]


class NewSchedule(WorkShape):
    """A schedule to add: for which asset, what is to be done, and when it comes round."""

    asset_id: Key
    by_calendar: ByCalendar | None = None
    by_meter: ByMeter | None = None


class ChangedWork(WorkShape):
    """What is to be done from now on, and the version that was read."""

    version: Version


class Schedules(Told):
    """A page of schedules, newest first."""

    items: list[Schedule]
    next_cursor: str | None
