"""What somebody typed on the way to a ticket: kept as a draft after every step, read as the API's report at the end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlencode

from starlette.datastructures import FormData

from api.pages.forms import text
from api.pages.rows import BILL_COLUMNS, OPERATION_COLUMNS, TASK_COLUMNS, Line, asked, lines_kept, lines_of

# The draft of somebody who starts from the menu; the others belong to what they were started from.
FORM = "report"
_FORM_NAME = re.compile(r"report(?:\.(asset|schedule|refused)-([1-9][0-9]{0,17}))?")
_LINES: Mapping[str, Sequence[str]] = {
    "tasks": TASK_COLUMNS,
    "operations": OPERATION_COLUMNS,
    "bill": BILL_COLUMNS,
}
_WHERE = ("site", "tag", "serial_number", "kind")
_WHAT = ("title", "description", "failure_mode", "line_stopped", "requester_id", "team_id")
TEXT_MAX = 8_000
PREVIEW_TITLE, PREVIEW_DESCRIPTION = 120, 1_000


@dataclass(frozen=True, slots=True)
class Source:
    """The draft's name, and the record that it was started from: an asset, a schedule or a refused request."""

    form: str = FORM
    noun: str = ""
    key: int = 0

    @classmethod
    def of(cls, form: str) -> Source:
        """Return what the name of a draft says; any other name is the menu's."""
        found = _FORM_NAME.fullmatch(form)
        return cls() if found is None else cls(form, found[1] or "", int(found[2] or 0))

    def address(self, step: str = "") -> str:
        """Return the address of a step of this draft."""
        given = {"draft": "" if self.form == FORM else self.form, "step": step}
        query = urlencode({name: value for name, value in given.items() if value})
        return "/report" + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class TypedReport:
    """The report as it is filled in so far: text, whatever it says, and lines."""

    site: str = ""
    tag: str = ""
    serial_number: str = ""
    kind: str = "corrective"
    title: str = ""
    description: str = ""
    failure_mode: str = ""
    line_stopped: str = ""
    requester_id: str = ""
    team_id: str = ""
    tasks: Sequence[Line] = ()
    operations: Sequence[Line] = ()
    bill: Sequence[Line] = ()

    @classmethod
    def of_kept(cls, kept: Mapping[str, object]) -> TypedReport:
        """Return the report as a draft keeps it."""
        told = {name: str(kept[name]) for name in (*_WHERE, *_WHAT) if isinstance(kept.get(name), str)}
        return cls().given(told, {name: lines_kept(kept.get(name), columns) for name, columns in _LINES.items()})

    @classmethod
    def of_request(cls, told: Mapping[str, object]) -> TypedReport:
        """Return the report that a refused request asked for, as far as it can be read."""
        said = {name: _as_text(told[name]) for name in (*_WHERE, *_WHAT) if told.get(name) is not None}
        return cls().given(said, {name: _lines_asked(told.get(name), columns) for name, columns in _LINES.items()})

    def with_where(self, form: FormData) -> TypedReport:
        """Return it with what the first step says."""
        return self.given({name: _line(form, name) for name in _WHERE if name in form}, {})

    def with_what(self, form: FormData) -> TypedReport:
        """Return it with what the second step says; a box that is not ticked says no, lines not shown stay."""
        told = {name: _line(form, name) for name in _WHAT if name in form or name == "line_stopped"}
        shown = {part for part in text(form, "shown").split() if part in _LINES}
        return self.given(told, {name: lines_of(form, name, _LINES[name]) for name in shown})

    def given(self, texts: Mapping[str, str], lines: Mapping[str, Sequence[Line]]) -> TypedReport:
        """Return it with these fields in the place of its own."""
        return TypedReport(
            site=texts.get("site", self.site),
            tag=texts.get("tag", self.tag),
            serial_number=texts.get("serial_number", self.serial_number),
            kind=texts.get("kind", self.kind),
            title=texts.get("title", self.title),
            description=texts.get("description", self.description),
            failure_mode=texts.get("failure_mode", self.failure_mode),
            line_stopped=texts.get("line_stopped", self.line_stopped),
            requester_id=texts.get("requester_id", self.requester_id),
            team_id=texts.get("team_id", self.team_id),
            tasks=lines.get("tasks", self.tasks),
            operations=lines.get("operations", self.operations),
            bill=lines.get("bill", self.bill),
        )

    def draft(self) -> dict[str, object]:
        """Return it as a draft keeps it."""
        return {
            name: [dict(line) for line in value] if name in _LINES else value for name, value in asdict(self).items()
        }

    def report(self, asset_id: int) -> dict[str, object]:
        """Return it as the API takes it: what belongs to another kind of work is not sent."""
        told: dict[str, object] = {"asset_id": asset_id, "kind": self.kind, "title": self.title}
        told["description"] = self.description
        if self.kind == "corrective":
            told |= {"failure_mode": self.failure_mode or None, "line_stopped": self.line_stopped == "yes"}
        else:
            told["tasks"] = asked(self.tasks)
        if self.kind == "production":
            told |= {"operations": asked(self.operations), "bill": asked(self.bill)}
        return told | {"requester_id": self.requester_id or None, "team_id": self.team_id or None}


def _line(form: FormData, name: str) -> str:
    # Browsers end lines with CR LF; no database text holds a NUL.
    return text(form, name).replace("\r\n", "\n").replace("\0", "")[:TEXT_MAX]


def _as_text(value: object) -> str:
    if value is None or value is False:
        return ""
    return "yes" if value is True else str(value)[:TEXT_MAX]


def _lines_asked(told: object, columns: Sequence[str]) -> list[Line]:
    if not isinstance(told, list):
        return []
    lines = [one for one in told if isinstance(one, dict)]
    return [{name: _as_text(one.get(name)) for name in columns} for one in lines]
