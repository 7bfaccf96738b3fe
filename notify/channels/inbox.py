"""The in-app inbox: one notification row for each person the message is for."""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection

from notify.channel import DeliveryError
from notify.texts import texts_of
from storage.outbox import Message, admins, put_into_inbox, supervisors_of


class InboxChannel:
    """Delivers to people. Who the supervisors are is looked up when sending: a shift may have changed since."""

    name = "inbox"

    def send(self, connection: Connection, message: Message, now: datetime) -> str:
        """Put the message into each inbox, once however often it is sent."""
        texts = texts_of(message.kind, message.body)
        people = _people(connection, message)
        if not people:
            raise DeliveryError("there is nobody to tell: no such person, and no active supervisor or admin")
        for person_id in people:
            put_into_inbox(connection, message, person_id, texts, now)
        return f"{len(people)} inboxes"


def _people(connection: Connection, message: Message) -> list[int]:
    named = message.body.get("person_ids")
    site_id = message.body.get("supervisors_of")
    people = {int(person_id) for person_id in named} if isinstance(named, list) else set()
    if isinstance(site_id, str):
        people.update(supervisors_of(connection, site_id))
    if message.body.get("admins"):
        people.update(admins(connection))
    return sorted(people)
