"""The forms of backtests: a rule's parameters as fields, and what was typed into them as the rule to try.

Nothing is judged here but by the rule's own check: what cannot be read as its type is handed on as it came.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum

from starlette.datastructures import FormData

from api.pages.forms import text
from api.pages.times import from_input
from detectors.catalogue import CATALOGUE
from detectors.library import RuleDraft, RuleMode
from detectors.parameters import Scalar
from storage.backtest_json import CalibrationRequest
from storage.backtests import Backtest

PREFIX = "parameter:"
TEXT_MAX = 64


class Step(StrEnum):
    """What is asked for: the rule tried with what is typed, the rule left out, or a limit."""

    CHANGED = "changed"
    WITHOUT = "without"
    CALIBRATE = "calibrate"


@dataclass(frozen=True, slots=True)
class ParameterField:
    """A parameter as a field: ``declared`` is its type, ``is_own`` tells that the rule itself says it."""

    name: str
    declared: str
    value: str
    is_own: bool

    @property
    def may_be_empty(self) -> bool:
        """Tell whether nothing is a value: a limit that is not set."""
        return self.declared == "float | None"


@dataclass(frozen=True, slots=True)
class Asked:
    """The forms as they are filled in: text, whatever it says; times are wall-clock times of the page's zone."""

    rule: str = ""
    asset_type: str = ""
    site_id: str = ""
    since: str = ""
    until: str = ""
    step: str = Step.CHANGED
    parameter: str = ""
    wanted: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, form: FormData) -> Asked:
        """Return the forms as one of them was posted."""
        names = ("rule", "asset_type", "site_id", "since", "until", "step", "parameter", "wanted")
        typed = {
            name.removeprefix(PREFIX): value.strip()[:TEXT_MAX]
            for name, value in form.multi_items()
            if name.startswith(PREFIX) and isinstance(value, str)
        }
        return cls(**{name: text(form, name) for name in names}, parameters=typed)

    def span(self, zone: str) -> dict[str, object]:
        """Return the machines and the span as the API takes them."""
        return {
            "asset_type": self.asset_type,
            "site_id": self.site_id or None,
            "since": from_input(self.since, zone),
            "until": from_input(self.until, zone),
        }


def fields_of(draft: RuleDraft, typed: Mapping[str, str]) -> Sequence[ParameterField]:
    """Return every parameter of the rule's detector, filled with what was typed, else with what is in force."""
    return [
        ParameterField(name, declared, typed.get(name, _as_text(value)), name in draft.parameters)
        for name, (declared, value) in _in_force(draft).items()
    ]


def changed(draft: RuleDraft, asked: Asked) -> RuleDraft:
    """Return the rule as it is to be tried: in force with what was typed, or off.

    Parameters that the rule leaves to the detector stay so unless another value was typed.
    """
    if asked.step == Step.WITHOUT:
        return replace(draft, mode=RuleMode.OFF)
    values = dict(draft.parameters)
    for name, (declared, value) in _in_force(draft).items():
        if name in asked.parameters:
            given = _scalar(declared, asked.parameters[name])
            if name in values or given != value:
                values[name] = given
    return replace(draft, parameters=values, mode=RuleMode.AUTO)


def publishable(run: Backtest, newest: RuleDraft | None, mode: str) -> dict[str, object] | None:
    """Return the version that would put into force what a run tried or proposes, as the API takes it; None without one.

    Only parameters go over into the rule as it is now. There is nothing to publish where it has another detector
    meanwhile, says the same already, or was tried away.
    """
    request = run.request
    if isinstance(request, CalibrationRequest):
        limit = None if run.proposal is None else run.proposal.limit
        wanted: dict[str, Scalar] = {} if limit is None else {request.parameter: limit}
        tried: RuleDraft | None = request.rule
    else:
        tried = request.rules[0] if len(request.rules) == 1 and request.rules[0].mode != RuleMode.OFF else None
        wanted = {} if tried is None else dict(tried.parameters)
    if newest is None or tried is None or newest.detector != tried.detector:
        return None
    parameters = {**newest.parameters, **wanted}
    if parameters == newest.parameters:
        return None
    return {**asdict(newest), "parameters": parameters, "mode": mode}


def _in_force(draft: RuleDraft) -> dict[str, tuple[str, Scalar]]:
    """Return type and value of each parameter by name; those the rule does not say have the detector's default."""
    found: dict[str, tuple[str, Scalar]] = {}
    for one in dataclasses.fields(CATALOGUE[draft.detector].parameters):
        default = None if one.default is dataclasses.MISSING else one.default
        found[one.name] = (str(one.type), draft.parameters.get(one.name, default))
    return found


def _as_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else format(value, ".12g") if isinstance(value, float) else str(value)


def _scalar(declared: str, typed: str) -> Scalar:
    if declared == "bool":
        return {"true": True, "false": False}.get(typed, typed)
    if declared == "float | None" and not typed:
        return None
    if declared == "Side":
        return typed
    try:
        return int(typed) if declared == "int" else float(typed)
    except ValueError:
        return typed
