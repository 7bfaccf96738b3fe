"""What the console calls the ways in, and the facts of opening a ticket and of its operations (SPEC T8, T10)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from api.i18n import N_

INTAKE_FACTS: Mapping[str, str] = MappingProxyType(
    {
        "operation": N_("Operation"),
        "channel": N_("Came in by"),
        "source": N_("Source system"),
        "external_ref": N_("Number in the source system"),
    }
)

INTAKE_CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "qr": N_("QR label"),
        "integration": N_("another system"),
        "schedule": N_("schedule"),
    }
)
