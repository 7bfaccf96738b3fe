"""QR labels of assets: what a phone reads is the asset's page in the console; people read tag and name (SPEC E1)."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import segno

SIZE_MM_MIN, SIZE_MM_MAX, SIZE_MM_DEFAULT = 15, 200, 40
# The blank border that readers need (ISO/IEC 18004), in modules.
QUIET_ZONE = 4
_DOTS_PER_INCH = 300
_MM_PER_INCH = 25.4
# Type, in parts of the label's width.
_TAG_HEIGHT, _NAME_HEIGHT = 0.11, 0.08
_LATIN_WIDTH, _WIDE_WIDTH = 0.62, 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """What one label says. ``address`` is what the code holds."""

    address: str
    tag: str
    name: str


def svg(label: Label, size_mm: float) -> str:
    """Return the label as SVG, ``size_mm`` wide and a little higher: the code, and below it tag and name."""
    rows = _modules(label.address)
    width = len(rows) + 2 * QUIET_ZONE
    tag_height, name_height = width * _TAG_HEIGHT, width * _NAME_HEIGHT
    height = width + 1.2 * (tag_height + name_height)
    path = "".join(
        f"M{column + QUIET_ZONE} {row + QUIET_ZONE}h1v1h-1z"
        for row, modules in enumerate(rows)
        for column, is_dark in enumerate(modules)
        if is_dark
    )
    lines = (
        (label.tag, tag_height, width + 0.8 * tag_height, "bold"),
        (label.name, name_height, width + 1.2 * tag_height + 0.8 * name_height, "normal"),
    )
    text = "".join(
        f'<text x="{width / 2:g}" y="{y:.2f}" font-size="{high:.2f}" font-weight="{weight}" font-family="sans-serif"'
        f' text-anchor="middle">{escape(_fitted(said, width / high))}</text>'
        for said, high, y, weight in lines
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size_mm:g}mm" height="{size_mm * height / width:.2f}mm"'
        f' viewBox="0 0 {width} {height:.2f}" role="img"><title>{escape(f"{label.tag} {label.name}")}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/><path d="{path}"/>{text}</svg>'
    )


def png(label: Label, size_mm: float) -> bytes:
    """Return the code alone as PNG of about 300 dots per inch that says how wide it is: for printers of labels."""
    code = _code(label.address)
    width = len(code.matrix) + 2 * QUIET_ZONE
    scale = max(1, round(size_mm / _MM_PER_INCH * _DOTS_PER_INCH / width))
    out = io.BytesIO()
    code.save(out, kind="png", scale=scale, border=QUIET_ZONE, dpi=round(scale * width * _MM_PER_INCH / size_mm))
    return out.getvalue()


def page(labels: Iterable[Label], size_mm: float, language: str, title: str) -> str:
    """Return a page of labels to print at their true size; it needs no style sheet and runs no script."""
    drawn = "\n".join(svg(label, size_mm) for label in labels)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>'
    return f'<!doctype html>\n<html lang="{escape(language)}"><head>{head}</head><body>\n{drawn}\n</body></html>\n'


def _code(address: str) -> segno.QRCode:
    # M mends 15% of damage; a micro code is what many phones cannot read.
    return segno.make(address, error="m", micro=False)


def _modules(address: str) -> list[list[bool]]:
    return [[bool(module) for module in row] for row in _code(address).matrix]


def _fitted(said: str, width_em: float) -> str:
    """Return as much of a text as fits, by the usual widths of letters."""
    used = 0.0
    for place, letter in enumerate(said):
        used += _WIDE_WIDTH if unicodedata.east_asian_width(letter) in "WF" else _LATIN_WIDTH
        if used > width_em:
            return said[: max(place - 1, 0)] + "…"
    return said
