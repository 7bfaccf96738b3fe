"""Decisions about open predictions: merge, snooze, edit, and who said what when (SPEC P5).

``storage.reviews`` has the other two: confirm and reject. A person holds the asset, then its predictions, as the desk
does when it judges: what is decided is never undone by evidence that was judged at the same moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from psycopg import Connection
from psycopg.types.json import Jsonb

from domain.predictions import EvidenceKind, Prediction, Stage
from domain.refusals import Refused
from storage.casework import join_findings
from storage.library import failure_modes
from storage.predictions import StoredPrediction, open_ticket_of
from storage.queries import load

QUERIES = load("prediction_decisions")

LONGEST_SNOOZE = timedelta(days=365)
DECISIONS_MAX = 200


class Choice(StrEnum):
    """What a person decided."""

    CONFIRM = "confirm"
    REJECT = "reject"
    MERGE = "merge"
    SNOOZE = "snooze"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class PredictionDecision:
    """A decision with what it changed. ``at`` is wall time, ``person`` a login."""

    kind: str
    at: datetime
    person: str
    reason: str
    before: Mapping[str, object]
    after: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says a prediction should say; None leaves it as it is. The window is equipment time."""

    failure_mode: str | None = None
    window_from: datetime | None = None
    window_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Folded:
    """The prediction that took the evidence of another mode, with its own mode."""

    stored: StoredPrediction
    failure_mode_id: int


@dataclass(frozen=True, slots=True)
class _Held:
    id: UUID
    asset_id: int
    failure_mode_id: int
    failure_mode: str
    asset_type: str
    status: str
    window_from: datetime
    window_to: datetime
    evidence_at: datetime
    snoozed_until: datetime | None
    ticket_code: str | None


def merge(connection: Connection, source_id: UUID, target_id: UUID, person_id: int, reason: str, now: datetime) -> None:
    """Fold an open prediction into another one of the same asset, where its further evidence goes too.

    The target takes its evidence, its parts, and the higher stage and probability; an open ticket of the target takes
    the findings. Raises ``Refused``: unknown_record, invalid_request (itself, another asset), not_a_legal_step (one is
    no longer open, or the source has a ticket).
    """
    if source_id == target_id:
        raise _invalid("two predictions", "the same one twice", "Name the other prediction.")
    connection.execute(QUERIES["hold_asset_of"], {"id": source_id})
    source, target = _hold(connection, source_id), _hold(connection, target_id)
    if source.asset_id != target.asset_id:
        raise _invalid(
            "two predictions about one asset",
            f"assets {source.asset_id} and {target.asset_id}",
            "Merge predictions of the same asset only.",
        )
    _refuse_with_ticket(source, "Merge the other way round, or cancel the ticket first.")
    key = {"source_id": source_id, "target_id": target_id, "now": now}
    for query in ("fold", "fold_evidence", "fold_parts", "add_aliases"):
        connection.execute(QUERIES[query], key)
    connection.execute(QUERIES["end_merged"], {**key, "person_id": person_id, "reason": reason})
    ticket_id = open_ticket_of(connection, target.asset_id, target.failure_mode_id)
    if ticket_id is not None:
        join_findings(connection, ticket_id, _behind(connection, target_id, Stage.TICKET).finding_ids, now)
    told = {"merged_into": str(target_id), "failure_mode": target.failure_mode}
    note(connection, source_id, Choice.MERGE, person_id, reason, now, {"failure_mode": source.failure_mode}, told)
    taken = {"merged_from": str(source_id), "failure_mode": source.failure_mode}
    note(connection, target_id, Choice.MERGE, person_id, reason, now, {}, taken)


