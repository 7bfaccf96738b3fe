"""What a reason for quarantine means, for people: the table is of ingest, handed over when the application is made."""

from __future__ import annotations

from typing import Protocol


class ReasonExplained(Protocol):
    """The meaning of a reason and what to do, in both languages."""

    @property
    def meaning_en(self) -> str:
        """What happened."""

    @property
    def meaning_zh(self) -> str:
        """What happened, in Chinese."""

    @property
    def remedy_en(self) -> str:
        """What to do."""

    @property
    def remedy_zh(self) -> str:
        """What to do, in Chinese."""
