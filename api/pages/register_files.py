"""The register as files: tables imported after a look at what they would do, exports, templates, papers of assets."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Request, UploadFile
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from api.boundary import ATTACHMENT_BYTES_LIMIT, UPLOAD_LIMIT
from api.dependencies import ChangeRegister, Database, Now, ReadRegisterFiles
from api.dispatch_schemas import PeopleImportReport
from api.i18n import N_
from api.identity import Caller
from api.pages import words
from api.pages.access import may
from api.pages.assets import AssetId, asset_page
from api.pages.forms import PostedForm, text, uploaded
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.problems import RefusedWith
from api.register_schemas import ImportReport
from api.routes import register_files, register_import
from domain.refusals import Refused
from storage.register_files import RegisterFileKind
from storage.register_import import ImportKind

router = APIRouter()

# A table that was looked at travels in the page, packed, so that it need not be chosen twice; a larger one must be.
CARRIED_MAX = 2 << 20


async def _read_large_form(request: Request) -> FormData:
    return await request.form(max_fields=10, max_files=1, max_part_size=UPLOAD_LIMIT)


LargeForm = Annotated[FormData, Depends(_read_large_form)]


@dataclass(frozen=True, slots=True)
class ImportWords:
    """What the page of imports says for one noun of the API: messages, and where its forms go."""

    noun: str
    address: str
    title: str
    done: str
    tables: Mapping[str, str]
    exports: bool


REGISTER = ImportWords(
    "register",
    "/register/import",
    N_("Import and export"),
    N_("The table is in the register."),
    words.TABLES,
    exports=True,
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look at a table, or of its import: a report, or the errors of its cells."""

    kind: str
    file_name: str = ""
    carried: str = ""
    report: ImportReport | PeopleImportReport | None = None
    errors: Sequence[Mapping[str, object]] = ()
    error_count: int = 0


@router.get("/register/import")
def show_import(request: Request, caller: ReadRegisterFiles) -> HTMLResponse:
    """Ask for a table to import, and offer templates and exports."""
    return _import_page(request, caller, Looked(ImportKind.ASSETS))


@router.post("/register/import")
def look_or_import(
    form: LargeForm, request: Request, caller: ChangeRegister, database: Database, now: Now
) -> HTMLResponse:
    """Say what a table would do, or import one that was looked at before."""
    asked = text(form, "kind")
    kind = ImportKind(asked) if asked in set(ImportKind) else ImportKind.ASSETS

    def read(table: UploadFile, dry_run: bool) -> ImportReport:
        return register_import.import_table(kind, caller, table, database, now, dry_run=dry_run)

    return _import_page(request, caller, *looked_at(form, kind, read))


def looked_at(
    form: FormData, kind: str, read: Callable[[UploadFile, bool], ImportReport | PeopleImportReport]
) -> tuple[Looked, Refused | None]:
    """Look at the table of a form, or import it: ``read`` takes a table, and whether it is only looked at."""
    is_import = text(form, "step") == "import"
    file_name = text(form, "file_name")
    try:
        file = uploaded(form)
        content = _unpacked(text(form, "carried")) if file is None else file.file.read()
        file_name = file_name if file is None else (file.filename or "")[:120]
        report = read(UploadFile(io.BytesIO(content), filename=file_name), not is_import)
    except RefusedWith as refusal:
        errors = cast(Sequence[Mapping[str, object]], refusal.members.get("errors", ()))
        count = cast(int, refusal.members.get("error_count", 0))
        return Looked(kind, file_name, errors=errors, error_count=count), refusal
    except Refused as refusal:
        return Looked(kind, file_name), refusal
    return Looked(kind, file_name, "" if is_import else _packed(content), report), None


@router.post("/assets/{asset_id}/files")
def add_file(
    asset_id: AssetId, form: PostedForm, request: Request, caller: ChangeRegister, database: Database, now: Now
) -> Response:
    """Keep a contract or a manual for an asset."""
    try:
        file = uploaded(form)
        if file is None:
            raise Refused("invalid_request", expected="a file", got="none", remedy="Choose a file.")
        asked = text(form, "kind")
        kind = RegisterFileKind(asked) if asked in set(RegisterFileKind) else RegisterFileKind.MANUAL
        register_files.add_file(asset_id, caller, UploadFile(file.file, filename=file.filename), kind, database, now)
    except Refused as refusal:
        return asset_page(request, caller, database, asset_id, refusal=refusal)
    return RedirectResponse(f"/assets/{asset_id}#files", status_code=303)


@router.post("/assets/{asset_id}/files/{file_id}/remove")
def remove_file(asset_id: AssetId, file_id: UUID, caller: ChangeRegister, database: Database, now: Now) -> Response:
    """Remove a file; the changes of the asset keep that it was there."""
    register_files.remove_file(file_id, caller, database, now)
    return RedirectResponse(f"/assets/{asset_id}#files", status_code=303)


def _import_page(request: Request, caller: Caller, looked: Looked, refusal: Refused | None = None) -> HTMLResponse:
    framed = frame(request, caller.person, "assets", here="/register/import")
    context = {
        "kinds": list(ImportKind),
        "imported": REGISTER,
        "looked": looked,
        "may_import": may(caller.person, Action.CHANGE_REGISTER),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "import.html", context, status=refused_status(refusal))


def _packed(content: bytes) -> str:
    carried = base64.b64encode(zlib.compress(content)).decode("ascii")
    return carried if len(carried) <= CARRIED_MAX else ""


def _unpacked(carried: str) -> bytes:
    """Return the table that travelled in the page; nothing, or something else, is refused."""
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(carried, validate=True), ATTACHMENT_BYTES_LIMIT + 1)
    except (binascii.Error, zlib.error, ValueError):
        content = b""
    if not content:
        raise Refused("invalid_request", expected="a table", got="none", remedy="Choose a CSV or XLSX file.")
    return content
