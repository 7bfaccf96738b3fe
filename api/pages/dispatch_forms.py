"""The dispatch rules as a form: a field for each number in groups, and whether all skills are asked or any one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

from psycopg import Connection
from starlette.datastructures import FormData

from api.dispatch_schemas import DispatchSection
from api.pages.forms import text
from api.pages.policy_forms import ChangeView, PolicyForm, change_views
from storage.policy_book import Body, PolicyField, PolicyKind, changes
from ticketing.policy.dispatch import NUMBERS, WEIGHT_LIMITS, WEIGHTS, WHOLE_NUMBERS, SkillRule

# Where each number stands on the page; the weights are a table of their own in the policy.
GROUPS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "hard": ("least_level", "load_limit", "on_call_priority"),
        "weights": WEIGHTS,
        "soft": ("near_km", "bonus_from", "same_fault_h"),
        "fallback": ("fallback_after_s", "urgent_fallback_after_s", "remind_every_s"),
    }
)


def _field(group: str, name: str) -> PolicyField:
    if group == "weights":
        return PolicyField(f"{group}.{name}", *WEIGHT_LIMITS, is_whole=False)
    if name in WHOLE_NUMBERS:
        return PolicyField(f"{group}.{name}", *WHOLE_NUMBERS[name], is_whole=True)
    return PolicyField(f"{group}.{name}", *NUMBERS[name], is_whole=False)


def _unchecked(_connection: Connection, _body: Body) -> None:
    """The section is checked where it is tried and published."""


KIND = PolicyKind(
    "dispatch", tuple(_field(group, name) for group, names in GROUPS.items() for name in names), _unchecked
)


@dataclass(frozen=True, slots=True)
class DispatchForm:
    """The rules as they are in force or were typed: ``skills`` is all or any, whatever was posted."""

    skills: str
    numbers: PolicyForm

    @classmethod
    def of_section(cls, section: DispatchSection) -> DispatchForm:
        """Return the form that says what a section says."""
        return cls(section.skills, PolicyForm.of_body(KIND, (), grouped(section)))

    @classmethod
    def of_posted(cls, form: FormData) -> DispatchForm:
        """Return the form as it was posted."""
        return cls(text(form, "skills")[:16], PolicyForm.of_posted(KIND, (), form))

    def is_right(self) -> bool:
        """Tell whether every field can be read and lies within its limits."""
        return self.skills in set(SkillRule) and self.numbers.is_right()

    def digest(self) -> str:
        """Return a mark of the values, by which a page tells whether they are those that somebody looked at."""
        return sha256(f"{self.skills} {self.numbers.digest()}".encode()).hexdigest()

    def section(self) -> dict[str, object]:
        """Return the section as the API takes it."""
        found = self.numbers.numbers()
        inside = {group: {name: found[f"{group}.{name}"] for name in names} for group, names in GROUPS.items()}
        weights = inside.pop("weights")
        flat = {name: number for numbers in inside.values() for name, number in numbers.items()}
        return {"skills": self.skills, **flat, "weights": weights}

    def changes(self, in_force: DispatchSection) -> list[ChangeView]:
        """Return the numbers that differ from what is in force."""
        return change_views(changes(grouped(in_force), grouped(DispatchSection.model_validate(self.section()))))


def grouped(section: DispatchSection) -> dict[str, dict[str, float]]:
    """Return the numbers of a section in the groups of the page."""
    return {
        group: {name: getattr(section.weights if group == "weights" else section, name) for name in names}
        for group, names in GROUPS.items()
    }
