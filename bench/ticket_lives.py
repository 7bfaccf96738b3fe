"""Lives of tickets, made up by a seed: what ten thousand or a million of them would have left in the tables.

Each life is a row of ``ticket`` and what belongs to it: a timeline chained as the product chains it, clocks with due
times on the site's calendar, a dispatch decision, and by chance a wait, photos, parts, the requester's answer and the
lesson of its closure. Priorities, targets and policy come from tickets that the product itself opened (``Template``).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from bench.copying import Raw, Rows
from bench.ticket_plant import Machine, Mode, Plant, Template
from ticketing.sla import Hold, RunningClock, after_hold, promise
from ticketing.ticket import Clock, HoldReason
from ticketing.timeline import TimelineEvent, chain, genesis

SPAN = timedelta(days=3 * 365)
# Of a hundred tickets in a row, who opened them: devices, people, schedules, other systems.
ORIGINS = "DP" * 45 + "S" * 7 + "I" * 3
KINDS = {"D": "preventive", "P": "corrective", "S": "inspection", "I": "corrective"}
STAGES = ("new", "dispatched", "accepted", "executing")
STAGE_WEIGHTS = (15, 15, 30, 40)
COMPLAINTS = (
    "Howls when it starts", "Leaks oil at the flange", "Trips after an hour", "Will not reach its pressure",
    "Smells burnt", "Shakes at full speed", "Display stays dark", "Gets too hot to touch", "异响明显", "轴封漏油",
    "启动后跳闸", "压力上不去", "温度过高", "振动偏大",
)  # fmt: skip
CAUSES = ("Lubricant lost through a worn seal", "Belt slack", "Fan blocked by dust", "Terminal loose", "密封磨损漏油")
ACTIONS = ("Seal and bearing replaced, aligned", "Belt tightened", "Cleaned and tested for an hour", "更换密封并试机")


@dataclass(slots=True)
class _Life:
    """One ticket while it is made up. ``told`` are its events so far; ``head`` is the end of their chain."""

    plant: Plant
    rows: Rows
    dice: random.Random
    number: int
    id: UUID
    code: str
    machine: Machine
    mode: Mode | None
    template: Template
    opened_at: datetime
    until: datetime
    stage: str
    engineer: tuple[int, str]
    head: bytes
    told: int = 0
    version: int = 0
    state: str = "new"
    clocks: dict[str, RunningClock] = field(default_factory=dict)
    at: dict[str, datetime] = field(default_factory=dict)
    prediction_id: UUID | None = None
    outcome: str | None = None
    last_effective_at: datetime | None = None


def write_lives(plant: Plant, first: int, count: int) -> Rows:
    """Return the rows of ``count`` tickets from number ``first``; the same for the same plant, whoever makes them."""
    rows = Rows()
    dice = random.Random(f"{plant.seed} {first}")
    for number in range(first, first + count):
        _live(plant, rows, dice, number)
    return rows


def code_of(number: int) -> str:
    """Return the tracking code of the ticket of this number: each origin counts for itself."""
    rounds, place = divmod(number, len(ORIGINS))
    origin = ORIGINS[place]
    return f"{origin}{rounds * ORIGINS.count(origin) + ORIGINS[:place].count(origin) + 1:06}"


def _live(plant: Plant, rows: Rows, dice: random.Random, number: int) -> None:
    age = plant.tickets - 1 - number
    is_live = age < len(plant.machines) and dice.random() < 2.718281828 ** (-age / plant.live)
    # Live tickets have a machine each, for a failure mode of a machine has one open ticket.
    place = age * 7919 % len(plant.machines) if is_live else dice.randrange(len(plant.machines))
    machine = plant.machines[place]
    opened_at = plant.now - SPAN * ((age + 0.2 + 0.6 * dice.random()) / plant.tickets)
    opened_at = opened_at.replace(microsecond=opened_at.microsecond // 1000 * 1000)
    code = code_of(number)
    modes = plant.modes[machine.asset_type]
    mode = dice.choice(modes) if code[0] == "D" or dice.random() < 0.3 else None
    ticket_id = _uuid7(opened_at, dice)
    life = _Life(
        plant=plant,
        rows=rows,
        dice=dice,
        number=number,
        id=ticket_id,
        code=code,
        machine=machine,
        mode=mode,
        template=plant.templates[machine.asset_type, mode.code if mode else "", machine.criticality],
        opened_at=opened_at,
        until=min(plant.now, opened_at + timedelta(hours=dice.choice((3, 6, 8, 20, 30, 50, 100)) * dice.random() + 1)),
        stage=dice.choices(STAGES, STAGE_WEIGHTS)[0] if is_live else "closed",
        engineer=dice.choice(plant.engineers[machine.site_id]),
        head=genesis(ticket_id),
    )
    if is_live:
        life.until = plant.now
    _open(life)
    _carry(life)
    _store(life)


def _open(life: _Life) -> None:
    for clock, calendar_id, target_s in life.template.clocks:
        due_at = life.plant.working[calendar_id].due(life.opened_at, target_s)
        life.clocks[clock] = RunningClock(Clock(clock), calendar_id, target_s, life.opened_at, due_at)
    if life.code[0] == "D":
        life.prediction_id = _uuid7(life.opened_at, life.dice)
    facts = {
        "title": _title(life),
        "priority": life.template.priority,
        "prediction_id": str(life.prediction_id) if life.prediction_id else None,
        "line_stopped": life.template.line_stopped,
        "due": {name: clock.due_at.isoformat() for name, clock in life.clocks.items()},
    }
    is_by_person = life.code[0] == "P"
    _tell(life, "open", 0.0, life.machine.requester if is_by_person else None, "new", facts)


def _carry(life: _Life) -> None:
    """Carry it as far as its stage, each step at a share of the time that it has."""
    if life.stage == "new":
        return
    dice, me, chief = life.dice, life.engineer, life.plant.supervisors[life.machine.site_id]
    life.at["dispatched"] = _tell(life, "dispatch", 0.01, None, "dispatched", {"assignee_id": me[0]})
    _decide(life)
    if life.stage == "closed" and dice.random() < 0.05:
        life.outcome = "cancelled"
        life.at["closed"] = _tell(life, "cancel", 0.3, chief, "closed", {"reason": "Machine was taken out of service"})
        return
    if life.stage == "dispatched":
        return
    promised = _moment(life, 0.25)
    accepted = _tell(life, "accept", 0.05, me, "accepted", {"expected_response_at": promised.isoformat()})
    life.at.update(accepted=accepted, promised=promised)
    life.clocks["promise"] = promise(accepted, promised)
    if dice.random() < 0.9 or life.stage != "accepted":
        life.at["responded"] = _tell(life, "depart", 0.1, me, "accepted", {}, is_effective=True)
        _tell(life, "arrive", 0.2, me, "accepted", {}, is_effective=True)
    if dice.random() < 0.15:
        _wait(life)
    if life.stage == "accepted":
        return
    photo = _attach(life)
    _tell(life, "execute", 0.5, me, "executing", {"attachment_id": str(photo)}, "cover removed", is_effective=True)
    if dice.random() < 0.5:
        content = {"content": dice.choice(CAUSES)}
        _tell(life, "note", 0.6, me, "executing", content, content["content"], is_effective=True)
    if life.stage == "closed":
        _finish(life)


def _finish(life: _Life) -> None:
    dice, me = life.dice, life.engineer
    life.outcome = dice.choices(("repaired", "no_fault_found", "false_alarm", "deferred"), (75, 12, 8, 5))[0]
    for number in range(1, len(life.mode.tasks) + 1 if life.mode else 1):
        life.at[f"task {number}"] = _tell(
            life, "complete_task", 0.65 + 0.01 * number, me, "executing", {"number": number}, is_effective=True
        )
    finished = _moment(life, 0.8)
    facts = {
        "resolution_code": life.outcome,
        "cause": dice.choice(CAUSES),
        "action_taken": dice.choice(ACTIONS),
        "work_finished_at": finished.isoformat(),
    }
    if life.mode is not None and life.outcome == "repaired":
        facts["found_failure_mode"] = life.mode.code
    resolved = _tell(life, "resolve", 0.82, me, "executing", facts, facts["action_taken"], is_effective=True)
    confirmed = _tell(life, "confirm", 0.9, None, "executing", {"satisfied": True}, by_link=True)
    closed = _tell(life, "close", 0.95, me, "closed", {})
    life.at.update(finished=finished, resolved=resolved, confirmed=confirmed, closed=closed)
    link_id, said = life.number + 1, (life.id, True, dice.random() < 0.9, None, None, confirmed)
    secret = hashlib.sha256(life.id.bytes).digest()
    life.rows.add("confirmation_link", link_id, life.id, secret, resolved, resolved + timedelta(days=14), confirmed)
    life.rows.add("survey_answer", link_id, *said)
    found_id = life.mode.id if life.mode and life.outcome == "repaired" else None
    life.rows.add(
        "closure_lesson", life.id, life.machine.asset_type, life.mode.id if life.mode else None, found_id,
        life.outcome, Raw("[]"), Raw("[]"), closed, life.machine.id, 0.8, life.opened_at, finished, 24.0,
    )  # fmt: skip


def _wait(life: _Life) -> None:
    """A wait, over by now unless the ticket is live and stands there."""
    reason = life.dice.choice(tuple(HoldReason))
    review = _moment(life, 0.45)
    facts = {"reason": reason.value, "review_at": review.isoformat()}
    started = _tell(life, "hold", 0.3, life.engineer, life.state, facts)
    if life.stage == "accepted":
        life.rows.add("hold", life.id, started, reason.value, review, None, review if review < life.plant.now else None)
        return
    ended = _tell(life, "resume", 0.4, life.engineer, life.state, {})
    life.rows.add("hold", life.id, started, reason.value, review, ended, None)
    hold = Hold(started, reason, review)
    for name, clock in life.clocks.items():
        if _stop_of(life, name) is None or name in ("resolve", "close"):
            working = life.plant.working[clock.calendar_id]
            life.clocks[name] = after_hold(clock, hold, life.plant.policy, ended, working)


def _tell(
    life: _Life,
    command: str,
    share: float,
    actor: tuple[int, str] | None,
    to_state: str,
    facts: Mapping[str, object],
    summary: str = "",
    *,
    is_effective: bool = False,
    by_link: bool = False,
) -> datetime:
    """Append an event at this share of the ticket's time; None acts for the system, or for whoever has the link."""
    at = _moment(life, share)
    kind = "requester" if by_link else "system" if actor is None else "person"
    name = life.machine.requester[1] if by_link else "Wearsight" if actor is None else actor[1]
    channel = "link" if by_link else "desk" if actor is None else "console"
    life.told += 1
    life.version += 1
    event = TimelineEvent(
        life.told, at, kind, actor[0] if actor else None, name, channel, command,
        None if command == "open" else life.state, to_state, is_effective, summary, facts,
    )  # fmt: skip
    link = chain(life.head, event)
    life.rows.add(
        "ticket_event", life.id, life.told, at, kind, event.actor_id, name, channel, command, event.from_state,
        to_state, is_effective, summary, facts, link.previous_hash, link.hash,
    )  # fmt: skip
    life.head, life.state = link.hash, to_state
    if is_effective:
        life.last_effective_at = at
    return at


