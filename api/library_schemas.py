"""Failure-mode libraries over the wire: what an import changed."""

from __future__ import annotations

from api.schemas import Told
from storage.library_import import LibraryChange


class LibraryImported(Told):
    """What taking the library in changed, or would have: modes by code, rules by name."""

    asset_type: str
    dry_run: bool
    changes: list[LibraryChange]
