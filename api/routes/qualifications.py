"""What people can and may do, the teams they form, and what may only be done with a certificate (SPEC X1, X6)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangePeople, ChangePolicies, Database, Now, ReadPeople, ReadPolicies
from api.dispatch_schemas import (
    Added,
    AddedRule,
    CertificatesNeeded,
    NewCertificate,
    NewCertificateNeeded,
    QualificationsBody,
    QualificationsShape,
    TeamBody,
    Teams,
)
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.routes.shifts import RecordKey, visible_person, visible_team
from api.schemas import Key
from storage import dispatch_rules, qualifications
from storage.sites import list_sites

router = APIRouter(prefix=BASE_PATH, tags=["people"])

PersonKey = Annotated[Key, Path(description="The person's id")]


@router.get("/people/{person_id}/qualifications", responses=RECORD_ANSWERS)
def read_qualifications(person_id: PersonKey, caller: ReadPeople, database: Database) -> QualificationsShape:
    """Return what a person can and may do."""
    with database.connection() as connection:
        visible_person(connection, caller, person_id)
        return QualificationsShape.model_validate(qualifications.qualifications_of(connection, person_id))


@router.put("/people/{person_id}/qualifications", responses=CHANGE_ANSWERS)
def write_qualifications(
    person_id: PersonKey, caller: ChangePeople, body: QualificationsBody, database: Database
) -> QualificationsShape:
    """Replace a person's skills, brands and site passes; passes into sites that are not the caller's stay."""
    mine = caller.site_list()
    with database.connection() as connection:
        visible_person(connection, caller, person_id)
        for site in body.site_access:
            _refuse_unknown_site(connection, caller, site)
        held = qualifications.qualifications_of(connection, person_id).site_access
        kept = {} if mine is None else {site: until for site, until in held.items() if site not in mine}
        qualifications.set_skills(connection, person_id, body.skills)
        qualifications.set_brands(connection, person_id, body.brands)
        qualifications.set_site_access(connection, person_id, {**kept, **body.site_access})
        return QualificationsShape.model_validate(qualifications.qualifications_of(connection, person_id))


@router.post("/people/{person_id}/certificates", status_code=201, responses=CHANGE_ANSWERS)
def add_certificate(person_id: PersonKey, caller: ChangePeople, body: NewCertificate, database: Database) -> Added:
    """Note a certificate; one of the same name and first day is given its last day anew."""
    with database.connection() as connection:
        visible_person(connection, caller, person_id)
        return Added(
            id=qualifications.add_certificate(connection, person_id, body.name, body.valid_from, body.valid_to)
        )


@router.delete("/people/{person_id}/certificates/{certificate_id}", status_code=204, responses=CHANGE_ANSWERS)
def delete_certificate(
    person_id: PersonKey, certificate_id: RecordKey, caller: ChangePeople, database: Database
) -> None:
    """Take a certificate away."""
    with database.connection() as connection:
        visible_person(connection, caller, person_id)
        if not qualifications.delete_certificate(connection, person_id, certificate_id):
            raise unknown("certificate", certificate_id)


@router.get("/teams", responses=SIGNED_IN_ANSWERS)
def list_teams(caller: ReadPeople, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Teams:
    """Return the teams that work at the caller's sites."""
    with database.connection() as connection:
        rows = qualifications.list_teams(connection, sites=caller.site_list(), after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Teams(items=page, next_cursor=next_cursor)


@router.put("/teams/{team_id}", status_code=204, responses=CHANGE_ANSWERS)
def write_team(team_id: RecordKey, caller: ChangePeople, body: TeamBody, database: Database) -> None:
    """Give a team its site, its lead and the team that takes over."""
    with database.connection() as connection:
        visible_team(connection, caller, team_id)
        if body.site is not None:
            _refuse_unknown_site(connection, caller, body.site)
        if body.lead_id is not None:
            visible_person(connection, caller, body.lead_id)
        if body.backup_team_id is not None:
            visible_team(connection, caller, body.backup_team_id)
        qualifications.set_team(
            connection, team_id, site_id=body.site, lead_id=body.lead_id, backup_team_id=body.backup_team_id
        )


@router.get("/dispatch/certificates", responses=SIGNED_IN_ANSWERS)
def list_certificates_needed(
    caller: ReadPolicies, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> CertificatesNeeded:
    """Return what may only be done with a certificate."""
    with database.connection() as connection:
        rows = qualifications.list_certificates_needed(connection, after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return CertificatesNeeded(items=page, next_cursor=next_cursor)


@router.post("/dispatch/certificates", status_code=201, responses=CHANGE_ANSWERS)
def ask_for_certificate(caller: ChangePolicies, body: NewCertificateNeeded, database: Database, now: Now) -> AddedRule:
    """Ask for a certificate from now on; the answer says whom that leaves, and for what there is nobody."""
    _refuse_some_sites(caller, body.site)
    with database.connection() as connection:
        if body.site is not None:
            _refuse_unknown_site(connection, caller, body.site)
        before = dispatch_rules.lint_in_force(connection, now)
        added = qualifications.ask_for_certificate(
            connection, body.certificate, body.site, body.asset_type, body.failure_mode
        )
        after = dispatch_rules.lint_in_force(connection, now)
    return AddedRule(id=added, warnings=[one.told for one in after if one not in before])


@router.delete("/dispatch/certificates/{rule_id}", status_code=204, responses=CHANGE_ANSWERS)
def ask_no_longer(rule_id: RecordKey, caller: ChangePolicies, database: Database) -> None:
    """Ask for a certificate no longer."""
    with database.connection() as connection:
        rows = qualifications.list_certificates_needed(connection, after=rule_id - 1, limit=1)
        if not rows or rows[0].id != rule_id:
            raise unknown("rule", rule_id)
        _refuse_some_sites(caller, rows[0].site_id)
        qualifications.ask_no_longer(connection, rule_id)


def _refuse_some_sites(caller: Caller, site_id: str | None) -> None:
    if site_id is None:
        caller.require_every_site("the rule holds at every site", "Ask a planner of every site, or name your site.")
    elif not caller.sees(site_id):
        raise unknown("site", site_id)


def _refuse_unknown_site(connection: Connection, caller: Caller, site_id: str) -> None:
    found = {one.id for one in list_sites(connection, sites=[site_id], limit=1)}
    if site_id not in found or not caller.sees(site_id):
        raise unknown("site", site_id)
