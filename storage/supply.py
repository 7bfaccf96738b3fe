"""Supply: the pieces kept for a ticket from its dispatch on, and proposals to order what is short (SPEC P3).

``ticketing/parts.py`` decides; here the parts are locked, so that a piece is never promised twice, and what was decided
is stored. A reservation holds until its pieces are issued or the ticket ends. The caller owns the transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from psycopg import Connection

from domain.refusals import Refused
from storage.parts import part_id_of
from storage.parts_policy import PartsPolicy, parts_policy
from storage.queries import load
from ticketing.parts import Need, allocate, comes_in_time, reorder_quantity

QUERIES = load("supply")


@dataclass(frozen=True, slots=True)
class Substitute:
    """A part that may take another's place, with the pieces that are free."""

    number: str
    name_en: str
    name_zh: str
    free: int


@dataclass(frozen=True, slots=True)
class Supply:
    """Pieces of a part in the store, those kept for tickets and those on order; ``lead_time_days`` to get more."""

    part_id: int
    number: str
    on_hand: int
    reserved: int
    lead_time_days: int
    reorder_level: int
    on_order: int
    substitutes: tuple[Substitute, ...]

    @property
    def free(self) -> int:
        """Pieces that nobody has been promised; never below zero, whatever the count says."""
        return max(0, self.on_hand - self.reserved)


