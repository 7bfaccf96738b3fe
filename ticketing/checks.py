"""Checks: what completing a task of the checklist says, and whether that is a failure (SPEC T8).

A task that has a unit or limits asks for a reading, and the reading decides: outside its limits the check has failed,
whatever was ticked beside it. What does not apply says why, and so does a failure that no reading shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.refusals import Refused


class CheckResult(StrEnum):
    """What a check came to."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Check:
    """What a task asks for. The limits are in ``unit`` and themselves still good; None means no limit."""

    number: int
    unit: str | None = None
    low_limit: float | None = None
    high_limit: float | None = None

    @property
    def wants_reading(self) -> bool:
        """Say whether the task asks for a number."""
        return not (self.unit is None and self.low_limit is None and self.high_limit is None)

    @property
    def asked(self) -> str:
        """The limits in words: "2.0 to 4.5 mm/s"."""
        low, high = self.low_limit, self.high_limit
        span = f"{low} to {high}" if None not in (low, high) else f"at least {low}" if low is not None else ""
        span = span or (f"at most {high}" if high is not None else "a number")
        return " ".join(filter(None, (span, self.unit)))

    def is_within(self, reading: float) -> bool:
        """Say whether a reading keeps the limits."""
        above = self.low_limit is None or reading >= self.low_limit
        return above and (self.high_limit is None or reading <= self.high_limit)


def result_of(check: Check, said: str | None, reading: float | None, remark: str | None) -> CheckResult:
    """Return what the check came to; refuse a reading that is missing or that nobody asked for, or a missing why."""
    if reading is not None and (not check.wants_reading or said == CheckResult.NOT_APPLICABLE):
        raise Refused(
            "invalid_fact",
            expected=f"no 'reading' for task {check.number}"
            + (" when it does not apply" if check.wants_reading else ""),
            got=str(reading),
            remedy="Leave the reading out, or put it into the remark.",
        )
    if said == CheckResult.NOT_APPLICABLE:
        return _because(check, CheckResult.NOT_APPLICABLE, remark)
    if reading is None:
        if check.wants_reading:
            raise Refused(
                "missing_fact",
                expected=f"'reading' for task {check.number}: {check.asked}",
                got="nothing",
                remedy="Read the value and give it as the fact 'reading'.",
            )
        return _because(check, CheckResult.FAILED, remark) if said == CheckResult.FAILED else CheckResult.OK
    failed = said == CheckResult.FAILED or not check.is_within(reading)
    return CheckResult.FAILED if failed else CheckResult.OK


def _because(check: Check, result: CheckResult, remark: str | None) -> CheckResult:
    if not remark:
        raise Refused(
            "missing_fact",
            expected=f"'remark' for task {check.number}, which is {result.value.replace('_', ' ')}",
            got="nothing",
            remedy="Say why in the fact 'remark'.",
        )
    return result
