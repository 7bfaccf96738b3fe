"""What people call a metric: the quantity and the unit out of its name, and the features of a waveform (SPEC E9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from api.i18n import N_

# Metrics end in their unit (STYLE: units go last); people read the quantity and the unit apart.
UNITS: Mapping[str, str] = MappingProxyType(
    {
        "_mm_s": "mm/s",
        "_l_min": "l/min",
        "_percent": "%",
        "_rpm": "rpm",
        "_bar": "bar",
        "_kw": "kW",
        "_hz": "Hz",
        "_c": "°C",
        "_a": "A",
        "_v": "V",
    }
)
QUANTITIES: Mapping[str, str] = MappingProxyType(
    {
        "vibration": N_("vibration"),
        "temperature": N_("temperature"),
        "current": N_("current"),
        "speed": N_("speed"),
        "flow": N_("flow"),
        "pressure": N_("pressure"),
        "discharge_pressure": N_("discharge pressure"),
        "suction_pressure": N_("suction pressure"),
        "power": N_("power"),
        "setpoint": N_("set point"),
        "heater": N_("heater"),
        "volt": N_("voltage"),
        "rotate": N_("rotation"),
        "drive_end": N_("drive end"),
        "non_drive_end": N_("non-drive end"),
    }
)
# What a block of samples is made into: `{metric}.{feature}`, some of them numbered.
FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "rms": N_("RMS"),
        "peak": N_("peak"),
        "crest": N_("crest factor"),
        "kurtosis": N_("kurtosis"),
        "velocity_rms_mm_s": N_("velocity RMS"),
        "band_{number}": N_("band {number}"),
        "envelope_peak_{number}": N_("envelope peak {number}"),
        "envelope_peak_{number}_hz": N_("frequency of envelope peak {number}"),
    }
)
_NUMBER = re.compile(r"(?<=_)\d+")


def quantity_of(metric: str, translate: Callable[[str], str]) -> str:
    """Return what is measured, in the reader's words where it is known and else as it is called."""
    measured, _, feature = metric.rpartition(".")
    message = FEATURES.get(_NUMBER.sub("{number}", feature)) if measured else None
    if message is not None:
        number = _NUMBER.search(feature)
        told = translate(message).replace("{number}", number[0] if number else "")
        return f"{quantity_of(measured, translate)} · {told}"
    bare = next((metric.removesuffix(suffix) for suffix in UNITS if metric.endswith(suffix)), metric)
    return translate(QUANTITIES.get(bare, bare.replace("_", " ")))


def unit_of(metric: str, unit: str | None) -> str:
    """Return a metric's unit: its own, or the one that its name ends in; empty where it has none."""
    return unit or next((symbol for suffix, symbol in UNITS.items() if metric.endswith(suffix)), "")