@dataclass(frozen=True, slots=True)
class ExpectedPart:
    """A part that a prediction expects to be needed, with its probability in (0, 1], and what the store has of it.

    ``free`` pieces are promised to nobody. ``comes_in_time``: ordered now it is there before the failure's window
    begins; equipment time is compared with the wall's, so of recorded data it says nothing.
    """

    number: str
    name_en: str
    name_zh: str
    quantity: int
    probability: float
    on_hand: int
    reserved: int
    free: int
    is_short: bool
    lead_time_days: int
    comes_in_time: bool
    substitutes: tuple[Substitute, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal to order. ``is_late``: ordered now it would come after ``needed_by``."""

    id: int
    part_number: str
    name_en: str
    name_zh: str
    quantity: int
    needed_by: datetime | None
    lead_time_days: int
    is_late: bool
    state: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str | None


def supply_of(connection: Connection, part_ids: Collection[int]) -> dict[int, Supply]:
    """Return the supply of these parts by id, with their substitutes."""
    policy = parts_policy(connection)
    others = _substitutes_of(connection, part_ids)
    wanted = {*part_ids, *(substitute_id for found in others.values() for substitute_id, *_ in found)}
    rows = connection.execute(QUERIES["supply_of"], {"part_ids": sorted(wanted)}).fetchall()
    free = {row[0]: max(0, row[2] - row[3]) for row in rows}
    return {
        part_id: Supply(
            part_id,
            number,
            on_hand,
            reserved,
            policy.lead_time_days if lead_time_days is None else lead_time_days,
            reorder_level,
            on_order,
            tuple(Substitute(one[1], one[2], one[3], free[one[0]]) for one in others.get(part_id, ())),
        )
        for part_id, number, on_hand, reserved, lead_time_days, reorder_level, on_order in rows
        if part_id in part_ids
    }


def expected_parts(connection: Connection, prediction_id: UUID, now: datetime) -> list[ExpectedPart]:
    """Return the parts that a prediction expects, likeliest first, with their supply."""
    rows = connection.execute(QUERIES["expected_parts"], {"prediction_id": prediction_id}).fetchall()
    supplies = supply_of(connection, [row[0] for row in rows])
    found = []
    for part_id, number, name_en, name_zh, quantity, probability, window_from in rows:
        supply = supplies[part_id]
        found.append(
            ExpectedPart(
                number=number,
                name_en=name_en,
                name_zh=name_zh,
                quantity=quantity,
                probability=probability,
                on_hand=supply.on_hand,
                reserved=supply.reserved,
                free=supply.free,
                is_short=supply.free < quantity,
                lead_time_days=supply.lead_time_days,
                comes_in_time=comes_in_time(now, supply.lead_time_days, window_from),
                substitutes=supply.substitutes,
            )
        )
    return found


def reserve_for_ticket(connection: Connection, ticket_id: UUID, now: datetime) -> None:
    """Keep what the ticket is likely to need as far as there is any, and propose to order the rest.

    Told again, it keeps only what is missing still.
    """
    policy = parts_policy(connection)
    asked = {"ticket_id": ticket_id, "from_probability": policy.reserve_from_probability}
    needs = [Need(*row) for row in connection.execute(QUERIES["needs_of_ticket"], asked).fetchall()]
    if not needs:
        return
    wanted = [need.part_id for need in needs]
    others = {part_id: [one[0] for one in found] for part_id, found in _substitutes_of(connection, wanted).items()}
    concerned = sorted({*wanted, *(one for found in others.values() for one in found)})
    _lock(connection, concerned)
    supplies = supply_of(connection, concerned)
    free = {part_id: supply.free for part_id, supply in supplies.items()}
    for kept in allocate(needs, free, others):
        connection.execute(
            QUERIES["reserve"],
            {
                "ticket_id": ticket_id,
                "part_id": kept.part_id,
                "for_part_id": kept.for_part_id,
                "quantity": kept.quantity,
                "now": now,
            },
        )
    _propose(connection, concerned, policy, now)


def release_for_ticket(connection: Connection, ticket_id: UUID, now: datetime) -> None:
    """Keep nothing for a ticket that ended, and think again about what to order."""
    rows = connection.execute(QUERIES["end_reservations"], {"ticket_id": ticket_id, "now": now}).fetchall()
    bill = connection.execute(QUERIES["parts_of_bill"], {"ticket_id": ticket_id}).fetchall()
    review_proposals(connection, {part_id for row in (*rows, *bill) for part_id in row}, now)


def review_proposals(connection: Connection, part_ids: Collection[int], now: datetime) -> None:
    """Propose to order what is short of these parts now, and withdraw what is no longer."""
    if part_ids:
        _lock(connection, sorted(part_ids))
        _propose(connection, sorted(part_ids), parts_policy(connection), now)


def receive(connection: Connection, part_number: str, quantity: int, now: datetime) -> None:
    """Take note that ``quantity`` pieces came into the store: orders are fulfilled, proposals withdrawn."""
    part_id = part_id_of(connection, part_number)
    connection.execute(QUERIES["receive_orders"], {"part_id": part_id, "quantity": quantity})
    review_proposals(connection, [part_id], now)


def set_supply(
    connection: Connection,
    part_number: str,
    *,
    lead_time_days: int | None,
    reorder_level: int,
    substitutes: Sequence[str],
    now: datetime,
) -> None:
    """Say how long a part takes to come, what the store wants to keep, and what may take its place, best first.

    Raises Refused("invalid_fact") for an unknown number, Refused("invalid_request") for a part as its own substitute or
    one named twice.
    """
    part_id = part_id_of(connection, part_number)
    others = [part_id_of(connection, number) for number in substitutes]
    if part_id in others or len(set(others)) != len(others):
        raise Refused(
            "invalid_request",
            expected="different parts other than the part itself as its substitutes",
            got=", ".join(substitutes),
            remedy="Name each substitute once.",
        )
    connection.execute(
        QUERIES["set_supply"],
        {"part_id": part_id, "lead_time_days": lead_time_days, "reorder_level": reorder_level},
    )
    connection.execute(QUERIES["forget_substitutes"], {"part_id": part_id})
    for preference, other in enumerate(others, start=1):
        connection.execute(
            QUERIES["add_substitute"], {"part_id": part_id, "substitute_id": other, "preference": preference}
        )
    review_proposals(connection, [part_id], now)


def list_proposals(
    connection: Connection,
    now: datetime,
    *,
    proposal_id: int | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Proposal]:
    """Return proposals with ids below ``before``, newest first."""
    usual = parts_policy(connection).lead_time_days
    asked = {"id": proposal_id, "state": state, "before": before, "limit": limit}
    found = []
    for row in connection.execute(QUERIES["proposals"], asked):
        needed_by, days = row[5], usual if row[6] is None else row[6]
        is_late = needed_by is not None and not comes_in_time(now, days, needed_by)
        found.append(Proposal(row[0], row[1], row[2], row[3], row[4], needed_by, days, is_late, *row[7:]))
    return found


def decide_proposal(
    connection: Connection, proposal_id: int, *, state: str, person_id: int, note: str | None, now: datetime
) -> None:
    """Note that a proposal was ordered or dismissed. Raises Refused("not_a_legal_step") when it is open no longer."""
    asked = {"id": proposal_id, "state": state, "person_id": person_id, "note": note, "now": now}
    if connection.execute(QUERIES["decide"], asked).fetchone() is None:
        raise Refused(
            "not_a_legal_step",
            expected="an open proposal",
            got="one that was decided, or withdrawn because nothing is short any longer",
            remedy="Read the list again.",
        )


def _propose(connection: Connection, part_ids: Sequence[int], policy: PartsPolicy, now: datetime) -> None:
    for part_id, supply in supply_of(connection, part_ids).items():
        asked = {"part_id": part_id, "from_probability": policy.reserve_from_probability}
        short, needed_by = connection.execute(QUERIES["shortage_of"], asked).fetchone() or (0, None)
        quantity = reorder_quantity(
            short=short, reorder_level=supply.reorder_level, free=supply.free, on_order=supply.on_order
        )
        if quantity == 0:
            connection.execute(QUERIES["withdraw"], {"part_id": part_id})
            continue
        connection.execute(
            QUERIES["propose"],
            {
                "part_id": part_id,
                "quantity": quantity,
                "needed_by": needed_by,
                "now": now,
                "dismissed_since": now - timedelta(days=policy.dismissed_days),
            },
        )


def _substitutes_of(connection: Connection, part_ids: Collection[int]) -> Mapping[int, list[tuple[int, str, str, str]]]:
    found: defaultdict[int, list[tuple[int, str, str, str]]] = defaultdict(list)
    for part_id, *told in connection.execute(QUERIES["substitutes_of"], {"part_ids": sorted(part_ids)}):
        found[part_id].append((told[0], told[1], told[2], told[3]))
    return found


def _lock(connection: Connection, part_ids: Sequence[int]) -> None:
    connection.execute(QUERIES["lock_parts"], {"part_ids": list(part_ids)})
