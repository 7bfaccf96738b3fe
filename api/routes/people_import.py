"""Tables of people: engineers, skills, certificates and shifts from CSV and XLSX, whole or not at all (SPEC X6)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.boundary import BASE_PATH
from api.dependencies import ChangePeople, Database, LanguageAsked, Now, ReadPeople
from api.dispatch_schemas import PeopleImportReport
from api.people_tables import PEOPLE_COLUMNS, people_template
from api.register_tables import plain_title, rows_of, titles_of
from api.routes.answers import CHANGE_ANSWERS, SIGNED_IN_ANSWERS, answers
from api.routes.register_import import FILE, DryRun, TableFile, TableFormat, as_table, content_of, with_errors
from api.spreadsheets import read_table
from storage import audit
from storage.importing import Errors
from storage.people_import import PeopleKind, import_people

router = APIRouter(prefix=BASE_PATH, tags=["people"])

Kind = Annotated[PeopleKind, Query(description="What the table holds")]


@router.post("/people/import", responses={**CHANGE_ANSWERS, **answers(415)})
def import_table(
    kind: Kind,
    caller: ChangePeople,
    file: TableFile,
    database: Database,
    now: Now,
    dry_run: DryRun = False,
) -> PeopleImportReport:
    """Write a whole table of people, or nothing: with any error the answer lists a thousand of them."""
    columns = PEOPLE_COLUMNS[kind]
    table = read_table(content_of(file), lambda title: plain_title(title) in titles_of(columns))
    errors = Errors()
    rows = rows_of(columns, table, errors)
    with database.connection() as connection, connection.transaction(force_rollback=dry_run):
        audit.act_as(connection, caller.person.id, now)
        done = import_people(connection, kind, rows, errors, sites=caller.sites, now=now)
    if done is None or errors.count:
        raise with_errors(errors)
    return PeopleImportReport(
        kind=kind,
        dry_run=dry_run,
        rows=len(rows),
        created=done.created,
        changed=done.changed,
        unchanged=done.unchanged,
    )


@router.get("/people/template", response_class=Response, responses={**FILE, **SIGNED_IN_ANSWERS})
def read_template(
    kind: Kind,
    caller: ReadPeople,
    language: LanguageAsked,
    written: Annotated[TableFormat, Query(alias="format")] = TableFormat.XLSX,
) -> Response:
    """Return a table of people to fill in: the header, a row of notes that an import skips, and an example."""
    return as_table(*people_template(kind, language), f"{kind}-template", str(kind), written)
