"""Operations of production orders as rows: what a page shows of them, and what the rules see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from storage.intake_views import OperationView
from ticketing.ticket import Operation, Phase


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation with the ids and the names of its people."""

    number: int
    name: str
    engineer_id: int | None
    engineer: str | None
    quality_check: str
    started_at: datetime | None
    started_by_id: int | None
    started_by: str | None
    finished_at: datetime | None
    finished_by_id: int | None
    finished_by: str | None
    checked_at: datetime | None
    checked_by: str | None
    check_result: str | None
    check_remark: str | None
    failed_checks: int

    @property
    def phase(self) -> Phase:
        """What the operation waits for."""
        if self.check_result == "passed":
            return Phase.PASSED
        if self.finished_at is not None:
            return Phase.CHECK
        return Phase.START if self.started_at is None else Phase.FINISH

    @property
    def as_rule(self) -> Operation:
        """The operation as the rules see it."""
        return Operation(self.number, self.phase, self.engineer_id, self.started_by_id, self.finished_by_id)

    @property
    def view(self) -> OperationView:
        """The operation as a page shows it."""
        return OperationView(
            number=self.number,
            name=self.name,
            phase=self.phase.value,
            engineer_id=self.engineer_id,
            engineer=self.engineer,
            quality_check=self.quality_check,
            started_at=self.started_at,
            started_by=self.started_by,
            finished_at=self.finished_at,
            finished_by=self.finished_by,
            checked_at=self.checked_at,
            checked_by=self.checked_by,
            check_result=self.check_result,
            check_remark=self.check_remark,
            failed_checks=self.failed_checks,
        )
