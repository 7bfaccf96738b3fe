"""Try a detector on a list of values, for examples, notebooks and tests; and have them all ready before work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from detectors.bank import Bank, Opened
from detectors.catalogue import CATALOGUE
from detectors.parameters import Scalar
from detectors.rules import RuleInForce
from domain.findings import Severity
from domain.readings import Readings


def episodes(
    detector: str, parameters: Mapping[str, Scalar], values: Sequence[float], *, interval_s: float = 1.0
) -> list[tuple[int, int | None]]:
    """Return (opened, cleared) as indices into ``values``, one sample every ``interval_s``; None when still open."""
    bank = Bank()
    rule = RuleInForce(1, "trial", 1, "*", detector, parameters, Severity.MEDIUM, shadow=False)
    bank.add_series(1, 1, "trial", [rule])
    count = len(values)
    ts_us = (np.arange(1, count + 1) * interval_s * 1e6).astype(np.int64)
    changes = bank.feed(Readings(np.ones(count, np.int32), ts_us, np.asarray(values, np.float64)))
    found: list[tuple[int, int | None]] = []
    for change in changes:
        at = change.finding.opened_at if isinstance(change, Opened) else change.cleared_at
        index = int(np.searchsorted(ts_us, round(at.timestamp() * 1e6)))
        if isinstance(change, Opened):
            found.append((index, None))
        else:
            found[-1] = (found[-1][0], index)
    return found


def warm_up() -> None:
    """Compile every kernel, or load its machine code: seconds on the first start, so not in the middle of work."""
    bank = Bank()
    required: Mapping[str, Mapping[str, Scalar]] = {"threshold": {"high": 1.0}, "level": {"high": 2.0}}
    rules = [
        RuleInForce(number, name, 1, "*", name, required.get(name, {}), Severity.LOW, shadow=True)
        for number, name in enumerate(CATALOGUE, start=1)
    ]
    bank.add_series(1, 1, "warm-up", rules)
    bank.feed(Readings(np.ones(1, np.int32), np.ones(1, np.int64), np.ones(1, np.float64)))
    bank.tick([1], 1)
