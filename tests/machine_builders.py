"""Builders of machines for the tests of detection: messages of several metrics, cut into batches at will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.bank import Bank, FindingChange
from detectors.rules import RuleInForce
from domain.readings import Readings
from domain.regimes import OperatingRegimes
from tests.detection_builders import START_US

SIGNAL, LOAD = 1, 2
ASSET = 7
REGIMES = OperatingRegimes("load", (50.0,), 5.0)
LOW_LOAD, HIGH_LOAD = 10.0, 90.0


@dataclass(frozen=True)
class Message:
    """One message of the machine: its time, the signal, and the load where it reports that."""

    ts_us: int
    signal: float
    load: float | None = None


def messages(
    signal: Sequence[float], load: Sequence[float | None] | float | None = None, *, first: int = 0
) -> list[Message]:
    """One message a second; the first is number ``first``."""
    loads = [load] * len(signal) if load is None or isinstance(load, (int, float)) else load
    return [
        Message(START_US + (first + i) * 1_000_000, float(one), told)
        for i, (one, told) in enumerate(zip(signal, loads, strict=True))
    ]


def a_machine(
    *rules: RuleInForce, regimes: OperatingRegimes | None = REGIMES, load_rules: Sequence[RuleInForce] = ()
) -> Bank:
    """A bank that watches the signal of asset 7 with these rules; its load tells the regime."""
    bank = Bank()
    bank.set_regimes(ASSET, regimes)
    bank.add_series(SIGNAL, ASSET, "signal", rules)
    bank.add_series(LOAD, ASSET, "load", load_rules)
    return bank


def tell(bank: Bank, told: Sequence[Message]) -> list[FindingChange]:
    """Feed messages as one batch, in series-time order."""
    loads = [one for one in told if one.load is not None]
    return bank.feed(
        Readings(
            np.repeat(np.array([SIGNAL, LOAD], np.int32), [len(told), len(loads)]),
            np.array([one.ts_us for one in [*told, *loads]], np.int64),
            np.array([one.signal for one in told] + [one.load for one in loads], np.float64),
        )
    )


def restarted(bank: Bank, again: Bank) -> Bank:
    """Return ``again`` with the state of ``bank``."""
    again.restore(bank.save([SIGNAL, LOAD]))
    return again
