"""What the API asks of the dialects: their names, whether a feed's settings make sense, what a mapping reads.

Decoders belong to the ingest side, which the API does not know. ``create_app`` is given these functions; the words in
which they answer are here, and so are the presets, which are data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Protocol

from storage.feeds import FeedDraft


@dataclass(frozen=True, slots=True)
class SampleTried:
    """Values of one time, as they would be stored."""

    ts: datetime
    values: Mapping[str, float]
    seq: int | None


@dataclass(frozen=True, slots=True)
class EventTried:
    """An event as it would be stored."""

    ts: datetime
    kind: str
    code: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class DeviceTried:
    """What the sample says about one device. ``timed_by_receipt``: it has no time, so that of receipt stands in."""

    device: str
    samples: Sequence[SampleTried]
    events: Sequence[EventTried]
    online: bool | None
    timed_by_receipt: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A field that is not used, and why."""

    field: str
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the sample would go to quarantine, and what to do."""

    reason: str
    detail: str
    remedy_en: str
    remedy_zh: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a sample gives: devices, or a refusal; nothing at all for a message that is none of the feed's."""

    devices: Sequence[DeviceTried]
    left_out: Sequence[LeftOut]
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Example:
    """A message of a preset, text or base64."""

    topic: str
    payload: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings for a dialect that many speak, to start from, with messages to try them on."""

    name: str
    title_en: str
    title_zh: str
    note_en: str
    note_zh: str
    decoder: str
    topic: str
    settings: Mapping[str, object]
    examples: Sequence[Example]


class Dialects(Protocol):
    """What the ingest side tells the API about dialects."""

    def names(self) -> Sequence[str]:
        """Return the names of all dialects."""
        ...

    def check(self, draft: FeedDraft) -> None:
        """Raise Refused("invalid_feed") unless the dialect is known and the settings make sense to it."""
        ...

    def attempt(self, draft: FeedDraft, topic: str, payload: bytes, now: datetime) -> Attempt:
        """Return what a message received now would give. Nothing is stored. Raises Refused as ``check`` does."""
        ...


@cache
def shipped_presets() -> Sequence[Preset]:
    """Return the presets of ``editions/feeds``, by name."""
    found = []
    for entry in sorted((files("editions") / "feeds").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            found.append(_preset(tomllib.loads(entry.read_text(encoding="utf-8"))))
    return tuple(found)


def _preset(written: Mapping[str, object]) -> Preset:
    texts = {name: str(written[name]) for name in ("name", "title_en", "title_zh", "note_en", "note_zh")}
    settings, examples = written["settings"], written["example"]
    if not isinstance(settings, dict) or not isinstance(examples, list):
        raise ValueError(f"editions/feeds/{texts['name']}.toml: expected [settings] and [[example]]")
    return Preset(
        **texts,
        decoder=str(written["decoder"]),
        topic=str(written["topic"]),
        settings=settings,
        examples=tuple(
            Example(str(one["topic"]), str(one["payload"]), str(one.get("encoding", "text"))) for one in examples
        ),
    )
