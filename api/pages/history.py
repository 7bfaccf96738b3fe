"""Who changed what and when, below a list of records: the newest of the audit first, a stretch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Query
from psycopg import Connection

from api.identity import Caller
from api.pages.access import may
from api.pages.devices import places_of
from api.permissions import Action
from storage import audit

HISTORY_MAX = 10

# The id of the change before which to look; ids of the audit are as large as they come.
Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class History:
    """Some changes, newest first; ``older`` and ``newest`` are the addresses of those before and of the first ones."""

    changes: Sequence[audit.NamedChange]
    older: str | None
    newest: str | None


def history_of(
    connection: Connection, caller: Caller, nouns: Sequence[str], address: str, *, before: int | None
) -> History | None:
    """Return the changes of such records where the caller may read changes; None where there is no such site."""
    if not may(caller.person, Action.READ_CHANGES):
        return None
    sites = places_of(caller, Action.READ_CHANGES)
    rows = audit.changes_of(connection, nouns, sites=sites, before=before, limit=HISTORY_MAX + 1)
    shown = rows[:HISTORY_MAX]
    older = f"{address}?{urlencode({'before': shown[-1].id})}#changes" if len(rows) > HISTORY_MAX else None
    return History(shown, older, None if before is None else f"{address}#changes")
