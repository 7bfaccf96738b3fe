"""Fusion: from findings, events, part ages and history to predictions, by adding up log-odds (SPEC P2).

Theory. Drift alone is right about one time in four, an error code alone one time in three; together with the age of
the part they are right more than nine times in ten. Each failure mode starts from its prior log-odds, and every sign in
its signature that the evidence shows adds its weight (naive Bayes: signs count as independent given the mode;
detectors/signs.py). Modes that claim the same evidence compete for it (detectors/competing.py), and what a mode loses
to its rivals is told as a contribution too, so that the contributions always add up to the posterior log-odds.

At ``watch_probability`` a prediction opens, at ``ticket_probability`` it asks for a ticket. Where rivals share the
evidence so evenly that none of them reaches its limit, though alone it would, the likeliest speaks for all: the machine
is failing, and one ticket is due.

Source: I. J. Good, Probability and the Weighing of Evidence (1950); figures measured on the Azure PdM data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from detectors.competing import Claim, Verdict, probability_of, weigh
from detectors.due import window
from detectors.signs import AssetEvidence, PastClosure, Sign, moving_signs, opening_signs, spent_until
from domain.failure_modes import FailureMode
from domain.predictions import Contribution, EvidenceKind, Prediction, Stage

__all__ = ["AssetEvidence", "PastClosure", "assess", "spent_until"]

# What rivals take is told from this many log-odds on.
WORTH_TELLING = 0.005


def assess(modes: Sequence[FailureMode], evidence: AssetEvidence, as_of: datetime) -> list[Prediction]:
    """Return the predictions at watch or above that the evidence up to ``as_of`` supports, likeliest first."""
    opened = {mode.code: opening_signs(mode, evidence, as_of) for mode in modes}
    supported = [mode for mode in modes if opened[mode.code]]
    signs = {mode.code: [*opened[mode.code], *moving_signs(mode, evidence, as_of)] for mode in supported}
    verdicts = weigh([_claim(mode, signs[mode.code]) for mode in supported])
    names = {mode.code: mode for mode in supported}
    found = [
        _predict(mode, evidence, signs[mode.code], verdicts[mode.code], names, as_of)
        for mode in supported
        if _reaches(mode.watch_probability, mode, signs[mode.code], verdicts[mode.code])
    ]
    return sorted(found, key=lambda one: (-one.probability, one.failure_mode))


def _claim(mode: FailureMode, signs: Sequence[Sign]) -> Claim:
    stories = {sign.story: sign.log_odds for sign in signs if sign.story is not None and sign.log_odds > 0}
    own = [sign.log_odds for sign in signs if sign.story is None or sign.log_odds <= 0]
    return Claim(mode.code, _prior_log_odds(mode) + math.fsum(own), stories)


def _reaches(limit: float, mode: FailureMode, signs: Sequence[Sign], verdict: Verdict) -> bool:
    """Say whether the mode's probability reaches the limit, or that of its group does and the mode speaks for it."""
    if probability_of(verdict.log_odds) >= limit:
        return True
    alone = _claim(mode, signs).log_odds
    return verdict.leads and probability_of(alone) >= limit and verdict.of_any >= limit


def _predict(
    mode: FailureMode,
    evidence: AssetEvidence,
    signs: Sequence[Sign],
    verdict: Verdict,
    names: dict[str, FailureMode],
    as_of: datetime,
) -> Prediction:
    evidence_at = max(sign.contribution.ts for sign in signs if sign.contribution.kind in _OPENING)
    life = evidence.remaining.get(mode.code)
    if life is not None and not spent_until(mode, evidence, as_of) <= life.as_of <= as_of:
        life = None  # told about the part that is gone, or not known yet
    supporting = [sign.finding for sign in signs if sign.finding is not None and sign.log_odds > 0]
    due = window(mode, life, supporting, evidence_at)
    told = [sign.contribution for sign in signs]
    told += _taken(_claim(mode, signs).log_odds, verdict, names, evidence_at)
    is_ticket = _reaches(mode.ticket_probability, mode, signs, verdict)
    return Prediction(
        asset_id=evidence.asset_id,
        failure_mode=mode.code,
        stage=Stage.TICKET if is_ticket else Stage.WATCH,
        probability=probability_of(verdict.log_odds),
        evidence_at=evidence_at,
        window_from=due.begin,
        window_to=due.end,
        contributions=(_prior(mode, as_of), *sorted(told, key=lambda one: (-abs(one.log_odds), one.reference))),
        parts=tuple(sorted(mode.parts, key=lambda part: (-part.probability, part.number))),
        window_source=due.source,
    )


_OPENING = (EvidenceKind.FINDING, EvidenceKind.EVENT)


def _taken(alone: float, verdict: Verdict, names: dict[str, FailureMode], at: datetime) -> list[Contribution]:
    """Return what the rivals explain, as a contribution."""
    taken = verdict.log_odds - alone
    if not verdict.rivals or taken > -WORTH_TELLING:
        return []
    best = names[verdict.rivals[0]]
    how_en, how_zh = ("as well", "同样") if verdict.leads else ("better", "更好地")
    return [
        Contribution(
            EvidenceKind.RIVAL,
            best.code,
            at,
            taken,
            f"{best.name_en} explains the same evidence {how_en}",
            f"“{best.name_zh}”{how_zh}解释了同样的证据",
        )
    ]


def _prior_log_odds(mode: FailureMode) -> float:
    return math.log(mode.prior / (1 - mode.prior))


def _prior(mode: FailureMode, as_of: datetime) -> Contribution:
    return Contribution(
        EvidenceKind.PRIOR,
        mode.code,
        as_of,
        _prior_log_odds(mode),
        f"Known rate of this failure: {mode.prior:.2%}",
        f"该失效的先验概率：{mode.prior:.2%}",
    )
