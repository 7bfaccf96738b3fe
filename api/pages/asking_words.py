"""Words of asking for work: kinds, warranty, rhythms of schedules, weekdays of windows, ways of recorded notices."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import Word

# What somebody may ask for, in the words of who asks.
KINDS_OF_WORK: Mapping[str, str] = MappingProxyType(
    {
        "corrective": N_("Report a fault"),
        "inspection": N_("Ask for an inspection"),
        "production": N_("Give a production order"),
    }
)

WARRANTIES: Mapping[str, Word] = MappingProxyType(
    {
        "in": Word(N_("in warranty"), "check", "good"),
        "out": Word(N_("out of warranty"), "clock", "warn"),
        "unknown": Word(N_("warranty not known"), "info", "grey"),
    }
)

# What a serial number fills in, as the register's page names it.
NAMEPLATE: Mapping[str, str] = MappingProxyType(
    {
        "serial_number": N_("Serial number"),
        "brand": N_("Brand"),
        "model": N_("Model"),
        "batch": N_("Batch"),
        "firmware": N_("Firmware"),
        "contract_number": N_("Contract"),
    }
)

# When work comes round: every single one, every so many.
RHYTHMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "day": (N_("every day"), N_("every {count} days")),
        "week": (N_("every week"), N_("every {count} weeks")),
        "month": (N_("every month"), N_("every {count} months")),
    }
)
UNITS: Mapping[str, str] = MappingProxyType({"day": N_("days"), "week": N_("weeks"), "month": N_("months")})

# ISO numbers of weekdays, as critical windows have them.
WEEKDAYS: Mapping[int, str] = MappingProxyType(
    {
        1: N_("Monday"),
        2: N_("Tuesday"),
        3: N_("Wednesday"),
        4: N_("Thursday"),
        5: N_("Friday"),
        6: N_("Saturday"),
        7: N_("Sunday"),
    }
)

NOTICE_CHANNELS: Mapping[str, Word] = MappingProxyType(
    {
        "phone": Word(N_("Phone call"), "signal", "calm"),
        "sms": Word(N_("Text message"), "send", "grey"),
    }
)
