"""A dispatch decision as pages and API answers show it (SPEC X4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DispatchView:
    """The newest dispatch decision; each candidate has person_id, name, score, parts, excluded_by and given.

    ``how`` is round, urgent, fallback or frozen. Of many ``considered`` only the best candidates are listed:
    ``fitting`` counts those no rule excludes (None in old decisions), ``excluded`` those that each rule does.
    """

    at: datetime
    chosen_id: int | None
    chosen_name: str | None
    how: str
    considered: int
    fitting: int | None
    excluded: Mapping[str, int]
    candidates: list[Mapping[str, object]]
