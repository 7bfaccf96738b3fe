"""One failure mode: how it shows itself, what it needs, and what closures made of each figure (SPEC P1, P3, P4)."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.dependencies import Database, ReadDetection
from api.detection_schemas import FailureModeLearning
from api.pages.rendering import frame, page
from api.routes import rules as routes
from api.schemas import Key
from detectors.learning import LearntPart, LearntPrior, LearntSign
from domain.failure_modes import EventSign, FailureMode, FindingSign
from domain.findings import Direction
from storage import console

router = APIRouter()

ANY_DETECTOR = "*"


@dataclass(frozen=True, slots=True)
class SignRow:
    """A sign with the weight in force (natural log-odds); ``learnt`` is None while no closure has tested it.

    An event's sign has its codes as ``subject``, joined by +, and no ``detector``.
    """

    subject: str
    detector: str | None
    direction: Direction | None
    within_h: float
    log_odds: float
    library: float
    learnt: LearntSign | None


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part with the figures in force, None where it is not expected; ``learnt`` is None before the first repair."""

    number: str
    name_en: str
    name_zh: str
    quantity: int | None
    probability: float | None
    learnt: LearntPart | None


@router.get("/failure-modes/{failure_mode_id}")
def show_failure_mode(
    failure_mode_id: Key, request: Request, caller: ReadDetection, database: Database
) -> HTMLResponse:
    """Show one mode of the failure-mode library with the arithmetic of what closures made of it."""
    told = routes.read_learning(failure_mode_id, caller, database)
    with database.connection() as connection:
        modes = console.mode_names(connection, told.mode.asset_type)
    context = {
        "modes": modes,
        "told": told,
        "mode": told.mode,
        "prior": _prior(told),
        "signs": _signs(told),
        "parts": _parts(told),
        "any_detector": ANY_DETECTOR,
    }
    return page(request, frame(request, caller.person, "predictions"), "failure_mode.html", context)


def _prior(told: FailureModeLearning) -> LearntPrior | None:
    """Return what was learnt about how common the mode is, unless the library has changed its figure since."""
    prior = None if told.learnt is None else told.learnt.prior
    return prior if prior is not None and prior.library == told.library.prior else None


def _signs(told: FailureModeLearning) -> list[SignRow]:
    """Return the signs in the library's order, each with the arithmetic that its weight in force comes from."""
    learnt = {} if told.learnt is None else {_key(sign): sign for sign in told.learnt.signs}
    rows = []
    for before, now in zip(_all(told.library), _all(told.mode), strict=True):
        sign = learnt.get(_key(before))
        used = sign if sign is not None and sign.library == before.log_odds else None
        subject, detector, direction, within_h = _key(before)
        rows.append(SignRow(subject, detector, direction, within_h, now.log_odds, before.log_odds, used))
    return rows


def _all(mode: FailureMode) -> list[FindingSign | EventSign]:
    return [*mode.signature.findings, *mode.signature.events]


def _key(sign: FindingSign | EventSign | LearntSign) -> tuple[str, str | None, Direction | None, float]:
    match sign:
        case EventSign():
            return "+".join(sign.codes), None, None, sign.within_h
        case FindingSign():
            return sign.metric, sign.detector, sign.direction, sign.within_h
        case LearntSign():
            return sign.subject, sign.detector, sign.direction, sign.within_h


def _parts(told: FailureModeLearning) -> list[PartRow]:
    """Return the parts in force, then those that repairs used too seldom to be expected."""
    own = {need.number: need for need in told.library.parts}
    learnt = {} if told.learnt is None else {part.number: part for part in told.learnt.parts}
    rows = []
    for need in told.mode.parts:
        part, listed = learnt.get(need.number), own.get(need.number)
        by_library = (None, None) if listed is None else (listed.probability, listed.quantity)
        is_used = part is not None and (part.library_probability, part.library_quantity) == by_library
        used = part if is_used else None
        rows.append(PartRow(need.number, need.name_en, need.name_zh, need.quantity, need.probability, used))
    expected = {need.number for need in told.mode.parts}
    seldom = [part for part in learnt.values() if part.number not in expected]
    return rows + [PartRow(one.number, one.name_en, one.name_zh, None, None, one) for one in seldom]
