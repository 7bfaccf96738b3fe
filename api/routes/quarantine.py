"""Quarantine: messages that could not be used, with the reason, and the way back in once the cause is gone."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from psycopg import Connection

from api.adoption_schemas import stored_address
from api.boundary import BASE_PATH
from api.dependencies import Database, DismissQuarantine, LanguageAsked, Now, ReadQuarantine, ReplayQuarantine
from api.identity import Caller
from api.languages import Language
from api.problems import unknown
from api.quarantine_schemas import (
    DismissBody,
    Dismissed,
    Quarantine,
    QuarantinedMessage,
    Reasons,
    ReasonShape,
    ReplayAsked,
    ReplayBody,
)
from api.reasons import ReasonExplained
from api.routes.answers import RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from storage import quarantine
from storage.quarantine import Quarantined, ReasonCount, Which

router = APIRouter(prefix=BASE_PATH, tags=["quarantine"])

PAYLOAD_SHOWN_BYTES = 16_384
MessageKey = Annotated[Key, Path(description="The message's id")]


@router.get("/quarantine", responses=SIGNED_IN_ANSWERS)
def list_quarantine(
    caller: ReadQuarantine,
    database: Database,
    reason: Annotated[str | None, Query(max_length=64)] = None,
    site: Annotated[str | None, Query(max_length=64)] = None,
    feed: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only messages of this feed")] = None,
    device: Annotated[str | None, Query(max_length=256, description="The device's name, or its key on a feed")] = None,
    waiting: Annotated[bool, Query(description="Only messages that are not stored yet")] = False,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Quarantine:
    """Return messages set aside, newest first. One without a site in its topic is shown to callers of every site."""
    with database.connection() as connection:
        rows = quarantine.page(
            connection,
            before=cursor,
            sites=caller.site_list(),
            site=site,
            feed_id=feed,
            device=device,
            reason=reason,
            open_only=waiting,
            limit=limit + 1,
        )
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Quarantine(items=page, next_cursor=next_cursor)


@router.get("/quarantine/reasons", responses=SIGNED_IN_ANSWERS)
def count_reasons(caller: ReadQuarantine, database: Database, request: Request, language: LanguageAsked) -> Reasons:
    """Return why messages wait at the caller's sites: how many, what the reason means and what to do."""
    explained: dict[str, ReasonExplained] = request.app.state.reasons
    with database.connection() as connection:
        counts = quarantine.reason_counts(connection, caller.site_list())
    return Reasons(items=[_reason(count, explained.get(count.reason), language) for count in counts])


@router.get("/quarantine/{message_id}", responses=RECORD_ANSWERS)
def read_quarantined(message_id: MessageKey, caller: ReadQuarantine, database: Database) -> QuarantinedMessage:
    """Return one message set aside, with the first 16 KiB of what came."""
    with database.connection() as connection:
        row, payload = _visible_message(connection, caller, message_id)
    shown = payload[:PAYLOAD_SHOWN_BYTES]
    return QuarantinedMessage(
        **asdict(row),
        payload_text=shown.decode("utf-8", "backslashreplace"),
        payload_base64=base64.b64encode(shown).decode("ascii"),
        payload_is_whole=len(shown) == len(payload),
    )


@router.get(
    "/quarantine/{message_id}/raw",
    response_class=Response,
    responses={
        200: {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            "description": "The bytes as they came",
        },
        **RECORD_ANSWERS,
    },
)
def read_raw(message_id: MessageKey, caller: ReadQuarantine, database: Database) -> Response:
    """Return what came, byte for byte, to be saved and not shown."""
    with database.connection() as connection:
        _, payload = _visible_message(connection, caller, message_id)
    return Response(
        payload,
        media_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="message-{message_id}.bin"',
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )


@router.post("/quarantine/replay", status_code=202, responses=RECORD_ANSWERS)
def replay(caller: ReplayQuarantine, body: ReplayBody, database: Database, now: Now) -> ReplayAsked:
    """Have messages of the caller's sites tried again; those that were stored by an earlier replay are left alone."""
    with database.connection() as connection:
        which = _chosen(connection, caller, body)
        asked = quarantine.request_replay(
            connection, now, ids=which.ids, reason=which.reason, address=which.address, sites=which.sites
        )
    return ReplayAsked(asked=asked)


@router.post("/quarantine/dismiss", responses=RECORD_ANSWERS)
def dismiss(caller: DismissQuarantine, body: DismissBody, database: Database, now: Now) -> Dismissed:
    """Remove messages of the caller's sites for good, oldest first, at most 10,000 at once; the audit keeps why."""
    with database.connection() as connection:
        which = _chosen(connection, caller, body)
        gone = quarantine.dismiss(connection, which, person_id=caller.person.id, why=body.why, now=now)
    return Dismissed(dismissed=gone)


def _chosen(connection: Connection, caller: Caller, body: ReplayBody) -> Which:
    """Return which messages are meant; ids that do not exist for the caller are refused as unknown."""
    for message_id in body.ids or ():
        row = quarantine.find(connection, message_id)
        if row is None or not _sees(caller, row):
            raise unknown("message", message_id)
    address = None if body.address is None else stored_address(body.address)
    return Which(body.ids, body.reason, address, caller.site_list())


def _visible_message(connection: Connection, caller: Caller, message_id: int) -> tuple[Quarantined, bytes]:
    row = quarantine.find(connection, message_id)
    payload = quarantine.payload_of(connection, message_id)
    if row is None or payload is None or not _sees(caller, row):
        raise unknown("message", message_id)
    return row, payload


def _reason(count: ReasonCount, explained: ReasonExplained | None, language: Language) -> ReasonShape:
    meaning = remedy = None
    if explained is not None:
        is_chinese = language is Language.ZH
        meaning = explained.meaning_zh if is_chinese else explained.meaning_en
        remedy = explained.remedy_zh if is_chinese else explained.remedy_en
    return ReasonShape(
        reason=count.reason, messages=count.messages, newest_at=count.newest_at, meaning=meaning, remedy=remedy
    )


def _sees(caller: Caller, row: Quarantined) -> bool:
    return caller.sites is None or (row.site is not None and row.site in caller.sites)
