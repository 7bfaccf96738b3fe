"""The console's words for what people decide about predictions, and for what keeps one from opening its ticket."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import Word

SNOOZED = Word(N_("Snoozed"), "pause", "grey")
WOKEN = Word(N_("Woken by graver evidence"), "alarm", "warn")
FOR_A_PERSON = Word(N_("Waits for a decision"), "hand", "calm")
HELD_BY_FLOOD = Word(N_("Held by a flood of alarms"), "wave", "warn")
HELD_BY_BUDGET = Word(N_("Held by the ticket budget"), "clock", "warn")

CHOICES: Mapping[str, Word] = MappingProxyType(
    {
        "confirm": Word(N_("Ticket opened"), "check", "good"),
        "reject": Word(N_("Rejected"), "cross", "grey"),
        "merge": Word(N_("Merged"), "send", "grey"),
        "snooze": SNOOZED,
        "edit": Word(N_("Corrected"), "wrench", "calm"),
    }
)

# Why a run to failure was not learnt from, after its number.
LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "too_short": N_("%(count)s too short: lives of less than 20 hours cannot be followed by hours"),
        "no_readings": N_("%(count)s without readings"),
        "metric_missing": N_("%(count)s without a metric that the others have"),
        "little_measured": N_("%(count)s of which less than half was measured"),
        "regime_unknown": N_("%(count)s whose operating regime is not known"),
    }
)

# For how long somebody may snooze in one go without naming a time.
SPANS: Mapping[str, tuple[str, timedelta]] = MappingProxyType(
    {
        "1d": (N_("1 day"), timedelta(days=1)),
        "3d": (N_("3 days"), timedelta(days=3)),
        "7d": (N_("7 days"), timedelta(days=7)),
    }
)
