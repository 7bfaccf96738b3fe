"""The supervisor of a simulated month: gives out what the rules left lying, and takes back what nobody begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from simulators.console_client import ConsoleClient, Json, moment, text, whole
from simulators.month_people import Engineer
from simulators.month_plan import HOUR, MINUTE, road_km
from simulators.month_world import URGENT, Job, Plant

ROUND_EVERY, FIRST_ROUND = 30 * MINUTE, 20 * MINUTE
FIRST_HOUR, LAST_HOUR = 8, 16
# How long a ticket may lie before a person steps in: unassigned, and dispatched without being accepted.
LIES_URGENT, LIES = 10 * MINUTE, 3 * HOUR
FORGOTTEN_URGENT, FORGOTTEN = 20 * MINUTE, 2 * HOUR
CONFIRMS_AFTER = timedelta(hours=48)
# Nobody is given more than so many, unless it is urgent.
MOST = 4
SATURDAY = 5


class Supervisor:
    """Looks at the open tickets every half an hour of a working day; is called at any hour for what is urgent."""

    def __init__(self, plant: Plant, client: ConsoleClient, engineers: Mapping[int, Engineer]) -> None:
        self._plant = plant
        self._client = client
        self._engineers = engineers
        plant.opened.append(self._hear_of)
        plant.agenda.at(plant.plan.starts_at + FIRST_ROUND, self._round)

    def _hear_of(self, job: Job) -> None:
        """Be called if an urgent ticket still has nobody after some minutes."""
        if job.is_urgent:
            self._plant.agenda.at(self._plant.now() + LIES_URGENT, self._look_at_open)

    def _round(self) -> None:
        self._plant.agenda.at(self._plant.now() + ROUND_EVERY, self._round)
        if self._is_office_time() or any(job.is_urgent for job in self._plant.open_jobs()):
            self._look_at_open()

    def _is_office_time(self) -> bool:
        local = self._plant.local()
        return FIRST_HOUR <= local.hour < LAST_HOUR and local.weekday() < SATURDAY

    def _look_at_open(self) -> None:
        query = {"state": ("new", "dispatched", "accepted", "executing")}
        rows = sorted(self._client.items("/tickets", query), key=lambda row: text(row, "code"))
        loads = Counter(row["assignee_id"] for row in rows if isinstance(row["assignee_id"], int))
        for row in rows:
            if self._is_office_time() or whole(row, "priority") <= URGENT:
                self._look_at(row, loads)

    def _look_at(self, row: Json, loads: Counter[int]) -> None:
        job = self._plant.jobs.get(text(row, "code"))
        if job is None:
            return
        if self._needs_another(job, row):
            self._give_out(job, loads)
        resolved_at = moment(row, "resolved_at")
        if resolved_at is None or row["confirmed_at"] is not None:
            return
        if self._plant.now() - resolved_at >= CONFIRMS_AFTER:
            self._confirm(job)

    def _needs_another(self, job: Job, row: Json) -> bool:
        """Say whether nobody has it, whoever has it has forgotten it, or is away for longer than a night."""
        match text(row, "state"):
            case "new":
                return self._plant.now() - job.opened_at >= (LIES_URGENT if job.is_urgent else LIES)
            case "dispatched":
                return self._is_forgotten(job)
            case _:
                is_at_work = row["resolved_at"] is None and row["is_on_hold"] is False
                assignee = self._engineers.get(job.assignee_id or 0)
                return is_at_work and assignee is not None and self._is_away(assignee)

    def _is_forgotten(self, job: Job) -> bool:
        """Say whether somebody who could have looked has not; at night only what is urgent is asked about."""
        assignee, since = self._engineers.get(job.assignee_id or 0), job.dispatched_at
        if since is None or self._plant.now() - since < (FORGOTTEN_URGENT if job.is_urgent else FORGOTTEN):
            return False
        return assignee is None or job.is_urgent or assignee.worker.is_at_work(self._plant.now())

    def _is_away(self, assignee: Engineer) -> bool:
        now = self._plant.now()
        return assignee.worker.at_work_from(now) - now > timedelta(hours=26)

    def _give_out(self, job: Job, loads: Counter[int]) -> None:
        """Choose as people do: who is there and knows something of it, has little to do, and is near."""
        now = self._plant.now()
        there = [one for one in self._engineers.values() if one.worker.is_at_work(now)]
        is_call = not there
        if is_call and not job.is_urgent:
            return
        candidates = [
            one
            for one in there or self._on_call()
            if one.person_id != job.assignee_id and (job.is_urgent or loads[one.person_id] < MOST)
        ]
        if not candidates:
            return
        skills = job.fault.mode.skills if job.fault else ()
        best = min(
            candidates,
            key=lambda one: (
                one.worker.level(skills) == 0,
                loads[one.person_id],
                road_km(one.worker.home, job.machine.place),
                one.person_id,
            ),
        )
        detail = self._plant.hands.give(self._client, job.code, "dispatch", {"assignee_id": best.person_id})
        if detail is None:
            return
        loads[best.person_id] += 1
        self._plant.counts["given out by supervisor"] += 1
        old = self._engineers.get(job.assignee_id or 0)
        job.assignee_id, job.dispatched_at = best.person_id, now
        if old is not None:
            old.drop(job.code)
        best.hear(job, call=is_call or job.is_urgent)

    def _on_call(self) -> list[Engineer]:
        """Return the two who may be woken this week; whoever is sick is stood in for by the next."""
        week = (self._plant.now() - self._plant.plan.starts_at).days // 7
        today = self._plant.local().date()
        people = sorted(self._engineers.values(), key=lambda one: one.person_id)
        turns = [people[(2 * week + turn) % len(people)] for turn in range(len(people))]
        return [one for one in turns if today not in one.worker.sick][:2]

    def _confirm(self, job: Job) -> None:
        facts: Json = {"satisfied": True, "comment": "The requester said so on the telephone"}
        if self._plant.hands.give(self._client, job.code, "confirm", facts) is None:
            return
        self._plant.counts["confirmed by supervisor"] += 1
        assignee = self._engineers.get(job.assignee_id or 0)
        if assignee is not None:
            assignee.close(job)
