"""Waveform blocks: listed, downloaded, and as spectra for charts (SPEC D4)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Response
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeRules, Database, Now, ReadSignals
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.assets import visible_asset
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from api.waveform_schemas import (
    KeepPolicyShape,
    NewKeepPolicy,
    SampleFormat,
    Spectrum,
    SpectrumKind,
    WaveformDetail,
    Waveforms,
)
from detectors.envelope import envelope_spectrum
from detectors.spectrum import Lines, amplitude_spectrum
from detectors.vibration import DEFAULT_SETTINGS
from storage import waveforms
from storage.waveform_keeping import POLICY
from storage.waveforms import StoredWaveform

router = APIRouter(prefix=BASE_PATH, tags=["signals"])

WaveformInPath = Annotated[Key, Path(description="The block's id")]
AssetInPath = Annotated[Key, Path(description="The asset's id")]
Points = Annotated[int, Query(ge=16, le=8_192, description="Points to draw at most")]
ToHz = Annotated[float | None, Query(gt=0, le=1e6, allow_inf_nan=False, description="Highest frequency; all if absent")]
_MEDIA = {SampleFormat.FLOAT32: ("application/octet-stream", "f32"), SampleFormat.CSV: ("text/csv", "csv")}


@router.get("/assets/{asset_id}/waveforms", responses=RECORD_ANSWERS)
def list_waveforms(
    asset_id: AssetInPath,
    caller: ReadSignals,
    database: Database,
    device: Annotated[Key | None, Query(description="Only of this device (its id)")] = None,
    metric: Annotated[str | None, Query(max_length=128, pattern=r"^[^\x00]*$")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Waveforms:
    """Return the kept blocks of an asset, the newest stored first; their features are series like any other."""
    with database.connection() as connection:
        visible_asset(connection, caller, asset_id)
        rows = waveforms.page(connection, asset_id, device_id=device, metric=metric, before=cursor, limit=limit + 1)
    items, following = cut(rows, limit, lambda row: row.id)
    return Waveforms(items=items, next_cursor=following)


@router.get("/waveforms/{waveform_id}", responses=RECORD_ANSWERS)
def read_waveform(waveform_id: WaveformInPath, caller: ReadSignals, database: Database) -> WaveformDetail:
    """Return a kept block with its samples."""
    with database.connection() as connection:
        found = _visible(connection, caller, waveform_id)
    return WaveformDetail(waveform=found.row, samples=found.samples.tolist())


@router.get(
    "/waveforms/{waveform_id}/samples",
    response_class=Response,
    responses={
        200: {
            "content": {media: {"schema": {"type": "string", "format": "binary"}} for media, _ in _MEDIA.values()},
            "description": "The samples",
        },
        **RECORD_ANSWERS,
    },
)
def download_samples(
    waveform_id: WaveformInPath,
    caller: ReadSignals,
    database: Database,
    kind: Annotated[SampleFormat, Query(alias="format")] = SampleFormat.FLOAT32,
) -> Response:
    """Return the samples alone, as little-endian float32 or as CSV (seconds since the first sample, value)."""
    with database.connection() as connection:
        found = _visible(connection, caller, waveform_id)
    media, suffix = _MEDIA[kind]
    name = f"{found.row.device}_{found.row.metric}_{found.row.ts:%Y%m%dT%H%M%S}.{suffix}"
    return Response(
        found.samples.tobytes() if kind is SampleFormat.FLOAT32 else _csv(found),
        media_type=media,
        headers={"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"},
    )


@router.get("/waveforms/{waveform_id}/spectrum", responses=RECORD_ANSWERS)
def read_spectrum(
    waveform_id: WaveformInPath,
    caller: ReadSignals,
    database: Database,
    kind: SpectrumKind = SpectrumKind.AMPLITUDE,
    points: Points = 800,
    to_hz: ToHz = None,
) -> Spectrum:
    """Return the spectrum of a kept block, or that of its envelope, reduced for a chart with every peak kept."""
    with database.connection() as connection:
        found = _visible(connection, caller, waveform_id)
    if kind is SpectrumKind.ENVELOPE:
        lines = envelope_spectrum(found.samples, found.row.rate_hz, DEFAULT_SETTINGS.envelope_band)
    else:
        lines = amplitude_spectrum(found.samples, found.row.rate_hz)
    if lines is not None and to_hz is not None:
        shown = lines.frequency_hz <= to_hz
        lines = Lines(lines.frequency_hz[shown], lines.amplitude[shown])
    reduced = None if lines is None else lines.reduced(points)
    return Spectrum(
        waveform_id=waveform_id,
        kind=kind,
        unit=found.row.unit,
        frequency_hz=[] if reduced is None else reduced.frequency_hz.tolist(),
        amplitude=[] if reduced is None else reduced.amplitude.tolist(),
    )


@router.get("/waveform-policy", responses=SIGNED_IN_ANSWERS)
def read_keep_policy(caller: ReadSignals, database: Database) -> KeepPolicyShape:
    """Return which blocks are kept whole."""
    with database.connection() as connection:
        return KeepPolicyShape.model_validate(waveforms.policy_in_force(connection))


@router.post("/waveform-policy", status_code=201, responses=CHANGE_ANSWERS)
def publish_keep_policy(caller: ChangeRules, body: NewKeepPolicy, database: Database, now: Now) -> KeepPolicyShape:
    """Publish the next version of the policy: in force at once, at every site."""
    caller.require_every_site("the policy holds at every site", "Ask a planner of every site.")
    policy = {"name": POLICY, **body.model_dump(mode="json")}
    with database.connection() as connection:
        waveforms.publish_keep_policy(connection, policy, person_id=caller.person.id, now=now)
        return KeepPolicyShape.model_validate(waveforms.policy_in_force(connection))


def _visible(connection: Connection, caller: Caller, waveform_id: int) -> StoredWaveform:
    found = waveforms.waveform_by_id(connection, waveform_id)
    if found is None or not caller.sees(found.row.site_id):
        raise unknown("waveform", waveform_id)
    return found


def _csv(found: StoredWaveform) -> str:
    rate_hz = found.row.rate_hz
    lines = [f"{place / rate_hz:.9g},{value}" for place, value in enumerate(map(str, found.samples))]
    return "\n".join(["time_s,value", *lines, ""])
