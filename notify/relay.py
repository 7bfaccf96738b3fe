"""The relay: lease, send, then mark (ADR 0010).

Marking before the send loses a message whenever the relay dies between the two (9 of 4,000 when measured), so
the mark comes after, and a message may be sent twice; every channel makes that harmless. What fails is tried
again with growing pauses, and given up only as a row that people see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter
from psycopg_pool import ConnectionPool

from domain.clock import Clock
from notify.channel import Channel, DeliveryError
from notify.texts import TEXTS
from storage.outbox import Message, lease, mark_failed, mark_sent

# Which channel carries which kind of message.
ROUTES: dict[str, str] = {
    "ticket.state": "mqtt",
    "ticket.dispatched": "inbox",
    "ticket.unassigned": "inbox",
    "ticket.overdue": "inbox",
    "ticket.review": "inbox",
    "confirmation.requested": "inbox",
    "confirmation.disputed": "inbox",
    "ticket.reprioritised": "inbox",
    "breaker.frozen": "inbox",
    "breaker.thawed": "inbox",
    **{kind: "inbox" for kind in TEXTS if kind.startswith("service.")},
}

DELIVERED = Counter("wearsight_relay_delivered", "Messages delivered.", ["kind"])
SET_BACK = Counter("wearsight_relay_set_back", "Deliveries that failed and are tried again.", ["kind"])
GIVEN_UP = Counter("wearsight_relay_given_up", "Messages given up.", ["kind"])

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a lease lasts, how pauses grow, and after how many attempts a message is given up.

    With these values the last attempt comes about an hour and three quarters after the first.
    """

    batch: int = 10
    lease_s: float = 60.0
    first_pause_s: float = 1.0
    longest_pause_s: float = 900.0
    attempts: int = 16

    def pause_s(self, attempts: int) -> float:
        """Return the pause after so many failed attempts: doubling, up to the longest."""
        return min(self.first_pause_s * 2.0 ** min(attempts - 1, 30), self.longest_pause_s)


PATIENCE = Patience()


def deliver_due(
    pool: ConnectionPool, channels: Mapping[str, Channel], clock: Clock, patience: Patience = PATIENCE
) -> int:
    """Lease what is due and deliver it; return how many messages were handled."""
    with pool.connection() as connection:
        messages = lease(connection, now=clock.now(), lease_s=patience.lease_s, limit=patience.batch)
    for message in messages:
        try:
            _deliver(pool, channels, message, clock)
        except DeliveryError as error:
            _set_back(message, str(error), pool, clock, patience)
        except Exception as error:  # noqa: BLE001 (the loop's top: one message's failure must not hold up the others)
            _log.exception("delivery failed", message=message.id, kind=message.kind)
            _set_back(message, f"{type(error).__name__}: {error}", pool, clock, patience)
    return len(messages)


def _deliver(pool: ConnectionPool, channels: Mapping[str, Channel], message: Message, clock: Clock) -> None:
    """Send, then mark. What the channel writes and the mark are one transaction; a publish cannot be part of it."""
    channel = channels.get(ROUTES.get(message.kind, ""))
    if channel is None:
        raise DeliveryError(f"no channel carries messages of kind '{message.kind}'")
    with pool.connection() as connection:
        detail = channel.send(connection, message, clock.now())
        mark_sent(connection, message, channel.name, detail, clock.now())
    DELIVERED.labels(message.kind).inc()


def _set_back(message: Message, reason: str, pool: ConnectionPool, clock: Clock, patience: Patience) -> None:
    now, route = clock.now(), ROUTES.get(message.kind, "none")
    retry_at = _retry_at(message, now, patience)
    with pool.connection() as connection:
        mark_failed(connection, message, route, reason, now, retry_at)
    (GIVEN_UP if retry_at is None else SET_BACK).labels(message.kind).inc()
    if retry_at is None:
        _log.error("message given up", message=message.id, kind=message.kind, attempts=message.attempts, reason=reason)
    else:
        _log.warning("message set back", message=message.id, kind=message.kind, retry_at=str(retry_at), reason=reason)


def _retry_at(message: Message, now: datetime, patience: Patience) -> datetime | None:
    if message.attempts >= patience.attempts:
        return None
    return now + timedelta(seconds=patience.pause_s(message.attempts))
