"""The plant of a simulated month as its people share it: the time, the tickets under way and the service behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from simulators.agenda import Agenda
from simulators.console_client import Json
from simulators.hands import Hands
from simulators.month_plan import Fault, Machine, MonthPlan

URGENT = 1


class Service(Protocol):
    """What goes on behind the API: the service's own rounds, what sensors tell it, and who is on duty."""

    def round(self) -> None:
        """Do what the desk would do now."""
        ...

    def show_fault(self, asset_id: int, failure_mode: str) -> None:
        """Have the sensors of a machine show the signs of a failure mode."""
        ...

    def calm(self, asset_id: int, failure_mode: str) -> None:
        """Have the signs end."""
        ...

    def set_on_duty(self, person_id: int, on_duty: bool) -> None:
        """Begin or end somebody's shift."""
        ...


@dataclass(slots=True)
class Job:
    """A ticket as the plant knows it. ``fault`` None: nobody can say what is behind it. ``visits`` were disputed."""

    code: str
    priority: int
    due_at: datetime
    opened_at: datetime
    asset_id: int
    machine: Machine
    fault: Fault | None
    assignee_id: int | None = None
    dispatched_at: datetime | None = None
    visits: int = 0
    has_waited: bool = False
    is_called: bool = False
    is_closed: bool = False

    @property
    def is_urgent(self) -> bool:
        """Whether people work through the night for it."""
        return self.priority <= URGENT


class Plant:
    """The time, the luck and the tickets of the month, for everybody in it."""

    def __init__(self, plan: MonthPlan, agenda: Agenda, service: Service) -> None:
        self.plan = plan
        self.agenda = agenda
        self.service = service
        self.hands = Hands(agenda.now)
        self.jobs: dict[str, Job] = {}
        self.counts: Counter[str] = Counter()
        # Faults (by number) that no longer do harm, and how often each was worked on.
        self.fixed: set[int] = set()
        self.attempts: Counter[int] = Counter()
        # Who is told when a ticket opens, when it is closed, and when somebody's shift begins.
        self.opened: list[Callable[[Job], None]] = []
        self.closed: list[Callable[[Job], None]] = []
        self.shift_began: list[Callable[[], None]] = []

    def now(self) -> datetime:
        """Return the virtual time."""
        return self.agenda.now()

    def local(self) -> datetime:
        """Return the virtual time in the plant's time zone."""
        return self.now().astimezone(self.plan.starts_at.tzinfo)

    def note_opened(self, job: Job) -> None:
        """Take note of a ticket, and tell everybody who cares."""
        self.jobs[job.code] = job
        for tell in self.opened:
            tell(job)

    def note_closed(self, job: Job) -> None:
        """Tell everybody who cares that a ticket is closed."""
        if not job.is_closed:
            job.is_closed = True
            for tell in self.closed:
                tell(job)

    def open_jobs(self) -> list[Job]:
        """Return the tickets that are not closed, in order of their codes."""
        return [job for _, job in sorted(self.jobs.items()) if not job.is_closed]

    def job_of(self, asset_id: int, failure_mode: str | None) -> Job | None:
        """Return the open ticket of a machine's failure mode, as far as the plant knows it."""
        for job in self.open_jobs():
            if job.asset_id == asset_id and job.fault is not None and job.fault.mode.code == failure_mode:
                return job
        return None


def is_row(value: object) -> Json:
    """Return the object that is under "ticket" in an answer. Raises TypeError where it is none."""
    if not isinstance(value, dict):
        raise TypeError(f"a ticket is expected to be an object, got {value!r:.100}")
    return value
