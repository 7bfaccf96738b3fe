"""Files kept on tickets as evidence: photos and operation logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from psycopg import Connection

from domain.ids import uuid7
from domain.refusals import Refused
from storage.queries import load

QUERIES = load("attachments")

FILES_PER_TICKET = 50


class AttachmentKind(StrEnum):
    """What the file shows."""

    PHOTO = "photo"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file whose media type was found by looking into it, not by believing its name."""

    kind: AttachmentKind
    file_name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A kept file with the site and requester of its ticket, which decide who may see it."""

    kind: AttachmentKind
    file_name: str
    media_type: str
    content: bytes
    added_at: datetime
    site_id: str
    requester_id: int | None


def add_file(connection: Connection, ticket_code: str, file: NewFile, added_by: int, now: datetime) -> UUID:
    """Keep ``file`` on a ticket and return its id; refused when the ticket is closed or has fifty files."""
    row = connection.execute(QUERIES["ticket_of_code"], {"code": ticket_code}).fetchone()
    if row is None:
        raise Refused(
            "unknown_record", expected="the code of a known ticket", got=f"'{ticket_code}'", remedy="Look it up."
        )
    ticket_id, _site, state, files = row
    if state == "closed" or files >= FILES_PER_TICKET:
        raise Refused(
            "not_a_legal_step",
            expected=f"an open ticket with fewer than {FILES_PER_TICKET} files",
            got=f"a ticket that is {state}, with {files} files",
            remedy="Evidence is added before the ticket is closed.",
        )
    file_id = uuid7(now)
    connection.execute(
        QUERIES["insert_attachment"],
        {
            "id": file_id,
            "ticket_id": ticket_id,
            "kind": file.kind.value,
            "file_name": file.file_name,
            "media_type": file.media_type,
            "content": file.content,
            "added_by": added_by,
            "now": now,
        },
    )
    return file_id


def file_by_id(connection: Connection, file_id: UUID) -> StoredFile | None:
    """Return a kept file, or None."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(QUERIES["attachment"], {"id": file_id}).fetchone()
    if row is None:
        return None
    kind, name, media_type, content, added_at, site_id, requester_id = row
    return StoredFile(AttachmentKind(kind), name, media_type, bytes(content), added_at, site_id, requester_id)
