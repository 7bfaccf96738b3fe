"""Tracking codes: one letter for the origin and six digits, unique for ever (SPEC T6)."""

from __future__ import annotations

from enum import StrEnum

from domain.refusals import Refused

LAST_NUMBER = 999_999


class Origin(StrEnum):
    """Where a ticket came from; the letter of its tracking code."""

    DEVICE = "D"
    PERSON = "P"
    SCHEDULE = "S"
    INTEGRATION = "I"


def tracking_code(origin: Origin, number: int) -> str:
    """Return the code of the origin's ``number``-th ticket, for example D260213."""
    if not 1 <= number <= LAST_NUMBER:
        raise codes_exhausted(origin)
    return f"{origin.value}{number:06d}"


def codes_exhausted(origin: Origin) -> Refused:
    """Return the refusal for an origin whose six digits are used up. Codes never wrap: other systems store them."""
    return Refused(
        "codes_exhausted",
        expected=f"a free tracking code {origin.value}000001 to {origin.value}{LAST_NUMBER}",
        got="none left",
        remedy="Open the ticket under another origin and ask the supplier for longer codes.",
    )
