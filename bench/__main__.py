"""Run every benchmark and write bench/RESULTS.md: ``make bench``."""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import bench
from bench.rows import Row

RESULTS = Path(__file__).parent / "RESULTS.md"
MEANING = {True: "met", False: "**missed**", None: "–"}


def main() -> None:
    """Measure each ``bench_*`` module (or those named on the command line) in turn."""
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.name.startswith("bench_"))
    wanted = set(sys.argv[1:])
    unknown = wanted - set(names)
    if unknown:
        sys.exit(f"no benchmark named {sorted(unknown)}; there are {names}")
    sections = []
    for name in [name for name in names if name in wanted or not wanted]:
        module = importlib.import_module(f"bench.{name}")
        print(f"{name} ...", flush=True)
        rows: list[Row] = module.measure()
        table = as_table(rows)
        print(table, flush=True)
        sections.append(f"## {(module.__doc__ or name).splitlines()[0]}\n\n{table}\n")
    if not wanted:
        RESULTS.write_text(heading() + "\n".join(sections), encoding="utf-8")
        print(f"written: {RESULTS}")


def heading() -> str:
    """Name the machine and the day; absolute figures mean little elsewhere, ratios carry over."""
    return (
        "# Benchmark results\n\n"
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}. Judge by the ratios: each is against a ceiling measured in the same\n"
        "run, so that a busy machine slows both. Absolute figures mean little elsewhere.\n\n"
    )


def as_table(rows: list[Row]) -> str:
    """Lay the rows out as a Markdown table."""
    lines = ["| what | figure | beside | ratio | bar | |", "|---|---:|---|---:|---:|---|"]
    for row in rows:
        bar = "–" if row.bar is None else f"{row.bar:g} {row.unit if row.bar_is_absolute else ''}".strip()
        lines.append(
            f"| {row.name} | {row.value:,.4g} {row.unit} | {row.ceiling} | {row.ratio:.2f} | {bar} | "
            f"{MEANING[row.meets_bar]} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
