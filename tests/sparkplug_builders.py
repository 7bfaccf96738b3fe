"""Builders for the Sparkplug tests: a feed, a decoder that stores, and an edge node's messages as bytes.

The bytes are written by the simulator's encoder, which shares no code with what reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import psycopg

from ingest.decoders.sparkplug_b import SparkplugB
from ingest.decoders.telling import Outgoing, Told
from simulators.sparkplug_node import Metric, Type, Value, encode
from storage.feeds import Feed, FeedDraft, create_feed
from tests.ingest_builders import NOW, SITE, a_plant, ms

GROUP, EDGE = "hall", "press"
SECOND = timedelta(seconds=1)


def a_feed(dsn: str, *, name: str = "sparkplug", topic: str = "spBv1.0/#", **settings: object) -> Feed:
    """A stored feed of this dialect on a plant of its own."""
    with a_plant(dsn) as connection:
        return create_feed(connection, FeedDraft(name, SITE, topic, "sparkplug_b", settings), NOW)


def an_unstored_feed(topic: str = "spBv1.0/#", **settings: object) -> Feed:
    """A feed for what needs no database."""
    return Feed(7, "sparkplug", SITE, topic, "sparkplug_b", settings, True, None, None)


def topic_of(kind: str, device: str = "", edge: str = EDGE, group: str = GROUP) -> str:
    return f"spBv1.0/{group}/{kind}/{edge}" + (f"/{device}" if device else "")


def a_birth(
    at: datetime, *metrics: Metric, number: int | None = 0, seq: int = 0, device: str = ""
) -> tuple[str, bytes]:
    """NBIRTH, or DBIRTH of a device."""
    own = [] if device or number is None else [Metric("bdSeq", Type.INT64, number)]
    payload = encode([*own, *metrics], ts=ms(at), seq=seq)
    return topic_of("DBIRTH" if device else "NBIRTH", device), payload


def data(
    at: datetime,
    seq: int | None,
    values: Mapping[int, Value],
    types: Mapping[int, Type] | None = None,
    device: str = "",
) -> tuple[str, bytes]:
    """NDATA or DDATA by alias; types are double where none are given."""
    known = dict.fromkeys(values, Type.DOUBLE) | dict(types or {})
    metrics = [Metric(None, None, value, alias) for alias, value in values.items()]
    return topic_of("DDATA" if device else "NDATA", device), encode(metrics, ts=ms(at), seq=seq, types=known)


def a_death(at: datetime, number: int | None = 0) -> tuple[str, bytes]:
    """NDEATH."""
    metrics = [] if number is None else [Metric("bdSeq", Type.INT64, number)]
    return topic_of("NDEATH"), encode(metrics, ts=ms(at), seq=None)


def temperature(alias: int | None = 1, value: Value = 20.0, name: str = "T") -> Metric:
    return Metric(name, Type.DOUBLE, value, alias)


class Ear:
    """A decoder as the pipeline uses it: prepare, decode, write, commit; a restart reads the database again."""

    def __init__(self, dsn: str, feed: Feed) -> None:
        self.feed = feed
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.restart()

    def restart(self) -> None:
        self.decoder = SparkplugB(self.feed)

    def hear(self, *messages: tuple[str, bytes], at: datetime = NOW) -> list[Told]:
        """Take one batch received at this time; return all that was told. Unusable messages raise after the commit."""
        told: list[Told] = []
        refused: list[Exception] = []
        self.decoder.prepare(self.connection, [topic for topic, _ in messages])
        for place, (topic, payload) in enumerate(messages):
            try:
                told += self.decoder.decode(topic, payload, at + timedelta(microseconds=place))
            except Exception as error:  # noqa: BLE001 - raised again below, once the batch is stored
                refused.append(error)
        self.sent = self.commit(at)
        if refused:
            raise refused[0]
        return told

    def commit(self, at: datetime) -> Sequence[Outgoing]:
        with self.connection.transaction():
            self.decoder.write(self.connection, at)
        return self.decoder.stored()


def values_of(told: Sequence[Told]) -> dict[tuple[str, str], float]:
    """Every reading told, by key of the speaker and metric."""
    return {
        (str(one.address[1]), metric): value
        for one in told
        for sample in one.samples
        for metric, value in sample.values.items()
    }


def presence_of(told: Sequence[Told]) -> dict[str, bool | None]:
    return {str(one.address[1]): one.online for one in told}
