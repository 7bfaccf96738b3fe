"""A spectrum as a picture made on the server: an SVG path, the axis, and where fault frequencies are expected.

Everything is coordinates and classes: the security policy lets no style through, and none is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detectors.bearings import HARMONICS, SEARCH
from detectors.envelope import strongest
from detectors.spectrum import Lines

WIDTH, HEIGHT = 640, 200
# Room for the axis below and for the names of the marks above.
_TOP, _BOTTOM = 22, 20
_NAME_WIDTH = 64
_POINTS = 600
_STRONGEST = 8
_LEAST_HZ = 5.0
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a frequency of the picture; ``x`` in its units. Without ``text`` there was no room for it."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One of the strongest lines; ``near`` names the harmonic that it lies at, empty where there is none."""

    frequency_hz: float
    amplitude: float
    near: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A spectrum up to ``to_hz``: the path of its lines, and the strongest of them as a table."""

    path: str
    base: int
    ticks: Sequence[Mark]
    marks: Sequence[Mark]
    lines: Sequence[Line]
    to_hz: float
    highest: float


def picture_of(lines: Lines, to_hz: float, expected: Mapping[str, float], named: str | None) -> Picture | None:
    """Return the picture of a spectrum up to ``to_hz``, marked where lines are expected.

    ``expected`` is the first harmonic in Hz by name. Marked are the harmonics of the one that is ``named``, without
    one the first of each. None where there is no line at all.
    """
    shown = (lines.frequency_hz <= to_hz) & (lines.frequency_hz >= _LEAST_HZ)
    cut = Lines(lines.frequency_hz[shown], lines.amplitude[shown])
    if not len(cut.amplitude) or float(cut.amplitude.max()) <= 0:
        return None
    highest = float(cut.amplitude.max())
    reduced = cut.reduced(_POINTS)
    base = HEIGHT - _BOTTOM
    points = [
        f"{hz / to_hz * WIDTH:.1f} {base - amplitude / highest * (base - _TOP):.1f}"
        for hz, amplitude in zip(reduced.frequency_hz.tolist(), reduced.amplitude.tolist(), strict=True)
    ]
    combs = {f"{times} × {name}": times * hz for name, hz in expected.items() for times in HARMONICS}
    found = strongest(cut, _STRONGEST, _LEAST_HZ, to_hz, 0.0)
    return Picture(
        path="M" + " L".join(points),
        base=base,
        ticks=[Mark(hz / to_hz * WIDTH, f"{hz:g}") for hz in _ticks(to_hz)],
        marks=_marks({name: hz for name, hz in combs.items() if _is_marked(name, named)}, to_hz),
        lines=[Line(hz, amplitude, _near(hz, combs)) for hz, amplitude in found],
        to_hz=to_hz,
        highest=highest,
    )


def _is_marked(harmonic: str, named: str | None) -> bool:
    return harmonic.startswith("1 ") if named is None else harmonic.endswith(f" {named}")


def _marks(combs: Mapping[str, float], to_hz: float) -> list[Mark]:
    marks: list[Mark] = []
    free_from = 0.0
    for name, hz in sorted(combs.items(), key=lambda one: one[1]):
        if hz <= to_hz:
            x = hz / to_hz * WIDTH
            has_room = free_from <= x <= WIDTH - _NAME_WIDTH / 2
            marks.append(Mark(x, name if has_room else ""))
            free_from = x + _NAME_WIDTH if has_room else free_from
    return marks


def _ticks(to_hz: float) -> list[float]:
    step = next((step for step in _STEPS if to_hz / step <= 8), _STEPS[-1])
    return [step * count for count in range(1, int(to_hz / step) + 1) if step * count < to_hz]


def _near(hz: float, combs: Mapping[str, float]) -> str:
    return next((name for name, expected in combs.items() if abs(hz - expected) <= SEARCH * expected), "")
