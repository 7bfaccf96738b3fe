"""Operations of a production order as pages and API answers show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class OperationView:
    """One operation of a production order: start, finish, check or passed is its phase; people are names."""

    number: int
    name: str
    phase: str
    engineer_id: int | None
    engineer: str | None
    quality_check: str
    started_at: datetime | None
    started_by: str | None
    finished_at: datetime | None
    finished_by: str | None
    checked_at: datetime | None
    checked_by: str | None
    check_result: str | None
    check_remark: str | None
    failed_checks: int
