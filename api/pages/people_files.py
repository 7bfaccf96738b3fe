"""Tables of people in the console: looked at before they are imported, whole or not at all (SPEC X6)."""

from __future__ import annotations

from fastapi import APIRouter, Request, UploadFile
from fastapi.responses import HTMLResponse

from api.dependencies import ChangePeople, Database, Now, ReadPeople
from api.dispatch_schemas import PeopleImportReport
from api.i18n import N_
from api.identity import Caller
from api.pages import people_words
from api.pages.access import may
from api.pages.forms import text
from api.pages.register_files import ImportWords, LargeForm, Looked, looked_at
from api.pages.rendering import frame, page, refused_status, shown
from api.permissions import Action
from api.routes import people_import
from domain.refusals import Refused
from storage.people_import import PeopleKind

router = APIRouter()

PEOPLE = ImportWords(
    "people",
    "/people/import",
    N_("Import people"),
    N_("The table is imported."),
    people_words.TABLES,
    exports=False,
)


@router.get("/people/import")
def show_import(request: Request, caller: ReadPeople) -> HTMLResponse:
    """Ask for a table to import, and offer templates."""
    return _import_page(request, caller, Looked(PeopleKind.ENGINEERS))


@router.post("/people/import")
def look_or_import(
    form: LargeForm, request: Request, caller: ChangePeople, database: Database, now: Now
) -> HTMLResponse:
    """Say what a table would do, or import one that was looked at before."""
    asked = text(form, "kind")
    kind = PeopleKind(asked) if asked in set(PeopleKind) else PeopleKind.ENGINEERS

    def read(table: UploadFile, dry_run: bool) -> PeopleImportReport:
        return people_import.import_table(kind, caller, table, database, now, dry_run=dry_run)

    return _import_page(request, caller, *looked_at(form, kind, read))


def _import_page(request: Request, caller: Caller, looked: Looked, refusal: Refused | None = None) -> HTMLResponse:
    framed = frame(request, caller.person, "people", here="/people/import")
    context = {
        "kinds": list(PeopleKind),
        "imported": PEOPLE,
        "looked": looked,
        "may_import": may(caller.person, Action.CHANGE_PEOPLE),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "import.html", context, status=refused_status(refusal))
