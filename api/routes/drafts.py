"""Drafts of long forms: each person's own (SPEC T10)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.boundary import BASE_PATH
from api.dependencies import Database, Now, UseOwnAccount
from api.intake_schemas import DraftBody, Drafts, DraftShape
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from storage import drafts

router = APIRouter(prefix=BASE_PATH, tags=["drafts"])

FormInPath = Annotated[str, Path(pattern=r"^[a-z0-9_.-]{1,64}$", description="The form's name, such as report")]


@router.get("/me/drafts", responses=SIGNED_IN_ANSWERS)
def list_drafts(caller: UseOwnAccount, database: Database, now: Now) -> Drafts:
    """Return the caller's drafts, newest first; the policy says how long they are kept."""
    with database.connection() as connection:
        rows = drafts.list_drafts(connection, caller.person.id, now)
    return Drafts(items=[DraftShape.model_validate(row) for row in rows], next_cursor=None)


@router.get("/me/drafts/{form}", responses=RECORD_ANSWERS)
def read_draft(form: FormInPath, caller: UseOwnAccount, database: Database, now: Now) -> DraftShape:
    """Return one draft."""
    with database.connection() as connection:
        found = drafts.list_drafts(connection, caller.person.id, now, form=form)
    if not found:
        raise unknown("draft", form)
    return DraftShape.model_validate(found[0])


@router.put("/me/drafts/{form}", responses=CHANGE_ANSWERS)
def save_draft(form: FormInPath, caller: UseOwnAccount, body: DraftBody, database: Database, now: Now) -> DraftShape:
    """Save a draft; with the version that was read it does not overwrite what another window saved since."""
    with database.connection() as connection:
        saved = drafts.save_draft(connection, caller.person.id, form, body.body, now, body.version)
    return DraftShape.model_validate(saved)


@router.delete("/me/drafts/{form}", status_code=204, responses=CHANGE_ANSWERS)
def delete_draft(form: FormInPath, caller: UseOwnAccount, database: Database) -> None:
    """Delete a draft."""
    with database.connection() as connection:
        if not drafts.delete_draft(connection, caller.person.id, form):
            raise unknown("draft", form)
