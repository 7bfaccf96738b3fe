"""How far a rule is to be trusted: its precision with a credible interval, and what follows from it (SPEC P4).

Theory. Each closure of a ticket that the rule spoke for judges it once: right when the predicted mode was found, wrong
when there was no fault. With an even prior the precision has the posterior Beta(1 + right, 1 + wrong); the interval
cuts off the same share at both ends. A rule is proposed for demotion only when the whole interval lies below the
floor: few closures prove nothing.

Source: Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), section 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import betaincinv


@dataclass(frozen=True, slots=True)
class Terms:
    """When a change of mode is proposed; editions/policy/detection.toml says what each field means."""

    demote_below: float
    promote_above: float
    least_closures: int
    again_after: int
    credibility: float
    shadow_wait_h: float


@dataclass(frozen=True, slots=True)
class Precision:
    """Share of right among those judged (None before the first), and the bounds of its credible interval."""

    value: float | None
    low: float
    high: float


def precision(right: int, wrong: int, credibility: float) -> Precision:
    """Return the precision of so many right and wrong, at least 0 each."""
    tail = (1 - credibility) / 2
    judged = right + wrong
    return Precision(
        value=right / judged if judged else None,
        low=float(betaincinv(1 + right, 1 + wrong, tail)),
        high=float(betaincinv(1 + right, 1 + wrong, 1 - tail)),
    )


def is_enough(judged: int, judged_before: int | None, terms: Terms) -> bool:
    """Say whether so many closures may propose something, when the last proposal was made after ``judged_before``."""
    if judged < terms.least_closures:
        return False
    return judged_before is None or judged >= judged_before + terms.again_after


def should_demote(right: int, wrong: int, terms: Terms) -> bool:
    """Say whether the precision is credibly below the floor."""
    return (
        right + wrong >= terms.least_closures and precision(right, wrong, terms.credibility).high < terms.demote_below
    )


def should_promote(right: int, wrong: int, terms: Terms) -> bool:
    """Say whether a shadow rule's precision is credibly above what a rule under review needs."""
    return (
        right + wrong >= terms.least_closures and precision(right, wrong, terms.credibility).low > terms.promote_above
    )
