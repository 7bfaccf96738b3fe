"""Credentials of devices and gateways for the broker: issued, listed, revoked; and all that brokers must know of them.

Whatever changes here is noted in the audit by the statement that changes it: who, what and when, never a hash.

A secret is 192 random bits and is shown once. What is stored are two quick hashes of it, in the formats that brokers
check by themselves. Slow hashes protect passwords that people choose; nobody guesses 192 bits however quick a guess
is, while a broker that restarts under ten thousand devices checks ten thousand of them at once.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import bcrypt
from psycopg import Connection

from domain.broker_grants import FeedTopic, Grant, check_gateway_filters, device_grant, gateway_grant
from domain.refusals import Refused
from storage import feeds
from storage.queries import load

QUERIES = load("device_credentials")

# One in use and one to change to, with room for a mistake.
LIVE_LIMIT = 5
# The least that bcrypt knows: about a millisecond.
BCRYPT_COST = 4
# Mosquitto's own default. Every user of an EMQX authenticator has the same number, so it is the same for all.
PBKDF2_ITERATIONS = 101
_SECRET_BYTES = 24


@dataclass(frozen=True, slots=True)
class Owner:
    """What a credential is for: a device or a gateway, and the name that its usernames begin with."""

    name: str
    device_id: int | None = None
    gateway_id: int | None = None


@dataclass(frozen=True, slots=True)
class Hashes:
    """A secret as brokers check it: bcrypt, and Mosquitto's ``$7$iterations$salt$hash`` (PBKDF2-SHA512)."""

    bcrypt_hash: str
    pbkdf2_hash: str


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the broker: what it may do, and the hashes of its secret."""

    grant: Grant
    hashes: Hashes


@dataclass(frozen=True, slots=True)
class IssuedCredential:
    """A credential just made, with its secret, which is not stored."""

    id: int
    username: str
    secret: str
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A credential as it is listed: the people are given by their logins."""

    id: int
    username: str
    issued_at: datetime
    issued_by: str
    revoked_at: datetime | None
    revoked_by: str | None


class State(StrEnum):
    """Whether a gateway may connect: it has a credential in force, or none."""

    IN_FORCE = "in_force"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A gateway: its filters, and how many live credentials it has."""

    id: int
    site: str
    name: str
    publish: list[str]
    subscribe: list[str]
    created_at: datetime
    created_by: str
    live_credentials: int


def owner_of_device(device_id: int, site: str, name: str) -> Owner:
    """Return the owner of a device's credentials."""
    return Owner(f"{site}.{name}", device_id=device_id)


def owner_of_gateway(gateway: GatewayRow) -> Owner:
    """Return the owner of a gateway's credentials. Names have no dots, so no device has the same."""
    return Owner(f"{gateway.site}.{gateway.name}.gateway", gateway_id=gateway.id)


def new_secret() -> str:
    """Return 192 random bits as text that any configuration file and command line takes.

    It begins with a letter or a digit: ``-P -abc`` is two options to ``mosquitto_pub``. To draw again until it does
    costs a twentieth of one bit.
    """
    while not (secret := secrets.token_urlsafe(_SECRET_BYTES))[0].isalnum():
        pass
    return secret


def hash_secret(secret: str) -> Hashes:
    """Hash a random secret for the brokers. Not for passwords that people choose."""
    # Text of 12 characters: Mosquitto wants 12 bytes, EMQX takes the salt as it is written.
    salt = secrets.token_hex(6).encode()
    derived = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, PBKDF2_ITERATIONS)
    encoded_salt, encoded = (base64.b64encode(part).decode() for part in (salt, derived))
    return Hashes(
        bcrypt.hashpw(secret.encode(), bcrypt.gensalt(BCRYPT_COST)).decode(),
        f"$7${PBKDF2_ITERATIONS}${encoded_salt}${encoded}",
    )


def issue(connection: Connection, owner: Owner, person_id: int, now: datetime) -> IssuedCredential:
    """Make a credential. Refuses ``too_many_credentials`` at LIVE_LIMIT live ones."""
    connection.execute(QUERIES["lock_owner"], {"owner": owner.name})
    number, live = connection.execute(QUERIES["next_number"], {"owner": owner.name}).fetchone() or (1, 0)
    if live >= LIVE_LIMIT:
        raise Refused(
            "too_many_credentials",
            expected=f"at most {LIVE_LIMIT} live credentials of {owner.name}",
            got=str(live),
            remedy="Revoke those that nothing uses.",
        )
    secret = new_secret()
    hashes = hash_secret(secret)
    row = connection.execute(
        QUERIES["insert_credential"],
        {
            "device_id": owner.device_id,
            "gateway_id": owner.gateway_id,
            "owner": owner.name,
            "number": number,
            "bcrypt_hash": hashes.bcrypt_hash,
            "pbkdf2_hash": hashes.pbkdf2_hash,
            "person_id": person_id,
            "now": now,
        },
    ).fetchone()
    if row is None:
        raise RuntimeError("the database returned no row of an insert")
    return IssuedCredential(row[0], row[1], secret, now)


