"""Who looks after the machines of a replay: when to stop it, and which tickets are then carried to closed.

Three things bring the engineer to a machine. The recording says that the component of a ticket was replaced: the
ticket is closed as repaired at that instant. A ticket has waited as long as anybody would work on it: the labels
then stand for the engineer's eyes, and say whether there was a fault to find. And rounds at fixed steps, so that no
ticket is found too late for its appointment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from simulators.console_client import ConsoleClient
from simulators.people import Staff, open_tickets
from simulators.recordings import Recording, press_mode
from simulators.tickets import Resolution, Ticket, no_fault_found, repaired


class ReplayUnderWay(Protocol):
    """What care needs of the replay; times are the recording's."""

    client: ConsoleClient

    def at_service(self, ts: datetime) -> datetime:
        """Return the service's time for a time of the recording."""
        ...

    def in_recording(self, ts: datetime) -> datetime:
        """Return the recording's time for a time of the service."""
        ...

    def say(self, line: str) -> None:
        """Tell people how it goes."""
        ...

    def wait_until_caught_up(self, devices: Sequence[str]) -> None:
        """Return when the service has stored and judged all that these devices sent."""
        ...


@dataclass(frozen=True, slots=True)
class Habits:
    """How often the engineer looks in, and how long after its evidence a ticket is closed without a replacement."""

    round_every: timedelta
    closes_after: timedelta

    def __post_init__(self) -> None:
        if not timedelta(0) < self.round_every < self.closes_after:
            raise ValueError(f"rounds must be more frequent than closing, got {self.round_every}, {self.closes_after}")


# With maintenance records a ticket waits for its replacement, but not for ever; without, the engineer comes next day.
WITH_RECORDS = Habits(round_every=timedelta(hours=48), closes_after=timedelta(hours=60))
WITHOUT_RECORDS = Habits(round_every=timedelta(hours=12), closes_after=timedelta(hours=24))


class Caretaker:
    """Says where the replay stops, and does there what was done on the machines. Times are the recording's."""

    def __init__(self, recording: Recording, replay: ReplayUnderWay, staff: Staff) -> None:
        self.closed: list[str] = []
        self._recording = recording
        self._replay = replay
        self._staff = staff
        self._habits = WITH_RECORDS if recording.keeps_maintenance_records else WITHOUT_RECORDS
        # (device, failure mode) whose component was replaced, by when
        self._replaced: dict[datetime, set[tuple[str, str]]] = {}
        for each in recording.replacements:
            if each.ts >= recording.first_row_at:
                self._replaced.setdefault(each.ts, set()).add((each.device, press_mode(each.component)))
        self._appointments: set[datetime] = set()

    def next_stop(self, after: datetime | None) -> datetime:
        """Return the first stop later than ``after``, or than the first row for None."""
        start = self._recording.first_row_at
        after = after or start
        next_round = start + self._habits.round_every * ((after - start) // self._habits.round_every + 1)
        return min([next_round, *(at for at in (*self._replaced, *self._appointments) if at > after)])

    def attend(self, at: datetime) -> None:
        """Do what is due at ``at``: everything earlier was sent, nothing later."""
        devices = {device.name for device in self._recording.devices}
        self._replay.wait_until_caught_up(sorted(devices))
        for ticket in open_tickets(self._replay.client):
            if ticket.asset_tag in devices:
                self._attend_to(ticket, at)

    def _attend_to(self, ticket: Ticket, at: datetime) -> None:
        due = self._replay.in_recording(ticket.evidence_at) + self._habits.closes_after
        if (ticket.asset_tag, ticket.failure_mode) in self._replaced.get(at, ()):
            resolution = repaired(str(ticket.failure_mode), self._replay.at_service(at))
        elif due <= at:
            resolution = self._found(ticket, self._replay.at_service(at))
        else:
            self._appointments.add(due)
            return
        self._staff.carry(ticket.code, resolution)
        self.closed.append(ticket.code)
        self._replay.say(f"{ticket.code} on {ticket.asset_tag} ({ticket.failure_mode}) closed: {resolution.code}")

    def _found(self, ticket: Ticket, finished_at: datetime) -> Resolution:
        evidence_at = self._replay.in_recording(ticket.evidence_at)
        is_real = any(
            (failure.device, failure.mode) == (ticket.asset_tag, ticket.failure_mode)
            and failure.begins <= evidence_at <= failure.ends
            for failure in self._recording.failures
        )
        return repaired(str(ticket.failure_mode), finished_at) if is_real else no_fault_found(finished_at)
