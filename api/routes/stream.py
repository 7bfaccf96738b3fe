"""The live event stream: the one asynchronous route."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.boundary import BASE_PATH
from api.dependencies import Listen
from api.routes.answers import SIGNED_IN_ANSWERS
from api.stream import Broadcast

router = APIRouter(prefix=BASE_PATH, tags=["stream"])


@router.get("/stream", response_class=EventSourceResponse, responses=SIGNED_IN_ANSWERS)
async def follow(caller: Listen, request: Request) -> AsyncIterator[ServerSentEvent]:
    """Follow what changes at the caller's sites: the event is the noun, its data the announcement's JSON.

    An event ``resync`` (always the first one) says: read everything again. The stream ends after ten minutes and the
    browser opens it anew; a comment every 15 seconds keeps it alive in between.
    """
    broadcast = cast(Broadcast, request.app.state.broadcast)
    async for announcement in broadcast.follow(caller.sites):
        yield ServerSentEvent(event=announcement.noun, raw_data=announcement.body)
