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
from storage.outbox import Message, lease, mark_failed, mark_sent, record_failure

# Which channel carries which kind of message. An escalation names its own, in the order in which they stand in for
# each other; the inbox carries one that names none.
ROUTES: dict[str, str] = {
    "ticket.state": "mqtt",
    "ticket.dispatched": "inbox",
    "ticket.unassigned": "inbox",
    "ticket.overdue": "inbox",
    "ticket.review": "inbox",
    "ticket.merged": "inbox",
    "ticket.reopened": "inbox",
    "confirmation.requested": "inbox",
    "confirmation.disputed": "inbox",
    **{kind: "inbox" for kind in TEXTS if kind.startswith(("service.", "escalation."))},
    "ticket.reprioritised": "inbox",
    "breaker.frozen": "inbox",
    "breaker.thawed": "inbox",
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
        _deliver(pool, channels, message, clock, patience)
    return len(messages)


def channels_of(message: Message) -> tuple[str, ...]:
    """Return the channels that may carry a message, the first to be tried first."""
    named = message.body.get("channels")
    if isinstance(named, list) and named:
        return tuple(str(name) for name in named)
    return (ROUTES.get(message.kind, "none"),)


def _deliver(
    pool: ConnectionPool, channels: Mapping[str, Channel], message: Message, clock: Clock, patience: Patience
) -> None:
    """Try the channels of a message one after the other, at once; every attempt is recorded (SPEC N2)."""
    names = channels_of(message)
    for name in names:
        try:
            _send(pool, channels, name, message, clock)
        except DeliveryError as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001 (the loop's top: one message's failure must not hold up the others)
            _log.exception("delivery failed", message=message.id, kind=message.kind, channel=name)
            reason = f"{type(error).__name__}: {error}"
        else:
            DELIVERED.labels(message.kind).inc()
            return
        if name != names[-1]:
            with pool.connection() as connection:
                record_failure(connection, message, name, reason, clock.now())
    _set_back(message, names[-1], reason, pool, clock, patience)


def _send(pool: ConnectionPool, channels: Mapping[str, Channel], name: str, message: Message, clock: Clock) -> None:
    """Send, then mark. What the channel writes and the mark are one transaction; a publish cannot be part of it."""
    channel = channels.get(name)
    if channel is None:
        raise DeliveryError(f"no channel '{name}' carries messages of kind '{message.kind}'")
    with pool.connection() as connection:
        detail = channel.send(connection, message, clock.now())
        mark_sent(connection, message, channel.name, detail, clock.now())


def _set_back(message: Message, name: str, reason: str, pool: ConnectionPool, clock: Clock, patience: Patience) -> None:
    now = clock.now()
    retry_at = _retry_at(message, now, patience)
    with pool.connection() as connection:
        mark_failed(connection, message, name, reason, now, retry_at)
    (GIVEN_UP if retry_at is None else SET_BACK).labels(message.kind).inc()
    if retry_at is None:
        _log.error("message given up", message=message.id, kind=message.kind, attempts=message.attempts, reason=reason)
    else:
        _log.warning("message set back", message=message.id, kind=message.kind, retry_at=str(retry_at), reason=reason)


def _retry_at(message: Message, now: datetime, patience: Patience) -> datetime | None:
    if message.attempts >= patience.attempts:
        return None
    return now + timedelta(seconds=patience.pause_s(message.attempts))