def credentials_of(
    connection: Connection, owner: Owner, *, before: int | None = None, limit: int = 50
) -> list[CredentialRow]:
    """Return the credentials of a device or gateway with ids below ``before``, newest first, revoked ones included."""
    asked = {"device_id": owner.device_id, "gateway_id": owner.gateway_id, "before": before, "limit": limit}
    return [CredentialRow(*row) for row in connection.execute(QUERIES["credentials"], asked).fetchall()]


def revoke(connection: Connection, owner: Owner, credential_id: int, person_id: int, now: datetime) -> bool:
    """End a credential; False when the owner has none of this id. Twice is harmless: the first time stays noted."""
    asked = {"device_id": owner.device_id, "gateway_id": owner.gateway_id, "id": credential_id}
    connection.execute(QUERIES["revoke_credentials"], {**asked, "person_id": person_id, "now": now})
    return connection.execute(QUERIES["has_credential"], asked).fetchone() == (True,)


def add_gateway(
    connection: Connection,
    *,
    site: str,
    name: str,
    publish: Sequence[str],
    subscribe: Sequence[str],
    person_id: int,
    now: datetime,
) -> GatewayRow:
    """Add a gateway. Refuses ``invalid_gateway``, and ``duplicate_record`` for a name that is taken at the site."""
    check_gateway_filters(site, publish, subscribe, feed_topics(connection))
    values = {"site": site, "name": name, "publish": list(publish), "subscribe": list(subscribe)}
    row = connection.execute(QUERIES["insert_gateway"], {**values, "person_id": person_id, "now": now}).fetchone()
    if row is None:
        raise Refused(
            "duplicate_record",
            expected="a gateway name that is free at the site",
            got=f"'{name}' at '{site}'",
            remedy="Issue a further credential to the gateway that exists, or choose another name.",
        )
    return gateways(connection, sites=None, gateway_id=row[0])[0]


def gateways(
    connection: Connection,
    *,
    sites: Sequence[str] | None,
    gateway_id: int | None = None,
    site: str | None = None,
    state: State | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[GatewayRow]:
    """Return gateways with ids above ``after``, only of ``sites`` unless None, that match every filter given."""
    asked = {
        "sites": None if sites is None else list(sites),
        "id": gateway_id,
        "site": site,
        "state": state,
        "after": after,
        "limit": limit,
    }
    return [GatewayRow(*row) for row in connection.execute(QUERIES["gateways"], asked).fetchall()]


def remove_gateway(connection: Connection, gateway_id: int, person_id: int, now: datetime) -> None:
    """Remove a gateway and revoke its credentials."""
    by = {"person_id": person_id, "now": now}
    held = {"id": None, "device_id": None, "gateway_id": gateway_id}
    connection.execute(QUERIES["revoke_credentials"], {**held, **by})
    connection.execute(QUERIES["remove_gateway"], {"id": gateway_id, **by})


def live_logins(connection: Connection) -> list[Login]:
    """Return every live credential with what it permits now: a renamed device publishes under its new name."""
    devices = connection.execute(QUERIES["live_device_credentials"]).fetchall()
    found = [
        Login(device_grant(user, site, name), Hashes(by_bcrypt, by_pbkdf2))
        for user, by_bcrypt, by_pbkdf2, site, name in devices
    ]
    for user, by_bcrypt, by_pbkdf2, publish, subscribe in connection.execute(QUERIES["live_gateway_credentials"]):
        found.append(Login(gateway_grant(user, publish, subscribe), Hashes(by_bcrypt, by_pbkdf2)))
    return found


def feed_topics(connection: Connection) -> list[FeedTopic]:
    """Return the filters of the feeds that are enabled."""
    return [FeedTopic(feed.topic, feed.site) for feed in feeds.all_feeds(connection) if feed.enabled]


def revoked_usernames(connection: Connection) -> list[str]:
    """Return the users that were revoked, for brokers that remember users by themselves."""
    return [name for (name,) in connection.execute(QUERIES["revoked_usernames"]).fetchall()]


def listen_for_changes(connection: Connection) -> None:
    """Have this connection told when the broker's users change."""
    connection.execute(QUERIES["listen_for_broker_access"])
