"""What people can and may do: skills, certificates, brands, site passes, and the teams they form (SPEC X1, X6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage import people
from storage.queries import load

QUERIES = load("qualifications")


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate as it is kept; ``valid_to`` is the last day, None: for ever."""

    id: int
    name: str
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Qualifications:
    """What one person can and may do. Empty brands or site passes narrow nothing."""

    team_id: int | None
    team: str | None
    skills: dict[str, int]
    brands: list[str]
    site_access: dict[str, date | None]
    certificates: list[CertificateRow]


@dataclass(frozen=True, slots=True)
class CertificateNeeded:
    """What may only be done with a certificate: at a site, on a type of asset, for one of its failure modes."""

    id: int
    certificate: str
    site_id: str | None
    asset_type_id: str | None
    failure_mode: str | None


@dataclass(frozen=True, slots=True)
class Team:
    """A team; ``site_id`` None: it works at every site."""

    id: int
    name: str
    site_id: str | None
    lead_id: int | None
    lead_name: str | None
    backup_team_id: int | None
    backup_team: str | None
    members: int


def qualifications_of(connection: Connection, person_id: int) -> Qualifications:
    """Return what a person can and may do; the person must exist."""
    row = connection.execute(QUERIES["qualifications"], {"person_id": person_id}).fetchone()
    if row is None:
        raise Refused("unknown_record", expected="a person", got=str(person_id), remedy="Check the id.")
    with connection.cursor(row_factory=class_row(CertificateRow)) as cursor:
        certificates = cursor.execute(QUERIES["certificates"], {"person_id": person_id}).fetchall()
    team_id, team, skills, brands, access = row
    passes = {site: None if day is None else date.fromisoformat(day) for site, day in access.items()}
    return Qualifications(team_id, team, skills, brands, passes, certificates)


def set_skills(connection: Connection, person_id: int, skills: Mapping[str, int]) -> None:
    """Replace a person's skills, each with its level 1 to 5."""
    connection.execute(QUERIES["forget_skills"], {"person_id": person_id})
    for skill, level in skills.items():
        connection.execute(people.QUERIES["insert_skill"], {"person_id": person_id, "skill": skill, "level": level})


def set_brands(connection: Connection, person_id: int, brands: Sequence[str]) -> None:
    """Replace the brands a person works on; none: every brand."""
    connection.execute(QUERIES["forget_brands"], {"person_id": person_id})
    for brand in brands:
        connection.execute(QUERIES["insert_brand"], {"person_id": person_id, "brand": brand})


def set_site_access(connection: Connection, person_id: int, access: Mapping[str, date | None]) -> None:
    """Replace a person's site passes, each to its last day; none: every site of their role."""
    connection.execute(QUERIES["forget_site_access"], {"person_id": person_id})
    for site_id, valid_to in access.items():
        said = {"person_id": person_id, "site_id": site_id, "valid_to": valid_to}
        connection.execute(QUERIES["insert_site_access"], said)


def add_certificate(connection: Connection, person_id: int, name: str, valid_from: date, valid_to: date | None) -> int:
    """Note a certificate and return its id; one of that name and first day gets the new last day."""
    if valid_to is not None and valid_to < valid_from:
        raise Refused(
            "invalid_request",
            expected=f"a last day from {valid_from} on",
            got=str(valid_to),
            remedy="Correct the days.",
        )
    said = {"person_id": person_id, "name": name, "valid_from": valid_from, "valid_to": valid_to}
    row = connection.execute(QUERIES["insert_certificate"], said).fetchone()
    assert row is not None
    return int(row[0])


def delete_certificate(connection: Connection, person_id: int, certificate_id: int) -> bool:
    """Take a certificate away; False when the person has none of this id."""
    asked = {"person_id": person_id, "id": certificate_id}
    return connection.execute(QUERIES["delete_certificate"], asked).fetchone() is not None


def list_certificates_needed(connection: Connection, *, after: int = 0, limit: int = 50) -> list[CertificateNeeded]:
    """Return what may only be done with a certificate, in the order of ids."""
    with connection.cursor(row_factory=class_row(CertificateNeeded)) as cursor:
        return cursor.execute(QUERIES["certificates_needed"], {"after": after, "limit": limit}).fetchall()


def ask_for_certificate(
    connection: Connection, certificate: str, site_id: str | None, asset_type_id: str | None, failure_mode: str | None
) -> int:
    """Ask for a certificate from now on and return the rule's id. A failure mode is one of its type of asset."""
    said = {
        "certificate": certificate,
        "site_id": site_id,
        "asset_type_id": asset_type_id,
        "failure_mode": failure_mode,
    }
    if site_id is None and asset_type_id is None:
        raise _invalid("a site, a type of asset, or both", "neither")
    if failure_mode is not None and connection.execute(QUERIES["has_failure_mode"], said).fetchone() is None:
        raise _invalid(f"a failure mode of the type {asset_type_id}", failure_mode)
    row = connection.execute(QUERIES["insert_certificate_needed"], said).fetchone()
    if row is None:
        raise Refused(
            "duplicate_record",
            expected="a rule that is not there yet",
            got=f"'{certificate}' asked for the same work already",
            remedy="Nothing needs to be done.",
        )
    return int(row[0])


def ask_no_longer(connection: Connection, rule_id: int) -> bool:
    """Ask for a certificate no longer; False when there is no such rule."""
    return connection.execute(QUERIES["delete_certificate_needed"], {"id": rule_id}).fetchone() is not None


def list_teams(connection: Connection, *, sites: Sequence[str] | None, after: int = 0, limit: int = 50) -> list[Team]:
    """Return teams that work at these sites (None: all)."""
    asked = {"sites": None if sites is None else list(sites), "after": after, "limit": limit}
    with connection.cursor(row_factory=class_row(Team)) as cursor:
        return cursor.execute(QUERIES["teams"], asked).fetchall()


def set_team(
    connection: Connection, team_id: int, *, site_id: str | None, lead_id: int | None, backup_team_id: int | None
) -> bool:
    """Give a team its site, its lead and the team that takes over; False when there is no such team."""
    if backup_team_id == team_id:
        raise _invalid("another team to take over", "the team itself")
    said = {"id": team_id, "site_id": site_id, "lead_id": lead_id, "backup_team_id": backup_team_id}
    return connection.execute(QUERIES["update_team"], said).fetchone() is not None


def _invalid(expected: str, got: str) -> Refused:
    return Refused("invalid_request", expected=expected, got=got, remedy="Correct the request.")
