"""What a channel is: a name and one method that delivers a message or says why it could not."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from psycopg import Connection

from storage.outbox import Message


class DeliveryError(Exception):
    """A message could not be delivered this time. The text says why and is kept with the attempt."""


class Channel(Protocol):
    """A way out of the process. Sending the same message twice must be harmless: delivery is at least once."""

    name: str

    def send(self, connection: Connection, message: Message, now: datetime) -> str:
        """Deliver and return a line about it; raise ``DeliveryError`` when it did not get through."""
        ...
