"""What a timeline calls the facts of tickets that change hands, belong together or are checked (SPEC T8, T9)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from api.i18n import N_

MOVING_FACTS: Mapping[str, str] = MappingProxyType(
    {
        "title": N_("Title"),
        "action": N_("Done remotely"),
        "what": N_("To be approved"),
        "amount": N_("Amount"),
        "team_id": N_("Team"),
        "asked": N_("What is asked"),
        "history": N_("Done so far"),
        "serial_number": N_("Serial number"),
        "requester_contact": N_("How to reach the requester"),
        "rating": N_("Rating"),
        "other": N_("Other ticket"),
        "code": N_("Other ticket"),
        "kind": N_("How they belong together"),
        "by": N_("By"),
        "split_code": N_("Ticket split off"),
        "merged_into": N_("Merged into"),
        "opened_code": N_("Ticket that it opened"),
        "opened_at": N_("Opened"),
        "requester": N_("Requester"),
        "description": N_("Description"),
        "result": N_("Result"),
        "reading": N_("Reading"),
        "unit": N_("Unit"),
        "remark": N_("Remark"),
    }
)
