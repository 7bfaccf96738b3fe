"""The engineers of a simulated month, and the requesters who confirm or dispute what they did (SPEC R4, C2).

An engineer hears of a ticket, accepts it when they look at the phone, drives there, works, may have to wait for parts,
and says what was found. Who knows little of what a fault asks for takes longer and is disputed more often. What is done
without network is done, and told later.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from simulators.console_client import ApiRefusal, ConsoleClient, Json, text
from simulators.month_plan import DAY, HOUR, MINUTE, Place, Worker, luck, road_km, travel_time
from simulators.month_world import Job, Plant
from simulators.people import LOST_RACES, a_photo
from simulators.tickets import Resolution, Ticket, repaired

LEAST_TRIP = 30 * MINUTE
UNPACKING = 6 * MINUTE
DIAGNOSIS = 30 * MINUTE
NOTHING_FOUND = timedelta(minutes=45)
# A prediction has the parts ready before anybody leaves; otherwise they are looked for when the machine is open.
WAITS_PREDICTED, WAITS_REPORTED = 0.1, 0.3
LATE_PARTS = 0.2
NO_ANSWER = 0.08


def work_time(severity: int, level: float, dice: Random) -> timedelta:
    """Return how long a repair lasts: longer the graver the mode is and the less the engineer knows of it."""
    hours = (0.6 + 0.22 * severity) * (1.9 - 0.2 * level) * dice.lognormvariate(0.0, 0.3)
    return timedelta(minutes=round(60 * hours))


def missed_share(level: float, attempts: int) -> float:
    """Return the probability that a repair does not hold; the second time one knows what the first tried."""
    return (0.02 + 0.06 * (5.0 - level)) / (1 + attempts)


class Requesters:
    """Those who reported faults or own the machines: they try the machine, and answer the link that they were sent."""

    def __init__(self, plant: Plant, client: ConsoleClient) -> None:
        self._plant = plant
        self._client = client

    def receive(self, job: Job, secret: str, holds: bool, then: Callable[[bool], None]) -> None:
        """Get a link; after a while answer it, and have the engineer told by ``then`` whether it was a yes."""
        dice = luck(self._plant.plan.seed, "answer", job.fault.number if job.fault else job.code, job.visits)
        if dice.random() < NO_ANSWER:
            self._plant.counts["links never answered"] += 1
            return
        at = self._plant.now() + timedelta(minutes=round(60 * dice.lognormvariate(0.5, 0.8)))
        is_content = holds or dice.random() < 0.1
        self._plant.agenda.at(self._daytime(at), lambda: self._answer(secret, is_content, then))

    def _daytime(self, at: datetime) -> datetime:
        local = at.astimezone(self._plant.plan.starts_at.tzinfo)
        if 7 <= local.hour < 21:
            return at
        morning = local.replace(hour=7, minute=30, second=0, microsecond=0)
        return morning if local.hour < 7 else morning + DAY

    def _answer(self, secret: str, is_content: bool, then: Callable[[bool], None]) -> None:
        answer: Json = {"solved": is_content, "satisfied": is_content, "comment": "Tried it for an hour"}
        if not is_content:
            answer["cause"] = "It does the same again after the restart"
        try:
            self._client.post(f"/confirm/{secret}", answer)
        except ApiRefusal as refusal:
            if refusal.name not in LOST_RACES:
                raise
            return
        then(is_content)


class Engineer:
    """One engineer under way. ``travel_km`` is what they drove, the way home included."""

    def __init__(
        self, worker: Worker, person_id: int, client: ConsoleClient, plant: Plant, requesters: Requesters
    ) -> None:
        self.worker = worker
        self.person_id = person_id
        self.travel_km = 0.0
        self.worked = timedelta(0)
        self._client = client
        self._plant = plant
        self._requesters = requesters
        self._todo: dict[str, Job] = {}
        self._busy: tuple[str, int] | None = None
        self._turn = 0
        self._place = worker.home
        for shift in worker.shifts:
            plant.agenda.at(shift.start, self._begin_shift)
            plant.agenda.at(shift.end, self._end_shift)

    def hear(self, job: Job, *, call: bool = False) -> None:
        """Learn that a ticket was dispatched to them; ``call``: on the telephone, at any hour."""
        dice = luck(self._plant.plan.seed, "look", job.code, self.person_id)
        delay = timedelta(minutes=round(dice.lognormvariate(1.9, 0.7)))
        if call:
            self._plant.agenda.at(self._plant.now() + min(delay, 15 * MINUTE), lambda: self._accept(job))
            return
        if dice.random() < self.worker.forgets:
            self._plant.counts["forgotten by engineer"] += 1
            delay += timedelta(hours=dice.uniform(3, 8))
        at = self.worker.at_work_from(self._plant.now()) + delay
        if not self.worker.is_at_work(at):
            at = self.worker.at_work_from(at) + timedelta(minutes=5)
        self._told_at(at, lambda: self._accept(job))

    def drop(self, code: str) -> None:
        """Hear that somebody else has it now."""
        self._todo.pop(code, None)
        if self._busy is not None and self._busy[0] == code:
            self._busy = None
            self._go_on()

    def _accept(self, job: Job) -> None:
        ticket = self._look(job)
        if ticket is None or ticket.state != "dispatched":
            return
        jobs_before = len(self._todo) + (self._busy is not None)
        way = travel_time(road_km(self._place, job.machine.place))
        expected = self._plant.now() + way + jobs_before * 2 * HOUR
        if not job.is_urgent and expected - self._plant.now() > self.worker.shift_left(self._plant.now()):
            expected = self.worker.at_work_from(self._plant.now() + 10 * HOUR) + way + HOUR
        if self._give(job, "accept", {"expected_response_at": expected.isoformat()}) is not None:
            self._todo[job.code] = job
            self._go_on()

    def _go_on(self) -> None:
        """Begin with the most urgent of what there is to do, if the day allows."""
        now = self._plant.now()
        has_time = self.worker.shift_left(now) >= LEAST_TRIP
        ready = [job for job in self._todo.values() if has_time or job.is_urgent]
        if self._busy is not None or not ready:
            return
        job = min(ready, key=lambda one: (one.priority, one.due_at, one.code))
        self._turn += 1
        turn = self._turn
        self._busy = job.code, turn
        start = self._place
        km = self._drive(job.machine.place)
        position: Json = {"latitude": start.latitude, "longitude": start.longitude}
        self._told_at(now, lambda: self._give(job, "depart", position))
        self._plant.agenda.at(now + travel_time(km), lambda: self._arrive(job, turn))

    def _arrive(self, job: Job, turn: int) -> None:
        if self._busy != (job.code, turn):
            return
        now, place = self._plant.now(), job.machine.place
        position: Json = {"latitude": place.latitude, "longitude": place.longitude}
        self._told_at(now, lambda: self._give(job, "arrive", position))
        self._told_at(now + UNPACKING, lambda: self._start_work(job))
        begin = now + UNPACKING
        number = job.fault.number if job.fault else job.code
        dice = luck(self._plant.plan.seed, "parts", number)
        waits = WAITS_PREDICTED if job.fault is None or job.fault.shown else WAITS_REPORTED
        if self._is_there(job) and not job.has_waited and dice.random() < waits:
            job.has_waited = True
            self._plant.agenda.at(begin + DIAGNOSIS, lambda: self._wait_for_parts(job, turn, dice))
            return
        end = self.worker.done_at(begin, self._work(job), urgent=job.is_urgent)
        self._plant.agenda.at(end, lambda: self._finish(job, turn))

    def _work(self, job: Job) -> timedelta:
        if job.fault is None or not self._is_there(job):
            work = NOTHING_FOUND
        else:
            dice = luck(self._plant.plan.seed, "work", job.fault.number, job.visits)
            work = work_time(job.fault.mode.severity, self.worker.level(job.fault.mode.skills), dice)
        self.worked += work
        return work

    def _is_there(self, job: Job) -> bool:
        return job.fault is not None and job.fault.is_real

    def _start_work(self, job: Job) -> None:
        ticket = self._look(job)
        if ticket is None or ticket.state != "accepted" or ticket.is_on_hold:
            return
        photo = self._client.upload(
            f"/tickets/{job.code}/attachments",
            name="before.png",
            content=a_photo(job.code),
            media_type="image/png",
            fields={"kind": "photo"},
        )
        self._give(job, "execute", {"attachment_id": text(photo, "id")}, "Locked out, photo of the machine taken")

    def _wait_for_parts(self, job: Job, turn: int, dice: Random) -> None:
        if self._busy != (job.code, turn):
            return
        self._busy = None
        del self._todo[job.code]
        come_at = self._plant.now() + timedelta(hours=round(dice.uniform(18, 72)))
        late = DAY if dice.random() < LATE_PARTS else timedelta(0)
        facts: Json = {"reason": "parts", "review_at": (come_at + 2 * HOUR).isoformat()}
        self._plant.counts["waits for parts"] += 1
        self._told_at(self._plant.now(), lambda: self._give(job, "hold", facts))
        self._plant.agenda.at(self.worker.at_work_from(come_at + late), lambda: self._parts_are_there(job))
        self._go_on()

    def _parts_are_there(self, job: Job) -> None:
        ticket = self._look(job)
        if ticket is None or ticket.state == "closed":
            return
        if ticket.is_on_hold:
            self._give(job, "resume", {})
        self._todo[job.code] = job
        self._go_on()

    def _finish(self, job: Job, turn: int) -> None:
        if self._busy != (job.code, turn):
            return
        self._busy = None
        del self._todo[job.code]
        self._drive(job.machine.place)
        finished_at = self._plant.now()
        self._told_at(finished_at, lambda: self._tell_result(job, finished_at))
        self._go_on()

    def _tell_result(self, job: Job, finished_at: datetime) -> None:
        ticket = self._look(job)
        if ticket is not None and ticket.state == "accepted":
            self._start_work(job)
            ticket = self._look(job)
        if ticket is None or ticket.state != "executing" or ticket.is_resolved:
            return
        resolution, holds = self._outcome(job, finished_at)
        if resolution.is_repair:
            for number in ticket.open_tasks:
                self._give(job, "complete_task", {"number": number})
        lines = resolution.lines(ticket.bill) or self._own_lines(job, resolution)
        if lines:
            self._give(job, "use_parts", {"lines": lines})
        summary = f"Resolved: {resolution.code.replace('_', ' ')}"
        detail = self._give(job, "resolve", resolution.facts(), summary)
        if detail is None:
            return
        if holds and job.fault is not None:
            self._plant.fixed.add(job.fault.number)
        secret = detail.get("confirmation_url_secret")
        if "confirmation" in Ticket.read(detail).gates and isinstance(secret, str):
            self._requesters.receive(job, secret, holds, lambda is_content: self._hear_answer(job, is_content))
        else:
            self._plant.agenda.at(self._plant.now() + 5 * MINUTE, lambda: self.close(job))

    def _outcome(self, job: Job, finished_at: datetime) -> tuple[Resolution, bool]:
        """Return what the engineer says, and whether it is so."""
        fault = job.fault
        if fault is None or not fault.is_real:
            cause, action = "All readings normal at the machine", "Inspected and measured, nothing replaced"
            return Resolution("no_fault_found", None, cause, action, finished_at), True
        attempts = self._plant.attempts[fault.number]
        self._plant.attempts[fault.number] += 1
        dice = luck(self._plant.plan.seed, "holds", fault.number, attempts)
        holds = dice.random() >= missed_share(self.worker.level(fault.mode.skills), attempts)
        return repaired(fault.mode.code, finished_at), holds

    def _own_lines(self, job: Job, resolution: Resolution) -> list[Json]:
        if job.fault is None or not resolution.is_repair:
            return []
        return [
            {"part_number": number, "issued": pieces, "used": pieces, "returned": 0}
            for number, pieces in job.fault.mode.parts
        ]

    def _hear_answer(self, job: Job, is_content: bool) -> None:
        at = self.worker.at_work_from(self._plant.now() + 15 * MINUTE)
        if is_content:
            self._told_at(at, lambda: self.close(job))
            return
        job.visits += 1
        self._plant.agenda.at(at, lambda: self._parts_are_there(job))

    def close(self, job: Job) -> None:
        """Close what was confirmed."""
        if self._give(job, "close", {}) is not None:
            self._plant.note_closed(job)

    def _begin_shift(self) -> None:
        self._plant.service.set_on_duty(self.person_id, True)
        for tell in self._plant.shift_began:
            tell()
        self._go_on()

    def _end_shift(self) -> None:
        self._plant.service.set_on_duty(self.person_id, False)
        if self._busy is None or not self._plant.jobs[self._busy[0]].is_urgent:
            self._drive(self.worker.home)

    def _drive(self, place: Place) -> float:
        km = road_km(self._place, place)
        self.travel_km += km
        self._place = place
        return km

    def _look(self, job: Job) -> Ticket | None:
        """Read the ticket; None when it is not theirs."""
        ticket = Ticket.read(self._client.get(f"/tickets/{job.code}"))
        return ticket if ticket.assignee_id == self.person_id else None

    def _give(self, job: Job, command: str, facts: Json, summary: str = "") -> Json | None:
        return self._plant.hands.give(self._client, job.code, command, facts, summary)

    def _told_at(self, at: datetime, tell: Callable[[], object]) -> None:
        """Tell the service at this time, or when the phone has network again."""
        online = self.worker.online_from(at)
        if online > at:
            self._plant.counts["commands told late"] += 1
        if online <= self._plant.now():
            tell()
        else:
            self._plant.agenda.at(online, lambda: _done(tell))


def _done(tell: Callable[[], object]) -> None:
    tell()
