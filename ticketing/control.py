"""Which tickets the control policy scores as well (SPEC S7)."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID


def is_control(ticket_id: UUID, share: float) -> bool:
    """Say whether a ticket belongs to the control group, a share of 0 to 1 of all tickets.

    By a hash of its id: the same for ever, whoever asks, and tied to nothing that a person could choose. The id itself
    would not do, it begins with the time.
    """
    drawn = int.from_bytes(sha256(ticket_id.bytes).digest()[:8], "big")
    return drawn < share * 2**64
