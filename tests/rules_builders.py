"""Builders for tests that store rules."""

from __future__ import annotations

from detectors.library import RuleDraft, RuleMode
from detectors.parameters import Scalar
from domain.findings import Severity


def a_draft(
    name: str = "test.level",
    *,
    metric: str = "vibration*",
    detector: str = "level",
    mode: RuleMode = RuleMode.AUTO,
    **parameters: Scalar,
) -> RuleDraft:
    """A rule for every asset type; a level rule by default."""
    given = parameters or {"high": 1.3}
    return RuleDraft(name, None, metric, detector, given, Severity.HIGH, mode)
