"""The console's words for backtests: kinds, states, what became of a ticket, and the figures that are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import Word

ROUNDED_FROM = 100


class Measure(StrEnum):
    """How a figure is written."""

    COUNT = "count"
    SHARE = "share"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a backtest as the comparison shows it."""

    name: str
    message: str
    measure: Measure


RUN_KINDS: Mapping[str, str] = MappingProxyType(
    {"backtest": N_("Rule tried on history"), "calibration": N_("Limit sought by replay")}
)

RUN_STATES: Mapping[str, Word] = MappingProxyType(
    {
        "waiting": Word(N_("Waiting"), "clock", "grey"),
        "running": Word(N_("Running"), "wave", "calm"),
        "done": Word(N_("Finished"), "check", "good"),
        "failed": Word(N_("Failed"), "alarm", "bad"),
        "cancelled": Word(N_("Cancelled"), "cross", "grey"),
    }
)

VERDICTS: Mapping[str, Word] = MappingProxyType(
    {
        "right": Word(N_("Right"), "check", "good"),
        "false": Word(N_("False"), "cross", "bad"),
        "undecided": Word(N_("Undecided"), "clock", "grey"),
    }
)

FIGURES = (
    Figure("tickets", N_("Tickets"), Measure.COUNT),
    Figure("right", N_("Right"), Measure.COUNT),
    Figure("false", N_("False"), Measure.COUNT),
    Figure("undecided", N_("Undecided"), Measure.COUNT),
    Figure("precision", N_("Precision"), Measure.SHARE),
    Figure("recall", N_("Failures foreseen"), Measure.SHARE),
    Figure("median_lead_h", N_("Lead, median, in hours"), Measure.AMOUNT),
    Figure("false_per_machine_month", N_("False alarms per machine-month"), Measure.AMOUNT),
)


def written(value: float | None, measure: Measure, *, signed: bool = False) -> str:
    """Return a figure as text, a dash where there is none; with ``signed`` as a difference.

    >>> written(0.25, Measure.SHARE), written(-2, Measure.COUNT, signed=True), written(None, Measure.AMOUNT)
    ('25 %', '−2', '–')
    """
    if value is None:
        return "–"
    size = abs(value) * (100 if measure is Measure.SHARE else 1)
    text = f"{size:.3g}" if measure is Measure.AMOUNT and size < ROUNDED_FROM else f"{size:.0f}"
    unit = " %" if measure is Measure.SHARE else ""
    if float(text) == 0:
        return f"{'±' if signed else ''}{text}{unit}"
    return f"{'−' if value < 0 else '+' if signed else ''}{text}{unit}"
