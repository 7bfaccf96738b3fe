"""Credentials of devices and gateways for the broker: issued with a secret that is shown once, listed, revoked.

To rotate one, issue a second, give it to the device, then revoke the first: nothing is interrupted.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path, Response
from psycopg import Connection

from api.boundary import BASE_PATH
from api.dependencies import ChangeBrokerAccess, Database, Now, ReadBrokerAccess
from api.device_credential_schemas import (
    Credentials,
    Gateways,
    GatewayShape,
    NewGateway,
    NewGatewayShape,
)
from api.identity import Caller
from api.problems import unknown
from api.routes.answers import CHANGE_ANSWERS, RECORD_ANSWERS, SIGNED_IN_ANSWERS
from api.routes.paging import LIMIT_DEFAULT, Cursor, Limit, cut
from api.schemas import Key
from storage import assets
from storage import device_credentials as credentials
from storage.device_credentials import GatewayRow, IssuedCredential, Owner

router = APIRouter(prefix=BASE_PATH, tags=["broker access"])

DeviceKey = Annotated[Key, Path(description="The device's id")]
GatewayKey = Annotated[Key, Path(description="The gateway's id")]
CredentialKey = Annotated[Key, Path(description="The credential's id")]


@router.post("/devices/{device_id}/credentials", status_code=201, responses=CHANGE_ANSWERS)
def issue_device_credential(
    device_id: DeviceKey, caller: ChangeBrokerAccess, database: Database, now: Now
) -> IssuedCredential:
    """Issue a credential to a registered device and show its secret this once.

    It lets the device publish its own telemetry, events, waveforms and state, and hear its own tickets and commands.
    """
    with database.connection() as connection:
        return credentials.issue(connection, _device(connection, caller, device_id), caller.person.id, now)


@router.get("/devices/{device_id}/credentials", responses=RECORD_ANSWERS)
def list_device_credentials(
    device_id: DeviceKey,
    caller: ReadBrokerAccess,
    database: Database,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Credentials:
    """Return a device's credentials, newest first: who issued and who revoked them, and when."""
    with database.connection() as connection:
        return _page(connection, _device(connection, caller, device_id), cursor, limit)


@router.delete("/devices/{device_id}/credentials/{credential_id}", status_code=204, responses=CHANGE_ANSWERS)
def revoke_device_credential(
    device_id: DeviceKey, credential_id: CredentialKey, caller: ChangeBrokerAccess, database: Database, now: Now
) -> Response:
    """Revoke a credential: the embedded broker disconnects and refuses it within seconds."""
    with database.connection() as connection:
        owner = _device(connection, caller, device_id)
        if not credentials.revoke(connection, owner, credential_id, caller.person.id, now):
            raise unknown("credential of this device", credential_id)
    return Response(status_code=204)


@router.get("/gateways", responses=SIGNED_IN_ANSWERS)
def list_gateways(
    caller: ReadBrokerAccess, database: Database, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Gateways:
    """Return the gateways at the caller's sites."""
    with database.connection() as connection:
        rows = credentials.gateways(connection, sites=caller.site_list(), after=cursor or 0, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda gateway: gateway.id)
    return Gateways(items=[GatewayShape.model_validate(gateway) for gateway in page], next_cursor=next_cursor)


@router.post("/gateways", status_code=201, responses=CHANGE_ANSWERS)
def add_gateway(caller: ChangeBrokerAccess, body: NewGateway, database: Database, now: Now) -> NewGatewayShape:
    """Add a gateway and issue its first credential, whose secret is shown this once."""
    with database.connection() as connection:
        if not caller.sees(body.site):
            raise unknown("site", body.site)
        gateway = credentials.add_gateway(
            connection,
            site=body.site,
            name=body.name,
            publish=body.publish,
            subscribe=body.subscribe,
            person_id=caller.person.id,
            now=now,
        )
        owner = credentials.owner_of_gateway(gateway)
        issued = credentials.issue(connection, owner, caller.person.id, now)
    return NewGatewayShape(**{**asdict(gateway), "live_credentials": 1}, credential=issued)


@router.delete("/gateways/{gateway_id}", status_code=204, responses=CHANGE_ANSWERS)
def remove_gateway(gateway_id: GatewayKey, caller: ChangeBrokerAccess, database: Database, now: Now) -> Response:
    """Remove a gateway and revoke its credentials."""
    with database.connection() as connection:
        gateway = _gateway(connection, caller, gateway_id)
        credentials.remove_gateway(connection, gateway.id, caller.person.id, now)
    return Response(status_code=204)


@router.post("/gateways/{gateway_id}/credentials", status_code=201, responses=CHANGE_ANSWERS)
def issue_gateway_credential(
    gateway_id: GatewayKey, caller: ChangeBrokerAccess, database: Database, now: Now
) -> IssuedCredential:
    """Issue a further credential to a gateway and show its secret this once."""
    with database.connection() as connection:
        owner = credentials.owner_of_gateway(_gateway(connection, caller, gateway_id))
        return credentials.issue(connection, owner, caller.person.id, now)


@router.get("/gateways/{gateway_id}/credentials", responses=RECORD_ANSWERS)
def list_gateway_credentials(
    gateway_id: GatewayKey,
    caller: ReadBrokerAccess,
    database: Database,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Credentials:
    """Return a gateway's credentials, newest first."""
    with database.connection() as connection:
        owner = credentials.owner_of_gateway(_gateway(connection, caller, gateway_id))
        return _page(connection, owner, cursor, limit)


@router.delete("/gateways/{gateway_id}/credentials/{credential_id}", status_code=204, responses=CHANGE_ANSWERS)
def revoke_gateway_credential(
    gateway_id: GatewayKey, credential_id: CredentialKey, caller: ChangeBrokerAccess, database: Database, now: Now
) -> Response:
    """Revoke a credential of a gateway."""
    with database.connection() as connection:
        owner = credentials.owner_of_gateway(_gateway(connection, caller, gateway_id))
        if not credentials.revoke(connection, owner, credential_id, caller.person.id, now):
            raise unknown("credential of this gateway", credential_id)
    return Response(status_code=204)


def _device(connection: Connection, caller: Caller, device_id: int) -> Owner:
    rows = assets.list_devices(connection, sites=caller.site_list(), device_id=device_id, limit=1)
    if not rows:
        raise unknown("device", device_id)
    return credentials.owner_of_device(device_id, rows[0].site_id, rows[0].name)


def _gateway(connection: Connection, caller: Caller, gateway_id: int) -> GatewayRow:
    rows = credentials.gateways(connection, sites=caller.site_list(), gateway_id=gateway_id, limit=1)
    if not rows:
        raise unknown("gateway", gateway_id)
    return rows[0]


def _page(connection: Connection, owner: Owner, cursor: int | None, limit: int) -> Credentials:
    rows = credentials.credentials_of(connection, owner, before=cursor, limit=limit + 1)
    page, next_cursor = cut(rows, limit, lambda row: row.id)
    return Credentials(items=page, next_cursor=next_cursor)
