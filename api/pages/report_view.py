"""What the steps of a report show: the asset that is meant, what may be chosen, and what is known of it already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection

from api.dependencies import Database
from api.identity import Caller, permitted
from api.languages import Language
from api.pages.access import may
from api.pages.report_forms import PREVIEW_DESCRIPTION, PREVIEW_TITLE, Source, TypedReport
from api.pages.rows import lines_stored
from api.permissions import Action
from api.routes import intake as routes
from domain.refusals import Refused
from storage import assets, console, people, qualifications, schedules, store
from storage.assets import Asset
from storage.console import ModeName
from storage.intaking.records import asset_by_serial_number
from storage.intaking.refusals import list_refusals
from storage.qualifications import Team
from ticketing.actors import Role

NAMED_ALIKE_MAX = 20
CHOICES_MAX = 200


@dataclass(frozen=True, slots=True)
class Choices:
    """What the second step lets somebody choose; the staff of the site more than others."""

    is_staff: bool
    type_name: str
    modes: Sequence[ModeName]
    teams: Sequence[Team]
    people: Sequence[tuple[int, str]]
    engineers: Sequence[tuple[int, str]]
    parts: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class EarlierTicket:
    """A ticket of the asset, as a preview names it; ``score`` is how likely it is the same fault, 0 to 1."""

    code: str
    title_en: str
    title_zh: str
    state: str
    outcome: str | None
    opened_at: datetime
    score: float | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What is known before a ticket is opened; ``history`` and ``duplicates`` are None for who may not see them."""

    warranty: Mapping[str, object]
    history_days: int
    history: Sequence[EarlierTicket] | None
    duplicates: Sequence[EarlierTicket] | None
    articles: Sequence[Mapping[str, object]]


def asset_named(connection: Connection, caller: Caller, typed: TypedReport) -> Asset:
    """Return the asset that is named by its tag or by its serial number, at the caller's sites only."""
    if bool(typed.tag) == bool(typed.serial_number):
        raise Refused(
            "invalid_request",
            expected="the tag of an asset or its serial number, one of them",
            got="both" if typed.tag else "neither",
            remedy="Read one of them off the nameplate or the label.",
        )
    sites = caller.site_list()
    if typed.serial_number:
        asset_id = asset_by_serial_number(connection, typed.serial_number, sites)
        return assets.list_assets(connection, sites=sites, asset_id=asset_id, limit=1)[0]
    place = typed.site or None
    found = assets.list_assets(connection, sites=sites, site=place, tag=typed.tag, limit=NAMED_ALIKE_MAX)
    if len(found) == 1:
        return found[0]
    places = ", ".join(one.site_id for one in found)
    raise Refused(
        "invalid_request" if found else "unknown_record",
        expected="the tag of one asset",
        got=f"'{typed.tag}', which is at {places}" if found else f"'{typed.tag}', which no asset has",
        remedy="Choose the site too." if found else "Check the label, or give the serial number instead.",
    )


def report_started(connection: Connection, caller: Caller, source: Source) -> TypedReport:
    """Return the report that somebody begins from an asset, a schedule or a refused request; empty from elsewhere."""
    match source.noun:
        case "asset":
            found = assets.list_assets(connection, sites=caller.site_list(), asset_id=source.key, limit=1)
            return TypedReport(site=found[0].site_id, tag=found[0].tag) if found else TypedReport()
        case "schedule" if may(caller.person, Action.READ_SCHEDULES):
            sites = permitted(caller.person, Action.READ_SCHEDULES, caller.channel).site_list()
            return _of_schedule(connection, source.key, sites)
        case "refused" if may(caller.person, Action.READ_REFUSED_INTAKE):
            sites = permitted(caller.person, Action.READ_REFUSED_INTAKE, caller.channel).site_list()
            return _of_refused(connection, source.key, sites)
        case _:
            return TypedReport()


