"""The console's words for dispatch rules: what each hard rule asks, what the lint found, all skills or any."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import Word

HARD_RULES: Mapping[str, str] = MappingProxyType(
    {
        "engineer_at_site": N_("has the engineer's role at the site"),
        "active": N_("is active"),
        "on_duty": N_("is on duty"),
        "present": N_("is not absent"),
        "on_shift": N_("is on shift; or on call, when the ticket is urgent enough"),
        "team": N_("is of the ticket's team, or stands in for somebody of it"),
        "skills": N_("has the skills that the failure mode asks for"),
        "certificates": N_("holds every certificate that the site, the type or the failure mode asks for"),
        "site_access": N_("has a valid pass into the site, where passes are listed"),
        "brand": N_("works on the asset's brand, where brands are listed"),
        "load": N_("has fewer open tickets than the limit"),
    }
)

SKILL_RULES: Mapping[str, str] = MappingProxyType(
    {"all": N_("all skills that are asked"), "any": N_("any one skill that is asked")}
)

GRADES: Mapping[str, Word] = MappingProxyType(
    {
        "error": Word(N_("Nobody could be sent"), "alarm", "bad"),
        "warning": Word(N_("Worth a look"), "info", "warn"),
    }
)

# What the lint found, in short; its own sentence says where.
TROUBLES: Mapping[str, str] = MappingProxyType(
    {
        "nobody_at_site": N_("There is no engineer at the site."),
        "skill_of_nobody": N_("Nobody there has a skill that is asked for."),
        "all_of_nobody": N_("Nobody there has all the skills together."),
        "certificate_of_nobody": N_("Nobody there holds a certificate that is asked for."),
        "nobody": N_("Nobody there has skills, certificates and the way in together."),
        "no_skills": N_("An engineer without a skill goes only to work that asks none."),
    }
)
