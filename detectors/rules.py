"""Rules: which detector watches which metrics of an asset type, with which parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from detectors.catalogue import CATALOGUE
from detectors.parameters import Parameters, Scalar, read
from domain.findings import Severity
from domain.refusals import Refused

RULE_NAME = re.compile(r"[a-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """A version of a rule as detectors need it. ``metric`` is a pattern in the manner of fnmatch: ``vibration_*``."""

    rule_id: int
    name: str
    version: int
    metric: str
    detector: str
    parameters: Mapping[str, Scalar]
    severity: Severity
    shadow: bool

    def watches(self, metric: str) -> bool:
        """Say whether the rule is about this metric."""
        return fnmatchcase(metric, self.metric)

    def typed_parameters(self) -> Parameters:
        """Return the parameters as the detector's dataclass. Raises ValueError where ``check_rule`` would refuse."""
        return read(CATALOGUE[self.detector].parameters, self.parameters)


def check_rule(name: str, metric: str, detector: str, parameters: Mapping[str, Scalar], severity: str) -> None:
    """Raise Refused("invalid_rule") unless a rule could be saved with these values."""
    if not RULE_NAME.fullmatch(name):
        raise _invalid("a name of 1 to 64 of a-z 0-9 _ . -", repr(name), "Rename the rule.")
    if not 1 <= len(metric) <= 128:
        raise _invalid("a metric pattern of 1 to 128 characters", repr(metric), "Name the metric, or use *.")
    if detector not in CATALOGUE:
        raise _invalid(f"one of the detectors {', '.join(CATALOGUE)}", repr(detector), "Choose one of them.")
    if severity not in list(Severity):
        raise _invalid(f"one of {', '.join(Severity)}", repr(severity), "Choose one of them.")
    try:
        read(CATALOGUE[detector].parameters, parameters)
    except ValueError as error:
        raise _invalid(f"valid parameters of '{detector}'", str(error), "Correct the parameters.") from error


def _invalid(expected: str, got: str, remedy: str) -> Refused:
    return Refused("invalid_rule", expected=expected, got=got, remedy=remedy)
