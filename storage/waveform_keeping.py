"""Which waveform blocks are kept whole: the policy, and the decision as a pure function (SPEC E3, E7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.readings import MICROSECONDS_PER_SECOND
from domain.refusals import Refused
from domain.waveforms import WaveformBlock

POLICY = "waveforms"


class Keep(StrEnum):
    """What is kept when nothing is wrong."""

    NONE = "none"
    EVERY = "every"
    ALL = "all"


class KeptFor(StrEnum):
    """Why a block was kept."""

    SCHEDULE = "schedule"
    FINDING = "finding"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """Which blocks are kept, for how long, and at most how many bytes of a device in a day (UTC).

    ``every_s`` is the interval of Keep.EVERY in seconds of equipment time, counted from 1970.
    """

    keep: Keep
    every_s: int
    keep_when_finding: bool
    keep_days: int
    device_day_bytes: int

    def slot_us(self, ts_us: int) -> tuple[int, int]:
        """Return the interval that a time lies in, from and to (excluded), in microseconds since 1970."""
        every_us = self.every_s * MICROSECONDS_PER_SECOND
        start = ts_us // every_us * every_us
        return start, start + every_us


@dataclass(frozen=True, slots=True)
class Situation:
    """What a block meets in the database."""

    asset_id: int
    is_stored: bool
    slot_is_taken: bool
    finding_is_open: bool


# field -> (smallest, largest)
_BOUNDS: Mapping[str, tuple[int, int]] = {
    "every_s": (1, 366 * 86_400),
    "keep_days": (1, 3_660),
    "device_day_bytes": (1, 2**40),
}


def read_keep_policy(body: Mapping[str, object]) -> KeepPolicy:
    """Check and return the policy. Raises Refused("invalid_policy") naming the first field that is wrong."""
    expected = {"name", "keep", "keep_when_finding", *_BOUNDS}
    if set(body) != expected:
        wrong = sorted(set(body) ^ expected)
        raise _invalid(f"the fields {', '.join(sorted(expected))}", f"missing or unknown: {', '.join(wrong)}")
    if body["name"] != POLICY:
        raise _invalid(f"name '{POLICY}'", repr(body["name"]))
    if body["keep"] not in tuple(Keep):
        raise _invalid(f"keep as one of {', '.join(Keep)}", repr(body["keep"]))
    when_finding = body["keep_when_finding"]
    if not isinstance(when_finding, bool):
        raise _invalid("keep_when_finding as true or false", repr(when_finding))
    numbers: dict[str, int] = {}
    for name, (smallest, largest) in _BOUNDS.items():
        value = body[name]
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
            raise _invalid(f"{name} as a whole number from {smallest} to {largest}", repr(value))
        numbers[name] = value
    return KeepPolicy(Keep(str(body["keep"])), keep_when_finding=when_finding, **numbers)


def choose(
    blocks: Sequence[tuple[int, WaveformBlock]], situations: Sequence[Situation], policy: KeepPolicy
) -> list[KeptFor | None]:
    """Return for each block (device id, block) why it is kept, or None; oldest first, or intervals start too late."""
    taken: set[tuple[int, str, int]] = set()
    seen: set[tuple[int, str, int]] = set()
    chosen: list[KeptFor | None] = []
    for (device_id, block), met in zip(blocks, situations, strict=True):
        this = (device_id, block.metric, block.ts_us)
        slot = (device_id, block.metric, policy.slot_us(block.ts_us)[0])
        why = None
        if met.is_stored or this in seen:
            pass
        elif policy.keep is Keep.ALL:
            why = KeptFor.ALL
        elif policy.keep is Keep.EVERY and not met.slot_is_taken and slot not in taken:
            why = KeptFor.SCHEDULE
        elif policy.keep_when_finding and met.finding_is_open:
            why = KeptFor.FINDING
        if why is not None:
            taken.add(slot)
            seen.add(this)
        chosen.append(why)
    return chosen


def _invalid(expected: str, got: str) -> Refused:
    return Refused(
        "invalid_policy", expected=expected, got=got, remedy="See editions/policy/waveforms.toml for all fields."
    )
