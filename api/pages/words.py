"""The console's words for what the database says in code: each with an icon and a tone, so colour never speaks alone.

Messages are English and marked for the catalogue; templates translate them when they show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from api.i18n import N_


@dataclass(frozen=True, slots=True)
class Word:
    """What to show: a message of the catalogue, an icon of parts/icons.html, and a tone of styles/pieces.css."""

    message: str
    icon: str = ""
    tone: str = "grey"


STATES: Mapping[str, Word] = MappingProxyType(
    {
        "new": Word(N_("New"), "spark", "violet"),
        "dispatched": Word(N_("Dispatched"), "send", "calm"),
        "accepted": Word(N_("Accepted"), "hand", "calm"),
        "executing": Word(N_("Executing"), "wrench", "warn"),
        "closed": Word(N_("Closed"), "check", "good"),
    }
)
ON_HOLD = Word(N_("On hold"), "pause", "grey")
DONE = Word(N_("Done"), "check", "good")

OUTCOMES: Mapping[str, Word] = MappingProxyType(
    {
        "repaired": Word(N_("Repaired"), "check", "good"),
        "false_alarm": Word(N_("False alarm"), "cross", "grey"),
        "no_fault_found": Word(N_("No fault found"), "cross", "grey"),
        "deferred": Word(N_("Deferred"), "pause", "warn"),
        "cancelled": Word(N_("Cancelled"), "cross", "grey"),
    }
)

KINDS: Mapping[str, Word] = MappingProxyType(
    {
        "preventive": Word(N_("Preventive"), "wave", "calm"),
        "corrective": Word(N_("Corrective"), "wrench", "grey"),
        "inspection": Word(N_("Inspection"), "clock", "grey"),
        "production": Word(N_("Production"), "wrench", "grey"),
    }
)

PRIORITIES: Mapping[int, Word] = MappingProxyType(
    {
        0: Word(N_("P0 line stop"), "alarm", "bad"),
        1: Word(N_("P1 urgent"), "alarm", "bad"),
        2: Word(N_("P2 high"), "up", "warn"),
        3: Word(N_("P3 normal"), "flat", "grey"),
        4: Word(N_("P4 low"), "down", "grey"),
    }
)

SEVERITIES: Mapping[str, Word] = MappingProxyType(
    {
        "low": Word(N_("Low"), "info", "grey"),
        "medium": Word(N_("Medium"), "info", "warn"),
        "high": Word(N_("High"), "alarm", "bad"),
        "critical": Word(N_("Critical"), "alarm", "bad"),
    }
)

STAGES: Mapping[str, Word] = MappingProxyType(
    {"watch": Word(N_("Watch"), "eye", "calm"), "ticket": Word(N_("Ticket"), "alarm", "warn")}
)

PREDICTION_STATUSES: Mapping[str, Word] = MappingProxyType(
    {
        "open": Word(N_("Open"), "eye", "calm"),
        "rejected": Word(N_("Rejected"), "cross", "grey"),
        "lapsed": Word(N_("Lapsed"), "clock", "grey"),
        "closed": Word(N_("Closed"), "check", "good"),
    }
)

# The clocks of a ticket, in the order in which they run out.
CLOCKS: Mapping[str, str] = MappingProxyType(
    {
        "accept": N_("Accept by"),
        "promise": N_("Promised response"),
        "respond": N_("Respond by"),
        "resolve": N_("Resolve by"),
        "close": N_("Close by"),
    }
)

CLOCK_STATES: Mapping[str, Word] = MappingProxyType(
    {
        "met": Word(N_("met"), "check", "good"),
        "late": Word(N_("met too late"), "cross", "bad"),
        "paused": Word(N_("paused by the hold"), "pause", "grey"),
    }
)

EVIDENCE_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "prior": N_("How common it is"),
        "finding": N_("Finding"),
        "event": N_("Event"),
        "part_age": N_("Age of the part"),
    }
)

DETECTORS: Mapping[str, str] = MappingProxyType(
    {
        "threshold": N_("limit crossed"),
        "step": N_("sudden step"),
        "cusum": N_("slow drift"),
        "missing": N_("readings missing"),
        "level": N_("level far from its baseline"),
        "record": N_("new record"),
    }
)

DIRECTIONS: Mapping[str, Word] = MappingProxyType(
    {
        "up": Word(N_("too high"), "up", "warn"),
        "down": Word(N_("too low"), "down", "warn"),
        "none": Word(N_("unusual"), "flat", "warn"),
    }
)

ROLES: Mapping[str, str] = MappingProxyType(
    {
        "admin": N_("Administrator"),
        "planner": N_("Planner"),
        "supervisor": N_("Supervisor"),
        "engineer": N_("Engineer"),
        "requester": N_("Requester"),
        "integration": N_("Integration"),
    }
)

# Metrics end in their unit (STYLE: units go last); people read the quantity and the unit apart.
UNITS: Mapping[str, str] = MappingProxyType(
    {
        "_mm_s": "mm/s",
        "_l_min": "l/min",
        "_percent": "%",
        "_rpm": "rpm",
        "_bar": "bar",
        "_kw": "kW",
        "_hz": "Hz",
        "_c": "°C",
        "_a": "A",
        "_v": "V",
    }
)
QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        "vibration": N_("vibration"),
        "temperature": N_("temperature"),
        "current": N_("current"),
        "speed": N_("speed"),
        "flow": N_("flow"),
        "pressure": N_("pressure"),
        "discharge_pressure": N_("discharge pressure"),
        "suction_pressure": N_("suction pressure"),
        "power": N_("power"),
        "setpoint": N_("set point"),
        "heater": N_("heater"),
        "volt": N_("voltage"),
        "rotate": N_("rotation"),
    }
)

# What a timeline entry's facts are called when no form asks for them.
FACTS: Mapping[str, str] = MappingProxyType(
    {
        "assignee_id": N_("Engineer"),
        "previous_assignee_id": N_("Engineer before"),
        "finding_ids": N_("Findings"),
        "expected_response_at": N_("Expected response"),
        "attachment_id": N_("Attachment"),
        "content": N_("Content"),
        "reason": N_("Reason"),
        "review_at": N_("Review date"),
        "lines": N_("Parts"),
        "number": N_("Task"),
        "resolution_code": N_("Resolution"),
        "found_failure_mode": N_("Failure mode found"),
        "cause": N_("Cause"),
        "action_taken": N_("Action taken"),
        "work_finished_at": N_("Work finished"),
        "satisfied": N_("Satisfied"),
        "solved": N_("Solved"),
        "comment": N_("Comment"),
        "latitude": N_("Latitude"),
        "longitude": N_("Longitude"),
        "priority": N_("Priority"),
        "line_stopped": N_("Line stopped"),
        "failure_mode": N_("Failure mode"),
        "clock": N_("Clock"),
    }
)

DISPATCH_RULES: Mapping[str, str] = MappingProxyType(
    {
        "engineer_at_site": N_("is no engineer at this site"),
        "active": N_("is inactive"),
        "on_duty": N_("is off duty"),
        "skills": N_("lacks a skill"),
        "load": N_("has enough open tickets"),
    }
)
SCORE_PARTS: Mapping[str, str] = MappingProxyType(
    {"distance": N_("distance"), "load": N_("free capacity"), "skill": N_("skill")}
)
SCORE_UNITS: Mapping[str, str] = MappingProxyType({"km": N_("km"), "tickets": N_("open tickets"), "level": N_("of 5")})

# The factors of the priority's score.
FACTORS: Mapping[str, str] = MappingProxyType(
    {"severity": N_("severity"), "criticality": N_("criticality"), "requester_tier": N_("requester's tier")}
)

CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "console": N_("console"),
        "api": N_("API"),
        "link": N_("confirmation link"),
        "desk": N_("automatic"),
        "device": N_("equipment"),
    }
)


def metric_words(metric: str, unit: str | None) -> tuple[str, str]:
    """Return a metric's quantity (a message of the catalogue where it is a known one) and its unit."""
    for suffix, symbol in UNITS.items():
        if metric.endswith(suffix):
            quantity = metric.removesuffix(suffix)
            return QUANTITIES.get(quantity, quantity.replace("_", " ")), unit or symbol
    return QUANTITIES.get(metric, metric.replace("_", " ")), unit or ""
