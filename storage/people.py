"""People, the roles they hold, and the credentials they come in with. Only hashes of secrets are stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache

from psycopg import Connection
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from domain.refusals import Refused
from storage.queries import load
from storage.sites import check_version
from ticketing.actors import Role, RoleHeld

QUERIES = load("people")

SECRET_PREFIX = "ws_"
ATTEMPTS_LIMIT = 5
ATTEMPTS_WINDOW = timedelta(minutes=15)
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 256


class CredentialKind(StrEnum):
    """A bearer token of a machine or script, or the session of a signed-in browser."""

    TOKEN = "token"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may come in, with the roles granted."""

    id: int
    login: str
    name: str
    language: str
    roles: tuple[RoleHeld, ...]


class RequesterTier(StrEnum):
    """Whose reports go first and sooner (SPEC S1, S2)."""

    STANDARD = "standard"
    VIP = "vip"


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What may be changed of a person, beside the roles; ``team`` None: of no team."""

    name: str
    language: str
    team: str | None
    latitude: float | None
    longitude: float | None
    load_limit: int
    on_duty: bool
    active: bool
    requester_tier: RequesterTier


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as the register has them; ``skills`` maps a skill to its level 1 to 5."""

    person: Person
    facts: PersonFacts
    skills: Mapping[str, int]
    version: int


@cache
def _hasher() -> PasswordHash:
    return PasswordHash((Argon2Hasher(),))


@cache
def _nobodys_hash() -> str:
    """Return a hash that no password matches, so that an unknown login costs the same time as a wrong password."""
    return _hasher().hash(secrets.token_urlsafe(32))


def hash_password(password: str) -> str:
    """Return the argon2id hash of ``password``; takes most of a second, so never inside a transaction."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise Refused(
            "invalid_request",
            expected=f"a password of {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters",
            got=f"{len(password)} characters",
            remedy="Choose another password.",
        )
    return _hasher().hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """Tell whether ``password`` is the hashed one; as slow as hashing, also when there is no hash."""
    if password_hash is None:
        _hasher().verify(password, _nobodys_hash())
        return False
    return _hasher().verify(password, password_hash)


def set_password(
    connection: Connection, person_id: int, password_hash: str, now: datetime, by: int | None = None
) -> None:
    """Replace the password (hash it before, with ``hash_password``) and end the person's browser sessions.

    The audit notes that it was replaced and ``by`` whom.
    """
    said = {"person_id": person_id, "password_hash": password_hash, "by": by, "now": now}
    connection.execute(QUERIES["set_password"], said)
    connection.execute(QUERIES["end_sessions"], {"person_id": person_id, "now": now})


def create_person(
    connection: Connection,
    *,
    login: str,
    name: str,
    now: datetime,
    roles: Sequence[RoleHeld],
    language: str = "en",
    password_hash: str | None = None,
    skills: Mapping[str, int] | None = None,
    team: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
    load_limit: int = 3,
    on_duty: bool = True,
    requester_tier: RequesterTier = RequesterTier.STANDARD,
) -> int:
    """Add a person and return the id; a login that is taken is refused as ``duplicate_record``."""
    facts = PersonFacts(
        name, language, team, latitude, longitude, load_limit, on_duty, active=True, requester_tier=requester_tier
    )
    known = {"login": login, "password_hash": password_hash, "now": now}
    row = connection.execute(QUERIES["insert_person"], {**_columns(connection, facts), **known}).fetchone()
    if row is None:
        raise Refused(
            "duplicate_record",
            expected="a login nobody has",
            got=f"'{login}'",
            remedy="Choose another login, or use the person who has it.",
        )
    person_id: int = row[0]
    for held in roles:
        connection.execute(QUERIES["insert_role"], _grant(person_id, held))
    for skill, level in (skills or {}).items():
        connection.execute(QUERIES["insert_skill"], {"person_id": person_id, "skill": skill, "level": level})
    return person_id


def hold_person(connection: Connection, person_id: int) -> None:
    """Let nobody else change people until the transaction ends: who is the last administrator concerns them all."""
    connection.execute(QUERIES["hold_people"])
    connection.execute(QUERIES["hold_person"], {"person_id": person_id})


def change_person(
    connection: Connection,
    present: PersonRow,
    facts: PersonFacts,
    roles: Sequence[RoleHeld],
    version: int,
    now: datetime,
) -> None:
    """Give a person, held and read by the caller, these facts and roles.

    Who is not active any more is signed out everywhere, tokens included. ``version`` is the one that the caller's
    client has read; the last active administrator of every site is refused as ``record_in_use`` to be no more.
    """
    check_version("person", version, present.version)
    person_id, held, wanted = present.person.id, set(present.person.roles), set(roles)
    connection.execute(QUERIES["update_person"], {"person_id": person_id, **_columns(connection, facts)})
    for one in held - wanted:
        connection.execute(QUERIES["delete_role"], _grant(person_id, one))
    for one in wanted - held:
        connection.execute(QUERIES["insert_role"], _grant(person_id, one))
    if present.facts.active and not facts.active:
        connection.execute(QUERIES["end_credentials"], {"person_id": person_id, "now": now})
    if _is_administrator(present.facts, held) and not _is_administrator(facts, wanted):
        _refuse_nobody_left(connection, present.person.login)


def set_on_duty(connection: Connection, person_id: int, on_duty: bool) -> None:
    """Note that somebody's shift begins or ends: who is off duty is not dispatched to."""
    connection.execute(QUERIES["set_on_duty"], {"person_id": person_id, "on_duty": on_duty})


