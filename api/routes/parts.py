"""Parts: the catalogue with the pieces there are, how they are supplied, and proposals to order."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeParts, Database, Now, ReadParts
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key, NewPart, PartNumber, Parts, PartShape, ProposalDecision, Proposals, Receipt, SupplyOfPart
from storage import store, supply
from storage.supply import Proposal

router = APIRouter(prefix=BASE_PATH, tags=["parts"])

PartInPath = Annotated[PartNumber, Path(description="The part's number")]
ProposalState = Literal["open", "ordered", "received", "dismissed", "withdrawn"]


@router.get("/parts", responses=SIGNED_IN_ANSWERS)
def list_parts(
    caller: ReadParts,
    database: Database,
    number: Annotated[str | None, Query(max_length=64)] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Parts:
    """Return parts with the pieces on hand."""
    with database.connection() as connection:
        rows = store.list_parts(connection, number=number, after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda part: part.id)
    return Parts(items=[PartShape.model_validate(part) for part in page], next_cursor=next_cursor)


@router.post("/parts", status_code=201, responses=CHANGE_ANSWERS)
def add_part(caller: ChangeParts, body: NewPart, database: Database, now: Now) -> PartShape:
    """Add a part with the pieces that are in the store."""
    with database.connection() as connection:
        part = store.add_part(
            connection,
            number=body.number,
            name_en=body.name_en,
            name_zh=body.name_zh,
            unit=body.unit,
            on_hand=body.on_hand,
            now=now,
        )
    return PartShape.model_validate(part)


@router.put("/parts/{number}/supply", responses=CHANGE_ANSWERS)
def set_supply(number: PartInPath, caller: ChangeParts, body: SupplyOfPart, database: Database, now: Now) -> PartShape:
    """Say how long a part takes to come, how many pieces the store wants to keep, and what may take its place."""
    with database.connection() as connection:
        supply.set_supply(
            connection,
            number,
            lead_time_days=body.lead_time_days,
            reorder_level=body.reorder_level,
            substitutes=body.substitutes,
            now=now,
        )
        part = store.list_parts(connection, number=number, limit=1)[0]
    return PartShape.model_validate(part)


@router.post("/parts/{number}/receipts", status_code=201, responses=CHANGE_ANSWERS)
def receive(number: PartInPath, caller: ChangeParts, body: Receipt, database: Database, now: Now) -> PartShape:
    """Take pieces into the store."""
    with database.connection() as connection:
        part = store.receive_part(connection, number, body.quantity, now)
    return PartShape.model_validate(part)


@router.get("/reorder-proposals", responses=SIGNED_IN_ANSWERS)
def list_proposals(
    caller: ReadParts,
    database: Database,
    now: Now,
    state: Annotated[ProposalState | None, Query(description="Only in this state")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Proposals:
    """Return proposals to order what tickets are short of or what fell below its reorder level, newest first."""
    with database.connection() as connection:
        rows = supply.list_proposals(connection, now, state=state, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda proposal: proposal.id)
    return Proposals(items=page, next_cursor=next_cursor)


@router.post("/reorder-proposals/{proposal_id}/decision", responses=CHANGE_ANSWERS)
def decide_proposal(
    proposal_id: Key, caller: ChangeParts, body: ProposalDecision, database: Database, now: Now
) -> Proposal:
    """Note that a proposal was ordered, or dismiss it for a while."""
    with database.connection() as connection:
        if not supply.list_proposals(connection, now, proposal_id=proposal_id, limit=1):
            raise unknown("proposal", proposal_id)
        supply.decide_proposal(
            connection, proposal_id, state=body.decision, person_id=caller.person.id, note=body.note, now=now
        )
        return supply.list_proposals(connection, now, proposal_id=proposal_id, limit=1)[0]
