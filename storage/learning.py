"""What closures taught, in the database: lessons as learning reads them, and what it made of each mode (SPEC P4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from detectors.learning import LearntMode, LearntPart, LearntPrior, LearntSign, Lesson, ToldFinding, UsedPart
from domain.findings import Direction
from storage.queries import load

QUERIES = load("learning")

# The newest lessons of a type count; those before are many more than the library's own strength.
LESSONS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Due:
    """An asset type to learn about, and the state of lessons, library and policy it is then learnt from."""

    asset_type: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt about a mode, and when (wall time)."""

    mode: LearntMode
    at: datetime


def types_due(connection: Connection) -> list[Due]:
    """Return the asset types about which something new was said since they were learnt about."""
    return [Due(*row) for row in connection.execute(QUERIES["types_due"], {"asset_type": None})]


def take_type(connection: Connection, asset_type: str) -> Due | None:
    """Hold an asset type until the transaction ends; None when another learner has done it meanwhile."""
    connection.execute(QUERIES["hold_learning"], {"asset_type": asset_type})
    row = connection.execute(QUERIES["types_due"], {"asset_type": asset_type}).fetchone()
    return None if row is None else Due(*row)


def lessons_of(connection: Connection, asset_type: str) -> list[Lesson]:
    """Return the lessons of an asset type that teach something, the newest first, at most ``LESSONS_MAX``."""
    rows = connection.execute(QUERIES["lessons"], {"asset_type": asset_type, "limit": LESSONS_MAX})
    return [_lesson(row) for row in rows]


def save_learnt(
    connection: Connection, due: Due, learnt: Mapping[int, LearntMode], lessons: int, now: datetime
) -> None:
    """Store what was learnt from so many lessons about the modes of an asset type, by their ids."""
    for mode_id, mode in learnt.items():
        told = {"failure_mode_id": mode_id, "learnt": Jsonb(asdict(mode)), "now": now}
        connection.execute(QUERIES["save_learnt_mode"], told)
    state = {"asset_type": due.asset_type, "fingerprint": due.fingerprint, "lessons": lessons, "now": now}
    connection.execute(QUERIES["save_learnt_type"], state)


def learnt_modes(connection: Connection, asset_type: str | None = None) -> dict[int, LearntMode]:
    """Return what was learnt about the modes of an asset type, or of all of them, by failure-mode id."""
    rows = connection.execute(QUERIES["learnt_modes"], {"asset_type": asset_type, "failure_mode_id": None})
    return {mode_id: _learnt(stored) for mode_id, stored, _ in rows}


def learnt_mode(connection: Connection, failure_mode_id: int) -> Learnt | None:
    """Return what was learnt about one mode; None before the first lesson of its type was read."""
    asked = {"asset_type": None, "failure_mode_id": failure_mode_id}
    row = connection.execute(QUERIES["learnt_modes"], asked).fetchone()
    return None if row is None else Learnt(_learnt(row[1]), row[2])


def _lesson(row: Sequence[Any]) -> Lesson:
    ticket, predicted, found, findings, events, part_age, parts = row
    return Lesson(
        ticket=ticket,
        predicted=predicted,
        found=found,
        findings=tuple(ToldFinding(one["metric"], one["detector"], Direction(one["direction"])) for one in findings),
        events=tuple(events),
        context_log_odds=part_age,
        parts=tuple(
            # Lessons of before the names were kept have numbers only.
            UsedPart(part["number"], part.get("name_en", ""), part.get("name_zh", ""), part["used"])
            for part in parts
            if part["used"] > 0
        ),
    )


def _learnt(stored: Mapping[str, Any]) -> LearntMode:
    signs = [
        {**sign, "direction": None if sign["direction"] is None else Direction(sign["direction"])}
        for sign in stored["signs"]
    ]
    return LearntMode(
        code=stored["code"],
        lessons=stored["lessons"],
        prior_strength=stored["prior_strength"],
        prior=LearntPrior(**stored["prior"]),
        signs=tuple(LearntSign(**sign) for sign in signs),
        parts=tuple(LearntPart(**part) for part in stored["parts"]),
    )
