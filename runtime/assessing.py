"""The desk's first step: evidence that came in is judged, and becomes predictions and preventive tickets.

An asset with new evidence is claimed under a row lock, so two desks never judge it at once, and the marks of its
evidence are deleted in the transaction that stores what was made of it: a desk that dies leaves all as it was.
Evidence is judged in the order of its time on the equipment's clock, each time knowing only what was known then,
so that a desk that comes late opens the same tickets as one that was never away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from psycopg import Connection
from psycopg_pool import ConnectionPool

from detectors.fusion import AssetEvidence, assess
from detectors.signs import NO_FAULT_REMEMBERED
from domain.clock import Clock
from domain.events import COMPONENT_REPLACED, Event
from domain.failure_modes import FailureMode
from domain.predictions import EvidenceKind, Prediction, Stage
from runtime.waiting import open_waiting
from storage.casework import join_findings, open_from_prediction
from storage.evidence import (
    Claim,
    claim_asset,
    events_of_asset,
    fitted_components,
    hold_decisions,
    last_closed,
    past_closures,
    record_replacement,
)
from storage.findings import findings_of_asset
from storage.floods import note_flood
from storage.library import failure_modes
from storage.prediction_decisions import fold_into_alias, is_snoozed
from storage.predictions import close_answered, lapse_watches, open_ticket_of, upsert_prediction
from storage.remaining_life import of_asset as remaining_life_of_asset
from storage.rules import all_auto
from storage.ticket_budget import hold_back, hold_for_flood, is_flooded, let_go, may_open

_log = structlog.get_logger()

# One call judges at most so many assets, then lets the desk's other work have its turn.
ASSETS_PER_CALL = 200


def assess_due(pool: ConnectionPool, clock: Clock) -> int:
    """Judge all evidence that is due, asset by asset, a transaction each; return how many assets were judged.

    An asset whose judging fails is logged and set aside until the next call; a database that is away raises.
    """
    judged = 0
    set_aside: list[int] = []
    while judged < ASSETS_PER_CALL:
        claim: Claim | None = None
        try:
            with pool.connection() as connection:
                claim = claim_asset(connection, set_aside)
                if claim is None:
                    break
                _Case(connection, claim, clock.now()).judge()
        except Exception:
            # One asset that cannot be judged must not keep the others waiting; its evidence stays due.
            if claim is None:
                raise
            _log.exception("asset set aside until the next call", asset=claim.asset_id)
            set_aside.append(claim.asset_id)
            continue
        judged += 1
    with pool.connection() as connection:
        lapse_watches(connection, clock.now())
    open_waiting(pool, clock)
    return judged


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says about the asset, up to the newest due time."""

    modes: Mapping[int, FailureMode]
    evidence: AssetEvidence
    fitted: dict[str, list[datetime]]


class _Case:
    """One asset being judged, within one transaction."""

    def __init__(self, connection: Connection, claim: Claim, now: datetime) -> None:
        self._connection = connection
        self._claim = claim
        self._now = now

    def judge(self) -> None:
        """Walk through the due times in order."""
        if not self._claim.times:
            return
        known = self._read()
        ids = {mode.code: mode_id for mode_id, mode in known.modes.items()}
        for as_of in self._claim.times:
            for event in known.evidence.events:
                if event.ts == as_of and event.code == COMPONENT_REPLACED:
                    self._replace(event, known)
            for prediction in assess(list(known.modes.values()), known.evidence, as_of):
                self._act(prediction, ids[prediction.failure_mode], known.modes)

    def _read(self) -> _Known:
        connection, asset_id = self._connection, self._claim.asset_id
        hold_decisions(connection, asset_id)
        modes = failure_modes(connection, self._claim.asset_type)
        since = self._claim.times[0] - _memory(modes)
        until = self._claim.times[-1]
        fitted = fitted_components(connection, asset_id)
        evidence = AssetEvidence(
            asset_id=asset_id,
            findings=findings_of_asset(connection, asset_id, since=since, until=until),
            events=events_of_asset(connection, asset_id, since=since, until=until),
            installed=fitted,
            last_closed=last_closed(connection, asset_id),
            remaining=remaining_life_of_asset(connection, asset_id),
            history=past_closures(connection, asset_id, since=self._claim.times[0] - NO_FAULT_REMEMBERED, until=until),
        )
        return _Known(modes, evidence, fitted)

    def _replace(self, event: Event, known: _Known) -> None:
        component = event.attributes.get("component", "")
        affected = {mode_id: mode for mode_id, mode in known.modes.items() if mode.component == component}
        patterns = sorted({sign.metric for mode in affected.values() for sign in mode.signature.findings})
        record_replacement(self._connection, self._claim.asset_id, component, patterns, event.ts)
        known.fitted.setdefault(component, []).append(event.ts)
        close_answered(self._connection, self._claim.asset_id, list(affected), until=event.ts, now=self._now)

    def _act(self, prediction: Prediction, failure_mode_id: int, modes: Mapping[int, FailureMode]) -> None:
        connection = self._connection
        # A person may have said that evidence about this mode is about another one of the asset.
        folded = fold_into_alias(connection, prediction, failure_mode_id, self._now)
        if folded is not None:
            stored, failure_mode_id = folded.stored, folded.failure_mode_id
        else:
            stored = upsert_prediction(connection, prediction, failure_mode_id, self._now)
        ticket_id = open_ticket_of(connection, prediction.asset_id, failure_mode_id)
        if ticket_id is not None:
            join_findings(connection, ticket_id, stored.finding_ids, self._now)
        elif (
            stored.stage == Stage.TICKET
            and all_auto(connection, stored.rule_ids)
            and self._may_open(stored.id, _found_at(prediction), modes[failure_mode_id].severity)
        ):
            code = open_from_prediction(connection, stored.id, self._now)
            _log.info(
                "ticket opened",
                ticket=code,
                asset=prediction.asset_id,
                failure_mode=modes[failure_mode_id].code,
                probability=round(prediction.probability, 3),
                evidence_at=prediction.evidence_at.isoformat(),
            )

    def _may_open(self, prediction_id: UUID, found_at: datetime, severity: int) -> bool:
        """Say whether no snooze, flood of alarms or budget of the site is in the way; the last two are noted."""
        if is_snoozed(self._connection, prediction_id, self._now):
            return False
        let_go(self._connection, prediction_id, self._now)
        if is_flooded(self._connection, self._claim.asset_id, found_at):
            hold_for_flood(self._connection, prediction_id, self._now)
            note_flood(self._connection, self._claim.asset_id, found_at, self._now)
            return False
        if may_open(self._connection, self._claim.asset_id, self._now, severity=severity):
            return True
        hold_back(self._connection, prediction_id, self._now)
        return False


def _found_at(prediction: Prediction) -> datetime:
    """Return when the newest finding behind a prediction opened; without one, when the newest evidence came in."""
    opened = [one.ts for one in prediction.contributions if one.kind is EvidenceKind.FINDING]
    return max(opened, default=prediction.evidence_at)


def _memory(modes: Mapping[int, FailureMode]) -> timedelta:
    """Return how far back any sign of these modes looks."""
    signatures = [mode.signature for mode in modes.values()]
    hours = [sign.within_h for signature in signatures for sign in signature.findings]
    hours += [sign.within_h for signature in signatures for sign in signature.events]
    return timedelta(hours=max(hours, default=0.0))
