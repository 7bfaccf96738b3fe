"""Builders for the decoders' tests: a decoder from settings, and what it said in few words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pytest

from domain.refusals import Refused
from ingest.decoders.catalogue import DECODERS
from ingest.decoders.telling import Told
from ingest.quarantine_reasons import Unusable
from storage.feeds import Feed

RECEIVED = datetime(2026, 3, 2, 8, tzinfo=UTC)
RECEIVED_US = 1_772_438_400_000_000


class Spoken:
    """A decoder with settings, listening to one topic."""

    def __init__(self, decoder: str, topic: str, settings: Mapping[str, object], feed_topic: str = "#") -> None:
        self.topic = topic
        self.decoder = DECODERS[decoder](Feed(7, "feed", "plant-1", feed_topic, decoder, settings, True, None, None))

    def hear(self, payload: str | bytes, topic: str | None = None, at: datetime = RECEIVED) -> Sequence[Told]:
        data = payload.encode() if isinstance(payload, str) else payload
        return self.decoder.decode(topic or self.topic, data, at)

    def values(self, payload: str | bytes, topic: str | None = None) -> dict[str, float]:
        """The values of the one sample of the one device that this message is about."""
        (told,) = self.hear(payload, topic)
        (sample,) = told.samples
        return sample.values

    def time(self, payload: str | bytes, at: datetime = RECEIVED) -> int:
        (told,) = self.hear(payload, at=at)
        return told.samples[0].ts_us

    def refusal(self, payload: str | bytes, topic: str | None = None) -> str:
        """Why this message is refused; it is the test's failure when it is not."""
        with pytest.raises(Unusable) as refused:
            self.hear(payload, topic)
        assert refused.value.detail
        return refused.value.reason


def settings_refusal(decoder: str, settings: Mapping[str, object], feed_topic: str = "#") -> str:
    """What is said about settings that make no sense."""
    with pytest.raises(Refused) as refused:
        Spoken(decoder, "t", settings, feed_topic)
    assert refused.value.name == "invalid_feed"
    return f"{refused.value.expected}; {refused.value.got}"
