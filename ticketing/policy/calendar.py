"""Whose calendar and zone the clocks of a ticket follow (SPEC S3)."""

from __future__ import annotations

from enum import StrEnum

from ticketing.policy.reading import PolicyTable


class Follows(StrEnum):
    """The site where the asset stands, or the requester: those without a calendar of their own have their site's."""

    SITE = "site"
    REQUESTER = "requester"


def read_sla_calendar(table: PolicyTable) -> Follows:
    """Return whom the clocks follow."""
    found = Follows(table.choice("follows", tuple(Follows)))
    table.finish()
    return found
