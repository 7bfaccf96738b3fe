"""A feed's settings: typed, checked whole when the feed is saved, refused by the name of the field."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from domain.refusals import Refused
from storage.feeds import Feed

Settings = TypeVar("Settings", bound=msgspec.Struct)


def read_settings(feed: Feed, kind: type[Settings]) -> Settings:
    """Return the settings as ``kind``. Raises Refused("invalid_feed") naming the field that does not fit."""
    try:
        return msgspec.convert(dict(feed.settings), kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `")
        raise invalid(path.rstrip("`").removeprefix("$.") or "settings", f"what {feed.decoder} knows", said) from None


def invalid(field: str, expected: str, got: str) -> Refused:
    """Return the refusal of one field of the settings."""
    return Refused(
        "invalid_feed",
        expected=f"'{field}' to be {expected}",
        got=got,
        remedy=f"Correct '{field}' in the feed's settings; docs/dialects.md lists what each dialect takes.",
    )