def issue_token(
    connection: Connection, person_id: int, name: str, now: datetime, expires_at: datetime | None = None
) -> str:
    """Make a bearer token for a person and return its secret, which is shown this once and never stored."""
    return _issue(connection, person_id, CredentialKind.TOKEN, name, now, expires_at)


def issue_session(connection: Connection, person_id: int, now: datetime, expires_at: datetime) -> str:
    """Open a browser session and return the secret for its cookie."""
    return _issue(connection, person_id, CredentialKind.SESSION, "browser", now, expires_at)


def revoke_credential(connection: Connection, secret: str, now: datetime) -> None:
    """End the token or session of this secret, if there is one."""
    connection.execute(QUERIES["revoke_credential"], {"secret_hash": _digest(secret), "now": now})


def person_by_credential(connection: Connection, secret: str, now: datetime) -> Person | None:
    """Return who holds the credential, or None when it is unknown, revoked, expired or its person inactive."""
    row = connection.execute(QUERIES["person_by_credential"], {"secret_hash": _digest(secret), "now": now}).fetchone()
    if row is None:
        return None
    person_id, login, name, language, _kind, roles, sites = row
    return Person(person_id, login, name, language, _roles(roles, sites))


def person_by_id(connection: Connection, person_id: int) -> Person | None:
    """Return the person of this id, or None."""
    row = connection.execute(QUERIES["person_by_id"], {"person_id": person_id}).fetchone()
    if row is None:
        return None
    identity, login, name, language, roles, sites = row
    return Person(identity, login, name, language, _roles(roles, sites))


def password_of_login(connection: Connection, login: str) -> tuple[int, str | None] | None:
    """Return (person id, password hash) of an active login, or None."""
    row = connection.execute(QUERIES["password_of_login"], {"login": login}).fetchone()
    return None if row is None else (row[0], row[1])


def refuse_when_guessing(connection: Connection, login: str, address: str, now: datetime) -> None:
    """Refuse as ``too_many_attempts`` after five failures of a login from one address within 15 minutes."""
    asked = {"login": login, "address": address, "since": now - ATTEMPTS_WINDOW}
    row = connection.execute(QUERIES["count_sign_in_failures"], asked).fetchone()
    if row is not None and row[0] >= ATTEMPTS_LIMIT:
        wait_s = max(1, int((row[1] + ATTEMPTS_WINDOW - now).total_seconds()))
        raise Refused(
            "too_many_attempts",
            expected=f"at most {ATTEMPTS_LIMIT} failed attempts within {ATTEMPTS_WINDOW}",
            got=f"{row[0]}",
            remedy=f"Wait {wait_s} seconds.",
        )


