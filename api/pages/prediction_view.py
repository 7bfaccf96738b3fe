"""What the page of one prediction shows, gathered; and its forms, read as the bodies that the API's routes take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from api.detection_schemas import Merge, PredictionEdit, Snooze
from api.identity import Caller
from api.languages import Language
from api.pages import prediction_words
from api.pages.access import may
from api.pages.forms import Typed, body_of
from api.pages.ticket_view import plots_of
from api.pages.times import from_input
from api.permissions import Action
from domain.predictions import WINDOW_SOURCE_EN, WINDOW_SOURCE_ZH, WindowSource
from domain.refusals import Refused
from storage import console
from storage.console import PredictionRow
from storage.prediction_decisions import PredictionDecision, decisions_about, is_snoozed
from storage.remaining_life import learning_of_mode
from storage.supply import expected_parts

# A prediction may be merged into one of these, the likeliest first; a mode has one open prediction of an asset at most.
TARGETS_MAX = 50


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when a failure is expected (equipment time)."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class ToldDecision:
    """A decision with what it changed, in the reader's names. ``at`` and ``until`` are wall time.

    ``into`` and ``taken`` are ids of predictions: where this one went, or which one came here, with its ``mode``.
    """

    kind: str
    at: datetime
    person: str
    reason: str
    mode: str | None = None
    mode_before: str | None = None
    windows: tuple[Window, Window] | None = None
    until: datetime | None = None
    into: str | None = None
    taken: str | None = None
    ticket: str | None = None


def prediction_context(
    connection: Connection, caller: Caller, row: PredictionRow, language: Language, now: datetime
) -> dict[str, object]:
    """Return everything the template of a prediction needs, apart from what a form was refused for."""
    modes = console.mode_names(connection, row.asset_type)
    names = {one.code: one.name_zh if language is Language.ZH else one.name_en for one in modes}
    in_force = {one.code for one in modes if not one.is_retired}
    source = WINDOW_SOURCE_ZH if language is Language.ZH else WINDOW_SOURCE_EN
    may_decide = (
        row.status == "open" and row.ticket_code is None and may(caller.person, Action.DECIDE_PREDICTION, row.site_id)
    )
    return {
        "prediction_words": prediction_words,
        "prediction": row,
        "zone": console.site_zones(connection)[row.site_id],
        "weights_list": console.contributions(connection, row.id),
        "parts": expected_parts(connection, row.id, now),
        "plots": plots_of(connection, console.finding_rows(connection, prediction_id=row.id)),
        "decisions": told_decisions(decisions_about(connection, row.id), names),
        "merged": console.prediction_row(connection, row.merged_into) if row.merged_into is not None else None,
        "sleeps": is_snoozed(connection, row.id, now),
        "may_decide": may_decide,
        "targets": _targets(connection, row) if may_decide else [],
        "modes": {code: name for code, name in names.items() if code in in_force},
        "window_source": None if row.is_window_corrected else source[WindowSource(row.window_source)],
        "learnt": learning_of_mode(connection, row.failure_mode_id),
        "spans": {name: label for name, (label, _) in prediction_words.SPANS.items()},
    }


def told_decisions(decisions: Sequence[PredictionDecision], names: Mapping[str, str]) -> list[ToldDecision]:
    """Return decisions as a page tells them, the newest first; ``names`` are those of failure modes by code."""
    return [_told(one, names) for one in reversed(decisions)]


def snooze_body(posted: Typed, zone: str, now: datetime) -> Snooze:
    """Return what the form asks: a time that was typed goes before a length that was chosen."""
    typed_until = posted.values.get("until", "").strip()
    span = posted.values.get("span", "")
    if not typed_until and span not in prediction_words.SPANS:
        raise Refused(
            "invalid_fact",
            expected=f"one of the lengths {', '.join(prediction_words.SPANS)}, or a time",
            got=repr(span)[:80],
            remedy="Choose a length or give a time.",
        )
    until = from_input(typed_until, zone) if typed_until else now + prediction_words.SPANS[span][1]
    return body_of(Snooze, {"until": until, "reason": posted.values.get("reason", "")})


def merge_body(posted: Typed) -> Merge:
    """Return what the form asks."""
    return body_of(Merge, {name: posted.values.get(name, "") for name in ("into", "reason")})


def edit_body(posted: Typed, zone: str) -> PredictionEdit:
    """Return what the form asks; a field that says what it was shown with is left out.

    Fields hold minutes and evidence goes on moving the window: untouched, they must not pin what they were shown with.
    """
    asked: dict[str, object] = {"reason": posted.values.get("reason", "")}
    for name in ("failure_mode", "window_from", "window_to"):
        value = posted.values.get(name, "").strip()
        if value and value != posted.values.get(f"shown_{name}"):
            asked[name] = value if name == "failure_mode" else from_input(value, zone)
    return body_of(PredictionEdit, asked)


def _targets(connection: Connection, row: PredictionRow) -> list[PredictionRow]:
    """Return the other open predictions of the asset."""
    found = console.prediction_rows(connection, sites=None, status="open", asset_id=row.asset_id, limit=TARGETS_MAX + 1)
    return [one for one in found if one.id != row.id]


def _told(decision: PredictionDecision, names: Mapping[str, str]) -> ToldDecision:
    before, after = decision.before, decision.after
    code, code_before = _text(after, "failure_mode"), _text(before, "failure_mode")
    windows = (_window(before), _window(after))
    until = _text(after, "snoozed_until")
    is_edit = decision.kind == "edit"
    return ToldDecision(
        kind=decision.kind,
        at=decision.at,
        person=decision.person,
        reason=decision.reason,
        mode=None if code is None or (is_edit and code == code_before) else names.get(code, code),
        mode_before=names.get(code_before, code_before) if is_edit and code_before else None,
        windows=(windows[0], windows[1]) if windows[0] and windows[1] and windows[0] != windows[1] else None,
        until=None if until is None else datetime.fromisoformat(until),
        into=_text(after, "merged_into"),
        taken=_text(after, "merged_from"),
        ticket=_text(after, "ticket"),
    )


def _window(said: Mapping[str, object]) -> Window | None:
    start, end = _text(said, "window_from"), _text(said, "window_to")
    return None if start is None or end is None else Window(*map(datetime.fromisoformat, (start, end)))


def _text(said: Mapping[str, object], name: str) -> str | None:
    value = said.get(name)
    return None if value is None else str(value)
