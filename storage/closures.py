"""Closures: the requester's confirmation by link, and what a closed ticket teaches (SPEC C2, P4, D2)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from uuid import UUID

from psycopg import Connection
from psycopg.rows import class_row

from domain.refusals import Refused
from storage.queries import load
from ticketing.ticket import Outcome, Ticket

QUERIES = load("closures")

SECRET_BYTES = 24
LONGEST_SECRET = 128


@dataclass(frozen=True, slots=True)
class ConfirmationPage:
    """What the holder of a link sees: the ticket's story so far, and how long the link is good."""

    id: int
    code: str
    title_en: str
    title_zh: str
    state: str
    resolution_code: str | None
    cause: str | None
    action_taken: str | None
    work_finished_at: datetime | None
    resolved_at: datetime | None
    asset_tag: str
    asset_name: str
    site_name: str
    requester_name: str | None
    engineer_name: str | None
    expires_at: datetime
    used_at: datetime | None


def replace_link(connection: Connection, ticket_id: UUID, valid_days: int, now: datetime) -> str:
    """Make the ticket's confirmation link and return its secret: 192 random bits, of which only the hash is kept.

    A ticket has one live link; the ones before it expire.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    key = {"ticket_id": ticket_id, "now": now}
    connection.execute(QUERIES["retire_links"], key)
    expires_at = now + timedelta(days=valid_days)
    connection.execute(QUERIES["insert_link"], {**key, "secret_hash": _hash(secret), "expires_at": expires_at})
    return secret


def open_link(connection: Connection, secret: str, now: datetime) -> ConfirmationPage:
    """Return what a link shows; changes nothing, however often mail scanners open it.

    Raises ``Refused``: link_unknown, link_used, link_expired.
    """
    if not 1 <= len(secret) <= LONGEST_SECRET:
        raise _unknown()
    with connection.cursor(row_factory=class_row(ConfirmationPage)) as cursor:
        page = cursor.execute(QUERIES["read_link"], {"secret_hash": _hash(secret)}).fetchone()
    if page is None:
        raise _unknown()
    if page.used_at is not None:
        raise Refused(
            "link_used",
            expected="a link that has not been used",
            got=f"one used at {page.used_at.isoformat()}",
            remedy="Your answer is recorded. Ask the engineer for another link if something changed.",
        )
    if page.expires_at <= now:
        raise Refused(
            "link_expired",
            expected=f"a link used before {page.expires_at.isoformat()}",
            got=now.isoformat(),
            remedy="Ask the engineer for a new link.",
        )
    return page


def use_link(connection: Connection, page: ConfirmationPage, now: datetime) -> None:
    """Use the link up; of two answers sent at once, the second is refused as ``link_used``."""
    if connection.execute(QUERIES["use_link"], {"id": page.id, "now": now}).fetchone() is None:
        raise Refused(
            "link_used",
            expected="a link that has not been used",
            got="one that was used a moment ago",
            remedy="Your answer is recorded.",
        )


def record_answer(
    connection: Connection,
    page: ConfirmationPage,
    *,
    solved: bool,
    satisfied: bool,
    cause: str | None,
    comment: str | None,
    now: datetime,
) -> None:
    """Store the two answers and what was said with them."""
    parameters = {"id": page.id, "solved": solved, "satisfied": satisfied, "cause": cause, "comment": comment}
    connection.execute(QUERIES["insert_answer"], {**parameters, "now": now})


def close_case(connection: Connection, ticket_id: UUID, ticket: Ticket, now: datetime) -> None:
    """Draw the consequences of a closed ticket, in its transaction.

    The lesson is recorded and the predictions it answers are closed, whatever the outcome. Only a repair
    changes the machine: its metrics get a new baseline from when the work was finished, and a component whose
    parts were used counts as new.
    """
    key = {"ticket_id": ticket_id, "now": now}
    connection.execute(QUERIES["insert_lesson"], key)
    connection.execute(QUERIES["close_predictions"], key)
    if ticket.outcome is not Outcome.REPAIRED or ticket.work_finished_at is None:
        return
    mode = connection.execute(QUERIES["repaired_mode"], key).fetchone()
    if mode is None:
        return
    signature, component, component_replaced = mode
    asset = {"asset_id": ticket.asset_id}
    reported = [row[0] for row in connection.execute(QUERIES["metrics_of_asset"], asset)]
    for metric in _metrics_of(signature, reported):
        anchored = {**asset, "metric": metric, "anchored_at": ticket.work_finished_at}
        connection.execute(QUERIES["move_anchor"], anchored)
    if component_replaced:
        installed = {**asset, "component": component, "installed_at": ticket.work_finished_at}
        connection.execute(QUERIES["install_component"], installed)


def reject_prediction(
    connection: Connection, prediction_id: UUID | None, person_id: int | None, reason: str, now: datetime
) -> None:
    """Reject the prediction behind a cancelled ticket with the same reason."""
    parameters = {"prediction_id": prediction_id, "person_id": person_id, "reason": reason, "now": now}
    connection.execute(QUERIES["reject_prediction"], parameters)


def reopen_case(connection: Connection, ticket_id: UUID, now: datetime) -> None:
    """Take back what a closure taught: it was none. The next one teaches in its stead; unused links are void."""
    connection.execute(QUERIES["forget_lesson"], {"ticket_id": ticket_id})
    connection.execute(QUERIES["retire_links"], {"ticket_id": ticket_id, "now": now})


def _metrics_of(signature: Mapping[str, object], reported: list[str]) -> list[str]:
    """Return the reported metrics that a mode's findings are looked for in; signatures may name patterns."""
    signs = signature.get("findings")
    patterns = [str(sign["metric"]) for sign in signs] if isinstance(signs, list) else []
    return [metric for metric in reported if any(fnmatchcase(metric, pattern) for pattern in patterns)]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _unknown() -> Refused:
    return Refused(
        "link_unknown",
        expected="the secret of a confirmation link",
        got="another text",
        remedy="Open the link exactly as you received it.",
    )
