"""Contracts and manuals of assets, with the same care as evidence: looked into, bounded, never run by a browser."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, File, Form, Response, UploadFile
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeRegister, Database, Now, ReadRegisterFiles
from api.files import checked_paper
from api.identity import Caller
from api.problems import unknown
from api.register_schemas import RegisterFiles
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, answers
from api.routes.assets import AssetKey, visible_asset
from storage import audit, register_files
from storage.register_files import NewRegisterFile, RegisterFile, RegisterFileKind, RegisterFileRow

router = APIRouter(prefix=BASE_PATH, tags=["register"])


@router.get("/assets/{asset_id}/files", responses=RECORD_ANSWERS)
def list_files(asset_id: AssetKey, caller: ReadRegisterFiles, database: Database) -> RegisterFiles:
    """Return the contracts and manuals of an asset."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        return RegisterFiles(items=register_files.files_of_asset(connection, asset_id))


@router.post("/assets/{asset_id}/files", status_code=201, responses={**CHANGE_ANSWERS, **answers(415)})
def add_file(
    asset_id: AssetKey,
    caller: ChangeRegister,
    file: Annotated[UploadFile, File(description="At most 10 MiB: PDF, JPEG, PNG, WebP, text, CSV")],
    kind: Annotated[RegisterFileKind, Form()],
    database: Database,
    now: Now,
) -> RegisterFileRow:
    """Keep a contract or a manual for an asset."""
    content = file.file.read()
    name, media_type = checked_paper(file.filename, content)
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        audit.act_as(connection, caller.person.id, now)
        paper = NewRegisterFile(kind, name, media_type, content)
        return register_files.add_file(connection, asset_id, paper, caller.person.id, now)


@router.get(
    "/register-files/{file_id}",
    response_class=Response,
    responses={
        200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}, "description": "The file"},
        **RECORD_ANSWERS,
    },
)
def read_file(file_id: UUID, caller: ReadRegisterFiles, database: Database) -> Response:
    """Return a file, to be saved and not shown: whatever it claims to be, the browser must not run it."""
    with database.connection() as connection:
        file = _visible_file(connection, caller, file_id)
    return Response(
        file.content,
        media_type=file.media_type,
        headers={
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.file_name)}",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )


@router.delete("/register-files/{file_id}", status_code=204, responses=CHANGE_ANSWERS)
def remove_file(file_id: UUID, caller: ChangeRegister, database: Database, now: Now) -> None:
    """Remove a file; that it was there, and who removed it, stays among the changes of the asset."""
    with database.connection() as connection:
        _visible_file(connection, caller, file_id)
        audit.act_as(connection, caller.person.id, now)
        register_files.remove_file(connection, file_id)


def _visible_file(connection: Connection, caller: Caller, file_id: UUID) -> RegisterFile:
    file = register_files.file_by_id(connection, file_id)
    if file is None or not caller.sees(file.site_id):
        raise unknown("file", file_id)
    return file