def _decide(life: _Life) -> None:
    others = life.dice.sample(life.plant.engineers[life.machine.site_id], 4)
    candidates = [
        {
            "person_id": person_id,
            "name": name,
            "score": round(0.9 - 0.1 * place, 4),
            "parts": [
                {"name": part, "value": 0.5, "weight": 0.3, "measure": 2.0, "unit": unit}
                for part, unit in (("distance", "km"), ("load", "tickets"), ("skill", "level"))
            ],
            "excluded_by": [],
        }
        for place, (person_id, name) in enumerate([life.engineer, *others])
    ]
    life.rows.add("dispatch_decision", life.id, life.at["dispatched"], life.engineer[0], candidates)


def _attach(life: _Life) -> UUID:
    photo, at = _uuid7(life.opened_at, life.dice), _moment(life, 0.49)
    content = b"\x89PNG" + life.id.bytes
    life.rows.add("attachment", photo, life.id, "photo", f"{life.code}.png", "image/png", content, life.engineer[0], at)
    return photo


def _store(life: _Life) -> None:
    _store_clocks(life)
    _store_prediction(life)
    machine, mode, at = life.machine, life.mode, life.at
    is_resolved = "resolved" in at
    title = _title(life)
    resolve = life.clocks["resolve"]
    for number, (text_en, text_zh) in enumerate(mode.tasks if mode else (), start=1):
        done_at = at.get(f"task {number}")
        life.rows.add("ticket_task", life.id, number, text_en, text_zh, done_at, life.engineer[0] if done_at else None)
    for part_id, pieces, probability in mode.parts if mode else ():
        used = pieces if life.outcome == "repaired" else 0
        life.rows.add("bill_line", life.id, part_id, pieces, probability, used, used, 0)
        if used:
            life.rows.add("stock_movement", part_id, -used, "issue", life.id, at["finished"])
    facts = (life.outcome, mode.id if mode and life.outcome == "repaired" else None, CAUSES[0], ACTIONS[0])
    life.rows.add(
        "ticket", life.id, life.code, KINDS[life.code[0]], life.state, life.outcome, machine.site_id, machine.id,
        mode.id if mode else None, life.prediction_id, title,
        f"{machine.tag}：预计发生{mode.name_zh}" if life.prediction_id and mode else title,
        "" if life.prediction_id else "Since this morning", life.template.priority, life.template.reason,
        life.template.policy_id, machine.requester[0], life.engineer[0] if "dispatched" in at else None,
        life.opened_at, resolve.due_at, life.opened_at, at.get("promised"), at.get("responded"),
        *(facts if is_resolved else (None,) * 4), at.get("finished"), at.get("resolved"), at.get("confirmed"),
        at.get("closed"), life.last_effective_at or life.opened_at, life.version, life.told, life.head,
        life.template.line_stopped,
    )  # fmt: skip


