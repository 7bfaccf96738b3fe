"""Parts: the catalogue with the pieces on hand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.boundary import BASE_PATH
from api.dependencies import ChangeParts, Database, Now, ReadParts
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import NewPart, Parts, PartShape
from storage import store

router = APIRouter(prefix=BASE_PATH, tags=["parts"])


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
