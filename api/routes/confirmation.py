"""The requester's confirmation: no sign-in, the secret of the link is the credential (SPEC C2)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.boundary import BASE_PATH
from api.dependencies import Database, Now
from api.routes.answers import OPEN_ANSWERS, answers
from api.ticket_schemas import AnswerBody, AnswerTaken, ConfirmationShape
from storage.casework import answer_link
from storage.closures import open_link

router = APIRouter(prefix=BASE_PATH, tags=["confirmation"])

Secret = Annotated[str, Path(max_length=128, description="The secret of the link")]


@router.get("/confirm/{secret}", responses={**OPEN_ANSWERS, **answers(404, 410)})
def read_link(secret: Secret, database: Database, now: Now) -> ConfirmationShape:
    """Return what the link is about. Changes nothing: mail scanners open links too."""
    with database.connection() as connection:
        return ConfirmationShape.model_validate(open_link(connection, secret, now))


@router.post("/confirm/{secret}", responses={**OPEN_ANSWERS, **answers(404, 409, 410)})
def answer(secret: Secret, body: AnswerBody, database: Database, now: Now) -> AnswerTaken:
    """Take the requester's two answers and use the link up. "Not solved" needs the cause and reopens the work."""
    with database.connection() as connection:
        code = answer_link(connection, secret, body.solved, body.satisfied, body.cause, body.comment, now)
    return AnswerTaken(code=code)