def _store_clocks(life: _Life) -> None:
    for name, clock in life.clocks.items():
        stopped_at = _stop_of(life, name)
        is_over = stopped_at is None and clock.due_at < life.plant.now
        noticed_at = clock.due_at + timedelta(minutes=1) if is_over else None
        life.rows.add(
            "ticket_clock", life.id, name, clock.calendar_id, clock.target_s, clock.started_at, clock.due_at,
            stopped_at, noticed_at,
        )  # fmt: skip


def _stop_of(life: _Life, clock: str) -> datetime | None:
    stops = {"accept": "accepted", "respond": "responded", "promise": "responded", "resolve": "resolved"}
    return life.at.get(stops.get(clock, "closed")) or life.at.get("closed")


def _store_prediction(life: _Life) -> None:
    if life.prediction_id is None or life.mode is None:
        return
    at, day = life.opened_at, timedelta(days=1)
    status = {"closed": "rejected" if life.outcome == "cancelled" else "closed"}.get(life.state, "open")
    life.rows.add(
        "prediction", life.prediction_id, life.machine.id, life.mode.id, "ticket", status, 0.8, at, at, at + day,
        at + 4 * day, at, life.at.get("closed", at),
    )  # fmt: skip
    life.rows.add("prediction_evidence", life.prediction_id, "prior", life.mode.code, at, -3.9, "Prior", "先验")
    finding = _uuid7(at, life.dice)
    life.rows.add(
        "finding", finding, life.machine.rule_id, life.machine.series_id, life.machine.id, "vibration_mm_s", "cusum",
        "up", "high", False, at, life.at.get("closed"), 7.1, 9.0, 5.0, Raw("{}"), at,
    )  # fmt: skip
    life.rows.add(
        "prediction_evidence", life.prediction_id, "finding", str(finding), at, 5.2, "Vibration drifts", "振动漂移"
    )
    life.rows.add("ticket_finding", life.id, finding, at)


def _title(life: _Life) -> str:
    if life.prediction_id is not None and life.mode is not None:
        return f"{life.machine.tag}: {life.mode.name_en} expected"
    return COMPLAINTS[life.number % len(COMPLAINTS)]


def _moment(life: _Life, share: float) -> datetime:
    """Return the moment at this share of the ticket's time, to the millisecond."""
    at = life.opened_at + (life.until - life.opened_at) * share
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _uuid7(at: datetime, dice: random.Random) -> UUID:
    """As ``domain.ids.uuid7``, by the seed."""
    bits = dice.getrandbits(74)
    return UUID(
        int=int(at.timestamp() * 1000) << 80 | 0x7 << 76 | bits >> 62 << 64 | 0b10 << 62 | bits & ((1 << 62) - 1)
    )
