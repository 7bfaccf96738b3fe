"""Back to the equipment: each device of the asset is told its ticket's state, QoS 1."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
from paho.mqtt.enums import CallbackAPIVersion
from psycopg import Connection

from notify.channel import DeliveryError
from storage.outbox import Message, devices_of

TOPIC = "wearsight/v1/{site}/{device}/tickets"
FIELDS = ("code", "state", "outcome", "failure_mode", "resolution_code", "work_finished_at")
KEEPALIVE_S = 30
ACKNOWLEDGE_WITHIN_S = 5.0


class MqttChannel:
    """Publishes and waits for the broker's acknowledgement: only then is the message sent."""

    name = "mqtt"

    def __init__(self, broker_url: str) -> None:
        address = urlsplit(broker_url)
        # Nobody else's, so that none can push us off, another relay neither. The session is clean: nothing waits in it.
        client_id = f"wearsight-relay-{secrets.token_hex(16)}"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        self._client.reconnect_delay_set(1, 30)
        if address.username is not None:
            self._client.username_pw_set(unquote(address.username), unquote(address.password or ""))
        if address.scheme == "mqtts":
            self._client.tls_set()
        default_port = 8883 if address.scheme == "mqtts" else 1883
        self._client.connect_async(address.hostname or "127.0.0.1", address.port or default_port, KEEPALIVE_S)
        self._client.loop_start()

    def send(self, connection: Connection, message: Message, now: datetime) -> str:
        """Publish to every device of the asset; an asset without devices has nobody to tell, which is no error."""
        asset_id = message.body.get("asset_id")
        if not isinstance(asset_id, int):
            raise DeliveryError("the message names no asset")
        if not self._client.is_connected():
            raise DeliveryError("not connected to the broker")
        payload = json.dumps({name: message.body.get(name) for name in FIELDS}, ensure_ascii=False)
        devices = devices_of(connection, asset_id)
        for site, device in devices:
            self._publish(TOPIC.format(site=site, device=device), payload)
        return f"{len(devices)} devices"

    def _publish(self, topic: str, payload: str) -> None:
        sent = self._client.publish(topic, payload, qos=1)
        if sent.rc != MQTT_ERR_SUCCESS:
            raise DeliveryError(f"the broker connection refused the message: error {sent.rc}")
        sent.wait_for_publish(ACKNOWLEDGE_WITHIN_S)
        if not sent.is_published():
            raise DeliveryError(f"the broker did not acknowledge within {ACKNOWLEDGE_WITHIN_S:.0f} s")

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()
