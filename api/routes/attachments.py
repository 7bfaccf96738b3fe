"""Photos and operation logs of tickets."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, File, Form, Response, UploadFile

from api.boundary import BASE_PATH
from api.dependencies import Database, Now, ReadTickets, WorkOnTicket
from api.files import checked_file
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, answers
from api.routes.tickets import CodeInPath, visible_ticket
from api.schemas import FileKept
from storage import attachments
from storage.attachments import AttachmentKind

router = APIRouter(prefix=BASE_PATH, tags=["tickets"])


@router.post("/tickets/{code}/attachments", status_code=201, responses={**CHANGE_ANSWERS, **answers(415)})
def add_attachment(
    code: CodeInPath,
    caller: WorkOnTicket,
    file: Annotated[UploadFile, File(description="At most 10 MiB")],
    kind: Annotated[AttachmentKind, Form(description="photo: JPEG, PNG, WebP; log: text, CSV, PDF")],
    database: Database,
    now: Now,
) -> FileKept:
    """Keep a photo or an operation log as evidence; its id is the fact that ``execute`` asks for."""
    checked = checked_file(kind, file.filename, file.file.read())
    with database.connection() as connection:
        visible_ticket(connection, caller, code)
        file_id = attachments.add_file(connection, code, checked, caller.person.id, now)
    return FileKept(id=file_id, media_type=checked.media_type)


@router.get(
    "/attachments/{file_id}",
    response_class=Response,
    responses={
        200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}, "description": "The file"},
        **RECORD_ANSWERS,
    },
)
def read_attachment(file_id: UUID, caller: ReadTickets, database: Database) -> Response:
    """Return a file. Whatever it claims to be, the browser must not run it."""
    with database.connection() as connection:
        file = attachments.file_by_id(connection, file_id)
    if file is None or not caller.sees_ticket(file.site_id, file.requester_id):
        raise unknown("attachment", file_id)
    shown = "inline" if file.kind is AttachmentKind.PHOTO else "attachment"
    return Response(
        file.content,
        media_type=file.media_type,
        headers={
            "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(file.file_name)}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )
