"""Remaining life over the wire."""

from __future__ import annotations

from enum import StrEnum

from api.schemas import Told
from domain.remaining_life import RemainingLife


class NotKnown(StrEnum):
    """Why a remaining life is not known yet: too few runs to failure, or readings or the next round are missing."""

    TOO_FEW_RUNS = "too_few_runs"
    NOT_TOLD_YET = "not_told_yet"


class ModeLife(Told):
    """How long an asset has left before a failure mode, or why that is not known yet.

    Hours count from ``life.as_of``, on the equipment's clock. ``runs`` are the runs to failure there are, counted up
    to ``runs_needed``, from which on assets are compared with them.
    """

    failure_mode: str
    failure_mode_en: str
    failure_mode_zh: str
    life: RemainingLife | None
    not_known: NotKnown | None
    runs: int
    runs_needed: int


class RemainingLives(Told):
    """The failure modes of an asset's type, all of them on one page."""

    items: list[ModeLife]
    next_cursor: str | None
