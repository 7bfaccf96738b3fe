"""What policies, their sections and their fields are called, with units and what each field does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from api.i18n import N_


@dataclass(frozen=True, slots=True)
class FieldWords:
    """Messages of the catalogue: the label, the unit (empty for a share or a grade), and what the field does."""

    label: str
    unit: str
    told: str


@dataclass(frozen=True, slots=True)
class PolicyWords:
    """Messages of the catalogue: what the policy is called and what it decides."""

    title: str
    told: str


POLICIES: Mapping[str, PolicyWords] = MappingProxyType(
    {
        "detection": PolicyWords(
            N_("Detection"),
            N_("How many tickets predictions open by themselves, what is a flood, and how much closures change."),
        ),
        "parts": PolicyWords(
            N_("Parts of tickets"),
            N_("From when on predicted parts are reserved, and what is assumed of their delivery."),
        ),
    }
)

SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "budget": N_("Ticket budget"),
        "budget.sites": N_("Budget of single sites"),
        "flood": N_("Flood of alarms"),
        "learning": N_("Learning from closures"),
        "trust": N_("Trust in rules"),
        "": N_("Values"),
    }
)

FIELDS: Mapping[str, FieldWords] = MappingProxyType(
    {
        "budget.tickets_per_site_per_day": FieldWords(
            N_("Tickets per site and day"),
            N_("tickets"),
            N_("What is over it waits for the next local day, or for a person's word."),
        ),
        "budget.passes_from_severity": FieldWords(
            N_("Severity that passes the budget"),
            "",
            N_("Failure modes of this severity (1 to 10) and above open their ticket all the same; 11: none does."),
        ),
        "flood.assets": FieldWords(
            N_("Assets with findings at once"),
            N_("assets"),
            N_("From so many assets of a site on there is a common cause, and no ticket opens until it is over."),
        ),
        "flood.within_minutes": FieldWords(
            N_("Within"), N_("minutes"), N_("The stretch in which these findings begin.")
        ),
        "learning.prior_strength": FieldWords(
            N_("Weight of the library"),
            N_("closures"),
            N_("How many closures' worth of trust stays with the library; more makes learning slower."),
        ),
        "learning.quantity_strength": FieldWords(
            N_("Weight of the library's quantities"),
            N_("repairs"),
            N_("The same for how many pieces of a part a repair takes."),
        ),
        "learning.largest_step": FieldWords(
            N_("Farthest from the library"),
            N_("log-odds"),
            N_("Closures move no weight and no prior farther than this."),
        ),
        "trust.demote_below": FieldWords(
            N_("Propose shadow below a precision of"),
            "",
            N_("A rule whose precision is credibly below it is proposed for shadow."),
        ),
        "trust.promote_above": FieldWords(
            N_("Propose review above a precision of"),
            "",
            N_("A shadow rule whose precision is credibly above it is proposed for review."),
        ),
        "trust.least_closures": FieldWords(
            N_("Closures before a proposal"), N_("closures"), N_("So many must have judged the rule first.")
        ),
        "trust.again_after": FieldWords(
            N_("Closures before the next proposal"), N_("closures"), N_("So many more, after one was decided.")
        ),
        "trust.credibility": FieldWords(
            N_("Width of the credible interval"), "", N_("The share of the posterior that lies within it.")
        ),
        "trust.shadow_wait_h": FieldWords(
            N_("A shadow finding may be proven right for"),
            N_("hours"),
            N_("When no fault that fits it is repaired by then, it counts as wrong."),
        ),
        "budget.sites": FieldWords(N_("Tickets per day"), N_("tickets"), N_("Empty: the budget of every site holds.")),
        "reserve_from_probability": FieldWords(
            N_("Reserve from a probability of"),
            "",
            N_("Predicted parts from this on are reserved when the ticket is dispatched; the others are told only."),
        ),
        "lead_time_days": FieldWords(
            N_("Delivery time where none is known"), N_("days"), N_("From order to delivery.")
        ),
        "dismissed_days": FieldWords(
            N_("Rest of a dismissed proposal"),
            N_("days"),
            N_("A proposal to order is not made again for so long, unless more pieces are short."),
        ),
    }
)

WHOLE = N_("a whole number from {least} to {most}")
NUMBER = N_("a number from {least} to {most}")
ABOVE = N_("a number above {least}, at most {most}")
EXPECTED = N_("Expected {what}; got {got}.")
NOTHING = N_("nothing")
