"""What made-up tickets are made from: machines, people, failure modes, and what the product decided of each kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from bench.copying import Raw, as_text
from domain.working_time import WorkingTime
from runtime.seeding import CALENDAR_ID
from storage.calendars import working_times
from storage.casework import create_report
from storage.policies import policy_in_force
from ticketing.actors import Actor, ActorKind, Role, RoleHeld
from ticketing.policy.whole import Policy

LIVE_AN_ENGINEER = 2


@dataclass(frozen=True, slots=True)
class Template:
    """What the product decided about one ticket of this kind: priority with its arithmetic, clocks, policy."""

    policy_id: int
    priority: int
    reason: Raw
    line_stopped: bool
    clocks: tuple[tuple[str, str | None, int], ...]


@dataclass(frozen=True, slots=True)
class Mode:
    """A failure mode with its checklist and parts (id, pieces, probability)."""

    id: int
    code: str
    name_en: str
    name_zh: str
    tasks: tuple[tuple[str, str], ...]
    parts: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """An asset with one series and the rule that watches it."""

    id: int
    tag: str
    site_id: str
    asset_type: str
    criticality: int
    requester: tuple[int, str]
    series_id: int
    rule_id: int


@dataclass(frozen=True, slots=True)
class Plant:
    """Everything that lives are made from. People are (id, name); templates go by type, mode and criticality."""

    tickets: int
    seed: int
    now: datetime
    live: int
    machines: Sequence[Machine]
    engineers: Mapping[str, Sequence[tuple[int, str]]]
    supervisors: Mapping[str, tuple[int, str]]
    modes: Mapping[str, Sequence[Mode]]
    templates: Mapping[tuple[str, str, int], Template]
    working: Mapping[str | None, WorkingTime]
    policy: Policy


def read_plant(connection: Connection, tickets: int, engineers: int, seed: int, now: datetime) -> Plant:
    """Return what lives are made from, from the register that ``fill`` furnished."""
    machines = [
        Machine(row[0], row[1], row[2], row[3], row[4], (row[5], row[6]), row[7], row[8])
        for row in connection.execute(
            "select asset.id, tag, asset.site_id, asset.asset_type_id, criticality, person.id, person.name, series.id,"
            " (select min(id) from rule)"
            " from asset join person on person.id = asset.requester_id join device on device.asset_id = asset.id"
            " join series on series.device_id = device.id order by asset.id"
        )
    ]
    modes: dict[str, list[Mode]] = {}
    for row in connection.execute(
        "select asset_type_id, id, code, name_en, name_zh, tasks,"
        " array(select array[part_id, quantity] from failure_mode_part where failure_mode_id = failure_mode.id)"
        " from failure_mode order by id"
    ):
        tasks = tuple((task["text_en"], task["text_zh"]) for task in row[5])
        parts = tuple((part, pieces, 0.9) for part, pieces in row[6])
        modes.setdefault(row[0], []).append(Mode(row[1], row[2], row[3], row[4], tasks, parts))
    engineers_of: dict[str, list[tuple[int, str]]] = {}
    supervisors: dict[str, tuple[int, str]] = {}
    for role, site_id, person_id, name in connection.execute(
        "select role, person_role.site_id, person.id, person.name from person_role"
        " join person on person.id = person_id where login like 'fill-%' order by person.id"
    ):
        if role == "engineer":
            engineers_of.setdefault(site_id, []).append((person_id, name))
        elif role == "supervisor":
            supervisors[site_id] = (person_id, name)
    return Plant(
        tickets=tickets,
        seed=seed,
        now=now,
        live=max(10, min(LIVE_AN_ENGINEER * engineers, tickets // 10, len(machines) // 4)),
        machines=machines,
        engineers=engineers_of,
        supervisors=supervisors,
        modes=modes,
        templates=_templates(connection, machines, modes, now),
        working=working_times(connection, (None, CALENDAR_ID)),
        policy=policy_in_force(connection)[1],
    )


def _templates(
    connection: Connection, machines: list[Machine], modes: dict[str, list[Mode]], now: datetime
) -> dict[tuple[str, str, int], Template]:
    """Have the product open a ticket of each kind, look at it, and forget it again."""
    found = {}
    chief = Actor(ActorKind.PERSON, machines[0].requester[0], "Fill", frozenset({RoleHeld(Role.ADMIN)}), "fill")
    samples = {(machine.asset_type, machine.criticality): machine for machine in machines}
    for (asset_type, criticality), machine in samples.items():
        for mode in ("", *(mode.code for mode in modes[asset_type])):
            with connection.transaction(force_rollback=True):
                code = create_report(
                    connection,
                    asset_id=machine.id,
                    title="Sample",
                    description="",
                    reporter=chief,
                    now=now,
                    failure_mode=mode or None,
                )
                row = connection.execute(
                    "select id, policy_id, priority, priority_reason, line_stopped from ticket where code = %s", (code,)
                ).fetchone()
                assert row is not None
                clocks = connection.execute(
                    "select clock, calendar_id, target_s from ticket_clock where ticket_id = %s order by clock", row[:1]
                ).fetchall()
            reason = Raw(as_text(row[3]))
            found[asset_type, mode, criticality] = Template(row[1], row[2], reason, row[4], tuple(clocks))
    return found
