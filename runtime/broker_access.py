"""Who a broker lets in and to what, rendered for NATS, Mosquitto and EMQX from one list of grants (SPEC E2).

Topics are MQTT's everywhere but at NATS, whose subjects have other separators and wildcards: `nats_subjects` turns
one into the other as the server does. Nothing rendered holds a device's secret, only its hashes.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from psycopg import Connection

from domain.broker_grants import Grant, anonymous_grant, service_grant
from runtime.private_files import write_privately
from storage.device_credentials import Hashes, Login, feed_topics, live_logins, new_secret

SERVICE_USER = "wearsight-service"
ANONYMOUS_USER = "anonymous"
_PASSWORD_FILE = "broker-password"
# At NATS every topic is a subject, these too; a wildcard in the first place would reach them.
_NATS_INTERNAL = ("$JS.>", "$SYS.>", "_INBOX.>")
# Where NATS delivers QoS 1 and 2 to an MQTT client; clients cannot subscribe to it by themselves.
_NATS_DELIVERY = ("$MQTT.sub.>", "$MQTT.deliver.pubrel.>")


@dataclass(frozen=True, slots=True)
class Service:
    """The user of our own processes, with its secret."""

    user: str
    password: str

    def address(self, url: str) -> str:
        """Return the broker's address with this user and its secret in it."""
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@{host}"))


@dataclass(frozen=True, slots=True)
class Access:
    """Everybody a broker lets in. ``anonymous`` is None where a client without a name is refused."""

    logins: tuple[Login, ...]
    anonymous: Grant | None


def keep_service(directory: Path) -> Service:
    """Return the service's user of this data directory; its password is made once and kept there, mode 0600."""
    path = directory / _PASSWORD_FILE
    known = known_service(directory)
    if known is not None:
        return known
    write_privately(path, new_secret() + "\n")
    return Service(SERVICE_USER, path.read_text().strip())


def known_service(directory: Path) -> Service | None:
    """Return the service's user that was kept in this data directory, None when there is none."""
    try:
        password = (directory / _PASSWORD_FILE).read_text().strip()
    except OSError:
        return None
    return Service(SERVICE_USER, password) if password else None


def internal_address(directory: Path, url: str) -> str:
    """Return the embedded broker's address as our own processes use it: with user and password, if there are any."""
    service = known_service(directory)
    return url if service is None or urlsplit(url).username else service.address(url)


class AccessReader:
    """Reads who is let in: the service, everybody with a live credential and, where it is ``open``, anybody."""

    def __init__(self, service_hashes: Hashes, *, is_open: bool) -> None:
        self._service = Login(service_grant(SERVICE_USER), service_hashes)
        self._is_open = is_open

    def read(self, connection: Connection) -> Access:
        """Return who is let in now."""
        topics = [feed.topic for feed in feed_topics(connection)] if self._is_open else []
        anonymous = anonymous_grant(ANONYMOUS_USER, topics) if self._is_open else None
        return Access((self._service, *live_logins(connection)), anonymous)


def nats_subjects(topic_filter: str) -> list[str]:
    """Return the NATS subjects that an MQTT filter stands for.

    Levels become tokens; an empty level is a token ``/``, a dot inside a level ``//``. ``a/#`` selects ``a`` too. Empty
    for what NATS cannot carry: a space, or a ``*`` or ``>``, which would be wildcards.
    """
    if any(character in topic_filter for character in " *>"):
        return []
    wildcards = {"+": "*", "#": ">", "": "/"}
    tokens = [wildcards.get(level, level.replace(".", "//")) for level in topic_filter.split("/")]
    whole = ".".join(tokens)
    return [whole, ".".join(tokens[:-1])] if tokens[-1] == ">" and len(tokens) > 1 else [whole]


def nats_users(access: Access) -> str:
    """Return nats-server's ``authorization`` block, as JSON, which its configuration language takes.

    Every user may come by MQTT only: the listener for NATS's own protocol, which has no rule for the inner subjects
    that MQTT lives on, lets nobody in.
    """
    users = [_nats_user(login.grant, login.hashes.bcrypt_hash) for login in access.logins]
    if access.anonymous is not None:
        # The server signs it in with the password written here, so it cannot be a hash. It opens nothing that is shut.
        users.append(_nats_user(access.anonymous, access.anonymous.user))
    # Its strings know no \\u escapes.
    return "authorization " + json.dumps({"users": users}, indent=1, ensure_ascii=False) + "\n"


def _nats_user(grant: Grant, password: str) -> dict[str, object]:
    publish = [subject for one in grant.publish for subject in nats_subjects(one)]
    subscribe = [subject for one in grant.subscribe for subject in nats_subjects(one)]
    return {
        "user": grant.user,
        "password": password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {
            "publish": {"allow": publish, "deny": [*_NATS_INTERNAL, "$MQTT.>"]},
            "subscribe": {"allow": [*subscribe, *_NATS_DELIVERY], "deny": list(_NATS_INTERNAL)},
        },
    }


def mosquitto_passwords(access: Access) -> str:
    """Return Mosquitto's password file."""
    return "".join(f"{login.grant.user}:{login.hashes.pbkdf2_hash}\n" for login in access.logins)


def mosquitto_acl(access: Access) -> str:
    """Return Mosquitto's access file. What stands before the first user is for clients without a name."""
    sections = [_mosquitto_rules(access.anonymous)] if access.anonymous else []
    sections += [f"user {login.grant.user}\n{_mosquitto_rules(login.grant)}" for login in access.logins]
    return "\n".join(sections)


def _mosquitto_rules(grant: Grant) -> str:
    rules = [("write", one) for one in grant.publish] + [("read", one) for one in grant.subscribe]
    return "".join(f"topic {verb} {one}\n" for verb, one in rules)


def emqx_users(access: Access) -> str:
    """Return the users as EMQX's built-in database imports them: hashes in hexadecimal, the salt as it is."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(["user_id", "password_hash", "salt", "is_superuser"])
    for login in access.logins:
        _, _, _, salt, derived = login.hashes.pbkdf2_hash.split("$")
        rows.writerow(
            [login.grant.user, base64.b64decode(derived).hex(), base64.b64decode(salt).decode("ascii"), "false"]
        )
    return written.getvalue()


def emqx_acl(access: Access) -> str:
    """Return EMQX's access rules: Erlang terms, tried from the top; the last refuses everything else."""
    lines = ["%% Made by Wearsight from its list of credentials; changes here are overwritten."]
    for login in access.logins:
        who = f"{{username, {_erlang(login.grant.user)}}}"
        for action, filters in (("publish", login.grant.publish), ("subscribe", login.grant.subscribe)):
            if filters:
                lines.append(f"{{allow, {who}, {action}, [{', '.join(map(_erlang, filters))}]}}.")
    lines.append("{deny, all}.")
    return "\n".join(lines) + "\n"


def _erlang(text: str) -> str:
    """Return a string as an Erlang term; quotes, backslashes and placeholders are refused before they come here."""
    return json.dumps(text, ensure_ascii=False)
