"""bench/RESULTS.md: a section for each benchmark, replaced one by one: a long campaign need not run each time."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
_HEADING = (
    "# Benchmark results\n\n"
    "Each section is written by the command that measures it. Judge by the ratios: each is against a ceiling measured\n"
    "in the same run, so that a busy machine slows both. Absolute figures mean little elsewhere.\n\n"
)
_SECTION = re.compile(r"^## ", re.MULTILINE)


def write_section(title: str, body: str, path: Path = RESULTS) -> None:
    """Put ``body`` under its title, in place of what was there; a new title goes to the end."""
    stamp = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}."
    )
    sections = {} if not path.exists() else _sections(path.read_text(encoding="utf-8"))
    sections[title] = f"{stamp}\n\n{body.strip()}\n"
    text = _HEADING + "\n".join(f"## {name}\n\n{content}" for name, content in sections.items())
    path.write_text(text, encoding="utf-8")


def read_section(title: str, path: Path = RESULTS) -> str:
    """Return what stands under a title, its stamp included; nothing when there is no such title."""
    return _sections(path.read_text(encoding="utf-8")).get(title, "") if path.exists() else ""


def _sections(text: str) -> dict[str, str]:
    parts = _SECTION.split(text)[1:]
    return {part.partition("\n")[0].strip(): part.partition("\n")[2].strip() + "\n" for part in parts}
