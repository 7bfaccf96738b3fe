"""Remaining life over the wire."""

from __future__ import annotations

from enum import StrEnum

from api.schemas import Told
from domain.remaining_life import RemainingLife, RunsLearnt


class NotKnown(StrEnum):
    """Why a remaining life is not known yet.

    There are too few runs to failure, too few of them can be used (``left_out`` says why), or readings of this asset
    or the next round are missing.
    """

    TOO_FEW_RUNS = "too_few_runs"
    TOO_FEW_USABLE = "too_few_usable"
    NOT_TOLD_YET = "not_told_yet"


class ModeLife(Told):
    """How long an asset has left before a failure mode, or why that is not known yet.

    Hours count from ``life.as_of``, on the equipment's clock. ``runs`` are the runs to failure there are, counted up
    to ``runs_needed``, from which on assets are compared with them. ``learnt`` says how many were learnt from at the
    last telling and how many were left out for which reason, null before the first.
    """

    failure_mode: str
    failure_mode_en: str
    failure_mode_zh: str
    life: RemainingLife | None
    not_known: NotKnown | None
    runs: int
    runs_needed: int
    learnt: RunsLearnt | None


class RemainingLives(Told):
    """The failure modes of an asset's type, all of them on one page."""

    items: list[ModeLife]
    next_cursor: str | None
