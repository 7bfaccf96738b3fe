"""Whether the parts of the house answer, asked from outside as their users do; and the token of a run."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import psycopg

from domain.clock import Clock
from runtime.children import ServiceError
from storage.database import connect
from storage.people import issue_token
from storage.queries import load

QUERIES = load("services")


def mint_token(connection: psycopg.Connection, login: str, name: str, clock: Clock) -> str:
    """Revoke the tokens of this name and return a new one for the person of ``login``.

    :raises ServiceError: when that person is not there or inactive.
    """
    row = connection.execute(QUERIES["person_of_login"], {"login": login}).fetchone()
    if row is None:
        raise ServiceError(f"Nobody active has the login '{login}', so no token can be made. Make that person active.")
    now = clock.now()
    connection.execute(QUERIES["revoke_tokens_of_name"], {"name": name, "now": now})
    return issue_token(connection, row[0], name, now, None)


def check_database(dsn: str) -> None:
    """Raise ServiceError, in words, when the customer's own database does not answer."""
    try:
        with connect(dsn) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        raise ServiceError(
            f"The database that WEARSIGHT_DATABASE_URL names does not answer: {str(error).strip()}. "
            "Look at address, user and password, and whether the server runs."
        ) from error


def api_is_well(base: str) -> bool:
    """Whether the API at this address says of itself that it is well."""
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=5)
    try:
        connection.request("GET", "/api/v1/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def http_address(host: str, port: int) -> str:
    """Return the URL under which a server bound to ``host`` is reached from this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def process_is_connected(database: str, application_name: str) -> bool:
    """Whether a process of this name holds a connection to the database, which is where processes meet."""
    with connect(database) as connection:
        return connection.execute(QUERIES["connected_process"], {"name": application_name}).fetchone() is not None
