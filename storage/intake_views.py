"""What a ticket's answer shows of its opening and of its operations: plain rows (SPEC T8, T10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LookupView:
    """What was looked up about the ticket: pending, done (with its body) or failed."""

    name: str
    state: str
    body: Mapping[str, object] | None
    asked_at: datetime
    done_at: datetime | None


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


@dataclass(frozen=True, slots=True)
class ReferenceView:
    """The record of another system that the ticket is."""

    source: str
    reference: str
