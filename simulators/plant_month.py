"""A month of a plant, people included, in virtual time (SPEC R4).

Machines wear and break, sensors tell of it or a person does; the service dispatches, engineers drive, repair, wait for
parts, forget and fall ill, requesters confirm or dispute. The simulators speak HTTP to the service, which reads the
same clock; time goes from one event to the next. Everything is drawn from the seed, so the same month can be run under
another policy, and the figures compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta

from simulators.agenda import Agenda, SettableClock
from simulators.console_client import ApiRefusal, ConsoleClient, Json, moment, objects, text, whole
from simulators.month_figures import Figures, figures_of
from simulators.month_people import Engineer, Requesters
from simulators.month_plan import (
    ASSET_TYPES,
    LATITUDE,
    LONGITUDE,
    MINUTE,
    SITES,
    Fault,
    Machine,
    Mode,
    MonthPlan,
    Place,
    draw_faults,
    draw_machines,
    draw_workers,
    luck,
)
from simulators.month_supervisor import Supervisor
from simulators.month_world import Job, Plant, Service, is_row

# A round of the desk while something waits for one, and while nothing does.
BUSY_TICK, QUIET_TICK = 10 * MINUTE, 30 * MINUTE
DISPATCH_WITHIN = timedelta(seconds=30)
# What is open when the month ends is worked on so much longer.
RUN_OUT = timedelta(days=14)
RECURS_AFTER_H = (24.0, 96.0)
NAMES_THE_MODE = 0.6


def run_month(
    plan: MonthPlan, *, api: str, token: str, clock: SettableClock, service: Service, say: Callable[[str], None]
) -> Figures:
    """Play the month against the service at ``api`` with an administrator's token, and return its figures."""
    with ExitStack() as stack:
        client = stack.enter_context(ConsoleClient(api, token))
        month = _Month(plan, client, api, clock, service, stack, say)
        month.run()
        return figures_of(client, month.plant, month.engineers)


