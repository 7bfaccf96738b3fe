"""Builders for ticket tests: a small house in a real database, pure tickets, and a ticket carried to any state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.ids import uuid7
from storage.casework import create_report, open_from_prediction, run_command
from storage.people import create_person
from storage.policies import DEFAULT_POLICY, ensure_default_policy, shipped_body
from storage.ticket_views import TicketDetail
from ticketing.actors import Actor, ActorKind, Role, RoleHeld
from ticketing.policy.whole import Policy, read_policy
from ticketing.ticket import Kind, State, Ticket

# A Monday, 10:00 in Shanghai: inside the working hours of the house's calendar.
NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SITE = "plant-1"


def the_policy() -> Policy:
    return read_policy(shipped_body(DEFAULT_POLICY))


def an_actor(person_id: int, *roles: Role, name: str = "", site: str | None = SITE) -> Actor:
    held = frozenset(RoleHeld(role, site) for role in roles)
    return Actor(ActorKind.PERSON, person_id, name or f"person {person_id}", held, "test")


def a_ticket(**changes: object) -> Ticket:
    plain = Ticket(
        id=UUID(int=1),
        code="D000001",
        kind=Kind.PREVENTIVE,
        state=State.NEW,
        outcome=None,
        site_id=SITE,
        asset_id=1,
        failure_mode="bearing_wear",
        requester_id=9,
        assignee_id=None,
        opened_at=NOW,
        due_at=NOW + 2 * HOUR,
        evidence_at=NOW - DAY,
        last_effective_at=NOW,
        version=1,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class House:
    """A house with people: two engineers with the skill, one without, and an asset with a bearing."""

    asset_id: int
    mode_id: int
    series_id: int
    rule_id: int
    near: Actor
    far: Actor
    unskilled: Actor
    supervisor: Actor
    planner: Actor
    requester: Actor


def a_house(connection: Connection, now: datetime = NOW) -> House:
    _calendar_and_site(connection)
    ensure_default_policy(connection, now)
    people = _people(connection, now)
    connection.execute("insert into asset_type values ('motor', 'Motor', '电机')")
    (mode_id,) = connection.execute(
        """insert into failure_mode (asset_type_id, code, name_en, name_zh, effect_en, effect_zh, severity, component,
             prior, watch_probability, ticket_probability, window_from_h, window_to_h, skills, tasks, signature)
           values ('motor', 'bearing_wear', 'Bearing wear', '轴承磨损', 'Seizes', '卡死', 8, 'bearing', 0.02, 0.3, 0.6,
             24, 96, '{mechanical}', %s, %s) returning id""",
        (
            Jsonb([{"text_en": "Replace bearing", "text_zh": "更换轴承"}, {"text_en": "Align", "text_zh": "对中"}]),
            Jsonb({"findings": [{"metric": "vibration_*"}], "events": [], "part_age": None}),
        ),
    ).fetchone()
    (part_id,) = connection.execute(
        "insert into part (number, name_en, name_zh) values ('6204-2RS', 'Bearing', '轴承') returning id"
    ).fetchone()
    connection.execute("insert into part (number, name_en, name_zh) values ('SEAL-35', 'Seal', '油封')")
    connection.execute("insert into failure_mode_part values (%s, %s, 2, 0.9)", (mode_id, part_id))
    connection.execute(
        "insert into stock_movement (part_id, quantity, reason, at) values (%s, 10, 'receipt', %s)", (part_id, now)
    )
    asset_id, series_id, rule_id = an_asset(connection, "M-1", people["requester"].person_id, now)
    return House(asset_id=asset_id, mode_id=mode_id, series_id=series_id, rule_id=rule_id, **people)


def an_asset(connection: Connection, tag: str, requester_id: int | None, now: datetime) -> tuple[int, int, int]:
    """Register a motor with a device; return the ids of asset, vibration series and rule."""
    (asset_id,) = connection.execute(
        """insert into asset (site_id, asset_type_id, tag, name, criticality, requester_id, created_at)
           values (%s, 'motor', %s, 'Main motor', 3, %s, %s) returning id""",
        (SITE, tag, requester_id, now),
    ).fetchone()
    (device_id,) = connection.execute(
        "insert into device (site_id, name, asset_id, created_at) values (%s, %s, %s, %s) returning id",
        (SITE, f"dev-{tag}", asset_id, now),
    ).fetchone()
    ids = [
        connection.execute(
            "insert into series (device_id, metric, created_at) values (%s, %s, %s) returning id",
            (device_id, metric, now),
        ).fetchone()[0]
        for metric in ("vibration_mm_s", "temperature_c")
    ]
    (rule_id,) = connection.execute(
        """insert into rule (name, version, asset_type_id, metric, detector, parameters, severity, mode, created_at)
           values (%s, 1, 'motor', 'vibration_mm_s', 'cusum', '{}', 'high', 'auto', %s) returning id""",
        (f"drift-{tag.lower()}", now),
    ).fetchone()
    return asset_id, ids[0], rule_id


def a_finding(connection: Connection, house: House, opened_at: datetime = NOW - HOUR) -> UUID:
    finding_id = uuid7(opened_at)
    connection.execute(
        """insert into finding (id, rule_id, series_id, asset_id, metric, detector, direction, severity, shadow,
             opened_at, value, score, limit_value, evidence, recorded_at)
           values (%s, %s, %s, %s, 'vibration_mm_s', 'cusum', 'up', 'high', false, %s, 7.1, 9, 5, '{}', %s)""",
        (finding_id, house.rule_id, house.series_id, house.asset_id, opened_at, opened_at),
    )
    return finding_id


def a_prediction(
    connection: Connection, house: House, *, now: datetime = NOW, evidence_at: datetime = NOW - HOUR
) -> UUID:
    """Store an open prediction of bearing wear, failing 96 h after its evidence, with one finding and its parts."""
    prediction_id, finding_id = uuid7(now), a_finding(connection, house, evidence_at)
    connection.execute(
        """insert into prediction (id, asset_id, failure_mode_id, stage, status, probability, evidence_at,
             first_evidence_at, window_from, window_to, opened_at, updated_at)
           values (%s, %s, %s, 'ticket', 'open', 0.8, %s, %s, %s, %s, %s, %s)""",
        (
            prediction_id,
            house.asset_id,
            house.mode_id,
            evidence_at,
            evidence_at,
            evidence_at + DAY,
            evidence_at + 4 * DAY,
            now,
            now,
        ),
    )
    connection.execute(
        "insert into prediction_evidence values (%s, 'finding', %s, %s, 3.2, 'Vibration drifts', '振动漂移')",
        (prediction_id, str(finding_id), evidence_at),
    )
    connection.execute(
        "insert into predicted_part select %s, part_id, quantity, probability from failure_mode_part", (prediction_id,)
    )
    return prediction_id


def a_device_ticket(connection: Connection, house: House, now: datetime = NOW) -> str:
    code = open_from_prediction(connection, a_prediction(connection, house, now=now), now)
    assert code is not None
    return code


def a_report(connection: Connection, house: House, now: datetime = NOW, title: str = "Motor howls") -> str:
    return create_report(
        connection, asset_id=house.asset_id, title=title, description="Since noon", reporter=house.requester, now=now
    )


def command(
    connection: Connection,
    code: str,
    name: str,
    actor: Actor,
    facts: Mapping[str, object] | None = None,
    *,
    summary: str = "",
    now: datetime = NOW,
    version: int | None = None,
) -> TicketDetail:
    return run_command(
        connection, code, name, version=version, summary=summary, facts=facts or {}, actor=actor, now=now
    )


def a_photo(connection: Connection, code: str, now: datetime = NOW) -> UUID:
    photo = uuid7(now)
    connection.execute(
        """insert into attachment (id, ticket_id, kind, file_name, media_type, content, added_at)
           select %s, id, 'photo', 'p.jpg', 'image/jpeg', 'x', %s from ticket where code = %s""",
        (photo, now, code),
    )
    return photo


def carry(connection: Connection, house: House, code: str, to: State, now: datetime = NOW) -> TicketDetail:
    """Carry a new ticket to dispatched, accepted or executing with the near engineer."""
    me = house.near
    detail = command(connection, code, "dispatch", house.supervisor, {"assignee_id": me.person_id}, now=now)
    if to is State.DISPATCHED:
        return detail
    promise = (now + HOUR).isoformat()
    detail = command(connection, code, "accept", me, {"expected_response_at": promise}, now=now)
    if to is State.ACCEPTED:
        return detail
    photo = str(a_photo(connection, code, now))
    return command(connection, code, "execute", me, {"attachment_id": photo}, summary="cover removed", now=now)


def resolve(
    connection: Connection,
    house: House,
    code: str,
    *,
    now: datetime = NOW,
    resolution: str = "repaired",
    **facts: object,
) -> TicketDetail:
    said = {"resolution_code": resolution, "cause": "Lubricant lost", "action_taken": "Bearing replaced", **facts}
    return command(connection, code, "resolve", house.near, said, summary="bearing replaced", now=now)


def finish_work(connection: Connection, house: House, code: str, now: datetime = NOW) -> None:
    """Complete every task and account for every part."""
    numbers = connection.execute(
        """select number from ticket_task where done_at is null
           and ticket_id = (select id from ticket where code = %s)""",
        (code,),
    ).fetchall()
    for (number,) in numbers:
        command(connection, code, "complete_task", house.near, {"number": number}, now=now)
    lines = [{"part_number": "6204-2RS", "issued": 2, "used": 1, "returned": 1}]
    command(connection, code, "use_parts", house.near, {"lines": lines}, now=now)


def _calendar_and_site(connection: Connection) -> None:
    connection.execute("insert into calendar values ('weekdays', 'Weekdays', 'Asia/Shanghai')")
    for weekday in range(1, 6):
        for starts, ends in ((time(8), time(12)), (time(13), time(17, 30))):
            connection.execute("insert into calendar_segment values ('weekdays', %s, %s, %s)", (weekday, starts, ends))
    connection.execute("insert into site values (%s, 'Plant 1', 'weekdays', 31.3, 120.7)", (SITE,))


def _people(connection: Connection, now: datetime) -> dict[str, Actor]:
    def person(login: str, role: Role, **more: object) -> Actor:
        person_id = create_person(
            connection,
            login=login,
            name=login.title(),
            now=now,
            roles=[RoleHeld(role, SITE)],
            **more,  # type: ignore[arg-type]
        )
        return an_actor(person_id, role, name=login.title())

    return {
        "near": person("near", Role.ENGINEER, skills={"mechanical": 4}, latitude=31.31, longitude=120.7),
        "far": person("far", Role.ENGINEER, skills={"mechanical": 4}, latitude=31.9, longitude=120.7),
        "unskilled": person("unskilled", Role.ENGINEER, skills={"electrical": 5}, latitude=31.3, longitude=120.7),
        "supervisor": person("supervisor", Role.SUPERVISOR),
        "planner": person("planner", Role.PLANNER),
        "requester": person("requester", Role.REQUESTER),
    }
