"""Pages of lists: at most 200 records and a ``next_cursor``, null on the last page, to ask for the next with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import Query

from api.schemas import PAGE_DEFAULT, PAGE_LIMIT

Row = TypeVar("Row")

Limit = Annotated[int, Query(ge=1, le=PAGE_LIMIT, description="How many records at most")]
Cursor = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="The next_cursor of the page before")]
TextCursor = Annotated[str | None, Query(max_length=64, description="The next_cursor of the page before")]
LIMIT_DEFAULT = PAGE_DEFAULT


def cut(rows: Sequence[Row], limit: int, place: Callable[[Row], object]) -> tuple[list[Row], str | None]:
    """Split one row more than ``limit`` into the page and the cursor at its last row, None when no more follow."""
    page = list(rows[:limit])
    return page, str(place(page[-1])) if len(rows) > limit else None