class _Month:
    """The month under way: faults become tickets, and tickets reach their engineers."""

    def __init__(
        self,
        plan: MonthPlan,
        client: ConsoleClient,
        api: str,
        clock: SettableClock,
        service: Service,
        stack: ExitStack,
        say: Callable[[str], None],
    ) -> None:
        self.plant = Plant(plan, Agenda(clock), service)
        self.plant.closed.append(self._when_closed)
        self.plant.shift_began.append(self._round_soon)
        self.engineers: dict[int, Engineer] = {}
        self._round_at: datetime | None = None
        self._client = client
        self._api = api
        self._stack = stack
        self._say = say
        self._requester_id, self._requester = self._requester_of_the_plant()
        self._machines = self._register_machines()
        self._faults = draw_faults(plan, list(self._machines), self._modes())
        self._hire()
        supervisor = self._person("month-supervisor", "Supervisor", "supervisor", {})
        Supervisor(self.plant, self._signed_in(supervisor), self.engineers)
        for fault in self._faults:
            self.plant.agenda.at(fault.begins_at, self._begins(fault))
        self.plant.agenda.at(plan.starts_at, self._tick)

    def run(self) -> None:
        """Let the month pass, and what is open then be finished."""
        plan = self.plant.plan
        self._say(f"{len(self._machines)} machines, {len(self.engineers)} engineers, {len(self._faults)} faults")
        self.plant.agenda.run(plan.ends_at + RUN_OUT, self._is_over)

    def _is_over(self) -> bool:
        return self.plant.now() >= self.plant.plan.ends_at and not self.plant.open_jobs()

    # Registering the plant

    def _modes(self) -> list[Mode]:
        items = [item for kind in ASSET_TYPES for item in self._client.items("/failure-modes", {"asset_type": kind})]
        return [_mode(is_row(item["mode"])) for item in items]

    def _register_machines(self) -> dict[Machine, int]:
        known = {text(site, "id") for site in self._client.items("/sites")}
        calendar = next(text(site, "calendar_id") for site in self._client.items("/sites"))
        for site, name, north, east in SITES:
            if site not in known:
                place = Place(LATITUDE, LONGITUDE).moved(north, east)
                body: Json = {"id": site, "name": name, "calendar_id": calendar}
                self._client.post("/sites", {**body, "latitude": place.latitude, "longitude": place.longitude})
        return {machine: self._register(machine) for machine in draw_machines(self.plant.plan)}

    def _register(self, machine: Machine) -> int:
        body: Json = {
            "site": machine.site,
            "asset_type": machine.asset_type,
            "tag": machine.tag,
            "name": machine.tag,
            "criticality": machine.criticality,
            "latitude": machine.place.latitude,
            "longitude": machine.place.longitude,
            "serial_number": f"SN-{machine.tag}",
            "requester_id": self._requester_id,
        }
        asset_id = whole(self._client.post("/assets", body), "id")
        self._client.post("/devices", {"site": machine.site, "name": machine.tag.lower(), "asset_id": asset_id})
        return asset_id

    def _hire(self) -> None:
        """Add the engineers; whoever else is an engineer of the house has the month off."""
        for person in list(self._client.items("/people", {"role": "engineer"})):
            self.plant.service.set_on_duty(whole(person, "id"), False)
        requesters = Requesters(self.plant, self._stack.enter_context(ConsoleClient(self._api, None)))
        for worker in draw_workers(self.plant.plan):
            home: Json = {"latitude": worker.home.latitude, "longitude": worker.home.longitude}
            more: Json = {**home, "skills": dict(worker.skills), "team": "Month", "on_duty": False}
            person_id = self._person(worker.login, worker.name, "engineer", more)
            client = self._signed_in(person_id)
            self.engineers[person_id] = Engineer(worker, person_id, client, self.plant, requesters)

    def _person(self, login: str, name: str, role: str, more: Json) -> int:
        roles = [{"role": role, "site": None}]
        return whole(self._client.post("/people", {"login": login, "name": name, "roles": roles, **more}), "id")

    def _requester_of_the_plant(self) -> tuple[int, ConsoleClient]:
        person_id = self._person("month-line", "Production", "requester", {})
        return person_id, self._signed_in(person_id)

    def _signed_in(self, person_id: int) -> ConsoleClient:
        answer = self._client.post(f"/people/{person_id}/tokens", {"name": "month", "days": 366})
        return self._stack.enter_context(ConsoleClient(self._api, text(answer, "token")))

    # From faults to tickets

    def _begins(self, fault: Fault) -> Callable[[], None]:
        return (lambda: self._shows(fault)) if fault.shown else (lambda: self._report(fault))

    def _shows(self, fault: Fault) -> None:
        self.plant.service.show_fault(self._machines[fault.machine], fault.mode.code)
        self.plant.counts["shown by sensors"] += 1
        self._round()
        if fault.is_real:
            self.plant.agenda.at(fault.fails_at, lambda: self._fails(fault))

    def _fails(self, fault: Fault) -> None:
        """Unless it was repaired in time, the machine stands still and a person says so."""
        if fault.number not in self.plant.fixed:
            self.plant.counts["failed before repair"] += 1
            self._report(fault)

    def _report(self, fault: Fault) -> None:
        dice = luck(self.plant.plan.seed, "report", fault.number)
        body: Json = {
            "asset_id": self._machines[fault.machine],
            "title": f"{fault.machine.tag}: {fault.mode.name}",
            "description": "Noticed on the round",
            "line_stopped": fault.stops_line,
        }
        if fault.shown or dice.random() < NAMES_THE_MODE:
            body["failure_mode"] = fault.mode.code
        try:
            detail = self._requester.post("/tickets", body)
        except ApiRefusal as refusal:
            if refusal.name != "already_open":
                raise
            self._add_note(fault)
            return
        self._learn(is_row(detail["ticket"]), fault)
        self._round_soon()

    def _add_note(self, fault: Fault) -> None:
        job = self.plant.job_of(self._machines[fault.machine], fault.mode.code)
        self.plant.counts["reported again"] += 1
        if job is not None:
            note: Json = {"content": "The machine has stopped, please come"}
            self.plant.hands.give(self._requester, job.code, "note", note, "Machine has stopped")

    # The service's rounds, and who learns of what they did

    def _tick(self) -> None:
        has_new = self._round()
        # Nothing comes free while nobody is there; the first to come brings a round with them.
        is_busy = has_new and any(one.worker.is_at_work(self.plant.now()) for one in self.engineers.values())
        self.plant.agenda.at(self.plant.now() + (BUSY_TICK if is_busy else QUIET_TICK), self._tick)

    def _round_soon(self) -> None:
        """Enter one round within the half minute; several people who ask for it get the same one."""
        at = self.plant.now() + DISPATCH_WITHIN
        if self._round_at is None:
            self._round_at = at
            self.plant.agenda.at(at, self._round_once)

    def _round_once(self) -> None:
        self._round_at = None
        self._round()

    def _round(self) -> bool:
        """Have the desk do its rounds, then tell the engineers; say whether a ticket still has none."""
        self.plant.service.round()
        rows = list(self._client.items("/tickets", {"state": ("new", "dispatched")}))
        for row in sorted(rows, key=lambda one: text(one, "code")):
            job = self.plant.jobs.get(text(row, "code")) or self._learn(row, self._fault_of(row))
            if job is not None and text(row, "state") == "dispatched":
                self._hand_out(job, row.get("assignee_id"))
        return any(text(row, "state") == "new" for row in rows)

    def _hand_out(self, job: Job, assignee_id: object) -> None:
        if assignee_id == job.assignee_id or not isinstance(assignee_id, int):
            return
        old, new = self.engineers.get(job.assignee_id or 0), self.engineers.get(assignee_id)
        job.assignee_id, job.dispatched_at = assignee_id, self.plant.now()
        if old is not None:
            old.drop(job.code)
        if new is not None:
            new.hear(job)

    def _fault_of(self, row: Json) -> Fault | None:
        """Return the fault behind a ticket that the service opened: the last one shown there."""
        asset_id, mode = whole(row, "asset_id"), row.get("failure_mode")
        begun = [
            fault
            for fault in self._faults
            if self._machines[fault.machine] == asset_id
            and fault.mode.code == mode
            and fault.begins_at <= self.plant.now()
        ]
        return begun[-1] if begun else None

    def _learn(self, row: Json, fault: Fault | None) -> Job | None:
        asset_id = whole(row, "asset_id")
        machine = next((one for one, known in self._machines.items() if known == asset_id), None)
        due_at, opened_at = moment(row, "due_at"), moment(row, "opened_at")
        if machine is None or due_at is None or opened_at is None:
            return None
        code = text(row, "code")
        job = Job(code, whole(row, "priority"), due_at, opened_at, asset_id, machine, fault)
        self.plant.note_opened(job)
        return job

    def _when_closed(self, job: Job) -> None:
        fault = job.fault
        if fault is None:
            return
        self.plant.service.calm(job.asset_id, fault.mode.code)
        if fault.is_real and fault.number not in self.plant.fixed:
            dice = luck(self.plant.plan.seed, "recurs", fault.number)
            self.plant.counts["repair did not hold"] += 1
            again = self.plant.now() + timedelta(hours=dice.uniform(*RECURS_AFTER_H))
            self.plant.agenda.at(again, lambda: self._report(fault))


def _mode(row: Json) -> Mode:
    skills = row["skills"]
    parts = [
        (text(part, "number"), whole(part, "quantity"))
        for part in objects(row, "parts")
        if _number(part["probability"]) >= 0.5
    ]
    return Mode(
        asset_type=text(row, "asset_type"),
        code=text(row, "code"),
        name=text(row, "name_en"),
        severity=whole(row, "severity"),
        skills=tuple(str(skill) for skill in skills) if isinstance(skills, Sequence) else (),
        window_h=(_number(row["window_from_h"]), _number(row["window_to_h"])),
        parts=tuple(parts),
    )


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number is expected, got {value!r:.100}")
    return float(value)
