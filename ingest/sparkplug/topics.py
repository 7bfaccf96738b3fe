"""Topics of Sparkplug B: spBv1.0/{group}/{kind}/{edge node}[/{device}], and spBv1.0/STATE/{host}."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from ingest.quarantine_reasons import Reason, Unusable

NAMESPACE = "spBv1.0"
MAX_KEY_LENGTH = 256
# Topics read before: a plant's come again and again.
_MAX_REMEMBERED = 20_000


class Kind(StrEnum):
    """What a message is."""

    BIRTH = "BIRTH"
    DATA = "DATA"
    DEATH = "DEATH"


_KINDS = "|".join(Kind)

# Commands are for edge nodes, and STATE is about hosts: neither is anybody's data.
_NOT_DATA = re.compile(rf"{re.escape(NAMESPACE)}/(?:STATE/[^/]+|[^/]+/NCMD/[^/]+|[^/]+/DCMD/[^/]+/[^/]+)")
_DATA = re.compile(rf"{re.escape(NAMESPACE)}/([^/+#]+)/(?:N({_KINDS})/([^/+#]+)|D({_KINDS})/([^/+#]+)/([^/+#]+))")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Spoken:
    """Who says what: ``device`` is empty where the edge node speaks for itself."""

    group: str
    edge: str
    device: str
    kind: Kind


def parse(topic: str) -> Spoken | None:
    """Read a topic; None where it carries nobody's data. Raises Unusable("bad_topic")."""
    if len(topic) <= MAX_KEY_LENGTH:
        return _parse(topic)
    raise _bad(topic)


@lru_cache(_MAX_REMEMBERED)
def _parse(topic: str) -> Spoken | None:
    if _NOT_DATA.fullmatch(topic):
        return None
    match = _DATA.fullmatch(topic)
    if match is None or _CONTROL.search(topic):
        raise _bad(topic)
    group, of_node, node, of_device, edge, device = match.groups()
    return Spoken(group, node or edge, device or "", Kind(of_node or of_device))


def _bad(topic: str) -> Unusable:
    return Unusable(
        Reason.BAD_TOPIC,
        f"got topic {topic[:200]!r}, expected {NAMESPACE}/GROUP/NBIRTH, NDATA or NDEATH/NODE, or DBIRTH, DDATA or "
        f"DDEATH/NODE/DEVICE, at most {MAX_KEY_LENGTH} characters in all and none of control",
    )


def key_of(group: str, edge: str, device: str) -> str:
    """Return how a feed calls this edge node or device: group/edge or group/edge/device."""
    return f"{group}/{edge}/{device}" if device else f"{group}/{edge}"


def data_topic(group: str, edge: str, device: str) -> str:
    """Return the topic on which its data comes."""
    return f"{NAMESPACE}/{group}/DDATA/{edge}/{device}" if device else f"{NAMESPACE}/{group}/NDATA/{edge}"


def command_topic(group: str, edge: str) -> str:
    """Return the topic on which the edge node takes commands."""
    return f"{NAMESPACE}/{group}/NCMD/{edge}"


def state_topic(host_id: str) -> str:
    """Return the topic on which a host says whether it is online."""
    return f"{NAMESPACE}/STATE/{host_id}"
