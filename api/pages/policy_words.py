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
        "hard": N_("Hard rules"),
        "weights": N_("Weights of the score"),
        "soft": N_("From when on a part of the score counts in full"),
        "fallback": N_("Nobody fits"),
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
        "hard.least_level": FieldWords(N_("Least level"), "", N_("A skill counts from this level on, of 1 to 5.")),
        "hard.load_limit": FieldWords(
            N_("Open tickets at most"),
            N_("tickets"),
            N_("Who has so many is sent to none. A person's own limit may be lower, never higher."),
        ),
        "hard.on_call_priority": FieldWords(
            N_("On call goes up to"),
            "",
            N_("Who is only on call is sent to tickets up to this priority: 1 means P0 and P1."),
        ),
        "weights.distance": FieldWords(N_("Weight of the distance"), "", N_("How near the engineer's place is.")),
        "weights.load": FieldWords(N_("Weight of free capacity"), "", N_("How few open tickets the engineer has.")),
        "weights.skill": FieldWords(N_("Weight of skill"), "", N_("How high the levels in the skills asked are.")),
        "weights.first_time_fix": FieldWords(
            N_("Weight of repairs that held"), "", N_("How often repairs on this type held at the first attempt.")
        ),
        "weights.same_fault": FieldWords(
            N_("Weight of the same fault"), "", N_("Whether the engineer handled this failure mode lately.")
        ),
        "weights.continuity": FieldWords(
            N_("Weight of knowing the asset"), "", N_("Whether the engineer closed the asset's newest ticket.")
        ),
        "soft.near_km": FieldWords(N_("Near"), N_("km"), N_("At this distance the part for distance is one half.")),
        "soft.bonus_from": FieldWords(
            N_("Repairs that held, in full from"), "", N_("A share from this on counts as all of them.")
        ),
        "soft.same_fault_h": FieldWords(N_("The same fault within"), N_("hours"), N_("Longer ago, it counts nothing.")),
        "fallback.fallback_after_s": FieldWords(
            N_("Fallback after"),
            N_("seconds"),
            N_("Then the last engineer who closed the same kind goes, else the team's lead."),
        ),
        "fallback.urgent_fallback_after_s": FieldWords(
            N_("Fallback after, when urgent"), N_("seconds"), N_("The same for what people on call go to.")
        ),
        "fallback.remind_every_s": FieldWords(
            N_("Remind supervisors every"), N_("seconds"), N_("As long as nobody goes, where no ladder reminds them.")
        ),
    }
)

WHOLE = N_("a whole number from {least} to {most}")
NUMBER = N_("a number from {least} to {most}")
ABOVE = N_("a number above {least}, at most {most}")
EXPECTED = N_("Expected {what}; got {got}.")
NOTHING = N_("nothing")
