"""The register as tables: import from CSV and XLSX with an error for every cell, export, and templates (SPEC E1)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, File, Query, Response, UploadFile

from api.boundary import ATTACHMENT_BYTES_LIMIT, BASE_PATH
from api.dependencies import ChangeRegister, Database, LanguageAsked, Now, ReadRegisterFiles
from api.problems import RefusedWith, unknown
from api.register_schemas import ImportReport
from api.register_tables import exported, names_of, plain_title, read_rows, template
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS, answers
from api.spreadsheets import ROWS_MAX, Cell, csv_bytes, read_table, xlsx_bytes
from domain.refusals import Refused
from storage import audit
from storage.importing import Errors
from storage.register_import import ImportKind, export_rows, import_rows

router = APIRouter(prefix=BASE_PATH, tags=["register"])


class TableFormat(StrEnum):
    """How a table is written."""

    CSV = "csv"
    XLSX = "xlsx"


_MEDIA_TYPES = {
    TableFormat.CSV: "text/csv; charset=utf-8",
    TableFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
FILE: dict[int | str, dict[str, object]] = {
    200: {
        "content": {
            media_type.split(";")[0]: {"schema": {"type": "string", "format": "binary"}}
            for media_type in _MEDIA_TYPES.values()
        },
        "description": "The table",
    }
}
Kind = Annotated[ImportKind, Query(description="What the table holds")]
TableFile = Annotated[UploadFile, File(description="CSV or XLSX, at most 10 MiB and 50,000 rows")]
DryRun = Annotated[bool, Query(description="Answer as if it were done, and change nothing")]
Format = Annotated[TableFormat, Query(alias="format")]


@router.post("/register/import", responses={**CHANGE_ANSWERS, **answers(415)})
def import_table(
    kind: Kind,
    caller: ChangeRegister,
    file: TableFile,
    database: Database,
    now: Now,
    dry_run: DryRun = False,
) -> ImportReport:
    """Write a whole table into the register, or nothing: with any error the answer lists a thousand of them.

    Records are known by their natural names. A column that the file does not have stays as it is; an empty cell clears
    what is there.
    """
    table = read_table(content_of(file), lambda title: plain_title(title) in names_of(kind))
    errors = Errors()
    rows = read_rows(kind, table, errors)
    with database.connection() as connection, connection.transaction(force_rollback=dry_run):
        audit.act_as(connection, caller.person.id, now)
        done = import_rows(connection, kind, rows, errors, sites=caller.sites, now=now)
    if done is None:
        raise with_errors(errors)
    return ImportReport(
        kind=kind,
        dry_run=dry_run,
        rows=len(rows),
        created=done.created,
        changed=done.changed,
        unchanged=done.unchanged,
        changes=list(done.changes),
    )


@router.get("/register/template", response_class=Response, responses={**FILE, **SIGNED_IN_ANSWERS})
def read_template(
    kind: Kind, caller: ReadRegisterFiles, language: LanguageAsked, written: Format = TableFormat.XLSX
) -> Response:
    """Return a table to fill in: the header, a row of notes that an import skips, and an example to replace."""
    return as_table(*template(kind, language), f"{kind}-template", str(kind), written)


@router.get("/register/export", response_class=Response, responses={**FILE, **RECORD_ANSWERS})
def export_table(
    kind: Kind,
    caller: ReadRegisterFiles,
    database: Database,
    language: LanguageAsked,
    site: Annotated[str | None, Query(max_length=64, description="Only this site's")] = None,
    written: Format = TableFormat.CSV,
) -> Response:
    """Return the register as a table that an import takes back and changes nothing."""
    if site is not None and not caller.sees(site):
        raise unknown("site", site)
    with database.connection() as connection:
        records = export_rows(connection, kind, caller.sites, site)
    if len(records) > ROWS_MAX:
        raise Refused(
            "request_too_large",
            expected=f"at most {ROWS_MAX} rows, which an import takes back",
            got=f"{len(records)}",
            remedy="Export one site at a time.",
        )
    return as_table(*exported(kind, records, language), str(kind), str(kind), written)


def content_of(file: UploadFile) -> bytes:
    """Return an uploaded table's bytes; refused when it is empty or too large."""
    content = file.file.read()
    if not 0 < len(content) <= ATTACHMENT_BYTES_LIMIT:
        raise Refused(
            "request_too_large" if content else "invalid_request",
            expected=f"a table of 1 to {ATTACHMENT_BYTES_LIMIT} bytes",
            got=f"{len(content)} bytes",
            remedy="Split the table into several files." if content else "Choose a file.",
        )
    return content


def as_table(header: list[str], rows: list[list[Cell]], name: str, sheet: str, written: TableFormat) -> Response:
    """Return a table as a file of this name to save."""
    content = csv_bytes(header, rows) if written is TableFormat.CSV else xlsx_bytes(header, rows, sheet)
    return Response(
        content,
        media_type=_MEDIA_TYPES[written],
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{name}.{written}')}"},
    )


def with_errors(errors: Errors) -> Refused:
    """Return the refusal of a table that has errors, with each of them for machines."""
    first = errors.shown[0]
    return RefusedWith(
        Refused(
            "invalid_import",
            expected="a table without errors",
            got=f"{errors.count} errors, the first in row {first.row}: {first.got} where {first.expected} was expected",
            remedy="Correct what 'errors' lists and import the table again.",
        ),
        members={
            "error_count": errors.count,
            "errors": [
                {
                    "at": f"row {one.row}" + (f", {one.column}" if one.column else ""),
                    "row": one.row,
                    "column": one.column,
                    "got": one.got,
                    "expected": one.expected,
                }
                for one in errors.shown
            ],
        },
    )
