"""Quarantine: messages that could not be used, with the reason, and the way back in once the cause is gone."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.boundary import BASE_PATH
from api.dependencies import Database, Now, ReadQuarantine, ReplayQuarantine
from api.detection_schemas import Quarantine, QuarantinedMessage, QuarantinedShape, ReplayAsked, ReplayBody
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from domain.refusals import Refused
from storage import quarantine
from storage.quarantine import Quarantined

router = APIRouter(prefix=BASE_PATH, tags=["quarantine"])

PAYLOAD_SHOWN_BYTES = 16_384
# A caller of one site walks over other sites' messages at most this many pages for one page of their own.
PAGES_WALKED = 20


@router.get("/quarantine", responses=SIGNED_IN_ANSWERS)
def list_quarantine(
    caller: ReadQuarantine,
    database: Database,
    reason: Annotated[str | None, Query(max_length=64)] = None,
    waiting: Annotated[bool, Query(description="Only messages that are not stored yet")] = False,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Quarantine:
    """Return messages set aside, newest first. One without a site in its topic is shown to callers of every site."""
    found: list[Quarantined] = []
    before = cursor
    with database.connection() as connection:
        for _ in range(PAGES_WALKED):
            rows = quarantine.page(connection, before=before, reason=reason, open_only=waiting, limit=limit + 1)
            found += [row for row in rows if _sees(caller, row)]
            if len(rows) <= limit or len(found) > limit:
                break
            before = rows[-1].id
    page, next_cursor = cut(found, limit, lambda row: row.id)
    return Quarantine(items=[QuarantinedShape.model_validate(row) for row in page], next_cursor=next_cursor)


@router.get("/quarantine/{message_id}", responses=RECORD_ANSWERS)
def read_quarantined(
    message_id: Annotated[Key, Path(description="The message's id")], caller: ReadQuarantine, database: Database
) -> QuarantinedMessage:
    """Return one message set aside, with the first 16 KiB of what came."""
    with database.connection() as connection:
        row = quarantine.find(connection, message_id)
        payload = quarantine.payload_of(connection, message_id)
    if row is None or payload is None or not _sees(caller, row):
        raise unknown("message", message_id)
    shown = payload[:PAYLOAD_SHOWN_BYTES]
    return QuarantinedMessage(
        **QuarantinedShape.model_validate(row).model_dump(),
        payload_text=shown.decode("utf-8", "backslashreplace"),
        payload_base64=base64.b64encode(shown).decode("ascii"),
        payload_is_whole=len(shown) == len(payload),
    )


@router.post("/quarantine/replay", status_code=202, responses=RECORD_ANSWERS)
def replay(caller: ReplayQuarantine, body: ReplayBody, database: Database, now: Now) -> ReplayAsked:
    """Have messages tried again by the ingester; those that were stored by an earlier replay are left alone."""
    with database.connection() as connection:
        if body.ids is not None:
            for message_id in body.ids:
                row = quarantine.find(connection, message_id)
                if row is None or not _sees(caller, row):
                    raise unknown("message", message_id)
        elif caller.sites is not None:
            raise Refused(
                "not_permitted",
                expected="ids, or a role held at every site: a reason may hold messages of any site",
                got="a reason and a role at " + ", ".join(sorted(caller.sites)),
                remedy="Name the messages by their ids.",
            )
        asked = quarantine.request_replay(connection, now, ids=body.ids, reason=body.reason)
    return ReplayAsked(asked=asked)


def _sees(caller: Caller, row: Quarantined) -> bool:
    return caller.sites is None or (row.site is not None and row.site in caller.sites)
