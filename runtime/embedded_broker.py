"""The embedded MQTT brokers by the word of the setting ``broker``; NATS is the one that is meant without a word."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from runtime.loopback_broker import HOST, LoopbackBroker
from runtime.mosquitto_broker import MosquittoBroker, find_mosquitto
from runtime.nats_broker import NatsBroker, find_nats

EmbeddedBroker = NatsBroker
BROKERS: Mapping[str, type[LoopbackBroker]] = MappingProxyType({"nats": NatsBroker, "mosquitto": MosquittoBroker})

__all__ = [
    "BROKERS",
    "HOST",
    "EmbeddedBroker",
    "LoopbackBroker",
    "MosquittoBroker",
    "NatsBroker",
    "find_mosquitto",
    "find_nats",
]
