"""Operating regimes: which metric tells them for a type of machine, where its range is cut, and which one holds now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from api.dependencies import ChangeRules, Database, Now, ReadDetection
from api.detection_schemas import Decision, NewRegimes
from api.identity import Caller
from api.pages.access import may
from api.pages.devices import places_of
from api.pages.forms import PostedForm, body_of, text
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.times import common_zone
from api.permissions import Action
from api.problems import unknown
from api.routes import regimes as routes
from api.routes.regimes import AssetType
from domain.refusals import Refused
from domain.regimes import OperatingRegimes
from storage import audit, console
from storage.regimes import assets_in_regimes, metrics_of_type, types_with_regimes

router = APIRouter()

ASSETS_MAX = 200
METRICS_MAX = 200
CHANGES_MAX = 20
TEXT_MAX = 200
# What the audit keeps of regimes that people set; the rest follows from it.
_SHOWN = ("metric", "edges", "settle_s")
_BETWEEN_EDGES = re.compile(r"[\s,;，；、]+")


@dataclass(frozen=True, slots=True)
class TypedRegimes:
    """The form as it is filled in: text, whatever it says."""

    metric: str = ""
    edges: str = ""
    settle_s: str = "0"
    reason: str = ""

    @classmethod
    def of_stored(cls, regimes: OperatingRegimes | None) -> TypedRegimes:
        """Return the form that says what is in force."""
        if regimes is None:
            return cls()
        return cls(regimes.metric, ", ".join(f"{edge:.12g}" for edge in regimes.edges), f"{regimes.settle_s:g}")

    @classmethod
    def of_posted(cls, form: FormData) -> TypedRegimes:
        """Return the form as it was posted."""
        return cls(*(text(form, name)[:TEXT_MAX] for name in ("metric", "edges", "settle_s", "reason")))

    def body(self) -> dict[str, object]:
        """Return it as the API takes regimes; what is no number is handed on as it came."""
        edges = [one for one in _BETWEEN_EDGES.split(self.edges) if one]
        return {"metric": self.metric, "edges": edges, "settle_s": self.settle_s or "0"}


@dataclass(frozen=True, slots=True)
class RegimeRange:
    """One regime: from its lower edge, included, to its upper one; None where it has none."""

    number: int
    low: float | None
    high: float | None


@router.get("/regimes")
def list_regimes(request: Request, caller: ReadDetection, database: Database) -> HTMLResponse:
    """Show which types of machines have regimes, and by which metric."""
    with database.connection() as connection:
        types = types_with_regimes(connection, caller.site_list())
        zone = common_zone(console.site_zones(connection))
    context = {"types": types, "ranges": {one.asset_type: ranges_of(one.regimes) for one in types}, "zone": zone}
    return page(request, frame(request, caller.person, "rules"), "regimes.html", context)


@router.get("/regimes/{asset_type}")
def show_regimes(asset_type: AssetType, request: Request, caller: ReadDetection, database: Database) -> HTMLResponse:
    """Show the regimes of a type, and the one that each of its machines is in."""
    return _regimes_page(request, caller, database, asset_type)


@router.post("/regimes/{asset_type}")
def change_regimes(
    asset_type: AssetType, form: PostedForm, request: Request, caller: ChangeRules, database: Database, now: Now
) -> Response:
    """Set the regimes of a type, or leave it with one, with a reason."""
    typed = TypedRegimes.of_posted(form)
    try:
        reason = body_of(Decision, {"reason": typed.reason}).reason
        regimes = None if text(form, "step") == "one" else typed.body()
        routes.put_regimes(
            caller, body_of(NewRegimes, {"regimes": regimes, "reason": reason}), database, now, asset_type
        )
    except Refused as refusal:
        return _regimes_page(request, caller, database, asset_type, refusal=refusal, typed=typed)
    return RedirectResponse(f"/regimes/{asset_type}", status_code=303)


def ranges_of(regimes: OperatingRegimes | None) -> Sequence[RegimeRange]:
    """Return the ranges of the metric, from the lowest; a single one without edges."""
    edges: list[float | None] = [None, *(() if regimes is None else regimes.edges), None]
    return [RegimeRange(number, edges[number], edges[number + 1]) for number in range(len(edges) - 1)]


def _regimes_page(
    request: Request,
    caller: Caller,
    database: Database,
    asset_type: str,
    *,
    refusal: Refused | None = None,
    typed: TypedRegimes | None = None,
) -> HTMLResponse:
    framed = frame(request, caller.person, "rules", here=f"/regimes/{asset_type}")
    reads_changes = may(caller.person, Action.READ_CHANGES)
    with database.connection() as connection:
        found = types_with_regimes(connection, caller.site_list(), asset_type)
        if not found:
            raise unknown("asset type", asset_type)
        (told,) = found
        machines = assets_in_regimes(connection, asset_type, told.regimes, caller.site_list(), ASSETS_MAX)
        metrics = metrics_of_type(connection, asset_type, METRICS_MAX)
        changes = (
            audit.changes_of_record(connection, ["regimes"], asset_type, limit=CHANGES_MAX) if reads_changes else []
        )
        zones = console.site_zones(connection)
    context = {
        "type": told,
        "ranges": ranges_of(told.regimes),
        "machines": machines,
        "metrics": metrics,
        "changes": [
            (one, {key: value for key, value in (one.after or {}).items() if key in _SHOWN}) for one in changes
        ],
        "reads_changes": reads_changes,
        "zones": zones,
        "zone": common_zone(zones),
        "typed": typed or TypedRegimes.of_stored(told.regimes),
        "may_change": may(caller.person, Action.CHANGE_RULES) and places_of(caller, Action.CHANGE_RULES) is None,
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "regime.html", context, status=refused_status(refusal))
