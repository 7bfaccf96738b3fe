"""Run every benchmark, or those named, and write their sections of bench/RESULTS.md: ``make bench``."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench
from bench.report import RESULTS, write_section
from bench.rows import Row

MEANING = {True: "met", False: "**missed**", None: "–"}


def main() -> None:
    """Measure each ``bench_*`` module (or those named on the command line) in turn."""
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.name.startswith("bench_"))
    wanted = set(sys.argv[1:])
    unknown = wanted - set(names)
    if unknown:
        sys.exit(f"no benchmark named {sorted(unknown)}; there are {names}")
    for name in [name for name in names if name in wanted or not wanted]:
        module = importlib.import_module(f"bench.{name}")
        print(f"{name} ...", flush=True)
        rows: list[Row] = module.measure()
        table = as_table(rows)
        print(table, flush=True)
        write_section((module.__doc__ or name).splitlines()[0], table)
    print(f"written: {RESULTS}")


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
