"""Faults to order: what goes wrong between a sound machine and the broker (SPEC R3).

Each fault is one small class that turns the messages of a step into the messages that are really sent; several
faults of a device run one after the other. FAULTS is the whole catalogue; an order is written
``device:fault:amount``, for example ``M-102:dropout:0.05``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Sample:
    """One message of a device before it is encoded. ``sequence`` counts as the device counted it."""

    ts: datetime
    sequence: int
    values: Mapping[str, float]


class Fault(Protocol):
    """Disturbs the messages of one device."""

    def disturb(self, samples: list[Sample]) -> list[Sample]:
        """Return what is sent in place of ``samples``; it may hold some back for a later call."""
        ...


class Dropout:
    """Each message is lost with probability ``amount``; its sequence number is missing on the other side."""

    def __init__(self, amount: float, rng: np.random.Generator) -> None:
        self._probability, self._rng = _probability("dropout", amount), rng

    def disturb(self, samples: list[Sample]) -> list[Sample]:
        """See Fault."""
        return [sample for sample in samples if self._rng.random() >= self._probability]


class Spike:
    """One metric of a message is eight times too large with probability ``amount``: a loose contact."""

    FACTOR = 8.0

    def __init__(self, amount: float, rng: np.random.Generator) -> None:
        self._probability, self._rng = _probability("spike", amount), rng

    def disturb(self, samples: list[Sample]) -> list[Sample]:
        """See Fault."""
        return [self._spiked(sample) if self._rng.random() < self._probability else sample for sample in samples]

    def _spiked(self, sample: Sample) -> Sample:
        metric = sorted(sample.values)[int(self._rng.integers(len(sample.values)))]
        return replace(sample, values={**sample.values, metric: sample.values[metric] * self.FACTOR})


class Stuck:
    """With probability ``amount`` a message freezes all metrics at its values for the next 60 messages."""

    LENGTH = 60

    def __init__(self, amount: float, rng: np.random.Generator) -> None:
        self._probability, self._rng = _probability("stuck", amount), rng
        self._frozen: Mapping[str, float] = {}
        self._left = 0

    def disturb(self, samples: list[Sample]) -> list[Sample]:
        """See Fault."""
        return [self._stuck(sample) for sample in samples]

    def _stuck(self, sample: Sample) -> Sample:
        if self._left == 0:
            if self._rng.random() < self._probability:
                self._frozen, self._left = sample.values, self.LENGTH
            return sample
        self._left -= 1
        return replace(sample, values=self._frozen)


class Duplicates:
    """Each message is sent twice with probability ``amount``, under the same sequence number."""

    def __init__(self, amount: float, rng: np.random.Generator) -> None:
        self._probability, self._rng = _probability("duplicates", amount), rng

    def disturb(self, samples: list[Sample]) -> list[Sample]:
        """See Fault."""
        return [copy for sample in samples for copy in [sample] * (1 + (self._rng.random() < self._probability))]


class Disorder:
    """A message is held back behind the next 1 to 5 with probability ``amount``."""

    LONGEST = 5

    def __init__(self, amount: float, rng: np.random.Generator) -> None:
        self._probability, self._rng = _probability("disorder", amount), rng
        self._held: list[tuple[int, Sample]] = []

    def disturb(self, samples: list[Sample]) -> list[Sample]:
        """See Fault."""
        sent: list[Sample] = []
        for sample in samples:
            due = [held for left, held in self._held if left <= 1]
            self._held = [(left - 1, held) for left, held in self._held if left > 1]
            if self._rng.random() < self._probability:
                self._held.append((int(self._rng.integers(1, self.LONGEST + 1)), sample))
            else:
                sent.append(sample)
            sent.extend(due)
        return sent


class Skew:
    """The device's clock is ``amount`` seconds ahead (negative: behind)."""

    def __init__(self, amount: float, rng: np.random.Generator) -> None:
        self._skew = timedelta(seconds=amount)

    def disturb(self, samples: list[Sample]) -> list[Sample]:
        """See Fault."""
        return [replace(sample, ts=sample.ts + self._skew) for sample in samples]


FAULTS: dict[str, Callable[[float, np.random.Generator], Fault]] = {
    "dropout": Dropout,
    "spike": Spike,
    "stuck": Stuck,
    "duplicates": Duplicates,
    "disorder": Disorder,
    "skew": Skew,
}


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """A fault ordered for one device; ``amount`` is a probability per message, or seconds for skew."""

    device: str
    fault: str
    amount: float


def parse_order(text: str) -> FaultOrder:
    """Read ``device:fault:amount``. Raises ValueError that says what came and what was expected."""
    pieces = text.split(":")
    if len(pieces) != 3 or not pieces[0]:
        raise ValueError(f"a fault is ordered as device:fault:amount, for example M-102:dropout:0.05; got '{text}'")
    device, fault, amount_text = pieces
    if fault not in FAULTS:
        raise ValueError(f"there is no fault '{fault}' (in '{text}'); choose one of {', '.join(FAULTS)}")
    try:
        amount = float(amount_text)
    except ValueError:
        raise ValueError(f"the amount of a fault is a number, got '{amount_text}' in '{text}'") from None
    FAULTS[fault](amount, np.random.default_rng(0))  # refuses an amount out of range now, not in the running fleet
    return FaultOrder(device, fault, amount)


def faults_of(device: str, orders: Sequence[FaultOrder], rng: np.random.Generator) -> list[Fault]:
    """Return the faults ordered for ``device``, in the order given."""
    return [FAULTS[order.fault](order.amount, rng) for order in orders if order.device == device]


def disturb(faults: Sequence[Fault], samples: list[Sample]) -> list[Sample]:
    """Run the samples through the faults one after the other."""
    for fault in faults:
        samples = fault.disturb(samples)
    return samples


def _probability(name: str, amount: float) -> float:
    if not 0 <= amount <= 1:
        raise ValueError(f"the amount of '{name}' is a probability from 0 to 1, got {amount}")
    return amount
