"""The console's words for people: whether they are at work, what their certificates are worth, tables of people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import FIELD_VALUES, Word
from storage.qualifications import CertificateRow

# A certificate that ends within this time is worth a word: renewing one takes a while.
ENDS_SOON = timedelta(days=30)

STANDINGS: Mapping[str, Word] = MappingProxyType(
    {
        "on_shift": Word(N_("On shift"), "check", "good"),
        "unplanned": Word(N_("On duty"), "check", "good"),
        "on_call": Word(N_("On call"), "signal", "calm"),
        "off_shift": Word(N_("Off shift"), "clock", "grey"),
        "off_duty": Word(N_("Off duty"), "pause", "grey"),
        "absent": Word(N_("Absent"), "pause", "warn"),
        "inactive": Word(N_("Inactive"), "cross", "grey"),
    }
)

CERTIFICATE_STATES: Mapping[str, Word] = MappingProxyType(
    {
        "valid": Word(N_("Valid"), "check", "good"),
        "ends_soon": Word(N_("Ends soon"), "clock", "warn"),
        "expired": Word(N_("Expired"), "alarm", "bad"),
        "later": Word(N_("Not valid yet"), "clock", "grey"),
    }
)

LANGUAGES: Mapping[str, str] = FIELD_VALUES["language"]

_TIERS = FIELD_VALUES["requester_tier"]
TIERS: Mapping[str, Word] = MappingProxyType(
    {"standard": Word(_TIERS["standard"], "flat", "grey"), "vip": Word(_TIERS["vip"], "spark", "violet")}
)

# The tables that hold people.
TABLES: Mapping[str, str] = MappingProxyType(
    {
        "engineers": N_("Engineers"),
        "skills": N_("Skills"),
        "certificates": N_("Certificates"),
        "shifts": N_("Shifts"),
    }
)

WEEKDAYS = (
    N_("Monday"),
    N_("Tuesday"),
    N_("Wednesday"),
    N_("Thursday"),
    N_("Friday"),
    N_("Saturday"),
    N_("Sunday"),
)
SHORT_WEEKDAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))


def certificate_state(certificate: CertificateRow, day: date) -> str:
    """Return what a certificate is worth on a day; its last day is still good."""
    if day < certificate.valid_from:
        return "later"
    if certificate.valid_to is None:
        return "valid"
    if certificate.valid_to < day:
        return "expired"
    return "ends_soon" if certificate.valid_to - day <= ENDS_SOON else "valid"
