"""The console's words for what the database says in code: each with an icon and a tone, so colour never speaks alone.

Messages are English and marked for the catalogue; templates translate them when they show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from api.i18n import N_
from api.pages.intake_words import INTAKE_CHANNELS, INTAKE_FACTS
from api.pages.moving_words import MOVING_FACTS
from api.pages.trouble_words import TROUBLES as TROUBLES


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
        "merged": Word(N_("Merged"), "cross", "grey"),
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
        "merged": Word(N_("Merged"), "send", "grey"),
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
        "history": N_("History of the asset"),
        "rival": N_("Another explanation"),
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
        "quality": N_("implausible readings"),
        "rate": N_("changes too fast"),
        "flatline": N_("stands still"),
        "ewma": N_("mean has shifted"),
        "trend": N_("trend towards its limit"),
        "t2q": N_("metrics no longer fit each other"),
    }
)

ALARM_STATES: Mapping[str, Word] = MappingProxyType(
    {
        "normal": Word(N_("Over"), "check", "good"),
        "active": Word(N_("Active"), "alarm", "bad"),
        "known": Word(N_("Known"), "eye", "calm"),
        "returned": Word(N_("Came and went"), "clock", "warn"),
        "shelved": Word(N_("Set aside"), "pause", "grey"),
        "suppressed": Word(N_("Only watched"), "eye", "grey"),
    }
)

# Figures of a finding's evidence that have a name for people.
EVIDENCE_FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "baseline": N_("Baseline"),
        "spread": N_("Spread of the baseline"),
        "count": N_("Samples in a row"),
        "regime": N_("Operating regime"),
        "slope_per_h": N_("Slope per hour"),
        "slope_low_per_h": N_("Slope per hour, lowest"),
        "slope_high_per_h": N_("Slope per hour, highest"),
        "time_to_limit_low_s": N_("Seconds to the limit, earliest"),
        "time_to_limit_s": N_("Seconds to the limit"),
        "time_to_limit_high_s": N_("Seconds to the limit, latest"),
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
        "level": N_("Priority"),
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
        "calendar_id": N_("Calendar"),
        "accept_due_at": N_("Accept by"),
        "respond_due_at": N_("Respond by"),
        "resolve_due_at": N_("Resolve by"),
        "close_due_at": N_("Close by"),
        "from_team_id": N_("Team before"),
        "ladder": N_("Escalation"),
        "step": N_("Rung"),
        "effect": N_("What it did"),
        "told": N_("Told"),
        "channels": N_("On"),
        "nobody": N_("There was"),
        **MOVING_FACTS,
        **INTAKE_FACTS,
    }
)

# What the tickets have in common that an expected resolution is learned from.
LIKENESS: Mapping[str, str] = MappingProxyType(
    {
        "failure_mode": N_("tickets of this failure mode, kind and priority"),
        "kind": N_("tickets of this kind and priority"),
        "priority": N_("tickets of this priority"),
        "all": N_("all tickets"),
    }
)

# Why the desk looked at a score again, beside the commands that ask for it.
LOOKS: Mapping[str, str] = MappingProxyType(
    {
        "window_opened": N_("a critical window began"),
        "window_closed": N_("a critical window ended"),
        "daily": N_("the daily look"),
    }
)

# The factors of the priority's score.
FACTORS: Mapping[str, str] = MappingProxyType(
    {
        "severity": N_("severity"),
        "finding": N_("gravest finding"),
        "criticality": N_("criticality"),
        "scope": N_("scope"),
        "situation": N_("critical window"),
        "requester_tier": N_("requester's tier"),
        "history": N_("history"),
    }
)

HEAT: Mapping[str, Word] = MappingProxyType(
    {
        "cool": Word(N_("cool"), "down", "grey"),
        "warm": Word(N_("warm"), "up", "warn"),
        "hot": Word(N_("hot"), "alarm", "bad"),
    }
)

CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "console": N_("console"),
        "api": N_("API"),
        "link": N_("confirmation link"),
        "desk": N_("automatic"),
        "device": N_("equipment"),
        **INTAKE_CHANNELS,
    }
)


# What equipment tells beside numbers, and how grave it says that is.
EVENT_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "error": N_("error"),
        "state": N_("state"),
        "operator": N_("operator"),
        "counter": N_("counter"),
    }
)
EVENT_SEVERITIES: Mapping[str, Word] = MappingProxyType(
    {
        "info": Word(N_("Note"), "info", "grey"),
        "warning": Word(N_("Warning"), "alarm", "warn"),
        "error": Word(N_("Error"), "alarm", "bad"),
        "critical": Word(N_("Critical"), "alarm", "bad"),
    }
)

# Why messages are in quarantine, in short; ingest has the long explanations.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "bad_topic": N_("Topic not understood"),
        "unknown_device": N_("Unknown device"),
        "too_large": N_("Too large"),
        "bad_json": N_("Not valid JSON"),
        "duplicate_key": N_("A name twice"),
        "wrong_shape": N_("Wrong shape"),
        "empty": N_("Empty"),
        "not_a_number": N_("Not a number"),
        "bad_timestamp": N_("Time not understood"),
        "too_far_ahead": N_("Too far ahead"),
        "too_old": N_("Too old"),
        "too_many_days": N_("Too many days"),
        "bad_sequence": N_("Counter not understood"),
        "bad_metric_name": N_("Metric name not allowed"),
        "too_many_metrics": N_("Too many metrics"),
        "too_many_names": N_("Too many names"),
        "bad_event": N_("Event not understood"),
        "bad_state": N_("State not understood"),
        "bad_waveform": N_("Waveform not understood"),
        "bad_device_name": N_("Device name not allowed"),
        "bad_line_protocol": N_("Line protocol not understood"),
        "bad_sparkplug": N_("Sparkplug not understood"),
        "unknown_alias": N_("Unknown alias"),
        "stale_alias": N_("Stale alias"),
        "sparkplug_data_set": N_("Sparkplug data set"),
        "sparkplug_template": N_("Sparkplug template"),
        "other_slice": N_("Belongs to another slice"),
        "feed_unusable": N_("Feed unusable"),
        "database_refused": N_("Refused by the database"),
        "processing_failed": N_("Processing failed"),
    }
)

# Kinds of papers that an asset has.
PAPERS: Mapping[str, str] = MappingProxyType({"contract": N_("Contract"), "manual": N_("Manual")})
# What the audit speaks of, by the name of the table.
CHANGED: Mapping[str, str] = MappingProxyType(
    {
        "asset": N_("Asset"),
        "device": N_("Device"),
        "component": N_("Component"),
        "installation": N_("Fitting"),
        "file": N_("File"),
        "credential": N_("Credential"),
        "feed": N_("Feed"),
        "gateway": N_("Gateway"),
        "bearing": N_("Bearing"),
        "severity_class": N_("Class for severity zones"),
        "regimes": N_("Operating regimes"),
        "person": N_("Person"),
        "role": N_("Role"),
        "password": N_("Password"),
    }
)
# Its fields that have a label on some page.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "name": N_("Name"),
        "language": N_("Language"),
        "team": N_("Team"),
        "latitude": N_("Latitude"),
        "longitude": N_("Longitude"),
        "load_limit": N_("Open tickets at most"),
        "on_duty": N_("On duty"),
        "active": N_("Active"),
        "requester_tier": N_("As a requester"),
        "site_id": N_("Site"),
        "topic": N_("Topics"),
        "decoder": N_("Dialect"),
        "settings": N_("Settings"),
        "enabled": N_("State"),
        "silent_after_s": N_("Silence alarm (s)"),
    }
)
# Values of its fields that have words of their own.
FIELD_VALUES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "language": {"en": N_("English"), "zh": N_("Chinese")},
        "requester_tier": {"standard": N_("Standard"), "vip": N_("VIP")},
    }
)
# The tables that the register imports.
TABLES: Mapping[str, str] = MappingProxyType(
    {
        "sites": N_("Sites"),
        "areas": N_("Areas"),
        "assets": N_("Assets"),
        "components": N_("Components"),
        "devices": N_("Devices"),
    }
)
IMPORTED: Mapping[str, Word] = MappingProxyType(
    {"created": Word(N_("new"), "spark", "violet"), "changed": Word(N_("changed"), "wrench", "warn")}
)

LEVELS: Mapping[str, str] = MappingProxyType(
    {"raw": N_("every reading"), "1m": N_("minutes"), "1h": N_("hours"), "1d": N_("days")}
)
