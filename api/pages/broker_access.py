"""Credentials of devices and gateways for the broker: issued with a secret that is shown once, and revoked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Protocol

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.dependencies import ChangeBrokerAccess, Database, Now
from api.pages.devices import KEY_MAX, DeviceId, device_page
from api.pages.gateways import GatewayId, gateway_page
from api.routes import device_credentials as routes
from domain.refusals import Refused
from storage.device_credentials import IssuedCredential

router = APIRouter()

CredentialId = Annotated[int, Path(ge=1, le=KEY_MAX)]


class OwnersPage(Protocol):
    """The page of a device or a gateway, with what came of a change of its credentials."""

    def __call__(self, *, refusal: Refused | None = None, issued: IssuedCredential | None = None) -> HTMLResponse:
        """Show it."""
        ...


@router.post("/devices/{device_id}/credentials")
def issue_to_device(
    device_id: DeviceId, request: Request, caller: ChangeBrokerAccess, database: Database, now: Now
) -> HTMLResponse:
    """Issue a credential and show its secret on the device's page."""
    return _issue(
        partial(device_page, request, caller, database, device_id),
        lambda: routes.issue_device_credential(device_id, caller, database, now),
    )


@router.post("/gateways/{gateway_id}/credentials")
def issue_to_gateway(
    gateway_id: GatewayId, request: Request, caller: ChangeBrokerAccess, database: Database, now: Now
) -> HTMLResponse:
    """Issue a further credential and show its secret on the gateway's page."""
    return _issue(
        partial(gateway_page, request, caller, database, gateway_id),
        lambda: routes.issue_gateway_credential(gateway_id, caller, database, now),
    )


@router.post("/devices/{device_id}/credentials/{credential_id}/revoke")
def revoke_of_device(
    device_id: DeviceId, credential_id: CredentialId, caller: ChangeBrokerAccess, database: Database, now: Now
) -> Response:
    """Revoke a credential, then show the device."""
    routes.revoke_device_credential(device_id, credential_id, caller, database, now)
    return RedirectResponse(f"/devices/{device_id}#access", status_code=303)


@router.post("/gateways/{gateway_id}/credentials/{credential_id}/revoke")
def revoke_of_gateway(
    gateway_id: GatewayId, credential_id: CredentialId, caller: ChangeBrokerAccess, database: Database, now: Now
) -> Response:
    """Revoke a credential, then show the gateway."""
    routes.revoke_gateway_credential(gateway_id, credential_id, caller, database, now)
    return RedirectResponse(f"/gateways/{gateway_id}#access", status_code=303)


def _issue(show: OwnersPage, issue: Callable[[], IssuedCredential]) -> HTMLResponse:
    """Show the new secret in the answer itself: a redirect would have to keep it somewhere."""
    try:
        issued = issue()
    except Refused as refusal:
        return show(refusal=refusal)
    return show(issued=issued)
