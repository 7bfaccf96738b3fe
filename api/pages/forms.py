"""Forms: what a browser posts for a step of a ticket, read as the facts that the lifecycle table names.

Nothing is judged here. What cannot be read as its type is handed on as it came, so that the rule itself refuses it
and says what it expected; and everything typed is kept, to be shown again beside the refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from api.pages.times import from_input
from api.schemas import Asked
from domain.refusals import Refused
from ticketing.facts import FactType
from ticketing.lifecycle import TABLE

# A checklist of a hundred lines of seven fields, three empty ones behind them, and what stands around it.
FIELDS_MAX = 800
FILES_MAX = 1
LINE_PREFIX = "lines:"
ERRORS_SHOWN = 3

Body = TypeVar("Body", bound=Asked)


async def _read_form(request: Request) -> FormData:
    """Read the body; the only thing a page waits for on the event loop."""
    return await request.form(max_fields=FIELDS_MAX, max_files=FILES_MAX)


PostedForm = Annotated[FormData, Depends(_read_form)]


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody typed into the form of one command; empty when the page is fresh.

    ``version`` is the ticket's version that the form was filled in against.
    """

    command: str | None = None
    version: int | None = None
    values: Mapping[str, str] = field(default_factory=dict)

    def value(self, command: str, name: str) -> str | None:
        """Return what was typed into a field of a command's form, or None."""
        return self.values.get(name) if command == self.command else None


FRESH = Typed()


def typed(command: str, form: FormData) -> Typed:
    """Return the text of a posted form; files cannot be put back into a form and are left out."""
    values = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    return Typed(command, whole_number(values.pop("version", "")), values)


def text(form: FormData, name: str) -> str:
    """Return a text field without outer spaces, empty when it is absent."""
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def body_of(shape: type[Body], given: Mapping[str, object]) -> Body:
    """Return a form as the body that the API's route takes; refused as the API would when it does not fit."""
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        found = error.errors()[:ERRORS_SHOWN]
        raise Refused(
            "invalid_request",
            expected="a form filled in as its labels say",
            got="; ".join(f"{'.'.join(str(step) for step in one['loc'])}: {one['msg']}" for one in found),
            remedy="Correct the fields named and send it again.",
        ) from None


def uploaded(form: FormData) -> UploadFile | None:
    """Return the file that was chosen, or None: browsers send an empty one when nothing was."""
    file = form.get("file")
    return file if isinstance(file, UploadFile) and file.filename else None


def whole_number(value: str) -> int | None:
    """Return a decimal number as int, None for anything else."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else None


def facts_of(command: str, posted: Typed, zone: str) -> dict[str, object]:
    """Return the facts that a form gives for ``command``; empty fields are facts not given."""
    types = {fact.name: fact.type for step in TABLE if step.command.value == command for fact in step.facts}
    facts: dict[str, object] = {}
    for name, kind in types.items():
        if kind is FactType.LINES:
            lines = _lines(posted.values)
            if lines:
                facts[name] = lines
            continue
        value = posted.values.get(name, "").strip()
        if value:
            facts[name] = _READERS.get(kind, _as_text)(value, zone)
    return facts


def _as_text(value: str, zone: str) -> object:
    return value


def _as_integer(value: str, zone: str) -> object:
    number = whole_number(value)
    return value if number is None else number


def _as_code(value: str, zone: str) -> object:
    """Read a tracking code as people type it: small letters are none of the code's."""
    return value.upper()


def _as_number(value: str, zone: str) -> object:
    try:
        return float(value)
    except ValueError:
        return value


def _as_boolean(value: str, zone: str) -> object:
    return {"true": True, "false": False}.get(value, value)


_READERS: Mapping[FactType, Callable[[str, str], object]] = {
    FactType.FUTURE_TIME: from_input,
    FactType.TIME: from_input,
    FactType.INTEGER: _as_integer,
    FactType.PERSON: _as_integer,
    FactType.TEAM: _as_integer,
    FactType.OPERATION: _as_integer,
    FactType.TICKET: _as_code,
    FactType.RATING: _as_integer,
    FactType.NUMBER: _as_number,
    FactType.READING: _as_number,
    FactType.BOOLEAN: _as_boolean,
}


def _lines(values: Mapping[str, str]) -> list[dict[str, object]]:
    """Gather "lines:<part>:<column>" fields, and the row for one more part, into lines; untouched rows stay out."""
    counts: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        if name.startswith(LINE_PREFIX):
            part, _, column = name.removeprefix(LINE_PREFIX).rpartition(":")
            counts.setdefault(part, {})[column] = _as_integer(value.strip() or "0", "")
    other = values.get("other_part", "").strip()
    if other:
        columns = ("issued", "used", "returned")
        counts[other] = {name: _as_integer(values.get(f"other_part_{name}", "").strip() or "0", "") for name in columns}
    return [{"part_number": part, **columns} for part, columns in counts.items() if any(columns.values())]