def snooze(
    connection: Connection, prediction_id: UUID, until: datetime, person_id: int, reason: str, now: datetime
) -> None:
    """Let a prediction open no ticket before ``until`` (wall time), unless graver or critical evidence comes.

    Raises ``Refused``: unknown_record, invalid_request (not within the next 365 days), not_a_legal_step.
    """
    if not now < until <= now + LONGEST_SNOOZE:
        raise _invalid(
            f"a time after {now.isoformat()} and within {LONGEST_SNOOZE.days} days",
            until.isoformat(),
            "Choose another.",
        )
    connection.execute(QUERIES["hold_asset_of"], {"id": prediction_id})
    held = _hold(connection, prediction_id)
    _refuse_with_ticket(held, "Put the ticket on hold with a review date instead.")
    told = {"id": prediction_id, "until": until, "person_id": person_id, "reason": reason, "now": now}
    connection.execute(QUERIES["snooze"], told)
    before = {"snoozed_until": None if held.snoozed_until is None else held.snoozed_until.isoformat()}
    after = {"snoozed_until": until.isoformat()}
    note(connection, prediction_id, Choice.SNOOZE, person_id, reason, now, before, after)


def is_snoozed(connection: Connection, prediction_id: UUID, now: datetime) -> bool:
    """Say whether a prediction sleeps; graver evidence than it had, or a critical one, wakes it."""
    return prediction_id in asleep(connection, [prediction_id], now)


def asleep(connection: Connection, prediction_ids: Collection[UUID], now: datetime) -> set[UUID]:
    """Return which of these predictions sleep, as ``is_snoozed`` says of each."""
    rows = connection.execute(QUERIES["asleep"], {"ids": list(prediction_ids), "now": now})
    return {prediction_id for (prediction_id,) in rows}


def edit(
    connection: Connection, prediction_id: UUID, wanted: Correction, person_id: int, reason: str, now: datetime
) -> None:
    """Correct the failure mode or the window of an open prediction.

    Further evidence about the old mode goes to it, with the new mode's parts; a corrected window stays whatever comes.
    Raises ``Refused``: unknown_record, invalid_request (nothing to change, a window that is none), invalid_fact (the
    mode), not_a_legal_step (no longer open, a ticket, or the mode has a prediction).
    """
    connection.execute(QUERIES["hold_asset_of"], {"id": prediction_id})
    held = _hold(connection, prediction_id)
    _refuse_with_ticket(held, "Correct it on the ticket: the resolution says what was found.")
    mode_id = _wanted_mode(connection, held, wanted.failure_mode)
    window_from, window_to = wanted.window_from or held.window_from, wanted.window_to or held.window_to
    is_window = (window_from, window_to) != (held.window_from, held.window_to)
    if not is_window and mode_id == held.failure_mode_id:
        raise _invalid("another failure mode or another window", "what it says already", "Leave it, or change it.")
    if not held.evidence_at <= window_to or not window_from < window_to:
        raise _invalid(
            f"a window that ends after it begins and not before the evidence of {held.evidence_at.isoformat()}",
            f"{window_from.isoformat()} to {window_to.isoformat()}",
            "Correct the window.",
        )
    if mode_id != held.failure_mode_id:
        _change_mode(connection, held, mode_id)
    told = {"window_from": window_from, "window_to": window_to, "is_window": is_window, "failure_mode_id": mode_id}
    who = {"id": prediction_id, "person_id": person_id, "reason": reason, "now": now}
    connection.execute(QUERIES["correct"], {**told, **who})
    after = _hold(connection, prediction_id)
    note(connection, prediction_id, Choice.EDIT, person_id, reason, now, _said(held), _said(after))


def fold_into_alias(
    connection: Connection, prediction: Prediction, failure_mode_id: int, now: datetime
) -> Folded | None:
    """Take evidence about a mode into the open prediction that people said it belongs to; None where there is none."""
    asked = {"asset_id": prediction.asset_id, "failure_mode_id": failure_mode_id}
    target = connection.execute(QUERIES["alias_target"], asked).fetchone()
    if target is None:
        return None
    told = {"probability": prediction.probability, "evidence_at": prediction.evidence_at}
    key = {"id": target[0], "stage": prediction.stage.value, "now": now}
    row = connection.execute(QUERIES["take_evidence"], {**key, **told}).fetchone()
    assert row is not None  # held by the desk
    for one in prediction.contributions:
        if one.kind in (EvidenceKind.FINDING, EvidenceKind.EVENT):
            piece = {"kind": one.kind.value, "reference": one.reference, "ts": one.ts}
            said = {"summary_en": one.summary_en, "summary_zh": one.summary_zh}
            connection.execute(QUERIES["add_evidence"], {"prediction_id": target[0], **piece, **said})
    return Folded(_behind(connection, target[0], Stage(row[0])), target[1])


