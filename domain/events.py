"""Events: what equipment and people report beside numbers (SPEC E9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What sort of thing happened."""

    ERROR = "error"
    STATE = "state"
    OPERATOR = "operator"
    COUNTER = "counter"


class EventSeverity(StrEnum):
    """How grave the sender says it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


# An operator entry with this code says that a component was replaced: attributes {"component": name}.
COMPONENT_REPLACED = "component_replaced"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one asset. ``ts`` is aware and on the equipment's clock."""

    ts: datetime
    kind: EventKind
    code: str
    severity: EventSeverity
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
