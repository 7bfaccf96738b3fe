"""Builders for the tests of feeds: small dialects of our own, one of which remembers."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime

import psycopg

from domain.refusals import Refused
from ingest.decoders.telling import Outgoing, TimedSample, Told
from ingest.quarantine_reasons import Reason, Unusable
from ingest.times import to_microseconds
from storage.feeds import Feed
from tests.ingest_builders import NOW, SECOND, Line


class Spoken:
    """A dialect for these tests: {"key": {"ts": seconds after NOW or absent, "t": number}}; "crash" makes it fail."""

    def __init__(self, feed: Feed) -> None:
        if "refuse" in feed.settings:
            raise Refused("invalid_feed", expected="no such setting", got="refuse", remedy="Remove it.")
        self._feed = feed

    def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
        if payload == b"crash":
            raise KeyError("what no decoder may raise")
        try:
            said = json.loads(payload)
        except ValueError:
            raise Unusable(Reason.BAD_JSON, "got no JSON") from None
        return [self._told(key, values, received_at) for key, values in said.items()]

    def _told(self, key: str, values: dict[str, float], received_at: datetime) -> Told:
        ts_us = to_microseconds(NOW + values.pop("ts") * SECOND if "ts" in values else received_at)
        sequence = values.pop("seq", None)
        is_timed = ts_us != to_microseconds(received_at)
        return Told(
            (self._feed.id, key),
            [TimedSample(ts_us, values, sequence)] if values else [],
            timed_by_receipt=not is_timed,
        )


class Remembered(Spoken):
    """The same, and it counts messages in the database, and asks for something with each."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._count: int | None = None
        self._new = 0

    def prepare(self, connection: psycopg.Connection, topics: Collection[str]) -> None:
        if any(topic.endswith("/unprepared") for topic in topics):
            raise KeyError("cannot prepare")
        if self._count is None:
            self._count = connection.execute("select count(*) from remembered").fetchone()[0]

    def decode(self, topic: str, payload: bytes, received_at: datetime) -> Sequence[Told]:
        told = super().decode(topic, payload, received_at)
        assert self._count is not None
        self._new += 1
        return told

    def write(self, connection: psycopg.Connection, now: datetime) -> None:
        for _ in range(self._new):
            connection.execute("insert into remembered values (%s)", (now,))

    def stored(self) -> Sequence[Outgoing]:
        self._count, new, self._new = (self._count or 0) + self._new, self._new, 0
        if self._count == 13:
            raise KeyError("after the commit")
        return [Outgoing(f"ask/{self._count}", b"")] * bool(new)

    def forget(self) -> None:
        self._count, self._new = None, 0


DIALECTS = {"spoken": Spoken, "remembered": Remembered}


def said(**devices: dict[str, float]) -> bytes:
    return json.dumps(devices).encode()


def stored(line: Line) -> list[tuple]:
    return line.rows(
        "select device.name, metric, extract(epoch from ts - %s)::float8, value from reading"
        " join series on series.id = series_id join device on device.id = device_id order by 1, 2, 3",
        NOW,
    )
