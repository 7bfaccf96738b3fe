"""Levels of time resolution: readings, minutes, hours, days; and which of them answers for a stretch (SPEC E7).

Pure: times are integers, microseconds since 1970 UTC, and stretches are half open. Buckets begin at whole multiples of
their width since 1970, as ``time_bucket`` has them for these widths.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

SECOND_US = 1_000_000


class Level(StrEnum):
    """How finely something is kept: every reading, or a row for each minute, hour or day."""

    RAW = "raw"
    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"


FINEST_FIRST: tuple[Level, ...] = tuple(Level)
# The width of a bucket; readings themselves have none.
WIDTH_US: Mapping[Level, int] = {
    Level.RAW: 1,
    Level.MINUTE: 60 * SECOND_US,
    Level.HOUR: 3_600 * SECOND_US,
    Level.DAY: 86_400 * SECOND_US,
}

Stretch = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of time that one level answers for."""

    level: Level
    start_us: int
    end_us: int


def finer(level: Level) -> Level:
    """Return the next finer level; there is none below the readings themselves."""
    return FINEST_FIRST[FINEST_FIRST.index(level) - 1]


def coarser(level: Level) -> Level | None:
    """Return the next coarser level, None above days."""
    place = FINEST_FIRST.index(level) + 1
    return FINEST_FIRST[place] if place < len(FINEST_FIRST) else None


def floor_to(at_us: int, level: Level) -> int:
    """Return where the bucket begins that holds this time."""
    return at_us - at_us % WIDTH_US[level]


def ceil_to(at_us: int, level: Level) -> int:
    """Return the first beginning of a bucket at or after this time."""
    return -(-at_us // WIDTH_US[level]) * WIDTH_US[level]


def merge(stretches: Iterable[Stretch], level: Level = Level.RAW) -> list[Stretch]:
    """Widen stretches to whole buckets and join those that touch; sorted."""
    merged: list[Stretch] = []
    for start, end in sorted((floor_to(start, level), ceil_to(end, level)) for start, end in stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def cut(stretches: Iterable[Stretch], level: Level) -> list[Stretch]:
    """Cut stretches at the beginnings of this level's buckets."""
    width, pieces = WIDTH_US[level], []
    for start, end in stretches:
        while start < end:
            following = min(end, start - start % width + width)
            pieces.append((start, following))
            start = following
    return pieces


def wanted_level(pixel_us: int, buckets_per_pixel: int = 2) -> Level:
    """Return the coarsest level that gives each pixel at least so many buckets, so that rounding costs little width."""
    fitting = [level for level in FINEST_FIRST if WIDTH_US[level] * buckets_per_pixel <= pixel_us]
    return fitting[-1] if fitting else Level.RAW


def cover(
    start_us: int,
    end_us: int,
    level: Level,
    stale: Mapping[Level, Sequence[Stretch]],
    kept_from_us: Mapping[Level, int],
) -> list[Piece]:
    """Choose, for each part of [start, end), the level that answers for it; in time order, no part twice.

    The wanted level answers for whole buckets. Ends that are not whole buckets, and what the level is ``stale`` for,
    go to finer levels, at last to the readings. What a level does not keep any more (before ``kept_from_us``) goes to
    the next coarser one in whole buckets, so that the first and the last piece may reach beyond what was asked.
    """
    above = coarser(level)
    if start_us >= end_us:
        return []
    if above is None or start_us >= kept_from_us[level]:
        return _cover_kept(start_us, end_us, level, stale)
    edge = ceil_to(kept_from_us[level], above)
    early_to = min(edge, ceil_to(end_us, above))
    early = cover(floor_to(start_us, above), early_to, above, stale, kept_from_us)
    return early + _cover_kept(edge, end_us, level, stale)


def _cover_kept(start: int, end: int, level: Level, stale: Mapping[Level, Sequence[Stretch]]) -> list[Piece]:
    if start >= end:
        return []
    if level is Level.RAW:
        return [Piece(level, start, end)]
    below = finer(level)
    first, last = ceil_to(start, level), floor_to(end, level)
    if first >= last:
        return _cover_kept(start, end, below, stale)
    pieces, at = _cover_kept(start, first, below, stale), first
    for stale_from, stale_to in merge(stale[level], level):
        stale_from, stale_to = max(at, stale_from), min(last, stale_to)
        if stale_from < stale_to:
            pieces += _whole(level, at, stale_from) + _cover_kept(stale_from, stale_to, below, stale)
            at = stale_to
    return pieces + _whole(level, at, last) + _cover_kept(last, end, below, stale)


def _whole(level: Level, start: int, end: int) -> list[Piece]:
    return [Piece(level, start, end)] if start < end else []


def coarsest(pieces: Collection[Piece]) -> Level:
    """Return the coarsest level among the pieces."""
    return max((piece.level for piece in pieces), key=FINEST_FIRST.index, default=Level.RAW)
