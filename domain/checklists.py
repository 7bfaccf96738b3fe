"""Lines of a checklist: what is to be done, and the reading that is to be taken with it (SPEC T8)."""

from __future__ import annotations

import math
from dataclasses import dataclass

UNIT_MAX = 16


@dataclass(frozen=True, slots=True)
class Task:
    """One line of a checklist, in both languages; a check may have a reading in a unit, within limits.

    ``opens_ticket``: a failure opens a ticket of its own; of the failure mode of the asset's type that has the code
    ``failure_mode``, where one is named, and then it joins the open ticket of that mode.
    """

    text_en: str
    text_zh: str
    unit: str | None = None
    low_limit: float | None = None
    high_limit: float | None = None
    opens_ticket: bool = False
    failure_mode: str | None = None

    def fault(self) -> tuple[str, str] | None:
        """Return what was expected and what came where the fields contradict each other, None where they do not."""
        limits = [limit for limit in (self.low_limit, self.high_limit) if limit is not None]
        if not all(math.isfinite(limit) for limit in limits) or sorted(limits) != limits:
            return "limits in order, both of them finite", f"{self.low_limit} to {self.high_limit}"
        if limits and self.unit is None:
            return "a unit with the limits of a reading", "limits without a unit"
        if self.failure_mode is not None and not self.opens_ticket:
            return "a failure mode only where a failure opens a ticket", f"'{self.failure_mode}' without a ticket"
        return None