def note(
    connection: Connection,
    prediction_id: UUID,
    kind: Choice,
    person_id: int,
    reason: str,
    now: datetime,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    """Keep a decision for good: nobody changes or removes it."""
    told = {"prediction_id": prediction_id, "kind": kind.value, "person_id": person_id, "reason": reason, "now": now}
    changed = {"before": Jsonb(dict(before)), "after": Jsonb(dict(after))}
    connection.execute(QUERIES["note_decision"], {**told, **changed})


def decisions_about(connection: Connection, prediction_id: UUID) -> list[PredictionDecision]:
    """Return what people decided about a prediction, oldest first."""
    rows = connection.execute(QUERIES["decisions"], {"id": prediction_id, "limit": DECISIONS_MAX})
    return [PredictionDecision(*row) for row in rows]


def _hold(connection: Connection, prediction_id: UUID) -> _Held:
    """Hold an open prediction until the transaction ends."""
    row = connection.execute(QUERIES["hold_prediction"], {"id": prediction_id}).fetchone()
    if row is None:
        raise Refused(
            "unknown_record",
            expected="the id of a prediction",
            got=str(prediction_id),
            remedy="Look it up in the list.",
        )
    held = _Held(*row)
    if held.status != "open":
        raise Refused(
            "not_a_legal_step",
            expected="an open prediction",
            got=f"one that is {held.status}",
            remedy="Decisions are final; new evidence opens a new prediction.",
        )
    return held


def _refuse_with_ticket(held: _Held, remedy: str) -> None:
    if held.ticket_code is not None:
        raise Refused(
            "not_a_legal_step",
            expected="a prediction without an open ticket",
            got=f"one with ticket {held.ticket_code}",
            remedy=remedy,
        )


def _wanted_mode(connection: Connection, held: _Held, code: str | None) -> int:
    if code is None or code == held.failure_mode:
        return held.failure_mode_id
    modes = failure_modes(connection, held.asset_type)
    found = next((mode_id for mode_id, mode in modes.items() if mode.code == code), None)
    if found is None:
        raise Refused(
            "invalid_fact",
            expected=f"a failure mode of asset type {held.asset_type}",
            got=repr(code)[:80],
            remedy="Choose one of the failure-mode library.",
        )
    return found


def _change_mode(connection: Connection, held: _Held, mode_id: int) -> None:
    """Make room for the new mode, send further evidence about the old one here, and replace the parts."""
    key = {"asset_id": held.asset_id, "failure_mode_id": mode_id}
    other = connection.execute(QUERIES["open_of_mode"], key).fetchone()
    ticket_id = open_ticket_of(connection, held.asset_id, mode_id)
    if other is not None or ticket_id is not None:
        raise Refused(
            "not_a_legal_step",
            expected="a failure mode without an open prediction or ticket on this asset",
            got=f"prediction {other[0]}" if other is not None else "one with an open ticket",
            remedy="Merge the two predictions instead.",
        )
    connection.execute(QUERIES["drop_aliases"], key)
    connection.execute(QUERIES["add_aliases"], {"source_id": held.id, "target_id": held.id})
    connection.execute(QUERIES["drop_parts"], {"prediction_id": held.id})
    for part in failure_modes(connection, held.asset_type)[mode_id].parts:
        need = {"number": part.number, "quantity": part.quantity, "probability": part.probability}
        connection.execute(QUERIES["add_part"], {"prediction_id": held.id, **need})


def _behind(connection: Connection, prediction_id: UUID, stage: Stage) -> StoredPrediction:
    rows = connection.execute(QUERIES["findings_behind"], {"prediction_id": prediction_id}).fetchall()
    rules = tuple(sorted({rule_id for _, rule_id in rows}))
    return StoredPrediction(prediction_id, stage, tuple(finding_id for finding_id, _ in rows), rules)


def _said(held: _Held) -> dict[str, object]:
    window = {"window_from": held.window_from.isoformat(), "window_to": held.window_to.isoformat()}
    return {"failure_mode": held.failure_mode, **window}


def _invalid(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_request", expected=expected, got=got, remedy=remedy)
