"""A ticket as the simulated people see it, and what they have to say about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from simulators.console_client import Json, moment, objects, text, whole

# A part that the prediction holds likelier than not is taken to be needed.
NEEDED_FROM = 0.5


@dataclass(frozen=True, slots=True)
class BillLine:
    """One predicted part: number, pieces, and how likely it is needed (None where nobody said)."""

    part_number: str
    predicted: int
    probability: float | None
    issued: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an engineer reads on the phone before the next step."""

    code: str
    state: str
    version: int
    site: str
    asset_tag: str
    asset_type: str
    failure_mode: str | None
    assignee_id: int | None
    evidence_at: datetime
    is_on_hold: bool
    is_resolved: bool
    has_responded: bool
    gates: tuple[str, ...]
    open_tasks: tuple[int, ...]
    bill: tuple[BillLine, ...]

    @classmethod
    def read(cls, detail: Json) -> Self:
        """Read the detail of a ticket. Raises KeyError or TypeError where it is not one."""
        ticket = detail["ticket"]
        if not isinstance(ticket, dict):
            raise TypeError(f"'ticket' is expected to be an object, got {ticket!r:.100}")
        evidence_at = moment(ticket, "evidence_at")
        if evidence_at is None:
            raise TypeError(f"ticket {ticket.get('code')} has no evidence_at")
        mode, assignee = ticket.get("failure_mode"), ticket.get("assignee_id")
        gates = detail["gates"]
        return cls(
            code=text(ticket, "code"),
            state=text(ticket, "state"),
            version=whole(ticket, "version"),
            site=text(ticket, "site_id"),
            asset_tag=text(ticket, "asset_tag"),
            asset_type=text(ticket, "asset_type_id"),
            failure_mode=mode if isinstance(mode, str) else None,
            assignee_id=assignee if isinstance(assignee, int) else None,
            evidence_at=evidence_at,
            is_on_hold=detail.get("is_on_hold") is True,
            is_resolved=ticket.get("resolved_at") is not None,
            has_responded=ticket.get("responded_at") is not None,
            gates=tuple(str(gate) for gate in gates) if isinstance(gates, list) else (),
            open_tasks=tuple(whole(task, "number") for task in objects(detail, "tasks") if task.get("done_at") is None),
            bill=tuple(_bill_line(line) for line in objects(detail, "bill")),
        )


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the engineer found and did; ``work_finished_at`` is equipment time, None for now."""

    code: str
    found_failure_mode: str | None
    cause: str
    action_taken: str
    work_finished_at: datetime | None = None

    @property
    def is_repair(self) -> bool:
        """Whether something was repaired."""
        return self.code == "repaired"

    def facts(self) -> Json:
        """Return the facts of the resolve command."""
        facts: Json = {"resolution_code": self.code, "cause": self.cause, "action_taken": self.action_taken}
        if self.found_failure_mode:
            facts["found_failure_mode"] = self.found_failure_mode
        if self.work_finished_at:
            facts["work_finished_at"] = self.work_finished_at.isoformat()
        return facts

    def lines(self, bill: tuple[BillLine, ...]) -> list[Json]:
        """Return what was issued, used and returned: a repair uses the parts that were likely needed."""
        return [self._line(line) for line in bill if line.predicted or line.issued]

    def _line(self, line: BillLine) -> Json:
        issued = max(line.issued, line.predicted)
        is_used = self.is_repair and (line.probability is None or line.probability >= NEEDED_FROM)
        used = issued if is_used else 0
        return {"part_number": line.part_number, "issued": issued, "used": used, "returned": issued - used}


def repaired(mode: str, work_finished_at: datetime | None = None) -> Resolution:
    """The predicted mode was there, and its component was replaced."""
    return Resolution(
        "repaired",
        mode,
        "The component was worn, as predicted",
        "Replaced the component, test run without findings",
        work_finished_at,
    )


def no_fault_found(work_finished_at: datetime | None = None) -> Resolution:
    """Nothing was found on the machine."""
    return Resolution(
        "no_fault_found",
        None,
        "No sign of the predicted fault on the machine",
        "Inspected and measured, nothing replaced",
        work_finished_at,
    )


def _bill_line(line: Json) -> BillLine:
    probability = line.get("probability")
    return BillLine(
        text(line, "part_number"),
        whole(line, "predicted"),
        float(probability) if isinstance(probability, int | float) else None,
        whole(line, "issued"),
    )
