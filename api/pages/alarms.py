"""Alarms: what holds, what came and went unseen, what is set aside; one finding with the evidence frozen with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.dependencies import AcknowledgeAlarm, Database, Now, ReadDetection, ShelveAlarm
from api.detection_schemas import Acknowledgement, FindingDetail, NewShelving
from api.i18n import N_, catalogue
from api.identity import Caller
from api.pages.access import may
from api.pages.forms import PostedForm, body_of, text
from api.pages.rendering import frame, page, refused_status, shown
from api.pages.vibration_words import verdict_said
from api.permissions import Action
from api.problems import unknown
from api.routes import alarms as routes
from api.routes import findings as finding_routes
from api.schemas import Key
from domain.refusals import Refused
from storage import alarms, console
from storage.alarms import AlarmFilter

router = APIRouter()

LIST_MAX = 50
# For how long somebody may shelve in one go; the longest is the rule's own.
SPANS: Mapping[str, tuple[str, timedelta]] = MappingProxyType(
    {
        "1h": (N_("1 hour"), timedelta(hours=1)),
        "8h": (N_("8 hours"), timedelta(hours=8)),
        "1d": (N_("1 day"), timedelta(days=1)),
        "7d": (N_("7 days"), timedelta(days=7)),
        "30d": (N_("30 days"), alarms.LONGEST_SHELVING),
    }
)


@router.get("/alarms")
def list_alarms(
    request: Request,
    caller: ReadDetection,
    database: Database,
    now: Now,
    asset: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
    after: Annotated[UUID | None, Query()] = None,
) -> HTMLResponse:
    """Show what holds or went unseen at the reader's sites, newest first, and what is set aside."""
    wanted = AlarmFilter(sites=caller.site_list(), asset_id=asset)
    with database.connection() as connection:
        rows = alarms.alarms(connection, wanted, now, before=after, limit=LIST_MAX + 1)
        aside = alarms.shelvings(connection, wanted, in_force=True, limit=LIST_MAX)
        zones = console.site_zones(connection)
    framed = frame(request, caller.person, "alarms")
    context = {
        "alarms": rows[:LIST_MAX],
        "more": f"/alarms?after={rows[LIST_MAX - 1].finding_id}" if len(rows) > LIST_MAX else None,
        "shelvings": aside,
        "zones": zones,
        "may_acknowledge": may(caller.person, Action.ACKNOWLEDGE_ALARM),
        "may_shelve": may(caller.person, Action.SHELVE_ALARM),
    }
    return page(request, framed, "alarms.html", context)


@router.post("/alarms/acknowledge")
def acknowledge(form: PostedForm, caller: AcknowledgeAlarm, database: Database, now: Now) -> Response:
    """Say that one knows of the finding, and go back to the list."""
    body = body_of(Acknowledgement, {"findings": [text(form, "finding")]})
    routes.acknowledge(caller, body, database, now)
    return RedirectResponse("/alarms", status_code=303)


@router.post("/shelvings/{shelving_id}/end")
def unshelve(
    shelving_id: Annotated[Key, Path(description="The shelving's id")],
    caller: ShelveAlarm,
    database: Database,
    now: Now,
) -> Response:
    """End a shelving before its time, and go back to the list."""
    routes.unshelve(shelving_id, caller, database, now)
    return RedirectResponse("/alarms", status_code=303)


@router.get("/findings/{finding_id}")
def show_finding(
    finding_id: UUID, request: Request, caller: ReadDetection, database: Database, now: Now
) -> HTMLResponse:
    """Show one finding with what its detector had seen."""
    return _finding_page(request, caller, database, finding_id, now)


@router.post("/findings/{finding_id}/shelve")
def shelve(
    finding_id: UUID, form: PostedForm, request: Request, caller: ShelveAlarm, database: Database, now: Now
) -> Response:
    """Set aside this metric of the asset, or all of it, and go to the list."""
    finding = finding_routes.read_finding(finding_id, caller, database).finding
    try:
        _, span = SPANS.get(text(form, "span"), SPANS["8h"])
        wanted = {
            "asset_id": finding.asset_id,
            "metric": finding.metric if text(form, "scope") == "metric" else None,
            "reason": text(form, "reason"),
            "until": now + span,
        }
        routes.shelve(caller, body_of(NewShelving, wanted), database, now)
    except Refused as refusal:
        return _finding_page(request, caller, database, finding_id, now, refusal=refusal)
    return RedirectResponse("/alarms", status_code=303)


def _finding_page(
    request: Request,
    caller: Caller,
    database: Database,
    finding_id: UUID,
    now: datetime,
    *,
    refusal: Refused | None = None,
) -> HTMLResponse:
    told: FindingDetail = finding_routes.read_finding(finding_id, caller, database)
    finding = told.finding
    with database.connection() as connection:
        rows = console.finding_rows(connection, finding_id=finding_id)
        place = console.place_of_asset(connection, finding.asset_id)
        zones = console.site_zones(connection)
        found = alarms.alarms(connection, AlarmFilter(sites=caller.site_list()), now, finding_id=finding_id)
    if not rows or place is None:
        raise unknown("finding", finding_id)
    framed = frame(request, caller.person, "alarms", here=f"/findings/{finding_id}")
    context = {
        "told": told,
        "finding": rows[0],
        "figures": sorted((name, value) for name, value in finding.evidence.items() if ":" not in name),
        "contributions": _contributions(finding.evidence),
        "bearings": [(one, verdict_said(one, catalogue(framed.language).gettext)) for one in told.bearings],
        "alarm": found[0] if found else None,
        "place": place,
        "zone": zones[place.site_id],
        "spans": {name: label for name, (label, _) in SPANS.items()},
        "may_acknowledge": may(caller.person, Action.ACKNOWLEDGE_ALARM, place.site_id),
        "may_shelve": may(caller.person, Action.SHELVE_ALARM, place.site_id),
        "refusal": shown(refusal, framed.language) if refusal is not None else None,
    }
    return page(request, framed, "finding.html", context, status=refused_status(refusal))


def _contributions(evidence: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return how much each metric has to do with a finding over several, the most first."""
    shares = [(name.partition(":")[2], share) for name, share in evidence.items() if name.startswith("contribution:")]
    return sorted(shares, key=lambda one: -one[1])
