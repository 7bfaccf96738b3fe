"""Words of the page of vibration: zones, classes, parts of a bearing, and what its envelope says in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from api.i18n import N_
from api.pages.words import Word
from detectors.bearings import LEAST_LIMIT, Part, limits_above
from detectors.severity_zones import Foundation, MachineGroup, Zone
from storage.bearing_verdicts import FEWEST_HEALTHY, BearingVerdict
from storage.vibration import MeasuringPoint

# The same in every language.
STANDARD, VELOCITY_UNIT = "ISO 20816-3:2022", "mm/s"

ZONES: Mapping[Zone, Word] = MappingProxyType(
    {
        Zone.A: Word(N_("Zone A: as of a new machine"), "check", "good"),
        Zone.B: Word(N_("Zone B: fit for long operation"), "check", "calm"),
        Zone.C: Word(N_("Zone C: fit for a limited time only"), "alarm", "warn"),
        Zone.D: Word(N_("Zone D: may cause damage"), "alarm", "bad"),
    }
)
GROUPS: Mapping[MachineGroup, str] = MappingProxyType(
    {
        MachineGroup.MEDIUM: N_("medium: 15 to 300 kW"),
        MachineGroup.LARGE: N_("large: above 300 kW, or shaft height from 315 mm"),
    }
)
FOUNDATIONS: Mapping[Foundation, str] = MappingProxyType(
    {Foundation.RIGID: N_("rigid"), Foundation.FLEXIBLE: N_("flexible")}
)
PARTS: Mapping[Part, str] = MappingProxyType(
    {
        Part.OUTER_RACE: N_("outer race (BPFO)"),
        Part.INNER_RACE: N_("inner race (BPFI)"),
        Part.ROLLING_ELEMENT: N_("rolling element (BSF)"),
        Part.CAGE: N_("cage (FTF)"),
    }
)
_NO_BEARING = N_("The inside of the bearing is not known: enter it, and each block tells the damaged part.")
_NO_BLOCK = N_("No block is kept whole yet, so no envelope can be read.")
_NO_SPEED = N_("The block does not tell the shaft's speed, and the bearing has no usual one: no line can be named.")
_NO_ENVELOPE = N_("The newest block is too short or too slow for an envelope.")
_NO_BASELINE = N_("{count} healthy blocks are known of the {least} from which on a line is judged.")
_NEAREST = N_("No bearing line is beyond its baseline; the nearest is {part} at {share} % of its limit.")
_NAMED = N_("{part} {hz} Hz seen in {seen} of {looked} harmonics, {times} × its baseline.")


def in_one_sentence(point: MeasuringPoint, translate: Callable[[str], str]) -> str:
    """Return what the newest block says of the point's bearing, or why it says nothing."""
    if point.bearing is None:
        return translate(_NO_BEARING)
    if point.block is None:
        return translate(_NO_BLOCK)
    if point.verdict is None:
        is_lost = point.block.row.speed_rpm is None and point.bearing.speed_rpm is None
        return translate(_NO_SPEED if is_lost else _NO_ENVELOPE)
    return verdict_said(point.verdict, translate)


def verdict_said(verdict: BearingVerdict, translate: Callable[[str], str]) -> str:
    """Return a verdict as one sentence."""
    if not verdict.is_judged:
        return translate(_NO_BASELINE).format(count=verdict.healthy_blocks, least=FEWEST_HEALTHY)
    named = verdict.named
    if named is not None and named.healthy:
        # Noise alone comes to LEAST_LIMIT: a lower line is not seen.
        told = translate(_NAMED).format(
            part=translate(PARTS[named.part]),
            hz=f"{named.frequency_hz:.1f}",
            seen=sum(ratio > LEAST_LIMIT for ratio in named.ratios),
            looked=len(named.ratios),
            times=f"{named.ratio / named.healthy:.1f}",
        )
        return told[:1].upper() + told[1:]
    limits = limits_above({one.part: one.healthy for one in verdict.parts if one.healthy is not None})
    judged = [(one.ratio / limits[one.part], one.part) for one in verdict.parts if one.part in limits]
    share, part = max(judged)
    return translate(_NEAREST).format(part=translate(PARTS[part]), share=f"{100 * share:.0f}")
