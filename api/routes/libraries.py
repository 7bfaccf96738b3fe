"""Failure-mode libraries: an asset type's modes, parts and rules as one TOML file, out and in (SPEC P1)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Query, Response

from api.boundary import BASE_PATH
from api.dependencies import ChangeRules, Database, Now, ReadDetection
from api.library_schemas import LibraryImported
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS
from detectors.library import parse_library
from detectors.library_text import library_as_text
from domain.refusals import Refused
from storage.library_import import export_library, import_library

router = APIRouter(prefix=BASE_PATH, tags=["detection"])

TOML = "application/toml"
AssetType = Annotated[str, Path(pattern=r"^[a-z0-9_-]{1,64}$", description="The id of the asset type")]
_FILE: dict[int | str, dict[str, object]] = {
    200: {"content": {TOML: {"schema": {"type": "string"}}}, "description": "The library"}
}


@router.get("/failure-mode-libraries/{asset_type}", responses={**RECORD_ANSWERS, **_FILE}, response_class=Response)
def export(asset_type: AssetType, caller: ReadDetection, database: Database) -> Response:
    """Return the library of an asset type as TOML: its failure modes, parts, signatures and the rules in force."""
    with database.connection() as connection:
        library = export_library(connection, asset_type)
    name = f'attachment; filename="{asset_type}.toml"'
    return Response(library_as_text(library), media_type=TOML, headers={"Content-Disposition": name})


@router.put("/failure-mode-libraries/{asset_type}", responses=CHANGE_ANSWERS)
def replace(
    asset_type: AssetType,
    caller: ChangeRules,
    body: Annotated[bytes, Body(media_type="text/plain", description="The library as TOML, UTF-8")],
    database: Database,
    now: Now,
    dry_run: Annotated[bool, Query(description="Answer as if it were done, and change nothing")] = False,
) -> LibraryImported:
    """Make this library the one in force, whole or not at all, and tell what that changed.

    Modes that it leaves out are retired, rules that it leaves out are switched off; a rule gets a new version only
    where it differs.
    """
    caller.require_every_site("a library is for the machines of every site", "Ask a planner of every site.")
    library = parse_library(_text(body))
    if library.asset_type != asset_type:
        raise Refused(
            "invalid_library",
            expected=f"the asset type '{asset_type}' of the address in [asset_type]",
            got=repr(library.asset_type),
            remedy="Correct the address or the file.",
        )
    with database.connection() as connection, connection.transaction(force_rollback=dry_run):
        changes = import_library(connection, library, now)
    return LibraryImported(asset_type=asset_type, dry_run=dry_run, changes=changes)


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(
            "invalid_library",
            expected="a TOML document in UTF-8",
            got=f"a byte at {error.start} that is not",
            remedy="Save the file as UTF-8.",
        ) from error
