"""What somebody typed of a critical window: once with two times, or weekly with weekdays and times of the day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData

from api.pages.forms import text
from api.pages.times import from_input, to_input
from storage.critical_windows import CriticalWindow
from ticketing.critical_windows import DAY_S

TEXT_MAX = 200
_TEXTS = ("site", "name", "asset_type", "factor", "when", "starts_at", "ends_at", "starts", "ends")


@dataclass(frozen=True, slots=True)
class TypedWindow:
    """The form as it is filled in: text, whatever it says. ``when`` says which half counts: "once" or "weekly"."""

    site: str = ""
    name: str = ""
    asset_type: str = ""
    factor: str = "1.5"
    when: str = "weekly"
    starts_at: str = ""
    ends_at: str = ""
    starts: str = ""
    ends: str = ""
    weekdays: Sequence[str] = ()

    @classmethod
    def of_posted(cls, form: FormData) -> TypedWindow:
        """Return the form as it was posted."""
        days = [one for one in form.getlist("weekdays") if isinstance(one, str)]
        return cls(**{name: text(form, name).replace("\0", "")[:TEXT_MAX] for name in _TEXTS}, weekdays=days[:7])

    @classmethod
    def of_stored(cls, window: CriticalWindow) -> TypedWindow:
        """Return the form that says what the window is."""
        zone = window.time_zone
        return cls(
            site=window.site_id,
            name=window.name,
            asset_type=window.asset_type_id or "",
            factor=f"{window.factor:g}",
            when="once" if window.starts_at else "weekly",
            starts_at=to_input(window.starts_at, zone) if window.starts_at else "",
            ends_at=to_input(window.ends_at, zone) if window.ends_at else "",
            starts=clock_of(window.starts_s),
            ends=clock_of(window.ends_s),
            weekdays=[str(day) for day in window.weekdays or ()],
        )

    def body(self, zone: str) -> dict[str, object]:
        """Return the window as the API takes it, its two times read at ``zone``."""
        told: dict[str, object] = {"name": self.name, "asset_type": self.asset_type or None, "factor": self.factor}
        if self.when == "once":
            times = {"starts_at": self.starts_at, "ends_at": self.ends_at}
            return told | {name: from_input(value, zone) for name, value in times.items() if value}
        end = seconds_of(self.ends)
        told |= {"weekdays": list(self.weekdays) or None, "starts_s": seconds_of(self.starts) if self.starts else None}
        # Midnight as an end is the end of the day, not its beginning.
        return told | {"ends_s": (DAY_S if end == 0 else end) if self.ends else None}


def seconds_of(clock: str) -> int | str:
    """Return a time of the day, "22:00", in seconds; text that is no such time as it came."""
    hours, _, minutes = clock.partition(":")
    is_time = hours.isascii() and hours.isdigit() and minutes[:2].isascii() and minutes[:2].isdigit()
    if not is_time or int(hours) > 24 or int(minutes[:2]) > 59:
        return clock
    return int(hours) * 3600 + int(minutes[:2]) * 60


def clock_of(seconds: int | None) -> str:
    """Return seconds of the day as a time field holds them; the end of the day is its midnight."""
    if seconds is None:
        return ""
    return f"{seconds % DAY_S // 3600:02d}:{seconds % 3600 // 60:02d}"