def note_sign_in_failure(connection: Connection, login: str, address: str, now: datetime) -> None:
    """Count a failed sign-in against the login and the address it came from."""
    connection.execute(QUERIES["insert_sign_in_failure"], {"login": login, "address": address, "now": now})


def forget_sign_in_failures(connection: Connection, login: str, address: str, now: datetime) -> None:
    """Start counting anew after a success; failures older than the window go too."""
    since = now - ATTEMPTS_WINDOW
    connection.execute(QUERIES["delete_sign_in_failures"], {"login": login, "address": address, "since": since})


def list_people(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    login: str | None = None,
    role: Role | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[PersonRow]:
    """Return people with ids above ``after``; ``sites`` limits them to those with a role there (None: everybody)."""
    asked = {
        "sites": None if sites is None else list(sites),
        "login": login,
        "role": role,
        "after": after,
        "limit": limit,
    }
    people = []
    for row in connection.execute(QUERIES["people"], asked):
        identity, login_found, name, language, team, latitude, longitude, load_limit, on_duty, active = row[:10]
        tier, version, roles, role_sites, skills, levels = row[10:]
        person = Person(identity, login_found, name, language, _roles(roles, role_sites))
        facts = PersonFacts(name, language, team, latitude, longitude, load_limit, on_duty, active, RequesterTier(tier))
        people.append(PersonRow(person, facts, dict(zip(skills, levels, strict=True)), version))
    return people


def _columns(connection: Connection, facts: PersonFacts) -> dict[str, object]:
    """Return the facts as the table has them; a team that is new is made, and half a home place is refused."""
    if (facts.latitude is None) != (facts.longitude is None):
        raise Refused(
            "invalid_request",
            expected="both latitude and longitude, or neither",
            got="one of them",
            remedy="Send the other one too, or take both away.",
        )
    team_id: int | None = None
    if facts.team is not None:
        row = connection.execute(QUERIES["ensure_team"], {"name": facts.team}).fetchone()
        team_id = row[0] if row else None
    return {**asdict(facts), "team_id": team_id}


def _grant(person_id: int, held: RoleHeld) -> dict[str, object]:
    return {"person_id": person_id, "role": held.role.value, "site_id": held.site_id}


def _is_administrator(facts: PersonFacts, roles: Collection[RoleHeld]) -> bool:
    return facts.active and RoleHeld(Role.ADMIN, None) in roles


def _refuse_nobody_left(connection: Connection, login: str) -> None:
    """Refuse what left nobody who may change everything; it would take the database's owner to mend it."""
    if connection.execute(QUERIES["has_administrator"]).fetchone() is None:
        raise Refused(
            "record_in_use",
            expected="an active administrator of every site who stays",
            got=f"a change of the last one, '{login}'",
            remedy="Make somebody else an administrator of every site first.",
        )


def _issue(
    connection: Connection,
    person_id: int,
    kind: CredentialKind,
    name: str,
    now: datetime,
    expires_at: datetime | None,
) -> str:
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        QUERIES["insert_credential"],
        {
            "person_id": person_id,
            "kind": kind.value,
            "name": name,
            "secret_hash": _digest(secret),
            "now": now,
            "expires_at": expires_at,
        },
    )
    return secret


def _digest(secret: str) -> bytes:
    """Hash a secret for storage. One round is enough: secrets are 256 random bits, not something people choose."""
    return hashlib.sha256(secret.encode()).digest()


def _roles(roles: Sequence[str], sites: Sequence[str | None]) -> tuple[RoleHeld, ...]:
    return tuple(RoleHeld(Role(role), site) for role, site in zip(roles, sites, strict=True))
