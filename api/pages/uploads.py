"""Files that come with a form: kept on the ticket before the step that names them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from psycopg_pool import ConnectionPool
from starlette.datastructures import FormData

from api.files import checked_file
from api.identity import Caller
from api.pages.forms import uploaded
from domain.refusals import Refused
from storage import attachments
from storage.attachments import AttachmentKind


def keep_upload(
    database: ConnectionPool, code: str, form: FormData, caller: Caller, now: datetime, *, required: bool = False
) -> UUID | None:
    """Keep the form's file on ticket ``code`` and return its id; None when no file was chosen.

    It is kept in a transaction of its own: when the step is refused for another fact, the file is still there to
    be chosen again, because a browser cannot be given it back.
    """
    file = uploaded(form)
    if file is None:
        if required:
            raise Refused("invalid_request", expected="a file", got="none", remedy="Choose a photo or a log.")
        return None
    kind = AttachmentKind.PHOTO if (file.content_type or "").startswith("image/") else AttachmentKind.LOG
    checked = checked_file(kind, file.filename, file.file.read())
    with database.connection() as connection:
        return attachments.add_file(connection, code, checked, caller.person.id, now)
