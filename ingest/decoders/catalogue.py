"""Every dialect that a feed may speak, by name. One decoder a file; a new one is a file and a line here (SPEC E3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ingest.decoders.influx import Influx
from ingest.decoders.mapped_json import MappedJson
from ingest.decoders.senml import Senml
from ingest.decoders.sparkplug_b import SparkplugB
from ingest.decoders.telling import Decoder
from storage.feeds import Feed

DECODERS: Mapping[str, Callable[[Feed], Decoder]] = {
    "mapped_json": MappedJson,
    "senml": Senml,
    "influx": Influx,
    "sparkplug_b": SparkplugB,
}
