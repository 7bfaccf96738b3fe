"""Native telemetry by stencil: a device sends the same text again and again, and only the numbers change.

A *stencil* is that text with holes for the numbers. It is cut from a message that the decoder has read and found
good, so whatever holds of its names (no key twice, no bad character) holds of every message that has the same text.
A compiled loop lays the stencils over a whole batch and reads the numbers from the holes: 50 values in a tenth of
the time that parsing takes. It reads only what it can read exactly, numbers of up to 15 digits without an exponent
(there a quotient of two whole doubles is correctly rounded, as a parser's result is); every other message, and every
fault, is left to the decoder, which also finds the words for a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.compiling import cached_kernel, kernel
from ingest.decoders.native import Sample, decode_telemetry
from ingest.limits import MAX_PAYLOAD_BYTES
from ingest.quarantine_reasons import Unusable

NO_STENCIL = -1
NO_SEQUENCE = -1
# Different texts of one device; one more takes the place of the oldest.
STENCILS_OF_A_DEVICE = 8
# A device whose texts keep changing, or whose numbers are long, is looked at again at every so many messages.
_TRIES_AT_FIRST, _TRY_EVERY = 8, 256
_MAX_TEXT_BYTES = 16 * 1024 * 1024
_TS, _SEQUENCE, _VALUE = 0, 1, 2
_MAX_DIGITS = 15
_POWERS = 10.0 ** np.arange(_MAX_DIGITS + 1)
_ZERO, _MINUS, _POINT = 0x30, 0x2D, 0x2E
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|[{}\[\]]', re.DOTALL)


Number = TypeVar("Number", np.uint8, np.int64)


@dataclass(frozen=True, slots=True)
class Holes:
    """Where the numbers of a message are, (start, end) each, and what each number is."""

    spans: Sequence[tuple[int, int]]
    kinds: Sequence[int]


@dataclass(frozen=True, slots=True)
class Found:
    """What the stencils read of a batch, by message: the stencil that fits (or NO_STENCIL), time and number.

    ``values`` are those of all messages with a stencil, in order; ``value_start`` says where each message's begin.
    """

    stencil: NDArray[np.int32]
    ts_ms: NDArray[np.int64]
    sequence: NDArray[np.int64]
    value_start: NDArray[np.int64]
    values: NDArray[np.float64]


class _Column(Generic[Number]):
    """A column of numbers that grows at its end."""

    def __init__(self, *first: int, dtype: type[Number]) -> None:
        self._room: NDArray[Number] = np.array(first, dtype)
        self._used = len(first)

    def __len__(self) -> int:
        return self._used

    @property
    def values(self) -> NDArray[Number]:
        """What it holds; do not keep it."""
        held: NDArray[Number] = self._room[: self._used]
        return held

    def extend(self, more: NDArray[Number]) -> None:
        """Add these behind the last."""
        used = self._used + len(more)
        if used > len(self._room):
            self._room = np.concatenate([self._room, np.empty(used, self._room.dtype)])
        self._room[self._used : used] = more
        self._used = used


class Texts:
    """The texts of one device: a place in the table of stencils, and how often none of them fitted."""

    __slots__ = ("misses", "place")

    def __init__(self) -> None:
        self.place = 0
        self.misses = 0

    def is_worth_a_try(self) -> bool:
        """Count a message that no stencil fitted; say whether to cut one from it."""
        self.misses += 1
        return self.misses <= _TRIES_AT_FIRST or self.misses % _TRY_EVERY == 0


class Stencils:
    """Every stencil that was cut, shared by the devices that send the same text."""

    def __init__(self) -> None:
        # Names of the values, by stencil.
        self.metrics: list[tuple[str, ...]] = []
        self._numbers: dict[bytes, int] = {}
        self._text = _Column(dtype=np.uint8)
        # Text before each hole of a stencil, and after its last: where each piece begins, and the last one ends.
        self._pieces = _Column(0, dtype=np.int64)
        self._kinds = _Column(dtype=np.uint8)  # of the hole after each piece
        # By stencil, and one more for the next.
        self._first_piece = _Column(0, dtype=np.int64)
        # By a device's place: its stencils. Place 0 belongs to devices that have none.
        self._of_place = np.full((1, STENCILS_OF_A_DEVICE), NO_STENCIL, np.int32)
        self._places = 1

    def read(self, payloads: Sequence[bytes], texts: Sequence[Texts | None]) -> Found:
        """Lay each device's stencils over its message; None where a message is not to be read this way."""
        places = np.fromiter((0 if one is None else one.place for one in texts), np.int64, len(payloads))
        return self._read(payloads, places)

    def learn(self, payload: bytes, texts: Texts) -> bool:
        """Cut a stencil from telemetry that the decoder accepts; return whether it fits what it was cut from."""
        try:
            samples = decode_telemetry(payload)
        except Unusable:
            return False
        holes = find_holes(payload) if len(samples) == 1 and payload[:1] != b"[" else None
        if holes is None or len(self._text) + len(payload) > _MAX_TEXT_BYTES:
            return False
        cut = _without_numbers(payload, holes)
        number = self._numbers.get(cut)
        if number is None:
            number = self._add(payload, holes, tuple(samples[0].values))
            self._numbers[cut] = number
        self._give(texts, number)
        return _says_the_same(self._read([payload], np.array([texts.place])), samples[0])

    def _read(self, payloads: Sequence[bytes], places: NDArray[np.int64]) -> Found:
        count = len(payloads)
        ends = np.cumsum(np.fromiter(map(len, payloads), np.int64, count))
        text = np.frombuffer(b"".join(payloads), np.uint8)
        found = Found(
            np.empty(count, np.int32),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
            np.empty(count, np.int64),
            # '"a":1,' is the shortest that a value can be.
            np.empty(len(text) // 6 + 1, np.float64),
        )
        _read_all(
            text, ends, places, self._of_place,
            self._text.values, self._pieces.values, self._kinds.values, self._first_piece.values,
            found.stencil, found.ts_ms, found.sequence, found.value_start, found.values,
        )  # fmt: skip
        return found

    def _add(self, payload: bytes, holes: Holes, metrics: tuple[str, ...]) -> int:
        starts = [0, *(end for _, end in holes.spans)]
        ends = [*(start for start, _ in holes.spans), len(payload)]
        pieces = [payload[start:end] for start, end in zip(starts, ends, strict=True)]
        self._pieces.extend(len(self._text) + np.cumsum([len(piece) for piece in pieces]))
        self._text.extend(np.frombuffer(b"".join(pieces), np.uint8))
        self._kinds.extend(np.array([*holes.kinds, _VALUE], np.uint8))
        self._first_piece.extend(np.array([len(self._kinds)]))
        self.metrics.append(metrics)
        return len(self.metrics) - 1

    def _give(self, texts: Texts, number: int) -> None:
        """Have the device try this stencil first."""
        if not texts.place:
            if self._places == len(self._of_place):
                more = np.full_like(self._of_place, NO_STENCIL)
                self._of_place = np.concatenate([self._of_place, more])
            texts.place = self._places
            self._places += 1
        row = self._of_place[texts.place]
        if number not in row:
            row[1:] = row[:-1].copy()
            row[0] = number


def find_holes(payload: bytes) -> Holes | None:
    """Return where the numbers of a telemetry object are; None when there are numbers other than those we know."""
    spans: list[tuple[int, int]] = []
    kinds: list[int] = []
    depth, values_seen, key = 0, 0, b""
    for token in _TOKEN.finditer(payload):
        said = token[0]
        if said[0] == 0x22:
            key = said
        elif said == b"{":
            depth += 1
            values_seen += depth == 2
            if depth == 2 and key != b'"values"':
                return None
        elif said == b"}":
            depth -= 1
        elif said in b"[]":
            return None
        else:
            kind = _VALUE if depth == 2 else {b'"ts"': _TS, b'"seq"': _SEQUENCE}.get(key)
            if kind is None:
                return None
            spans.append(token.span())
            kinds.append(kind)
    return Holes(spans, kinds) if values_seen == 1 and kinds.count(_TS) == 1 and kinds.count(_SEQUENCE) <= 1 else None


def _without_numbers(payload: bytes, holes: Holes) -> bytes:
    """Return the text with a NUL, which no JSON contains, for each number."""
    parts, at = [], 0
    for start, end in holes.spans:
        parts.append(payload[at:start])
        at = end
    return b"\0".join([*parts, payload[at:]])


def _says_the_same(found: Found, sample: Sample) -> bool:
    """Say whether a stencil read of one message what the decoder read."""
    values = np.array(list(sample.values.values()), np.float64)
    return (
        found.stencil[0] != NO_STENCIL
        and found.ts_ms[0] == sample.ts
        and found.sequence[0] == (sample.seq if isinstance(sample.seq, int) else NO_SEQUENCE)
        and found.values[: len(values)].tobytes() == values.tobytes()
    )


@kernel
def _follow(text: NDArray[np.uint8], at: int, end: int, stencil: NDArray[np.uint8], piece: int, piece_end: int) -> int:
    """Return where a piece of a stencil ends in the text, -1 when the text says something else."""
    if at + piece_end - piece > end:
        return -1
    for place in range(piece, piece_end):
        if text[at] != stencil[place]:
            return -1
        at += 1
    return at


@kernel
def _lay(
    text: NDArray[np.uint8],
    at: int,
    end: int,
    stencil: NDArray[np.uint8],
    pieces: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    piece: int,
    last: int,
    values: NDArray[np.float64],
    filled: int,
) -> tuple[bool, np.int64, np.int64, int]:
    """Lay one stencil over one message; return whether it fits, time, number, and how many values are filled now.

    One loop for all: a helper that returns two numbers, or a slice that is handed on, doubles the time.
    """
    ts_ms, sequence = np.int64(0), np.int64(NO_SEQUENCE)
    while True:
        at = _follow(text, at, end, stencil, pieces[piece], pieces[piece + 1])
        if at < 0 or piece == last:
            break
        is_value = kinds[piece] == _VALUE
        is_negative = is_value and at < end and text[at] == _MINUS
        first = at + is_negative
        at, point, whole = first, -1, np.int64(0)
        stop = min(end, first + _MAX_DIGITS + 2)
        while at < stop:
            digit = np.int64(text[at]) - _ZERO
            if 0 <= digit <= 9:
                whole = whole * 10 + digit
            elif is_value and point < 0 and text[at] == _POINT:
                point = at
            else:
                break
            at += 1
        has_point = point >= 0
        before = (point if has_point else at) - first
        behind = at - point - 1 if has_point else 0
        if before == 0 or (before > 1 and text[first] == _ZERO) or (has_point and behind == 0):
            return False, ts_ms, sequence, filled
        if before + behind > _MAX_DIGITS:
            return False, ts_ms, sequence, filled
        if is_value:
            value = whole / _POWERS[behind]
            # -0 is a whole number, which has no sign; -0.0 has.
            values[filled] = -value if is_negative and (whole or has_point) else value
            filled += 1
        elif kinds[piece] == _TS:
            ts_ms = whole
        else:
            sequence = whole
        piece += 1
    return at == end, ts_ms, sequence, filled


def _lay_all(
    text: NDArray[np.uint8],
    ends: NDArray[np.int64],
    places: NDArray[np.int64],
    of_place: NDArray[np.int32],
    stencil_text: NDArray[np.uint8],
    pieces: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    first_piece: NDArray[np.int64],
    stencil: NDArray[np.int32],
    ts_ms: NDArray[np.int64],
    sequence: NDArray[np.int64],
    value_start: NDArray[np.int64],
    values: NDArray[np.float64],
) -> None:
    """Read every message by the first of its device's stencils that fits. Fills the last five arrays."""
    start = filled = 0
    for message in range(len(ends)):
        end = ends[message]
        stencil[message], value_start[message] = NO_STENCIL, filled
        for number in of_place[places[message]]:
            if number == NO_STENCIL or end - start > MAX_PAYLOAD_BYTES:
                break
            first, last = first_piece[number], first_piece[number + 1] - 1
            fits, ts_ms[message], sequence[message], now_filled = _lay(
                text, start, end, stencil_text, pieces, kinds, first, last, values, filled
            )
            if fits:
                stencil[message], filled = number, now_filled
                break
        start = end


_read_all = cached_kernel(_lay_all, name="lay_stencils")


def warm_up() -> None:
    """Compile the loop, or load its machine code: seconds on the first start, so not in the middle of work."""
    Stencils().learn(b'{"ts":1,"seq":1,"values":{"a":1.5}}', Texts())
