"""Credentials of a device for the broker: issued with a secret that is shown once, and revoked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.dependencies import ChangeBrokerAccess, Database, Now
from api.pages.devices import KEY_MAX, DeviceId, device_page
from api.routes import device_credentials
from domain.refusals import Refused

router = APIRouter()

CredentialId = Annotated[int, Path(ge=1, le=KEY_MAX)]


@router.post("/devices/{device_id}/credentials")
def issue(
    device_id: DeviceId, request: Request, caller: ChangeBrokerAccess, database: Database, now: Now
) -> HTMLResponse:
    """Issue a credential and show its secret in the answer itself: a redirect would have to keep it somewhere."""
    try:
        issued = device_credentials.issue_device_credential(device_id, caller, database, now)
    except Refused as refusal:
        return device_page(request, caller, database, device_id, refusal=refusal)
    return device_page(request, caller, database, device_id, issued=issued)


@router.post("/devices/{device_id}/credentials/{credential_id}/revoke")
def revoke(
    device_id: DeviceId,
    credential_id: CredentialId,
    request: Request,
    caller: ChangeBrokerAccess,
    database: Database,
    now: Now,
) -> Response:
    """Revoke a credential, then show the device."""
    device_credentials.revoke_device_credential(device_id, credential_id, caller, database, now)
    return RedirectResponse(f"/devices/{device_id}#access", status_code=303)
