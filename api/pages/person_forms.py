"""The forms of a person's page: what somebody typed, read as the bodies that the API's routes take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from api.pages.forms import Typed
from api.pages.times import from_input
from storage.crew import PersonNow
from storage.qualifications import Qualifications

# Empty rows for more skills; each saving brings new ones.
MORE_SKILLS = 3
LEVELS = range(1, 6)
LEVEL_USUAL = "3"
MORE_ROLES = 2


@dataclass(frozen=True, slots=True)
class SkillRow:
    """One skill of the form with its level as text."""

    number: int
    skill: str
    level: str


@dataclass(frozen=True, slots=True)
class PassRow:
    """A site with whether the person may enter it, and the last day as text, empty for ever."""

    site: str
    is_held: bool
    until: str


@dataclass(frozen=True, slots=True)
class QualificationsForm:
    """The form of what a person can and may do, as stored or as it was typed."""

    skills: list[SkillRow]
    brands: str
    passes: list[PassRow]

    @classmethod
    def of_stored(cls, stored: Qualifications, sites: Iterable[str]) -> QualificationsForm:
        """Return the form that says what is stored, with room for more."""
        known = [(skill, str(level)) for skill, level in sorted(stored.skills.items())]
        rows = [*known, *[("", LEVEL_USUAL)] * MORE_SKILLS]
        passes = [PassRow(site, site in stored.site_access, _written(stored.site_access.get(site))) for site in sites]
        return cls([SkillRow(number, *row) for number, row in enumerate(rows)], "\n".join(stored.brands), passes)

    @classmethod
    def of_typed(cls, filled: Typed, sites: Iterable[str]) -> QualificationsForm:
        """Return the form as it was posted."""
        values = filled.values
        count = sum(name.startswith("skill:") for name in values)
        skills = [
            SkillRow(number, values.get(f"skill:{number}", "").strip(), values.get(f"level:{number}", LEVEL_USUAL))
            for number in range(count)
        ]
        passes = [PassRow(site, f"pass:{site}" in values, values.get(f"until:{site}", "").strip()) for site in sites]
        return cls(skills, values.get("brands", ""), passes)

    def body(self) -> dict[str, object]:
        """Return it as the API takes qualifications; a row without a name is no skill."""
        return {
            "skills": {row.skill: row.level for row in self.skills if row.skill},
            "brands": [line.strip() for line in self.brands.splitlines() if line.strip()],
            "site_access": {row.site: row.until or None for row in self.passes if row.is_held},
        }


@dataclass(frozen=True, slots=True)
class RoleRow:
    """One role of the form, empty for none, and its site, empty for every site."""

    number: int
    role: str
    site: str


@dataclass(frozen=True, slots=True)
class WhoForm:
    """The form of who somebody is, as stored or as it was typed; ``version`` is the one it was filled in against."""

    version: int
    name: str
    language: str
    team: str
    load_limit: str
    latitude: str
    longitude: str
    requester_tier: str
    on_duty: bool
    roles: list[RoleRow]

    @classmethod
    def of_stored(cls, person: PersonNow) -> WhoForm:
        """Return the form that says what is stored, with room for more roles."""
        held = [(role, site or "") for role, site in person.held()]
        return cls(
            version=person.version,
            name=person.name,
            language=person.language,
            team=person.team or "",
            load_limit=str(person.load_limit),
            latitude=_written(person.latitude),
            longitude=_written(person.longitude),
            requester_tier=person.requester_tier,
            on_duty=person.on_duty,
            roles=[RoleRow(number, *row) for number, row in enumerate([*held, *[("", "")] * MORE_ROLES])],
        )

    @classmethod
    def of_typed(cls, filled: Typed) -> WhoForm:
        """Return the form as it was posted."""
        values = filled.values
        count = sum(name.startswith("role:") for name in values)
        return cls(
            version=filled.version or 0,
            **{name: values.get(name, "").strip() for name in _WHO_TEXTS},
            on_duty="on_duty" in values,
            roles=[
                RoleRow(number, values.get(f"role:{number}", ""), values.get(f"site:{number}", ""))
                for number in range(count)
            ],
        )

    def body(self) -> dict[str, object]:
        """Return it as the API takes a change of a person; an empty team or place is none."""
        return {
            "version": self.version,
            **{name: getattr(self, name) for name in _WHO_TEXTS},
            **{name: getattr(self, name) or None for name in ("team", "latitude", "longitude")},
            "on_duty": self.on_duty,
            "roles": [{"role": row.role, "site": row.site or None} for row in self.roles if row.role],
        }


_WHO_TEXTS = ("name", "language", "team", "load_limit", "latitude", "longitude", "requester_tier")


def certificate_body(filled: Typed) -> dict[str, object]:
    """Return the form of a certificate as the API takes one; no last day: for ever."""
    return {name: _given(filled.values, name) for name in ("name", "valid_from", "valid_to")}


def absence_body(filled: Typed, person_id: int, zone: str) -> dict[str, object]:
    """Return the form of an absence as the API takes one, its times on the wall clock of ``zone``."""
    return {
        "person_id": person_id,
        "starts_at": from_input(filled.values.get("starts_at", ""), zone),
        "ends_at": from_input(filled.values.get("ends_at", ""), zone),
        "delegate_id": _given(filled.values, "delegate_id"),
        "reason": filled.values.get("reason", ""),
    }


def shift_body(filled: Typed, person_id: object, zone: str) -> dict[str, object]:
    """Return the form of a shift as the API takes one, its times on the wall clock of ``zone``."""
    return {
        "person_id": person_id,
        "starts_at": from_input(filled.values.get("starts_at", ""), zone),
        "ends_at": from_input(filled.values.get("ends_at", ""), zone),
        "on_call": "on_call" in filled.values,
    }


def _given(values: Mapping[str, str], name: str) -> str | None:
    return values.get(name, "").strip() or None


def _written(value: object) -> str:
    return "" if value is None else str(value)
