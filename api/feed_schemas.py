"""Feeds over the wire: other dialects than our own, and the mapping editor that tries them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from api.dialects import Preset
from api.schemas import Asked, Told, Word
from storage.feeds import Feed

# Text of 64 KiB in base64, and a little more: what is too large is a finding of the trial, not of the request.
PAYLOAD_LENGTH_MAX = 128 * 1024

Topic = Annotated[str, StringConstraints(min_length=1, max_length=512)]
DecoderName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
Settings = Annotated[dict[str, JsonValue], Field(max_length=64, description="The dialect's own: docs/dialects.md")]
Silence = Annotated[float, Field(gt=0, le=10 * 366 * 86_400, allow_inf_nan=False)]


class Feeds(Told):
    """A page of feeds."""

    items: list[Feed]
    next_cursor: str | None


class FeedPresets(Told):
    """All presets, and the names of all dialects."""

    items: list[Preset]
    decoders: list[str]


class NewFeed(Asked):
    """A feed to add. ``topic`` is an MQTT filter that no other feed overlaps."""

    name: Word
    site: Word
    topic: Topic
    decoder: DecoderName
    settings: Settings
    enabled: bool = True
    silent_after_s: Silence | None = None


class FeedChange(Asked):
    """What to change of a feed; what is left out stays."""

    name: Word | None = None
    site: Word | None = None
    topic: Topic | None = None
    decoder: DecoderName | None = None
    settings: Settings | None = None
    enabled: bool | None = None
    silent_after_s: Silence | None = None


class FeedTrial(Asked):
    """A mapping to try on one message. ``feed_topic`` is the feed's filter; the message's topic when left out."""

    decoder: DecoderName
    settings: Settings
    topic: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    payload: Annotated[str, StringConstraints(max_length=PAYLOAD_LENGTH_MAX)]
    encoding: Literal["text", "base64"] = "text"
    feed_topic: Topic | None = None
