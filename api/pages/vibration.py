"""The vibration of an asset: severity zones, each bearing's envelope in words and as a picture, its register entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.datastructures import FormData

from api.bearing_schemas import BearingBody
from api.dependencies import ChangeRegister, Database, Now, ReadSignals
from api.i18n import catalogue
from api.identity import Caller
from api.pages import vibration_words
from api.pages.access import may
from api.pages.assets import AssetId
from api.pages.forms import PostedForm, body_of, text
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.spectrum_picture import HEIGHT, WIDTH, Picture, picture_of
from api.permissions import Action
from api.routes import bearings as bearing_routes
from api.routes import vibration as routes
from api.routes.assets import visible_asset
from api.schemas import Asked, LowWord
from api.vibration_schemas import SeverityClassBody
from detectors.bearings import HARMONICS, Part
from detectors.envelope import envelope_spectrum
from detectors.severity_zones import BORDERS_MM_S
from detectors.vibration import DEFAULT_SETTINGS
from domain.refusals import Refused
from storage import assets, console
from storage.bearings import Bearing
from storage.severity_classes import ASSUMED, severity_class
from storage.vibration import MeasuringPoint, measuring_points

router = APIRouter()

GEOMETRY = ("elements", "ball_diameter_mm", "pitch_diameter_mm", "contact_angle_deg")
ORDERS = tuple(part.value for part in Part)
_FIELDS = ("component", "designation", "speed_rpm", *GEOMETRY, *ORDERS)
# Room beyond the last harmonic of a picture.
_MARGIN = 1.15


class _Named(Asked):
    """A component's name out of a form, which the API takes from the path."""

    component: LowWord


@dataclass(frozen=True, slots=True)
class TypedBearing:
    """What somebody typed into the form of one measuring point; ``metric`` is the point."""

    metric: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, form: FormData) -> TypedBearing:
        """Return the form as it was posted."""
        return cls(text(form, "metric"), {name: text(form, name)[:64] for name in _FIELDS})

    def body(self) -> dict[str, object]:
        """Return it as the API takes a bearing: the group of fields that is filled in, or both."""
        given = {name: value for name, value in self.values.items() if value and name != "component"}
        body: dict[str, object] = {"metric": self.metric}
        for group, names in (("geometry", GEOMETRY), ("orders", ORDERS)):
            inside = {name: given.pop(name) for name in names if name in given}
            if inside:
                body[group] = inside
        return {**body, **given}


@dataclass(frozen=True, slots=True)
class PointView:
    """A measuring point with its sentence, its envelope as a picture, and its form as it is filled in."""

    point: MeasuringPoint
    sentence: str
    picture: Picture | None
    values: Mapping[str, str]
    is_typed: bool


@router.get("/assets/{asset_id}/vibration")
def show_vibration(
    asset_id: AssetId, request: Request, caller: ReadSignals, database: Database, now: Now
) -> HTMLResponse:
    """Show the measuring points of an asset."""
    return _vibration_page(request, caller, database, asset_id, now)


@router.post("/assets/{asset_id}/severity-class")
def change_class(
    asset_id: AssetId, form: PostedForm, request: Request, caller: ChangeRegister, database: Database, now: Now
) -> Response:
    """Say by which borders the asset is judged."""
    try:
        body = body_of(SeverityClassBody, {"group": text(form, "group"), "foundation": text(form, "foundation")})
        routes.change_severity_class(asset_id, caller, body, database, now)
    except Refused as refusal:
        return _vibration_page(request, caller, database, asset_id, now, refusal=refusal)
    return RedirectResponse(f"/assets/{asset_id}/vibration", status_code=303)


@router.post("/assets/{asset_id}/bearings")
def change_bearing(
    asset_id: AssetId, form: PostedForm, request: Request, caller: ChangeRegister, database: Database, now: Now
) -> Response:
    """Enter what is known of a bearing, change it, or forget it."""
    typed = TypedBearing.of(form)
    try:
        if text(form, "step") == "forget":
            bearing_routes.forget_bearing(asset_id, typed.values["component"], caller, database, now)
        else:
            component = _component(typed.values["component"])
            body = body_of(BearingBody, typed.body())
            bearing_routes.change_bearing(asset_id, component, caller, body, database, now)
    except Refused as refusal:
        return _vibration_page(request, caller, database, asset_id, now, refusal=refusal, typed=typed)
    return RedirectResponse(f"/assets/{asset_id}/vibration", status_code=303)


def _component(name: str) -> str:
    """Return the component's name as the API's path takes it."""
    return body_of(_Named, {"component": name}).component


def _vibration_page(
    request: Request,
    caller: Caller,
    database: Database,
    asset_id: int,
    now: Now,
    *,
    refusal: Refused | None = None,
    typed: TypedBearing | None = None,
) -> HTMLResponse:
    framed = frame(request, caller.person, "assets", here=f"/assets/{asset_id}/vibration")
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        (asset,) = assets.list_assets(connection, sites=caller.site_list(), asset_id=asset_id, limit=1)
        told = severity_class(connection, asset_id)
        judged_by = told or ASSUMED
        points = measuring_points(connection, asset_id, judged_by, now)
        zones = console.site_zones(connection)
    translate = catalogue(framed.language).gettext
    context = {
        "asset": asset,
        "zone": zones[asset.site_id],
        "judged_by": judged_by,
        "is_assumed": told is None,
        "borders": BORDERS_MM_S[judged_by.group, judged_by.foundation],
        "points": [
            PointView(
                point,
                vibration_words.in_one_sentence(point, translate),
                _picture(point),
                typed.values if typed is not None and typed.metric == point.metric else _values(point.bearing),
                typed is not None and typed.metric == point.metric,
            )
            for point in points
        ],
        "told": vibration_words,
        "bands": DEFAULT_SETTINGS.band_edges_hz,
        "picture_size": (WIDTH, HEIGHT),
        "may_change": may(caller.person, Action.CHANGE_REGISTER, asset.site_id),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "vibration.html", context, status=refused_status(refusal))


def _picture(point: MeasuringPoint) -> Picture | None:
    """Return the envelope spectrum of the point's newest block, wide enough for every harmonic that is looked for."""
    if point.block is None:
        return None
    lines = envelope_spectrum(point.block.samples, point.block.row.rate_hz, DEFAULT_SETTINGS.envelope_band)
    if lines is None:
        return None
    expected = (
        {} if point.verdict is None else {one.part.value.upper(): one.frequency_hz for one in point.verdict.parts}
    )
    part = None if point.verdict is None else point.verdict.part
    highest = max(expected.values(), default=DEFAULT_SETTINGS.envelope_range_hz[1] / HARMONICS[-1] / _MARGIN)
    to_hz = min(highest * HARMONICS[-1] * _MARGIN, float(lines.frequency_hz[-1]))
    return picture_of(lines, to_hz, expected, None if part is None else part.value.upper())


def _values(bearing: Bearing | None) -> dict[str, str]:
    """Return what is known of a bearing as its form has it: the geometry, or the orders where they were given."""
    if bearing is None:
        return dict.fromkeys(_FIELDS, "")
    inside = bearing.geometry
    return {
        "component": bearing.component,
        "designation": bearing.designation or "",
        "speed_rpm": "" if bearing.speed_rpm is None else f"{bearing.speed_rpm:g}",
        **{name: "" if inside is None else f"{getattr(inside, name):g}" for name in GEOMETRY},
        **{name: f"{bearing.orders.of(Part(name)):.6g}" if inside is None else "" for name in ORDERS},
    }
