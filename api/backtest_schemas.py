"""Backtests and calibrations over the wire: what is tried, on which machines, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.detection_schemas import NewRule
from api.schemas import Asked, Key, Line, LowWord, Moment, Told
from detectors.backtest import RuleTally, TicketTold
from detectors.calibrate import Proposal
from storage.backtests import MACHINES_MAX, Kind, State

RULES_MAX = 50
LABELS_MAX = 500


class LabelShape(Asked):
    """A span in which something was wrong, for all that closures say; ``failure_mode`` by its code, if known."""

    begin: Moment
    end: Moment
    failure_mode: LowWord | None = None
    asset_id: Key | None = None


class Machines(Asked):
    """Which machines (all of the type, those at a site, or these), from when until before when."""

    asset_type: LowWord
    asset_ids: Annotated[list[Key] | None, Field(min_length=1, max_length=MACHINES_MAX)] = None
    site_id: LowWord | None = None
    since: Moment
    until: Moment
    labels: Annotated[list[LabelShape], Field(max_length=LABELS_MAX, default_factory=list)]


class NewBacktest(Machines):
    """Rules to try. Each takes the place of the rule of its name, one that is off takes it away.

    ``repaired_after_h``: a ticket is taken for repaired that many hours after it opened; left out, the recorded repairs
    and replacements end it.
    """

    rules: Annotated[list[NewRule], Field(max_length=RULES_MAX, default_factory=list)]
    repaired_after_h: Annotated[float | None, Field(gt=0, le=8784, allow_inf_nan=False)] = None


class NewCalibration(Machines):
    """The rule in force, by name, whose ``parameter`` is to give at most ``wanted`` false alarms per machine-month."""

    rule: Annotated[Line, Field(max_length=64)]
    parameter: LowWord
    wanted: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]


class BacktestShape(Told):
    """A backtest or calibration: what was asked, where it stands, how many of its machines are done."""

    id: int
    kind: Kind
    asset_type: str
    asset_ids: list[int]
    since: datetime
    until: datetime
    rules: list[str]
    state: State
    error: str | None
    done: int
    asked_by: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Backtests(Told):
    """Backtests, newest first."""

    items: list[BacktestShape]
    next_cursor: str | None


class Side(Told):
    """What one set of rules made: figures by name, findings by rule, and of one machine the tickets."""

    figures: dict[str, float | None]
    rules: list[RuleTally]
    tickets: list[TicketTold]


class MachineShape(Told):
    """What came of one machine; ``error`` says why there is nothing."""

    asset_id: int
    name: str
    rows: int | None
    error: str | None
    candidate: Side | None
    in_force: Side | None


class BacktestDetail(BacktestShape):
    """A backtest with its result so far: all machines together, the difference, each machine; or the proposal."""

    candidate: Side | None
    in_force: Side | None
    difference: dict[str, float | None] | None
    machines: list[MachineShape]
    proposal: Proposal | None
