"""Alarm states of a finding, after ISA-18.2 (SPEC D1).

    normal      cleared, and somebody has seen that it was
    active      it holds and nobody has said that they know
    known       it holds and somebody has acknowledged it
    returned    it has cleared, and nobody acknowledged it while it held: it must not vanish unseen
    shelved     set aside by a person, with a reason and an end
    suppressed  its rule only watches (shadow): never shown as an alarm

Source: ANSI/ISA-18.2-2016, alarm state transition diagram.
"""

from __future__ import annotations

from enum import StrEnum


class AlarmState(StrEnum):
    """Where a finding stands with the people who watch."""

    NORMAL = "normal"
    ACTIVE = "active"
    KNOWN = "known"
    RETURNED = "returned"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"


# Whether it holds, and whether somebody has acknowledged it.
_BY_FACTS = {
    (True, False): AlarmState.ACTIVE,
    (True, True): AlarmState.KNOWN,
    (False, False): AlarmState.RETURNED,
    (False, True): AlarmState.NORMAL,
}


def alarm_state(*, holds: bool, acknowledged: bool, shelved: bool, shadow: bool) -> AlarmState:
    """Return the state that follows from the facts; what its rule or a person set aside comes before the rest."""
    if shadow:
        return AlarmState.SUPPRESSED
    if shelved:
        return AlarmState.SHELVED
    return _BY_FACTS[holds, acknowledged]
