"""Lines of a form that repeat: a checklist, operations, a bill of materials. A line that nobody filled in stays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.datastructures import FormData

from api.pages.forms import whole_number

TASK_COLUMNS = ("text_en", "text_zh", "unit", "low_limit", "high_limit", "opens_ticket", "failure_mode")
OPERATION_COLUMNS = ("name", "quality_check", "engineer_id")
BILL_COLUMNS = ("part_number", "quantity")

Line = Mapping[str, str]


def lines_of(form: FormData, prefix: str, columns: Sequence[str]) -> list[Line]:
    """Gather the fields "prefix:number:column" into lines, in the order of their numbers."""
    found: dict[int, dict[str, str]] = {}
    for name, value in form.multi_items():
        start, _, rest = name.partition(":")
        number, _, column = rest.partition(":")
        place = whole_number(number)
        if start == prefix and column in columns and place is not None and isinstance(value, str) and value.strip():
            found.setdefault(place, {})[column] = value.strip().replace("\0", "")
    return [_whole(found[place], columns) for place in sorted(found)]


def lines_kept(kept: object, columns: Sequence[str]) -> list[Line]:
    """Return lines as a draft keeps them; what is no line of text stays out."""
    if not isinstance(kept, list):
        return []
    lines = [one for one in kept if isinstance(one, dict)]
    return [_whole({name: one[name] for name in columns if isinstance(one.get(name), str)}, columns) for one in lines]


def lines_stored(stored: Sequence[Mapping[str, object]]) -> list[Line]:
    """Return a checklist that is stored as lines of a form."""
    return [_whole({name: _written(one.get(name)) for name in TASK_COLUMNS}, TASK_COLUMNS) for one in stored]


def asked(lines: Sequence[Line]) -> list[dict[str, object]]:
    """Return lines as the API takes them: an empty field is not given, a tick says yes."""
    return [{name: value for name, value in line.items() if value} for line in lines]


def _whole(given: Mapping[str, str], columns: Sequence[str]) -> Line:
    return {name: given.get(name, "") for name in columns}


def _written(value: object) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "yes"
    return f"{value:.12g}" if isinstance(value, int | float) else str(value)
