"""The words of a dispatch decision: what each rule says of who breaks it, and what a score is made of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from api.i18n import N_

DISPATCH_RULES: Mapping[str, str] = MappingProxyType(
    {
        "engineer_at_site": N_("is no engineer at this site"),
        "active": N_("is inactive"),
        "on_duty": N_("is off duty"),
        "present": N_("is absent"),
        "on_shift": N_("is off shift"),
        "team": N_("is of another team"),
        "skills": N_("lacks a skill"),
        "certificates": N_("lacks a valid certificate"),
        "site_access": N_("has no pass into the site"),
        "brand": N_("works on other brands"),
        "load": N_("has enough open tickets"),
    }
)
SCORE_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "distance": N_("distance"),
        "load": N_("free capacity"),
        "skill": N_("skill"),
        "first_time_fix": N_("repairs that held"),
        "same_fault": N_("same fault lately"),
        "continuity": N_("knows this asset"),
    }
)
SCORE_UNITS: Mapping[str, str] = MappingProxyType(
    {
        "km": N_("km"),
        "tickets": N_("open tickets"),
        "level": N_("of 5"),
        "percent": N_("per cent at least"),
        "hours": N_("hours ago"),
    }
)
# What was found is told beside these rules; the others say it all by themselves.
RULES_WITH_FINDINGS = frozenset({"skills", "load", "present", "on_shift", "certificates", "site_access", "brand"})
