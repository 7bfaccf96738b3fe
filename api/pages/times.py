"""Times as the console writes them: in the site's zone with the zone beside, and durations in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from api.i18n import N_

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
# What datetime-local inputs send and take.
INPUT_FORMAT = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class SiteTime:
    """A moment on a site's wall clock: the text, the zone's offset, and the moment for machines."""

    text: str
    zone: str
    machine: str


def site_time(moment: datetime, zone: str) -> SiteTime:
    """Return an aware ``moment`` as the site at ``zone`` (IANA name) reads it, to the minute."""
    local = moment.astimezone(ZoneInfo(zone))
    return SiteTime(local.strftime("%Y-%m-%d %H:%M"), offset_name(moment, zone), moment.astimezone(UTC).isoformat())


def offset_name(moment: datetime, zone: str) -> str:
    """Return the zone's offset at a moment: "UTC+8", "UTC-3:30". Abbreviations such as CST mean several zones."""
    offset = moment.astimezone(ZoneInfo(zone)).utcoffset() or timedelta(0)
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")


def common_zone(zones: Mapping[str, str]) -> str:
    """Return the zone (IANA name) in which to tell what belongs to no single site: that of all sites, or UTC."""
    found = set(zones.values())
    return found.pop() if len(found) == 1 else "UTC"


def from_input(text: str, zone: str) -> str:
    """Return what a datetime-local field of a form at ``zone`` means, in RFC 3339 with offset.

    Text that is no such time is returned as it came: the rule that reads it refuses it and says what it expects.
    """
    try:
        naive = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (naive if naive.tzinfo else naive.replace(tzinfo=ZoneInfo(zone))).isoformat()


def to_input(moment: datetime, zone: str) -> str:
    """Return a moment as the value of a datetime-local field at ``zone``."""
    return moment.astimezone(ZoneInfo(zone)).strftime(INPUT_FORMAT)


def milliseconds(moment: datetime) -> int:
    """Return a moment as scripts count it: ms since 1970 UTC."""
    return math.floor(moment.timestamp() * 1000)


def duration(seconds: float, *, in_days: bool = True) -> tuple[str, dict[str, int]]:
    """Return a message and its values for a duration's two largest units, a zero left out, as countdown.ts does.

    Working time is told with ``in_days`` False: two days of it would be read as two working days, not 48 hours.
    """
    whole = math.floor(abs(seconds))
    values = {
        "days": whole // DAY_S,
        "hours": (whole % DAY_S if in_days else whole) // HOUR_S,
        "minutes": whole % HOUR_S // MINUTE_S,
        "seconds": whole % MINUTE_S,
    }
    if in_days and values["days"]:
        return (N_("{days} d {hours} h") if values["hours"] else N_("{days} d")), values
    if values["hours"]:
        return (N_("{hours} h {minutes} min") if values["minutes"] else N_("{hours} h")), values
    if values["minutes"]:
        return (N_("{minutes} min {seconds} s") if values["seconds"] else N_("{minutes} min")), values
    return N_("{seconds} s"), values
