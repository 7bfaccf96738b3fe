"""QR labels of assets, one as a picture or many as a page to print."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse

from api import labels
from api.boundary import BASE_PATH
from api.dependencies import Database, LanguageAsked, ReadRegister
from api.i18n import TAGS
from api.labels import SIZE_MM_DEFAULT, SIZE_MM_MAX, SIZE_MM_MIN, Label
from api.problems import unknown
from api.routes.answers import RECORD_ANSWERS
from api.schemas import Key
from domain.refusals import Refused
from storage import assets
from storage.assets import Asset, AssetStatus

router = APIRouter(prefix=BASE_PATH, tags=["register"])

LABELS_MAX = 500
# Nothing of a label is anybody's to run or to load.
_HEADERS = {"Content-Security-Policy": "default-src 'none'"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


class LabelFormat(StrEnum):
    """How a label is drawn: SVG with its text, PNG the code alone."""

    SVG = "svg"
    PNG = "png"


Size = Annotated[float, Query(ge=SIZE_MM_MIN, le=SIZE_MM_MAX, allow_inf_nan=False, description="Width in mm")]


@router.get(
    "/assets/labels",
    response_class=HTMLResponse,
    responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}, **RECORD_ANSWERS},
)
def read_labels(
    caller: ReadRegister,
    request: Request,
    database: Database,
    language: LanguageAsked,
    ids: Annotated[list[Key] | None, Query(max_length=LABELS_MAX, description="These assets")] = None,
    site: Annotated[str | None, Query(max_length=64, description="Every asset in service of this site")] = None,
    size_mm: Size = SIZE_MM_DEFAULT,
) -> HTMLResponse:
    """Return a page of labels to print, at most 500: of the assets named, or of a site."""
    if (ids is None) == (site is None):
        raise Refused(
            "invalid_request", expected="either 'ids' or 'site'", got="both or neither", remedy="Say which assets."
        )
    if site is not None and not caller.sees(site):
        raise unknown("site", site)
    with database.connection() as connection:
        if ids is None:
            status = AssetStatus.IN_SERVICE
            found = assets.list_assets(connection, sites=None, site=site, status=status, limit=LABELS_MAX + 1)
        else:
            found = assets.list_assets(connection, sites=None, asset_ids=ids, limit=LABELS_MAX)
    if ids is not None and (missing := sorted(set(ids) - {one.id for one in found if caller.sees(one.site_id)})):
        raise unknown("asset", missing[0])
    if len(found) > LABELS_MAX:
        raise Refused(
            "request_too_large",
            expected=f"at most {LABELS_MAX} labels a page",
            got="a site with more assets",
            remedy="Name the assets by 'ids'.",
        )
    drawn = [_label(request, one) for one in found]
    return HTMLResponse(labels.page(drawn, size_mm, TAGS[language], "QR"), headers=_HEADERS)


@router.get(
    "/assets/{asset_id}/label",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": _BINARY, "image/png": _BINARY}}, **RECORD_ANSWERS},
)
def read_label(
    asset_id: Annotated[Key, Path(description="The asset's id")],
    caller: ReadRegister,
    request: Request,
    database: Database,
    drawn: Annotated[LabelFormat, Query(alias="format")] = LabelFormat.SVG,
    size_mm: Size = SIZE_MM_DEFAULT,
) -> Response:
    """Return an asset's label: a QR code of its page in the console, with tag and name below (SVG)."""
    with database.connection() as connection:
        rows = assets.list_assets(connection, sites=caller.site_list(), asset_id=asset_id, limit=1)
    if not rows:
        raise unknown("asset", asset_id)
    label = _label(request, rows[0])
    if drawn is LabelFormat.PNG:
        return Response(labels.png(label, size_mm), media_type="image/png", headers=_HEADERS)
    return Response(labels.svg(label, size_mm), media_type="image/svg+xml", headers=_HEADERS)


def _label(request: Request, asset: Asset) -> Label:
    base = request.app.state.public_url or str(request.base_url).rstrip("/")
    return Label(f"{base}/assets/{asset.id}", asset.tag, asset.name)
