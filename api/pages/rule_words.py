"""The console's words for rules: their modes, and what became of a proposal to change one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import Word

RULE_MODES: Mapping[str, Word] = MappingProxyType(
    {
        "off": Word(N_("Off"), "cross", "grey"),
        "shadow": Word(N_("Shadow"), "eye", "grey"),
        "review": Word(N_("Review"), "hand", "calm"),
        "auto": Word(N_("Automatic"), "spark", "good"),
    }
)

RULE_MODE_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "off": N_("looks at nothing"),
        "shadow": N_("its findings are kept and move nothing"),
        "review": N_("predictions wait for a person"),
        "auto": N_("predictions open tickets by themselves"),
    }
)

PROPOSAL_STATUSES: Mapping[str, Word] = MappingProxyType(
    {
        "open": Word(N_("Open"), "eye", "calm"),
        "accepted": Word(N_("Proposal accepted"), "check", "good"),
        "declined": Word(N_("Proposal declined"), "cross", "grey"),
        "withdrawn": Word(N_("Proposal withdrawn"), "flat", "grey"),
    }
)
