"""The dialects of the ingest side, as the API knows them: checked when a feed is saved, tried on a pasted sample."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from api.dialects import Attempt, DeviceTried, EventTried, LeftOut, Refusal, SampleTried
from domain.refusals import Refused
from ingest.decoders.catalogue import DECODERS
from ingest.decoders.native import check_name
from ingest.decoders.telling import Decoder, Told
from ingest.limits import MAX_METRICS
from ingest.mapping.telling import Note
from ingest.quarantine_reasons import EXPLANATIONS, Reason, Unusable
from ingest.times import Window, to_datetime
from runtime.broker_access import known_service
from runtime.settings import Settings
from storage.feeds import Feed, FeedDraft

# Of a message of thousands of fields a person reads the first ones.
MAX_LEFT_OUT = 200


@runtime_checkable
class Explaining(Protocol):
    """A decoder that can say which fields it leaves out."""

    def explain(self, topic: str, payload: bytes, received_at: datetime, note: Note | None) -> Sequence[Told]:
        """Decode, and tell ``note`` of every field that is left out, and why."""
        ...


class IngestDialects:
    """Every dialect of the catalogue; ``carries_spaces`` says whether the broker takes topics with a space in them."""

    def __init__(self, *, carries_spaces: bool = True) -> None:
        self._carries_spaces = carries_spaces

    def names(self) -> Sequence[str]:
        """Return the names of all dialects."""
        return list(DECODERS)

    def check(self, draft: FeedDraft) -> None:
        """Raise Refused("invalid_feed") unless the dialect is known, takes the settings, and the feed can be heard.

        One that is off is not asked of the broker, so what it refuses can still be switched off.
        """
        if draft.enabled and not self._carries_spaces and " " in draft.topic:
            raise Refused(
                "invalid_feed",
                expected="a filter without spaces: the embedded broker (NATS) refuses it, and whoever publishes there",
                got=repr(draft.topic),
                remedy="Have the devices use topics without spaces, or run another broker; docs/broker.md names them.",
            )
        _decoder(draft)

    def attempt(self, draft: FeedDraft, topic: str, payload: bytes, now: datetime) -> Attempt:
        """Return what a message received now would give. Nothing is stored."""
        decoder = _decoder(draft)
        left_out: list[LeftOut] = []

        def note(field: str, why: str) -> None:
            if len(left_out) < MAX_LEFT_OUT:
                left_out.append(LeftOut(field, why))

        try:
            if isinstance(decoder, Explaining):
                told = decoder.explain(topic, payload, now, note)
            else:
                told = decoder.decode(topic, payload, now)
            window = Window(now)
            for one in told:
                _check(one, window)
        except Unusable as error:
            explained = EXPLANATIONS[error.reason]
            refusal = Refusal(error.reason, error.detail, explained.remedy_en, explained.remedy_zh)
            return Attempt((), left_out, refusal)
        return Attempt([_tried(one) for one in told], left_out, None)


def dialects_at(settings: Settings) -> IngestDialects:
    """Return the dialects as they can be heard at the broker that these settings lead to."""
    service = known_service(settings.data_dir)
    password = urlsplit(settings.broker_url or "").password
    # Made for this directory's own broker and known to no other.
    is_embedded = service is not None and service.password == password
    return IngestDialects(carries_spaces=not (is_embedded and settings.broker == "nats"))


def _decoder(draft: FeedDraft) -> Decoder:
    make = DECODERS.get(draft.decoder)
    if make is None:
        raise Refused(
            "invalid_feed",
            expected=f"'decoder' to be one of {', '.join(DECODERS)}",
            got=f"'{draft.decoder[:64]}'",
            remedy="Choose one of them; GET /api/v1/feed-presets has settings to start from.",
        )
    return make(
        Feed(
            0, draft.name, draft.site, draft.topic, draft.decoder, draft.settings, draft.enabled,
            draft.silent_after_s, None,
        )
    )  # fmt: skip


def _check(told: Told, window: Window) -> None:
    """Refuse what the intake would, as far as it does not depend on how the device is registered."""
    for sample in told.samples:
        if len(sample.values) > MAX_METRICS:
            raise Unusable(Reason.TOO_MANY_METRICS, f"got {len(sample.values)} metrics, expected at most {MAX_METRICS}")
        for name in sample.values:
            check_name(name)
        window.check(sample.ts_us, recorded=True)
    for event in told.events:
        window.check(event.ts_us, recorded=True)


def _tried(told: Told) -> DeviceTried:
    return DeviceTried(
        device=told.address[1],
        samples=[SampleTried(to_datetime(one.ts_us), one.values, one.seq) for one in told.samples],
        events=[
            EventTried(one.event.ts, one.event.kind, one.event.code, one.event.severity, one.event.text)
            for one in told.events
        ],
        online=told.online,
        timed_by_receipt=told.timed_by_receipt,
    )
