"""What the detection benchmark says: a table for people, figures as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.detection.figures import Figure

OURS = "wearsight"
MEANING = {True: "met", False: "**missed**", None: "–"}
JsonFigure = dict[str, float | str | bool | None]


def as_table(figures: Sequence[Figure]) -> str:
    """Lay the figures out as a Markdown table: ours first, then the controls, each in the order they were given."""
    lines = ["| of | what | figure | 95 % interval | bar | | note |", "|---|---|---:|---:|---:|---|---|"]
    for figure in sorted(figures, key=lambda figure: figure.of != OURS):
        lines.append(
            f"| {figure.of} | {figure.name} | {_number(figure.value)} {figure.unit} | {_interval(figure)} | "
            f"{_bar(figure)} | {MEANING[figure.meets_bar]} | {figure.note} |".replace("  |", " |")
        )
    return "\n".join(lines)


def as_json(figures: Sequence[Figure]) -> dict[str, JsonFigure]:
    """Return the figures by name; a control's name says whose it is. Raises ValueError when two share a name."""
    named: dict[str, JsonFigure] = {}
    for figure in figures:
        key = figure.name if figure.of == OURS else f"{figure.name} ({figure.of})"
        if key in named:
            raise ValueError(f"two figures are named {key!r}; a name must be unique within a set")
        named[key] = {
            "value": _finite(figure.value),
            "low": _finite(figure.low),
            "high": _finite(figure.high),
            "unit": figure.unit,
            "bar_low": figure.bar_low,
            "bar_high": figure.bar_high,
            "met": figure.meets_bar,
            "of": figure.of,
            "note": figure.note,
        }
    return named


def missed(results: Mapping[str, Sequence[Figure]]) -> list[str]:
    """Return a line for each bar that was missed."""
    return [
        f"{name}: {figure.name} is {_number(figure.value)} {figure.unit}".rstrip() + f", wanted {_bar(figure)}"
        for name, figures in results.items()
        for figure in figures
        if figure.meets_bar is False
    ]


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return "–"
    return f"{_number(figure.low)} to {_number(figure.high)}"


def _bar(figure: Figure) -> str:
    if figure.bar_low is not None and figure.bar_high is not None:
        return f"{_number(figure.bar_low)} to {_number(figure.bar_high)}"
    if figure.bar_low is not None:
        return f"≥ {_number(figure.bar_low)}"
    return "–" if figure.bar_high is None else f"≤ {_number(figure.bar_high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
