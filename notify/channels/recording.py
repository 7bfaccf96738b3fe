"""Phone calls and text messages that are kept instead of made, until a real channel takes the place of this one."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

from notify.channel import DeliveryError
from notify.texts import texts_of
from storage.outbox import Message, record_notice

RECORDED = ("phone", "sms")


class RecordingChannel:
    """Keeps what it would have told each person, readable through the API; once however often it is sent."""

    def __init__(self, name: str) -> None:
        self.name = name

    def send(self, connection: Connection, message: Message, now: datetime) -> str:
        """Keep the message for each person it names."""
        named = message.body.get("person_ids")
        people = [int(person_id) for person_id in named] if isinstance(named, list) else []
        texts = texts_of(message.kind, message.body)
        kept = [record_notice(connection, message, self.name, person_id, texts, now) for person_id in people]
        if not any(kept):
            raise DeliveryError("there is nobody to tell: no such active person")
        return f"{sum(kept)} recorded"
