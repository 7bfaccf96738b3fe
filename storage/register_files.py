"""Contracts and manuals of assets (SPEC E1). The bytes lie apart from their description."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from psycopg import Connection

from domain.ids import uuid7
from domain.refusals import Refused
from storage.assets import hold_asset
from storage.queries import load

QUERIES = load("register_files")

FILES_PER_ASSET = 50


class RegisterFileKind(StrEnum):
    """What the paper is."""

    CONTRACT = "contract"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class NewRegisterFile:
    """A file whose media type was found by looking into it."""

    kind: RegisterFileKind
    file_name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class RegisterFileRow:
    """A file as its asset lists it; ``added_by`` is a login."""

    id: UUID
    kind: RegisterFileKind
    file_name: str
    media_type: str
    size_bytes: int
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class RegisterFile:
    """A file with its bytes and the site of its asset, which decides who may see it."""

    asset_id: int
    site_id: str
    file_name: str
    media_type: str
    content: bytes


def add_file(
    connection: Connection, asset_id: int, file: NewRegisterFile, added_by: int, now: datetime
) -> RegisterFileRow:
    """Keep a file for an asset; refused when the asset has fifty."""
    # Held, so that two additions cannot count the same.
    hold_asset(connection, asset_id)
    row = connection.execute(QUERIES["files_for_one_more"], {"asset_id": asset_id}).fetchone()
    if row is None or row[0] >= FILES_PER_ASSET:
        raise Refused(
            "too_many_files",
            expected=f"an asset with fewer than {FILES_PER_ASSET} files",
            got=f"{FILES_PER_ASSET} files",
            remedy="Remove one that nobody needs any more.",
        )
    file_id = uuid7(now)
    values = {
        "id": file_id,
        "asset_id": asset_id,
        "kind": file.kind.value,
        "file_name": file.file_name,
        "media_type": file.media_type,
        "size_bytes": len(file.content),
        "added_by": added_by,
        "now": now,
    }
    connection.execute(QUERIES["insert_file"], values)
    connection.execute(QUERIES["insert_content"], {"id": file_id, "content": file.content})
    return next(row for row in files_of_asset(connection, asset_id) if row.id == file_id)


def files_of_asset(connection: Connection, asset_id: int) -> list[RegisterFileRow]:
    """Return the files of an asset, oldest first."""
    rows = connection.execute(QUERIES["files_of_asset"], {"asset_id": asset_id})
    return [RegisterFileRow(row[0], RegisterFileKind(row[1]), *row[2:]) for row in rows]


def file_by_id(connection: Connection, file_id: UUID) -> RegisterFile | None:
    """Return a file with its bytes."""
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(QUERIES["file"], {"id": file_id}).fetchone()
    if row is None:
        return None
    asset_id, site_id, file_name, media_type, content = row
    return RegisterFile(asset_id, site_id, file_name, media_type, bytes(content))


def remove_file(connection: Connection, file_id: UUID) -> None:
    """Remove a file; the audit keeps that it was there."""
    connection.execute(QUERIES["remove_file"], {"id": file_id})
