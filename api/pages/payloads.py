"""Bytes of messages as a page may show them: text where all of it is readable, else a dump in hexadecimal."""

from __future__ import annotations

from dataclasses import dataclass

DUMP_BYTES_MAX = 2_048
# Eight fit beside their text on a phone.
DUMP_ROW_BYTES = 8
_BREAKS = frozenset("\n\r\t")
_ASCII_FIRST, _ASCII_LAST = 0x20, 0x7E


@dataclass(frozen=True, slots=True)
class ShownPayload:
    """The first bytes of a message, as text or as rows of a dump, and whether that is all of it."""

    text: str
    is_text: bool
    is_whole: bool


def shown_payload(start: bytes, *, is_whole: bool) -> ShownPayload:
    """Return what to show of a message that begins with ``start``.

    No control character and nothing that turns text around reaches the page.
    """
    text = _readable(start, is_whole=is_whole)
    if text is not None:
        return ShownPayload(text, is_text=True, is_whole=is_whole)
    return ShownPayload(
        _dump(start[:DUMP_BYTES_MAX]), is_text=False, is_whole=is_whole and len(start) <= DUMP_BYTES_MAX
    )


def _readable(start: bytes, *, is_whole: bool) -> str | None:
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        # The cut may have gone through a character of up to four bytes; anything else is no text.
        if is_whole or error.start < len(start) - 3:
            return None
        text = start[: error.start].decode("utf-8")
    return text if text and all(one.isprintable() or one in _BREAKS for one in text) else None


def _dump(start: bytes) -> str:
    rows = []
    for place in range(0, len(start), DUMP_ROW_BYTES):
        row = start[place : place + DUMP_ROW_BYTES]
        letters = "".join(chr(byte) if _ASCII_FIRST <= byte <= _ASCII_LAST else "." for byte in row)
        rows.append(f"{place:04x}  {row.hex(' '):<{3 * DUMP_ROW_BYTES - 1}}  {letters}")
    return "\n".join(rows)