def choices_for(connection: Connection, caller: Caller, asset: Asset | None, language: Language) -> Choices:
    """Return what may be chosen for a ticket of the asset."""
    if asset is None:
        return Choices(not caller.is_only_a_requester(), "", [], [], [], [], [])
    is_staff, chinese = caller.is_staff_at(asset.site_id), language is Language.ZH
    types = {one.id: one.name_zh if chinese else one.name_en for one in assets.list_asset_types(connection)}
    modes = [one for one in console.mode_names(connection, asset.asset_type_id) if not one.is_retired]
    type_name = types.get(asset.asset_type_id, asset.asset_type_id)
    if not is_staff:
        return Choices(False, type_name, modes, [], [], [], [])
    here = [asset.site_id]
    everybody = people.list_people(connection, sites=here, limit=CHOICES_MAX)
    engineers = people.list_people(connection, sites=here, role=Role.ENGINEER, limit=CHOICES_MAX)
    parts = store.list_parts(connection, limit=CHOICES_MAX) if may(caller.person, Action.READ_PARTS) else []
    return Choices(
        True,
        type_name,
        modes,
        qualifications.list_teams(connection, sites=here, limit=CHOICES_MAX),
        [(one.person.id, one.person.name) for one in everybody if one.facts.active],
        [(one.person.id, one.person.name) for one in engineers if one.facts.active],
        [(one.number, one.name_en, one.name_zh) for one in parts],
    )


def preview_of(caller: Caller, database: Database, asset: Asset, typed: TypedReport, now: datetime) -> Preview:
    """Return what the API's preview says of the report."""
    reader = permitted(caller.person, Action.READ_TICKETS, caller.channel)
    mode = typed.failure_mode if typed.kind == "corrective" and typed.failure_mode else None
    told = routes.preview_intake(
        reader,
        database,
        now,
        asset_id=asset.id,
        title=typed.title[:PREVIEW_TITLE],
        description=typed.description[:PREVIEW_DESCRIPTION],
        failure_mode=mode,
    ).model_dump()
    history = told["history"]
    return Preview(
        told["warranty"],
        0 if history is None else int(history["days"]),
        None if history is None else [_ticket(one) for one in history["items"]],
        None if told["duplicates"] is None else [_ticket(one) for one in told["duplicates"]["items"]],
        told["knowledge"]["items"],
    )


def _ticket(told: Mapping[str, object]) -> EarlierTicket:
    score, outcome = told.get("score"), told.get("outcome")
    return EarlierTicket(
        str(told["code"]),
        str(told["title_en"]),
        str(told["title_zh"]),
        str(told["state"]),
        None if outcome is None else str(outcome),
        datetime.fromisoformat(str(told["opened_at"])),
        float(str(score)) if score is not None else None,
    )


def _of_schedule(connection: Connection, schedule_id: int, sites: Sequence[str] | None) -> TypedReport:
    found = schedules.list_schedules(connection, sites=sites, schedule_id=schedule_id, limit=1)
    if not found:
        return TypedReport()
    (one,) = found
    return TypedReport(
        site=one.site_id,
        tag=one.asset_tag,
        kind="inspection",
        title=one.title_en,
        description=one.description,
        team_id="" if one.team_id is None else str(one.team_id),
        tasks=lines_stored(one.checklist),
    )


def _of_refused(connection: Connection, refusal_id: int, sites: Sequence[str] | None) -> TypedReport:
    """Return what a refused request asked for; its asset by the tag, whatever it was named by."""
    found = list_refusals(connection, sites=sites, refusal_id=refusal_id, limit=1)
    try:
        told = json.loads(found[0].body) if found else {}
    except (ValueError, RecursionError):
        return TypedReport()
    if not isinstance(told, dict):
        return TypedReport()
    typed = TypedReport.of_request(told)
    asset_id = told.get("asset_id")
    if isinstance(asset_id, bool) or not isinstance(asset_id, int) or not 0 < asset_id < 2**63:
        return typed
    named = assets.list_assets(connection, sites=sites, asset_id=asset_id, limit=1)
    return TypedReport.of_request({**told, "site": named[0].site_id, "tag": named[0].tag}) if named else typed
