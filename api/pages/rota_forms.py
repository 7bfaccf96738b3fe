"""The form of a rota: worked days of the cycle as ranges with their hours, and members with the day they begin at."""

from __future__ import annotations

import re

from api.pages.forms import Typed, whole_number

# Rows of the form: hours that differ by day, and members. More of either is for the API.
DAY_ROWS = range(3)
MEMBER_ROWS = range(6)
DAYS_MAX = 366
_BETWEEN = re.compile(r"[\s,;，；、]+")


def rota_body(filled: Typed) -> dict[str, object]:
    """Return the form as the API takes a rota; what is no number is handed on as it came."""
    values = filled.values
    days = [
        {"number": number, "starts": values.get(f"starts-{row}", ""), "ends": values.get(f"ends-{row}", "")}
        for row in DAY_ROWS
        for number in _days(values.get(f"days-{row}", ""))
    ]
    members = [
        {"person_id": values[f"member-{row}"], "offset_days": values.get(f"offset-{row}", "").strip() or "0"}
        for row in MEMBER_ROWS
        if values.get(f"member-{row}")
    ]
    named = ("team_id", "name", "time_zone", "first_day", "cycle_days")
    return {
        **{name: values.get(name, "").strip() for name in named},
        "last_day": values.get("last_day", "").strip() or None,
        "on_call": "on_call" in values,
        "days": days,
        "members": members,
    }


def _days(line: str) -> list[object]:
    """Return the days that a line names: "0-4, 7" is 0, 1, 2, 3, 4 and 7."""
    found: list[object] = []
    for one in _BETWEEN.split(line.strip()):
        first, dash, last = one.partition("-")
        start, end = whole_number(first), whole_number(last)
        if start is not None and end is not None and start <= end < start + DAYS_MAX:
            found += range(start, end + 1)
        elif one:
            found.append(one if dash or start is None else start)
    return found
