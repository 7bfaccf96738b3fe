"""What somebody typed of a schedule: what is to be done, and when it comes round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData

from api.pages.forms import text
from api.pages.rows import TASK_COLUMNS, Line, asked, lines_of, lines_stored
from storage.schedules import Schedule

_WORK = ("title_en", "title_zh", "description", "team_id")
_RHYTHM = ("rhythm", "unit", "every", "first_on", "lead_days", "series_id", "every_amount", "counted")
TEXT_MAX = 8_000


@dataclass(frozen=True, slots=True)
class TypedSchedule:
    """The form as it is filled in: text, whatever it says, and the lines of the checklist.

    ``rhythm`` says which half of the form counts: "calendar" or "meter".
    """

    title_en: str = ""
    title_zh: str = ""
    description: str = ""
    team_id: str = ""
    rhythm: str = "calendar"
    unit: str = "month"
    every: str = "1"
    first_on: str = ""
    lead_days: str = "0"
    series_id: str = ""
    every_amount: str = ""
    counted: str = "0"
    tasks: Sequence[Line] = ()

    @classmethod
    def of_posted(cls, form: FormData) -> TypedSchedule:
        """Return the form as it was posted."""
        told = {name: text(form, name).replace("\r\n", "\n")[:TEXT_MAX] for name in (*_WORK, *_RHYTHM) if name in form}
        return cls(**told, tasks=lines_of(form, "tasks", TASK_COLUMNS))

    @classmethod
    def of_stored(cls, schedule: Schedule) -> TypedSchedule:
        """Return the form that says what is to be done now; its rhythm stays, and has no fields."""
        return cls(
            title_en=schedule.title_en,
            title_zh=schedule.title_zh,
            description=schedule.description,
            team_id="" if schedule.team_id is None else str(schedule.team_id),
            tasks=lines_stored(schedule.checklist),
        )

    def work(self) -> dict[str, object]:
        """Return what is to be done, as the API takes it."""
        return {
            "title_en": self.title_en or self.title_zh,
            "title_zh": self.title_zh or None,
            "description": self.description,
            "team_id": self.team_id or None,
            "checklist": asked([_in_both(line) for line in self.tasks]),
        }

    def schedule(self, asset_id: int) -> dict[str, object]:
        """Return the whole schedule, as the API takes it: by the calendar or by a meter."""
        told = {**self.work(), "asset_id": asset_id}
        if self.rhythm == "meter":
            meter = {"series_id": self.series_id, "every_amount": self.every_amount, "counted": self.counted or "0"}
            return told | {"by_meter": meter}
        days = {"first_on": self.first_on, "lead_days": self.lead_days or "0"}
        return told | {"by_calendar": {"unit": self.unit, "every": self.every, **days}}


def _in_both(line: Line) -> Line:
    """Let a check that is written in Chinese only stand for both languages, as English alone does."""
    return {**line, "text_en": line["text_en"] or line["text_zh"]}
