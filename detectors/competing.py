"""Competing failure modes: what one explains well is worth less to the others (SPEC P2).

Theory. A rise of vibration may come from the bearing or from an unbalance. Counted for each mode by itself it would
open two tickets, of which one is surely wrong. So modes that claim the same story compete, in a small Bayesian network
of causes and symptoms: every mode is under way or not, with the odds that its prior and its own evidence (part age,
history, what no other mode claims) give it; a story's likelihood ratio is that of the *strongest* mode under way which
claims it (a noisy maximum: a second cause does not make a symptom any likelier than the better cause has made it):

    weight(set of modes) = product over modes of own odds x product over stories of max over modes of exp(log-odds)

The posterior of a mode is the weight of all sets that hold it over the weight of all sets, the empty one (weight 1)
included. Sets of at most three modes are looked at: four independent faults at once are not a diagnosis.

It follows that a mode without rivals has the plain posterior 1 / (1 + exp(-sum of log-odds)); that rivals only ever
take away; that evidence which a single mode claims takes from its rival, and gives to whom that rival alone takes from;
and that what is left for a mode whose stories are explained better by another is its own odds without them. What was
taken is told as one contribution of its own.

Source: J. Pearl, Probabilistic Reasoning in Intelligent Systems (1988), chapter 4 (noisy gates, explaining away).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Sets of modes that are looked at hold at most so many.
AT_ONCE_MAX = 3
# Of more rivals than this only the likeliest are compared; the sets of twelve modes are 299.
RIVALS_MAX = 12
# Log-odds beyond this are certainty in double precision.
LOG_ODDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A mode's case: ``own`` log-odds that no story gives, and the log-odds that each story (above 0) gives it."""

    code: str
    own: float
    stories: Mapping[str, float]

    @property
    def log_odds(self) -> float:
        """Return the log-odds as if there were no rival."""
        return self.own + math.fsum(self.stories.values())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is left of a claim beside its rivals.

    ``log_odds`` is the posterior's; ``of_any`` the probability that at least one of the group is under way; ``rivals``
    the codes of the group's other modes, likeliest first; ``leads`` says whether none of them is likelier.
    """

    log_odds: float
    of_any: float
    rivals: tuple[str, ...]
    leads: bool


def probability_of(log_odds: float) -> float:
    """Return the probability in (0, 1) of these log-odds."""
    return 1 / (1 + math.exp(-max(-LOG_ODDS_MAX, min(LOG_ODDS_MAX, log_odds))))


def weigh(claims: Sequence[Claim]) -> dict[str, Verdict]:
    """Return the verdict on every claim, by the mode's code."""
    verdicts: dict[str, Verdict] = {}
    for group in _groups(claims):
        verdicts.update(_weigh_group(group))
    return verdicts


def _groups(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Return the claims in groups that share stories, directly or through others."""
    groups: list[list[Claim]] = []
    for claim in claims:
        joined = [group for group in groups if any(claim.stories.keys() & other.stories.keys() for other in group)]
        groups = [group for group in groups if group not in joined]
        groups.append([claim, *(one for group in joined for one in group)])
    return groups


def _weigh_group(group: Sequence[Claim]) -> dict[str, Verdict]:
    if len(group) == 1:
        (claim,) = group
        return {claim.code: Verdict(claim.log_odds, probability_of(claim.log_odds), (), leads=True)}
    ranked = sorted(group, key=lambda claim: (-claim.log_odds, claim.code))
    compared, left_out = ranked[:RIVALS_MAX], ranked[RIVALS_MAX:]
    sets = [chosen for size in range(1, AT_ONCE_MAX + 1) for chosen in itertools.combinations(compared, size)]
    weights = [0.0, *(_log_weight(chosen) for chosen in sets)]
    total = _log_sum(weights)
    left: dict[str, float] = {}
    for claim in compared:
        holding = [weight for weight, chosen in zip(weights[1:], sets, strict=True) if claim in chosen]
        # No claim can gain by its rivals: the bound holds the rounding of sums.
        left[claim.code] = min(claim.log_odds, _log_odds_of(holding, total))
    # What is less likely than twelve rivals keeps what is its own.
    left |= {claim.code: min(claim.own, min(left.values())) for claim in left_out}
    order = sorted(left, key=lambda code: (-left[code], code))
    of_any = probability_of(_log_odds_of(weights[1:], total))
    return {
        code: Verdict(log_odds, of_any, tuple(other for other in order if other != code), leads=code == order[0])
        for code, log_odds in left.items()
    }


def _log_weight(chosen: Sequence[Claim]) -> float:
    best: dict[str, float] = {}
    for claim in chosen:
        for story, log_odds in claim.stories.items():
            best[story] = max(log_odds, best.get(story, log_odds))
    return math.fsum(claim.own for claim in chosen) + math.fsum(best.values())


def _log_sum(logs: Sequence[float]) -> float:
    top = max(logs)
    return top + math.log(math.fsum(math.exp(log - top) for log in logs))


def _log_odds_of(part: Sequence[float], total: float) -> float:
    share = _log_sum(part) - total
    rest = -math.expm1(min(share, -1e-15))
    return max(-LOG_ODDS_MAX, min(LOG_ODDS_MAX, share - math.log(rest)))
